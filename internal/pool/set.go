package pool

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/pool/link"
)

// Env is what pools need from the process that builds them.
type Env struct {
	Loops []*loop.Loop
	// Resolve finds the addresses of a host name; nil: the system's resolver. It is called on ordinary goroutines.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	Log     *slog.Logger // nil: nowhere
	Dir     string       // the run directory, for what is to last of sticky sessions; empty: nothing does
}

// Set is all pools of one configuration. The list never changes. Its methods may be called from any goroutine but
// not on a loop: some of them wait.
type Set struct {
	env    Env
	pools  []*Pool
	names  map[string]*Pool
	watch  *watcher
	checks *checker

	key []byte // of this machine, for sticky sessions; nil: no pool needs one

	mu      sync.Mutex
	workers []api.Worker
	told    bool                    // SetWorkers was called
	hands   []api.Hand              // what people decided
	advised bool                    // SetHands was called
	hosts   map[string][]netip.Addr // the last good answer
	past    []*core                 // of earlier configurations; requests may still be at them
	retired bool
}

// Build makes the pools of a configuration. Pools of old with the same name will be taken over: until old.Retire(next) they stay
// as they are and both Sets use them; an error, or Close of the new Set, leaves old untouched. Host names
// that old does not know are resolved now, for a few seconds at the most; one that cannot be resolved has no server until it can.
//
// The order is: Build, SetWorkers (as long as it is not called the workers known to old count), the new Set into use, old.Retire(new).
func Build(cfg *config.Config, e Env, old *Set) (*Set, error) {
	if e.Resolve == nil {
		e.Resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if e.Log == nil {
		e.Log = slog.New(slog.DiscardHandler)
	}
	s := &Set{env: e, names: make(map[string]*Pool, len(cfg.Pools)), hosts: map[string][]netip.Addr{}}
	known := map[string][]netip.Addr{}
	if old != nil {
		old.mu.Lock()
		s.workers, s.hands = old.workers, old.hands
		for h, ips := range old.hosts {
			known[h] = ips
		}
		old.mu.Unlock()
	}
	hosts, err := preflight(cfg)
	if err != nil {
		return nil, err
	}
	if err := s.findKey(cfg, old); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(cfg.Pools, func(p *config.Pool) bool {
		return p.TLS != nil || slices.ContainsFunc(p.Servers, func(s config.Server) bool { return s.TLS != nil })
	}) {
		link.Prepare()
	}
	s.watch = newWatcher(s, hosts)
	s.hosts = s.watch.first(known)
	for _, pc := range cfg.Pools {
		p := &Pool{cfg: pc, byKey: strings.HasSuffix(pc.Balance, "_hash")}
		if old != nil {
			if o := old.names[pc.Name]; o != nil {
				p.c = o.c
			}
		}
		if p.c == nil {
			p.c = newCore(pc.Name, e.Loops)
			p.c.owner.Store(s)
			s.applyTo(p)
		}
		s.readySessions(p)
		s.pools = append(s.pools, p)
		s.names[pc.Name] = p
	}
	s.checks = newChecker(s)
	for _, p := range s.pools {
		if p.cfg.Backup != "" {
			p.backup = s.names[p.cfg.Backup]
		}
	}
	s.watch.start()
	s.checks.start()
	return s, nil
}

// preflight finds what would fail later and returns the host names.
func preflight(cfg *config.Config) (hosts []string, err error) {
	seen := map[string]bool{}
	for _, pc := range cfg.Pools {
		if seen[pc.Name] {
			return nil, fmt.Errorf("pool %q is there twice", pc.Name)
		}
		seen[pc.Name] = true
		if err := newCore(pc.Name, nil).apply(&config.Pool{Name: pc.Name, Balance: pc.Balance}, nil, nil); err != nil {
			return nil, err
		}
		for _, sc := range pc.Servers {
			t, err := parseAddress(sc.Address)
			if err != nil {
				return nil, fmt.Errorf("pool %q: %w", pc.Name, err)
			}
			if t.host != "" && !slices.Contains(hosts, t.host) {
				hosts = append(hosts, t.host)
			}
		}
	}
	return hosts, nil
}

// findKey gets the key for sticky sessions where a pool needs one.
func (s *Set) findKey(cfg *config.Config, old *Set) (err error) {
	if old != nil && old.key != nil {
		s.key = old.key
		return nil
	}
	if !slices.ContainsFunc(cfg.Pools, func(p *config.Pool) bool { return p.Sticky != nil }) {
		return nil
	}
	if s.key, err = sessionKey(s.env.Dir); s.key == nil {
		return err
	}
	if err != nil {
		s.env.Log.Warn("sessions may not be known after a restart", "error", err)
	}
	return nil
}

// applyTo brings a pool's core up to this Set's configuration, workers and addresses. mu is held, or s not yet shared.
func (s *Set) applyTo(p *Pool) { s.applyCore(p.c, p.cfg) }

func (s *Set) applyCore(c *core, cfg *config.Pool) {
	var ws []want
	var err error
	if cfg.App != "" {
		if ws, err = wantWorkers(cfg, s.workers); err != nil {
			s.note(event{pool: cfg.Name, err: err, what: badWorker})
		}
	} else if ws, _, err = wantFixed(handed(cfg, s.hands), s.hosts); err != nil {
		panic("pool: an address that was checked is bad: " + err.Error())
	}
	c.setHands(s.hands)
	if err := c.apply(cfg, ws, s.key); err != nil {
		panic("pool: a configuration that was checked is bad: " + err.Error())
	}
}

// Pool returns the pool of that name, nil if there is none. It is cheap, and safe on loops.
func (s *Set) Pool(name string) *Pool { return s.names[name] }

// SetWorkers says which workers there are, all of them each time. A ready one gets requests. One that is leaving, or no longer in
// the list, gets no new one from the moment this returns; its kept connections are closed. It is forgotten when it is
// no longer in the list and its last request ended.
func (s *Set) SetWorkers(ws []api.Worker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.workers, s.told = slices.Clone(ws), true
	for _, p := range s.pools {
		if p.cfg.App != "" && p.c.owner.Load() == s {
			s.applyTo(p)
		}
	}
	for _, c := range s.past {
		if cfg := c.view.Load().cfg; cfg.App != "" {
			s.applyCore(c, cfg)
			c.retire()
		}
	}
}

// Retire hands over to next, which was built from s and is in use: the pools of the same name now follow next's
// configuration, and the rest keeps no more connections. Requests that still hold pools of s can use them as before.
func (s *Set) Retire(next *Set) {
	s.watch.stop()
	s.checks.stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	next.mu.Lock()
	defer next.mu.Unlock()
	if s.retired {
		return
	}
	s.retired = true
	if !next.told {
		next.workers = s.workers
	}
	if !next.advised {
		next.hands = s.hands
	}
	for _, p := range s.pools {
		if n := next.names[p.cfg.Name]; n != nil && n.c == p.c {
			p.c.owner.Store(next)
			continue
		}
		next.past = append(next.past, p.c)
		p.c.owner.Store(next)
		p.c.retire()
	}
	for _, c := range s.past {
		if c.forgotten() {
			c.close()
			continue
		}
		c.owner.Store(next)
		next.past = append(next.past, c)
	}
	s.past = nil
	for _, p := range next.pools {
		next.applyTo(p)
	}
	next.checks.stir()
}

// Close ends the Set and the pools that are its own: who waits gets loop.ErrClosed, kept connections are closed on
// their loops. A Set that has retired owns nothing any more.
func (s *Set) Close() {
	s.watch.stop()
	s.checks.stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.pools {
		if p.c.owner.Load() == s {
			p.c.close()
		}
	}
	for _, c := range s.past {
		c.close()
	}
	s.past = nil
}

// InFlight returns how many requests hold places at a worker, in all pools, those of earlier configurations too.
func (s *Set) InFlight(worker string) (n int64) {
	for _, sv := range s.workerServers(worker) {
		n += sv.places.Active()
	}
	return n
}

// WaitDrained waits until no request is at the worker, or ctx ends, and returns how many are left. The worker must be leaving or
// gone: then 0 is final.
func (s *Set) WaitDrained(ctx context.Context, worker string) (left int64) {
	for _, sv := range s.workerServers(worker) {
		sv.core.mu.Lock()
		drained := sv.drained // nil, which blocks, if it is not leaving
		sv.core.mu.Unlock()
		select {
		case <-drained:
		case <-ctx.Done():
		}
	}
	return s.InFlight(worker)
}

func (s *Set) workerServers(worker string) (found []*Server) {
	s.mu.Lock()
	cores := slices.Clone(s.past)
	for _, p := range s.pools {
		cores = append(cores, p.c)
	}
	s.mu.Unlock()
	for _, c := range cores {
		c.mu.Lock()
		for _, sv := range c.all() {
			if sv.worker == worker && worker != "" {
				found = append(found, sv)
			}
		}
		c.mu.Unlock()
	}
	return found
}

// Status tells of all pools, in the order of the configuration.
func (s *Set) Status() []api.PoolStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]api.PoolStatus, 0, len(s.pools))
	for _, p := range s.pools {
		ps := p.c.status()
		ps.Servers = append(ps.Servers, s.missing(p)...)
		out = append(out, ps)
	}
	return out
}

// missing tells of servers whose names have no address. Under mu.
func (s *Set) missing(p *Pool) (all []api.ServerStatus) {
	if p.cfg.App != "" {
		return nil
	}
	_, missing, _ := wantFixed(handed(p.cfg, s.hands), s.hosts) // the addresses were checked by Build
	for _, a := range missing {
		all = append(all, api.ServerStatus{Name: a, Address: a, State: "down", Why: "its name has no address"})
	}
	return all
}

func (c *core) status() api.PoolStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.prune()
	all := c.all()
	ps := c.head(c.view.Load())
	ps.Servers = make([]api.ServerStatus, 0, len(all))
	for _, sv := range all {
		ps.Servers = append(ps.Servers, sv.status())
	}
	return ps
}

// head tells of the pool without its servers. Under mu.
func (c *core) head(v *view) api.PoolStatus {
	return api.PoolStatus{Name: c.name, App: v.cfg.App, MaxConn: v.cfg.MaxConn, TCP: v.cfg.Protocol == config.RawTCP, Queued: c.waiting.Load(),
		Shed: c.shed, Breaker: c.breakerState()}
}

func (s *Server) status() api.ServerStatus {
	st := api.ServerStatus{Name: s.name, Address: s.address, State: s.state(), Active: s.places.Active(), Limit: s.places.Own()}
	s.vitals.show(s, &st)
	for i := range s.lanes {
		l := &s.lanes[i]
		st.Idle += l.idle.Load()
		st.Requests += l.requests.Load()
		st.Errors += l.errors.Load()
		st.In += l.in.Load()
		st.Out += l.out.Load()
	}
	return st
}
