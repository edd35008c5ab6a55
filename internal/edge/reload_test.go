package edge

import (
	"fmt"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/testkit"
)

// Configurations change under load, and no request fails; what stays the same keeps its connections.
func TestReloadUnderLoad(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		o, other := echo(t, "unix"), echo(t, "tcp")
		r := serveEdge(t, body, onePool("", o.Address))
		more := r.offer()
		load := testkit.Load{Address: r.addr, Conns: 4, Method: "POST", Body: 100}.Start(t)
		load.After(t, 50)
		for i := range 20 {
			text := onePool(fmt.Sprintf("max_conn: %d", 10+i%2), o.Address)
			if i%3 == 1 {
				text = onePool("", o.Address, other.Address)
			}
			var listen []string
			if i%4 >= 2 {
				listen = []string{more}
			}
			if i%4 == 0 && i > 0 {
				more = r.offer() // the socket before was closed when it was taken out
			}
			if err := r.apply(text, listen...); err != nil {
				t.Fatal(err)
			}
			if listen != nil {
				c := testkit.Dial(t, more)
				c.Send(wire(get))
				wantStatus(c, 200)
				c.Close()
			}
			load.After(t, 20)
		}
		if res := load.Stop(); res.Failed() > 0 || res.Slowest > 2*time.Second {
			t.Error(res)
		}
		if n := o.Connections(); n > 40 {
			t.Errorf("%d connections at a server that was there all the time", n)
		}
	})
}

// What is no good changes nothing and says why.
func TestBadConfiguration(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		const good = "sites: [{hosts: ['*'], routes: [{respond: {status: 200, body: hi}}]}]\n"
		r := serveEdge(t, body, good)
		before := r.tree.Load()
		for text, want := range map[string]string{
			"sites: [{hosts: ['*'], routes: [{pool: none}]}]\n": "none",
			"nonsense: 1\n" + good:                              "nonsense",
			"sites: [":                                          "weir.yaml:",
			"log: {access: {to: /nowhere/at/all.log}}\n" + good: "/nowhere/at",
		} {
			if err := r.apply(text); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: %v", text, err)
			}
		}
		r.version = 1
		if err := r.Apply(api.EdgeState{Version: 0}); err == nil {
			t.Error("an old state was taken")
		}
		if r.tree.Load() != before || r.Status().Version != 1 {
			t.Error("something has changed")
		}
		c := testkit.Dial(t, r.addr)
		c.Send(wire(get))
		wantStatus(c, 200)
	})
}

// The workers of an app come and go without a new configuration.
func TestWorkers(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		one, two := echo(t, "unix"), echo(t, "unix")
		const text = "apps: {web: {command: './app $SOCKET'}}\n"
		r := serveEdge(t, body, text)
		state := api.EdgeState{Version: r.version, Source: r.tree.Load().source}
		use := func(workers ...api.Worker) {
			t.Helper()
			state.Version++
			state.Workers = workers
			if err := r.Apply(state); err != nil {
				t.Fatal(err)
			}
		}
		before := r.tree.Load()
		c := testkit.Dial(t, r.addr)
		c.Send(wire(get)) // it waits for a worker
		testkit.Eventually(t, testkit.Patience, "it is queued", func() bool { return r.Status().Pools[0].Queued == 1 })
		use(api.Worker{App: "web", Name: "web/1", Address: one.Address, State: "ready"})
		wantStatus(c, 200)
		use(api.Worker{App: "web", Name: "web/1", Address: one.Address, State: "leaving"},
			api.Worker{App: "web", Name: "web/2", Address: two.Address, State: "ready"})
		for range 3 {
			c.Send(wire(get))
			wantStatus(c, 200)
		}
		if one.Connections() != 1 || !strings.Contains(two.Got(0), "GET / ") {
			t.Error("the worker that is leaving got a request")
		}
		if r.tree.Load() != before {
			t.Error("a new tree for new workers")
		}
	})
}

// Requests under way are finished, their connections closed; idle ones and the listeners go at once.
func TestStopDrains(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		o := testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
			for c.More() {
				m := c.Request()
				if strings.Contains(m.Start, "/slow") {
					c.Open("asked")
					c.Wait("answer")
				}
				c.Send(wire(ok))
			}
		})
		r := serveEdge(t, body, onePool("", o.Address))
		idle, slow := testkit.Dial(t, r.addr), testkit.Dial(t, r.addr)
		idle.Send(wire(get))
		wantStatus(idle, 200)
		slow.Send(wire("GET /slow HTTP/1.1\nHost: a\n\nGET /never HTTP/1.1\nHost: a\n\n"))
		o.Wait("asked")
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			r.stop(testkit.Patience)
		}()
		testkit.Eventually(t, testkit.Patience, "nobody listens", func() bool {
			c, err := net.Dial("tcp", r.addr)
			if err == nil {
				c.Close()
			}
			return err != nil
		})
		select {
		case <-stopped:
			t.Error("it stopped with a request under way")
		default:
		}
		o.Open("answer")
		if m := wantStatus(slow, 200); m.Field("Connection") != "close" {
			t.Error("the connection's end was not announced")
		}
		slow.Closed()
		slow.Close()
		idle.Closed()
		<-stopped
	})
}

// What does not end in time is cut off.
func TestStopCuts(t *testing.T) {
	for _, row := range []struct{ name, more, send, answer string }{
		{"no answer", "", get, ""},
		{"half a body", bothBuffers, post + "Content-Length: 100000\n\nhalf", ""},
		{"half an upload", "", post + "Content-Length: 100000\n\nhalf", ""},
		{"half a download", "", get, "HTTP/1.1 200 OK\nContent-Length: 500000\n\nhalf"},
		{"half a download, buffering", bothBuffers, get, "HTTP/1.1 200 OK\nContent-Length: 500000\n\nhalf"},
		{"a tunnel", "", upgrade, switching},
		{"a second in the queue", "max_conn: 1", get, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			eachBody(t, func(t *testing.T, body loop.Config) {
				o := testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
					if !c.More() {
						return
					}
					c.Head()
					c.Send(wire(row.answer))
					c.Rest()
				})
				r := serveEdge(t, body, onePool(row.more, o.Address))
				for range 2 {
					testkit.Dial(t, r.addr).Send(wire(row.send))
				}
				testkit.Eventually(t, testkit.Patience, "two are under way", func() bool { return r.active() == 2 })
				began := time.Now()
				r.stop(20 * time.Millisecond)
				if took := time.Since(began); took > 3*time.Second {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// A fault of our own ends one request with a 500, and nothing else.
func TestPanic(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		log, file := logged(t)
		r := serveEdge(t, body, log+"sites: [{hosts: ['*'], routes: [{match: {path: /bad}, respond: {status: 200, body: hi}}, {respond: {status: 200, body: hi}}]}]\n")
		broken := *r.tree.Load()
		broken.routes = slices.Clone(broken.routes)
		broken.routes[0].route = nil // what is asked of it is no more to be had
		r.tree.Store(&broken)
		other, c := testkit.Dial(t, r.addr), testkit.Dial(t, r.addr)
		other.Send(wire(get))
		wantStatus(other, 200)
		c.Send(wire("GET /bad HTTP/1.1\nHost: a\n\n"))
		wantStatus(c, 500)
		c.Closed()
		other.Send(wire(get))
		wantStatus(other, 200)
		// A request is counted behind its answer.
		testkit.Eventually(t, testkit.Patience, "three requests are counted", func() bool { return r.Status().Requests == 3 })
		if s := r.Status(); s.Panics != 1 || s.Status[5] != 1 || s.Status[2] != 2 {
			t.Errorf("counted %+v", s)
		}
		for _, l := range readLog(t, file, 3) {
			if (l.Cause == "panic") != (l.Status == 500) {
				t.Errorf("logged as %d, %s", l.Status, l.Cause)
			}
		}
	})
}

// Directories that a reload takes out of use are closed once nobody is served from them.
func TestReloadClosesDirectories(t *testing.T) {
	r := serveEdge(t, fibers, "sites: [{hosts: ['*'], routes: [{files: '"+t.TempDir()+"'}]}]\n")
	before := len(testkit.Descriptors(t))
	for range 10 {
		if err := r.apply("sites: [{hosts: ['*'], routes: [{files: '" + t.TempDir() + "'}]}]\n"); err != nil {
			t.Fatal(err)
		}
	}
	testkit.Eventually(t, testkit.Patience, "the former directories are closed", func() bool {
		runtime.GC()
		return len(testkit.Descriptors(t)) <= before
	})
}
