package picture

import (
	"maps"
	"time"

	"github.com/weirhq/weir/internal/api"
)

// Maker makes pictures, one after the other, of what keeper and edge tell. It knows what was counted before: by edges that died, and
// by the desk before this one. One goroutine at a time may use it.
type Maker struct {
	node    string
	pid     int
	book    Book
	routes  map[[2]string]*gauge
	servers map[[2]string]*gauge
	pools   map[string]*poolGauge
	sites   map[string]*gauge
	total   gauge
	busy    []totals  // of each loop: in is nanoseconds
	told    time.Time // when the edge told the numbers that there are
	last    *Picture
}

// NewMaker returns one for a node, by its host name, and the desk's process. The book is what another desk has left; its zero value
// is none.
func NewMaker(node string, pid int, book Book, now time.Time) *Maker {
	if book.Since.IsZero() {
		book.Since = now
	}
	return &Maker{node: node, pid: pid, book: book, routes: map[[2]string]*gauge{}, servers: map[[2]string]*gauge{},
		pools: map[string]*poolGauge{}, sites: map[string]*gauge{}}
}

// Book returns what the next desk has to know. It stays as it is.
func (m *Maker) Book() Book { return m.book }

// Told is what a picture is made of. What is nil could not be asked.
type Told struct {
	Keeper *api.Status
	Edge   *api.Counters
	Hands  []api.Hand
	Facts  *Facts
	Hosts  map[string][]string // of each site, by its first
}

// Make makes the next picture, of now. What nobody could tell is as it was, and the edge is not up.
func (m *Maker) Make(now time.Time, t Told) *Picture {
	p := &Picture{At: now, Node: m.node, Counted: m.book.Since, DeskPID: m.pid, Facts: t.Facts, Hands: t.Hands,
		Sites: []Site{}, Routes: []Route{}, Pools: []Pool{}, Apps: []App{}, Listen: []string{}}
	if t.Keeper != nil {
		m.addKeeper(p, t)
	} else {
		m.keepKeeper(p)
	}
	if t.Edge != nil {
		m.book.Take(t.Edge)
		m.told = now
		p.Edge.Up, p.Edge.PID, p.Edge.Revision = true, t.Edge.PID, t.Edge.Revision
		p.Edge.Connections, p.Edge.Room = t.Edge.Connections, t.Edge.Room
		p.Edge.Active, p.Edge.SessionsNow = t.Edge.Active, t.Edge.SessionsNow
		p.Edge.LoopBusy = m.loops(now, t.Edge)
	}
	if m.book.Last != nil {
		sum := m.book.sum()
		m.addSum(p, &sum, t.Hosts)
	}
	m.last = p
	return p
}

func (m *Maker) addKeeper(p *Picture, t Told) {
	s := t.Keeper
	p.Version, p.File, p.KeeperPID, p.Problem = s.Version, s.File, s.PID, s.Problem
	p.Since, _ = time.Parse(time.RFC3339, s.Since) // an unreadable time is none
	p.Edge.Restarts = s.EdgeRestarts
	p.Listen, p.Faults, p.Included = s.Listen, s.Faults, s.Included
	cpu := map[int]float64{}
	if t.Facts != nil {
		for _, pr := range t.Facts.Processes {
			cpu[pr.PID] = pr.CPU
		}
	}
	for _, a := range s.Apps {
		app := App{Name: a.Name, Overrun: a.Overrun, Lost: a.Lost, Workers: []Worker{}}
		for _, w := range a.Workers {
			if w.State == "live" {
				app.Live++
			}
			app.Workers = append(app.Workers, Worker{WorkerStatus: w, CPU: cpu[w.PID]})
		}
		p.Apps = append(p.Apps, app)
	}
}

// keepKeeper tells what the keeper said the last time.
func (m *Maker) keepKeeper(p *Picture) {
	p.Problem = "the keeper does not answer"
	if m.last == nil {
		return
	}
	p.Version, p.File, p.KeeperPID, p.Since = m.last.Version, m.last.File, m.last.KeeperPID, m.last.Since
	p.Edge.Restarts, p.Listen, p.Apps, p.Included = m.last.Edge.Restarts, m.last.Listen, m.last.Apps, m.last.Included
}

// loops returns which share of a processor each loop uses.
func (m *Maker) loops(now time.Time, c *api.Counters) []float64 {
	if len(m.busy) != len(c.Loops) {
		m.busy = make([]totals, len(c.Loops))
	}
	shares := make([]float64, len(c.Loops))
	for i, l := range c.Loops {
		was := m.busy[i]
		m.busy[i] = totals{at: now, in: uint64(l.Busy)}
		if d := now.Sub(was.at); !was.at.IsZero() && d > 0 && uint64(l.Busy) >= was.in {
			shares[i] = float64(uint64(l.Busy)-was.in) / float64(d)
		}
	}
	return shares
}

// addSum tells what was counted.
func (m *Maker) addSum(p *Picture, sum *api.Counters, hosts map[string][]string) {
	e := &p.Edge
	e.Accepted, e.Refused, e.Sessions, e.Panics = sum.Counts.Accepted, sum.Counts.Refused, sum.Counts.Sessions, sum.Counts.Panics
	e.SlowTurns, e.LogDropped = sum.SlowTurns, sum.LogDropped
	p.Routes, p.TCP = m.flows(sum.Routes), m.flows(sum.TCP)
	m.addSites(p, hosts)
	m.book.strays(func(r *api.RouteCounters) {
		f := flowOf(r)
		f.Slow = nil
		p.Total.add(&f)
	})
	// Requests without a route are in no flow of a route, but they were requests.
	p.Total.Requests, p.Total.Status = sum.Counts.Requests, sum.Counts.Status
	p.Total.Causes = api.AddKinds(p.Total.Causes, sum.Causes)
	m.total.look(m.told, &p.Total)
	p.Pools = make([]Pool, len(sum.Pools))
	for i := range sum.Pools {
		m.setPool(&p.Pools[i], &sum.Pools[i], e.Up)
	}
	if sum.Cache != nil {
		p.Cache = &Cache{CacheCounters: *sum.Cache, HitRatio: p.Total.HitRatio}
	}
	m.forget()
}

// flows tell of routes. Each is some kilobytes: it is written once, where it stays.
func (m *Maker) flows(all []api.RouteCounters) []Route {
	routes := make([]Route, len(all))
	for i := range all {
		r := &all[i]
		routes[i] = Route{Site: r.Site, Name: r.Route, Pool: r.Pool, Flow: flowOf(r)}
		gaugeOf(m.routes, nameOf(r)).look(m.told, &routes[i].Flow)
	}
	return routes
}

// addSites tells of sites, which are the sums of their routes, and adds up all of them.
func (m *Maker) addSites(p *Picture, hosts map[string][]string) {
	p.Sites = make([]Site, 0, len(m.sites)+1)
	at := make(map[string]int, len(m.sites)+1)
	for i := range p.Routes {
		r := &p.Routes[i]
		n, ok := at[r.Site]
		if !ok {
			n = len(p.Sites)
			at[r.Site] = n
			p.Sites = append(p.Sites, Site{Name: r.Site, Hosts: hosts[r.Site]})
		}
		p.Sites[n].add(&r.Flow)
		p.Total.add(&r.Flow)
	}
	for i := range p.Sites {
		gaugeOf(m.sites, p.Sites[i].Name).look(m.told, &p.Sites[i].Flow)
	}
}

// setPool tells of a pool.
func (m *Maker) setPool(p *Pool, c *api.PoolCounters, up bool) {
	*p = Pool{Name: c.Name, App: c.App, TCP: c.TCP, MaxConn: c.MaxConn, Queued: c.Queued, QueueMax: c.QueueMax, QueueSize: c.Size,
		TimedOut: c.TimedOut, Rejected: c.Rejected, Shed: c.Shed, Retries: c.Retries, Redispatch: c.Redispatch, NoRetry: c.NoRetry,
		Hedges: c.Hedges, Breaker: c.Breaker, Requests: c.Sum.Requests, Errors: c.Sum.Errors, Servers: make([]Server, len(c.Members)), Queue: c.Queue}
	fit, open := 0, 0 // of those that are no backups
	for i := range c.Members {
		s := &p.Servers[i]
		m.setServer(s, c.Name, &c.Members[i])
		p.Active += s.Active
		if s.State == "ready" {
			p.Open++
		}
		if s.State != "leaving" && !s.Backup {
			if fit++; s.State == "ready" {
				open++
			}
		}
	}
	switch {
	case p.Open == 0 || !up:
		p.State = "down"
	case open < fit:
		p.State = "degraded"
	default:
		p.State = "up"
	}
	f := Flow{Requests: c.Sum.Requests, Out: c.Sum.Out, Time: c.Sum.FirstByte}
	g := gaugeOf(m.pools, c.Name)
	g.lookErrors(m.told, &f, c.Sum.Errors+c.Sum.Status[5])
	p.Rate, p.ErrorRate, p.P50, p.P95, p.P99 = f.Rate, f.Errors, f.P50, f.P95, f.P99
	p.QueueP95 = g.queue(m.told, &c.Queue)
}

// setServer tells of a server.
func (m *Maker) setServer(s *Server, pool string, c *api.ServerCounters) {
	*s = Server{Name: c.Name, Address: c.Address, State: c.State, Why: c.Reason(), Check: c.Check, CheckTime: c.CheckTime, Checks: c.Checks, CheckFail: c.CheckFail,
		Downs: c.Downs, DownFor: c.DownFor, Weight: c.Weight, Share: 1000, Backup: c.Backup, Active: c.Active, ActiveMax: c.ActiveMax, Limit: c.Limit,
		Idle: c.Idle, Requests: c.Requests, Errors: c.Errors, Status: c.Status, Failures: c.Failures, Connects: c.Connects, Reused: c.Reused,
		In: c.In, Out: c.Out, FirstByte: c.FirstByte}
	s.Since, _ = time.Parse(time.RFC3339, c.Since) // an unreadable time is none
	if c.ServerStatus.Share != nil {
		s.Share = *c.ServerStatus.Share
	}
	if s.Limit == 0 {
		s.Limit = int64(c.MaxConn)
	}
	f := Flow{Requests: c.Requests, Out: c.Out, Time: c.FirstByte}
	gaugeOf(m.servers, [2]string{pool, c.Name}).lookErrors(m.told, &f, c.Errors+c.Status[5])
	s.Rate, s.RateMax, s.ErrorRate, s.P50, s.P95, s.P99 = f.Rate, f.RateMax, f.Errors, f.P50, f.P95, f.P99
}

// forget lets go of what is known of things that are no more.
func (m *Maker) forget() {
	seen := func(g *gauge) bool { return g.before.at.Equal(m.told) }
	maps.DeleteFunc(m.routes, func(_ [2]string, g *gauge) bool { return !seen(g) })
	maps.DeleteFunc(m.servers, func(_ [2]string, g *gauge) bool { return !seen(g) })
	maps.DeleteFunc(m.pools, func(_ string, g *poolGauge) bool { return !seen(&g.gauge) })
	maps.DeleteFunc(m.sites, func(_ string, g *gauge) bool { return !seen(g) })
}

func gaugeOf[K comparable, G any](m map[K]*G, key K) *G {
	g := m[key]
	if g == nil {
		g = new(G)
		m[key] = g
	}
	return g
}

func flowOf(r *api.RouteCounters) Flow {
	return Flow{Requests: r.Requests, Status: r.Status, In: r.In, Out: r.Out, Retries: r.Retries, Causes: r.Causes, Cache: r.Cache, Whys: r.Whys,
		Saved: r.Saved, Time: r.Time, Slow: r.Slow}
}

// add adds the totals of another flow.
func (f *Flow) add(o *Flow) {
	f.Requests += o.Requests
	for i, n := range o.Status {
		f.Status[i] += n
	}
	f.In += o.In
	f.Out += o.Out
	f.Retries += o.Retries
	f.Causes = api.AddKinds(f.Causes, o.Causes)
	for i, n := range o.Cache {
		f.Cache[i] += n
	}
	f.Whys = api.AddKinds(f.Whys, o.Whys)
	f.Saved += o.Saved
	f.Time.Add(&o.Time)
	if o.Slow != nil && (f.Slow == nil || o.Slow.Took > f.Slow.Took) {
		f.Slow = o.Slow
	}
}
