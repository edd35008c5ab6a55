package edge

import (
	"github.com/weirhq/weir/internal/cache"
	"github.com/weirhq/weir/internal/journal"
)

// forwarded says why a server was asked (RFC 9211, section 2.2).
type forwarded uint8

const (
	notForwarded forwarded = iota
	forBypass
	forMethod
	forRequest
	forURIMiss
	forVaryMiss
	forMiss
	forStale
)

var forwardedWords = [...]string{"", "bypass", "method", "request", "uri-miss", "vary-miss", "miss", "stale"}

// The tokens of detail (RFC 9211, section 2.8) that are about a request; those about a response are cache.Reason's, those about
// what of a request makes it pass cache.Pass's, and those about a failure journal.Cause's. docs/reference/cache-status.md
// lists them all, and a test holds it to that.
const (
	noteConfigured   = "configured"       // the route's bypass holds
	noteHandedOver   = "handed-over"      // this edge has been replaced; the next one has the cache
	noteNoStore      = "request-no-store" // a directive of the request
	noteOnlyIfCached = "only-if-cached"   // likewise, and it is not there
	noteHitForMiss   = "hit-for-miss"     // it is known that the response cannot be kept
	noteNotShared    = "not-shared"       // another request's fetch turned out to be for that one alone
	noteHead         = "head"             // HEAD does not bring in what is not there
	noteRange        = "range"            // it is for a part, and that part is not kept
	noteContended    = "contended"        // what it waited for went again and again
	noteIfError      = "stale-if-error"   // what is kept stands in for an error
)

// appendCacheStatus tells what the cache did (RFC 9211).
func (h *handler) appendCacheStatus(dst []byte) []byte {
	k := &h.kept
	dst = append(dst, "Cache-Status: weir"...)
	switch {
	case k.fwd != notForwarded && h.x.Journal.Cache == journal.Shared:
		dst = append(append(append(dst, "; fwd="...), forwardedWords[k.fwd]...), "; collapsed"...)
	case k.has && (k.fwd == notForwarded || !k.asks):
		dst = append(dst, "; hit; ttl="...)
		dst = appendSigned(dst, k.life.TTL-k.age)
	case k.fwd != notForwarded:
		dst = append(append(dst, "; fwd="...), forwardedWords[k.fwd]...)
		if s := h.x.Resp.Status; s > 0 {
			dst = append(dst, "; fwd-status="...)
			dst = appendInt(dst, int64(s))
		}
		if k.stored {
			dst = append(dst, "; stored"...)
		}
	}
	if detail := h.cacheDetail(); detail != "" {
		dst = append(append(dst, "; detail="...), detail...)
	}
	return append(dst, "\r\n"...)
}

// cacheDetail is the token that says why a response was not kept, or its request had nothing to do with the cache.
func (h *handler) cacheDetail() string {
	k := &h.kept
	switch {
	case k.why != cache.Kept:
		return k.why.String()
	case k.keyed.Pass != cache.NoPass && k.fwd != notForwarded:
		return k.keyed.Pass.String()
	case k.note != "" && !k.stored:
		return k.note
	}
	return h.x.Journal.Cause.String()
}

func appendSigned(dst []byte, n int64) []byte {
	if n < 0 {
		return appendInt(append(dst, '-'), -n)
	}
	return appendInt(dst, n)
}
