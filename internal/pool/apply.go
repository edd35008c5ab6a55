package pool

import (
	"strings"
	"time"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/pool/link"
)

// apply makes the core be as cfg says, with these servers; key is the machine's, for sticky sessions. Servers of the same name and address stay, with their
// connections, counts and state; those that are not wanted any more drain.
func (c *core) apply(cfg *config.Pool, ws []want, key []byte) error {
	c.mu.Lock()
	err := c.applyLocked(cfg, ws, key)
	c.mu.Unlock()
	c.reweigh() // weights may have gone to nothing, or come from there
	c.settle()
	return err
}

func (c *core) applyLocked(cfg *config.Pool, ws []want, key []byte) error {
	if c.closed {
		return nil
	}
	old := c.view.Load()
	have := make(map[string]*Server, len(old.servers)+len(c.leaving))
	for _, s := range c.leaving {
		have[s.name] = s
	}
	for _, s := range old.servers {
		have[s.name] = s
	}
	v := &view{core: c, limit: int64(max(cfg.MaxConn, 0)), total: int64(max(cfg.TotalConn, 0)), keep: cfg.Keep, fixed: cfg.App == "", cfg: cfg}
	v.gauged = cfg.Breaker != nil || cfg.AutoConn != nil || asksForPrimary(cfg)
	// Where servers have to show first what they are, one may do so in a moment, as an app's worker may become ready.
	v.waits = !v.fixed || v.limit > 0 || v.total > 0 || cfg.AutoConn != nil || cfg.Health != nil && asksForRole(cfg.Health)
	listed := make(map[*Server]bool, len(ws))
	var shut []*Server
	var chosen []want
	for _, w := range ws {
		s := have[w.name]
		if s == nil || s.to != w.to || s.spec != w.spec {
			s = c.newServer(w)
		}
		if listed[s] {
			continue
		}
		listed[s] = true
		if w.leaving {
			shut = append(shut, s)
			continue
		}
		v.servers = append(v.servers, s)
		chosen = append(chosen, w)
	}
	if err := v.divide(chosen); err != nil {
		return err
	}
	v.sticky = newSticky(cfg, key, v.servers)
	// From here on nothing fails. Servers are shut after the view without them is in force, so that nobody who looks
	// again finds only shut ones.
	for i, s := range v.servers {
		c.reopen(s)
		s.weight = chosen[i].weight
		s.limitBy(cfg.AutoConn)
	}
	c.attend(v, old)
	for _, s := range v.servers {
		share, _ := s.shareAt(time.Now(), cfg.SlowStart)
		if (share == 0) != (s.places.Share() == 0) { // the rest has time until the checker looks
			s.vitals.share = share
			s.places.SetShare(share)
		}
		c.weigh(s)
	}
	c.view.Store(v)
	for _, s := range old.servers {
		if !listed[s] {
			shut = append(shut, s)
		}
	}
	for _, s := range shut {
		if !s.places.IsShut() {
			c.shut(s)
		}
	}
	for _, s := range c.leaving {
		s.gone = !listed[s]
	}
	c.prune()
	return nil
}

func (c *core) newServer(w want) *Server {
	s := &Server{spec: w.spec, link: link.New(w.spec, w.tls), name: w.name, address: w.address, to: w.to, worker: w.worker, host: w.host, core: c, lanes: make([]lane, len(c.loops))}
	s.identity = w.name
	if i := strings.LastIndexByte(w.name, '.'); w.worker != "" && i > 0 {
		s.identity = w.name[:i]
	}
	return s
}

// reopen takes a server back that was leaving. Under mu.
func (c *core) reopen(s *Server) {
	if !s.places.IsShut() {
		return
	}
	s.places.Reopen()
	c.afresh(s)
	s.drained, s.gone = nil, false
	for i, o := range c.leaving {
		if o == s {
			c.leaving = append(c.leaving[:i:i], c.leaving[i+1:]...)
			break
		}
	}
}

// prune drops servers that nobody lists and nobody is at. Under mu.
func (c *core) prune() {
	kept := c.leaving[:0:0]
	for _, s := range c.leaving {
		if !s.gone || s.places.Active() > 0 {
			kept = append(kept, s)
			continue
		}
		c.bury(s)
	}
	c.leaving = kept
}

// retire lets the core serve what old configurations still send to it, without keeping connections.
func (c *core) retire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.retired.IsZero() {
		c.retired = time.Now()
	}
	v := *c.view.Load()
	v.keep = 0
	c.view.Store(&v)
	for _, s := range v.servers {
		c.closeKept(s)
	}
}

// lateComers is how long a retired core waits for requests that were routed to it but still receive their bodies.
const lateComers = 10 * time.Minute

// forgotten says that nobody is at any server or waits for one, and that nobody will come any more.
func (c *core) forgotten() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.waiting.Load()
	for _, s := range c.all() {
		n += s.places.Active()
	}
	return n == 0 && time.Since(c.retired) > lateComers
}

// all returns the servers, those that are leaving last. Under mu.
func (c *core) all() []*Server {
	v := c.view.Load()
	return append(v.servers[:len(v.servers):len(v.servers)], c.leaving...)
}

// close ends all: waiters get loop.ErrClosed, kept connections are closed. Requests under way keep their connections.
func (c *core) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.closed = true
	old := c.view.Load()
	v := *old
	v.servers, v.keep = nil, 0
	v.main, v.near, v.spare = &group{}, nil, nil
	c.view.Store(&v)
	for _, s := range old.servers {
		if !s.places.IsShut() {
			c.shut(s)
		}
	}
	for w := c.queue.Any(); w != nil; w = c.queue.Any() {
		turn := w.Of
		c.unlink(turn)
		c.tell(turn, nil).Wake()
	}
}
