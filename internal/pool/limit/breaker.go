package limit

import "time"

// Breaker keeps requests away from a pool of which most have failed lately (M. Nygard, "Release It!", 2007):
//
//	         of enough requests, too many failed
//	closed ─────────────────────────────────────► open ◄──┐
//	  ▲                                            │ after a while
//	  │  some trials in a row ended well           ▼      │ a trial failed
//	  └─────────────────────────────────────── half open ─┘
//
// Successes are told of as a number with the next failure: while all goes well nothing is to be done for a request.
// Not safe for concurrent use. The zero value is closed.
type Breaker struct {
	state BreakerState
	until int64 // open: when trials begin; half open: when those under way are given up
	round Round // of the trials

	trials, good int // half open: under way in this round; ended well in a row

	// closed: what had been counted when the last window but one began, and when the last one did
	older, newer counted
}

// BreakerState is a state of a breaker.
type BreakerState uint8

// The states.
const (
	Closed BreakerState = iota
	Open
	HalfOpen
)

// String returns the state in words.
func (s BreakerState) String() string { return [...]string{"closed", "open", "half open"}[s] }

// Round is a number for trials that belong together; 0 is none.
type Round uint32

// BreakerPolicy says when a breaker opens, and for how long.
type BreakerPolicy struct {
	Errors int // thousandths of the requests, from which on it opens
	Of     int // of so many requests at least
	For    time.Duration
}

type counted struct {
	at           int64
	done, failed uint64
}

const (
	breakerWindow = int64(5 * time.Second) // what is judged is the last one to two of these
	maxTrials     = 3                      // at a time, and how many have to end well
)

// State returns the state.
func (b *Breaker) State() BreakerState { return b.state }

// Failed tells of a failed request. done and failed are how many ended and failed in all, this one counted in. opened says
// that the breaker opened by it.
func (b *Breaker) Failed(p *BreakerPolicy, done, failed uint64, now int64) (opened bool) {
	if b.state != Closed {
		return false
	}
	before := counted{now, done - 1, failed - 1}
	switch past := now - b.newer.at; {
	case b.newer.at == 0 || past > 2*breakerWindow:
		b.older, b.newer = before, before
	case past > breakerWindow:
		b.older, b.newer = b.newer, before
	}
	n, bad := done-b.older.done, failed-b.older.failed
	if n < uint64(p.Of) || bad*1000 < uint64(p.Errors)*n {
		return false
	}
	b.open(p, now)
	return true
}

func (b *Breaker) open(p *BreakerPolicy, now int64) {
	*b = Breaker{state: Open, until: now + int64(p.For), round: b.round}
}

// Allow says whether a request may go to the pool. One that gets a round is a trial, of which Tried has to be told.
func (b *Breaker) Allow(p *BreakerPolicy, now int64) (ok bool, trial Round) {
	if b.state == Closed {
		return true, 0
	}
	if now < b.until && (b.state == Open || b.trials >= maxTrials) {
		return false, 0
	}
	if b.state == Open || b.trials >= maxTrials { // trials that do not end are not waited for
		b.state, b.trials, b.until = HalfOpen, 0, now+int64(p.For)
		if b.round++; b.round == 0 {
			b.round = 1
		}
	}
	b.trials++
	return true, b.round
}

// Verdict is how a trial ended.
type Verdict uint8

// The verdicts.
const (
	Unknown Verdict = iota // it says nothing: the client went away, or there was no place
	Good
	Bad
)

// Tried tells how a trial ended. changed says that the breaker opened or closed by it.
func (b *Breaker) Tried(p *BreakerPolicy, trial Round, v Verdict, now int64) (changed bool) {
	if b.state != HalfOpen || trial != b.round {
		return false // others have decided
	}
	b.trials--
	switch v {
	case Bad:
		b.open(p, now)
		return true
	case Good:
		if b.good++; b.good >= maxTrials {
			*b = Breaker{round: b.round}
			return true
		}
	}
	return false
}

// Wait is how long it is until requests may be let through again.
func (b *Breaker) Wait(now int64) time.Duration {
	if b.state != Open {
		return 0
	}
	return max(0, time.Duration(b.until-now))
}
