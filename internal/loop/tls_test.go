package loop

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"testing"
	"time"
)

// selfSigned makes a certificate for the name "weir.test" and the pool that trusts it.
func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "weir.test"},
		DNSNames:              []string{"weir.test"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// crypto/tls runs unchanged on a task's connection, on both sides, in both directions, in pieces that do not fit a socket.
func TestTLS(t *testing.T) {
	cert, pool := selfSigned(t)
	serverSide := &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}}
	clientSide := &tls.Config{RootCAs: pool, ServerName: "weir.test", NextProtos: []string{"http/1.1"}}
	const size = 4 << 20
	every(t, Config{Loops: 2}, func(t *testing.T, e *Engine, listen listenFunc) {
		addr := listen(t, e.Loops()[0], serve(func(task *Task, c *Conn) {
			s := tls.Server(c, serverSide)
			if _, err := io.Copy(writerOnly{s}, readerOnly{s}); err != nil {
				t.Errorf("server: %v", err)
			}
			if err := s.Close(); err != nil {
				t.Errorf("server: %v", err)
			}
		}))
		roundTrip := func(c net.Conn, send func(func())) {
			s := tls.Client(c, clientSide)
			if err := s.Handshake(); err != nil {
				t.Error(err)
				return
			}
			if got := s.ConnectionState().NegotiatedProtocol; got != "http/1.1" {
				t.Errorf("negotiated %q", got)
			}
			data := bytes.Repeat([]byte("weir"), size/4)
			send(func() {
				if _, err := s.Write(data); err != nil {
					t.Error(err)
				}
				if err := s.CloseWrite(); err != nil {
					t.Error(err)
				}
			})
			got, err := io.ReadAll(s)
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes came back: %v", len(got), err)
			}
		}
		within(t, e.Loops()[1], func(task *Task) { // a client on a loop: one task writes, another reads
			c := mustDial(t, task, addr)
			defer c.Close()
			roundTrip(c, func(f func()) { task.Loop().Go(runFunc(func(*Task) { f() })) })
		})
		roundTrip(dial(t, addr), func(f func()) { go f() }) // and one of the net package
	})
}

type writerOnly struct{ io.Writer }

// A handshake that is not gone on with ends at the deadline, as an error that crypto/tls passes on.
func TestTLSHandshakeDeadline(t *testing.T) {
	cert, _ := selfSigned(t)
	every(t, Config{}, func(t *testing.T, e *Engine, listen listenFunc) {
		result := make(chan error, 1)
		addr := listen(t, e.Loops()[0], serve(func(task *Task, c *Conn) {
			c.ReadBy(soon(c.Loop()))
			result <- tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}}).Handshake()
		}))
		c := dial(t, addr)
		if _, err := io.WriteString(c, "\x16\x03\x01"); err != nil {
			t.Fatal(err)
		}
		if err := <-result; !errors.Is(err, ErrTimeout) {
			t.Errorf("got %v", err)
		}
	})
}
