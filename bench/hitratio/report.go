package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// measure replays the traces, some times each, and returns a table for each.
func measure(s shape, first uint64, seeds int, only, which []string) string {
	var b strings.Builder
	for _, w := range traces {
		if !chosen(only, w.name) {
			continue
		}
		all := make([][]result, len(policies))
		about, capacity := "", uint64(0)
		for seed := range uint64(seeds) {
			t := w.make(s, newRand(first+seed))
			about, capacity = t.about, t.capacity
			for i, p := range policies {
				if chosen(which, p.name) {
					all[i] = append(all[i], replay(t, p.make(t)))
					r := all[i][seed]
					fmt.Fprintf(os.Stderr, "%s, seed %d: %s %.4f %.4f\n", w.name, first+seed, p.name, r.objects, r.bytes)
				}
			}
		}
		table(&b, w.name, about, capacity, all)
	}
	return b.String()
}

func table(b *strings.Builder, name, about string, capacity uint64, all [][]result) {
	fmt.Fprintf(b, "\n## %s\n\n%s. The cache has about %d MiB.\n\n", name, about, capacity>>20)
	fmt.Fprintf(b, "| | objects %% | lowest to highest | bytes %% | weir's objects beyond it |\n|---|---|---|---|---|\n")
	for i, p := range policies {
		if len(all[i]) == 0 {
			continue
		}
		o, low, high := spread(all[i], func(r result) float64 { return r.objects })
		bytes, _, _ := spread(all[i], func(r result) float64 { return r.bytes })
		beyond := ""
		if i > 0 && len(all[0]) > 0 {
			weir, _, _ := spread(all[0], func(r result) float64 { return r.objects })
			beyond = fmt.Sprintf("%+.2f", 100*(weir-o))
		}
		fmt.Fprintf(b, "| %s | %.2f | %.2f to %.2f | %.2f | %s |\n", p.name, 100*o, 100*low, 100*high, 100*bytes, beyond)
	}
}

// spread returns the median, the lowest and the highest.
func spread(results []result, of func(result) float64) (median, low, high float64) {
	var v []float64
	for _, r := range results {
		v = append(v, of(r))
	}
	slices.Sort(v)
	return v[len(v)/2], v[0], v[len(v)-1]
}
