package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// results holds samples by scenario and peer, one a turn; a sample has a value for each figure.
type results map[string]map[string][][]float64

func (r results) add(scenario, peer string, sample []float64) {
	if r[scenario] == nil {
		r[scenario] = map[string][][]float64{}
	}
	r[scenario][peer] = append(r[scenario][peer], sample)
}

// of returns the values of one figure over the turns, sorted.
func (r results) of(scenario, peer string, figure int) []float64 {
	var values []float64
	for _, sample := range r[scenario][peer] {
		values = append(values, sample[figure])
	}
	slices.Sort(values)
	return values
}

// median of sorted values; false when there are none.
func median(sorted []float64) (float64, bool) {
	n := len(sorted)
	if n == 0 {
		return 0, false
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2, true
}

// best returns the best median among weir's peers for a scenario's figure.
func (r results) best(s *scenario, figure int) (value float64, ok bool) {
	for _, p := range allPeers {
		m, there := median(r.of(s.name, p.name, figure))
		if p.name == "weir" || p.floor || !there {
			continue
		}
		if !ok || (m < value) != s.figures[figure].more && m != value {
			value, ok = m, true
		}
	}
	return value, ok
}

// report is the whole page.
func report(machine string, o options, peers []*peer, r results, began time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Benchmarks\n\n%s", preface)
	fmt.Fprintf(&b, "- Machine: %s\n", machine)
	for _, p := range peers {
		fmt.Fprintf(&b, "- %s %s\n", p.name, p.version)
	}
	fmt.Fprintf(&b, "- %s; %d turns of %d s; %d kept connections under load, %d idle ones\n\n",
		began.UTC().Format("2006-01-02 15:04 MST"), o.turns, o.seconds, o.connections, o.idle)
	b.WriteString(promises(r))
	for _, s := range scenarios {
		if len(r[s.name]) > 0 {
			b.WriteString(table(s, peers, r))
		}
	}
	return b.String()
}

const preface = `Written by ` + "`make bench-peers`" + `; the configurations are in ` + "`bench/peers/configs`" + `.

weir, nginx and HAProxy do the same work in turns, each turn with a fresh process. The load generator (wrk), the origin and
the proxy share the machine's cores, so the rates tell about all three; what counts is the processor time per request of
the proxy's own process tree, user and system. All have two workers, threads or loops, keep connections on both sides and
set X-Forwarded-For, -Proto and -Host, Via and X-Request-ID, the last two in responses too. Values are medians, with lowest and highest
of the first column. The last column compares the first with the best of the others. Varnish (varnishd) is beside them where caches are compared, with two thread
pools and its log in memory as it comes.

`

func table(s *scenario, peers []*peer, r results) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n%s\n\n|", s.title, s.text)
	rule := "\n|---|"
	for i, f := range s.figures {
		fmt.Fprintf(&b, " | %s", f.name)
		rule += "---|"
		if i == 0 {
			b.WriteString(" | lowest to highest")
			rule += "---|"
		}
	}
	best, compared := r.best(s, 0)
	if compared {
		b.WriteString(" | ratio")
		rule += "---|"
	}
	b.WriteString(" |" + rule + "\n")
	for _, p := range peers {
		if len(r[s.name][p.name]) == 0 {
			continue
		}
		fmt.Fprintf(&b, "| %s", p.name)
		for i, f := range s.figures {
			values := r.of(s.name, p.name, i)
			m, _ := median(values)
			fmt.Fprintf(&b, " | "+f.format, m)
			if i == 0 {
				fmt.Fprintf(&b, " | "+f.format+" to "+f.format, values[0], values[len(values)-1])
			}
		}
		if m, _ := median(r.of(s.name, p.name, 0)); compared && best != 0 {
			fmt.Fprintf(&b, " | %.2f", m/best)
		} else if compared {
			b.WriteString(" | –")
		}
		b.WriteString(" |\n")
	}
	b.WriteString("\n")
	return b.String()
}

// promise is a number that weir is held to.
type promise struct {
	scenario string
	figure   int
	text     string
	relative bool    // to the best peer, or to one of them:
	to       string  // that peer
	limit    float64 // at most; at least, when more is better
	format   string
}

var promiseList = []promise{
	{"proxied", 0, "processor time a request, log off: at most 0.90 of the best peer's", true, "", 0.90, "%.2f"},
	{"logged", 0, "processor time a request, log to a file: at most 0.90 of the best peer's", true, "", 0.90, "%.2f"},
	{"hit", 0, "processor time a hit of 1 KiB: at most 0.70 of the best peer's", true, "", 0.70, "%.2f"},
	{"largehit", 0, "processor time a hit of 100 KiB: at most 0.90 of the best peer's", true, "", 0.90, "%.2f"},
	{"watched", 0, "processor time a request with everything on: at most 1.05 of that with everything off", false, "", 1.05, "%.3f"},
	{"watched", 1, "processor time a request while weir log waits: at most 1.02 of that without", false, "", 1.02, "%.3f"},
	{"idle", 0, "an idle kept connection: at most 0.50 KiB", false, "", 0.50, "%.2f KiB"},
	{"idle", 1, "idle connections cost no processor time: at most 10 ms in 5 s (one tick of the clock)", false, "", 10, "%.0f ms"},
	{"download", 0, "200 MiB down: at least 0.80 of HAProxy's rate", true, "haproxy", 0.80, "%.2f"},
	{"upload", 0, "200 MiB up: at least 0.80 of HAProxy's rate", true, "haproxy", 0.80, "%.2f"},
	{"download", 1, "200 MiB down: memory grows by less than 16 MiB", false, "", 16, "%.1f MiB"},
	{"upload", 1, "200 MiB up: memory grows by less than 16 MiB", false, "", 16, "%.1f MiB"},
	{"worker", 0, "start to first request: under 100 ms over the worker's own start", false, "", 100, "%.1f ms"},
}

// promises compares weir's medians with what it promises.
func promises(r results) string {
	var b strings.Builder
	for _, p := range promiseList {
		value, there := median(r.of(p.scenario, "weir", p.figure))
		if !there {
			continue
		}
		s := scenarios[slices.Index(scenarioNames(), p.scenario)]
		if p.relative {
			against, ok := r.best(s, p.figure)
			if p.to != "" {
				against, ok = median(r.of(p.scenario, p.to, p.figure))
			}
			if !ok || against == 0 {
				continue
			}
			value /= against
		}
		verdict := "held"
		if s.figures[p.figure].more && value < p.limit || !s.figures[p.figure].more && value > p.limit {
			verdict = "**missed**"
		}
		fmt.Fprintf(&b, "| %s | "+p.format+" | %s |\n", p.text, value, verdict)
	}
	if b.Len() == 0 {
		return ""
	}
	return "## What weir promises\n\n| | measured | |\n|---|---|---|\n" + b.String() + "\n"
}

// machine names what this runs on.
func machine() string {
	model := value("/proc/cpuinfo", "model name", ":")
	if model == "" {
		model = runtime.GOARCH
	}
	system := strings.Trim(value("/etc/os-release", "PRETTY_NAME", "="), `"`)
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease") // absent where there is no Linux; the rest is said still
	return fmt.Sprintf("%s, %d cores, %s, kernel %s, %s", model, runtime.NumCPU(), system,
		strings.TrimSpace(string(kernel)), runtime.Version())
}

// value finds a line "key separator value" in a file.
func value(file, key, separator string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if k, v, ok := strings.Cut(line, separator); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return ""
}
