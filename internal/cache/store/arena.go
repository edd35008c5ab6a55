package store

import (
	"math/bits"
	"unsafe"
)

const (
	granuleShift = 6
	granule      = 1 << granuleShift // bytes
	stepGranules = 1 << 15
	stepBytes    = stepGranules << granuleShift // 2 MiB
	stepEdges    = stepGranules / 8             // bytes of bitmap for one step
)

// granules returns how many granules n bytes take.
func granules(n int) uint32 { return uint32((n + granule - 1) >> granuleShift) }

// gap is a run of free granules. It stands in the first of them; its length stands once more at the very end of the
// last, so that who frees what follows finds it.
type gap struct{ next, prev, size uint32 }

// arena hands out runs of granules. A granule's number is its place; 0 is never handed out and means none. A run lies
// within one step. The arena's owner serialises all calls; reading what was handed out needs no lock.
type arena struct {
	mem   region
	edges region // a bit per granule: it is the first or the last of a gap

	lists [binCount]uint32
	some  [binCount / 64]uint64 // a bit per list: it is not empty
	free  int64                 // granules in the lists
	gone  []uint32              // per step: 0, in use; else 1 and the free granules of a step that is being emptied or was
	gaps  []uint32              // per step: granules in the lists
	away  []uint32              // steps that were given back
	live  int                   // steps that hold memory

	draining int // steps being emptied
}

func (a *arena) open(reserved int) error {
	reserved = (reserved + stepBytes - 1) &^ (stepBytes - 1)
	if err := a.mem.open(reserved); err != nil {
		return err
	}
	return a.edges.open(reserved / stepBytes * stepEdges)
}

func (a *arena) close() error {
	err := a.mem.close()
	if e := a.edges.close(); err == nil {
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
func (a *arena) resident() int64 { return int64(a.live) * (stepBytes + stepEdges) }

// grow adds one step.
func (a *arena) grow() error {
	step := uint32(len(a.gone))
	if n := len(a.away); n > 0 {
		step = a.away[n-1]
		a.away = a.away[:n-1]
		a.gone[step] = 0
	} else {
		if err := a.edges.grow(stepEdges); err != nil {
			return err
		}
		if err := a.mem.grow(stepBytes); err != nil {
			a.edges.size -= stepEdges
			return err
		}
		a.gone, a.gaps = append(a.gone, 0), append(a.gaps, 0)
	}
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

// Gaps of up to 32 granules are listed by their length, longer ones by eighths of octaves.
const (
	exactBins = 32
	binCount  = 128
)

// bin returns the list for gaps of n granules. Every gap in a later list is longer.
func bin(n uint32) uint32 {
	if n <= exactBins {
		return n - 1
	}
	octave := uint32(bits.Len32(n)) - 1
	return exactBins + (octave-5)*8 + n>>(octave-3)&7
}

// later returns the first list from b on that is not empty, or binCount.
func (a *arena) later(b uint32) uint32 {
	for w := b / 64; w < uint32(len(a.some)); w++ {
		word := a.some[w]
		if w == b/64 {
			word &= ^uint64(0) << (b % 64)
		}
		if word != 0 {
			return w*64 + uint32(bits.TrailingZeros64(word))
		}
	}
	return binCount
}

// longest returns the last list that is not empty, or binCount.
func (a *arena) longest() uint32 {
	for w := len(a.some) - 1; w >= 0; w-- {
		if word := a.some[w]; word != 0 {
			return uint32(w*64 + bits.Len64(word) - 1)
		}
	}
	return binCount
}

// find returns a gap of at least n granules, hardly longer than need be, or 0.
func (a *arena) find(n uint32) uint32 {
	b := bin(n)
	if n > exactBins {
		// The gaps in the list of n itself may be a little shorter. A few are looked at.
		for g, looks := a.lists[b], 4; g != 0 && looks > 0; g, looks = a.gap(g).next, looks-1 {
			if a.gap(g).size >= n {
				return g
			}
		}
		b++
	}
	if b = a.later(b); b < binCount {
		return a.lists[b]
	}
	return 0
}

// fits reports whether there are n granules in a row.
func (a *arena) fits(n uint32) bool { return a.find(min(n, stepGranules)) != 0 }

// take hands out a run of n granules, or when there is none, a shorter one of at least least. It returns 0, 0 when
// there is none either.
func (a *arena) take(n, least uint32) (g, got uint32) {
	n = min(n, stepGranules)
	if g = a.find(n); g == 0 {
		b := a.longest()
		if b == binCount {
			return 0, 0
		}
		g = a.lists[b]
	}
	size := a.gap(g).size
	if size < least {
		return 0, 0
	}
	a.unlist(g, size)
	if size > n {
		a.list(g+n, size-n)
	}
	return g, min(n, size)
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
	if g%stepGranules != 0 && a.edge(g-1) {
		before := *a.tail(g - 1)
		g -= before
		n += before
		a.unlist(g, before)
	}
	if end := g + n; end%stepGranules != 0 && a.edge(end) {
		after := a.gap(end).size
		a.unlist(end, after)
		n += after
	}
	a.list(g, n)
}

// gap returns the gap that begins at g.
func (a *arena) gap(g uint32) *gap { return (*gap)(a.mem.at(g)) }

// tail returns where the length of a gap stands whose last granule is g.
func (a *arena) tail(g uint32) *uint32 {
	return (*uint32)(unsafe.Add(a.mem.at(g), granule-unsafe.Sizeof(uint32(0))))
}

// word returns the word of the bitmap in which granule g is, and its bit.
func (a *arena) word(g uint32) (*uint64, uint64) {
	return (*uint64)(unsafe.Add(a.edges.base, uintptr(g/64)*8)), 1 << (g % 64)
}

// edge reports whether g is the first or the last granule of a gap.
func (a *arena) edge(g uint32) bool {
	word, bit := a.word(g)
	return *word&bit != 0
}

func (a *arena) list(g, n uint32) {
	word, bit := a.word(g)
	*word |= bit
	word, bit = a.word(g + n - 1)
	*word |= bit
	b := bin(n)
	next := a.lists[b]
	*a.gap(g) = gap{next: next, size: n}
	*a.tail(g + n - 1) = n
	if next != 0 {
		a.gap(next).prev = g
	}
	a.lists[b] = g
	a.some[b/64] |= 1 << (b % 64)
	a.free += int64(n)
	a.gaps[g/stepGranules] += n
}

func (a *arena) unlist(g, n uint32) {
	word, bit := a.word(g)
	*word &^= bit
	word, bit = a.word(g + n - 1)
	*word &^= bit
	x := *a.gap(g)
	if x.prev != 0 {
		a.gap(x.prev).next = x.next
	} else {
		b := bin(n)
		if a.lists[b] = x.next; x.next == 0 {
			a.some[b/64] &^= 1 << (b % 64)
		}
	}
	if x.next != 0 {
		a.gap(x.next).prev = x.prev
	}
	a.free -= int64(n)
	a.gaps[g/stepGranules] -= n
}

// empty begins to take a step out of use: nothing is handed out of it any more, and when the last run in it has come
// back its memory goes to the system.
func (a *arena) empty(step uint32) {
	sum := uint32(0)
	for g := step * stepGranules; g < (step+1)*stepGranules; {
		word, bit := a.word(g)
		if rest := *word &^ (bit - 1); rest == 0 {
			g = g&^63 + 64
			continue
		} else if rest&bit == 0 {
			g = g&^63 + uint32(bits.TrailingZeros64(rest))
		}
		n := a.gap(g).size
		a.unlist(g, n)
		sum += n
		g += n
	}
	a.gone[step] = 1 + sum
	a.draining++
	if sum == stepGranules-first(step) {
		a.giveBack(step)
	}
}

// giveBack returns the memory of a step that is empty. Where the system refuses, the step is used again.
func (a *arena) giveBack(step uint32) {
	a.draining--
	from := int(step) * stepBytes
	if discard(a.mem.mem[from:from+stepBytes]) == nil {
		a.live--
		a.away = append(a.away, step)
		a.gone[step] = 1 + stepGranules
		return
	}
	a.gone[step] = 0
	a.release(step*stepGranules+first(step), stepGranules-first(step))
}

// emptiest returns the step with the most free granules that is not being emptied. The first step is never emptied.
func (a *arena) emptiest() (step uint32, ok bool) {
	for i := 1; i < len(a.gone); i++ {
		if a.gone[i] == 0 && (!ok || a.gaps[i] > a.gaps[step]) {
			step, ok = uint32(i), true
		}
	}
	return step, ok
}

// used is how many granules are handed out.
func (a *arena) used() int64 {
	used := int64(a.live)*stepGranules - a.free - 1
	for _, gone := range a.gone {
		if gone != 0 && gone <= stepGranules {
			used -= int64(gone) - 1
		}
	}
	return used
}

// emptying reports whether a run lies in a step that is being emptied.
func (a *arena) emptying(g uint32) bool { return a.gone[g/stepGranules] != 0 }
