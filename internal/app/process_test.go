package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/notice"
)

// buffer is a writer that may be read while it is written to.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) { b.mu.Lock(); defer b.mu.Unlock(); return b.b.Write(p) }
func (b *buffer) String() string              { b.mu.Lock(); defer b.mu.Unlock(); return b.b.String() }

// house is a starter and a sink for one test.
type house struct {
	starter *Starter
	sink    *Sink
	out     *buffer
	dir     string
}

func open(t *testing.T, adopt bool) *house {
	t.Helper()
	s, err := NewStarter(adopt)
	if err != nil {
		t.Fatal(err)
	}
	h := &house{starter: s, out: &buffer{}, dir: t.TempDir()}
	h.sink = NewSink(h.out, notice.Form{})
	t.Cleanup(func() { h.starter.Close(); h.sink.Close(5 * time.Second) })
	return h
}

func helper(mode string, args ...string) *config.App {
	a := testApp(1)
	a.Argv = append([]string{os.Args[0], "worker", mode}, args...)
	a.Ready = config.Ready{Within: 10 * time.Second, Every: 20 * time.Millisecond}
	return a
}

func (h *house) launch(t *testing.T, a *config.App) *Process {
	t.Helper()
	p, err := Launch(h.starter, h.sink, h.dir, Spawn{Worker: a.Name + "/1.1", Place: 1, Gen: 1, App: a})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Signal("KILL"); h.over(t, p) })
	return p
}

func (h *house) over(t *testing.T, p *Process) {
	t.Helper()
	select {
	case <-p.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("the process does not end")
	}
}

func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !f(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func alive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(text), ") Z ")
}

func TestReadyByPortAndSocket(t *testing.T) {
	h := open(t, false)
	for name, change := range map[string]func(*config.App){
		"port, connect":  func(*config.App) {},
		"socket":         func(a *config.App) { a.Socket = true },
		"path and host":  func(a *config.App) { a.Ready.Path, a.Ready.Host = "/third", "site.example" },
		"socket, path":   func(a *config.App) { a.Socket = true; a.Ready.Path = "/" },
		"nofile through": func(a *config.App) { a.Nofile = 128 },
	} {
		t.Run(name, func(t *testing.T) {
			a := helper("serve")
			change(a)
			p := h.launch(t, a)
			if err := p.AwaitReady(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := p.Signal("TERM"); err != nil {
				t.Fatal(err)
			}
			h.over(t, p)
			if how, _ := p.Exit(); how != "signal: terminated" {
				t.Error(how)
			}
			if path, ok := strings.CutPrefix(p.Address, "unix:"); ok {
				if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
					t.Error("its socket is left", err)
				}
			}
		})
	}
}

func TestNotReady(t *testing.T) {
	h := open(t, false)
	for path, want := range map[string]string{
		"/never": "did not answer GET /never with 2xx within 1s (it answered 503",
		"/moved": "(it answered 302",
	} {
		a := helper("serve")
		a.Ready = config.Ready{Path: path, Within: time.Second, Every: 20 * time.Millisecond}
		p := h.launch(t, a)
		until(t, "it listens", func() bool { return len(listening(p.port)) > 0 })
		if err := p.AwaitReady(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Error(err)
		}
	}
	a := helper("stubborn")
	a.Ready = config.Ready{Within: 100 * time.Millisecond, Every: time.Second}
	p := h.launch(t, a)
	if err := p.AwaitReady(t.Context()); err == nil || !strings.Contains(err.Error(), "did not accept connections within 100ms (nobody listens at "+p.Address+": the command has to listen at its $PORT)") {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.AwaitReady(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestLastWords(t *testing.T) {
	h := open(t, false)
	p := h.launch(t, helper("say", "no module named photos"))
	h.over(t, p)
	if how, words := p.Exit(); how != "exit status 3" || words != "no module named photos" {
		t.Error(how, words)
	}
	until(t, "the line is out", func() bool { return strings.Contains(h.out.String(), "Z web/1: no module named photos\n") })
	if !regexp.MustCompile(`(?m)^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\S+ web/1: no`).MatchString(h.out.String()) {
		t.Error(h.out.String())
	}
}

func TestOutputIsCutAndMadePrintable(t *testing.T) {
	h := open(t, false)
	p := h.launch(t, helper("raw"))
	h.over(t, p)
	h.sink.Close(5 * time.Second)
	var lines []string
	for line := range strings.Lines(h.out.String()) {
		_, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "web/1: ")
		lines = append(lines, text)
	}
	x := strings.Repeat("x", lineSize)
	want := []string{`a\x00b\x1b[31m\xff ü`, "", x + " …", x + " …", x + " …", "end"}
	if len(lines) < 5 || lines[0] != want[0] || lines[1] != "" || lines[2] != want[2] {
		t.Fatalf("%d lines, the first %q", len(lines), lines[0])
	}
	rest := strings.ReplaceAll(strings.Join(lines[2:], ""), " …", "")
	if rest != x+x+x+"end" {
		t.Errorf("%d bytes of the long line", len(rest))
	}
}

// stuck is an output that nobody reads.
type stuck struct{ free chan struct{} }

func (s stuck) Write(p []byte) (int, error) { <-s.free; return len(p), nil }

func TestSlowOutputHoldsNoWorkerUp(t *testing.T) {
	h := open(t, false)
	s := stuck{make(chan struct{})}
	h.sink.Close(time.Second)
	h.sink = NewSink(s, notice.Form{})
	p := h.launch(t, helper("flood")) // 10 MB
	h.over(t, p)
	if h.sink.Dropped() == 0 {
		t.Error("nothing was dropped")
	}
	began := time.Now()
	h.sink.Close(10 * time.Millisecond)
	if took := time.Since(began); took > 5*time.Second {
		t.Error("close waited", took)
	}
	close(s.free)
	<-h.sink.done
}

func TestSinkWritesEachLineOnceAndSaysWhatItDropped(t *testing.T) {
	var out buffer
	s := NewSink(&out, notice.Form{})
	for i := range 2000 {
		fmt.Fprintf(s, "line %d\n", i)
		if i%100 == 0 {
			until(t, "it is written", func() bool { return strings.HasSuffix(out.String(), fmt.Sprintf("line %d\n", i)) })
		}
	}
	s.Write(make([]byte, sinkSize+1))
	s.Close(5 * time.Second)
	want := ""
	for i := range 2000 {
		want += fmt.Sprintf("line %d\n", i)
	}
	if got, rest, _ := strings.Cut(out.String(), "20"+time.Now().Format("06")+"-"); got != want || !strings.Contains(rest, "weir: warning: 1 lines dropped") {
		t.Errorf("%d bytes, want %d; then %q", len(got), len(want), rest)
	}
}

func TestWholeFamilyIsGone(t *testing.T) {
	for _, end := range []string{"TERM", "KILL"} {
		t.Run(end, func(t *testing.T) {
			h := open(t, true)
			p := h.launch(t, helper("family"))
			until(t, "the family is there", func() bool { return len(p.Lines()) > 0 })
			var child, escaped int
			if _, err := fmt.Sscanf(p.Lines()[0], "family %d %d", &child, &escaped); err != nil {
				t.Fatal(err)
			}
			if !alive(child) || !alive(escaped) {
				t.Fatal("the family died young")
			}
			if err := p.Signal(end); err != nil {
				t.Fatal(err)
			}
			h.over(t, p)
			until(t, "both are gone", func() bool { return !alive(child) && !alive(escaped) })
			until(t, "nothing is left to reap", func() bool {
				h.starter.Reap()
				_, err1 := os.Stat(fmt.Sprintf("/proc/%d", child))
				_, err2 := os.Stat(fmt.Sprintf("/proc/%d", escaped))
				return err1 != nil && err2 != nil
			})
		})
	}
}

func TestStubbornWorkerNeedsKill(t *testing.T) {
	h := open(t, false)
	p := h.launch(t, helper("stubborn"))
	until(t, "it is up", func() bool { return len(p.Lines()) > 0 })
	if err := p.Signal("TERM"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Done():
		t.Fatal("it heeded TERM")
	case <-time.After(50 * time.Millisecond):
	}
	if err := p.Signal("KILL"); err != nil {
		t.Fatal(err)
	}
	h.over(t, p)
	if err := p.Signal("TERM"); err != nil {
		t.Error("a signal to what is gone", err)
	}
	if err := p.Signal("NONE"); err == nil {
		t.Error("there is no such signal")
	}
}

func TestSurroundings(t *testing.T) {
	h := open(t, false)
	t.Setenv("SECRET_OF_WEIR", "1")
	a := helper("limits")
	a.Directory, a.Nofile, a.Env = t.TempDir(), 99, map[string]string{"BIND": "at-${PORT}-$WORKER", "PRICE": "5$"}
	a.Argv = append(a.Argv, "$PORT")
	p := h.launch(t, a)
	h.over(t, p)
	text := strings.Join(p.Lines(), "\n")
	port := strings.TrimPrefix(p.Address, "127.0.0.1:")
	for _, want := range []string{"99\n99\n", "\n" + a.Directory + "\n", "BIND=at-" + port + "-1\n", "PORT=" + port, "PRICE=5$\n", "WORKER=1", "WEIR_WORKER=web/1.1"} {
		if !strings.Contains(text+"\n", want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "SECRET_OF_WEIR") {
		t.Error("weir's own environment is passed on")
	}
}

func TestOtherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		if _, err := lookup("root"); err == nil || !strings.Contains(err.Error(), "has to run as root") {
			t.Error(err)
		}
		return
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	h := open(t, false)
	if err := os.Chmod(filepath.Dir(h.dir), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(h.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	a := testApp(1)
	a.Argv, a.User, a.Directory = []string{"sh", "-c", "id -un; id -u; echo home $HOME; touch $SOCKET && echo wrote"}, "nobody", "/"
	a.Socket = true
	p := h.launch(t, a)
	h.over(t, p)
	if got, want := strings.Join(p.Lines(), " "), "nobody "+nobody.Uid+" home "+nobody.HomeDir+" wrote"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestPreflight(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change   func(*config.App)
		key, say string
	}{
		"unknown command":  {func(a *config.App) { a.Argv = []string{"no-such-command"} }, "command", `there is no command "no-such-command" in PATH (`},
		"unknown path":     {func(a *config.App) { a.Argv = []string{"bin/serve"}; a.Directory = dir }, "command", "there is no command " + dir + "/bin/serve"},
		"not executable":   {func(a *config.App) { a.Argv = []string{file} }, "command", "not executable"},
		"a directory":      {func(a *config.App) { a.Argv = []string{dir} }, "command", "is a directory"},
		"empty":            {func(a *config.App) { a.Argv = nil }, "command", "empty"},
		"the app's PATH":   {func(a *config.App) { a.Argv = []string{"sh"}; a.Env = map[string]string{"PATH": dir} }, "command", "in PATH (" + dir + ")"},
		"no directory":     {func(a *config.App) { a.Directory = "/nowhere" }, "directory", "there is no directory /nowhere"},
		"file, no folder":  {func(a *config.App) { a.Directory = file }, "directory", "is not a directory"},
		"no such user":     {func(a *config.App) { a.User = "nobody-here" }, "user", `there is no user "nobody-here"`},
		"socket path long": {func(a *config.App) { a.Socket = true; a.Name = strings.Repeat("n", 100) }, "socket", "use a shorter run_dir"},
	} {
		t.Run(name, func(t *testing.T) {
			a := helper("serve")
			c.change(a)
			err := Preflight(a, dir)
			var f *Fault
			if !errors.As(err, &f) || f.Key != c.key || !strings.Contains(err.Error(), c.say) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v", err)
			}
		})
	}
	if err := Preflight(helper("serve"), dir); err != nil {
		t.Error(err)
	}
}

// TestNofileThatCannotBe: what Preflight lets through, the shell that sets the limit can set, as root of a container too.
func TestNofileThatCannotBe(t *testing.T) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	own, other := identity{}, identity{credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	most := uint64(limit.Max)
	for _, n := range []uint64{0, 64, most} {
		if err := errors.Join(checkNofile(n, own), checkNofile(n, other)); err != nil {
			t.Errorf("nofile %d of %d: %v", n, most, err)
		}
	}
	if most >= 1<<30 {
		return // no nofile is above that
	}
	if err := checkNofile(most+1, other); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("above the hard limit of %d", most)) {
		t.Errorf("with a user of its own: %v", err)
	}
	for _, n := range []uint64{most + 1, 1 << 30} {
		can := exec.Command("/bin/sh", "-c", fmt.Sprintf("ulimit -n %d", n)).Run() == nil
		if err := checkNofile(n, own); (err == nil) != can {
			t.Errorf("nofile %d: %v, and the shell can set it: %t", n, err, can)
		}
	}
}

func TestNoDescriptorStays(t *testing.T) {
	h := open(t, false)
	count := func() int {
		d, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(d)
	}
	h.over(t, h.launch(t, helper("say", "x"))) // what opens once (netpoll) is open now
	before := count()
	for range 10 {
		h.over(t, h.launch(t, helper("say", "x")))
		a := testApp(1)
		a.Argv = []string{"/proc/self/mem"}
		if _, err := Launch(h.starter, h.sink, h.dir, Spawn{Worker: "web/1.1", Place: 1, Gen: 1, App: a}); err == nil {
			t.Fatal("that is no program")
		}
	}
	until(t, "all are closed", func() bool { return count() == before })
	ports.Lock()
	defer ports.Unlock()
	if len(ports.taken) != 0 {
		t.Error("ports stay taken", ports.taken)
	}
}

func TestWhyAProgramCannotBeStarted(t *testing.T) {
	h := open(t, false)
	dir := t.TempDir()
	for name, c := range map[string]struct {
		text string
		gone bool // its directory
		want string
	}{
		"no program":     {text: "echo hello\n", want: "/command is no program for this machine, nor a script with #! in its first line"},
		"no interpreter": {text: "#!/no/such/python\n", want: "/command names a program in its #! line, or a loader, that is not there"},
		"no directory":   {text: "#!/bin/sh\n", gone: true, want: "there is no directory "},
	} {
		path := filepath.Join(dir, "command")
		if err := os.WriteFile(path, []byte(c.text), 0o755); err != nil {
			t.Fatal(err)
		}
		a := helper("serve")
		a.Argv = []string{path}
		if a.Directory = dir; c.gone {
			a.Directory = filepath.Join(dir, "gone")
		}
		_, err := Launch(h.starter, h.sink, h.dir, Spawn{Worker: "web/1.1", Place: 1, Gen: 1, App: a})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

func TestSubstitute(t *testing.T) {
	own := map[string]string{"PORT": "80", "WORKER": "1", "WEIR_WORKER": "x"}
	for in, want := range map[string]string{
		"": "", "plain": "plain", "$PORT": "80", "a${PORT}b$WORKER": "a80b1", "$PORTS": "$PORTS", "$": "$", "$$PORT": "$80",
		"${PORT": "${PORT", "$SOCKET": "$SOCKET", "$WEIR_WORKER": "$WEIR_WORKER", "x$": "x$", "${}": "${}",
	} {
		if got := substitute(in, own); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestStarterClosed(t *testing.T) {
	h := open(t, false)
	h.starter.Close()
	if _, err := Launch(h.starter, h.sink, h.dir, Spawn{Worker: "web/1.1", Place: 1, Gen: 1, App: helper("serve")}); !errors.Is(err, errStarterClosed) {
		t.Error(err)
	}
	if err := syscall.Kill(os.Getpid(), 0); err != nil {
		t.Error(err)
	}
}
