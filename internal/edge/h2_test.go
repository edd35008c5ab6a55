package edge

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/testkit"
)

// h2cServer is a server of Go's library that speaks nothing but HTTP/2 with prior knowledge. It returns its address and the
// number of connections that it has taken.
func h2cServer(t testing.TB, network string, h http.HandlerFunc) (string, *atomic.Int64) {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = t.TempDir() + "/h2.sock"
	}
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	conns := new(atomic.Int64)
	s := &http.Server{Handler: h, Protocols: new(http.Protocols), ConnState: func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			conns.Add(1)
		}
	}}
	s.Protocols.SetUnencryptedHTTP2(true)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Serve(ln) //nolint:errcheck // it ends when the server is closed
	}()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			s.Close()
		}
		<-done
	})
	if network == "unix" {
		return "unix:" + address, conns
	}
	return ln.Addr().String(), conns
}

func sumOf(b []byte) (sum int) {
	for _, c := range b {
		sum += int(c)
	}
	return sum
}

func TestH2C(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 64<<10)
	echo := func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "text/plain")
		if r.URL.Query().Has("long") {
			io.WriteString(w, long)
			return
		}
		fmt.Fprintf(w, "%s %s %s %s %s %d bytes %d", r.Proto, r.Method, r.Host, r.URL.RequestURI(), r.Header.Get("X-A"), len(body), sumOf(body))
	}
	eachBody(t, func(t *testing.T, body loop.Config) {
		for _, more := range []string{"", "keep: 0", bothBuffers, "buffer: {requests: true, memory: 0, responses: false}"} {
			t.Run(more, func(t *testing.T) {
				addr, conns := h2cServer(t, "unix", echo)
				r := serveEdge(t, body, speaking("h2c", more, addr))
				c := &http.Client{Transport: &http.Transport{}}
				defer c.CloseIdleConnections()
				ask := func(method, uri, body string, chunked bool) string {
					t.Helper()
					var in io.Reader
					if body != "" {
						in = strings.NewReader(body)
						if chunked {
							in = io.MultiReader(in)
						}
					}
					req, err := http.NewRequest(method, "http://"+r.addr+uri, in)
					if err != nil {
						t.Fatal(err)
					}
					req.Header.Set("X-A", "a")
					req.Host = "a.example"
					resp, err := c.Do(req)
					if err != nil {
						t.Fatal(err)
					}
					defer resp.Body.Close()
					text, err := io.ReadAll(resp.Body)
					if err != nil {
						t.Fatal(err)
					}
					return fmt.Sprint(resp.StatusCode, " ", string(text))
				}
				for range 3 {
					if got, want := ask("GET", "/a%20b/c?d=e", "", false), "200 HTTP/2.0 GET a.example /a%20b/c?d=e a 0 bytes 0"; got != want {
						t.Errorf("got %s, want %s", got, want)
					}
					for _, n := range []int{1, 5000, 20 << 10, 100 << 10, 3 << 20} {
						for _, chunked := range []bool{false, true} {
							want := fmt.Sprintf("200 HTTP/2.0 POST a.example / a %d bytes %d", n, n*'x')
							if got := ask("POST", "/", strings.Repeat("x", n), chunked); got != want {
								t.Errorf("got %s, want %s", got, want)
							}
						}
					}
					if got := ask("GET", "/?long", "", false); got != "200 "+long {
						t.Errorf("%d bytes of the long answer", len(got))
					}
					if got := ask("HEAD", "/?long", "", false); got != "200 " {
						t.Errorf("to HEAD: %s", got)
					}
				}
				if n := conns.Load(); more != "keep: 0" && n > 2 {
					t.Errorf("%d connections for requests that came one after the other over at most two loops", n)
				}
			})
		}
	})
}

// A pool whose backup speaks another protocol: each is spoken to in its own.
func TestBackupOfOtherProtocol(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		addr, _ := h2cServer(t, "tcp", func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s", r.Proto, b)
		})
		one := answers(t, "tcp", ok)
		for _, c := range []struct{ first, second, want string }{
			{"servers: ['" + testkit.DeadAddress(t) + "']", "servers: ['" + addr + "'], protocol: h2c", "HTTP/2.0 hi"},
			{"protocol: h2c, servers: ['" + testkit.DeadAddress(t) + "']", "servers: ['" + one.Address + "']", ""},
		} {
			r := serveEdge(t, body, "pools: {p: {backup: b, "+c.first+"}, b: {"+c.second+"}}\nsites: [{hosts: ['*'], routes: [{pool: p}]}]\n")
			client := testkit.Dial(t, r.addr)
			for range 3 {
				client.Send(wire(h2Post))
				if m := client.Response("POST"); m.Status != 200 || c.want != "" && m.Body != c.want {
					t.Errorf("%d %q", m.Status, m.Body)
				}
			}
			client.Close()
		}
	})
}
