package app

import (
	"syscall"
	"testing"
	"time"
)

func TestGate(t *testing.T) {
	var g gate
	g.enter()
	if g.close(time.Millisecond) {
		t.Fatal("it was shut with somebody inside")
	}
	g.enter() // nobody has to wait for one that waits to shut it
	g.leave()
	shut := make(chan bool)
	go func() { shut <- g.close(time.Minute) }()
	until(t, "it waits", func() bool { g.mu.Lock(); defer g.mu.Unlock(); return g.empty != nil })
	g.enter()
	g.leave()
	g.leave()
	if !<-shut {
		t.Fatal("nobody is inside, and it was not shut")
	}
	in := make(chan struct{})
	go func() { g.enter(); close(in) }()
	select {
	case <-in:
		t.Fatal("somebody came in")
	case <-time.After(5 * time.Millisecond):
	}
	g.open()
	<-in
	if g.close(time.Millisecond) {
		t.Fatal("it was shut with somebody inside")
	}
	g.leave()
	if !g.close(0) {
		t.Fatal("it cannot be shut")
	}
	g.open()
}

// TestStill: while all is to be still, what ends is not collected; nothing of it is lost.
func TestStill(t *testing.T) {
	h := open(t, false)
	p := h.launch(t, helper("serve"))
	if !h.starter.Still(time.Minute) {
		t.Fatal("nothing is under way")
	}
	if err := syscall.Kill(p.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, "it has ended", func() bool { s, err := statOf(p.PID()); return err == nil && s.state == 'Z' })
	select {
	case <-p.Done():
		t.Error("it was collected")
	case <-time.After(5 * time.Millisecond):
	}
	h.starter.Go()
	h.over(t, p)
	if how, _ := p.Exit(); how != "signal: killed" {
		t.Error(how)
	}
	if h.starter.Still(time.Millisecond) {
		t.Fatal("nobody has taken note of its end")
	}
	h.starter.Leave()
	if !h.starter.Still(time.Second) {
		t.Fatal("there is nothing under way")
	}
	h.starter.Go()
}
