package http1

import (
	"bytes"

	"github.com/weirhq/weir/internal/message"
)

// section reads the field lines of one header or trailer section and keeps at hand what framing and routing are
// decided from.
type section struct {
	request bool

	host, length, coding    []byte // value of the last such line
	hosts, lengths, codings int
	connections, expects    int
	types                   int
}

// lines parses the field lines of b from i on, to the blank line and over it (RFC 9112, section 5).
func (s *section) lines(b []byte, i, max int, fields *message.Fields) (int, fault) {
	for {
		if i >= len(b) {
			return i, more
		}
		if b[i] == '\r' {
			return endOfLine(b, i)
		}
		if len(fields.List) >= max {
			return i, tooManyFields
		}
		l, seen, f := line(b, i, len(fields.List) == 0)
		if f != none {
			return i, f
		}
		name, value := b[i:l.colon:l.colon], b[l.value:l.end:l.end]
		id := lookup(b, i, l.colon)
		if id == message.Other && s.request && (seen&odd != 0 && disguised(name) || nearlyFraming(name)) {
			return i, disguisedName
		}
		fields.Disguised = fields.Disguised || seen&odd != 0
		s.note(id, value)
		fields.Add(id, name, value)
		i = l.next
	}
}

func (s *section) note(id message.ID, value []byte) {
	switch id {
	case message.Host:
		s.host = value
		s.hosts++
	case message.ContentLength:
		s.length = value
		s.lengths++
	case message.TransferEncoding:
		s.coding = value
		s.codings++
	case message.Connection:
		s.connections++
	case message.Expect:
		s.expects++
	case message.ContentType:
		s.types++
	}
}

// fieldLine is where the parts of a field line are. With a fifth member it would no longer be held in registers.
type fieldLine struct{ colon, value, end, next int }

// line parses the field line that begins at b[i]. seen is all that the bytes of the name may be.
func line(b []byte, i int, first bool) (l fieldLine, seen uint8, f fault) {
	start := i
	for i < len(b) {
		c := class[b[i]]
		if c&tchar == 0 {
			break
		}
		seen |= c
		i++
	}
	if i == len(b) {
		return l, 0, more
	}
	if b[i] != ':' || i == start {
		return l, 0, nameFault(b[i], i == start, first)
	}
	l.colon = i
	i++
	for i < len(b) && isSpace(b[i]) {
		i++
	}
	l.value = i
	for {
		i = control(b, i)
		if i == len(b) {
			return l, 0, more
		}
		if b[i] != '\t' {
			break
		}
		i++
	}
	if b[i] != '\r' {
		if b[i] == '\n' {
			return l, 0, bareLF
		}
		return l, 0, badValue
	}
	l.next, f = endOfLine(b, i)
	for i > l.value && isSpace(b[i-1]) {
		i--
	}
	l.end = i
	return l, seen, f
}

// endOfLine steps over the CRLF whose CR is b[i]. A recipient may take a lone LF for an end and must not trust a lone
// CR (RFC 9112, section 2.2); both are refused, because the next program may see one more line than we do.
func endOfLine(b []byte, i int) (int, fault) {
	if i+1 >= len(b) {
		return i, more
	}
	if b[i+1] != '\n' {
		return i, bareCR
	}
	return i + 2, none
}

func nameFault(c byte, empty, first bool) fault {
	switch c {
	case '\n':
		return bareLF
	case ' ', '\t':
		if !empty {
			return spaceBeforeColon // RFC 9112, section 5.1
		}
		if first {
			return spaceBeforeField // RFC 9112, section 2.2
		}
		return obsFold // RFC 9112, section 5.2
	case ':':
		return emptyName
	case '\r':
		return noColon
	}
	return badName
}

// disguised reports whether a server that hands fields to programs as environment variables (CGI, WSGI, FastCGI: all
// that is not a letter or digit becomes "_") would give this field the name of one that weir or the server decides by.
func disguised(name []byte) bool {
	var a [32]byte
	if len(name) > len(a) {
		return false
	}
	for i, c := range name {
		if class[c]&odd != 0 {
			c = '-'
		}
		a[i] = message.Lower(c)
	}
	n := a[:len(name)]
	return message.Lookup(n) != message.Other || told(n)
}

// nearlyFraming reports whether a name is that of a framing field but for what stands between its letters:
// "Transfer--Encoding", "Content-_Length".
func nearlyFraming(name []byte) bool {
	first, last := name[0]|0x20, name[len(name)-1]|0x20
	want := "transferencoding"
	if first == 'c' && last == 'h' {
		want = "contentlength"
	} else if first != 't' || last != 'g' {
		return false
	}
	k, between := 0, false
	for _, c := range name {
		switch {
		case k < len(want) && c|0x20 == want[k]:
			k++
		case class[c]&odd != 0 || c == '-':
			between = true
		default:
			return false
		}
	}
	return k == len(want) && between
}

// told reports whether a name (in lower case) that message does not know is one by which proxies tell servers of the
// client, or by which servers let the target be replaced.
func told(n []byte) bool {
	if bytes.HasPrefix(n, []byte("x-forwarded-")) || bytes.HasPrefix(n, []byte("x-original-")) {
		return true
	}
	switch string(n) {
	case "x-real-ip", "x-client-ip", "client-ip", "true-client-ip", "x-cluster-client-ip", "cf-connecting-ip",
		"x-rewrite-url", "x-http-method-override", "x-http-method", "x-method-override", "x-host", "x-url-scheme",
		"front-end-https", "remote-user", "remote-addr", "x-remote-user", "x-ssl-client-cert", "ssl-client-cert":
		return true
	}
	return false
}

// contentLength parses the value of Content-Length: digits only (RFC 9110, section 8.6). A list of equal values is
// refused too, accepting it is a MAY; and leading zeros, which the grammar allows, because some read them as octal.
func contentLength(v []byte) (int64, fault) {
	if len(v) == 0 {
		return 0, badLength
	}
	var n int64
	f := none
	if len(v) > 1 && v[0] == '0' {
		f = paddedLength
	}
	for _, c := range v {
		if !isDigit(c) {
			return 0, badLength
		}
		d := int64(c - '0')
		if n > (1<<63-1-d)/10 {
			f, n = lengthOverflow, 0
		}
		n = n*10 + d
	}
	return n, f
}

// transferCoding judges the value of Transfer-Encoding. Only "chunked", alone, is understood.
func transferCoding(v []byte) fault {
	if message.EqualFold(v, "chunked") {
		return none
	}
	known := true
	for {
		member, rest, another := bytes.Cut(v, []byte(","))
		name, _, params := bytes.Cut(trim(member), []byte(";"))
		name = trim(name)
		switch {
		case !isToken(name):
			return badCoding
		case message.EqualFold(name, "chunked"):
			// Not final, or with parameters that it does not have (RFC 9112, sections 6.3 and 7.1).
			if another || params {
				return badCoding
			}
		case message.EqualFold(name, "identity"):
			return badCoding // removed by RFC 7230; some read it as "no coding"
		default:
			known = false
		}
		if !another {
			break
		}
		v = rest
	}
	if known {
		return badCoding
	}
	return unknownCoding
}

// framing decides how the body is delimited, after RFC 9112, section 6.3, without what it leaves to trust. ok is
// false when neither field is there.
func (s *section) framing(minor uint8) (body message.Framing, length int64, f fault) {
	if s.codings > 0 {
		switch {
		case s.lengths > 0:
			return 0, 0, lengthAndCoding
		case minor == 0:
			return 0, 0, codingInOld
		case s.codings > 1:
			return 0, 0, manyCodings
		}
		return message.Chunked, 0, transferCoding(s.coding)
	}
	if s.lengths > 1 {
		return 0, 0, manyLengths
	}
	if s.lengths == 0 {
		return message.NoBody, 0, none
	}
	length, f = contentLength(s.length)
	return message.ByLength, length, f
}

// options are what the Connection fields say.
type options struct{ close, keepAlive, upgrade bool }

// connection reads all Connection fields (RFC 9110, section 7.6.1). Empty members are skipped (section 5.6.1.2).
func connection(fields *message.Fields, request bool) (o options, f fault) {
	for i := range fields.List {
		if fields.List[i].ID != message.Connection {
			continue
		}
		for rest, another := fields.List[i].Value, true; another; {
			var member []byte
			member, rest, another = bytes.Cut(rest, []byte(","))
			member = trim(member)
			switch {
			case len(member) == 0:
			case message.EqualFold(member, "keep-alive"):
				o.keepAlive = true
			case message.EqualFold(member, "close"):
				o.close = true
			case message.EqualFold(member, "upgrade"):
				o.upgrade = true
			case !isToken(member):
				f = badConnection
			case request && !perHop(message.Lookup(member)):
				f = connectionNames
			}
		}
	}
	return o, f
}

// perHop reports whether a Connection field may name this one: the fields for one hop, and all that weir does not know.
func perHop(id message.ID) bool {
	switch id {
	case message.Other, message.Connection, message.KeepAlive, message.ProxyConnection, message.TE, message.Trailer,
		message.Upgrade, message.ProxyAuthorization, message.ProxyAuthenticate:
		return true
	}
	return false
}
