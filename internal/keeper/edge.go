package keeper

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/app"
	"github.com/weirhq/weir/internal/config"
)

// errBetweenEdges is that no edge serves just now, which is over in a moment.
var errBetweenEdges = errors.New("the edge is being started: try again")

const (
	callTime   = 10 * time.Second // for the edge to answer a call
	startTime  = 15 * time.Second // for an edge to be ready
	edgeYoung  = 10 * time.Second // an edge that dies younger than this is a bad sign
	edgeDeaths = 3                // so many bad signs in a row are no accident; the first restarts are at once
)

// edge is one process of the data plane.
type edge struct {
	child
	door    *door
	program *program // while it is coming
	ready   bool
	is      chan struct{} // closed when it is ready
	problem string        // what it reported
	told    snapshot
	until   time.Time // it may finish what it has, once it has been replaced
}

// door is where an edge is called. It outlives edges that die, so that nobody is refused while one is started again.
type door struct {
	file   *os.File // the listening socket
	path   string
	client *api.Client
}

// snapshot is a state as it was told to an edge.
type snapshot struct {
	state    api.EdgeState
	apps     map[string]bool // that the edge knows of with it
	proposal *proposal
}

// proposal is a configuration that is to come into force with the next state.
type proposal struct {
	cfg    *config.Config
	source api.Source
	answer chan error
}

// snapshot makes the state that an edge should have now.
func (k *keeper) snapshot(p *proposal) snapshot {
	cfg, source := k.cfg, k.source
	if p != nil {
		cfg, source = p.cfg, p.source
	}
	k.version++
	s := snapshot{state: api.EdgeState{Version: k.version, Source: source, Secret: k.secret, RunDir: k.runDir}, apps: map[string]bool{}, proposal: p}
	for _, a := range cfg.Apps {
		s.apps[a.Name] = true
	}
	s.state.Workers = k.serving(s.apps)
	s.state.Hands = standing(k.people.hands, cfg, s.state.Workers)
	if p == nil { // what is only proposed may be refused
		k.people.hands = s.state.Hands
	}
	if cfg.Chaos {
		s.state.Faults = k.chaos.afflictions()
	}
	return s
}

// serving are the workers of a configuration's apps. As an event.
func (k *keeper) serving(apps map[string]bool) []api.Worker {
	all := []api.Worker{}
	for _, r := range k.apps {
		if apps[r.life.App().Name] {
			all = append(all, r.life.Serving()...)
		}
	}
	return all
}

// startEdge starts an edge on the sockets with the state in force. If it cannot, it tries again.
func (k *keeper) startEdge() {
	if k.stopping || k.edge != nil {
		return
	}
	e, err := k.launchEdge(k.door, k.program, false)
	if err != nil {
		k.deaths++
		if !k.told && k.deaths >= edgeDeaths {
			k.fail(fmt.Errorf("starting the edge: %w", err))
			return
		}
		wait := edgeWait(k.deaths, false)
		k.log.Error("the edge cannot be started", "error", err, "next_try", wait)
		k.after(max(wait, 100*time.Millisecond), k.startEdge)
		return
	}
	k.edge = e
	k.attend(e)
}

// attend sees an edge through to its end.
func (k *keeper) attend(e *edge) {
	e.heard = make(chan struct{})
	k.goes(func() {
		defer close(e.heard)
		k.listenTo(e)
	})
	k.reap(&e.child, func() { k.edgeExited(e) })
	k.after(max(startTime-time.Since(e.started), 0), func() {
		if !e.ready && !e.dead() {
			e.problem = fmt.Sprintf("it was not ready within %v", startTime)
			k.log.Error("the edge is killed", "reason", e.problem)
			e.signal(syscall.SIGKILL)
		}
	})
}

// launchEdge starts an edge of a program that is called through the door. With hold it accepts nothing before it is told to.
func (k *keeper) launchEdge(d *door, p *program, hold bool) (*edge, error) {
	argv := k.opts.Edge
	if argv == nil {
		argv = []string{p.path(), "edge"}
	}
	c, err := k.launch(argv, k.opts.Stdout)
	if err != nil {
		return nil, err
	}
	e := &edge{child: c, door: d, told: k.snapshot(nil), is: make(chan struct{})}
	if err := k.handOver(e, hold); err != nil {
		// It is started and will exit, since its sockets never come: its death is handled as any other.
		k.log.Error("handing over to the edge", "error", err)
		e.conn.Close() //nolint:errcheck // the error that counts was said
		e.signal(syscall.SIGKILL)
	}
	return e, nil
}

func (k *keeper) handOver(e *edge, hold bool) error {
	if err := api.SendHandover(e.conn, api.Handover{Kind: "control"}, e.door.file); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(k.listeners)) {
		if l := k.listeners[name]; !l.spec.Desk {
			if err := e.offer(l); err != nil {
				return err
			}
		}
	}
	if err := api.SendState(e.conn, e.told.state); err != nil {
		return err
	}
	return api.SendHandover(e.conn, api.Handover{Kind: "start", Hold: hold})
}

func (e *edge) offer(l *listener) error {
	return api.SendHandover(e.conn, api.Handover{Kind: "listener", Network: l.spec.Network, Address: l.spec.Address}, l.files...)
}

// listenTo takes an edge's reports until it is gone.
func (k *keeper) listenTo(e *edge) {
	for {
		if err := api.AwaitReport(e.conn); err != nil {
			return
		}
		// What this program has taken, another one that takes its place cannot take any more.
		k.starter.Enter()
		r, err := api.ReceiveReport(e.conn)
		if err != nil {
			k.starter.Leave()
			return // its death is told by the process's exit; when it only closed the pair, it is as good as dead
		}
		k.post(func() {
			if r.Error != "" {
				e.problem = r.Error
			}
			if r.Overrun != nil {
				k.overran(*r.Overrun)
			}
			if !r.Ready || e.ready {
				return
			}
			e.ready = true
			close(e.is)
			if k.edge == e {
				k.log.Info("the edge serves", "pid", e.cmd.Process.Pid, "after", time.Since(e.started).Round(time.Millisecond))
				k.dirty = true // what has changed since it was started
				k.announced(e.told)
				k.tellReady()
				k.goes(func() { k.watch(e) })
			}
		})
		k.starter.Leave()
	}
}

func (k *keeper) edgeExited(e *edge) {
	e.conn.Close() //nolint:errcheck // it has no other end
	if k.edge != e {
		k.leftOver(e)
		return
	}
	k.edge = nil
	k.dirty = true // whoever waits to be out of it is
	if k.stopping {
		e.door.close() // an edge that it has followed is not to wait for an answer there
		return
	}
	if time.Since(e.started) > edgeYoung {
		k.deaths = 0
	}
	k.deaths++
	why := e.how
	if e.problem != "" {
		why += ": " + e.problem
	}
	if !k.told && !e.ready && (e.problem != "" || k.deaths >= edgeDeaths) {
		k.fail(fmt.Errorf("the edge cannot serve: %s", why))
		return
	}
	k.restarts++
	wait := edgeWait(k.deaths, e.ready)
	switch {
	case k.deaths >= edgeDeaths:
		k.log.Error(fmt.Sprintf("CRASH LOOP: the edge died %d times in a row: %s", k.deaths, why), "next_start", wait)
	default:
		k.log.Error("the edge died: it is started again on the same sockets", "how", why)
	}
	if wait == 0 {
		k.startEdge()
		return
	}
	k.after(wait, k.startEdge)
}

// edgeWait is the wait before the next start of the edge, after so many that lived short; served says that the last one
// was ready. Then a start is known to work and costs milliseconds, while every wait is requests that nobody answers: it
// only keeps a death at each request from taking the whole machine.
func edgeWait(deaths int, served bool) time.Duration {
	if deaths < edgeDeaths {
		return 0
	}
	if served {
		return 50 * time.Millisecond
	}
	return min(100*time.Millisecond<<min(deaths-edgeDeaths, 10), 5*time.Second)
}

// ask calls an edge (GET if there is nothing to tell it), and gives up when it dies: the control socket outlives it, so a call that it had not taken yet
// would wait there for its successor. When it returns, an edge whose death was why nobody answered is known to be dead.
func (k *keeper) ask(e *edge, within time.Duration, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(k.ctx, within)
	answered := make(chan struct{})
	k.goes(func() {
		select {
		case <-e.exited:
		case <-answered:
		}
		cancel()
	})
	defer close(answered)
	var err error
	if in == nil {
		err = e.door.client.Get(ctx, path, out)
	} else {
		err = e.door.client.Post(ctx, path, in, out)
	}
	if gone := (*api.Unreachable)(nil); errors.As(err, &gone) && ctx.Err() == nil {
		// Its connections are cut a moment before its end is known.
		select {
		case <-e.exited:
		case <-ctx.Done():
		case <-time.After(lastWords):
		}
	}
	return err
}

// settle tells the edge what has changed, if anything has and the edge can be told.
func (k *keeper) settle() {
	for k.dirty && !k.pushing && (k.edge == nil || k.edge.ready) {
		k.dirty = false
		if k.edge == nil {
			k.withoutEdge()
			continue
		}
		k.pushing = true
		e, s := k.edge, k.snapshot(k.proposal)
		tell := k.forRetired(s.state)
		k.goes(func() {
			err := k.ask(e, callTime, "/v1/state", s.state, nil)
			if err == nil { // what the one in force refuses is for nobody
				tell()
			}
			k.post(func() { k.pushed(e, s, err) })
		})
	}
}

// withoutEdge lets workers leave at once when there is no edge that could give them requests: the next one begins
// without them.
func (k *keeper) withoutEdge() {
	if p := k.proposal; p != nil {
		k.proposal = nil
		p.answer <- errNoEdge
	}
	for _, r := range slices.Clone(k.apps) {
		for _, w := range r.life.Serving() {
			if w.State == "leaving" {
				k.step(r, app.Announced{Worker: w.Name, State: app.Leaving})
			}
		}
	}
}

// pushed takes the edge's answer to a state.
func (k *keeper) pushed(e *edge, s snapshot, err error) {
	k.pushing = false
	if err == nil && k.edge == e {
		k.people.told(s.state.Version)
		e.told = s
		if s.proposal != nil {
			k.cfg, k.source = s.proposal.cfg, s.proposal.source
			k.people.hands = standing(k.people.hands, k.cfg, k.serving(s.apps))
			k.calmIfForbidden()
			k.proposal = nil
			s.proposal.answer <- nil
		}
		k.announced(s)
		return
	}
	if err == nil {
		err = fmt.Errorf("%w: it died meanwhile", errNoEdge)
	}
	if s.proposal != nil {
		k.proposal = nil
		k.dirty = true // the state in force, lest it be the other one that is
		s.proposal.answer <- err
		return
	}
	if k.edge != e {
		k.dirty = true // a new edge may have taken what was meant for the old one
		return
	}
	if !k.stopping {
		k.log.Error("the edge did not take over which workers there are; it is told again", "error", err)
	}
	k.after(100*time.Millisecond, func() { k.dirty = true })
}

// announced tells the lives what is in force at the edge. Workers of an app that the edge does not know are as they
// wish to be: nobody gives them requests.
func (k *keeper) announced(s snapshot) {
	state := map[string]string{}
	for _, w := range s.state.Workers {
		state[w.Name] = w.State
	}
	for _, r := range slices.Clone(k.apps) {
		known := s.apps[r.life.App().Name]
		for _, w := range r.life.Serving() {
			if known && state[w.Name] != w.State {
				continue // told with the next state
			}
			now := app.Ready
			if w.State == "leaving" {
				now = app.Leaving
			}
			k.step(r, app.Announced{Worker: w.Name, State: now})
		}
	}
}
