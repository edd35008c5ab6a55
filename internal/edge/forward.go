package edge

import (
	"errors"
	"io"
	"syscall"
	"time"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/message"
	"github.com/weirhq/weir/internal/pool"
)

// outcome is how one try at a server ended.
type outcome uint8

const (
	done       outcome = iota // the request was answered, well or badly
	noConnect                 // no connection: nothing was sent
	unsent                    // the connection was dead before the first byte went out
	empty                     // the server closed before the client saw anything of a response
	refused                   // 503, and retry.on names it
	late                      // a time limit was reached
	overloaded                // the server would not begin with it
	unpacked                  // it cannot be said in the protocol of the server
	broken                    // the response broke the rules of HTTP
	anew                      // ask the same server once more, for something else
	deserted                  // the server was given up while the request waited there
)

// forward gets the answer from a server of a pool.
func (h *handler) forward(p *pool.Pool) {
	p = p.StandIn()
	cfg := p.Config()
	h.x.Journal.Pool = cfg.Name
	if !h.speak(cfg) || !h.hold(cfg) {
		return
	}
	h.begins(p)
	for {
		if b := p.StandIn(); b != p { // the last server of the pool was lost
			p, cfg = b, b.Config()
			h.x.Journal.Pool = cfg.Name
			if !h.speak(cfg) || !h.whole() && !h.hold(cfg) {
				return
			}
			h.begins(p)
		}
		s, err := h.pick(p, cfg)
		if err != nil {
			h.deadline = 0 // it must not cut off the answer
			h.unpicked(p, err)
			return
		}
		o := h.try(p, cfg)
		h.up.drop(h)
		if o == done {
			return
		}
		if !h.retries(o, cfg) || o != refused && !h.affords(s) {
			h.deadline = 0
			h.untried(o)
			return
		}
		h.x.Journal.Retries++
	}
}

// pick waits for a place at a server. A client that leaves while it queues is let go.
func (h *handler) pick(p *pool.Pool, cfg *config.Pool) (*pool.Server, error) {
	now := h.l.loop.Now()
	h.x.Journal.Mark(journal.Queued, now)
	s, err := p.Pick(h.t, &h.turn, h.conn)
	if err != nil {
		return nil, err
	}
	h.up.s = s
	h.x.Journal.Server = s.Name()
	if p.Sticky() != nil {
		h.seat(p, s)
	}
	now = h.l.loop.Now()
	h.x.Journal.Mark(journal.Picked, now)
	h.limitTry(&cfg.Timeouts, now)
	return s, nil
}

// try sends the request to one server and delivers what it answers. A kept connection that turns out to be dead is
// replaced by a fresh one for free: that says nothing about the server.
func (h *handler) try(p *pool.Pool, cfg *config.Pool) outcome {
	for fresh := !h.up.s.Speaks(cfg.Protocol); ; fresh = true {
		s := h.up.s // a hedge that won brought another
		if h.limit(journal.NoCause) != journal.NoCause {
			h.x.Journal.Cause = journal.RequestTimeout // earlier tries took it all: this server is not to blame
			return late
		}
		c, reused, err := h.connect(s, fresh, h.by(cfg.Timeouts.Connect))
		if err != nil {
			h.x.Journal.Cause, h.x.Journal.Detail = journal.ConnectError, linkFault(err)
			if isTimeout(err) {
				h.x.Journal.Cause = h.limit(journal.ConnectTimeout)
			}
			h.up.fault = pool.ConnectError
			return noConnect
		}
		if reused && !h.resendable() && !c.Alive() {
			_ = c.Close() // the server closed it while it rested; a request that must not be sent twice would be lost on it
			continue
		}
		h.up.c = c
		h.x.Journal.Mark(journal.Connected, h.l.loop.Now())
		o := h.converse(p, cfg)
		if o == anew {
			h.up.closeConn()
			continue
		}
		if reused && !h.answered && (o == unsent || o == empty && h.resendable()) {
			h.upload.stop()
			h.up.closeConn()
			continue
		}
		return o
	}
}

// fileWait is how long a request waits for a descriptor before it asks again.
const fileWait = 5 * time.Millisecond

// connect gets a connection to a server. Without a descriptor for one it waits until another request has let go of its own.
func (h *handler) connect(s *pool.Server, fresh bool, by loop.Time) (*loop.Conn, bool, error) {
	for {
		c, reused, err := s.ConnectFor(h.t, h.origin(s), fresh, by)
		if err == nil || !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) {
			return c, reused, err
		}
		if by != 0 && h.l.loop.Now() >= by || h.t.Sleep(fileWait) != nil {
			return nil, false, err
		}
	}
}

// resendable reports whether sending the request once more means the same (RFC 9110, section 9.2.2) and is possible.
func (h *handler) resendable() bool {
	return h.x.Req.Method.Idempotent() && h.whole()
}

// whole reports whether the request body, if any, is held to the last byte.
func (h *handler) whole() bool {
	return h.x.Req.Body == message.NoBody || h.held != nil || h.spooled
}

// affords asks the pool's budget for one more try, and takes it.
func (h *handler) affords(s *pool.Server) bool {
	h.spent = !s.MayRetry(&h.turn)
	return !h.spent
}

// retries decides whether a failed try may go to another server.
func (h *handler) retries(o outcome, cfg *config.Pool) bool {
	if h.answered || h.x.Journal.Retries >= cfg.Retry.Attempts {
		return false
	}
	switch o {
	case noConnect:
		return cfg.Retry.ConnectError
	case unsent, overloaded:
		return h.whole()
	case empty, deserted:
		return cfg.Retry.EmptyResponse && h.resendable()
	case broken: // one server's, where servers are watched; else likely the request's
		return watched(cfg) && cfg.Retry.EmptyResponse && h.resendable()
	case refused:
		return true
	}
	return false
}

// untried answers a request whose last try failed.
func (h *handler) untried(o outcome) {
	if h.rescued(502) {
		return
	}
	cause := h.x.Journal.Cause
	switch {
	case h.upload.err != nil && !h.answered:
		h.bodyFailed(h.upload.err)
	case o == late || o == deserted || cause == journal.ConnectTimeout || cause == journal.RequestTimeout:
		h.fail(504, cause, "the server did not answer in time")
	case o == overloaded:
		h.fail(503, cause, h.x.Journal.Detail)
	case o == unpacked:
		h.fail(431, cause, errUnpacked.Error())
	case o == noConnect && h.spent:
		h.fail(502, cause, "the server could not be reached, and retry.budget is used up")
	case o == noConnect, o == unsent && cause == journal.ConnectError:
		why := h.x.Journal.Detail
		h.fail(502, cause, "the server could not be reached")
		if why != "" {
			h.x.Journal.Detail = why // for the log: names and authorities inside are not a client's affair
		}
	case o == broken:
		h.fail(502, cause, h.x.Journal.Detail)
	case h.spent:
		h.fail(502, cause, "the server closed the connection before it answered, and retry.budget is used up")
	default:
		h.fail(502, cause, "the server closed the connection before it answered")
	}
}

// converse sends the request on the connection in hand, and receives and delivers the response.
func (h *handler) converse(p *pool.Pool, cfg *config.Pool) outcome {
	var made *fault
	if c := h.l.edge.chaos.Load(); c != nil {
		made = h.afflict(c)
	}
	if o, over := h.ask(p, cfg, made); over || o != done {
		return o
	}
	h.x.Journal.Cause, h.x.Journal.Detail = journal.NoCause, "" // of an earlier try
	if made != nil {
		h.x.Journal.Detail = "an error made by weir chaos"
	}
	if cfg.Agent != nil && cfg.Agent.Header != "" {
		h.heed(cfg.Agent.Header)
	}
	if p.Sticky() != nil {
		h.learn(p)
	}
	if h.tree.cfg.Cache != nil {
		h.invalidate()
	}
	if h.overrun != 0 && (h.x.Resp.Status == 101 || h.straight()) {
		h.unlimitTry()
	}
	if h.x.Resp.Status == 101 {
		h.tunnel()
		return done
	}
	if h.x.Resp.Status == 503 && cfg.Retry.Status503 && h.resendable() && h.x.Journal.Retries < cfg.Retry.Attempts &&
		h.affords(h.up.s) {
		h.up.fault = pool.Unavailable
		return refused
	}
	if h.partOfPage() {
		h.unranged = true
		h.kept.ask = h.kept.ask[:min(h.kept.plain, len(h.kept.ask))]
		return anew
	}
	return h.deliver(cfg)
}

// ask sends the request and receives the head of the response, or of the fault's that is made instead. over: there is nothing left to
// do.
func (h *handler) ask(p *pool.Pool, cfg *config.Pool, made *fault) (o outcome, over bool) {
	if made != nil {
		return h.feign(made), false
	}
	sendErr := h.send()
	if sendErr == errUnpacked {
		h.x.Journal.Cause, h.up.fault = journal.Refused, pool.Aborted
		return unpacked, true
	}
	h.x.Journal.Mark(journal.Sent, h.l.loop.Now())
	o = h.receive(p, cfg, sendErr)
	if h.up.gate != nil && h.gate.vigil.stop(h) || o != done && h.forsaken() {
		return done, true
	}
	return o, false
}

// send writes the request. A body that is not in one piece goes by a task of its own.
func (h *handler) send() error {
	if h.up.gate != nil {
		return h.sendPacket()
	}
	h.out = h.appendRequest(h.out[:0])
	h.up.sent = false
	a, b := join(h.out, h.held)
	n, err := h.push(h.up.c, a, b)
	h.up.wrote = n > 0
	if err != nil {
		return err
	}
	switch {
	case h.waits100(): // the body follows when the server asks for it
	case h.spooled || !h.whole():
		h.upload.start()
	default:
		h.up.sent = true
	}
	return nil
}

// waits100 reports whether the client holds its body back until the server asks for it.
func (h *handler) waits100() bool { return h.x.Req.Expect100 && !h.continued }

const (
	maxInformational = 32              // 1xx responses before a final one
	continueWait     = 1 * time.Second // for a server that ignores Expect (RFC 9110, section 10.1.1)
)

// receive reads response heads until a final one, or 101, is there.
func (h *handler) receive(p *pool.Pool, cfg *config.Pool, sendErr error) outcome {
	u := &h.up
	u.in.r, u.in.w = 0, 0
	if u.in.b == nil {
		u.in.b = h.l.loop.Buffer()
	}
	deadline, hedge := h.by(cfg.Timeouts.FirstByte), h.hedgeAt(cfg)
	for informational := 0; ; {
		if !u.in.empty() {
			n, wrong := h.parseHead()
			if wrong != "" {
				return h.breaks(wrong)
			}
			if n > 0 {
				u.in.r += n
				if s := h.x.Resp.Status; s >= 200 || s == 101 && h.switches() {
					u.dec.ResetResponse(h.x.Resp.Body, h.x.Resp.Length, &h.tree.responseLimits)
					h.x.Journal.Mark(journal.FirstByte, h.l.loop.Now())
					h.answeredBy(s)
					if cfg.Hedge != nil {
						h.tookHedgeable()
					}
					return done
				}
				if informational++; informational > maxInformational || h.x.Resp.Status == 101 {
					return h.breaks("informational responses that were not asked for")
				}
				h.inform()
				continue
			}
		}
		u.in.room(h.l.loop, tail)
		limit := h.nextLook(cfg, hedge, deadline)
		u.c.ReadBy(limit)
		n, err := u.receive(h, u.in.b[u.in.w:len(u.in.b)-tail], limit)
		u.in.w += n
		if n > 0 || err == nil {
			if h.hedge != nil {
				h.endHedge()
			}
			continue
		}
		if h.hedge != nil && (h.hedgeWins(pool.Aborted) || !isTimeout(err) && h.outlives(deadline, pool.EmptyResponse)) {
			continue
		}
		if isTimeout(err) {
			if hedge != 0 && u.in.empty() && h.l.loop.Now() >= hedge {
				hedge = 0
				h.hedges(p, cfg, deadline)
				continue
			}
			if h.waits100() {
				h.goAhead()
				continue
			}
			if o, on := h.glanced(cfg, deadline); on {
				continue
			} else if o != done {
				return o
			}
			if next := h.later(cfg, deadline); next != deadline {
				deadline = next
				continue
			}
			u.fault = pool.TimedOut
			h.x.Journal.Cause = h.limit(journal.FirstByteTimeout)
			return late
		}
		if isWire(err) {
			return h.breaks(reason(err))
		}
		return h.died(err, sendErr)
	}
}

// nextLook is when a request that waits for a response until deadline does something else first.
func (h *handler) nextLook(cfg *config.Pool, hedge, deadline loop.Time) loop.Time {
	switch {
	case h.waits100():
		return h.by(continueWait)
	case hedge != 0 && h.up.in.empty() && (deadline == 0 || hedge < deadline):
		return hedge
	}
	return h.nextGlance(cfg, deadline)
}

// later moves the deadline of the first byte while the body is still on its way to the server.
func (h *handler) later(cfg *config.Pool, deadline loop.Time) loop.Time {
	now := h.l.loop.Now()
	if h.deadline != 0 && now >= h.deadline {
		return deadline
	}
	if h.upload.running {
		return h.by(cfg.Timeouts.FirstByte)
	}
	if at := h.upload.ended + int64(cfg.Timeouts.FirstByte); h.upload.ended != 0 && at > now && at > deadline {
		return at
	}
	return deadline
}

// died tells apart what the end of a server's connection without a final response means.
func (h *handler) died(err, sendErr error) outcome {
	if h.up.gate != nil {
		if o := h.up.gate.refusal(h); o != done {
			return o
		}
	}
	h.up.fault = pool.EmptyResponse
	h.x.Journal.Cause = journal.ServerReset
	if errors.Is(err, io.EOF) {
		h.x.Journal.Cause = journal.EmptyResponse
	}
	switch why := h.up.s.Refused(err); {
	case why != nil: // nothing of the request was looked at
		h.up.fault = pool.ConnectError
		h.x.Journal.Cause, h.x.Journal.Detail = journal.ConnectError, linkFault(why)
		return unsent
	case h.upload.err != nil:
		h.up.fault = pool.Aborted // we cut it off, since the client's body did not come whole
	case sendErr != nil && !h.up.wrote:
		return unsent
	}
	return empty
}

// breaks notes a response that is not HTTP as it must be.
func (h *handler) breaks(reason string) outcome {
	h.up.fault = pool.BadResponse
	h.x.Journal.Cause = journal.BadResponse
	h.x.Journal.Detail = reason
	return broken
}

// inform passes a 1xx response on (RFC 9110, section 15.2), to clients that know them.
func (h *handler) inform() {
	if h.x.Resp.Status == 100 {
		if h.waits100() {
			h.goAhead()
		}
		return
	}
	if h.x.Req.Minor == 0 || h.alone || h.isPart {
		return
	}
	h.conn.WriteBy(h.by(h.tree.cfg.Timeouts.Send))
	h.scratch = h.appendInformational(h.scratch[:0])
	if _, err := h.conn.Write(h.scratch); err != nil {
		h.keep = false // the final response will fail in the same way
	}
}

// goAhead asks the client for the body that it holds back, and begins to send it on.
func (h *handler) goAhead() {
	h.sendContinue()
	h.upload.start()
}

// sendContinue sends 100 (Continue) once.
func (h *handler) sendContinue() {
	h.continued = true
	h.conn.WriteBy(h.by(h.tree.cfg.Timeouts.Send))
	if _, err := h.conn.Write(continueLine); err != nil {
		h.keep = false // the body will not come, and reading it says so
	}
}

var continueLine = []byte("HTTP/1.1 100 Continue\r\n\r\n")
