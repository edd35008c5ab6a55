package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"sync/atomic"

	"github.com/weirhq/weir/internal/loop"
)

// The arena is pages outside of Go's heap, each cut into pieces of one size. Eight sizes to a doubling: what a piece has too
// much is at most an eighth of it, 6 % on average. A page whose pieces are all free may become one of any other size; when
// there is no such page, all that is in the coldest of a few pages is given up (see Store.steal), so that memory never
// stays with a size that nobody asks for any more.
//
// A buddy system and a log were the other roads: the first rounds up to powers of two or shreds its space, the second has
// to copy what it keeps.

const (
	pageSize  = 256 << 10
	pageShift = 18
	slabPages = 16 // pages of one mapping
	minPiece  = 64
	maxPiece  = 32 << 10 // longer bodies are chains of these
)

// piece is where a piece begins: page number and offset in units of minPiece. 0 is none: the first piece of the first page is
// never given out.
type piece uint32

const unitsPerPage = pageSize / minPiece

func (p piece) page() int   { return int(p) / unitsPerPage }
func (p piece) offset() int { return int(p) % unitsPerPage * minPiece }

// sizes are the sizes of pieces, ascending; each is a multiple of minPiece.
var sizes = func() (s []int) {
	for base := minPiece * 8; base <= maxPiece; base *= 2 {
		if len(s) == 0 {
			for n := minPiece; n < base; n += minPiece {
				s = append(s, n)
			}
		}
		for i := 0; i < 8; i++ {
			if n := base + base/8*i; n <= maxPiece {
				s = append(s, n)
			}
		}
	}
	return s
}()

// sizeClass is the index of the smallest size that holds n bytes; n is at most maxPiece.
func sizeClass(n int) int {
	if n <= minPiece*8 {
		return max((n+minPiece-1)/minPiece-1, 0)
	}
	// The three bits behind the highest one tell the eighth.
	e := bits.Len(uint(n-1)) - 1 // 2^e < n <= 2^(e+1)
	base := 1 << e
	eighth := (n - base + base/8 - 1) / (base / 8)
	return 7 + (e-9)*8 + eighth
}

// page is what the arena knows of a page.
type page struct {
	class int16 // -1: free
	live  int16 // pieces in use
	free  piece // the first free piece; they are chained by their headers
	fresh int32 // pieces from here on were never used
	// Neighbours in the list of pages of the class with room, -1: none.
	prev, next int32
	listed     bool
}

type arena struct {
	maps   []atomic.Pointer[[slabPages * pageSize]byte]
	pages  []page
	most   int     // pages
	empty  []int32 // free pages
	room   []int32 // by class: first page with a free piece, -1: none
	mapped int     // pages that have been mapped
}

var errFull = errors.New("the cache has no room")

func newArena(bytes int64) *arena {
	a := &arena{most: max(int(bytes/pageSize), 2)}
	a.room = make([]int32, len(sizes))
	for i := range a.room {
		a.room[i] = -1
	}
	a.maps = make([]atomic.Pointer[[slabPages * pageSize]byte], (a.most+slabPages-1)/slabPages)
	a.pages = make([]page, 0, a.most)
	return a
}

// bytes returns n bytes from a piece on.
func (a *arena) bytes(p piece, n int) []byte {
	pg := p.page()
	at := pg%slabPages*pageSize + p.offset()
	return a.maps[pg/slabPages].Load()[at : at+n : at+n]
}

// A piece begins with its class and the number of the object that it belongs to (0: it is free), and the piece that comes
// after it. Readers on other threads take all that they need from there and from maps.
const (
	headerSize = 8
	ownerBits  = 26
	maxObjects = 1 << ownerBits
)

func (a *arena) owner(p piece) uint32 {
	return binary.NativeEndian.Uint32(a.bytes(p, 4)) % maxObjects
}
func (a *arena) class(p piece) int {
	return int(binary.NativeEndian.Uint32(a.bytes(p, 4)) / maxObjects)
}
func (a *arena) next(p piece) piece {
	return piece(binary.NativeEndian.Uint32(a.bytes(p, headerSize)[4:]))
}

func (a *arena) setHeader(p piece, owner uint32, next piece) {
	b := a.bytes(p, headerSize)
	binary.NativeEndian.PutUint32(b, owner|uint32(a.pages[p.page()].class)*maxObjects)
	binary.NativeEndian.PutUint32(b[4:], uint32(next))
}

// payload returns the room of a piece.
func (a *arena) payload(p piece) []byte {
	return a.bytes(p, sizes[a.class(p)])[headerSize:]
}

// alloc returns a piece of a class, 0 when there is no room.
func (a *arena) alloc(class int) (piece, error) {
	for {
		at := a.room[class]
		if at < 0 {
			var err error
			if at, err = a.newPage(); err != nil || at < 0 {
				return 0, err
			}
			pg := &a.pages[at]
			*pg = page{class: int16(class)}
			if at == 0 {
				pg.fresh = 1 // piece 0 stands for none
			}
			a.list(at, pg)
		}
		pg := &a.pages[at]
		if p := a.take(int(at), pg, class); p != 0 {
			pg.live++
			return p, nil
		}
		a.unlist(pg) // it is full
	}
}

// list puts a page on the list of those of its class with room.
func (a *arena) list(at int32, pg *page) {
	first := a.room[pg.class]
	pg.prev, pg.next, pg.listed = -1, first, true
	if first >= 0 {
		a.pages[first].prev = at
	}
	a.room[pg.class] = at
}

func (a *arena) unlist(pg *page) {
	if pg.prev >= 0 {
		a.pages[pg.prev].next = pg.next
	} else {
		a.room[pg.class] = pg.next
	}
	if pg.next >= 0 {
		a.pages[pg.next].prev = pg.prev
	}
	pg.listed = false
}

// take takes a free piece of a page.
func (a *arena) take(at int, pg *page, class int) piece {
	if p := pg.free; p != 0 {
		pg.free = a.next(p)
		return p
	}
	if size := sizes[class]; (int(pg.fresh)+1)*size <= pageSize {
		p := piece(at*unitsPerPage + int(pg.fresh)*size/minPiece)
		pg.fresh++
		return p
	}
	return 0
}

// newPage returns a page that is nobody's, -1 when there is none.
func (a *arena) newPage() (int32, error) {
	if n := len(a.empty); n > 0 {
		at := a.empty[n-1]
		a.empty = a.empty[:n-1]
		return at, nil
	}
	if len(a.pages) == a.most {
		return -1, nil
	}
	if len(a.pages) == a.mapped {
		m, err := loop.MapMemory(slabPages * pageSize)
		if err != nil {
			return -1, fmt.Errorf("mapping memory for the cache: %w", err)
		}
		a.maps[a.mapped/slabPages].Store((*[slabPages * pageSize]byte)(m))
		a.mapped += slabPages
	}
	a.pages = append(a.pages, page{class: -1})
	return int32(len(a.pages) - 1), nil
}

// free takes a piece back.
func (a *arena) free(p piece) {
	at := p.page()
	pg := &a.pages[at]
	pg.live--
	if pg.live == 0 {
		a.release(int32(at), pg)
		return
	}
	a.setHeader(p, 0, pg.free)
	pg.free = p
	if !pg.listed {
		a.list(int32(at), pg)
	}
}

// release makes a page nobody's.
func (a *arena) release(at int32, pg *page) {
	if pg.listed {
		a.unlist(pg)
	}
	*pg = page{class: -1}
	a.empty = append(a.empty, at)
}

func (a *arena) close() error {
	var err error
	for i := range a.maps {
		if m := a.maps[i].Load(); m != nil {
			err = errors.Join(err, loop.UnmapMemory(m[:]))
		}
	}
	return err
}
