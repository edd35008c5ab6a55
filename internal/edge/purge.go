package edge

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/cache"
	"github.com/weirhq/weir/internal/cache/ban"
	"github.com/weirhq/weir/internal/cache/store"
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
	mode, _ := x.Req.Fields.Named("X-Purge")
	hard := !message.EqualFold(mode, "soft")
	target := h.route.cache.keyer.AppendTarget(nil, x.Req.Path, x.Req.Query, x.Req.HasQuery)
	err := h.ban(ban.Purge{Kind: ban.URL, Hard: hard, Host: string(x.Req.Host), Path: string(target)})
	if errors.Is(err, errHandedOver) {
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

// ban puts a purge into force. What is being fetched is not for those who come from here on.
func (c *caching) ban(p ban.Purge) error {
	if p.Kind == ban.URL && c.alike.Load() {
		path, _, _ := strings.Cut(p.Path, "?")
		also := ban.Purge{Kind: ban.Tag, Hard: p.Hard, Tag: c.seed.AlikeTag([]byte(p.Host), []byte(path))}
		if err := c.add(also); err != nil {
			return err
		}
	}
	if err := c.add(p); err != nil {
		return err
	}
	c.fetches.scatter()
	return nil
}

// add puts one purge on the list, and on the disk's.
func (c *caching) add(p ban.Purge) error {
	if c.disk != nil {
		return c.disk.ban(p)
	}
	_, err := c.bans.Add(p)
	return err
}

// ban is the cache's, for loops.
func (h *handler) ban(p ban.Purge) (err error) {
	e := h.l.edge
	c := e.caching
	switch {
	case e.successor.Load() != nil:
		err = errHandedOver
	case c.disk == nil:
		return c.ban(p)
	default:
		h.t.Do(func() { err = c.ban(p) })
	}
	if to := e.successor.Load(); to != nil && errors.Is(err, errHandedOver) { // its cache is the one that counts
		h.t.Do(func() { err = to.ban(p) })
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
	k.tags = h.l.edge.caching.seed.AppendGroups(k.tags[:0], &resp.Fields, req.Host)
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
	var target []byte
	switch _, rt := h.tree.find(&x); {
	case rt != nil && rt.cache != nil:
		keyer := rt.cache.keyer
		var keyed cache.KeyedRequest
		keyer.Key(&x, &keyed)
		if keyed.Pass == cache.NoPass && h.l.edge.successor.Load() == nil {
			h.forgetKey(keyer, keyed.Key)
			if !keyer.Splits() && !c.hasAlike(keyer, &keyed) {
				return
			}
		}
		target = keyer.AppendTarget(nil, path, query, has)
	case h.tree.scoped: // others' requests for it may take a route with a cache
		if target = append(target, path...); has {
			target = append(append(target, '?'), query...)
		}
	default:
		return
	}
	// This client's request says nothing of the keys that others' requests have.
	if err := h.ban(ban.Purge{Kind: ban.URL, Hard: true, Host: string(x.Req.Host), Path: string(target)}); err != nil {
		h.x.Journal.Detail = "what has changed could not be purged"
	}
}

// forgetKey takes out what is kept under a key, whole or in part.
func (h *handler) forgetKey(keyer *cache.Keyer, k cache.Key) {
	c, key := h.l.edge.caching, store.Key(k)
	c.fetches.forget(key)
	c.store.Delete(key)
	var part cache.Key
	part, h.scratch = keyer.Part(k, h.scratch)
	c.store.Delete(store.Key(part))
	if c.disk.remove(&key) {
		// Else it would be back after a restart.
		if err := h.ban(ban.Purge{Kind: ban.Tag, Hard: true, Tag: keyTag(&key)}); err != nil {
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
	c := e.cache()
	if c == nil {
		return api.Purged{}, errors.New("there is no cache: write cache: in the configuration")
	}
	bans, err := bansOf(c, p)
	if err != nil {
		return api.Purged{}, err
	}
	for _, b := range bans {
		if err := b.Check(); err != nil {
			return api.Purged{}, err
		}
	}
	for _, b := range bans {
		if err := c.ban(b); err != nil {
			return api.Purged{}, err
		}
	}
	c.purges.Add(uint64(len(bans)))
	return api.Purged{Purges: len(bans)}, nil
}

// bansOf makes purges of what was written. All is checked before any is put into force.
func bansOf(c *caching, p api.Purge) (all []ban.Purge, err error) {
	hard := !p.Soft
	for _, u := range p.URLs {
		to, err := url.Parse(u)
		if err != nil || to.Host == "" || to.Scheme != "http" && to.Scheme != "https" {
			return nil, fmt.Errorf("%q is no URL: write it with http:// and a host", u)
		}
		path := to.EscapedPath()
		if path == "" {
			path = "/"
		}
		if to.RawQuery != "" || to.ForceQuery {
			path += "?" + to.RawQuery
		}
		all = append(all, ban.Purge{Kind: ban.URL, Hard: hard, Host: strings.ToLower(to.Hostname()), Path: path})
	}
	for _, t := range p.Tags {
		if t == "" {
			return nil, errors.New("an empty tag")
		}
		all = append(all, ban.Purge{Kind: ban.Tag, Hard: hard, Tag: c.seed.Tag([]byte(t))})
	}
	for kind, list := range map[ban.Kind][]string{ban.Prefix: p.Prefixes, ban.Pattern: p.Patterns} {
		for _, text := range list {
			host, path, ok := strings.Cut(text, "/")
			if !ok || host == "" {
				return nil, fmt.Errorf("%q has no host and path: write www.example.com/path", text)
			}
			if kind == ban.Prefix && host == "*" {
				host = ""
			}
			all = append(all, ban.Purge{Kind: kind, Hard: hard, Host: strings.ToLower(host), Path: "/" + path})
		}
	}
	if p.All {
		all = append(all, ban.Purge{Kind: ban.Everything, Hard: hard})
	}
	return all, nil
}

func (e *Edge) cache() *caching {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.caching
}
