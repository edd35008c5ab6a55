package picture

import (
	"time"

	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/metrics"
)

// lately is how far back quantiles and hit ratios look.
const lately = 10 * time.Second

// gauge is what is remembered of totals to tell rates and what was lately.
type gauge struct {
	seen    []mark // the newest last, the oldest just older than lately
	rateMax float64
	queued  metrics.Histogram
	queueAt time.Time
	queueIs float64
}

// mark is totals at a time.
type mark struct {
	at       time.Time
	requests uint64
	errors   uint64
	in, out  uint64
	hits     uint64 // hits, stale and shared
	could    uint64 // those and misses
	time     metrics.Histogram
}

// look notes a flow's totals and fills in what is of late. Its errors are answers of 500 and above, and requests without an answer
// whose client was still there.
func (g *gauge) look(now time.Time, f *Flow) {
	none := f.Status[0]
	g.lookErrors(now, f, f.Status[5]+none-min(none, f.Causes[journal.ClientGone.String()]))
}

// lookErrors is look with given errors.
func (g *gauge) lookErrors(now time.Time, f *Flow, errors uint64) {
	c := &f.Cache
	hits := c[journal.Hit] + c[journal.Stale] + c[journal.Shared] + c[journal.Revalidated]
	m := mark{now, f.Requests, errors, f.In, f.Out, hits, hits + c[journal.Miss], f.Time}
	f.HitRatio = -1
	if n := len(g.seen); n > 0 {
		before, old := &g.seen[n-1], &g.seen[0]
		if s := now.Sub(before.at).Seconds(); s > 0 {
			f.Rate, f.Errors = per(m.requests, before.requests, s), per(m.errors, before.errors, s)
			f.InRate, f.OutRate = per(m.in, before.in, s), per(m.out, before.out, s)
		}
		// The first second after a start has what was there before it was looked at.
		g.rateMax = max(g.rateMax, f.Rate)
		if m.requests >= old.requests {
			d := m.time.Since(&old.time)
			f.P50, f.P95, f.P99 = millis(&d, 0.5), millis(&d, 0.95), millis(&d, 0.99)
		}
		if m.could > old.could && m.hits >= old.hits {
			f.HitRatio = float64(m.hits-old.hits) / float64(m.could-old.could)
		}
	}
	f.RateMax = g.rateMax
	g.seen = append(g.seen, m)
	for len(g.seen) > 1 && now.Sub(g.seen[1].at) >= lately {
		g.seen = g.seen[1:]
	}
}

// queue returns the milliseconds that 95 of 100 of those that waited of late did not exceed.
func (g *gauge) queue(now time.Time, h *metrics.Histogram) float64 {
	if now.Sub(g.queueAt) >= lately {
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
