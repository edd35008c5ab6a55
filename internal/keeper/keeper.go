package keeper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/app"
	"github.com/weirhq/weir/internal/config"
)

// Preflight looks for what would keep an app's workers from being started. Its errors have places.
func Preflight(cfg *config.Config) error {
	for _, a := range cfg.Apps {
		if err := app.Preflight(a, cfg.RunDir); err != nil {
			return placed(cfg, err)
		}
	}
	return nil
}

// Options is what the keeper is told by who starts it.
type Options struct {
	Load    func() (*config.Config, []config.Warning, error) // reads the configuration; again with each reload
	Open    func(read int64) (*config.Main, error)           // instead of Load: reads the configuration's own file, which may include others
	Loops   int                                              // sockets per TCP address, as many as the edge has loops; 0: one per processor
	Edge    []string                                         // the command of the edge; nil: this program with the argument "edge"
	Guard   []string                                         // the command of the guard; nil: this program with the argument "guard"
	Desk    []string                                         // the command of the desk; nil: this program with the argument "desk"
	Stdout  *os.File                                         // the edge's standard output
	Stderr  *os.File                                         // the keeper's log, the workers' output, the edge's standard error
	Signals <-chan os.Signal                                 // INT and TERM stop, a second one at once; HUP reloads, USR1 reopens the access log
	Version string                                           // of weir
	Adopt   bool                                             // orphans of workers become the keeper's children, so that none stays
	Pulse   time.Duration                                    // between two signs of life of the edge, and a part of what a desk has; 0: five seconds
	Ready   func()                                           // called once, when every app has a live worker; may be nil

	// For another program to take this one's place (weir upgrade); without them only the edge is replaced.
	Thread *app.Thread // the main thread, which processes are started from
	// Parse reads again what was in force, machine or not: the configuration and, where Open is given, its own file.
	Parse  func(api.Source) (*config.Main, *config.Config, error)
	Estate *os.File                   // that another program has left, whose place this one has taken; nil: nobody has
	Flush  func(within time.Duration) // waits until what Notify was told is said; may be nil
	// Unhandle gives up the handlers of Signals, until again is called: HUP and USR1 are ignored then, INT and TERM end the process. What
	// has come before is in Signals when it returns. May be nil.
	Unhandle func() (again func())

	Inherited []*os.File         // listening sockets that were handed down: those that the configuration names are used
	Notify    func(state string) // tells whoever started weir how it is (sd_notify(3)); it must not wait; may be nil
	Watchdog  time.Duration      // between two signs of life by Notify; 0: none
}

var (
	errStopping = errors.New("weir is stopping")
	errBusy     = errors.New("another reload is under way: wait until it is done")
)

type keeper struct {
	// Never change.
	opts    Options
	log     *slog.Logger
	level   *slog.LevelVar
	sink    *app.Sink
	starter *app.Starter
	runDir  string
	since   time.Time
	lock    *os.File
	apiFile *os.File // the listening socket of the server
	server  *http.Server
	calls   *http.Server  // has been shut down for an upgrade that was not to be, and may have calls still
	socket  net.Listener  // the server's
	served  chan struct{} // closed when server takes no more calls
	streams chan struct{} // closed when answers that go on are to end
	calling *atomic.Int32 // connections of the server
	secret  []byte        // that all edges have in common
	self    *program      // that this process runs
	heir    *heir         // until it has begun to go on in another program's place
	ctx     context.Context
	cancel  context.CancelFunc

	events    chan func()
	ended     chan struct{}  // the goroutine that handles events is done
	finished  chan struct{}  // everything is stopped
	released  chan struct{}  // and nothing is held any more
	stops     sync.WaitGroup // calls that asked for it
	now       chan struct{}  // stop at once
	work      sync.WaitGroup
	op        chan struct{} // holds one token: who has it reloads
	filing    atomic.Int32  // who have it or wait for it for an included file, which is a matter of moments
	upgrading atomic.Bool   // an upgrade has it
	reads     atomic.Int64  // how often files have been read
	callers   atomic.Int32  // who asked for an upgrade and have no answer yet
	included  *included     // nil: Options.Load knows of none

	// Owned by the goroutine that handles events.
	cfg        *config.Config
	source     api.Source
	version    int64    // of the state told last
	program    *program // that edges are started from
	inherited  []inherited
	listeners  map[string]*listener
	apps       []*running
	used       map[string]map[int]int // generations of apps that were removed
	door       *door                  // of the edge that accepts, or is to
	doors      int                    // made so far
	edge       *edge
	coming     *edge   // is made ready to take the edge's place
	retired    []*edge // have been replaced, and finish what they have
	desk       *desk   // nil: there is none, or it has just died
	guard      *guard
	former     *guard // has been replaced, and is let go
	deaths     int    // of edges that lived short, in a row
	restarts   int    // of the edge
	deskDeaths int    // of desks that lived short, in a row
	deskWaits  bool   // one that died is to be started again later
	dirty      bool
	pushing    bool
	proposal   *proposal
	people     people
	chaos      chaos
	tickets    map[int]chan string
	ticket     int
	stopping   bool
	hup        bool            // a SIGHUP waits for its turn
	asked      time.Time       // when a signal asked for the stop
	warned     map[string]bool // apps that run as root
	told       bool            // that it is ready
	tends      bool            // there is a turn to come: see tend
	tendedAt   time.Time       // when everything was seen to last
	asking     bool            // the edge is being asked what its workers have done
	problem    string
	failure    error // why Run is to fail
}

// Run keeps everything that the configuration names until it is told to stop, and returns nil then. An error before
// that is one line (more for a configuration with several errors) that a person can act on.
func Run(ctx context.Context, o Options) error {
	begin := open
	if o.Estate != nil {
		begin = takeOver
	}
	k, err := begin(o)
	if err != nil {
		return err
	}
	return k.run(ctx)
}

// run is the one goroutine that handles events.
func (k *keeper) run(ctx context.Context) error {
	if k.heir != nil {
		k.op <- struct{}{} // the upgrade goes on: nobody who calls can be before it
		k.upgrading.Store(true)
	}
	k.takeCalls()
	if k.opts.Watchdog > 0 {
		k.goes(func() { k.feed(k.opts.Watchdog) })
	}
	if k.heir != nil {
		k.resume()
	} else {
		k.begin()
	}
	if k.included != nil {
		k.goes(k.included.run)
	}
	done := ctx.Done()
	for {
		k.settle()
		k.tellGuard()
		k.tendDesk()
		if !k.tends {
			k.tend()
		}
		select {
		case f := <-k.events:
			f()
		case s := <-k.opts.Signals:
			k.signal(s)
		case <-done:
			done = nil
			k.stop(k.cfg.Timeouts.Drain)
		case <-k.finished:
			k.close()
			return k.failure
		}
	}
}

// begin starts everything.
func (k *keeper) begin() {
	k.startGuard()
	k.startEdge()
	// While the edge begins, since all processes of the machine are looked at, and before there is a worker: one may want a port of theirs.
	if n := app.KillLeftovers(k.runDir); n > 0 {
		k.log.Warn("processes of workers that an earlier weir left behind were killed", "count", n)
	}
	for _, a := range k.cfg.Apps {
		begun := k.wish(k.add(a), func(t int) app.Event { return app.Begin{Ticket: t} })
		cfg := k.cfg
		k.goes(func() {
			if err := k.answer(begun); err != nil && !k.ending() {
				k.sayError(misses(cfg, a, err))
				k.post(func() { k.missing(cfg, a) })
			}
		})
	}
}

// oneWish is the time in which a second signal to stop is still the first wish: timeout(1), shells and other supervisors
// signal the process and then its group. A person who has no patience needs longer.
const oneWish = 200 * time.Millisecond

func (k *keeper) signal(s os.Signal) {
	switch s {
	case syscall.SIGHUP:
		k.hangup()
	case syscall.SIGUSR1:
		k.goes(func() {
			k.reopen() //nolint:errcheck // as above
		})
	case syscall.SIGCHLD:
		k.goes(k.starter.Reap)
	default:
		if k.stopping {
			if time.Since(k.asked) < oneWish {
				return
			}
			k.log.Warn("stopping at once", "signal", s.String())
			k.atOnce()
			return
		}
		k.log.Info("stopping", "signal", s.String())
		k.asked = time.Now()
		k.stop(k.cfg.Timeouts.Drain)
	}
}

// hangup reads the configuration anew, after the reload that is under way: a signal has no answer that could say "later".
// As an event.
func (k *keeper) hangup() {
	if k.hup {
		return // the one that waits will read what there is then
	}
	k.hup = true
	k.goes(func() {
		select {
		case k.op <- struct{}{}:
		case <-k.ended:
			return
		}
		if err := k.call(func() { k.hup = false }); err != nil {
			<-k.op
			return
		}
		// The error is in the log and the status already.
		k.reloadNow(api.Reload{By: "somebody", Reason: "SIGHUP"}) //nolint:errcheck // see above
	})
}

// ending says whether everything is being stopped. From any goroutine but the one that handles events.
func (k *keeper) ending() bool {
	stopping := true
	if err := k.call(func() { stopping = k.stopping }); err != nil {
		return true // it has ended
	}
	return stopping
}

// goes runs f on a goroutine that close waits for.
func (k *keeper) goes(f func()) {
	k.work.Add(1)
	go func() { defer k.work.Done(); f() }()
}

// post has f run as an event. From any goroutine but the one that handles them. False when that one has ended.
func (k *keeper) post(f func()) bool {
	select {
	case k.events <- f:
		return true
	case <-k.ended:
		return false
	}
}

// call is post, and waits until f has run.
func (k *keeper) call(f func()) error {
	done := make(chan struct{})
	if !k.post(func() { defer close(done); f() }) {
		return errStopping
	}
	select {
	case <-done:
		return nil
	case <-k.ended:
		return errStopping
	}
}

// after has f run as an event after some time.
func (k *keeper) after(d time.Duration, f func()) {
	time.AfterFunc(d, func() { k.post(f) })
}

// running is an app and its processes.
type running struct {
	life   *app.Life
	procs  map[string]*app.Process
	checks map[string]context.CancelFunc
	tend   tending
	handed bool         // workers have been given sockets
	todo   []app.Action // to go on in another program's place

	coming  bool          // for a file that is not in force yet: no configuration names it
	broken  bool          // of an included file: it did not start, which is no reason to wait for it
	leaving chan struct{} // closed when it is forgotten; nil: it is to stay

	overrun, lost int // requests: see api.AppStatus
}

func (k *keeper) add(a *config.App) *running {
	r := &running{life: app.NewLife(a, k.used[a.Name]), procs: map[string]*app.Process{}, checks: map[string]context.CancelFunc{}, tend: newTending()}
	k.apps = append(k.apps, r)
	return r
}

func (k *keeper) find(name string) *running {
	for _, r := range k.apps {
		if r.life.App().Name == name {
			return r
		}
	}
	return nil
}

// wish gives an app's life an event with a new ticket; the channel gets the answer.
func (k *keeper) wish(r *running, event func(ticket int) app.Event) <-chan string {
	k.ticket++
	answer := make(chan string, 1)
	k.tickets[k.ticket] = answer
	k.step(r, event(k.ticket))
	return answer
}

// step tells a life what happened and does what it wants.
func (k *keeper) step(r *running, e app.Event) {
	for _, a := range r.life.Step(time.Now(), e) {
		k.do(r, a)
	}
	k.tellReady()
}

func (k *keeper) do(r *running, a app.Action) {
	switch a := a.(type) {
	case app.Spawn:
		k.spawn(r, a)
	case app.Check:
		k.check(r, a.Worker)
	case app.Announce:
		k.dirty = true
	case app.Drain:
		k.drain(r, a)
	case app.Signal:
		if p := r.procs[a.Worker]; p != nil {
			if err := p.Signal(a.Name); err != nil {
				k.log.Error("a worker could not be signalled", "error", err)
			}
		}
	case app.SetTimer:
		k.after(a.After, func() { k.step(r, app.Timer{ID: a.ID}) })
	case app.Say:
		k.log.Log(k.ctx, map[app.Level]slog.Level{app.Info: slog.LevelInfo, app.Warn: slog.LevelWarn, app.Loud: slog.LevelError}[a.Level], a.Text)
	case app.Done:
		k.tickets[a.Ticket] <- a.Problem
		delete(k.tickets, a.Ticket)
	}
}

func (k *keeper) spawn(r *running, s app.Spawn) {
	k.goes(func() {
		k.starter.Enter()
		p, err := app.Launch(k.starter, k.sink, k.runDir, s)
		if err != nil {
			defer k.starter.Leave()
			k.post(func() {
				var h *app.HookError
				errors.As(err, &h)
				failed := app.StartFailed{Worker: s.Worker, Why: err.Error()}
				if h != nil {
					failed.Lines = h.Lines
				}
				k.step(r, failed)
				k.release(r)
			})
			return
		}
		k.post(func() {
			r.procs[s.Worker] = p
			k.step(r, app.Started{Worker: s.Worker, Address: p.Address, PID: p.PID()})
		})
		k.starter.Leave()
		k.await(r, p)
	})
}

// await waits for the end of a worker's process.
func (k *keeper) await(r *running, p *app.Process) {
	<-p.Done()
	defer k.starter.Leave()
	k.post(func() {
		delete(r.procs, p.Worker)
		if cancel := r.checks[p.Worker]; cancel != nil {
			cancel()
			delete(r.checks, p.Worker)
		}
		if err := p.Afterwards(); err != nil {
			k.log.Warn("after a worker's end", "worker", p.Worker, "error", err)
		}
		how, words := p.Exit()
		k.step(r, app.Exited{Worker: p.Worker, How: how, Words: words, Lines: p.Lines()})
		k.release(r)
	})
}

// release closes the sockets that were handed to workers that are gone, and are not kept for others.
func (k *keeper) release(r *running) {
	a := r.life.App()
	if !a.Handed && !r.handed {
		return
	}
	r.handed = true // it may have been in the configuration before
	keep := map[string]bool{}
	for _, w := range r.life.Heirs() {
		keep[w] = true
	}
	for _, w := range r.life.Status().Workers {
		keep[w.Name] = true
	}
	k.starter.Release(a.Name, keep)
}

func (k *keeper) check(r *running, worker string) {
	p := r.procs[worker]
	ctx, cancel := context.WithCancel(k.ctx)
	r.checks[worker] = cancel
	k.goes(func() {
		err := p.AwaitReady(ctx)
		k.post(func() {
			switch {
			case err == nil:
				k.step(r, app.ReadyOK{Worker: worker})
			case ctx.Err() == nil:
				k.step(r, app.ReadyFailed{Worker: worker, Why: err.Error()})
			}
		})
	})
}

func (k *keeper) drain(r *running, d app.Drain) {
	edges := k.edges()
	if len(edges) == 0 {
		// The event comes later, as every answer does: the actions that led here are not all done yet.
		k.after(0, func() { k.step(r, app.Drained{Worker: d.Worker}) })
		return
	}
	k.goes(func() {
		var left atomic.Int64
		var all sync.WaitGroup
		for _, e := range edges {
			all.Go(func() {
				var out api.Drained
				if err := k.ask(e, d.Within+callTime, "/v1/drain", api.Drain{Worker: d.Worker, Within: d.Within.Milliseconds()}, &out); err != nil && !e.dead() {
					// An edge that died has no requests; one that hangs must not keep a worker for ever.
					k.log.Warn("the edge did not say that a worker is drained", "worker", d.Worker, "error", err)
				}
				left.Add(out.Left)
			})
		}
		all.Wait()
		k.post(func() { k.step(r, app.Drained{Worker: d.Worker, Left: left.Load()}) })
	})
}

// edges are those that may have requests.
func (k *keeper) edges() []*edge {
	all := slices.Clone(k.retired)
	if k.edge != nil {
		all = append(all, k.edge)
	}
	return all
}

// missing notes that an app did not start. Those of the configuration's own file are waited for, however long it takes; one of
// an included file must not keep the others from being announced. As an event.
func (k *keeper) missing(cfg *config.Config, a *config.App) {
	if r := k.find(a.Name); r != nil && isIncluded(cfg, a) {
		r.broken = true
		k.tellReady()
	}
}

// tellReady says once that the site is up: the edge serves, and every app has a live worker.
func (k *keeper) tellReady() {
	if k.told || k.stopping || k.edge == nil || !k.edge.ready {
		return
	}
	apps := ""
	for _, r := range k.apps {
		if r.coming || r.broken && r.life.Live() == 0 {
			continue
		}
		if r.life.Live() == 0 {
			return
		}
		n := r.life.App().Workers
		apps += fmt.Sprintf(", %s (%d %s)", r.life.App().Name, n, plural(n, "worker"))
	}
	if apps != "" {
		apps = " → " + apps[2:]
	}
	k.told = true
	urls := ""
	for _, l := range k.cfg.Traffic() {
		urls += ", " + k.listeners[key(l)].url()
	}
	for _, page := range k.deskURLs() {
		urls += ", status page " + page
	}
	k.log.Info(fmt.Sprintf("ready in %d ms%s%s", time.Since(k.since).Milliseconds(), urls, apps))
	k.notifyReady()
	if k.opts.Ready != nil {
		k.opts.Ready()
	}
}

func plural(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return noun
}
