package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/testkit"
)

// TestOutgrown: a response of unknown length grows larger than the cache takes while others read it too: all get the whole of
// it, it is not kept, and those who come next do not wait for each other.
func TestOutgrown(t *testing.T) {
	const size = 3 << 20
	first, more := make(chan struct{}), make(chan struct{})
	a := serveApp(t, "", func(_ *app, n int, w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/film" {
			return
		}
		w.Header().Set("Cache-Control", "max-age=60")
		w.Write(bytes.Repeat([]byte("a"), 32<<10))
		w.(http.Flusher).Flush()
		if n == 1 {
			close(first)
			<-more
		}
		w.Write(bytes.Repeat([]byte("b"), size-32<<10))
	})
	w := cached(t, a, "grace: 0s", "cache: {memory: 8MiB, max_object: 100KiB}")
	var group sync.WaitGroup
	read := func() {
		c := w.Dial()
		defer c.Close()
		c.Within(60 * time.Second)
		c.Send("GET /film HTTP/1.1\r\nHost: e2e.test\r\n\r\n")
		if m := c.Response("GET"); m.Status != 200 || len(m.Body) != size || strings.Count(string(m.Body), "a") != 32<<10 {
			t.Errorf("status %d, %d bytes", m.Status, len(m.Body))
		}
	}
	for range 5 {
		group.Go(read)
	}
	<-first
	close(more)
	group.Wait()
	asked := a.count("/film")
	if m := get(t, w, "/film", ""); len(m.Body) != size || strings.Contains(m.Field("Cache-Status"), "hit") {
		t.Errorf("%d bytes, %s", len(m.Body), m.Field("Cache-Status"))
	}
	if a.count("/film") != asked+1 {
		t.Errorf("the app was asked %d times, then %d", asked, a.count("/film"))
	}
}

// TestTooLargeToKeep: a response that says that it is larger than the cache takes passes by.
func TestTooLargeToKeep(t *testing.T) {
	body := bytes.Repeat([]byte("x"), 300<<10)
	a := serveApp(t, "", func(_ *app, _ int, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		w.Write(body)
	})
	w := cached(t, a, "grace: 0s", "cache: {memory: 8MiB, max_object: 100KiB}")
	for i := range 3 {
		if m := get(t, w, "/large", ""); string(m.Body) != string(body) || i == 0 && !strings.Contains(m.Field("Cache-Status"), "detail=too-large") {
			t.Errorf("%d bytes, %s", len(m.Body), m.Field("Cache-Status"))
		}
	}
	if a.count("/large") != 3 {
		t.Errorf("the app was asked %d times", a.count("/large"))
	}
}

// TestCutShort: a server that dies in the middle of a response leaves nobody with a part for the whole, and nothing behind.
func TestCutShort(t *testing.T) {
	for _, how := range []string{"chunked", "length"} {
		die := make(chan struct{})
		a := serveApp(t, "", func(_ *app, n int, w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/page" {
				return
			}
			w.Header().Set("Cache-Control", "max-age=60")
			if how == "length" {
				w.Header().Set("Content-Length", fmt.Sprint(2<<20))
			}
			w.Write(bytes.Repeat([]byte("a"), 400<<10))
			w.(http.Flusher).Flush()
			if n == 1 {
				<-die
				panic(http.ErrAbortHandler)
			}
			w.Write(bytes.Repeat([]byte("b"), 2<<20-400<<10))
		})
		w := cached(t, a, "grace: 0s", "")
		var group sync.WaitGroup
		var started sync.WaitGroup
		for range 4 {
			started.Add(1)
			group.Go(func() {
				c := w.Dial()
				defer c.Close()
				c.Within(60 * time.Second)
				c.Send("GET /page HTTP/1.1\r\nHost: e2e.test\r\n\r\n")
				c.Head()
				c.Read(100)
				started.Done()
				rest, err := io.ReadAll(c.Raw())
				if err == nil && (len(rest) >= 2<<20-200 || strings.HasSuffix(string(rest), "\r\n0\r\n\r\n")) {
					t.Errorf("%s: a part looks like the whole: %d bytes, %q", how, len(rest), rest[max(0, len(rest)-20):])
				}
			})
		}
		started.Wait()
		close(die)
		group.Wait()
		if m := get(t, w, "/page", ""); m.Status != 200 || len(m.Body) != 2<<20 {
			t.Errorf("%s: the next client gets %d, %d bytes", how, m.Status, len(m.Body))
		}
	}
}

// TestReloadKeepsTheCache: a configuration put in force, and an edge that goes on, lose nothing that is kept.
func TestReloadKeepsTheCache(t *testing.T) {
	a := serveApp(t, "", numbered)
	w := cached(t, a, "grace: 0s", "")
	get(t, w, "/page?cc=max-age=60", "")
	w.Write("weir.yaml", fmt.Sprintf(cacheSite, a.address, "grace: 1s", ""))
	w.Do("reload")
	testkit.Eventually(t, 10*time.Second, "the page is still kept", func() bool {
		return strings.Contains(get(t, w, "/page?cc=max-age=60", "").Field("Cache-Status"), "hit")
	})
	if a.count("/page") != 1 {
		t.Errorf("the app was asked %d times", a.count("/page"))
	}
}
