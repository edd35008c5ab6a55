package cache

import (
	"strings"
	"time"

	"github.com/weirhq/weir/internal/message"
)

// Policy is what a configuration adds to what the app says. The zero value is RFC 9111's: what says nothing of its life is
// not kept, nothing stale is served unless the app allows it.
type Policy struct {
	DefaultTTL time.Duration // of responses that say nothing and that may be kept by default; 0: they are not kept
	Rules      []Rule        // before DefaultTTL; the first that matches counts
	Grace      time.Duration // stale responses are served as long while a new one is fetched, and on errors
	HitForMiss time.Duration // how long it is remembered that a response cannot be kept
	Heuristic  bool          // a tenth of the age of Last-Modified, at most a day (RFC 9111, section 4.2.2)
	Reload     bool          // a client's no-cache and max-age are heeded (RFC 9111, section 5.2.1)
	IfError    time.Duration // stale responses are served as long on errors alone; Grace counts if that is longer
	Strip      bool          // Set-Cookie is left out of what is kept
	// KeepCookies: a response with Set-Cookie is kept with it, as RFC 9111, section 7.3 has it. With neither it is not kept.
	KeepCookies bool
}

// Rule is a life for some statuses and media types.
type Rule struct {
	Status [][2]int // from, to; empty: those that may be kept by default
	Types  []string // lower case; "image/*" is a kind; empty: all
	TTL    time.Duration
	Force  bool // whatever the app says, but for private, no-store and no-cache of its own
}

// rule returns the rule for a response, nil when there is none.
func (p *Policy) rule(resp *message.Response) *Rule {
	for i := range p.Rules {
		if r := &p.Rules[i]; r.matches(resp) {
			return r
		}
	}
	return nil
}

func (r *Rule) matches(resp *message.Response) bool {
	ok := len(r.Status) == 0 && byDefault(resp.Status)
	for _, s := range r.Status {
		ok = ok || resp.Status >= s[0] && resp.Status <= s[1]
	}
	if !ok || len(r.Types) == 0 {
		return ok
	}
	media := resp.Fields.Get(message.ContentType)
	for i, c := range media {
		if c == ';' || c == ' ' {
			media = media[:i]
			break
		}
	}
	for _, t := range r.Types {
		if kind, all := strings.CutSuffix(t, "*"); all && len(media) >= len(kind) && message.EqualFold(media[:len(kind)], kind) || message.EqualFold(media, t) {
			return true
		}
	}
	return false
}

// byDefault are the statuses that may be kept without being told to (RFC 9110, section 15.1). 206 is one too, but parts are
// not kept here.
func byDefault(status int) bool {
	switch status {
	case 200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501:
		return true
	}
	return false
}

// understood are the statuses whose rules of caching are known here (RFC 9111, section 3), for must-understand.
func understood(status int) bool {
	switch status {
	case 200, 201, 202, 203, 204, 205, 300, 301, 302, 303, 307, 308, 400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411,
		412, 413, 414, 415, 416, 417, 421, 422, 425, 426, 428, 429, 431, 451, 500, 501, 502, 503, 504, 505, 506, 507, 508, 511:
		return true
	}
	return false
}
