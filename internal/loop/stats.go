package loop

import "sync/atomic"

// Stats are a loop's counters.
type Stats struct {
	Turns        uint64 // turns taken (fibers) or times the baton was taken (goroutines)
	Naps         uint64 // turns after which it napped before it waited (fibers)
	Accepted     uint64 // connections accepted
	AcceptErrors uint64 // errors of accept, lack of descriptors among them
	Panics       uint64 // panics of tasks and callbacks
	SlowTurns    uint64 // turns longer than Config.SlowTurn
	Conns        uint64 // connections open now
	Tasks        uint64 // tasks under way now
}

// shownStats is what others see of a loop's counters. The loop counts in plain memory and shows at the end of a turn
// what has changed, so that a counter costs nothing where it is counted. Slow turns are the watchdog's to count.
type shownStats struct {
	last                                                                     Stats // the loop's own
	turns, naps, accepted, acceptErrors, panics, slowTurns, openConns, tasks atomic.Uint64
}

// Stats returns the counters as of the last turn. From any goroutine.
func (l *Loop) Stats() Stats {
	s := &l.shown
	return Stats{
		Turns:        s.turns.Load(),
		Naps:         s.naps.Load(),
		Accepted:     s.accepted.Load(),
		AcceptErrors: s.acceptErrors.Load(),
		Panics:       s.panics.Load(),
		SlowTurns:    s.slowTurns.Load(),
		Conns:        s.openConns.Load(),
		Tasks:        s.tasks.Load(),
	}
}

// showStats ends a turn.
func (l *Loop) showStats() {
	l.count.Tasks = uint64(l.running)
	s, now, last := &l.shown, &l.count, &l.shown.last
	show(&s.turns, &last.Turns, now.Turns)
	show(&s.naps, &last.Naps, now.Naps)
	show(&s.accepted, &last.Accepted, now.Accepted)
	show(&s.acceptErrors, &last.AcceptErrors, now.AcceptErrors)
	show(&s.panics, &last.Panics, now.Panics)
	show(&s.openConns, &last.Conns, now.Conns)
	show(&s.tasks, &last.Tasks, now.Tasks)
}

func show(shown *atomic.Uint64, last *uint64, now uint64) {
	if *last != now {
		*last = now
		shown.Store(now)
	}
}
