package pool

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/loop"
)

func queueing(maxConn, size int, timeout time.Duration, addresses ...string) *config.Pool {
	p := fixed("a", maxConn, addresses...)
	p.Queue = config.Queue{Size: size, Timeout: timeout}
	return p
}

// waiting waits until n requests are queued.
func waiting(t testing.TB, p *Pool, n int64) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d requests in the queue", n), func() bool { return p.c.waiting.Load() == n })
}

// Requests of two loops, queued alternately, get the one place in the order in which they came.
func TestFirstInFirstOutAcrossLoops(t *testing.T) {
	onBoth(t, 2, func(t *testing.T, e *loop.Engine) {
		const n = 300
		s := build(t, pools(queueing(1, n, time.Minute, "10.0.0.1:80")), env(e), nil)
		p := s.Pool("a")
		var holder Turn
		in(t, e.Loops()[0], func(task *loop.Task) {
			if _, err := p.Pick(task, &holder, nil); err != nil {
				t.Error(err)
			}
		})
		var mu sync.Mutex
		var order, want []int
		var all []<-chan struct{}
		for i := range n {
			all = append(all, start(e.Loops()[i%2], func(task *loop.Task) {
				var turn Turn
				sv, err := p.Pick(task, &turn, nil)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				sv.Done(&turn, OK)
			}))
			waiting(t, p, int64(i+1))
			want = append(want, i)
		}
		in(t, e.Loops()[0], func(*loop.Task) { holder.Server().Done(&holder, OK) })
		for _, done := range all {
			finished(t, done)
		}
		if d := cmp.Diff(want, order); d != "" {
			t.Errorf("order (-want +got):\n%s", d)
		}
	})
}

// A request that is tried again goes before those that were not; and waits for another server than its old one.
func TestQueueOrderOfRetries(t *testing.T) {
	s := build(t, pools(queueing(1, 10, time.Minute, "10.0.0.1:80", "10.0.0.2:80")), Env{}, nil)
	p, c := s.Pool("a"), s.Pool("a").c
	var x, y Turn
	one, two := take(p, &x), take(p, &y)
	turns := map[string]*Turn{}
	queue := func(name string, tried ...*Server) {
		turn := &Turn{task: new(loop.Task)}
		for _, sv := range tried {
			turn.remember(sv)
		}
		turns[name] = turn
		c.mu.Lock()
		c.link(turn)
		c.mu.Unlock()
	}
	queue("first")
	queue("second")
	queue("retry 1", one)
	queue("retry 2", one)
	queue("third")
	var order []string
	for w := c.queue.Retries(); w != nil; w = w.Next() {
		for name, o := range turns {
			if o == w.Of {
				order = append(order, name)
			}
		}
	}
	if d := cmp.Diff([]string{"retry 1", "retry 2"}, order); d != "" {
		t.Errorf("retries (-want +got):\n%s", d)
	}
	// frees a place at the server and says who got it
	next := func(sv *Server) string {
		sv.places.Leave()
		c.mu.Lock()
		task := c.grant(sv)
		c.mu.Unlock()
		for name, turn := range turns {
			if task != nil && turn.task == task && turn.granted.Load() && turn.server == sv {
				return name
			}
		}
		return "nobody"
	}
	for i, step := range []struct {
		at   *Server
		want string
	}{{one, "first"}, {two, "retry 1"}, {one, "second"}, {two, "retry 2"}, {two, "third"}} {
		if got := next(step.at); got != step.want {
			t.Errorf("step %d: %s got the place at %s, want %s", i, got, step.at.Name(), step.want)
		}
	}
	if c.queue.Len() != 0 || c.waiting.Load() != 0 {
		t.Errorf("the queue is not empty: %d", c.waiting.Load())
	}
}

// A wait may end in the same moment as its place is granted: then the place is used, or given on, never lost.
func TestGrantedInTheLastMoment(t *testing.T) {
	for _, tt := range []struct{ end, want error }{
		{nil, nil},
		{loop.ErrTimeout, nil},
		{loop.ErrHangup, loop.ErrHangup},
		{loop.ErrClosed, loop.ErrClosed},
	} {
		s := build(t, pools(queueing(1, 10, time.Minute, "10.0.0.1:80")), Env{}, nil)
		p, c := s.Pool("a"), s.Pool("a").c
		var holder Turn
		sv := take(p, &holder)
		first, second := &Turn{task: new(loop.Task)}, &Turn{task: new(loop.Task)}
		c.mu.Lock()
		c.link(first)
		c.link(second)
		sv.places.Leave()
		if c.grant(sv) != first.task {
			t.Error("not the first got the place")
		}
		// Its place is to go on to nobody: a task that never ran cannot be woken.
		c.unlink(second)
		c.mu.Unlock()
		got, err := c.ended(first, tt.end)
		if !errors.Is(err, tt.want) || (got != nil) != (tt.want == nil) {
			t.Errorf("ended by %v: %v, %v, want error %v", tt.end, got, err, tt.want)
		}
		want := int64(1)
		if tt.want != nil {
			want = 0
		}
		if n := sv.places.Active(); n != want || (first.Server() != nil) != (want == 1) {
			t.Errorf("ended by %v: %d places taken, want %d", tt.end, n, want)
		}
		if n := c.waiting.Load(); n != 0 {
			t.Errorf("ended by %v: %d in the queue, want 0", tt.end, n)
		}
	}
}

// A place that came free while a request was on its way to the queue is taken, and not slept beside.
func TestQueueLooksAgain(t *testing.T) {
	onBoth(t, 1, func(t *testing.T, e *loop.Engine) {
		s := build(t, pools(queueing(1, 10, time.Minute, "10.0.0.1:80")), env(e), nil)
		in(t, e.Loops()[0], func(task *loop.Task) {
			var turn Turn
			sv, _, err := s.Pool("a").c.enqueue(task, &turn)
			if sv == nil || err != nil {
				t.Errorf("got %v, %v, want a place at once", sv, err)
				return
			}
			sv.Done(&turn, OK)
		})
		if n := s.Pool("a").c.waiting.Load(); n != 0 {
			t.Errorf("%d in the queue, want 0", n)
		}
	})
}

// While somebody waits nobody passes, not even when a place is free for the moment.
func TestNobodyPassesTheQueue(t *testing.T) {
	onBoth(t, 1, func(t *testing.T, e *loop.Engine) {
		s := build(t, pools(queueing(1, 10, 20*time.Millisecond, "10.0.0.1:80")), env(e), nil)
		p, c := s.Pool("a"), s.Pool("a").c
		first := &Turn{task: new(loop.Task)}
		c.mu.Lock()
		c.link(first)
		c.mu.Unlock()
		in(t, e.Loops()[0], func(task *loop.Task) {
			var turn Turn
			if sv, err := p.Pick(task, &turn, nil); !errors.Is(err, ErrQueueTimeout) {
				t.Errorf("got %v, %v, want %v", sv, err, ErrQueueTimeout)
			}
		})
		if !c.withdraw(first) {
			t.Error("it was granted a place")
		}
	})
}

func TestQueueErrors(t *testing.T) {
	onBoth(t, 1, func(t *testing.T, e *loop.Engine) {
		l := e.Loops()[0]
		cfg := pools(queueing(1, 1, 300*time.Millisecond, "10.0.0.1:80"), fixed("none", 0), ofApp("web", "web", 0), ofApp("now", "now", 0))
		cfg.Pools[2].Queue = config.Queue{Size: 1, Timeout: 300 * time.Millisecond}
		cfg.Pools[3].Queue = config.Queue{}
		s := build(t, cfg, env(e), nil)
		pick := func(pool string, want error) {
			t.Helper()
			in(t, l, func(task *loop.Task) {
				var turn Turn
				before := task.Loop().Now()
				sv, err := s.Pool(pool).Pick(task, &turn, nil)
				if !errors.Is(err, want) {
					t.Errorf("%s: %v, %v, want %v", pool, sv, err, want)
				}
				if turn.Server() != nil {
					t.Errorf("%s: a place is held after an error", pool)
				}
				took := time.Duration(task.Loop().Now() - before)
				if timed := want == ErrQueueTimeout || pool == "web"; timed && took < 250*time.Millisecond {
					t.Errorf("%s: it waited %v, want 300 ms", pool, took)
				}
			})
		}
		pick("none", ErrNoServer) // at once
		pick("web", ErrNoServer)  // after the queue's time
		pick("now", ErrNoServer)  // no queue

		var holder Turn
		in(t, l, func(task *loop.Task) {
			if _, err := s.Pool("a").Pick(task, &holder, nil); err != nil {
				t.Error(err)
			}
		})
		pick("a", ErrQueueTimeout)
		var waits Turn
		done := start(l, func(task *loop.Task) {
			if _, err := s.Pool("a").Pick(task, &waits, nil); !errors.Is(err, ErrQueueTimeout) {
				t.Errorf("got %v, want %v", err, ErrQueueTimeout)
			}
		})
		waiting(t, s.Pool("a"), 1)
		pick("a", ErrQueueFull)
		finished(t, done)
		if q := s.Status()[0]; q.Queued != 0 || q.Servers[0].Active != 1 {
			t.Errorf("status %+v", q)
		}
		in(t, l, func(*loop.Task) { holder.Server().Done(&holder, OK) })
	})
}

// A client that goes away while its request is queued takes it out of the queue.
func TestClientGoesAway(t *testing.T) {
	onBoth(t, 1, func(t *testing.T, e *loop.Engine) {
		l := e.Loops()[0]
		o := newOrigin(t, "tcp")
		s := build(t, pools(queueing(1, 10, time.Minute, "10.0.0.1:80")), env(e), nil)
		p := s.Pool("a")
		at, err := parseAddress(o.address)
		if err != nil {
			t.Fatal(err)
		}
		var holder Turn
		in(t, l, func(task *loop.Task) {
			if _, err := p.Pick(task, &holder, nil); err != nil {
				t.Error(err)
			}
		})
		for _, before := range []bool{false, true} {
			done := start(l, func(task *loop.Task) {
				c, err := l.Dial(task, at.to, soon(task))
				if err != nil {
					t.Error(err)
					return
				}
				defer c.Close()
				if before { // it is gone already when its request comes to the queue
					for open := 1; open > 0; open, _ = o.counts() {
						o.hangUp()
						if err := task.Sleep(time.Millisecond); err != nil {
							t.Error(err)
						}
					}
				}
				var turn Turn
				if _, err := p.Pick(task, &turn, c); !errors.Is(err, loop.ErrHangup) {
					t.Errorf("got %v, want %v", err, loop.ErrHangup)
				}
			})
			if !before {
				waiting(t, p, 1)
				eventually(t, "the connection", func() bool { open, _ := o.counts(); return open == 1 })
				o.hangUp()
			}
			finished(t, done)
			if n := p.c.waiting.Load(); n != 0 {
				t.Errorf("%d in the queue, want 0", n)
			}
		}
		in(t, l, func(*loop.Task) { holder.Server().Done(&holder, OK) })
	})
}

// Requests wait for an app's first worker, and for the next one when the only one refuses connections.
func TestWaitForWorker(t *testing.T) {
	onBoth(t, 2, func(t *testing.T, e *loop.Engine) {
		cfg := ofApp("web", "web", 1)
		cfg.Queue = config.Queue{Size: 100, Timeout: time.Minute}
		s := build(t, pools(cfg), env(e), nil)
		p := s.Pool("web")
		var all []<-chan struct{}
		var bad atomic.Int64
		for i := range 20 {
			all = append(all, start(e.Loops()[i%2], func(task *loop.Task) {
				var turn Turn
				for {
					sv, err := p.Pick(task, &turn, nil)
					if err != nil {
						t.Error(err)
						return
					}
					c, _, err := sv.Connect(task, false, soon(task))
					if err == nil {
						sv.Keep(c)
						sv.Done(&turn, OK)
						return
					}
					bad.Add(1)
					sv.Done(&turn, ConnectError)
				}
			}))
		}
		waiting(t, p, 20)
		dead, o := newOrigin(t, "unix"), newOrigin(t, "unix")
		dead.close()
		s.SetWorkers([]api.Worker{{App: "web", Name: "web/1", Address: dead.address, State: "ready"}})
		eventually(t, "the dead worker to be found", func() bool { return names(s, "web")[0] == "web/1 down 0" })
		waiting(t, p, 20)
		s.SetWorkers([]api.Worker{{App: "web", Name: "web/1.2", Address: o.address, State: "ready"}})
		for _, done := range all {
			finished(t, done)
		}
		if n := bad.Load(); n < 1 || n > 3 {
			t.Errorf("%d requests met the dead worker, want 1 (and one for each rest that ended)", n)
		}
		wantNames(t, s, "web", "web/1.2 ready 0")
	})
}

// A reload that allows more requests at a time lets those in who wait, and one that allows less holds back.
func TestReloadWithAQueue(t *testing.T) {
	onBoth(t, 2, func(t *testing.T, e *loop.Engine) {
		one := build(t, pools(queueing(1, 10, time.Minute, "10.0.0.1:80")), env(e), nil)
		var turns [4]Turn
		var all []<-chan struct{}
		pick := func(s *Set, i int) {
			all = append(all, start(e.Loops()[i%2], func(task *loop.Task) {
				if _, err := s.Pool("a").Pick(task, &turns[i], nil); err != nil {
					t.Error(err)
				}
			}))
		}
		pick(one, 0)
		finished(t, all[0])
		pick(one, 1)
		pick(one, 2)
		waiting(t, one.Pool("a"), 2)
		two := build(t, pools(queueing(3, 10, time.Minute, "10.0.0.1:80")), env(e), one)
		pick(two, 3)
		waiting(t, two.Pool("a"), 3)
		one.Retire(two)
		finished(t, all[1])
		finished(t, all[2])
		waiting(t, two.Pool("a"), 1)
		wantNames(t, two, "a", "10.0.0.1:80 ready 3")

		three := build(t, pools(queueing(1, 10, time.Minute, "10.0.0.1:80")), env(e), two)
		two.Retire(three)
		done := func(i int) {
			in(t, e.Loops()[i%2], func(*loop.Task) { turns[i].Server().Done(&turns[i], OK) })
		}
		done(0)
		done(1)
		waiting(t, three.Pool("a"), 1) // one of three is left, and only one may be
		done(2)
		finished(t, all[3])
		wantNames(t, three, "a", "10.0.0.1:80 ready 1")
		done(3)
	})
}

func TestCloseWakesWaiters(t *testing.T) {
	for _, how := range []string{"set", "engine"} {
		t.Run(how, func(t *testing.T) {
			onBoth(t, 2, func(t *testing.T, e *loop.Engine) {
				s := build(t, pools(ofApp("web", "web", 1)), env(e), nil)
				var all []<-chan struct{}
				for i := range 10 {
					all = append(all, start(e.Loops()[i%2], func(task *loop.Task) {
						var turn Turn
						if _, err := s.Pool("web").Pick(task, &turn, nil); !errors.Is(err, loop.ErrClosed) {
							t.Errorf("got %v, want %v", err, loop.ErrClosed)
						}
					}))
				}
				waiting(t, s.Pool("web"), 10)
				if how == "set" {
					s.Close()
				} else if err := e.Close(); err != nil {
					t.Error(err)
				}
				for _, done := range all {
					finished(t, done)
				}
				if n := s.Pool("web").c.waiting.Load(); n != 0 {
					t.Errorf("%d in the queue, want 0", n)
				}
			})
		})
	}
}

// Whoever wakes a task whose turn is long over wakes a stranger: nothing may come of it.
func TestStrayWake(t *testing.T) {
	onBoth(t, 2, func(t *testing.T, e *loop.Engine) {
		s := build(t, pools(queueing(1, 10, 50*time.Millisecond, "10.0.0.1:80")), env(e), nil)
		var holder Turn
		in(t, e.Loops()[0], func(task *loop.Task) {
			if _, err := s.Pool("a").Pick(task, &holder, nil); err != nil {
				t.Error(err)
			}
		})
		done := start(e.Loops()[1], func(task *loop.Task) {
			task.Wake()
			var turn Turn
			if _, err := s.Pool("a").Pick(task, &turn, nil); !errors.Is(err, ErrQueueTimeout) {
				t.Errorf("got %v, want %v", err, ErrQueueTimeout)
			}
		})
		finished(t, done)
		in(t, e.Loops()[0], func(*loop.Task) { holder.Server().Done(&holder, OK) })
	})
}

func TestBrokenInvariantsPanic(t *testing.T) {
	s := build(t, pools(fixed("a", 0, "10.0.0.1:80")), Env{}, nil)
	sv := s.Pool("a").c.view.Load().servers[0]
	var held Turn
	take(s.Pool("a"), &held)
	for name, f := range map[string]func(){
		"Done without a place": func() { sv.Done(&Turn{}, OK) },
		"Reset with a place":   func() { held.Reset() },
		"Pick with a place":    func() { _, _ = s.Pool("a").Pick(nil, &held, nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s did not panic", name)
				}
			}()
			f()
		}()
	}
	leave(&held)
}
