package route

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/exchange"
)

// linear is what find means: the first route in the order of the file whose conditions hold.
func linear(s *Site, x *exchange.Exchange) *Route {
	p := canonical(nil, x.Req.Path)
	for _, r := range s.Routes {
		if r.match.holds(x, p) {
			return r
		}
	}
	return nil
}

func randomPath(rng *rand.Rand) string {
	var b strings.Builder
	for range 1 + rng.IntN(4) {
		b.WriteString([]string{"/", "/a", "/b", "/a/b", "/%61", "/c"}[rng.IntN(6)])
	}
	return string(tidy(nil, []byte(b.String())))
}

func randomMatch(rng *rand.Rand) *config.Match {
	m := &config.Match{}
	for range rng.IntN(4) {
		p := randomPath(rng)
		switch rng.IntN(5) {
		case 0:
			p += "*?*"
		case 1, 2:
			p = strings.TrimSuffix(p, "/") + "/*"
		}
		m.Path = append(m.Path, paths(p)...)
	}
	if rng.IntN(3) == 0 {
		m.Method = []string{[]string{"GET", "POST"}[rng.IntN(2)]}
	}
	if rng.IntN(4) == 0 {
		m.Header = named1("X-A", []string{"*", "1", "*2"}[rng.IntN(3)])
	}
	if rng.IntN(6) == 0 {
		m.Not = &config.Match{Path: paths(randomPath(rng))}
	}
	return m
}

func TestIndexFindsWhatALinearSearchFinds(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 400 {
		var matches []*config.Match
		for range rng.IntN(25) {
			matches = append(matches, randomMatch(rng))
		}
		tab := table(t, site("*", matches...))
		for range 60 {
			x := request([]string{"GET", "POST", "HEAD"}[rng.IntN(3)], "h", randomPath(rng), fmt.Sprintf("X-A: %d", rng.IntN(4)))
			s, got := tab.Find(x)
			if want := linear(s, x); got != want {
				t.Fatalf("%s %s: route %v, want %v", x.Req.MethodText, x.Req.Path, got, want)
			}
		}
	}
}

// manyHosts is a table of n sites with a host and a wildcard each, and requests for some of them.
func manyHosts(t testing.TB, n int) (*Table, []*exchange.Exchange) {
	cfg := &config.Config{}
	for i := range n {
		cfg.Sites = append(cfg.Sites, site(fmt.Sprintf("site%d.example.com *.site%d.example.com", i, i), pathMatch("/static/*"), nil))
	}
	tab, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var reqs []*exchange.Exchange
	for i := range 10 {
		k := i * n / 10
		reqs = append(reqs, request("GET", fmt.Sprintf("site%d.example.com", k), "/a/b"),
			request("GET", fmt.Sprintf("x.y.site%d.example.com", k), "/static/b"), request("GET", "nobody.example.org", "/"))
	}
	return tab, reqs
}

func TestCostDoesNotGrowWithHosts(t *testing.T) {
	few, fewReqs := manyHosts(t, 10)
	many, manyReqs := manyHosts(t, 100_000)
	measure := func(tab *Table, reqs []*exchange.Exchange) time.Duration {
		start := time.Now()
		for range 2000 {
			for _, x := range reqs {
				tab.Find(x)
			}
		}
		return time.Since(start)
	}
	var a, b []time.Duration
	for range 7 { // in turns, so that a busy machine is busy for both
		a = append(a, measure(few, fewReqs))
		b = append(b, measure(many, manyReqs))
	}
	slices.Sort(a)
	slices.Sort(b)
	ratio := float64(b[3]) / float64(a[3])
	t.Logf("10 hosts: %v, 100,000 hosts: %v a look-up, ratio %.2f", a[3]/60000, b[3]/60000, ratio)
	if ratio > 3 {
		t.Errorf("a look-up costs %.1f times as much with 100,000 hosts as with 10", ratio)
	}
	if n := testing.AllocsPerRun(10, func() { measure(many, manyReqs[:3]) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkFindHost(b *testing.B) {
	for _, n := range []int{10, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			tab, reqs := manyHosts(b, n)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				tab.Find(reqs[i])
				if i++; i == len(reqs) {
					i = 0
				}
			}
		})
	}
}

func BenchmarkFindRoute(b *testing.B) {
	for _, n := range []int{3, 10, 100, 1000} {
		var matches []*config.Match
		for i := range n - 1 {
			matches = append(matches, pathMatch(fmt.Sprintf("/section%d/*", i)))
		}
		tab := table(b, site("*", append(matches, nil)...))
		var reqs []*exchange.Exchange
		for i := range 10 {
			reqs = append(reqs, request("GET", "h", fmt.Sprintf("/section%d/photos/17?size=2", i*n/10)))
		}
		for _, how := range []string{"index", "linear"} {
			b.Run(fmt.Sprintf("%s/%d", how, n), func(b *testing.B) {
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					if how == "index" {
						tab.Find(reqs[i])
					} else {
						linearCanonical(tab.sites[0], reqs[i])
					}
					if i++; i == len(reqs) {
						i = 0
					}
				}
			})
		}
	}
}

func linearCanonical(s *Site, x *exchange.Exchange) *Route {
	for _, r := range s.Routes {
		if r.match.holds(x, x.Req.Path) {
			return r
		}
	}
	return nil
}
