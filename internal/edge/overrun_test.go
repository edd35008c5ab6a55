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
	return serveAppAs(t, body, "", "", timeout, workers...)
}

// serveAppAs is serveApp with more of the app (which ends with a comma), and of the pool.
func serveAppAs(t *testing.T, body loop.Config, app, more, timeout string, workers ...*testkit.Origin) *running {
	t.Helper()
	r := serveEdge(t, body, onePool("", "127.0.0.1:1"))
	if more != "" {
		more = ", " + more
	}
	text := "listen: ['" + r.addr + "']\nlog: {access: {to: none}}\napps: {web: {command: sh $PORT, " + app + "request_timeout: " + timeout + "}}\n" +
		"pools: {web: {app: web, balance: round_robin" + more + "}}\nsites: [{hosts: ['*'], routes: [{pool: web}]}]\n"
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

// TestOverrunUnseen: a worker that hangs is named whoever waits for it: also when its client left, before the response or in it, and
// when a shorter limit or a hedge has ended the wait. One that does not hang is not.
func TestOverrunUnseen(t *testing.T) {
	const part = "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5\nhello\n"
	leaves := func(_ *running, c *testkit.Conn) { c.Close() }
	reads := func(_ *running, c *testkit.Conn) { c.Head(); c.Close() }
	for _, row := range []struct {
		name, app, pool, send string
		says                  string // by the first worker, before it hangs
		ends                  bool   // it does not hang, but ends when it is told that nobody waits
		client                func(r *running, c *testkit.Conn)
		want                  []api.Overrun
	}{
		{name: "the client leaves", send: get, client: leaves, want: []api.Overrun{{Worker: "web/1.1", Requests: 1}}},
		{name: "of a POST", send: post + "Content-Length: 2\n\nhi", client: leaves, want: []api.Overrun{{Worker: "web/1.1", Requests: 1, Lost: 1}}},
		{name: "in the response", send: get, says: part, client: reads, want: []api.Overrun{{Worker: "web/1.1", Requests: 1}}},
		{name: "in an unbuffered response", pool: "buffer: false", send: get, says: part, client: reads, want: []api.Overrun{{Worker: "web/1.1", Requests: 1}}},
		{name: "by uwsgi", app: "protocol: uwsgi, ", send: get, client: leaves, want: []api.Overrun{{Worker: "web/1.1", Requests: 1}}},
		{name: "a shorter limit", pool: "timeouts: {first_byte: 50ms}", send: get, client: func(_ *running, c *testkit.Conn) {
			if m := c.Response("GET"); m.Status != 504 {
				t.Errorf("got %+v", m)
			}
		}, want: []api.Overrun{{Worker: "web/1.1", Requests: 1}}},
		{name: "a worker that minds", send: get, ends: true, client: leaves},
	} {
		t.Run(row.name, func(t *testing.T) {
			eachBody(t, func(t *testing.T, body loop.Config) {
				over := make(chan struct{})
				came := make(chan struct{}, 8)
				o := testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
					if row.app == "" {
						c.Request()
					}
					came <- struct{}{}
					c.Send(wire(row.says))
					if row.ends {
						c.Closed()
						return
					}
					<-over
				})
				defer close(over)
				limit := overrunTime
				if row.ends {
					limit = time.Minute
				}
				r := serveAppAs(t, body, row.app, row.pool, limit.String(), o)
				c := testkit.Dial(t, r.addr)
				c.Send(wire(row.send))
				<-came
				row.client(r, c)
				r.quiet()
				testkit.Eventually(t, testkit.Patience, "its place is free", func() bool { return r.Status().Pools[0].Servers[0].Active == 0 })
				var got []api.Overrun
				if row.want != nil {
					testkit.Eventually(t, testkit.Patience, "it is told of", func() bool { got = append(got, r.overruns.take()...); return len(got) > 0 })
				}
				if got = append(got, r.overruns.take()...); !slices.Equal(got, row.want) {
					t.Errorf("told of %+v, want %+v", got, row.want)
				}
			})
		})
	}
}

// TestOverrunOfAHedge: two workers are asked, and the one that hangs is named though the other one answers.
func TestOverrunOfAHedge(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		over := make(chan struct{})
		first := make(chan struct{}, 1)
		first <- struct{}{}
		serve := func(_ int, c *testkit.Conn) {
			for c.More() {
				c.Request()
				select {
				case <-first:
					<-over
					return
				default:
					c.Send(wire(ok))
				}
			}
		}
		a, b := testkit.ServeOrigin(t, "tcp", serve), testkit.ServeOrigin(t, "tcp", serve)
		defer close(over)
		r := serveAppAs(t, body, "", "hedge: {after: 20ms, at_most: 100%}", overrunTime.String(), a, b)
		c := testkit.Dial(t, r.addr)
		c.Send(wire(get))
		if m := c.Response("GET"); m.Status != 200 {
			t.Errorf("got %+v", m)
		}
		var got []api.Overrun
		testkit.Eventually(t, testkit.Patience, "it is told of", func() bool { got = append(got, r.overruns.take()...); return len(got) > 0 })
		if len(got) != 1 || got[0].Requests != 1 {
			t.Errorf("told of %+v", got)
		}
		idle(t, r)
	})
}
