package edge

import (
	"errors"

	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/loop"
)

// vigil looks out for the client while a server that does not speak HTTP/1 makes its response: behind these there is often a process
// for each request, and nobody wants it to go on for a client that has left. It is a task of its own, for the handler's own waits for
// the server.
type vigil struct {
	h       *handler
	t       *loop.Task
	running bool
	over    bool
	gone    bool
}

// start begins to look out, if there is a client and nobody else waits for the response.
func (v *vigil) start(h *handler) {
	v.h, v.over, v.gone = h, false, false
	if h.alone || h.isPart || h.sink != nil || h.kept.asks || !h.whole() {
		return
	}
	v.running, v.t = true, nil
	h.l.loop.Go(v)
}

// Run implements loop.Runner.
func (v *vigil) Run(t *loop.Task) {
	v.t = t
	defer func() {
		v.running, v.t = false, nil
		v.h.t.WakeHere()
	}()
	if v.over {
		return
	}
	err := v.h.conn.Watch(t, true)
	for err == nil && !v.over {
		err = t.Park(0)
	}
	if errors.Is(err, loop.ErrHangup) && !v.over {
		v.gone = true
		v.h.up.abandon(v.h) // ends the handler's wait
	}
}

// stop ends the look-out, and reports whether the client has left.
func (v *vigil) stop(h *handler) bool {
	v.over = true
	for v.running {
		if v.t != nil {
			v.t.WakeHere()
		}
		if h.t.Park(0) != nil {
			break // the engine stops, and the other task with it
		}
	}
	if v.gone {
		h.keep, h.cut = false, true
		h.x.Journal.Cause, h.x.Journal.Detail = journal.ClientGone, ""
	}
	return v.gone
}
