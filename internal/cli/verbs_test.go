package cli

import (
	"bytes"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/api"
)

// say runs the command line and returns what it writes to standard output, and its error.
func say(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out, errs bytes.Buffer
	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(&out)
	root.SetErr(&errs)
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

func TestWrongUseIsOneLine(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("WEIR_RUN_DIR", dir)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"run"}, "one configuration file is run: write weir run FILE"},
		{[]string{"runn"}, "there is no command \"runn\": did you mean run? (`weir --help` shows them all)"},
		{[]string{"frobnicate"}, "there is no command \"frobnicate\" (`weir --help` shows them all)"},
		{[]string{"site.yaml"}, "there is no command \"site.yaml\": to run that file, write weir run site.yaml"},
		{[]string{"version", "x"}, "weir version takes no argument, and there is \"x\""},
		{[]string{"status", "web"}, "weir status takes no argument, and there is \"web\""},
		{[]string{"reload", "a", "b"}, "one app is reloaded at a time: write weir reload APP"},
		{[]string{"status"}, "no weir answers in " + dir + ": is it running, and with this run directory?"},
		{[]string{"reload", "--run-dir", dir + "/x"}, "no weir answers in " + dir + "/x"},
		{[]string{"stop"}, "no weir answers in " + dir},
		{[]string{"stop", "--within", "-1s"}, "write a time such as 10s"},
		{[]string{"stop", "--within", "5"}, "--within 5: write a time such as 10s"},
		{[]string{"explain", dir + "/none.yaml", "/"}, dir + "/none.yaml: the file cannot be read: no such file or directory"},
		{[]string{"stop", "--wihtin", "1s"}, "unknown flag: --wihtin: did you mean --within? (`weir stop --help` shows the flags)"},
		{[]string{"stop", "--frobnicate"}, "unknown flag: --frobnicate (`weir stop --help` shows the flags)"},
		{[]string{"log", "-n", "x"}, "--lines x: write a whole number"},
		{[]string{"drain", "web/1", "--wait", "1sec"}, "--wait 1sec: write a time such as 30s, 2h or 1d"},
		{[]string{"edge"}, "weir run"},
	} {
		_, err := say(t, c.args...)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n\n\n") {
			t.Errorf("%v: %v, want %s", c.args, err, c.want)
		}
	}
	t.Setenv("WEIR_LOOPS", "many")
	if _, err := say(t, "run", "x.yaml"); err == nil || !strings.Contains(err.Error(), "WEIR_LOOPS=many: write a number") {
		t.Error(err)
	}
}

func TestVersion(t *testing.T) {
	release = "v9.8.7"
	defer func() { release = "" }()
	if out, err := say(t, "version"); err != nil || !strings.HasPrefix(out, "weir v9.8.7 go") {
		t.Error(out, err)
	}
	if out, err := say(t, "--version"); err != nil || !strings.HasPrefix(out, "weir v9.8.7 go") {
		t.Error(out, err)
	}
	release = ""
	if version() == "" {
		t.Error("no version")
	}
}

func TestStatusOverTheSocket(t *testing.T) {
	dir := t.TempDir()
	ln, err := net.Listen("unix", filepath.Join(dir, "weir.sock"))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/status":
			api.Answer(w, 200, api.Status{Version: "v1", PID: 12, File: "f", Apps: []api.AppStatus{{Name: "web"}, {Name: "jobs"}}})
		case "/v1/reload":
			var in api.Reload
			if err := api.ReadRequest(w, r, &in); err != nil || in.App != "web" {
				api.AnswerError(w, 422, http.ErrNotSupported)
				return
			}
			api.Answer(w, 200, struct{}{})
		case "/v1/stop", "/v1/reopen":
			api.Answer(w, 200, struct{}{})
		}
	}), ReadHeaderTimeout: time.Second}
	done := make(chan struct{})
	go func() { server.Serve(ln); close(done) }()
	defer func() { server.Close(); <-done }()
	for want, args := range map[string][]string{
		`"version": "v1"`:              {"status", "--json"},
		"weir v1, process 12":          {"status"},
		"reloaded app web":             {"reload", "web"},
		"opened the access log anew\n": {"reopen"},
		"stopped":                      {"stop", "--within", "1s"},
		"edge      DOWN, 0 restarts\n": {"status"},
	} {
		if out, err := say(t, append(args, "--run-dir", dir)...); err != nil || !strings.Contains(out, want) {
			t.Errorf("%v: %q %v", args, out, err)
		}
	}
	for want, args := range map[string][]string{
		"web\njobs\n:4\n": {"__complete", "reload", "--run-dir", dir, ""},
		":4\n":            {"__complete", "reload", "--run-dir", dir, "web", ""},
		"yaml\nyml\n:8\n": {"__complete", "run", ""},
	} {
		if out, err := say(t, args...); err != nil || out != want {
			t.Errorf("%v: %q %v, want %q", args, out, err, want)
		}
	}
	if _, err := say(t, "reload", "--run-dir", dir); err == nil || err.Error() != http.ErrNotSupported.Error() {
		t.Error(err)
	}
}

var trailing = regexp.MustCompile(`(?m) +$`)

func TestStatusForPeople(t *testing.T) {
	now, half := time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC), 500
	s := api.Status{
		Version: "v1", PID: 12, File: "/etc/site.yaml", Since: "2026-01-02T23:00:00Z", EdgeRestarts: 1, Listen: []string{":80", "/s"},
		Problem: "reload: a\n  b",
		Edge: &api.EdgeStatus{PID: 13, Connections: 4, Requests: 5, Active: 1, Status: [6]uint64{2: 4, 5: 1}, LogDropped: 2, Pools: []api.PoolStatus{
			{Name: "web", Queued: 3, Servers: []api.ServerStatus{{Name: "web/1.1", State: "ready", Active: 1, Limit: 6, Requests: 5},
				{Name: "10.0.0.5:80", State: "down", Since: "2026-01-02T23:59:30Z", Why: "check fails", Check: "connection refused", Share: &half}}}, {Name: "empty", Queued: 4, Breaker: "half open"}}},
		Apps: []api.AppStatus{{Name: "web", Workers: []api.WorkerStatus{
			{Name: "web/1.1", PID: 14, State: "live", Since: "2026-01-02T23:59:50Z"},
			{Name: "web/2", State: "failing", Since: "2026-01-01T00:00:00Z", Restarts: 7, Looping: true, Last: "web/2.8 died"}}}},
	}
	var out bytes.Buffer
	if err := show(&out, s, now, false); err != nil {
		t.Fatal(err)
	}
	want := `weir v1, process 12, up 1h00m
file      /etc/site.yaml
listens   :80, /s
edge      process 13, 1 restart, 4 connections, 5 requests (1 now), 2xx 4, 3xx 0, 4xx 0, 5xx 1
          0 faults, 0 slow turns, 2 log lines dropped
PROBLEM   reload: a
            b
PROBLEM   CRASH LOOP: 1 of 2 workers of web die again and again: web/2.8 died

WORKER   STATE               FOR  PROCESS  RESTARTS  LAST END
web/1.1  live                10s  14       0         
web/2    failing CRASH LOOP  2d   -        7         web/2.8 died

POOL   SERVER       STATE              FOR  ACTIVE  IDLE  REQUESTS  ERRORS  QUEUED  HEALTH
web                                                                         3
       web/1.1      ready              -    1/6     0     5         0
       10.0.0.5:80  down               30s  0       0     0         0               check fails: connection refused; 50% of its share
empty               breaker half open                                       4
`
	if got := trailing.ReplaceAllString(out.String(), ""); got != trailing.ReplaceAllString(want, "") {
		t.Errorf("%s", got)
	}
	out.Reset()
	if err := show(&out, s, now, true); err != nil || !strings.Contains(out.String(), "\n\x1b[1;31mPROBLEM   CRASH LOOP: ") {
		t.Error("a problem is not red on a terminal", err)
	}
}
