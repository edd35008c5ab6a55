package edge

import (
	"errors"
	"net/url"
	"strings"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/cache"
	"github.com/weirhq/weir/internal/cache/ban"
	"github.com/weirhq/weir/internal/cache/store"
	"github.com/weirhq/weir/internal/edge/stock"
	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/message"
)

// respondPurge takes out what is kept of the request's own address, with all its variants, for those who may.
func (h *handler) respondPurge() {
	x := &h.x
	if !contains(h.tree.cfg.Cache.PurgeFrom, x.Client) {
		h.fail(405, journal.Refused, "PURGE is not for this address (cache.purge.from)")
		return
	}
	mode, given := x.Req.Fields.Named("X-Purge")
	soft := message.EqualFold(mode, "soft")
	if given && !soft && !message.EqualFold(mode, "hard") {
		h.fail(400, journal.Refused, "X-Purge is soft or hard")
		return
	}
	// Plug-ins for other caches ask so for many URLs at once. To say that it was done would be worse than to refuse it.
	if how, other := x.Req.Fields.Named("X-Purge-Method"); other && !message.EqualFold(how, "exact") && !message.EqualFold(how, "default") {
		h.fail(400, journal.Refused, "PURGE is for one URL: X-Purge-Method is exact, or not there")
		return
	}
	var err error
	for _, b := range h.tree.urlBans(x, !soft) {
		err = errors.Join(err, h.ban(b))
	}
	if errors.Is(err, stock.ErrHandedOver) {
		h.fail(503, journal.Stopping, err.Error())
		return
	}
	if err != nil {
		h.fail(400, journal.Refused, err.Error())
		return
	}
	h.l.count.Purges++
	h.respond(200, "text/plain; charset=utf-8", []byte("purged\n"), nil)
}

// ban is the cache's, for loops; the next edge's, once that has the cache.
func (h *handler) ban(p ban.Purge) (err error) {
	e := h.l.edge
	if e.successor.Load() == nil {
		if err = h.banHere(p); !errors.Is(err, stock.ErrHandedOver) {
			return err
		}
	}
	err = stock.ErrHandedOver
	if to := e.successor.Load(); to != nil {
		h.t.Do(func() { err = to.ban(p) })
	}
	return err
}

// banHere is ban for this edge's own cache.
func (h *handler) banHere(p ban.Purge) error {
	c := h.l.edge.caching
	done, err := c.PurgeAtOnce(p)
	if !done {
		h.t.Do(func() { err = c.Purge(p) })
	}
	return err
}

// invalidate takes out what an unsafe request has probably changed: its own address and what its response names of the same
// origin (RFC 9111, section 4.4), and groups (RFC 9875). It does so before the response goes out, so that whoever has seen
// that sees the change.
func (h *handler) invalidate() {
	req, resp := &h.x.Req, &h.x.Resp
	if resp.Status < 200 || resp.Status >= 400 {
		return
	}
	switch req.Method {
	case message.GET, message.HEAD, message.OPTIONS, message.TRACE:
		return
	}
	h.forget(req.Path, req.Query, req.HasQuery)
	for _, id := range [...]message.ID{message.Location, message.ContentLocation} {
		if place := resp.Fields.Get(id); len(place) > 0 {
			if path, query, has, ok := h.sameOrigin(string(place)); ok {
				h.forget(path, query, has)
			}
		}
	}
	k := &h.kept
	k.tags = h.l.edge.caching.Seed.AppendGroups(k.tags[:0], &resp.Fields, req.Host)
	for _, g := range k.tags {
		if err := h.ban(ban.Purge{Kind: ban.Tag, Hard: true, Tag: g}); err != nil {
			h.x.Journal.Detail = "a group could not be purged"
		}
	}
}

// forget takes out what is kept of a path and query, for whomever. It need not be of the route that the unsafe request took.
func (h *handler) forget(path, query []byte, has bool) {
	x, c := h.x, h.l.edge.caching
	x.Req.Method, x.Req.MethodText, x.Req.Body, x.Req.Path, x.Req.Query, x.Req.HasQuery = message.GET, getMethod, message.NoBody, path, query, has
	switch _, rt := h.tree.find(&x); {
	case rt != nil && rt.cache != nil:
		keyer := rt.cache.keyer
		var keyed cache.KeyedRequest
		keyer.Key(&x, &keyed)
		if keyed.Pass == cache.NoPass && h.l.edge.successor.Load() == nil {
			h.forgetKey(keyer, keyed.Key)
			if !keyer.Splits() && !h.tree.shared(&x) && !c.hasAlike(keyer, &keyed) {
				return
			}
		}
	case h.tree.scoped, h.tree.dormant: // others' requests for it may take a route with a cache, or this one may have it again
	default:
		return
	}
	// This client's request says nothing of the keys that others' requests have.
	for _, b := range h.tree.urlBans(&x, true) {
		if err := h.ban(b); err != nil {
			h.x.Journal.Detail = "what has changed could not be purged"
		}
	}
}

// forgetKey takes out what is kept under a key, whole or in part.
func (h *handler) forgetKey(keyer *cache.Keyer, k cache.Key) {
	c, key := h.l.edge.caching, store.Key(k)
	c.fetches.forget(key)
	onDisk := c.Delete(&key)
	var part cache.Key
	part, h.scratch = keyer.Part(k, h.scratch)
	c.Memory.Delete(store.Key(part))
	if onDisk {
		// Else it would be back after a restart.
		if err := h.ban(stock.KeyPurge(&key)); err != nil {
			h.x.Journal.Detail = "an invalidation could not be recorded"
		}
	}
}

// sameOrigin splits what Location or Content-Location names, if it is of the request's own origin.
func (h *handler) sameOrigin(place string) (path, query []byte, has, ok bool) {
	base := url.URL{Scheme: h.x.Scheme, Host: string(h.x.Req.Host), Path: string(h.x.Req.Path)}
	if len(h.x.Req.Port) > 0 {
		base.Host += ":" + string(h.x.Req.Port)
	}
	to, err := base.Parse(place)
	if err != nil || to.Scheme != base.Scheme || !strings.EqualFold(to.Host, base.Host) {
		return nil, nil, false, false
	}
	return []byte(to.EscapedPath()), []byte(to.RawQuery), to.RawQuery != "" || to.ForceQuery, true
}

// Purge takes out what is asked for.
func (e *Edge) Purge(p api.Purge) (api.Purged, error) {
	c, t := e.cache(), e.tree.Load()
	if c == nil || t == nil {
		return api.Purged{}, errNoCache
	}
	bans, notes, err := bansOf(c, t, p)
	if err != nil {
		return api.Purged{}, err
	}
	for _, b := range bans {
		if err := b.Check(); err != nil {
			return api.Purged{}, err
		}
	}
	for _, b := range bans {
		if err := c.Purge(b); err != nil {
			return api.Purged{}, err
		}
	}
	named := len(p.URLs) + len(p.Tags) + len(p.Prefixes) + len(p.Patterns)
	if p.All {
		named++
	}
	c.purges.Add(uint64(named))
	return api.Purged{Purges: named, Notes: notes}, nil
}

var errNoCache = errors.New("there is no cache: write cache: in the configuration, as in `cache: {memory: 256MiB}`")

// bansOf makes purges of what was written, and notes of what in it is odd. All is checked before any is put into force.
func bansOf(c *caching, t *tree, p api.Purge) (all []ban.Purge, notes []string, err error) {
	hard := !p.Soft
	add := func(note string, err error, bans ...ban.Purge) error {
		if note != "" {
			notes = append(notes, note)
		}
		all = append(all, bans...)
		return err
	}
	for _, u := range p.URLs {
		bans, note, err := t.bansOfURL(u, hard)
		if err := add(note, err, bans...); err != nil {
			return nil, nil, err
		}
	}
	for _, text := range p.Tags {
		tags, err := tagsOf(text)
		if err != nil {
			return nil, nil, err
		}
		for _, tag := range tags {
			all = append(all, ban.Purge{Kind: ban.Tag, Hard: hard, Tag: c.Seed.Tag([]byte(tag))})
		}
	}
	for _, text := range p.Prefixes {
		b, note, err := t.prefixBan(text, hard)
		if err := add(note, err, b); err != nil {
			return nil, nil, err
		}
	}
	for _, text := range p.Patterns {
		b, err := patternBan(text, hard)
		if err := add("", err, b); err != nil {
			return nil, nil, err
		}
	}
	if p.All {
		all = append(all, ban.Purge{Kind: ban.Everything, Hard: hard})
	}
	return all, notes, nil
}

func (e *Edge) cache() *caching {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.caching != nil && e.caching.Resting() {
		return nil
	}
	return e.caching
}
