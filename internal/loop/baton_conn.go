package loop

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
)

// Connections of the goroutine body. A net.Conn says nothing of itself unless it is read from, so a connection that
// rests or is watched has a goroutine that looks ahead: it reads one byte, which is kept for the next Read.

// stdConn is a connection's part of the goroutine body. Owned by the loop, but for the net.Conn.
type stdConn struct {
	net.Conn
	readSet, writeSet Time // deadlines as the net.Conn has them
	ahead             *look
	kept              [1]byte
	has               bool  // kept has a byte
	err               error // that looking ahead ran into
}

// look is one byte looked at ahead. What it found is read after done is closed.
type look struct {
	done chan struct{}
	b    [1]byte
	n    int
	err  error
}

func (l *Loop) attachStd(nc net.Conn, peer netip.AddrPort, state connState) *Conn {
	c := &Conn{loop: l, std: &stdConn{Conn: nc}, peer: peer, state: state, fd: -1}
	l.baton.conns[c] = struct{}{}
	l.count.Conns++
	return c
}

// setRead gives the net.Conn a deadline. Only a closed one refuses, and then what follows says so.
func (s *stdConn) setRead(l *Loop, at Time) {
	if s.readSet == at {
		return
	}
	s.readSet = at
	_ = s.Conn.SetReadDeadline(l.engine.netDeadline(at))
}

func (s *stdConn) setWrite(l *Loop, at Time) {
	if s.writeSet == at {
		return
	}
	s.writeSet = at
	_ = s.Conn.SetWriteDeadline(l.engine.netDeadline(at))
}

func (s *stdConn) closeWrite() error {
	if half, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		return plain(half.CloseWrite())
	}
	return errors.ErrUnsupported
}

func (s *stdConn) abort() {
	if tcp, ok := s.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // the Close that follows says if it is closed
	}
}

// plain turns the net package's errors into those that fibers give.
func plain(err error) error {
	var e syscall.Errno
	switch {
	case err == nil || err == io.EOF:
		return err
	case errors.As(err, &e):
		return e
	case errors.Is(err, net.ErrClosed):
		return ErrClosed
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ErrTimeout
	}
	return err
}

func (c *Conn) readBaton(p []byte) (int, error) {
	l, s := c.loop, c.std
	switch {
	case c.state&closed != 0:
		return 0, ErrClosed
	case c.late(c.readBy):
		return 0, ErrTimeout
	case len(p) == 0:
		return 0, nil
	}
	c.stopLook()
	if s.has {
		p[0], s.has = s.kept[0], false
		c.watchOn()
		return 1, nil
	}
	if s.err != nil {
		return 0, s.err
	}
	t := l.cur
	if t == nil {
		return 0, errAgain
	}
	if c.reader != nil {
		panic("loop: two tasks read from one connection")
	}
	c.reader = t
	s.setRead(l, c.readBy)
	var n int
	var err error
	t.aside(func() { n, err = s.Conn.Read(p) })
	c.reader = nil
	c.watchOn()
	return n, plain(err)
}

func (c *Conn) writeBaton(p []byte) (int, error) {
	n, err := c.write2Baton(p, nil)
	return int(n), err
}

func (c *Conn) write2Baton(a, b []byte) (n int64, err error) {
	werr := c.writing(func() {
		if len(b) == 0 {
			var m int
			m, err = c.std.Conn.Write(a)
			n = int64(m)
			return
		}
		two := net.Buffers{a, b}
		n, err = two.WriteTo(c.std.Conn)
	})
	if werr != nil {
		return 0, werr
	}
	return n, plain(err)
}

func (c *Conn) writeAllBaton(pieces [][]byte) (n int64, err error) {
	all := net.Buffers(pieces)
	werr := c.writing(func() { n, err = all.WriteTo(c.std.Conn) })
	if werr != nil {
		return 0, werr
	}
	return n, plain(err)
}

// writing runs f, which writes, without the baton.
func (c *Conn) writing(f func()) error {
	t := c.loop.cur
	switch {
	case c.state&closed != 0:
		return ErrClosed
	case c.late(c.writeBy):
		return ErrTimeout
	case t == nil:
		return errAgain
	case c.writer != nil:
		panic("loop: two tasks write to one connection")
	}
	c.writer = t
	c.std.setWrite(c.loop, c.writeBy)
	t.aside(f)
	c.writer = nil
	return nil
}

func (c *Conn) sendFileBaton(f *os.File, off, n int64) (done int64, err error) {
	b := c.loop.LargeBuffer()
	defer c.loop.Release(b)
	werr := c.writing(func() {
		for done < n && err == nil {
			var m int
			m, err = f.ReadAt(b[:min(n-done, int64(len(b)))], off+done)
			if m > 0 {
				var werr error
				m, werr = c.std.Conn.Write(b[:m])
				if werr != nil {
					err = werr
				}
			}
			done += int64(m)
		}
	})
	switch {
	case werr != nil:
		return 0, werr
	case done == n:
		return done, nil
	case err == io.EOF:
		return done, io.ErrUnexpectedEOF
	}
	return done, plain(err)
}

// endBaton closes the socket; a goroutine that looks ahead ends by that.
func (c *Conn) endBaton() {
	delete(c.loop.baton.conns, c)
	_ = c.std.Conn.Close() // nothing is left to be done about an error
}

// lookAhead begins to look, unless that is under way or has led to something already.
func (c *Conn) lookAhead(until Time) {
	s := c.std
	if s.ahead != nil || s.has || s.err != nil {
		return
	}
	k := &look{done: make(chan struct{})}
	s.ahead = k
	s.setRead(c.loop, until)
	c.loop.help(func() { c.look(k) })
}

func (c *Conn) look(k *look) {
	l := c.loop
	k.n, k.err = c.std.Conn.Read(k.b[:])
	close(k.done)
	l.take(nil, goroutineID())
	if c.std.ahead == k {
		c.std.ahead = nil
		c.found(k)
	}
	l.helped()
	l.give()
}

// stopLook ends looking ahead. The wait is short: the deadline has passed.
func (c *Conn) stopLook() {
	k := c.std.ahead
	if k == nil {
		return
	}
	c.std.ahead = nil
	c.std.setRead(c.loop, 1)
	<-k.done
	c.keep(k)
}

// keep remembers what was found.
func (c *Conn) keep(k *look) {
	s := c.std
	switch err := plain(k.err); {
	case k.n > 0:
		s.kept, s.has = k.b, true
	case err == ErrTimeout:
	case err == io.EOF:
		s.err = err
		c.state |= finished
	default:
		s.err = err
		c.state |= finished | broken
	}
}

// found ends a rest or a watch with what was seen.
func (c *Conn) found(k *look) {
	c.keep(k)
	if c.state&closed != 0 {
		return
	}
	if c.watcher != nil && c.peerGone() {
		c.watcher.hangup()
	}
	if c.rester == nil {
		return
	}
	if c.sec != nil && c.std.has && c.sec.quiet() {
		c.lookAhead(c.restBy) // it was part of a session ticket
		return
	}
	r := c.rester
	c.rester = nil
	if c.std.has || c.sec != nil && c.sec.spoke || c.std.err != nil {
		c.loop.callReady(r, c)
	} else {
		c.loop.callExpired(r, c)
	}
}

// watchOn goes on with a watch that a read interrupted.
func (c *Conn) watchOn() {
	if c.watcher != nil && c.state&closed == 0 {
		c.lookAhead(0)
	}
}

func (c *Conn) restBaton(until Time) {
	c.stopLook()
	if !c.std.has && c.std.err == nil {
		c.lookAhead(until)
		return
	}
	c.loop.Post(func() {
		if c.rester != nil && (c.std.has || c.std.err != nil) {
			r := c.rester
			c.rester = nil
			c.loop.callReady(r, c)
		}
	})
}

// aliveBaton peeks where the system offers that, and else goes by what looking ahead has found.
func (c *Conn) aliveBaton() bool {
	if c.std.has || c.std.err != nil {
		return false
	}
	sc, ok := c.std.Conn.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	var b [1]byte
	var e syscall.Errno
	if raw.Control(func(fd uintptr) { _, e = sysRecv(int(fd), b[:], sysPeek) }) != nil {
		return false
	}
	return e == errAgain || e == syscall.ENOSYS
}

func (c *Conn) unrestBaton() bool {
	c.stopLook()
	return !c.std.has && c.std.err == nil
}
