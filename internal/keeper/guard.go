package keeper

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"github.com/weirhq/weir/internal/app"
	"github.com/weirhq/weir/internal/notice"
)

// The guard is a small process that does nothing while the keeper lives. It holds the reading end of a pipe whose
// writing end only the keeper has: when that closes, the keeper is dead, be it by kill -9, and the guard stops in order
// what it left behind. The rejected ways: the kernel's parent-death signal (docs/adr/0006-guard.md says why), and the
// edge as guard (it is to have no right to signal workers).
type guard struct {
	cmd  *exec.Cmd
	pipe *os.File
	news chan []byte // the latest wards; holds one. Closed when there will be none
	told string
	done chan struct{}
	shut bool // news is closed
}

const (
	guardAgain = time.Second // before a guard that died is started again
	guardEnd   = time.Second // for a guard to exit when there is nothing left to guard
)

// Guard is the guard's process: in is the pipe from the keeper.
func Guard(in io.Reader, runDir string, out *os.File) error {
	sink := app.NewSink(out, notice.FormFor(out, os.Getenv))
	defer sink.Close(time.Second)
	return app.Guard(in, sink, sink.Logger("guard", slog.LevelInfo), func() {
		// Under the lock, for a new weir may have been started here: then it has killed what was left.
		if lock, err := takeLock(runDir); err == nil {
			app.KillLeftovers(runDir)
			lock.Close() //nolint:errcheck // nothing was written
		}
	})
}

// startGuard starts a guard. Without one everything works, and when the keeper dies the kernel kills the workers.
func (k *keeper) startGuard() {
	if k.stopping || k.guard != nil {
		return
	}
	g, err := k.launchGuard()
	if err != nil {
		k.log.Error("the guard cannot be started: if weir run is killed, its workers are killed too", "error", err, "next_try", guardAgain)
		k.after(guardAgain, k.startGuard)
		return
	}
	k.guard = g
	k.starter.Guarded.Store(true)
	k.attendGuard(g)
}

// replaceGuard has a guard of this program take the place of the one that there is, which guards until the new one has been told
// everything.
func (k *keeper) replaceGuard() {
	g, err := k.launchGuard()
	if err != nil {
		k.log.Error("the guard cannot be replaced: the old one goes on", "error", err)
		return
	}
	k.former, k.guard = k.guard, g
	k.attendGuard(g)
}

// dismiss lets the guard go that has been replaced. As an event.
func (k *keeper) dismiss() {
	g := k.former
	if g == nil || g.shut {
		return
	}
	g.leave()
	k.goes(func() { k.endOf(g) })
}

// leave tells a guard that there is nobody left.
func (g *guard) leave() {
	line, err := json.Marshal(app.Wards{Keeper: os.Getpid()})
	if err == nil {
		g.tell(append(line, '\n'))
	}
	g.close()
}

// tell has a line written; what it has not been told yet is out of date. It never waits.
func (g *guard) tell(line []byte) {
	select {
	case <-g.news:
	default:
	}
	g.news <- line
}

func (g *guard) close() {
	if !g.shut {
		g.shut = true
		close(g.news)
	}
}

// endOf waits for the end of a guard that has been let go.
func (k *keeper) endOf(g *guard) {
	t := time.NewTimer(guardEnd)
	defer t.Stop()
	select {
	case <-g.done:
	case <-t.C: // stopped, or worse: neither it nor its full pipe is to hold weir up
		g.cmd.Process.Kill() //nolint:errcheck // it has exited just now
	}
}

// attendGuard sees a guard through to its end.
func (k *keeper) attendGuard(g *guard) {
	k.goes(func() {
		for b := range g.news {
			g.pipe.Write(b) //nolint:errcheck // if it is dead, its exit tells
			k.post(func() {
				if k.guard == g {
					k.dismiss()
				}
			})
		}
		g.pipe.Close() //nolint:errcheck // as above
	})
	k.goes(func() {
		k.starter.Await(g.cmd)
		defer k.starter.Leave()
		err := k.starter.Wait(g.cmd)
		close(g.done)
		k.post(func() {
			g.close()
			if k.former == g {
				k.former = nil
				return
			}
			k.guard = nil
			k.starter.Guarded.Store(k.former != nil && !k.former.shut)
			if !k.stopping {
				k.log.Error("the guard died: it is started again", "how", err, "next_start", guardAgain)
				k.after(guardAgain, k.startGuard)
			}
		})
	})
}

func (k *keeper) launchGuard() (*guard, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("making its pipe: %w", err)
	}
	defer r.Close() //nolint:errcheck // the child has its own
	argv := k.opts.Guard
	if argv == nil {
		argv = []string{k.self.path(), "guard"}
	}
	g := &guard{pipe: w, news: make(chan []byte, 1), done: make(chan struct{})}
	// A session of its own, as the edge has.
	g.cmd = &exec.Cmd{Path: argv[0], Args: append(append([]string{"weir"}, argv[1:]...), k.runDir), Env: childEnv(os.Environ()), Stdin: r, Stderr: k.opts.Stderr, Dir: "/", SysProcAttr: &syscall.SysProcAttr{Setsid: true}}
	if err := k.starter.Start(g.cmd); err != nil {
		w.Close() //nolint:errcheck // nothing was written
		return nil, err
	}
	return g, nil
}

// tellGuard tells the guard what there is now, if that has changed. It never waits.
func (k *keeper) tellGuard() {
	g := k.guard
	if g == nil {
		return
	}
	w := app.Wards{Keeper: os.Getpid(), Drain: (k.cfg.Timeouts.Drain + edgeGrace).Milliseconds()}
	for _, e := range k.edges() {
		w.Edges = append(w.Edges, e.cmd.Process.Pid)
	}
	for _, r := range k.apps {
		for _, name := range slices.Sorted(maps.Keys(r.procs)) {
			w.Workers = append(w.Workers, r.procs[name].Ward())
		}
	}
	line, err := json.Marshal(w)
	if err != nil || string(line) == g.told {
		return
	}
	g.told = string(line)
	g.tell(append(line, '\n'))
}

// endGuard lets the guard go: there is nothing left to guard. After the last event.
func (k *keeper) endGuard() {
	g := k.guard
	if g == nil {
		return
	}
	k.edge, k.retired = nil, nil
	k.tellGuard()
	g.close()
	k.goes(func() { k.endOf(g) })
}
