package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/weirhq/weir/internal/testkit"
)

// purgeSite has routes that make other keys of one URL.
const purgeSite = `
listen: {http: ["@ADDRESS@"]}
log: {access: {to: none}}
pools: {app: {servers: ["%s"], retry: {attempts: 0}}}
cache: {memory: 16MiB}
sites:
  - hosts: [e2e.test]
    routes:
      - {match: {cookie: beta}, pool: app, cache: {default_ttl: 1h, keep_query: [id]}}
      - {match: {path: /get/*, method: [GET, HEAD]}, pool: app, cache: {default_ttl: 1h}}
      - {match: {path: /get/*}, pool: app, cache: off}
      - {match: {path: /off/*}, pool: app, cache: off}
      - {pool: app, cache: {default_ttl: 1h, ignore_query: ["utm_*", gclid], sort_query: true}}
`

func purgeable(t *testing.T) *testkit.Weir {
	t.Helper()
	a := serveApp(t, "", func(a *app, n int, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Surrogate-Key", "one two")
		w.Header().Set("Cache-Control", "public, max-age=3600")
		if r.Method != "GET" {
			w.WriteHeader(204)
			return
		}
		numbered(a, n, w, r)
	})
	return testkit.Run(t, testkit.Setup{Plain: true, Config: fmt.Sprintf(purgeSite, a.address), Ready: "/ready"})
}

func isHit(t *testing.T, w *testkit.Weir, path, lines string) bool {
	t.Helper()
	return strings.Contains(get(t, w, path, lines).Field("Cache-Status"), "weir; hit")
}

// TestPurgeAsWritten: a purge takes out what people mean by it, however they have written it, or is refused.
func TestPurgeAsWritten(t *testing.T) {
	w := purgeable(t)
	const beta = "Cookie: beta=1\r\n"
	for _, c := range []struct{ path, lines, arg string }{
		{"/a", "", "http://e2e.test/a"},
		{"/a", "", "http://e2e.test:8080/a"},
		{"/a", "", "HTTPS://user:word@E2E.test/a#top"},
		{"/a", "", "http://e2e.test/%61"},
		{"/a", "", "http://e2e.test/b/../a"},
		{"/a", "", "http://e2e.test//a"},
		{"/a", "", "http://e2e.test/a?utm_source=mail&gclid=7"},
		{"/a?x=1&y=2", "", "http://e2e.test/a?y=2&utm_source=mail&x=1"},
		{"/a?y=2&x=1", "", "http://e2e.test/a?x=1&y=2"},
		{"/a%20b?q=%C3%A4%20c", "", "http://e2e.test/a b?q=ä c"},
		{"/%C3%A4", "", "http://e2e.test/ä"},
		{"/", "", "http://e2e.test"},
		{"/a?id=1&z=3", beta, "http://e2e.test/a?z=3&id=1"},
		{"/a?id=1", beta, "http://e2e.test/a?id=1&utm_source=mail"},
		{"/get/x?utm_source=a", "", "http://e2e.test/get/x?utm_source=a"},
		{"/a", "", "--prefix=e2e.test/"},
		{"/a", "", "--prefix=http://e2e.test:8080/a"},
		{"/a", "", "--prefix=*/a"},
		{"/a", "", "--pattern=e2e.test/*"},
		{"/a", "", "--pattern=http://*.test:80/a"},
		{"/a", "", "--tag=two"},
		{"/a", "", "--tag=three, two"},
		{"/a", "", "--tag=three two"},
		{"/" + strings.Repeat("long", 1500), "", "http://e2e.test/" + strings.Repeat("long", 1500)},
	} {
		get(t, w, c.path, c.lines)
		if !isHit(t, w, c.path, c.lines) {
			t.Errorf("%s is not kept", c.path)
		}
		if out, problem, code := w.Command("purge", c.arg); code != 0 || out != "purged\n" || problem != "" {
			t.Errorf("purge %s: %d %s%s", c.arg, code, out, problem)
		}
		if isHit(t, w, c.path, c.lines) {
			t.Errorf("%.80s is still there after purge %.80s", c.path, c.arg)
		}
	}
}

// TestPurgeOfNothing: what cannot meet anything is not answered as if it had.
func TestPurgeOfNothing(t *testing.T) {
	w := purgeable(t)
	get(t, w, "/a", "")
	for arg, says := range map[string]string{
		"e2e.test/a":               "http://",
		"/a":                       "http://",
		"ftp://e2e.test/a":         "http://",
		"http://e2e.test/%zz":      "http://",
		"http://e2e.test/a*":       "--pattern",
		"http://*/a":               "--pattern",
		"http://e2e.test/../a":     "root",
		"--prefix=/a":              "www.example.com/path",
		"--prefix=e2e.test":        "www.example.com/path",
		"--prefix=e2e.test/a*":     "--pattern",
		"--prefix=*.test/a":        "--pattern",
		"--prefix=e2e.test/a?x=1":  "query",
		"--pattern=*.css":          "www.example.com/path",
		"--pattern=e2e.test/a?x=*": "query",
		"--tag=":                   "no tag",
		"--tag= , ":                "no tag",
		"--prefix=e2e.test/" + strings.Repeat("x", 5000): "at most",
	} {
		out, problem, code := w.Command("purge", arg)
		if code != 1 || out != "" || !strings.Contains(problem, says) || strings.Count(problem, "\n") != 1 {
			t.Errorf("purge %.60s: %d %.300s%.300s", arg, code, out, problem)
		}
	}
	for arg, says := range map[string]string{
		"http://elsewhere.test/a":  "no site has the host elsewhere.test",
		"--prefix=elsewhere.test/": "no site has the host elsewhere.test",
		"http://e2e.test/off/x":    "",
	} {
		out, problem, code := w.Command("purge", arg)
		if code != 0 || out != "purged\n" || !strings.Contains(problem, says) || (problem == "") != (says == "") {
			t.Errorf("purge %s: %d %s%s", arg, code, out, problem)
		}
	}
	if !isHit(t, w, "/a", "") {
		t.Error("what nobody has purged is gone")
	}
	// All or nothing: one that is wrong keeps the others from being done halfway.
	if _, _, code := w.Command("purge", "http://e2e.test/a", "http://e2e.test/%zz"); code == 0 || !isHit(t, w, "/a", "") {
		t.Error("a purge was done halfway")
	}
}

// TestPurgeMethodByRoutes: PURGE takes out what all routes keep of its URL, though it matches none of them itself.
func TestPurgeMethodByRoutes(t *testing.T) {
	w := purgeable(t)
	const beta = "Cookie: beta=1\r\n"
	for _, c := range []struct{ path, lines, purge string }{
		{"/get/x", "", "/get/x"},
		{"/a?id=1", beta, "/a?id=1"},
		{"/a?id=1", beta, "/a?utm_source=1&id=1"},
	} {
		get(t, w, c.path, c.lines)
		for _, odd := range []string{"X-Purge: sofft\r\n", "X-Purge-Method: regex\r\n"} {
			if m := ask(t, w, "PURGE", c.purge, odd); m.Status != 400 || !isHit(t, w, c.path, c.lines) {
				t.Errorf("PURGE with %q: %d", odd, m.Status)
			}
		}
		if m := ask(t, w, "PURGE", c.purge, "X-Purge: hard\r\nX-Purge-Method: exact\r\n"); m.Status != 200 {
			t.Errorf("PURGE %s: %d", c.purge, m.Status)
		}
		if isHit(t, w, c.path, c.lines) {
			t.Errorf("%s is still there after PURGE %s", c.path, c.purge)
		}
	}
}

// TestUnsafeMethodsInvalidateForAll: whatever route a change takes, nobody sees the state before it.
func TestUnsafeMethodsInvalidateForAll(t *testing.T) {
	w := purgeable(t)
	long := "/" + strings.Repeat("long", 1500)
	const beta = "Cookie: beta=1\r\n"
	for _, path := range []string{"/a?id=1", "/get/x?id=1", long + "?id=1"} {
		for _, lines := range []string{beta, ""} {
			get(t, w, path, lines)
			if !isHit(t, w, path, lines) {
				t.Errorf("%.80s is not kept", path)
			}
			ask(t, w, "POST", path, "Content-Length: 0\r\n")
			if isHit(t, w, path, lines) {
				t.Errorf("%.80s (%q) is still there after a POST", path, lines)
			}
		}
	}
}

// TestPurgeWhileTheEdgeDies: a purge that comes while there is no edge waits for the next one.
func TestPurgeWhileTheEdgeDies(t *testing.T) {
	a := serveApp(t, "", numbered)
	w := onDisk(t, a, t.TempDir(), "16MiB", "64MiB", "default_ttl: 1h")
	for n := range 5 {
		path := fmt.Sprintf("/%d", n)
		get(t, w, path, "")
		written(t, w, 1)
		w.Edge().Kill(t, syscall.SIGKILL)
		w.Do("purge", "http://e2e.test"+path)
		if m := get(t, w, path, ""); m.Body != "answer 2\n" {
			t.Errorf("%s after a purge: %q, %s", path, m.Body, m.Field("Cache-Status"))
		}
		w.Edge() // waits for it
	}
}

// TestWarningsInTheLog: what is odd about a configuration is said in a line of the log.
func TestWarningsInTheLog(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "photo.jpg"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w := onDisk(t, serveApp(t, "", numbered), dir, "16MiB", "64MiB", "default_ttl: 1h")
	for line := range strings.Lines(w.Output()) {
		if strings.Contains(line, "photo.jpg") && strings.Contains(line, "weir.yaml:") && strings.Contains(line, "directory of its own") && !strings.Contains(line, `\x0a`) {
			return
		}
	}
	t.Error("it is not said that the directory has something else in it")
}
