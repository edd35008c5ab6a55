package e2e

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/weirhq/weir/internal/testkit"
)

// unzip reads a gzip body.
func unzip(t *testing.T, body string) string {
	t.Helper()
	r, err := gzip.NewReader(strings.NewReader(body))
	if err != nil {
		t.Fatalf("%v: %q", err, body[:min(len(body), 40)])
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestCompression: what an app sends plain goes out compressed to those who take it, kept or not, in every way that a body
// comes; what is kept is compressed once.
func TestCompression(t *testing.T) {
	page := func(n int) []byte { return bytes.Repeat([]byte("<p>a line of a page that says little</p>\n"), n) }
	a := serveApp(t, "", func(_ *app, n int, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if r.Header.Get("If-None-Match") == `"v1"` {
			w.WriteHeader(304)
			return
		}
		body := page(100)
		switch {
		case strings.HasSuffix(r.URL.Path, "large"):
			body = page(20000)
		case strings.HasSuffix(r.URL.Path, "short"):
			body = []byte("short")
		case strings.HasSuffix(r.URL.Path, "png"):
			w.Header().Set("Content-Type", "image/png")
		}
		if strings.HasPrefix(r.URL.Path, "/kept") {
			w.Header().Set("Cache-Control", "max-age=60")
		}
		if r.URL.Query().Has("chunked") {
			w.(http.Flusher).Flush()
		} else {
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		}
		w.Write(body)
	})
	for _, buffer := range []string{"true", "false"} {
		w := testkit.Run(t, testkit.Setup{Config: fmt.Sprintf(`
listen: {http: ["@ADDRESS@"]}
log: {access: {to: none}}
pools: {app: {servers: ["%s"], buffer: %s}}
sites:
  - hosts: ["*"]
    compress: [gzip]
    routes:
      - {match: {path: /kept/*}, pool: app, cache: on}
      - {pool: app, cache: off}
`, a.address, buffer)})
		for _, path := range []string{"/page", "/page?chunked", "/large", "/large?chunked", "/kept/page", "/kept/page?chunked", "/kept/large", "/kept/large?chunked"} {
			want := string(page(100))
			if strings.Contains(path, "large") {
				want = string(page(20000))
			}
			for range 3 {
				m := get(t, w, path, "Accept-Encoding: gzip\r\n")
				body := string(m.Body)
				if m.Field("Content-Encoding") == "gzip" {
					body = unzip(t, body)
					if m.Field("ETag") != `"v1-gz"` {
						t.Errorf("%s: ETag %s", path, m.Field("ETag"))
					}
				} else {
					t.Errorf("%s: the answer is not compressed: %v", path, m.Lines)
				}
				if m.Status != 200 || body != want {
					t.Errorf("%s: status %d, %d bytes, want %d", path, m.Status, len(body), len(want))
				}
				if m.Field("Vary") != "Accept-Encoding" {
					t.Errorf("%s: Vary %q", path, m.Field("Vary"))
				}
			}
			plain := get(t, w, path, "")
			if string(plain.Body) != want || plain.Has("Content-Encoding") || plain.Field("Vary") != "Accept-Encoding" || plain.Field("ETag") != `"v1"` {
				t.Errorf("%s plain: %d bytes, %v", path, len(plain.Body), plain.Lines)
			}
			if m := get(t, w, path, "Accept-Encoding: gzip\r\nIf-None-Match: \"v1-gz\"\r\n"); m.Status != 304 || m.Field("ETag") != `"v1-gz"` {
				t.Errorf("%s: who has it compressed gets %d, %s", path, m.Status, m.Field("ETag"))
			}
			if m := ask(t, w, "HEAD", path, "Accept-Encoding: gzip\r\n"); m.Status != 200 || m.Field("Content-Encoding") != "gzip" {
				t.Errorf("%s: HEAD gets %d, %v", path, m.Status, m.Lines)
			}
		}
		for _, path := range []string{"/short", "/png", "/kept/short", "/kept/png"} {
			for range 2 {
				if m := get(t, w, path, "Accept-Encoding: gzip\r\n"); m.Status != 200 || m.Has("Content-Encoding") {
					t.Errorf("%s: %d %v", path, m.Status, m.Lines)
				}
			}
		}
		if n := a.count("/kept/page"); n > 4 {
			t.Errorf("what is kept was asked for %d times", n)
		}
	}
}

// TestOutgrownCompressed: what turns out to be more than memory takes reaches those who read it compressed in one piece, by way
// of a file or of the cache's disk.
func TestOutgrownCompressed(t *testing.T) {
	var text strings.Builder
	for i := range 200_000 {
		fmt.Fprintf(&text, "%d lines of a large page\n", i)
	}
	a := serveApp(t, "", func(_ *app, _ int, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Cache-Control", "max-age=60")
		w.(http.Flusher).Flush()
		io.WriteString(w, text.String())
	})
	for _, more := range []string{"", fmt.Sprintf(", max_object: 64MiB, disk: {path: %q, size: 256MiB}", t.TempDir())} {
		w := cached(t, a, "grace: 0s\n        compress: [gzip]", "cache: {memory: 16MiB"+more+"}")
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				m := get(t, w, "/page", "Accept-Encoding: gzip\r\n")
				if m.Field("Content-Encoding") != "gzip" || unzip(t, m.Body) != text.String() {
					t.Errorf("%s: %q, %d bytes", more, m.Lines, len(m.Body))
				}
			})
		}
		group.Wait()
		if m := get(t, w, "/page", ""); m.Body != text.String() {
			t.Errorf("%s: plain: %q, %d bytes", more, m.Lines, len(m.Body))
		}
		w.Stop()
	}
}
