package loop

import (
	"net"
	"net/netip"
	"os"
	"time"
)

// Conn is a stream connection of one loop. It is a net.Conn. At a time one task may read and another may write.
// Only on its loop, but for the methods that say otherwise. Outside a task nothing can wait: there Read and Write return
// what is to be had and syscall.EAGAIN.
type Conn struct {
	// Never change.
	loop *Loop
	std  *stdConn // the goroutine body's socket
	sec  *secured // TLS; nil: none. Set before anybody else has the connection
	peer netip.AddrPort

	// Owned by the loop.
	fd      int32
	serial  uint32 // tells events of this connection from those of an earlier one with the same descriptor
	state   connState
	reader  *Task // waits for something to read
	writer  *Task // waits for room to write, or for the connection to be made
	watcher *Task
	rester  Rester // not nil while the connection rests
	readBy  Time
	writeBy Time
	restBy  Time
	timer   timer // due no later than the first of the deadlines that something waits for
	memory  any
}

// connState is what is known of a connection.
type connState uint16

const (
	readable  connState = 1 << iota // there may be something to read; without it there is nothing
	writable                        // there may be room to write
	finished                        // the peer has shut down its side, which may have been told before its last bytes were read
	broken                          // both sides are down, or there is an error to be had
	closed                          // by us
	tellsRoom                       // the poller tells of room to write
	local                           // a Unix socket
	watchHalf                       // Watch's half
	lent                            // the descriptor is in use off the loop
)

// Loop is the loop to which the connection belongs. From any goroutine.
func (c *Conn) Loop() *Loop { return c.loop }

// Memory is what Remember was given last, nil at first.
func (c *Conn) Memory() any { return c.memory }

// Remember keeps what a protocol has to know of the connection from one task to the next. A pointer costs no allocation.
func (c *Conn) Remember(v any) { c.memory = v }

// Read reads what is there, parking the running task until there is something. io.EOF when the peer closed its side.
func (c *Conn) Read(p []byte) (int, error) {
	if c.sec != nil {
		return c.sec.read(p)
	}
	return c.readBelow(p)
}

func (c *Conn) readBelow(p []byte) (int, error) {
	if c.std != nil {
		return c.readBaton(p)
	}
	return c.readFiber(p)
}

// Write writes all of p, parking as needed.
func (c *Conn) Write(p []byte) (int, error) {
	if c.sec != nil {
		n, err := c.sec.send([][]byte{p})
		return int(n), err
	}
	if c.std != nil {
		return c.writeBaton(p)
	}
	return c.writeFiber(p)
}

// Write2 writes all of a, then all of b, in one system call where the socket takes it.
func (c *Conn) Write2(a, b []byte) (int64, error) {
	if c.sec != nil {
		return c.sec.send([][]byte{a, b})
	}
	return c.write2Below(a, b)
}

func (c *Conn) write2Below(a, b []byte) (int64, error) {
	if c.std != nil {
		return c.write2Baton(a, b)
	}
	return c.write2Fiber(a, b)
}

// WriteAll writes all of the pieces in order, several of them in one system call. It moves the slices in pieces along, so
// that they are empty or what is left when it returns.
func (c *Conn) WriteAll(pieces [][]byte) (int64, error) {
	if c.sec != nil {
		n, err := c.sec.send(pieces)
		advance(pieces, n)
		return n, err
	}
	if c.std != nil {
		return c.writeAllBaton(pieces)
	}
	return c.writeAllFiber(pieces)
}

// advance moves pieces along by n bytes.
func advance(pieces [][]byte, n int64) {
	for i, p := range pieces {
		m := min(n, int64(len(p)))
		pieces[i], n = p[m:], n-m
	}
}

// SendFile writes n bytes of f from offset off. The disk is waited for off the loop; no more than LargeBufferSize bytes that
// are in the page cache are written at once. It returns io.ErrUnexpectedEOF
// when f has less. f must stay open and the connection must not be written to meanwhile.
func (c *Conn) SendFile(t *Task, f *os.File, off, n int64) (int64, error) {
	t.mustRun("SendFile")
	if c.sec != nil {
		return c.sec.sendFile(t, f, off, n)
	}
	if c.std != nil {
		return c.sendFileBaton(f, off, n)
	}
	return c.sendFileFiber(t, f, off, n)
}

// ReadBy and WriteBy set the deadlines of reads and writes, under way ones too. 0 is none. They are cheap: a store,
// unless something waits that the new deadline would end sooner.
func (c *Conn) ReadBy(at Time) {
	c.readBy = at
	switch {
	case c.reader == nil:
	case c.std != nil:
		c.std.setRead(c.loop, at)
	case at != 0:
		c.loop.fibers.wheel.by(&c.timer, at)
	}
}

// WriteBy is ReadBy for writes.
func (c *Conn) WriteBy(at Time) {
	c.writeBy = at
	switch {
	case c.writer == nil:
	case c.std != nil:
		c.std.setWrite(c.loop, at)
	case at != 0:
		c.loop.fibers.wheel.by(&c.timer, at)
	}
}

// SetDeadline sets both deadlines; the zero time is none. So that a connection can be a net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	at := c.loop.engine.deadline(t)
	c.ReadBy(at)
	c.WriteBy(at)
	return nil
}

// SetReadDeadline is ReadBy in net.Conn's form.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.ReadBy(c.loop.engine.deadline(t))
	return nil
}

// SetWriteDeadline is WriteBy in net.Conn's form.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.WriteBy(c.loop.engine.deadline(t))
	return nil
}

// deadline turns net.Conn's deadlines into the loop's.
func (e *Engine) deadline(t time.Time) Time {
	if t.IsZero() {
		return 0
	}
	return max(e.clock(t), 1)
}

// LocalAddr is this side's address. It allocates.
func (c *Conn) LocalAddr() net.Addr {
	if c.std != nil {
		return c.std.LocalAddr()
	}
	ip, _, path, _ := c.names()
	return c.netAddr(ip, path)
}

// RemoteAddr is the peer's address. It allocates; see Peer.
func (c *Conn) RemoteAddr() net.Addr {
	if c.std != nil {
		return c.std.RemoteAddr()
	}
	if c.state&local == 0 {
		return net.TCPAddrFromAddrPort(c.peer)
	}
	_, _, _, path := c.names()
	return c.netAddr(netip.AddrPort{}, path)
}

func (c *Conn) names() (localIP, remoteIP netip.AddrPort, localPath, remotePath string) {
	if c.state&closed != 0 {
		return // the descriptor may be another's by now
	}
	return sysNames(int(c.fd))
}

func (c *Conn) netAddr(ip netip.AddrPort, path string) net.Addr {
	if c.state&local != 0 {
		return &net.UnixAddr{Name: path, Net: "unix"}
	}
	return net.TCPAddrFromAddrPort(ip)
}

// Peer is the peer's address without allocation; the zero value for a Unix socket.
func (c *Conn) Peer() netip.AddrPort { return c.peer }

// Represent makes Peer and RemoteAddr tell of another peer: whose connection it is, where a proxy has made it for somebody.
func (c *Conn) Represent(peer netip.AddrPort) { c.peer = peer }

// Local is this side's address; the zero value for a Unix socket. It asks the system.
func (c *Conn) Local() netip.AddrPort {
	if c.std != nil {
		if a, ok := c.std.LocalAddr().(*net.TCPAddr); ok {
			a := a.AddrPort()
			return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
		}
		return netip.AddrPort{}
	}
	ip, _, _, _ := c.names()
	return ip
}

// CloseWrite sends FIN: the peer reads io.EOF, and can still write. With TLS it says so there too, which may have to wait.
func (c *Conn) CloseWrite() error {
	if c.state&closed != 0 {
		return ErrClosed
	}
	if c.sec != nil {
		if err := c.sec.closeWrite(); err != nil {
			return err
		}
	}
	if c.std != nil {
		return c.std.closeWrite()
	}
	if e := sysShutdownWrite(int(c.fd)); e != 0 {
		return e
	}
	return nil
}

// Close closes; operations of other tasks on the connection return ErrClosed, as does a second Close. A rest ends
// untold.
func (c *Conn) Close() error {
	if c.state&closed != 0 {
		return ErrClosed
	}
	if c.sec != nil {
		c.sec.bye()
		c.sec.free()
	}
	c.end()
	return nil
}

// Reset closes with RST (TCP), so that the peer learns that the message was cut.
func (c *Conn) Reset() error {
	if c.state&closed != 0 {
		return ErrClosed
	}
	if c.std != nil {
		c.std.abort()
	} else if c.state&local == 0 {
		if e := sysAbort(int(c.fd)); e != 0 {
			c.end()
			return e
		}
	}
	c.end()
	return nil
}

// end closes and tells whoever waits.
func (c *Conn) end() {
	c.state |= closed
	c.loop.count.Conns--
	c.rester = nil
	if w := c.watcher; w != nil {
		w.forget()
	}
	if c.std != nil {
		c.endBaton()
		return
	}
	c.endFiber()
}

// Watch makes t's Park return ErrHangup when the peer closes or resets while t is parked for another reason; nil ends
// the watch, and so do its telling, the task's end and the connection's. It returns ErrHangup at once when the peer is already
// gone. A peer that has only shut down its sending side counts as gone when half is true; over TCP that is also all that
// is to be seen of one that has closed, until it is written to.
//
// A goroutine body sees only so far: a peer that sends more before it hangs up is not noticed.
func (c *Conn) Watch(t *Task, half bool) error {
	if w := c.watcher; w != nil {
		w.forget()
	}
	if t == nil {
		return nil
	}
	if c.state&closed != 0 {
		return ErrClosed
	}
	t.forget()
	if half {
		c.state |= watchHalf
	} else {
		c.state &^= watchHalf
	}
	if c.peerGone() {
		return ErrHangup
	}
	c.watcher, t.watched = t, c
	if c.std != nil {
		c.lookAhead(0)
	}
	return nil
}

func (c *Conn) peerGone() bool {
	return c.state&broken != 0 || c.state&(finished|watchHalf) == finished|watchHalf
}

// Rest gives an idle connection back to the loop: it holds no task and no buffer. When bytes arrive or the peer
// closes, r.Ready is called; when the time is reached, r.Expired; both on the loop, not in a task, once; the rest is
// over by then. Nothing is called before Rest returns. The rest of a closed connection is never told.
func (c *Conn) Rest(r Rester, until Time) {
	if c.state&closed != 0 {
		return
	}
	c.rester, c.restBy = r, until
	if c.sec != nil {
		c.sec.rest()
	}
	if c.std != nil {
		c.restBaton(until)
		return
	}
	c.restFiber(until)
}

// Alive asks the system whether an idle connection is still open and silent; a peer's close that no event has told of
// yet is seen. Where that cannot be asked without waiting, it goes by what is known.
func (c *Conn) Alive() bool {
	if c.state&(closed|finished|broken) != 0 {
		return false
	}
	if c.sec != nil && !c.sec.quiet() {
		return false
	}
	if c.std != nil {
		return c.aliveBaton()
	}
	if c.sec != nil {
		return true
	}
	var b [1]byte
	_, e := sysRecv(int(c.fd), b[:], sysPeek)
	return e == errAgain
}

// Unrest ends the rest from elsewhere on the loop, so that the connection can be used again; its Rester will not be
// called. False if the peer is already known to have closed or to have sent something.
func (c *Conn) Unrest() bool {
	c.rester = nil
	if c.state&closed != 0 {
		return false
	}
	if c.std != nil {
		return c.unrestBaton()
	}
	if c.sec != nil && c.state&readable != 0 {
		return c.sec.quiet()
	}
	return c.state&(readable|finished|broken) == 0
}
