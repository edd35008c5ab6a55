// Package loop is the engine: loops that own connections, tasks that serve them, timers, buffers and wake-ups.
//
// A loop is one line of execution: at any time at most one of its tasks or callbacks runs, so what belongs to a
// loop (its connections, its idle servers' connections, its buffers, its counters) needs no lock. A task has two
// bodies: a fiber, switched to directly by an epoll loop, and a goroutine that takes turns by its loop's baton.
// Request code cannot tell them apart.
//
// A task must never block its loop: what may block (disk, DNS, a lock held long) goes through Task.Do, and a lock must
// not be held across anything that waits, because the task that wants it next would stop the thread on which the
// holder has to go on. Turns that take too long are reported (Config.Slow).
//
// Whoever runs fibers in a process of its own sets GOMAXPROCS to the number of loops plus two: a loop keeps its P
// while it waits for a short time (docs/adr/0002-two-step-wait.md), so the collector, Task.Do and everything else
// need Ps of their own.
//
// The package holds all of weir's raw system calls. It knows nothing of HTTP.
package loop

import (
	"net"
	"net/netip"
	"time"
)

// Time is nanoseconds on the monotonic clock since the engine's start (never 0 for a real time). 0 as a deadline
// means none. All loops of an engine share the clock.
type Time = int64

// timeoutError is ErrTimeout's type: a net.Error, so that crypto/tls and others know it for what it is.
type timeoutError struct{}

func (timeoutError) Error() string   { return "time limit reached" }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }

// hangupError is ErrHangup's type.
type hangupError struct{}

func (hangupError) Error() string { return "peer hung up" }

// Errors of connections and tasks. What the kernel says (ECONNRESET, EPIPE, ECONNREFUSED, …) is returned as
// syscall.Errno, bare from reads and writes and wrapped from Dial.
var (
	ErrTimeout error = timeoutError{} // a net.Error with Timeout() true
	ErrClosed        = net.ErrClosed
	ErrHangup  error = hangupError{} // see Conn.Watch
)

// Config says what engine to start.
type Config struct {
	Loops      int  // at least 1
	Goroutines bool // tasks are goroutines even where fibers are to be had
	// Panicked is told of a panic in a task or a callback, on its loop; the task alone ends. Nil logs an error.
	Panicked func(l *Loop, value any, stack []byte)
	// Slow is told of a turn of a loop that took longer than SlowTurn (50 ms when 0), with the stack that caused it,
	// taken while the turn went on. The stack is empty when it could not be had in time, and is taken once a second
	// at most. A turn that does not end is told after twenty times SlowTurn. Called on the watchdog's goroutine,
	// which Close waits for. Nil logs a warning.
	Slow     func(l *Loop, took time.Duration, stack []byte)
	SlowTurn time.Duration
}

// Acceptor gets each accepted connection, on the loop, not in a task.
type Acceptor interface{ Accept(c *Conn) }

// Runner is what a task runs. Implemented by long-lived structs, so that starting a task allocates nothing.
type Runner interface{ Run(t *Task) }

// Rester is told how a rest ended.
type Rester interface {
	Ready(c *Conn)
	Expired(c *Conn)
}

// Addr is where to dial: an IP and port, or the path of a Unix socket (a leading @ means the abstract name space).
type Addr struct {
	IP   netip.AddrPort
	Unix string
}

// String is the address as a person writes it: ip:port, or unix:path.
func (a Addr) String() string {
	if a.Unix != "" {
		return "unix:" + a.Unix
	}
	return a.IP.String()
}

// Sizes of the buffers that a loop lends.
const (
	BufferSize      = 16 << 10
	LargeBufferSize = 128 << 10
)
