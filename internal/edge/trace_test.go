package edge

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

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
		for in := bufio.NewReader(resp.Body); ; {
			one, err := api.ReadSpans(in)
			if err != nil {
				if err != io.EOF && ctx.Err() == nil {
					t.Error(err)
				}
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

// readSpans reads them as a collector does.
func readSpans(t *testing.T, one api.Spans) []*traces.Span {
	t.Helper()
	var of traces.ScopeSpans
	if err := proto.Unmarshal(one.Data, &of); err != nil || len(of.Spans) != one.Spans {
		t.Fatalf("%d of %d spans: %v", len(of.Spans), one.Spans, err)
	}
	return of.Spans
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
		all := readSpans(t, one)
		if len(all) != 7 {
			t.Fatalf("%d spans: %+v", len(all), all)
		}
		root, byName := all[0], map[string]*traces.Span{}
		for _, s := range all {
			byName[s.Name] = s
			if hex.EncodeToString(s.TraceId) != aTrace || s.TraceState != "a=b,c=d" || s.StartTimeUnixNano < root.StartTimeUnixNano ||
				s.EndTimeUnixNano > root.EndTimeUnixNano || s.EndTimeUnixNano < s.StartTimeUnixNano || len(s.SpanId) != 8 {
				t.Errorf("%+v is not within %+v", s, root)
			}
		}
		words, numbers := map[string]string{}, map[string]int64{}
		for _, a := range root.Attributes {
			words[a.Key], numbers[a.Key] = a.Value.GetStringValue(), a.Value.GetIntValue()
		}
		if root.Name != "GET all" || root.Kind != traces.Span_SPAN_KIND_SERVER || hex.EncodeToString(root.ParentSpanId) != aParent ||
			root.Status.GetCode() != traces.Status_STATUS_CODE_ERROR || root.Status.Message != "status 503" || numbers["http.response.status_code"] != 503 ||
			words["weir.pool"] != "p" || words["url.path"] != "/x" || words["weir.cache"] != "miss" || words["weir.cache.why"] == "" ||
			words["client.address"] != "127.0.0.1" || words["network.protocol.version"] != "1.1" || words["error.type"] != "status 503" || numbers["http.response.body.size"] != 2 {
			t.Errorf("the request is %+v", root)
		}
		server := byName["server p"]
		if server.GetKind() != traces.Span_SPAN_KIND_CLIENT || !bytes.Equal(server.ParentSpanId, root.SpanId) || asked[36:52] != hex.EncodeToString(server.SpanId) {
			t.Errorf("asking the server is %+v; it was told %s", server, asked)
		}
		for _, name := range []string{"connect", "wait"} {
			if !bytes.Equal(byName[name].GetParentSpanId(), server.GetSpanId()) {
				t.Errorf("%s is %+v", name, byName[name])
			}
		}
		for _, name := range []string{"cache", "queue", "body"} {
			if !bytes.Equal(byName[name].GetParentSpanId(), root.SpanId) {
				t.Errorf("%s is %+v", name, byName[name])
			}
		}
		if bytes.Contains(one.Data, []byte("secret")) {
			t.Errorf("the query is told: %q", one.Data)
		}
		if slow := r.counters().Routes[0].Slow; slow == nil || slow.Trace != aTrace {
			t.Errorf("the exemplar is %+v", slow)
		}
	})
}

// TestSpansOfFragments: a fragment is a part of its page's time, and its server is told so.
func TestSpansOfFragments(t *testing.T) {
	for _, sample := range []string{"100%", "0%"} {
		got := make(chan *testkit.Message, 3)
		o := testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
			for c.More() {
				m := c.Request()
				text := "box"
				if strings.HasPrefix(m.Start, "GET / ") {
					text = `first <esi:include src="/one"/> then <esi:include src="/two"/> last`
				}
				got <- m
				if !page(text, "")(c) {
					return
				}
			}
		})
		r := serveEdge(t, fibers, esiPool(o, "")+"traces: {to: http://x, sample: "+sample+"}\n")
		lines := spansFrom(t, r)
		r.ask("/", 200)
		told := map[string]string{}
		for range 3 {
			m := <-got
			told[strings.Fields(m.Start)[1]] = m.Field("traceparent")
		}
		if sample == "0%" {
			if told["/one"][:35] != told["/"][:35] || told["/one"][36:52] != told["/"][36:52] || !strings.HasSuffix(told["/one"], "-02") {
				t.Errorf("not sampled, servers are told %v", told)
			}
			continue
		}
		var root *traces.Span
		var all []*traces.Span
		for root == nil { // it ends last
			for _, s := range readSpans(t, <-lines) {
				if all = append(all, s); s.Kind == traces.Span_SPAN_KIND_SERVER {
					root = s
				}
			}
		}
		paths := map[string]bool{}
		for _, s := range all {
			if !bytes.Equal(s.TraceId, root.TraceId) {
				t.Errorf("%v is of another trace than %v", s, root)
			}
			path := ""
			for _, a := range s.Attributes {
				if a.Key == "url.path" {
					path = a.Value.GetStringValue()
				}
			}
			if path == "" || s == root {
				continue
			}
			paths[path] = true
			if s.Kind != traces.Span_SPAN_KIND_INTERNAL || !bytes.Equal(s.ParentSpanId, root.SpanId) || s.Status != nil || s.EndTimeUnixNano > root.EndTimeUnixNano {
				t.Errorf("%s is %v", path, s)
			}
			asks := func(x *traces.Span) bool {
				return x.Kind == traces.Span_SPAN_KIND_CLIENT && bytes.Equal(x.ParentSpanId, s.SpanId) && hex.EncodeToString(x.SpanId) == told[path][36:52]
			}
			if !slices.ContainsFunc(all, asks) {
				t.Errorf("%s: none of %v asks its server, which was told %s", path, all, told[path])
			}
		}
		if !paths["/one"] || !paths["/two"] {
			t.Errorf("fragments are %v", paths)
		}
	}
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
		for n := 0; n < 3; {
			one, ok := <-lines
			if !ok {
				t.Fatalf("%d spans went over", n)
			}
			for _, s := range readSpans(t, one) {
				if n++; s.Name != "GET all" {
					t.Errorf("span %d is %v", n, s)
				}
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
		if one, ok := <-lines; !ok || one.Spans != 1 {
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
	var s spans
	one := make([]byte, spansChunk/4)
	for range 4*maxChunks + 3 {
		s.put(one, 2)
	}
	count := func(all []api.Spans) (n int, lost uint64) {
		for _, one := range all {
			n += one.Spans
			lost += one.Dropped
			if len(one.Data) > spansChunk {
				t.Errorf("%d bytes in one piece", len(one.Data))
			}
		}
		return n, lost
	}
	if n, lost := count(s.take(nil)); n != 8*maxChunks || lost != 6 {
		t.Errorf("%d kept, %d dropped", n, lost)
	}
	if all := s.take(nil); len(all) != 0 {
		t.Errorf("%d are there again", len(all))
	}
	var left spanTelling
	many := make([]api.Spans, maxLeft-1)
	for i := range many {
		many[i].Spans = 10
	}
	left.keep(many)
	left.keep(append(many[:3:3], api.Spans{Dropped: 7}))
	if n, lost := count(left.take()); n != 10*maxLeft || lost != 27 {
		t.Errorf("%d spans kept, %d lost", n, lost)
	}
	if all := left.take(); len(all) != 0 {
		t.Errorf("%d are there again", len(all))
	}
}

// TestSpansOfLongRequests: what a client chooses is told up to a length.
func TestSpansOfLongRequests(t *testing.T) {
	o := testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
		for c.More() {
			c.Request()
			c.Send(wire(ok))
		}
	})
	r := serveEdge(t, fibers, onePool("", o.Address)+"traces: {to: http://x, sample: 100%}\n")
	lines := spansFrom(t, r)
	c := testkit.Dial(t, r.addr)
	defer c.Close()
	state := strings.Repeat("tracestate: a="+strings.Repeat("b", 250)+"\n", 9)
	c.Send(wire("GET /" + strings.Repeat("x", 6000) + " HTTP/1.1\nHost: a\ntraceparent: 00-" + aTrace + "-" + aParent + "-00\n" + state + "\n"))
	c.Response("GET")
	one := <-lines
	if all := readSpans(t, one); len(all) != 6 || len(one.Data) > maxToldText+8*maxToldState || len(all[0].TraceState) != 505 {
		t.Errorf("%d spans of %d bytes, %d of state", len(all), len(one.Data), len(all[0].TraceState))
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
