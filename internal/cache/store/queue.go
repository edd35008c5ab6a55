package store

// The order of eviction is S3-FIFO (Yang et al., SOSP 2023): new objects stand in a short queue, from which they are evicted
// unless they were hit; those that were go to the main queue, where a hit buys another round. Who comes back soon after it was
// evicted from the short queue is remembered (ghosts) and goes straight to the main one. A hit moves nothing, so it needs no
// lock.

type queueName uint8

const (
	noQueue queueName = iota
	shortQueue
	mainQueue
)

const (
	maxFreq    = 3
	shortShare = 10 // per cent of the bytes
)

// queue is a list of objects, oldest first.
type queue struct {
	first, last uint32
	cost        int64 // in units of minPiece
}

func (s *Store) push(name queueName, id uint32) {
	q, ob := &s.queues[name], s.objects.at(id)
	ob.in, ob.prev, ob.next = name, q.last, 0
	if q.last != 0 {
		s.objects.at(q.last).next = id
	} else {
		q.first = id
	}
	q.last = id
	q.cost += int64(ob.cost)
}

func (s *Store) remove(id uint32) {
	ob := s.objects.at(id)
	if ob.in == noQueue {
		return
	}
	q := &s.queues[ob.in]
	if ob.prev != 0 {
		s.objects.at(ob.prev).next = ob.next
	} else {
		q.first = ob.next
	}
	if ob.next != 0 {
		s.objects.at(ob.next).prev = ob.prev
	} else {
		q.last = ob.prev
	}
	q.cost -= int64(ob.cost)
	ob.in = noQueue
}

// ghost remembers keys that were evicted unhit: a table of fingerprints in which the newer overwrites.
type ghost []uint32

func (g ghost) slot(k Key) (*uint32, uint32) {
	n := hashOf(k)
	return &g[n&uint64(len(g)-1)], uint32(n>>32) | 1
}

func (g ghost) add(k Key) {
	at, print := g.slot(k)
	*at = print
}

// take reports whether a key is remembered, and forgets it.
func (g ghost) take(k Key) bool {
	at, print := g.slot(k)
	if *at != print {
		return false
	}
	*at = 0
	return true
}

// evictOne makes one object go, or moves some to give them another round; false when there is nothing to evict.
func (s *Store) evictOne() bool {
	for range maxMoves {
		q := &s.queues[shortQueue]
		short := q.first != 0 && (q.cost*100 >= shortShare*(q.cost+s.queues[mainQueue].cost) || s.queues[mainQueue].first == 0)
		if !short {
			q = &s.queues[mainQueue]
		}
		id := q.first
		if id == 0 {
			return false
		}
		ob := s.objects.at(id)
		freq := ob.freq.Load()
		if short && freq > 1 || !short && freq > 0 {
			s.remove(id)
			if short {
				ob.freq.Store(0)
			} else {
				ob.freq.Store(freq - 1)
			}
			s.push(mainQueue, id)
			continue
		}
		if short {
			s.ghost.add(ob.key)
		}
		s.evicted.Add(1)
		s.unlink(id)
		return true
	}
	return true // it goes on next time
}

// maxMoves bounds the work of one eviction.
const maxMoves = 64
