package edge

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/testkit"
)

// once is an origin whose first connection fails in some way, and whose others answer.
func once(t *testing.T, network string, first func(c *testkit.Conn)) *testkit.Origin {
	return testkit.ServeOrigin(t, network, func(n int, c *testkit.Conn) {
		if n == 0 {
			first(c)
			return
		}
		for c.More() {
			c.Request()
			c.Send(wire(ok))
		}
	})
}

// Whether a request is sent again depends on what it is and how far it came.
func TestRetries(t *testing.T) {
	die := func(c *testkit.Conn) { c.Request() }
	halfAnswer := func(c *testkit.Conn) { c.Request(); c.Send(wire("HTTP/1.1 200 OK\nContent-Length: 10\n\nhello")) }
	busy := func(c *testkit.Conn) {
		c.Request()
		c.Send(wire("HTTP/1.1 503 Service Unavailable\nContent-Length: 4\n\nbusy"))
	}
	const put, postHi = "PUT / HTTP/1.1\nHost: a\nContent-Length: 2\n\nhi", post + "Content-Length: 2\n\nhi"
	const putChunked = "PUT / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n2\nhi\n0\n\n"
	for _, row := range []struct {
		name   string
		more   string
		first  func(c *testkit.Conn)
		send   string
		status int
		cause  string
		tries  int // 0: any
	}{
		{"GET, no answer", "", die, get, 200, "", 1},
		{"GET, reset", "", func(c *testkit.Conn) { c.Request(); c.Reset() }, get, 200, "", 1},
		{"HEAD, no answer", "", die, "HEAD / HTTP/1.1\nHost: a\n\n", 200, "", 1},
		{"PUT with a held body", "", die, put, 200, "", 1},
		{"PUT with a chunked body that is collected", bothBuffers, die, putChunked, 200, "", 1},
		{"PUT with a body that streams", "", die, putChunked, 502, "empty_response", 0},
		{"POST", "", die, postHi, 502, "empty_response", 0},
		{"POST with a buffer", bothBuffers, die, postHi, 502, "empty_response", 0},
		{"unknown method", "", die, "FROB / HTTP/1.1\nHost: a\n\n", 502, "empty_response", 0},
		{"not asked for", "retry: {on: [connect_error]}", die, get, 502, "empty_response", 0},
		{"no tries left", "retry: {attempts: 0}", die, get, 502, "empty_response", 0},
		{"half an answer that is held", bothBuffers, halfAnswer, get, 200, "", 1},
		{"half an answer that is held, POST", bothBuffers, halfAnswer, postHi, 200, "server_reset", 0},
		{"503 is an answer", "", busy, get, 503, "", 0},
		{"503 when asked for", "retry: {on: ['503']}", busy, get, 200, "", 1},
		{"503 when asked for, POST", "retry: {on: ['503']}", busy, postHi, 503, "", 0},
		{"503, no tries left", "retry: {on: ['503'], attempts: 0}", busy, get, 503, "", 0},
		{"a bad answer is not worth another try", "", func(c *testkit.Conn) { c.Request(); c.Send("oops\r\n\r\n") }, get, 502, "bad_response", 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			eachBody(t, func(t *testing.T, body loop.Config) {
				o := once(t, "tcp", row.first)
				log, file := logged(t)
				r := serveEdge(t, body, log+onePool(row.more, o.Address))
				c := testkit.Dial(t, r.addr)
				c.Send(wire(row.send))
				method, _, _ := strings.Cut(row.send, " ")
				m, err := c.TryResponse(method)
				status := row.status
				if row.cause == "server_reset" && m != nil && err == nil {
					status = 502 // the end came before the client was told of a beginning
				}
				if m == nil || m.Status != status || (err != nil) != (row.cause == "server_reset" && status == 200) {
					t.Fatalf("got %+v, %v", m, err)
				}
				if l := readLog(t, file, 1)[0]; l.Status != status || l.Cause != row.cause || l.Retries != row.tries {
					t.Errorf("logged as %d, %s, %d retries", l.Status, l.Cause, l.Retries)
				}
				if n := o.Connections(); n != row.tries+1 {
					t.Errorf("%d connections", n)
				}
			})
		})
	}
}

// Nothing was sent: every request goes to another server, and the dead one is left alone for a while.
func TestConnectErrors(t *testing.T) {
	eachPool(t, func(t *testing.T, body loop.Config, more string) {
		o := echo(t, "tcp")
		dead, missing := testkit.DeadAddress(t), "unix:"+t.TempDir()+"/none.sock"
		if more != "" {
			more += ", "
		}
		log, file := logged(t)
		r := serveEdge(t, body, log+onePool(more+"balance: round_robin", dead, missing, o.Address))
		c := testkit.Dial(t, r.addr)
		for range 5 {
			c.Send(wire(post + "Content-Length: 2\n\nhi"))
			wantStatus(c, 200)
			c.Send(wire(post + "Transfer-Encoding: chunked\n\n2\nhi\n0\n\n"))
			wantStatus(c, 200)
		}
		retries := 0
		for _, l := range readLog(t, file, 10) {
			retries += l.Retries
			if l.Cause != "" || l.Server != o.Address {
				t.Errorf("logged as %s at %s", l.Cause, l.Server)
			}
		}
		if retries != 2 {
			t.Errorf("%d retries for two dead servers", retries)
		}
	})
	t.Run("all of them", func(t *testing.T) {
		eachBody(t, func(t *testing.T, body loop.Config) {
			log, file := logged(t)
			r := serveEdge(t, body, log+onePool("", testkit.DeadAddress(t), testkit.DeadAddress(t)))
			c := testkit.Dial(t, r.addr)
			c.Send(wire(get))
			wantStatus(c, 502)
			if l := readLog(t, file, 1)[0]; l.Cause != "connect_error" {
				t.Errorf("logged as %s", l.Cause)
			}
		})
	})
}

// A server may close a kept connection at any moment. Requests that find it dead go out on a fresh one, for free.
func TestDeadKeptConnections(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		for _, send := range []string{get, post + "Content-Length: 2\n\nhi", post + "Transfer-Encoding: chunked\n\n2\nhi\n0\n\n"} {
			method, _, _ := strings.Cut(send, " ")
			t.Run(network+"/"+method, func(t *testing.T) {
				eachPool(t, func(t *testing.T, body loop.Config, more string) {
					o := testkit.ServeOrigin(t, network, func(n int, c *testkit.Conn) {
						c.Request()
						c.Send(wire(ok))
						c.Close() // although it said nothing of that
						c.Open(fmt.Sprint(n))
					})
					r := serveEdge(t, body, onePool(more, o.Address))
					c := testkit.Dial(t, r.addr)
					for n := range 30 {
						c.Send(wire(send))
						wantStatus(c, 200)
						if method == "POST" { // which is lost if the close crosses it on its way
							o.Wait(fmt.Sprint(n))
						}
					}
					if s := r.Status().Pools[0].Servers[0]; s.Errors != 0 {
						t.Errorf("%d errors", s.Errors)
					}
				})
			})
		}
	}
}

// A queue in front of a busy server: in order, bounded, with a time limit, and without those who left.
func TestQueue(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		o := testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
			for c.More() {
				m := c.Request()
				if strings.Contains(m.Start, "/first") {
					c.Open("asked")
					c.Wait("answer")
				}
				c.Send(wire(ok))
			}
		})
		log, file := logged(t)
		r := serveEdge(t, body, log+onePool("max_conn: 1, queue: {size: 2, timeout: 400ms}", o.Address))
		ask := func(target string) *testkit.Conn {
			c := testkit.Dial(t, r.addr)
			c.Send(wire("GET /" + target + " HTTP/1.1\nHost: a\n\n"))
			return c
		}
		queued := func(n int64) {
			t.Helper()
			testkit.Eventually(t, testkit.Patience, fmt.Sprintf("%d are queued", n), func() bool { return r.Status().Pools[0].Queued == n })
		}
		first := ask("first")
		o.Wait("asked")
		left := ask("left")
		queued(1)
		late := ask("late")
		queued(2)
		full := ask("full")
		if m := wantStatus(full, 503); m.Field("Retry-After") == "" {
			t.Error("no word on when to come again")
		}
		left.Close()
		queued(1)
		wantStatus(late, 503)
		queued(0)
		next := ask("next")
		queued(1)
		o.Open("answer")
		wantStatus(first, 200)
		wantStatus(next, 200)
		want := map[string]string{"/left": "0 client_gone", "/late": "503 queue_timeout", "/full": "503 queue_full", "/first": "200 ", "/next": "200 "}
		for _, l := range readLog(t, file, 5) {
			if got := fmt.Sprintf("%d %s", l.Status, l.Cause); got != want[l.Target] {
				t.Errorf("%s was logged as %s", l.Target, got)
			}
			if (l.Target == "/next") != (l.Queue > 0) {
				t.Errorf("%s waited for %v ms", l.Target, l.Queue)
			}
		}
		if strings.Contains(o.Got(0)+o.Got(1), "/left") {
			t.Error("the server was asked for somebody who had left")
		}
	})
}

// A response's connection is kept only if both sides say so.
func TestKeepingServersConnections(t *testing.T) {
	for _, row := range []struct {
		answer string
		keeps  bool
	}{
		{ok, true},
		{"HTTP/1.1 204 No Content\n\n", true},
		{"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nhi\n0\n\n", true},
		{"HTTP/1.1 200 OK\nConnection: close\nContent-Length: 2\n\nhi", false},
		{"HTTP/1.0 200 OK\nContent-Length: 2\n\nhi", false},
		{"HTTP/1.0 200 OK\nConnection: keep-alive\nContent-Length: 2\n\nhi", true},
	} {
		t.Run(row.answer[:20], func(t *testing.T) {
			eachPool(t, func(t *testing.T, body loop.Config, more string) {
				o := answers(t, "unix", row.answer)
				r := serveEdge(t, body, onePool(more, o.Address))
				c := testkit.Dial(t, r.addr)
				for range 3 {
					c.Send(wire(get))
					c.Response("GET")
				}
				if n := o.Connections(); n != 1 && row.keeps || n != 3 && !row.keeps {
					t.Errorf("%d connections", n)
				}
			})
		})
	}
}

// A connect that takes too long is the server's fault, and said so.
func TestConnectTimeout(t *testing.T) {
	// A listener whose queue is full answers no SYN.
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	setBacklog(t, ln, 0)
	for range 8 {
		if c, err := net.DialTimeout("tcp", ln.Addr().String(), 50*time.Millisecond); err == nil {
			defer c.Close()
		}
	}
	log, file := logged(t)
	r := serveEdge(t, fibers, log+onePool("timeouts: {connect: 100ms}, retry: {attempts: 0}", ln.Addr().String()))
	c := testkit.Dial(t, r.addr)
	c.Send(wire(get))
	wantStatus(c, 504)
	if l := readLog(t, file, 1)[0]; l.Cause != "connect_timeout" {
		t.Errorf("logged as %s", l.Cause)
	}
}

func setBacklog(t testing.TB, ln net.Listener, n int) {
	t.Helper()
	raw, err := ln.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if cerr := raw.Control(func(fd uintptr) { err = unix.Listen(int(fd), n) }); cerr != nil || err != nil {
		t.Fatal(cerr, err)
	}
}
