package pool

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/loop"
)

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
