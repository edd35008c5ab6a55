package picture

import (
	"time"

	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/metrics"
)

// lately is how far back quantiles and hit ratios look: between half of it and all of it.
const lately = 10 * time.Second

// gauge is what is remembered of totals to tell rates and what was lately.
type gauge struct {
	before  totals // a picture ago
	older   mark   // lately ago, at the most
	newer   mark   // takes its place when it is half as old
	rateMax float64
}

// totals are those from which rates follow.
type totals struct {
	at       time.Time
	requests uint64
	errors   uint64
	in, out  uint64
}

// mark is what quantiles and hit ratios follow from.
type mark struct {
	at       time.Time
	requests uint64
	hits     uint64 // hits, stale, shared and revalidated
	could    uint64 // those and misses
	time     metrics.Histogram
}

// passed reports whether so much time has passed since at, or the clock was set back: nothing would ever be of late again.
func passed(at, now time.Time, d time.Duration) bool {
	since := now.Sub(at)
	return since >= d || since < 0
}

// look notes a flow's totals and fills in what is of late. Its errors are answers of 500 and above, and requests without an answer
// whose client was still there.
func (g *gauge) look(now time.Time, f *Flow) {
	none := f.Status[0]
	g.lookErrors(now, f, f.Status[5]+none-min(none, f.Causes[journal.ClientGone.String()]))
}

// lookErrors is look with given errors.
func (g *gauge) lookErrors(now time.Time, f *Flow, errors uint64) {
	c, before := &f.Cache, &g.before
	hits := c[journal.Hit] + c[journal.Stale] + c[journal.Shared] + c[journal.Revalidated]
	could := hits + c[journal.Miss]
	f.HitRatio = -1
	if before.at.IsZero() || f.Requests < before.requests { // it is new, or a part of a sum is no more
		g.older = mark{now, f.Requests, hits, could, f.Time}
		g.newer = g.older
	} else {
		if s := now.Sub(before.at).Seconds(); s > 0 {
			f.Rate, f.Errors = per(f.Requests, before.requests, s), per(errors, before.errors, s)
			f.InRate, f.OutRate = per(f.In, before.in, s), per(f.Out, before.out, s)
		}
		g.rateMax = max(g.rateMax, f.Rate)
		if old := &g.older; f.Requests > old.requests {
			d := f.Time.Since(&old.time)
			f.P50, f.P95, f.P99 = millis(&d, 0.5), millis(&d, 0.95), millis(&d, 0.99)
		}
		if old := &g.older; could > old.could && hits >= old.hits {
			f.HitRatio = min(float64(hits-old.hits)/float64(could-old.could), 1)
		}
	}
	f.RateMax = g.rateMax
	g.before = totals{now, f.Requests, errors, f.In, f.Out}
	if passed(g.newer.at, now, lately/2) {
		g.older = g.newer
		g.newer = mark{now, f.Requests, hits, could, f.Time}
	}
}

// poolGauge is a pool's, whose queue has times of its own.
type poolGauge struct {
	gauge
	queued  metrics.Histogram
	queueAt time.Time
	queueIs float64
}

// queue returns the milliseconds that 95 of 100 of those that waited of late did not exceed.
func (g *poolGauge) queue(now time.Time, h *metrics.Histogram) float64 {
	if passed(g.queueAt, now, lately) {
		if !g.queueAt.IsZero() {
			d := h.Since(&g.queued)
			g.queueIs = millis(&d, 0.95)
		}
		g.queueAt, g.queued = now, *h
	}
	return g.queueIs
}

// per is the rate between two totals. One that has shrunk was begun anew.
func per(now, before uint64, seconds float64) float64 {
	if now < before {
		return 0
	}
	return float64(now-before) / seconds
}

func millis(h *metrics.Histogram, q float64) float64 { return float64(h.Quantile(q)) / 1e6 }
