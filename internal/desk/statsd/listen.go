package statsd

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"
)

const (
	packetSize = 64 << 10 // what of a datagram is read
	kernelSize = 1 << 20  // of datagrams that wait, where the system allows it
	// again is the wait until an address is tried again that could not be used: another desk may still have it.
	again = 2 * time.Second
)

// listener takes lines at one address until it is stopped.
type listener struct {
	network, address string
	store            *store
	end              chan struct{}
	done             chan struct{}
}

// listen begins to take lines: of network "udp" or "unixgram".
func listen(network, address string, s *store) *listener {
	l := &listener{network: network, address: address, store: s, end: make(chan struct{}), done: make(chan struct{})}
	go l.run()
	return l
}

// stop ends it, and waits until it has.
func (l *listener) stop() {
	close(l.end)
	<-l.done
}

func (l *listener) run() {
	defer close(l.done)
	said := false
	for {
		conn, err := l.open()
		if err == nil {
			err = l.serve(conn)
			said = false
		}
		if err == nil {
			return
		}
		if !said {
			slog.Error("numbers of apps are not taken; trying again", "address", l.address, "error", err)
			said = true
		}
		t := time.NewTimer(again)
		select {
		case <-l.end:
			t.Stop()
			return
		case <-t.C:
		}
	}
}

func (l *listener) open() (net.PacketConn, error) {
	if l.network != "unixgram" {
		return net.ListenPacket(l.network, l.address)
	}
	aside := l.address + ".new"
	os.Remove(aside) //nolint:errcheck // most often there is none
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: aside, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	// Apps run as users of their own, and all of them may send. What another desk has left is taken over.
	if err := errors.Join(os.Chmod(aside, 0o666), os.Rename(aside, l.address)); err != nil {
		return nil, errors.Join(fmt.Errorf("making the socket %s: %w", l.address, err), conn.Close())
	}
	return conn, nil
}

// serve takes packets. It returns nil when the listener was stopped.
func (l *listener) serve(conn net.PacketConn) error {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		<-l.end
		conn.Close() //nolint:errcheck // it is only read from
	}()
	if b, ok := conn.(interface{ SetReadBuffer(int) error }); ok {
		b.SetReadBuffer(kernelSize) //nolint:errcheck // less is worse, and no reason to take nothing
	}
	buf := make([]byte, packetSize)
	for {
		n, _, err := conn.ReadFrom(buf)
		if n > 0 {
			l.store.take(time.Now(), buf[:n])
		}
		if err == nil {
			continue
		}
		select {
		case <-l.end:
			<-closed
			return nil
		default:
		}
		// An error of one datagram (an answer to what another socket at this address has sent) says nothing of the next; a socket
		// that is broken says the same each time, and is not to be asked in a circle.
		t := time.NewTimer(again / 100)
		select {
		case <-l.end:
		case <-t.C:
		}
		t.Stop()
	}
}
