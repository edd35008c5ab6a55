package route

import (
	"bytes"
	"strings"

	"github.com/weirhq/weir/internal/message"
)

type patternKind uint8

const (
	present  patternKind = iota // "*"
	equal                       // "abc"
	begins                      // "abc*"
	ends                        // "*abc"
	contains                    // "*abc*"
)

// pattern is a condition on a value. A "*" within the text stands for itself.
type pattern struct {
	kind patternKind
	text string
}

func newPattern(s string) pattern {
	switch {
	case strings.Trim(s, "*") == "" && s != "":
		return pattern{present, ""}
	case strings.HasPrefix(s, "*") && strings.HasSuffix(s, "*"):
		return pattern{contains, s[1 : len(s)-1]}
	case strings.HasSuffix(s, "*"):
		return pattern{begins, s[:len(s)-1]}
	case strings.HasPrefix(s, "*"):
		return pattern{ends, s[1:]}
	}
	return pattern{equal, s}
}

// holds compares bytes as they are.
func (p *pattern) holds(b []byte) bool {
	n := len(p.text)
	switch p.kind {
	case equal:
		return string(b) == p.text
	case begins:
		return len(b) >= n && string(b[:n]) == p.text
	case ends:
		return len(b) >= n && string(b[len(b)-n:]) == p.text
	case contains:
		for ; len(b) >= n; b = b[1:] {
			if string(b[:n]) == p.text {
				return true
			}
		}
		return false
	}
	return true
}

// inFields reports whether any field line of the name meets the condition: a field may come in several lines, and a
// condition that looked at the first alone could be walked around with a second.
func (c *named) inFields(f *message.Fields) bool {
	if c.id != message.Other && !f.Has(c.id) {
		return false
	}
	for i := range f.List {
		l := &f.List[i]
		if l.ID == c.id && (c.id != message.Other || message.EqualFold(l.Name, c.name)) && c.value.holds(l.Value) {
			return true
		}
	}
	return false
}

// inCookies reports whether any cookie of the name meets the condition. Names are case-sensitive; a value in
// double quotes is compared without them, as applications read it (RFC 6265, section 4.1.1).
func (c *named) inCookies(f *message.Fields) bool {
	if !f.Has(message.Cookie) {
		return false
	}
	for i := range f.List {
		if f.List[i].ID == message.Cookie && c.inCookie(f.List[i].Value) {
			return true
		}
	}
	return false
}

func (c *named) inCookie(line []byte) bool {
	for len(line) > 0 {
		pair := line
		if i := bytes.IndexByte(line, ';'); i >= 0 {
			pair, line = line[:i], line[i+1:]
		} else {
			line = nil
		}
		name, value, ok := bytes.Cut(pair, []byte{'='})
		if !ok || string(trim(name)) != c.name {
			continue
		}
		value = trim(value)
		if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
			value = value[1 : n-1]
		}
		if c.value.holds(value) {
			return true
		}
	}
	return false
}

func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// inQuery reports whether any parameter of the name meets the condition. Parameters are split at "&" and decoded as
// forms are: %XX and "+". Nothing is copied: the query is compared while it is decoded.
func (c *named) inQuery(query []byte) bool {
	for len(query) > 0 {
		pair := query
		if i := bytes.IndexByte(query, '&'); i >= 0 {
			pair, query = query[:i], query[i+1:]
		} else {
			query = nil
		}
		name, value := pair, []byte(nil)
		if i := bytes.IndexByte(pair, '='); i >= 0 {
			name, value = pair[:i], pair[i+1:]
		}
		if rest, ok := cutForm(name, c.name); ok && len(rest) == 0 && c.value.holdsForm(value) {
			return true
		}
	}
	return false
}

// holdsForm is holds for a form-encoded value.
func (p *pattern) holdsForm(b []byte) bool {
	if p.kind == present {
		return true
	}
	if bytes.IndexByte(b, '%') < 0 && bytes.IndexByte(b, '+') < 0 {
		return p.holds(b)
	}
	switch p.kind {
	case equal:
		rest, ok := cutForm(b, p.text)
		return ok && len(rest) == 0
	case begins:
		_, ok := cutForm(b, p.text)
		return ok
	case ends:
		for n := formLen(b); n > len(p.text); n-- {
			_, b = nextForm(b)
		}
		rest, ok := cutForm(b, p.text)
		return ok && len(rest) == 0
	}
	for {
		if _, ok := cutForm(b, p.text); ok {
			return true
		}
		if len(b) == 0 {
			return false
		}
		_, b = nextForm(b)
	}
}

// cutForm removes text from the beginning of a form-encoded value.
func cutForm(b []byte, text string) (rest []byte, ok bool) {
	for i := range len(text) {
		if len(b) == 0 {
			return b, false
		}
		var c byte
		if c, b = nextForm(b); c != text[i] {
			return b, false
		}
	}
	return b, true
}

// nextForm decodes the first byte of a form-encoded value. An escape that is none stands for itself.
func nextForm(b []byte) (c byte, rest []byte) {
	switch b[0] {
	case '+':
		return ' ', b[1:]
	case '%':
		if c, ok := escape(b); ok {
			return c, b[3:]
		}
	}
	return b[0], b[1:]
}

func formLen(b []byte) (n int) {
	for ; len(b) > 0; n++ {
		_, b = nextForm(b)
	}
	return n
}

// escape decodes the %XX that b begins with.
func escape(b []byte) (c byte, ok bool) {
	if len(b) < 3 || b[0] != '%' {
		return 0, false
	}
	hi, lo := unhex(b[1]), unhex(b[2])
	if hi > 15 || lo > 15 {
		return 0, false
	}
	return hi<<4 | lo, true
}

func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 0xff
}
