package edge

import (
	"errors"
	"io"
	"time"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/message"
)

// A server may die between the head of its response and the first byte of the body. Had the client the head by then, the request
// would be lost. So a head that comes alone is held for a moment, as a body of moderate length is (holdBack): until the
// body has begun, the response has ended, or the moment is over (docs/adr/0032-a-head-that-comes-alone.md). Most heads come with the
// beginning of their bodies in one read, and pay one comparison.

// headHold is how long a head is held. A server that makes its head and its body together has both under way well within it, also on
// a busy machine, where it may lose its processor for some milliseconds in between. One that sends its head early, because the
// body is to come as things happen, has its client wait longer by little more than a picture on the screen takes (17 ms).
const headHold = 20 * time.Millisecond

// headRoom is the least space behind a head that the beginning of its body is read into. The head stands in the buffer and must not
// be moved: its fields point there.
const headRoom = 512

// holdsHead decides whether the head in hand waits for its body, of which nothing is here yet: where a request whose server dies without
// an answer is tried again, and unless the server wants it out at once. The last try's is held too: 502 says more than half a
// response. What is taken whole in any case need not wait twice.
func (h *handler) holdsHead(cfg *config.Pool) bool {
	if !cfg.Retry.EmptyResponse || cfg.Retry.Attempts == 0 || !h.resendable() || h.left || h.straight() {
		return false
	}
	resp := &h.x.Resp
	taken := resp.Body == message.ByLength && resp.Length <= holdBack && (cfg.Buffer.Responses || h.sink != nil)
	return !taken
}

// begin waits for the beginning of the body, and returns it as gather does: nothing if none came in time, or there is none. After an
// error the client has seen nothing of the response.
func (u *upstream) begin(h *handler) ([]byte, error) {
	by := h.by(h.l.edge.headHold) // for all that comes, lest a chunk's long first line hold it for ever
	for {
		p := u.in.b[u.in.w : len(u.in.b)-tail]
		if len(p) < headRoom {
			return nil, nil
		}
		u.c.ReadBy(by)
		n, err := u.receive(h, p, by)
		u.in.w += n
		switch {
		case n > 0 || err == nil:
			first, err := u.gather()
			if err != nil || len(first) > 0 || u.dec.Done() {
				return first, err
			}
		case isTimeout(err) && (h.deadline == 0 || h.l.loop.Now() < h.deadline):
			return nil, nil
		case !errors.Is(err, io.EOF):
			return nil, err
		case u.dec.EOF() != nil:
			return nil, io.ErrUnexpectedEOF
		default:
			return nil, nil
		}
	}
}
