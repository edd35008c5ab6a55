package edge

import (
	"bytes"
	"errors"
	"log/slog"
	"net/netip"
	"time"

	"github.com/weirhq/weir/internal/loop"
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
			h.strange(wrong.Reason)
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
			h.strange("a PROXY header that did not come in time")
		default:
			h.strange("the connection closed within a PROXY header")
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

// strange counts a connection that ends because it had no good header, and says so now and then.
func (h *handler) strange(reason string) {
	l, e := h.l, h.l.edge
	l.count.Strange++
	since := e.strangers.Add(1)
	at, last := l.loop.Wall().Unix(), e.strangeSaid.Load()
	if at-last < int64(strangeEvery/time.Second) || !e.strangeSaid.CompareAndSwap(last, at) {
		return
	}
	e.strangers.Add(-since)
	peer := "a Unix socket"
	if p := h.conn.Peer(); p.IsValid() {
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
