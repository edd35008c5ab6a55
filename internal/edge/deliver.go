package edge

import (
	"errors"
	"os"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/http1"
	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/message"
	"github.com/weirhq/weir/internal/pool"
)

// deliver sends the server's response to the client: at once when all of it is in hand, else as it comes.
func (h *handler) deliver(cfg *config.Pool) outcome {
	u := &h.up
	first, err := u.gather()
	if err != nil {
		return h.breaks(reason(err))
	}
	if len(first) == 0 && !u.dec.Done() && h.holdsHead(cfg) {
		if first, err = u.begin(h); err != nil {
			return h.bodyFaulty(err)
		}
	}
	if h.kept.led != nil {
		if o, took := h.take(cfg, first); took {
			return o
		}
	}
	if h.kept.part.wanted {
		if o, took := h.takePart(cfg, first); took {
			return o
		}
	}
	if h.kept.asks && h.isHead() {
		if o, took := h.headed(); took {
			return o
		}
	}
	whole := u.dec.Done()
	length := int64(-1)
	switch {
	case h.isHead():
		length = announced(&h.x.Resp.Fields)
	case whole:
		length = int64(len(first))
	case h.x.Resp.Body == message.ByLength:
		length = h.x.Resp.Length
	}
	held := h.x.Resp.Body == message.ByLength && h.x.Resp.Length <= holdBack && h.resendable()
	if !h.assembleResponse() {
		h.encode(length)
	}
	if h.enc.enc != nil {
		if first, err = h.enc.encoded(first, whole); err != nil {
			return h.breaks("the response could not be compressed")
		}
	}
	if whole && len(u.trailers().List) == 0 {
		// The worker is free before its answer is on the way: the client's speed is not its affair.
		h.x.Journal.Mark(journal.Received, h.l.loop.Now())
		u.release(h)
		h.respondWhole(int64(len(first)))
		h.write2(h.out, first)
		h.x.Journal.Out += int64(len(first))
		return done
	}
	if h.sink == nil && (!cfg.Buffer.Responses || h.straight()) {
		return h.deliverStraight(cfg, first)
	}
	// A page is buffered in any case: it waits for its fragments, and they may wait for the server that it holds.
	if held {
		return h.deliverHeld(cfg, first)
	}
	return h.deliverBuffered(cfg, first)
}

// holdBack is the length up to which a response of known length is taken whole before its head goes out: until then
// the worker may die and the request is not lost.
const holdBack = 256 << 10

// straight reports whether the response must reach the client as it is made.
func (h *handler) straight() bool {
	f := &h.x.Resp.Fields
	if message.EqualFold(f.Get(message.XAccelBuffering), "no") {
		return true
	}
	if h.streams() && isGRPC(f) {
		return true
	}
	ct := f.Get(message.ContentType)
	const stream = "text/event-stream"
	return len(ct) >= len(stream) && message.EqualFold(ct[:len(stream)], stream)
}

// respondWhole makes the head of a response whose body of n bytes is in hand.
func (h *handler) respondWhole(n int64) {
	if h.x.Resp.Body == message.Chunked || h.x.Resp.Body == message.UntilClose {
		h.x.Resp.Body, h.x.Resp.Length = message.ByLength, n
	}
	h.respondHead()
}

// respondHead makes the head of the response in h.out and settles how the client finds the end of the body.
func (h *handler) respondHead() {
	h.makeHead()
	h.answers()
}

// makeHead makes the head while the response's fields stand in the buffer.
func (h *handler) makeHead() {
	h.chunked = false
	switch h.x.Resp.Body {
	case message.Chunked, message.UntilClose:
		if h.x.Req.Minor == 0 {
			h.keep = false // the close is the end
		} else {
			h.chunked = true
		}
	}
	if h.l.edge.stopping.Load() {
		h.keep = false
	}
	h.out = h.appendResponse(h.out[:0])
}

// answers notes that the head that was made is the answer.
func (h *handler) answers() {
	h.answered = true
	h.x.Journal.Status = h.x.Resp.Status
}

// deliverStraight passes the body on as it comes, as fast as the client takes it.
func (h *handler) deliverStraight(cfg *config.Pool, data []byte) outcome {
	h.respondHead()
	for head := h.out; ; head = h.out[:0] {
		h.x.Journal.Out += int64(len(data))
		var framed []byte
		h.out, framed = h.frame(head, data)
		if !h.write2(h.out, framed) {
			return done
		}
		var err error
		data, err = h.nextBody(h.by(cfg.Timeouts.BetweenBytes))
		if err != nil {
			h.breakOff(err)
			return done
		}
		if data == nil {
			break
		}
	}
	h.x.Journal.Mark(journal.Received, h.l.loop.Now())
	if h.chunked {
		h.out = http1.AppendLastChunk(h.out[:0], h.trailers())
		h.write2(h.out, nil)
	}
	h.up.release(h)
	return done
}

// trailers returns what the server sent behind its chunks, when the client said that it wants it.
func (h *handler) trailers() *message.Fields {
	if t := h.up.trailers(); len(t.List) > 0 && h.wantsTrailers() {
		return t
	}
	return nil
}

// wantsTrailers reports whether the client gets them. A call of gRPC is nothing without.
func (h *handler) wantsTrailers() bool {
	return h.streams() || hasToken(&h.x.Req.Fields, message.TE, "trailers")
}

// frame makes data a chunk when the response goes out chunked: the size line is appended to head, the end goes into
// the room behind the data.
func (h *handler) frame(head, data []byte) (a, b []byte) {
	if !h.chunked || len(data) == 0 {
		return head, data
	}
	return http1.AppendChunk(head, len(data)), append(data, '\r', '\n')
}

// write2 sends to the client; false means that it is gone or too slow, which the journal then says.
func (h *handler) write2(a, b []byte) bool {
	var err error
	if h.sink != nil {
		err = h.pour(a, b)
	} else {
		a, b = join(a, b)
		_, err = h.push(h.conn, a, b)
	}
	if err != nil {
		h.lostClient(err)
	}
	return err == nil
}

// push writes all of a and b. The time limit is for progress: who takes some of it within the time gets the rest, too.
func (h *handler) push(c *loop.Conn, a, b []byte) (done int64, err error) {
	for {
		c.WriteBy(h.sendBy())
		n, err := c.Write2(a, b)
		done += n
		if c == h.up.c {
			h.up.gave += n
		}
		if n == 0 || !isTimeout(err) {
			return done, err
		}
		m := min(int(n), len(a))
		a, b = a[m:], b[int(n)-m:]
	}
}

// pushFile sends n bytes of a file in the same way.
func (h *handler) pushFile(t *loop.Task, c *loop.Conn, f *os.File, off, n int64) (done int64, err error) {
	if h.sink != nil && c == h.conn {
		return h.pourFile(t, f, off, n)
	}
	for done < n {
		c.WriteBy(h.sendBy())
		m, err := c.SendFile(t, f, off+done, min(n-done, fileStep))
		done += m
		if c == h.up.c {
			h.up.gave += m
		}
		if err != nil && (m == 0 || !isTimeout(err)) {
			return done, err
		}
	}
	return done, nil
}

// join copies a small b behind a where there is room: that costs less than the kernel's second buffer.
func join(a, b []byte) ([]byte, []byte) {
	if len(b) <= smallBody && cap(a)-len(a) >= len(b) {
		return append(a, b...), nil
	}
	return a, b
}

const smallBody = 4 << 10

// lostClient notes that the client did not take the response.
func (h *handler) lostClient(err error) {
	h.keep = false
	if h.cut {
		return // it was cut off from here
	}
	h.cut = true
	h.x.Journal.Cause = journal.ClientGone
	if isTimeout(err) {
		h.x.Journal.Cause = h.limit(journal.SendTimeout)
	}
}

// breakOff ends a response whose server failed in the middle: the client must not take the part for the whole.
func (h *handler) breakOff(err error) {
	h.keep, h.cut = false, true
	h.up.fault = pool.BadResponse
	switch {
	case errors.Is(err, errUnwanted):
		h.up.fault = pool.Aborted
		h.x.Journal.Cause = journal.ClientGone
	case isTimeout(err):
		h.up.fault = pool.TimedOut
		h.x.Journal.Cause = h.limit(journal.BetweenBytesTimeout)
	case isWire(err):
		h.up.fault = pool.BadResponse
		h.x.Journal.Cause, h.x.Journal.Detail = journal.BadResponse, reason(err)
	default:
		h.x.Journal.Cause = journal.ServerReset
	}
	if !h.chunked && h.x.Resp.Body != message.ByLength {
		h.resetClient() // a plain close would be read as the end of the body
	}
}

// resetClient breaks the client's connection off. A response that goes into a sink is marked as cut, which says as much there.
func (h *handler) resetClient() {
	if h.sink == nil && !h.alone {
		_ = h.conn.Reset() // it is given up
	}
}

func isWire(err error) bool {
	var e *http1.Error
	return errors.As(err, &e)
}

// reason is the constant text of a wire error.
func reason(err error) string {
	var e *http1.Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return "the server closed within the body"
}
