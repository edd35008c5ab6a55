package esi

import (
	"bytes"
	"strings"
	"testing"
)

// FuzzParser: wherever the input is cut, the events, the text and the warnings are the same; and a page without ESI
// comes out as it went in.
func FuzzParser(f *testing.F) {
	for _, r := range rows {
		f.Add([]byte(r.in), byte(3), byte(7))
	}
	f.Fuzz(func(t *testing.T, doc []byte, a, b byte) {
		l := Limits{Tag: 64, Value: 24, Includes: 6, Blocks: 2}
		in := string(doc)
		want, page := trace(t, l, in)
		for _, cuts := range [][]int{{1}, {int(a)}, {int(a), int(b)}, {int(a), int(b), 1, int(a), 2, int(b), 3, 1}} {
			got, other := trace(t, l, in, cuts...)
			if got != want {
				t.Fatalf("cut by %v:\n%q\nwhole:\n%q", cuts, got, want)
			}
			if other.FirstAt != page.FirstAt || other.Includes() != page.Includes() {
				t.Fatalf("cut by %v: first warning at %d, %d includes; whole: %d, %d", cuts, other.FirstAt, other.Includes(), page.FirstAt, page.Includes())
			}
		}
		if !bytes.Contains(doc, []byte("esi")) && !strings.HasPrefix(want, in) {
			t.Fatalf("%q came out as %q", in, want)
		}
	})
}

// FuzzResolve: an address that is accepted is one that can be put into a request, and its host is an allowed one.
func FuzzResolve(f *testing.F) {
	for _, r := range addresses {
		f.Add(r.src, r.parent)
	}
	hosts := NewHosts([]string{"cdn.example.net", "*.example.org"})
	f.Fuzz(func(t *testing.T, src, target string) {
		if !strings.HasPrefix(target, "/") {
			target = "/" + target
		}
		parent := Address{"http", []byte("www.example.com"), []byte(target)}
		got, _, err := Resolve(nil, parent, []byte(src), hosts)
		if err != nil {
			return
		}
		checkAddress(t, got, parent, hosts)
		again, _, err := Resolve(nil, got, got.Target, hosts)
		if !bytes.HasPrefix(got.Target, []byte("//")) && (err != nil || !bytes.Equal(again.Target, got.Target)) {
			t.Fatalf("%q becomes %q when resolved again: %v", got.Target, again.Target, err)
		}
	})
}

func checkAddress(t *testing.T, got, parent Address, hosts *Hosts) {
	t.Helper()
	if got.Scheme != "http" && got.Scheme != "https" {
		t.Fatalf("scheme %q", got.Scheme)
	}
	if !bytes.Equal(got.Host, parent.Host) && !hosts.Allowed(got.Host) {
		t.Fatalf("host %q", got.Host)
	}
	if len(got.Target) == 0 || got.Target[0] != '/' {
		t.Fatalf("target %q", got.Target)
	}
	for _, c := range got.Target {
		if c <= ' ' || c >= 0x7f || c == '#' || c == '\\' {
			t.Fatalf("target %q", got.Target)
		}
	}
	path, _, _ := strings.Cut(string(got.Target), "?")
	for _, s := range strings.Split(path[1:], "/") {
		if dots([]byte(s)) > 0 {
			t.Fatalf("target %q", got.Target)
		}
	}
}
