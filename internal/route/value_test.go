package route

import (
	"net/url"
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/message"
)

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, value string
		want           bool
	}{
		{"*", "", true}, {"*", "x", true}, {"", "", true}, {"", "x", false}, {"**", "x", true},
		{"a", "a", true}, {"a", "A", false}, {"a", "ab", false},
		{"a*", "a", true}, {"a*", "ab", true}, {"a*", "ba", false},
		{"*a", "a", true}, {"*a", "ba", true}, {"*a", "ab", false},
		{"*a*", "bab", true}, {"*a*", "b", false}, {"*ab*", "aab", true}, {"a*b", "a*b", true}, {"a*b", "axb", false},
	} {
		p := newPattern(c.pattern)
		if got := p.holds([]byte(c.value)); got != c.want {
			t.Errorf("%q on %q: %v", c.pattern, c.value, got)
		}
		for _, form := range []string{url.QueryEscape(c.value), escapeAll(c.value)} {
			if got := p.holdsForm([]byte(form)); got != c.want {
				t.Errorf("%q on the form value %q: %v", c.pattern, form, got)
			}
		}
	}
}

func escapeAll(s string) string {
	var b []byte
	for i := range len(s) {
		b = appendEscape(b, s[i])
	}
	return string(b)
}

func TestCookies(t *testing.T) {
	for _, c := range []struct {
		line, name, pattern string
		want                bool
	}{
		{"a=1", "a", "1", true}, {"a=1;b=2", "b", "2", true}, {" a = 1 ; b=2", "a", "1", true}, {`a="1"`, "a", "1", true},
		{"a=1; a=2", "a", "2", true}, {"A=1", "a", "*", false}, {"ab=1", "a", "*", false}, {"a", "a", "*", false}, {"", "", "*", false},
		{"=v", "", "v", true}, {"a=b=c", "a", "b=c", true}, {`a="`, "a", `"`, true}, {";;;", "a", "*", false},
	} {
		var f message.Fields
		f.Add(message.Cookie, []byte("Cookie"), []byte(c.line))
		n := named{name: c.name, value: newPattern(c.pattern)}
		if got := n.inCookies(&f); got != c.want {
			t.Errorf("%q in %q: %v", c.name+"="+c.pattern, c.line, got)
		}
	}
}

// The query is compared while it is decoded; net/url decodes first. They agree wherever net/url takes the query.
func FuzzQuery(f *testing.F) {
	f.Add("a=1&b=%41+c", "b", "A c")
	f.Add("pre%76iew", "preview", "*")
	f.Add("a=%zz&a=b", "a", "*b")
	f.Add("x=%2b%2B", "x", "*+*")
	f.Fuzz(func(t *testing.T, query, name, value string) {
		if strings.Contains(query, ";") {
			return // net/url refuses it; to weir, as to browsers, it is a character
		}
		values, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		p := newPattern(value)
		want := false
		for _, v := range values[name] {
			want = want || p.holds([]byte(v))
		}
		// An empty pair is no parameter to either.
		n := named{name: name, value: p}
		if name == "" {
			return
		}
		if got := n.inQuery([]byte(query)); got != want {
			t.Errorf("%q=%q in %q: %v, net/url says %v", name, value, query, got, want)
		}
	})
}
