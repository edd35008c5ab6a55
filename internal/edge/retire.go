package edge

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/cache/ban"
)

// Handing over. An edge that is to be replaced goes on while another one is made beside it, which is told everything and
// accepts nothing yet. Then this one stops accepting (connections wait in the sockets' backlogs), the other begins to, and
// this one answers once more on each connection that it has, so that no client finds a connection closed on which it has just
// sent a request. From that moment the other's cache is the one that counts: this one asks servers, keeps nothing,
// and passes on what it is told to purge, or finds changed.

// successor is the edge that follows this one.
type successor struct {
	client *api.Client
	left   sync.Mutex
	heir   string    // its epoch, as soon as it has taken over what was counted; then it also knows which servers are ill
	lost   bool      // that edge was killed
	heard  time.Time // until when stories have gone over
}

// callTime is how long a successor may take to answer.
const callTime = 10 * time.Second

// ban puts a purge into force at the successor. It waits for the answer: not on a loop.
func (s *successor) ban(p ban.Purge) error {
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	return s.client.Post(ctx, "/v1/bans", api.Bans{Bans: []api.Ban{{Kind: uint8(p.Kind), Hard: p.Hard, Tag: p.Tag, Host: p.Host, Path: p.Path}}}, nil)
}

// takeBans puts into force what a retired edge was asked to purge.
func (e *Edge) takeBans(b api.Bans) error {
	c := e.cache()
	if c == nil {
		return nil // nothing is kept
	}
	for _, o := range b.Bans {
		p := ban.Purge{Kind: ban.Kind(o.Kind), Hard: o.Hard, Tag: o.Tag, Host: o.Host, Path: o.Path}
		if err := p.Check(); err != nil {
			return err
		}
		if err := c.Purge(p); err != nil {
			return err
		}
	}
	return nil
}

// hold lets the edge listen on nothing before Serve.
func (e *Edge) hold() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.holds = true
}

// Serve begins to accept.
func (e *Edge) Serve() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	t := e.tree.Load()
	if t == nil {
		return errors.New("there is no state yet")
	}
	e.holds = false
	return e.listen(t.cfg.Traffic())
}

// Retire accepts no more and gives the cache up. The edge that answers on the socket to takes over.
func (e *Edge) Retire(to string) error {
	s := &successor{client: api.NewClient(to)}
	e.counting.Lock() // who asks for the counters from now on asks the successor
	first := e.successor.CompareAndSwap(nil, s)
	e.counting.Unlock()
	if !first {
		return errors.New("this edge has handed over already")
	}
	e.bequeathListeners(s)
	e.stopping.Store(true) // each connection gets one more answer
	e.mu.Lock()
	for key, list := range e.listeners {
		closeListeners(list)
		delete(e.listeners, key)
	}
	e.holds = true // a state that comes yet is about workers
	c := e.caching
	e.mu.Unlock()
	if t := e.tree.Load(); t != nil {
		t.pools.StopClocks()
	}
	e.bequeath()
	if c == nil {
		return nil
	}
	e.handing.Go(func() { // Stop waits for it
		if err := c.HandOver(); err != nil {
			slog.Error("handing over the cache's disk", "error", err)
		}
	})
	return nil
}

// linger waits until no connection is left, or the time is over. Meanwhile the successor is told what is still counted here.
func (e *Edge) linger(ctx context.Context) {
	tick, tell := time.NewTicker(20*time.Millisecond), time.NewTicker(bequeathEvery)
	defer tick.Stop()
	defer tell.Stop()
	for e.connections.Load() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-tell.C:
			e.bequeath()
		case <-tick.C:
		}
	}
}

// bequeathEvery is how often an edge that finishes tells what it has counted since: what it does dies with it if it is killed.
const bequeathEvery = time.Second

// bequeath leaves to the successor what this edge and those before it have counted, and until health is taken over, which servers it
// found ill.
func (e *Edge) bequeath() {
	s := e.successor.Load()
	if s == nil {
		return
	}
	s.left.Lock()
	defer s.left.Unlock()
	e.spanTelling.keep(e.untold()) // which is bounded
	in := api.Inherit{Traces: e.spanTelling.take()}
	if !s.lost {
		in.Words, in.Heir = append(e.inherited.all(), e.own()), s.heir
	}
	if t := e.tree.Load(); t != nil && s.heir == "" {
		in.Health = t.pools.Verdicts()
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	var out api.Inherited
	if err := s.client.Post(ctx, "/v1/inherit", in, &out); err != nil {
		slog.Warn("what this edge has counted does not go over to the next one", "error", err)
		e.spanTelling.keep(in.Traces)
		return
	}
	switch {
	case out.Heir == "": // it has taken nothing of all that
		s.lost = true
		e.spanTelling.keep(in.Traces)
	case !s.lost:
		s.heir = out.Heir
		e.bequeathStories(s)
	}
}

// Inherit takes over what edges before this one have counted and found out. It answers without an heir if that was told to one of which
// this edge knows nothing.
func (e *Edge) Inherit(in api.Inherit) api.Inherited {
	if in.Heir != "" && in.Heir != e.epoch && !e.inherited.includes(in.Heir) {
		return api.Inherited{}
	}
	e.inherited.take(in.Words)
	e.spanTelling.keep(in.Traces)
	if t := e.tree.Load(); t != nil {
		t.pools.Believe(in.Health)
	}
	return api.Inherited{Heir: e.epoch}
}
