package desk

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/desk/alert"
	"github.com/weirhq/weir/internal/testkit"
)

// hooked is a webhook that keeps what it gets.
type hooked struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	got    []alert.Message
}

func newHook(t *testing.T) *hooked {
	h := &hooked{status: 204}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m alert.Message
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(body, &m)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		if err != nil {
			t.Errorf("%v: %s", err, body)
		}
		if h.status == 204 {
			h.got = append(h.got, m)
		}
		w.WriteHeader(h.status)
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hooked) set(status int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status = status
}

// titles are those of the messages so far.
func (h *hooked) titles() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []string
	for i := range h.got {
		all = append(all, h.got[i].Title())
	}
	return strings.Join(all, "\n")
}

func (s *weir) pool(state string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := api.PoolCounters{PoolStatus: api.PoolStatus{Name: "web"}}
	p.Members = []api.ServerCounters{{ServerStatus: api.ServerStatus{Name: "127.0.0.1:1", Address: "127.0.0.1:1", State: state, Why: "refused"}}}
	c := *s.counters
	c.Pools = []api.PoolCounters{p}
	c.Routes = []api.RouteCounters{{Site: "www.example.com", Route: "www.example.com#1", Pool: "web"}}
	s.counters = &c
}

func alarming(h *hooked) string {
	return usual + `sites: [{hosts: [www.example.com, example.com], routes: [{pool: web}]}]
alerts:
  group_wait: 0s
  targets: {hook: {webhook: "` + h.URL + `"}, high: {webhook: "` + h.URL + `", severity: critical, resolved: false}}
  rules: {pool_down: {for: 0s, clear_for: 0s}, server_down: off, edge_down: off, budget: off}
availability: {example.com: 1s}
`
}

// TestAlarm: a pool dies, somebody is told, sees it, acknowledges it and silences it, and it is over.
func TestAlarm(t *testing.T) {
	h := newHook(t)
	s := start(t, alarming(h))
	s.pool("ready")
	s.eventually("picture of the pool", func() bool { return len(s.desk.hub.now.Load().Pools) == 1 })
	s.pool("down")
	const told = "[CRITICAL] "
	s.eventually("message to both", func() bool { return strings.Count(h.titles(), told) == 2 })
	bearer := []string{"Authorization", "Bearer " + token}
	for _, c := range []struct {
		method, path, body string
		fields             []string
		status             int
		has                string
	}{
		{"GET", "/api/v1/alerts", "", nil, 200, `"rule":"pool_down","subject":"web","state":"firing","severity":"critical"`},
		{"GET", "/api/v1/problems", "", nil, 200, `{"problems":[],"missed":0}`},
		{"GET", "/api/v1/downtime", "", nil, 200, `"name":"www.example.com"`},
		{"GET", "/api/v1/downtime", "", nil, 200, `"budget_s":1,`},
		{"GET", "/api/v1/downtime?month=nov", "", nil, 422, "month is not such as"},
		{"POST", "/api/v1/alerts/acknowledge", `{"alert":"pool_down"}`, nil, 401, "sign in"},
		{"POST", "/api/v1/alerts/acknowledge", `{"alert":"pool_down web","why":"on my way"}`, bearer, 200, `["pool_down web"]`},
		{"POST", "/api/v1/alerts/acknowledge", `{"alert":"nothing"}`, bearer, 422, "no alert"},
		{"POST", "/api/v1/alerts/acknowledge", `{"alert":"pool_down","why":"` + strings.Repeat("x", 600) + `"}`, bearer, 422, "too long"},
		{"POST", "/api/v1/alerts/silence", `{"rule":"disk","for":"2h","why":"cleaning"}`, nil, 401, "sign in"},
		{"POST", "/api/v1/alerts/silence", `{"rule":"disk","for":"2h","why":"cleaning"}`, bearer, 200, `"id":"s`},
		{"POST", "/api/v1/alerts/silence", `{"rule":"disk","for":"soon"}`, bearer, 422, "which is not a time such as 30m"},
		{"POST", "/api/v1/alerts/silence", `{"rule":"disk","for":"-2h"}`, bearer, 422, "which is not a time such as 30m"},
		{"POST", "/api/v1/alerts/silence", `{"rule":"memory","for":"1d"}`, bearer, 200, `"rule":"memory"`},
		{"POST", "/api/v1/alerts/silence", `{"rule":"disks","for":"2h"}`, bearer, 422, "no rule is called so: there is "},
		{"POST", "/api/v1/alerts/silence", `{"rule":"disk","for":"2h","why":"a\n\u001b[2Jb\u202e"}`, bearer, 200, `"why":"a  [2Jb"`},
		{"POST", "/api/v1/alerts/silence", `{"rule":"disk"}`, bearer, 422, "until when?"},
		{"POST", "/api/v1/alerts/silence", `{"rule":"disk","until":"2001-01-01T00:00:00Z"}`, bearer, 422, "ends before it begins"},
		{"POST", "/api/v1/alerts/silence", `{"for":"2h"}`, bearer, 422, "silence of everything"},
		{"POST", "/api/v1/alerts/silence", `{"end":"s99"}`, bearer, 422, "there is no silence"},
		{"POST", "/api/v1/alerts/test", `{"target":"nobody"}`, bearer, 422, "the targets are [hook high]"},
		{"POST", "/api/v1/alerts/test", `{"target":"hook"}`, nil, 401, "sign in"},
		{"POST", "/api/v1/alerts/test", `{"target":"hook"}`, bearer, 200, "{}"},
		{"GET", "/api/v1/alerts", "", nil, 200, `"by":"token","why":"on my way"`},
		{"GET", "/api/v1/alerts", "", nil, 200, `"by":"token","why":"cleaning"`},
		{"GET", "/api/v1/alerts", "", nil, 200, `"target":"hook","how":"webhook","waiting":0,"sent":2`},
		{"GET", "/api/v1/events", "", nil, 200, `"kind":"alert","subject":"pool_down web"`},
		{"GET", "/api/v1/events", "", nil, 200, `"text":"acknowledged pool_down web: on my way","by":"token"`},
	} {
		if status, text, _ := s.ask(c.method, c.path, c.body, c.fields...); status != c.status || !strings.Contains(text, c.has) {
			t.Errorf("%s %s %s: %d %s; want %d and %q", c.method, c.path, c.body, status, text, c.status, c.has)
		}
	}
	h.set(500)
	if status, text, _ := s.ask("POST", "/api/v1/alerts/test", `{"target":"hook"}`, bearer...); status != http.StatusBadGateway || !strings.Contains(text, "it answered 500") {
		t.Error(status, text)
	}
	// Who is told now gets it later, from another desk; nothing is told twice.
	s.pool("ready")
	s.eventually("message that fails", func() bool {
		_, text, _ := s.ask("GET", "/api/v1/alerts", "")
		return strings.Contains(text, `"waiting":1`)
	})
	s.end()
	h.set(204)
	s.begin(alarming(h))
	s.eventually("end", func() bool { return strings.Contains(h.titles(), "[over]") })
	if text := h.titles(); strings.Count(text, told) != 2 || strings.Count(text, "[over]") != 1 {
		t.Error(text)
	}
	_, text, _ := s.ask("GET", "/api/v1/downtime", "")
	if !strings.Contains(text, `"cause":"the pool web was down"`) && !strings.Contains(text, `"down_s":0,`) {
		t.Error(text)
	}
}

// TestAlarmOfABudget: who was down for longer than promised is told so.
func TestAlarmOfABudget(t *testing.T) {
	h := newHook(t)
	s := start(t, strings.Replace(alarming(h), ", budget: off", "", 1))
	s.pool("down")
	s.eventually("message", func() bool {
		return strings.Contains(h.titles(), "www.example.com was down for ") && strings.Contains(h.titles(), "its budget of 1s is used up")
	})
}

// TestAlarmThatNobodyTook: what a target refused is told once the target is another.
func TestAlarmThatNobodyTook(t *testing.T) {
	h := newHook(t)
	s := start(t, alarming(h))
	s.pool("ready")
	s.eventually("picture of the pool", func() bool { return len(s.desk.hub.now.Load().Pools) == 1 })
	h.set(404)
	s.pool("down")
	s.eventually("refusal that is known", func() bool {
		_, text, _ := s.ask("GET", "/api/v1/alerts", "")
		return strings.Count(text, `"dropped":1`) == 2 && strings.Contains(text, `"rule":"pool_down"`) && !strings.Contains(text, `"told"`)
	})
	h.set(204)
	s.end()
	s.begin(alarming(h))
	s.eventually("message to both", func() bool { return strings.Count(h.titles(), "[CRITICAL] ") == 2 })
}

// TestTwoWeirsOneFolder: what one weir has still to send is not sent by another that is given the same folder, by mistake. The first one sends it, once.
func TestTwoWeirsOneFolder(t *testing.T) {
	keep := filepath.Join(t.TempDir(), "kept")
	with := func(h *hooked) string { return strings.Replace(alarming(h), "token:", "keep: "+keep+", token:", 1) }
	h, other := newHook(t), newHook(t)
	h.set(503)
	s := start(t, with(h))
	s.pool("ready")
	s.eventually("picture of the pool", func() bool { return len(s.desk.hub.now.Load().Pools) == 1 })
	s.pool("down")
	waiting := func(s *weir) (n int) {
		for _, t := range s.desk.hub.alarm.sender.Status() {
			n += t.Waiting
		}
		return n
	}
	s.eventually("messages that wait", func() bool { return waiting(s) == 2 })
	s.eventually("messages that are kept", func() bool {
		var l left
		(&shelf{dir: keep, files: map[string]*filed{}}).read("alerts", into(&l))
		return len(l.Messages) == 2
	})
	second := start(t, with(other))
	for _, target := range second.desk.hub.alarm.sender.Status() {
		if target.Waiting+int(target.Sent+target.Failed+target.Dropped) > 0 {
			t.Errorf("another weir has taken on: %+v", target)
		}
	}
	second.end()
	if got := other.titles(); got != "" {
		t.Errorf("another weir has sent %s", got)
	}
	h.set(204)
	s.end()
	s.begin(with(h))
	s.eventually("messages of the first", func() bool { return strings.Count(h.titles(), "[CRITICAL] ") == 2 })
}

// TestAlarmOfErrors: what a worker prints is followed over a break, each line once.
func TestAlarmOfErrors(t *testing.T) {
	h := newHook(t)
	s := start(t, alarming(h))
	s.print("Traceback (most recent call last):", `  File "/a.py", line 1, in f`, "KeyError: 'x'", "going on")
	problems := func() string {
		_, text, _ := s.ask("GET", "/api/v1/problems", "")
		return text
	}
	s.eventually("problem", func() bool { return strings.Contains(problems(), `"shape":"KeyError: “…”"`) })
	s.eventually("message", func() bool { return strings.Contains(h.titles(), "web printed an error that is new: KeyError") })
	s.end()
	s.begin(alarming(h))
	s.print("Traceback (most recent call last):", `  File "/a.py", line 1, in f`, "KeyError: 'y'", "going on")
	s.eventually("second", func() bool { return strings.Contains(problems(), `"count":2,`) })
	if text := h.titles(); strings.Count(text, "is new") != 1 {
		t.Error(text)
	}
}

// TestErrorsOutliveAKill: errors that come faster than the keeper holds them are left before it has forgotten them.
func TestErrorsOutliveAKill(t *testing.T) {
	h := newHook(t)
	s := start(t, alarming(h))
	var l left
	for range manyLines / 2 { // however many of them are left with the first message, what comes then is more than manyLines
		s.print("Traceback (most recent call last):", `  File "/a.py", line 1, in f`, "KeyError: 'x'", "going on", "and on")
	}
	s.eventually("errors that are left", func() bool {
		f, err := os.Open((&shelf{dir: s.dir}).path("alerts"))
		if err != nil {
			return false
		}
		defer f.Close()
		l = left{}
		return (&shelf{files: map[string]*filed{}}).unpack("alerts", f, into(&l)) == nil && l.Seq > manyLines && len(l.Errors.Problems) == 1 && l.Errors.Problems[0].Count > manyLines/5
	})
}

// TestKeptElsewhere: what is to outlive the machine's restart lies where the configuration says, and where systemd does.
func TestKeptElsewhere(t *testing.T) {
	h := newHook(t)
	dir := filepath.Join(t.TempDir(), "weir")
	s := start(t, strings.Replace(alarming(h), "admin: {", "admin: {keep: "+dir+", ", 1))
	there := func(dir string) {
		t.Helper()
		for name := range forms {
			s.eventually(name, func() bool { _, err := os.Stat((&shelf{dir: dir}).path(name)); return err == nil })
		}
	}
	s.end()
	there(dir)
	for name := range forms {
		if _, err := os.Stat((&shelf{dir: s.dir}).path(name)); err == nil {
			t.Errorf("%s is in the run directory too", name)
		}
	}
	t.Setenv("STATE_DIRECTORY", dir+".state:/other")
	s.begin(alarming(h))
	s.end()
	there(dir + ".state")
}

func TestCertificates(t *testing.T) {
	authority := testkit.NewAuthority(t)
	cert, key := authority.Issue("desk", "127.0.0.1", nil)
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{cert: "", empty: "there is no certificate in ", empty + ".gone": "no such file"} {
		all := certificates(&config.Config{Admin: &config.Admin{TLS: &config.AdminTLS{Cert: file, Key: key}}})
		if len(all) != 1 || all[0].Name != "admin" || !strings.Contains(all[0].Problem, want) || (want == "") != (all[0].Problem == "") || want == "" && time.Until(all[0].End) < time.Hour {
			t.Errorf("%s: %+v", file, all)
		}
	}
}

// print has workers of the fake keeper print lines.
func (s *weir) print(lines ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, lines...)
	if s.printed != nil {
		close(s.printed)
		s.printed = nil
	}
}

// serveOutput tells them as the keeper does.
func (s *weir) serveOutput(w http.ResponseWriter, r *http.Request) {
	next := 0
	fmt.Sscan(r.URL.Query().Get("since"), &next) //nolint:errcheck // from the first
	for {
		s.mu.Lock()
		lines := s.lines[min(next, len(s.lines)):]
		if s.printed == nil {
			s.printed = make(chan struct{})
		}
		wait := s.printed
		s.mu.Unlock()
		for _, text := range lines {
			if json.NewEncoder(w).Encode(map[string]any{"seq": next, "at": time.Now(), "app": "web", "worker": "web/1", "text": text}) != nil {
				return
			}
			next++
		}
		w.(http.Flusher).Flush()
		select {
		case <-wait:
		case <-r.Context().Done():
			return
		}
	}
}
