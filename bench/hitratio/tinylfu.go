package main

// tinyLFU is W-TinyLFU (Einziger, Friedman, Manes: TOS 2017) with bytes for objects: a window, a segmented LRU of
// which four fifths are protected, and a sketch of 4-bit counters that are halved when ten times as many requests
// were counted as there are objects in the cache. An object that leaves the window is weighed against those that
// would have to go for it: in the form of the Caffeine library one after the other, or (Einziger, Eytan, Friedman,
// Manes: "Lightweight Robust Size Aware Cache Management", TOS 2022) against the sum of their frequencies.
type tinyLFU struct {
	t         *trace
	l         lists
	window    list
	probation list
	protected list
	where     []uint8
	sketch    sketch
	share     uint64 // bytes of the window
	aggregate bool
}

const (
	inWindow    = 1
	inProbation = 2
	inProtected = 3
)

func newTinyLFU(t *trace, windowPercent uint64, aggregate bool) *tinyLFU {
	n := len(t.sizes)
	c := &tinyLFU{t: t, l: newLists(n), where: make([]uint8, n), share: t.capacity * windowPercent / 100, aggregate: aggregate}
	c.window, c.probation, c.protected = newList(&c.l), newList(&c.l), newList(&c.l)
	c.sketch.init(n)
	return c
}

func (c *tinyLFU) access(o uint32, charge uint64) bool {
	c.sketch.count(o, c.window.count+c.probation.count+c.protected.count)
	switch c.where[o] {
	case inWindow:
		c.window.remove(o, charge)
		c.window.push(o, charge)
		return true
	case inProbation:
		c.probation.remove(o, charge)
		c.protected.push(o, charge)
		c.where[o] = inProtected
		c.demote()
		return true
	case inProtected:
		c.protected.remove(o, charge)
		c.protected.push(o, charge)
		return true
	}
	if charge > c.t.capacity-c.share {
		return false
	}
	if charge > c.share { // too large for the window: it has to be admitted at once
		c.admit(o, charge)
		return false
	}
	c.window.push(o, charge)
	c.where[o] = inWindow
	for c.window.used > c.share {
		v := c.window.back
		charge := c.t.charge(v)
		c.window.remove(v, charge)
		c.where[v] = 0
		c.admit(v, charge)
	}
	return false
}

// demote keeps the protected segment at four fifths of the main part.
func (c *tinyLFU) demote() {
	for c.protected.used > (c.t.capacity-c.share)/5*4 {
		v := c.protected.back
		charge := c.t.charge(v)
		c.protected.remove(v, charge)
		c.probation.push(v, charge)
		c.where[v] = inProbation
	}
}

// admit takes an object into the main part if it is worth more than what has to go.
func (c *tinyLFU) admit(o uint32, charge uint64) {
	room := c.t.capacity - c.share
	if charge > room {
		return
	}
	freq := c.sketch.estimate(o)
	if c.aggregate && !c.outweighs(freq, charge, room) {
		return
	}
	for c.probation.used+c.protected.used+charge > room {
		v, q := c.victim()
		if !c.aggregate && c.sketch.estimate(v) >= freq {
			return
		}
		q.remove(v, c.t.charge(v))
		c.where[v] = 0
	}
	c.probation.push(o, charge)
	c.where[o] = inProbation
}

func (c *tinyLFU) victim() (uint32, *list) {
	if c.probation.count > 0 {
		return c.probation.back, &c.probation
	}
	return c.protected.back, &c.protected
}

// outweighs reports whether freq is more than the frequencies of all that would have to go. What was compared and
// stays goes to the front, so that the next candidate does not meet the same victims.
func (c *tinyLFU) outweighs(freq int, charge, room uint64) bool {
	sum, freed := 0, uint64(0)
	v, q := c.probation.back, &c.probation
	used := c.probation.used + c.protected.used
	n := 0
	for used+charge > room+freed {
		if v == nobody {
			if q == &c.protected {
				break
			}
			v, q = c.protected.back, &c.protected
			continue
		}
		sum += c.sketch.estimate(v)
		freed += c.t.charge(v)
		n++
		if sum >= freq {
			for range min(n, c.probation.count) {
				b := c.probation.back
				charge := c.t.charge(b)
				c.probation.remove(b, charge)
				c.probation.push(b, charge)
			}
			return false
		}
		v = c.l.prev[v]
	}
	return true
}

// sketch is a count-min sketch of four rows of counters up to 15.
type sketch struct {
	rows  [4][]uint8
	mask  uint32
	added int
}

func (s *sketch) init(objects int) {
	n := 1
	for n < objects {
		n *= 2
	}
	for i := range s.rows {
		s.rows[i] = make([]uint8, n)
	}
	s.mask = uint32(n - 1)
}

func (s *sketch) at(row int, o uint32) *uint8 {
	h := mix(uint64(o) + uint64(row)<<32)
	return &s.rows[row][uint32(h>>20)&s.mask]
}

func (s *sketch) count(o uint32, live int) {
	least := uint8(s.estimate(o))
	if least < 15 {
		for i := range s.rows {
			if c := s.at(i, o); *c == least {
				*c++
			}
		}
	}
	s.added++
	if s.added >= max(live, 1000)*10 {
		s.added /= 2
		for i := range s.rows {
			for j := range s.rows[i] {
				s.rows[i][j] /= 2
			}
		}
	}
}

func (s *sketch) estimate(o uint32) int {
	least := uint8(255)
	for i := range s.rows {
		least = min(least, *s.at(i, o))
	}
	return int(least)
}

// mix is a hash of 64 bits (the finaliser of splitmix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
