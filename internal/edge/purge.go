package edge

import (
	"errors"
	"fmt"
	"log/slog"
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
	err := h.ban(ban.Purge{Kind: ban.URL, Hard: hard, Host: string(x.Req.Host), Path: string(x.Req.Target)})
	if errors.Is(err, errHandedOver) {
		h.fail(503, journal.Stopping, err.Error())
		return
	}
	if err != nil {
		h.fail(400, journal.Refused, err.Error())
		return
	}
	h.l.count.purges++
	h.respond(200, "text/plain; charset=utf-8", []byte("purged\n"), nil)
}

// ban puts a purge into force. What is being fetched is not for those who come from here on.
func (c *caching) ban(p ban.Purge) error {
	var err error
	if c.disk != nil {
		err = c.disk.ban(p)
	} else {
		_, err = c.bans.Add(p)
	}
	if err == nil {
		c.fetches.scatter()
	}
	return err
}

// ban is the cache's, for loops.
func (h *handler) ban(p ban.Purge) (err error) {
	c := h.l.edge.caching
	if c.disk == nil {
		return c.ban(p)
	}
	h.t.Do(func() { err = c.ban(p) })
	return err
}

// invalidate takes out what an unsafe request has probably changed: its own address and what its response names of the same
// origin (RFC 9111, section 4.4), and groups (RFC 9875).
func (h *handler) invalidate() {
	x := &h.x
	if h.route.cache == nil || x.Journal.Status < 200 || x.Journal.Status >= 400 || h.x.Resp.Status != x.Journal.Status {
		return
	}
	switch x.Req.Method {
	case message.GET, message.HEAD, message.OPTIONS, message.TRACE:
		return
	}
	h.forget(x.Req.Path, x.Req.Query, x.Req.HasQuery)
	for _, place := range h.kept.places {
		if path, query, has, ok := h.sameOrigin(place); ok {
			h.forget(path, query, has)
		}
	}
	for _, g := range h.kept.tags {
		if err := h.ban(ban.Purge{Kind: ban.Tag, Hard: true, Tag: g}); err != nil {
			h.x.Journal.Detail = "a group could not be purged"
		}
	}
}

// noteInvalidations keeps what a response to an unsafe request names, while its fields are there.
func (h *handler) noteInvalidations() {
	k, f := &h.kept, &h.x.Resp.Fields
	k.places, k.tags = k.places[:0], k.tags[:0]
	if k.headed {
		h.heardOf()
		return
	}
	if h.route.cache == nil || h.x.Req.Method == message.GET {
		return
	}
	for _, id := range [...]message.ID{message.Location, message.ContentLocation} {
		if v := f.Get(id); len(v) > 0 {
			k.places = append(k.places, string(v))
		}
	}
	k.tags = h.l.edge.caching.seed.AppendGroups(k.tags, f, h.x.Req.Host)
}

// heardOf takes what the answer to a HEAD says of what is kept: it freshens it, or shows that it has been replaced (RFC 9111,
// section 4.3.5).
func (h *handler) heardOf() {
	k, c, resp := &h.kept, h.l.edge.caching, &h.x.Resp
	if resp.Status != 200 || !h.find() {
		return
	}
	defer k.release()
	if k.view.Kind() != cache.Response || k.view.Status() != 200 {
		return
	}
	if !cache.Confirms(resp, k.view, k.ref.Size()) {
		c.store.Drop(k.ref)
		return
	}
	fresh := cache.FreshFields(resp, k.view)
	life, why := h.route.cache.policy.Judge(h.asked(), &fresh, k.sent, h.l.loop.Wall())
	if why != cache.Kept {
		return // what it says of a HEAD may not be what it says of a GET
	}
	h.canEncode(&fresh, &life)
	old := k.view.Life()
	keepSurrogate(&life, &old)
	if h.scratch = h.appendStored(h.scratch[:0], life, &fresh, k.born); h.scratch == nil {
		h.scratch = make([]byte, 0, 4<<10)
	} else if err := c.store.ReplaceHead(k.ref, h.scratch); err != nil {
		slog.Debug("a response could not be freshened", "error", err)
	}
}

// forget takes out what is kept under the key that a GET for a path would have.
func (h *handler) forget(path, query []byte, has bool) {
	x, c := h.x, h.l.edge.caching
	x.Req.Method, x.Req.Body, x.Req.Path, x.Req.Query, x.Req.HasQuery = message.GET, message.NoBody, path, query, has
	var keyed cache.KeyedRequest
	h.route.cache.keyer.Key(&x, &keyed)
	if keyed.Pass != cache.NoPass {
		return
	}
	key := store.Key(keyed.Key)
	c.fetches.forget(key)
	c.store.Delete(key)
	var part cache.Key
	part, h.scratch = h.route.cache.keyer.Part(keyed.Key, h.scratch)
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
