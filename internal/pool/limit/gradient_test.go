package limit

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// simulated is a server that works on so many requests at a time and lets the rest wait inside of it, and a queue before it that
// always has somebody in it, or as many as want something.
type simulated struct {
	slots int
	work  func(r *rand.Rand) time.Duration
	wants int // requests at a time that clients want; 0: any number

	g      Gradient
	p      GradientPolicy
	s      Sample
	r      *rand.Rand
	now    int64
	free   []int64 // when each slot is free
	ends   ends
	done   int
	failed func(now int64) bool
}

type ends []struct{ at, began int64 }

func (e ends) Len() int           { return len(e) }
func (e ends) Less(i, j int) bool { return e[i].at < e[j].at }
func (e ends) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *ends) Push(x any)        { *e = append(*e, x.(struct{ at, began int64 })) }
func (e *ends) Pop() any {
	x := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return x
}

func newSimulated(slots int, work func(*rand.Rand) time.Duration) *simulated {
	return &simulated{slots: slots, work: work, p: GradientPolicy{1, 1000}, r: rand.New(rand.NewPCG(uint64(slots), 5)), now: 1}
}

// resize gives the server another number of slots.
func (s *simulated) resize(slots int) {
	s.slots = slots
	if len(s.free) > slots {
		s.free = s.free[:slots]
	}
}

// run goes on for so long and returns the mean limit, and requests done a second.
func (s *simulated) run(d time.Duration) (mean, rate float64) {
	until, before := s.now+int64(d), s.done
	var area float64
	from := s.now
	for s.now < until {
		limit := int(s.g.Limit(&s.p))
		if s.wants > 0 {
			limit = min(limit, s.wants)
		}
		for len(s.ends) < limit {
			for len(s.free) < s.slots {
				s.free = append(s.free, s.now)
			}
			at := 0
			for i := range s.free {
				if s.free[i] < s.free[at] {
					at = i
				}
			}
			s.free[at] = max(s.free[at], s.now) + int64(s.work(s.r))
			heap.Push(&s.ends, struct{ at, began int64 }{s.free[at], s.now})
		}
		e := heap.Pop(&s.ends).(struct{ at, began int64 })
		area += float64(s.g.Limit(&s.p)) * float64(e.at-s.now)
		s.now = e.at
		s.done++
		if s.failed != nil && s.failed(s.now) {
			s.s.Fail(s.now)
		} else {
			s.s.Add(s.now, e.at-e.began, int64(len(s.ends)+1))
		}
		if s.s.Due(s.now) {
			s.g.Update(&s.p, &s.s, s.now)
		}
	}
	return area / float64(s.now-from), float64(s.done-before) / (float64(s.now-from) / 1e9)
}

func steady(d time.Duration) func(*rand.Rand) time.Duration {
	return func(*rand.Rand) time.Duration { return d }
}

func random(d time.Duration) func(*rand.Rand) time.Duration {
	return func(r *rand.Rand) time.Duration { return time.Duration(r.ExpFloat64() * float64(d)) }
}

// mixed is quick pages, and slow ones among them.
func mixed(d time.Duration) func(*rand.Rand) time.Duration {
	return func(r *rand.Rand) time.Duration {
		if r.IntN(10) == 0 {
			return 10 * d
		}
		return d/2 + rand.N(d)
	}
}

// TestFindsTheKnee: whatever a server can do, the limit comes to rest near it, and the server is busy.
func TestFindsTheKnee(t *testing.T) {
	for _, w := range []struct {
		name string
		work func(time.Duration) func(*rand.Rand) time.Duration
	}{{"steady", steady}, {"random", random}, {"mixed", mixed}} {
		for _, slots := range []int{1, 2, 4, 8, 16, 64} {
			for _, took := range []time.Duration{5 * time.Millisecond, 40 * time.Millisecond} {
				if slots/int(took/time.Millisecond) > 3 {
					continue // it has nothing to say that the others have not, and takes the longest
				}
				t.Run(fmt.Sprintf("%s/%v/%d", w.name, took, slots), func(t *testing.T) {
					s := newSimulated(slots, w.work(took))
					s.run(45 * time.Second)
					limit, rate := s.run(60 * time.Second)
					all := newSimulated(slots, w.work(took))
					all.p = GradientPolicy{10 * slots, 10 * slots}
					_, most := all.run(20 * time.Second)
					t.Logf("limit %.1f, %.1f %% of %.0f/s", limit, 100*rate/most, most)
					if low, high := 0.9*float64(slots), 1.5*float64(slots)+3; limit < low || limit > high {
						t.Errorf("limit %.1f, want %.1f to %.1f", limit, low, high)
					}
					if rate < 0.85*most {
						t.Errorf("%.0f/s, want %.0f at least", rate, 0.85*most)
					}
				})
			}
		}
	}
}

// TestFallsWithLatency: when a server becomes slow the limit falls at once, and finds the new knee.
func TestFallsWithLatency(t *testing.T) {
	for _, slots := range []int{4, 16, 64} {
		t.Run(fmt.Sprint(slots), func(t *testing.T) {
			s := newSimulated(slots, random(20*time.Millisecond))
			s.run(20 * time.Second)
			before, _ := s.run(5 * time.Second)
			s.work = random(40 * time.Millisecond)
			slow, least := before, before
			for range 20 {
				slow, _ = s.run(250 * time.Millisecond)
				least = min(least, slow)
			}
			_, rate := s.run(30 * time.Second)
			after, _ := s.run(60 * time.Second)
			t.Logf("%.1f, when latency doubled %.1f, and when that was learned %.1f", before, least, after)
			if least > 0.75*before {
				t.Errorf("when latency doubled the limit went from %.1f to %.1f", before, least)
			}
			if most := float64(slots) * 25; rate < 0.8*most {
				t.Errorf("afterwards it did %.0f/s of %.0f", rate, most)
			}
			if after < 0.9*float64(slots) || after > 1.5*float64(slots)+3 {
				t.Errorf("later it is %.1f, want about %d", after, slots)
			}

			s.resize(slots / 2)
			s.run(60 * time.Second)
			half, _ := s.run(30 * time.Second)
			t.Logf("with half the slots %.1f", half)
			if half > 0.75*float64(slots)+3 {
				t.Errorf("with half the slots it is %.1f, want about %d", half, slots/2)
			}
		})
	}
}

// TestFailuresLowerTheLimit: a server that refuses is asked for less.
func TestFailuresLowerTheLimit(t *testing.T) {
	s := newSimulated(50, steady(10*time.Millisecond))
	s.run(30 * time.Second)
	before, _ := s.run(5 * time.Second)
	s.failed = func(int64) bool { return s.r.IntN(4) == 0 }
	s.run(2 * time.Second)
	some, _ := s.run(3 * time.Second)
	s.failed = func(int64) bool { return true }
	s.run(3 * time.Second)
	all, _ := s.run(time.Second)
	t.Logf("%.1f, a quarter failed: %.1f, all: %.1f", before, some, all)
	if some > before/2 || all > 2 {
		t.Errorf("%.1f, a quarter failed: %.1f, all: %.1f", before, some, all)
	}
	s.failed = nil
	s.run(60 * time.Second)
	if again, _ := s.run(5 * time.Second); again < 45 {
		t.Errorf("afterwards %.1f, want 50", again)
	}
}

// TestLimitStaysWhenNobodyAsks: a limit that nobody reaches does not grow, and no bound is passed.
func TestLimitStaysWhenNobodyAsks(t *testing.T) {
	s := newSimulated(100, steady(10*time.Millisecond))
	s.wants = 3
	if limit, _ := s.run(60 * time.Second); limit > 10 {
		t.Errorf("3 at a time made it %.1f", limit)
	}
	s = newSimulated(100, steady(10*time.Millisecond))
	s.p = GradientPolicy{6, 20}
	s.run(20 * time.Second)
	if limit := s.g.Limit(&s.p); limit < 6 || limit > 20 {
		t.Errorf("%d, want 6 to 20", limit)
	}
	s.failed = func(int64) bool { return true }
	s.run(20 * time.Second)
	if limit := s.g.Limit(&s.p); limit != 6 {
		t.Errorf("%d, want the least of 6", limit)
	}
}

// TestSamplesJoin: what loops saw apart is as good as seen together.
func TestSamplesJoin(t *testing.T) {
	var a, b, both Sample
	for i := range int64(100) {
		half := &a
		if i%2 == 0 {
			half = &b
		}
		half.Add(1+i*1e6, 5e6+i*1e4, i)
		both.Add(1+i*1e6, 5e6+i*1e4, i)
	}
	a.Fail(100e6)
	both.Fail(100e6)
	a.Join(&b, 100e6)
	if a.n != both.n || a.failed != both.failed || a.peak != both.peak || a.began != both.began || math.Abs(a.latency()-both.latency()) > 1 {
		t.Errorf("joined %+v, seen together %+v", a, both)
	}
	if b != (Sample{}) {
		t.Errorf("%+v is left", b)
	}
}
