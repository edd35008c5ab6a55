package health

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"time"
)

// Sample is what was counted of a server's requests. Counts only grow; a Window keeps the differences.
type Sample struct {
	Requests uint64 // that ended
	Errors   uint64 // of those, badly and by the server's fault
	Timed    uint64 // whose first byte was timed
	Logs     uint64 // the sum of Log of those times
}

func (s Sample) plus(o Sample) Sample {
	return Sample{s.Requests + o.Requests, s.Errors + o.Errors, s.Timed + o.Timed, s.Logs + o.Logs}
}

func (s Sample) minus(o Sample) Sample {
	return Sample{s.Requests - o.Requests, s.Errors - o.Errors, s.Timed - o.Timed, s.Logs - o.Logs}
}

// Steps of a Window, each as long as Step: how far back a rate looks.
const (
	Step  = time.Second
	steps = 10
)

// Window is what was counted lately.
type Window struct {
	total Sample // as it was at the last step
	ring  [steps]Sample
	at    int
}

// Advance ends a step, at which the counts were total.
func (w *Window) Advance(total Sample) {
	w.ring[w.at] = total.minus(w.total)
	w.total = total
	w.at = (w.at + 1) % steps
}

// Sum is what was counted in the window.
func (w *Window) Sum() (s Sample) {
	for _, o := range w.ring {
		s = s.plus(o)
	}
	return s
}

// Forget empties the window: what comes later is counted from total on.
func (w *Window) Forget(total Sample) { *w = Window{total: total} }

// logUnit is how finely Log tells times apart: a binary order in so many parts.
const logUnit = 256

// Log is the binary logarithm of a time in nanoseconds, in parts of 1/256, and near enough (the mantissa stands for its own
// logarithm: off by 0.09 of an order at most). Sums of it give a mean that one slow page does not move, for the
// price of an addition.
func Log(ns int64) uint64 {
	n := uint64(max(ns, 1))
	order := bits.Len64(n) - 1
	var rest uint64
	if order >= 8 {
		rest = n >> (order - 8) & (logUnit - 1)
	} else {
		rest = n << (8 - order) & (logUnit - 1)
	}
	return uint64(order)*logUnit + rest
}

// Typical is the time that requests in a sample usually took: their geometric mean. 0 when none was timed.
func (s Sample) Typical() time.Duration {
	if s.Timed == 0 {
		return 0
	}
	mean := float64(s.Logs) / float64(s.Timed) / logUnit
	order, rest := math.Floor(mean), mean-math.Floor(mean)
	return time.Duration(math.Exp2(order) * (1 + rest))
}

// Rules say when a server is ejected, and for how long. Shares are in thousandths. Zero turns a rule off.
type Rules struct {
	InARow int           // errors in a row
	Rate   int           // share of errors…
	Of     int           // …among at least so many requests within the window
	Slow   int           // times the pool's median, in thousandths
	For    time.Duration // the first time; doubled each time that follows soon
	AtMost int           // share of the pool's servers that may be closed, whatever closed them
}

// Failing says in words that too many requests failed, "" when they did not.
func (r Rules) Failing(s Sample) string {
	if r.Rate == 0 || s.Requests < uint64(max(r.Of, 1)) || s.Errors*1000 < s.Requests*uint64(r.Rate) {
		return ""
	}
	return fmt.Sprintf("%d of %d requests failed", s.Errors, s.Requests)
}

const (
	slowOf    = 20                   // requests of a server from which on it can be called slow
	slowFloor = 5 * time.Millisecond // what is less than this above the median is noise, however many times it is
)

// Outliers says in words, for each server, that it is slow against the pool's median, "" where it is not. Servers that were
// hardly asked are not counted; of two medians the lower one counts, so that one of two can be slow.
func (r Rules) Outliers(servers []Sample) []string {
	out := make([]string, len(servers))
	if r.Slow == 0 {
		return out
	}
	var all []time.Duration
	for _, s := range servers {
		if s.Timed >= slowOf {
			all = append(all, s.Typical())
		}
	}
	if len(all) < 2 {
		return out
	}
	slices.SortFunc(all, cmp.Compare)
	median := all[(len(all)-1)/2]
	for i, s := range servers {
		if t := s.Typical(); s.Timed >= slowOf && t > median+slowFloor && float64(t) >= float64(median)*float64(r.Slow)/1000 {
			out[i] = fmt.Sprintf("it usually takes %v where the pool's median is %v", round(t), round(median))
		}
	}
	return out
}

func round(d time.Duration) time.Duration {
	switch {
	case d > time.Second:
		return d.Round(10 * time.Millisecond)
	case d > time.Millisecond:
		return d.Round(100 * time.Microsecond)
	}
	return d.Round(time.Microsecond)
}

// Room says whether one more of a pool's servers may be closed, where so many of them are closed already.
func (r Rules) Room(servers, closed int) bool { return (closed+1)*1000 <= servers*r.AtMost }
