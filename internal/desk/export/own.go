package export

import (
	"strings"

	"github.com/weirhq/weir/internal/picture"
)

// columns are those of weir's own table. New ones come at the end.
var columns = []string{"kind", "group", "name", "state", "since", "why", "weight", "share", "backup", "active", "active_max", "limit", "queued", "queue_max",
	"queue_size", "rate", "rate_max", "error_rate", "p50_ms", "p95_ms", "p99_ms", "requests", "in", "out", "none", "1xx", "2xx", "3xx", "4xx", "5xx", "errors",
	"connect_error", "empty_response", "bad_response", "timeout", "unavailable", "retries", "redispatches", "queue_timeouts", "queue_full", "shed",
	"hit_ratio", "hits", "stale", "shared", "misses", "passes", "checks", "check_fail", "check", "check_ms", "downs", "down_s", "address", "idle",
	"connects", "reused", "pid", "worker_state", "restarts", "memory", "cpu"}

var failures = []string{"connect_error", "empty_response", "bad_response", "timeout", "unavailable"}

// rowsOf are the lines of a picture: each site with its routes, each pool with its servers.
func rowsOf(p *picture.Picture) (all []row) {
	for i := range p.Sites {
		s := &p.Sites[i]
		all = append(all, flowRow("site", "", s.Name, &s.Flow))
		for j := range p.Routes {
			if r := &p.Routes[j]; r.Site == s.Name {
				all = append(all, flowRow("route", r.Site, r.Name, &r.Flow))
			}
		}
	}
	workers := workersOf(p)
	for i := range p.Pools {
		o := &p.Pools[i]
		all = append(all, row{"kind": "pool", "name": o.Name, "state": o.State, "active": o.Active, "queued": o.Queued, "queue_max": o.QueueMax,
			"queue_size": o.QueueSize, "rate": o.Rate, "error_rate": o.ErrorRate, "p50_ms": o.P50, "p95_ms": o.P95, "p99_ms": o.P99,
			"requests": o.Requests, "errors": o.Errors, "retries": o.Retries, "redispatches": o.Redispatch, "queue_timeouts": o.TimedOut,
			"queue_full": o.Rejected, "shed": o.Shed})
		for j := range o.Servers {
			s := &o.Servers[j]
			r := row{"kind": "server", "group": o.Name, "name": s.Name, "state": s.State, "since": s.Since, "why": s.Why, "weight": s.Weight,
				"share": s.Share, "backup": s.Backup, "active": s.Active, "active_max": s.ActiveMax, "limit": s.Limit, "rate": s.Rate,
				"rate_max": s.RateMax, "error_rate": s.ErrorRate, "p50_ms": s.P50, "p95_ms": s.P95, "p99_ms": s.P99, "requests": s.Requests,
				"in": s.In, "out": s.Out, "errors": s.Errors, "checks": s.Checks, "check_fail": s.CheckFail, "check": s.Check,
				"check_ms": s.CheckTime, "downs": s.Downs, "down_s": s.DownFor, "address": s.Address, "idle": s.Idle, "connects": s.Connects,
				"reused": s.Reused}
			r.addStatus(&s.Status)
			for _, kind := range failures {
				r[kind] = s.Failures[kind]
			}
			if w := workers[s.Name]; w != nil && o.App != "" {
				r["kind"] = "worker"
				r["pid"], r["worker_state"], r["restarts"], r["memory"], r["cpu"] = w.PID, w.State, w.Restarts, w.Memory, w.CPU
			}
			all = append(all, r)
		}
	}
	return all
}

func flowRow(kind, group, name string, f *picture.Flow) row {
	r := row{"kind": kind, "group": group, "name": name, "rate": f.Rate, "rate_max": f.RateMax, "error_rate": f.Errors, "p50_ms": f.P50,
		"p95_ms": f.P95, "p99_ms": f.P99, "requests": f.Requests, "in": f.In, "out": f.Out, "retries": f.Retries, "passes": f.Cache[1],
		"misses": f.Cache[2], "hits": f.Cache[3], "stale": f.Cache[4], "shared": f.Cache[5]}
	if f.HitRatio >= 0 {
		r["hit_ratio"] = f.HitRatio
	}
	r.addStatus(&f.Status)
	return r
}

func (r row) addStatus(status *[6]uint64) {
	for i, name := range []string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"} {
		r[name] = status[i]
	}
}

// workersOf are the workers of all apps by the name of their server: its process may be another's after it ("web/1" for "web/1.3").
func workersOf(p *picture.Picture) map[string]*picture.Worker {
	all := map[string]*picture.Worker{}
	for i := range p.Apps {
		for j := range p.Apps[i].Workers {
			w := &p.Apps[i].Workers[j]
			all[w.Name] = w
			if place, _, ok := strings.Cut(w.Name, "."); ok && all[place] == nil {
				all[place] = w
			}
		}
	}
	return all
}
