package loop

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"time"
)

// TLS lies between a connection and its user: Read, Write and the rest of Conn mean what is inside of it, so whoever has a
// connection need not know. crypto/tls does the protocol. Two things keep it from doing here what it does elsewhere:
//
// It holds a lock while it writes, and answers some of what it reads (a key update, a broken record) by writing. Two tasks of a
// loop, one waiting for room with that lock in hand, the other wanting it, would stop the loop for ever, and it takes no more
// than a server that asks for new keys and does not read. So to crypto/tls a write never waits: what it writes is gathered here,
// and sent when it has let go of its locks.
//
// It takes a connection that just ends for one that was closed. A body that ends with the connection could then be cut off by whoever
// can send a FIN; here that is io.ErrUnexpectedEOF, and io.EOF means that the peer said so (RFC 8446, section 6.1).
type secured struct {
	c   *Conn
	tls *tls.Conn

	out      []byte // sealed, to be sent; of the loop's buffers while that is enough
	flushing bool   // a task sends what was in out
	owed     int    // bytes that an earlier write did not report and that are sealed already; see send
	cut      bool   // the peer ended the connection below TLS
	spoke    bool   // something came while nothing was to come
	holds    bool   // peek has a byte that the next read gets
	peek     [1]byte
}

const (
	// sealPiece is how much is sealed before it is sent. With all that is added to it it fits in a large buffer.
	sealPiece = 96 << 10
	// maxUnsent bounds what waits to be sent: what is written, and answers to a peer that does not read them.
	maxUnsent = 2 * LargeBufferSize
)

var errUnsent = errors.New("the peer asks for answers that it does not read")

// Secure makes a TLS handshake, as the client, until the deadline. From then on all that is read and written is inside of TLS. After an
// error the connection is to be closed.
func (c *Conn) Secure(cfg *tls.Config, deadline Time) error {
	s := &secured{c: c}
	s.tls = tls.Client((*wire)(s), cfg)
	c.ReadBy(deadline)
	c.WriteBy(deadline)
	err := s.tls.Handshake()
	switch {
	case err != nil:
		s.flushNow() // the alert that tells the peer why
	case c.std != nil:
		err = s.flush()
	}
	c.ReadBy(0)
	c.WriteBy(0)
	if err == nil {
		c.sec = s // fibers: the handshake's last message goes out with what is written first, or before what is read first
	}
	return err
}

// Secured reports whether the connection has TLS, and which protocol was agreed on by ALPN.
func (c *Conn) Secured() (protocol string, ok bool) {
	if c.sec == nil {
		return "", false
	}
	return c.sec.tls.ConnectionState().NegotiatedProtocol, true
}

// wire is what crypto/tls takes for the connection.
type wire secured

func (w *wire) Read(p []byte) (int, error) {
	s := (*secured)(w)
	if s.c.sec != nil {
		s.flushNow()
	} else if err := s.flush(); err != nil {
		return 0, err // the peer would wait for what has not gone out
	}
	n, err := s.c.readBelow(p)
	if n == 0 && err == io.EOF {
		s.cut = true
	}
	return n, err
}

func (w *wire) Write(p []byte) (int, error) {
	if len(w.out)+len(p) > maxUnsent {
		return 0, errUnsent
	}
	if w.out == nil {
		w.out = w.c.loop.LargeBuffer()[:0]
	}
	w.out = append(w.out, p...)
	return len(p), nil
}

func (w *wire) Close() error                     { return nil } // Conn.Close closes
func (w *wire) LocalAddr() net.Addr              { return w.c.LocalAddr() }
func (w *wire) RemoteAddr() net.Addr             { return w.c.RemoteAddr() }
func (w *wire) SetDeadline(time.Time) error      { return nil } // the user of the connection sets them
func (w *wire) SetReadDeadline(time.Time) error  { return nil }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// flush sends what is sealed. While another task does so it is that task's affair.
func (s *secured) flush() error {
	if s.flushing || len(s.out) == 0 {
		return nil
	}
	s.flushing = true
	defer func() { s.flushing = false }()
	for len(s.out) > 0 {
		b := s.out
		s.out = nil // more may come while this is being sent
		n, err := s.c.write2Below(b, nil)
		if err != nil {
			s.out = append(b[n:], s.out...)
			return err
		}
		s.c.loop.Release(b[:cap(b)])
	}
	return nil
}

// flushNow is flush as far as it goes without waiting.
func (s *secured) flushNow() {
	_ = s.now(s.flush) // what is left goes out later, or the connection fails for another reason
}

// now runs f, in which nothing waits.
func (s *secured) now(f func() error) error {
	l, t := s.c.loop, s.c.loop.cur
	readBy, writeBy := s.c.readBy, s.c.writeBy
	l.cur, s.c.readBy, s.c.writeBy = nil, 0, 0
	err := f()
	l.cur, s.c.readBy, s.c.writeBy = t, readBy, writeBy
	return err
}

func (s *secured) read(p []byte) (int, error) {
	if s.holds && len(p) > 0 {
		p[0], s.holds, s.spoke = s.peek[0], false, false
		return 1, nil
	}
	n, err := s.tls.Read(p)
	if len(s.out) > 0 {
		s.flushNow() // an answer of crypto/tls's own
	}
	switch {
	case n > 0:
		return n, nil // an error stays, and is told by the next read
	case err == io.EOF && s.cut:
		return 0, io.ErrUnexpectedEOF
	}
	return 0, err
}

// send writes all of the pieces and leaves them as they are. Who is told of a timeout and of some progress may go on with the rest, as with a
// socket. But what is sealed cannot be taken back: its user is told of less than was sealed, and what he sends once more is owed.
func (s *secured) send(pieces [][]byte) (done int64, err error) {
	skip := s.owed
	if skip > 0 {
		n, err := s.sendSealed(skip)
		if done += int64(n); err != nil {
			return done, err
		}
	}
	for batch := 0; ; batch = 0 {
		for len(pieces) > 0 && batch < sealPiece {
			p := pieces[0]
			if skip >= len(p) {
				skip -= len(p)
				pieces = pieces[1:]
				continue
			}
			p = p[skip:]
			if room := sealPiece - batch; len(p) > room {
				p = p[:room]
				skip += room
			} else {
				pieces, skip = pieces[1:], 0
			}
			if _, err := s.tls.Write(p); err != nil {
				return done, err
			}
			batch += len(p)
		}
		if batch == 0 {
			return done, s.flush()
		}
		n, err := s.sendSealed(batch)
		if done += int64(n); err != nil {
			return done, err
		}
	}
}

// sendSealed sends what is sealed of n bytes, and reports how many of them count as written.
func (s *secured) sendSealed(n int) (int, error) {
	before := len(s.out)
	err := s.flush()
	if err == nil {
		s.owed = 0
		return n, nil
	}
	told := 0
	if len(s.out) < before { // some progress
		told = min(max(n*(before-len(s.out))/before, 1), n-1)
	}
	s.owed = n - told
	return told, err
}

func (s *secured) sendFile(t *Task, f *os.File, off, n int64) (done int64, err error) {
	l := s.c.loop
	b := l.LargeBuffer()
	defer l.Release(b)
	for done < n {
		var m int
		var rerr error
		t.Do(func() { m, rerr = f.ReadAt(b[:min(n-done, int64(len(b)))], off+done) })
		if m > 0 {
			sent, err := s.send([][]byte{b[:m]})
			if done += sent; err != nil {
				return done, err
			}
		}
		switch {
		case done == n:
		case rerr == io.EOF:
			return done, io.ErrUnexpectedEOF
		case rerr != nil:
			return done, rerr
		}
	}
	return done, nil
}

// quiet reports whether the connection is open and has nothing to say to its user: session tickets, which a server may send at any
// time, are taken in. It never waits.
func (s *secured) quiet() bool {
	if s.spoke || s.c.state&closed != 0 {
		return false
	}
	err := s.now(func() error {
		n, err := s.tls.Read(s.peek[:])
		s.holds = n > 0
		if s.holds {
			return nil
		}
		return err
	})
	s.spoke = !errors.Is(err, errAgain)
	return !s.spoke
}

// rest looks for what came with the last of what was read: the poller will not tell of it.
func (s *secured) rest() {
	if !s.quiet() {
		s.c.state |= readable
		if s.c.std != nil && s.c.std.err == nil {
			s.c.std.err = io.EOF // its rest ends by that
		}
	}
}

// bye tells the peer that nothing more comes, if that can be done without waiting.
func (s *secured) bye() {
	if s.flushing || len(s.out) > 0 || s.c.state&(finished|broken) != 0 {
		return
	}
	if s.tls.CloseWrite() == nil {
		s.flushNow()
	}
}

func (s *secured) closeWrite() error {
	if err := s.tls.CloseWrite(); err != nil {
		return err
	}
	return s.flush()
}

// free gives the buffer back.
func (s *secured) free() {
	if s.out != nil && !s.flushing {
		s.c.loop.Release(s.out[:cap(s.out)])
		s.out = nil
	}
}
