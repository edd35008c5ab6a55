package pool

import (
	"sync/atomic"
	"time"

	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/pool/link"
)

// keepFor is how long a connection rests at the most. It is below the 5 s after which several application servers (Node,
// uvicorn, Apache) close theirs, so that weir mostly closes first and no request meets a closing connection. A server
// under load uses its connections again long before; an idle one costs a connect every few seconds.
const keepFor = 4 * time.Second

// lane is what one loop has of one server. It belongs to the loop; others read the counts.
type lane struct {
	top      *kept // resting, the one used last on top
	free     *kept // nodes to use again, by next
	idle     atomic.Int64
	requests atomic.Uint64
	errors   atomic.Uint64
	judged   judged
	ties     *Tie          // sessions of TCP
	in, out  atomic.Uint64 // bytes that went there, and came
	marks    marks         // plain: this loop's own
	_        [64]byte
}

// kept is a resting connection. Nodes are made as the stack grows, never more than the limit, and used again.
type kept struct {
	lane       *lane
	conn       *loop.Conn
	prev, next *kept // prev is nearer to the top
	of         link.Origin
}

// push lets c, which was made for an origin (nil: for any), rest, or closes it when there are limit already.
func (l *lane) push(c *loop.Conn, of *link.Origin, limit int, until loop.Time) {
	if int(l.idle.Load()) >= limit {
		c.Close()
		return
	}
	k := l.free
	if k != nil {
		l.free = k.next
	} else {
		k = &kept{lane: l}
	}
	k.conn, k.prev, k.next = c, nil, l.top
	if of != nil {
		k.of = *of
	}
	if l.top != nil {
		l.top.prev = k
	}
	l.top = k
	l.idle.Add(1)
	c.ReadBy(0)
	c.WriteBy(0)
	c.Rest(k, until)
}

// pop returns the connection used last that still lives, or nil.
func (l *lane) pop() *loop.Conn {
	for k := l.top; k != nil; k = l.top {
		c := k.conn
		l.drop(k)
		if c.Unrest() {
			return c
		}
		c.Close()
	}
	return nil
}

// popOf is pop among those that were made for an origin.
func (l *lane) popOf(of *link.Origin) *loop.Conn {
	for k := l.top; k != nil; {
		next := k.next
		if of != nil && k.of == *of {
			c := k.conn
			l.drop(k)
			if c.Unrest() {
				return c
			}
			c.Close()
		}
		k = next
	}
	return nil
}

// drop takes k off the stack.
func (l *lane) drop(k *kept) {
	if k.prev == nil {
		l.top = k.next
	} else {
		k.prev.next = k.next
	}
	if k.next != nil {
		k.next.prev = k.prev
	}
	k.conn, k.prev, k.next = nil, nil, l.free
	l.free = k
	l.idle.Add(-1)
}

// closeAll closes what rests. On the loop.
func (l *lane) closeAll() {
	for l.top != nil {
		c := l.top.conn
		l.drop(l.top)
		c.Unrest()
		c.Close()
	}
	l.free = nil
}

// Listener is what a kept connection remembers (loop.Conn.Remember) if its protocol lets a server speak unasked.
type Listener interface {
	// Spoken is called on the loop, outside of a task, when the server has sent something, or has closed. The connection is the
	// listener's from then on, to keep again or to close.
	Spoken(c *loop.Conn)
}

// Ready is called when the server closed the connection, or sent something that nobody asked for: either way it is
// of no more use, if nobody listens.
func (k *kept) Ready(c *loop.Conn) {
	if l, ok := c.Memory().(Listener); ok && k.conn == c {
		k.lane.drop(k)
		l.Spoken(c)
		return
	}
	k.end(c)
}

// Expired is called when it rested long enough.
func (k *kept) Expired(c *loop.Conn) { k.end(c) }

func (k *kept) end(c *loop.Conn) {
	if k.conn != c {
		return // it was ended from our side in the same turn
	}
	k.lane.drop(k)
	c.Close()
}

// closeKept closes the server's kept connections on their loops.
func (c *core) closeKept(s *Server) {
	for i, l := range c.loops {
		l.Post(s.lanes[i].closeAll)
	}
}
