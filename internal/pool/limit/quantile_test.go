package limit

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestQuantile(t *testing.T) {
	for _, tt := range []struct {
		name string
		work func(*rand.Rand) time.Duration
	}{
		{"steady", steady(20 * time.Millisecond)},
		{"random", random(20 * time.Millisecond)},
		{"mixed", mixed(3 * time.Millisecond)},
		{"nothing", steady(0)},
		{"long", steady(12 * time.Hour)},
	} {
		var q Quantile
		if _, ok := q.P95(); ok {
			t.Errorf("%s: it is known before anything was seen", tt.name)
		}
		r := rand.New(rand.NewPCG(1, 2))
		var all []time.Duration
		for range 1900 {
			d := tt.work(r)
			q.Add(d)
			all = append(all, d)
		}
		slices.Sort(all)
		want := max(all[len(all)*95/100], 1<<quantileFloor)
		got, ok := q.P95()
		if low, high := want*85/100, want*115/100; !ok || got < low || got > high {
			t.Errorf("%s: %v, want %v", tt.name, got, want)
		}
	}
}

// Each step ends where the next begins.
func TestQuantileSteps(t *testing.T) {
	for i := range quantileSteps - 2 {
		end := quantileEnd(i)
		if got := quantileStep(end - 1); got != i {
			t.Errorf("%v belongs to %d, want %d", end-1, got, i)
		}
		if got := quantileStep(end); got != i+1 {
			t.Errorf("%v belongs to %d, want %d", end, got, i+1)
		}
	}
}

// What was yesterday is forgotten.
func TestQuantileForgets(t *testing.T) {
	var q Quantile
	for range 100_000 {
		q.Add(time.Second)
	}
	for range 20_000 {
		q.Add(time.Millisecond)
	}
	if got, _ := q.P95(); got > 2*time.Millisecond {
		t.Errorf("%v, want 1 ms", got)
	}
}
