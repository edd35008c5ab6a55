package cache

import (
	"time"

	"github.com/weirhq/weir/internal/message"
)

// Because returns in words why a response is not kept, with the section of the RFC where there is one.
func (r Reason) Because() string {
	switch r {
	case Kept:
		return ""
	case NotGET:
		return "only responses to GET are kept"
	case NotFinal:
		return "it is no whole response of its own: an interim one (RFC 9111, section 3), or a 304 (section 4.3)"
	case PartialContent:
		return "it is a part, and a part is kept only where one was asked for, with its length and a strong validator (RFC 9111, sections 3.3 and 3.4)"
	case RequestNoStore:
		return "the request has Cache-Control: no-store (RFC 9111, section 5.2.1.5)"
	case NoStore:
		return "no-store (RFC 9111, section 5.2.2.5)"
	case Private:
		return "private, and the key is not one visitor's own (RFC 9111, section 5.2.2.7)"
	case Authorized:
		return "the request has Authorization, and the response has neither public, s-maxage nor must-revalidate (RFC 9111, section 3.5)"
	case Cookie:
		return "it has Set-Cookie, which is for one visitor"
	case VaryAll:
		return "Vary: * matches no other request (RFC 9111, section 4.1), and neither does one that names X-Forwarded-For, Forwarded or X-Request-ID, which each client has its own of"
	case NotUnderstood:
		return "must-understand, and weir has no rules for this status (RFC 9111, section 5.2.2.3)"
	case NoLife:
		return "nothing says for how long: no max-age, s-maxage or Expires (RFC 9111, section 4.2.1), and neither default_ttl nor a rule of ttl is for it"
	case EventStream:
		return "an event stream is made for one client as things happen: no default life is for it"
	case UnkeyedCookie:
		return "it says nothing of its life, and the app made it knowing cookies that are no part of the key: no default life is for it, because it may be for this visitor alone"
	case AlreadyOver:
		return "its life is over when it comes, it has nothing to validate it by (ETag, Last-Modified), and there is no grace for it"
	case TooLarge:
		return "its fields or its body are larger than what is kept"
	case NoRoom:
		return "there was no room"
	case OtherVary:
		return "a 304 names other fields in Vary than the response that it confirms did when it was kept"
	case Purged:
		return "it was purged while it was fetched"
	}
	return r.String()
}

// Change returns what to change so that such a response is kept.
func (r Reason) Change() string {
	switch r {
	case NotGET, NotFinal:
		return "nothing: this is never kept"
	case PartialContent:
		return "the app is to send ETag or Last-Modified with its parts, and Content-Length"
	case RequestNoStore:
		return "the client is not to send it; no configuration overrules it"
	case NoStore:
		return "the app is not to say no-store (in Django, @never_cache does); no configuration overrules it"
	case Private:
		return "the app is to say public for what is the same for all; for what is not, private: [COOKIE] keeps it for each value of the session's cookie apart"
	case Authorized:
		return "the app is to say public or s-maxage, if it is the same for all"
	case Cookie:
		return "the app is to set no cookie in pages for all; where it may get lost, set_cookie: strip keeps the page without it"
	case VaryAll:
		return "the app is to name the fields that count in Vary, a few of them"
	case NotUnderstood:
		return "the app is to leave must-understand out"
	case NoLife:
		return "the app is to send Cache-Control: s-maxage=60; or write default_ttl: 20s, or a rule of ttl for this status"
	case EventStream:
		return "nothing; if it is the same from the beginning for all, the app is to say s-maxage"
	case UnkeyedCookie:
		return "name the cookies that change nothing in ignore_cookies, those that do in key: {cookie: […]}, the session's in pass_if_cookie; or the app is to say for how long itself"
	case AlreadyOver:
		return "the app is to give it a longer life, or an ETag to ask by; or write grace"
	case TooLarge:
		return "a larger max_object in cache: (at most half of memory, or a quarter of the disk)"
	case NoRoom:
		return "more memory in cache:"
	case Purged:
		return "nothing: the next one is kept"
	case OtherVary:
		return "the app is to send the same Vary with 304 as with 200, or none"
	}
	return ""
}

// ParseReason is the reason that a token of Cache-Status names, Kept if it is none.
func ParseReason(token string) Reason {
	for r := Kept + 1; r.String() != ""; r++ {
		if r.String() == token {
			return r
		}
	}
	return Kept
}

// Because returns in words why a request neither uses nor fills the cache.
func (p Pass) Because() string {
	switch p {
	case NoPass:
		return ""
	case PassMethod:
		return "only GET and HEAD are looked up"
	case PassTarget:
		return "its target is no path"
	case PassUpgrade:
		return "it wants another protocol"
	case PassBody:
		return "it has a body, which the key does not hold (RFC 9110, section 9.3.1)"
	case PassMethodOverride:
		return "a field of it may make the app take it for another method"
	case PassURLOverride:
		return "a field of it may make the app answer for another URL"
	case PassHostOverride:
		return "a field of it may make the app answer for another host"
	case PassDisguised:
		return "the name of a field has something in it that is neither letter, digit nor -, and may be taken for another field's"
	case PassConnection:
		return "Connection names a field, which the app does not get then (RFC 9110, section 7.6.1)"
	case PassHeader:
		return "it has a field that the policy passes"
	case PassCookie:
		return "it has a cookie of pass_if_cookie"
	}
	return p.String()
}

// Change returns what to change so that such a request is looked up.
func (p Pass) Change() string {
	switch p {
	case PassMethod, PassTarget, PassUpgrade:
		return "nothing: this is never looked up"
	case PassBody:
		return "the client is to ask without a body, or the app is to take what it asks for from the query"
	case PassMethodOverride, PassURLOverride, PassHostOverride, PassConnection, PassDisguised:
		return "the client, or the proxy before weir, is not to send that field"
	case PassHeader:
		return "the policy"
	case PassCookie:
		return "take it out of pass_if_cookie; private: [COOKIE] keeps responses for each value of it apart, ignore_cookies takes it away"
	}
	return ""
}

// Source says what gave a response its life.
type Source struct {
	Text string
	Rule int // the number of the policy's rule, -1 for none
}

// Source says why a response that Judge keeps has the life that it has. It follows Judge's order, and is for people.
func (p *Policy) Source(a Asked, resp *message.Response, received time.Time) Source {
	f := &resp.Fields
	d, targeted := parseResponse(f)
	field := "Cache-Control"
	if targeted {
		field = "a field for this cache (Weir-Cache-Control or CDN-Cache-Control: RFC 9213; Surrogate-Control)"
	}
	rule, number := p.rule(resp), -1
	for i := range p.Rules {
		if rule == &p.Rules[i] {
			number = i
		}
	}
	is := func(text string) Source { return Source{text, -1} }
	switch {
	case rule != nil && rule.Force:
		return Source{"a rule of ttl with force, whatever the app says", number}
	case d.sMaxage != none:
		return is("s-maxage in " + field + " (RFC 9111, section 5.2.2.10)")
	case d.maxAge != none:
		return is("max-age in " + field + " (RFC 9111, section 5.2.2.1)")
	case !targeted && f.Has(message.Expires):
		if explicitLife(&d, f, targeted, received) == 0 {
			return is("Expires, which is past, no date, or said twice (RFC 9111, section 5.3)")
		}
		return is("Expires less Date (RFC 9111, section 5.3)")
	case Provoked(resp.Status), isEventStream(f):
	case !a.Cookies && rule != nil:
		return Source{"a rule of ttl; the app says nothing", number}
	case !a.Cookies && p.DefaultTTL > 0 && byDefault(resp.Status):
		return is("default_ttl; the app says nothing")
	case p.Heuristic && (byDefault(resp.Status) || d.public) && heuristicLife(f, received) > 0:
		return is("heuristic: a tenth of the time since Last-Modified, at most a day (RFC 9111, section 4.2.2)")
	}
	return is("nothing says for how long, but it can be validated: it is kept, and asked about each time (RFC 9111, section 4.3)")
}

// Hint returns what else is worth knowing about a response for which there is no life.
func (p *Policy) Hint(resp *message.Response) string {
	switch {
	case Provoked(resp.Status):
		return "a client can provoke this status by what is not in the key: only the app can say that it is for all"
	case p.DefaultTTL > 0 && !byDefault(resp.Status):
		return "default_ttl is for statuses that may be kept without being told to (RFC 9110, section 15.1), not for this one"
	}
	return ""
}
