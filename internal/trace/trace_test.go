package trace

import (
	"bytes"
	"strings"
	"testing"
)

const good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func TestParse(t *testing.T) {
	for _, row := range []struct {
		in, out string // empty: it is none
	}{
		{good, good},
		{good[:53] + "00", good[:53] + "00"},
		{good[:53] + "03", good[:53] + "03"},
		{good[:53] + "ff", good[:53] + "03"}, // of flags that nobody knows nothing is said
		{"01" + good[2:], good},
		{"cc" + good[2:] + "-what-comes", good},
		{"cc" + good[2:] + ".what-comes", ""},
		{good + "-more", ""},
		{"ff" + good[2:], ""},
		{strings.ToUpper(good), ""},
		{"00-" + strings.Repeat("0", 32) + good[35:], ""},
		{good[:36] + strings.Repeat("0", 16) + good[52:], ""},
		{good[:54], ""},
		{"", ""},
		{strings.Replace(good, "-", "_", 1), ""},
		{" " + good[1:], ""},
		{good[:53] + "0g", ""},
	} {
		c, ok := Parse([]byte(row.in))
		got := ""
		if ok {
			got = string(c.Append(nil))
		}
		if got != row.out {
			t.Errorf("%q is %q, want %q", row.in, got, row.out)
		}
	}
}

func TestValidState(t *testing.T) {
	for _, row := range []struct {
		in   string
		want bool
	}{
		{"rojo=00f067aa0ba902b7", true},
		{"rojo=00f067aa0ba902b7, congo=t61rcWkgMzE,,", true},
		{"tenant@vendor=a b", true},
		{"a=" + strings.Repeat("v", 256), true},
		{"", false},
		{" , ,", false},
		{"a", false},
		{"=b", false},
		{"a=", false},
		{"A=b", false},
		{"_a=b", false},
		{"a=b=c", false},
		{"a=\x00", false},
		{"a=" + strings.Repeat("v", 257), false},
		{strings.Repeat("a=b,", 32), true},
		{strings.Repeat("a=b,", 33), false},
		{strings.Repeat("abcdefgh=bcdefghi,", 30), false},
	} {
		if got := ValidState([]byte(row.in)); got != row.want {
			t.Errorf("%q: %v", row.in, got)
		}
	}
}

func TestIDs(t *testing.T) {
	id, span := NewID(), NewSpanID()
	if id == NewID() || span == NewSpanID() {
		t.Error("two ids are the same")
	}
	if (ID{}).String() != "" || (SpanID{}).String() != "" || len(NewID().String()) != 32 || len(NewSpanID().String()) != 16 {
		t.Error("their texts are wrong")
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{good, "cc" + good[2:] + "-what-comes", "00-" + strings.Repeat("0", 32) + good[35:], good[:54], "ff" + good[2:]} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, v []byte) {
		c, ok := Parse(v)
		if !ok {
			if c != (Context{}) {
				t.Errorf("%q is none, and says %v", v, c)
			}
			return
		}
		text := c.Append(nil)
		if again, ok := Parse(text); !ok || again != c || len(text) != Len {
			t.Errorf("%q is written as %q, which is %v, %v", v, text, again, ok)
		}
		if !bytes.Equal(text[3:52], v[3:52]) {
			t.Errorf("%q is written as %q", v, text)
		}
	})
}

func FuzzValidState(f *testing.F) {
	for _, s := range []string{"rojo=00f067aa0ba902b7, congo=t61rcWkgMzE", "tenant@vendor=a b", ",,", "a=b=c", "a=\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, v []byte) {
		if ValidState(v) && (bytes.ContainsAny(v, "\r\n\x00\x7f") || len(v) > maxState || !bytes.ContainsRune(v, '=')) {
			t.Errorf("%q goes on", v)
		}
	})
}

func TestNothingIsAllocated(t *testing.T) {
	v, out := []byte(good), make([]byte, 0, Len)
	if n := testing.AllocsPerRun(100, func() {
		c, _ := Parse(v)
		c.Span = NewSpanID()
		out = c.Append(out[:0])
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkPassOn(b *testing.B) {
	b.ReportAllocs()
	v, out := []byte(good), make([]byte, 0, Len)
	for b.Loop() {
		c, _ := Parse(v)
		c.Span = NewSpanID()
		out = c.Append(out[:0])
	}
}
