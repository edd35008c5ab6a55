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

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/pool/limit"
)

// stress is thousands of requests on all loops while workers come, go and fail, with time limits and clients that
// end waits in the same moment as places are granted.
type stress struct {
	t       *testing.T
	s       *Set
	p       *Pool
	limit   int64
	total   int64
	client  loop.Addr
	all     atomic.Int64 // how many the tasks say are at all servers
	at      sync.Map     // *Server → *atomic.Int64: how many the tasks say are there
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
	turn.Rank(limit.Class(r.IntN(3)-1), uint64(r.IntN(40))%30) // some clients ask for twice as much
	for range 3 {
		sv, err := st.p.Pick(task, &turn, client)
		if err != nil {
			switch {
			case errors.Is(err, loop.ErrHangup):
				st.hungup.Add(1)
			case errors.Is(err, ErrQueueTimeout), errors.Is(err, ErrQueueFull), errors.Is(err, ErrNoServer), errors.Is(err, ErrBroken):
				st.refused.Add(1)
			default:
				st.t.Errorf("picking: %v", err)
			}
			return
		}
		n := st.come(sv)
		var second Turn
		if other := st.p.PickOther(task, &second, sv); r.IntN(5) == 0 && other != nil {
			if other == sv {
				st.t.Errorf("the second server is the first, %s", sv.Name())
			}
			m := st.come(other)
			if err := task.Sleep(0); err != nil {
				st.t.Errorf("sleeping: %v", err)
			}
			if r.IntN(2) == 0 { // the second is the quicker one
				n.Add(-1)
				st.all.Add(-1)
				sv.Done(&turn, Aborted)
				turn.TakeOver(&second)
				sv, n = other, m
			} else {
				m.Add(-1)
				st.all.Add(-1)
				other.Done(&second, Aborted)
			}
		} else if other != nil {
			st.come(other).Add(-1)
			st.all.Add(-1)
			other.Done(&second, Aborted)
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
		st.all.Add(-1)
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

// come counts a request at a server.
func (st *stress) come(sv *Server) *atomic.Int64 {
	st.granted.Add(1)
	v, _ := st.at.LoadOrStore(sv, new(atomic.Int64))
	n := v.(*atomic.Int64)
	if now := n.Add(1); now > st.limit {
		st.t.Errorf("%d requests at %s, the limit is %d", now, sv.Name(), st.limit)
	}
	if now := st.all.Add(1); st.total > 0 && now > st.total {
		st.t.Errorf("%d requests at all servers, the limit is %d", now, st.total)
	}
	return n
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
	for _, tt := range []struct {
		name  string
		total int
		queue config.Queue
		auto  *config.AutoConn
		trips *config.Breaker
	}{
		{"first in, first out", 0, config.Queue{Size: 300, Timeout: 20 * time.Millisecond}, nil, nil},
		{"whole pool", 4, config.Queue{Size: 300, Timeout: 20 * time.Millisecond}, nil, nil},
		{"fair, adaptive", 5, config.Queue{Size: 100, Timeout: 20 * time.Millisecond, Fair: true, Order: config.AdaptiveLIFO}, nil, nil},
		{"found limits and a breaker", 0, config.Queue{Size: 300, Timeout: 20 * time.Millisecond, Fair: true},
			&config.AutoConn{Min: 1, Max: 2}, &config.Breaker{Errors: 200, Of: 10, For: 2 * time.Millisecond}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := ofApp("web", "web", 2)
			cfg.Queue, cfg.TotalConn, cfg.AutoConn, cfg.Breaker = tt.queue, tt.total, tt.auto, tt.trips
			if tt.auto != nil {
				cfg.MaxConn = 0
			}
			stressed(t, cfg)
		})
	}
}

func stressed(t *testing.T, cfg *config.Pool) {
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
		cfg.Balance = []string{"round_robin", "least_conn"}[rand.IntN(2)]
		first := build(t, pools(cfg), env(e), nil)
		first.SetWorkers([]api.Worker{worker("web/0", "ready"), worker("web/1", "ready"), worker("web/2", "ready")})
		st := &stress{t: t, s: first, p: first.Pool("web"), limit: 2, total: int64(cfg.TotalConn), client: at.to}

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
		if n := c.waiting.Load(); n != 0 || c.queue.Len() != 0 {
			t.Errorf("%d in the queue, want 0", n)
		}
		if n := c.taken.Load(); n != 0 {
			t.Errorf("%d places of the pool are taken, want 0", n)
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
		if st.granted.Load() < int64(tasks)/20 || st.refused.Load() == 0 {
			t.Errorf("%d granted, %d refused: this is no stress", st.granted.Load(), st.refused.Load())
		}
		t.Logf("%d places granted, %d refused, %d clients gone", st.granted.Load(), st.refused.Load(), st.hungup.Load())
		last.Close()
	})
}

// TestNobodyIsForgotten: without a time limit, who waits is woken by others or never. Requests come in small waves, so that
// at the end of each nobody is left who could wake one by chance.
func TestNobodyIsForgotten(t *testing.T) {
	for _, tt := range []struct {
		name  string
		limit int
		total int
		auto  *config.AutoConn
		fair  bool
	}{
		{"servers", 1, 0, nil, false},
		{"pool", 1, 2, nil, true},
		{"pool, not servers", 0, 1, nil, true},
		{"found", 0, 2, &config.AutoConn{Min: 1, Max: 1}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			onBoth(t, 3, func(t *testing.T, e *loop.Engine) {
				cfg := queueing(tt.limit, 1000, 0, "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80")
				cfg.TotalConn, cfg.AutoConn, cfg.Queue.Fair = tt.total, tt.auto, tt.fair
				s := build(t, pools(cfg), env(e), nil)
				p := s.Pool("a")
				for wave := range 300 {
					var all []<-chan struct{}
					for i := range 8 {
						all = append(all, start(e.Loops()[i%3], func(task *loop.Task) {
							r := rand.New(rand.NewPCG(uint64(wave), uint64(i)))
							var turn Turn
							turn.Rank(limit.Class(r.IntN(3)-1), uint64(r.IntN(4)))
							for range 2 {
								sv, err := p.Pick(task, &turn, nil)
								if err != nil {
									t.Errorf("picking: %v", err)
									return
								}
								for range r.IntN(3) {
									if err := task.Sleep(0); err != nil {
										t.Errorf("sleeping: %v", err)
									}
								}
								if r.IntN(3) > 0 {
									sv.Done(&turn, OK)
									return
								}
								sv.Done(&turn, BadResponse)
							}
						}))
					}
					for _, done := range all {
						finished(t, done)
					}
					if t.Failed() {
						return
					}
				}
				if n, m := p.c.waiting.Load(), p.c.taken.Load(); n != 0 || m != 0 {
					t.Errorf("%d wait, %d places of the pool are taken, want none", n, m)
				}
			})
		})
	}
}
