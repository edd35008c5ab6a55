package pool

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/config"
)

// given is a pool of servers as configured.
func given(servers ...config.Server) *config.Pool {
	p := fixed("a", 0)
	p.Servers = servers
	return p
}

// share takes n places, gives each back, and returns how often each server was it.
func share(p *Pool, n int) map[string]int {
	got := map[string]int{}
	for range n {
		var turn Turn
		if s := take(p, &turn); s != nil {
			got[s.Name()]++
			leave(&turn)
		} else {
			got["none"]++
		}
	}
	return got
}

func wantShare(t *testing.T, p *Pool, what string, want map[string]int) {
	t.Helper()
	n := 0
	for _, k := range want {
		n += k
	}
	got := share(p, n)
	for name, k := range want {
		if d := got[name] - k; d < -k/10-1 || d > k/10+1 {
			t.Errorf("%s: %v, want %v", what, got, want)
			return
		}
	}
}

func server(t testing.TB, p *Pool, name string) *Server {
	t.Helper()
	for _, s := range p.c.view.Load().servers {
		if s.name == name {
			return s
		}
	}
	t.Fatalf("there is no server %s", name)
	return nil
}

// down closes a server as a failed connect does.
func down(s *Server) {
	s.core.mu.Lock()
	defer s.core.mu.Unlock()
	s.core.bar(s, rest)
}

func up(s *Server) { s.core.recovered(s) }

const a, b, c, d = "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80"

func TestBackupServers(t *testing.T) {
	s := build(t, pools(given(config.Server{Address: a, Weight: 1}, config.Server{Address: b, Weight: 1},
		config.Server{Address: c, Weight: 1, Backup: true}, config.Server{Address: d, Weight: 3, Backup: true})), Env{}, nil)
	p := s.Pool("a")
	wantShare(t, p, "all open", map[string]int{a: 50, b: 50})
	down(server(t, p, a))
	wantShare(t, p, "one down", map[string]int{b: 100})
	down(server(t, p, b))
	wantShare(t, p, "both down", map[string]int{c: 25, d: 75})
	down(server(t, p, c))
	down(server(t, p, d))
	wantShare(t, p, "all down: rather try one", map[string]int{a: 50, b: 50})
	up(server(t, p, b))
	wantShare(t, p, "one up", map[string]int{b: 100})
}

// A backup is not used because all others are full, and a place that comes free at one goes to nobody who waits for those.
func TestBackupIsNotForCrowds(t *testing.T) {
	cfg := given(config.Server{Address: a, Weight: 1}, config.Server{Address: b, Weight: 1, Backup: true})
	cfg.MaxConn = 1
	p := build(t, pools(cfg), Env{}, nil).Pool("a")
	var first, second, third Turn
	down(server(t, p, a))
	if take(p, &first) != server(t, p, b) {
		t.Fatal("the backup was not used")
	}
	up(server(t, p, a))
	if take(p, &second) != server(t, p, a) {
		t.Fatal("the server was not used")
	}
	if s := take(p, &third); s != nil {
		t.Fatalf("%s was used while another was open and full", s.name)
	}
	p.c.mu.Lock()
	p.c.link(&third)
	p.c.mu.Unlock()
	leave(&first)
	if third.granted.Load() {
		t.Error("a place at the backup was granted while another was open")
	}
	p.c.mu.Lock()
	p.c.unlink(&third)
	p.c.mu.Unlock()
	leave(&second)
}

func TestZones(t *testing.T) {
	cfg := given(config.Server{Address: a, Weight: 2, Zone: "here"}, config.Server{Address: b, Weight: 1, Zone: "here"},
		config.Server{Address: c, Weight: 1, Zone: "there"}, config.Server{Address: d, Weight: 2})
	cfg.Zone = "here"
	p := build(t, pools(cfg), Env{}, nil).Pool("a")
	wantShare(t, p, "all open", map[string]int{a: 200, b: 100})
	down(server(t, p, b))
	wantShare(t, p, "two thirds open", map[string]int{a: 100})
	up(server(t, p, b))
	down(server(t, p, a))
	wantShare(t, p, "one third open", map[string]int{b: 100, c: 100, d: 200})
	up(server(t, p, a))
	wantShare(t, p, "all open again", map[string]int{a: 200, b: 100})
	var turns [2]Turn
	v := *p.c.view.Load()
	v.limit = 1
	p.c.view.Store(&v)
	take(p, &turns[0])
	take(p, &turns[1])
	wantShare(t, p, "those here are full", map[string]int{c: 100, d: 200})
	leave(&turns[0])
	leave(&turns[1])
}

func TestSetShare(t *testing.T) {
	for _, balance := range []string{"round_robin", "random_two", "uri_hash"} {
		t.Run(balance, func(t *testing.T) {
			cfg := given(config.Server{Address: a, Weight: 1}, config.Server{Address: b, Weight: 1})
			cfg.Balance = balance
			p := build(t, pools(cfg), Env{}, nil).Pool("a")
			measure := func(thousandths, want int) {
				t.Helper()
				server(t, p, a).setShare(thousandths)
				got := 0
				for i := range 10000 {
					var turn Turn
					turn.Key(uint64(i) * 0x9E3779B97F4A7C15)
					if take(p, &turn).Name() == a {
						got++
					}
					leave(&turn)
				}
				if got < want-want/5 || got > want+want/5 {
					t.Errorf("with a share of %d it got %d of 10000, want about %d", thousandths, got, want)
				}
			}
			measure(1000, 5000)
			measure(500, 3333)
			measure(100, 909)
			measure(0, 0)
			measure(2000, 6667)
			measure(1000, 5000)
		})
	}
}

// What nobody has a weight for gets no request, and says so.
func TestNoWeight(t *testing.T) {
	s := build(t, pools(given(config.Server{Address: a, Weight: 1}, config.Server{Address: b})), Env{}, nil)
	p := s.Pool("a")
	wantShare(t, p, "weight 0", map[string]int{a: 100})
	wantNames(t, s, "a", a+" ready 0", b+" draining 0")
	down(server(t, p, a))
	wantShare(t, p, "the other is down", map[string]int{a: 100})
	none, three := 0, 3
	s.SetHands([]api.Hand{{Pool: "a", Server: a, Weight: &none}})
	wantShare(t, p, "nobody has a weight", map[string]int{"none": 10})
	next := build(t, pools(given(config.Server{Address: a, Weight: 1}, config.Server{Address: b, Weight: 1})), Env{}, s)
	s.Retire(next)
	wantShare(t, next.Pool("a"), "a weight by reload", map[string]int{b: 100})
	next.SetHands(nil)
	up(server(t, next.Pool("a"), a))
	wantShare(t, next.Pool("a"), "a weight again", map[string]int{a: 50, b: 50})
	last := build(t, pools(given(config.Server{Address: a, Weight: 1}, config.Server{Address: b})), Env{}, next)
	next.Retire(last)
	wantShare(t, last.Pool("a"), "none by reload", map[string]int{a: 100})
	for _, balance := range []string{"round_robin", "least_conn", "random_two", "uri_hash"} {
		cfg := given(config.Server{Address: a, Weight: 1}, config.Server{Address: b})
		cfg.Balance = balance
		by := build(t, pools(cfg), Env{}, nil)
		by.SetHands([]api.Hand{{Pool: "a", Server: b, Weight: &three}})
		if got := keyedShare(by.Pool("a"), 1000); got[b] < 650 || got[b] > 850 {
			t.Errorf("%s: with a weight of 3 by hand it got %v", balance, got)
		}
		by.SetHands(nil)
		if got := keyedShare(by.Pool("a"), 1000); got[a] != 1000 {
			t.Errorf("%s: the weight was taken back: %v", balance, got)
		}
	}
}

// keyedShare is share with all places held and a key for each request.
func keyedShare(p *Pool, n int) map[string]int {
	got := map[string]int{}
	turns := make([]Turn, n)
	for i := range turns {
		turns[i].Key(uint64(i) * 0x9E3779B97F4A7C15)
		got[take(p, &turns[i]).Name()]++
	}
	for i := range turns {
		leave(&turns[i])
	}
	return got
}

// A session stays where it is while that server may keep it, and waits for a place there.
func TestStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := fixed("a", 1, a, b)
		p := build(t, pools(cfg), Env{}, nil).Pool("a")
		home := server(t, p, b)
		stays := func(want *Server, moved bool) {
			t.Helper()
			var turn Turn
			turn.Stay(home)
			got := take(p, &turn)
			if got != want || turn.Moved() != moved {
				t.Errorf("at %v, moved %v; want %v, %v", got, turn.Moved(), want, moved)
			}
			if got != nil {
				leave(&turn)
			}
		}
		stays(home, false)
		stays(home, false)
		var other Turn
		other.Stay(home)
		take(p, &other)
		stays(nil, false) // full
		leave(&other)
		home.core.mu.Lock()
		home.core.bar(home, drain)
		home.core.mu.Unlock()
		stays(home, false)
		wantShare(t, p, "it drains", map[string]int{a: 10})
		down(home)
		stays(server(t, p, a), true)
		up(home)
		home.core.mu.Lock()
		home.core.bar(home, maint)
		home.core.mu.Unlock()
		stays(server(t, p, a), true)
		home.core.mu.Lock()
		home.core.unbar(home, maint|drain)
		home.core.mu.Unlock()
		stays(home, false)
		// One that failed this request is not asked again.
		var turn Turn
		turn.Stay(home)
		take(p, &turn)
		turn.remember(home)
		leave(&turn)
		if got := take(p, &turn); got != server(t, p, a) || !turn.Moved() {
			t.Errorf("after a failure at %v, moved %v", got, turn.Moved())
		}
		leave(&turn)
		time.Sleep(time.Second)
	})
}
