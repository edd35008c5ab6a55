package app

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"syscall"
	"time"
)

// Wards is what a guard has to see to when the keeper dies. The keeper tells it as a line of JSON whenever it changes;
// the last whole line counts.
type Wards struct {
	Edge    int    `json:"edge,omitempty"` // its process; 0 none
	Drain   int64  `json:"drain_ms"`       // it may take so long to finish, and is killed then
	Workers []Ward `json:"workers,omitempty"`
}

// Ward is one worker's process group.
type Ward struct {
	PID    int    `json:"pid"`    // of its leader
	Signal string `json:"signal"` // that stops it, "TERM"
	Within int64  `json:"within_ms"`
}

// guardTick is how often a guard looks whether a process is gone: it is nobody's parent.
const guardTick = 20 * time.Millisecond

// Guard reads what the keeper tells until that ends, which it does when the keeper is gone, however that came
// about. Then it does what the keeper would have done: it waits until the edge has finished, stops the workers, kills
// those that do not heed, and calls sweep. A keeper that has stopped everything itself says so by wards without
// anybody; there is nothing to do then.
func Guard(in io.Reader, log *slog.Logger, sweep func()) error {
	g := guard{log: log}
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil { // a line without its end was not said
			if !errors.Is(err, io.EOF) {
				return fmt.Errorf("listening to weir run: %w", err)
			}
			break
		}
		var w Wards
		if err := json.Unmarshal(line, &w); err != nil {
			return fmt.Errorf("listening to weir run: %w", err)
		}
		g.told(w)
	}
	if g.wards.Edge == 0 && len(g.wards.Workers) == 0 {
		return nil
	}
	log.Error("weir run died: the edge finishes what it has, then the workers are stopped", "workers", len(g.wards.Workers))
	g.awaitEdge()
	g.stopWorkers()
	sweep()
	log.Info("everything that a dead weir run left behind is gone")
	return nil
}

type guard struct {
	log    *slog.Logger
	wards  Wards
	starts map[int]uint64 // when they began, so that a number that comes again is not mistaken
}

func (g *guard) told(w Wards) {
	starts := map[int]uint64{}
	note := func(pid int) {
		if at, known := g.starts[pid]; known {
			starts[pid] = at
		} else if s, err := statOf(pid); err == nil {
			starts[pid] = s.start
		}
	}
	note(w.Edge)
	for _, ward := range w.Workers {
		note(ward.PID)
	}
	g.wards, g.starts = w, starts
}

// another says whether a process number belongs to another process by now. While its group has members it cannot.
func (g *guard) another(pid int) bool {
	s, err := statOf(pid)
	at, known := g.starts[pid]
	return err == nil && known && s.start != at
}

// gone says whether a process has ended.
func (g *guard) gone(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || g.another(pid) {
		return true
	}
	s, err := statOf(pid)
	return err == nil && s.state == 'Z' // whoever is to collect it
}

func (g *guard) awaitEdge() {
	pid := g.wards.Edge
	if pid == 0 {
		return
	}
	for end := time.Now().Add(time.Duration(g.wards.Drain) * time.Millisecond); !g.gone(pid); time.Sleep(guardTick) {
		if time.Now().After(end) {
			g.log.Warn("the edge did not finish in time: it is killed", "pid", pid)
			g.signal(pid, pid, syscall.SIGKILL)
			return
		}
	}
}

// stopWorkers stops all workers at the same time, each in its own time.
func (g *guard) stopWorkers() {
	began := time.Now()
	left := g.wards.Workers
	for _, w := range left {
		if sig, ok := signals[w.Signal]; ok {
			g.signal(w.PID, -w.PID, sig)
		}
	}
	for ; len(left) > 0; time.Sleep(guardTick) {
		var still []Ward
		for _, w := range left {
			late := time.Since(began) > time.Duration(w.Within)*time.Millisecond
			if !late && !g.gone(w.PID) {
				still = append(still, w)
				continue
			}
			if late {
				g.log.Warn("a worker did not stop in time: it is killed", "pid", w.PID)
			}
			g.signal(w.PID, -w.PID, syscall.SIGKILL) // also what a leader that has ended left in its group
		}
		left = still
	}
}

// signal sends a signal to a process or a group whose leader has the number pid.
func (g *guard) signal(pid, to int, sig syscall.Signal) {
	if g.another(pid) {
		return
	}
	if err := syscall.Kill(to, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		g.log.Error("a process that weir run left behind cannot be signalled", "pid", pid, "error", err)
	}
}
