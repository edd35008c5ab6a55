// Command cache measures weir's cache by itself: what an object costs in memory, how long anything has to wait while the
// store is filled at full rate, how near the process stays to its budget, and how long a purge by tag takes. It writes what
// it saw as a section of docs/benchmarks.md.
//
// It is a tool for people at this repository's root; nothing of it is part of weir. The figures of a comparison with other
// proxies are bench/peers', those of eviction policies bench/hitratio's.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/weirhq/weir/bench/section"
)

type options struct {
	objects  int    // in the store
	budget   int64  // of the process that is filled beyond it
	tagged   int    // objects that one purge takes out
	weir     string // the binary
	out      string // the page to write into
	hitratio string // a table to put behind the figures
}

func main() {
	var o options
	flag.IntVar(&o.objects, "objects", 1_000_000, "objects of 1 KiB to fill the store with")
	flag.Int64Var(&o.budget, "budget", 128, "MiB of cache.memory of the process that is filled beyond it")
	flag.IntVar(&o.tagged, "tagged", 100_000, "objects with one tag that are purged")
	flag.StringVar(&o.weir, "weir", "bin/weir", "the weir to run")
	flag.StringVar(&o.out, "out", "", "page to write into (docs/benchmarks.md), instead of standard output")
	flag.StringVar(&o.hitratio, "hitratio", "", "what bench/hitratio wrote, to go with it")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "cache:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	filled, err := fillStore(o.objects)
	if err != nil {
		return fmt.Errorf("filling the store: %w", err)
	}
	served, err := fillEdge(ctx, o)
	if err != nil {
		return fmt.Errorf("filling a running weir: %w", err)
	}
	var ratios []byte
	if o.hitratio != "" {
		if ratios, err = os.ReadFile(o.hitratio); err != nil {
			return err
		}
	}
	text := report(o, filled, served, string(ratios))
	if len(ratios) > 0 {
		text += hitRatios(string(ratios))
	}
	if o.out == "" {
		fmt.Print(text)
		return nil
	}
	return section.Put(o.out, text)
}
