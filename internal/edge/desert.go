package edge

import (
	"errors"
	"time"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/pool"
)

// A server that hangs is found out by its check, or by other requests, long before timeouts.first_byte of the requests that wait
// there. Who waits looks up now and then, and goes to another server when this one was given up. Only what may be sent twice
// does (RFC 9110, section 9.2.2), as after an empty response. In a pool without health and eject nobody looks.

func watched(cfg *config.Pool) bool { return cfg.Health != nil || cfg.Eject != nil }

// glance is how often a request that waits for a response looks whether its server was given up.
const glance = 250 * time.Millisecond

// lookOut is how often it looks whether its client is still there.
const lookOut = time.Second

// nextGlance is when a request that waits until deadline looks up.
func (h *handler) nextGlance(cfg *config.Pool, deadline loop.Time) loop.Time {
	at := h.l.loop.Now()
	switch {
	case watched(cfg):
		at += int64(glance)
	case h.looksOut():
		at += int64(lookOut)
	default:
		return deadline
	}
	if deadline != 0 && deadline < at {
		return deadline
	}
	return at
}

// glanced says what a request does whose wait was over: try elsewhere (deserted), end since the client has left (late), go on waiting, or, at the deadline, neither.
func (h *handler) glanced(cfg *config.Pool, deadline loop.Time) (o outcome, on bool) {
	u := &h.up
	if u.gate != nil && u.gate.vigil.gone {
		return late, false
	}
	out := h.looksOut()
	if !watched(cfg) && !out {
		return done, false
	}
	if out {
		h.lookOut()
	}
	if watched(cfg) && u.s.GivenUp(&h.turn) && h.retries(deserted, cfg) {
		u.fault = pool.TimedOut
		h.x.Journal.Cause = journal.FirstByteTimeout
		return deserted, false
	}
	return done, deadline == 0 || h.l.loop.Now() < deadline
}

// looksOut says whether it matters to an HTTP/1 server that its client leaves: nobody else waits for the response.
func (h *handler) looksOut() bool {
	return h.up.gate == nil && h.up.sent && !h.left && !h.alone && !h.isPart && h.sink == nil && !h.kept.asks
}

// lookOut passes a client's hang-up on to the server. Only our sending side is closed: a server that minds (most that do not give a whole
// process to each request) ends its work and closes, and one that does not is busy until it answers, so that its place is not free
// before that; and a client that has only closed its sending side still gets its response.
func (h *handler) lookOut() {
	if errors.Is(h.conn.Watch(h.t, true), loop.ErrHangup) {
		h.left = h.up.c.CloseWrite() == nil
	}
	_ = h.conn.Watch(nil, false) // it cannot fail
}

// forsaken ends a request whose client left and whose server then ended it without a response.
func (h *handler) forsaken() bool {
	if !h.left {
		return false
	}
	if h.up.fault != pool.TimedOut {
		h.up.fault = pool.Aborted
	}
	h.keep, h.cut = false, true
	h.x.Journal.Cause, h.x.Journal.Detail = journal.ClientGone, ""
	return true
}
