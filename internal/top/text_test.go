package top

import (
	"math"
	"strings"
	"testing"
	"time"
	"unicode"
)

// nasty is what somebody may write into a path, a host name or a worker's last words.
var nasty = []string{"\x1b[2J\x1b[31mred", "\u009b31m", "\x9b31m", "a\rb\nc\td", "\x00\x07\x08", "\u202egpj.exe", "wide 写真 한글", "zero\u200bwidth\u200d\ufe0f", "\xff\xfe not text", "e\u0301e\u0301",
	"👩‍👩‍👧‍👦 family", "\u2028\u2029", strings.Repeat("写", 300), strings.Repeat("a", 4000), "", "\x1b]0;title\x07", "\x1bPq#0\x1b\\"}

func TestCleanTextIsHarmless(t *testing.T) {
	for _, text := range nasty {
		for _, ascii := range []bool{false, true} {
			out := clean(text, ascii)
			for _, r := range out {
				if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == unicode.ReplacementChar || ascii && r >= 0x7f {
					t.Errorf("%q becomes %q, which has %U", text, out, r)
				}
			}
			if again := clean(out, ascii); again != out {
				t.Errorf("%q becomes %q, then %q", text, out, again)
			}
			for w := range 12 {
				if got := widthOf(cut(out, w, "…")); got > w {
					t.Errorf("%q cut to %d columns has %d", text, w, got)
				}
			}
			for _, l := range wrap(out, 7) {
				if widthOf(l) > 7 {
					t.Errorf("%q is wrapped to %q", text, l)
				}
			}
		}
	}
}

func FuzzClean(f *testing.F) {
	for _, text := range nasty {
		f.Add(text, 10)
	}
	f.Fuzz(func(t *testing.T, text string, w int) {
		out := clean(text, false)
		for _, r := range out {
			if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
				t.Fatalf("%q becomes %q", text, out)
			}
		}
		w %= 200
		if got := widthOf(cut(out, w, "…")); got > max(w, 0) {
			t.Fatalf("%q cut to %d columns has %d", out, w, got)
		}
	})
}

// TestFewMarks: signs that are drawn over the one before are so few as languages have: hundreds of them reach into the lines around.
func TestFewMarks(t *testing.T) {
	tall := "/" + strings.Repeat("a"+strings.Repeat("\u0301\u0489", 200), 3)
	if got, want := clean(tall, false), "/"+strings.Repeat("a\u0301\u0489\u0301", 3); got != want {
		t.Errorf("%d marks are left, want %q", len(got), want)
	}
	for _, word := range []string{"e\u0301", "นี้", "הֱוִיּ"} {
		if got := clean(word, false); got != word {
			t.Errorf("%q becomes %q", word, got)
		}
	}
}

// TestEventStyles: what an event means is told by what weir says of it, the same each time, and not by what people wrote.
func TestEventStyles(t *testing.T) {
	for _, c := range []struct {
		kind, text string
		want       style
	}{
		{"edge", "the edge died; another serves (process 7)", bad}, {"edge", "the edge serves (process 7)", good}, {"worker", "started again: exit status 1", bad},
		{"server", "is down: timeout", bad}, {"server", "is ready", good}, {"alert", "over: errors a.example", good}, {"alert", "6 % of requests fail: over 5 %", bad},
		{"alert", "the pool is ready for the worst", bad}, {"problem", "the file is no YAML", bad}, {"intervention", "drain: the other one is down", plain}, {"reload", "another configuration is in force", plain},
	} {
		for range 20 {
			if got := eventStyle(&Event{Kind: c.kind, Text: c.text}); got != c.want {
				t.Fatalf("%s %q has the style %d, want %d", c.kind, c.text, got, c.want)
			}
		}
	}
}

func TestNumbers(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{number(0), "0"}, {number(0.01), "<0.1"}, {number(0.2), "0.2"}, {number(9.94), "9.9"}, {number(9.96), "10"}, {number(12345), "12345"}, {number(99999.4), "99999"},
		{number(99999.6), "100k"}, {number(1.23e6), "1.2M"}, {number(999.6e6), "1.0G"}, {number(math.NaN()), "-"}, {number(math.Inf(1)), "-"},
		{count(99999), "99999"}, {count(100000), "100k"}, {count(math.MaxUint64), "18E"},
		{size(0), "0"}, {size(999), "999"}, {size(1000), "1.0K"}, {size(1 << 20), "1.0M"}, {size(1023 << 20), "1.0G"}, {size(-4), "0"}, {bytesOf(0), "0B"}, {bytesOf(91), "91B"}, {bytesOf(1 << 20), "1.0M"}, {amount(3), "3"}, {amount(-2.5), "-2.5"}, {amount(1e6), "1.0M"},
		{millis(0), ""}, {millis(0.34), "0.3ms"}, {millis(12.4), "12ms"}, {millis(1234), "1.2s"}, {millis(61000), "1m01"}, {millis(math.NaN()), ""},
		{span(0), "0s"}, {span(-time.Second), "0s"}, {span(59 * time.Second), "59s"}, {span(61 * time.Second), "1m01"}, {span(time.Hour), "1h00"}, {span(76 * time.Hour), "3d04h"}, {span(400 * 24 * time.Hour), "400d"},
		{percent(-1), ""}, {percent(0), "0%"}, {percent(0.0001), "<0.1%"}, {percent(0.034), "3.4%"}, {percent(0.83), "83%"}, {percent(0.997), ">99%"}, {percent(1), "100%"}, {percent(0.995), ">99%"}, {percent(1.2), "120%"},
		{percent(ratio(1, 0)), ""}, {since(time.Time{}, noon), ""},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
	for v := 1e-3; v < 1e18; v *= 1.07 {
		if len(number(v)) > 5 || len(size(v)) > 5 || len(count(uint64(v))) > 5 {
			t.Errorf("%v is %q, %q, %q", v, number(v), size(v), count(uint64(v)))
		}
	}
}

func TestGraph(t *testing.T) {
	unknown := math.NaN()
	p := newPaint(NoInk, false)
	for _, c := range []struct {
		values []float64
		end    int64
		w, h   int
		top    float64
		want   string
	}{
		{nil, 0, 4, 1, 0, "    "},
		{[]float64{0, 0, 0}, 2, 4, 1, 0, " ▁▁▁"},
		{[]float64{0, 1, 2, 4, 8}, 4, 5, 1, 0, "▁▁▂▄█"},
		{[]float64{1, unknown, 8}, 2, 3, 1, 0, "▁ █"},
		{[]float64{1, 2}, 1, 2, 1, 8, "▁▂"},
		{[]float64{0, 8, 16}, 2, 3, 2, 0, "  █\n▁██"},
		{[]float64{1, 8, 1, 1, 1, 1}, 5, 3, 1, 0, "█▁▁"},
		{[]float64{1, 8, 1, 1, 1, 1}, 6, 3, 1, 0, "█▁▁"}, // the groups moved by one, the peak did not
		{[]float64{unknown, unknown, 3, 3}, 3, 2, 1, 0, " █"},
	} {
		if got := strings.Join(p.graph(c.values, c.end, c.w, c.h, c.top), "\n"); got != c.want {
			t.Errorf("%v in %dx%d: %q, want %q", c.values, c.w, c.h, got, c.want)
		}
	}
}

// TestGraphDoesNotTremble: when a second passes, what has been drawn moves by whole columns or not at all.
func TestGraphDoesNotTremble(t *testing.T) {
	var all []float64
	for i := range 2000 {
		all = append(all, wave(i, 37, 1, 100)+float64(i%7))
	}
	p := newPaint(NoInk, false)
	for end := 700; end < 1900; end++ {
		before := []rune(p.spark(all[end-600:end], int64(end-1), 50, 200))
		after := []rune(p.spark(all[end-599:end+1], int64(end), 50, 200))
		stays, moves := string(before[1:49]) == string(after[1:49]), string(before[2:49]) == string(after[1:48])
		if !stays && !moves {
			t.Fatalf("at %d\n%s\n%s", end, string(before), string(after))
		}
	}
}

func TestField(t *testing.T) {
	for _, c := range []struct {
		keys []string
		want string
		at   int
	}{
		{[]string{"a", "b", "left", "c"}, "acb", 2},
		{[]string{"a", "b", "home", "delete", "end", "d"}, "bd", 2},
		{[]string{"o", "n", "e", "space", "t", "w", "o", "ctrl+w"}, "one ", 4},
		{[]string{"o", "n", "e", "left", "ctrl+u"}, "e", 0},
		{[]string{"o", "n", "e", "left", "ctrl+k", "ctrl+a", "right", "right", "right"}, "on", 2},
		{[]string{"backspace", "left", "delete", "写", "backspace"}, "", 0},
	} {
		f := newField("")
		for _, k := range c.keys {
			f.press(pressed(k))
		}
		if f.String() != c.want || f.at != c.at {
			t.Errorf("%v: %q at %d", c.keys, f.String(), f.at)
		}
	}
	if newField("").press(key{name: "f5"}) {
		t.Error("a key without a text edits")
	}
	f := newField(strings.Repeat("写", 1000))
	if len(f.text) != maxField {
		t.Error(len(f.text))
	}
	for w := range 20 {
		if text, x := f.show(w); widthOf(text) > w || x > w {
			t.Errorf("%d columns: %q, the cursor at %d", w, text, x)
		}
	}
	f = newField("")
	f.put("a\x1b[2Jb\nc")
	if f.String() != "a [2Jb c" {
		t.Errorf("%q", f.String())
	}
}

func TestNatural(t *testing.T) {
	ordered := []string{"", "10.0.0.5:80", "10.0.0.10:80", "web", "web/1", "web/02", "web/10", "web/10a", "web/x"}
	for i, a := range ordered {
		for j, b := range ordered {
			if got := natural(a, b); got < 0 != (i < j) || got > 0 != (i > j) {
				t.Errorf("%q, %q: %d", a, b, got)
			}
		}
	}
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		text, filter string
		want         bool
	}{
		{"web 10.0.0.5 down", "DOWN", true}, {"web 10.0.0.5 down", "web down", true}, {"web 10.0.0.5 down", "web ready", false}, {"web ready", "-down", true},
		{"web down", "web -down", false}, {"a-b", "-", true}, {"ab", "-", false}, {"x", "  ", true}, {"/写真/", "写真", true},
	} {
		if matches(c.text, c.filter) != c.want {
			t.Errorf("%q with %q", c.text, c.filter)
		}
	}
}
