package cache

import (
	"github.com/weirhq/weir/internal/exchange"
	"github.com/weirhq/weir/internal/message"
)

// KeyedRequest is what a Keyer found out about a request. It is reused from request to request by the task that owns
// it, so that a key costs no allocation, and is valid until the next one or until the request's buffer goes.
type KeyedRequest struct {
	Key  Key
	Pass Pass // why the request neither uses nor fills the cache; NoPass: it does both

	// Private: the key holds the value of a session cookie, so the object is this visitor's own.
	Private bool
	// Cookies: the app gets cookies that are no part of the key. What it answers may be stored when it says so itself
	// (public, s-maxage), not because a policy gives a life to what says nothing.
	Cookies bool
	// Hides: when the cache fetches, the app must not get all that the client sent: Keyer.Withholds says which fields, and
	// AppendCookies what of the Cookie field is left.
	Hides bool
	// Device is the class of the client, "" when no rule fits or there are none.
	Device string

	text  []byte // what was hashed: parts, each with its kind and length, then the query
	base  int    // how much of it comes before the query
	canon int    // where the query begins in text
	asked bool   // the query in text is there at all
}

// CopyFrom makes r what from is, in memory of its own.
func (r *KeyedRequest) CopyFrom(from *KeyedRequest) {
	text := append(r.text[:0], from.text...)
	*r = *from
	r.text = text
}

// Query returns the query that the app gets when the cache fetches: without what is ignored, in the order that the
// policy says. has is false when the request target has no "?". The slice is the KeyedRequest's. A request that passes
// is sent with its own query.
func (r *KeyedRequest) Query() (query []byte, has bool) {
	if r.Pass != NoPass {
		return nil, false
	}
	return r.text[r.canon:], r.asked
}

// AppendTarget appends the path of the request and the query that the app gets: what a purge of the URL names (ban.URL), and
// what a stored object is checked with against purges. It is for requests that do not pass.
func (r *KeyedRequest) AppendTarget(dst []byte, x *exchange.Exchange) []byte {
	dst = append(dst, x.Req.Path...)
	if query, has := r.Query(); has {
		dst = append(append(dst, '?'), query...)
	}
	return dst
}

// AppendDevice appends the field line that tells the app the class of the client; nothing when the policy has no classes.
func (k *Keyer) AppendDevice(dst []byte, f *message.Fields) []byte {
	if len(k.devices) == 0 {
		return dst
	}
	dst = append(dst, "X-Device: "...)
	return append(append(dst, k.device(f.Get(message.UserAgent))...), "\r\n"...)
}

// DeviceField is the field with the class of a client, in lower case. What clients themselves say in it counts for nothing.
const DeviceField = "x-device"

// TellsDevice reports whether the policy has classes of devices.
func (k *Keyer) TellsDevice() bool { return len(k.devices) > 0 }

// AppendTarget appends a path and what of a query the app gets: so a stored response and a purge name one URL.
func (k *Keyer) AppendTarget(dst, path, query []byte, has bool) []byte {
	dst = append(dst, path...)
	if !has {
		return dst
	}
	bare := len(dst)
	dst = append(dst, '?')
	if !k.filters {
		return append(dst, query...)
	}
	if dst = k.appendCanonical(dst, query); len(dst) == bare+1 {
		return dst[:bare]
	}
	return dst
}

// Splits reports whether one URL may have several keys, by what else a request says.
func (k *Keyer) Splits() bool {
	return len(k.scope)+len(k.headers)+len(k.devices)+len(k.private)+len(k.cookieParts) > 0
}

// The kinds of parts of a key. Together with its length each part is unambiguous: no two different lists of parts are
// the same bytes.
const (
	partScope     = 's'
	partScheme    = 'p'
	partHost      = 'h'
	partPort      = 'o'
	partPath      = '/'
	partHeader    = 'f' // the number of the name, then one part for each line
	partCookie    = 'c'
	partPrivate   = 'C'
	partDevice    = 'd'
	partForwarded = 'w'
	partQuery     = '?'
	partNoQuery   = '-'
)

func appendPart[T []byte | string](dst []byte, kind byte, value T) []byte {
	n := len(value)
	dst = append(dst, kind, byte(n), byte(n>>8), byte(n>>16), byte(n>>24))
	return append(dst, value...)
}

// Key makes the key of a request, of its path before any rewriting. r is overwritten. When the request passes, Key is
// not set.
func (k *Keyer) Key(x *exchange.Exchange, r *KeyedRequest) {
	text := r.text[:0]
	*r = KeyedRequest{text: text}
	q := &x.Req
	if r.Pass, r.Hides = k.hazard(x); r.Pass != NoPass {
		return
	}
	if len(k.scope) > 0 {
		text = appendPart(text, partScope, k.scope)
	}
	secure := x.Scheme == "https"
	if !k.anyScheme {
		text = append(text, partScheme, scheme(secure))
	}
	text = appendPart(text, partHost, q.Host)
	if port := portOf(q.Port, secure); len(port) > 0 {
		text = appendPart(text, partPort, port)
	}
	text = appendPart(text, partPath, q.Path)
	for i := range k.headers {
		text = k.headers[i].append(text, byte(i), &q.Fields)
	}
	if x.Trusted {
		text = k.appendForwarded(text, &q.Fields)
	}
	if len(k.devices) > 0 {
		r.Device = k.device(q.Fields.Get(message.UserAgent))
		text = appendPart(text, partDevice, r.Device)
	}
	if q.Fields.Has(message.Cookie) {
		var parts bool
		if r.Pass, parts = k.judgeCookies(&q.Fields, r); r.Pass != NoPass {
			r.text = text
			return
		}
		if parts {
			text = k.appendCookieParts(text, &q.Fields, r)
		}
	}
	r.base = len(text)
	r.text = k.appendQuery(text, q, r)
	r.Key = k.seed.hash(r.text)
}

func scheme(secure bool) byte {
	if secure {
		return 1
	}
	return 0
}

// portOf returns a port that is not the scheme's own: "example.com:80" is "example.com", but an app that is asked for
// "example.com:1337" may write that into its links.
func portOf(port []byte, secure bool) []byte {
	if secure && string(port) == "443" || !secure && string(port) == "80" {
		return nil
	}
	return port
}

// append appends all lines of the field, in order.
func (h *headerPart) append(dst []byte, number byte, f *message.Fields) []byte {
	if h.id != message.Other && !f.Has(h.id) {
		return dst
	}
	for i := range f.List {
		l := &f.List[i]
		if l.ID == h.id && (h.id != message.Other || message.EqualFold(l.Name, h.name)) {
			dst = appendPart(append(dst, partHeader, number), partHeader, l.Value)
		}
	}
	return dst
}

// appendQuery ends the text of a key with the query that the app gets.
func (k *Keyer) appendQuery(dst []byte, q *message.Request, r *KeyedRequest) []byte {
	if !q.HasQuery {
		r.canon = len(dst) + 1
		return append(dst, partNoQuery)
	}
	dst = append(dst, partQuery)
	r.canon = len(dst)
	if !k.filters {
		r.asked = true
		return append(dst, q.Query...)
	}
	dst = k.appendCanonical(dst, q.Query)
	if len(dst) > r.canon {
		r.asked = true
		return dst
	}
	// A query of which nothing is left is none: "/?utm_source=a" and "/" are one.
	dst[r.canon-1] = partNoQuery
	return dst
}
