package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// ranged is an app that serves ranges of a document, and notes which were asked for.
type ranged struct {
	mu    sync.Mutex
	asked []string
	tag   string
}

func (s *ranged) serve(_ *app, _ int, w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked = append(s.asked, r.Header.Get("Range"))
	tag := s.tag
	s.mu.Unlock()
	w.Header().Set("Cache-Control", "max-age=60")
	if r.URL.Path != "/weak" {
		w.Header().Set("ETag", tag)
	}
	w.Header().Set("Content-Type", "text/plain")
	if r.URL.Path == "/liar" && r.Header.Get("If-Range") != "" {
		w.Header().Set("Content-Range", "bytes 7-9/26")
		w.Header().Set("Content-Length", "3")
		w.WriteHeader(206)
		w.Write([]byte("lie"))
		return
	}
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader("abcdefghijklmnopqrstuvwxyz"))
}

func (s *ranged) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.asked = nil }()
	return fmt.Sprintf("%q", s.asked)
}

// TestParts: parts are kept, joined and completed (RFC 9111, sections 3.3 and 3.4).
func TestParts(t *testing.T) {
	s := &ranged{tag: `"1"`}
	a := serveApp(t, "", s.serve)
	w := cached(t, a, "grace: 0s", "")
	s.take() // what asked whether weir is ready
	for _, c := range []struct {
		path, lines string
		status      int
		body, span  string
		asked       string // of the app, for this request
	}{
		{"/a", "Range: bytes=5-9\r\n", 206, "fghij", "bytes 5-9/26", `["bytes=5-9"]`},
		{"/a", "Range: bytes=5-9\r\n", 206, "fghij", "bytes 5-9/26", `[]`},
		{"/a", "Range: bytes=6-7\r\n", 206, "gh", "bytes 6-7/26", `[]`},
		{"/a", "Range: bytes=6-7\r\nIf-Range: \"1\"\r\n", 206, "gh", "bytes 6-7/26", `[]`},
		{"/a", "Range: bytes=8-11\r\n", 206, "ijkl", "bytes 8-11/26", `["bytes=8-11"]`}, // joined behind
		{"/a", "Range: bytes=5-11\r\n", 206, "fghijkl", "bytes 5-11/26", `[]`},
		{"/a", "Range: bytes=2-6\r\n", 206, "cdefg", "bytes 2-6/26", `["bytes=2-6"]`}, // and before
		{"/a", "Range: bytes=2-11\r\n", 206, "cdefghijkl", "bytes 2-11/26", `[]`},
		{"/a", "Range: bytes=0-20\r\n", 206, "abcdefghijklmnopqrstu", "bytes 0-20/26", `["bytes=0-20"]`}, // around
		{"/a", "If-None-Match: \"1\"\r\nRange: bytes=3-4\r\n", 304, "", "", `[]`},
		{"/a", "", 200, "abcdefghijklmnopqrstuvwxyz", "", `["bytes=21-"]`}, // the rest alone
		{"/a", "", 200, "abcdefghijklmnopqrstuvwxyz", "", `[]`},
		{"/a", "Range: bytes=-3\r\n", 206, "xyz", "bytes 23-25/26", `[]`},
		{"/b", "Range: bytes=13-\r\n", 206, "nopqrstuvwxyz", "bytes 13-25/26", `["bytes=13-"]`},
		{"/b", "Range: bytes=-2\r\n", 206, "yz", "bytes 24-25/26", `[]`},
		{"/b", "", 200, "abcdefghijklmnopqrstuvwxyz", "", `[""]`}, // not its beginning
		{"/c", "Range: bytes=13-\r\n", 206, "nopqrstuvwxyz", "bytes 13-25/26", `["bytes=13-"]`},
		{"/c", "Range: bytes=0-14\r\n", 206, "abcdefghijklmno", "bytes 0-14/26", `["bytes=0-14"]`}, // now it is whole
		{"/c", "", 200, "abcdefghijklmnopqrstuvwxyz", "", `[]`},
		{"/weak", "Range: bytes=0-5\r\n", 206, "abcdef", "bytes 0-5/26", `["bytes=0-5"]`},
		{"/weak", "Range: bytes=2-3\r\n", 206, "cd", "bytes 2-3/26", `[]`},
		{"/weak", "Range: bytes=4-7\r\n", 206, "efgh", "bytes 4-7/26", `["bytes=4-7"]`}, // it cannot be known that they belong together
		{"/weak", "Range: bytes=0-7\r\n", 206, "abcdefgh", "bytes 0-7/26", `["bytes=0-7"]`},
		{"/weak", "", 200, "abcdefghijklmnopqrstuvwxyz", "", `[""]`},
		{"/liar", "Range: bytes=0-5\r\n", 206, "abcdef", "bytes 0-5/26", `["bytes=0-5"]`},
		{"/d", "Range: bytes=0-5\r\n", 206, "abcdef", "bytes 0-5/26", `["bytes=0-5"]`},
		{"/e", "Range: bytes=3-5\r\n", 206, "def", "bytes 3-5/26", `["bytes=3-5"]`},
	} {
		m := get(t, w, c.path, c.lines)
		if m.Status != c.status || string(m.Body) != c.body || m.Field("Content-Range") != c.span || m.Field("ETag") != `"1"` && c.path != "/weak" {
			t.Errorf("%s %q: %d %q %q", c.path, c.lines, m.Status, m.Body, m.Lines)
		}
		if got := s.take(); got != c.asked {
			t.Errorf("%s %q: the app was asked for %s, want %s", c.path, c.lines, got, c.asked)
		}
	}

	// It has changed since: the parts are of another representation.
	s.mu.Lock()
	s.tag = `"2"`
	s.mu.Unlock()
	if m := get(t, w, "/d", ""); m.Status != 200 || string(m.Body) != "abcdefghijklmnopqrstuvwxyz" || m.Field("ETag") != `"2"` {
		t.Errorf("%d %q %q", m.Status, m.Body, m.Lines)
	}
	if got := s.take(); got != `["bytes=6-"]` {
		t.Errorf("the app was asked for %s", got)
	}
	get(t, w, "/e", "Range: bytes=6-8\r\n")
	if m := get(t, w, "/e", "Range: bytes=3-5\r\n"); m.Field("ETag") != `"2"` || string(m.Body) != "def" {
		t.Errorf("a part of the old one: %q %q", m.Body, m.Lines)
	}

	// A purge takes parts too.
	s.take()
	get(t, w, "/f", "Range: bytes=3-5\r\n")
	if m := ask(t, w, "PURGE", "/f", ""); m.Status != 200 {
		t.Fatal(m.Status)
	}
	get(t, w, "/f", "Range: bytes=3-5\r\n")
	if got := s.take(); got != `["bytes=3-5" "bytes=3-5"]` {
		t.Errorf("after a purge the app was asked for %s", got)
	}
	ask(t, w, "DELETE", "/f", "")
	s.take()
	get(t, w, "/f", "Range: bytes=3-5\r\n")
	if got := s.take(); got != `["bytes=3-5"]` {
		t.Errorf("after DELETE the app was asked for %s", got)
	}
}

// TestWrongRest: a server that answers for the rest with something else is asked for the whole.
func TestWrongRest(t *testing.T) {
	s := &ranged{tag: `"1"`}
	a := serveApp(t, "", s.serve)
	w := cached(t, a, "grace: 0s", "")
	get(t, w, "/liar", "Range: bytes=0-5\r\n")
	for range 2 {
		if m := get(t, w, "/liar", ""); m.Status == 200 && string(m.Body) != "abcdefghijklmnopqrstuvwxyz" {
			t.Errorf("%d %q", m.Status, m.Body)
		}
	}
	if m := get(t, w, "/liar", ""); m.Status != 200 {
		t.Errorf("status %d", m.Status)
	}
}

// TestLargeParts: parts that come in many pieces.
func TestLargeParts(t *testing.T) {
	doc := make([]byte, 5<<20)
	for i := range doc {
		doc[i] = byte(i >> 8 * 31)
	}
	a := serveApp(t, "", func(_ *app, _ int, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("ETag", `"1"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(doc))
	})
	w := cached(t, a, "grace: 0s", "")
	for _, c := range []struct {
		from, to int
		asked    int
	}{
		{0, 1 << 20, 1}, {1000, 2000, 1}, {1 << 20, 2 << 20, 2}, {500_000, 1_500_000, 2},
		{0, 5 << 20, 3},     // the rest of it
		{100, 4<<20 + 7, 3}, // from the whole
	} {
		lines := fmt.Sprintf("Range: bytes=%d-%d\r\n", c.from, c.to-1)
		if c.to == len(doc) {
			lines = ""
		}
		m := get(t, w, "/doc", lines)
		if m.Status != 206 && lines != "" || string(m.Body) != string(doc[c.from:c.to]) {
			t.Errorf("%s: %d, %d bytes", lines, m.Status, len(m.Body))
		}
		if n := a.count("/doc"); n != c.asked {
			t.Errorf("%s: the app was asked %d times, want %d", lines, n, c.asked)
		}
	}
}
