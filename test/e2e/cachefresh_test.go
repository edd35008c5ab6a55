package e2e

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/testkit"
)

// TestFieldsForOneClient: what private= names goes to the client whose request brought it, and to nobody else (RFC 9111,
// section 5.2.2.7).
func TestFieldsForOneClient(t *testing.T) {
	a := serveApp(t, "", func(_ *app, _ int, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", `max-age=60, private="Set-Cookie, X-You"`)
		w.Header().Set("Set-Cookie", "session=1")
		w.Header().Set("X-You", "anna")
		w.Header().Set("X-All", "all")
		if r.URL.Path == "/streamed" {
			w.(http.Flusher).Flush()
		}
		io.WriteString(w, strings.Repeat("a page\n", 10000))
	})
	w := cached(t, a, "grace: 0s", "")
	for _, path := range []string{"/whole", "/streamed"} {
		m := get(t, w, path, "")
		if m.Field("Set-Cookie") != "session=1" || m.Field("X-You") != "anna" || m.Field("X-All") != "all" || !strings.Contains(m.Field("Cache-Status"), "stored") {
			t.Errorf("%s: the first got %q", path, m.Lines)
		}
		m = get(t, w, path, "")
		if m.Has("Set-Cookie") || m.Has("X-You") || m.Field("X-All") != "all" || !strings.Contains(m.Field("Cache-Status"), "hit") {
			t.Errorf("%s: the second got %q", path, m.Lines)
		}
	}
}

// TestHeadTellsOfGet is RFC 9111, section 4.3.5: the answer to a HEAD freshens what is kept, or takes it out.
func TestHeadTellsOfGet(t *testing.T) {
	a := serveApp(t, "", func(_ *app, _ int, w http.ResponseWriter, r *http.Request) {
		life := "max-age=60"
		tag := `"1"`
		if r.Method == "HEAD" {
			life = "max-age=600"
			if r.URL.Path == "/replaced" {
				tag = `"2"`
			}
			w.Header().Set("X-Head", "yes")
			w.Header().Set("Content-Length", "5")
		}
		w.Header().Set("Cache-Control", life)
		w.Header().Set("ETag", tag)
		if r.Method == "GET" {
			io.WriteString(w, "page\n")
		}
	})
	w := cached(t, a, "grace: 0s\n          reload: revalidate", "")
	for _, c := range []struct {
		path  string
		asked int
		head  string
	}{{"/same", 2, "yes"}, {"/replaced", 3, ""}} {
		get(t, w, c.path, "")
		if m := ask(t, w, "HEAD", c.path, "Cache-Control: no-cache\r\n"); m.Status != 200 || m.Field("X-Head") != "yes" {
			t.Errorf("%s: HEAD: %d %q", c.path, m.Status, m.Lines)
		}
		if m := get(t, w, c.path, ""); m.Status != 200 || string(m.Body) != "page\n" || m.Field("X-Head") != c.head {
			t.Errorf("%s: %d %q %q", c.path, m.Status, m.Lines, m.Body)
		}
		if n := a.count(c.path); n != c.asked {
			t.Errorf("%s: the app was asked %d times, want %d", c.path, n, c.asked)
		}
	}
}

// TestOtherTag is RFC 9111, section 4.3.4: a 304 with the strong tag of another response changes nothing that is kept.
func TestOtherTag(t *testing.T) {
	a := serveApp(t, "", func(_ *app, n int, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("ETag", `"1"`)
		if r.Header.Get("If-None-Match") != "" {
			w.Header().Set("ETag", `"2"`)
			w.Header().Set("X-Fresh", "yes")
			w.WriteHeader(304)
			return
		}
		io.WriteString(w, "page\n")
	})
	w := cached(t, a, "grace: 0s\n          reload: revalidate", "")
	for i, lines := range []string{"", "Cache-Control: no-cache\r\n", "", ""} {
		m := get(t, w, "/page", lines)
		if m.Status != 200 || string(m.Body) != "page\n" || m.Field("ETag") != `"1"` || m.Has("X-Fresh") {
			t.Errorf("request %d: %d %q %q", i, m.Status, m.Lines, m.Body)
		}
	}
	if n := a.count("/page"); n != 3 {
		t.Errorf("the app was asked %d times, want 3", n)
	}
}

// TestChangesElsewhere: a request that changes one place lets go what is being fetched from there, and nothing else: requests for
// the rest go on waiting for each other.
func TestChangesElsewhere(t *testing.T) {
	for change, want := range map[string]int{"/other": 1, "/page": 2, "/page?x": 1} {
		entered, release := make(chan bool, 8), make(chan bool)
		a := serveApp(t, "", func(_ *app, n int, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			if r.Method == "GET" && r.URL.Path == "/page" && r.URL.RawQuery == "" {
				entered <- true
				<-release
			}
			fmt.Fprintf(w, "answer %d", n)
		})
		w := cached(t, a, "private: [sessionid]", "")
		var group sync.WaitGroup
		page := func() { group.Go(func() { get(t, w, "/page", "") }) }
		page()
		<-entered
		ask(t, w, "POST", change, "Content-Length: 0\r\n")
		posts := a.count("/page")
		page()
		if want == 2 {
			<-entered
		} else {
			testkit.Eventually(t, 10*time.Second, "both wait", func() bool { e := w.Status().Edge; return e != nil && e.Active >= 2 })
		}
		close(release)
		group.Wait()
		if n := a.count("/page") - posts + 1; n != want {
			t.Errorf("after a change of %s the app was asked %d times, want %d", change, n, want)
		}
	}
}
