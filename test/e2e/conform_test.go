package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/testkit"
)

// answer is what an app says to one request.
type answer struct {
	status int
	lines  string // field lines parted by "|"
	body   string
}

// step is one request and what is to come of it.
type step struct {
	method string // "": GET
	path   string // "": the row's own
	lines  string // field lines parted by "|"
	asked  string // what the app must have seen: a field line; "-": it must not have been asked; "": it must have been
	status int
	has    string // field lines of the response, parted by "|"; "-Name": not there
	body   string // "*": any
}

// row is a rule of a specification, in requests to one path.
type row struct {
	rule    string
	answers []answer // to the first request that reaches the app, to the second...; the last also to all after it
	steps   []step
}

// script is an app that answers by rows, and what it saw last.
type script struct {
	mu   sync.Mutex
	rows map[string][]answer
	n    map[string]int
	saw  http.Header
	runs int
}

func (s *script) handle(_ *app, _ int, w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.rows[r.URL.Path]
	if all == nil {
		w.WriteHeader(404)
		return
	}
	a := all[min(s.n[r.URL.Path], len(all)-1)]
	s.n[r.URL.Path]++
	s.runs++
	s.saw = r.Header.Clone()
	s.saw.Set("Method", r.Method)
	s.saw.Set("Target", r.RequestURI)
	for l := range strings.SplitSeq(a.lines, "|") {
		if name, value, ok := strings.Cut(l, ": "); ok {
			w.Header().Add(name, value)
		}
	}
	if a.status == 0 { // it breaks off
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(a.status)
	fmt.Fprint(w, a.body)
}

// conforms runs rows against one weir with a policy for the cache.
func conforms(t *testing.T, policy string, rows []row) {
	t.Helper()
	play(t, rows, func(a *app) *testkit.Weir { return cached(t, a, policy, "") })
}

// play runs rows against what start starts.
func play(t *testing.T, rows []row, start func(a *app) *testkit.Weir) {
	t.Helper()
	s := &script{rows: map[string][]answer{}, n: map[string]int{}}
	for i, r := range rows {
		s.rows[fmt.Sprintf("/%d", i)] = r.answers
	}
	a := serveApp(t, "", s.handle)
	w := start(a)
	for i, r := range rows {
		for j, st := range r.steps {
			if st.method == "" {
				st.method = "GET"
			}
			if st.path == "" || st.path[0] == '?' {
				st.path = fmt.Sprintf("/%d", i) + st.path
			}
			s.mu.Lock()
			before := s.runs
			s.mu.Unlock()
			lines := ""
			if st.lines != "" {
				lines = strings.ReplaceAll(st.lines, "|", "\r\n") + "\r\n"
			}
			judge(t, fmt.Sprintf("%s, step %d", r.rule, j+1), &st, ask(t, w, st.method, st.path, lines), s, before)
		}
	}
}

// judge compares one response and what the app saw with what is wanted.
func judge(t *testing.T, at string, st *step, m *testkit.Message, s *script, before int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if st.status == 0 {
		st.status = 200
	}
	if m.Status != st.status || st.body != "*" && string(m.Body) != st.body {
		t.Errorf("%s: status %d, %q; want %d, %q (%s)", at, m.Status, m.Body, st.status, st.body, m.Field("Cache-Status"))
	}
	for l := range strings.SplitSeq(st.has, "|") {
		name, want, _ := strings.Cut(l, ": ")
		switch {
		case l == "":
		case name[0] == '-':
			if m.Has(name[1:]) {
				t.Errorf("%s: there is %s: %s", at, name[1:], m.Field(name[1:]))
			}
		case !strings.Contains(m.Field(name), want):
			t.Errorf("%s: %s: %s, want %s", at, name, m.Field(name), want)
		}
	}
	switch name, want, isField := strings.Cut(st.asked, ": "); {
	case (s.runs > before) != (st.asked != "-"):
		t.Errorf("%s: the app was asked %d times (%s)", at, s.runs-before, m.Field("Cache-Status"))
	case isField && name[0] == '-' && s.saw.Get(name[1:]) != "":
		t.Errorf("%s: the app saw %s: %s", at, name[1:], s.saw.Get(name[1:]))
	case isField && name[0] != '-' && s.saw.Get(name) != want:
		t.Errorf("%s: the app saw %s: %s, want %s", at, name, s.saw.Get(name), want)
	}
}

// over are the fields of a response that is stale when it comes, and can be validated.
const over = `Cache-Control: max-age=60|Age: 60|ETag: "a"`

// TestValidates is RFC 9111, section 4.3.
func TestValidates(t *testing.T) {
	conforms(t, "{grace_on_error: 60s, hit_for_miss: 0s}", []row{
		{"9111 4.3.1 conditions", []answer{{200, over, "one"}, {304, `Cache-Control: max-age=60|ETag: "a"`, ""}}, []step{
			{body: "one", has: "Age: 60"},
			{asked: `If-None-Match: "a"`, body: "one", has: "Cache-Status: fwd=stale|-Age"},
			{asked: "-", body: "one", has: "Cache-Status: hit|Age: "},
		}},
		{"9111 4.3.4 a 304 about something else", []answer{{200, over, "one"}, {304, `Cache-Control: max-age=60|ETag: "b"`, ""}, {200, `Cache-Control: max-age=60|ETag: "b"`, "two"}}, []step{
			{body: "one"},
			{asked: "-If-None-Match: ", body: "two", has: `ETag: "b"`},
			{asked: "-", body: "two"},
		}},
		{"9111 3.2 fields of a 304", []answer{{200, over + "|Content-Type: text/plain|X-A: 1|Content-MD5: x|Content-Encoding: x", "one"},
			{304, `Cache-Control: max-age=60|ETag: "a"|X-A: 2|Content-MD5: y|Content-Encoding: y`, ""}}, []step{
			{body: "one"},
			{body: "one", has: "Content-Type: text/plain|X-A: 2|Content-MD5: x|Content-Encoding: x"},
			{asked: "-", body: "one", has: "Content-Type: text/plain|X-A: 2|Content-MD5: x"},
		}},
		{"9111 4.3.3 a new one", []answer{{200, over, "one"}, {200, `Cache-Control: max-age=60|ETag: "b"`, "two"}}, []step{
			{body: "one"}, {asked: `If-None-Match: "a"`, body: "two"}, {asked: "-", body: "two"},
		}},
		{"9111 4.3.3 an error, and what is there may be served", []answer{{200, over, "one"}, {503, "", "down"}}, []step{
			{body: "one"}, {body: "one", has: "Cache-Status: fwd=stale; fwd-status=503"},
		}},
		{"9111 4.2.4 not against must-revalidate", []answer{{200, over + "|Cache-Control: must-revalidate", "one"}, {503, "", "down"}}, []step{
			{body: "one"}, {body: "down", status: 503},
		}},
		{"9111 4.2.4 not against proxy-revalidate", []answer{{200, over + "|Cache-Control: proxy-revalidate", "one"}, {0, "", ""}}, []step{
			{body: "one"}, {body: "*", status: 502, has: "Cache-Status: weir; fwd=stale"},
		}},
		// Section 5.2.2.10 would have it like proxy-revalidate, but the configuration is the word of those whose app it is.
		{"9111 4.2.4 the configuration's grace beside s-maxage", []answer{{200, `Cache-Control: s-maxage=60|Age: 60|ETag: "a"`, "one"}, {0, "", ""}}, []step{
			{body: "one"}, {body: "one", has: "Cache-Status: fwd=stale"},
		}},
		{"9111 4.3.4 a 304 that forbids to keep", []answer{{200, over, "one"}, {304, `Cache-Control: no-store|ETag: "a"`, ""}, {200, "", "two"}}, []step{
			{body: "one"}, {body: "one"}, {asked: "-If-None-Match: ", body: "two"},
		}},
		{"9111 4.3.2 the client has it", []answer{{200, `Cache-Control: max-age=60|ETag: "a"`, "one"}}, []step{
			{body: "one"}, {asked: "-", lines: `If-None-Match: "a"`, status: 304, has: `ETag: "a"|-Content-Type`}, {asked: "-", lines: `If-None-Match: "b"`, body: "one"},
		}},
	})
}

// TestWithheldFields is RFC 9111, sections 5.2.2.4, 5.2.2.7 and 3.1: who is told what.
func TestWithheldFields(t *testing.T) {
	conforms(t, "{hit_for_miss: 0s}", []row{
		{"5.2.2.4 no-cache with names", []answer{{200, `Cache-Control: max-age=60, no-cache="x-a, set-cookie"|X-A: 1|X-B: 2|Set-Cookie: a=b`, "one"}}, []step{
			{body: "one", has: "X-A: 1|X-B: 2|Set-Cookie: a=b"}, {asked: "-", body: "one", has: "-X-A|X-B: 2|-Set-Cookie"},
		}},
		{"5.2.2.7 private with names", []answer{{200, `Cache-Control: max-age=60, private="x-a"|X-A: 1|X-B: 2`, "one"}}, []step{
			{body: "one", has: "X-A: 1|X-B: 2"}, {asked: "-", body: "one", has: "-X-A|X-B: 2"},
		}},
		{"3.1 named by Connection", []answer{{200, `Cache-Control: max-age=60|Connection: x-a|X-A: 1|X-B: 2`, "one"}}, []step{
			{body: "one", has: "-X-A|X-B: 2"}, {asked: "-", body: "one", has: "-X-A|X-B: 2"},
		}},
		{"9110 14.4 Content-Range means nothing here", []answer{{200, `Cache-Control: max-age=60|Content-Range: bytes 0-1/2`, "one"}}, []step{
			{body: "one"}, {asked: "-", body: "one"}, {asked: "-", lines: "Range: bytes=1-", status: 206, body: "ne", has: "Content-Range: bytes 1-2/3"},
		}},
	})
}

// TestRequestDirectives is RFC 9111, section 5.2.1, end to end.
func TestRequestDirectives(t *testing.T) {
	fresh := []answer{{200, `Cache-Control: max-age=60|Age: 10|ETag: "a"`, "one"}, {304, `Cache-Control: max-age=60|ETag: "a"`, ""}}
	conforms(t, "{}", []row{
		{"5.2.1.1 max-age", fresh, []step{{body: "one"}, {asked: "-", lines: "Cache-Control: max-age=30", body: "one"}, {lines: "Cache-Control: max-age=5", body: "one", has: "Cache-Status: fwd=request"}}},
		{"5.2.1.2 max-stale", []answer{{200, over, "one"}, {200, over, "two"}}, []step{{body: "one"}, {asked: "-", lines: "Cache-Control: max-stale=30", body: "one"}, {body: "two"}}},
		{"5.2.1.3 min-fresh", fresh, []step{{body: "one"}, {asked: "-", lines: "Cache-Control: min-fresh=20", body: "one"}, {lines: "Cache-Control: min-fresh=55", body: "one"}}},
		{"5.2.1.4 no-cache", fresh, []step{{body: "one"}, {asked: `If-None-Match: "a"`, lines: "Cache-Control: no-cache", body: "one"}}},
		{"5.4 Pragma", fresh, []step{{body: "one"}, {asked: `If-None-Match: "a"`, lines: "Pragma: no-cache", body: "one"}}},
		{"5.4 not beside Cache-Control", fresh, []step{{body: "one"}, {asked: "-", lines: "Pragma: no-cache|Cache-Control: max-age=30", body: "one"}}},
		{"5.2.1.5 no-store", fresh[:1], []step{{lines: "Cache-Control: no-store", body: "one"}, {body: "one"}, {asked: "-", body: "one"}}},
		{"5.2.1.7 only-if-cached", fresh, []step{{asked: "-", lines: "Cache-Control: only-if-cached", status: 504, body: "*", has: "Cache-Status: weir; detail=only-if-cached"}, {body: "one"}, {asked: "-", lines: "Cache-Control: only-if-cached", body: "one"}}},
		{"5.2.1.7 only-if-cached where it cannot be kept", []answer{{200, "Cache-Control: no-store", "one"}}, []step{{body: "one"}, {asked: "-", lines: "Cache-Control: only-if-cached", status: 504, body: "*"}}},
		{"5861 4 stale-if-error of a request", []answer{{200, over, "one"}, {503, "", "down"}}, []step{{body: "one"}, {lines: "Cache-Control: stale-if-error=30", body: "one"}, {status: 503, body: "down"}}},
	})
}

// TestHead is RFC 9111, section 4.3.5, and HEAD answered from what a GET left.
func TestHead(t *testing.T) {
	conforms(t, "{grace_on_error: 60s, hit_for_miss: 0s}", []row{
		{"9110 9.3.2 from a kept GET", []answer{{200, `Cache-Control: max-age=60|ETag: "a"`, "one"}}, []step{
			{body: "one"}, {method: "HEAD", asked: "-", has: "Content-Length: 3|Cache-Status: hit"}, {method: "HEAD", asked: "-", lines: `If-None-Match: "a"`, status: 304},
		}},
		{"it is not kept itself", []answer{{200, `Cache-Control: max-age=60`, "one"}}, []step{
			{method: "HEAD", asked: "Method: HEAD"}, {asked: "Method: GET", body: "one"},
		}},
		{"4.3.5 it freshens", []answer{{200, over + "|X-A: 1|X-B: 1", "one"}, {200, `Cache-Control: max-age=60|ETag: "a"|X-A: 2|Content-Length: 3`, ""}}, []step{
			{body: "one"}, {method: "HEAD", asked: "Method: HEAD", has: "X-A: 2|X-B: 1|Content-Length: 3|Cache-Status: fwd=stale; fwd-status=200; stored"}, {asked: "-", body: "one", has: "X-A: 2|X-B: 1"},
		}},
		{"4.3.5 another length", []answer{{200, over, "one"}, {200, `Cache-Control: max-age=60|ETag: "a"|Content-Length: 4`, ""}, {200, "", "four"}}, []step{
			{body: "one"}, {method: "HEAD", has: "Content-Length: 4"}, {asked: "-If-None-Match: ", body: "four"},
		}},
		{"4.3.5 another validator", []answer{{200, over, "one"}, {200, `Cache-Control: max-age=60|ETag: "b"`, ""}, {200, "", "two"}}, []step{
			{body: "one"}, {method: "HEAD", has: `ETag: "b"`}, {asked: "-If-None-Match: ", body: "two"},
		}},
		{"4.3.5 an error says nothing of it", []answer{{200, over, "one"}, {404, "", ""}, {304, over, ""}}, []step{
			{body: "one"}, {method: "HEAD", status: 404}, {asked: `If-None-Match: "a"`, body: "one"},
		}},
		{"4.2.4 on errors", []answer{{200, over, "one"}, {503, "", ""}}, []step{
			{body: "one"}, {method: "HEAD", has: "Content-Length: 3"},
		}},
		{"what the app gets is the cache's question", []answer{{200, over, "one"}, {200, `Cache-Control: max-age=60|ETag: "a"`, ""}}, []step{
			{body: "one"}, {method: "HEAD", lines: `If-None-Match: "x"|Range: bytes=0-0`, asked: "-If-None-Match: "}, {asked: "-", body: "one"},
		}},
	})
}

// TestInvalidation is RFC 9111, section 4.4, and RFC 9875: what an unsafe request takes out.
func TestInvalidation(t *testing.T) {
	fresh := func(more string) []answer {
		return []answer{{200, "Cache-Control: max-age=60", "one"}, {200, more, "done"}, {200, "Cache-Control: max-age=60", "two"}}
	}
	changed := func(rule, method, more string) row {
		return row{rule, fresh(more), []step{{body: "one"}, {asked: "-", body: "one"}, {method: method, lines: "Content-Length: 0", body: "done"}, {body: "two"}}}
	}
	still := func(rule, method string, status int) row {
		return row{rule, []answer{{200, "Cache-Control: max-age=60", "one"}, {status, "", ""}}, []step{{body: "one"}, {method: method, lines: "Content-Length: 0", status: status, body: "*"}, {asked: "-", body: "one"}}}
	}
	conforms(t, "{hit_for_miss: 0s}", []row{
		changed("4.4 POST", "POST", ""), changed("4.4 PUT", "PUT", ""), changed("4.4 DELETE", "DELETE", ""), changed("4.4 PATCH", "PATCH", ""), changed("4.4 not known", "M-SEARCH", ""),
		still("4.4 a safe one", "OPTIONS", 200), still("4.4 an error", "POST", 400), still("4.4 a server's error", "POST", 500),
		{"4.4 a redirect", []answer{{200, "Cache-Control: max-age=60", "one"}, {303, "Location: /elsewhere", ""}, {200, "", "two"}}, []step{
			{body: "one"}, {method: "POST", lines: "Content-Length: 0", status: 303}, {body: "two"}}},
		{"4.4 Location", fresh(""), []step{{body: "one"}, {method: "POST", path: "/10", lines: "Content-Length: 0", body: "moved"}, {body: "done"}}},
		{"", []answer{{200, "Location: /9", "moved"}}, nil},
		{"4.4 Content-Location", fresh(""), []step{{body: "one"}, {method: "POST", path: "/12", lines: "Content-Length: 0", body: "moved"}, {body: "done"}}},
		{"", []answer{{200, "Content-Location: http://e2e.test/11", "moved"}}, nil},
		{"4.4 of another origin", fresh(""), []step{{body: "one"}, {method: "POST", path: "/14", lines: "Content-Length: 0", body: "moved"}, {asked: "-", body: "one"}}},
		{"", []answer{{200, "Location: http://other.test/13|Content-Location: https://e2e.test/13", "moved"}}, nil},
		{"9875 3 a group", []answer{{200, `Cache-Control: max-age=60|Cache-Groups: "a", "b"`, "one"}, {200, "", "two"}}, []step{
			{body: "one"}, {method: "POST", path: "/16", lines: "Content-Length: 0", body: "moved"}, {body: "two"}}},
		{"", []answer{{200, `Cache-Group-Invalidation: "b"`, "moved"}}, nil},
		{"4.4 every variant", []answer{{200, "Cache-Control: max-age=60|Vary: X-V", "one"}, {200, "Cache-Control: max-age=60|Vary: X-V", "two"}, {200, "", "done"}, {200, "", "three"}}, []step{
			{lines: "X-V: 1", body: "one"}, {lines: "X-V: 2", body: "two"}, {asked: "-", lines: "X-V: 1", body: "one"}, {method: "POST", lines: "Content-Length: 0|X-V: 3", body: "done"}, {lines: "X-V: 1", body: "three"}, {lines: "X-V: 2", body: "three"},
		}},
	})
	// The key may hold more than the URL, and who changes something may pass.
	conforms(t, `{hit_for_miss: 0s, key: {header: [X-Kind]}, pass_if_cookie: [session], ignore_query: ["utm_*"]}`, []row{
		{"4.4 under every key", []answer{{200, "Cache-Control: max-age=60", "one"}, {200, "Cache-Control: max-age=60", "two"}, {200, "", "done"}, {200, "", "three"}}, []step{
			{lines: "X-Kind: 1", body: "one"}, {lines: "X-Kind: 2", body: "two"}, {method: "POST", lines: "Content-Length: 0|X-Kind: 2", body: "done"}, {lines: "X-Kind: 1", body: "three"}, {lines: "X-Kind: 2", body: "three"},
		}},
		{"4.4 by one who passes", []answer{{200, "Cache-Control: max-age=60", "one"}, {200, "", "done"}, {200, "", "two"}}, []step{
			{body: "one"}, {method: "POST", path: "?utm_source=x", lines: "Content-Length: 0|Cookie: session=1", body: "done"}, {body: "two"},
		}},
	})
}

// TestNoVarySearch: queries that the app says are alike share one response, also while it is fetched, and a purge of one is of
// all.
func TestNoVarySearch(t *testing.T) {
	const ignores = `Cache-Control: max-age=60|No-Vary-Search: params=("a" "b")`
	conforms(t, "{hit_for_miss: 0s}", []row{
		{"params", []answer{{200, ignores, "one"}, {200, ignores, "two"}}, []step{
			{path: "?a=1", body: "one"}, {path: "?a=2&b=3", asked: "-", body: "one"}, {asked: "-", body: "one"}, {path: "?c=1", body: "two"}, {path: "?b=0&c=1", asked: "-", body: "two"}, {path: "?a=9", asked: "-", body: "one"},
		}},
		{"key-order", []answer{{200, "Cache-Control: max-age=60|No-Vary-Search: key-order", "one"}, {200, "", "two"}}, []step{
			{path: "?a=1&b=2", body: "one"}, {path: "?b=2&a=1", asked: "-", body: "one"}, {path: "?b=2", body: "two"},
		}},
		{"except", []answer{{200, `Cache-Control: max-age=60|No-Vary-Search: except=("id")`, "one"}, {200, "", "two"}}, []step{
			{path: "?id=1&x=2", body: "one"}, {path: "?y=2&id=1", asked: "-", body: "one"}, {path: "?id=2", body: "two"},
		}},
		{"not well-formed", []answer{{200, "Cache-Control: max-age=60|No-Vary-Search: params=a", "one"}, {200, "", "two"}}, []step{{path: "?a=1", body: "one"}, {path: "?a=2", body: "two"}}},
		{"with Vary", []answer{{200, ignores + "|Vary: X-V", "one"}, {200, ignores + "|Vary: X-V", "two"}}, []step{
			{path: "?a=1", lines: "X-V: 1", body: "one"}, {path: "?a=2", lines: "X-V: 2", body: "two"}, {path: "?a=3", lines: "X-V: 1", asked: "-", body: "one"}, {path: "?b=3", lines: "X-V: 2", asked: "-", body: "two"},
		}},
		{"a purge", []answer{{200, ignores, "one"}, {200, ignores, "two"}}, []step{
			{path: "?a=1", body: "one"}, {method: "PURGE", path: "?a=2", asked: "-", body: "purged\n"}, {path: "?a=1", body: "two"}, {path: "?a=3", asked: "-", body: "two"},
		}},
		{"what is unsafe", []answer{{200, ignores, "one"}, {200, "", "done"}, {200, ignores, "two"}}, []step{
			{path: "?a=1", body: "one"}, {method: "POST", path: "?a=2", lines: "Content-Length: 0", body: "done"}, {path: "?a=1", body: "two"},
		}},
		{"it is validated", []answer{{200, over + `|No-Vary-Search: params=("a")`, "one"}, {304, `Cache-Control: max-age=60|ETag: "a"`, ""}, {200, "", "two"}}, []step{
			{path: "?a=1", body: "one"}, {path: "?a=2", asked: "Target: /7?a=2", body: "one"}, {path: "?a=3", asked: "-", body: "one"}, {method: "PURGE", path: "?a=9", asked: "-", body: "purged\n"}, {path: "?a=3", body: "two"},
		}},
	})
}

// TestHolesAreOfResponses: what one client brought about does not turn the cache off for the others (hit_for_miss).
func TestHolesAreOfResponses(t *testing.T) {
	const fresh = "Cache-Control: max-age=60"
	conforms(t, "{default_ttl: 60s}", []row{
		{"9111 3.5 Authorization", []answer{{200, fresh, "one"}, {200, fresh, "two"}}, []step{{lines: "Authorization: x", body: "one", has: "Cache-Status: authorization"}, {body: "two"}, {asked: "-", body: "two"}, {asked: "-", lines: "Authorization: x", body: "two"}}},
		{"a cookie", []answer{{200, "", "one"}, {200, "", "two"}}, []step{{lines: "Cookie: a=1", body: "one"}, {body: "two"}, {asked: "-", body: "two"}}},
		{"a field too large", []answer{{431, "", "large"}, {200, fresh, "two"}}, []step{{status: 431, body: "large"}, {body: "two"}, {asked: "-", body: "two"}}},
		{"a server's error", []answer{{500, "", "oops"}, {200, fresh, "two"}}, []step{{status: 500, body: "oops"}, {body: "two"}, {asked: "-", body: "two"}}},
		{"what the app says", []answer{{200, "Cache-Control: private", "one"}, {200, fresh, "two"}}, []step{{body: "one"}, {body: "two"}, {asked: "-", body: "two"}}},
		{"a cookie that the key does not hold", []answer{{200, "Cache-Control: private", "one"}, {200, fresh, "two"}}, []step{{lines: "Cookie: a=1", body: "one"}, {body: "two"}, {asked: "-", body: "two"}}},
		{"again and again", []answer{{200, "Cache-Control: private", "one"}, {200, "Cache-Control: no-store", "two"}, {200, fresh, "three"}}, []step{{body: "one"}, {body: "two", has: "Cache-Status: no-store"}, {body: "three", has: "Cache-Status: stored"}, {asked: "-", body: "three"}}},
		{"a condition of the client's", []answer{{200, "Cache-Control: private", "one"}, {304, "", ""}, {200, fresh, "three"}}, []step{{body: "one"}, {lines: `If-None-Match: "a"`, asked: `If-None-Match: "a"`, status: 304}, {body: "three"}, {asked: "-", body: "three"}}},
		{"a first visitor's cookie", []answer{{200, "Set-Cookie: a=1|" + fresh, "one"}, {200, fresh, "two"}}, []step{{body: "one", has: "Cache-Status: set-cookie"}, {body: "two", has: "Cache-Status: stored"}, {asked: "-", body: "two"}}},
		{"with a condition", []answer{{200, "Cache-Control: private", "one"}, {200, fresh, "two"}}, []step{{body: "one"}, {lines: `If-None-Match: "x"`, asked: `If-None-Match: "x"`, body: "two", has: "Cache-Status: hit-for-miss"}, {body: "two", has: "Cache-Status: stored"}}},
	})
}

// TestUnkeyedInput: what changes a response and is no part of the key neither gets in nor comes out.
func TestUnkeyedInput(t *testing.T) {
	answers := []answer{{200, "Cache-Control: max-age=60", "one"}, {200, "Cache-Control: max-age=60", "two"}}
	var rows []row
	for _, lines := range []string{"X-HTTP-Method-Override: DELETE", "X-Original-URL: /admin", "X-Host: evil.test", "Content-Length: 0|Connection: x-a|X-A: 1", "Upgrade: websocket|Connection: upgrade|Sec-WebSocket-Version: 13"} {
		rows = append(rows, row{lines, answers, []step{{lines: lines, body: "one"}, {body: "two"}, {asked: "-", body: "two"}, {lines: lines, body: "two"}}})
	}
	for _, lines := range []string{"X-Forwarded-Host: evil.test", "X-Forwarded-Prefix: /evil", "X-Forwarded-Scheme: https", "Forwarded: host=evil.test"} {
		name, _, _ := strings.Cut(lines, ":")
		unseen := "-" + name + ": "
		if name == "X-Forwarded-Host" {
			unseen = "X-Forwarded-Host: e2e.test"
		}
		rows = append(rows, row{lines, answers, []step{{lines: lines, asked: unseen, body: "one"}, {asked: "-", body: "one"}}})
	}
	rows = append(rows, row{"absolute form", answers, []step{{path: "http://e2e.test/9", body: "one"}, {asked: "-", body: "one"}}})
	// A part is kept for others, too: what is no part of the key must not reach the app by way of a range.
	part := []answer{{206, `Cache-Control: max-age=60|ETag: "1"|Content-Range: bytes 0-2/3|Content-Length: 3`, "one"}}
	for _, lines := range []string{"X-Forwarded-Prefix: /evil", "X-Forwarded-Scheme: https", "Forwarded: host=evil.test"} {
		name, _, _ := strings.Cut(lines, ":")
		rows = append(rows, row{"a part, " + lines, part, []step{{lines: "Range: bytes=0-2|" + lines, asked: "-" + name + ": ", status: 206, body: "one"}, {asked: "-", body: "one"}}})
	}
	conforms(t, "{}", rows)
}

// TestRangesOfIgnored: a request for a part asks for what its key says, and no more.
func TestRangesOfIgnored(t *testing.T) {
	part := []answer{{206, `Cache-Control: max-age=60|ETag: "1"|Content-Range: bytes 0-2/3|Content-Length: 3`, "one"}}
	conforms(t, `{ignore_query: ["utm_*"], ignore_cookies: ["_ga*"]}`, []row{
		{"query", part, []step{{path: "?utm_x=evil", lines: "Range: bytes=0-2", asked: "Range: bytes=0-2", status: 206, body: "one"}, {asked: "-", body: "one"}}},
		{"target", part, []step{{path: "?utm_x=evil", lines: "Range: bytes=0-2", asked: "Target: /1", status: 206, body: "one"}}},
		{"cookie", part, []step{{lines: "Range: bytes=0-2|Cookie: _ga=evil", asked: "-Cookie: ", status: 206, body: "one"}, {asked: "-", body: "one"}}},
		{"conditions", part, []step{{lines: `Range: bytes=0-2|If-Range: "1"`, asked: `If-Range: "1"`, status: 206, body: "one"}}},
	})
}

// TestWholeForPart: a server that sends the whole where a part was wanted has it kept, and parts of it come from here.
func TestWholeForPart(t *testing.T) {
	conforms(t, "{}", []row{
		{"a 200 for a range", []answer{{200, `Cache-Control: max-age=60|ETag: "1"`, "abcdef"}}, []step{{lines: "Range: bytes=2-3", status: 206, body: "cd", has: "Cache-Status: stored|Content-Range: bytes 2-3/6"}, {asked: "-", lines: "Range: bytes=4-", status: 206, body: "ef"}, {asked: "-", body: "abcdef"}}},
		{"If-Range of another", []answer{{200, `Cache-Control: max-age=60|ETag: "1"`, "abcdef"}}, []step{{lines: `Range: bytes=2-3|If-Range: "0"`, body: "abcdef", has: "Cache-Status: stored"}, {asked: "-", body: "abcdef"}}},
		{"that may not be kept", []answer{{200, `Cache-Control: private|ETag: "1"`, "abcdef"}}, []step{{lines: "Range: bytes=2-3", body: "abcdef", has: "Cache-Status: private"}, {body: "abcdef"}}},
	})
}

// TestQueuedLeaderLeaves: the client whose request fetches for others goes while it waits for a server; the others get the
// response all the same.
func TestQueuedLeaderLeaves(t *testing.T) {
	entered, release := make(chan bool, 1), make(chan bool)
	a := serveApp(t, "", func(_ *app, n int, w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/block" {
			entered <- true
			<-release
		}
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprintf(w, "answer %d", n)
	})
	config := strings.Replace(fmt.Sprintf(cacheSite, a.address, "{}", ""), "queue: {timeout: 1s}", "queue: {timeout: 30s}\n    max_conn: 1", 1)
	w := testkit.Run(t, testkit.Setup{Plain: true, Config: config, Ready: "/ready"})
	w.Edge() // which answers before the keeper knows that it does
	send := func(path string) *testkit.Conn {
		c := w.Dial()
		c.Send("GET " + path + " HTTP/1.1\r\nHost: e2e.test\r\n\r\n")
		return c
	}
	blocker := send("/block")
	defer blocker.Close()
	<-entered
	leader := send("/page")
	testkit.Eventually(t, 10*time.Second, "the leader waits for a place", func() bool {
		return w.Status().Edge.Pools[0].Queued == 1
	})
	var followers []*testkit.Conn
	for range 3 {
		followers = append(followers, send("/page"))
	}
	testkit.Eventually(t, 10*time.Second, "the followers are there", func() bool { return w.Status().Edge.Active >= 5 })
	leader.Close()
	testkit.Eventually(t, 10*time.Second, "another leads", func() bool { st := w.Status().Edge; return st.Active == 4 && st.Pools[0].Queued == 1 })
	close(release)
	for i, c := range followers {
		if m := c.Response("GET"); m.Status != 200 || string(m.Body) != "answer 1" {
			t.Errorf("follower %d: status %d, %q", i, m.Status, m.Body)
		}
		c.Close()
	}
	if n := a.count("/page"); n != 1 {
		t.Errorf("the app was asked %d times", n)
	}
}

// TestInvalidationAcrossRoutes: what is unsafe may take another route than what it changes, as others' requests may.
func TestInvalidationAcrossRoutes(t *testing.T) {
	const cacheControl = "Cache-Control: max-age=60"
	rows := []row{
		{"by method", []answer{{200, cacheControl, "one"}, {200, "", "done"}, {200, cacheControl, "two"}}, []step{
			{body: "one"}, {asked: "-", body: "one"}, {method: "POST", lines: "Content-Length: 0", body: "done"}, {body: "two"},
		}},
		{"by cookie", []answer{{200, cacheControl, "one"}, {200, "", "done"}, {200, cacheControl, "two"}}, []step{
			{body: "one"}, {asked: "-", body: "one"}, {method: "PUT", lines: "Content-Length: 0|Cookie: session=1", body: "done"}, {body: "two"},
		}},
		{"a place", []answer{{200, cacheControl, "one"}, {200, cacheControl, "two"}}, []step{
			{body: "one"}, {method: "POST", path: "/3", lines: "Content-Length: 0", body: "done"}, {body: "two"},
		}},
		{"", []answer{{200, "Location: /2", "done"}}, nil},
	}
	play(t, rows, func(a *app) *testkit.Weir {
		config := strings.Replace(fmt.Sprintf(cacheSite, a.address, "{}", ""), "    routes:\n", `    routes:
      - {match: {method: POST}, pool: app, cache: off}
      - {match: {cookie: {session: "*"}}, pool: app, cache: off}
`, 1)
		return testkit.Run(t, testkit.Setup{Plain: true, Config: config, Ready: "/ready"})
	})
}

// TestEarlyHints: 103 is passed on, and is not what is kept (RFC 8297; RFC 9111, section 3).
func TestEarlyHints(t *testing.T) {
	a := serveApp(t, "", func(_ *app, n int, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</a.css>; rel=preload")
		w.WriteHeader(103)
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprintf(w, "answer %d", n)
	})
	w := cached(t, a, "{}", "")
	for i := range 2 {
		c := w.Dial()
		c.Send("GET /page HTTP/1.1\r\nHost: e2e.test\r\n\r\n")
		if i == 0 {
			if m := c.Response("GET"); m.Status != 103 || m.Field("Link") == "" {
				t.Errorf("first %d %v", m.Status, m.Lines)
			}
		}
		if m := c.Response("GET"); m.Status != 200 || string(m.Body) != "answer 1" {
			t.Errorf("request %d: %d %q", i, m.Status, m.Body)
		}
		c.Close()
	}
}
