package segment

import (
	"bytes"

	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/weirhq/weir/internal/cache/store"
)

// model is what should be on disk: the newest version of each object and its size by version.
type model struct {
	sizes   map[int][]int // by version, from 1 on
	removed map[int]bool  // since it was put; a restart may bring it back
	loose   bool          // the disk was damaged: older versions may be found
}

// check holds all that can be read against the model.
func (m *model) check(t *testing.T, d *Disk) (found int) {
	t.Helper()
	var buf []byte
	for n, sizes := range m.sizes {
		r, _, b, err := d.Read(keyOf(n), buf)
		buf = b
		if errors.Is(err, ErrNone) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		found++
		version := 0
		if _, err := fmt.Sscanf(string(r.Head), fmt.Sprintf("head of %d, %%d", n), &version); err != nil || version < 1 || version > len(sizes) {
			t.Fatalf("object %d: head %q", n, r.Head)
		}
		body := wholeBody(t, d, &r)
		if body == nil && r.Large.Number != 0 && m.loose {
			continue
		}
		if !bytes.Equal(body, bodyOf(n, version, sizes[version-1])) {
			t.Fatalf("object %d, version %d: %d bytes that are not its body", n, version, len(body))
		}
		if !m.loose && (version != len(sizes) || m.removed[n]) {
			t.Fatalf("object %d: version %d of %d, removed: %v", n, version, len(sizes), m.removed[n])
		}
	}
	return found
}

// TestAgainstModel does things at random, with restarts in order, crashes, and damaged files.
func TestAgainstModel(t *testing.T) {
	for seed := range uint64(9) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { againstModel(t, rand.New(rand.NewPCG(seed, 1)), int(seed%3)) })
	}
}

// againstModel: harm 0 restarts in order, 1 leaves files as a crash does, 2 damages them too.
func againstModel(t *testing.T, rng *rand.Rand, harm int) {
	s := memory(t)
	o := Options{Dir: t.TempDir(), Size: 8 << 20, Inline: 100 << 10, Queue: 1 << 30}
	d := open(t, o)
	m := &model{sizes: map[int][]int{}, removed: map[int]bool{}}
	most := 0
	for range 1500 {
		n := rng.IntN(300)
		k, x := keyOf(n), rng.IntN(100)
		switch {
		case x < 70:
			size := rng.IntN(1 << rng.IntN(17))
			if rng.IntN(20) == 0 {
				size = rng.IntN(400 << 10)
			}
			m.sizes[n] = append(m.sizes[n], size)
			m.removed[n] = false
			d.Supersede(&k)
			put(t, d, s, n, len(m.sizes[n]), size)
		case x < 80:
			d.Remove(&k)
			m.removed[n] = true
		case x < 99:
			d.Find(&k)
		default:
			settled(t, d)
			most = max(most, m.check(t, d))
			next := o
			if harm > 0 {
				next.Dir = copied(t, o.Dir)
				m.loose = true
			}
			shut(t, d)
			if harm == 2 {
				damageFiles(t, rng, next.Dir)
			}
			if o = next; harm == 0 { // what was removed may be back: remove it again
				d = open(t, o)
				for n, gone := range m.removed {
					if k := keyOf(n); gone {
						d.Remove(&k)
					}
				}
			} else {
				d = open(t, o)
			}
			most = max(most, m.check(t, d))
		}
		if st := d.Stats(); st.Bytes > o.Size {
			t.Fatalf("%+v", st)
		}
	}
	if most < 60 {
		t.Errorf("at most %d objects were found", most)
	}
}

// copied is a directory as it is while it is in use.
func copied(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	names, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		b, err := os.ReadFile(filepath.Join(from, n.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // the writer has deleted it meanwhile, as it might before a crash
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, n.Name()), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return to
}

// damageFiles cuts files, flips bits, swaps names, and removes some.
func damageFiles(t *testing.T, rng *rand.Rand, dir string) {
	t.Helper()
	names, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		path := filepath.Join(dir, n.Name())
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		switch x := rng.IntN(12); {
		case len(b) == 0:
		case x == 0:
			b = b[:rng.IntN(len(b))]
		case x < 4:
			for range 1 + rng.IntN(5) {
				b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
			}
		case x == 4:
			at := rng.IntN(len(b))
			clear(b[at:min(at+4096, len(b))])
		case x == 5:
			other, err := os.ReadFile(filepath.Join(dir, names[rng.IntN(len(names))].Name()))
			if err != nil {
				t.Fatal(err)
			}
			b = other
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// FuzzOpen: whatever stands in the files, reading them does no harm, and what is read of the objects that were written is
// what was written.
func FuzzOpen(f *testing.F) {
	s, err := store.Open(store.Options{Memory: 16 << 20})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	sizes := []int{0, 10, 300, 1000}
	dir := f.TempDir()
	d, err := Open(Options{Dir: dir, Size: MinSize})
	if err != nil {
		f.Fatal(err)
	}
	for n, size := range sizes {
		put(f, d, s, n, 1, size)
	}
	if err := d.Close(); err != nil {
		f.Fatal(err)
	}
	seg, err1 := os.ReadFile(filepath.Join(dir, "0000000001.seg"))
	idx, err2 := os.ReadFile(filepath.Join(dir, "0000000001.idx"))
	if err1 != nil || err2 != nil {
		f.Fatal(err1, err2)
	}
	f.Add(seg, idx)
	f.Add(seg, []byte{})
	f.Add(seg[:len(seg)/2], idx)
	f.Add(append(bytes.Clone(seg[100:]), seg...), []byte{})
	f.Add(bytes.Repeat([]byte{0}, 100), idx)
	f.Fuzz(func(t *testing.T, seg, idx []byte) {
		size := int64(len(seg))
		list, covers, err := parseList(idx, 1, size)
		if err != nil {
			list, covers = nil, 0
		}
		more, end, _, err := scan(bytes.NewReader(seg), 1, covers, size)
		if err != nil || end > size || end < covers {
			t.Fatal(err, covers, end, size)
		}
		for _, l := range append(list, more...) {
			from, to := int64(l.off)*align, (int64(l.off)+int64(l.size))*align
			if to > size {
				t.Fatalf("a record from %d to %d of %d", from, to, size)
			}
			r, err := parseRecord(bytes.Clone(seg[from:to]), 1, l.key, 0)
			if err != nil {
				continue
			}
			for n, size := range sizes {
				if l.key == keyOf(n) && (!bytes.Equal(r.Head, headOf(n, 1)) || !bytes.Equal(r.Body, bodyOf(n, 1, size))) {
					t.Fatalf("object %d: %q and %q", n, r.Head, r.Body)
				}
			}
		}
	})
}

// wholeBody is the body of a record, wherever it is.
func wholeBody(t *testing.T, d *Disk, r *Record) []byte {
	t.Helper()
	if r.Large.Number == 0 {
		return r.Body
	}
	b, err := d.Open(r.Large)
	if err == nil {
		defer b.Release()
		err = b.Check(0, b.Size)
	}
	if errors.Is(err, ErrNone) {
		return nil
	}
	p := make([]byte, b.Size)
	if _, err := b.File().ReadAt(p, 0); err != nil && b.Size > 0 {
		t.Fatal(err)
	}
	return p
}
