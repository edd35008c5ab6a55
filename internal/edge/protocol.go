package edge

import (
	"errors"
	"io"
	"time"

	"github.com/weirhq/weir/internal/cgi"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/fcgi"
	"github.com/weirhq/weir/internal/http1"
	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/message"
	"github.com/weirhq/weir/internal/pool"
)

// A server that does not speak HTTP/1 differs in four places: how the request goes out (send), how its body does (upload), what is
// taken off the bytes that come back before anybody looks at them (receive), and the form of the response's head. A gate is all
// four. upstream has one only in front of such a server, so that HTTP/1 pays one comparison at each place and nothing else. What
// comes behind (buffers, cache, compression, fragments, retries) sees a response like any other.
//
// The rejected way was an interface with HTTP/1 as one of its implementations: four calls through it for each request, and
// the parser's results through memory.

// gate speaks FastCGI, uwsgi, SCGI or HTTP/2 for one handler, which uses it again.
type gate struct {
	cfg     *config.Pool
	request cgi.Request
	told    cgi.Gateway
	packet  []byte // all that goes before the body
	text    []byte // the path, decoded, and the client's address and port
	records fcgi.Reader
	headed  bool // the response's head is there
	surplus bool // something came behind the response's end: the connection cannot be used again
	said    remarks
	vigil   vigil
	h2      bool // stream counts, and nothing of the above but packet
	stream  stream
}

// packetSize is what a packet takes at first, and up to which a body goes in one record with it.
const packetSize = 4 << 10

// speak makes ready for the protocol of a pool's servers. False means that the request was answered.
func (h *handler) speak(cfg *config.Pool) bool {
	h.up.gate = nil
	if cfg.Protocol == config.HTTP1 {
		return true
	}
	if h.gate == nil {
		h.gate = &gate{packet: make([]byte, 0, packetSize)}
	}
	g := h.gate
	h.up.gate = g
	g.cfg, g.h2 = cfg, cfg.Protocol == config.H2C
	h.x.Req.Upgrade = false // none of these protocols has a second protocol inside
	if g.h2 {
		h.speakHTTP2(g)
		return true
	}
	g.told = cgi.Gateway{Scheme: h.x.Scheme, Minor: h.x.Req.Minor}
	if !h.findScript(cfg.Script) {
		return false
	}
	from := len(g.text)
	g.text = appendAddr(g.text, h.x.Client)
	g.told.Client = g.text[from:len(g.text):len(g.text)]
	if h.x.Peer.IsValid() && h.x.Peer.Addr().Unmap() == h.x.Client {
		from = len(g.text)
		g.text = appendInt(g.text, int64(h.x.Peer.Port()))
		g.told.ClientPort = g.text[from:]
	}
	return true
}

// collects reports whether the body must be held before a server is picked, whatever the buffers say: its length goes before it.
func (h *handler) collects() bool {
	return h.up.gate != nil && !h.up.gate.h2 && h.x.Req.Body == message.Chunked
}

// errUnpacked means that the head does not fit into the protocol.
var errUnpacked = errors.New("the request's head does not fit into the protocol of the server")

// sendPacket is send for a gate.
func (h *handler) sendPacket() error {
	g := h.up.gate
	g.vigil.gone = false
	if g.h2 {
		return h.sendStream()
	}
	g.headed, g.surplus = false, false
	g.records.Reset()
	g.said.reset()
	h.out = h.appendRequest(h.out[:0]) // what an HTTP server would get: the cache, fragments and proxies have had their say in it
	var ok bool
	g.packet, ok = cgi.AppendPacket(g.packet[:0], g.cfg.Protocol, g.cfg.Keep > 0, g.request.Vars(h.out, &g.told))
	if !ok {
		return errUnpacked
	}
	if h.waits100() {
		h.sendContinue() // these servers never ask for a body
	}
	h.up.sent = false
	body := h.held
	if g.cfg.Protocol == config.FastCGI {
		body = nil
		switch n := len(h.held); {
		case h.whole() && n == 0 && !h.spooled:
			g.packet = fcgi.AppendInput(g.packet, 0)
		case n > 0 && n <= packetSize:
			g.packet = append(fcgi.AppendInput(g.packet, n), h.held...)
			g.packet = fcgi.AppendInput(g.packet, 0)
		}
	}
	a, b := join(g.packet, body)
	n, err := h.push(h.up.c, a, b)
	h.up.wrote = n > 0
	if err != nil {
		return err
	}
	switch {
	case h.spooled || !h.whole():
		h.upload.start()
	case g.cfg.Protocol == config.FastCGI && len(h.held) > packetSize:
		h.upload.start() // beside the response: the server may answer before it has read all
	default:
		h.up.sent = true
	}
	g.vigil.start(h)
	return nil
}

// receive reads what the server sends, without what its protocol wraps around it. limit is the connection's for this read.
func (u *upstream) receive(h *handler, p []byte, limit loop.Time) (int, error) {
	var n int
	var err error
	if u.late.by != 0 {
		n, err = u.receiveLate(h, p, limit)
	} else {
		n, err = u.receiveNow(h, p)
	}
	u.got += int64(n)
	return n, err
}

// receiveNow is receive where nothing is withheld.
func (u *upstream) receiveNow(h *handler, p []byte) (int, error) {
	if u.gate == nil {
		return u.c.Read(p)
	}
	return u.gate.read(h, p)
}

// read is receive for a gate. io.EOF is the end that the protocol sets to a response, or the server's before it has begun.
func (g *gate) read(h *handler, p []byte) (int, error) {
	if g.h2 {
		return g.stream.read(h, p)
	}
	if g.records.Ended() {
		return 0, io.EOF
	}
	n, err := h.up.c.Read(p)
	if g.cfg.Protocol != config.FastCGI {
		return n, err
	}
	if n == 0 && err != nil {
		if errors.Is(err, io.EOF) && g.headed {
			err = io.ErrUnexpectedEOF
		}
		return 0, err
	}
	if n, err = g.unwrap(h, p[:n]); err != nil {
		return 0, err
	}
	if n == 0 && g.records.Ended() {
		return 0, io.EOF
	}
	return n, nil
}

// unwrap takes the records off in place, and returns how many bytes of the response are left of p.
func (g *gate) unwrap(h *handler, p []byte) (kept int, err error) {
	for rest := p; len(rest) > 0; {
		s, data, n, wrong := g.records.Next(rest)
		if wrong != nil {
			return 0, &http1.Error{Status: 502, Reason: wrong.Reason}
		}
		switch s {
		case fcgi.Output:
			kept += copy(p[kept:], data)
		case fcgi.Diagnostics:
			g.said.take(h, data)
		}
		if n == 0 {
			g.surplus = true
			break
		}
		rest = rest[n:]
	}
	if g.records.Ended() {
		g.said.flush(h)
	}
	return kept, nil
}

// parseHead parses what has come of the response's head. wrong is the rule that it breaks.
func (h *handler) parseHead() (n int, wrong string) {
	u := &h.up
	if u.gate == nil || u.gate.h2 {
		n, err := http1.ParseResponse(u.in.bytes(), h.x.Req.Method, &h.x.Resp, &h.tree.responseLimits)
		if err != nil {
			return 0, err.Reason
		}
		if u.gate != nil && n > 0 && h.x.Resp.Status >= 200 {
			u.gate.stream.parsed(h)
		}
		return n, ""
	}
	lim := cgi.Limits{Fields: h.tree.responseLimits.Fields, Head: h.tree.responseLimits.Head}
	n, err := cgi.ParseResponse(u.in.bytes(), h.x.Req.Method, &h.x.Resp, &lim)
	if err != nil {
		return 0, err.Reason
	}
	u.gate.headed = n > 0
	return n, ""
}

// ends reports whether no more of the response will come, which the server's protocol has said.
func (g *gate) ends() bool {
	if g.h2 {
		return g.stream.ends()
	}
	return g.records.Ended()
}

// endWait is how long the end of a response is waited for whose last byte has come.
const endWait = 5 * time.Millisecond

// keeps reports whether the connection can be used again.
func (u *upstream) keeps(h *handler) bool {
	if u.gate == nil {
		return h.x.Resp.KeepAlive && u.in.empty() && h.x.Resp.Body != message.UntilClose && u.s.Speaks(config.HTTP1)
	}
	g := u.gate
	if g.h2 {
		return g.stream.keeps(h)
	}
	if g.cfg.Protocol != config.FastCGI || !u.s.Speaks(config.FastCGI) || g.cfg.Keep == 0 || g.surplus {
		return false
	}
	if !g.ends() {
		// The end record follows the last bytes most often in the same packet, or else in the next one. A moment is less
		// than another connection costs; a server that takes longer is not worth waiting for.
		var b [64]byte
		u.c.ReadBy(h.l.loop.Now() + int64(endWait))
		if n, err := g.read(h, b[:]); n > 0 || !isEOF(err) {
			return false
		}
	}
	return g.ends() && g.records.Status() == fcgi.Complete && !g.surplus && u.in.empty()
}

// refusal tells why a server ended a request before it answered: an outcome other than done.
func (g *gate) refusal(h *handler) outcome {
	if g.h2 {
		return g.stream.refusal(h)
	}
	if g.cfg.Protocol != config.FastCGI || !g.records.Ended() {
		return done
	}
	switch g.records.Status() {
	case fcgi.Overloaded, fcgi.NoMultiplexing:
		h.up.fault = pool.Unavailable
		h.x.Journal.Cause = journal.Overloaded
		h.x.Journal.Detail = "the FastCGI server is overloaded"
		return overloaded
	case fcgi.UnknownRole:
		return h.breaks("the FastCGI server is no responder")
	}
	return done
}

// sendInput is the upload of a request's body to a FastCGI server: a stream of records, with an end of its own.
func (u *uploader) sendInput(t *loop.Task) {
	h := u.h
	g := h.up.gate
	switch {
	case h.spooled:
		for _, p := range h.spool.pieces {
			if g.input(h, p) != nil {
				return
			}
		}
		if g.inputFile(t, h) != nil {
			return
		}
	case h.held != nil:
		if g.input(h, h.held) != nil {
			return
		}
	default:
		for {
			data, err := h.readBody()
			if err != nil {
				u.err = err
				if h.up.c != nil && !u.stopped {
					_ = h.up.c.Reset() // the server must not take a part for the whole
				}
				return
			}
			if h.up.c == nil || u.stopped {
				return
			}
			if data == nil {
				break
			}
			if g.input(h, data) != nil {
				return
			}
		}
	}
	h.up.sent = g.inputRecord(h, nil) == nil
}

// input sends a part of the body.
func (g *gate) input(h *handler, data []byte) error {
	for len(data) > 0 {
		n := min(len(data), fcgi.MaxContent)
		if err := g.inputRecord(h, data[:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

func (g *gate) inputRecord(h *handler, data []byte) error {
	if h.up.c == nil {
		return loop.ErrClosed
	}
	var head [8]byte
	_, err := h.push(h.up.c, fcgi.AppendInput(head[:0], len(data)), data)
	return err
}

// inputFile sends what of a collected body stands in a file.
func (g *gate) inputFile(t *loop.Task, h *handler) error {
	s := &h.spool
	for off := int64(0); off < s.wrote; {
		n := min(s.wrote-off, fcgi.MaxContent)
		var head [8]byte
		if h.up.c == nil {
			return loop.ErrClosed
		}
		if _, err := h.push(h.up.c, fcgi.AppendInput(head[:0], int(n)), nil); err != nil {
			return err
		}
		if h.up.c == nil {
			return loop.ErrClosed
		}
		if _, err := h.pushFile(t, h.up.c, s.file, off, n); err != nil {
			return err
		}
		off += n
	}
	return nil
}
