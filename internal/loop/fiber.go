package loop

import (
	"iter"
	"time"
)

// The fiber body: a loop's one goroutine waits for events, runs callbacks, and switches to the fibers that can go on.
// A fiber is a coroutine of iter.Pull; a switch there and back costs about 120 ns and involves no scheduler.
//
// A turn goes: events, timers, notes from outside, rests that were over before they began, tasks. Callbacks run as
// they come up; tasks are queued and run at the end of the turn, so no request code changes the table of connections
// while events of the same batch are still to be read (callbacks may; for them events carry the connection's serial number).

// fiber is a task's part of the fiber body.
type fiber struct {
	next   func() (struct{}, bool) // runs the fiber until it waits
	stop   func()
	yield  func(struct{}) bool // goes back to the loop
	link   *Task               // next in a queue, or in the list of free ones
	queued bool
	// What it did since it was switched to; see spend.
	ops, bytes int
}

// fibers is a loop's part of the fiber body.
type fibers struct {
	id     uint64 // of the loop's goroutine
	wheel  wheel
	conns  []*Conn // by descriptor
	free   *Task
	idle   int       // length of free
	queue  taskQueue // to run in this turn
	later  taskQueue // to run in the next
	rested []*Conn   // rests that were over before they began
	spare  []*Conn
	gather gathering
	over   bool
}

type taskQueue struct{ first, last *Task }

func (q *taskQueue) push(t *Task) {
	if q.last == nil {
		q.first = t
	} else {
		q.last.fiber.link = t
	}
	q.last = t
}

func (q *taskQueue) pop() *Task {
	t := q.first
	if t == nil {
		return nil
	}
	q.first = t.fiber.link
	if q.first == nil {
		q.last = nil
	}
	t.fiber.link = nil
	return t
}

const (
	// keepMilliseconds is how long a loop waits with its P in hand; see docs/adr/0002-two-step-wait.md.
	keepMilliseconds = 5
	// idleFibers are kept for reuse by a loop; each holds a stack.
	idleFibers = 256
	// turnTasks is how many tasks a turn goes on with at most, so that tasks that wake each other do not keep events waiting.
	turnTasks = 1024
	// After as much a fiber lets the others of its loop run.
	sliceOps   = 64
	sliceBytes = 1 << 20
)

func (l *Loop) open() error {
	if l.goroutines() {
		l.openBaton()
		return nil
	}
	return l.poll.open()
}

func (l *Loop) start() {
	if l.goroutines() {
		l.startBaton()
		return
	}
	go l.run()
}

// run is the loop.
func (l *Loop) run() {
	defer l.again()
	l.fibers.id = goroutineID()
	for !l.fibers.over {
		l.turn(l.waitEvents())
	}
	l.finish()
}

// again goes on with the loop when a task called runtime.Goexit: iter.Pull hands that on to the goroutine that runs the
// fibers, and one request must not end a loop.
func (l *Loop) again() {
	if l.fibers.over {
		return
	}
	if t := l.cur; t != nil {
		l.cur = nil
		l.lose(t)
	}
	l.Post(func() {}) // the turn that was broken off is to be ended by another
	go l.run()
}

// waitEvents waits for something to do, in two steps: first for a short time with the P in hand, since waiting costs
// more than working (docs/adr/0002-two-step-wait.md), then without a limit. It returns the number of events.
func (l *Loop) waitEvents() int {
	l.phase.Store(0) // from here on notes bring a kick
	ms := l.idleFor()
	if !l.inbox.empty() {
		ms = 0
	}
	first := keepMilliseconds
	if ms >= 0 {
		first = min(first, ms)
	}
	napped := first > 0 && l.fibers.gather.nap(l.now)
	if napped {
		l.count.Naps++
		l.poll.nap(napFor)
	}
	n := l.poll.waitKeeping(first)
	if napped {
		l.fibers.gather.came(n)
	}
	if n == 0 && first != ms {
		if ms > 0 {
			ms -= first
		}
		now := time.Now()
		l.noteMissedTurn(now)
		l.busy.look(l.engine.clock(now))
		n = l.poll.waitYielding(ms)
		l.busy.rested(l.engine.clock(time.Now()))
	}
	// Interrupted by the scheduler: take a turn all the same, so that it is heeded.
	return max(n, 0)
}

// idleFor is how long the loop has nothing to do, in milliseconds; -1 when only an event can change that.
func (l *Loop) idleFor() int {
	f := &l.fibers
	if f.queue.first != nil || f.later.first != nil || len(f.rested) > 0 || f.over {
		return 0
	}
	next := f.wheel.next()
	if next == 0 {
		return -1
	}
	const ms = int64(time.Millisecond)
	return int(min(max((next-l.now+ms-1)/ms, 0), 1<<30))
}

// turn does what there is to do. It must not be inlined: its prologue is where the loop heeds the scheduler
// (stop-the-world, stack scans), for the signal that asks for it only ends the raw wait. Without it a collection waits
// for ever.
//
//go:noinline
func (l *Loop) turn(events int) {
	now := time.Now()
	l.noteMissedTurn(now)
	l.setClock(now)
	began := l.now | 1
	l.phase.Store(began)
	l.holder.Store(l.fibers.id)
	l.engine.dog.noticeTurn(l)
	l.count.Turns++
	if l.now-l.busy.at > busyEvery {
		l.busy.look(l.now)
	}
	for i := range events {
		l.event(l.poll.event(i))
	}
	l.fibers.wheel.advance(l.now)
	l.readNotes()
	l.endRests()
	l.runTasks()
	l.noteSlowTurn(began)
	l.showStats()
	if l.closing && l.running == 0 {
		l.fibers.over = true
	}
}

func (l *Loop) readNotes() {
	for n := l.inbox.take(); n != nil; {
		next := n.next
		n.next = nil
		switch {
		case n.task == nil:
			l.callPosted(n.f)
		case n.done:
			n.task.done = true
			if n.task.waits == waitsDone {
				l.ready(n.task)
			}
		default:
			n.task.noted.Swap(false) // a swap, for the waker's writes before Wake to be seen whoever was first
			n.task.WakeHere()
		}
		n = next
	}
}

// runTasks goes on with the tasks that can.
func (l *Loop) runTasks() {
	f := &l.fibers
	for t := f.later.pop(); t != nil; t = f.later.pop() {
		f.queue.push(t)
	}
	for range turnTasks {
		t := f.queue.pop()
		if t == nil {
			return
		}
		t.fiber.queued = false
		t.waits = waitsNot
		l.resume(t)
	}
}

// ready queues a task to go on; the caller has made sure that it waits for what came.
func (l *Loop) ready(t *Task) {
	if t.fiber.queued {
		return
	}
	t.fiber.queued = true
	l.fibers.queue.push(t)
}

// resume switches to a task until it waits or ends.
func (l *Loop) resume(t *Task) {
	t.fiber.ops, t.fiber.bytes = 0, 0
	l.cur = t
	l.holder.Store(t.id)
	_, lives := t.fiber.next()
	l.cur = nil
	if !lives {
		l.remove(t)
	}
}

func (l *Loop) goFiber(r Runner) {
	t := l.fibers.free
	if t == nil {
		t = l.newFiber()
	} else {
		l.fibers.free = t.fiber.link
		l.fibers.idle--
		t.fiber.link = nil
	}
	t.runner, t.live = r, true
	l.ready(t)
}

func (l *Loop) newFiber() *Task {
	t := &Task{loop: l, place: len(l.tasks)}
	t.timer.owner = t
	t.wakeNote.task = t
	t.doneNote.task, t.doneNote.done = t, true
	t.fiber.next, t.fiber.stop = iter.Pull(t.body)
	l.tasks = append(l.tasks, t)
	return t
}

// body is a fiber: it runs one task after another.
func (t *Task) body(yield func(struct{}) bool) {
	t.fiber.yield = yield
	t.id = goroutineID()
	t.loop.holder.Store(t.id)
	for {
		t.run()
		if !t.rest() || !yield(struct{}{}) {
			return
		}
	}
}

func (t *Task) run() {
	defer t.loop.recovered()
	t.runner.Run(t)
}

// rest ends a task and puts its fiber on the free list; false when there are enough.
func (t *Task) rest() bool {
	l := t.loop
	t.end()
	if l.fibers.idle >= idleFibers || l.closing {
		return false
	}
	t.fiber.link = l.fibers.free
	l.fibers.free = t
	l.fibers.idle++
	return true
}

func (t *Task) end() {
	t.forget()
	t.runner, t.live, t.token, t.until = nil, false, false, 0
	t.loop.running--
}

// remove lets go of a task whose fiber has ended.
func (l *Loop) remove(t *Task) {
	l.fibers.wheel.disarm(&t.timer)
	last := len(l.tasks) - 1
	l.tasks[t.place] = l.tasks[last]
	l.tasks[t.place].place = t.place
	l.tasks[last] = nil
	l.tasks = l.tasks[:last]
}

// lose removes a task that ended its own goroutine.
func (l *Loop) lose(t *Task) {
	if t.live {
		t.end()
	}
	l.remove(t)
}

// suspend goes back to the loop until ready is called for what the task waits for.
func (t *Task) suspend(w waits) {
	t.waits = w
	t.fiber.yield(struct{}{})
}

// spend counts what a task does without waiting. One with a fast peer could go on for ever; after a slice it lets
// the others have a turn.
func (t *Task) spend(bytes int) {
	t.fiber.ops++
	t.fiber.bytes += bytes
	if t.fiber.ops < sliceOps && t.fiber.bytes < sliceBytes {
		return
	}
	t.fiber.queued = true
	t.loop.fibers.later.push(t)
	t.suspend(waitsTurn)
}

func (t *Task) parkFiber(deadline Time) error {
	l := t.loop
	for {
		switch {
		case t.token:
			t.token = false
			return nil
		case t.hungup:
			t.forget()
			return ErrHangup
		case l.closing:
			t.spend(0) // a task that does not heed the error must not keep the others from ending
			return ErrClosed
		case deadline != 0 && deadline <= l.now:
			return ErrTimeout
		}
		t.waitUntil(waitsWake, deadline)
	}
}

func (t *Task) sleepFiber(d time.Duration) error {
	l := t.loop
	at := l.now + Time(d)
	for at > l.now && !l.closing {
		t.waitUntil(waitsTime, at)
	}
	if l.closing {
		t.spend(0)
		return ErrClosed
	}
	return nil
}

func (t *Task) waitUntil(w waits, at Time) {
	if at != 0 {
		t.until = at
		t.loop.fibers.wheel.by(&t.timer, at)
	}
	t.suspend(w)
	t.until = 0
}

// expire is the timer's call. The timer may be a left-over of an earlier wait.
func (t *Task) expire(now Time) {
	switch {
	case t.until == 0:
	case t.until > now:
		t.loop.fibers.wheel.by(&t.timer, t.until)
	case t.waits == waitsWake || t.waits == waitsTime:
		t.loop.ready(t)
	}
}

func (t *Task) doFiber(f func()) {
	t.doing, t.done = f, false
	t.loop.engine.off.submit(t)
	for !t.done {
		t.suspend(waitsDone)
	}
	p := t.doPanic
	t.doing, t.doPanic = nil, nil
	if p != nil {
		panic(p)
	}
}

// hangup tells t that the peer it watches is gone.
func (t *Task) hangup() {
	t.hungup = true
	if t.std != nil {
		t.std.hang.set()
		return
	}
	if t.waits == waitsWake {
		t.loop.ready(t)
	}
}

// shutFibers closes what the loop has and lets every task know. The loop goes on until the last task has ended.
func (l *Loop) shutFibers() {
	for _, ln := range l.listeners {
		ln.shut()
	}
	l.listeners = nil
	for _, c := range l.fibers.conns {
		if c != nil {
			c.end()
		}
	}
	for _, t := range l.tasks {
		if t.waits == waitsWake || t.waits == waitsTime {
			l.ready(t)
		}
	}
}

// finish lets go of what is left when the last task has ended.
func (l *Loop) finish() {
	for _, t := range l.tasks {
		t.fiber.stop()
	}
	l.tasks, l.fibers.free = nil, nil
	for _, c := range l.fibers.conns { // that came while the loop was ending
		if c != nil {
			c.end()
		}
	}
	l.showStats()
	l.kick.Lock()
	l.kick.over = true
	l.kick.Unlock()
	l.poll.close()
	close(l.ended)
}
