package files

import (
	"strings"
	"testing"
)

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
