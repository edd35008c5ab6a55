package edge

import (
	"time"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/message"
	"github.com/weirhq/weir/internal/pool"
	"github.com/weirhq/weir/internal/pool/link"
)

// hedge is a second request for the same, to another server, because the first one takes long. It runs on a task of its own,
// with a place, a connection and a buffer of its own, until the first of the two answers:
//
//	runs ─► won     its first bytes are here; the handler takes all of it over, or lets it go if its own came in the same moment
//	  └───► over    it failed, or was not wanted any more: its task has given back what it had
//
// All is on one loop, and the handler stays in receive meanwhile, with nothing read.
type hedge struct {
	l    *local
	h    *handler // nil: not wanted any more
	p    *pool.Pool
	not  *pool.Server
	turn pool.Turn
	s    *pool.Server // holds a place there
	c    *loop.Conn
	in   window
	head []byte // of the request
	of   link.Origin
	runs bool
	won  bool

	worker        time.Duration // how long a try at a worker may take, 0: there is no limit
	overrun       loop.Time     // when this one has taken that long; 0: nothing was sent
	connectBy, by loop.Time
	send          time.Duration
}

const maxFreeHedges = 64

// hedgeAt is when the request in hand is to be sent to a second server, 0: never. Where sessions stay at one server, a second
// one does not know them.
func (h *handler) hedgeAt(cfg *config.Pool) loop.Time {
	if cfg.Hedge == nil || cfg.Sticky != nil || !h.hedgeable() {
		return 0
	}
	after, ok := h.up.s.HedgeAfter(&h.turn)
	if !ok || h.x.Journal.Retries > 0 {
		return 0
	}
	return h.l.loop.Now() + int64(after)
}

// hedgeable reports whether asking twice at a time means the same, and costs no client's body.
func (h *handler) hedgeable() bool {
	req := &h.x.Req
	return (req.Method == message.GET || req.Method == message.HEAD) && req.Body == message.NoBody && !req.Upgrade
}

// tookHedgeable tells the pool how long an answer took, for the time after which others are hedged.
func (h *handler) tookHedgeable() {
	if sent := h.x.Journal.At[journal.Sent]; sent != 0 && h.hedgeable() {
		h.up.s.HedgeTook(&h.turn, time.Duration(h.l.loop.Now()-sent))
	}
}

// hedges begins a second request if that is allowed.
func (h *handler) hedges(p *pool.Pool, cfg *config.Pool, by loop.Time) {
	if h.hedge != nil || !h.up.s.MayHedge(&h.turn) {
		return
	}
	b := h.l.newHedge()
	b.h, b.p, b.not = h, p, h.up.s
	b.head = append(b.head[:0], h.out...)
	b.of = h.up.of
	b.worker = cfg.Timeouts.Worker
	b.connectBy, b.by, b.send = h.by(cfg.Timeouts.Connect), by, h.tree.cfg.Timeouts.Send
	b.runs = true
	h.hedge = b
	h.l.active++
	h.l.loop.Go(b)
}

func (l *local) newHedge() *hedge {
	if n := len(l.hedges); n > 0 {
		b := l.hedges[n-1]
		l.hedges = l.hedges[:n-1]
		return b
	}
	return &hedge{l: l}
}

// Run implements loop.Runner.
func (b *hedge) Run(t *loop.Task) {
	fault := pool.Aborted
	defer func() { // deferred: the place is given back even if we panic
		b.runs = false
		b.l.active--
		h := b.h
		if b.won && h != nil {
			h.up.c.ReadBy(1) // ends the read that it waits in,
			h.t.Wake()       // or its wait for this one
			return
		}
		b.free(fault)
		if h != nil {
			h.hedge = nil
			h.t.Wake()
		}
	}()
	if b.h == nil {
		return
	}
	if b.s = b.p.PickOther(t, &b.turn, b.not); b.s == nil {
		return
	}
	b.h.x.Journal.Hedge = journal.HedgeLost // until it wins
	for fresh := false; b.h != nil; fresh = true {
		c, reused, err := b.s.ConnectFor(t, &b.of, fresh, b.connectBy)
		if err != nil {
			fault = pool.ConnectError
			return
		}
		b.c = c
		if b.h == nil {
			return
		}
		if fault = b.ask(t); b.won || !reused || fault != pool.EmptyResponse || b.h == nil {
			break
		}
		_ = c.Close() // a kept one that was dead, which says nothing of the server
		b.c = nil
	}
	if b.h == nil {
		fault = pool.Aborted
	}
}

// ask sends the request and waits for the first bytes of an answer.
func (b *hedge) ask(t *loop.Task) pool.Outcome {
	if b.send > 0 {
		b.c.WriteBy(b.l.loop.Now() + int64(b.send))
	}
	if b.worker > 0 {
		b.overrun = b.l.loop.Now() + int64(b.worker)
	}
	if _, err := b.c.Write(b.head); err != nil {
		return pool.EmptyResponse
	}
	if c := b.l.edge.chaos.Load(); c != nil {
		b.suffer(t, c)
	}
	if b.in.b == nil {
		b.in.b = b.l.loop.Buffer()
	}
	b.in.r, b.in.w = 0, 0
	b.c.ReadBy(b.by)
	for b.in.w < len("HTTP/1.1 200") {
		n, err := b.c.Read(b.in.b[b.in.w : len(b.in.b)-tail])
		b.in.w += n
		if n == 0 && err != nil {
			if isTimeout(err) {
				return pool.TimedOut
			}
			return pool.EmptyResponse
		}
	}
	if b.in.b[len("HTTP/1.1 ")] == '5' {
		// Who fails is often quick. The first server may still do better.
		b.turn.Answered(500, 0)
		return pool.OK
	}
	b.won = b.h != nil
	return pool.Aborted
}

// free gives back what the hedge holds.
func (b *hedge) free(o pool.Outcome) {
	if b.c != nil && b.overrun != 0 && (o == pool.Aborted || o == pool.TimedOut) {
		b.l.outlasts(b.s, &b.turn, b.c, b.overrun, true)
		b.c, b.s = nil, nil
	}
	if b.c != nil {
		_ = b.c.Close() // what is still to come on it is not wanted
		b.c = nil
	}
	if b.s != nil {
		b.s.Done(&b.turn, o)
		b.s = nil
	}
	b.in.free(b.l.loop)
	b.h, b.p, b.not, b.won, b.overrun = nil, nil, nil, false, 0
	if len(b.l.hedges) < maxFreeHedges {
		b.l.hedges = append(b.l.hedges, b)
	}
}

// endHedge lets the second request go: the first one was quicker, or both are not wanted any more.
func (h *handler) endHedge() {
	b := h.hedge
	h.hedge = nil
	b.h = nil
	if !b.runs {
		b.free(pool.Aborted)
		return
	}
	switch { // ends what its task waits in
	case b.c == nil:
	case b.overrun != 0:
		b.c.WriteBy(1)
		b.c.ReadBy(1)
	default:
		_ = b.c.Close()
	}
}

// hedgeWins makes the second request the one whose answer counts, if it has one. The first server's place is given back
// with the outcome o.
func (h *handler) hedgeWins(o pool.Outcome) bool {
	b := h.hedge
	if b == nil || !b.won || b.runs {
		return false
	}
	u := &h.up
	h.tookHedgeable() // so long at least
	if h.overrun != 0 && u.c != nil && h.l.loop.Now() < h.overrun {
		u.fault = o
		u.leaveBusy(h)
		u.fault = pool.OK
	}
	u.closeConn()
	if u.s != nil {
		u.tell(&h.turn)
		u.s.Done(&h.turn, o)
	}
	u.in.free(h.l.loop)
	h.turn.TakeOver(&b.turn)
	h.turn.Won()
	u.s, u.c, u.in, u.wrote, u.sent, u.late = b.s, b.c, b.in, true, true, lateness{}
	u.gave, u.got = int64(len(b.head)), int64(b.in.w)
	b.s, b.c, b.in, b.won = nil, nil, window{}, false
	if h.hedge = nil; b.overrun != 0 {
		h.limitWorker(b.overrun) // the time is a worker's own
	}
	b.free(pool.Aborted)
	h.x.Journal.Server, h.x.Journal.Hedge = u.s.Name(), journal.HedgeWon
	return true
}

// outlives waits for the second request when the first has failed, and says whether it has an answer.
func (h *handler) outlives(by loop.Time, o pool.Outcome) bool {
	for h.hedge != nil && h.hedge.runs {
		if h.t.Park(by) != nil {
			return false
		}
	}
	return h.hedgeWins(o)
}
