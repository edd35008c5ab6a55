package edge

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/compress"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/edge/relay"
	"github.com/weirhq/weir/internal/edge/tally"
	"github.com/weirhq/weir/internal/exchange"
	"github.com/weirhq/weir/internal/http1"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/message"
	"github.com/weirhq/weir/internal/pool"
	"github.com/weirhq/weir/internal/representation"
	"github.com/weirhq/weir/internal/route"
)

// tree is all that requests are served by: immutable, built whole from one configuration, swapped by one pointer.
// Requests under way finish on the tree that they began with.
type tree struct {
	cfg            *config.Config
	source         api.Source // what cfg was made of
	table          *route.Table
	pools          *pool.Set
	sites          []siteTree
	routes         []routeTree             // by route.Route.Index
	tcp            map[string]*relay.Entry // by network and address: where no HTTP is spoken
	scoped         bool                    // a client's request may take a route with a cache that another's for the same URL does not take
	dormant        bool                    // a route has had a cache, in this process, that it has no more: what it kept may be wanted again
	limits         http1.Limits
	responseLimits http1.Limits
	traces         *tracing      // nil: there are none
	firstByte      time.Duration // for the first byte on a new connection
}

// siteTree is a site with what the edge adds to it.
type siteTree struct {
	config *config.Site
	name   string
	pools  []*pool.Pool // that its routes lead to
}

// routeTree is a route with what answers it.
type routeTree struct {
	route     *route.Route
	config    *config.Route
	site      *siteTree
	name      string
	pool      *pool.Pool
	tally     int // its number for counting
	files     *lateRoot
	fixed     []byte
	bodyLimit int64            // bytes; 0: none
	cache     *routeCache      // nil: it has none
	compress  *compress.Policy // nil: nothing is compressed
	esi       *routeESI        // nil: pages go out as they are
	response  responsePolicy
}

// responsePolicy is what a route changes in the fields of responses.
type responsePolicy struct {
	set    []byte // whole field lines
	ids    []message.ID
	others []string
}

// removes reports whether a field line is taken out, or replaced.
func (p *responsePolicy) removes(l *message.Field) bool {
	if p == nil || len(p.ids) == 0 && len(p.others) == 0 {
		return false
	}
	if l.ID != message.Other {
		return slices.Contains(p.ids, l.ID)
	}
	for _, n := range p.others {
		if message.EqualFold(l.Name, n) {
			return true
		}
	}
	return false
}

// strike takes out of a head that weir made itself what the policy removes or replaces, but not the framing.
func (p *responsePolicy) strike(head []byte) []byte {
	if len(p.ids) == 0 && len(p.others) == 0 {
		return head
	}
	kept := bytes.IndexByte(head, '\n') + 1 // the status line
	for rest := head[kept:]; len(rest) > 0; {
		end := bytes.IndexByte(rest, '\n') + 1
		name := rest[:bytes.IndexByte(rest, ':')]
		l := message.Field{ID: message.Lookup(name), Name: name}
		if l.ID == message.ContentLength || !p.removes(&l) {
			kept += copy(head[kept:], rest[:end])
		}
		rest = rest[end:]
	}
	return head[:kept]
}

func newResponsePolicy(c *config.Headers) (p responsePolicy) {
	names := slices.Clone(c.Remove)
	for _, f := range c.Set {
		p.set = appendField(p.set, f.Name, f.Value)
		names = append(names, f.Name)
	}
	for _, n := range names {
		if id := message.Lookup(n); id != message.Other {
			p.ids = append(p.ids, id)
		} else {
			p.others = append(p.others, n)
		}
	}
	return p
}

// Responses come from servers that are ours: their heads may be larger than clients'.
var responseLimits = http1.Limits{Line: 8 << 10, Fields: 200, Head: 64 << 10}

// A head fits into a buffer.
const _ = uint(loop.LargeBufferSize - tail - config.MaxHead)

// newTree builds a tree; pools that stay as they are are taken over from old, which may be nil.
func newTree(cfg *config.Config, env pool.Env, old *tree, c *caching, names *tally.Names) (*tree, error) {
	t := &tree{cfg: cfg, responseLimits: responseLimits}
	t.limits = http1.Limits{Line: cfg.Limits.RequestLine, Fields: cfg.Limits.Fields, Head: cfg.Limits.Head}
	t.firstByte = cfg.Timeouts.Idle
	if cfg.Timeouts.Head > 0 && (t.firstByte == 0 || cfg.Timeouts.Head < t.firstByte) {
		t.firstByte = cfg.Timeouts.Head
	}
	var err error
	if t.table, err = route.New(cfg); err != nil {
		return nil, err
	}
	if t.traces, err = newTracing(cfg.Traces); err != nil {
		return nil, err
	}
	var oldPools *pool.Set
	if old != nil {
		oldPools = old.pools
	}
	t.sites = make([]siteTree, len(cfg.Sites))
	for i, s := range cfg.Sites {
		t.sites[i] = siteTree{config: s, name: s.Hosts[0]}
	}
	roots := map[int]*lateRoot{}
	for _, r := range t.table.Routes() {
		if r.Config.Files == nil {
			continue
		}
		roots[r.Index] = newLateRoot(r.Config.Files)
		if _, err := roots[r.Index].get(); err != nil {
			// It was there when the configuration was checked. That it has gone since must not keep all else from being
			// served, least of all from an edge that comes back.
			slog.Error("a route has no files", "route", r.Name, "error", err)
		}
	}
	if t.pools, err = pool.Build(cfg, env, oldPools); err != nil {
		return nil, err
	}
	t.tcp = relay.Entries(cfg, t.pools, names)
	t.routes = make([]routeTree, len(t.table.Routes()))
	for _, r := range t.table.Routes() {
		t.routes[r.Index] = t.newRoute(r, roots[r.Index])
		t.routes[r.Index].tally = names.Number(t.routes[r.Index].site.name, r.Name)
		if t.routes[r.Index].compress, err = Compression(r.Config.Compress); err != nil {
			return nil, fmt.Errorf("route %s: %w", r.Name, err)
		}
		if t.routes[r.Index].esi, err = newRouteESI(r.Config); err != nil {
			return nil, err
		}
		if r.Config.Cache != nil {
			if t.routes[r.Index].cache, err = newRouteCache(r.Config, c.Seed); err != nil {
				return nil, err
			}
		}
		t.scoped = t.scoped || cfg.Cache != nil && scopeOf(r.Config) != ""
	}
	t.gatherSitePools()
	t.dormant = old != nil && cfg.Cache != nil && (old.dormant || t.lapsed(old))
	return t, nil
}

// lapsed reports whether a route of an older tree has a cache that it has not in this one.
func (t *tree) lapsed(old *tree) bool {
	type name struct{ site, route string }
	has := map[name]bool{}
	for i := range t.routes {
		has[name{t.routes[i].site.name, t.routes[i].name}] = t.routes[i].cache != nil
	}
	for i := range old.routes {
		if r := &old.routes[i]; r.cache != nil && !has[name{r.site.name, r.name}] {
			return true
		}
	}
	return false
}

func (t *tree) newRoute(r *route.Route, root *lateRoot) routeTree {
	rt := routeTree{route: r, config: r.Config, site: &t.sites[r.Site.Index], name: r.Name, files: root}
	if r.Config.Pool != "" {
		rt.pool = t.pools.Pool(r.Config.Pool)
	}
	if r.Config.Respond != nil {
		rt.fixed = []byte(r.Config.Respond.Body)
	}
	rt.bodyLimit = r.Config.Body
	if rt.bodyLimit < 0 {
		rt.bodyLimit = t.cfg.Limits.Body
	}
	rt.response = newResponsePolicy(&r.Config.Headers)
	return rt
}

// Compression makes a route's compression ready, nil when it has none.
func Compression(from *config.Compress) (*compress.Policy, error) {
	if from == nil {
		return nil, nil
	}
	var order []representation.Coding
	for _, name := range from.Codings {
		c, ok := representation.ParseCoding(name)
		if !ok {
			return nil, fmt.Errorf("compress: %q is no coding", name)
		}
		order = append(order, c)
	}
	p, err := compress.NewPolicy(order, from.Minimum, from.Types)
	if err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	return p, nil
}

// closeRoots closes the directories, when no request is under way any more. Those of a tree that was replaced are left
// to the collector, which closes them when the last request on it has gone.
func (t *tree) closeRoots() (err error) {
	for i := range t.routes {
		if f := t.routes[i].files; f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	return err
}

// find returns the site and the route of a request; nil where there is none.
func (t *tree) find(x *exchange.Exchange) (*siteTree, *routeTree) {
	s, r := t.table.Find(x)
	if s == nil {
		return nil, nil
	}
	if r == nil {
		return &t.sites[s.Index], nil
	}
	return &t.sites[s.Index], &t.routes[r.Index]
}

// trusts reports whether an address is a trusted proxy's.
func (t *tree) trusts(a netip.Addr) bool {
	return len(t.cfg.TrustedProxies) > 0 && contains(t.cfg.TrustedProxies, a)
}

func contains(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
