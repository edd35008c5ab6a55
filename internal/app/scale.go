package app

import (
	"fmt"
	"time"
)

const (
	// loadWeight is the share of a new look in the average busy share: with a look a second, half of it is of the last
	// three seconds.
	loadWeight = 0.2
	// busyHigh is the busy share above which there are to be more workers: somebody would wait soon.
	busyHigh = 0.85
	// busyLow is the busy share that the remaining workers would have at the most if there was one fewer.
	busyLow = 0.6
	// growAfter is how long it has to be too busy, shrinkAfter how long it has to be idle enough, before something is done;
	// and then again before the next step.
	growAfter   = 3 * time.Second
	shrinkAfter = 2 * time.Minute
)

// Load is what an app's workers have to do at one look.
type Load struct {
	Live   int     // workers that serve
	Busy   float64 // share of their places that is taken, 0 to 1
	Queued int64   // requests that wait for a place
}

// Scaler decides how many workers an app needs. It grows within seconds, for somebody waits, and by a quarter at a time; it
// shrinks by one after each idle shrinkAfter, for a start costs more than a worker that rests. It is pure: one look after the
// other, in order.
type Scaler struct {
	busy        float64 // average
	looked      bool
	wantMore    time.Time // since when; zero: it does not
	wantFewer   time.Time
	mostAtOnce  int64 // queued since wantMore
	lastChecked time.Time
}

// Want returns how many workers there should be of least to most, where size are wanted now, and why. Everything but size
// as it is when nothing is to change.
func (s *Scaler) Want(now time.Time, size, least, most int, l Load) (int, string) {
	if !s.looked || now.Sub(s.lastChecked) > shrinkAfter { // nobody looked for long: what was is no guide
		*s = Scaler{busy: l.Busy, looked: true}
	}
	s.lastChecked = now
	s.busy += loadWeight * (l.Busy - s.busy)
	if l.Live < size {
		// Those that were asked for are still coming, or some are away for another reason: first see what they change.
		s.wantMore, s.wantFewer = time.Time{}, time.Time{}
		return size, ""
	}
	if l.Queued > 0 || s.busy > busyHigh {
		s.wantFewer = time.Time{}
		return s.grow(now, size, most, l)
	}
	s.wantMore = time.Time{}
	if size <= least || s.busy*float64(size) > busyLow*float64(size-1) {
		s.wantFewer = time.Time{}
		return size, ""
	}
	if s.wantFewer.IsZero() {
		s.wantFewer = now
	}
	if now.Sub(s.wantFewer) < shrinkAfter {
		return size, ""
	}
	s.wantFewer = now
	return size - 1, fmt.Sprintf("for %v they were busy for %.0f%% of the time", shrinkAfter, 100*s.busy)
}

func (s *Scaler) grow(now time.Time, size, most int, l Load) (int, string) {
	if s.wantMore.IsZero() {
		s.wantMore, s.mostAtOnce = now, 0
	}
	s.mostAtOnce = max(s.mostAtOnce, l.Queued)
	if size >= most || now.Sub(s.wantMore) < growAfter {
		return size, ""
	}
	s.wantMore = time.Time{}
	want := min(size+max(size/4, 1), most)
	if s.mostAtOnce > 0 {
		return want, fmt.Sprintf("up to %d requests wait", s.mostAtOnce)
	}
	return want, fmt.Sprintf("they are busy for %.0f%% of the time", 100*s.busy)
}
