package store

import (
	"sync/atomic"
	"unsafe"
)

// A body in several pieces has a table of them, an array of words in the arena: where the table before it is with its
// own length in granules in the upper half, how many pieces there are, then a word for each: its granule and, in the
// upper half, where in the body it ends, in granules. A table that is full is copied into one of twice the size;
// readers may still be in the old one, so that goes only with the object.
const (
	tableBefore  = 0
	tableCount   = 1
	tableFirst   = 2
	granuleWords = granule / 8
)

func pieceWord(g, end uint32) uint64 { return uint64(end)<<32 | uint64(g) }

func pieceAt(word uint64) uint32 { return uint32(word) }

func pieceEnd(word uint64) uint32 { return uint32(word >> 32) }

// table returns the table at granule g. Its room is in the upper half of its first word.
func (a *arena) table(g uint32) []atomic.Uint64 {
	p := (*atomic.Uint64)(a.mem.at(g))
	return unsafe.Slice(p, uint32(p.Load()>>32)*granuleWords)
}

// newTable makes the table at granule g, n granules long.
func (a *arena) newTable(g, n, before uint32) []atomic.Uint64 {
	p := (*atomic.Uint64)(a.mem.at(g))
	p.Store(uint64(n)<<32 | uint64(before))
	t := unsafe.Slice(p, n*granuleWords)
	t[tableCount].Store(0)
	return t
}

// piece returns the part of a body of size bytes that begins at off and lies in one piece.
func (a *arena) piece(body uint32, off, size int64) []byte {
	if off < 0 || off >= size || body == 0 {
		return nil
	}
	if body&inPieces == 0 {
		from := int64(body) << granuleShift
		return a.mem.mem[from+off : from+size : from+size]
	}
	t := a.table(body &^ inPieces)
	at := uint32(off >> granuleShift)
	i, j := tableFirst, tableFirst+int(t[tableCount].Load())
	for i < j { // the first piece that ends behind at
		if m := int(uint(i+j) >> 1); pieceEnd(t[m].Load()) <= at {
			i = m + 1
		} else {
			j = m
		}
	}
	word := t[i].Load()
	start := int64(0)
	if i > tableFirst {
		start = int64(pieceEnd(t[i-1].Load())) << granuleShift
	}
	end := min(size, int64(pieceEnd(word))<<granuleShift)
	from := int64(pieceAt(word))<<granuleShift - start
	return a.mem.mem[from+off : from+end : from+end]
}

// releaseBody takes back all that a body holds: its pieces and its tables. held is how many granules a body in one
// piece has.
func (a *arena) releaseBody(body, held uint32) {
	if body == 0 {
		return
	}
	if body&inPieces == 0 {
		a.release(body, held)
		return
	}
	g := body &^ inPieces
	t := a.table(g)
	start := uint32(0)
	for i := range t[tableCount].Load() {
		word := t[tableFirst+i].Load()
		a.release(pieceAt(word), pieceEnd(word)-start)
		start = pieceEnd(word)
	}
	for g != 0 {
		word := t[tableBefore].Load()
		a.release(g, uint32(word>>32))
		if g = uint32(word); g != 0 {
			t = a.table(g)
		}
	}
}
