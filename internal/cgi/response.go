package cgi

import (
	"bytes"

	"github.com/weirhq/weir/internal/message"
)

// Limits bound a response's head. Both are inclusive and must be positive.
type Limits struct {
	Fields int // field lines
	Head   int // bytes, with the blank line
}

// Error says why a head is refused. The values are made once and are fit for comparison by pointer.
type Error struct{ Reason string }

// Error implements error.
func (e *Error) Error() string { return e.Reason }

// What may be wrong with a head.
var (
	errTooLarge   = &Error{"header section too large"}
	errTooMany    = &Error{"too many fields"}
	errNoFields   = &Error{"a head without a field"}
	errFolded     = &Error{"folded field line"}
	errName       = &Error{"forbidden byte in a field name"}
	errNoColon    = &Error{"field line without a colon"}
	errValue      = &Error{"control character in a field value"}
	errBareCR     = &Error{"a CR without LF"}
	errStatus     = &Error{"malformed Status"}
	errRange      = &Error{"status out of range"}
	errStatuses   = &Error{"more than one Status"}
	errStatusLine = &Error{"malformed status line"}
	errLocations  = &Error{"more than one Location"}
	errTypes      = &Error{"more than one Content-Type"}
	errLengths    = &Error{"more than one Content-Length"}
	errLength     = &Error{"malformed Content-Length"}
	errCoding     = &Error{"Transfer-Encoding in a response of a program"}
)

// ParseResponse parses the head at the start of b, the answer to a request with the method to, in CGI form (RFC 3875, section 6),
// or with a status line of HTTP in front of the same (section 5; uwsgi servers answer so). n is its length with the blank
// line; when n is 0 and err nil the head is not complete: call again with the same bytes and more. The slices of resp are views
// into b[:n], which is not rewritten.
//
// Lines may end with LF alone: that is how most programs write them (section 6.1). Framing is that of a stream which ends
// with the program's output: Content-Length, or UntilClose. Without Status the status is 200, and 302 where there is a Location,
// local or not: a local redirect is the client's to follow.
func ParseResponse(b []byte, to message.Method, resp *message.Response, lim *Limits) (n int, err *Error) {
	fields := resp.Fields
	fields.Reset()
	*resp = message.Response{Fields: fields, Minor: 1}
	b = b[:min(len(b), lim.Head)]
	p := parser{resp: resp, max: lim.Fields}
	for i := 0; ; {
		end := bytes.IndexByte(b[i:], '\n')
		if end < 0 {
			if len(b) == lim.Head {
				return 0, errTooLarge
			}
			return 0, nil
		}
		line := b[i : i+end]
		if end > 0 && line[end-1] == '\r' {
			line = line[:end-1]
		}
		first := i == 0
		i += end + 1
		if len(line) == 0 {
			return i, p.frame(to)
		}
		if first && bytes.HasPrefix(line, []byte("HTTP/")) {
			err = p.statusLine(line)
		} else {
			err = p.field(line)
		}
		if err != nil {
			return 0, err
		}
	}
}

type parser struct {
	resp *message.Response
	max  int

	statuses, locations, types, lengths, codings int
	lined                                        bool // a status line came first
	length                                       []byte
}

// statusLine takes the line that a program writes which speaks to the client by itself, as the protocol has it.
func (p *parser) statusLine(line []byte) *Error {
	if len(line) < len("HTTP/1.1 200") || !bytes.HasPrefix(line, []byte("HTTP/1.")) || line[8] != ' ' || line[7] != '0' && line[7] != '1' {
		return errStatusLine
	}
	p.lined = true
	return p.status(line[9:], errStatusLine)
}

// status takes "200 OK": three digits and a reason, which may be missing.
func (p *parser) status(v []byte, malformed *Error) *Error {
	if len(v) < 3 || len(v) > 3 && v[3] != ' ' {
		return malformed
	}
	for _, c := range v[:3] {
		if c < '0' || c > '9' {
			return malformed
		}
	}
	s := int(v[0]-'0')*100 + int(v[1]-'0')*10 + int(v[2]-'0')
	if s < 200 || s > 599 {
		return errRange // an interim response is not a program's to make
	}
	p.resp.Status = s
	if len(v) > 4 {
		if !isValue(v[4:]) {
			return malformed
		}
		p.resp.Reason = v[4:]
	}
	return nil
}

// field takes one field line.
func (p *parser) field(line []byte) *Error {
	if line[0] == ' ' || line[0] == '\t' {
		return errFolded
	}
	colon := bytes.IndexByte(line, ':')
	if colon < 0 {
		return errNoColon
	}
	name := line[:colon:colon]
	if !isToken(name) {
		return errName
	}
	value := trim(line[colon+1:])
	if !isValue(value) {
		if bytes.IndexByte(value, '\r') >= 0 {
			return errBareCR
		}
		return errValue
	}
	if len(p.resp.Fields.List)+p.statuses >= p.max {
		return errTooMany
	}
	if message.EqualFold(name, "Status") {
		if p.statuses++; p.statuses > 1 {
			return errStatuses
		}
		if p.lined {
			return nil // the line has said it; PHP says it twice when told to speak HTTP
		}
		return p.status(value, errStatus)
	}
	id := message.Lookup(name)
	switch id {
	case message.Location:
		p.locations++
	case message.ContentType:
		p.types++
	case message.ContentLength:
		p.lengths++
		p.length = value
	case message.TransferEncoding:
		p.codings++
	}
	p.resp.Fields.Add(id, name, value)
	return nil
}

// frame judges the head as a whole and decides how the body ends.
func (p *parser) frame(to message.Method) *Error {
	r := p.resp
	switch {
	case len(r.Fields.List)+p.statuses == 0 && !p.lined:
		return errNoFields
	case p.locations > 1:
		return errLocations
	case p.types > 1:
		return errTypes
	case p.lengths > 1:
		return errLengths
	case p.codings > 0:
		return errCoding // RFC 3875, section 6.3.4: it is not the program's connection
	}
	if r.Status == 0 {
		r.Status = 200
		if p.locations > 0 {
			r.Status = 302
		}
	}
	r.Body = message.UntilClose
	if p.lengths > 0 {
		n, ok := number(p.length)
		if !ok {
			return errLength
		}
		r.Body, r.Length = message.ByLength, n
	}
	switch {
	case r.Status == 204:
		r.Fields.Del(message.ContentLength)
		r.Body, r.Length = message.NoBody, 0
	case r.Status == 304, to == message.HEAD:
		r.Body, r.Length = message.NoBody, 0
	case r.Body == message.ByLength && r.Length == 0:
		r.Body = message.NoBody
	}
	return nil
}

func number(v []byte) (n int64, ok bool) {
	if len(v) == 0 || len(v) > 18 {
		return 0, false
	}
	for _, c := range v {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

func trim(v []byte) []byte {
	for len(v) > 0 && (v[0] == ' ' || v[0] == '\t') {
		v = v[1:]
	}
	for len(v) > 0 && (v[len(v)-1] == ' ' || v[len(v)-1] == '\t') {
		v = v[:len(v)-1]
	}
	return v[:len(v):len(v)]
}

func isValue(v []byte) bool {
	for _, c := range v {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

func isToken(v []byte) bool {
	if len(v) == 0 {
		return false
	}
	for _, c := range v {
		if c <= ' ' || c >= 0x7f || bytes.IndexByte(separators, c) >= 0 {
			return false
		}
	}
	return true
}

var separators = []byte(`"(),/:;<=>?@[\]{}`)
