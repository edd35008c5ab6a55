package message

import (
	"strings"
	"testing"
)

func TestLookup(t *testing.T) {
	for id := Other + 1; id < numIDs; id++ {
		if id.String() == "" {
			t.Errorf("field %d has no name", id)
		}
		for _, s := range []string{id.String(), strings.ToLower(id.String()), strings.ToUpper(id.String())} {
			if got := Lookup(s); got != id {
				t.Errorf("Lookup(%q) = %v, want %v", s, got, id)
			}
		}
		if got := Lookup(id.String() + "x"); got != Other && got.String() != id.String()+"x" {
			t.Errorf("Lookup(%q) = %v", id.String()+"x", got)
		}
	}
	for _, s := range []string{"", "x", "Hosts", "Content_Length", "content-lengtH2"} {
		if got := Lookup(s); got != Other {
			t.Errorf("Lookup(%q) = %v, want Other", s, got)
		}
	}
}

func TestFields(t *testing.T) {
	var f Fields
	f.Add(Host, []byte("Host"), []byte("a"))
	f.Add(Other, []byte("X-A"), []byte("1"))
	f.Add(Cookie, []byte("Cookie"), []byte("a=1"))
	f.Add(Cookie, []byte("cookie"), []byte("b=2"))
	if f.Count(Cookie) != 2 || string(f.Get(Cookie)) != "a=1" || f.Has(Age) || f.Has(Other) {
		t.Fatalf("wrong answers from %v", f)
	}
	if v, ok := f.Named("x-a"); !ok || string(v) != "1" {
		t.Fatalf("Named: %q %v", v, ok)
	}
	f.Del(Cookie)
	if f.Has(Cookie) || len(f.List) != 2 {
		t.Fatalf("Del left %v", f)
	}
	f.Reset()
	if f.Has(Host) || len(f.List) != 0 {
		t.Fatalf("Reset left %v", f)
	}
}

func TestLookupDoesNotAllocate(t *testing.T) {
	name := []byte("x-forwarded-for")
	if n := testing.AllocsPerRun(100, func() { Lookup(name) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func BenchmarkLookup(b *testing.B) {
	list := [][]byte{[]byte("Host"), []byte("User-Agent"), []byte("Accept"), []byte("X-Custom-Thing"), []byte("Content-Length")}
	b.ReportAllocs()
	for b.Loop() {
		for _, n := range list {
			Lookup(n)
		}
	}
}
