// Package balance says which server of a pool is next. It reads how many places are taken at each server and
// answers with an index: it queues nothing, connects nothing and knows no address. A method is a Picker over an
// immutable list of servers; whatever one loop remembers between two picks is in that loop's Cursor, so that loops
// share nothing but the servers' Places.
package balance

import "fmt"

// Picker is one method over one list of servers. It is immutable and may be used by all loops at the same time, each
// with a cursor of its own.
type Picker interface {
	// Pick returns the index of the server that should be tried next, -1 when none is open with a place free.
	// It takes no place: whoever takes it may come too late, and then picks again.
	Pick(q Query) int
}

// Query is what one pick depends on besides the servers.
type Query struct {
	Cursor *Cursor
	Limit  int64     // places per server, 0: no limit
	Skip   []*Places // servers not wanted now; a few at the most
	Any    bool      // servers that are down count too
	Hash   uint64    // of the request's key, for the methods with a key: see Hash
	Keyed  bool      // the request has a key; without one they pick as least_conn does
}

// Member is a server in the list of a Picker.
type Member struct {
	Places *Places
	Weight int    // as configured, 0 to 65536; 0: no request is balanced to it. Its share of that is in Places
	Key    uint64 // what the server is, whatever its place in the list: a hash of its name, for the methods with a key
}

// Cursor is what one loop remembers between picks. It belongs to that loop.
type Cursor struct {
	next   uint32
	nkept  uint32
	kept   [spare]uint32 // least_conn: servers that were as good as the one picked the last time
	random uint64
	tally  tally
	_      [32]byte // all told, two cache lines for each loop's own
}

// NewCursors returns n cursors that begin at different places, so that loops do not march in step over the same servers.
func NewCursors(n int) []Cursor {
	cs := make([]Cursor, n)
	for i := range cs {
		cs[i].next = uint32(i) * 0x9E3779B1 // the golden ratio: any first few of them are far apart in any modulus
		cs[i].random = mix(uint64(i) + 1)
	}
	return cs
}

// draw returns 64 random bits (splitmix64). Who picks needs numbers that spread, not such that nobody can foretell.
func (c *Cursor) draw() uint64 {
	c.random += golden
	return mix(c.random)
}

// methods are the methods by their names in the configuration.
var methods = map[string]func(members []Member, latency bool) Picker{
	"":            newRoundRobin,
	"round_robin": newRoundRobin,
	"least_conn":  func(m []Member, _ bool) Picker { return newLeastConn(m) },
	"random_two":  newRandomTwo,
	"source_hash": newHashed,
	"uri_hash":    newHashed,
	"header_hash": newHashed,
	"cookie_hash": newHashed,
}

// New prepares a method by its name in the configuration. The effective weights that count are those of the moment:
// round_robin and the methods with a key have to be made anew when they change (Stale says when), least_conn and random_two see
// them at each pick and only sample by those of the moment. latency lets random_two decide by latency between servers
// with equally many requests. The slice is kept and must not change.
func New(method string, latency bool, members []Member) (Picker, error) {
	build := methods[method]
	if build == nil {
		return nil, fmt.Errorf("unknown balance method %q", method)
	}
	return build(members, latency), nil
}

// Stale says whether an effective weight has moved so far from one for which a Picker was made that it should be made
// anew: by more than a twentieth, or to or from nothing. Both are shares in thousandths.
func Stale(made, now int) bool {
	if (made == 0) != (now == 0) {
		return true
	}
	d := now - made
	return max(d, -d)*20 > made
}

// configured is a weight as the methods use it.
func (m *Member) configured() uint64 { return uint64(min(max(m.Weight, 0), 1<<16)) }

// weight is the effective weight in thousandths.
func (m *Member) weight() uint64 { return m.Places.weigh(m.configured()) }

// weights returns the effective weights of the moment in thousandths.
func weights(members []Member) []uint64 {
	ws := make([]uint64, len(members))
	for i := range members {
		ws[i] = members[i].weight()
	}
	return ws
}

// fits says whether a server may be picked.
func fits(p *Places, q *Query) bool {
	if !p.load().free(q.Limit, q.Any) {
		return false
	}
	for _, s := range q.Skip {
		if s == p {
			return false
		}
	}
	return true
}
