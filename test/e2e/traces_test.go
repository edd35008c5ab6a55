package e2e

import (
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/weirhq/weir/internal/testkit"
)

// collector takes traces.
type collector struct {
	url string

	mu     sync.Mutex
	traces map[string][]string // the names of the spans of each
	bad    []string
}

func collects(t *testing.T) *collector {
	t.Helper()
	c := &collector{traces: map[string][]string{}}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.url = "http://" + ln.Addr().String()
	s := &http.Server{Handler: c}
	done := make(chan error, 1)
	go func() { done <- s.Serve(ln) }()
	t.Cleanup(func() { s.Close(); <-done })
	return c
}

func (c *collector) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var data traces.TracesData
	if err := proto.Unmarshal(body, &data); err != nil || r.URL.Path != "/v1/traces" || len(data.ResourceSpans) != 1 {
		c.bad = append(c.bad, fmt.Sprint(r.URL, err))
		return
	}
	for _, s := range data.ResourceSpans[0].ScopeSpans[0].Spans {
		id := hex.EncodeToString(s.TraceId)
		c.traces[id] = append(c.traces[id], s.Name)
		if s.EndTimeUnixNano < s.StartTimeUnixNano || s.StartTimeUnixNano == 0 {
			c.bad = append(c.bad, s.String())
		}
	}
}

func (c *collector) got(trace string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.traces[trace]
}

// TestTraces: what a client begins, weir and the app's workers are part of, over hand-overs and the desk's death, and a collector is told.
func TestTraces(t *testing.T) {
	c := collects(t)
	w := testkit.Run(t, testkit.Setup{Config: hello(2, "") + "trusted_proxies: [127.0.0.1]\ntraces: {to: '" + c.url + "', sample: 0%, rules: [{match: {query: {all: '1'}}, sample: 100%}]}\n"})
	waitWorkers(t, w, "hello", 2)
	n := 0
	ask := func(path string, sampled bool) (trace string) {
		t.Helper()
		n++
		trace = fmt.Sprintf("%032x", n)
		conn := w.Dial()
		defer conn.Close()
		conn.Send(fmt.Sprintf("GET %s HTTP/1.1\r\nHost: e2e.test\r\nConnection: close\r\ntraceparent: 00-%s-00f067aa0ba902b7-0%d\r\n\r\n", path, trace, map[bool]int{true: 1}[sampled]))
		if m := conn.Response("GET"); m.Status != 200 {
			t.Errorf("%s is answered with %d", path, m.Status)
		}
		return trace
	}
	comes := func(trace string) {
		t.Helper()
		testkit.Eventually(t, testkit.Patience, "the collector has "+trace, func() bool { return len(c.got(trace)) > 0 })
		if got := strings.Join(c.got(trace), ", "); !strings.HasPrefix(got, "GET ") || !strings.Contains(got, "queue, server hello, connect, wait, body") {
			t.Errorf("the spans are %s", got)
		}
	}
	comes(ask("/", true))
	quiet := ask("/", false)
	comes(ask("/?all=1", false))
	w.Do("upgrade")
	comes(ask("/", true))
	for _, p := range w.Processes() {
		if strings.Contains(p.Command, " desk") {
			p.Kill(t, syscall.SIGKILL)
		}
	}
	comes(ask("/", true)) // it waits in the edge until there is another desk
	if got := c.got(quiet); len(got) != 0 {
		t.Errorf("what nobody sampled is told: %v", got)
	}
	last := ask("/", true)
	w.Stop()
	if len(c.got(last)) == 0 {
		t.Error("what was asked for last is lost")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.bad) > 0 {
		t.Errorf("the collector cannot read %v", c.bad)
	}
}

// TestTracesOverUpgrades: while one edge follows another, and one desk another, no trace is lost.
func TestTracesOverUpgrades(t *testing.T) {
	c := collects(t)
	w := testkit.Run(t, testkit.Setup{Config: hello(2, "") + "traces: {to: '" + c.url + "', sample: 100%}\n"})
	waitWorkers(t, w, "hello", 2)
	f := testkit.Load{Address: w.Address, Conns: 4, Pause: 2 * time.Millisecond}.Start(t)
	for range 2 {
		f.After(t, 100)
		w.Do("upgrade")
	}
	f.After(t, 100)
	result := f.Stop()
	noneFailed(t, "GET", result, 300)
	number := func() int {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.traces)
	}
	testkit.Eventually(t, testkit.Patience, "all are there", func() bool { return number() >= result.Requests })
	if n := number(); n > result.Requests+1 { // one more waited for weir
		t.Errorf("%d traces of %d requests", n, result.Requests)
	}
}
