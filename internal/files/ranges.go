package files

import (
	"bytes"
	"math"
	"strconv"
)

// A set of more ranges, or with more overlaps, is not one that a client in good faith sends (RFC 9110, section 14.2):
// it gets the whole file.
const (
	maxRanges   = 16
	maxOverlaps = 2
)

type byteRange struct{ off, n int64 }

// field is the Content-Range of a range.
func (r byteRange) field(size int64) string {
	b := make([]byte, 0, 64)
	b = append(b, "bytes "...)
	b = strconv.AppendInt(b, r.off, 10)
	b = append(b, '-')
	b = strconv.AppendInt(b, r.off+r.n-1, 10)
	b = append(b, '/')
	return string(strconv.AppendInt(b, size, 10))
}

type rangeVerdict uint8

const (
	whole         rangeVerdict = iota // send all: no ranges, or ranges not to be heeded
	some                              // send these
	unsatisfiable                     // none of them lies within the file
)

// parseRanges reads a Range field (RFC 9110, section 14.1.2) for a representation of this size. A field that is
// malformed or of another unit is as if it were not there. The ranges come back in the order asked for, none
// overlapping, none empty.
func parseRanges(spec []byte, size int64) ([]byteRange, rangeVerdict) {
	unit, set, ok := bytes.Cut(spec, []byte("="))
	if !ok || !bytes.EqualFold(unit, []byte("bytes")) {
		return nil, whole
	}
	var out []byteRange
	count, overlaps := 0, 0
	for more := true; more; {
		var one []byte
		one, set, more = bytes.Cut(set, []byte(","))
		if one = bytes.Trim(one, " \t"); len(one) == 0 {
			continue // RFC 9110, section 5.6.1.2: empty elements of a list do not count
		}
		if count++; count > maxRanges {
			return nil, whole
		}
		r, ok := parseRange(one, size)
		if !ok {
			return nil, whole
		}
		if r.n > 0 {
			var merged int
			out, merged = merge(out, r)
			overlaps += merged
		}
	}
	if count == 0 || overlaps > maxOverlaps {
		return nil, whole
	}
	if len(out) == 0 {
		if size == 0 && bytes.IndexByte(spec, '-') >= 0 && suffixOnly(spec) {
			return nil, whole // the last bytes of nothing: there is no Content-Range for it
		}
		return nil, unsatisfiable
	}
	if len(out) > 1 && total(out) >= size {
		return nil, whole
	}
	return out, some
}

// parseRange reads one range; n is 0 when it lies beyond the end.
func parseRange(b []byte, size int64) (r byteRange, ok bool) {
	first, last, found := bytes.Cut(b, []byte("-"))
	if !found {
		return r, false
	}
	if len(first) == 0 {
		n, ok := number(last)
		n = min(n, size)
		return byteRange{size - n, n}, ok
	}
	from, ok := number(first)
	if !ok {
		return r, false
	}
	to := int64(math.MaxInt64)
	if len(last) > 0 {
		if to, ok = number(last); !ok || to < from {
			return r, false
		}
	}
	if from >= size {
		return byteRange{}, true
	}
	return byteRange{from, min(to, size-1) - from + 1}, true
}

// number reads digits; what is too large for any file is as large as can be.
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

// merge adds a range, melting it with those that it overlaps or touches, in the place of the first of them.
func merge(list []byteRange, r byteRange) (out []byteRange, overlaps int) {
	place := len(list)
	for i := 0; i < len(list); {
		o := list[i]
		if o.off > r.off+r.n || r.off > o.off+o.n {
			i++
			continue
		}
		if o.off < r.off+r.n && r.off < o.off+o.n {
			overlaps++
		}
		end := max(o.off+o.n, r.off+r.n)
		r.off = min(o.off, r.off)
		r.n = end - r.off
		place = min(place, i)
		list = append(list[:i], list[i+1:]...)
		i = 0 // it has grown: what did not touch may touch now
	}
	place = min(place, len(list))
	list = append(list, byteRange{})
	copy(list[place+1:], list[place:])
	list[place] = r
	return list, overlaps
}

func total(list []byteRange) (n int64) {
	for _, r := range list {
		n += r.n
	}
	return n
}

// suffixOnly reports whether a set holds a suffix range of more than nothing.
func suffixOnly(spec []byte) bool {
	_, set, _ := bytes.Cut(spec, []byte("="))
	for one := range bytes.SplitSeq(set, []byte(",")) {
		if one = bytes.Trim(one, " \t"); len(one) > 1 && one[0] == '-' {
			if n, ok := number(one[1:]); ok && n > 0 {
				return true
			}
		}
	}
	return false
}
