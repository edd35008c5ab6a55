package testkit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/api"
)

// Weir is the real binary at work: `weir run FILE` in a directory of its own.
type Weir struct {
	Address string // host:port of its first listener
	Dir     string // holds weir.yaml, and what the test puts there
	File    string // Dir/weir.yaml
	RunDir  string

	t      testing.TB
	binary string // that runs
	tool   string // for Command
	cmd    *exec.Cmd
	output output
	exited chan struct{} // closed when the process has been waited for
	was    []Process     // everything that has been seen running under it
}

// Setup says what to run. In Config, Files and Env, @ADDRESS@ is a free address, @PORT@ its port, @DIR@ the directory,
// @ROOT@ the repository and @HELLO@ the binary of examples/hello.
type Setup struct {
	Config  string
	File    string            // a file of the repository to run instead of Config ("examples/django/weir.yaml")
	Files   map[string]string // more files, by their path in Dir
	Env     []string          // NAME=value, added to the environment
	Args    []string          // more arguments of `weir run`
	Address string            // listener, when the configuration does not say @ADDRESS@
	Ready   string            // path that answers with a status below 500 once all is well; default "/"
	Within  time.Duration     // to get there; default 30 s
	Plain   bool              // without the race detector even when the test has it: for tests of time and memory
	NoWait  bool              // return as soon as the process has been started
	Nofile  int               // limit on open files of each process, as ulimit -n sets it; 0: inherited
	Own     bool              // run a copy of the binary in Dir, which the test may replace
	Sockets []*os.File        // handed down as systemd does
	RunDir  string            // of an earlier weir that has stopped; default: a new one
	Deaf    bool              // its output goes to a pipe whose reader has gone away, not to Output
}

// Run starts weir and waits until it answers. When the test ends, weir is told to stop; the test fails if it does not
// exit with 0, or leaves a process behind.
func Run(t testing.TB, s Setup) *Weir {
	t.Helper()
	w := &Weir{t: t, Dir: t.TempDir(), Address: s.Address, exited: make(chan struct{})}
	w.File = filepath.Join(w.Dir, "weir.yaml")
	if w.Address == "" {
		w.Address = FreeAddress(t)
	}
	w.binary = Build(t, "./cmd/weir", !s.Plain)
	// Paths of Unix sockets are short: a test's own directory, with its name in it, can be too long for one.
	if w.RunDir = s.RunDir; w.RunDir == "" {
		run, err := os.MkdirTemp("", "weir-run-")
		if err != nil {
			t.Fatal(err)
		}
		w.RunDir = run
		t.Cleanup(func() { os.RemoveAll(run) })
	}
	if s.File != "" {
		w.File = filepath.Join(Root(), s.File)
	} else {
		w.Write("weir.yaml", s.Config)
	}
	for name, text := range s.Files {
		w.Write(name, text)
	}
	w.tool = w.binary
	if s.Own {
		w.binary = w.Copy(w.binary, "weir")
	}
	w.start(s)
	t.Cleanup(w.finish)
	if !s.NoWait {
		w.Wait(s)
	}
	return w
}

// Write writes a file into Dir, with the placeholders of Setup replaced.
func (w *Weir) Write(name, text string) {
	w.t.Helper()
	path := filepath.Join(w.Dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	text = w.fill(text)
	mode := os.FileMode(0o644)
	if strings.HasPrefix(text, "#!") {
		mode = 0o755
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		w.t.Fatal(err)
	}
}

// Copy puts an executable copy of a file into Dir, in one step, in place of what was there, and returns its path.
func (w *Weir) Copy(from, name string) string {
	w.t.Helper()
	path := filepath.Join(w.Dir, name)
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(path+".new", text, 0o755)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return path
}

// fill replaces the placeholders of Setup.
func (w *Weir) fill(text string) string {
	w.t.Helper()
	if strings.Contains(text, "@HELLO@") {
		text = strings.ReplaceAll(text, "@HELLO@", Build(w.t, "./examples/hello", false))
	}
	_, port, _ := strings.Cut(w.Address, ":")
	return strings.NewReplacer("@ADDRESS@", w.Address, "@PORT@", port, "@DIR@", w.Dir, "@ROOT@", Root()).Replace(text)
}

func (w *Weir) start(s Setup) {
	w.t.Helper()
	w.cmd = exec.Command(w.binary, append(append([]string{"run"}, s.Args...), w.File)...)
	if s.Nofile > 0 {
		limited := fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, s.Nofile)
		w.cmd = exec.Command("sh", append([]string{"-c", limited}, w.cmd.Args...)...)
	}
	if n := len(s.Sockets); n > 0 {
		// The process must know its own number, which a shell does.
		activated := fmt.Sprintf(`export LISTEN_PID=$$ LISTEN_FDS=%d && exec "$0" "$@"`, n)
		w.cmd = exec.Command("sh", append([]string{"-c", activated}, w.cmd.Args...)...)
		w.cmd.ExtraFiles = s.Sockets
	}
	w.cmd.Dir = w.Dir
	w.cmd.Env = append(os.Environ(), "WEIR_RUN_DIR="+w.RunDir, "GORACE=halt_on_error=1 exitcode=66 atexit_sleep_ms=50")
	for _, e := range s.Env {
		w.cmd.Env = append(w.cmd.Env, w.fill(e))
	}
	w.cmd.Stdout, w.cmd.Stderr = &w.output, &w.output
	if s.Deaf {
		r, pipe, err := os.Pipe()
		if err != nil {
			w.t.Fatal(err)
		}
		r.Close()
		defer pipe.Close()
		w.cmd.Stdout, w.cmd.Stderr = pipe, pipe
	}
	// A process that inherited the output must not keep Wait from returning for ever.
	w.cmd.WaitDelay = 5 * time.Second
	if err := w.cmd.Start(); err != nil {
		w.t.Fatalf("starting weir: %v", err)
	}
	go func() {
		defer close(w.exited)
		// The exit code is read from ProcessState; what else can go wrong is that output was left open, and that
		// shows as a process left behind.
		_ = w.cmd.Wait()
	}()
}

// Wait waits until weir answers.
func (w *Weir) Wait(s Setup) {
	w.t.Helper()
	path, limit := s.Ready, s.Within
	if path == "" {
		path = "/"
	}
	if limit == 0 {
		limit = 30 * time.Second
	}
	var last string
	for range Until(limit) {
		select {
		case <-w.exited:
			w.t.Fatalf("weir ended: %v\n%s", w.cmd.ProcessState, w.Output())
		default:
		}
		status, body, err := w.get(path)
		if err == nil && status < 500 {
			w.Processes()
			return
		}
		if last = body; err != nil {
			last = err.Error()
		}
	}
	w.t.Fatalf("weir does not answer within %v; the last thing was: %s\n%s", limit, short(last), w.Output())
}

// fresh makes each request on a connection of its own.
var fresh = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true, DisableCompression: true},
	Timeout:       Patience,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func (w *Weir) get(path string) (status int, body string, err error) {
	r, err := fresh.Get(w.URL(path))
	if err != nil {
		return 0, "", err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return r.StatusCode, string(b), err
}

// URL returns the address of a path.
func (w *Weir) URL(path string) string { return "http://" + w.Address + path }

// Get fetches a path on a connection of its own.
func (w *Weir) Get(path string) (status int, body string) {
	w.t.Helper()
	status, body, err := w.get(path)
	if err != nil {
		w.t.Fatalf("GET %s: %v", path, err)
	}
	return status, body
}

// Dial connects to weir.
func (w *Weir) Dial() *Conn { w.t.Helper(); return Dial(w.t, w.Address) }

// Command runs `weir` with the arguments and this run directory, and returns what it said and its exit code.
func (w *Weir) Command(args ...string) (stdout, stderr string, code int) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, w.tool, args...)
	cmd.Dir = w.Dir
	cmd.Env = append(os.Environ(), "WEIR_RUN_DIR="+w.RunDir)
	var out, problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problem
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.t.Fatalf("weir %s: %v", strings.Join(args, " "), err)
	}
	return out.String(), problem.String(), cmd.ProcessState.ExitCode()
}

// Do runs `weir` with the arguments and fails the test when it does not exit with 0.
func (w *Weir) Do(args ...string) string {
	w.t.Helper()
	out, problem, code := w.Command(args...)
	if code != 0 {
		w.t.Fatalf("weir %s: exit %d: %s%s", strings.Join(args, " "), code, out, problem)
	}
	return out
}

// Status returns what `weir status --json` says.
func (w *Weir) Status() *api.Status {
	w.t.Helper()
	var s api.Status
	text := w.Do("status", "--json")
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		w.t.Fatalf("weir status --json: %v: %s", err, text)
	}
	w.Processes()
	return &s
}

// Look asks the keeper for its status without starting a process for it. From any goroutine.
func (w *Weir) Look() (api.Status, error) {
	c := api.NewClient(api.KeeperSocket(w.RunDir))
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	var s api.Status
	err := c.Get(ctx, "/v1/status", &s)
	return s, err
}

// Keeper, Edge and Workers are the processes; Workers are those of an app that get requests.
func (w *Weir) Keeper() Process {
	w.t.Helper()
	return w.process(w.cmd.Process.Pid)
}

// Edge is the process that handles traffic. One that has just died is waited for.
func (w *Weir) Edge() (edge Process) {
	w.t.Helper()
	Eventually(w.t, Patience, "weir has an edge", func() bool {
		s := w.Status()
		if s.Edge == nil {
			return false
		}
		p, ok := process(s.Edge.PID)
		edge = p
		return ok && p.Alive()
	})
	return edge
}

// Desk is the process of the status page. One that has just died is waited for.
func (w *Weir) Desk() (desk Process) {
	w.t.Helper()
	Eventually(w.t, Patience, "weir has a desk", func() bool {
		for _, p := range w.Processes() {
			if p.Command == "weir desk" && p.Alive() {
				desk = p
				return true
			}
		}
		return false
	})
	return desk
}

// Workers are the processes of an app's workers that get requests.
func (w *Weir) Workers(app string) (all []Process) {
	w.t.Helper()
	for _, a := range w.Status().Apps {
		if a.Name != app {
			continue
		}
		for _, k := range a.Workers {
			if k.State == "live" || k.State == "ready" {
				if p, ok := process(k.PID); ok {
					all = append(all, p)
				}
			}
		}
	}
	return all
}

func (w *Weir) process(pid int) Process {
	w.t.Helper()
	p, ok := process(pid)
	if !ok {
		w.t.Fatalf("process %d is gone\n%s", pid, w.Output())
	}
	return p
}

// Processes returns everything that runs under weir, itself first. What was seen once is looked for at the end.
func (w *Weir) Processes() []Process {
	now := Tree(w.cmd.Process.Pid)
	w.was = append(w.was, now...)
	return now
}

// Output returns what weir has printed so far, workers' output included.
func (w *Weir) Output() string { return w.output.String() }

// Exited returns a channel that is closed when the keeper has ended.
func (w *Weir) Exited() <-chan struct{} { return w.exited }

// Code returns the keeper's exit code; only after Exited.
func (w *Weir) Code() int { return w.cmd.ProcessState.ExitCode() }

// Signal sends the keeper a signal.
func (w *Weir) Signal(s syscall.Signal) {
	w.t.Helper()
	if err := w.cmd.Process.Signal(s); err != nil {
		w.t.Fatalf("sending %v to weir: %v", s, err)
	}
}

// Stop tells weir to stop and expects that it exits with 0 and leaves nothing behind.
func (w *Weir) Stop() {
	w.t.Helper()
	w.Processes()
	w.Signal(syscall.SIGTERM)
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	select {
	case <-w.exited:
		if w.Code() != 0 {
			w.t.Errorf("weir ended with %v", w.cmd.ProcessState)
		}
	case <-limit.C:
		w.t.Errorf("weir does not stop within 30 s")
		w.cmd.Process.Kill()
		<-w.exited
	}
	Gone(w.t, 5*time.Second, w.was)
}

// finish is the clean-up: it stops weir unless the test has done so, and shows its output when the test has failed.
func (w *Weir) finish() {
	defer func() {
		if w.t.Failed() {
			w.t.Logf("output of weir:\n%s", w.Output())
		}
	}()
	select {
	case <-w.exited:
		Gone(w.t, 5*time.Second, w.was)
	default:
		w.Stop()
	}
	if strings.Contains(w.Output(), "WARNING: DATA RACE") {
		w.t.Errorf("weir has a data race")
	}
}

// output collects what a process prints, its last 256 KiB.
type output struct {
	mu  sync.Mutex
	buf []byte
}

func (o *output) Write(p []byte) (int, error) {
	const most = 256 << 10
	o.mu.Lock()
	defer o.mu.Unlock()
	o.buf = append(o.buf, p...)
	if len(o.buf) > 2*most {
		o.buf = append(o.buf[:0], o.buf[len(o.buf)-most:]...)
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.buf)
}
