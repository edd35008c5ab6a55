package exposition

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/metrics"
	"github.com/weirhq/weir/internal/picture"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// histogramOf is one with many durations.
func histogramOf(r *rand.Rand, n int) (h metrics.Histogram) {
	for range n {
		h.Observe(time.Duration(r.ExpFloat64() * 40e6))
	}
	return h
}

// small is a picture with one of everything.
func small() *picture.Picture {
	r := rand.New(rand.NewPCG(1, 2))
	flow := picture.Flow{Requests: 60, Status: [6]uint64{1, 0, 50, 4, 3, 2}, In: 1000, Out: 1 << 40, Retries: 2, Causes: map[string]uint64{"no_server": 2, "from the future": 3},
		Cache: [7]uint64{1, 2, 3, 4, 5, 6, 7}, Whys: map[string]uint64{"uri-miss": 3, "a \"strange\"\nwhy": 1}, Saved: 77, Time: histogramOf(r, 60),
		Slow: &api.Exemplar{ID: "0123456789abcdef", Trace: "4bf92f3577b34da6a3ce929d0e0e4736", At: noon.UnixMilli(), Took: 0.3}}
	server := func(name, state string, n uint64) picture.Server {
		return picture.Server{Name: name, State: state, Weight: 2, Share: 500, Active: 1, ActiveMax: 3, Limit: 4, Idle: 5, Requests: n, Errors: 6, Status: [6]uint64{0, 0, n, 0, 0, 1},
			Failures: map[string]uint64{"connect_error": 4, "timeout": 2}, Connects: 8, Reused: 9, In: 10, Out: 11, Checks: 12, CheckFail: 1, CheckTime: 1.5, Downs: 1, DownFor: 2.5, FirstByte: histogramOf(r, int(n))}
	}
	worker := func(name, state string) picture.Worker {
		return picture.Worker{WorkerStatus: api.WorkerStatus{Name: name, State: state, Since: noon.Format(time.RFC3339), Restarts: 1}}
	}
	return &picture.Picture{At: noon.Add(time.Hour), Node: "web-1", Version: "1.2.3", Since: noon, Counted: noon.Add(-time.Hour), Problem: "it was refused",
		Edge:   picture.Edge{Up: true, Restarts: 1, Revision: 3, Connections: 10, Room: 1000, Active: 4, Accepted: 100, LoopBusy: []float64{0.25, 0}},
		Total:  flow,
		Routes: []picture.Route{{Site: "www.example.com", Name: "api", Pool: "web", Flow: flow}, {Site: `a"b\c` + "\n\xff", Name: "x"}},
		TCP:    []picture.Route{{Site: "tcp", Name: ":5432", Pool: "db", Flow: flow}},
		Pools: []picture.Pool{{Name: "web", App: "web", State: "degraded", Hedges: [3]uint64{0, 3, 1}, Breaker: "half open", Queue: histogramOf(r, 10),
			Servers: []picture.Server{server("web/1.3", "leaving", 90), server("web/1.12", "ready", 5), server("web/2", "down", 1)}},
			{Name: "fixed", State: "up", Servers: []picture.Server{server("10.0.0.1:80", "ready", 7), server("v1.2/3.4", "strange", 7)}}},
		Apps:     []picture.App{{Name: "web", Live: 1, Workers: []picture.Worker{worker("web/1.3", "leaving"), worker("web/1.12", "live"), worker("web/2", "odd")}}},
		Cache:    &picture.Cache{CacheCounters: api.CacheCounters{Objects: 3, Disk: &api.CacheDisk{Size: 9, Problem: "full"}}, HitRatio: 0.5},
		Included: []api.FileStatus{{Path: "a.yaml", Problem: "it is wrong"}},
		Facts: &picture.Facts{CPUs: []float64{1, 0.5}, Load: [3]float64{1, 2, 3}, Words: []string{"busy"}, Disks: []picture.Disk{{Path: "/var", Size: 10, Free: 5}},
			Networks: []picture.Network{{Name: "eth0", In: 5}}, Processes: []picture.Process{{What: "edge", CPU: 0.5}, {What: "web/1.3"}, {What: "web/1.12", CPU: 2}}},
	}
}

// large is a picture of a large site: routes, pools, and servers in each pool.
func large(routes, pools, servers int) *picture.Picture {
	r := rand.New(rand.NewPCG(3, 4))
	p := small()
	p.Routes, p.Pools = nil, nil
	for i := range routes {
		p.Routes = append(p.Routes, picture.Route{Site: fmt.Sprintf("www.site-%d.example.com", i/10), Name: fmt.Sprintf("www.site-%d.example.com#%d", i/10, i%10), Pool: "pool-1",
			Flow: picture.Flow{Requests: 1e6, Status: [6]uint64{0, 0, 987654, 12345, 321, 12}, In: 1e9, Out: 1e11, Cache: [7]uint64{0, 100, 20000, 300000, 40}, Whys: map[string]uint64{"uri-miss": 20000, "method": 100},
				Causes: map[string]uint64{"client_gone": 12}, Time: histogramOf(r, 1000), Slow: p.Total.Slow}})
	}
	for i := range pools {
		pool := picture.Pool{Name: fmt.Sprintf("pool-%d", i), State: "up", Requests: 1e7, Queue: histogramOf(r, 100)}
		for j := range servers {
			pool.Servers = append(pool.Servers, picture.Server{Name: fmt.Sprintf("10.1.%d.%d:8080", i, j), State: "ready", Weight: 1, Share: 1000, Requests: 1e6, Status: [6]uint64{0, 0, 987654, 1234, 56, 7}, Connects: 1234, Reused: 1e6,
				In: 1e9, Out: 1e11, Checks: 3600, CheckTime: 0.7, Failures: map[string]uint64{"timeout": 3}, FirstByte: histogramOf(r, 1000)})
		}
		p.Pools = append(p.Pools, pool)
	}
	return p
}
