package app

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/config"
)

// hookOf is a hook that runs a script.
func hookOf(script string, within time.Duration) config.Hook {
	return config.Hook{Argv: []string{"/bin/sh", "-c", script}, Within: within}
}

// get asks a worker, each time on a new connection.
func get(address, path string) (string, error) {
	network, where := "tcp", address
	if p, ok := strings.CutPrefix(address, "unix:"); ok {
		network, where = "unix", p
	}
	t := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, where)
	}}
	c := http.Client{Transport: t, Timeout: 20 * time.Second}
	resp, err := c.Get("http://worker" + path)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

func TestHooksRunBesideAWorker(t *testing.T) {
	h := open(t, false)
	a := helper("serve")
	trace := filepath.Join(t.TempDir(), "trace")
	a.Env = map[string]string{"TRACE": trace}
	a.Hooks.BeforeStart = hookOf(`echo "before $WORKER $WEIR_WORKER $PORT" >> $TRACE; echo getting ready`, 10*time.Second)
	a.Hooks.AfterStop = hookOf(`echo "after $WORKER" >> $TRACE`, 10*time.Second)
	p := h.launch(t, a)
	if err := p.AwaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(trace)
	if err != nil || string(text) != "before 1 web/1.1 "+p.own["PORT"]+"\n" {
		t.Errorf("%q %v", text, err)
	}
	if err := p.Signal("KILL"); err != nil {
		t.Fatal(err)
	}
	h.over(t, p)
	if err := p.Afterwards(); err != nil {
		t.Error(err)
	}
	text, err = os.ReadFile(trace)
	if err != nil || !strings.HasSuffix(string(text), "after 1\n") {
		t.Errorf("%q %v", text, err)
	}
	if how, words := p.Exit(); how != "signal: killed" || words != "" {
		t.Errorf("%s, %q", how, words) // a hook's output is no word of the worker's
	}
}

func TestHookThatFailsIsAFailedStart(t *testing.T) {
	h := open(t, false)
	for script, want := range map[string]string{
		"echo no disk; echo really >&2; exit 3": "the hook before_start failed: exit status 3; its last words: really",
		"echo waiting; sleep 3600":              "the hook before_start failed: it was killed: it took longer than 300ms; its last words: waiting",
		"sleep 3600 & kill -9 $$":               "the hook before_start failed: signal: killed",
	} {
		a := helper("serve")
		a.Hooks.BeforeStart = hookOf(script, 300*time.Millisecond)
		if script[0] != 'e' || strings.Contains(script, "exit") {
			a.Hooks.BeforeStart.Within = 20 * time.Second
		}
		_, err := Launch(h.starter, h.sink, h.dir, Spawn{Worker: "web/1.1", Place: 1, Gen: 1, App: a})
		if err == nil || err.Error() != want {
			t.Errorf("%q: %v", script, err)
		}
	}
	a := helper("serve")
	a.Hooks.BeforeStart = config.Hook{Argv: []string{"/none/such"}, Within: time.Second}
	if _, err := Launch(h.starter, h.sink, h.dir, Spawn{Worker: "web/1.1", Place: 1, Gen: 1, App: a}); err == nil || !strings.Contains(err.Error(), "the hook before_start failed: there is no command /none/such") {
		t.Error(err)
	}
	a = helper("say", "x")
	a.Hooks.AfterStop = hookOf("echo cannot clean up; exit 1", time.Second*20)
	p := h.launch(t, a)
	h.over(t, p)
	if err := p.Afterwards(); err == nil || err.Error() != "the hook after_stop failed: exit status 1; its last words: cannot clean up" {
		t.Error(err)
	}
}

func TestHurryEndsHooks(t *testing.T) {
	h := open(t, false)
	a := helper("serve")
	a.Hooks.BeforeStart = hookOf("sleep 3600", time.Hour)
	failed := make(chan error)
	go func() {
		_, err := Launch(h.starter, h.sink, h.dir, Spawn{Worker: "web/1.1", Place: 1, Gen: 1, App: a})
		failed <- err
	}()
	h.starter.Hurry()
	h.starter.Hurry()
	select {
	case err := <-failed:
		if err == nil || !strings.Contains(err.Error(), "it was killed: weir stops") {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the hook goes on")
	}
}

func TestWarmUp(t *testing.T) {
	h := open(t, false)
	a := helper("serve")
	a.WarmUp = []string{"/a", "/moved", "/late"}
	p := h.launch(t, a)
	if err := p.AwaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, err := get(p.Address, "/calls"); err != nil || n != "4" { // without ready.path nothing else was asked for
		t.Error(n, err)
	}
	for path, want := range map[string]string{
		"/never": "did not answer GET /never of warm_up within 20s of its start (it answered 503 Service Unavailable)",
		"/die":   "did not answer GET /die of warm_up within 20s of its start (EOF)",
	} {
		a := helper("serve")
		a.Ready.Within = 20 * time.Second
		a.WarmUp = []string{"/", path}
		p := h.launch(t, a)
		if err := p.AwaitReady(t.Context()); err == nil || err.Error() != want {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestAlive(t *testing.T) {
	h := open(t, false)
	p := h.launch(t, helper("serve"))
	if err := p.AwaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	check := config.Alive{Path: "/", Timeout: 20 * time.Second}
	if err := p.Alive(t.Context(), check); err != nil {
		t.Error(err)
	}
	check.Path = "/never"
	if err := p.Alive(t.Context(), check); err == nil || err.Error() != "it answered 503 Service Unavailable" {
		t.Error(err)
	}
	check.Timeout = 50 * time.Millisecond
	check.Path = "/late"
	err := p.Alive(t.Context(), check)
	if timeout, ok := err.(interface{ Timeout() bool }); !ok || !timeout.Timeout() {
		t.Errorf("%#v", err)
	}
}

// TestHandedSocketOutlivesItsWorker: connections made while nobody accepts are served by the next worker.
func TestHandedSocketOutlivesItsWorker(t *testing.T) {
	h := open(t, false)
	a := helper("serve")
	a.Handed, a.Socket, a.Ready.Path = true, true, "/"
	first := h.launch(t, a)
	if err := first.AwaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := get(first.Address, "/die"); err == nil {
		t.Error("it answers although it died")
	}
	h.over(t, first)
	h.starter.Release("web", map[string]bool{first.Worker: true})
	waits := make(chan error, 1)
	go func() {
		_, err := get(first.Address, "/")
		waits <- err
	}()
	second, err := Launch(h.starter, h.sink, h.dir, Spawn{Worker: "web/1.2", Place: 1, Gen: 2, App: a, Heir: "web/1.1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { second.Signal("KILL"); h.over(t, second) })
	if second.Address != first.Address {
		t.Error("it has another address:", second.Address)
	}
	if err := <-waits; err != nil {
		t.Error("a connection was not taken over:", err)
	}
	other, err := Launch(h.starter, h.sink, h.dir, Spawn{Worker: "web/1.3", Place: 1, Gen: 3, App: a, Heir: "web/1.1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Signal("KILL"); h.over(t, other) })
	if other.Address == first.Address {
		t.Error("two workers have one socket")
	}
	h.starter.Release("other", nil) // another app's
	h.starter.Release("web", map[string]bool{"web/1.2": true})
	for p, there := range map[*Process]bool{second: true, other: false} {
		_, err := os.Stat(strings.TrimPrefix(p.Address, "unix:"))
		if (err == nil) != there {
			t.Errorf("the socket of %s: %v", p.Worker, err)
		}
	}
}

func TestMemoryOfATree(t *testing.T) {
	h := open(t, false)
	p := h.launch(t, helper("grow", "64"))
	until(t, "both are there and grown", func() bool { return strings.Count(strings.Join(p.Lines(), "\n"), "grown") == 2 })
	n, ok := Memory(p.PID(), 1<<40)
	if !ok || n < 64<<20 || n > 256<<20 {
		t.Errorf("resident %d MiB, %v", n>>20, ok)
	}
	shares, ok := Memory(p.PID(), 1)
	if !ok || shares < 64<<20 || shares > n {
		t.Errorf("shares %d MiB of %d, %v", shares>>20, n>>20, ok)
	}
	if n, ok := Memory(1<<30, 1); ok || n != 0 {
		t.Error(n, ok)
	}
}

func TestParseShare(t *testing.T) {
	for text, want := range map[string]int64{
		"5583f000-7ffd ---p 00000000 00:00 0 [rollup]\nRss:  100 kB\nPss:                1234 kB\nPss_Dirty: 5 kB\n": 1234 << 10,
		"Pss: x kB\n": -1, "Pss: 7 MB\n": -1, "Rss: 7 kB\n": -1, "": -1, "Pss: -7 kB\n": -1, "Pss: 99999999999999999 kB\n": -1,
	} {
		n, ok := parseShare([]byte(text))
		if ok != (want >= 0) || ok && n != want {
			t.Errorf("%q: %d %v", text, n, ok)
		}
	}
}
