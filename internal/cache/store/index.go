package store

import (
	"math/bits"
	"sync/atomic"
	"unsafe"
)

const (
	lineEntries = 7
	lineBytes   = 64
	// The table has a line for every four and a half entries: then about one line in eight has a second one.
	fillEntries, fillLines = 9, 2
	indexStep              = 64 << 10 // bytes by which the areas of the index grow

	// In the upper half of index.shape: entries of the last split are being moved, and how often they were.
	shapeMoving  uint64 = 1 << 32
	shapeVersion uint64 = 1 << 33
)

// line is a bucket of the index, or one more line of a bucket. An entry is the low half of a key's hash and the number
// of a slot; 0 is none.
type line struct {
	entries [lineEntries]atomic.Uint64
	next    atomic.Uint32 // number of the bucket's next line; 0 is none
	_       uint32
}

var _ [lineBytes]byte = [unsafe.Sizeof(line{})]byte{}

func entry(hash uint64, slot uint32) uint64 { return hash<<32 | uint64(slot) }

// index finds slots by hash. It is a table of lines that grows by linear hashing: adding a line splits one bucket.
// Readers take no lock. A reader that finds nothing must see the same shape before and after (steady).
type index struct {
	// shape is the number of buckets in the lower half, and whether and how often entries were moved in the upper.
	shape atomic.Uint64
	table region // lines by bucket
	more  region // second and further lines of buckets, from number 1
	spare uint32 // list of unused lines in more, through next
	fresh uint32 // lines in more from here on were never used
	count int    // entries
}

func (x *index) open(reserved int) error {
	if err := x.table.open(reserved); err != nil {
		return err
	}
	if err := x.more.open(reserved); err != nil {
		return err
	}
	if err := x.table.grow(indexStep); err != nil {
		return err
	}
	x.fresh = 1
	x.shape.Store(indexStep / lineBytes)
	return nil
}

func (x *index) close() error {
	err := x.table.close()
	if e := x.more.close(); err == nil {
		err = e
	}
	return err
}

// resident is how much memory the index may hold.
func (x *index) resident() int64 { return int64(x.table.size) + int64(x.more.size) }

// bucket returns the bucket of a hash in a table of n buckets.
func bucket(hash uint64, n uint32) uint32 {
	mask := uint32(1)<<bits.Len32(n-1) - 1
	h := uint32(hash) & mask
	if h >= n {
		h &= mask >> 1
	}
	return h
}

func (x *index) line(b uint32) *line { return (*line)(x.table.at(b)) }

func (x *index) extra(n uint32) *line { return (*line)(x.more.at(n)) }

// place returns the entry of a slot. Only the one who may change the index calls it.
func (x *index) place(hash uint64, slot uint32) *atomic.Uint64 {
	want := entry(hash, slot)
	for l := x.line(bucket(hash, uint32(x.shape.Load()))); ; {
		for i := range l.entries {
			if l.entries[i].Load() == want {
				return &l.entries[i]
			}
		}
		next := l.next.Load()
		if next == 0 {
			return nil
		}
		l = x.extra(next)
	}
}

// insert adds a slot.
func (x *index) insert(hash uint64, slot uint32) error {
	n := uint32(x.shape.Load())
	if err := x.insertInto(bucket(hash, n), entry(hash, slot)); err != nil {
		return err
	}
	x.count++
	if x.count*fillLines > int(n)*fillEntries {
		x.split()
	}
	return nil
}

func (x *index) insertInto(b uint32, e uint64) error {
	l := x.line(b)
	for {
		for i := range l.entries {
			if l.entries[i].Load() == 0 {
				l.entries[i].Store(e)
				return nil
			}
		}
		next := l.next.Load()
		if next == 0 {
			break
		}
		l = x.extra(next)
	}
	next, err := x.takeLine()
	if err != nil {
		return err
	}
	x.extra(next).entries[0].Store(e)
	l.next.Store(next)
	return nil
}

func (x *index) takeLine() (uint32, error) {
	if n := x.spare; n != 0 {
		x.spare = x.extra(n).next.Load()
		x.extra(n).next.Store(0)
		return n, nil
	}
	if int(x.fresh+1)*lineBytes > x.more.size {
		if err := x.more.grow(indexStep); err != nil {
			return 0, err
		}
	}
	x.fresh++
	return x.fresh - 1, nil
}

// remove takes a slot out.
func (x *index) remove(hash uint64, slot uint32) bool {
	e := x.place(hash, slot)
	if e == nil {
		return false
	}
	e.Store(0)
	x.count--
	return true
}

// split adds a bucket. Its entries are first written there, then the table is one larger, then they go from where they
// were: a reader finds each in one place or the other, or sees that the shape has changed. That there is no memory for
// it is no error: the lines get longer.
func (x *index) split() {
	shape := x.shape.Load()
	n := uint32(shape)
	if int(n+1)*lineBytes > x.table.size && x.table.grow(indexStep) != nil {
		return
	}
	from := bucket(uint64(n), n)
	for l := x.line(from); ; {
		for i := range l.entries {
			if e := l.entries[i].Load(); e != 0 && bucket(e>>32, n+1) == n {
				if x.insertInto(n, e) != nil {
					x.wipe(n)
					return
				}
			}
		}
		next := l.next.Load()
		if next == 0 {
			break
		}
		l = x.extra(next)
	}
	shape++
	x.shape.Store(shape + shapeVersion + shapeMoving)
	x.tidy(from, n)
	x.shape.Store(shape + 2*shapeVersion)
}

// tidy removes from a bucket what went to another. What is left goes into its first line if it fits there, and the
// other lines are given back.
func (x *index) tidy(from, to uint32) {
	first, left := x.line(from), 0
	for l := first; ; {
		for i := range l.entries {
			if e := l.entries[i].Load(); e != 0 && bucket(e>>32, to+1) == to {
				l.entries[i].Store(0)
			} else if e != 0 {
				left++
			}
		}
		next := l.next.Load()
		if next == 0 {
			break
		}
		l = x.extra(next)
	}
	if left > lineEntries {
		return
	}
	hole := 0
	for n := first.next.Load(); n != 0; n = x.extra(n).next.Load() {
		for i := range x.extra(n).entries {
			e := x.extra(n).entries[i].Load()
			if e == 0 {
				continue
			}
			for first.entries[hole].Load() != 0 {
				hole++
			}
			first.entries[hole].Store(e)
		}
	}
	x.giveLines(first.next.Swap(0))
}

// wipe empties a bucket that is not part of the table yet.
func (x *index) wipe(b uint32) {
	l := x.line(b)
	for i := range l.entries {
		l.entries[i].Store(0)
	}
	x.giveLines(l.next.Swap(0))
}

// giveLines takes a chain of lines out of use.
func (x *index) giveLines(n uint32) {
	for n != 0 {
		l := x.extra(n)
		for i := range l.entries {
			l.entries[i].Store(0)
		}
		next := l.next.Load()
		l.next.Store(x.spare)
		x.spare, n = n, next
	}
}

// steady reports whether a reader that began with a shape and found nothing under a hash may believe it.
func (x *index) steady(hash, shape uint64) bool {
	if x.shape.Load() != shape {
		return false
	}
	n := uint32(shape)
	return shape&shapeMoving == 0 || bucket(hash, n) != bucket(uint64(n-1), n-1)
}
