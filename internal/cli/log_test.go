package cli

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/cache"
	"github.com/weirhq/weir/internal/journal"
)

// fakeEdge answers GET /v1/log in a run directory, and is what its edge.sock leads to.
type fakeEdge struct {
	t      *testing.T
	server *http.Server
	told   chan string   // goes out to who listens
	passed chan struct{} // what was told has been sent
	asked  chan string   // the queries
	past   []string      // what is kept
	gone   chan struct{} // it ends
	once   sync.Once
}

func newFakeEdge(t *testing.T, dir, name string, past ...string) *fakeEdge {
	t.Helper()
	ln, err := net.Listen("unix", filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	e := &fakeEdge{t: t, told: make(chan string), passed: make(chan struct{}), asked: make(chan string, 10), past: past, gone: make(chan struct{})}
	e.server = &http.Server{Handler: e, ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() { defer close(done); _ = e.server.Serve(ln) }() // ends with ErrServerClosed
	t.Cleanup(func() { e.end(); <-done })
	next := filepath.Join(dir, "next")
	if err := errors.Join(os.Symlink(name, next), os.Rename(next, filepath.Join(dir, "edge.sock"))); err != nil {
		t.Fatal(err)
	}
	return e
}

func (e *fakeEdge) end() { e.once.Do(func() { close(e.gone); e.server.Close() }) }

// tell tells one who listens, and waits until it has gone out.
func (e *fakeEdge) tell(text string) {
	e.told <- text
	<-e.passed
}

func (e *fakeEdge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	e.asked <- r.URL.RawQuery
	if q.Get("recent") != "" || q.Get("since") != "" {
		for _, s := range e.past {
			w.Write([]byte(s + "\n")) //nolint:errcheck // a test's
		}
	}
	if q.Get("recent") != "" && q.Get("follow") == "" {
		return
	}
	f := http.NewResponseController(w)
	if f.Flush() != nil {
		return
	}
	for {
		select {
		case s := <-e.told:
			w.Write([]byte(s + "\n")) //nolint:errcheck // a test's
			f.Flush()                 //nolint:errcheck // likewise
			e.passed <- struct{}{}
		case <-e.gone:
			return
		case <-r.Context().Done():
			return
		}
	}
}

func storyText(id string, more string) string {
	return `{"time":"2026-11-21T03:57:09.007Z","client":"192.0.2.7","method":"GET","host":"www.example.com","target":"/x","protocol":"HTTP/1.1","scheme":"http","status":200,` +
		`"out":1024,"in":0,"id":"` + id + `","total_ms":12.345` + more + `}`
}

// loggedBy runs weir log until it ends.
func loggedBy(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return say(t, append([]string{"log"}, args...)...)
}

func TestLogFollowsFromEdgeToEdge(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("WEIR_RUN_DIR", dir)
	first := newFakeEdge(t, dir, "edge-1.sock")
	type result struct {
		out string
		err error
	}
	done := make(chan result, 1)
	go func() {
		out, err := loggedBy(t, "-n", "5", "-o", "json", "status>=200")
		done <- result{out, err}
	}()
	as, q, _ := strings.Cut(<-first.asked, "&")
	if q != "filter=%28status%3E%3D200%29" || !strings.HasPrefix(as, "as=") || len(as) < 20 || len(as) > 60 {
		t.Errorf("asked for %s and %s", as, q)
	}
	first.tell(storyText("a1", ""))
	second := newFakeEdge(t, dir, "edge-2.sock", storyText("a1", ""), storyText("b1", ""))
	if q := <-second.asked; !strings.Contains(q, "since=") || !strings.Contains(q, "filter=") || !strings.HasPrefix(q, as+"&") {
		t.Errorf("asked for %s", q)
	}
	second.tell(storyText("b2", ""))
	first.tell(storyText("a2", "")) // it still has something to finish
	first.end()
	second.end() // it dies, and the next one is there a little later
	third := newFakeEdge(t, dir, "edge-3.sock", storyText("b2", ""))
	<-third.asked
	third.tell("")
	third.tell(`{"dropped":7}`)
	third.tell(storyText("c1", ""))
	got := <-done
	if got.err != nil {
		t.Fatal(got.err)
	}
	for _, id := range []string{"a1", "a2", "b1", "b2", "c1"} {
		if strings.Count(got.out, `"id":"`+id+`"`) != 1 {
			t.Errorf("%s is not there once:\n%s", id, got.out)
		}
	}
	if !strings.Contains(got.out, `{"dropped":7}`) || strings.Count(got.out, "\n") != 6 {
		t.Errorf("%s", got.out)
	}
}

func TestLogOfThePast(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("WEIR_RUN_DIR", dir)
	t.Setenv("COLUMNS", "100")
	e := newFakeEdge(t, dir, "edge-1.sock", storyText("a1", `,"site":"www","route":"www#1","pool":"web","server":"web/1","cache":"miss","cache_why":"set-cookie","cause":"empty_response",`+
		`"failed":true,"slow":true,"retries":2,"includes":2,"includes_failed":1,"parts":[{"target":"/box","status":200,"cache":"hit","ms":0.2},{"target":"/late","status":0,"ms":200}],"stages_ms":{"begun":0,"head_read":0.5,"queued":0.5,"picked":3,"connected":3.1,"first_byte":12,"delivered":12.345}`))
	for _, row := range []struct {
		args []string
		want []string
	}{
		{[]string{"--past"}, []string{"200   12.3 ms  192.0.2.7      web/1     miss    GET www.example.com/x  empty_response  2 retries  id=a1\n"}},
		{[]string{"--past", "--why-miss"}, []string{"    why       set-cookie: it has Set-Cookie", "    change    the app is to set no cookie"}},
		{[]string{"id=a1"}, []string{"GET www.example.com/x  200 in 12.3 ms  failed  slow\n    id        a1\n", "way       site www, route www#1, pool web, server web/1, after 2 retries",
			"fragments 2, of which 1 failed\n              200     0.2 ms  hit          /box\n              none    200 ms               /late\n",
			"ended     empty_response – the server closed", "look: at the worker's last words", "waits for a place       2.5 ms    ██████", "the server works"}},
		{[]string{"--past", "-o", "json", "--failed", "--slow", "time>1s"}, []string{`"stages_ms":`}},
	} {
		out, err := loggedBy(t, row.args...)
		if err != nil {
			t.Errorf("%v: %v", row.args, err)
		}
		for _, want := range row.want {
			if !strings.Contains(out, want) {
				t.Errorf("%v: no %q in\n%s", row.args, want, out)
			}
		}
	}
	var last string
	for len(e.asked) > 0 {
		last = <-e.asked
	}
	if !strings.Contains(last, "filter=%28time%3E1s%29+and+%28slow%3Dyes+or+failed%3Dyes%29") {
		t.Errorf("asked for %s", last)
	}
}

// TestLogOfNothing: where nothing is kept, or nothing of it fits, that is said, and not on standard output.
func TestLogOfNothing(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("WEIR_RUN_DIR", dir)
	newFakeEdge(t, dir, "edge-1.sock")
	for _, row := range []struct {
		args []string
		want string
	}{
		{[]string{"--past"}, "weir: no request was slow, failed or was refused since the edge was started; all others are in the access log"},
		{[]string{"--past", "-f"}, "weir: no request was slow"},
		{[]string{"--past", "status=404"}, "weir: none of the slow, failed and refused requests that are kept fits the filter; all others are in the access log"},
	} {
		var out, errs bytes.Buffer
		root := rootCommand()
		root.SetArgs(append([]string{"log"}, row.args...))
		root.SetOut(&out)
		root.SetErr(&errs)
		if err := root.ExecuteContext(t.Context()); err != nil || out.Len() > 0 || !strings.HasPrefix(errs.String(), row.want) {
			t.Errorf("%v: %v, %q, %q", row.args, err, out.String(), errs.String())
		}
	}
}

func TestLogRefusesWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("WEIR_RUN_DIR", dir)
	for _, row := range []struct {
		args []string
		want string
	}{
		{[]string{"status>=5x"}, "filter, column 9: \"5x\" is no status: write one such as 404, or a class such as 5xx\n  status>=5x\n          ^"},
		{[]string{"host=ü and", "x=1"}, "\n  host=\\u00fc and x=1\n"},
		{[]string{"status=200 and stats=500"}, "filter, column 16: no field \"stats\": did you mean status? (`weir log --help` shows them all)\n  status=200 and stats=500\n                 ^"},
		{[]string{"colour=red"}, "filter, column 1: no field \"colour\": there is cache, cause"},
		{[]string{"--sloow"}, "unknown flag: --sloow: did you mean --slow? (`weir log --help` shows the flags)"},
		{[]string{"-o", "yaml"}, "-o yaml: write text or json"},
		{[]string{"-n", "-1"}, "-n -1: write how many"},
		{[]string{"--recent", "-1"}, "--recent -1: write how many"},
		{[]string{"--story", "-o", "json"}, "leave --story out"},
		{nil, "no weir answers in " + dir},
		{[]string{"--past"}, "no weir answers in " + dir},
	} {
		if _, err := loggedBy(t, row.args...); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%q: %v", row.args, err)
		}
	}
}

// Nothing that a client sends reaches the terminal as it is, nor passes for another word of a line.
func TestLogShowsNoControls(t *testing.T) {
	const evil = "\x1b[2J\r\n\x00\u009b31m\u202eforged \u2028\"x\" \xff 200  1.0 ms"
	s := &journal.Story{Line: journal.Line{Method: []byte(evil), Target: []byte("/" + evil), Host: []byte(evil), Referer: []byte(evil), UserAgent: []byte(evil), ID: []byte(evil), Slow: true,
		Cause: journal.BadRequest, Cache: journal.Miss, Why: evil, Includes: 1, Parts: []journal.Part{{Target: []byte(evil)}}}}
	p := storyPrinter{now: time.Now, width: 80}
	for name, show := range map[string]func([]byte, *journal.Story) []byte{"line": p.line, "whole": p.whole, "missed": p.missed} {
		for _, tcp := range []bool{false, true} {
			if s.Line.Listen = ""; tcp {
				s.Line.Listen, s.Line.Name = ":1", evil
			}
			out := string(show(nil, s))
			for _, r := range strings.ReplaceAll(out, "\n", "") {
				if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x202e {
					t.Errorf("%s: a terminal obeys %U in %q", name, r, out)
				}
			}
			if n := strings.Count(out, "\n"); name == "line" && n != 1 {
				t.Errorf("%s: %d lines", name, n)
			}
		}
	}
	if got := word("a b"); got != `"a b"` {
		t.Error(got)
	}
	if got := word(`a"b c`); got != `"a\"b c"` {
		t.Error(got)
	}
}

// Every word that a story can have is explained.
func TestEveryWordIsExplained(t *testing.T) {
	for i := range journal.Causes() {
		if c := journal.Cause(i + 1); causeWords[c].because == "" {
			t.Errorf("no words for the cause %s", c)
		}
	}
	for i := range journal.SessionWords() {
		if s := journal.Session(i + 1); sessionWords[s] == "" {
			t.Errorf("no words for the session %s", s)
		}
	}
	for s := range journal.NumStages {
		if stageText[s] == "" {
			t.Errorf("no words for the stage %s", s)
		}
	}
	for r := cache.Kept + 1; r.String() != ""; r++ {
		if because, _ := whyMissed(r.String()); because == "" {
			t.Errorf("no words for %s", r)
		}
	}
	for p := cache.NoPass + 1; p.String() != ""; p++ {
		if because, _ := whyMissed(p.String()); because == "" {
			t.Errorf("no words for %s", p)
		}
	}
	text, err := os.ReadFile("../../docs/reference/cache-status.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "| `") || strings.Contains(line, "weir;") || strings.Contains(line, "no_server") {
			continue
		}
		cell, _, _ := strings.Cut(line[2:], "|")
		for token := range strings.SplitSeq(cell, ",") {
			if because, _ := whyMissed(strings.Trim(token, " `")); because == "" {
				t.Errorf("no words for %s", token)
			}
		}
	}
}

// A connection that breaks within a line has said nothing with it.
func TestHalfALineIsNone(t *testing.T) {
	for text, want := range map[string]string{"": "", "a": "", "a\n": "a|", "a\n\nb\nhalf": "a||b|", "\n": "|"} {
		got := ""
		if err := eachLine(strings.NewReader(text), func(l []byte) error { got += string(l) + "|"; return nil }); err != nil || got != want {
			t.Errorf("%q: %q %v", text, got, err)
		}
	}
	if err := eachLine(strings.NewReader(strings.Repeat("x", lineLimit+1)), func([]byte) error { return nil }); err == nil {
		t.Error("a line without an end is taken in")
	}
}

func TestBar(t *testing.T) {
	for _, row := range []struct {
		from, to, whole time.Duration
		want            string
	}{{0, 100, 100, "██████████"}, {50, 100, 100, "     █████"}, {0, 0, 100, "▏"}, {0, 5, 100, "▌"}, {100, 100, 100, "         ▏"}, {0, 1, 0, ""}} {
		if got := bar(row.from, row.to, row.whole, 10); got != row.want {
			t.Errorf("%+v: %q", row, got)
		}
	}
}

func TestStatusSaysWhatIsWrongWithALog(t *testing.T) {
	got := problems(api.Status{Edge: &api.EdgeStatus{Logs: []api.LogStatus{{To: "/a", Dropped: 3}, {To: "syslog", Problem: "nobody is there", Dropped: 1}}}})
	if len(got) != 1 || got[0] != "access log to syslog: nobody is there; 1 line dropped" {
		t.Errorf("%q", got)
	}
}
