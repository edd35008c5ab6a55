package hostile

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
	"unicode"
	"unicode/utf8"
)

// checkLog judges an access log in JSON: whole objects, one on each line, and nothing that a terminal obeys.
func checkLog(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"))
	for _, l := range lines {
		var v struct{ Time, Client, Method, Target, ID string }
		if err := json.Unmarshal(l, &v); err != nil {
			t.Fatalf("a line is no JSON: %v: %s", err, short(l))
		}
		if v.ID == "" || v.Time == "" || v.Client == "" {
			t.Fatalf("a line says too little: %s", l)
		}
		if bad := unprintable(l); bad >= 0 {
			t.Fatalf("a terminal obeys byte %d of %s", bad, short(l))
		}
	}
	t.Logf("%d lines in the log", len(lines))
}

// unprintable returns where the first byte is that a terminal may obey, -1 when there is none.
func unprintable(b []byte) int {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError && n == 1 || r == 0x2028 || r == 0x2029 || unicode.Is(unicode.Bidi_Control, r) {
			return i
		}
		i += n
	}
	return -1
}
