package journal

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirhq/weir/internal/journal/sink"
)

// How the access log is written. Each loop appends lines to a buffer of its own; one goroutine takes the buffers and
// writes them, so that a slow disk or a pipe that nobody reads stops that goroutine and nothing else:
//
//	loop 0 ── Line ──► [buffer] ─┐ swap
//	loop 1 ── Line ──► [buffer] ─┴──────► goroutine ── write ──► file
//
// The rejected ways: a channel of lines costs a wake-up and an allocation each; a lock around the file makes every
// loop wait for the disk.
const (
	// flushAfter is the longest time that a line stays in a buffer.
	flushAfter = 100 * time.Millisecond
	// fullAt is the length at which a buffer is taken at once. Waking the goroutine costs more than the write: at 64 KiB half of what
	// a line costs was that.
	fullAt = 1 << 20
	// firstSize is the capacity that a buffer begins with.
	firstSize = 64 << 10
	// keepAt is the capacity up to which a buffer is kept for use again; one that grew while the disk was slow is not.
	keepAt = 2 * fullAt
	// retryAfter is the wait after a write that failed: room on a full disk is made by people.
	retryAfter = time.Second
	// lookEvery is how often it is looked whether the file still has its name.
	lookEvery = 10 * time.Second
	// defaultLimit is what one loop holds when the disk does not keep up or is full, before lines are dropped.
	defaultLimit = 4 << 20
	// closeWithin bounds the last write: a pipe that nobody reads must not keep a process from ending.
	closeWithin = 5 * time.Second
)

// Options say what log to open.
type Options struct {
	To     string // as ParseTarget has it
	Format string // as ParseFormat has it
	Loops  int    // number of writers
	Limit  int    // bytes held per loop while the target is slow or full; default 4 MiB. Lines beyond are dropped and counted
	Rotate sink.Rotation
	// Facility of syslog, as sink.Facilities has it; "": daemon.
	Facility string
	// Filter says which lines are wanted; nil: all.
	Filter func(*Line) bool
	// Sample is which share of lines is written, by class of status: 0 for all, below 0 for none. Slow ones and failures are always written.
	Sample [6]float64
	// Problem is told when writing begins to fail, and with nil when it works again. On the log's goroutine; may be nil.
	Problem func(error)
	// OldFiles is told what goes wrong with rotated files. On a goroutine of its own.
	OldFiles func(error)
}

// ErrLogClosed is the answer of a log that has been closed.
var ErrLogClosed = errors.New("the access log is closed")

// Log is an open access log.
type Log struct {
	// Never change.
	path    string // of a plain file; empty for all else
	closes  bool   // the file is the log's own
	end     []byte // of a record
	problem func(error)
	writers []*Writer
	sleeps  atomic.Bool   // the goroutine has no timer: whoever adds a line wakes it
	wake    chan struct{} // there is a line
	full    chan struct{} // a buffer is full
	reopen  chan chan error
	stop    chan struct{}
	done    chan struct{}

	dropped atomic.Uint64
	trouble atomic.Pointer[string] // what is wrong; nil: nothing
	closing sync.Once

	// Owned by the goroutine.
	file   io.WriteCloser
	stuck  *Writer // whose lines could not be written: nobody's are until these are
	torn   bool    // the last write ended within a line of that one
	wrong  bool    // a problem has been told
	looks  time.Duration
	looked time.Time // when it was looked whether the file still has its name
	lost   bool      // it had not
	gone   error     // nor could it be opened anew
	err    error
}

// Writer is the log of one loop. Only that loop may call it. A nil Writer (log to "none") takes lines and forgets
// them.
type Writer struct {
	log    *Log
	format func([]byte, *Line) []byte
	filter func(*Line) bool
	shares *shares
	random uint64

	// mu is held by the loop while it appends a line and by the goroutine while it swaps two slices. The goroutine
	// only ever tries it, so the loop never finds a waiter to hand it over to.
	mu    sync.Mutex
	limit int // 0 once the log is closed
	buf   []byte
	spare []byte // the goroutine's, between swaps

	held []byte // the goroutine's: the part of spare that is not written yet
}

// Open opens the log. What cannot be written is held, tried again every second, and beyond the limit dropped. A file is created with mode
// 0640 and always appended to, in whole lines, so that two processes may share it.
func Open(o Options) (*Log, error) {
	fail := func(err error) (*Log, error) { return nil, fmt.Errorf("opening the access log: %w", err) }
	format, err := ParseFormat(o.Format)
	if err != nil {
		return fail(err)
	}
	to, err := ParseTarget(o.To)
	if err != nil {
		return fail(err)
	}
	f := format.append
	switch to.Kind {
	case ToNowhere:
		return &Log{}, nil
	case ToStdout:
		return start(o, f, os.Stdout, ""), nil
	case ToStderr:
		return start(o, f, os.Stderr, ""), nil
	case ToJournald:
		return start(o, journaldEntry(f), sink.NewJournald(to.Address), ""), nil
	case ToSyslog:
		facility, err := sink.Facility(cmp.Or(o.Facility, "daemon"))
		if err != nil {
			return fail(err)
		}
		if to.Network == "tcp" {
			return start(o, syslogMessage(f, facility), sink.NewStream(to.Address), ""), nil
		}
		return start(o, syslogMessage(f, facility), sink.NewSyslog(to.Network, to.Address), ""), nil
	}
	if o.Rotate.On() {
		told := o.OldFiles
		if told == nil {
			told = func(error) {}
		}
		file, err := sink.OpenFile(to.Address, o.Rotate, told)
		if err != nil {
			return fail(err)
		}
		return start(o, f, file, ""), nil
	}
	file, err := openLog(to.Address)
	if err != nil {
		return nil, err
	}
	return start(o, f, file, to.Address), nil
}

func start(o Options, format func([]byte, *Line) []byte, f io.WriteCloser, path string) *Log {
	l := &Log{path: path, file: f, end: lineFeed, problem: o.Problem, wake: make(chan struct{}, 1), full: make(chan struct{}, 1),
		looks: lookEvery, reopen: make(chan chan error), stop: make(chan struct{}), done: make(chan struct{})}
	_, sinks := f.(sink.Sink)
	l.closes = sinks || path != ""
	if o.To == "journald" {
		l.end = emptyLine
	}
	limit := o.Limit
	if limit <= 0 {
		limit = defaultLimit
	}
	shares := newShares(o.Sample)
	for range o.Loops {
		l.writers = append(l.writers, &Writer{log: l, format: format, limit: limit, filter: o.Filter, shares: shares, random: rand.Uint64() | 1})
	}
	l.sleeps.Store(true)
	go l.run()
	return l
}

func openLog(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("opening the access log: %w", err)
	}
	return f, nil
}

// Writer returns the writer of a loop, nil when the log goes nowhere.
func (l *Log) Writer(loop int) *Writer {
	if len(l.writers) == 0 {
		return nil
	}
	return l.writers[loop]
}

// Problem returns what is wrong with the writing, "" when nothing is. From any goroutine.
func (l *Log) Problem() string {
	if p := l.trouble.Load(); p != nil {
		return *p
	}
	return ""
}

// Dropped returns how many lines were lost because the disk was slow or full. From any goroutine.
func (l *Log) Dropped() uint64 { return l.dropped.Load() }

// Reopen writes what is held and opens the file anew, for log rotation: the old file has been renamed. When the new
// one cannot be opened the old one stays. From any goroutine; waits.
func (l *Log) Reopen() error {
	if len(l.writers) == 0 {
		return nil
	}
	answer := make(chan error, 1)
	select {
	case l.reopen <- answer:
		return <-answer
	case <-l.done:
		return ErrLogClosed
	}
}

// Close writes what is held, closes the file and waits for it, five seconds at most. Lines that come later are
// dropped and counted. It may be called more than once.
func (l *Log) Close() error {
	if len(l.writers) == 0 {
		return nil
	}
	l.closing.Do(func() { close(l.stop) })
	limit := time.NewTimer(closeWithin)
	defer limit.Stop()
	select {
	case <-l.done:
		return l.err
	case <-limit.C:
		return fmt.Errorf("closing the access log: it took nothing for %v", closeWithin)
	}
}

// On reports whether lines go anywhere: if not, there is no need to fill one in.
func (w *Writer) On() bool { return w != nil }

// Line appends a line, if it is wanted. It does not block, and allocates only while the buffer grows.
func (w *Writer) Line(l *Line) { w.Show(l, l) }

// Show is Line, where what is shown of a line is not all that decides whether it is wanted.
func (w *Writer) Show(l, shown *Line) {
	if w == nil || w.filter != nil && !w.filter(l) {
		return
	}
	share, ok := w.share(l)
	if !ok {
		return
	}
	shown.Sample = share
	w.append(shown)
	shown.Sample = ""
}

func (w *Writer) append(l *Line) {
	w.mu.Lock()
	before := len(w.buf)
	if before >= w.limit {
		w.mu.Unlock()
		w.log.dropped.Add(1)
		return
	}
	if w.buf == nil {
		w.buf = make([]byte, 0, firstSize)
	}
	w.buf = w.format(w.buf, l)
	after := len(w.buf)
	w.mu.Unlock()
	switch {
	case before < fullAt && after >= fullAt:
		notify(w.log.full)
	case w.log.sleeps.Load():
		notify(w.log.wake)
	}
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // it has been told already
	}
}

// take swaps the loop's buffer for the empty one and returns it.
func (w *Writer) take() []byte {
	for !w.mu.TryLock() {
		runtime.Gosched()
	}
	w.buf, w.spare = w.spare[:0], w.buf
	w.mu.Unlock()
	return w.spare
}

func (w *Writer) empty() bool {
	for !w.mu.TryLock() {
		runtime.Gosched()
	}
	defer w.mu.Unlock()
	return len(w.buf) == 0
}

// close makes the writer drop what comes from now on.
func (w *Writer) close() {
	for !w.mu.TryLock() {
		runtime.Gosched()
	}
	w.limit = 0
	w.mu.Unlock()
}

// run is the log's goroutine. With nothing logged it sleeps without a timer.
func (l *Log) run() {
	defer close(l.done)
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	defer timer.Stop()
	for {
		select {
		case <-l.wake:
			l.awake(timer)
		case <-l.full:
			l.flush()
			l.awake(timer)
		case <-timer.C:
			if l.idle() {
				// A line that came before this is found now, one that comes after it wakes.
				if l.sleeps.Store(true); l.idle() {
					continue
				}
			}
			l.flush()
			l.awake(timer)
		case answer := <-l.reopen:
			l.flush()
			answer <- l.open()
			l.awake(timer)
		case <-l.stop:
			for _, w := range l.writers {
				w.close()
			}
			l.flush()
			if w := l.stuck; w != nil {
				l.dropped.Add(uint64(bytes.Count(w.held, l.end)))
			}
			if l.closes {
				l.err = l.file.Close()
			}
			return
		}
	}
}

// awake has the goroutine look again soon, or later if the target takes nothing.
func (l *Log) awake(timer *time.Timer) {
	l.sleeps.Store(false)
	after := flushAfter
	if l.stuck != nil {
		after = retryAfter
	}
	timer.Reset(after)
}

// idle reports whether there is nothing to write.
func (l *Log) idle() bool {
	if l.stuck != nil {
		return false
	}
	for _, w := range l.writers {
		if !w.empty() {
			return false
		}
	}
	return true
}

// open replaces the file by what the path names now.
func (l *Log) open() error {
	if s, ok := l.file.(sink.Sink); ok {
		if err := s.Reopen(); err != nil {
			return fmt.Errorf("opening the access log: %w", err)
		}
		return nil
	}
	if l.path == "" {
		return nil
	}
	f, err := openLog(l.path)
	if err != nil {
		return err
	}
	old := l.file
	l.file = f
	if l.torn { // its beginning stands in the old file
		l.torn = false
		l.dropped.Add(1)
		l.stuck.held = l.stuck.held[bytes.IndexByte(l.stuck.held, '\n')+1:]
	}
	if err := old.Close(); err != nil {
		return fmt.Errorf("closing the old access log: %w", err)
	}
	return nil
}

// flush writes every loop's buffer and tells of a problem when it begins and when it is over.
func (l *Log) flush() {
	err := l.flushAll()
	if err == nil {
		err = l.follow(time.Now())
	}
	was := l.wrong
	l.wrong = err != nil
	switch {
	case was == l.wrong:
		return
	case l.wrong:
		text := err.Error()
		l.trouble.Store(&text)
		err = fmt.Errorf("writing the access log: %w", err)
	default:
		l.trouble.Store(nil)
	}
	if l.problem != nil {
		l.problem(err)
	}
}

// follow opens a file anew that has lost its name for longer than those need who rename it and then say so: what is written to it reaches
// nobody. (A file that rotates sees to that by itself.) The error is that there is none to be opened; it is tried again.
func (l *Log) follow(now time.Time) error {
	mine, plain := l.file.(*os.File)
	if l.path == "" || !plain || now.Sub(l.looked) < l.looks {
		return l.gone
	}
	l.looked = now
	if named, err := os.Stat(l.path); err == nil {
		if is, err := mine.Stat(); err == nil && os.SameFile(named, is) {
			l.lost, l.gone = false, nil
			return nil
		}
	}
	if !l.lost {
		l.lost = true
		return l.gone
	}
	if l.gone = l.open(); l.gone != nil {
		l.gone = fmt.Errorf("its file is gone, and nobody finds the lines: %w", l.gone)
	}
	return l.gone
}

// flushAll stops at the first loop whose lines cannot be written: one that was written in part is gone on with before
// any other.
func (l *Log) flushAll() error {
	if l.stuck != nil {
		if err := l.write(l.stuck); err != nil {
			return err
		}
	}
	for _, w := range l.writers {
		w.held = w.take()
		if len(w.held) == 0 {
			continue
		}
		if err := l.write(w); err != nil {
			return err
		}
	}
	return nil
}

func (l *Log) write(w *Writer) error {
	n, err := l.file.Write(w.held)
	if n > 0 {
		l.torn = w.held[n-1] != '\n'
	}
	w.held = w.held[n:]
	if err != nil {
		l.stuck = w
		return err
	}
	l.stuck = nil
	if cap(w.spare) > keepAt {
		w.spare = nil
	}
	return nil
}
