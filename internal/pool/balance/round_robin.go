package balance

import (
	"cmp"
	"slices"
)

// roundRobin gives each server its turn, in proportion to its weight, spread as evenly as may be.
//
// The usual smooth weighted round robin adds to a number at every server for every request: shared by all loops that is
// a lock, and it costs a walk over all servers. Here the order of a whole cycle is worked out once, and a loop only moves
// its cursor along it. A server that is down or full is stepped over, and the step is used up: the others' shares
// stay in proportion, and its successor does not get its part on top.
type roundRobin struct {
	places []*Places
	order  []uint32 // nil: all weights are equal, the list itself is the order; empty: nobody has any weight
}

func newRoundRobin(members []Member, _ bool) Picker {
	r := &roundRobin{order: interleave(weights(members))}
	for i := range members {
		r.places = append(r.places, members[i].Places)
	}
	return r
}

func (r *roundRobin) Pick(q Query) int {
	if r.order == nil {
		return r.pickEqual(&q)
	}
	n := uint32(len(r.order))
	if n == 0 {
		return -1
	}
	i := q.Cursor.next
	if i >= n {
		i %= n
	}
	for range n {
		k := r.order[i]
		if i++; i == n {
			i = 0
		}
		if fits(r.places[k], &q) {
			q.Cursor.next = i
			return int(k)
		}
	}
	return -1
}

func (r *roundRobin) pickEqual(q *Query) int {
	n := uint32(len(r.places))
	if n == 0 {
		return -1
	}
	i := q.Cursor.next
	if i >= n {
		i %= n
	}
	for range n {
		k := i
		if i++; i == n {
			i = 0
		}
		if fits(r.places[k], q) {
			q.Cursor.next = i
			return int(k)
		}
	}
	return -1
}

// maxCycle bounds the length of a cycle: beyond it, weights are rounded.
const maxCycle = 1 << 14

// interleave returns the order of one cycle in which each index comes as often as its weight says, its turns as far
// apart as may be: the k-th of w turns is due at (k+½)/w of the cycle. nil when all weights are equal.
func interleave(weights []uint64) []uint32 {
	ws := reduce(weights)
	if !slices.ContainsFunc(ws, func(w uint64) bool { return w != 1 }) {
		return nil
	}
	type turn struct {
		due float64
		k   uint32
	}
	turns := []turn{}
	for i, w := range ws {
		for k := range w {
			turns = append(turns, turn{(float64(k) + 0.5) / float64(w), uint32(i)})
		}
	}
	slices.SortStableFunc(turns, func(a, b turn) int { return cmp.Compare(a.due, b.due) })
	order := make([]uint32, len(turns))
	for i, t := range turns {
		order[i] = t.k
	}
	return order
}

// reduce makes weights as small as their proportions allow, and smaller still if a cycle would become too long. Those
// of 0 stay so.
func reduce(weights []uint64) []uint64 {
	ws := slices.Clone(weights)
	var total, div uint64
	for _, w := range ws {
		total += w
		div = gcd(div, w)
	}
	if total == 0 {
		return ws
	}
	for i := range ws {
		ws[i] /= div
	}
	if total /= div; total <= maxCycle {
		return ws
	}
	for i, w := range ws {
		if w > 0 {
			ws[i] = max(1, uint64(float64(w)*maxCycle/float64(total)))
		}
	}
	return ws
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
