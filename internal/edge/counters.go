package edge

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/edge/relay"
	"github.com/weirhq/weir/internal/edge/tally"
	"github.com/weirhq/weir/internal/journal"
)

// What the edge counts is told whole, once a second. The loops are not to notice: each is asked by small pieces of work that only
// copy, and everything is added up and written elsewhere.

// count counts a client's request that has ended.
func (h *handler) count() {
	l, j := h.l, &h.x.Journal
	r := &l.sheet.None
	if h.route != nil {
		r = l.sheet.Route(h.route.tally)
	}
	r.Ended(j, j.Between(journal.Begun, journal.Delivered), l.loop.Wall(), h.x.ID, &j.Trace)
}

// Counters tells all that the edge counts. One that has handed over passes the question on to the edge that follows it, which has
// what this one has counted: so who asks never sees less than before.
func (e *Edge) Counters(ctx context.Context) (c api.Counters, err error) {
	e.counting.RLock()
	defer e.counting.RUnlock()
	if s := e.successor.Load(); s != nil {
		if err := s.client.Get(ctx, "/v1/counters", &c); err != nil {
			return c, fmt.Errorf("asking the edge that follows this one: %w", err)
		}
		return c, nil
	}
	if e.tree.Load() == nil {
		return c, errNoTree // an answer without routes and pools would take them out of the picture
	}
	c = e.own()
	e.inherited.addTo(&c)
	return c, nil
}

var errNoTree = errors.New("the edge is being started: try again")

// own is what this edge has counted itself.
func (e *Edge) own() api.Counters {
	all, active, sessions := e.ownSum()
	c := api.Counters{Epochs: []string{e.epoch}, At: time.Now().UnixMilli(), PID: os.Getpid(), Counts: all, Active: active,
		Connections: e.connections.Load(), Room: e.room, SessionsNow: sessions, Routes: []api.RouteCounters{}, Pools: []api.PoolCounters{}}
	e.countLoops(&c)
	e.mu.Lock()
	t := e.tree.Load()
	c.Version = e.version
	c.LogDropped, _ = e.logStatus()
	e.mu.Unlock()
	if t == nil {
		return c
	}
	c.Revision, c.Room = t.source.Revision, e.roomFor(t.cfg)
	c.Routes, c.TCP = e.countRoutes(t), e.countTCP(t)
	c.Pools = t.pools.Counters()
	if k := e.cache(); k != nil && t.cfg.Cache != nil {
		st := k.Memory.Stats()
		c.Counts.Purges += k.purges.Load()
		c.Cache = &api.CacheCounters{Objects: st.Objects, Bytes: st.Bytes, Resident: st.Resident, Memory: st.Budget, Evicted: st.Evictions,
			Refreshes: all.Refreshes, Purges: c.Counts.Purges, Disk: k.DiskStatus()}
	}
	return c
}

// countLoops tells what the loops count of themselves, and of requests for which there was no route.
func (e *Edge) countLoops(c *api.Counters) {
	c.Loops = make([]api.LoopCounters, len(e.locals))
	none := make([]tally.Route, len(e.locals))
	e.onLoops(func(l *local) {
		i := l.loop.Index()
		c.Loops[i].Busy = int64(l.loop.Busy())
		none[i] = l.sheet.None
	})
	var sum api.RouteCounters
	for i, l := range e.locals {
		st := l.loop.Stats()
		c.Loops[i].Turns, c.Loops[i].Slow = st.Turns, st.SlowTurns
		c.SlowTurns += st.SlowTurns
		c.Counts.Panics += st.Panics
		none[i].AddTo(&sum, whyWord)
	}
	c.Causes = sum.Causes
}

// countRoutes tells what the routes of a tree have counted, in its order.
func (e *Edge) countRoutes(t *tree) []api.RouteCounters {
	all := make([]api.RouteCounters, len(t.routes))
	numbers := make([]int, len(t.routes))
	for i := range t.routes {
		r := &t.routes[i]
		all[i].Site, all[i].Route, all[i].Pool = r.site.name, r.name, r.config.Pool
		numbers[i] = r.tally
	}
	e.addTallies(numbers, all)
	return all
}

// countTCP tells of the addresses of TCP.
func (e *Edge) countTCP(t *tree) []api.RouteCounters {
	var all []api.RouteCounters
	var numbers []int
	for _, entry := range t.tcp {
		c := api.RouteCounters{Site: relay.Site, Route: entry.Listen, Pool: entry.Pool}
		at, _ := slices.BinarySearchFunc(all, entry.Listen, func(c api.RouteCounters, listen string) int {
			if c.Route < listen {
				return -1
			}
			return 1
		})
		all, numbers = slices.Insert(all, at, c), slices.Insert(numbers, at, entry.Tally)
	}
	e.addTallies(numbers, all)
	return all
}

// tallyPiece is how many tallies one posted piece of work copies: some 100 KiB, which takes a loop 10 to 20 microseconds.
const tallyPiece = 32

// addTallies adds what the loops have counted under numbers to all.
func (e *Edge) addTallies(numbers []int, all []api.RouteCounters) {
	type copied struct {
		of  [tallyPiece]tally.Route
		has [tallyPiece]bool
	}
	copies := make([]copied, len(e.locals))
	for from := 0; from < len(numbers); from += tallyPiece {
		some := numbers[from:min(from+tallyPiece, len(numbers))]
		e.onLoops(func(l *local) {
			c := &copies[l.loop.Index()]
			for i, number := range some {
				r := l.sheet.Look(number)
				if c.has[i] = r != nil; r != nil {
					c.of[i] = *r
				}
			}
		})
		for k := range copies {
			for i := range some {
				if copies[k].has[i] {
					copies[k].of[i].AddTo(&all[from+i], whyWord)
				}
			}
		}
	}
}

// inheritance is what edges before this one have counted: the last word of each.
type inheritance struct {
	mu    sync.Mutex
	words []api.Counters // the oldest first
}

// maxWords is how many last words are kept apart: more than there may be edges that finish side by side. The oldest are added up.
const maxWords = 16

// take takes the last words of edges, each in the place of an older one of the same edge.
func (n *inheritance) take(words []api.Counters) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, w := range words {
		if len(w.Epochs) == 0 {
			continue
		}
		i := slices.IndexFunc(n.words, func(o api.Counters) bool { return slices.Contains(o.Epochs, w.Epochs[0]) })
		switch {
		case i < 0:
			n.words = append(n.words, w)
		case n.words[i].At < w.At && n.words[i].Epochs[0] == w.Epochs[0]:
			n.words[i] = w
		}
	}
	for len(n.words) > maxWords {
		older, old := &n.words[0], &n.words[1]
		old.Add(older, true)
		if old.Epochs = append(old.Epochs, older.Epochs...); len(old.Epochs) > maxWords {
			old.Epochs = old.Epochs[:maxWords]
		}
		n.words = n.words[1:]
	}
}

// includes reports whether what an edge has counted was taken over.
func (n *inheritance) includes(epoch string) bool {
	return slices.ContainsFunc(n.all(), func(w api.Counters) bool { return slices.Contains(w.Epochs, epoch) })
}

// all returns the words, which are not changed any more.
func (n *inheritance) all() []api.Counters {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.words)
}

// addTo adds everything to what this edge has counted.
func (n *inheritance) addTo(c *api.Counters) {
	words := n.all()
	for i := len(words) - 1; i >= 0; i-- {
		c.Add(&words[i], false)
		c.Epochs = append(c.Epochs, words[i].Epochs...)
	}
}

func (n *inheritance) addCounts(to *api.Counts) {
	for _, w := range n.all() {
		to.Add(&w.Counts)
	}
}

// addRoutes adds to the routes of the same names.
func (n *inheritance) addRoutes(routes []api.RouteCounters) {
	c := api.Counters{Routes: routes}
	for _, w := range n.all() {
		c.Add(&api.Counters{Routes: w.Routes}, false)
	}
}

// addStatus adds to the servers of the same names.
func (n *inheritance) addStatus(pools []api.PoolStatus) {
	type name struct{ pool, server string }
	servers := map[name]*api.ServerStatus{}
	for i := range pools {
		for j := range pools[i].Servers {
			servers[name{pools[i].Name, pools[i].Servers[j].Name}] = &pools[i].Servers[j]
		}
	}
	for _, w := range n.all() {
		for i := range w.Pools {
			for j := range w.Pools[i].Members {
				o := &w.Pools[i].Members[j]
				if s := servers[name{w.Pools[i].Name, o.Name}]; s != nil {
					s.Requests += o.Requests
					s.Errors += o.Errors
					s.In += o.In
					s.Out += o.Out
				}
			}
		}
	}
}
