package edge

import (
	"errors"
	"io"
	"log/slog"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/http1"
	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/message"
)

// hold takes hold of the request body before a server is picked: in any case of one that is already here, and in
// front of a buffering pool of the rest too, so that a slow client does not keep a worker waiting. False means
// that the request was answered.
func (h *handler) hold(cfg *config.Pool) bool {
	req := &h.x.Req
	if req.Body == message.NoBody {
		return true
	}
	if req.Body == message.ByLength && req.Length <= int64(len(h.in.bytes())) {
		return h.holdHere()
	}
	if (!cfg.Buffer.Requests || req.Upgrade || h.streams()) && !h.collects() {
		return true
	}
	if req.Body == message.ByLength && req.Length > max(cfg.Buffer.File, h.memoryFor(&cfg.Buffer)) {
		return true // too large to hold: it streams
	}
	if h.waits100() {
		h.sendContinue()
	}
	if req.Body == message.ByLength && h.in.r+int(req.Length) <= len(h.in.b) {
		return h.holdRest()
	}
	return h.collect(cfg)
}

// memoryFor is how much of one body may be held in memory now.
func (h *handler) memoryFor(cfg *config.Buffer) int64 {
	return min(cfg.Memory, h.l.edge.spoolShare-h.l.spooled)
}

// holdHere takes a body of known length that stands whole behind its head.
func (h *handler) holdHere() bool {
	n := int(h.x.Req.Length)
	h.held = h.in.b[h.in.r : h.in.r+n]
	return h.passHeld()
}

// holdRest reads the rest of a body that finds room behind its head.
func (h *handler) holdRest() bool {
	n := int(h.x.Req.Length)
	for h.in.w-h.in.r < n {
		h.conn.ReadBy(h.by(h.tree.cfg.Timeouts.Body))
		m, err := h.conn.Read(h.in.b[h.in.w : h.in.r+n])
		h.in.w += m
		if m == 0 && err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			h.bodyFailed(err)
			return false
		}
	}
	h.x.Journal.Mark(journal.BodyRead, h.l.loop.Now())
	return h.holdHere()
}

// passHeld moves the reader past the held body.
func (h *handler) passHeld() bool {
	if limit := h.route.bodyLimit; limit > 0 && int64(len(h.held)) > limit {
		h.bodyFailed(errBodyTooLarge)
		return false
	}
	if _, n, err := h.dec.Next(h.held); err != nil || n != len(h.held) {
		h.bodyFailed(err)
		return false
	}
	h.in.r += len(h.held)
	h.continued = true // the client did not wait
	h.x.Journal.In = int64(len(h.held))
	return true
}

// collect reads the body into the spool.
func (h *handler) collect(cfg *config.Pool) bool {
	h.spooled = true
	for {
		data, err := h.readBody()
		if err == nil && data != nil {
			err = h.spool.put(h.t, h.l, data, &cfg.Buffer)
		}
		if err != nil {
			h.bodyFailed(err)
			return false
		}
		if data == nil {
			h.x.Journal.Mark(journal.BodyRead, h.l.loop.Now())
			return true
		}
	}
}

// bodyFailed answers a request whose body did not come whole.
func (h *handler) bodyFailed(err error) {
	h.keep = false
	var wire *http1.Error
	switch {
	case errors.Is(err, errBodyTooLarge), errors.Is(err, errSpoolFull):
		h.fail(413, journal.BodyTooLarge, err.Error())
	case errors.As(err, &wire):
		h.fail(wire.Status, journal.BadRequest, wire.Reason)
	case errors.Is(err, loop.ErrTimeout):
		h.fail(408, journal.BodyTimeout, "the body made no progress within timeouts.body")
	case errors.Is(err, io.ErrUnexpectedEOF):
		h.fail(400, journal.ClientGone, "the connection closed within the body")
	case errors.Is(err, errDisk):
		slog.Error("a request body could not be buffered", "error", err)
		h.fail(500, journal.Internal, "the request could not be buffered")
	default:
		h.x.Journal.Cause = journal.ClientGone // it reset the connection, or weir stops: nothing can be told
	}
}
