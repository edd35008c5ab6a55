package main

import (
	"math/bits"
	"time"
)

// times counts how long something took: sixteen steps to a doubling of nanoseconds, so a figure is at most a sixteenth too
// high. It allocates nothing.
type times struct {
	n    [64 * 16]uint64
	all  uint64
	most time.Duration
}

func (t *times) add(d time.Duration) {
	t.n[step(uint64(max(d, 0)))]++
	t.all++
	t.most = max(t.most, d)
}

func step(ns uint64) int {
	if ns < 16 {
		return int(ns)
	}
	exp := bits.Len64(ns) - 5
	return exp*16 + int(ns>>exp)
}

// upTo is the highest time that step counts.
func upTo(i int) time.Duration {
	if i < 32 {
		return time.Duration(i)
	}
	exp := i/16 - 1
	return time.Duration((uint64(i%16+16)+1)<<exp - 1)
}

// quantile is the time that the part q of all took at most.
func (t *times) quantile(q float64) time.Duration {
	want := uint64(float64(t.all) * q)
	sum := uint64(0)
	for i, n := range t.n {
		if sum += n; sum > want {
			return min(upTo(i), t.most)
		}
	}
	return t.most
}
