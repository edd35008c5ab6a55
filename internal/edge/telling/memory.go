package telling

import (
	"time"

	"github.com/weirhq/weir/internal/journal"
)

const (
	kept  = 128 // stories of each kind on each loop
	burst = 32  // of each kind kept in burstTime, so that a storm of errors does not drive all before it out
)

const burstTime = int64(time.Second)

// ring is a memory of the last stories of one kind. The loop owns it.
type ring struct {
	all   []journal.Story
	next  int
	until int64 // the end of the present burst, in the loop's time
	left  int   // how many it may still have
}

// place returns the place for one more, nil when there were too many of late.
func (r *ring) place(now int64) *journal.Story {
	if now >= r.until {
		r.until, r.left = now+burstTime, burst
	}
	if r.left == 0 {
		return nil
	}
	r.left--
	if len(r.all) < kept {
		if r.all == nil {
			r.all = make([]journal.Story, 0, kept) // once: whoever points into it goes on to
		}
		r.all = r.all[:len(r.all)+1]
		return &r.all[len(r.all)-1]
	}
	s := &r.all[r.next]
	r.next = (r.next + 1) % kept
	return s
}

// What is kept of a request.
type sort uint8

const (
	ordinary sort = iota
	slow          // it took long
	failed        // weir or a server failed it
	refused       // weir would not have it: the client's doing, or the configuration's
	sorts
)

// sortOf says what a request, or a session of TCP, is.
func sortOf(j *journal.Journal, tcp bool, now, slowAfter int64) (s sort, isSlow bool) {
	took := now - j.At[journal.Begun]
	switch {
	case j.At[journal.Begun] == 0 || j.Status == 101:
		took = 0 // a tunnel lasts as long as it is wanted
	case tcp:
		took = int64(j.Between(journal.Queued, journal.Connected)) // so does a session
	}
	isSlow = took >= slowAfter
	switch {
	case j.Status >= 500, j.Cause != journal.NoCause && !clients(j.Cause):
		return failed, isSlow
	case isSlow:
		return slow, true
	case j.Cause != journal.NoCause:
		return refused, false
	}
	return ordinary, false
}

// clients reports whether a cause is the client's doing, or what the configuration wants.
func clients(c journal.Cause) bool {
	switch c {
	case journal.BadRequest, journal.NoSite, journal.NoRoute, journal.HeadTimeout, journal.BodyTimeout, journal.SendTimeout, journal.ClientGone,
		journal.BodyTooLarge, journal.Refused, journal.NoScript, journal.IdleTimeout, journal.BadHello:
		return true
	}
	return false
}
