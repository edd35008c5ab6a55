package edge

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
	"sync"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/cache"
	"github.com/weirhq/weir/internal/cache/insight"
	"github.com/weirhq/weir/internal/journal"
)

// What `weir cache` shows beyond sums. Each loop counts for itself, by route (package tally), and keeps its own list of what is missed most.

// seen is a loop's part.
type seen struct {
	top     *insight.Top
	counted int // requests since the last batch
	n       int
	batch   [64]insight.Access
}

// observe counts what the cache did for the request that ends.
func (h *handler) observe() {
	did := h.x.Journal.Cache
	if did == journal.NoCache || h.route == nil || h.route.cache == nil {
		return
	}
	l, k := h.l, &h.kept
	s, t, saved := &l.seen, l.sheet.Route(h.route.tally), int64(0)
	switch did {
	case journal.Hit, journal.Stale, journal.Shared, journal.Revalidated:
		saved = h.x.Journal.Out
	default:
		t.Asked(h.whyAsked())
	}
	t.Cached(did, saved)
	switch did {
	case journal.Miss:
		h.missed()
	case journal.Pass:
		if k.note == noteHitForMiss {
			h.missed()
		}
		return
	}
	s.counted++
	if hash := binary.LittleEndian.Uint64(k.key[8:]); l.edge.caching.Insight.Takes(hash) {
		s.batch[s.n] = h.sample(hash)
		if s.n++; s.n == len(s.batch) {
			s.replay(l.edge.caching, false)
		}
	}
}

// missed notes what a server had to be asked for.
func (h *handler) missed() {
	s, k, x := &h.l.seen, &h.kept, &h.x
	if s.top == nil {
		s.top = insight.NewTop()
	}
	query, has := k.keyed.Query()
	mark := questionMark
	if !has {
		mark = nil
	}
	s.top.Note(binary.LittleEndian.Uint64(k.primary[8:]), x.Req.Host, x.Req.Path, mark, query)
}

var questionMark = []byte("?")

// sample is what the simulation needs to know of the request.
func (h *handler) sample(hash uint64) insight.Access {
	k, now := &h.kept, uint32(h.l.loop.Wall().Unix())
	a := insight.Access{Hash: hash, Now: now, Until: now, Hit: h.x.Journal.Cache != journal.Miss}
	a.Gone = !a.Hit && (k.gone || k.fwd == forRequest || k.fwd == forStale)
	if k.has && (a.Hit || k.stored) {
		a.Size = uint32(k.ref.Weight() / insight.Unit)
		if k.life.Flags&cache.MustValidate == 0 && !k.soft {
			a.Until += uint32(min(max(k.life.TTL-k.age+k.life.WhileRevalidate, 0), 1<<30))
		}
	}
	return a
}

// replay gives a loop's batch to the simulation. See stock.Insight.
func (s *seen) replay(c *caching, must bool) {
	c.Insight.Replay(s.counted, s.batch[:s.n], must)
	s.counted, s.n = 0, 0
}

// CacheStatus tells what the cache holds and did.
func (e *Edge) CacheStatus() (api.CacheStatus, error) {
	c := e.cache()
	if c == nil {
		return api.CacheStatus{}, errNoCache
	}
	st := c.Memory.Stats()
	s := api.CacheStatus{Objects: st.Objects, Bytes: st.Bytes, Resident: st.Resident, Memory: st.Budget, Evicted: st.Evictions, Purges: c.purges.Load()}
	e.countCache(&s)
	e.lookInto(c, &s)
	s.Disk = c.DiskStatus()
	return s, nil
}

// countCache adds up the loops' counters.
func (e *Edge) countCache(s *api.CacheStatus) {
	all, _, _ := e.sum()
	n := &all.Cache
	s.Hits = n[journal.Hit] + n[journal.Stale] + n[journal.Revalidated]
	s.Stale, s.Misses, s.Shared, s.Passes = n[journal.Stale], n[journal.Miss], n[journal.Shared], n[journal.Pass]
	s.HitRatio = hitRatio(s.Hits+s.Shared, s.Misses)
	s.Refreshes = all.Refreshes
	s.Purges += all.Purges
}

func hitRatio(hits, misses uint64) float64 {
	if hits+misses == 0 {
		return 0
	}
	return float64(hits) / float64(hits+misses)
}

// topMisses is how many addresses are told of.
const topMisses = 20

// lookInto tells of routes, of what is missed most, and of other budgets.
func (e *Edge) lookInto(c *caching, s *api.CacheStatus) {
	var mu sync.Mutex
	var noted []insight.Noted
	e.onLoops(func(l *local) {
		l.seen.replay(c, true)
		mu.Lock()
		defer mu.Unlock()
		if l.seen.top != nil {
			noted = l.seen.top.Append(noted)
		}
	})
	s.Routes = []api.RouteCache{}
	var redactor *journal.Redactor
	if t := e.tree.Load(); t != nil {
		redactor = journal.NewRedactor(&t.cfg.Log.Redact)
		routes := e.countRoutes(t)
		e.inherited.addRoutes(routes)
		for i := range t.routes {
			if t.routes[i].cache != nil {
				s.Routes = append(s.Routes, cacheOf(&routes[i]))
			}
		}
	}
	s.TopMisses = top(noted, redactor)
	estimates, rate := c.Insight.Estimates()
	for _, est := range estimates {
		s.Estimates = append(s.Estimates, api.MemoryEstimate{Memory: int64(est.Factor * float64(s.Memory)), HitRatio: est.Ratio})
		s.SampledKeys = rate
	}
}

// cacheOf is what the cache did for a route.
func cacheOf(c *api.RouteCounters) api.RouteCache {
	did := &c.Cache
	r := api.RouteCache{Site: c.Site, Route: c.Route, Stale: did[journal.Stale], Shared: did[journal.Shared], Misses: did[journal.Miss],
		Passes: did[journal.Pass], Saved: c.Saved}
	r.Hits = did[journal.Hit] + did[journal.Stale] + did[journal.Revalidated]
	r.Requests = r.Hits + r.Shared + r.Misses + r.Passes
	r.HitRatio = hitRatio(r.Hits+r.Shared, r.Misses)
	return r
}

// top joins the loops' lists. What is told nowhere is left out here as well; addresses that differ in nothing else are one.
func top(noted []insight.Noted, redactor *journal.Redactor) []api.KeyMisses {
	joined := joinNoted(noted, func(a, b *insight.Noted) int { return cmp.Compare(a.Hash, b.Hash) })
	if redactor != nil {
		for i := range joined {
			joined[i].Text = redacted(joined[i].Text, redactor)
		}
		joined = joinNoted(joined, func(a, b *insight.Noted) int { return cmp.Compare(a.Text, b.Text) })
	}
	slices.SortFunc(joined, func(a, b insight.Noted) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Text, b.Text))
	})
	list := []api.KeyMisses{}
	for _, n := range joined[:min(len(joined), topMisses)] {
		if n.Cut {
			n.Text += "…"
		}
		list = append(list, api.KeyMisses{URL: n.Text, Misses: n.Count, Error: n.Error})
	}
	return list
}

// joinNoted makes one of those that are the same, in place.
func joinNoted(noted []insight.Noted, compare func(a, b *insight.Noted) int) []insight.Noted {
	slices.SortStableFunc(noted, func(a, b insight.Noted) int { return compare(&a, &b) })
	joined := noted[:0]
	for _, n := range noted {
		if i := len(joined); i > 0 && compare(&joined[i-1], &n) == 0 {
			joined[i-1].Count += n.Count
			joined[i-1].Error += n.Error
			continue
		}
		joined = append(joined, n)
	}
	return joined
}

// redacted is a host with a path and a query as it may be told.
func redacted(text string, r *journal.Redactor) string {
	host, target, found := strings.Cut(text, "/")
	if found {
		target = "/" + target
	}
	shown := r.Show(&journal.Line{Host: []byte(host), Target: []byte(target)})
	return string(shown.Host) + string(shown.Target)
}
