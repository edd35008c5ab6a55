package main

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/weirhq/weir/bench/section"
)

// report is the section.
func report(o options, f *filled, v *served, ratios string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\nWritten by `make bench-cache` (%s, %d processors, %s). The disk has a page of its own:\n[The cache's disk after a restart](benchmarks-disk.md).\n\n", section.Title, runtime.Version(), runtime.NumCPU(),
		time.Now().UTC().Format("2006-01-02 15:04 MST"))
	b.WriteString("| promise | measured | |\n|---|---|---|\n")
	promise := func(text, measured string, held bool) {
		word := "**missed**"
		if held {
			word = "held"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", text, measured, word)
	}
	const pause = 2 * time.Millisecond
	promise(fmt.Sprintf("an object of 1 KiB costs at most 250 bytes beyond head and body (%d objects)", f.objects), fmt.Sprintf("%.0f bytes", f.beyond), f.beyond <= 250)
	longest := max(f.growing.put.quantile(.999), f.growing.get.quantile(.999), f.replacing.put.quantile(.999), f.replacing.get.quantile(.999))
	promise("filling at full rate, a call of the store waits less than 2 ms (99.9 % of all)", longest.String(), longest < pause)
	beyond := float64(v.most-v.base)/float64(v.budget) - 1
	promise(fmt.Sprintf("resident memory stays within 10 %% of the budget (%d MiB, after %d times as much)", v.budget>>20, beyondBudget), fmt.Sprintf("%+.1f %%", 100*beyond), beyond <= .1)
	promise(fmt.Sprintf("purging %d objects by one tag answers in under 50 ms", v.tagged), fmt.Sprintf("%s at most, %d of %d served afterwards",
		v.purge.most.Round(time.Microsecond), v.left, 1000*v.purge.all), v.purge.most < 50*time.Millisecond && v.left == 0)
	if weir, others, ok := zipf(ratios); ok {
		var list []string
		held := true
		for _, name := range rivals {
			held = held && weir > others[name]
			list = append(list, fmt.Sprintf("%s %.1f %%", name, others[name]))
		}
		promise("hit ratio on Zipf(0.9) with log-normal sizes, a tenth of the bytes: above "+strings.Join(rivals[:], ", "), fmt.Sprintf("%.1f %%; %s", weir, strings.Join(list, ", ")), held)
	}
	fmt.Fprintf(&b, "\n### The store alone\n\nObjects of 1 KiB with a head of %d bytes, by as many goroutines as processors less one; one more looks objects up all the time. First until the\n"+
		"store holds %d, in %s; then as many again, each in place of an old one. By its own count the store has %.0f bytes beyond head and\nbody for each.\n\n",
		headBytes, o.objects, f.took.Round(10*time.Millisecond), f.told)
	b.WriteString("| | a second | p50 | p99 | p99.9 | longest |\n|---|---|---|---|---|---|\n")
	f.growing.rows(&b, "growing")
	f.replacing.rows(&b, "full")
	fmt.Fprintf(&b, "\n### A running weir\n\n%d objects of 1 KiB, each once, through a weir with %d MiB, by %d kept connections; the load, the origin and weir share the\n"+
		"processors: %.0f a second. The edge had %.1f MiB before and %.1f MiB at the end, %.1f at most. %d turns of its loops took over 50 ms.\n"+
		"A hit on a connection of its own, a thousand a second or so:\n\n", v.sent, v.budget>>20, connections, v.fillRate, mib(v.base), mib(v.after), mib(v.most), v.slow)
	b.WriteString("| | p50 | p99 | p99.9 | longest |\n|---|---|---|---|---|\n")
	for _, row := range []struct {
		name string
		t    *times
	}{{"while nothing else goes on", &v.probeAlone}, {"while it is filled", &v.probe}} {
		fmt.Fprintf(&b, "| %s | %v | %v | %v | %v |\n", row.name, short(row.t.quantile(.5)), short(row.t.quantile(.99)), short(row.t.quantile(.999)), short(row.t.most))
	}
	return b.String()
}

func (w *waits) rows(b *strings.Builder, when string) {
	for _, row := range []struct {
		name, rate string
		t          *times
	}{{"put", fmt.Sprintf("%.0f", w.rate), &w.put}, {"look-up", "", &w.get}} {
		fmt.Fprintf(b, "| %s, %s | %s | %v | %v | %v | %v |\n", when, row.name, row.rate, short(row.t.quantile(.5)), short(row.t.quantile(.99)), short(row.t.quantile(.999)), short(row.t.most))
	}
}

func short(d time.Duration) time.Duration {
	switch {
	case d > 10*time.Millisecond:
		return d.Round(100 * time.Microsecond)
	case d > 10*time.Microsecond:
		return d.Round(100 * time.Nanosecond)
	}
	return d
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

// rivals are what weir's policy is promised to be above; of W-TinyLFU's forms the best.
var rivals = [...]string{"LRU", "FIFO", "W-TinyLFU"}

// zipf reads the first column of the table of that name.
func zipf(table string) (weir float64, others map[string]float64, ok bool) {
	_, table, ok = strings.Cut(table, "## zipf\n")
	table, _, _ = strings.Cut(table, "\n## ")
	others = map[string]float64{}
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 {
			continue
		}
		name, _, _ := strings.Cut(strings.TrimSpace(cells[1]), ",")
		if v, err := strconv.ParseFloat(strings.TrimSpace(cells[2]), 64); err == nil {
			others[name] = max(others[name], v)
		}
	}
	return others["weir"], others, ok && len(others) > len(rivals)
}

// hitRatios is what bench/hitratio wrote, one level down.
func hitRatios(table string) string {
	table = strings.ReplaceAll("\n"+strings.TrimSpace(table)+"\n", "\n## ", "\n#### ")
	return "\n### Hit ratios\n\nWritten by `go run ./bench/hitratio`: traces of 10 million requests, replayed against weir's policy and others with the same bytes; an\n" +
		"object is charged 250 bytes beyond its own everywhere. Medians of three seeds. By objects is what an application feels: how many requests\n" +
		"it does not get. weir's policy goes by hits per byte, and so gives away some of the hits in bytes.\n" + table
}
