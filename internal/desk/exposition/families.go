package exposition

import (
	"slices"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/picture"
)

// families are all metrics of weir, in the order in which they are told. The reference is generated from them.
var families = slices.Concat(weirFamilies, requestFamilies, routeFamilies, tcpFamilies, poolFamilies, serverFamilies, appFamilies, cacheFamilies, machineFamilies)

// weirFamilies are of weir's processes.
var weirFamilies = []family{
	{name: "weir_build_info", help: "Always 1; its labels say which weir this is, and on which node.", labels: []string{"version", "node"}, each: func(w *walk, f *family) {
		w.scratch = w.enc.label(w.enc.label(w.scratch[:0], "version", w.p.Version), "node", w.p.Node)
		w.tell(f, w.scratch, 1)
	}},
	gauge("weir_start_time_seconds", "When weir was started, as Unix time.", func(p *picture.Picture) float64 { return unix(p.Since) }),
	gauge("weir_counted_since_seconds", "Since when the totals are counted, as Unix time: they outlive the processes of weir.", func(p *picture.Picture) float64 { return unix(p.Counted) }),
	gauge("weir_picture_time_seconds", "When all of this was so, as Unix time. It is made anew each second.", func(p *picture.Picture) float64 { return unix(p.At) }),
	gauge("weir_problem", "1 while weir has a problem to tell, such as a reload that was refused.", func(p *picture.Picture) float64 { return truth(p.Problem != "") }),
	gauge("weir_included_files", "Included configuration files.", func(p *picture.Picture) float64 { return float64(len(p.Included)) }),
	gauge("weir_included_files_refused", "Included configuration files of which what is on disk is not in force.", func(p *picture.Picture) (n float64) {
		for i := range p.Included {
			n += truth(p.Included[i].Problem != "")
		}
		return n
	}),
	gauge("weir_faults", "Faults that weir makes on purpose.", func(p *picture.Picture) float64 { return float64(len(p.Faults)) }),
	gauge("weir_edge_up", "1 while the process that serves answers.", func(p *picture.Picture) float64 { return truth(p.Edge.Up) }),
	total("weir_edge_restarts_total", "How often the process that serves was started anew because it had died.", func(p *picture.Picture) uint64 { return uint64(p.Edge.Restarts) }),
	gauge("weir_configuration_revision", "The configuration in force: the number grows with each reload.", func(p *picture.Picture) float64 { return float64(p.Edge.Revision) }),
	{name: "weir_loop_busy_ratio", help: "Share of a processor that each loop of the engine uses, 0 to 1.", labels: []string{"loop"}, each: func(w *walk, f *family) {
		for i, v := range w.p.Edge.LoopBusy {
			w.by(f, nil, "loop", number(i), v)
		}
	}},
	total("weir_slow_turns_total", "Turns in which a loop was held up for long.", func(p *picture.Picture) uint64 { return p.Edge.SlowTurns }),
	total("weir_panics_total", "Requests that ended by a fault of weir's own.", func(p *picture.Picture) uint64 { return p.Edge.Panics }),
	total("weir_log_dropped_total", "Lines of the access log that could not be written.", func(p *picture.Picture) uint64 { return p.Edge.LogDropped }),
}

// requestFamilies are of all requests.
var requestFamilies = []family{
	gauge("weir_connections", "Clients' connections that are open.", func(p *picture.Picture) float64 { return float64(p.Edge.Connections) }),
	gauge("weir_connections_limit", "How many of them there may be.", func(p *picture.Picture) float64 { return float64(p.Edge.Room) }),
	total("weir_connections_accepted_total", "Clients' connections that were accepted.", func(p *picture.Picture) uint64 { return p.Edge.Accepted }),
	total("weir_connections_refused_total", "Clients' connections that were closed because there was no room.", func(p *picture.Picture) uint64 { return p.Edge.Refused }),
	gauge("weir_tcp_sessions_open", "Sessions of TCP that are open.", func(p *picture.Picture) float64 { return float64(p.Edge.SessionsNow) }),
	total("weir_tcp_sessions_total", "Sessions of TCP that were begun.", func(p *picture.Picture) uint64 { return p.Edge.Sessions }),
	gauge("weir_requests_active", "Requests under way.", func(p *picture.Picture) float64 { return float64(p.Edge.Active) }),
	{name: "weir_requests_total", kind: Counter, help: "Requests, by class of their status; none: nothing was sent.", labels: []string{"class"}, each: func(w *walk, f *family) {
		w.byClass(f, nil, &w.p.Total.Status)
	}},
	{name: "weir_request_ends_total", kind: Counter, help: "Requests that ended by other than the application's word, by cause, in the words of the access log.", labels: []string{"cause"}, each: func(w *walk, f *family) {
		w.byWord(f, nil, "cause", causes, w.p.Total.Causes)
	}},
	total("weir_request_received_bytes_total", "Bytes of requests' bodies.", func(p *picture.Picture) uint64 { return p.Total.In }),
	total("weir_request_sent_bytes_total", "Bytes of responses' bodies.", func(p *picture.Picture) uint64 { return p.Total.Out }),
	{name: "weir_request_duration_seconds", kind: Histogram, wide: true, help: "Time of requests from their first byte to the last of the response.", each: func(w *walk, f *family) {
		w.enc.histogram(f, nil, &w.p.Total.Time, w.p.Total.Slow)
	}},
}

// verdicts are what the cache does, in the words of the access log.
var verdicts = func() (all [7]string) {
	for c := range all {
		all[c] = journal.Cache(c).String()
	}
	return all
}()

// routeFamilies are of each route.
var routeFamilies = []family{
	{name: "weir_route_info", help: "Always 1; its labels say which pool a route leads to.", labels: []string{"site", "route", "pool"}, each: func(w *walk, f *family) {
		for i := range w.p.Routes {
			w.by(f, w.routes[i], "pool", w.p.Routes[i].Pool, 1)
		}
	}},
	{name: "weir_route_requests_total", kind: Counter, help: "Requests of a route, by class of their status; none: nothing was sent.", labels: []string{"site", "route", "class"}, each: func(w *walk, f *family) {
		for i := range w.p.Routes {
			w.byClass(f, w.routes[i], &w.p.Routes[i].Status)
		}
	}},
	{name: "weir_route_ends_total", kind: Counter, help: "Requests of a route that ended by other than the application's word, by cause.", labels: []string{"site", "route", "cause"}, each: func(w *walk, f *family) {
		for i := range w.p.Routes {
			w.byWord(f, w.routes[i], "cause", causes, w.p.Routes[i].Causes)
		}
	}},
	perRoute(Counter, "weir_route_received_bytes_total", "Bytes of bodies that a route's clients sent.", func(r *picture.Route) uint64 { return r.In }),
	perRoute(Counter, "weir_route_sent_bytes_total", "Bytes of bodies that were sent to a route's clients.", func(r *picture.Route) uint64 { return r.Out }),
	perRoute(Counter, "weir_route_retries_total", "Further tries of a route's requests at servers.", func(r *picture.Route) uint64 { return r.Retries }),
	{name: "weir_route_cache_requests_total", kind: Counter, help: "Requests of a route by what the cache did for them: hit, stale, shared, revalidated, miss, pass.", labels: []string{"site", "route", "cache"}, each: func(w *walk, f *family) {
		for i := range w.p.Routes {
			for c, n := range w.p.Routes[i].Cache {
				if n > 0 && c != int(journal.NoCache) {
					w.by(f, w.routes[i], "cache", verdicts[c], float64(n))
				}
			}
		}
	}},
	{name: "weir_route_cache_reasons_total", kind: Counter, help: "Requests of a route that the cache did not answer, by why, in the words of Cache-Status.", labels: []string{"site", "route", "why"}, each: func(w *walk, f *family) {
		for i := range w.p.Routes {
			w.byWhy(f, w.routes[i], w.p.Routes[i].Whys)
		}
	}},
	perRoute(Counter, "weir_route_cache_saved_bytes_total", "Bytes of bodies that no server had to send, because the cache had them.", func(r *picture.Route) uint64 { return r.Saved }),
	{name: "weir_route_duration_seconds", kind: Histogram, help: "Time of a route's requests from their first byte to the last of the response.", labels: []string{"site", "route"}, each: func(w *walk, f *family) {
		for i := range w.p.Routes {
			w.enc.histogram(f, w.routes[i], &w.p.Routes[i].Time, w.p.Routes[i].Slow)
		}
	}},
}

// tcpFamilies are of addresses at which bytes are passed on.
var tcpFamilies = []family{
	perTCP("weir_tcp_address_sessions_total", "Sessions of TCP that were begun at an address.", func(r *picture.Route) uint64 { return r.Requests }),
	perTCP("weir_tcp_address_received_bytes_total", "Bytes that came from its clients.", func(r *picture.Route) uint64 { return r.In }),
	perTCP("weir_tcp_address_sent_bytes_total", "Bytes that went to its clients.", func(r *picture.Route) uint64 { return r.Out }),
	{name: "weir_tcp_address_ends_total", kind: Counter, help: "Its sessions that neither end ended in order, by cause.", labels: []string{"address", "cause"}, each: func(w *walk, f *family) {
		for i := range w.p.TCP {
			w.byWord(f, w.tcp[i], "cause", causes, w.p.TCP[i].Causes)
		}
	}},
	{name: "weir_tcp_address_duration_seconds", kind: Histogram, help: "How long its sessions took.", labels: []string{"address"}, each: func(w *walk, f *family) {
		for i := range w.p.TCP {
			w.enc.histogram(f, w.tcp[i], &w.p.TCP[i].Time, nil)
		}
	}},
}

// hedgeWords are what becomes of second requests, by journal.Hedge.
var hedgeWords = [3]string{"", "lost", "won"}

// poolFamilies are of each pool.
var poolFamilies = []family{
	perPool(Gauge, "weir_pool_up", "1 while a server of the pool takes requests.", func(p *picture.Pool) float64 { return truth(p.State != "down") }),
	{name: "weir_pool_servers", help: "Servers of a pool, by state: ready, starting, draining, maint, down, leaving.", labels: []string{"pool", "state"}, each: func(w *walk, f *family) {
		for i := range w.p.Pools {
			for _, state := range states {
				n := 0
				for j := range w.p.Pools[i].Servers {
					if w.p.Pools[i].Servers[j].State == state {
						n++
					}
				}
				w.by(f, w.pools[i], "state", state, float64(n))
			}
		}
	}},
	perPool(Gauge, "weir_pool_active", "Requests under way at a pool's servers.", func(p *picture.Pool) float64 { return float64(p.Active) }),
	perPool(Counter, "weir_pool_requests_total", "Requests, or sessions of TCP, that a pool's servers were given.", func(p *picture.Pool) float64 { return float64(p.Requests) }),
	perPool(Counter, "weir_pool_errors_total", "Tries that a pool's servers failed.", func(p *picture.Pool) float64 { return float64(p.Errors) }),
	perPool(Gauge, "weir_pool_queue_length", "Requests that wait for a server.", func(p *picture.Pool) float64 { return float64(p.Queued) }),
	perPool(Gauge, "weir_pool_queue_length_max", "The most requests that have waited at a time.", func(p *picture.Pool) float64 { return float64(p.QueueMax) }),
	perPool(Gauge, "weir_pool_queue_limit", "How many may wait.", func(p *picture.Pool) float64 { return float64(p.QueueSize) }),
	perPool(Counter, "weir_pool_queue_timeouts_total", "Requests that waited too long.", func(p *picture.Pool) float64 { return float64(p.TimedOut) }),
	perPool(Counter, "weir_pool_queue_full_total", "Requests for which the queue had no room.", func(p *picture.Pool) float64 { return float64(p.Rejected) }),
	perPool(Counter, "weir_pool_shed_total", "Requests that were pushed out of the full queue by such as came first.", func(p *picture.Pool) float64 { return float64(p.Shed) }),
	{name: "weir_pool_queue_duration_seconds", kind: Histogram, help: "Time in the queue of the requests that waited.", labels: []string{"pool"}, each: func(w *walk, f *family) {
		for i := range w.p.Pools {
			w.enc.histogram(f, w.pools[i], &w.p.Pools[i].Queue, nil)
		}
	}},
	perPool(Counter, "weir_pool_retries_total", "Further tries.", func(p *picture.Pool) float64 { return float64(p.Retries) }),
	perPool(Counter, "weir_pool_redispatches_total", "Further tries that went to another server.", func(p *picture.Pool) float64 { return float64(p.Redispatch) }),
	perPool(Counter, "weir_pool_retries_denied_total", "Further tries that the budget did not allow.", func(p *picture.Pool) float64 { return float64(p.NoRetry) }),
	{name: "weir_pool_hedges_total", kind: Counter, help: "Requests that went to a second server too, by whether it answered first.", labels: []string{"pool", "outcome"}, each: func(w *walk, f *family) {
		for i := range w.p.Pools {
			if p := &w.p.Pools[i]; p.Hedges != [3]uint64{} {
				w.by(f, w.pools[i], "outcome", hedgeWords[journal.HedgeLost], float64(p.Hedges[journal.HedgeLost]))
				w.by(f, w.pools[i], "outcome", hedgeWords[journal.HedgeWon], float64(p.Hedges[journal.HedgeWon]))
			}
		}
	}},
	perPool(Gauge, "weir_pool_breaker_open", "1 while the breaker keeps requests away, 0.5 while it lets some try.", func(p *picture.Pool) float64 {
		switch p.Breaker {
		case "open":
			return 1
		case "half open":
			return 0.5
		}
		return 0
	}),
}

// states are those of a server.
var states = []string{"ready", "starting", "draining", "maint", "down", "leaving"}

// serverFamilies are of each server. The label server is its address, or the place of the worker that it is: web/1.
var serverFamilies = []family{
	perServer(Gauge, "weir_server_up", "1 while the server takes requests.", func(r *serverRow) float64 { return truth(r.s.State == "ready") }),
	{name: "weir_server_state", help: "1 for the state that the server is in: ready, starting, draining, maint, down, leaving.", labels: []string{"pool", "server", "state"}, each: func(w *walk, f *family) {
		for i := range w.servers {
			if s := w.servers[i].s.State; slices.Contains(states, s) {
				w.by(f, w.servers[i].set, "state", s, 1)
			} else {
				w.by(f, w.servers[i].set, "state", other, 1)
			}
		}
	}},
	perServer(Gauge, "weir_server_weight", "Weight, as far as it counts at the moment.", func(r *serverRow) float64 { return float64(r.s.Weight) * float64(r.s.Share) / 1000 }),
	perServer(Gauge, "weir_server_active", "Requests under way at the server.", func(r *serverRow) float64 { return float64(r.active) }),
	perServer(Gauge, "weir_server_active_max", "The most at a time.", func(r *serverRow) float64 { return float64(r.s.ActiveMax) }),
	perServer(Gauge, "weir_server_limit", "How many may be under way at a time; 0: no limit.", func(r *serverRow) float64 { return float64(r.s.Limit) }),
	perServer(Gauge, "weir_server_idle_connections", "Connections to the server that are kept.", func(r *serverRow) float64 { return float64(r.s.Idle) }),
	perServer(Counter, "weir_server_requests_total", "Requests, or sessions of TCP, that the server was given.", func(r *serverRow) float64 { return float64(r.s.Requests) }),
	{name: "weir_server_responses_total", kind: Counter, help: "Responses of the server, by class of their status.", labels: []string{"pool", "server", "class"}, each: func(w *walk, f *family) {
		for i := range w.servers {
			for c, n := range w.servers[i].s.Status {
				if c > 0 && n > 0 {
					w.by(f, w.servers[i].set, "class", classes[c], float64(n))
				}
			}
		}
	}},
	perServer(Counter, "weir_server_errors_total", "Tries that the server failed.", func(r *serverRow) float64 { return float64(r.s.Errors) }),
	{name: "weir_server_failures_total", kind: Counter, help: "What the server failed at: connect_error, empty_response, bad_response, timeout, unavailable; server_error, a 5xx, is none of the errors.", labels: []string{"pool", "server", "kind"}, each: func(w *walk, f *family) {
		for i := range w.servers {
			w.byWord(f, w.servers[i].set, "kind", failures, w.servers[i].s.Failures)
		}
	}},
	perServer(Counter, "weir_server_connects_total", "Connections that were made to the server.", func(r *serverRow) float64 { return float64(r.s.Connects) }),
	perServer(Counter, "weir_server_reused_total", "Requests that went over a kept connection.", func(r *serverRow) float64 { return float64(r.s.Reused) }),
	perServer(Counter, "weir_server_sent_bytes_total", "Bytes sent to the server.", func(r *serverRow) float64 { return float64(r.s.In) }),
	perServer(Counter, "weir_server_received_bytes_total", "Bytes that came from the server.", func(r *serverRow) float64 { return float64(r.s.Out) }),
	perServer(Counter, "weir_server_checks_total", "Health checks.", func(r *serverRow) float64 { return float64(r.s.Checks) }),
	perServer(Counter, "weir_server_check_failures_total", "Health checks that failed.", func(r *serverRow) float64 { return float64(r.s.CheckFail) }),
	perServer(Gauge, "weir_server_check_duration_seconds", "What the last health check took.", func(r *serverRow) float64 { return r.s.CheckTime / 1e3 }),
	perServer(Counter, "weir_server_downs_total", "How often the server went down.", func(r *serverRow) float64 { return float64(r.s.Downs) }),
	perServer(Counter, "weir_server_down_seconds_total", "How long it was down, in all.", func(r *serverRow) float64 { return r.s.DownFor }),
	{name: "weir_server_first_byte_seconds", kind: Histogram, coarse: true, help: "Time until the head of the server's response is there.", labels: []string{"pool", "server"}, each: func(w *walk, f *family) {
		for i := range w.servers {
			w.enc.histogram(f, w.servers[i].set, &w.servers[i].s.FirstByte, nil)
		}
	}},
}

// lives are the states of a worker.
var lives = []string{"starting", "ready", "live", "leaving", "gone", "failing"}

// appFamilies are of apps and their workers.
var appFamilies = []family{
	perApp(Gauge, "weir_app_workers", "Workers of an app.", func(a *picture.App) float64 { return float64(len(a.Workers)) }),
	perApp(Gauge, "weir_app_workers_live", "Workers of an app that take requests.", func(a *picture.App) float64 { return float64(a.Live) }),
	perApp(Counter, "weir_app_overruns_total", "Requests that took longer than request_timeout.", func(a *picture.App) float64 { return float64(a.Overrun) }),
	perApp(Counter, "weir_app_overruns_lost_total", "Of those, such as must not be repeated.", func(a *picture.App) float64 { return float64(a.Lost) }),
	{name: "weir_worker_state", help: "1 for the state that the worker is in: starting, ready, live, leaving, gone, failing.", labels: []string{"app", "worker", "state"}, each: func(w *walk, f *family) {
		for i := range w.workers {
			s := w.workers[i].w.State
			if !slices.Contains(lives, s) {
				s = other
			}
			w.by(f, w.workers[i].set, "state", s, 1)
		}
	}},
	perWorker(Counter, "weir_worker_restarts_total", "How often the worker was started anew.", func(r *workerRow) float64 { return float64(r.w.Restarts) }),
	perWorker(Gauge, "weir_worker_looping", "1 while the worker keeps dying soon after its start.", func(r *workerRow) float64 { return truth(r.w.Looping) }),
	perWorker(Gauge, "weir_worker_state_since_seconds", "Since when the worker is in its state, as Unix time.", func(r *workerRow) float64 {
		t, err := time.Parse(time.RFC3339, r.w.Since)
		if err != nil {
			return 0
		}
		return unix(t)
	}),
}

// cacheFamilies are of the cache.
var cacheFamilies = []family{
	ofCache(Gauge, "weir_cache_objects", "Responses that the cache holds in memory.", func(c *picture.Cache) float64 { return float64(c.Objects) }),
	ofCache(Gauge, "weir_cache_bytes", "Bytes of these responses, heads and bodies.", func(c *picture.Cache) float64 { return float64(c.Bytes) }),
	ofCache(Gauge, "weir_cache_resident_bytes", "Memory that they take, index and all.", func(c *picture.Cache) float64 { return float64(c.Resident) }),
	ofCache(Gauge, "weir_cache_limit_bytes", "Memory that they may take.", func(c *picture.Cache) float64 { return float64(c.Memory) }),
	ofCache(Gauge, "weir_cache_hit_ratio", "Hits, of what the cache could have answered in the last ten seconds; -1: nothing was asked of it.", func(c *picture.Cache) float64 { return c.HitRatio }),
	ofCache(Counter, "weir_cache_evicted_total", "Responses that had to make room.", func(c *picture.Cache) float64 { return float64(c.Evicted) }),
	ofCache(Counter, "weir_cache_refreshes_total", "Fetches without a client.", func(c *picture.Cache) float64 { return float64(c.Refreshes) }),
	ofCache(Counter, "weir_cache_purges_total", "Purges.", func(c *picture.Cache) float64 { return float64(c.Purges) }),
	ofDisk(Gauge, "weir_cache_disk_objects", "Responses that the cache holds on disk.", func(d *api.CacheDisk) float64 { return float64(d.Objects) }),
	ofDisk(Gauge, "weir_cache_disk_bytes", "Bytes that the cache has on disk.", func(d *api.CacheDisk) float64 { return float64(d.Bytes) }),
	ofDisk(Gauge, "weir_cache_disk_limit_bytes", "Bytes that it may have there.", func(d *api.CacheDisk) float64 { return float64(d.Size) }),
	ofDisk(Gauge, "weir_cache_disk_index_bytes", "Memory that the index of the disk takes.", func(d *api.CacheDisk) float64 { return float64(d.Index) }),
	ofDisk(Gauge, "weir_cache_disk_problem", "1 while nothing is written to the disk, or the cache works in memory alone.", func(d *api.CacheDisk) float64 { return truth(d.Problem != "") }),
	ofDisk(Counter, "weir_cache_disk_hits_total", "Responses that were read from disk.", func(d *api.CacheDisk) float64 { return float64(d.Hits) }),
	ofDisk(Counter, "weir_cache_disk_written_total", "Responses that were written to disk.", func(d *api.CacheDisk) float64 { return float64(d.Written) }),
	ofDisk(Counter, "weir_cache_disk_skipped_total", "Responses that were not written: too much at a time, or the disk failed.", func(d *api.CacheDisk) float64 { return float64(d.Skipped) }),
	ofDisk(Counter, "weir_cache_disk_damaged_total", "Responses on disk that could not be believed.", func(d *api.CacheDisk) float64 { return float64(d.Damaged) }),
	ofDisk(Counter, "weir_cache_disk_reclaimed_total", "Segments on disk that were deleted to make room.", func(d *api.CacheDisk) float64 { return float64(d.Reclaimed) }),
}

func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1e3
}
