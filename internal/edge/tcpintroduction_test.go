package edge

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/proxyproto"
	"github.com/weirhq/weir/internal/testkit"
)

// Sessions of TCP begin with the header like requests do, and it goes on to their servers.
func TestTCPIntroduction(t *testing.T) {
	origin := testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
		var b []byte
		for n := 0; n == 0; {
			if !c.More() {
				return
			}
			b = append(b, c.Read(1)...)
			var h proxyproto.Header
			var err *proxyproto.Error
			if h, n, err = proxyproto.Parse(b); err != nil {
				t.Errorf("%q: %v", b, err)
				return
			}
			if n > 0 {
				c.Send(h.Source.String() + " to " + h.Destination.String() + "\n")
			}
		}
		c.Send("said " + c.Read(4))
	})
	address := testkit.FreeAddress(t)
	text := "pools: {db: {protocol: tcp, servers: ['" + origin.Address + "'], send_proxy: v2}}\n" +
		"tcp: [{listen: '" + address + "', pool: db, from: [203.0.113.0/24]}]\n"
	r := serveEdge(t, fibers, onePool("", origin.Address))
	ln, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	offerFile(t, r, address, ln.(*net.TCPListener))
	if err := r.apply(believed + text); err != nil {
		t.Fatal(err)
	}
	header := string(proxyproto.AppendV1(nil, far, here))
	for cut := 0; cut <= len(header)+2; cut += 7 {
		c := testkit.Dial(t, address)
		c.Send((header + "ping")[:cut])
		c.Send((header + "ping")[cut:])
		if got, err := io.ReadAll(c.Raw()); string(got) != "203.0.113.7:4711 to 192.0.2.80:443\nsaid ping" || err != nil {
			t.Errorf("cut at %d: %q, %v", cut, got, err)
		}
		c.Close()
	}
	for _, bad := range []string{"ping", "PROXY TCP4 1.2", "PROXY UNKNOWN\r\n", string(proxyproto.AppendV1(nil, here, here))} { // the last two may not come in
		c := testkit.Dial(t, address)
		c.Send(bad)
		if got, _ := io.ReadAll(c.Raw()); len(got) != 0 {
			t.Errorf("%q is answered: %q", bad, got)
		}
		c.Close()
	}
	if n := r.Status().Strange; n != 2 {
		t.Errorf("%d connections without a good header", n)
	}
	r.stop(10 * time.Second)
}

func offerFile(t *testing.T, r *running, address string, ln *net.TCPListener) {
	t.Helper()
	f, err := ln.File()
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	r.Offer("tcp", address, append(r.sockets["tcp "+address], f))
}
