package desk

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/desk/access"
)

// door is how people and programs come in: the addresses of admin:, and the Unix socket of the command line.
type door struct {
	guard  *access.Door
	rooms  *rooms
	server *http.Server
	cert   atomic.Pointer[tls.Certificate]
	open   map[string]net.Listener // by network and address; the Unix socket's key is empty
	serves sync.WaitGroup
	end    context.CancelFunc // of answers that go on until somebody leaves
	ends   context.Context
}

const (
	maxConnections = 500 // on each address
	maxHead        = 32 << 10
	answerTime     = 30 * time.Second // for an answer to be taken; rooms that take longer say so
)

func newDoor() *door {
	o := &door{open: map[string]net.Listener{}}
	o.guard = access.New(time.Now, func(addr string) { slog.Warn("a wrong password or token", "from", addr) })
	o.ends, o.end = context.WithCancel(context.Background())
	return o
}

// use listens where the configuration says. On an error nothing has changed.
func (o *door) use(d *desk, cfg *config.Config) error {
	var cert *tls.Certificate
	if cfg.Admin.TLS != nil {
		var err error
		if cert, err = loadCertificate(cfg.Admin.TLS); err != nil {
			return err
		}
	}
	wanted, news := map[string]bool{here: true}, map[string]net.Listener{}
	for _, l := range cfg.Listen {
		if !l.Desk {
			continue
		}
		key := l.Network + " " + l.Address
		secure := cert != nil && l.Network != "unix"
		wanted[keyOf(key, secure)] = true
		if o.open[keyOf(key, secure)] != nil {
			continue
		}
		ln, err := o.listen(d.offered[key], secure)
		if err != nil {
			closeAll(news)
			return fmt.Errorf("listening on %s: %w", l.Address, err)
		}
		news[keyOf(key, secure)] = ln
	}
	if o.server == nil {
		ln, err := listenHere(api.DeskSocket(d.runDir))
		if err != nil {
			closeAll(news)
			return err
		}
		news[here] = ln
		o.rooms = &rooms{hub: d.hub, guard: o.guard, version: d.version, ends: o.ends, logs: make(chan struct{}, maxLogs)}
		o.server = &http.Server{Handler: o.rooms.handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: answerTime, IdleTimeout: 2 * time.Minute,
			MaxHeaderBytes: maxHead, ConnContext: withPeer, ConnState: noteState, ErrorLog: slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug)}
	}
	o.cert.Store(cert)
	o.guard.Use(cfg.Admin)
	for key, ln := range o.open {
		if !wanted[key] {
			ln.Close() //nolint:errcheck // the keeper's stays
			delete(o.open, key)
		}
	}
	for key, ln := range news {
		o.serve(key, ln)
	}
	return nil
}

// here is the key of the Unix socket for the command line.
const here = ""

// keyOf tells what is listened on with TLS from what is without.
func keyOf(key string, secure bool) string {
	if secure {
		return "tls " + key
	}
	return key
}

func closeAll(all map[string]net.Listener) {
	for _, ln := range all {
		ln.Close() //nolint:errcheck // nobody has used it
	}
}

// listen listens on a socket that was handed down.
func (o *door) listen(f *os.File, secure bool) (net.Listener, error) {
	if f == nil {
		return nil, errors.New("no socket was handed down")
	}
	ln, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	if u, ok := ln.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false) // it is the keeper's
	}
	ln = newCrowd(ln, maxConnections)
	if secure {
		ln = tls.NewListener(ln, &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return o.cert.Load(), nil }})
	}
	return ln, nil
}

func (o *door) serve(key string, ln net.Listener) {
	o.open[key] = ln
	o.serves.Go(func() {
		if err := o.server.Serve(ln); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			slog.Error("the status page answers no more", "address", ln.Addr().String(), "error", err)
		}
	})
}

// shut ends all that is under way, soon.
func (o *door) shut() {
	o.end()
	if o.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	if o.server.Shutdown(ctx) != nil {
		o.server.Close() //nolint:errcheck // who still reads is cut off
	}
	o.serves.Wait()
}

// listenHere listens on a Unix socket that only this user may use. Another desk's is taken over.
func listenHere(path string) (net.Listener, error) {
	aside := path + ".new"
	os.Remove(aside) //nolint:errcheck // most often there is none
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: aside, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("making the socket %s: %w", path, err)
	}
	ln.SetUnlinkOnClose(false) // by then it may be another desk's
	if err := errors.Join(os.Chmod(aside, 0o600), os.Rename(aside, path)); err != nil {
		return nil, errors.Join(fmt.Errorf("making the socket %s: %w", path, err), ln.Close())
	}
	return ln, nil
}

func loadCertificate(files *config.AdminTLS) (*tls.Certificate, error) {
	cert, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		return nil, fmt.Errorf("the certificate of admin cannot be used: %w", err)
	}
	return &cert, nil
}

// peer is who came by the Unix socket.
type peer struct{}

// withPeer notes the name of the user on the other side of a Unix socket.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	if u, ok := c.(*net.UnixConn); ok && u.LocalAddr().Network() == "unix" {
		return context.WithValue(ctx, peer{}, peerName(u))
	}
	return ctx
}
