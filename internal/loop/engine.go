package loop

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Engine is a set of loops that share nothing but a clock, the goroutines of Task.Do and the watchdog.
type Engine struct {
	cfg   Config
	start time.Time
	loops []*Loop
	off   offload
	dog   watchdog

	close sync.Once
}

// Start starts the loops.
func Start(cfg Config) (*Engine, error) {
	if cfg.Loops < 1 {
		return nil, errors.New("starting loops: at least one is needed")
	}
	if cfg.SlowTurn <= 0 {
		cfg.SlowTurn = 50 * time.Millisecond
	}
	if cfg.Panicked == nil {
		cfg.Panicked = logPanic
	}
	if cfg.Slow == nil {
		cfg.Slow = logSlow
	}
	if !haveFibers {
		cfg.Goroutines = true
	}
	e := &Engine{cfg: cfg, start: time.Now()}
	e.off.init()
	for i := range cfg.Loops {
		l := newLoop(e, i)
		if err := l.open(); err != nil {
			for _, l := range e.loops {
				l.poll.close()
			}
			return nil, fmt.Errorf("starting loop %d: %w", i, err)
		}
		e.loops = append(e.loops, l)
	}
	for _, l := range e.loops {
		l.start()
	}
	e.dog.start(e)
	return e, nil
}

// Loops returns the loops; len is Config.Loops.
func (e *Engine) Loops() []*Loop { return e.loops }

// Close closes every connection and listener, ends every task with ErrClosed and waits until all of it is gone. A rest
// ends untold. Whatever a task waits in returns ErrClosed, but for Do, which is waited for; a task that does not end
// then is waited for too. Not from a loop.
func (e *Engine) Close() error {
	e.close.Do(func() {
		for _, l := range e.loops {
			l.Post(l.shut)
		}
		for _, l := range e.loops {
			<-l.ended
		}
		e.off.close()
		e.dog.stop()
	})
	return nil
}

// clock is the time since the engine's start. It begins at 1, since 0 is no time.
func (e *Engine) clock(t time.Time) Time { return Time(t.Sub(e.start)) + 1 }

func logPanic(l *Loop, value any, stack []byte) {
	slog.Error("a task panicked", "loop", l.Index(), "panic", fmt.Sprint(value), "stack", string(stack))
}

func logSlow(l *Loop, took time.Duration, stack []byte) {
	slog.Warn("a turn of a loop took too long", "loop", l.Index(), "took", took, "stack", string(stack))
}
