package loop

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// tlsServer accepts TLS outside of the engine; serve has the connection and what lies below it.
func tlsServer(t *testing.T, cfg *tls.Config, serve func(c *tls.Conn, below net.Conn)) Addr {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			c.SetDeadline(time.Now().Add(patience))
			serve(tls.Server(c, cfg), c)
			c.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); await(t, done, "the server") })
	return Addr{Unix: path}
}

func secureSides(t *testing.T) (server, client *tls.Config) {
	cert, pool := selfSigned(t)
	return &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}},
		&tls.Config{RootCAs: pool, ServerName: "weir.test", NextProtos: []string{"http/1.1"}, ClientSessionCache: tls.NewLRUClientSessionCache(4)}
}

func secured1(t testing.TB, task *Task, to Addr, cfg *tls.Config) *Conn {
	t.Helper()
	c := mustDial(t, task, to)
	if err := c.Secure(cfg, 0); err != nil {
		t.Errorf("handshake: %v", err)
	}
	return c
}

// Everything that writes arrives, in both directions at a time, from two tasks.
func TestSecured(t *testing.T) {
	server, client := secureSides(t)
	file := filepath.Join(t.TempDir(), "f")
	text := bytes.Repeat([]byte("0123456789abcde\n"), 64<<10)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	addr := tlsServer(t, server, func(c *tls.Conn, _ net.Conn) {
		if _, err := io.Copy(writerOnly{c}, readerOnly{c}); err != nil {
			t.Errorf("server: %v", err)
		}
		c.CloseWrite()
	})
	bodies(t, Config{}, func(t *testing.T, e *Engine) {
		within(t, e.Loops()[0], func(task *Task) {
			c := secured1(t, task, addr, client)
			defer c.Close()
			if p, ok := c.Secured(); p != "http/1.1" || !ok {
				t.Errorf("agreed on %q, %v", p, ok)
			}
			want := append([]byte("one"), "twothree"...)
			want = append(want, text...)
			want = append(append(want, text...), text[5:77]...)
			task.Loop().Go(runFunc(func(task *Task) {
				c.Write([]byte("one"))
				c.Write2([]byte("two"), []byte("three"))
				pieces := [][]byte{nil, text[:1000], text[1000:], nil}
				if n, err := c.WriteAll(pieces); n != int64(len(text)) || err != nil || len(pieces[2]) != 0 {
					t.Errorf("WriteAll: %d, %v, %d left", n, err, len(pieces[2]))
				}
				if n, err := c.SendFile(task, f, 0, int64(len(text))); n != int64(len(text)) || err != nil {
					t.Errorf("SendFile: %d, %v", n, err)
				}
				if n, err := c.SendFile(task, f, 5, 72); n != 72 || err != nil {
					t.Errorf("SendFile: %d, %v", n, err)
				}
				if _, err := c.SendFile(task, f, int64(len(text))-1, 2); err != io.ErrUnexpectedEOF {
					t.Errorf("beyond the end: %v", err)
				}
				c.CloseWrite()
			}))
			got, err := io.ReadAll(readerOnly{c})
			if want = append(want, text[len(text)-1]); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes of %d came back: %v", len(got), len(want), err)
			}
		})
	})
}

// A connection that is cut off below TLS is no end of what was being sent.
func TestSecuredTruncation(t *testing.T) {
	server, client := secureSides(t)
	for name, row := range map[string]struct {
		end  func(c *tls.Conn, below net.Conn)
		want error
	}{
		"closed":              {func(c *tls.Conn, _ net.Conn) { c.Close() }, nil},
		"cut off":             {func(c *tls.Conn, below net.Conn) { below.Close() }, io.ErrUnexpectedEOF},
		"cut off in a record": {func(c *tls.Conn, below net.Conn) { below.Write([]byte("\x17\x03\x03\x01\x00half")); below.Close() }, io.ErrUnexpectedEOF},
	} {
		t.Run(name, func(t *testing.T) {
			addr := tlsServer(t, server, func(c *tls.Conn, below net.Conn) {
				c.Read(make([]byte, 2))
				io.WriteString(c, "part")
				row.end(c, below)
			})
			bodies(t, Config{}, func(t *testing.T, e *Engine) {
				within(t, e.Loops()[0], func(task *Task) {
					c := secured1(t, task, addr, client)
					defer c.Close()
					c.Write([]byte("go"))
					if got, err := io.ReadAll(readerOnly{c}); string(got) != "part" || err != row.want {
						t.Errorf("%q, %v, want %v", got, err, row.want)
					}
				})
			})
		})
	}
}

// A peer that makes crypto/tls answer while a write waits for room does not stop the loop.
func TestSecuredAnswerWhileWriting(t *testing.T) {
	server, client := secureSides(t)
	stop := make(chan struct{})
	addr := tlsServer(t, server, func(c *tls.Conn, below net.Conn) {
		c.Read(make([]byte, 2))
		<-stop                                                                   // until nothing more can be written to us
		below.Write(append([]byte("\x17\x03\x03\x00\x40"), make([]byte, 64)...)) // is answered by an alert
		<-stop
	})
	bodies(t, Config{}, func(t *testing.T, e *Engine) {
		l := e.Loops()[0]
		c := make(chan *Conn, 1)
		read, wrote := make(chan error, 1), make(chan error, 1)
		begin(l, func(task *Task) {
			conn := secured1(t, task, addr, client)
			conn.Write([]byte("go"))
			task.Loop().Go(runFunc(func(*Task) {
				_, err := conn.Read(make([]byte, 1))
				read <- err
			}))
			task.Loop().Go(runFunc(func(*Task) {
				_, err := conn.Write(make([]byte, 16<<20))
				wrote <- err
			}))
			c <- conn
		})
		conn := <-c
		eventually(t, "the write waits", func() bool {
			waits := false
			within(t, l, func(*Task) { waits = conn.writer != nil })
			return waits
		})
		stop <- struct{}{}
		if err := <-read; err == nil {
			t.Error("garbage was read")
		}
		within(t, l, func(*Task) { conn.Close() })
		// If the peer's kernel took a little more meanwhile, the write ended between two records, by the alert.
		if err := <-wrote; !errors.Is(err, ErrClosed) && (err == nil || !strings.Contains(err.Error(), "bad record MAC")) {
			t.Errorf("the write ended with %v", err)
		}
		stop <- struct{}{}
	})
}

// A write that times out after some progress can be gone on with, and nothing is sent twice or left out.
func TestSecuredSlowPeer(t *testing.T) {
	server, client := secureSides(t)
	got := make(chan []byte, 1)
	addr := tlsServer(t, server, func(c *tls.Conn, below net.Conn) {
		below.(*net.UnixConn).SetReadBuffer(4 << 10)
		var all []byte
		b := make([]byte, 3000)
		for {
			n, err := c.Read(b)
			all = append(all, b[:n]...)
			if err != nil {
				break
			}
			time.Sleep(50 * time.Microsecond)
		}
		got <- all
	})
	want := make([]byte, 4<<20)
	for i := range want {
		want[i] = byte(i * i >> 7)
	}
	bodies(t, Config{}, func(t *testing.T, e *Engine) {
		timeouts := 0
		within(t, e.Loops()[0], func(task *Task) {
			c := secured1(t, task, addr, client)
			defer c.Close()
			l := task.Loop()
			for a := want; len(a) > 0; {
				c.WriteBy(l.Now() + int64(time.Millisecond))
				n, err := c.Write2(a[:len(a)/2], a[len(a)/2:])
				if err != nil && !errors.Is(err, ErrTimeout) {
					t.Error(err)
					return
				}
				if err != nil {
					timeouts++
				}
				a = a[n:]
			}
			c.WriteBy(0)
			c.CloseWrite()
		})
		if all := <-got; !bytes.Equal(all, want) {
			t.Errorf("%d bytes of %d arrived, or others", len(all), len(want))
		}
		t.Logf("%d timeouts", timeouts)
	})
}

// Session tickets that come while a connection rests do not end the rest; anything else does.
func TestSecuredRest(t *testing.T) {
	server, client := secureSides(t)
	next := make(chan string)
	addr := tlsServer(t, server, func(c *tls.Conn, below net.Conn) {
		if err := c.Handshake(); err != nil { // sends tickets
			t.Error(err)
		}
		switch <-next {
		case "data":
			io.WriteString(c, "x")
		case "close":
			c.Close()
		case "cut":
			below.Close()
		}
		<-next
	})
	bodies(t, Config{}, func(t *testing.T, e *Engine) {
		l := e.Loops()[0]
		for _, what := range []string{"data", "close", "cut"} {
			var c *Conn
			within(t, l, func(task *Task) { c = secured1(t, task, addr, client) })
			how := restOnce(l, c, nil)
			next <- what
			isNow(t, how, "ready")
			within(t, l, func(task *Task) {
				b := make([]byte, 4)
				n, err := c.Read(b)
				if what == "data" && (n != 1 || b[0] != 'x') || what != "data" && err == nil {
					t.Errorf("%s: %q, %v", what, b[:n], err)
				}
				c.Close()
			})
			next <- ""
		}
		var c *Conn
		within(t, l, func(task *Task) { c = secured1(t, task, addr, client) })
		how := restOnce(l, c, func() Time { return soon(l) })
		isNow(t, how, "expired")
		within(t, l, func(task *Task) {
			if !c.Alive() {
				t.Error("it is not alive")
			}
			c.Close()
		})
		next <- "nothing"
		next <- ""
	})
}

// Handshakes that do not come about end in an error, at the deadline at the latest.
func TestSecureFails(t *testing.T) {
	server, client := secureSides(t)
	stranger := client.Clone()
	stranger.ServerName = "other.test"
	type row struct {
		client *tls.Config
		serve  func(c *tls.Conn, below net.Conn)
		is     func(error) bool
	}
	fails := func(err error) bool { return err != nil }
	for name, row := range map[string]row{
		"silence":  {client, func(_ *tls.Conn, below net.Conn) { io.Copy(io.Discard, below) }, func(err error) bool { return errors.Is(err, ErrTimeout) }},
		"dripping": {client, func(_ *tls.Conn, below net.Conn) { below.Write([]byte("\x16\x03\x03")); io.Copy(io.Discard, below) }, func(err error) bool { return errors.Is(err, ErrTimeout) }},
		"plain HTTP": {client, func(_ *tls.Conn, below net.Conn) {
			below.Read(make([]byte, 1))
			io.WriteString(below, "HTTP/1.1 400 Bad Request\r\n\r\n")
		}, func(err error) bool { return errors.As(err, new(tls.RecordHeaderError)) }},
		"garbage": {client, func(_ *tls.Conn, below net.Conn) {
			below.Write(bytes.Repeat([]byte{0x16, 3, 3, 0, 4, 9, 9, 9, 9}, 1000))
		}, fails},
		"closes":     {client, func(_ *tls.Conn, below net.Conn) {}, fails},
		"wrong name": {stranger, func(c *tls.Conn, _ net.Conn) { c.Handshake() }, func(err error) bool { return errors.As(err, new(*tls.CertificateVerificationError)) }},
	} {
		t.Run(name, func(t *testing.T) {
			addr := tlsServer(t, server, row.serve)
			bodies(t, Config{}, func(t *testing.T, e *Engine) {
				within(t, e.Loops()[0], func(task *Task) {
					c := mustDial(t, task, addr)
					defer c.Close()
					by := task.Loop().Now() + int64(200*time.Millisecond)
					if name != "silence" && name != "dripping" {
						by = 0
					}
					if err := c.Secure(row.client, by); !row.is(err) {
						t.Errorf("%T %v", err, err)
					}
				})
			})
		})
	}
}

// A close is told to the peer.
func TestSecuredClose(t *testing.T) {
	server, client := secureSides(t)
	end := make(chan error, 1)
	addr := tlsServer(t, server, func(c *tls.Conn, _ net.Conn) {
		_, err := io.ReadAll(c)
		end <- err
	})
	for resumed := range 2 { // the second handshake goes by a ticket of the first
		e := startEngine(t, Config{})
		within(t, e.Loops()[0], func(task *Task) {
			c := secured1(t, task, addr, client)
			c.Write([]byte("hello"))
			if is := c.sec.tls.ConnectionState().DidResume; is != (resumed == 1) {
				t.Errorf("connection %d is resumed: %v", resumed, is)
			}
			c.ReadBy(soon(task.Loop()))
			c.Read(make([]byte, 1)) // takes tickets in
			c.Close()
		})
		if err := <-end; err != nil {
			t.Errorf("the peer saw %v", err)
		}
	}
}

// What TLS costs in allocations for a request and an answer on a kept connection.
func BenchmarkSecured(b *testing.B) {
	cert, pool := selfSigned(&testing.T{})
	cfg := &tls.Config{RootCAs: pool, ServerName: "weir.test"}
	ln, err := net.Listen("unix", filepath.Join(b.TempDir(), "s"))
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	go func() {
		nc, err := ln.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		c := tls.Server(nc, &tls.Config{Certificates: []tls.Certificate{cert}})
		io.Copy(writerOnly{c}, readerOnly{c})
	}()
	e := startEngine(b, Config{})
	within(b, e.Loops()[0], func(task *Task) {
		c := secured1(b, task, Addr{Unix: ln.Addr().String()}, cfg)
		defer c.Close()
		out, body, in := make([]byte, 300), make([]byte, 700), make([]byte, 4096)
		b.ReportAllocs()
		b.ResetTimer()
		for range b.N {
			if _, err := c.Write2(out, body); err != nil {
				b.Error(err)
				return
			}
			for n := 0; n < 1000; {
				m, err := c.Read(in)
				if err != nil {
					b.Error(err)
					return
				}
				n += m
			}
		}
	})
}
