package app

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Wards is what a guard has to see to when the keeper dies. The keeper tells it as a line of JSON whenever it changes;
// the last whole line counts.
type Wards struct {
	Keeper  int    `json:"keeper"`
	Edges   []int  `json:"edges,omitempty"` // their processes
	Drain   int64  `json:"drain_ms"`        // they may take so long to finish, and are killed then
	Workers []Ward `json:"workers,omitempty"`
}

// Ward is one worker's process group.
type Ward struct {
	Name   string `json:"name"`   // "web/1", as its output is marked
	PID    int    `json:"pid"`    // of its leader
	Output int    `json:"output"` // the keeper's descriptor of the pipe that it writes to
	Signal string `json:"signal"` // that stops it, "TERM"
	Within int64  `json:"within_ms"`
}

// guardTick is how often a guard looks whether a process is gone: it is nobody's parent.
const guardTick = 20 * time.Millisecond

// Guard reads what the keeper tells until that ends, which it does when the keeper is gone, however that came
// about. Then it does what the keeper would have done: it waits until the edge has finished, stops the workers, kills
// those that do not heed, and calls sweep. A keeper that has stopped everything itself says so by wards without
// anybody; there is nothing to do then.
//
// Meanwhile it holds the pipes that workers write to, and shows what comes in sink once the keeper is dead: a worker
// whose pipe nobody reads gets SIGPIPE or an error with the next line that it prints, in the middle of a request.
func Guard(in io.Reader, sink *Sink, log *slog.Logger, sweep func()) error {
	g := guard{log: log, pipes: map[int]*os.File{}}
	defer g.hold(nil)
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
	if len(g.wards.Edges) == 0 && len(g.wards.Workers) == 0 {
		return nil
	}
	log.Error("weir run died: the edge finishes what it has, then the workers are stopped", "workers", len(g.wards.Workers))
	shown := g.show(sink)
	g.awaitEdges()
	g.stopWorkers()
	sweep()
	shown()
	log.Info("everything that a dead weir run left behind is gone")
	return nil
}

type guard struct {
	log    *slog.Logger
	wards  Wards
	starts map[int]uint64 // when they began, so that a number that comes again is not mistaken
	pipes  map[int]*os.File
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
	for _, pid := range w.Edges {
		note(pid)
	}
	for _, ward := range w.Workers {
		note(ward.PID)
	}
	g.wards, g.starts = w, starts
	g.hold(w.Workers)
}

// hold opens the pipes of new workers and closes those of old ones. Where there is no /proc there are none.
func (g *guard) hold(workers []Ward) {
	for pid, f := range g.pipes {
		if !slices.ContainsFunc(workers, func(w Ward) bool { return w.PID == pid }) {
			f.Close() //nolint:errcheck // only read
			delete(g.pipes, pid)
		}
	}
	for _, w := range workers {
		if g.pipes[w.PID] != nil {
			continue
		}
		f, err := os.OpenFile(fmt.Sprintf("/proc/%d/fd/%d", g.wards.Keeper, w.Output), os.O_RDONLY|syscall.O_NONBLOCK, 0)
		if err != nil {
			continue // the worker, or the keeper, has ended meanwhile
		}
		if info, err := f.Stat(); err != nil || info.Mode().Type() != os.ModeNamedPipe {
			f.Close() //nolint:errcheck // the number is another file's by now
			continue
		}
		g.pipes[w.PID] = f
	}
}

// show reads what workers write from now on. The function that it returns waits for the last of it.
func (g *guard) show(sink *Sink) (wait func()) {
	var all sync.WaitGroup
	for _, w := range g.wards.Workers {
		if f := g.pipes[w.PID]; f != nil {
			all.Add(1)
			go func() { defer all.Done(); (&output{who: w.Name, sink: sink}).read(f) }()
		}
	}
	return func() {
		for _, f := range g.pipes {
			if err := f.SetReadDeadline(time.Now().Add(lastOutput)); err != nil {
				f.Close() //nolint:errcheck // only read; it ends the reader as a deadline would
			}
		}
		all.Wait()
	}
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

func (g *guard) awaitEdges() {
	end := time.Now().Add(time.Duration(g.wards.Drain) * time.Millisecond)
	for _, pid := range g.wards.Edges {
		for ; !g.gone(pid); time.Sleep(guardTick) {
			if time.Now().After(end) {
				g.log.Warn("the edge did not finish in time: it is killed", "pid", pid)
				g.signal(pid, pid, syscall.SIGKILL)
				break
			}
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
