package edge

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/testkit"
)

// Sessions of TCP by way of the whole edge: what package relay does by itself is tried there.

// serveTCP runs an edge whose one address is for TCP. entry is what its entry of tcp says, more the rest of the file.
func serveTCP(t testing.TB, body loop.Config, entry, more string) *running {
	t.Helper()
	testkit.Leaks(t)
	e, err := start(body)
	if err != nil {
		t.Fatal(err)
	}
	r := &running{Edge: e, t: t}
	t.Cleanup(func() {
		if !r.stopped && !t.Failed() {
			testkit.Eventually(t, testkit.Patience, "no session is left", func() bool { return e.connections.Load() == 0 && e.relays.Load() == 0 })
		}
		r.stop(10 * time.Second)
	})
	r.addr = r.offer()
	r.applyTCP(entry, more, nil)
	return r
}

// applyTCP puts another configuration, and what people decided, in force.
func (r *running) applyTCP(entry, more string, hands []api.Hand) {
	r.t.Helper()
	if !strings.Contains(more, "log:") {
		more = "log: {access: {to: none}}\n" + more
	}
	r.version++
	err := r.Apply(api.EdgeState{Version: r.version, Hands: hands, Source: api.Source{Path: r.t.TempDir() + "/weir.yaml", Revision: r.version,
		Text: fmt.Sprintf("tcp: [{listen: '%s', %s}]\n%s", r.addr, entry, more)}})
	if err != nil {
		r.t.Fatal(err)
	}
}

// TestTCPLog: one line for each session, with all that is known of it.
func TestTCPLog(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		body.Loops = 1
		o := testkit.Greets(t, "tcp", "hi ")
		for _, format := range []string{"json", "combined"} {
			log, file := logged(t)
			r := serveTCP(t, body, "sni: [{names: a.example, pool: p}]", strings.Replace(log, "to:", "format: "+format+", to:", 1)+testkit.TCPPool("", o.Address))
			c := testkit.Dial(t, r.addr)
			flight := testkit.FirstFlight(t, &tls.Config{ServerName: "a.example"})
			c.Send(string(flight))
			c.Expect("hi ")
			c.Expect(string(flight))
			c.Close()
			testkit.Eventually(t, testkit.Patience, "the session is over", func() bool { return r.active() == 0 })
			c = testkit.Dial(t, r.addr)
			c.Send("nonsense\r\n\"")
			c.Closed()
			c.Close()
			text := testkit.Lines(t, file, 2)
			first, second, _ := strings.Cut(text, "\n")
			wants := []string{fmt.Sprintf(`"protocol":"TCP","listen":"%s","name":"a.example","status":200,"out":%d,"in":%d,`, r.addr, 3+len(flight), len(flight)),
				`"pool":"p","server":"` + o.Address + `","detail":"the client closed first"`, `"status":400,"out":0,"in":0,`, `"cause":"bad_hello","detail":"it is no TLS"`}
			if format == "combined" {
				wants = []string{fmt.Sprintf(`"TCP %s a.example" 200 %d "-" "-"`, r.addr, 3+len(flight)), "127.0.0.1 - - [", fmt.Sprintf(`"TCP %s" 400 0 "-" "-"`, r.addr), "127.0.0.1 - - ["}
			}
			for i, w := range wants {
				if !strings.Contains([]string{first, first, second, second}[i], w) {
					t.Errorf("%s: no %s in\n%s", format, w, text)
				}
			}
			st := r.Status()
			if sv := st.Pools[0].Servers[0]; sv.In != uint64(len(flight)) || sv.Out != uint64(3+len(flight)) || sv.Requests != 1 || st.Sessions != 2 || !st.Pools[0].TCP {
				t.Errorf("%+v, %+v", sv, st)
			}
		}
	})
}

// TestTCPStops: what is under way when the edge stops is ended when its time is over, and told of.
func TestTCPStops(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		o := testkit.Greets(t, "tcp", "hi ")
		log, file := logged(t)
		r := serveTCP(t, body, "pool: p", log+testkit.TCPPool("", o.Address))
		c := testkit.Dial(t, r.addr)
		c.Expect("hi ")
		r.stop(100 * time.Millisecond)
		c.Closed()
		c.Close()
		if text := testkit.Lines(t, file, 1); !strings.Contains(text, `"cause":"stopping"`) {
			t.Error(text)
		}
	})
}
