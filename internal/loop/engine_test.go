package loop

import (
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"
)

func TestStartErrors(t *testing.T) {
	if _, err := Start(Config{}); err == nil {
		t.Error("starts without a loop")
	}
}

// A connection at rest may take half a KiB in all; this is the engine's part of it.
func TestConnIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(Conn{}); n > 200 {
		t.Errorf("a connection takes %d bytes", n)
	}
}

func TestIdleCostsNothing(t *testing.T) {
	if !haveFibers {
		return
	}
	runChild(t, "idle", "fibers")
}

// A loop waits in a raw system call, which the scheduler cannot see through; if it did not heed the scheduler between
// two waits, a collection would never begin. Idle loops, busy loops, and loops just gone to sleep.
func TestCollectionWithLoops(t *testing.T) {
	bodies(t, Config{Loops: 2}, func(t *testing.T, e *Engine) {
		addr := listenTCP(t, e.Loops()[0], serve(echo))
		var stop atomic.Bool
		collect := func(n int) {
			t.Helper()
			done := make(chan struct{})
			go func() {
				defer close(done)
				var m runtime.MemStats
				for range n {
					runtime.GC()
					runtime.ReadMemStats(&m)
				}
			}()
			await(t, done, "a collection")
		}
		collect(10)
		busy := make(chan struct{}, 2)
		for range 2 {
			begin(e.Loops()[1], func(task *Task) {
				defer func() { busy <- struct{}{} }()
				c := mustDial(t, task, addr)
				defer c.Close()
				b := make([]byte, 64)
				for !stop.Load() {
					if _, err := c.Write(b); err != nil {
						t.Error(err)
						return
					}
					if _, err := io.ReadFull(c, b); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		collect(20)
		stop.Store(true)
		<-busy
		<-busy
		for range 10 {
			within(t, e.Loops()[0], func(*Task) {}) // wakes the loop, which then keeps its P for 5 ms
			collect(1)
		}
	})
}

// Close while everything is at work: whatever waits ends with ErrClosed, and nothing is left.
func TestCloseUnderLoad(t *testing.T) {
	for range 3 {
		bodies(t, Config{Loops: 2}, closeUnderLoad)
	}
}

func closeUnderLoad(t *testing.T, e *Engine) {
	l := e.Loops()[0]
	addr := listenTCP(t, l, serve(echo))
	unix := listenUnix(t, e.Loops()[1], serve(echo))
	full, _ := fullListener(t)
	var ended sync.WaitGroup
	task := func(l *Loop, f func(t *Task) error) {
		ended.Add(1)
		begin(l, func(task *Task) {
			defer ended.Done()
			for range 1 << 30 {
				if err := f(task); err != nil {
					return
				}
			}
		})
	}
	for i := range 40 {
		l := e.Loops()[i%2]
		var c *Conn
		b := make([]byte, 4096)
		task(l, func(task *Task) (err error) { // asks and answers
			if c == nil {
				if c, err = l.Dial(task, []Addr{addr, unix}[i/2%2], 0); err != nil {
					return err
				}
			}
			if _, err := c.Write(b); err != nil {
				return err
			}
			_, err = io.ReadFull(c, b)
			return err
		})
		task(l, func(task *Task) error { return task.Park(0) })
		task(l, func(task *Task) error { return task.Sleep(time.Hour) })
		task(l, func(task *Task) error { return task.Sleep(time.Millisecond) })
		task(l, func(task *Task) error {
			task.Do(func() { time.Sleep(2 * time.Millisecond) })
			return task.Sleep(0)
		})
		task(l, func(task *Task) error { _, err := l.Dial(task, full, 0); return err })
		task(l, func(task *Task) error { // one that waits for ever, and closes what it has itself
			c, err := l.Dial(task, addr, 0)
			if err != nil {
				return err
			}
			defer c.Close()
			_, err = c.Read(b)
			return err
		})
		task(l, func(task *Task) error {
			c, err := l.Dial(task, addr, 0)
			if err == nil {
				c.Rest(restFuncs{func(*Conn) {}, func(*Conn) {}}, l.Now()+Time(time.Hour))
				err = io.EOF
			}
			return err
		})
	}
	time.Sleep(20 * time.Millisecond)
	stop := make(chan struct{})
	var posters sync.WaitGroup
	for _, l := range e.Loops() {
		posters.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					l.Post(func() { l.Go(runFunc(func(*Task) {})) })
					time.Sleep(100 * time.Microsecond)
				}
			}
		})
	}
	closed := make(chan struct{})
	go func() { e.Close(); close(closed) }()
	await(t, closed, "Close")
	close(stop)
	posters.Wait()
	ended.Wait()
	if _, err := l.Listen(tcpFile(t), nil); err == nil {
		t.Error("listens after the end")
	}
}

func tcpFile(t *testing.T) *os.File {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestStats(t *testing.T) {
	every(t, Config{Loops: 1}, func(t *testing.T, e *Engine, listen listenFunc) {
		l := e.Loops()[0]
		before := l.Stats()
		addr := listen(t, l, serve(echo))
		c := dial(t, addr)
		ask(t, c, "x")
		eventually(t, "one connection and its task are counted", func() bool {
			s := l.Stats()
			return s.Accepted == before.Accepted+1 && s.Conns == 1 && s.Tasks == 1 && s.Turns > before.Turns
		})
		c.Close()
		eventually(t, "they are gone", func() bool { s := l.Stats(); return s.Conns == 0 && s.Tasks == 0 })
		if l.Index() != 0 || len(e.Loops()) != 1 {
			t.Error("indices")
		}
	})
}

func TestSlowTurnIsTold(t *testing.T) {
	type report struct {
		took  time.Duration
		stack string
	}
	var told box[report]
	cfg := Config{Loops: 2, SlowTurn: 30 * time.Millisecond, Slow: func(l *Loop, took time.Duration, stack []byte) {
		if l.Index() == 0 {
			told.put(report{took, string(stack)})
		}
	}}
	bodies(t, cfg, func(t *testing.T, e *Engine) {
		told = box[report]{}
		l := e.Loops()[0]
		// More than once, for on a busy machine the watchdog may come too late for the stack.
		blamed := func() bool {
			for _, r := range told.get() {
				if r.took >= 100*time.Millisecond && r.took < patience && strings.Contains(r.stack, "theOneToBlame") {
					return strings.Count(r.stack, "goroutine ") <= 3
				}
			}
			return false
		}
		eventually(t, "the slow turn is told with its stack", func() bool {
			within(t, l, func(*Task) { theOneToBlame(100 * time.Millisecond) })
			return blamed()
		})
		eventually(t, "it is counted", func() bool { return l.Stats().SlowTurns >= 1 })
		eventually(t, "the watchdog sleeps", e.dog.asleep.Load)

		// One that does not end is told while it goes on.
		before := len(told.get())
		release := make(chan struct{})
		begin(l, func(*Task) { <-release })
		eventually(t, "the endless turn is told", func() bool { return len(told.get()) > before })
		close(release)
	})
}

// A turn that the watchdog could not look at is told all the same.
func TestMissedSlowTurnIsTold(t *testing.T) {
	var hold atomic.Pointer[chan struct{}] // keeps the watchdog from its work, once
	var told box[time.Duration]
	cfg := Config{SlowTurn: 30 * time.Millisecond, Slow: func(l *Loop, took time.Duration, stack []byte) {
		told.put(took)
		if release := hold.Swap(nil); release != nil {
			<-*release
		}
	}}
	bodies(t, cfg, func(t *testing.T, e *Engine) {
		release := make(chan struct{})
		hold.Store(&release)
		l := e.Loops()[0]
		first := len(told.get())
		within(t, l, func(*Task) { theOneToBlame(50 * time.Millisecond) })
		eventually(t, "the first is told", func() bool { return len(told.get()) > first })
		within(t, l, func(*Task) { theOneToBlame(200 * time.Millisecond) })
		within(t, l, func(*Task) {})
		close(release)
		eventually(t, "the second is told", func() bool {
			for _, took := range told.get()[first:] {
				if took >= 200*time.Millisecond {
					return true
				}
			}
			return false
		})
	})
}

//go:noinline
func theOneToBlame(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
	}
}

// The watchdog sleeps while the loops do, and is woken by them.
func TestWatchdogSleeps(t *testing.T) {
	bodies(t, Config{Loops: 2, SlowTurn: 20 * time.Millisecond}, func(t *testing.T, e *Engine) {
		for range 3 {
			eventually(t, "the watchdog sleeps", e.dog.asleep.Load)
			if !e.dog.asleep.Load() {
				t.Error("it does not go on sleeping while nothing happens")
			}
			stop := make(chan struct{})
			begin(e.Loops()[1], func(task *Task) {
				for {
					select {
					case <-stop:
						return
					default:
						task.Sleep(time.Millisecond)
					}
				}
			})
			eventually(t, "it is awake", func() bool { return !e.dog.asleep.Load() })
			close(stop)
		}
	})
}

// Echoing must not allocate.
func TestEchoDoesNotAllocate(t *testing.T) {
	if !haveFibers || raceEnabled {
		return
	}
	e := startEngine(t, Config{Loops: 2})
	addr := listenTCP(t, e.Loops()[0], acceptFunc(func(c *Conn) { newServer(c) }))
	within(t, e.Loops()[1], func(task *Task) {
		c := mustDial(t, task, addr)
		b := make([]byte, 512)
		rest := make([][]byte, 0, 2)
		trip := func() {
			l := task.Loop()
			c.ReadBy(l.Now() + Time(time.Minute))
			c.WriteBy(l.Now() + Time(time.Minute))
			if _, err := c.Write2(b[:100], b[100:200]); err != nil {
				t.Error(err)
			}
			rest = append(rest[:0], b[200:300], b[300:])
			if _, err := c.WriteAll(rest); err != nil {
				t.Error(err)
			}
			for n := 0; n < len(b); {
				m, err := c.Read(b[n:])
				if err != nil {
					t.Error(err)
					return
				}
				n += m
			}
		}
		const trips = 5000
		for range 100 {
			trip()
		}
		// Not testing.AllocsPerRun, which leaves the loops one P.
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range trips {
			trip()
		}
		runtime.ReadMemStats(&after)
		if n := after.Mallocs - before.Mallocs; n > trips/100 {
			t.Errorf("%d allocations in %d round trips", n, trips)
		}
	})
}

// server serves one request a task and rests in between, as the edge does.
type server struct {
	conn *Conn
}

func newServer(c *Conn) *server {
	s := &server{conn: c}
	c.Rest(s, c.Loop().Now()+Time(time.Minute))
	return s
}

func (s *server) Ready(c *Conn)   { c.Loop().Go(s) }
func (s *server) Expired(c *Conn) { c.Close() }

func (s *server) Run(t *Task) {
	l := t.Loop()
	b := l.Buffer()
	defer l.Release(b)
	n, err := s.conn.Read(b)
	if err == nil {
		_, err = s.conn.Write(b[:n])
	}
	if err != nil {
		s.conn.Close()
		return
	}
	s.conn.Rest(s, l.Now()+Time(time.Minute))
}

func TestManyConnections(t *testing.T) {
	every(t, Config{Loops: 2}, func(t *testing.T, e *Engine, listen listenFunc) {
		addr := listen(t, e.Loops()[0], acceptFunc(func(c *Conn) { newServer(c) }))
		var wg sync.WaitGroup
		for range 20 {
			wg.Add(1)
			begin(e.Loops()[1], func(task *Task) {
				defer wg.Done()
				c := mustDial(t, task, addr)
				defer c.Close()
				for i := range 100 {
					ask(t, c, strings.Repeat("x", 1+i))
				}
			})
		}
		wg.Wait()
	})
}

var _ net.Conn = (*Conn)(nil)
