package http1

import (
	"encoding/binary"
	"math/bits"
)

// What a byte may be. One table look-up answers every question that a grammar asks of a byte.
const (
	tchar      uint8 = 1 << iota // RFC 9110, section 5.6.2
	odd                          // a tchar that is neither letter, digit nor "-"
	targetByte                   // may stand in a request target: visible ASCII but "#"
	pathByte                     // may stand in a path
	unreserved                   // RFC 3986, section 2.3
	hexDigit
	hostByte // may stand in a registered name: see authority
)

var class = func() (t [256]uint8) {
	for c := 0x21; c <= 0x7e; c++ {
		b := byte(c)
		switch {
		case '0' <= b && b <= '9', 'A' <= b && b <= 'Z', 'a' <= b && b <= 'z':
			t[c] = tchar | targetByte | pathByte | unreserved | hostByte
		default:
			t[c] = targetByte
		}
	}
	set := func(bytes string, bit uint8) {
		for i := range len(bytes) {
			t[bytes[i]] |= bit
		}
	}
	set("!#$%&'*+-.^_`|~", tchar)
	set("!#$%&'*+.^_`|~", odd)
	set("-._~", unreserved|hostByte)
	set("!$&'()+;=", hostByte)
	set("0123456789abcdefABCDEF", hexDigit)
	// RFC 3986 pchar and "/", then what browsers are known to send as it is (WHATWG URL, path percent-encode set),
	// then the backslash, which is told of as an ambiguity.
	set("-._~!$&'()*+,;=:@/%", pathByte)
	set("[]|^{}", pathByte)
	set(`\`, pathByte)
	t['#'] &^= targetByte
	return t
}()

var hexValue = func() (t [256]uint8) {
	for c := range t {
		switch b := byte(c); {
		case '0' <= b && b <= '9':
			t[c] = b - '0'
		case 'a' <= b && b <= 'f':
			t[c] = b - 'a' + 10
		case 'A' <= b && b <= 'F':
			t[c] = b - 'A' + 10
		}
	}
	return t
}()

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// control returns the index of the first control character (0x00-0x1f, 0x7f) of b from i on, len(b) when there is none.
// It looks at eight bytes at a time: a borrow can only mark bytes above a true hit, so the lowest mark is exact.
func control(b []byte, i int) int {
	for ; i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		del := x ^ 0x7f*ones
		if m := ((x-0x20*ones)&^x | (del-ones)&^del) & highs; m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
	}
	for i < len(b) && b[i] >= 0x20 && b[i] != 0x7f {
		i++
	}
	return i
}

func isDigit(c byte) bool { return c-'0' <= 9 }

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

// trim returns v without optional white space at its ends.
func trim(v []byte) []byte {
	for len(v) > 0 && isSpace(v[0]) {
		v = v[1:]
	}
	for len(v) > 0 && isSpace(v[len(v)-1]) {
		v = v[:len(v)-1]
	}
	return v
}

func isToken(v []byte) bool {
	for _, c := range v {
		if class[c]&tchar == 0 {
			return false
		}
	}
	return len(v) > 0
}
