package http1

import (
	"bytes"

	"github.com/weirhq/weir/internal/message"
)

const maxHost = 255 // bytes; the longest name in DNS has 253

// authority is a host with an optional port, as views into text.
type authority struct {
	text []byte
	host []byte // without one trailing dot
	port []byte // digits, empty when none is given
}

// parseAuthority takes uri-host [ ":" port ] (RFC 9110, section 7.2; RFC 3986, section 3.2.2) and refuses more than the
// grammar does: an empty host (RFC 9110, section 4.2.1), user information (section 4.2.4), percent-encoding and "," and "*"
// in a name (no name in use has them, "a,b" is read in two ways, "*" is our own word for any host), empty labels, zone
// identifiers and future versions of IP.
func parseAuthority(text []byte) (authority, fault) {
	a := authority{text: text}
	var end int
	if len(text) > 0 && text[0] == '[' {
		if end = bytes.IndexByte(text, ']') + 1; end == 0 || !isIPv6(text[1:end-1]) {
			return a, badHost
		}
		a.host = text[:end:end]
	} else {
		label := 0
		for end < len(text) && class[text[end]]&hostByte != 0 {
			if text[end] == '.' {
				if label == 0 {
					return a, badHost
				}
				label = 0
			} else {
				label++
			}
			end++
		}
		a.host = text[:end:end]
		if end > 0 && label == 0 {
			a.host = text[: end-1 : end-1]
		}
	}
	if len(a.host) == 0 || len(a.host) > maxHost {
		return a, badHost
	}
	if end == len(text) {
		return a, none
	}
	if text[end] != ':' || !isPort(text[end+1:]) {
		return a, badHost
	}
	a.port = text[end+1:]
	return a, none
}

func isPort(p []byte) bool {
	if len(p) > 5 {
		return false
	}
	n := 0
	for _, c := range p {
		if !isDigit(c) {
			return false
		}
		n = n*10 + int(c-'0')
	}
	return n <= 65535
}

// authorityForm reports whether a target is that of a well-formed CONNECT: host and port (RFC 9112, section 3.2.3).
func authorityForm(text []byte) bool {
	a, f := parseAuthority(text)
	return f == none && len(a.port) > 0
}

// same compares two authorities of one scheme.
func (a *authority) same(b *authority, https bool) bool {
	if !message.EqualFold(a.host, b.host) {
		return false
	}
	p, q := a.port, b.port
	if isDefaultPort(p, https) {
		p = nil
	}
	if isDefaultPort(q, https) {
		q = nil
	}
	return bytes.Equal(p, q)
}

func isDefaultPort(p []byte, https bool) bool {
	if https {
		return string(p) == "443"
	}
	return string(p) == "80"
}

// normalise puts the host in lower case and closes the gap of a trailing dot or an empty port, in place. It returns the
// whole.
func (a *authority) normalise() []byte {
	lower(a.host)
	if len(a.port) == 0 {
		return a.host
	}
	end := len(a.host)
	if a.text[end] == '.' {
		a.text[end] = ':'
		n := copy(a.text[end+1:], a.port)
		a.port = a.text[end+1 : end+1+n : end+1+n]
	}
	end += 1 + len(a.port)
	return a.text[:end:end]
}

func lower(b []byte) {
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
}

// isIPv6 reports whether s is an IPv6 address as RFC 3986, section 3.2.2 writes it.
func isIPv6(s []byte) bool {
	groups, gap, i := 0, false, 0
	if len(s) >= 2 && s[0] == ':' && s[1] == ':' {
		gap, i = true, 2
	}
	for i < len(s) {
		start := i
		for i < len(s) && class[s[i]]&hexDigit != 0 {
			i++
		}
		if i < len(s) && s[i] == '.' {
			groups += 2
			if !isIPv4(s[start:]) {
				return false
			}
			break
		}
		if i == start || i-start > 4 {
			return false
		}
		groups++
		if i == len(s) {
			break
		}
		if s[i] != ':' {
			return false
		}
		i++
		if i == len(s) {
			return false // a single colon at the end
		}
		if s[i] == ':' {
			if gap {
				return false
			}
			gap = true
			i++
		}
	}
	// "::" stands for at least one group.
	if gap {
		return groups < 8
	}
	return groups == 8
}

func isIPv4(s []byte) bool {
	for part := range 4 {
		n, i := 0, 0
		for i < len(s) && i < 3 && isDigit(s[i]) {
			n = n*10 + int(s[i]-'0')
			i++
		}
		if i == 0 || n > 255 || i > 1 && s[0] == '0' {
			return false
		}
		s = s[i:]
		if part == 3 {
			return len(s) == 0
		}
		if len(s) == 0 || s[0] != '.' {
			return false
		}
		s = s[1:]
	}
	return false
}
