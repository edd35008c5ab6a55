package edge

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/testkit"
)

// content is n bytes that no error leaves as they are, from a seed.
func content(seed byte, n int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{seed}), n)
}

func sum(r io.Reader) string {
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return err.Error()
	}
	return text(h)
}

func text(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

// sendBody writes a body in pieces of odd sizes, chunked or as it is.
func sendBody(w io.Writer, body io.Reader, chunked bool) error {
	b := make([]byte, 70001)
	for i := 0; ; i++ {
		n, err := io.ReadFull(body, b[:1+i*7919%len(b)])
		if n > 0 {
			var werr error
			if chunked {
				_, werr = fmt.Fprintf(w, "%x\r\n%s\r\n", n, b[:n])
			} else {
				_, werr = w.Write(b[:n])
			}
			if werr != nil {
				return werr
			}
		}
		if err != nil {
			break
		}
	}
	if chunked {
		_, err := io.WriteString(w, "0\r\n\r\n")
		return err
	}
	return nil
}

// plainConn is a connection of a test that carries too much for scripts.
type plainConn struct {
	net.Conn
	r *bufio.Reader
}

func dialPlain(t testing.TB, addr string) *plainConn { return dialBy(t, addr, &net.Dialer{}) }

// dialSmall connects with small segments and a small buffer, so that the other end soon feels how slowly this one reads.
func dialSmall(t testing.TB, addr string) *plainConn {
	return dialBy(t, addr, &net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		return errors.Join(c.Control(func(fd uintptr) {
			err = errors.Join(unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG, 1400),
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 16<<10))
		}), err)
	}})
}

func dialBy(t testing.TB, addr string, d *net.Dialer) *plainConn {
	t.Helper()
	c, err := d.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &plainConn{c, bufio.NewReader(c)}
}

// head reads a head and returns it.
func (c *plainConn) head() (string, error) {
	var b strings.Builder
	for {
		line, err := c.r.ReadString('\n')
		b.WriteString(line)
		if err != nil || line == "\r\n" {
			return b.String(), err
		}
	}
}

// body reads a body by the framing of its head.
func (c *plainConn) body(head string, to io.Writer) error {
	switch {
	case strings.Contains(head, "Transfer-Encoding: chunked"):
		for {
			line, err := c.r.ReadString('\n')
			if err != nil {
				return err
			}
			var n int64
			if _, err := fmt.Sscanf(line, "%x", &n); err != nil {
				return err
			}
			if _, err := io.CopyN(to, c.r, n); err != nil {
				return err
			}
			if _, err := c.r.Discard(2); err != nil || n == 0 {
				return err
			}
		}
	case strings.Contains(head, "Content-Length: "):
		_, v, _ := strings.Cut(head, "Content-Length: ")
		var n int64
		if _, err := fmt.Sscanf(v, "%d", &n); err != nil {
			return err
		}
		_, err := io.CopyN(to, c.r, n)
		return err
	}
	_, err := io.Copy(to, c.r)
	return err
}

// plainOrigin serves connections by a function until it returns false.
func plainOrigin(t testing.TB, serve func(c *plainConn, head string) bool) string {
	t.Helper()
	return testkit.Serve(t, "tcp", func(nc net.Conn) {
		c := &plainConn{nc, bufio.NewReader(nc)}
		for {
			head, err := c.head()
			if err != nil || !serve(c, head) {
				return
			}
		}
	})
}

// buffers are the ways in which a body may be held: in memory, in a file from the first byte, in both.
var buffers = []struct{ name, more string }{
	{"streaming", ""},
	{"memory", "buffer: {requests: true, responses: true, memory: 16MiB, file: 0}"},
	{"memory and file", "buffer: {requests: true, responses: true, memory: 256KiB, file: 64MiB}"},
	{"file", "buffer: {requests: true, responses: true, memory: 0, file: 64MiB}"},
}

// Uploads come out byte for byte as they went in, wherever they were held.
func TestUploads(t *testing.T) {
	origin := plainOrigin(t, func(c *plainConn, head string) bool {
		h := sha256.New()
		if c.body(head, h) != nil {
			return false
		}
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n%s", text(h))
		return true
	})
	for _, b := range buffers {
		t.Run(b.name, func(t *testing.T) {
			eachBody(t, func(t *testing.T, body loop.Config) {
				r := serveEdge(t, body, onePool(b.more, origin))
				c := dialPlain(t, r.addr)
				for i, n := range []int64{1, 15 << 10, 17 << 10, 128 << 10, 300<<10 + 1, 5 << 20} {
					for _, chunked := range []bool{false, true} {
						framing := fmt.Sprintf("Content-Length: %d\r\n\r\n", n)
						if chunked {
							framing = "Transfer-Encoding: chunked\r\n\r\n"
						}
						fmt.Fprint(c, wire(post)+framing)
						if err := sendBody(c, content(byte(i), n), chunked); err != nil {
							t.Fatal(err)
						}
						head, err := c.head()
						if err != nil || !strings.HasPrefix(head, "HTTP/1.1 200") {
							t.Fatalf("%d bytes, chunked %v: %v\n%s", n, chunked, err, head)
						}
						got := make([]byte, 64)
						if _, err := io.ReadFull(c.r, got); err != nil || string(got) != sum(content(byte(i), n)) {
							t.Fatalf("%d bytes, chunked %v: %s, %v", n, chunked, got, err)
						}
					}
				}
				wantNothingHeld(t, r)
			})
		})
	}
}

// wantNothingHeld fails if bodies are still held when no request is under way.
func wantNothingHeld(t testing.TB, r *running) {
	t.Helper()
	r.quiet()
	r.onLoops(func(l *local) {
		if l.spooled != 0 {
			t.Errorf("%d bytes of bodies are still held", l.spooled)
		}
	})
}

// slowly reads with pauses, so that what is in front of it has to hold more and less in turns.
type slowly struct {
	r io.Reader
	n int
}

func (s *slowly) Read(p []byte) (int, error) {
	if s.n++; s.n%64 == 0 {
		time.Sleep(time.Millisecond)
	}
	return s.r.Read(p[:min(len(p), 48<<10)])
}

// Downloads come out byte for byte as they went in, whatever the framing, wherever they were held.
func TestDownloads(t *testing.T) {
	origin := plainOrigin(t, func(c *plainConn, head string) bool {
		var n int64
		var seed byte
		var framing string
		if _, err := fmt.Sscanf(head, "GET /%d/%d/%s ", &seed, &n, &framing); err != nil {
			return false
		}
		switch framing {
		case "length":
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", n)
		case "chunked":
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		default:
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\n\r\n")
		}
		return sendBody(c, content(seed, n), framing == "chunked") == nil && framing != "close"
	})
	for _, b := range buffers {
		t.Run(b.name, func(t *testing.T) {
			eachBody(t, func(t *testing.T, body loop.Config) {
				r := serveEdge(t, body, onePool(b.more, origin))
				c := dialPlain(t, r.addr)
				for i, n := range []int64{0, 1, 15 << 10, 17 << 10, 128 << 10, 300<<10 + 1, 20 << 20} {
					for _, framing := range []string{"length", "chunked", "close"} {
						fmt.Fprintf(c, "GET /%d/%d/%s HTTP/1.1\r\nHost: a\r\n\r\n", i, n, framing)
						head, err := c.head()
						if err != nil || !strings.HasPrefix(head, "HTTP/1.1 200") {
							t.Fatalf("%d bytes, %s: %v\n%s", n, framing, err, head)
						}
						h := sha256.New()
						slow := &plainConn{c.Conn, bufio.NewReaderSize(&slowly{r: c.r}, 64<<10)}
						if n < 1<<20 {
							slow = c
						}
						if err := slow.body(head, h); err != nil || text(h) != sum(content(byte(i), n)) {
							t.Fatalf("%d bytes, %s: another body, %v", n, framing, err)
						}
					}
				}
				wantNothingHeld(t, r)
			})
		})
	}
}

// A server that reads and answers at the same time must not stand still with us.
func TestEcho(t *testing.T) {
	const size = 50 << 20
	origin := plainOrigin(t, func(c *plainConn, head string) bool {
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", size)
		_, err := io.CopyN(c, c.r, size)
		return err == nil
	})
	want := sum(content(7, size))
	for _, b := range buffers {
		t.Run(b.name, func(t *testing.T) {
			r := serveEdge(t, fibers, onePool(b.more, origin))
			c := dialPlain(t, r.addr)
			go func() {
				fmt.Fprint(c, wire(post)+fmt.Sprintf("Content-Length: %d\r\n\r\n", size))
				_, _ = io.Copy(c, content(7, size)) // an error shows at the other end
			}()
			head, err := c.head()
			if b.name == "memory" {
				if !strings.HasPrefix(head, "HTTP/1.1 200") { // it cannot be held, so it streams
					t.Fatalf("%v\n%s", err, head)
				}
			}
			h := sha256.New()
			if err := c.body(head, h); err != nil || text(h) != want {
				t.Fatalf("another body came back: %v\n%s", err, head)
			}
			wantNothingHeld(t, r)
		})
	}
}

// A chunked body that outgrows what may be held gets 413: nothing can be streamed any more then.
func TestBodyLargerThanTheBuffers(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		o := echo(t, "tcp")
		r := serveEdge(t, body, onePool("buffer: {requests: true, memory: 256KiB, file: 256KiB}", o.Address))
		c := testkit.Dial(t, r.addr)
		c.Send(wire(post + "Transfer-Encoding: chunked\n\n"))
		for range 20 {
			if c.TrySend("10000\r\n"+strings.Repeat("x", 0x10000)+"\r\n") != nil {
				break
			}
		}
		wantStatus(c, 413)
		wantNothingHeld(t, r)
	})
}

// The worker is free as soon as its answer is held: slow readers keep it from nobody.
func TestSlowReadersHoldNoWorker(t *testing.T) {
	const readers, size = 200, 1 << 20
	origin := plainOrigin(t, func(c *plainConn, head string) bool {
		n := int64(size)
		if strings.HasPrefix(head, "GET /small") {
			n = 10
		}
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", n)
		return sendBody(c, content(1, n), false) == nil
	})
	r := serveEdge(t, fibers, onePool("max_conn: 1, buffer: {responses: true, memory: 128KiB}", origin))
	var all []*plainConn
	for range readers {
		c := dialSmall(t, r.addr)
		fmt.Fprint(c, wire(get))
		all = append(all, c)
	}
	c := dialPlain(t, r.addr)
	began := time.Now()
	fmt.Fprint(c, wire("GET /small HTTP/1.1\nHost: a\n\n"))
	if head, err := c.head(); err != nil || !strings.HasPrefix(head, "HTTP/1.1 200") {
		t.Fatalf("%v %s", err, head)
	}
	t.Logf("the one behind %d slow readers waited for %v", readers, time.Since(began)) // of a minute until a reader is given up
	if s := r.Status(); s.Active < readers || s.Pools[0].Servers[0].Active > 1 {
		t.Errorf("%d readers, %d requests at the worker", s.Active, s.Pools[0].Servers[0].Active)
	}
	want := sum(content(1, size))
	for _, c := range all[:5] {
		head, err := c.head()
		if err != nil {
			t.Fatal(err)
		}
		h := sha256.New()
		if err := c.body(head, h); err != nil || text(h) != want {
			t.Fatalf("a slow reader got another body: %v", err)
		}
	}
	for _, c := range all {
		c.Close()
	}
	wantNothingHeld(t, r)
}

// Buffers that hold little or nothing make weir slower, not wrong.
func TestNoRoomToHold(t *testing.T) {
	origin := plainOrigin(t, func(c *plainConn, head string) bool {
		n := int64(100 << 10)
		if strings.HasPrefix(head, "GET /large") {
			n = 3 << 20
		}
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", n)
		return sendBody(c, content(3, n), false) == nil
	})
	for _, buffer := range []string{"memory: 0, file: 0", "memory: 128KiB, file: 0", "memory: 0, file: 64KiB", "memory: 0, file: 256KiB"} {
		t.Run(buffer, func(t *testing.T) {
			eachBody(t, func(t *testing.T, body loop.Config) {
				r := serveEdge(t, body, onePool("buffer: {responses: true, "+buffer+"}", origin))
				c := dialPlain(t, r.addr)
				for target, n := range map[string]int64{"/small": 100 << 10, "/large": 3 << 20} {
					fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", target)
					head, err := c.head()
					if err != nil {
						t.Fatal(err)
					}
					h := sha256.New()
					if err := c.body(head, h); err != nil || text(h) != sum(content(3, n)) {
						t.Fatalf("%s: another body, %v\n%s", target, err, head)
					}
				}
				wantNothingHeld(t, r)
			})
		})
	}
}

// A server is bothered only when the body is there, wherever it is held.
func TestBodiesAreCollected(t *testing.T) {
	for _, b := range buffers[1:] {
		t.Run(b.name, func(t *testing.T) {
			eachBody(t, func(t *testing.T, body loop.Config) {
				o := echo(t, "tcp")
				r := serveEdge(t, body, onePool(b.more, o.Address))
				c := testkit.Dial(t, r.addr)
				half := strings.Repeat("x", 300<<10)
				c.Send(wire(post+"Content-Length: 614400\n\n") + half)
				c.Silent(20 * time.Millisecond)
				if o.Connections() != 0 {
					t.Error("a server was asked before the body was there")
				}
				c.Send(half)
				if m := wantStatus(c, 200); m.Body != "POST / "+half+half {
					t.Errorf("the server got another body")
				}
			})
		})
	}
}

// A client that goes away while its answer is buffered ends the work for it, wherever that stands just then.
func TestClientLeavesDownload(t *testing.T) {
	for _, b := range buffers {
		t.Run(b.name, func(t *testing.T) {
			eachBody(t, func(t *testing.T, body loop.Config) {
				origin := plainOrigin(t, func(c *plainConn, head string) bool {
					fmt.Fprint(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
					return sendBody(c, content(3, 8<<20), true) == nil
				})
				r := serveEdge(t, body, onePool(b.more, origin))
				for i := range 20 {
					c := dialPlain(t, r.addr)
					fmt.Fprint(c, wire(get))
					if _, err := io.CopyN(io.Discard, c.r, int64(i)*100_000); err != nil {
						t.Fatal(err)
					}
					c.Close()
				}
				wantNothingHeld(t, r)
				if s := r.Status(); s.Panics != 0 {
					t.Errorf("%d panics", s.Panics)
				}
			})
		})
	}
}
