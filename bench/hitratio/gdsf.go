package main

import "container/heap"

// gdsf is GreedyDual-Size-Frequency (Cherkasova 1998) by the book, with a heap: what weir's policy is made after.
type gdsf struct {
	t     *trace
	heap  []uint32
	at    []int32 // in the heap, plus 1
	freq  []float64
	value []float64
	clock float64
	used  uint64
}

func newGDSF(t *trace) *gdsf {
	n := len(t.sizes)
	return &gdsf{t: t, at: make([]int32, n), freq: make([]float64, n), value: make([]float64, n)}
}

func (c *gdsf) access(o uint32, charge uint64) bool {
	if c.at[o] != 0 {
		c.freq[o]++
		c.value[o] = c.clock + c.freq[o]/float64(charge)
		heap.Fix(c, int(c.at[o]-1))
		return true
	}
	if charge > c.t.capacity {
		return false
	}
	c.freq[o] = 1
	c.value[o] = c.clock + 1/float64(charge)
	heap.Push(c, o)
	c.used += charge
	for c.used > c.t.capacity {
		v := heap.Pop(c).(uint32)
		c.clock = c.value[v]
		c.used -= c.t.charge(v)
	}
	return false
}

func (c *gdsf) Len() int           { return len(c.heap) }
func (c *gdsf) Less(i, j int) bool { return c.value[c.heap[i]] < c.value[c.heap[j]] }
func (c *gdsf) Swap(i, j int) {
	h := c.heap
	h[i], h[j] = h[j], h[i]
	c.at[h[i]], c.at[h[j]] = int32(i+1), int32(j+1)
}
func (c *gdsf) Push(x any) {
	c.heap = append(c.heap, x.(uint32))
	c.at[x.(uint32)] = int32(len(c.heap))
}
func (c *gdsf) Pop() any {
	o := c.heap[len(c.heap)-1]
	c.heap = c.heap[:len(c.heap)-1]
	c.at[o] = 0
	return o
}
