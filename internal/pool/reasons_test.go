package pool

import (
	"testing"

	"github.com/weirhq/weir/internal/loop"
)

// What the loops see of a server for each set of reasons.
func TestReasonsAndPlaces(t *testing.T) {
	for _, row := range []struct {
		why       reason
		over      reason
		open, any bool // takes requests; takes them where all are closed
		kept      bool // takes who has a session there
		state     string
	}{
		{0, 0, true, true, true, "ready"},
		{rest, 0, false, true, false, "down"},
		{rest, rest, true, true, true, "down"}, // on trial
		{ejected, 0, false, true, false, "down"},
		{rest | ejected, rest, false, true, false, "down"},
		{rest | ejected, rest | ejected, true, true, true, "down"},
		{check, 0, false, false, false, "down"},
		{check | rest, rest, false, false, false, "down"},
		{drain, 0, false, false, true, "draining"},
		{drain | rest, 0, false, false, false, "draining"},
		{drain | check, 0, false, false, false, "draining"},
		{maint, 0, false, false, false, "maint"},
		{maint | drain, 0, false, false, false, "maint"},
	} {
		c := newCore("p", nil)
		s := c.newServer(want{name: "s"})
		c.bar(s, row.why)
		s.overdue(row.over)
		if open, any := s.places.Open(), s.places.Takes(true); open != row.open || any != row.any || s.state() != row.state {
			t.Errorf("%q, over %q: open %v, any %v, %s; want %v, %v, %s", row.why.words(), row.over.words(), open, any, s.state(), row.open, row.any, row.state)
		}
		if kept, _ := s.places.TakeKept(0); kept != row.kept {
			t.Errorf("%q, over %q: who has a session gets a place: %v", row.why.words(), row.over.words(), kept)
		}
		c.unbar(s, row.why)
		if !s.places.Open() {
			t.Errorf("%q: closed without a reason", row.why.words())
		}
	}
}

// A further reason during a trial does not start a second one.
func TestReasonDuringTrial(t *testing.T) {
	c := newCore("p", nil)
	s := c.newServer(want{name: "s"})
	c.bar(s, ejected)
	s.overdue(ejected)
	if ok, trial := s.places.Take(0, false); !ok || !trial {
		t.Fatal("no trial")
	}
	c.bar(s, drain)
	c.unbar(s, drain)
	if ok, _ := s.places.Take(0, false); ok {
		t.Fatal("two at a time try it")
	}
	s.overdue(0)
	if ok, trial := s.places.Take(0, false); !ok || !trial {
		t.Fatal("no trial after one that came to nothing")
	}
}

// Who waits at a server that was ill in the meantime goes elsewhere, however short that was; who came later stays.
func TestGivenUp(t *testing.T) {
	c := newCore("p", nil)
	s := c.newServer(want{name: "s"})
	at := func() *Turn { return &Turn{server: s, fallen: s.fallen.Load()} }
	before := at()
	for _, r := range []reason{check, ejected} {
		early := at()
		c.bar(s, r)
		during, trial := at(), at()
		trial.trial = true
		if !s.GivenUp(early) || !s.GivenUp(during) || s.GivenUp(trial) {
			t.Errorf("%q: early %v, during %v, trial %v", r.words(), s.GivenUp(early), s.GivenUp(during), s.GivenUp(trial))
		}
		c.unbar(s, r)
		if !s.GivenUp(early) || s.GivenUp(during) || s.GivenUp(at()) {
			t.Errorf("well after %q: early %v, during %v, late %v", r.words(), s.GivenUp(early), s.GivenUp(during), s.GivenUp(at()))
		}
	}
	for _, r := range []reason{rest, drain, maint, weightless, askedDown} {
		patient := at()
		c.bar(s, r)
		c.unbar(s, r)
		if s.GivenUp(patient) {
			t.Errorf("%q makes those who wait leave", r.words())
		}
	}
	if !s.GivenUp(before) {
		t.Error("it was forgotten")
	}
}

// Who leaves a server that was given up needs no budget; who leaves one that only failed does.
func TestRetriesOfThoseGivenUp(t *testing.T) {
	cfg := fixed("web", 0, "10.0.0.1:80", "10.0.0.2:80")
	e := engine(t, 1, false)
	p := build(t, pools(cfg), env(e), nil).Pool("web")
	in(t, e.Loops()[0], func(task *loop.Task) {
		var turn Turn
		left := 0
		for ; left < 10*freeRetries; left++ {
			s, err := p.Pick(task, &turn, nil)
			if err != nil {
				t.Fatal(err)
			}
			s.Done(&turn, EmptyResponse)
			if !s.MayRetry(&turn) {
				break
			}
			turn.Reset()
		}
		if left != freeRetries {
			t.Errorf("%d tries of a pool without requests were allowed, want %d", left, freeRetries)
		}
		turn.Reset()
		s, err := p.Pick(task, &turn, nil)
		if err != nil {
			t.Fatal(err)
		}
		p.c.mu.Lock()
		p.c.bar(s, check)
		p.c.unbar(s, check)
		p.c.mu.Unlock()
		s.Done(&turn, TimedOut)
		if !s.MayRetry(&turn) {
			t.Error("it has to stay at a server that was given up")
		}
	})
}
