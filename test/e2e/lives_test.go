package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/testkit"
)

// watch looks at weir from outside all the time while f runs, and fails the test when fewer than least workers serve.
func watch(t *testing.T, w *testkit.Weir, app string, least int, f func()) {
	t.Helper()
	done := make(chan struct{})
	type seen struct{ looks, fewest int }
	result := make(chan seen, 1)
	go func() {
		all := seen{0, 1 << 30}
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				result <- all
				return
			case <-tick.C:
			}
			s, err := w.Look()
			if err != nil {
				continue // counted in looks
			}
			all.looks++
			serving := 0
			for _, a := range s.Apps {
				for _, k := range a.Workers {
					if a.Name == app && k.State == "live" {
						serving++
					}
				}
			}
			all.fewest = min(all.fewest, serving)
		}
	}()
	f()
	close(done)
	got := <-result
	t.Logf("%d looks from outside, the fewest workers that served: %d", got.looks, got.fewest)
	if got.looks < 10 || got.fewest < least {
		t.Errorf("%d looks, once only %d workers served, want %d at least", got.looks, got.fewest, least)
	}
}

// TestRecycleUnderLoad: workers that have answered enough, or take too much memory, are replaced one at a time; nobody
// notices, and there are never fewer than there should be.
func TestRecycleUnderLoad(t *testing.T) {
	for _, c := range []struct{ name, recycle, says string }{
		{"requests", "after_requests: 300", "it has answered"},
		{"memory", "memory: 120MiB", "MiB of memory"},
	} {
		t.Run(c.name, func(t *testing.T) { recycles(t, c.recycle, c.says) })
	}
}

func recycles(t *testing.T, recycle, says string) {
	w := testkit.Run(t, testkit.Setup{Plain: true, Config: hello(2, "    recycle: {"+recycle+"}\n")})
	waitWorkers(t, w, "hello", 2)
	gets := testkit.Load{Address: w.Address, Conns: 4, Pause: 2 * time.Millisecond}.Start(t)
	posts := testkit.Load{Address: w.Address, Conns: 2, Pause: 2 * time.Millisecond, Method: "POST", Path: "/echo", Body: 2000}.Start(t)
	watch(t, w, "hello", 2, func() {
		for _, place := range []string{"hello/1.", "hello/2."} {
			testkit.Eventually(t, 60*time.Second, "the worker in place "+place+" was replaced because "+says, func() bool {
				if status, body := w.Get("/grow?mb=150"); status != 200 {
					t.Error(status, body)
				}
				for line := range strings.Lines(w.Output()) {
					if strings.Contains(line, place) && strings.Contains(line, says) {
						return true
					}
				}
				return false
			})
		}
		gets.After(t, 600)
	})
	noneFailed(t, "GET", gets.Stop(), 600)
	noneFailed(t, "POST", posts.Stop(), 100)
}

// TestHungWorkerIsReplaced: a worker that is stopped (as by a debugger) fails its alive checks and is withdrawn; GETs that
// it had are answered by the other one.
func TestHungWorkerIsReplaced(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Plain: true, Config: hello(2, "    alive: {path: /healthz, every: 100ms, timeout: 300ms, fall: 2}\n")})
	all := waitWorkers(t, w, "hello", 2)
	f := testkit.Load{Address: w.Address, Conns: 6, Pause: time.Millisecond}.Start(t)
	f.After(t, 100)
	all[0].KillIfThere(t, syscall.SIGSTOP)
	testkit.Eventually(t, 30*time.Second, "it is replaced", func() bool {
		now := w.Workers("hello")
		return len(now) == 2 && !pids(now)[all[0].PID]
	})
	f.After(t, 100)
	noneFailed(t, "GET", f.Stop(), 200)
	if out := w.Output(); !strings.Contains(out, "failed its alive check (GET /healthz) 2 times in a row") {
		t.Error("it does not say why")
	}
}

// TestRequestTimeout: 504 to the client of the request that takes too long, a new worker in the place of its worker, and nobody
// else notices.
func TestRequestTimeout(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Plain: true, Config: hello(2, "    request_timeout: 700ms\n    stop: {within: 2s}\n")})
	before := pids(waitWorkers(t, w, "hello", 2))
	f := testkit.Load{Address: w.Address, Conns: 4, Pause: time.Millisecond}.Start(t)
	late := testkit.Load{Address: w.Address, Conns: 2, Path: "/slow?ms=100"}.Start(t)
	f.After(t, 50)
	c := w.Dial()
	c.Send("POST /slow?ms=60000 HTTP/1.1\r\nHost: e2e.test\r\nContent-Length: 0\r\n\r\n")
	if m := c.Response("POST"); m.Status != 504 {
		t.Errorf("the answer was %d %s", m.Status, m.Body)
	}
	kept := 0
	testkit.Eventually(t, 30*time.Second, "its worker is replaced", func() bool {
		now := w.Workers("hello")
		kept = 0
		for pid := range pids(now) {
			if before[pid] {
				kept++
			}
		}
		return len(now) == 2 && kept == 1
	})
	f.After(t, 50)
	noneFailed(t, "GET", f.Stop(), 100)
	noneFailed(t, "slow GET", late.Stop(), 2)
	for _, a := range w.Status().Apps {
		if a.Overrun != 1 || a.Lost != 1 {
			t.Errorf("status tells of %d requests, %d of them lost; want 1 and 1", a.Overrun, a.Lost)
		}
	}
	// An event stream takes as long as it likes.
	if status, body := w.Get("/ticks?n=8&ms=200"); status != 200 || !strings.Contains(body, "tick 8") {
		t.Errorf("%d %q", status, body)
	}
}

// TestTouchReloads: a file that is touched replaces the workers; new code that does not start leaves the old ones, says why
// with what it printed, and can be tried again.
func TestTouchReloads(t *testing.T) {
	const more = `    reload: {on: [touch], file: restart.txt}
    warm_up: [/, /echo]
    hooks: {before_start: {command: "sh -c 'cat @DIR@/state; test ! -e @DIR@/broken'", within: 10s}}
`
	w := testkit.Run(t, testkit.Setup{Plain: true, Config: hello(2, more), Files: map[string]string{"state": "first line\nsecond line\nno such table\n"}})
	was := pids(waitWorkers(t, w, "hello", 2))
	f := testkit.Load{Address: w.Address, Conns: 4, Pause: time.Millisecond, Method: "POST", Path: "/echo", Body: 1000}.Start(t)
	replaced := func() bool {
		now := pids(w.Workers("hello"))
		for pid := range was {
			if now[pid] {
				return false
			}
		}
		return len(now) == 2
	}
	f.After(t, 20)
	// The file is looked at once a second: it has to have been looked at before it is there.
	testkit.Eventually(t, 60*time.Second, "the workers are replaced after a touch", func() bool {
		now := time.Now()
		path := filepath.Join(w.Dir, "restart.txt")
		if _, err := os.Stat(path); err != nil && strings.Contains(w.Output(), "is live") {
			w.Write("restart.txt", "")
		}
		if err := os.Chtimes(path, now, now); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		return replaced()
	})
	testkit.Eventually(t, 30*time.Second, "it is at rest", func() bool {
		return strings.Count(w.Output(), "is reloaded: its file was touched") == strings.Count(w.Output(), "reloaded app hello")
	})
	was = pids(w.Workers("hello"))
	w.Write("broken", "")
	out, problem, code := w.Command("reload", "hello")
	if code == 0 || !strings.Contains(out+problem, "the hook before_start failed: exit status 1; its last words: no such table") || !strings.Contains(out+problem, "first line") {
		t.Errorf("exit %d: %s%s", code, out, problem)
	}
	if s := w.Status(); !strings.Contains(s.Problem, "no such table") {
		t.Errorf("status: %q", s.Problem)
	}
	for pid := range pids(w.Workers("hello")) {
		if !was[pid] {
			t.Errorf("process %d is new", pid)
		}
	}
	if err := os.Remove(filepath.Join(w.Dir, "broken")); err != nil {
		t.Fatal(err)
	}
	w.Do("reload", "hello")
	if !replaced() {
		t.Error("the workers were not replaced at the second try")
	}
	noneFailed(t, "POST", f.Stop(), 50)
}

// TestHandedSocket: the only worker is killed again and again; connections wait for the next one.
func TestHandedSocket(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Plain: true, Config: hello(1, "    listen: handed\n")})
	f := testkit.Load{Address: w.Address, Conns: 4, Pause: time.Millisecond}.Start(t)
	for range 10 {
		all := waitWorkers(t, w, "hello", 1)
		all[0].KillIfThere(t, syscall.SIGKILL)
		f.After(t, 100)
	}
	w.Do("reload", "hello")
	f.After(t, 100)
	noneFailed(t, "GET", f.Stop(), 1000)
	left, err := filepath.Glob(filepath.Join(w.RunDir, "apps", "hello", "*.sock"))
	if err != nil || len(left) != 1 {
		t.Errorf("sockets of workers that are gone are left: %v %v", left, err)
	}
}

// TestGunicornTakesASocket: so does a server that knows nothing of weir; its master is killed with -9, and nobody is refused.
func TestGunicornTakesASocket(t *testing.T) {
	config := strings.NewReplacer("@HELLO@", "gunicorn page:application --threads 2", "socket: true", "listen: handed\n    directory: \"@DIR@\"").Replace(hello(1, ""))
	w := testkit.Run(t, testkit.Setup{Plain: true, Config: config, Files: map[string]string{"page.py": `
import os
def application(environ, start):
    text = ("from %d" % os.getppid()).encode()
    # With a length weir has all of it before the client has any; of an answer that has begun no try is the second.
    start("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
    return [text]
`}})
	f := testkit.Load{Address: w.Address, Conns: 4, Pause: 5 * time.Millisecond, Limit: 30 * time.Second}.Start(t)
	for range 3 {
		f.After(t, 50)
		all := waitWorkers(t, w, "hello", 1)
		if _, body := w.Get("/"); body != fmt.Sprintf("from %d", all[0].PID) {
			t.Errorf("it answers %q, the worker is %d", body, all[0].PID)
		}
		all[0].KillIfThere(t, syscall.SIGKILL)
	}
	f.After(t, 50)
	w.Do("reload", "hello")
	f.After(t, 50)
	noneFailed(t, "GET", f.Stop(), 250)
}

// TestGrow: more workers while requests wait.
func TestGrow(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Plain: true, Config: strings.Replace(hello(1, "pools: {hello: {app: hello, max_conn: 1}}\n"), "workers: 1", "workers: {min: 1, max: 3}", 1)})
	f := testkit.Load{Address: w.Address, Conns: 8, Path: "/slow?ms=20"}.Start(t)
	testkit.Eventually(t, 60*time.Second, "there are three workers", func() bool { return len(w.Workers("hello")) == 3 })
	noneFailed(t, "GET", f.Stop(), 50)
	if out := w.Output(); !strings.Contains(out, "hello is to have 2 workers instead of 1") {
		t.Error("it does not say so")
	}
}

// TestEverythingAtOnce: on two workers, at the same time, reloads, a leak, kill -9, hung workers and requests that take too long.
// No GET is lost, and weir itself never takes the last good worker away.
func TestEverythingAtOnce(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Plain: true, Config: hello(2, `    recycle: {memory: 150MiB, after_requests: 5000}
    alive: {path: /healthz, every: 100ms, timeout: 300ms, fall: 2}
    request_timeout: 3s
    stop: {within: 2s}
`)})
	waitWorkers(t, w, "hello", 2)
	gets := testkit.Load{Address: w.Address, Conns: 6, Pause: time.Millisecond, Limit: 30 * time.Second}.Start(t)
	end := time.Now().Add(long(t, 20*time.Second))
	kills, stops, reloads, grown := 0, 0, 0, 0
	// The test takes one away at the most, and only of two: so one has to be left all the time.
	watch(t, w, "hello", 1, func() {
		for i := 0; time.Now().Before(end); i++ {
			switch i % 4 {
			case 0:
				if _, _, code := w.Command("reload", "hello"); code == 0 {
					reloads++
				}
			case 1:
				if status, _ := w.Get("/grow?mb=160"); status == 200 {
					grown++
				}
			case 2, 3:
				all := waitWorkers(t, w, "hello", 2) // a test that kills the only worker shows something else
				if i%4 == 2 && all[0].KillIfThere(t, syscall.SIGKILL) {
					kills++
				}
				if i%4 == 3 && all[1].KillIfThere(t, syscall.SIGSTOP) {
					stops++
				}
			}
			gets.After(t, 50)
		}
	})
	testkit.Eventually(t, 60*time.Second, "all is well again", func() bool { return len(w.Workers("hello")) == 2 })
	noneFailed(t, fmt.Sprintf("%d reloads, %d leaks, %d kills, %d hung", reloads, grown, kills, stops), gets.Stop(), 500)
	if kills == 0 || stops == 0 || reloads == 0 || grown == 0 {
		t.Errorf("%d kills, %d hung, %d reloads, %d leaks: there are to be some of each", kills, stops, reloads, grown)
	}
}
