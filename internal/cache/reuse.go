package cache

import "time"

// Verdict is what may be done with a kept response.
type Verdict uint8

// The verdicts.
const (
	Fresh    Verdict = iota // serve it
	Lottery                 // serve it, and fetch it anew before it is over
	Stale                   // serve it, and fetch it anew
	Validate                // ask the server first
)

// Use decides about a kept response (RFC 9111, section 4). old says that it was purged softly: then it is stale, whatever its
// life. luck is a random number: a response that is about to be over is fetched anew by a few of the requests for it, more of
// them the nearer its end, so that one that is asked for often never is over.
func (p *Policy) Use(l *Life, want *RequestDirectives, old bool, now time.Time, luck uint32) (v Verdict, age int64) {
	age = l.Now(now)
	left := l.TTL - age
	if old {
		left = min(left, 0)
	}
	fresh := left > 0
	switch {
	case l.Flags&MustValidate != 0:
		return Validate, age
	case p.Reload && p.refuses(l, want, age, left):
		return Validate, age
	case fresh:
		// The last tenth of its life, at most ten seconds: one request in 256 at its beginning, one in four at its end.
		if window := min(l.TTL/10, 10); left <= window && luck%256 < uint32(1+63*(window-left)/max(window, 1)) {
			return Lottery, age
		}
		return Fresh, age
	case l.Flags&NoStale != 0:
		return Validate, age
	case -left < l.WhileRevalidate:
		return Stale, age
	case want.MaxStale != none && -left <= want.MaxStale && !old && l.Flags&NoMaxStale == 0:
		return Fresh, age // section 5.2.1.2
	}
	return Validate, age
}

// refuses reports whether the request wants something newer (RFC 9111, section 5.2.1). Who reloads a page that never changes
// gets it as it is (RFC 8246).
func (p *Policy) refuses(l *Life, want *RequestDirectives, age, left int64) bool {
	if want.NoCache || want.MaxAge == 0 {
		return l.Flags&Immutable == 0 || left <= 0
	}
	return want.MaxAge != none && age > want.MaxAge && want.MaxStale == none || want.MinFresh != none && left < want.MinFresh
}

// MaxSkew is by how many seconds a response may come from the future: clocks are set right by so much. When it is more, the
// clock has been set back, and how old the response is cannot be known.
const MaxSkew = 60

// Now is the age that the response has (RFC 9111, section 4.2.3). One of which it cannot be known is at the end of its life:
// else it would be fresh for as long as the clock has been set back.
func (l *Life) Now(now time.Time) int64 {
	since := now.Unix() - l.Received
	if since < -MaxSkew {
		return max(l.Age, l.TTL)
	}
	return l.Age + max(since, 0)
}

// OnError reports whether a kept response may stand in for an error (RFC 5861, section 4, which is for requests too; RFC
// 9111, section 4.2.4).
func (l *Life) OnError(want *RequestDirectives, now time.Time) bool {
	if l.Flags&(NoStale|MustValidate) != 0 {
		return false
	}
	allowed := l.IfError
	if l.Flags&NoMaxStale == 0 {
		allowed = max(allowed, want.IfError)
	}
	return l.Now(now) < l.TTL+allowed
}
