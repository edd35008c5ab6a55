package route

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/exchange"
	"github.com/weirhq/weir/internal/message"
)

// request makes an exchange by hand: target as the parser would leave it, fields as "Name: value".
func request(method, host, target string, fields ...string) *exchange.Exchange {
	x := &exchange.Exchange{Scheme: "http", Client: netip.MustParseAddr("192.0.2.7")}
	path, query, has := strings.Cut(target, "?")
	x.Req = message.Request{MethodText: []byte(method), Host: []byte(host), Path: []byte(path), Query: []byte(query), HasQuery: has}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		x.Req.Fields.Add(message.Lookup(name), []byte(name), []byte(value))
	}
	return x
}

// paths reads patterns as the configuration does.
func paths(list ...string) []config.PathPattern {
	var out []config.PathPattern
	for _, s := range list {
		p := config.PathPattern{Kind: "exact", Text: s}
		if body := strings.TrimSuffix(s, "/*"); body != s && !strings.ContainsAny(body, "*?[") {
			p = config.PathPattern{Kind: "prefix", Text: body + "/"}
		} else if strings.ContainsAny(s, "*?[") {
			p.Kind = "glob"
		}
		out = append(out, p)
	}
	return out
}

func pathMatch(list ...string) *config.Match { return &config.Match{Path: paths(list...)} }

func named1(name, value string) []config.NameValue {
	return []config.NameValue{{Name: name, Value: value}}
}

func site(hosts string, matches ...*config.Match) *config.Site {
	s := &config.Site{Hosts: strings.Fields(hosts)}
	for _, m := range matches {
		s.Routes = append(s.Routes, &config.Route{Match: m, Pool: "p"})
	}
	return s
}

func table(t testing.TB, sites ...*config.Site) *Table {
	t.Helper()
	tab, err := New(&config.Config{Sites: sites})
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

func TestHosts(t *testing.T) {
	tab := table(t, site("example.com WWW.Example.com"), site("*.example.com"), site("*.a.example.com"), site("[2001:DB8::1]"), site("192.0.2.1"), site("*"))
	for host, want := range map[string]string{
		"example.com": "example.com", "www.example.com": "example.com", "example.com.": "example.com",
		"x.example.com": "*.example.com", "x.y.example.com": "*.example.com", "a.example.com": "*.example.com",
		"x.a.example.com": "*.a.example.com", "x.a.example.com.": "*.a.example.com",
		".example.com": "*", "notexample.com": "*", "com": "*", "": "*", ".": "*", "..": "*",
		"[2001:db8::1]": "[2001:DB8::1]", "[2001:0db8:0::1]": "[2001:DB8::1]", "[::1]": "*", "[": "*",
		"192.0.2.1": "192.0.2.1",
		strings.Repeat("a.", 200) + "example.com": "*", // longer than any name
	} {
		s, r := tab.Find(request("GET", host, "/"))
		if s == nil || s.Name != want || r != nil {
			t.Errorf("host %q: site %v, want %q", host, s, want)
		}
	}
	if s, _ := table(t, site("example.com")).Find(request("GET", "example.org", "/")); s != nil {
		t.Errorf("a host of no site found %q", s.Name)
	}
}

func TestRoutes(t *testing.T) {
	hidden := pathMatch("/hidden/*")
	tab := table(t, site("*",
		/* 0 */ pathMatch("/static/*", "/favicon.ico"),
		/* 1 */ &config.Match{Path: paths("/static/app.js")}, // never: 0 takes it
		/* 2 */ &config.Match{Path: paths("/login", "/signup"), Method: []string{"POST", "PUT"}},
		/* 3 */ &config.Match{Any: []*config.Match{{Header: named1("X-Beta", "1")}, {Cookie: named1("beta", "*")}, {Query: named1("preview", "*")}}},
		/* 4 */ pathMatch("/login"),
		/* 5 */ &config.Match{Client: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Path: paths("/admin/*")},
		/* 6 */ &config.Match{All: []*config.Match{pathMatch("/all/*"), {Method: []string{"GET"}}}},
		/* 7 */ &config.Match{Path: paths("/not/*"), Not: &config.Match{Header: named1("Accept", "*json*")}},
		/* 8 */ pathMatch("/img/*.png", "/**/deep/?.[a-c]"),
		/* 9 */ hidden,
		/* 10 */ &config.Match{Path: paths("/hidden/more/*")}, // never: 9 takes it
		/* 11 */ pathMatch("/@admin/*", "/caf%c3%a9", "/a!b"),
		/* 12 */ nil,
		/* 13 */ pathMatch("/x/**"), // never: 12 takes all
	))
	for _, c := range []struct {
		x    *exchange.Exchange
		want int
	}{
		{request("GET", "h", "/static/app.js"), 0},
		{request("GET", "h", "/static/"), 0},
		{request("GET", "h", "/static"), 12},
		{request("GET", "h", "/favicon.ico"), 0},
		{request("POST", "h", "/login"), 2},
		{request("PUT", "h", "/signup"), 2},
		{request("post", "h", "/signup"), 12},
		{request("GET", "h", "/login"), 4},
		{request("GET", "h", "/login", "X-Beta: 1"), 3},
		{request("GET", "h", "/login", "x-beta: 0", "X-BETA: 1"), 3},
		{request("GET", "h", "/login", "X-Beta: 2"), 4},
		{request("GET", "h", "/", "Cookie: a=1; beta=x"), 3},
		{request("GET", "h", "/", "Cookie: a=1", "Cookie: beta="), 3},
		{request("GET", "h", "/", "Cookie: Beta=1; xbeta=1; beta"), 12},
		{request("GET", "h", "/?a=1&pre%76iew"), 3},
		{request("GET", "h", "/?previews=1"), 12},
		{request("GET", "h", "/admin/x"), 12},
		{request("GET", "h", "/all/x"), 6},
		{request("HEAD", "h", "/all/x"), 12},
		{request("GET", "h", "/not/x"), 7},
		{request("GET", "h", "/not/x", "Accept: text/html, application/json;q=1"), 12},
		{request("GET", "h", "/img/a.png"), 8},
		{request("GET", "h", "/img/a/b.png"), 12},
		{request("GET", "h", "/1/2/deep/x.b"), 8},
		{request("GET", "h", "/hidden/more/x"), 9},
		{request("GET", "h", "/@admin/"), 11},
		{request("GET", "h", "/%40admin/"), 11},
		{request("GET", "h", "/%40admin%2F"), 12},
		{request("GET", "h", "/caf%C3%A9"), 11},
		{request("GET", "h", "/a%21b"), 11},
		{request("GET", "h", "/a%2521b"), 12},
		{request("GET", "h", "/x/y"), 12},
		{request("OPTIONS", "h", "*"), 12},
	} {
		_, r := tab.Find(c.x)
		if r == nil || r.Index != c.want {
			t.Errorf("%s %s %v: route %v, want %d", c.x.Req.MethodText, c.x.Req.Path, c.x.Req.Fields.List, r, c.want)
		}
		if e := tab.Explain(c.x); e.Route != r {
			t.Errorf("%s: explained as %v", c.x.Req.Path, e.Route)
		}
	}
	for client, want := range map[string]int{"10.1.2.3": 5, "::ffff:10.1.2.3": 5, "11.1.2.3": 12, "2001:db8::1": 12} {
		x := request("GET", "h", "/admin/x")
		x.Client = netip.MustParseAddr(client)
		if _, r := tab.Find(x); r.Index != want {
			t.Errorf("client %s: route %d, want %d", client, r.Index, want)
		}
	}
	x := request("GET", "h", "/admin/x")
	x.Client = netip.Addr{}
	if _, r := tab.Find(x); r.Index != 12 {
		t.Errorf("no client address: route %d", r.Index)
	}
}

func TestAllowsAndRefuses(t *testing.T) {
	s := site("*", nil)
	s.Routes[0].Allow = &config.Allow{From: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::ffff:192.0.2.0/120"), netip.MustParsePrefix("fe80::/10")}, Else: 404}
	s.Routes[0].Unclean = config.Unclean{EncodedSlash: true}
	r := table(t, s).Routes()[0]
	for addr, want := range map[string]bool{"10.0.0.1": true, "192.0.2.9": true, "::ffff:10.0.0.1": true, "fe80::1%eth0": true, "9.0.0.1": false, "::1": false} {
		if ok, status := r.Allows(netip.MustParseAddr(addr)); ok != want || !ok && status != 404 {
			t.Errorf("%s: %v %d", addr, ok, status)
		}
	}
	if ok, _ := r.Allows(netip.Addr{}); ok {
		t.Error("a client without an address is let in")
	}
	for a, want := range map[message.Ambiguity]bool{0: false, message.EncodedSlash: false, message.EncodedNUL: true,
		message.EncodedSlash | message.Backslash: true, message.DotsWithParams: true} {
		if got := r.Refuses(a); got != want {
			t.Errorf("Refuses(%b) = %v", a, got)
		}
	}
}

func TestErrorsNamePlaceAndCure(t *testing.T) {
	s := site("example.com a.*.com http://x", pathMatch("relative"), pathMatch("/a/../b"), pathMatch("/a/[x"), pathMatch("/a//b/*"))
	s.Routes = append(s.Routes, &config.Route{Redirect: &config.Redirect{To: "/{url}"}},
		&config.Route{Redirect: &config.Redirect{To: "https://{path}"}},
		&config.Route{Redirect: &config.Redirect{To: "https://a{query}"}},
		&config.Route{Rewrite: config.Rewrite{StripPrefix: "x", Pattern: regexp.MustCompile("a"), Replace: "?b"}},
		&config.Route{Match: &config.Match{Not: &config.Match{}}})
	second := site("EXAMPLE.com")
	second.Place = config.Place{File: "f.yaml", Line: 9, Column: 1}
	s.Routes[1].Place = config.Place{File: "f.yaml", Line: 7, Column: 3}
	_, err := New(&config.Config{Sites: []*config.Site{s, second}})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		`host "a.*.com"`, `host "http://x"`, `path "relative" does not begin`, `f.yaml:7:3: path "/a/../b"`, `write "/b"`, "has no end", `path "/a//b/"`,
		`"{url}" is no placeholder`, "a host is missing", `{query} stands after`, `write "/x"`, "leaves the query", "nothing stands in it",
		`f.yaml:9:1: host "example.com" is already in site "example.com"`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in:\n%v", want, err)
		}
	}
}

func TestExplain(t *testing.T) {
	tab := table(t, site("www.example.com", &config.Match{Path: paths("/a/*"), Method: []string{"POST"}, Query: named1("q", "x*"),
		Any: []*config.Match{{Header: named1("X-A", "*b")}, {Cookie: named1("c", "*d*")}}}, nil), site("*.example.com"))
	e := tab.Explain(request("GET", "www.example.com", "/a/b?q=xy", "Cookie: c=secret"))
	if e.Route.Index != 1 || e.Site.Index != 0 || len(e.Sites) != 2 || !strings.Contains(e.Sites[1].Why, "fits closer") {
		t.Fatalf("%+v", e)
	}
	got := e.Routes[0].Conditions
	want := []Condition{{Text: "path begins with /a/", Held: true, Got: "/a/b"}, {Text: "method is POST", Got: "GET"},
		{Text: `query q begins with "x"`, Held: true, Got: `"q=xy"`}, {Text: "any of"}}
	for i, w := range want {
		if g := got[i]; g.Text != w.Text || g.Held != w.Held || g.Got != w.Got {
			t.Errorf("condition %d: %+v, want %+v", i, g, w)
		}
	}
	if strings.Contains(strings.ToLower(got[3].Of[1].Got), "secret") {
		t.Error("a cookie's value is shown")
	}
	if e := tab.Explain(request("GET", "other.org", "/")); e.Site != nil || e.Sites[0].Chosen || !strings.Contains(e.Sites[0].Why, "none of its hosts") {
		t.Errorf("%+v", e)
	}
}
