package app

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/weirhq/weir/internal/notice"
)

// sinkSize bounds what waits for a slow output. A worker never waits for it: beyond this, lines are dropped and counted.
const sinkSize = 1 << 20

// Sink writes lines of many writers to one output, each whole. Writing to it never waits. Any goroutine may use it.
type Sink struct {
	out     io.Writer
	printer *notice.Printer
	wake    chan struct{}
	done    chan struct{}
	feed    feed

	mu      sync.Mutex
	waiting []byte
	spare   []byte
	dropped int
	total   int
	closed  bool
	writing bool // a batch is on its way
}

// NewSink returns a sink that writes to out, in a form for it.
func NewSink(out io.Writer, form notice.Form) *Sink {
	s := &Sink{out: out, printer: notice.NewPrinter(form), wake: make(chan struct{}, 1), done: make(chan struct{})}
	s.feed.base = uint64(time.Now().UnixMilli())
	s.feed.next = s.feed.base
	go s.run()
	return s
}

// Write takes p, which should be whole lines, and always says that it was written.
func (s *Sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	if s.closed || len(s.waiting)+len(p) > sinkSize {
		s.dropped++
		s.total++
	} else {
		s.waiting = append(s.waiting, p...)
	}
	s.mu.Unlock()
	s.poke()
	return len(p), nil
}

// Line writes one line of a worker's output with the time and who said it.
func (s *Sink) Line(at time.Time, who string, line []byte) {
	app, _, _ := strings.Cut(who, "/")
	s.feed.add(Said{At: at, App: app, Worker: who, Text: string(line)})
	s.Write(s.printer.Append(make([]byte, 0, len(line)+len(who)+64), at, who, slog.LevelInfo, line, "")) //nolint:errcheck // never fails
}

// warn writes a line about a worker's output.
func (s *Sink) warn(at time.Time, who, text string) {
	s.Write(s.printer.Append(nil, at, who, slog.LevelWarn, []byte(text), "")) //nolint:errcheck // never fails
}

// Logger returns a logger of the process called who, whose lines are among the others.
func (s *Sink) Logger(who string, level slog.Leveler) *slog.Logger {
	return slog.New(notice.Handler(s, s.printer, who, level))
}

// Dropped returns how many writes were dropped since the beginning.
func (s *Sink) Dropped() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// Flush waits until what was said before is written, for at most the given time.
func (s *Sink) Flush(within time.Duration) {
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(time.Millisecond) {
		s.mu.Lock()
		written := len(s.waiting) == 0 && s.dropped == 0 && !s.writing
		s.mu.Unlock()
		if written {
			return
		}
	}
}

// Close writes what waits, for at most the given time: an output that nobody reads does not hold weir up.
func (s *Sink) Close(within time.Duration) {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.poke()
	t := time.NewTimer(within)
	defer t.Stop()
	select {
	case <-s.done:
	case <-t.C:
	}
}

func (s *Sink) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *Sink) run() {
	defer close(s.done)
	for range s.wake {
		for {
			s.mu.Lock()
			batch, dropped, closed := s.waiting, s.dropped, s.closed
			if len(batch) == 0 && dropped == 0 {
				s.mu.Unlock()
				if closed {
					return
				}
				break
			}
			s.waiting, s.spare, s.dropped, s.writing = s.spare, nil, 0, true // two buffers, never one under both names
			s.mu.Unlock()
			// An output that fails (a closed terminal, a full disk) must not stop the workers; there is nowhere else to say so.
			s.out.Write(batch) //nolint:errcheck // see above
			if dropped > 0 {
				s.out.Write(s.printer.Append(nil, time.Now(), "weir", slog.LevelWarn, fmt.Appendf(nil, "%d lines dropped: the output is too slow for them", dropped), "")) //nolint:errcheck // see above
			}
			s.mu.Lock()
			s.spare, s.writing = batch[:0], false
			s.mu.Unlock()
		}
	}
}
