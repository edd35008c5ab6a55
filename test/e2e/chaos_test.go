package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/testkit"
)

// TestChaosNeedsLeave: without `chaos: allow` there is one line that says what to write; and when a reload takes it away, all ends.
func TestChaosNeedsLeave(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Config: hello(1, "")})
	before := w.Workers("hello")[0].PID
	for _, args := range [][]string{{"kill-worker"}, {"kill-edge"}, {"latency", "--route", "*/*", "--add", "1s"}, {"errors", "--server", "hello/*"}} {
		_, problem, code := w.Command(append([]string{"chaos"}, args...)...)
		if code == 0 || strings.Count(problem, "\n") != 1 {
			t.Errorf("%v: exit %d: %s", args, code, problem)
		}
		oneLine(t, problem, "the configuration does not allow chaos: write `chaos: allow` into "+w.File)
	}
	if status, _ := w.Get("/"); status != 200 || w.Workers("hello")[0].PID != before {
		t.Errorf("something was done: status %d", status)
	}
	w.Write("weir.yaml", hello(1, "chaos: allow"))
	w.Do("reload")
	w.Do("chaos", "errors", "--route", "*/bad*", "--status", "500", "--for", "1h", "--by", "ann", "--reason", "drill")
	w.Do("chaos", "kill-worker", "hello", "--every", "1h", "--for", "1h")
	waitWorkers(t, w, "hello", 1)
	bad := func() int { status, _ := w.Get("/bad"); return status }
	if n := bad(); n != 500 {
		t.Errorf("status %d", n)
	}
	w.Do("upgrade")
	if n := bad(); n != 500 {
		t.Errorf("after an upgrade: status %d", n)
	}
	if text := w.Do("chaos", "list"); !strings.Contains(text, "errors 500") || !strings.Contains(text, "kill-worker hello every 1h") {
		t.Errorf("after an upgrade:\n%s", text)
	}
	w.Do("reload")
	if n := bad(); n != 500 {
		t.Errorf("after a reload: status %d", n)
	}
	edge := w.Edge()
	w.Do("chaos", "kill-edge")
	testkit.Eventually(t, testkit.Patience, "another edge serves", func() bool { return w.Edge().PID != edge.PID })
	if n := bad(); n != 500 {
		t.Errorf("after the edge's death: status %d", n)
	}
	if text := w.Do("status"); !strings.Contains(text, "CHAOS     fault 1: errors 500 for 100% of */bad*, by ann, made 1 times") {
		t.Errorf("weir status:\n%s", text)
	}
	w.Write("weir.yaml", hello(1, ""))
	w.Do("reload")
	if n := bad(); n == 500 {
		t.Error("it goes on without leave")
	}
	if text := w.Do("chaos", "list"); text != "no fault is made on purpose\n" {
		t.Errorf("weir chaos list:\n%s", text)
	}
	for _, line := range []string{"chaos: errors begins, by hand id=1 by=ann reason=drill", "chaos: a worker is killed worker=hello/1", "chaos: the edge is killed",
		"chaos: errors is over: the configuration does not allow it any more"} {
		if !strings.Contains(w.Output(), line) {
			t.Errorf("the log does not say: %s", line)
		}
	}
}

// TestChaosUnderLoad: workers are killed by weir itself, a tenth of the answers is late, a twentieth are errors, and no GET fails.
func TestChaosUnderLoad(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Plain: true, Config: hello(3, "chaos: allow\npools: {hello: {app: hello, retry: {on: [connect_error, empty_response, 503], attempts: 3, budget: 100%}}}\n")})
	waitWorkers(t, w, "hello", 3)
	f := testkit.Load{Address: w.Address, Conns: 6, Pause: time.Millisecond}.Start(t)
	w.Do("chaos", "kill-worker", "hello", "--every", "300ms", "--for", "4s")
	w.Do("chaos", "latency", "--route", "*/*", "--add", "20ms", "--jitter", "10ms", "--share", "10%", "--for", "4s")
	w.Do("chaos", "errors", "--server", "hello/*", "--status", "503", "--share", "5%", "--for", "4s")
	var kills, late, errors int64
	testkit.Eventually(t, 30*time.Second, "all of them are over", func() bool {
		all := w.Status().Faults
		for _, a := range all {
			switch a.Do {
			case "kill-worker":
				kills = a.Made
			case "latency":
				late = max(late, a.Made)
			default:
				errors = max(errors, a.Made)
			}
		}
		return len(all) == 0
	})
	f.After(t, 50)
	noneFailed(t, "GET", f.Stop(), 200)
	t.Logf("%d workers killed, %d answers late, %d errors", kills, late, errors)
	if kills < 5 || late == 0 || errors == 0 {
		t.Errorf("%d workers killed, %d answers late, %d errors", kills, late, errors)
	}
	waitWorkers(t, w, "hello", 3)
}

// TestChaosOverUpgrade: faults go on in the program that follows, and end as they would have.
func TestChaosOverUpgrade(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Plain: true, Config: hello(2, "chaos: allow\n")})
	waitWorkers(t, w, "hello", 2)
	w.Do("chaos", "kill-worker", "hello", "--every", "200ms", "--for", "1h", "--by", "ann")
	w.Do("chaos", "errors", "--route", "*/*", "--status", "503", "--share", "100%", "--for", "1h")
	w.Do("upgrade")
	all := w.Status().Faults
	if len(all) != 2 || all[0].ID != 1 || all[0].By != "ann" || all[1].ID != 2 {
		t.Fatalf("after an upgrade: %+v", all)
	}
	made := all[0].Made
	testkit.Eventually(t, 20*time.Second, "workers are killed as before", func() bool { return w.Status().Faults[0].Made > made })
	testkit.Eventually(t, 20*time.Second, "errors are made as before", func() bool { return request(w.Dial(), "/").Status == 503 })
	w.Do("chaos", "stop")
	if all := w.Status().Faults; len(all) != 0 {
		t.Errorf("after the stop: %+v", all)
	}
	waitWorkers(t, w, "hello", 2)
	testkit.Eventually(t, 20*time.Second, "all is well", func() bool { return request(w.Dial(), "/").Status == 200 })
}
