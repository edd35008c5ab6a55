package edge

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/cache/ban"
	"github.com/weirhq/weir/internal/pool"
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
	told   api.Counts // with the last inheritance
	pools  pool.Counts
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
		if err := c.ban(p); err != nil {
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
	if !e.successor.CompareAndSwap(nil, s) {
		return errors.New("this edge has handed over already")
	}
	e.stopping.Store(true) // each connection gets one more answer
	e.mu.Lock()
	for key, list := range e.listeners {
		closeListeners(list)
		delete(e.listeners, key)
	}
	e.holds = true // a state that comes yet is about workers
	c := e.caching
	e.mu.Unlock()
	e.bequeath()
	if c == nil || c.disk() == nil {
		return nil
	}
	e.handing.Go(func() { // Stop waits for it
		if err := c.disk().close(); err != nil {
			slog.Error("handing over the cache's disk", "error", err)
		}
	})
	return nil
}

// linger waits until no connection is left, or the time is over.
func (e *Edge) linger(ctx context.Context) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for e.connections.Load() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// inheritance is what edges before this one have counted.
type inheritance struct {
	sync.Mutex
	counts api.Counts
}

// bequeath leaves to the successor what this edge has counted since it last did so.
func (e *Edge) bequeath() {
	s := e.successor.Load()
	if s == nil {
		return
	}
	s.left.Lock()
	defer s.left.Unlock()
	now, _, _ := e.sum()
	in := api.Inherit{Counts: now.Since(&s.told), Pools: []api.PoolStatus{}}
	pools := s.pools
	if t := e.tree.Load(); t != nil {
		in.Pools, pools = t.pools.Since(s.pools)
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTime)
	defer cancel()
	if err := s.client.Post(ctx, "/v1/inherit", in, nil); err != nil {
		slog.Warn("what this edge has counted does not go over to the next one", "error", err)
		return
	}
	s.told, s.pools = now, pools
}

// Inherit adds what an edge before this one has counted.
func (e *Edge) Inherit(in api.Inherit) {
	e.inherited.Lock()
	e.inherited.counts.Add(&in.Counts)
	e.inherited.Unlock()
	if t := e.tree.Load(); t != nil {
		t.pools.Credit(in.Pools)
	}
}
