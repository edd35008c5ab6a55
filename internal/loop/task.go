package loop

import (
	"bytes"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"
)

// Task is one line of request code under way. Its methods are for the task itself while it runs, but for Wake.
type Task struct {
	loop *Loop
	id   uint64 // of its goroutine, for the watchdog

	// Owned by the loop.
	runner   Runner
	live     bool  // has something to run
	waits    waits // what for
	token    bool  // woken, and Park has not returned since
	hungup   bool  // Watch has something to tell
	watched  *Conn
	until    Time // of Park and Sleep; 0 none
	timer    timer
	place    int // in loop.tasks
	fiber    fiber
	std      *stdTask // the goroutine body's
	wakeNote note     // in the inbox while noted is true
	noted    atomic.Bool

	// Of Do. The worker owns them while the task waits in it.
	doing    func()
	doNext   *Task
	doPanic  *offloadPanic
	doneNote note
	done     bool
}

// waits is what a task waits for: only that goes on with it.
type waits uint8

const (
	waitsNot  waits = iota
	waitsConn       // for a connection
	waitsWake
	waitsTime
	waitsDone
	waitsTurn // for others to have had theirs
)

// Loop is the loop on which the task runs. From any goroutine.
func (t *Task) Loop() *Loop { return t.loop }

// Sleep waits; ErrClosed when the engine stops.
func (t *Task) Sleep(d time.Duration) error {
	t.mustRun("Sleep")
	if t.std != nil {
		return t.sleepBaton(d)
	}
	return t.sleepFiber(d)
}

// Park waits for Wake until the deadline (ErrTimeout). A Wake that came before is not lost: Park then returns at
// once. Tasks are reused, so a late Wake may reach a stranger: always park in a loop that tests a condition. ErrHangup when a
// watched peer hung up (see Conn.Watch), ErrClosed when the engine stops.
func (t *Task) Park(deadline Time) error {
	t.mustRun("Park")
	if t.std != nil {
		return t.parkBaton(deadline)
	}
	return t.parkFiber(deadline)
}

// Wake makes the task's current or next Park return. From any goroutine. It costs a system call only when the task's
// loop waits.
func (t *Task) Wake() {
	if t.std != nil {
		t.std.wake.set()
		return
	}
	if !t.noted.Swap(true) {
		t.loop.leave(&t.wakeNote)
	}
}

// WakeHere is Wake for callers on the task's own loop: no atomic operation, no system call.
func (t *Task) WakeHere() {
	if t.std != nil {
		t.std.wake.set()
		return
	}
	if !t.live {
		return
	}
	t.token = true
	if t.waits == waitsWake {
		t.loop.ready(t)
	}
}

// Do runs f on an ordinary goroutine while the task waits: for what may block (disk, DNS). At most 64 functions of an
// engine run at a time; more wait. A panic of f is the task's. The engine's Close waits for f.
func (t *Task) Do(f func()) {
	t.mustRun("Do")
	if t.std != nil {
		t.doBaton(f)
		return
	}
	t.doFiber(f)
}

// mustRun holds a caller to the rule that a task's methods are for the task itself.
func (t *Task) mustRun(what string) {
	if t.loop.cur != t {
		panic("loop: " + what + " of a task that is not the one running")
	}
}

// forget ends a task's watch, so that nothing of a connection outlives the task in it.
func (t *Task) forget() {
	if c := t.watched; c != nil {
		c.watcher = nil
	}
	t.watched, t.hungup = nil, false
}

// goroutineID reads the running goroutine's number where the runtime tells it: in a stack trace's first line. It costs a
// microsecond, so it is read once for each goroutine.
func goroutineID() uint64 {
	var b [64]byte
	s := bytes.TrimPrefix(b[:runtime.Stack(b[:], false)], []byte("goroutine "))
	i := bytes.IndexByte(s, ' ')
	if i < 0 {
		return 0
	}
	id, err := strconv.ParseUint(string(s[:i]), 10, 64)
	if err != nil {
		return 0 // the watchdog then reports without a stack
	}
	return id
}
