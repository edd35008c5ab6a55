package cache

import (
	"bytes"
	"time"

	"github.com/weirhq/weir/internal/message"
	"github.com/weirhq/weir/internal/representation"
)

// Reason says why a response is not kept.
type Reason uint8

// The reasons.
const (
	Kept Reason = iota
	NotGET
	NotFinal
	PartialContent
	RequestNoStore
	NoStore
	Private
	Authorized
	Cookie
	VaryAll
	NotUnderstood
	NoLife        // it says nothing of its life, and no policy gives it one
	EventStream   // likewise, and a policy gives none to what is made as it goes
	UnkeyedCookie // likewise, and a policy gives none to what the app made knowing cookies that are no part of the key
	AlreadyOver   // its life is over and nothing can be done with it afterwards
	TooLarge
	NoRoom
	Purged
	OtherVary // a 304 says that it varies by other fields than those by which it was put in its place
)

var reasonWords = [...]string{Kept: "", NotGET: "method", NotFinal: "status", PartialContent: "partial", RequestNoStore: "request-no-store",
	NoStore: "no-store", Private: "private", Authorized: "authorization", Cookie: "set-cookie", VaryAll: "vary-star", NotUnderstood: "must-understand",
	NoLife: "no-freshness", EventStream: "event-stream", UnkeyedCookie: "unkeyed-cookie", AlreadyOver: "expired", TooLarge: "too-large", NoRoom: "no-room", Purged: "purged",
	OtherVary: "other-vary"}

// String returns one word for logs and the detail of Cache-Status (RFC 9211, section 2.8).
func (r Reason) String() string {
	if int(r) >= len(reasonWords) {
		return ""
	}
	return reasonWords[r]
}

// Lasts reports whether a response that is not kept for a reason says anything of the next one to the same URL. What one
// request brought about does not, or whoever sends Authorization, or a cookie, or a field that is too large, would turn the
// cache off for all; nor does a server's error.
func (r Reason) Lasts(a Asked, status int) bool {
	switch r {
	case Authorized, RequestNoStore, UnkeyedCookie, NoRoom, Purged:
		return false
	case NoLife:
		return !a.Cookies && status < 500 && !Provoked(status)
	}
	return status < 500 && !Provoked(status)
}

// Asked is what counts of the request that a response answers.
type Asked struct {
	Method     message.Method
	NoStore    bool // a directive of it
	Authorized bool // it had Authorization
	Private    bool // the key is one visitor's own
	Renewed    bool // the response sets the cookie by which the key is one visitor's own to another value
	Cookies    bool // the app saw cookies that are no part of the key: a policy gives no life then
}

// Life is what is kept of a response beside its fields and its body. Times are seconds since 1970, lengths seconds.
type Life struct {
	Status          int
	Received        int64 // when the response came
	Age             int64 // that it had then (RFC 9111, section 4.2.3)
	TTL             int64 // how old it may get and be fresh
	WhileRevalidate int64 // and then be served while a new one is fetched
	IfError         int64 // and then be served when there is none to be had
	Flags           Flags
}

// Flags are properties of a kept response.
type Flags uint16

// The flags.
const (
	MustValidate Flags = 1 << iota // it is never served without the server's word (no-cache)
	NoStale                        // it is never served stale (must-revalidate, proxy-revalidate)
	Immutable                      // a reload does not ask for it anew while it is fresh (RFC 8246)
	Heuristic                      // its life was guessed
	Encodable                      // it is plain, and of a kind that is compressed
	Surrogate                      // it had Surrogate-Control, which is not kept
	Assembled                      // and that asked for ESI processing
	OnDisk                         // what stands behind the head in memory is not the body but where on disk that is
	NoMaxStale                     // a request's max-stale and stale-if-error do not count (s-maxage)
)

// Judge decides whether a response may be kept (RFC 9111, section 3), and for how long (section 4.2). sent and received are
// when its request went out and when it came.
func (p *Policy) Judge(a Asked, resp *message.Response, sent, received time.Time) (Life, Reason) {
	f := &resp.Fields
	d, targeted := parseResponse(f)
	if why := p.forbids(a, resp, &d); why != Kept {
		return Life{}, why
	}
	l := Life{Status: resp.Status, Received: received.Unix(), Age: initialAge(f, sent, received)}
	why := Kept
	if rule := p.rule(resp); rule != nil && rule.Force {
		l.TTL = int64(rule.TTL / time.Second)
	} else if l.TTL = explicitLife(&d, f, targeted, received); l.TTL == none {
		l.TTL, why = p.givenLife(a, resp, rule)
	}
	if (why == NoLife || why == UnkeyedCookie) && p.Heuristic && !Provoked(resp.Status) && (byDefault(resp.Status) || d.public) {
		if l.TTL = heuristicLife(f, received); l.TTL > 0 {
			l.Flags |= Heuristic
		}
	}
	validator := f.Has(message.ETag) || f.Has(message.LastModified)
	if l.TTL == none && !(validator && d.said && (d.noCache || d.public || d.noCacheFields != nil)) {
		return Life{}, why
	}
	l.TTL = max(l.TTL, 0)
	p.afterwards(&l, &d)
	if !validator && (l.Flags&MustValidate != 0 || l.Age >= l.TTL+max(l.WhileRevalidate, l.IfError)) {
		return Life{}, AlreadyOver
	}
	return l, Kept
}

// forbids says why a response must not be kept (RFC 9111, section 3).
func (p *Policy) forbids(a Asked, resp *message.Response, d *responseDirectives) Reason {
	f := &resp.Fields
	switch {
	case a.Method != message.GET:
		return NotGET
	case resp.Status < 200:
		return NotFinal
	case resp.Status == 206: // only there does Content-Range mean anything (RFC 9110, section 14.4)
		return PartialContent
	case resp.Status == 304:
		return NotFinal
	case a.NoStore:
		return RequestNoStore // section 5.2.1.5
	case d.mustUnderstand && !understood(resp.Status):
		return NotUnderstood // section 5.2.2.3
	case d.noStore && !(d.mustUnderstand && understood(resp.Status)):
		return NoStore
	case d.private && !a.Private:
		return Private
	case a.Authorized && !a.Private && !d.public && !d.mustRevalidate && d.sMaxage == none:
		return Authorized // section 3.5
	case f.Has(message.SetCookie) && !p.Strip && !p.KeepCookies && !a.Private && !names(d.noCacheFields, "set-cookie") && !names(d.privateFields, "set-cookie"):
		return Cookie
	case f.Has(message.SetCookie) && a.Renewed:
		return Cookie // who has the old value next is not yet the one who has got the new one
	case f.Has(message.Vary) && (listed(f, message.Vary, "*") || tooManyNames(f) || variesByClient(f)):
		return VaryAll
	}
	return Kept
}

// variesByClient reports whether a response varies by what weir itself tells the app of each client, or of each request: no
// other request is known to select it.
func variesByClient(f *message.Fields) bool {
	return listed(f, message.Vary, "x-forwarded-for") || listed(f, message.Vary, "forwarded") || listed(f, message.Vary, "x-request-id")
}

// afterwards settles what may happen to a response when it is no longer fresh.
func (p *Policy) afterwards(l *Life, d *responseDirectives) {
	if d.noCache {
		l.Flags |= MustValidate
	}
	if d.immutable {
		l.Flags |= Immutable
	}
	l.WhileRevalidate, l.IfError = max(d.whileRevalidate, 0), max(d.ifError, 0)
	if d.mustRevalidate || d.proxyRevalidate || d.noCache {
		l.Flags |= NoStale // RFC 9111, section 4.2.4
		l.WhileRevalidate, l.IfError = 0, 0
		return
	}
	if d.sMaxage != none {
		// Section 5.2.2.10: it means proxy-revalidate too, so a request's max-stale does not count. The grace of the configuration
		// does: it is the word of those whose app it is (section 4.2.4), and few who write s-maxage mean more by it than a life.
		l.Flags |= NoMaxStale
	}
	l.WhileRevalidate = max(l.WhileRevalidate, int64(p.Grace/time.Second))
	l.IfError = max(l.IfError, int64(max(p.Grace, p.IfError)/time.Second))
}

// givenLife is the life that the policy gives a response that says nothing of it itself, none with the reason if it gives none.
func (p *Policy) givenLife(a Asked, resp *message.Response, rule *Rule) (int64, Reason) {
	given := int64(none)
	switch {
	case Provoked(resp.Status): // only the app can say that this is for all
	case rule != nil:
		given = int64(rule.TTL / time.Second)
	case p.DefaultTTL > 0 && byDefault(resp.Status):
		given = int64(p.DefaultTTL / time.Second)
	}
	switch {
	case given == none:
		return none, NoLife
	case isEventStream(&resp.Fields):
		return none, EventStream // what was said before its client came is not for that client
	case a.Cookies:
		return none, UnkeyedCookie
	}
	return given, Kept
}

// isEventStream reports whether a response is one of server-sent events, which are made for one client as they happen.
func isEventStream(f *message.Fields) bool {
	media, _, _ := bytes.Cut(f.Get(message.ContentType), semicolon)
	return message.EqualFold(bytes.TrimRight(media, " \t"), "text/event-stream")
}

var semicolon = []byte(";")

// explicitLife is the life that the app gives (RFC 9111, section 4.2.1), -1 when it says nothing.
func explicitLife(d *responseDirectives, f *message.Fields, targeted bool, received time.Time) int64 {
	switch {
	case d.sMaxage != none:
		return d.sMaxage
	case d.maxAge != none:
		return d.maxAge
	case targeted || !f.Has(message.Expires):
		return none
	}
	// Section 5.3: what is no date is in the past, and of several the first counts only if they agree.
	var expires int64
	for i, n := 0, 0; i < len(f.List); i++ {
		if f.List[i].ID != message.Expires {
			continue
		}
		t, ok := representation.ParseDate(f.List[i].Value, received.Unix())
		if !ok || n > 0 && t != expires {
			return 0
		}
		expires = t
		n++
	}
	return max(expires-dateOf(f, received), 0)
}

// dateOf is when the response was made: Date, or when it came (RFC 9110, section 6.6.1).
func dateOf(f *message.Fields, received time.Time) int64 {
	if t, ok := representation.ParseDate(f.Get(message.Date), received.Unix()); ok {
		return t
	}
	return received.Unix()
}

// heuristicLife is a tenth of the time since the last change, at most a day (RFC 9111, section 4.2.2).
func heuristicLife(f *message.Fields, received time.Time) int64 {
	t, ok := representation.ParseDate(f.Get(message.LastModified), received.Unix())
	if !ok {
		return none
	}
	return min(max((dateOf(f, received)-t)/10, 0), 24*60*60)
}

// initialAge is the age that a response has when it comes (RFC 9111, section 4.2.3).
func initialAge(f *message.Fields, sent, received time.Time) int64 {
	apparent := max(received.Unix()-dateOf(f, received), 0)
	var age int64
	if v := f.Get(message.Age); v != nil {
		// Section 5.1: of a list the first counts; what is no number is as if it were not there.
		for i, c := range v {
			if c == ',' {
				v = v[:i]
				break
			}
		}
		if n, ok := deltaSeconds(trimSpace(v)); ok {
			age = n
		}
	}
	return max(apparent, age+max(int64(received.Sub(sent)/time.Second), 0))
}

// names reports whether a list of field names holds one.
func names(list []byte, name string) bool {
	for len(list) > 0 {
		i := 0
		for i < len(list) && list[i] != ',' {
			i++
		}
		if message.EqualFold(trimSpace(list[:i]), name) {
			return true
		}
		list = list[min(i+1, len(list)):]
	}
	return false
}

// omits reports whether a field is left out of what is kept: it speaks of a connection, is made anew, or the app says that
// it is not for caches (RFC 9111, section 3.1).
func omits(l *message.Field, d *responseDirectives, strip bool) bool {
	switch l.ID {
	case message.Connection, message.KeepAlive, message.ProxyConnection, message.ProxyAuthenticate, message.TE, message.Trailer,
		message.TransferEncoding, message.Upgrade, message.ContentLength, message.XAccelBuffering, message.XRequestID, message.Age,
		message.SurrogateControl:
		return true
	case message.SetCookie:
		if strip {
			return true
		}
	}
	return d.withholds(l)
}

// withholds reports whether the response says of a field that it is for the one who asked alone (RFC 9111, sections 5.2.2.4 and
// 5.2.2.7).
func (r *responseDirectives) withholds(l *message.Field) bool {
	if r.noCacheFields == nil && r.privateFields == nil {
		return false
	}
	return names(r.noCacheFields, string(l.Name)) || names(r.privateFields, string(l.Name))
}

// AppendWithheld appends the field lines that are not kept because the response says that they are for the one who asked
// alone. strip says that Set-Cookie is not even for that one.
func AppendWithheld(dst []byte, f *message.Fields, strip bool) []byte {
	d, _ := parseResponse(f)
	if d.noCacheFields == nil && d.privateFields == nil {
		return dst
	}
	var plain responseDirectives
	for i := range f.List {
		l := &f.List[i]
		if d.withholds(l) && !omits(l, &plain, strip) && !namedByConnection(f, l) {
			dst = append(append(append(append(dst, l.Name...), ": "...), l.Value...), "\r\n"...)
		}
	}
	return dst
}
