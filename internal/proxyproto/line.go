package proxyproto

import (
	"bytes"
	"net/netip"
)

// Version 1, section 2.1: a line of text.

const (
	// maxLine is how long a line may be, CRLF and all.
	maxLine   = 107
	beginning = "PROXY "
)

func parseLine(b []byte) (h Header, n int, err *Error) {
	if !begins(b, beginning) {
		return Header{}, 0, errNone
	}
	line := b[:min(len(b), maxLine)]
	end := bytes.IndexByte(line, '\n')
	switch cr := bytes.IndexByte(line, '\r'); {
	case end >= 0 && (cr < 0 || cr != end-1), end < 0 && cr >= 0 && cr != len(line)-1:
		return Header{}, 0, errEnd
	case end < 0 && len(line) == maxLine:
		return Header{}, 0, errLine
	case end < 0:
		return Header{}, 0, nil
	}
	h.Version = 1
	family, rest, more := bytes.Cut(line[len(beginning):end-1], space)
	six := false
	switch string(family) {
	case "UNKNOWN": // whatever follows counts for nothing
		h.Kind = Unknown
		return h, end + 1, nil
	case "TCP4":
	case "TCP6":
		six = true
	default:
		return Header{}, 0, errFamily
	}
	if !more {
		return Header{}, 0, errParts
	}
	h.Kind = TCP
	if h.Source, h.Destination, err = endpoints(rest, six); err != nil {
		return Header{}, 0, err
	}
	return h, end + 1, nil
}

var space = []byte{' '}

func endpoints(b []byte, six bool) (src, dst netip.AddrPort, err *Error) {
	a1, b, ok1 := bytes.Cut(b, space)
	a2, b, ok2 := bytes.Cut(b, space)
	p1, p2, ok3 := bytes.Cut(b, space)
	if !ok1 || !ok2 || !ok3 || bytes.IndexByte(p2, ' ') >= 0 {
		return src, dst, errParts
	}
	from, ok1 := address(a1, six)
	to, ok2 := address(a2, six)
	if !ok1 || !ok2 {
		return src, dst, errAddress
	}
	fromPort, ok1 := decimal(p1, 65535)
	toPort, ok2 := decimal(p2, 65535)
	if !ok1 || !ok2 {
		return src, dst, errPort
	}
	return netip.AddrPortFrom(from, uint16(fromPort)), netip.AddrPortFrom(to, uint16(toPort)), nil
}

// decimal reads a number without heading zeros.
func decimal(b []byte, most int) (v int, ok bool) {
	if len(b) == 0 || len(b) > 5 || b[0] == '0' && len(b) > 1 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		v = v*10 + int(c-'0')
	}
	return v, v <= most
}

func address(b []byte, six bool) (netip.Addr, bool) {
	if six {
		a, ok := address6(b)
		return netip.AddrFrom16(a).Unmap(), ok
	}
	a, ok := address4(b)
	return netip.AddrFrom4(a), ok
}

// netip.ParseAddr would do, but for its string, which it may keep in an error: an allocation for each address.

func address4(b []byte) (a [4]byte, ok bool) {
	for i := range a {
		part, rest, more := bytes.Cut(b, dot)
		v, ok := decimal(part, 255)
		if !ok || more != (i < 3) {
			return a, false
		}
		a[i], b = byte(v), rest
	}
	return a, true
}

var dot = []byte{'.'}

// address6 reads an IPv6 address without a zone. Its last 32 bits may be written as an IPv4 address, as systems write one that is
// mapped, though the specification knows only hexadecimal digits.
func address6(b []byte) (a [16]byte, ok bool) {
	at, gap := 0, -1
	if len(b) >= 2 && b[0] == ':' && b[1] == ':' {
		gap, b = 0, b[2:]
	}
	for len(b) > 0 {
		if at == len(a) {
			return a, false
		}
		v, digits := 0, 0
		for digits < len(b) && digits < 5 {
			d := hex(b[digits])
			if d < 0 {
				break
			}
			v = v<<4 | d
			digits++
		}
		if digits < len(b) && b[digits] == '.' && at <= len(a)-4 {
			four, ok := address4(b)
			if !ok {
				return a, false
			}
			copy(a[at:], four[:])
			at, b = at+4, nil
			break
		}
		if digits == 0 || digits > 4 {
			return a, false
		}
		a[at], a[at+1] = byte(v>>8), byte(v)
		at, b = at+2, b[digits:]
		if len(b) == 0 {
			break
		}
		if b[0] != ':' || len(b) == 1 {
			return a, false
		}
		if b = b[1:]; b[0] == ':' {
			if gap >= 0 {
				return a, false
			}
			gap, b = at, b[1:]
		}
	}
	switch {
	case gap < 0:
		return a, at == len(a)
	case at == len(a):
		return a, false // "::" stands for something
	}
	moved := at - gap
	copy(a[len(a)-moved:], a[gap:at])
	clear(a[gap : len(a)-moved])
	return a, true
}

func hex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
