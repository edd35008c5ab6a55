package store

import (
	"math/bits"
	"sync/atomic"
	"unsafe"
)

// slot is what the store knows of one object: one cache line.
type slot struct {
	key   Key
	state atomic.Uint64
	// checked is the caller's: the number of the last ban that the object was held against.
	checked atomic.Uint64
	// size is how many bytes of the body there are: those published so far, for a fill.
	size atomic.Int64
	// head is the granule at which the head begins.
	head    uint32
	headLen uint32
	// body is the granule at which the body begins, 0 when there is none. With inPieces it is where the table of its
	// pieces is. In a slot with stateShares it is the number of another slot, which has the body.
	body atomic.Uint32
	// access is the caller's: when the object was last delivered, in seconds of the caller's clock.
	access atomic.Uint32
	_      uint64
}

const slotBytes = 64

// A slot that does not fill its line is an error of compilation.
var _ [slotBytes]byte = [unsafe.Sizeof(slot{})]byte{}

// The state of a slot is one word, so that a look-up pins and counts by one operation.
const (
	statePins   uint64 = 1<<24 - 1 // bits 0 to 23: who keeps the object; the index counts as one, so does a fill
	stateLive   uint64 = 1 << 24   // in the index: look-ups may pin it
	stateWhole  uint64 = 1 << 25   // committed: the body is all there
	stateFailed uint64 = 1 << 26   // aborted: no more will come
	stateShares uint64 = 1 << 27   // the body is another slot's
	stateHit    uint64 = 1 << 32   // bits 32 to 63: hits in all
)

// inPieces marks the body of a slot as a table.
const inPieces uint32 = 1 << 31

// pin adds one to the pins of a live slot, and counts hits hits (0 or 1).
func (t *slot) pin(hits uint64) bool {
	for {
		old := t.state.Load()
		if old&stateLive == 0 || old&statePins == statePins {
			return false
		}
		if t.state.CompareAndSwap(old, old+1+hits*stateHit) {
			return true
		}
	}
}

// change clears and sets flags, and returns the state before.
func (t *slot) change(clear, set uint64) (before uint64) {
	for {
		old := t.state.Load()
		if t.state.CompareAndSwap(old, old&^clear|set) {
			return old
		}
	}
}

const (
	pageSlots = 1024
	pageBytes = pageSlots * slotBytes // 64 KiB

	// What a page costs: the policy has a node for each slot, and remembers a few that went. That lies on Go's heap.
	pageCost    = pageBytes + pageSlots*policyBytes
	policyBytes = 40
)

// slots hands out slots by number, the lowest page that has one first, so that pages become empty. The memory of an
// empty page can be given back; it then reads as zeros, which is a slot that is not live. 0 is no slot.
type slots struct {
	mem   region
	pages []slotPage
	open  []uint64 // bit per page: it has a free slot
	live  int      // pages that hold memory
	free  int      // free slots in pages that hold memory
	limit atomic.Uint32
}

type slotPage struct {
	head  uint32 // list of free slots, through body
	fresh uint32 // slots from here on were not used since the page got its memory
	used  uint32
	gone  bool // the memory was given back
}

func (p *slots) at(i uint32) *slot { return (*slot)(p.mem.at(i)) }

// take returns a free slot, zeroed, or 0 when all pages are full.
func (p *slots) take() uint32 {
	for w, word := range p.open {
		if word == 0 {
			continue
		}
		n := uint32(w*64 + bits.TrailingZeros64(word))
		page := &p.pages[n]
		i := page.head
		if i != 0 {
			page.head = p.at(i).body.Load()
			p.at(i).body.Store(0)
		} else {
			i = n*pageSlots + page.fresh
			page.fresh++
		}
		page.used++
		p.free--
		if page.used == p.size(n) {
			p.open[w] &^= 1 << (n % 64)
		}
		return i
	}
	return 0
}

// size is how many slots of a page may be used.
func (p *slots) size(page uint32) uint32 {
	if page == 0 {
		return pageSlots - 1
	}
	return pageSlots
}

// put takes a slot back.
func (p *slots) put(i uint32) {
	n := i / pageSlots
	page := &p.pages[n]
	t := p.at(i)
	t.key = Key{}
	t.checked.Store(0)
	t.size.Store(0)
	t.head, t.headLen = 0, 0
	t.access.Store(0)
	t.body.Store(page.head)
	t.state.Store(0)
	page.head = i
	page.used--
	p.free++
	p.open[n/64] |= 1 << (n % 64)
}

// grow adds a page.
func (p *slots) grow() error {
	n := uint32(len(p.pages))
	for i := range p.pages {
		if p.pages[i].gone {
			n = uint32(i)
			break
		}
	}
	if int(n) == len(p.pages) {
		if err := p.mem.grow(pageBytes); err != nil {
			return err
		}
		p.pages = append(p.pages, slotPage{})
		if len(p.open)*64 < len(p.pages) {
			p.open = append(p.open, 0)
		}
		p.limit.Store(uint32(len(p.pages)) * pageSlots)
	}
	p.pages[n] = slotPage{fresh: pageSlots - p.size(n)}
	p.open[n/64] |= 1 << (n % 64)
	p.live++
	p.free += int(p.size(n))
	return nil
}

// trim gives the memory of up to n empty pages back, and says of how many it did.
func (p *slots) trim(n int) (trimmed int) {
	for i := len(p.pages) - 1; i >= 0 && trimmed < n; i-- {
		page := &p.pages[i]
		if page.gone || page.used > 0 {
			continue
		}
		if discard(p.mem.mem[i*pageBytes:(i+1)*pageBytes]) != nil {
			return trimmed
		}
		p.open[i/64] &^= 1 << (i % 64)
		p.free -= int(p.size(uint32(i)))
		*page = slotPage{gone: true}
		p.live--
		trimmed++
	}
	return trimmed
}

// resident is how much memory the slots may hold, with what the policy holds for them. The policy's part stays when a
// page is given back.
func (p *slots) resident() int64 {
	return int64(p.live)*pageBytes + int64(len(p.pages))*pageSlots*policyBytes
}
