// Package health decides whether a server is well: by checks that weir makes itself (Check), by how requests end
// (Window, Rules, Ejection), by what its app asks for (Wish), and how much it gets once it is back (Share). It takes results and
// times and returns what follows. It connects to nothing, waits for nothing and closes no server: package pool does.
package health

import "time"

// Result is how one probe of a server ended.
type Result struct {
	OK      bool
	Message string // for people: "200 in 3ms", "connection refused"
	At      time.Time
	Certain bool   // the server has said so itself, and once is enough: what a database's role is
	Term    uint64 // of a database that takes writes: one that began to later has more; 0: it does not say
}

// Pace says how often a server is checked and how many results in a row decide.
type Pace struct {
	Every time.Duration // between two checks
	Fast  time.Duration // the same, while a change is in the air
	Rise  int           // good results in a row that open a closed server
	Fall  int           // bad ones that close an open one
}

// Check is what checks have found out about one server. Its owner guards it.
type Check struct {
	Well    bool      // the server may have requests
	Proved  bool      // a result has said so; before, it is assumed
	Against int       // results in a row that speak against Well
	Since   time.Time // since when Well is as it is
	Last    Result
}

// Presumed is the check of a server that is well until a result says otherwise: of one that there was when weir came.
func Presumed(now time.Time) Check { return Check{Well: true, Since: now} }

// Awaited is the check of a server that has to show first that it is well: of one that is added to others.
func Awaited(now time.Time) Check { return Check{Since: now} }

// Take takes a result and says whether the server turned from well to ill or back.
func (c *Check) Take(r Result, p Pace) (turned bool) {
	c.Last = r
	if r.OK == c.Well {
		c.Against, c.Proved = 0, true
		return false
	}
	c.Against++
	if c.Against < c.need(p) && !r.Certain {
		return false
	}
	c.Well, c.Proved, c.Against, c.Since = r.OK, true, 0, r.At
	return true
}

// need is how many results in a row turn it. The first one lets in who has to show that it is well. It does not close
// who is presumed to be: weir's own start is a busy moment, in which one check may come to nothing.
func (c *Check) need(p Pace) int {
	switch {
	case c.Well:
		return p.Fall
	case !c.Proved:
		return 1
	}
	return p.Rise
}

// Next is the time until the next check; x, from 0 up to 1, is the luck in it, which keeps many checks from coming at once.
func (c *Check) Next(p Pace, x float64) time.Duration {
	d := p.Every
	if !c.Proved || c.Against > 0 {
		d = min(p.Fast, p.Every)
	}
	return Jitter(d, x)
}

// Jitter is d with up to a tenth more or less, by x from 0 up to 1.
func Jitter(d time.Duration, x float64) time.Duration {
	return d - d/10 + time.Duration(x*float64(d/5))
}
