package keeper

import (
	"errors"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/config"
)

// Moments in which something is not yet, or not any more, and who asks then.

// TestReloadDuringStart: it waits until the apps have come to the end of their start, be it a bad one, and replaces them then.
func TestReloadDuringStart(t *testing.T) {
	bad := newApp("web", "never", 1)
	bad.Ready.Within = time.Second
	s := newSite(t, bad).start(false)
	until(t, "it answers", func() bool { return s.client.Get(t.Context(), "/v1/status", &api.Status{}) == nil })
	until(t, "it is starting", func() bool { return strings.Contains(s.workers(), "web/1.1=starting") })
	s.change(func(c *config.Config) { c.Apps[0] = newApp("web", "serve", 1) })
	if err := s.reload(""); err != nil {
		t.Fatal(err)
	}
	if got := s.workers(); !strings.HasSuffix(got, "=live") {
		t.Error(got)
	}
}

// TestStopIsAnsweredWhenFree: who has the answer may start another weir.
func TestStopIsAnsweredWhenFree(t *testing.T) {
	s := newSite(t, newApp("web", "serve", 1)).start(true)
	var all sync.WaitGroup
	for range 2 { // twice, as by two people
		all.Go(func() {
			if err := s.client.Post(t.Context(), "/v1/stop", api.Stop{Within: 5000}, nil); err != nil {
				t.Error(err)
				return
			}
			lock, err := takeLock(s.cfg.RunDir)
			if err != nil && !errors.Is(err, syscall.EWOULDBLOCK) || err == nil && lock.Close() != nil {
				t.Error(err)
			}
			if left, err := os.ReadDir(s.cfg.RunDir); err != nil || len(left) != 1 {
				t.Error("what it leaves:", left, err)
			}
		})
	}
	all.Wait()
	if lock, err := takeLock(s.cfg.RunDir); err != nil || lock.Close() != nil {
		t.Error("the lock is held:", err)
	}
	s.over()
}

// TestRefusedConfigurationForgetsNothing: what people decided of workers that a proposed configuration would not have holds until it is in force.
func TestRefusedConfigurationForgetsNothing(t *testing.T) {
	k := newKeeper(Options{}, &config.Config{})
	k.people.hands = []api.Hand{{Pool: "p", Server: "a/1.1", State: "drain"}}
	other := &config.Config{Pools: []*config.Pool{{Name: "p", App: "b"}}}
	if s := k.snapshot(&proposal{cfg: other}); len(s.state.Hands) != 0 || len(k.people.hands) != 1 {
		t.Errorf("proposed: the edge is told %v, and %v is kept", s.state.Hands, k.people.hands)
	}
	k.cfg = other
	if s := k.snapshot(nil); len(s.state.Hands)+len(k.people.hands) != 0 {
		t.Errorf("in force: %v, %v", s.state.Hands, k.people.hands)
	}
}
