package main

// A cache is a policy under test. It is asked for every request of a trace in turn.
type cache interface {
	// access reports whether the object was there, and if not takes it in, or does not.
	access(object uint32, charge uint64) bool
}

const nobody = ^uint32(0)

// lists are doubly linked lists over the objects of a trace, each object in at most one.
type lists struct{ next, prev []uint32 }

func newLists(objects int) lists { return lists{make([]uint32, objects), make([]uint32, objects)} }

// list is one of them, youngest first.
type list struct {
	l           *lists
	front, back uint32
	used        uint64 // bytes charged
	count       int
}

func newList(l *lists) list { return list{l: l, front: nobody, back: nobody} }

func (q *list) push(object uint32, charge uint64) {
	q.l.next[object], q.l.prev[object] = q.front, nobody
	if q.front != nobody {
		q.l.prev[q.front] = object
	} else {
		q.back = object
	}
	q.front = object
	q.used += charge
	q.count++
}

func (q *list) remove(object uint32, charge uint64) {
	next, prev := q.l.next[object], q.l.prev[object]
	if next != nobody {
		q.l.prev[next] = prev
	} else {
		q.back = prev
	}
	if prev != nobody {
		q.l.next[prev] = next
	} else {
		q.front = next
	}
	q.used -= charge
	q.count--
}

// fifo and lru.
type recency struct {
	t    *trace
	l    lists
	all  list
	in   []bool
	move bool
}

func newRecency(t *trace, move bool) *recency {
	c := &recency{t: t, l: newLists(len(t.sizes)), in: make([]bool, len(t.sizes)), move: move}
	c.all = newList(&c.l)
	return c
}

func (c *recency) access(o uint32, charge uint64) bool {
	if c.in[o] {
		if c.move {
			c.all.remove(o, charge)
			c.all.push(o, charge)
		}
		return true
	}
	if charge > c.t.capacity {
		return false
	}
	for c.all.used+charge > c.t.capacity {
		v := c.all.back
		c.all.remove(v, c.t.charge(v))
		c.in[v] = false
	}
	c.all.push(o, charge)
	c.in[o] = true
	return false
}

// sieve is SIEVE (Zhang, Yang, Yue, Vigfusson, Rashmi: NSDI 2024): a FIFO queue, and a hand that goes from the oldest
// to the youngest, takes the mark off those that were hit and evicts the first that was not.
type sieve struct {
	t    *trace
	l    lists
	all  list
	in   []bool
	mark []bool
	hand uint32
}

func newSieve(t *trace) *sieve {
	n := len(t.sizes)
	c := &sieve{t: t, l: newLists(n), in: make([]bool, n), mark: make([]bool, n), hand: nobody}
	c.all = newList(&c.l)
	return c
}

func (c *sieve) access(o uint32, charge uint64) bool {
	if c.in[o] {
		c.mark[o] = true
		return true
	}
	if charge > c.t.capacity {
		return false
	}
	for c.all.used+charge > c.t.capacity {
		if c.hand == nobody {
			c.hand = c.all.back
		}
		for c.mark[c.hand] {
			c.mark[c.hand] = false
			if c.hand = c.l.prev[c.hand]; c.hand == nobody {
				c.hand = c.all.back
			}
		}
		v := c.hand
		c.hand = c.l.prev[v]
		c.all.remove(v, c.t.charge(v))
		c.in[v] = false
	}
	c.all.push(o, charge)
	c.in[o] = true
	c.mark[o] = false
	return false
}
