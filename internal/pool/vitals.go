package pool

import (
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/pool/health"
)

// vitals is what is known of a server's health and what was decided of it. Guarded by core.mu.
type vitals struct {
	known  bool      // it was in a view before
	since  time.Time // since when the reasons are as they are
	opened time.Time // when it came back, or came to others; zero: it has its whole share
	share  int       // of its weight, in thousandths, as the balance was told
	hand   *api.Hand // what people decided; nil: nothing

	begun bool // checks are made
	check health.Check
	due   time.Time // the next one
	busy  bool      // one is under way

	role    string // that checks ask for
	term    uint64 // the last that it told as a primary
	elected bool   // it counts as the primary
	rival   bool   // it says that it is, and another one counts

	window   health.Window
	ejection health.Ejection

	wished   int       // the share its app asks for, in thousandths; 0: all
	wishEnds time.Time // what a response's field asked for is over; zero: an endpoint's word, which counts
	askDue   time.Time // the next question to the endpoint
	asking   bool
	asked    string // how the last one ended

	fate fate
}

// turned notes that the reasons changed. A server that comes back starts slowly, but not after a short rest.
func (t *vitals) turned(old, why reason, now time.Time) {
	t.since = now
	if why == 0 && old&^(rest|weightless|drained) != 0 {
		t.opened = now
	}
}

// attend brings what is known of the servers of a new view in line with its configuration. Under mu, before the view is in
// force.
func (c *core) attend(v, old *view) {
	now := time.Now()
	running := false // there are servers besides those that come now
	for _, s := range v.servers {
		running = running || s.vitals.known && s.places.Open()
	}
	for _, s := range v.servers {
		fresh := !s.vitals.known
		if fresh {
			s.vitals.known, s.vitals.since, s.vitals.share = true, now, 1000
			if running {
				s.vitals.opened = now
			}
		}
		c.attendCheck(s, v.cfg.Health, fresh && running && s.worker == "", now)
		if fresh {
			s.vitals.fate.downs = 0 // it was not up yet
		}
		if v.cfg.Eject == nil {
			c.unbar(s, ejected)
		} else if old.cfg.Eject == nil {
			s.vitals.window.Forget(s.sample())
		}
		if v.cfg.Agent == nil {
			c.unbar(s, askedDrain|askedDown)
			s.vitals.wished = 0
		}
		c.obey(s)
	}
	c.elect(v) // what changed is told when a check has said more
	c.stir()
}

// attendCheck begins or ends the checks of a server. One that comes to others has to show that it is well before it gets
// anything; where there are no others, waiting for that would be requests that nobody answers. A worker was ready when the
// keeper told of it.
func (c *core) attendCheck(s *Server, h *config.Health, joins bool, now time.Time) {
	t := &s.vitals
	switch {
	case h == nil:
		t.begun, t.check = false, health.Check{}
		c.unbar(s, check)
	case h.Track.Pool != "":
		t.begun = false // follow sees to it
	case !t.begun || t.role != h.Role:
		t.begun, t.due, t.role, t.elected = true, now, h.Role, false
		if t.check = health.Presumed(now); joins || asksForRole(h) {
			t.check = health.Awaited(now)
			t.check.Last.Message = "not checked yet"
			c.bar(s, check)
		}
	}
}

// shareAt is the server's share of its configured weight at a time, in thousandths: what people decided, how far its slow start
// is (length is that of the whole), and what its app asks for, multiplied. next is when that should be asked again, zero if it stays. Under mu.
func (s *Server) shareAt(now time.Time, length time.Duration) (share int, next time.Time) {
	t := &s.vitals
	share = 1000
	if s.weight == 0 {
		share = 0
	}
	if h := t.hand; h != nil && h.Weight != nil {
		share = *h.Weight * 1000 / max(s.weight, 1)
	}
	if !t.opened.IsZero() {
		if now.Sub(t.opened) < length {
			share = share * health.Share(now.Sub(t.opened), length) / 1000
			next = now.Add(max(length/startSteps, startStep))
		} else {
			t.opened = time.Time{}
		}
	}
	if t.wished > 0 && !t.wishEnds.IsZero() && !now.Before(t.wishEnds) {
		t.wished = 0
	}
	if t.wished > 0 {
		share = share * t.wished / 1000
		if !t.wishEnds.IsZero() && (next.IsZero() || t.wishEnds.Before(next)) {
			next = t.wishEnds
		}
	}
	return share, next
}

// A slow start goes by steps: weights that change all the time are pickers made anew all the time.
const (
	startSteps = 20
	startStep  = 50 * time.Millisecond
)

// state is the server's in one word. Under mu.
func (s *Server) state() string {
	why := s.reasons()
	switch {
	case s.places.IsShut():
		return "leaving"
	case why&maint != 0:
		return "maint"
	case why&keeping != 0:
		return "draining"
	case why != 0:
		return "down"
	case !s.vitals.opened.IsZero() && time.Since(s.vitals.opened) < s.core.view.Load().cfg.SlowStart:
		return "starting"
	}
	return "ready"
}

// show tells of the server's health. Under mu.
func (t *vitals) show(s *Server, st *api.ServerStatus) {
	why := s.reasons()
	if !t.since.IsZero() {
		st.Since = t.since.UTC().Format(time.RFC3339)
	}
	if t.begun && !t.check.Last.At.IsZero() || why&check != 0 {
		st.Check = t.check.Last.Message
	}
	if share := t.share; share != 1000 && s.weight > 0 || t.hand != nil && t.hand.Weight != nil {
		st.Share = &share
	}
	for r := reason(1); r <= why; r <<= 1 {
		if why&r == 0 {
			continue
		}
		words := r.words()
		switch {
		case r == ejected:
			words += " for " + t.ejection.For.String() + ": " + t.ejection.Why
			if s.over&ejected != 0 {
				words += "; one request tries it"
			}
		case r == rest && s.refusal != nil:
			words += ": " + s.refusal.Error()
		case r&(drain|maint) != 0 && t.hand != nil:
			words += " (" + t.hand.By
			if t.hand.Reason != "" {
				words += ": " + t.hand.Reason
			}
			words += ")"
		}
		if st.Why != "" {
			st.Why += "; "
		}
		st.Why += words
	}
}

// report hands an event of this pool to the log.
func (c *core) report(e event) {
	if e.what == nothing {
		return
	}
	e.pool = c.name
	if o := c.owner.Load(); o != nil {
		o.note(e)
	}
}

// stir has the pool's servers looked at soon.
func (c *core) stir() {
	if o := c.owner.Load(); o != nil {
		o.checks.stir()
	}
}
