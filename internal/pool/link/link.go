// Package link is how a connection to a server begins, before anything is asked of it: with a header of the PROXY protocol, with a TLS
// handshake, with both in this order, or at once. It decides neither which server is asked nor what becomes of one that cannot be.
package link

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/netip"
	"sync"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/proxyproto"
)

// Origin is whose request a connection is made for. Two that are equal are told to a server in the same words.
type Origin struct {
	Client netip.AddrPort // the port is 0 when it is not known; not valid: the client has no address
	Server netip.AddrPort // where it connected to
	Own    bool           // weir's own
}

// Spec says how a server's connections begin. Those that are equal begin alike, and with the same secrets: they can be
// compared.
type Spec struct {
	Protocol config.Protocol // what is spoken then
	Proxy    int             // the PROXY protocol's version; 0: no header
	TLS      bool
	name     string // that the server's certificate must be for
	sum      [sha256.Size]byte
}

// SpecOf is what a configuration says of a server at a host, which is a name or an IP address and may be empty for a Unix socket.
func SpecOf(p *config.Pool, t *config.ServerTLS, host string) Spec {
	s := Spec{Protocol: p.Protocol, Proxy: p.SendProxy}
	if t != nil {
		s.TLS, s.name, s.sum = true, host, t.Sum
		if t.ServerName != "" {
			s.name = t.ServerName
		}
	}
	return s
}

// Link makes connections to one server begin.
type Link struct {
	proxy int
	tls   *tls.Config // nil: none
	why   error       // no connection can begin
}

// systemRoots reads the system's authorities once. It reads files: not on a loop for the first time.
var systemRoots = sync.OnceValues(x509.SystemCertPool)

// Prepare reads what links may need of the machine, so that New does not have to.
func Prepare() { _, _ = systemRoots() } // an error is told by the link that needs them

// New makes a server's link; nil when its connections begin at once. Sessions are resumed among the connections of one link.
func New(s Spec, t *config.ServerTLS) *Link {
	if s.Proxy == 0 && !s.TLS {
		return nil
	}
	l := &Link{proxy: s.Proxy}
	if !s.TLS {
		return l
	}
	l.tls = &tls.Config{
		ServerName:                  s.name,
		InsecureSkipVerify:          !t.Verify,
		RootCAs:                     t.CA,
		MinVersion:                  t.MinVersion,
		NextProtos:                  t.ALPN,
		ClientSessionCache:          tls.NewLRUClientSessionCache(sessions),
		DynamicRecordSizingDisabled: true, // what is sent is there already, and the network behind weir is quick
	}
	if len(t.ALPN) == 0 && s.Protocol == config.HTTP1 {
		l.tls.NextProtos = []string{"http/1.1"}
	}
	if t.Certificate != nil {
		// Given for whatever authorities the server says that it likes: it knows best why it refuses one, and says so.
		l.tls.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return t.Certificate, nil }
	}
	if t.Verify && t.CA == nil {
		roots, err := systemRoots()
		if err != nil {
			l.why = fmt.Errorf("reading the authorities that this machine trusts: %w", err)
		}
		l.tls.RootCAs = roots
	}
	if t.Unusable != "" {
		l.why = &Error{Reason: t.Unusable}
	}
	return l
}

// sessions is how many sessions a link remembers: they all have one name.
const sessions = 4

// Proxied reports whether servers are told whose connection it is.
func (l *Link) Proxied() bool { return l != nil && l.proxy != 0 }

// Secured reports whether it makes a TLS handshake.
func (l *Link) Secured() bool { return l != nil && l.tls != nil }

// Ready returns why no connection can begin.
func (l *Link) Ready() error { return l.why }

// Begin begins a new connection, until the deadline. After an error it is to be closed.
func (l *Link) Begin(c *loop.Conn, o *Origin, deadline loop.Time) error {
	if l.why != nil {
		return l.why
	}
	if l.proxy != 0 {
		b := c.Loop().Buffer()
		c.WriteBy(deadline)
		_, err := c.Write(l.appendHeader(b[:0], o, c.Local, c.Peer))
		c.WriteBy(0)
		c.Loop().Release(b)
		if err != nil {
			return err
		}
	}
	if l.tls != nil {
		if err := c.Secure(l.tls, deadline); err != nil {
			return explained(err, l.tls.ServerName)
		}
	}
	return nil
}

// AppendCheck appends the header of a connection from one address to another that is a check's.
func (l *Link) AppendCheck(dst []byte, from, to netip.AddrPort) []byte {
	own := Origin{Own: true}
	return l.appendHeader(dst, &own, func() netip.AddrPort { return from }, func() netip.AddrPort { return to })
}

// TLS is what a check's handshake needs.
func (l *Link) TLS() *tls.Config { return l.tls }

// Explain says why a handshake by TLS failed.
func (l *Link) Explain(err error) error { return explained(err, l.tls.ServerName) }

func (l *Link) appendHeader(dst []byte, o *Origin, local, peer func() netip.AddrPort) []byte {
	switch {
	case o == nil:
		o = &Origin{}
	case o.Own && l.proxy == 2:
		return proxyproto.AppendLocal(dst)
	case o.Own: // version 1 knows no better than to say who connects (section 2.1 of its specification)
		return proxyproto.AppendV1(dst, local(), peer())
	}
	if l.proxy == 2 {
		if !o.Client.IsValid() || !o.Server.IsValid() { // HAProxy gives no answer to a client without an address
			return proxyproto.AppendLocal(dst)
		}
		return proxyproto.AppendV2(dst, o.Client, o.Server)
	}
	return proxyproto.AppendV1(dst, o.Client, o.Server)
}
