package balance

// randomTwo draws two servers by weight and takes the one with fewer requests under way for its weight: the power of two
// choices (M. Mitzenmacher, 2001). It costs the same whatever the number of servers, and loops or nodes that see the same
// idle server do not all run there at once. Between equals the one that was drawn first wins, or, on request, the one with the
// lower latency.
type randomTwo struct {
	members []Member
	sampler alias
	latency bool
	rest    *leastConn
}

func newRandomTwo(members []Member, latency bool) Picker {
	return &randomTwo{members: members, sampler: newAlias(weights(members)), latency: latency, rest: newLeastConn(members)}
}

// draws is how often it draws for two that may be picked before it looks at all of them.
const draws = 8

func (r *randomTwo) Pick(q Query) int {
	if len(r.members) < 2 {
		return r.rest.Pick(q)
	}
	first := -1
	for range draws {
		k := int(r.sampler.draw(q.Cursor.draw()))
		if k == first {
			k = (k + 1) % len(r.members)
		}
		if m := &r.members[k]; m.weight() == 0 || !fits(m.Places, &q) {
			continue
		}
		if first < 0 {
			first = k
			continue
		}
		if r.better(k, first) {
			return k
		}
		return first
	}
	if first >= 0 {
		return first
	}
	return r.rest.Pick(q)
}

// better says whether b is to be taken although a was drawn first.
func (r *randomTwo) better(b, a int) bool {
	x, y := &r.members[b], &r.members[a]
	// Without this request: with it, of two idle servers the heavier would always win, beyond its share.
	l, m := uint64(x.Places.Active())*y.weight(), uint64(y.Places.Active())*x.weight()
	if l != m || !r.latency {
		return l < m
	}
	i, j := x.Places.Latency(), y.Places.Latency()
	return i < j && i > 0 || i == 0 && j > 0 // one of which nothing is known gets its first request
}
