package esi

import (
	"bytes"
	"time"
)

// tag judges a tag: b begins with <esi: or </esi:. What turns out to be none is text; it is given up byte by byte, so that what
// lies behind its < is looked at like everything else.
func (p *Parser) tag(b []byte, lead lead) (int, Event, bool) {
	end, w := p.tagEnd(b)
	if end == 0 && w == NumWarnings {
		return 0, Event{}, true
	}
	p.scanned, p.quote = 0, 0
	ev := Event{}
	if end > 0 {
		ev, w = p.obey(b[:end], lead)
	}
	if w != NumWarnings {
		p.page.Warn(w, p.offset)
		if gaveUp(w) {
			return 1, p.text(b[:1]), false
		}
	}
	p.offset += int64(end)
	return end, ev, false
}

// gaveUp reports whether a warning about a tag means that it is text.
func gaveUp(w Warning) bool { return w == Malformed || w == TooLong }

// tagEnd returns the length of the tag that b begins with. It is 0 with NumWarnings while that is open, with a warning
// when it is no tag. It goes on where it stopped last time.
func (p *Parser) tagEnd(b []byte) (int, Warning) {
	for i := max(p.scanned, 1); i < len(b); i++ {
		c := b[i]
		switch {
		case i >= p.page.limits.Tag:
			return 0, TooLong
		case c == '<':
			// XML has no < in a tag, not even in quotes. So a quote that nobody closes costs one tag, not the page.
			return 0, Malformed
		case p.quote != 0:
			if c == p.quote {
				p.quote = 0
			}
		case c == '"' || c == '\'':
			p.quote = c
		case c == '>':
			return i + 1, NumWarnings
		}
	}
	p.scanned = len(b)
	return 0, NumWarnings
}

// obey carries a whole tag out. The warning is NumWarnings when there is none.
func (p *Parser) obey(b []byte, lead lead) (Event, Warning) {
	closing := lead == closeTag
	at := len("<esi:")
	if closing {
		at++
	}
	inside := b[at : len(b)-1]
	empty := len(inside) > 0 && inside[len(inside)-1] == '/'
	if empty {
		inside = inside[:len(inside)-1]
	}
	name, attributes := cutName(inside)
	if p.removing && string(name) != "remove" {
		return Event{}, Misplaced
	}
	switch string(name) {
	case "include":
		if closing {
			return Event{}, Misplaced
		}
		return p.include(attributes)
	case "remove":
		if empty || p.removing != closing {
			return Event{}, Misplaced
		}
		p.removing = !closing
		return Event{}, NumWarnings
	case "comment":
		if closing || !empty {
			return Event{}, Misplaced
		}
		return Event{}, NumWarnings
	case "try":
		return p.block(TryStart, closing, empty)
	case "attempt":
		return p.block(AttemptStart, closing, empty)
	case "except":
		return p.block(ExceptStart, closing, empty)
	case "":
		return Event{}, Malformed
	case "choose", "when", "otherwise", "vars", "inline", "assign", "eval", "function", "return", "foreach", "break", "text", "debug":
		return Event{}, Unsupported
	}
	return Event{}, Unknown
}

// cutName splits the inside of a tag into its name and the rest.
func cutName(b []byte) (name, rest []byte) {
	for i, c := range b {
		if space(c) {
			return b[:i], b[i:]
		}
	}
	return b, nil
}

func space(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' }

// include reads the attributes of a fragment.
func (p *Parser) include(b []byte) (Event, Warning) {
	var src, alt []byte
	f := Fragment{}
	warn := NumWarnings
	for {
		name, value, rest, ok := attribute(b)
		switch {
		case !ok:
			return Event{}, Malformed
		case len(value) > p.page.limits.Value:
			return Event{}, TooLong
		case len(name) == 0:
			if len(src) == 0 {
				return Event{}, Malformed
			}
			p.values = decode(p.values[:0], src)
			n := len(p.values)
			p.values = decode(p.values, alt)
			f.Src, f.Alt = p.values[:n:n], p.values[n:]
			if w := p.admit(); w != NumWarnings {
				f.Over, warn = true, w
			}
			p.fragment = f
			return Event{Kind: Include, Fragment: &p.fragment}, warn
		}
		b = rest
		switch string(name) {
		case "src", "alt":
			to := &src
			if name[0] == 'a' {
				to = &alt
			}
			if *to != nil {
				return Event{}, Malformed // XML: no attribute twice
			}
			*to = value
		case "onerror":
			f.Continue = string(value) == "continue"
			if !f.Continue {
				warn = Attribute
			}
		case "maxwait":
			if f.MaxWait = milliseconds(value); f.MaxWait == 0 {
				warn = Attribute
			}
		}
	}
}

// admit counts a fragment against the limits of the page.
func (p *Parser) admit() Warning {
	switch {
	case p.depth >= p.page.limits.Depth:
		return TooNested
	case p.page.includes >= p.page.limits.Includes:
		return TooMany
	}
	p.page.includes++
	return NumWarnings
}

// attribute returns the first attribute in b and what follows it; an empty name when there is none left. Values come in
// double quotes, in single quotes or, as in HTML, in none. An attribute may have no value at all: value is nil then.
func attribute(b []byte) (name, value, rest []byte, ok bool) {
	b = bytes.TrimLeft(b, " \t\r\n\f")
	i := 0
	for i < len(b) && !space(b[i]) && b[i] != '=' {
		if c := b[i]; c == '"' || c == '\'' || c == '/' {
			return nil, nil, nil, false
		}
		i++
	}
	if i == 0 {
		return nil, nil, nil, len(b) == 0
	}
	name, b = b[:i], bytes.TrimLeft(b[i:], " \t\r\n\f")
	if len(b) == 0 || b[0] != '=' {
		return name, nil, b, true
	}
	b = bytes.TrimLeft(b[1:], " \t\r\n\f")
	if len(b) == 0 {
		return nil, nil, nil, false
	}
	if q := b[0]; q == '"' || q == '\'' {
		n := bytes.IndexByte(b[1:], q)
		if n < 0 {
			return nil, nil, nil, false
		}
		return name, b[1 : 1+n], b[n+2:], true
	}
	value, rest = cutName(b)
	if bytes.ContainsAny(value, "\"'") {
		return nil, nil, nil, false // the quotes do not pair off as they seemed to: no guess
	}
	return name, value, rest, true
}

// milliseconds reads maxwait; 0 for what is no number from 1 up to an hour.
func milliseconds(b []byte) time.Duration {
	if len(b) == 0 || len(b) > 7 {
		return 0
	}
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0
		}
		n = n*10 + int(c-'0')
	}
	if d := time.Duration(n) * time.Millisecond; d <= time.Hour {
		return d
	}
	return 0
}
