package link

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"time"
)

// Error is a TLS handshake that failed, in words for people.
type Error struct {
	Reason string
	Err    error // nil: there was none
}

// Error implements error.
func (e *Error) Error() string { return "TLS: " + e.Reason }

// Unwrap is for errors.Is.
func (e *Error) Unwrap() error { return e.Err }

// explained says what is wrong with a server that should have been name.
func explained(err error, name string) error {
	return &Error{Reason: words(err, name), Err: err}
}

func words(err error, name string) string {
	var (
		unknown  x509.UnknownAuthorityError
		invalid  x509.CertificateInvalidError
		hostname x509.HostnameError
		header   tls.RecordHeaderError
		timed    interface{ Timeout() bool }
		errno    syscall.Errno
	)
	switch {
	case errors.As(err, &hostname):
		return "its certificate is for " + forWhom(hostname.Certificate) + ", not for " + hostname.Host
	case errors.As(err, &unknown):
		if c := unknown.Cert; c != nil && c.CheckSignatureFrom(c) == nil || c != nil && c.Subject.String() == c.Issuer.String() {
			return "its certificate is signed by itself, and not one of those in tls.ca"
		} else if c != nil {
			return "its certificate is signed by an authority that is not trusted (" + clip(c.Issuer.String()) + "); tls.ca can name it"
		}
		return "its certificate is signed by an authority that is not trusted"
	case errors.As(err, &invalid):
		return invalidity(&invalid)
	case errors.As(err, &header):
		return "it does not speak TLS"
	case alertOf(err) != "":
		return refusal(alertOf(err))
	case errors.As(err, &errno) && !errno.Timeout():
		return "the connection broke off in the handshake: " + errno.Error()
	case errors.As(err, &timed) && timed.Timeout():
		return "no handshake in time"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "it closed the connection in the handshake"
	}
	return clip(strings.TrimPrefix(strings.TrimPrefix(err.Error(), "tls: "), "remote error: "))
}

func invalidity(e *x509.CertificateInvalidError) string {
	switch c := e.Cert; {
	case e.Reason == x509.Expired && c != nil && time.Now().After(c.NotAfter):
		return "its certificate has expired on " + c.NotAfter.UTC().Format("2006-01-02 15:04 MST")
	case e.Reason == x509.Expired && c != nil:
		return "its certificate is not in force before " + c.NotBefore.UTC().Format("2006-01-02 15:04 MST")
	case e.Reason == x509.IncompatibleUsage:
		return "its certificate is not one for servers"
	}
	return "its certificate is not good: " + clip(strings.TrimPrefix(e.Error(), "x509: "))
}

// forWhom lists the names of a certificate.
func forWhom(c *x509.Certificate) string {
	if c == nil {
		return "another name"
	}
	names := append([]string(nil), c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	const most = 4
	switch {
	case len(names) == 0:
		return "no name (" + clip(c.Subject.String()) + ")"
	case len(names) > most:
		return clip(strings.Join(names[:most], ", ")) + ", …"
	}
	return clip(strings.Join(names, ", "))
}

// clip bounds what of a server's own words gets into logs and pages.
func clip(s string) string {
	const most = 160
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0xfffd {
			return '?'
		}
		return r
	}, s)
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// The alerts by which a server says that it does not take weir's certificate, or wants one (RFC 8446, section 6).
var ofCertificate = map[tls.AlertError]string{
	42:  "it says that weir's certificate is bad",
	43:  "it does not take certificates such as weir's",
	44:  "it says that weir's certificate is revoked",
	45:  "it says that weir's certificate has expired",
	46:  "it does not take weir's certificate",
	48:  "it does not know the authority that signed weir's certificate",
	49:  "it refuses weir's certificate",
	116: "it wants a certificate of weir's (tls.cert)",
}

// alertOf returns what a server says in an alert, "" when err is none. crypto/tls tells it in words alone.
func alertOf(err error) string {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" {
		return ""
	}
	return op.Err.Error()
}

func aboutCertificate(alert string) string {
	for a, text := range ofCertificate {
		if a.Error() == alert {
			return text
		}
	}
	return ""
}

func refusal(alert string) string {
	if text := aboutCertificate(alert); text != "" {
		return text
	}
	return "it refused the handshake: " + clip(strings.TrimPrefix(alert, "tls: "))
}

// Refused says why a server did not take weir's certificate, nil if that is not what err means. With TLS 1.3 it is told only when the
// handshake is over for the client, in place of the first answer: nothing of what was sent was looked at.
func Refused(err error) error {
	if text := aboutCertificate(alertOf(err)); text != "" {
		return &Error{Reason: text, Err: err}
	}
	return nil
}
