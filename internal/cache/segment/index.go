package segment

import (
	"math/bits"
	"sync"

	"github.com/weirhq/weir/internal/cache/store"
)

// entry says where the record of a key is. Half of the key must do: keys are hashes under a secret, and a record is
// believed only with the whole key in it.
type entry struct {
	hash    uint64
	segment uint32
	off     uint32 // in units of align
	size    uint32 // of the record, in units of align; 0: the place is free
	state   uint32
}

// What state may say.
const (
	wanted uint32 = 1 << iota // asked for since it was written
	dead                      // not to be used any more; but it is on disk, and a restart would find it
)

const (
	entrySize  = 24
	shardBits  = 8
	shardCount = 1 << shardBits
	leastShard = 8
)

// index is a table of entries for each shard: open addressing with linear probing, without pointers.
type index struct {
	shards [shardCount]shard
}

type shard struct {
	mu    sync.Mutex
	slots []entry
	used  int
}

func hashOf(k *store.Key) uint64 { return le.Uint64(k[:8]) }

func (x *index) shard(hash uint64) *shard { return &x.shards[hash>>(64-shardBits)] }

// home is where the search for a hash begins.
func (s *shard) home(hash uint64) int {
	hi, _ := bits.Mul64(hash<<shardBits, uint64(len(s.slots)))
	return int(hi)
}

// place is where the entry of a hash is, or the free place where it would be; -1 in an empty table.
func (s *shard) place(hash uint64) int {
	if len(s.slots) == 0 {
		return -1
	}
	for i := s.home(hash); ; {
		if e := &s.slots[i]; e.size == 0 || e.hash == hash {
			return i
		}
		if i++; i == len(s.slots) {
			i = 0
		}
	}
}

// get returns the entry of a hash, and notes in it what is given (0: nothing).
func (x *index) get(hash uint64, note uint32) (entry, bool) {
	s := x.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.place(hash)
	if i < 0 || s.slots[i].size == 0 || s.slots[i].state&dead != 0 {
		return entry{}, false
	}
	s.slots[i].state |= note
	return s.slots[i], true
}

// has reports whether there is an entry of a hash, dead or not.
func (x *index) has(hash uint64) bool {
	s := x.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.place(hash)
	return i >= 0 && s.slots[i].size != 0
}

// put enters e, in place of what stands under its hash.
func (x *index) put(e entry) {
	s := x.shard(e.hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.place(e.hash)
	if i < 0 || s.slots[i].size == 0 {
		if (s.used+1)*8 > len(s.slots)*7 {
			s.grow()
			i = s.place(e.hash)
		}
		s.used++
	}
	s.slots[i] = e
}

// grow makes a shard a quarter larger.
func (s *shard) grow() {
	old := s.slots
	s.slots = make([]entry, len(old)+max(len(old)/4, leastShard))
	for i := range old {
		if old[i].size != 0 {
			s.slots[s.place(old[i].hash)] = old[i]
		}
	}
}

// remove takes out what stands under a hash, if it is still the record at a place; with no segment whatever it is.
func (x *index) remove(hash uint64, segment, off uint32) bool {
	s := x.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.place(hash)
	if i < 0 || s.slots[i].size == 0 || segment != 0 && (s.slots[i].segment != segment || s.slots[i].off != off) {
		return false
	}
	s.clear(i)
	return true
}

// clear frees a place, and moves up those behind it that have passed it on their way from home.
func (s *shard) clear(i int) {
	n := len(s.slots)
	s.used--
	for j := i; ; {
		if j++; j == n {
			j = 0
		}
		if s.slots[j].size == 0 {
			s.slots[i] = entry{}
			return
		}
		if (j-s.home(s.slots[j].hash)+n)%n >= (j-i+n)%n {
			s.slots[i] = s.slots[j]
			i = j
		}
	}
}

// held runs f while the entry of a hash cannot change, if it is still the record at a place.
func (x *index) held(hash uint64, segment, off uint32, f func()) bool {
	s := x.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.place(hash)
	if i < 0 || s.slots[i].size == 0 || s.slots[i].segment != segment || s.slots[i].off != off || s.slots[i].state&dead != 0 {
		return false
	}
	f()
	return true
}

// dropSegment takes out all entries of a segment, and returns their hashes.
func (x *index) dropSegment(segment uint32) (hashes []uint64) {
	for k := range x.shards {
		s := &x.shards[k]
		s.mu.Lock()
		for i := 0; i < len(s.slots); {
			if s.slots[i].size != 0 && s.slots[i].segment == segment {
				hashes = append(hashes, s.slots[i].hash)
				s.clear(i) // another may have come to i
			} else {
				i++
			}
		}
		s.mu.Unlock()
	}
	return hashes
}

// len and memory tell how many entries there are and how many bytes the tables take.
func (x *index) len() (n int64, memory int64) {
	for k := range x.shards {
		s := &x.shards[k]
		s.mu.Lock()
		n += int64(s.used)
		memory += int64(len(s.slots)) * entrySize
		s.mu.Unlock()
	}
	return n, memory
}

// move changes where the record of a key is, if it is still at a place.
func (x *index) move(from, to entry) bool {
	s := x.shard(to.hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.place(to.hash); i >= 0 && s.slots[i].size != 0 && s.slots[i].segment == from.segment && s.slots[i].off == from.off {
		to.state = s.slots[i].state & dead
		s.slots[i] = to
		return true
	}
	return false
}
