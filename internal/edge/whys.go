package edge

import (
	"slices"

	"github.com/weirhq/weir/internal/cache"
	"github.com/weirhq/weir/internal/edge/tally"
	"github.com/weirhq/weir/internal/journal"
)

// Why the cache had to ask, as numbers to count by: the token of Cache-Status that says why a response was not kept or its request
// passed, and where there is none (it was kept), why what is there would not do. One after the other stand the reasons to forward,
// those not to keep, those to pass, the notes, and the causes of failure.

var whyNotes = [...]string{noteConfigured, noteHandedOver, noteNoStore, noteOnlyIfCached, noteHitForMiss, noteNotShared, noteHead, noteRange, noteContended, noteIfError}

const (
	whyReason = len(forwardedWords)
	whyPass   = whyReason + int(cache.OtherVary) + 1
	whyNote   = whyPass + int(cache.PassCookie) + 1
	whyCause  = whyNote + len(whyNotes)
	numWhys   = whyCause + journal.NumCauses
)

const _ = uint(tally.NumWhys - numWhys)

// whyAsked is why a server was asked for the request that ends.
func (h *handler) whyAsked() int {
	k := &h.kept
	switch { // as in cacheDetail
	case k.why != cache.Kept:
		return whyReason + int(k.why)
	case k.keyed.Pass != cache.NoPass && k.fwd != notForwarded:
		return whyPass + int(k.keyed.Pass)
	case k.note != "" && !k.stored:
		if i := slices.Index(whyNotes[:], k.note); i >= 0 {
			return whyNote + i
		}
	case h.x.Journal.Cause != journal.NoCause:
		return whyCause + int(h.x.Journal.Cause)
	}
	return int(k.fwd)
}

// whyWord is what a why is called.
func whyWord(why int) string {
	word := ""
	switch {
	case why < whyReason:
		word = forwardedWords[why]
	case why < whyPass:
		word = cache.Reason(why - whyReason).String()
	case why < whyNote:
		word = cache.Pass(why - whyPass).String()
	case why < whyCause:
		word = whyNotes[why-whyNote]
	case why < numWhys:
		word = journal.Cause(why - whyCause).String()
	}
	if word == "" {
		return "other"
	}
	return word
}
