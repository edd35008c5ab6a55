package app

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Starter starts processes, all from one operating system thread that lives as long as the starter: see Thread. Any goroutine may
// use it.
type Starter struct {
	thread *Thread
	lent   bool // the thread is somebody else's
	done   chan struct{}
	once   sync.Once
	adopts bool

	// Guarded says that a guard stops the workers if the keeper dies. While it is not, the kernel kills those that are
	// started then.
	Guarded atomic.Bool

	hurry   chan struct{} // closed when hooks are to end
	hurried sync.Once
	sockets sockets
	work    gate // for whoever starts or collects a process, hooks and all
	reads   gate // for whoever reads what one prints

	own map[int]bool // on the thread: processes that somebody waits for
}

// NewStarter returns a starter with a thread of its own. With adopt, processes whose parents die (daemons of workers) become
// children of this program, which is then to call Reap whenever a child dies.
func NewStarter(adopt bool) (*Starter, error) {
	t := NewThread()
	s, err := NewStarterOn(t, adopt)
	if err != nil {
		return nil, err
	}
	s.lent = false
	go t.Run()
	return s, nil
}

// NewStarterOn is NewStarter on a thread that stays the caller's.
func NewStarterOn(t *Thread, adopt bool) (*Starter, error) {
	if adopt {
		if err := adoptOrphans(); err != nil {
			return nil, fmt.Errorf("becoming the parent of orphans: %w", err)
		}
	}
	return &Starter{thread: t, lent: true, done: make(chan struct{}), adopts: adopt, own: map[int]bool{}, hurry: make(chan struct{}), sockets: sockets{held: map[string]handed{}}}, nil
}

// Close ends the thread, unless it was lent. Workers that still live and were started unguarded are killed by the kernel then.
func (s *Starter) Close() {
	s.Release("", nil)
	s.once.Do(func() { close(s.done) })
	if !s.lent {
		s.thread.End()
	}
}

var errStarterClosed = errors.New("weir is stopping")

// on runs f on the thread and waits for it.
func (s *Starter) on(f func()) error {
	done := make(chan struct{})
	select {
	case s.thread.work <- func() { defer close(done); f() }:
		<-done
		return nil
	case <-s.done:
		return errStarterClosed
	}
}

// Start starts cmd. Wait has to be called then.
func (s *Starter) Start(cmd *exec.Cmd) error {
	var err error
	if e := s.on(func() {
		if err = cmd.Start(); err == nil {
			s.own[cmd.Process.Pid] = true
		}
	}); e != nil {
		return e
	}
	return err
}

// Await waits until cmd, which Start has started, has ended, and leaves it for Wait to collect. Then it holds Still off until Leave.
func (s *Starter) Await(cmd *exec.Cmd) {
	awaitEnd(cmd.Process.Pid)
	s.work.enter()
}

// Leave says that everybody who has to know of the end of a process does.
func (s *Starter) Leave() { s.work.leave() }

// Enter holds Still off until Leave.
func (s *Starter) Enter() { s.work.enter() }

// Still waits for a moment in which nothing is being started or collected, and keeps it so until Go; then nothing that a process
// prints is read either. False: there was none within the time. One goroutine at a time.
func (s *Starter) Still(within time.Duration) bool {
	if !s.work.close(within) {
		return false
	}
	if !s.reads.close(within) {
		s.work.open()
		return false
	}
	return true
}

// Go ends what Still began.
func (s *Starter) Go() {
	s.reads.open()
	s.work.open()
}

// Wait waits for cmd, which Start has started, as cmd.Wait does.
func (s *Starter) Wait(cmd *exec.Cmd) error {
	err := cmd.Wait()
	// When the starter is closed nothing is reaped any more, so nothing has to be known.
	s.on(func() { delete(s.own, cmd.Process.Pid) }) //nolint:errcheck // see above
	return err
}

// Reap collects adopted processes that have died.
func (s *Starter) Reap() {
	if !s.adopts {
		return
	}
	s.on(func() { s.reap() }) //nolint:errcheck // closed: init does it
}

// reap runs on the thread, so that no process is started between the look and the deed.
func (s *Starter) reap() {
	for _, pid := range children(os.Getpid()) {
		if !s.own[pid] {
			collect(pid)
		}
	}
}

// Sweep kills adopted processes of a worker that is gone: those that left its process group. It knows them by the
// environment that the worker was started with. Without adoption it does nothing.
func (s *Starter) Sweep(worker string) {
	if !s.adopts {
		return
	}
	// Killing one may make its children ours, so look again; bounded, for a process may fork faster than we look.
	for range 50 {
		found := false
		err := s.on(func() {
			for _, pid := range children(os.Getpid()) {
				if !s.own[pid] && (worker == "" || variableOf(pid, workerVariable) == worker) {
					found = kill(pid) || found
				}
			}
			s.reap()
		})
		if err != nil || !found {
			return
		}
		runtime.Gosched()
	}
}
