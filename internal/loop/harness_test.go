package loop

import (
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if f := os.Getenv(childVariable); f != "" {
		os.Exit(childMain(f))
	}
	runtime.GOMAXPROCS(maxLoops + 2)
	if ln, err := net.Listen("tcp", "127.0.0.1:0"); err == nil { // opens what the runtime keeps open
		ln.Close()
	}
	goleak.VerifyTestMain(m)
}

// maxLoops is how many loops a test starts at most.
const maxLoops = 2

// patience bounds every wait of the tests; what takes longer hangs.
const patience = 20 * time.Second

// runFunc makes a Runner of a function.
type runFunc func(t *Task)

func (f runFunc) Run(t *Task) { f(t) }

// acceptFunc makes an Acceptor of a function.
type acceptFunc func(c *Conn)

func (f acceptFunc) Accept(c *Conn) { f(c) }

// serve makes an Acceptor that serves each connection by a task.
func serve(f func(t *Task, c *Conn)) Acceptor {
	return acceptFunc(func(c *Conn) {
		c.Loop().Go(runFunc(func(t *Task) {
			defer c.Close()
			f(t, c)
		}))
	})
}

// restFuncs is a Rester made of functions.
type restFuncs struct{ ready, expired func(c *Conn) }

func (r restFuncs) Ready(c *Conn)   { r.ready(c) }
func (r restFuncs) Expired(c *Conn) { r.expired(c) }

// bodies runs a test on both bodies of tasks. Panics of tasks fail it unless the configuration takes them.
func bodies(t *testing.T, cfg Config, f func(t *testing.T, e *Engine)) {
	t.Helper()
	for _, body := range []struct {
		name       string
		goroutines bool
	}{{"fibers", false}, {"goroutines", true}} {
		if !body.goroutines && !haveFibers {
			continue
		}
		t.Run(body.name, func(t *testing.T) {
			cfg := cfg
			cfg.Goroutines = body.goroutines
			f(t, startEngine(t, cfg))
		})
	}
}

func startEngine(t testing.TB, cfg Config) *Engine {
	t.Helper()
	if cfg.Loops == 0 {
		cfg.Loops = 1
	}
	if cfg.Panicked == nil {
		cfg.Panicked = func(l *Loop, v any, stack []byte) { t.Errorf("panic: %v\n%s", v, stack) }
	}
	before := countFDs(t)
	e, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		closed := make(chan struct{})
		go func() { e.Close(); close(closed) }()
		select {
		case <-closed:
		case <-time.After(patience):
			t.Error("Close hangs")
			panicWithStacks()
		}
		eventually(t, "descriptors are closed", func() bool { return countFDs(t) <= before })
	})
	return e
}

// within runs f as a task and waits for its end.
func within(t testing.TB, l *Loop, f func(t *Task)) {
	t.Helper()
	done := make(chan struct{})
	begin(l, func(task *Task) {
		defer close(done)
		f(task)
	})
	await(t, done, "a task")
}

// begin runs f as a task.
func begin(l *Loop, f func(t *Task)) {
	l.Post(func() { l.Go(runFunc(f)) })
}

func await(t testing.TB, done <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		panicWithStacks()
	}
}

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("does not come true: %s", what)
			return
		}
	}
}

func panicWithStacks() {
	b := make([]byte, 1<<20)
	panic("hangs:\n" + string(b[:stackAll(b)]))
}

// listenTCP opens a listening socket and hands it to the loop.
func listenTCP(t testing.TB, l *Loop, h Acceptor) Addr {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Listen(f, h); err != nil {
		t.Fatal(err)
	}
	return Addr{IP: netip.MustParseAddrPort(ln.Addr().String())}
}

func listenUnix(t testing.TB, l *Loop, h Acceptor) Addr {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	defer ln.Close()
	f, err := ln.File()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Listen(f, h); err != nil {
		t.Fatal(err)
	}
	return Addr{Unix: path}
}

// listenFunc opens a listening socket and hands it to a loop.
type listenFunc = func(t testing.TB, l *Loop, h Acceptor) Addr

// both runs a test over TCP and over a Unix socket.
func both(t *testing.T, f func(t *testing.T, listen listenFunc)) {
	t.Run("tcp", func(t *testing.T) { f(t, listenTCP) })
	t.Run("unix", func(t *testing.T) { f(t, listenUnix) })
}

// dial connects from outside.
func dial(t testing.TB, to Addr) net.Conn {
	t.Helper()
	network, addr := "tcp", to.IP.String()
	if to.Unix != "" {
		network, addr = "unix", to.Unix
	}
	c, err := net.DialTimeout(network, addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c
}

func echo(t *Task, c *Conn) {
	b := c.Loop().Buffer()
	defer c.Loop().Release(b)
	for {
		n, err := c.Read(b)
		if err != nil {
			return
		}
		if _, err := c.Write(b[:n]); err != nil {
			return
		}
	}
}

func ask(t testing.TB, c io.ReadWriter, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	expect(t, c, text)
}

func expect(t testing.TB, c io.Reader, text string) {
	t.Helper()
	b := make([]byte, len(text))
	if _, err := io.ReadFull(c, b); err != nil {
		t.Fatal(err)
	}
	if string(b) != text {
		t.Fatalf("got %q, want %q", b, text)
	}
}

// box is a value that a loop leaves for the test.
type box[T any] struct {
	mu  sync.Mutex
	all []T
}

func (b *box[T]) put(v T) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = append(b.all, v)
}

func (b *box[T]) get() []T {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]T(nil), b.all...)
}
