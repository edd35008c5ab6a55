package pool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/config"
)

// The tests of this file need no loop: they take places as Pick does when one is free.

func fixed(name string, maxConn int, addresses ...string) *config.Pool {
	p := &config.Pool{Name: name, MaxConn: maxConn, Keep: 4, Balance: "round_robin", Queue: config.Queue{Size: 10, Timeout: time.Second}}
	for _, a := range addresses {
		p.Servers = append(p.Servers, config.Server{Address: a, Weight: 1})
	}
	return p
}

func ofApp(name, app string, maxConn int) *config.Pool {
	p := fixed(name, maxConn)
	p.App = app
	return p
}

func pools(ps ...*config.Pool) *config.Config { return &config.Config{Pools: ps} }

func build(t testing.TB, cfg *config.Config, e Env, old *Set) *Set {
	t.Helper()
	s, err := Build(cfg, e, old)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func worker(name, state string) api.Worker {
	app, _, _ := strings.Cut(name, "/")
	return api.Worker{App: app, Name: name, Address: "unix:/run/" + strings.ReplaceAll(name, "/", "-"), State: state}
}

// take takes a place as the fast half of Pick does.
func take(p *Pool, turn *Turn) *Server {
	s := p.c.view.Load().take(p.c.shared(), turn)
	turn.server = s
	return s
}

// leave gives it back, without the counts, which need a loop.
func leave(turn *Turn) { turn.server.giveBack(turn, OK) }

// names says what the status shows: name, state and requests under way.
func names(s *Set, pool string) (out []string) {
	for _, ps := range s.Status() {
		if ps.Name != pool {
			continue
		}
		for _, sv := range ps.Servers {
			out = append(out, fmt.Sprintf("%s %s %d", sv.Name, sv.State, sv.Active))
		}
	}
	return out
}

func wantNames(t *testing.T, s *Set, pool string, want ...string) {
	t.Helper()
	if d := cmp.Diff(want, names(s, pool)); d != "" {
		t.Errorf("servers of %s (-want +got):\n%s", pool, d)
	}
}

func TestParseAddress(t *testing.T) {
	tests := []struct{ in, want, err string }{
		{"10.0.0.1:80", "10.0.0.1:80", ""},
		{"[::1]:80", "[::1]:80", ""},
		{"[::ffff:10.0.0.1]:80", "10.0.0.1:80", ""},
		{"unix:/run/a b.sock", "/run/a b.sock", ""},
		{"app.internal:8080", "name app.internal 8080", ""},
		{"unix:", "", "write unix:/run/app.sock"},
		{"10.0.0.1", "", "write host:port or unix:/path"},
		{":80", "", "write host:port or unix:/path"},
		{"a:0", "", "from 1 to 65535"},
		{"a:65536", "", "from 1 to 65535"},
		{"a:http", "", "from 1 to 65535"},
		{"::1:80", "", "write host:port"},
	}
	for _, tt := range tests {
		a, err := parseAddress(tt.in)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) || !strings.Contains(err.Error(), fmt.Sprintf("%q", tt.in)) {
				t.Errorf("%q: error %v, want one with the address and %q", tt.in, err, tt.err)
			}
			continue
		}
		got := a.to.Unix
		if a.to.IP.IsValid() {
			got = a.to.IP.String()
		}
		if a.host != "" {
			got = fmt.Sprintf("name %s %d", a.host, a.port)
		}
		if err != nil || got != tt.want {
			t.Errorf("%q: %q, %v, want %q", tt.in, got, err, tt.want)
		}
	}
}

func TestBuildRefuses(t *testing.T) {
	odd := fixed("a", 0, "10.0.0.1:80")
	odd.Balance = "fastest"
	for _, cfg := range []*config.Config{
		pools(fixed("a", 0, "nowhere")),
		pools(fixed("a", 0, "10.0.0.1:80"), fixed("a", 0)),
		pools(odd),
	} {
		old := build(t, pools(fixed("a", 1, "10.0.0.1:80")), Env{}, nil)
		if s, err := Build(cfg, Env{}, old); err == nil || !strings.Contains(err.Error(), `"a"`) {
			t.Errorf("got %v, %v, want an error that names the pool", s, err)
		}
		wantNames(t, old, "a", "10.0.0.1:80 ready 0")
	}
}

func TestWorkersComeAndGo(t *testing.T) {
	s := build(t, pools(ofApp("web", "web", 1), ofApp("other", "other", 1)), Env{}, nil)
	p := s.Pool("web")
	var a, b Turn
	if sv := take(p, &a); sv != nil {
		t.Fatalf("without workers %s was picked", sv.Name())
	}
	s.SetWorkers([]api.Worker{worker("web/1", "ready"), worker("other/1", "ready")})
	if sv := take(p, &a); sv == nil || sv.Name() != "web/1" || sv.Address() != "unix:/run/web-1" {
		t.Fatalf("picked %v, want web/1", sv)
	}
	// its successor is there, it leaves
	s.SetWorkers([]api.Worker{worker("web/1", "leaving"), worker("web/1.2", "ready"), worker("other/1", "ready")})
	wantNames(t, s, "web", "web/1.2 ready 0", "web/1 leaving 1")
	wantNames(t, s, "other", "other/1 ready 0")
	if sv := take(p, &b); sv == nil || sv.Name() != "web/1.2" {
		t.Fatalf("picked %v, want web/1.2", sv)
	}
	if n := s.InFlight("web/1"); n != 1 {
		t.Errorf("%d requests at web/1, want 1", n)
	}
	// it left the list with a request under way
	s.SetWorkers([]api.Worker{worker("web/1.2", "ready")})
	wantNames(t, s, "web", "web/1.2 ready 1", "web/1 leaving 1")
	wantNames(t, s, "other")
	leave(&a)
	wantNames(t, s, "web", "web/1.2 ready 1")
	// a leaving one without requests is shown as long as it is listed
	s.SetWorkers([]api.Worker{worker("web/1.2", "ready"), worker("web/2", "leaving")})
	wantNames(t, s, "web", "web/1.2 ready 1", "web/2 leaving 0")
	// it stays after all
	s.SetWorkers([]api.Worker{worker("web/1.2", "ready"), worker("web/2", "ready")})
	wantNames(t, s, "web", "web/1.2 ready 1", "web/2 ready 0")
	leave(&b)
}

// Who still works with the list of servers of a moment ago gets no place at a worker that leaves.
func TestNoPlaceByAnOldView(t *testing.T) {
	s := build(t, pools(ofApp("web", "web", 1)), Env{}, nil)
	s.SetWorkers([]api.Worker{worker("web/1", "ready")})
	old := s.Pool("web").c.view.Load()
	s.SetWorkers([]api.Worker{worker("web/1", "leaving")})
	var a Turn
	if sv := old.take(s.Pool("web").c.shared(), &a); sv != nil {
		t.Errorf("%s was picked", sv.Name())
	}
}

func TestBadWorkerIsLeftOut(t *testing.T) {
	var out syncBuffer
	s := build(t, pools(ofApp("web", "web", 1)), Env{Log: slog.New(slog.NewTextHandler(&out, nil))}, nil)
	s.SetWorkers([]api.Worker{{App: "web", Name: "web/1", Address: "localhost:80", State: "ready"}, worker("web/2", "ready")})
	wantNames(t, s, "web", "web/2 ready 0")
	eventually(t, "the log to tell", func() bool { return strings.Contains(out.String(), "web/1") })
}

func TestWaitDrained(t *testing.T) {
	s := build(t, pools(ofApp("web", "web", 2), ofApp("also", "web", 2)), Env{}, nil)
	s.SetWorkers([]api.Worker{worker("web/1", "ready")})
	var a, b Turn
	take(s.Pool("web"), &a)
	take(s.Pool("also"), &b)
	if n := s.InFlight("web/1"); n != 2 {
		t.Errorf("%d requests, want 2: one in each pool", n)
	}
	s.SetWorkers([]api.Worker{worker("web/1", "leaving")})
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan int64)
	go func() { got <- s.WaitDrained(ctx, "web/1") }()
	cancel()
	if n := <-got; n != 2 {
		t.Errorf("%d left, want 2", n)
	}
	go func() { got <- s.WaitDrained(t.Context(), "web/1") }()
	leave(&a)
	select {
	case n := <-got:
		t.Fatalf("it ended with %d left", n)
	default:
	}
	leave(&b)
	if n := <-got; n != 0 {
		t.Errorf("%d left, want 0", n)
	}
	if n := s.WaitDrained(t.Context(), "web/1"); n != 0 {
		t.Errorf("%d left of a drained one, want 0", n)
	}
	if n := s.WaitDrained(t.Context(), "web/9"); n != 0 {
		t.Errorf("%d left of an unknown one, want 0", n)
	}
}

func TestReloadTakesOver(t *testing.T) {
	one := build(t, pools(fixed("a", 1, "10.0.0.1:80", "10.0.0.2:80"), ofApp("web", "web", 1), fixed("old", 1, "10.0.0.9:80")), Env{}, nil)
	one.SetWorkers([]api.Worker{worker("web/1", "ready")})
	var a, b, c, d Turn
	a1 := take(one.Pool("a"), &a)
	web := take(one.Pool("web"), &b)
	gone := take(one.Pool("old"), &c)

	cfg := pools(fixed("new", 1, "10.0.0.1:80"), fixed("a", 2, "10.0.0.2:80", "10.0.0.1:80", "10.0.0.3:80"), ofApp("web", "web", 3), ofApp("web2", "web", 1))
	two := build(t, cfg, Env{}, one)
	if got := one.Pool("a").c.view.Load().limit; got != 1 {
		t.Errorf("before the old Set retires its limit is %d, want 1", got)
	}
	wantNames(t, two, "web2", "web/1 ready 0") // a new pool of a known app has its workers at once
	one.Retire(two)
	one.Retire(two) // harmless
	one.Close()     // harmless too: it owns nothing

	wantNames(t, two, "a", "10.0.0.2:80 ready 0", "10.0.0.1:80 ready 1", "10.0.0.3:80 ready 0")
	wantNames(t, two, "web", "web/1 ready 1")
	wantNames(t, two, "new", "10.0.0.1:80 ready 0")
	if got := two.Pool("a").Config().MaxConn; got != 2 {
		t.Errorf("the new Set's pool says max_conn %d, want 2", got)
	}
	if got := one.Pool("a").Config().MaxConn; got != 1 {
		t.Errorf("the old Set's pool says max_conn %d, want 1", got)
	}
	if !slices.Contains(two.Pool("a").c.view.Load().servers, a1) {
		t.Errorf("%s was made anew", a1.Name())
	}
	// A request of the old configuration is still to be served by the pool that is gone.
	leave(&c)
	if s := take(one.Pool("old"), &d); s != gone {
		t.Errorf("the pool of before the reload gave %v, want %s", s, gone.Name())
	}
	// Workers of a pool that is gone are still counted and drained.
	three := build(t, pools(fixed("a", 2, "10.0.0.1:80")), Env{}, two)
	two.Retire(three)
	wantNames(t, three, "a", "10.0.0.1:80 ready 1")
	if n := three.InFlight("web/1"); n != 1 {
		t.Errorf("%d requests at web/1, want 1", n)
	}
	three.SetWorkers(nil)
	if !web.places.IsShut() {
		t.Error("a worker of a retired pool is not shut")
	}
	for _, turn := range []*Turn{&a, &b, &d} {
		leave(turn)
	}
	if n := three.WaitDrained(t.Context(), "web/1"); n != 0 {
		t.Errorf("%d left, want 0", n)
	}
}

// A Set that is not taken into use leaves everything as it was.
func TestDiscardedSet(t *testing.T) {
	one := build(t, pools(fixed("a", 1, "10.0.0.1:80")), Env{}, nil)
	two := build(t, pools(fixed("a", 5, "10.0.0.7:80"), fixed("b", 1, "10.0.0.8:80")), Env{}, one)
	two.SetWorkers(nil)
	b := two.Pool("b").c
	two.Close()
	if !b.closed {
		t.Error("its own pool is still open")
	}
	wantNames(t, one, "a", "10.0.0.1:80 ready 0")
	var a Turn
	if s := take(one.Pool("a"), &a); s == nil {
		t.Error("the old pool is closed")
	}
	leave(&a)
}

func TestRetiredPoolsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one := build(t, pools(fixed("a", 1, "10.0.0.1:80")), Env{}, nil)
		var a Turn
		take(one.Pool("a"), &a)
		two := build(t, pools(fixed("b", 1, "10.0.0.1:80")), Env{}, one)
		one.Retire(two)
		three := build(t, pools(fixed("c", 1, "10.0.0.1:80")), Env{}, two)
		two.Retire(three)
		if n := len(three.past); n != 2 {
			t.Errorf("%d retired pools, want 2", n)
		}
		time.Sleep(2 * lateComers) // fake time
		four := build(t, pools(), Env{}, three)
		three.Retire(four)
		if n := len(four.past); n != 2 { // a, still in use, and c
			t.Errorf("%d retired pools, want 2", n)
		}
		leave(&a)
	})
}

func TestRestFor(t *testing.T) {
	last := time.Duration(0)
	for fails := range int32(40) {
		d := restFor(fails)
		if d < last || d < restMin || d > restMax {
			t.Errorf("after %d fails a rest of %v, before it was %v", fails, d, last)
		}
		last = d
	}
	if restFor(1) != restMin || restFor(100) != restMax {
		t.Errorf("from %v to %v", restFor(1), restFor(100))
	}
}

var errRefused = errors.New("connection refused")

// fail and succeed are what Connect does after a dial.
func fail(s *Server)    { s.core.failed(s, errRefused) }
func succeed(s *Server) { s.core.recovered(s) }

func TestServerRestsAndIsTried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := build(t, pools(ofApp("web", "web", 0)), Env{}, nil)
		s.SetWorkers([]api.Worker{worker("web/1", "ready"), worker("web/2", "ready")})
		p := s.Pool("web")
		var a, b, c Turn
		bad := take(p, &a)
		fail(bad)
		fail(bad) // another request's: it does not prolong the rest
		leave(&a)
		for range 10 {
			if sv := take(p, &a); sv == bad {
				t.Fatal("a resting server was picked")
			}
			leave(&a)
		}
		time.Sleep(restFor(1) + time.Millisecond)
		var trials []*Turn
		for _, turn := range []*Turn{&a, &b, &c} {
			if take(p, turn) == bad {
				trials = append(trials, turn)
			}
		}
		if len(trials) != 1 {
			t.Fatalf("%d requests try the server, want 1", len(trials))
		}
		// the trial fails: it rests longer
		fail(bad)
		for _, turn := range []*Turn{&a, &b, &c} {
			turn.server.giveBack(turn, EmptyResponse)
		}
		time.Sleep(restFor(1) + time.Millisecond)
		synctest.Wait()
		if bad.places.Open() {
			t.Error("after two fails it rested no longer than after one")
		}
		time.Sleep(restFor(2))
		// the trial is given up before it says anything: the next one may
		for take(p, &a) != bad {
			leave(&a)
		}
		bad.giveBack(&a, EmptyResponse)
		for take(p, &a) != bad {
			leave(&a)
		}
		succeed(bad)
		if !bad.places.Open() || bad.fails.Load() != 0 {
			t.Error("the server is not up again")
		}
		leave(&a)
		wantNames(t, s, "web", "web/1 ready 0", "web/2 ready 0")
	})
}

// Of fixed servers that all rest, one is tried all the same; an app's requests wait for a worker.
func TestAllRest(t *testing.T) {
	s := build(t, pools(fixed("a", 0, "10.0.0.1:80", "10.0.0.2:80"), ofApp("web", "web", 0)), Env{}, nil)
	s.SetWorkers([]api.Worker{worker("web/1", "ready")})
	var a Turn
	for _, sv := range s.Pool("a").c.view.Load().servers {
		fail(sv)
	}
	first := take(s.Pool("a"), &a)
	if first == nil {
		t.Fatal("no server is tried")
	}
	leave(&a)
	a.remember(first)
	if again := take(s.Pool("a"), &a); again == nil || again == first {
		t.Fatalf("tried %v after %v, want the other", again, first)
	}
	leave(&a)
	a.Reset()
	fail(s.Pool("web").c.view.Load().servers[0])
	if sv := take(s.Pool("web"), &a); sv != nil {
		t.Errorf("%s was picked", sv.Name())
	}
}

func TestTurnAvoidsWhatItTried(t *testing.T) {
	s := build(t, pools(fixed("a", 1, "10.0.0.1:80", "10.0.0.2:80")), Env{}, nil)
	p := s.Pool("a")
	var a, b Turn
	first := take(p, &a)
	leave(&a)
	a.remember(first)
	for range 4 {
		if sv := take(p, &a); sv == first || sv == nil {
			t.Fatalf("picked %v after %s", sv, first.Name())
		}
		leave(&a)
	}
	// the other one is full: it waits for it, and does not go back
	for take(p, &b) == first {
		leave(&b)
	}
	if sv := take(p, &a); sv != nil {
		t.Fatalf("picked %s", sv.Name())
	}
	// the other one rests: then the first is better than nothing
	fail(b.server)
	if sv := take(p, &a); sv != first {
		t.Fatalf("picked %v, want %s", sv, first.Name())
	}
	leave(&a)
	leave(&b)
	// more than it can remember
	for range maxTried + 3 {
		a.remember(&Server{})
	}
	if len(a.skip()) != maxTried {
		t.Errorf("it remembers %d", len(a.skip()))
	}
}

// fakeDNS answers from a table that a test changes.
type fakeDNS struct {
	mu    sync.Mutex
	table map[string][]netip.Addr
	asked int
}

func (d *fakeDNS) set(name string, ips ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.table[name] = nil
	for _, ip := range ips {
		d.table[name] = append(d.table[name], netip.MustParseAddr(ip))
	}
}

func (d *fakeDNS) resolve(_ context.Context, name string) ([]netip.Addr, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	ips, ok := d.table[name]
	if !ok {
		return nil, errors.New("no such host")
	}
	return slices.Clone(ips), nil
}

func TestNamesAreFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dns := &fakeDNS{table: map[string][]netip.Addr{}}
		dns.set("app", "10.0.0.2", "10.0.0.1", "::ffff:10.0.0.1")
		var out syncBuffer
		e := Env{Resolve: dns.resolve, Log: slog.New(slog.NewTextHandler(&out, nil))}
		s := build(t, pools(fixed("a", 1, "app:80", "late:80")), e, nil)
		wantNames(t, s, "a", "app:80/10.0.0.1 ready 0", "app:80/10.0.0.2 ready 0", "late:80 down 0")
		if !strings.Contains(out.String(), "name=late") {
			t.Errorf("the log does not tell of the name without an address: %q", out.String())
		}
		var a Turn
		stays := take(s.Pool("a"), &a)

		dns.set("app", "10.0.0.1", "10.0.0.3")
		dns.set("late", "10.0.1.1")
		time.Sleep(resolveEvery + resolveEvery/10)
		synctest.Wait()
		wantNames(t, s, "a", "app:80/10.0.0.1 ready 1", "app:80/10.0.0.3 ready 0", "late:80/10.0.1.1 ready 0")
		if stays.Address() != "10.0.0.1:80" || a.server != stays {
			t.Errorf("the server that stays is %s", stays.Address())
		}

		// a name that is gone keeps its last good addresses
		dns.mu.Lock()
		delete(dns.table, "app")
		dns.mu.Unlock()
		time.Sleep(2 * resolveEvery)
		synctest.Wait()
		wantNames(t, s, "a", "app:80/10.0.0.1 ready 1", "app:80/10.0.0.3 ready 0", "late:80/10.0.1.1 ready 0")

		// a connect error asks before the time
		dns.set("app", "10.0.0.4")
		fail(stays)
		time.Sleep(resolveAtMost + time.Millisecond)
		synctest.Wait()
		wantNames(t, s, "a", "app:80/10.0.0.4 ready 0", "late:80/10.0.1.1 ready 0", "app:80/10.0.0.1 leaving 1")
		leave(&a)

		// a reload asks for nothing that is known
		dns.mu.Lock()
		asked := dns.asked
		dns.mu.Unlock()
		two := build(t, pools(fixed("a", 1, "app:81")), e, s)
		if dns.asked != asked {
			t.Errorf("%d lookups at the reload", dns.asked-asked)
		}
		s.Retire(two)
		wantNames(t, two, "a", "app:81/10.0.0.4 ready 0")
	})
}

// Connect errors do not make weir ask for names without end.
func TestLookupsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dns := &fakeDNS{table: map[string][]netip.Addr{}}
		dns.set("app", "10.0.0.1")
		s := build(t, pools(fixed("a", 1, "app:80")), Env{Resolve: dns.resolve}, nil)
		for range 1000 {
			s.resolveSoon()
			time.Sleep(10 * time.Millisecond)
		}
		synctest.Wait()
		if dns.asked > 12 {
			t.Errorf("%d lookups in 10 s", dns.asked)
		}
	})
}

func TestWantFixedMergesDoubles(t *testing.T) {
	p := fixed("a", 0, "10.0.0.1:80", "10.0.0.1:80", "10.0.0.2:80")
	ws, _, err := wantFixed(p, nil)
	if err != nil || len(ws) != 2 || ws[0].weight != 2 {
		t.Errorf("got %+v, %v", ws, err)
	}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// eventually polls until the condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("gave up waiting for %s", what)
		}
	}
}
