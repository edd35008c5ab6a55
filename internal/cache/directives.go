package cache

import (
	"math"

	"github.com/weirhq/weir/internal/message"
)

// none is the value of a directive in seconds that is not there; forever that of one without a limit.
const (
	none    = -1
	forever = math.MaxInt32 // RFC 9111, section 1.2.2: what is larger than a cache can hold counts as 2^31 at least
)

// RequestDirectives is what a request says to caches (RFC 9111, section 5.2.1). Seconds are -1 when nothing is said.
type RequestDirectives struct {
	MaxAge, MinFresh, MaxStale     int64
	IfError                        int64 // stale-if-error (RFC 5861, section 4)
	NoCache, NoStore, OnlyIfCached bool
}

// ParseRequest reads a request's directives. What is malformed counts as if it were not there, since all of them only ask
// for what a cache may do.
func ParseRequest(f *message.Fields) RequestDirectives {
	r := RequestDirectives{MaxAge: none, MinFresh: none, MaxStale: none, IfError: none}
	if !f.Has(message.CacheControl) {
		// RFC 9111, section 5.4: Pragma counts only where Cache-Control is absent.
		r.NoCache = f.Has(message.Pragma) && listed(f, message.Pragma, "no-cache")
		return r
	}
	d := directives{f: f, id: message.CacheControl}
	for d.next() {
		switch {
		case message.EqualFold(d.name, "max-age"):
			r.MaxAge = d.seconds(r.MaxAge)
		case message.EqualFold(d.name, "min-fresh"):
			r.MinFresh = d.seconds(r.MinFresh)
		case message.EqualFold(d.name, "max-stale"):
			if d.value == nil {
				r.MaxStale = forever
			} else {
				r.MaxStale = d.seconds(r.MaxStale)
			}
		case message.EqualFold(d.name, "stale-if-error"):
			r.IfError = d.seconds(r.IfError)
		case message.EqualFold(d.name, "no-cache"):
			r.NoCache = true
		case message.EqualFold(d.name, "no-store"):
			r.NoStore = true
		case message.EqualFold(d.name, "only-if-cached"):
			r.OnlyIfCached = true
		}
	}
	return r
}

func listed(f *message.Fields, id message.ID, want string) bool {
	d := directives{f: f, id: id}
	for d.next() {
		if message.EqualFold(d.name, want) {
			return true
		}
	}
	return false
}

// responseDirectives is what a response says to shared caches (RFC 9111, section 5.2.2; RFC 5861; RFC 8246).
type responseDirectives struct {
	maxAge, sMaxage, whileRevalidate, ifError int64
	noCache, noStore, private, public         bool
	mustRevalidate, proxyRevalidate           bool
	mustUnderstand, noTransform, immutable    bool
	noCacheFields, privateFields              []byte // the names after no-cache= and private=; the directive then is about these alone
	said                                      bool   // there was a directive at all
}

var noDirectives = responseDirectives{maxAge: none, sMaxage: none, whileRevalidate: none, ifError: none}

// parseResponse reads the directives that are for us: those of the most specific field that is there and well-formed (RFC 9213,
// section 2.2), weir's own before those for all CDNs before the older Surrogate-Control before Cache-Control. targeted says
// that Cache-Control and Expires do not count.
func parseResponse(f *message.Fields) (r responseDirectives, targeted bool) {
	for _, id := range [...]message.ID{message.WeirCacheControl, message.CDNCacheControl} {
		if f.Has(id) {
			if r, ok := parseTargeted(f, id); ok {
				return r, true
			}
		}
	}
	if f.Has(message.SurrogateControl) {
		if r, ok := parseSurrogate(f); ok {
			return r, true
		}
	}
	r = noDirectives
	if !f.Has(message.CacheControl) {
		return r, false
	}
	d := directives{f: f, id: message.CacheControl}
	for d.next() {
		r.take(&d)
	}
	return r, false
}

// take notes a directive. A life that cannot be read makes the response stale: it was meant to limit (RFC 9111, section
// 4.2.1).
func (r *responseDirectives) take(d *directives) {
	r.said = true
	switch {
	case message.EqualFold(d.name, "max-age"):
		r.maxAge = d.life(r.maxAge)
	case message.EqualFold(d.name, "s-maxage"):
		r.sMaxage = d.life(r.sMaxage)
	case message.EqualFold(d.name, "stale-while-revalidate"):
		r.whileRevalidate = d.seconds(r.whileRevalidate)
	case message.EqualFold(d.name, "stale-if-error"):
		r.ifError = d.seconds(r.ifError)
	case message.EqualFold(d.name, "no-cache"):
		r.noCache, r.noCacheFields = qualified(d, r.noCache, r.noCacheFields)
	case message.EqualFold(d.name, "private"):
		r.private, r.privateFields = qualified(d, r.private, r.privateFields)
	case message.EqualFold(d.name, "no-store"):
		r.noStore = true
	case message.EqualFold(d.name, "public"):
		r.public = true
	case message.EqualFold(d.name, "must-revalidate"):
		r.mustRevalidate = true
	case message.EqualFold(d.name, "proxy-revalidate"):
		r.proxyRevalidate = true
	case message.EqualFold(d.name, "must-understand"):
		r.mustUnderstand = true
	case message.EqualFold(d.name, "no-transform"):
		r.noTransform = true
	case message.EqualFold(d.name, "immutable"):
		r.immutable = true
	}
}

// qualified notes a directive that may name fields (RFC 9111, sections 5.2.2.4 and 5.2.2.7). Said both ways it is about the
// whole response; of two lists the second would be lost, so it is about the whole too.
func qualified(d *directives, whole bool, fields []byte) (bool, []byte) {
	if len(d.value) == 0 || fields != nil || whole {
		return true, nil
	}
	return false, d.value
}

// directives goes over the elements of a list of directives in all lines of a field (RFC 9110, section 5.6; RFC 9111, section
// 5.2). A quoted value stands without its quotes; value is nil when there is none.
type directives struct {
	f           *message.Fields
	id          message.ID
	line        int
	rest        []byte
	name, value []byte
}

func (d *directives) next() bool {
	for {
		for len(d.rest) == 0 {
			for d.line < len(d.f.List) && d.f.List[d.line].ID != d.id {
				d.line++
			}
			if d.line >= len(d.f.List) {
				return false
			}
			d.rest = d.f.List[d.line].Value
			d.line++
		}
		if d.element(); len(d.name) > 0 {
			return true
		}
	}
}

// element takes one element off rest.
func (d *directives) element() {
	i, n := 0, len(d.rest)
	for i < n && d.rest[i] != '=' && d.rest[i] != ',' {
		i++
	}
	d.name, d.value = trimSpace(d.rest[:i]), nil
	if i < n && d.rest[i] == '=' {
		i++
		for i < n && (d.rest[i] == ' ' || d.rest[i] == '\t') {
			i++
		}
		from := i
		if i < n && d.rest[i] == '"' {
			for i++; i < n && d.rest[i] != '"'; i++ {
				if d.rest[i] == '\\' {
					i++
				}
			}
			d.value = d.rest[from+1 : min(i, n)]
			if i >= n { // it never ends: what seems to stand in it may have been meant as directives, and a value there is not
				i, d.value = from, d.rest[from:from]
			}
		}
		for i < n && d.rest[i] != ',' {
			i++
		}
		if d.value == nil {
			d.value = trimSpace(d.rest[from:min(i, n)])
			if d.value == nil {
				d.value = d.rest[from:from]
			}
		}
	}
	d.rest = d.rest[min(i+1, n):]
}

// seconds is the directive's value, or what was there before when it is none. Of two, the smaller counts.
func (d *directives) seconds(was int64) int64 {
	n, ok := deltaSeconds(d.value)
	if !ok || was >= 0 && was < n {
		return was
	}
	return n
}

// life is seconds for a life: what cannot be read is 0.
func (d *directives) life(was int64) int64 {
	n, ok := deltaSeconds(d.value)
	if !ok {
		return 0
	}
	if was >= 0 && was < n {
		return was
	}
	return n
}

// deltaSeconds reads digits (RFC 9111, section 1.2.2).
func deltaSeconds(b []byte) (n int64, ok bool) {
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = min(n*10+int64(c-'0'), forever)
	}
	return n, len(b) > 0
}
