package segment

import (
	"testing"

	"github.com/weirhq/weir/internal/cache/store"
)

// filled is a disk with so many objects in its index, which are on no disk.
func filled(b testing.TB, objects int) *Disk {
	b.Helper()
	d := open(b, Options{Dir: b.TempDir(), Size: 64 << 20})
	for n := range objects {
		k := keyOf(n)
		d.index.put(entry{hash: hashOf(&k), segment: 1, off: uint32(n), size: 1})
	}
	return d
}

// A look-up of what is not on disk is part of every miss, and of what is, on the way of every request for it.
func TestFindAllocatesNothing(t *testing.T) {
	d := filled(t, 1000)
	there, not := keyOf(1), keyOf(5000)
	if n := testing.AllocsPerRun(1000, func() {
		if !d.Find(&there) || d.Find(&not) {
			t.Fatal("found wrongly")
		}
		d.Supersede(&not)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestIndexMemory holds the index to what the documents promise: 24 bytes an entry, and little beside.
func TestIndexMemory(t *testing.T) {
	d := filled(t, 300_000)
	n, memory := d.index.len()
	if each := float64(memory) / float64(n); n != 300_000 || each > 40 {
		t.Errorf("%d objects, %.1f bytes each", n, each)
	}
	for k := range 300_000 {
		if key := keyOf(k); !d.Find(&key) {
			t.Fatalf("object %d is not found", k)
		}
	}
	if hashes := d.index.dropSegment(1); len(hashes) != 300_000 {
		t.Errorf("%d entries went", len(hashes))
	}
	if n, _ = d.index.len(); n != 0 {
		t.Errorf("%d entries are left", n)
	}
}

func BenchmarkFind(b *testing.B) {
	d := filled(b, 1_000_000)
	keys := make([]store.Key, 1<<16)
	for i := range keys {
		keys[i] = keyOf(i * 20)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		d.Find(&keys[i&(1<<16-1)])
	}
}
