package e2e

import (
	"strings"
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
	expect(kept, "a response of status 200, 9 B", "looked up 0 times", "1h0m0s")
	expect(never, "it is known that it cannot be")
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
	expect(kept, "nothing is kept")
	if out := w.Do("explain", "--live", w.File, kept); !strings.Contains(out, "route ") || !strings.Contains(out, "now ") {
		t.Errorf("both: %s", out)
	}
	if out, problem, code := w.Command("explain", "--live", "http://e2e.test/a b"); code == 0 {
		t.Errorf("no URL: %s%s", out, problem)
	}
}
