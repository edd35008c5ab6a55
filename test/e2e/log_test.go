package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/weirhq/weir/internal/testkit"
)

const toldOf = `
listen: {http: ["@ADDRESS@"]}
log:
  slow: 20ms
  redact: {query: [token]}
  access:
    - {to: "@DIR@/all.log", rotate: {size: 1MiB, keep: 3}, format: [id, target, status]}
    - {to: "@DIR@/errors.log", filter: "status>=500", format: '{status} "{method} {target}" {cause}'}
pools: {down: {servers: ['@DOWN@']}}
sites:
  - hosts: ["*"]
    routes:
      - {match: {path: /down}, pool: down}
      - {respond: {status: 200, body: here}}
`

// TestLog: somebody listens at a terminal while weir is upgraded and its edge is killed, and finds afterwards what failed.
func TestLog(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Config: strings.ReplaceAll(toldOf, "@DOWN@", testkit.DeadAddress(t))})
	s := w.Terminal(140, 40, "log", "path=/seen/* or failed=yes")
	// The log has connected when it shows a request; from then on none may be left out.
	heard := func(path string) {
		t.Helper()
		testkit.Eventually(t, testkit.Patience, path+" is on the screen", func() bool {
			w.Get(path)
			return strings.Contains(s.Text(), path)
		})
	}
	heard("/seen/first")
	w.Get("/seen/next?token=secret&x=1")
	s.See("/seen/next?token=***&x=1")
	w.Get("/unseen")
	w.Get("/down")
	s.See("connect_error")
	w.Do("upgrade")
	heard("/seen/upgraded")
	if out := w.Do("log", "--past", "--failed"); !strings.Contains(out, "/down") || strings.Contains(out, "/seen") {
		t.Errorf("after the upgrade, what failed before: %s", out)
	}
	edge := w.Edge()
	if err := syscall.Kill(edge.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, testkit.Patience, "another edge serves", func() bool {
		st, err := w.Look()
		return err == nil && st.Edge != nil && st.Edge.PID != edge.PID
	})
	heard("/seen/again")
	if text := s.Text(); strings.Contains(text, "/unseen") || strings.Contains(text, "secret") {
		t.Errorf("on the screen:\n%s", text)
	}
	w.Get("/down")
	id := regexp.MustCompile(`id=([0-9a-f]+)`).FindStringSubmatch(w.Do("log", "--past", "path=/down"))
	if id == nil {
		t.Fatal("what failed has no id")
	}
	if out := w.Do("log", "id="+id[1]); !strings.Contains(out, "connect_error") || !strings.Contains(out, "look: ") || !strings.Contains(out, "connects to the server") && !strings.Contains(out, "client takes it") {
		t.Errorf("its story: %s", out)
	}
	s.Type("\x03")
	if err := s.Wait(testkit.Patience); err != nil {
		t.Errorf("after Ctrl-C: %v\n%s", err, s.Text())
	}
	w.Stop()
	text, err := os.ReadFile(filepath.Join(w.Dir, "errors.log"))
	if err != nil || !regexp.MustCompile(`^(50[234] "GET /down" \w+\n){2,}$`).Match(text) {
		t.Errorf("%v: %s", err, text)
	}
	if text, err = os.ReadFile(filepath.Join(w.Dir, "all.log")); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var got map[string]any
		if err := json.Unmarshal([]byte(line), &got); err != nil || len(got) != 3 || strings.Contains(line, "secret") {
			t.Errorf("%v: %s", err, line)
		}
	}
}

// TestLogMissesNothing: whoever listens hears of every request exactly once, also of those that end while one edge follows another.
func TestLogMissesNothing(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Config: "listen: [\"@ADDRESS@\"]\nsites:\n  - hosts: [\"*\"]\n    routes:\n      - respond: {status: 200, body: here}\n"})
	out := filepath.Join(t.TempDir(), "log")
	file, err := os.Create(out)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	listens := exec.Command(testkit.Build(t, "./cmd/weir", true), "log", "-o", "json", "--run-dir", w.RunDir, "path=/n/*")
	listens.Stdout = file
	if err := listens.Start(); err != nil {
		t.Fatal(err)
	}
	told := func() string {
		text, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	testkit.Eventually(t, testkit.Patience, "it listens", func() bool { w.Get("/n/begin"); return strings.Contains(told(), "/n/begin") })
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: testkit.Patience}
	var answered, n atomic.Int64
	stop := make(chan struct{})
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				resp, err := client.Get(w.URL(fmt.Sprintf("/n/%d", n.Add(1))))
				if err == nil && resp.StatusCode == http.StatusOK && resp.Body.Close() == nil {
					answered.Add(1)
				}
			}
		})
	}
	for range 3 {
		before := answered.Load()
		w.Do("upgrade")
		testkit.Eventually(t, testkit.Patience, "requests go on", func() bool { return answered.Load() > before+20 })
	}
	close(stop)
	load.Wait()
	testkit.Eventually(t, testkit.Patience, "the last one is told", func() bool { w.Get("/n/end"); return strings.Contains(told(), "/n/end") })
	count := func() (missed, twice int) {
		times := map[string]int{}
		text := told()
		for line := range strings.Lines(text[:strings.LastIndexByte(text, '\n')+1]) {
			var s struct{ Target string }
			if err := json.Unmarshal([]byte(line), &s); err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			times[s.Target]++
		}
		for i := range n.Load() {
			switch k := times[fmt.Sprintf("/n/%d", i+1)]; {
			case k == 0:
				missed++
			case k > 1:
				twice++
			}
		}
		return missed, twice
	}
	// What an edge that was replaced had last may come after what the next one tells: each tells of its own.
	for range testkit.Until(testkit.Patience) {
		if missed, _ := count(); missed == 0 {
			break
		}
	}
	listens.Process.Signal(os.Interrupt) //nolint:errcheck // it is waited for
	if err := listens.Wait(); err != nil {
		t.Error(err)
	}
	missed, twice := count()
	if missed+twice > 0 || answered.Load() != n.Load() {
		t.Errorf("of %d requests, %d answered, %d were not told of and %d were twice", n.Load(), answered.Load(), missed, twice)
	}
}
