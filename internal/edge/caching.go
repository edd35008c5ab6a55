package edge

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirhq/weir/internal/cache"
	"github.com/weirhq/weir/internal/cache/ban"
	"github.com/weirhq/weir/internal/cache/store"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/exchange"
	"github.com/weirhq/weir/internal/route"
)

// caching is the cache that all loops and all configurations share. It is made when the first configuration with a cache is
// put in force, and stays.
type caching struct {
	store   *store.Store
	bans    bans
	second  atomic.Pointer[disk] // see disk
	turning sync.RWMutex         // held to read by who purges, to write while another disk is taken
	resting bool                 // the configuration in force has no cache; Edge.mu is over it
	seed    cache.Seed
	fetches fetches
	purges  atomic.Uint64
	alike   atomic.Bool   // a response has had No-Vary-Search
	options store.Options // in force
	most    atomic.Int64  // bytes of the largest response that is kept, on disk if not in memory
	opened  int64         // the memory that the store was opened with
	insight insights

	tending atomic.Bool // a goroutine makes the store smaller
	stop    chan struct{}
	tended  sync.WaitGroup
}

// disk is the second tier, nil when the configuration has none. Its methods take nil for none.
func (c *caching) disk() *disk { return c.second.Load() }

// newCaching makes an empty cache. Its keys are made with the secret on its disk, or this one; without any, with one of its own.
func newCaching(c *config.Cache, secret []byte) (*caching, error) {
	n := &caching{options: sizes(c), opened: c.Memory, stop: make(chan struct{})}
	n.most.Store(c.MaxObject)
	var err error
	if n.seed, err = newSeed(c.Disk, secret); err != nil {
		return nil, err
	}
	if n.store, err = store.Open(n.options); err != nil {
		return nil, err
	}
	n.insight.open(c.Memory)
	if c.Disk == nil {
		n.bans.use(ban.New(0, ban.Limits{}))
		return n, nil
	}
	// Numbers that no list on a disk has got to: what is born by this one is old to that one.
	n.bans.use(ban.New(ban.Seq(time.Now().UnixNano()), ban.Limits{}))
	n.second.Store(newDisk(n, c.Disk, false))
	return n, nil
}

// sizes are the store's for a configuration: what is larger than a part of memory is streamed from the disk, if there is one.
func sizes(c *config.Cache) store.Options {
	o := store.Options{Memory: c.Memory, MaxObject: c.MaxObject}
	if c.Disk != nil {
		o.MaxObject = min(c.MaxObject, c.Memory/8)
	}
	return o
}

// resize puts another size in force. What is kept stays, as far as there is room.
func (c *caching) resize(to *config.Cache) {
	most := 2 * c.opened
	if to.Memory > most {
		slog.Warn("the cache grows to twice what it began with; for more, stop weir and start it again", "wanted", to.Memory, "memory", most)
		less := *to
		less.Memory = most
		if less.Disk == nil {
			less.MaxObject = min(less.MaxObject, most/2)
		}
		to = &less
	}
	want := sizes(to)
	c.most.Store(to.MaxObject)
	if want == c.options {
		return
	}
	slog.Info("the cache has another size", "memory", want.Memory, "before", c.options.Memory, "max_object", want.MaxObject)
	c.options = want
	c.store.Resize(want)
	c.insight.resize(want.Memory)
	if c.tending.CompareAndSwap(false, true) {
		c.tended.Go(c.tend)
	}
}

// How fast the store is made smaller: by some 64 KiB a call, so by half a GiB a second at most; and for how long that is tried,
// since some of it may be in use all the time.
const (
	tendEvery  = time.Millisecond
	tendAtOnce = 8
	tendTimes  = 60_000
)

// tend makes the store as small as it is to be, also when nothing comes in.
func (c *caching) tend() {
	defer c.tending.Store(false)
	tick := time.NewTicker(tendEvery)
	defer tick.Stop()
	for range tendTimes {
		for range tendAtOnce {
			if c.store.Tend() {
				return
			}
		}
		select {
		case <-c.stop:
			return
		case <-tick.C:
		}
	}
}

// close frees all memory. Nothing of it may be used any more.
func (c *caching) close() error {
	close(c.stop)
	c.tended.Wait()
	return c.store.Close()
}

// put keeps a head without a body, unless it is revoked (nil: it cannot be); false when it is not, or there is no room.
func (c *caching) put(k store.Key, head []byte, revoked *atomic.Bool) bool {
	f, err := c.store.Begin(k, head, 0)
	if err == nil {
		c.disk().supersede(&k)
		r, _ := f.Ref()
		f.Unless(revoked)
		if err = f.Commit(); err == nil && cache.NewView(head).Kind() != cache.Hole {
			c.disk().keep(r, revoked)
		}
		r.Release()
	}
	if err != nil {
		slog.Debug("the cache has no room", "error", err)
	}
	return err == nil
}

// purged tells what purges since a number mean for a kept response to requests with a key.
func (c *caching) purged(primary *store.Key, v cache.View, since uint64, tags []uint64) (ban.Verdict, uint64, []uint64) {
	if uint64(c.bans.Now()) == since {
		return ban.None, since, tags
	}
	tags = append(v.AppendTags(tags[:0]), keyTag(primary))
	verdict, now := c.bans.Check(ban.Seq(since), tags, v.Host(), v.URL())
	return verdict, uint64(now), tags
}

// keyTag is a tag that all responses to requests with a key have, whatever they say.
func keyTag(primary *store.Key) uint64 { return binary.LittleEndian.Uint64(primary[:]) }

// epoch is a number that nobody can foresee.
func (c *caching) epoch() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it ends the program rather than fail
	return binary.LittleEndian.Uint64(b[:])
}

// routeCache is a route's cache policy made ready.
type routeCache struct {
	policy cache.Policy
	keyer  *cache.Keyer
	bypass *route.Matcher // nil: none
	makes  responsePolicy // the fields of requests that weir makes, whatever clients say in them
}

// CachePolicies is what a route's configuration means to the cache: for responses, and for keys. The route has a cache.
func CachePolicies(r *config.Route) (cache.Policy, cache.KeyPolicy) {
	p := r.Cache
	policy := cache.Policy{DefaultTTL: p.DefaultTTL, Grace: p.Grace, HitForMiss: p.HitForMiss,
		Heuristic: p.Heuristic, Reload: p.Reload == "revalidate", Strip: p.SetCookie == "strip",
		KeepCookies: p.SetCookie == "keep", IfError: p.IfError}
	for _, t := range p.TTL {
		rule := cache.Rule{Types: t.Types, TTL: t.TTL, Force: t.Force}
		for _, s := range t.Status {
			rule.Status = append(rule.Status, [2]int{s.From, s.To})
		}
		policy.Rules = append(policy.Rules, rule)
	}
	key := cache.KeyPolicy{Scope: scopeOf(r), IgnoreQuery: p.IgnoreQuery, SortQuery: p.SortQuery, PassIfCookie: p.PassIfCookie,
		PrivateBy: p.Private, CookieParts: p.Key.Cookies, IgnoreCookies: p.IgnoreCookies, HeaderParts: p.Key.Headers}
	if p.OnlyQuery {
		key.KeepQuery = p.KeepQuery
		if len(p.KeepQuery) == 0 {
			key.IgnoreQuery = []string{"*"}
		}
	}
	for _, d := range p.Key.Devices {
		key.Devices = append(key.Devices, cache.Device{Class: d.Name, Contains: d.Words})
	}
	return policy, key
}

// newRouteCache makes a policy ready.
func newRouteCache(r *config.Route, seed cache.Seed) (*routeCache, error) {
	policy, key := CachePolicies(r)
	rc := &routeCache{policy: policy}
	var err error
	if rc.keyer, err = key.Compile(seed); err != nil {
		return nil, fmt.Errorf("route %s: cache: %w", r.Name, err)
	}
	if rc.keyer.TellsDevice() {
		rc.makes.others = []string{cache.DeviceField}
	}
	if b := r.Cache.Bypass; b != nil {
		if rc.bypass, err = route.NewMatcher(b); err != nil {
			return nil, fmt.Errorf("route %s: cache: bypass: %w", r.Name, err)
		}
	}
	return rc, nil
}

// scopeOf tells routes apart that answer the same URLs: those that more than the path decides between.
func scopeOf(r *config.Route) string {
	m := r.Match
	if m == nil || len(m.Header)+len(m.Cookie)+len(m.Query)+len(m.Client)+len(m.Any)+len(m.All) == 0 && m.Not == nil {
		return ""
	}
	return r.Name
}

// makes are the fields of requests to a route's servers that weir makes itself.
func (r *routeTree) makes() *responsePolicy {
	if r.cache == nil {
		return nil
	}
	return &r.cache.makes
}

// passes reports whether the configuration lets a request by the cache.
func (rc *routeCache) passes(x *exchange.Exchange) bool {
	return rc.bypass != nil && rc.bypass.Holds(x)
}
