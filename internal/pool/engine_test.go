package pool

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/loop"
	"go.uber.org/goleak"
)

// TestMain ends with a look for goroutines and descriptors that nobody closed.
func TestMain(m *testing.M) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") // the runtime's own descriptors are opened with the first one
	if err == nil {
		err = ln.Close()
	}
	if err != nil {
		panic(err)
	}
	before := descriptors()
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if after := descriptors(); code == 0 && after > before {
			fmt.Fprintf(os.Stderr, "%d descriptors are open, before the tests it were %d\n", after, before)
			code = 1
		}
		os.Exit(code)
	}))
}

func descriptors() int {
	open, err := os.ReadDir("/dev/fd")
	if err != nil {
		panic(err)
	}
	return len(open)
}

// onBoth runs a test on the bodies of a task that there are: "goroutines": true comes into the table with that body.
func onBoth(t *testing.T, loops int, f func(t *testing.T, e *loop.Engine)) {
	for name, goroutines := range map[string]bool{"fibers": false} {
		t.Run(name, func(t *testing.T) { f(t, engine(t, loops, goroutines)) })
	}
}

func engine(t testing.TB, loops int, goroutines bool) *loop.Engine {
	t.Helper()
	e, err := loop.Start(loop.Config{Loops: loops, Goroutines: goroutines, SlowTurn: 10 * time.Second,
		Panicked: func(_ *loop.Loop, v any, stack []byte) { t.Errorf("a task panicked: %v\n%s", v, stack) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

type task func(t *loop.Task)

func (f task) Run(t *loop.Task) { f(t) }

// start starts a task on a loop; the channel is closed when it ended.
func start(l *loop.Loop, f func(t *loop.Task)) <-chan struct{} {
	done := make(chan struct{})
	l.Post(func() {
		l.Go(task(func(t *loop.Task) {
			defer close(done)
			f(t)
		}))
	})
	return done
}

// in runs f in a task and waits for it.
func in(t testing.TB, l *loop.Loop, f func(t *loop.Task)) {
	t.Helper()
	finished(t, start(l, f))
}

func finished(t testing.TB, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("a task does not end")
	}
}

// origin is a server that accepts, and shows what happens to its connections.
type origin struct {
	address string
	ln      net.Listener
	wg      sync.WaitGroup
	mu      sync.Mutex
	conns   []net.Conn
	open    int
	made    int
}

func newOrigin(t testing.TB, network string) *origin {
	t.Helper()
	o := &origin{}
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	o.ln, o.address = ln, ln.Addr().String()
	if network == "unix" {
		o.address = "unix:" + address
	}
	o.wg.Go(o.accept)
	t.Cleanup(o.close)
	return o
}

func (o *origin) accept() {
	for {
		c, err := o.ln.Accept()
		if err != nil {
			return
		}
		o.mu.Lock()
		o.conns = append(o.conns, c)
		o.open++
		o.made++
		o.mu.Unlock()
		o.wg.Go(func() {
			_, err := io.Copy(c, c)
			c.Close()
			o.mu.Lock()
			o.open--
			o.mu.Unlock()
			_ = err // how the other side ended it is not this server's matter
		})
	}
}

func (o *origin) counts() (open, made int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.open, o.made
}

// hangUp closes the origin's side of all connections.
func (o *origin) hangUp() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range o.conns {
		c.Close()
	}
}

func (o *origin) close() {
	o.ln.Close()
	o.hangUp()
	o.wg.Wait()
}

func env(e *loop.Engine) Env { return Env{Loops: e.Loops()} }

// soon is a deadline that is only reached when something is broken.
func soon(t *loop.Task) loop.Time { return t.Loop().Now() + int64(20*time.Second) }

// ask does one whole request: pick, connect, echo a byte, keep, done.
func ask(t *testing.T, task *loop.Task, p *Pool, turn *Turn, fresh bool) (reused bool) {
	s, err := p.Pick(task, turn, nil)
	if err != nil {
		t.Errorf("picking: %v", err)
		return false
	}
	c, reused, err := s.Connect(task, fresh, soon(task))
	if err != nil {
		t.Errorf("connecting: %v", err)
		s.Done(turn, ConnectError)
		return false
	}
	b := []byte{'x'}
	if _, err = c.Write(b); err == nil {
		_, err = c.Read(b)
	}
	if err != nil {
		t.Errorf("echo: %v", err)
		c.Close()
		s.Done(turn, EmptyResponse)
		return reused
	}
	s.Keep(c)
	s.Done(turn, OK)
	return reused
}

func TestConnectionsAreKept(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			onBoth(t, 2, func(t *testing.T, e *loop.Engine) {
				o := newOrigin(t, network)
				s := build(t, pools(fixed("a", 0, o.address)), env(e), nil)
				p := s.Pool("a")
				for i, l := range e.Loops() {
					in(t, l, func(task *loop.Task) {
						var turn Turn
						if ask(t, task, p, &turn, false) {
							t.Error("the first connection of a loop is not new")
						}
						for range 5 {
							if !ask(t, task, p, &turn, false) {
								t.Error("the connection was not kept")
							}
						}
						if ask(t, task, p, &turn, true) {
							t.Error("asked for a fresh one, got a kept one")
						}
					})
					if _, made := o.counts(); made != 2*(i+1) {
						t.Errorf("%d connections were made, want %d", made, 2*(i+1))
					}
				}
				st := s.Status()[0].Servers[0]
				if st.Idle != 4 || st.Active != 0 || st.Requests != 14 || st.Errors != 0 {
					t.Errorf("status %+v, want 4 idle, 14 requests", st)
				}
				// The server closes: nobody asked, and yet they are gone.
				o.hangUp()
				eventually(t, "no idle connection", func() bool { return s.Status()[0].Servers[0].Idle == 0 })
				in(t, e.Loops()[0], func(task *loop.Task) {
					var turn Turn
					if ask(t, task, p, &turn, false) {
						t.Error("a dead connection was used")
					}
				})
				s.Close()
				eventually(t, "all connections to be closed", func() bool { open, _ := o.counts(); return open == 0 })
			})
		})
	}
}

func TestKeepIsBounded(t *testing.T) {
	onBoth(t, 1, func(t *testing.T, e *loop.Engine) {
		o := newOrigin(t, "tcp")
		s := build(t, pools(fixed("a", 0, o.address)), env(e), nil)
		var first, last *loop.Conn
		in(t, e.Loops()[0], func(task *loop.Task) {
			var turns [7]Turn
			var conns [7]*loop.Conn
			var sv *Server
			for i := range turns {
				sv, _ = s.Pool("a").Pick(task, &turns[i], nil)
				var err error
				if conns[i], _, err = sv.Connect(task, false, soon(task)); err != nil {
					t.Error(err)
					return
				}
			}
			for i := range turns {
				sv.Keep(conns[i])
				sv.Done(&turns[i], OK)
			}
			first, last = conns[0], conns[3] // 4 are kept
			if n := sv.lanes[0].idle.Load(); n != 4 {
				t.Errorf("%d are kept, want 4", n)
			}
			c, reused, err := sv.Connect(task, false, soon(task))
			if err != nil || !reused || c != last {
				t.Error("not the one that was used last")
			}
			sv.Keep(c)
			// their time is over
			for k := sv.lanes[0].top; k != nil; k = sv.lanes[0].top {
				first = k.conn
				if !first.Unrest() {
					t.Error("a living connection is said to be dead")
				}
				k.Expired(first)
				k.Expired(first) // too late, and harmless
			}
			if n := sv.lanes[0].idle.Load(); n != 0 {
				t.Errorf("%d are left, want 0", n)
			}
		})
		eventually(t, "all to be closed", func() bool { open, _ := o.counts(); return open == 0 })
	})
}

func TestLeavingWorkersConnectionsAreClosed(t *testing.T) {
	onBoth(t, 2, func(t *testing.T, e *loop.Engine) {
		o := newOrigin(t, "unix")
		s := build(t, pools(ofApp("web", "web", 0)), env(e), nil)
		w := api.Worker{App: "web", Name: "web/1", Address: o.address, State: "ready"}
		s.SetWorkers([]api.Worker{w})
		var turn Turn
		for _, l := range e.Loops() {
			in(t, l, func(task *loop.Task) { ask(t, task, s.Pool("web"), &turn, false) })
		}
		var c *loop.Conn
		in(t, e.Loops()[0], func(task *loop.Task) { // one more is under way
			sv, err := s.Pool("web").Pick(task, &turn, nil)
			if err == nil {
				c, _, err = sv.Connect(task, true, soon(task))
			}
			if err != nil {
				t.Error(err)
			}
		})
		w.State = "leaving"
		s.SetWorkers([]api.Worker{w})
		eventually(t, "the kept ones to be closed", func() bool { open, _ := o.counts(); return open == 1 })
		in(t, e.Loops()[0], func(*loop.Task) {
			sv := turn.Server()
			sv.Keep(c) // is not kept
			sv.Done(&turn, OK)
		})
		eventually(t, "all to be closed", func() bool { open, _ := o.counts(); return open == 0 })
		if n := s.WaitDrained(t.Context(), "web/1"); n != 0 {
			t.Errorf("%d left", n)
		}
	})
}

func TestConnectErrors(t *testing.T) {
	onBoth(t, 1, func(t *testing.T, e *loop.Engine) {
		good, bad := newOrigin(t, "tcp"), newOrigin(t, "tcp")
		bad.close()
		s := build(t, pools(fixed("a", 0, good.address, bad.address)), env(e), nil)
		in(t, e.Loops()[0], func(task *loop.Task) {
			var turn Turn
			failed := 0
			for range 20 {
				turn.Reset()
				sv, err := s.Pool("a").Pick(task, &turn, nil)
				if err != nil {
					t.Error(err)
					return
				}
				c, _, err := sv.Connect(task, false, soon(task))
				if err == nil {
					sv.Keep(c)
					sv.Done(&turn, OK)
					continue
				}
				failed++
				sv.Done(&turn, ConnectError)
				again, err := s.Pool("a").Pick(task, &turn, nil)
				if err != nil || again == sv {
					t.Errorf("tried %v again, %v", again, err)
				}
				if again != nil {
					again.Done(&turn, OK)
				}
			}
			if failed != 1 {
				t.Errorf("%d requests met the dead server, want 1", failed)
			}
		})
		wantNames(t, s, "a", good.address+" ready 0", bad.address+" down 0")
		st := s.Status()[0].Servers
		if st[0].Errors != 0 || st[1].Errors != 1 {
			t.Errorf("errors %d and %d, want 0 and 1", st[0].Errors, st[1].Errors)
		}
		// it comes back
		ln, err := net.Listen("tcp", bad.address)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		in(t, e.Loops()[0], func(task *loop.Task) {
			var turn Turn
			for end := soon(task); s.Status()[0].Servers[1].State != "ready" || s.Status()[0].Servers[1].Idle == 0; {
				turn.Reset()
				sv, err := s.Pool("a").Pick(task, &turn, nil)
				if err != nil || task.Loop().Now() > end {
					t.Errorf("the server does not come back: %v", err)
					return
				}
				c, _, err := sv.Connect(task, false, soon(task))
				if err != nil {
					t.Error(err)
					sv.Done(&turn, ConnectError)
					return
				}
				sv.Keep(c)
				sv.Done(&turn, OK)
				if err := task.Sleep(time.Millisecond); err != nil {
					t.Error(err)
					return
				}
			}
		})
	})
}

// A dial that weir's own end or the client's cut short says nothing about the server.
func TestCutDialIsNotTheServersFault(t *testing.T) {
	for _, err := range []error{loop.ErrClosed, loop.ErrHangup, errors.Join(errors.New("dialing"), loop.ErrClosed)} {
		if serversFault(err) {
			t.Errorf("%v is taken for the server's fault", err)
		}
	}
	if !serversFault(loop.ErrTimeout) || !serversFault(errRefused) {
		t.Error("a refused connect is not the server's fault")
	}
}
