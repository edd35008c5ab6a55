package hostile

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/testkit"
)

// endless is an app with answers that never end. It counts those that are on their way.
func endless(t testing.TB) (address string, coming, asked *atomic.Int64) {
	t.Helper()
	coming, asked = new(atomic.Int64), new(atomic.Int64)
	handle := func(w http.ResponseWriter, r *http.Request) {
		piece := strings.Repeat("x", 100)
		switch {
		case strings.HasPrefix(r.URL.Path, "/breaks"):
			w.Header().Set("Cache-Control", "max-age=1, stale-while-revalidate=60")
			io.WriteString(w, strings.Repeat("x", 100)) //nolint:errcheck // who has left, has left
			if asked.Add(1) > 1 {
				w.(http.Flusher).Flush()
				panic(http.ErrAbortHandler)
			}
			return
		case strings.HasPrefix(r.URL.Path, "/stream"):
			piece = strings.Repeat("x", 64<<10)
		case strings.HasPrefix(r.URL.Path, "/events"):
			w.Header().Set("Content-Type", "text/event-stream")
			asked.Add(1)
		default:
			return
		}
		if r.URL.Path != "/events" {
			w.Header().Set("Cache-Control", "max-age=60")
		}
		coming.Add(1)
		defer coming.Add(-1)
		for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if _, err := io.WriteString(w, piece); err != nil {
				return
			}
			w.(http.Flusher).Flush()
		}
	}
	return testkit.ServeHTTP(t, http.HandlerFunc(handle)), coming, asked
}

func endlessSite(t testing.TB, address string) *testkit.Weir {
	t.Helper()
	return testkit.Run(t, testkit.Setup{Config: fmt.Sprintf(`
listen: {http: ["@ADDRESS@"]}
log: {access: {to: none}}
pools: {app: {servers: ["%s"]}}
sites: [{hosts: ["*"], routes: [{pool: app, cache: {default_ttl: 1m}}]}]
cache: {memory: 8MiB}
`, address)})
}

// TestAbandoned: what outgrows the cache is fetched for those who read it; when they have gone, it is not.
func TestAbandoned(t *testing.T) {
	app, coming, _ := endless(t)
	w := endlessSite(t, app)
	var all []net.Conn
	for i := range 6 {
		c, err := from("127.0.0.1", w.Address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		all = append(all, c)
		fmt.Fprintf(c, "GET /stream%d HTTP/1.1\r\nHost: a.test\r\n\r\n", i/2) // two for each, who share it if they are there in time
		if _, err := io.CopyN(io.Discard, c, 100<<10); err != nil {
			t.Fatal(err)
		}
	}
	if n := coming.Load(); n < 3 {
		t.Errorf("%d answers are coming", n)
	}
	for i, c := range all {
		if i != 1 { // one reads on
			c.Close()
		}
	}
	testkit.Eventually(t, testkit.Patience, "the app is let go", func() bool { return coming.Load() == 1 })
	if _, err := io.CopyN(io.Discard, all[1], 3<<20); err != nil {
		t.Errorf("who reads on: %v", err)
	}
	all[1].Close()
	testkit.Eventually(t, testkit.Patience, "the app is let go at last", func() bool { return coming.Load() == 0 })
}

// TestEventsAreNotShared: a stream of events is each client's own, unless the app itself says for how long it may be kept.
func TestEventsAreNotShared(t *testing.T) {
	app, coming, asked := endless(t)
	w := endlessSite(t, app)
	for i := range 3 {
		c, err := from("127.0.0.1", w.Address)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(c, "GET /events HTTP/1.1\r\nHost: a.test\r\n\r\n")
		if _, err := io.CopyN(io.Discard, c, 1<<10); err != nil {
			t.Fatal(err)
		}
		if n := asked.Load(); n != int64(i+1) {
			t.Errorf("the app was asked %d times by %d clients", n, i+1)
		}
		c.Close()
	}
	testkit.Eventually(t, testkit.Patience, "the app is let go", func() bool { return coming.Load() == 0 })
}

// TestRefreshBreaksOff: a refreshing that breaks off in the middle leaves what is kept as it is.
func TestRefreshBreaksOff(t *testing.T) {
	app, _, asked := endless(t)
	w := endlessSite(t, app)
	ask := func() (string, string, error) {
		_, body, status, err := exchange(w.Address, "GET", "GET /breaks HTTP/1.1\r\nHost: a.test\r\n\r\n")
		return body, status, err
	}
	want := strings.Repeat("x", 100)
	testkit.Eventually(t, testkit.Patience, "it is refreshed", func() bool {
		body, status, err := ask()
		if body != want || err != nil {
			t.Fatalf("%q, %v, %s", body, err, status)
		}
		return asked.Load() > 1
	})
	for range 20 {
		if body, status, err := ask(); body != want || err != nil || !strings.Contains(status, "hit") {
			t.Errorf("%q, %v, %s", body, err, status)
		}
	}
	if out := w.Output(); strings.Contains(out, "goroutine ") || strings.Contains(out, "fault") {
		t.Errorf("weir says %s", out)
	}
}
