package main

import "github.com/weirhq/weir/internal/cache/evict"

// weirs is the policy that weir ships. The store's granules are its unit.
type weirs struct {
	t    *trace
	p    *evict.Policy
	in   []bool
	used uint64
}

const unit = 64 // bytes

func newWeir(t *trace) *weirs {
	return &weirs{t: t, p: evict.New(t.capacity / unit), in: make([]bool, len(t.sizes))}
}

func (c *weirs) access(o uint32, charge uint64) bool {
	if c.in[o] {
		c.p.Hit(o)
		return true
	}
	if charge > c.t.capacity {
		return false
	}
	c.p.Add(o, mix(uint64(o)), uint32((charge+unit-1)/unit))
	c.in[o] = true
	c.used += charge
	for c.used > c.t.capacity {
		v, ok := c.p.Victim()
		if !ok {
			panic("nothing to evict")
		}
		c.in[v] = false
		c.used -= c.t.charge(v)
	}
	return false
}
