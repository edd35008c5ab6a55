package edge

import (
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/testkit"
)

// afflicted puts faults in force, beside the configuration that is.
func (r *running) afflicted(all ...api.Fault) {
	r.t.Helper()
	for i := range all {
		all[i].ID = i + 1
		if all[i].Share == 0 {
			all[i].Share = allShares
		}
		if all[i].Ends == 0 {
			all[i].Ends = time.Now().Add(time.Hour).UnixMilli()
		}
	}
	r.version++
	if err := r.Apply(api.EdgeState{Version: r.version, Source: r.tree.Load().source, Faults: all}); err != nil {
		r.t.Fatal(err)
	}
}

func (r *running) get(path string) (*testkit.Message, time.Duration) {
	r.t.Helper()
	c := testkit.Dial(r.t, r.addr)
	defer c.Close()
	begun := time.Now()
	c.Send("GET " + path + " HTTP/1.1\r\nHost: a.test\r\n\r\n")
	return c.Response("GET"), time.Since(begun)
}

const fine = "HTTP/1.1 200 OK\nContent-Length: 2\n\nhi"

// TestErrorsOnPurpose: an error instead of a server's answer is for those requests that it is meant for, is a server's error for
// retries and for ejection, and ends at its time.
func TestErrorsOnPurpose(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		o := answers(t, "tcp", fine)
		r := serveEdge(t, body, onePool("", o.Address))
		unavailable := api.Fault{Do: "errors", Status: 503, By: "ann"}
		for _, row := range []struct {
			route, pool, server, path string
			status                    int
		}{
			{"a.test/x*", "", "", "/x/y", 503},
			{"A.test/x*", "", "", "/x", 503},
			{"*/x*", "", "", "/x", 503},
			{"a.test/x*", "", "", "/y", 200},
			{"b.test/*", "", "", "/x", 200},
			{"", "p", o.Address, "/", 503},
			{"", "p", "*", "/", 503},
			{"", "p", "127.0.0.1:1", "/", 200},
			{"", "q", "*", "/", 200},
		} {
			f := unavailable
			f.Route, f.Pool, f.Server = row.route, row.pool, row.server
			r.afflicted() // one that has the same number would be taken for the same
			r.afflicted(f)
			m, _ := r.get(row.path)
			if m.Status != row.status {
				t.Errorf("%+v: status %d", row, m.Status)
			}
			if m.Status == 503 && !strings.Contains(m.Body, "503 Service Unavailable, made on purpose: weir chaos, fault 1 of ann") {
				t.Errorf("it says %q", m.Body)
			}
			made := r.Status().Faults
			if len(made) != 1 || made[0].Made != int64(m.Status/503) {
				t.Errorf("%+v: counted %+v", row, made)
			}
		}
		r.afflicted(api.Fault{Do: "errors", Status: 503, Route: "*/*", Ends: time.Now().Add(-time.Millisecond).UnixMilli()})
		if m, _ := r.get("/"); m.Status != 200 {
			t.Errorf("after its end: status %d", m.Status)
		}
		r.afflicted()
		if r.chaos.Load() != nil {
			t.Error("something is left when there are no faults")
		}
	})
}

// TestErrorsOnPurposeAreAServers: a GET goes to another server, a POST does not, and the pool counts them.
func TestErrorsOnPurposeAreAServers(t *testing.T) {
	ill, well := answers(t, "tcp", fine), answers(t, "tcp", fine)
	r := serveEdge(t, fibers, onePool("retry: {on: [503], budget: 1000%}, eject: {after: 3 consecutive errors, for: 1h, at_most: 50%}", ill.Address, well.Address))
	r.afflicted(api.Fault{Do: "errors", Status: 503, Pool: "p", Server: ill.Address})
	for range 10 {
		if m, _ := r.get("/"); m.Status != 200 {
			t.Errorf("GET: status %d", m.Status)
		}
	}
	if n := ill.Connections(); n > 0 && ill.Got(0) != "" {
		t.Errorf("the server was asked: %q", ill.Got(0))
	}
	for _, s := range r.Status().Pools[0].Servers {
		if s.Name == ill.Address && (s.State != "down" || !strings.Contains(s.Why, "3 errors in a row") || s.Errors != 3) {
			t.Errorf("the server is %+v", s)
		}
	}
}

// TestErrorOfAnUpload: a request whose body has not come whole yet gets its error too, and the connection stays in order.
func TestErrorOfAnUpload(t *testing.T) {
	o := answers(t, "tcp", fine)
	r := serveEdge(t, fibers, onePool("buffer: false", o.Address))
	r.afflicted(api.Fault{Do: "errors", Status: 500, Route: "*/bad"})
	c := testkit.Dial(t, r.addr)
	defer c.Close()
	c.Send("POST /bad HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234")
	if m := c.Response("POST"); m.Status != 500 {
		t.Errorf("status %d", m.Status)
	}
	c.Send("56789GET /good HTTP/1.1\r\nHost: a\r\n\r\n")
	if m := c.Response("GET"); m.Status != 200 || m.Body != "hi" {
		t.Errorf("the next one: %d %q", m.Status, m.Body)
	}
}

// TestLatencyOnPurpose: the time comes on top, within the limits that a server has.
func TestLatencyOnPurpose(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		slow, quick := answers(t, "tcp", fine), answers(t, "tcp", fine)
		for name, row := range map[string]struct {
			pool    string
			servers []string
			status  int
			least   time.Duration // whatever the machine does
		}{
			"alone":            {"", []string{slow.Address}, 200, 150 * time.Millisecond},
			"beyond the limit": {"timeouts: {first_byte: 50ms}, retry: {attempts: 0}", []string{slow.Address}, 504, 50 * time.Millisecond},
			"with a hedge":     {"hedge: {after: 30ms, at_most: 50%}, balance: round_robin", []string{slow.Address, quick.Address}, 200, 0},
		} {
			t.Run(name, func(t *testing.T) {
				r := serveEdge(t, body, onePool(row.pool, row.servers...))
				r.afflicted(api.Fault{Do: "latency", Add: 160, Jitter: 10, Pool: "p", Server: slow.Address})
				for range 4 {
					m, took := r.get("/")
					if m.Status != row.status || took < row.least || m.Status == 200 && m.Body != "hi" {
						t.Errorf("%d %q after %v", m.Status, m.Body, took)
					}
				}
				if made := r.Status().Faults[0].Made; made == 0 {
					t.Error("it was not made")
				}
			})
		}
	})
}

// TestShares: a share of the requests meets a fault, and to decide it allocates nothing. That requests allocate nothing without faults is
// TestNoAllocations.
func TestShares(t *testing.T) {
	f := newFault(api.Fault{Do: "latency", Add: 100, Jitter: 100, Route: "a.test/*", Share: 1000, Ends: time.Now().Add(time.Hour).UnixMilli()})
	host, path, now := []byte("a.test"), []byte("/x/y"), time.Now()
	met := 0
	if n := testing.AllocsPerRun(20000, func() {
		if f.meets(host, path, "p", "s", now) {
			met++
		}
		if d := f.delay(); d < 0 || d > 200*time.Millisecond {
			t.Fatal(d)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if met < 1500 || met > 2500 { // 2,000 with a deviation of 42
		t.Errorf("10%% of 20000 are %d", met)
	}
}
