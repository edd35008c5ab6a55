package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/testkit"
)

const twoRoutes = `
listen: {http: ["@ADDRESS@"]}
log: {access: {to: none}}
pools:
  app: {servers: ["%s"]}
sites:
  - hosts: [e2e.test]
    routes:
      - {name: news, match: {path: /news/*}, pool: app}
      - {name: rest, pool: app}
cache: {memory: %s}
`

// cacheStatus is what `weir cache --json` says.
func cacheStatus(t *testing.T, w *testkit.Weir) (s api.CacheStatus) {
	t.Helper()
	if err := json.Unmarshal([]byte(w.Do("cache", "--json")), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestCacheInsight: weir cache tells what was done for each route, what is missed most, and what more memory would do; a
// reload takes nothing of it away.
func TestCacheInsight(t *testing.T) {
	a := serveApp(t, "", numbered)
	w := testkit.Run(t, testkit.Setup{Plain: true, Config: fmt.Sprintf(twoRoutes, a.address, "16MiB"), Ready: "/ready"})
	c := w.Dial()
	defer c.Close()
	for i := range 200 {
		for range 3 {
			if m := request(c, fmt.Sprintf("/news/%d?cc=max-age=60", i)); m.Status != 200 {
				t.Fatalf("status %d", m.Status)
			}
		}
	}
	for i := range 30 {
		request(c, "/never?cc=no-store&x=1")
		if i%3 == 0 {
			request(c, fmt.Sprintf("/rest/%d", i))
		}
	}
	expect := func(when string) {
		t.Helper()
		s := cacheStatus(t, w)
		if len(s.Routes) != 2 || s.Routes[0].Route != "news" || s.Routes[0].Site != "e2e.test" {
			t.Fatalf("%s: %+v", when, s.Routes)
		}
		news, rest := s.Routes[0], s.Routes[1]
		if news.Requests != 600 || news.Hits != 400 || news.Misses != 200 || news.Passes != 0 || news.HitRatio < 0.66 || news.HitRatio > 0.67 || news.Saved < 400*9 {
			t.Errorf("%s: %+v", when, news)
		}
		if rest.Hits != 0 || rest.Misses+rest.Passes < 40 {
			t.Errorf("%s: %+v", when, rest)
		}
		if len(s.TopMisses) == 0 || s.TopMisses[0].URL != "e2e.test/never?cc=no-store&x=1" || s.TopMisses[0].Misses != 30 {
			t.Errorf("%s: %+v", when, s.TopMisses)
		}
		if len(s.Estimates) != 3 || s.Estimates[0].Memory != 8<<20 || s.Estimates[1].HitRatio < 0.4 || s.Estimates[1].HitRatio > 0.9 {
			t.Errorf("%s: %+v", when, s.Estimates)
		}
		if s.Objects < 200 || s.Bytes == 0 || s.Resident < s.Bytes || s.Resident > s.Memory || s.Memory != 16<<20 || s.HitRatio < 0.5 || s.HitRatio > 0.7 {
			t.Errorf("%s: %+v", when, s)
		}
	}
	expect("at first")
	w.Write("weir.yaml", fmt.Sprintf(twoRoutes, a.address, "16MiB")+"limits: {fields: 99}\n")
	w.Do("reload")
	expect("after a reload")
	out := w.Do("cache")
	for _, want := range []string{"e2e.test news", "MISSED MOST", "e2e.test/never?cc=no-store&x=1", "by a simulation"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	t.Logf("\n%s", out)
}

// TestMemoryOnReload: another cache.memory is in force at once, in the edge that goes on, and what there is room for stays.
func TestMemoryOnReload(t *testing.T) {
	a := serveApp(t, "", func(_ *app, _ int, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=600")
		w.Write(make([]byte, 100_000))
	})
	w := testkit.Run(t, testkit.Setup{Plain: true, Config: fmt.Sprintf(twoRoutes, a.address, "24MiB"), Ready: "/ready"})
	edge := w.Edge().PID
	c := w.Dial()
	defer c.Close()
	fill := func() {
		for i := range 250 {
			request(c, fmt.Sprintf("/news/%d", i))
		}
	}
	fill()
	if s := cacheStatus(t, w); s.Resident < 16<<20 {
		t.Fatalf("%+v", s)
	}
	for _, memory := range []int64{8, 32} {
		w.Write("weir.yaml", fmt.Sprintf(twoRoutes, a.address, fmt.Sprintf("%dMiB", memory)))
		w.Do("reload")
		testkit.Eventually(t, 20*time.Second, "the cache has its new size", func() bool {
			s := cacheStatus(t, w)
			return s.Memory == memory<<20 && s.Resident <= s.Memory && s.Objects > 20
		})
	}
	fill()
	fill()
	if s := cacheStatus(t, w); s.Resident < 24<<20 || s.Resident > 32<<20 {
		t.Errorf("after growing: %+v", s)
	}
	if w.Edge().PID != edge {
		t.Error("the edge was replaced")
	}
}
