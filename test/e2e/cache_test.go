package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/testkit"
)

// cacheSite is a site before one fixed server, with a cache. The %s are the server's address, lines of the route's cache,
// and lines of the whole.
const cacheSite = `
listen: {http: ["@ADDRESS@"]}
log: {access: {to: "@DIR@/access.log"}}
pools:
  app:
    servers: ["%s"]
    retry: {attempts: 0}
    queue: {timeout: 1s}
sites:
  - hosts: ["*"]
    routes:
      - pool: app
        cache:
          %s
%s
`

// app is a server in the test's hands: what each path answers, and how often it was asked.
type app struct {
	*http.Server
	address string
	mu      sync.Mutex
	asked   map[string]int
}

// serveApp starts an app. An address that is not empty is taken again, after a stop.
func serveApp(t *testing.T, address string, handle func(a *app, n int, w http.ResponseWriter, r *http.Request)) *app {
	t.Helper()
	if address == "" {
		address = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	a := &app{address: l.Addr().String(), asked: map[string]int{}}
	a.Server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.asked[r.URL.Path]++
		n := a.asked[r.URL.Path]
		a.mu.Unlock()
		handle(a, n, w, r)
	})}
	var served sync.WaitGroup
	served.Go(func() { a.Serve(l) })
	t.Cleanup(func() { a.Close(); served.Wait() })
	return a
}

func (a *app) count(path string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked[path]
}

// numbered answers with the number of the request for its path, as the Cache-Control that the query wants.
func numbered(_ *app, n int, w http.ResponseWriter, r *http.Request) {
	if v := r.URL.Query().Get("cc"); v != "" {
		w.Header().Set("Cache-Control", v)
	}
	if v := r.URL.Query().Get("tag"); v != "" {
		w.Header().Set("Surrogate-Key", v)
	}
	fmt.Fprintf(w, "answer %d\n", n)
}

// get is a GET with further field lines on a connection of its own.
func get(t *testing.T, w *testkit.Weir, path, lines string) *testkit.Message {
	t.Helper()
	return ask(t, w, "GET", path, lines)
}

func ask(t *testing.T, w *testkit.Weir, method, path, lines string) *testkit.Message {
	t.Helper()
	c := w.Dial()
	defer c.Close()
	c.Send(method + " " + path + " HTTP/1.1\r\nHost: e2e.test\r\n" + lines + "\r\n")
	return c.Response(method)
}

func cached(t *testing.T, a *app, policy, more string) *testkit.Weir {
	t.Helper()
	return testkit.Run(t, testkit.Setup{Plain: true, Config: fmt.Sprintf(cacheSite, a.address, policy, more), Ready: "/ready"})
}

// TestKeepsWhatItMay: what the app says counts, and the answer tells what the cache did.
func TestKeepsWhatItMay(t *testing.T) {
	a := serveApp(t, "", numbered)
	w := cached(t, a, "grace: 0s", "")
	for _, c := range []struct {
		path  string
		asked int // by three requests
	}{
		{"/fresh?cc=max-age=60", 1},
		{"/shared?cc=max-age=0,s-maxage=60", 1},
		{"/nothing", 3},
		{"/private?cc=private,max-age=60", 3},
		{"/no-store?cc=no-store", 3},
	} {
		var last *testkit.Message
		for range 3 {
			if last = get(t, w, c.path, ""); last.Status != 200 {
				t.Errorf("%s: status %d", c.path, last.Status)
			}
		}
		path, _, _ := strings.Cut(c.path, "?")
		if n := a.count(path); n != c.asked {
			t.Errorf("%s: the app was asked %d times, want %d", c.path, n, c.asked)
		}
		status := last.Field("Cache-Status")
		if hit := strings.Contains(status, "weir; hit"); hit != (c.asked == 1) {
			t.Errorf("%s: Cache-Status: %s", c.path, status)
		}
		if last.Has("Age") != (c.asked == 1) {
			t.Errorf("%s: Age: %s", c.path, last.Field("Age"))
		}
	}
}

// TestOneFetchForMany: a thousand clients want what nobody has: one request reaches the app, and all get the first half
// before the app has written the second.
func TestOneFetchForMany(t *testing.T) { oneFetchForMany(t, 1000, "") }

// TestOneFetchForManyVariant: that it is one variant of several is known only when it comes.
func TestOneFetchForManyVariant(t *testing.T) { oneFetchForMany(t, 100, "X-V, Accept-Language") }

func oneFetchForMany(t *testing.T, clients int, vary string) {
	begin, more := make(chan struct{}), make(chan struct{})
	half := bytes.Repeat([]byte("0123456789abcde\n"), 40<<10) // 640 KiB: more than is held back
	a := serveApp(t, "", func(_ *app, _ int, w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/cold" {
			return
		}
		<-begin
		w.Header().Set("Cache-Control", "max-age=60")
		if vary != "" {
			w.Header().Set("Vary", vary)
		}
		w.Write(half)
		w.(http.Flusher).Flush()
		<-more
		w.Write(half)
	})
	w := cached(t, a, "grace: 0s", "")
	var group sync.WaitGroup
	var halves, wholes atomic.Int64
	for range clients {
		group.Go(func() {
			c, err := net.DialTimeout("tcp", w.Address, 20*time.Second)
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(60 * time.Second))
			io.WriteString(c, "GET /cold HTTP/1.1\r\nHost: e2e.test\r\nConnection: close\r\n\r\n")
			got := 0
			buffer := make([]byte, 32<<10)
			for {
				n, err := c.Read(buffer)
				if got < len(half) && got+n >= len(half) {
					halves.Add(1)
				}
				got += n
				if err != nil {
					break
				}
			}
			if got >= 2*len(half) {
				wholes.Add(1)
			}
		})
	}
	testkit.Eventually(t, 30*time.Second, "the app is asked", func() bool { return a.count("/cold") > 0 })
	testkit.Eventually(t, 30*time.Second, "all wait", func() bool { return w.Status().Edge.Active >= int64(clients) })
	close(begin)
	testkit.Eventually(t, 60*time.Second, "all have the first half", func() bool { return halves.Load() == int64(clients) })
	close(more)
	group.Wait()
	if n := wholes.Load(); n != int64(clients) {
		t.Errorf("%d of %d clients got all", n, clients)
	}
	if n := a.count("/cold"); n != 1 {
		t.Errorf("the app was asked %d times", n)
	}
}

// TestLeaderLeaves: the client whose request asks the app goes away; the others get the whole response.
func TestLeaderLeaves(t *testing.T) {
	begin := make(chan struct{})
	a := serveApp(t, "", func(_ *app, _ int, w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/cold" {
			<-begin
			w.Header().Set("Cache-Control", "max-age=60")
			w.Write(bytes.Repeat([]byte("x"), 900<<10))
		}
	})
	w := cached(t, a, "grace: 0s", "")
	leader := w.Dial()
	leader.Send("GET /cold HTTP/1.1\r\nHost: e2e.test\r\n\r\n")
	testkit.Eventually(t, 10*time.Second, "the app is asked", func() bool { return a.count("/cold") == 1 })
	follower := w.Dial()
	defer follower.Close()
	follower.Send("GET /cold HTTP/1.1\r\nHost: e2e.test\r\n\r\n")
	leader.Reset()
	close(begin)
	if m := follower.Response("GET"); m.Status != 200 || len(m.Body) != 900<<10 {
		t.Errorf("status %d, %d bytes", m.Status, len(m.Body))
	}
	if n := a.count("/cold"); n != 1 {
		t.Errorf("the app was asked %d times", n)
	}
}

// TestNotToBeShared: what may not be kept does not make the clients wait for each other.
func TestNotToBeShared(t *testing.T) {
	const clients = 20
	var inside, most atomic.Int64
	all := make(chan struct{})
	a := serveApp(t, "", func(_ *app, n int, w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/mine" {
			return
		}
		if n > 1 { // the first tells that it is not for all; the others must come side by side
			if inside.Add(1) == clients-1 {
				close(all)
			}
			most.Store(max(most.Load(), inside.Load()))
			select {
			case <-all:
			case <-time.After(20 * time.Second):
			}
		}
		w.Header().Set("Cache-Control", "private")
		fmt.Fprintf(w, "for %s\n", r.Header.Get("X-Client"))
	})
	w := cached(t, a, "grace: 0s", "")
	var group sync.WaitGroup
	for i := range clients {
		group.Go(func() {
			if m := get(t, w, "/mine", fmt.Sprintf("X-Client: %d\r\n", i)); string(m.Body) != fmt.Sprintf("for %d\n", i) {
				t.Errorf("client %d got %q", i, m.Body)
			}
		})
	}
	group.Wait()
	if most.Load() != clients-1 {
		t.Errorf("%d requests at a time, want %d", most.Load(), clients-1)
	}
}

// TestGrace: stale responses are served at once while one request refreshes them, and as long as the app is down.
func TestGrace(t *testing.T) {
	a := serveApp(t, "", numbered)
	w := cached(t, a, "grace: 1h", "")
	const path = "/page?cc=max-age=1"
	if m := get(t, w, path, ""); string(m.Body) != "answer 1\n" {
		t.Fatalf("%q", m.Body)
	}
	testkit.Eventually(t, 20*time.Second, "the response is refreshed behind a stale one", func() bool {
		m := get(t, w, path, "")
		return m.Status == 200 && string(m.Body) != "answer 1\n"
	})
	f := testkit.Load{Address: w.Address, Conns: 8, Path: path, Pause: time.Millisecond}.Start(t)
	f.After(t, 200)
	a.Close()
	f.After(t, 1000)
	end := time.Now().Add(3 * time.Second) // long past its life
	for time.Now().Before(end) {
		f.After(t, 200)
	}
	noneFailed(t, "with the app stopped", f.Stop(), 1000)
	if m := get(t, w, path, ""); !strings.Contains(m.Field("Cache-Status"), "hit") {
		t.Errorf("Cache-Status: %s", m.Field("Cache-Status"))
	}
	if m := get(t, w, "/other", ""); m.Status != 502 {
		t.Errorf("what is not kept: %d", m.Status)
	}
	before := a.count("/page")
	b := serveApp(t, a.address, numbered)
	testkit.Eventually(t, 20*time.Second, "it is refreshed once the app is back", func() bool {
		get(t, w, path, "")
		return b.count("/page") > 0
	})
	if before == 0 {
		t.Error("the app was never asked")
	}
}

// TestErrorsBehindGrace: an app that answers with errors does not take away what is kept.
func TestErrorsBehindGrace(t *testing.T) {
	var broken atomic.Bool
	a := serveApp(t, "", func(a *app, n int, w http.ResponseWriter, r *http.Request) {
		if broken.Load() {
			w.WriteHeader(503)
			return
		}
		numbered(a, n, w, r)
	})
	w := cached(t, a, "grace: 0s", "")
	const path = "/page?cc=max-age=1,stale-if-error=3600"
	get(t, w, path, "")
	broken.Store(true)
	testkit.Eventually(t, 20*time.Second, "the app was asked again", func() bool {
		if m := get(t, w, path, ""); m.Status != 200 || string(m.Body) != "answer 1\n" {
			t.Fatalf("status %d: %q", m.Status, m.Body)
		}
		return a.count("/page") > 1
	})
}

// TestRevalidation: what a server says still holds is not sent again, to nobody.
func TestRevalidation(t *testing.T) {
	var full, empty atomic.Int64
	a := serveApp(t, "", func(_ *app, _ int, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		w.Header().Set("Cache-Control", "max-age=1")
		if r.Header.Get("If-None-Match") == `"v1"` {
			empty.Add(1)
			w.WriteHeader(304)
			return
		}
		full.Add(1)
		io.WriteString(w, "the page\n")
	})
	w := cached(t, a, "grace: 0s", "")
	get(t, w, "/ready", "")
	first := full.Load()
	testkit.Eventually(t, 20*time.Second, "it is asked for again", func() bool {
		if m := get(t, w, "/ready", ""); m.Status != 200 || string(m.Body) != "the page\n" {
			t.Fatalf("status %d: %q", m.Status, m.Body)
		}
		return empty.Load() > 0
	})
	if full.Load() != first {
		t.Errorf("the whole page was sent %d times", full.Load())
	}
	if m := get(t, w, "/ready", "If-None-Match: \"v1\"\r\n"); m.Status != 304 {
		t.Errorf("a client that has it gets %d", m.Status)
	}
	if m := get(t, w, "/ready", "Range: bytes=4-7\r\n"); m.Status != 206 || string(m.Body) != "page" {
		t.Errorf("a range: %d %q", m.Status, m.Body)
	}
	if m := ask(t, w, "HEAD", "/ready", ""); m.Status != 200 || m.Field("Content-Length") != "9" {
		t.Errorf("HEAD: %d, %s bytes", m.Status, m.Field("Content-Length"))
	}
}

// TestVary: variants are kept apart, and found again.
func TestVary(t *testing.T) {
	a := serveApp(t, "", func(_ *app, n int, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Vary", "Accept-Language")
		fmt.Fprintf(w, "%s\n", r.Header.Get("Accept-Language"))
	})
	w := cached(t, a, "grace: 0s", "")
	for range 3 {
		for _, l := range []string{"de", "fr", "en"} {
			if m := get(t, w, "/page", "Accept-Language: "+l+"\r\n"); string(m.Body) != l+"\n" {
				t.Errorf("%s got %q", l, m.Body)
			}
		}
	}
	if n := a.count("/page"); n != 3 {
		t.Errorf("the app was asked %d times", n)
	}
	ask(t, w, "PURGE", "/page", "")
	get(t, w, "/page", "Accept-Language: fr\r\n")
	get(t, w, "/page", "Accept-Language: de\r\n")
	if n := a.count("/page"); n != 5 {
		t.Errorf("after a purge the app was asked %d times in all", n)
	}
}

// TestPurge: by method, URL, tag, prefix and pattern; who may not is told so.
func TestPurge(t *testing.T) {
	a := serveApp(t, "", numbered)
	w := cached(t, a, "grace: 0s", "cache: {purge: {from: [127.0.0.1]}}")
	asked := 0
	expect := func(what string, anew bool) {
		t.Helper()
		if anew {
			asked++
		}
		if m := get(t, w, "/news/a?cc=max-age=60&tag=one%20two", ""); string(m.Body) != fmt.Sprintf("answer %d\n", asked) {
			t.Errorf("%s: %q, want answer %d", what, m.Body, asked)
		}
	}
	expect("at first", true)
	expect("kept", false)
	if m := ask(t, w, "PURGE", "/news/a?cc=max-age=60&tag=one%20two", ""); m.Status != 200 {
		t.Errorf("PURGE: %d", m.Status)
	}
	expect("after PURGE", true)
	w.Do("purge", "http://e2e.test/news/a?cc=max-age=60&tag=one%20two")
	expect("after weir purge URL", true)
	w.Do("purge", "--tag", "two")
	expect("after a tag", true)
	w.Do("purge", "--tag", "three")
	expect("after another tag", false)
	w.Do("purge", "--prefix", "e2e.test/new")
	expect("after a prefix", true)
	w.Do("purge", "--prefix", "e2e.test/old")
	expect("after another prefix", false)
	w.Do("purge", "--pattern", "*.test/*/a")
	expect("after a pattern", true)
	w.Do("purge", "--all")
	expect("after everything", true)
	if out, problem, code := w.Command("purge"); code == 0 {
		t.Errorf("a purge of nothing: %s%s", out, problem)
	}
	if out := w.Do("cache"); !strings.Contains(out, "objects") || !strings.Contains(out, "hits") {
		t.Errorf("weir cache: %s", out)
	}
}

// TestPurgeFromElsewhere: others than those named get 405.
func TestPurgeFromElsewhere(t *testing.T) {
	a := serveApp(t, "", numbered)
	w := cached(t, a, "grace: 0s", "cache: {purge: {from: [192.0.2.1]}}")
	get(t, w, "/page?cc=max-age=60", "")
	if m := ask(t, w, "PURGE", "/page?cc=max-age=60", ""); m.Status != 405 {
		t.Errorf("PURGE: %d", m.Status)
	}
	if m := get(t, w, "/page?cc=max-age=60", ""); string(m.Body) != "answer 1\n" {
		t.Errorf("%q", m.Body)
	}
	if a.count("/page") != 1 {
		t.Error("PURGE reached the app")
	}
}

// TestPurgeWhileFetched: a response that was being fetched when it was purged is not kept.
func TestPurgeWhileFetched(t *testing.T) {
	begin := make(chan struct{})
	a := serveApp(t, "", func(a *app, n int, w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/page" && n == 1 {
			<-begin
		}
		numbered(a, n, w, r)
	})
	w := cached(t, a, "grace: 1h", "")
	for _, how := range [][]string{{"purge", "http://e2e.test/page?cc=max-age=60&tag=x"}, {"purge", "--tag", "x"}} {
		a.mu.Lock()
		clear(a.asked)
		a.mu.Unlock()
		begin = make(chan struct{})
		c := w.Dial()
		c.Send("GET /page?cc=max-age=60&tag=x HTTP/1.1\r\nHost: e2e.test\r\n\r\n")
		testkit.Eventually(t, 10*time.Second, "the app is asked", func() bool { return a.count("/page") == 1 })
		w.Do(how...)
		close(begin)
		if m := c.Response("GET"); string(m.Body) != "answer 1\n" {
			t.Errorf("who asked before gets %q", m.Body)
		}
		c.Close()
		if m := get(t, w, "/page?cc=max-age=60&tag=x", ""); string(m.Body) != "answer 2\n" {
			t.Errorf("after %v: %q", how, m.Body)
		}
		w.Do("purge", "--all")
	}
}

// TestChangedWhileFetched: what an app made before it was changed is not kept, whatever the request for it wanted, and be it a part that
// an app without ranges answers with the whole.
func TestChangedWhileFetched(t *testing.T) {
	var now atomic.Int64
	begin := make(chan struct{})
	a := serveApp(t, "", func(_ *app, n int, w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			fmt.Fprint(w, now.Add(1))
			return
		}
		version := now.Load()
		text := strings.Repeat(fmt.Sprintf("%08d", version), 20)
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("ETag", fmt.Sprintf(`"%d"`, version))
		if r.URL.Path == "/vary" {
			w.Header().Set("Vary", "X-Variant")
		}
		if n == 1 && r.URL.Path != "/ready" {
			<-begin
		}
		if r.URL.Path != "/ranges" {
			io.WriteString(w, text) //nolint:errcheck // who has left, has left
			return
		}
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(text))
	})
	for _, more := range []string{"", "cache: {disk: {path: " + t.TempDir() + ", size: 64MiB}}"} {
		w := cached(t, a, "grace: 1h", more)
		for _, path := range []string{"/whole", "/vary", "/ranges"} {
			for _, lines := range []string{"", "Range: bytes=8-23\r\n", "Range: bytes=-16\r\n", "Range: bytes=0-\r\n", "Range: bytes=0-159\r\n", "Range: bytes=0-7,16-23\r\n"} {
				a.mu.Lock()
				clear(a.asked)
				a.mu.Unlock()
				begin = make(chan struct{})
				c := w.Dial()
				c.Send("GET " + path + " HTTP/1.1\r\nHost: e2e.test\r\n" + lines + "\r\n")
				testkit.Eventually(t, testkit.Patience, "the app is asked", func() bool { return a.count(path) == 1 })
				ask(t, w, "POST", path, "Content-Length: 0\r\n")
				want := fmt.Sprintf("%08d", now.Load())
				close(begin)
				if m := c.Response("GET"); m.Status/100 != 2 {
					t.Errorf("%s with %q: status %d", path, lines, m.Status)
				}
				c.Close()
				for _, then := range []string{lines, "", "Range: bytes=8-23\r\n"} {
					if m := get(t, w, path, then); !strings.Contains(m.Body, want) || m.Status/100 != 2 {
						t.Errorf("%s with %q, changed meanwhile, then with %q: %d %q, want %s", path, lines, then, m.Status, m.Body, want)
					}
				}
				ask(t, w, "POST", path, "Content-Length: 0\r\n")
			}
		}
		w.Stop()
	}
}

// TestUnsafeMethodsInvalidate (RFC 9111, section 4.4).
func TestUnsafeMethodsInvalidate(t *testing.T) {
	a := serveApp(t, "", func(a *app, n int, w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			w.WriteHeader(204)
			return
		}
		numbered(a, n, w, r)
	})
	w := cached(t, a, "grace: 0s", "")
	const path = "/page?cc=max-age=60"
	get(t, w, path, "")
	ask(t, w, "POST", path, "Content-Length: 0\r\n")
	if m := get(t, w, path, ""); string(m.Body) != "answer 3\n" {
		t.Errorf("%q", m.Body)
	}
}

// TestPolicy: cookies and queries by the route's rules.
func TestPolicy(t *testing.T) {
	a := serveApp(t, "", func(_ *app, n int, w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%d %s %s", n, r.URL.RawQuery, r.Header.Get("Cookie"))
	})
	w := cached(t, a, `default_ttl: 60s
          pass_if_cookie: [sessionid]
          ignore_cookies: ["_ga*"]
          ignore_query: ["utm_*"]
          key: {cookie: [lang]}`, "")
	for i, c := range []struct{ path, cookie, want string }{
		{"/a", "", "1  "},
		{"/a?utm_source=x", "_ga=1; _ga_2=3", "1  "},
		{"/a", "_ga=9", "1  "},
		{"/a", "sessionid=1", "2  sessionid=1"},
		{"/a", "sessionid=1", "3  sessionid=1"},
		{"/a", "lang=de; _ga=1", "4  lang=de"},
		{"/a", "lang=de", "4  lang=de"},
		{"/a?b=1", "", "5 b=1 "},
	} {
		lines := ""
		if c.cookie != "" {
			lines = "Cookie: " + c.cookie + "\r\n"
		}
		if m := get(t, w, c.path, lines); string(m.Body) != c.want {
			t.Errorf("row %d: %q, want %q", i, m.Body, c.want)
		}
	}
}

// TestPoison: what is no part of the key cannot change what others get.
func TestPoison(t *testing.T) {
	a := serveApp(t, "", func(_ *app, n int, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %s %s", r.Host, r.Header.Get("X-Forwarded-Host"), r.Header.Get("X-Original-URL"), r.URL, body)
	})
	w := cached(t, a, "grace: 0s", "")
	for i, raw := range []string{
		"GET /page%d HTTP/1.1\r\nHost: e2e.test\r\nX-Forwarded-Host: evil.test\r\n\r\n",
		"GET /page%d HTTP/1.1\r\nHost: e2e.test\r\nX-Original-URL: /evil\r\n\r\n",
		"GET /page%d HTTP/1.1\r\nHost: e2e.test\r\nX-Rewrite-URL: /evil\r\n\r\n",
		"GET /page%d HTTP/1.1\r\nHost: e2e.test\r\nContent-Length: 4\r\n\r\nevil",
		"GET http://evil.test/page%d HTTP/1.1\r\nHost: e2e.test\r\n\r\n",
	} {
		c := w.Dial()
		c.Send(fmt.Sprintf(raw, i))
		c.Response("GET")
		c.Close()
		m := get(t, w, fmt.Sprintf("/page%d", i), "")
		if strings.Contains(string(m.Body), "evil") {
			t.Errorf("row %d: the next client gets %q", i, m.Body)
		}
	}
}
