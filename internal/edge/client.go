package edge

import (
	"errors"
	"io"
	"time"

	"github.com/weirhq/weir/internal/http1"
	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/loop"
)

// listener accepts for one address on one loop.
type listener struct {
	l      *local
	scheme string
	key    string // of the address, as in tree.tcp
}

// Accept implements loop.Acceptor.
func (ln *listener) Accept(c *loop.Conn) {
	l := ln.l
	tree := l.edge.tree.Load()
	if max := l.edge.roomFor(tree.cfg); l.edge.connections.Load() >= max || l.edge.crowded() {
		l.count.Refused++
		l.edge.sayFull(max, l.loop.Wall())
		_ = c.Reset() // nothing can be told to a client that is refused unheard
		return
	}
	l.edge.connections.Add(1)
	l.count.Accepted++
	if len(tree.tcp) > 0 {
		if e := tree.tcp[ln.key]; e != nil {
			l.relay.Begin(c, e)
			return
		}
	}
	cl := &client{conn: c, l: l, scheme: ln.scheme}
	if p := tree.cfg.ProxyProtocol; p != nil && p.Introduces(c.Peer()) {
		cl = await(*cl)
	}
	c.Rest(cl, l.after(tree.firstByte))
}

// client is one HTTP/1 connection of a client. While it rests between requests this and the loop's part are all that
// it costs.
type client struct {
	conn   *loop.Conn
	l      *local
	scheme string
	via    *introduction // nil: it has none
}

// Ready implements loop.Rester: the first byte of a request is there, or the client closed.
func (cl *client) Ready(*loop.Conn) { cl.l.loop.Go(cl) }

// Expired implements loop.Rester: nothing came for the idle time.
func (cl *client) Expired(*loop.Conn) { cl.close() }

// after is the time so much from now, none when d is 0.
func (l *local) after(d time.Duration) loop.Time {
	if d <= 0 {
		return 0
	}
	return l.loop.Now() + int64(d)
}

func (cl *client) close() {
	_ = cl.conn.Close() // the peer may have gone already; there is nobody to tell
	cl.l.edge.connections.Add(-1)
}

// Run implements loop.Runner: it serves requests until the connection rests or closes.
func (cl *client) Run(t *loop.Task) {
	h := cl.l.handler()
	h.t, h.cl, h.conn = t, cl, cl.conn
	defer h.leave()
	if cl.via != nil && cl.via.awaited && !h.meet() {
		return
	}
	for {
		switch h.readHead() {
		case headNone:
			return
		case headBad:
			h.finish()
			return
		}
		h.serve()
		h.finish()
		if !h.keep {
			return
		}
		if h.in.empty() {
			h.rests = true
			cl.conn.ReadBy(0)
			cl.conn.WriteBy(0)
			cl.conn.Rest(cl, cl.l.after(h.tree.cfg.Timeouts.Idle))
			return
		}
	}
}

type headRead uint8

const (
	headNone headRead = iota // the client closed between requests
	headBad                  // answered already
	headOK
)

// readHead reads and parses one request head. The head stays where it was read until the request is answered.
func (h *handler) readHead() headRead {
	h.begin()
	begun := false
	for {
		if !h.in.empty() {
			if !begun {
				begun = true
				h.x.Journal.Start = h.l.loop.Wall()
				h.x.Journal.Mark(journal.Begun, h.l.loop.Now())
				h.conn.ReadBy(h.by(h.tree.cfg.Timeouts.Head))
			}
			n, err := http1.ParseRequest(h.in.bytes(), &h.x.Req, &h.tree.limits)
			if err != nil {
				h.identify()
				h.keep = false
				reason := err.Reason
				if h.uninvited() {
					reason = unasked
				}
				h.fail(err.Status, journal.BadRequest, reason)
				return headBad
			}
			if n > 0 {
				h.in.r += n
				h.parsed = true
				h.identify()
				h.x.Journal.Mark(journal.HeadRead, h.l.loop.Now())
				return headOK
			}
		}
		h.in.room(h.l.loop, 0)
		n, err := h.conn.Read(h.in.b[h.in.w:])
		h.in.w += n
		if err != nil && n == 0 {
			return h.headCut(err, begun)
		}
	}
}

// headCut ends a connection on which no whole head came.
func (h *handler) headCut(err error, begun bool) headRead {
	h.keep = false
	if !begun {
		return headNone
	}
	h.identify()
	// What could be read, for the log: the bytes may have moved since.
	_, _ = http1.ParseRequest(h.in.bytes(), &h.x.Req, &h.tree.limits)
	switch {
	case errors.Is(err, loop.ErrTimeout):
		h.fail(408, journal.HeadTimeout, "the head did not come within timeouts.head")
	case errors.Is(err, io.EOF):
		h.fail(400, journal.ClientGone, "the connection closed within the head")
	default:
		h.x.Journal.Cause = journal.ClientGone // it reset the connection: nothing can be told
	}
	return headBad
}

// window is a buffer with unread bytes at b[r:w].
type window struct {
	b    []byte
	r, w int
}

func (w *window) empty() bool   { return w.r == w.w }
func (w *window) bytes() []byte { return w.b[w.r:w.w] }

// room makes space behind the unread bytes: it moves them to the front, and into a larger buffer when that is not
// enough. A head never outgrows the large buffer, since Limits.Head is below it. The last tail bytes stay free.
func (w *window) room(l *loop.Loop, tail int) {
	if w.w < len(w.b)-tail {
		return
	}
	if w.r > 0 {
		w.w = copy(w.b, w.b[w.r:w.w])
		w.r = 0
		return
	}
	large := l.LargeBuffer()
	w.w = copy(large, w.bytes()) // r is 0
	l.Release(w.b)
	w.b = large
}

// free gives the buffer back.
func (w *window) free(l *loop.Loop) {
	if w.b != nil {
		l.Release(w.b)
		*w = window{}
	}
}
