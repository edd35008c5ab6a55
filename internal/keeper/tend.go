package keeper

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/app"
	"github.com/weirhq/weir/internal/config"
)

// What is seen to while workers serve, for the apps that ask for any of it: their alive checks, how much they have done and
// take, the file whose touch reloads them. One turn a second, or as often as the most frequent check; each question is
// asked on a goroutine of its own, and never twice at a time.
const tendEvery = time.Second

// tending is what the keeper remembers for it of one app.
type tending struct {
	checks    map[string]*aliveness // by worker
	done      map[string]*done      // by worker
	measuring bool
	looking   bool
	scaler    app.Scaler
	file      string // that was looked at last
	stamp     stamp
	touched   bool // a reload for it waits for its turn
}

// aliveness is what a worker's alive checks came to.
type aliveness struct {
	next   time.Time
	asking bool
	failed int // in a row
	unwell bool
	did    int64 // requests when the check was sent
}

// done is how many requests a worker has answered. An edge that dies takes its count with it; one that is replaced hands it
// on.
type done struct {
	deaths       int // of edges, when it was counted
	before, last int64
}

func (d *done) total() int64 { return d.before + d.last }

// stamp is what changes when a file is touched or replaced.
type stamp struct {
	there bool
	at    int64 // nanoseconds
	size  int64
}

// tended says whether there is anything to see to for an app.
func tended(a *config.App) bool {
	return counted(a) || a.Recycle.Memory > 0 || a.Reload.File != ""
}

// counted says whether it matters what the edge knows of its workers.
func counted(a *config.App) bool {
	return a.Alive.Path != "" || a.Recycle.AfterRequests > 0 || a.MaxWorkers > a.Workers
}

// tend takes a turn, and plans the next. As an event.
func (k *keeper) tend() {
	k.tends = false
	if k.stopping || !slices.ContainsFunc(k.apps, func(r *running) bool { return tended(r.life.App()) }) {
		return // until a reload brings something to see to
	}
	k.tends = true
	every, now, ask := tendEvery, time.Now(), false
	whole := now.Sub(k.tendedAt) >= tendEvery*9/10
	for _, r := range k.apps {
		a := r.life.App()
		if a.Alive.Path != "" {
			every = min(every, a.Alive.Every)
			k.checkAlive(r, now)
		}
		if !whole {
			continue
		}
		ask = ask || counted(a)
		if a.Recycle.Memory > 0 {
			k.measure(r)
		}
		if a.Reload.File != "" {
			k.lookAtFile(r)
		}
	}
	if whole {
		k.tendedAt = now
	}
	if ask {
		k.askLoads()
	}
	k.after(every, k.tend)
}

// live returns the workers of an app that serve, and with leaving those that finish what they have.
func (r *running) live(leaving bool) (all []api.WorkerStatus) {
	for _, w := range r.life.Status().Workers {
		if (w.State == app.Live.String() || leaving && w.State == app.Leaving.String()) && r.procs[w.Name] != nil {
			all = append(all, w)
		}
	}
	return all
}

// checkAlive sends the alive checks that are due.
func (k *keeper) checkAlive(r *running, now time.Time) {
	a := r.life.App().Alive
	seen := map[string]bool{}
	for _, w := range r.live(true) { // one that hangs while it leaves keeps its requests waiting
		seen[w.Name] = true
		c := r.tend.checks[w.Name]
		if c == nil { // the first after a random part of the time, so that workers are not asked together
			c = &aliveness{next: now.Add(rand.N(a.Every + 1))}
			r.tend.checks[w.Name] = c
		}
		if c.asking || now.Before(c.next) {
			continue
		}
		c.asking, c.next = true, now.Add(a.Every)
		c.did = r.tend.did(w.Name)
		p := r.procs[w.Name]
		k.goes(func() {
			err := p.Alive(k.ctx, a)
			k.post(func() {
				c.asking = false
				k.checked(r, w.Name, c, a, err)
			})
		})
	}
	for name := range r.tend.checks {
		if !seen[name] {
			delete(r.tend.checks, name)
		}
	}
}

// checked takes the outcome of an alive check.
func (k *keeper) checked(r *running, worker string, c *aliveness, a config.Alive, err error) {
	if r.tend.checks[worker] != c || k.stopping {
		return // it has left meanwhile
	}
	if err == nil {
		c.failed = 0
		if c.unwell {
			c.unwell = false
			k.step(r, app.AliveOK{Worker: worker})
		}
		return
	}
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() && r.tend.did(worker) > c.did {
		return // it has answered others meanwhile: it is busy, and neither well nor unwell
	}
	if c.failed++; c.failed >= a.Fall && !c.unwell {
		c.unwell = true
		k.step(r, app.AliveFailed{Worker: worker, Why: fmt.Sprintf("failed its alive check (GET %s) %d times in a row: %v", a.Path, c.failed, err)})
	}
}

// did is how many requests a worker has answered, as far as is known.
func (t *tending) did(worker string) int64 {
	if d := t.done[worker]; d != nil {
		return d.total()
	}
	return 0
}

// measure finds out how much memory an app's workers take.
func (k *keeper) measure(r *running) {
	if r.tend.measuring {
		return
	}
	r.tend.measuring = true
	limit := r.life.App().Recycle
	from := limit.Memory - limit.Memory*int64(limit.Jitter)/100
	live := r.live(false)
	k.goes(func() {
		var all []app.Measured
		for _, w := range live {
			if n, ok := app.Memory(w.PID, from); ok {
				all = append(all, app.Measured{Worker: w.Name, Requests: -1, Memory: n})
			}
		}
		k.post(func() {
			r.tend.measuring = false
			for _, m := range all {
				m.Requests = r.tend.did(m.Worker)
				k.step(r, m)
			}
		})
	})
}

// askLoads asks the edge what it knows of the workers.
func (k *keeper) askLoads() {
	e := k.edge
	if e == nil || !e.ready || k.asking {
		return
	}
	k.asking = true
	k.goes(func() {
		var pools []api.PoolStatus
		err := k.ask(e, statusTime, "/v1/pools", nil, &pools)
		k.post(func() {
			k.asking = false
			if err == nil && k.edge == e && !k.stopping { // else with the next turn
				k.loads(pools)
			}
		})
	})
}

// loads takes what the edge knows of the workers.
func (k *keeper) loads(pools []api.PoolStatus) {
	sum := map[string]int64{}
	for _, p := range pools {
		for _, s := range p.Servers {
			if p.App != "" {
				sum[s.Name] += int64(s.Requests)
			}
		}
	}
	for _, r := range k.apps {
		if !counted(r.life.App()) {
			continue
		}
		live := r.live(false)
		known := map[string]*done{}
		for _, w := range live {
			d := r.tend.done[w.Name]
			if d == nil {
				d = &done{deaths: k.restarts}
			}
			if d.deaths != k.restarts {
				d.deaths, d.before, d.last = k.restarts, d.total(), 0 // the next one counts from nothing
			}
			d.last = max(d.last, sum[w.Name])
			known[w.Name] = d
		}
		r.tend.done = known
		for _, w := range live {
			k.step(r, app.Measured{Worker: w.Name, Requests: known[w.Name].total(), Memory: w.Memory})
		}
		k.scale(r, len(live), pools)
	}
}

// scale has more or fewer workers, where their number is not fixed.
func (k *keeper) scale(r *running, live int, pools []api.PoolStatus) {
	a := r.life.App()
	if a.MaxWorkers <= a.Workers {
		return
	}
	size := r.life.Size()
	n, why := r.tend.scaler.Want(time.Now(), size, a.Workers, a.MaxWorkers, loadOf(a.Name, live, pools))
	if n != size {
		k.step(r, app.Resize{Workers: n, Why: why})
	}
}

// loadOf adds up what the pools of an app's workers have to do. Where a worker may have any number of requests, it is busy
// with one.
func loadOf(name string, live int, pools []api.PoolStatus) app.Load {
	l := app.Load{Live: live}
	busy := map[string]float64{} // by worker, in all its pools
	for _, p := range pools {
		if p.App != name {
			continue
		}
		l.Queued += p.Queued
		for _, s := range p.Servers {
			if s.Active > 0 && s.State == "ready" {
				busy[s.Name] += float64(s.Active) / float64(max(int64(p.MaxConn), 1))
			}
		}
	}
	for _, b := range busy {
		l.Busy += min(b, 1) / float64(max(live, len(busy)))
	}
	return l
}

// overran takes the edge's word that requests took too long at a worker.
func (k *keeper) overran(o api.Overrun) {
	name, _, _ := strings.Cut(o.Worker, "/")
	r := k.find(name)
	if r == nil {
		return // its app has been taken out meanwhile
	}
	r.overrun += o.Requests
	r.lost += o.Lost
	k.log.Warn("requests took longer than request_timeout", "worker", o.Worker, "requests", o.Requests, "not_repeatable", o.Lost)
	k.step(r, app.Overdue{Worker: o.Worker})
}

// lookAtFile reloads an app when its file has been touched. It is looked at once a second instead of being watched: that works
// on every file system, and when the file, or the directory that it is in, is replaced.
func (k *keeper) lookAtFile(r *running) {
	if r.tend.looking {
		return
	}
	r.tend.looking = true
	path := r.life.App().Reload.File
	k.goes(func() {
		var now stamp
		if info, err := os.Stat(path); err == nil {
			now = stamp{true, info.ModTime().UnixNano(), info.Size()}
		}
		k.post(func() {
			r.tend.looking = false
			was, before := r.tend.stamp, r.tend.file
			r.tend.stamp, r.tend.file = now, path
			if before == path && now.there && now != was && !k.stopping {
				k.touched(r, path)
			}
		})
	})
}

// touched reloads an app after the reload that is under way.
func (k *keeper) touched(r *running, path string) {
	if r.tend.touched {
		return // the one that waits will start what there is then
	}
	r.tend.touched = true
	name := r.life.App().Name
	k.log.Info("app "+name+" is reloaded: its file was touched", "file", path)
	k.goes(func() {
		select {
		case k.op <- struct{}{}:
		case <-k.ended:
			return
		}
		if err := k.call(func() { r.tend.touched = false }); err != nil {
			<-k.op
			return
		}
		// The error is in the log and the status already.
		k.reloadNow(api.Reload{App: name, By: "somebody", Reason: "its file was touched"}) //nolint:errcheck // see above
	})
}

// newTending is what is remembered of an app that has just begun.
func newTending() tending {
	return tending{checks: map[string]*aliveness{}, done: map[string]*done{}}
}
