package pool

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/pool/health"
)

// judged is what one loop counts of how requests at one server ended, as far as a rule wants to know. It belongs to the loop;
// others read it.
type judged struct {
	untimed, timed, failed atomic.Uint64 // each request is one of them
	logs                   atomic.Uint64 // of those that were timed
}

// Took tells how long the server took to the first byte of a response that was received whole, in nanoseconds, before Done: a
// server that is slow against the others may be ejected for it, or get less where latency counts in the balance.
func (t *Turn) Took(took int64) { t.took = took }

// judge counts how a request ended, where failing servers are ejected. On a loop.
func (s *Server) judge(turn *Turn, o Outcome, e *config.Eject) {
	if o == Aborted {
		return
	}
	j := &s.lanes[turn.lane].judged
	if o == OK {
		switch {
		case e.Slow > 0 && turn.took > 0:
			j.logs.Add(health.Log(turn.took))
			j.timed.Add(1)
		case e.Rate > 0:
			j.untimed.Add(1)
		}
		if s.bad.Load() != 0 {
			s.bad.Store(0)
		}
		return
	}
	j.failed.Add(1)
	if n := s.bad.Add(1); e.After > 0 && int(n) >= e.After && s.reasons()&ejected == 0 {
		s.core.eject(s, fmt.Sprintf("%d errors in a row", e.After))
	}
}

// GivenUp says that the server turned out to be ill, so that who has waited there in turn had better go elsewhere: it is ill, or was
// since turn got its place, for who is well again need not remember what it was asked for. The one that tries it out has to wait.
func (s *Server) GivenUp(turn *Turn) bool {
	return !turn.trial && s.reasons()&illness != 0 || s.fallen.Load() != turn.fallen
}

// sample adds up what the loops counted.
func (s *Server) sample() (t health.Sample) {
	for i := range s.lanes {
		j := &s.lanes[i].judged
		failed, timed := j.failed.Load(), j.timed.Load()
		t.Errors += failed
		t.Timed += timed
		t.Requests += failed + timed + j.untimed.Load()
		t.Logs += j.logs.Load()
	}
	return t
}

func rulesOf(e *config.Eject) health.Rules {
	return health.Rules{InARow: e.After, Rate: e.Rate, Of: e.Of, Slow: e.Slow, For: e.For, AtMost: e.AtMost}
}

// deniedEvery is how often at the most it is said that a server is not ejected.
const deniedEvery = 10 * time.Second

// eject closes a server for a while, unless so many are closed already that the others would not bear it.
func (c *core) eject(s *Server, why string) {
	now := time.Now()
	c.mu.Lock()
	e := c.expel(s, why, now)
	c.mu.Unlock()
	c.report(e)
	if e.what == serverEjected {
		c.settle()
	}
}

// expel is eject under mu; the event is for the log.
func (c *core) expel(s *Server, why string, now time.Time) (e event) {
	v := c.view.Load()
	s.bad.Store(0)
	if v.cfg.Eject == nil || c.closed || s.places.IsShut() || s.reasons()&(ejected|barring|keeping) != 0 {
		return e
	}
	listed, closed := false, 0
	for _, o := range v.servers {
		listed = listed || o == s
		if o != s && o.reasons() != 0 {
			closed++
		}
	}
	rules := rulesOf(v.cfg.Eject)
	if !listed {
		return e // of an older view
	}
	if !rules.Room(len(v.servers), closed) {
		if now.Sub(c.denied) < deniedEvery {
			return e
		}
		c.denied = now
		return event{server: s.name, what: notEjected, text: why}
	}
	c.out(s, why, rules, now, &e)
	return e
}

// out ejects the server. Under mu.
func (c *core) out(s *Server, why string, rules health.Rules, now time.Time, e *event) {
	d := s.vitals.ejection.Out(now, why, rules)
	s.vitals.window.Forget(s.sample())
	c.bar(s, ejected)
	c.stir()
	*e = event{server: s.name, what: serverEjected, text: why, time: d}
}

// retry ends the trial of an ejected server: it is back, or out for longer. Under mu.
func (c *core) retry(s *Server, well bool, e *event) {
	now := time.Now()
	s.bad.Store(0)
	cfg := c.view.Load().cfg.Eject
	if !well && cfg != nil {
		c.out(s, s.vitals.ejection.Why+", and the request that tried it failed", rulesOf(cfg), now, e)
		return
	}
	c.back(s, now)
	*e = event{server: s.name, what: serverBack}
}

// back takes an ejected server back. Under mu.
func (c *core) back(s *Server, now time.Time) {
	s.vitals.ejection.In(now)
	s.vitals.window.Forget(s.sample())
	c.unbar(s, ejected)
}
