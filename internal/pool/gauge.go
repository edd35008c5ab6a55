package pool

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/pool/limit"
)

// What a pool learns from how its requests end: whether one more try is in the budget, and whether it is asked at all.

// tally is what one loop has counted. Others read the atomic counts.
type tally struct {
	budget  limit.Budget
	hedging *hedging      // nil: nothing was hedged
	done    atomic.Uint64 // requests at servers that ended, by their own doing
	failed  atomic.Uint64 // of these
	ran     ran           // plain: this loop's own
	_       [128]byte
}

// freeRetries is how many further tries a pool has in ten seconds whatever its requests.
const freeRetries = 100

// MayRetry asks whether the budget has one more try for a request that failed at this server, and takes it. Where the server has been
// given up in the meantime it needs none: what was there goes elsewhere once, and nothing follows it. (A server that hangs
// has seconds of requests when its check fails.) On the turn's loop.
func (s *Server) MayRetry(turn *Turn) (ok bool) {
	c := s.core
	if turn.retry = (limit.Receipt{}); s.GivenUp(turn) {
		return true
	}
	l := c.loops[turn.lane]
	y := &c.tallies[turn.lane]
	if turn.retry, ok = y.budget.Spend(l.Now(), c.view.Load().cfg.Retry.Budget, max(freeRetries/len(c.loops), 1)); !ok {
		y.ran.noRetry++
	}
	return ok
}

// Answered notes the status of the final response, when its head is there. On the turn's loop.
func (t *Turn) Answered(status int, now loop.Time) {
	t.status, t.answered = status, now
	if status < 500 {
		t.retry.PayBack()
	}
}

// allow asks the breaker, if there is one.
func (c *core) allow(v *view, turn *Turn, now loop.Time) bool {
	turn.gauged, turn.status, turn.answered = true, 0, 0
	if !c.broken.Load() || v.cfg.Breaker == nil {
		return true
	}
	c.breakerMu.Lock()
	defer c.breakerMu.Unlock()
	ok, round := c.breaker.Allow(v.breaker(), now)
	turn.round = round
	return ok
}

// breaker is the policy.
func (v *view) breaker() *limit.BreakerPolicy { return (*limit.BreakerPolicy)(v.cfg.Breaker) }

// gauge counts how a request at a server ended.
func (c *core) gauge(s *Server, turn *Turn, o Outcome) {
	turn.gauged = false
	now := c.loops[turn.lane].Now()
	if a := s.auto.Load(); a != nil {
		a.saw(s, turn, o, now)
	}
	if o == Aborted {
		c.tryOver(turn, limit.Unknown, now)
		return
	}
	y := &c.tallies[turn.lane]
	y.done.Add(1)
	if o == OK && turn.status < 500 {
		c.tryOver(turn, limit.Good, now)
		return
	}
	y.failed.Add(1)
	c.tryOver(turn, limit.Bad, now)
	c.failing(now)
}

// failing tells the breaker of a failure.
func (c *core) failing(now loop.Time) {
	v := c.view.Load()
	if v.cfg.Breaker == nil || c.broken.Load() {
		return
	}
	var done, failed uint64
	c.breakerMu.Lock()
	for i := range c.tallies { // under the mutex: so the sums never fall
		failed += c.tallies[i].failed.Load() // first: what ends in between is no failure without its request
		done += c.tallies[i].done.Load()
	}
	opened := c.breaker.Failed(v.breaker(), done, failed, now)
	if opened {
		c.broken.Store(true)
	}
	c.breakerMu.Unlock()
	if opened {
		c.note(breakerOpen)
	}
}

// tryOver ends turn's part in trying the pool out.
func (c *core) tryOver(turn *Turn, how limit.Verdict, now loop.Time) {
	round := turn.round
	if round == 0 {
		return
	}
	turn.round = 0
	v := c.view.Load()
	if v.cfg.Breaker == nil {
		return
	}
	c.breakerMu.Lock()
	changed := c.breaker.Tried(v.breaker(), round, how, now)
	closed := c.breaker.State() == limit.Closed
	if closed {
		c.broken.Store(false)
	}
	c.breakerMu.Unlock()
	if changed && closed {
		c.note(breakerClosed)
	}
}

// note tells the log.
func (c *core) note(w what) {
	if o := c.owner.Load(); o != nil {
		o.note(event{pool: c.name, what: w})
	}
}

// RetryAfter is when a request that Pick refused with err may come again, in whole seconds: when those who wait now will have
// been served, by the pace of late, or when requests will be let through again. now is that of any loop; random is any number.
func (p *Pool) RetryAfter(err error, now loop.Time, random uint32) time.Duration {
	c := p.c
	if errors.Is(err, ErrBroken) {
		c.breakerMu.Lock()
		defer c.breakerMu.Unlock()
		return limit.Spread(c.breaker.Wait(now), random)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.drain.RetryAfter(c.queue.Len(), c.now(), random)
}

// breakerState is the breaker's state in words, empty while it is closed.
func (c *core) breakerState() string {
	if !c.broken.Load() {
		return ""
	}
	c.breakerMu.Lock()
	defer c.breakerMu.Unlock()
	return c.breaker.State().String()
}
