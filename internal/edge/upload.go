package edge

import (
	"time"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/http1"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/message"
)

// uploader sends a request body to the server on a task of its own, while the handler's task already waits for the
// response: a server may answer before it has read everything, and one that reads and answers at the same time
// would else stand still with us.
type uploader struct {
	h       *handler
	running bool
	stopped bool
	err     error // why the body did not come whole from the client
	ended   loop.Time
}

// start begins to send. The request's head has been written.
func (u *uploader) start() {
	u.running, u.stopped, u.err, u.ended = true, false, nil, 0
	u.h.l.loop.Go(u)
}

// Run implements loop.Runner.
func (u *uploader) Run(t *loop.Task) {
	h := u.h
	defer func() {
		u.running = false
		u.ended = h.l.loop.Now()
		h.t.Wake()
	}()
	if g := h.up.gate; g != nil && g.h2 {
		u.sendStream(t)
		return
	} else if g != nil && g.cfg.Protocol == config.FastCGI {
		u.sendInput(t)
		return
	}
	if h.spooled {
		// A server that has had enough says so in its response, which the handler's task reads.
		h.up.sent = h.spool.sendTo(t, h, h.up.c) == nil
		return
	}
	chunked := h.x.Req.Body == message.Chunked
	var frame [24]byte
	for {
		data, err := h.readBody()
		if err != nil {
			u.err = err
			if h.up.c != nil && !u.stopped {
				_ = h.up.c.Reset() // the server must not take a part for the whole
			}
			return
		}
		c := h.up.c
		if c == nil || u.stopped {
			return
		}
		switch {
		case data == nil && chunked:
			_, err = h.push(c, http1.AppendLastChunk(frame[:0], nil), nil)
		case data == nil:
		case chunked:
			if _, err = h.push(c, http1.AppendChunk(frame[:0], len(data)), data); err == nil {
				_, err = h.push(c, crlf, nil)
			}
		default:
			_, err = h.push(c, data, nil)
		}
		if data == nil || err != nil {
			h.up.sent = err == nil
			return
		}
	}
}

// settleTime is for the last bytes of a body that are on their way to a server which has answered already.
const settleTime = 20 * time.Millisecond

// settle lets an upload end by itself that is as good as over, so that both connections can be kept.
func (u *uploader) settle() {
	h := u.h
	by := h.l.loop.Now() + int64(settleTime)
	for u.running && h.dec.Done() {
		if h.t.Park(by) != nil {
			return
		}
	}
}

// readBy sets the client's deadline unless the upload was stopped, which is an earlier one.
func (u *uploader) readBy(at loop.Time) {
	if !u.stopped {
		u.h.conn.ReadBy(at)
	}
}

// stop ends an upload that nobody waits for any more. When it returns, the task is gone.
func (u *uploader) stop() {
	if !u.running {
		return
	}
	h := u.h
	u.stopped = true
	if !h.spooled {
		h.conn.ReadBy(1) // ends the read that it may be waiting in
	}
	h.up.closeConn()
	if g := h.gate; g != nil && g.stream.up != nil {
		g.stream.up.WakeHere() // it may be waiting for room
	}
	for u.running {
		if h.t.Park(0) != nil {
			return // the engine stops, and the upload with it
		}
	}
	h.conn.ReadBy(0)
	if !h.dec.Done() {
		h.keep, h.lingers = false, true // the rest of the body is still to come
	}
}

var crlf = []byte("\r\n")
