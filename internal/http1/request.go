package http1

import (
	"github.com/weirhq/weir/internal/message"
)

const (
	// maxMethod bounds a method; the longest registered one has 17 letters. What is longer is no method that somebody has
	// yet to implement (501), it is garbage.
	maxMethod = 32
	// maxEmpty is how many empty lines before a request are passed over: clients of old put one after a body (RFC 9112,
	// section 2.2).
	maxEmpty = 2
)

// ParseRequest parses the request head at the start of b. n is its length with the blank line; when n is 0 and err nil
// the head is not complete: call again with the same bytes and more. What is wrong is told as soon as its bytes are
// there.
//
// Once the head is complete, and only then, b[:n] is rewritten in place: host in lower case, path normalised, and Target
// and the value of Host with them; it cannot be parsed a second time. The slices of req are views into b[:n]; Path may
// also be a constant, so nobody may write to it. After an error, req holds what
// was parsed until then (MethodText and Target are as received), for the log. It does not allocate once req.Fields has
// grown to its size.
func ParseRequest(b []byte, req *message.Request, lim *Limits) (n int, err *Error) {
	fields := req.Fields
	fields.Reset()
	*req = message.Request{Fields: fields}

	n, f := parseRequest(b, req, lim)
	if f != none {
		return 0, f.ofRequest()
	}
	return n, nil
}

func parseRequest(b []byte, req *message.Request, lim *Limits) (int, fault) {
	// All that is looked at lies within the limits, so the answer is the same however the bytes arrive.
	b = b[:min(len(b), lim.Head)]
	i, f := emptyLinesBefore(b)
	if f != none {
		return 0, f
	}
	var t target
	l := b[:min(len(b), i+lim.Line+2)]
	i, f = requestLine(l, i, req, &t)
	if f == more && (len(l) == lim.Head || len(l) < len(b) || len(l) == i+lim.Line+2) {
		return 0, lineTooLong
	}
	if f != none {
		return 0, f
	}
	s := section{request: true}
	i, f = s.lines(b, i, lim.Fields, &req.Fields)
	if f == more && len(b) == lim.Head {
		return 0, headTooLarge
	}
	if f != none {
		return 0, f
	}
	if f = decide(req, &s); f != none {
		return 0, f
	}
	return i, route(req, &s, &t)
}

func emptyLinesBefore(b []byte) (i int, f fault) {
	for i < len(b) && b[i] == '\r' {
		if i == 2*maxEmpty {
			return i, emptyLines
		}
		if i, f = endOfLine(b, i); f != none {
			return i, f
		}
	}
	return i, none
}

// requestLine parses "method SP request-target SP HTTP-version CRLF" (RFC 9112, section 3) and steps over it; when the
// line is not complete it returns where it began.
func requestLine(b []byte, start int, req *message.Request, t *target) (int, fault) {
	i := start
	for i < len(b) && class[b[i]]&tchar != 0 {
		i++
	}
	if i-start > maxMethod {
		return start, longMethod
	}
	if i == len(b) {
		return start, more
	}
	if b[i] != ' ' || i == start {
		return start, lineFault(b, i)
	}
	req.MethodText = b[start:i:i]
	req.Method = method(req.MethodText)
	if req.Method == message.MethodOther && wrongCase(req.MethodText) {
		return start, methodCase
	}
	i++
	from := i
	for i < len(b) && class[b[i]]&targetByte != 0 {
		i++
	}
	req.Target = b[from:i:i]
	if i == len(b) {
		return start, more
	}
	if b[i] != ' ' || i == from {
		if b[i] == ' ' || b[i] == '\r' || b[i] == '\n' {
			return start, lineFault(b, i)
		}
		return start, badTargetByte
	}
	if f := t.parse(req); f != none {
		return start, f
	}
	i++
	minor, i, f := version(b, i, true)
	if f != none {
		return start, f
	}
	req.Minor = minor
	if req.Form == message.AsteriskForm && req.Method != message.OPTIONS {
		return start, asteriskMethod // only now: "PRI * HTTP/2.0" is another version
	}
	return i, none
}

func lineFault(b []byte, i int) fault {
	if b[i] == '\n' {
		return bareLF
	}
	return badRequestLine
}

// version parses "HTTP/1.x": to the end of its line in a request, to the space behind it in a status line. A minor
// version above 1 is processed as 1 (RFC 9110, section 2.5).
func version(b []byte, i int, request bool) (minor uint8, next int, f fault) {
	if request && len(b) >= i+10 && string(b[i:i+10]) == "HTTP/1.1\r\n" {
		return 1, i + 10, none
	}
	const form = "HTTP/d.d"
	for k := range len(form) {
		if i+k == len(b) {
			return 0, i, more
		}
		c := b[i+k]
		if form[k] == 'd' && isDigit(c) || form[k] != 'd' && form[k] == c {
			continue
		}
		if c == '\n' {
			return 0, i, bareLF
		}
		return 0, i, badVersion
	}
	major, low := b[i+5], b[i+7]
	i += len(form)
	if request {
		if i == len(b) {
			return 0, i, more
		}
		if b[i] == '\n' {
			return 0, i, bareLF
		}
		if b[i] != '\r' {
			return 0, i, badVersion
		}
		if i, f = endOfLine(b, i); f != none {
			return 0, i, f
		}
	}
	if major != '1' {
		return 0, i, otherVersion
	}
	return min(low-'0', 1), i, none
}

func method(m []byte) message.Method {
	switch string(m) {
	case "GET":
		return message.GET
	case "HEAD":
		return message.HEAD
	case "POST":
		return message.POST
	case "PUT":
		return message.PUT
	case "DELETE":
		return message.DELETE
	case "CONNECT":
		return message.CONNECT
	case "OPTIONS":
		return message.OPTIONS
	case "TRACE":
		return message.TRACE
	case "PATCH":
		return message.PATCH
	}
	return message.MethodOther
}

// wrongCase reports whether m is a known method but for its case. Methods are case-sensitive (RFC 9110, section 9.1),
// but not every server behind us knows: a rule for POST must not be passed by with "post".
func wrongCase(m []byte) bool {
	var a [7]byte // CONNECT, OPTIONS
	if len(m) > len(a) {
		return false
	}
	for i, c := range m {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		a[i] = c
	}
	return method(a[:len(m)]) != message.MethodOther
}

// decide settles what depends on the whole section: framing, connection, expectations.
func decide(req *message.Request, s *section) (f fault) {
	req.Body, req.Length, f = s.framing(req.Minor)
	if f != none {
		return f
	}
	if req.Body == message.ByLength && req.Length == 0 {
		req.Body = message.NoBody
	}
	if req.Body != message.NoBody && req.Method == message.TRACE {
		return traceBody // RFC 9110, section 9.3.8
	}
	if s.types > 1 {
		return manyTypes
	}
	var o options
	if s.connections > 0 {
		if o, f = connection(&req.Fields, true); f != none {
			return f
		}
	}
	// RFC 9112, section 9.3.
	req.KeepAlive = !o.close && (req.Minor == 1 || o.keepAlive)
	// RFC 9110, section 7.8: ignored in HTTP/1.0.
	req.Upgrade = o.upgrade && req.Minor == 1 && req.Fields.Has(message.Upgrade)
	if s.expects > 0 {
		for i := range req.Fields.List {
			l := &req.Fields.List[i]
			if l.ID == message.Expect && !message.EqualFold(l.Value, "100-continue") {
				return badExpect
			}
		}
		// RFC 9110, section 10.1.1: ignored in HTTP/1.0, and needless where no content follows.
		req.Expect100 = req.Minor == 1 && req.Body != message.NoBody
	}
	return none
}
