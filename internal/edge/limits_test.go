package edge

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/testkit"
)

// logLine is what tests read of a line of the access log.
type logLine struct {
	Time      time.Time
	Client    string
	Method    string
	Host      string
	Target    string
	Protocol  string
	Scheme    string
	Status    int
	Out, In   int64
	ID        string
	Referer   string
	UserAgent string `json:"user_agent"`
	Site      string
	Route     string
	Pool      string
	Server    string
	Session   string
	Cause     string
	Detail    string
	Retries   int
	Hedge     string
	Includes  int
	Failed    int     `json:"includes_failed"`
	Total     float64 `json:"total_ms"`
	Queue     float64 `json:"queue_ms"`
	FirstByte float64 `json:"first_byte_ms"`
}

// logged is an access log in a file of the test's own: what to write into the configuration, and how to read it.
func logged(t testing.TB) (text, file string) {
	file = t.TempDir() + "/access.log"
	return "log: {access: {to: '" + file + "'}}\n", file
}

// readLog waits until there are n lines.
func readLog(t testing.TB, file string, n int) (lines []logLine) {
	t.Helper()
	testkit.Eventually(t, testkit.Patience, fmt.Sprintf("%d lines in the access log", n), func() bool {
		lines = lines[:0]
		text, err := os.ReadFile(file)
		if err != nil {
			return false
		}
		// A long write is seen in parts: the last line may not be whole yet.
		for line := range bytes.Lines(text[:bytes.LastIndexByte(text, '\n')+1]) {
			var l logLine
			if err := json.Unmarshal(line, &l); err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			lines = append(lines, l)
		}
		return len(lines) >= n
	})
	if len(lines) > n {
		t.Fatalf("%d lines, want %d: %+v", len(lines), n, lines)
	}
	return lines
}

// Phases at the client: what is too slow is told so where that is possible, and cut off.
func TestClientTimeouts(t *testing.T) {
	const limits = "timeouts: {head: 150ms, body: 150ms, idle: 150ms, send: 150ms}\n"
	for _, row := range []struct {
		name   string
		more   string // of the pool
		send   string
		status int // 0: closed without a word
		cause  string
	}{
		{"no byte at all", "", "", 0, ""},
		{"half a head", "", "GET / HTTP/1.1\nHo", 408, "head_timeout"},
		{"only an empty line", "", "\n", 408, "head_timeout"},
		{"half a body, streaming", "", post + "Content-Length: 10\n\nhello", 408, "body_timeout"},
		{"half a chunk, streaming", "", post + "Transfer-Encoding: chunked\n\n5\nhel", 408, "body_timeout"},
		{"half a body, buffering", bothBuffers, post + "Content-Length: 10\n\nhello", 408, "body_timeout"},
		{"half a large body, buffering", bothBuffers, post + "Content-Length: 100000\n\nhello", 408, "body_timeout"},
		{"half a chunk, buffering", bothBuffers, post + "Transfer-Encoding: chunked\n\n5\nhel", 408, "body_timeout"},
	} {
		t.Run(row.name, func(t *testing.T) {
			eachBody(t, func(t *testing.T, body loop.Config) {
				o := testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
					if strings.HasSuffix(c.Rest(), "0\r\n\r\n") {
						t.Error("the server got a whole body")
					}
				})
				log, file := logged(t)
				r := serveEdge(t, body, log+limits+onePool(row.more, o.Address))
				c := testkit.Dial(t, r.addr)
				began := time.Now()
				c.Send(wire(row.send))
				lines := 0
				if row.status != 0 {
					lines = 1
					if m := wantStatus(c, row.status); m.Field("Connection") != "close" {
						t.Error("it does not say that the connection closes")
					}
				}
				c.Closed()
				if took := time.Since(began); took < 140*time.Millisecond || took > 3*time.Second {
					t.Errorf("it took %v", took)
				}
				for _, l := range readLog(t, file, lines) {
					if l.Cause != row.cause || l.Status != row.status {
						t.Errorf("logged as %d, %s", l.Status, l.Cause)
					}
				}
				if s := r.Status(); s.Pools[0].Servers[0].Errors != 0 {
					t.Error("an error is laid at the server's door")
				}
			})
		})
	}
}

// A byte a while is no progress for a head, but it is for a body.
func TestSlowBytes(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		o := echo(t, "tcp")
		r := serveEdge(t, body, "timeouts: {head: 200ms, body: 200ms}\n"+onePool("", o.Address))
		head := testkit.Dial(t, r.addr)
		began := time.Now()
		answered, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			head.Send("GET /")
			for tick := time.NewTicker(20 * time.Millisecond); ; {
				select {
				case <-answered:
					tick.Stop()
					return
				case <-tick.C:
					head.Send("x")
				}
			}
		}()
		wantStatus(head, 408)
		if took := time.Since(began); took > time.Second {
			t.Errorf("a head was read for %v", took)
		}
		close(answered)
		<-stopped
		slow := testkit.Dial(t, r.addr)
		slow.Send(wire(post + "Content-Length: 20\n\n"))
		for range 20 {
			time.Sleep(20 * time.Millisecond)
			slow.Send("x")
		}
		wantStatus(slow, 200)
	})
}

// Who does not read is cut off; who reads slowly is not.
func TestSendTimeout(t *testing.T) {
	for _, b := range []struct{ name, more string }{buffers[0], buffers[2]} {
		t.Run(b.name, func(t *testing.T) {
			eachBody(t, func(t *testing.T, body loop.Config) {
				const size = 640 << 10
				origin := plainOrigin(t, func(c *plainConn, head string) bool {
					fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size)
					return sendBody(c, content(9, size), false) == nil
				})
				log, file := logged(t)
				r := serveEdge(t, body, log+"timeouts: {send: 600ms}\n"+onePool(b.more, origin))
				c := dialSmall(t, r.addr)
				fmt.Fprint(c, wire(get))
				if l := readLog(t, file, 1)[0]; l.Cause != "send_timeout" || l.Status != 200 || l.Out >= size {
					t.Errorf("logged as %d, %s, %d bytes", l.Status, l.Cause, l.Out)
				}
				c.Close()

				slow := dialSmall(t, r.addr)
				fmt.Fprint(slow, wire(get))
				buf := make([]byte, 16<<10)
				began := time.Now()
				for got := 0; got < size; {
					n, err := slow.Read(buf)
					if got += n; err != nil {
						t.Fatalf("after %d bytes and %v: %v", got, time.Since(began), err)
					}
					time.Sleep(25 * time.Millisecond)
				}
				if took := time.Since(began); took < 700*time.Millisecond {
					t.Errorf("%v is not slow", took)
				}
			})
		})
	}
}

// Phases at the server.
func TestServerTimeouts(t *testing.T) {
	const bigHead = "HTTP/1.1 200 OK\nContent-Length: 1000000\n\n"
	for _, row := range []struct {
		name   string
		more   string
		answer string // then nothing
		status int
		cause  string
	}{
		{"no answer", "timeouts: {first_byte: 150ms}", "", 504, "first_byte_timeout"},
		{"half a head", "timeouts: {first_byte: 150ms}", "HTTP/1.1 200 OK\n", 504, "first_byte_timeout"},
		{"hints only", "timeouts: {first_byte: 150ms}", "HTTP/1.1 103 Early Hints\n\n", 504, "first_byte_timeout"},
		{"whole request, no answer", "timeouts: {request: 150ms}", "", 504, "request_timeout"},
		{"whole request, half an answer", "timeouts: {request: 150ms}", bigHead + "half", 200, "request_timeout"},
		{"whole request, half an answer, buffering", "timeouts: {request: 150ms}, buffer: true", bigHead + "half", 200, "request_timeout"},
		{"silence within a body", "timeouts: {between_bytes: 150ms}", bigHead + "half", 200, "between_bytes_timeout"},
		{"silence within a body, buffering", "timeouts: {between_bytes: 150ms}, buffer: true", bigHead + "half", 200, "between_bytes_timeout"},
		{"silence within a body that is held", "timeouts: {between_bytes: 150ms}, buffer: true", "HTTP/1.1 200 OK\nContent-Length: 100\n\nhalf", 504, "between_bytes_timeout"},
	} {
		t.Run(row.name, func(t *testing.T) {
			eachBody(t, func(t *testing.T, body loop.Config) {
				o := testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
					c.Head()
					c.Send(wire(row.answer))
					c.Rest()
				})
				log, file := logged(t)
				r := serveEdge(t, body, log+onePool(row.more, o.Address))
				c := testkit.Dial(t, r.addr)
				began := time.Now()
				c.Send(wire(get))
				m, err := c.TryResponse("GET")
				for err == nil && m.Status < 200 {
					m, err = c.TryResponse("GET")
				}
				if m == nil || m.Status != row.status || (row.status == 200) != (err != nil) {
					t.Fatalf("got %+v, %v", m, err)
				}
				if took := time.Since(began); took < 140*time.Millisecond || took > 3*time.Second {
					t.Errorf("it took %v", took)
				}
				if row.status != 200 { // the client's connection is good
					c.Send(wire("OPTIONS * HTTP/1.1\nHost: a\n\n"))
					if m := c.Response("OPTIONS"); m.Status != 204 {
						t.Errorf("the next request got %s", m.Start)
					}
				} else {
					c.Closed()
				}
				if l := readLog(t, file, 1+min(1, row.status/500))[0]; l.Status != row.status || l.Cause != row.cause {
					t.Errorf("logged as %d, %s", l.Status, l.Cause)
				}
				if s := r.Status().Pools[0].Servers[0]; s.Active != 0 || s.Idle != 0 || s.Errors != 1 {
					t.Errorf("left at the server: %+v", s)
				}
			})
		})
	}
}

// While a body is on its way the server owes no answer.
func TestFirstByteAfterTheBody(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		o := echo(t, "tcp")
		r := serveEdge(t, body, onePool("timeouts: {first_byte: 200ms}", o.Address))
		c := testkit.Dial(t, r.addr)
		c.Send(wire(post + "Content-Length: 20\n\n"))
		for range 20 {
			time.Sleep(20 * time.Millisecond)
			c.Send("x")
		}
		wantStatus(c, 200)
	})
}

// Heads over the limits.
func TestHeadLimits(t *testing.T) {
	r := serveEdge(t, fibers, "limits: {request_line: 100, head: 1000, fields: 5}\nsites: [{hosts: ['*'], routes: [{respond: {status: 200, body: hi}}]}]\n")
	for _, row := range []struct {
		send   string
		status int
	}{
		{"GET /" + strings.Repeat("x", 80) + " HTTP/1.1\nHost: a\n\n", 200},
		{"GET /" + strings.Repeat("x", 90) + " HTTP/1.1\nHost: a\n\n", 414},
		{"GET /" + strings.Repeat("x", 90), 0},
		{"GET / HTTP/1.1\nHost: a\nA: 1\nB: 2\nC: 3\nD: 4\n\n", 200},
		{"GET / HTTP/1.1\nHost: a\nA: 1\nB: 2\nC: 3\nD: 4\nE: 5\n\n", 431},
		{"GET / HTTP/1.1\nHost: a\nA: " + strings.Repeat("x", 1000) + "\n\n", 431},
		{"GET / HTTP/1.1\nHost: a\nA: " + strings.Repeat("x", 1000), 431},
		{"GET / HTTP/2.0\nHost: a\n\n", 505},
		{"BREW / HTTP/1.1\n\n", 400},
		{"get / HTTP/1.1\nHost: a\n\n", 501},
		{"CONNECT a:80 HTTP/1.1\nHost: a\n\n", 501},
		{"TRACE / HTTP/1.1\nHost: a\n\n", 405},
		{"GET / HTTP/1.1\nHost: a\nContent-Length: 1\nTransfer-Encoding: chunked\n\n", 400},
	} {
		c := testkit.Dial(t, r.addr)
		c.Send(wire(row.send))
		if row.status == 0 {
			c.CloseWrite()
			row.status = 400
		}
		m := wantStatus(c, row.status)
		if row.status >= 400 && row.status != 405 {
			if m.Field("Connection") != "close" {
				t.Errorf("%d does not close", row.status)
			}
			c.Closed()
		}
	}
}

// More connections than the limit are refused at once, and only they.
func TestConnectionLimit(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		r := serveEdge(t, body, "limits: {connections: 2}\nsites: [{hosts: ['*'], routes: [{respond: {status: 200, body: hi}}]}]\n")
		a, b := testkit.Dial(t, r.addr), testkit.Dial(t, r.addr)
		for _, c := range []*testkit.Conn{a, b} {
			c.Send(wire(get))
			wantStatus(c, 200)
		}
		if c, err := net.Dial("tcp", r.addr); err == nil { // else the refusal was faster
			if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
				t.Errorf("%d bytes, %v", n, err)
			}
			c.Close()
		}
		a.Close()
		testkit.Eventually(t, testkit.Patience, "a place is free", func() bool { return r.connections.Load() < 2 })
		c := testkit.Dial(t, r.addr)
		c.Send(wire(get))
		wantStatus(c, 200)
	})
}
