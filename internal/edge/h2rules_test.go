package edge

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/testkit"
)

const h2Post, h2PostChunked = post + "Content-Length: 2\n\nhi", post + "Transfer-Encoding: chunked\n\n2\nhi\n0\n\n"

// What a server has not begun goes elsewhere, whatever its method; the rest as over HTTP/1.
func TestH2CRetries(t *testing.T) {
	refuse := func(p *h2peer) { p.WriteRSTStream(p.request(), http2.ErrCodeRefusedStream); p.request() }
	leave := func(p *h2peer) { p.request(); p.WriteGoAway(0, http2.ErrCodeNo, nil) }
	fail := func(p *h2peer) { p.WriteRSTStream(p.request(), http2.ErrCodeInternal); p.request() }
	for _, row := range []struct {
		name   string
		more   string
		first  func(p *h2peer)
		send   string
		status int
		cause  string
		tries  int // of the journal
	}{
		{"GET refused", "", refuse, get, 200, "", 1},
		{"POST refused", "", refuse, h2Post, 200, "", 1},
		{"POST with a body that streams, refused", "", refuse, h2PostChunked, 503, "overloaded", 0},
		{"POST with a body that is collected, refused", bothBuffers, refuse, h2PostChunked, 200, "", 1},
		{"GET at one that leaves", "", leave, get, 200, "", 1},
		{"POST at one that leaves", "", leave, h2Post, 200, "", 1},
		{"POST that has been done, at one that leaves", "", func(p *h2peer) { p.WriteGoAway(p.request(), http2.ErrCodeNo, nil); p.hangUp() }, h2Post, 502, "empty_response", 0},
		{"GET that was reset", "", fail, get, 200, "", 1},
		{"POST that was reset", "", fail, h2Post, 502, "server_reset", 0},
		{"GET that wants HTTP/1.1", "", func(p *h2peer) { p.WriteRSTStream(p.request(), http2.ErrCodeHTTP11Required) }, get, 502, "bad_response", 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := h2Origin(t, func(n int, p *h2peer) {
				if n == 0 {
					row.first(p)
					return
				}
				p.serve("ok")
			})
			log, file := logged(t)
			r := serveEdge(t, fibers, log+speaking("h2c", row.more, o.Address))
			c := testkit.Dial(t, r.addr)
			c.Send(wire(row.send))
			if m := c.Response("POST"); m.Status != row.status {
				t.Errorf("status %d, want %d", m.Status, row.status)
			}
			c.Close()
			r.quiet()
			if l := readLog(t, file, 1)[0]; l.Cause != row.cause || l.Retries != row.tries {
				t.Errorf("logged as %+v", l)
			}
		})
	}
}

// A server that lets go of its connections between two requests loses none, be it a POST.
func TestH2CLeavesAfterAnswer(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		o := h2Origin(t, func(n int, p *h2peer) {
			p.answer(p.request(), "ok")
			if n%2 == 0 {
				if p.request() != 0 { // on its way when we say that we leave
					p.WriteGoAway(1, http2.ErrCodeNo, nil)
				}
				return
			}
			p.WriteGoAway(1, http2.ErrCodeNo, nil)
		})
		r := serveEdge(t, body, speaking("h2c", "", o.Address))
		c := testkit.Dial(t, r.addr)
		for range 20 {
			c.Send(wire(h2Post))
			if m := c.Response("POST"); m.Status != 200 || m.Body != "ok" {
				t.Fatalf("%d %q", m.Status, m.Body)
			}
		}
	})
}

// What a server says while a connection rests is heard and answered, and the connection goes on.
func TestH2CSpeaksAtRest(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		conns := make(chan int, 10)
		answered := make(chan bool, 10)
		o := h2Origin(t, func(n int, p *h2peer) {
			conns <- n
			for stream := p.request(); stream != 0; stream = p.request() {
				p.answer(stream, "ok")
				p.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 100})
				p.WriteWindowUpdate(0, 1000)
				p.WritePing(false, [8]byte{1, 2})
				f := p.until(func(f http2.Frame) bool { _, ping := f.(*http2.PingFrame); return ping })
				if ping, ok := f.(*http2.PingFrame); ok {
					answered <- ping.IsAck() && ping.Data == [8]byte{1, 2}
				}
			}
		})
		r := serveEdge(t, body, speaking("h2c", "", o.Address))
		c := testkit.Dial(t, r.addr)
		for range 5 {
			c.Send(wire(get))
			c.Response("GET")
			if !<-answered {
				t.Fatal("another answer to PING")
			}
			// What was said is heard in a task of its own: until that is over, the next request takes another connection.
			testkit.Eventually(t, testkit.Patience, "the connection rests again", func() bool { return r.Status().Pools[0].Servers[0].Idle == 1 })
		}
		if len(conns) != 1 {
			t.Errorf("%d connections", len(conns))
		}
	})
}

// A response whose length is there needs no end of its stream for the client to have it, nor for the connection to live on.
func TestH2CEndApart(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		o := h2Origin(t, func(n int, p *h2peer) {
			for i := 0; ; i++ {
				stream := p.request()
				if stream == 0 {
					return
				}
				p.head(stream, false, ":status", "200", "content-length", "2")
				p.WriteData(stream, false, []byte("ok"))
				if i%2 == 0 {
					p.WriteData(stream, true, nil)
				}
			}
		})
		r := serveEdge(t, body, speaking("h2c", "", o.Address))
		c := testkit.Dial(t, r.addr)
		for range 10 {
			c.Send(wire(get))
			if m := c.Response("GET"); m.Status != 200 || m.Body != "ok" {
				t.Fatalf("%d %q", m.Status, m.Body)
			}
		}
		// A request that comes while an end is heard gets a connection of its own.
		if n := o.Connections(); n > 5 {
			t.Errorf("%d connections for 10 requests, one after the other", n)
		}
	})
}

// What breaks the rules is a 502 that says which, and costs nobody else anything.
func TestH2CBroken(t *testing.T) {
	for _, row := range []struct {
		name   string
		serve  func(p *h2peer)
		detail string
	}{
		{"PUSH_PROMISE", func(p *h2peer) { p.WriteRawFrame(http2.FramePushPromise, 4, 1, []byte("\x00\x00\x00\x02")) }, "PUSH_PROMISE"},
		{"a flood", func(p *h2peer) {
			for range 3000 {
				if p.WritePing(false, [8]byte{}) != nil {
					return
				}
			}
		}, "too many frames that carry nothing"},
		{"a block without end", func(p *h2peer) {
			p.WriteRawFrame(http2.FrameHeaders, 0, 1, []byte("\x88"))
			for range 100 {
				if p.WriteContinuation(1, false, []byte(strings.Repeat("\x00\x01a\x01b", 3000))) != nil {
					return
				}
			}
		}, "too large"},
		{"connection", func(p *h2peer) { p.head(1, true, ":status", "200", "connection", "close") }, "speaks of an HTTP/1 connection"},
		{"a disguised length", func(p *h2peer) { p.head(1, true, ":status", "200", "content-length", "007") }, "Content-Length"},
		{"less than its length", func(p *h2peer) { p.head(1, true, ":status", "200", "content-length", "7") }, "less content"},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := h2Origin(t, func(_ int, p *h2peer) {
				p.request()
				row.serve(p)
				p.request()
			})
			log, file := logged(t)
			r := serveEdge(t, fibers, log+speaking("h2c", "retry: {attempts: 0}", o.Address))
			c := testkit.Dial(t, r.addr)
			c.Send(wire(get))
			if m := c.Response("GET"); m.Status != 502 {
				t.Errorf("status %d", m.Status)
			}
			c.Close()
			r.quiet()
			if got := fmt.Sprint(readLog(t, file, 1)[0]); !strings.Contains(got, row.detail) {
				t.Errorf("%s says nothing of %q", got, row.detail)
			}
		})
	}
	t.Run("HTTP/1", func(t *testing.T) {
		o := testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
			c.Read(24)
			c.Send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
		})
		log, file := logged(t)
		r := serveEdge(t, fibers, log+speaking("h2c", "retry: {attempts: 0}", o.Address))
		c := testkit.Dial(t, r.addr)
		c.Send(wire(get))
		if m := c.Response("GET"); m.Status != 502 {
			t.Errorf("status %d", m.Status)
		}
		c.Close()
		r.quiet()
		if got := fmt.Sprint(readLog(t, file, 1)[0]); !strings.Contains(got, "prior knowledge") {
			t.Errorf("the log says %s", got)
		}
	})
}

// A response that breaks off is seen to by the client.
func TestH2CCut(t *testing.T) {
	for name, end := range map[string]func(p *h2peer){
		"reset": func(p *h2peer) { p.WriteRSTStream(1, http2.ErrCodeInternal); p.request() },
		"close": func(*h2peer) {},
		"break": func(p *h2peer) { p.WriteRawFrame(http2.FramePing, 0, 1, nil); p.request() },
	} {
		t.Run(name, func(t *testing.T) {
			o := h2Origin(t, func(_ int, p *h2peer) {
				p.request()
				p.head(1, false, ":status", "200")
				p.WriteData(1, false, []byte("part"))
				end(p)
			})
			r := serveEdge(t, fibers, speaking("h2c", "retry: {attempts: 0}", o.Address))
			c := testkit.Dial(t, r.addr)
			c.Send(wire(get))
			if got := c.Rest(); strings.HasSuffix(got, "0\r\n\r\n") || !strings.Contains(got, "part") && !strings.Contains(got, " 502 ") {
				t.Errorf("got %q", got)
			}
		})
	}
}

// A body goes no further than the server's windows, and all of it arrives when they widen.
func TestH2CUploadWindow(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		for _, more := range []string{"", bothBuffers, "buffer: {requests: true, memory: 0, responses: false}"} {
			const size = 1 << 20
			o := h2Origin(t, func(_ int, p *h2peer) {
				p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1000})
				conn := 65535
				got, stream := map[uint32]int{}, map[uint32]int{}
				p.until(func(f http2.Frame) bool {
					d, ok := f.(*http2.DataFrame)
					if !ok {
						return false
					}
					id := d.StreamID
					if _, known := stream[id]; !known {
						stream[id] = 1000
						if id == 1 {
							stream[id] = 65535 // it may not have known better
						}
					}
					n := len(d.Data())
					got[id] += n
					if conn, stream[id] = conn-n, stream[id]-n; conn < 0 || stream[id] < 0 {
						p.c.Fail("more than the window")
					}
					if n > 0 {
						p.WriteWindowUpdate(0, uint32(n))
						p.WriteWindowUpdate(id, uint32(n))
						conn, stream[id] = conn+n, stream[id]+n
					}
					if d.StreamEnded() {
						p.answer(id, fmt.Sprint(got[id]))
					}
					return false
				})
			})
			r := serveEdge(t, body, speaking("h2c", more, o.Address))
			for _, chunked := range []bool{false, true} {
				c := testkit.Dial(t, r.addr)
				text := strings.Repeat("x", size)
				if chunked {
					c.Send(wire(post+"Transfer-Encoding: chunked\n\n") + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", size, text))
				} else {
					c.Send(wire(post+fmt.Sprintf("Content-Length: %d\n\n", size)) + text)
				}
				if m := c.Response("POST"); m.Status != 200 || m.Body != fmt.Sprint(size) {
					t.Errorf("%s, chunked %v: %d %q", more, chunked, m.Status, m.Body)
				}
				c.Close()
			}
		}
	})
}

// A slow client holds the server back: what is between them are the buffers of sockets.
func TestH2CSlowClient(t *testing.T) {
	wrote := make(chan int, 1)
	done := make(chan struct{})
	o := h2Origin(t, func(_ int, p *h2peer) {
		p.request()
		p.head(1, false, ":status", "200")
		p.c.Within(time.Second)
		piece, n := make([]byte, 16<<10), 0
		for p.WriteData(1, false, piece) == nil && n < 1<<30 {
			n += len(piece)
		}
		wrote <- n
		<-done
	})
	defer close(done)
	r := serveEdge(t, fibers, speaking("h2c", "", o.Address))
	c := testkit.Dial(t, r.addr)
	c.Send(wire(get))
	c.Head()
	if n := <-wrote; n > 64<<20 {
		t.Errorf("%d bytes were taken for a client that takes none", n)
	}
	c.Close()
}

// Trailers go both ways, to clients that want them.
func TestH2CTrailers(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		for _, more := range []string{"", bothBuffers} {
			t.Run(more, func(t *testing.T) { // the next edge begins when this one has left nothing behind
				addr, _ := h2cServer(t, "tcp", func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Trailer", "X-Sum, X-Te")
					b, err := io.ReadAll(r.Body)
					if err != nil {
						t.Error(err)
					}
					w.Write(b)
					w.Header().Set("X-Sum", r.Trailer.Get("X-Of"))
					w.Header().Set("X-Te", r.Header.Get("Te"))
				})
				r := serveEdge(t, body, speaking("h2c", more, addr))
				for _, te := range []bool{true, false} {
					c := testkit.Dial(t, r.addr)
					head := post + "Trailer: X-Of\nTransfer-Encoding: chunked\n"
					want := "0\r\n\r\n"
					if te {
						head += "Connection: TE\nTE: trailers\n"
						want = "0\r\nx-sum: 7\r\nx-te: trailers\r\n\r\n"
					}
					c.Send(wire(head + "\n2\nhi\n0\nX-Of: 7\n\n"))
					c.Head()
					c.CloseWrite()
					if got := c.Rest(); !te && got != "hi" && !strings.HasSuffix(got, want) || te && !strings.HasSuffix(got, want) {
						t.Errorf("%s, te %v: %q", more, te, got)
					}
				}
			})
		}
	})
}

// grpcServer echoes each message, and ends with the status that the path names.
func grpcServer(t *testing.T) string {
	addr, _ := h2cServer(t, "tcp", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status, Grpc-Message")
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		b := make([]byte, 1024)
		for {
			n, err := r.Body.Read(b)
			w.Write(b[:n])
			w.(http.Flusher).Flush()
			if err != nil {
				break
			}
		}
		w.Header().Set("Grpc-Status", r.URL.Path[1:])
		w.Header().Set("Grpc-Message", r.Header.Get("Te"))
	})
	return addr
}

const grpcHead = "POST /%d HTTP/1.1\nHost: a\nContent-Type: application/grpc+proto\nTransfer-Encoding: chunked\n\n"

// TestGRPCStream has a stream of messages both ways: each arrives before the next is sent.
func TestGRPCStream(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		for _, more := range []string{"", bothBuffers} {
			t.Run(more, func(t *testing.T) { // the next edge begins when this one has left nothing behind
				r := serveEdge(t, body, speaking("h2c", more, grpcServer(t)))
				c := testkit.Dial(t, r.addr)
				c.Send(wire(fmt.Sprintf(grpcHead, 5)))
				if head := c.Head(); !strings.Contains(head, "HTTP/1.1 200 OK\r\n") || !strings.Contains(head, "application/grpc") {
					t.Fatal(head)
				}
				in := bufio.NewReader(c.Raw())
				for i := range 20 {
					message := fmt.Sprintf("message %d", i)
					c.Send(fmt.Sprintf("%x\r\n%s\r\n", len(message), message))
					want := fmt.Sprintf("%x\r\n%s\r\n", len(message), message)
					got := make([]byte, len(want))
					if _, err := io.ReadFull(in, got); err != nil || string(got) != want {
						t.Fatalf("%q (%v), want %q", got, err, want)
					}
				}
				c.Send("0\r\n\r\n")
				const end = "0\r\ngrpc-message: trailers\r\ngrpc-status: 5\r\n\r\n" // in the order of Go's library
				got := make([]byte, len(end))
				if _, err := io.ReadFull(in, got); err != nil || string(got) != end {
					t.Errorf("%q (%v), want %q", got, err, end)
				}
				c.Close()
			})
		}
	})
}

// The outcome of calls counts for ejection as a status of HTTP does.
func TestGRPCEjects(t *testing.T) {
	for status, ejects := range map[int]bool{0: false, 2: true, 3: false, 4: false, 5: false, 8: false, 12: false, 13: true, 14: true, 15: true, 16: false} {
		log, file := logged(t)
		r := serveEdge(t, fibers, log+speaking("h2c", "balance: round_robin, eject: {after: 2, for: 1m, at_most: 50%}", grpcServer(t)+"', '"+grpcServer(t)))
		c := testkit.Dial(t, r.addr)
		for range 16 {
			c.Send(wire(fmt.Sprintf(grpcHead, status) + "2\nhi\n0\n\n"))
			if m := c.Response("POST"); m.Status != 200 {
				t.Fatalf("status %d", m.Status)
			}
		}
		c.Close()
		servers := map[string]bool{}
		for _, l := range readLog(t, file, 16)[8:] {
			servers[l.Server] = true
		}
		if (len(servers) == 1) != ejects {
			t.Errorf("with the status %d of all calls the last went to %v", status, servers)
		}
	}
}

// A call's own time limit is kept.
func TestGRPCTimeout(t *testing.T) {
	var gone sync.WaitGroup
	addr, _ := h2cServer(t, "tcp", func(_ http.ResponseWriter, r *http.Request) {
		defer gone.Done()
		<-r.Context().Done()
	})
	r := serveEdge(t, fibers, speaking("h2c", "", addr))
	c := testkit.Dial(t, r.addr)
	gone.Add(1)
	c.Send(wire("POST / HTTP/1.1\nHost: a\nContent-Type: application/grpc\nGrpc-Timeout: 50m\nContent-Length: 2\n\nhi"))
	if m := c.Response("POST"); m.Status != 504 {
		t.Errorf("status %d", m.Status)
	}
	gone.Wait()
}

// A client that leaves takes its call with it.
func TestGRPCClientLeaves(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		came, gone := make(chan bool), make(chan bool)
		addr, _ := h2cServer(t, "tcp", func(_ http.ResponseWriter, r *http.Request) {
			came <- true
			<-r.Context().Done()
			gone <- true
		})
		r := serveEdge(t, body, speaking("h2c", "", addr))
		c := testkit.Dial(t, r.addr)
		c.Send(wire("POST / HTTP/1.1\nHost: a\nContent-Type: application/grpc\nContent-Length: 2\n\nhi"))
		<-came
		c.Close()
		<-gone
	})
}

func TestGRPCTimeouts(t *testing.T) {
	for text, want := range map[string]time.Duration{"1H": time.Hour, "2M": 2 * time.Minute, "3S": 3 * time.Second, "4m": 4 * time.Millisecond,
		"5u": 5 * time.Microsecond, "6n": 6, "99999999H": 1000 * time.Hour, "": 0, "5": 0, "S": 0, "123456789S": 0, "-1S": 0, "1x": 0} {
		if got := grpcTimeout([]byte(text)); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}

// A server asks for a body, or answers without it.
func TestH2CExpect(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		addr, _ := h2cServer(t, "tcp", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/no" {
				w.WriteHeader(403)
				return
			}
			w.Header().Set("Link", "</a>")
			w.WriteHeader(103)
			w.Header().Del("Link")
			b, _ := io.ReadAll(r.Body)
			w.Write(b)
		})
		r := serveEdge(t, body, speaking("h2c", "", addr))
		c := testkit.Dial(t, r.addr)
		c.Send(wire("POST /yes HTTP/1.1\nHost: a\nExpect: 100-continue\nContent-Length: 2\n\n"))
		early := c.Head()
		if strings.Contains(early, "103") {
			if !strings.Contains(early, "link: </a>") {
				t.Errorf("%q", early)
			}
			early = c.Head()
		}
		if !strings.HasPrefix(early, "HTTP/1.1 100 Continue") {
			t.Fatalf("%q", early)
		}
		c.Send("hi")
		for m := c.Response("POST"); ; m = c.Response("POST") {
			if m.Status == 103 {
				continue
			}
			if m.Status != 200 || m.Body != "hi" {
				t.Errorf("%d %q", m.Status, m.Body)
			}
			break
		}
		c.Send(wire("POST /no HTTP/1.1\nHost: a\nExpect: 100-continue\nContent-Length: 2\n\n"))
		if head := c.Head(); !strings.HasPrefix(head, "HTTP/1.1 403") {
			t.Errorf("%q", head)
		}
	})
}
