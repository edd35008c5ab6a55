package pool

import (
	"errors"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/loop"
)

// passes has a request pass: it picks, connects and ends so.
func passes(t *testing.T, p *Pool, l *loop.Loop, status int, o Outcome) {
	t.Helper()
	in(t, l, func(task *loop.Task) {
		var turn Turn
		s, err := p.Pick(task, &turn, nil)
		if err != nil {
			t.Error(err)
			return
		}
		c, _, err := s.Connect(task, false, 0)
		if err != nil {
			s.Done(&turn, ConnectError)
			return
		}
		s.Keep(c)
		if status != 0 {
			turn.Answered(status, l.Now())
		}
		s.Passed(&turn, 10, 20)
		turn.Took(int64(time.Millisecond))
		s.Done(&turn, o)
	})
}

func TestCountersOfServers(t *testing.T) {
	onBoth(t, 2, func(t *testing.T, e *loop.Engine) {
		o := newOrigin(t, "tcp")
		cfg := fixed("p", 3, o.address)
		cfg.Servers[0].Weight = 5
		s := build(t, pools(cfg), Env{Loops: e.Loops()}, nil)
		p := s.Pool("p")
		passes(t, p, e.Loops()[0], 200, OK)
		passes(t, p, e.Loops()[0], 200, OK)
		passes(t, p, e.Loops()[1], 502, ServerError)
		passes(t, p, e.Loops()[1], 0, TimedOut)
		passes(t, p, e.Loops()[1], 0, Aborted)
		c := s.Counters()[0]
		m := c.Members[0]
		if len(c.Members) != 1 || m.Weight != 5 || m.MaxConn != 3 || m.Backup || c.Size != 10 {
			t.Errorf("%+v", c)
		}
		if m.Status != [6]uint64{1, 0, 2, 0, 0, 1} || m.Requests != 5 || m.Errors != 1 || m.In != 50 || m.Out != 100 || m.ActiveMax != 1 {
			t.Errorf("%+v", m)
		}
		if len(m.Failures) != 2 || m.Failures["timeout"] != 1 || m.Failures["server_error"] != 1 {
			t.Errorf("failures %v", m.Failures)
		}
		if m.Connects != 2 || m.Reused != 3 || m.FirstByte.Count() != 5 {
			t.Errorf("%d connects, %d reused, %d times", m.Connects, m.Reused, m.FirstByte.Count())
		}
		if c.Sum.Requests != 5 || c.Sum.Status != m.Status || c.Sum.Failures["timeout"] != 1 {
			t.Errorf("the sum is %+v", c.Sum)
		}
	})
}

// TestCountersOfThoseGone: workers come and go, and the sum stays.
func TestCountersOfThoseGone(t *testing.T) {
	onBoth(t, 2, func(t *testing.T, e *loop.Engine) {
		o := newOrigin(t, "unix")
		s := build(t, pools(ofApp("p", "web", 0)), Env{Loops: e.Loops()}, nil)
		is := func(name string) api.Worker {
			return api.Worker{App: "web", Name: name, Address: o.address, State: "ready"}
		}
		names := []string{"web/1", "web/1.2", "web/1.3"}
		for i, name := range names {
			s.SetWorkers([]api.Worker{is(name)})
			passes(t, s.Pool("p"), e.Loops()[i%2], 200, OK)
			passes(t, s.Pool("p"), e.Loops()[i%2], 0, BadResponse)
			c := s.Counters()[0]
			if len(c.Members) != 1 || c.Members[0].Name != name || c.Members[0].Requests != 2 {
				t.Errorf("the servers are %+v", c.Members)
			}
			want := uint64(i + 1)
			if c.Sum.Requests != 2*want || c.Sum.Status[2] != want || c.Sum.Errors != want || c.Sum.Failures["bad_response"] != want || c.Sum.FirstByte.Count() != 2*want ||
				c.Sum.In != 20*want {
				t.Errorf("after %s the sum is %+v", name, c.Sum)
			}
		}
		s.SetWorkers(nil)
		next := build(t, pools(ofApp("p", "web", 0)), Env{Loops: e.Loops()}, s)
		s.Retire(next)
		if c := next.Counters()[0]; len(c.Members) != 0 || c.Sum.Requests != 6 || c.Sum.Name != "" {
			t.Errorf("when all have gone: %+v", c)
		}
	})
}

func TestCountersOfTheQueue(t *testing.T) {
	onBoth(t, 1, func(t *testing.T, e *loop.Engine) {
		l := e.Loops()[0]
		o := newOrigin(t, "tcp")
		cfg := fixed("p", 1, o.address)
		cfg.Queue = config.Queue{Size: 2, Timeout: 300 * time.Millisecond}
		s := build(t, pools(cfg), Env{Loops: e.Loops()}, nil)
		p := s.Pool("p")
		var holder Turn
		var at *Server
		in(t, l, func(task *loop.Task) {
			var err error
			if at, err = p.Pick(task, &holder, nil); err != nil {
				t.Error(err)
			}
		})
		wait := func(want error) <-chan struct{} {
			return start(l, func(task *loop.Task) {
				var turn Turn
				s, err := p.Pick(task, &turn, nil)
				if !errors.Is(err, want) {
					t.Errorf("got %v, want %v", err, want)
				}
				if err == nil {
					s.Done(&turn, OK)
				}
			})
		}
		one, two := wait(ErrQueueTimeout), wait(ErrQueueTimeout)
		eventually(t, "both wait", func() bool { return p.c.waiting.Load() == 2 })
		finished(t, wait(ErrQueueFull))
		finished(t, one)
		finished(t, two)
		three := wait(nil)
		in(t, l, func(*loop.Task) { at.Done(&holder, OK) }) // three may have asked before, and waited
		finished(t, three)
		c := s.Counters()[0]
		if c.QueueMax != 2 || c.TimedOut != 2 || c.Rejected != 1 || c.Queue.Count() < 2 || c.Queue.Count() > 3 || c.Queue.Sum < 600*time.Millisecond {
			t.Errorf("at most %d, %d had no more time, %d found it full, %d waited for %v", c.QueueMax, c.TimedOut, c.Rejected, c.Queue.Count(), c.Queue.Sum)
		}
	})
}

func TestCountersOfTries(t *testing.T) {
	e := engine(t, 1, false)
	l := e.Loops()[0]
	a, b := newOrigin(t, "tcp"), newOrigin(t, "tcp")
	cfg := fixed("p", 0, a.address, b.address)
	cfg.Hedge = &config.Hedge{After: time.Millisecond, AtMost: 1000}
	s := build(t, pools(cfg), Env{Loops: e.Loops()}, nil)
	p := s.Pool("p")
	in(t, l, func(task *loop.Task) {
		var turn, second Turn
		try := func(o Outcome) *Server {
			s, err := p.Pick(task, &turn, nil)
			if err != nil {
				t.Fatal(err)
			}
			if o != OK {
				s.Done(&turn, o)
			}
			return s
		}
		first := try(EmptyResponse)
		if first.MayRetry(&turn) { // the pool has no budget, but for a few that are free
			try(OK).Done(&turn, OK)
		}
		turn.Reset()
		one := try(OK)
		other := p.PickOther(task, &second, one)
		one.Done(&turn, Aborted)
		turn.TakeOver(&second)
		turn.Won()
		other.Done(&turn, OK)
		turn.Reset()
		one = try(OK)
		other = p.PickOther(task, &second, one)
		other.Done(&second, Aborted)
		one.Done(&turn, OK)
	})
	c := s.Counters()[0]
	if c.Retries != 1 || c.Redispatch != 1 || c.NoRetry != 0 || c.Hedges != [3]uint64{0, 1, 1} {
		t.Errorf("%d retries, %d elsewhere, %d refused, hedges %v", c.Retries, c.Redispatch, c.NoRetry, c.Hedges)
	}
	var spent uint64
	in(t, l, func(task *loop.Task) {
		for range freeRetries + 5 {
			var turn Turn
			s, err := p.Pick(task, &turn, nil)
			if err != nil {
				t.Error(err)
				return
			}
			if s.Done(&turn, EmptyResponse); !s.MayRetry(&turn) {
				spent++
			}
		}
	})
	if got := s.Counters()[0].NoRetry; got != spent || spent == 0 {
		t.Errorf("%d tries were refused, counted %d", spent, got)
	}
}

// TestCountersOfHealth: checks, and times that a server was down; what was found out goes to whoever comes after.
func TestCountersOfHealth(t *testing.T) {
	e := engine(t, 1, false)
	o := newOrigin(t, "tcp")
	cfg := fixed("p", 0, o.address)
	cfg.Health = &config.Health{Type: "tcp", Every: 20 * time.Millisecond, Fast: 20 * time.Millisecond, Timeout: time.Second, Rise: 1, Fall: 2}
	s := build(t, pools(cfg), Env{Loops: e.Loops()}, nil)
	member := func(s *Set) api.ServerCounters { return s.Counters()[0].Members[0] }
	eventually(t, "it was checked", func() bool { return member(s).Checks > 1 })
	if m := member(s); m.CheckFail != 0 || m.Downs != 0 || m.DownFor != 0 || m.CheckTime <= 0 {
		t.Errorf("%+v", m)
	}
	if v := s.Verdicts(); len(v) != 0 {
		t.Errorf("verdicts on a well one: %+v", v)
	}
	o.close()
	eventually(t, "it is down", func() bool { m := member(s); return m.State == "down" && m.DownFor > 0 })
	if m := member(s); m.Downs != 1 || m.CheckFail < 2 {
		t.Errorf("%+v", m)
	}
	verdicts := s.Verdicts()
	if len(verdicts) != 1 || !verdicts[0].Fails || verdicts[0].Message == "" || verdicts[0].Pool != "p" {
		t.Fatalf("%+v", verdicts)
	}
	// Another process has made no check yet, and would make the next ones in an hour.
	slow := *cfg
	h := *cfg.Health
	h.Every, h.Fast = time.Hour, time.Hour
	slow.Health = &h
	other := build(t, pools(&slow), Env{Loops: e.Loops()}, nil)
	other.Believe(append(verdicts, api.Verdict{Pool: "no such"}, api.Verdict{Pool: "p", Server: "no such", Fails: true}))
	m := member(other)
	if m.State != "down" || m.Check == "" || m.Downs != 0 { // it went down elsewhere
		t.Errorf("the other takes it for %+v", m)
	}
	s.StopClocks()
	stopped := member(s)
	time.Sleep(50 * time.Millisecond) // nothing may happen
	if now := member(s); now.DownFor != stopped.DownFor || now.Checks != stopped.Checks {
		t.Errorf("what was handed over is counted on: %v and %v seconds, %d and %d checks", stopped.DownFor, now.DownFor, stopped.Checks, now.Checks)
	}
}

// TestEjectionsGoOver: an ejected server stays out for as long as it would have, however long another says.
func TestEjectionsGoOver(t *testing.T) {
	eject := config.Eject{After: 2, For: time.Minute, AtMost: 1000}
	s, servers := ejecting(t, 2, eject)
	ends(servers[0], EmptyResponse, EmptyResponse)
	verdicts := s.Verdicts()
	if len(verdicts) != 1 || verdicts[0].Until == 0 || verdicts[0].Fails {
		t.Fatalf("%+v", verdicts)
	}
	other, theirs := ejecting(t, 2, eject)
	other.Believe(verdicts)
	if got := stateNow(theirs[0]); got != "down" || stateNow(theirs[1]) != "ready" {
		t.Errorf("it is %s, the other %s", got, stateNow(theirs[1]))
	}
	if got := theirs[0].vitals.ejection; got.Times != 1 || got.Why != "2 errors in a row" || time.Until(got.Ends) > time.Minute || time.Until(got.Ends) < 50*time.Second {
		t.Errorf("%+v", got)
	}
	verdicts[0].Until, verdicts[0].For = 1<<60, 1<<60 // from somebody whose clock is wrong
	third, theirs := ejecting(t, 2, eject)
	third.Believe(verdicts)
	if got := theirs[0].vitals.ejection; time.Until(got.Ends) > 5*time.Minute {
		t.Errorf("it is out until %v", got.Ends)
	}
}

// TestCountersAllocateNothing: what is counted on the way of a request is.
func TestCountersAllocateNothing(t *testing.T) {
	s := build(t, pools(fixed("p", 0, "10.0.0.1:80")), Env{}, nil)
	c := s.Pool("p").c
	sv := c.view.Load().servers[0]
	sv.lanes, c.tallies = make([]lane, 1), make([]tally, 1)
	var turn Turn
	if n := testing.AllocsPerRun(1000, func() {
		turn.Reset()
		c.began(sv, &turn)
		turn.status, turn.took = 200, 5_000_000
		sv.counts(&turn, OK)
		c.tallies[0].ran.waited(time.Millisecond, nil)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCounting(b *testing.B) {
	b.ReportAllocs()
	s := build(b, pools(fixed("p", 0, "10.0.0.1:80")), Env{}, nil)
	c := s.Pool("p").c
	sv := c.view.Load().servers[0]
	sv.lanes, c.tallies = make([]lane, 1), make([]tally, 1)
	var turn Turn
	for i := 0; b.Loop(); i++ {
		turn.tries = 0
		c.began(sv, &turn)
		turn.status, turn.took = 200, int64(i&0xffff)*100
		sv.counts(&turn, OK)
		sv.Passed(&turn, 200, 1024)
	}
}
