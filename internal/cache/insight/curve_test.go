package insight

import (
	"math"
	"math/rand/v2"
	"testing"
)

// check holds the small caches against the list of objects.
func (c *Curve) check(tb testing.TB) {
	tb.Helper()
	var used [len(Factors)]uint64
	var count [len(Factors)]int
	for hash, slot := range c.slots {
		e := &c.entries[slot]
		if e.hash != hash || e.in == 0 || !c.Takes(hash) {
			tb.Fatalf("slot %d: %+v", slot, *e)
		}
		for i := range c.minis {
			if e.in>>i&1 == 1 {
				used[i] += uint64(max(e.size, 1))
				count[i]++
			}
		}
	}
	for i := range c.minis {
		if p := c.minis[i].policy; p.Used() != used[i] || p.Len() != count[i] || p.Used() > c.minis[i].room {
			tb.Fatalf("cache %d: %d in %d objects, of %d; should be %d in %d", i, p.Used(), p.Len(), c.minis[i].room, used[i], count[i])
		}
	}
	if len(c.slots)+len(c.free)+1 != len(c.entries) || len(c.slots) > c.objects {
		tb.Fatalf("%d objects, %d free, %d entries", len(c.slots), len(c.free), len(c.entries))
	}
}

// TestCurveBounded: however many keys there are, and whatever becomes of the budget, the simulation stays small and whole.
func TestCurveBounded(t *testing.T) {
	c := NewCurve(64<<20, 500)
	r := rand.New(rand.NewPCG(1, 2))
	now := uint32(0)
	for i := range 400_000 {
		n := r.Uint64N(1 << r.Uint64N(20))
		c.Count(1)
		c.Access(&Access{Hash: hashOf(n), Size: uint32(n % 40), Now: now, Until: now + uint32(n%7), Hit: n%3 == 0, Gone: n%11 == 0})
		if i%100 == 0 {
			now++
		}
		if i%5000 == 0 {
			c.Resize(8<<20 + int64(r.Uint64N(64<<20)))
			c.check(t)
		}
	}
	c.check(t)
	list, n := c.Estimates()
	if len(list) != len(Factors) || n == 0 {
		t.Fatalf("%v of %v", list, n)
	}
	for _, e := range list {
		if math.IsNaN(e.Ratio) || e.Ratio < 0 || e.Ratio > 1 {
			t.Errorf("%+v", e)
		}
	}
	if c.Rate() >= 1.0/(1<<firstHalves) {
		t.Errorf("one key in %v", 1/c.Rate())
	}
}

// TestCurveLife: what is over is fetched anew in all of them; what the real cache had is a hit in those that hold it; what
// cannot be kept is a miss.
func TestCurveLife(t *testing.T) {
	c := NewCurve(1<<30, 1000)
	hash := uint64(1) // in every sample
	ratio := func() float64 { list, _ := c.Estimates(); return list[1].Ratio }
	step := func(what string, a Access, want float64) {
		t.Helper()
		before := c.minis[1].hits
		a.Hash = hash
		c.Access(&a)
		if got := (c.minis[1].hits - before) * c.Rate(); got != want {
			t.Errorf("%s: %v hits", what, got)
		}
	}
	c.Count(64)
	step("not kept", Access{Now: 1}, 0)
	step("first", Access{Size: 5, Now: 1, Until: 10}, 0)
	step("fresh", Access{Size: 5, Now: 2, Until: 10, Hit: true}, 1)
	step("not in the real one", Access{Size: 5, Now: 3, Until: 12}, 1)
	step("over", Access{Size: 5, Now: 10, Until: 20}, 0)
	step("fresh again", Access{Size: 5, Now: 11, Until: 20}, 1)
	step("purged", Access{Size: 5, Now: 12, Until: 30, Gone: true}, 0)
	step("over, but validated", Access{Size: 5, Now: 40, Until: 50, Hit: true}, 1)
	if r := ratio(); r < 0.5 || r > 1 {
		t.Errorf("a hit ratio of %v", r)
	}
	if list, _ := NewCurve(1<<20, 10).Estimates(); list != nil {
		t.Errorf("%v of nothing", list)
	}
}

func BenchmarkCurve(b *testing.B) {
	c := NewCurve(1<<30, 8192)
	r := rand.New(rand.NewPCG(1, 2))
	z := rand.NewZipf(r, 1.1, 1, 1<<20)
	keys := make([]uint64, 1<<16)
	for i := range keys {
		keys[i] = hashOf(z.Uint64())
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ { // all requests, in the sample or not
		k := keys[i%len(keys)]
		c.Count(1)
		if c.Takes(k) {
			c.Access(&Access{Hash: k, Size: 40, Until: math.MaxUint32})
		}
	}
}
