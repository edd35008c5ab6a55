package insight

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// hashOf is a 64-bit finalizer: the hashes of keys are as good as random.
func hashOf(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// check holds the structure against itself.
func (t *Top) check(tb testing.TB) {
	tb.Helper()
	for i := 1; i < t.n; i++ {
		if t.less(i, (i-1)/2) {
			tb.Fatalf("the heap is out of order at %d", i)
		}
	}
	for e := range t.n {
		if t.find(t.entries[e].hash) != uint16(e) || t.heap[t.at[e]] != uint16(e) {
			tb.Fatalf("entry %d is lost", e)
		}
	}
	used := 0
	for _, e := range t.table {
		if e != noEntry {
			used++
		}
	}
	if used != t.n {
		tb.Fatalf("%d in the table, %d entries", used, t.n)
	}
}

// TestTop: what is noted most often is found with a count that is right within its error, among many that are rare.
func TestTop(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	z := rand.NewZipf(r, 1.2, 1, 1<<20)
	top := NewTop()
	truth := map[uint64]uint64{}
	for i := range 300_000 {
		n := z.Uint64()
		truth[hashOf(n)]++
		top.Note(hashOf(n), fmt.Appendf(nil, "host/%d", n), []byte("?"), []byte("q"))
		if i%997 == 0 {
			top.check(t)
		}
	}
	got := top.Append(nil)
	if len(got) != Tracked {
		t.Fatalf("%d tracked", len(got))
	}
	for _, n := range got {
		if c := truth[n.Hash]; c > n.Count || c < n.Count-n.Error {
			t.Errorf("%s: %d in truth, not within %d less at most %d", n.Text, c, n.Count, n.Error)
		}
	}
	for n := range uint64(10) {
		i := slices.IndexFunc(got, func(g Noted) bool { return g.Hash == hashOf(n) })
		if i < 0 || got[i].Text != fmt.Sprintf("host/%d?q", n) || got[i].Cut {
			t.Errorf("number %d is not there, or is called otherwise: %v", n, got[max(i, 0)])
		}
	}
}

// TestTopAges: counts are halved, and what comes then takes the places of what was.
func TestTopAges(t *testing.T) {
	top := NewTop()
	for range ageAfter - 1 {
		top.Note(1, []byte("old"))
	}
	if n := top.Append(nil)[0].Count; n != ageAfter-1 {
		t.Fatalf("%d counted", n)
	}
	top.Note(1, []byte("old"))
	if n := top.Append(nil)[0].Count; n != ageAfter/2 {
		t.Errorf("%d after ageing", n)
	}
	for i := range 3 * ageAfter {
		top.Note(hashOf(uint64(i)), []byte("new"))
	}
	top.check(t)
}

// TestTopBounds: long texts are cut, and nothing is allocated.
func TestTopBounds(t *testing.T) {
	top := NewTop()
	long := make([]byte, 3*maxText)
	top.Note(1, []byte("a/"), long)
	if n := top.Append(nil)[0]; len(n.Text) != maxText || !n.Cut {
		t.Errorf("%d bytes kept, cut %v", len(n.Text), n.Cut)
	}
	i := uint64(0)
	if n := testing.AllocsPerRun(10_000, func() { i++; top.Note(hashOf(i%2000), long, long) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	top.check(t)
}

// FuzzTop notes any keys in any order.
func FuzzTop(f *testing.F) {
	f.Add([]byte("some keys, some of them often"))
	f.Fuzz(func(t *testing.T, keys []byte) {
		top := NewTop()
		for i := range keys {
			for j := range 40 {
				top.Note(hashOf(uint64(keys[i])<<6|uint64(j)), keys[:min(i, 5)])
			}
		}
		top.check(t)
	})
}

func BenchmarkTop(b *testing.B) {
	top := NewTop()
	host, path := []byte("www.example.com"), []byte("/a/path/of/some/length")
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		top.Note(hashOf(uint64(i)), host, path)
	}
}
