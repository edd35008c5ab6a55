package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/weirhq/weir/internal/cache/evict"
)

// Key names an object: a keyed hash of all that selects it, so its bits are as good as random, and two things that
// differ do not share one.
type Key [16]byte

// hash is what the index and the policy know of a key.
func (k *Key) hash() uint64 { return binary.LittleEndian.Uint64(k[:8]) }

// Errors of Begin, Write and Commit. All say that an object is not stored, none that anything is broken.
var (
	// ErrTooLarge: the object is larger than Options.MaxObject, or its head than MaxHead.
	ErrTooLarge = errors.New("object too large to be stored")
	// ErrFull: no memory could be had with the work that one call may do, or the fills under way hold too much, or the large
	// objects that are being read.
	ErrFull = errors.New("no room in the store")
	// ErrClosed: the fill was committed or aborted, or what it was about is gone.
	ErrClosed = errors.New("fill has ended")
	// ErrRevoked: the flag of Fill.Unless is set.
	ErrRevoked = errors.New("object revoked while it came in")
)

// MaxHead is the largest head in bytes.
const MaxHead = 256 << 10

// Options says how large a store may be. Sizes are in bytes.
type Options struct {
	Memory    int64 // the budget, index and all; at least MinMemory
	MaxObject int64 // the largest body; 0: a quarter of Memory
	MaxFills  int64 // memory of all fills under way; 0: a quarter of Memory
}

// MinMemory is the least budget, and maxMemory what granule numbers can reach.
const (
	MinMemory = 8 << 20
	maxMemory = 64 << 30
)

// Store is a cache's objects. All methods may be called by any number of goroutines at a time; none waits for anything
// but a mutex that is held for microseconds.
type Store struct {
	maxObject atomic.Int64
	maxFills  atomic.Int64
	maxUsed   atomic.Int64 // half of the memory, see use
	stripes   [stripeCount]stripe

	arena arena // bytes are read without the mutex, by those who pin their object
	slots slots
	index index

	policy *evict.Policy // Hit by anyone; the rest with the mutex

	mu      sync.Mutex // guards all below, and every change of the arena, the slots and the index
	budget  int64
	evicted uint64
	refused uint64
	cursor  uint32 // where the search for objects in steps being emptied goes on
	calls   uint64 // of balance

	filling atomic.Int64 // granules that fills under way hold
	fills   atomic.Int64
	used    atomic.Int64 // bytes of large bodies that are being read
}

// Open makes an empty store.
func Open(o Options) (*Store, error) {
	if o.Memory < MinMemory || o.Memory > maxMemory {
		return nil, fmt.Errorf("opening the store: a memory of %d MiB is not within %d MiB and %d GiB", o.Memory>>20, MinMemory>>20, int64(maxMemory)>>30)
	}
	s := &Store{budget: o.Memory}
	s.setLimits(o)
	s.policy = evict.New(uint64(o.Memory) >> granuleShift)
	if err := s.open(int(o.Memory)); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the store: %w", err), s.Close())
	}
	return s, nil
}

// setLimits settles what an object and all fills may take.
func (s *Store) setLimits(o Options) {
	if o.MaxObject <= 0 {
		o.MaxObject = o.Memory / 4
	}
	if o.MaxFills <= 0 {
		o.MaxFills = o.Memory / 4
	}
	s.maxObject.Store(o.MaxObject)
	s.maxFills.Store(o.MaxFills)
	s.maxUsed.Store(o.Memory / 2)
}

// open reserves address space: for twice the budget, so that Resize has room, and for slots and index as many as
// there can be.
func (s *Store) open(memory int) error {
	if err := s.arena.open(2 * memory); err != nil {
		return err
	}
	if err := s.slots.mem.open(memory); err != nil {
		return err
	}
	if err := s.index.open(memory / 2); err != nil {
		return err
	}
	if err := s.slots.grow(); err != nil {
		return err
	}
	return s.arena.grow()
}

// Close gives all memory back. No Ref, Fill or slice may be used after it.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := errors.Join(s.arena.close(), s.slots.mem.close(), s.index.close()); err != nil {
		return fmt.Errorf("closing the store: %w", err)
	}
	return nil
}

// Get looks an object up and pins it until Release. It counts a hit or a miss.
func (s *Store) Get(key Key) (Ref, bool) {
	hash := key.hash()
	c := &s.stripes[hash>>(64-stripeBits)]
	if slot := s.find(&key, hash, 1); slot != 0 {
		c.hits.Add(1)
		s.policy.Hit(slot)
		return Ref{s, slot}, true
	}
	c.misses.Add(1)
	return Ref{}, false
}

// Peek is Get without counting anything: for looking at an object rather than serving it.
func (s *Store) Peek(key Key) (Ref, bool) {
	slot := s.find(&key, key.hash(), 0)
	return Ref{s, slot}, slot != 0
}

// find pins the object under a key and returns its slot, or 0.
func (s *Store) find(key *Key, hash, hits uint64) uint32 {
	// An entry is removed before its slot dies, so a look-up that met a dead slot or a moving line finds better the
	// next time. The limit is for a writer that lost its processor just then: a miss is never wrong.
	for range 1 << 16 {
		shape := s.index.shape.Load()
		dead := false
		for l := s.index.line(bucket(hash, uint32(shape))); ; {
			for i := range l.entries {
				e := l.entries[i].Load()
				if uint32(e>>32) != uint32(hash) || e == 0 {
					continue
				}
				t := s.slots.at(uint32(e))
				if !t.pin(hits) {
					dead = true
				} else if t.key == *key {
					if t.size.Load() > largeBody {
						s.use(t)
					}
					return uint32(e)
				} else {
					s.unpin(uint32(e))
				}
			}
			next := l.next.Load()
			if next == 0 {
				break
			}
			l = s.index.extra(next)
		}
		if !dead && s.index.steady(hash, shape) {
			return 0
		}
	}
	return 0
}

// unpin takes one pin off a slot. The last one frees it.
func (s *Store) unpin(slot uint32) {
	t := s.slots.at(slot)
	state := t.state.Add(^uint64(0))
	if state&statePins == statePins {
		panic("store: an object was released more often than it was pinned")
	}
	if state&statePins == 0 {
		s.mu.Lock()
		s.free(slot)
		s.mu.Unlock()
	} else if state&stateUsed != 0 && state&statePins == 1 {
		s.unuse(t)
	}
}

// drop is unpin for the holder of the mutex.
func (s *Store) drop(slot uint32) {
	if s.slots.at(slot).state.Add(^uint64(0))&statePins == 0 {
		s.free(slot)
	}
}

// free takes the memory of an object back that nobody has any more. The mutex is held.
func (s *Store) free(slot uint32) {
	t := s.slots.at(slot)
	if t.state.Load()&stateUsed != 0 {
		s.used.Add(-t.size.Load())
	}
	if t.headLen > 0 {
		s.arena.release(t.head, granules(int(t.headLen)))
	}
	body := t.body.Load()
	if t.state.Load()&stateShares != 0 {
		s.drop(body)
	} else {
		s.arena.releaseBody(body, uint32((t.size.Load()+granule-1)>>granuleShift))
	}
	s.slots.put(slot)
}

// unlink takes an object out of the index, and off the policy's list unless the policy chose it. The mutex is held.
func (s *Store) unlink(slot uint32, chosen bool) {
	t := s.slots.at(slot)
	hash := t.key.hash()
	if !s.index.remove(hash, slot) {
		panic("store: a live object is not in the index")
	}
	s.kill(slot, chosen)
}

// kill ends the life of an object that is no longer in the index. The mutex is held.
func (s *Store) kill(slot uint32, chosen bool) {
	s.slots.at(slot).change(stateLive, 0)
	if !chosen {
		s.policy.Remove(slot)
	}
	s.drop(slot)
}

// linked returns the slot in the index under a key, or 0. The mutex is held.
func (s *Store) linked(key *Key, hash uint64) uint32 {
	for l := s.index.line(bucket(hash, uint32(s.index.shape.Load()))); ; {
		for i := range l.entries {
			if e := l.entries[i].Load(); e != 0 && uint32(e>>32) == uint32(hash) && s.slots.at(uint32(e)).key == *key {
				return uint32(e)
			}
		}
		next := l.next.Load()
		if next == 0 {
			return 0
		}
		l = s.index.extra(next)
	}
}

// inheritedHits is how many hits an object at most has from the one that it replaces.
const inheritedHits = 4

// link makes an object the one under its key, in place of the one that is. The mutex is held.
func (s *Store) link(slot uint32) error {
	t := s.slots.at(slot)
	hash := t.key.hash()
	old := s.linked(&t.key, hash)
	if old == 0 {
		t.change(0, stateLive|stateWhole)
		if err := s.index.insert(hash, slot); err != nil {
			t.change(stateLive, 0)
			return fmt.Errorf("%w: %w", ErrFull, err)
		}
		s.policy.Add(slot, hash, s.weight(slot))
		return nil
	}
	t.change(0, stateLive|stateWhole)
	s.index.place(hash, old).Store(entry(hash, slot))
	wanted := s.slots.at(old).state.Load() / stateHit
	s.kill(old, false)
	s.policy.Add(slot, hash, s.weight(slot))
	// The policy forgets what was replaced. That the key was wanted is still true.
	for range min(wanted, inheritedHits) {
		s.policy.Hit(slot)
	}
	return nil
}

// weight is what an object takes of the arena and the slots, in granules.
func (s *Store) weight(slot uint32) uint32 {
	t := s.slots.at(slot)
	return 1 + granules(int(t.headLen)) + uint32((t.size.Load()+granule-1)>>granuleShift)
}

// Delete removes what is under a key, and says whether there was something. Those who read it read on.
func (s *Store) Delete(key Key) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	slot := s.linked(&key, key.hash())
	if slot == 0 {
		return false
	}
	s.unlink(slot, false)
	return true
}

// Drop removes an object if it is still the one under its key, and says whether it was. The caller's pin stays.
func (s *Store) Drop(r Ref) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.slots.at(r.slot).state.Load()&stateLive == 0 {
		return false
	}
	s.unlink(r.slot, false)
	return true
}

// ReplaceHead puts a new head before the body of an object, without copying the body: under the key is then a new
// object, which r is not; its mutable words begin as r's are. It returns ErrClosed when r is no longer what is under
// its key: what was purged meanwhile does not come back.
func (s *Store) ReplaceHead(r Ref, head []byte) error {
	if len(head) > MaxHead {
		return ErrTooLarge
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	slot, err := s.start(s.slots.at(r.slot).key, head)
	if err != nil {
		return err
	}
	old, t := s.slots.at(r.slot), s.slots.at(slot)
	state := old.state.Load()
	if state&stateLive == 0 { // before, or to make room for the new head
		s.drop(slot)
		return ErrClosed
	}
	t.checked.Store(old.checked.Load())
	t.access.Store(old.access.Load())
	t.size.Store(old.size.Load())
	body := r.slot
	if state&stateShares != 0 {
		body = old.body.Load()
	}
	s.slots.at(body).state.Add(1)
	s.slots.at(body).change(0, stateLent)
	t.body.Store(body)
	t.change(0, stateShares|state&^(stateHit-1))
	return s.link(slot)
}

// start takes a slot and memory for a head. The mutex is held.
func (s *Store) start(key Key, head []byte) (uint32, error) {
	slot, err := s.takeSlot()
	if err != nil {
		return 0, err
	}
	t := s.slots.at(slot)
	t.key = key
	t.state.Store(1)
	if len(head) > 0 {
		n := granules(len(head))
		g, _ := s.take(n, n, n)
		if g == 0 {
			s.drop(slot)
			return 0, ErrFull
		}
		t.head, t.headLen = g, uint32(len(head))
		copy(s.arena.bytes(g, n), head)
	}
	return slot, nil
}
