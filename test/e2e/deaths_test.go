package e2e

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/testkit"
)

// long is how long a test goes on that repeats something: WEIR_E2E_LONG=5m for a soak.
func long(t *testing.T, otherwise time.Duration) time.Duration {
	text := os.Getenv("WEIR_E2E_LONG")
	if text == "" {
		return otherwise
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("WEIR_E2E_LONG: %v", err)
	}
	return d
}

// TestWorkersDieUnderLoad: a worker killed with -9, again and again: no GET fails.
func TestWorkersDieUnderLoad(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Plain: true, Config: hello(4, "")})
	waitWorkers(t, w, "hello", 4)
	f := testkit.Load{Address: w.Address, Conns: 8, Pause: time.Millisecond}.Start(t)
	end := time.Now().Add(long(t, 30*time.Second))
	kills := 0
	for time.Now().Before(end) {
		all := waitWorkers(t, w, "hello", 2)
		if !all[kills%len(all)].KillIfThere(t, syscall.SIGKILL) {
			continue // the last one, whose death has not been seen yet
		}
		kills++
		f.After(t, 200)
	}
	noneFailed(t, fmt.Sprintf("%d workers killed", kills), f.Stop(), 200*kills)
	if kills < 10 {
		t.Errorf("only %d workers were killed", kills)
	}
	waitWorkers(t, w, "hello", 4)
}

// TestRollingReloadUnderLoad: every worker is replaced, no request fails, POSTs included.
func TestRollingReloadUnderLoad(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Plain: true, Config: hello(3, "")})
	before := pids(waitWorkers(t, w, "hello", 3))
	gets := testkit.Load{Address: w.Address, Conns: 4, Pause: time.Millisecond}.Start(t)
	posts := testkit.Load{Address: w.Address, Conns: 4, Pause: time.Millisecond, Method: "POST", Path: "/echo", Body: 3000}.Start(t)
	late := testkit.Load{Address: w.Address, Conns: 2, Path: "/slow?ms=100"}.Start(t)
	for range 3 {
		w.Do("reload", "hello")
		gets.After(t, 50)
		now := w.Workers("hello")
		if len(now) != 3 {
			t.Errorf("%d workers after a reload", len(now))
		}
		for _, p := range now {
			if before[p.PID] {
				t.Errorf("process %d is there still", p.PID)
			}
		}
		before = pids(now)
	}
	noneFailed(t, "GET", gets.Stop(), 150)
	noneFailed(t, "POST", posts.Stop(), 50)
	noneFailed(t, "slow GET", late.Stop(), 5)
}

// TestConfigurationReloadUnderLoad: SIGHUP puts a changed file in force without a failed request; a faulty one changes
// nothing and says why.
func TestConfigurationReloadUnderLoad(t *testing.T) {
	const routes = "sites:\n  - hosts: [\"*\"]\n    routes:\n      - match: {path: /v}\n        respond: {status: 200, body: \"%s\"}\n      - pool: hello\n"
	w := testkit.Run(t, testkit.Setup{Plain: true, Config: hello(2, fmt.Sprintf(routes, "one"))})
	workers := pids(waitWorkers(t, w, "hello", 2))
	f := testkit.Load{Address: w.Address, Conns: 4, Pause: time.Millisecond, Method: "POST", Path: "/echo", Body: 2000}.Start(t)
	expect := func(want string) {
		t.Helper()
		testkit.Eventually(t, 10*time.Second, "/v says "+want, func() bool {
			_, body := w.Get("/v")
			return body == want
		})
	}
	expect("one")
	w.Write("weir.yaml", hello(2, fmt.Sprintf(routes, "two")))
	w.Signal(syscall.SIGHUP)
	expect("two")
	// It is in force a moment before the reload is over, and one reload at a time is taken.
	testkit.Eventually(t, testkit.Patience, "the reload is over", func() bool { return strings.Contains(w.Output(), "reloaded the configuration") })
	w.Write("weir.yaml", hello(2, fmt.Sprintf(routes, "three")))
	w.Do("reload")
	expect("three")

	w.Write("weir.yaml", hello(2, strings.Replace(fmt.Sprintf(routes, "four"), "respond:", "repsond:", 1)))
	out, problem, code := w.Command("reload")
	if code == 0 {
		t.Error("a faulty file was taken")
	}
	oneLine(t, out+problem, "weir.yaml:", "repsond", "respond")
	expect("three")
	if s := w.Status(); !strings.Contains(s.Problem, "repsond") {
		t.Errorf("status does not tell of the refused reload: %+v", s)
	}
	f.After(t, 50)
	noneFailed(t, "POST", f.Stop(), 50)
	for pid := range pids(w.Workers("hello")) {
		if !workers[pid] {
			t.Errorf("worker %d was started anew though nothing of its app had changed", pid)
		}
	}
}

// TestEdgeDies: it is back on the same sockets in under 200 ms, and no connection is refused.
func TestEdgeDies(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Plain: true, Config: hello(1, "")})
	var took []time.Duration
	for range 3 { // more in a row are a crash loop, and wait longer
		edge := w.Edge()
		start := time.Now()
		edge.Kill(t, syscall.SIGKILL)
		for limit := start.Add(10 * time.Second); ; {
			if status, ok := answered(t, w.Address); ok {
				if status != 200 {
					t.Errorf("status %d", status)
				}
				break
			}
			if time.Now().After(limit) {
				t.Fatal("the edge does not come back")
			}
		}
		took = append(took, time.Since(start))
		if now := w.Edge(); now.PID == edge.PID {
			t.Fatal("the edge did not die")
		}
	}
	slices.Sort(took)
	t.Logf("back after %v", took)
	if median := took[len(took)/2]; median > 200*time.Millisecond {
		t.Errorf("it took %v, more than 200 ms", median)
	}
	if s := w.Status(); s.EdgeRestarts != 3 {
		t.Errorf("status tells of %d restarts, want 3", s.EdgeRestarts)
	}
}

// answered makes one request on a new connection. A connection that the dying edge had accepted may be reset; one
// that is refused fails the test.
func answered(t *testing.T, address string) (status int, ok bool) {
	t.Helper()
	r := testkit.Load{Address: address, Conns: 1, Limit: 5 * time.Second, Check: func(_ string, m *testkit.Message) error {
		status = m.Status
		return nil
	}}.Start(t)
	r.After(t, 1)
	result := r.Stop()
	for reason := range result.Failures {
		if strings.Contains(reason, "refused") {
			t.Errorf("a connection was refused")
		}
	}
	return status, result.Requests > 0
}

// TestKeeperDies: killed with -9 it takes everything with it.
func TestKeeperDies(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Config: hello(3, "")})
	waitWorkers(t, w, "hello", 3)
	all := w.Processes()
	if len(all) < 5 {
		t.Fatalf("only these processes: %v", all)
	}
	w.Keeper().Kill(t, syscall.SIGKILL)
	<-w.Exited()
	testkit.Gone(t, 15*time.Second, all)
}

// TestCrashLoop: a worker that keeps dying is started ever later, status says so loudly, and the other app is served.
func TestCrashLoop(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Config: hello(1, `
  broken:
    command: "sh -c 'echo no such table >&2; exit 3'"
    workers: 1
    ready: {path: /, within: 5s}
    backoff: {min: 10ms, max: 100ms}
pools:
  broken: {app: broken, queue: {timeout: 200ms}}
sites:
  - hosts: [broken.test]
    routes: [{pool: broken}]
  - hosts: ["*"]
    routes: [{pool: hello}]
`)})
	testkit.Eventually(t, 20*time.Second, "the crash loop is said in status", func() bool {
		for _, a := range w.Status().Apps {
			if a.Name == "broken" && len(a.Workers) == 1 && a.Workers[0].Looping && strings.Contains(a.Workers[0].Last, "no such table") {
				return true
			}
		}
		return false
	})
	if status, _ := w.Get("/"); status != 200 {
		t.Errorf("the healthy app: %d", status)
	}
	c := w.Dial()
	c.Send("GET / HTTP/1.1\r\nHost: broken.test\r\nConnection: close\r\n\r\n")
	if m := c.Response("GET"); m.Status != 503 && m.Status != 502 {
		t.Errorf("the broken app: %+v", m)
	}
}

// TestNobodyReadsTheOutput: what collects the logs goes away; the site does not, nor any part of weir.
func TestNobodyReadsTheOutput(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Config: hello(1, ""), Deaf: true})
	edge := w.Edge()
	for range 3 {
		if status, _ := w.Get("/"); status != 200 {
			t.Errorf("status %d", status)
		}
		w.Do("reopen") // its line of the access log has been written, or not
	}
	w.Do("reload", "hello")
	if now := w.Edge(); now.PID != edge.PID {
		t.Errorf("the edge was process %d, and is %d now", edge.PID, now.PID)
	}
}
