package edge

import (
	"bufio"
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/message"
	"github.com/weirhq/weir/internal/testkit"
)

const (
	aTrace  = "0af7651916cd43dd8448eb211c80319c"
	aParent = "b7ad6b7169203331"
)

// spansFrom listens to an edge's spans, one request each.
func spansFrom(t *testing.T, r *running) <-chan api.Spans {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: (&control{edge: r.Edge}).routes()}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+ln.Addr().String()+"/v1/spans", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	lines, over := make(chan api.Spans, 100), make(chan struct{})
	go func() {
		defer close(over)
		defer close(lines)
		defer resp.Body.Close()
		for text := bufio.NewScanner(resp.Body); text.Scan(); {
			var one api.Spans
			if err := json.Unmarshal(text.Bytes(), &one); err != nil {
				t.Error(err)
				return
			}
			select {
			case lines <- one:
			case <-ctx.Done():
				return
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-over; s.Close(); <-served })
	return lines
}

// askTraced sends a request with field lines and returns what the server got of the trace.
func askTraced(t *testing.T, r *running, path, lines string, got <-chan *testkit.Message) (parent, state string) {
	t.Helper()
	c := testkit.Dial(t, r.addr)
	defer c.Close()
	c.Send(wire("GET " + path + " HTTP/1.1\nHost: a\n" + lines + "\n"))
	c.Response("GET")
	m := <-got
	return m.Field("traceparent"), m.Field("tracestate")
}

func TestTraceparent(t *testing.T) {
	got := make(chan *testkit.Message, 1)
	o := testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
		for c.More() {
			got <- c.Request()
			c.Send(wire(ok))
		}
	})
	const theirs = "00-" + aTrace + "-" + aParent
	for _, row := range []struct {
		name, config, path, lines string
		begins                    string // traceparent as the server gets it: what is in front of the span's id
		ends                      string // and what is behind
		state                     string
	}{
		{"none configured", "", "/", "traceparent: what it likes\ntracestate: , ,\n", "what it likes", "", ", ,"},
		{"none configured, none there", "", "/", "", "", "", ""},
		{"begun", "traces: {to: http://x, sample: 100%}", "/", "", "00-", "-03", ""},
		{"begun, and not sampled", "traces: {to: http://x, sample: 0%}", "/", "", "00-", "-02", ""},
		{"passed on", "traces: {to: http://x, sample: 0%}", "/", "traceparent: " + theirs + "-01\ntracestate: a=b\ntracestate: c=d\n", "00-" + aTrace + "-", "-00", "a=b, c=d"},
		{"who is believed samples", "trusted_proxies: [127.0.0.1]\ntraces: {to: http://x, sample: 0%}", "/", "Traceparent: " + theirs + "-01\n", "00-" + aTrace + "-", "-01", ""},
		{"who is believed does not", "trusted_proxies: [127.0.0.1]\ntraces: {to: http://x, sample: 100%}", "/", "traceparent: " + theirs + "-00\n", "00-" + aTrace + "-", "-00", ""},
		{"but a rule does", "trusted_proxies: [127.0.0.1]\ntraces: {to: http://x, rules: [{match: {path: /b/*}, sample: 0%}, {sample: 100%}]}", "/", "traceparent: " + theirs + "-00\n", "00-" + aTrace + "-", "-01", ""},
		{"another rule", "traces: {to: http://x, sample: 100%, rules: [{match: {path: /b/*}, sample: 0%}]}", "/b/c", "", "00-", "-02", ""},
		{"nonsense", "traces: {to: http://x, sample: 0%}", "/", "traceparent: what it likes\ntracestate: a=b\n", "00-", "-02", ""},
		{"two of them", "traces: {to: http://x, sample: 0%}", "/", "traceparent: " + theirs + "-01\nTRACEPARENT: " + theirs + "-01\ntracestate: a=b\n", "00-", "-02", ""},
		{"a state that is none", "traces: {to: http://x, sample: 0%}", "/", "traceparent: " + theirs + "-01\ntracestate: a=b\nTraceState: \"\"\n", "00-" + aTrace + "-", "-00", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			eachBody(t, func(t *testing.T, body loop.Config) {
				r := serveEdge(t, body, onePool("", o.Address)+row.config+"\n")
				parent, state := askTraced(t, r, row.path, row.lines, got)
				if !strings.HasPrefix(parent, row.begins) || !strings.HasSuffix(parent, row.ends) || state != row.state {
					t.Errorf("the server got %q and %q", parent, state)
				}
				if len(row.ends) > 0 && (len(parent) != 55 || strings.Contains(parent, aParent)) || row.begins == "" && parent != "" {
					t.Errorf("the server got %q", parent)
				}
			})
		})
	}
}

// TestSpans: what a request did, and when, is told, and its parts lie within it.
func TestSpans(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		got := make(chan *testkit.Message, 2)
		o := testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
			for c.More() {
				got <- c.Request()
				c.Send(wire("HTTP/1.1 503 No\nContent-Length: 2\nCache-Control: max-age=9\n\nhi"))
			}
		})
		r := serveEdge(t, body, "cache: {memory: 16MB}\ntraces: {to: http://x, sample: 100%}\npools: {p: {servers: ['"+o.Address+"'], retry: {attempts: 0}}}\n"+
			"sites: [{hosts: [a], routes: [{name: all, pool: p, cache: {}}]}]\n")
		lines := spansFrom(t, r)
		asked, _ := askTraced(t, r, "/x?secret=1", "traceparent: 00-"+aTrace+"-"+aParent+"-00\ntracestate: a=b\ntracestate: c=d\n", got)
		one := <-lines
		if len(one.Spans) != 7 {
			t.Fatalf("%d spans: %+v", len(one.Spans), one.Spans)
		}
		root, byName := one.Spans[0], map[string]api.Span{}
		for _, s := range one.Spans {
			byName[s.Name] = s
			if s.Trace != aTrace || s.State != "a=b,c=d" || s.Start < root.Start || s.End > root.End || s.End < s.Start || len(s.Span) != 16 {
				t.Errorf("%+v is not within %+v", s, root)
			}
		}
		if root.Name != "GET all" || root.Kind != "server" || root.Parent != aParent || root.Error != "status 503" || root.Numbers["http.response.status_code"] != 503 ||
			root.Words["weir.pool"] != "p" || root.Words["url.path"] != "/x" || root.Words["weir.cache"] != "miss" || root.Words["weir.cache.why"] == "" ||
			root.Words["client.address"] != "127.0.0.1" || root.Numbers["http.response.body.size"] != 2 {
			t.Errorf("the request is %+v", root)
		}
		server := byName["server p"]
		if server.Kind != "client" || server.Parent != root.Span || asked[36:52] != server.Span {
			t.Errorf("asking the server is %+v; it was told %s", server, asked)
		}
		for _, name := range []string{"connect", "wait"} {
			if byName[name].Parent != server.Span {
				t.Errorf("%s is %+v", name, byName[name])
			}
		}
		for _, name := range []string{"cache", "queue", "body"} {
			if byName[name].Parent != root.Span {
				t.Errorf("%s is %+v", name, byName[name])
			}
		}
		text, err := json.Marshal(one)
		if err != nil || strings.Contains(string(text), "secret") {
			t.Errorf("the query is told: %s, %v", text, err)
		}
		if slow := r.counters().Routes[0].Slow; slow == nil || slow.Trace != aTrace {
			t.Errorf("the exemplar is %+v", slow)
		}
	})
}

// TestSpansGoOver: what nobody has taken when an edge hands over, and what ends there later, is told by the next one.
func TestSpansGoOver(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		text := "traces: {to: http://x, sample: 100%}\nsites: [{hosts: [a], routes: [{name: all, respond: {status: 204}}]}]\n"
		r := serveEdge(t, body, text)
		next, to := beside(t, body, text)
		r.ask("/", 204)
		stays := testkit.Dial(t, r.addr)
		stays.Send(wire("GET / HTTP/1.1\nHost: a\n\n"))
		stays.Response("GET")
		r.quiet()
		if err := r.Retire(to); err != nil {
			t.Fatal(err)
		}
		for range spansFrom(t, r) {
			t.Error("one that has handed over tells something")
		}
		stays.Send(wire("GET / HTTP/1.1\nHost: a\n\n"))
		stays.Response("GET")
		stays.Close()
		r.stop(10 * time.Second)
		lines := spansFrom(t, next)
		for i := range 3 {
			if one, ok := <-lines; !ok || len(one.Spans) != 1 || one.Spans[0].Name != "GET all" {
				t.Fatalf("line %d is %+v, %v", i, one, ok)
			}
		}
	})
}

// TestSpansEnd: who listens hears the last before an edge ends.
func TestSpansEnd(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		r := serveEdge(t, body, "traces: {to: http://x, sample: 100%}\nsites: [{hosts: [a], routes: [{name: all, respond: {status: 204}}]}]\n")
		lines := spansFrom(t, r)
		r.ask("/", 204)
		r.stop(0)
		if one, ok := <-lines; !ok || len(one.Spans) != 1 {
			t.Errorf("the last was %+v, %v", one, ok)
		}
		for one := range lines {
			t.Errorf("and more: %+v", one)
		}
		if code := call(t, &control{edge: r.Edge}, "GET", "/v1/spans"); code != http.StatusServiceUnavailable {
			t.Errorf("one that has ended answers %d", code)
		}
		if code := call(t, &control{edge: r.Edge}, "GET", "/v1/spans?for=ever"); code != http.StatusBadRequest {
			t.Errorf("for ever is answered with %d", code)
		}
	})
}

// TestSpansAreBounded: what nobody takes is dropped, and counted.
func TestSpansAreBounded(t *testing.T) {
	var s stories
	for range maxStories + 3 {
		s.put(&sampled{})
	}
	if all, dropped := s.take(); len(all) != maxStories || dropped != 3 {
		t.Errorf("%d kept, %d dropped", len(all), dropped)
	}
	if all, dropped := s.take(); len(all) != 0 || dropped != 0 {
		t.Errorf("%d kept, %d dropped", len(all), dropped)
	}
	var left spanTelling
	many := make([]api.Spans, maxStories-1)
	left.keep(many)
	left.keep(many[:3])
	left.keep(many[:3])
	all, lost := left.take(), uint64(0)
	for _, one := range all {
		lost += one.Dropped
	}
	if len(all) != maxStories+2 || lost != 5 || len(left.take()) != 0 {
		t.Errorf("%d lines kept, %d lost", len(all), lost)
	}
}

// tracedHandler has a request of eight fields, where traces are configured.
func tracedHandler(sample int) *handler {
	h := &handler{tree: &tree{traces: &tracing{sample: sample}}, l: &local{}}
	for _, name := range []string{"Host", "User-Agent", "Accept", "Accept-Encoding", "Accept-Language", "Cookie", "Sec-Fetch-Mode", "Priority"} {
		h.x.Req.Fields.List = append(h.x.Req.Fields.List, message.Field{ID: message.Lookup([]byte(name)), Name: []byte(name), Value: []byte("value")})
	}
	return h
}

func TestTraceAllocatesNothing(t *testing.T) {
	h, out := tracedHandler(10), make([]byte, 0, 128)
	if n := testing.AllocsPerRun(1000, func() { h.trace(); out = h.appendTrace(out[:0]) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkTrace is what a request pays that is not sampled.
func BenchmarkTrace(b *testing.B) {
	h, out := tracedHandler(0), make([]byte, 0, 128)
	b.ReportAllocs()
	for b.Loop() {
		h.trace()
		out = h.appendTrace(out[:0])
	}
}

// TestTraceInLog: the access log says which trace a request was part of.
func TestTraceInLog(t *testing.T) {
	path := t.TempDir() + "/log"
	r := serveEdge(t, fibers, "log: {access: {to: "+path+"}}\ntraces: {to: http://x}\nsites: [{hosts: [a], routes: [{respond: {status: 204}}]}]\n")
	c := testkit.Dial(t, r.addr)
	c.Send(wire("GET / HTTP/1.1\nHost: a\ntraceparent: 00-" + aTrace + "-" + aParent + "-01\n\n"))
	c.Response("GET")
	c.Close()
	r.quiet()
	r.stop(0)
	text, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(text), `"trace":"`+aTrace+`"`) {
		t.Errorf("the line is %s", text)
	}
}
