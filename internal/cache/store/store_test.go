package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB, o Options) *Store {
	t.Helper()
	if o.Memory == 0 {
		o.Memory = MinMemory
	}
	s, err := Open(o)
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

// keyOf makes the n-th key: as good as random, and the same each time.
func keyOf(n uint64) (k Key) {
	r := rand.NewPCG(n, 77)
	binary.LittleEndian.PutUint64(k[:8], r.Uint64())
	binary.LittleEndian.PutUint64(k[8:], n)
	return k
}

// bodyOf is what a body of a key's version has at off.
func byteOf(key, version uint64, off int64) byte {
	x := key*0x9e3779b97f4a7c15 + version*0xbf58476d1ce4e5b9 + uint64(off)
	return byte(x ^ x>>8 ^ x>>29)
}

func bodyOf(key, version uint64, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byteOf(key, version, int64(i))
	}
	return b
}

func headOf(key, version uint64, size int64) []byte {
	return fmt.Appendf(nil, "%d %d %d", key, version, size)
}

// put stores one object.
func put(s *Store, key, version uint64, size int) error {
	f, err := s.Begin(keyOf(key), headOf(key, version, int64(size)), int64(size))
	if err != nil {
		return err
	}
	if _, err := f.Write(bodyOf(key, version, size)); err != nil {
		f.Abort()
		return err
	}
	return f.Commit()
}

func mustPut(t testing.TB, s *Store, key, version uint64, size int) {
	t.Helper()
	if err := put(s, key, version, size); err != nil {
		t.Fatal(err)
	}
}

// check holds an object against its own head, byte by byte, and returns what that says.
func check(r Ref) (key, version uint64, err error) {
	var size int64
	if _, err := fmt.Sscanf(string(r.Head()), "%d %d %d", &key, &version, &size); err != nil {
		return 0, 0, fmt.Errorf("head %q: %w", r.Head(), err)
	}
	if r.Key() != keyOf(key) {
		return 0, 0, fmt.Errorf("head %q under another's key", r.Head())
	}
	filling, _ := r.Filling()
	if n := r.Size(); !filling && n != size {
		return 0, 0, fmt.Errorf("head %q: the body has %d bytes", r.Head(), n)
	}
	return key, version, checkBody(r, key, version, r.Size())
}

func checkBody(r Ref, key, version uint64, size int64) error {
	for off := int64(0); off < size; {
		c := r.Chunk(off)
		if len(c) == 0 {
			return fmt.Errorf("head %q: no chunk at %d of %d", r.Head(), off, size)
		}
		for i, b := range c {
			if b != byteOf(key, version, off+int64(i)) {
				return fmt.Errorf("head %q: wrong byte at %d of %d", r.Head(), off+int64(i), size)
			}
		}
		off += int64(len(c))
	}
	return nil
}

// empty fails the test unless nothing at all is left in use.
func empty(t testing.TB, s *Store) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.arena.check(t)
	if n := s.arena.used(); n != 0 {
		t.Errorf("%d granules of the arena are still in use", n)
	}
	used := 0
	for _, p := range s.slots.pages {
		used += int(p.used)
	}
	if used != 0 || s.index.count != 0 || s.filling.Load() != 0 || s.fills.Load() != 0 {
		t.Errorf("%d slots, %d entries, %d granules of %d fills are still in use", used, s.index.count, s.filling.Load(), s.fills.Load())
	}
}

func clearAll(s *Store) {
	for next := uint32(0); ; {
		if next = s.Walk(next, 1000, func(r Ref) bool { s.Drop(r); return true }); next == 0 {
			return
		}
	}
}

func TestPutAndGet(t *testing.T) {
	s := open(t, Options{})
	sizes := []int{0, 1, 63, 64, 65, 1000, 1024, 4096, 5000, 100_000, 300_000, 1_000_000}
	for i, n := range sizes {
		mustPut(t, s, uint64(i), 1, n)
	}
	for i, n := range sizes {
		r, ok := s.Get(keyOf(uint64(i)))
		if !ok {
			t.Fatalf("object %d of %d bytes is not there", i, n)
		}
		if _, _, err := check(r); err != nil {
			t.Error(err)
		}
		if r.Hits() != 1 || r.Size() != int64(n) || !r.Current() {
			t.Errorf("object %d: %d hits, %d bytes, current %v", i, r.Hits(), r.Size(), r.Current())
		}
		if c := r.Chunk(int64(n)); c != nil {
			t.Errorf("object %d: a chunk behind its end: %d bytes", i, len(c))
		}
		r.SetChecked(7)
		r.SetAccess(9)
		if r.Checked() != 7 || r.Access() != 9 {
			t.Errorf("checked %d, access %d", r.Checked(), r.Access())
		}
		r.Release()
	}
	if _, ok := s.Get(keyOf(999)); ok {
		t.Error("found what was never stored")
	}
	st := s.Stats()
	if st.Objects != int64(len(sizes)) || st.Hits != uint64(len(sizes)) || st.Misses != 1 || st.Fills != 0 {
		t.Errorf("stats: %+v", st)
	}
	clearAll(s)
	empty(t, s)
}

func TestFillInPieces(t *testing.T) {
	for _, hint := range []int64{-1, 10, 700_000, 1_500_000} {
		s := open(t, Options{Memory: 16 << 20})
		const size = 700_000
		f, err := s.Begin(keyOf(1), headOf(1, 1, size), hint)
		if err != nil {
			t.Fatal(err)
		}
		along, ok := f.Ref()
		if !ok {
			t.Fatal("no reader could join")
		}
		body := bodyOf(1, 1, size)
		for off := 0; off < size; {
			n := min(1+off%5000, size-off)
			if _, err := f.Write(body[off : off+n]); err != nil {
				t.Fatal(err)
			}
			off += n
			if along.Size() != int64(off) {
				t.Fatalf("%d bytes published of %d", along.Size(), off)
			}
			if c := along.Chunk(int64(off - 1)); len(c) != 1 || c[0] != body[off-1] {
				t.Fatalf("the byte at %d cannot be read along", off-1)
			}
		}
		if _, ok := s.Get(keyOf(1)); ok {
			t.Error("found before Commit")
		}
		if filling, failed := along.Filling(); !filling || failed {
			t.Errorf("filling %v, failed %v before Commit", filling, failed)
		}
		if err := f.Commit(); err != nil {
			t.Fatal(err)
		}
		if filling, failed := along.Filling(); filling || failed {
			t.Errorf("filling %v, failed %v after Commit", filling, failed)
		}
		if _, ok := f.Ref(); ok {
			t.Error("a reader joined after Commit")
		}
		if err := f.Commit(); !errors.Is(err, ErrClosed) {
			t.Errorf("second Commit: %v", err)
		}
		f.Abort()
		if _, _, err := check(along); err != nil {
			t.Error(err)
		}
		if got, want := s.arena.used(), int64(granules(size)); got > want+want/20 {
			t.Errorf("hint %d: %d granules for a body of %d", hint, got, want)
		}
		along.Release()
		clearAll(s)
		empty(t, s)
	}
}

func TestSpaceAndAdvance(t *testing.T) {
	s := open(t, Options{MaxObject: 100_000})
	f, err := s.Begin(keyOf(1), headOf(1, 1, 100_000), -1)
	if err != nil {
		t.Fatal(err)
	}
	body := bodyOf(1, 1, 100_000)
	for off := 0; ; {
		p, err := f.Space()
		if off == len(body) {
			if !errors.Is(err, ErrTooLarge) {
				t.Fatalf("space behind the largest object: %d bytes, %v", len(p), err)
			}
			break
		}
		if err != nil || len(p) == 0 {
			t.Fatalf("at %d: %d bytes, %v", off, len(p), err)
		}
		n := copy(p, body[off:min(off+777, len(body))])
		f.Advance(n)
		off += n
	}
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	r, ok := s.Get(keyOf(1))
	if !ok {
		t.Fatal("not there")
	}
	if _, _, err := check(r); err != nil {
		t.Error(err)
	}
	r.Release()
	clearAll(s)
	empty(t, s)
}

func TestAbortedFillLivesWithItsReaders(t *testing.T) {
	s := open(t, Options{})
	f, err := s.Begin(keyOf(1), headOf(1, 1, 9), -1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(bodyOf(1, 1, 5000)); err != nil {
		t.Fatal(err)
	}
	r, _ := f.Ref()
	f.Abort()
	if _, failed := r.Filling(); !failed {
		t.Error("a reader is not told that the fill failed")
	}
	if err := checkBody(r, 1, 1, 5000); err != nil {
		t.Error(err)
	}
	if _, ok := s.Get(keyOf(1)); ok {
		t.Error("an aborted object can be found")
	}
	if s.arena.used() == 0 {
		t.Error("the memory is gone before the reader is")
	}
	r.Release()
	empty(t, s)
}

func TestReplaceAndDelete(t *testing.T) {
	s := open(t, Options{})
	mustPut(t, s, 1, 1, 3000)
	old, _ := s.Get(keyOf(1))
	mustPut(t, s, 1, 2, 2000)
	if old.Current() {
		t.Error("the replaced object says that it is current")
	}
	now, _ := s.Get(keyOf(1))
	for i, r := range []Ref{old, now} {
		if _, v, err := check(r); err != nil || v != uint64(i+1) {
			t.Errorf("version %d: %v", v, err)
		}
	}
	if s.Drop(old) {
		t.Error("dropped what was replaced already")
	}
	if !s.Drop(now) || s.Delete(keyOf(1)) {
		t.Error("Drop did not remove the object")
	}
	if _, ok := s.Get(keyOf(1)); ok {
		t.Error("found after Drop")
	}
	old.Release()
	now.Release()
	empty(t, s)
}

// TestRevoked: who revokes an object that is coming in and deletes its key after that leaves nothing there.
func TestRevoked(t *testing.T) {
	s := open(t, Options{})
	var revoked atomic.Bool
	commit := func() error {
		f, err := s.Begin(keyOf(1), headOf(1, 1, 0), 0)
		if err != nil {
			t.Fatal(err)
		}
		f.Unless(&revoked)
		return f.Commit()
	}
	if err := commit(); err != nil {
		t.Error(err)
	}
	revoked.Store(true)
	if err := commit(); err != ErrRevoked {
		t.Errorf("committed: %v", err)
	}
	if !s.Delete(keyOf(1)) {
		t.Error("what was there before has gone")
	}
	empty(t, s)
	for range 2000 { // at once
		revoked.Store(false)
		var both sync.WaitGroup
		both.Go(func() { _ = commit() })
		both.Go(func() { revoked.Store(true); s.Delete(keyOf(1)) })
		both.Wait()
		if r, ok := s.Get(keyOf(1)); ok {
			r.Release()
			t.Fatal("it is there")
		}
	}
	empty(t, s)
}

func TestReplaceHead(t *testing.T) {
	s := open(t, Options{})
	mustPut(t, s, 1, 1, 300_000)
	first, _ := s.Get(keyOf(1))
	first.SetChecked(5)
	used := s.arena.used()
	for i := range 50 {
		r, _ := s.Get(keyOf(1))
		if err := s.ReplaceHead(r, fmt.Appendf(headOf(1, 1, 300_000), " freshened %d", i)); err != nil {
			t.Fatal(err)
		}
		if r.Current() {
			t.Error("the object with the old head says that it is current")
		}
		r.Release()
	}
	if now := s.arena.used(); now > used+2 {
		t.Errorf("%d granules before, %d after 50 new heads", used, now)
	}
	last, _ := s.Get(keyOf(1))
	if !bytes.HasSuffix(last.Head(), []byte("freshened 49")) || bytes.Contains(first.Head(), []byte("freshened")) {
		t.Errorf("heads %q and %q", first.Head(), last.Head())
	}
	if last.Checked() != 5 || last.Hits() < 50 {
		t.Errorf("checked %d, %d hits", last.Checked(), last.Hits())
	}
	if &first.Chunk(0)[0] != &last.Chunk(0)[0] {
		t.Error("the body was copied")
	}
	if err := s.ReplaceHead(first, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("replacing the head of a replaced object: %v", err)
	}
	first.Release()
	if _, _, err := check(last); err != nil {
		t.Error(err)
	}
	s.Delete(keyOf(1))
	if err := s.ReplaceHead(last, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("replacing the head of a deleted object: %v", err)
	}
	last.Release()
	empty(t, s)
}

func TestLimits(t *testing.T) {
	if _, err := Open(Options{Memory: 1000}); err == nil {
		t.Error("a store of 1000 bytes was opened")
	}
	s := open(t, Options{MaxObject: 10_000, MaxFills: 20_000})
	if _, err := s.Begin(keyOf(1), nil, 10_001); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a size beyond the largest object: %v", err)
	}
	if _, err := s.Begin(keyOf(1), make([]byte, MaxHead+1), 1); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a head beyond MaxHead: %v", err)
	}
	var fills []*Fill
	for i := range uint64(3) {
		f, err := s.Begin(keyOf(i), nil, -1)
		if err != nil {
			t.Fatal(err)
		}
		fills = append(fills, f)
		if n, err := f.Write(make([]byte, 10_001)); n != 0 || !errors.Is(err, ErrTooLarge) {
			t.Errorf("writing beyond the largest object: %d, %v", n, err)
		}
		_, err = f.Write(make([]byte, 9_000))
		if full := errors.Is(err, ErrFull); full != (i == 2) {
			t.Errorf("fill %d: %v", i, err)
		}
	}
	for _, f := range fills {
		f.Abort()
		if _, err := f.Write([]byte("x")); !errors.Is(err, ErrClosed) {
			t.Errorf("writing after Abort: %v", err)
		}
		if _, err := f.Space(); !errors.Is(err, ErrClosed) {
			t.Errorf("space after Abort: %v", err)
		}
	}
	empty(t, s)
}

func TestReleasedTooOften(t *testing.T) {
	s := open(t, Options{})
	f, err := s.Begin(keyOf(1), nil, -1)
	if err != nil {
		t.Fatal(err)
	}
	r, _ := f.Ref()
	f.Abort()
	r.Release()
	defer func() {
		if recover() == nil {
			t.Error("a second Release went unnoticed")
		}
	}()
	r.Release()
}

// TestPinnedSurviveEviction: whatever comes in, what is read stays as it is.
func TestPinnedSurviveEviction(t *testing.T) {
	s := open(t, Options{})
	var pinned []Ref
	for i := range uint64(50) {
		mustPut(t, s, i, 1, 10_000)
		r, ok := s.Get(keyOf(i))
		if !ok {
			t.Fatal("not there")
		}
		pinned = append(pinned, r)
	}
	for i := range uint64(5000) {
		if err := put(s, 100+i, 1, 8000); err != nil {
			t.Fatal(err)
		}
	}
	if s.Stats().Evictions == 0 {
		t.Error("nothing was evicted")
	}
	for _, r := range pinned {
		if _, _, err := check(r); err != nil {
			t.Error(err)
		}
		r.Release()
	}
	clearAll(s)
	empty(t, s)
}

// TestModel holds the store against a map under random operations, with room for all.
func TestModel(t *testing.T) { runModel(t, Options{Memory: 64 << 20}, 1, 30_000, 300, 20_000, true) }

// TestModelUnderPressure does so with too little memory: then an object may be missing, never wrong.
func TestModelUnderPressure(t *testing.T) {
	runModel(t, Options{Memory: MinMemory}, 2, 30_000, 3000, 60_000, false)
}

type want struct {
	version uint64
	size    int
}

func runModel(t *testing.T, o Options, seed uint64, rounds, keys, sizes int, all bool) {
	s := open(t, o)
	rng := rand.New(rand.NewPCG(seed, 9))
	model := map[uint64]want{}
	type held struct {
		r   Ref
		key uint64
		w   want
	}
	var pins []held
	version := uint64(0)
	for round := range rounds {
		key := rng.Uint64N(uint64(keys))
		switch op := rng.IntN(100); {
		case op < 40:
			version++
			size := rng.IntN(sizes) >> rng.IntN(10)
			err := put(s, key, version, size)
			if err == nil {
				model[key] = want{version, size}
			} else if all || !errors.Is(err, ErrFull) {
				t.Fatal(err)
			}
		case op < 45:
			_, known := model[key]
			if s.Delete(keyOf(key)) != known && all {
				t.Fatalf("round %d: deleting %d, which is there: %v", round, key, known)
			}
			delete(model, key)
		case op < 50 && len(pins) > 0:
			p := pins[len(pins)-1]
			pins = pins[:len(pins)-1]
			if _, v, err := check(p.r); err != nil || v != p.w.version {
				t.Fatalf("round %d: pinned version %d of %d is %d: %v", round, p.w.version, p.key, v, err)
			}
			p.r.Release()
		default:
			r, ok := s.Get(keyOf(key))
			w, known := model[key]
			if ok != known && (ok || all) {
				t.Fatalf("round %d: found %v, known %v", round, ok, known)
			}
			if !ok {
				continue
			}
			if _, v, err := check(r); err != nil || v != w.version {
				t.Fatalf("round %d: version %d, not %d: %v", round, v, w.version, err)
			}
			if op < 55 {
				if err := s.ReplaceHead(r, headOf(key, w.version, int64(w.size))); err != nil && (all || !errors.Is(err, ErrFull) && !errors.Is(err, ErrClosed)) {
					t.Fatal(err)
				}
			}
			if op > 95 {
				pins = append(pins, held{r, key, w})
			} else {
				r.Release()
			}
		}
	}
	if st := s.Stats(); all && st.Objects != int64(len(model)) || !all && st.Evictions == 0 {
		t.Errorf("%d objects, %d known, %d evictions", st.Objects, len(model), st.Evictions)
	}
	for _, p := range pins {
		p.r.Release()
	}
	clearAll(s)
	empty(t, s)
}

// TestManyAtOnce: writers, readers, those who read along, deletions and evictions on several goroutines; every byte
// that anyone sees is held against its key and version.
func TestManyAtOnce(t *testing.T) {
	s := open(t, Options{Memory: MinMemory})
	const keys, workers, rounds = 400, 6, 1500
	var wg sync.WaitGroup
	for w := range uint64(workers) {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(w, 5))
			for i := range uint64(rounds) {
				key := rng.Uint64N(keys)
				switch op := rng.IntN(10); {
				case op < 3:
					if err := fillWithReaders(s, key, w<<32|i, rng.IntN(100_000)>>rng.IntN(8), rng.IntN(4) == 0); err != nil {
						t.Error(err)
						return
					}
				case op < 4:
					s.Delete(keyOf(key))
				default:
					r, ok := s.Get(keyOf(key))
					if !ok {
						continue
					}
					if got, _, err := check(r); err != nil || got != key {
						t.Errorf("asked for %d, got %d: %v", key, got, err)
					}
					if op == 4 {
						if err := s.ReplaceHead(r, append([]byte(nil), r.Head()...)); err != nil && !errors.Is(err, ErrClosed) && !errors.Is(err, ErrFull) {
							t.Error(err)
						}
					}
					r.Release()
				}
			}
		})
	}
	wg.Wait()
	clearAll(s)
	empty(t, s)
}

func fillWithReaders(s *Store, key, version uint64, size int, abort bool) error {
	f, err := s.Begin(keyOf(key), headOf(key, version, int64(size)), -1)
	if errors.Is(err, ErrFull) {
		return nil
	}
	if err != nil {
		return err
	}
	along, _ := f.Ref()
	failed := make(chan error, 1)
	go func() {
		filling, err := true, error(nil)
		for filling && err == nil {
			filling, _ = along.Filling()
			err = checkBody(along, key, version, along.Size())
		}
		along.Release() // before anybody hears of it, who may go on to look whether all is released
		failed <- err
	}()
	body := bodyOf(key, version, size)
	for len(body) > 0 && err == nil {
		n := min(len(body), 7000)
		_, err = f.Write(body[:n])
		body = body[n:]
	}
	if abort || err != nil {
		f.Abort()
	} else if err := f.Commit(); err != nil && !errors.Is(err, ErrFull) {
		return errors.Join(err, <-failed)
	}
	return <-failed
}

func TestWalk(t *testing.T) {
	s := open(t, Options{})
	for i := range uint64(2000) {
		mustPut(t, s, i, 1, 100)
	}
	seen := map[Key]int{}
	for next := uint32(0); ; {
		next = s.Walk(next, 300, func(r Ref) bool {
			seen[r.Key()]++
			return true
		})
		if next == 0 {
			break
		}
	}
	if len(seen) != 2000 {
		t.Errorf("saw %d objects", len(seen))
	}
	calls := 0
	if next := s.Walk(0, 1000, func(Ref) bool { calls++; return false }); next != 0 || calls != 1 {
		t.Errorf("after false: %d calls, on at %d", calls, next)
	}
}
