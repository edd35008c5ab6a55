package main

import "slices"

// oracle holds, from the start, the objects that the whole trace asks for most often per byte. No policy that has to
// learn comes up to it while popularity stays the same.
type oracle struct{ in []bool }

func newOracle(t *trace) *oracle {
	c := &oracle{make([]bool, len(t.sizes))}
	asked := make([]int, len(t.sizes))
	for _, o := range t.requests {
		asked[o]++
	}
	order := make([]uint32, len(t.sizes))
	for i := range order {
		order[i] = uint32(i)
	}
	worth := func(o uint32) float64 { return float64(asked[o]) / float64(t.charge(o)) }
	slices.SortFunc(order, func(a, b uint32) int {
		switch wa, wb := worth(a), worth(b); {
		case wa > wb:
			return -1
		case wa < wb:
			return 1
		}
		return int(a) - int(b)
	})
	used := uint64(0)
	for _, o := range order {
		if used += t.charge(o); used > t.capacity {
			break
		}
		c.in[o] = true
	}
	return c
}

func (c *oracle) access(o uint32, _ uint64) bool { return c.in[o] }
