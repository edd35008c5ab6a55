package desk

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// crowd is a listener that takes so many connections and no more. When it is full, who has most of them makes room for the others: a
// balancer that asks whether weir is ready has no word, and must be heard however many connections somebody else without one keeps open.
type crowd struct {
	net.Listener
	most int

	mu  sync.Mutex
	all map[*guest]bool
	by  map[netip.Addr]int
}

// guest is one of the connections.
type guest struct {
	net.Conn
	in   *crowd
	addr netip.Addr // the zero one for all that come by a Unix socket

	// Under the crowd's mutex.
	since time.Time
	asks  bool // a request of it is under way
}

func newCrowd(ln net.Listener, most int) *crowd {
	return &crowd{Listener: ln, most: most, all: map[*guest]bool{}, by: map[netip.Addr]int{}}
}

// Accept takes the next connection, and closes another one if there are too many.
func (o *crowd) Accept() (net.Conn, error) {
	c, err := o.Listener.Accept()
	if err != nil {
		return nil, err
	}
	g := &guest{Conn: c, in: o, since: time.Now()}
	if a, err := netip.ParseAddrPort(c.RemoteAddr().String()); err == nil {
		g.addr = a.Addr().Unmap()
	}
	if leaves := o.enter(g); leaves != nil {
		leaves.Conn.Close() //nolint:errcheck // it has been taken out
	}
	return g, nil
}

// enter has a guest in. If there is no room, leaves is in no more, and is to be closed.
func (o *crowd) enter(g *guest) (leaves *guest) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.all) >= o.most {
		leaves = o.gives(g.addr)
		o.remove(leaves)
	}
	o.all[g] = true
	o.by[g.addr]++
	return leaves
}

// gives is who makes room for one more of an address: of the address that has most, who has said nothing for the longest time, or else whose
// request has been under way for the longest: a page comes again, and most other requests take no time. Under mu.
func (o *crowd) gives(addr netip.Addr) (leaves *guest) {
	most := addr
	for a, n := range o.by {
		if n > o.by[most] {
			most = a
		}
	}
	for g := range o.all {
		if g.addr != most {
			continue
		}
		if leaves == nil || leaves.asks && !g.asks || leaves.asks == g.asks && g.since.Before(leaves.since) {
			leaves = g
		}
	}
	return leaves
}

// remove takes a guest out, once. Under mu.
func (o *crowd) remove(g *guest) {
	if !o.all[g] {
		return
	}
	delete(o.all, g)
	if o.by[g.addr]--; o.by[g.addr] == 0 {
		delete(o.by, g.addr)
	}
}

// Close closes the connection, and makes room.
func (g *guest) Close() error {
	g.in.mu.Lock()
	g.in.remove(g)
	g.in.mu.Unlock()
	return g.Conn.Close()
}

// noteState notes what a connection does, for http.Server.
func noteState(c net.Conn, state http.ConnState) {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	g, ok := c.(*guest)
	if !ok || state != http.StateActive && state != http.StateIdle {
		return
	}
	g.in.mu.Lock()
	defer g.in.mu.Unlock()
	g.asks, g.since = state == http.StateActive, time.Now()
}
