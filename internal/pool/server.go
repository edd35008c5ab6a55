package pool

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/pool/balance"
	"github.com/weirhq/weir/internal/pool/link"
)

// Outcome is how a request at a server ended, as far as the server is concerned.
type Outcome uint8

// The outcomes. All but OK, Aborted and ServerError count as errors of the server, and a turn avoids the server from then on.
const (
	OK            Outcome = iota
	Aborted               // not the server's doing: the client went away, weir stops
	ConnectError          // no connection
	EmptyResponse         // it closed before the first byte
	BadResponse           // what it sent is no response, or was cut off
	TimedOut              // a time limit of the pool
	Unavailable           // it answered that it cannot now (503), and the request will be tried elsewhere
	ServerError           // it answered, with a status of 500 or above, and that went to the client
)

// Server is one server of a pool: an address, requests under way and kept connections.
type Server struct {
	places balance.Places // first: it brings its own padding

	name     string
	identity string // what lasts of the name: a worker's without its generation, so that its place keeps keys and sessions
	address  string // as users write it
	to       loop.Addr
	worker   string // the worker's name, for an app's
	host     string // the name that it was resolved from, as configured; empty: none
	core     *core
	lanes    []lane // by loop

	spec link.Spec  // how its connections begin, and what is spoken on them
	link *link.Link // nil: they begin at once

	auto   atomic.Pointer[auto] // finds its limit; nil: that is given
	fails  atomic.Int32         // connects failed in a row; changed under core.mu
	why    atomic.Uint32        // a reason: why it takes no requests; changed under core.mu
	fallen atomic.Uint32        // how often it was given up: see GivenUp
	bad    atomic.Int32         // requests that failed in a row, while failing ones are ejected
	heard  atomic.Pointer[heard]

	// guarded by core.mu
	weight  int           // as configured
	timer   *time.Timer   // ends the rest after a failed connect
	ending  *time.Timer   // ends the sessions of one that drains
	over    reason        // those reasons whose time is over: one request may try
	drained chan struct{} // made when the server is shut, closed when nobody is left
	gone    bool          // a shut worker that its keeper's list no longer has
	refusal error         // why the last connect failed, while the server rests for that
	vitals  vitals
}

// Name returns the server's name: the worker's, or the address as configured, with the resolved address behind it when it was a host name.
func (s *Server) Name() string { return s.name }

// Address returns where the server is: host:port, or "unix:" and a path.
func (s *Server) Address() string { return s.address }

// Speaks reports whether the server's connections are of this protocol: while a configuration changes it, requests of the old one
// still come. They must not use, or leave behind, a connection of the other kind.
func (s *Server) Speaks(p config.Protocol) bool { return s.spec.Protocol == p }

// Connect returns a connection to the server: the kept one of the task's loop that was used last, unless fresh, or a new
// one, dialled until the deadline. In a task that holds a place at the server. The caller owns the connection, and
// ends its life with Keep or Close. An error of a kept connection is to be expected at any time, for servers close
// them as they like; then Connect fresh. A failed dial lets the server rest, so that other requests do not try it; a
// dial that the task's own end cut short does not.
func (s *Server) Connect(t *loop.Task, fresh bool, deadline loop.Time) (c *loop.Conn, reused bool, err error) {
	return s.ConnectFor(t, nil, fresh, deadline)
}

// ConnectFor is Connect for somebody's request. Where servers are told whose connection it is (Introduced), a kept connection is
// one that was made for the same origin.
func (s *Server) ConnectFor(t *loop.Task, of *link.Origin, fresh bool, deadline loop.Time) (c *loop.Conn, reused bool, err error) {
	l := t.Loop()
	if !fresh {
		if s.spec.Proxy == 0 {
			c = s.lanes[l.Index()].pop()
		} else {
			c = s.lanes[l.Index()].popOf(of)
		}
		if c != nil {
			s.lanes[l.Index()].marks.reused++
			return c, true, nil
		}
	}
	if c, err = l.Dial(t, s.to, deadline); err == nil && s.link != nil {
		if err = s.link.Begin(c, of, deadline); err != nil {
			_ = c.Close() // it has served no purpose
			c = nil
		}
	}
	if err == nil {
		s.lanes[l.Index()].marks.connects++
	}
	switch {
	case err == nil && s.spec.TLS: // whether the server takes our certificate is known when it answers
	case err == nil:
		if s.fails.Load() != 0 || s.reasons()&rest != 0 {
			s.core.recovered(s)
		}
	case serversFault(err):
		s.core.failed(s, err)
	}
	return c, false, err
}

// Introduced reports whether the server is told whose connection it is.
func (s *Server) Introduced() bool { return s.spec.Proxy != 0 }

// Refused learns that a server ended a new connection with err before it answered anything. It returns nil, or, when the server did
// not take the connection at all, why: then no other request is to try it, as after a failed connect.
func (s *Server) Refused(err error) error {
	if !s.spec.TLS {
		return nil
	}
	if err = link.Refused(err); err != nil {
		s.core.failed(s, err)
	}
	return err
}

// serversFault tells a failed connect from one that was given up on our side.
func serversFault(err error) bool {
	return !errors.Is(err, loop.ErrClosed) && !errors.Is(err, loop.ErrHangup)
}

// Keep takes a connection over that may be used for another request. It rests on its loop, for a while and with
// others up to the pool's limit; else it is closed. On the connection's loop.
func (s *Server) Keep(c *loop.Conn) { s.KeepFor(c, nil) }

// KeepFor is Keep of a connection that was made for an origin.
func (s *Server) KeepFor(c *loop.Conn, of *link.Origin) {
	if s.places.IsShut() || s.reasons()&(maint|askedDown) != 0 {
		c.Close()
		return
	}
	l := c.Loop()
	s.lanes[l.Index()].push(c, of, s.core.view.Load().keep, l.Now()+int64(keepFor))
}

// Done gives turn's place at the server back, and counts how the request ended. Once for each Pick, on the turn's loop.
func (s *Server) Done(turn *Turn, o Outcome) {
	if turn.server != s {
		panic("pool: Done without a place at this server")
	}
	if s.spec.TLS && (o == OK || o == ServerError) && s.fails.Load() != 0 {
		s.core.recovered(s)
	}
	if o != OK && o != Aborted && o != ServerError {
		s.lanes[turn.lane].errors.Add(1)
		turn.remember(s)
	}
	if turn.gauged {
		s.core.gauge(s, turn, o)
	}
	s.counts(turn, o)
	cfg := s.core.view.Load().cfg
	if cfg.Eject != nil {
		s.judge(turn, o, cfg.Eject)
	}
	if cfg.ByLatency && turn.took > 0 {
		s.places.Observe(turn.took)
	}
	turn.took = 0
	s.giveBack(turn, o)
}

// giveBack ends turn's place.
func (s *Server) giveBack(turn *Turn, o Outcome) {
	turn.server = nil
	if turn.trial {
		turn.trial = false
		s.core.tried(s, o)
	}
	c := s.core
	if s.places.Leave() {
		c.deserted(s)
	}
	if turn.counted {
		turn.counted = false
		c.taken.Add(-1)
	}
	if c.waiting.Load() > 0 {
		c.handOn(s)
	}
}

// takeFor takes a place for turn, whatever the balance.
func (s *Server) takeFor(turn *Turn, limit int64) bool {
	ok, trial := s.places.Take(limit, false)
	if ok {
		turn.trial = trial
	}
	return ok
}

// takeKept takes a place for turn, which has a session at the server.
func (s *Server) takeKept(turn *Turn, limit int64) bool {
	ok, trial := s.places.TakeKept(limit)
	if ok {
		turn.trial = trial
	}
	return ok
}

// shut gives the server no new request: it drains. Its kept connections are closed on their loops. Under mu.
func (c *core) shut(s *Server) {
	s.drained = make(chan struct{})
	if s.places.Shut() == 0 {
		close(s.drained)
	}
	c.unbar(s, passing)
	s.vitals.fate.turned(false, time.Now())
	c.leaving = append(c.leaving, s)
	c.closeKept(s)
}

// deserted is called by the last one who leaves a server that is shut.
func (c *core) deserted(s *Server) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.drained == nil || s.places.Active() != 0 {
		return // reopened since
	}
	select {
	case <-s.drained:
	default:
		close(s.drained)
	}
}
