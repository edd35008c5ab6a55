package pool

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/config"
)

func shown(s *Set, pool string) string {
	var out []string
	for _, p := range s.Status() {
		if p.Name != pool {
			continue
		}
		for _, sv := range p.Servers {
			out = append(out, sv.Name+" "+sv.State)
		}
	}
	return strings.Join(out, ", ")
}

func TestHands(t *testing.T) {
	cfg := fixed("web", 0, "10.0.0.1:80", "10.0.0.2:80", "app:80")
	e := Env{Resolve: func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("10.1.0.2")}, nil
	}}
	s := build(t, pools(cfg, fixed("other", 0, "10.0.0.1:80")), e, nil)
	three := 3
	hands := []api.Hand{
		{Pool: "web", Server: "10.0.0.1:80", State: "drain", By: "ann", Reason: "new disk"},
		{Pool: "web", Server: "app:80", State: "maint", By: "bob"},
		{Pool: "web", Server: "10.0.0.9:80", Listed: "added", Weight: &three},
		{Pool: "web", Server: "10.0.0.2:80", Listed: "removed"},
		{Pool: "gone", Server: "10.0.0.2:80", State: "maint"},
	}
	s.SetHands(hands)
	const want = "10.0.0.1:80 draining, app:80/10.1.0.1 maint, app:80/10.1.0.2 maint, 10.0.0.9:80 ready"
	check := func(s *Set) {
		t.Helper()
		if got := shown(s, "web"); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if got := shown(s, "other"); got != "10.0.0.1:80 ready" {
			t.Error("another pool's: ", got)
		}
	}
	check(s)
	if st := stateOf(s, "web", 0); st.Why != "drained by hand (ann: new disk)" {
		t.Errorf("%+v", st)
	}
	// a reload with the same state of the keeper, and one that is told nothing
	for range 2 {
		same := *cfg
		next := build(t, pools(&same, fixed("other", 0, "10.0.0.1:80")), e, s)
		s.Retire(next)
		check(next)
		s = next
	}
	// a reload that is told anew before it is in use
	same := *cfg
	next := build(t, pools(&same, fixed("other", 0, "10.0.0.1:80")), e, s)
	next.SetHands(hands[:1])
	s.Retire(next)
	if got := shown(next, "web"); got != "10.0.0.1:80 draining, 10.0.0.2:80 ready, app:80/10.1.0.1 ready, app:80/10.1.0.2 ready" {
		t.Error(got)
	}
	next.SetHands(nil)
	if got := shown(next, "web"); strings.Contains(got, "draining") {
		t.Error(got)
	}
}

func TestWorkersByHand(t *testing.T) {
	s := build(t, pools(ofApp("site", "web", 0)), Env{}, nil)
	s.SetWorkers([]api.Worker{worker("web/1.1", "ready"), worker("web/2", "ready")})
	name, err := s.Find(api.Intervention{Do: "drain", Pool: "site", Server: "1.1"})
	if err != nil || name != "web/1.1" {
		t.Fatal(name, err)
	}
	s.SetHands([]api.Hand{{Pool: "site", Server: name, State: "drain"}})
	if got := shown(s, "site"); got != "web/1.1 draining, web/2 ready" {
		t.Error(got)
	}
	// told of its workers before it is told of the hands, a Set that has retired another keeps both
	next := build(t, pools(ofApp("site", "web", 0)), Env{}, s)
	next.SetWorkers([]api.Worker{worker("web/1.1", "ready"), worker("web/2", "ready")})
	s.Retire(next)
	if got := shown(next, "site"); got != "web/1.1 draining, web/2 ready" {
		t.Error(got)
	}
}

func TestFind(t *testing.T) {
	e := Env{Resolve: func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("10.1.0.2")}, nil
	}}
	s := build(t, pools(fixed("web", 0, "10.0.0.1:80", "app:80"), ofApp("site", "site", 0)), e, nil)
	s.SetWorkers([]api.Worker{worker("site/1", "ready")})
	s.SetHands([]api.Hand{{Pool: "web", Server: "10.0.0.7:80", Listed: "added"}, {Pool: "web", Server: "10.0.0.1:80", Listed: "removed"}})
	for _, row := range []struct{ do, pool, server, want, err string }{
		{"drain", "web", "10.0.0.7:80", "10.0.0.7:80", ""},
		{"drain", "web", "app:80", "app:80", ""},
		{"maint", "web", "app:80/10.1.0.2", "app:80/10.1.0.2", ""},
		{"ready", "site", "1", "site/1", ""},
		{"ready", "site", "site/1", "site/1", ""},
		{"drain", "wep", "x", "", `there is no pool "wep": there is web, site`},
		{"drain", "web", "app", "", `has no server "app": it has app:80/10.1.0.1, app:80/10.1.0.2, 10.0.0.7:80`},
		{"drain", "web", "10.0.0.9:80", "", "has no server"},
		{"drain", "web", "", "", "has no server"},
		{"weight", "site", "7", "", "has no server"},
		{"add", "web", "10.0.0.8:80", "10.0.0.8:80", ""},
		{"add", "web", "unix:/run/x", "unix:/run/x", ""},
		{"add", "web", "10.0.0.7:80", "", "has the server 10.0.0.7:80 already"},
		{"add", "web", "10.0.0.1:80", "10.0.0.1:80", ""},
		{"add", "web", "db:80", "", "needs an IP address"},
		{"add", "web", "nonsense", "", "is no address"},
		{"add", "site", "10.0.0.8:80", "", "are the workers of the app"},
		{"remove", "web", "APP:80", "app:80", ""},
		{"remove", "web", "10.0.0.1:80", "", "has no server"},
		{"remove", "site", "site/1", "", "are the workers of the app"},
	} {
		got, err := s.Find(api.Intervention{Do: row.do, Pool: row.pool, Server: row.server})
		if got != row.want || (err == nil) != (row.err == "") || err != nil && !strings.Contains(err.Error(), row.err) {
			t.Errorf("%s %s/%s: %q, %v", row.do, row.pool, row.server, got, err)
		}
	}
}

// "ready" ends what else a server waits for.
func TestReadyByHandEndsEjection(t *testing.T) {
	s, sv := ejecting(t, 2, config.Eject{After: 1, For: 1 << 40, AtMost: 500})
	ends(sv[0], TimedOut)
	fail(sv[1])
	for i := range sv {
		if st := stateOf(s, "a", i); st.State != "down" {
			t.Fatalf("%+v", st)
		}
		if _, err := s.Find(api.Intervention{Do: "ready", Pool: "a", Server: sv[i].name}); err != nil {
			t.Fatal(err)
		}
		if st := stateOf(s, "a", i); st.State != "ready" {
			t.Errorf("%+v", st)
		}
	}
}

func TestSharesByHand(t *testing.T) {
	cfg := fixed("web", 0, "10.0.0.1:80", "10.0.0.2:80")
	cfg.Servers[0].Weight = 4
	s := build(t, pools(cfg), Env{}, nil)
	for weight, share := range map[int]int{1: 250, 0: 0, 8: 2000, 4: 1000} {
		s.SetHands([]api.Hand{{Pool: "web", Server: "10.0.0.1:80", Weight: &weight}})
		if st := stateOf(s, "web", 0); st.Share == nil || *st.Share != share || s.Pool("web").c.view.Load().servers[0].places.Share() != share {
			t.Errorf("weight %d: %+v", weight, st)
		}
	}
}
