package scgi

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func TestEnd(t *testing.T) {
	dst := []byte("before")
	for _, h := range [][2]string{{"CONTENT_LENGTH", "27"}, {"SCGI", "1"}, {"REQUEST_METHOD", "POST"}, {"REQUEST_URI", "/deepthought"}} {
		var ok bool
		if dst, ok = Append(dst, []byte(h[0]), []byte(h[1])); !ok {
			t.Fatal("it was not taken")
		}
	}
	// The example of the specification.
	want := "before70:CONTENT_LENGTH\x0027\x00SCGI\x001\x00REQUEST_METHOD\x00POST\x00REQUEST_URI\x00/deepthought\x00,"
	if got := string(End(dst, len("before"))); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, h := range [][2]string{{"A\x00B", "c"}, {"A", "b\x00C\x00d"}, {"", "c"}} {
		if got, ok := Append(dst, []byte(h[0]), []byte(h[1])); ok || !bytes.Equal(got, dst) {
			t.Errorf("%q was taken", h)
		}
	}
}

func netstring(text string) string { return fmt.Sprintf("%d:%s,", len(text), text) }

func TestParse(t *testing.T) {
	const good = "CONTENT_LENGTH\x0027\x00SCGI\x001\x00A\x00\x00"
	for _, row := range []struct {
		name, in string
		headers  int
		body     int64
		err      *Error
	}{
		{"good", netstring(good) + "body", 3, 27, nil},
		{"no length", "abc", 0, 0, errLength},
		{"no colon", "12abc", 0, 0, errLength},
		{"empty length", ":abc,", 0, 0, errLength},
		{"leading zero", "012:abc,", 0, 0, errLength},
		{"too large", "1000001:", 0, 0, errLarge},
		{"overflow", strings.Repeat("9", 40), 0, 0, errLarge},
		{"no comma", strings.TrimSuffix(netstring(good), ",") + ";", 0, 0, errComma},
		{"no pairs", netstring("CONTENT_LENGTH\x0027"), 0, 0, errPairs},
		{"odd", netstring("CONTENT_LENGTH\x0027\x00SCGI\x00"), 0, 0, errPairs},
		{"empty name", netstring("\x0027\x00"), 0, 0, errPairs},
		{"nothing", netstring(""), 0, 0, errFirst},
		{"another first", netstring("SCGI\x001\x00CONTENT_LENGTH\x0027\x00"), 0, 0, errFirst},
		{"no number", netstring("CONTENT_LENGTH\x00x\x00SCGI\x001\x00"), 0, 0, errBody},
		{"signed", netstring("CONTENT_LENGTH\x00+1\x00SCGI\x001\x00"), 0, 0, errBody},
		{"negative", netstring("CONTENT_LENGTH\x00-1\x00SCGI\x001\x00"), 0, 0, errBody},
		{"empty number", netstring("CONTENT_LENGTH\x00\x00SCGI\x001\x00"), 0, 0, errBody},
		{"huge number", netstring("CONTENT_LENGTH\x0099999999999999999999\x00SCGI\x001\x00"), 0, 0, errBody},
		{"no mark", netstring("CONTENT_LENGTH\x0027\x00A\x001\x00"), 0, 0, errMark},
		{"wrong mark", netstring("CONTENT_LENGTH\x0027\x00SCGI\x002\x00"), 0, 0, errMark},
		{"twice", netstring("CONTENT_LENGTH\x0027\x00SCGI\x001\x00A\x00b\x00A\x00c\x00"), 0, 0, errTwice},
	} {
		t.Run(row.name, func(t *testing.T) {
			headers, body, n, err := Parse([]byte(row.in), 1_000_000)
			if len(headers) != row.headers || body != row.body || err != row.err || err == nil && n != len(row.in)-len("body") {
				t.Fatalf("%d headers, body %d, %d bytes, %v", len(headers), body, n, err)
			}
			if row.err != nil {
				return
			}
			for i := range n {
				if _, _, m, err := Parse([]byte(row.in[:i]), 1_000_000); m != 0 || err != nil {
					t.Fatalf("the first %d bytes: %d, %v", i, m, err)
				}
			}
		})
	}
}

// FuzzParse: what is taken can be written again, and is the same then.
func FuzzParse(f *testing.F) {
	f.Add([]byte(netstring("CONTENT_LENGTH\x0027\x00SCGI\x001\x00")))
	f.Add([]byte("012:abc,"))
	f.Fuzz(func(t *testing.T, in []byte) {
		headers, _, n, err := Parse(in, 1<<16)
		if err != nil || n == 0 {
			return
		}
		var again []byte
		for _, h := range headers {
			var ok bool
			if again, ok = Append(again, h.Name, h.Value); !ok {
				t.Fatalf("%q cannot be written", h)
			}
		}
		if again = End(again, 0); !bytes.Equal(again, in[:n]) {
			t.Fatalf("%q became %q", in[:n], again)
		}
	})
}
