package testkit

import (
	"fmt"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Clock is a clock that stands still until the test moves it. The zero value shows 1 January 2026. From any goroutine.
type Clock struct {
	mu     sync.Mutex
	passed time.Duration
}

// Now returns the wall clock, in UTC.
func (c *Clock) Now() time.Time {
	return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(c.elapsed())
}

// Mono returns monotonic nanoseconds as the engine has them, never 0.
func (c *Clock) Mono() int64 { return int64(c.elapsed()) + 1 }

func (c *Clock) elapsed() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.passed
}

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.passed += d
}

// DeadAddress returns an address of the loopback on which nothing listens, and nothing else can until the test ends: a
// connection to it is refused.
func DeadAddress(t testing.TB) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatalf("making a socket: %v", err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	syscall.CloseOnExec(fd)
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatalf("taking a port: %v", err)
	}
	a, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatalf("taking a port: %v", err)
	}
	return fmt.Sprintf("127.0.0.1:%d", a.(*syscall.SockaddrInet4).Port)
}

// FreeAddress returns an address of the loopback to listen on. Somebody else may be faster.
func FreeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("looking for a free port: %v", err)
	}
	defer l.Close()
	return l.Addr().String()
}
