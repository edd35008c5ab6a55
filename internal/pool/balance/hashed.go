package balance

// hashed gives requests of one key to one server, on a ring (D. Karger et al., Consistent Hashing and Random Trees, 1997): when
// a server comes or goes, only its own keys move. No server takes more than a quarter above its share of the requests
// under way, lest one wanted key break it (V. Mirrokni, M. Thorup, M. Zadimoghaddam, Consistent Hashing with Bounded Loads, 2016):
// what is above goes on, and so does what meets a server that is closed or full. It does not go on to the next one on
// the ring, which would have to bear all of it, but to where a second hash of the key lies, then a third (J. Chen, B. Coleman, A.
// Shrivastava, Revisiting Consistent Hashing with Bounded Loads, 2021). So a key has its own row of servers.
type hashed struct {
	members []Member
	ring    ring
	rest    *leastConn // for requests without a key, and where no place of the row will do
}

const (
	// probes is how many servers of its row a key asks. At most four fifths of the servers, by weight, can be above their
	// bound: that none of 32 will do happens once in a thousand picks at a pool which is that uneven.
	probes = 32
	// unbounded is up to how many requests a server is never said to have too many: with only a few under way in the whole
	// pool a share is less than one, and every second request would lose its server's memory for nothing.
	unbounded = 4
	bound     = 1.25
)

func newHashed(members []Member, _ bool) Picker {
	return &hashed{members: members, ring: newRing(members), rest: newLeastConn(members)}
}

func (h *hashed) Pick(q Query) int {
	if !q.Keyed || len(h.ring.points) == 0 {
		return h.rest.Pick(q)
	}
	at := q.Hash
	for range probes {
		k := h.ring.at(uint32(mix(at) >> 32))
		at += golden
		m := &h.members[k]
		if fits(m.Places, &q) && !h.tooMany(m, q.Cursor) {
			return int(k)
		}
	}
	return h.rest.Pick(q)
}

// tooMany says whether a server has more requests under way than its share and a quarter.
func (h *hashed) tooMany(m *Member, c *Cursor) bool {
	active := m.Places.Active()
	if active < unbounded {
		return false
	}
	all, weight := c.tally.read(h.members)
	return float64(active)*float64(weight) >= bound*float64(all+1)*float64(m.weight())
}

// tally counts the requests under way in a pool and the weight of its open servers. With many servers that is a walk too long for
// one pick: then each look goes over the next few of them, and the sum of the last whole round counts.
type tally struct {
	next          uint32
	since         uint32 // looks in this round: each may have meant one request more
	active        int64  // of this round so far
	weight        uint64
	activeBefore  int64 // of the last round
	weightBefore  uint64
	membersBefore uint32
}

// stride is how many servers one look goes over.
const stride = 16

func (t *tally) read(members []Member) (active int64, weight uint64) {
	n := uint32(len(members))
	if n <= stride || t.membersBefore != n { // few, or the first look at this list
		t.next, t.since, t.active, t.weight = 0, 0, 0, 0
		for i := range members {
			t.add(&members[i])
		}
		t.activeBefore, t.weightBefore, t.membersBefore = t.active, t.weight, n
		t.active, t.weight = 0, 0
		return t.activeBefore, t.weightBefore
	}
	for range min(stride, n-t.next) {
		t.add(&members[t.next])
		t.next++
	}
	t.since++
	if t.next >= n {
		t.activeBefore, t.weightBefore = t.active, t.weight
		t.next, t.since, t.active, t.weight = 0, 0, 0, 0
	}
	return t.activeBefore + int64(t.since), t.weightBefore
}

func (t *tally) add(m *Member) {
	w := m.Places.load()
	t.active += w.active()
	if w.free(0, false) {
		t.weight += m.weight()
	}
}
