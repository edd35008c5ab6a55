package hostile

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/testkit"
)

// greet answers with what it knows of who asks. The query says how: h are the field lines of the answer, then those of a 304 (or
// of the second answer), by which field it knows who asks.
func greet(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	who := r.Header.Get(q.Get("by"))
	if q.Get("by") == "" {
		if who = r.Header.Get("Authorization"); who == "" {
			who = "nobody"
			if c, err := r.Cookie("sessionid"); err == nil && c.Value != "" {
				who = c.Value
			}
		}
	}
	lines := q.Get("h")
	again := r.Header.Get("If-None-Match") != ""
	if again && q.Has("then") {
		lines = q.Get("then")
	}
	for _, line := range strings.Split(strings.ReplaceAll(lines, "WHO", who), "|") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			w.Header()[name] = append(w.Header()[name], value)
		}
	}
	if strings.Contains(r.URL.Path, "slow") {
		time.Sleep(100 * time.Millisecond)
	}
	if again && q.Has("then") {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	text := "hello " + who + "; " + strings.Repeat(".", 1000)
	if q.Has("esi") {
		w.Header().Set("Content-Type", "text/html")
		text = q.Get("esi")
	}
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(text))
}

// greetingSite has a sloppy policy: all that the app does not forbid is kept.
const greetingSite = `
listen: {http: ["@ADDRESS@"]}
log: {access: {to: none}}
pools: {app: {servers: ["%s"]}}
sites:
  - hosts: ["plain.test"]
    routes: [{pool: app, cache: {default_ttl: 1m}}]
  - hosts: ["private.test"]
    routes: [{pool: app, cache: {default_ttl: 1m, private: [sessionid]}}]
  - hosts: ["esi.test"]
    esi: on
    compress: {min_size: 1B}
    routes: [{pool: app, cache: {default_ttl: 1m, private: [sessionid]}}]
  - hosts: ["compress.test"]
    compress: {min_size: 1B}
    routes: [{pool: app, cache: {default_ttl: 1m, private: [sessionid], grace: 1m}}]
cache: {memory: 16MiB}
`

// A secret is a way in which an app tells ann something that bob must not see.
type secret struct {
	name     string
	ann, bob string // their field lines
	h, then  string // of the answers
	by, esi  string
	shared   bool // the app says that it is for all
}

var (
	annCookie = "Cookie: sessionid=ann\r\n"
	annAuth   = "Authorization: ann\r\n"
)

func secrets() []secret {
	rows := []secret{
		{name: "nothing said, cookie", ann: annCookie},
		{name: "nothing said, authorization", ann: annAuth},
		{name: "a life, authorization", ann: annAuth, h: "Cache-Control: max-age=60"},
		{name: "expires, authorization", ann: annAuth, h: "Expires: Thu, 01 Jan 2099 00:00:00 GMT"},
		{name: "for all, authorization", ann: annAuth, h: "Cache-Control: public, max-age=60", shared: true},
		{name: "a life and a cookie set", ann: annCookie, h: "Cache-Control: max-age=60|Set-Cookie: secret=WHO"},
		{name: "public and a cookie set", h: "Cache-Control: public, max-age=60|Set-Cookie: secret=WHO", ann: annCookie},
		{name: "no-cache for cookies", ann: annCookie, h: `Cache-Control: max-age=60, no-cache="Set-Cookie"|Set-Cookie: secret=WHO`, shared: true},
		{name: "private for cookies", ann: annCookie, h: `Cache-Control: max-age=60, private="set-cookie, x-who"|Set-Cookie: secret=WHO|X-Who: WHO`, shared: true},
		{name: "private by a token", ann: annCookie, h: `Cache-Control: max-age=60, private=Set-Cookie|Set-Cookie: secret=WHO`, shared: true},
		{name: "private in another line", ann: annCookie, h: "Cache-Control: max-age=60|Cache-Control: Private"},
		{name: "private behind an open quote", ann: annCookie, h: `Cache-Control: max-age=60, x="a, private`},
		{name: "no-store behind an open quote", ann: annCookie, h: `Cache-Control: max-age=60, x="a\", no-store`},
		{name: "private with an empty list", ann: annCookie, h: `Cache-Control: max-age=60, private=""`},
		{name: "private twice", ann: annCookie, h: `Cache-Control: max-age=60, private="a", private="b"`},
		{name: "private behind tabs", ann: annCookie, h: "Cache-Control: max-age=60,\tprivate\t,"},
		{name: "private with a value", ann: annCookie, h: "Cache-Control: max-age=60, private="},
		{name: "private for CDNs", ann: annCookie, h: "Cache-Control: max-age=60|CDN-Cache-Control: private, max-age=60"},
		{name: "no-store for CDNs", ann: annCookie, h: "Cache-Control: max-age=60|CDN-Cache-Control: no-store"},
		{name: "a life for CDNs that is none", ann: annCookie, h: "Cache-Control: private|CDN-Cache-Control: max-age=x, ,"},
		{name: "no-store for surrogates", ann: annCookie, h: "Cache-Control: max-age=60|Surrogate-Control: no-store"},
		{name: "Pragma alone", ann: annCookie, h: "Pragma: no-cache"},
		{name: "varies by Cookie", ann: annCookie, h: "Cache-Control: max-age=60|Vary: Cookie"},
		{name: "varies by Authorization", ann: annAuth, bob: "Authorization: bob\r\n", h: "Cache-Control: public, max-age=60|Vary: authorization"},
		{name: "varies by all", ann: annCookie, h: "Cache-Control: max-age=60|Vary: Accept, *"},
		{name: "varies by an unknown field", ann: "X-User: ann\r\n", bob: "X-User: bob\r\n", by: "X-User", h: "Cache-Control: max-age=60|Vary: X-User"},
		{name: "varies by an unknown field that bob has not", ann: "X-User: ann\r\n", by: "X-User", h: "Cache-Control: max-age=60|Vary: x-user"},
		{name: "varies by X-Forwarded-For", by: "X-Forwarded-For", h: "Cache-Control: max-age=60|Vary: X-Forwarded-For"},
		{name: "varies by X-Forwarded-Host", ann: "X-Forwarded-Host: ann\r\n", by: "X-Forwarded-Host", h: "Cache-Control: max-age=60|Vary: X-Forwarded-Host", shared: true},
		{name: "varies by X-Request-ID", by: "X-Request-ID", h: "Cache-Control: max-age=60|Vary: X-Request-ID"},
		{name: "varies by many", ann: annCookie, h: "Cache-Control: max-age=60|Vary: " + strings.Repeat("A, ", 1000) + "Cookie"},
		{name: "a status that is not known", ann: annCookie, h: "Cache-Control: max-age=60, must-understand, private"},
		{name: "confirmed for ann alone", ann: annCookie, h: `Cache-Control: max-age=0|ETag: "1"`, then: `Cache-Control: private, max-age=60|ETag: "1"|X-Who: WHO`, shared: true},
		{name: "confirmed with a cookie", ann: annCookie, h: `Cache-Control: max-age=0|ETag: "1"`, then: `Cache-Control: max-age=60|ETag: "1"|Set-Cookie: secret=WHO`, shared: true},
		{name: "confirmed with no-cache for cookies", ann: annCookie, h: `Cache-Control: max-age=0|ETag: "1"`, then: `Cache-Control: max-age=60, no-cache="Set-Cookie"|ETag: "1"|Set-Cookie: secret=WHO`, shared: true},
		{name: "empty session", ann: "Cookie: sessionid=\r\nX-User: ann\r\n", bob: "Cookie: sessionid=\r\n", by: "X-User", h: "Cache-Control: private, max-age=60"},
		{name: "session without a value", ann: "Cookie: sessionid\r\nX-User: ann\r\n", bob: "Cookie: sessionid\r\n", by: "X-User", h: "Cache-Control: private, max-age=60"},
		{name: "session of blanks and quotes", ann: "Cookie: sessionid=\"\"\r\nX-User: ann\r\n", bob: "Cookie: sessionid=\"\"\r\n", by: "X-User", h: "Cache-Control: private, max-age=60"},
		{name: "session begun", ann: "Cookie: sessionid=guest\r\nX-User: ann\r\n", bob: "Cookie: sessionid=guest\r\n", by: "X-User", h: "Cache-Control: private, max-age=60|Set-Cookie: sessionid=of-WHO; HttpOnly"},
		{name: "session begun, public", ann: "X-User: ann\r\n", by: "X-User", h: "Cache-Control: max-age=60|Set-Cookie: sessionid=of-WHO; HttpOnly"},
		{name: "page with a private box", ann: annCookie, h: "Cache-Control: max-age=60", esi: `<esi:include src="/box?h=Cache-Control:+private,+max-age%3d60"/>`, shared: true},
		{name: "page with a box that varies", ann: annCookie, h: "Cache-Control: max-age=60", esi: `<esi:include src="/box?h=Cache-Control:+max-age%3d60|Vary:+Cookie"/>`, shared: true},
		{name: "page with a box that says nothing", ann: annCookie, h: "Cache-Control: max-age=60", esi: `<esi:include src="/box?x"/>`, shared: true},
		{name: "page with a box that sets cookies", ann: annCookie, h: "Cache-Control: max-age=60", esi: `<esi:include src="/box?h=Set-Cookie:+secret%3dWHO"/>`, shared: true},
	}
	return rows
}

// TestSecrets: what an app tells one client, no other gets.
func TestSecrets(t *testing.T) {
	testkit.Leaks(t)
	var playing sync.WaitGroup
	w := testkit.Run(t, testkit.Setup{Config: fmt.Sprintf(greetingSite, testkit.ServeHTTP(t, http.HandlerFunc(greet)))})
	turns := make(chan struct{}, 24)
	plays := 0
	for i, row := range secrets() {
		for _, host := range []string{"plain.test", "private.test", "esi.test", "compress.test"} {
			for j, m := range manners {
				if m.path == "brief" || row.esi != "" && host != "esi.test" || row.esi == "" && m.path != "" && host == "esi.test" {
					continue
				}
				plays++
				turns <- struct{}{}
				playing.Go(func() {
					defer func() { <-turns }()
					if err := playSecret(w.Address, host, fmt.Sprintf("/%s%d-%d", m.path, i, j), &row, m.lines, m.method); err != nil {
						t.Errorf("%s, %s, %s: %v", row.name, host, m.name, err)
					}
				})
			}
		}
	}
	playing.Wait()
	t.Logf("%d rows, %d plays", len(secrets()), plays)
}

// playSecret lets ann ask, and then bob, from other addresses: also bob's own browser asks for more than plain text.
func playSecret(address, host, path string, row *secret, lines, method string) error {
	q := url.Values{}
	for name, value := range map[string]string{"h": row.h, "then": row.then, "by": row.by, "esi": row.esi} {
		if value != "" {
			q.Set(name, value)
		}
	}
	target := path + "?" + q.Encode()
	if method == "" {
		method = "GET"
	}
	ask := func(client, method, lines string) (*response, error) {
		c, err := from(client, address)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		if _, err := io.WriteString(c, method+" "+target+" HTTP/1.1\r\nHost: "+host+"\r\n"+lines+"\r\n"); err != nil {
			return nil, err
		}
		return (&asked{c: c}).answer(method)
	}
	var anns sync.WaitGroup
	for range 2 {
		one := func() { ask("127.0.0.77", method, row.ann+lines) } //nolint:errcheck // bob's is looked at
		if strings.Contains(path, "slow") {
			anns.Go(one)
			time.Sleep(20 * time.Millisecond) // hers should be there first; whether it is decides nothing
		} else {
			one()
		}
	}
	defer anns.Wait()
	for _, more := range []string{"", "Range: bytes=0-99\r\n", ""} {
		r, err := ask("127.0.0.88", "GET", row.bob+more)
		if err != nil {
			return err
		}
		if text := fmt.Sprint(r.fields); strings.Contains(text, "ann") {
			return fmt.Errorf("bob's answer has fields for ann: %s", text)
		}
		if body := r.body; (strings.Contains(body, "ann") || strings.Contains(body, "127.0.0.77")) && (!row.shared || row.esi != "") {
			return fmt.Errorf("bob got %.60q, %v", body, r.fields)
		}
	}
	return nil
}
