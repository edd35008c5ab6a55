package representation

import (
	"bytes"
	"math"
	"strconv"

	"github.com/weirhq/weir/internal/message"
)

// A set of more ranges, or with more overlaps, is not one that a client in good faith sends (RFC 9110, section 14.2):
// it gets the whole.
const (
	MaxRanges   = 16
	maxOverlaps = 2
)

// Span is a stretch of N bytes that begins at Off.
type Span struct{ Off, N int64 }

// End is the offset behind the last byte.
func (s Span) End() int64 { return s.Off + s.N }

// Covers reports whether all of o is in s.
func (s Span) Covers(o Span) bool { return s.Off <= o.Off && o.End() <= s.End() }

// Meets reports whether two spans overlap or touch: together they are one.
func (s Span) Meets(o Span) bool { return s.Off <= o.End() && o.Off <= s.End() }

// Part says how much of a representation is to be sent.
type Part uint8

// The parts.
const (
	Whole         Part = iota // all of it: no ranges, or ranges not to be heeded
	One                       // 206 with one range
	Several                   // 206 with a multipart/byteranges body
	Unsatisfiable             // 416: no range lies within
)

// Ranges are the bytes that a request wants. It holds its spans itself, so that finding them out costs no allocation.
type Ranges struct {
	Part  Part
	spans [MaxRanges]Span
	n     int
}

// Spans returns the ranges of One and Several in the order asked for, none overlapping or touching another, none empty.
// The slice is part of r.
func (r *Ranges) Spans() []Span { return r.spans[:r.n] }

// Select finds out which bytes of a representation of size bytes a request wants, after its conditions came to Proceed
// and for a response that would be a 200. A size that is not known (below 0) has no ranges.
func (r *Ranges) Select(q *message.Request, v *Validators, size int64) {
	r.Part, r.n = Whole, 0
	if size < 0 || !q.Fields.Has(message.Range) {
		return
	}
	if spec := v.wanted(q); spec != nil {
		r.parse(spec, size)
	}
}

// parse reads a Range field (RFC 9110, section 14.1.2). A field that is malformed or of another unit is as if it were not
// there.
func (r *Ranges) parse(spec []byte, size int64) {
	unit, set, ok := bytes.Cut(spec, []byte("="))
	if !ok || !message.EqualFold(unit, "bytes") {
		return
	}
	count, overlaps, suffixes := 0, 0, 0
	for more := true; more; {
		var one []byte
		one, set, more = bytes.Cut(set, []byte(","))
		if one = bytes.Trim(one, " \t"); len(one) == 0 {
			continue // RFC 9110, section 5.6.1.2: empty elements of a list do not count
		}
		count++
		s, suffix, ok := parseRange(one, size)
		if !ok || count > MaxRanges {
			r.n = 0
			return
		}
		if suffix {
			suffixes++
		}
		if s.N > 0 {
			overlaps += r.add(s)
		}
	}
	switch {
	case count == 0, overlaps > maxOverlaps:
		r.n = 0
	case r.n == 0 && size == 0 && suffixes > 0:
		// The last bytes of nothing: they are satisfied by nothing, and there is no Content-Range for it.
	case r.n == 0:
		r.Part = Unsatisfiable
	case r.n == 1:
		r.Part = One
	case Total(r.Spans()) >= size:
		r.n = 0
	default:
		r.Part = Several
	}
}

// parseRange reads one range; N is 0 when it lies beyond the end. suffix says that it asks for the last bytes, and for
// more than none.
func parseRange(b []byte, size int64) (s Span, suffix, ok bool) {
	first, last, found := bytes.Cut(b, []byte("-"))
	if !found {
		return s, false, false
	}
	if len(first) == 0 {
		n, ok := number(last)
		suffix = n > 0
		n = min(n, size)
		return Span{size - n, n}, suffix, ok
	}
	from, ok := number(first)
	if !ok {
		return s, false, false
	}
	to := int64(math.MaxInt64)
	if len(last) > 0 {
		if to, ok = number(last); !ok || to < from {
			return s, false, false
		}
	}
	if from >= size {
		return s, false, true
	}
	return Span{from, min(to, size-1) - from + 1}, false, true
}

// number reads digits; what is too large for any length is as large as can be.
func number(b []byte) (n int64, ok bool) {
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		if n > (math.MaxInt64-9)/10 {
			n = math.MaxInt64
			continue
		}
		if n < math.MaxInt64 {
			n = n*10 + int64(c-'0')
		}
	}
	return n, len(b) > 0
}

// add adds a range, melting it with those that it overlaps or touches, in the place of the first of them. There is room:
// it is called at most MaxRanges times.
func (r *Ranges) add(s Span) (overlaps int) {
	place := r.n
	for i := 0; i < r.n; {
		o := r.spans[i]
		if o.Off > s.End() || s.Off > o.End() {
			i++
			continue
		}
		if o.Off < s.End() && s.Off < o.End() {
			overlaps++
		}
		end := max(o.End(), s.End())
		s.Off = min(o.Off, s.Off)
		s.N = end - s.Off
		place = min(place, i)
		copy(r.spans[i:], r.spans[i+1:r.n])
		r.n--
		i = 0 // it has grown: what did not touch may touch now
	}
	place = min(place, r.n)
	copy(r.spans[place+1:], r.spans[place:r.n])
	r.spans[place] = s
	r.n++
	return overlaps
}

// Total is how many bytes spans hold.
func Total(spans []Span) (n int64) {
	for _, s := range spans {
		n += s.N
	}
	return n
}

// AppendContentRange appends the value of the Content-Range of a span (RFC 9110, section 14.4).
func AppendContentRange(dst []byte, s Span, size int64) []byte {
	dst = strconv.AppendInt(append(dst, "bytes "...), s.Off, 10)
	dst = strconv.AppendInt(append(dst, '-'), s.End()-1, 10)
	return strconv.AppendInt(append(dst, '/'), size, 10)
}

// AppendUnsatisfied appends the value of the Content-Range of a 416 (RFC 9110, section 15.5.17).
func AppendUnsatisfied(dst []byte, size int64) []byte {
	return strconv.AppendInt(append(dst, "bytes */"...), size, 10)
}

// Multipart makes the text around the ranges in a multipart/byteranges body (RFC 9110, section 14.6).
type Multipart struct {
	Boundary string // drawn by chance: no content may hold it on purpose
	Type     string // the representation's Content-Type, left out when empty
	Size     int64  // of the representation in bytes
}

// AppendType appends the Content-Type of the response.
func (m *Multipart) AppendType(dst []byte) []byte {
	return append(append(dst, "multipart/byteranges; boundary="...), m.Boundary...)
}

// AppendHead appends what stands before a range; first says that it is the first.
func (m *Multipart) AppendHead(dst []byte, s Span, first bool) []byte {
	if !first {
		dst = append(dst, "\r\n"...)
	}
	dst = append(append(dst, "--"...), m.Boundary...)
	if m.Type != "" {
		dst = append(append(dst, "\r\nContent-Type: "...), m.Type...)
	}
	dst = AppendContentRange(append(dst, "\r\nContent-Range: "...), s, m.Size)
	return append(dst, "\r\n\r\n"...)
}

// AppendEnd appends what stands behind the last range.
func (m *Multipart) AppendEnd(dst []byte) []byte {
	return append(append(append(dst, "\r\n--"...), m.Boundary...), "--\r\n"...)
}

// Length is the length of the whole body in bytes.
func (m *Multipart) Length(spans []Span) (n int64) {
	var room [512]byte
	for i, s := range spans {
		n += int64(len(m.AppendHead(room[:0], s, i == 0))) + s.N
	}
	return n + int64(len(m.AppendEnd(room[:0])))
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
