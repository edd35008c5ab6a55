package store

import (
	"sync/atomic"
	"unsafe"
)

// Key names an object. Keys are hashes that nobody outside can steer (see cache.Hasher), so a key is its own hash.
type Key [16]byte

// object is what the store knows of a head, a body, or both. Objects stand outside of Go's heap and hold no pointers;
// 0 is no object. What is not atomic belongs to Store.mu, but for link, which belongs to the shard, and for what never
// changes while the object has readers.
type object struct {
	key     Key
	checked atomic.Uint64 // the caller's; see Ref.Checked
	size    atomic.Int64  // of the body, as far as it has been written
	refs    atomic.Int32  // readers, fills, other objects, and one for the index
	freq    atomic.Uint32 // hits, up to maxFreq; since the object was last moved
	first   piece         // of the chain: the head and then the body, or one of them
	last    piece
	head    uint32 // length of the head
	body    uint32 // the object that has the body; 0: this one
	link    uint32 // next in the bucket
	prev    uint32 // neighbours in the queue
	next    uint32
	cost    uint32 // bytes of its pieces and its body's, in units of minPiece
	parent  uint32 // of a body: the newest object whose body it is
	in      queueName
	linked  bool
}

const objectSize = unsafe.Sizeof(object{})

// objectsPerPage is how many objects a page of the arena holds.
const objectsPerPage = pageSize / int(objectSize)

// objects is a growing array in pages of the arena. Only Store.mu's holder makes it grow; who has a number may look it up
// at any time.
type objects struct {
	pages []atomic.Pointer[[objectsPerPage]object]
	used  int    // numbers given out so far
	free  uint32 // free ones, chained by next
}

func (o *objects) at(id uint32) *object {
	return &o.pages[int(id)/objectsPerPage].Load()[int(id)%objectsPerPage]
}

// take returns a fresh object, with Store.mu held; 0 when there is no room for one.
func (s *Store) takeObject() (uint32, error) {
	o := &s.objects
	if id := o.free; id != 0 {
		o.free = o.at(id).next
		return id, nil
	}
	if o.used%objectsPerPage == 0 {
		if o.used/objectsPerPage == len(o.pages) || o.used > maxObjects-objectsPerPage {
			return 0, errFull
		}
		at, err := s.page()
		if err != nil {
			return 0, err
		}
		block := (*[objectsPerPage]object)(unsafe.Pointer(unsafe.SliceData(s.arena.bytes(piece(int(at)*unitsPerPage), pageSize))))
		clear(block[:])
		o.pages[o.used/objectsPerPage].Store(block)
		if o.used == 0 {
			o.used = 1 // 0 is none
		}
	}
	o.used++
	return uint32(o.used - 1), nil
}

// giveObject takes a number back.
func (s *Store) giveObject(id uint32) {
	ob := s.objects.at(id)
	ob.next = s.objects.free
	s.objects.free = id
}
