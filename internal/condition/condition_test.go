package condition

import (
	"errors"
	"math"
	"strings"
	"testing"
)

func TestConditions(t *testing.T) {
	numbers := map[string]float64{"rate": 10, "errors": 0.07, "p95": 2.5, "p99": 4, "hit_ratio": math.NaN(), "out_rate": 3 << 20, "queued": 5, "open": 2, "servers": 4, "active": 0}
	for _, c := range []struct {
		text string
		want Truth
	}{
		{"site.p95 > 2s", True},
		{"site.p95 > 2500ms", False},
		{"site.p95 >= 2500ms", True},
		{"site.p95 > 2s and site.rate > 10", False},
		{"site.p95 > 2s or site.rate > 10", True},
		{"not site.p95 > 2s", False},
		{"not (site.p95 > 2s and site.rate > 10)", True},
		{"site.errors > 5%", True},
		{"site.errors > 0.08", False},
		{"site.errors*2 > 10%", True},
		{"site.errors == 7%", True},
		{"site.errors != 7%", False},
		{"site.out_rate > 2MiB", True},
		{"site.out_rate < 3MB", False},
		{"site.p99 - site.p95 > 1s", True},
		{"site.p99 / site.p95 > 2", False},
		{"-site.rate < -9", True},
		{"site.rate > 1 + 2 * 4", True},
		{"site.rate > (1 + 2) * 4", False},
		{"pool.open < pool.servers", True},
		{"pool.queued > 0 and pool.p95 > 0", True},
		{"pool.rate / pool.active > 3", Unknown}, // nothing is under way
		{"site.hit_ratio < 50%", Unknown},
		{"not site.hit_ratio < 50%", Unknown},
		{"site.hit_ratio < 50% and site.rate > 100", False}, // what is known decides
		{"site.hit_ratio < 50% or site.rate > 1", True},
		{"site.hit_ratio < 50% and site.rate > 1", Unknown},
		{"site.hit_ratio < 50% or site.rate > 100", Unknown},
		{"  site.rate>9  ", True},
	} {
		p, err := Parse(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		got := p.Test(func(name string) float64 {
			n, is := numbers[name]
			if !is {
				t.Errorf("%s asks for %s", c.text, name)
			}
			return n
		})
		if got != c.want {
			t.Errorf("%s is %d, want %d", c.text, got, c.want)
		}
	}
}

// TestWhatIsWrong: the caret stands below what is meant.
func TestWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ text, under, want string }{
		{"site.p59 > 2s", "^^^^^^^^", "there is no number site.p59: a site has rate, errors, p50,"},
		{"sites.p95 > 2s", "^^^^^^^^^", "it begins with what it is of: total, site, route, pool, server"},
		{"site.p95 > 2", "           ^", "this is a plain number, and what is before it is a time: write such as 300ms or 2s"},
		{"site.p95 > 5%", "           ^^", "this is a share"},
		{"site.errors > 5", "              ^", "this is a plain number, and what is before it is a share: write such as 5%"},
		{"1.5 < site.hit_ratio", "^^^", "this is a plain number, and what is behind it is a share: write such as 5%"},
		{"site.p95 > 2 * 3", "           ^^^^^", "this is a plain number, and what is before it is a time"},
		{"site.rate > 2s", "            ^^", "this is a time, and what is before it is a plain number: write such as 10"},
		{"5% < site.rate", "^^", "this is a share, and what is behind it is a plain number"},
		{"site.p95 = 2s", "         ^", "= is not of this language: write =="},
		{"site.p95 > 2s && site.rate > 1", "              ^^", "&& is not of this language: write and"},
		{"site.p95 > 2s || site.rate > 1", "              ^^", "|| is not of this language: write or"},
		{"! site.p95 > 2s", "^", "! is not of this language: write not"},
		{"site.p95 > 2s and pool.queued > 1", "                  ^^^^^^^^^^^", "the condition is about pool and about site: make two rules of it"},
		{"site.p95 > 2x", "           ^^", `"2x" is no number`},
		{"site.p95 > 0x10s", "           ^^^^^", `is no number`},
		{"site.p95 > 1e5s", "           ^^^^", `is no number`},
		{"site.p95", "^^^^^^^^", "there is nothing compared"},
		{"site.p95 and site.rate > 1", "^^^^^^^^", "this is compared with nothing: write such as site.p95 > 300ms or 2s"},
		{"site.p95 > ", "          ^", "the condition ends too soon"},
		{"(site.p95 > 2s", "             ^", "a parenthesis is not closed"},
		{"site.p95 > 2s)", "             ^", `a condition ends before ")"`},
		{"1s < site.p95 < 2s", "              ^", "three numbers in one comparison"},
		{"(site.p95 > 1s) > 2", "                ^", "a condition cannot be compared"},
		{"site.p95 * site.p99 > 1s", "           ^^^^^^^^", "a time by a time"},
		{"1 > 0", "^^^^^", "the condition is about nothing"},
		{"site.p95 > and", "           ^^^", "and where a number has to be"},
		{"söte > 1", "^^^^", "there is no number söte"},
		{"", "^", "the condition ends too soon"},
		{strings.Repeat("(", 100) + "site.rate > 1", "", "too many parentheses"},
		{strings.Repeat("not ", 100) + "site.rate > 1", "", "too many parentheses"},
		{strings.Repeat("a", maxLength+1), "^", "over 1000 characters"},
	} {
		_, err := Parse(c.text)
		var bad *Error
		if !errors.As(err, &bad) {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		under := strings.Repeat(" ", bad.Column) + strings.Repeat("^", bad.Width)
		if text := err.Error(); !strings.Contains(text, c.want) || c.under != "" && strings.TrimRight(under, " ") != c.under {
			t.Errorf("%s\n%s %s\nwant\n%s %s", c.text, under, text, c.under, c.want)
		}
	}
}

func TestOfAndNames(t *testing.T) {
	c, err := Parse("pool.queued > 1 and pool.p95 > 1s or pool.queued > 100")
	if err != nil || c.Of() != "pool" || strings.Join(c.Names(), " ") != "queued p95" {
		t.Error(c, err)
	}
	seen := map[string]bool{}
	for _, k := range All() {
		if name := k.Of + "." + k.Name; seen[name] || k.Doc == "" {
			t.Errorf("%s stands twice, or nobody knows what it is", name)
		} else {
			seen[name] = true
		}
		if _, err := Parse(k.Of + "." + k.Name + " > 0"); err != nil {
			t.Error(err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"site.p95 > 2s and site.rate > 1", "not (pool.queued / pool.servers >= 5)", "total.errors > 5% or total.load > 2", "((1)) == -site.rate", "site.p95 > 2", "&&", "(", "5%%", "ß"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse(text)
		if err != nil {
			var bad *Error
			if !errors.As(err, &bad) || bad.Width < 1 || bad.Column < 0 || bad.Column > max(len([]rune(text)), 1) || bad.Message == "" {
				t.Errorf("%q: %#v", text, err)
			}
			return
		}
		asked := map[string]bool{}
		for _, n := range []float64{0, 1, -1, 1e300, math.NaN(), math.Inf(1)} {
			if got := c.Test(func(name string) float64 { asked[name] = true; return n }); got > Unknown {
				t.Errorf("%q is %d", text, got)
			}
		}
		if c.Of() == "" {
			t.Errorf("%q is about nothing", text)
		}
		for name := range asked {
			if !strings.Contains(text, c.Of()+"."+name) {
				t.Errorf("%q asks for %s", text, name)
			}
		}
	})
}
