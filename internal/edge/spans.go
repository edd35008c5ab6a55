package edge

import (
	"encoding/json"
	"errors"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/weirhq/weir/internal/api"
)

// stories are the sampled requests of one loop that nobody has taken yet.
type stories struct {
	mu      sync.Mutex // held by the loop while it appends, by who takes while it swaps
	all     []sampled
	dropped uint64
}

// maxStories bounds what waits on one loop while nobody takes it, to some MiB: a desk that is started anew finds the last seconds.
const maxStories = 4096

// put adds one. On the loop.
func (s *stories) put(one *sampled) {
	s.mu.Lock()
	if len(s.all) < maxStories {
		s.all = append(s.all, *one)
	} else {
		s.dropped++
	}
	s.mu.Unlock()
}

// take takes all. It only ever tries, so that a loop never has somebody to hand the mutex over to.
func (s *stories) take() (all []sampled, dropped uint64) {
	for !s.mu.TryLock() {
		runtime.Gosched()
	}
	all, dropped = s.all, s.dropped
	s.all, s.dropped = nil, 0
	s.mu.Unlock()
	return all, dropped
}

// spanTelling is who listens, and what edges before this one have left to be told.
type spanTelling struct {
	mu    sync.Mutex
	ended chan struct{} // closed when the edge ends; made with the edge
	over  bool
	left  []api.Spans
	who   sync.WaitGroup
}

const (
	spansEvery = 200 * time.Millisecond
	spansTime  = 5 * time.Second // for who listens to read
	spansMost  = time.Minute     // of one answer
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
	room := min(len(all), maxStories-len(t.left))
	t.left = append(t.left, all[:max(room, 0)]...)
	if lost := uint64(len(all) - max(room, 0)); lost > 0 {
		t.left = append(t.left[:len(t.left):len(t.left)], api.Spans{Dropped: lost})
	}
}

func (t *spanTelling) take() []api.Spans {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := t.left
	t.left = nil
	return all
}

// untold takes all that nobody has taken.
func (e *Edge) untold() []api.Spans {
	all := e.spanTelling.take()
	for _, l := range e.locals {
		stories, dropped := l.stories.take()
		for i := range stories {
			all = append(all, api.Spans{Spans: stories[i].spans()})
		}
		if dropped > 0 {
			all = append(all, api.Spans{Dropped: dropped})
		}
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
	w.Header().Set("Content-Type", "application/x-ndjson")
	out, write := http.NewResponseController(w), json.NewEncoder(w)
	tick, end := time.NewTicker(spansEvery), time.NewTimer(min(length, spansMost))
	defer tick.Stop()
	defer end.Stop()
	for last := false; ; {
		if e.successor.Load() != nil {
			return // what is there goes to that one
		}
		_ = out.SetWriteDeadline(time.Now().Add(spansTime)) // where the connection has none, there is none
		for _, one := range e.untold() {
			if write.Encode(one) != nil {
				return
			}
		}
		if out.Flush() != nil || last {
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

var (
	errEnded  = errors.New("the edge ends")
	errLength = errors.New("for: write how long you listen, such as 1s")
)
