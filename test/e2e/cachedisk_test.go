package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/weirhq/weir/internal/testkit"
)

// onDisk runs weir with a cache that has a disk in a directory that outlives it.
func onDisk(t *testing.T, a *app, dir, memory, size, policy string) *testkit.Weir {
	t.Helper()
	return cached(t, a, policy, fmt.Sprintf("cache: {memory: %s, disk: {path: %q, size: %s}}", memory, dir, size))
}

// written waits until so many objects have been written to the disk.
func written(t *testing.T, w *testkit.Weir, n uint64) {
	t.Helper()
	testkit.Eventually(t, testkit.Patience, fmt.Sprintf("%d objects are on the disk", n), func() bool { return cacheStatus(t, w).Disk.Written >= n })
}

// wantHit expects an answer from the cache.
func wantHit(t *testing.T, w *testkit.Weir, path, lines, body string) {
	t.Helper()
	m := get(t, w, path, lines)
	if m.Status != 200 || !strings.Contains(m.Field("Cache-Status"), "weir; hit") || body != "" && string(m.Body) != body {
		t.Errorf("%s: status %d, %s, %d bytes", path, m.Status, m.Field("Cache-Status"), len(m.Body))
	}
}

// TestCacheOutlivesRestart: what was kept is there after a restart, from the first request on, variants too, in order or
// killed, and whether the edge alone goes or everything.
func TestCacheOutlivesRestart(t *testing.T) {
	a := serveApp(t, "", func(a *app, n int, w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/varies" {
			w.Header().Set("Vary", "Accept-Language")
			fmt.Fprintf(w, "in %s, ", r.Header.Get("Accept-Language"))
		}
		numbered(a, n, w, r)
	})
	a.Handler = func(inner http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/varies" {
				w.Header().Set("Cache-Control", "max-age=600")
			}
			inner.ServeHTTP(w, r)
		})
	}(a.Handler)
	dir := t.TempDir()
	const objects = 50
	ends := []struct {
		name string
		end  func(w *testkit.Weir)
	}{
		{"stopped", (*testkit.Weir).Stop},
		{"edge killed", func(w *testkit.Weir) {
			before := w.Edge()
			syscall.Kill(before.PID, syscall.SIGKILL)
			testkit.Eventually(t, testkit.Patience, "another edge serves", func() bool { return w.Edge().PID != before.PID })
			for n := range objects {
				wantHit(t, w, fmt.Sprintf("/%d?cc=max-age=600", n), "", "answer 1\n")
			}
			w.Stop()
		}},
		{"keeper killed", func(w *testkit.Weir) {
			w.Processes()
			w.Signal(syscall.SIGKILL)
			<-w.Exited()
		}},
		{"last", (*testkit.Weir).Stop},
	}
	for round, e := range ends {
		w := onDisk(t, a, dir, "16MiB", "64MiB", "grace: 0s")
		for n := range objects {
			path := fmt.Sprintf("/%d?cc=max-age=600", n)
			if round == 0 {
				get(t, w, path, "")
			}
			wantHit(t, w, path, "", "answer 1\n")
		}
		for i, lang := range []string{"de", "fr"} {
			lines := "Accept-Language: " + lang + "\r\n"
			if round == 0 {
				get(t, w, "/varies", lines)
			}
			wantHit(t, w, "/varies", lines, fmt.Sprintf("in %s, answer %d\n", lang, i+1))
		}
		if round == 0 {
			written(t, w, objects+2)
		}
		e.end(w)
	}
}

// TestPurgedStaysPurged: what was purged, or changed by an unsafe method, does not come back with the disk.
func TestPurgedStaysPurged(t *testing.T) {
	a := serveApp(t, "", numbered)
	dir := t.TempDir()
	w := onDisk(t, a, dir, "16MiB", "64MiB", "grace: 0s")
	const keep, byURL, byTag, byMethod, byPost, byPrefix = "/keep?cc=max-age=600", "/url?cc=max-age=600", "/tag?cc=max-age=600&tag=news",
		"/method?cc=max-age=600", "/post?cc=max-age=600", "/old/1?cc=max-age=600"
	all := []string{keep, byURL, byTag, byMethod, byPost, byPrefix}
	for _, p := range all {
		get(t, w, p, "")
	}
	written(t, w, uint64(len(all)))
	w.Do("purge", "http://e2e.test"+byURL)
	w.Do("purge", "--tag", "news")
	w.Do("purge", "--prefix", "e2e.test/old/")
	if m := ask(t, w, "PURGE", byMethod, ""); m.Status != 200 {
		t.Errorf("PURGE: status %d", m.Status)
	}
	c := w.Dial() // the next answer on the connection comes after the invalidation
	c.Send("POST " + byPost + " HTTP/1.1\r\nHost: e2e.test\r\nContent-Length: 0\r\n\r\n")
	c.Response("POST")
	c.Send("GET /after HTTP/1.1\r\nHost: e2e.test\r\n\r\n")
	c.Response("GET")
	c.Close()
	edge := w.Edge()
	w.Processes()
	syscall.Kill(edge.PID, syscall.SIGKILL)
	w.Signal(syscall.SIGKILL)
	<-w.Exited()
	w = onDisk(t, a, dir, "16MiB", "64MiB", "grace: 0s")
	for _, p := range all {
		m := get(t, w, p, "")
		if hit := strings.Contains(m.Field("Cache-Status"), "weir; hit"); hit != (p == keep) {
			t.Errorf("%s: %s %s", p, m.Field("Cache-Status"), m.Body)
		}
	}
	if s := cacheStatus(t, w); s.Disk.Problem != "" || s.Disk.Damaged > 0 {
		t.Errorf("%+v", s.Disk)
	}
}
