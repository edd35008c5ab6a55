package app

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/notice"
)

const (
	lineSize  = 8 << 10 // a longer line is shown in pieces
	keptLines = 20      // the last ones, for status and error messages
	keptBytes = 500     // of each
)

// output cuts what a process writes into lines, passes them on and keeps the last.
type output struct {
	who  string
	sink *Sink
	gate *gate  // that a read has to pass; nil: there is none
	part []byte // a line without its end yet; inside the gate
	app  *config.App
	rate rate // of what is passed on

	mu   sync.Mutex
	last [][]byte // ring
	next int
}

// read reads r to its end. It never waits for anything but r and the gate.
func (o *output) read(r *os.File) {
	raw, err := r.SyscallConn()
	if err != nil {
		return // it is closed already
	}
	buf := make([]byte, 32<<10)
	for more := true; more; {
		// Read and taken in one go: what another program finds in the pipe has not been shown yet.
		err := raw.Read(func(fd uintptr) bool {
			if o.gate != nil {
				o.gate.enter()
				defer o.gate.leave()
			}
			var wait bool
			more, wait = o.once(int(fd), buf)
			return !wait
		})
		if err != nil { // the deadline that was set after the process was gone
			o.end()
			return
		}
	}
}

// once reads once. more says that there may be more, wait that there is nothing yet.
func (o *output) once(fd int, buf []byte) (more, wait bool) {
	n, err := syscall.Read(fd, buf)
	switch {
	case errors.Is(err, syscall.EAGAIN):
		return true, true
	case errors.Is(err, syscall.EINTR):
		return true, false
	case err != nil || n == 0:
		o.end()
		return false, false
	}
	o.take(buf[:n])
	return true, false
}

func (o *output) take(b []byte) {
	for len(b) > 0 {
		i := bytes.IndexByte(b, '\n')
		end := i
		if i < 0 {
			end = len(b)
		}
		if room := lineSize - len(o.part); end > room {
			o.part = append(o.part, b[:room]...)
			b = b[room:]
			o.flush(" …")
			continue
		}
		o.part = append(o.part, b[:end]...)
		if i < 0 {
			return
		}
		b = b[i+1:]
		if len(o.part) == 0 {
			o.emit(nil) // an empty line is a line
			continue
		}
		o.flush("")
	}
}

// flush passes on the line so far; more says that it is not all of it.
func (o *output) flush(more string) {
	if len(o.part) == 0 {
		return
	}
	line := bytes.TrimSuffix(o.part, []byte("\r"))
	o.emit(append(line, more...))
	o.part = o.part[:0]
}

// end passes on what is left, and says what was left out.
func (o *output) end() {
	o.flush("")
	o.leftOut()
}

// leftOut says what was left out. Any goroutine may call it.
func (o *output) leftOut() {
	now := time.Now()
	if what := o.rate.end(); what != "" {
		o.sink.warn(now, o.who, what)
	}
}

func (o *output) emit(line []byte) {
	o.pass(line)
	if len(bytes.TrimSpace(line)) == 0 {
		return
	}
	kept := notice.AppendPrintable(nil, line[:min(len(line), keptBytes)])
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.last) < keptLines {
		o.last = append(o.last, kept)
		return
	}
	o.last[o.next] = kept
	o.next = (o.next + 1) % keptLines
}

// pass passes a line on, unless the worker prints more than it may.
func (o *output) pass(line []byte) {
	now := time.Now()
	ok, what := true, ""
	if o.app != nil {
		ok, what = o.rate.pass(o.app.Output, len(line)+1, now, o.leftOut)
	}
	if what != "" {
		o.sink.warn(now, o.who, what)
	}
	if ok {
		o.sink.Line(now, o.who, line)
	}
}

// lines returns the last lines, oldest first.
func (o *output) lines() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := make([]string, 0, len(o.last))
	for i := range o.last {
		all = append(all, string(o.last[(o.next+i)%len(o.last)]))
	}
	return all
}

// words returns the last line, which is what a dying program most often says why with.
func (o *output) words() string {
	all := o.lines()
	if len(all) == 0 {
		return ""
	}
	return strings.TrimSpace(all[len(all)-1])
}
