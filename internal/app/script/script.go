// Package script runs a program for each request, as CGI has it (RFC 3875). It is what `weir cgi` is made of: a worker that weir
// keeps for each route with cgi:, and that the edge asks by SCGI. So no request forks the edge, and a program that goes wild is a
// child of a process that handles nothing else. It knows no routes, and does not read the program's answer: the edge does.
package script

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/weirhq/weir/internal/app"
	"github.com/weirhq/weir/internal/scgi"
)

// Options say what is run, and how.
type Options struct {
	Root   string        // the directory in which paths name programs; empty: every request is for Argv
	Argv   []string      // the one program, with its arguments; its path is absolute or found in PATH
	AtOnce int           // programs at a time
	Within time.Duration // how long one may take
	Log    *slog.Logger
}

const (
	maxHeaders = 1 << 20          // bytes of a request's headers; the edge's limit is below
	headWithin = 10 * time.Second // until they are here
	acceptWait = 50 * time.Millisecond
)

// server is what Serve is made of.
type server struct {
	opt     Options
	root    *os.Root
	starter *app.Starter
	env     []string // of every program
	ctx     context.Context
	all     sync.WaitGroup
}

// Serve answers what comes on ln until ctx ends; then it kills what still runs. It closes ln.
func Serve(ctx context.Context, ln net.Listener, opt Options) (err error) {
	s := &server{opt: opt, env: environment(os.Environ()), ctx: ctx}
	if opt.Root != "" {
		if s.root, err = os.OpenRoot(opt.Root); err != nil {
			return errors.Join(fmt.Errorf("opening the directory of programs: %w", err), ln.Close())
		}
		defer s.root.Close() //nolint:errcheck // only read
	}
	if s.starter, err = app.NewStarter(false); err != nil {
		return errors.Join(err, ln.Close())
	}
	defer s.starter.Close()
	stop := context.AfterFunc(ctx, func() { ln.Close() }) //nolint:errcheck // it was accepting: there is nothing to lose
	defer stop()
	defer s.all.Wait()
	places := make(chan struct{}, opt.AtOnce)
	for {
		places <- struct{}{} // before the accept: what finds no place waits in the socket's backlog
		c, err := ln.Accept()
		if err != nil {
			<-places
			if ctx.Err() != nil {
				return nil
			}
			if errors.Is(err, net.ErrClosed) {
				return fmt.Errorf("accepting: %w", err)
			}
			opt.Log.Error("no connection could be accepted", "error", err) // no descriptors, most often
			time.Sleep(acceptWait)
			continue
		}
		s.all.Go(func() {
			defer func() { <-places }()
			defer c.Close() //nolint:errcheck // what counts has been written
			if err := s.answer(c); err != nil {
				opt.Log.Error("a request went wrong", "error", err)
			}
		})
	}
}

// answer answers the one request of a connection.
func (s *server) answer(c net.Conn) error {
	if err := c.SetReadDeadline(time.Now().Add(headWithin)); err != nil {
		return err
	}
	buf := make([]byte, 0, 8<<10)
	for {
		n, err := c.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if n == 0 && err != nil {
			if len(buf) == 0 {
				return nil // a look whether somebody is here
			}
			return fmt.Errorf("reading a request: %w", err)
		}
		headers, length, used, wrong := scgi.Parse(buf, maxHeaders)
		if wrong != nil {
			return wrong
		}
		if used > 0 {
			if err := c.SetReadDeadline(time.Time{}); err != nil {
				return err
			}
			return s.run(c, headers, buf[used:], length)
		}
		if len(buf) == cap(buf) {
			buf = append(make([]byte, 0, 2*cap(buf)), buf...)
		}
	}
}
