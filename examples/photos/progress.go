package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// bar shows progress on a terminal, and is silent anywhere else. One goroutine uses it.
type bar struct {
	out         *os.File // nil: silent
	begun, last time.Time
}

func newBar(out *os.File) *bar {
	b := &bar{begun: time.Now()}
	if at, err := out.Stat(); err == nil && at.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb" {
		b.out = out
	}
	return b
}

// show draws the bar, at most ten times a second.
func (b *bar) show(what string, done, all int) {
	now := time.Now()
	if b.out == nil || all == 0 || now.Sub(b.last) < 100*time.Millisecond && done < all {
		return
	}
	b.last = now
	const width = 30
	full := done * width / all
	fmt.Fprintf(b.out, "\r%s%s %3d %%  %-24s %3.0f s ", strings.Repeat("█", full), strings.Repeat("░", width-full),
		done*100/all, what, now.Sub(b.begun).Seconds())
}

func (b *bar) end() {
	if b.out != nil {
		fmt.Fprint(b.out, "\r\x1b[K")
	}
}
