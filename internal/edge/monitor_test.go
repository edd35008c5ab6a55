package edge

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/testkit"
)

// TestMonitor: balancers are told whether the site's pools have servers and whether weir is stopping; what they ask is neither counted nor logged, but
// what is refused is.
func TestMonitor(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		file := filepath.Join(t.TempDir(), "log")
		r := serveEdge(t, body, `pools: {a: {servers: ['127.0.0.1:1']}, b: {servers: ['127.0.0.1:1'], backup: a}, c: {servers: ['127.0.0.1:1']}}
sites:
  - hosts: [a.example]
    routes: [{match: {path: /-/live}, monitor: live}, {match: {path: /-/ready}, monitor: ready}, {match: {path: /b/*}, pool: b}, {pool: a}]
  - hosts: [c.example]
    routes: [{match: {path: /x}, monitor: ready, allow: {from: [10.0.0.0/8]}}, {match: {path: /-/ready}, monitor: ready}, {pool: c}]
log: {access: {to: `+file+`}}
`)
		hand := func(pools ...string) {
			var hs []api.Hand
			for _, p := range pools {
				hs = append(hs, api.Hand{Pool: p, Server: "127.0.0.1:1", State: "maint"})
			}
			r.tree.Load().pools.SetHands(hs)
		}
		ask := func(host, path, want string) {
			t.Helper()
			c := testkit.Dial(t, r.addr)
			defer c.Close()
			c.Send(wire("GET " + path + " HTTP/1.1\nHost: " + host + "\n\n"))
			if m := c.Response("GET"); m.Start+" | "+strings.TrimSpace(m.Body) != want || m.Field("Cache-Control") != "no-store" {
				t.Errorf("%s%s: %s | %s, want %s", host, path, m.Start, m.Body, want)
			}
		}
		const ready, not = "HTTP/1.1 200 OK | ready", "HTTP/1.1 503 Service Unavailable | not ready"
		ask("a.example", "/-/live", "HTTP/1.1 200 OK | live")
		ask("a.example", "/-/ready", ready)
		hand("b") // a stands in for it
		ask("a.example", "/-/ready", ready)
		hand("a")
		ask("a.example", "/-/ready", not)
		ask("a.example", "/-/live", "HTTP/1.1 200 OK | live")
		ask("c.example", "/-/ready", ready) // another site's pools are no matter
		hand()
		ask("a.example", "/-/ready", ready)

		if n := r.Status().Requests; n != 0 {
			t.Errorf("%d requests were counted", n)
		}
		c := testkit.Dial(t, r.addr)
		defer c.Close()
		c.Send(wire("GET /x HTTP/1.1\nHost: c.example\n\n"))
		if m := c.Response("GET"); !strings.Contains(m.Start, "403") {
			t.Errorf("who is not allowed: %s", m.Start)
		}
		testkit.Eventually(t, testkit.Patience, "the refused one is counted", func() bool { return r.Status().Requests == 1 })

		// A connection that is kept is told by the edge that stops; the edge that another one follows speaks for that one.
		r.stopping.Store(true)
		c.Send(wire("GET /-/ready HTTP/1.1\nHost: c.example\n\n"))
		if m := c.Response("GET"); !strings.Contains(m.Start, "503") {
			t.Errorf("while it stops: %s", m.Start)
		}
		r.stopping.Store(false)
		d := testkit.Dial(t, r.addr)
		defer d.Close()
		d.Send(wire("GET /-/ready HTTP/1.1\nHost: c.example\n\n"))
		d.Response("GET")
		r.successor.Store(&successor{})
		r.stopping.Store(true)
		d.Send(wire("GET /-/ready HTTP/1.1\nHost: c.example\n\n"))
		if m := d.Response("GET"); !strings.Contains(m.Start, "200") {
			t.Errorf("while another takes over: %s", m.Start)
		}
		r.successor.Store(nil)
		r.stop(testkit.Patience)
		text, err := os.ReadFile(file)
		if err != nil || strings.Count(string(text), "\n") != 1 || !strings.Contains(string(text), `"status":403`) {
			t.Errorf("the log has %q, %v", text, err)
		}
	})
}
