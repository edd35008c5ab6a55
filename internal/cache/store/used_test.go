package store

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
)

// crowdedStore has room for 8 MiB, of which large objects that are being read may have half.
func crowdedStore(t *testing.T) *Store {
	t.Helper()
	s, err := Open(Options{Memory: MinMemory, MaxObject: 1 << 20, MaxFills: MinMemory})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if n := s.used.Load(); n != 0 {
			t.Errorf("%d bytes are read by nobody", n)
		}
		s.Close()
	})
	return s
}

// fill stores an object and returns a Ref that was there before Commit.
func fill(s *Store, n, size int, known bool) (Ref, error) {
	hint := int64(size)
	if !known {
		hint = -1
	}
	f, err := s.Begin(keyOf(uint64(n)), []byte("head"), hint)
	if err != nil {
		return Ref{}, err
	}
	r, _ := f.Ref()
	if _, err = f.Write(make([]byte, size)); err == nil {
		err = f.Commit()
	}
	if err != nil {
		f.Abort()
	}
	return r, err
}

// TestCrowded: large objects that are read hold half of the memory at most, in the index, let go, replaced or aborted; the small
// ones that are wanted stay.
func TestCrowded(t *testing.T) {
	for name, how := range map[string]func(s *Store, r Ref){
		"in the index": func(*Store, Ref) {},
		"let go":       func(s *Store, r Ref) { s.Drop(r) },
		"replaced": func(s *Store, r Ref) {
			if err := s.ReplaceHead(r, []byte("another")); err != nil {
				panic(err)
			}
		},
	} {
		for _, known := range []bool{true, false} {
			s := crowdedStore(t)
			for n := range 100 {
				r, err := fill(s, n, 4<<10, true)
				if err != nil {
					t.Fatal(err)
				}
				r.Release()
				for range 3 {
					if r, ok := s.Get(keyOf(uint64(n))); ok {
						r.Release()
					}
				}
			}
			var read []Ref
			var refused int
			for n := range 40 {
				r, err := fill(s, 1000+n, 500<<10, known)
				if errors.Is(err, ErrFull) {
					refused++
				} else if err != nil {
					t.Fatal(err)
				} else {
					how(s, r)
				}
				if r.Valid() {
					read = append(read, r)
				}
			}
			if most := 40; refused < 20 || refused == most {
				t.Errorf("%s: %d of %d large objects were refused", name, refused, most)
			}
			missed := 0
			for n := range 100 {
				r, ok := s.Get(keyOf(uint64(n)))
				if ok {
					r.Release()
				} else {
					missed++
				}
			}
			if missed > 10 {
				t.Errorf("%s, length known %v: %d of 100 small objects have gone", name, known, missed)
			}
			if r, err := fill(s, 5000, 60<<10, true); err != nil {
				t.Errorf("%s: a small object: %v", name, err)
			} else {
				r.Release()
			}
			for _, r := range read {
				r.Release()
			}
			if n := s.used.Load(); n != 0 {
				t.Errorf("%s: %d bytes are read by nobody", name, n)
			}
			r, err := fill(s, 6000, 500<<10, known)
			if err != nil {
				t.Fatalf("%s, length known %v: when all have left: %v", name, known, err)
			}
			r.Release()
		}
	}
}

// TestUsedByMany: however readers come and go while objects are replaced and let go, nothing is counted in the end.
func TestUsedByMany(t *testing.T) {
	s := crowdedStore(t)
	var group sync.WaitGroup
	for i := range 6 {
		group.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 1))
			var held []Ref
			for range 3000 {
				n := r.IntN(6)
				switch r.IntN(8) {
				case 0:
					if ref, err := fill(s, n, 1+r.IntN(200<<10), r.IntN(2) == 0); ref.Valid() {
						_ = err // whether there was room does not matter
						held = append(held, ref)
					}
				case 1:
					s.Delete(keyOf(uint64(n)))
				case 2:
					if ref, ok := s.Peek(keyOf(uint64(n))); ok {
						_ = s.ReplaceHead(ref, []byte("another")) // it may have gone
						ref.Release()
					}
				default:
					if ref, ok := s.Get(keyOf(uint64(n))); ok {
						held = append(held, ref)
					}
				}
				for len(held) > r.IntN(5) {
					held[0].Release()
					held = held[1:]
				}
			}
			for _, ref := range held {
				ref.Release()
			}
		})
	}
	group.Wait()
}
