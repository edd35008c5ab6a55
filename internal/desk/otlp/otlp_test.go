package otlp

import (
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/testkit"
	"github.com/weirhq/weir/internal/trace"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// collector is one of traces, which answers as a test says.
type collector struct {
	t      *testing.T
	url    string
	answer func(n int) (status int, after string)

	mu    sync.Mutex
	asked int
	spans []*traces.Span
	heads []http.Header
	from  map[string]string
}

func collect(t *testing.T, answer func(n int) (int, string)) *collector {
	c := &collector{t: t, answer: answer}
	c.url = serve(t, "tcp", "127.0.0.1:0", http.HandlerFunc(c.take)) + "/v1/traces"
	return c
}

// serve serves until the test ends, and returns where.
func serve(t *testing.T, network, at string, h http.Handler) string {
	t.Helper()
	ln, err := net.Listen(network, at)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h}
	done := make(chan error, 1)
	go func() { done <- s.Serve(ln) }()
	t.Cleanup(func() { s.Close(); <-done })
	return "http://" + ln.Addr().String()
}

func (c *collector) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the sender has gone
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	c.heads = append(c.heads, r.Header)
	status, after := http.StatusOK, ""
	if c.answer != nil {
		status, after = c.answer(c.asked)
	}
	if status == http.StatusOK {
		var data traces.TracesData
		if err := proto.Unmarshal(body, &data); err != nil || len(data.ResourceSpans) != 1 {
			c.t.Errorf("%v: %v", err, &data)
			return
		}
		c.from = map[string]string{}
		for _, a := range data.ResourceSpans[0].Resource.Attributes {
			c.from[a.Key] = a.Value.GetStringValue()
		}
		c.spans = append(c.spans, data.ResourceSpans[0].ScopeSpans[0].Spans...)
	}
	if after != "" {
		w.Header().Set("Retry-After", after)
	}
	w.WriteHeader(status)
}

func (c *collector) got() (asked int, spans []*traces.Span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked, c.spans
}

// edge is one that tells lines to who listens.
type edge struct {
	socket string
	say    chan api.Spans // to whoever listened last
	come   chan struct{}
}

func newEdge(t *testing.T) *edge {
	e := &edge{socket: filepath.Join(t.TempDir(), "edge.sock"), say: make(chan api.Spans), come: make(chan struct{}, 10)}
	serve(t, "unix", e.socket, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		e.come <- struct{}{}
		for {
			select {
			case line := <-e.say:
				if line.Spans == 0 && line.Dropped == 0 {
					return // it ends
				}
				if api.WriteSpans(w, &line) != nil {
					return
				}
				w.(http.Flusher).Flush()
			case <-r.Context().Done():
				return
			}
		}
	}))
	return e
}

func begin(t *testing.T, e *edge, cfg *config.Traces) *Sender {
	client := api.NewClient(e.socket)
	s := New(client, "v9", "node")
	s.first = time.Millisecond
	s.Start()
	s.Use(cfg)
	t.Cleanup(func() { s.Stop(); client.Close() })
	return s
}

// some is n spans in one piece, each of them as long as it is said.
func some(n, long int) api.Spans {
	all := api.Spans{Spans: n}
	for range n {
		at := len(all.Data)
		all.Data = trace.AppendSpan(all.Data, &trace.Span{Trace: trace.NewID(), ID: trace.NewSpanID(), Name: "GET", Of: "all", Kind: trace.Server, Start: 5, End: 9})
		all.Data = trace.EndSpan(trace.AppendText(all.Data, "url.path", strings.Repeat("x", long)), at)
	}
	return all
}

// TestSends: what the edge tells is what a collector gets.
func TestSends(t *testing.T) {
	c, e := collect(t, nil), newEdge(t)
	s := begin(t, e, &config.Traces{To: c.url, Service: "shop", Fields: []config.NameValue{{Name: "Authorization", Value: "Bearer x"}}})
	told := some(2, 7)
	told.Dropped = 3
	e.say <- told
	e.say <- some(1, 0)
	testkit.Eventually(t, testkit.Patience, "they are there", func() bool { _, got := c.got(); return len(got) == 3 })
	_, got := c.got()
	for i, one := range got {
		if one.Name != "GET all" || one.StartTimeUnixNano != 5 || len(one.Attributes) != (map[bool]int{true: 1, false: 0}[i < 2]) {
			t.Errorf("%d is %v", i, one)
		}
	}
	c.mu.Lock()
	head := c.heads[0]
	if c.from["service.name"] != "shop" || c.from["service.version"] != "v9" || c.from["host.name"] != "node" || head.Get("Authorization") != "Bearer x" ||
		head.Get("Content-Type") != "application/x-protobuf" {
		t.Errorf("from %v, %v", c.from, head)
	}
	c.mu.Unlock()
	testkit.Eventually(t, testkit.Patience, "it is counted", func() bool { return s.Stats() == Stats{Sent: 3, Dropped: 3} })
}

// TestTriesAgain: a collector that cannot take them now is asked again, one that will not is not.
func TestTriesAgain(t *testing.T) {
	for _, row := range []struct {
		name   string
		answer func(n int) (int, string)
		want   Stats
		asked  int
	}{
		{"unavailable", func(n int) (int, string) { return map[bool]int{true: 503, false: 200}[n < 4], "" }, Stats{Sent: 2}, 4},
		{"busy, and says nonsense", func(n int) (int, string) { return map[bool]int{true: 429, false: 200}[n < 2], "soon" }, Stats{Sent: 2}, 2},
		{"refused", func(int) (int, string) { return 400, "" }, Stats{Refused: 2}, 1},
		{"sent elsewhere", func(int) (int, string) { return 302, "" }, Stats{Refused: 2}, 1},
		{"never", func(int) (int, string) { return 502, "" }, Stats{Dropped: 2}, tries},
	} {
		t.Run(row.name, func(t *testing.T) {
			c, e := collect(t, row.answer), newEdge(t)
			s := begin(t, e, &config.Traces{To: c.url})
			e.say <- some(2, 0)
			testkit.Eventually(t, testkit.Patience, "it is decided", func() bool {
				st := s.Stats()
				st.Problem = ""
				return st == row.want
			})
			if asked, _ := c.got(); asked != row.asked || (s.Stats().Problem == "") != (row.want.Sent > 0) {
				t.Errorf("asked %d times, %+v", asked, s.Stats())
			}
		})
	}
}

// TestBounded: a collector that never answers costs no memory without end, and keeps nobody waiting.
func TestBounded(t *testing.T) {
	hangs := make(chan struct{})
	url := serve(t, "tcp", "127.0.0.1:0", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hangs }))
	t.Cleanup(func() { close(hangs) })
	e := newEdge(t)
	s := begin(t, e, &config.Traces{To: url})
	const n, long, pieces = 10, 10_000, 2 * maxWaiting / (10 * 10_000)
	for range pieces {
		e.say <- some(n, long)
	}
	testkit.Eventually(t, testkit.Patience, "it is counted", func() bool {
		st := s.Stats()
		return st.Dropped > 0 && st.Waiting > 0 && st.Waiting*long <= maxWaiting && st.Dropped+uint64(st.Waiting)+batchBytes/long+n >= pieces*n
	})
	begun := time.Now()
	s.Stop()
	if took := time.Since(begun); took > lastHeard+lastWords+5*time.Second {
		t.Errorf("it stopped after %v", took)
	}
}

// TestCallsAgain: an edge that has said all, or has gone, is called again.
func TestCallsAgain(t *testing.T) {
	c, e := collect(t, nil), newEdge(t)
	s := begin(t, e, &config.Traces{To: c.url})
	for range 3 {
		e.say <- some(1, 0)
		e.say <- api.Spans{}
	}
	testkit.Eventually(t, testkit.Patience, "all came", func() bool { return s.Stats().Sent == 3 })
}

// TestUseNone: without traces in the configuration nothing is sent, and nothing kept.
func TestUseNone(t *testing.T) {
	c, e := collect(t, nil), newEdge(t)
	s := begin(t, e, nil)
	select {
	case <-e.come:
		t.Error("it listens")
	case <-time.After(50 * time.Millisecond):
	}
	s.Use(&config.Traces{To: c.url})
	e.say <- some(1, 0)
	testkit.Eventually(t, testkit.Patience, "it came", func() bool { return s.Stats().Sent == 1 })
	s.Use(nil)
	e.say <- some(1, 0)
	testkit.Eventually(t, testkit.Patience, "it is dropped", func() bool { return s.Stats().Dropped == 1 })
	if asked, _ := c.got(); asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

// TestStopSends: what is there when it stops is still sent.
func TestStopSends(t *testing.T) {
	c, e := collect(t, nil), newEdge(t)
	s := begin(t, e, &config.Traces{To: c.url})
	e.say <- some(7, 0)
	testkit.Eventually(t, testkit.Patience, "it is heard", func() bool { st := s.Stats(); return st.Waiting == 7 || st.Sent == 7 })
	s.Stop()
	if _, got := c.got(); len(got) != 7 {
		t.Errorf("%d came", len(got))
	}
}
