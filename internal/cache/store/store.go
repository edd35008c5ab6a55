package store

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"sync"
	"sync/atomic"
)

// Options say how much a store may hold.
type Options struct {
	Memory    int64 // bytes, all told
	MaxObject int64 // bytes of the largest body; 0: an eighth of Memory
}

// ErrTooLarge is of an object that the store does not take.
var ErrTooLarge = errors.New("larger than the cache takes")

// Store is a cache's memory. Close ends it.
type Store struct {
	options Options

	// Read by all.
	objects objects
	buckets []uint32 // first object, by the low bits of the key's hash
	shards  [64]shard
	count   atomic.Int64 // objects in the index
	evicted atomic.Uint64

	mu     sync.Mutex // guards all below; taken before a shard's
	arena  *arena
	queues [3]queue
	ghost  ghost
	hand   int   // page where the next theft begins
	filled int64 // bytes of unfinished fills
}

// shard guards the buckets of one remainder, and the links of the objects in them.
type shard struct {
	sync.Mutex
	_ [56]byte
}

func hashOf(k Key) uint64 { return binary.LittleEndian.Uint64(k[:8]) }

// New returns an empty store. Memory is taken as it is needed.
func New(o Options) *Store {
	if o.MaxObject <= 0 {
		o.MaxObject = o.Memory / 8
	}
	buckets := 1 << max(bits.Len64(uint64(o.Memory/2048)), 10)
	s := &Store{options: o, buckets: make([]uint32, buckets), ghost: make(ghost, buckets)}
	s.arena = newArena(o.Memory - int64(buckets)*8)
	s.objects.pages = make([]atomic.Pointer[[objectsPerPage]object], s.arena.most)
	return s
}

// Close gives the memory back. Nobody may use the store, or a Ref or Fill of it, any more.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.arena.close()
}

// bucket returns the bucket of a key, and locks the shard that it belongs to.
func (s *Store) bucket(k Key) (at *uint32, sh *shard) {
	n := hashOf(k) & uint64(len(s.buckets)-1)
	sh = &s.shards[n&63]
	sh.Lock()
	return &s.buckets[n], sh
}

// Get looks a key up. When it is there, r refers to it until Release.
func (s *Store) Get(k Key, r *Ref) bool {
	at, sh := s.bucket(k)
	for id := *at; id != 0; {
		ob := s.objects.at(id)
		if ob.key == k {
			ob.refs.Add(1)
			sh.Unlock()
			if f := ob.freq.Load(); f < maxFreq {
				ob.freq.Store(f + 1) // a hit that is lost to another at the same moment does not matter
			}
			r.open(s, id, ob)
			return true
		}
		id = ob.link
	}
	sh.Unlock()
	return false
}

// Delete takes a key out; false when it was not there. Who reads it goes on.
func (s *Store) Delete(k Key) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := s.find(k)
	if id != 0 {
		s.unlink(id)
	}
	return id != 0
}

func (s *Store) find(k Key) uint32 {
	at, sh := s.bucket(k)
	defer sh.Unlock()
	for id := *at; id != 0; id = s.objects.at(id).link {
		if s.objects.at(id).key == k {
			return id
		}
	}
	return 0
}

// enter puts an object into the index and the queues, with s.mu held. What was there under its key goes.
func (s *Store) enter(id uint32) {
	ob := s.objects.at(id)
	if was := s.find(ob.key); was != 0 {
		s.unlink(was)
	}
	at, sh := s.bucket(ob.key)
	ob.link, ob.linked = *at, true
	*at = id
	ob.refs.Add(1)
	sh.Unlock()
	s.count.Add(1)
	name := shortQueue
	if s.ghost.take(ob.key) {
		name = mainQueue
	}
	s.push(name, id)
}

// unlink takes an object out of the index and the queues, with s.mu held.
func (s *Store) unlink(id uint32) {
	ob := s.objects.at(id)
	if !ob.linked {
		return
	}
	at, sh := s.bucket(ob.key)
	for ; *at != id; at = &s.objects.at(*at).link {
	}
	*at = ob.link
	ob.linked = false
	sh.Unlock()
	s.count.Add(-1)
	s.remove(id)
	s.drop(id)
}

// drop lets go of a reference, with s.mu held.
func (s *Store) drop(id uint32) {
	ob := s.objects.at(id)
	if ob.refs.Add(-1) > 0 {
		return
	}
	for p := ob.first; p != 0; {
		next := s.arena.next(p)
		s.arena.free(p)
		p = next
	}
	body := ob.body
	s.giveObject(id)
	if body == 0 {
		return
	}
	if b := s.objects.at(body); b.parent == id {
		b.parent = 0
	}
	s.drop(body)
}

// release lets go of a reader's reference.
func (s *Store) release(id uint32) {
	ob := s.objects.at(id)
	for {
		n := ob.refs.Load()
		if n == 1 { // the last one: it is not in the index any more
			s.mu.Lock()
			s.drop(id)
			s.mu.Unlock()
			return
		}
		if ob.refs.CompareAndSwap(n, n-1) {
			return
		}
	}
}

// piece returns a piece that holds n bytes, or the largest, making room if it must. With s.mu held.
func (s *Store) piece(n int) (piece, error) {
	class := sizeClass(min(n+headerSize, maxPiece))
	for range maxTries {
		p, err := s.arena.alloc(class)
		if p != 0 || err != nil {
			return p, err
		}
		if !s.makeRoom() {
			break
		}
		if p, err := s.arena.alloc(class); p != 0 || err != nil {
			return p, err
		}
		s.steal()
	}
	return 0, errFull
}

// page returns a whole page, in the same way.
func (s *Store) page() (int32, error) {
	for range maxTries {
		at, err := s.arena.newPage()
		if at >= 0 || err != nil {
			return at, err
		}
		s.makeRoom()
		s.steal()
	}
	return 0, errFull
}

const (
	maxTries = 4
	batch    = 8 // evictions at a time
)

func (s *Store) makeRoom() bool {
	any := false
	for range batch {
		if !s.evictOne() {
			break
		}
		any = true
	}
	return any
}

// steal empties a page: of the few that come next, that with the smallest share of its pieces in use. Pieces that are being read stay until
// they have been.
func (s *Store) steal() {
	best, fewest := -1, int(^uint(0)>>1)
	for seen, looked := 0, 0; seen < 16 && looked < len(s.arena.pages); looked++ {
		s.hand = (s.hand + 1) % len(s.arena.pages)
		pg := &s.arena.pages[s.hand]
		if pg.class < 0 || pg.live == 0 {
			continue
		}
		seen++
		if n := int(pg.live) * 1000 / (pageSize / sizes[pg.class]); n < fewest {
			best, fewest = s.hand, n
		}
	}
	if best < 0 {
		return
	}
	size := sizes[s.arena.pages[best].class]
	for i := 0; i < int(s.arena.pages[best].fresh) && s.arena.pages[best].live > 0; i++ {
		p := piece(best*unitsPerPage + i*size/minPiece)
		if p == 0 {
			continue
		}
		id := s.arena.owner(p)
		if id != 0 && !s.objects.at(id).linked {
			id = s.objects.at(id).parent
		}
		if id != 0 && s.objects.at(id).linked {
			s.evicted.Add(1)
			s.unlink(id)
		}
	}
}

// Stats are what a store holds and did.
type Stats struct {
	Objects int64
	Bytes   int64 // of memory in use, all told
	Evicted uint64
}

// Stats returns what the store holds.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	pages := int64(len(s.arena.pages) - len(s.arena.empty))
	return Stats{Objects: s.count.Load(), Bytes: pages*pageSize + int64(len(s.buckets))*8, Evicted: s.evicted.Load()}
}
