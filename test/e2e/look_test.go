package e2e

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/testkit"
)

// TestExplainLive: weir tells what its cache has for a request, and that changes nothing.
func TestExplainLive(t *testing.T) {
	a := serveApp(t, "", numbered)
	w := cached(t, a, "{pass_if_cookie: [sessionid], grace: 1h}", "")
	const kept, never = "http://e2e.test/kept?cc=max-age=1", "http://e2e.test/never?cc=no-store"
	expect := func(url string, want ...string) {
		t.Helper()
		out := w.Do("explain", "--live", url)
		for _, text := range want {
			if !strings.Contains(out, text) {
				t.Errorf("%s: no %q in\n%s", url, text, out)
			}
		}
	}
	expect(kept, "nothing is kept for it", "key http://e2e.test/kept?cc=max-age=1")
	get(t, w, "/kept?cc=max-age=1", "")
	get(t, w, "/never?cc=no-store", "")
	expect(kept, "a response of status 200, 9 B", "nobody has got it from here yet", "1h0m0s")
	expect(never, "it could not be (no-store)")
	if out := w.Do("explain", "--live", kept, "-H", "Cookie: sessionid=1"); !strings.Contains(out, "passes by the cache (cookie)") {
		t.Errorf("with a cookie: %s", out)
	}
	testkit.Eventually(t, 10*time.Second, "it is stale", func() bool {
		return strings.Contains(w.Do("explain", "--live", kept), "stale since")
	})
	if n := a.count("/kept"); n != 1 {
		t.Errorf("the app was asked %d times", n)
	}
	w.Do("purge", "--soft", kept)
	expect(kept, "purged softly")
	w.Do("purge", kept)
	expect(kept, "what was kept was purged")
	if out := w.Do("explain", "--live", w.File, kept); !strings.Contains(out, "route ") || !strings.Contains(out, "now ") {
		t.Errorf("both: %s", out)
	}
	if out, problem, code := w.Command("explain", "--live", "http://e2e.test/a b"); code == 0 {
		t.Errorf("no URL: %s%s", out, problem)
	}
}

// TestExplainLiveVariants: which variant it would be, and that one on disk is found there.
func TestExplainLiveVariants(t *testing.T) {
	a := serveApp(t, "", func(a *app, n int, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Accept-Language")
		numbered(a, n, w, r)
	})
	w := onDisk(t, a, t.TempDir(), "8MiB", "64MiB", "grace: 0s")
	const url = "http://e2e.test/page?cc=max-age=600"
	get(t, w, "/page?cc=max-age=600", "Accept-Language: de\r\n")
	if out := w.Do("explain", "--live", url, "-H", "Accept-Language: de"); !strings.Contains(out, "kept: a response") || !strings.Contains(out, "the variant by accept-language") {
		t.Errorf("German: %s", out)
	}
	if out := w.Do("explain", "--live", url, "-H", "Accept-Language: fr"); !strings.Contains(out, "nothing is kept") || !strings.Contains(out, "vary by accept-language too") {
		t.Errorf("French: %s", out)
	}
	written(t, w, 2) // the list of variants too
	edge := w.Edge()
	edge.Kill(t, syscall.SIGKILL)
	testkit.Eventually(t, testkit.Patience, "it is found on the disk of the edge that comes next", func() bool {
		out, _, code := w.Command("explain", "--live", url, "-H", "Accept-Language: de")
		return code == 0 && strings.Contains(out, "it is on disk")
	})
}
