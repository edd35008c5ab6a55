package edge

import (
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

// nextGlance is when a request that waits until deadline looks up.
func (h *handler) nextGlance(cfg *config.Pool, deadline loop.Time) loop.Time {
	if !watched(cfg) {
		return deadline
	}
	at := h.l.loop.Now() + int64(glance)
	if deadline != 0 && deadline < at {
		return deadline
	}
	return at
}

// glanced says what a request does whose wait was over: try elsewhere (deserted), go on waiting, or, at the deadline, neither.
func (h *handler) glanced(cfg *config.Pool, deadline loop.Time) (o outcome, on bool) {
	u := &h.up
	if !watched(cfg) {
		return done, false
	}
	if u.s.GivenUp(&h.turn) && h.retries(deserted, cfg) {
		u.fault = pool.TimedOut
		h.x.Journal.Cause = journal.FirstByteTimeout
		return deserted, false
	}
	return done, deadline == 0 || h.l.loop.Now() < deadline
}
