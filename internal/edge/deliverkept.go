package edge

import (
	crand "crypto/rand"

	"github.com/weirhq/weir/internal/http1"
	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/message"
	"github.com/weirhq/weir/internal/representation"
)

// deliverKept sends what was found, or what of it the request asks for.
func (h *handler) deliverKept() {
	k := &h.kept
	if h.alone {
		return
	}
	assembled := h.assembleKept()
	h.useEncoded()
	size := k.keptSize()
	status := k.view.Status()
	if status == 200 && !assembled && hasConditions(&h.x.Req.Fields) && h.deliverPart(size) {
		return
	}
	h.out = h.appendKeptHead(h.out[:0], status)
	if status != 204 {
		h.out = appendLength(h.out, size)
	}
	h.out = h.endKeptHead(h.out)
	h.answered = true
	h.x.Journal.Status = status
	if h.isHead() || size == 0 {
		h.write2(h.out, nil)
		return
	}
	h.sendKept(h.out, &k.ref, 0, size)
}

// hasConditions reports whether a request asks for less than the whole.
func hasConditions(f *message.Fields) bool {
	return f.Has(message.IfNoneMatch) || f.Has(message.IfModifiedSince) || f.Has(message.Range)
}

// deliverPart answers with 304, 206 or 416 where the request asks for that (RFC 9110, sections 13 and 14; RFC 9111, section
// 4.3.2); false when it is to get the whole.
func (h *handler) deliverPart(size int64) bool {
	k, req := &h.kept, &h.x.Req
	v := k.view.Validators(h.l.loop.Wall())
	if v.Evaluate(req, representation.Cache) == representation.NotModified {
		h.notModified()
		return true
	}
	r := &h.ranges
	r.Select(req, &v, size)
	switch r.Part {
	case representation.One:
		s := r.Spans()[0]
		h.out = h.appendKeptHead(h.out[:0], 206, message.ContentRange)
		h.out = append(representation.AppendContentRange(append(h.out, "Content-Range: "...), s, size), "\r\n"...)
		h.sendSpan(s, 0)
	case representation.Several:
		h.sendSpans(r.Spans(), size)
	case representation.Unsatisfiable:
		h.failWith(416, journal.NoCause, "", func(dst []byte) []byte {
			return append(representation.AppendUnsatisfied(append(dst, "Content-Range: "...), size), "\r\n"...)
		})
	default:
		return false
	}
	return true
}

// hasIt reports whether the client says that it has what is coming (its length may not be known, so there are no ranges).
func (h *handler) hasIt() bool {
	k := &h.kept
	if h.assembleKept() || k.view.Status() != 200 || !hasConditions(&h.x.Req.Fields) {
		return false
	}
	v := k.view.Validators(h.l.loop.Wall())
	return v.Evaluate(&h.x.Req, representation.Cache) == representation.NotModified
}

// notModified answers that what the client has still holds.
func (h *handler) notModified() {
	h.out = h.appendKeptHead(h.out[:0], 304, message.ContentType, message.ContentEncoding, message.ContentRange)
	h.out = h.endKeptHead(h.out)
	h.answered = true
	h.x.Journal.Status = 304
	h.write2(h.out, nil)
}

// sendSpan sends one range behind a head that lacks its end. at is the offset with which what was found begins.
func (h *handler) sendSpan(s representation.Span, at int64) {
	h.out = h.endKeptHead(appendLength(h.out, s.N))
	h.answered = true
	h.x.Journal.Status = 206
	h.sendKept(h.out, &h.kept.ref, s.Off-at, s.End()-at)
}

// sendSpans sends several ranges (RFC 9110, section 14.6).
func (h *handler) sendSpans(spans []representation.Span, size int64) {
	k := &h.kept
	m := representation.Multipart{Boundary: crand.Text(), Type: string(k.view.ContentType()), Size: size}
	h.out = h.appendKeptHead(h.out[:0], 206, message.ContentType, message.ContentRange)
	h.out = append(m.AppendType(append(h.out, "Content-Type: "...)), "\r\n"...)
	h.out = h.endKeptHead(appendLength(h.out, m.Length(spans)))
	h.answered = true
	h.x.Journal.Status = 206
	for i, s := range spans {
		h.out = m.AppendHead(h.out, s, i == 0)
		if !h.sendKept(h.out, &k.ref, s.Off, s.Off+s.N) {
			return
		}
		h.out = h.out[:0]
	}
	h.out = m.AppendEnd(h.out)
	h.write2(h.out, nil)
}

// sharedHead makes the head of a response whose body is still coming.
func (h *handler) sharedHead(f *fetch) {
	k := &h.kept
	plain := k.view
	k.view = h.encodeShared(f)
	h.chunked = false
	h.out = h.appendKeptHead(h.out[:0], k.view.Status())
	k.view = plain
	switch {
	case !f.endless && h.enc.coding == representation.Identity:
		h.out = appendLength(h.out, f.length)
	case h.x.Req.Minor == 0:
		h.keep = false // the close is the end
	default:
		h.chunked = true
		h.out = append(h.out, "Transfer-Encoding: chunked\r\n"...)
	}
	h.out = h.endKeptHead(h.out)
	h.answered = true
	h.x.Journal.Status = k.view.Status()
}

// appendKeptHead begins the head of a response from the cache.
func (h *handler) appendKeptHead(dst []byte, status int, skip ...message.ID) []byte {
	k := &h.kept
	if reason := k.view.Reason(); len(reason) > 0 && status == k.view.Status() {
		dst = append(dst, "HTTP/1.1 "...)
		dst = append(dst, byte('0'+status/100), byte('0'+status/10%10), byte('0'+status%10), ' ')
		dst = append(append(dst, reason...), "\r\n"...)
	} else {
		dst = http1.AppendStatusLine(dst, status)
	}
	if len(skip) == 0 {
		dst = append(dst, k.view.Lines()...)
	} else {
		dst = k.view.AppendLines(dst, skip...)
	}
	if p := &h.route.response; len(p.ids) > 0 || len(p.others) > 0 {
		kept := p.strike(append(h.scratch[:0], dst...))
		dst = append(dst[:0], kept...)
	}
	dst = append(dst, h.route.response.set...)
	dst = append(dst, k.own...)
	if !k.asks || k.age > 0 { // RFC 9111, section 5.1: it would say that no server was asked
		dst = append(dst, "Age: "...)
		dst = appendInt(dst, max(k.age, 0))
		dst = append(dst, "\r\n"...)
	}
	return h.appendCacheStatus(dst)
}

// endKeptHead ends it.
func (h *handler) endKeptHead(dst []byte) []byte {
	dst = h.appendVia(dst, 1)
	dst = appendField(dst, "X-Request-ID", h.x.ID)
	return h.appendConnection(dst)
}
