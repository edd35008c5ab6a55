package edge

import (
	"slices"

	"github.com/weirhq/weir/internal/journal"
)

// A route with `monitor:` answers balancers in front of weir, at the ports that traffic comes to: they should not trust an address elsewhere,
// behind which another process may be well while this one is not. Neither an application nor the desk has a part in it. What is asked each second by
// each balancer is no traffic: it is neither counted nor logged, so that rates, latencies and logs are of people.

// respondMonitor answers.
func (h *handler) respondMonitor() {
	status, body := 200, "live\n"
	if h.route.config.Monitor == "ready" {
		body = "ready\n"
		if !h.isReady() {
			status, body = 503, "not ready\n"
		}
	}
	h.respond(status, "text/plain; charset=utf-8", []byte(body), func(dst []byte) []byte {
		return append(dst, "Cache-Control: no-store\r\n"...)
	})
}

// isReady reports whether traffic for the site should come here. An edge that another one follows answers for that one: it is the same weir.
func (h *handler) isReady() bool {
	e := h.l.edge
	if e.stopping.Load() && e.successor.Load() == nil {
		return false
	}
	for _, p := range h.site.pools {
		if !p.Open() {
			return false
		}
	}
	return true
}

// monitored reports whether the request was a monitor's, and was answered as such.
func (h *handler) monitored() bool {
	return h.route != nil && h.route.config.Monitor != "" && h.x.Journal.Cause == journal.NoCause
}

// gatherSitePools notes for each site which pools its routes lead to.
func (t *tree) gatherSitePools() {
	for i := range t.routes {
		r := &t.routes[i]
		if r.pool != nil && !slices.Contains(r.site.pools, r.pool) {
			r.site.pools = append(r.site.pools, r.pool)
		}
	}
}
