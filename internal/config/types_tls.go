package config

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"slices"
	"time"
)

// ProxyProtocol says who begins connections with a header of the PROXY protocol.
type ProxyProtocol struct {
	From   []netip.Prefix // connections from there begin with one, and all others do not
	Unix   bool           // likewise those that come by a Unix socket
	Within time.Duration  // the time for it, from its first byte on
}

// Introduces reports whether connections from a peer begin with a header. A peer that is not valid came by a Unix socket.
func (p *ProxyProtocol) Introduces(peer netip.AddrPort) bool {
	if !peer.IsValid() {
		return p.Unix
	}
	from := peer.Addr().Unmap()
	return slices.ContainsFunc(p.From, func(n netip.Prefix) bool { return n.Contains(from) })
}

// ServerTLS is how weir speaks TLS to a server. Of what it was read from, CA and Certificate are as they were when the configuration was.
type ServerTLS struct {
	Off         bool             // it does not: written as false
	Verify      bool             // a server whose certificate is not good gets nothing
	CA          *x509.CertPool   `json:"-"` // who vouches for it; nil: those that the system trusts
	ServerName  string           // the name that the certificate is for, and that is asked for (SNI); empty: the host in the server's address
	Certificate *tls.Certificate `json:"-"` // weir's own; nil: none
	MinVersion  uint16
	ALPN        []string // empty: what the pool's protocol is called there
	// Unusable says why nothing can be sent: a file of it is gone or bad since the configuration came into force.
	Unusable string
	// Sum is the same for two that are the same in all that counts, files included.
	Sum [sha256.Size]byte
}
