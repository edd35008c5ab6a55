package app

import (
	"fmt"
	"sync"
	"time"

	"github.com/weirhq/weir/internal/config"
)

// rate bounds what a worker may print: so many bytes a second in the long run, and a burst beyond. Any goroutine may use it.
type rate struct {
	mu    sync.Mutex
	timer *time.Timer // that says what was left out, of a worker that says no more

	left  float64 // bytes that it may print now
	at    time.Time
	lines uint64 // left out since it was said the last time
	bytes uint64
}

// rateSaid is how often it is said that lines are left out.
const rateSaid = 10 * time.Second

// pass reports whether a line of n bytes is passed on. what, which may be empty, is to be said before it. later is called by a
// goroutine of its own when something was left out and should have been said by then.
func (r *rate) pass(limit config.Output, n int, now time.Time, later func()) (ok bool, what string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if limit.Rate <= 0 {
		return true, r.sum()
	}
	if r.at.IsZero() {
		r.left = float64(limit.Burst)
	} else if d := now.Sub(r.at); d > 0 {
		r.left = min(r.left+d.Seconds()*float64(limit.Rate), float64(limit.Burst))
	}
	r.at = now
	if r.left < float64(n) {
		if r.lines == 0 {
			r.timer = time.AfterFunc(rateSaid, later)
			what = fmt.Sprintf("prints more than %d bytes a second: what is more is left out (output: {rate: …} of the app)", limit.Rate)
		}
		r.lines++
		r.bytes += uint64(n)
		return false, what
	}
	r.left -= float64(n)
	if r.lines > 0 && r.left > float64(limit.Burst)/8 { // it is quieter, and not only for this line
		what = r.sum()
	}
	return true, what
}

// end says what was left out.
func (r *rate) end() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sum()
}

func (r *rate) sum() string {
	if r.lines == 0 {
		return ""
	}
	r.timer.Stop()
	what := fmt.Sprintf("%d lines (%d bytes) of its output were left out", r.lines, r.bytes)
	r.lines, r.bytes = 0, 0
	return what
}
