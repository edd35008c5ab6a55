package edge

import (
	"errors"
	"io"
	"runtime/debug"
	"time"

	"github.com/weirhq/weir/internal/esi"
	"github.com/weirhq/weir/internal/http1"
	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/message"
	"github.com/weirhq/weir/internal/representation"
)

// assembler sends a page with its fragments to a client, on a task of its own. What it holds of them is a buffer, what
// parsers hold back of a tag, and what attempts hold until they are known to succeed (esi.Limits.Held).
type assembler struct {
	h       *handler // of the client; its task pours the page into feed
	t       *loop.Task
	feed    spout
	running bool

	page    esi.Page
	asm     esi.Assembly
	docs    []*doc      // by depth
	scout   esi.Parser  // looks at what is to come
	ahead   int         // fragments that were asked for ahead of their places
	root    esi.Address // of the page
	address []byte      // memory of root

	enc     encoding
	chunked bool
	head    []byte   // the response's, until it is sent
	buf     []byte   // of the body, until it is sent
	pieces  [][]byte // being sent
	frame   []byte
	taken   int64       // bytes that were meant for the client
	out     int64       // bytes of the body that were sent, without framing
	lost    []*fragment // those that nobody waits for any more
	failed  int         // fragments
}

var (
	errLost = errors.New("the client is gone")
	errCut  = errors.New("a fragment broke off")
)

// maxPages is how many resting assemblers a loop keeps.
const maxPages = 32

// assembler takes a free assembler of the loop, or makes one.
func (l *local) assembler(h *handler) *assembler {
	var a *assembler
	if n := len(l.pages); n > 0 {
		a = l.pages[n-1]
		l.pages = l.pages[:n-1]
	} else {
		a = &assembler{}
	}
	a.h, a.feed, a.lost, a.taken, a.out, a.failed = h, spout{}, a.lost[:0], 0, 0, 0
	return a
}

// beginPage starts the assembler with the first bytes of the page.
func (h *handler) beginPage() {
	if h.isPart || h.page.running {
		return
	}
	h.page.running = true
	h.l.loop.Go(h.page)
}

// endPage waits until the page has been sent, or cannot be.
func (h *handler) endPage() {
	a := h.page
	if a == nil {
		return
	}
	a.feed.end(h.cut)
	for a.running {
		if h.t.Park(0) != nil {
			h.page, h.sink = nil, nil
			return // the engine stops, and the assembler with it
		}
	}
	if h.sink != nil {
		h.x.Journal.Out, h.x.Journal.Includes, h.x.Journal.Failed = a.out, a.page.Includes(), a.failed
	}
	h.page, h.sink = nil, nil
	a.h, a.t = nil, nil
	if len(h.l.pages) < maxPages {
		h.l.pages = append(h.l.pages, a)
	}
}

// Run implements loop.Runner.
func (a *assembler) Run(t *loop.Task) {
	a.t = t
	h := a.h
	defer func() {
		a.feed.shutOff()
		for _, d := range a.docs {
			a.dropEarly(d, len(d.early))
		}
		for _, f := range a.lost {
			f.feed.shutOff()
		}
		clear(a.lost)
		a.lost = a.lost[:0]
		a.endEncoding()
		if a.buf != nil {
			h.l.loop.Release(a.buf)
			a.buf = nil
		}
		a.running = false
		h.t.Wake()
	}()
	defer func() {
		if v := recover(); v != nil {
			h.l.edge.panicked(v, debug.Stack())
			h.l.count.Panics++
			a.cutOff(journal.Panicked)
		}
	}()
	a.buf = h.l.loop.Buffer()[:0]
	switch err := a.deliver(); {
	case err == nil, errors.Is(err, errLost):
	case errors.Is(err, loop.ErrClosed):
		a.cutOff(journal.Stopping)
	case h.x.Journal.Cause != journal.NoCause: // the page itself broke off, which has been noted
		a.cutOff(h.x.Journal.Cause)
	case errors.Is(err, errCut), errors.Is(err, io.ErrUnexpectedEOF):
		a.cutOff(journal.ServerReset)
	default:
		h.x.Journal.Detail = "the page could not be unpacked"
		a.cutOff(journal.BadResponse)
	}
}

// cutOff ends the response so that the client does not take the part for the whole.
func (a *assembler) cutOff(cause journal.Cause) {
	h := a.h
	_ = a.flush() // what is here is still sent; if it cannot be, that makes no difference
	h.keep, h.cut = false, true
	h.x.Journal.Cause = cause
	if !a.chunked {
		_ = h.conn.Reset() // a plain close would be read as the end of the body
	}
}

// deliver sends the response that the feed brings, its fragments in their places.
func (a *assembler) deliver() error {
	h := a.h
	src := pageContent{a: a, s: &a.feed}
	var resp message.Response
	if err := src.begin(h.x.Req.Method, &resp, 0); err != nil {
		return err
	}
	a.page.Reset(h.route.esi.limits)
	a.asm.Reset(&a.page)
	a.locate()
	bodyless := h.isHead() // a status without content is not looked into
	a.makeHead(&resp, bodyless)
	if bodyless {
		src.s.take(src.given)
		return a.flush()
	}
	defer src.free()
	if err := a.document(&src, a.root, 0); err != nil {
		return err
	}
	return a.finish()
}

// locate notes where the page is from.
func (a *assembler) locate() {
	x := &a.h.x
	b := append(a.address[:0], x.Req.Host...)
	if len(x.Req.Port) > 0 && (x.Scheme != "http" || string(x.Req.Port) != "80") && (x.Scheme != "https" || string(x.Req.Port) != "443") {
		b = append(append(b, ':'), x.Req.Port...)
	}
	n := len(b)
	b = append(b, x.Req.Path...)
	if x.Req.HasQuery {
		b = append(append(b, '?'), x.Req.Query...)
	}
	a.address = b
	a.root = esi.Address{Scheme: x.Scheme, Host: b[:n:n], Target: b[n:]}
}

// document sends a document of the page: what is text, and fragments in their places.
func (a *assembler) document(src *pageContent, from esi.Address, depth int) error {
	for len(a.docs) <= depth {
		a.docs = append(a.docs, &doc{})
	}
	d := a.docs[depth]
	d.parser.Reset(&a.page, depth)
	d.in, d.from = nil, from
	defer func() {
		a.dropEarly(d, len(d.early))
		d.in, d.from = nil, esi.Address{}
	}()
	for {
		ev, n := d.parser.Next(d.in)
		d.in = d.in[n:]
		if ev.Kind != esi.More {
			if err := a.event(&ev, d, depth); err != nil {
				return err
			}
			continue
		}
		var err error
		if d.in, err = src.next(); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
	}
	for {
		ev := d.parser.Finish()
		if ev.Kind == esi.End {
			return nil
		}
		if err := a.event(&ev, d, depth); err != nil {
			return err
		}
	}
}

// event does what one step through a document asks for.
func (a *assembler) event(ev *esi.Event, d *doc, depth int) error {
	switch ev.Kind {
	case esi.Text:
		return a.text(ev.Text)
	case esi.Include:
		return a.include(ev.Fragment, d, depth)
	}
	return a.emit(a.asm.Block(ev.Kind))
}

// text sends text of a document, or has it held back.
func (a *assembler) text(b []byte) error {
	before, now := a.asm.Text(b)
	if err := a.emit(before); err != nil {
		return err
	}
	return a.emit(now)
}

// emit is for bytes of the page as the client is to see it.
func (a *assembler) emit(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	a.taken += int64(len(b))
	if a.enc.enc != nil {
		var err error
		if b, err = a.enc.encoded(b, false); err != nil {
			return errors.Join(errCut, err)
		}
	}
	return a.put(b)
}

// put gathers bytes of the body; many together cost one write, and large ones go by themselves.
func (a *assembler) put(b []byte) error {
	if len(b) <= cap(a.buf)-len(a.buf) {
		a.buf = append(a.buf, b...)
		return nil
	}
	return a.send(b)
}

// flush sends what was gathered.
func (a *assembler) flush() error {
	if len(a.head)+len(a.buf) == 0 {
		return nil
	}
	return a.send(nil)
}

// send sends what was gathered, and b.
func (a *assembler) send(b []byte) error {
	n := len(a.buf) + len(b)
	p := a.pieces[:0]
	add := func(piece []byte) {
		if len(piece) > 0 {
			p = append(p, piece)
		}
	}
	add(a.head)
	if a.chunked && n > 0 {
		a.frame = http1.AppendChunk(a.frame[:0], n)
		add(a.frame)
	}
	add(a.buf)
	add(b)
	if a.chunked && n > 0 {
		add(crlf)
	}
	err := a.write(p)
	clear(p)
	a.pieces, a.head, a.buf = p[:0], a.head[:0], a.buf[:0]
	a.out += int64(n)
	return err
}

func (a *assembler) write(pieces [][]byte) error {
	h := a.h
	for {
		h.conn.WriteBy(h.sendBy())
		n, err := h.conn.WriteAll(pieces)
		if err == nil {
			return nil
		}
		if n == 0 || !isTimeout(err) {
			h.lostClient(err)
			return errLost
		}
	}
}

// finish sends the end.
func (a *assembler) finish() error {
	if a.enc.enc != nil {
		b, err := a.enc.encoded(nil, true)
		if err == nil {
			err = a.put(b)
		}
		if err != nil {
			return err
		}
	}
	if err := a.flush(); err != nil || !a.chunked {
		return err
	}
	a.frame = http1.AppendLastChunk(a.frame[:0], nil)
	return a.write(append(a.pieces[:0], a.frame))
}

// soon is how long what was gathered waits for what comes next, which is there at once when it is in the cache.
const soon = time.Millisecond

// await looks what a spout offers. Before a wait the client gets what there is; if it leaves meanwhile, that is the end.
func (a *assembler) await(s *spout, by loop.Time) ([]byte, error) {
	h := a.h
	first := h.l.loop.Now() + int64(soon)
	if by == 0 || first < by {
		p, err := s.look(a.t, first)
		for errors.Is(err, loop.ErrHangup) { // told late, of an earlier wait
			p, err = s.look(a.t, first)
		}
		if !isTimeout(err) {
			return p, err
		}
		if err := a.flushAll(); err != nil {
			return nil, err
		}
	}
	if err := h.conn.Watch(a.t, true); err != nil {
		h.lostClient(err)
		return nil, errLost
	}
	defer h.conn.Watch(nil, false)
	p, err := s.look(a.t, by)
	if errors.Is(err, loop.ErrHangup) {
		h.lostClient(err)
		return nil, errLost
	}
	return p, err
}

// flushAll sends what was gathered, also what the encoder gathers.
func (a *assembler) flushAll() error {
	if a.enc.enc != nil && a.enc.unsent {
		a.enc.unsent = false
		b, err := a.enc.enc.Flush(a.enc.out[:0])
		a.enc.out = b
		if err == nil {
			err = a.put(b)
		}
		if err != nil {
			return err
		}
	}
	return a.flush()
}

func (a *assembler) endEncoding() {
	if e := &a.enc; e.enc != nil {
		a.h.l.encoders.Put(e.enc)
		e.enc = nil
	}
	a.enc.coding = representation.Identity
	if cap(a.enc.out) > keepEncoded {
		a.enc.out = nil
	}
}
