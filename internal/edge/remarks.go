package edge

import (
	"bytes"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/weirhq/weir/internal/notice"
)

const (
	remarkLine  = 1 << 10 // bytes of a line; what is longer goes on in the next
	remarkLimit = 8 << 10 // bytes that one request may say; what is more is only counted
	remarkQueue = 256     // lines that wait for the log
)

// remarks is what a program says beside its response to one request: lines for weir's log.
type remarks struct {
	part []byte
	left int
	more int64 // bytes that were not passed on
}

func (r *remarks) reset() { *r = remarks{part: r.part[:0], left: remarkLimit} }

// take takes what was said.
func (r *remarks) take(h *handler, b []byte) {
	if n := min(len(b), r.left); n < len(b) {
		r.more += int64(len(b) - n)
		b = b[:n]
	}
	r.left -= len(b)
	for len(b) > 0 {
		end, skip := len(b), 0
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			end, skip = i, 1
		}
		if room := remarkLine - len(r.part); end > room {
			end, skip = room, 0
		}
		r.part = append(r.part, b[:end]...)
		b = b[end+skip:]
		if skip == 1 || len(r.part) == remarkLine {
			r.tell(h)
		}
	}
}

// flush tells what has no end of line, and how much was left out.
func (r *remarks) flush(h *handler) {
	r.tell(h)
	if r.more > 0 {
		h.l.edge.tell(h, "", r.more)
		r.more = 0
	}
}

func (r *remarks) tell(h *handler) {
	if line := bytes.TrimSpace(r.part); len(line) > 0 {
		h.l.edge.tell(h, string(notice.AppendPrintable(nil, line)), 0)
	}
	r.part = r.part[:0]
}

// remark is one line for the log.
type remark struct {
	pool, server, id, line string
	more                   int64
}

// teller writes the remarks of programs to the log, on a goroutine of its own: a log may block, and a loop must not.
type teller struct {
	lines chan remark
	lost  atomic.Int64
	done  sync.WaitGroup
}

func newTeller() *teller {
	t := &teller{lines: make(chan remark, remarkQueue)}
	t.done.Go(t.run)
	return t
}

func (t *teller) run() {
	for r := range t.lines {
		log := slog.With("pool", r.pool, "server", r.server, "id", r.id)
		if r.more > 0 {
			log.Warn("the program said more than is logged of one request", "bytes", r.more)
		} else {
			log.Warn("the program says", "line", r.line)
		}
		if n := t.lost.Swap(0); n > 0 {
			slog.Warn("lines of programs were not logged: they came faster than the log takes them", "lines", n)
		}
	}
}

// stop ends the goroutine when it has written what waits. Nobody may tell anything any more.
func (t *teller) stop() {
	close(t.lines)
	t.done.Wait()
}

// tell hands a remark over; it never waits.
func (e *Edge) tell(h *handler, line string, more int64) {
	j := &h.x.Journal
	select {
	case e.teller.lines <- remark{pool: j.Pool, server: j.Server, id: string(h.x.ID), line: line, more: more}:
	default:
		e.teller.lost.Add(1)
	}
}
