package pool

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/loop"
)

// A server that works on four requests at a time and lets others wait inside of it: the limit that is found is about that, on
// whatever loops the requests come. The limit goes with the key.
func TestLimitIsFound(t *testing.T) {
	onBoth(t, 2, func(t *testing.T, e *loop.Engine) {
		const slots, took = 4, int64(8 * time.Millisecond)
		cfg := queueing(0, 100, time.Minute, "10.0.0.1:80")
		cfg.AutoConn = &config.AutoConn{Min: 1, Max: 50}
		s := build(t, pools(cfg), env(e), nil)
		p := s.Pool("a")
		sv := p.c.view.Load().servers[0]
		if n := sv.places.Own(); n != 4 {
			t.Errorf("it begins with %d, want 4", n)
		}
		work := make(chan struct{}, 1)
		work <- struct{}{}
		var free [slots]int64
		var stop atomic.Bool
		var most atomic.Int64
		var all []<-chan struct{}
		for i := range 40 {
			all = append(all, start(e.Loops()[i%2], func(task *loop.Task) {
				var turn Turn
				for !stop.Load() {
					turn.Reset()
					sv, err := p.Pick(task, &turn, nil)
					if err != nil {
						t.Error(err)
						return
					}
					most.Store(max(most.Load(), sv.places.Active()))
					<-work // held for no longer than it takes to write a number down
					at := 0
					for k := range free {
						if free[k] < free[at] {
							at = k
						}
					}
					now := task.Loop().Now()
					free[at] = max(free[at], now) + took
					until := free[at]
					work <- struct{}{}
					if err := task.Sleep(time.Duration(until - now)); err != nil {
						t.Error(err)
					}
					turn.Answered(200, task.Loop().Now())
					sv.Done(&turn, OK)
				}
			}))
		}
		eventually(t, "the limit is measured and found", func() bool {
			a := sv.auto.Load()
			a.mu.Lock()
			defer a.mu.Unlock()
			n := a.find.Limit(&a.policy)
			return a.find.Settled() && n >= slots-1 && n <= 3*slots
		})
		if n := s.Status()[0].Servers[0].Limit; n < 1 || n > 50 {
			t.Errorf("status says %d", n)
		}
		stop.Store(true)
		for _, done := range all {
			finished(t, done)
		}
		if most.Load() > 50 {
			t.Errorf("%d were there at a time", most.Load())
		}
		given := *cfg
		given.AutoConn = nil
		next := build(t, pools(&given), env(e), s)
		s.Retire(next)
		if n := sv.places.Own(); n != 0 {
			t.Errorf("without auto the limit is %d", n)
		}
	})
}

// A limit that is raised lets those in who wait.
func TestRaisedLimitIsHandedOn(t *testing.T) {
	onBoth(t, 2, func(t *testing.T, e *loop.Engine) {
		cfg := queueing(0, 100, time.Minute, "10.0.0.1:80")
		cfg.AutoConn = &config.AutoConn{Min: 1, Max: 1}
		c := crowd(t, e, cfg)
		done := start(e.Loops()[1], func(task *loop.Task) {
			var turn Turn
			sv, err := c.p.Pick(task, &turn, nil)
			if err != nil {
				t.Error(err)
				return
			}
			sv.Done(&turn, OK)
		})
		waiting(t, c.p, 1)
		more := *cfg
		more.AutoConn = &config.AutoConn{Min: 2, Max: 2}
		next := build(t, pools(&more), env(e), c.s)
		c.s.Retire(next)
		finished(t, done)
		c.release()
	})
}
