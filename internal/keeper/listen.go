package keeper

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/weirhq/weir/internal/config"
)

// listener is what is listened on for one address: a socket per loop for TCP, so that the kernel spreads connections
// over the loops; one socket for a Unix path, which the loops share.
type listener struct {
	spec  config.Listen
	addr  string // where it really is: a port 0 is the system's choice
	files []*os.File
	lent  bool // it was handed down, and goes on without us
}

func key(l config.Listen) string { return l.Network + " " + l.Address }

// openListener opens the sockets of one address. The error says who has the address.
func openListener(spec config.Listen, loops int) (*listener, error) {
	if spec.Network == "unix" {
		return openUnix(spec, loops)
	}
	l := &listener{spec: spec, addr: spec.Address}
	if err := probe(spec.Address); err != nil {
		return nil, listenError(spec, err)
	}
	for range loops {
		if err := l.openTCP(); err != nil {
			l.close()
			return nil, listenError(spec, err)
		}
	}
	return l, nil
}

func (l *listener) openTCP() error {
	lc := net.ListenConfig{KeepAlive: -1, Control: func(_, _ string, c syscall.RawConn) error {
		return setOption(c, soReuseport)
	}}
	lc.SetMultipathTCP(false) // Go asks for it by default; nobody here does, and it costs each connection
	ln, err := lc.Listen(context.Background(), "tcp", l.addr)
	if err != nil {
		return err
	}
	l.addr = ln.Addr().String()
	f, err := ln.(*net.TCPListener).File()
	if err = errors.Join(err, ln.Close()); err != nil {
		return err
	}
	l.files = append(l.files, f)
	return nil
}

func setOption(c syscall.RawConn, option int) error {
	var err error
	if cerr := c.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, option, 1)
	}); cerr != nil {
		return cerr
	}
	return err
}

var errFree = errors.New("free")

// probe finds out whether somebody listens on an address already. SO_REUSEPORT would let two programs of one user
// share it unknowing, each getting a part of the connections; so a socket without it is bound first, and closed
// before it could listen.
func probe(address string) error {
	lc := net.ListenConfig{Control: func(network, address string, c syscall.RawConn) error {
		var err error
		if cerr := c.Control(func(fd uintptr) {
			var sa syscall.Sockaddr
			if sa, err = sockaddr(network, address); err != nil {
				return
			}
			// As a listener would: connections of the last one that are in TIME-WAIT are no hindrance.
			if err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err == nil {
				err = os.NewSyscallError("bind", syscall.Bind(int(fd), sa))
			}
		}); cerr != nil {
			return cerr
		}
		if err != nil {
			return err
		}
		return errFree // the socket has done its work: net is to close it
	}}
	ln, err := lc.Listen(context.Background(), "tcp", address)
	switch {
	case errors.Is(err, errFree):
		return nil
	case err != nil:
		return err
	}
	return ln.Close()
}

func sockaddr(network, address string) (syscall.Sockaddr, error) {
	a, err := net.ResolveTCPAddr(network, address)
	if err != nil {
		return nil, err
	}
	ip := a.AddrPort().Addr()
	if network == "tcp4" {
		sa := &syscall.SockaddrInet4{Port: a.Port}
		if ip.IsValid() {
			sa.Addr = ip.Unmap().As4()
		}
		return sa, nil
	}
	sa := &syscall.SockaddrInet6{Port: a.Port}
	if ip.IsValid() {
		sa.Addr = ip.As16()
	}
	if a.Zone != "" {
		i, err := net.InterfaceByName(a.Zone)
		if err != nil {
			return nil, err
		}
		sa.ZoneId = uint32(i.Index)
	}
	return sa, nil
}

func listenError(spec config.Listen, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		if who := owner(spec); who != "" {
			return fmt.Errorf("the address %s is taken by %s: stop that, or listen elsewhere", spec.Address, who)
		}
		return fmt.Errorf("the address %s is taken by another program: stop that, or listen elsewhere", spec.Address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("the address %s is not one of this machine's", spec.Address)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("no permission to listen on %s: ports below 1024 need root or CAP_NET_BIND_SERVICE; a port such as 8080 does not", spec.Address)
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	return fmt.Errorf("listening on %s: %w", spec.Address, err)
}

// openUnix listens on a path. A socket file on which nobody listens is left over from a program that died.
func openUnix(spec config.Listen, loops int) (*listener, error) {
	ln, err := listenUnix(spec.Address)
	if err != nil {
		return nil, err
	}
	l := &listener{spec: spec, addr: spec.Address}
	// Whoever may enter the directory may connect: a proxy in front runs as another user.
	if err = os.Chmod(spec.Address, 0o666); err != nil {
		err = fmt.Errorf("listening on %s: %w", spec.Address, err)
	}
	for range loops {
		if err != nil {
			break
		}
		var f *os.File
		if f, err = ln.File(); err == nil {
			l.files = append(l.files, f)
		}
	}
	if err = errors.Join(err, ln.Close()); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// listenUnix listens on a path and leaves the file there when the listener is closed.
func listenUnix(path string) (*net.UnixListener, error) {
	if err := clearSocket(path); err != nil {
		return nil, err
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, listenError(config.Listen{Network: "unix", Address: path}, err)
	}
	ln.SetUnlinkOnClose(false)
	return ln, nil
}

func clearSocket(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("listening on %s: %w", path, err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("the address %s is a file that is no socket: move it away, or listen elsewhere", path)
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil || !errors.Is(err, syscall.ECONNREFUSED) {
		if err == nil {
			conn.Close() //nolint:errcheck // it only had to be opened
		}
		return fmt.Errorf("the address %s is taken by another program: stop that, or listen elsewhere", path)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("removing the old socket %s: %w", path, err)
	}
	return nil
}

// close lets go of the sockets; an edge that has them keeps them.
func (l *listener) close() {
	for _, f := range l.files {
		f.Close() //nolint:errcheck // nothing was written
	}
	l.files = nil
}

// abolish ends the listening also for an edge that has the sockets: connections are refused from now on.
func (l *listener) abolish() {
	if l.lent {
		l.close()
		return
	}
	for _, f := range l.files {
		if raw, err := f.SyscallConn(); err == nil {
			raw.Control(func(fd uintptr) { //nolint:errcheck // the socket is closed next
				syscall.Shutdown(int(fd), syscall.SHUT_RDWR) //nolint:errcheck // it may not be listening, which is what is wanted
			})
		}
	}
	l.remove()
}

// remove closes the sockets and takes the path of a Unix socket away.
func (l *listener) remove() {
	l.close()
	if l.spec.Network == "unix" && !l.lent {
		os.Remove(l.spec.Address) //nolint:errcheck // somebody else may have removed it
	}
}

// url is what to open in a browser.
func (l *listener) url() string {
	if l.spec.Network == "unix" {
		return "unix:" + l.addr
	}
	host, port, err := net.SplitHostPort(l.addr)
	if err != nil {
		return l.addr
	}
	if a, err := netip.ParseAddr(host); err == nil && a.IsUnspecified() {
		host = "localhost"
	}
	if l.spec.TCP != nil {
		return "tcp://" + net.JoinHostPort(host, port)
	}
	if port == "80" {
		return "http://" + host
	}
	return "http://" + net.JoinHostPort(host, port)
}
