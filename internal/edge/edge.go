package edge

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/compress"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/edge/relay"
	"github.com/weirhq/weir/internal/edge/tally"
	"github.com/weirhq/weir/internal/edge/telling"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/pool"
	"github.com/weirhq/weir/internal/source"
)

// Edge is the running data plane.
type Edge struct {
	// Never change.
	engine     *loop.Engine
	locals     []*local
	caching    *caching // nil until a configuration has a cache; then it stays. Set before the tree that needs it
	env        pool.Env
	level      *slog.LevelVar // of what the process says; nil: as it is
	spoolShare int64          // bytes of bodies that one loop holds in memory
	overruns   *overruns
	teller     *teller         // of what programs say beside their responses
	told       *telling.Teller // of requests that have ended
	room       int64           // clients' connections that the limit on open files has room for
	headHold   time.Duration   // headHold, but in tests

	// Read by the loops.
	tree        atomic.Pointer[tree]
	connections atomic.Int64
	relays      atomic.Int64              // sessions of TCP with a connection to a server
	successor   atomic.Pointer[successor] // nil: it serves
	fullSaid    atomic.Int64              // when it was last said that connections are refused, in seconds
	strangeSaid atomic.Int64              // when it was last said that connections had no good header, in seconds
	strangers   atomic.Int64              // how many had none since
	stopping    atomic.Bool
	chaos       atomic.Pointer[chaos] // nil: no fault is made

	// mu guards the swap of trees and listeners.
	mu        sync.Mutex
	logs      []*accessLog
	lost      uint64 // lines that logs dropped which are closed
	version   int64
	listeners map[string][]*loop.Listener
	sockets   map[string][]*os.File // handed down and not listened on yet
	holds     bool                  // it listens on nothing yet
	reader    source.Reader

	inherited   inheritance
	spanTelling spanTelling
	names       tally.Names    // of routes; it outlives configurations
	epoch       string         // names this process where its counts go
	counting    sync.RWMutex   // held for reading while all is counted that this edge tells, for writing while it gives up telling
	handing     sync.WaitGroup // the cache's disk is being given up
}

// local is what one loop owns of the edge. Only tasks and callbacks of that loop touch it.
type local struct {
	edge     *Edge
	loop     *loop.Loop
	told     *telling.Loop
	free     []*handler
	pages    []*assembler
	hedges   []*hedge
	active   int64
	relay    *relay.Loop // sessions of TCP
	spooled  int64       // bytes of bodies held in memory
	encoders *compress.Pool
	ids      uint64
	idPrefix []byte
	date     []byte     // the Date field line of dateAt
	dateAt   int64      // seconds
	count    api.Counts // Cache by journal.Cache
	seen     seen
	sheet    tally.Sheet
	spans    spans
	span     []byte // of the request that ends
	state    []byte // likewise
}

// spoolMemory bounds what all bodies together hold in memory; beyond it they go to files at once.
const spoolMemory = 64 << 20

// New starts the loops, which serve nothing yet.
func New(loops int) (*Edge, error) { return start(loop.Config{Loops: loops}) }

func start(cfg loop.Config) (*Edge, error) {
	e := &Edge{listeners: map[string][]*loop.Listener{}, sockets: map[string][]*os.File{}, spoolShare: spoolMemory / int64(cfg.Loops), room: fileRoom(), headHold: headHold, overruns: newOverruns()}
	cfg.Panicked = func(_ *loop.Loop, v any, stack []byte) { e.panicked(v, stack) }
	cfg.Slow = e.slow
	engine, err := loop.Start(cfg)
	if err != nil {
		return nil, fmt.Errorf("starting the loops: %w", err)
	}
	e.engine = engine
	e.teller = newTeller()
	e.env = pool.Env{Loops: engine.Loops(), Log: slog.Default()}
	var start [5]byte // 40 bits: ids of requests begin with them too
	if _, err := rand.Read(start[:]); err != nil {
		err = errors.Join(fmt.Errorf("reading random bytes: %w", err), engine.Close())
		e.teller.stop()
		return nil, err
	}
	e.spanTelling.ended = make(chan struct{})
	e.epoch = hex.EncodeToString(start[:])
	e.told = telling.New(len(engine.Loops()), func(i int, f func()) { engine.Loops()[i].Post(f) })
	for i, lp := range engine.Loops() {
		prefix := append(hex.AppendEncode(nil, start[:]), "0123456789abcdef"[i>>4&15], "0123456789abcdef"[i&15])
		l := &local{edge: e, loop: lp, told: e.told.Loop(i), idPrefix: prefix, encoders: compress.NewPool(encoders)}
		l.relay = relay.New(relay.Around{Loop: lp, Told: l.told, Sheet: &l.sheet, Count: &l.count, Reached: &e.relays, ID: l.appendID,
			Gone: func() { e.connections.Add(-1) }, Panicked: e.panicked})
		e.locals = append(e.locals, l)
	}
	return e, nil
}

func (e *Edge) panicked(v any, stack []byte) {
	slog.Error("a request ended by a fault of weir's own; please report this", "panic", fmt.Sprint(v), "stack", string(stack))
}

func (e *Edge) slow(l *loop.Loop, took time.Duration, stack []byte) {
	if len(stack) == 0 {
		// Nobody saw what it did, most often because the machine ran something else. It is counted in the status.
		slog.Debug("a loop was held up, or had no processor", "loop", l.Index(), "for", took)
		return
	}
	slog.Warn("a loop was held up", "loop", l.Index(), "for", took, "stack", string(stack))
}

// Apply puts a state in force: everything that can fail is made first, then swapped. On an error nothing has changed.
func (e *Edge) Apply(s api.EdgeState) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	old := e.tree.Load()
	if s.Version < e.version {
		return fmt.Errorf("state %d is older than state %d, which is in force", s.Version, e.version)
	}
	if old != nil && source.Same(&s.Source, &old.source) {
		old.pools.SetWorkers(s.Workers)
		old.pools.SetHands(s.Hands)
		e.useFaults(s.Faults)
		e.version = s.Version
		return nil
	}
	cfg, err := e.reader.Read(&s.Source, s.RunDir)
	if err != nil {
		return err
	}
	if err := e.awaitSockets(cfg.Traffic()); err != nil {
		return err
	}
	logs, err := e.openLogs(cfg.Log.Access)
	if err != nil {
		return err
	}
	if cfg.Cache != nil && e.caching == nil {
		if e.caching, err = newCaching(cfg.Cache, s.Secret); err != nil {
			return err
		}
	}
	env := e.env
	env.Dir = s.RunDir
	next, err := newTree(cfg, env, old, e.caching, &e.names)
	if err != nil {
		return errors.Join(err, e.closeLogs(logs, e.logs))
	}
	next.source = s.Source
	next.pools.SetWorkers(s.Workers)
	next.pools.SetHands(s.Hands)
	e.useFaults(s.Faults)
	e.useLogs(logs, &cfg.Log)
	if e.level != nil {
		// The configuration was checked: a level that cannot be read is none, and Info stays.
		var l slog.Level
		_ = l.UnmarshalText([]byte(cfg.Log.Level))
		e.level.Set(l)
	}
	if cfg.Cache != nil {
		e.caching.Become(cfg.Cache)
	}
	e.tree.Store(next)
	if cfg.Cache == nil && e.caching != nil {
		e.caching.Rest()
	}
	e.version = s.Version
	if old != nil {
		old.pools.Retire(next.pools)
	}
	if e.holds {
		return nil
	}
	return e.listen(cfg.Traffic())
}

// handoverWait is how long a state waits for the sockets that it listens on: they come by another way.
const handoverWait = 5 * time.Second

// awaitSockets waits until there is a socket for every address, with e.mu held but while it waits.
func (e *Edge) awaitSockets(want []config.Listen) error {
	end := time.Now().Add(handoverWait)
	for _, w := range want {
		key := w.Network + " " + w.Address
		for e.listeners[key] == nil && e.sockets[key] == nil {
			if time.Now().After(end) {
				return fmt.Errorf("no socket was handed down for %s", w.Address)
			}
			e.mu.Unlock()
			time.Sleep(5 * time.Millisecond)
			e.mu.Lock()
		}
	}
	return nil
}

// onLoops runs f on every loop that has not ended, and waits.
func (e *Edge) onLoops(f func(*local)) {
	var wg sync.WaitGroup
	for _, l := range e.locals {
		wg.Go(func() {
			_ = l.loop.Call(func() { f(l) }) // one that has ended does nothing any more
		})
	}
	wg.Wait()
}

// listen accepts on the sockets of the addresses given and stops on all others.
func (e *Edge) listen(want []config.Listen) error {
	keep := map[string]bool{}
	for _, w := range want {
		key := w.Network + " " + w.Address
		keep[key] = true
		if e.listeners[key] != nil {
			continue
		}
		files := e.sockets[key]
		delete(e.sockets, key)
		for i, f := range files {
			l := e.locals[i%len(e.locals)]
			ln, err := l.loop.Listen(f, &listener{l: l, scheme: "http", key: key})
			if err != nil {
				return fmt.Errorf("listening on %s: %w", w.Address, err)
			}
			e.listeners[key] = append(e.listeners[key], ln)
		}
	}
	for key, list := range e.listeners {
		if !keep[key] {
			closeListeners(list)
			delete(e.listeners, key)
		}
	}
	return nil // sockets that were offered and are not wanted stay: a later state may want them
}

func closeListeners(list []*loop.Listener) {
	for _, ln := range list {
		if err := ln.Close(); err != nil {
			slog.Error("closing a listener", "error", err)
		}
	}
}

// Offer takes sockets that were handed down for an address; a state that listens there uses them.
func (e *Edge) Offer(network, address string, files []*os.File) {
	e.mu.Lock()
	defer e.mu.Unlock()
	key := network + " " + address
	for _, f := range e.sockets[key] { // handed down before and never wanted
		if err := f.Close(); err != nil {
			slog.Error("closing a socket that nobody listens on", "address", address, "error", err)
		}
	}
	e.sockets[key] = files
}

// Stop accepts no more, waits for the requests under way until the context ends, and closes everything.
func (e *Edge) Stop(ctx context.Context) error {
	e.stopping.Store(true)
	e.mu.Lock()
	defer e.mu.Unlock()
	for key, list := range e.listeners {
		closeListeners(list)
		delete(e.listeners, key)
	}
	var err error
	if e.caching != nil { // before the drain: the next edge waits for it
		err = e.caching.HandOver()
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for e.active() > 0 && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	e.onLoops(func(l *local) { l.relay.End() })
	e.mu.Unlock() // it is asked for what is counted
	e.bequeath()
	e.leaveWord()
	e.spanTelling.end()
	e.mu.Lock()
	e.told.Seal()
	err = errors.Join(err, e.engine.Close())
	e.told.End()
	e.handing.Wait()
	e.teller.stop()
	if e.caching != nil {
		err = errors.Join(err, e.caching.Close())
	}
	if t := e.tree.Load(); t != nil {
		t.pools.Close()
		err = errors.Join(err, t.closeRoots())
	}
	err = errors.Join(err, e.closeLogs(e.logs, nil))
	return err
}

// Find says which server an intervention is about.
func (e *Edge) Find(in api.Intervention) (server string, err error) {
	t := e.tree.Load()
	if t == nil {
		return "", errors.New("the edge is being started: try again")
	}
	return t.pools.Find(in)
}

// active counts the connections with a request under way.
func (e *Edge) active() (n int64) {
	var mu sync.Mutex
	e.onLoops(func(l *local) {
		mu.Lock()
		n += l.active + l.relay.Sessions()
		mu.Unlock()
	})
	return n
}

// sum adds up the loops' counters and what was inherited, the requests under way and the sessions of TCP.
func (e *Edge) sum() (all api.Counts, active, sessions int64) {
	all, active, sessions = e.ownSum()
	e.inherited.addCounts(&all)
	return all, active, sessions
}

// ownSum is sum without what was inherited.
func (e *Edge) ownSum() (all api.Counts, active, sessions int64) {
	var mu sync.Mutex
	e.onLoops(func(l *local) {
		mu.Lock()
		defer mu.Unlock()
		active += l.active
		sessions += l.relay.Sessions()
		all.Add(&l.count)
	})
	return all, active, sessions
}

// Status tells what the edge does.
func (e *Edge) Status() api.EdgeStatus {
	s := api.EdgeStatus{PID: os.Getpid(), Connections: e.connections.Load(), Pools: []api.PoolStatus{}}
	all, active, sessions := e.sum()
	s.Active = active
	s.Accepted, s.Requests, s.Panics, s.Status = all.Accepted, all.Requests, all.Panics, all.Status
	s.Sessions, s.SessionsNow = all.Sessions, sessions
	s.Strange = all.Strange
	for _, l := range e.engine.Loops() {
		st := l.Stats()
		s.SlowTurns += st.SlowTurns
		s.Panics += st.Panics
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	s.Version, s.Faults = e.version, e.chaos.Load().status()
	s.LogDropped, s.Logs = e.logStatus()
	s.Pools = e.poolStatus()
	return s
}

// poolStatus tells of the pools, with what edges before this one have counted of their servers.
func (e *Edge) poolStatus() []api.PoolStatus {
	t := e.tree.Load()
	if t == nil {
		return []api.PoolStatus{}
	}
	pools := t.pools.Status()
	e.inherited.addStatus(pools)
	return pools
}

// account counts a request that has ended and writes its line.
func (h *handler) account() {
	if h.monitored() {
		return
	}
	l, j := h.l, &h.x.Journal
	l.count.Requests++
	l.count.Cache[j.Cache]++
	if c := j.Status / 100; c > 0 && c < len(l.count.Status) {
		l.count.Status[c]++
	}
	h.count()
	if now := l.loop.Now(); l.told.Wants(j, false, now) {
		h.tell(now)
	}
}

// appendDate appends the Date field line, which is made once a second.
func (l *local) appendDate(dst []byte) []byte {
	now := l.loop.Wall()
	if s := now.Unix(); s != l.dateAt || l.date == nil {
		l.dateAt = s
		l.date = now.UTC().AppendFormat(append(l.date[:0], "Date: "...), "Mon, 02 Jan 2006 15:04:05 GMT\r\n")
	}
	return append(dst, l.date...)
}
