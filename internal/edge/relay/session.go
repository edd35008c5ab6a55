package relay

import (
	"errors"
	"net/netip"
	"runtime/debug"
	"slices"
	"syscall"
	"time"

	"github.com/weirhq/weir/internal/clienthello"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/pool"
	"github.com/weirhq/weir/internal/pool/balance"
	"github.com/weirhq/weir/internal/pool/limit"
	"github.com/weirhq/weir/internal/pool/link"
	"github.com/weirhq/weir/internal/proxyproto"
)

// session is one session. It belongs to its loop.
type session struct {
	l          *Loop
	prev, next *session   // those of its loop
	conn       *loop.Conn // the client's
	up         *loop.Conn // the server's; nil: there is none yet
	entry      *Entry
	pool       *pool.Pool
	server     *pool.Server // it has a place there
	turn       pool.Turn
	tie        pool.Tie
	head       []byte         // what was read before there was a server; a buffer of the loop's
	name       string         // of the server, as its hello asks for it
	client     netip.AddrPort // as a balancer that is believed says
	local      netip.AddrPort // where the client connected to, likewise; not valid until it is needed
	awaited    bool           // the connection begins with a header of the PROXY protocol, which has not come yet
	journal    journal.Journal
	in, out    pump
	last       loop.Time // when anything moved, in either direction
	idle       time.Duration
	over       bool
}

// Begin begins a session for a connection that was accepted at an entry's address, and owns it from there on. Not in a task.
func (l *Loop) Begin(c *loop.Conn, e *Entry) {
	l.Count.Sessions++
	l.n++
	s := &session{l: l, conn: c, entry: e, next: l.first, client: c.Peer()}
	if s.next != nil {
		s.next.prev = s
	}
	l.first = s
	s.journal.Start = l.Loop.Wall()
	s.journal.Mark(journal.Begun, l.Loop.Now())
	s.awaited = e.config.Proxy != nil && e.config.Proxy.Introduces(s.client)
	switch {
	case !s.awaited && !s.allowed():
	case s.awaited, e.rules != nil:
		c.Rest(s, l.after(e.head)) // a client that says nothing has neither task nor buffer
	default:
		l.Loop.Go(s)
	}
}

// allowed ends a session that is not let in.
func (s *session) allowed() bool {
	from, client := s.entry.config.From, s.client.Addr().Unmap()
	if len(from) == 0 || slices.ContainsFunc(from, func(p netip.Prefix) bool { return p.Contains(client) }) {
		return true
	}
	s.end(403, journal.Refused, "the client's address is not allowed here")
	return false
}

// Ready implements loop.Rester: the first bytes of a hello are there.
func (s *session) Ready(*loop.Conn) { s.l.Loop.Go(s) }

// Expired implements loop.Rester: no byte of a hello came.
func (s *session) Expired(*loop.Conn) {
	s.end(408, journal.HeadTimeout, "no hello came within timeouts.head")
}

// Run implements loop.Runner: it brings the session to its server.
func (s *session) Run(t *loop.Task) {
	defer s.freeHead()
	defer s.protect()
	if s.awaited && !s.meet() {
		return
	}
	if s.entry.rules == nil {
		s.pool = s.entry.pool
	} else if !s.readHello() {
		return
	}
	if !s.reach(t) || s.over {
		return
	}
	s.start()
}

// freeHead gives the buffer back that was read into before there was a server.
func (s *session) freeHead() {
	if s.head != nil {
		s.l.Loop.Release(s.head[:cap(s.head)])
		s.head = nil
	}
}

// protect ends one session, and not the edge, when our own code panics.
func (s *session) protect() {
	if v := recover(); v != nil {
		s.l.Panicked(v, debug.Stack())
		s.l.Count.Panics++
		s.end(500, journal.Panicked, "a fault of weir's own; its log has the stack")
	}
}

// unrecognized is the alert unrecognized_name (RFC 6066, section 3).
var unrecognized = []byte{21, 3, 3, 0, 2, 2, 112}

// more reads on into s.head, until the time for what has to come first is over. False: there is no more, and the session has ended.
func (s *session) more() bool {
	if s.head == nil {
		s.head = s.l.Loop.Buffer()[:0]
		if limit := s.entry.head; limit > 0 {
			s.conn.ReadBy(s.journal.At[journal.Begun] + int64(limit))
		}
	}
	n, err := s.conn.Read(s.head[len(s.head):cap(s.head)])
	if s.over {
		return false
	}
	s.head = s.head[:len(s.head)+n]
	if n == 0 {
		s.helloCut(err)
		return false
	}
	return true
}

// meet reads the header in which a balancer says whose connection it is. What came behind it stays.
func (s *session) meet() bool {
	for s.more() {
		header, n, wrong := proxyproto.Parse(s.head)
		if wrong != nil {
			s.l.Count.Strange++
			s.end(400, journal.BadHello, wrong.Reason)
			return false
		}
		if n == 0 {
			continue
		}
		s.awaited = false
		s.head = s.head[:copy(s.head, s.head[n:])]
		if header.Kind == proxyproto.TCP {
			s.client, s.local = header.Source, header.Destination
		}
		return s.allowed()
	}
	return false
}

// readHello finds the pool by what the client says first. What was read stays in s.head.
func (s *session) readHello() bool {
	hello, err := clienthello.Parse(s.head)
	for err == clienthello.ErrMore {
		if !s.more() {
			return false
		}
		hello, err = clienthello.Parse(s.head)
	}
	if err != nil {
		s.end(400, journal.BadHello, err.Error())
		return false
	}
	s.conn.ReadBy(0)
	if s.name, s.pool = hello.Name, s.entry.find(&hello); s.pool != nil {
		return true
	}
	if _, err := s.conn.Write(unrecognized); err == nil {
		s.conn.CloseWrite() //nolint:errcheck // it is closed next
	}
	s.end(404, journal.NoRoute, "no rule of sni has this name")
	return false
}

// helloCut ends a session whose hello did not come whole.
func (s *session) helloCut(err error) {
	switch {
	case errors.Is(err, loop.ErrTimeout) && s.awaited:
		s.end(408, journal.HeadTimeout, "the PROXY header did not come within timeouts.head")
	case errors.Is(err, loop.ErrTimeout):
		s.end(408, journal.HeadTimeout, "the hello did not come within timeouts.head")
	default:
		s.end(400, journal.ClientGone, "the client closed before it had said what comes first")
	}
}

// reach gets a place at a server and a connection to it. Nothing has been sent, so another server will do as well.
func (s *session) reach(t *loop.Task) bool {
	var p *pool.Pool
	for {
		if b := s.pool.StandIn(); b != p {
			p = b
			s.begins(p)
		}
		cfg := p.Config()
		s.journal.Mark(journal.Queued, s.l.Loop.Now())
		server, err := p.Pick(t, &s.turn, s.conn)
		if s.over {
			if err == nil {
				server.Done(&s.turn, pool.Aborted)
			}
			return false
		}
		if err != nil {
			s.unpicked(err)
			return false
		}
		s.server, s.journal.Server = server, server.Name()
		s.l.Reached.Add(1)
		s.journal.Mark(journal.Picked, s.l.Loop.Now())
		if s.connect(t, cfg) {
			return true
		}
		if s.over {
			return false
		}
		if s.journal.Retries >= cfg.Retry.Attempts || !cfg.Retry.ConnectError || !server.MayRetry(&s.turn) {
			s.end(502, s.journal.Cause, "the server could not be reached")
			return false
		}
		s.journal.Retries++
	}
}

// begins makes the turn ready for a pool.
func (s *session) begins(p *pool.Pool) {
	cfg := p.Config()
	s.journal.Pool = cfg.Name
	s.turn.Reset()
	var client uint64
	if cfg.Queue.Fair {
		client = limit.ClientKey(s.client.Addr().Unmap())
	}
	s.turn.Rank(limit.Normal, client)
	if p.ByKey() && s.client.IsValid() {
		b := s.client.Addr().Unmap().As16()
		s.turn.Key(balance.Hash(0, b[:]))
	}
}

// unpicked ends a session that got no place.
func (s *session) unpicked(err error) {
	switch {
	case errors.Is(err, pool.ErrQueueFull):
		s.end(503, journal.QueueFull, "")
	case errors.Is(err, pool.ErrQueueTimeout):
		s.end(503, journal.QueueTimeout, "")
	case errors.Is(err, loop.ErrHangup):
		s.end(0, journal.ClientGone, "the client left the queue")
	case errors.Is(err, loop.ErrClosed):
		s.end(503, journal.Stopping, "")
	default:
		s.end(503, journal.NoServer, "")
	}
}

// connect connects to the server, and sends what was read already. When it fails the place is given back.
func (s *session) connect(t *loop.Task, cfg *config.Pool) bool {
	l := s.l.Loop
	by := s.l.after(cfg.Timeouts.Connect)
	of := s.origin()
	c, _, err := s.server.ConnectFor(t, of, true, by)
	for err != nil && outOfFiles(err) && !s.over && (by == 0 || l.Now() < by) && t.Sleep(fileWait) == nil {
		c, _, err = s.server.ConnectFor(t, of, true, by)
	}
	switch {
	case s.over:
		if err == nil {
			_ = c.Close() // nobody wants it any more
		}
		return false
	case err != nil:
		s.journal.Cause = journal.ConnectError
		if errors.Is(err, loop.ErrTimeout) {
			s.journal.Cause = journal.ConnectTimeout
		}
		s.leave(pool.ConnectError)
		return false
	case !s.server.Tie(&s.turn, &s.tie, s):
		_ = c.Close() // it was closed to sessions while we connected
		s.journal.Cause = journal.ServerDown
		s.leave(pool.Aborted)
		return false
	}
	s.up, s.journal.Cause = c, journal.NoCause
	s.journal.Mark(journal.Connected, l.Now())
	s.turn.Answered(0, l.Now()) // a connection is all the answer there is: the try is paid back
	s.idle = cfg.Timeouts.Idle
	if len(s.head) == 0 {
		return true
	}
	c.WriteBy(s.l.after(s.idle))
	n, err := c.Write(s.head)
	if s.over {
		return false
	}
	s.journal.In += int64(n)
	s.server.Passed(&s.turn, int64(n), 0)
	if err != nil && !errors.Is(err, loop.ErrTimeout) && n == 0 { // it was gone before it had a byte
		s.tie.Untie()
		_ = c.Close()
		s.up, s.journal.Cause = nil, journal.ServerReset
		s.leave(pool.EmptyResponse)
		return false
	}
	if err != nil {
		s.end(502, journal.ServerReset, "the server did not take the hello")
		return false
	}
	return true
}

// origin is whose session it is, for servers that are told so; nil for others.
func (s *session) origin() *link.Origin {
	if !s.server.Introduced() {
		return nil
	}
	if !s.client.IsValid() { // by a Unix socket: HAProxy (2.6) takes no header of an unknown family, and one of our own it does
		return &link.Origin{Own: true}
	}
	if !s.local.IsValid() {
		s.local = s.conn.Local()
	}
	return &link.Origin{Client: s.client, Server: s.local}
}

// fileWait is how long a session waits for a descriptor before it asks again.
const fileWait = 5 * time.Millisecond

func outOfFiles(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// leave gives the place at the server back.
func (s *session) leave(o pool.Outcome) {
	s.server.Done(&s.turn, o)
	s.server = nil
	s.l.Reached.Add(-1)
}

// Cut implements pool.Tied: the server must have nobody any more.
func (s *session) Cut() { s.end(s.journal.Status, journal.ServerDown, "its server was closed") }

// end ends the session, once: its connections are closed, in order when there is no cause, its place is given back and its line
// logged. status is what a session of nginx's would have had.
func (s *session) end(status int, cause journal.Cause, detail string) {
	if s.over {
		return
	}
	s.over = true
	l := s.l
	s.tie.Untie()
	s.hangUp(cause)
	if s.server != nil {
		s.leave(outcomeOf(cause, s.journal.Out))
	}
	if s.prev == nil {
		l.first = s.next
	} else {
		s.prev.next = s.next
	}
	if s.next != nil {
		s.next.prev = s.prev
	}
	l.n--
	l.Gone()
	s.journal.Status, s.journal.Cause, s.journal.Detail = status, cause, detail
	s.account()
}

// hangUp closes both connections: with RST when the session was cut, so that neither side takes it for whole.
func (s *session) hangUp(cause journal.Cause) {
	ends := (*loop.Conn).Reset
	if cause == journal.NoCause || cause == journal.NoRoute {
		ends = (*loop.Conn).Close
	}
	_ = ends(s.conn) // it may be gone
	if s.up != nil {
		_ = ends(s.up)
	}
}

// outcomeOf is what the end says of the server.
func outcomeOf(cause journal.Cause, out int64) pool.Outcome {
	switch {
	case cause == journal.NoCause:
		return pool.OK
	case cause == journal.ServerReset && out == 0:
		return pool.EmptyResponse
	}
	return pool.Aborted
}

// account counts the session and writes its line.
func (s *session) account() {
	l := s.l
	now := l.Loop.Now()
	id := l.ID(l.id[:0])
	l.id = id
	l.Sheet.Route(s.entry.Tally).Ended(&s.journal, time.Duration(now-s.journal.At[journal.Begun]), l.Loop.Wall(), id, nil)
	if !l.Told.Wants(&s.journal, true, now) {
		return
	}
	line := &l.line
	*line = journal.Line{Client: s.client.Addr().Unmap(), Listen: s.entry.Listen, Name: s.name}
	line.ID = id
	line.Take(&s.journal, now)
	l.Told.Tell(line, &s.journal, now)
}
