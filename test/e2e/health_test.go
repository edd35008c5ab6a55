package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/testkit"
)

// moody is a server that answers as it is told to: well, with 500, with garbage, by a reset, or not at all.
type moody struct {
	address string
	ln      net.Listener
	mood    atomic.Pointer[string]
	asked   atomic.Int64 // requests, those of checks not counted
	work    sync.WaitGroup
	mu      sync.Mutex
	conns   map[net.Conn]bool
}

func newMoody(t *testing.T, mood string) *moody {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &moody{address: ln.Addr().String(), ln: ln, conns: map[net.Conn]bool{}}
	m.be(mood)
	m.work.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			m.mu.Lock()
			m.conns[c] = true
			m.mu.Unlock()
			m.work.Go(func() { m.serve(c) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		m.mu.Lock()
		for c := range m.conns {
			c.Close()
		}
		m.mu.Unlock()
		m.work.Wait()
	})
	return m
}

func (m *moody) be(mood string) { m.mood.Store(&mood) }

func (m *moody) serve(c net.Conn) {
	defer func() {
		c.Close()
		m.mu.Lock()
		delete(m.conns, c)
		m.mu.Unlock()
	}()
	in := bufio.NewReader(c)
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if req.UserAgent() != "weir-check" {
			m.asked.Add(1)
		}
		switch *m.mood.Load() {
		case "hangs":
			io.Copy(io.Discard, c)
			return
		case "garbage":
			io.WriteString(c, "\x00\x01 this is no HTTP \r\n\r\n")
			return
		case "resets":
			c.(*net.TCPConn).SetLinger(0)
			return
		case "500":
			fmt.Fprint(c, "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 4\r\n\r\noops")
		default:
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(m.address), m.address)
		}
	}
}

// three is a pool of three moody servers; %s takes further lines of the pool.
const three = `
listen: {http: ["@ADDRESS@"]}
log: {access: {to: none}}
pools:
  web:
    servers: [%q, %q, %q]
    balance: round_robin
%s
`

const checked = "    health: {path: /alive, every: 200ms, fast: 50ms, timeout: 300ms, rise: 2, fall: 2}\n"

func threeServers(t *testing.T, more string) (*testkit.Weir, []*moody) {
	t.Helper()
	all := []*moody{newMoody(t, "well"), newMoody(t, "well"), newMoody(t, "well")}
	w := testkit.Run(t, testkit.Setup{Plain: true, Config: fmt.Sprintf(three, all[0].address, all[1].address, all[2].address, more)})
	return w, all
}

// server is one server of the pool web as `weir status` has it.
func server(w *testkit.Weir, address string) (st api.ServerStatus) {
	s := w.Status()
	if s.Edge == nil {
		return st
	}
	for _, p := range s.Edge.Pools {
		for _, sv := range p.Servers {
			if sv.Name == address {
				return sv
			}
		}
	}
	return st
}

func is(t *testing.T, w *testkit.Weir, m *moody, state string) (st api.ServerStatus) {
	t.Helper()
	testkit.Eventually(t, 20*time.Second, "server "+m.address+" is "+state, func() bool {
		st = server(w, m.address)
		return st.State == state
	})
	return st
}

// TestIllServersLoseNoGET: whatever becomes of a server, its check finds it out, and no GET is lost: those that met it
// are sent to another, also those that wait there when it hangs.
func TestIllServersLoseNoGET(t *testing.T) {
	w, all := threeServers(t, checked)
	for _, row := range []struct{ mood, check string }{
		{"resets", "connection reset by peer"},
		{"garbage", "malformed HTTP"},
		{"hangs", "no answer within 300ms"},
	} {
		t.Run(row.mood, func(t *testing.T) {
			f := testkit.Load{Address: w.Address, Conns: 6, Pause: 2 * time.Millisecond}.Start(t)
			f.After(t, 50)
			all[1].be(row.mood)
			st := is(t, w, all[1], "down")
			if !strings.Contains(st.Check, row.check) || st.Since == "" {
				t.Errorf("%+v", st)
			}
			f.After(t, 50)
			met := all[1].asked.Load()
			f.After(t, 200)
			if n := all[1].asked.Load(); n != met {
				t.Errorf("a server that is down got %d requests", n-met)
			}
			if text := w.Do("status"); !strings.Contains(text, "check fails: ") {
				t.Errorf("weir status:\n%s", text)
			}
			all[1].be("well")
			is(t, w, all[1], "ready")
			f.After(t, 100)
			noneFailed(t, row.mood, f.Stop(), 400)
			if all[1].asked.Load() == met {
				t.Error("a server that is well again gets nothing")
			}
		})
	}
	if out := w.Output(); !strings.Contains(out, "server is down: its check failed") || !strings.Contains(out, "server is up: its check passed") {
		t.Errorf("the log does not say it:\n%s", out)
	}
}

// TestFlappingServer: a server that changes its mood all the time loses no GET.
func TestFlappingServer(t *testing.T) {
	w, all := threeServers(t, checked)
	f := testkit.Load{Address: w.Address, Conns: 6, Pause: time.Millisecond}.Start(t)
	moods := []string{"resets", "well", "garbage", "well", "hangs", "well"}
	end := time.Now().Add(long(t, 6*time.Second))
	flaps := 0
	for ; time.Now().Before(end); flaps++ {
		all[flaps%2].be("well")
		all[(flaps+1)%2].be(moods[flaps%len(moods)])
		f.After(t, 40)
	}
	for _, m := range all {
		m.be("well")
	}
	for _, m := range all {
		is(t, w, m, "ready")
	}
	noneFailed(t, fmt.Sprintf("%d changes", flaps), f.Stop(), 200)
}

// TestEjection: a server whose answers are errors is left alone without any check, tried by one request now and then, and
// taken back; and never more than half of the servers are out.
func TestEjection(t *testing.T) {
	w, all := threeServers(t, "    eject: {after: 3 consecutive errors, for: 400ms, at_most: 50%}\n")
	errors := func(_ string, m *testkit.Message) error {
		if m.Status != 200 && m.Status != 500 {
			return fmt.Errorf("status %d", m.Status)
		}
		return nil
	}
	f := testkit.Load{Address: w.Address, Conns: 4, Pause: time.Millisecond, Check: errors}.Start(t)
	f.After(t, 50)
	all[0].be("500")
	st := is(t, w, all[0], "down")
	if !strings.Contains(st.Why, "ejected for ") || !strings.Contains(st.Why, "3 errors in a row") {
		t.Errorf("%+v", st)
	}
	met := all[0].asked.Load()
	f.After(t, 600)
	if n := all[0].asked.Load() - met; n > 20 {
		t.Errorf("an ejected server got %d of 600 requests", n)
	}
	// all are ill: half of three is one
	all[1].be("500")
	all[2].be("500")
	for range 20 {
		f.After(t, 30)
		out := 0
		for _, m := range all {
			if strings.Contains(server(w, m.address).Why, "ejected") {
				out++
			}
		}
		if out > 1 {
			t.Fatalf("%d of 3 servers are ejected", out)
		}
	}
	if !strings.Contains(w.Output(), "should be ejected, but too many are closed already") {
		t.Error("the log does not say that there is no room")
	}
	for _, m := range all {
		m.be("well")
	}
	for _, m := range all {
		is(t, w, m, "ready")
	}
	f.After(t, 50)
	if r := f.Stop(); r.Failed() > 0 {
		t.Error(r)
	}
	met = all[0].asked.Load()
	noneFailed(t, "after all", testkit.Load{Address: w.Address, Conns: 2}.Run(t, 300*time.Millisecond), 20)
	if all[0].asked.Load() == met {
		t.Error("a server that was taken back gets nothing")
	}
}

// TestByHand: what people decide of servers holds over reloads and the edge's death, and is told.
func TestByHand(t *testing.T) {
	w, all := threeServers(t, "")
	extra := newMoody(t, "well")
	w.Do("drain", "web/"+all[0].address, "--reason", "new disk", "--by", "ann", "--wait", "20s")
	w.Do("maint", "web/"+all[1].address, "--by", "bob")
	w.Do("server", "add", "web", extra.address, "--weight", "2")
	w.Do("server", "remove", "web", all[2].address)
	holds := func(when string) {
		t.Helper()
		for m, state := range map[*moody]string{all[0]: "draining", all[1]: "maint", all[2]: "", extra: "ready"} {
			if st := server(w, m.address); st.State != state {
				t.Errorf("%s: %s is %q, want %q", when, m.address, st.State, state)
			}
		}
		f := testkit.Load{Address: w.Address, Conns: 4, Pause: time.Millisecond}.Start(t)
		met := all[0].asked.Load() + all[1].asked.Load() + all[2].asked.Load()
		f.After(t, 100)
		noneFailed(t, when, f.Stop(), 100)
		if n := all[0].asked.Load() + all[1].asked.Load() + all[2].asked.Load() - met; n != 0 {
			t.Errorf("%s: servers that take nothing got %d requests", when, n)
		}
	}
	holds("at first")
	w.Do("reload")
	holds("after a reload")
	w.Edge().Kill(t, syscall.SIGKILL)
	testkit.Eventually(t, 20*time.Second, "another edge serves", func() bool { s := w.Status(); return s.Edge != nil })
	holds("after the edge's death")
	if out := w.Do("interventions"); !strings.Contains(out, "new disk") || !strings.Contains(out, "bob") || !strings.Contains(out, "remove") {
		t.Errorf("weir interventions:\n%s", out)
	}
	if st := server(w, all[0].address); st.Why != "drained by hand (ann: new disk)" {
		t.Errorf("%+v", st)
	}
	w.Do("server", "remove", "web", extra.address)
	w.Do("server", "add", "web", all[2].address)
	w.Do("ready", "web/"+all[0].address)
	w.Do("ready", "web/"+all[1].address)
	for _, m := range all {
		is(t, w, m, "ready")
	}
	if _, text, code := w.Command("drain", "web/10.9.9.9:1"); code != 1 || !strings.Contains(text, `the pool web has no server "10.9.9.9:1"`) {
		t.Errorf("%d %s", code, text)
	}
	if _, text, code := w.Command("drain", "wep/x"); code != 1 || !strings.Contains(text, `there is no pool "wep"`) {
		t.Errorf("%d %s", code, text)
	}
}

// TestByHandInARenamedPool: what was decided means nothing while no pool is called so. That is said, and it holds again afterwards.
func TestByHandInARenamedPool(t *testing.T) {
	w, all := threeServers(t, "")
	w.Do("drain", "web/"+all[0].address, "--by", "ann")
	text, err := os.ReadFile(w.File)
	if err != nil {
		t.Fatal(err)
	}
	w.Write("weir.yaml", strings.ReplaceAll(strings.ReplaceAll(string(text), "  web:", "  www:"), "pool: web", "pool: www"))
	w.Do("reload")
	want := "there is no pool web any more: drain of web/" + all[0].address + ", decided by ann, holds again when it is back"
	if out := w.Output(); strings.Count(out, want) != 1 {
		t.Errorf("no %q in\n%s", want, out)
	}
	w.Do("reload")
	w.Write("weir.yaml", string(text))
	w.Do("reload")
	is(t, w, all[0], "draining")
	if out := w.Output(); strings.Count(out, want) != 1 {
		t.Errorf("it is said again and again:\n%s", out)
	}
}

// TestSessionsByHand: who has a session at a server that drains stays there, others do not come; in maintenance the session
// moves. A server of weight 0 gets nobody new.
func TestSessionsByHand(t *testing.T) {
	w, all := threeServers(t, "    sticky: {cookie: place}\n")
	c := w.Dial()
	first := request(c, "/")
	cookie, _, _ := strings.Cut(first.Field("Set-Cookie"), ";")
	if !strings.HasPrefix(cookie, "place=") {
		t.Fatalf("no session: %v", first.Lines)
	}
	home := first.Body
	ask := func() string {
		c.Send("GET / HTTP/1.1\r\nHost: e2e.test\r\nCookie: " + cookie + "\r\n\r\n")
		return c.Response("GET").Body
	}
	strangers := func(when string) {
		t.Helper()
		for range 12 {
			if got := request(c, "/").Body; got == home {
				t.Errorf("%s: somebody new is sent there", when)
			}
		}
	}
	w.Do("drain", "web/"+home)
	for range 5 {
		if got := ask(); got != home {
			t.Errorf("a session at a server that drains went to %s", got)
		}
	}
	strangers("drain")
	w.Do("maint", "web/"+home)
	if got := ask(); got == home {
		t.Error("a session stays at a server in maintenance")
	}
	strangers("maint")
	w.Do("ready", "web/"+home)
	for _, m := range all {
		is(t, w, m, "ready")
	}
	w.Do("weight", "web/"+home, "0")
	testkit.Eventually(t, 10*time.Second, "the weight counts", func() bool { st := server(w, home); return st.Share != nil && *st.Share == 0 })
	strangers("weight 0")
	w.Do("weight", "web/"+home, "reset")
	testkit.Eventually(t, 10*time.Second, "somebody new comes again", func() bool { return request(c, "/").Body == home })
}

// TestByHandBetweenEdges: what people decide in the moment in which no edge serves waits for the next one.
func TestByHandBetweenEdges(t *testing.T) {
	w, all := threeServers(t, "")
	for _, do := range []string{"drain", "maint", "ready"} {
		edge := w.Edge()
		edge.Kill(t, syscall.SIGKILL)
		w.Do(do, "web/"+all[0].address)
	}
	is(t, w, all[0], "ready")
}
