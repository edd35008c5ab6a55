package store

import "sync/atomic"

const (
	stripeBits  = 6
	stripeCount = 1 << stripeBits
)

// stripe is a part of the counters, on a cache line of its own; which part counts is said by the key.
type stripe struct {
	hits, misses atomic.Uint64
	_            [6]uint64
}

// Stats is what a store has and did. Bytes are of memory.
type Stats struct {
	Objects   int64  // that can be found
	Bytes     int64  // heads and bodies, those that are still read or filled too
	Resident  int64  // memory held, index and all
	Budget    int64  // memory that may be held
	Fills     int64  // under way
	FillBytes int64  // memory that they hold
	Hits      uint64 // look-ups that found something
	Misses    uint64
	Evictions uint64
	Refused   uint64 // times that no memory could be had
}

// Stats returns the numbers of this moment.
func (s *Store) Stats() Stats {
	var st Stats
	for i := range s.stripes {
		st.Hits += s.stripes[i].hits.Load()
		st.Misses += s.stripes[i].misses.Load()
	}
	st.Fills, st.FillBytes = s.fills.Load(), s.filling.Load()<<granuleShift
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Objects = int64(s.index.count)
	st.Bytes = s.arena.used() << granuleShift
	st.Resident, st.Budget = s.resident(), s.budget
	st.Evictions, st.Refused = s.evicted, s.refused
	return st
}

// Walk calls f for each object that can be found, of up to n slots from cursor on, and returns where to go on: 0 when
// all were seen. The Ref is pinned during the call only. A walk from 0 to 0 sees each object that was there all the
// time once; f returning false ends it with 0.
func (s *Store) Walk(cursor uint32, n int, f func(Ref) bool) (next uint32) {
	end := s.slots.limit.Load()
	for ; cursor < end && n > 0; n-- {
		if t := s.slots.at(cursor); cursor != 0 && t.pin(0) {
			more := f(Ref{s, cursor})
			s.unpin(cursor)
			if !more {
				return 0
			}
		}
		cursor++
	}
	if cursor >= end {
		return 0
	}
	return cursor
}
