package pool

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/pool/health"
)

// ejecting is a pool of n servers whose loops count in one lane.
func ejecting(t *testing.T, n int, e config.Eject) (*Set, []*Server) {
	t.Helper()
	cfg := fixed("a", 0)
	for i := range n {
		cfg.Servers = append(cfg.Servers, config.Server{Address: fmt.Sprintf("10.0.0.%d:80", i+1), Weight: 1})
	}
	cfg.Eject = &e
	s := build(t, pools(cfg), Env{}, nil)
	c := s.Pool("a").c
	c.mu.Lock()
	defer c.mu.Unlock()
	servers := c.view.Load().servers
	for _, sv := range servers {
		sv.lanes = make([]lane, 1)
	}
	return s, servers
}

func stateNow(s *Server) string {
	s.core.mu.Lock()
	defer s.core.mu.Unlock()
	return s.state()
}

// ends has requests at a server end in some way, as Done does it.
func ends(s *Server, outcomes ...Outcome) {
	for _, o := range outcomes {
		s.judge(&Turn{}, o, s.core.view.Load().cfg.Eject)
	}
}

// try takes a place at s itself, and says whether it is a trial.
func try(s *Server, turn *Turn) (ok bool) {
	turn.server = nil
	if s.takeFor(turn, 0) {
		turn.server = s
		return true
	}
	return false
}

func TestEjectedAfterErrorsInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, sv := ejecting(t, 2, config.Eject{After: 3, For: 30 * time.Second, AtMost: 500})
		ends(sv[0], BadResponse, ServerError, OK, TimedOut, ServerError, Aborted)
		if stateNow(sv[0]) != "ready" {
			t.Fatal("two in a row were enough")
		}
		ends(sv[0], EmptyResponse)
		if stateNow(sv[0]) != "down" || sv[0].places.Open() {
			t.Fatal("three in a row were not enough")
		}
		ends(sv[1], ServerError, ServerError, ServerError, ServerError, ServerError, ServerError)
		if stateNow(sv[1]) != "ready" {
			t.Fatal("more than half are closed")
		}
		time.Sleep(31 * time.Second)
		synctest.Wait()
		var a, b Turn
		if !try(sv[0], &a) || !a.trial || try(sv[0], &b) {
			t.Fatal("not one request tries it")
		}
		sv[0].giveBack(&a, Aborted) // says nothing
		if !try(sv[0], &a) || !a.trial {
			t.Fatal("the next request does not try it")
		}
		sv[0].giveBack(&a, ServerError)
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if try(sv[0], &a) {
			t.Fatal("it is not out for twice as long")
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if !try(sv[0], &a) {
			t.Fatal("it is not tried again")
		}
		sv[0].giveBack(&a, OK)
		if stateNow(sv[0]) != "ready" || !sv[0].places.Open() {
			t.Fatal("a trial that went well does not open it:", stateNow(sv[0]))
		}
	})
}

func TestEjectedByRateAndBySlowness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, sv := ejecting(t, 4, config.Eject{Rate: 500, Of: 20, Slow: 3000, For: 10 * time.Second, AtMost: 500})
		load := func(s *Server, took time.Duration, n, bad int) {
			for i := range n {
				o := OK
				if i%max(n/max(bad, 1), 1) == 0 && bad > 0 {
					o = ServerError
				}
				turn := Turn{took: int64(took)}
				s.judge(&turn, o, s.core.view.Load().cfg.Eject)
			}
		}
		for range 3 {
			load(sv[0], 10*time.Millisecond, 30, 0)
			load(sv[1], 12*time.Millisecond, 30, 15)
			load(sv[2], 100*time.Millisecond, 30, 0)
			load(sv[3], 11*time.Millisecond, 30, 3)
			time.Sleep(health.Step + 100*time.Millisecond)
			synctest.Wait()
		}
		if got := fmt.Sprint(stateNow(sv[0]), stateNow(sv[1]), stateNow(sv[2]), stateNow(sv[3])); got != "readydowndownready" {
			t.Error(got)
		}
		why := func(s *Server) string { return s.vitals.ejection.Why }
		if why(sv[1]) != "15 of 30 requests failed" || why(sv[2]) == "" {
			t.Errorf("%q, %q", why(sv[1]), why(sv[2]))
		}
	})
}

// Whatever fails at whichever servers at the same time, no more than the share are closed by it.
func TestNeverMoreThanAtMost(t *testing.T) {
	for _, atMost := range []int{0, 100, 333, 500, 900, 1000} {
		for _, n := range []int{1, 2, 3, 10} {
			_, sv := ejecting(t, n, config.Eject{After: 2, For: time.Hour, AtMost: atMost})
			c := sv[0].core
			stop := make(chan struct{})
			var wg sync.WaitGroup
			worst := 0
			wg.Go(func() {
				for {
					c.mu.Lock()
					out := 0
					for _, s := range sv {
						if s.reasons()&ejected != 0 {
							out++
						}
					}
					c.mu.Unlock()
					worst = max(worst, out)
					select {
					case <-stop:
						return
					default:
					}
				}
			})
			var load sync.WaitGroup
			for range 4 {
				load.Go(func() {
					for range 500 {
						s := sv[rand.IntN(n)]
						ends(s, TimedOut)
						if rand.IntN(4) == 0 {
							c.eject(s, "")
						}
						if rand.IntN(8) == 0 {
							c.mu.Lock()
							c.back(s, time.Now())
							c.mu.Unlock()
						}
					}
				})
			}
			load.Wait()
			close(stop)
			wg.Wait()
			if worst*1000 > n*atMost {
				t.Errorf("%d of %d were out, at_most %d", worst, n, atMost)
			}
		}
	}
}

// A server that is closed for another reason counts, and is not ejected besides.
func TestClosedServersCount(t *testing.T) {
	_, sv := ejecting(t, 4, config.Eject{After: 1, For: time.Hour, AtMost: 500})
	c := sv[0].core
	c.mu.Lock()
	c.bar(sv[0], maint)
	c.bar(sv[1], check)
	c.mu.Unlock()
	for _, s := range sv {
		ends(s, TimedOut)
		if s.reasons()&ejected != 0 {
			t.Error("a server was ejected while half of them were closed")
		}
	}
	c.mu.Lock()
	c.unbar(sv[1], check)
	c.mu.Unlock()
	ends(sv[0], TimedOut)
	if sv[0].reasons() != maint {
		t.Error("a server in maintenance was ejected")
	}
	ends(sv[2], TimedOut)
	if sv[2].reasons() != ejected {
		t.Error("the second of four was not ejected")
	}
}

func TestJudgeAllocatesNothing(t *testing.T) {
	_, sv := ejecting(t, 2, config.Eject{After: 5, Rate: 500, Of: 20, Slow: 3000, For: time.Second, AtMost: 500})
	turn := Turn{took: 1234567}
	e := sv[0].core.view.Load().cfg.Eject
	if n := testing.AllocsPerRun(1000, func() { sv[0].judge(&turn, OK, e) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkJudge(b *testing.B) {
	s := &Server{lanes: make([]lane, 1)}
	turn := Turn{took: 1234567}
	e := &config.Eject{After: 5}
	b.ReportAllocs()
	for b.Loop() {
		s.judge(&turn, OK, e)
	}
}
