package edge

import (
	"time"

	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/message"
)

// tunnelIdle is how long an upgraded connection may be silent in both directions.
const tunnelIdle = time.Hour

// pipe carries bytes in one direction of an upgraded connection (RFC 9110, section 7.8).
type pipe struct {
	from, to *loop.Conn
	buf      []byte
	count    *int64
	last     *loop.Time // when anything moved, in either direction
	failed   bool
	running  bool
	notify   *loop.Task
}

// switches reports whether a 101 is what the client asked for: a switch to the protocol that it named, and no other (RFC
// 9110, section 7.8).
func (h *handler) switches() bool {
	f := &h.x.Resp.Fields
	return h.x.Req.Upgrade && f.Count(message.Upgrade) == 1 && hasToken(f, message.Connection, "upgrade") &&
		message.EqualFold(f.Get(message.Upgrade), h.x.Req.Fields.Get(message.Upgrade))
}

// tunnel answers 101 and then knows nothing of the bytes any more. Each direction has its own task.
func (h *handler) tunnel() {
	h.keep = false
	h.out = h.appendResponse(h.out[:0])
	h.answered = true
	h.x.Journal.Status = 101
	early := h.up.in.bytes()
	if !h.write2(h.out, early) {
		return
	}
	h.x.Journal.Out += int64(len(early))
	h.up.c.WriteBy(h.by(h.tree.cfg.Timeouts.Send))
	if _, err := h.up.c.Write(h.in.bytes()); err != nil {
		h.breakOff(err)
		return
	}
	h.x.Journal.In += int64(len(h.in.bytes()))
	h.up.gave += int64(len(h.in.bytes()))
	in, out := h.x.Journal.In, h.x.Journal.Out
	defer func() {
		h.up.gave += h.x.Journal.In - in
		h.up.got += h.x.Journal.Out - out
	}()
	h.in.r, h.in.w = 0, 0
	h.deadline = 0
	last := h.l.loop.Now()
	buf := h.l.loop.Buffer() // not the request's: its head is still to be logged
	defer h.l.loop.Release(buf)
	up := &pipe{from: h.conn, to: h.up.c, buf: buf, count: &h.x.Journal.In, last: &last, notify: h.t, running: true}
	down := &pipe{from: h.up.c, to: h.conn, buf: h.up.in.b, count: &h.x.Journal.Out, last: &last}
	h.l.loop.Go(up)
	down.Run(h.t)
	if down.failed {
		_ = h.conn.Close() // ends the other direction
	}
	for up.running {
		if h.t.Park(0) != nil {
			return // the engine stops, and the other direction with it
		}
	}
	h.cut = down.failed || up.failed
}

// Run implements loop.Runner: it copies until the end of one side, which it passes on.
func (p *pipe) Run(t *loop.Task) {
	p.copy(t.Loop())
	if p.failed {
		_ = p.from.Close() // both directions end when one breaks
		_ = p.to.Close()
	} else if p.to.CloseWrite() != nil {
		p.failed = true
	}
	p.running = false
	if p.notify != nil {
		p.notify.Wake()
	}
}

func (p *pipe) copy(l *loop.Loop) {
	for {
		p.from.ReadBy(*p.last + int64(tunnelIdle))
		n, err := p.from.Read(p.buf)
		if n == 0 && err != nil {
			if isTimeout(err) && l.Now() < *p.last+int64(tunnelIdle) {
				continue // the other direction was not silent
			}
			p.failed = !isEOF(err)
			return
		}
		*p.last = l.Now()
		*p.count += int64(n)
		p.to.WriteBy(l.Now() + int64(tunnelIdle))
		if _, err := p.to.Write(p.buf[:n]); err != nil {
			p.failed = true
			return
		}
	}
}
