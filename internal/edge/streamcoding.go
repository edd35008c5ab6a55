package edge

import (
	"github.com/weirhq/weir/internal/cache"
	"github.com/weirhq/weir/internal/cache/store"
	"github.com/weirhq/weir/internal/compress"
	"github.com/weirhq/weir/internal/http1"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/message"
	"github.com/weirhq/weir/internal/representation"
)

// What is on its way into the cache is compressed for each client by itself, as what is not for the cache: the plain body
// is kept, and encoded once for all when it is whole (see keptcoding.go).

// encodeShared begins to compress, if the client prefers that, a response whose body is still coming. It returns what the
// head is to be made of.
func (h *handler) encodeShared(f *fetch) cache.View {
	k, e := &h.kept, &h.enc
	h.endEncoding()
	coding := h.keptCoding()
	if coding == representation.Identity || !f.endless && f.length < h.route.compress.Minimum() {
		return k.view
	}
	head := h.encodedHead(coding)
	if head == nil {
		return k.view
	}
	if !h.isHead() {
		enc, err := h.l.encoders.Get(coding)
		if err != nil {
			return k.view // all are taken: it goes out plain
		}
		plain := cache.FreshFields(&message.Response{}, k.view)
		e.enc, e.ended, e.flushes = enc, false, compress.Flushes(&plain.Fields)
	}
	e.coding = coding
	return cache.NewView(head)
}

// streamPiece sends the next piece of a body from off on, as a chunk when the response goes out chunked.
func (h *handler) streamPiece(head []byte, r *store.Ref, off *int64) bool {
	p := r.Chunk(*off)
	if h.enc.enc != nil {
		p = p[:min(len(p), compress.MaxWrite)]
	}
	*off += int64(len(p))
	return h.streamBytes(head, p, false)
}

// streamBytes sends bytes of the body behind a head, encoded if the response is; last says that they are the last.
func (h *handler) streamBytes(head, p []byte, last bool) bool {
	if h.enc.enc != nil {
		var err error
		if p, err = h.enc.encoded(p, last); err != nil {
			h.breakOff(err)
			return false
		}
	}
	if len(p) == 0 {
		return len(head) == 0 || h.write2(head, nil)
	}
	ok := false
	if h.chunked {
		h.pieces = append(h.pieces[:0], http1.AppendChunk(head, len(p)), p, crlf)
		ok = h.pushAll(h.pieces)
	} else {
		ok = h.write2(head, p)
	}
	if ok {
		h.x.Journal.Out += int64(len(p))
	}
	return ok
}

// endStream sends what comes behind the last byte of the body.
func (h *handler) endStream() bool {
	if h.enc.enc != nil && !h.streamBytes(nil, nil, true) {
		return false
	}
	if !h.chunked {
		return true
	}
	h.out = http1.AppendLastChunk(h.out[:0], nil)
	return h.write2(h.out, nil)
}

// encodeSpilled is streamSpilled for a response that is compressed.
func (h *handler) encodeSpilled(t *loop.Task, f *fetch, at int64, off *int64) bool {
	p := make([]byte, min(f.spilled.Load()-at, compress.MaxWrite))
	n, err := 0, error(nil)
	file, base := f.spilledTo()
	t.Do(func() { n, err = file.ReadAt(p, base+at) })
	if n == 0 {
		h.breakOff(err)
		return false
	}
	*off += int64(n)
	return h.streamBytes(nil, p[:n], false)
}
