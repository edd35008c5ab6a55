//go:build !race

package main

// Without the race detector (`make unit` runs it so): one goroutine does all, in a twentieth of the time.

import (
	"math"
	"testing"

	"github.com/weirhq/weir/internal/cache/insight"
)

// deviation is how far an estimate of the hit ratio may be from what the whole trace gives.
const deviation = 0.02

// TestCurve holds the estimates that `weir cache` shows, from a sample of a few thousand objects, against the whole
// trace replayed with the budgets that they are for.
func TestCurve(t *testing.T) {
	for _, w := range traces {
		s := shape{200_000, 1_500_000}
		tr := w.make(s, newRand(7))
		c := insight.NewCurve(int64(tr.capacity), 8192)
		truth := make([]*weirs, len(insight.Factors))
		hits := make([]float64, len(truth))
		for i, f := range insight.Factors {
			sized := *tr
			sized.capacity = uint64(float64(tr.capacity) * f)
			truth[i] = newWeir(&sized)
		}
		for _, o := range tr.requests {
			charge := tr.charge(o)
			for i, p := range truth {
				if p.access(o, charge) {
					hits[i]++
				}
			}
			c.Count(1)
			c.Access(&insight.Access{Hash: mix(uint64(o)), Size: uint32((charge + unit - 1) / unit), Until: math.MaxUint32})
		}
		estimates, _ := c.Estimates()
		for i, e := range estimates {
			want := hits[i] / float64(len(tr.requests))
			t.Logf("%s, %v of the memory: %.4f estimated, %.4f in truth, %+.4f; %d objects, one key in %.0f", w.name, e.Factor, e.Ratio, want, e.Ratio-want, c.Objects(), 1/c.Rate())
			if math.Abs(e.Ratio-want) > deviation {
				t.Errorf("%s: the estimate for %v of the memory is %.4f, the truth %.4f", w.name, e.Factor, e.Ratio, want)
			}
		}
	}
}
