package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/testkit"
)

// TestAlertsAreToldOnce: what a worker prints and a dead pool are told to a command, once, over an upgrade, a reload and the desk's death;
// and the book of downtime goes on.
func TestAlertsAreToldOnce(t *testing.T) {
	dir := t.TempDir()
	told := filepath.Join(dir, "told")
	const app = "cat <<'END'\nTraceback (most recent call last):\n  File \"/a.py\", line 1, in f\nKeyError: 4711\nEND\nexec \"$1\"\n"
	text := strings.Replace(hello(1, ""), `"@HELLO@"`, `sh @DIR@/app.sh @HELLO@`, 1) + `
pools: {dead: {servers: ["127.0.0.1:1"], health: {every: 100ms, timeout: 100ms, fall: 1}}}
sites: [{hosts: [dead.test], routes: [{pool: dead}]}, {hosts: ["*"], routes: [{pool: hello}]}]
alerts:
  group_wait: 0s
  targets: {file: {command: [sh, -c, "cat >> ` + told + `"]}}
  rules: {pool_down: {for: 0s}, disk: off, memory: off, server_down: off}
availability: {dead.test: 1h}
`
	w := testkit.Run(t, testkit.Setup{Config: text, Own: true, Files: map[string]string{"app.sh": app}})
	lines := func(with string) int {
		text, err := os.ReadFile(told)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return strings.Count(string(text), with)
	}
	// In one message or in two, as pictures come. The pool hello is down too, until its worker is ready: that may be told.
	const poolDown, newError = `"rule":"pool_down","subject":"dead"`, `"rule":"new_error"`
	testkit.Eventually(t, testkit.Patience, "both are told", func() bool {
		return lines(poolDown) == 1 && lines(newError) == 1
	})
	if out := w.Do("alert", "test", "file"); !strings.Contains(out, "file took it") || lines(`"test":`) != 1 {
		t.Error(out)
	}
	testkit.Eventually(t, testkit.Patience, "downtime", func() bool {
		return strings.Contains(w.Do("downtime"), "DOWN NOW")
	})
	was := w.Desk()
	w.Do("upgrade")
	w.Do("reload")
	testkit.Eventually(t, testkit.Patience, "another desk that knows it", func() bool {
		out, _, code := w.Command("alert", "list")
		return code == 0 && w.Desk() != was && strings.Contains(out, "the pool dead is down") && strings.Contains(out, "new_error")
	})
	w.Do("reload", "hello") // the new worker prints it again
	testkit.Eventually(t, testkit.Patience, "a count", func() bool {
		return strings.Contains(w.Do("alert", "problems"), "2 × hello: KeyError: #")
	})
	if lines(poolDown) != 1 || lines(newError) != 1 {
		text, err := os.ReadFile(told)
		t.Errorf("told again: %s %v", text, err)
	}
}
