package edge

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/testkit"
)

const post = "POST / HTTP/1.1\nHost: a\n"

// eachPool runs a test on both bodies with a pool that streams and one that buffers.
func eachPool(t *testing.T, f func(t *testing.T, body loop.Config, more string)) {
	for _, b := range []struct{ name, more string }{{"streaming", ""}, {"buffering", bothBuffers}} {
		t.Run(b.name, func(t *testing.T) {
			eachBody(t, func(t *testing.T, body loop.Config) { f(t, body, b.more) })
		})
	}
}

// echo is an origin that answers each request with its method, target and body.
func echo(t testing.TB, network string) *testkit.Origin {
	return testkit.ServeOrigin(t, network, func(_ int, c *testkit.Conn) {
		for c.More() {
			m := c.Request()
			method, rest, _ := strings.Cut(m.Start, " ")
			target, _, _ := strings.Cut(rest, " ")
			text := method + " " + target + " " + m.Body
			c.Send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(text), text))
		}
	})
}

// Requests in one packet are answered in order, each with its own body.
func TestPipelining(t *testing.T) {
	eachPool(t, func(t *testing.T, body loop.Config, more string) {
		o := echo(t, "tcp")
		r := serveEdge(t, body, onePool(more, o.Address))
		c := testkit.Dial(t, r.addr)
		big := strings.Repeat("0123456789abcdef", 4<<10)
		c.Send(wire("GET /1 HTTP/1.1\nHost: a\n\n"+
			"POST /2 HTTP/1.1\nHost: a\nContent-Length: 3\n\ntwo"+
			"\nGET /3 HTTP/1.1\nHost: a\n\n"+ // an empty line before a request is passed over
			"POST /4 HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n2;a=\"\\\"\"\n") + "fo" + wire("\n2\nur\n0\nX-Trailer: 1\n\n") +
			wire("OPTIONS * HTTP/1.1\nHost: a\n\n"+
				"POST /6 HTTP/1.1\nHost: a\nContent-Length: 0\n\n"+
				fmt.Sprintf("POST /7 HTTP/1.1\nHost: a\nContent-Length: %d\n\n", len(big))+big+
				fmt.Sprintf("POST /8 HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n%x\n", len(big))+big+"\n0\n\n"+
				"GET /9 HTTP/1.1\nHost: a\nConnection: close\n\nGET /never HTTP/1.1\nHost: a\n\n"))
		for _, want := range []string{"GET /1 ", "POST /2 two", "GET /3 ", "POST /4 four", "", "POST /6 ", "POST /7 " + big, "POST /8 " + big, "GET /9 "} {
			if m := c.Response("GET"); m.Body != want {
				t.Fatalf("got %d %.40q, want %.40q", m.Status, m.Body, want)
			}
		}
		c.Closed()
	})
}

// Byte by byte the same comes out.
func TestByteByByte(t *testing.T) {
	eachPool(t, func(t *testing.T, body loop.Config, more string) {
		o := echo(t, "unix")
		r := serveEdge(t, body, onePool(more, o.Address))
		c := testkit.Dial(t, r.addr)
		for _, b := range []byte(wire(post + "Content-Length: 3\n\none" + post + "Transfer-Encoding: chunked\n\n3\ntwo\n0\n\n")) {
			c.Send(string(b))
		}
		for _, want := range []string{"POST / one", "POST / two"} {
			if m := c.Response("POST"); m.Body != want {
				t.Fatalf("got %q, want %q", m.Body, want)
			}
		}
	})
}

// How a request's body is framed towards the server.
func TestRequestFraming(t *testing.T) {
	eachPool(t, func(t *testing.T, body loop.Config, more string) {
		o := echo(t, "tcp")
		r := serveEdge(t, body, onePool(more, o.Address))
		c := testkit.Dial(t, r.addr)
		c.Send(wire(post + "Transfer-Encoding: chunked\n\n2\nhe\n"))
		c.Send(wire("3;x=y\nllo\n0\nX-Sum: 1\n\n"))
		if m := c.Response("POST"); m.Body != "POST / hello" {
			t.Fatalf("got %q", m.Body)
		}
		head, rest, _ := strings.Cut(plain(o.Got(0)), "\n\n")
		want := "5|hello"
		framing := "Content-Length: 5"
		if more == "" {
			want, framing = "5|hello|0||", "Transfer-Encoding: chunked"
		} else {
			rest = "5|" + rest
		}
		rest = strings.Replace(rest, "2\nhe\n3\nllo\n", "5\nhello\n", 1) // what came in two pieces may go on as one
		if !strings.Contains(head, framing) || strings.ReplaceAll(rest, "\n", "|") != want {
			t.Errorf("the server got\n%s\n\n%q", head, rest)
		}
	})
}

const (
	gotHead   = "POST / HTTP/1.1\nHost: a\n" + told + "Content-Length: 2\n"
	expecting = post + "Content-Length: 2\nExpect: 100-continue\n\n"
	goOn      = "HTTP/1.1 100 Continue\r\n\r\n"
)

// In front of a streaming pool the server decides whether it wants the body.
func TestExpectStreaming(t *testing.T) {
	for _, row := range []struct {
		name   string
		origin func(c *testkit.Conn)
		client func(c *testkit.Conn)
		got    string // by the server, behind the head
		conns  int    // at the server, for this request and another
	}{
		{
			name:   "server asks for it",
			origin: func(c *testkit.Conn) { c.Send(goOn); c.Expect("hi"); c.Send(wire(ok)) },
			client: func(c *testkit.Conn) { c.Expect(goOn); c.Send("hi"); wantStatus(c, 200) },
			got:    "Expect: 100-continue\nX-Request-ID: ID\n\nhi", conns: 1,
		},
		{
			name:   "server refuses it",
			origin: func(c *testkit.Conn) { c.Send(wire("HTTP/1.1 417 Expectation Failed\nContent-Length: 2\n\nno")) },
			client: func(c *testkit.Conn) { wantStatus(c, 417); c.Closed() },
			got:    "Expect: 100-continue\nX-Request-ID: ID\n\n", conns: 2,
		},
		{
			name:   "server has its answer without it",
			origin: func(c *testkit.Conn) { c.Send(wire(ok)) },
			client: func(c *testkit.Conn) { wantStatus(c, 200); c.Closed() },
			got:    "Expect: 100-continue\nX-Request-ID: ID\n\n", conns: 2,
		},
		{
			name:   "server ignores the expectation",
			origin: func(c *testkit.Conn) { c.Expect("hi"); c.Send(wire(ok)) },
			client: func(c *testkit.Conn) { c.Expect(goOn); c.Send("hi"); wantStatus(c, 200) },
			got:    "Expect: 100-continue\nX-Request-ID: ID\n\nhi", conns: 1,
		},
		{
			name:   "client does not wait",
			origin: func(c *testkit.Conn) { c.Expect("hi"); c.Send(wire(ok)) },
			client: func(c *testkit.Conn) { wantStatus(c, 200) },
			got:    "X-Request-ID: ID\n\nhi", conns: 1,
		},
		{
			name:   "client does not wait, server says 100 all the same",
			origin: func(c *testkit.Conn) { c.Expect("hi"); c.Send(goOn + wire(ok)) },
			client: func(c *testkit.Conn) { wantStatus(c, 200) },
			got:    "X-Request-ID: ID\n\nhi", conns: 1,
		},
		{
			name: "hints before",
			origin: func(c *testkit.Conn) {
				c.Send(wire("HTTP/1.1 103 Early Hints\n\n") + goOn)
				c.Expect("hi")
				c.Send(wire(ok))
			},
			client: func(c *testkit.Conn) {
				c.Expect(wire("HTTP/1.1 103 Early Hints\n\n") + goOn)
				c.Send("hi")
				wantStatus(c, 200)
			},
			got: "Expect: 100-continue\nX-Request-ID: ID\n\nhi", conns: 1,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			eachBody(t, func(t *testing.T, body loop.Config) {
				o := testkit.ServeOrigin(t, "tcp", func(n int, c *testkit.Conn) {
					if n == 0 {
						c.Head()
						row.origin(c)
						c.Open("answered")
					}
					for c.More() {
						c.Head()
						c.Send(wire(ok))
					}
				})
				body.Loops = 1 // connections are kept by loop
				r := serveEdge(t, body, onePool("", o.Address))
				c := testkit.Dial(t, r.addr)
				sent := expecting
				if strings.Contains(row.name, "does not wait") {
					sent += "hi"
				}
				c.Send(wire(sent))
				row.client(c)
				o.Wait("answered")
				if got, want := plain(o.Got(0)), gotHead+row.got; got != want {
					t.Errorf("the server got\n%s\nwant\n%s", got, want)
				}
				c.Close()
				r.quiet()
				other := testkit.Dial(t, r.addr)
				other.Send(wire(get))
				wantStatus(other, 200)
				if n := o.Connections(); n != row.conns {
					t.Errorf("%d connections at the server, want %d", n, row.conns)
				}
			})
		})
	}
}

func wantStatus(c *testkit.Conn, status int) *testkit.Message {
	m := c.Response("GET")
	if m.Status != status {
		c.Fail("got %s, want %d\n%s", m.Start, status, m.Body)
	}
	return m
}

// A buffering pool asks for the body itself, before it bothers a server.
func TestExpectBuffering(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		o := echo(t, "tcp")
		r := serveEdge(t, body, "limits: {body: 100}\n"+onePool(bothBuffers, o.Address))
		c := testkit.Dial(t, r.addr)
		c.Send(wire(expecting))
		c.Expect(goOn)
		if n := o.Connections(); n != 0 {
			t.Error("a server was asked before the body was there")
		}
		c.Send("hi")
		if m := wantStatus(c, 200); m.Body != "POST / hi" {
			t.Errorf("got %q", m.Body)
		}
		c.Send(wire(expecting + "hi")) // the client does not wait
		if m := wantStatus(c, 200); m.Body != "POST / hi" {
			t.Errorf("got %q", m.Body)
		}
		if strings.Contains(o.Got(0), "Expect") {
			t.Error("the expectation was passed on although the body is held")
		}
		// What is refused by its head is refused without 100, and the connection closes: the body may follow or not.
		c.Send(wire(post + "Content-Length: 101\nExpect: 100-continue\n\n"))
		wantStatus(c, 413)
		c.Closed()
		c = testkit.Dial(t, r.addr)
		c.Send(wire(post + "Content-Length: 1\nExpect: 200-ok\n\n"))
		wantStatus(c, 417)
		c.Closed()
	})
}

// Bodies over the limit get 413, whether the head says so or the chunks do.
func TestBodyLimit(t *testing.T) {
	eachPool(t, func(t *testing.T, body loop.Config, more string) {
		o := testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) { c.Rest() })
		r := serveEdge(t, body, "limits: {body: 1000}\n"+onePool(more, o.Address))
		for _, send := range []string{
			post + "Content-Length: 1001\n\n",
			post + "Content-Length: 1001\n\n" + strings.Repeat("x", 1001),
			post + "Transfer-Encoding: chunked\n\n3e9\n" + strings.Repeat("x", 1001) + "\n0\n\n",
			post + "Transfer-Encoding: chunked\n\n" + strings.Repeat("1\nx\n", 1001),
		} {
			c := testkit.Dial(t, r.addr)
			c.Send(wire(send))
			if m := wantStatus(c, 413); m.Field("Connection") != "close" {
				t.Error("the connection is kept")
			}
			c.Closed()
		}
		if s := r.Status().Pools[0].Servers[0]; s.Errors != 0 {
			t.Errorf("%d errors are laid at the server's door", s.Errors)
		}
	})
}

// A malformed body gets 400, and the server must not take what came of it for a whole one.
func TestMalformedBodies(t *testing.T) {
	eachPool(t, func(t *testing.T, body loop.Config, more string) {
		o := testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
			if strings.HasSuffix(c.Rest(), "0\r\n\r\n") {
				t.Error("the server got a whole body")
			}
		})
		r := serveEdge(t, body, onePool(more, o.Address))
		for _, chunks := range []string{"xyz\n", "5\nhelloXX0\n\n", "3\nabc\n0\nbad trailer\n\n", "-1\n\n", "ffffffffffffffffff\n"} {
			c := testkit.Dial(t, r.addr)
			c.Send(wire(post + "Transfer-Encoding: chunked\n\n5\nhello\n" + chunks))
			wantStatus(c, 400)
			c.Closed()
		}
	})
}

// What nobody wanted of a small body is passed over, and the connection lives on.
func TestUnwantedBodies(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		r := serveEdge(t, body, "sites: [{hosts: ['*'], routes: [{respond: {status: 200, body: hi}}]}]\n")
		c := testkit.Dial(t, r.addr)
		c.Send(wire(post + "Content-Length: 100000\n\n"))
		wantStatus(c, 200)
		c.Send(strings.Repeat("x", 100000) + wire(post+"Transfer-Encoding: chunked\n\n"))
		wantStatus(c, 200)
		c.Send(wire("5\nhello\n0\n\n" + get))
		wantStatus(c, 200)
		c.Send(wire(post + "Content-Length: 10000000\n\n"))
		wantStatus(c, 200)
		for range 100 {
			if c.TrySend(strings.Repeat("x", 1<<20)) != nil {
				return
			}
		}
		t.Error("100 MiB of a body that nobody wanted were read")
	})
}

// Nor can a client keep a connection busy with a body that nobody wants, a byte a while.
func TestUnwantedBodyThatDrips(t *testing.T) {
	r := serveEdge(t, fibers, "sites: [{hosts: ['*'], routes: [{respond: {status: 200, body: hi}}]}]\n")
	c := testkit.Dial(t, r.addr)
	c.Send(wire(post + "Content-Length: 100000\n\n"))
	wantStatus(c, 200)
	began := time.Now()
	for c.TrySend("x") == nil && time.Since(began) < testkit.Patience {
		time.Sleep(50 * time.Millisecond)
	}
	if took := time.Since(began); took > 3*lingerTime {
		t.Errorf("it went on for %v", took)
	}
}

// A final answer that comes while the body is still on its way ends the upload.
func TestEarlyAnswer(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		o := testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
			for c.More() {
				c.Head()
				c.Send(wire("HTTP/1.1 403 Forbidden\nContent-Length: 2\n\nno"))
				c.Rest()
			}
		})
		r := serveEdge(t, body, onePool("", o.Address))
		for _, framing := range []string{"Content-Length: 50000000\n\n", "Transfer-Encoding: chunked\n\n5\nhello\n"} {
			c := testkit.Dial(t, r.addr)
			c.Send(wire(post + framing))
			if m := wantStatus(c, 403); m.Field("Connection") != "close" {
				t.Error("the connection is kept")
			}
			c.Closed()
			c.Close()
		}
		r.quiet()
		if s := r.Status().Pools[0].Servers[0]; s.Active != 0 || s.Idle != 0 || s.Errors != 0 {
			t.Errorf("left at the server: %+v", s)
		}
	})
}

// Other protocols may be asked for only by requests without a body: else two would speak on one connection.
func TestUpgradeWithABody(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		o := echo(t, "tcp")
		r := serveEdge(t, body, onePool("", o.Address))
		c := testkit.Dial(t, r.addr)
		c.Send(wire(post + "Connection: upgrade\nUpgrade: websocket\nContent-Length: 5\n\nhe"))
		testkit.Eventually(t, time.Second, "the server has the head", func() bool { return strings.Contains(o.Got(0), "\r\n\r\n") })
		c.Send("llo")
		wantStatus(c, 200)
		if strings.Contains(o.Got(0), "websocket") {
			t.Error("the upgrade was passed on")
		}
	})
}
