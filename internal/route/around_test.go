package route

import (
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/exchange"
	"github.com/weirhq/weir/internal/http1"
)

// No spelling of a path may reach under another route what an application takes for a path of the guarded one. The
// application is one that decodes once and then cleans, as most do.
func FuzzNoWayAround(f *testing.F) {
	for _, s := range []string{"/admin/x", "/%61dmin/x", "/a/../admin/", "//admin//x", "/./admin/x", "/%2e/admin/x", "/admin%2fx", "/a%2f..%2fadmin/x", `/a\..\admin/x`,
		"/@b/", "/%40b/", "/a/..;/admin/", "/admin/..", "/%2561dmin/", "/ADMIN/", "/admin/%00", "/%C3%A9/..//admin/x"} {
		f.Add(s)
	}
	tab := table(f, site("*", pathMatch("/admin/*"), pathMatch("/@b/*"), nil))
	f.Fuzz(func(t *testing.T, target string) {
		var x exchange.Exchange
		head := []byte("GET " + target + " HTTP/1.1\r\nHost: h\r\n\r\n")
		n, wrong := http1.ParseRequest(head, &x.Req, &http1.Limits{Line: 8000, Fields: 100, Head: 16000})
		if wrong != nil || n != len(head) || x.Req.Path[0] != '/' {
			return
		}
		_, r := tab.Find(&x)
		if r.Refuses(x.Req.Ambiguous) {
			return
		}
		seen, err := url.PathUnescape(string(x.Req.Path))
		if err != nil {
			return
		}
		seen = path.Clean(seen)
		for i, guarded := range []string{"/admin/", "/@b/"} {
			if strings.HasPrefix(seen, guarded) && r.Index != i {
				t.Errorf("%q went as %q to route %d; the application sees %q", target, x.Req.Path, r.Index, seen)
			}
		}
		// The rewriter escapes more than the parser does, and must mean the same by it.
		if again := canonical(nil, tidy(nil, x.Req.Path)); string(again) != string(canonical(nil, x.Req.Path)) {
			t.Errorf("the parser's %q is another path to the rewriter: %q", x.Req.Path, again)
		}
	})
}
