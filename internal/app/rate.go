package app

import (
	"fmt"
	"time"

	"github.com/weirhq/weir/internal/config"
)

// rate bounds what a worker may print: so many bytes a second in the long run, and a burst beyond. It belongs to the goroutine that
// reads the output.
type rate struct {
	left  float64 // bytes that it may print now
	at    time.Time
	lines uint64 // left out since it was said the last time
	bytes uint64
	said  time.Time
}

// rateSaid is how often it is said that lines are left out.
const rateSaid = 10 * time.Second

// pass reports whether a line of n bytes is passed on. what, which may be empty, is to be said before it.
func (r *rate) pass(limit config.Output, n int, now time.Time) (ok bool, what string) {
	if limit.Rate <= 0 {
		return true, r.sum(now)
	}
	if r.at.IsZero() {
		r.left = float64(limit.Burst)
	} else if d := now.Sub(r.at); d > 0 {
		r.left = min(r.left+d.Seconds()*float64(limit.Rate), float64(limit.Burst))
	}
	r.at = now
	if r.left < float64(n) {
		if r.lines == 0 {
			r.said = now
			what = fmt.Sprintf("prints more than %d bytes a second: what is more is left out (output: {rate: …} of the app)", limit.Rate)
		} else if now.Sub(r.said) >= rateSaid {
			what = r.sum(now)
		}
		r.lines++
		r.bytes += uint64(n)
		return false, what
	}
	r.left -= float64(n)
	if r.lines > 0 && r.left > float64(limit.Burst)/8 { // it is quieter, and not only for this line
		what = r.sum(now)
	}
	return true, what
}

// sum says what was left out.
func (r *rate) sum(now time.Time) string {
	if r.lines == 0 {
		return ""
	}
	what := fmt.Sprintf("%d lines (%d bytes) of its output were left out", r.lines, r.bytes)
	r.lines, r.bytes, r.said = 0, 0, now
	return what
}
