// Package balance says which server of a pool is next. It reads how many places are taken at each server and
// answers with an index: it queues nothing, connects nothing and knows no address. A method is a Picker over an
// immutable list of servers; whatever one loop remembers between two picks is in that loop's Cursor, so that loops
// share nothing but the servers' Places.
package balance

import "fmt"

// Picker is one method over one list of servers. It is immutable and may be used by all loops at the same time, each
// with a cursor of its own. Methods with a key (hashes) find it in the Query when they come.
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
}

// Cursor is what one loop remembers between picks. It belongs to that loop.
type Cursor struct {
	next uint32
	_    [124]byte // a cache line and its neighbour for each loop's own
}

// NewCursors returns n cursors that begin at different places, so that loops do not march in step over the same servers.
func NewCursors(n int) []Cursor {
	cs := make([]Cursor, n)
	for i := range cs {
		cs[i].next = uint32(i) * 0x9E3779B1 // the golden ratio: any first few of them are far apart in any modulus
	}
	return cs
}

// New prepares a method by its name in the configuration: "round_robin" or "least_conn". weights[i] belongs to
// places[i]; less than 1 counts as 1. Both slices are kept and must not change.
func New(method string, places []*Places, weights []int) (Picker, error) {
	if len(places) != len(weights) {
		return nil, fmt.Errorf("balancing: %d weights for %d servers", len(weights), len(places))
	}
	switch method {
	case "", "round_robin":
		return &roundRobin{places: places, order: interleave(weights)}, nil
	case "least_conn":
		return newLeastConn(places, weights), nil
	}
	return nil, fmt.Errorf("unknown balance method %q; write round_robin or least_conn", method)
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
