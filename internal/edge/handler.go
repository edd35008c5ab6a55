package edge

import (
	"encoding/binary"
	"errors"
	"io"
	"runtime/debug"
	"time"

	"github.com/weirhq/weir/internal/exchange"
	"github.com/weirhq/weir/internal/http1"
	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/message"
	"github.com/weirhq/weir/internal/pool"
	"github.com/weirhq/weir/internal/representation"
)

// handler is what a client's connection needs while a request is under way and gives back when it rests: the
// exchange, the buffers, the server's connection. Handlers belong to a loop and are reused.
type handler struct {
	l    *local
	t    *loop.Task
	cl   *client
	conn *loop.Conn

	tree  *tree // in force when the request began
	site  *siteTree
	route *routeTree
	x     exchange.Exchange
	line  journal.Line

	in      window // what the client sent: the head of the request, then its body or the next requests
	body    window // where a body is read that does not fit behind its head
	dec     http1.Decoder
	out     []byte   // heads being made
	path    []byte   // as the server sees it, when it is rewritten
	scratch []byte   // what is made beside h.out
	pieces  [][]byte // of a body, being sent
	ranges  representation.Ranges
	tags    []byte                // entity tags for the server
	tagged  representation.Coding // of what the client says that it has

	held     []byte // the whole request body, when it is in one piece in memory
	spool    spool  // the request body, when it was collected and is not in one piece
	spooled  bool
	up       upstream
	gate     *gate // for servers that do not speak HTTP/1; nil: none was asked yet
	turn     pool.Turn
	session  session
	traced   traced
	hedge    *hedge // under way; nil: none
	upload   uploader
	download downloader

	enc       encoding   // of the response, on its way from the server
	kept      keeping    // what the request has to do with the cache
	refresher refresher  // runs a handler that has no client
	parts     parts      // of a page, to be told of
	sink      *spout     // where the response goes instead of to the client
	page      *assembler // puts its fragments in
	isPart    bool       // it is a fragment: there is no client, but there is a sink
	unranged  bool       // the server is asked for the whole, whatever range the client asked for

	deadline  loop.Time // of the try under way at a server, 0: none
	whenOver  loop.Time // of the whole request at all servers, 0: none
	overrun   loop.Time // when the worker has had its time, 0: it has no limit
	alone     bool      // there is no client: cl and conn are nil
	keep      bool      // the connection lives on after this request
	rests     bool      // the connection was given back to the loop
	parsed    bool      // x.Req is whole
	answered  bool      // a response head has gone to the client
	chunked   bool      // the response goes out chunked
	cut       bool      // the response broke off: the client must be able to see it
	continued bool      // 100 (Continue) was sent or is not wanted
	left      bool      // the client hung up, and the server was told that nothing more comes
	spent     bool      // the last failed try was not repeated because the pool's budget is used up
	lingers   bool      // the client may still be sending: read that off before closing
}

// handler takes a free handler of the loop, or makes one.
func (l *local) handler() *handler {
	var h *handler
	if n := len(l.free); n > 0 {
		h = l.free[n-1]
		l.free = l.free[:n-1]
	} else {
		h = &handler{l: l, out: make([]byte, 0, outSize)}
		h.x.Req.Fields.List = make([]message.Field, 0, 32)
		h.x.Resp.Fields.List = make([]message.Field, 0, 32)
		h.upload.h, h.download.h, h.refresher.h, h.kept.reader.h = h, h, h, h
	}
	h.in.b = l.loop.Buffer()
	l.active++
	return h
}

// leave ends the handler's time with its connection, which rests or is closed.
func (h *handler) leave() {
	l := h.l
	if !h.rests && !h.alone && !h.isPart {
		if h.lingers && !h.cut {
			h.linger()
		}
		h.cl.close()
	}
	h.in.free(l.loop)
	h.rests, h.alone, h.isPart, h.sink = false, false, false, nil
	h.t, h.cl, h.conn, h.tree, h.site, h.route = nil, nil, nil, nil, nil, nil
	l.active--
	if cap(h.out) > keepOut {
		h.out = make([]byte, 0, outSize)
	}
	if h.up.gate = nil; h.gate != nil && cap(h.gate.packet) > keepOut {
		h.gate = nil
	}
	if len(l.free) < maxFreeHandlers {
		l.free = append(l.free, h)
	}
}

const (
	maxFreeHandlers = 1024
	outSize         = 8 << 10
	keepOut         = 16 << 10 // bytes for heads that a resting handler keeps
	lingerBytes     = 256 << 10
	lingerTime      = 2 * time.Second
)

// linger closes as RFC 9112, section 9.6 says: first the sending side, then what the client still sends is read
// off for a moment, because a close with unread bytes resets the connection and may destroy the response on its way.
func (h *handler) linger() {
	if h.conn.CloseWrite() != nil {
		return
	}
	h.in.r, h.in.w = 0, 0
	h.conn.ReadBy(h.l.loop.Now() + int64(lingerTime))
	for left := lingerBytes; left > 0; {
		n, err := h.conn.Read(h.in.b)
		if err != nil {
			return
		}
		left -= n
	}
}

// begin makes the handler ready for a request of its connection.
func (h *handler) begin() {
	h.tree = h.l.edge.tree.Load()
	h.x.Reset()
	h.kept.reset()
	h.tags, h.tagged = h.tags[:0], representation.Identity
	h.site, h.route = nil, nil
	h.upload.err, h.upload.ended = nil, 0
	h.held, h.spooled = nil, false
	h.deadline, h.whenOver, h.overrun, h.unranged, h.spent, h.left = 0, 0, 0, false, false, false
	h.session.forget()
	h.traced = traced{}
	h.parts.reset()
	h.keep, h.parsed, h.answered, h.chunked, h.cut, h.continued, h.lingers = true, false, false, false, false, false, false
}

// finish ends a request: what it still holds goes back, what the client still sends of it is passed over, and
// the line is logged. After it, h.keep says whether the connection lives on.
func (h *handler) finish() {
	h.upload.stop()
	h.up.drop(h)
	h.observe()
	h.endPage()
	h.kept.part.drop()
	h.kept.release()
	h.endEncoding()
	if h.spooled {
		h.spool.free(h.t, h.l)
		h.spooled = false
	}
	h.x.Journal.Mark(journal.Delivered, h.l.loop.Now())
	h.account()
	if h.traced.ctx.Sampled {
		h.tellTrace()
	}
	h.passOver()
	// An edge that hands over closes only where its answer has said so: the head may have been made before.
	if h.l.edge.stopping.Load() && h.l.edge.successor.Load() == nil {
		h.keep = false
	}
	if !h.keep && !h.in.empty() {
		h.lingers = true
	}
}

// passOver reads off what is left of a small request body that nobody wanted, so that the connection can be kept.
func (h *handler) passOver() {
	if !h.parsed || h.dec.Done() {
		h.takeNext()
		return
	}
	if !h.keep || h.x.Req.Expect100 && !h.continued {
		h.keep, h.lingers = false, true
		h.body.free(h.l.loop)
		return
	}
	h.deadline = h.l.loop.Now() + int64(lingerTime) // for all of it: bytes that drip are no reason to wait
	for left := lingerBytes; ; {
		data, err := h.readBody()
		left -= len(data)
		if err != nil || left < 0 {
			h.keep, h.lingers = false, true
			h.body.free(h.l.loop)
			return
		}
		if data == nil {
			h.takeNext()
			return
		}
	}
}

// takeNext keeps what the client has sent behind this request for the next one.
func (h *handler) takeNext() {
	if h.body.b == nil {
		return
	}
	if h.body.empty() {
		h.body.free(h.l.loop)
		return
	}
	h.in.free(h.l.loop)
	h.in, h.body = h.body, window{}
}

// by is the deadline of a phase that begins now: its own, or the whole request's if that is earlier.
func (h *handler) by(d time.Duration) loop.Time {
	if d <= 0 {
		return h.deadline
	}
	at := h.l.loop.Now() + int64(d)
	if h.deadline != 0 && h.deadline < at {
		return h.deadline
	}
	return at
}

// limit names the time limit that was reached: that of a phase, or that of the whole request.
func (h *handler) limit(phase journal.Cause) journal.Cause {
	if h.deadline != 0 && h.deadline <= h.l.loop.Now() {
		return journal.RequestTimeout
	}
	return phase
}

// protect ends one request, and not the edge, when our own code panics.
func (h *handler) protect() {
	v := recover()
	if v == nil {
		return
	}
	h.l.edge.panicked(v, debug.Stack())
	h.l.count.Panics++
	h.keep = false
	h.fail(500, journal.Panicked, "a fault of weir's own; its log has the stack")
}

// readBody returns the next bytes of the request body, nil at its end. The bytes are valid until the next call.
func (h *handler) readBody() ([]byte, error) {
	w := &h.in
	if h.body.b != nil {
		w = &h.body
	}
	for {
		if data, err := h.gatherBody(w); err != nil || len(data) > 0 {
			return data, err
		}
		if h.dec.Done() {
			return nil, nil
		}
		if h.body.b == nil {
			h.body = window{b: h.l.loop.LargeBuffer()}
			w = &h.body
		}
		w.r, w.w = 0, 0
		room := w.b
		if left, known := h.dec.Remaining(); known && left < int64(len(room)) {
			room = room[:left]
		}
		if !h.upload.running {
			h.conn.ReadBy(h.by(h.tree.cfg.Timeouts.Body))
		} else {
			h.upload.readBy(h.by(h.tree.cfg.Timeouts.Body))
		}
		n, err := h.conn.Read(room)
		w.w = n
		if n == 0 && err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
}

// gatherBody decodes what has been read of the request body, in place, and returns the bytes of it in one piece. A body in
// chunks of one byte would else cost a server, and us, a system call for each.
func (h *handler) gatherBody(w *window) ([]byte, error) {
	start, end := w.r, w.r
	for !w.empty() && !h.dec.Done() {
		data, n, err := h.dec.Next(w.bytes())
		if err != nil {
			return nil, err
		}
		if len(data) > 0 {
			if end == start {
				// The data stay where they stand: most bodies are not chunked and need no move.
				start = w.r + n - len(data)
				end = start
			}
			end += copy(w.b[end:], data)
			h.x.Journal.In += int64(len(data))
			if h.route != nil && h.route.bodyLimit > 0 && h.x.Journal.In > h.route.bodyLimit {
				return nil, errBodyTooLarge
			}
		}
		w.r += n
		if n == 0 {
			break
		}
	}
	return w.b[start:end], nil
}

var errBodyTooLarge = errors.New("request body larger than the limit")

// identify settles who asks and under which id. Before the head is known to be well-formed nothing in it is believed.
func (h *handler) identify() {
	x := &h.x
	x.Peer = h.conn.Peer()
	x.Client = x.Peer.Addr().Unmap()
	x.Scheme = h.cl.scheme
	if h.parsed && h.tree.trusts(x.Client) {
		x.Trusted = true
		h.believe()
	}
	if len(x.ID) == 0 {
		x.ID = h.l.appendID(x.ID)
	}
}

// believe takes over what a trusted proxy says of the client: the last address in X-Forwarded-For that is not a
// trusted proxy's own, the scheme, and the request's id.
func (h *handler) believe() {
	x, f := &h.x, &h.x.Req.Fields
	for i := len(f.List) - 1; i >= 0 && f.Has(message.XForwardedFor); i-- {
		if f.List[i].ID != message.XForwardedFor {
			continue
		}
		a, ends := lastUntrusted(f.List[i].Value, h.tree)
		if a.IsValid() {
			x.Client = a
		}
		if ends {
			break
		}
	}
	switch v := f.Get(message.XForwardedProto); {
	case message.EqualFold(v, "https"):
		x.Scheme = "https"
	case message.EqualFold(v, "http"):
		x.Scheme = "http"
	}
	if v := f.Get(message.XRequestID); validID(v) {
		x.ID = append(x.ID[:0], v...)
	}
}

func validID(v []byte) bool {
	if len(v) < 1 || len(v) > 128 {
		return false
	}
	for _, c := range v {
		if c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// appendID makes an id: 10 random digits of this edge's start, the loop, and a count.
func (l *local) appendID(dst []byte) []byte {
	l.ids++
	var raw [8]byte
	binary.BigEndian.PutUint64(raw[:], l.ids)
	const hex = "0123456789abcdef"
	dst = append(dst, l.idPrefix...)
	for _, b := range raw[3:] {
		dst = append(dst, hex[b>>4], hex[b&15])
	}
	return dst
}
