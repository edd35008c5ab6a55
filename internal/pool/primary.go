package pool

import (
	"time"

	"github.com/weirhq/weir/internal/config"
)

// One primary. Where checks ask for the server that takes writes, one server at the most is open, however many say that they are
// it. After a failover both may: the old one does not know yet, or came back as it was. Of two
//
//   - the one that was promoted later counts, where servers tell that (PostgreSQL by its timeline);
//   - else the one that answered last time;
//   - else the one that has the traffic already: the old one that comes back does not take it away again;
//   - else the first in the configuration.

// asksForPrimary says that one server of the pool may be open.
func asksForPrimary(cfg *config.Pool) bool {
	return cfg.Health != nil && cfg.Health.Role == config.Primary
}

// asksForRole says that servers have to show first that they are what they should be.
func asksForRole(h *config.Health) bool { return h.Role == config.Primary || h.Role == config.Replica }

// elect opens the one server that counts as the primary, when the others are closed. The events are for the log. Under mu.
func (c *core) elect(v *view) (es []event) {
	if !asksForPrimary(v.cfg) {
		for _, s := range v.servers {
			c.unbar(s, second)
		}
		return nil
	}
	var best *Server
	for _, s := range v.servers {
		if s.claims() && (best == nil || s.outranks(best)) {
			best = s
		}
	}
	for _, s := range v.servers {
		if s == best {
			continue
		}
		t := &s.vitals
		if t.elected = false; !s.claims() {
			t.rival = false
			c.unbar(s, second) // its check closes it, or a person
			continue
		}
		if c.bar(s, second); !t.rival {
			t.rival = true
			c.cut(s)
			es = append(es, event{server: s.name, what: twoPrimaries, text: best.name})
		}
	}
	if best == nil {
		c.hurry(v)
		return es
	}
	c.unbar(best, second)
	if t := &best.vitals; !t.elected {
		t.elected, t.rival = true, false
		es = append(es, event{server: best.name, what: newPrimary, text: t.check.Last.Message})
	}
	return es
}

// claims says that a server is the primary as far as its checks know, and nobody has taken it out.
func (s *Server) claims() bool {
	t := &s.vitals
	return t.begun && t.check.Well && s.reasons()&(check|maint) == 0
}

// outranks says that s rather than o is the primary, of two that say so.
func (s *Server) outranks(o *Server) bool {
	a, b := &s.vitals, &o.vitals
	switch {
	case a.term != b.term:
		return a.term > b.term
	case a.check.Last.OK != b.check.Last.OK:
		return a.check.Last.OK
	}
	return a.elected && !b.elected
}

// hurry has all servers asked soon, while there is no primary. Under mu.
func (c *core) hurry(v *view) {
	soon := time.Now().Add(v.cfg.Health.Fast)
	for _, s := range v.servers {
		if t := &s.vitals; t.begun && t.due.After(soon) {
			t.due = soon
		}
	}
	c.stir()
}
