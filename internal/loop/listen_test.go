package loop

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func TestDialRefused(t *testing.T) {
	bodies(t, Config{}, func(t *testing.T, e *Engine) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		free := netip.MustParseAddrPort(ln.Addr().String())
		ln.Close()
		dir := t.TempDir()
		stale := filepath.Join(dir, "stale")
		ul, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		ul.SetUnlinkOnClose(false)
		ul.Close()
		for _, test := range []struct {
			to   Addr
			want error
		}{
			{Addr{IP: free}, syscall.ECONNREFUSED},
			{Addr{Unix: stale}, syscall.ECONNREFUSED},
			{Addr{Unix: filepath.Join(dir, "none")}, syscall.ENOENT},
			{Addr{Unix: strings.Repeat("x", 200)}, syscall.EINVAL},
			{Addr{}, syscall.EINVAL},
		} {
			within(t, e.Loops()[0], func(task *Task) {
				c, err := task.Loop().Dial(task, test.to, task.Loop().Now()+Time(patience))
				if c != nil || !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.to.String()) {
					t.Errorf("%v: got %v, want %v", test.to, err, test.want)
				}
				if errors.Is(err, ErrTimeout) {
					t.Errorf("%v: is said to be a time limit", test.to)
				}
			})
		}
	})
}

// fullListener opens a Unix socket whose backlog is full.
func fullListener(t *testing.T) (Addr, *net.UnixListener) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	raw, err := ln.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if cerr := raw.Control(func(fd uintptr) { err = syscall.Listen(int(fd), 0) }); cerr != nil || err != nil {
		t.Fatal(cerr, err)
	}
	for {
		fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { syscall.Close(fd) })
		if err := syscall.SetNonblock(fd, true); err != nil {
			t.Fatal(err)
		}
		err = syscall.Connect(fd, &syscall.SockaddrUnix{Name: path})
		if err == syscall.EAGAIN {
			return Addr{Unix: path}, ln
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestDialFullBacklog(t *testing.T) {
	bodies(t, Config{}, func(t *testing.T, e *Engine) {
		to, ln := fullListener(t)
		within(t, e.Loops()[0], func(task *Task) {
			l := task.Loop()
			at := l.Now() + Time(60*time.Millisecond)
			if _, err := l.Dial(task, to, at); !errors.Is(err, ErrTimeout) || l.Now() < at {
				t.Errorf("the backlog stays full: %v", err)
			}
		})
		accepted := make(chan struct{})
		go func() {
			defer close(accepted)
			for range 2 { // what filled it, and ours
				if c, err := ln.Accept(); err == nil {
					defer c.Close()
				}
			}
		}()
		within(t, e.Loops()[0], func(task *Task) {
			c, err := task.Loop().Dial(task, to, task.Loop().Now()+Time(patience))
			if err != nil {
				t.Errorf("the backlog is emptied: %v", err)
				return
			}
			c.Close()
		})
		ln.Close()
		await(t, accepted, "the listener")
	})
}

// A TCP backlog that is full lets the SYN go unanswered: the connect stays under way until the deadline.
func TestDialTimeout(t *testing.T) {
	bodies(t, Config{}, func(t *testing.T, e *Engine) {
		to := fullTCP(t)
		within(t, e.Loops()[0], func(task *Task) {
			l := task.Loop()
			at := l.Now() + Time(50*time.Millisecond)
			if _, err := l.Dial(task, to, at); !errors.Is(err, ErrTimeout) || l.Now() < at {
				t.Errorf("got %v", err)
			}
			if _, err := l.Dial(task, to, 1); !errors.Is(err, ErrTimeout) {
				t.Errorf("by the past: %v", err)
			}
		})
		eventually(t, "no connection is left", func() bool { return e.Loops()[0].Stats().Conns == 0 })
	})
}

// fullTCP opens a listening socket that answers no more SYNs.
func fullTCP(t *testing.T) Addr {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	raw, err := ln.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if cerr := raw.Control(func(fd uintptr) { err = syscall.Listen(int(fd), 0) }); cerr != nil || err != nil {
		t.Fatal(cerr, err)
	}
	for {
		c, err := net.DialTimeout("tcp", ln.Addr().String(), 50*time.Millisecond)
		if err != nil {
			return Addr{IP: netip.MustParseAddrPort(ln.Addr().String())}
		}
		t.Cleanup(func() { c.Close() })
	}
}

func TestDialIPv6(t *testing.T) {
	bodies(t, Config{}, func(t *testing.T, e *Engine) {
		ln, err := net.Listen("tcp6", "[::1]:0")
		if err != nil {
			t.Fatalf("these tests need IPv6 on the loopback: %v", err)
		}
		defer ln.Close()
		f, err := ln.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		peers := make(chan netip.AddrPort, 1)
		if _, err := e.Loops()[0].Listen(f, acceptFunc(func(c *Conn) { peers <- c.Peer() })); err != nil {
			t.Fatal(err)
		}
		within(t, e.Loops()[0], func(task *Task) {
			c := mustDial(t, task, Addr{IP: netip.MustParseAddrPort(ln.Addr().String())})
			if c.RemoteAddr().String() != ln.Addr().String() {
				t.Errorf("dialed %v", c.RemoteAddr())
			}
		})
		if p := <-peers; p.Addr() != netip.IPv6Loopback() {
			t.Errorf("accepted from %v", p)
		}
	})
}

// A socket of both families tells IPv4 peers in their own form.
func TestAcceptMapped(t *testing.T) {
	bodies(t, Config{}, func(t *testing.T, e *Engine) {
		ln, err := net.Listen("tcp", "[::]:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		f, err := ln.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		peers := make(chan netip.AddrPort, 1)
		if _, err := e.Loops()[0].Listen(f, acceptFunc(func(c *Conn) { peers <- c.Peer() })); err != nil {
			t.Fatal(err)
		}
		port := netip.MustParseAddrPort(ln.Addr().String()).Port()
		dial(t, Addr{IP: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)})
		if p := <-peers; p.Addr() != netip.MustParseAddr("127.0.0.1") {
			t.Errorf("accepted from %v", p)
		}
	})
}

func TestAcceptBurst(t *testing.T) {
	every(t, Config{}, func(t *testing.T, e *Engine, listen listenFunc) {
		const n = 5 * acceptBurst
		var accepted atomic.Int64
		before := e.Loops()[0].Stats().Accepted
		addr := listen(t, e.Loops()[0], acceptFunc(func(c *Conn) { accepted.Add(1) }))
		for range n {
			dial(t, addr)
		}
		eventually(t, "all are accepted", func() bool {
			return accepted.Load() == n && e.Loops()[0].Stats().Accepted-before == n
		})
	})
}

func TestListenErrors(t *testing.T) {
	bodies(t, Config{}, func(t *testing.T, e *Engine) {
		file, err := os.Create(filepath.Join(t.TempDir(), "f"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Loops()[0].Listen(file, nil); err == nil {
			t.Error("listens on a file")
		}
		if file.Close() == nil {
			t.Error("the file was not taken over")
		}
		udp, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer udp.Close()
		f, err := udp.(*net.UDPConn).File()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Loops()[0].Listen(f, nil); err == nil {
			t.Error("listens on UDP")
		}
	})
}

// A closed listener accepts no more, and whoever else has the socket goes on.
func TestListenerClose(t *testing.T) {
	bodies(t, Config{Loops: 2}, func(t *testing.T, e *Engine) {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		var listeners []*Listener
		var got [2]atomic.Int64
		for i, l := range e.Loops() {
			f, err := ln.(*net.TCPListener).File()
			if err != nil {
				t.Fatal(err)
			}
			one, err := l.Listen(f, acceptFunc(func(c *Conn) { got[i].Add(1); c.Close() }))
			if err != nil {
				t.Fatal(err)
			}
			listeners = append(listeners, one)
		}
		to := Addr{IP: netip.MustParseAddrPort(ln.Addr().String())}
		for range 20 {
			io.ReadAll(dial(t, to))
		}
		if err := listeners[0].Close(); err != nil {
			t.Error(err)
		}
		if err := listeners[0].Close(); err != nil {
			t.Error(err)
		}
		first, second := got[0].Load(), got[1].Load()
		if first+second != 20 {
			t.Errorf("%d and %d accepted", first, second)
		}
		for range 20 {
			io.ReadAll(dial(t, to))
		}
		if got[0].Load() != first || got[1].Load() != second+20 {
			t.Errorf("then %d and %d", got[0].Load(), got[1].Load())
		}
	})
}

// Descriptors lack: accepting pauses, does not heat the machine, and goes on when there are some again. In a process of
// its own, because of its limit.
func TestAcceptWithoutDescriptors(t *testing.T) {
	for _, body := range []string{"fibers", "goroutines"} {
		if body == "fibers" && !haveFibers {
			continue
		}
		t.Run(body, func(t *testing.T) { runChild(t, "descriptors", body) })
	}
}
