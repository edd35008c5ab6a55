package telling

import (
	"io"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/journal/filter"
)

const (
	maxListeners  = 16        // at a time: each costs every request its filter
	maxSteps      = 400       // that the expressions of all their filters may cost for each byte
	listenerBytes = 512 << 10 // of one loop, that wait for one to read them; beyond that lines are dropped, and counted
	flushAfter    = 50 * time.Millisecond
	beatAfter     = 15 * time.Second // an empty line, so that one who has left is noticed where nothing happens
)

// Listener is one who hears of requests as they end. Each loop has a buffer for it; its goroutine takes what is there.
type Listener struct {
	as     string // its name, by which it goes over to the next edge; empty: it does not
	filter *filter.Filter
	text   string // the filter's
	shown  bool   // the filter sees what the redaction leaves
	wake   chan struct{}
	end    <-chan struct{} // of the teller
	parts  []part
	lost   atomic.Uint64 // since it was last told
}

// part is what a listener has heard on one loop. The loop locks it while it appends, the goroutine while it swaps two slices; that one
// only ever tries, so that the loop never has a waiter to hand it over to.
type part struct {
	mu    sync.Mutex
	buf   []byte
	spare []byte // the goroutine's
	_     [64]byte
}

// hear takes the text of a story, on a loop.
func (w *Listener) hear(loop int, text []byte) {
	p := &w.parts[loop]
	p.mu.Lock()
	before := len(p.buf)
	if before+len(text) > listenerBytes {
		p.mu.Unlock()
		w.lost.Add(1)
		return
	}
	p.buf = append(p.buf, text...)
	p.mu.Unlock()
	if before == 0 {
		select {
		case w.wake <- struct{}{}:
		default: // it has been told already
		}
	}
}

func (p *part) take() []byte {
	for !p.mu.TryLock() {
		runtime.Gosched()
	}
	p.buf, p.spare = p.spare[:0], p.buf
	p.mu.Unlock()
	return p.spare
}

// Pass writes what is heard until gone is closed, the teller ends, or a write fails: one story in JSON on each line, {"dropped": N} for
// as many that came faster than they were written, and now and then an empty line. flush is called when all that is there has been written.
func (w *Listener) Pass(gone <-chan struct{}, to io.Writer, flush func() error) {
	beat := time.NewTicker(beatAfter)
	defer beat.Stop()
	pause := time.NewTimer(flushAfter)
	defer pause.Stop()
	for {
		quiet := false
		select {
		case <-gone:
			return
		case <-w.end: // the last words
			_ = w.write(to, flush) // there is no other try
			return
		case <-beat.C:
			quiet = true
		case <-w.wake:
			pause.Reset(flushAfter) // what comes meanwhile goes with it
			select {
			case <-gone:
				return
			case <-w.end:
			case <-pause.C:
			}
		}
		if quiet {
			if _, err := to.Write([]byte("\n")); err != nil {
				return
			}
		}
		if w.write(to, flush) != nil {
			return
		}
	}
}

func (w *Listener) write(to io.Writer, flush func() error) error {
	for i := range w.parts {
		if _, err := to.Write(w.parts[i].take()); err != nil {
			return err
		}
	}
	if n := w.lost.Swap(0); n > 0 {
		text := append(strconv.AppendUint([]byte(`{"dropped":`), n, 10), "}\n"...)
		if _, err := to.Write(text); err != nil {
			return err
		}
	}
	return flush()
}

// Recent returns the texts of the stories that are kept and that the filter wants, the oldest first, at most n of them, and of none that
// ended before since.
func (t *Teller) Recent(f *filter.Filter, since time.Time, n int) [][]byte {
	var mu sync.Mutex
	var stories []*journal.Story
	t.mu.Lock()
	if t.ended {
		t.mu.Unlock()
		return nil
	}
	stories = append(stories, t.inherited...) // which nobody changes
	t.onLoops(func(l *Loop) {
		mu.Lock()
		defer mu.Unlock()
		for i := range l.rings {
			for k := range l.rings[i].all {
				stories = append(stories, l.rings[i].all[k].Clone())
			}
		}
	})
	t.mu.Unlock()
	// What a filter and a text cost is not for loops to pay, nor that of texts that nobody gets.
	stories = slices.DeleteFunc(stories, func(s *journal.Story) bool {
		return !f.Match(&s.Line) || s.Line.Time.Add(s.Line.Total).Before(since)
	})
	slices.SortStableFunc(stories, func(a, b *journal.Story) int { return a.Line.Time.Compare(b.Line.Time) })
	stories = stories[len(stories)-min(max(n, 0), len(stories)):]
	out := make([][]byte, len(stories))
	for i, s := range stories {
		out[i] = journal.AppendStory(nil, s)
	}
	return out
}
