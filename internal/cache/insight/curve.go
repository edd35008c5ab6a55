package insight

import (
	"sync/atomic"

	"github.com/weirhq/weir/internal/cache/evict"
)

// Unit is what sizes are counted in, in bytes: the store's granule.
const Unit = 64

// Factors are the budgets that are tried, as parts of the real one.
var Factors = [...]float64{0.5, 1, 2}

const (
	mostHalves = 40 // of the sample
	// The sample begins with one key in eight, whatever there is: more would not tell much more, and cost.
	firstHalves = 3
)

// Access is one request for what may be kept.
type Access struct {
	Hash  uint64 // of the key, as good as random
	Size  uint32 // of the object, in Units, with what the store adds; 0: it was not kept
	Now   uint32 // seconds of any clock
	Until uint32 // when the object's life and grace are over
	Hit   bool   // the real cache answered
	Gone  bool   // it did not although it may have had it: that was purged, or the request wanted another
}

// Sampler says which keys are in the sample. It is for any number of goroutines.
type Sampler struct{ halves atomic.Uint32 }

// Takes reports whether a key is in the sample.
func (s *Sampler) Takes(hash uint64) bool { return hash>>(64-s.halves.Load()) == 0 }

// Curve is the miniature simulation. It is for one goroutine at a time, but for its Sampler.
type Curve struct {
	Sampler

	objects int // the most that the small caches may hold together
	minis   [len(Factors)]mini
	entries []entry
	free    []uint32
	slots   map[uint64]uint32

	// Of recent requests: what is older counts less. In requests of all keys.
	all     float64 // requests that there were
	sampled float64 // what those for the sample stand for
	room    uint64  // the budget in Units
}

// mini is a cache with a part of the budget, for the part of the keys that is in the sample.
type mini struct {
	policy *evict.Policy
	room   uint64  // in Units
	hits   float64 // in requests of all keys
}

// entry is an object of the small caches.
type entry struct {
	hash  uint64
	size  uint32
	until uint32
	in    uint8 // the minis that hold it, as bits
}

// NewCurve returns a curve for a budget in bytes that holds at most so many objects.
func NewCurve(budget int64, objects int) *Curve {
	c := &Curve{objects: objects, slots: map[uint64]uint32{}}
	c.halves.Store(firstHalves)
	c.entries = make([]entry, 1, 64) // slot 0 is none
	for i := range c.minis {
		c.minis[i].policy = evict.New(0)
	}
	c.Resize(budget)
	return c
}

// Resize changes the budget, in bytes.
func (c *Curve) Resize(budget int64) {
	c.room = uint64(budget) / Unit
	for i := range c.minis {
		m := &c.minis[i]
		m.room = uint64(float64(c.room)*Factors[i]) >> c.halves.Load()
		m.policy.Resize(m.room)
		c.evict(i)
	}
}

// forget is how many requests count fully; of what came before them half.
const forget = 1 << 20

// Count notes requests for what may be kept, those for keys outside of the sample too.
func (c *Curve) Count(requests int) {
	if c.all += float64(requests); c.all >= forget {
		c.all, c.sampled = c.all/2, c.sampled/2
		for i := range c.minis {
			c.minis[i].hits /= 2
		}
	}
}

// Access replays a request. One for a key that has left the sample does nothing.
func (c *Curve) Access(a *Access) {
	if !c.Takes(a.Hash) {
		return
	}
	stands := float64(uint64(1) << c.halves.Load())
	c.sampled += stands
	slot, there := c.slots[a.Hash]
	if !there {
		if a.Size == 0 {
			return
		}
		slot = c.slot(a)
	}
	e := &c.entries[slot]
	over := there && !a.Hit && (a.Gone || a.Now >= e.until)
	if over || a.Hit {
		e.until = a.Until // fetched anew, here or there
	}
	for i := range c.minis {
		if e.in>>i&1 == 1 {
			c.minis[i].policy.Hit(slot)
			if !over {
				c.minis[i].hits += stands
			}
		}
	}
	if a.Size > 0 {
		c.fill(slot, a)
	}
	for len(c.slots) > c.objects && c.halves.Load() < mostHalves {
		c.halve()
	}
}

// slot makes an entry for an object.
func (c *Curve) slot(a *Access) (slot uint32) {
	if n := len(c.free); n > 0 {
		slot, c.free = c.free[n-1], c.free[:n-1]
	} else {
		slot = uint32(len(c.entries))
		c.entries = append(c.entries, entry{})
	}
	c.entries[slot] = entry{hash: a.Hash, size: a.Size, until: a.Until}
	c.slots[a.Hash] = slot
	return slot
}

// fill puts an object into the minis that do not hold it.
func (c *Curve) fill(slot uint32, a *Access) {
	e := &c.entries[slot]
	if e.in == 0 {
		e.size = a.Size
	}
	for i := range c.minis {
		if m := &c.minis[i]; e.in>>i&1 == 0 && uint64(e.size) <= m.room {
			m.policy.Add(slot, e.hash, e.size)
			e.in |= 1 << i
		}
	}
	if e.in == 0 {
		c.drop(slot)
		return
	}
	for i := range c.minis {
		c.evict(i)
	}
}

// evict makes a mini small enough.
func (c *Curve) evict(i int) {
	for p := c.minis[i].policy; p.Used() > c.minis[i].room; {
		v, ok := p.Victim()
		if !ok {
			return
		}
		if c.entries[v].in &^= 1 << i; c.entries[v].in == 0 {
			c.drop(v)
		}
	}
}

// drop forgets an object that no mini holds.
func (c *Curve) drop(slot uint32) {
	delete(c.slots, c.entries[slot].hash)
	c.free = append(c.free, slot)
}

// halve takes half of the keys out of the sample.
func (c *Curve) halve() {
	c.halves.Add(1)
	for slot := uint32(1); slot < uint32(len(c.entries)); slot++ {
		e := &c.entries[slot]
		if e.in == 0 || c.Takes(e.hash) {
			continue
		}
		for i := range c.minis {
			c.minis[i].policy.Remove(slot)
		}
		e.in = 0
		c.drop(slot)
	}
	c.Resize(int64(c.room * Unit))
}

// Estimate is what the hit ratio would be with a budget.
type Estimate struct {
	Factor float64 // of the real budget
	Ratio  float64 // 0 to 1
}

// Estimates returns what is estimated, and of how many requests; nothing when there were none. The sample holds a little more
// or less than its part of the requests, by whether it holds this or that key of which there are very many. Those are hits
// whatever the budget, so the difference is made up with hits (SHARDS-adj, of the paper of 2015).
func (c *Curve) Estimates() (list []Estimate, requests float64) {
	if c.all < 1 {
		return nil, 0
	}
	for i := range c.minis {
		ratio := (c.minis[i].hits + c.all - c.sampled) / c.all
		list = append(list, Estimate{Factors[i], min(max(ratio, 0), 1)})
	}
	return list, c.all
}

// Objects is how many objects the small caches hold, and Rate the part of the keys that is in the sample.
func (c *Curve) Objects() int { return len(c.slots) }

// Rate returns the part of all keys that is in the sample.
func (c *Curve) Rate() float64 { return 1 / float64(uint64(1)<<c.halves.Load()) }
