package keeper

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/weirhq/weir/internal/api"
)

const (
	defaultPulse = 5 * time.Second
	// missedPulses in a row, each with all the time to the next, are no load any more: a loop that is only busy takes
	// a turn within milliseconds. A machine that was suspended, or weir as a whole stopped, misses one at the most:
	// the time that is counted passes for the keeper too, and the next question is a fresh one.
	missedPulses = 3
)

// watch asks an edge that serves for signs of life until it is gone. One that lives and does not answer holds its
// sockets and serves nobody: it is killed, and its death is handled as any other.
func (k *keeper) watch(e *edge) {
	t := time.NewTicker(k.opts.Pulse)
	defer t.Stop()
	for missed := 0; missed < missedPulses; {
		select {
		case <-t.C:
		case <-e.exited:
			return
		case <-k.ctx.Done():
			return
		}
		missed++
		var answered *api.Failed
		if err := k.ask(e, k.opts.Pulse, "/v1/alive", nil, nil); err == nil || errors.As(err, &answered) {
			missed = 0
		}
	}
	k.post(func() {
		if k.edge != e || k.stopping { // an edge that drains has other things to do, and is given an end by stop
			return
		}
		e.problem = fmt.Sprintf("it hung: no sign of life in %v", missedPulses*k.opts.Pulse)
		k.log.Error("THE EDGE HANGS: it is killed and started again on the same sockets", "silent_for", missedPulses*k.opts.Pulse)
		e.signal(syscall.SIGKILL)
	})
}
