package cache

import "bytes"

// maxSorted is how many parameters are put in order; a query with more is taken as it comes, which costs hits and
// nothing else.
const maxSorted = 64

// param is one name=value of a query, by where it is.
type param struct{ start, name, end int }

// nextParam finds the next parameter at or behind i; parameters are parted by "&", empty ones do not count. ok is
// false at the end.
func nextParam(query []byte, i int) (p param, ok bool) {
	for i < len(query) && query[i] == '&' {
		i++
	}
	if i >= len(query) {
		return p, false
	}
	p = param{i, -1, i}
	for p.end < len(query) && query[p.end] != '&' {
		if query[p.end] == '=' && p.name < 0 {
			p.name = p.end
		}
		p.end++
	}
	if p.name < 0 {
		p.name = p.end
	}
	return p, true
}

// appendCanonical appends the parameters that are kept, in order if the policy wants it. The bytes of each are as
// received: the app may tell "%41" from "A".
func (k *Keyer) appendCanonical(dst, query []byte) []byte {
	var list [maxSorted]param
	n, from := 0, len(dst)
	for p, ok := nextParam(query, 0); ok; p, ok = nextParam(query, p.end) {
		if !k.keeps(query[p.start:p.name]) {
			continue
		}
		if k.sort && n < maxSorted {
			list[n] = p
		}
		n++
		dst = appendParam(dst, from, query[p.start:p.end])
	}
	if !k.sort || n < 2 || n > maxSorted || !sortParams(query, list[:n]) {
		return dst
	}
	dst = dst[:from]
	for _, p := range list[:n] {
		dst = appendParam(dst, from, query[p.start:p.end])
	}
	return dst
}

func appendParam(dst []byte, from int, text []byte) []byte {
	if len(dst) > from {
		dst = append(dst, '&')
	}
	return append(dst, text...)
}

// keeps reports whether a parameter of this name, as received, is there for key and app. Names are compared as the app
// will read them.
func (k *Keyer) keeps(name []byte) bool {
	var room [64]byte
	if encoded(name) {
		name = appendForm(room[:0], name)
	}
	return (len(k.keep) == 0 || k.keep.Match(name)) && !k.ignore.Match(name)
}

// sortParams sorts by name as the app will read it; those of one name stay in order, because their order tells the app
// something. It reports whether anything moved. Insertion: queries are short and mostly in order.
func sortParams(query []byte, list []param) (moved bool) {
	for i := 1; i < len(list); i++ {
		p := list[i]
		j := i
		for ; j > 0 && compareForm(query[p.start:p.name], query[list[j-1].start:list[j-1].name]) < 0; j-- {
			list[j] = list[j-1]
		}
		list[j] = p
		moved = moved || j != i
	}
	return moved
}

func encoded(b []byte) bool { return bytes.IndexByte(b, '%') >= 0 || bytes.IndexByte(b, '+') >= 0 }

// appendForm decodes application/x-www-form-urlencoded bytes: "+" is a space, an escape that is none stands for
// itself.
func appendForm(dst, b []byte) []byte {
	for len(b) > 0 {
		var c byte
		c, b = nextForm(b)
		dst = append(dst, c)
	}
	return dst
}

// compareForm compares two encoded texts as they decode.
func compareForm(a, b []byte) int {
	for len(a) > 0 && len(b) > 0 {
		var c, d byte
		c, a = nextForm(a)
		d, b = nextForm(b)
		if c != d {
			return int(c) - int(d)
		}
	}
	return len(a) - len(b)
}

// nextForm decodes the first byte of b, which is not empty.
func nextForm(b []byte) (c byte, rest []byte) {
	switch b[0] {
	case '+':
		return ' ', b[1:]
	case '%':
		if len(b) > 2 {
			if hi, lo := unhex(b[1]), unhex(b[2]); hi < 16 && lo < 16 {
				return hi<<4 | lo, b[3:]
			}
		}
	}
	return b[0], b[1:]
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
