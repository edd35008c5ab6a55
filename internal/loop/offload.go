package loop

import (
	"runtime/debug"
	"sync"
)

// offloadMax is how many functions of Task.Do run at a time in an engine; more wait their turn. It bounds what clients can
// make the machine do at once, and is enough to keep disks busy.
const offloadMax = 64

// offload runs the functions of Task.Do on ordinary goroutines, which end with the engine.
type offload struct {
	workers sync.WaitGroup

	mu      sync.Mutex
	some    sync.Cond
	first   *Task // queue, by Task.doNext
	last    *Task
	queued  int
	idle    int
	started int
	closed  bool
}

// offloadPanic carries a panic of a function of Do to the task that asked for it.
type offloadPanic struct {
	value any
	stack []byte
}

func (o *offload) init() { o.some.L = &o.mu }

// submit queues t.doing. The task's loop is told by Task.doneNote.
func (o *offload) submit(t *Task) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.last == nil {
		o.first = t
	} else {
		o.last.doNext = t
	}
	o.last = t
	o.queued++
	if o.queued > o.idle && o.started < offloadMax {
		o.started++
		o.workers.Go(o.work)
		return
	}
	o.some.Signal()
}

func (o *offload) work() {
	for {
		t := o.take()
		if t == nil {
			return
		}
		t.doPanic = guarded(t.doing)
		t.loop.leave(&t.doneNote)
	}
}

func (o *offload) take() *Task {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.idle++
	for o.first == nil && !o.closed {
		o.some.Wait()
	}
	o.idle--
	t := o.first
	if t == nil {
		return nil
	}
	o.first = t.doNext
	if o.first == nil {
		o.last = nil
	}
	t.doNext = nil
	o.queued--
	return t
}

// close ends the goroutines and waits for them. No task is left by then.
func (o *offload) close() {
	o.mu.Lock()
	o.closed = true
	o.some.Broadcast()
	o.mu.Unlock()
	o.workers.Wait()
}

// guarded runs f and returns its panic.
func guarded(f func()) (p *offloadPanic) {
	defer func() {
		if v := recover(); v != nil {
			p = &offloadPanic{v, debug.Stack()}
		}
	}()
	f()
	return nil
}
