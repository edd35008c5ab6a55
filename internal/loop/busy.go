package loop

import "time"

// busy is how a loop knows the processor time that it has used. A loop's goroutine is not bound to a thread, but hardly ever leaves
// one but where it waits without its P. So the thread's clock is read there, where there is time, once in many turns, and when somebody asks.
// What was used on a thread between two looks that saw different ones is not known, and left out.
type busy struct {
	thread int           // the one that was seen last; 0: none yet
	at     time.Duration // its clock then
	used   time.Duration
	turns  int // since the last look
}

// busyTurns is after how many turns at the most the clock is read.
const busyTurns = 1024

// Busy is the processor time that the loop has used, as far as that can be told: not at all where its tasks are goroutines. Only on
// the loop.
func (l *Loop) Busy() time.Duration {
	if l.goroutines() {
		return 0
	}
	l.busy.look()
	return l.busy.used
}

// look adds what was used since the last look.
func (b *busy) look() {
	thread, at := threadClock()
	if thread == b.thread {
		b.used += at - b.at
	}
	b.thread, b.at, b.turns = thread, at, 0
}

// turn is told of each turn.
func (b *busy) turn() {
	if b.turns++; b.turns >= busyTurns {
		b.look()
	}
}

// Call runs f on the loop, not in a task, and waits for it: f must not block. ErrClosed: the loop has ended, and f did not run. From
// any goroutine but the loop's own.
func (l *Loop) Call(f func()) error { return l.wait(f) }
