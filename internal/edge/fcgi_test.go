package edge

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/fcgi"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/testkit"
)

// fcgiServer is a FastCGI server of Go's library; every request is h's.
func fcgiServer(t testing.TB, network string, h http.HandlerFunc) string {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = t.TempDir() + "/f.sock"
	}
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	go fcgi.Serve(ln, h) //nolint:errcheck // it ends when the listener is closed
	t.Cleanup(func() { ln.Close() })
	if network == "unix" {
		return "unix:" + address
	}
	return ln.Addr().String()
}

// speaking is onePool with servers of another protocol.
func speaking(protocol, more, server string) string {
	if more != "" {
		more = ", " + more
	}
	return onePool("protocol: "+protocol+more, server)
}

func TestFastCGI(t *testing.T) {
	echo := func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "text/plain")
		if r.URL.Query().Has("long") {
			w.Write([]byte(strings.Repeat("0123456789abcdef", 64<<10)))
			return
		}
		sum := 0
		for _, b := range body {
			sum += int(b)
		}
		fmt.Fprintf(w, "%s %s %s %d bytes %d", r.Method, r.URL.RequestURI(), r.Header.Get("X-A"), len(body), sum)
	}
	eachBody(t, func(t *testing.T, body loop.Config) {
		for _, more := range []string{"", "keep: 8", bothBuffers + ", keep: 8", "buffer: {requests: true, memory: 0, responses: false}"} {
			t.Run(more, func(t *testing.T) {
				r := serveEdge(t, body, speaking("fastcgi", more, fcgiServer(t, "unix", echo)))
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
					if got, want := ask("GET", "/a%20b/c?d=e", "", false), "200 GET /a%20b/c?d=e a 0 bytes 0"; got != want {
						t.Errorf("got %s, want %s", got, want)
					}
					for _, n := range []int{1, 5000, 100 << 10, 3 << 20} {
						for _, chunked := range []bool{false, true} {
							want := fmt.Sprintf("200 POST / a %d bytes %d", n, n*'x')
							if got := ask("POST", "/", strings.Repeat("x", n), chunked); got != want {
								t.Errorf("got %s, want %s", got, want)
							}
						}
					}
					if got := ask("GET", "/?long", "", false); got != "200 "+strings.Repeat("0123456789abcdef", 64<<10) {
						t.Errorf("%d bytes of the long answer", len(got))
					}
				}
			})
		}
	})
}

// TestFastCGILateEnd: a server that ends a request in a packet of its own, after the last byte of the response, keeps its connection.
func TestFastCGILateEnd(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		var connections atomic.Int32
		go func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				connections.Add(1)
				go endsLate(c)
			}
		}()
		r := serveEdge(t, body, speaking("fastcgi", "keep: 8", ln.Addr().String()))
		c := testkit.Dial(t, r.addr)
		defer c.Close()
		const requests = 10
		for range requests {
			c.Send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			if m := c.Response("GET"); m.Status != 200 || string(m.Body) != "hello" {
				t.Fatalf("%d %q", m.Status, m.Body)
			}
		}
		// A machine that stands still for a moment may cost one.
		if n := connections.Load(); n > requests/2 {
			t.Errorf("%d connections for %d requests", n, requests)
		}
	})
}

// endsLate answers requests on a connection, with the end record a moment after the response.
func endsLate(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	for {
		var head [8]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return
		}
		length := int(head[4])<<8 | int(head[5])
		if _, err := in.Discard(length + int(head[6])); err != nil {
			return
		}
		if head[1] != 5 || length > 0 { // not the end of stdin
			continue
		}
		const text = "Content-Length: 5\r\n\r\nhello"
		if _, err := c.Write(append([]byte{1, 6, 0, 1, 0, byte(len(text)), 0, 0}, text...)); err != nil {
			return
		}
		time.Sleep(time.Millisecond) // its pace
		if _, err := c.Write([]byte{1, 3, 0, 1, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}); err != nil {
			return
		}
	}
}
