package representation

import "bytes"

// maxSpans bounds what is kept of one representation in pieces.
const maxSpans = 64

// Spans are the parts of one representation that are at hand: in order, none empty, none touching another. The zero value
// is nothing. A Spans is a value: Add returns a new one when it changes.
type Spans []Span

// Add adds a part. Where it overlaps what is there already the bytes are the same, since all parts share a strong
// validator (SameStrong). ok is false, and nothing is added, when there would be too many pieces.
func (p Spans) Add(s Span) (_ Spans, ok bool) {
	if s.N <= 0 {
		return p, true
	}
	out := make(Spans, 0, len(p)+1)
	i := 0
	for ; i < len(p) && p[i].end() < s.Off; i++ {
		out = append(out, p[i])
	}
	for ; i < len(p) && p[i].Off <= s.end(); i++ {
		end := max(p[i].end(), s.end())
		s.Off = min(p[i].Off, s.Off)
		s.N = end - s.Off
	}
	out = append(append(out, s), p[i:]...)
	if len(out) > maxSpans {
		return p, false
	}
	return out, true
}

// Covers reports whether a part is there whole.
func (p Spans) Covers(s Span) bool {
	for _, o := range p {
		if o.Off <= s.Off && s.end() <= o.end() {
			return true
		}
	}
	return s.N == 0
}

// Missing returns what a part lacks, in order.
func (p Spans) Missing(s Span) (out []Span) {
	for _, o := range p {
		if o.end() <= s.Off {
			continue
		}
		if o.Off >= s.end() {
			break
		}
		if o.Off > s.Off {
			out = append(out, Span{s.Off, o.Off - s.Off})
		}
		if o.end() >= s.end() {
			return out
		}
		s = Span{o.end(), s.end() - o.end()}
	}
	if s.N > 0 {
		out = append(out, s)
	}
	return out
}

// ParseContentRange reads the Content-Range of a 206 (RFC 9110, section 14.4). size is the length of the whole, -1 when it
// is not said. ok is false for another unit, for what is malformed, and for the form of a 416.
func ParseContentRange(b []byte) (s Span, size int64, ok bool) {
	unit, rest, ok := bytes.Cut(b, []byte(" "))
	if !ok || string(bytes.ToLower(unit)) != "bytes" {
		return s, 0, false
	}
	between, whole, ok := bytes.Cut(rest, []byte("/"))
	if !ok {
		return s, 0, false
	}
	first, last, ok := bytes.Cut(between, []byte("-"))
	if !ok {
		return s, 0, false
	}
	from, ok1 := number(first)
	to, ok2 := number(last)
	size, ok3 := int64(-1), true
	if string(whole) != "*" {
		size, ok3 = number(whole)
	}
	const most = 1 << 62 // room to reckon with
	if !ok1 || !ok2 || !ok3 || to < from || to >= most || size >= most || size >= 0 && to >= size {
		return s, 0, false
	}
	return Span{from, to - from + 1}, size, true
}

// Partial is what is at hand of one representation: of a 206, of several put together, or of a 200 that broke off (RFC
// 9111, sections 3.3 and 3.4). Whether two responses are of one representation SameStrong says.
type Partial struct {
	Size int64 // of the whole in bytes, -1: not known
	Have Spans
}

// With adds a part of a response that said size (-1: did not). ok is false, and nothing is added, when the two cannot be
// of one length or there would be too many pieces.
func (p Partial) With(s Span, size int64) (_ Partial, ok bool) {
	if p.Size >= 0 && size >= 0 && p.Size != size {
		return p, false
	}
	size = max(p.Size, size)
	if s.N < 0 || s.Off < 0 || size >= 0 && s.end() > size || size >= 0 && len(p.Have) > 0 && p.Have[len(p.Have)-1].end() > size {
		return p, false
	}
	have, ok := p.Have.Add(s)
	if !ok {
		return p, false
	}
	return Partial{size, have}, true
}

// Whole reports whether all of it is at hand.
func (p Partial) Whole() bool { return p.Size >= 0 && p.Have.Covers(Span{0, p.Size}) }

// Serves reports whether all that a request wants is at hand.
func (p Partial) Serves(r *Ranges) bool {
	if r.Part == Whole {
		return p.Whole()
	}
	for _, s := range r.Spans() {
		if !p.Have.Covers(s) {
			return false
		}
	}
	return p.Size >= 0
}
