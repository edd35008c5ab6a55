package edge

import (
	"errors"
	"io"
	"time"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/http1"
	"github.com/weirhq/weir/internal/http2"
	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/message"
	"github.com/weirhq/weir/internal/pool"
)

// The gate in front of servers that are spoken to in HTTP/2 with prior knowledge. What comes from such a server is made HTTP/1 again
// before anybody looks at it: a head as text, then the data without frames, in the buffer that they were read into. One
// request is under way on a connection at a time (docs/adr/0023-http2-to-servers.md).

// h2conn is what is known of such a connection from one request to the next.
type h2conn struct {
	http2.Session
	l      *local
	c      *loop.Conn
	s      *pool.Server // where it rests
	heard  int          // how often the server spoke in this rest
	calmed loop.Time
}

// stream is one request and its response.
type stream struct {
	conn    *h2conn
	scratch http2.Scratch
	raw     window // what was read up to the final head; behind that it is read where it is wanted
	text    []byte // what is left of a head to be handed out
	headed  bool   // the final head has been parsed
	err     error  // behind what was handed out
	control []byte // being sent
	frame   []byte // being sent by the upload
	writing bool   // one task sends; another one's frames must not come in between
	up      *loop.Task
	tail    http1.Decoder // holds the trailers
	grpc    bool          // the request is gRPC's
	status  int           // that of gRPC, -1: none yet
}

// newH2conn begins a connection.
func (h *handler) newH2conn(c *loop.Conn) *h2conn {
	lim := &h.tree.responseLimits
	hc := &h2conn{l: h.l, c: c}
	hc.Open(http2.Limits{Fields: lim.Fields, Head: lim.Head})
	c.Remember(hc)
	return hc
}

// sendStream is send for HTTP/2. The server's settings are not waited for: those that everybody begins with hold until they come.
func (h *handler) sendStream() error {
	g := h.up.gate
	st := &g.stream
	hc, _ := h.up.c.Memory().(*h2conn)
	if hc == nil {
		hc = h.newH2conn(h.up.c)
	}
	st.begin(h, hc)
	h.out = h.appendRequest(h.out[:0]) // what an HTTP/1 server would get: the cache, fragments and proxies have had their say in it
	h.up.sent = false
	end := h.whole() && len(h.held) == 0 && (!h.spooled || h.spool.size == 0)
	var ok bool
	g.packet, ok = hc.Begin(g.packet[:0], h.out, http2.Options{
		Trailers: st.grpc || hasToken(&h.x.Req.Fields, message.TE, "trailers"),
		Bodiless: h.x.Req.Method == message.HEAD, End: end}, &st.scratch)
	if !ok {
		return errUnpacked
	}
	var body []byte
	if n := len(h.held); n > 0 && n <= hc.Room() {
		g.packet, body = hc.AppendData(g.packet, n, true), h.held
	}
	a, b := join(g.packet, body)
	n, err := h.push(h.up.c, a, b)
	h.up.wrote = n > 0
	if err != nil {
		return err
	}
	switch {
	case h.waits100(): // the body follows when the server asks for it
	case end || body != nil:
		h.up.sent = true
	default:
		h.upload.start()
	}
	if st.grpc {
		g.vigil.start(h)
	}
	return nil
}

// begin makes ready for a request on a connection.
func (st *stream) begin(h *handler, hc *h2conn) {
	st.conn, st.text, st.headed, st.err, st.writing, st.up, st.status = hc, nil, false, nil, false, nil, -1
	st.tail.Reset(message.NoBody, 0, &h.tree.responseLimits)
	if st.raw.b == nil {
		st.raw.b = h.l.loop.Buffer()
	}
	st.raw.r, st.raw.w = 0, 0
}

var errStreamEnded = errors.New("the server ended the stream")

// read is receive for HTTP/2: bytes of heads and of the body, as HTTP/1 would have them, and io.EOF at the end of the stream.
func (st *stream) read(h *handler, p []byte) (int, error) {
	kept := 0
	for st.err == nil {
		n := copy(p[kept:], st.text)
		st.text = st.text[n:]
		kept += n
		if len(st.text) > 0 || kept == len(p) || st.raw.empty() {
			break
		}
		src := st.raw.bytes() // no more than there is room for
		n, used := st.feed(h, p[kept:], src[:min(len(src), len(p)-kept)])
		kept += n
		st.raw.r += used
	}
	switch {
	case kept > 0:
		return kept, nil
	case st.err != nil:
		return 0, st.err
	}
	switch st.conn.State() {
	case http2.Ended:
		return 0, io.EOF
	case http2.Refused, http2.Broken:
		return 0, errStreamEnded
	}
	into := p
	if !st.headed {
		into = st.raw.b
	}
	n, err := h.up.c.Read(into)
	if n == 0 {
		if errors.Is(err, io.EOF) && st.headed {
			err = io.ErrUnexpectedEOF
		}
		return 0, err
	}
	if !st.headed {
		st.raw.r, st.raw.w = 0, n
		return 0, nil // the next call hands it out, under the deadline that holds then
	}
	kept, _ = st.feed(h, p, p[:n])
	return kept, nil
}

// feed takes received bytes, and puts the data in them into dst, which may begin where src does.
func (st *stream) feed(h *handler, dst, src []byte) (kept, used int) {
	hc := st.conn
	hc.calm(h.l.loop.Now())
	for used < len(src) && len(st.text) == 0 {
		e, data, n, wrong := hc.Next(src[used:])
		used += n
		if wrong != nil {
			st.fail(h, wrong)
			return kept, used
		}
		switch e {
		case http2.Head:
			st.text = data
		case http2.Body:
			kept += copy(dst[kept:], data)
		case http2.Trailers:
			st.takeTrailers(h, data)
		}
	}
	st.flush(h)
	if st.up != nil {
		st.up.WakeHere() // there may be room for its data
	}
	return kept, used
}

// calm renews what a server may send without saying anything.
func (hc *h2conn) calm(now loop.Time) {
	if now-hc.calmed >= int64(time.Second) {
		hc.calmed = now
		hc.Calm()
	}
}

// goodbyeWithin bounds what telling a server why it is left may take.
const goodbyeWithin = 10 * time.Millisecond

// fail notes that the server broke a rule, and tells it which one if that can be done at once.
func (st *stream) fail(h *handler, wrong *http2.Error) {
	st.err = &http1.Error{Status: 502, Reason: wrong.Reason}
	if st.writing {
		return
	}
	st.control = st.conn.Goodbye(st.control[:0], wrong.Code)
	h.up.c.WriteBy(h.l.loop.Now() + int64(goodbyeWithin))
	_, _ = h.up.c.Write(st.control) // it is given up in any case
}

// flush sends what the protocol asks for. While the upload sends, it goes with that.
func (st *stream) flush(h *handler) {
	if !st.conn.HasOut() || st.writing || h.up.c == nil {
		return
	}
	st.writing = true
	st.control = st.conn.TakeOut(st.control[:0])
	_, _ = h.push(h.up.c, st.control, nil) // if it cannot be sent, reading or the upload will say so
	st.writing = false
}

// takeTrailers reads the lines of a trailer section as those behind chunks are read.
func (st *stream) takeTrailers(h *handler, lines []byte) {
	st.tail.ResetResponse(message.Chunked, 0, &h.tree.responseLimits)
	_, _, wrong := st.tail.Next(lastChunk)
	if wrong == nil {
		_, _, wrong = st.tail.Next(lines)
	}
	if wrong != nil {
		st.err = wrong
		return
	}
	if st.grpc {
		st.noteStatus(st.tail.Trailers())
	}
}

var lastChunk = []byte("0\r\n")

// parsed looks at the final head of a response. HTTP/1 has no trailers behind a body of known length, so one that announces some for
// a client that wants them goes on without its length; that it has it is seen to all the same.
func (st *stream) parsed(h *handler) {
	st.headed = true
	resp := &h.x.Resp
	if resp.Body == message.ByLength && resp.Fields.Has(message.Trailer) && h.x.Req.Minor > 0 && h.wantsTrailers() {
		resp.Body, resp.Length = message.UntilClose, 0
		resp.Fields.Del(message.ContentLength)
	}
	if st.grpc {
		st.noteStatus(&resp.Fields)
	}
}

// ends reports whether the stream has ended and all of it was handed out.
func (st *stream) ends() bool { return st.conn.State() == http2.Ended && len(st.text) == 0 }

// keeps reports whether the connection can be used again. The end of a stream may still be to come, if all the rest is here.
func (st *stream) keeps(h *handler) bool {
	u := &h.up
	for st.err == nil && !st.raw.empty() {
		_, used := st.feed(h, nil, st.raw.bytes())
		st.raw.r += used
	}
	hc := st.conn
	if st.err != nil || !u.in.empty() || !u.s.Speaks(config.H2C) || u.gate.cfg.Keep == 0 || !hc.Finish() {
		return false
	}
	hc.s, hc.heard = u.s, 0
	return true
}

// refusal tells why a server ended a stream before it answered: an outcome other than done.
func (st *stream) refusal(h *handler) outcome {
	hc, x := st.conn, &h.x
	switch hc.State() {
	case http2.Refused:
		h.up.fault = pool.Unavailable
		x.Journal.Cause, x.Journal.Detail = journal.Overloaded, "the server refused the stream"
		if hc.Leaving() {
			x.Journal.Detail = "the server takes no more requests on this connection"
			if h.whole() {
				return unsent // on one that was kept it is to be expected: a new one may do
			}
		}
		return overloaded
	case http2.Broken:
		if hc.Code() == http2.HTTP11Required {
			return h.breaks("the server wants HTTP/1.1 for this request")
		}
		x.Journal.Detail = "the server reset the stream: " + hc.Code().String()
	}
	return done
}

// listenTimes is how often a server may speak in one rest of a connection. Some ping, or widen their windows afterwards.
const listenTimes = 16

// listenFor bounds how long the rest of what it says may take.
const listenFor = time.Second

// Spoken implements pool.Listener.
func (hc *h2conn) Spoken(*loop.Conn) {
	hc.l.active++
	hc.l.loop.Go(hc)
}

// Run implements loop.Runner: it hears what the server says on a connection that rested, and lets that rest on.
func (hc *h2conn) Run(t *loop.Task) {
	l := hc.l
	defer func() { l.active-- }()
	if hc.heard++; hc.heard > listenTimes || !hc.listen(l) {
		_ = hc.c.Close() // nobody uses it
		return
	}
	hc.s.Keep(hc.c)
}

// listen reads once, and answers. False when the connection is of no more use.
func (hc *h2conn) listen(l *local) bool {
	now := l.loop.Now()
	hc.calm(now)
	b := l.loop.Buffer()
	defer l.loop.Release(b)
	hc.c.ReadBy(now + int64(listenFor))
	hc.c.WriteBy(now + int64(listenFor))
	for more := true; more; more = hc.Within() {
		n, err := hc.c.Read(b)
		if n == 0 && err != nil {
			return false
		}
		if _, _, _, wrong := hc.Next(b[:n]); wrong != nil { // without a request there is nothing but what is used up at once
			return false
		}
	}
	if hc.HasOut() {
		if _, err := hc.c.Write(hc.TakeOut(b[:0])); err != nil {
			return false
		}
	}
	return !hc.Leaving()
}
