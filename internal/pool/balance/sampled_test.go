package balance

import (
	"container/heap"
	"math/rand/v2"
	"slices"
	"testing"
)

// event is the end of a simulated request.
type event struct {
	at     float64
	server int
}

type events []event

func (e events) Len() int           { return len(e) }
func (e events) Less(i, j int) bool { return e[i].at < e[j].at }
func (e events) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)        { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

// simulate lets requests come at random to servers of uneven speed that take one at a time, first come, first served, and returns how long
// they took, sorted. busy is how much of the servers' time is needed.
func simulate(pick func(q Query) int, ps []*Places, busy float64, requests int) []float64 {
	r := rand.New(rand.NewPCG(7, 7))
	speed, all := make([]float64, len(ps)), 0.0
	free := make([]float64, len(ps)) // when a server has done all that it has
	for i := range speed {
		speed[i] = 0.5 + float64(i%4)/2
		all += speed[i]
	}
	c := &NewCursors(1)[0]
	var ends events
	took := make([]float64, 0, requests)
	now := 0.0
	for range requests {
		now += r.ExpFloat64() / (busy * all)
		for len(ends) > 0 && ends[0].at <= now {
			ps[heap.Pop(&ends).(event).server].Leave()
		}
		k := pick(Query{Cursor: c})
		ps[k].Take(0, false)
		free[k] = max(free[k], now) + r.ExpFloat64()/speed[k]
		took = append(took, free[k]-now)
		heap.Push(&ends, event{free[k], k})
	}
	for len(ends) > 0 {
		ps[heap.Pop(&ends).(event).server].Leave()
	}
	slices.Sort(took)
	return took
}

// With a sample in place of all servers, requests take as long; when next to none is idle, a tenth longer.
func TestSampledLeastConn(t *testing.T) {
	const n = 1000
	for busy, most := range map[float64]float64{0.5: 1.05, 0.8: 1.05, 0.95: 1.2} {
		ps := servers(n)
		l := newLeastConn(members(ps, equal(n)))
		exact := simulate(func(q Query) int { return l.pickExact(&q) }, ps, busy, 60000)
		sampled := simulate(func(q Query) int { return l.Pick(q) }, ps, busy, 60000)
		for _, part := range []float64{0.5, 0.9, 0.99} {
			i := int(part * float64(len(exact)))
			t.Logf("%.0f%% busy, %.1f%% of requests within %.3f of all servers, %.3f of a sample", 100*busy, 100*part, exact[i], sampled[i])
			if sampled[i] > most*exact[i]+0.05 {
				t.Errorf("%.0f%% busy: %.1f%% of requests took %.3f when all servers were looked at, %.3f with a sample", 100*busy, 100*part, exact[i], sampled[i])
			}
		}
	}
}

// When nothing but picks adds, no server of a thousand gets more than two above the least; a place that comes free in the crowd is
// found again soon.
func TestSampledLeastConnEvens(t *testing.T) {
	const n = 1000
	ps := servers(n)
	l := newLeastConn(members(ps, equal(n)))
	c := &NewCursors(1)[0]
	for range 40 * n {
		ps[l.Pick(Query{Cursor: c})].Take(0, false)
	}
	low, high := ps[0].Active(), ps[0].Active()
	for _, p := range ps {
		low, high = min(low, p.Active()), max(high, p.Active())
	}
	if low < 38 || high > 41 {
		t.Errorf("of 40 requests for each, one server has %d and one %d", low, high)
	}
	for range 100 {
		k := rand.IntN(n)
		for range 10 {
			ps[k].Leave()
		}
		picks, got := 0, 0
		for ; got < 5 && picks < 1000; picks++ {
			i := l.Pick(Query{Cursor: c})
			ps[i].Take(0, false)
			if i == k {
				got++
			} else {
				defer ps[i].Leave()
			}
		}
		for range got {
			ps[k].Leave()
		}
		for range 10 {
			ps[k].Take(0, false)
		}
		if got < 5 {
			t.Fatalf("a server with ten requests less was taken %d times in %d picks", got, picks)
		}
	}
}

// Weights count in a sample as they do among all.
func TestSampledLeastConnWeights(t *testing.T) {
	const n = 500
	ws := equal(n)
	ws[7], ws[8] = 500, 250
	ps := servers(n)
	l := newLeastConn(members(ps, ws))
	c := &NewCursors(1)[0]
	for range 10 * (n - 2 + 750) {
		ps[l.Pick(Query{Cursor: c})].Take(0, false)
	}
	if a, b := ps[7].Active(), ps[8].Active(); a < 4500 || a > 5500 || b < 2250 || b > 2750 {
		t.Errorf("servers with weights 500 and 250 have %d and %d requests, want about 5000 and 2500", a, b)
	}
}

// What a sample does not find is found all the same.
func TestSampledLeastConnFindsTheLastPlace(t *testing.T) {
	const n = 1000
	ps := servers(n)
	for i, p := range ps {
		if i != 321 {
			p.Take(0, false)
		}
	}
	for _, m := range allMethods {
		if got := picker(t, m, ps, equal(n)).Pick(Query{Cursor: &NewCursors(1)[0], Limit: 1, Hash: 5, Keyed: true}); got != 321 {
			t.Errorf("%s: picked %d, want 321, the only one with a place", m, got)
		}
	}
}
