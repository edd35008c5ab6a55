package loop

import "time"

// busy is how a loop knows the processor time that it has used. A loop's goroutine is not bound to a thread, but seldom leaves
// one: where it waits without its P, and when the scheduler wants its P back. So the thread's clock is read where it waits, every few
// milliseconds, and when somebody asks. Where two looks saw different threads, it is taken to have worked as much as in the stretch before.
type busy struct {
	thread int           // the one that was seen last; 0: none yet
	clock  time.Duration // of that, then
	at     Time          // of the last look
	used   time.Duration
	// The last stretch that was measured.
	worked, took time.Duration
}

// busyEvery is how long a loop works at the most before the clock is read.
const busyEvery = Time(4 * time.Millisecond)

// Busy is the processor time that the loop has used, as far as that can be told: not at all where its tasks are goroutines. Only on
// the loop.
func (l *Loop) Busy() time.Duration {
	if l.goroutines() {
		return 0
	}
	l.lookBusy()
	return l.busy.used
}

// lookBusy adds what was used since the last look, up to now.
func (l *Loop) lookBusy() { l.busy.look(l.engine.clock(time.Now())) }

// look is lookBusy at a time that is known.
func (b *busy) look(now Time) {
	thread, clock := threadClock()
	took := time.Duration(now - b.at)
	switch {
	case b.thread == 0:
	case thread == b.thread:
		b.worked, b.took = clock-b.clock, took
		b.used += b.worked
	case b.took > 0:
		b.used += time.Duration(float64(min(took, 10*time.Duration(busyEvery))) * min(float64(b.worked)/float64(b.took), 1))
	}
	b.thread, b.clock, b.at = thread, clock, now
}

// rested looks once more after a wait: what comes next has nothing to do with what was before.
func (b *busy) rested(now Time) {
	b.thread, b.clock = threadClock()
	b.at = now
}

// Call runs f on the loop, not in a task, and waits for it: f must not block. ErrClosed: the loop has ended, and f did not run. From
// any goroutine but the loop's own.
func (l *Loop) Call(f func()) error { return l.wait(f) }
