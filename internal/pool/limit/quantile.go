package limit

import (
	"math"
	"math/bits"
	"time"
)

// Quantile knows how long requests of late took, to about a tenth: a histogram with eight steps to each doubling, in which
// all counts are halved now and then, so that it goes with the time of day. Not safe for concurrent use. The zero value has
// seen nothing.
type Quantile struct {
	counts [quantileSteps]uint32
	total  uint32
	cached time.Duration
	until  uint32 // adds until the value is worked out anew
}

const (
	quantileSteps  = 8 * 37    // from a microsecond to beyond a day
	quantileFloor  = 10        // bits of a nanosecond count below which all is one step
	quantileKeep   = 2000      // requests after which counts are halved
	quantileLeast  = 50        // requests below which nothing is known
	quantileEvery  = 32        // adds between two evaluations
	quantileWanted = 95. / 100 // of the requests take no longer
)

// Add adds one that took so long.
func (q *Quantile) Add(d time.Duration) {
	q.counts[quantileStep(d)]++
	if q.total++; q.total >= quantileKeep {
		q.total = 0
		for i := range q.counts {
			q.counts[i] /= 2
			q.total += q.counts[i]
		}
	}
	if q.until > 0 {
		q.until--
	}
}

// P95 returns what 95 of 100 requests do not exceed; false when too few were seen to say so.
func (q *Quantile) P95() (time.Duration, bool) {
	if q.total < quantileLeast {
		return 0, false
	}
	if q.until == 0 {
		q.cached, q.until = q.work(), quantileEvery
	}
	return q.cached, true
}

func (q *Quantile) work() time.Duration {
	above := uint32(float64(q.total) * (1 - quantileWanted))
	for i := len(q.counts) - 1; i > 0; i-- {
		if q.counts[i] > above {
			return quantileEnd(i)
		}
		above -= q.counts[i]
	}
	return quantileEnd(0)
}

// quantileStep is the step that a time belongs to: the position of its highest bit, and the three bits below that.
func quantileStep(d time.Duration) int {
	n := uint64(max(d, 1))
	top := bits.Len64(n) - 1
	if top < quantileFloor {
		return 0
	}
	return min((top-quantileFloor)*8+int(n>>(top-3)&7)+1, quantileSteps-1)
}

// quantileEnd is the longest time that belongs to a step.
func quantileEnd(i int) time.Duration {
	if i == 0 {
		return 1 << quantileFloor
	}
	top, eighth := (i-1)/8+quantileFloor, (i-1)%8
	return time.Duration(min(math.Ldexp(float64(9+eighth), top-3), math.MaxInt64))
}
