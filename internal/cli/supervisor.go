package cli

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// above is whoever started weir and wants to know how it is: systemd, or another that speaks sd_notify(3).
type above struct {
	states   chan string
	waiting  atomic.Int64 // states that have not been said
	done     chan struct{}
	watchdog time.Duration // between two signs of life; 0: nobody watches
}

// statesHeld bounds what waits for a supervisor that does not read.
const statesHeld = 16

func supervisor() (*above, error) {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return nil, fmt.Errorf("WATCHDOG_USEC and WATCHDOG_PID: %w", err)
	}
	a := &above{states: make(chan string, statesHeld), done: make(chan struct{}), watchdog: limit / 3}
	go a.run()
	return a, nil
}

// tell never waits: what a supervisor that does not read misses is said again, or out of date.
func (a *above) tell(state string) {
	a.waiting.Add(1)
	select {
	case a.states <- state:
	default:
		a.waiting.Add(-1)
	}
}

// flush waits until what was told is said, for at most the given time.
func (a *above) flush(within time.Duration) {
	for end := time.Now().Add(within); a.waiting.Load() > 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
}

func (a *above) run() {
	defer close(a.done)
	said := false
	for state := range a.states {
		if _, err := daemon.SdNotify(false, state); err != nil && !said {
			said = true
			slog.Warn("the supervisor cannot be told how weir is (NOTIFY_SOCKET)", "error", err)
		}
		a.waiting.Add(-1)
	}
}

// close says what is left to say, for a moment.
func (a *above) close() {
	close(a.states)
	select {
	case <-a.done:
	case <-time.After(time.Second):
	}
}
