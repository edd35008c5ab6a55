package cache

import "bytes"

// maxSorted is how many parameters are put in order; a query with more is taken as it comes, which costs hits and
// nothing else.
const maxSorted = 64

// param is one name=value of a query, by where it begins, where its name ends and where it ends.
type param struct{ start, name, end int32 }

// nextParam finds the next parameter at or behind i; parameters are parted by "&", empty ones do not count. ok is
// false at the end.
func nextParam(query []byte, i int) (p param, ok bool) {
	for i < len(query) && query[i] == '&' {
		i++
	}
	if i >= len(query) {
		return p, false
	}
	start, name := i, -1
	for i < len(query) && query[i] != '&' {
		if query[i] == '=' && name < 0 {
			name = i
		}
		i++
	}
	if name < 0 {
		name = i
	}
	return param{int32(start), int32(name), int32(i)}, true
}

// appendCanonical appends the parameters that are kept, in order if the policy wants it. The bytes of each are as
// received: the app may tell "%41" from "A".
func (k *Keyer) appendCanonical(dst, query []byte) []byte {
	n, from, inOrder := 0, len(dst), true
	var last param
	for p, ok := nextParam(query, 0); ok; p, ok = nextParam(query, int(p.end)) {
		if !k.keeps(query[p.start:p.name]) {
			continue
		}
		if k.sort && n > 0 && inOrder {
			inOrder = compareForm(query[last.start:last.name], query[p.start:p.name]) <= 0
		}
		last = p
		n++
		dst = appendParam(dst, from, query[p.start:p.end])
	}
	if inOrder || n > maxSorted {
		return dst
	}
	return k.appendSorted(dst[:from], query)
}

// appendSorted is for the few queries that are not in order.
func (k *Keyer) appendSorted(dst, query []byte) []byte {
	var list [maxSorted]param
	n, from := 0, len(dst)
	for p, ok := nextParam(query, 0); ok; p, ok = nextParam(query, int(p.end)) {
		if k.keeps(query[p.start:p.name]) {
			list[n] = p
			n++
		}
	}
	sortParams(query, list[:n])
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
// something. Insertion: queries are short and mostly in order.
func sortParams(query []byte, list []param) {
	for i := 1; i < len(list); i++ {
		p := list[i]
		j := i
		for ; j > 0 && compareForm(query[p.start:p.name], query[list[j-1].start:list[j-1].name]) < 0; j-- {
			list[j] = list[j-1]
		}
		list[j] = p
	}
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
