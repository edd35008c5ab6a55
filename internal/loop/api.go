// Package loop is the engine: loops that own connections, tasks that serve them, timers, buffers and wake-ups.
//
// A loop is one line of execution: at any time at most one of its tasks or callbacks runs, so what belongs to a
// loop (its connections, its idle servers' connections, its buffers, its counters) needs no lock. A task has two
// bodies: a fiber, switched to directly by an epoll loop, and a goroutine that takes turns by its loop's baton.
// Request code cannot tell them apart.
//
// The package holds all of weir's raw system calls. It knows nothing of HTTP.
package loop

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"time"
)

// Time is nanoseconds on the monotonic clock since the engine's start (never 0 for a real time). 0 as a deadline means none.
type Time = int64

// Errors of connections and tasks.
var (
	ErrTimeout = errors.New("time limit reached") // implements net.Error with Timeout() true
	ErrClosed  = net.ErrClosed
	ErrHangup  = errors.New("peer hung up") // see Conn.Watch
)

// Config says what engine to start.
type Config struct {
	Loops      int  // at least 1
	Goroutines bool // tasks are goroutines even where fibers are to be had
	// Panicked is told of a panic in a task; the task alone ends.
	Panicked func(l *Loop, value any, stack []byte)
	// Slow is told of a turn of a loop that took longer than SlowTurn (50 ms when 0), with the stack that caused it.
	Slow     func(l *Loop, took time.Duration, stack []byte)
	SlowTurn time.Duration
}

type Engine struct{ loops []*Loop }

// Start starts the loops.
func Start(cfg Config) (*Engine, error) { panic("scaffold") }

// Loops returns the loops; len is Config.Loops.
func (e *Engine) Loops() []*Loop { panic("scaffold") }

// Close closes every connection and listener, ends every task with ErrClosed and waits until all of it is gone.
func (e *Engine) Close() error { panic("scaffold") }

type Loop struct{}

func (l *Loop) Index() int { panic("scaffold") }

// Now is the time of this turn. Only on the loop.
func (l *Loop) Now() Time { panic("scaffold") }

// Wall is the wall clock of this turn (UTC), coarse to a turn. Only on the loop.
func (l *Loop) Wall() time.Time { panic("scaffold") }

// Go starts a task. Only on the loop (from a task or a callback); the task runs in this turn or the next.
func (l *Loop) Go(r Runner) { panic("scaffold") }

// Post runs f on the loop, not in a task: it must not block. From any goroutine.
func (l *Loop) Post(f func()) { panic("scaffold") }

// Listen accepts connections from an inherited or opened listening socket (which it takes over) and gives each to h.
// From any goroutine.
func (l *Loop) Listen(f *os.File, h Acceptor) (*Listener, error) { panic("scaffold") }

// Listener is one listening socket of a loop.
type Listener struct{}

// Close stops accepting. The socket itself stays open in other processes that hold it. From any goroutine; waits.
func (l *Listener) Close() error { panic("scaffold") }

// Acceptor gets each accepted connection, on the loop, not in a task.
type Acceptor interface{ Accept(c *Conn) }

// Addr is where to dial: an IP and port, or the path of a Unix socket.
type Addr struct {
	IP   netip.AddrPort
	Unix string
}

// Dial connects. In a task only. A Unix socket whose backlog is full is tried again until the deadline.
func (l *Loop) Dial(t *Task, to Addr, deadline Time) (*Conn, error) { panic("scaffold") }

// Buffer takes a buffer of BufferSize bytes from the loop; Release gives it back. Only on the loop.
func (l *Loop) Buffer() []byte   { panic("scaffold") }
func (l *Loop) Release(b []byte) { panic("scaffold") }

// LargeBuffer takes a buffer of LargeBufferSize, for bodies; Release takes it back too.
func (l *Loop) LargeBuffer() []byte { panic("scaffold") }

const (
	BufferSize      = 16 << 10
	LargeBufferSize = 128 << 10
)

// Runner is what a task runs. Implemented by long-lived structs, so that starting a task allocates nothing.
type Runner interface{ Run(t *Task) }

// Task is one line of request code under way.
type Task struct{}

func (t *Task) Loop() *Loop { panic("scaffold") }

// Sleep waits; ErrClosed when the engine stops.
func (t *Task) Sleep(d time.Duration) error { panic("scaffold") }

// Park waits for Wake until the deadline (ErrTimeout). A Wake that came before is not lost: Park then returns at
// once. Tasks are reused, so a late Wake may reach a stranger: always park in a loop that tests a condition.
func (t *Task) Park(deadline Time) error { panic("scaffold") }

// Wake makes the task's current or next Park return. From any goroutine.
func (t *Task) Wake() { panic("scaffold") }

// Do runs f on an ordinary goroutine while the task waits: for what may block (disk, DNS).
func (t *Task) Do(f func()) { panic("scaffold") }

// Conn is a stream connection of one loop. It is a net.Conn. At a time one task may read and another may write.
// Only on its loop, but for the methods that say otherwise.
type Conn struct{}

func (c *Conn) Loop() *Loop { panic("scaffold") }

// Read reads what is there, parking the running task until there is something. io.EOF when the peer closed its side.
func (c *Conn) Read(p []byte) (int, error) { panic("scaffold") }

// Write writes all of p, parking as needed.
func (c *Conn) Write(p []byte) (int, error) { panic("scaffold") }

// Write2 writes all of a, then all of b, in one system call where the socket takes it.
func (c *Conn) Write2(a, b []byte) (int64, error) { panic("scaffold") }

// SendFile writes n bytes of f from offset off. The disk is waited for off the loop.
func (c *Conn) SendFile(t *Task, f *os.File, off, n int64) (int64, error) { panic("scaffold") }

// ReadBy and WriteBy set the deadlines of reads and writes, under way ones too. 0 is none. They are cheap.
func (c *Conn) ReadBy(at Time)  { panic("scaffold") }
func (c *Conn) WriteBy(at Time) { panic("scaffold") }

// net.Conn's forms of the same.
func (c *Conn) SetDeadline(t time.Time) error      { panic("scaffold") }
func (c *Conn) SetReadDeadline(t time.Time) error  { panic("scaffold") }
func (c *Conn) SetWriteDeadline(t time.Time) error { panic("scaffold") }
func (c *Conn) LocalAddr() net.Addr                { panic("scaffold") }
func (c *Conn) RemoteAddr() net.Addr               { panic("scaffold") }

// Peer is the peer's address without allocation; the zero value for a Unix socket.
func (c *Conn) Peer() netip.AddrPort { panic("scaffold") }

// CloseWrite sends FIN. Close closes; operations of other tasks on the connection return ErrClosed. Reset closes
// with RST, so that the peer learns that the message was cut.
func (c *Conn) CloseWrite() error { panic("scaffold") }
func (c *Conn) Close() error      { panic("scaffold") }
func (c *Conn) Reset() error      { panic("scaffold") }

// Watch makes t's Park return ErrHangup when the peer closes or resets while t is parked for another reason; nil ends the watch.
// It returns ErrHangup at once when the peer is already gone. A peer that has only shut down its sending side
// counts as gone when half is true.
func (c *Conn) Watch(t *Task, half bool) error { panic("scaffold") }

// Rest gives an idle connection back to the loop: it holds no task and no buffer. When bytes arrive or the peer
// closes, r.Ready is called; when the time is reached, r.Expired; both on the loop, not in a task, once; the rest is over by then.
func (c *Conn) Rest(r Rester, until Time) { panic("scaffold") }

// Unrest ends the rest from elsewhere on the loop, so that the connection can be used again. False if the peer is already known to have
// closed or to have sent something.
func (c *Conn) Unrest() bool { panic("scaffold") }

// Rester is told how a rest ended.
type Rester interface {
	Ready(c *Conn)
	Expired(c *Conn)
}
