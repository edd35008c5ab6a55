package edge

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/testkit"
)

func TestMain(m *testing.M) {
	testkit.Divide()
	// What a process with two loops has (Main): with fewer, the goroutines beside the loops wait for milliseconds.
	runtime.GOMAXPROCS(4)
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil))) // faults are provoked here on purpose
	goleak.VerifyTestMain(m)
}

// running is an edge in this process, with one address to ask it at.
type running struct {
	dir string
	*Edge
	t       testing.TB
	addr    string
	version int64
	stopped bool
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

// leaksLookedFor has the tests at whose end leaks are looked for.
var leaksLookedFor sync.Map

// serveEdge runs an edge with two loops on a free port. text is the configuration without listen; what is left
// behind when it has stopped fails the test.
func serveEdge(t testing.TB, body loop.Config, text string) *running {
	t.Helper()
	return serveEdgeIn(t, "", body, text)
}

// serveEdgeIn is serveEdge with a run directory.
func serveEdgeIn(t testing.TB, dir string, body loop.Config, text string) *running {
	t.Helper()
	// Of a test with several edges, the first looks for what is left behind, when all of them have stopped: what rests at one of them is no
	// leak of another's.
	if _, looks := leaksLookedFor.LoadOrStore(t, true); !looks {
		testkit.Leaks(t)
	}
	e, err := start(body)
	if err != nil {
		t.Fatal(err)
	}
	r := &running{Edge: e, t: t, dir: dir}
	t.Cleanup(func() {
		if !r.stopped && !t.Failed() { // clients have closed by now
			testkit.Eventually(t, testkit.Patience, "no connection is left", func() bool { return e.connections.Load() == 0 })
		}
		r.stop(10 * time.Second)
	})
	r.addr = r.offer()
	if err := r.apply(text); err != nil {
		t.Fatal(err)
	}
	return r
}

// offer hands listening sockets to the edge, one for each loop as the keeper does, and returns their address.
func (r *running) offer() string {
	r.t.Helper()
	share := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		return errors.Join(c.Control(func(fd uintptr) {
			// Accepted sockets inherit the small buffer: writes that do not fit at once are the rule here.
			err = errors.Join(unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1),
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, 64<<10))
		}), err)
	}}
	addr := "127.0.0.1:0"
	var files []*os.File
	for range r.locals {
		ln, err := share.Listen(context.Background(), "tcp", addr)
		if err != nil {
			r.t.Fatal(err)
		}
		addr = ln.Addr().String()
		f, err := ln.(*net.TCPListener).File()
		if err = errors.Join(err, ln.Close()); err != nil {
			r.t.Fatal(err)
		}
		files = append(files, f)
	}
	r.Offer("tcp", addr, files)
	return addr
}

// apply puts a configuration in force that listens on the edge's address and on others.
func (r *running) apply(text string, more ...string) error {
	r.t.Helper()
	if !strings.Contains(text, "log:") {
		text += "\nlog: {access: {to: none}}\n"
	}
	listen := "['" + strings.Join(append([]string{r.addr}, more...), "', '") + "']"
	if first, rest, ok := strings.Cut(text, "\n"); ok && strings.HasPrefix(first, "proxy_protocol:") {
		listen, text = "{http: "+listen+", "+first+"}", rest
	}
	listen = "listen: " + listen + "\n"
	r.version++
	return r.Apply(api.EdgeState{Version: r.version, Source: api.Source{
		Path: r.t.TempDir() + "/weir.yaml", Text: listen + text, Revision: r.version}, RunDir: r.dir})
}

func (r *running) stop(within time.Duration) {
	r.t.Helper()
	if r.stopped {
		return
	}
	r.stopped = true
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	if err := r.Stop(ctx); err != nil {
		r.t.Error(err)
	}
}

// quiet waits until no request is under way.
func (r *running) quiet() {
	r.t.Helper()
	testkit.Eventually(r.t, testkit.Patience, "requests under way ended", func() bool { return r.active() == 0 })
}

// onePool is a configuration with a pool p of these servers that gets every request. more is put into the pool.
func onePool(more string, servers ...string) string {
	if more != "" {
		more = ", " + more
	}
	return "pools: {p: {servers: ['" + strings.Join(servers, "', '") + "']" + more + "}}\n" +
		"sites: [{hosts: ['*'], routes: [{pool: p}]}]\n"
}

const bothBuffers = "buffer: true"

// crlf writes a script's line feeds as the wire has them.
func wire(text string) string { return strings.ReplaceAll(text, "\n", "\r\n") }

// plain writes what came from the wire as scripts do, with what differs from run to run taken out.
func plain(text string) string {
	text = dates.ReplaceAllString(strings.ReplaceAll(text, "\r\n", "\n"), "Date: DATE")
	return ids.ReplaceAllString(text, "X-Request-ID: ID")
}

var (
	dates = regexp.MustCompile(`Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT`)
	ids   = regexp.MustCompile(`X-Request-ID: [0-9a-f]{22}\b`)
)

// answers is an origin that reads whole requests and answers the n-th of each connection with the n-th text, the
// last one again and again. After a text that ends in "<close>" it closes, after "<reset>" it resets.
func answers(t testing.TB, network string, texts ...string) *testkit.Origin {
	return testkit.ServeOrigin(t, network, func(_ int, c *testkit.Conn) {
		for i := 0; ; i++ {
			if !c.More() {
				return
			}
			c.Request()
			text := texts[min(i, len(texts)-1)]
			head, closes := strings.CutSuffix(text, "<close>")
			head, resets := strings.CutSuffix(head, "<reset>")
			c.Send(wire(head))
			if resets {
				c.Reset()
			}
			if closes || resets {
				return
			}
		}
	})
}
