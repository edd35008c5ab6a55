package testkit

import (
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
)

// DeadAddress returns an address of the loopback on which nothing listens, and nothing else can until the test ends: a
// connection to it is refused.
func DeadAddress(t testing.TB) string {
	t.Helper()
	port, err := hold(t, 0)
	if err != nil {
		t.Fatalf("taking a port: %v", err)
	}
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// Ports for FreeAddress lie below those that systems give to outgoing connections and to who asks for any port (from
// 32768 on Linux, from 49152 elsewhere).
const firstPort, lastPort = 12000, 32000

// FreeAddress returns an address of the loopback to listen on. Until the test ends nobody gets the same from it, in this
// process or another: the port below it is held meanwhile, and is the token for the two.
func FreeAddress(t testing.TB) string {
	t.Helper()
	var last error
	for range 100 {
		token := firstPort + 2*rand.IntN((lastPort-firstPort)/2)
		if last = try(token + 1); last != nil {
			continue // a program that does not ask here has it
		}
		if _, last = hold(t, token); last == nil {
			return fmt.Sprintf("127.0.0.1:%d", token+1)
		}
	}
	t.Fatalf("looking for a free port: %v", last)
	return ""
}

// hold binds a port, any for 0, until the test ends. Nobody listens there.
func hold(t testing.TB, port int) (int, error) {
	fd, port, err := bind(port)
	if err == nil {
		t.Cleanup(func() { syscall.Close(fd) })
	}
	return port, err
}

// try finds out whether a port can be bound.
func try(port int) error {
	fd, _, err := bind(port)
	if err == nil {
		err = syscall.Close(fd)
	}
	return err
}

func bind(port int) (fd, bound int, err error) {
	// As os/exec asks: a process that is started at this moment must not inherit the socket.
	syscall.ForkLock.RLock()
	fd, err = syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return -1, 0, os.NewSyscallError("socket", err)
	}
	if err = syscall.Bind(fd, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err == nil {
		var a syscall.Sockaddr
		if a, err = syscall.Getsockname(fd); err == nil {
			return fd, a.(*syscall.SockaddrInet4).Port, nil
		}
	}
	syscall.Close(fd)
	return -1, 0, err
}
