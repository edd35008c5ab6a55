package route

import "bytes"

// canonical appends a path in the form that conditions see: every escape decoded but %2F and %25, whose hex digits
// are written in upper case. A "%" that begins no escape is written %25, so that a pattern may hold a bare one.
func canonical(dst, path []byte) []byte {
	for i := 0; i < len(path); i++ {
		if path[i] != '%' {
			dst = append(dst, path[i])
			continue
		}
		c, ok := escape(path[i:])
		switch {
		case !ok:
			dst = append(dst, "%25"...)
			continue
		case c == '/':
			dst = append(dst, "%2F"...)
		case c == '%':
			dst = append(dst, "%25"...)
		default:
			dst = append(dst, c)
		}
		i += 2
	}
	return dst
}

// cutPrefix removes a canonical prefix from a path that is not canonical, at the end of a segment; ok is false when
// the path does not have it. The rest is empty or begins with "/".
func cutPrefix(path []byte, prefix string) (rest []byte, ok bool) {
	for i := 0; i < len(prefix); {
		if len(path) == 0 {
			return nil, false
		}
		c, n := path[0], 1
		if e, ok := escape(path); ok {
			if c, n = e, 3; c == '/' || c == '%' {
				// Canonical text keeps these two as three bytes.
				if len(prefix)-i < 3 || prefix[i] != '%' || prefix[i+1] != '2' || prefix[i+2] != "F5"[b2i(c == '%')] {
					return nil, false
				}
				path, i = path[3:], i+3
				continue
			}
		}
		if c != prefix[i] {
			return nil, false
		}
		path, i = path[n:], i+1
	}
	return path, len(path) == 0 || path[0] == '/'
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Bytes that may stand in a path as they are: pchar of RFC 3986, section 3.3, and "/".
var pathByte = byteSet("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@/")

// Of these, the ones that mean the same escaped or not (RFC 3986, section 2.3).
var unreserved = byteSet("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")

func byteSet(s string) (set [256]bool) {
	for i := range len(s) {
		set[s[i]] = true
	}
	return set
}

// tidy appends any bytes as a valid normalised path: it begins with "/", has only what a path may hold, no dot
// segment, no doubled slash, and no escape of an unreserved character.
func tidy(dst, path []byte) []byte {
	start := len(dst)
	dst = append(dst, '/')
	dst = appendPath(dst, path)
	return dst[:start+len(dropDots(dst[start:]))]
}

// appendPath appends a path with everything escaped that may not stand in one.
func appendPath(dst, path []byte) []byte {
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c == '%' {
			if e, ok := escape(path[i:]); ok {
				i += 2
				if unreserved[e] {
					dst = append(dst, e)
				} else {
					dst = appendEscape(dst, e)
				}
				continue
			}
		}
		if pathByte[c] {
			dst = append(dst, c)
		} else {
			dst = appendEscape(dst, c)
		}
	}
	return dst
}

func appendEscape(dst []byte, c byte) []byte {
	const hex = "0123456789ABCDEF"
	return append(dst, '%', hex[c>>4], hex[c&15])
}

// dropDots removes dot segments (RFC 3986, section 5.2.4) and doubled slashes, in place. A dot segment with a
// parameter ("..;a") counts as one, since some servers take it for one.
func dropDots(p []byte) []byte {
	out := p[:0]
	for i := 0; i < len(p); {
		i++ // the "/" that each segment begins with
		n := bytes.IndexByte(p[i:], '/')
		last := n < 0
		if last {
			n = len(p) - i
		}
		seg := p[i : i+n]
		i += n
		dots := dotSegment(seg)
		switch {
		case dots == 2:
			out = out[:max(0, bytes.LastIndexByte(out, '/'))]
		case dots == 0 && n > 0:
			out = append(append(out, '/'), seg...)
			continue
		}
		if last {
			out = append(out, '/')
		}
	}
	return out
}

// dotSegment returns 1 for ".", 2 for "..", else 0.
func dotSegment(seg []byte) int {
	if i := bytes.IndexByte(seg, ';'); i >= 0 {
		seg = seg[:i]
	}
	switch string(seg) {
	case ".":
		return 1
	case "..":
		return 2
	}
	return 0
}
