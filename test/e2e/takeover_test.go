package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/testkit"
)

// another builds weir as of another version and returns its path.
func another(t *testing.T, version string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "weir-"+version)
	cmd := exec.Command("go", "build", "-ldflags", "-X github.com/weirhq/weir/internal/cli.release="+version, "-o", path, "./cmd/weir")
	cmd.Dir = testkit.Root()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// runs is what a process runs.
func runs(t *testing.T, p testkit.Process) string {
	t.Helper()
	to, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", p.PID))
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// TestUpgradeTakesTheKeeper: one weir upgrade puts a new program in force everywhere, in the same process and with the same workers.
func TestUpgradeTakesTheKeeper(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Plain: true, Own: true, Config: hello(3, "    hooks: {before_start: \"grep -E 'Sig(Blk|Ign)' /proc/self/status\"}\n")})
	workers, keeper := pids(waitWorkers(t, w, "hello", 3)), w.Keeper()
	w.Do("drain", "hello/hello/2.1", "--reason", "to see whether it stays")
	w.Copy(another(t, "v9.8.7"), "weir")
	if out := w.Do("upgrade"); !strings.Contains(out, "weir v9.8.7 is in service (it was ") {
		t.Errorf("it says %q", out)
	}
	if s := w.Status(); s.Version != "v9.8.7" || s.PID != keeper.PID || !keeper.Alive() {
		t.Errorf("version %s, process %d, was %d", s.Version, s.PID, keeper.PID)
	}
	testkit.Eventually(t, testkit.Patience, "all that is weir's runs the new program", func() bool {
		return !slices.ContainsFunc(w.Processes(), func(p testkit.Process) bool { return p.Alive() && strings.HasSuffix(runs(t, p), " (deleted)") })
	})
	if got := pids(w.Workers("hello")); len(got) != 3 || fmt.Sprint(got) != fmt.Sprint(workers) {
		t.Errorf("the workers are %v, were %v", got, workers)
	}
	if out := w.Do("interventions"); !strings.Contains(out, "to see whether it stays") {
		t.Errorf("the intervention is forgotten: %s", out)
	}
	if comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", keeper.PID)); err != nil || string(comm) != "weir\n" {
		t.Errorf("it is called %q, %v", comm, err)
	}
	w.Do("reload", "hello")
	fresh := w.Workers("hello")
	for _, p := range fresh {
		if workers[p.PID] {
			t.Errorf("process %d is there still", p.PID)
		}
		clean(t, p)
	}
	masks := regexp.MustCompile(`Sig(?:Blk|Ign):\s+([0-9a-f]+)`).FindAllStringSubmatch(w.Output(), -1)
	for _, m := range masks {
		mask, err := strconv.ParseUint(m[1], 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		if mask&^(3<<31) != 0 { // 32 and 33 are the C library's own: whatever make starts ignores them
			t.Errorf("not all signals come to workers: %s", m[0])
		}
	}
	if len(masks) < 12 {
		t.Errorf("only %d masks", len(masks))
	}
	fresh[0].Kill(t, syscall.SIGKILL)
	testkit.Eventually(t, testkit.Patience, "the dead worker is replaced", func() bool {
		now := w.Workers("hello")
		return len(now) == 3 && !pids(now)[fresh[0].PID]
	})
	w.Do("reload")
	w.Stop()
}

// clean expects of a worker that it has no descriptor of weir's.
func clean(t *testing.T, p testkit.Process) {
	t.Helper()
	all, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.PID))
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range all {
		if to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", p.PID, fd.Name())); err == nil && (strings.Contains(to, "weir") || strings.Contains(to, "estate")) {
			t.Errorf("worker %d has descriptor %s: %s", p.PID, fd.Name(), to)
		}
	}
}

// TestTakeoverWithRaceDetector: the same program again and again, with everything between: deaths, reloads, a guard that is killed.
func TestTakeoverWithRaceDetector(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Config: hello(2, "    listen: handed\n    recycle: {after_requests: 3000}\n")})
	waitWorkers(t, w, "hello", 2)
	f := testkit.Load{Address: w.Address, Conns: 4, Pause: time.Millisecond}.Start(t)
	for range 4 {
		w.Do("upgrade")
		all := waitWorkers(t, w, "hello", 2)
		all[0].KillIfThere(t, syscall.SIGKILL)
		w.Do("upgrade")
		w.Command("reload", "hello") // it may find a worker that is being replaced
		f.After(t, 50)
	}
	noneFailed(t, "GET", f.Stop(), 300)
}

// TestUnguardedWorkersStay: workers that the kernel is to kill with weir stay over upgrades, for the thread that started them does.
func TestUnguardedWorkersStay(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Plain: true, Config: hello(2, "")})
	before := waitWorkers(t, w, "hello", 2)
	for _, p := range w.Processes() {
		if strings.Contains(p.Command, " guard ") {
			p.Kill(t, syscall.SIGKILL)
		}
	}
	testkit.Eventually(t, testkit.Patience, "the guard's death is seen", func() bool { return strings.Contains(w.Output(), "the guard died") })
	before[0].Kill(t, syscall.SIGKILL) // it is started anew without a guard, which takes a second
	var now []testkit.Process
	testkit.Eventually(t, testkit.Patience, "another worker is there", func() bool {
		now = w.Workers("hello")
		return len(now) == 2 && !pids(now)[before[0].PID]
	})
	for range 3 {
		w.Do("upgrade")
		for _, p := range now {
			if !p.Alive() {
				t.Fatalf("worker %v has ended", p)
			}
		}
	}
}

// TestKeeperDiesAfterUpgrade: the guard of the new program stops what is left.
func TestKeeperDiesAfterUpgrade(t *testing.T) {
	for _, wait := range []time.Duration{0, 100 * time.Millisecond} {
		w := testkit.Run(t, testkit.Setup{Plain: true, Config: hello(3, "")})
		waitWorkers(t, w, "hello", 3)
		w.Do("upgrade")
		w.Do("upgrade")
		all := w.Processes()
		time.Sleep(wait)
		w.Keeper().Kill(t, syscall.SIGKILL)
		<-w.Exited()
		testkit.Gone(t, 15*time.Second, all)
	}
}

// TestDeathsDuringUpgrade: workers and edges die at whatever moment of it.
func TestDeathsDuringUpgrade(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Plain: true, Config: hello(4, "")})
	waitWorkers(t, w, "hello", 4)
	f := testkit.Load{Address: w.Address, Conns: 4, Pause: time.Millisecond}.Start(t)
	for i := range 20 {
		all := waitWorkers(t, w, "hello", 3)
		go func() {
			time.Sleep(rand.N(40 * time.Millisecond))
			all[i%len(all)].KillIfThere(t, syscall.SIGKILL)
		}()
		w.Do("upgrade")
		f.After(t, 20)
	}
	noneFailed(t, "GET, workers killed", f.Stop(), 400)
	waitWorkers(t, w, "hello", 4)

	// Requests of an edge that is killed are lost; connections are not refused, and it is back.
	g := testkit.Load{Address: w.Address, Conns: 2, Pause: 5 * time.Millisecond}.Start(t)
	upgraded := 0
	for range 12 {
		edge := w.Edge()
		done := make(chan struct{})
		go func() {
			defer close(done)
			time.Sleep(rand.N(40 * time.Millisecond))
			edge.KillIfThere(t, syscall.SIGKILL)
		}()
		out, problem, code := w.Command("upgrade")
		<-done
		if code == 0 {
			upgraded++
		} else if !strings.Contains(problem, "try again") && !strings.Contains(problem, "the edge") {
			t.Errorf("%s%s", out, problem)
		}
		testkit.Eventually(t, testkit.Patience, "it serves", func() bool { status, ok := answered(t, w.Address); return ok && status == 200 })
	}
	for reason, n := range g.Stop().Failures {
		if strings.Contains(reason, "refused") {
			t.Errorf("%d × %s", n, reason)
		}
	}
	if upgraded == 0 {
		t.Error("no upgrade came to its end")
	}
	w.Do("upgrade")
}

// TestStopDuringUpgrade: a TERM that comes at whatever moment of an upgrade stops everything.
func TestStopDuringUpgrade(t *testing.T) {
	for range 12 {
		w := testkit.Run(t, testkit.Setup{Plain: true, Config: hello(2, "")})
		all := w.Processes()
		slow := w.Dial()
		slow.Send("GET /slow?ms=300 HTTP/1.1\r\nHost: e2e.test\r\n\r\n")
		done := make(chan struct{})
		go func() { defer close(done); w.Command("upgrade") }()
		time.Sleep(rand.N(60 * time.Millisecond))
		w.Signal(syscall.SIGTERM)
		if m := slow.Response("GET"); m.Status != 200 {
			t.Errorf("what was under way got %d", m.Status)
		}
		slow.Close()
		select {
		case <-w.Exited():
		case <-time.After(20 * time.Second):
			t.Fatalf("it does not stop:\n%s", w.Output())
		}
		<-done
		testkit.Gone(t, 15*time.Second, all)
	}
}

// TestTwoUpgradesAtOnce: one is done, the other one too or refused in a line.
func TestTwoUpgradesAtOnce(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Plain: true, Config: hello(1, "")})
	type said struct {
		problem string
		code    int
	}
	for range 5 {
		all := make(chan said)
		for range 3 {
			go func() {
				_, problem, code := w.Command("upgrade")
				all <- said{problem, code}
			}()
		}
		done := 0
		for range 3 {
			if s := <-all; s.code == 0 {
				done++
			} else if !strings.Contains(s.problem, "another reload is under way") {
				t.Errorf("it says %s", s.problem)
			}
		}
		if done == 0 {
			t.Error("none was done")
		}
	}
}

// TestUpgradeToWhatCannotTakeOver: whatever lies where the program was, nothing changes, and one line says why.
func TestUpgradeToWhatCannotTakeOver(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Plain: true, Own: true, Config: hello(1, "")})
	keeper, edge := w.Keeper(), w.Edge()
	other := func(name string) string {
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, want := range map[string]string{"false": "it cannot take over: exit status 1", "ls": "it cannot take over: ", "echo": "it is no weir"} {
		w.Copy(other(name), "weir")
		out, problem, code := w.Command("upgrade")
		if code == 0 {
			t.Errorf("%s: it upgraded: %s", name, out)
		}
		oneLine(t, problem, want, "; the old one goes on")
		if strings.Count(strings.TrimSpace(problem), "\n") > 0 {
			t.Errorf("more than a line: %s", problem)
		}
	}
	if err := os.Remove(filepath.Join(w.Dir, "weir")); err != nil {
		t.Fatal(err)
	}
	if _, problem, code := w.Command("upgrade"); code == 0 || !strings.Contains(problem, "no such file") {
		t.Errorf("without a program: %d %s", code, problem)
	}
	if status, _ := w.Get("/"); status != 200 || !keeper.Alive() || w.Edge().PID != edge.PID {
		t.Errorf("status %d, edge %d, was %d", status, w.Edge().PID, edge.PID)
	}
}

// TestUpgradeIsNoReload: what is in force goes on, also when the file has been edited since.
func TestUpgradeIsNoReload(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Plain: true, Config: hello(1, "")})
	w.Write("weir.yaml", "listen: 7\n")
	w.Do("upgrade")
	if status, _ := w.Get("/"); status != 200 {
		t.Errorf("status %d", status)
	}
	if _, _, code := w.Command("reload"); code == 0 {
		t.Error("a faulty file was taken")
	}
	w.Do("upgrade")
	if s := w.Status(); !strings.Contains(s.Problem, "reload") {
		t.Errorf("the problem is forgotten: %+v", s)
	}
	w.Write("weir.yaml", hello(2, ""))
	w.Do("reload")
	waitWorkers(t, w, "hello", 2)
}

// TestOutputOverUpgrades: no line of a worker's output is lost, cut or shown twice.
func TestOutputOverUpgrades(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Plain: true, Config: hello(1, `
  chatty:
    command: "sh -c 'i=0; while :; do i=$((i+1)); printf \"num\"; printf \"ber %s\\n\" $i; sleep 0.002; done'"
    workers: 1
    socket: true
    ready: {within: 10m}
sites: [{hosts: ["*"], routes: [{pool: hello}]}]
`)})
	for range 15 {
		w.Do("upgrade")
	}
	chatty := regexp.MustCompile(`chatty/1: (.*)`)
	var lines []string
	testkit.Eventually(t, testkit.Patience, "it has said enough", func() bool {
		lines = nil
		for _, m := range chatty.FindAllStringSubmatch(w.Output(), -1) {
			lines = append(lines, m[1])
		}
		return len(lines) > 300
	})
	for i, line := range lines[:len(lines)-1] {
		if line != "number "+strconv.Itoa(i+1) {
			t.Fatalf("line %d is %q", i+1, line)
		}
	}
}

// TestNotifyOverUpgrades: systemd sees a reload in the same process, whose watchdog goes on.
func TestNotifyOverUpgrades(t *testing.T) {
	s := newSupervisor(t)
	w := testkit.Run(t, testkit.Setup{Plain: true, Config: hello(1, ""), NoWait: true,
		Env: []string{"NOTIFY_SOCKET=" + s.path, "WATCHDOG_USEC=300000"}})
	s.hears("READY=1")
	for range 3 {
		w.Do("upgrade")
		s.hears("RELOADING=1")
		s.hears("READY=1")
		s.hears("WATCHDOG=1")
		s.hears("WATCHDOG=1")
	}
	w.Stop()
	s.hears("STOPPING=1")
}

// TestStickyOverUpgrades: learned sessions and counts are there after an upgrade.
func TestStickyOverUpgrades(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Plain: true, Config: hello(4, "pools:\n  hello: {app: hello, balance: round_robin, sticky: {learn: sid}}\n")})
	waitWorkers(t, w, "hello", 4)
	var guests []*guest
	for i := range 16 {
		g := &guest{t: t, w: w, cookie: fmt.Sprint("mine=1; sid=", i)}
		g.ask()
		g.ask()
		guests = append(guests, g)
	}
	for range 3 {
		before := w.Status().Edge.Requests
		w.Do("upgrade")
		for _, g := range guests {
			g.stays("after an upgrade")
		}
		testkit.Eventually(t, testkit.Patience, "the old edge's counts have come", func() bool { return w.Status().Edge.Requests >= before+3*16 })
	}
}

// TestFullDiskDuringUpgrade: without room in the run directory nothing is lost, and it is said.
func TestFullDiskDuringUpgrade(t *testing.T) {
	dir := t.TempDir()
	if !mountTiny(t, dir) {
		t.Log("this user or machine may not mount a small disk: nothing to see")
		return
	}
	run := filepath.Join(dir, "r")
	w := testkit.Run(t, testkit.Setup{Plain: true, Config: hello(1, ""), Env: []string{"WEIR_RUN_DIR=" + run}})
	do := func(args ...string) (string, error) {
		cmd := exec.Command(testkit.Build(t, "./cmd/weir", false), args...)
		cmd.Env = append(os.Environ(), "WEIR_RUN_DIR="+run)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	var fill []string
	for full := false; !full; {
		path := filepath.Join(dir, fmt.Sprint("full-", len(fill)))
		full = os.WriteFile(path, nil, 0o644) != nil
		fill = append(fill, path)
	}
	if out, err := do("upgrade"); err == nil || !strings.Contains(out, "no space left on device") {
		t.Errorf("with a full disk: %v %s", err, out)
	}
	if status, _ := w.Get("/"); status != 200 {
		t.Errorf("status %d", status)
	}
	for _, path := range fill {
		os.Remove(path)
	}
	if out, err := do("upgrade"); err != nil {
		t.Errorf("with room again: %s", out)
	}
	if status, _ := w.Get("/"); status != 200 {
		t.Errorf("status %d", status)
	}
}

// TestTransfersOverUpgrades: what takes long goes on over several upgrades, at the edge that began it, up to timeouts.hard_stop.
func TestTransfersOverUpgrades(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Plain: true, Config: hello(1, "timeouts: {hard_stop: 4s}")})
	waitWorkers(t, w, "hello", 1)
	slow, ticks := w.Dial(), w.Dial()
	defer slow.Close()
	defer ticks.Close()
	slow.Send("GET /slow?ms=2000 HTTP/1.1\r\nHost: e2e.test\r\n\r\n")
	ticks.Send("GET /ticks?n=100000&ms=20 HTTP/1.1\r\nHost: e2e.test\r\n\r\n")
	ticks.Head()
	first := w.Edge()
	for range 4 {
		w.Do("upgrade")
	}
	if !first.Alive() {
		t.Fatal("the first process has ended with transfers under way")
	}
	if m := slow.Response("GET"); m.Status != 200 {
		t.Errorf("what was under way: status %d", m.Status)
	}
	testkit.Eventually(t, testkit.Patience, "the first process has ended", func() bool { return !first.Alive() })
	testkit.Eventually(t, testkit.Patience, "one process serves", func() bool { return edges(w) == 1 })
}

// TestUpgradeInACrashLoop: one app keeps dying and has hooks that take their time, another never gets ready; an upgrade waits for a
// quiet moment, and all goes on where it was.
func TestUpgradeInACrashLoop(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Plain: true, Config: hello(1, `
  broken:
    command: "sh -c 'echo no such table >&2; exit 3'"
    workers: 2
    socket: true
    ready: {within: 5s}
    backoff: {min: 50ms, max: 200ms}
    hooks: {before_start: "sleep 0.05", after_stop: "sleep 0.05"}
  mute:
    command: "sleep 1000"
    workers: 1
    socket: true
    ready: {within: 10m}
sites: [{hosts: ["*"], routes: [{pool: hello}]}]
`)})
	restarts := func() (n int) {
		for _, a := range w.Status().Apps {
			for _, k := range a.Workers {
				if a.Name == "broken" {
					n += k.Restarts
				}
				if a.Name == "mute" && k.State != "starting" {
					t.Errorf("%s is %s", k.Name, k.State)
				}
			}
		}
		return n
	}
	for range 5 {
		before := restarts()
		w.Do("upgrade")
		testkit.Eventually(t, testkit.Patience, "it goes on being started", func() bool { return restarts() > before })
	}
	if !strings.Contains(w.Output(), "CRASH LOOP: broken/1") {
		t.Error("it does not tell of the crash loop")
	}
	if status, _ := w.Get("/"); status != 200 {
		t.Errorf("status %d", status)
	}
}
