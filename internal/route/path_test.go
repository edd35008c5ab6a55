package route

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/config"
)

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		glob, path string
		want       bool
	}{
		{"/a*", "/a", true}, {"/a*", "/abc", true}, {"/a*", "/a/b", false}, {"/a*c", "/abbc", true}, {"/a*c", "/abb", false},
		{"/*/b", "/a/b", true}, {"/*/b", "//b", true}, {"/*/b", "/a/a/b", false},
		{"/**/b", "/a/a/b", true}, {"/**/b", "/b", false}, {"/**", "/", true}, {"/**", "/a/b", true}, {"**.php", "/a/b.php", true},
		{"/a**c", "/a/b/c", true}, {"/?", "/a", true}, {"/?", "/", false}, {"/?", "/é", true}, {"/?", "//", false},
		{"/[a-c]x", "/bx", true}, {"/[a-c]x", "/dx", false}, {"/[!a-c]x", "/dx", true}, {"/[^a-c]x", "/ax", false}, {"/[!a]", "//", false},
		{"/[]]", "/]", true}, {"/[a-]", "/-", true}, {"/[é-ë]", "/ê", true}, {"/[*]", "/*", true}, {"/[*]", "/x", false},
		{"/%2A", "/*", true}, {"/%2a", "/x", false}, {"/%2f*", "/%2Fx", true}, {"/100%*", "/100%25x", true}, {"/*\xff", "/a\xff", true}, {"/?", "/\xff", true},
		{"/*a*b*c", "/xaxbxbxc", true}, {"/**a*/b**c", "/xa/a/b/bc/c", true}, {"/**a*/b**c", "/xa/x/b/bc/d", false},
	} {
		g, err := newGlob(c.glob)
		if err != nil {
			t.Fatal(err)
		}
		if got := g.matches([]byte(c.path)); got != c.want {
			t.Errorf("%q on %q: %v", c.glob, c.path, got)
		}
	}
	for _, bad := range []string{"/[", "/[a", "/[]", "/[b-a]", "/" + strings.Repeat("?", maxTokens+1)} {
		if _, err := newGlob(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// asRegexp says what a glob means in another language; ok is false where the two have no common words.
func asRegexp(glob string) (*regexp.Regexp, bool) {
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	for i := 0; i < len(glob); i++ {
		switch c := glob[i]; {
		case c == '*' && i+1 < len(glob) && glob[i+1] == '*':
			b.WriteString(".*")
			i++
		case c == '*':
			b.WriteString("[^/]*")
		case c == '?':
			b.WriteString("[^/]")
		case c == '[' || c == '%' || c >= 0x80:
			return nil, false
		default:
			b.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	re, err := regexp.Compile(b.String() + `\z`)
	return re, err == nil
}

func FuzzGlob(f *testing.F) {
	f.Add("/a*b", "/axb")
	f.Add("/**/x?y", "/a/b/x_y")
	f.Add("/***a", "/b/a")
	f.Add("/[a-z]*", "/q")
	f.Fuzz(func(t *testing.T, glob, path string) {
		g, err := newGlob(glob)
		if err != nil {
			return
		}
		got := g.matches([]byte(path))
		re, ok := asRegexp(glob)
		if !ok || strings.Contains(path, "\ufffd") || strings.ToValidUTF8(path, "") != path {
			return
		}
		if want := re.MatchString(path); got != want {
			t.Errorf("%q on %q: %v, the regexp %s says %v", glob, path, got, re, want)
		}
	})
}

func TestGlobDoesNotBacktrack(t *testing.T) {
	g, err := newGlob("/" + strings.Repeat("*a", 60) + "**b*c")
	if err != nil {
		t.Fatal(err)
	}
	r := testing.Benchmark(func(b *testing.B) {
		long := []byte("/" + strings.Repeat("a", 8000))
		for b.Loop() {
			g.matches(long)
		}
	})
	// 8,000 characters are about 50 µs; a search that went back would not end today.
	if r.NsPerOp() > 500e6 {
		t.Errorf("%v", r)
	}
}

func TestCanonical(t *testing.T) {
	for in, want := range map[string]string{
		"/a": "/a", "/%61": "/a", "/%2f": "/%2F", "/%25": "/%25", "/%2541": "/%2541", "/%": "/%25", "/%4": "/%254", "/%zz": "/%25zz", "/%c3%a9": "/é", "/%00": "/\x00", "/%5c": "/\\",
	} {
		if got := string(canonical(nil, []byte(in))); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestTidy(t *testing.T) {
	for in, want := range map[string]string{
		"": "/", "/": "/", "a": "/a", "/a/": "/a/", "//a//b": "/a/b", "/a/./b": "/a/b", "/a/../b": "/b", "/..": "/", "/../../a": "/a", "/a/..": "/", "/a/b/..": "/a/", "/a/.": "/a/",
		"/%2e%2E/a": "/a", "/a/..;x=1/b": "/b", "/a/.;/b": "/a/b", "/a b": "/a%20b", "/é": "/%C3%A9", "/a?b#c": "/a%3Fb%23c", "/%zz": "/%25zz", "/%2f": "/%2F", "/%61": "/a", "/\r\n": "/%0D%0A", `/a\b`: "/a%5Cb", "/...": "/...", "/a..": "/a..",
	} {
		if got := string(tidy([]byte("kept"), []byte(in))); got != "kept"+want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func rewriting(t testing.TB, rw config.Rewrite) *Route {
	s := site("*", nil)
	s.Routes[0].Rewrite = rw
	return table(t, s).Routes()[0]
}

func TestRewrite(t *testing.T) {
	for _, c := range []struct {
		rw       config.Rewrite
		in, want string
	}{
		{config.Rewrite{StripPrefix: "/api"}, "/api/users", "/users"},
		{config.Rewrite{StripPrefix: "/api/"}, "/api/users", "/users"},
		{config.Rewrite{StripPrefix: "/api"}, "/api", "/"},
		{config.Rewrite{StripPrefix: "/api"}, "/api/", "/"},
		{config.Rewrite{StripPrefix: "/api"}, "/apis/users", "/apis/users"},
		{config.Rewrite{StripPrefix: "/a!b"}, "/a%21b/%21", "/%21"},
		{config.Rewrite{StripPrefix: "/café"}, "/caf%C3%A9/x", "/x"},
		{config.Rewrite{StripPrefix: "/a"}, "/a%2Fb", "/a%2Fb"},
		{config.Rewrite{StripPrefix: "/a%2fb"}, "/a%2Fb/c", "/c"},
		{config.Rewrite{StripPrefix: "/a%25b"}, "/a%25b/c", "/c"},
		{config.Rewrite{StripPrefix: "/"}, "/a", "/a"},
		{config.Rewrite{AddPrefix: "/v1"}, "/a", "/v1/a"},
		{config.Rewrite{AddPrefix: "/v1/"}, "/", "/v1/"},
		{config.Rewrite{AddPrefix: "/a b/../c d"}, "/", "/c%20d/"},
		{config.Rewrite{StripPrefix: "/api", AddPrefix: "/v1"}, "/api/x", "/v1/x"},
		{config.Rewrite{Pattern: regexp.MustCompile(`^/u/(\d+)$`), Replace: "/user/$1"}, "/u/42", "/user/42"},
		{config.Rewrite{Pattern: regexp.MustCompile(`^/u/(\d+)$`), Replace: "/user/$1"}, "/u/x", "/u/x"},
		{config.Rewrite{Pattern: regexp.MustCompile(`_`), Replace: "-"}, "/a_b_c", "/a-b-c"},
		{config.Rewrite{Pattern: regexp.MustCompile(`x`), Replace: "."}, "/a/xx/b", "/b"},
		{config.Rewrite{Pattern: regexp.MustCompile(`^/(.*)$`), Replace: "$1"}, "/a", "/a"},
		{config.Rewrite{Pattern: regexp.MustCompile(`.*`), Replace: "//evil"}, "/a", "/evil"},
		{config.Rewrite{StripPrefix: "/api", Pattern: regexp.MustCompile(`^/old`), Replace: "/new", AddPrefix: "/v1"}, "/api/old/x", "/v1/new/x"},
		{config.Rewrite{AddPrefix: "/v1"}, "*", "*"},
	} {
		r := rewriting(t, c.rw)
		if got := string(r.Rewrite([]byte("kept"), []byte(c.in))); got != "kept"+c.want {
			t.Errorf("%+v on %q: %q, want %q", c.rw, c.in, got, c.want)
		}
		if want := c.rw.StripPrefix != "/"; r.Rewrites() != want {
			t.Errorf("%+v: Rewrites() = %v", c.rw, !want)
		}
	}
}

func TestRewriteIsBounded(t *testing.T) {
	r := rewriting(t, config.Rewrite{Pattern: regexp.MustCompile(`a`), Replace: strings.Repeat("b", 1000)})
	if got := r.Rewrite(nil, []byte("/"+strings.Repeat("a", 5000))); len(got) != 0 {
		t.Errorf("%d bytes", len(got))
	}
	if got := rewriting(t, config.Rewrite{AddPrefix: "/b"}).Rewrite(nil, []byte("/"+strings.Repeat("a", MaxPath-1))); len(got) != 0 {
		t.Errorf("%d bytes", len(got))
	}
}

func FuzzRewrite(f *testing.F) {
	f.Add("/api/x", "/api", "/v1", "x", "y/../z")
	f.Add("/a%2Fb/%C3%A9", "/a%2fb", "/q q", "(.)", "$1;%$1")
	f.Add("/..;/a", "/", "", "a", "%2e%2e")
	f.Fuzz(func(t *testing.T, path, strip, add, pattern, replace string) {
		re, err := regexp.Compile(pattern)
		if err != nil || len(pattern) > 200 {
			return
		}
		in := tidy(nil, []byte(path))
		for _, rw := range []config.Rewrite{{StripPrefix: strip, AddPrefix: add}, {StripPrefix: strip, AddPrefix: add, Pattern: re, Replace: replace}} {
			s := site("*", nil)
			s.Routes[0].Rewrite = rw
			tab, err := New(&config.Config{Sites: []*config.Site{s}})
			if err != nil {
				return
			}
			out := tab.Routes()[0].Rewrite(nil, in)
			if len(out) == 0 {
				continue
			}
			if len(out) > MaxPath {
				t.Fatalf("%d bytes", len(out))
			}
			if again := tidy(nil, out); !bytes.Equal(out, again) {
				t.Errorf("%+v on %q: %q is not normalised: %q", rw, in, out, again)
			}
		}
	})
}
