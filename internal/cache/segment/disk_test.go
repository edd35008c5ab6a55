package segment

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/cache/store"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil))) // damage is done on purpose
	goleak.VerifyTestMain(m)
}

// memory is a store that objects come from.
func memory(t testing.TB) *store.Store {
	t.Helper()
	s, err := store.Open(store.Options{Memory: 64 << 20, MaxObject: 16 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func keyOf(n int) (k store.Key) {
	binary.LittleEndian.PutUint64(k[:], uint64(n)*0x9e3779b97f4a7c15)
	binary.LittleEndian.PutUint64(k[8:], uint64(n))
	return k
}

// bodyOf is a body that tells which key and which version it is of.
func bodyOf(n, version, size int) []byte {
	line := fmt.Appendf(nil, "object %d, version %d\n", n, version)
	return bytes.Repeat(line, size/len(line)+1)[:size]
}

func headOf(n, version int) []byte { return fmt.Appendf(nil, "head of %d, %d", n, version) }

// object makes an object in memory.
func object(t testing.TB, s *store.Store, key store.Key, head, body []byte) store.Ref {
	t.Helper()
	f, err := s.Begin(key, head, int64(len(body)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(body); err != nil {
		t.Fatal(err)
	}
	r, _ := f.Ref()
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	return r
}

func open(t testing.TB, o Options) *Disk {
	t.Helper()
	d, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, d) })
	return d
}

func shut(t testing.TB, d *Disk) {
	t.Helper()
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// settled waits until everything has been written.
func settled(t testing.TB, d *Disk) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		d.mu.Lock()
		waiting := d.waiting
		d.mu.Unlock()
		if waiting == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatal("it is not written")
		}
	}
}

func put(t testing.TB, d *Disk, s *store.Store, n, version, size int) {
	t.Helper()
	k := keyOf(n)
	if !d.Put(k, object(t, s, k, headOf(n, version), bodyOf(n, version, size)), 1<<40, nil) {
		t.Fatalf("object %d was not taken: %+v", n, d.Stats())
	}
}

// wantRead holds what is on disk against what was put there.
func wantRead(t testing.TB, d *Disk, n, version, size int) {
	t.Helper()
	r, _, _, err := d.Read(keyOf(n), nil)
	if err != nil {
		t.Fatalf("object %d: %v", n, err)
	}
	if !bytes.Equal(r.Head, headOf(n, version)) || !bytes.Equal(r.Body, bodyOf(n, version, size)) {
		t.Fatalf("object %d: head %q and %d bytes", n, r.Head, len(r.Body))
	}
}

func TestKeptOverRestarts(t *testing.T) {
	s := memory(t)
	o := Options{Dir: t.TempDir(), Size: 64 << 20}
	d := open(t, o)
	sizes := []int{0, 1, 15, 16, 17, 4000, chunkSize - 1, chunkSize, chunkSize + 1, 200_000}
	for n, size := range sizes {
		put(t, d, s, n, 1, size)
	}
	settled(t, d)
	for n, size := range sizes {
		wantRead(t, d, n, 1, size)
	}
	put(t, d, s, 3, 2, 5000)
	k := keyOf(4)
	if !d.Remove(&k) || d.Remove(&k) || d.Find(&k) {
		t.Error("what was removed is there")
	}
	if _, err := Open(o); err == nil {
		t.Error("two have the directory")
	}
	shut(t, d)
	for range 3 {
		d = open(t, o)
		for n, size := range sizes {
			if n == 3 {
				wantRead(t, d, 3, 2, 5000)
			} else {
				wantRead(t, d, n, 1, size)
			}
		}
		shut(t, d)
	}
}

// TestClosingWritesWhatWaits: bodies that get a file of their own too, and nothing is complained of.
func TestClosingWritesWhatWaits(t *testing.T) {
	s := memory(t)
	var said atomic.Int64
	o := Options{Dir: t.TempDir(), Size: 64 << 20, Inline: 4 << 10, Problem: func(error) { said.Add(1) }}
	for round := range 5 {
		d := open(t, o)
		for n := range 20 {
			put(t, d, s, n, round, 1000+9000*(n%3)) // every third in a segment
		}
		shut(t, d)
		if st := d.Stats(); st.Dropped > 0 || st.Problem != "" || said.Load() > 0 {
			t.Fatalf("%+v, and %d complaints", st, said.Load())
		}
		d = open(t, o)
		for n := range 20 {
			r, _, _, err := d.Read(keyOf(n), nil)
			if err != nil || !bytes.Equal(r.Head, headOf(n, round)) {
				t.Fatalf("object %d: %v", n, err)
			}
		}
		shut(t, d)
	}
}

// The size is kept, and what was asked for outlives what was not.
func TestOldestGoFirst(t *testing.T) {
	s := memory(t)
	o := Options{Dir: t.TempDir(), Size: 8 << 20}
	d := open(t, o)
	const size = 10_000
	n := 0
	for ; n < 3000; n++ {
		put(t, d, s, n, 1, size)
		settled(t, d)
		k := keyOf(7)
		if n >= 7 && !d.Find(&k) {
			t.Fatalf("what is asked for all the time went, at %d", n)
		}
	}
	st := d.Stats()
	if st.Bytes > o.Size || st.Bytes < o.Size*3/4 || st.Reclaimed == 0 {
		t.Errorf("%+v", st)
	}
	if k := keyOf(20); d.Find(&k) {
		t.Error("an old one is still there")
	}
	wantRead(t, d, n-1, 1, size)
	wantRead(t, d, 7, 1, size)
	shut(t, d)
	d = open(t, o)
	if again := d.Stats(); again.Objects != st.Objects {
		t.Errorf("%d objects, after the restart %d", st.Objects, again.Objects)
	}
	wantRead(t, d, 7, 1, size)
}
