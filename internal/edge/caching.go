package edge

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"github.com/weirhq/weir/internal/cache"
	"github.com/weirhq/weir/internal/cache/ban"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/edge/stock"
	"github.com/weirhq/weir/internal/exchange"
	"github.com/weirhq/weir/internal/route"
)

// caching is the cache that all loops and all configurations share: what is kept, and what is on its way there. It is made when
// the first configuration with a cache is put in force, and stays.
type caching struct {
	*stock.Stock
	fetches fetches
	purges  atomic.Uint64 // that people have asked for
}

func newCaching(c *config.Cache, secret []byte) (*caching, error) {
	n := &caching{}
	s, err := stock.Open(c, secret, n.passed)
	if err != nil {
		return nil, err
	}
	n.Stock = s
	return n, nil
}

// passed is told of each purge in force: what is being fetched is not for those who come from here on.
func (c *caching) passed(p ban.Purge, wide bool) {
	if wide {
		c.fetches.scatter()
		return
	}
	c.fetches.scatterFrom(placeOf(p.Host, p.Path))
}

// newEpoch is a number that nobody can foresee.
func newEpoch() uint64 {
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
