package edge

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/http1"
	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/journal/filter"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/testkit"
)

// story is what tests read of one.
type story struct {
	logLine
	Cache  string
	Why    string `json:"cache_why"`
	Slow   bool
	Failed bool
	Listen string
	Stages map[string]float64 `json:"stages_ms"`
	Parts  []struct {
		Target, Cache string
		Status        int
		MS            float64
	}
}

// control serves the edge's control interface for a test.
func (r *running) control(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer((&control{edge: r.Edge}).routes())
	t.Cleanup(s.Close)
	return s
}

// listenTo hears what the edge tells until the test ends.
func listenTo(t *testing.T, r *running, query string) <-chan story {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := r.control(t)
	req, err := http.NewRequestWithContext(ctx, "GET", s.URL+"/v1/log?"+query, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 200 {
		text, _ := io.ReadAll(resp.Body)
		t.Fatalf("%d %s", resp.StatusCode, text)
	}
	all := make(chan story, 100)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for sc := bufio.NewScanner(resp.Body); sc.Scan(); {
			var got story
			if len(sc.Bytes()) == 0 {
				continue
			}
			if err := json.Unmarshal(sc.Bytes(), &got); err != nil {
				t.Errorf("%v: %s", err, sc.Bytes())
			}
			all <- got
		}
	}()
	t.Cleanup(func() { cancel(); resp.Body.Close(); <-done })
	return all
}

// recent asks for what is kept.
func recent(t *testing.T, r *running, query string) (all []story) {
	t.Helper()
	w := httptest.NewRecorder()
	(&control{edge: r.Edge}).routes().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/v1/log?"+query, http.NoBody))
	for line := range strings.Lines(w.Body.String()) {
		var got story
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all = append(all, got)
	}
	return all
}

func TestStoriesAreTold(t *testing.T) {
	origin := testkit.Serve(t, "tcp", func(c net.Conn) {
		in := bufio.NewReader(c)
		for {
			req, err := http.ReadRequest(in)
			if err != nil || req.URL.Path == "/die" {
				return
			}
			if req.URL.Path == "/slow" {
				<-time.After(30 * time.Millisecond) // more than what the edge is told is slow
			}
			if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: a=b\r\n\r\nok"); err != nil {
				return
			}
		}
	})
	r := serveEdge(t, fibers, "log: {access: {to: none}, slow: 20ms}\ncache: {memory: 16MiB}\npools: {p: {servers: ['"+origin+"'], retry: {attempts: 0}}}\n"+
		"sites: [{hosts: ['*'], routes: [{match: {path: /here}, respond: {status: 204}}, {pool: p, cache: {}}]}]\n")
	all, some := listenTo(t, r, ""), listenTo(t, r, "filter="+url.QueryEscape("failed=yes"))
	ask := func(path string) { askFor(t, r.addr, path) }
	ask("/a?token=1")
	got := <-all
	if got.Target != "/a?token=1" || got.Status != 200 || got.Cache != "miss" || got.Why != "set-cookie" || got.Slow || got.Failed || got.Pool != "p" {
		t.Errorf("%+v", got)
	}
	if s := got.Stages; s["head_read"] > s["picked"] || s["picked"] > s["first_byte"] || s["first_byte"] > s["delivered"] || s["delivered"] == 0 {
		t.Errorf("stages: %v", got.Stages)
	}
	ask("/here")
	if got := <-all; got.Status != 204 || got.Cache != "" || got.Why != "" {
		t.Errorf("%+v", got)
	}
	ask("/slow")
	if got := <-all; !got.Slow || got.Failed {
		t.Errorf("%+v", got)
	}
	ask("/die")
	if got := <-all; !got.Failed || got.Cause != "empty_response" || got.Status != 502 {
		t.Errorf("%+v", got)
	}
	if got := <-some; got.Target != "/die" {
		t.Errorf("%+v", got)
	}
	kept := recent(t, r, "recent=10")
	if len(kept) != 2 || kept[0].Target != "/slow" || kept[1].Target != "/die" {
		t.Errorf("kept: %+v", kept)
	}
	if got := recent(t, r, "recent=10&filter=id%3D"+kept[0].ID); len(got) != 1 || got[0].Target != "/slow" {
		t.Errorf("by its id: %+v", got)
	}
	if got := recent(t, r, "recent=1"); len(got) != 1 || got[0].Target != "/die" {
		t.Errorf("the last one: %+v", got)
	}
	if err := r.told.Inherit([][]byte{[]byte(`{"id":"before","status":502,"failed":true}`)}); err != nil || len(recent(t, r, "recent=10")) != 3 {
		t.Error("nothing is inherited", err)
	}
}

// askFor makes one request on a connection of its own and waits for the end of its response.
func askFor(t *testing.T, addr, path string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+addr+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
}

func TestLogIsAskedForWrongly(t *testing.T) {
	r := serveEdge(t, fibers, "sites: [{hosts: ['*'], routes: [{respond: {status: 204}}]}]\n")
	s := r.control(t)
	for query, want := range map[string]string{
		"filter=status%3E%3D5x": "filter, column 9",
		"recent=x":              "recent=\"x\" is no number",
		"recent=-1":             "recent=\"-1\" is no number",
		"since=now":             "since=\"now\" is no time",
	} {
		resp, err := s.Client().Get(s.URL + "/v1/log?" + query) //nolint:noctx // a test's
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(string(text), strings.ReplaceAll(want, `"`, `\"`)) {
			t.Errorf("%s: %d %s %v", query, resp.StatusCode, text, err)
		}
	}
}

// hear has one listen who reads nothing: what is told waits, and is dropped in the end.
func hear(tb testing.TB, r *running, f *filter.Filter) {
	tb.Helper()
	_, leave, err := r.told.Listen(f)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(leave)
}

// allLogs is a configuration with a log of each format that leaves things out, chooses and samples.
func allLogs(tb testing.TB) string {
	dir := tb.TempDir()
	return "log:\n  redact: {client: truncate, fields: [referer], query: [token, '*secret*'], path: [/reset/*]}\n  access:\n" +
		"    - {to: " + dir + "/a, format: [time, client, target, total_ms], filter: 'status>=200', rotate: {size: 100MiB, compress: false}}\n" +
		"    - {to: " + dir + "/b, format: '{client} \"{method} {target}\" {status}', sample: {2xx: 50%}}\n" +
		"    - {to: 'syslog+unix://" + dir + "/none', format: combined, filter: 'status>=500'}\n"
}

// BenchmarkProxiedHeard is BenchmarkProxied with one who listens for what does not happen.
func BenchmarkProxiedHeard(b *testing.B) {
	const conns = 64
	origin := steadyOrigin(b)
	r := serveEdge(b, loop.Config{Loops: 2}, "pools: {p: {servers: [\""+origin+"\"]}}\nsites: [{hosts: ['*'], routes: [{pool: p}]}]\n")
	f, err := filter.Parse("status>=500 or time>1h")
	if err != nil {
		b.Fatal(err)
	}
	hear(b, r, f)
	ask := steadyClients(b, r.addr, conns)
	ask(100)
	b.ReportAllocs()
	b.ResetTimer()
	ask(b.N/conns + 1)
}

// BenchmarkEnded is what is done of a request that has ended, beside answering it.
func BenchmarkEnded(b *testing.B) {
	head := []byte(steadyRequest)
	for _, row := range []struct{ name, filter, log string }{
		{"nobody listens", "", ""}, {"one listens for nothing", "status>=500 or time>1h", ""}, {"one listens for a path", "path=/admin/* and not client=10.0.0.0/8", ""},
		{"a log of errors", "", "log: {access: {to: /dev/null, filter: 'status>=500'}}\n"}, {"a log", "", "log: {access: {to: /dev/null}}\n"},
	} {
		b.Run(row.name, func(b *testing.B) {
			r := serveEdge(b, loop.Config{Loops: 1, Slow: func(*loop.Loop, time.Duration, []byte) {}}, row.log+"sites: [{hosts: ['*'], routes: [{respond: {status: 204}}]}]\n")
			if f, err := filter.Parse(row.filter); err == nil && f != nil {
				hear(b, r, f)
			}
			h := &handler{l: r.locals[0], parsed: true}
			limits := http1.Limits{Line: 8 << 10, Fields: 100, Head: 32 << 10}
			if _, wrong := http1.ParseRequest(head, &h.x.Req, &limits); wrong != nil {
				b.Fatal(wrong)
			}
			h.x.Scheme, h.x.ID = "http", []byte("0f3a9c1d2b4e5f60718293a4")
			done := make(chan struct{})
			b.ReportAllocs()
			b.ResetTimer()
			h.l.loop.Post(func() {
				for range b.N {
					j := &h.x.Journal
					j.Status, j.At[journal.Begun] = 200, h.l.loop.Now()
					h.account()
				}
				close(done)
			})
			<-done
		})
	}
}

// Sessions of TCP are told of too: not as slow because they last, but when a server failed them.
func TestStoriesOfTCP(t *testing.T) {
	o := testkit.Greets(t, "tcp", "hello")
	r := serveTCP(t, fibers, "pool: p", "log: {access: {to: none}, slow: 1ms}\n"+testkit.TCPPool("", o.Address))
	all := listenTo(t, r, "filter="+url.QueryEscape("listen~: and pool=p"))
	c := testkit.Dial(t, r.addr)
	if got := c.Read(5); got != "hello" {
		t.Errorf("%q", got)
	}
	time.AfterFunc(5*time.Millisecond, c.Close) // longer than what is slow
	got := <-all
	if got.Listen != r.addr || got.Status != 200 || got.Slow && got.Stages["connected"] < 1 || got.Stages["delivered"] != 0 && got.Stages["connected"] > got.Stages["delivered"] || got.Server != o.Address {
		t.Errorf("%+v", got)
	}
	r.applyTCP("pool: p", testkit.TCPPool("", testkit.DeadAddress(t)), nil)
	if c, err := net.Dial("tcp", r.addr); err == nil { // it may be reset at once
		defer c.Close()
	}
	if got := <-all; !got.Failed || got.Cause != "connect_error" {
		t.Errorf("%+v", got)
	}
	if kept := recent(t, r, "recent=5&filter="+url.QueryEscape("failed=yes")); len(kept) != 1 || kept[0].Listen != r.addr {
		t.Errorf("kept: %+v", kept)
	}
}

// What is kept comes first, and then what ends.
func TestStoriesOfThePastAndOn(t *testing.T) {
	r := serveEdge(t, fibers, "sites: [{hosts: ['*'], routes: [{match: {path: /here}, respond: {status: 204}}]}]\n")
	askFor(t, r.addr, "/none") // refused: no route
	r.quiet()
	for _, query := range []string{"recent=5&follow=true", "since=0"} {
		all := listenTo(t, r, query)
		if got := <-all; got.Target != "/none" || got.Cause != "no_route" {
			t.Errorf("%s: %+v", query, got)
		}
		askFor(t, r.addr, "/here")
		if got := <-all; got.Target != "/here" {
			t.Errorf("%s: %+v", query, got)
		}
	}
	if got := recent(t, r, "recent=5&since=99999999999999"); len(got) != 0 {
		t.Errorf("of the future: %+v", got)
	}
}
