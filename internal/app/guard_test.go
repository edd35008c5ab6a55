package app

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/notice"
)

// begun is a guard that runs in the test's process; keeper is the end of the pipe that dies.
type begun struct {
	t      *testing.T
	keeper *io.PipeWriter
	log    buffer
	out    buffer
	swept  atomic.Bool
	done   chan error
}

func beginGuard(t *testing.T) *begun {
	r, w := io.Pipe()
	b := &begun{t: t, keeper: w, done: make(chan error, 1)}
	sink := NewSink(&b.out, notice.Form{})
	t.Cleanup(func() { sink.Close(5 * time.Second) })
	go func() {
		b.done <- Guard(r, sink, slog.New(slog.NewTextHandler(&b.log, nil)), func() { b.swept.Store(true) })
	}()
	return b
}

func (b *begun) tell(w Wards) {
	b.t.Helper()
	line, err := json.Marshal(w)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.keeper.Write(append(line, '\n')); err != nil {
		b.t.Fatal(err)
	}
}

// end kills the keeper and waits for the guard.
func (b *begun) end() error {
	b.t.Helper()
	b.keeper.Close()
	select {
	case err := <-b.done:
		return err
	case <-time.After(20 * time.Second):
		b.t.Fatal("the guard does not end")
		return nil
	}
}

func TestGuardStopsInOrder(t *testing.T) {
	h := open(t, false)
	edge := h.launch(t, helper("stubborn"))
	worker := h.launch(t, helper("serve"))
	if err := worker.AwaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := beginGuard(t)
	b.tell(Wards{Edges: []int{edge.PID()}})
	b.tell(Wards{Edges: []int{edge.PID()}, Drain: 60_000, Workers: []Ward{worker.Ward()}})
	if _, err := b.keeper.Write([]byte(`{"edge":1,"drain_ms":0}`)); err != nil { // without its end it was not said
		t.Fatal(err)
	}
	b.keeper.Close()
	until(t, "it has noticed", func() bool { return strings.Contains(b.log.String(), "weir run died") })
	time.Sleep(3 * guardTick)
	if !alive(worker.PID()) || b.swept.Load() {
		t.Error("the worker was stopped before the edge")
	}
	if err := edge.Signal("KILL"); err != nil {
		t.Fatal(err)
	}
	if err := b.end(); err != nil || !b.swept.Load() {
		t.Error(err, b.swept.Load())
	}
	h.over(t, worker)
	if how, _ := worker.Exit(); how != "signal: terminated" || strings.Contains(b.log.String(), "killed") {
		t.Error(how, b.log.String())
	}
}

func TestGuardKillsWhatDoesNotHeed(t *testing.T) {
	h := open(t, false)
	edge, worker, family := h.launch(t, helper("stubborn")), h.launch(t, helper("stubborn")), h.launch(t, helper("family"))
	for _, p := range []*Process{edge, worker, family} {
		until(t, "it is up", func() bool { return len(p.Lines()) > 0 })
	}
	var child, escaped int
	if _, err := fmt.Sscanf(family.Lines()[0], "family %d %d", &child, &escaped); err != nil {
		t.Fatal(err)
	}
	defer syscall.Kill(escaped, syscall.SIGKILL) // it is for sweep
	b := beginGuard(t)
	late := worker.Ward()
	late.Within = 100
	b.tell(Wards{Edges: []int{edge.PID()}, Drain: 50, Workers: []Ward{late, family.Ward()}})
	if err := b.end(); err != nil {
		t.Error(err)
	}
	for _, p := range []*Process{edge, worker, family} {
		h.over(t, p)
	}
	until(t, "what a worker left in its group is gone", func() bool { return !alive(child) })
	for _, want := range []string{"the edge did not finish in time", "a worker did not stop in time"} {
		if !strings.Contains(b.log.String(), want) {
			t.Error(b.log.String())
		}
	}
}

func TestGuardTakesOverTheOutput(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", "read go; echo first; echo second && sleep 3600")
	cmd.Stdout, cmd.SysProcAttr = w, &syscall.SysProcAttr{Setsid: true}
	begin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	b := beginGuard(t)
	wards := Wards{Keeper: os.Getpid(), Workers: []Ward{{Name: "web/1", PID: cmd.Process.Pid, Output: int(r.Fd()), Signal: "TERM", Within: 10_000}}}
	b.tell(wards)
	b.tell(wards) // the first one has been taken in then
	r.Close()     // the keeper's, as when it dies
	edge := exec.Command("sleep", "3600")
	if err := edge.Start(); err != nil {
		t.Fatal(err)
	}
	wards.Edges, wards.Drain = []int{edge.Process.Pid}, 60_000
	b.tell(wards)
	b.keeper.Close()
	if _, err := begin.Write([]byte("go\n")); err != nil {
		t.Fatal(err)
	}
	until(t, "what it says is shown", func() bool {
		return strings.Contains(b.out.String(), "web/1: first\n") && strings.Contains(b.out.String(), "web/1: second\n")
	})
	edge.Process.Kill()
	edge.Wait()
	if err := b.end(); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err == nil || err.Error() != "signal: terminated" {
		t.Error(err)
	}
}

func TestGuardHasNothingToDo(t *testing.T) {
	b := beginGuard(t)
	b.tell(Wards{Edges: []int{os.Getpid()}})
	b.tell(Wards{})
	if err := b.end(); err != nil || b.swept.Load() || b.log.String() != "" {
		t.Error(err, b.log.String())
	}
	b = beginGuard(t)
	b.keeper.Write([]byte("what?\n"))
	if err := b.end(); err == nil || !strings.HasPrefix(err.Error(), "listening to weir run: ") {
		t.Error(err)
	}
}

func TestGuardKnowsAProcessNumberThatCameAgain(t *testing.T) {
	cmd := exec.Command(os.Args[0], "worker", "sleep")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	pid := cmd.Process.Pid
	g := guard{log: slog.New(slog.DiscardHandler), pipes: map[int]*os.File{}}
	g.told(Wards{Edges: []int{pid}, Workers: []Ward{{PID: pid, Signal: "KILL"}}})
	if g.gone(pid) {
		t.Error("it lives")
	}
	g.starts[pid]--
	if !g.gone(pid) {
		t.Error("it is another")
	}
	g.stopWorkers()
	if !alive(pid) {
		t.Error("a stranger was killed")
	}
}
