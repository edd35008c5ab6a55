package edge

import (
	"bytes"
	"errors"
	"io"

	"github.com/weirhq/weir/internal/compress"
	"github.com/weirhq/weir/internal/esi"
	"github.com/weirhq/weir/internal/http1"
	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/message"
)

// fragment is a request for a part of a page: one like any other but for its client, which is an assembler.
type fragment struct {
	h     *handler
	feed  spout
	head  []byte        // of the request
	asked loop.Time     // when
	over  loop.Time     // when feed ended; h is another's from then on
	cache journal.Cache // what it did, once feed has ended
}

// maxLost is how many fragments of a page may be under way that nobody waits for any more (maxwait); what they bring still
// goes into the cache.
const maxLost = 8

// include puts a fragment into its place.
func (a *assembler) include(fr *esi.Fragment, d *doc, depth int) error {
	if !a.asm.Wanted() {
		return nil
	}
	if !fr.Over {
		done, err := a.try(fr.Src, fr, d, depth)
		if !done && err == nil && len(fr.Alt) > 0 {
			done, err = a.try(fr.Alt, fr, d, depth)
		}
		if done || err != nil {
			return err
		}
	}
	a.failed++
	if !fr.Continue {
		a.asm.Fail() // what no attempt takes leaves a gap: the rest of the page is worth more than none
	}
	return nil
}

// try asks for a fragment at one address. done is false when it cannot be had and nothing of it was passed on.
func (a *assembler) try(ref []byte, fr *esi.Fragment, d *doc, depth int) (done bool, err error) {
	e := a.h.route.esi
	to, err := a.resolve(d.from, ref, depth)
	if err != nil {
		a.h.parts.add(ref)
		a.page.Warn(esi.Refused, 0)
		e.sayFailed(a.h, err.Error(), ref)
		return false, nil
	}
	part := a.h.parts.add(to.Target)
	var f *fragment
	if bytes.Equal(ref, fr.Src) {
		f = a.takeEarly(d, ref)
	}
	if f == nil {
		var why string
		if f, why = a.ask(to); f == nil {
			e.sayFailed(a.h, why, ref)
			return false, nil
		}
	}
	a.askAhead(d)
	by := loop.Time(0)
	if fr.MaxWait > 0 {
		by = a.h.l.loop.Now() + int64(fr.MaxWait)
	}
	src := pageContent{a: a, s: &f.feed}
	var resp message.Response
	defer func() { a.h.parts.went(part, f, resp.Status, a.h.l.loop.Now()) }()
	switch err := src.begin(message.GET, &resp, by); {
	case errors.Is(err, errLost) || errors.Is(err, loop.ErrClosed):
		f.feed.shutOff()
		return false, err
	case isTimeout(err):
		a.lost = append(a.lost, f)
		e.sayFailed(a.h, "it did not come within its maxwait", ref)
		return false, nil
	case err != nil:
		f.feed.shutOff()
		e.sayFailed(a.h, "no response came", ref)
		return false, nil
	case resp.Status < 200 || resp.Status > 299:
		f.feed.shutOff()
		e.sayFailed(a.h, "its status is "+http1.StatusText(resp.Status), ref)
		return false, nil
	case src.unreadable:
		f.feed.shutOff()
		e.sayFailed(a.h, "its Content-Encoding cannot be read", ref)
		return false, nil
	}
	return a.place(&src, f, fr, to, depth, ref)
}

// resolve makes an address of what a document says.
func (a *assembler) resolve(from esi.Address, ref []byte, depth int) (esi.Address, error) {
	hosts := a.h.route.esi.hosts
	to, _, err := esi.Resolve(nil, from, ref, hosts)
	if errors.Is(err, esi.ErrHost) && depth > 0 {
		to, _, err = esi.Resolve(nil, a.root, ref, hosts) // a fragment from elsewhere may include from where the page is from
	}
	return to, err
}

// place passes the content of a fragment on.
func (a *assembler) place(src *pageContent, f *fragment, fr *esi.Fragment, to esi.Address, depth int, ref []byte) (done bool, err error) {
	mark, before := a.asm.Mark(), a.taken+int64(a.asm.Held())
	if f.feed.esi {
		err = a.document(src, to, depth+1)
	} else {
		err = a.copy(src)
	}
	f.feed.shutOff()
	src.free()
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, errLost), errors.Is(err, errCut), errors.Is(err, loop.ErrClosed):
		return false, err
	}
	a.asm.Unwind(mark)
	a.h.route.esi.sayFailed(a.h, err.Error(), ref)
	if a.taken+int64(a.asm.Held()) == before {
		return false, nil
	}
	// The client has a part of it, or may get one.
	a.failed++
	if fr.Continue || a.asm.Fail() {
		return true, nil
	}
	return false, errCut
}

// copy passes a fragment on that is not looked into.
func (a *assembler) copy(src *pageContent) error {
	for {
		b, err := src.next()
		if err == io.EOF {
			return nil
		}
		if err == nil {
			err = a.text(b)
		}
		if err != nil {
			return err
		}
	}
}

// ask begins a request for a fragment. nil: it cannot be made, and why.
func (a *assembler) ask(to esi.Address) (f *fragment, why string) {
	h := a.h
	late := a.lost[:0]
	for _, f := range a.lost {
		if !f.feed.ended {
			late = append(late, f)
		}
	}
	clear(a.lost[len(late):])
	if a.lost = late; len(late) >= maxLost {
		return nil, "too many are late already"
	}
	f = &fragment{asked: h.l.loop.Now()}
	f.head = h.appendFragmentRequest(nil, to)
	limits := h.tree.limits
	limits.Head, limits.Fields = limits.Head+16<<10, limits.Fields+1
	b := h.l.handler()
	f.h = b
	b.begin()
	b.isPart, b.sink, b.tree = true, &f.feed, h.tree // of the page, not what has come into force since
	if n, err := http1.ParseRequest(f.head, &b.x.Req, &limits); err != nil || n != len(f.head) {
		b.leave()
		return nil, "its request cannot be made"
	}
	b.x.Peer, b.x.Client, b.x.Trusted, b.x.Scheme = h.x.Peer, h.x.Client, h.x.Trusted, to.Scheme
	b.x.ID = append(b.x.ID[:0], h.x.ID...)
	b.traced = h.traced.part()
	b.session.pool, b.session.has, b.session.ticket = h.session.pool, h.session.has, h.session.ticket // the page's: it has no cookie of its own
	b.x.Journal.Start = h.l.loop.Wall()
	b.parsed, b.continued = true, true
	h.l.loop.Go(f)
	return f, ""
}

// Run implements loop.Runner.
func (f *fragment) Run(t *loop.Task) {
	h := f.h
	h.t = t
	whole := false
	defer func() { // deferred: the assembler waits for it even if we panic
		f.over, f.cache = h.l.loop.Now(), h.x.Journal.Cache
		f.feed.end(!whole)
		h.leave()
	}()
	h.serve()
	whole = !h.cut
	h.upload.stop()
	h.up.drop(h)
	h.observe()
	h.l.count.Cache[h.x.Journal.Cache]++ // the cache's work is the same; no client sees a request
	h.kept.part.drop()
	h.kept.release()
	h.endEncoding()
	if h.traced.ctx.Sampled {
		h.x.Journal.Mark(journal.Delivered, h.l.loop.Now())
		h.tellTrace()
	}
}

// appendFragmentRequest makes the head of a request for a fragment: the page's, but for what is about the page.
func (h *handler) appendFragmentRequest(dst []byte, to esi.Address) []byte {
	dst = append(append(append(dst, "GET "...), to.Target...), " HTTP/1.1\r\n"...)
	dst = appendField(dst, "Host", to.Host)
	f := &h.x.Req.Fields
	named := f.Has(message.Connection) && namesFields(f)
	abroad := !message.EqualFold(to.Host, string(h.page.root.Host))
	for i := range f.List {
		l := &f.List[i]
		if ofPageRequest[l.ID] || abroad && ofHost(l) || named && isNamed(f, l) || isContentField(l) {
			continue
		}
		dst = appendField(dst, l.Name, l.Value)
	}
	return append(dst, "\r\n"...)
}

// ofPageRequest are the fields of a request for a page that are not for its fragments: the connection's own, those about a body,
// conditions and ranges, and the codings that the client takes, since weir puts the fragments together.
var ofPageRequest = newHop(message.Connection, message.KeepAlive, message.ProxyConnection, message.ProxyAuthenticate, message.ProxyAuthorization,
	message.TE, message.Trailer, message.TransferEncoding, message.Upgrade, message.Expect, message.XRequestID, message.Host,
	message.ContentLength, message.ContentType, message.ContentEncoding, message.ContentRange, message.AcceptEncoding,
	message.IfMatch, message.IfNoneMatch, message.IfModifiedSince, message.IfUnmodifiedSince, message.IfRange, message.Range)

// ofHost reports whether a field is for the page's host alone: a browser would not send it to another one.
func ofHost(l *message.Field) bool { return l.ID == message.Cookie || l.ID == message.Authorization }

func isContentField(l *message.Field) bool {
	const prefix = "content-"
	return len(l.Name) > len(prefix) && message.EqualFold(l.Name[:len(prefix)], prefix)
}

// pageContent is the content of a response that a spout brings, without transfer and content codings.
type pageContent struct {
	a          *assembler
	s          *spout
	dec        http1.Decoder
	given      int // bytes that are offered and were given out
	rest       []byte
	unzip      *compress.Decoder
	buf        []byte
	unreadable bool
}

// partLimits are for heads that weir made itself.
var partLimits = http1.Limits{Line: 64 << 10, Fields: 1000, Head: 256 << 10}

// begin reads the head. Its slices live until next is called.
func (s *pageContent) begin(method message.Method, resp *message.Response, by loop.Time) error {
	p, err := s.a.await(s.s, by)
	if err != nil {
		return err
	}
	n, wrong := http1.ParseResponse(p, method, resp, &partLimits)
	if wrong != nil {
		return wrong
	}
	if n == 0 {
		return io.ErrUnexpectedEOF // heads are poured in one piece
	}
	s.given = n
	s.dec.ResetResponse(resp.Body, resp.Length, &partLimits)
	switch coding := resp.Fields.Get(message.ContentEncoding); {
	case len(coding) == 0, message.EqualFold(coding, "identity"):
	case message.EqualFold(coding, "gzip"), message.EqualFold(coding, "x-gzip"):
		s.unzip = new(compress.Decoder)
		s.unzip.Reset(s, compress.Bounds{Bytes: s.a.h.l.largest()})
	default:
		s.unreadable = true
	}
	return nil
}

// largest is what a compressed document may unpack to.
func (l *local) largest() int64 {
	if c := l.edge.caching; c != nil {
		return c.Largest()
	}
	return 64 << 20
}

// next returns the next bytes of the content, which live until it is called again; io.EOF at their end, io.ErrUnexpectedEOF
// where they broke off.
func (s *pageContent) next() ([]byte, error) {
	if s.unzip == nil {
		return s.raw()
	}
	if s.buf == nil {
		s.buf = s.a.h.l.loop.Buffer()
	}
	n, err := s.unzip.Read(s.buf)
	if n > 0 {
		return s.buf[:n], nil
	}
	return nil, err
}

// Read implements io.Reader for what unpacks.
func (s *pageContent) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		var err error
		if s.rest, err = s.raw(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// raw returns the next bytes as they are, without transfer coding.
func (s *pageContent) raw() ([]byte, error) {
	for {
		if s.given > 0 {
			s.s.take(s.given)
			s.given = 0
		}
		if s.dec.Done() {
			return nil, io.EOF
		}
		p, err := s.a.await(s.s, 0)
		if err == io.EOF && s.dec.EOF() != nil {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
		data, n, wrong := s.dec.Next(p)
		if wrong != nil {
			return nil, wrong
		}
		s.given = n
		if len(data) > 0 {
			return data, nil
		}
	}
}

// free gives its memory back.
func (s *pageContent) free() {
	if s.buf != nil {
		s.a.h.l.loop.Release(s.buf)
		s.buf = nil
	}
}
