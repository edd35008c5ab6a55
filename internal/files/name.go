package files

import "strings"

// A path of more bytes names no file on any system that weir runs on.
const maxName = 4096

// fileName turns a normalised path into a name under the root, without a "/" at its end. It takes no segment that
// begins with a dot, but for .well-known at the top (RFC 8615), and no escape that would make a separator or end a string.
func fileName(path []byte) (string, bool) {
	if len(path) == 0 || path[0] != '/' || len(path) > maxName {
		return "", false
	}
	var b strings.Builder
	b.Grow(len(path))
	for i := 1; i < len(path); i++ {
		c := path[i]
		if c == '/' {
			if path[i-1] == '/' {
				return "", false
			}
			if i < len(path)-1 {
				b.WriteByte('/')
			}
			continue
		}
		if c == '%' {
			var ok bool
			if c, ok = unescape(path[i:]); !ok {
				return "", false
			}
			i += 2
		}
		if c == 0 || c == '/' {
			return "", false
		}
		b.WriteByte(c)
	}
	name := b.String()
	for i, seg := range strings.Split(name, "/") {
		if strings.HasPrefix(seg, ".") && (i > 0 || seg != ".well-known") {
			return "", false
		}
	}
	if name == "" {
		return ".", true
	}
	return name, true
}

func unescape(b []byte) (byte, bool) {
	if len(b) < 3 {
		return 0, false
	}
	hi, lo := unhex(b[1]), unhex(b[2])
	return hi<<4 | lo&15, hi < 16 && lo < 16
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
