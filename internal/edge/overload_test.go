package edge

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/testkit"
)

// A pool whose servers all fail gets its load and a bounded share on top, not a multiple of it; what is left over is
// answered as the first failure was.
func TestRetryBudget(t *testing.T) {
	for _, row := range []struct {
		name, answer string
		status       int
		detail       string
	}{
		{"no answer", "<close>", 502, "and retry.budget is used up"},
		{"503", "HTTP/1.1 503 Service Unavailable\nContent-Length: 4\n\nbusy", 503, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			a, b := answers(t, "tcp", row.answer), answers(t, "tcp", row.answer)
			log, file := logged(t)
			r := serveEdge(t, loop.Config{Loops: 2}, log+onePool("retry: {on: [connect_error, empty_response, '503'], budget: 10%}", a.Address, b.Address))
			c := testkit.Dial(t, r.addr)
			const n = 500
			for range n {
				c.Send(wire(get))
				wantStatus(c, row.status)
			}
			tries, last := 0, ""
			for _, l := range readLog(t, file, n) {
				tries += 1 + l.Retries
				last = l.Detail
			}
			// 100 a pool in ten seconds are free: 50 of them are this loop's.
			if most := n + n/10 + 50; tries > most || tries < most-20 {
				t.Errorf("%d tries for %d requests, want %d", tries, n, most)
			}
			if !strings.Contains(last, row.detail) {
				t.Errorf("the last one is logged as %q", last)
			}
		})
	}
}

// The breaker: when most fail nobody is sent there, and when it is well again all are.
func TestBreaker(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		var well atomic.Bool
		o := testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
			for c.More() {
				c.Request()
				if !well.Load() {
					c.Send(wire("HTTP/1.1 500 Oops\nContent-Length: 0\n\n"))
					continue
				}
				c.Send(wire(ok))
			}
		})
		log, file := logged(t)
		r := serveEdge(t, body, log+onePool("breaker: {errors: 50%, of: 10, for: 300ms}", o.Address))
		c := testkit.Dial(t, r.addr)
		for range 10 {
			c.Send(wire(get))
			wantStatus(c, 500)
		}
		c.Send(wire(get))
		m := wantStatus(c, 503)
		if after := m.Field("Retry-After"); after != "1" && after != "2" {
			t.Errorf("Retry-After: %q", after)
		}
		all := readLog(t, file, 11)
		if l := all[10]; l.Cause != "breaker_open" || l.Server != "" {
			t.Errorf("logged as %s at %q", l.Cause, l.Server)
		}
		if s := r.tree.Load().pools.Status()[0].Breaker; s != "open" {
			t.Errorf("status says that the breaker is %q", s)
		}
		well.Store(true)
		testkit.Eventually(t, testkit.Patience, "requests are let through again", func() bool {
			c.Send(wire(get))
			return c.Response("GET").Status == 200
		})
		for range 10 {
			c.Send(wire(get))
			wantStatus(c, 200)
		}
		if s := r.tree.Load().pools.Status()[0].Breaker; s != "" {
			t.Errorf("status says that the breaker is %q", s)
		}
	})
}
