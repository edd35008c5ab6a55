package relay

import (
	"errors"
	"io"

	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/loop"
)

// How bytes pass. Each direction has a pump. While nothing comes, the connection it reads from rests: the pump has no task and no
// buffer. What comes wakes it for one read and one write; if the other side does not take all, the task waits there with its
// buffer, and nothing more is read (back-pressure). So a session that is silent costs two entries in the loop, and a busy one a
// buffer for each direction that is.
//
// The end of one side is passed on as what it was. A FIN ends a direction, and the other goes on. A RST ends the session with RST
// both ways. A side that takes nothing any more but has not said all is still listened to: a server's last words
// ("too many connections") often come with a RST behind them.

// pump moves bytes in one direction. Server and client are the session's.
type pump struct {
	s        *session
	from, to *loop.Conn
	toServer bool
	ended    bool // from has said that it is done, and to was told
	deaf     bool // to takes nothing any more
	large    bool // the last read was full
}

// start lets both directions run. In the session's task.
func (s *session) start() {
	s.journal.Status = 200
	s.in = pump{s: s, from: s.conn, to: s.up, toServer: true}
	s.out = pump{s: s, from: s.up, to: s.conn}
	s.last = s.l.Loop.Now()
	s.in.rest()
	s.out.rest()
}

// rest waits for what comes.
func (p *pump) rest() { p.from.Rest(p, p.s.silentAt()) }

// silentAt is when the session will have been silent for too long, 0 if it may be for ever.
func (s *session) silentAt() loop.Time {
	if s.idle <= 0 {
		return 0
	}
	return s.last + int64(s.idle)
}

// Ready implements loop.Rester.
func (p *pump) Ready(*loop.Conn) { p.s.l.Loop.Go(p) }

// Expired implements loop.Rester: nothing came this way; perhaps something went the other.
func (p *pump) Expired(*loop.Conn) {
	if s := p.s; s.l.Loop.Now() < s.silentAt() {
		p.rest()
		return
	}
	p.s.end(200, journal.IdleTimeout, "")
}

// Run implements loop.Runner: it moves what has come. Where tasks are goroutines it stays, for there a connection that rests
// is read from byte by byte.
func (p *pump) Run(*loop.Task) {
	s := p.s
	defer s.protect()
	if s.over {
		return
	}
	l := s.l.Loop
	var buf []byte
	if p.large {
		buf = l.LargeBuffer()
	} else {
		buf = l.Buffer()
	}
	defer l.Release(buf)
	for p.move(buf) {
		if l.Fibers() {
			p.rest()
			return
		}
	}
}

// move reads once and writes what it has read. It says whether more is to be moved.
func (p *pump) move(buf []byte) bool {
	s := p.s
	p.from.ReadBy(s.silentAt())
	n, err := p.from.Read(buf)
	if s.over {
		return false
	}
	now := s.l.Loop.Now()
	if n == 0 {
		return p.readEnded(err, now)
	}
	p.large = n == len(buf) || p.large && n >= loop.BufferSize
	s.last = now
	p.to.WriteBy(s.silentAt())
	n, err = p.to.Write(buf[:n])
	if s.over {
		return false
	}
	s.last = s.l.Loop.Now()
	p.count(n)
	if err != nil {
		p.writeFailed(err)
		return false
	}
	return true
}

func (p *pump) count(n int) {
	s := p.s
	if p.toServer {
		s.journal.In += int64(n)
		s.server.Passed(&s.turn, int64(n), 0)
		return
	}
	s.journal.Out += int64(n)
	s.server.Passed(&s.turn, 0, int64(n))
}

// other is the pump of the other direction.
func (p *pump) other() *pump {
	if p.toServer {
		return &p.s.out
	}
	return &p.s.in
}

// readEnded passes the end of one side on. It says whether that was none.
func (p *pump) readEnded(err error, now loop.Time) (goesOn bool) {
	s, o := p.s, p.other()
	switch {
	case errors.Is(err, loop.ErrTimeout) && now < s.silentAt():
		return true // the other direction was not silent
	case errors.Is(err, loop.ErrTimeout):
		s.end(200, journal.IdleTimeout, "")
	case !errors.Is(err, io.EOF) && p.toServer:
		s.end(200, journal.ClientGone, "the client reset the connection")
	case !errors.Is(err, io.EOF):
		s.end(200, journal.ServerReset, "the server reset the connection")
	case o.deaf && p.toServer:
		s.end(200, journal.ClientGone, "the client closed before it had all")
	case o.deaf:
		s.end(200, journal.ServerReset, "the server closed before it had all")
	case o.ended:
		s.end(200, journal.NoCause, s.journal.Detail)
	default:
		p.ended = true
		s.journal.Detail = "the server closed first"
		if p.toServer {
			s.journal.Detail = "the client closed first"
		}
		// If the other side has gone already, what is read from there says so.
		p.to.CloseWrite() //nolint:errcheck // see above
	}
	return false
}

// writeFailed is told that one side takes nothing any more.
func (p *pump) writeFailed(err error) {
	s := p.s
	switch {
	case errors.Is(err, loop.ErrTimeout):
		s.end(200, journal.IdleTimeout, "it took nothing any more")
	case !p.other().ended:
		p.deaf = true // what it has said still is to be read, and its end behind
	case p.toServer:
		s.end(200, journal.ServerReset, "the server closed before it had all")
	default:
		s.end(200, journal.ClientGone, "the client closed before it had all")
	}
}
