package glob

import (
	"strings"
	"testing"
	"time"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "", true}, {"", "a", false}, {"a", "a", true}, {"a", "A", false}, {"a", "ab", false},
		{"*", "", true}, {"*", "anything/at all", true}, {"**", "x", true},
		{"utm_*", "utm_source", true}, {"utm_*", "utm_", true}, {"utm_*", "utm", false}, {"utm_*", "xutm_a", false},
		{"*.jpg", "/a/b.jpg", true}, {"*.jpg", ".jpg", true}, {"*.jpg", "jpg", false},
		{"a*a", "a", false}, {"a*a", "aa", true}, {"a*a", "aba", true}, {"ab*ba", "aba", false},
		{"/blog/*/photo*", "/blog/2024/x/photo.html", true}, {"/blog/*/photo*", "/blog/photo", false},
		{"*a*b*c*", "xxaxxbxxc", true}, {"*a*b*c*", "cba", false}, {"*ab*ab*", "abab", true}, {"*ab*ab*", "aab", false},
		{"x*aab", "xaaab", true}, {"*\x00*", "a\x00b", true},
	} {
		g := New(c.pattern)
		if got := g.Match([]byte(c.text)); got != c.want {
			t.Errorf("%q matches %q: %v", c.pattern, c.text, got)
		}
		again := New(g.String())
		if again.Match([]byte(c.text)) != c.want {
			t.Errorf("%q written as %q means something else", c.pattern, g.String())
		}
	}
	s := NewSet([]string{"a", "b*"})
	if !s.Match([]byte("bc")) || s.Match([]byte("c")) || Set(nil).Match(nil) {
		t.Error("a set matches when any of it does")
	}
	for pattern, want := range map[string]bool{"*": true, "***": true, "": false, "a*": false, "*a*": false} {
		if g := New(pattern); g.All() != want {
			t.Errorf("%q matches everything: %v", pattern, g.All())
		}
	}
}

// slow is the definition, by dynamic programming.
func slow(pattern, text string) bool {
	at := make([]bool, len(text)+1)
	at[0] = true
	for _, c := range []byte(pattern) {
		next := make([]bool, len(text)+1)
		for i := range at {
			switch {
			case c == '*':
				next[i] = at[i] || i > 0 && next[i-1]
			case i > 0:
				next[i] = at[i-1] && text[i-1] == c
			}
		}
		at = next
	}
	return at[len(text)]
}

func FuzzMatch(f *testing.F) {
	f.Add("/a/*b*", "/a/xbx")
	f.Add("*a*a*a*b", "aaaaaaaa")
	f.Add("a**b", "ab")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if len(pattern) > 200 || len(text) > 2000 {
			return
		}
		g := New(pattern)
		if got, want := g.Match([]byte(text)), slow(pattern, text); got != want {
			t.Fatalf("%q matches %q: %v, want %v", pattern, text, got, want)
		}
	})
}

// What makes a backtracking matcher try every split of the text costs here what any other text does: doubling the
// text must not multiply the time.
func TestNoBacktracking(t *testing.T) {
	g := New(strings.Repeat("*a", 30) + "*b")
	cost := func(n int) time.Duration {
		text := []byte(strings.Repeat("a", n))
		best := time.Duration(1 << 62)
		for range 5 {
			start := time.Now()
			for range 20 {
				if g.Match(text) {
					t.Fatal("there is no b")
				}
			}
			best = min(best, time.Since(start))
		}
		return best
	}
	if small, large := cost(1<<12), cost(1<<16); large > 200*max(small, time.Microsecond) {
		t.Errorf("16 times the text took %v instead of %v", large, small)
	}
}

func TestNoAllocation(t *testing.T) {
	g := New("/blog/*/photo*x")
	path := []byte("/blog/2024/11/photo/x")
	if n := testing.AllocsPerRun(100, func() { g.Match(path) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
