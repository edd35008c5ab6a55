package pool

import (
	"slices"
	"sync"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/metrics"
)

// What is counted beyond what decisions need. Each loop counts for itself in plain memory, which is read on that loop alone: whoever
// wants to know posts small pieces of work there, which copy (see Counters). What is rare is counted under the core's mutex.

// marks are what one loop counts of one server.
type marks struct {
	status    [6]uint64
	failures  [ServerError + 1]uint64 // by Outcome
	connects  uint64                  // connections made
	reused    uint64                  // requests on a kept one
	activeMax int64
	first     *metrics.Histogram // to the first byte; nil: nothing yet
}

// ran is what one loop counts of one pool.
type ran struct {
	timedOut, retries, redispatch, noRetry uint64
	hedges                                 [3]uint64          // by journal.Hedge
	queue                                  *metrics.Histogram // of those that waited; nil: nobody did
}

// These are indexes into hedges: the numbers of journal.Hedge.
const hedgeLost, hedgeWon = 1, 2

var failureWords = [ServerError + 1]string{ConnectError: "connect_error", EmptyResponse: "empty_response", BadResponse: "bad_response",
	TimedOut: "timeout", Unavailable: "unavailable", ServerError: "server_error"}

func observe(h **metrics.Histogram, d time.Duration) {
	if *h == nil {
		*h = new(metrics.Histogram)
	}
	(*h).Observe(d)
}

// began counts that turn has a place at s.
func (c *core) began(s *Server, turn *Turn) {
	m := &s.lanes[turn.lane].marks
	if n := s.places.Active(); n > m.activeMax {
		m.activeMax = n
	}
	if turn.tries++; turn.tries > 1 {
		y := &c.tallies[turn.lane].ran
		y.retries++
		if turn.last != s {
			y.redispatch++
		}
	}
	turn.last = s
}

// counts counts how turn's try at the server ended.
func (s *Server) counts(turn *Turn, o Outcome) {
	m := &s.lanes[turn.lane].marks
	if c := turn.status / 100; c > 0 && c < len(m.status) {
		m.status[c]++
	} else if o > Aborted {
		m.status[0]++
	}
	m.failures[o]++
	if turn.took > 0 {
		observe(&m.first, time.Duration(turn.took))
	}
	if turn.hedge {
		turn.hedge = false
		s.core.tallies[turn.lane].ran.hedges[hedgeLost]++
	}
}

// waited counts a wait in the queue that is over.
func (y *ran) waited(d time.Duration, err error) {
	if d <= 0 {
		return // it got its place, or none, at once
	}
	observe(&y.queue, d)
	if err == ErrQueueTimeout || err == ErrNoServer {
		y.timedOut++
	}
}

// fate is what is counted of a server under the core's mutex.
type fate struct {
	checks, failed uint64
	took           time.Duration // the last check
	downs          uint64
	downFor        time.Duration // of times that are over
	downAt         time.Time     // zero: it is not down
	stopped        bool          // another edge goes on counting
}

// down reports whether a server that is closed for these reasons is down: nobody wanted it so.
func (r reason) down() bool { return r != 0 && r&(maint|keeping) == 0 }

// turned notes that the server is down now, or not any more. Under mu.
func (f *fate) turned(down bool, now time.Time) {
	switch {
	case f.stopped:
	case down && f.downAt.IsZero():
		f.downAt = now
		f.downs++
	case !down && !f.downAt.IsZero():
		f.downFor += now.Sub(f.downAt)
		f.downAt = time.Time{}
	}
}

func (f *fate) show(c *api.ServerCounters, now time.Time) {
	c.Checks, c.CheckFail, c.CheckTime, c.Downs = f.checks, f.failed, float64(f.took)/1e6, f.downs
	down := f.downFor
	if !f.downAt.IsZero() {
		down += now.Sub(f.downAt)
	}
	c.DownFor = down.Seconds()
}

// checkEnded counts a check.
func (c *core) checkEnded(s *Server, ok bool, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := &s.vitals.fate
	if f.stopped {
		return
	}
	f.checks++
	f.took = took
	if !ok {
		f.failed++
	}
}

// add adds one loop's part to what a server is told to have counted.
func (m *marks) add(c *api.ServerCounters) {
	for i, n := range m.status {
		c.Status[i] += n
	}
	for o, n := range m.failures[ConnectError:] {
		if n > 0 {
			if c.Failures == nil {
				c.Failures = map[string]uint64{}
			}
			c.Failures[failureWords[ConnectError+Outcome(o)]] += n
		}
	}
	c.Connects += m.connects
	c.Reused += m.reused
	c.ActiveMax = max(c.ActiveMax, m.activeMax)
	if m.first != nil {
		c.FirstByte.Add(m.first)
	}
}

// bury adds what a server has come to, which is dropped, to what is kept of all that went: nobody is at it, and nobody will be, so
// what the loops counted of it stands still. Under mu.
func (c *core) bury(s *Server) {
	s.vitals.fate.turned(false, time.Now())
	sc := api.ServerCounters{ServerStatus: s.status()}
	s.vitals.fate.show(&sc, time.Now())
	for i := range s.lanes {
		s.lanes[i].marks.add(&sc)
	}
	if c.gone == nil {
		c.gone = &api.ServerCounters{}
	}
	c.gone.Add(&sc)
}

// poolLook is one pool on its way to being told.
type poolLook struct {
	core    *core
	told    api.PoolCounters
	servers []*Server // of told.Members, as far as they go; the rest have no address
	gone    api.ServerCounters
}

// Counters tells what all pools are and came to, in the order of the configuration: all that servers and queues counted in this
// process. It asks the loops, by small pieces that only copy; when they have ended, what they counted is left out.
func (s *Set) Counters() []api.PoolCounters {
	looks := s.look()
	lookAtTallies(looks, s.env.Loops)
	lookAtServers(looks, s.env.Loops)
	out := make([]api.PoolCounters, len(looks))
	for i := range looks {
		l := &looks[i]
		l.told.Sum = l.gone
		for j := range l.told.Members {
			l.told.Sum.Add(&l.told.Members[j])
		}
		out[i] = l.told
	}
	return out
}

// look takes what is to be had without the loops.
func (s *Set) look() []poolLook {
	s.mu.Lock()
	defer s.mu.Unlock()
	looks := make([]poolLook, len(s.pools))
	for i, p := range s.pools {
		l := &looks[i]
		l.core = p.c
		p.c.look(l)
		for _, st := range s.missing(p) {
			l.told.Members = append(l.told.Members, api.ServerCounters{ServerStatus: st})
		}
	}
	return looks
}

func (c *core) look(l *poolLook) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.prune()
	v := c.view.Load()
	l.servers = c.all()
	l.told = api.PoolCounters{PoolStatus: c.head(v), Size: v.cfg.Queue.Size, QueueMax: c.longest, Rejected: c.rejected,
		Members: make([]api.ServerCounters, len(l.servers))}
	if c.gone != nil {
		l.gone.Add(c.gone)
	}
	for i, sv := range l.servers {
		m := &l.told.Members[i]
		m.ServerStatus, m.Weight, m.MaxConn = sv.status(), sv.weight, int(v.limit)
		m.Backup = v.spare != nil && slices.Contains(v.spare.servers, sv)
		sv.vitals.fate.show(m, now)
	}
}

// piece is how many servers, or pools, one posted piece of work copies: some 100 KiB, which takes a loop 10 to 20 microseconds.
const piece = 48

// copied is one loop's copy of a piece.
type copied[T any] struct {
	loop  *loop.Loop
	of    [piece]T
	times [piece]metrics.Histogram
}

// inPieces has each loop copy n things, a piece after the other, and gives what was copied to take, off the loops.
func inPieces[T any](loops []*loop.Loop, n int, give func(lane, i int) (*T, *metrics.Histogram), take func(i int, of *T, times *metrics.Histogram)) {
	copies := make([]*copied[T], len(loops))
	for i, l := range loops {
		copies[i] = &copied[T]{loop: l}
	}
	for from := 0; from < n; from += piece {
		to := min(from+piece, n)
		told := make([]bool, len(loops))
		var all sync.WaitGroup
		for lane, c := range copies {
			all.Go(func() {
				told[lane] = c.loop.Call(func() {
					for i := from; i < to; i++ {
						of, times := give(lane, i)
						c.of[i-from] = *of
						if times != nil {
							c.times[i-from] = *times
						}
					}
				}) == nil
			})
		}
		all.Wait()
		for lane, c := range copies {
			for i := from; i < to && told[lane]; i++ {
				take(i, &c.of[i-from], &c.times[i-from])
			}
		}
	}
}

func lookAtTallies(looks []poolLook, loops []*loop.Loop) {
	inPieces(loops, len(looks), func(lane, i int) (*ran, *metrics.Histogram) {
		y := &looks[i].core.tallies[lane].ran
		return y, y.queue
	}, func(i int, y *ran, queue *metrics.Histogram) {
		p := &looks[i].told
		p.TimedOut += y.timedOut
		p.Retries += y.retries
		p.Redispatch += y.redispatch
		p.NoRetry += y.noRetry
		for i, n := range y.hedges {
			p.Hedges[i] += n
		}
		if y.queue != nil {
			p.Queue.Add(queue)
		}
	})
}

func lookAtServers(looks []poolLook, loops []*loop.Loop) {
	type place struct{ pool, server int }
	var places []place
	for i := range looks {
		for j := range looks[i].servers {
			places = append(places, place{i, j})
		}
	}
	inPieces(loops, len(places), func(lane, i int) (*marks, *metrics.Histogram) {
		at := places[i]
		m := &looks[at.pool].servers[at.server].lanes[lane].marks
		return m, m.first
	}, func(i int, m *marks, first *metrics.Histogram) {
		at := places[i]
		if m.first != nil {
			m.first = first // the copy: the loop goes on with its own
		}
		m.add(&looks[at.pool].told.Members[at.server])
	})
}

// StopClocks has the pools count no more checks and no more time that servers are down: another edge does from now on.
func (s *Set) StopClocks() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for _, p := range s.pools {
		p.c.mu.Lock()
		for _, sv := range p.c.all() {
			sv.vitals.fate.turned(false, now)
			sv.vitals.fate.stopped = true
		}
		p.c.mu.Unlock()
	}
}
