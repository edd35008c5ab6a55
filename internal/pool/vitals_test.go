package pool

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/testkit"
)

// wellness is a server that answers checks with what it is told to.
type wellness struct {
	*httptest.Server
	status  atomic.Int64
	asked   atomic.Int64
	weight  atomic.Pointer[string]
	address string
}

func newWellness(t *testing.T, status int) *wellness {
	t.Helper()
	w := &wellness{}
	w.status.Store(int64(status))
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.asked.Add(1)
		if s := w.weight.Load(); s != nil {
			rw.Header().Set("X-Weir-Weight", *s)
		}
		rw.WriteHeader(int(w.status.Load()))
	}))
	t.Cleanup(w.Close)
	w.address = w.Listener.Addr().String()
	return w
}

func checkedEvery(d time.Duration) *config.Health {
	return &config.Health{Type: "http", Path: "/", Method: "GET", Host: "localhost", Status: []config.StatusRange{{From: 200, To: 299}},
		Every: d, Fast: d / 2, Timeout: 5 * time.Second, Rise: 2, Fall: 3}
}

func stateOf(s *Set, pool string, i int) api.ServerStatus {
	for _, p := range s.Status() {
		if p.Name == pool {
			return p.Servers[i]
		}
	}
	return api.ServerStatus{}
}

func TestChecksCloseAndOpen(t *testing.T) {
	a, b := newWellness(t, 200), newWellness(t, 200)
	cfg := fixed("web", 0, a.address, b.address)
	cfg.Health = checkedEvery(20 * time.Millisecond)
	s := build(t, pools(cfg), Env{}, nil)
	if st := stateOf(s, "web", 0); st.State != "ready" {
		t.Fatalf("before its first check a server is %s", st.State)
	}
	eventually(t, "checks", func() bool { return strings.HasPrefix(stateOf(s, "web", 0).Check, "200 OK in ") })
	a.status.Store(500)
	eventually(t, "the server to be down", func() bool { return stateOf(s, "web", 0).State == "down" })
	if st := stateOf(s, "web", 0); st.Check != "it answered 500 Internal Server Error" || st.Why != "check fails" || st.Since == "" {
		t.Errorf("%+v", st)
	}
	if st := stateOf(s, "web", 1); st.State != "ready" {
		t.Errorf("%+v", st)
	}
	var turn Turn
	for range 10 {
		if sv := take(s.Pool("web"), &turn); sv.address != b.address {
			t.Fatal("a server whose check fails was picked")
		}
		leave(&turn)
	}
	b.status.Store(503)
	eventually(t, "the other to be down", func() bool { return stateOf(s, "web", 1).State == "down" })
	if take(s.Pool("web"), &turn) != nil {
		t.Fatal("a server whose check fails was picked, since all do")
	}
	a.status.Store(204)
	eventually(t, "the server to be up", func() bool { return stateOf(s, "web", 0).State == "ready" })
}

// A server that comes to others gets nothing before its check has passed; where it comes to none, it does.
func TestNewServerHasToShow(t *testing.T) {
	a, b := newWellness(t, 200), newWellness(t, 500)
	cfg := fixed("web", 0, a.address)
	cfg.Health = checkedEvery(20 * time.Millisecond)
	s := build(t, pools(cfg), Env{}, nil)
	more := *cfg
	more.Servers = append(more.Servers, config.Server{Address: b.address, Weight: 1})
	next := build(t, pools(&more), Env{}, s)
	s.Retire(next)
	if st := stateOf(next, "web", 1); st.State != "down" || st.Check == "" {
		t.Fatalf("%+v", st)
	}
	asked := b.asked.Load()
	eventually(t, "checks", func() bool { return b.asked.Load() > asked+3 })
	if st := stateOf(next, "web", 1); st.State != "down" {
		t.Fatalf("%+v", st)
	}
	b.status.Store(200)
	eventually(t, "the new server to be up", func() bool { return stateOf(next, "web", 1).State == "ready" })
	// and all others replaced at once
	c := newWellness(t, 200)
	other := fixed("web", 0, c.address)
	other.Health = cfg.Health
	last := build(t, pools(other), Env{}, next)
	next.Retire(last)
	if st := stateOf(last, "web", 0); st.State != "ready" {
		t.Errorf("%+v", st)
	}
}

func TestChecksSurviveReloadsAndEnd(t *testing.T) {
	a := newWellness(t, 500)
	cfg := fixed("web", 0, a.address, "127.0.0.1:1")
	cfg.Health = checkedEvery(20 * time.Millisecond)
	s := build(t, pools(cfg), Env{}, nil)
	eventually(t, "the servers to be down", func() bool { return stateOf(s, "web", 0).State == "down" && stateOf(s, "web", 1).State == "down" })
	same := *cfg
	next := build(t, pools(&same), Env{}, s)
	s.Retire(next)
	if st := stateOf(next, "web", 0); st.State != "down" || st.Check == "" {
		t.Errorf("a reload forgot: %+v", st)
	}
	asked := a.asked.Load()
	eventually(t, "checks by the new configuration", func() bool { return a.asked.Load() > asked+2 })
	without := *cfg
	without.Health = nil
	last := build(t, pools(&without), Env{}, next)
	next.Retire(last)
	if st := stateOf(last, "web", 0); st.State != "ready" || st.Check != "" || st.Why != "" {
		t.Errorf("without checks it is %+v", st)
	}
}

func TestTrack(t *testing.T) {
	a, b := newWellness(t, 500), newWellness(t, 200)
	checked := fixed("web", 0, a.address)
	checked.Servers = append(checked.Servers, config.Server{Address: strings.Replace(b.address, "127.0.0.1", "127.0.0.2", 1), Weight: 1})
	checked.Health = checkedEvery(20 * time.Millisecond)
	checked.Health.Status[0] = config.StatusRange{From: 200, To: 299}
	same := fixed("same", 0, a.address, "127.0.0.1:9", "127.0.0.9:9")
	same.Health = &config.Health{Track: config.Tracked{Pool: "web"}}
	named := fixed("named", 0, "10.0.0.1:80", "10.0.0.2:80")
	named.Health = &config.Health{Track: config.Tracked{Pool: "web", Server: a.address}}
	s := build(t, pools(checked, same, named), Env{}, nil)
	all := func(want ...string) func() bool {
		return func() bool {
			var got []string
			for _, p := range []string{"same", "named"} {
				for i := range 3 {
					if p == "named" && i == 2 {
						continue
					}
					got = append(got, stateOf(s, p, i).State)
				}
			}
			return fmt.Sprint(got) == fmt.Sprint(want)
		}
	}
	eventually(t, "followers to be down", all("down", "down", "ready", "down", "down"))
	if st := stateOf(s, "named", 1); st.Check != a.address+": it answered 500 Internal Server Error" {
		t.Errorf("%+v", st)
	}
	a.status.Store(200)
	eventually(t, "followers to be up", all("ready", "ready", "ready", "ready", "ready"))
}

func TestSlowStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := fixed("web", 0, "10.0.0.1:80", "10.0.0.2:80")
		cfg.SlowStart = 20 * time.Second
		s := build(t, pools(cfg), Env{}, nil)
		c := s.Pool("web").c
		sv := c.view.Load().servers[0]
		look := func() (string, int) {
			synctest.Wait()
			c.mu.Lock()
			defer c.mu.Unlock()
			return sv.state(), sv.vitals.share
		}
		if state, share := look(); state != "ready" || share != 1000 {
			t.Fatal("servers that are there from the beginning start slowly:", state, share)
		}
		set := func(hs ...api.Hand) { s.SetHands(hs) }
		set(api.Hand{Pool: "web", Server: "10.0.0.1:80", State: "maint"})
		set()
		if state, share := look(); state != "starting" || share > 150 || share < 50 {
			t.Fatal(state, share)
		}
		time.Sleep(10 * time.Second)
		if state, share := look(); state != "starting" || share < 450 || share > 650 {
			t.Fatal(state, share)
		}
		time.Sleep(11 * time.Second)
		if state, share := look(); state != "ready" || share != 1000 {
			t.Fatal(state, share)
		}
		more := *cfg
		more.Servers = append(more.Servers, config.Server{Address: "10.0.0.3:80", Weight: 1})
		next := build(t, pools(&more), Env{}, s)
		s.Retire(next)
		synctest.Wait()
		if st := stateOf(next, "web", 2); st.State != "starting" || st.Share == nil || *st.Share > 150 {
			t.Errorf("a server that comes to others: %+v", st)
		}
		if st := stateOf(next, "web", 1); st.State != "ready" {
			t.Errorf("%+v", st)
		}
	})
}

func TestHeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := fixed("web", 0, "10.0.0.1:80", "10.0.0.2:80")
		cfg.Agent = &config.Agent{Header: "X-Weir-Weight"}
		s := build(t, pools(cfg), Env{}, nil)
		c := s.Pool("web").c
		sv := c.view.Load().servers[0]
		share := func() int {
			synctest.Wait()
			c.mu.Lock()
			defer c.mu.Unlock()
			return sv.vitals.share
		}
		sv.Heed([]byte("50%"), 1)
		if n := share(); n != 500 {
			t.Fatal(n)
		}
		sv.Heed([]byte("0%"), 1+heedOther)
		if n := share(); n != wishLeast || !sv.places.Open() {
			t.Fatal("a field closed the server, or", n)
		}
		sv.Heed([]byte("90%"), 2+heedOther) // too soon after
		sv.Heed([]byte("banana"), 3*heedAgain)
		sv.Heed([]byte(strings.Repeat("9", 1000)), 5*heedAgain)
		if n := share(); n != wishLeast {
			t.Fatal(n)
		}
		time.Sleep(wishLasts + time.Second)
		if n := share(); n != 1000 {
			t.Fatal("it counts for ever:", n)
		}
	})
}

func TestHeedAllocatesNothingTwice(t *testing.T) {
	s := &Server{}
	s.heard.Store(&heard{[]byte("50%"), 0})
	value := []byte("50%")
	if n := testing.AllocsPerRun(1000, func() { s.Heed(value, heedAgain-1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestAgents(t *testing.T) {
	word := atomic.Pointer[string]{}
	say := func(s string) { word.Store(&s) }
	say("up")
	address := testkit.Serve(t, "tcp", func(c net.Conn) { io.WriteString(c, *word.Load()+"\n") })
	_, text, _ := net.SplitHostPort(address)
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	cfg := fixed("web", 0, "127.0.0.1:1")
	cfg.Agent = &config.Agent{Port: port, Every: 20 * time.Millisecond, Timeout: time.Second}
	s := build(t, pools(cfg), Env{}, nil)
	is := func(state string, share int) {
		t.Helper()
		var st api.ServerStatus
		eventually(t, fmt.Sprint(state, share), func() bool {
			st = stateOf(s, "web", 0)
			return st.State == state && (share == 1000 && st.Share == nil || st.Share != nil && *st.Share == share)
		})
	}
	is("ready", 1000)
	say("40%")
	is("ready", 400)
	say("drain")
	is("draining", 400)
	say("down # no disk")
	is("down", 400)
	say("75%") // a share says nothing of that
	is("down", 750)
	say("up")
	is("ready", 750)
	say("0%")
	is("draining", 750)
	say("100%")
	is("ready", 1000)
}

// A check's response can say it too.
func TestCheckHeedsTheField(t *testing.T) {
	a := newWellness(t, 200)
	w := "30%"
	a.weight.Store(&w)
	cfg := fixed("web", 0, a.address)
	cfg.Health, cfg.Agent = checkedEvery(20*time.Millisecond), &config.Agent{Header: "X-Weir-Weight"}
	s := build(t, pools(cfg), Env{}, nil)
	eventually(t, "the share", func() bool { st := stateOf(s, "web", 0); return st.Share != nil && *st.Share == 300 })
}

// Many servers that hang hold no more than so many probes, and those who answer are checked all the same.
func TestChecksAtOnce(t *testing.T) {
	var open, most atomic.Int64
	hang := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		n := open.Add(1)
		defer open.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		<-r.Context().Done()
	}))
	defer hang.Close()
	_, port, err := net.SplitHostPort(hang.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	cfg := fixed("web", 0)
	for i := range 200 {
		cfg.Servers = append(cfg.Servers, config.Server{Address: fmt.Sprintf("127.0.1.%d:%s", i+1, port), Weight: 1})
	}
	cfg.Health = checkedEvery(20 * time.Millisecond)
	cfg.Health.Timeout, cfg.Health.Fall = 200*time.Millisecond, 1
	// They all listen on one socket, which has only 127.0.0.1: the others are refused at once.
	cfg.Servers[0].Address = hang.Listener.Addr().String()
	for i := 1; i < 100; i++ {
		cfg.Servers[i].Address = "unix:" + fmt.Sprintf("%s/%d", t.TempDir(), i)
	}
	s := build(t, pools(cfg), Env{}, nil)
	eventually(t, "all to be down", func() bool {
		for i := range 200 {
			if stateOf(s, "web", i).State != "down" {
				return false
			}
		}
		return true
	})
	if most.Load() > checksAtOnce {
		t.Errorf("%d probes at once", most.Load())
	}
}
