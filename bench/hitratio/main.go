// Command hitratio replays made-up traces against weir's eviction policy and others of the same size in bytes, and
// writes what each of them would have answered from the cache.
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
)

// policies are the caches that are compared; the first is weir's.
var policies = []struct {
	name string
	make func(t *trace) cache
}{
	{"weir", func(t *trace) cache { return newWeir(t) }},
	{"LRU", func(t *trace) cache { return newRecency(t, true) }},
	{"FIFO", func(t *trace) cache { return newRecency(t, false) }},
	{"W-TinyLFU", func(t *trace) cache { return newTinyLFU(t, 1, false) }},
	{"W-TinyLFU, sums", func(t *trace) cache { return newTinyLFU(t, 1, true) }},
	{"W-TinyLFU, sums, window 20 %", func(t *trace) cache { return newTinyLFU(t, 20, true) }},
	{"SIEVE", func(t *trace) cache { return newSieve(t) }},
	{"S3-FIFO", func(t *trace) cache { return newS3FIFO(t) }},
	{"GDSF", func(t *trace) cache { return newGDSF(t) }},
	{"fixed, all known", func(t *trace) cache { return newOracle(t) }},
}

// result is what one cache made of one trace: ratios of requests and of bytes.
type result struct{ objects, bytes float64 }

func replay(t *trace, c cache) result {
	var hits, hitBytes, bytes uint64
	for _, o := range t.requests {
		size := uint64(t.sizes[o])
		bytes += size
		if c.access(o, size+overhead) {
			hits++
			hitBytes += size
		}
	}
	return result{float64(hits) / float64(len(t.requests)), float64(hitBytes) / float64(bytes)}
}

func main() {
	seeds := flag.Int("seeds", 3, "how many seeds to make each trace from")
	first := flag.Uint64("first", 1, "the first seed")
	var s shape
	flag.IntVar(&s.objects, "objects", full.objects, "objects in a trace")
	flag.IntVar(&s.requests, "requests", full.requests, "requests in a trace")
	out := flag.String("out", "", "file to write, instead of standard output")
	only := flag.String("traces", "", "names of traces, separated by commas")
	which := flag.String("policies", "", "names of policies, separated by semicolons")
	flag.Parse()
	report := measure(s, *first, *seeds, strings.Split(*only, ","), strings.Split(*which, ";"))
	if *out == "" {
		fmt.Print(report)
		return
	}
	if err := os.WriteFile(*out, []byte(report), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "hitratio: writing the report:", err)
		os.Exit(1)
	}
}

func chosen(names []string, name string) bool { return names[0] == "" || slices.Contains(names, name) }
