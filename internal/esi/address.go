package esi

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
)

// An Address is where a document came from or a fragment is to be had. Its slices belong to whoever made it.
type Address struct {
	Scheme string // "http" or "https"
	Host   []byte // in lower case, with ":port" unless that is the scheme's own
	Target []byte // path and query: begins with "/", has no dot segments, no fragment, no byte that a request line must not have
}

// Hosts are the hosts that fragments may be asked of, besides the host of the page itself. It is immutable.
type Hosts struct {
	exact    map[string]bool
	suffixes []string // ".example.com"
}

// NewHosts returns a set of hosts. Each is a name or an IP address, with ":port" unless it is the scheme's own;
// "*.example.com" stands for every name below example.com, though not for example.com.
func NewHosts(names []string) *Hosts {
	h := &Hosts{exact: map[string]bool{}}
	for _, n := range names {
		n = strings.ToLower(n)
		if rest, ok := strings.CutPrefix(n, "*."); ok {
			h.suffixes = append(h.suffixes, "."+rest)
		} else {
			h.exact[n] = true
		}
	}
	return h
}

// Allowed reports whether fragments may be asked of a host, written as Address has it. A nil set allows none.
func (h *Hosts) Allowed(host []byte) bool {
	if h == nil {
		return false
	}
	if h.exact[string(host)] {
		return true
	}
	for _, s := range h.suffixes {
		if len(host) > len(s) && string(host[len(host)-len(s):]) == s {
			return true
		}
	}
	return false
}

// Errors of Resolve.
var (
	ErrAddress = errors.New("address of a fragment cannot be read")
	ErrScheme  = errors.New("address of a fragment is neither http nor https")
	ErrHost    = errors.New("host of a fragment is not among those allowed")
)

// mostTarget bounds what a relative address and its base make together.
const mostTarget = 8 << 10

// Resolve returns the address that a fragment's src or alt names in a document that came from parent (RFC 3986,
// section 5.2). It appends to buf, which may be nil, what the address's slices then point into, and returns buf grown: the
// address lives as long as that. The host of parent is always allowed, others if hosts has them.
//
// A src is the application's word, but often has a user's in it: a host is compared only after it was read strictly,
// and bytes that could end a request line are refused.
func Resolve(buf []byte, parent Address, src []byte, hosts *Hosts) (Address, []byte, error) {
	src, _, _ = bytes.Cut(src, []byte("#"))
	src = bytes.Trim(src, " \t\r\n\f")
	if len(src) == 0 {
		return Address{}, buf, ErrAddress
	}
	for _, c := range src {
		if c < 0x20 || c == 0x7f {
			return Address{}, buf, ErrAddress
		}
	}
	to := Address{Scheme: parent.Scheme, Host: parent.Host}
	base := len(buf)
	if scheme, rest, ok := cutScheme(src); ok {
		switch {
		case equalFold(scheme, "http"):
			to.Scheme = "http"
		case equalFold(scheme, "https"):
			to.Scheme = "https"
		default:
			return Address{}, buf, ErrScheme
		}
		if !hasPrefix(rest, "//") {
			return Address{}, buf, ErrAddress
		}
		src = rest
	}
	path := parent.Target
	if hasPrefix(src, "//") {
		end := bytes.IndexAny(src[2:], "/?")
		if end < 0 {
			end = len(src) - 2
		}
		host := src[2 : 2+end]
		src = src[2+end:]
		var ok bool
		if buf, ok = appendHost(buf, host, to.Scheme); !ok {
			return Address{}, buf[:base], ErrAddress
		}
		to.Host = buf[base:]
		if !bytes.Equal(to.Host, parent.Host) && !hosts.Allowed(to.Host) {
			return Address{}, buf[:base], ErrHost
		}
		path = []byte("/")
	}
	start := len(buf)
	buf = appendTarget(buf, path, src)
	if len(buf)-start > mostTarget {
		return Address{}, buf[:base], ErrAddress
	}
	// The buffer may have moved: point into where it is now.
	if start > base {
		to.Host = buf[base:start:start]
	}
	to.Target = buf[start:len(buf):len(buf)]
	return to, buf, nil
}

// cutScheme splits a reference at the colon after its scheme (RFC 3986, section 3.1).
func cutScheme(b []byte) (scheme, rest []byte, ok bool) {
	for i, c := range b {
		switch {
		case 'a' <= c|0x20 && c|0x20 <= 'z':
		case i > 0 && ('0' <= c && c <= '9' || c == '+' || c == '-' || c == '.'):
		case i > 0 && c == ':':
			return b[:i], b[i+1:], true
		default:
			return nil, b, false
		}
	}
	return nil, b, false
}

func equalFold(b []byte, lower string) bool {
	if len(b) != len(lower) {
		return false
	}
	for i := range b {
		if b[i]|0x20 != lower[i] {
			return false
		}
	}
	return true
}

// appendHost appends an authority in the form of Address.Host. User information is refused: it is only ever there to
// make one host look like another.
func appendHost(dst, b []byte, scheme string) ([]byte, bool) {
	name, port := b, []byte(nil)
	if i := bytes.LastIndexByte(b, ':'); i >= 0 && bytes.IndexByte(b[i:], ']') < 0 {
		name, port = b[:i], b[i+1:]
	}
	if len(name) == 0 || len(name) > 255 {
		return dst, false
	}
	v6 := name[0] == '['
	if v6 && (len(name) < 4 || name[len(name)-1] != ']') {
		return dst, false
	}
	for i, c := range name {
		switch {
		case 'A' <= c && c <= 'Z':
			c |= 0x20
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '.', c == '-' && !v6, c == '_' && !v6:
		case v6 && (c == ':' || c == '[' && i == 0 || c == ']' && i == len(name)-1):
		default:
			return dst, false
		}
		dst = append(dst, c)
	}
	if len(port) == 0 {
		return dst, true
	}
	n, err := strconv.ParseUint(string(port), 10, 16)
	if err != nil || n == 0 {
		return dst, false
	}
	if scheme == "http" && n == 80 || scheme == "https" && n == 443 {
		return dst, true
	}
	return strconv.AppendUint(append(dst, ':'), n, 10), true
}

// appendTarget appends path and query of a reference without authority, relative to a base (RFC 3986, section 5.2.2
// and the ones after it).
func appendTarget(dst, base, ref []byte) []byte {
	path, query, asked := bytes.Cut(ref, []byte("?"))
	dir, _, _ := bytes.Cut(base, []byte("?"))
	start := len(dst)
	switch {
	case len(path) == 0:
		path, dir = dir, nil
	case path[0] == '/':
		dir = nil
	default:
		dir = dir[:bytes.LastIndexByte(dir, '/')+1]
	}
	if len(dir) == 0 && (len(path) == 0 || path[0] != '/') {
		dst = append(dst, '/')
	}
	dst = appendEscaped(dst, dir)
	dst = appendEscaped(dst, path)
	dst = dst[:start+removeDots(dst[start:])]
	if asked {
		dst = appendEscaped(append(dst, '?'), query)
	}
	return dst
}

// appendEscaped appends bytes, those escaped that RFC 3986 allows nowhere in a path or query. Browsers do the same.
func appendEscaped(dst, b []byte) []byte {
	const hex = "0123456789ABCDEF"
	for _, c := range b {
		if c <= ' ' || c >= 0x7f || strings.IndexByte("\"#<>\\^`{|}", c) >= 0 {
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

// removeDots removes the segments . and .. from a path that begins with / (RFC 3986, section 5.2.4), in place, and
// returns its new length. Their escaped forms are segments of that meaning too (section 6.2.2.2).
func removeDots(b []byte) int {
	n := 0
	for i := 0; i < len(b); {
		end := bytes.IndexByte(b[i+1:], '/')
		if end < 0 {
			end = len(b)
		} else {
			end += i + 1
		}
		last := end == len(b)
		switch dots(b[i+1 : end]) {
		case 1:
			if last {
				b[n] = '/'
				n++
			}
		case 2:
			n = max(0, bytes.LastIndexByte(b[:n], '/'))
			if last {
				b[n] = '/'
				n++
			}
		default:
			n += copy(b[n:], b[i:end])
		}
		i = end
	}
	return n
}

// dots returns how many dots a segment is made of and nothing else: 1, 2, or 0 for an ordinary segment.
func dots(segment []byte) int {
	n := 0
	for len(segment) > 0 {
		switch {
		case segment[0] == '.':
			segment = segment[1:]
		case len(segment) >= 3 && segment[0] == '%' && segment[1] == '2' && segment[2]|0x20 == 'e':
			segment = segment[3:]
		default:
			return 0
		}
		if n++; n > 2 {
			return 0
		}
	}
	return n
}
