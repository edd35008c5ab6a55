package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/weirhq/weir/internal/config"
)

const (
	// firstTry is the first wait between two tries; it doubles up to Ready.Every, so that a quick worker is live soon.
	firstTry = 5 * time.Millisecond
	// oneTry bounds a try, so that one answer that never comes does not use up all of Ready.Within.
	oneTry = 5 * time.Second
)

// AwaitReady asks the worker until it is ready, for at most its app's Ready.Within, and then warms it up. The error says
// what it last was; it is ctx's when ctx ends before. An answer counts only if this process lives and nobody else has its port.
func (p *Process) AwaitReady(ctx context.Context) error {
	end := time.Now().Add(p.app.Ready.Within)
	err := awaitReady(ctx, p.app.Ready, func(ctx context.Context) error {
		if err := p.try(ctx, p.app.Ready); err != nil {
			return p.nobody(err)
		}
		return p.answers()
	})
	if err != nil || len(p.app.WarmUp) == 0 {
		return err
	}
	within, cancel := context.WithDeadline(ctx, end)
	defer cancel()
	for _, path := range p.app.WarmUp {
		if err := p.warm(within, path); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("did not answer GET %s of warm_up within %v of its start (%w)", path, p.app.Ready.Within, err)
		}
	}
	return nil
}

// warm asks for a page that is to be ready for the first client. That it is answered is what matters: it may be a redirect, or
// want a login; only an error of the worker's own says that it is not well.
func (p *Process) warm(ctx context.Context, path string) error {
	status, text, err := p.ask(ctx, p.app.Ready.Host, path, "weir-warm-up")
	if err == nil && status >= http.StatusInternalServerError {
		return fmt.Errorf("it answered %s", text)
	}
	return err
}

// Alive asks a worker in service once whether it is well.
func (p *Process) Alive(ctx context.Context, a config.Alive) error {
	ctx, cancel := context.WithTimeout(ctx, a.Timeout)
	defer cancel()
	return well(p.ask(ctx, a.Host, a.Path, "weir-alive"))
}

// well is that only 2xx counts; redirects are not followed.
func well(status int, text string, err error) error {
	if err == nil && status/100 != 2 {
		return fmt.Errorf("it answered %s", text)
	}
	return err
}

// nobody says of a refused connection what is wrong with the command: most often it listens somewhere else.
func (p *Process) nobody(err error) error {
	if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.ENOENT) {
		return err
	}
	variable := "$PORT"
	if p.app.Socket {
		variable = "$SOCKET"
	}
	return fmt.Errorf("nobody listens at %s: the command has to listen at its %s", p.Address, variable)
}

func awaitReady(ctx context.Context, r config.Ready, try func(context.Context) error) error {
	within, cancel := context.WithTimeout(ctx, r.Within)
	defer cancel()
	end, _ := within.Deadline() // its sockets may say that it is over before within does
	every := r.Every
	if every <= 0 {
		every = time.Second
	}
	wait := min(firstTry, every)
	var last error
	for {
		err := try(within)
		if err == nil {
			return nil
		}
		if time.Now().Before(end) || last == nil {
			last = err // the error of a try that ran out of time says less than the one before
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-within.Done():
			t.Stop()
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return notReady(r, last)
		}
		wait = min(2*wait, every)
	}
}

func notReady(r config.Ready, last error) error {
	if r.Path == "" {
		return fmt.Errorf("did not accept connections within %v (%w)", r.Within, last)
	}
	return fmt.Errorf("did not answer GET %s with 2xx within %v (%w)", r.Path, r.Within, last)
}

func dial(ctx context.Context, address string) (net.Conn, error) {
	network := "tcp"
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		network, address = "unix", path
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	// Connecting to a local port where nobody listens may, once in thirty thousand, meet itself (simultaneous open).
	if network == "tcp" && conn.LocalAddr().String() == conn.RemoteAddr().String() {
		return nil, errors.Join(errors.New("nobody listens there yet"), conn.Close())
	}
	return conn, nil
}

func plainDial(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// ask sends one GET over conn and returns the status of the answer, as a number and in words.
func ask(ctx context.Context, conn net.Conn, h2c bool, host, path, agent string) (int, string, error) {
	used := false
	t := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			if used {
				return nil, errors.New("the connection was closed without an answer")
			}
			used = true
			return conn, nil
		},
	}
	defer t.CloseIdleConnections()
	if h2c {
		t.Protocols = new(http.Protocols)
		t.Protocols.SetUnencryptedHTTP2(true)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://worker"+path, nil)
	if err != nil {
		return 0, "", fmt.Errorf("asking: %w", err)
	}
	req.Host = host
	req.Header.Set("User-Agent", agent)
	resp, err := t.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	resp.Body.Close() //nolint:errcheck // of no interest
	return resp.StatusCode, resp.Status, nil
}
