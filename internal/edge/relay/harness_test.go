package relay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/edge/tally"
	"github.com/weirhq/weir/internal/edge/telling"
	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/pool"
	"github.com/weirhq/weir/internal/source"
	"github.com/weirhq/weir/internal/testkit"
)

func TestMain(m *testing.M) {
	runtime.GOMAXPROCS(4)                                           // two loops, and what is beside them
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil))) // faults are provoked here on purpose
	goleak.VerifyTestMain(m)
}

// eachBody runs a test on both bodies of tasks.
func eachBody(t *testing.T, f func(t *testing.T, body loop.Config)) {
	for _, goroutines := range []bool{false, true} {
		if !goroutines && runtime.GOOS != "linux" {
			continue
		}
		name := "fibers"
		if goroutines {
			name = "goroutines"
		}
		t.Run(name, func(t *testing.T) { f(t, loop.Config{Loops: 2, Goroutines: goroutines}) })
	}
}

var fibers = loop.Config{Loops: 2}

// running is what an edge has around sessions: loops, pools, an address, and what is told.
type running struct {
	t           testing.TB
	engine      *loop.Engine
	told        *telling.Teller
	locals      []*local
	listeners   []*loop.Listener
	log         *journal.Log
	names       tally.Names
	reader      source.Reader
	pools       *pool.Set
	entries     atomic.Pointer[map[string]*Entry]
	connections atomic.Int64
	reached     atomic.Int64
	addr        string
	version     int64
	stopped     bool
}

// local is what a loop owns of it.
type local struct {
	r     *running
	relay *Loop
	sheet tally.Sheet
	count api.Counts
	ids   int
}

// Accept implements loop.Acceptor.
func (l *local) Accept(c *loop.Conn) {
	l.r.connections.Add(1)
	l.relay.Begin(c, (*l.r.entries.Load())["tcp "+l.r.addr])
}

// serve runs loops with one address. entry is what its entry of tcp says, more the rest of the file.
func serve(t testing.TB, body loop.Config, entry, more string) *running {
	t.Helper()
	testkit.Leaks(t)
	r := &running{t: t}
	body.Panicked = func(_ *loop.Loop, v any, stack []byte) { t.Errorf("%v\n%s", v, stack) }
	var err error
	if r.engine, err = loop.Start(body); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !r.stopped && !t.Failed() {
			testkit.Eventually(t, testkit.Patience, "no session is left", func() bool { return r.connections.Load() == 0 && r.reached.Load() == 0 })
		}
		r.stop(10 * time.Second)
	})
	loops := r.engine.Loops()
	r.told = telling.New(len(loops), func(i int, f func()) { loops[i].Post(f) })
	ln, err := listen()
	if err != nil {
		t.Fatal(err)
	}
	r.addr = ln.Addr().String()
	r.apply(entry, more, nil)
	for i, lp := range loops {
		l := &local{r: r}
		l.relay = New(Around{Loop: lp, Told: r.told.Loop(i), Sheet: &l.sheet, Count: &l.count, Reached: &r.reached,
			ID:       func(dst []byte) []byte { l.ids++; return fmt.Appendf(dst, "%d-%d", i, l.ids) },
			Gone:     func() { r.connections.Add(-1) },
			Panicked: func(v any, stack []byte) { t.Errorf("%v\n%s", v, stack) }})
		r.locals = append(r.locals, l)
		f, err := ln.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		accepting, err := lp.Listen(f, l)
		if err != nil {
			t.Fatal(err)
		}
		r.listeners = append(r.listeners, accepting)
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	return r
}

// listen listens on a free port. Accepted sockets inherit the small buffer: writes that do not fit at once are the rule here.
func listen() (net.Listener, error) {
	small := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		return errors.Join(c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, 64<<10) }), err)
	}}
	return small.Listen(context.Background(), "tcp", "127.0.0.1:0")
}

// apply puts another configuration, and what people decided, in force.
func (r *running) apply(entry, more string, hands []api.Hand) {
	r.t.Helper()
	if !strings.Contains(more, "log:") {
		more = "log: {access: {to: none}}\n" + more
	}
	r.version++
	cfg, err := r.reader.Read(&api.Source{Path: r.t.TempDir() + "/weir.yaml", Revision: r.version,
		Text: fmt.Sprintf("tcp: [{listen: '%s', %s}]\n%s", r.addr, entry, more)}, "")
	if err != nil {
		r.t.Fatal(err)
	}
	old := r.pools
	if r.pools, err = pool.Build(cfg, pool.Env{Loops: r.engine.Loops()}, old); err != nil {
		r.t.Fatal(err)
	}
	r.pools.SetHands(hands)
	entries := Entries(cfg, r.pools, &r.names)
	r.entries.Store(&entries)
	if old != nil {
		old.Retire(r.pools)
	}
	if access := cfg.Log.Access; r.log == nil && len(access) > 0 {
		if r.log, err = journal.Open(journal.Options{To: access[0].To, Format: access[0].Format, Loops: len(r.engine.Loops())}); err != nil {
			r.t.Fatal(err)
		}
		r.told.UseLogs([]*journal.Log{r.log}, &cfg.Log.Redact)
	}
}

// onLoops runs f on every loop and waits.
func (r *running) onLoops(f func(l *local)) {
	for _, l := range r.locals {
		if err := l.relay.Loop.Call(func() { f(l) }); err != nil {
			r.t.Error(err)
		}
	}
}

// active is how many sessions there are.
func (r *running) active() (n int64) {
	r.onLoops(func(l *local) { n += l.relay.Sessions() })
	return n
}

// status tells of the first pool.
func (r *running) status() api.PoolStatus { return r.pools.Status()[0] }

// stop accepts no more, waits for the sessions for a time, and closes all.
func (r *running) stop(within time.Duration) {
	r.t.Helper()
	if r.stopped {
		return
	}
	r.stopped = true
	var err error
	for _, l := range r.listeners {
		err = errors.Join(err, l.Close())
	}
	for range testkit.Until(within) {
		if r.active() == 0 {
			break
		}
	}
	r.onLoops(func(l *local) { l.relay.End() })
	if r.told != nil {
		r.told.Seal()
	}
	err = errors.Join(err, r.engine.Close())
	if r.told != nil {
		r.told.End()
	}
	if r.pools != nil {
		r.pools.Close()
	}
	if r.log != nil {
		err = errors.Join(err, r.log.Close())
	}
	if err != nil {
		r.t.Error(err)
	}
}

// logged is an access log in a file of the test's own: what to write into the configuration, and how to read it.
func logged(t testing.TB) (text, file string) {
	file = t.TempDir() + "/access.log"
	return "log: {access: {to: '" + file + "'}}\n", file
}

// frugal is a client's or server's end of a connection that allocates nothing once it is made.
type frugal struct {
	net.Conn
	buf []byte
}

// upTo reads until what it has read ends in a text.
func (f *frugal) upTo(end []byte) error {
	for n := 0; ; {
		m, err := f.Read(f.buf[n:])
		if err != nil {
			return err
		}
		if n += m; bytes.HasSuffix(f.buf[:n], end) {
			return nil
		}
	}
}

// frugalOrigin answers every question, which ends in a text, with the same bytes.
func frugalOrigin(t testing.TB, end, answer string) string {
	t.Helper()
	return testkit.Serve(t, "tcp", func(nc net.Conn) {
		f := &frugal{nc, make([]byte, 16<<10)}
		end, answer := []byte(end), []byte(answer)
		for f.upTo(end) == nil {
			if _, err := f.Write(answer); err != nil {
				return
			}
		}
	})
}
