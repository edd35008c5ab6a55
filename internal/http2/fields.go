package http2

import "github.com/weirhq/weir/internal/message"

// Limits bound what a server sends. They are inclusive and must be positive.
type Limits struct {
	Fields int // lines of a head or trailer section
	Head   int // bytes of it, as text
}

// section reads one field section (RFC 7541, section 6) to text.
type section struct {
	b    []byte // what is still to be read
	dst  []byte
	from int // where the text began
	lim  Limits
}

// maxInteger bounds integers: no string that is read here is as long.
const maxInteger = 1 << 24

// integer reads an integer with a prefix of so many bits (RFC 7541, section 5.1).
func (s *section) integer(prefix int) (int, bool) {
	if len(s.b) == 0 {
		return 0, false
	}
	mask := 1<<prefix - 1
	n := int(s.b[0]) & mask
	s.b = s.b[1:]
	if n < mask {
		return n, true
	}
	for shift := 0; len(s.b) > 0 && shift <= 21; shift += 7 {
		c := s.b[0]
		s.b = s.b[1:]
		if n += int(c&0x7f) << shift; n > maxInteger {
			return 0, false
		}
		if c < 0x80 {
			return n, true
		}
	}
	return 0, false
}

// text appends a string (RFC 7541, section 5.2) to the text.
func (s *section) text() *Error {
	if len(s.b) == 0 {
		return errCompression
	}
	coded := s.b[0]&0x80 != 0
	n, ok := s.integer(7)
	if !ok || n > len(s.b) {
		return errCompression
	}
	room := s.lim.Head - (len(s.dst) - s.from)
	b := s.b[:n]
	s.b = s.b[n:]
	if !coded {
		if n > room {
			return errHeadSize
		}
		s.dst = append(s.dst, b...)
		return nil
	}
	if s.dst, ok = appendHuffman(s.dst, b, max(room, 0)); !ok {
		if len(s.dst)-s.from >= s.lim.Head {
			return errHeadSize
		}
		return errCompression
	}
	return nil
}

// head is what a field section says besides its lines.
type head struct {
	status int
	length int64 // of the content, -1: not said
}

// read reads a section: a head with its status line, or trailers, which have none. The text ends with an empty line.
func (s *section) read(trailers bool) (h head, err *Error) {
	h.length = -1
	for lines := 0; ; {
		for len(s.b) > 0 && s.b[0]&0xe0 == 0x20 { // a new size of the dynamic table, which cannot be but 0
			n, ok := s.integer(5)
			switch {
			case !ok || lines > 0:
				return h, errCompression
			case n > 0:
				return h, errTable
			}
		}
		if len(s.b) == 0 {
			break
		}
		if lines++; lines > s.lim.Fields {
			return h, errFields
		}
		if err = s.line(&h, lines == 1 && !trailers); err != nil {
			return h, err
		}
		if len(s.dst)-s.from > s.lim.Head {
			return h, errHeadSize
		}
	}
	if h.status == 0 && !trailers {
		return h, errStatus
	}
	s.dst = append(s.dst, "\r\n"...)
	return h, nil
}

// line reads one field to a line of its own.
func (s *section) line(h *head, first bool) *Error {
	c := s.b[0]
	prefix, whole := 4, false
	switch {
	case c&0x80 != 0:
		prefix, whole = 7, true
	case c&0x40 != 0:
		prefix = 6 // to be put into the table, where nothing has room
	}
	i, ok := s.integer(prefix)
	switch {
	case !ok || whole && i == 0:
		return errCompression
	case i >= len(static):
		return errTable
	}
	if i > 0 && i < 15 {
		return s.pseudo(h, i, whole, first)
	}
	from := len(s.dst)
	if i > 0 {
		s.dst = append(s.dst, static[i].name...)
	} else if err := s.text(); err != nil {
		return err
	}
	name := s.dst[from:]
	if len(name) > 0 && name[0] == ':' {
		if string(name) != ":status" {
			return errPseudo
		}
		s.dst = s.dst[:from]
		return s.pseudo(h, indexStatus, false, first)
	}
	if first {
		return errStatus // pseudo-header fields come before all others
	}
	if i == 0 && !isName(name) {
		return errName
	}
	end := len(s.dst)
	s.dst = append(s.dst, ": "...)
	if whole {
		s.dst = append(s.dst, static[i].value...)
	} else if err := s.text(); err != nil {
		return err
	}
	value := s.dst[end+2:]
	if !isValue(value) {
		return errValue
	}
	if err := h.note(s.dst[from:end], value); err != nil {
		return err
	}
	s.dst = append(s.dst, "\r\n"...)
	return nil
}

// pseudo reads :status, the one pseudo-header field of a response (RFC 9113, section 8.3.2), to a status line.
func (s *section) pseudo(h *head, i int, whole, first bool) *Error {
	if !first || i < indexStatus {
		return errPseudo
	}
	s.dst = append(s.dst, "HTTP/1.1 "...)
	from := len(s.dst)
	if whole {
		s.dst = append(s.dst, static[i].value...)
	} else if err := s.text(); err != nil {
		return err
	}
	v := s.dst[from:]
	if len(v) != 3 {
		return errStatus
	}
	for _, c := range v {
		if c < '0' || c > '9' {
			return errStatus
		}
		h.status = 10*h.status + int(c-'0')
	}
	switch {
	case h.status < 100 || h.status > 599:
		return errStatus
	case h.status == 101:
		return errSwitch // RFC 9113, section 8.6
	}
	s.dst = append(s.dst, " \r\n"...)
	return nil
}

// note looks at a field that says more than itself.
func (h *head) note(name, value []byte) *Error {
	switch message.Lookup(name) {
	case message.Connection, message.KeepAlive, message.ProxyConnection, message.TransferEncoding, message.Upgrade:
		return errConnField // RFC 9113, section 8.2.2
	case message.ContentLength:
		if len(value) == 0 || len(value) > 18 {
			return errLength
		}
		n := int64(0)
		for _, c := range value {
			if c < '0' || c > '9' {
				return errLength
			}
			n = 10*n + int64(c-'0')
		}
		if h.length >= 0 && h.length != n {
			return errLength
		}
		h.length = n
	}
	return nil
}

// isName reports whether b is a field name as HTTP/2 has them: a token without letters in upper case (RFC 9113, section 8.2.1).
func isName(b []byte) bool {
	for _, c := range b {
		if !nameBytes[c] {
			return false
		}
	}
	return len(b) > 0
}

var nameBytes = func() (t [256]bool) {
	for c := 'a'; c <= 'z'; c++ {
		t[c] = true
	}
	for c := '0'; c <= '9'; c++ {
		t[c] = true
	}
	for _, c := range "!#$%&'*+-.^_`|~" {
		t[c] = true
	}
	return t
}()

// isValue reports whether b may be a field value: without control characters, so that it cannot end its line.
func isValue(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
