package pool

import (
	"strings"
	"time"
)

// reason is why a server takes no requests: a set, since several may hold at a time. It takes requests again when none is left.
type reason uint32

const (
	rest       reason = 1 << iota // a connect failed
	check                         // its check fails
	ejected                       // requests there fail, or are slow
	drain                         // by hand: who has a session may stay
	maint                         // by hand: nobody
	weightless                    // its weight is 0: who has a session may stay
	drained                       // it has drained for as long as sessions may stay
	askedDrain                    // its app asks for no new sessions
	askedDown                     // its app asks for nothing
	second                        // another server counts as the primary
)

// passing are the reasons that end by themselves: their time runs out, then one request tries the server, and how it ends decides.
const passing = rest | ejected

// illness are those that say that requests that wait there wait in vain.
const illness = check | ejected

// barring are those that let nobody in, not even where all servers are closed.
const barring = check | maint | drained | askedDown | second

// keeping are those that leave a server to those who have a session there.
const keeping = drain | weightless | askedDrain

// draining are those after which sessions have sticky.drain to end: whether a person or the app itself wants the server empty,
// somebody waits for it.
const draining = drain | askedDrain

// words says the reasons for people.
func (r reason) words() string {
	var all []string
	for i, w := range []string{"no connection", "check fails", "ejected", "drained by hand", "in maintenance by hand", "weight 0",
		"its sessions had their time", "its app asks to be drained", "its app asks for nothing", "another server is the primary"} {
		if r&(1<<i) != 0 {
			all = append(all, w)
		}
	}
	return strings.Join(all, ", ")
}

// reasons may be read by anyone at any time.
func (s *Server) reasons() reason { return reason(s.why.Load()) }

// bar gives s reasons to be closed, and says whether any of them is new. Under mu.
func (c *core) bar(s *Server, r reason) bool {
	old := s.reasons()
	s.over &^= r
	s.settleOn(old | r)
	return old&r != r
}

// unbar takes reasons away, and says whether any of them was there. Under mu.
func (c *core) unbar(s *Server, r reason) bool {
	old := s.reasons()
	if r&rest != 0 && s.timer != nil {
		s.timer.Stop()
	}
	s.over &^= r
	s.settleOn(old &^ r)
	return old&r != 0
}

// settleOn puts what the reasons come to where the loops look. Under mu.
func (s *Server) settleOn(why reason) {
	old := s.reasons()
	if is := why&draining != 0; is != (old&draining != 0) {
		why &^= drained
		s.drains(is)
	}
	if why&^old&illness != 0 {
		s.fallen.Add(1)
	}
	if old != why {
		now := time.Now()
		s.vitals.turned(old, why, now)
		s.vitals.fate.turned(why.down() && !s.places.IsShut(), now)
		s.core.stir()
	}
	s.why.Store(uint32(why))
	s.places.Bar(why&barring != 0, why&keeping != 0)
	switch waits := why & passing; {
	case waits == 0:
		s.places.Up()
	case waits&^s.over != 0:
		s.places.Down()
	}
}

// overdue says that the time of a passing reason is over: when no other has time left, one request may try the server. Under mu.
func (s *Server) overdue(r reason) {
	why := s.reasons() & passing
	s.over |= r & why
	if why != 0 && s.over == why {
		s.places.Trial()
	}
}

// afresh makes s as if it were new. Under mu.
func (c *core) afresh(s *Server) {
	c.unbar(s, passing)
	s.fails.Store(0)
}

// longRest is the number of failed connects from which on a server that is back starts slowly: it was away for a second or more.
const longRest = 3

const (
	restMin = 250 * time.Millisecond
	restMax = 10 * time.Second
)

// restFor is how long a server rests after so many failed connects in a row. Then one request tries it.
func restFor(fails int32) time.Duration {
	if fails > 10 {
		return restMax
	}
	return min(restMin<<max(fails-1, 0), restMax)
}

// failed lets the server rest. Requests that were under way when the first connect failed, and fail too, do not prolong it.
func (c *core) failed(s *Server, err error) {
	c.mu.Lock()
	if s.reasons()&^s.over&rest != 0 || c.closed || s.places.IsShut() {
		c.mu.Unlock()
		return
	}
	fails := s.fails.Add(1)
	s.refusal = err
	c.bar(s, rest)
	if s.timer == nil {
		s.timer = time.AfterFunc(restFor(fails), func() { c.rested(s) })
	} else {
		s.timer.Reset(restFor(fails))
	}
	c.mu.Unlock()
	if fails == 1 {
		c.report(event{server: s.name, err: err, what: serverDown})
	}
	if o := c.owner.Load(); o != nil && s.host != "" {
		o.resolveSoon()
	}
	c.settle() // those who waited for this one may now take another again
}

// rested lets one request try the server.
func (c *core) rested(s *Server) {
	c.mu.Lock()
	s.overdue(rest)
	c.mu.Unlock()
	c.settle()
}

// recovered ends the rest, and the memory of failed connects.
func (c *core) recovered(s *Server) {
	c.mu.Lock()
	was := s.fails.Swap(0)
	if was >= longRest {
		s.vitals.opened = time.Now()
	}
	c.unbar(s, rest)
	c.mu.Unlock()
	if was != 0 {
		c.report(event{server: s.name, what: serverUp})
	}
	c.settle()
}

// tried ends a trial that no connect decided: a kept connection served it, it was given up before it had one, or it is one of
// a server that is ejected.
func (c *core) tried(s *Server, o Outcome) {
	if s.reasons()&passing == 0 {
		return
	}
	if o == OK || o == ServerError { // there is a connection, at any rate
		c.recovered(s)
	}
	c.mu.Lock()
	e := event{server: s.name}
	if s.reasons()&ejected != 0 && s.over&ejected != 0 && o != Aborted {
		c.retry(s, o == OK, &e)
	}
	s.overdue(0) // whoever is next tries again, unless it is closed for a while by now
	c.mu.Unlock()
	c.report(e)
	c.settle()
}
