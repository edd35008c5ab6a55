package health

import "time"

// MaxOut is how far the doubling goes.
const MaxOut = 5 * time.Minute

// Ejection is how often a server was ejected lately.
type Ejection struct {
	Times int           // without a good spell between them
	For   time.Duration // the last one
	Ends  time.Time     // of the last one; then one request tries the server
	Why   string
	back  time.Time // when it came back, zero while it is out
}

// Out ejects the server, or keeps it out after a trial that failed, and returns for how long: each time twice as long as
// the time before, unless it was well for as long as it had been out.
func (e *Ejection) Out(now time.Time, why string, r Rules) time.Duration {
	if !e.back.IsZero() && now.Sub(e.back) > e.For {
		e.Times = 0
	}
	d := r.For
	for range min(e.Times, 32) {
		if d *= 2; d > MaxOut {
			d = max(r.For, MaxOut)
			break
		}
	}
	e.Times++
	e.For, e.Ends, e.Why, e.back = d, now.Add(d), why, time.Time{}
	return d
}

// In takes it back.
func (e *Ejection) In(now time.Time) { e.back = now }
