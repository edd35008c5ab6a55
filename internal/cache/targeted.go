package cache

import "github.com/weirhq/weir/internal/message"

// parseTargeted reads a targeted field: a dictionary of structured fields (RFC 9213, section 2.1; RFC 8941, section 3.2). ok is
// false when it is empty or malformed anywhere: it is ignored as a whole then. A member of a type that its directive does not
// have is ignored alone. Of a key that stands twice the last counts.
func parseTargeted(f *message.Fields, id message.ID) (r responseDirectives, ok bool) {
	r = noDirectives
	for i := range f.List {
		if f.List[i].ID != id {
			continue
		}
		if p := (sfParser{b: f.List[i].Value}); !p.dictionary(&r) {
			return noDirectives, false
		}
	}
	return r, r.said
}

// sfParser reads one line of a dictionary. Lines are joined by commas, so each is a dictionary of its own or empty.
type sfParser struct {
	b []byte
	i int
}

type sfKind uint8

const (
	sfTrue sfKind = iota
	sfFalse
	sfInteger
	sfOther
)

func (p *sfParser) dictionary(r *responseDirectives) bool {
	p.space(false)
	for p.i < len(p.b) {
		key := p.key()
		if key == nil {
			return false
		}
		kind, n := sfTrue, int64(0)
		if p.at('=') {
			p.i++
			var ok bool
			if kind, n, ok = p.item(); !ok {
				return false
			}
		}
		if !p.parameters() {
			return false
		}
		r.member(key, kind, n)
		p.space(true)
		if p.i == len(p.b) {
			return true
		}
		if !p.at(',') {
			return false
		}
		p.i++
		p.space(true)
		if p.i == len(p.b) {
			return false // a comma behind the last
		}
	}
	return true
}

// member notes a member of the dictionary.
func (r *responseDirectives) member(key []byte, kind sfKind, n int64) {
	r.said = true
	number := func(to *int64) {
		if kind == sfInteger && n >= 0 {
			*to = min(n, forever)
		}
	}
	flag := func(to *bool) {
		if kind == sfTrue || kind == sfFalse {
			*to = kind == sfTrue
		}
	}
	switch string(key) {
	case "max-age":
		number(&r.maxAge)
	case "s-maxage":
		number(&r.sMaxage)
	case "stale-while-revalidate":
		number(&r.whileRevalidate)
	case "stale-if-error":
		number(&r.ifError)
	case "no-cache":
		flag(&r.noCache)
	case "no-store":
		flag(&r.noStore)
	case "private":
		flag(&r.private)
	case "public":
		flag(&r.public)
	case "must-revalidate":
		flag(&r.mustRevalidate)
	case "proxy-revalidate":
		flag(&r.proxyRevalidate)
	case "must-understand":
		flag(&r.mustUnderstand)
	case "no-transform":
		flag(&r.noTransform)
	case "immutable":
		flag(&r.immutable)
	}
}

func (p *sfParser) at(c byte) bool { return p.i < len(p.b) && p.b[p.i] == c }

func (p *sfParser) space(tabs bool) {
	for p.at(' ') || tabs && p.at('\t') {
		p.i++
	}
}

func isKeyStart(c byte) bool { return c >= 'a' && c <= 'z' || c == '*' }
func isDigit(c byte) bool    { return c >= '0' && c <= '9' }

func (p *sfParser) key() []byte {
	from := p.i
	for p.i < len(p.b) && (isKeyStart(p.b[p.i]) || p.i > from && (isDigit(p.b[p.i]) || p.b[p.i] == '_' || p.b[p.i] == '-' || p.b[p.i] == '.')) {
		p.i++
	}
	if p.i == from {
		return nil
	}
	return p.b[from:p.i]
}

func (p *sfParser) parameters() bool {
	for p.at(';') {
		p.i++
		p.space(false)
		if p.key() == nil {
			return false
		}
		if p.at('=') {
			p.i++
			if _, _, ok := p.bare(); !ok {
				return false
			}
		}
	}
	return true
}

// item reads a bare item or an inner list.
func (p *sfParser) item() (sfKind, int64, bool) {
	if !p.at('(') {
		return p.bare()
	}
	p.i++
	for {
		p.space(false)
		if p.at(')') {
			p.i++
			return sfOther, 0, true
		}
		if _, _, ok := p.bare(); !ok || !p.parameters() {
			return 0, 0, false
		}
		if !p.at(' ') && !p.at(')') {
			return 0, 0, false
		}
	}
}

// bare reads a bare item (RFC 8941, section 3.3).
func (p *sfParser) bare() (kind sfKind, n int64, ok bool) {
	if p.i >= len(p.b) {
		return 0, 0, false
	}
	switch c := p.b[p.i]; {
	case c == '?':
		if p.i+1 < len(p.b) && (p.b[p.i+1] == '0' || p.b[p.i+1] == '1') {
			p.i += 2
			if p.b[p.i-1] == '1' {
				return sfTrue, 0, true
			}
			return sfFalse, 0, true
		}
		return 0, 0, false
	case c == '-' || isDigit(c):
		return p.number()
	case c == '"':
		for p.i++; p.i < len(p.b); p.i++ {
			switch c := p.b[p.i]; {
			case c == '"':
				p.i++
				return sfOther, 0, true
			case c == '\\':
				if p.i++; p.i >= len(p.b) || p.b[p.i] != '"' && p.b[p.i] != '\\' {
					return 0, 0, false
				}
			case c < ' ' || c > '~':
				return 0, 0, false
			}
		}
		return 0, 0, false
	case c == ':':
		for p.i++; p.i < len(p.b); p.i++ {
			if p.b[p.i] == ':' {
				p.i++
				return sfOther, 0, true
			}
		}
		return 0, 0, false
	case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '*':
		for p.i < len(p.b) && (isToken(p.b[p.i]) || p.b[p.i] == ':' || p.b[p.i] == '/') {
			p.i++
		}
		return sfOther, 0, true
	}
	return 0, 0, false
}

func (p *sfParser) number() (sfKind, int64, bool) {
	sign, digits, n := int64(1), 0, int64(0)
	if p.at('-') {
		sign = -1
		p.i++
	}
	for ; p.i < len(p.b) && isDigit(p.b[p.i]); p.i++ {
		if digits++; digits > 15 {
			return 0, 0, false
		}
		n = n*10 + int64(p.b[p.i]-'0')
	}
	if digits == 0 {
		return 0, 0, false
	}
	if !p.at('.') {
		return sfInteger, sign * n, true
	}
	fraction := 0
	for p.i++; p.i < len(p.b) && isDigit(p.b[p.i]); p.i++ {
		fraction++
	}
	return sfOther, 0, fraction > 0 && fraction <= 3 && digits <= 12
}

// isToken reports whether a byte may be in a token (RFC 9110, section 5.6.2).
func isToken(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', isDigit(c):
		return true
	}
	switch c {
	case '!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~':
		return true
	}
	return false
}
