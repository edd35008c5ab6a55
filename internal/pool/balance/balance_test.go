package balance

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
)

var allMethods = []string{"round_robin", "least_conn", "random_two", "source_hash"}

func servers(n int) []*Places {
	ps := make([]*Places, n)
	for i := range ps {
		ps[i] = new(Places)
	}
	return ps
}

func equal(n int) []int {
	ws := make([]int, n)
	for i := range ws {
		ws[i] = 1
	}
	return ws
}

// members gives each server a name by its number.
func members(ps []*Places, ws []int) []Member {
	ms := make([]Member, len(ps))
	for i := range ps {
		ms[i] = Member{Places: ps[i], Weight: ws[i], Key: Hash(0, fmt.Sprintf("10.0.0.%d:80", i))}
	}
	return ms
}

func picker(t testing.TB, method string, ps []*Places, ws []int) Picker {
	t.Helper()
	p, err := New(method, false, members(ps, ws))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// counts picks n times, without taking places, and returns how often each index came.
func counts(p Picker, q Query, servers, n int) []int {
	got := make([]int, servers)
	for range n {
		if i := p.Pick(q); i >= 0 {
			got[i]++
		}
	}
	return got
}

func TestUnknownMethod(t *testing.T) {
	if _, err := New("fastest", false, nil); err == nil {
		t.Error("an unknown method was taken")
	}
}

func TestNoServer(t *testing.T) {
	for _, m := range allMethods {
		q := Query{Cursor: &NewCursors(1)[0], Hash: 1, Keyed: true}
		if i := picker(t, m, nil, nil).Pick(q); i != -1 {
			t.Errorf("%s: of no servers %d was picked", m, i)
		}
		ps := servers(3)
		for _, p := range ps {
			p.Down()
		}
		if i := picker(t, m, ps, equal(3)).Pick(q); i != -1 {
			t.Errorf("%s: a server that is down was picked: %d", m, i)
		}
		q.Any = true
		if i := picker(t, m, ps, equal(3)).Pick(q); i == -1 {
			t.Errorf("%s: with any, none was picked", m)
		}
		for _, p := range ps {
			p.Shut()
		}
		if i := picker(t, m, ps, equal(3)).Pick(q); i != -1 {
			t.Errorf("%s: a server that leaves was picked: %d", m, i)
		}
	}
}

// In every whole cycle each server comes as often as its weight says, from any starting point.
func TestRoundRobinProportions(t *testing.T) {
	for _, ws := range [][]int{{1}, {1, 1, 1}, {5, 1, 1}, {2, 4, 6}, {3, 2, 1, 7}, {0, -1, 2}} {
		ps := servers(len(ws))
		total := 0
		for _, w := range ws {
			total += max(w, 0)
		}
		for start := range uint32(total + 2) {
			c := NewCursors(1)[0]
			c.next = start
			got := counts(picker(t, "round_robin", ps, ws), Query{Cursor: &c}, len(ws), 3*total)
			for i, w := range ws {
				if got[i] != 3*max(w, 0) {
					t.Errorf("weights %v from %d: server %d came %d times of %d, want %d", ws, start, i, got[i], 3*total, 3*w)
				}
			}
		}
	}
}

// At no time is a server more than two turns away from its share: that is what smooth means.
func TestRoundRobinSmooth(t *testing.T) {
	for _, ws := range [][]int{{5, 1, 1}, {10, 3, 2, 1}, {100, 1}, {7, 7, 3}} {
		p := picker(t, "round_robin", servers(len(ws)), ws)
		c := NewCursors(1)[0]
		total := 0
		for _, w := range ws {
			total += w
		}
		got := make([]int, len(ws))
		for n := 1; n <= 2*total; n++ {
			got[p.Pick(Query{Cursor: &c})]++
			for i, w := range ws {
				if share := float64(n*w) / float64(total); math.Abs(share-float64(got[i])) > 2 {
					t.Fatalf("weights %v: after %d picks server %d had %d, its share is %.1f", ws, n, i, got[i], share)
				}
			}
		}
	}
}

// The share of a server that is down, full or not wanted goes to all others, not to its successor.
func TestRoundRobinStepsOver(t *testing.T) {
	ps := servers(4)
	ps[1].Down()
	ps[2].Take(0, false)
	c := NewCursors(1)[0]
	got := counts(picker(t, "round_robin", ps, equal(4)), Query{Cursor: &c, Limit: 1}, 4, 100)
	if got[0] != 50 || got[3] != 50 {
		t.Errorf("got %v, want 50 each for 0 and 3", got)
	}
	ps[1].Up()
	got = counts(picker(t, "round_robin", ps, equal(4)), Query{Cursor: &c, Skip: []*Places{ps[0], ps[3]}}, 4, 100)
	if got[1] != 50 || got[2] != 50 {
		t.Errorf("got %v, want 50 each for 1 and 2", got)
	}
}

func TestInterleaveBounds(t *testing.T) {
	ws := make([]uint64, 1000)
	for i := range ws {
		ws[i] = 1 + uint64(i)%977*1000
	}
	if n := len(interleave(ws)); n > maxCycle+len(ws) {
		t.Errorf("a cycle of %d turns", n)
	}
	if o := interleave([]uint64{4, 4, 4}); o != nil {
		t.Errorf("equal weights got an order: %v", o)
	}
	if o := interleave([]uint64{math.MaxInt, 1}); len(o) > maxCycle+2 {
		t.Errorf("a cycle of %d turns", len(o))
	}
}

func TestLeastConn(t *testing.T) {
	tests := []struct {
		name    string
		active  []int
		weights []int
		limit   int64
		want    int
	}{
		{"the least", []int{3, 1, 2}, []int{1, 1, 1}, 0, 1},
		{"by weight", []int{3, 1, 2}, []int{4, 1, 1}, 0, 0},
		{"this request counts", []int{0, 1}, []int{1, 3}, 0, 1},
		{"full is out", []int{2, 3}, []int{1, 100}, 3, 0},
		{"all full", []int{3, 3}, []int{1, 1}, 3, -1},
	}
	for _, tt := range tests {
		ps := servers(len(tt.active))
		for i, n := range tt.active {
			for range n {
				ps[i].Take(0, false)
			}
		}
		c := NewCursors(1)[0]
		if got := picker(t, "least_conn", ps, tt.weights).Pick(Query{Cursor: &c, Limit: tt.limit}); got != tt.want {
			t.Errorf("%s: picked %d, want %d", tt.name, got, tt.want)
		}
	}
}

// Equal servers are taken in turn, wherever they stand among others.
func TestLeastConnSpreadsTies(t *testing.T) {
	ps := servers(9)
	for _, i := range []int{1, 2, 3, 4, 7, 8} {
		ps[i].Take(0, false)
	}
	c := NewCursors(1)[0]
	got := counts(picker(t, "least_conn", ps, equal(9)), Query{Cursor: &c}, 9, 300)
	if got[0] != 100 || got[5] != 100 || got[6] != 100 {
		t.Errorf("got %v, want 100 each for 0, 5 and 6", got)
	}
}

// However requests come and go, no server has two more requests than another when they are equal and nothing but picks adds.
func TestLeastConnEvens(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		n := 1 + r.IntN(12)
		ps := servers(n)
		p := picker(t, "least_conn", ps, equal(n))
		c := NewCursors(1)[0]
		for range 40 * n {
			ps[p.Pick(Query{Cursor: &c})].Take(0, false)
		}
		for i := range ps {
			if ps[i].Active() != 40 {
				t.Fatalf("%d servers: server %d has %d requests, want 40", n, i, ps[i].Active())
			}
		}
	}
}

func TestPlacesLife(t *testing.T) {
	var p Places
	take := func(limit int64, any, ok, trial bool) {
		t.Helper()
		if o, tr := p.Take(limit, any); o != ok || tr != trial {
			t.Fatalf("Take(%d, %v) = %v, %v, want %v, %v", limit, any, o, tr, ok, trial)
		}
	}
	take(2, false, true, false)
	take(2, false, true, false)
	take(2, false, false, false)
	p.Down()
	take(0, false, false, false)
	take(0, true, true, false)
	p.Trial()
	take(0, false, true, true)
	take(0, false, false, false) // one at a time
	p.Trial()
	take(0, false, true, true)
	p.Up()
	take(0, false, true, false)
	p.Trial() // it is not down: nothing to try
	take(0, false, true, false)
	if got := p.Active(); got != 7 {
		t.Fatalf("active %d, want 7", got)
	}
	if left := p.Shut(); left != 7 {
		t.Fatalf("left %d, want 7", left)
	}
	take(0, true, false, false)
	for i := range 7 {
		if last := p.Leave(); last != (i == 6) {
			t.Fatalf("leaving %d: last is %v", i, last)
		}
	}
	p.Reopen()
	take(0, false, true, false)
	if p.Leave() {
		t.Error("an open server has no last one")
	}
	defer func() {
		if recover() == nil {
			t.Error("a place that nobody had was given back")
		}
	}()
	p.Leave()
}

// Whatever races, no more than the limit hold places, and after Shut nobody gets one.
func TestPlacesRace(t *testing.T) {
	const limit = 3
	var p Places
	var in, worst, late atomic.Int64
	var shut atomic.Bool
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20000 {
				was := shut.Load()
				if ok, _ := p.Take(limit, false); ok {
					if was {
						late.Add(1)
					}
					if n := in.Add(1); n > worst.Load() {
						worst.Store(n)
					}
					in.Add(-1)
					p.Leave()
				}
				if rand.IntN(30000) == 0 {
					p.Shut()
					shut.Store(true)
				}
			}
		})
	}
	wg.Wait()
	if worst.Load() > limit || late.Load() > 0 || p.Active() != 0 {
		t.Errorf("%d at a time (limit %d), %d after the shut, %d left", worst.Load(), limit, late.Load(), p.Active())
	}
}

func TestPickAllocatesNothing(t *testing.T) {
	for _, m := range allMethods {
		ps := servers(10)
		p := picker(t, m, ps, []int{1, 2, 3, 1, 2, 3, 1, 2, 3, 1})
		c := &NewCursors(1)[0]
		skip := []*Places{ps[1]}
		if n := testing.AllocsPerRun(1000, func() {
			i := p.Pick(Query{Cursor: c, Limit: 4, Skip: skip, Hash: c.draw(), Keyed: true})
			ps[i].Take(4, false)
			ps[i].Leave()
		}); n != 0 {
			t.Errorf("%s: %v allocations", m, n)
		}
	}
}

func BenchmarkPick(b *testing.B) {
	for _, m := range allMethods {
		for _, n := range []int{1, 10, 1000} {
			for _, busy := range []bool{false, true} {
				ps := servers(n)
				if busy { // each has something under way: least_conn cannot stop at the first idle one, and hashes look at the bound
					for _, p := range ps {
						for range 6 {
							p.Take(0, false)
						}
					}
				}
				p := picker(b, m, ps, equal(n))
				b.Run(fmt.Sprintf("%s/servers=%d/busy=%v", m, n, busy), func(b *testing.B) {
					b.ReportAllocs()
					c := &NewCursors(1)[0]
					for b.Loop() {
						i := p.Pick(Query{Cursor: c, Limit: 100, Hash: c.draw(), Keyed: true})
						ps[i].Take(100, false)
						ps[i].Leave()
					}
				})
			}
		}
	}
}
