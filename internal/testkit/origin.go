package testkit

import (
	"errors"
	"net"
	"strconv"
	"sync"
	"testing"
)

// Origin is a server that does what a test says to each connection that it gets.
type Origin struct {
	Address string // host:port, or "unix:" and a path

	t       testing.TB
	l       net.Listener
	serve   func(n int, c *Conn)
	gates   *gates
	running sync.WaitGroup

	mu     sync.Mutex
	closed bool
	conns  []*Conn
}

// NewOrigin serves scripts on a TCP port of the loopback: the first connection gets the first script, and so on; the
// last script serves all that come after. See Conn.Play. It is closed when the test ends.
func NewOrigin(t testing.TB, scripts ...string) *Origin {
	t.Helper()
	return ServeOrigin(t, "tcp", func(n int, c *Conn) { c.Play(scripts[min(n, len(scripts)-1)]) })
}

// ServeOrigin serves connections by a function, on a TCP port of the loopback or on a Unix socket. n counts
// connections from 0. When serve returns, the connection is closed.
func ServeOrigin(t testing.TB, network string, serve func(n int, c *Conn)) *Origin {
	t.Helper()
	l, address := listen(t, network)
	o := &Origin{t: t, l: l, serve: serve, gates: newGates(), Address: address}
	o.running.Go(o.accept)
	t.Cleanup(o.Close)
	return o
}

func (o *Origin) accept() {
	for n := 0; ; n++ {
		c, err := o.l.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				o.t.Errorf("origin: %v", err)
			}
			return
		}
		k := newConn(o.t, "origin, connection "+strconv.Itoa(n), c, o.gates)
		o.mu.Lock()
		if o.closed {
			o.mu.Unlock()
			c.Close()
			return
		}
		o.conns = append(o.conns, k)
		o.running.Go(func() {
			defer c.Close()
			o.serve(n, k)
		})
		o.mu.Unlock()
	}
}

// Open opens a gate that connections wait for.
func (o *Origin) Open(gate string) { o.gates.open(gate) }

// Wait waits until a connection has opened the gate.
func (o *Origin) Wait(gate string) {
	o.t.Helper()
	if !o.gates.wait(gate, Patience) {
		o.t.Fatalf("origin: nothing opened the gate %q", gate)
	}
}

// Connections returns how many connections there have been.
func (o *Origin) Connections() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.conns)
}

// Got returns everything that a connection has received so far, counted from 0.
func (o *Origin) Got(n int) string {
	o.mu.Lock()
	if n >= len(o.conns) {
		o.mu.Unlock()
		return ""
	}
	k := o.conns[n]
	o.mu.Unlock()
	return k.Got()
}

// Close stops listening, closes every connection and waits for their scripts. A script that is under way fails the
// test, for it has not been played to its end; one that waits for a next request should be a function that returns
// when the peer closes.
func (o *Origin) Close() {
	o.mu.Lock()
	was := o.closed
	o.closed = true
	o.mu.Unlock()
	if !was {
		o.l.Close()
	}
	o.running.Wait()
}
