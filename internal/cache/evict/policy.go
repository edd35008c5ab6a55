package evict

import (
	"math"
	"math/bits"
	"sync/atomic"
)

// Policy is an eviction policy over slots. Hit may be called by anyone at any time; all other methods are for one
// caller at a time. The zero value is not usable: see New.
type Policy struct {
	// Never moves: Hit reads it while Add lets it grow.
	chunks atomic.Pointer[[]*chunk]

	queues [queueCount]queue
	order  tournament
	clock  uint64 // the value of the last object that was looked at
	count  int
	used   uint64
	room   uint64
	gone   ghosts
	prior  priors
}

// queue is a list of slots of one density, oldest first.
type queue struct{ first, last uint32 }

const (
	none = math.MaxUint32 // no slot

	chunkShift = 12
	chunkNodes = 1 << chunkShift
)

// node is what the policy knows of one slot.
type node struct {
	next, prev uint32
	size       uint32
	hash       uint32
	value      uint32 // the lower half of it; the upper follows from the clock
	state      atomic.Uint32
}

type chunk [chunkNodes]node

// The parts of node.state. Readers change the hits only, and only upwards.
const (
	hitBits  = 8
	freqBits = 13

	stateHits       = 1<<hitBits - 1
	stateFreqShift  = hitBits
	stateFreq       = 1<<freqBits - 1
	stateQueueShift = stateFreqShift + freqBits // the queue that the slot is in
	stateQueue      = queueCount - 1
	stateFresh      = 1 << 28 // in its first turn
	stateReturned   = 1 << 29 // in its first turn, and known from before
	stateLive       = 1 << 31
)

// New returns a policy for a cache of the given capacity, in the same unit as the sizes of Add. A unit of some tens
// of bytes is best: then the size of every object that fits into memory fits into 32 bits.
func New(capacity uint64) *Policy {
	p := &Policy{room: capacity}
	p.chunks.Store(new([]*chunk))
	for i := range p.queues {
		p.queues[i] = queue{none, none}
	}
	p.order.init()
	p.gone.init()
	p.prior.init()
	return p
}

// Resize sets the capacity. It evicts nothing: the caller asks for victims until Used is small enough for it.
func (p *Policy) Resize(capacity uint64) { p.room = capacity }

// Len is the number of slots in the policy.
func (p *Policy) Len() int { return p.count }

// Used is the sum of their sizes.
func (p *Policy) Used() uint64 { return p.used }

// Capacity is what New or Resize was given.
func (p *Policy) Capacity() uint64 { return p.room }

// Hit counts a use of the object in slot. It takes no lock, and writes only while the count is not at its highest. It
// may come late: for a slot that was removed meanwhile, or even used again, it does no harm.
func (p *Policy) Hit(slot uint32) {
	chunks := *p.chunks.Load()
	if c := slot >> chunkShift; int(c) < len(chunks) {
		s := &chunks[c][slot%chunkNodes].state
		// When two hits meet, or a hit and the policy, one of them is not counted. That costs less than trying again.
		if v := s.Load(); v&stateHits != stateHits {
			s.CompareAndSwap(v, v+1)
		}
	}
}

// Add puts the object in slot, of that size and with that key hash, under the policy. The slot must not be in it.
// It may be the next victim: an object is admitted by surviving. The memory that the policy takes grows with the
// highest slot.
func (p *Policy) Add(slot uint32, hash uint64, size uint32) {
	n := p.grown(slot)
	if n.state.Load()&stateLive != 0 {
		panic("evict: the slot is in use")
	}
	n.size = max(size, 1)
	n.hash = fold(hash)
	p.count++
	p.used += uint64(n.size)
	if before := p.gone.take(n.hash); before != 0 {
		p.enqueue(slot, n, before/2+p.prior.expect(returned, n.size), stateFresh|stateReturned)
		return
	}
	p.enqueue(slot, n, p.prior.expect(stranger, n.size), stateFresh)
}

// SetSize changes the size of the object in slot, for a body that grows while it comes in. It does nothing when the
// slot is not in the policy.
func (p *Policy) SetSize(slot uint32, size uint32) {
	n := p.node(slot)
	if n == nil {
		return
	}
	state := n.state.Load()
	if state&stateLive == 0 || n.size == max(size, 1) {
		return
	}
	p.dequeue(slot, n)
	p.used -= uint64(n.size)
	n.size = max(size, 1)
	p.used += uint64(n.size)
	p.enqueue(slot, n, state>>stateFreqShift&stateFreq, state&(stateHits|stateFresh|stateReturned))
}

// Remove takes slot out, of an object that went for another reason than room, and remembers nothing of it. It does
// nothing when the slot is not in the policy.
func (p *Policy) Remove(slot uint32) {
	if n := p.node(slot); n != nil && n.state.Load()&stateLive != 0 {
		p.dequeue(slot, n)
		p.drop(n)
	}
}

// Victim takes the object that is worth least out of the policy and returns its slot; ok is false when there is none.
// The work of one call is bounded.
func (p *Policy) Victim() (slot uint32, ok bool) {
	for looked := 0; ; looked++ {
		slot = p.queues[p.order.winner()].first
		if slot == none {
			return 0, false
		}
		n := p.node(slot)
		p.clock = p.full(n.value)
		p.dequeue(slot, n)
		state := n.state.Load()
		hits, freq := state&stateHits, state>>stateFreqShift&stateFreq
		if state&stateFresh != 0 {
			p.prior.learn(int(state&stateReturned/stateReturned), n.size, freq, hits)
		}
		next := again(freq, hits)
		if next == 0 || looked == lookLimit {
			p.drop(n)
			p.gone.put(n.hash, freq, p.count)
			return slot, true
		}
		p.enqueue(slot, n, next, 0)
	}
}

// again returns the frequency with which an object waits for another turn, after one with that frequency in which it
// was hit that many times, and 0 when it goes. What was asked for often enough gets a shorter turn to be hit once
// more.
func again(freq, hits uint32) uint32 {
	switch {
	case hits > 0:
		return min(freq-freq/8+hits*one, stateFreq)
	case freq >= 4*one:
		return freq / 4
	}
	return 0
}

// drop forgets the slot of n, which is in no queue any more.
func (p *Policy) drop(n *node) {
	n.state.Store(0)
	p.count--
	p.used -= uint64(n.size)
}

// enqueue puts a slot at the end of the queue for its size and frequency. The rest of its state is as given.
func (p *Policy) enqueue(slot uint32, n *node, freq, state uint32) {
	i, worth := density(freq, n.size)
	value := p.clock + worth
	n.value = uint32(value)
	q := &p.queues[i]
	n.next, n.prev = none, q.last
	if q.last != none {
		p.node(q.last).next = slot
	} else {
		q.first = slot
		p.order.set(i, value)
	}
	q.last = slot
	n.state.Store(stateLive | i<<stateQueueShift | freq<<stateFreqShift | state)
}

// dequeue takes a slot out of its queue.
func (p *Policy) dequeue(slot uint32, n *node) {
	i := n.state.Load() >> stateQueueShift & stateQueue
	q := &p.queues[i]
	if n.next != none {
		p.node(n.next).prev = n.prev
	} else {
		q.last = n.prev
	}
	if n.prev != none {
		p.node(n.prev).next = n.next
		return
	}
	q.first = n.next
	if n.next == none {
		p.order.set(i, math.MaxUint64)
		return
	}
	p.order.set(i, p.full(p.node(n.next).value))
}

// full completes a value: none is below the clock, and none above it by 1<<32 or more.
func (p *Policy) full(value uint32) uint64 { return p.clock + uint64(value-uint32(p.clock)) }

// node returns what is known of slot, nil if it was never in the policy.
func (p *Policy) node(slot uint32) *node {
	chunks := *p.chunks.Load()
	if c := slot >> chunkShift; int(c) < len(chunks) {
		return &chunks[c][slot%chunkNodes]
	}
	return nil
}

// grown returns the node of slot, and makes it first if need be. Chunks never move, so there is no long copy and no
// hit gets lost.
func (p *Policy) grown(slot uint32) *node {
	if n := p.node(slot); n != nil {
		return n
	}
	chunks := *p.chunks.Load()
	longer := append(make([]*chunk, 0, slot>>chunkShift+1), chunks...)
	for len(longer) < cap(longer) {
		longer = append(longer, new(chunk))
	}
	p.chunks.Store(&longer)
	return p.node(slot)
}

const (
	queueCount = 128
	one        = 32 // a frequency of 1
	lookLimit  = 32 // objects queued again in one call of Victim
	// The worth of frequency 1/one and size 1, in bits. No worth is as much as 1<<32.
	worthShift = 32 - freqBits
)

// density returns the queue for a frequency and a size, and the worth that all objects in it have.
func density(freq, size uint32) (queue uint32, worth uint64) {
	x := max(uint64(freq)<<worthShift/uint64(size), 4)
	exp := uint32(bits.Len64(x)) - 3 // x has exp+3 bits
	mantissa := uint32(x>>exp) & 3
	queue = exp<<2 | mantissa
	return queue, uint64(4|mantissa) << exp
}
