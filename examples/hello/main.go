// Command hello is the smallest worker: a net/http server that is up within milliseconds. The end-to-end tests and the
// benchmarks put it behind weir, so it answers what such a test needs to ask for: a large body, a late one, a mirror of the
// request, a sink for uploads, a WebSocket. It is an example of a program that knows nothing of weir beyond the $SOCKET or
// $PORT, or the listening socket, that it is given, and no model of an application; for that see examples/photos.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	listen := flag.String("listen", "", "host:port or unix:PATH to serve on (default $SOCKET, then 127.0.0.1:$PORT, then 127.0.0.1:8000)")
	flag.Parse()
	if err := serve(*listen); err != nil {
		fmt.Fprintln(os.Stderr, "hello:", err)
		os.Exit(1)
	}
}

// serve answers requests until TERM or INT, then lets those under way finish.
func serve(where string) error {
	l, err := handed(os.Getenv)
	if l == nil && err == nil {
		l, err = open(address(where, os.Getenv))
	}
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler(), ReadHeaderTimeout: 10 * time.Second}
	ctx, release := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer release()
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		limit, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		stopped <- server.Shutdown(limit)
	}()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving on %s: %w", l.Addr(), err)
	}
	return <-stopped
}

// handed returns the listening socket that this process was started with, nil if there is none: LISTEN_FDS as systemd has it
// and weir with `listen: handed`. What is inherited from a parent to whom it was handed is not ours.
func handed(env func(string) string) (net.Listener, error) {
	if env("LISTEN_PID") != strconv.Itoa(os.Getpid()) || env("LISTEN_FDS") != "1" {
		return nil, nil
	}
	f := os.NewFile(3, "handed")
	defer f.Close() // the listener has a duplicate
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("using the socket that was handed over: %w", err)
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false) // its name belongs to who has made it
	}
	return l, nil
}

// address picks where to listen, as network and address: the flag, then $SOCKET, then $PORT, then a fixed port.
func address(flag string, env func(string) string) (network, address string) {
	switch {
	case strings.HasPrefix(flag, "unix:"):
		return "unix", strings.TrimPrefix(flag, "unix:")
	case flag != "":
		return "tcp", flag
	case env("SOCKET") != "":
		return "unix", env("SOCKET")
	case env("PORT") != "":
		return "tcp", "127.0.0.1:" + env("PORT")
	}
	return "tcp", "127.0.0.1:8000"
}

func open(network, address string) (net.Listener, error) {
	if network == "unix" {
		// The socket of a worker that was killed is still there, and bind refuses a name that exists.
		if at, err := os.Lstat(address); err == nil && at.Mode()&os.ModeSocket != 0 {
			if err := os.Remove(address); err != nil {
				return nil, fmt.Errorf("removing the old socket: %w", err)
			}
		}
	}
	l, err := net.Listen(network, address)
	if err != nil {
		return nil, fmt.Errorf("opening the listener: %w", err)
	}
	return l, nil
}
