package picture

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/journal"
)

// said is what an edge says that has answered so many requests.
func said(epochs []string, requests uint64) *api.Counters {
	c := &api.Counters{Epochs: epochs, PID: 7, Counts: api.Counts{Requests: requests}}
	r := api.RouteCounters{Site: "a.example", Route: "all", Requests: requests}
	r.Status[2] = requests
	for range min(requests, 10) {
		r.Time.Observe(time.Millisecond)
	}
	c.Routes = []api.RouteCounters{r}
	m := api.ServerCounters{ServerStatus: api.ServerStatus{Name: "one", State: "ready", Requests: requests}}
	c.Pools = []api.PoolCounters{{PoolStatus: api.PoolStatus{Name: "web"}, Members: []api.ServerCounters{m}, Sum: m}}
	return c
}

// TestTotals: whatever becomes of edges, nothing is counted twice, and what was told is not lost.
func TestTotals(t *testing.T) {
	for _, c := range []struct {
		name string
		says []*api.Counters
		want []uint64
	}{
		{"one edge", []*api.Counters{said([]string{"a"}, 1), said([]string{"a"}, 5)}, []uint64{1, 5}},
		{"killed", []*api.Counters{said([]string{"a"}, 5), said([]string{"b"}, 0), said([]string{"b"}, 2)}, []uint64{5, 5, 7}},
		{"killed twice", []*api.Counters{said([]string{"a"}, 5), said([]string{"b"}, 1), said([]string{"c"}, 1)}, []uint64{5, 6, 7}},
		{"followed, and told at once", []*api.Counters{said([]string{"a"}, 5), said([]string{"b", "a"}, 6), said([]string{"b", "a"}, 9)}, []uint64{5, 6, 9}},
		{"followed, and told later", []*api.Counters{said([]string{"a"}, 5), said([]string{"b"}, 1), said([]string{"b", "a"}, 7)}, []uint64{5, 6, 7}},
		{"one that followed is killed", []*api.Counters{said([]string{"a"}, 5), said([]string{"b", "a"}, 7), said([]string{"c"}, 1)}, []uint64{5, 7, 8}},
		{"it does not answer for a while", []*api.Counters{said([]string{"a"}, 5), nil, said([]string{"a"}, 6)}, []uint64{5, 5, 6}},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := time.Unix(1_800_000_000, 0)
			m := NewMaker("node", 1, Book{}, now)
			for i, s := range c.says {
				p := m.Make(now.Add(time.Duration(i)*time.Second), Told{Edge: s})
				if p.Total.Requests != c.want[i] || p.Routes[0].Requests != c.want[i] || p.Sites[0].Status[2] != c.want[i] ||
					p.Pools[0].Requests != c.want[i] || p.Pools[0].Servers[0].Requests != c.want[i] {
					t.Errorf("after %d answers: total %d, route %d, site %d, pool %d, server %d; want %d", i+1, p.Total.Requests, p.Routes[0].Requests, p.Sites[0].Status[2],
						p.Pools[0].Requests, p.Pools[0].Servers[0].Requests, c.want[i])
				}
				if p.Edge.Up != (s != nil) {
					t.Errorf("after %d answers the edge is up: %v", i+1, p.Edge.Up)
				}
			}
		})
	}
}

// TestManyDeaths: a thousand edges that were killed leave no more than a few last words, and every request counts.
func TestManyDeaths(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	m := NewMaker("node", 1, Book{}, now)
	var p *Picture
	for i := range 1000 {
		p = m.Make(now.Add(time.Duration(i)*time.Second), Told{Edge: said([]string{time.Duration(i).String()}, 3)})
	}
	if p.Total.Requests != 3000 || p.Pools[0].Servers[0].Requests != 3000 {
		t.Errorf("counted %d requests and %d of the server, want 3000", p.Total.Requests, p.Pools[0].Servers[0].Requests)
	}
	if n := len(m.Book().Gone); n > manyGone {
		t.Errorf("%d last words are kept", n)
	}
}

// TestForgotten: workers that are no more are forgotten, and what they did stays with the pool.
func TestForgotten(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	m := NewMaker("node", 1, Book{}, now)
	for i := range 100 {
		c := said([]string{time.Duration(i).String()}, 1)
		c.Pools[0].Members[0].Name = time.Duration(i).String()
		m.Make(now.Add(time.Duration(i)*time.Second), Told{Edge: c})
	}
	if n := len(m.servers); n > 1 {
		t.Errorf("%d gauges of servers are kept", n)
	}
	for _, g := range m.Book().Gone[:1] {
		if n := len(g.Pools[0].Members); n > 1 {
			t.Errorf("the oldest last words name %d workers", n)
		}
	}
	p := m.Make(now.Add(time.Hour), Told{})
	if p.Pools[0].Requests != 100 {
		t.Errorf("the pool has %d requests, want 100", p.Pools[0].Requests)
	}
}

// TestNextDesk: it goes on counting where the one before it stopped, whether the edge is the same or not.
func TestNextDesk(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	m := NewMaker("node", 1, Book{}, now)
	m.Make(now, Told{Edge: said([]string{"a"}, 5)})
	m.Make(now, Told{Edge: said([]string{"b"}, 2)})
	text, err := json.Marshal(m.Book())
	if err != nil {
		t.Fatal(err)
	}
	for next, want := range map[string]uint64{"b": 9, "c": 11} {
		var book Book
		if err := json.Unmarshal(text, &book); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m.Book(), book); diff != "" {
			t.Fatalf("the book came back otherwise (-was +is):\n%s", diff)
		}
		p := NewMaker("node", 2, book, now.Add(time.Hour)).Make(now.Add(time.Hour), Told{Edge: said([]string{next}, 4)})
		if p.Total.Requests != want || !p.Counted.Equal(now) {
			t.Errorf("with edge %s: %d requests since %v, want %d since %v", next, p.Total.Requests, p.Counted, want, now)
		}
	}
}

// TestBookStays: a book that was asked for does not change while pictures go on, so that it can be written meanwhile.
func TestBookStays(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	m := NewMaker("node", 1, Book{}, now)
	var books []Book
	var texts [][]byte
	for i := range 3 * manyGone {
		m.Make(now, Told{Edge: said([]string{fmt.Sprint(i)}, 5)})
		text, err := json.Marshal(m.Book())
		if err != nil {
			t.Fatal(err)
		}
		books, texts = append(books, m.Book()), append(texts, text)
	}
	m.Make(now, Told{Edge: said([]string{"last", fmt.Sprint(3*manyGone - 2), fmt.Sprint(3*manyGone - 1)}, 5)})
	for i := range books {
		if text, err := json.Marshal(books[i]); err != nil || !bytes.Equal(text, texts[i]) {
			t.Errorf("the book after edge %d has changed: %v\nis  %s\nwas %s", i, err, text, texts[i])
		}
	}
}

// TestRates: they are of the last second, quantiles and hit ratios of the last ten.
func TestRates(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	m := NewMaker("node", 1, Book{}, now)
	c := said([]string{"a"}, 0)
	step := func(requests int, took time.Duration, hits, misses uint64) Flow {
		r := &c.Routes[0]
		r.Requests += uint64(requests)
		r.Status[2] += uint64(requests)
		r.Out += uint64(requests) * 100
		r.Cache[journal.Hit] += hits
		r.Cache[journal.Miss] += misses
		for range requests {
			r.Time.Observe(took)
		}
		word := c.Clone()
		now = now.Add(time.Second)
		return m.Make(now, Told{Edge: &word}).Routes[0].Flow
	}
	if f := step(1000, time.Second, 0, 0); f.Rate != 0 || f.P95 != 0 || f.HitRatio != -1 {
		t.Errorf("the first picture has rates: %+v", f)
	}
	if f := step(100, 10*time.Millisecond, 30, 10); f.Rate != 100 || f.OutRate != 10_000 || f.P95 < 9 || f.P95 > 11 || f.HitRatio != 0.75 {
		t.Errorf("rate %v, out %v, p95 %v, hit ratio %v", f.Rate, f.OutRate, f.P95, f.HitRatio)
	}
	for range 20 {
		step(0, 0, 0, 0)
	}
	f := step(10, time.Second, 0, 10)
	if f.Rate != 10 || f.RateMax != 100 || f.P50 < 900 || f.P50 > 1100 || f.HitRatio != 0 {
		t.Errorf("later: rate %v of at most %v, p50 %v, hit ratio %v", f.Rate, f.RateMax, f.P50, f.HitRatio)
	}
}

// TestErrors: what clients were told by a status of 500 and above, and what got no answer though the client was there.
func TestErrors(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	m := NewMaker("node", 1, Book{}, now)
	m.Make(now, Told{Edge: said([]string{"a"}, 0)})
	c := said([]string{"a"}, 20)
	r := &c.Routes[0]
	r.Status = [6]uint64{5, 0, 10, 0, 0, 5}
	r.Causes = map[string]uint64{"client_gone": 3}
	if f := m.Make(now.Add(time.Second), Told{Edge: c}).Routes[0].Flow; f.Errors != 7 {
		t.Errorf("%v errors a second, want 7", f.Errors)
	}
}

// TestPoolStates: a pool is up, degraded or down.
func TestPoolStates(t *testing.T) {
	member := func(state string, backup bool) api.ServerCounters {
		return api.ServerCounters{ServerStatus: api.ServerStatus{Name: state, State: state}, Backup: backup}
	}
	for _, c := range []struct {
		members []api.ServerCounters
		want    string
	}{
		{nil, "down"},
		{[]api.ServerCounters{member("ready", false)}, "up"},
		{[]api.ServerCounters{member("ready", false), member("down", false)}, "degraded"},
		{[]api.ServerCounters{member("ready", false), member("leaving", false)}, "up"},
		{[]api.ServerCounters{member("ready", false), member("down", true)}, "up"},
		{[]api.ServerCounters{member("down", false), member("ready", true)}, "degraded"},
		{[]api.ServerCounters{member("maint", false), member("down", false)}, "down"},
	} {
		m := NewMaker("node", 1, Book{}, time.Unix(0, 0))
		p := m.Make(time.Unix(1, 0), Told{Edge: &api.Counters{Epochs: []string{"a"}, Pools: []api.PoolCounters{{Members: c.members}}}})
		if p.Pools[0].State != c.want {
			t.Errorf("%v is %s, want %s", c.members, p.Pools[0].State, c.want)
		}
	}
}

// TestKeeperAway: what it said stays.
func TestKeeperAway(t *testing.T) {
	m := NewMaker("node", 1, Book{}, time.Unix(0, 0))
	m.Make(time.Unix(1, 0), Told{Keeper: &api.Status{Version: "1", PID: 3, Apps: []api.AppStatus{{Name: "web", Workers: []api.WorkerStatus{{Name: "web/1.1", State: "live"}}}}}})
	p := m.Make(time.Unix(2, 0), Told{})
	if p.Version != "1" || p.KeeperPID != 3 || len(p.Apps) != 1 || p.Apps[0].Live != 1 || p.Problem == "" {
		t.Errorf("got %+v", p)
	}
}

// TestWhyDown: why a server is down says how its check ended, not only that it did.
func TestWhyDown(t *testing.T) {
	for _, c := range []struct{ why, check, want string }{
		{"check fails", "connection refused", "check fails: connection refused"},
		{"check fails, drained by hand", "no answer within 1s", "check fails: no answer within 1s, drained by hand"},
		{"drained by hand", "200 OK", "drained by hand"},
		{"check fails", "", "check fails"},
		{"", "200 OK", ""},
	} {
		m := NewMaker("node", 1, Book{}, time.Unix(0, 0))
		p := m.Make(time.Unix(1, 0), Told{Edge: &api.Counters{Epochs: []string{"a"}, Pools: []api.PoolCounters{{Members: []api.ServerCounters{
			{ServerStatus: api.ServerStatus{Name: "a", State: "down", Why: c.why, Check: c.check}}}}}}})
		if got := p.Pools[0].Servers[0].Why; got != c.want {
			t.Errorf("%q with %q: %q, want %q", c.why, c.check, got, c.want)
		}
	}
}
