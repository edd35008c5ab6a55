package keeper

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/config"
)

func TestStartServeStop(t *testing.T) {
	s := newSite(t, newApp("web", "serve", 2), newApp("api", "serve", 1)).start(true)
	until(t, "all are live", func() bool { return s.workers() == "web/1.1=live web/2.1=live api/1.1=live" })
	st := s.status()
	if st.PID != os.Getpid() || st.Version != "test" || st.Edge == nil || st.Problem != "" || st.EdgeRestarts != 0 {
		t.Errorf("%+v", st)
	}
	if pid, err := get("unix", st.Listen[0]); err != nil || pid != strconv.Itoa(st.Edge.PID) {
		t.Error(pid, err)
	}
	info, err := os.Stat(api.KeeperSocket(s.cfg.RunDir))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	if !strings.Contains(s.read("log"), "→ web (2 workers), api (1 worker)") {
		t.Error("it does not say that it is ready")
	}
	if err := s.client.Post(t.Context(), "/v1/stop", api.Stop{Within: 5000}, nil); err != nil {
		t.Fatal(err)
	}
	s.over()
	if s.err != nil {
		t.Error(s.err)
	}
	for _, a := range st.Apps {
		for _, w := range a.Workers {
			if alive(w.PID) {
				t.Error(w.Name, "lives")
			}
		}
	}
	if alive(st.Edge.PID) {
		t.Error("the edge lives")
	}
	left, err := os.ReadDir(s.cfg.RunDir)
	if err != nil || len(left) != 1 || left[0].Name() != "weir.lock" {
		t.Error(left, err)
	}
	if _, err := os.Stat(st.Listen[0]); !errors.Is(err, os.ErrNotExist) {
		t.Error("the socket file stays", err)
	}
}

func TestEdgeIsBackOnTheSameSockets(t *testing.T) {
	s := newSite(t, newApp("web", "serve", 1))
	s.cfg.Listen = append(s.cfg.Listen, config.Listen{Network: "tcp", Address: "127.0.0.1:0"})
	s.start(true)
	addr := s.status().Listen[1]
	var worst time.Duration
	for i := range 5 {
		was, err := get("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(was)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		now := was
		for now == was {
			// The listening sockets never close: a connection waits in them until the next edge takes it. One that the
			// dying edge had accepted already is reset.
			if got, err := get("tcp", addr); err == nil {
				now = got
			} else if errors.Is(err, syscall.ECONNREFUSED) {
				t.Fatal(err)
			}
		}
		worst = max(worst, time.Since(began))
		until(t, "it has noticed", func() bool { st := s.status(); return st.EdgeRestarts == i+1 && st.Edge != nil })
	}
	t.Logf("back after at most %v", worst)
	if worst > 200*time.Millisecond*slow {
		t.Errorf("back after %v", worst)
	}
	if st := s.status(); !strings.Contains(st.Problem, "the edge is in a crash loop: it died 5 times in a row") {
		t.Error(st.Problem)
	}
	if s.workers() != "web/1.1=live" {
		t.Error("the workers were touched:", s.workers())
	}
	states := strings.Split(strings.TrimSpace(s.read("edge.log")), "\n")
	if last := states[len(states)-1]; last != "state web/1.1=ready" {
		t.Error("the last state was", last)
	}
}

func TestRollingReload(t *testing.T) {
	s := newSite(t, newApp("web", "serve", 2)).start(true)
	until(t, "both are live", func() bool { return s.workers() == "web/1.1=live web/2.1=live" })
	from := len(s.read("edge.log"))
	if err := s.reload("web"); err != nil {
		t.Fatal(err)
	}
	if got := s.workers(); got != "web/1.2=live web/2.2=live" {
		t.Error(got)
	}
	want := []string{
		"state web/1.1=ready web/1.2=ready web/2.1=ready",
		"state web/1.2=ready web/1.1=leaving web/2.1=ready",
		"drain web/1.1",
		"state web/1.2=ready web/2.1=ready",
		"state web/1.2=ready web/2.1=ready web/2.2=ready",
		"state web/1.2=ready web/2.2=ready web/2.1=leaving",
		"drain web/2.1",
		"state web/1.2=ready web/2.2=ready",
	}
	until(t, "the edge has the last state", func() bool { return strings.HasSuffix(s.read("edge.log"), want[7]+"\n") })
	got := slices.Compact(strings.Split(strings.TrimSpace(s.read("edge.log")[from:]), "\n"))
	if !slices.Equal(got, want) {
		t.Errorf("the edge was told\n%s", strings.Join(got, "\n"))
	}
	if err := s.reload("wbe"); err == nil || err.Error() != `there is no app "wbe": there is web` {
		t.Error(err)
	}
	if st := s.status(); st.Problem != "" {
		t.Error("a slip of whoever reloads is a problem of the site:", st.Problem)
	}
}

func TestNewWorkerThatNeverGetsReadyLeavesTheOldOne(t *testing.T) {
	s := newSite(t, newApp("web", "serve", 2)).start(true)
	until(t, "both are live", func() bool { return s.workers() == "web/1.1=live web/2.1=live" })
	for mode, want := range map[string]string{
		"crash": "exit status 7; its last words: crashing as told",
		"never": "did not accept connections within 300ms",
	} {
		s.change(func(c *config.Config) {
			c.Apps[0] = newApp("web", mode, 2)
			if mode == "never" {
				c.Apps[0].Ready.Within = 300 * time.Millisecond
			}
		})
		err := s.reload("")
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "go on") {
			t.Error(err)
		}
		if got := s.workers(); got != "web/1.1=live web/2.1=live" {
			t.Error(got)
		}
		if st := s.status(); !strings.Contains(st.Problem, want) {
			t.Error(st.Problem)
		}
	}
	if err := s.reload("web"); err != nil {
		t.Error(err)
	}
	if st := s.status(); st.Problem == "" {
		t.Error("a configuration that was refused is forgotten with the reload of an app")
	}
	s.change(func(c *config.Config) { c.Apps[0] = newApp("web", "serve", 2) })
	if err := s.reload(""); err != nil {
		t.Error(err)
	}
	if st := s.status(); st.Problem != "" {
		t.Error("a good reload leaves the old problem", st.Problem)
	}
}

func TestReloadOfTheFile(t *testing.T) {
	s := newSite(t, newApp("web", "serve", 1), newApp("old", "serve", 1)).start(true)
	until(t, "both are live", func() bool { return s.workers() == "web/1.1=live old/1.1=live" })
	before := s.status()
	s.change(func(c *config.Config) {
		c.Apps = []*config.App{newApp("web", "serve", 1), newApp("new", "serve", 2)}
		c.Listen = []config.Listen{{Network: "tcp", Address: "127.0.0.1:0"}}
		c.Text = "changed"
		c.Log.Level = "error"
	})
	if err := s.reload(""); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(s.read("log"), "weir: reloaded") {
		t.Error("log.level: error was not heeded")
	}
	if got := s.workers(); got != "web/1.1=live new/1.1=live new/2.1=live" {
		t.Error(got)
	}
	after := s.status()
	if after.Apps[0].Workers[0].PID != before.Apps[0].Workers[0].PID || after.Edge.PID != before.Edge.PID {
		t.Error("what had not changed was touched")
	}
	if pid, err := get("tcp", after.Listen[0]); err != nil || pid != strconv.Itoa(after.Edge.PID) {
		t.Error("the new listener does not work", pid, err)
	}
	if _, err := os.Stat(before.Listen[0]); !errors.Is(err, os.ErrNotExist) {
		t.Error("the listener that was taken away is there", err)
	}
	// The app comes back; its workers' names do not come a second time.
	s.change(func(c *config.Config) { c.Apps = append(c.Apps, newApp("old", "serve", 1)) })
	s.signals <- syscall.SIGHUP
	until(t, "it is back", func() bool { return strings.HasSuffix(s.workers(), "old/1.2=live") })
}

func TestBadReloadChangesNothing(t *testing.T) {
	s := newSite(t, newApp("web", "serve", 1)).start(true)
	before := s.status()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	freed := free.Addr().String()
	free.Close()
	good := s.cfg
	for _, c := range []struct {
		name   string
		change func(*config.Config)
		want   string
	}{
		{"unreadable", func(*config.Config) { s.load = errors.New("site.yaml:3:1: unknown key") }, "site.yaml:3:1: unknown key"},
		{"no command", func(c *config.Config) { c.Apps = append(c.Apps, &config.App{Name: "x", Argv: []string{"/no/such"}}) }, "there is no command /no/such"},
		{"port taken", func(c *config.Config) {
			c.Listen = append(c.Listen, config.Listen{Network: "tcp", Address: taken.Addr().String()})
		}, "is taken by"},
		{"new app dies", func(c *config.Config) { c.Apps = append(c.Apps, newApp("x", "crash", 1)) }, "nothing was changed: site.yaml: app x does not start: x/1.1 died before it was ready: exit status 7; its last words: crashing as told"},
		{"edge refuses", func(c *config.Config) {
			s.touch("refuse")
			c.Apps = append(c.Apps, newApp("x", "serve", 1))
			c.Listen = append(c.Listen, config.Listen{Network: "tcp", Address: freed})
		}, "nothing was changed: the edge refused the configuration: the fake edge does not like it"},
		{"run dir", func(c *config.Config) { c.RunDir = s.dir }, "the run directory cannot be changed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.change(c.change)
			err := s.reload("")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Error(err)
			}
			s.change(func(c *config.Config) { *c = good; s.load = nil })
			after := s.status()
			if s.workers() != "web/1.1=live" || after.Apps[0].Workers[0].PID != before.Apps[0].Workers[0].PID || !slices.Equal(after.Listen, before.Listen) {
				t.Errorf("%+v", after)
			}
			if after.Edge == nil || after.Edge.PID != before.Edge.PID {
				t.Error("the edge is another")
			}
			if conn, err := net.Dial("tcp", freed); err == nil {
				conn.Close()
				t.Error("the listener of a refused configuration accepts")
			}
		})
	}
	if err := os.Remove(filepath.Join(s.dir, "refuse")); err != nil {
		t.Fatal(err)
	}
	s.change(func(c *config.Config) { c.Listen = append(c.Listen, config.Listen{Network: "tcp", Address: freed}) })
	if err := s.reload(""); err != nil {
		t.Fatal("the address of a refused configuration cannot be had again: ", err)
	}
	if _, err := get("tcp", freed); err != nil {
		t.Error(err)
	}
}

func TestReopen(t *testing.T) {
	s := newSite(t).start(true)
	s.signals <- syscall.SIGUSR1
	until(t, "the signal reaches the edge", func() bool { return strings.Contains(s.read("edge.log"), "reopen\n") })
	until(t, "it is said", func() bool { return strings.Contains(s.read("log"), "opened the access log anew") })
	if err := s.client.Post(t.Context(), "/v1/reopen", struct{}{}, nil); err != nil || strings.Count(s.read("edge.log"), "reopen\n") != 2 {
		t.Error(err)
	}
	s.touch("no disk")
	if err := s.client.Post(t.Context(), "/v1/reopen", struct{}{}, nil); err == nil || err.Error() != "no space left on device" {
		t.Error(err)
	}
}

// TestDeskThatHangsIsReplaced: and one that is well stays.
func TestDeskThatHangsIsReplaced(t *testing.T) {
	s := newSite(t, newApp("web", "serve", 1))
	s.pulse = 100 * time.Millisecond * slow
	s.cfg.Admin = &config.Admin{}
	s.start(true)
	desks := func() []string { return strings.Fields(s.read("desks")) }
	until(t, "there is a desk", func() bool { return len(desks()) == 1 })
	asked := func() int { return strings.Count(s.read("edge.log"), "alive?\n") }
	before := asked()
	until(t, "time goes by, in which it is well", func() bool { return asked() >= before+2*deskMissed })
	if len(desks()) != 1 {
		t.Fatal("it was replaced, and was well")
	}
	s.touch("hang")
	until(t, "there is another one", func() bool { return len(desks()) == 2 })
	if !strings.Contains(s.read("log"), "the status page's process hangs") {
		t.Error(s.read("log"))
	}
}

func TestEdgeThatHangsIsReplaced(t *testing.T) {
	s := newSite(t, newApp("web", "serve", 1))
	s.pulse = 200 * time.Millisecond * slow
	s.start(true)
	asked := func() int { return strings.Count(s.read("edge.log"), "alive?\n") }
	// One miss, as after a suspended machine, is nothing.
	s.touch("miss")
	before := asked()
	until(t, "it was asked again and again", func() bool { return asked() >= before+3 })
	was := s.status()
	if was.EdgeRestarts != 0 {
		t.Fatal("it was replaced for a miss")
	}
	if err := syscall.Kill(was.Edge.PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	until(t, "another one serves", func() bool {
		pid, err := get("unix", was.Listen[0])
		return err == nil && pid != strconv.Itoa(was.Edge.PID)
	})
	until(t, "it has said that it is ready", func() bool { return s.status().Edge != nil })
	if st := s.status(); st.EdgeRestarts != 1 || s.workers() != "web/1.1=live" {
		t.Errorf("%+v", st)
	}
	if log := s.read("log"); !strings.Contains(log, "THE EDGE HANGS") || !strings.Contains(log, "signal: killed: it hung: no sign of life in ") {
		t.Error("it is not said")
	}
}

func TestCrashLoopIsSaidLoudly(t *testing.T) {
	web := newApp("web", "crash-on-file", 1)
	s := newSite(t, web)
	web.Env["FILE"] = filepath.Join(s.dir, "now")
	s.start(false)
	until(t, "it is in the log", func() bool { return strings.Contains(s.read("log"), "CRASH LOOP: web/1 died 3 times in a row") })
	until(t, "it is in the status", func() bool {
		w := s.status().Apps[0].Workers[0]
		return w.Looping && strings.Contains(w.Last, "exit status 7; its last words: no file") && w.Restarts >= 2
	})
	if !strings.Contains(s.read("log"), "web/1: no file") || !strings.Contains(s.read("log"), "site.yaml: app web does not start") {
		t.Error("its output or its place is not in the log")
	}
	s.touch("now")
	until(t, "it is live", func() bool { return strings.HasSuffix(s.workers(), "=live") })
}

func TestStubbornWorker(t *testing.T) {
	t.Run("KILL after its time", func(t *testing.T) {
		web := newApp("web", "stubborn", 1)
		web.Stop.Within = 200 * time.Millisecond
		s := newSite(t, web).start(true)
		s.signals <- syscall.SIGINT
		s.over()
		if s.err != nil || !strings.Contains(s.read("log"), "web/1.1 did not stop within 200ms of SIGTERM: it is killed") {
			t.Error(s.err)
		}
	})
	t.Run("at once by a second signal", func(t *testing.T) {
		web := newApp("web", "stubborn", 1)
		web.Stop.Within = time.Hour
		s := newSite(t, web).start(true)
		pid := s.status().Apps[0].Workers[0].PID
		s.touch("hang")
		s.signals <- syscall.SIGTERM
		until(t, "the edge is told", func() bool { return strings.HasSuffix(s.read("edge.log"), "stop\n") })
		if !alive(pid) {
			t.Error("the worker was stopped before the edge")
		}
		s.insist()
		if s.err != nil || alive(pid) {
			t.Error(s.err)
		}
	})
	t.Run("not at once by a signal that comes twice", func(t *testing.T) {
		s := newSite(t, newApp("web", "serve", 1)).start(true)
		s.signals <- syscall.SIGTERM
		s.signals <- syscall.SIGTERM
		s.over()
		if s.err != nil || strings.Contains(s.read("log"), "at once") {
			t.Error(s.err)
		}
	})
}

func TestStopDuringReload(t *testing.T) {
	s := newSite(t, newApp("web", "serve", 1)).start(true)
	s.change(func(c *config.Config) { c.Apps[0] = newApp("web", "never", 1) })
	answer := make(chan error, 1)
	go func() { answer <- s.reload("") }()
	until(t, "the new worker is starting", func() bool { return strings.Contains(s.workers(), "web/1.2=starting") })
	if err := s.reload("web"); err == nil || err.Error() != errBusy.Error() {
		t.Error(err)
	}
	s.signals <- syscall.SIGTERM
	s.over()
	if err := <-answer; err == nil || s.err != nil {
		t.Error(err, s.err)
	}
}

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

// TestHangupsDuringReload: a signal cannot be told to come again later, so it waits; many are one.
func TestHangupsDuringReload(t *testing.T) {
	s := newSite(t, newApp("web", "serve", 1)).start(true)
	s.change(func(c *config.Config) { c.Apps[0] = newApp("web", "never", 1) })
	answer := make(chan error, 1)
	go func() { answer <- s.reload("") }()
	until(t, "the new worker is starting", func() bool { return strings.Contains(s.workers(), "web/1.2=starting") })
	s.change(func(c *config.Config) {
		c.Apps[0] = newApp("web", "serve", 1)
		c.Apps = append(c.Apps, newApp("second", "serve", 1))
	})
	for range 5 {
		s.signals <- syscall.SIGHUP
	}
	s.status() // they have been handled
	kill := func() {
		for _, w := range s.status().Apps[0].Workers {
			if w.State == "starting" && w.PID != 0 {
				syscall.Kill(w.PID, syscall.SIGKILL) //nolint:errcheck // it may be gone by itself
			}
		}
	}
	kill()
	if err := <-answer; err == nil {
		t.Error("the worker that is never ready was taken")
	}
	until(t, "the last configuration is in force", func() bool { return strings.Contains(s.workers(), "second/1.1=live") })
	if n := strings.Count(s.read("log"), "another reload"); n != 0 {
		t.Error(s.read("log"))
	}
	s.signals <- syscall.SIGHUP
	until(t, "the next one is heeded too", func() bool { return strings.Count(s.read("log"), "reloaded the configuration") >= 2 })
}

// TestStopDuringStart: what did not start because it was stopped is no error.
func TestStopDuringStart(t *testing.T) {
	s := newSite(t, newApp("web", "never", 1)).start(false)
	until(t, "it answers", func() bool { return s.client.Get(t.Context(), "/v1/status", &api.Status{}) == nil })
	until(t, "it is starting", func() bool { return strings.Contains(s.workers(), "web/1.1=starting") })
	s.signals <- syscall.SIGTERM
	s.over()
	if log := s.read("log"); s.err != nil || strings.Contains(log, "does not start") {
		t.Errorf("%v\n%s", s.err, log)
	}
}

func TestCannotStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	address := taken.Addr().String()
	blocked := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocked, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*site)
		want   string
	}{
		"port taken":    {func(s *site) { s.cfg.Listen = []config.Listen{{Network: "tcp", Address: address}} }, fmt.Sprintf("the address %s is taken by keeper.test (process %d): stop that, or listen elsewhere", address, os.Getpid())},
		"not ours":      {func(s *site) { s.cfg.Listen = []config.Listen{{Network: "tcp", Address: "192.0.2.1:80"}} }, "the address 192.0.2.1:80 is not one of this machine's"},
		"no socket":     {func(s *site) { s.cfg.Listen = []config.Listen{{Network: "unix", Address: blocked}} }, "is a file that is no socket"},
		"run directory": {func(s *site) { s.cfg.RunDir = filepath.Join(blocked, "run") }, "cannot be made: not a directory: name another by --run-dir"},
		"run directory open to all": {func(s *site) {
			if err := errors.Join(os.Mkdir(s.cfg.RunDir, 0o700), os.Chmod(s.cfg.RunDir, 0o777)); err != nil {
				s.t.Fatal(err)
			}
		}, "can be written to by everybody, so that its sockets would not be safe: name another by --run-dir"},
		"edge":          {func(s *site) { s.touch("fail") }, "the edge cannot serve: exit status 1: the fake edge is to fail"},
		"command":       {func(s *site) { s.cfg.Apps[0].Argv = []string{"no-such"} }, `app web: there is no command "no-such"`},
		"configuration": {func(s *site) { s.load = errors.New("site.yaml: wrong") }, "site.yaml: wrong"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, newApp("web", "serve", 1))
			c.change(s)
			err := Run(t.Context(), s.options())
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(strings.TrimSpace(err.Error()), "\n") {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
	t.Run("another weir", func(t *testing.T) {
		s := newSite(t, newApp("web", "serve", 1)).start(true)
		err := Run(t.Context(), s.options())
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("another weir (process %d) runs with the run directory", os.Getpid())) {
			t.Error(err)
		}
		if _, err := get("unix", s.status().Listen[0]); err != nil {
			t.Error("the first one was hurt", err)
		}
	})
}

func TestRunDirOfAStranger(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chown(dir, max(os.Geteuid(), 1), -1); err != nil { // root may own any run directory
		t.Fatal(err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	owner := max(os.Geteuid(), 1)
	if err := checkOwner(info, owner); err != nil {
		t.Error("its owner:", err)
	}
	if err := checkOwner(info, owner+1); err == nil || err.Error() != fmt.Sprintf("belongs to another user (uid %d)", owner) {
		t.Error("a stranger:", err)
	}
}

func TestPortSharedWithAnotherReuser(t *testing.T) {
	first, err := openListener(config.Listen{Network: "tcp", Address: "127.0.0.1:0"}, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer first.close()
	if len(first.files) != 2 {
		t.Fatal(len(first.files))
	}
	if _, err := openListener(config.Listen{Network: "tcp", Address: first.addr}, 2); err == nil || !strings.Contains(err.Error(), "is taken by") {
		t.Error("two weirs would share a port", err)
	}
	for address, want := range map[string]string{"[::]:80": "http://localhost", "0.0.0.0:8080": "http://localhost:8080", "127.0.0.1:81": "http://127.0.0.1:81"} {
		if got := (&listener{spec: config.Listen{Network: "tcp"}, addr: address}).url(); got != want {
			t.Error(got)
		}
	}
}

func TestStaleSocketIsReplacedAndLiveOneIsNot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	spec := config.Listen{Network: "unix", Address: path}
	l, err := openListener(spec, 3)
	if err != nil || len(l.files) != 3 {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o666 {
		t.Error(info.Mode(), err)
	}
	if _, err := openListener(spec, 1); err == nil || !strings.Contains(err.Error(), "is taken by another program") {
		t.Error(err)
	}
	l.close() // the file stays, as after a kill -9
	l, err = openListener(spec, 1)
	if err != nil {
		t.Fatal(err)
	}
	l.remove()
}

func TestNothingOutlivesAKeeperThatIsKilled(t *testing.T) {
	s := newSite(t, newApp("web", "family", 2))
	first := s.keep("first.log")
	until(t, "it is ready", func() bool { return s.up("web/1.1=live web/2.1=live") })
	st := s.status()
	var family []int
	until(t, "both have said what they started", func() bool {
		family = nil
		for line := range strings.Lines(s.read("first.log")) {
			if _, rest, ok := strings.Cut(line, ": family "); ok {
				pid, err := strconv.Atoi(strings.TrimSpace(rest))
				if err != nil {
					t.Fatal(err)
				}
				family = append(family, pid)
			}
		}
		return len(family) == 2
	})
	s.touch("slow")
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	first.Wait()
	leader := st.Apps[0].Workers[0].PID
	until(t, "the guard has noticed", func() bool { return strings.Contains(s.read("first.log"), "weir run died: the edge finishes") })
	// The edge still has requests: the workers are there for them.
	for range 10 {
		time.Sleep(10 * time.Millisecond)
		if !alive(leader) || !alive(st.Edge.PID) {
			t.Fatal("a worker was stopped before the edge had drained")
		}
	}
	if err := os.Remove(filepath.Join(s.dir, "slow")); err != nil {
		t.Fatal(err)
	}
	until(t, "edge, workers and what they had started are gone", func() bool {
		return !alive(st.Edge.PID) && !alive(leader) && !alive(st.Apps[0].Workers[1].PID) && !alive(family[0]) && !alive(family[1])
	})
	until(t, "the guard has done", func() bool { return strings.Contains(s.read("first.log"), "left behind is gone") })
	s.client.Close()
}

// A weir that is started where another was killed does not wait for its guard, and does not suffer from it.
func TestNextWeirEndsWhatTheLastOneLeft(t *testing.T) {
	s := newSite(t, newApp("web", "family", 1))
	s.cfg.Apps[0].Stop.Within = time.Hour
	first := s.keep("first.log")
	until(t, "it is ready", func() bool { return s.up("web/1.1=live") })
	st := s.status()
	s.touch("slow") // the first edge does not finish, so the guard waits
	first.Process.Kill()
	first.Wait()
	until(t, "the guard has noticed", func() bool { return strings.Contains(s.read("first.log"), "weir run died") })
	second := s.keep("second.log")
	until(t, "the second one is ready", func() bool { return s.up("web/1.1=live") })
	if alive(st.Apps[0].Workers[0].PID) {
		t.Error("the old worker lives")
	}
	now := s.status()
	if err := os.Remove(filepath.Join(s.dir, "slow")); err != nil {
		t.Fatal(err)
	}
	until(t, "the first guard has done", func() bool { return strings.Contains(s.read("first.log"), "left behind is gone") })
	if after := s.status(); s.workers() != "web/1.1=live" || after.Apps[0].Workers[0].PID != now.Apps[0].Workers[0].PID || after.EdgeRestarts != 0 {
		t.Errorf("the guard of the first hurt the second: %+v", after)
	}
	if err := second.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := second.Wait(); err != nil {
		t.Error(err)
	}
	s.client.Close()
}

func TestGuardIsBackWhenItDies(t *testing.T) {
	s := newSite(t, newApp("web", "serve", 1)).start(true)
	guards := func() (pids []int) {
		for _, pid := range childrenOf(t, os.Getpid()) {
			if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && strings.Contains(string(text), "\x00guard\x00"+s.cfg.RunDir) {
				pids = append(pids, pid)
			}
		}
		return pids
	}
	was := guards()
	if len(was) != 1 {
		t.Fatal(was)
	}
	if err := syscall.Kill(was[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, "another is there", func() bool { now := guards(); return len(now) == 1 && now[0] != was[0] })
	if s.workers() != "web/1.1=live" || !strings.Contains(s.read("log"), "the guard died") {
		t.Error(s.workers())
	}
}

func TestNoDescriptorStays(t *testing.T) {
	count := func() int {
		d, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(d)
	}
	before := 0
	for i := range 3 {
		s := newSite(t, newApp("web", "serve", 1)).start(true)
		if err := s.reload("web"); err != nil {
			t.Fatal(err)
		}
		s.signals <- syscall.SIGTERM
		s.over()
		if i == 0 {
			before = count()
		}
	}
	// Each site's log file stays open until the test ends.
	until(t, "all are closed", func() bool { return count() <= before+2 })
}
