package edge

import (
	"log/slog"
	"net"
	"sync"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/pool"
)

// overruns are requests that took longer at a worker than its app's request_timeout, on their way to the keeper, which
// replaces that worker. Loops note, one goroutine tells: the pair may be slow.
type overruns struct {
	news chan struct{} // holds one

	mu      sync.Mutex
	workers map[string]api.Overrun // not told yet: no more than there are workers
}

func newOverruns() *overruns {
	return &overruns{news: make(chan struct{}, 1), workers: map[string]api.Overrun{}}
}

// note is called on loops.
func (o *overruns) note(worker string, repeatable bool) {
	o.mu.Lock()
	w := o.workers[worker]
	w.Worker = worker
	w.Requests++
	if !repeatable {
		w.Lost++
	}
	o.workers[worker] = w
	o.mu.Unlock()
	select {
	case o.news <- struct{}{}:
	default:
	}
}

// take returns what has not been told yet.
func (o *overruns) take() []api.Overrun {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []api.Overrun
	for name, w := range o.workers {
		all = append(all, w)
		delete(o.workers, name)
	}
	return all
}

// tell reports to the keeper until done is closed, or the keeper is gone.
func (o *overruns) tell(conn *net.UnixConn, done <-chan struct{}) {
	for {
		select {
		case <-o.news:
		case <-done:
			return
		}
		for _, w := range o.take() {
			if err := api.SendReport(conn, api.Report{Overrun: &w}); err != nil {
				slog.Warn("the keeper was not told of a request that took too long", "worker", w.Worker, "error", err)
				return
			}
		}
	}
}

// limitTry sets the time that one try at a server may take: what is left for the request, or for the worker.
func (h *handler) limitTry(t *config.PoolTimeouts, now loop.Time) {
	if t.Request > 0 && h.whenOver == 0 {
		h.whenOver = now + int64(t.Request)
	}
	h.deadline, h.overrun = h.whenOver, 0
	if t.Worker > 0 {
		h.limitWorker(now + int64(t.Worker))
	}
}

// limitWorker sets when the worker of this try has had its time, and ends the try then if nothing does before.
func (h *handler) limitWorker(at loop.Time) {
	h.overrun, h.deadline = at, at
	if h.whenOver != 0 {
		h.deadline = min(at, h.whenOver)
	}
}

// unlimitTry lets a stream go on for as long as it likes.
func (h *handler) unlimitTry() {
	h.deadline, h.overrun = h.whenOver, 0
}

// overdue notes that the worker of this try took too long, if it is that which ended it.
func (h *handler) overdue() {
	if h.up.fault == pool.TimedOut && h.l.loop.Now() >= h.overrun {
		h.l.edge.overruns.note(h.up.s.Name(), h.x.Req.Method.Idempotent())
	}
	h.overrun = 0
}
