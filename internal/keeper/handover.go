package keeper

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/weirhq/weir/internal/api"
)

// One edge takes another's place while requests come in. The new one is started beside the old one and made ready; the old
// one stops accepting, the new one begins to, on the same sockets; the old one finishes what it has. In between,
// connections wait in the sockets' backlogs for a few milliseconds.

const (
	secretSize = 16
	// mostRetired bounds how many edges finish side by side. When one more comes, the oldest has as long as at a stop.
	mostRetired = 8
	finalName   = "edge.sock"
)

// makeDoor makes the socket on which one edge, and those that are started in its place when it dies, are called.
func (k *keeper) makeDoor() (*door, error) {
	k.doors++
	d := &door{path: api.OwnEdgeSocket(k.runDir, k.doors)}
	ln, err := listenUnix(d.path)
	if err != nil {
		return nil, err
	}
	d.file, err = ln.File()
	if err = errors.Join(err, ln.Close(), os.Chmod(d.path, 0o600)); err != nil {
		d.close()
		return nil, fmt.Errorf("making the edge's control socket: %w", err)
	}
	d.client = api.NewClient(d.path)
	return d, nil
}

func (d *door) close() {
	if d.file != nil {
		d.file.Close() //nolint:errcheck // nothing was written
	}
	if d.client != nil {
		d.client.Close()
	}
	os.Remove(d.path) //nolint:errcheck // the next start clears it too
}

// pointTo makes RUNDIR/edge.sock lead to a door, in one step.
func (k *keeper) pointTo(d *door) error {
	link := api.EdgeSocket(k.runDir)
	next := link + ".new"
	os.Remove(next) //nolint:errcheck // it is there only if weir was killed between the next two lines
	if err := errors.Join(os.Symlink(filepath.Base(d.path), next), os.Rename(next, link)); err != nil {
		return fmt.Errorf("pointing %s to %s: %w", finalName, filepath.Base(d.path), err)
	}
	return nil
}

// escapeGlob has filepath.Glob take a path as it is.
func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// replaceEdge has an edge of a program take the place of the one that serves. Nothing is lost by it; on an error the one that
// served goes on. Whoever calls it holds op. The program is its own from then on.
func (k *keeper) replaceEdge(p *program) error {
	var e *edge
	var err error
	if called := k.call(func() { e, err = k.beginHandover(p) }); called != nil || err != nil {
		return errors.Join(called, err)
	}
	select {
	case <-e.is:
	case <-e.exited:
	case <-k.ended:
		return errStopping
	}
	if err := k.inStep(e); err != nil {
		return err
	}
	var old *edge
	if called := k.call(func() { old, err = k.promote(e) }); called != nil || err != nil {
		return errors.Join(called, err)
	}
	k.retire(old)
	if err := k.ask(e, callTime, "/v1/serve", struct{}{}, nil); err != nil {
		e.signal(syscall.SIGKILL) // the next one is started on the same sockets
		return fmt.Errorf("the new edge does not serve and is started again: %w", err)
	}
	return nil
}

// beginHandover starts an edge that is to hold. As an event.
func (k *keeper) beginHandover(p *program) (*edge, error) {
	switch {
	case k.stopping:
		p.close()
		return nil, errStopping
	case k.edge == nil || !k.edge.ready:
		p.close()
		return nil, errBetweenEdges
	}
	d, err := k.makeDoor()
	if err != nil {
		p.close()
		return nil, err
	}
	e, err := k.launchEdge(d, p, true)
	if err != nil {
		p.close()
		d.close()
		return nil, fmt.Errorf("starting the new edge from %s: %w; the old one goes on", where(), bare(err))
	}
	e.program = p
	k.coming = e
	k.attend(e)
	return e, nil
}

// inStep tells a new edge what has changed since it was started, until that is nothing.
func (k *keeper) inStep(e *edge) error {
	for {
		var s snapshot
		same := false
		err := k.call(func() {
			s = k.snapshot(nil)
			same = slices.Equal(s.state.Workers, e.told.state.Workers)
		})
		if err != nil {
			return err
		}
		if e.dead() {
			return fmt.Errorf("the new edge cannot serve: %s; the old one goes on", k.why(e))
		}
		if same {
			return nil
		}
		if err := k.ask(e, callTime, "/v1/state", s.state, nil); err != nil {
			e.signal(syscall.SIGKILL)
			return fmt.Errorf("the new edge does not take over which workers there are; the old one goes on: %w", err)
		}
		if err := k.call(func() { e.told = s }); err != nil {
			return err
		}
	}
}

// why is why an edge died.
func (k *keeper) why(e *edge) string {
	why := e.how
	if called := k.call(func() {
		if e.problem != "" {
			why += ": " + e.problem
		}
	}); called != nil {
		return called.Error()
	}
	return why
}

// promote makes the edge that was made ready the one in force, and returns the one that was. As an event.
func (k *keeper) promote(e *edge) (old *edge, err error) {
	if k.stopping {
		return nil, errStopping
	}
	if k.coming != e {
		return nil, errors.New("the new edge died; the old one goes on")
	}
	if k.edge == nil || !k.edge.ready {
		e.signal(syscall.SIGKILL)
		return nil, errBetweenEdges
	}
	if err := k.pointTo(e.door); err != nil {
		e.signal(syscall.SIGKILL)
		return nil, err
	}
	k.program.close()
	k.program, e.program = e.program, nil
	old = k.edge
	k.edge, k.door, k.coming = e, e.door, nil
	k.retired = append(k.retired, old)
	k.dirty = true // a worker may have come or gone since it was told
	k.goes(func() { k.watch(e) })
	return old, nil
}

// retire has an edge accept no more. It is given time for what it has.
func (k *keeper) retire(old *edge) {
	limit := time.Duration(0)
	var oldest *edge
	if err := k.call(func() {
		limit = k.cfg.Timeouts.HardStop
		if len(k.retired) > mostRetired {
			oldest = k.retired[0]
		}
	}); err != nil {
		return
	}
	if oldest != nil {
		k.log.Warn("more edges have been replaced than may finish side by side: the oldest stops", "pid", oldest.cmd.Process.Pid)
		oldest.signal(syscall.SIGTERM)
	}
	in := api.Retire{Successor: api.EdgeSocket(k.runDir), Within: limit.Milliseconds()}
	if err := k.ask(old, callTime, "/v1/retire", in, nil); err != nil {
		if !old.dead() {
			k.log.Error("the old edge does not hand over: it is killed", "error", err)
			old.signal(syscall.SIGKILL)
		}
		return
	}
	if err := k.call(func() { old.until = time.Now().Add(limit) }); err == nil {
		k.goes(func() { k.limit(old) })
	}
}

// limit kills an edge that has been replaced when it does not finish in time.
func (k *keeper) limit(old *edge) {
	if k.gone(old, max(time.Until(old.until), 0)+edgeGrace) || k.ctx.Err() != nil {
		return
	}
	k.log.Warn("an edge that has been replaced did not finish in time: it is killed", "pid", old.cmd.Process.Pid)
	old.signal(syscall.SIGKILL)
}

// leftOver sees to an edge that has exited and is not the one in force. As an event.
func (k *keeper) leftOver(e *edge) {
	if k.coming == e {
		k.coming = nil
	}
	e.program.close() // of one that was never promoted
	e.program = nil
	if i := slices.Index(k.retired, e); i >= 0 {
		k.retired = slices.Delete(k.retired, i, i+1)
		k.log.Info("an edge that was replaced has finished", "pid", e.cmd.Process.Pid, "how", e.how)
	}
	if e.door != k.door {
		e.door.close()
	}
	k.dirty = true // a worker that was to be drained there is
}

// forRetired returns what tells edges that have been replaced which workers there are: the requests that they still have may
// want them. Their configuration stays as it was. As an event; what it returns waits for answers.
func (k *keeper) forRetired(s api.EdgeState) (tell func()) {
	edges := slices.Clone(k.retired)
	states := make([]api.EdgeState, len(edges))
	for i, e := range edges {
		states[i] = s
		states[i].Source = e.told.state.Source
	}
	return func() {
		for i, e := range edges {
			if err := k.ask(e, callTime, "/v1/state", states[i], nil); err != nil && !e.dead() {
				k.log.Warn("an edge that was replaced did not take over which workers there are: it stops", "pid", e.cmd.Process.Pid, "error", err)
				e.signal(syscall.SIGTERM)
			}
		}
	}
}

// stopEdges stops all edges at the same time.
func (k *keeper) stopEdges(edges []*edge, drain time.Duration) {
	done := make(chan struct{}, len(edges))
	for _, e := range edges {
		go func() { k.stopEdge(e, drain); done <- struct{}{} }()
	}
	for range edges {
		<-done
	}
}
