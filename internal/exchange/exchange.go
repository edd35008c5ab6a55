// Package exchange is one request and its response as every stage on their way sees them, with their journal.
// It knows no protocol version, no connection and no policy.
package exchange

import (
	"net/netip"

	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/message"
)

// Exchange is one request and its response. It belongs to one task, is reused by its loop, and everything in it is
// valid only until the request is answered.
type Exchange struct {
	Peer    netip.AddrPort // the other end of the connection; zero for a Unix socket
	Client  netip.Addr     // who asks: the peer, or what a trusted proxy says
	Trusted bool           // the peer is a trusted proxy: what it says of the client is believed
	Scheme  string         // "http" or "https", as the client sees it
	ID      []byte         // the request's id: 16 to 128 visible characters
	Req     message.Request
	Resp    message.Response
	Journal journal.Journal
}

// Reset makes the exchange ready for another request and keeps its memory.
func (x *Exchange) Reset() {
	req, resp := x.Req.Fields, x.Resp.Fields
	req.Reset()
	resp.Reset()
	id := x.ID[:0]
	*x = Exchange{ID: id}
	x.Req.Fields, x.Resp.Fields = req, resp
}
