package app

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/weirhq/weir/internal/config"
)

// hook runs a command beside the worker's own, with the same user, directory and environment, and waits for its end. What
// it prints goes where the worker's output goes. It is killed, with all that it has started, when its time is over, or when
// everything is to stop at once.
func (p *Process) hook(s *Starter, name string, h config.Hook) error {
	if len(h.Argv) == 0 {
		return nil
	}
	lines, err := p.runHook(s, h)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("the hook %s failed: %w", name, err)
	if len(lines) > 0 {
		err = fmt.Errorf("%w; its last words: %s", err, strings.TrimSpace(lines[len(lines)-1]))
	}
	return &HookError{err, lines}
}

// HookError is a hook that failed, with what it printed last, oldest first.
type HookError struct {
	Err   error
	Lines []string
}

func (e *HookError) Error() string { return e.Err.Error() }

func (e *HookError) Unwrap() error { return e.Err }

func (p *Process) runHook(s *Starter, h config.Hook) (lines []string, err error) {
	env := environ(p.app, p.id, p.own)
	a := *p.app
	a.Argv = h.Argv
	path, err := findCommand(&a, env)
	if err != nil {
		return nil, err
	}
	argv := make([]string, len(h.Argv))
	for i, word := range h.Argv {
		argv[i] = substitute(word, p.own)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("capturing its output: %w", err)
	}
	defer r.Close() //nolint:errcheck // only read
	cmd := &exec.Cmd{Path: path, Args: argv, Env: list(env), Dir: p.app.Directory, Stdout: w, Stderr: w, SysProcAttr: attributes(p.id.credential, s.Guarded.Load())}
	err = s.Start(cmd)
	w.Close() //nolint:errcheck // the child has its own
	if err != nil {
		return nil, fmt.Errorf("cannot be started: %w", plain(err, p.app))
	}
	out := &output{who: p.out.who, sink: p.out.sink, gate: p.out.gate, app: p.out.app}
	read := make(chan struct{})
	go func() { out.read(r); close(read) }()
	late := s.watchHook(cmd.Process.Pid, h.Within)
	err = s.Wait(cmd)
	why := late()
	syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) //nolint:errcheck // what it has left behind, if anything
	if e := r.SetReadDeadline(time.Now().Add(lastOutput)); e != nil {
		r.Close() //nolint:errcheck // only read; it ends the reader as a deadline would
	}
	<-read
	if why != "" {
		err = fmt.Errorf("it was killed: %s", why)
	}
	return out.lines(), err
}

// watchHook kills a process group when its time is over. What it returns ends the watch, waits for that, and says why it
// was killed, if it was.
func (s *Starter) watchHook(pid int, within time.Duration) (end func() string) {
	ended, done := make(chan struct{}), make(chan struct{})
	why := ""
	go func() {
		defer close(done)
		t := time.NewTimer(within)
		defer t.Stop()
		select {
		case <-ended:
			return
		case <-t.C:
			why = fmt.Sprintf("it took longer than %v", within)
		case <-s.hurry:
			why = "weir stops"
		}
		syscall.Kill(-pid, syscall.SIGKILL) //nolint:errcheck // it may have ended just now, and is not waited for yet
	}()
	return func() string {
		close(ended)
		<-done
		return why
	}
}

// Hurry ends hooks that run, and those to come at once: everything is being stopped.
func (s *Starter) Hurry() { s.hurried.Do(func() { close(s.hurry) }) }
