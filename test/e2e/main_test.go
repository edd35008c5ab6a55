package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/testkit"
)

// Alone are those that hold a rate for some seconds and count who is served in time.
func TestMain(m *testing.M) {
	testkit.Main(m, "TestTenTimesTheLoad", "TestOneGreedyClient", "TestNewestFirst", "TestMaxConnIsFound")
}

// site is a configuration with one app, hello, behind every host. Each %s takes further lines: of the app, of its
// pool, and of the whole.
const site = `
listen: {http: ["@ADDRESS@"]}
log: {access: {to: none}}
apps:
  hello:
    command: "@HELLO@"
    socket: true
    ready: {path: /healthz, within: 20s, every: 20ms}
    backoff: {min: 20ms, max: 200ms}
    workers: %d
%s
`

// hello is that configuration with so many workers and further lines.
func hello(workers int, more string) string { return fmt.Sprintf(site, workers, more) }

// request sends a GET on a connection and returns the answer.
func request(c *testkit.Conn, path string) *testkit.Message {
	c.Send("GET " + path + " HTTP/1.1\r\nHost: e2e.test\r\n\r\n")
	return c.Response("GET")
}

// noneFailed judges a load.
func noneFailed(t *testing.T, what string, r testkit.Result, atLeast int) {
	t.Helper()
	t.Logf("%s: %v", what, r)
	if r.Failed() > 0 {
		t.Errorf("%s: %d requests failed", what, r.Failed())
	}
	if r.Requests < atLeast {
		t.Errorf("%s: only %d requests, want %d at least", what, r.Requests, atLeast)
	}
}

// pids returns the processes' numbers as a set.
func pids(all []testkit.Process) map[int]bool {
	set := map[int]bool{}
	for _, p := range all {
		set[p.PID] = true
	}
	return set
}

// waitWorkers waits until an app has so many workers that get requests, and returns them.
func waitWorkers(t *testing.T, w *testkit.Weir, app string, n int) (all []testkit.Process) {
	t.Helper()
	testkit.Eventually(t, 20*time.Second, fmt.Sprintf("%d workers of %s are there", n, app), func() bool {
		all = w.Workers(app)
		return len(all) >= n
	})
	return all
}

// oneLine expects one clear line of error, and no stack.
func oneLine(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("it does not say %q: %s", p, text)
		}
	}
	if strings.Contains(text, "goroutine ") || strings.Contains(text, "panic") {
		t.Errorf("a stack: %s", text)
	}
}
