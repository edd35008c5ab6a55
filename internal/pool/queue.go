package pool

import (
	"errors"
	"slices"
	"sync/atomic"

	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/pool/balance"
)

// The queue.
//
// Loops share nothing on the way of a request but two words: the server's Places and the pool's count of those who wait. The
// mutex and the list behind it are touched only while that count is not 0, or no place is free. Two orders make that safe
// (Go's atomics are sequentially consistent):
//
//	who queues:  waiting+1, then look once more for a free place, then park
//	who leaves:  place back, then look at waiting, and if it is not 0 take the mutex and hand the place on
//
// One of the two sees the other, so nobody parks beside a free place. A grant is made under the mutex, by taking the
// place for the first in the queue and unlinking it; leaving the queue for any other reason needs the mutex as well. So either
// the waiter was granted a place, and has it (and gives it on if it no longer wants it), or it was not, and can no longer be.
// A queue per loop was rejected: see docs/adr/0005-one-queue-across-loops.md.

// maxTried bounds the memory of a Turn; of more servers the first ones are forgotten.
const maxTried = 8

// Turn is what one request needs to pick and queue, kept in the request's own memory. It belongs to the request's task
// and may be used again after Reset. It must not be copied.
type Turn struct {
	server *Server // whose place it holds
	lane   int     // index of the task's loop
	trial  bool    // it tries its server out for all others
	took   int64   // see Took
	ntried int
	tried  [maxTried]*balance.Places
	hash   uint64  // of the request's key
	keyed  bool    // it has one
	stay   *Server // where its session is; nil: it has none
	moved  bool    // that one cannot have it any more

	task       *loop.Task // the rest is guarded by the core's mutex while queued
	prev, next *Turn
	granted    atomic.Bool
}

// Reset forgets the servers that were tried, for a new request. The turn must hold no place.
func (t *Turn) Reset() {
	if t.server != nil {
		panic("pool: Reset with a place in hand")
	}
	clear(t.tried[:])
	t.ntried = 0
	t.hash, t.keyed, t.stay, t.moved = 0, false, nil, false
}

// Key gives the request the hash of its key (balance.Hash), for pools that balance by one.
func (t *Turn) Key(hash uint64) { t.hash, t.keyed = hash, true }

// Stay says that the request's session is at s: it waits for a place there, unless s takes nobody any more.
func (t *Turn) Stay(s *Server) { t.stay = s }

// Moved says that the request was given a place elsewhere because the server of its session takes nobody any more.
func (t *Turn) Moved() bool { return t.moved && t.server != t.stay }

// choosy says that not every place will do. It stays as it is while the turn is queued.
func (t *Turn) choosy() bool { return t.ntried > 0 || t.stay != nil }

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

// wait is the slow half of Pick.
func (c *core) wait(t *loop.Task, turn *Turn, client *loop.Conn) (*Server, error) {
	s, by, err := c.enqueue(t, turn)
	if s != nil || err != nil {
		return s, err
	}
	if client != nil {
		if err = client.Watch(t, true); err == nil {
			defer client.Watch(nil, false)
		}
	}
	for err == nil && !turn.granted.Load() {
		err = t.Park(by)
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
	case s == nil: // the pool was closed
		return nil, loop.ErrClosed
	case err != nil && !errors.Is(err, loop.ErrTimeout): // a place that came just in time is as good as any
		s.giveBack(turn, Aborted)
		return nil, err
	}
	return s, nil
}

// enqueue takes a place after all, or puts turn into the queue until the time by.
func (c *core) enqueue(t *loop.Task, turn *Turn) (s *Server, by loop.Time, err error) {
	now := t.Loop().Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.view.Load()
	if c.closed {
		return nil, 0, loop.ErrClosed
	}
	if v.waits && c.waiting.Load() >= int64(v.cfg.Queue.Size) {
		if s = c.takeUnqueued(v, turn); s == nil {
			err = ErrQueueFull
			if !v.anyOpen() {
				err = ErrNoServer
			}
		}
		return s, 0, err
	}
	if !v.waits {
		if s = c.takeUnqueued(v, turn); s == nil {
			err = ErrNoServer
		}
		return s, 0, err
	}
	turn.task = t
	turn.granted.Store(false)
	if behind := c.link(turn); !behind {
		// Nobody who would take any place is before it. Those who want a particular one have the first choice.
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
			return turn.server, 0, nil
		}
	}
	if v.cfg.Queue.Timeout > 0 {
		by = now + int64(v.cfg.Queue.Timeout)
	}
	return nil, by, nil
}

// takeUnqueued takes a place where there is no room to wait, unless somebody who waits comes first. Under mu.
func (c *core) takeUnqueued(v *view, turn *Turn) *Server {
	if c.head != nil {
		return nil
	}
	if s := v.take(c.shared(), turn); s != nil {
		turn.server = s
		return s
	}
	return nil
}

// shared is the cursor of those who hold mu.
func (c *core) shared() *balance.Cursor { return &c.cursors[len(c.cursors)-1] }

// withdraw takes turn out of the queue. False: it was granted a place.
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
	full := false // there is no place that just anybody might have
	for w := c.head; w != nil; w = w.next {
		if full && (w.stay == nil || w.stay.places.Open()) {
			continue
		}
		s := freed
		if s == nil || w.choosy() || !v.takesTurns(s) || !s.takeFor(w, v.limit) {
			s = v.take(c.shared(), w)
		}
		if s != nil {
			c.unlink(w)
			return c.tell(w, s)
		}
		if !w.choosy() { // it could have had any place: there is none
			if c.staying == 0 {
				return nil
			}
			full = true // but a server that drains has places for its sessions
		}
	}
	return nil
}

// tell ends w's wait with a place at s (nil: the pool is closed) and returns the task to wake. Under mu; w is
// unlinked, and no longer ours once granted is set.
func (c *core) tell(w *Turn, s *Server) *loop.Task {
	task := w.task
	w.server = s
	w.granted.Store(true)
	return task
}

// link puts turn into the queue: at its end, or if it was tried before, behind the others that were. It says whether somebody
// who would take any place is before it. Under mu.
func (c *core) link(turn *Turn) (behind bool) {
	at := c.tail // turn goes behind it
	if turn.ntried > 0 {
		at = nil
		for n := c.head; n != nil && n.ntried > 0; n = n.next {
			at = n
		}
	}
	turn.prev = at
	if at == nil {
		turn.next, c.head = c.head, turn
	} else {
		turn.next, at.next = at.next, turn
	}
	if turn.next == nil {
		c.tail = turn
	} else {
		turn.next.prev = turn
	}
	c.waiting.Add(1)
	if turn.stay != nil {
		c.staying++
	}
	if !turn.choosy() {
		c.unchoosy++
		return c.unchoosy > 1
	}
	return c.unchoosy > 0 && turn.ntried == 0 && turn.stay.places.Open()
}

// unlink takes turn out of the queue. Under mu.
func (c *core) unlink(turn *Turn) {
	if turn.prev == nil {
		c.head = turn.next
	} else {
		turn.prev.next = turn.next
	}
	if turn.next == nil {
		c.tail = turn.prev
	} else {
		turn.next.prev = turn.prev
	}
	turn.prev, turn.next = nil, nil
	c.waiting.Add(-1)
	if turn.stay != nil {
		c.staying--
	}
	if !turn.choosy() {
		c.unchoosy--
	}
}
