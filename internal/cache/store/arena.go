package store

import (
	"math/bits"
	"unsafe"
)

const (
	granuleShift = 6
	granule      = 1 << granuleShift // bytes
	maxOrder     = 15                // the largest block: a step
	stepGranules = 1 << maxOrder
	stepBytes    = stepGranules << granuleShift // 2 MiB
	stepBits     = 2 * stepGranules / 8         // bytes of bitmap for one step
)

// granules returns how many granules n bytes take.
func granules(n int) uint32 { return uint32((n + granule - 1) >> granuleShift) }

// block is what stands in a free block: its neighbours in the list of its order.
type block struct{ next, prev uint32 }

// arena hands out runs of granules. A granule's number is its place; 0 is never handed out and means none. The
// arena's owner serialises all calls; reading what was handed out needs no lock.
type arena struct {
	mem  region
	bits region // per step, for each order, which blocks are free

	lists [maxOrder + 1]uint32
	some  uint32   // bit k: lists[k] is not empty
	free  uint32   // granules in the lists
	gone  []uint32 // per step: granules out of use while it is being emptied, plus 1; 0: in use as usual
	away  []uint32 // steps that were given back
	live  int      // steps that hold memory

	draining int // steps being emptied
}

func (a *arena) open(reserved int) error {
	reserved = (reserved + stepBytes - 1) &^ (stepBytes - 1)
	if err := a.mem.open(reserved); err != nil {
		return err
	}
	return a.bits.open(reserved / stepBytes * stepBits)
}

func (a *arena) close() error {
	err := a.mem.close()
	if e := a.bits.close(); err == nil {
		err = e
	}
	return err
}

// bytes returns the bytes of the run [g, g+n).
func (a *arena) bytes(g, n uint32) []byte {
	from, to := uint64(g)<<granuleShift, uint64(g+n)<<granuleShift
	return a.mem.mem[from:to:to]
}

// resident is how much memory the arena may hold.
func (a *arena) resident() int64 { return int64(a.live) * (stepBytes + stepBits) }

// grow adds one step.
func (a *arena) grow() error {
	if n := len(a.away); n > 0 {
		step := a.away[n-1]
		a.away = a.away[:n-1]
		a.live++
		a.gone[step] = 0
		a.release(step*stepGranules+first(step), stepGranules-first(step))
		return nil
	}
	if err := a.bits.grow(stepBits); err != nil {
		return err
	}
	if err := a.mem.grow(stepBytes); err != nil {
		a.bits.size -= stepBits
		return err
	}
	step := uint32(len(a.gone))
	a.gone = append(a.gone, 0)
	a.live++
	a.release(step*stepGranules+first(step), stepGranules-first(step))
	return nil
}

// first is how many granules of a step are never handed out.
func first(step uint32) uint32 {
	if step == 0 {
		return 1
	}
	return 0
}

// take hands out a run of n granules, or when there is none, a shorter one of at least least. It returns 0, 0 when
// there is none either.
func (a *arena) take(n, least uint32) (g, got uint32) {
	n = min(n, stepGranules)
	order := uint32(bits.Len32(n - 1))
	if larger := a.some >> order; larger != 0 {
		k := order + uint32(bits.TrailingZeros32(larger))
		g = a.lists[k]
		a.unlist(k, g)
		a.release(g+n, 1<<k-n)
		return g, n
	}
	if a.some == 0 {
		return 0, 0
	}
	k := uint32(bits.Len32(a.some) - 1)
	if 1<<k < least {
		return 0, 0
	}
	g = a.lists[k]
	a.unlist(k, g)
	return g, 1 << k
}

// release takes a run back, or a part of one.
func (a *arena) release(g, n uint32) {
	if n == 0 {
		return
	}
	if step := g / stepGranules; a.gone[step] != 0 {
		a.gone[step] += n
		if a.gone[step] == 1+stepGranules-first(step) {
			a.giveBack(step)
		}
		return
	}
	for n > 0 {
		k := uint32(bits.Len32(n) - 1)
		if g != 0 {
			k = min(k, uint32(bits.TrailingZeros32(g)))
		}
		a.merge(k, g)
		g += 1 << k
		n -= 1 << k
	}
}

// merge puts a block into the lists, joined with its buddy as often as that is free too.
func (a *arena) merge(k, g uint32) {
	for k < maxOrder {
		buddy := g ^ 1<<k
		if word, bit := a.flag(k, buddy); *word&bit == 0 {
			break
		}
		a.unlist(k, buddy)
		g &^= 1 << k
		k++
	}
	a.list(k, g)
}

// flag returns where it is written whether the block of order k at g is free.
func (a *arena) flag(k, g uint32) (word *uint64, bit uint64) {
	step, in := g/stepGranules, g%stepGranules
	n := 2*stepGranules - 2*stepGranules>>k + in>>k
	return (*uint64)(unsafe.Add(a.bits.base, uintptr(step)*stepBits+uintptr(n/64*8))), 1 << (n % 64)
}

func (a *arena) block(g uint32) *block { return (*block)(a.mem.at(g)) }

func (a *arena) list(k, g uint32) {
	word, bit := a.flag(k, g)
	*word |= bit
	next := a.lists[k]
	*a.block(g) = block{next: next}
	if next != 0 {
		a.block(next).prev = g
	}
	a.lists[k] = g
	a.some |= 1 << k
	a.free += 1 << k
}

func (a *arena) unlist(k, g uint32) {
	word, bit := a.flag(k, g)
	*word &^= bit
	b := *a.block(g)
	if b.prev != 0 {
		a.block(b.prev).next = b.next
	} else if a.lists[k] = b.next; b.next == 0 {
		a.some &^= 1 << k
	}
	if b.next != 0 {
		a.block(b.next).prev = b.prev
	}
	a.free -= 1 << k
}

// empty begins to take a step out of use: nothing is handed out of it any more, and when the last run in it has come
// back its memory goes to the system.
func (a *arena) empty(step uint32) {
	start := step * stepGranules
	sum := uint32(0)
	for k := range uint32(maxOrder + 1) {
		for g := start; g < start+stepGranules; {
			word, bit := a.flag(k, g)
			if *word == 0 { // 64 blocks at a time
				n := 64 - uint32(bits.TrailingZeros64(bit))
				g += n << k
				continue
			}
			if *word&bit != 0 {
				a.unlist(k, g)
				sum += 1 << k
			}
			g += 1 << k
		}
	}
	a.gone[step] = 1 + sum
	a.draining++
	if sum == stepGranules-first(step) {
		a.giveBack(step)
	}
}

// giveBack returns the memory of a step that is empty. That the system may refuse matters to nobody: the pages are
// still there when the step is used again.
func (a *arena) giveBack(step uint32) {
	from := int(step) * stepBytes
	a.draining--
	if discard(a.mem.mem[from:from+stepBytes]) == nil {
		a.live--
		a.away = append(a.away, step)
		a.gone[step] = 1 + stepGranules
		return
	}
	a.gone[step] = 0
	a.release(step*stepGranules+first(step), stepGranules-first(step))
}

// last returns the last step that is not being emptied, if it is not the only one.
func (a *arena) last() (step uint32, ok bool) {
	for i := len(a.gone) - 1; i > 0; i-- {
		if a.gone[i] == 0 {
			return uint32(i), true
		}
	}
	return 0, false
}

// fits reports whether there are n granules in a row.
func (a *arena) fits(n uint32) bool { return a.some>>bits.Len32(min(n, stepGranules)-1) != 0 }

// used is how many granules are handed out.
func (a *arena) used() int64 {
	used := int64(a.live)*stepGranules - int64(a.free) - 1
	for _, gone := range a.gone {
		if gone != 0 && gone <= stepGranules {
			used -= int64(gone) - 1
		}
	}
	return used
}

// emptying reports whether a run lies in a step that is being emptied.
func (a *arena) emptying(g uint32) bool { return a.gone[g/stepGranules] != 0 }
