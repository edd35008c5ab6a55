package loop

import (
	"io"
	"net"
	"testing"
	"time"
)

// restOnce rests c and returns how that ends.
func restOnce(l *Loop, c *Conn, until func() Time) <-chan string {
	how := make(chan string, 4)
	l.Post(func() {
		at := Time(0)
		if until != nil {
			at = until()
		}
		c.Rest(restFuncs{
			ready:   func(*Conn) { how <- "ready" },
			expired: func(*Conn) { how <- "expired" },
		}, at)
	})
	return how
}

func isNow(t *testing.T, how <-chan string, want string) {
	t.Helper()
	select {
	case got := <-how:
		if got != want {
			t.Errorf("the rest ended by %s, want %s", got, want)
		}
	case <-time.After(patience):
		panicWithStacks()
	}
}

func TestRest(t *testing.T) {
	every(t, Config{}, func(t *testing.T, e *Engine, listen listenFunc) {
		l := e.Loops()[0]
		accepted := make(chan *Conn, 1)
		addr := listen(t, l, acceptFunc(func(c *Conn) { accepted <- c }))
		connect := func() (net.Conn, *Conn) {
			c := dial(t, addr)
			return c, <-accepted
		}
		quick := func() Time { return soon(l) }
		reads := func(c *Conn, want string, wantErr error) {
			t.Helper()
			within(t, l, func(task *Task) {
				b := make([]byte, len(want)+1)
				n, err := io.ReadFull(readerOnly{c}, b[:max(len(want), 1)])
				if string(b[:n]) != want || err != wantErr {
					t.Errorf("read %q, %v; want %q, %v", b[:n], err, want, wantErr)
				}
			})
		}

		t.Run("ready", func(t *testing.T) {
			out, c := connect()
			how := restOnce(l, c, nil)
			io.WriteString(out, "abc")
			isNow(t, how, "ready")
			reads(c, "abc", nil)

			how = restOnce(l, c, quick) // again, and with a time that is not reached
			io.WriteString(out, "d")
			isNow(t, how, "ready")
			reads(c, "d", nil)
		})
		t.Run("ready before it began", func(t *testing.T) {
			out, c := connect()
			io.WriteString(out, "abc")
			reads(c, "a", nil) // full, so there may be more
			isNow(t, restOnce(l, c, nil), "ready")
			reads(c, "bc", nil)
		})
		t.Run("full read, then nothing", func(t *testing.T) {
			out, c := connect()
			io.WriteString(out, "abc")
			within(t, l, func(task *Task) {
				b := make([]byte, 3)
				if _, err := io.ReadFull(readerOnly{c}, b); err != nil {
					t.Error(err)
				}
			})
			isNow(t, restOnce(l, c, quick), "expired")
		})
		t.Run("expired", func(t *testing.T) {
			out, c := connect()
			isNow(t, restOnce(l, c, quick), "expired")
			how := restOnce(l, c, nil) // can be used and rested again
			io.WriteString(out, "x")
			isNow(t, how, "ready")
			reads(c, "x", nil)
		})
		t.Run("expired at a past time", func(t *testing.T) {
			_, c := connect()
			isNow(t, restOnce(l, c, func() Time { return 1 }), "expired")
		})
		t.Run("closed by the peer", func(t *testing.T) {
			out, c := connect()
			how := restOnce(l, c, nil)
			out.Close()
			isNow(t, how, "ready")
			reads(c, "", io.EOF)
			isNow(t, restOnce(l, c, nil), "ready") // and it stays so
		})
		t.Run("closed by us", func(t *testing.T) {
			_, c := connect()
			how := restOnce(l, c, quick)
			within(t, l, func(task *Task) {
				c.Close()
				task.Sleep(60 * time.Millisecond)
				c.Rest(restFuncs{}, 1)
			})
			select {
			case got := <-how:
				t.Errorf("told: %s", got)
			default:
			}
		})
		t.Run("unrest", func(t *testing.T) {
			out, c := connect()
			how := restOnce(l, c, quick)
			within(t, l, func(task *Task) {
				if !c.Unrest() {
					t.Error("Unrest says that it cannot be used")
				}
				task.Sleep(60 * time.Millisecond) // beyond the time of the rest
				if _, err := c.Write([]byte("q")); err != nil {
					t.Error(err)
				}
				expect(t, out, "q")
				io.WriteString(out, "a")
				expect(t, c, "a")
			})
			select {
			case got := <-how:
				t.Errorf("told: %s", got)
			default:
			}
		})
		t.Run("unrest of one that was sent to", func(t *testing.T) {
			out, c := connect()
			reached := make(chan bool, 1)
			within(t, l, func(task *Task) {
				c.Rest(restFuncs{func(*Conn) { reached <- true }, func(*Conn) {}}, 0)
				io.WriteString(out, "early")
			})
			<-reached
			within(t, l, func(task *Task) {
				if c.Unrest() {
					t.Error("Unrest says that it can be used")
				}
			})
		})
		t.Run("unrest of one that the peer closed", func(t *testing.T) {
			out, c := connect()
			how := restOnce(l, c, nil)
			out.Close()
			isNow(t, how, "ready")
			within(t, l, func(task *Task) {
				c.Rest(restFuncs{func(*Conn) { t.Error("told after Unrest") }, func(*Conn) {}}, 0)
				if c.Unrest() {
					t.Error("Unrest says that it can be used")
				}
				c.Close()
				if c.Unrest() {
					t.Error("closed")
				}
			})
		})
	})
}

// A callback may close other connections whose events wait in the same batch, and new ones may get their descriptors.
func TestRestersThatCloseEachOther(t *testing.T) {
	bodies(t, Config{}, func(t *testing.T, e *Engine) {
		l := e.Loops()[0]
		conns := make(chan *Conn, 64)
		addr := listenTCP(t, l, acceptFunc(func(c *Conn) { conns <- c }))
		for range 20 {
			var outs []net.Conn
			var ins []*Conn
			for range 16 {
				outs = append(outs, dial(t, addr))
				ins = append(ins, <-conns)
			}
			told := make(chan int, len(ins))
			within(t, l, func(task *Task) {
				for _, c := range ins {
					c.Rest(restFuncs{ready: func(c *Conn) {
						for _, other := range ins {
							other.Close()
						}
						told <- 1
					}}, 0)
				}
				for _, o := range outs { // all in one batch
					io.WriteString(o, "x")
				}
			})
			<-told
			within(t, l, func(*Task) {})
			if n := len(told); n != 0 {
				t.Fatalf("%d closed connections were told", n)
			}
		}
	})
}

func TestWatch(t *testing.T) {
	every(t, Config{}, func(t *testing.T, e *Engine, listen listenFunc) {
		l := e.Loops()[0]
		accepted := make(chan *Conn, 1)
		addr := listen(t, l, acceptFunc(func(c *Conn) { accepted <- c }))
		connect := func() (net.Conn, *Conn) {
			c := dial(t, addr)
			return c, <-accepted
		}
		far := func() Time { return l.Now() + Time(patience) }

		t.Run("peer closes while the task is parked", func(t *testing.T) {
			out, c := connect()
			within(t, l, func(task *Task) {
				if err := c.Watch(task, true); err != nil {
					t.Error(err)
				}
				time.AfterFunc(10*time.Millisecond, func() { out.Close() })
				if err := task.Park(far()); err != ErrHangup {
					t.Errorf("Park: %v", err)
				}
				if err := task.Park(soon(l)); err != ErrTimeout {
					t.Errorf("told twice: %v", err)
				}
				if err := c.Watch(task, true); err != ErrHangup {
					t.Errorf("Watch of one that is gone: %v", err)
				}
				c.Close()
			})
		})
		t.Run("half closed", func(t *testing.T) {
			out, c := connect()
			within(t, l, func(task *Task) {
				c.Watch(task, false)
				out.(interface{ CloseWrite() error }).CloseWrite()
				if err := task.Park(soon(l)); err != ErrTimeout {
					t.Errorf("half closed, half does not count: %v", err)
				}
				if err := c.Watch(task, true); err != ErrHangup {
					t.Errorf("half closed, half counts: %v", err)
				}
				c.Close()
			})
		})
		t.Run("ended", func(t *testing.T) {
			out, c := connect()
			within(t, l, func(task *Task) {
				c.Watch(task, true)
				c.Watch(nil, false)
				out.Close()
				if err := task.Park(soon(l)); err != ErrTimeout {
					t.Errorf("the watch goes on: %v", err)
				}
				c.Close()
			})
		})
		t.Run("ended after it was to be told", func(t *testing.T) {
			out, c := connect()
			within(t, l, func(task *Task) {
				c.Watch(task, true)
				out.Close()
				task.Sleep(30 * time.Millisecond)
				c.Watch(nil, false)
				if err := task.Park(soon(l)); err != ErrTimeout {
					t.Errorf("the watch goes on: %v", err)
				}
				c.Close()
			})
		})
		t.Run("woken", func(t *testing.T) {
			out, c := connect()
			within(t, l, func(task *Task) {
				c.Watch(task, true)
				task.Wake()
				if err := task.Park(far()); err != nil {
					t.Errorf("Park: %v", err)
				}
				if _, err := io.WriteString(out, "go on"); err != nil {
					t.Error(err)
				}
				expect(t, c, "go on") // reading while watching
				out.Close()
				if err := task.Park(far()); err != ErrHangup {
					t.Errorf("Park: %v", err)
				}
				c.Close()
			})
		})
		t.Run("the task ends before its watch", func(t *testing.T) {
			out, c := connect()
			within(t, l, func(task *Task) { c.Watch(task, true) })
			out.Close()
			for range 8 { // whoever has the task's fiber now is a stranger
				within(t, l, func(task *Task) {
					if err := task.Park(soon(l)); err != ErrTimeout {
						t.Errorf("Park: %v", err)
					}
				})
			}
		})
	})
}
