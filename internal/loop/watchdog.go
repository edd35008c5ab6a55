package loop

import (
	"bytes"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"
)

// watchdog finds turns that take too long and the stack that is to blame. It looks four times in a SlowTurn while any
// loop is at work; when all are at rest it sleeps, and the first loop to take a turn wakes it. So it costs a loop a few
// loads a turn, and an idle process nothing.
type watchdog struct {
	engine *Engine
	asleep atomic.Bool
	woken  chan struct{}
	ending chan struct{}
	ended  chan struct{}

	// Owned by the watchdog's goroutine.
	seen   []seenLoop
	stacks time.Time // the last one taken
}

// seenLoop is what the watchdog knows of a loop.
type seenLoop struct {
	turns uint64
	began Time // the slow turn under way or just over, as in Loop.phase; 0 none
	stack []byte
	told  bool
}

const (
	// stackEvery bounds how often the world is stopped for a stack.
	stackEvery = time.Second
	// stackGoroutines: with more than these, writing all stacks down would itself be a long stop.
	stackGoroutines = 20_000
	// tellTurns is after how many SlowTurns one that does not end is told.
	tellTurns = 20
)

func (d *watchdog) start(e *Engine) {
	d.engine = e
	d.seen = make([]seenLoop, len(e.loops))
	go d.run()
}

func (d *watchdog) init() {
	d.woken = make(chan struct{}, 1)
	d.ending = make(chan struct{})
	d.ended = make(chan struct{})
}

func (d *watchdog) stop() {
	close(d.ending)
	<-d.ended
}

// noticeTurn is called by a loop that begins a turn, after it has said so in phase.
func (d *watchdog) noticeTurn(l *Loop) {
	if l.awake.Load() {
		return
	}
	l.awake.Store(true)
	if d.asleep.Load() {
		select {
		case d.woken <- struct{}{}:
		default:
		}
	}
}

// noteSlowTurn is called by a loop that ends a turn. The clock is read only if the watchdog has an eye on it.
func (l *Loop) noteSlowTurn(began Time) {
	if l.slow.Load() == began {
		l.took.Store(l.engine.clock(time.Now()) - began)
	}
}

// noteMissedTurn looks at a turn that is over for one that the watchdog did not see, because the machine was too busy
// to run it in time; then it is told without a stack. now is the next clock reading that a fibers' loop makes anyway, so up to
// keepMilliseconds of waiting may be in it.
func (l *Loop) noteMissedTurn(now time.Time) {
	if !l.untold {
		return
	}
	l.untold = false
	took := now.Sub(l.wall)
	if took > l.engine.cfg.SlowTurn+keepMilliseconds*time.Millisecond && l.slow.Load() != l.now|1 {
		l.missed.Store(max(l.missed.Load(), int64(took)))
	}
}

func (d *watchdog) run() {
	defer close(d.ended)
	tick := d.engine.cfg.SlowTurn / 4
	timer := time.NewTimer(tick)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-d.ending:
			return
		}
		next := d.look(tick)
		if d.allAtRest() {
			d.asleep.Store(true)
			if d.allAtRest() { // one may have woken up before it could see that it has to tell
				select {
				case <-d.woken:
				case <-d.ending:
					return
				}
			}
			d.asleep.Store(false)
		}
		timer.Reset(next)
	}
}

func (d *watchdog) allAtRest() bool {
	for _, l := range d.engine.loops {
		if l.awake.Load() {
			return false
		}
	}
	return true
}

// look looks at each loop and returns when to look again.
func (d *watchdog) look(tick time.Duration) time.Duration {
	now := d.engine.clock(time.Now())
	for i, l := range d.engine.loops {
		if left := d.lookAt(l, &d.seen[i], now); left > 0 {
			tick = min(tick, left)
		}
	}
	return tick
}

// lookAt looks at a loop, and returns when the turn under way becomes a slow one; 0 when that has happened or there is none.
func (d *watchdog) lookAt(l *Loop, s *seenLoop, now Time) time.Duration {
	limit := d.engine.cfg.SlowTurn
	began := l.phase.Load()
	if s.began != 0 && s.began != began {
		d.tell(l, s, now)
		*s = seenLoop{turns: s.turns}
	}
	if took := l.missed.Swap(0); took != 0 {
		l.shown.slowTurns.Add(1)
		d.engine.cfg.Slow(l, time.Duration(took), nil)
	}
	if turns := l.shown.turns.Load(); began == 0 && turns == s.turns {
		l.awake.Store(false)
		if l.phase.Load() != 0 {
			l.awake.Store(true)
		}
	} else {
		s.turns = turns
	}
	if began == 0 {
		return 0
	}
	took := time.Duration(now - began)
	switch {
	case took <= limit:
		return limit - took + time.Millisecond
	case s.began != began:
		s.began = began
		l.took.Store(0)
		l.slow.Store(began)
		s.stack = d.stackOf(l.holder.Load())
		if l.phase.Load() != began {
			s.stack = nil // it may be of what came after
		}
	case took > tellTurns*limit && !s.told:
		d.tell(l, s, now)
		s.told = true
	}
	return 0
}

// tell reports a turn that is over or does not end.
func (d *watchdog) tell(l *Loop, s *seenLoop, now Time) {
	if s.told {
		return
	}
	took := l.took.Load()
	if took == 0 {
		took = now - s.began
	}
	l.shown.slowTurns.Add(1)
	d.engine.cfg.Slow(l, time.Duration(took), s.stack)
}

// stackOf returns the stack of one goroutine. The runtime writes those of others only all at once.
func (d *watchdog) stackOf(id uint64) []byte {
	n := runtime.NumGoroutine()
	if id == 0 || n > stackGoroutines || time.Since(d.stacks) < stackEvery {
		return nil
	}
	d.stacks = time.Now()
	all := make([]byte, 64<<10+n*2<<10)
	all = all[:runtime.Stack(all, true)]
	head := fmt.Appendf(nil, "goroutine %d ", id)
	for len(all) > 0 {
		one, rest, _ := bytes.Cut(all, []byte("\n\n"))
		if bytes.HasPrefix(one, head) {
			return bytes.Clone(bytes.TrimSpace(one))
		}
		all = rest
	}
	return nil
}
