package store

import (
	"math/rand/v2"
	"testing"
)

// churn stores bodies of the sizes that size says, until so many bytes were offered.
func churn(t testing.TB, s *Store, rng *rand.Rand, total int64, size func() int) {
	t.Helper()
	body := make([]byte, 2<<20)
	for i := range body {
		body[i] = byte(i)
	}
	for total > 0 {
		n := size()
		total -= int64(n) + 200
		var k Key
		for i := range k {
			k[i] = byte(rng.Uint32())
		}
		if err := raw(s, k, body[:100+rng.IntN(300)], body[:n]); err != nil && err != ErrFull {
			t.Fatal(err)
		}
		if st := s.Stats(); total>>10%64 == 0 && st.Resident > st.Budget+stepBytes {
			t.Fatalf("the store holds %d of %d bytes", st.Resident, st.Budget)
		}
	}
}

// fullness is how much heads and bodies have of the memory that slots and index leave.
func fullness(s *Store) float64 {
	st := s.Stats()
	s.mu.Lock()
	defer s.mu.Unlock()
	return float64(st.Bytes) / float64(st.Budget-s.slots.resident()-s.index.resident())
}

// TestBudgetShrinks: a smaller budget is reached by going on, a larger one is used again.
func TestBudgetShrinks(t *testing.T) {
	s := open(t, Options{Memory: 48 << 20})
	rng := rand.New(rand.NewPCG(1, 1))
	size := func() int { return min(logNormal(rng), 1<<20) }
	churn(t, s, rng, 100<<20, size)
	pinned := 0
	s.Walk(1, 3, func(Ref) bool { pinned++; return true })
	s.Resize(Options{Memory: 16 << 20})
	for range 3000 {
		if err := put(s, rng.Uint64(), 1, 100); err != nil && err != ErrFull {
			t.Fatal(err)
		}
	}
	if st := s.Stats(); st.Resident > 16<<20 {
		t.Errorf("%d bytes are held after the budget became 16 MiB", st.Resident)
	}
	s.Resize(Options{Memory: 48 << 20})
	churn(t, s, rng, 100<<20, size)
	if f := fullness(s); f < 0.85 {
		t.Errorf("%.0f %% of the memory are in use after the budget grew again", f*100)
	}
	clearAll(s)
	empty(t, s)
}

// TestTend: a smaller budget is reached without anything coming in, but for what is being read.
func TestTend(t *testing.T) {
	s := open(t, Options{Memory: 48 << 20})
	rng := rand.New(rand.NewPCG(1, 1))
	churn(t, s, rng, 100<<20, func() int { return min(logNormal(rng), 1<<20) })
	s.Resize(Options{Memory: 16 << 20, MaxObject: 1000})
	calls := 0
	for ; !s.Tend(); calls++ {
		if calls > 100_000 {
			t.Fatalf("still %d bytes", s.Stats().Resident)
		}
	}
	if st := s.Stats(); st.Resident > 16<<20 || st.Bytes < 10<<20 {
		t.Errorf("%+v", st)
	}
	if err := put(s, 1, 1, 2000); err != ErrTooLarge {
		t.Errorf("what is too large now: %v", err)
	}
	clearAll(s)
	empty(t, s)
}

// TestTendPieces: what came without a length stands in pieces; a smaller budget does not take it away sooner than what does not.
func TestTendPieces(t *testing.T) {
	s := open(t, Options{Memory: 24 << 20})
	piece := make([]byte, 10_000)
	for i := uint64(0); i < 250; i += 5 {
		var fills [5]*Fill // at a time, so that none can grow where it is
		for j := range fills {
			f, err := s.Begin(keyOf(i+uint64(j)), nil, -1)
			if err != nil {
				t.Fatal(err)
			}
			fills[j] = f
		}
		for range 10 {
			for j, f := range fills {
				for k := range piece {
					piece[k] = byte(i + uint64(j))
				}
				if _, err := f.Write(piece); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, f := range fills {
			if err := f.Commit(); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.Resize(Options{Memory: 12 << 20})
	for calls := 0; !s.Tend(); calls++ {
		if calls > 100_000 {
			t.Fatalf("still %d bytes", s.Stats().Resident)
		}
	}
	st := s.Stats()
	if t.Logf("%+v", st); st.Resident > 12<<20 || st.Bytes < 7<<20 {
		t.Error("too much, or too little")
	}
	for i := range uint64(250) {
		r, ok := s.Get(keyOf(i))
		if !ok {
			continue
		}
		size := int64(0)
		for size < r.Size() {
			p := r.Chunk(size)
			for _, b := range p {
				if b != byte(i) {
					t.Fatalf("object %d has another's bytes at %d", i, size)
				}
			}
			size += int64(len(p))
		}
		if r.Release(); size != 100_000 {
			t.Errorf("object %d has %d bytes", i, size)
		}
	}
	clearAll(s)
	empty(t, s)
}
