package store

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"testing"
)

func newArena(t testing.TB, steps int) *arena {
	t.Helper()
	a := &arena{}
	if err := a.open(steps * stepBytes); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.close(); err != nil {
			t.Error(err)
		}
	})
	for range steps {
		if err := a.grow(); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

// check walks the lists of an arena and holds them against its bitmap and its sum.
func (a *arena) check(t testing.TB) {
	t.Helper()
	sum, edges := int64(0), 0
	for b := range uint32(binCount) {
		if (a.lists[b] != 0) != (a.some[b/64]>>(b%64)&1 != 0) {
			t.Fatalf("list %d and its bit differ", b)
		}
		before := uint32(0)
		for g := a.lists[b]; g != 0; g = a.gap(g).next {
			n := a.gap(g).size
			switch end := g + n; {
			case bin(n) != b || a.gap(g).prev != before || *a.tail(end - 1) != n:
				t.Fatalf("list %d: the gap of %d at %d is linked wrongly", b, n, g)
			case !a.edge(g) || !a.edge(end-1):
				t.Fatalf("list %d: the gap of %d at %d is not marked", b, n, g)
			case g/stepGranules != (end-1)/stepGranules:
				t.Fatalf("list %d: the gap of %d at %d lies in two steps", b, n, g)
			case end%stepGranules != 0 && a.edge(end):
				t.Fatalf("list %d: the gap of %d at %d was not joined with the next", b, n, g)
			}
			if edges++; n > 1 {
				edges++
			}
			before = g
			sum += int64(n)
		}
	}
	if sum != a.free {
		t.Fatalf("%d granules in the lists, %d counted", sum, a.free)
	}
	marked := 0
	for g := uint32(0); g < uint32(len(a.gone))*stepGranules; g += 64 {
		word, _ := a.word(g)
		marked += bits.OnesCount64(*word)
	}
	if marked != edges {
		t.Fatalf("%d granules are marked, %d are edges of gaps", marked, edges)
	}
}

func TestBins(t *testing.T) {
	last := uint32(0)
	for n := uint32(1); n <= stepGranules; n++ {
		b := bin(n)
		if b < last || b > last+1 || b >= binCount {
			t.Fatalf("bin(%d) = %d after %d", n, b, last)
		}
		last = b
	}
}

func TestArenaRuns(t *testing.T) {
	a := newArena(t, 4)
	all := a.free
	rng := rand.New(rand.NewPCG(1, 2))
	type run struct{ g, n uint32 }
	var runs []run
	owner := make([]bool, 4*stepGranules)
	for round := range 20000 {
		if rng.IntN(100) < 55 {
			n := uint32(math.Exp(rng.NormFloat64()*1.5 + 3))
			n = min(max(n, 1), stepGranules)
			g, got := a.take(n, 1)
			if g == 0 {
				continue
			}
			if got > n {
				t.Fatalf("asked for %d granules, got %d", n, got)
			}
			for i := g; i < g+got; i++ {
				if owner[i] {
					t.Fatalf("round %d: granule %d was handed out twice", round, i)
				}
				owner[i] = true
			}
			runs = append(runs, run{g, got})
		} else if len(runs) > 0 {
			i := rng.IntN(len(runs))
			r := runs[i]
			if r.n > 1 && rng.IntN(4) == 0 { // a part of it
				part := 1 + rng.Uint32N(r.n-1)
				runs[i].n -= part
				r = run{r.g + r.n - part, part}
			} else {
				runs[i] = runs[len(runs)-1]
				runs = runs[:len(runs)-1]
			}
			for i := r.g; i < r.g+r.n; i++ {
				owner[i] = false
			}
			a.release(r.g, r.n)
		}
		if round%2000 == 0 {
			a.check(t)
		}
	}
	a.check(t)
	for _, r := range runs {
		a.release(r.g, r.n)
	}
	a.check(t)
	if a.free != all || a.used() != 0 {
		t.Fatalf("%d granules are free of %d, %d used", a.free, all, a.used())
	}
}

func TestArenaEmptiesSteps(t *testing.T) {
	a := newArena(t, 3)
	all := a.free
	rng := rand.New(rand.NewPCG(3, 4))
	var runs [][2]uint32
	for a.free > all/4 {
		g, n := a.take(1+rng.Uint32N(100), 1)
		runs = append(runs, [2]uint32{g, n})
	}
	before := a.used()
	step, ok := a.emptiest()
	if !ok || step == 0 {
		t.Fatalf("emptiest() = %d, %v", step, ok)
	}
	a.empty(step)
	a.check(t)
	if a.used() != before {
		t.Fatalf("used went from %d to %d by emptying a step", before, a.used())
	}
	for range 1000 {
		g, n := a.take(7, 1)
		if g == 0 {
			break
		}
		if g/stepGranules == step {
			t.Fatal("a run was handed out of a step that is being emptied")
		}
		runs = append(runs, [2]uint32{g, n})
	}
	for _, r := range runs {
		a.release(r[0], r[1])
	}
	a.check(t)
	if a.live != 2 || a.draining != 0 || a.used() != 0 || a.free != all-stepGranules {
		t.Fatalf("live %d, draining %d, used %d, free %d of %d", a.live, a.draining, a.used(), a.free, all)
	}
	if err := a.grow(); err != nil {
		t.Fatal(err)
	}
	a.check(t)
	if a.free != all {
		t.Fatalf("free %d of %d after growing again", a.free, all)
	}
}
