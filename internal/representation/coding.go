package representation

import (
	"bytes"

	"github.com/weirhq/weir/internal/message"
)

// A Coding is a content coding that weir can make. Identity is none.
type Coding uint8

// The codings, and how many there are.
const (
	Identity Coding = iota
	Gzip
	Brotli
	Zstd
	NumCodings
)

// String returns the coding as Content-Encoding writes it.
func (c Coding) String() string {
	switch c {
	case Gzip:
		return "gzip"
	case Brotli:
		return "br"
	case Zstd:
		return "zstd"
	}
	return "identity"
}

// ParseCoding returns the coding of a name in any case; ok is false for one that weir cannot make, and c means nothing then. x-gzip is gzip
// (RFC 9110, section 8.4.1.3).
func ParseCoding[T string | []byte](name T) (c Coding, ok bool) {
	switch len(name) {
	case len("br"):
		return Brotli, message.EqualFold([]byte(name), "br")
	case len("gzip"):
		if message.EqualFold([]byte(name), "gzip") {
			return Gzip, true
		}
		return Zstd, message.EqualFold([]byte(name), "zstd")
	case len("x-gzip"):
		return Gzip, message.EqualFold([]byte(name), "x-gzip")
	case len("identity"):
		return Identity, message.EqualFold([]byte(name), "identity")
	}
	return Identity, false
}

// Accept is what a request says of codings, each weight in thousandths.
type Accept struct {
	q [NumCodings]int16
	// plain says that identity was asked for with a weight, not merely left allowed.
	plain bool
}

// Accepted reads Accept-Encoding (RFC 9110, section 12.5.3). Without the field any coding would be right, but identity is
// what every client reads; an element that is malformed says nothing.
func Accepted(f *message.Fields) Accept {
	const unsaid = -1
	q := [NumCodings]int16{unsaid, unsaid, unsaid, unsaid}
	star := int16(unsaid)
	if f.Has(message.AcceptEncoding) {
		for i := range f.List {
			if f.List[i].ID != message.AcceptEncoding {
				continue
			}
			for rest := f.List[i].Value; len(rest) > 0; {
				var item []byte
				item, rest, _ = bytes.Cut(rest, []byte(","))
				name, weight, ok := weighted(item)
				if !ok {
					continue
				}
				if len(name) == 1 && name[0] == '*' {
					star = weight
				} else if c, ok := ParseCoding(name); ok {
					q[c] = weight
				}
			}
		}
	}
	a := Accept{plain: q[Identity] > 0 || q[Identity] == unsaid && star > 0} // * speaks of identity too
	for c := range q {
		if q[c] == unsaid {
			q[c] = star
		}
		a.q[c] = max(q[c], 0)
	}
	// Identity is acceptable unless it is refused, by its name or by * (section 12.5.3, rule 2).
	if q[Identity] == unsaid {
		a.q[Identity] = 1
	}
	return a
}

// Choose returns the best coding of those in order: the one with the highest weight, of equal ones the first. That is
// the site's own order for every browser, none of which sends weights. Identity is chosen when nothing in order is
// accepted, or when the client says that it likes it better. ok is false when the client refuses everything that could
// be chosen (section 12.5.3 lets a server send identity even so).
//
// The result is what a cache keys a variant by: two requests with the same choice get the same bytes.
func (a Accept) Choose(order []Coding) (c Coding, ok bool) {
	best, at := Identity, int16(0)
	for _, c := range order {
		if c < NumCodings && c != Identity && a.q[c] > at {
			best, at = c, a.q[c]
		}
	}
	if at == 0 || a.plain && a.q[Identity] > at {
		return Identity, a.q[Identity] > 0
	}
	return best, true
}

// Takes reports whether the client accepts a coding at all.
func (a Accept) Takes(c Coding) bool { return c < NumCodings && a.q[c] > 0 }

// weighted splits an element into what it names and the weight (section 12.4.2), in thousandths; ok is false when it is
// malformed.
func weighted(item []byte) (name []byte, q int16, ok bool) {
	name, param, has := bytes.Cut(item, []byte(";"))
	name = bytes.Trim(name, " \t")
	if len(name) == 0 {
		return nil, 0, false
	}
	if !has {
		return name, 1000, true
	}
	param = bytes.Trim(param, " \t")
	if len(param) < 3 || message.Lower(param[0]) != 'q' || param[1] != '=' {
		return nil, 0, false
	}
	q, ok = qvalue(param[2:])
	return name, q, ok
}

func qvalue(b []byte) (q int16, ok bool) {
	if len(b) > 5 || b[0] != '0' && b[0] != '1' || len(b) > 1 && b[1] != '.' {
		return 0, false
	}
	q = int16(b[0]-'0') * 1000
	unit := int16(100)
	for _, c := range b[min(2, len(b)):] {
		if c < '0' || c > '9' {
			return 0, false
		}
		q += int16(c-'0') * unit
		unit /= 10
	}
	return q, q <= 1000
}
