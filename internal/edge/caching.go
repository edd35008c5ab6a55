package edge

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"log/slog"
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
	disk    *disk // nil: the configuration has none
	seed    cache.Seed
	fetches fetches
	purges  atomic.Uint64
	options store.Options
	most    int64 // bytes of the largest response that is kept, on disk if not in memory
}

// newCaching makes an empty cache.
func newCaching(c *config.Cache) (*caching, error) {
	n := &caching{options: store.Options{Memory: c.Memory, MaxObject: c.MaxObject}, most: c.MaxObject}
	if c.Disk != nil { // what is larger is streamed from there
		n.options.MaxObject = min(c.MaxObject, c.Memory/8)
	}
	var err error
	if n.seed, err = newSeed(c.Disk); err != nil {
		return nil, err
	}
	if n.store, err = store.Open(n.options); err != nil {
		return nil, err
	}
	if c.Disk == nil {
		n.bans.use(ban.New(0, ban.Limits{}))
		return n, nil
	}
	// Numbers that no list on a disk has got to: what is born by this one is old to that one.
	n.bans.use(ban.New(ban.Seq(time.Now().UnixNano()), ban.Limits{}))
	n.disk = newDisk(n, c.Disk)
	return n, nil
}

// put keeps a head without a body; false when there is no room.
func (c *caching) put(k store.Key, head []byte) bool {
	f, err := c.store.Begin(k, head, 0)
	if err == nil {
		c.disk.supersede(&k)
		r, _ := f.Ref()
		if err = f.Commit(); err == nil && cache.NewView(head).Kind() != cache.Hole {
			c.disk.keep(r)
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
}

// newRouteCache makes a policy ready.
func newRouteCache(r *config.Route, seed cache.Seed) (*routeCache, error) {
	p := r.Cache
	rc := &routeCache{policy: cache.Policy{DefaultTTL: p.DefaultTTL, Grace: p.Grace, HitForMiss: p.HitForMiss,
		Heuristic: p.Heuristic, Reload: p.Reload == "revalidate", Strip: p.SetCookie == "strip"}}
	for _, t := range p.TTL {
		rule := cache.Rule{Types: t.Types, TTL: t.TTL, Force: t.Force}
		for _, s := range t.Status {
			rule.Status = append(rule.Status, [2]int{s.From, s.To})
		}
		rc.policy.Rules = append(rc.policy.Rules, rule)
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
	var err error
	if rc.keyer, err = key.Compile(seed); err != nil {
		return nil, fmt.Errorf("route %s: cache: %w", r.Name, err)
	}
	if p.Bypass != nil {
		if rc.bypass, err = route.NewMatcher(p.Bypass); err != nil {
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

// passes reports whether the configuration lets a request by the cache.
func (rc *routeCache) passes(x *exchange.Exchange) bool {
	return rc.bypass != nil && rc.bypass.Holds(x)
}
