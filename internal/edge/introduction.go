package edge

import (
	"bytes"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/pool/link"
	"github.com/weirhq/weir/internal/proxyproto"
)

// A balancer that passes connections on begins each with a header of the PROXY protocol. It is read with the connection's first bytes,
// and from then on the connection is the client's: its peer is the address that the header names, and nothing behind asks twice.

// introduction is what is known of a connection beside its peer. Those that have none cost nothing.
type introduction struct {
	awaited     bool           // it begins with a header that has not come yet
	destination netip.AddrPort // where the client connected to
}

// introduced is a client and its introduction in one piece.
type introduced struct {
	client
	introduction
}

// introduces reports whether connections from a peer begin with a header.
func introduces(p *config.ProxyProtocol, peer netip.AddrPort) bool {
	if !peer.IsValid() {
		return p.Unix
	}
	return contains(p.From, peer.Addr().Unmap())
}

// await makes the client of a connection that begins with a header.
func await(cl client) *client {
	in := &introduced{client: cl, introduction: introduction{awaited: true}}
	in.via = &in.introduction
	return &in.client
}

// destination is where the client connected to.
func (cl *client) destination() netip.AddrPort {
	if cl.via == nil {
		cl.via = &introduction{}
	}
	if !cl.via.destination.IsValid() {
		cl.via.destination = cl.conn.Local()
	}
	return cl.via.destination
}

// meet reads the header that the connection begins with. False: it is over, or rests because nothing has come behind the header.
func (h *handler) meet() bool {
	cl := h.cl
	h.tree = h.l.edge.tree.Load()
	h.lingers, h.cut = false, true
	within := 5 * time.Second
	if p := h.tree.cfg.ProxyProtocol; p != nil { // else it was taken out while the connection waited
		within = p.Within
	}
	h.conn.ReadBy(h.l.after(within))
	for {
		header, n, wrong := proxyproto.Parse(h.in.bytes())
		if wrong != nil {
			h.l.strange(h.conn, wrong.Reason)
			return false
		}
		if n > 0 {
			h.in.r += n
			cl.accept(&header)
			break
		}
		n, err := h.conn.Read(h.in.b[h.in.w:])
		h.in.w += n
		if n > 0 || err == nil {
			continue
		}
		switch {
		case h.in.empty(): // a balancer that looks whether somebody listens
		case errors.Is(err, loop.ErrTimeout):
			h.l.strange(h.conn, lateHeader)
		default:
			h.l.strange(h.conn, "the connection closed within a PROXY header")
		}
		return false
	}
	h.conn.ReadBy(0)
	if !h.in.empty() {
		return true
	}
	h.rests = true
	h.conn.Rest(cl, h.l.after(h.tree.firstByte))
	return false
}

// accept takes what a header says for true.
func (cl *client) accept(header *proxyproto.Header) {
	cl.via.awaited = false
	if header.Kind == proxyproto.TCP { // of another client nothing is known, and the balancer is as good as any other
		cl.conn.Represent(header.Source)
		cl.via.destination = header.Destination
	}
	if header.TLS {
		cl.scheme = "https"
	}
}

// strangeEvery is how often it is said that connections had no good header.
const strangeEvery = 10 * time.Second

// meet is the same for a session of TCP. What came behind the header is in s.head.
func (s *tcpSession) meet() bool {
	s.head = s.l.loop.Buffer()[:0]
	buf := s.head[:cap(s.head)]
	within := 5 * time.Second
	if p := s.tree.cfg.ProxyProtocol; p != nil {
		within = p.Within
	}
	s.conn.ReadBy(s.l.after(within))
	for {
		n, err := s.conn.Read(buf[len(s.head):])
		if s.over {
			return false
		}
		s.head = buf[:len(s.head)+n]
		header, at, wrong := proxyproto.Parse(s.head)
		switch {
		case at > 0:
			s.head = buf[:copy(buf, s.head[at:])]
			s.conn.ReadBy(0)
			s.awaited = false
			if header.Kind == proxyproto.TCP {
				s.conn.Represent(header.Source)
				s.client, s.target = header.Source.Addr().Unmap(), header.Destination
			}
			if from := s.entry.config.From; len(from) > 0 && !contains(from, s.client) {
				s.end(403, journal.Refused, "the client's address is not allowed here")
				return false
			}
			s.pool = s.entry.pool
			return true
		case wrong == nil && n > 0:
			continue
		case wrong == nil && len(s.head) == 0:
			s.end(0, journal.ClientGone, "it closed before its PROXY header")
			return false
		}
		reason := "the connection closed within a PROXY header"
		if wrong != nil {
			reason = wrong.Reason
		} else if errors.Is(err, loop.ErrTimeout) {
			reason = lateHeader
		}
		s.l.strange(s.conn, reason)
		s.end(400, journal.BadRequest, reason)
		return false
	}
}

// origin is whose session it is, for servers that are told so; nil for others.
func (s *tcpSession) origin() *link.Origin {
	if !s.server.Introduced() {
		return nil
	}
	if s.of = (link.Origin{Client: s.conn.Peer(), Server: s.target}); !s.target.IsValid() {
		s.of.Server = s.conn.Local()
	}
	return &s.of
}

const lateHeader = "a PROXY header that did not come in time"

// strange counts a connection that ends because it had no good header, and says so now and then.
func (l *local) strange(c *loop.Conn, reason string) {
	e := l.edge
	l.count.Strange++
	since := e.strangers.Add(1)
	at, last := l.loop.Wall().Unix(), e.strangeSaid.Load()
	if at-last < int64(strangeEvery/time.Second) || !e.strangeSaid.CompareAndSwap(last, at) {
		return
	}
	e.strangers.Add(-since)
	peer := "a Unix socket"
	if p := c.Peer(); p.IsValid() {
		peer = p.Addr().Unmap().String()
	}
	slog.Warn("connections are closed: they have to begin with a PROXY header (listen.proxy_protocol.from)", "from", peer, "why", reason, "connections", since)
}

var (
	lineIntroduction   = []byte("PROXY ")
	binaryIntroduction = []byte("\r\n\r\n\x00\r\nQUIT\n")
)

const unasked = "a PROXY header from an address that listen.proxy_protocol.from does not name"

// uninvited says whether what is no request is a header of somebody who is not believed.
func (h *handler) uninvited() bool {
	b := h.in.bytes()
	return bytes.HasPrefix(b, lineIntroduction) || bytes.HasPrefix(b, binaryIntroduction)
}
