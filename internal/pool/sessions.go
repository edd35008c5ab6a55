package pool

import (
	"slices"
	"sync"
	"sync/atomic"
)

// sessions is a table of sessions and their servers, of a fixed size. Loops read it without a lock; a change, which is rare, takes
// the lock. A session lies in one of the ways of the bucket that its key names, and when all are taken, the one that was
// idle longest makes room. Those that a client alone has claimed make room before all others: whoever sends as many cookies as
// he can think of pushes his own out, and of the sessions that the app began no more than one in a bucket.
type sessions struct {
	slots []slot // buckets of ways slots

	mu    sync.Mutex
	dirty []uint32 // buckets that changed since they were saved, each once
	isSet []bool   // of each bucket: it is in dirty
}

// slot is one session: its key, 0 when there is none, and in one word its server's tag, whether the app began it, and when it
// was last seen.
type slot struct {
	key, value atomic.Uint64
}

const (
	ways = 8
	// fresh is by how many seconds a time may be too old before it is written anew: else each request would write.
	fresh = 16
	// begun marks the tag of a session that the app itself began.
	begun = 1 << 31
)

func newSessions(size int) *sessions {
	buckets := 1
	for buckets*ways < size {
		buckets *= 2
	}
	return &sessions{slots: make([]slot, buckets*ways), isSet: make([]bool, buckets)}
}

func (t *sessions) bucket(key uint64) (n uint32, slots []slot) {
	n = uint32(key>>32) & uint32(len(t.slots)/ways-1)
	return n, t.slots[n*ways : n*ways+ways]
}

// named is the key under which a session is kept: 0 is nobody's.
func named(key uint64) uint64 { return max(key, 1) }

// recall returns the tag of a session's server, 0 when the session is not known.
func (t *sessions) recall(key uint64, now uint32) (tag uint32) { return t.look(key, now) &^ begun }

// look is recall with the mark.
func (t *sessions) look(key uint64, now uint32) (tag uint32) {
	key = named(key)
	_, slots := t.bucket(key)
	for i := range slots {
		s := &slots[i]
		if s.key.Load() != key {
			continue
		}
		v := s.value.Load()
		if s.key.Load() != key { // the slot went to another meanwhile, and the value may be that one's
			return 0
		}
		if seen := uint32(v); now-seen >= fresh && int32(now-seen) > 0 {
			s.value.CompareAndSwap(v, v&^(1<<32-1)|uint64(now))
		}
		return uint32(v >> 32)
	}
	return 0
}

// remember says where a session is, with begun in the tag when the app has just said so, and whether that is news.
func (t *sessions) remember(key uint64, tag, now uint32) (news bool) {
	key = named(key)
	old := t.look(key, now)
	if tag |= old & begun; old == tag {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.put(key, uint64(tag)<<32|uint64(now))
	if !t.isSet[n] {
		t.isSet[n] = true
		t.dirty = append(t.dirty, n)
	}
	return true
}

// put finds a slot and fills it. Under mu, or before the table is shared.
func (t *sessions) put(key, value uint64) (bucket uint32) {
	n, slots := t.bucket(key)
	oldest := &slots[0]
	for i := range slots {
		s := &slots[i]
		if k := s.key.Load(); k == key || k == 0 {
			oldest = s
			break
		}
		if before(s.value.Load(), oldest.value.Load()) {
			oldest = s
		}
	}
	if oldest.key.Load() == key {
		oldest.value.Store(value)
		return n
	}
	oldest.key.Store(0) // who reads meanwhile finds neither the old session nor half of the new one
	oldest.value.Store(value)
	oldest.key.Store(key)
	return n
}

// before says that a session whose word is a makes room before one whose word is b.
func before(a, b uint64) bool {
	const mark = begun << 32
	if a&mark != b&mark {
		return a&mark == 0
	}
	return uint32(a) < uint32(b)
}

// changed returns the buckets that have changed since it was called last.
func (t *sessions) changed() []uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := slices.Clone(t.dirty)
	for _, n := range t.dirty {
		t.isSet[n] = false
	}
	t.dirty = t.dirty[:0]
	return out
}

// resized is a table of another size with the sessions that find room in it, those seen last first.
func (t *sessions) resized(size int) *sessions {
	type entry struct{ key, value uint64 }
	var all []entry
	t.mu.Lock()
	for i := range t.slots {
		if k := t.slots[i].key.Load(); k != 0 {
			all = append(all, entry{k, t.slots[i].value.Load()})
		}
	}
	t.mu.Unlock()
	slices.SortFunc(all, func(a, b entry) int {
		switch {
		case before(a.value, b.value):
			return -1
		case before(b.value, a.value):
			return 1
		}
		return 0
	})
	next := newSessions(size)
	for _, e := range all {
		next.put(e.key, e.value)
	}
	return next
}
