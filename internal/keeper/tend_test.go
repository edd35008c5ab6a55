package keeper

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/app"
	"github.com/weirhq/weir/internal/config"
)

// pools says what the fake edge knows of the workers.
func (s *site) pools(all ...api.PoolStatus) {
	s.t.Helper()
	text, err := json.Marshal(all)
	if err != nil {
		s.t.Fatal(err)
	}
	aside := filepath.Join(s.dir, "pools.new")
	if err := os.WriteFile(aside, text, 0o644); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(aside, filepath.Join(s.dir, "pools.json")); err != nil {
		s.t.Fatal(err)
	}
}

func pool(name, of string, maxConn int, queued int64, servers ...api.ServerStatus) api.PoolStatus {
	return api.PoolStatus{Name: name, App: of, MaxConn: maxConn, Queued: queued, Servers: servers}
}

func server(name string, active int64, requests uint64) api.ServerStatus {
	return api.ServerStatus{Name: name, State: "ready", Active: active, Requests: requests}
}

// TestRequestsAreCountedOverEdges: what an edge that died had counted is not forgotten, and not counted twice.
func TestRequestsAreCountedOverEdges(t *testing.T) {
	a := newApp("web", "serve", 1)
	a.Recycle.AfterRequests = 100
	s := newSite(t, a).start(true)
	s.pools(pool("web", "web", 0, 0, server("web/1.1", 0, 40)), pool("other", "web", 0, 0, server("web/1.1", 0, 20)))
	count := func() int64 { return s.status().Apps[0].Workers[0].Requests }
	until(t, "both pools are counted", func() bool { return count() == 60 })
	before := s.status().Edge.PID
	s.pools(pool("web", "web", 0, 0, server("web/1.1", 0, 5)))
	if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, "the next edge's are added", func() bool { return count() == 65 })
	if got := s.workers(); got != "web/1.1=live" {
		t.Error(got)
	}
	s.pools(pool("web", "web", 0, 0, server("web/1.1", 0, 40)))
	until(t, "it is replaced", func() bool { return s.workers() == "web/1.2=live" })
	if !strings.Contains(s.read("log"), "web/1.1 is being replaced: it has answered 100 requests") {
		t.Error("it does not say why")
	}
}

// TestAllUnwellAtOnce: where all fail their checks, and new ones do not get ready either, all but one go on.
func TestAllUnwellAtOnce(t *testing.T) {
	a := newApp("web", "healthy", 3)
	a.Ready.Path, a.Ready.Within = "/healthz", 300*time.Millisecond
	a.Alive = config.Alive{Path: "/healthz", Every: 50 * time.Millisecond, Timeout: 5 * time.Second, Fall: 2}
	s := newSite(t, a)
	a.Env["FILE"] = filepath.Join(s.dir, "ill")
	s.start(true)
	until(t, "all are live", func() bool { return strings.Count(s.workers(), "live") == 3 })
	s.touch("ill")
	until(t, "new ones have failed", func() bool { return strings.Count(s.read("log"), "stays for now, its successor failed") >= 4 })
	if got := strings.Count(s.workers(), "live"); got != 2 {
		t.Errorf("%d workers serve: %s", got, s.workers())
	}
	if err := os.Remove(filepath.Join(s.dir, "ill")); err != nil {
		t.Fatal(err)
	}
	until(t, "all is well", func() bool {
		st := s.status()
		for _, w := range st.Apps[0].Workers {
			if w.State != "live" || w.Due != "" {
				return false
			}
		}
		return len(st.Apps[0].Workers) == 3
	})
}

// TestGrowsWithTheQueue: as the edge tells, and back only after minutes; a reload has the number that there is.
func TestGrowsWithTheQueue(t *testing.T) {
	a := newApp("web", "serve", 1)
	a.MaxWorkers = 2
	s := newSite(t, a).start(true)
	s.pools(pool("web", "web", 1, 7, server("web/1.1", 1, 1)))
	until(t, "there are two", func() bool { return s.workers() == "web/1.1=live web/2.1=live" })
	if !strings.Contains(s.read("log"), "web is to have 2 workers instead of 1: up to 7 requests wait") {
		t.Error("it does not say why")
	}
	if err := s.reload("web"); err != nil {
		t.Fatal(err)
	}
	if got := s.workers(); got != "web/1.2=live web/2.2=live" {
		t.Error(got)
	}
}

// TestOverrunReplacesThatWorker: the edge's word is enough.
func TestOverrunReplacesThatWorker(t *testing.T) {
	a := newApp("web", "serve", 2)
	a.RequestTimeout = time.Second
	s := newSite(t, a).start(true)
	until(t, "both are live", func() bool { return s.workers() == "web/1.1=live web/2.1=live" })
	s.touch("overrun")
	if err := syscall.Kill(s.status().Edge.PID, syscall.SIGKILL); err != nil { // the next one says it
		t.Fatal(err)
	}
	until(t, "it is replaced", func() bool { return s.workers() == "web/1.2=live web/2.1=live" })
	if st := s.status().Apps[0]; st.Overrun != 3 || st.Lost != 2 {
		t.Errorf("%d, of them %d lost", st.Overrun, st.Lost)
	}
}

func TestLoad(t *testing.T) {
	for _, c := range []struct {
		live  int
		pools []api.PoolStatus
		want  app.Load
	}{
		{2, nil, app.Load{Live: 2}},
		{2, []api.PoolStatus{pool("web", "web", 0, 3, server("web/1.1", 9, 0), server("web/2.1", 0, 0))}, app.Load{Live: 2, Busy: 0.5, Queued: 3}},
		{2, []api.PoolStatus{pool("web", "web", 4, 0, server("web/1.1", 4, 0), server("web/2.1", 2, 0))}, app.Load{Live: 2, Busy: 0.75}},
		{2, []api.PoolStatus{pool("a", "web", 2, 1, server("web/1.1", 1, 0)), pool("b", "web", 2, 1, server("web/1.1", 2, 0))}, app.Load{Live: 2, Busy: 0.5, Queued: 2}},
		{1, []api.PoolStatus{pool("x", "other", 1, 9, server("other/1.1", 1, 0)), pool("f", "", 1, 9, server("10.0.0.1:80", 1, 0))}, app.Load{Live: 1}},
		{1, []api.PoolStatus{pool("web", "web", 1, 0, server("web/1.1", 1, 0), server("web/1.2", 1, 0))}, app.Load{Live: 1, Busy: 1}},
	} {
		got := loadOf("web", c.live, c.pools)
		if math.Abs(got.Busy-c.want.Busy) > 1e-9 || got.Queued != c.want.Queued || got.Live != c.want.Live {
			t.Errorf("%+v: %+v", c.pools, got)
		}
	}
}

// TestTouch: a file that is touched reloads, also when it is there for the first time; another file is looked at afresh.
func TestTouch(t *testing.T) {
	a := newApp("web", "serve", 1)
	s := newSite(t, a)
	a.Reload.File = filepath.Join(s.dir, "restart")
	s.start(true)
	until(t, "the file has been looked at", func() bool {
		s.touch("restart") // each is another moment
		return s.workers() != "web/1.1=live"
	})
	until(t, "it is reloaded", func() bool {
		log := s.read("log")
		return strings.Contains(log, "reloaded app web") && strings.Count(log, "is reloaded: its file was touched") == strings.Count(log, "reloaded app web")
	})
	s.change(func(c *config.Config) {
		b := *a
		b.Reload.File = filepath.Join(s.dir, "other")
		c.Apps[0] = &b
	})
	before := strings.Count(s.read("log"), "reloaded app web")
	if err := s.reload(""); err != nil {
		t.Fatal(err)
	}
	until(t, "the other one leads to a reload too", func() bool {
		s.touch("other")
		return strings.Count(s.read("log"), "reloaded app web") > before
	})
}
