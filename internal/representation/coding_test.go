package representation

import (
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/message"
)

// fields makes a section of name, value pairs.
func fields(pairs ...string) *message.Fields {
	var f message.Fields
	for i := 0; i+1 < len(pairs); i += 2 {
		f.Add(message.Lookup(pairs[i]), []byte(pairs[i]), []byte(pairs[i+1]))
	}
	return &f
}

var all = []Coding{Zstd, Brotli, Gzip}

func TestChoose(t *testing.T) {
	for _, r := range []struct {
		accept  string
		order   []Coding
		want    Coding
		refused bool
	}{
		{accept: "gzip, deflate, br, zstd", order: all, want: Zstd}, // Chrome, Firefox
		{accept: "gzip, deflate, br", order: all, want: Brotli},     // Safari
		{accept: "gzip", order: all, want: Gzip},
		{accept: "x-gzip", order: all, want: Gzip},
		{accept: "GZIP", order: all, want: Gzip},
		{accept: "gzip, deflate, br, zstd", order: []Coding{Gzip, Brotli}, want: Gzip},
		{accept: "deflate, compress", order: all, want: Identity},
		{accept: "", order: all, want: Identity},
		{accept: "*", order: all, want: Zstd},
		{accept: "zstd;q=0, *", order: all, want: Brotli},
		{accept: "*;q=0, gzip", order: all, want: Gzip},
		{accept: "gzip;q=0", order: all, want: Identity},
		{accept: "gzip;q=0.0, br;q=0.000", order: all, want: Identity},
		{accept: "gzip;q=1.0, zstd;q=0.5", order: all, want: Gzip},
		{accept: "gzip;q=0.999,br;q=1", order: []Coding{Gzip, Brotli}, want: Brotli},
		{accept: "gzip ; q=0.5 ,\tbr; Q=0.5", order: all, want: Brotli},
		{accept: "identity, gzip;q=0.5", order: all, want: Identity},
		{accept: "identity;q=0.5, gzip;q=0.5", order: all, want: Gzip},
		{accept: "identity;q=0, gzip", order: all, want: Gzip},
		{accept: "identity;q=0", order: all, refused: true},
		{accept: "*;q=0", order: all, refused: true},
		{accept: "*;q=0, identity", order: all, want: Identity},
		{accept: "identity;q=0, zstd", order: []Coding{Gzip}, refused: true},
		{accept: "identity;q=0, *", order: []Coding{Gzip}, want: Gzip},
		{accept: "gzip;q=2, br", order: all, want: Brotli},
		{accept: "zstd;q=1.001, br;q=.5, gzip;q=0.1234", order: all, want: Identity},
		{accept: "zstd;q=-1, br;q=1.0000, gzip;q=", order: all, want: Identity},
		{accept: "zstd;level=3, gzip", order: all, want: Gzip},
		{accept: "zstd;q=1;q=0, gzip;q=0.1", order: all, want: Gzip},
		{accept: "*;q=0.5, gzip;q=0.3", order: []Coding{Gzip}, want: Identity}, // * speaks of the plain form too
		{accept: "*;q=0.5, gzip;q=0.3", order: all, want: Zstd},
		{accept: "gzip br", order: all, want: Identity},
		{accept: ",,;q=1, ,gzip,", order: all, want: Gzip},
		{accept: "gzip", order: nil, want: Identity},
		{accept: "gzip", order: []Coding{Identity, 99, Gzip}, want: Gzip},
	} {
		got, ok := Accepted(fields("Accept-Encoding", r.accept)).Choose(r.order)
		if got != r.want || ok == r.refused {
			t.Errorf("%q of %v: %v, %v", r.accept, r.order, got, ok)
		}
	}
	// Lines are one list (RFC 9110, section 5.2); without a line the plain form is what everyone reads.
	if c, _ := Accepted(fields("accept-encoding", "br;q=0.5", "host", "gzip", "Accept-Encoding", "zstd;q=0.6")).Choose(all); c != Zstd {
		t.Errorf("two lines: %v", c)
	}
	a := Accepted(fields())
	if c, ok := a.Choose(all); c != Identity || !ok || a.Takes(Gzip) || !a.Takes(Identity) || a.Takes(99) {
		t.Errorf("no line: %v, %v", c, ok)
	}
}

func TestCodingNames(t *testing.T) {
	for c := Identity; c < NumCodings; c++ {
		if got, ok := ParseCoding(c.String()); got != c || !ok {
			t.Errorf("%v is read as %v, %v", c, got, ok)
		}
	}
	if _, ok := ParseCoding([]byte("deflate")); ok {
		t.Error("deflate is known")
	}
}

// FuzzAccepted: a choice is one of the order or identity, and a coding that the field does not speak of is never chosen.
func FuzzAccepted(f *testing.F) {
	for _, s := range []string{"gzip, deflate, br, zstd", "gzip;q=0.5, *;q=0", "identity;q=0,\tx-gzip;q=1.000", ",;,q=1;;*", "*"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var fs message.Fields
		fs.Add(message.AcceptEncoding, []byte("Accept-Encoding"), b)
		a := Accepted(&fs)
		c, ok := a.Choose(all)
		if c >= NumCodings || c != Identity && !ok || ok != a.Takes(c) {
			t.Fatalf("%q: %v, %v", b, c, ok)
		}
		if len(b) < 2 && len(b) > 0 && b[0] != '*' && c != Identity {
			t.Fatalf("%q: %v", b, c)
		}
		for q := range a.q {
			if a.q[q] < 0 || a.q[q] > 1000 {
				t.Fatalf("%q: weight %d", b, a.q[q])
			}
		}
		if a.plain && !a.Takes(Identity) {
			t.Fatalf("%q: identity wanted and refused", b)
		}
		if lower := strings.ToLower(string(b)); !strings.ContainsAny(lower, "*") && !strings.Contains(lower, "gzip") && a.Takes(Gzip) {
			t.Fatalf("%q: gzip was not named", b)
		}
		if one, _ := a.Choose([]Coding{Gzip}); one == Gzip && !a.Takes(Gzip) {
			t.Fatalf("%q: gzip chosen, not taken", b)
		}
	})
}
