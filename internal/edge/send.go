package edge

import (
	"github.com/weirhq/weir/internal/cache/store"
	"github.com/weirhq/weir/internal/http1"
	"github.com/weirhq/weir/internal/loop"
)

// maxPieces is how many pieces of a kept body go out in one write.
const maxPieces = 16

// sendKept sends a head and the bytes of a kept body from one offset to another, which all are there.
func (h *handler) sendKept(head []byte, r *store.Ref, from, to int64) bool {
	if h.kept.large != nil {
		return h.sendLarge(head, from, to)
	}
	if c := r.Chunk(from); int64(len(c)) >= to-from { // one piece, as with nearly all
		if !h.write2(head, c[:to-from]) {
			return false
		}
		h.x.Journal.Out += to - from
		return true
	}
	h.pieces = append(h.pieces[:0], head)
	for from < to || len(h.pieces) > 0 {
		for from < to && len(h.pieces) < maxPieces {
			c := r.Chunk(from)
			c = c[:min(int64(len(c)), to-from)]
			h.pieces = append(h.pieces, c)
			from += int64(len(c))
		}
		n := int64(-len(head))
		for _, p := range h.pieces {
			n += int64(len(p))
		}
		if !h.pushAll(h.pieces) {
			return false
		}
		h.x.Journal.Out += n
		h.pieces, head = h.pieces[:0], nil
	}
	return true
}

// pushAll writes pieces to the client; the time limit is for progress, as in push.
func (h *handler) pushAll(pieces [][]byte) bool {
	if h.sink != nil {
		for _, p := range pieces {
			if !h.write2(p, nil) {
				return false
			}
		}
		return true
	}
	for {
		h.conn.WriteBy(h.sendBy())
		n, err := h.conn.WriteAll(pieces)
		if err == nil {
			return true
		}
		if n == 0 || !isTimeout(err) {
			h.lostClient(err)
			return false
		}
	}
}

// reader sends to its handler's client what that handler's own task fetches into the cache, on a task of its own: the client's
// speed is nothing to the others who wait for the response.
type reader struct {
	h       *handler
	f       *fetch
	ref     store.Ref
	running bool
}

// start begins to send the fetch's response behind the head in h.out.
func (r *reader) start(f *fetch) {
	r.f, r.running = f, true
	r.ref = r.h.kept.ref.Retain()
	r.h.l.loop.Go(r)
}

// Run implements loop.Runner.
func (r *reader) Run(t *loop.Task) {
	defer func() {
		r.ref.Release()
		r.running = false
		r.h.t.Wake()
	}()
	r.h.stream(t, r.f, &r.ref, &r.h.kept.me)
}

// wait waits until everything has been sent, or cannot be.
func (r *reader) wait() {
	for r.running {
		if r.h.t.Park(0) != nil {
			return // the engine stops, and the reader with it
		}
	}
}

// stream sends the body of a fetch as it comes, behind the head in h.out.
func (h *handler) stream(t *loop.Task, f *fetch, r *store.Ref, me *follower) bool {
	f.follow(me, t)
	defer me.unfollow()
	head := h.out
	for off := int64(0); ; {
		state := f.now() // before the size: what comes after it is told again
		size := r.Size()
		if off < size {
			if !h.streamPiece(head, r, &off) {
				return false
			}
			head = h.out[:0]
			continue
		}
		switch {
		case len(head) > 0:
			if !h.write2(head, nil) {
				return false
			}
			head = h.out[:0]
			continue
		case off < size+f.spilled.Load():
			if !h.streamSpilled(t, f, off-size, &off) {
				return false
			}
			continue
		case state == kept:
			return h.endStream()
		case state != coming:
			h.cutOff(f)
			return false
		}
		if t.Park(0) != nil {
			h.keep, h.cut = false, true
			return false
		}
	}
}

// streamSpilled sends what has outgrown the cache and stands in a file.
func (h *handler) streamSpilled(t *loop.Task, f *fetch, at int64, off *int64) bool {
	if h.enc.enc != nil {
		return h.encodeSpilled(t, f, at, off)
	}
	n := min(f.spilled.Load()-at, fileStep)
	if h.chunked {
		h.out = http1.AppendChunk(h.out[:0], int(n))
		if !h.write2(h.out, nil) {
			return false
		}
	}
	file, base := f.spilledTo()
	m, err := h.pushFile(t, h.conn, file, base+at, n)
	*off += m
	h.x.Journal.Out += m
	if err != nil {
		h.lostClient(err)
		return false
	}
	return !h.chunked || h.write2(crlf, nil)
}

// cutOff ends a response whose source broke off: the client must not take the part for the whole.
func (h *handler) cutOff(f *fetch) {
	h.keep, h.cut = false, true
	if !h.chunked && (f.endless || h.enc.enc != nil) {
		h.resetClient() // a plain close would be read as the end of the body
	}
}
