package loop

import (
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// Loop is one line of execution, with the connections and tasks that belong to it. Its methods are for its own tasks and
// callbacks only, but for those that say otherwise.
type Loop struct {
	engine *Engine
	index  int
	ended  chan struct{} // closed when nothing of the loop is left

	// Owned by the loop: read and written by its tasks and callbacks only.
	cur       *Task // runs now; nil in a callback
	now       Time
	wall      time.Time
	closing   bool
	untold    bool    // how long the last turn took has not been looked at
	tasks     []*Task // all that exist, at rest ones too
	listeners []*Listener
	running   int    // tasks that have something to run
	serial    uint32 // of the newest connection, never 0
	count     Stats
	busy      busy
	small     [][]byte
	large     [][]byte
	fibers    fibers // the fiber body's
	baton     baton  // the goroutine body's

	poll poller

	_ [64]byte // what others write stays off the lines above

	phase  atomic.Int64  // when the turn under way began, odd; 0 while the loop waits
	holder atomic.Uint64 // goroutine that runs in this turn, for the watchdog
	awake  atomic.Bool   // the watchdog knows that the loop is at work
	slow   atomic.Int64  // the turn that the watchdog has an eye on, as in phase
	took   atomic.Int64  // how long that turn took, once it is over
	missed atomic.Int64  // the longest slow turn that the watchdog had no eye on
	inbox  inbox
	shown  shownStats

	kick struct { // guards the eventfd against use after its end
		sync.Mutex
		over bool
	}
}

func newLoop(e *Engine, index int) *Loop {
	l := &Loop{engine: e, index: index, ended: make(chan struct{})}
	l.setClock(time.Now())
	return l
}

// Fibers reports whether the loop's tasks are fibers, and a connection that rests is cheap to wake. From any goroutine.
func (l *Loop) Fibers() bool { return !l.goroutines() }

// Index is the loop's place in Engine.Loops. From any goroutine.
func (l *Loop) Index() int { return l.index }

// Now is the time of this turn. Only on the loop.
func (l *Loop) Now() Time { return l.now }

// Wall is the wall clock of this turn (UTC), coarse to a turn. Only on the loop.
func (l *Loop) Wall() time.Time { return l.wall.UTC() }

func (l *Loop) setClock(now time.Time) {
	l.wall, l.untold = now, true
	l.now = l.engine.clock(now)
}

// Current returns the task that runs now, nil outside of tasks. For what runs on the loop.
func (l *Loop) Current() *Task { return l.cur }

// Go starts a task. Only on the loop (from a task or a callback); the task runs in this turn or the next.
func (l *Loop) Go(r Runner) {
	l.running++
	if l.goroutines() {
		l.goBaton(r)
		return
	}
	l.goFiber(r)
}

// Post runs f on the loop, not in a task: it must not block. From any goroutine. What is posted runs in order; after
// the engine's end it is dropped.
func (l *Loop) Post(f func()) { l.leave(&note{f: f}) }

// leave puts a note into the inbox and sees to it that the loop reads it. From any goroutine.
func (l *Loop) leave(n *note) {
	if !l.inbox.push(n) {
		return // whoever pushed the first sees to it
	}
	if l.goroutines() {
		l.baton.knock()
		return
	}
	if l.phase.Load() != 0 {
		return // the loop looks before it waits
	}
	l.kick.Lock()
	defer l.kick.Unlock()
	if !l.kick.over {
		l.poll.kick()
	}
}

// Listen accepts connections from an inherited or opened listening socket (which it takes over) and gives each to h.
// From any goroutine but the loop's own: it waits for the loop.
func (l *Loop) Listen(f *os.File, h Acceptor) (*Listener, error) {
	ln, err := l.openListener(f, h)
	if cerr := f.Close(); err == nil && cerr != nil {
		ln.discard()
		err = cerr
	}
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	if l.wait(func() { err = ln.begin() }) != nil {
		err = ErrClosed
	}
	if err != nil {
		ln.discard()
		return nil, fmt.Errorf("listening: %w", err)
	}
	return ln, nil
}

// wait runs f on the loop and waits for it; ErrClosed when the loop ended instead.
func (l *Loop) wait(f func()) error {
	done := make(chan struct{})
	l.Post(func() { defer close(done); f() })
	select {
	case <-done:
		return nil
	case <-l.ended:
	}
	select {
	case <-done:
		return nil
	default:
		return ErrClosed
	}
}

// Dial connects. In a task only. A Unix socket whose backlog is full is tried again until the deadline. The error
// names the address and wraps ErrTimeout, ErrClosed or a syscall.Errno.
func (l *Loop) Dial(t *Task, to Addr, deadline Time) (*Conn, error) {
	t.mustRun("Dial")
	dial := l.dialFiber
	if l.goroutines() {
		dial = l.dialBaton
	}
	c, err := dial(t, to, deadline)
	if err != nil {
		return nil, fmt.Errorf("dialing %s: %w", to, err)
	}
	return c, nil
}

func (l *Loop) goroutines() bool { return l.engine.cfg.Goroutines }

// shut begins the end of the loop, as a callback.
func (l *Loop) shut() {
	l.closing = true
	if l.goroutines() {
		l.shutBaton()
		return
	}
	l.shutFibers()
}

// Callbacks and tasks may panic; nothing but the one that did ends. recovered is deferred around each.
func (l *Loop) recovered() {
	if v := recover(); v != nil {
		l.panicked(v)
	}
}

func (l *Loop) panicked(v any) {
	stack := debug.Stack()
	if p, ok := v.(*offloadPanic); ok {
		v, stack = p.value, p.stack
	}
	l.count.Panics++
	l.engine.cfg.Panicked(l, v, stack)
}

func (l *Loop) callPosted(f func()) {
	defer l.recovered()
	f()
}

func (l *Loop) callReady(r Rester, c *Conn) {
	defer l.recovered()
	r.Ready(c)
}

func (l *Loop) callExpired(r Rester, c *Conn) {
	defer l.recovered()
	r.Expired(c)
}

func (l *Loop) callAccept(h Acceptor, c *Conn) {
	l.count.Accepted++
	defer func() {
		if v := recover(); v != nil {
			l.panicked(v)
			if err := c.Close(); err != nil && err != ErrClosed {
				l.panicked(err)
			}
		}
	}()
	h.Accept(c)
}

// How many buffers a loop keeps: a burst's memory goes back to the collector.
const (
	keptBuffers      = 256
	keptLargeBuffers = 32
)

// Buffer takes a buffer of BufferSize bytes from the loop; Release gives it back. What is in it is not cleared. Only
// on the loop.
func (l *Loop) Buffer() []byte {
	if n := len(l.small); n > 0 {
		b := l.small[n-1]
		l.small[n-1] = nil
		l.small = l.small[:n-1]
		return b
	}
	return make([]byte, BufferSize)
}

// LargeBuffer takes a buffer of LargeBufferSize, for bodies; Release takes it back too.
func (l *Loop) LargeBuffer() []byte {
	if n := len(l.large); n > 0 {
		b := l.large[n-1]
		l.large[n-1] = nil
		l.large = l.large[:n-1]
		return b
	}
	return make([]byte, LargeBufferSize)
}

// Release gives back a buffer of Buffer or LargeBuffer, whole or a slice of it that begins where it began.
func (l *Loop) Release(b []byte) {
	switch {
	case cap(b) == BufferSize && len(l.small) < keptBuffers:
		l.small = append(l.small, b[:BufferSize])
	case cap(b) == LargeBufferSize && len(l.large) < keptLargeBuffers:
		l.large = append(l.large, b[:LargeBufferSize])
	}
}
