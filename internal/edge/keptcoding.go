package edge

import (
	"log/slog"

	"github.com/weirhq/weir/internal/cache"
	"github.com/weirhq/weir/internal/cache/store"
	"github.com/weirhq/weir/internal/compress"
	"github.com/weirhq/weir/internal/message"
	"github.com/weirhq/weir/internal/representation"
)

// What is kept plain is encoded once for each coding that clients want, and kept beside it under a key of its own, which
// holds the number of the plain one: whatever takes that one's place makes the encoded ones unreachable.

// encodeHere is the length up to which a body is compressed on the loop, in about half a millisecond; a longer one is off it,
// and goes out plain to those who come meanwhile.
const encodeHere = 64 << 10

// canEncode notes before a response is stored that it may be compressed, in its fields and its flags.
func (h *handler) canEncode(resp *message.Response, life *cache.Life) {
	noteSurrogate(resp, life)
	p := h.route.compress
	if p == nil {
		return
	}
	// Whatever a client accepts: is it for compression at all?
	verdict, _ := p.Decide(resp.Status, &resp.Fields, -1, representation.Accept{})
	if !verdict.Varies() {
		return
	}
	life.Flags |= cache.Encodable
	if !compress.VaryNames(&resp.Fields) {
		resp.Fields.Add(message.Vary, varyName, varyEncoding)
	}
}

// keptCoding is the coding in which the client would rather have what was found, if that may be encoded.
func (h *handler) keptCoding() representation.Coding {
	p := h.route.compress
	if p == nil || h.sink != nil || h.kept.life.Flags&cache.Encodable == 0 {
		return representation.Identity
	}
	c, _ := representation.Accepted(&h.x.Req.Fields).Choose(p.Order())
	return c
}

// encodedHead is the head to be stored of what was found in its encoded form, nil if it is too large.
func (h *handler) encodedHead(c representation.Coding) []byte {
	k := &h.kept
	plain := cache.FreshFields(&message.Response{}, k.view)
	h.enc.tag = encodeFields(&plain.Fields, c, h.enc.tag[:0])
	return cache.AppendStored(nil, &cache.Stored{Life: k.life, Born: k.view.Born(), Host: k.view.Host(), URL: k.view.URL(), Tags: k.view.AppendTags(nil)}, &plain)
}

// useEncoded turns from what was found to its encoded form, if the client prefers that and it is there or can be made.
func (h *handler) useEncoded() {
	k := &h.kept
	coding := h.keptCoding()
	if coding == representation.Identity || k.large != nil || k.ref.Size() < h.route.compress.Minimum() {
		return
	}
	var key cache.Key
	key, h.scratch = h.route.cache.keyer.Encoded(cache.Key(k.key), k.view.Serial(), coding.String(), h.scratch)
	r, ok := h.get(store.Key(key))
	if !ok {
		if r, ok = h.makeEncoded(store.Key(key), coding); !ok {
			return
		}
	}
	k.release()
	k.ref, k.has, k.view = r, true, cache.NewView(r.Head())
}

// makeEncoded compresses what was found and keeps the result; false when that cannot be had now.
func (h *handler) makeEncoded(key store.Key, coding representation.Coding) (r store.Ref, ok bool) {
	k, c := &h.kept, h.l.edge.caching
	f, leads := c.fetches.join(key, key, 0, k.born)
	if !leads {
		return r, false // somebody is at it
	}
	defer c.fetches.land(f)
	defer f.move(kept)
	head := h.encodedHead(coding)
	if head == nil {
		return r, false
	}
	var err error
	if k.ref.Size() <= encodeHere {
		err = h.encodeInto(h.l.encoders, key, coding, head)
	} else {
		// An encoder of its own: those of the loop are the loop's.
		h.t.Do(func() { err = h.encodeInto(compress.NewPool(1), key, coding, head) })
	}
	if err != nil {
		slog.Debug("what is kept could not be compressed", "error", err)
		return r, false
	}
	return c.Memory.Get(key)
}

// encodeInto compresses the body that was found into an object under a key.
func (h *handler) encodeInto(pool *compress.Pool, key store.Key, coding representation.Coding, head []byte) error {
	k := &h.kept
	enc, err := pool.Get(coding)
	if err != nil {
		return err
	}
	defer pool.Put(enc)
	ref := k.ref.Retain()
	defer ref.Release()
	var out []byte
	for off, size := int64(0), ref.Size(); off < size && err == nil; {
		p := ref.Chunk(off)
		p = p[:min(len(p), compress.MaxWrite)]
		out, err = enc.Write(out, p)
		off += int64(len(p))
	}
	if err == nil {
		out, err = enc.Close(out)
	}
	if err != nil {
		return err
	}
	fill, err := h.l.edge.caching.Memory.Begin(key, head, int64(len(out)))
	if err != nil {
		return err
	}
	if _, err := fill.Write(out); err != nil {
		fill.Abort()
		return err
	}
	r, _ := fill.Ref()
	defer r.Release()
	if err := fill.Commit(); err != nil {
		return err
	}
	h.l.edge.caching.Keep(r, nil)
	return nil
}
