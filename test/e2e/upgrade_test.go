package e2e

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/testkit"
)

// send makes a GET on a connection, or another request.
func send(c *testkit.Conn, method, path, lines string) *testkit.Message {
	c.Send(method + " " + path + " HTTP/1.1\r\nHost: e2e.test\r\n" + lines + "\r\n")
	return c.Response(method)
}

// edges counts the processes that serve, those that have been replaced and not finished yet among them.
func edges(w *testkit.Weir) (n int) {
	for _, p := range w.Processes() {
		if strings.HasSuffix(strings.TrimSpace(strings.ReplaceAll(p.Command, "\x00", " ")), " edge") {
			n++
		}
	}
	return n
}

// TestUpgradeUnderLoad: the process that serves is replaced, again and again: nothing is lost, and nothing is left.
func TestUpgradeUnderLoad(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Plain: true, Config: hello(3, "")})
	workers := pids(waitWorkers(t, w, "hello", 3))
	gets := testkit.Load{Address: w.Address, Conns: 4, Pause: time.Millisecond}.Start(t)
	posts := testkit.Load{Address: w.Address, Conns: 4, Pause: time.Millisecond, Method: "POST", Path: "/echo", Body: 3000}.Start(t)
	late := testkit.Load{Address: w.Address, Conns: 2, Path: "/slow?ms=100"}.Start(t)
	settled := func() int {
		testkit.Eventually(t, testkit.Patience, "one process serves", func() bool { return edges(w) == 1 })
		return least(func() int { return descriptors(t, w.Keeper().PID) }) // it may be about to close those of the last edge
	}
	edge, open, upgrades := w.Edge().PID, 0, 0
	for end := time.Now().Add(long(t, 5*time.Second)); upgrades < 8 || time.Now().Before(end); upgrades++ {
		if upgrades == 2 {
			open = settled()
		}
		w.Do("upgrade")
		now := w.Edge().PID
		if now == edge {
			t.Fatal("the same process serves")
		}
		edge = now
		gets.After(t, 50)
	}
	noneFailed(t, fmt.Sprintf("GET, %d upgrades", upgrades), gets.Stop(), 400)
	noneFailed(t, "POST", posts.Stop(), 100)
	noneFailed(t, "slow GET", late.Stop(), 10)
	if now := settled(); now > open {
		t.Errorf("the keeper has %d descriptors, and had %d", now, open)
	}
	for pid := range pids(w.Workers("hello")) {
		if !workers[pid] {
			t.Errorf("worker %d was started anew", pid)
		}
	}
}

// descriptors counts a process's open ones.
func descriptors(t *testing.T, pid int) int {
	t.Helper()
	all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// TestReloadsDuringUpgrade: workers are replaced while edges are, so that a worker leaves with requests at both.
func TestReloadsDuringUpgrade(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Plain: true, Config: hello(2, "")})
	waitWorkers(t, w, "hello", 2)
	posts := testkit.Load{Address: w.Address, Conns: 4, Pause: time.Millisecond, Method: "POST", Path: "/echo", Body: 3000}.Start(t)
	late := testkit.Load{Address: w.Address, Conns: 4, Path: "/slow?ms=150"}.Start(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 5 {
			w.Command("reload", "hello") // while the edge is replaced it is refused: "another reload is under way"
		}
	}()
	for range 6 {
		w.Command("upgrade") // likewise
		posts.After(t, 20)
	}
	<-done
	w.Do("upgrade")
	w.Do("reload", "hello")
	noneFailed(t, "POST", posts.Stop(), 100)
	noneFailed(t, "slow GET", late.Stop(), 10)
}

// TestUpgradeWaitsForTransfers: what takes long goes on at the old process, up to timeouts.hard_stop.
func TestUpgradeWaitsForTransfers(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Plain: true, Config: hello(1, "timeouts: {hard_stop: 3s}")})
	waitWorkers(t, w, "hello", 1)
	slow, ticks, idle := w.Dial(), w.Dial(), w.Dial()
	defer slow.Close()
	defer ticks.Close()
	defer idle.Close()
	if m := request(idle, "/"); m.Status != 200 {
		t.Fatalf("status %d", m.Status)
	}
	ticks.Send("GET /ticks?n=1000&ms=20 HTTP/1.1\r\nHost: e2e.test\r\n\r\n")
	ticks.Head()
	slow.Send("GET /slow?ms=1500 HTTP/1.1\r\nHost: e2e.test\r\n\r\n")
	before := w.Edge().PID
	w.Do("upgrade")
	// A connection that was idle is served once more, and told that this was the last time.
	if m := request(idle, "/"); m.Status != 200 || m.Field("Connection") != "close" {
		t.Errorf("on a kept connection: status %d, Connection: %s", m.Status, m.Field("Connection"))
	}
	idle.Closed()
	if m := slow.Response("GET"); m.Status != 200 {
		t.Errorf("what was under way: status %d", m.Status)
	}
	if syscall.Kill(before, 0) != nil {
		t.Error("the old process has ended with a transfer under way")
	}
	testkit.Eventually(t, testkit.Patience, "the old process has ended", func() bool { return edges(w) == 1 })
	ticks.Rest()
	if m := get(t, w, "/", ""); m.Status != 200 {
		t.Errorf("status %d", m.Status)
	}
}

// TestPurgeBetweenEdges: a purge or a change holds, whichever process it comes to.
func TestPurgeBetweenEdges(t *testing.T) {
	for _, disk := range []bool{false, true} {
		t.Run(fmt.Sprintf("disk %v", disk), func(t *testing.T) {
			a := serveApp(t, "", func(a *app, n int, rw http.ResponseWriter, r *http.Request) {
				if r.Method == "POST" {
					rw.Header().Set("Cache-Group-Invalidation", `"g"`)
				} else {
					rw.Header().Set("Cache-Groups", `"g"`)
				}
				numbered(a, n, rw, r)
			})
			var w *testkit.Weir
			if disk {
				w = onDisk(t, a, t.TempDir(), "16MiB", "64MiB", "grace: 0s")
			} else {
				w = cached(t, a, "grace: 0s", "cache: {memory: 16MiB}")
			}
			old := func() *testkit.Conn { // connections of a process that is then replaced
				c := w.Dial()
				if m := send(c, "GET", "/old", ""); m.Status != 200 {
					t.Fatalf("status %d", m.Status)
				}
				return c
			}
			first, second, third, fourth := old(), old(), old(), old()
			paths := []string{"/a?cc=max-age=600", "/b?cc=max-age=600", "/c?cc=max-age=600"}
			for _, p := range paths {
				get(t, w, p, "")
			}
			w.Do("upgrade")
			if disk {
				// What it keeps before that is not served afterwards: the list of purges on the disk may know better.
				testkit.Eventually(t, testkit.Patience, "the new process has the disk", func() bool {
					return strings.Count(w.Output(), "the cache has its disk") == 2
				})
			}
			for _, p := range paths {
				get(t, w, p, "") // the new process keeps it
				wantHit(t, w, p, "", "")
			}

			// A purge at the new process is not undone by what the old one has.
			w.Do("purge", "http://e2e.test"+paths[0])
			if m := send(first, "GET", paths[0], ""); !strings.Contains(m.Field("Cache-Status"), "handed-over") {
				t.Errorf("the old process answered with %q, Cache-Status: %s", m.Body, m.Field("Cache-Status"))
			}
			// A purge at the old one holds at the new one.
			if m := send(second, "PURGE", paths[1], ""); m.Status != 200 {
				t.Errorf("PURGE at the old process: status %d, %s", m.Status, m.Body)
			}
			// A change at the old one does, of the URL and of a group.
			if m := send(third, "POST", paths[2], "Content-Length: 0\r\n"); m.Status != 200 {
				t.Errorf("POST at the old process: status %d", m.Status)
			}
			for _, p := range paths {
				if m := get(t, w, p, ""); strings.Contains(m.Field("Cache-Status"), "; hit") {
					t.Errorf("%s: the new process has what was purged: %s", p, m.Field("Cache-Status"))
				}
			}
			wantHit(t, w, paths[0], "", "")
			if m := send(fourth, "POST", "/elsewhere", "Content-Length: 0\r\n"); m.Status != 200 {
				t.Errorf("POST at the old process: status %d", m.Status)
			}
			if m := get(t, w, paths[0], ""); strings.Contains(m.Field("Cache-Status"), "; hit") {
				t.Errorf("what is of a group that was changed: %s", m.Field("Cache-Status"))
			}
			testkit.Eventually(t, testkit.Patience, "the old process has ended", func() bool { return edges(w) == 1 })
		})
	}
}

// TestUpgradeKeepsCounts: what the old process has counted goes over to the new one, and so does the cache's disk.
func TestUpgradeKeepsCounts(t *testing.T) {
	a := serveApp(t, "", numbered)
	w := onDisk(t, a, t.TempDir(), "16MiB", "64MiB", "")
	for n := range 20 {
		get(t, w, fmt.Sprintf("/%d?cc=max-age=600", n), "")
	}
	written(t, w, 20)
	before := w.Status().Edge.Requests
	w.Do("upgrade")
	testkit.Eventually(t, testkit.Patience, "the old process has ended", func() bool { return edges(w) == 1 })
	if now := w.Status().Edge.Requests; now < before {
		t.Errorf("%d requests before, %d after", before, now)
	}
	testkit.Eventually(t, testkit.Patience, "the disk is in use", func() bool {
		d := cacheStatus(t, w).Disk
		return d != nil && d.Problem == "" && d.Objects >= 20
	})
	for n := range 20 {
		wantHit(t, w, fmt.Sprintf("/%d?cc=max-age=600", n), "", "answer 1\n")
	}
	var requests uint64
	for _, p := range w.Status().Edge.Pools {
		for _, s := range p.Servers {
			requests += s.Requests
		}
	}
	if requests < 20 {
		t.Errorf("the servers have %d requests", requests)
	}
}

// TestUpgradeTakesTheNewProgram: what is on the disk now is what serves, also when it dies; what is no program changes nothing.
func TestUpgradeTakesTheNewProgram(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Plain: true, Own: true, Config: hello(1, "")})
	runs := func() string { // what the edge runs
		to, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", w.Edge().PID))
		if err != nil {
			t.Fatal(err)
		}
		return to
	}
	here := runs()
	if strings.Contains(here, "deleted") {
		t.Fatalf("it runs %s", here)
	}
	w.Copy(here, "weir")
	edge := w.Edge()
	edge.Kill(t, syscall.SIGKILL)
	testkit.Eventually(t, testkit.Patience, "another edge serves", func() bool { return w.Edge().PID != edge.PID })
	if to := runs(); !strings.HasSuffix(to, " (deleted)") {
		t.Errorf("an edge that died was replaced by one of another version: it runs %s", to)
	}
	w.Do("upgrade")
	if to := runs(); to != here {
		t.Errorf("it runs %s", to)
	}
	w.Write("broken", "no program\n")
	w.Copy(w.Dir+"/broken", "weir")
	before := w.Edge().PID
	if out, problem, code := w.Command("upgrade"); code == 0 {
		t.Errorf("it upgraded to what is no program: %s", out)
	} else {
		oneLine(t, problem, "upgrading to the program "+w.Dir+"/weir: it is no program for this machine; the old one goes on")
	}
	if status, _ := w.Get("/"); status != 200 || w.Edge().PID != before {
		t.Errorf("status %d, edge %d, was %d", status, w.Edge().PID, before)
	}
}

// TestStopAfterUpgrade: an edge that has been replaced and is told to stop together with the one that followed does not wait for that one's
// answers.
func TestStopAfterUpgrade(t *testing.T) {
	for range 5 {
		w := testkit.Run(t, testkit.Setup{Config: hello(1, "")})
		c := w.Dial()
		if m := request(c, "/"); m.Status != 200 {
			t.Fatalf("status %d", m.Status)
		}
		w.Do("upgrade")
		w.Stop() // the connection is still the former edge's
		if out := w.Output(); strings.Contains(out, "no answer in time") || strings.Contains(out, "killed") {
			t.Errorf("an edge waited for one that was gone:\n%s", out)
		}
	}
}
