package edge

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/testkit"
)

// ending is a connection that knows that it was ended from here.
type ending struct {
	*testkit.Conn
	ended bool
}

func (e *ending) Close() { e.ended = true; e.Conn.Close() }
func (e *ending) Reset() { e.ended = true; e.Conn.Reset() }

// pair is two servers that know of each other: the n-th request that comes to either is answered by the n-th function.
type pair struct {
	a, b *testkit.Origin
	came atomic.Int64
}

func newPair(t *testing.T, answers ...func(c *ending)) *pair {
	p := &pair{}
	serve := func(_ int, conn *testkit.Conn) {
		c := &ending{Conn: conn}
		for c.More() {
			c.Request()
			n := int(p.came.Add(1)) - 1
			if answers[min(n, len(answers)-1)](c); c.ended {
				return
			}
		}
	}
	p.a, p.b = testkit.ServeOrigin(t, "tcp", serve), testkit.ServeOrigin(t, "tcp", serve)
	return p
}

// idle waits until nobody is at a server.
func idle(t *testing.T, r *running) {
	t.Helper()
	testkit.Eventually(t, testkit.Patience, "nobody is at a server", func() bool {
		for _, s := range r.tree.Load().pools.Status()[0].Servers {
			if s.Active != 0 {
				return false
			}
		}
		return r.active() == 0
	})
}

// The first answer counts, whoever gives it, and the other server's place is given back.
func TestHedge(t *testing.T) {
	var first, second chan struct{} // closed when the first, the second request has come or was dealt with
	answer := func(c *ending) { c.Send(wire(ok)) }
	never := func(c *ending) { c.More() } // until the connection is closed
	for _, row := range []struct {
		name    string
		more    string
		send    string
		answers []func(c *ending)
		status  int
		hedge   string
		retries int
		came    int64
	}{
		{"the second is quicker", "", get, []func(*ending){never, answer}, 200, "won", 0, 2},
		{"HEAD", "", "HEAD / HTTP/1.1\nHost: a\n\n", []func(*ending){never, answer}, 200, "won", 0, 2},
		{"the first is quicker after all", "", get, []func(*ending){
			func(c *ending) { <-second; answer(c) },
			func(c *ending) { close(second); never(c) },
		}, 200, "lost", 0, 2},
		{"the second only fails quickly", "", get, []func(*ending){
			func(c *ending) { <-second; answer(c) },
			func(c *ending) {
				c.Send(wire("HTTP/1.1 500 Oops\nContent-Length: 0\n\n"))
				c.More() // until weir has closed
				close(second)
			},
		}, 200, "lost", 0, 2},
		{"the first dies", "", get, []func(*ending){
			func(c *ending) { <-second; c.Close(); close(first) },
			func(c *ending) { close(second); <-first; answer(c) },
		}, 200, "won", 0, 2},
		{"both die", "", get, []func(*ending){
			func(c *ending) { <-second; c.Reset() },
			func(c *ending) { close(second); c.Reset() },
			answer,
		}, 200, "lost", 1, 3},
		{"both have no time", "timeouts: {first_byte: 200ms}", get, []func(*ending){never, never}, 504, "lost", 0, 2},
		{"never with a body", "", post + "Content-Length: 2\n\nhi", []func(*ending){
			func(c *ending) { time.Sleep(60 * time.Millisecond); answer(c) },
		}, 200, "", 0, 1},
		{"not over what is allowed", "hedge: {after: 10ms, at_most: 1%}", get, []func(*ending){
			func(c *ending) { time.Sleep(60 * time.Millisecond); answer(c) },
		}, 200, "", 0, 1},
		{"not while too little is known", "hedge: p95", get, []func(*ending){
			func(c *ending) { time.Sleep(60 * time.Millisecond); answer(c) },
		}, 200, "", 0, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			eachBody(t, func(t *testing.T, body loop.Config) {
				first, second = make(chan struct{}), make(chan struct{})
				p := newPair(t, row.answers...)
				log, file := logged(t)
				more := row.more
				if !strings.Contains(more, "hedge") {
					more = strings.TrimPrefix(more+", hedge: {after: 10ms, at_most: 100%}", ", ")
				}
				r := serveEdge(t, body, log+onePool(more, p.a.Address, p.b.Address))
				c := testkit.Dial(t, r.addr)
				c.Send(wire(row.send))
				method, _, _ := strings.Cut(row.send, " ")
				if m := c.Response(method); m.Status != row.status {
					t.Fatalf("got %+v", m)
				}
				if l := readLog(t, file, 1)[0]; l.Hedge != row.hedge || l.Retries != row.retries {
					t.Errorf("logged as hedge %q, %d retries", l.Hedge, l.Retries)
				}
				idle(t, r)
				if n := p.came.Load(); n != row.came {
					t.Errorf("%d requests came, want %d", n, row.came)
				}
			})
		})
	}
}

// Nobody is asked twice when there is nobody else to ask: one server, or all others busy.
func TestHedgeNeedsAnother(t *testing.T) {
	slow := func(c *ending) { time.Sleep(60 * time.Millisecond); c.Send(wire(ok)) }
	for _, both := range []bool{false, true} {
		p := newPair(t, slow)
		servers := []string{p.a.Address}
		more := "hedge: {after: 10ms, at_most: 100%}"
		if both {
			servers = append(servers, p.b.Address)
			more += ", max_conn: 1"
		}
		log, file := logged(t)
		r := serveEdge(t, fibers, log+onePool(more, servers...))
		clients := []*testkit.Conn{testkit.Dial(t, r.addr), testkit.Dial(t, r.addr)}
		for range 3 {
			for _, c := range clients {
				c.Send(wire(get))
			}
			for _, c := range clients {
				wantStatus(c, 200)
			}
		}
		for _, l := range readLog(t, file, 6) {
			if l.Hedge != "" && !both {
				t.Errorf("logged as hedge %q", l.Hedge)
			}
		}
		idle(t, r)
	}
}

// With the time left to weir: nothing is hedged while all servers are as usual, and what one slow moment holds up is.
func TestHedgeByItself(t *testing.T) {
	var stuck atomic.Bool
	p := newPair(t, func(c *ending) {
		if stuck.CompareAndSwap(true, false) {
			c.More() // until the connection is closed
			return
		}
		c.Send(wire(ok))
	})
	log, file := logged(t)
	r := serveEdge(t, loop.Config{Loops: 1}, log+onePool("hedge: {at_most: 10%}", p.a.Address, p.b.Address))
	c := testkit.Dial(t, r.addr)
	const n, every = 300, 50
	for i := range n {
		if i >= 100 && i%every == 0 {
			stuck.Store(true)
		}
		c.Send(wire(get))
		wantStatus(c, 200)
	}
	won := 0
	for i, l := range readLog(t, file, n) {
		if l.Hedge == "won" {
			won++
		} else if i >= 100 && i%every == 0 {
			t.Errorf("the request %d was stuck and is logged as %q", i, l.Hedge)
		}
	}
	if extra := p.came.Load() - n; extra > n/10 || won < 4 {
		t.Errorf("%d more requests than clients sent, %d won", extra, won)
	}
	idle(t, r)
}

func BenchmarkHedgeOff(b *testing.B) {
	for _, more := range []string{"", "hedge: p95"} {
		b.Run(fmt.Sprintf("hedge=%v", more != ""), func(b *testing.B) {
			r := serveEdge(b, fibers, onePool(more, steadyOrigin(b), steadyOrigin(b)))
			send := steadyClients(b, r.addr, 4)
			send(100)
			b.ReportAllocs()
			b.ResetTimer()
			send(b.N/4 + 1)
		})
	}
}
