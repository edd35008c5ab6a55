package main

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestTimes(t *testing.T) {
	for ns := range uint64(1 << 16) {
		if i := step(ns); uint64(upTo(i)) < ns || float64(upTo(i)) > float64(ns)*17/16 {
			t.Fatalf("%d ns: step %d, up to %v", ns, i, upTo(i))
		}
	}
	var got times
	var all []time.Duration
	r := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		d := time.Duration(r.ExpFloat64() * 5000)
		got.add(d)
		all = append(all, d)
	}
	slices.Sort(all)
	for _, q := range []float64{0.5, 0.99, 0.999} {
		want := all[int(float64(len(all))*q)]
		if d := got.quantile(q); d < want || float64(d) > float64(want)*1.07 {
			t.Errorf("%v: %v, want %v", q, d, want)
		}
	}
	if got.quantile(1) != all[len(all)-1] {
		t.Errorf("the longest: %v, want %v", got.quantile(1), all[len(all)-1])
	}
}
