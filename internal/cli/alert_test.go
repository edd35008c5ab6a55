package cli

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/desk"
	"github.com/weirhq/weir/internal/desk/alert"
	"github.com/weirhq/weir/internal/desk/grouping"
	"github.com/weirhq/weir/internal/desk/notify"
	"github.com/weirhq/weir/internal/desk/outage"
)

// fakeDesk answers on a run directory's socket; it returns what was posted.
func fakeDesk(t *testing.T, answers map[string]any) func() string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("WEIR_RUN_DIR", dir)
	ln, err := net.Listen("unix", filepath.Join(dir, "desk.sock"))
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var posted []string
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		if r.Method == http.MethodPost {
			posted = append(posted, r.URL.Path+" "+string(body))
		}
		v, is := answers[r.URL.RequestURI()]
		if !is || err != nil {
			api.AnswerError(w, http.StatusUnprocessableEntity, io.ErrUnexpectedEOF)
			return
		}
		api.Answer(w, http.StatusOK, v)
	})}
	done := make(chan struct{})
	go func() { defer close(done); s.Serve(ln) }() //nolint:errcheck // it ends with the test
	t.Cleanup(func() { s.Close(); <-done })
	return func() string { mu.Lock(); defer mu.Unlock(); return strings.Join(posted, "\n") }
}

func TestAlertVerbs(t *testing.T) {
	now := time.Now()
	minute := now.Add(-61 * time.Second)
	posted := fakeDesk(t, map[string]any{
		"/api/v1/alerts": desk.Alerts{
			Alerts: []alert.Alert{
				{Rule: "node_down", Subject: "10.0.0.1", State: alert.Firing, Severity: "critical", Text: "nothing answers at 10.0.0.1\x1b[31m", Since: minute, Explains: []string{"a", "b"}, Ack: &alert.Ack{By: "ann", Why: "on my way"}},
				{Rule: "server_down", Subject: "web/a", State: alert.Firing, Severity: "warning", Text: "down", Since: minute, By: "node_down 10.0.0.1", Silenced: "s1"},
				{Rule: "errors", Subject: "www", State: alert.Pending, Severity: "critical", Text: "7 % of the requests", Since: minute},
				{Rule: "disk", Subject: "/var", State: alert.Resolved, Since: minute, Ended: minute.Add(30 * time.Second)},
			},
			Silences: []alert.Silence{{ID: "s1", Rule: "server_down", Until: now.Add(2*time.Hour + 30*time.Second), By: "ann", Why: "switches"}},
			Targets:  []notify.Status{{Target: "ops", How: "email", Sent: 3, Problem: "550 no"}},
		},
		"/api/v1/alerts/test":        struct{}{},
		"/api/v1/alerts/silence":     alert.Silence{ID: "s7", Until: now},
		"/api/v1/alerts/acknowledge": map[string][]string{"acknowledged": {"node_down 10.0.0.1"}},
		"/api/v1/problems":           desk.Problems{Problems: []grouping.Problem{{App: "web", Shape: "KeyError: “…”", Where: "views.py show", Count: 12, First: minute, Last: minute, Sample: []string{"KeyError: 'x'"}}}, Missed: 5},
	})
	for _, c := range []struct {
		args []string
		want []string
		not  string
	}{
		{[]string{"alert", "list"}, []string{"critical  nothing answers at 10.0.0.1\\x1b[31m\n", "node_down 10.0.0.1, for 1m 1s, explains 2 more, acknowledged by ann: on my way\n", "because of node_down 10.0.0.1, silenced by s1\n",
			"pending   7 % of the requests\n", "silence s1: server_down, for 2h 0m more, by ann: switches\n", "target ops (email): 3 sent, 0 wait, 0 dropped; the last try failed: 550 no\n"}, "over "},
		{[]string{"alert", "list", "--all"}, []string{"over      disk /var, 31s ago, after 30s\n"}, ""},
		{[]string{"alert", "test", "ops"}, []string{"ops took it\n"}, ""},
		{[]string{"alert", "silence", "server_down", "web/*", "--for", "1d12h", "--why", "x"}, []string{", nothing that fires now; weir alert unsilence s7 ends it\n"}, ""},
		{[]string{"alert", "unsilence", "s7"}, nil, ""},
		{[]string{"alert", "ack", "node_down", "10.0.0.1"}, []string{"acknowledged node_down 10.0.0.1\n"}, ""},
		{[]string{"alert", "problems"}, []string{"12 × web: KeyError: “…”\n", "views.py show, the last 1m", "5 lines of workers were not looked at"}, "| KeyError"},
		{[]string{"alert", "problems", "--sample"}, []string{"    | KeyError: 'x'\n"}, ""},
	} {
		out, err := say(t, c.args...)
		if err != nil || c.not != "" && strings.Contains(out, c.not) {
			t.Errorf("%v: %v\n%s", c.args, err, out)
		}
		for _, want := range c.want {
			if !strings.Contains(out, want) {
				t.Errorf("%v: no %q in\n%s", c.args, want, out)
			}
		}
	}
	var a desk.Alerts
	if out, err := say(t, "alert", "list", "--json"); err != nil || json.Unmarshal([]byte(out), &a) != nil || len(a.Alerts) != 4 {
		t.Error(out, err)
	}
	want := `/api/v1/alerts/test {"target":"ops"}
/api/v1/alerts/silence {"rule":"server_down","subject":"web/*","for":"36h0m0s","why":"x"}
/api/v1/alerts/silence {"end":"s7"}
/api/v1/alerts/acknowledge {"alert":"node_down 10.0.0.1"}`
	if posted() != want {
		t.Errorf("posted\n%s\nwant\n%s", posted(), want)
	}
}

func TestDowntimeVerb(t *testing.T) {
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	budget, left, over := 2700.0, 1980.0, -61.0
	r := outage.Report{Month: "2026-11", Since: at, Unseen: 41, Sites: []outage.Site{
		{Name: "www", Down: 720, Count: 1, Budget: &budget, Left: &left, List: []outage.Outage{{Begin: at, End: at.Add(12 * time.Minute), Cause: "the pool web was down", Open: true}}},
		{Name: "api", Down: 2761, Count: 1, Budget: &budget, Left: &over, Now: true, List: []outage.Outage{{Begin: at, Cause: "the process that serves did not answer"}}},
		{Name: "old"},
	}}
	answers := map[string]any{"/api/v1/downtime?month=": r, "/api/v1/downtime?month=2026-10": outage.Report{Month: "2026-10", Sites: []outage.Site{}}}
	for month, unseen := range map[string]float64{"2026-09": 2592000, "2024-01": 0, "2026-12": 0, "2023-01": 0} {
		answers["/api/v1/downtime?month="+month] = outage.Report{Month: month, Since: at.AddDate(-3, 0, 0), At: at, Unseen: unseen, Sites: []outage.Site{}}
	}
	fakeDesk(t, answers)
	out, err := say(t, "downtime")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"2026-11, from 2026-11-21 12:00 on\n", "www   12m     1        45m     33m", "api   46m 1s  1        45m     over by 1m 1s  DOWN NOW", "old   0s      0        -       -",
		"www  11-21 12:00:00 - 12:12:00  the pool web was down (then nobody looked: it may have lasted)\n", "api  11-21 12:00:00 - now  the process that serves did not answer\n", "for 41s nobody looked: that is neither up nor down\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	for month, want := range map[string]string{"2026-09": "2026-09: nobody looked\n", "2024-01": "2024-01: that was too long ago, and is not known any more\n", "2026-12": "2026-12 is to come\n", "2023-01": "2023-01: nobody looked; the book begins on 2023-11-21 12:00\n"} {
		if out, err := say(t, "downtime", month); err != nil || out != want {
			t.Errorf("%s: %q %v, want %q", month, out, err, want)
		}
	}
	if out, err := say(t, "downtime", "2026-09", "--json"); err != nil || !strings.Contains(out, `"seen_s": 0`) {
		t.Errorf("%q %v", out, err)
	}
	if out, err := say(t, "downtime", "2026-10"); err != nil || out != "2026-10\nSITE  DOWN  OUTAGES  BUDGET  LEFT\n" {
		t.Errorf("%q %v", out, err)
	}
}

func TestWrongUseOfAlerts(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("WEIR_RUN_DIR", dir)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"alert", "lst"}, "there is no command \"lst\": did you mean list or test? (`weir alert --help` shows them all)"},
		{[]string{"alert", "test"}, "which target?"},
		{[]string{"alert", "silence"}, "which alerts?"},
		{[]string{"alert", "silence", "pool_down", "api", "2h"}, "\"2h\" is too much: write a rule and maybe a subject, in quotes if it has blanks, and --for 2h"},
		{[]string{"alert", "silence", "pool_down", "--for", "2"}, "--for 2: write a time such as 30s, 2h or 1d"},
		{[]string{"alert", "silence", "pool_down", "--for", "-2h"}, "write a time such as 30s, 2h or 1d"},
		{[]string{"alert", "ack"}, "which alert?"},
		{[]string{"alert", "unsilence"}, "which silence?"},
		{[]string{"alert", "list"}, "no weir answers in " + dir + ": is it running, and with this run directory? (--run-dir DIR names another)"},
		{[]string{"alert", "silence", "disk", "--for", "2x"}, "--for 2x: write a time such as 30s, 2h or 1d"},
		{[]string{"alert", "silence", "disk", "--for", "-2h"}, "--for -2h: write a time such as"},
		{[]string{"downtime", "november"}, "\"november\" is no month: write such as 2026-11"},
		{[]string{"downtime", "2026-10", "2026-11"}, "one month is shown at a time"},
	} {
		if _, err := say(t, c.args...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %s", c.args, err, c.want)
		}
	}
}

// TestAlertsWithoutDesk: who has configured nothing that tells is told so, not that there is no weir.
func TestAlertsWithoutDesk(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("WEIR_RUN_DIR", dir)
	serve(t, api.KeeperSocket(dir), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { api.Answer(w, 200, api.Status{File: "site.yaml"}) }))
	for _, args := range [][]string{{"alert", "list"}, {"downtime"}} {
		if _, err := say(t, args...); err == nil || !strings.HasPrefix(err.Error(), "site.yaml has neither alerts: nor availability: nor admin:") || !strings.Contains(err.Error(), "write `admin: {}` into it") {
			t.Errorf("%v: %v", args, err)
		}
	}
}

// TestMonthsOfDowntime: a month that nobody saw is not one without an outage.
func TestMonthsOfDowntime(t *testing.T) {
	since := time.Date(2026, 11, 21, 8, 12, 0, 0, time.UTC)
	budget := 2700.0
	for month, want := range map[string]string{
		"2026-10": "2026-10: nobody looked; the book begins on 2026-11-21 08:12\n",
		"2027-02": "2027-02 is to come\n",
		"2026-11": "2026-11, from 2026-11-21 08:12 on\nSITE  DOWN  OUTAGES  BUDGET  LEFT\nwww   0s    0        45m     45m\n",
		"2026-12": "2026-12\nSITE  DOWN  OUTAGES  BUDGET  LEFT\nwww   0s    0        45m     45m\n",
	} {
		var out bytes.Buffer
		r := outage.Report{At: since.AddDate(0, 1, 0), Since: since, Month: month, Sites: []outage.Site{{Name: "www", Budget: &budget, Left: &budget}}}
		if err := showDowntime(&out, r); err != nil || out.String() != want {
			t.Errorf("%s: %v\n%s", month, err, out.String())
		}
	}
}
