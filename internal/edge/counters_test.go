package edge

import (
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/edge/tally"
	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/picture"
	"github.com/weirhq/weir/internal/testkit"
)

// statusOrigin answers each request with the status that its path ends with, and a body of five bytes.
func statusOrigin(t *testing.T) *testkit.Origin {
	return testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
		for c.More() {
			m := c.Request()
			status := m.Start[strings.LastIndexByte(m.Start[:strings.LastIndexByte(m.Start, ' ')], '/')+1:][:3]
			c.Send(wire("HTTP/1.1 " + status + " As asked\nContent-Length: 5\n\nhello"))
		}
	})
}

// ask has a path answered with a status, once, and returns when it was counted.
func (r *running) ask(path string, status int) {
	r.t.Helper()
	c := testkit.Dial(r.t, r.addr)
	c.Send(wire("GET " + path + " HTTP/1.1\nHost: a\nConnection: close\n\n"))
	if m := c.Response("GET"); m.Status != status {
		r.t.Errorf("%s was answered with %d, want %d", path, m.Status, status)
	}
	c.Close()
	r.quiet()
}

func (r *running) counters() api.Counters {
	r.t.Helper()
	c, err := r.Counters(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

func deadAddress(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// TestCounters: what happened is what is told, by route, pool and server, and a reload forgets nothing.
func TestCounters(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		o, dead := statusOrigin(t), deadAddress(t)
		text := "cache: {memory: 16MB}\npools:\n  p: {servers: ['" + o.Address + "', '" + dead + "'], queue: {size: 7}}\n  none: {servers: ['" + dead + "'], retry: {attempts: 0}}\n" +
			"sites: [{hosts: [a], routes: [{name: gone, match: {path: /gone/*}, pool: none}, {name: kept, match: {path: /kept/*}, pool: p, cache: {default_ttl: 60s}}, {name: rest, pool: p}]}]\n"
		r := serveEdge(t, body, text)
		for range 4 {
			r.ask("/a/200", 200)
		}
		r.ask("/a/404", 404)
		r.ask("/a/500", 500)
		r.ask("/gone/200", 502)
		r.ask("/kept/200", 200)
		r.ask("/kept/200", 200)
		r.check(o.Address, dead)
		if err := r.apply(text + "# another revision\n"); err != nil {
			t.Fatal(err)
		}
		r.check(o.Address, dead)
		if c := r.counters(); c.Revision != 2 || c.Version != 2 {
			t.Errorf("revision %d, version %d", c.Revision, c.Version)
		}
	})
}

func (r *running) check(alive, dead string) {
	t := r.t
	t.Helper()
	c := r.counters()
	if len(c.Routes) != 3 || len(c.Pools) != 2 || len(c.Loops) != 2 || c.Cache == nil || len(c.Epochs) != 1 {
		t.Fatalf("%d routes, %d pools, %d loops, cache %v, epochs %v", len(c.Routes), len(c.Pools), len(c.Loops), c.Cache, c.Epochs)
	}
	gone, kept, rest := c.Routes[0], c.Routes[1], c.Routes[2]
	if gone.Site != "a" || gone.Route != "gone" || gone.Pool != "none" || gone.Requests != 1 || gone.Status[5] != 1 || gone.Causes["connect_error"] != 1 {
		t.Errorf("gone: %+v", gone)
	}
	if rest.Requests != 6 || rest.Status != [6]uint64{0, 0, 4, 0, 1, 1} || rest.Out != 30 || rest.Time.Count() != 6 || len(rest.Causes) != 0 {
		t.Errorf("rest: %+v", rest)
	}
	if rest.Slow == nil || len(rest.Slow.ID) != 22 || rest.Slow.Took <= 0 {
		t.Errorf("the slowest is %+v", rest.Slow)
	}
	if kept.Cache[journal.Miss] != 1 || kept.Cache[journal.Hit] != 1 || kept.Saved != 5 || len(kept.Whys) != 1 || kept.Whys["uri-miss"] != 1 {
		t.Errorf("kept: cache %v, saved %d, whys %v", kept.Cache, kept.Saved, kept.Whys)
	}
	if c.Counts.Requests != 9 || c.Counts.Status != [6]uint64{0, 0, 6, 0, 1, 2} {
		t.Errorf("in all: %+v", c.Counts)
	}
	p := c.Pools[0]
	well, ill := p.Members[0], p.Members[1]
	if well.Address != alive || ill.Address != dead {
		well, ill = ill, well
	}
	if well.Status != [6]uint64{0, 0, 5, 0, 1, 1} || well.Failures["server_error"] != 1 || well.Errors != 0 || well.FirstByte.Count() != 7 {
		t.Errorf("the well one: %+v", well)
	}
	if well.Connects+well.Reused != 7 || well.Connects == 0 || well.ActiveMax != 1 || well.Weight != 1 || well.In == 0 || well.Out <= 35 {
		t.Errorf("the well one: %d connects, %d reused, %d at a time, weight %d, %d bytes in, %d out", well.Connects, well.Reused, well.ActiveMax, well.Weight, well.In, well.Out)
	}
	if ill.Errors == 0 || ill.Failures["connect_error"] != ill.Errors || ill.Downs == 0 || ill.Connects != 0 {
		t.Errorf("the ill one: %+v", ill)
	}
	if p.Retries != ill.Errors || p.Redispatch != p.Retries || rest.Retries+kept.Retries != p.Retries {
		t.Errorf("%d retries, %d to other servers, %d and %d of the routes, %d errors", p.Retries, p.Redispatch, rest.Retries, kept.Retries, ill.Errors)
	}
	if p.Size != 7 || p.Sum.Requests != 7+ill.Requests || p.Sum.Errors != ill.Errors || p.Sum.FirstByte.Count() != 7 || p.Sum.Status != [6]uint64{ill.Errors, 0, 5, 0, 1, 1} {
		t.Errorf("the pool: size %d, sum %+v", p.Size, p.Sum)
	}
}

// TestCountersWithoutRoute: requests that come to nothing are counted where they belong, and sessions of TCP at their address.
func TestCountersWithoutRoute(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		r := serveEdge(t, body, "sites: [{hosts: [b], routes: [{respond: {status: 204}}]}]\n")
		r.ask("/", 404)
		c := r.counters()
		if c.Causes["no_site"] != 1 || len(c.Causes) != 1 || c.Routes[0].Requests != 0 || c.Counts.Status[4] != 1 {
			t.Errorf("%v, route %+v, in all %+v", c.Causes, c.Routes[0], c.Counts)
		}
		o := testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) { c.Send("hello"); c.Expect("bye"); c.Close() })
		r.applyTCP("pool: db", "pools: {db: {protocol: tcp, servers: ['"+o.Address+"']}}\n", nil)
		conn := testkit.Dial(t, r.addr)
		conn.Expect("hello")
		conn.Send("bye")
		conn.Rest()
		conn.Close()
		testkit.Eventually(t, testkit.Patience, "the session is counted", func() bool { return r.counters().TCP[0].Requests == 1 })
		s := r.counters().TCP[0]
		if s.Route != r.addr || s.Pool != "db" || s.In != 3 || s.Out != 5 || s.Time.Count() != 1 || s.Status[2] != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// beside runs another edge with the same configuration, which is called at a socket.
func beside(t *testing.T, body loop.Config, text string) (r *running, socket string) {
	e, err := start(body)
	if err != nil {
		t.Fatal(err)
	}
	r = &running{Edge: e, t: t} // that it leaves nothing behind is seen to by the edge beside which it runs
	t.Cleanup(func() { r.stop(10 * time.Second) })
	r.addr = r.offer()
	if err := r.apply(text); err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(t.TempDir(), "edge.sock")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: (&control{edge: r.Edge, retire: make(chan time.Duration, 1)}).routes()}
	done := make(chan error, 1)
	go func() { done <- s.Serve(ln) }()
	t.Cleanup(func() { s.Close(); <-done })
	return r, socket
}

// TestCountersGoOver: from edge to edge nothing is lost and nothing counts twice, whoever is asked and however often it is told.
func TestCountersGoOver(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		o := statusOrigin(t)
		text := onePool("", o.Address)
		a := serveEdge(t, body, text)
		b, toB := beside(t, body, text)
		third, toThird := beside(t, body, text)
		m := picture.NewMaker("node", 1, picture.Book{}, time.Now())
		now := time.Now()
		want := func(of *running, requests uint64) {
			t.Helper()
			c := of.counters()
			p := m.Make(now, picture.Told{Edge: &c})
			if n := len(p.Pools[0].Servers); n != 1 {
				t.Fatalf("%d servers", n)
			}
			s := p.Pools[0].Servers[0]
			if p.Total.Requests != requests || p.Routes[0].Requests != requests || p.Routes[0].Time.Count() != requests || s.Requests != requests ||
				s.Status[2] != requests || s.FirstByte.Count() != requests || p.Pools[0].Requests != requests {
				t.Errorf("in all %d, route %d, server %d, its 2xx %d, pool %d; want %d", p.Total.Requests, p.Routes[0].Requests, s.Requests, s.Status[2],
					p.Pools[0].Requests, requests)
			}
		}
		stays := testkit.Dial(t, a.addr) // a connection that the first edge has to the end
		again := func(requests int) {
			for range requests {
				stays.Send(wire("GET /200 HTTP/1.1\nHost: a\n\n"))
				stays.Response("GET")
			}
			a.quiet()
		}
		again(3)
		want(a, 3)
		b.ask("/200", 200) // it could be so: it was told to serve before it was told what came before
		want(b, 4)
		if err := a.Retire(toB); err != nil {
			t.Fatal(err)
		}
		want(b, 4)
		want(a, 4) // it passes the question on
		again(1)
		a.bequeath()
		want(b, 5)
		b.ask("/200", 200)
		want(b, 6)
		if err := b.Retire(toThird); err != nil {
			t.Fatal(err)
		}
		want(third, 6)
		a.bequeath() // to b, as when it was called before the socket was another's
		b.bequeath()
		third.ask("/200", 200)
		want(third, 7)
		if st := third.Status(); st.Requests != 7 || st.Pools[0].Servers[0].Requests != 7 {
			t.Errorf("the status has %d requests, %d of the server", st.Requests, st.Pools[0].Servers[0].Requests)
		}
		// One that knows nothing of whom the first edge told refuses, and is not asked again.
		if got := third.Inherit(api.Inherit{Heir: "somebody", Words: []api.Counters{a.own()}}); got.Heir != "" {
			t.Errorf("words that another one has were taken by %q", got.Heir)
		}
		want(third, 7)
		stays.Close()
	})
}

// TestCountersBeforeState: an edge that serves nothing yet says so, rather than that there is nothing.
func TestCountersBeforeState(t *testing.T) {
	e, err := start(fibers)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := e.Counters(t.Context()); err == nil {
		t.Errorf("it tells %+v", c)
	}
	if err := e.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestManyInheritances: an edge that followed a hundred others says the right sum, and keeps few words apart.
func TestManyInheritances(t *testing.T) {
	var n inheritance
	for i := range 100 {
		n.take([]api.Counters{{Epochs: []string{fmt.Sprint(i)}, At: 1, Counts: api.Counts{Requests: 2}, Routes: []api.RouteCounters{{Site: "a", Requests: 2}}}})
	}
	n.take([]api.Counters{{Epochs: []string{"99"}, At: 2, Counts: api.Counts{Requests: 3}}, {Epochs: []string{"98"}, At: 0, Counts: api.Counts{Requests: 9}}, {}})
	c := api.Counters{Routes: []api.RouteCounters{{Site: "a"}}}
	n.addTo(&c)
	if c.Counts.Requests != 201 || len(n.all()) > maxWords || len(c.Epochs) > 2*maxWords || c.Epochs[0] != "99" {
		t.Errorf("%d requests in %d words of %v", c.Counts.Requests, len(n.all()), c.Epochs)
	}
	if c.Routes[0].Requests != 198 { // the newest word of the last has none
		t.Errorf("%d of the route", c.Routes[0].Requests)
	}
}

// TestVerdictsGoOver: a new edge knows from its first request on which servers are ill.
func TestVerdictsGoOver(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		o := statusOrigin(t)
		sick := testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
			for c.More() {
				if m := c.Request(); strings.Contains(m.Start, "/health") {
					c.Send(wire("HTTP/1.1 503 Ill\nContent-Length: 0\n\n"))
				} else {
					c.Send(wire("HTTP/1.1 500 Ill\nContent-Length: 0\n\n"))
				}
			}
		})
		text := onePool("health: {path: /health/200, every: 1h, fast: 50ms}", o.Address, sick.Address)
		state := func(r *running) (all string) {
			for _, s := range r.Status().Pools[0].Servers {
				all += s.State + " " + s.Why + ";"
			}
			return all
		}
		a := serveEdge(t, body, text)
		testkit.Eventually(t, testkit.Patience, "the ill one is found", func() bool { return state(a) == "ready ;down check fails;" })
		// This one would look for itself in an hour.
		b, toB := beside(t, body, strings.Replace(text, "fast: 50ms", "fast: 1h", 1))
		if err := a.Retire(toB); err != nil {
			t.Fatal(err)
		}
		if got := state(b); got != "ready ;down check fails;" {
			t.Errorf("the next edge takes them for %s", got)
		}
		before := a.counters().Pools[0]
		for range 10 {
			b.ask("/200", 200)
		}
		after := a.counters().Pools[0]
		if before.Members[1].CheckFail == 0 || after.Members[1].Downs == 0 || after.Members[1].Requests != 0 {
			t.Errorf("before %+v, after %+v", before.Members[1], after.Members[1])
		}
	})
}

// TestWhysHaveWords: each reason to ask a server has a word of Cache-Status, and one place.
func TestWhysHaveWords(t *testing.T) {
	for i := range numWhys {
		if w := whyWord(i); w == "" || w == "other" && i != 0 && i != whyReason && i != whyPass && i != whyCause {
			t.Errorf("why %d is called %q", i, w)
		}
	}
	if whyWord(whyReason-1) != "stale" || whyWord(whyNote-1) != "cookie" || whyWord(whyCause-1) != noteIfError || whyWord(whyPass-1) != "other-vary" {
		t.Error("the words are not where they should be")
	}
}

// large is a configuration of many pools and routes.
func large(pools, servers, routes int) string {
	var b strings.Builder
	b.WriteString("pools:\n")
	for i := range pools {
		fmt.Fprintf(&b, "  p%d: {servers: [", i)
		for j := range servers {
			fmt.Fprintf(&b, "'127.0.%d.%d:1', ", i, j+1)
		}
		b.WriteString("]}\n")
	}
	b.WriteString("sites:\n- hosts: ['*']\n  routes:\n")
	for i := range routes {
		fmt.Fprintf(&b, "  - {name: r%d, match: {path: /r%d/*}, pool: p%d}\n", i, i, i%pools)
	}
	return b.String()
}

// BenchmarkCounters tells 100 pools of 10 servers and 1,000 routes, all of which were used, as the desk asks it, once a second.
func BenchmarkCounters(b *testing.B) {
	r := serveEdge(b, fibers, large(100, 10, 1000))
	r.onLoops(func(l *local) {
		j := journal.Journal{Status: 200, Out: 1024}
		for i := range 1000 {
			for k := range 30 {
				l.sheet.Route(i).Ended(&j, time.Duration(k*k)*time.Millisecond/3, l.loop.Wall(), []byte("0123456789abcdef012345"), nil)
			}
		}
	})
	b.ReportAllocs()
	w := &discarding{}
	routes := (&control{edge: r.Edge}).routes()
	req, err := http.NewRequestWithContext(b.Context(), "GET", "/v1/counters", http.NoBody)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		w.n = 0
		routes.ServeHTTP(w, req)
	}
	b.ReportMetric(float64(w.n), "bytes")
}

// BenchmarkCountersPiece is what one piece of that takes a loop: for so long its requests wait.
func BenchmarkCountersPiece(b *testing.B) {
	var s tally.Sheet
	j := journal.Journal{Status: 200}
	for i := range 1000 {
		for k := range 30 {
			s.Route(i).Ended(&j, time.Duration(k)*time.Millisecond, time.Unix(1, 0), []byte("0123456789abcdef012345"), nil)
		}
	}
	var to [tallyPiece]tally.Route
	b.ReportAllocs()
	for at := 0; b.Loop(); at = (at + tallyPiece) % (1000 - tallyPiece) {
		for i := range to {
			to[i] = *s.Look(at + i)
		}
	}
}

// discarding is an answer that nobody reads.
type discarding struct{ n int }

func (d *discarding) Header() http.Header         { return http.Header{} }
func (d *discarding) WriteHeader(int)             {}
func (d *discarding) Write(p []byte) (int, error) { d.n += len(p); return len(p), nil }
