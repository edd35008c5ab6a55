package app

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
)

// Starter starts processes, all from one operating system thread that lives as long as the starter: the kernel sends
// the parent-death signal when the *thread* that started a process ends, not when its program does, and Go ends
// threads as it likes. Any goroutine may use it.
type Starter struct {
	work   chan func()
	done   chan struct{}
	once   sync.Once
	adopts bool

	// Guarded says that a guard stops the workers if the keeper dies. While it is not, the kernel kills those that are
	// started then.
	Guarded atomic.Bool

	hurry   chan struct{} // closed when hooks are to end
	hurried sync.Once
	sockets sockets

	own map[int]bool // on the thread: processes that somebody waits for
}

// NewStarter returns a starter. With adopt, processes whose parents die (daemons of workers) become children of this
// program, which is then to call Reap whenever a child dies.
func NewStarter(adopt bool) (*Starter, error) {
	if adopt {
		if err := adoptOrphans(); err != nil {
			return nil, fmt.Errorf("becoming the parent of orphans: %w", err)
		}
	}
	s := &Starter{work: make(chan func()), done: make(chan struct{}), adopts: adopt, own: map[int]bool{}, hurry: make(chan struct{}), sockets: sockets{held: map[string]handed{}}}
	go func() {
		runtime.LockOSThread() // never unlocked: when this goroutine ends, so does the thread, and what is left of its children
		for {
			select {
			case f := <-s.work:
				f()
			case <-s.done:
				return
			}
		}
	}()
	return s, nil
}

// Close ends the thread. Workers that still live and were started unguarded are killed by the kernel.
func (s *Starter) Close() {
	s.Release("", nil)
	s.once.Do(func() { close(s.done) })
}

var errStarterClosed = errors.New("weir is stopping")

// on runs f on the thread and waits for it.
func (s *Starter) on(f func()) error {
	done := make(chan struct{})
	select {
	case s.work <- func() { defer close(done); f() }:
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
