package loop

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// clocked owns a timer in the tests: it keeps a deadline as connections do.
type clocked struct {
	w     *wheel
	timer timer
	by    Time // 0 none
	fired []Time
	again func(now Time) Time
}

func (o *clocked) expire(now Time) {
	switch {
	case o.by == 0:
	case o.by > now:
		o.w.by(&o.timer, o.by)
	default:
		o.by = 0
		o.fired = append(o.fired, now)
		if o.again != nil {
			if at := o.again(now); at != 0 {
				o.set(at)
			}
		}
	}
}

func (o *clocked) set(at Time) {
	o.by = at
	if at != 0 {
		o.w.by(&o.timer, at)
	}
}

func newClocked(w *wheel) *clocked {
	o := &clocked{w: w}
	o.timer.owner = o
	return o
}

const tickTime = Time(1) << tickShift

// The wheel against the naive model: at each step in time, exactly those deadlines have been told that have passed by
// more than a tick, none early and none twice. The wheel is asked when to look again, and looked at only then and at random.
func TestWheelAgainstModel(t *testing.T) {
	for seed := range uint64(200) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { modelRun(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

func modelRun(t *testing.T, rnd *rand.Rand) {
	w := &wheel{}
	owners := make([]*clocked, 40)
	want := make([]Time, len(owners)) // the model: deadlines not yet told
	for i := range owners {
		owners[i] = newClocked(w)
	}
	now := Time(rnd.Int64N(int64(100 * time.Hour)))
	w.advance(now)
	for range 400 {
		for range rnd.IntN(8) {
			i := rnd.IntN(len(owners))
			switch rnd.IntN(5) {
			case 0:
				owners[i].set(0)
				want[i] = 0
			case 1:
				owners[i].set(0)
				w.disarm(&owners[i].timer)
				want[i] = 0
			default:
				want[i] = now + span(rnd)
				owners[i].set(want[i])
			}
		}
		if next := w.next(); next != 0 && rnd.IntN(4) > 0 {
			now = max(now, next)
		} else {
			now += span(rnd)
		}
		w.advance(now)
		for i, o := range owners {
			if want[i] != 0 && len(o.fired) == 1 && o.fired[0] >= want[i] {
				want[i], o.fired = 0, nil
			}
			if len(o.fired) > 0 {
				t.Fatalf("at %d: told at %v, wanted at %d", now, o.fired, want[i])
			}
			if want[i] != 0 && want[i]+tickTime <= now {
				t.Fatalf("at %d: not told what was wanted at %d", now, want[i])
			}
			if next := w.next(); want[i] != 0 && (next == 0 || next > want[i]+tickTime) {
				t.Fatalf("at %d: the next look is at %d, but one is wanted at %d", now, next, want[i])
			}
		}
	}
}

// span is a random length of time, of any order.
func span(rnd *rand.Rand) Time {
	return Time(rnd.Int64N(int64(time.Millisecond) << rnd.IntN(34)))
}

// The number of times that a sleeping loop is woken for one timer is bounded by the levels.
func TestWheelWakesSeldom(t *testing.T) {
	for _, d := range []time.Duration{time.Millisecond, time.Second, time.Minute, time.Hour, 24 * time.Hour, 365 * 24 * time.Hour} {
		w := &wheel{}
		now := Time(12345678901234)
		w.advance(now)
		o := newClocked(w)
		o.set(now + Time(d))
		looks := 0
		for len(o.fired) == 0 {
			now = max(w.next(), now+1)
			w.advance(now)
			looks++
		}
		if looks > wheelLevels {
			t.Errorf("%v: woken %d times", d, looks)
		}
		if w.next() != 0 {
			t.Errorf("%v: still to be woken", d)
		}
	}
}

func TestWheelOddDeadlines(t *testing.T) {
	w := &wheel{}
	w.advance(Time(time.Hour))
	past, far := newClocked(w), newClocked(w)
	past.set(1)
	far.set(1<<63 - 1)
	w.advance(Time(time.Hour) + tickTime)
	if len(past.fired) != 1 || len(far.fired) != 0 {
		t.Errorf("past told %d times, far %d", len(past.fired), len(far.fired))
	}
	// One that always asks for the past is told once a tick and holds nothing up.
	past.again = func(Time) Time { return 1 }
	past.set(1)
	w.advance(Time(time.Hour) + 100*tickTime)
	if n := len(past.fired); n < 2 || n > 102 {
		t.Errorf("told %d times", n)
	}
}

func BenchmarkTimerRearm(b *testing.B) {
	w := &wheel{}
	o := newClocked(w)
	var other [1000]*clocked
	for i := range other {
		other[i] = newClocked(w)
		other[i].set(Time(i+1) * Time(time.Second))
	}
	b.Run("postpone", func(b *testing.B) { // what a deadline costs on the hot path
		b.ReportAllocs()
		at := Time(time.Second)
		for b.Loop() {
			at += 1000
			o.set(at)
		}
	})
	b.Run("move", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			w.disarm(&o.timer)
			o.set(Time(30 * time.Second))
		}
	})
}
