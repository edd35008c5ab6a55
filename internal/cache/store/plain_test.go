//go:build !race

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

// What is here fills the memory over and over from one goroutine: the race detector would find nothing, and takes
// twenty times as long. `make unit` runs it without.

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
	if runtime.GOOS != "linux" {
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
