package pool

import (
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/pool/health"
)

// What one edge has found out about servers is told to the one that follows it: else that one would take a server for well until
// its own checks and requests have shown it what was known.

// Verdicts tells which servers were found ill, by checks or by how requests ended. What a person decided is told by the keeper.
func (s *Set) Verdicts() (all []api.Verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.pools {
		p.c.mu.Lock()
		for _, sv := range p.c.view.Load().servers {
			if v, ill := sv.verdict(); ill {
				v.Pool = p.c.name
				all = append(all, v)
			}
		}
		p.c.mu.Unlock()
	}
	return all
}

// verdict is what is told of the server. Under mu.
func (s *Server) verdict() (v api.Verdict, ill bool) {
	t, why := &s.vitals, s.reasons()
	v = api.Verdict{Server: s.name, Since: t.since.UnixMilli()}
	// Who waits for its first check is not known to be ill. Nor is one that is not asked itself: whose check it follows is told.
	if why&check != 0 && t.begun && t.check.Proved {
		v.Fails, v.Message, v.Since = true, t.check.Last.Message, t.check.Since.UnixMilli()
	}
	if e := &t.ejection; why&ejected != 0 {
		v.Until, v.For, v.Times, v.Why = e.Ends.UnixMilli(), e.For.Milliseconds(), e.Times, e.Why
	}
	return v, v.Fails || v.Until != 0
}

// Believe takes over what was found out by another edge about servers of the same names, where this one has not found out anything itself.
func (s *Set) Believe(all []api.Verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for i := range all {
		v := &all[i]
		p := s.names[v.Pool]
		if p == nil {
			continue
		}
		p.c.mu.Lock()
		for _, sv := range p.c.view.Load().servers {
			if sv.name == v.Server {
				p.c.believe(sv, v, now)
			}
		}
		p.c.mu.Unlock()
		p.c.stir()
	}
}

// believe takes over one verdict. Under mu.
func (c *core) believe(s *Server, v *api.Verdict, now time.Time) {
	t, cfg := &s.vitals, c.view.Load().cfg
	since, downs := notAfter(time.UnixMilli(v.Since), now), t.fate.downs
	defer func() { t.fate.downs = downs }() // that it went down was counted there
	if v.Fails && t.begun && !t.check.Proved && cfg.Health != nil && !asksForRole(cfg.Health) {
		t.check.Well, t.check.Proved, t.check.Against, t.check.Since = false, true, 0, since
		t.check.Last.OK, t.check.Last.Message = false, v.Message
		c.bar(s, check)
		c.cut(s)
	}
	if v.Until > now.UnixMilli() && cfg.Eject != nil && s.reasons()&ejected == 0 {
		length := min(time.Duration(v.For)*time.Millisecond, health.MaxOut)
		t.ejection = health.Ejection{Times: v.Times, For: length, Ends: notAfter(time.UnixMilli(v.Until), now.Add(length)), Why: v.Why}
		c.bar(s, ejected)
	}
	if s.reasons().down() {
		t.since = since
	}
}

func notAfter(t, most time.Time) time.Time {
	if t.After(most) {
		return most
	}
	return t
}
