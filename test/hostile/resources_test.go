package hostile

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/testkit"
)

// plainly runs the real binary without the race detector: these tests are of time and memory.
func plainly(t testing.TB, pool, more string) *testkit.Weir {
	t.Helper()
	return testkit.Run(t, testkit.Setup{Plain: true, Config: config(pool, more)})
}

// crowd are connections that do something slowly. They are closed when the test ends.
func crowd(t *testing.T, n int, address string) (all []net.Conn) {
	t.Helper()
	for range n {
		c, err := net.DialTimeout("tcp", address, patience)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		all = append(all, c)
	}
	return all
}

// served asks again and again, until the stop function is called, which returns how many answers there were and the
// slowest.
func served(t *testing.T, address string) (stop func() (int, time.Duration)) {
	t.Helper()
	done := make(chan struct{})
	var running sync.WaitGroup
	n, slowest := 0, time.Duration(0)
	running.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			began := time.Now()
			if err := harmless(address); err != nil {
				t.Errorf("after %d answers: %v", n, err)
				return
			}
			n++
			slowest = max(slowest, time.Since(began))
		}
	})
	return func() (int, time.Duration) {
		close(done)
		running.Wait()
		return n, slowest
	}
}

// harmless is a client like any other.
func harmless(address string) error {
	c, err := from("127.0.0.1", address)
	if err != nil {
		return err
	}
	defer c.Close()
	a := &asked{c: c}
	if err := a.ask("GET", "/harmless", ""); err != nil {
		return err
	}
	r, err := a.answer("GET")
	if err != nil || r.status != 200 {
		return fmt.Errorf("got %v, %v", r, err)
	}
	return nil
}

// ended reads until weir closes; false when it does not within the time.
func ended(c net.Conn, within time.Duration) (got []byte, ok bool) {
	if c.SetReadDeadline(time.Now().Add(within)) != nil {
		return nil, false
	}
	got, err := io.ReadAll(c)
	return got, !errors.Is(err, os.ErrDeadlineExceeded)
}

const mebi = 1 << 20

// Two thousand heads that come byte by byte hold nobody up, cost little, and are over when their time is.
func TestSlowHeads(t *testing.T) {
	testkit.Leaks(t)
	o := newRecorder(t)
	w := plainly(t, "servers: ['"+o.address()+"']", "timeouts: {head: 1s}\n")
	edge := w.Edge()
	all := crowd(t, 2000, w.Address)
	before := edge.Now()
	stop := served(t, w.Address)
	began := time.Now()
	const head = "GET /slow HTTP/1.1\r\nHost: a.test\r\nX: yyyyyyyyyyyyyyyy"
	peak := before.RSS
	for i := 0; time.Since(began) < 1500*time.Millisecond; i++ { // each gets a byte some four times a second
		for _, c := range all {
			c.Write([]byte{head[i%len(head)]}) //nolint:errcheck // it may be closed already
		}
		peak = max(peak, edge.Now().RSS)
		time.Sleep(200 * time.Millisecond)
	}
	n, slowest := stop()
	ticks := edge.Now().Ticks - before.Ticks
	t.Logf("%d others were served meanwhile, the slowest in %v; %d ms of processor time; %.1f MiB more", n, slowest, 10*ticks, float64(peak-before.RSS)/mebi)
	if n < 20 {
		t.Errorf("only %d others were served", n)
	}
	if grown := peak - before.RSS; grown > 96*mebi {
		t.Errorf("%d MiB for 2000 connections", grown/mebi)
	}
	for _, c := range all {
		if got, ok := ended(c, patience); !ok {
			t.Fatalf("a slow head is still waited for: %q", got)
		}
	}
	if got := o.of("127.0.0.1"); strings.Contains(shown(got), "/slow") {
		t.Error("the server got a request that never ended")
	}
}

// A client that asks a hundred thousand times and reads nothing is waited for, not buffered for.
func TestPipelineNeverRead(t *testing.T) {
	testkit.Leaks(t)
	o := newRecorder(t)
	w := plainly(t, "servers: ['"+o.address()+"']", "timeouts: {send: 1s}\n")
	edge := w.Edge()
	before := edge.Now()
	stop := served(t, w.Address)
	var running sync.WaitGroup
	text := []byte(strings.Repeat(strings.Replace(get("/flood"), "\r\n\r\n", "\r\nX: "+strings.Repeat("y", 200)+"\r\n\r\n", 1), 1000))
	for _, c := range crowd(t, 5, w.Address) {
		running.Go(func() {
			for range 100 {
				if _, err := c.Write(text); err != nil {
					return // weir has had enough
				}
			}
			t.Error("weir took 100,000 requests of a client that reads nothing")
		})
	}
	running.Wait()
	n, slowest := stop()
	grown := edge.Now().RSS - before.RSS
	t.Logf("%d others were served meanwhile, the slowest in %v; %.1f MiB more; %d requests went through", n, slowest, float64(grown)/mebi, len(o.of("127.0.0.1"))-n)
	if n < 20 || grown > 32*mebi {
		t.Errorf("%d others were served; %d MiB more", n, grown/mebi)
	}
}

// Large answers that nobody reads stand in a file, or wait at the server, and not in memory.
func TestAnswersNeverRead(t *testing.T) {
	testkit.Leaks(t)
	s := newHostileServer(t, []answerRow{{send: okHead + fmt.Sprintf("Content-Length: %d\r\n\r\n", 4*mebi) + strings.Repeat("x", 4*mebi)}})
	for _, more := range []string{", buffer: {responses: true, memory: 256KiB, file: 1MiB}", ", buffer: {responses: true, memory: 64MiB}"} {
		w := plainly(t, "servers: ['"+s.l.Addr().String()+"']"+more, "timeouts: {send: 5s}\n") // time for all of them to come
		edge := w.Edge()
		before := edge.Now()
		stop := served(t, w.Address)
		all := crowd(t, 60, w.Address)
		for _, c := range all {
			if _, err := io.WriteString(c, get("/row/0")); err != nil {
				t.Fatal(err)
			}
		}
		peak := before.RSS
		asks := func(is func(*api.EdgeStatus) bool) func() bool {
			return func() bool {
				peak = max(peak, edge.Now().RSS)
				s, err := w.Look()
				return err == nil && s.Edge != nil && is(s.Edge)
			}
		}
		testkit.Eventually(t, patience, "all of them wait", asks(func(s *api.EdgeStatus) bool { return s.Requests >= 20 && s.Active >= 60 }))
		testkit.Eventually(t, patience, "those who read nothing are let go", asks(func(s *api.EdgeStatus) bool { return s.Active <= 1 }))
		n, slowest := stop()
		t.Logf("%s: %d others, the slowest in %v; %.1f MiB more", more, n, slowest, float64(peak-before.RSS)/mebi)
		if grown := peak - before.RSS; n < 20 || grown > 128*mebi {
			t.Errorf("%d others were served; %d MiB more", n, grown/mebi)
		}
	}
}

// Chunks of one byte cost a server what the bytes cost, not what their framing does.
func TestTinyChunks(t *testing.T) {
	testkit.Leaks(t)
	for _, more := range []string{"", ", buffer: true"} {
		o := newRecorder(t)
		w := plainly(t, "servers: ['"+o.address()+"']"+more, "")
		edge := w.Edge()
		before := edge.Now()
		client := nextClient()
		c, err := from(client, w.Address)
		if err != nil {
			t.Fatal(err)
		}
		const size = 200_000
		go io.WriteString(c, chunked(strings.Repeat("1\r\nx\r\n", size)+"0\r\n\r\n")) //nolint:errcheck // what comes back tells
		a := &asked{c: c}
		r, err := a.answer("POST")
		c.Close()
		if err != nil || r.status != 200 || len(r.body) != size+len("POST /p | ") {
			t.Fatalf("got %v, %v", r, err)
		}
		o.mu.Lock()
		got := o.bytes
		o.mu.Unlock()
		after := edge.Now()
		t.Logf("%d chunks: the server got %d bytes; %d ms of processor time", size, got, 10*(after.Ticks-before.Ticks))
		if got > 2*size {
			t.Errorf("the server got %d bytes for a body of %d", got, size)
		}
	}
}

// A head that comes byte by byte costs about what its bytes cost.
func TestDribbledHead(t *testing.T) {
	testkit.Leaks(t)
	o := newRecorder(t)
	w := plainly(t, "servers: ['"+o.address()+"']", "limits: {head: 64KiB}\n")
	edge := w.Edge()
	cost := func(size int) uint64 {
		before := edge.Now().Ticks
		for range 4 {
			c, err := from(nextClient(), w.Address)
			if err != nil {
				t.Fatal(err)
			}
			text := fields("X: " + strings.Repeat("y", size) + "\r\n")
			for i := range len(text) {
				if _, err := c.Write([]byte{text[i]}); err != nil {
					t.Fatal(err)
				}
			}
			if r, err := (&asked{c: c}).answer("GET"); err != nil || r.status != 200 {
				t.Fatalf("got %v, %v", r, err)
			}
			c.Close()
		}
		return edge.Now().Ticks - before
	}
	small, large := cost(7000), cost(56000)
	t.Logf("%d and %d ms of processor time for eight times as much", 10*small, 10*large)
	if large > 16*small+20 {
		t.Errorf("%d and %d ms of processor time for eight times as much", 10*small, 10*large)
	}
}

// Descriptors are few, and idle clients take all that they can get: those who are in are served, at no cost to speak of,
// and when room is made, others are too.
func TestDescriptors(t *testing.T) {
	testkit.Leaks(t)
	o := newRecorder(t)
	w := testkit.Run(t, testkit.Setup{Plain: true, Nofile: 200, Config: config("servers: ['"+o.address()+"']", "timeouts: {head: 60s, idle: 60s}\n")})
	edge := w.Edge()
	var in []net.Conn
	for range 400 {
		c, err := from("127.0.0.1", w.Address)
		if err != nil {
			continue // refused
		}
		t.Cleanup(func() { c.Close() })
		io.WriteString(c, get("/in")) //nolint:errcheck // what comes back tells
		if r, err := (&asked{c: c}).answer("GET"); err == nil && r.status == 200 {
			in = append(in, c)
		}
	}
	if len(in) < 40 || len(in) > 150 {
		t.Fatalf("%d of 400 clients are in, with 200 descriptors", len(in))
	}
	// All that are in ask at once.
	for _, c := range in {
		io.WriteString(c, get("/again")) //nolint:errcheck // what comes back tells
	}
	for _, c := range in {
		if r, err := (&asked{c: c.(*net.TCPConn)}).answer("GET"); err != nil || r.status != 200 {
			t.Fatalf("one who is in got %v, %v", r, err)
		}
	}
	if err := harmless(w.Address); err == nil {
		t.Error("one more was served")
	}
	before, began := edge.Now().Ticks, time.Now()
	for time.Since(began) < time.Second {
		if err := harmless(w.Address); err == nil {
			t.Error("one more was served")
		}
		time.Sleep(20 * time.Millisecond)
	}
	if busy := float64(10*(edge.Now().Ticks-before)) / float64(time.Since(began).Milliseconds()); busy > 0.3 {
		t.Errorf("a full weir uses %.0f %% of a processor", 100*busy)
	}
	const said = "connections are refused: no more find room in the limit on open files"
	if n := strings.Count(w.Output(), said); n != 1 {
		t.Errorf("it was said %d times that connections are refused", n)
	}
	for _, c := range in[:len(in)/2] {
		c.Close()
	}
	testkit.Eventually(t, patience, "others are served when there is room", func() bool { return harmless(w.Address) == nil })
	for range 100 {
		if err := harmless(w.Address); err != nil {
			t.Fatal(err)
		}
	}
	if now := w.Edge(); now.PID != edge.PID {
		t.Error("the edge died of it")
	}
}
