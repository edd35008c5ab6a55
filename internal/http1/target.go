package http1

import (
	"bytes"

	"github.com/weirhq/weir/internal/message"
)

// Nobody writes to these.
var (
	rootPath     = []byte("/")
	asteriskPath = []byte("*")
)

// target is what the request line's target was found to be, before anything is rewritten.
type target struct {
	authority  authority
	path       int  // where the path begins in Target
	queryMark  int  // where "?" is in Target, -1 when there is none
	unclean    bool // the path is not in normal form
	https      bool
	hasOwnHost bool
}

// parse judges req.Target by its form (RFC 9112, section 3.2).
func (t *target) parse(req *message.Request) fault {
	text := req.Target
	t.queryMark = -1
	switch {
	case req.Method == message.CONNECT:
		if !authorityForm(text) {
			return badTarget
		}
		return connect
	case text[0] == '/':
		req.Form = message.OriginForm
	case len(text) == 1 && text[0] == '*':
		req.Form = message.AsteriskForm
		return none
	default:
		req.Form = message.AbsoluteForm
		if f := t.absolute(text); f != none {
			return f
		}
	}
	t.queryMark = bytes.IndexByte(text, '?')
	path := text[t.path:]
	if t.queryMark >= 0 {
		path = text[t.path:t.queryMark]
	}
	return t.judge(path)
}

// absolute finds scheme and authority of an absolute-form target.
func (t *target) absolute(text []byte) fault {
	i := bytes.Index(text, []byte("://"))
	if i < 0 {
		return badTarget
	}
	switch scheme := text[:i]; {
	case message.EqualFold(scheme, "http"):
	case message.EqualFold(scheme, "https"):
		t.https = true
	default:
		return badScheme
	}
	from := i + 3
	to := len(text)
	if end := bytes.IndexAny(text[from:], "/?"); end >= 0 {
		to = from + end
	}
	var f fault
	t.authority, f = parseAuthority(text[from:to])
	t.hasOwnHost = true
	t.path = to
	return f
}

// judge checks the bytes of a path as received and finds out whether it has to be normalised.
func (t *target) judge(path []byte) fault {
	for i := 0; i < len(path); i++ {
		c := path[i]
		if class[c]&pathByte == 0 {
			return badPathByte
		}
		switch c {
		case '%':
			if i+2 >= len(path) || class[path[i+1]]&class[path[i+2]]&hexDigit == 0 {
				return badPercent
			}
			t.unclean = true
		case '\\':
			t.unclean = true
		case '/':
			if i+1 < len(path) && (path[i+1] == '/' || path[i+1] == '.') {
				t.unclean = true
			}
		}
	}
	if t.unclean && climbs(path) {
		return aboveRoot
	}
	return none
}

// climbs reports whether dot segments lead above the root. RFC 3986, section 5.2.4 lets them end there; but no client
// sends them (URLs are resolved before), so it is somebody probing.
func climbs(path []byte) bool {
	depth := 0
	for len(path) > 0 {
		seg := path[1:]
		end := bytes.IndexByte(seg, '/')
		if end < 0 {
			end = len(seg)
		}
		switch dots, rest := leadingDots(seg[:end]); {
		case end == 0, dots == 1 && rest == end:
		case dots == 2 && rest == end:
			if depth--; depth < 0 {
				return true
			}
		default:
			depth++
		}
		path = seg[end:]
	}
	return false
}

// leadingDots counts the dots, also encoded ones, that a segment begins with, and how many bytes they take; three is
// as good as more.
func leadingDots(seg []byte) (dots, size int) {
	for dots < 3 && size < len(seg) {
		switch {
		case seg[size] == '.':
			size++
		case seg[size] == '%' && seg[size+1] == '2' && seg[size+2]|0x20 == 'e':
			size += 3
		default:
			return dots, size
		}
		dots++
	}
	return dots, size
}

// route settles Host and Port, Path and Query. From here on b is rewritten, so every fault is found before.
func route(req *message.Request, s *section, t *target) fault {
	var a authority
	switch {
	case s.hosts > 1:
		return manyHosts
	case s.hosts == 1:
		var f fault
		if a, f = parseAuthority(s.host); f != none {
			return f
		}
		if t.hasOwnHost && !a.same(&t.authority, t.https) {
			return hostDiffers
		}
	case req.Minor == 1:
		return noHost // RFC 9112, section 3.2
	}
	if s.hosts == 1 {
		value := a.normalise()
		for i := range req.Fields.List {
			if req.Fields.List[i].ID == message.Host {
				req.Fields.List[i].Value = value
			}
		}
	}
	if t.hasOwnHost {
		// RFC 9112, section 3.2.2: the target's authority goes before Host.
		a = t.authority
		lower(a.host)
	}
	req.Host, req.Port = a.host, a.port
	t.split(req)
	return none
}

// split takes Path and Query from Target, the path in normal form, and closes the gap when it got shorter: Target stays
// what Path and Query are parts of.
func (t *target) split(req *message.Request) {
	if req.Form == message.AsteriskForm {
		req.Path = req.Target
		return
	}
	text := req.Target
	end := len(text)
	if t.queryMark >= 0 {
		end = t.queryMark
		req.HasQuery = true
	}
	path := text[t.path:end]
	if t.unclean {
		path, req.Ambiguous = normalise(path)
	}
	if to := t.path + len(path); to < end {
		text = text[:to+copy(text[to:], text[end:])]
		req.Target = text[:len(text):len(text)]
		end = to
	}
	if req.HasQuery {
		req.Query = text[end+1 : len(text) : len(text)]
	}
	req.Path = path[:len(path):len(path)]
	if len(path) > 0 {
		return
	}
	req.Path = rootPath
	if req.Method == message.OPTIONS && !req.HasQuery {
		// RFC 9112, section 3.2.4: what a proxy was sent as "OPTIONS http://host" means the server itself.
		req.Form, req.Path = message.AsteriskForm, asteriskPath
	}
}

// normalise brings a path that judge has passed into normal form, in place, and tells what stays ambiguous: it decodes
// what needs no encoding and puts the hexadecimal digits of the rest in upper case (RFC 3986, section 6.2.2), merges
// slashes and removes dot segments.
func normalise(path []byte) ([]byte, message.Ambiguity) {
	path, amb := decode(path)
	w, trailing := 0, false
	for r := 0; r < len(path); {
		seg := path[r+1:]
		end := bytes.IndexByte(seg, '/')
		last := end < 0
		if last {
			end = len(seg)
		}
		seg = seg[:end]
		r += 1 + end
		dots, size := leadingDots(seg)
		switch {
		case end == 0, dots == 1 && size == end:
			trailing = last
		case dots == 2 && size == end:
			w = max(bytes.LastIndexByte(path[:w], '/'), 0)
			trailing = last
		default:
			if (dots == 1 || dots == 2) && (seg[size] == ';' || bytes.HasPrefix(seg[size:], []byte("%3B"))) {
				amb |= message.DotsWithParams
			}
			path[w] = '/'
			w += 1 + copy(path[w+1:], seg)
		}
	}
	if trailing || w == 0 && len(path) > 0 {
		path[w] = '/'
		w++
	}
	return path[:w], amb
}

func decode(path []byte) ([]byte, message.Ambiguity) {
	var amb message.Ambiguity
	w := 0
	for r := 0; r < len(path); r++ {
		c := path[r]
		switch c {
		case '\\':
			amb |= message.Backslash
		case '%':
			v := hexValue[path[r+1]]<<4 | hexValue[path[r+2]]
			if class[v]&unreserved == 0 {
				amb |= ambiguity(v) | overlong(path[r:], v)
				path[w], path[w+1], path[w+2] = '%', upper(path[r+1]), upper(path[r+2])
				w += 3
				r += 2
				continue
			}
			c = v
			r += 2
		}
		path[w] = c
		w++
	}
	return path[:w], amb
}

// ambiguity says what an encoded byte may be taken for.
func ambiguity(c byte) message.Ambiguity {
	switch {
	case c == 0:
		return message.EncodedNUL
	case c == '/':
		return message.EncodedSlash
	case c == '\\':
		return message.Backslash
	case c < 0x20 || c == 0x7f:
		return message.EncodedControl
	}
	return 0
}

// overlong looks for the over-long UTF-8 forms of ASCII (%C0%AF, %E0%80%AF, %F0%80%80%AF for "/", and the forms of five
// and six bytes that UTF-8 once had): nothing valid has them, and lax decoders take them for what they hide. lead is the
// byte that p begins with, encoded.
func overlong(p []byte, lead byte) message.Ambiguity {
	c, zeros := lead&1, 0 // the bits that the lead has, and how many bytes behind it must have none
	switch lead {
	case 0xc0, 0xc1:
	case 0xe0:
		zeros = 1
	case 0xf0:
		zeros = 2
	case 0xf8:
		zeros = 3
	case 0xfc:
		zeros = 4
	default:
		return 0
	}
	for p = p[3:]; ; p = p[3:] {
		if len(p) < 3 || p[0] != '%' || class[p[1]]&class[p[2]]&hexDigit == 0 {
			return 0
		}
		v := hexValue[p[1]]<<4 | hexValue[p[2]]
		if v&0xc0 != 0x80 {
			return 0
		}
		v &= 0x3f
		switch {
		case zeros == 0:
			if c = c<<6 | v; c == '.' {
				return message.DotsWithParams
			}
			return ambiguity(c)
		case zeros == 1 && v <= 1:
			c = v
		case v != 0:
			return 0
		}
		zeros--
	}
}

func upper(c byte) byte {
	if 'a' <= c && c <= 'z' {
		return c - ('a' - 'A')
	}
	return c
}
