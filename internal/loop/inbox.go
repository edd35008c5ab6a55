package loop

import "sync/atomic"

// note is something for a loop to do that was left from outside. A task holds its own notes, so waking it allocates nothing.
type note struct {
	next *note
	task *Task  // to be woken, or told that its Do is done
	done bool   // of Do
	f    func() // of Post
}

// inbox is a loop's queue for what comes from outside: many push, the loop takes all at once.
type inbox struct{ head atomic.Pointer[note] }

// push leaves a note and reports whether it is the first since the loop took the others: then it is the pusher who has to
// see to it that the loop is awake.
func (q *inbox) push(n *note) (first bool) {
	for {
		h := q.head.Load()
		n.next = h
		if q.head.CompareAndSwap(h, n) {
			return h == nil
		}
	}
}

func (q *inbox) empty() bool { return q.head.Load() == nil }

// take takes all notes, oldest first.
func (q *inbox) take() *note {
	if q.head.Load() == nil {
		return nil
	}
	var first *note
	for n := q.head.Swap(nil); n != nil; {
		next := n.next
		n.next = first
		first, n = n, next
	}
	return first
}
