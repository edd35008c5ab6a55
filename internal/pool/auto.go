package pool

import (
	"sync"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/pool/limit"
)

// auto finds how many requests at a time are good for one server. Each loop adds up what it sees by itself; a few times
// a second it hands that over.
type auto struct {
	samples []loopSample // by loop

	mu     sync.Mutex
	policy limit.GradientPolicy
	find   limit.Gradient
	seen   limit.Sample
	off    bool
}

type loopSample struct {
	limit.Sample
	_ [128]byte
}

// limitBy makes the server's limit one that is found, or one that is given. Under core.mu.
func (s *Server) limitBy(cfg *config.AutoConn) {
	a := s.auto.Load()
	if cfg == nil {
		if a != nil {
			a.mu.Lock()
			a.off = true
			a.mu.Unlock()
			s.auto.Store(nil)
			s.places.SetOwn(0)
		}
		return
	}
	if a == nil {
		a = &auto{samples: make([]loopSample, len(s.lanes))}
		s.auto.Store(a)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.policy = limit.GradientPolicy{Min: cfg.Min, Max: cfg.Max}
	s.places.SetOwn(a.find.Limit(&a.policy))
}

// saw learns from a request that ended.
func (a *auto) saw(s *Server, turn *Turn, o Outcome, now loop.Time) {
	own := &a.samples[turn.lane].Sample
	switch {
	case turn.answered > turn.since && o != Unavailable:
		// Until the head was there: how long a body takes is the client's affair, or its size's.
		own.Add(now, turn.answered-turn.since, s.places.Active())
	case o == Aborted:
		return // its client went away: it says only that it was not quick
	case o != OK:
		own.Fail(now)
	}
	if !own.Due(now) {
		return
	}
	a.mu.Lock()
	a.seen.Join(own, now)
	before := s.places.Own()
	after := before
	if !a.off {
		after = a.find.Update(&a.policy, &a.seen, now)
		if after != before {
			s.places.SetOwn(after)
		}
	}
	a.mu.Unlock()
	if after > before {
		s.core.settle()
	}
}
