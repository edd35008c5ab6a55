package e2e

import (
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/testkit"
)

var ttl = regexp.MustCompile(`ttl=[0-9]+`)

// TestCacheStatus: each response tells what the cache did, and why it did no more (RFC 9211).
func TestCacheStatus(t *testing.T) {
	a := serveApp(t, "", func(a *app, n int, w http.ResponseWriter, r *http.Request) {
		switch q := r.URL.Query(); {
		case q.Has("cookie"):
			w.Header().Set("Set-Cookie", "a=b")
		case q.Has("vary"):
			w.Header().Set("Vary", q.Get("vary"))
		case q.Has("part"): // without a length of the whole
			w.Header().Set("Content-Range", "bytes 2-3/*")
			w.WriteHeader(206)
			return
		case q.Has("large"):
			w.Header().Set("Content-Length", "3000000")
		}
		if r.URL.Query().Get("status") != "" {
			w.WriteHeader(503)
			return
		}
		numbered(a, n, w, r)
	})
	w := cached(t, a, "{pass_if_cookie: [sessionid], hit_for_miss: 60s, bypass: {header: {X-No-Cache: \"1\"}}}", "cache: {memory: 16MiB, max_object: 1MiB}")
	const kept = "&cc=max-age=60"
	for i, c := range []struct{ method, path, lines, want string }{
		{"GET", "/a?" + kept, "", "weir; fwd=uri-miss; fwd-status=200; stored"},
		{"GET", "/a?" + kept, "", "weir; hit; ttl=N"},
		{"HEAD", "/a?" + kept, "", "weir; hit; ttl=N"},
		{"GET", "/a?" + kept, "Cache-Control: no-cache\r\n", "weir; fwd=request; fwd-status=200; stored"},
		{"GET", "/a?" + kept, "Cache-Control: no-store\r\n", "weir; fwd=request; fwd-status=200; detail=request-no-store"},
		{"GET", "/a?" + kept, "Cookie: sessionid=1\r\n", "weir; fwd=bypass; fwd-status=200; detail=cookie"},
		{"GET", "/a?" + kept, "X-No-Cache: 1\r\n", "weir; fwd=bypass; fwd-status=200; detail=configured"},
		{"GET", "/a?" + kept, "X-Original-URL: /b\r\n", "weir; fwd=bypass; fwd-status=200; detail=url-override"},
		{"OPTIONS", "/a?" + kept, "", "weir; fwd=method; fwd-status=200; detail=method"},
		{"GET", "/b?" + kept, "Cache-Control: only-if-cached\r\n", "weir; detail=only-if-cached"},
		{"HEAD", "/c?" + kept, "", "weir; fwd=uri-miss; fwd-status=200; detail=head"},
		{"GET", "/d?" + kept, "Range: bytes=2-\r\n", "weir; fwd=uri-miss; fwd-status=200; stored"},
		{"GET", "/d?part" + kept, "Range: bytes=2-\r\n", "weir; fwd=uri-miss; fwd-status=206; detail=range"},
		{"GET", "/e", "", "weir; fwd=uri-miss; fwd-status=200; detail=no-freshness"},
		{"GET", "/e", "", "weir; fwd=miss; fwd-status=200; detail=no-freshness"},
		{"GET", "/e", "If-None-Match: \"x\"\r\n", "weir; fwd=miss; fwd-status=200; detail=hit-for-miss"},
		{"GET", "/f?cc=no-store", "", "weir; fwd=uri-miss; fwd-status=200; detail=no-store"},
		{"GET", "/g?cc=private", "", "weir; fwd=uri-miss; fwd-status=200; detail=private"},
		{"GET", "/h?cookie" + kept, "", "weir; fwd=uri-miss; fwd-status=200; detail=set-cookie"},
		{"GET", "/i?" + kept, "Authorization: Basic eDp5\r\n", "weir; fwd=uri-miss; fwd-status=200; detail=authorization"},
		{"GET", "/j?vary=*" + kept, "", "weir; fwd=uri-miss; fwd-status=200; detail=vary-star"},
		{"GET", "/k?vary=x-a" + kept, "X-A: 1\r\n", "weir; fwd=uri-miss; fwd-status=200; stored"},
		{"GET", "/k?vary=x-a" + kept, "X-A: 2\r\n", "weir; fwd=vary-miss; fwd-status=200; stored"},
		{"GET", "/k?vary=x-a" + kept, "X-A: 1\r\n", "weir; hit; ttl=N"},
		{"HEAD", "/l?large" + kept, "", "weir; fwd=uri-miss; fwd-status=200; detail=head"},
		{"GET", "/m?cc=max-age=0", "", "weir; fwd=uri-miss; fwd-status=200; detail=expired"},
	} {
		got := ttl.ReplaceAllString(ask(t, w, c.method, c.path, c.lines).Field("Cache-Status"), "ttl=N")
		if got != c.want {
			t.Errorf("row %d, %s %s: %q, want %q", i, c.method, c.path, got, c.want)
		}
	}
	a.Close()
	testkit.Eventually(t, 20*time.Second, "the app is gone", func() bool { return get(t, w, "/n", "").Status == 502 })
	if m := get(t, w, "/n", ""); m.Field("Cache-Status") != "weir; fwd=uri-miss; detail=connect_error" {
		t.Errorf("with the app stopped: %q", m.Field("Cache-Status"))
	}
	if m := get(t, w, "/a?"+kept, ""); m.Status != 200 {
		t.Errorf("what is kept: %d, %q", m.Status, m.Field("Cache-Status"))
	}
}
