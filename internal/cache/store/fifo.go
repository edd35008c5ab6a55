package store

// fifo is S3-FIFO: a small queue on probation, a main queue, and a memory of what left the small one unread. What is
// read once while on probation stays; what comes back soon after it left goes straight into the main queue.
type fifo struct {
	s     *Store
	nodes []fifoNode // by slot
	small fifoQueue
	main  fifoQueue
	ghost []uint64 // by hash: half a hash, and when it left
	clock uint32   // insertions into ghost
}

type fifoNode struct {
	next, prev uint32
	size       uint32
	main       bool
}

// fifoQueue is a list: in at the head, out at the tail.
type fifoQueue struct {
	head, tail uint32
	weight     int64
}

func newFIFO(s *Store) *fifo { return &fifo{s: s, ghost: make([]uint64, 1<<16)} }

func (p *fifo) Add(slot uint32, hash uint64, size uint32) {
	for int(slot) >= len(p.nodes) {
		p.nodes = append(p.nodes, fifoNode{})
	}
	g := p.ghost[hash%uint64(len(p.ghost))]
	known := g != 0 && uint32(g>>32) == uint32(hash>>32) && p.clock-uint32(g) < uint32(len(p.ghost))
	p.nodes[slot] = fifoNode{size: size, main: known}
	p.push(slot)
}

func (p *fifo) queue(slot uint32) *fifoQueue {
	if p.nodes[slot].main {
		return &p.main
	}
	return &p.small
}

func (p *fifo) push(slot uint32) {
	q, n := p.queue(slot), &p.nodes[slot]
	n.next, n.prev = q.head, 0
	if q.head != 0 {
		p.nodes[q.head].prev = slot
	} else {
		q.tail = slot
	}
	q.head = slot
	q.weight += int64(n.size)
}

func (p *fifo) Remove(slot uint32) {
	q, n := p.queue(slot), &p.nodes[slot]
	if n.prev != 0 {
		p.nodes[n.prev].next = n.next
	} else {
		q.head = n.next
	}
	if n.next != 0 {
		p.nodes[n.next].prev = n.prev
	} else {
		q.tail = n.prev
	}
	q.weight -= int64(n.size)
}

// second is how many objects get another round before one has to go although it was read.
const second = 64

func (p *fifo) Victim() (uint32, bool) {
	for round := 0; ; round++ {
		q := &p.main
		if p.small.tail != 0 && (p.small.weight*9 >= p.main.weight || p.main.tail == 0) {
			q = &p.small
		}
		slot := q.tail
		if slot == 0 {
			return 0, false
		}
		p.Remove(slot)
		n, t := &p.nodes[slot], p.s.slots.at(slot)
		uses := t.uses()
		switch {
		case uses == 0 && !n.main:
			p.clock++
			hash := t.key.hash()
			p.ghost[hash%uint64(len(p.ghost))] = hash&^(1<<32-1) | uint64(p.clock)
			return slot, true
		case uses == 0 || round == second:
			return slot, true
		case n.main:
			t.setUses(uses - 1)
		default:
			n.main = true
			t.setUses(0)
		}
		p.push(slot)
	}
}
