package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// load is open: requests come at random times that do not depend on the answers, as visitors do.
type load struct {
	c      *client
	side   string
	tally  atomic.Pointer[tally] // of the requests that begin now
	cancel context.CancelFunc
	done   sync.WaitGroup
	under  atomic.Int64 // way
	ids    atomic.Int64
}

const (
	postShare = 4    // one request of so many is a POST
	mostUnder = 3000 // requests at a time: beyond it the client does not send
)

// rates are requests a second.
type rates struct{ django, app, fixed float64 }

func (r rates) total() float64 { return r.django + r.app + r.fixed }

// start begins the load.
func (l *load) start(to rates, first *tally) {
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	l.tally.Store(first)
	l.done.Go(func() { l.clock(ctx) })
	for i, s := range []struct {
		rate float64
		make func(id string, post bool, r *rand.Rand) *ask
	}{
		{to.django, askDjango},
		{to.app, func(id string, post bool, r *rand.Rand) *ask { return askApp(appHost, id, post, r) }},
		{to.fixed, func(id string, post bool, r *rand.Rand) *ask { return askApp(fixedHost, id, post, r) }},
	} {
		l.done.Go(func() { l.stream(ctx, s.rate, s.make, rand.New(rand.NewPCG(uint64(i), 7))) })
	}
}

// clock notes when this process stood still: a machine that has no time for it has none for the servers and checks either.
func (l *load) clock(ctx context.Context) {
	const step = 20 * time.Millisecond
	for last := time.Now(); pause(ctx, step); {
		now := time.Now()
		t := l.tally.Load()
		t.stall.Store(max(t.stall.Load(), int64(now.Sub(last)-step)))
		last = now
	}
}

// stream begins requests of one place.
func (l *load) stream(ctx context.Context, rate float64, next func(id string, post bool, r *rand.Rand) *ask, r *rand.Rand) {
	if rate <= 0 {
		return
	}
	wait := time.NewTimer(0)
	defer wait.Stop()
	for due := time.Now(); ; due = due.Add(time.Duration(r.ExpFloat64() / rate * float64(time.Second))) {
		if d := time.Until(due); d > 0 {
			wait.Reset(d)
			select {
			case <-ctx.Done():
				return
			case <-wait.C:
			}
		} else if ctx.Err() != nil {
			return
		}
		t := l.tally.Load()
		if l.under.Load() >= mostUnder {
			t.mu.Lock()
			t.unsent++
			t.mu.Unlock()
			continue
		}
		a := next(fmt.Sprintf("%s-%d", l.side, l.ids.Add(1)), r.IntN(postShare) == 0, r)
		l.under.Add(1)
		t.under.Add(1)
		l.done.Go(func() {
			t.add(l.c.do(a, due))
			t.under.Add(-1)
			l.under.Add(-1)
		})
	}
}

// turn counts requests that begin from now on in another tally, and waits until those of the one before have ended: what comes next
// must not be blamed for them, nor the other way round.
func (l *load) turn(ctx context.Context, next *tally) {
	next.began = time.Now()
	last := l.tally.Swap(next)
	last.ended = next.began
	for last.under.Load() > 0 && pause(ctx, 10*time.Millisecond) {
	}
}

// stop begins no more requests and waits for those under way.
func (l *load) stop() {
	l.cancel()
	l.done.Wait()
	l.c.close()
}

// capacity is how many requests a second a place can answer, asked by so many clients one after the other.
func capacity(c *client, clients int, d time.Duration, next func(id string, post bool, r *rand.Rand) *ask) (float64, error) {
	var answered, failed atomic.Int64
	var all sync.WaitGroup
	begun := time.Now()
	for i := range clients {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 11))
			for n := 0; time.Since(begun) < d; n++ {
				a := next(fmt.Sprintf("try-%d-%d", i, n), r.IntN(postShare) == 0, r)
				if c.do(a, time.Now()).outcome == good {
					answered.Add(1)
				} else {
					failed.Add(1)
				}
			}
		})
	}
	all.Wait()
	if failed.Load() > 0 {
		return 0, fmt.Errorf("%d of %d requests failed though nothing was broken", failed.Load(), failed.Load()+answered.Load())
	}
	return float64(answered.Load()) / time.Since(begun).Seconds(), nil
}
