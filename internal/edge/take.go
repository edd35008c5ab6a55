package edge

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/weirhq/weir/internal/cache"
	"github.com/weirhq/weir/internal/cache/ban"
	"github.com/weirhq/weir/internal/cache/store"
	"github.com/weirhq/weir/internal/compress"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/message"
	"github.com/weirhq/weir/internal/pool"
)

// take decides what becomes of the response to a fetch. first is what is here of its body. took is false when it is for this
// client alone, and is to be delivered as without a cache.
func (h *handler) take(cfg *config.Pool, first []byte) (o outcome, took bool) {
	k, resp := &h.kept, &h.x.Resp
	if k.has && k.view.Kind() == cache.Response {
		switch {
		case resp.Status == 304 && !cache.Confirms(resp, k.view):
			// RFC 9111, section 4.3.4: it is about something that is not here, and must not freshen what is.
			h.l.edge.caching.Memory.Drop(k.ref)
			k.release()
			k.ask = k.ask[:k.plain]
			return anew, true
		case resp.Status == 304:
			return h.freshen(), true
		case resp.Status >= 500 && h.mayRescue():
			h.up.fault = pool.Unavailable
			h.rescued(resp.Status)
			return done, true
		}
	}
	if k.has && k.view.Kind() == cache.Part && (resp.Status == 206 && !h.completes() || resp.Status == 416) {
		h.l.edge.caching.Memory.Drop(k.ref)
		k.release()
		k.ask = k.ask[:k.plain] // the whole, then
		return anew, true
	}
	life, why := h.route.cache.policy.Judge(h.asked(), resp, k.sent, h.l.loop.Wall())
	if why == cache.Kept {
		why = h.keepBody(cfg, life, first, &o)
	}
	if why == cache.Kept {
		return o, true
	}
	k.why = why
	h.unshare(why)
	if h.alone { // nobody waits for it
		h.up.fault = pool.Aborted
		return done, true
	}
	return 0, false
}

// asked is what counts of the request when its response is judged.
func (h *handler) asked() cache.Asked {
	k := &h.kept
	return cache.Asked{Method: message.GET, NoStore: k.want.NoStore, Authorized: h.x.Req.Fields.Has(message.Authorization),
		Private: k.keyed.Private, Cookies: k.keyed.Cookies, Renewed: k.keyed.Private && h.route.cache.keyer.Renews(&h.x.Req.Fields, &h.x.Resp.Fields)}
}

// unshare tells the followers that they have to ask for themselves; those who come next need not wait if that lasts.
func (h *handler) unshare(why cache.Reason) {
	k := &h.kept
	c := h.l.edge.caching
	if ttl := h.route.cache.policy.HitForMiss; ttl > 0 && !k.hole && why.Lasts(h.asked(), h.x.Resp.Status) {
		h.scratch = cache.AppendHole(h.scratch[:0], h.l.loop.Wall(), ttl, why)
		c.Put(k.led.key, h.scratch, &k.led.spoiled)
	}
	k.led.move(unshared)
	c.fetches.part(k.led)
}

// keepBody puts a response into the cache, and delivers it. A reason other than Kept means that nothing has been done.
func (h *handler) keepBody(cfg *config.Pool, life cache.Life, first []byte, o *outcome) cache.Reason {
	k, resp, u := &h.kept, &h.x.Resp, &h.up
	whole := u.dec.Done()
	length := int64(-1)
	switch {
	case resp.Body == message.ByLength: // of one that completes a part: with what is there already
		length = resp.Length
	case whole:
		length = int64(len(first))
	}
	key, ok := h.placed()
	if !ok {
		return cache.NoRoom
	}
	if !h.alone {
		k.own = cache.AppendWithheld(k.own[:0], &resp.Fields, h.route.cache.policy.Strip)
	}
	h.canEncode(resp, &life)
	h.scratch = h.appendStored(h.scratch[:0], life, resp)
	if h.scratch == nil {
		h.scratch = make([]byte, 0, 4<<10)
		return cache.TooLarge
	}
	fill, err := h.l.edge.caching.Memory.Begin(key, h.scratch, length)
	if err == nil {
		if err = k.part.begin(fill, first); err != nil {
			fill.Abort()
		}
	}
	if errors.Is(err, store.ErrTooLarge) && h.startLarge(length) {
		// It is taken to the disk as it comes.
		fill, err = h.l.edge.caching.Memory.Begin(key, h.scratch, 0)
		if err != nil {
			k.led.large.Abort()
			k.led.large = nil
			k.led.spillTo(nil, 0)
		}
	}
	if err != nil {
		if errors.Is(err, store.ErrTooLarge) {
			return cache.TooLarge
		}
		return cache.NoRoom
	}
	k.release()
	k.ref, k.has = fill.Ref()
	k.key, k.view = key, cache.NewView(k.ref.Head())
	k.life, k.age = life, life.Now(h.l.loop.Wall())
	k.stored = true
	if k.hole {
		h.x.Journal.Cache = journal.Miss // it is one like any other now
	}
	if k.led.large != nil {
		*o = h.shareStream(cfg, fill, first)
		return cache.Kept
	}
	if !whole && resp.Body == message.ByLength && resp.Length <= holdBack {
		// Until it is here the worker may die and the request is not lost.
		if err := h.fetchInto(cfg, k.led, fill); err != nil {
			fill.Abort()
			k.release()
			*o = h.bodyFaulty(err)
			return cache.Kept
		}
		whole = true
	}
	if whole {
		h.x.Journal.Mark(journal.Received, h.l.loop.Now())
		h.committed(fill)
		u.release(h)
		h.deliverKept()
		*o = done
		return cache.Kept
	}
	*o = h.shareStream(cfg, fill, nil)
	return cache.Kept
}

// committed makes a fill an object, unless what it holds was purged while it was fetched.
func (h *handler) committed(fill *store.Fill) {
	k := &h.kept
	c := h.l.edge.caching
	if h.overtaken() {
		fill.Abort() // what has been fetched since stays
		k.stored, k.why = false, cache.Purged
		k.led.move(kept)
		c.fetches.part(k.led)
		return
	}
	// Committed first and looked at afterwards: a purge in between finds the object and this look finds the purge.
	c.Supersede(&k.key)
	fill.Unless(&k.led.spoiled)
	if err := fill.Commit(); err != nil {
		slog.Debug("a response is not kept", "error", err)
		k.stored, k.why = false, cache.NoRoom
		if errors.Is(err, store.ErrRevoked) {
			k.why = cache.Purged
		}
	}
	if k.stored {
		c.Keep(k.ref, &k.led.spoiled)
	}
	h.settle()
}

// overtaken reports whether what the request fetched was purged meanwhile.
func (h *handler) overtaken() bool {
	k := &h.kept
	if k.led.spoiled.Load() {
		return true
	}
	var verdict ban.Verdict
	verdict, _, k.tags = h.l.edge.caching.Purged(&k.primary, k.view, k.led.born, k.tags)
	return verdict == ban.Hard
}

// placed is the key under which a response is kept: the request's, or that of the variant that its Vary makes it.
func (h *handler) placed() (store.Key, bool) {
	c, rc := h.l.edge.caching, h.route.cache
	varyByCoding(&h.x.Resp.Fields)
	primary := h.family(&h.x.Resp)
	names := cache.VaryNames(&h.x.Resp.Fields)
	if names == nil {
		return primary, true
	}
	var old cache.View
	if was, ok := c.Memory.Peek(primary); ok {
		defer was.Release()
		old = cache.NewView(was.Head())
	}
	epoch := newEpoch()
	newest := false
	if old.Kind() == cache.Variants {
		epoch = old.Epoch()
		for l := range old.Lists {
			newest = string(l) == string(names)
			break
		}
	}
	if !newest {
		h.scratch = cache.AppendVariants(h.scratch[:0], old, names, epoch)
		if !c.Put(primary, h.scratch, h.revoked()) {
			return primary, false
		}
	}
	var key cache.Key
	key, h.scratch = rc.keyer.Variant(cache.Key(primary), epoch, names, &h.x.Req.Fields, h.scratch)
	return store.Key(key), true
}

// varyByCoding makes a response that came in a coding one for those who take codings, also when the app forgets to say so: a
// client that does not would get what it cannot read.
func varyByCoding(f *message.Fields) {
	if f.Has(message.ContentEncoding) && !message.EqualFold(f.Get(message.ContentEncoding), "identity") && !compress.VaryNames(f) {
		f.Add(message.Vary, varyName, varyEncoding)
	}
}

// appendStored makes the head to be stored of a response.
func (h *handler) appendStored(dst []byte, life cache.Life, resp *message.Response) []byte {
	k, rc := &h.kept, h.route.cache
	req := &h.x.Req
	k.url = rc.keyer.AppendTarget(k.url[:0], req.Path, req.Query, req.HasQuery)
	k.tags = h.l.edge.caching.Seed.AppendTags(k.tags[:0], &resp.Fields, req.Host)
	if _, alike := cache.ParseNoVary(&resp.Fields); alike {
		k.tags = append(k.tags, h.l.edge.caching.Seed.AlikeTag(req.Host, req.Path))
	}
	return cache.AppendStored(dst, &cache.Stored{Life: life, Born: k.since(), Host: req.Host, URL: k.url, Tags: k.tags, Strip: rc.policy.Strip, Serial: rand.Uint64()}, resp)
}

// shareStream takes the rest of a body from the server into the cache; all who want it read it there, this request's client
// too. first is what has come of it and is not in the fill.
func (h *handler) shareStream(cfg *config.Pool, fill *store.Fill, first []byte) outcome {
	k := &h.kept
	f := k.led
	length := int64(-1)
	if h.x.Resp.Body == message.ByLength {
		length = h.x.Resp.Length
	}
	f.begin(fill, k.key, length)
	switch {
	case h.alone:
	case h.hasIt():
		h.notModified()
	default:
		h.sharedHead(f)
		k.reader.start(f)
	}
	var err error
	if len(first) > 0 {
		err = h.spillOver(cfg, f, first)
		f.news()
	}
	if err == nil {
		err = h.fetchInto(cfg, f, fill)
	}
	switch {
	case err != nil:
		h.breakOff(err)
		fill.Abort()
		if f.large != nil {
			f.large.Abort()
		}
		f.move(cutShort)
	case f.large != nil:
		h.committedLarge(fill)
	case f.spill != nil:
		fill.Abort()
		k.stored = false
		f.move(kept)
	default:
		h.committed(fill)
	}
	h.l.edge.caching.fetches.part(f)
	if err == nil {
		h.x.Journal.Mark(journal.Received, h.l.loop.Now())
		h.up.release(h)
	}
	k.reader.wait()
	f.letGo(h.t)
	return done
}

// fetchInto reads the rest of the body.
func (h *handler) fetchInto(cfg *config.Pool, f *fetch, fill *store.Fill) error {
	for {
		data, err := h.up.read(h, h.by(cfg.Timeouts.BetweenBytes))
		if err != nil {
			return err
		}
		if data == nil {
			return nil
		}
		if h.unwanted(f) {
			return errUnwanted
		}
		if f.spill == nil {
			var n int
			if n, err = fill.Write(data); err != nil {
				slog.Debug("a response is not kept", "error", err)
			}
			data, err = data[n:], nil
		}
		if len(data) > 0 { // there is no room for it: those who have its beginning get the rest by way of a file
			if f.spill == nil && !h.outgrow(f, &h.kept.ref) {
				h.l.edge.caching.fetches.part(f)
			}
			err = h.spillOver(cfg, f, data)
		}
		if err != nil {
			slog.Error("a response has outgrown the cache", "route", h.route.name, "error", err)
			return err
		}
		f.news()
	}
}

// unreadFor is how long a response without a known end is taken on for the cache alone.
const unreadFor = 30 * time.Second

// unwanted reports whether there is no use in fetching more: nobody reads what comes, and it is not kept, or may never end.
func (h *handler) unwanted(f *fetch) bool {
	k := &h.kept
	if f.spill == nil && !f.endless {
		return false
	}
	if k.reader.running || f.isRead() {
		k.unread = 0
		return false
	}
	now := h.l.loop.Now()
	if k.unread == 0 {
		k.unread = now
	}
	return f.spill != nil && f.large == nil || f.endless && now-k.unread > int64(unreadFor)
}

// spillOver puts what the store does not take into a file: one of the cache's disk, or an unlinked one.
func (h *handler) spillOver(cfg *config.Pool, f *fetch, data []byte) error {
	if f.large != nil {
		return h.writeLarge(cfg, f, data)
	}
	at := f.spilled.Load()
	if at+int64(len(data)) > cfg.Buffer.File {
		return errSpoolFull
	}
	file := f.spill
	var err error
	h.t.Do(func() {
		if file == nil {
			file, err = unlinked(cfg.Buffer.Dir)
		}
		if err == nil {
			_, err = file.WriteAt(data, at)
		}
	})
	if file != nil {
		f.spillTo(file, 0)
	}
	if err == nil {
		f.spilled.Store(at + int64(len(data)))
	}
	return err
}

// freshen takes a 304, or the response to a HEAD, for what is kept.
func (h *handler) freshen() outcome {
	k, c := &h.kept, h.l.edge.caching
	h.x.Journal.Cache = journal.Revalidated
	if !h.alone {
		k.own = cache.AppendWithheld(k.own[:0], &h.x.Resp.Fields, h.route.cache.policy.Strip)
	}
	fresh := cache.FreshFields(&h.x.Resp, k.view)
	life, why := h.route.cache.policy.Judge(h.asked(), &fresh, k.sent, h.l.loop.Wall())
	if why == cache.Kept {
		h.canEncode(&fresh, &life)
		varyByCoding(&fresh.Fields)
		if !k.view.VariesAs(&fresh.Fields) {
			why = cache.OtherVary // its place is that of the old one: others would find it who do not select it
		}
	}
	h.up.release(h)
	if why != cache.Kept { // it may not be kept any longer, but it may be served this once
		c.Drop(k.ref, &k.key)
		k.why = why
	} else {
		keepSurrogate(&life, &k.life)
		life.Flags |= k.life.Flags & cache.OnDisk
		k.life = life
		h.scratch = h.appendStored(h.scratch[:0], life, &fresh)
		if h.scratch == nil {
			h.scratch = make([]byte, 0, 4<<10)
		} else if err := c.Memory.ReplaceHead(k.ref, h.scratch); err != nil {
			slog.Debug("a response could not be freshened", "error", err)
		} else if r, ok := c.Memory.Peek(k.key); ok {
			large := k.large // it has the same body
			k.large = nil
			k.release()
			k.ref, k.has, k.view, k.stored, k.large = r, true, cache.NewView(r.Head()), true, large
			c.Keep(r, h.revoked())
		}
	}
	k.age = k.life.Now(h.l.loop.Wall())
	if k.led != nil {
		k.led.move(kept)
		c.fetches.part(k.led)
	}
	h.deliverKept()
	return done
}

// revoked is set when what the request fetches is taken out; nil if it fetches nothing.
func (h *handler) revoked() *atomic.Bool {
	k := &h.kept
	switch {
	case k.led != nil:
		return &k.led.spoiled
	case k.noted != nil:
		return &k.noted.spoiled
	}
	return nil
}

// since is the last purge that was known when the server was asked.
func (k *keeping) since() uint64 {
	if k.led != nil {
		return k.led.born
	}
	return k.born
}

// headed takes the response to a HEAD for what is kept: it freshens that, or shows that it is out of date (RFC 9111, section
// 4.3.5). took is false when it is to be delivered as without a cache.
func (h *handler) headed() (o outcome, took bool) {
	k, resp := &h.kept, &h.x.Resp
	switch {
	case resp.Status >= 500 && h.mayRescue():
		h.up.fault = pool.Unavailable
		h.rescued(resp.Status)
		return done, true
	case resp.Status != k.view.Status():
		return 0, false
	}
	length := announced(&resp.Fields)
	if !cache.Confirms(resp, k.view) || length >= 0 && length != k.ref.Size() {
		h.l.edge.caching.Drop(k.ref, &k.key)
		return 0, false
	}
	return h.freshen(), true
}
