package edge

import (
	"slices"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/testkit"
)

// serveApp runs an edge for an app with a request_timeout, whose workers are these origins.
func serveApp(t *testing.T, body loop.Config, timeout string, workers ...*testkit.Origin) *running {
	t.Helper()
	r := serveEdge(t, body, onePool("", "127.0.0.1:1"))
	text := "listen: ['" + r.addr + "']\nlog: {access: {to: none}}\napps: {web: {command: sh $PORT, request_timeout: " + timeout + "}}\n" +
		"pools: {web: {app: web, balance: round_robin}}\nsites: [{hosts: ['*'], routes: [{pool: web}]}]\n"
	r.version++
	s := api.EdgeState{Version: r.version, Source: api.Source{Path: t.TempDir() + "/weir.yaml", Text: text, Revision: r.version}}
	for i, o := range workers {
		s.Workers = append(s.Workers, api.Worker{App: "web", Name: "web/" + string(rune('1'+i)) + ".1", Address: o.Address, State: "ready"})
	}
	if err := r.Apply(s); err != nil {
		t.Fatal(err)
	}
	return r
}

// TestOverrun: a request that takes too long at a worker is answered 504, and its worker named; what else may end it is no
// fault of the worker's.
func TestOverrun(t *testing.T) {
	hang := func(c *testkit.Conn) {
		c.Request()
		c.Closed()
	}
	for _, row := range []struct {
		name   string
		first  func(c *testkit.Conn)
		send   string
		status int
		cut    bool
		want   []api.Overrun
	}{
		{"GET", hang, get, 504, false, []api.Overrun{{Worker: "web/1.1", Requests: 1}}},
		{"POST", hang, post + "Content-Length: 2\n\nhi", 504, false, []api.Overrun{{Worker: "web/1.1", Requests: 1, Lost: 1}}},
		{"a body that does not end", func(c *testkit.Conn) {
			c.Request()
			c.Send(wire("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5\nhello\n"))
			c.Closed()
		}, get, 200, true, []api.Overrun{{Worker: "web/1.1", Requests: 1}}},
		{"an event stream", func(c *testkit.Conn) {
			c.Request()
			c.Send(wire("HTTP/1.1 200 OK\nContent-Type: text/event-stream; charset=utf-8\nTransfer-Encoding: chunked\n\n5\nhello\n"))
			time.Sleep(2 * overrunTime)
			c.Send(wire("0\n\n"))
		}, get, 200, false, nil},
		{"an answer in time", func(c *testkit.Conn) { c.Request(); c.Send(wire(ok)) }, get, 200, false, nil},
		{"a worker that dies", func(c *testkit.Conn) { c.Request() }, get, 200, false, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			eachBody(t, func(t *testing.T, body loop.Config) {
				r := serveApp(t, body, overrunTime.String(), once(t, "tcp", row.first))
				c := testkit.Dial(t, r.addr)
				c.Send(wire(row.send))
				method := "GET"
				if row.send[0] == 'P' {
					method = "POST"
				}
				m, err := c.TryResponse(method)
				if m == nil || m.Status != row.status || (err != nil) != row.cut {
					t.Errorf("got %+v, %v", m, err)
				}
				r.quiet()
				if got := r.overruns.take(); !slices.Equal(got, row.want) {
					t.Errorf("told of %+v, want %+v", got, row.want)
				}
			})
		})
	}
}

const overrunTime = 500 * time.Millisecond

// TestOverrunCountsEachTry: the time is a worker's own. What another has used up is no fault of the next.
func TestOverrunCountsEachTry(t *testing.T) {
	slowly := func(answer string) *testkit.Origin {
		return testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
			c.Request()
			time.Sleep(600 * time.Millisecond)
			c.Send(wire(answer))
		})
	}
	dies, answers := slowly(""), slowly(ok)
	eachBody(t, func(t *testing.T, body loop.Config) {
		r := serveApp(t, body, "1s", dies)
		c := testkit.Dial(t, r.addr)
		c.Send(wire(get))
		// It is at the first worker now or soon; the other one comes, and the first is told to leave, while it is there.
		testkit.Eventually(t, testkit.Patience, "it is at the first worker", func() bool { return r.Status().Pools[0].Servers[0].Active == 1 })
		r.version++
		s := api.EdgeState{Version: r.version, Source: r.tree.Load().source, Workers: []api.Worker{
			{App: "web", Name: "web/1.1", Address: dies.Address, State: "leaving"}, {App: "web", Name: "web/2.1", Address: answers.Address, State: "ready"}}}
		if err := r.Apply(s); err != nil {
			t.Fatal(err)
		}
		if m := c.Response("GET"); m.Status != 200 {
			t.Errorf("got %+v", m)
		}
		r.quiet()
		if got := r.overruns.take(); len(got) != 0 {
			t.Errorf("told of %+v", got)
		}
	})
}
