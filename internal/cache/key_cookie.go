package cache

import (
	"bytes"

	"github.com/weirhq/weir/internal/message"
)

// cookies goes over the cookies of a request, pair by pair (RFC 6265, section 4.2.1), in all Cookie lines: HTTP/2
// clients send one line for each.
type cookies struct {
	f    *message.Fields
	i    int    // the next line
	rest []byte // of the line being read
}

// next returns a pair without the white space around it, and its name. A pair without "=" is a name to some
// applications: it counts as one.
func (c *cookies) next() (pair, name []byte, ok bool) {
	for {
		for len(c.rest) == 0 {
			for c.i < len(c.f.List) && c.f.List[c.i].ID != message.Cookie {
				c.i++
			}
			if c.i >= len(c.f.List) {
				return nil, nil, false
			}
			c.rest = c.f.List[c.i].Value
			c.i++
		}
		pair = c.rest
		if i := bytes.IndexByte(c.rest, ';'); i >= 0 {
			pair, c.rest = c.rest[:i], c.rest[i+1:]
		} else {
			c.rest = nil
		}
		if pair = trimSpace(pair); len(pair) == 0 {
			continue
		}
		name = pair
		if i := bytes.IndexByte(pair, '='); i >= 0 {
			name = trimSpace(pair[:i])
		}
		return pair, name, true
	}
}

func trimSpace(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

func oneOf(list []string, b []byte) bool {
	for _, s := range list {
		if s == string(b) {
			return true
		}
	}
	return false
}

// judgeCookies finds out what the cookies of a request mean. What is part of the key or makes the request pass is never
// ignored. parts says that some are part of the key.
func (k *Keyer) judgeCookies(f *message.Fields, r *KeyedRequest) (pass Pass, parts bool) {
	if !k.readsCookies {
		r.Cookies = true
		return NoPass, false
	}
	c := cookies{f: f}
	for {
		_, name, ok := c.next()
		switch {
		case !ok:
			return NoPass, parts
		case k.passCookies.Match(name):
			return PassCookie, parts
		case oneOf(k.private, name), oneOf(k.cookieParts, name):
			parts = true
		case k.ignoreCookies.Match(name):
			r.Hides = true
		default:
			r.Cookies = true
		}
	}
}

// appendCookieParts appends the cookies that are part of the key: in the order of the policy, so that the order in
// which a client sends them does not matter, and every one of a name, since applications differ in which they take.
func (k *Keyer) appendCookieParts(dst []byte, f *message.Fields, r *KeyedRequest) []byte {
	for i, want := range k.private {
		dst = appendCookiePart(dst, partPrivate, byte(i), want, f)
		r.Private = r.Private || k.identifies(f, want)
	}
	for i, want := range k.cookieParts {
		dst = appendCookiePart(dst, partCookie, byte(i), want, f)
	}
	return dst
}

func appendCookiePart(dst []byte, kind, number byte, want string, f *message.Fields) []byte {
	c := cookies{f: f}
	for {
		pair, name, ok := c.next()
		if !ok {
			return dst
		}
		if string(name) == want {
			dst = appendPart(append(dst, kind, number), kind, pair)
		}
	}
}

// identifies reports whether a session cookie has a value: an empty one, as some apps leave behind after a logout, is many
// visitors'.
func (k *Keyer) identifies(f *message.Fields, want string) bool {
	c := cookies{f: f}
	for {
		pair, name, ok := c.next()
		if !ok {
			return false
		}
		if string(name) == want && len(cookieValue(pair)) > 0 {
			return true
		}
	}
}

// cookieValue is what stands behind the first "=" of a pair, without white space and quotes.
func cookieValue(pair []byte) []byte {
	_, value, _ := bytes.Cut(pair, []byte{'='})
	return bytes.Trim(value, " \t\"")
}

// Renews reports whether a response sets a session cookie to another value than its request had: what it says is then for whom
// the new one is for.
func (k *Keyer) Renews(req, resp *message.Fields) bool {
	if len(k.private) == 0 || !resp.Has(message.SetCookie) {
		return false
	}
	for i := range resp.List {
		l := &resp.List[i]
		if l.ID != message.SetCookie {
			continue
		}
		pair, _, _ := bytes.Cut(l.Value, []byte{';'})
		name, _, _ := bytes.Cut(pair, []byte{'='})
		if name = trimSpace(name); oneOf(k.private, name) && !hasCookie(req, name, cookieValue(pair)) {
			return true
		}
	}
	return false
}

func hasCookie(f *message.Fields, want, value []byte) bool {
	c := cookies{f: f}
	for {
		pair, name, ok := c.next()
		if !ok {
			return false
		}
		if bytes.Equal(name, want) && bytes.Equal(cookieValue(pair), value) {
			return true
		}
	}
}

// AppendCookies appends the value of the Cookie field that the app gets when the cache fetches: all but what is ignored.
// Nothing appended means that the app gets no such field. A request that passes is sent with all its cookies instead.
func (k *Keyer) AppendCookies(dst []byte, f *message.Fields) []byte {
	from := len(dst)
	c := cookies{f: f}
	for {
		pair, name, ok := c.next()
		if !ok {
			return dst
		}
		if k.ignoreCookies.Match(name) && !oneOf(k.private, name) && !oneOf(k.cookieParts, name) && !k.passCookies.Match(name) {
			continue
		}
		if len(dst) > from {
			dst = append(dst, "; "...)
		}
		dst = append(dst, pair...)
	}
}
