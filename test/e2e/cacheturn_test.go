package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/weirhq/weir/internal/testkit"
)

// turning is a weir whose cache is changed by reloads while a client goes on asking.
type turning struct {
	*testkit.Weir
	t   *testing.T
	app *app
}

func turn(t *testing.T, more string) *turning {
	t.Helper()
	a := serveApp(t, "", func(a *app, n int, w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			w.WriteHeader(204)
			return
		}
		w.Header().Set("Cache-Control", "max-age=3600")
		if strings.HasPrefix(r.URL.Path, "/large") {
			w.Write(film(0, 3<<20))
			return
		}
		fmt.Fprintf(w, "answer %d\n", n)
	})
	setup := testkit.Setup{Config: fmt.Sprintf(cacheSite, a.address, "grace: 0s", more), Ready: "/ready"} // with the race detector
	w := &turning{Weir: testkit.Run(t, setup), t: t, app: a}
	done := make(chan struct{})
	var asks sync.WaitGroup
	asks.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-done:
				return
			default:
			}
			r, err := http.Get(w.URL(fmt.Sprintf("/busy/%d", n%20)))
			if err != nil || r.StatusCode != 200 {
				t.Errorf("while the cache was changed: %v %v", r, err)
				return
			}
			r.Body.Close()
		}
	})
	t.Cleanup(func() { close(done); asks.Wait() })
	return w
}

// become reloads with another cache.
func (w *turning) become(policy, more string) {
	w.t.Helper()
	text := fmt.Sprintf(cacheSite, w.app.address, policy, more)
	if policy == "off" {
		text = strings.Replace(text, "cache:\n          off", "cache: off", 1)
	}
	w.Write("weir.yaml", text)
	w.Do("reload")
}

func (w *turning) want(path string, hit bool) {
	w.t.Helper()
	if isHit(w.t, w.Weir, path, "") != hit {
		w.t.Errorf("%s: hit %v, want %v", path, !hit, hit)
	}
}

func diskOf(dir, size string) string {
	return fmt.Sprintf("cache: {memory: 16MiB, max_object: 4MiB, disk: {path: %q, size: %s}}", dir, size)
}

// TestReloadTurnsTheDisk: another size, another directory, none, one again. Nothing is served that was purged meanwhile.
func TestReloadTurnsTheDisk(t *testing.T) {
	one, two := t.TempDir(), t.TempDir()
	w := turn(t, diskOf(one, "64MiB"))
	for _, path := range []string{"/a", "/b", "/large"} {
		w.want(path, false)
		w.want(path, true)
	}
	written(t, w.Weir, 2)
	w.Do("purge", "http://e2e.test/b")
	w.become("grace: 0s", diskOf(one, "96MiB"))
	if d := cacheStatus(t, w.Weir).Disk; d.Size != 96<<20 || d.Path != one || d.Problem != "" {
		t.Errorf("after another size: %+v", d)
	}
	w.want("/a", true)
	w.want("/large", true)
	w.want("/b", false)
	w.become("grace: 0s", diskOf(two, "64MiB"))
	if d := cacheStatus(t, w.Weir).Disk; d.Path != two || d.Problem != "" {
		t.Errorf("after another directory: %+v", d)
	}
	for _, path := range []string{"/a", "/large"} {
		w.want(path, false)
		w.want(path, true)
	}
	w.Do("purge", "http://e2e.test/a")
	w.become("grace: 0s", diskOf(one, "64MiB")) // which has an older /a, and knows of no purge
	w.want("/a", false)
	w.want("/a", true)
	w.become("grace: 0s", "cache: {memory: 16MiB}")
	if d := cacheStatus(t, w.Weir).Disk; d != nil {
		t.Errorf("without a disk: %+v", d)
	}
	w.want("/a", true)
	w.Do("purge", "http://e2e.test/a")
	w.become("grace: 0s", diskOf(one, "64MiB"))
	w.want("/a", false)
	w.want("/a", true)
	for _, what := range []string{"another size", "another directory", "without a disk", "has got a disk"} {
		if !strings.Contains(w.Output(), what) {
			t.Errorf("it is not said: %s", what)
		}
	}
}

// TestReloadWithoutTheCache: what a cache that is taken out has kept is gone, with its files; one that comes back begins anew.
func TestReloadWithoutTheCache(t *testing.T) {
	dir := t.TempDir()
	w := turn(t, diskOf(dir, "64MiB"))
	get(t, w.Weir, "/a", "")
	w.want("/a", true)
	written(t, w.Weir, 1)
	w.become("off", "")
	if files, err := filepath.Glob(filepath.Join(dir, "*.seg")); err != nil || len(files) > 0 {
		t.Errorf("left behind: %v %v", files, err)
	}
	for _, args := range [][]string{{"purge", "--all"}, {"cache"}, {"explain", "--live", "http://e2e.test/a"}} {
		if out, problem, code := w.Command(args...); code != 1 || !strings.Contains(problem, "there is no cache") || strings.Count(problem, "\n") != 1 {
			t.Errorf("%v: %d %s%s", args, code, out, problem)
		}
	}
	if m := get(t, w.Weir, "/a", ""); m.Body != "answer 2\n" {
		t.Errorf("without a cache: %q", m.Body)
	}
	ask(t, w.Weir, "POST", "/a", "Content-Length: 0\r\n")
	w.become("grace: 0s", diskOf(dir, "64MiB"))
	w.want("/a", false)
	w.want("/a", true)
	w.become("off", "")
	w.become("grace: 0s", "cache: {memory: 16MiB}")
	w.want("/a", false)
	w.want("/a", true)
}

// TestReloadWithTheCacheOff: a route whose cache is off for a while serves nothing that has changed meanwhile when it is on again.
func TestReloadWithTheCacheOff(t *testing.T) {
	w := turn(t, "cache: {memory: 16MiB}")
	w.become("ignore_query: [utm]", "cache: {memory: 16MiB}")
	for _, path := range []string{"/a?utm=1", "/b", "/c"} {
		get(t, w.Weir, path, "")
		w.want(path, true)
	}
	w.become("off", "cache: {memory: 16MiB}")
	ask(t, w.Weir, "POST", "/a?utm=2", "Content-Length: 0\r\n")
	w.Do("purge", "http://e2e.test/b?utm=3")
	w.become("ignore_query: [utm]", "cache: {memory: 16MiB}")
	w.want("/a", false)
	w.want("/b", false)
	w.want("/c", true)
}

// TestReloadWithABadDisk: a directory that cannot be used changes nothing, and says where.
func TestReloadWithABadDisk(t *testing.T) {
	dir := t.TempDir()
	w := turn(t, diskOf(dir, "64MiB"))
	get(t, w.Weir, "/a", "")
	file := filepath.Join(dir, "lock")
	for _, bad := range []string{filepath.Join(dir, "none"), file} {
		w.Write("weir.yaml", fmt.Sprintf(cacheSite, w.app.address, "grace: 0s", diskOf(bad, "64MiB")))
		out, problem, code := w.Command("reload")
		if code == 0 || !strings.Contains(problem, "weir.yaml:") {
			t.Errorf("%s: %d %s%s", bad, code, out, problem)
		}
	}
	w.want("/a", true)
	if d := cacheStatus(t, w.Weir).Disk; d.Path != dir || d.Problem != "" {
		t.Errorf("%+v", d)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}
