package loop

import (
	"context"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Accepted sockets have TCP_NODELAY from the listening one, and dialed ones from us; whether the listener speaks MPTCP or not.
func TestNoDelay(t *testing.T) {
	e := startEngine(t, Config{})
	l := e.Loops()[0]
	noDelay := func(what string, c *Conn) {
		if v, err := unix.GetsockoptInt(int(c.fd), unix.IPPROTO_TCP, unix.TCP_NODELAY); err != nil || v == 0 {
			t.Errorf("%s: TCP_NODELAY is %d, %v", what, v, err)
		}
	}
	for _, mptcp := range []bool{false, true} {
		var lc net.ListenConfig
		lc.SetMultipathTCP(mptcp)
		ln, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		f, err := ln.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		accepted := make(chan *Conn, 1)
		if _, err := l.Listen(f, acceptFunc(func(c *Conn) { accepted <- c })); err != nil {
			t.Fatal(err)
		}
		within(t, l, func(task *Task) {
			c := mustDial(t, task, Addr{IP: netip.MustParseAddrPort(ln.Addr().String())})
			noDelay("dialed", c)
			task.Do(func() { noDelay("accepted", <-accepted) })
		})
	}
}

// What a connection knows of its socket spares system calls: after a short read it waits without asking, and only a
// writer that had to wait is told of room.
func TestWhatIsKnownOfASocket(t *testing.T) {
	both(t, func(t *testing.T, listen listenFunc) {
		e := startEngine(t, Config{})
		l := e.Loops()[0]
		addr := listen(t, l, serve(echo))
		within(t, l, func(task *Task) {
			c := mustDial(t, task, addr)
			defer c.Close()
			if c.state&readable != 0 {
				t.Error("readable before anything came")
			}
			b := make([]byte, 64)
			for range 3 {
				ask(t, c, "0123456789")
				if c.state&readable != 0 && c.state&finished == 0 {
					// ask reads exactly what it wants, so there may be more
					if _, err := c.Write(b[:1]); err != nil {
						t.Error(err)
					}
					if n, err := c.Read(b); n != 1 || err != nil {
						t.Errorf("%d, %v", n, err)
					}
				}
				if c.state&readable != 0 {
					t.Error("still readable after a short read")
				}
			}
			if addr.Unix == "" {
				return
			}
			l.Go(runFunc(func(*Task) {
				if _, err := io.CopyN(io.Discard, readerOnly{c}, int64(len(lots))); err != nil {
					t.Error(err)
				}
				task.WakeHere()
			}))
			if _, err := c.Write(lots); err != nil {
				t.Error(err)
			}
			if c.state&tellsRoom != 0 {
				t.Error("a Unix socket that is not written to goes on telling of room")
			}
			task.Park(0)
		})
	})
}

// A socket that dials a free port of the range that its own is taken from may find itself.
func TestDialFindsItself(t *testing.T) {
	e := startEngine(t, Config{})
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	self, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Connect(fd, self); err != nil && err != unix.EINPROGRESS {
		t.Fatal(err)
	}
	within(t, e.Loops()[0], func(task *Task) {
		c, err := task.Loop().connect(fd, true, Addr{}, 0)
		if c != nil || err != syscall.ECONNREFUSED {
			t.Errorf("connected to itself: %v", err)
		}
	})
}

// One who waits for each answer before the next request is not kept waiting by naps, but for one in a while.
func TestNapsAreRareWithoutCompany(t *testing.T) {
	both(t, func(t *testing.T, listen listenFunc) {
		e := startEngine(t, Config{Loops: 2})
		addr := listen(t, e.Loops()[0], serve(echo))
		within(t, e.Loops()[1], func(task *Task) {
			c := mustDial(t, task, addr)
			defer c.Close()
			b := make([]byte, 1)
			for range 5000 {
				if _, err := c.Write(b); err != nil {
					t.Fatal(err)
				}
				if _, err := c.Read(b); err != nil {
					t.Fatal(err)
				}
			}
		})
		for i, l := range e.Loops() {
			if s := l.Stats(); s.Turns < 10*lonely || s.Naps == 0 || s.Naps > s.Turns/lonely+1 {
				t.Errorf("loop %d: %d naps in %d turns", i, s.Naps, s.Turns)
			}
		}
	})
}
