package loop

// gathering decides when a loop that has run out of work naps before it waits for events, so that several are there
// when it gets up: under load falling asleep and being woken for each one costs a third of what a small request takes. It
// naps only where that pays: see docs/adr/0010-a-busy-loop-naps.md.
type gathering struct {
	last Time // start of the turn before
	skip int  // turns for which it is not tried
}

const (
	// gatherWithin is how soon after the turn before a turn must have begun for its loop to be called busy.
	gatherWithin = Time(500_000)
	// napFor is how long a nap is in nanoseconds; the kernel adds what slack its timers have, 50 µs as a rule.
	napFor = 50_000
	// company is how many events make a nap worthwhile, and lonely how many turns pass until it is tried again after one
	// that was not.
	company = 4
	lonely  = 64
)

// nap reports whether to nap at the end of the turn that began at now.
func (g *gathering) nap(now Time) bool {
	busy := now-g.last < gatherWithin
	g.last = now
	if g.skip > 0 {
		g.skip--
		return false
	}
	return busy
}

// came says how many events there were after a nap.
func (g *gathering) came(n int) {
	if n < company {
		g.skip = lonely
	}
}
