package loop

import (
	"context"
	"runtime"
	"sync"
	"time"
)

// The goroutine body: every task is a goroutine, and a loop is a baton. Whoever runs holds it, and gives it up for as long as it
// waits, so at most one task or callback of a loop runs at a time, as with fibers. Sockets are the net package's. It
// serves where there is no epoll, and protocols whose library brings its own goroutines; it is not made for
// speed.

// baton is a loop's part of the goroutine body.
type baton struct {
	held    sync.Mutex
	knocked chan struct{}   // the inbox has something, or the end may have come
	closing context.Context // done when the loop is closing
	close   context.CancelFunc

	// Owned by the loop, which is who holds the baton.
	conns   map[*Conn]struct{}
	helpers int // goroutines that are no tasks: accepting, looking ahead
}

// knock has the inbox looked into. From any goroutine.
func (b *baton) knock() {
	select {
	case b.knocked <- struct{}{}:
	default:
	}
}

// flag is something to wait for that may have come already.
type flag chan struct{}

func newFlag() flag { return make(flag, 1) }

func (f flag) set() {
	select {
	case f <- struct{}{}:
	default:
	}
}

// stdTask is a task's part of the goroutine body.
type stdTask struct {
	wake flag
	hang flag // Task.hungup may have changed
}

func (l *Loop) openBaton() {
	b := &l.baton
	b.knocked = make(chan struct{}, 1)
	b.closing, b.close = context.WithCancel(context.Background())
	b.conns = make(map[*Conn]struct{})
}

func (l *Loop) startBaton() { go l.drive() }

// drive runs what is posted, and ends the loop.
func (l *Loop) drive() {
	id := goroutineID()
	for over := false; !over; {
		<-l.baton.knocked
		l.take(nil, id)
		for n := l.inbox.take(); n != nil; {
			next := n.next
			n.next = nil
			l.callPosted(n.f)
			n = next
		}
		over = l.closing && l.running == 0 && l.baton.helpers == 0
		l.give()
	}
	close(l.ended)
}

// take waits for the baton. From here on the goroutine with this id is the loop, running t or, if nil, a callback.
func (l *Loop) take(t *Task, id uint64) {
	l.baton.held.Lock()
	l.cur = t
	l.setClock(time.Now())
	l.phase.Store(l.now | 1)
	l.holder.Store(id)
	l.engine.dog.noticeTurn(l)
	l.count.Turns++
}

func (l *Loop) give() {
	l.noteSlowTurn(l.phase.Load())
	l.noteMissedTurn(time.Now())
	l.showStats()
	l.cur = nil
	l.phase.Store(0)
	l.baton.held.Unlock()
}

// help starts a goroutine that is no task. It must call helped when it ends, with the baton.
func (l *Loop) help(f func()) {
	l.baton.helpers++
	go f()
}

func (l *Loop) helped() {
	l.baton.helpers--
	l.knockIfLast()
}

func (l *Loop) knockIfLast() {
	if l.closing && l.running == 0 && l.baton.helpers == 0 {
		l.baton.knock()
	}
}

func (l *Loop) goBaton(r Runner) {
	t := &Task{loop: l, runner: r, live: true, std: &stdTask{wake: newFlag(), hang: newFlag()}}
	go t.bodyBaton()
}

func (t *Task) bodyBaton() {
	t.id = goroutineID()
	t.loop.take(t, t.id)
	defer func() { // deferred, for a task may call runtime.Goexit
		t.end()
		t.loop.knockIfLast()
		t.loop.give()
	}()
	t.run()
}

// aside runs f without the baton.
func (t *Task) aside(f func()) {
	t.loop.give()
	defer t.loop.take(t, t.id)
	f()
}

func (t *Task) parkBaton(deadline Time) error {
	l := t.loop
	for {
		select {
		case <-t.std.wake:
			return nil
		default:
		}
		switch {
		case t.hungup:
			t.forget()
			return ErrHangup
		case l.closing:
			t.aside(runtime.Gosched) // a task that does not heed the error must not keep the others from ending
			return ErrClosed
		case deadline != 0 && deadline <= l.now:
			return ErrTimeout
		}
		woken := false
		t.aside(func() { woken = t.awaitFlags(deadline) })
		if woken {
			return nil
		}
	}
}

// awaitFlags waits for whatever may end a Park, and reports whether that was Wake.
func (t *Task) awaitFlags(deadline Time) bool {
	var expired <-chan time.Time
	if deadline != 0 {
		timer := time.NewTimer(t.loop.engine.until(deadline))
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case <-t.std.wake:
		return true
	case <-t.std.hang:
	case <-expired:
	case <-t.loop.baton.closing.Done():
	}
	return false
}

// until is how long it is until at.
func (e *Engine) until(at Time) time.Duration { return time.Until(e.moment(at)) }

// moment is the inverse of clock.
func (e *Engine) moment(at Time) time.Time { return e.start.Add(time.Duration(at - 1)) }

func (t *Task) sleepBaton(d time.Duration) error {
	l := t.loop
	if l.closing {
		t.aside(runtime.Gosched)
		return ErrClosed
	}
	if d <= 0 {
		return nil
	}
	t.aside(func() {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-l.baton.closing.Done():
		}
	})
	if l.closing {
		return ErrClosed
	}
	return nil
}

// doBaton: the task is an ordinary goroutine already, but the bound on Do holds for it too.
func (t *Task) doBaton(f func()) {
	t.aside(func() {
		t.loop.engine.off.enter()
		defer t.loop.engine.off.leave()
		f()
	})
}

// shutBaton closes what the loop has and lets every task know.
func (l *Loop) shutBaton() {
	l.baton.close()
	for _, ln := range l.listeners {
		ln.shut()
	}
	l.listeners = nil
	for c := range l.baton.conns {
		c.end()
	}
}
