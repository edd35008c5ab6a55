package edge

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/testkit"
)

// The field by which an app asks for less is heeded, and not for the client.
func TestAgentFieldIsNotForTheClient(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		origin := testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
			for c.More() {
				c.Request()
				c.Send(wire("HTTP/1.1 200 OK\nX-Load: 25%\nX-Other: b\nx-load: 30%\nContent-Length: 2\n\nhi"))
			}
		})
		r := serveEdge(t, body, onePool("agent: X-Load", origin.Address))
		c := testkit.Dial(t, r.addr)
		c.Send(wire(get))
		m := c.Response("GET")
		if m.Status != 200 || m.Has("X-Load") || !m.Has("X-Other") {
			t.Errorf("%q", m.Lines)
		}
		testkit.Eventually(t, 10*time.Second, "the share counts", func() bool {
			share := r.Status().Pools[0].Servers[0].Share
			return share != nil && *share == 250
		})
	})
}

// A GET that waits at a server that turns out to hang goes to another; a POST there does not.
func TestDeserted(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		hang := make(chan struct{})
		defer close(hang)
		var met atomic.Int64
		bad := testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
			if !c.More() {
				return
			}
			if q := c.Request(); strings.Contains(q.Start, "/alive") {
				c.Send(wire("HTTP/1.1 500 Oh\nContent-Length: 0\n\n"))
				return
			}
			met.Add(1)
			<-hang
		})
		good := testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
			for c.More() {
				c.Request()
				c.Send(wire(ok))
			}
		})
		const more = "balance: round_robin, health: {path: /alive, every: 10s, fast: 2s, fall: 2}, timeouts: {first_byte: 6s}"
		body.Loops = 1
		r := serveEdge(t, body, onePool(more, bad.Address, good.Address))
		conns := make([]*testkit.Conn, 8)
		began := time.Now()
		for i := range conns {
			conns[i] = testkit.Dial(t, r.addr)
			if i < 4 {
				conns[i].Send(wire(get))
			} else {
				conns[i].Send(wire(post + "Content-Length: 0\n\n"))
			}
		}
		late := 0
		for i, c := range conns {
			switch m := c.Response([]string{"GET", "POST"}[i/4]); {
			case i < 4 && m.Status != 200:
				t.Errorf("a GET got %d after %v", m.Status, time.Since(began))
			case m.Status == 504:
				late++
			case m.Status != 200:
				t.Errorf("a POST got %d", m.Status)
			}
		}
		if met.Load() < 2 || late == 0 {
			t.Errorf("%d requests met the server that hangs, %d POSTs of them: nothing was tested", met.Load(), late)
		}
	})
}

// A server learns that its client has left, and is not asked again elsewhere. One that goes on keeps its place taken, and who only
// closed his sending side gets his response.
func TestClientLeaves(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		came := make(chan struct{}, 8)
		var answer atomic.Bool
		origin := testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
			c.Request()
			came <- struct{}{}
			c.Closed()
			if answer.Load() {
				c.Send(wire(ok))
			}
		})
		log, file := logged(t)
		r := serveEdge(t, body, log+onePool("", origin.Address))
		c := testkit.Dial(t, r.addr)
		c.Send(wire(get))
		<-came
		c.Close()
		idle(t, r)
		if l := readLog(t, file, 1)[0]; l.Cause != "client_gone" || l.Retries != 0 {
			t.Errorf("%+v", l)
		}
		answer.Store(true)
		c = testkit.Dial(t, r.addr)
		c.Send(wire(get))
		<-came
		c.CloseWrite()
		if m := c.Response("GET"); m.Status != 200 {
			t.Errorf("%+v", m)
		}
		if len(came) != 0 || r.Status().Pools[0].Servers[0].Errors != 0 {
			t.Error("it was asked again, or counts as an error")
		}
	})
}
