package edge

import (
	"github.com/weirhq/weir/internal/http1"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/message"
)

// sendStream is the upload of a request's body in HTTP/2: data as far as the server's windows go, on which the handler's task
// hears when there is more room.
func (u *uploader) sendStream(t *loop.Task) {
	h := u.h
	st := &h.up.gate.stream
	st.up = t
	defer func() { st.up = nil }()
	switch {
	case h.spooled:
		for _, p := range h.spool.pieces {
			if u.data(t, st, p, false) != nil {
				return
			}
		}
		if u.dataFile(t, st) != nil {
			return
		}
	case h.held != nil:
		if u.data(t, st, h.held, true) == nil {
			h.up.sent = true
		}
		return
	default:
		for ended := false; !ended; {
			data, err := h.readBody()
			if err != nil {
				u.err = err
				if h.up.c != nil && !u.stopped {
					_ = h.up.c.Reset() // the server must not take a part for the whole
				}
				return
			}
			if data == nil {
				break
			}
			ended = h.dec.Done() && len(h.dec.Trailers().List) == 0
			if u.data(t, st, data, ended) != nil {
				return
			}
			if ended {
				h.up.sent = true
				return
			}
		}
	}
	h.up.sent = u.endData(t, st) == nil
}

// data sends a part of the body.
func (u *uploader) data(t *loop.Task, st *stream, data []byte, end bool) error {
	for len(data) > 0 {
		n, err := u.room(t, st)
		if err != nil {
			return err
		}
		n = min(n, len(data))
		st.frame = st.conn.AppendData(st.frame[:0], n, end && n == len(data))
		if err := u.write(st, data[:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// dataFile sends what of a collected body stands in a file.
func (u *uploader) dataFile(t *loop.Task, st *stream) error {
	h := u.h
	s := &h.spool
	for off := int64(0); off < s.wrote; {
		room, err := u.room(t, st)
		if err != nil {
			return err
		}
		n := min(s.wrote-off, int64(room))
		st.frame = st.conn.AppendData(st.frame[:0], int(n), false)
		st.writing = true
		if _, err = h.push(h.up.c, st.frame, nil); err == nil {
			if c := h.up.c; c == nil {
				err = loop.ErrClosed
			} else {
				_, err = h.pushFile(t, c, s.file, off, n)
			}
		}
		st.writing = false
		if err != nil {
			return err
		}
		off += n
	}
	return nil
}

// endData ends the body, with the trailers that the client has sent behind it.
func (u *uploader) endData(t *loop.Task, st *stream) error {
	if err := u.turn(t, st); err != nil {
		return err
	}
	h := u.h
	trailers := h.dec.Trailers()
	if len(trailers.List) == 0 {
		st.frame = st.conn.AppendData(st.frame[:0], 0, true)
		return u.write(st, nil)
	}
	var lines []byte
	for i := range trailers.List {
		if l := &trailers.List[i]; !requestHop[l.ID] {
			lines = http1.AppendField(lines, l.Name, l.Value)
		}
	}
	st.frame = st.conn.AppendTrailers(st.frame[:0], lines)
	return u.write(st, nil)
}

// write sends the frame that was made, and data behind its head. The caller has the turn.
func (u *uploader) write(st *stream, data []byte) error {
	st.writing = true
	_, err := u.h.push(u.h.up.c, st.frame, data)
	st.writing = false
	return err
}

// turn waits until nobody else sends on the connection.
func (u *uploader) turn(t *loop.Task, st *stream) error {
	for st.writing && !u.gone() {
		if err := t.Park(0); err != nil {
			return err
		}
	}
	if u.gone() {
		return loop.ErrClosed
	}
	return nil
}

// room waits until data may be sent, and returns how much: the server must let some go within the time that sending may take.
func (u *uploader) room(t *loop.Task, st *stream) (int, error) {
	by := u.h.sendBy()
	for {
		if err := u.turn(t, st); err != nil {
			return 0, err
		}
		if n := st.conn.Room(); n > 0 {
			return n, nil
		}
		if err := t.Park(by); err != nil {
			return 0, err
		}
	}
}

// gone reports whether there is no connection to send on any more.
func (u *uploader) gone() bool { return u.h.up.c == nil || u.stopped }

// trailers returns what came behind the response's body.
func (u *upstream) trailers() *message.Fields {
	if u.gate != nil && u.gate.http2() {
		return u.gate.stream.tail.Trailers()
	}
	return u.dec.Trailers()
}
