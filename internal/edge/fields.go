package edge

import (
	"net/netip"

	"github.com/weirhq/weir/internal/compress"
	"github.com/weirhq/weir/internal/http1"
	"github.com/weirhq/weir/internal/message"
)

// hop says which fields end here: they speak of one connection (RFC 9110, section 7.6.1) or are made anew.
type hop [64]bool

var requestHop = newHop(message.Connection, message.KeepAlive, message.ProxyConnection, message.ProxyAuthenticate,
	message.ProxyAuthorization, message.TE, message.Trailer, message.TransferEncoding, message.Upgrade,
	message.ContentLength, message.Expect, message.XForwardedFor, message.XForwardedProto, message.XForwardedHost,
	message.Forwarded, message.XRequestID, message.Host)

var responseHop = newHop(message.Connection, message.KeepAlive, message.ProxyConnection, message.ProxyAuthenticate,
	message.TE, message.Trailer, message.TransferEncoding, message.Upgrade, message.ContentLength,
	message.XAccelBuffering, message.XRequestID)

// askHop is requestHop for what the cache asks for: the whole response, on conditions of its own.
var askHop = func() hop {
	h := requestHop
	for _, id := range []message.ID{message.IfMatch, message.IfNoneMatch, message.IfModifiedSince, message.IfUnmodifiedSince,
		message.IfRange, message.Range} {
		h[id] = true
	}
	return h
}()

func newHop(ids ...message.ID) (h hop) {
	for _, id := range ids {
		h[id] = true
	}
	return h
}

// appendField appends a field line.
func appendField[N, V []byte | string](dst []byte, name N, value V) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, "\r\n"...)
}

// appendRequest makes the head that the server gets. What routing saw is what it gets: the normalised path, one Host.
func (h *handler) appendRequest(dst []byte) []byte {
	x, req := &h.x, &h.x.Req
	dst = append(dst, req.MethodText...)
	dst = append(dst, ' ')
	if len(h.path) > 0 {
		dst = append(dst, h.path...)
	} else {
		dst = append(dst, req.Path...)
	}
	query, has := req.Query, req.HasQuery
	if h.kept.keeps() {
		query, has = h.kept.query, h.kept.hasQuery
	}
	if has {
		dst = append(dst, '?')
		dst = append(dst, query...)
	}
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	dst = h.appendAuthority(dst)
	dst = append(dst, "\r\n"...)
	if !h.kept.asks && h.route.compress != nil {
		h.plainTags()
	}
	if h.kept.keeps() {
		dst = h.appendAsked(dst)
	} else {
		dst = appendEndToEnd(dst, &req.Fields, h.requestHop(), h.route.makes())
	}
	if h.route.cache != nil {
		dst = h.route.cache.keyer.AppendDevice(dst, &req.Fields)
	}
	if h.route.esi != nil {
		dst = h.appendCapability(dst)
	}
	dst = h.appendForwarding(dst)
	switch {
	case h.held != nil:
		dst = appendLength(dst, int64(len(h.held)))
	case h.spooled:
		dst = appendLength(dst, h.spool.size)
	case req.Body == message.ByLength:
		dst = appendLength(dst, req.Length)
	case req.Body == message.Chunked:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	case req.Fields.Has(message.ContentLength) && !h.kept.keeps():
		dst = append(dst, "Content-Length: 0\r\n"...)
	}
	if h.up.gate != nil && h.up.gate.h2 && req.Body == message.Chunked && req.Fields.Has(message.Trailer) {
		dst = appendField(dst, "Trailer", req.Fields.Get(message.Trailer)) // they go on: see endData
	}
	if h.waits100() {
		dst = append(dst, "Expect: 100-continue\r\n"...)
	}
	te := hasToken(&req.Fields, message.TE, "trailers")
	switch {
	case req.Upgrade:
		dst = append(dst, "Connection: upgrade\r\n"...)
		dst = appendField(dst, "Upgrade", req.Fields.Get(message.Upgrade))
	case te:
		dst = append(dst, "Connection: TE\r\nTE: trailers\r\n"...)
	}
	dst = appendField(dst, "X-Request-ID", x.ID)
	if h.traced.on {
		dst = h.appendTrace(dst)
	}
	return append(dst, "\r\n"...)
}

// plainTags gives back to the server the entity tags that it made: those of what was compressed here say so.
func (h *handler) plainTags() {
	f := &h.x.Req.Fields
	if !f.Has(message.IfNoneMatch) && !f.Has(message.IfMatch) || len(h.tags) > 0 {
		return
	}
	h.tags, h.tagged = compress.PlainETag(h.tags, f.Get(message.IfNoneMatch))
	for i := range f.List {
		if l := &f.List[i]; l.ID == message.IfNoneMatch || l.ID == message.IfMatch {
			from := len(h.tags)
			h.tags = compress.PlainETags(h.tags, l.Value)
			l.Value = h.tags[from:len(h.tags):len(h.tags)]
		}
	}
}

// appendAsked appends the fields of a request for the cache: without what is no part of the key and could change the
// response that others get.
func (h *handler) appendAsked(dst []byte) []byte {
	k, f := &h.kept, &h.x.Req.Fields
	ends := h.route.askHop()
	if !k.asks { // for a part: which, and on what condition, is the client's affair
		ends = h.requestHop()
	}
	if !k.keyed.Hides {
		return append(appendEndToEnd(dst, f, ends, h.route.makes()), k.ask...)
	}
	keyer, makes := h.route.cache.keyer, h.route.makes()
	for i := range f.List {
		l := &f.List[i]
		if !ends[l.ID] && !makes.removes(l) && !keyer.Withholds(l, &h.x) {
			dst = appendField(dst, l.Name, l.Value)
		}
	}
	return append(dst, k.ask...)
}

// appendAuthority appends the host as the client named it, in lower case, and the port if it is not the scheme's own (RFC 9110,
// section 4.2.3): "example.com:80" and "example.com" are one to the cache.
func (h *handler) appendAuthority(dst []byte) []byte {
	dst = append(dst, h.x.Req.Host...)
	if !ownPort(h.x.Scheme, h.x.Req.Port) {
		dst = append(dst, ':')
		dst = append(dst, h.x.Req.Port...)
	}
	return dst
}

// ownPort reports whether a port is none, or the scheme's own.
func ownPort(scheme string, port []byte) bool {
	return len(port) == 0 || scheme == "http" && string(port) == "80" || scheme == "https" && string(port) == "443"
}

// appendForwarding tells the server who asks. What a client says of itself is passed on only from trusted proxies.
func (h *handler) appendForwarding(dst []byte) []byte {
	x, f := &h.x, &h.x.Req.Fields
	dst = append(dst, "X-Forwarded-For: "...)
	if x.Trusted {
		for i := range f.List {
			if f.List[i].ID == message.XForwardedFor && len(f.List[i].Value) > 0 {
				dst = append(append(dst, f.List[i].Value...), ", "...)
			}
		}
	}
	dst = appendAddr(dst, x.Peer.Addr())
	dst = append(dst, "\r\nX-Forwarded-Proto: "...)
	dst = append(dst, x.Scheme...)
	dst = append(dst, "\r\nX-Forwarded-Host: "...)
	if v := f.Get(message.XForwardedHost); x.Trusted && len(v) > 0 {
		dst = append(dst, v...)
	} else {
		dst = h.appendAuthority(dst)
	}
	dst = append(dst, "\r\n"...)
	if h.route.config.ForwardedField || x.Trusted && f.Has(message.Forwarded) {
		dst = h.appendForwarded(dst)
	}
	return h.appendVia(dst, x.Req.Minor)
}

// appendVia notes our part in the way (RFC 9110, section 7.6.3) with the version that the message came in.
func (h *handler) appendVia(dst []byte, minor uint8) []byte {
	if minor == 0 {
		return append(dst, "Via: 1.0 weir\r\n"...)
	}
	return append(dst, "Via: 1.1 weir\r\n"...)
}

// appendForwarded appends a Forwarded field (RFC 7239) that continues a trusted proxy's.
func (h *handler) appendForwarded(dst []byte) []byte {
	x, f := &h.x, &h.x.Req.Fields
	dst = append(dst, "Forwarded: "...)
	if x.Trusted {
		for i := range f.List {
			if f.List[i].ID == message.Forwarded {
				dst = append(append(dst, f.List[i].Value...), ", "...)
			}
		}
	}
	dst = append(dst, "for="...)
	a := x.Peer.Addr().Unmap()
	switch {
	case a.Is6():
		dst = append(a.AppendTo(append(dst, `"[`...)), `]"`...)
	case a.IsValid():
		dst = a.AppendTo(dst)
	default:
		dst = append(dst, "unknown"...)
	}
	dst = append(append(dst, ";proto="...), x.Scheme...)
	if len(x.Req.Host) > 0 {
		dst = append(h.appendAuthority(append(dst, `;host="`...)), '"')
	}
	return append(dst, "\r\n"...)
}

func appendAddr(dst []byte, a netip.Addr) []byte {
	if !a.IsValid() {
		return append(dst, "unknown"...)
	}
	return a.Unmap().AppendTo(dst)
}

// appendEndToEnd appends the fields that do not end here: not those of h, nor those that Connection names.
func appendEndToEnd(dst []byte, f *message.Fields, h *hop, skip *responsePolicy) []byte {
	named := f.Has(message.Connection) && namesFields(f)
	for i := range f.List {
		l := &f.List[i]
		if h[l.ID] || named && isNamed(f, l) || skip.removes(l) {
			continue
		}
		dst = appendField(dst, l.Name, l.Value)
	}
	return dst
}

// namesFields reports whether Connection names more than the usual options.
func namesFields(f *message.Fields) bool {
	for i := range f.List {
		if l := &f.List[i]; l.ID == message.Connection && !message.EqualFold(l.Value, "keep-alive") &&
			!message.EqualFold(l.Value, "close") && !message.EqualFold(l.Value, "upgrade") {
			return true
		}
	}
	return false
}

// isNamed reports whether Connection names the field of a line.
func isNamed(f *message.Fields, l *message.Field) bool {
	return hasToken(f, message.Connection, l.Name)
}

// hasToken reports whether a list field has a token, in any case and without regard to parameters.
func hasToken[T []byte | string](f *message.Fields, id message.ID, token T) bool {
	if !f.Has(id) {
		return false
	}
	for i := range f.List {
		if f.List[i].ID == id && listHas(f.List[i].Value, token) {
			return true
		}
	}
	return false
}

func listHas[T []byte | string](v []byte, token T) bool {
	for len(v) > 0 {
		end := 0
		for end < len(v) && v[end] != ',' {
			end++
		}
		e := v[:end]
		v = v[min(end+1, len(v)):]
		for len(e) > 0 && (e[0] == ' ' || e[0] == '\t') {
			e = e[1:]
		}
		k := 0
		for k < len(e) && e[k] != ' ' && e[k] != '\t' && e[k] != ';' {
			k++
		}
		if message.EqualFold(e[:k], token) {
			return true
		}
	}
	return false
}

// lastUntrusted returns the last address of an X-Forwarded-For value that is not a trusted proxy's. ends is false when
// all of them are, and the first is returned then: what stands before it is still to be believed. What cannot be read
// ends the chain of trust, and the address behind it (the zero value: none) is returned.
func lastUntrusted(v []byte, t *tree) (a netip.Addr, ends bool) {
	for len(v) > 0 {
		i := len(v)
		for i > 0 && v[i-1] != ',' {
			i--
		}
		e := trim(v[i:])
		v = v[:max(i-1, 0)]
		b, err := netip.ParseAddr(string(e))
		if err != nil {
			if p, err := netip.ParseAddrPort(string(e)); err == nil {
				b = p.Addr()
			} else {
				return a, true
			}
		}
		a = b.Unmap()
		if !t.trusts(a) {
			return a, true
		}
	}
	return a, false
}

func trim(v []byte) []byte {
	for len(v) > 0 && (v[0] == ' ' || v[0] == '\t') {
		v = v[1:]
	}
	for len(v) > 0 && (v[len(v)-1] == ' ' || v[len(v)-1] == '\t') {
		v = v[:len(v)-1]
	}
	return v
}

// appendResponse makes the head that the client gets.
func (h *handler) appendResponse(dst []byte) []byte {
	x, resp := &h.x, &h.x.Resp
	dst = h.appendStatus(dst)
	dst = appendEndToEnd(dst, &resp.Fields, h.route.responseHop(), &h.route.response)
	dst = append(dst, h.route.response.set...)
	if !resp.Fields.Has(message.Date) {
		dst = h.l.appendDate(dst)
	}
	switch {
	case h.chunked:
		dst = append(dst, "Transfer-Encoding: chunked\r\n"...)
	case resp.Body == message.ByLength:
		dst = appendLength(dst, resp.Length)
	case resp.Body == message.NoBody && (x.Req.Method == message.HEAD || resp.Status == 304):
		if v := resp.Fields.Get(message.ContentLength); v != nil {
			dst = appendField(dst, "Content-Length", v)
		}
	case resp.Body == message.NoBody && resp.Status >= 200 && resp.Status != 204:
		dst = append(dst, "Content-Length: 0\r\n"...)
	}
	dst = h.appendVia(dst, resp.Minor)
	if h.route.cache != nil {
		dst = h.appendCacheStatus(dst)
	}
	if h.session.set != nil {
		dst = h.appendTicket(dst)
	}
	dst = appendField(dst, "X-Request-ID", x.ID)
	if resp.Status == 101 {
		dst = append(dst, "Connection: upgrade\r\n"...)
		dst = appendField(dst, "Upgrade", resp.Fields.Get(message.Upgrade))
		return append(dst, "\r\n"...)
	}
	return h.appendConnection(dst)
}

// appendStatus appends the status line as the server worded it.
func (h *handler) appendStatus(dst []byte) []byte {
	resp := &h.x.Resp
	if len(resp.Reason) == 0 {
		return http1.AppendStatusLine(dst, resp.Status)
	}
	s := resp.Status
	dst = append(dst, "HTTP/1.1 "...)
	dst = append(dst, byte('0'+s/100), byte('0'+s/10%10), byte('0'+s%10), ' ')
	dst = append(dst, resp.Reason...)
	return append(dst, "\r\n"...)
}

// appendConnection says what becomes of the connection, where the version does not say it, and ends the head.
func (h *handler) appendConnection(dst []byte) []byte {
	switch {
	case !h.keep:
		dst = append(dst, "Connection: close\r\n"...)
	case h.x.Req.Minor == 0:
		dst = append(dst, "Connection: keep-alive\r\n"...)
	}
	return append(dst, "\r\n"...)
}

// appendInformational makes the head of a 1xx response that is passed on.
func (h *handler) appendInformational(dst []byte) []byte {
	dst = h.appendStatus(dst)
	dst = appendEndToEnd(dst, &h.x.Resp.Fields, &responseHop, nil)
	return append(dst, "\r\n"...)
}

func appendLength(dst []byte, n int64) []byte {
	dst = append(dst, "Content-Length: "...)
	dst = appendInt(dst, n)
	return append(dst, "\r\n"...)
}
