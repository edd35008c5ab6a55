package testkit

import (
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
)

// listen returns a listener on a TCP port of the loopback or on a Unix socket, and its address: host:port, or "unix:" and
// a path.
func listen(t testing.TB, network string) (net.Listener, string) {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s.sock")
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatalf("a server of the test: %v", err)
	}
	if network == "unix" {
		return l, "unix:" + address
	}
	return l, l.Addr().String()
}

// Serve serves connections by a function, each on a goroutine of its own, and returns the address: host:port, or "unix:"
// and a path. When serve returns, its connection is closed; when the test ends, all are, and it is waited for. Where what
// comes is to be checked, see Origin.
func Serve(t testing.TB, network string, serve func(c net.Conn)) (address string) {
	t.Helper()
	l, address := listen(t, network)
	var running sync.WaitGroup
	var mu sync.Mutex
	open, closed := map[net.Conn]bool{}, false
	handle := func(c net.Conn) {
		defer func() {
			c.Close()
			mu.Lock()
			delete(open, c)
			mu.Unlock()
		}()
		mu.Lock()
		open[c] = true
		over := closed
		mu.Unlock()
		if !over {
			serve(c)
		}
	}
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed
			}
			running.Go(func() { handle(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		closed = true
		for c := range open {
			c.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return address
}

// ServeHTTP serves HTTP by a handler on a TCP port of the loopback until the test ends, and returns host:port.
func ServeHTTP(t testing.TB, h http.Handler) (address string) {
	t.Helper()
	l, address := listen(t, "tcp")
	s := &http.Server{Handler: h}
	var running sync.WaitGroup
	running.Go(func() { s.Serve(l) }) //nolint:errcheck // it ends when it is closed
	t.Cleanup(func() { s.Close(); running.Wait() })
	return address
}
