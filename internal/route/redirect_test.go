package route

import (
	"net/url"
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/message"
)

func redirecting(t testing.TB, to string) *Route {
	s := site("*", nil)
	s.Routes[0] = &config.Route{Redirect: &config.Redirect{To: to, Status: 301}}
	return table(t, s).Routes()[0]
}

func TestRedirect(t *testing.T) {
	for _, c := range []struct{ to, target, want string }{
		{"https://www.example.com{uri}", "/a/b?c=d", "https://www.example.com/a/b?c=d"},
		{"https://www.example.com{uri}", "/a?", "https://www.example.com/a?"},
		{"https://www.example.com{uri}", "*", "https://www.example.com/"},
		{"{scheme}://{host}{path}/", "/a", "http://h.example/a/"},
		{"/new{path}?from=old&{query}", "/a?x=1", "/new/a?from=old&x=1"},
		{"/{path}", "/a", "/a"},
		{"{path}", "//evil.example", "/evil.example"},
		{"/{path}", "//evil.example", "/evil.example"},
		{"https://www.example.com{uri}", "/a\r\nSet-Cookie: x=1?q\r\n\x00", "https://www.example.com/a%0D%0ASet-Cookie:%20x=1?q%0D%0A%00"},
		{"https://www.example.com{path}", `/\evil`, "https://www.example.com/%5Cevil"},
		{"/caf\u00e9 x", "/", "/caf%C3%A9%20x"},
	} {
		got := redirecting(t, c.to).Redirect([]byte("kept:"), request("GET", "h.example", c.target))
		if string(got) != "kept:"+c.want {
			t.Errorf("%q of %q: %q, want %q", c.to, c.target, got, c.want)
		}
	}
}

func FuzzRedirect(f *testing.F) {
	f.Add("/a", "b=c", "example.com")
	f.Add("//evil.example/", "\r\n", "x/y?z#")
	f.Fuzz(func(t *testing.T, path, query, host string) {
		x := request("GET", host, "/")
		x.Req.Path, x.Req.Query, x.Req.HasQuery = []byte(path), []byte(query), true
		for _, to := range []string{"https://www.example.com{uri}", "/x{path}?{query}", "/{uri}", "{path}"} {
			got := string(redirecting(t, to).Redirect(nil, x))
			if i := strings.IndexFunc(got, func(r rune) bool { return r <= ' ' || r >= 0x7f }); i >= 0 {
				t.Fatalf("%q: %q at %d", to, got, i)
			}
			if u, err := url.Parse(got); err == nil && u.Host != "" && u.Host != "www.example.com" || strings.HasPrefix(got, "//") {
				t.Fatalf("%q: %q goes to %q", to, got, u.Host)
			}
		}
		if got := redirecting(t, "{scheme}://{host}/").Redirect(nil, x); strings.ContainsAny(string(got[7:len(got)-1]), "/?#@\\\r\n ") {
			t.Fatalf("%q", got)
		}
	})
}

func TestFindAndRedirectDoNotAllocate(t *testing.T) {
	tab := table(t, site("www.example.com",
		&config.Match{Path: paths("/a/*"), Header: named1("X-Beta", "1"), Cookie: named1("beta", "*"), Query: named1("p", "x*")},
		pathMatch("/img/**.png"), pathMatch("/b"), nil), site("*.example.com", nil))
	x := request("GET", "www.example.com", "/a/%c3%a9.jpg?p=%78y", "Cookie: beta=1", "X-Beta: 1")
	x.Req.Fields.Add(message.Accept, []byte("Accept"), []byte("*/*"))
	y := request("GET", "x.y.example.com", "/img/z.png")
	red := redirecting(t, "https://www.example.com{uri}")
	add := rewriting(t, config.Rewrite{StripPrefix: "/a", AddPrefix: "/v1"})
	buf := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() {
		tab.Find(x)
		tab.Find(y)
		red.Redirect(buf, x)
		add.Rewrite(buf, x.Req.Path)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if _, r := tab.Find(x); r.Index != 0 {
		t.Errorf("route %d", r.Index)
	}
}
