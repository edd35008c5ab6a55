package edge

import (
	"github.com/weirhq/weir/internal/compress"
	"github.com/weirhq/weir/internal/http1"
	"github.com/weirhq/weir/internal/message"
	"github.com/weirhq/weir/internal/representation"
)

// makeHead makes the client's head of that of the page. It goes out before any fragment is known, so it says what holds
// whatever they are: nobody but this client keeps the response, and nobody uses it again without asking.
func (a *assembler) makeHead(resp *message.Response, bodyless bool) {
	h := a.h
	f := &resp.Fields
	f.Del(message.ContentEncoding) // it is unpacked here
	vary := a.encode(resp, bodyless)
	a.chunked = !bodyless && h.x.Req.Minor > 0
	if !bodyless && !a.chunked {
		h.keep = false // the close is the end
	}
	if h.l.edge.stopping.Load() {
		h.keep = false
	}
	ownControl := h.route.response.names(message.CacheControl)
	limited := ownControl || hasToken(f, message.CacheControl, "private") || hasToken(f, message.CacheControl, "no-store") ||
		hasToken(f, message.CacheControl, "no-cache")
	dst := http1.AppendStatusLine(a.head[:0], resp.Status)
	for i := range f.List {
		l := &f.List[i]
		if l.ID == message.CacheControl && limited || !ofPageAlone(l) {
			dst = appendField(dst, l.Name, l.Value)
		}
	}
	if !limited {
		dst = append(dst, "Cache-Control: private, no-cache\r\n"...)
	}
	if vary {
		dst = append(dst, "Vary: Accept-Encoding\r\n"...)
	}
	if a.enc.coding != representation.Identity {
		dst = appendField(dst, "Content-Encoding", a.enc.coding.String())
	}
	if a.chunked {
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	}
	a.head = h.appendConnection(dst)
}

// ofPageAlone reports whether a field of the page's response is not one of the page with its fragments: it is about the page's
// bytes, its life, or this way of transfer.
func ofPageAlone(l *message.Field) bool {
	switch l.ID {
	case message.AcceptRanges, message.Age, message.CacheControl, message.CDNCacheControl, message.Connection, message.ContentEncoding,
		message.ContentLength, message.ETag, message.Expires, message.KeepAlive, message.LastModified, message.Pragma, message.SurrogateControl, message.Trailer,
		message.TransferEncoding, message.WeirCacheControl:
		return true
	}
	return describesPlain(l)
}

// names reports whether the policy sets or removes a field.
func (p *responsePolicy) names(id message.ID) bool {
	return p.removes(&message.Field{ID: id})
}

// encode decides whether the page is compressed for the client. vary says that Vary has to name Accept-Encoding and does not.
func (a *assembler) encode(resp *message.Response, bodyless bool) (vary bool) {
	h, e := a.h, &a.enc
	e.enc, e.coding, e.ended, e.flushes, e.unsent = nil, representation.Identity, false, false, false
	p, method := h.route.compress, h.x.Req.Method
	if p == nil || method != message.GET && method != message.HEAD && method != message.POST {
		return false
	}
	verdict, coding := p.Decide(resp.Status, &resp.Fields, -1, representation.Accepted(&h.x.Req.Fields))
	vary = verdict.Varies() && !compress.VaryNames(&resp.Fields)
	if coding == representation.Identity || compress.Exposed(&h.x.Req.Fields) {
		return vary
	}
	if !bodyless {
		enc, err := h.l.encoders.Get(coding)
		if err != nil {
			return vary // all are taken: it goes out plain
		}
		e.enc = enc
	}
	e.coding = coding
	return vary
}
