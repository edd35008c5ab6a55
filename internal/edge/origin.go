package edge

import (
	"errors"
	"net/netip"

	"github.com/weirhq/weir/internal/pool"
	"github.com/weirhq/weir/internal/pool/link"
)

// origin is whose request is in hand, for servers that are told so; nil for others.
func (h *handler) origin(s *pool.Server) *link.Origin {
	if !s.Introduced() {
		return nil
	}
	h.up.of = h.whose()
	return &h.up.of
}

// whose is the client as everything else here knows it: a trusted proxy's word counts.
func (h *handler) whose() link.Origin {
	if h.alone {
		return link.Origin{Own: true}
	}
	o := link.Origin{Client: netip.AddrPortFrom(h.x.Client, 0)}
	if !h.x.Client.IsValid() {
		return link.Origin{}
	}
	if h.x.Peer.Addr().Unmap() == h.x.Client {
		o.Client = netip.AddrPortFrom(h.x.Client, h.x.Peer.Port())
	}
	if h.cl != nil {
		o.Server = h.cl.destination()
	}
	if !o.Server.IsValid() { // it came by a Unix socket, or is a fragment of a page
		o.Server = netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
		if h.x.Client.Is6() {
			o.Server = netip.AddrPortFrom(netip.IPv6Unspecified(), 0)
		}
	}
	return o
}

// linkFault is why a connection to a server could not begin by TLS, "" for other reasons.
func linkFault(err error) string {
	var e *link.Error
	if errors.As(err, &e) {
		return e.Error()
	}
	return ""
}
