package esi

import (
	"bytes"
	"unicode/utf8"
)

// decode appends an attribute's value with its references decoded: XML's five names and numbers. HTML's other names
// are left alone, because people write "?a=1&copy=2" and mean just that.
func decode(dst, b []byte) []byte {
	for {
		i := bytes.IndexByte(b, '&')
		if i < 0 {
			return append(dst, b...)
		}
		dst, b = append(dst, b[:i]...), b[i:]
		r, n := reference(b)
		if n == 0 {
			dst, b = append(dst, '&'), b[1:]
			continue
		}
		dst, b = utf8.AppendRune(dst, r), b[n:]
	}
}

// reference reads a reference at the start of b, which begins with &; n is 0 when there is none.
func reference(b []byte) (r rune, n int) {
	end := bytes.IndexByte(b[:min(len(b), len("&#x10FFFF;"))], ';')
	if end < 0 {
		return 0, 0
	}
	switch name := b[1:end]; string(name) {
	case "amp":
		return '&', end + 1
	case "lt":
		return '<', end + 1
	case "gt":
		return '>', end + 1
	case "quot":
		return '"', end + 1
	case "apos":
		return '\'', end + 1
	default:
		if r := number(name); r > 0 {
			return r, end + 1
		}
	}
	return 0, 0
}

// number reads #38 or #x26; 0 for what is no character.
func number(b []byte) rune {
	if len(b) < 2 || b[0] != '#' {
		return 0
	}
	base, b := rune(10), b[1:]
	if b[0] == 'x' {
		base, b = 16, b[1:]
	}
	if len(b) == 0 {
		return 0
	}
	r := rune(0)
	for _, c := range b {
		d := rune(0)
		switch {
		case '0' <= c && c <= '9':
			d = rune(c - '0')
		case base == 16 && 'a' <= c|0x20 && c|0x20 <= 'f':
			d = rune(c|0x20-'a') + 10
		default:
			return 0
		}
		if r = r*base + d; r > utf8.MaxRune {
			return 0
		}
	}
	if !utf8.ValidRune(r) {
		return 0
	}
	return r
}
