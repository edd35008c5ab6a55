//go:build linux

// Command floor answers every request with one constant response and does nothing else: it parses nothing, looks nothing up
// and keeps no count. What it costs a request is the kernel's price for one recv and one send, below which no server comes
// that uses them; bench/peers shows it beside the hits. It is a measure, not a server: it takes whatever ends in an empty
// line for a request and expects the whole of it at once.
package main

import (
	"flag"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"unsafe"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address")
	size := flag.Int("size", 1024, "bytes of the body")
	threads := flag.Int("threads", 2, "threads, each with an epoll of its own")
	version := flag.Bool("version", false, "print one and end")
	flag.Parse()
	if *version {
		fmt.Println("floor", runtime.Version())
		return
	}
	runtime.GOMAXPROCS(*threads + 2) // a thread that waits in a raw call keeps its place in the scheduler
	if err := serve(*listen, response(*size), *threads); err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}

// response has a head about as long as the peers'.
func response(size int) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nServer: floor\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: text/plain\r\n"+
		"Cache-Control: max-age=3600\r\nContent-Length: %d\r\nAge: 1\r\nVia: 1.1 floor\r\nX-Request-ID: 0123456789abcdef01\r\n\r\n%s",
		size, strings.Repeat("x", size))
}

func serve(address string, response []byte, threads int) error {
	listener, err := net.Listen("tcp4", address)
	if err != nil {
		return err
	}
	file, err := listener.(*net.TCPListener).File()
	if err != nil {
		return err
	}
	failed := make(chan error)
	for range threads {
		go func() {
			runtime.LockOSThread()
			failed <- (&thread{listener: int32(file.Fd()), response: response}).run()
		}()
	}
	return <-failed
}

// thread serves the connections that it accepted.
type thread struct {
	epoll    int
	listener int32
	response []byte
	buffer   [4096]byte
}

func (t *thread) run() (err error) {
	if t.epoll, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return err
	}
	if err := t.watch(t.listener, syscall.EPOLLIN|1<<28); err != nil { // EPOLLEXCLUSIVE: one thread wakes for a connection
		return err
	}
	var events [256]syscall.EpollEvent
	for {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(t.epoll), uintptr(unsafe.Pointer(&events[0])),
			uintptr(len(events)), ^uintptr(0), 0, 0)
		if errno != 0 && errno != syscall.EINTR {
			return errno
		}
		if errno != 0 {
			continue
		}
		for _, event := range events[:n] {
			if event.Fd == t.listener {
				err = t.accept()
			} else {
				err = t.answer(uintptr(event.Fd))
			}
			if err != nil {
				return err
			}
		}
	}
}

func (t *thread) watch(fd int32, events uint32) error {
	return syscall.EpollCtl(t.epoll, syscall.EPOLL_CTL_ADD, int(fd), &syscall.EpollEvent{Events: events, Fd: fd})
}

func (t *thread) accept() error {
	fd, _, err := syscall.Accept4(int(t.listener), syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
	if err == syscall.EAGAIN { // another thread was faster
		return nil
	}
	if err != nil {
		return err
	}
	if err := syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1); err != nil {
		return err
	}
	return t.watch(int32(fd), syscall.EPOLLIN|1<<31) // EPOLLET
}

// answer reads once and writes once; whatever else happens ends the connection.
func (t *thread) answer(fd uintptr) error {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&t.buffer[0])), uintptr(len(t.buffer)), 0, 0, 0)
	if errno == syscall.EAGAIN {
		return nil
	}
	if errno != 0 || n == 0 {
		return syscall.Close(int(fd))
	}
	if !strings.HasSuffix(unsafe.String(&t.buffer[0], int(n)), "\r\n\r\n") {
		return syscall.Close(int(fd))
	}
	sent, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(&t.response[0])), uintptr(len(t.response)),
		syscall.MSG_NOSIGNAL, 0, 0)
	if errno != 0 || int(sent) != len(t.response) {
		return syscall.Close(int(fd))
	}
	return nil
}
