package edge

import (
	"github.com/weirhq/weir/internal/cache"
	"github.com/weirhq/weir/internal/http1"
)

// forwarded says why a server was asked (RFC 9211, section 2.2).
type forwarded uint8

const (
	notForwarded forwarded = iota
	forBypass
	forMethod
	forRequest
	forURIMiss
	forVaryMiss
	forMiss
	forStale
)

var forwardedWords = [...]string{"", "bypass", "method", "request", "uri-miss", "vary-miss", "miss", "stale"}

// deliverKept sends what was found, or what of it the request asks for.
func (h *handler) deliverKept() {
	k := &h.kept
	if h.alone {
		return
	}
	size := k.ref.Size()
	status := k.view.Status()
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

// sharedHead makes the head of a response whose body is still coming.
func (h *handler) sharedHead(f *fetch) {
	k := &h.kept
	h.chunked = false
	h.out = h.appendKeptHead(h.out[:0], k.view.Status())
	switch {
	case !f.endless:
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
func (h *handler) appendKeptHead(dst []byte, status int) []byte {
	k := &h.kept
	if reason := k.view.Reason(); len(reason) > 0 && status == k.view.Status() {
		dst = append(dst, "HTTP/1.1 "...)
		dst = append(dst, byte('0'+status/100), byte('0'+status/10%10), byte('0'+status%10), ' ')
		dst = append(append(dst, reason...), "\r\n"...)
	} else {
		dst = http1.AppendStatusLine(dst, status)
	}
	dst = append(dst, k.view.Lines()...)
	if p := &h.route.response; len(p.ids) > 0 || len(p.others) > 0 {
		kept := p.strike(append(h.scratch[:0], dst...))
		dst = append(dst[:0], kept...)
	}
	dst = append(dst, h.route.response.set...)
	dst = append(dst, "Age: "...)
	dst = appendInt(dst, max(k.age, 0))
	dst = append(dst, "\r\n"...)
	return h.appendCacheStatus(dst)
}

// endKeptHead ends it.
func (h *handler) endKeptHead(dst []byte) []byte {
	dst = h.appendVia(dst, 1)
	dst = appendField(dst, "X-Request-ID", h.x.ID)
	return h.appendConnection(dst)
}

// appendCacheStatus tells what the cache did (RFC 9211).
func (h *handler) appendCacheStatus(dst []byte) []byte {
	k := &h.kept
	dst = append(dst, "Cache-Status: weir"...)
	if k.fwd == notForwarded || k.led == nil && k.has {
		dst = append(dst, "; hit; ttl="...)
		dst = appendSigned(dst, k.life.TTL-k.age)
		return append(dst, "\r\n"...)
	}
	dst = append(append(dst, "; fwd="...), forwardedWords[k.fwd]...)
	if s := h.x.Resp.Status; s > 0 {
		dst = append(dst, "; fwd-status="...)
		dst = appendInt(dst, int64(s))
	}
	if k.stored {
		dst = append(dst, "; stored"...)
	}
	if k.why != cache.Kept {
		dst = append(append(dst, "; detail="...), k.why.String()...)
	} else if k.keyed.Pass != cache.NoPass {
		dst = append(append(dst, "; detail="...), k.keyed.Pass.String()...)
	}
	return append(dst, "\r\n"...)
}

func appendSigned(dst []byte, n int64) []byte {
	if n < 0 {
		return appendInt(append(dst, '-'), -n)
	}
	return appendInt(dst, n)
}
