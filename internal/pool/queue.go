package pool

import (
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/pool/balance"
	"github.com/weirhq/weir/internal/pool/limit"
)

// The queue.
//
// Loops share nothing on the way of a request but two words: the server's Places and the pool's count of those who wait (and
// a third, the count of all places taken, in a pool that has a limit on that). The mutex and the list behind it are touched only
// while the count of those who wait is not 0, or no place is free. Two orders make that safe (Go's atomics are
// sequentially consistent):
//
//	who queues:  waiting+1, then look once more for a free place, then park
//	who leaves:  place back, then look at waiting, and if it is not 0 take the mutex and hand the place on
//
// One of the two sees the other, so nobody parks beside a free place. A grant is made under the mutex, by taking the
// place for the first in the queue and unlinking it; leaving the queue for any other reason needs the mutex as well. So either
// the waiter was granted a place, and has it (and gives it on if it no longer wants it), or it was not, and can no longer be.
//
// Who is first is package limit's affair, and may change while they wait. The proof does not need an order, only that whoever
// waits and had no server yet would take any place: as long as one such request is in the queue, each who leaves sees
// it counted, and hands on to the one who is first then. So only who comes into a queue without one has to look. That a
// request is pushed out of the queue is one more way to leave it, under the mutex too.
//
// A queue per loop was rejected: see docs/adr/0005-one-queue-across-loops.md.

// maxTried bounds the memory of a Turn; of more servers the first ones are forgotten.
const maxTried = 8

// Turn is what one request needs to pick and queue, kept in the request's own memory. It belongs to the request's task
// and may be used again after Reset. It must not be copied.
type Turn struct {
	server   *Server       // whose place it holds
	lane     int           // index of the task's loop
	trial    bool          // it tries its server out for all others
	counted  bool          // its place counts against the limit of the whole pool
	gauged   bool          // how it ends counts
	round    limit.Round   // it tries the pool out for all others
	retry    limit.Receipt // of its latest further try
	since    loop.Time     // when it got its place
	fallen   uint32        // how often its server had been given up by then
	answered loop.Time     // when the head of a final response was there, 0: none came
	status   int           // of that
	ntried   int
	tried    [maxTried]*balance.Places
	took     int64   // see Took
	hash     uint64  // of the request's key
	keyed    bool    // it has one
	stay     *Server // where its session is; nil: it has none
	moved    bool    // that one cannot have it any more
	tries    int     // places it has had
	last     *Server // where it had the latest
	hedge    bool    // it is for a second request beside another, which has not won yet

	task    *loop.Task // the rest is guarded by the core's mutex while queued
	wait    limit.Waiter[*Turn]
	shed    bool // it was pushed out of the queue
	granted atomic.Bool
}

// Reset forgets the servers that were tried and the rank, for a new request. The turn must hold no place.
func (t *Turn) Reset() {
	if t.server != nil {
		panic("pool: Reset with a place in hand")
	}
	clear(t.tried[:])
	t.ntried = 0
	t.retry = limit.Receipt{}
	t.wait.Class, t.wait.Key = limit.Normal, 0
	t.hash, t.keyed, t.stay, t.moved = 0, false, nil, false
	t.tries, t.last, t.hedge = 0, nil, false
}

// Key gives the request the hash of its key (balance.Hash), for pools that balance by one.
func (t *Turn) Key(hash uint64) { t.hash, t.keyed = hash, true }

// Stay says that the request's session is at s: it waits for a place there, unless s takes nobody any more.
func (t *Turn) Stay(s *Server) { t.stay = s }

// Moved says that the request was given a place elsewhere because the server of its session takes nobody any more.
func (t *Turn) Moved() bool { return t.moved && t.server != t.stay }

// choosy says that not every place will do. It stays as it is while the turn is queued.
func (t *Turn) choosy() bool { return t.ntried > 0 || t.stay != nil }

// Rank says how important the request is, and whose it is: in a pool that is fair between clients those with one key
// take their turns together.
func (t *Turn) Rank(c limit.Class, client uint64) { t.wait.Class, t.wait.Key = c, client }

// Server returns the server at which the turn holds a place, or nil.
func (t *Turn) Server() *Server { return t.server }

func (t *Turn) skip() []*balance.Places { return t.tried[:min(t.ntried, maxTried)] }

func (t *Turn) hasTried(s *Server) bool { return slices.Contains(t.skip(), &s.places) }

func (t *Turn) remember(s *Server) {
	if !t.hasTried(s) {
		t.tried[t.ntried%maxTried] = &s.places
		t.ntried++
	}
}

// patience is how long a request waits.
type patience struct {
	by   loop.Time // until then for now; 0: for ever
	most loop.Time // until then if the queue moves again
}

// wait is the slow half of Pick.
func (c *core) wait(t *loop.Task, turn *Turn, client *loop.Conn) (*Server, error) {
	s, until, err := c.enqueue(t, turn)
	if s != nil || err != nil {
		return s, err
	}
	if client != nil {
		if err = client.Watch(t, true); err == nil {
			defer client.Watch(nil, false)
		}
	}
	for err == nil && !turn.granted.Load() {
		err = t.Park(until.by)
		if until.by != until.most && errors.Is(err, loop.ErrTimeout) && !c.late() {
			until.by, err = until.most, nil // what made it hurry is over, or there is no server at all now: those are waited for
		}
	}
	return c.ended(turn, err)
}

// ended says how a wait ended: err is what ended it if it was not a grant. But a place may have been granted in the same moment.
func (c *core) ended(turn *Turn, err error) (*Server, error) {
	if err != nil && c.withdraw(turn) {
		if errors.Is(err, loop.ErrTimeout) {
			err = ErrQueueTimeout
			if !c.view.Load().anyOpen() {
				err = ErrNoServer
			}
		}
		return nil, err
	}
	s := turn.server
	switch {
	case s == nil && turn.shed:
		turn.shed = false
		return nil, ErrQueueFull
	case s == nil: // the pool was closed
		return nil, loop.ErrClosed
	case err != nil && !errors.Is(err, loop.ErrTimeout): // a place that came just in time is as good as any
		s.giveBack(turn, Aborted)
		return nil, err
	}
	return s, nil
}

// enqueue takes a place after all, or puts turn into the queue for so long.
func (c *core) enqueue(t *loop.Task, turn *Turn) (s *Server, until patience, err error) {
	now := t.Loop().Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.view.Load()
	if c.closed {
		return nil, until, loop.ErrClosed
	}
	turn.wait.Again = turn.choosy()
	if full := c.waiting.Load() >= int64(v.cfg.Queue.Size); !v.waits || full {
		s = c.takeUnqueued(v, turn)
		if s != nil || v.waits && c.makeRoom(v, turn) {
			full = false
		}
		switch {
		case s != nil:
			return s, until, nil
		case !v.waits || full && !v.anyOpen():
			return nil, until, ErrNoServer
		case full:
			c.rejected++
			return nil, until, ErrQueueFull
		}
	}
	turn.task = t
	turn.granted.Store(false)
	if behind := c.link(turn); !behind {
		// Nobody who would take any place is in the queue beside it. Those who want a particular one have the first choice.
		for !turn.granted.Load() {
			task := c.grant(nil)
			if task == nil {
				break
			}
			if task != t {
				task.Wake()
			}
		}
		if turn.granted.Load() {
			return turn.server, until, nil
		}
	}
	if v.cfg.Queue.Timeout > 0 {
		until.most = now + int64(v.cfg.Queue.Timeout)
		until.by = until.most
		if c.standing(v, c.now()) {
			until.by = now + int64(standingTime(v))
		}
	}
	return nil, until, nil
}

// takeUnqueued takes a place where there is no room to wait, unless somebody who waits comes first. Under mu.
func (c *core) takeUnqueued(v *view, turn *Turn) *Server {
	if c.queue.Len() > 0 {
		return nil
	}
	if s := v.take(c.shared(), turn); s != nil {
		turn.server = s
		return s
	}
	return nil
}

// makeRoom pushes somebody out of the full queue so that turn can come in. Under mu.
func (c *core) makeRoom(v *view, turn *Turn) bool {
	now := c.now()
	out := c.queue.Victim(&turn.wait, v.cfg.Queue.Fair, c.standing(v, now), now)
	if out == nil {
		return false
	}
	w := out.Of
	c.unlink(w)
	w.shed = true
	c.shed++
	c.tell(w, nil).Wake()
	return true
}

// standingTime is how long the queue may be without an end before it counts as standing.
func standingTime(v *view) time.Duration {
	return max(v.cfg.Queue.Timeout/10, min(minStanding, v.cfg.Queue.Timeout))
}

const minStanding = 100 * time.Millisecond

// standing says that more is asked of the pool than it can do, and its queue is to be adaptive: it was not empty
// once in so long a time, although there are servers. Then the newest come first, and nobody waits long. With the order of
// arrival everyone would wait for about as long as clients are willing to, and be served when they have gone. (B.
// Maurer, "Fail at Scale", ACM Queue 13(8), 2015; that a queue which never empties is the mark of overload, and a
// long one is not, is CoDel's: K. Nichols, V. Jacobson, "Controlling Queue Delay", ACM Queue 10(5), 2012.) Under mu.
func (c *core) standing(v *view, now int64) bool {
	return v.cfg.Queue.Order == config.AdaptiveLIFO && c.queue.Len() > 0 && now-c.begun > int64(standingTime(v)) && v.anyOpen()
}

// late is standing for who waits.
func (c *core) late() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.standing(c.view.Load(), c.now())
}

// now is the time as the queue sees it, the same on loops and elsewhere.
func (c *core) now() int64 { return int64(time.Since(epoch)) }

var epoch = time.Now()

// shared is the cursor of those who hold mu.
func (c *core) shared() *balance.Cursor { return &c.cursors[len(c.cursors)-1] }

// withdraw takes turn out of the queue. False: it was granted a place, or pushed out.
func (c *core) withdraw(turn *Turn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if turn.granted.Load() {
		return false
	}
	c.unlink(turn)
	return true
}

// handOn grants one place, that at freed if it is there, to the first in the queue who may have it.
func (c *core) handOn(freed *Server) (granted bool) {
	c.mu.Lock()
	task := c.grant(freed)
	c.mu.Unlock()
	if task == nil {
		return false
	}
	task.Wake() // the turn may be anybody's by now, the task too: who parks tests a condition
	return true
}

// settle grants all that can be granted, after servers have come, gone or changed their state.
func (c *core) settle() {
	for c.waiting.Load() > 0 && c.handOn(nil) {
	}
}

// grant takes a place for the first in the queue who may have one and returns its task. Under mu.
func (c *core) grant(freed *Server) *loop.Task {
	v := c.view.Load()
	for w := c.queue.Retries(); w != nil; w = w.Next() {
		if s := v.take(c.shared(), w.Of); s != nil {
			return c.give(w, s)
		}
	}
	if c.queue.Fresh() == 0 {
		return nil
	}
	// Who tried nothing can have any place: if there is none for the first of them, there is none.
	if freed != nil && !v.takesTurns(freed) {
		freed = nil
	}
	w := c.queue.Next(c.standing(v, c.now()))
	if s := v.takeAt(freed, c.shared(), w.Of); s != nil {
		return c.give(w, s)
	}
	return nil
}

// give ends w's wait with a place at s that was taken for it. Under mu.
func (c *core) give(w *limit.Waiter[*Turn], s *Server) *loop.Task {
	c.queue.Serve(w)
	c.waiting.Add(-1)
	c.drain.Served(c.now())
	return c.tell(w.Of, s)
}

// tell ends w's wait with a place at s (nil: the pool is closed, or w was pushed out) and returns the task to wake. Under mu; w
// is unlinked, and no longer ours once granted is set.
func (c *core) tell(w *Turn, s *Server) *loop.Task {
	task := w.task
	w.server = s
	w.granted.Store(true)
	return task
}

// link puts turn into the queue. It says whether somebody who would take any place is there already. Under mu.
func (c *core) link(turn *Turn) (behind bool) {
	behind = c.queue.Fresh() > 0 && !turn.choosy()
	now := c.now()
	if c.queue.Len() == 0 {
		c.begun = now
	}
	turn.wait.Of, turn.wait.Again = turn, turn.choosy()
	c.queue.Put(&turn.wait, c.view.Load().cfg.Queue.Fair, now)
	c.longest = max(c.longest, c.waiting.Add(1))
	return behind
}

// unlink takes turn out of the queue, unserved. Under mu.
func (c *core) unlink(turn *Turn) {
	c.queue.Drop(&turn.wait)
	c.waiting.Add(-1)
}
