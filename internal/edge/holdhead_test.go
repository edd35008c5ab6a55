package edge

import (
	"compress/gzip"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/testkit"
)

// holding is an edge that holds heads for so long: an hour, where a test is about what a server does meanwhile.
func holding(t *testing.T, body loop.Config, hold time.Duration, text string) *running {
	t.Helper()
	r := serveEdge(t, body, text)
	r.headHold = hold
	if err := r.apply(text); err != nil { // the loops see what was written before it
		t.Fatal(err)
	}
	return r
}

const anHour = time.Hour

const (
	headChunked = "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n"
	headLength  = "HTTP/1.1 200 OK\nContent-Length: 500000\n\n"
	headToClose = "HTTP/1.1 200 OK\nConnection: close\n\n"
)

// A server that dies behind its head has not answered, and what is tried again for an empty response is tried again for that.
func TestServersThatDieBehindTheirHeads(t *testing.T) {
	says := func(text string) func(c *testkit.Conn) {
		return func(c *testkit.Conn) { c.Request(); c.Send(wire(text)) }
	}
	resets := func(text string) func(c *testkit.Conn) {
		return func(c *testkit.Conn) { c.Request(); c.Send(wire(text)); c.Reset() }
	}
	const put, head = "PUT / HTTP/1.1\nHost: a\nContent-Length: 2\n\nhi", "HEAD / HTTP/1.1\nHost: a\n\n"
	const streamed = "PUT / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n2\nhi\n0\n\n"
	for _, row := range []struct {
		name   string
		more   string
		first  func(c *testkit.Conn)
		send   string
		status int
		cut    bool
		cause  string
		tries  int
		hints  bool
	}{
		{"chunked", "", says(headChunked), get, 200, false, "", 1, false},
		{"chunked, reset", "", resets(headChunked), get, 200, false, "", 1, false},
		{"within the size of a chunk", "", says(headChunked + "1f"), get, 200, false, "", 1, false},
		{"in front of a chunk's data", "", says(headChunked + "1f\n"), get, 200, false, "", 1, false},
		{"by length", "", says(headLength), get, 200, false, "", 1, false},
		{"of a moderate length", "", says("HTTP/1.1 200 OK\nContent-Length: 5\n\n"), get, 200, false, "", 1, false},
		{"to the close, which is a reset", "", resets(headToClose), get, 200, false, "", 1, false},
		{"behind early hints", "", says("HTTP/1.1 103 Early Hints\nLink: </a.css>\n\n" + headChunked), get, 200, false, "", 1, true},
		{"an error of 500", "", says("HTTP/1.1 500 Oh\nTransfer-Encoding: chunked\n\n"), get, 200, false, "", 1, false},
		{"PUT", "", says(headChunked), put, 200, false, "", 1, false},
		{"with buffers", bothBuffers, says(headChunked), get, 200, false, "", 1, false},
		{"with buffers, by length", bothBuffers, says(headLength), get, 200, false, "", 1, false},
		{"with buffers, PUT that is collected", bothBuffers, says(headChunked), streamed, 200, false, "", 1, false},
		{"where servers are watched", "eject: {after: 5 consecutive errors}", says(headChunked), get, 200, false, "", 1, false},
		{"HEAD has no body", "", says(headChunked), head, 200, false, "", 0, false},
		{"to the close, which is its end", "", says(headToClose), get, 200, false, "", 0, false},
		{"a body that broke a rule", "", says(headChunked + "xyz\n"), get, 502, false, "bad_response", 0, false},
		{"after the first byte", "", says(headChunked + "5\nh"), get, 200, true, "server_reset", 0, false},
		{"POST", "", says(headChunked), post + "Content-Length: 2\n\nhi", 200, true, "server_reset", 0, false},
		{"PUT with a body that streams", "", says(headChunked), streamed, 200, true, "server_reset", 0, false},
		{"not asked for", "retry: {on: [connect_error]}", says(headChunked), get, 200, true, "server_reset", 0, false},
		{"no tries", "retry: {attempts: 0}", says(headChunked), get, 200, true, "server_reset", 0, false},
		{"event stream", "", says("HTTP/1.1 200 OK\nContent-Type: text/event-stream\nTransfer-Encoding: chunked\n\n"), get, 200, true, "server_reset", 0, false},
		{"wanted out at once", "", says("HTTP/1.1 200 OK\nX-Accel-Buffering: no\nTransfer-Encoding: chunked\n\n"), get, 200, true, "server_reset", 0, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			eachBody(t, func(t *testing.T, body loop.Config) {
				first := row.first
				if row.cut { // a head that nobody holds is seen before its server dies
					first = func(c *testkit.Conn) { row.first(c); c.Wait("seen") }
				}
				o := once(t, "tcp", first)
				log, file := logged(t)
				r := holding(t, body, anHour, log+onePool(row.more, o.Address))
				c := testkit.Dial(t, r.addr)
				c.Send(wire(row.send))
				if row.cut {
					c.Match("HTTP/1.1 200 OK\r\n")
					o.Open("seen")
					if rest := c.Rest(); strings.HasSuffix(rest, "0\r\n\r\n") {
						t.Errorf("it looks whole: %q", rest)
					}
				} else {
					method, _, _ := strings.Cut(row.send, " ")
					if row.hints {
						c.Head()
					}
					if m := c.Response(method); m.Status != row.status {
						t.Errorf("got %+v", m)
					}
				}
				if l := readLog(t, file, 1)[0]; l.Status != row.status || l.Cause != row.cause || l.Retries != row.tries {
					t.Errorf("logged as %d, %s, %d retries", l.Status, l.Cause, l.Retries)
				}
				if n := o.Connections(); n != row.tries+1 {
					t.Errorf("%d connections", n)
				}
			})
		})
	}
}

// All servers die: the client is told so, and gets no half of a response.
func TestNobodyGetsBehindTheHead(t *testing.T) {
	eachPool(t, func(t *testing.T, body loop.Config, more string) {
		o := testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) { c.Request(); c.Send(wire(headChunked)) })
		log, file := logged(t)
		r := holding(t, body, anHour, log+onePool(more, o.Address))
		c := testkit.Dial(t, r.addr)
		c.Send(wire(get))
		wantStatus(c, 502)
		if l := readLog(t, file, 1)[0]; l.Cause != "server_reset" || l.Retries != 2 || o.Connections() != 3 {
			t.Errorf("logged as %s, %d retries, %d connections", l.Cause, l.Retries, o.Connections())
		}
	})
}

// A kept connection whose server dies behind the head is as dead as one whose server says nothing: a fresh one is free.
func TestKeptConnectionsThatDieBehindAHead(t *testing.T) {
	eachPool(t, func(t *testing.T, body loop.Config, more string) {
		o := testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
			c.Request()
			c.Send(wire(ok))
			if c.More() {
				c.Request()
				c.Send(wire(headChunked))
			}
		})
		log, file := logged(t)
		r := holding(t, body, anHour, log+onePool(more, o.Address))
		c := testkit.Dial(t, r.addr)
		for range 4 {
			c.Send(wire(get))
			wantStatus(c, 200)
			r.quiet()
		}
		for _, l := range readLog(t, file, 4) {
			if l.Cause != "" || l.Retries != 0 {
				t.Errorf("logged as %s, %d retries", l.Cause, l.Retries)
			}
		}
	})
}

// The head goes out with the first bytes of the body, and with the end of a body that has none.
func TestHeadsWaitForTheirBodies(t *testing.T) {
	for _, row := range []struct{ name, head, first, rest, want string }{
		{"chunked", headChunked, "2\nhi\n", "0\n\n", "hi"},
		{"a chunk in pieces", headChunked, "2;a=b\nh", "i\n0\n\n", "hi"},
		{"no chunk", headChunked, "0\n\n", "", ""},
		{"by length", "HTTP/1.1 200 OK\nContent-Length: 4\n\n", "h", "ihi", "hihi"},
		{"to the close", headToClose, "h", "i<close>", "hi"},
		{"nothing to the close", headToClose, "<close>", "", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			eachPool(t, func(t *testing.T, body loop.Config, more string) {
				o := testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
					c.Request()
					c.Send(wire(row.head))
					c.Open("head")
					for _, part := range []string{row.first, row.rest} {
						c.Wait("go on")
						text, closes := strings.CutSuffix(part, "<close>")
						if c.Send(wire(text)); closes {
							return
						}
					}
					c.More()
				})
				r := holding(t, body, anHour, onePool(more, o.Address))
				c := testkit.Dial(t, r.addr)
				c.Send(wire(get))
				o.Wait("head")
				c.Silent(10 * time.Millisecond)
				o.Open("go on")
				if m := c.Response("GET"); m.Status != 200 || m.Body != row.want {
					t.Errorf("got %+v", m)
				}
			})
		})
	}
}

// A server that sends its head early, or says nothing more for ever, has its client wait no longer than the moment.
func TestHeadsThatComeAlone(t *testing.T) {
	for _, row := range []struct {
		name, head string
		goesOn     func(c *testkit.Conn, seen *atomic.Bool)
		want       string
	}{
		{"chunked", headChunked, func(c *testkit.Conn, _ *atomic.Bool) { c.Wait("seen"); c.Send(wire("2\nhi\n0\n\n")) }, "hi"},
		{"by length", "HTTP/1.1 200 OK\nContent-Length: 300000\n\n", func(c *testkit.Conn, _ *atomic.Bool) { c.Wait("seen"); c.Send(strings.Repeat("x", 300000)) }, strings.Repeat("x", 300000)},
		{"to the close", headToClose, func(c *testkit.Conn, _ *atomic.Bool) { c.Wait("seen"); c.Send("hi") }, "hi"},
		{"a chunk's first line that grows", headChunked + "2;a=", func(c *testkit.Conn, seen *atomic.Bool) {
			for n := 0; n < 200 && !seen.Load(); n++ { // a chunk's line is bounded as well
				c.Send("b")
				time.Sleep(time.Millisecond) // its pace
			}
			c.Send(wire("\nhi\n0\n\n"))
		}, "hi"},
	} {
		t.Run(row.name, func(t *testing.T) {
			eachPool(t, func(t *testing.T, body loop.Config, more string) {
				var seen atomic.Bool
				o := testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
					c.Request()
					c.Send(wire(row.head))
					row.goesOn(c, &seen)
				})
				r := serveEdge(t, body, onePool(more, o.Address))
				c := testkit.Dial(t, r.addr)
				c.Send(wire("GET / HTTP/1.1\nHost: a\nConnection: close\n\n"))
				c.Match("HTTP/1.1 200 OK\r\n")
				seen.Store(true)
				o.Open("seen")
				if rest := c.Rest(); !strings.Contains(rest, row.want) {
					t.Errorf("got %.100q", rest)
				}
			})
		})
	}
}

// A limit of the request's own holds while its head is held.
func TestLimitsHoldWhileAHeadIsHeld(t *testing.T) {
	eachPool(t, func(t *testing.T, body loop.Config, more string) {
		if more != "" {
			more += ", "
		}
		o := testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) { c.Request(); c.Send(wire(headChunked)); c.Closed() })
		log, file := logged(t)
		r := holding(t, body, anHour, log+onePool(more+"timeouts: {request: 100ms}", o.Address))
		c := testkit.Dial(t, r.addr)
		c.Send(wire(get))
		wantStatus(c, 504)
		if l := readLog(t, file, 1)[0]; l.Cause != "request_timeout" || l.Retries != 0 {
			t.Errorf("logged as %s, %d retries", l.Cause, l.Retries)
		}
	})
}

// Heads that fill the buffer leave no room for the beginning of a body: those are not held, and come whole all the same.
func TestHeldHeadsThatFillTheBuffer(t *testing.T) {
	eachPool(t, func(t *testing.T, body loop.Config, more string) {
		const chunks = "5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n"
		o := testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
			for c.More() {
				path := strings.Fields(c.Request().Start)[1]
				size := 0
				if _, err := fmt.Sscanf(path, "/%d", &size); err != nil {
					c.Fail("%v", err)
				}
				const rest = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: \r\nX-End: end\r\n\r\n"
				c.Send(strings.Replace(rest, "X-A: ", "X-A: "+strings.Repeat("a", size-len(rest)), 1))
				for _, b := range []byte(chunks) {
					c.Send(string(b))
				}
			}
		})
		r := serveEdge(t, body, onePool(more, o.Address))
		c := testkit.Dial(t, r.addr)
		for size := loop.BufferSize - headRoom - 40; size < loop.BufferSize+60; size += 9 {
			c.Send(fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", size))
			if m := c.Response("GET"); m.Status != 200 || m.Body != "helloworld" || m.Field("X-End") != "end" {
				t.Fatalf("a head of %d bytes: %d, %q, %s", size, m.Status, m.Body, m.Field("X-End"))
			}
		}
	})
}

// Other protocols say in their own way that a response has not ended.
func TestHeadsHeldOfOtherProtocols(t *testing.T) {
	const head = "Content-Type: text/plain\r\n\r\n"
	for _, row := range []struct {
		name, protocol string
		origin         func(t *testing.T) *testkit.Origin
	}{
		{"FastCGI", "fastcgi", func(t *testing.T) *testkit.Origin {
			return fcgiOrigin(t, nil, fout(head)+"<close>", fout(head+"hi")+fend(0))
		}},
		{"FastCGI, the beginning of a record", "fastcgi", func(t *testing.T) *testkit.Origin {
			return fcgiOrigin(t, nil, fout(head)+fout("hi")[:5]+"<close>", fout(head+"hi")+fend(0))
		}},
		{"h2c, closed", "h2c", func(t *testing.T) *testkit.Origin {
			return h2Origin(t, func(n int, p *h2peer) {
				if n == 0 {
					p.head(p.request(), false, ":status", "200")
					return
				}
				p.serve("hi")
			})
		}},
		{"h2c, the stream reset", "h2c", func(t *testing.T) *testkit.Origin {
			return h2Origin(t, func(n int, p *h2peer) {
				if n == 0 {
					stream := p.request()
					p.head(stream, false, ":status", "200", "content-length", "2")
					p.WriteRSTStream(stream, http2.ErrCodeInternal)
				}
				p.serve("hi")
			})
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			eachPool(t, func(t *testing.T, body loop.Config, more string) {
				log, file := logged(t)
				r := holding(t, body, anHour, log+speaking(row.protocol, more, row.origin(t).Address))
				c := testkit.Dial(t, r.addr)
				c.Send(wire(get))
				if m := c.Response("GET"); m.Status != 200 || m.Body != "hi" {
					t.Errorf("got %+v", m)
				}
				if l := readLog(t, file, 1)[0]; l.Cause != "" || l.Retries != 1 {
					t.Errorf("logged as %s, %d retries", l.Cause, l.Retries)
				}
			})
		})
	}
}

// dying is an origin whose first request for each path is answered with a head and a death, and each other one with HTML.
func dying(t *testing.T, pages map[string]string) (o *testkit.Origin, asked func(path string) int) {
	const fields = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nCache-Control: max-age=60\r\n"
	var mu sync.Mutex
	times := map[string]int{}
	o = testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
		for c.More() {
			path := strings.Fields(c.Request().Start)[1]
			mu.Lock()
			times[path]++
			first := times[path] == 1
			mu.Unlock()
			if first {
				c.Wait("die")
				c.Send(fields + "Transfer-Encoding: chunked\r\n\r\n")
				return
			}
			text := pages[path]
			c.Send(fields + "Transfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(text), text))
		}
	})
	return o, func(path string) int {
		mu.Lock()
		defer mu.Unlock()
		return times[path]
	}
}

// Those who wait for a fetch get what its second try brings.
func TestHeadsHeldOfAFetch(t *testing.T) {
	eachPool(t, func(t *testing.T, body loop.Config, more string) {
		const clients = 8
		o, asked := dying(t, map[string]string{"/": "hi"})
		r := holding(t, body, anHour, "cache: {memory: 16MiB}\n"+strings.Replace(onePool(more, o.Address), "{pool: p}", "{pool: p, cache: {}}", 1))
		var all []*testkit.Conn
		for range clients {
			c := testkit.Dial(t, r.addr)
			c.Send(wire(get))
			all = append(all, c)
		}
		testkit.Eventually(t, testkit.Patience, "all of them wait", func() bool { return r.active() == clients })
		o.Open("die")
		for _, c := range all {
			if m := c.Response("GET"); m.Status != 200 || m.Body != "hi" {
				t.Errorf("got %+v", m)
			}
		}
		if n := asked("/"); n != 2 {
			t.Errorf("the server was asked %d times", n)
		}
	})
}

// unpack is what a compressed response holds.
func unpack(t *testing.T, m *testkit.Message) string {
	t.Helper()
	z, err := gzip.NewReader(strings.NewReader(m.Body))
	if err != nil || m.Field("Content-Encoding") != "gzip" {
		t.Fatalf("it is not compressed: %v", err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Error(err)
	}
	return string(text)
}

// Pages, their fragments, and what is compressed.
func TestHeadsHeldOfPages(t *testing.T) {
	eachPool(t, func(t *testing.T, body loop.Config, more string) {
		long := strings.Repeat("0123456789", 500)
		for _, cached := range []string{"", ", cache: {}"} {
			o, asked := dying(t, map[string]string{"/": `a<esi:include src="/b"/>c`, "/b": long, "/packed": long})
			o.Open("die")
			r := holding(t, body, anHour, "cache: {memory: 16MiB}\n"+strings.Replace(onePool(more, o.Address), "routes: [{pool: p}]", "esi: on, routes: [{pool: p, compress: [gzip]"+cached+"}]", 1))
			c := testkit.Dial(t, r.addr)
			c.Send(wire(get))
			if m := c.Response("GET"); m.Status != 200 || m.Body != "a"+long+"c" {
				t.Errorf("got %+v", m)
			}
			c.Send(wire("GET /packed HTTP/1.1\nHost: a\nAccept-Encoding: gzip\n\n"))
			if m := c.Response("GET"); m.Status != 200 || unpack(t, m) != long {
				t.Errorf("got %+v", m)
			}
			if asked("/") != 2 || asked("/b") != 2 || asked("/packed") != 2 {
				t.Errorf("the server was asked %d, %d and %d times", asked("/"), asked("/b"), asked("/packed"))
			}
		}
	})
}
