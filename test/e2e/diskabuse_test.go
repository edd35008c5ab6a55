package e2e

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/testkit"
)

// filming answers /film with a large body and everything else with a number.
func filming(a *app, n int, w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "max-age=3600")
	if strings.HasPrefix(r.URL.Path, "/film") {
		w.Write(film(0, 3<<20))
		return
	}
	numbered(a, n, w, r)
}

// TestDirectoryRemovedWhileServing: who is being sent a large body gets all of it, the loss is said once, and the disk is
// used again.
func TestDirectoryRemovedWhileServing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	w := cached(t, serveApp(t, "", filming), "grace: 0s", diskOf(dir, "64MiB"))
	get(t, w, "/small", "")
	w.Get("/film") // by the host that is asked for below
	written(t, w, 2)
	r, err := http.Get(w.URL("/film"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if !strings.Contains(r.Header.Get("Cache-Status"), "weir; hit") {
		t.Errorf("not from the cache: %v", r.Header)
	}
	begun := make([]byte, 64<<10)
	if _, err := io.ReadFull(r.Body, begun); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	wantHit(t, w, "/small", "", "answer 1\n")
	testkit.Eventually(t, testkit.Patience, "the directory is missed", func() bool { return strings.Contains(w.Output(), "works in memory alone") })
	rest, err := io.ReadAll(r.Body)
	if err != nil || string(begun)+string(rest) != string(film(0, 3<<20)) {
		t.Errorf("%d bytes: %v", len(begun)+len(rest), err)
	}
	testkit.Eventually(t, testkit.Patience, "there is a disk again", func() bool { return cacheStatus(t, w).Disk.Problem == "" })
	for _, path := range []string{"/film", "/small"} {
		if m := get(t, w, path, ""); m.Status != 200 {
			t.Errorf("%s: %d", path, m.Status)
		}
	}
	wantHit(t, w, "/film", "", string(film(0, 3<<20)))
	if n := strings.Count(w.Output(), "edge: error:"); n != 1 {
		t.Errorf("the loss was said in %d lines", n)
	}
	if n := strings.Count(w.Output(), "the cache has its disk"); n != 2 {
		t.Errorf("it was said %d times that there is a disk", n)
	}
}

// TestOddThingsInTheDirectory: whatever stands where the cache's own files should, the site is served, and the disk used as
// soon as it can be.
func TestOddThingsInTheDirectory(t *testing.T) {

	for _, c := range []struct {
		name, file, text string // no text: a directory
		stops            bool   // the disk cannot be used with it
	}{
		{"lock is a directory", "lock", "", true},
		{"purges are a directory", "purges", "", true},
		{"secret is a directory", "secret", "", true},
		{"a segment is a directory", "0000000001.seg", "", false},
		{"a body is a directory", "0000000001.body", "", false},
		{"the secret is short", "secret", "abc", false},
		{"purges are anything", "purges", strings.Repeat("purge", 99), false},
		{"a segment is anything", "0000000007.seg", strings.Repeat("segment", 9999), false},
		{"the last number there is", "4294967295.seg", "x", false},
		{"a list of nothing", "0000000001.idx", "x", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, a := t.TempDir(), serveApp(t, "", filming)
			path := filepath.Join(dir, c.file)
			place := func() error { return os.WriteFile(path, []byte(c.text), 0o600) }
			if c.text == "" {
				place = func() error { return os.Mkdir(path, 0o700) }
			}
			if err := place(); err != nil {
				t.Fatal(err)
			}
			w := onDisk(t, a, dir, "8MiB", "64MiB", "default_ttl: 1h")
			get(t, w, "/a/"+c.file, "")
			wantHit(t, w, "/a/"+c.file, "", "answer 1\n")
			if d := cacheStatus(t, w).Disk; (d.Problem != "") != c.stops {
				t.Errorf("problem %q", d.Problem)
			}
			if c.stops {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
				testkit.Eventually(t, testkit.Patience, "the disk is used", func() bool { return cacheStatus(t, w).Disk.Problem == "" })
			}
			get(t, w, "/b/"+c.file, "")
			written(t, w, 1)
			w.Stop()
			w = onDisk(t, a, dir, "8MiB", "64MiB", "default_ttl: 1h")
			wantHit(t, w, "/b/"+c.file, "", "answer 1\n")
		})
	}
}
