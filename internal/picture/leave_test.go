package picture

import (
	"fmt"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/journal"
)

// routed is what an edge says of routes, each with so many requests: each of 10 bytes either way, half of them hits.
func routed(epochs []string, of map[string]uint64) *api.Counters {
	c := &api.Counters{Epochs: epochs, PID: 7}
	for _, name := range []string{"a", "b", "c"} {
		n, ok := of[name]
		if !ok {
			continue
		}
		r := api.RouteCounters{Site: "a.example", Route: name, Requests: n, In: 10 * n, Out: 10 * n, Causes: map[string]uint64{"queue_timeout": n}, Slow: &api.Exemplar{ID: name, Took: 1}}
		r.Status[2], r.Cache[journal.Hit], r.Cache[journal.Miss] = n, n/2, n-n/2
		for range n {
			r.Time.Observe(20 * time.Millisecond)
		}
		c.Routes = append(c.Routes, r)
	}
	return c
}

// TestRoutesLeave: what all requests came to does not shrink when a reload takes a route away, and nothing is counted twice when it comes back,
// whatever becomes of edges meanwhile.
func TestRoutesLeave(t *testing.T) {
	type of = map[string]uint64
	for _, c := range []struct {
		name string
		says []*api.Counters
		want []uint64
	}{
		{"it leaves", []*api.Counters{routed([]string{"1"}, of{"a": 5, "b": 3}), routed([]string{"1"}, of{"a": 6}), routed([]string{"1"}, of{"a": 7})}, []uint64{8, 9, 10}},
		{"and comes back", []*api.Counters{routed([]string{"1"}, of{"a": 5, "b": 3}), routed([]string{"1"}, of{"a": 6}), routed([]string{"1"}, of{"a": 7, "b": 4})}, []uint64{8, 9, 11}},
		{"and comes back at another edge", []*api.Counters{routed([]string{"1"}, of{"a": 5, "b": 3}), routed([]string{"1"}, of{"a": 6}), routed([]string{"2"}, of{"a": 1, "b": 1})}, []uint64{8, 9, 11}},
		{"it leaves as its edge dies", []*api.Counters{routed([]string{"1"}, of{"a": 5, "b": 3}), routed([]string{"2"}, of{"a": 1}), routed([]string{"2"}, of{"a": 1, "b": 1})}, []uint64{8, 9, 10}},
		{"it leaves with an upgrade", []*api.Counters{routed([]string{"1"}, of{"a": 5, "b": 3}), routed([]string{"2", "1"}, of{"a": 6}), routed([]string{"2", "1"}, of{"a": 6, "b": 3})}, []uint64{8, 9, 9}},
		{"the upgrade is told later", []*api.Counters{routed([]string{"1"}, of{"a": 5, "b": 3}), routed([]string{"2"}, of{"a": 1}), routed([]string{"2", "1"}, of{"a": 6})}, []uint64{8, 9, 9}},
		{"all leave, and others come", []*api.Counters{routed([]string{"1"}, of{"a": 5, "b": 3}), routed([]string{"1"}, of{"c": 1}), routed([]string{"1"}, of{"a": 5, "c": 2})}, []uint64{8, 9, 10}},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := time.Unix(1_800_000_000, 0)
			m := NewMaker("node", 1, Book{}, now)
			for i, s := range c.says {
				s.Counts.Requests = c.want[i]
				f := m.Make(now.Add(time.Duration(i)*time.Second), Told{Edge: s}).Total
				if n := c.want[i]; f.Out != 10*n || f.In != 10*n || f.Time.Count() != n || f.Causes["queue_timeout"] != n || f.Cache[journal.Hit]+f.Cache[journal.Miss] != n {
					t.Errorf("after %d answers: %d bytes out, %d in, %d times, causes %v, cache %v; want all of %d requests", i+1, f.Out, f.In, f.Time.Count(), f.Causes, f.Cache, n)
				}
				if f.P95 > 30 {
					t.Errorf("after %d answers the p95 is %v ms", i+1, f.P95)
				}
				if i > 0 && f.Slow != nil && len(s.Routes) == 1 && f.Slow.ID != s.Routes[0].Route {
					t.Errorf("the slowest is of the route %s, which is no more", f.Slow.ID)
				}
			}
		})
	}
}

// TestManyLeave: routes that come and go by the thousand leave no more than a few numbers, and all of them count.
func TestManyLeave(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	m := NewMaker("node", 1, Book{}, now)
	var p *Picture
	for i := range 1000 {
		c := routed([]string{fmt.Sprint(i / 70)}, map[string]uint64{"a": 1})
		c.Routes[0].Route = fmt.Sprint(i)
		was := m.Book()
		p = m.Make(now.Add(time.Duration(i)*time.Second), Told{Edge: c})
		if len(was.Left) > 0 && was.Left[0].Requests != was.Left[0].Status[2] {
			t.Fatal("a book that was asked for has changed")
		}
	}
	if p.Total.Out != 10_000 || p.Total.Time.Count() != 1000 {
		t.Errorf("%d bytes and %d times, want those of 1000 requests", p.Total.Out, p.Total.Time.Count())
	}
	if n := len(m.Book().Left); n > manyLeft {
		t.Errorf("%d routes that are no more are kept", n)
	}
}

// TestRouteLeavesSite: the quantiles of a site one of whose routes is taken away are of the requests of late.
func TestRouteLeavesSite(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	m := NewMaker("node", 1, Book{}, now)
	m.Make(now, Told{Edge: routed([]string{"1"}, map[string]uint64{"a": 5, "b": 3})})
	c := routed([]string{"1"}, map[string]uint64{"a": 5})
	for range 100 {
		c.Routes[0].Requests++
		c.Routes[0].Time.Observe(time.Second)
	}
	f := m.Make(now.Add(time.Second), Told{Edge: c}).Sites[0].Flow
	if f.P50 < 800 || f.P50 > 1200 || f.P99 < 800 || f.P99 > 1200 {
		t.Errorf("p50 %v, p99 %v ms, want those of 100 requests of a second", f.P50, f.P99)
	}
}

// TestSilentEdge: what an edge has counted while nobody could ask it is spread over that time: no rate is one that never was.
func TestSilentEdge(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	m := NewMaker("node", 1, Book{}, now)
	m.Make(now, Told{Edge: said([]string{"a"}, 0)})
	for i := range 9 {
		m.Make(now.Add(time.Duration(i+1)*time.Second), Told{})
	}
	p := m.Make(now.Add(10*time.Second), Told{Edge: said([]string{"a"}, 1000)})
	if p.Total.Rate != 100 || p.Total.RateMax != 100 || p.Routes[0].Rate != 100 || p.Pools[0].Servers[0].RateMax != 100 {
		t.Errorf("a rate of %v, at most %v; of the route %v, of the server at most %v; want 100 requests a second", p.Total.Rate, p.Total.RateMax, p.Routes[0].Rate, p.Pools[0].Servers[0].RateMax)
	}
}

// TestClockSetBack: what is of late is so, though the clock was set back by an hour.
func TestClockSetBack(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	m := NewMaker("node", 1, Book{}, now)
	c := said([]string{"a"}, 0)
	step := func(took time.Duration) *Picture {
		for range 100 {
			c.Routes[0].Requests++
			c.Routes[0].Time.Observe(took)
			c.Pools[0].Queue.Observe(took)
		}
		word := c.Clone()
		now = now.Add(time.Second)
		return m.Make(now, Told{Edge: &word})
	}
	step(time.Second)
	step(time.Second)
	now = now.Add(-time.Hour)
	var p *Picture
	for range 25 {
		p = step(10 * time.Millisecond)
	}
	if p.Routes[0].P95 > 20 || p.Pools[0].QueueP95 > 20 {
		t.Errorf("the p95 is %v ms, in the queue %v ms, want about 10 ms", p.Routes[0].P95, p.Pools[0].QueueP95)
	}
}

// TestQueueTime: how long those wait who are the first to is told with the first ten seconds.
func TestQueueTime(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	m := NewMaker("node", 1, Book{}, now)
	m.Make(now, Told{Edge: said([]string{"a"}, 0)})
	c := said([]string{"a"}, 0)
	c.Pools[0].Queue.Observe(time.Second)
	m.Make(now.Add(5*time.Second), Told{Edge: c})
	if p := m.Make(now.Add(10*time.Second), Told{Edge: c}); p.Pools[0].QueueP95 < 800 {
		t.Errorf("the p95 of the queue is %v ms, want about a second", p.Pools[0].QueueP95)
	}
}
