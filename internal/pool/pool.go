// Package pool holds the servers among which requests are balanced: how many requests are under way at each, which are
// open, the queue of requests that wait for a place, the connections that are kept, and the addresses behind names. What is next is
// decided by package balance. The package sends no request and retries none: it knows no HTTP.
//
// A request's life here is Pick (a place at a server), Connect (a connection to it, a kept one or a new one), Keep (the
// connection rests for the next request) and Done (the place is given back, to the first in the queue if there is one).
//
// Configurations come and go as Sets; what lasts is the core behind a pool's name: its servers with their connections, counts and
// state, and its queue. A Set is built beside the old one, and takes over the cores when the old one retires.
package pool

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/pool/balance"
	"github.com/weirhq/weir/internal/pool/limit"
)

// Errors of Pick, besides loop.ErrHangup (the client went away while its request was queued) and loop.ErrClosed.
var (
	ErrNoServer     = errors.New("no server is ready")
	ErrQueueFull    = errors.New("queue is full")
	ErrQueueTimeout = errors.New("no place at a server within the queue's time limit")
	ErrBroken       = errors.New("most requests failed of late, and nobody is let through for a while")
)

// Pool is one pool as one configuration sees it.
type Pool struct {
	cfg    *config.Pool
	c      *core
	backup *Pool // nil: it has none
	byKey  bool
}

// Config returns the pool's configuration: that of the Set the pool was taken from, whatever came later.
func (p *Pool) Config() *config.Pool { return p.cfg }

// ByKey says that the pool balances by a key that a request may have (Turn.Key).
func (p *Pool) ByKey() bool { return p.byKey }

// StandIn returns the pool to use: p, or while no server of it is open, the first of its backups that has one.
func (p *Pool) StandIn() *Pool {
	if p.backup == nil || p.c.view.Load().anyOpen() {
		return p
	}
	for b, n := p.backup, 0; b != nil && n < maxBackups; b, n = b.backup, n+1 {
		if b.c.view.Load().anyOpen() {
			return b
		}
	}
	return p
}

// Open reports whether a server of the pool, or of the one that stands in for it, takes requests. It is cheap, and safe on loops.
func (p *Pool) Open() bool { return p.StandIn().c.view.Load().anyOpen() }

// maxBackups bounds a chain of pools that stand in for each other.
const maxBackups = 16

// core is what outlives a configuration: found again by the pool's name.
type core struct {
	name     string
	loops    []*loop.Loop
	cursors  []balance.Cursor         // one a loop, that loop's own; the last is guarded by mu
	sessions atomic.Pointer[sessions] // where they are; nil: the pool keeps no table of them
	tallies  []tally                  // one a loop
	owner    atomic.Pointer[Set]      // the Set in force: is told what happens, resolves names, closes
	view     atomic.Pointer[view]     // replaced under mu

	_       [64]byte
	waiting atomic.Int64 // length of the queue; changed under mu, read by everyone who picks or is done
	_       [64]byte
	taken   atomic.Int64 // places taken at all servers, while there is a limit on that
	_       [64]byte

	shares   sync.Mutex // held, and taken before mu, while the balance is told shares: the last to be found out is the last told
	mu       sync.Mutex
	queue    limit.Queue[*Turn]
	begun    int64               // when the queue was empty for the last time
	drain    limit.Drain         // how fast it is served
	shed     uint64              // how many were pushed out of it
	rejected uint64              // how many found it full
	longest  int64               // the most that have waited in it
	gone     *api.ServerCounters // what servers have come to that are no more; nil: there were none
	leaving  []*Server           // shut; dropped when nobody is left at them
	retired  time.Time           // no configuration in force has it any more
	closed   bool
	hands    []api.Hand // what people decided of its servers
	denied   time.Time  // when it was last said that a server is not ejected
	stepped  time.Time  // when the windows of its servers were last advanced

	broken    atomic.Bool // the breaker is not closed
	breakerMu sync.Mutex
	breaker   limit.Breaker
}

// view is what picks need to know, immutable: a pick works on one view from beginning to end.
type view struct {
	servers []*Server // all of them, in the order of the configuration
	main    *group    // those that are no backup
	near    *group    // those of main that stand in weir's own zone; nil: zones do not count
	spare   *group    // the backups; nil: there are none
	limit   int64     // places per server, 0: no limit
	keep    int       // idle connections per server and loop
	fixed   bool      // servers are given; else they are an app's workers
	waits   bool      // requests may wait for a place
	sticky  *sticky   // nil: requests of one session may go to different servers
	total   int64     // places at all servers, 0: no limit
	core    *core
	gauged  bool // how requests end is told to the breaker
	cfg     *config.Pool
}

func newCore(name string, loops []*loop.Loop) *core {
	c := &core{name: name, loops: loops, cursors: balance.NewCursors(len(loops) + 1), tallies: make([]tally, len(loops))}
	c.view.Store(&view{cfg: &config.Pool{Name: name}, main: &group{}})
	return c
}

// Pick waits for a place at a server and returns that server. The place is turn's until the server's Done.
//
// While somebody waits, newcomers queue up behind; a request that is tried again (servers are in turn's memory since
// Done) goes before those that were not tried yet, for it is older, and avoids its old servers while another is open. Requests wait
// when all servers are at their max_conn, and in an app's pool also while no worker is ready: one may be so in a moment.
// The wait is bounded by the queue's size and time limit. client, if not nil, is watched meanwhile: a watch that the caller
// had set on it is over then. When turn was reset, nothing of an earlier request is left.
//
// The errors are ErrNoServer (there is none, or none came within the time limit), ErrQueueFull (also for who was pushed out of the
// queue), ErrQueueTimeout, ErrBroken, loop.ErrHangup and loop.ErrClosed; no place is held then.
func (p *Pool) Pick(t *loop.Task, turn *Turn, client *loop.Conn) (*Server, error) {
	c := p.c
	if turn.server != nil {
		panic("pool: Pick with a place in hand")
	}
	l := t.Loop()
	turn.lane = l.Index()
	if turn.ntried == 0 {
		c.tallies[turn.lane].budget.Asked(l.Now())
	}
	v := c.view.Load()
	if v.gauged && !c.allow(v, turn, l.Now()) {
		return nil, ErrBroken
	}
	if c.waiting.Load() == 0 {
		if s := v.take(&c.cursors[turn.lane], turn); s != nil {
			turn.begin(s, l.Now())
			return s, nil
		}
		if c.waiting.Load() > 0 {
			c.settle() // it may have held one of the pool's places for a moment: see take
		}
	}
	asked := l.Now()
	s, err := c.wait(t, turn, client)
	c.tallies[turn.lane].ran.waited(time.Duration(l.Now()-asked), err)
	if err != nil && turn.stay != nil && (errors.Is(err, ErrQueueFull) || errors.Is(err, ErrQueueTimeout)) {
		turn.stay = nil
		if s = c.view.Load().take(&c.cursors[turn.lane], turn); s != nil {
			turn.server, err = s, nil
		}
	}
	if err != nil {
		c.tryOver(turn, limit.Unknown, l.Now())
		return nil, err
	}
	turn.begin(s, l.Now())
	return s, nil
}

// begin notes when, and at which server, turn got its place.
func (t *Turn) begin(s *Server, now loop.Time) {
	t.server, t.since, t.fallen = s, now, s.fallen.Load()
	t.status, t.answered = 0, 0
	s.lanes[t.lane].requests.Add(1)
	s.core.began(s, t)
}

// take takes a place for turn. nil: there is none that it should have now. In a pool with a limit of its own, a place of the
// pool is taken first, and given back when no server has one: to others it looks for this moment as if the pool were
// full. So who is not under mu has to look at waiting afterwards, as if it left.
func (v *view) take(cur *balance.Cursor, turn *Turn) *Server {
	if v.total <= 0 {
		return v.seek(cur, turn)
	}
	return v.takeAt(nil, cur, turn)
}

// takeAt is take with a server that comes first, if it is not nil, whatever the balance.
func (v *view) takeAt(first *Server, cur *balance.Cursor, turn *Turn) *Server {
	if v.total > 0 {
		if !v.core.enter(v.total) {
			return nil
		}
		turn.counted = true
	}
	if first != nil && first.takeFor(turn, v.limit) {
		return first
	}
	s := v.seek(cur, turn)
	if s == nil && turn.counted {
		turn.counted = false
		v.core.taken.Add(-1)
	}
	return s
}

// enter takes one of the pool's places.
func (c *core) enter(total int64) bool {
	for {
		n := c.taken.Load()
		if n >= total {
			return false
		}
		if c.taken.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// seek takes a place at a server.
func (v *view) seek(cur *balance.Cursor, turn *Turn) *Server {
	if s := turn.stay; s != nil {
		if turn.moved = turn.hasTried(s) || !s.places.Keeps(); !turn.moved {
			if s.takeKept(turn, v.limit) {
				return s
			}
			if v.waits {
				return nil // it is full, and this request waits for it
			}
		}
	}
	q := balance.Query{Cursor: cur, Limit: v.limit, Hash: turn.hash, Keyed: turn.keyed}
	if turn.ntried > 0 && v.untried(turn, false) {
		q.Skip = turn.skip() // all others may be full: then it waits for one of them
	}
	if s := v.takeAny(&q, turn); s != nil {
		return s
	}
	if !v.fixed || v.anyOpen() {
		return nil
	}
	// All fixed servers rest after failed connects: better try one than fail at once. (A worker that refuses
	// connections is dead, and the next one will be there soon: an app's requests wait.)
	q.Any, q.Skip = true, nil
	if turn.ntried > 0 && v.untried(turn, true) {
		q.Skip = turn.skip()
	}
	return v.takeAny(&q, turn)
}

// untried says whether there is a server to use that turn did not try yet.
func (v *view) untried(turn *Turn, any bool) bool {
	for _, s := range v.current(any).servers {
		if s.places.Takes(any) && !turn.hasTried(s) {
			return true
		}
	}
	return false
}

func (v *view) anyOpen() bool {
	for _, s := range v.servers {
		if s.places.Open() {
			return true
		}
	}
	return false
}
