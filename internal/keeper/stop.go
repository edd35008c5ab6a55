package keeper

import (
	"slices"
	"syscall"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/app"
)

// edgeGrace is how much longer than its drain an edge may take to exit.
const edgeGrace = 3 * time.Second

// fail stops everything because it cannot work; Run returns err.
func (k *keeper) fail(err error) {
	if !k.stopping {
		k.failure = err
		k.stop(0)
	}
}

// stop begins to stop everything, in order: no new connections, the edge finishes what is under way, then the
// workers. As an event.
func (k *keeper) stop(drain time.Duration) {
	if k.stopping {
		return
	}
	k.stopping = true
	k.notify("STOPPING=1", "STATUS=stopping")
	if k.desk != nil {
		k.letDeskGo(k.desk)
	}
	for _, l := range k.listeners {
		l.close() // the edge has them still; once it has closed them, connections are refused
	}
	edges := k.edges()
	if k.coming != nil {
		edges = append(edges, k.coming)
	}
	k.goes(func() {
		k.stopEdges(edges, drain)
		k.stopApps()
		close(k.finished)
	})
}

// atOnce gives up on finishing anything. As an event.
func (k *keeper) atOnce() {
	select {
	case <-k.now:
	default:
		close(k.now)
	}
	k.starter.Hurry()
	for _, e := range k.edges() {
		e.signal(syscall.SIGKILL)
	}
	for _, r := range slices.Clone(k.apps) {
		k.step(r, app.Kill{})
	}
}

func (k *keeper) stopEdge(e *edge, drain time.Duration) {
	if err := k.ask(e, callTime, "/v1/stop", api.Stop{Within: drain.Milliseconds()}, nil); err != nil {
		e.signal(syscall.SIGTERM) // it is not ready yet, hangs, or is dead
	}
	if k.gone(e, drain+edgeGrace) {
		return
	}
	k.log.Warn("the edge did not stop in time: it is killed")
	e.signal(syscall.SIGKILL)
	<-e.exited
}

// gone waits for an edge to exit.
func (k *keeper) gone(e *edge, within time.Duration) bool {
	t := time.NewTimer(within)
	defer t.Stop()
	select {
	case <-e.exited:
		return true
	case <-t.C:
	case <-k.now:
	}
	return false
}

// stopApps stops the workers of all apps at the same time. There is no edge any more, so none has to be drained.
func (k *keeper) stopApps() {
	var answers []<-chan string
	if err := k.call(func() {
		k.edge, k.retired = nil, nil
		for _, r := range slices.Clone(k.apps) {
			answers = append(answers, k.wish(r, func(t int) app.Event { return app.Stop{Ticket: t} }))
		}
		select {
		case <-k.now:
			k.atOnce()
		default:
		}
	}); err != nil {
		return
	}
	for _, a := range answers {
		k.answer(a) //nolint:errcheck // a reload that takes the app out is stopping it already: see waitGone
	}
	k.waitGone()
}

// waitGone waits until no life has a process: one that a reload was stopping has another ticket than ours.
func (k *keeper) waitGone() {
	for {
		left := 0
		if err := k.call(func() {
			for _, r := range k.apps {
				left += len(r.life.Status().Workers)
			}
		}); err != nil || left == 0 {
			return
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-k.ended:
			return
		}
	}
}
