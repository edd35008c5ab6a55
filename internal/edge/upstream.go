package edge

import (
	"errors"
	"io"
	"slices"

	"github.com/weirhq/weir/internal/http1"
	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/message"
	"github.com/weirhq/weir/internal/pool"
	"github.com/weirhq/weir/internal/pool/link"
)

// upstream is the place at a server that a request holds, the connection to it, and what has been read from that.
type upstream struct {
	s     *pool.Server // holds a place there until Done
	c     *loop.Conn
	in    window
	dec   http1.Decoder
	gate  *gate // nil: it speaks HTTP/1
	fault pool.Outcome
	late  lateness    // of weir chaos
	of    link.Origin // whose request it is, where the server is told
	gave  int64       // bytes that went to the server
	got   int64       // and that came from it
	wrote bool        // some of the request went out
	sent  bool        // all of it did
}

// tail is kept free behind what is read from a server, so that the end of a chunk can be put there.
const tail = 2

// closeConn closes the server's connection. Another task's operations on it end.
func (u *upstream) closeConn() {
	if u.c != nil {
		_ = u.c.Close() // it is given up: there is nothing to learn from how it closes
		u.c = nil
	}
}

// release gives the connection and the place back after a response was received whole; the bytes stay.
func (u *upstream) release(h *handler) {
	if u.s == nil {
		return
	}
	h.upload.settle()
	// On a connection that still waits for the rest of a body the next request would be taken for that.
	if u.c != nil && u.sent && !h.left && u.keeps(h) {
		u.c.ReadBy(0)
		u.c.WriteBy(0)
		u.keep()
		u.c = nil
	}
	h.upload.stop()
	u.closeConn()
	if u.gate != nil {
		u.gate.stream.raw.free(h.l.loop)
	}
	h.turn.Took(int64(h.x.Journal.Between(journal.Sent, journal.FirstByte)))
	u.tell(&h.turn)
	u.s.Done(&h.turn, u.verdict(h.x.Resp.Status))
	u.s = nil
	h.deadline = 0 // from here on it is between the client and us
}

// tell counts the bytes that passed.
func (u *upstream) tell(turn *pool.Turn) {
	if u.s != nil {
		u.s.Passed(turn, u.gave, u.got)
	}
	u.gave, u.got = 0, 0
}

// keep lets the connection rest.
func (u *upstream) keep() {
	if u.s.Introduced() {
		u.s.KeepFor(u.c, &u.of)
		return
	}
	u.s.Keep(u.c)
}

// verdict is what the status of a response that came whole says of its server. 501 and 505 speak of the request
// (RFC 9110, section 15.6).
func verdict(status int) pool.Outcome {
	if status >= 500 && status != 501 && status != 505 {
		return pool.ServerError
	}
	return pool.OK
}

// heed passes on what the response says in the field of its pool's agent, which is not for the client.
func (h *handler) heed(field string) {
	f := &h.x.Resp.Fields
	f.List = slices.DeleteFunc(f.List, func(l message.Field) bool {
		if l.ID != message.Other || !message.EqualFold(l.Name, field) {
			return false
		}
		h.up.s.Heed(l.Value, h.l.loop.Now())
		return true
	})
}

// drop gives up whatever is still held.
func (u *upstream) drop(h *handler) {
	if u.gate != nil {
		if u.gate.vigil.running {
			u.gate.vigil.stop(h) // we panicked
		}
		u.gate.said.flush(h)
	}
	if h.hedge != nil {
		h.endHedge()
	}
	if h.overrun != 0 && u.c != nil && u.sent && h.l.loop.Now() < h.overrun {
		u.leaveBusy(h)
	}
	if u.c != nil || h.upload.running {
		h.upload.stop()
		u.closeConn()
	}
	if u.s != nil {
		u.tell(&h.turn)
		if u.fault == pool.OK {
			u.fault = pool.Aborted // what ends well is released
		}
		if h.overrun != 0 {
			h.overdue()
		}
		u.s.Done(&h.turn, u.fault)
		u.s = nil
	}
	if u.gate != nil {
		u.gate.stream.raw.free(h.l.loop)
	}
	u.fault = pool.OK
	u.late = lateness{}
	u.in.free(h.l.loop)
}

// leaveBusy gives up a worker that has not answered yet and has time left, so that it is told of if it never does.
func (u *upstream) leaveBusy(h *handler) {
	repeatable := h.x.Req.Method.Idempotent()
	u.tell(&h.turn)
	switch u.fault {
	case pool.OK, pool.Aborted:
		h.l.outlasts(u.s, &h.turn, u.c, h.overrun, repeatable)
		u.s = nil
	case pool.TimedOut: // by a shorter limit, which the server is to blame for now
		h.l.outlasts(u.s, nil, u.c, h.overrun, repeatable)
	default:
		return
	}
	u.c, h.overrun = nil, 0
}

// abandon ends what the handler's task waits for at the server.
func (u *upstream) abandon(h *handler) {
	if h.overrun != 0 && u.c != nil {
		u.c.ReadBy(1) // closing it is for drop
		return
	}
	u.closeConn()
}

// gather decodes what has been read, in place, and returns the body bytes of it in one piece, with room for two
// more bytes behind.
func (u *upstream) gather() ([]byte, error) {
	start := u.in.r
	end := start
	first := true
	for !u.in.empty() && !u.dec.Done() {
		data, n, err := u.dec.Next(u.in.bytes())
		if err != nil {
			return nil, err
		}
		if len(data) > 0 {
			if first {
				// The data stay where they stand: most bodies are not chunked and need no move.
				start = u.in.r + n - len(data)
				end, first = start, false
			}
			end += copy(u.in.b[end:], data)
		}
		u.in.r += n
		if n == 0 {
			break
		}
	}
	if u.gate != nil && u.in.empty() && u.gate.ends() {
		if err := u.dec.EOF(); err != nil {
			return nil, err
		}
	}
	return u.in.b[start:end], nil
}

// read returns the next bytes of the response body, nil at its end.
func (u *upstream) read(h *handler, between loop.Time) ([]byte, error) {
	for {
		if u.dec.Done() {
			return nil, nil
		}
		if len(u.in.b) < loop.LargeBufferSize {
			u.in.free(h.l.loop)
			u.in.b = h.l.loop.LargeBuffer()
		}
		u.in.r, u.in.w = 0, 0
		u.c.ReadBy(between)
		n, err := u.receive(h, u.in.b[:len(u.in.b)-tail], between)
		u.in.w = n
		if n == 0 && err != nil {
			if !errors.Is(err, io.EOF) {
				return nil, err
			}
			if u.dec.EOF() != nil {
				return nil, io.ErrUnexpectedEOF
			}
			return nil, nil
		}
		data, derr := u.gather()
		if derr != nil {
			return nil, derr
		}
		if len(data) > 0 {
			return data, nil
		}
	}
}
