package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

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
	if m.Status != 200 || !strings.Contains(m.Field("Cache-Status"), "weir; hit") || body != "" && m.Body != body {
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

// filmByte is what stands at an offset of a film.
func filmByte(i int64) byte { return byte(i>>16) ^ byte(i*7) ^ byte(i>>8) }

func film(from, to int64) []byte {
	b := make([]byte, to-from)
	for i := range b {
		b[i] = filmByte(from + int64(i))
	}
	return b
}

// TestLargeStreamsToDisk: what is larger than the memory is kept on disk while it is delivered to all who want it, as it
// comes, and then served from there, ranges and all, before and after a restart; the app is asked once.
func TestLargeStreamsToDisk(t *testing.T) {
	const size = 40 << 20 // of a memory of 16 MiB
	more := make(chan struct{})
	a := serveApp(t, "", func(_ *app, n int, w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/film") {
			return
		}
		w.Header().Set("Cache-Control", "max-age=600")
		w.Header().Set("ETag", `"film"`)
		if r.Header.Get("If-None-Match") == `"film"` {
			w.WriteHeader(304)
			return
		}
		if r.URL.Path == "/film/known" {
			w.Header().Set("Content-Length", fmt.Sprint(size))
		}
		for at := int64(0); at < size; at += 1 << 20 {
			if at == 20<<20 {
				w.(http.Flusher).Flush()
				<-more
			}
			w.Write(film(at, at+1<<20))
		}
	})
	dir := t.TempDir()
	config := fmt.Sprintf("cache: {memory: 16MiB, max_object: 64MiB, disk: {path: %q, size: 256MiB}}", dir)
	w := cached(t, a, "grace: 0s", config)
	whole := film(0, size)
	for _, path := range []string{"/film/known", "/film/unknown"} {
		const clients = 5
		var group sync.WaitGroup
		var halves, good atomic.Int64
		for range clients {
			group.Go(func() {
				q, err := http.NewRequest("GET", w.URL(path), nil)
				if err != nil {
					t.Error(err)
					return
				}
				q.Host = "e2e.test"
				r, err := http.DefaultClient.Do(q)
				if err != nil {
					t.Error(err)
					return
				}
				defer r.Body.Close()
				b := make([]byte, size)
				if _, err := io.ReadFull(r.Body, b[:10<<20]); err != nil {
					t.Error(err)
					return
				}
				halves.Add(1)
				if _, err := io.ReadFull(r.Body, b[10<<20:]); err != nil {
					t.Error(err)
					return
				}
				if n, _ := r.Body.Read(make([]byte, 1)); n == 0 && bytes.Equal(b, whole) {
					good.Add(1)
				}
			})
		}
		testkit.Eventually(t, testkit.Patience, "all read while it comes", func() bool { return halves.Load() == clients })
		select {
		case more <- struct{}{}:
		case <-time.After(testkit.Patience):
			t.Fatal("the app does not wait")
		}
		group.Wait()
		if good.Load() != clients {
			t.Errorf("%s: %d of %d got it right", path, good.Load(), clients)
		}
	}
	written(t, w, 2)
	for round := range 2 {
		for _, path := range []string{"/film/known", "/film/unknown"} {
			wantHit(t, w, path, "", string(whole))
			m := get(t, w, path, "Range: bytes=5000000-6999999\r\n")
			if m.Status != 206 || m.Body != string(whole[5000000:7000000]) {
				t.Errorf("%s: a range: status %d, %d bytes, %s", path, m.Status, len(m.Body), m.Field("Cache-Status"))
			}
			m = get(t, w, path, "Range: bytes=0-9,-5\r\n")
			if m.Status != 206 || !strings.Contains(m.Body, string(whole[size-5:])) {
				t.Errorf("%s: two ranges: status %d, %d bytes", path, m.Status, len(m.Body))
			}
			if m = get(t, w, path, "If-None-Match: \"film\"\r\n"); m.Status != 304 {
				t.Errorf("%s: status %d", path, m.Status)
			}
			if m = get(t, w, path, "Cache-Control: no-cache\r\n"); m.Status != 200 || m.Body != string(whole) {
				t.Errorf("%s: validated: status %d, %d bytes", path, m.Status, len(m.Body))
			}
			wantHit(t, w, path, "", string(whole))
			if n := a.count(path); n != 2+round {
				t.Errorf("%s: the app was asked %d times", path, n)
			}
		}
		if round == 0 {
			written(t, w, 4)
			w.Stop()
			w = cached(t, a, "grace: 0s", config)
		}
	}
	close(more)
	w.Do("purge", "--prefix", "e2e.test/film/")
	if m := get(t, w, "/film/known", "Range: bytes=0-1\r\n"); m.Has("Age") {
		t.Errorf("purged, and still: %s", m.Field("Cache-Status"))
	}
}

// TestDiskServesWhatMemoryHasNot: a working set of four times the memory is served without the app.
func TestDiskServesWhatMemoryHasNot(t *testing.T) {
	const objects, size = 640, 100 << 10
	a := serveApp(t, "", func(_ *app, _ int, w http.ResponseWriter, r *http.Request) {
		var n int64
		if _, err := fmt.Sscanf(r.URL.Path, "/%d", &n); err != nil {
			return
		}
		w.Header().Set("Cache-Control", "max-age=600")
		w.Write(film(n<<20, n<<20+size))
	})
	w := onDisk(t, a, t.TempDir(), "16MiB", "256MiB", "grace: 0s")
	// What comes faster than the disk writes is not written: it is asked for again.
	testkit.Eventually(t, 2*time.Minute, "all is on the disk", func() bool {
		all := true
		for n := range int64(objects) {
			path := fmt.Sprintf("/%d", n)
			if m := get(t, w, path, ""); !m.Has("Age") {
				all = false
			}
		}
		return all && cacheStatus(t, w).Disk.Objects == objects
	})
	for n := range int64(objects) {
		wantHit(t, w, fmt.Sprintf("/%d", n), "", string(film(n<<20, n<<20+size)))
	}
	if s := cacheStatus(t, w); s.Disk.Hits < objects/2 || s.Disk.Damaged > 0 {
		t.Errorf("%+v", s.Disk)
	}
}

// TestFullDisk: a disk without room is no error to anybody: the cache works in memory, says so, and uses the disk again
// when there is room.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	problem, said := "no space left", "cannot be written"
	blocker := filepath.Join(dir, "other")
	small := mountSmall(t, dir)
	if !small {
		// Nothing may be mounted here: the next best failure is a directory that goes.
		if dir = filepath.Join(dir, "cache"); os.Mkdir(dir, 0o700) != nil {
			t.Fatal("no directory")
		}
		problem, said = "is gone", "works in memory alone"
	}
	a := serveApp(t, "", func(_ *app, n int, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=600")
		w.Write(film(0, 200<<10))
	})
	if small {
		if err := os.WriteFile(blocker, make([]byte, 16<<20), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w := onDisk(t, a, dir, "64MiB", "64MiB", "grace: 0s")
	if !small {
		if err := errors.Join(os.Rename(dir, dir+".away"), os.WriteFile(dir, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	body := string(film(0, 200<<10))
	for n := range 100 {
		if m := get(t, w, fmt.Sprintf("/%d", n), ""); m.Status != 200 || m.Body != body {
			t.Fatalf("object %d: status %d, %d bytes", n, m.Status, len(m.Body))
		}
	}
	testkit.Eventually(t, testkit.Patience, "it is said that the disk is full", func() bool {
		return strings.Contains(cacheStatus(t, w).Disk.Problem, problem) && strings.Contains(w.Do("cache"), "PROBLEM")
	})
	for n := range 100 {
		wantHit(t, w, fmt.Sprintf("/%d", n), "", body)
	}
	// A purge holds all the same: what cannot be recorded takes the objects with it.
	w.Do("purge", "http://e2e.test/1")
	// It is said once, and not that it is over because there is room for something smaller.
	if n, again := strings.Count(w.Output(), said), strings.Count(w.Output(), "is written again"); n != 1 || again != 0 {
		t.Errorf("it was said %d times, and %d times that it is over", n, again)
	}
	mended := os.Remove(blocker)
	if !small {
		mended = errors.Join(os.Remove(dir), os.Rename(dir+".away", dir))
	}
	if mended != nil {
		t.Fatal(mended)
	}
	testkit.Eventually(t, testkit.Patience, "the disk is used again", func() bool { return cacheStatus(t, w).Disk.Problem == "" })
	before := cacheStatus(t, w).Disk.Written
	for n := range 20 {
		get(t, w, fmt.Sprintf("/again/%d", n), "")
	}
	written(t, w, before+20)
	w.Stop()
	w = onDisk(t, a, dir, "64MiB", "64MiB", "grace: 0s")
	for n := range 20 {
		wantHit(t, w, fmt.Sprintf("/again/%d", n), "", body)
	}
	if m := get(t, w, "/1", ""); strings.Contains(m.Field("Cache-Status"), "weir; hit") {
		t.Error("what was purged is back")
	}
}

// TestEdgeKilledUnderLoad kills the edge again and again while clients fill the cache: never a wrong byte, and hits.
func TestEdgeKilledUnderLoad(t *testing.T) {
	a := serveApp(t, "", func(_ *app, _ int, w http.ResponseWriter, r *http.Request) {
		var n int64
		if _, err := fmt.Sscanf(r.URL.Path, "/%d", &n); err != nil {
			return
		}
		w.Header().Set("Cache-Control", "max-age=600")
		w.Write(film(n<<20, n<<20+n*977%150_000))
	})
	w := onDisk(t, a, t.TempDir(), "16MiB", "64MiB", "grace: 0s")
	stop := make(chan struct{})
	var group sync.WaitGroup
	var hits, wrong atomic.Int64
	for i := range 4 {
		group.Go(func() {
			for n := int64(i); ; n = (n + 7) % 500 {
				select {
				case <-stop:
					return
				default:
				}
				q, err := http.NewRequest("GET", w.URL(fmt.Sprintf("/%d", n)), nil)
				if err != nil {
					t.Error(err)
					return
				}
				r, err := http.DefaultTransport.RoundTrip(q)
				if err != nil {
					continue // the edge is being killed
				}
				b, err := io.ReadAll(r.Body)
				r.Body.Close()
				if err == nil && !bytes.Equal(b, film(n<<20, n<<20+n*977%150_000)) && r.StatusCode == 200 {
					wrong.Add(1)
				}
				if strings.Contains(r.Header.Get("Cache-Status"), "weir; hit") {
					hits.Add(1)
				}
			}
		})
	}
	for range 8 {
		before := w.Edge()
		base := hits.Load()
		testkit.Eventually(t, testkit.Patience, "there are hits", func() bool { return hits.Load() > base+150 })
		syscall.Kill(before.PID, syscall.SIGKILL)
		testkit.Eventually(t, testkit.Patience, "another edge serves", func() bool { return w.Edge().PID != before.PID })
	}
	close(stop)
	group.Wait()
	http.DefaultClient.CloseIdleConnections()
	if wrong.Load() > 0 {
		t.Errorf("%d wrong bodies", wrong.Load())
	}
	if s := cacheStatus(t, w); s.Disk.Objects < 150 {
		t.Errorf("%+v", s.Disk)
	}
}

// TestDrainingEdgeHandsTheDiskOver: an edge that still finishes a request has given up the disk, and the next weir has it.
func TestDrainingEdgeHandsTheDiskOver(t *testing.T) {
	release := make(chan struct{})
	a := serveApp(t, "", func(a *app, n int, w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-release
		}
		numbered(a, n, w, r)
	})
	dir := t.TempDir()
	w := onDisk(t, a, dir, "16MiB", "64MiB", "grace: 0s")
	const path = "/kept?cc=max-age=600"
	get(t, w, path, "")
	written(t, w, 1)
	slow := w.Dial()
	defer slow.Close()
	slow.Send("GET /slow HTTP/1.1\r\nHost: e2e.test\r\n\r\n")
	testkit.Eventually(t, testkit.Patience, "the app is asked", func() bool { return a.count("/slow") == 1 })
	w.Processes()
	w.Signal(syscall.SIGKILL)
	next := onDisk(t, a, dir, "16MiB", "64MiB", "grace: 0s")
	testkit.Eventually(t, testkit.Patience, "the next one has the disk", func() bool { return cacheStatus(t, next).Disk.Problem == "" })
	wantHit(t, next, path, "", "answer 1\n")
	select {
	case <-w.Exited():
	case <-time.After(testkit.Patience):
		t.Error("the keeper lives")
	}
	close(release)
	if m := slow.Response("GET"); m.Status != 200 || m.Body != "answer 1\n" {
		t.Errorf("the slow request: %d %s", m.Status, m.Body)
	}
}

// TestDamagedDisk: whatever has become of the files, nobody gets a wrong byte, and what is sound is used.
func TestDamagedDisk(t *testing.T) {
	a := serveApp(t, "", func(_ *app, _ int, w http.ResponseWriter, r *http.Request) {
		var n int64
		if _, err := fmt.Sscanf(r.URL.Path, "/%d", &n); err != nil {
			return
		}
		w.Header().Set("Cache-Control", "max-age=600")
		w.Write(film(n<<20, n<<20+n*n*2_500))
	})
	dir := t.TempDir()
	w := onDisk(t, a, dir, "64MiB", "128MiB", "grace: 0s")
	const objects = 40
	for n := range objects {
		get(t, w, fmt.Sprintf("/%d", n), "")
	}
	written(t, w, objects)
	w.Stop()
	names, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		b, err := os.ReadFile(dir + "/" + n.Name())
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(n.Name(), ".seg") || strings.HasSuffix(n.Name(), ".body") {
			for at := len(b) - 1500; at > 0; at -= 2_000_000 {
				b[at] ^= 0x10
			}
		}
		if err := os.WriteFile(dir+"/"+n.Name(), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w = onDisk(t, a, dir, "64MiB", "128MiB", "grace: 0s")
	hits := 0
	for n := range int64(objects) {
		// The end first: what is damaged there is found before anything is sent.
		m := get(t, w, fmt.Sprintf("/%d", n), "Range: bytes=-2000\r\n")
		if size := n * n * 2500; n > 0 && (m.Status != 206 || m.Body != string(film(n<<20+max(0, size-2000), n<<20+size))) && m.Status != 200 {
			t.Errorf("the end of object %d: status %d, %d bytes", n, m.Status, len(m.Body))
		}
		was := strings.Contains(m.Field("Cache-Status"), "weir; hit") // else it is fetched, and kept anew
		m = get(t, w, fmt.Sprintf("/%d", n), "")
		if m.Status != 200 || m.Body != string(film(n<<20, n<<20+n*n*2_500)) {
			t.Errorf("object %d: status %d, %d bytes", n, m.Status, len(m.Body))
		}
		if was && strings.Contains(m.Field("Cache-Status"), "weir; hit") {
			hits++
		}
	}
	if s := cacheStatus(t, w); s.Disk.Damaged == 0 || hits == 0 || hits == objects {
		t.Errorf("%d hits, %+v", hits, s.Disk)
	}
}
