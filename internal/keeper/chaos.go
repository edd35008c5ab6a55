package keeper

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/notice"
)

// Faults made on purpose. Those that kill are made here, the others by edges, which are told of them with each state: so they go
// on over reloads, upgrades and edges that die, and end at their time whatever happens. They end with
// weir, and when a reload takes the leave away.

const (
	mostFaults  = 20 // at a time
	longFault   = time.Hour
	usualFault  = time.Minute
	mostLatency = time.Minute
	oftenWorker = 100 * time.Millisecond // the least between two kills
	oftenEdge   = time.Second
	whole       = 10000 // all requests, in hundredths of a percent
)

// chaos is what is made on purpose. Owned by the goroutine that handles events.
type chaos struct {
	faults []api.Fault
	last   int // ID
}

// checkFault looks at a fault that is asked for, and fills in what was left out.
func checkFault(f *api.Fault) error {
	if f.For == 0 {
		f.For = usualFault.Milliseconds()
	}
	if f.Share == 0 {
		f.Share = whole
	}
	switch {
	case f.For < 0 || f.For > longFault.Milliseconds():
		return fmt.Errorf("a fault ends after %v at the latest", longFault)
	case f.Share < 0 || f.Share > whole:
		return errors.New("the share of the requests is more than 0% and at most 100%")
	case len(f.By) > longBy || len(f.Reason) > longWhy || len(f.Route) > longWhy || len(f.Pool)+len(f.Server) > longWhy || len(f.App) > longWhy:
		return fmt.Errorf("too long: a name has at most %d bytes, a reason %d", longBy, longWhy)
	}
	if f.By = notice.OneLine(f.By); f.By == "" {
		f.By = "somebody"
	}
	f.Reason, f.ID, f.Made = notice.OneLine(f.Reason), 0, 0
	switch f.Do {
	case "kill-worker", "kill-edge":
		return checkKill(f)
	case "latency", "errors":
		return checkAffliction(f)
	}
	return fmt.Errorf("%q is no fault: there is kill-worker, kill-edge, latency and errors", f.Do)
}

func checkKill(f *api.Fault) error {
	least := oftenWorker
	if f.Do == "kill-edge" {
		least = oftenEdge
	}
	if f.Every != 0 && f.Every < least.Milliseconds() {
		return fmt.Errorf("%s every %v at the most", f.Do, least)
	}
	f.Route, f.Pool, f.Server, f.Add, f.Jitter, f.Status, f.Share = "", "", "", 0, 0, 0, 0
	return nil
}

func checkAffliction(f *api.Fault) error {
	byRoute, byServer := f.Route != "", f.Pool != "" && f.Server != ""
	switch {
	case byRoute == byServer:
		return errors.New("it is for a route (HOST/PATH) or for a server (POOL/SERVER)")
	case byRoute && !strings.Contains(f.Route, "/"):
		return fmt.Errorf("%q is no HOST/PATH: write %s/* for all of a host", f.Route, f.Route)
	case f.Do == "latency" && (f.Add <= 0 || f.Add > mostLatency.Milliseconds() || f.Jitter < 0 || f.Jitter > f.Add):
		return fmt.Errorf("latency adds more than 0 and at most %v, and its jitter is not more than that", mostLatency)
	case f.Do == "errors" && (f.Status < 400 || f.Status > 599):
		return errors.New("the status of errors is from 400 to 599")
	}
	f.App, f.Every = "", 0
	if f.Do == "errors" {
		f.Add, f.Jitter = 0, 0
	} else {
		f.Status = 0
	}
	return nil
}

// forbidden says why no faults may be made.
func (k *keeper) forbidden() error {
	return fmt.Errorf("the configuration does not allow chaos: write `chaos: allow` into %s, and weir reload", k.cfg.File)
}

// disturb begins a fault, and waits until the edge makes it.
func (k *keeper) disturb(f *api.Fault) error {
	var leave error
	if err := k.call(func() {
		if !k.cfg.Chaos {
			leave = k.forbidden()
		}
	}); err != nil || leave != nil {
		return errors.Join(err, leave)
	}
	if err := checkFault(f); err != nil {
		return err
	}
	if f.Server != "" && f.Server != "*" {
		var found api.Intervention
		if err := k.askServing("/v1/intervention", api.Intervention{Do: "find", Pool: f.Pool, Server: f.Server}, &found); err != nil {
			return err
		}
		f.Server = found.Server
	}
	var wrong error
	told := make(chan struct{})
	if err := k.call(func() { wrong = k.beginFault(f, told) }); err != nil || wrong != nil {
		return errors.Join(err, wrong)
	}
	late := time.NewTimer(callTime)
	defer late.Stop()
	select {
	case <-told:
		return nil
	case <-k.ended:
		return errStopping
	case <-late.C:
		return errors.New("it is noted, but the edge does not take it over; it is told again")
	}
}

// beginFault puts a fault in force. told is closed when it is. As an event.
func (k *keeper) beginFault(f *api.Fault, told chan struct{}) error {
	switch {
	case k.stopping:
		return errStopping
	case !k.cfg.Chaos:
		return k.forbidden()
	case len(k.chaos.faults) >= mostFaults:
		return fmt.Errorf("%d faults are made at once already: weir chaos stop ends them", mostFaults)
	}
	if f.App != "" && k.find(f.App) == nil {
		return fmt.Errorf("there is no app %q", f.App)
	}
	if f.Server == "*" && !slices.ContainsFunc(k.cfg.Pools, func(p *config.Pool) bool { return p.Name == f.Pool }) {
		return fmt.Errorf("there is no pool %q", f.Pool)
	}
	now := time.Now()
	lasts := time.Duration(f.For) * time.Millisecond
	k.chaos.last++
	f.ID, f.Since, f.Ends = k.chaos.last, now.UTC().Format(time.RFC3339), now.Add(lasts).UnixMilli()
	k.chaos.faults = append(slices.Clone(k.chaos.faults), *f) // what was told to edges does not change
	k.log.Warn(fmt.Sprintf("chaos: %s begins, by hand", f.Do), faultAttrs(f)...)
	if kills(f) {
		close(told)
	} else {
		k.people.waiting = append(k.people.waiting, waiting{k.version + 1, told})
		k.dirty = true
	}
	k.seeThrough(*f)
	return nil
}

// resumeChaos goes on with the faults of the program that this one follows. As an event.
func (k *keeper) resumeChaos(faults []api.Fault) {
	for _, f := range faults {
		k.chaos.faults = append(k.chaos.faults, f)
		k.chaos.last = max(k.chaos.last, f.ID)
	}
	for _, f := range faults {
		k.seeThrough(f)
	}
	k.calmIfForbidden()
}

// kills says whether it is the keeper that makes a fault.
func kills(f *api.Fault) bool { return f.Do == "kill-worker" || f.Do == "kill-edge" }

// seeThrough makes the kills of a fault that is in force, and ends it. As an event.
func (k *keeper) seeThrough(f api.Fault) {
	k.after(time.Until(time.UnixMilli(f.Ends)), func() { k.over(f.ID, "its time is over") })
	if kills(&f) {
		k.kill(f.ID)
	}
}

func faultAttrs(f *api.Fault) []any {
	attrs := []any{"id", f.ID, "by", f.By}
	for _, a := range []struct {
		name  string
		value string
	}{{"reason", f.Reason}, {"app", f.App}, {"route", f.Route}, {"pool", f.Pool}, {"server", f.Server}} {
		if a.value != "" {
			attrs = append(attrs, a.name, a.value)
		}
	}
	if f.Share > 0 {
		attrs = append(attrs, "share", fmt.Sprintf("%g%%", float64(f.Share)/100))
	}
	if f.Add > 0 {
		attrs = append(attrs, "add", time.Duration(f.Add)*time.Millisecond)
	}
	if f.Status > 0 {
		attrs = append(attrs, "status", f.Status)
	}
	return append(attrs, "for", time.Duration(f.For)*time.Millisecond)
}

// fault is a fault that is in force, nil when it has ended.
func (c *chaos) fault(id int) *api.Fault {
	for i := range c.faults {
		if c.faults[i].ID == id {
			return &c.faults[i]
		}
	}
	return nil
}

// over ends a fault. As an event.
func (k *keeper) over(id int, why string) {
	f := k.chaos.fault(id)
	if f == nil {
		return
	}
	ended := *f
	k.chaos.faults = slices.DeleteFunc(slices.Clone(k.chaos.faults), func(o api.Fault) bool { return o.ID == id })
	k.dirty = k.dirty || !kills(&ended)
	if !k.stopping {
		k.log.Warn(fmt.Sprintf("chaos: %s is over: %s", ended.Do, why), "id", id, "by", ended.By)
	}
}

// kill makes one kill of a fault, and plans the next. As an event.
func (k *keeper) kill(id int) {
	f := k.chaos.fault(id)
	if f == nil || k.stopping {
		return
	}
	if f.Do == "kill-edge" {
		k.killEdge(f)
	} else {
		k.killWorker(f)
	}
	if f.Every == 0 {
		k.over(id, "it was to be made once")
		return
	}
	k.after(time.Duration(f.Every)*time.Millisecond, func() { k.kill(id) })
}

func (k *keeper) killEdge(f *api.Fault) {
	if k.edge == nil || !k.edge.ready {
		return // it is being started
	}
	f.Made++
	k.log.Warn("chaos: the edge is killed", "pid", k.edge.cmd.Process.Pid, "by", f.By)
	k.edge.signal(syscall.SIGKILL)
}

func (k *keeper) killWorker(f *api.Fault) {
	type victim struct {
		r    *running
		name string
	}
	var all []victim
	for _, r := range k.apps {
		if f.App == "" || r.life.App().Name == f.App {
			for _, w := range r.live(false) {
				all = append(all, victim{r, w.Name})
			}
		}
	}
	if len(all) == 0 {
		return // none serves
	}
	v := all[rand.IntN(len(all))]
	p := v.r.procs[v.name]
	f.Made++
	k.log.Warn("chaos: a worker is killed", "worker", v.name, "pid", p.PID(), "by", f.By)
	if err := p.Signal("KILL"); err != nil {
		k.log.Error("a worker could not be killed", "error", err)
	}
}

// afflictions are the faults that edges make.
func (c *chaos) afflictions() (all []api.Fault) {
	for _, f := range c.faults {
		if !kills(&f) {
			all = append(all, f)
		}
	}
	return all
}

// calmIfForbidden ends all faults when the configuration that has come into force does not allow them. As an event.
func (k *keeper) calmIfForbidden() {
	if !k.cfg.Chaos {
		k.calm(0, "the configuration does not allow it any more")
	}
}

// calm ends one fault, or all. As an event.
func (k *keeper) calm(id int, why string) (ended []api.Fault) {
	for _, f := range k.chaos.faults {
		if id == 0 || f.ID == id {
			ended = append(ended, f)
		}
	}
	for _, f := range ended {
		k.over(f.ID, why)
	}
	return ended
}

func (k *keeper) serveCalm(w http.ResponseWriter, r *http.Request) {
	var in api.Calm
	if err := api.ReadRequest(w, r, &in); err != nil {
		api.AnswerError(w, http.StatusBadRequest, err)
		return
	}
	by := notice.OneLine(in.By[:min(len(in.By), longBy)])
	out := api.Faults{Faults: []api.Fault{}}
	if err := k.call(func() { out.Faults = append(out.Faults, k.calm(in.ID, "stopped by "+by)...) }); err != nil {
		api.AnswerError(w, http.StatusServiceUnavailable, err)
		return
	}
	if in.ID != 0 && len(out.Faults) == 0 {
		api.AnswerError(w, http.StatusUnprocessableEntity, fmt.Errorf("there is no fault %d: weir chaos list shows them", in.ID))
		return
	}
	api.Answer(w, http.StatusOK, out)
}

func (k *keeper) serveFaults(w http.ResponseWriter, _ *http.Request) {
	out := api.Faults{Faults: []api.Fault{}}
	if err := k.call(func() { out.Faults = append(out.Faults, k.chaos.faults...) }); err != nil {
		api.AnswerError(w, http.StatusServiceUnavailable, err)
		return
	}
	if len((&chaos{faults: out.Faults}).afflictions()) > 0 {
		var e api.EdgeStatus
		if err := k.askServing("/v1/status", nil, &e); err == nil { // without an edge there is nothing to count
			countFaults(out.Faults, e.Faults)
		}
	}
	api.Answer(w, http.StatusOK, out)
}

// countFaults notes how often the edge has made faults.
func countFaults(all, made []api.Fault) {
	for i := range all {
		for _, m := range made {
			if m.ID == all[i].ID {
				all[i].Made = m.Made
			}
		}
	}
}
