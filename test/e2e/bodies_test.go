package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/testkit"
)

const mib = 1 << 20

// peak watches a process's resident memory until stop is called, and returns by how much it grew at the most.
func peak(p testkit.Process) (stop func() int64) {
	start := p.Now().RSS
	quit, most := make(chan struct{}), make(chan int64)
	go func() {
		highest := start
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				highest = max(highest, p.Now().RSS)
			case <-quit:
				most <- highest - start
				return
			}
		}
	}()
	return func() int64 {
		close(quit)
		return <-most
	}
}

// TestLargeBodies: 200 MiB up and down through a pool of one, buffered or not: all arrives, in under 16 MiB of memory.
func TestLargeBodies(t *testing.T) {
	for name, buffer := range map[string]string{"buffered": "", "straight": ", buffer: {requests: false, responses: false}"} {
		t.Run(name, func(t *testing.T) {
			w := testkit.Run(t, testkit.Setup{Plain: true, Config: hello(1, "pools:\n  hello: {app: hello"+buffer+"}")})
			edge := w.Edge()
			w.Get("/")
			grown := peak(edge)
			upload(t, w, 200*mib)
			download(t, w, 200*mib, "")
			download(t, w, 50*mib, "&chunked")
			if n := grown(); n > 16*mib {
				t.Errorf("the edge grew by %.1f MiB", float64(n)/mib)
			} else {
				t.Logf("the edge grew by %.1f MiB", float64(n)/mib)
			}
		})
	}
}

// pattern is what hello's /big sends, again and again.
const pattern = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.\n"

// endless reads the pattern for ever.
type endless struct{ at int }

func (e *endless) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		m := copy(p[n:], pattern[e.at:])
		n += m
		e.at = (e.at + m) % len(pattern)
	}
	return n, nil
}

func sum(n int64) string {
	h := sha256.New()
	io.CopyN(h, &endless{}, n)
	return hex.EncodeToString(h.Sum(nil))
}

var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}, Timeout: 3 * time.Minute}

func upload(t *testing.T, w *testkit.Weir, n int64) {
	t.Helper()
	r, err := http.NewRequest("POST", w.URL("/sink?sum"), io.LimitReader(&endless{}, n))
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = n
	answer, err := client.Do(r)
	if err != nil {
		t.Fatalf("upload: %v", err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if want := fmt.Sprintf("%d bytes %s\n", n, sum(n)); err != nil || string(body) != want {
		t.Errorf("upload: got %d %q, %v, want %q", answer.StatusCode, body, err, want)
	}
}

func download(t *testing.T, w *testkit.Weir, n int64, how string) {
	t.Helper()
	answer, err := client.Get(w.URL(fmt.Sprintf("/big?bytes=%d%s", n, how)))
	if err != nil {
		t.Fatalf("download: %v", err)
	}
	defer answer.Body.Close()
	h := sha256.New()
	got, err := io.Copy(h, answer.Body)
	if err != nil || got != n || hex.EncodeToString(h.Sum(nil)) != sum(n) {
		t.Errorf("download%s: %d of %d bytes, %v", how, got, n, err)
	}
}

// TestTooLarge: the limit on a body holds whether its length is announced or not.
func TestTooLarge(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Config: hello(1, "limits: {body: 1KiB}")})
	for _, sent := range []string{
		"Content-Length: 2000\r\n\r\n" + strings.Repeat("a", 2000),
		"Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("100\r\n"+strings.Repeat("a", 256)+"\r\n", 6) + "0\r\n\r\n",
	} {
		c := w.Dial()
		if err := c.TrySend("POST /sink HTTP/1.1\r\nHost: a\r\n" + sent); err != nil {
			t.Logf("sending: %v", err)
		}
		if m := c.Response("POST"); m.Status != 413 {
			t.Errorf("got %+v", m)
		}
	}
}

// TestSlowReaders: 200 clients that read at 10 KiB/s do not slow a 201st down: workers stay free.
func TestSlowReaders(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Plain: true, Config: hello(1, "pools:\n  hello: {app: hello, max_conn: 2}")})
	stop := make(chan struct{})
	var readers sync.WaitGroup
	defer readers.Wait()
	defer close(stop)
	var started sync.WaitGroup
	for range 200 {
		started.Add(1)
		readers.Go(func() { slowReader(t, w.Address, &started, stop) })
	}
	started.Wait()
	for range 20 {
		start := time.Now()
		if status, _ := w.Get("/"); status != 200 {
			t.Fatalf("status %d", status)
		}
		if d := time.Since(start); d > time.Second {
			t.Errorf("a request took %v beside slow readers", d)
		}
	}
}

// slowReader fetches 4 MiB at 10 KiB/s; started is told when the answer has begun.
func slowReader(t *testing.T, address string, started *sync.WaitGroup, stop chan struct{}) {
	var once sync.Once
	begun := func() { once.Do(started.Done) }
	defer begun()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Errorf("slow reader: %v", err)
		return
	}
	defer c.Close()
	if err := c.(*net.TCPConn).SetReadBuffer(4096); err != nil {
		t.Errorf("slow reader: %v", err)
		return
	}
	c.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(c, "GET /big?bytes=4194304 HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
		t.Errorf("slow reader: %v", err)
		return
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	buf := make([]byte, 1024)
	for {
		if _, err := c.Read(buf); err != nil {
			t.Errorf("slow reader: %v", err)
			return
		}
		begun()
		select {
		case <-tick.C:
		case <-stop:
			return
		}
	}
}

// TestSlowHeads: 2,000 connections that send one byte of a head a second hold nothing up, and are gone after the
// head's time limit.
func TestSlowHeads(t *testing.T) {
	const limit = 3 * time.Second
	w := testkit.Run(t, testkit.Setup{Plain: true, Config: hello(1, fmt.Sprintf("timeouts: {head: %v}", limit))})
	const n = 2000
	head := "GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: y\r\n", 100)
	var all sync.WaitGroup
	ended := make(chan time.Duration, n)
	for i := range n {
		all.Go(func() {
			c, err := net.Dial("tcp", w.Address)
			if err != nil {
				t.Errorf("connection %d: %v", i, err)
				return
			}
			defer c.Close()
			// The limit runs from the first byte, which is sent here.
			start := time.Now()
			if _, err := io.WriteString(c, head[:1]); err != nil {
				t.Errorf("connection %d: %v", i, err)
				return
			}
			all.Go(func() {
				tick := time.NewTicker(time.Second)
				defer tick.Stop()
				for at := 1; at < len(head); at++ {
					<-tick.C
					if _, err := io.WriteString(c, head[at:at+1]); err != nil {
						return
					}
				}
			})
			c.SetReadDeadline(start.Add(10 * limit))
			io.Copy(io.Discard, c) // an answer of 408 is as good as none; how it ends is judged by its time
			ended <- time.Since(start)
		})
	}
	slowest := time.Duration(0)
	for end := time.Now().Add(limit); time.Now().Before(end); {
		start := time.Now()
		if status, _ := w.Get("/"); status != 200 {
			t.Fatalf("status %d", status)
		}
		slowest = max(slowest, time.Since(start))
	}
	if slowest > time.Second {
		t.Errorf("beside slow heads a request took %v", slowest)
	}
	all.Wait()
	close(ended)
	gone := 0
	for d := range ended {
		gone++
		if d < limit-100*time.Millisecond || d > limit+3*time.Second {
			t.Errorf("a slow head was cut off after %v, want %v", d, limit)
			break
		}
	}
	if gone != n {
		t.Errorf("%d connections of %d", gone, n)
	}
	testkit.Eventually(t, 5*time.Second, "all of them are gone", func() bool { return w.Status().Edge.Connections < 10 })
}

// TestIdle: connections that do nothing cost no processor time.
func TestIdle(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Plain: true, Config: hello(1, "")})
	edge := w.Edge()
	for range 200 {
		request(w.Dial(), "/healthz")
	}
	// The ticks are the kernel's account of what was used: the wait is the thing measured.
	var used []uint64
	for range 3 {
		before := edge.Now().Ticks
		timer := time.NewTimer(time.Second)
		<-timer.C
		used = append(used, edge.Now().Ticks-before)
	}
	t.Logf("ticks of 10 ms in three seconds: %v", used)
	if min(used[0], used[1], used[2]) > 1 {
		t.Errorf("an idle edge uses processor time: %v ticks of 10 ms in three seconds", used)
	}
}

// TestHeadBeforeBody: a server sends its head, and its body later. What other connections do in between must not
// show in the fields.
func TestHeadBeforeBody(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nX-First: one\r\nX-Second: " + pattern62 + "\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\n"
	o := testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
		c.Request()
		c.Send(head)
		c.Wait("body")
		c.Send("0123456789")
	})
	w := testkit.Run(t, testkit.Setup{Config: hello(1, `
pools:
  late: {servers: [{address: "`+o.Address+`"}], buffer: {responses: true}}
sites:
  - hosts: ["*"]
    routes:
      - {match: {path: /late}, pool: late}
      - pool: hello
`)})
	c := w.Dial()
	c.Send("GET /late HTTP/1.1\r\nHost: a\r\n\r\n")
	testkit.Eventually(t, 5*time.Second, "the server has the request", func() bool { return o.Got(0) != "" })
	// Fresh connections, so that every loop has its turn.
	for range 50 {
		w.Get("/echo?" + strings.Repeat("secret", 200))
	}
	o.Open("body")
	if m := c.Response("GET"); m.Status != 200 || m.Field("X-First") != "one" || m.Field("X-Second") != pattern62 || m.Body != "0123456789" {
		t.Errorf("got %+v", m)
	}
}

const pattern62 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
