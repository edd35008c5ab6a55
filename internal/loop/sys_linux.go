package loop

import (
	"encoding/binary"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// haveFibers says that fibers are to be had: poller and the sys functions work here.
const haveFibers = true

// What an event says of a socket.
const (
	evIn   = unix.EPOLLIN
	evOut  = unix.EPOLLOUT
	evRDH  = unix.EPOLLRDHUP
	evGone = unix.EPOLLHUP | unix.EPOLLERR
)

// poller is an epoll instance and an eventfd by which others end its wait.
//
// The calls on the hot path are raw: entersyscall and exitsyscall cost as much as a small system call, and none of
// these calls can block (waitYielding, which does, is not raw).
type poller struct {
	ep, ev int
	events [256]unix.EpollEvent
}

func (p *poller) open() error {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	ev, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(ep)
		return os.NewSyscallError("eventfd", err)
	}
	p.ep, p.ev = ep, ev
	// Edge-triggered, so the counter is never read: each write is an edge of its own.
	if e := p.control(unix.EPOLL_CTL_ADD, ev, unix.EPOLLIN|unix.EPOLLET, 0); e != 0 {
		p.close()
		return os.NewSyscallError("epoll_ctl", e)
	}
	return nil
}

func (p *poller) close() {
	unix.Close(p.ep)
	unix.Close(p.ev)
}

// kick ends the wait. From any goroutine.
func (p *poller) kick() {
	one := [8]byte{}
	binary.NativeEndian.PutUint64(one[:], 1)
	// The one error that can come, EAGAIN of a full counter, means that an edge is waiting already.
	syscall.RawSyscall(unix.SYS_WRITE, uintptr(p.ev), uintptr(unsafe.Pointer(&one)), 8)
}

// waitKeeping waits for events and keeps the P. A signal (the scheduler's) ends it too; then it returns -1.
func (p *poller) waitKeeping(ms int) int {
	n, _, e := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.ep), uintptr(unsafe.Pointer(&p.events)), uintptr(len(p.events)), uintptr(ms), 0, 0)
	return waited(n, e)
}

// nap sleeps and keeps the P. A signal ends it.
func (p *poller) nap(ns int64) {
	ts := unix.NsecToTimespec(ns)
	syscall.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&ts)), 0, 0)
}

// waitYielding waits for events and gives the P up. ms is -1 for no limit.
func (p *poller) waitYielding(ms int) int {
	n, _, e := syscall.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.ep), uintptr(unsafe.Pointer(&p.events)), uintptr(len(p.events)), uintptr(ms), 0, 0)
	return waited(n, e)
}

func waited(n uintptr, e syscall.Errno) int {
	switch e {
	case 0:
		return int(n)
	case unix.EINTR:
		return -1
	}
	panic("loop: epoll_pwait: " + e.Error())
}

// event returns the i-th event of the last wait.
func (p *poller) event(i int) (fd int, gen, what uint32) {
	e := &p.events[i]
	return int(e.Fd), uint32(e.Pad), e.Events
}

func (p *poller) control(op, fd int, events uint32, gen uint32) syscall.Errno {
	ev := unix.EpollEvent{Events: events, Fd: int32(fd), Pad: int32(gen)}
	_, _, e := syscall.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(p.ep), uintptr(op), uintptr(fd), uintptr(unsafe.Pointer(&ev)), 0, 0)
	return e
}

const connEvents = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET

// add registers a connection, out says whether room to write is to be told too.
func (p *poller) add(fd int, gen uint32, out bool) syscall.Errno {
	return p.control(unix.EPOLL_CTL_ADD, fd, connEvents|outIf(out), gen)
}

// change turns the telling of room to write on or off. What holds at this moment is told anew.
func (p *poller) change(fd int, gen uint32, out bool) syscall.Errno {
	return p.control(unix.EPOLL_CTL_MOD, fd, connEvents|outIf(out), gen)
}

func outIf(out bool) uint32 {
	if out {
		return unix.EPOLLOUT
	}
	return 0
}

// addListener registers a listening socket: level-triggered, since a turn accepts only some of what waits, and
// exclusive, since other loops and processes may hold the same socket.
func (p *poller) addListener(fd int) syscall.Errno {
	return p.control(unix.EPOLL_CTL_ADD, fd, unix.EPOLLIN|unix.EPOLLEXCLUSIVE, 0)
}

func (p *poller) remove(fd int) syscall.Errno {
	return p.control(unix.EPOLL_CTL_DEL, fd, 0, 0)
}

// sysRecv reads; flags is 0 or sysPeek.
func sysRecv(fd int, p []byte, flags int) (int, syscall.Errno) {
	n, _, e := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), uintptr(flags|unix.MSG_DONTWAIT), 0, 0)
	return int(n), e
}

const sysPeek = unix.MSG_PEEK

// sysSend writes, without the SIGPIPE that write(2) brings.
func sysSend(fd int, p []byte) (int, syscall.Errno) {
	n, _, e := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT, 0, 0)
	return int(n), e
}

// sysSend2 writes a and b.
func sysSend2(fd int, a, b []byte) (int, syscall.Errno) {
	iov := [2]unix.Iovec{{Base: unsafe.SliceData(a)}, {Base: unsafe.SliceData(b)}}
	iov[0].SetLen(len(a))
	iov[1].SetLen(len(b))
	msg := unix.Msghdr{Iov: &iov[0]}
	msg.SetIovlen(len(iov))
	n, _, e := syscall.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&msg)), unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
	return int(n), e
}

// sysSendAll writes at most maxPieces pieces.
func sysSendAll(fd int, pieces [][]byte) (int, syscall.Errno) {
	var iov [maxPieces]unix.Iovec
	for i, p := range pieces {
		iov[i].Base = unsafe.SliceData(p)
		iov[i].SetLen(len(p))
	}
	msg := unix.Msghdr{Iov: &iov[0]}
	msg.SetIovlen(len(pieces))
	n, _, e := syscall.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&msg)), unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
	return int(n), e
}

// sysSendFile may wait for the disk: not on a loop.
func sysSendFile(fd int, f *os.File, off int64, n int) (sent int, e syscall.Errno) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, unix.EBADF
	}
	err = raw.Control(func(from uintptr) {
		sent, err = unix.Sendfile(fd, int(from), &off, n)
		e, _ = err.(syscall.Errno)
	})
	if err != nil && e == 0 {
		e = unix.EBADF
	}
	return max(sent, 0), e
}

// sysReadCached reads from a file what is in the page cache: it never waits for the disk, and returns less, or an error,
// where it would have to.
func sysReadCached(f *os.File, b []byte, off int64) (int, syscall.Errno) {
	iov := unix.Iovec{Base: unsafe.SliceData(b)}
	iov.SetLen(len(b))
	// The offset in two words, of which 64-bit kernels take the first alone.
	n, _, e := syscall.RawSyscall6(unix.SYS_PREADV2, f.Fd(), uintptr(unsafe.Pointer(&iov)), 1, uintptr(off), uintptr(uint64(off)>>32), unix.RWF_NOWAIT)
	runtime.KeepAlive(f)
	if e != 0 {
		return 0, e
	}
	return int(n), 0
}

// sysAccept takes a connection; peer is zero for a Unix socket.
func sysAccept(fd int) (conn int, peer netip.AddrPort, e syscall.Errno) {
	var sa unix.RawSockaddrAny
	size := uint32(unsafe.Sizeof(sa))
	n, _, e := syscall.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&size)), unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if e != 0 {
		return -1, peer, e
	}
	return int(n), addrPort(&sa), 0
}

// addrPort reads a socket address; the zero value when it is not of IP.
func addrPort(sa *unix.RawSockaddrAny) netip.AddrPort {
	switch sa.Addr.Family {
	case unix.AF_INET:
		in := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(in.Addr), ntohs(&in.Port))
	case unix.AF_INET6:
		in := (*unix.RawSockaddrInet6)(unsafe.Pointer(sa))
		// A socket of both families tells 192.0.2.1 as ::ffff:192.0.2.1; rules on addresses must not see two forms.
		ip := netip.AddrFrom16(in.Addr).Unmap()
		if in.Scope_id != 0 {
			ip = ip.WithZone(strconv.Itoa(int(in.Scope_id)))
		}
		return netip.AddrPortFrom(ip, ntohs(&in.Port))
	}
	return netip.AddrPort{}
}

func ntohs(p *uint16) uint16 {
	return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(p))[:])
}

// sysDial opens a socket and begins to connect it. EINPROGRESS says that the connection comes later, EAGAIN that a
// Unix socket's backlog is full; the socket is closed on every other error and on EAGAIN.
func sysDial(to Addr) (fd int, e syscall.Errno) {
	family, sa, e := sockaddr(to)
	if e != 0 {
		return -1, e
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, errnoOf(err)
	}
	if family != unix.AF_UNIX {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
			unix.Close(fd)
			return -1, errnoOf(err)
		}
	}
	switch e := errnoOf(unix.Connect(fd, sa)); e {
	case 0, unix.EINPROGRESS:
		return fd, e
	case unix.EINTR: // goes on by itself, as EINPROGRESS
		return fd, unix.EINPROGRESS
	default:
		unix.Close(fd)
		return -1, e
	}
}

func sockaddr(to Addr) (family int, sa unix.Sockaddr, e syscall.Errno) {
	if to.Unix != "" {
		return unix.AF_UNIX, &unix.SockaddrUnix{Name: to.Unix}, 0
	}
	ip, port := to.IP.Addr(), int(to.IP.Port())
	switch {
	case ip.Is4() || ip.Is4In6():
		return unix.AF_INET, &unix.SockaddrInet4{Port: port, Addr: ip.As4()}, 0
	case ip.Is6():
		sa := &unix.SockaddrInet6{Port: port, Addr: ip.As16()}
		if zone := ip.Zone(); zone != "" {
			index, err := strconv.ParseUint(zone, 10, 32)
			if err != nil {
				return 0, nil, unix.EINVAL
			}
			sa.ZoneId = uint32(index)
		}
		return unix.AF_INET6, sa, 0
	}
	return 0, nil, unix.EINVAL
}

// sysConnected is how a connect that was under way has ended.
func sysConnected(fd int) syscall.Errno {
	v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return errnoOf(err)
	}
	return syscall.Errno(v)
}

func sysClose(fd int) {
	// Not tried again on EINTR: the descriptor is gone on Linux whatever close returns.
	syscall.RawSyscall(unix.SYS_CLOSE, uintptr(fd), 0, 0)
}

func sysShutdownWrite(fd int) syscall.Errno { return errnoOf(unix.Shutdown(fd, unix.SHUT_WR)) }
func sysShutdown(fd int) syscall.Errno      { return errnoOf(unix.Shutdown(fd, unix.SHUT_RDWR)) }

// sysAbort makes close send RST.
func sysAbort(fd int) syscall.Errno {
	return errnoOf(unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 0}))
}

// sysListener makes a descriptor of the listening socket f that is the loop's own.
func sysListener(f *os.File) (fd int, isUnix bool, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return -1, false, err
	}
	fd = -1
	if cerr := raw.Control(func(from uintptr) {
		fd, err = unix.FcntlInt(from, unix.F_DUPFD_CLOEXEC, 0)
	}); cerr != nil {
		err = cerr
	}
	if err != nil {
		return -1, false, os.NewSyscallError("fcntl", err)
	}
	isUnix, err = prepareListener(fd)
	if err != nil {
		unix.Close(fd)
		return -1, false, err
	}
	return fd, isUnix, nil
}

func prepareListener(fd int) (isUnix bool, err error) {
	listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil {
		return false, os.NewSyscallError("getsockopt", err)
	}
	family, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return false, os.NewSyscallError("getsockopt", err)
	}
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return false, os.NewSyscallError("getsockopt", err)
	}
	if listening == 0 || kind != unix.SOCK_STREAM {
		return false, os.NewSyscallError("listen", unix.EINVAL)
	}
	isUnix = family == unix.AF_UNIX
	if !isUnix {
		// Accepted sockets inherit it, which saves a call for each of them.
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
			return false, os.NewSyscallError("setsockopt", err)
		}
	}
	return isUnix, os.NewSyscallError("fcntl", unix.SetNonblock(fd, true))
}

// sysNames returns the two addresses of a connection.
func sysNames(fd int) (local, remote netip.AddrPort, localPath, remotePath string) {
	name := func(sa unix.Sockaddr, err error) (netip.AddrPort, string) {
		if err != nil {
			return netip.AddrPort{}, ""
		}
		switch sa := sa.(type) {
		case *unix.SockaddrInet4:
			return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)), ""
		case *unix.SockaddrInet6:
			return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port)), ""
		case *unix.SockaddrUnix:
			return netip.AddrPort{}, sa.Name
		}
		return netip.AddrPort{}, ""
	}
	local, localPath = name(unix.Getsockname(fd))
	remote, remotePath = name(unix.Getpeername(fd))
	return local, remote, localPath, remotePath
}

func errnoOf(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	if e, ok := err.(syscall.Errno); ok {
		return e
	}
	return unix.EINVAL
}

const (
	errAgain = unix.EAGAIN
	errIntr  = unix.EINTR
)

// acceptPause says whether an error of accept comes from a lack that time may cure; others concern one connection.
func acceptPause(e syscall.Errno) bool {
	switch e {
	case unix.ECONNABORTED, unix.EPROTO, unix.EPERM, unix.ENETDOWN, unix.ENOPROTOOPT, unix.EHOSTDOWN,
		unix.ENONET, unix.EHOSTUNREACH, unix.EOPNOTSUPP, unix.ENETUNREACH, unix.ETIMEDOUT:
		return false // accept(2): treat like EAGAIN and try the next
	}
	return true
}

// threadClock returns the thread that runs now and the processor time that it has used. The calls are raw: they cannot block.
func threadClock() (thread int, used time.Duration) {
	id, _, _ := syscall.RawSyscall(unix.SYS_GETTID, 0, 0, 0)
	var ts unix.Timespec
	syscall.RawSyscall(unix.SYS_CLOCK_GETTIME, unix.CLOCK_THREAD_CPUTIME_ID, uintptr(unsafe.Pointer(&ts)), 0)
	return int(id), time.Duration(ts.Nano())
}
