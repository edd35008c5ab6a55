package e2e

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/testkit"
)

// TestFaultyConfigurations: each is refused with the place and with what to write instead, and nothing is left behind.
func TestFaultyConfigurations(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		name, config string
		says         []string
	}{
		{"unknown key", strings.Replace(hello(1, ""), "workers:", "wokers:", 1), []string{"weir.yaml:", "wokers", "workers"}},
		{"wrong type", strings.Replace(hello(1, ""), "workers: 1", "workers: many", 1), []string{"weir.yaml:", "many"}},
		{"bad duration", strings.Replace(hello(1, ""), "within: 20s", "within: 20 parsecs", 1), []string{"weir.yaml:", "20 parsecs", "30s"}},
		{"no such pool", hello(1, "sites:\n  - hosts: [\"*\"]\n    routes: [{pool: helo}]"), []string{"weir.yaml:", "helo", "hello"}},
		{"no such file", hello(1, "sites:\n  - hosts: [\"*\"]\n    errors: {5xx: missing.html}\n    routes: [{pool: hello}]"), []string{"weir.yaml:", "missing.html"}},
		{"no such directory", strings.Replace(hello(1, ""), "socket: true", "directory: /nonexistent", 1), []string{"weir.yaml:", "/nonexistent"}},
		{"no such command", strings.Replace(hello(1, ""), "@HELLO@", "no-such-program", 1), []string{"weir.yaml:", "no-such-program"}},
		{"unset variable", strings.Replace(hello(1, ""), "@HELLO@", "${WEIR_E2E_UNSET}", 1), []string{"weir.yaml:", "WEIR_E2E_UNSET"}},
		{"port taken", strings.Replace(hello(1, ""), "@ADDRESS@", taken.Addr().String(), 1), []string{taken.Addr().String(), "taken"}},
		{"no YAML", "apps: [", []string{"weir.yaml:"}},
		{"empty", "", []string{"weir.yaml"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := testkit.Run(t, testkit.Setup{Config: c.config, NoWait: true})
			timer := time.NewTimer(20 * time.Second)
			defer timer.Stop()
			select {
			case <-w.Exited():
			case <-timer.C:
				t.Fatal("weir runs with it")
			}
			if w.Code() != 1 && w.Code() != 2 {
				t.Errorf("exit %d", w.Code())
			}
			oneLine(t, w.Output(), c.says...)
		})
	}
}

// TestEveryErrorAtOnce: `weir check` names all of them.
func TestEveryErrorAtOnce(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Config: hello(1, "")})
	w.Write("bad.yaml", "apps:\n  web:\n    comand: x\n    workers: none\npols: {}\n")
	out, problem, code := w.Command("check", "bad.yaml")
	if code == 0 {
		t.Error("it was accepted")
	}
	oneLine(t, out+problem, "bad.yaml:3:5", "command", "bad.yaml:4:14", "bad.yaml:5:1", "pools")
	w.Do("check", w.File)
}

func TestExplain(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Config: hello(1, `
sites:
  - hosts: [www.example.com]
    routes:
      - {match: {path: /static/*}, files: {root: "."}}
      - {match: {header: {X-Beta: "1"}}, redirect: /beta}
      - {pool: hello}
`), Ready: "/"})
	for want, args := range map[string][]string{
		"files":  {"http://www.example.com/static/x"},
		"302 to": {"http://www.example.com/x", "-H", "X-Beta: 1"},
		"hello":  {"http://www.example.com/x"},
	} {
		if out := w.Do(append([]string{"explain", w.File}, args...)...); !strings.Contains(out, want) {
			t.Errorf("explain %v does not say %q: %s", args, want, out)
		}
	}
}

// TestStop: the verb does what SIGTERM does.
func TestStop(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Config: hello(1, "")})
	all := w.Processes()
	w.Do("stop")
	<-w.Exited()
	if w.Code() != 0 {
		t.Errorf("exit %d", w.Code())
	}
	testkit.Gone(t, 5*time.Second, all)
	if out, problem, code := w.Command("status"); code == 0 {
		t.Errorf("status of a weir that is gone: %s%s", out, problem)
	} else {
		oneLine(t, problem, w.RunDir)
	}
}
