package route

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/config"
)

func TestRoutesOfURL(t *testing.T) {
	beta := named1("beta", "*")
	office := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	tb := table(t, site("a.test",
		pathMatch("/static/*"),
		&config.Match{Method: []string{"POST"}},
		&config.Match{Cookie: beta, Path: paths("/p")},
		&config.Match{Query: named1("q", "1")},
		&config.Match{Not: &config.Match{Path: paths("/only")}, Client: office},
		&config.Match{Not: &config.Match{Method: []string{"POST"}}, Path: paths("/get")},
		&config.Match{Any: []*config.Match{{Header: beta}, {Path: paths("/any")}}},
		&config.Match{All: []*config.Match{{Header: beta}, {Path: paths("/all")}}},
		nil,
		pathMatch("/never"),
	))
	for _, c := range []struct{ host, target, want string }{
		{"a.test", "/static/x", "1"},
		{"a.test", "/p", "3 5 7 9"},
		{"a.test", "/%70?q=1", "3 4"},
		{"a.test", "/only", "7 9"},
		{"a.test", "/get", "5 6"},
		{"a.test", "/any", "5 7"},
		{"a.test", "/all", "5 7 8 9"},
		{"a.test", "/never", "5 7 9"},
		{"b.test", "/", "no site"},
	} {
		s, routes := tb.OfURL(request("GET", c.host, c.target))
		var got []string
		for _, r := range routes {
			_, number, _ := strings.Cut(r.Name, "#")
			got = append(got, number)
		}
		if s == nil {
			got = []string{"no site"}
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%s%s: routes %s, want %s", c.host, c.target, text, c.want)
		}
	}
}

// TestRoutesOfURLHaveEachThatAnswers: whatever route Find returns for a GET is one of them.
func TestRoutesOfURLHaveEachThatAnswers(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 400 {
		var matches []*config.Match
		for range 1 + rng.IntN(8) {
			matches = append(matches, randomMatch(rng))
		}
		tb := table(t, site("a.test", matches...))
		for range 20 {
			var fields []string
			if rng.IntN(2) == 0 {
				fields = []string{"X-A: 12"}
			}
			x := request("GET", "a.test", randomPath(rng), fields...)
			_, want := tb.Find(x)
			if _, all := tb.OfURL(x); want != nil && !slices.Contains(all, want) {
				t.Fatalf("%s takes %s, which is none of %d", x.Req.Path, want.Name, len(all))
			}
		}
	}
}
