// Package probe asks one server, once, whether it is well, or how much traffic it wants. It keeps no state and no
// goroutine beyond a call, decides nothing (package health does), and reads no more of what a server sends than it must: what
// answers a probe may be anything, for as long as it likes.
package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/pool/health"
)

// Target is the server to be asked.
type Target struct {
	Pool, Server string // their names
	To           loop.Addr
}

// Check makes one check, for h.Timeout at most. wish is the value of the field of that name in the server's response, if
// it is asked for and there. The result of a check that ctx ended means nothing.
func Check(ctx context.Context, t Target, h *config.Health, field string) (r health.Result, wish string) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	var err error
	var said string
	var db found
	to, err := t.at(h.Port)
	if err == nil {
		switch h.Type {
		case "http":
			said, wish, err = checkHTTP(ctx, to, h, field)
		case "tls":
			said, err = checkTLS(ctx, to, h.Host)
		case "command":
			said, err = checkCommand(ctx, t.command(to, h.Argv))
		case "postgres":
			db, err = checkPostgres(ctx, to, h)
			said = db.said
		case "redis":
			db, err = checkRedis(ctx, to, h)
			said = db.said
		default:
			said, err = checkTCP(ctx, to)
		}
	}
	now := time.Now()
	if err != nil {
		return health.Result{Message: clean(words(err, h.Timeout)), At: now, Certain: db.certain}, wish
	}
	return health.Result{OK: true, Message: clean(said) + " in " + brief(now.Sub(began)), At: now, Certain: db.certain, Term: db.term}, wish
}

// at is where a check connects: the server's own address, or another port of the same host.
func (t Target) at(port int) (loop.Addr, error) {
	switch {
	case port == 0:
		return t.To, nil
	case t.To.Unix != "":
		return t.To, errors.New("a Unix socket has no port to check")
	}
	return loop.Addr{IP: addrPort(t.To.IP, port)}, nil
}

func checkTCP(ctx context.Context, to loop.Addr) (string, error) {
	c, err := dial(ctx, to)
	if err != nil {
		return "", err
	}
	return "connected", c.Close()
}

// conn is a connection that its probe's end closes, whatever it is doing.
type conn struct {
	net.Conn
	stop func() bool
}

func (c *conn) Close() error {
	c.stop()
	return c.Conn.Close()
}

func dial(ctx context.Context, to loop.Addr) (*conn, error) {
	network, address := "tcp", to.IP.String()
	if to.Unix != "" {
		network, address = "unix", to.Unix
	}
	var d net.Dialer
	d.KeepAlive = -1
	c, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	// Connecting to a local port where nobody listens may, once in thirty thousand, meet itself (simultaneous open).
	if network == "tcp" && c.LocalAddr().String() == c.RemoteAddr().String() {
		return nil, errors.Join(syscall.ECONNREFUSED, c.Close())
	}
	if by, ok := ctx.Deadline(); ok {
		if err := c.SetDeadline(by); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	out := &conn{Conn: c}
	out.stop = context.AfterFunc(ctx, func() { c.Close() }) //nolint:errcheck // it is given up
	return out, nil
}

// words says an error as a person would.
func words(err error, timeout time.Duration) string {
	var op *net.OpError
	var errno syscall.Errno
	var timed interface{ Timeout() bool }
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, net.ErrClosed), errors.As(err, &timed) && timed.Timeout():
		return fmt.Sprintf("no answer within %v", timeout)
	case errors.As(err, &errno):
		return errno.Error()
	case errors.As(err, &op):
		return op.Err.Error()
	}
	return err.Error()
}

// maxMessage bounds what of a server's own words gets into logs and pages.
const maxMessage = 160

// clean makes one short line of what may be anything.
func clean(s string) string {
	s = strings.ToValidUTF8(strings.TrimSpace(s), "?")
	var b strings.Builder
	for _, r := range s {
		if b.Len() >= maxMessage {
			b.WriteString("…")
			break
		}
		if !strconv.IsPrint(r) {
			r = '?'
		}
		b.WriteRune(r)
	}
	return b.String()
}

func brief(d time.Duration) string {
	if d < time.Millisecond {
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(100 * time.Microsecond).String()
}
