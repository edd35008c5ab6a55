package edge

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/pool"
	"github.com/weirhq/weir/internal/pool/limit"
)

// rank makes the turn ready for a request: its class in the pool's queue, and whose it is.
func (h *handler) rank(cfg *config.Pool) {
	h.turn.Reset()
	var client uint64
	if cfg.Queue.Fair {
		client = limit.ClientKey(h.x.Client)
	}
	h.turn.Rank(limit.Class(h.route.config.Priority), client)
}

// clientBytes are those of limit.ClientKey, for a hash of them.
func clientBytes(a netip.Addr) (b [8]byte) {
	binary.BigEndian.PutUint64(b[:], limit.ClientKey(a))
	return b
}

// answeredBy tells the pool that the head of a response is there. How long that took says nothing of the server when a client's
// body had to be waited for.
func (h *handler) answeredBy(status int) {
	at := h.l.loop.Now()
	if h.upload.running || h.upload.ended != 0 {
		at = 0
	}
	h.turn.Answered(status, at)
}

// unpicked answers a request that got no server.
func (h *handler) unpicked(p *pool.Pool, err error) {
	if h.rescued(503) {
		return
	}
	switch {
	case errors.Is(err, pool.ErrQueueFull):
		h.turnAway(p, err, journal.QueueFull, "every server is busy and the queue is full")
	case errors.Is(err, pool.ErrQueueTimeout):
		h.turnAway(p, err, journal.QueueTimeout, "no server had a place within queue.timeout")
	case errors.Is(err, pool.ErrBroken):
		h.turnAway(p, err, journal.BreakerOpen, "most requests to the pool failed of late")
	case errors.Is(err, pool.ErrNoServer):
		h.fail(503, journal.NoServer, "no server is ready")
	case errors.Is(err, loop.ErrHangup):
		h.x.Journal.Cause = journal.ClientGone
		h.keep = false
	default:
		h.fail(503, journal.Stopping, "weir is stopping")
	}
}

// turnAway answers a request that there is no room for, and says when there may be some (RFC 9110, section 10.2.3).
func (h *handler) turnAway(p *pool.Pool, err error, cause journal.Cause, detail string) {
	after := p.RetryAfter(err, h.l.loop.Now(), rand.Uint32())
	h.failWith(503, cause, detail, func(dst []byte) []byte {
		dst = append(dst, "Retry-After: "...)
		return append(appendInt(dst, int64(after/time.Second)), "\r\n"...)
	})
}
