package page

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
)

func ask(t *testing.T, target string, fields ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest("GET", target, nil)
	for i := 0; i < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, r)
	return w
}

var address = regexp.MustCompile(`"(/assets/[^"]+)"`)

// TestWhole: all that the page names is there, under an address that may be kept, and nothing is named that is elsewhere.
func TestWhole(t *testing.T) {
	index := ask(t, "/")
	if index.Code != http.StatusOK || index.Header().Get("Cache-Control") != "no-cache" {
		t.Fatalf("GET /: %d %q", index.Code, index.Header())
	}
	found := address.FindAllStringSubmatch(index.Body.String(), -1)
	if len(found) < 5 {
		t.Fatalf("the page names only %q", found)
	}
	for _, m := range found {
		w := ask(t, m[1])
		if w.Code != http.StatusOK || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d %q", m[1], w.Code, w.Header())
		}
	}
	all, err := load()
	if err != nil {
		t.Fatal(err)
	}
	dir := path.Dir(found[0][1])
	names := regexp.MustCompile(`(?:from "\./|url\(")([^"]+)"`)
	elsewhere := regexp.MustCompile(`(?:https?:)?//[a-z0-9-]+\.[a-z]`)
	for name, a := range all {
		if strings.HasPrefix(a.kind, "font/") {
			continue
		}
		for _, m := range names.FindAllStringSubmatch(string(a.plain), -1) {
			if all[dir+"/"+m[1]] == nil {
				t.Errorf("%s names %s, which is not there", name, m[1])
			}
		}
		text := strings.ReplaceAll(string(a.plain), "http://www.w3.org/2000/svg", "")
		text = strings.ReplaceAll(text, "http://www.example.com/news", "") // an example in a field
		if where := elsewhere.FindString(text); where != "" {
			t.Errorf("%s names something elsewhere: %s", name, where)
		}
	}
}

// TestPreloaded: every module is asked for at once, not one after the other.
func TestPreloaded(t *testing.T) {
	index := ask(t, "/").Body.String()
	all, err := load()
	if err != nil {
		t.Fatal(err)
	}
	for name := range all {
		if base := path.Base(name); strings.HasSuffix(name, ".js") && !strings.Contains(index, "/"+base+`"`) {
			t.Errorf("index.html does not name %s", base)
		}
	}
}

// TestTextOnly: no script here has a way to take a text for HTML or for code.
func TestTextOnly(t *testing.T) {
	ways := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|setHTML|createContextualFragment|DOMParser|srcdoc|javascript:|\.style\.cssText|style=|setTimeout\("`)
	all, err := load()
	if err != nil {
		t.Fatal(err)
	}
	for name, a := range all {
		if strings.HasPrefix(a.kind, "font/") || strings.HasSuffix(name, ".css") {
			continue
		}
		if found := ways.Find(a.plain); found != nil {
			t.Errorf("%s has %q", name, found)
		}
		if strings.HasSuffix(name, "/") && regexp.MustCompile(`<script>|<style|\son[a-z]+=`).Match(a.plain) {
			t.Errorf("%s has a script or a style in it, which the policy refuses", name)
		}
	}
}

func TestCodings(t *testing.T) {
	plain := ask(t, "/").Body.Bytes()
	for _, c := range []struct{ accept, want string }{{"", ""}, {"br", "br"}, {"gzip, br", "br"}, {"gzip;q=1.0, br;q=0", "gzip"}, {"GZIP", "gzip"}, {"br; q=0.000", ""}, {"zstd", ""}, {"br;q=x", ""}, {"identity, gzip;q=0.2", "gzip"}} {
		w := ask(t, "/", "Accept-Encoding", c.accept)
		got := w.Header().Get("Content-Encoding")
		if got != c.want || w.Header().Get("Vary") != "Accept-Encoding" {
			t.Errorf("%q: coding %q, want %q; Vary %q", c.accept, got, c.want, w.Header().Get("Vary"))
			continue
		}
		var body io.Reader = w.Body
		switch got {
		case "br":
			body = brotli.NewReader(w.Body)
		case "gzip":
			g, err := gzip.NewReader(w.Body)
			if err != nil {
				t.Fatal(err)
			}
			body = g
		}
		text, err := io.ReadAll(body)
		if err != nil || !bytes.Equal(text, plain) {
			t.Errorf("%q: another text came out: %v", c.accept, err)
		}
	}
}

func TestConditions(t *testing.T) {
	tags := map[string]bool{}
	for _, coding := range []string{"", "gzip", "br"} {
		w := ask(t, "/", "Accept-Encoding", coding)
		tag := w.Header().Get("ETag")
		if tags[tag] {
			t.Errorf("two codings have the validator %s", tag)
		}
		tags[tag] = true
		for _, match := range []string{tag, "W/" + tag, `"other", ` + tag, "*"} {
			if w := ask(t, "/", "Accept-Encoding", coding, "If-None-Match", match); w.Code != http.StatusNotModified || w.Body.Len() > 0 {
				t.Errorf("If-None-Match %s: %d", match, w.Code)
			}
		}
		if w := ask(t, "/", "Accept-Encoding", coding, "If-None-Match", `"other"`); w.Code != http.StatusOK {
			t.Errorf("another validator: %d", w.Code)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, target := range []string{"/x", "/assets/", "/assets/old/app.js", "/assets/../page.go", "/assets/index.html"} {
		if w := ask(t, target); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", target, w.Code)
		}
	}
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, httptest.NewRequest("POST", "/", nil))
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") == "" {
		t.Errorf("POST /: %d", w.Code)
	}
	w = httptest.NewRecorder()
	Handler().ServeHTTP(w, httptest.NewRequest("HEAD", "/", nil))
	if w.Code != http.StatusOK || w.Body.Len() != 0 || w.Header().Get("Content-Length") == "0" {
		t.Errorf("HEAD /: %d, %d bytes, said %s", w.Code, w.Body.Len(), w.Header().Get("Content-Length"))
	}
}

// TestSize holds the promise: everything that a browser has to fetch, as it goes over the wire.
func TestSize(t *testing.T) {
	all, err := load()
	if err != nil {
		t.Fatal(err)
	}
	for _, coding := range []string{"br", "gzip"} {
		sum := 0
		for _, a := range all {
			n := len(a.plain)
			if c := a.coded[coding]; c != nil {
				n = len(c)
			}
			sum += n + 500 // and the heads
		}
		t.Logf("%s: %.1f KiB in %d files", coding, float64(sum)/1024, len(all))
		if sum > 150<<10 {
			t.Errorf("%d bytes in %s, more than 150 KiB", sum, coding)
		}
	}
}

func BenchmarkHandler(b *testing.B) {
	h := Handler()
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Accept-Encoding", "gzip, br")
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
}

// BenchmarkLoad is what the page costs when the desk starts.
func BenchmarkLoad(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := load(); err != nil {
			b.Fatal(err)
		}
	}
}
