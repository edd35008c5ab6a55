package edge

import (
	"errors"
	"io"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/weirhq/weir/internal/api"
)

// spans are those of one loop that nobody has taken yet.
type spans struct {
	mu   sync.Mutex // held by the loop while it appends, by who takes while it swaps
	all  []api.Spans
	lost uint64
}

// What waits on one loop while nobody takes it is bounded: a desk that is started anew finds the last seconds.
const (
	spansChunk = 64 << 10 // bytes
	maxChunks  = 64
)

// put adds n spans. On the loop.
func (s *spans) put(data []byte, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := len(s.all) - 1
	switch {
	case last >= 0 && len(s.all[last].Data)+len(data) <= spansChunk:
	case last+1 < maxChunks:
		s.all = append(s.all, api.Spans{Data: make([]byte, 0, max(len(data), spansChunk))})
		last++
	default:
		s.lost += uint64(n)
		return
	}
	one := &s.all[last]
	one.Data = append(one.Data, data...)
	one.Spans += n
}

// take takes all. It only ever tries, so that a loop never has somebody to hand the mutex over to.
func (s *spans) take(to []api.Spans) []api.Spans {
	for !s.mu.TryLock() {
		runtime.Gosched()
	}
	all, lost := s.all, s.lost
	s.all, s.lost = nil, 0
	s.mu.Unlock()
	if to = append(to, all...); lost > 0 {
		to = append(to, api.Spans{Dropped: lost})
	}
	return to
}

// spanTelling is who listens, and what edges before this one have left to be told.
type spanTelling struct {
	mu    sync.Mutex
	ended chan struct{} // closed when the edge ends; made with the edge
	over  bool
	left  []api.Spans
	lost  uint64
	who   sync.WaitGroup
}

const (
	spansEvery = 200 * time.Millisecond
	spansTime  = 5 * time.Second // for who listens to read
	spansMost  = time.Minute     // of one answer
	maxLeft    = 2 * maxChunks
)

// join counts a listener in, unless the edge has ended.
func (t *spanTelling) join() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.over {
		t.who.Add(1)
	}
	return !t.over
}

// end tells the last, and waits for it.
func (t *spanTelling) end() {
	t.mu.Lock()
	if !t.over {
		t.over = true
		close(t.ended)
	}
	t.mu.Unlock()
	t.who.Wait()
}

// keep takes what another edge has left.
func (t *spanTelling) keep(all []api.Spans) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, one := range all {
		t.lost += one.Dropped
		if one.Dropped = 0; len(t.left) < maxLeft {
			t.left = append(t.left, one)
		} else {
			t.lost += uint64(one.Spans)
		}
	}
}

func (t *spanTelling) take() []api.Spans {
	t.mu.Lock()
	defer t.mu.Unlock()
	all, lost := t.left, t.lost
	t.left, t.lost = nil, 0
	if lost > 0 {
		all = append(all, api.Spans{Dropped: lost})
	}
	return all
}

// untold takes all that nobody has taken.
func (e *Edge) untold() []api.Spans {
	all := e.spanTelling.take()
	for _, l := range e.locals {
		all = l.spans.take(all)
	}
	return all
}

// spans answers GET /v1/spans.
func (c *control) spans(w http.ResponseWriter, r *http.Request) {
	e, length := c.edge, spansMost
	if text := r.FormValue("for"); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil || length < 0 {
			api.AnswerError(w, http.StatusBadRequest, errLength)
			return
		}
	}
	if !e.spanTelling.join() {
		api.AnswerError(w, http.StatusServiceUnavailable, errEnded)
		return
	}
	defer e.spanTelling.who.Done()
	w.Header().Set("Content-Type", "application/octet-stream")
	out := http.NewResponseController(w)
	tick, end := time.NewTicker(spansEvery), time.NewTimer(min(length, spansMost))
	defer tick.Stop()
	defer end.Stop()
	for last := false; ; {
		if e.successor.Load() != nil {
			return // what is there goes to that one
		}
		_ = out.SetWriteDeadline(time.Now().Add(spansTime)) // where the connection has none, there is none
		all := e.untold()
		if tellSpans(w, out, all) != nil {
			e.spanTelling.keep(all) // for the next one: none of it may have left
			return
		}
		if last {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-e.spanTelling.ended:
			last = true
		case <-end.C:
			last = true
		case <-tick.C:
		}
	}
}

// tellSpans writes spans and sends them off. On an error it is not known which of them have arrived.
func tellSpans(w io.Writer, out *http.ResponseController, all []api.Spans) error {
	for i := range all {
		if err := api.WriteSpans(w, &all[i]); err != nil {
			return err
		}
	}
	return out.Flush()
}

var (
	errEnded  = errors.New("the edge ends")
	errLength = errors.New("for: write how long you listen, such as 1s")
)
