package edge

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/proxyproto"
	"github.com/weirhq/weir/internal/testkit"
)

// tellsWhom is an origin that answers with what it is told of the client.
func tellsWhom(t testing.TB) *testkit.Origin {
	return testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
		for c.More() {
			head := c.Head()
			said := field(head, "X-Forwarded-For") + " by " + field(head, "X-Forwarded-Proto")
			c.Send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(said), said))
		}
	})
}

// field is a field's value in a head.
func field(head, name string) string {
	m := regexp.MustCompile(`(?i)\r\n` + name + `: ([^\r]*)`).FindStringSubmatch(head)
	if m == nil {
		return ""
	}
	return m[1]
}

const believed = "proxy_protocol: {from: [127.0.0.1], within: 300ms}\n"

var (
	far  = netip.MustParseAddrPort("203.0.113.7:4711")
	here = netip.MustParseAddrPort("192.0.2.80:443")
	far6 = netip.MustParseAddrPort("[2001:db8::7]:4711")
	six  = netip.MustParseAddrPort("[2001:db8::80]:443")
)

const askIt = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"

func TestIntroduction(t *testing.T) {
	tlv := string(proxyproto.AppendV2(nil, far, here))
	tlv = tlv[:15] + "\x14" + tlv[16:] + "\x20\x00\x05\x01\x00\x00\x00\x00"
	eachBody(t, func(t *testing.T, body loop.Config) {
		r := serveEdge(t, body, believed+onePool("", tellsWhom(t).Address))
		for name, row := range map[string]struct{ header, whom string }{
			"v1":           {string(proxyproto.AppendV1(nil, far, here)), "203.0.113.7 by http"},
			"v2":           {string(proxyproto.AppendV2(nil, far, here)), "203.0.113.7 by http"},
			"v1, IPv6":     {string(proxyproto.AppendV1(nil, far6, six)), "2001:db8::7 by http"},
			"v2, IPv6":     {string(proxyproto.AppendV2(nil, far6, six)), "2001:db8::7 by http"},
			"v1, unknown":  {"PROXY UNKNOWN\r\n", "127.0.0.1 by http"},
			"v2, a check":  {string(proxyproto.AppendLocal(nil)), "127.0.0.1 by http"},
			"v2, over TLS": {tlv, "203.0.113.7 by https"},
		} {
			t.Run(name, func(t *testing.T) {
				all := row.header + askIt
				for cut := 0; cut <= len(row.header); cut += 1 + len(row.header)/12 {
					c := testkit.Dial(t, r.addr)
					c.Send(all[:cut])
					if cut > 0 {
						testkit.Eventually(t, testkit.Patience, "what has come is read", func() bool { return r.active() > 0 || cut == len(row.header) })
					}
					c.Send(all[cut:])
					for range 2 { // it holds for the whole connection
						if m := c.Response("GET"); m.Body != row.whom {
							t.Errorf("cut at %d: %q, want %q", cut, m.Body, row.whom)
						}
						c.Send(askIt)
					}
					c.Response("GET")
					c.Close()
				}
			})
		}
		if n := r.Status().Strange; n != 0 {
			t.Errorf("%d connections without a good header", n)
		}
	})
}

func TestNoIntroduction(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		r := serveEdge(t, body, believed+onePool("", tellsWhom(t).Address))
		strange := uint64(0)
		for _, row := range []struct {
			name, sends string
			ends        bool // the client's side
			counts      bool
		}{
			{"a request", askIt, false, true},
			{"a broken header", "PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n" + askIt, false, true},
			{"a wrong version", "\r\n\r\n\x00\r\nQUIT\n\x11\x11\x00\x0c" + askIt, false, true},
			{"a header without end", "PROXY UNKNOWN " + strings.Repeat("x", 200), false, true},
			{"a header that stops", "PROXY TCP4 1.2.3", false, true},
			{"a header that breaks off", "PROXY TCP4 1.2.3", true, true},
			{"nothing", "", true, false}, // a balancer that looks whether somebody listens
		} {
			c := testkit.Dial(t, r.addr)
			c.Send(row.sends)
			if row.ends {
				c.CloseWrite()
			}
			if got, err := c.TryResponse("GET"); err == nil {
				t.Errorf("%s is answered by %d", row.name, got.Status)
			}
			if row.counts {
				strange++
			}
			testkit.Eventually(t, testkit.Patience, row.name+" is counted as it should be", func() bool { return r.Status().Strange == strange })
			c.Close()
		}
	})
}

// Who is not named is not believed.
func TestUninvited(t *testing.T) {
	r := serveEdge(t, fibers, "proxy_protocol: {from: [10.0.0.0/8, unix]}\n"+onePool("", tellsWhom(t).Address))
	for _, header := range []string{string(proxyproto.AppendV1(nil, far, here)), string(proxyproto.AppendV2(nil, far, here)), string(proxyproto.AppendLocal(nil))} {
		c := testkit.Dial(t, r.addr)
		c.Send(header + askIt)
		if m := c.Response("GET"); m.Status != 400 {
			t.Errorf("%q is answered by %d", header, m.Status)
		}
		c.Close()
	}
	c := testkit.Dial(t, r.addr)
	c.Send(askIt)
	if m := c.Response("GET"); m.Body != "127.0.0.1 by http" {
		t.Errorf("without a header: %q", m.Body)
	}
	c.Close()
}

// What weir goes by is the client's address, not the balancer's: rules, proxies that are trusted, and a reload takes nothing away.
func TestIntroducedClientCounts(t *testing.T) {
	origin := tellsWhom(t).Address
	r := serveEdge(t, fibers, believed+"trusted_proxies: [203.0.113.0/24]\npools: {p: {servers: ['"+origin+"']}}\n"+
		"sites: [{hosts: ['*'], routes: [{match: {path: /in}, allow: {from: [127.0.0.1]}, pool: p}, {pool: p}]}]\n")
	c := testkit.Dial(t, r.addr)
	c.Send(string(proxyproto.AppendV1(nil, far, here)) + "GET /in HTTP/1.1\r\nHost: h\r\n\r\n")
	if m := c.Response("GET"); m.Status != 403 {
		t.Errorf("somebody from far away gets %d", m.Status)
	}
	c.Send("GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 198.51.100.1\r\n\r\n")
	if m := c.Response("GET"); m.Body != "198.51.100.1, 203.0.113.7 by http" {
		t.Errorf("a trusted proxy behind the balancer: %q", m.Body)
	}
	if err := r.apply(onePool("", origin)); err != nil { // nobody speaks it any more
		t.Fatal(err)
	}
	c.Send(askIt)
	if m := c.Response("GET"); m.Body != "203.0.113.7 by http" {
		t.Errorf("after a reload: %q", m.Body)
	}
	c.Close()
}

// introduction of the server's side: what the first bytes of each connection were, and how many requests came on it.
type guest struct {
	header   proxyproto.Header
	requests int
}

// reception is an origin that expects a header.
func reception(t testing.TB, guests chan<- guest) *testkit.Origin {
	return testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
		g := guest{}
		defer func() { guests <- g }()
		var b []byte
		for n := 0; n == 0; {
			if !c.More() {
				return
			}
			b = append(b, c.Read(1)...)
			var err *proxyproto.Error
			if g.header, n, err = proxyproto.Parse(b); err != nil {
				t.Errorf("%q: %v", b, err)
				return
			}
		}
		for c.More() {
			c.Request()
			g.requests++
			c.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
}

// A kept connection is used again for those of whom the server would be told the same.
func TestSendProxy(t *testing.T) {
	for version, name := range []string{1: "v1", 2: "v2"} {
		if version == 0 {
			continue
		}
		t.Run(name, func(t *testing.T) {
			guests := make(chan guest, 16)
			o := reception(t, guests)
			r := serveEdge(t, fibers, "trusted_proxies: [127.0.0.1]\n"+onePool("send_proxy: "+name, o.Address))
			ask := func(c *testkit.Conn, forwarded string) {
				t.Helper()
				if forwarded != "" {
					forwarded = "X-Forwarded-For: " + forwarded + "\r\n"
				}
				c.Send("GET / HTTP/1.1\r\nHost: h\r\n" + forwarded + "\r\n")
				if m := c.Response("GET"); m.Status != 200 {
					t.Errorf("%d %s", m.Status, m.Body)
				}
			}
			one, two := testkit.Dial(t, r.addr), testkit.Dial(t, r.addr)
			ask(one, "")
			ask(one, "")
			ask(two, "")
			ask(one, "")
			ask(one, "198.51.100.1") // another client by the same connection
			ask(one, "198.51.100.2")
			ask(one, "198.51.100.1")
			ask(one, "2001:db8::1")
			ask(two, "")
			one.Close()
			two.Close()
			r.stop(10 * time.Second)
			got := map[string]int{}
			for range 5 {
				g := <-guests
				if g.header.Kind != proxyproto.TCP || int(g.header.Version) != version {
					t.Errorf("%+v", g.header)
				}
				if d := g.header.Destination.String(); d != r.addr && g.header.Source.Addr().Is4() {
					t.Errorf("it connected to %s, it says, and not to %s", d, r.addr)
				}
				from := g.header.Source.Addr().String()
				if from == "127.0.0.1" && g.header.Source.Port() == 0 || from != "127.0.0.1" && g.header.Source.Port() != 0 {
					t.Errorf("the client's port is %d", g.header.Source.Port())
				}
				got[from] = max(got[from], g.requests)
				if from != "127.0.0.1" && got[from] != g.requests {
					t.Errorf("two connections for %s", from)
				}
			}
			want := map[string]int{"127.0.0.1": 3, "198.51.100.1": 2, "198.51.100.2": 1, "2001:db8::1": 1}
			if fmt.Sprint(got) != fmt.Sprint(want) || o.Connections() != 5 {
				t.Errorf("%v, want %v; %d connections", got, want, o.Connections())
			}
		})
	}
}

// What came in by the protocol goes out by it.
func TestProxyThrough(t *testing.T) {
	guests := make(chan guest, 4)
	r := serveEdge(t, fibers, believed+onePool("send_proxy: v2", reception(t, guests).Address))
	c := testkit.Dial(t, r.addr)
	c.Send(string(proxyproto.AppendV1(nil, far, here)) + askIt)
	c.Response("GET")
	c.Close()
	r.stop(10 * time.Second)
	if g := <-guests; g.header.Source != far || g.header.Destination != here {
		t.Errorf("%+v", g.header)
	}
}

// Checks say that they are.
func TestCheckIntroducesItself(t *testing.T) {
	for _, version := range []string{"v1", "v2"} {
		guests := make(chan guest, 64)
		o := reception(t, guests)
		r := serveEdge(t, fibers, onePool("send_proxy: "+version+", health: {path: /, every: 100ms}", o.Address))
		g := <-guests
		for g.requests == 0 {
			g = <-guests
		}
		if version == "v2" && g.header.Kind != proxyproto.Local || version == "v1" && (g.header.Kind != proxyproto.TCP || g.header.Destination.String() != o.Address) {
			t.Errorf("%s: %+v", version, g.header)
		}
		if s := r.Status().Pools[0].Servers[0]; s.State != "ready" {
			t.Errorf("%+v", s)
		}
		r.stop(10 * time.Second)
	}
}

// A client by a Unix socket has no address, and its server is told so.
func TestSendProxyUnix(t *testing.T) {
	guests := make(chan guest, 4)
	r := serveEdge(t, fibers, onePool("send_proxy: v1", reception(t, guests).Address))
	path := t.TempDir() + "/s"
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := ln.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	r.Offer("unix", path, []*os.File{f})
	if err := r.apply(onePool("send_proxy: v1", reception(t, guests).Address), "unix:"+path); err != nil {
		t.Fatal(err)
	}
	c := testkit.Dial(t, "unix:"+path)
	c.Send(askIt)
	if m := c.Response("GET"); m.Status != 200 {
		t.Error(m.Status)
	}
	c.Close()
	r.stop(10 * time.Second)
	if g := <-guests; g.header.Kind != proxyproto.Unknown {
		t.Errorf("%+v", g.header)
	}
}
