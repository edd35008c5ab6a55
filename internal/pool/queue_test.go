package pool

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
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
	for turn := c.head; turn != nil; turn = turn.next {
		for name, o := range turns {
			if o == turn {
				order = append(order, name)
			}
		}
	}
	if d := cmp.Diff([]string{"retry 1", "retry 2", "first", "second", "third"}, order); d != "" {
		t.Errorf("queue (-want +got):\n%s", d)
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
	if c.head != nil || c.tail != nil || c.waiting.Load() != 0 {
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
		cfg := pools(queueing(1, 1, 30*time.Millisecond, "10.0.0.1:80"), fixed("none", 0), ofApp("web", "web", 0), ofApp("now", "now", 0))
		cfg.Pools[2].Queue = config.Queue{Size: 1, Timeout: 30 * time.Millisecond}
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
				if timed := want == ErrQueueTimeout || pool == "web"; timed && took < 25*time.Millisecond {
					t.Errorf("%s: it waited %v, want 30 ms", pool, took)
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

// stress is thousands of requests on all loops while workers come, go and fail, with time limits and clients that
// end waits in the same moment as places are granted.
type stress struct {
	t       *testing.T
	s       *Set
	p       *Pool
	limit   int64
	client  loop.Addr
	at      sync.Map // *Server → *atomic.Int64: how many the tasks say are there
	granted atomic.Int64
	refused atomic.Int64
	hungup  atomic.Int64
}

func (st *stress) request(task *loop.Task, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 1))
	var client *loop.Conn
	if r.IntN(10) == 0 {
		c, err := task.Loop().Dial(task, st.client, soon(task))
		if err != nil {
			st.t.Errorf("dialing: %v", err)
			return
		}
		client = c
		defer c.Close()
	}
	var turn Turn
	for range 3 {
		sv, err := st.p.Pick(task, &turn, client)
		if err != nil {
			switch {
			case errors.Is(err, loop.ErrHangup):
				st.hungup.Add(1)
			case errors.Is(err, ErrQueueTimeout), errors.Is(err, ErrQueueFull), errors.Is(err, ErrNoServer):
				st.refused.Add(1)
			default:
				st.t.Errorf("picking: %v", err)
			}
			return
		}
		st.granted.Add(1)
		v, _ := st.at.LoadOrStore(sv, new(atomic.Int64))
		n := v.(*atomic.Int64)
		if now := n.Add(1); now > st.limit {
			st.t.Errorf("%d requests at %s, the limit is %d", now, sv.Name(), st.limit)
		}
		for range r.IntN(30) { // each lets all other tasks of the loop run
			if err := task.Sleep(0); err != nil {
				st.t.Errorf("sleeping: %v", err)
			}
		}
		if r.IntN(20) == 0 {
			if err := task.Sleep(time.Millisecond); err != nil {
				st.t.Errorf("sleeping: %v", err)
			}
		}
		n.Add(-1)
		switch n := r.IntN(100); {
		case n < 10:
			sv.Done(&turn, BadResponse)
			continue
		case n < 11 && r.IntN(10) == 0:
			sv.core.failed(sv, errRefused)
			sv.Done(&turn, ConnectError)
			continue
		case n < 30:
			sv.core.recovered(sv)
			sv.Done(&turn, Aborted)
		default:
			sv.Done(&turn, OK)
		}
		return
	}
}

// disturb replaces workers until it is told to stop, and then waits for each that left to be drained.
func (st *stress) disturb(ctx context.Context) {
	r := rand.New(rand.NewPCG(7, 7))
	alive := []string{"web/0", "web/1", "web/2"}
	for n := 3; ctx.Err() == nil; n++ {
		i := r.IntN(len(alive))
		left := alive[i]
		alive[i] = fmt.Sprintf("web/%d", n)
		var ws []api.Worker
		for _, name := range alive {
			ws = append(ws, worker(name, "ready"))
		}
		if r.IntN(2) == 0 {
			ws = append(ws, worker(left, "leaving"))
		}
		if r.IntN(10) == 0 {
			st.s.SetWorkers(nil) // all crashed
		}
		st.s.SetWorkers(ws)
		wait, cancel := context.WithTimeout(ctx, 20*time.Second)
		if left := st.s.WaitDrained(wait, left); left != 0 && ctx.Err() == nil {
			st.t.Errorf("%d requests do not leave", left)
		}
		cancel()
		if r.IntN(4) == 0 {
			next, err := Build(pools(st.p.cfg), st.s.env, st.s)
			if err != nil {
				st.t.Error(err)
				return
			}
			st.s.Retire(next)
			st.s = next
		}
	}
}

func TestStress(t *testing.T) {
	onBoth(t, 3, func(t *testing.T, e *loop.Engine) {
		tasks := 10000
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() { // clients: they stay for a moment, and go
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				wg.Go(func() {
					time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond)
					c.Close()
				})
			}
		})
		at, err := parseAddress(ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		cfg := ofApp("web", "web", 2)
		cfg.Balance = []string{"round_robin", "least_conn"}[rand.IntN(2)]
		cfg.Queue = config.Queue{Size: 300, Timeout: 20 * time.Millisecond}
		first := build(t, pools(cfg), env(e), nil)
		first.SetWorkers([]api.Worker{worker("web/0", "ready"), worker("web/1", "ready"), worker("web/2", "ready")})
		st := &stress{t: t, s: first, p: first.Pool("web"), limit: 2, client: at.to}

		ctx, cancel := context.WithCancel(t.Context())
		disturbed := make(chan struct{})
		go func() { defer close(disturbed); st.disturb(ctx) }()
		places := make(chan struct{}, 400) // requests under way at a time
		var all []<-chan struct{}
		for i := range tasks {
			places <- struct{}{}
			all = append(all, start(e.Loops()[i%3], func(task *loop.Task) {
				defer func() { <-places }()
				st.request(task, uint64(i))
			}))
		}
		for _, done := range all {
			finished(t, done)
		}
		cancel()
		<-disturbed
		ln.Close()
		wg.Wait()

		last := st.s
		c := st.p.c
		if n := c.waiting.Load(); n != 0 || c.head != nil || c.tail != nil {
			t.Errorf("%d in the queue, want 0", n)
		}
		for _, sv := range last.Status()[0].Servers {
			if sv.Active != 0 {
				t.Errorf("%d requests at %s, want 0", sv.Active, sv.Name)
			}
		}
		var counted uint64
		st.at.Range(func(k, v any) bool {
			sv := k.(*Server)
			counted += sv.status().Requests
			if n := sv.places.Active(); n != 0 {
				t.Errorf("%d requests at %s, want 0", n, sv.Name())
			}
			return true
		})
		if int64(counted) != st.granted.Load() {
			t.Errorf("the servers counted %d requests, the tasks %d", counted, st.granted.Load())
		}
		if st.granted.Load() < int64(tasks)/10 || st.refused.Load() == 0 {
			t.Errorf("%d granted, %d refused: this is no stress", st.granted.Load(), st.refused.Load())
		}
		t.Logf("%d places granted, %d refused, %d clients gone", st.granted.Load(), st.refused.Load(), st.hungup.Load())
		last.Close()
	})
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

func TestNothingIsAllocated(t *testing.T) {
	e := engine(t, 1, false)
	o := newOrigin(t, "unix")
	for _, balance := range []string{"round_robin", "least_conn"} {
		cfg := fixed(balance, 2, o.address)
		cfg.Balance = balance
		s := build(t, pools(cfg), env(e), nil)
		p := s.Pool(balance)
		in(t, e.Loops()[0], func(task *loop.Task) {
			var turn Turn
			if n := testing.AllocsPerRun(500, func() {
				turn.Reset()
				sv, err := p.Pick(task, &turn, nil)
				if err != nil {
					t.Error(err)
					return
				}
				c, _, err := sv.Connect(task, false, soon(task))
				if err != nil {
					t.Error(err)
					return
				}
				sv.Keep(c)
				sv.Done(&turn, OK)
			}); n != 0 {
				t.Errorf("%s: %v allocations per request", balance, n)
			}
		})
	}
}

// Nor by waiting for a place.
func TestQueueAllocatesNothing(t *testing.T) {
	e := engine(t, 1, false)
	s := build(t, pools(queueing(1, 10, time.Minute, "10.0.0.1:80")), env(e), nil)
	p := s.Pool("a")
	var stop atomic.Bool
	var turns [2]Turn
	run := func(task *loop.Task, turn *Turn) {
		sv, err := p.Pick(task, turn, nil)
		if err != nil {
			t.Error(err)
			return
		}
		if err := task.Sleep(time.Microsecond); err != nil {
			t.Error(err)
		}
		sv.Done(turn, OK)
	}
	other := start(e.Loops()[0], func(task *loop.Task) {
		for !stop.Load() {
			run(task, &turns[0])
		}
	})
	in(t, e.Loops()[0], func(task *loop.Task) {
		if n := testing.AllocsPerRun(50, func() { run(task, &turns[1]) }); n != 0 {
			t.Errorf("%v allocations per request", n)
		}
	})
	stop.Store(true)
	finished(t, other)
}

func BenchmarkPick(b *testing.B) {
	for _, n := range []int{1, 10, 1000} {
		for _, balance := range []string{"round_robin", "least_conn"} {
			b.Run(fmt.Sprintf("%s/servers=%d", balance, n), func(b *testing.B) {
				e := engine(b, 1, false)
				var addresses []string
				for i := range n {
					addresses = append(addresses, fmt.Sprintf("10.0.%d.%d:80", i/250, i%250))
				}
				cfg := fixed("a", 100, addresses...)
				cfg.Balance = balance
				s := build(b, pools(cfg), env(e), nil)
				p := s.Pool("a")
				b.ReportAllocs()
				in(b, e.Loops()[0], func(task *loop.Task) {
					var turn Turn
					for b.Loop() {
						sv, err := p.Pick(task, &turn, nil)
						if err != nil {
							b.Error(err)
							return
						}
						sv.Done(&turn, OK)
					}
				})
			})
		}
	}
}

// BenchmarkHandOver is the price of a place that goes from one waiting request to the next, across loops.
func BenchmarkHandOver(b *testing.B) {
	e := engine(b, 2, false)
	s := build(b, pools(queueing(1, 100, time.Minute, "10.0.0.1:80")), env(e), nil)
	p := s.Pool("a")
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ReportAllocs()
	var all []<-chan struct{}
	for i := range 16 {
		all = append(all, start(e.Loops()[i%2], func(task *loop.Task) {
			var turn Turn
			for left.Add(-1) >= 0 {
				sv, err := p.Pick(task, &turn, nil)
				if err != nil {
					b.Error(err)
					return
				}
				if err := task.Sleep(0); err != nil {
					b.Error(err)
					return
				}
				sv.Done(&turn, OK)
			}
		}))
	}
	for _, done := range all {
		finished(b, done)
	}
}

// BenchmarkConnectKept is a request's whole way through the pool on a kept connection.
func BenchmarkConnectKept(b *testing.B) {
	e := engine(b, 1, false)
	o := newOrigin(b, "unix")
	s := build(b, pools(fixed("a", 100, o.address)), env(e), nil)
	p := s.Pool("a")
	b.ReportAllocs()
	in(b, e.Loops()[0], func(task *loop.Task) {
		var turn Turn
		for b.Loop() {
			turn.Reset()
			sv, err := p.Pick(task, &turn, nil)
			if err != nil {
				b.Error(err)
				return
			}
			c, _, err := sv.Connect(task, false, soon(task))
			if err != nil {
				b.Error(err)
				return
			}
			sv.Keep(c)
			sv.Done(&turn, OK)
		}
	})
}
