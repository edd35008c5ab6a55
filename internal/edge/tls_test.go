package edge

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/testkit"
)

// secureOrigin is net/http behind TLS: as good a stranger as any.
type secureOrigin struct {
	*httptest.Server
	conns   atomic.Int64
	resumed atomic.Int64
}

func serveTLS(t testing.TB, cfg *tls.Config, h http.HandlerFunc) *secureOrigin {
	t.Helper()
	o := &secureOrigin{}
	o.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS.DidResume {
			o.resumed.Add(1)
		}
		h(w, r)
	}))
	o.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	o.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			o.conns.Add(1)
		}
	}
	o.TLS = cfg
	o.StartTLS()
	t.Cleanup(o.Close)
	return o
}

func (o *secureOrigin) address() string { return o.Listener.Addr().String() }

func TestTLSToServers(t *testing.T) {
	a := testkit.NewAuthority(t)
	cert, key := a.Issue("app", "app.test", nil)
	large := bytes.Repeat([]byte("0123456789abcdef"), 3<<16)
	o := serveTLS(t, a.Server(cert, key, false), func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/large":
			w.Write(large)
		case "/echo":
			b, _ := io.ReadAll(r.Body) // all of it first: else it closes the connection after its answer
			w.Write(b)
		case "/close":
			w.Header().Set("Connection", "close")
			io.WriteString(w, "last")
		case "/upgrade":
			c, b, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
			io.Copy(c, b)
		default:
			fmt.Fprintf(w, "sni=%s alpn=%s host=%s", r.TLS.ServerName, r.TLS.NegotiatedProtocol, r.Host)
		}
	})
	eachBody(t, func(t *testing.T, body loop.Config) {
		for _, buffers := range []string{"buffer: true", "buffer: false", "buffer: {requests: true, responses: true, memory: 64KiB}"} {
			t.Run(buffers, func(t *testing.T) {
				r := serveEdge(t, body, onePool("tls: {ca: "+a.CA+", server_name: app.test}, timeouts: {connect: 10s}, "+buffers, o.address()))
				before := o.conns.Load()
				c := testkit.Dial(t, r.addr)
				defer c.Close()
				ask := func(method, path string, more string) *testkit.Message {
					t.Helper()
					c.Send(method + " " + path + " HTTP/1.1\r\nHost: h.test\r\n" + more)
					return c.Response(method)
				}
				for range 3 {
					if m := ask("GET", "/", "\r\n"); m.Body != "sni=app.test alpn=http/1.1 host=h.test" {
						t.Errorf("%d %q", m.Status, m.Body)
					}
				}
				if m := ask("GET", "/large", "\r\n"); m.Body != string(large) {
					t.Errorf("%d bytes of %d", len(m.Body), len(large))
				}
				if m := ask("POST", "/echo", fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(large), large)); m.Body != string(large) {
					t.Errorf("%d bytes of %d came back", len(m.Body), len(large))
				}
				if m := ask("POST", "/echo", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"); m.Body != "hello" {
					t.Errorf("%q", m.Body)
				}
				if m := ask("GET", "/close", "\r\n"); m.Body != "last" {
					t.Errorf("%q", m.Body)
				}
				if n := o.conns.Load() - before; n != 1 {
					t.Errorf("%d connections for what comes one after the other", n)
				}
				c.Send("GET /upgrade HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
				if head := c.Head(); !strings.HasPrefix(head, "HTTP/1.1 101 ") {
					t.Fatal(head)
				}
				for range 3 {
					c.Send("ping")
					c.Expect("ping")
				}
			})
		}
	})
	if o.resumed.Load() == 0 {
		t.Error("no session was resumed")
	}
}

// Servers that cannot be trusted get nothing; the next one is asked, whatever the method, and the log has one line.
func TestTLSRefused(t *testing.T) {
	a := testkit.NewAuthority(t)
	stranger := testkit.NewAuthority(t)
	cert, key := a.Issue("app", "app.test", nil)
	served := func(cfg *tls.Config) string {
		return serveTLS(t, cfg, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "bad") }).address()
	}
	issued := func(by *testkit.Authority, name, host string, change func(*x509.Certificate)) *tls.Config {
		cert, key := by.Issue(name, host, change)
		return a.Server(cert, key, false)
	}
	selfCert, selfKey := a.IssueSelf("self", "app.test")
	raw := func(serve func(c net.Conn)) string {
		return testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
			if c.More() {
				c.Read(1)
				serve(rawConn{c})
			}
		}).Address
	}
	old := a.Server(cert, key, false)
	old.MaxVersion = tls.VersionTLS11
	old.MinVersion = tls.VersionTLS10
	mutual12 := a.Server(cert, key, true)
	mutual12.MaxVersion = tls.VersionTLS12
	good := serveTLS(t, a.Server(cert, key, false), func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }).address()
	for name, row := range map[string]struct{ address, why string }{
		"expired":             {served(issued(a, "old", "app.test", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })), "TLS: its certificate has expired on "},
		"not yet":             {served(issued(a, "early", "app.test", func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) })), "TLS: its certificate is not in force before "},
		"another name":        {served(issued(a, "other", "other.test", nil)), "TLS: its certificate is for other.test, not for app.test"},
		"another authority":   {served(issued(stranger, "app", "app.test", nil)), "TLS: its certificate is signed by an authority that is not trusted (CN=weir's test authority)"},
		"itself":              {served(a.Server(selfCert, selfKey, false)), "TLS: its certificate is signed by itself"},
		"a client's":          {served(issued(a, "client", "app.test", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })), "TLS: its certificate is not one for servers"},
		"old":                 {served(old), "TLS: it refused the handshake: protocol version not supported"},
		"wants ours":          {served(a.Server(cert, key, true)), "TLS: it wants a certificate of weir's (tls.cert)"},
		"wants ours, TLS 1.2": {served(mutual12), "TLS: it refused the handshake: handshake failure"},
		"plain": {raw(func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
			io.Copy(io.Discard, c)
		}), "TLS: it does not speak TLS"},
		"garbage": {raw(func(c net.Conn) {
			c.Write(bytes.Repeat([]byte{0x16, 3, 3, 0, 3, 77, 77, 77}, 100))
			io.Copy(io.Discard, c)
		}), "TLS: "},
		"closes": {raw(func(c net.Conn) { c.Close() }), "TLS: "},
		"stalls": {raw(func(c net.Conn) { c.Write([]byte{0x16, 3, 3, 0}); io.Copy(io.Discard, c) }), "TLS: no handshake in time"},
	} {
		t.Run(name, func(t *testing.T) {
			lines := &lineLog{}
			former := slog.Default()
			slog.SetDefault(slog.New(slog.NewTextHandler(lines, nil)))
			defer slog.SetDefault(former)
			connect := "10s"
			if name == "stalls" {
				connect = "300ms"
			}
			r := serveEdge(t, fibers, onePool("balance: round_robin, tls: {ca: "+a.CA+", server_name: app.test}, timeouts: {connect: "+connect+"}", row.address, good))
			c := testkit.Dial(t, r.addr)
			for range 6 {
				c.Send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody")
				if m := c.Response("POST"); m.Status != 200 || m.Body != "body" {
					t.Errorf("%d %s", m.Status, m.Body)
				}
			}
			c.Close()
			s := r.Status().Pools[0].Servers[0]
			if s.State != "down" || !strings.HasPrefix(s.Why, "no connection: "+row.why) || s.Errors == 0 {
				t.Errorf("%+v, want %q", s, row.why)
			}
			testkit.Eventually(t, testkit.Patience, "it is in the log", func() bool { return strings.Contains(lines.String(), row.why) })
			r.stop(10 * time.Second)
			if n := strings.Count(lines.String(), "server is down"); n != 1 { // others may speak of a slow machine
				t.Errorf("%d lines:\n%s", n, lines)
			}
		})
	}
}

// rawConn is a script's end as a connection.
type rawConn struct{ *testkit.Conn }

func (c rawConn) Write(p []byte) (int, error) { return len(p), c.TrySend(string(p)) }
func (c rawConn) Read(p []byte) (int, error)  { return c.Raw().Read(p) }
func (c rawConn) Close() error                { c.Conn.Close(); return nil }
func (c rawConn) LocalAddr() net.Addr         { return nil }
func (c rawConn) RemoteAddr() net.Addr        { return nil }
func (c rawConn) SetDeadline(time.Time) error { return errors.ErrUnsupported }
func (c rawConn) SetReadDeadline(time.Time) error {
	return errors.ErrUnsupported
}
func (c rawConn) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }

type lineLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lineLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lineLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// A body that ends with the connection ends by TLS's own word, or it was cut off.
func TestTLSTruncation(t *testing.T) {
	a := testkit.NewAuthority(t)
	cert, key := a.Issue("app", "app.test", nil)
	for name, row := range map[string]struct {
		cut  bool
		head string
	}{
		"closed":              {false, "HTTP/1.1 200 OK\r\n\r\n"},
		"cut off":             {true, "HTTP/1.1 200 OK\r\n\r\n"},
		"cut off in a length": {true, "HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n"},
	} {
		for _, minor := range []string{"0", "1"} {
			o := serveTLS(t, a.Server(cert, key, false), func(w http.ResponseWriter, r *http.Request) {
				c, _, err := w.(http.Hijacker).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				io.WriteString(c, row.head+"part of it")
				if row.cut {
					c.(*tls.Conn).NetConn().Close()
				} else {
					c.Close()
				}
			})
			r := serveEdge(t, fibers, onePool("retry: {attempts: 0}, tls: {ca: "+a.CA+", server_name: app.test}", o.address()))
			c := testkit.Dial(t, r.addr)
			c.Send("GET / HTTP/1." + minor + "\r\nHost: h\r\nConnection: close\r\n\r\n")
			b, err := io.ReadAll(c.Raw())
			text := string(b)
			whole := err == nil && (minor == "0" && strings.HasSuffix(text, "part of it") || strings.HasSuffix(text, "0\r\n\r\n")) && !strings.Contains(text, "Content-Length: 5")
			if minor == "1" && !row.cut {
				whole = strings.Contains(text, "part of it") && (strings.HasSuffix(text, "0\r\n\r\n") || strings.Contains(text, "Content-Length: 10\r\n"))
			}
			if whole == row.cut {
				t.Errorf("%s, HTTP/1.%s: %q, %v", name, minor, text, err)
			}
			c.Close()
			r.quiet()
			if n := r.Status().Pools[0].Servers[0].Errors; (n != 0) != row.cut {
				t.Errorf("%s: %d errors", name, n)
			}
			r.stop(10 * time.Second)
		}
	}
}

// weir shows its own certificate, and one that was replaced after a reload.
func TestTLSReload(t *testing.T) {
	a := testkit.NewAuthority(t)
	cert, key := a.Issue("app", "app.test", nil)
	ours, oursKey := a.Issue("weir", "one.weir.test", nil)
	o := serveTLS(t, a.Server(cert, key, true), func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.TLS.PeerCertificates[0].DNSNames[0])
	})
	text := onePool("tls: {ca: "+a.CA+", server_name: app.test, cert: "+ours+", key: "+oursKey+"}, health: {path: /, every: 100ms}", o.address())
	r := serveEdge(t, fibers, text)
	c := testkit.Dial(t, r.addr)
	ask := func(want string) {
		t.Helper()
		c.Send(askIt)
		if m := c.Response("GET"); m.Body != want {
			t.Errorf("%d %q, want %q", m.Status, m.Body, want)
		}
	}
	ask("one.weir.test")
	if err := r.apply(text); err != nil { // nothing has changed: neither have connections
		t.Fatal(err)
	}
	ask("one.weir.test")
	a.Issue("weir", "two.weir.test", nil)
	ask("one.weir.test")
	if err := r.apply(text); err != nil {
		t.Fatal(err)
	}
	ask("two.weir.test")
	// An edge that finds the key gone says so, and sends nothing.
	if err := os.Remove(oursKey); err != nil {
		t.Fatal(err)
	}
	if err := r.apply(text); err != nil {
		t.Fatal(err)
	}
	c.Send(askIt)
	if m := c.Response("GET"); m.Status != 502 {
		t.Errorf("without a key: %d", m.Status)
	}
	if s := r.Status().Pools[0].Servers[0]; !strings.Contains(s.Why, "cannot be read") {
		t.Errorf("%+v", s)
	}
	c.Close()
}

// Checks go by the same TLS as requests.
func TestTLSHealth(t *testing.T) {
	a := testkit.NewAuthority(t)
	cert, key := a.Issue("app", "app.test", nil)
	bad, badKey := a.Issue("bad", "other.test", nil)
	answer := func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }
	good, other := serveTLS(t, a.Server(cert, key, false), answer), serveTLS(t, a.Server(bad, badKey, false), answer)
	for _, check := range []string{"path: /", "type: tls", "type: tcp"} {
		r := serveEdge(t, fibers, onePool("tls: {ca: "+a.CA+", server_name: app.test}, health: {"+check+", every: 100ms, fall: 1}", good.address(), other.address()))
		testkit.Eventually(t, testkit.Patience, check, func() bool {
			s := r.Status().Pools[0].Servers
			return s[0].State == "ready" && s[0].Check != "" && s[1].State == "down" && strings.Contains(s[1].Check, "its certificate is for other.test, not for app.test")
		})
		r.stop(10 * time.Second)
	}
}

// A header of the PROXY protocol goes before the handshake.
func TestTLSBehindProxyHeader(t *testing.T) {
	a := testkit.NewAuthority(t)
	cert, key := a.Issue("app", "app.test", nil)
	cfg := a.Server(cert, key, false)
	o := testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
		if !c.More() {
			return
		}
		line := c.Match(`^PROXY TCP4 127\.0\.0\.1 127\.0\.0\.1 \d+ \d+\r\n`)
		s := tls.Server(rawConn{c}, cfg)
		b := make([]byte, 4096)
		if _, err := s.Read(b); err != nil {
			t.Errorf("behind %q: %v", line, err)
			return
		}
		io.WriteString(s, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		io.Copy(io.Discard, s)
	})
	r := serveEdge(t, fibers, onePool("send_proxy: v1, tls: {ca: "+a.CA+", server_name: app.test}", o.Address))
	c := testkit.Dial(t, r.addr)
	c.Send(askIt)
	if m := c.Response("GET"); m.Body != "ok" {
		t.Errorf("%d %q", m.Status, m.Body)
	}
	c.Close()
	r.stop(10 * time.Second)
}
