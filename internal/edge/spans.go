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

// spanTelling is who listens.
type spanTelling struct {
	mu    sync.Mutex
	ended chan struct{} // closed when the edge ends; made with the edge
	over  bool
	who   sync.WaitGroup
}

const (
	spansEvery = 200 * time.Millisecond
	spansTime  = 5 * time.Second // for who listens to read
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

// spans answers GET /v1/spans.
func (c *control) spans(w http.ResponseWriter, r *http.Request) {
	e := c.edge
	if !e.spanTelling.join() {
		api.AnswerError(w, http.StatusServiceUnavailable, errEnded)
		return
	}
	defer e.spanTelling.who.Done()
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := http.NewResponseController(w)
	write := json.NewEncoder(w)
	tick := time.NewTicker(spansEvery)
	defer tick.Stop()
	for moved := false; ; {
		_ = out.SetWriteDeadline(time.Now().Add(spansTime)) // of a connection that has none: then there is none
		ended := false
		select {
		case <-e.spanTelling.ended:
			ended = true
		default:
		}
		if !moved && e.successor.Load() != nil {
			if moved = true; write.Encode(api.Spans{Moved: true}) != nil {
				return
			}
		}
		for _, l := range e.locals {
			if tellStories(write, &l.stories) != nil {
				return
			}
		}
		if out.Flush() != nil || ended {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-e.spanTelling.ended: // once more
		case <-tick.C:
		}
	}
}

func tellStories(write *json.Encoder, s *stories) error {
	all, dropped := s.take()
	if dropped > 0 {
		if err := write.Encode(api.Spans{Dropped: dropped}); err != nil {
			return err
		}
	}
	for i := range all {
		if err := write.Encode(api.Spans{Spans: all[i].spans()}); err != nil {
			return err
		}
	}
	return nil
}

var errEnded = errors.New("the edge ends")
