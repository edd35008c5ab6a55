package pool

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/pool/limit"
)

// crowded is a pool with one server that is busy, and requests that want it.
type crowded struct {
	t      *testing.T
	e      *loop.Engine
	s      *Set
	p      *Pool
	holder Turn

	mu   sync.Mutex
	ends []string // in the order in which they came: "name" served, "name: error" not
	all  []<-chan struct{}
	n    int
}

func crowd(t *testing.T, e *loop.Engine, cfg *config.Pool) *crowded {
	s := build(t, pools(cfg), env(e), nil)
	c := &crowded{t: t, e: e, s: s, p: s.Pool(cfg.Name)}
	in(t, e.Loops()[0], func(task *loop.Task) {
		if _, err := c.p.Pick(task, &c.holder, nil); err != nil {
			t.Error(err)
		}
	})
	return c
}

// come lets a request come, and waits until it waits or is over.
func (c *crowded) come(name string, class limit.Class, client uint64) {
	c.t.Helper()
	queued := c.p.c.waiting.Load()
	c.mu.Lock()
	ended := len(c.ends)
	c.mu.Unlock()
	c.n++
	c.all = append(c.all, start(c.e.Loops()[c.n%len(c.e.Loops())], func(task *loop.Task) {
		var turn Turn
		turn.Rank(class, client)
		sv, err := c.p.Pick(task, &turn, nil)
		end := name
		if err != nil {
			end = fmt.Sprintf("%s: %v", name, err)
		}
		c.mu.Lock()
		c.ends = append(c.ends, end)
		c.mu.Unlock()
		if err == nil {
			sv.Done(&turn, OK)
		}
	}))
	eventually(c.t, name+" waits or is over", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.p.c.waiting.Load() > queued || len(c.ends) > ended
	})
}

// release gives the place free and returns how all ended.
func (c *crowded) release() []string {
	c.t.Helper()
	in(c.t, c.e.Loops()[0], func(*loop.Task) { c.holder.Server().Done(&c.holder, OK) })
	for _, done := range c.all {
		finished(c.t, done)
	}
	return c.ends
}

func TestQueueByClassAndClient(t *testing.T) {
	onBoth(t, 2, func(t *testing.T, e *loop.Engine) {
		cfg := queueing(1, 5, time.Minute, "10.0.0.1:80")
		cfg.Queue.Fair = true
		c := crowd(t, e, cfg)
		c.come("robot 1", limit.Low, 9)
		c.come("robot 2", limit.Low, 9)
		c.come("a 1", limit.Normal, 1)
		c.come("a 2", limit.Normal, 1)
		c.come("a 3", limit.Normal, 1)
		c.come("b 1", limit.Normal, 2) // the queue is full: the newest robot goes
		c.come("paying", limit.High, 3)
		c.come("c 1", limit.Normal, 4)
		c.come("robot 3", limit.Low, 9)
		want := []string{"robot 2: queue is full", "robot 1: queue is full", "a 3: queue is full", "robot 3: queue is full",
			"paying", "a 1", "b 1", "c 1", "a 2"}
		if d := cmp.Diff(want, c.release()); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		if n := c.p.c.shed; n != 3 {
			t.Errorf("%d were pushed out, want 3", n)
		}
	})
}

// A queue that does not empty turns round; those who came before it did are served last.
func TestAdaptiveQueue(t *testing.T) {
	onBoth(t, 2, func(t *testing.T, e *loop.Engine) {
		cfg := queueing(1, 4, 20*time.Second, "10.0.0.1:80") // a tenth of it is the time, and what all who come below have to be there in
		cfg.Queue.Order = config.AdaptiveLIFO
		c := crowd(t, e, cfg)
		c.come("1", limit.Normal, 0)
		c.come("2", limit.Normal, 0)
		eventually(t, "the queue stands", c.p.c.late)
		c.come("3", limit.Normal, 0)
		c.come("4", limit.Normal, 0)
		c.come("5", limit.Normal, 0) // full: the oldest goes
		want := []string{"1: queue is full", "5", "4", "3", "2"}
		if d := cmp.Diff(want, c.release()); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	})
}

// While it stands, nobody waits for long; but when there is no server, a worker's restart is waited for.
func TestAdaptiveQueueIsPatientWithoutServers(t *testing.T) {
	onBoth(t, 1, func(t *testing.T, e *loop.Engine) {
		cfg := queueing(1, 4, 2*time.Second, "10.0.0.1:80")
		cfg.Queue.Order = config.AdaptiveLIFO
		c := crowd(t, e, cfg)
		c.come("1", limit.Normal, 0)
		eventually(t, "the queue stands", c.p.c.late)
		wait := func(down bool) (took time.Duration) {
			in(t, e.Loops()[0], func(task *loop.Task) {
				before := task.Loop().Now()
				var turn Turn
				_, until, err := c.p.c.enqueue(task, &turn)
				if err != nil {
					t.Error(err)
					return
				}
				if down {
					c.holder.Server().places.Down()
				}
				for err == nil && !turn.granted.Load() {
					err = task.Park(until.by)
					if errors.Is(err, loop.ErrTimeout) && until.by != until.most && !c.p.c.late() {
						until.by, err = until.most, nil
					}
				}
				c.p.c.withdraw(&turn)
				took = time.Duration(task.Loop().Now() - before)
			})
			return took
		}
		if took := wait(false); took > time.Second {
			t.Errorf("it waited %v, want 200 ms", took)
		}
		if took := wait(true); took < time.Second {
			t.Errorf("without a server it waited %v, want 2 s", took)
		}
		c.holder.Server().places.Up()
		c.release()
	})
}

// The limit of the whole pool holds over its servers, and its places are handed on.
func TestLimitOfThePool(t *testing.T) {
	onBoth(t, 2, func(t *testing.T, e *loop.Engine) {
		cfg := queueing(2, 10, time.Minute, "10.0.0.1:80", "10.0.0.2:80")
		cfg.TotalConn = 3
		s := build(t, pools(cfg), env(e), nil)
		p := s.Pool("a")
		var turns [4]Turn
		in(t, e.Loops()[0], func(task *loop.Task) {
			for i := range 3 {
				if _, err := p.Pick(task, &turns[i], nil); err != nil {
					t.Error(err)
				}
			}
		})
		done := start(e.Loops()[1], func(task *loop.Task) {
			if _, err := p.Pick(task, &turns[3], nil); err != nil {
				t.Error(err)
			}
		})
		waiting(t, p, 1)
		in(t, e.Loops()[0], func(*loop.Task) { turns[0].Server().Done(&turns[0], OK) })
		finished(t, done)
		if n := p.c.taken.Load(); n != 3 {
			t.Errorf("%d places are taken, want 3", n)
		}
		// Without the limit they are given back to nobody's loss; with it again, the count begins with those who come.
		cfg2 := *cfg
		cfg2.TotalConn = 0
		next := build(t, pools(&cfg2), env(e), s)
		s.Retire(next)
		in(t, e.Loops()[1], func(task *loop.Task) {
			if _, err := p.Pick(task, &turns[0], nil); err != nil {
				t.Error(err)
			}
		})
		for i := range turns {
			in(t, e.Loops()[i%2], func(*loop.Task) { turns[i].Server().Done(&turns[i], OK) })
		}
		if n := p.c.taken.Load(); n != 0 {
			t.Errorf("%d places are taken, want 0", n)
		}
	})
}

// A place of the pool that is held while no server is found is missed by nobody: whoever saw it taken is woken.
func TestPlaceOfThePoolIsNotLost(t *testing.T) {
	onBoth(t, 1, func(t *testing.T, e *loop.Engine) {
		cfg := queueing(1, 10, time.Minute, "10.0.0.1:80", "10.0.0.2:80")
		cfg.TotalConn = 1
		s := build(t, pools(cfg), env(e), nil)
		p := s.Pool("a")
		if !p.c.enter(1) { // somebody looks for a server and will not find one
			t.Fatal("no place in an empty pool")
		}
		done := start(e.Loops()[0], func(task *loop.Task) {
			var turn Turn
			sv, err := p.Pick(task, &turn, nil)
			if err != nil {
				t.Error(err)
				return
			}
			sv.Done(&turn, OK)
		})
		waiting(t, p, 1)
		p.c.taken.Add(-1) // it gives it back and looks, as Pick does
		p.c.settle()
		finished(t, done)
	})
}

func TestRetryAfterByPace(t *testing.T) {
	onBoth(t, 1, func(t *testing.T, e *loop.Engine) {
		c := crowd(t, e, queueing(1, 10, time.Minute, "10.0.0.1:80"))
		if got := c.p.RetryAfter(ErrQueueFull, 0, 0); got != 15*time.Second {
			t.Errorf("before anybody was served: %v, want 15s", got)
		}
		for i := range 10 {
			c.come(fmt.Sprint(i), limit.Normal, 0)
		}
		c.release()
		if got := c.p.RetryAfter(ErrQueueFull, 0, 0); got != time.Second {
			t.Errorf("an empty queue that moves: %v, want 1s", got)
		}
	})
}

// everything is a pool with all that can be turned on.
func everything(name string, addresses ...string) *config.Pool {
	cfg := fixed(name, 0, addresses...)
	cfg.Queue = config.Queue{Size: 10, Timeout: time.Minute, Order: config.AdaptiveLIFO, Fair: true}
	cfg.TotalConn, cfg.AutoConn = 100, &config.AutoConn{Min: 1, Max: 100}
	cfg.Breaker = &config.Breaker{Errors: 500, Of: 20, For: time.Second}
	cfg.Hedge = &config.Hedge{AtMost: 50}
	return cfg
}

func request(tb testing.TB, task *loop.Task, p *Pool, turn *Turn) bool {
	turn.Reset()
	turn.Rank(limit.Normal, 7)
	sv, err := p.Pick(task, turn, nil)
	if err != nil {
		tb.Error(err)
		return false
	}
	now := task.Loop().Now()
	if after, ok := sv.HedgeAfter(turn); ok && after < 0 {
		tb.Error("a time before now")
	}
	sv.HedgeTook(turn, time.Millisecond)
	turn.Answered(200, now+1e6)
	sv.Done(turn, OK)
	return true
}

func TestNothingIsAllocatedWithAllOn(t *testing.T) {
	e := engine(t, 1, false)
	s := build(t, pools(everything("a", "10.0.0.1:80", "10.0.0.2:80")), env(e), nil)
	p := s.Pool("a")
	in(t, e.Loops()[0], func(task *loop.Task) {
		var turn Turn
		request(t, task, p, &turn) // what a loop needs for hedges is made by its first request
		if n := testing.AllocsPerRun(2000, func() { request(t, task, p, &turn) }); n != 0 {
			t.Errorf("%v allocations per request", n)
		}
	})
}

// BenchmarkAllOn is BenchmarkPick with all that can be turned on.
func BenchmarkAllOn(b *testing.B) {
	e := engine(b, 1, false)
	s := build(b, pools(everything("a", "10.0.0.1:80", "10.0.0.2:80")), env(e), nil)
	p := s.Pool("a")
	b.ReportAllocs()
	in(b, e.Loops()[0], func(task *loop.Task) {
		var turn Turn
		for b.Loop() {
			if !request(b, task, p, &turn) {
				return
			}
		}
	})
}
