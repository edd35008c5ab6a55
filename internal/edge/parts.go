package edge

import (
	"log/slog"

	"github.com/weirhq/weir/internal/cache"
	"github.com/weirhq/weir/internal/cache/ban"
	"github.com/weirhq/weir/internal/cache/store"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/message"
	"github.com/weirhq/weir/internal/representation"
)

// A request for a part of what is not kept asks the server for that part. What comes back is kept under a key of its
// own (RFC 9111, section 3.3), joined with the one that is there if the two are of one representation and touch (section
// 3.4). What becomes whole that way is kept as the whole; and whoever asks for the whole while its beginning is there has
// only the rest fetched. Without a strong validator a part is kept for itself. There is one stretch at a time, of a bounded length: it is for pages of documents and pieces of
// media, not for a disk of films.

// maxPart is the longest stretch that is kept, in bytes: it is copied when another is joined to it.
const maxPart = 4 << 20

// parting is what a request has to do with parts.
type parting struct {
	wanted bool        // the request is for a part, and what comes for it may be kept
	fill   *store.Fill // what is being kept
	key    store.Key
	old    store.Ref // the stretch that was there
	tail   int64     // where in its body begins what stands behind the new one; -1: nothing does
}

// servePart answers from a kept part; false if there is none that has all that is asked for.
func (h *handler) servePart() bool {
	k := &h.kept
	if !h.findPart() {
		return false
	}
	if h.mayUse(h.l.loop.Wall()) != foundFresh {
		k.release()
		return false
	}
	have, size, _ := k.view.Stretch()
	v := k.view.Validators(h.l.loop.Wall())
	h.x.Journal.Cache = journal.Hit
	if v.Evaluate(&h.x.Req, representation.Cache) == representation.NotModified {
		h.notModified()
		return true
	}
	r := &h.ranges
	r.Select(&h.x.Req, &v, size)
	if r.Part != representation.One || !have.Covers(r.Spans()[0]) {
		k.release()
		return false
	}
	s := r.Spans()[0]
	h.out = h.appendKeptHead(h.out[:0], 206, message.ContentRange)
	h.out = append(representation.AppendContentRange(append(h.out, "Content-Range: "...), s, size), "\r\n"...)
	h.sendSpan(s, have.Off)
	return true
}

// takePart decides what becomes of the response to a request for a part. took is false when it is to be delivered as without
// a cache; a part is kept by the way then.
func (h *handler) takePart(cfg *config.Pool, first []byte) (o outcome, took bool) {
	k := &h.kept
	if h.x.Resp.Status != 200 {
		h.keepPart(first)
		return 0, false
	}
	// The server serves no ranges of it, or the client's If-Range is not met: this is the whole.
	k.part.wanted, k.asks, k.led = false, true, k.noted
	return h.take(cfg, first)
}

// findPart looks up the part that is kept under the request's key.
func (h *handler) findPart() bool {
	k := &h.kept
	var key cache.Key
	key, h.scratch = h.route.cache.keyer.Part(cache.Key(k.key), h.scratch)
	if k.ref, k.has = h.l.edge.caching.Memory.Get(store.Key(key)); !k.has {
		return false
	}
	if k.view = cache.NewView(k.ref.Head()); k.view.Kind() != cache.Part {
		k.release()
	}
	return k.has
}

// findBeginning looks up a part of what is to be fetched that begins at the beginning, so that the rest will do.
func (h *handler) findBeginning() {
	k, c := &h.kept, h.l.edge.caching
	if !h.findPart() {
		return
	}
	verdict, _, tags := c.Purged(&k.primary, k.view, max(k.ref.Checked(), k.view.Born()), k.tags)
	k.tags = tags
	v := k.view.Validators(h.l.loop.Wall())
	if s, _, ok := k.view.Stretch(); !ok || s.Off != 0 || verdict != ban.None || !representation.SameStrong(&v, &v) {
		k.release()
	}
}

// completes makes of the rest that came for a kept beginning the whole response; false when it is not the rest of it.
func (h *handler) completes() bool {
	k, resp := &h.kept, &h.x.Resp
	had, size, _ := k.view.Stretch()
	s, total, ok := stretch(resp)
	was, is := k.view.Validators(h.l.loop.Wall()), h.validators()
	if !ok || total != size || s.Off != had.End() || s.End() != size || !representation.SameStrong(&was, &is) {
		return false
	}
	k.part.old = k.ref.Retain()
	fresh := cache.FreshFields(resp, k.view)
	fresh.Fields.Del(message.ContentRange)
	resp.Status, resp.Reason, resp.Fields, resp.Length = 200, nil, fresh.Fields, size
	return true
}

// begin puts the first bytes of a whole response into a fill: what was kept of it, and what is here.
func (p *parting) begin(fill *store.Fill, first []byte) error {
	for at := int64(0); p.old.Valid() && at < p.old.Size(); {
		b := p.old.Chunk(at)
		if _, err := fill.Write(b); err != nil {
			return err
		}
		at += int64(len(b))
	}
	_, err := fill.Write(first)
	return err
}

// stretch says which bytes of how many a response to a request for one range brings.
func stretch(resp *message.Response) (s representation.Span, size int64, ok bool) {
	if resp.Status != 206 || resp.Body != message.ByLength || resp.Fields.Count(message.ContentRange) != 1 {
		return s, 0, false
	}
	s, size, ok = representation.ParseContentRange(resp.Fields.Get(message.ContentRange))
	return s, size, ok && size >= 0 && s.N == resp.Length
}

// validators are those of the response in hand.
func (h *handler) validators() representation.Validators {
	f, now := &h.x.Resp.Fields, h.l.loop.Wall().Unix()
	v := representation.Validators{ETag: f.Get(message.ETag), Modified: representation.NoTime, Date: now}
	if t, ok := representation.ParseDate(f.Get(message.LastModified), now); ok {
		v.Modified = t
	}
	if t, ok := representation.ParseDate(f.Get(message.Date), now); ok {
		v.Date = t
	}
	return v
}

// keepPart begins to keep the response to a request for a part, of which first is here. It is delivered as without a cache.
func (h *handler) keepPart(first []byte) {
	k, c, resp := &h.kept, h.l.edge.caching, &h.x.Resp
	p := &k.part
	s, size, ok := stretch(resp)
	is := h.validators()
	if !ok || s.N > maxPart {
		return
	}
	whole, ok := h.placed()
	if !ok {
		return
	}
	var key cache.Key
	key, h.scratch = h.route.cache.keyer.Part(cache.Key(whole), h.scratch)
	both, before := s, int64(0)
	p.tail = -1
	r := message.Response{Status: 200}
	if had, ok := h.partBeside(store.Key(key), s, size, &is); ok {
		both.Off = min(had.Off, s.Off)
		both.N = max(had.End(), s.End()) - both.Off
		before = s.Off - both.Off
		if had.End() > s.End() {
			p.tail = s.End() - had.Off
		}
		r = cache.FreshFields(resp, cache.NewView(p.old.Head()))
		r.Status = 200
		r.Fields.Del(message.ContentRange)
	} else {
		for _, l := range resp.Fields.List {
			if l.ID != message.ContentRange {
				r.Fields.Add(l.ID, l.Name, l.Value)
			}
		}
	}
	defer p.settle()
	life, why := h.route.cache.policy.Judge(h.asked(), &r, k.sent, h.l.loop.Wall())
	if why != cache.Kept {
		return
	}
	if p.key = whole; both.N < size {
		p.key, life.Status = store.Key(key), 206
		r.Fields.Add(message.ContentRange, []byte("Content-Range"), representation.AppendContentRange(nil, both, size))
	} else {
		h.canEncode(&r, &life)
	}
	if h.scratch = h.appendStored(h.scratch[:0], life, &r); h.scratch == nil {
		h.scratch = make([]byte, 0, 4<<10)
		return
	}
	fill, err := c.Memory.Begin(p.key, h.scratch, both.N)
	if err != nil {
		return
	}
	p.fill, k.stored = fill, true
	p.copyOld(0, before)
	h.feedPart(first, s.N == int64(len(first)))
}

// partBeside pins the stretch that is kept under a key if another can be joined to it.
func (h *handler) partBeside(key store.Key, s representation.Span, size int64, is *representation.Validators) (had representation.Span, ok bool) {
	p := &h.kept.part
	if p.old, ok = h.l.edge.caching.Memory.Peek(key); !ok {
		return had, false
	}
	v := cache.NewView(p.old.Head())
	had, total, ok := v.Stretch()
	was := v.Validators(h.l.loop.Wall())
	if ok && total == size && had.Meets(s) && max(had.End(), s.End())-min(had.Off, s.Off) <= maxPart && representation.SameStrong(&was, is) {
		return had, true
	}
	p.old.Release()
	p.old = store.Ref{}
	return had, false
}

// copyOld adds the bytes of the old stretch's body from one offset to another.
func (p *parting) copyOld(from, to int64) {
	for from < to && p.fill != nil {
		b := p.old.Chunk(from)
		b = b[:min(int64(len(b)), to-from)]
		p.write(b)
		from += int64(len(b))
	}
}

func (p *parting) write(b []byte) {
	if p.fill == nil {
		return
	}
	if _, err := p.fill.Write(b); err != nil {
		slog.Debug("a part is not kept", "error", err)
		p.drop()
	}
}

// feedPart adds bytes of the part that is being kept; last says that they are its last.
func (h *handler) feedPart(b []byte, last bool) {
	k, c := &h.kept, h.l.edge.caching
	p := &k.part
	p.write(b)
	if !last || p.fill == nil {
		return
	}
	if p.tail >= 0 {
		p.copyOld(p.tail, p.old.Size())
	}
	if p.fill == nil {
		return
	}
	c.Supersede(&p.key) // what became whole is newer than anything that stands there
	p.fill.Unless(h.revoked())
	if err := p.fill.Commit(); err != nil {
		slog.Debug("a part is not kept", "error", err)
	} else if r, ok := c.Memory.Peek(p.key); ok { // as with committed: a purge in between finds it, or is found here
		var verdict ban.Verdict
		if verdict, _, k.tags = c.Purged(&k.primary, cache.NewView(r.Head()), k.born, k.tags); verdict == ban.Hard {
			c.Memory.Drop(r)
		}
		r.Release()
	}
	p.fill = nil
	p.settle()
}

// settle lets go of the old stretch unless something is being made of it.
func (p *parting) settle() {
	if p.fill == nil && p.old.Valid() {
		p.old.Release()
		p.old = store.Ref{}
	}
}

// drop gives up what is being kept.
func (p *parting) drop() {
	if p.fill != nil {
		p.fill.Abort()
		p.fill = nil
	}
	p.settle()
}
