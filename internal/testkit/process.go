package testkit

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Process is a process as /proc shows it. Only Linux has it.
type Process struct {
	PID     int
	Parent  int
	Started uint64 // in ticks since boot: tells a process from a later one with its number
	State   byte   // 'Z' for one that is dead and not yet waited for
	Ticks   uint64 // processor time, user and system, in hundredths of a second
	RSS     int64  // resident bytes
	Command string
}

// process reads one process; ok is false when it is gone.
func process(pid int) (p Process, ok bool) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return p, false
	}
	// The name stands in parentheses and may contain anything: the fields begin after the last one.
	i := bytes.LastIndexByte(stat, ')')
	f := strings.Fields(string(stat[i+1:]))
	if len(f) < 22 {
		return p, false
	}
	number := func(n int) uint64 {
		v, _ := strconv.ParseUint(f[n], 10, 64) // the kernel's own digits
		return v
	}
	p = Process{PID: pid, State: f[0][0], Parent: int(number(1)), Ticks: number(11) + number(12), Started: number(19),
		RSS: int64(number(21)) * int64(os.Getpagesize())}
	if cmd, err := os.ReadFile(filepath.Join(dir, "cmdline")); err == nil {
		p.Command = strings.TrimSpace(strings.ReplaceAll(string(cmd), "\x00", " "))
	}
	return p, true
}

// Alive reports whether this very process still runs.
func (p Process) Alive() bool {
	now, ok := process(p.PID)
	return ok && now.Started == p.Started && now.State != 'Z' && now.State != 'X'
}

// Now reads the process again; the zero value when it is gone.
func (p Process) Now() Process {
	now, ok := process(p.PID)
	if !ok || now.Started != p.Started {
		return Process{}
	}
	return now
}

// Kill sends the process a signal.
func (p Process) Kill(t testing.TB, s syscall.Signal) {
	t.Helper()
	if !p.Alive() {
		t.Fatalf("process %v is gone already", p)
	}
	if err := syscall.Kill(p.PID, s); err != nil {
		t.Fatalf("sending %v to %v: %v", s, p, err)
	}
}

// KillIfThere sends a signal to a process that may have ended by itself, and reports whether it had not.
func (p Process) KillIfThere(t testing.TB, s syscall.Signal) bool {
	t.Helper()
	if !p.Alive() {
		return false
	}
	err := syscall.Kill(p.PID, s)
	if err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Fatalf("sending %v to %v: %v", s, p, err)
	}
	return err == nil
}

func (p Process) String() string { return fmt.Sprintf("%d (%s)", p.PID, p.Command) }

// Tree returns a process and all that descend from it, parents first.
func Tree(pid int) []Process {
	list, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	children := map[int][]Process{}
	for _, e := range list {
		if n, err := strconv.Atoi(e.Name()); err == nil {
			if p, ok := process(n); ok {
				children[p.Parent] = append(children[p.Parent], p)
			}
		}
	}
	var all []Process
	if p, ok := process(pid); ok {
		all = append(all, p)
	}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i].PID]...)
	}
	return all
}

// Gone waits until none of the processes is alive, and fails the test when one is after the time.
func Gone(t testing.TB, limit time.Duration, all []Process) {
	t.Helper()
	var left []string
	for range Until(limit) {
		left = left[:0]
		for _, p := range all {
			if p.Alive() {
				left = append(left, p.String())
			}
		}
		if len(left) == 0 {
			return
		}
	}
	t.Errorf("still alive after %v: %s", limit, strings.Join(left, ", "))
	for _, p := range all {
		if p.Alive() {
			syscall.Kill(p.PID, syscall.SIGKILL) // the test has failed; this only tidies up
		}
	}
}
