package balance

import "slices"

// leastConn picks the server with the fewest requests under way for its weight, this one counted: the least of
// (active+1)/weight. Among equals the one that comes first after the last one picked wins, so that equals are taken in turn.
//
// Of up to exactly servers all are looked at. Of more that would cost a microsecond and more a pick, and so a sample of them
// is looked at, drawn by weight, together with a few that were as good as the one picked the last time. Those make the difference
// (M. Mitzenmacher, B. Prabhakar, D. Shah, Load Balancing with Memory, 2002): idle servers that were found while they
// were many are at hand when they are few. TestSampledLeastConn says how near it comes.
type leastConn struct {
	members []Member
	sampler alias
	most    uint64 // the highest effective weight when it was made
}

const (
	exactly = 64
	sample  = 32
	spare   = 8 // servers remembered
	enough  = 4 // idle servers in hand: no need to look for more
)

func newLeastConn(members []Member) *leastConn {
	l := &leastConn{members: members}
	ws := weights(members)
	for _, w := range ws {
		l.most = max(l.most, w)
	}
	if len(members) > exactly {
		l.sampler = newAlias(ws)
	}
	return l
}

// choice is the best of what was looked at.
type choice struct {
	i            int
	load, weight uint64 // this request counted
}

// betterThan compares by load for weight: a/b < c/d without a division. A load is at most 2^27, a weight below 2^37.
func (c *choice) betterThan(d *choice) bool {
	return d.i < 0 || c.load*d.weight < d.load*c.weight
}

// look makes k's choice; false: it may not be picked.
func (l *leastConn) look(k uint32, q *Query, c *choice) bool {
	m := &l.members[k]
	w := m.Places.load()
	if !w.free(q.Limit, q.Any) || len(q.Skip) > 0 && !fits(m.Places, q) {
		return false
	}
	*c = choice{i: int(k), load: min(uint64(w.active())+1, 1<<27), weight: m.weight()}
	return c.weight > 0
}

func (l *leastConn) Pick(q Query) int {
	if l.sampler.n > 0 {
		if i := l.pickSampled(&q); i >= 0 {
			return i
		}
	}
	return l.pickExact(&q)
}

func (l *leastConn) pickExact(q *Query) int {
	n := uint32(len(l.members))
	if n == 0 {
		return -1
	}
	i := q.Cursor.next
	if i >= n {
		i %= n
	}
	best := choice{i: -1}
	for range n {
		k := i
		if i++; i == n {
			i = 0
		}
		var c choice
		if !l.look(k, q, &c) || !c.betterThan(&best) {
			continue
		}
		best = c
		if c.load == 1 && c.weight >= l.most {
			break // none can be better
		}
	}
	if best.i >= 0 {
		q.Cursor.next = uint32(best.i) + 1
	}
	return best.i
}

// pickSampled returns -1 when the sample has nobody to pick: then all have to be looked at.
func (l *leastConn) pickSampled(q *Query) int {
	cur := q.Cursor
	best, c := choice{i: -1}, choice{}
	var equals [spare + 1]uint32 // those that are as good as the best, which is the first of them
	n := 0
	next := -1 // the one that was the best before
	kept, nkept := cur.kept, int(min(cur.nkept, spare))
	for i := range nkept + sample {
		var k uint32
		if i < nkept {
			if k = kept[i]; k >= uint32(len(l.members)) {
				continue
			}
		} else {
			if n >= enough && best.load == 1 && best.weight >= l.most {
				break
			}
			k = l.sampler.draw(cur.draw())
		}
		if !l.look(k, q, &c) || slices.Contains(equals[:n], k) {
			continue
		}
		if c.betterThan(&best) {
			next = best.i
			best, equals[0], n = c, k, 1
		} else if n < len(equals) && !best.betterThan(&c) {
			equals[n] = k
			n++
		}
	}
	if best.i < 0 {
		return -1
	}
	if n == 1 && next >= 0 {
		equals[n] = uint32(next)
		n++
	}
	cur.nkept = uint32(copy(cur.kept[:], equals[1:n]))
	return best.i
}
