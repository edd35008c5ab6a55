package store

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
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

// TestSizesChange: whatever sizes the objects had before, the memory serves those that come now.
func TestSizesChange(t *testing.T) {
	s := open(t, Options{Memory: 64 << 20})
	rng := rand.New(rand.NewPCG(1, 1))
	phases := []struct {
		name string
		size func() int
	}{
		{"large", func() int { return 500_000 }},
		{"small", func() int { return 600 + rng.IntN(900) }},
		{"mixed", func() int { return min(logNormal(rng), 1<<20) }},
		{"tiny", func() int { return rng.IntN(200) }},
		{"large again", func() int { return 200_000 }},
	}
	for _, p := range phases {
		churn(t, s, rng, 200<<20, p.size)
		if f := fullness(s); f < 0.85 {
			st := s.Stats()
			t.Errorf("%s: heads and bodies have %.0f %% of the memory: %+v, slots %d of %d free", p.name, f*100, st, s.slots.free, s.slots.live*pageSlots)
		}
	}
	clearAll(s)
	empty(t, s)
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

// TestNothingRefused: whatever lies together in steps that are being emptied, there is room for the next object.
func TestNothingRefused(t *testing.T) {
	head, body := make([]byte, 230), make([]byte, 1024)
	for n := uint64(20_000); n <= 60_000; n += 10_000 {
		s := open(t, Options{Memory: int64(n) * 1504})
		for i := range 3 * n {
			if err := raw(s, keyOf(i), head, body); err != nil {
				t.Fatalf("%d objects: number %d: %v", n, i, err)
			}
			if r, ok := s.Get(keyOf(i * 0x9e3779b97f4a7c15 >> 16 % (i + 1))); ok {
				r.Release()
			}
		}
		clearAll(s)
		empty(t, s)
	}
}

// TestOverhead: an object of 1 KiB costs at most 250 bytes beside its head and its body, all told.
func TestOverhead(t *testing.T) {
	s := open(t, Options{Memory: 256 << 20})
	const n = 100_000
	head, body := make([]byte, 230), make([]byte, 1024)
	for i := range uint64(n) {
		if err := raw(s, keyOf(i), head, body); err != nil {
			t.Fatal(err)
		}
	}
	st := s.Stats()
	if st.Objects != n {
		t.Fatalf("%d objects", st.Objects)
	}
	if over := float64(st.Resident)/n - 1024 - 230; over > 250 {
		t.Errorf("%.0f bytes of overhead for each object", over)
	} else {
		t.Logf("%.0f bytes of overhead for each object", over)
	}
}

// TestNothingAllocated: looking up and delivering allocates nothing.
func TestNothingAllocated(t *testing.T) {
	if raceEnabled {
		t.Log("the race detector allocates by itself: nothing to count")
		return
	}
	s := open(t, Options{})
	mustPut(t, s, 1, 1, 300_000)
	key, sum := keyOf(1), 0
	if n := testing.AllocsPerRun(100, func() {
		r, ok := s.Get(key)
		if !ok {
			t.Fatal("not there")
		}
		sum += len(r.Head())
		r.SetChecked(r.Checked() + 1)
		r.SetAccess(uint32(sum))
		for off := int64(0); off < r.Size(); {
			c := r.Chunk(off)
			off += int64(len(c))
		}
		r.Release()
	}); n != 0 {
		t.Errorf("%v allocations for one look-up", n)
	}
}

// TestResident: this process grows by what the store may hold, and by a tenth of it at most besides. A process of its
// own, because what other tests leave on Go's heap would be counted.
func TestResident(t *testing.T) {
	if raceEnabled || runtime.GOOS != "linux" {
		t.Log("the areas lie on Go's heap here: nothing to measure")
		return
	}
	const child = "STORE_TEST_RESIDENT"
	if os.Getenv(child) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestResident$", "-test.v")
		cmd.Env = append(os.Environ(), child+"=1")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "PASS: TestResident") {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	const memory = 128 << 20
	debug.FreeOSMemory()
	before := rss()
	s := open(t, Options{Memory: memory})
	rng := rand.New(rand.NewPCG(1, 1))
	for i, size := range []func() int{
		func() int { return 1024 },
		func() int { return min(logNormal(rng), 1<<20) },
		func() int { return rng.IntN(500) },
		func() int { return 300_000 },
	} {
		churn(t, s, rng, 300<<20, size)
		debug.FreeOSMemory()
		grown := rss() - before
		t.Logf("phase %d: resident memory grew by %.1f %% of the budget", i, float64(grown)/memory*100)
		if grown > memory*11/10 {
			t.Errorf("phase %d: resident memory grew by %d, the budget is %d", i, grown, memory)
		}
	}
}
