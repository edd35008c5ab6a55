package edge

import (
	"os"
	"time"

	"github.com/weirhq/weir/internal/api"
)

// Counters tells all that the edge counts.
func (e *Edge) Counters() api.Counters {
	all, active, sessions := e.sum()
	c := api.Counters{Epochs: []string{string(e.locals[0].idPrefix)}, At: time.Now().UnixMilli(), PID: os.Getpid(), Counts: all, Active: active,
		Connections: e.connections.Load(), Room: e.room, SessionsNow: sessions, Routes: []api.RouteCounters{}, Pools: []api.PoolCounters{}, Loops: []api.LoopCounters{}}
	e.mu.Lock()
	defer e.mu.Unlock()
	c.Version = e.version
	if e.log != nil {
		c.LogDropped = e.log.Dropped()
	}
	t := e.tree.Load()
	if t == nil {
		return c
	}
	c.Revision = t.source.Revision
	for _, p := range t.pools.Status() {
		pc := api.PoolCounters{PoolStatus: p, Members: []api.ServerCounters{}}
		for _, s := range p.Servers {
			pc.Members = append(pc.Members, api.ServerCounters{ServerStatus: s})
			pc.Sum.Requests += s.Requests
			pc.Sum.Errors += s.Errors
		}
		pc.Servers = nil
		c.Pools = append(c.Pools, pc)
	}
	return c
}
