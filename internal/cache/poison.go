package cache

import (
	"bytes"
	"strings"

	"github.com/weirhq/weir/internal/exchange"
	"github.com/weirhq/weir/internal/message"
)

// A shared cache is poisoned by input that the app heeds and the key does not hold: one client's odd request makes the
// response that all others get. Two rules stand against it:
//
//   - What the policy ignores the app does not get (KeyPolicy).
//   - What can change the meaning of a request beyond its URL (another host, path, scheme or method by a header, a GET
//     with a body) makes the request pass: the app answers it as ever, but the answer is for this client alone.
//
// Passing was chosen over dropping the fields: an app may have good use for them, and one that gets fewer fields than
// were sent fails in ways nobody can explain. What proxies say of the way to them is another matter. The edge drops
// X-Forwarded-Host, -Proto, -For and Forwarded of peers that are not trusted before any app sees them; the relatives of
// these are withheld in the same way when the cache fetches (Keyer.Withholds), so that a load balancer that nobody
// trusted does not turn the cache off. Of a trusted proxy all of them are part of the key. An absolute-form target whose
// host is not that of the Host field is refused by http1 before it comes here.

// Pass is the reason why a request neither uses nor fills the cache.
type Pass uint8

// The reasons.
const (
	NoPass             Pass = iota
	PassMethod              // neither GET nor HEAD
	PassTarget              // the target is not a path
	PassUpgrade             // the client wants another protocol
	PassBody                // a GET with a body: the app may heed what the key does not hold
	PassMethodOverride      // a field may make the app take the request for another method
	PassURLOverride         // a field may make the app answer for another URL
	PassHostOverride        // a field may make the app answer for another host
	PassConnection          // Connection names a field, which the app does not get then
	PassDisguised           // the name of a field may be taken for another one's
	PassHeader              // a field that the policy names
	PassCookie              // a cookie that the policy names
)

var passWords = [...]string{NoPass: "", PassMethod: "method", PassTarget: "target", PassUpgrade: "upgrade", PassBody: "body-in-get",
	PassMethodOverride: "method-override", PassURLOverride: "url-override", PassHostOverride: "host-override",
	PassConnection: "connection-names-field", PassDisguised: "disguised-field", PassHeader: "header", PassCookie: "cookie"}

// String returns one word for logs and the detail of Cache-Status (RFC 9211, section 2.8).
func (p Pass) String() string {
	if int(p) >= len(passWords) {
		return ""
	}
	return passWords[p]
}

// hazards are fields that some framework, server or plugin is known to heed.
var hazards = []struct {
	pass  Pass
	names []string
}{
	{PassMethodOverride, []string{"x-http-method-override", "x-http-method", "x-method-override"}},
	{PassURLOverride, []string{"x-original-url", "x-rewrite-url", "x-override-url", "x-original-uri", "x-request-uri",
		"request-uri", "base-url", "x-envoy-original-path", "x-invoke-path", "x-invoke-query", "x-now-route-matches", "x-matched-path",
		"x-middleware-prefetch", "x-middleware-rewrite", "x-middleware-subrequest", "x-invoke-status", "x-invoke-error", "x-invoke-output",
		"x-nextjs-data", "x-prerender-revalidate", "x-original-path", "x-script-name", "script-name", "x-accel-redirect"}},
	{PassHostOverride, []string{"x-host", "x-http-host-override", "x-http-host", "x-host-override", "x-remote-host"}},
	{forwarded, []string{"x-forwarded-path", "x-forwarded-prefix", "x-forwarded-uri", "x-forwarded-url", "x-original-host",
		"x-forwarded-server", "x-forwarded-port", "x-forwarded-scheme", "x-forwarded-protocol", "x-forwarded-ssl", "x-url-scheme",
		"x-scheme", "front-end-https"}},
}

// forwarded marks the fields that a proxy may set rightly.
const forwarded = NoPass

type hazard struct {
	name string // lower-case
	pass Pass
}

// hazardTable holds the names by their length, which tells most fields apart at once.
type hazardTable struct {
	byLength [32][]hazard
	first    [32]uint32 // by length, the first letters that there are, as bits: most fields go no further
	long     []hazard
	known    uint64 // message.IDs, as bits: fields that the policy names and weir knows
}

func newHazardTable(p *KeyPolicy) (t hazardTable) {
	keyed := map[string]bool{}
	for _, name := range p.HeaderParts {
		keyed[strings.ToLower(name)] = true
	}
	for _, h := range hazards {
		for _, name := range h.names {
			if !keyed[name] { // what is part of the key cannot poison
				t.add(hazard{name, h.pass})
			}
		}
	}
	for _, name := range p.PassIfHeader {
		if id := message.Lookup(name); id != message.Other {
			t.known |= 1 << id
			continue
		}
		t.add(hazard{strings.ToLower(name), PassHeader})
	}
	return t
}

func (t *hazardTable) add(h hazard) {
	if len(h.name) >= len(t.byLength) {
		t.long = append(t.long, h)
		return
	}
	t.byLength[len(h.name)] = append(t.byLength[len(h.name)], h)
	t.first[len(h.name)] |= 1 << (h.name[0] & 31)
}

// find returns the entry of a field that weir does not know by itself, nil when there is none.
func (t *hazardTable) find(name []byte) *hazard {
	list := t.long
	if n := len(name); n < len(t.byLength) {
		if n == 0 || t.first[n]&(1<<(name[0]&31)) == 0 {
			return nil
		}
		list = t.byLength[n]
	}
	for i := range list {
		if message.EqualFold(name, list[i].name) {
			return &list[i]
		}
	}
	return nil
}

// hazard returns why a request must pass, before its cookies are looked at. hides says that it has fields that are
// withheld when the cache fetches.
func (k *Keyer) hazard(x *exchange.Exchange) (pass Pass, hides bool) {
	q := &x.Req
	switch {
	case q.Method != message.GET && q.Method != message.HEAD:
		return PassMethod, false
	case q.Form == message.AsteriskForm || len(q.Path) == 0 || q.Path[0] != '/':
		return PassTarget, false
	case q.Upgrade:
		return PassUpgrade, false
	case q.Body == message.Chunked || q.Body == message.ByLength && q.Length > 0 || q.Body == message.UntilClose:
		return PassBody, false // RFC 9110, section 9.3.1: content in a GET has no defined meaning, and some apps read it
	case q.Fields.Has(message.Connection) && namesField(&q.Fields):
		return PassConnection, false
	case q.Fields.Disguised && k.disguised(&q.Fields):
		return PassDisguised, false
	}
	for i := range q.Fields.List {
		l := &q.Fields.List[i]
		if l.ID != message.Other {
			if k.hazards.known&(1<<l.ID) != 0 {
				return PassHeader, false
			}
			continue
		}
		switch h := k.hazards.find(l.Name); {
		case h == nil:
		case h.pass != forwarded:
			return h.pass, false
		case !x.Trusted:
			hides = true
		}
	}
	return NoPass, hides
}

// disguised reports whether a field that is no part of the key has a name with something in it that is neither a letter nor
// a digit nor "-". Programs that get fields as environment variables (CGI, WSGI, Rack, PHP) read "X_Country" as "X-Country",
// which may be part of the key, select a variant, or be one of the hazards.
func (k *Keyer) disguised(f *message.Fields) bool {
	for i := range f.List {
		if l := &f.List[i]; l.ID == message.Other && odd(l.Name) && !k.keyed(l.Name) {
			return true
		}
	}
	return false
}

func odd(name []byte) bool {
	for _, c := range name {
		if c != '-' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return true
		}
	}
	return false
}

// keyed reports whether a field that weir does not know by itself is part of the key.
func (k *Keyer) keyed(name []byte) bool {
	for i := range k.headers {
		if message.EqualFold(name, k.headers[i].name) {
			return true
		}
	}
	return false
}

// Withholds reports whether a field line must not get to the app when the cache fetches for a request that Hides: the
// Cookie field, in whose place AppendCookies makes another, and what a peer that is not trusted says of the way to it.
func (k *Keyer) Withholds(l *message.Field, x *exchange.Exchange) bool {
	if l.ID != message.Other {
		return l.ID == message.Cookie
	}
	h := k.hazards.find(l.Name)
	return h != nil && h.pass == forwarded && !x.Trusted
}

// Provoked reports whether a client can provoke a final status by something that is not in the key: a field that is too
// large, ill-formed or not acceptable, or that a filter of the app's takes for an attack; credentials that are wrong, an
// address in the wrong country. Stored under a good URL it would be served to all. It may be stored only when the
// response itself says for how long, or a rule with force, never by another life that a policy gives.
func Provoked(status int) bool {
	switch status {
	case 400, 401, 403, 405, 406, 407, 408, 409, 411, 412, 413, 414, 415, 416, 417, 421, 422, 425, 426, 428, 429, 431, 451, 501, 505, 511:
		return true
	}
	return false
}

// namesField reports whether Connection names a field that the request has, beyond those that end at every hop anyway
// (RFC 9110, section 7.6.1). The app would answer a request without it, and the response would be stored for those who
// sent it.
func namesField(f *message.Fields) bool {
	for i := range f.List {
		if v := f.List[i].Value; f.List[i].ID != message.Connection || message.EqualFold(v, "keep-alive") || message.EqualFold(v, "close") {
			continue
		}
		for list := f.List[i].Value; len(list) > 0; {
			option := list
			if end := bytes.IndexByte(list, ','); end >= 0 {
				option, list = list[:end], list[end+1:]
			} else {
				list = nil
			}
			option = trimSpace(option)
			switch message.Lookup(option) {
			case message.KeepAlive, message.TE, message.Upgrade, message.ProxyConnection, message.Connection:
				continue
			}
			if message.EqualFold(option, "close") {
				continue
			}
			if _, there := f.Named(string(option)); there {
				return true
			}
		}
	}
	return false
}

// appendForwarded makes part of the key what a trusted proxy says of host, scheme and path, since the app is told it.
// For=, by= and X-Forwarded-For speak of the client and of the way: an app that writes those into a page varies by
// them on its own account.
func (k *Keyer) appendForwarded(dst []byte, f *message.Fields) []byte {
	for i := range f.List {
		l := &f.List[i]
		switch l.ID {
		case message.XForwardedHost:
			dst = appendPart(append(dst, partForwarded, 1), partForwarded, l.Value)
		case message.Forwarded:
			dst = appendForwardedPairs(dst, l.Value)
		case message.Other:
			if h := k.hazards.find(l.Name); h != nil && h.pass == forwarded {
				dst = appendPart(append(dst, partForwarded, 2), partForwarded, h.name)
				dst = appendPart(dst, partForwarded, l.Value)
			}
		}
	}
	return dst
}

// appendForwardedPairs appends all of a Forwarded field (RFC 7239, section 4) but its for= and by= pairs.
func appendForwardedPairs(dst, v []byte) []byte {
	for len(v) > 0 {
		end, quoted := 0, false
		for ; end < len(v) && (quoted || v[end] != ';' && v[end] != ','); end++ {
			switch {
			case v[end] == '"':
				quoted = !quoted
			case v[end] == '\\' && quoted && end+1 < len(v):
				end++
			}
		}
		pair := trimSpace(v[:end])
		v = v[min(end+1, len(v)):]
		if name, _, _ := bytes.Cut(pair, []byte{'='}); len(name) > 0 && !message.EqualFold(name, "for") && !message.EqualFold(name, "by") {
			dst = appendPart(append(dst, partForwarded, 3), partForwarded, pair)
		}
	}
	return dst
}
