package api

import "maps"

// Clone returns a copy that shares nothing that Add changes.
func (c *Counters) Clone() Counters {
	n := *c
	n.Causes = maps.Clone(c.Causes)
	n.Routes = make([]RouteCounters, len(c.Routes))
	for i := range c.Routes {
		n.Routes[i] = c.Routes[i].Clone()
	}
	n.TCP = make([]RouteCounters, len(c.TCP))
	for i := range c.TCP {
		n.TCP[i] = c.TCP[i].Clone()
	}
	n.Pools = make([]PoolCounters, len(c.Pools))
	for i := range c.Pools {
		n.Pools[i] = c.Pools[i].clone()
	}
	if c.Cache != nil {
		cache := *c.Cache
		n.Cache = &cache
	}
	return n
}

// Add adds the numbers that only grow of o to those of c, by the names of routes, pools and servers. What o alone has is left out, but
// for routes and pools when keep says so: of a configuration that is no more, they may come back.
func (c *Counters) Add(o *Counters, keep bool) {
	c.Counts.Add(&o.Counts)
	c.SlowTurns += o.SlowTurns
	c.LogDropped += o.LogDropped
	c.Causes = AddKinds(c.Causes, o.Causes)
	c.Routes = addRoutes(c.Routes, o.Routes, keep)
	c.TCP = addRoutes(c.TCP, o.TCP, keep)
	pools := map[string]int{}
	for i := range c.Pools {
		pools[c.Pools[i].Name] = i
	}
	for i := range o.Pools {
		p := &o.Pools[i]
		if j, ok := pools[p.Name]; ok {
			c.Pools[j].add(p, keep)
		} else if keep {
			c.Pools = append(c.Pools, p.clone())
		}
	}
	if c.Cache != nil && o.Cache != nil {
		c.Cache.Evicted += o.Cache.Evicted
		c.Cache.Refreshes += o.Cache.Refreshes
		c.Cache.Purges += o.Cache.Purges
	}
}

func addRoutes(sum, more []RouteCounters, keep bool) []RouteCounters {
	routes := make(map[[2]string]int, len(sum))
	for i := range sum {
		routes[[2]string{sum[i].Site, sum[i].Route}] = i
	}
	for i := range more {
		r := &more[i]
		if j, ok := routes[[2]string{r.Site, r.Route}]; ok {
			sum[j].Add(r)
		} else if keep {
			sum = append(sum, r.Clone())
		}
	}
	return sum
}

// Add adds the numbers that only grow of o.
func (r *RouteCounters) Add(o *RouteCounters) {
	r.Requests += o.Requests
	addAll(r.Status[:], o.Status[:])
	r.In += o.In
	r.Out += o.Out
	r.Retries += o.Retries
	r.Causes = AddKinds(r.Causes, o.Causes)
	addAll(r.Cache[:], o.Cache[:])
	r.Whys = AddKinds(r.Whys, o.Whys)
	r.Saved += o.Saved
	addAll(r.Sessions[:], o.Sessions[:])
	r.Time.Add(&o.Time)
}

// Clone returns a copy that shares nothing that Add changes.
func (r *RouteCounters) Clone() RouteCounters {
	c := *r
	c.Causes, c.Whys = maps.Clone(r.Causes), maps.Clone(r.Whys)
	return c
}

func (p *PoolCounters) add(o *PoolCounters, keep bool) {
	p.Shed += o.Shed
	p.QueueMax = max(p.QueueMax, o.QueueMax)
	p.TimedOut += o.TimedOut
	p.Rejected += o.Rejected
	p.Retries += o.Retries
	p.Redispatch += o.Redispatch
	p.NoRetry += o.NoRetry
	addAll(p.Hedges[:], o.Hedges[:])
	p.Queue.Add(&o.Queue)
	p.Sum.Add(&o.Sum)
	members := map[string]int{}
	for i := range p.Members {
		members[p.Members[i].Name] = i
	}
	for i := range o.Members {
		if j, ok := members[o.Members[i].Name]; ok {
			p.Members[j].Add(&o.Members[i])
		} else if keep {
			p.Members = append(p.Members, o.Members[i].clone())
		}
	}
}

func (p *PoolCounters) clone() PoolCounters {
	c := *p
	c.Sum = p.Sum.clone()
	c.Members = make([]ServerCounters, len(p.Members))
	for i := range p.Members {
		c.Members[i] = p.Members[i].clone()
	}
	return c
}

// Add adds the numbers that only grow of o.
func (s *ServerCounters) Add(o *ServerCounters) {
	s.Requests += o.Requests
	s.Errors += o.Errors
	s.In += o.In
	s.Out += o.Out
	s.ActiveMax = max(s.ActiveMax, o.ActiveMax)
	addAll(s.Status[:], o.Status[:])
	s.Failures = AddKinds(s.Failures, o.Failures)
	s.Connects += o.Connects
	s.Reused += o.Reused
	s.Checks += o.Checks
	s.CheckFail += o.CheckFail
	s.Downs += o.Downs
	s.DownFor += o.DownFor
	s.FirstByte.Add(&o.FirstByte)
}

func (s *ServerCounters) clone() ServerCounters {
	c := *s
	c.Failures = maps.Clone(s.Failures)
	return c
}

func addAll(sum, more []uint64) {
	for i, n := range more {
		sum[i] += n
	}
}

// AddKinds adds numbers by kind to a sum, which it makes if there is none yet, and returns it.
func AddKinds(sum, more map[string]uint64) map[string]uint64 {
	if sum == nil && len(more) > 0 {
		sum = make(map[string]uint64, len(more))
	}
	for kind, n := range more {
		sum[kind] += n
	}
	return sum
}
