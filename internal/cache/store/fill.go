package store

import (
	"sync"
	"sync/atomic"
)

// Fill is an object on its way in. One writes; any number of others read what is published, on other loops too.
type Fill struct {
	s       *Store
	slot    uint32
	hint    int64
	written int64
	piece   []byte       // the rest of the last piece
	last    uint32       // its granule behind the end
	held    uint32       // granules of the body in all
	table   uint32       // granule of the table of pieces, 0 while there is one piece
	revoked *atomic.Bool // nil: it cannot be

	mu    sync.Mutex
	ended bool
}

// Least piece of a body that is taken unasked, in bytes: what an app of unknown length gets first, and how much is
// taken at most ahead of what has come, because a length that was only announced is not to be believed.
const (
	firstPiece = 4 << 10
	aheadPiece = 256 << 10
	tinyPiece  = 16        // granules; pieces are at least a quarter of what is wanted, in need this
	maxPiece   = 256 << 10 // so that the room for one needs few evictions at a time
)

// Begin starts an object. size is how long its body will be, -1 if that is not known; it is a hint, Write may bring
// more or less. Nobody finds the object before Commit. Exactly one of Commit and Abort must follow.
func (s *Store) Begin(key Key, head []byte, size int64) (*Fill, error) {
	if len(head) > MaxHead || size > s.maxObject.Load() {
		return nil, ErrTooLarge
	}
	if s.crowded(size) {
		return nil, ErrFull
	}
	s.mu.Lock()
	slot, err := s.start(key, head)
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	s.fills.Add(1)
	return &Fill{s: s, slot: slot, hint: size}, nil
}

// Ref returns what there is of the object, pinned, to read along. False: the fill has ended; what became of it, Get
// tells.
func (f *Fill) Ref() (Ref, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return Ref{}, false
	}
	return Ref{f.s, f.slot}.Retain(), true
}

// SetChecked is Ref.SetChecked before there is a Ref: with it, what is purged while the object is fetched does not
// survive in it.
func (f *Fill) SetChecked(n uint64) { f.s.slots.at(f.slot).checked.Store(n) }

// Published returns how many bytes of the body readers may have.
func (f *Fill) Published() int64 { return f.written }

// Write adds to the body and publishes. It returns how many bytes it took; with fewer than all comes ErrTooLarge or
// ErrFull. What was taken stays published; the caller goes on without storing, and aborts.
func (f *Fill) Write(p []byte) (n int, err error) {
	if f.ended {
		return 0, ErrClosed
	}
	if f.written+int64(len(p)) > f.s.maxObject.Load() {
		return 0, ErrTooLarge
	}
	size := &f.s.slots.at(f.slot).size
	for n < len(p) {
		if len(f.piece) == 0 {
			if err := f.extend(len(p) - n); err != nil {
				return n, err
			}
		}
		c := copy(f.piece, p[n:])
		f.piece = f.piece[c:]
		f.written += int64(c)
		n += c
		size.Store(f.written)
	}
	return n, nil
}

// Space returns memory of the store to read into: at most the rest of a piece, never empty without an error. What was
// put there is published with Advance.
func (f *Fill) Space() ([]byte, error) {
	if f.ended {
		return nil, ErrClosed
	}
	left := f.s.maxObject.Load() - f.written
	if left <= 0 {
		return nil, ErrTooLarge
	}
	if len(f.piece) == 0 {
		if err := f.extend(firstPiece); err != nil {
			return nil, err
		}
	}
	return f.piece[:min(int64(len(f.piece)), left)], nil
}

// Advance publishes the first n bytes of what Space returned.
func (f *Fill) Advance(n int) {
	f.piece = f.piece[n:]
	f.written += int64(n)
	f.s.slots.at(f.slot).size.Store(f.written)
}

// wanted says how many bytes the next piece should have, need being at hand: all of it when its length is known, but
// neither much more than has come nor more than a little at first.
func (f *Fill) wanted(need int) int {
	ahead := min(max(f.written, firstPiece), aheadPiece)
	if f.hint > f.written {
		ahead = min(max(f.written, aheadPiece), f.hint-f.written)
	}
	return int(min(max(int64(need), ahead), f.s.maxObject.Load()-f.written, maxPiece))
}

// extend takes one more piece.
func (f *Fill) extend(need int) error {
	s := f.s
	if f.hint < 0 && s.crowded(f.written+int64(need)) { // Begin did not know
		return ErrFull
	}
	n := granules(f.wanted(need))
	if (s.filling.Load()+int64(n))<<granuleShift > s.maxFills.Load() {
		if n = granules(need); (s.filling.Load()+int64(n))<<granuleShift > s.maxFills.Load() {
			return ErrFull
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g, got := s.take(n, (n+3)/4, min((n+3)/4, tinyPiece))
	if g == 0 {
		return ErrFull
	}
	if err := f.add(g, got); err != nil {
		s.arena.release(g, got)
		return err
	}
	s.filling.Add(int64(got))
	f.last = g + got
	f.piece = s.arena.bytes(g, got)
	return nil
}

// add notes a piece where readers find it. The mutex is held.
func (f *Fill) add(g, n uint32) error {
	s := f.s
	t := s.slots.at(f.slot)
	before := t.body.Load()
	if before == 0 {
		t.body.Store(g)
		f.held = n
		return nil
	}
	if before&inPieces == 0 {
		at, _ := s.take(1, 1, 1)
		if at == 0 {
			return ErrFull
		}
		words := s.arena.newTable(at, 1, 0)
		words[tableFirst].Store(pieceWord(before, f.held))
		words[tableCount].Store(1)
		f.table = at
	} else if words := s.arena.table(f.table); tableFirst+int(words[tableCount].Load()) == len(words) {
		n := 2 * uint32(len(words)) / granuleWords
		at, _ := s.take(n, n, n)
		if n > stepGranules || at == 0 {
			return ErrFull
		}
		more := s.arena.newTable(at, n, f.table)
		for i := tableFirst; i < len(words); i++ {
			more[i].Store(words[i].Load())
		}
		more[tableCount].Store(words[tableCount].Load())
		f.table = at
	}
	words := s.arena.table(f.table)
	count := words[tableCount].Load()
	f.held += n
	words[tableFirst+count].Store(pieceWord(g, f.held))
	words[tableCount].Store(count + 1)
	t.body.Store(f.table | inPieces)
	return nil
}

// end closes the fill for new readers, and takes back what the last piece has too much. The mutex is held.
func (f *Fill) end() {
	f.mu.Lock()
	f.ended = true
	f.mu.Unlock()
	s := f.s
	s.filling.Add(-int64(f.held))
	s.fills.Add(-1)
	spare := uint32(len(f.piece)) >> granuleShift
	f.piece = nil
	if spare == 0 {
		return
	}
	f.held -= spare
	if f.table != 0 {
		words := s.arena.table(f.table)
		last := &words[tableFirst+words[tableCount].Load()-1]
		last.Store(pieceWord(pieceAt(last.Load()), f.held))
	}
	s.arena.release(f.last-spare, spare)
	if f.held == 0 {
		s.slots.at(f.slot).body.Store(0)
	}
}

// Unless has Commit fail with ErrRevoked if a flag is set by then. Who sets it and deletes the key after that leaves nothing
// under it, and nobody has found it there in between.
func (f *Fill) Unless(revoked *atomic.Bool) { f.revoked = revoked }

// Commit makes the object the one under its key. With an error it is as aborted.
func (f *Fill) Commit() error {
	if f.ended {
		return ErrClosed
	}
	s := f.s
	s.mu.Lock()
	defer s.mu.Unlock()
	f.end()
	err := ErrRevoked
	if f.revoked == nil || !f.revoked.Load() {
		err = s.link(f.slot)
	}
	if err != nil {
		s.giveUp(f.slot)
		return err
	}
	if t := s.slots.at(f.slot); t.size.Load() > largeBody {
		s.use(t)
	}
	return nil
}

// Abort ends the fill without an object. Its memory stays until the last reader has left. After Commit it does nothing.
func (f *Fill) Abort() {
	if f.ended {
		return
	}
	s := f.s
	s.mu.Lock()
	defer s.mu.Unlock()
	f.end()
	s.giveUp(f.slot)
}

// giveUp leaves what there is of an object to those who read it. The mutex is held.
func (s *Store) giveUp(slot uint32) {
	t := s.slots.at(slot)
	t.change(0, stateFailed)
	s.leave(t)
	s.drop(slot)
}
