package loop

import (
	"io"
	"os"
	"syscall"
)

// Connections of the fiber body. The sockets are watched edge-triggered, so a connection remembers what it was told
// (readable, writable) until a system call shows that it holds no longer. A read that returns less than asked for has
// emptied the socket: whatever comes later is an edge of its own. So neither a connection that has just been read from nor
// one on which a request has just been written spends a read on learning EAGAIN. The one exception is a peer that has
// finished: the edge of its FIN may be the one that told of its last bytes, and no other follows.
//
// Room to write is watched only for those that had to wait for it (and for dialed TCP sockets, where it costs
// nothing more): a Unix socket has an edge for each read of its peer.

// attach makes a connection of a socket and registers it. The socket is closed if that fails.
func (l *Loop) attach(fd int, state connState, connecting bool) (*Conn, syscall.Errno) {
	l.serial++
	if l.serial == 0 {
		l.serial = 1 // 0 is what listeners are registered with
	}
	c := &Conn{loop: l, fd: int32(fd), serial: l.serial, state: state}
	c.timer.owner = c
	if !connecting {
		c.state |= writable
	} else {
		c.state |= tellsRoom
	}
	if e := l.poll.add(fd, c.serial, connecting); e != 0 {
		sysClose(fd)
		return nil, e
	}
	f := &l.fibers
	if fd >= len(f.conns) {
		bigger := make([]*Conn, max(2*len(f.conns), fd+64))
		copy(bigger, f.conns)
		f.conns = bigger
	}
	f.conns[fd] = c
	l.count.Conns++
	return c, 0
}

// event takes what the poller tells of a descriptor.
func (l *Loop) event(fd int, serial, what uint32) {
	if serial == 0 {
		l.acceptOn(fd)
		return
	}
	if fd >= len(l.fibers.conns) {
		return
	}
	c := l.fibers.conns[fd]
	if c == nil || c.serial != serial {
		return // closed by a callback of this batch
	}
	if what&evIn != 0 {
		c.state |= readable
	}
	if what&evOut != 0 {
		c.state |= writable
	}
	if what&evRDH != 0 {
		c.state |= readable | finished
	}
	if what&evGone != 0 {
		c.state |= readable | writable | finished | broken
	}
	if c.reader != nil && c.state&readable != 0 {
		l.ready(c.reader)
	}
	if c.writer != nil && c.state&writable != 0 {
		l.ready(c.writer)
	}
	if c.watcher != nil && c.peerGone() {
		c.watcher.hangup()
	}
	if c.rester != nil && c.state&readable != 0 {
		c.wakeRest()
	}
}

func (c *Conn) wakeRest() {
	if c.sec != nil && c.sec.quiet() {
		return // it was a session ticket
	}
	r := c.rester
	c.rester = nil
	c.loop.callReady(r, c)
}

// expire is the timer's call: it looks for deadlines that have passed, and for the next.
func (c *Conn) expire(now Time) {
	next := Time(0)
	later := func(at Time) bool {
		if at <= now {
			return false
		}
		if next == 0 || at < next {
			next = at
		}
		return true
	}
	if c.reader != nil && c.readBy != 0 && !later(c.readBy) {
		c.loop.ready(c.reader)
	}
	if c.writer != nil && c.writeBy != 0 && !later(c.writeBy) {
		c.loop.ready(c.writer)
	}
	expired := c.rester != nil && c.restBy != 0 && !later(c.restBy)
	if next != 0 {
		c.loop.fibers.wheel.by(&c.timer, next)
	}
	if expired {
		r := c.rester
		c.rester = nil
		c.loop.callExpired(r, c)
	}
}

func (c *Conn) readFiber(p []byte) (int, error) {
	if c.state&closed == 0 && c.late(c.readBy) {
		return 0, ErrTimeout
	}
	for waited := false; ; waited = true {
		if c.state&closed != 0 {
			return 0, ErrClosed
		}
		if len(p) == 0 {
			return 0, nil
		}
		if c.state&readable != 0 {
			n, e := sysRecv(int(c.fd), p, 0)
			switch {
			case e == errAgain:
				c.state &^= readable
			case e == errIntr:
				continue
			case e != 0:
				return 0, e
			case n == 0:
				return 0, io.EOF
			default:
				if n < len(p) && c.state&finished == 0 {
					c.state &^= readable
				}
				c.loop.spend(n)
				return n, nil
			}
		}
		if waited && c.late(c.readBy) {
			return 0, ErrTimeout
		}
		if err := c.awaitRead(); err != nil {
			return 0, err
		}
	}
}

func (c *Conn) late(by Time) bool { return by != 0 && by <= c.loop.now }

// spend is Task.spend for the running task, if a task is running.
func (l *Loop) spend(bytes int) {
	if t := l.cur; t != nil {
		t.spend(bytes)
	}
}

func (c *Conn) awaitRead() error {
	t := c.loop.cur
	if t == nil {
		return errAgain
	}
	if c.reader != nil {
		panic("loop: two tasks read from one connection")
	}
	c.reader = t
	if c.readBy != 0 {
		c.loop.fibers.wheel.by(&c.timer, c.readBy)
	}
	t.suspend(waitsConn)
	c.reader = nil
	return nil
}

func (c *Conn) writeFiber(p []byte) (int, error) {
	n, err := c.write2Fiber(p, nil)
	return int(n), err
}

func (c *Conn) write2Fiber(a, b []byte) (int64, error) {
	var done int64
	if c.state&closed == 0 && c.late(c.writeBy) {
		return 0, ErrTimeout
	}
	for {
		if c.state&closed != 0 {
			return done, ErrClosed
		}
		if len(a) == 0 {
			a, b = b, nil
		}
		if len(a) == 0 {
			return done, c.wrote()
		}
		if c.state&writable == 0 {
			if err := c.awaitRoom(); err != nil {
				return done, err
			}
			continue
		}
		n, e := c.send(a, b)
		if e != 0 {
			return done, e
		}
		done += int64(n)
		m := min(n, len(a))
		a, b = a[m:], b[n-m:]
		c.loop.spend(n)
	}
}

func (c *Conn) writeAllFiber(pieces [][]byte) (int64, error) {
	var done int64
	if c.state&closed == 0 && c.late(c.writeBy) {
		return 0, ErrTimeout
	}
	for {
		if c.state&closed != 0 {
			return done, ErrClosed
		}
		for len(pieces) > 0 && len(pieces[0]) == 0 {
			pieces = pieces[1:]
		}
		if len(pieces) == 0 {
			return done, c.wrote()
		}
		if c.state&writable == 0 {
			if err := c.awaitRoom(); err != nil {
				return done, err
			}
			continue
		}
		now := pieces[:min(len(pieces), maxPieces)]
		n, e := sysSendAll(int(c.fd), now)
		if n, e = c.sent(n, total(now), e); e != 0 {
			return done, e
		}
		done += int64(n)
		c.loop.spend(n)
		for n > 0 {
			m := min(n, len(pieces[0]))
			pieces[0] = pieces[0][m:]
			if n -= m; len(pieces[0]) == 0 {
				pieces = pieces[1:]
			}
		}
	}
}

// maxPieces is how many pieces go into one system call.
const maxPieces = 16

func total(pieces [][]byte) (n int) {
	for _, p := range pieces {
		n += len(p)
	}
	return n
}

// send writes once, and learns whether there is more room.
func (c *Conn) send(a, b []byte) (n int, e syscall.Errno) {
	if len(b) == 0 {
		n, e = sysSend(int(c.fd), a)
	} else {
		n, e = sysSend2(int(c.fd), a, b)
	}
	return c.sent(n, len(a)+len(b), e)
}

// sent learns from what became of a write of so many bytes whether there is more room.
func (c *Conn) sent(n, of int, e syscall.Errno) (int, syscall.Errno) {
	switch e {
	case 0:
		if n < of {
			c.state &^= writable
		}
		return n, 0
	case errAgain:
		c.state &^= writable
		return 0, 0
	case errIntr:
		return 0, 0
	}
	return 0, e
}

// awaitRoom waits until there may be room to write.
func (c *Conn) awaitRoom() error {
	t := c.loop.cur
	if t == nil {
		return errAgain
	}
	if c.writer != nil {
		panic("loop: two tasks write to one connection")
	}
	if c.state&tellsRoom == 0 {
		if e := c.loop.poll.change(int(c.fd), c.serial, true); e != 0 {
			return e
		}
		c.state |= tellsRoom
	}
	c.writer = t
	if c.writeBy != 0 {
		c.loop.fibers.wheel.by(&c.timer, c.writeBy)
	}
	t.suspend(waitsConn)
	c.writer = nil
	if c.state&(writable|closed) == 0 && c.late(c.writeBy) {
		return ErrTimeout
	}
	return nil
}

// wrote ends a write that may have had to wait: a Unix socket would go on telling of room with each read of the peer.
func (c *Conn) wrote() error {
	if c.state&(tellsRoom|local) != tellsRoom|local {
		return nil
	}
	if e := c.loop.poll.change(int(c.fd), c.serial, false); e != 0 {
		return e
	}
	c.state &^= tellsRoom
	return nil
}

// endFiber closes the descriptor, at once unless it is in use off the loop.
func (c *Conn) endFiber() {
	l := c.loop
	l.fibers.conns[c.fd] = nil
	l.fibers.wheel.disarm(&c.timer)
	if c.reader != nil {
		l.ready(c.reader)
	}
	if c.writer != nil {
		l.ready(c.writer)
	}
	if c.state&lent != 0 {
		// Whoever has it learns of the end, and its task closes.
		if e := sysShutdown(int(c.fd)); e != 0 {
			l.poll.remove(int(c.fd))
		}
		return
	}
	sysClose(int(c.fd))
}

// restFiber: an event may have come that no read has answered yet, and then no other will.
func (c *Conn) restFiber(until Time) {
	l := c.loop
	if c.state&readable != 0 && c.state&finished == 0 && c.sec == nil {
		// The last read was exactly full, so perhaps there is nothing more. A task for nothing would cost more than this
		// call, and would stay.
		var b [1]byte
		if _, e := sysRecv(int(c.fd), b[:], sysPeek); e == errAgain {
			c.state &^= readable
		}
	}
	if c.state&readable != 0 {
		l.fibers.rested = append(l.fibers.rested, c)
		return
	}
	if until != 0 {
		l.fibers.wheel.by(&c.timer, until)
	}
}

// endRests calls those whose rest was over before it began. A rest may have been ended otherwise by now, and another
// begun: that one is over too, or it is an event's to end.
func (l *Loop) endRests() {
	f := &l.fibers
	rested := f.rested
	f.rested = f.spare[:0]
	for i, c := range rested {
		rested[i] = nil
		if c.rester != nil && c.state&readable != 0 {
			c.wakeRest()
		}
	}
	f.spare = rested
}

// sendPiece bounds what one call of sendfile may write, and with it how long a goroutine of Do is taken.
const sendPiece = 1 << 20

func (c *Conn) sendFileFiber(t *Task, f *os.File, off, n int64) (done int64, err error) {
	if c.state&closed == 0 && c.late(c.writeBy) {
		return 0, ErrTimeout
	}
	if n > 0 && n <= LargeBufferSize {
		if sent, err, ok := c.sendCached(f, off, n); ok {
			return sent, err
		}
	}
	for done < n {
		if c.state&closed != 0 {
			return done, ErrClosed
		}
		if c.state&writable == 0 {
			if err := c.awaitRoom(); err != nil {
				return done, err
			}
			continue
		}
		m, e := c.sendPiece(t, f, off+done, int(min(n-done, sendPiece)))
		done += int64(m)
		switch {
		case c.state&closed != 0:
			return done, ErrClosed
		case e == errAgain:
		case e == errIntr:
			c.state |= writable
		case e != 0:
			return done, e
		case m == 0:
			return done, io.ErrUnexpectedEOF
		default:
			c.state |= writable
		}
	}
	return done, c.wrote()
}

// sendCached sends a small file that is in the page cache. Copying it costs less than going off the loop and back; ok
// says whether all of it was there.
func (c *Conn) sendCached(f *os.File, off, n int64) (sent int64, err error, ok bool) {
	b := c.loop.LargeBuffer()
	defer c.loop.Release(b)
	for have := 0; have < int(n); {
		m, e := sysReadCached(f, b[have:n], off+int64(have))
		if e != 0 || m == 0 {
			return 0, nil, false
		}
		have += m
	}
	m, err := c.writeFiber(b[:n])
	return int64(m), err, true
}

// sendPiece runs one sendfile off the loop. Meanwhile the connection may be closed; the descriptor stays ours until the
// call has returned, so that it cannot become another's under it.
func (c *Conn) sendPiece(t *Task, f *os.File, off int64, n int) (sent int, e syscall.Errno) {
	c.state |= lent
	// Forgotten before and not after the call: the edge of new room may come before the task goes on.
	c.state &^= writable
	fd := int(c.fd)
	t.Do(func() { sent, e = sysSendFile(fd, f, off, n) })
	c.state &^= lent
	if c.state&closed != 0 {
		sysClose(fd)
	}
	return sent, e
}
