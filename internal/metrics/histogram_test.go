package metrics

import (
	"encoding/json"
	"math/rand/v2"
	"testing"
	"time"
)

// TestBuckets: what is counted is where the bounds say, at each bound and at its neighbours.
func TestBuckets(t *testing.T) {
	check := func(d time.Duration) {
		t.Helper()
		i := bucket(d)
		// The bounds are powers of the eighth root of two, cut to nanoseconds, and thresholds have 32 bits: a billionth is neither here nor there.
		off := 1 + d/1e9
		if i > 0 && d+off < bounds[i-1] || i < NumBuckets-1 && d > bounds[i]+off {
			t.Fatalf("%d ns is in bucket %d, which ends at %d after %d", d, i, bounds[i], bounds[max(i-1, 0)])
		}
	}
	for _, b := range bounds {
		for d := b - 2; d <= b+2; d++ {
			check(d)
		}
	}
	for range 1_000_000 {
		check(time.Duration(rand.Uint64() >> (1 + rand.IntN(63))))
	}
	check(0)
	if bucket(-time.Second) != 0 {
		t.Error("a negative duration is not in the first bucket")
	}
	if Bound(-FirstExponent) != time.Second {
		t.Errorf("bucket %d ends at %v, not at a second", -FirstExponent, Bound(-FirstExponent))
	}
}

// TestQuantiles: they are at most 9 % off.
func TestQuantiles(t *testing.T) {
	var h Histogram
	for i := 1; i <= 100_000; i++ {
		h.Observe(time.Duration(i) * 10 * time.Microsecond)
	}
	for _, q := range []float64{0.01, 0.5, 0.9, 0.99, 1} {
		got, want := h.Quantile(q), time.Duration(q*1e5)*10*time.Microsecond
		if got < want*91/100 || got > want*109/100 {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	if h.Count() != 100_000 {
		t.Errorf("counted %d", h.Count())
	}
	if got := (&Histogram{}).Quantile(0.5); got != 0 {
		t.Errorf("an empty one has the median %v", got)
	}
}

// TestArithmetic: parts add up, and what was added can be told apart again.
func TestArithmetic(t *testing.T) {
	var a, b Histogram
	a.Observe(time.Millisecond)
	b.Observe(time.Second)
	b.Observe(2 * time.Hour)
	sum := a
	sum.Add(&b)
	if d := sum.Since(&a); d != b {
		t.Errorf("got %v, want %v", d, b)
	}
}

// TestJSON: it comes back as it was, and what nobody wrote is refused.
func TestJSON(t *testing.T) {
	var full Histogram
	full.Observe(0)
	full.Observe(24 * time.Hour)
	var some Histogram
	some.Observe(3 * time.Millisecond)
	for _, h := range []Histogram{{}, full, some} {
		text, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		var back Histogram
		if err := json.Unmarshal(text, &back); err != nil || back != h {
			t.Errorf("%s came back as %v, %v", text, back, err)
		}
	}
	for _, text := range []string{`""`, `"1"`, `"1 "`, `"1 202"`, `"1 200 1 2"`, `"1 2 -1"`, `"1 2  3"`, `"1 2 3 "`, `" 1 2"`, `"x"`, `"99999999999999999999 0"`, `[]`, `7`, `null`, `"1 2`} {
		var h Histogram
		if err := json.Unmarshal([]byte(text), &h); err == nil {
			t.Errorf("%s was taken", text)
		}
	}
}

func TestObserveAllocatesNothing(t *testing.T) {
	var h Histogram
	d := time.Microsecond
	if n := testing.AllocsPerRun(1000, func() { h.Observe(d); d += 77 * time.Microsecond }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkObserve(b *testing.B) {
	b.ReportAllocs()
	var h Histogram
	for i := 0; b.Loop(); i++ {
		h.Observe(time.Duration(i&0xfffff) * 100)
	}
}

func FuzzUnmarshal(f *testing.F) {
	f.Add([]byte(`"12 3 1 2 3"`))
	f.Add([]byte(`""`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var h, back Histogram
		if h.UnmarshalJSON(text) != nil {
			return
		}
		again, err := h.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if err := back.UnmarshalJSON(again); err != nil || back != h {
			t.Fatalf("%q became %q: %v", text, again, err)
		}
	})
}
