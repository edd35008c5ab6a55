package store

// How much one call may do to find room: so many objects evicted, and one more for so many granules wanted.
const (
	evictions        = 64
	evictionGranules = 4
	// What lay in a step that is being emptied leaves no room, and what came at one time lies together and goes together: so many
	// times as many may go in all.
	evictionsInVain = 32
	// As soon as so many times what is wanted is free, smaller pieces are taken.
	freeEnough = 2
)

// resident is how much memory the store may hold. The mutex is held.
func (s *Store) resident() int64 {
	return s.arena.resident() + s.slots.resident() + s.index.resident()
}

// take hands out n granules in a row, or a part of them, but at least least, and evicts until there are so many. Where
// much is free but in small gaps, as it is for a large object among small ones, parts may be smaller than least, down to
// tiny: evicting on until there is a large gap would cost more than many pieces do. It returns 0, 0 when nothing
// helped. The mutex is held.
func (s *Store) take(n, least, tiny uint32) (g, got uint32) {
	s.balance(0)
	tries := evictions + int(n)/evictionGranules
	for all := tries * evictionsInVain; tries > 0 && all > 0; all-- {
		if !s.arena.fits(n) && s.arena.draining == 0 && s.resident()+stepBytes+stepEdges <= s.budget {
			// That the system has no more memory is no reason to fail: there is what there is.
			_ = s.arena.grow()
		}
		if g, got = s.arena.take(n, least); g != 0 {
			return g, got
		}
		s.compact()
		if least > tiny && s.arena.free > freeEnough*int64(n) {
			least = max(least/2, tiny)
			tries--
			continue
		}
		free := s.arena.free
		if !s.evict() {
			break
		}
		if s.arena.free > free {
			tries--
		}
	}
	s.refused++
	return 0, 0
}

// evict lets the policy's choice go. Its memory is free at once if nobody reads it. The mutex is held.
func (s *Store) evict() bool {
	slot, ok := s.policy.Victim()
	if !ok {
		return false
	}
	s.evicted++
	s.unlink(slot, true)
	return true
}

// takeSlot returns a free slot. When there is none, there are more as long as the budget allows; after that, an
// object has to go. Shortly before that is so, the arena begins to make way for slots: objects have become smaller. The
// mutex is held.
func (s *Store) takeSlot() (uint32, error) {
	room := s.resident()+pageCost <= s.budget
	if !room && s.slots.free < pageSlots/2 && s.arena.draining == 0 {
		s.shrink()
	}
	for range evictions {
		if slot := s.slots.take(); slot != 0 {
			return slot, nil
		}
		if room && s.slots.grow() == nil {
			continue
		}
		if !s.evict() {
			break
		}
	}
	s.refused++
	return 0, ErrFull
}

// How much one call does to empty steps: slots looked at, and granules moved. And how many pages of slots are given back
// at a time.
const (
	drainSlots    = 1024
	drainGranules = 64 << 10 / granule
	trimPages     = stepBytes/pageBytes + 1
)

// balance takes the store a little nearer to its budget. Up to so many others may go for each object that is in the way. The
// mutex is held.
func (s *Store) balance(others int) {
	if s.resident()-int64(s.arena.draining)*stepBytes > s.budget {
		s.shrink()
	}
	if s.arena.draining > 0 {
		s.drain(others)
		return
	}
	if s.slots.free > 2*trimPages*pageSlots && s.slots.free > s.index.count/4 && s.calls%1024 == 0 {
		s.slots.trim(trimPages)
	}
	s.calls++
}

// shrink begins to empty one step of the arena. The mutex is held.
func (s *Store) shrink() {
	if step, ok := s.arena.emptiest(); ok {
		s.arena.empty(step)
	}
}

// compact begins to empty some steps if what is free lies scattered: a sixteenth of the arena, and something was
// wanted that there is no gap for. The mutex is held.
func (s *Store) compact() {
	if s.arena.draining > 0 || s.arena.free < 2*stepGranules || s.arena.free < int64(s.arena.live)*stepGranules/16 {
		return
	}
	// One round over all slots serves all these steps.
	for range 1 + s.arena.live/64 {
		s.shrink()
	}
}

// drain moves what lies in steps being emptied elsewhere, or evicts it if there is no room, among the next few slots.
// What is being filled is met in a later round: the search goes on until the steps are empty. The mutex is held.
func (s *Store) drain(others int) {
	end, moved := s.slots.limit.Load(), uint32(0)
	for n := 0; n < drainSlots && moved < drainGranules && s.arena.draining > 0; n++ {
		if s.cursor++; s.cursor >= end {
			s.cursor = 1
		}
		if t := s.slots.at(s.cursor); t.state.Load()&stateLive != 0 && s.inTheWay(t) {
			moved += s.weight(s.cursor)
			s.makeWay(s.cursor, others)
		}
	}
}

// waysTried is how many others may go so that an object that is in the way can stay, when there is time for that: not while
// somebody waits for memory. What those who go leave may lie in the steps that are being emptied too, as what came at one
// time lies together and is let go together.
const waysTried = 8

// makeWay moves an object out of the way, if need be into the room of others that are worth less, or evicts it. The mutex is
// held.
func (s *Store) makeWay(slot uint32, others int) {
	t := s.slots.at(slot)
	if t.state.Load()&stateShares != 0 || t.size.Load() > stepBytes {
		others = 0 // it cannot be moved, or not in one piece
	}
	for ; !s.move(slot); others-- {
		if others <= 0 || !s.evict() {
			s.evicted++
			s.unlink(slot, false)
			return
		}
		if t.state.Load()&stateLive == 0 {
			return // it was the one
		}
	}
}

// move puts a copy of an object in its place under its key, somewhere else in memory. Those who read it read on where
// it was. It does not go far to find room: there is either a gap or none. The mutex is held.
func (s *Store) move(slot uint32) bool {
	t := s.slots.at(slot)
	state, body := t.state.Load(), t.body.Load()
	if state&stateShares != 0 {
		return false
	}
	runs := [2][2]uint32{{t.head, granules(int(t.headLen))}, {body, uint32((t.size.Load() + granule - 1) >> granuleShift)}}
	var to [2]uint32
	for i, run := range runs {
		if run[1] > 0 {
			to[i], _ = s.arena.take(run[1], run[1])
		}
	}
	ok := (to[0] != 0 || runs[0][1] == 0) && (to[1] != 0 || runs[1][1] == 0)
	if ok {
		ok = s.moveTo(t, state, to, runs)
	}
	if !ok {
		for i, run := range runs {
			if to[i] != 0 {
				s.arena.release(to[i], run[1])
			}
		}
	}
	return ok
}

func (s *Store) moveTo(t *slot, state uint64, to [2]uint32, runs [2][2]uint32) bool {
	slot := s.slots.take()
	if slot == 0 {
		return false
	}
	if runs[0][1] > 0 {
		copy(s.arena.bytes(to[0], runs[0][1]), s.arena.bytes(runs[0][0], runs[0][1]))
	}
	for off, size := int64(0), t.size.Load(); off < size; {
		p := s.arena.piece(runs[1][0], off, size) // what was in pieces is in one from now on
		copy(s.arena.bytes(to[1], runs[1][1])[off:], p)
		off += int64(len(p))
	}
	c := s.slots.at(slot)
	c.key, c.head, c.headLen = t.key, to[0], t.headLen
	c.body.Store(to[1])
	c.size.Store(t.size.Load())
	c.checked.Store(t.checked.Load())
	c.access.Store(t.access.Load())
	c.state.Store(state&^(stateHit-1) | 1)
	return s.link(slot) == nil // there is an entry to put it in: nothing can fail
}

// inTheWay reports whether an object has memory in a step that is being emptied. The mutex is held.
func (s *Store) inTheWay(t *slot) bool {
	a := &s.arena
	if t.headLen > 0 && a.emptying(t.head) {
		return true
	}
	if t.state.Load()&stateShares != 0 {
		t = s.slots.at(t.body.Load())
	}
	body := t.body.Load()
	if body&inPieces == 0 {
		return body != 0 && a.emptying(body)
	}
	for g := body &^ inPieces; g != 0; g = uint32(a.table(g)[tableBefore].Load()) {
		if a.emptying(g) {
			return true
		}
	}
	words := a.table(body &^ inPieces)
	for i := range words[tableCount].Load() {
		if a.emptying(pieceAt(words[tableFirst+i].Load())) {
			return true
		}
	}
	return false
}

// Resize changes the sizes that Open was given. What is larger than an object may be from now on stays. What has to go for a
// smaller budget goes with the calls that follow, a little with each; Tend is one that does nothing else. At most twice the
// memory that the store was opened with can be had.
func (s *Store) Resize(o Options) {
	s.setLimits(o)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.budget = max(o.Memory, MinMemory)
}

// Tend takes the store a little nearer to its budget and reports whether it is there.
func (s *Store) Tend() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.balance(waysTried)
	return s.arena.draining == 0 && s.resident() <= s.budget
}
