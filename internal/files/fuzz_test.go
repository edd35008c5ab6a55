package files

import (
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/message"
)

func FuzzAcceptEncoding(f *testing.F) {
	f.Add("gzip, br;q=0.5, *;q=0")
	f.Add("identity;q=0.000,;,zstd ; Q=1.000")
	f.Fuzz(func(t *testing.T, value string) {
		var fields message.Fields
		fields.Add(message.AcceptEncoding, []byte("Accept-Encoding"), []byte(value))
		a := parseAccepted(&fields)
		for _, q := range append(a.q[:], a.identity) {
			if q < 0 || q > 1000 {
				t.Fatalf("weight %d", q)
			}
		}
		if a.refusesIdentity && a.identity > 0 {
			t.Fatal("refused and wanted")
		}
		if !strings.ContainsAny(value, "*") && !strings.Contains(strings.ToLower(value), "gzip") && a.q[2] != 0 {
			t.Fatal("gzip was not named")
		}
	})
}

func FuzzFileName(f *testing.F) {
	f.Add("/a/%2e%2e/b")
	f.Add("/.well-known/x")
	f.Add("/a%2fb%00")
	f.Fuzz(func(t *testing.T, path string) {
		name, ok := fileName([]byte(path))
		if !ok || name == "." {
			return
		}
		if strings.ContainsRune(name, 0) || strings.HasPrefix(name, "/") || strings.HasSuffix(name, "/") || strings.Contains(name, "//") {
			t.Fatalf("%q", name)
		}
		for i, seg := range strings.Split(name, "/") {
			if strings.HasPrefix(seg, ".") && !(i == 0 && seg == ".well-known") {
				t.Fatalf("%q", name)
			}
		}
	})
}
