package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/desk/alert"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "0123456789abcdef"

// TestWebhook: what a receiver gets is signed, and it can tell one message sent twice from two.
func TestWebhook(t *testing.T) {
	var got *http.Request
	var body []byte
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Clone(context.Background())
		body, _ = io.ReadAll(r.Body)
		w.WriteHeader(http.StatusAccepted)
	}))
	defer s.Close()
	h := newWebhook(config.Webhook{URL: s.URL + "/in?key=s3cret", Secret: secret, Fields: []config.NameValue{{Name: "Authorization", Value: "Bearer x"}}})
	h.now = func() time.Time { return time.Unix(1800000000, 0) }
	if err := h.send(t.Context(), &example); err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(append([]byte("1800000000."), body...))
	if want := "t=1800000000,v1=" + hex.EncodeToString(mac.Sum(nil)); got.Header.Get(Signature) != want {
		t.Errorf("%s, want %s", got.Header.Get(Signature), want)
	}
	if got.Header.Get("Authorization") != "Bearer x" || got.Header.Get(Delivery) != "m1" || got.Header.Get("Content-Type") != "application/json" || got.Method != "POST" {
		t.Error(got.Header)
	}
	var m struct {
		alert.Message
		Title, Text string
	}
	if err := json.Unmarshal(body, &m); err != nil || m.ID != "m1" || len(m.Items) != 2 || m.Items[0].Rule != "pool_down" || m.Title == "" || m.Text == "" {
		t.Error(err, string(body))
	}
}

func TestSlack(t *testing.T) {
	var body map[string]any
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		json.NewDecoder(r.Body).Decode(&body) //nolint:errcheck // looked at below
	}))
	defer s.Close()
	m := alert.Message{ID: "m2", Node: "n", Items: []alert.Item{{Rule: "new_error", State: alert.Firing, Severity: config.Warn, Text: "<!channel> a & b <https://evil.example.com|look>"}}}
	if err := newSlack(s.URL).send(t.Context(), &m); err != nil {
		t.Fatal(err)
	}
	text, _ := body["text"].(string)
	if strings.ContainsAny(text, "<>") || !strings.Contains(text, "&lt;!channel&gt; a &amp; b") || !strings.HasPrefix(text, "*[WARNING] n:") {
		t.Error(text)
	}
}

// TestWebhooksThatFail: receivers that hang, reset, redirect and answer nonsense.
func TestWebhooksThatFail(t *testing.T) {
	stop := make(chan struct{})
	var redirected atomic.Int32
	mux := http.NewServeMux()
	mux.HandleFunc("/hang", func(http.ResponseWriter, *http.Request) { <-stop })
	mux.HandleFunc("/slow", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		w.Write([]byte("wait")) //nolint:errcheck // of a test
		w.(http.Flusher).Flush()
		<-stop
	})
	mux.HandleFunc("/reset", func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) })
	mux.HandleFunc("/500", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "on fire\x1b[31m\nreally", 500) })
	mux.HandleFunc("/404", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no such hook", 404) })
	mux.HandleFunc("/429", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "120")
		w.WriteHeader(429)
	})
	mux.HandleFunc("/503", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "99999999")
		w.WriteHeader(503)
	})
	mux.HandleFunc("/redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) })
	mux.HandleFunc("/elsewhere", func(http.ResponseWriter, *http.Request) { redirected.Add(1) })
	mux.HandleFunc("/huge", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(500)
		for range 100 {
			if _, err := w.Write(bytes.Repeat([]byte("x"), 1<<20)); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/fields", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("x", 200<<10))
	})
	s := httptest.NewServer(mux)
	defer s.Close()
	defer close(stop)
	for _, c := range []struct {
		path, want string
		never      bool
		after      time.Duration
	}{
		{"/hang", "it did not answer in time", false, 0},
		{"/slow", "it answered 500", false, 0},
		{"/reset", "EOF", false, 0},
		{"/500", `it answered 500: "on fire\x1b[31m\nreally"`, false, 0},
		{"/404", "it answered 404", true, 0},
		{"/429", "it answered 429", false, 2 * time.Minute},
		{"/503", "it answered 503", false, longWait},
		{"/redirect", "a redirect, which is not followed", true, 0},
		{"/huge", "it answered 500", false, 0},
		{"/fields", "server response headers exceeded", false, 0},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		if c.path != "/hang" && c.path != "/slow" {
			ctx = t.Context()
		}
		err := newWebhook(config.Webhook{URL: s.URL + c.path + "?key=s3cret"}).send(ctx, &example)
		cancel()
		var dead never
		var pause later
		errors.As(err, &pause)
		if err == nil || !strings.Contains(plain(err), c.want) || errors.As(err, &dead) != c.never || pause.after != c.after {
			t.Errorf("%s: %v, never %v, after %v", c.path, err, errors.As(err, &dead), pause.after)
		}
		if err != nil && (strings.Contains(err.Error(), "s3cret") || strings.Contains(plain(err), "\x1b")) {
			t.Errorf("%s: %q", c.path, err)
		}
	}
	if redirected.Load() > 0 {
		t.Error("the redirect was followed")
	}
	err := newWebhook(config.Webhook{URL: "http://127.0.0.1:1/?key=s3cret"}).send(t.Context(), &example)
	if err == nil || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "connection refused") {
		t.Error(err)
	}
}

func TestCommand(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	t.Setenv("WEIR_TEST_SECRET", "s3cret")
	c := &command{argv: []string{"/bin/sh", "-c", `{ env; echo --; cat; } > "$1"`, "sh", out}}
	if err := c.send(t.Context(), &example); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	env, body, _ := strings.Cut(string(text), "--\n")
	var m alert.Message
	if err := json.Unmarshal([]byte(body), &m); err != nil || m.ID != "m1" {
		t.Error(err, body)
	}
	for _, want := range []string{"WEIR_TARGET=ops\n", "WEIR_SEVERITY=critical\n", "WEIR_STATE=firing\n", "WEIR_TITLE=[CRITICAL] web-1.example.com: the pool légacy is down: refused  Bcc: all@example.com", "PATH="} {
		if !strings.Contains(env, want) {
			t.Errorf("no %q in\n%s", want, env)
		}
	}
	if strings.Contains(env, "s3cret") {
		t.Error("the command has an environment that is not its own")
	}
}

// TestCommandsThatFail: one that takes too long is ended with all that it started, and one that pours does not fill memory.
func TestCommandsThatFail(t *testing.T) {
	dir := t.TempDir()
	pids := filepath.Join(dir, "pids")
	for _, c := range []struct {
		name, script, want string
	}{
		{"exit", "echo it is broken >&2; exit 3", "exit status 3: it is broken"},
		{"pour", "head -c 10000000 /dev/zero | tr '\\0' x; exit 1", "exit status 1"},
		{"hang", "sleep 300 & echo $! >> " + pids + "; (sleep 300 & echo $! >> " + pids + "; wait) & wait", "took too long and was killed"},
		{"deaf", "trap '' TERM; while :; do sleep 1; done", "took too long and was killed"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		if c.name == "exit" || c.name == "pour" {
			ctx = t.Context()
		}
		err := (&command{argv: []string{"/bin/sh", "-c", c.script}}).send(ctx, &example)
		cancel()
		if err == nil || !strings.Contains(err.Error(), c.want) || len(plain(err)) > 400 {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if err := (&command{argv: []string{"/nowhere"}}).send(t.Context(), &example); err == nil || !strings.Contains(err.Error(), "the command cannot be run") {
		t.Error(err)
	}
	// One that leaves a child behind is not waited for, and the child ends.
	if err := (&command{argv: []string{"/bin/sh", "-c", "sleep 300 & echo $! >> " + pids}}).send(t.Context(), &example); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range strings.Fields(string(text)) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(10 * time.Second); alive(pid); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("process %d is still there", pid)
			}
		}
	}
}

// TestCommandThatPours: of what a command prints, only its first words are kept, however much it is.
func TestCommandThatPours(t *testing.T) {
	const poured = 20 << 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := (&command{argv: []string{"/bin/sh", "-c", "head -c " + strconv.Itoa(poured) + " /dev/zero | tr '\\0' x; exit 1"}}).send(t.Context(), &example)
	runtime.ReadMemStats(&after)
	if err == nil || len(err.Error()) > saidSize+100 {
		t.Errorf("an error of %d bytes", len(err.Error()))
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > poured/4 {
		t.Errorf("%d bytes were allocated for %d that were printed", grown, poured)
	}
}

// alive reports whether a process runs; one that nobody has waited for yet does not.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || !strings.Contains(string(stat), ") Z ")
}

// receiver is a webhook that says what a test wants.
type receiver struct {
	mu     sync.Mutex
	status int
	seen   []string // deliveries
	hold   chan struct{}
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	io.Copy(io.Discard, req.Body) //nolint:errcheck // of a test
	r.mu.Lock()
	status, hold := r.status, r.hold
	r.seen = append(r.seen, req.Header.Get(Delivery))
	r.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-req.Context().Done():
		}
	}
	w.WriteHeader(status)
}

func (r *receiver) set(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

func (r *receiver) deliveries() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.seen, " ")
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s", what)
		}
	}
}

// sending is a sender that waits as long as a test wants between tries.
func sending(t *testing.T, targets ...config.AlertTarget) (*Sender, *config.Alerts, chan time.Duration, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	s := New("node", slog.New(slog.NewTextHandler(&log, nil)))
	waits := make(chan time.Duration, 1000)
	s.wait = func(ctx context.Context, d time.Duration) bool {
		select {
		case waits <- d:
			return true
		case <-ctx.Done():
			return false
		}
	}
	cfg := &config.Alerts{Targets: targets}
	s.Use(cfg)
	t.Cleanup(s.Stop)
	return s, cfg, waits, &log
}

func message(id, target string) alert.Message {
	m := example
	m.ID, m.Target, m.At = id, target, time.Now()
	return m
}

// TestTriesAgain: later each time, in order, the same message with the same name, and then it goes on.
func TestTriesAgain(t *testing.T) {
	r := &receiver{status: 500}
	server := httptest.NewServer(r)
	defer server.Close()
	s, _, waits, log := sending(t, config.AlertTarget{Name: "hook", Webhook: &config.Webhook{URL: server.URL + "?key=s3cret"}, Timeout: time.Second})
	s.Send(message("a", "hook"))
	var got []time.Duration
	for range 9 {
		got = append(got, <-waits)
	}
	for i, d := range got {
		want := min(firstWait<<i, longWait)
		if d != want {
			t.Errorf("wait %d is %v, want %v", i, d, want)
		}
	}
	s.Send(message("b", "hook"))
	r.set(204)
	eventually(t, "delivery", func() bool { return strings.HasSuffix(r.deliveries(), "a b") })
	eventually(t, "rest", func() bool {
		st := s.Status()[0]
		return st.Waiting == 0 && st.Sent == 2 && st.Problem == "" && st.Dropped == 0
	})
	s.Stop()
	if strings.Contains(log.String(), "s3cret") || !strings.Contains(log.String(), "it answered 500") {
		t.Error(log.String())
	}
}

// TestGivesUp: what cannot be mended is counted and does not hold up what follows.
func TestGivesUp(t *testing.T) {
	r := &receiver{status: 404}
	server := httptest.NewServer(r)
	defer server.Close()
	s, _, _, log := sending(t, config.AlertTarget{Name: "hook", Webhook: &config.Webhook{URL: server.URL}, Timeout: time.Second})
	s.Send(message("a", "hook"))
	eventually(t, "dropped message", func() bool { st := s.Status()[0]; return st.Dropped == 1 && st.Waiting == 0 && st.Failed == 1 })
	r.set(500)
	old := message("b", "hook")
	old.At = time.Now().Add(-tryFor - time.Hour)
	s.Send(old)
	eventually(t, "old message that is given up", func() bool { return s.Status()[0].Dropped == 2 })
	s.Send(message("c", "nobody")) // which is no target
	if all := s.Refused(); len(all) != 2 || all[0].ID != "a" || all[1].ID != "b" || s.Refused() != nil {
		t.Errorf("it says that nobody took %v", all)
	}
	s.Stop()
	if n := strings.Count(log.String(), "was not taken"); n != 2 {
		t.Errorf("said %d times:\n%s", n, log)
	}
}

// TestTheQueueIsBounded: a target that hangs holds nobody up, the newest messages stay, and the others are counted.
func TestTheQueueIsBounded(t *testing.T) {
	hold := make(chan struct{})
	r := &receiver{status: 204, hold: hold}
	server := httptest.NewServer(r)
	defer server.Close()
	s, _, _, _ := sending(t, config.AlertTarget{Name: "hook", Webhook: &config.Webhook{URL: server.URL}, Timeout: time.Minute},
		config.AlertTarget{Name: "other", Command: []string{"true"}, Timeout: 10 * time.Second})
	for i := range queueSize + 10 {
		s.Send(message(strconv.Itoa(i), "hook"))
	}
	s.Send(message("x", "other"))
	eventually(t, "message of the other", func() bool { return s.Status()[1].Sent == 1 })
	if st := s.Status()[0]; st.Waiting != queueSize || st.Dropped != 10 {
		t.Errorf("%+v", st)
	}
	if all := s.Refused(); len(all) != 10 {
		t.Errorf("it says that nobody took %d", len(all))
	}
	close(hold)
	eventually(t, "end", func() bool { return s.Status()[0].Waiting == 0 })
	if d := r.deliveries(); !strings.HasSuffix(d, " "+strconv.Itoa(queueSize+9)) {
		t.Error(d)
	}
}

// TestStopWaits: what is under way has a moment, and what was not sent is there for the next process.
func TestStopWaits(t *testing.T) {
	r := &receiver{status: 204, hold: make(chan struct{})}
	server := httptest.NewServer(r)
	defer server.Close()
	s, _, _, _ := sending(t, config.AlertTarget{Name: "hook", Webhook: &config.Webhook{URL: server.URL}, Timeout: time.Minute})
	for _, id := range []string{"a", "b", "c"} {
		s.Send(message(id, "hook"))
	}
	eventually(t, "try", func() bool { return r.deliveries() != "" })
	begin := time.Now()
	s.Stop()
	if d := time.Since(begin); d > stopTime+5*time.Second {
		t.Errorf("it took %v", d)
	}
	if left := s.Waiting(); len(left) != 3 || left[0].ID != "a" {
		t.Errorf("%d are left", len(left))
	}
	s.Send(message("d", "hook")) // nobody takes it any more, and nothing waits
}

// TestAnotherConfiguration: what waits goes the new way; a target that is gone takes nothing with it but its own.
func TestAnotherConfiguration(t *testing.T) {
	bad, good := &receiver{status: 500}, &receiver{status: 204}
	one, two := httptest.NewServer(bad), httptest.NewServer(good)
	defer one.Close()
	defer two.Close()
	s, cfg, _, _ := sending(t, config.AlertTarget{Name: "hook", Webhook: &config.Webhook{URL: one.URL}, Timeout: time.Second}, config.AlertTarget{Name: "gone", Command: []string{"true"}, Timeout: time.Second})
	s.Send(message("a", "hook"))
	eventually(t, "try", func() bool { return bad.deliveries() != "" })
	next := *cfg
	next.Targets = []config.AlertTarget{{Name: "hook", Webhook: &config.Webhook{URL: two.URL}, Timeout: time.Second}}
	s.Use(&next)
	s.Use(&next) // the same again changes nothing
	eventually(t, "delivery", func() bool { return good.deliveries() == "a" })
	if all := s.Status(); len(all) != 1 || all[0].How != "webhook" {
		t.Errorf("%+v", all)
	}
	s.Use(nil)
	if all := s.Status(); len(all) != 0 {
		t.Errorf("%+v", all)
	}
}

// TestTry: a test of a target says how it went, at once.
func TestTry(t *testing.T) {
	s, _, _, _ := sending(t, config.AlertTarget{Name: "well", Command: []string{"true"}, Timeout: 10 * time.Second}, config.AlertTarget{Name: "broken", Command: []string{"false"}, Timeout: 10 * time.Second})
	if err := s.Try(t.Context(), message("a", "well")); err != nil {
		t.Error(err)
	}
	if err := s.Try(t.Context(), message("a", "broken")); err == nil {
		t.Error("it went well")
	}
	if err := s.Try(t.Context(), message("a", "nobody")); err == nil {
		t.Error("nobody took it")
	}
	if all := s.Status(); all[0].Target != "broken" || all[0].Problem == "" || all[1].Sent != 1 {
		t.Errorf("%+v", all)
	}
}
