package pool

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	resolveEvery  = 10 * time.Second // without the records' TTL, which the system's resolver does not tell
	resolveAtMost = time.Second      // apart, when connect errors ask for it
	resolveWithin = 3 * time.Second
	resolveAtOnce = 8
)

type what uint8

const (
	nothing what = iota
	serverDown
	serverUp
	badWorker
	checkFailed
	checkPassed
	serverEjected
	notEjected
	serverBack
	agentAsks
	agentFails
	breakerOpen
	breakerClosed
	newPrimary
	twoPrimaries
)

// event is something that the log should know. Loops hand it over rather than write it: a log may block.
type event struct {
	what         what
	pool, server string
	err          error
	text         string        // why, in words
	time         time.Duration // how long
}

// watcher is the one goroutine of a Set: it resolves the host names again and writes the log.
type watcher struct {
	s      *Set
	hosts  []string
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{}
	soon   chan struct{}
	save   chan struct{} // sessions changed
	events chan event
	failed map[string]bool // names whose last lookup failed: said once

	unsaved bool // sessions could not be saved: said once
}

func newWatcher(s *Set, hosts []string) *watcher {
	w := &watcher{s: s, hosts: hosts, done: make(chan struct{}), soon: make(chan struct{}, 1), save: make(chan struct{}, 1), events: make(chan event, 64), failed: map[string]bool{}}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	return w
}

func (w *watcher) start() { go w.run() }

// stop ends the goroutine and waits for it.
func (w *watcher) stop() {
	w.cancel()
	<-w.done
}

// note hands an event to the log. It never waits: what is too much is lost, and counts show it all the same.
func (s *Set) note(e event) {
	select {
	case s.watch.events <- e:
	default:
	}
}

// resolveSoon asks for the names to be resolved before their time.
func (s *Set) resolveSoon() {
	select {
	case s.watch.soon <- struct{}{}:
	default:
	}
}

func (w *watcher) run() {
	defer close(w.done)
	timer := time.NewTimer(jitter(resolveEvery))
	defer timer.Stop()
	last := time.Now()
	for {
		select {
		case <-w.ctx.Done():
			w.saveSessions()
			return
		case <-w.save:
			w.saveSessions()
		case e := <-w.events:
			w.log(e)
		case <-w.soon:
			timer.Reset(max(0, resolveAtMost-time.Since(last)))
		case <-timer.C:
			w.again()
			last = time.Now()
			timer.Reset(jitter(resolveEvery))
		}
	}
}

// jitter spreads d by a tenth, so that the nodes of a fleet do not ask all at once.
func jitter(d time.Duration) time.Duration { return d - d/20 + rand.N(d/10) }

func (w *watcher) log(e event) {
	log := w.s.env.Log.With("pool", e.pool)
	switch e.what {
	case serverDown:
		log.Warn("server is down: no connection", "server", e.server, "error", e.err)
	case serverUp:
		log.Info("server is up again", "server", e.server)
	case breakerOpen:
		log.Warn("most requests fail: the pool is asked nothing for a while")
	case breakerClosed:
		log.Info("requests are well again: the pool is asked as before")
	case newPrimary:
		log.Info("server is the primary", "server", e.server, "check", e.text)
	case twoPrimaries:
		log.Warn("two servers say that they are the primary: this one gets nothing", "server", e.server, "primary", e.text)
	case badWorker:
		log.Error("worker is left out", "error", e.err)
	case checkFailed:
		log.Warn("server is down: its check failed", "server", e.server, "check", e.text)
	case checkPassed:
		log.Info("server is up: its check passed", "server", e.server, "check", e.text, "after", e.time.Round(time.Second))
	case serverEjected:
		log.Warn("server is ejected", "server", e.server, "why", e.text, "for", e.time)
	case notEjected:
		log.Warn("server should be ejected, but too many are closed already", "server", e.server, "why", e.text)
	case serverBack:
		log.Info("ejected server is back", "server", e.server)
	case agentFails:
		log.Warn("an agent does not answer: what it said last counts", "server", e.server, "error", e.text)
	case agentAsks:
		log.Info("an app asks by its agent", "server", e.server, "for", e.text)
	}
}

// first resolves the names that are not known yet.
func (w *watcher) first(known map[string][]netip.Addr) map[string][]netip.Addr {
	var ask []string
	hosts := make(map[string][]netip.Addr, len(w.hosts))
	for _, h := range w.hosts {
		if ips := known[h]; len(ips) > 0 {
			hosts[h] = ips
		} else {
			ask = append(ask, h)
		}
	}
	maps.Copy(hosts, w.resolve(ask))
	return hosts
}

// again resolves all names, and lets the pools follow where an answer changed.
func (w *watcher) again() {
	if len(w.hosts) == 0 {
		return
	}
	answers := w.resolve(w.hosts)
	s := w.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.ctx.Err() != nil {
		return
	}
	changed := false
	for h, ips := range answers {
		if !slices.Equal(ips, s.hosts[h]) {
			s.env.Log.Info("addresses of a server's name changed", "name", h, "addresses", ips)
			changed = true
		}
	}
	if !changed {
		return
	}
	hosts := maps.Clone(s.hosts)
	maps.Copy(hosts, answers)
	s.hosts = hosts
	for _, p := range s.pools {
		if p.cfg.App == "" && p.c.owner.Load() == s {
			s.applyTo(p)
		}
	}
}

// resolve asks for the names, a few at a time. Names that have no answer are not in the result: their last good one
// goes on counting.
func (w *watcher) resolve(names []string) map[string][]netip.Addr {
	type answer struct {
		ips []netip.Addr
		err error
	}
	answers := make([]answer, len(names))
	var wg sync.WaitGroup
	free := make(chan struct{}, resolveAtOnce)
	ctx, cancel := context.WithTimeout(w.ctx, resolveWithin)
	defer cancel()
	for i, name := range names {
		free <- struct{}{}
		wg.Go(func() {
			ips, err := w.s.env.Resolve(ctx, name)
			if ips = normalise(ips); err == nil && len(ips) == 0 {
				err = errors.New("the name has no address")
			}
			answers[i] = answer{ips, err}
			<-free
		})
	}
	wg.Wait()
	found := make(map[string][]netip.Addr, len(names))
	for i, a := range answers {
		name := names[i]
		if a.err == nil {
			found[name] = a.ips
			delete(w.failed, name)
			continue
		}
		if !w.failed[name] && w.ctx.Err() == nil {
			w.s.env.Log.Warn("resolving a server's name", "name", name, "error", a.err)
			w.failed[name] = true
		}
	}
	return found
}
