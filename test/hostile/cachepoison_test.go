package hostile

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/testkit"
)

// An app that tells all that it was asked, as CGI and its heirs name fields: whatever a hostile client gets into a request
// shows in the answer. It is sloppy as well: its answers never say that they vary, and all versions of them have one strong
// tag.
func confide(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20)) // what is cut off is not what it tells
	all := []string{r.Method + " " + r.RequestURI + " for " + r.Host + " " + string(body)}
	for name, values := range r.Header {
		name = strings.ReplaceAll(strings.ToUpper(name), "-", "_")
		if !slices.Contains(untold, name) {
			all = append(all, fmt.Sprintf("%s=%q", name, values))
		}
	}
	slices.Sort(all[1:])
	w.Header().Set("Cache-Control", "max-age="+map[bool]string{true: "1, stale-while-revalidate=60", false: "60"}[strings.Contains(r.URL.Path, "brief")])
	w.Header().Set("Content-Type", "text/plain")
	w.Header().Set("ETag", `"always"`)
	if c := r.Header.Get("Accept-Encoding"); strings.Contains(c, "br") && !strings.Contains(c, "br;q=0") {
		w.Header().Set("Content-Encoding", "br")
	}
	if strings.Contains(r.URL.Path, "brief") {
		r.Header.Del("If-None-Match") // it never confirms
	}
	if strings.Contains(r.URL.Path, "slow") {
		time.Sleep(100 * time.Millisecond)
	}
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(strings.Join(all, "\n")+strings.Repeat(".", 2000)))
}

// untold differ from request to request and are nobody's to choose, or say what of the answer is wanted.
var untold = []string{"X_REQUEST_ID", "X_FORWARDED_FOR", "RANGE", "IF_RANGE", "IF_NONE_MATCH", "X_NO_CACHE", "CONNECTION", "CACHE_CONTROL"}

const confidingSite = `
listen: {http: ["@ADDRESS@"]}
log: {access: {to: none}}
pools: {app: {servers: ["%s"]}}
sites:
  - hosts: ["*"]
    routes:
      - pool: app
        cache:
          ignore_query: [utm_*]
          sort_query: true
          ignore_cookies: [_ga*]
          private: [sessionid]
          key:
            header: [X-Country]
            device: [{name: mobile, words: [Phone]}]
          bypass: {header: {X-No-Cache: "*"}}
cache: {memory: 16MiB}
`

// A poisoning is a request that may leave something behind for the one after it. @ is a path that no other row has.
type poisoning struct {
	name   string
	target string // of the attack
	lines  string // and its fields, without Host
	method string
	body   string
	victim string // the target of the victim; "" is "@"
	fields string // and its fields
}

func poisonings() []poisoning {
	rows := []poisoning{
		{name: "ignored query", target: "@?utm_source=evil"},
		{name: "ignored query, encoded", target: "@?%75tm_source=evil"},
		{name: "ignored query and semicolon", target: "@?utm_source=1;page=evil"},
		{name: "ignored cookie", target: "@", lines: "Cookie: _ga=evil\r\n"},
		{name: "ignored cookie, quoted", target: "@", lines: "Cookie: _ga=\"evil; _gat=evil\"\r\n", victim: "@"},
		{name: "sorted query", target: "@?b=2&a=1", victim: "@?a=1&b=2"},
		{name: "device", target: "@", lines: "X-Device: evil\r\n"},
		{name: "device of another", target: "@", lines: "X-Device: evil\r\nUser-Agent: Phone\r\n", fields: "User-Agent: Phone\r\n"},
		{name: "coding", target: "@", lines: "Accept-Encoding: br\r\n"},
		{name: "coding that the victim does not take", target: "@", lines: "Accept-Encoding: gzip;q=0.001, br;q=1.000\r\n", fields: "Accept-Encoding: gzip, br;q=0\r\n"},
		{name: "body", target: "@", lines: "Content-Length: 6\r\n", body: "x=evil"},
		{name: "chunked body", target: "@", lines: "Transfer-Encoding: chunked\r\n", body: "6\r\nx=evil\r\n0\r\n\r\n"},
		{name: "empty body", target: "@", lines: "Content-Length: 0\r\n"},
		{name: "dot segments", target: "/evil/..@"},
		{name: "encoded dot segments", target: "/evil/%2e%2e@"},
		{name: "double slash", target: "/@"},
		{name: "encoded letters", target: "@%61", victim: "@a"},
		{name: "encoded slash", target: "@%2fevil"},
		{name: "parameters", target: "@;evil"},
		{name: "encoded question mark", target: "@%3fevil"},
		{name: "encoded number sign", target: "@%23evil"},
		{name: "encoded nul", target: "@%00evil"},
		{name: "backslash", target: "@\\..\\evil"},
		{name: "encoded line end", target: "@%0d%0aX:%20evil"},
		{name: "empty query", target: "@?"},
		{name: "fragment", target: "@#evil"},
		{name: "another case", target: "@A", victim: "@a"},
		{name: "absolute form", target: "http://evil.test@"},
		{name: "absolute form of the victim", target: "http://victim.test@"},
		{name: "absolute form with port", target: "http://victim.test:80@"},
		{name: "absolute form with user", target: "http://evil@victim.test@"},
		{name: "POST", target: "@", method: "POST", lines: "Content-Length: 4\r\n", body: "evil"},
		{name: "PUT", target: "@", method: "PUT", lines: "Content-Length: 4\r\n", body: "evil"},
		{name: "unknown method", target: "@", method: "EVIL"},
		{name: "lower case method", target: "@", method: "get"},
		{name: "Connection names a key", target: "@", lines: "X-Country: de\r\nConnection: X-Country\r\n", fields: "X-Country: de\r\n"},
		{name: "Connection names Cookie", target: "@", lines: "Cookie: sessionid=1\r\nConnection: close, cookie\r\n", fields: "Cookie: sessionid=1\r\n"},
		{name: "session of none", target: "@", lines: "Cookie: sessionid\r\n", fields: "Cookie: sessionid=\r\n"},
		{name: "keyed field with an underscore", target: "@", lines: "X_Country: evil\r\n"},
		{name: "trailers", target: "@", lines: "Transfer-Encoding: chunked\r\nTrailer: X-Evil\r\n", body: "0\r\nX-Evil: evil\r\n\r\n"},
	}
	for _, host := range []string{"VICTIM.test", "victim.test.", "victim.test:80", "victim.test.:80", "evil.test", "victim.test:81", "victim.test#evil", "victim.test/evil", "evil@victim.test",
		"victim.test, evil", "victim.test\r\nHost: evil", "[::1]", "victim.test:0080", "victim.test:", " victim.test ", "victim%2etest"} {
		rows = append(rows, poisoning{name: "Host " + host, target: "@", lines: "Host: " + host + "\r\n"})
	}
	for _, name := range []string{"X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Scheme", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Server", "X-Forwarded-SSL", "X-Forwarded-Uri",
		"Forwarded", "X-Host", "X-HTTP-Host-Override", "X-Original-Host", "X-Original-URL", "X-Rewrite-URL", "X-Original-URI", "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override",
		"X-Scheme", "X-URL-Scheme", "Front-End-Https", "X-Script-Name", "X-Matched-Path", "X-Invoke-Path", "X-Invoke-Status", "X-Invoke-Error", "X-Invoke-Output", "X-Nextjs-Data", "X-Middleware-Subrequest",
		"X-Middleware-Rewrite", "X-Prerender-Revalidate", "X-Now-Route-Matches", "Proxy-Authorization", "Content-Length", "TE", "Keep-Alive", "Max-Forwards-Host"} {
		value := "evil"
		switch name {
		case "Forwarded":
			value = "host=evil;proto=evil"
		case "Max-Forwards-Host", "Content-Length", "TE":
			continue
		}
		rows = append(rows, poisoning{name: name, target: "@", lines: name + ": " + value + "\r\n"})
		if strings.Contains(name, "-") {
			name = strings.ReplaceAll(name, "-", "_")
			rows = append(rows, poisoning{name: name, target: "@", lines: name + ": " + value + "\r\n"})
		}
	}
	return rows
}

// A manner is how an attack is made. Each row is played in each.
var manners = []struct{ name, path, lines, method string }{
	{name: "plainly"},
	{name: "for a part that is all", lines: "Range: bytes=0-99999\r\n"},
	{name: "for the beginning", lines: "Range: bytes=0-9\r\n"},
	{name: "for the end", lines: "Range: bytes=-2000\r\nIf-Range: \"always\"\r\n"},
	{name: "for the head", method: "HEAD"},
	{name: "while the victim waits", path: "slow"},
	{name: "when it is old", path: "brief"},
	{name: "by a reload", lines: "Cache-Control: no-cache\r\n"},
	{name: "with a condition", lines: "If-None-Match: \"always\"\r\n"},
}

// TestPoisoning: what one client asked for, another gets only if it would have got the same by itself. The control is the
// victim's own request, by the cache.
func TestPoisoning(t *testing.T) {
	for name, more := range map[string]string{"a client": "", "a trusted proxy": "trusted_proxies: [127.0.0.0/8]"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testPoisoning(t, more)
		})
	}
}

func testPoisoning(t *testing.T, more string) {
	w := testkit.Run(t, testkit.Setup{Config: fmt.Sprintf(confidingSite, testkit.ServeHTTP(t, http.HandlerFunc(confide))) + more})
	rows, plays, hits := poisonings(), 0, 0
	var mu sync.Mutex
	var playing sync.WaitGroup
	turns := make(chan struct{}, 24)
	for i, row := range rows {
		for j, manner := range manners {
			turns <- struct{}{}
			playing.Go(func() {
				defer func() { <-turns }()
				path := fmt.Sprintf("/%s%d-%d", manner.path, i, j)
				hit, err := playPoisoning(w.Address, path, &row, manner.lines, manner.method)
				mu.Lock()
				defer mu.Unlock()
				plays++
				if hit {
					hits++
				}
				if err != nil {
					t.Errorf("%s, %s: %v", row.name, manner.name, err)
				}
			})
		}
	}
	playing.Wait()
	t.Logf("%d rows, %d plays; %d victims were served from the cache", len(rows), plays, hits)
	if hits < plays/4 { // of a cache that keeps nothing nothing could be said
		t.Errorf("only %d of %d victims were served from the cache", hits, plays)
	}
}

// playPoisoning plays one row on a path of its own.
func playPoisoning(address, path string, row *poisoning, lines, method string) (hit bool, err error) {
	at := func(target, instead string) string {
		if target == "" {
			target = instead
		}
		return strings.ReplaceAll(target, "@", path)
	}
	victim := "GET " + at(row.victim, "@") + " HTTP/1.1\r\nHost: victim.test\r\n" + row.fields
	_, control, _, err := exchange(address, "GET", victim+"X-No-Cache: 1\r\n\r\n")
	if err != nil {
		return false, fmt.Errorf("the control: %w", err)
	}
	if row.method != "" {
		method = row.method
	} else if method == "" {
		method = "GET"
	}
	target := row.target
	if strings.HasPrefix(target, "http://") {
		i := strings.LastIndex(target, "@")
		target = target[:i] + path + target[i+1:]
	} else {
		target = at(target, "@")
	}
	attack := method + " " + target + " HTTP/1.1\r\n" + row.lines + lines
	if !strings.Contains(row.lines, "Host: ") || strings.Contains(row.lines, "-Host: ") {
		attack = strings.Replace(attack, " HTTP/1.1\r\n", " HTTP/1.1\r\nHost: victim.test\r\n", 1)
	}
	attack += "\r\n" + row.body
	var attacking sync.WaitGroup
	strike := func() { exchange(address, method, attack) } //nolint:errcheck // it may be refused
	switch {
	case strings.Contains(path, "slow"):
		attacking.Go(strike)
		time.Sleep(30 * time.Millisecond) // the attack should be there first; whether it is decides nothing
	case strings.Contains(path, "brief"):
		exchange(address, "GET", victim+"\r\n") //nolint:errcheck // the next one is looked at
		time.Sleep(1100 * time.Millisecond)
		strike()
		time.Sleep(50 * time.Millisecond) // for the refreshing that it has brought about
	default:
		strike()
	}
	defer attacking.Wait()
	for range 2 {
		_, got, status, err := exchange(address, "GET", victim+"\r\n")
		if err != nil {
			return false, fmt.Errorf("the victim: %w", err)
		}
		if got != control {
			return false, fmt.Errorf("the victim got\n%.300s\ninstead of\n%.300s\nby %s", got, control, status)
		}
		hit = strings.Contains(status, "hit") || strings.Contains(status, "collapsed")
	}
	return hit, nil
}

// exchange sends a request as it stands, and returns the answer.
func exchange(address, method, text string) (status int, body, cacheStatus string, err error) {
	c, err := from("127.0.0.1", address)
	if err != nil {
		return 0, "", "", err
	}
	defer c.Close()
	if _, err := io.WriteString(c, text); err != nil {
		return 0, "", "", err
	}
	a := &asked{c: c}
	r, err := a.answer(method)
	if err != nil {
		return 0, "", "", err
	}
	for _, f := range r.fields {
		if strings.EqualFold(f.name, "Cache-Status") {
			cacheStatus = f.value
		}
	}
	return r.status, r.body, cacheStatus, nil
}
