package limit

// A queue under overload has three questions to answer, and one list answers none of them well: who is served next, who
// makes room when it is full, and whether waiting is still worth it.
//
//	again      retries, in the order in which they came: they are older than all others
//	High    ─► client a ─► client b ─► …    clients in turn, a request each
//	Normal  ─► client c ─► …
//	Low     ─► …
//
// The clients of a class are hashed into a fixed number of buckets that are served in turn: stochastic fair queueing
// (P. McKenney, "Stochastic Fairness Queuing", INFOCOM 1990). Two clients in one bucket share a turn: one that asks for
// little would starve behind one that asks for much. So the hash names a set of eight buckets, as in a processor's cache and
// in CAKE (T. Høiland-Jørgensen et al., LANMAN 2018), and a client takes one that is empty or its own: two share one only
// where more than eight who wait have the same set, and not for ever, for the hash changes from time to time. When the
// queue is full, the longest bucket of the lowest class makes room, as there. A list for each client was rejected: their
// number is for the clients to choose.

// Class is how important a request is against others of its pool.
type Class int8

// The classes. Whoever says nothing is Normal.
const (
	Low    Class = -1
	Normal Class = 0
	High   Class = 1

	numClasses = 3
)

func (c Class) index() int { return int(High - min(max(c, Low), High)) }

const (
	numBuckets = 128  // of each class
	numWays    = 8    // buckets of a set
	reseedTime = 10e9 // nanoseconds after which clients may be hashed into other buckets
)

// Waiter is one place in a queue, kept in the memory of who waits. Of is whatever the queue's owner wants to find there.
type Waiter[T any] struct {
	Of    T
	Class Class
	Key   uint64 // whose request it is, for a queue that is fair between clients
	Again bool   // it had a server already

	in         *bucket[T] // nil: it is in no queue
	prev, next *Waiter[T]
}

// Queued says whether w waits.
func (w *Waiter[T]) Queued() bool { return w.in != nil }

// Next returns who waits behind w in its own bucket, nil when nobody does.
func (w *Waiter[T]) Next() *Waiter[T] { return w.next }

// bucket is a list, first come first. A bucket with somebody in it stands in the ring of its class.
type bucket[T any] struct {
	of         *class[T] // nil: the retries
	head, tail *Waiter[T]
	n          int
	key        uint64 // who was the first to wait here
	prev, next *bucket[T]
}

// class is the buckets of one class. Those with somebody in them form a ring.
type class[T any] struct {
	n    int
	turn *bucket[T] // whose turn it is
	one  bucket[T]  // of a queue that does not tell clients apart
	many []bucket[T]
}

// Queue is the order of those who wait. It is not safe for concurrent use, and bounds nothing by itself. The zero value is empty.
type Queue[T any] struct {
	n       int
	again   bucket[T]
	classes [numClasses]class[T]
	seed    uint64
	until   int64 // when the seed ends
}

// Len returns how many wait.
func (q *Queue[T]) Len() int { return q.n }

// Fresh returns how many of them had no server yet: anybody's place would do for each.
func (q *Queue[T]) Fresh() int { return q.n - q.again.n }

// Put lets w wait. fair keeps clients apart. now is any clock's nanoseconds.
func (q *Queue[T]) Put(w *Waiter[T], fair bool, now int64) {
	if w.in != nil {
		panic("limit: a waiter is put into a queue twice")
	}
	b := q.bucketOf(w, fair, now)
	w.in, w.prev, w.next = b, b.tail, nil
	if b.tail == nil {
		b.head = w
	} else {
		b.tail.next = w
	}
	b.tail = w
	if b.n == 0 {
		b.key = w.Key
	}
	b.n++
	q.n++
	if c := b.of; c != nil {
		c.n++
		if b.n == 1 {
			c.join(b)
		}
	}
}

// bucketOf returns where w waits, or would.
func (q *Queue[T]) bucketOf(w *Waiter[T], fair bool, now int64) *bucket[T] {
	if w.Again {
		return &q.again
	}
	c := &q.classes[w.Class.index()]
	b := &c.one
	if fair {
		if c.many == nil {
			c.many = make([]bucket[T], numBuckets)
		}
		if now >= q.until {
			q.seed, q.until = mix(q.seed^uint64(now)), now+reseedTime
		}
		b = c.way(w.Key, mix(w.Key^q.seed))
	}
	b.of = c
	return b
}

// way returns the client's bucket of the set that its hash names: its own, else an empty one, else one that it shares.
func (c *class[T]) way(key, hash uint64) *bucket[T] {
	set := c.many[hash%(numBuckets/numWays)*numWays:][:numWays]
	first := hash >> 32
	var empty *bucket[T]
	for i := range uint64(numWays) {
		switch b := &set[(first+i)%numWays]; {
		case b.n > 0 && b.key == key:
			return b
		case b.n == 0 && empty == nil:
			empty = b
		}
	}
	if empty != nil {
		return empty
	}
	return &set[first%numWays]
}

// mix spreads a word over all its bits (the finaliser of SplitMix64).
func mix(x uint64) uint64 {
	x += 0x9E3779B97F4A7C15
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

// Retries returns the first of those who had a server already, nil when there is none; see Waiter.Next.
func (q *Queue[T]) Retries() *Waiter[T] { return q.again.head }

// Next returns who comes next of all others, nil when nobody waits. newest turns the order of each client's requests round.
func (q *Queue[T]) Next(newest bool) *Waiter[T] {
	for i := range q.classes {
		if b := q.classes[i].turn; b != nil {
			if newest {
				return b.tail
			}
			return b.head
		}
	}
	return nil
}

// Serve takes w out because it is served: its client's turn is over.
func (q *Queue[T]) Serve(w *Waiter[T]) {
	b := w.in
	if b.of != nil && b.of.turn == b {
		b.of.turn = b.next
	}
	q.Drop(w)
}

// Drop takes w out for any other reason.
func (q *Queue[T]) Drop(w *Waiter[T]) {
	b := w.in
	if b == nil {
		panic("limit: a waiter is taken out of a queue in which it is not")
	}
	if w.prev == nil {
		b.head = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		b.tail = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.in, w.prev, w.next = nil, nil, nil
	b.n--
	q.n--
	if c := b.of; c != nil {
		c.n--
		if b.n == 0 {
			c.part(b)
		}
	}
}

// Any returns somebody who waits, nil when nobody does.
func (q *Queue[T]) Any() *Waiter[T] {
	if w := q.Retries(); w != nil {
		return w
	}
	return q.Next(false)
}

// Victim returns who has to leave a full queue so that w can come in, nil when nobody has to: then there is no room for
// w. Lower classes make room for higher ones, and within a class the client with the most requests for others; what
// it loses is its newest request, or with oldest its oldest. With oldest somebody of w's own class makes room in any case.
func (q *Queue[T]) Victim(w *Waiter[T], fair, oldest bool, now int64) *Waiter[T] {
	own := w.Class.index()
	for i := numClasses - 1; i > own; i-- {
		if b := q.classes[i].longest(); b != nil {
			return b.end(oldest)
		}
	}
	b := q.classes[own].longest()
	if b == nil {
		return nil
	}
	if !w.Again {
		// A difference of one would only change their roles, and change them back with the next request.
		if mine := q.bucketOf(w, fair, now); b != mine && b.n > mine.n+1 {
			return b.end(oldest)
		}
	}
	if oldest {
		return b.head
	}
	return nil
}

// end returns the request of the bucket that is given up first.
func (b *bucket[T]) end(oldest bool) *Waiter[T] {
	if oldest {
		return b.head
	}
	return b.tail
}

// longest returns the longest bucket, nil when all are empty.
func (c *class[T]) longest() *bucket[T] {
	if c.turn == nil {
		return nil
	}
	most := c.turn
	for b := c.turn.next; b != c.turn; b = b.next {
		if b.n > most.n {
			most = b
		}
	}
	return most
}

// join puts a bucket into the ring, its turn the last.
func (c *class[T]) join(b *bucket[T]) {
	t := c.turn
	if t == nil {
		b.prev, b.next, c.turn = b, b, b
		return
	}
	b.prev, b.next = t.prev, t
	t.prev.next, t.prev = b, b
}

// part takes an empty bucket out of the ring.
func (c *class[T]) part(b *bucket[T]) {
	if b.next == b {
		c.turn = nil
	} else {
		b.prev.next, b.next.prev = b.next, b.prev
		if c.turn == b {
			c.turn = b.next
		}
	}
	b.prev, b.next = nil, nil
}
