package picture

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/api"
)

// large is what an edge says of 100 pools with 10 servers each and 1,000 routes.
func large() *api.Counters {
	c := &api.Counters{Epochs: []string{"a"}, PID: 7}
	for i := range 100 {
		p := api.PoolCounters{PoolStatus: api.PoolStatus{Name: fmt.Sprint("pool-", i)}}
		for j := range 10 {
			s := api.ServerCounters{ServerStatus: api.ServerStatus{Name: fmt.Sprintf("10.0.%d.%d:8080", i, j), Address: fmt.Sprintf("10.0.%d.%d:8080", i, j), State: "ready", Check: "HTTP 200 in 3 ms", Requests: uint64(i * j)}}
			for k := range 100 {
				s.FirstByte.Observe(time.Duration(k*i*j+1) * time.Microsecond)
			}
			p.Members = append(p.Members, s)
			p.Sum = s
		}
		c.Pools = append(c.Pools, p)
	}
	for i := range 1000 {
		r := api.RouteCounters{Site: fmt.Sprintf("site-%d.example", i/10), Route: fmt.Sprint("route-", i), Pool: fmt.Sprint("pool-", i/10), Requests: uint64(i), Causes: map[string]uint64{"queue_timeout": 1}}
		for k := range 100 {
			r.Time.Observe(time.Duration(k*i+1) * time.Microsecond)
		}
		c.Routes = append(c.Routes, r)
	}
	return c
}

// BenchmarkMake is what a picture of a large site costs, once a second.
func BenchmarkMake(b *testing.B) {
	c := large()
	now := time.Unix(1_800_000_000, 0)
	m := NewMaker("node", 1, Book{}, now)
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Second)
		m.Make(now, Told{Edge: c})
	}
}

// BenchmarkRead is what reading the edge's answer costs.
func BenchmarkRead(b *testing.B) {
	text, err := json.Marshal(large())
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		var c api.Counters
		if err := json.Unmarshal(text, &c); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWrite is what it costs to write a picture for pages, once a second when one is open.
func BenchmarkWrite(b *testing.B) {
	m := NewMaker("node", 1, Book{}, time.Unix(0, 0))
	p := m.Make(time.Unix(1, 0), Told{Edge: large()})
	b.ReportAllocs()
	for b.Loop() {
		text, err := json.Marshal(p)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(text)))
	}
}
