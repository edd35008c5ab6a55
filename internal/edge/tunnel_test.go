package edge

import (
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/testkit"
)

const (
	upgrade   = "GET /ws HTTP/1.1\nHost: a\nConnection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Key: x\n\n"
	switching = "HTTP/1.1 101 Switching Protocols\nConnection: upgrade\nUpgrade: websocket\nSec-WebSocket-Accept: y\n\n"
)

// Behind a 101 weir knows nothing of the bytes any more: both ways, what came with the heads included.
func TestTunnel(t *testing.T) {
	eachPool(t, func(t *testing.T, body loop.Config, more string) {
		o := testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
			c.Request()
			c.Send(wire(switching) + "early")
			c.Expect("hasty")
			c.Expect("ping")
			c.Send("pong")
			c.Expect("bye")
			c.Closed() // the client has shut down its side, and hears us still
			c.Send("last words")
		})
		log, file := logged(t)
		r := serveEdge(t, body, log+onePool(more, o.Address))
		c := testkit.Dial(t, r.addr)
		c.Send(wire(upgrade) + "hasty")
		want := "HTTP/1.1 101 Switching Protocols\nSec-WebSocket-Accept: y\nDate: DATE\nVia: 1.1 weir\nX-Request-ID: ID\nConnection: upgrade\nUpgrade: websocket\n\n"
		if got := plain(c.Head()); got != want {
			t.Errorf("the client got\n%s\nwant\n%s", got, want)
		}
		c.Expect("early")
		c.Send("ping")
		c.Expect("pong")
		c.Send("bye")
		c.CloseWrite()
		if got := c.Rest(); got != "last words" {
			t.Errorf("got %q behind the end of our side", got)
		}
		head, _, _ := strings.Cut(plain(o.Got(0)), "\n\n")
		if want := "GET /ws HTTP/1.1\nHost: a\nSec-WebSocket-Key: x\n" + told + "Connection: upgrade\nUpgrade: websocket\nX-Request-ID: ID"; head != want {
			t.Errorf("the server got\n%s\nwant\n%s", head, want)
		}
		l := readLog(t, file, 1)[0]
		if l.Status != 101 || l.Target != "/ws" || l.Cause != "" || l.In != int64(len("hastypingbye")) || l.Out != int64(len("earlyponglast words")) {
			t.Errorf("logged as %+v", l)
		}
		if s := r.Status().Pools[0].Servers[0]; s.Active != 0 || s.Idle != 0 || s.Errors != 0 {
			t.Errorf("left at the server: %+v", s)
		}
	})
}

// However a tunnel ends, both connections go, and the place at the server is free.
func TestTunnelEnds(t *testing.T) {
	for _, row := range []struct {
		name   string
		origin func(c *testkit.Conn)
		client func(c *testkit.Conn)
	}{
		{"the server closes first", func(c *testkit.Conn) {}, func(c *testkit.Conn) { c.Closed(); c.Close() }},
		{"the client closes first", func(c *testkit.Conn) { c.Closed() }, func(c *testkit.Conn) { c.Close() }},
		{"the server resets", func(c *testkit.Conn) { c.Reset() }, func(c *testkit.Conn) { c.Closed() }},
		{"the client resets", func(c *testkit.Conn) { c.Closed() }, func(c *testkit.Conn) { c.Reset() }},
	} {
		t.Run(row.name, func(t *testing.T) {
			eachBody(t, func(t *testing.T, body loop.Config) {
				o := testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
					c.Request()
					c.Send(wire(switching))
					c.Expect("x")
					row.origin(c)
				})
				r := serveEdge(t, body, onePool("", o.Address))
				c := testkit.Dial(t, r.addr)
				c.Send(wire(upgrade) + "x")
				c.Head()
				row.client(c)
				r.quiet()
				if s := r.Status().Pools[0].Servers[0]; s.Active != 0 || s.Idle != 0 {
					t.Errorf("left at the server: %+v", s)
				}
			})
		})
	}
}

// Much in both directions at once.
func TestTunnelCarriesMuch(t *testing.T) {
	const size = 20 << 20
	eachBody(t, func(t *testing.T, body loop.Config) {
		origin := plainOrigin(t, func(c *plainConn, head string) bool {
			fmt.Fprint(c, wire(switching))
			_, _ = io.CopyN(c, c.r, size) // an error shows at the other end
			return false
		})
		r := serveEdge(t, body, onePool("", origin))
		c := dialPlain(t, r.addr)
		fmt.Fprint(c, wire(upgrade))
		go func() { _, _ = io.Copy(c, content(5, size)) }()
		if _, err := c.head(); err != nil {
			t.Fatal(err)
		}
		h := sha256.New()
		if _, err := io.CopyN(h, c.r, size); err != nil || text(h) != sum(content(5, size)) {
			t.Fatalf("another content came back: %v", err)
		}
	})
}

// A server that does not switch answers as always, and the connection is kept.
func TestUpgradeRefused(t *testing.T) {
	eachPool(t, func(t *testing.T, body loop.Config, more string) {
		o := answers(t, "tcp", "HTTP/1.1 426 Upgrade Required\nContent-Length: 2\n\nno")
		r := serveEdge(t, body, onePool(more, o.Address))
		c := testkit.Dial(t, r.addr)
		for range 2 {
			c.Send(wire(upgrade))
			if m := wantStatus(c, 426); m.Body != "no" {
				t.Errorf("got %q", m.Body)
			}
		}
		if n := o.Connections(); n != 1 {
			t.Errorf("%d connections at the server", n)
		}
	})
}

// A server may switch only to what it was asked for (RFC 9110, section 7.8): to know nothing of the bytes any more is too
// much for a word that was not said.
func TestUpgradeToAnother(t *testing.T) {
	for _, fields := range []string{"", "Connection: upgrade\n", "Connection: upgrade\nUpgrade: h2c\n", "Upgrade: websocket\n",
		"Connection: upgrade\nUpgrade: h2c\nUpgrade: websocket\n", "Connection: upgrade\nUpgrade: websocket, h2c\n"} {
		o := answers(t, "tcp", "HTTP/1.1 101 Switching Protocols\n"+fields+"\nbytes")
		r := serveEdge(t, fibers, onePool("", o.Address))
		c := testkit.Dial(t, r.addr)
		c.Send(wire(upgrade))
		wantStatus(c, 502)
		c.Close()
		r.quiet()
		if s := r.Status().Pools[0].Servers[0]; s.Active != 0 || s.Idle != 0 {
			t.Errorf("left at the server: %+v", s)
		}
	}
}
