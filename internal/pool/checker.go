package pool

import (
	"cmp"
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/pool/health"
	"github.com/weirhq/weir/internal/pool/probe"
)

// checksAtOnce bounds the probes of a Set that are under way at a time. Those that are due longest go first.
const checksAtOnce = 64

// checker is the goroutine of a Set that looks after the health of servers: it begins probes, each on a goroutine of its
// own that ends with it, advances the windows of what failed, and ends what is over. While nothing is configured that
// needs it, it sleeps.
type checker struct {
	s      *Set
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{}
	soon   chan struct{}
	free   chan struct{} // a place for each probe under way
	probes sync.WaitGroup
}

func newChecker(s *Set) *checker {
	k := &checker{s: s, done: make(chan struct{}), soon: make(chan struct{}, 1), free: make(chan struct{}, checksAtOnce)}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	return k
}

func (k *checker) start() { go k.run() }

// stop ends the goroutine and all probes, and waits for them.
func (k *checker) stop() {
	k.cancel()
	<-k.done
}

// stir has it look at all servers soon. It never waits.
func (k *checker) stir() {
	if k == nil {
		return // the Set is being built
	}
	select {
	case k.soon <- struct{}{}:
	default:
	}
}

// notBefore is the shortest time between two looks at all servers: many that are due one after the other are begun together.
const notBefore = 5 * time.Millisecond

func (k *checker) run() {
	defer close(k.done)
	defer k.probes.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-k.ctx.Done():
			return
		case <-k.soon:
		case <-timer.C:
		}
		if k.ctx.Err() != nil {
			return
		}
		now := time.Now()
		next := k.look(now)
		timer.Stop()
		if !next.IsZero() {
			timer.Reset(max(next.Sub(now), notBefore))
		}
	}
}

// duty is a probe that is due.
type duty struct {
	due time.Time
	run func()
}

// round is one look at all servers.
type round struct {
	now    time.Time
	next   time.Time // when something is due again
	tasks  []duty
	events []event
	opened bool // something that waiters may wait for
}

func (r *round) again(at time.Time) {
	if r.next.IsZero() || at.Before(r.next) {
		r.next = at
	}
}

// look does what is due, and returns when something is due again, zero if nothing will be.
func (k *checker) look(now time.Time) time.Time {
	r := &round{now: now}
	for _, p := range k.s.pools {
		if p.c.owner.Load() != k.s {
			continue // another Set's still
		}
		k.lookAt(p.c, r)
		if h := p.cfg.Health; h != nil && h.Track.Pool != "" {
			k.follow(p.c, h.Track, r)
		}
	}
	slices.SortFunc(r.tasks, func(a, b duty) int { return a.due.Compare(b.due) })
	for _, t := range r.tasks {
		select {
		case k.free <- struct{}{}:
			t.run()
			continue
		default:
		}
		break // whoever ends stirs
	}
	return r.next
}

// begin runs a probe on a goroutine of its own; its place was taken.
func (k *checker) begin(f func(ctx context.Context)) {
	k.probes.Go(func() {
		f(k.ctx)
		<-k.free
		k.stir()
	})
}

// lookAt does what is due for one pool.
func (k *checker) lookAt(c *core, r *round) {
	r.events, r.opened = r.events[:0], false
	c.mu.Lock()
	v := c.view.Load()
	for _, s := range v.servers {
		c.lookEjected(s, r)
		k.lookCheck(c, s, v.cfg, r)
		k.lookAgent(c, s, v.cfg, r)
	}
	c.advance(v, r)
	c.mu.Unlock()
	for _, e := range r.events {
		c.report(e)
	}
	if r.opened || len(r.events) > 0 {
		c.settle()
	}
	if next := c.reshare(r.now); !next.IsZero() {
		r.again(next)
	}
}

// reshare tells the balance the shares that have changed, and returns when they will again, zero if they stay. Not on a loop.
func (c *core) reshare(now time.Time) (next time.Time) {
	type change struct {
		s     *Server
		share int
	}
	var changes []change
	c.shares.Lock()
	defer c.shares.Unlock()
	c.mu.Lock()
	v := c.view.Load()
	for _, s := range v.servers {
		share, again := s.shareAt(now, v.cfg.SlowStart)
		if share != s.vitals.share {
			s.vitals.share = share
			changes = append(changes, change{s, share})
		}
		if !again.IsZero() && (next.IsZero() || again.Before(next)) {
			next = again
		}
	}
	c.mu.Unlock()
	for _, o := range changes {
		o.s.setShare(o.share)
	}
	return next
}

// lookEjected lets a request try a server whose ejection is over. Under mu.
func (c *core) lookEjected(s *Server, r *round) {
	if s.reasons()&^s.over&ejected == 0 {
		return
	}
	if ends := s.vitals.ejection.Ends; r.now.Before(ends) {
		r.again(ends)
		return
	}
	s.overdue(ejected)
	r.opened = true
}

// advance ends a step of the servers' windows, and ejects whom it shows to fail. Under mu.
func (c *core) advance(v *view, r *round) {
	e := v.cfg.Eject
	if e == nil || e.Rate == 0 && e.Slow == 0 {
		return
	}
	if next := c.stepped.Add(health.Step); r.now.Before(next) {
		r.again(next)
		return
	}
	c.stepped = r.now
	r.again(r.now.Add(health.Step))
	rules := rulesOf(e)
	sums := make([]health.Sample, len(v.servers))
	for i, s := range v.servers {
		w := &s.vitals.window
		w.Advance(s.sample())
		sums[i] = w.Sum()
	}
	slow := rules.Outliers(sums)
	for i, s := range v.servers {
		why := cmp.Or(rules.Failing(sums[i]), slow[i])
		if why != "" {
			r.events = append(r.events, c.expel(s, why, r.now))
		}
	}
}

// lookCheck begins a check that is due. Under mu.
func (k *checker) lookCheck(c *core, s *Server, cfg *config.Pool, r *round) {
	t, h := &s.vitals, cfg.Health
	if h == nil || !t.begun || t.busy {
		return
	}
	if r.now.Before(t.due) {
		r.again(t.due)
		return
	}
	at, field := c.targetOf(s), ""
	if cfg.Agent != nil {
		field = cfg.Agent.Header
	}
	r.tasks = append(r.tasks, duty{t.due, func() {
		c.mu.Lock()
		t.busy = true
		c.mu.Unlock()
		k.begin(func(ctx context.Context) {
			begun := time.Now()
			result, wish := probe.Check(ctx, at, h, field)
			if ctx.Err() == nil {
				c.checkEnded(s, result.OK, time.Since(begun))
			}
			if wish != "" {
				s.Heed([]byte(wish), int64(time.Hour)) // far from what responses said a moment ago
			}
			c.checked(s, h, result, ctx.Err() != nil)
		})
	}})
}

func (c *core) targetOf(s *Server) probe.Target {
	return probe.Target{Pool: c.name, Server: s.name, To: s.to, Link: s.link, H2C: s.spec.Protocol == config.H2C}
}

func paceOf(h *config.Health) health.Pace {
	return health.Pace{Every: h.Every, Fast: h.Fast, Rise: h.Rise, Fall: h.Fall}
}

// checked takes the result of a check.
func (c *core) checked(s *Server, h *config.Health, result health.Result, cut bool) {
	c.mu.Lock()
	t := &s.vitals
	t.busy = false
	var e event
	var es []event
	if !cut && t.begun { // else it says nothing, or nobody wants to know any more
		since, pace := t.check.Since, paceOf(h)
		if result.OK {
			t.term = result.Term
		}
		turned := t.check.Take(result, pace)
		t.due = result.At.Add(t.check.Next(pace, rand.Float64()))
		switch {
		case turned && result.OK:
			e = event{server: s.name, what: checkPassed, text: result.Message, time: result.At.Sub(since)}
			if h.Role == config.Primary {
				c.bar(s, second) // until it is known that no other is
			}
			c.unbar(s, check)
		case turned:
			e = event{server: s.name, what: checkFailed, text: result.Message}
			c.bar(s, check)
			c.cut(s)
		}
		if v := c.view.Load(); asksForPrimary(v.cfg) {
			es = c.elect(v)
		}
	}
	c.mu.Unlock()
	c.report(e)
	for _, e := range es {
		c.report(e)
	}
	if e.what != nothing || len(es) > 0 {
		c.settle()
	}
}

// follow closes and opens a pool's servers as the checks of another's say.
func (k *checker) follow(c *core, track config.Tracked, r *round) {
	other := k.s.names[track.Pool]
	if other == nil {
		return
	}
	type found struct {
		name, to, host string
		well           bool
		last           health.Result
	}
	var all []found
	other.c.mu.Lock()
	for _, s := range other.c.view.Load().servers {
		if s.vitals.begun {
			all = append(all, found{s.name, s.to.String(), hostOf(s), s.vitals.check.Well && s.reasons()&second == 0, s.vitals.check.Last})
		}
	}
	other.c.mu.Unlock()
	c.mu.Lock()
	r.events = r.events[:0]
	for _, s := range c.view.Load().servers {
		i := slices.IndexFunc(all, func(f found) bool { return track.Server != "" && isNamed(f.name, track.Server) })
		if track.Server == "" {
			if i = slices.IndexFunc(all, func(f found) bool { return f.to == s.to.String() }); i < 0 {
				i = slices.IndexFunc(all, func(f found) bool { return f.host == hostOf(s) })
			}
		}
		if i < 0 {
			c.unbar(s, check) // nobody to follow: it is as good as one without checks
			continue
		}
		t := &s.vitals
		was := t.check
		t.check = health.Check{Well: all[i].well, Proved: true, Since: r.now, Last: all[i].last}
		t.check.Last.Message = all[i].name + ": " + all[i].last.Message
		switch well := all[i].well; {
		case well && c.unbar(s, check):
			r.events = append(r.events, event{server: s.name, what: checkPassed, text: t.check.Last.Message, time: r.now.Sub(was.Since)})
		case !well && c.bar(s, check):
			r.events = append(r.events, event{server: s.name, what: checkFailed, text: t.check.Last.Message})
			c.cut(s)
		default:
			t.check.Since = was.Since
		}
	}
	c.mu.Unlock()
	for _, e := range r.events {
		c.report(e)
	}
	if len(r.events) > 0 {
		c.settle()
	}
}

// hostOf is the machine a server is on, as far as its address says.
func hostOf(s *Server) string {
	if s.to.Unix != "" {
		return "unix:" + s.to.Unix
	}
	var ip netip.Addr = s.to.IP.Addr()
	return ip.String()
}
