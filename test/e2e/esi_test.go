package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/testkit"
)

// esiSite is a site whose pages have fragments in them. The %s are the server's address and more of the site.
const esiSite = `
listen: {http: ["@ADDRESS@"]}
log: {access: {to: "@DIR@/access.log"}}
pools: {app: {servers: ["%s"]}}
sites:
  - hosts: ["*"]
    esi: on
    cache: {private: [sessionid]}
    %s
    routes: [{pool: app}]
cache: {memory: 16MiB}
`

func html(w http.ResponseWriter, control, body string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if control != "" {
		w.Header().Set("Cache-Control", control)
	}
	fmt.Fprint(w, body)
}

// TestPersonalBox: a page is asked for once, the box in it once for each user.
func TestPersonalBox(t *testing.T) {
	a := serveApp(t, "", func(_ *app, n int, w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Surrogate-Capability"); got != `weir="ESI/1.0"` {
			t.Errorf("%s: Surrogate-Capability is %q", r.URL, got)
		}
		switch r.URL.Path {
		case "/":
			w.Header().Set("ETag", `"page"`)
			html(w, "public, max-age=60", `<html>a <esi:include src="/box"/> z</html>`)
		case "/box":
			c, err := r.Cookie("sessionid")
			name := "nobody"
			if err == nil {
				name = c.Value
			}
			html(w, "private, max-age=60", fmt.Sprintf("hello %s (%d)", name, n))
		}
	})
	w := testkit.Run(t, testkit.Setup{Config: fmt.Sprintf(esiSite, a.address, ""), Ready: "/ready"})
	for _, who := range []string{"ann", "bob", "ann", "bob"} {
		n := map[string]int{"ann": 1, "bob": 2}[who]
		m := get(t, w, "/", "Cookie: sessionid="+who+"\r\n")
		if want := fmt.Sprintf("<html>a hello %s (%d) z</html>", who, n); m.Status != 200 || string(m.Body) != want {
			t.Errorf("%s gets %d %q, want %q", who, m.Status, m.Body, want)
		}
		if m.Has("ETag") || m.Has("Content-Length") || m.Has("Age") || m.Field("Cache-Control") != "private, no-cache" {
			t.Errorf("the head is %v", m.Lines)
		}
	}
	if n := a.count("/box"); n != 2 {
		t.Errorf("the box was asked for %d times", n)
	}
	if n := a.count("/"); n > 2 {
		t.Errorf("the page was asked for %d times", n)
	}
	m := ask(t, w, "HEAD", "/", "Cookie: sessionid=ann\r\n")
	if m.Status != 200 || m.Has("Content-Length") || m.Has("ETag") || len(m.Body) > 0 {
		t.Errorf("HEAD gets %d %v", m.Status, m.Lines)
	}
	_ = strings.Contains
}
