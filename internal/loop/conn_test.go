package loop

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// every runs a test on both bodies, over TCP and over a Unix socket.
func every(t *testing.T, cfg Config, f func(t *testing.T, e *Engine, listen listenFunc)) {
	bodies(t, cfg, func(t *testing.T, e *Engine) {
		both(t, func(t *testing.T, listen listenFunc) { f(t, e, listen) })
	})
}

// soon is a short deadline from now, on the loop.
func soon(l *Loop) Time { return l.Now() + Time(30*time.Millisecond) }

// mustDial is Dial for tests, without a deadline.
func mustDial(t testing.TB, task *Task, to Addr) *Conn {
	c, err := task.Loop().Dial(task, to, 0)
	if err != nil {
		t.Error(err)
		panic(err)
	}
	return c
}

// lots is more than any socket takes.
var lots = make([]byte, 64<<20)

func TestEcho(t *testing.T) {
	every(t, Config{Loops: 2}, func(t *testing.T, e *Engine, listen listenFunc) {
		addr := listen(t, e.Loops()[0], serve(echo))
		ask(t, dial(t, addr), "hello")
		within(t, e.Loops()[1], func(task *Task) {
			c := mustDial(t, task, addr)
			defer c.Close()
			for range 1000 {
				ask(t, c, "from a task")
			}
		})
	})
}

func TestLargeTransfers(t *testing.T) {
	const size = 24 << 20
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i * 7 >> 3)
	}
	want := sha256.Sum256(data)
	every(t, Config{Loops: 2}, func(t *testing.T, e *Engine, listen listenFunc) {
		got := make(chan [32]byte, 1)
		addr := listen(t, e.Loops()[0], serve(func(task *Task, c *Conn) {
			h := sha256.New()
			n, err := io.Copy(h, readerOnly{c})
			if err != nil || n != size {
				t.Errorf("received %d bytes: %v", n, err)
			}
			got <- [32]byte(h.Sum(nil))
			if _, err := c.Write2(data[:100], data[100:]); err != nil {
				t.Error(err)
			}
		}))
		within(t, e.Loops()[1], func(task *Task) {
			c := mustDial(t, task, addr)
			defer c.Close()
			if n, err := c.Write(data); n != size || err != nil {
				t.Errorf("wrote %d bytes: %v", n, err)
			}
			if err := c.CloseWrite(); err != nil {
				t.Error(err)
			}
			back, err := io.ReadAll(readerOnly{c})
			if err != nil || !bytes.Equal(back, data) {
				t.Errorf("got %d bytes back: %v", len(back), err)
			}
		})
		if <-got != want {
			t.Error("what arrived is not what was sent")
		}
	})
}

// Many pieces, empty ones among them, arrive in order although the socket is full most of the time.
func TestWriteAll(t *testing.T) {
	const size = 9 << 20
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i * 5 >> 2)
	}
	every(t, Config{Loops: 2}, func(t *testing.T, e *Engine, listen listenFunc) {
		addr := listen(t, e.Loops()[0], serve(func(task *Task, c *Conn) {
			var pieces [][]byte
			for at, n := 0, 1; at < size; n = n * 7919 % 70001 {
				end := min(size, at+n)
				pieces = append(pieces, data[at:end], nil)
				at = end
			}
			if n, err := c.WriteAll(pieces); n != size || err != nil {
				t.Errorf("wrote %d bytes: %v", n, err)
			}
			if n, err := c.WriteAll(nil); n != 0 || err != nil {
				t.Errorf("wrote %d bytes of nothing: %v", n, err)
			}
		}))
		within(t, e.Loops()[1], func(task *Task) {
			c := mustDial(t, task, addr)
			defer c.Close()
			if got, err := io.ReadAll(readerOnly{c}); err != nil || !bytes.Equal(got, data) {
				t.Errorf("got %d bytes: %v", len(got), err)
			}
			c.WriteBy(1)
			if _, err := c.WriteAll([][]byte{data}); err != ErrTimeout {
				t.Errorf("a write after its time: %v", err)
			}
		})
	})
}

type readerOnly struct{ io.Reader }

// One task reads while another writes, and the socket is full most of the time.
func TestReadAndWriteAtOnce(t *testing.T) {
	const size = 8 << 20
	every(t, Config{Loops: 2}, func(t *testing.T, e *Engine, listen listenFunc) {
		addr := listen(t, e.Loops()[0], serve(echo))
		wrote := make(chan struct{})
		within(t, e.Loops()[1], func(task *Task) {
			c := mustDial(t, task, addr)
			defer c.Close()
			task.Loop().Go(runFunc(func(*Task) {
				defer close(wrote)
				if _, err := c.Write(make([]byte, size)); err != nil {
					t.Error(err)
				}
			}))
			if n, err := io.CopyN(io.Discard, readerOnly{c}, size); err != nil {
				t.Errorf("after %d bytes: %v", n, err)
			}
		})
		await(t, wrote, "the writer")
	})
}

func TestHalfClose(t *testing.T) {
	every(t, Config{}, func(t *testing.T, e *Engine, listen listenFunc) {
		addr := listen(t, e.Loops()[0], serve(func(task *Task, c *Conn) {
			b, err := io.ReadAll(readerOnly{c})
			if err != nil {
				t.Error(err)
			}
			if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Errorf("read again after the end: %d, %v", n, err)
			}
			if _, err := c.Write(b); err != nil {
				t.Error(err)
			}
		}))
		c := dial(t, addr)
		io.WriteString(c, "question")
		if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(c)
		if err != nil || string(got) != "question" {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

// Data and FIN told by one event: the read that takes the data is short, and the end must be seen all the same.
func TestShortReadBeforeEnd(t *testing.T) {
	every(t, Config{}, func(t *testing.T, e *Engine, listen listenFunc) {
		accepted := make(chan *Conn, 1)
		addr := listen(t, e.Loops()[0], acceptFunc(func(c *Conn) { accepted <- c }))
		for range 20 {
			c := dial(t, addr)
			io.WriteString(c, "last words")
			c.Close()
			conn := <-accepted
			within(t, e.Loops()[0], func(task *Task) {
				b, err := io.ReadAll(readerOnly{conn})
				if err != nil || string(b) != "last words" {
					t.Errorf("got %q, %v", b, err)
				}
				conn.Close()
			})
		}
	})
}

func TestReset(t *testing.T) {
	bodies(t, Config{}, func(t *testing.T, e *Engine) {
		reset := make(chan error, 1)
		addr := listenTCP(t, e.Loops()[0], serve(func(task *Task, c *Conn) {
			_, err := c.Read(make([]byte, 1))
			if err == nil { // "r": be reset; then reset
				_, err = c.Read(make([]byte, 1))
			}
			reset <- err
			c.Reset()
		}))

		c := dial(t, addr)
		io.WriteString(c, "r")
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
		if err := <-reset; !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("read from a reset connection: %v", err)
		}

		c = dial(t, addr)
		io.WriteString(c, "12")
		<-reset
		if _, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the peer of a connection that was reset got: %v", err)
		}
	})
}

func TestWriteToOneThatIsGone(t *testing.T) {
	every(t, Config{}, func(t *testing.T, e *Engine, listen listenFunc) {
		result := make(chan error, 1)
		addr := listen(t, e.Loops()[0], serve(func(task *Task, c *Conn) {
			var err error
			for end := time.Now().Add(patience); err == nil && time.Now().Before(end); {
				_, err = c.Write(make([]byte, 1<<16))
			}
			result <- err
		}))
		dial(t, addr).Close()
		if err := <-result; !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("got %v", err)
		}
	})
}

func TestDeadlines(t *testing.T) {
	every(t, Config{}, func(t *testing.T, e *Engine, listen listenFunc) {
		addr := listen(t, e.Loops()[0], acceptFunc(func(c *Conn) {})) // accepts and does nothing
		l := e.Loops()[0]
		isTimeout := func(what string, err error) {
			t.Helper()
			var ne net.Error
			if err != ErrTimeout || !errors.As(err, &ne) || !ne.Timeout() {
				t.Errorf("%s: got %v", what, err)
			}
		}
		within(t, l, func(task *Task) {
			c := mustDial(t, task, addr)
			defer c.Close()
			b := make([]byte, 1)

			at := soon(l)
			c.ReadBy(at)
			_, err := c.Read(b)
			isTimeout("read", err)
			if l.Now() < at || l.Now() > at+Time(2*time.Second) {
				t.Errorf("the deadline was %v off", time.Duration(l.Now()-at))
			}
			_, err = c.Read(b)
			isTimeout("read after the deadline", err)

			// Postponed, so that the timer's first firing is not the deadline.
			c.ReadBy(soon(l))
			c.ReadBy(soon(l) + Time(40*time.Millisecond))
			_, err = c.Read(b)
			isTimeout("postponed", err)

			c.WriteBy(soon(l))
			n, err := c.Write(lots)
			isTimeout("write", err)
			if n == 0 {
				t.Error("nothing was written before the deadline")
			}
			if err := c.SetDeadline(time.Now().Add(-time.Second)); err != nil {
				t.Error(err)
			}
			_, err = c.Read(b)
			isTimeout("read by the past", err)
			_, err = c.Write(b)
			isTimeout("write by the past", err)
			c.SetDeadline(time.Time{})
			c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
			_, err = c.Read(b)
			isTimeout("SetReadDeadline", err)
		})
	})
}

// Deadlines set while a read and a write wait.
func TestDeadlineUnderWay(t *testing.T) {
	every(t, Config{}, func(t *testing.T, e *Engine, listen listenFunc) {
		addr := listen(t, e.Loops()[0], acceptFunc(func(c *Conn) {}))
		l := e.Loops()[0]
		for name, set := range map[string]func(c *Conn){
			"soon":    func(c *Conn) { c.ReadBy(soon(l)); c.WriteBy(soon(l)) },
			"past":    func(c *Conn) { c.ReadBy(1); c.WriteBy(1) },
			"earlier": func(c *Conn) { c.SetDeadline(time.Now().Add(20 * time.Millisecond)) },
		} {
			done := make(chan struct{})
			within(t, l, func(task *Task) {
				c := mustDial(t, task, addr)
				if name == "earlier" {
					c.ReadBy(l.Now() + Time(time.Hour))
					c.WriteBy(l.Now() + Time(time.Hour))
				}
				l.Go(runFunc(func(task *Task) {
					defer close(done)
					if _, err := c.Write(lots); err != ErrTimeout {
						t.Errorf("%s: write: %v", name, err)
					}
				}))
				l.Go(runFunc(func(task *Task) {
					task.Sleep(20 * time.Millisecond)
					set(c)
				}))
				if _, err := c.Read(make([]byte, 1)); err != ErrTimeout {
					t.Errorf("%s: read: %v", name, err)
				}
				task.Do(func() { await(t, done, "the writer") })
				c.Close()
			})
		}
	})
}

func TestCloseWakes(t *testing.T) {
	every(t, Config{}, func(t *testing.T, e *Engine, listen listenFunc) {
		l := e.Loops()[0]
		addr := listen(t, l, acceptFunc(func(c *Conn) {}))
		wrote, read := make(chan error, 1), make(chan error, 1)
		within(t, l, func(task *Task) {
			c := mustDial(t, task, addr)
			l.Go(runFunc(func(*Task) { _, err := c.Write(lots); wrote <- err }))
			l.Go(runFunc(func(*Task) { _, err := c.Read(make([]byte, 1)); read <- err }))
			task.Sleep(20 * time.Millisecond)
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			if err := c.Close(); err != ErrClosed {
				t.Errorf("closed again: %v", err)
			}
			for what, err := range map[string]error{
				"CloseWrite": c.CloseWrite(),
				"Reset":      c.Reset(),
				"Watch":      c.Watch(task, true),
			} {
				if err != ErrClosed {
					t.Errorf("%s of a closed connection: %v", what, err)
				}
			}
		})
		if err := <-wrote; err != ErrClosed {
			t.Errorf("write: %v", err)
		}
		if err := <-read; err != ErrClosed {
			t.Errorf("read: %v", err)
		}
	})
}

func TestAddresses(t *testing.T) {
	every(t, Config{}, func(t *testing.T, e *Engine, listen listenFunc) {
		accepted := make(chan *Conn, 1)
		addr := listen(t, e.Loops()[0], acceptFunc(func(c *Conn) { accepted <- c }))
		out := dial(t, addr)
		c := <-accepted
		within(t, e.Loops()[0], func(task *Task) {
			if got, want := c.RemoteAddr().String(), out.LocalAddr().String(); got != want && addr.Unix == "" {
				t.Errorf("the peer is %s, want %s", got, want)
			}
			if got, want := c.LocalAddr().String(), out.RemoteAddr().String(); got != want {
				t.Errorf("we are %s, want %s", got, want)
			}
			if got := c.Peer(); addr.Unix == "" && got.String() != out.LocalAddr().String() || addr.Unix != "" && got.IsValid() {
				t.Errorf("Peer: %s", got)
			}
			if c.Loop() != e.Loops()[0] {
				t.Error("another loop's")
			}
			c.Close()
			_ = c.LocalAddr() // of a closed connection: anything but a panic
			_ = c.RemoteAddr()
		})
	})
}

func TestSendFile(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<19) // 8 MiB
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	every(t, Config{}, func(t *testing.T, e *Engine, listen listenFunc) {
		const off = 5
		size := int64(len(data)) - off
		addr := listen(t, e.Loops()[0], serve(func(task *Task, c *Conn) {
			if n, err := c.SendFile(task, f, off, size); n != size || err != nil {
				t.Errorf("sent %d, %v", n, err)
			}
			if n, err := c.SendFile(task, f, 3, 70_000); n != 70_000 || err != nil {
				t.Errorf("sent %d of a small part: %v", n, err)
			}
			if n, err := c.SendFile(task, f, size, 100); n != off || err != io.ErrUnexpectedEOF {
				t.Errorf("sent %d beyond the end: %v", n, err)
			}
		}))
		got, err := io.ReadAll(dial(t, addr))
		if want := slices.Concat(data[off:], data[3:70_003], data[size:]); err != nil || !bytes.Equal(got, want) {
			t.Errorf("got %d bytes, %v", len(got), err)
		}
	})
}

// The connection is closed, and its deadline reached, while the file is being sent.
func TestSendFileCut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, lots, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	every(t, Config{}, func(t *testing.T, e *Engine, listen listenFunc) {
		l := e.Loops()[0]
		addr := listen(t, l, acceptFunc(func(c *Conn) {}))
		within(t, l, func(task *Task) {
			c := mustDial(t, task, addr)
			c.WriteBy(soon(l))
			if n, err := c.SendFile(task, f, 0, 64<<20); err != ErrTimeout || n == 0 {
				t.Errorf("sent %d, %v", n, err)
			}
			c.Close()

			c = mustDial(t, task, addr)
			l.Go(runFunc(func(task *Task) {
				task.Sleep(10 * time.Millisecond)
				c.Close()
			}))
			if _, err := c.SendFile(task, f, 0, 64<<20); err != ErrClosed && !errors.Is(err, syscall.EPIPE) {
				t.Errorf("closed: %v", err)
			}
		})
	})
}

// Outside a task nothing waits.
func TestReadInCallback(t *testing.T) {
	every(t, Config{}, func(t *testing.T, e *Engine, listen listenFunc) {
		result := make(chan error, 1)
		addr := listen(t, e.Loops()[0], acceptFunc(func(c *Conn) {
			_, err := c.Read(make([]byte, 1))
			result <- err
		}))
		dial(t, addr)
		if err := <-result; err != syscall.EAGAIN {
			t.Errorf("got %v", err)
		}
	})
}

// A fast peer must not keep the others of a loop waiting.
func TestFairness(t *testing.T) {
	every(t, Config{Loops: 2}, func(t *testing.T, e *Engine, listen listenFunc) {
		addr := listen(t, e.Loops()[0], serve(func(task *Task, c *Conn) {
			b := make([]byte, 512)
			for {
				if _, err := c.Read(b); err != nil {
					return
				}
			}
		}))
		stop, begun, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
		begin(e.Loops()[1], func(task *Task) { // floods
			defer close(ended)
			c := mustDial(t, task, addr)
			defer c.Close()
			close(begun)
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := c.Write(lots[:1<<20]); err != nil {
					t.Error(err)
					return
				}
			}
		})
		await(t, begun, "the flood")
		c := dial(t, listen(t, e.Loops()[0], serve(echo)))
		for range 100 {
			ask(t, c, "and me?")
		}
		close(stop)
		await(t, ended, "the end of the flood")
	})
}
