package pool

import (
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/pool/health"
)

// primaries is a core whose servers a, b and c are asked for the primary.
func primaries(t *testing.T) (*core, *config.Pool) {
	t.Helper()
	cfg := &config.Pool{Name: "db", Balance: "least_conn", Protocol: config.RawTCP, Queue: config.Queue{Size: 10, Timeout: time.Second}, CloseOnDown: true,
		Health: &config.Health{Type: "postgres", Role: config.Primary, Every: time.Second, Fast: 100 * time.Millisecond, Rise: 2, Fall: 3}}
	var ws []want
	for _, name := range []string{"a", "b", "c"} {
		ws = append(ws, want{name: name, address: name, weight: 1})
	}
	c := newCore("db", nil)
	if err := c.apply(cfg, ws, nil); err != nil {
		t.Fatal(err)
	}
	return c, cfg
}

// open are the servers that take sessions.
func (c *core) open() string {
	var all []string
	for _, s := range c.view.Load().servers {
		if s.places.Open() {
			all = append(all, s.name)
		}
	}
	return strings.Join(all, ",")
}

// TestOnePrimary: whatever checks say, in whatever order, one server at the most is open, and it is the right one.
func TestOnePrimary(t *testing.T) {
	c, cfg := primaries(t)
	if got := c.open(); got != "" {
		t.Fatalf("%s is open, and nobody was asked", got)
	}
	now := time.Now()
	for i, step := range []struct {
		server string
		result health.Result
		hand   string // what people do to it instead
		want   string
		why    string // what is in the way of the server
	}{
		{"a", health.Result{OK: true, Certain: true, Term: 1}, "", "a", ""},
		{"b", health.Result{Certain: true}, "", "a", "check fails"},
		{"c", health.Result{Certain: true}, "", "a", "check fails"},
		{"b", health.Result{OK: true, Certain: true, Term: 2}, "", "b", ""}, // promoted, while a goes on
		{"a", health.Result{OK: true, Certain: true, Term: 1}, "", "b", "another server is the primary"},
		{"b", health.Result{}, "", "b", ""}, // a hiccup: a is older, so it stays
		{"a", health.Result{OK: true, Certain: true, Term: 1}, "", "b", "another server is the primary"},
		{"b", health.Result{OK: true, Certain: true, Term: 2}, "", "b", ""},
		{"b", health.Result{}, "", "b", ""},
		{"b", health.Result{}, "", "b", ""},
		{"b", health.Result{}, "", "a", "check fails"}, // it is gone: who says that it is the primary is
		{"a", health.Result{Certain: true}, "", "", "check fails"},
		{"c", health.Result{OK: true, Certain: true, Term: 3}, "", "c", ""},
		{"c", health.Result{Certain: true}, "", "", "check fails"}, // demoted: its own word counts at once
		{"a", health.Result{OK: true, Certain: true}, "", "a", ""}, // no terms from here on
		{"c", health.Result{OK: true, Certain: true}, "", "a", "another server is the primary"},
		{"a", health.Result{}, "", "c", "another server is the primary"}, // of two equals the one that answers
		{"a", health.Result{OK: true, Certain: true}, "", "c", "another server is the primary"},
		{"c", health.Result{}, "maint", "a", "in maintenance by hand"},
		{"c", health.Result{}, "ready", "a", "another server is the primary"},
	} {
		var s *Server
		for _, o := range c.view.Load().servers {
			if o.name == step.server {
				s = o
			}
		}
		if step.hand != "" {
			c.decide(t, cfg, step.server, step.hand)
		} else {
			step.result.At = now
			s.vitals.busy = true
			c.checked(s, cfg.Health, step.result, false)
		}
		if got := c.open(); got != step.want {
			t.Fatalf("step %d: %q is open, want %q", i, got, step.want)
		}
		if got := s.reasons().words(); got != step.why {
			t.Fatalf("step %d: %s is closed because of %q, want %q", i, s.name, got, step.why)
		}
	}
}

// decide has a person take a server out, or bring it back.
func (c *core) decide(t *testing.T, cfg *config.Pool, server, do string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hands = nil
	if do == "maint" {
		c.hands = []api.Hand{{Pool: "db", Server: server, State: do}}
	}
	var ws []want
	for _, s := range c.view.Load().servers {
		ws = append(ws, want{name: s.name, address: s.address, weight: 1, spec: s.spec})
	}
	if err := c.applyLocked(cfg, ws, nil); err != nil {
		t.Fatal(err)
	}
}

// Who comes before a check has found the server that is asked for waits, as before an app's first worker is ready.
func TestWaitsForItsPrimary(t *testing.T) {
	c, cfg := primaries(t)
	for role, want := range map[string]bool{config.Primary: true, config.Replica: true, "": false} {
		next, h := *cfg, *cfg.Health
		h.Role, next.Health = role, &h
		if err := c.apply(&next, nil, nil); err != nil {
			t.Fatal(err)
		}
		if got := c.view.Load().waits; got != want {
			t.Errorf("role %q: requests wait: %v", role, got)
		}
	}
}
