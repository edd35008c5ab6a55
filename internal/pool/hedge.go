package pool

import (
	"time"

	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/pool/limit"
)

// A hedged request goes to a second server when the first does not answer in its usual time, and the first answer counts (J.
// Dean, L. Barroso, "The Tail at Scale", CACM 56(2), 2013). The pool knows when, whether there is another server for it, and
// how many of them there may be; sending is the edge's.

// hedging is what one loop knows for that.
type hedging struct {
	took   limit.Quantile
	tokens limit.Tokens
}

// HedgeAfter is how long to wait for this server's answer before another is asked too. False: not at all, or not yet, because too
// few requests have been seen. Once for each request that could be hedged, on the turn's loop.
func (s *Server) HedgeAfter(turn *Turn) (time.Duration, bool) {
	c := s.core
	cfg := c.view.Load().cfg.Hedge
	if cfg == nil {
		return 0, false
	}
	y := &c.tallies[turn.lane]
	if y.hedging == nil {
		y.hedging = new(hedging)
	}
	y.hedging.tokens.Asked(cfg.AtMost)
	if cfg.After > 0 {
		return cfg.After, true
	}
	return y.hedging.took.P95()
}

// MayHedge asks whether one more hedge is within what is allowed, and takes it. On the turn's loop, after HedgeAfter.
func (s *Server) MayHedge(turn *Turn) bool {
	y := &s.core.tallies[turn.lane]
	return y.hedging != nil && y.hedging.tokens.Spend()
}

// HedgeTook notes how long the answer to a request took that could be hedged, or has taken when another came first.
func (s *Server) HedgeTook(turn *Turn, d time.Duration) {
	if y := &s.core.tallies[turn.lane]; y.hedging != nil {
		y.hedging.took.Add(d)
	}
}

// PickOther takes a place at another server than not, if one is free and nobody waits for it: nil if not. turn holds no
// place, and is used for nothing else.
func (p *Pool) PickOther(t *loop.Task, turn *Turn, not *Server) *Server {
	c := p.c
	l := t.Loop()
	turn.Reset()
	turn.lane = l.Index()
	turn.remember(not)
	v := c.view.Load()
	if c.waiting.Load() > 0 || c.broken.Load() || !v.untried(turn, false) || v.gauged && !c.allow(v, turn, l.Now()) {
		return nil
	}
	s := v.take(&c.cursors[turn.lane], turn)
	if c.waiting.Load() > 0 && s == nil {
		c.settle()
	}
	if s == nil {
		c.tryOver(turn, limit.Unknown, l.Now())
		return nil
	}
	turn.hedge = true
	turn.begin(s, l.Now())
	return s
}

// TakeOver makes the place that from holds t's. t holds none, and is used on the loop of from.
func (t *Turn) TakeOver(from *Turn) {
	if t.server != nil || from.server == nil {
		panic("pool: TakeOver with a place in hand, or of none")
	}
	t.lane = from.lane
	t.server, t.trial, t.counted, t.gauged, t.round = from.server, from.trial, from.counted, from.gauged, from.round
	t.fallen, t.since, t.answered, t.status = from.fallen, from.since, from.answered, from.status
	t.last, t.hedge = from.server, from.hedge
	from.hedge = false
	from.server, from.trial, from.counted, from.gauged, from.round = nil, false, false, false, 0
}

// Won says that of a request and its hedge the hedge's answer counts, whose place is now t's.
func (t *Turn) Won() {
	if t.hedge {
		t.hedge = false
		t.server.core.tallies[t.lane].ran.hedges[hedgeWon]++
	}
}
