package loop

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Some tests need a process of their own: this binary, started with a name in the environment.
const childVariable = "WEIR_LOOP_TEST_CHILD"

func runChild(t *testing.T, name, body string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childVariable+"="+name+" "+body)
	cmd.WaitDelay = time.Second
	timer := time.AfterFunc(patience, func() { cmd.Process.Signal(syscall.SIGQUIT) })
	defer timer.Stop()
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "all well") {
		t.Errorf("%v", err)
	}
	t.Logf("%s", out)
}

func childMain(what string) int {
	runtime.GOMAXPROCS(maxLoops + 2)
	name, body, _ := strings.Cut(what, " ")
	f := map[string]func(*Engine) error{"descriptors": descriptorsChild, "idle": idleChild}[name]
	e, err := Start(Config{Loops: 2, Goroutines: body == "goroutines"})
	if err == nil {
		err = f(e)
		e.Close()
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("all well")
	return 0
}

// childListen opens a listening socket with a fixed backlog for the first loop.
func childListen(e *Engine, h Acceptor) (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer ln.Close()
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		return "", err
	}
	_, err = e.Loops()[0].Listen(f, h)
	return ln.Addr().String(), err
}

func descriptorsChild(e *Engine) error {
	l := e.Loops()[0]
	var first *Conn
	addr, err := childListen(e, acceptFunc(func(c *Conn) {
		if first == nil {
			first = c
		}
	}))
	if err != nil {
		return err
	}
	to := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr))
	// Sockets for the clients while there are descriptors, then a limit that leaves room for few accepted ones.
	const clients, room = 20, 10
	var fds []int
	for range clients {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
		if err != nil {
			return err
		}
		fds = append(fds, fd)
	}
	limit := syscall.Rlimit{Cur: uint64(fds[clients-1] + 1 + room), Max: 1 << 12}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	for _, fd := range fds {
		if err := syscall.Connect(fd, &syscall.SockaddrInet4{Port: to.Port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			return err
		}
	}
	time.Sleep(50 * time.Millisecond)
	used := cpuTime()
	time.Sleep(time.Second)
	used = cpuTime() - used
	s := l.Stats()
	if s.Accepted < room/2 || s.Accepted > room {
		return fmt.Errorf("%d accepted, with room for %d", s.Accepted, room)
	}
	if s.AcceptErrors < 3 || s.AcceptErrors > 30 {
		return fmt.Errorf("%d errors of accept in a second", s.AcceptErrors)
	}
	if used > 100*time.Millisecond {
		return fmt.Errorf("%v of processor time in a second of nothing to do", used)
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	for end := time.Now().Add(patience); l.Stats().Accepted < clients; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("only %d are accepted when there is room again", l.Stats().Accepted)
		}
	}
	return nil
}

// cpuTime is what the process has used so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// idleChild: 2,000 connections at rest, with time limits and without, must cost nothing.
func idleChild(e *Engine) error {
	const conns = 2000
	l := e.Loops()[0]
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	n := 0
	addr, err := childListen(e, acceptFunc(func(c *Conn) {
		n++
		until := c.Loop().Now() + Time(time.Minute) + Time(n)*Time(time.Millisecond)
		if n%2 == 0 {
			until = 0
		}
		c.Rest(restFuncs{func(*Conn) {}, func(*Conn) {}}, until)
	}))
	if err != nil {
		return err
	}
	to := &syscall.SockaddrInet4{Port: int(netip.MustParseAddrPort(addr).Port()), Addr: [4]byte{127, 0, 0, 1}}
	heap := heapInUse()
	for range conns { // bare sockets, which take none of our memory
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
		if err != nil {
			return err
		}
		if err := syscall.Connect(fd, to); err != nil {
			return err
		}
	}
	for end := time.Now().Add(patience); l.Stats().Conns < conns; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("only %d connections", l.Stats().Conns)
		}
	}
	each := (heapInUse() - heap) / conns
	fmt.Printf("%d bytes a connection\n", each)
	if each > 400 {
		return fmt.Errorf("%d bytes for each connection at rest", each)
	}
	time.Sleep(100 * time.Millisecond)
	turns, used := turnsOf(e), cpuTime()
	time.Sleep(2 * time.Second)
	turns, used = turnsOf(e)-turns, cpuTime()-used
	fmt.Printf("%v of processor time, %d turns\n", used, turns)
	if used > 10*time.Millisecond {
		return fmt.Errorf("%v of processor time in two idle seconds", used)
	}
	if turns > 20 {
		return fmt.Errorf("%d turns in two idle seconds", turns)
	}
	return nil
}

func heapInUse() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapInuse)
}

func turnsOf(e *Engine) (n uint64) {
	for _, l := range e.Loops() {
		n += l.Stats().Turns
	}
	return n
}
