package keeper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/app"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/testkit"
	"go.uber.org/goleak"
)

// A keeper that another program takes the place of has the main thread.
func init() {
	if len(os.Args) > 1 && os.Args[1] == "keep" {
		runtime.LockOSThread()
	}
}

// The test binary is its own worker, edge and keeper: `keeper.test worker MODE`, `keeper.test edge DIR`,
// `keeper.test keep DIR`.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 {
		switch os.Args[1] {
		case "takeover":
			if _, err := os.Stat(filepath.Join(os.Args[len(os.Args)-1], "no trial")); err == nil {
				fmt.Fprintln(os.Stderr, "weir: the configuration\nis not for it")
				os.Exit(1)
			}
			if err := Trial(os.Stdin, parseAgain); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			fmt.Printf(`{"version": "test", "format": %d}`, EstateFormat)
			return
		case "worker":
			work(os.Args[2])
			return
		case "edge":
			fakeEdge(os.Args[2])
			return
		case "desk":
			fakeDesk(os.Args[2])
			return
		case "guard":
			if err := Guard(os.Stdin, os.Args[2], os.Stderr); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			return
		case "keep":
			keep(os.Args[2])
			return
		}
	}
	testkit.Divide()
	os.Setenv("GORACE", "atexit_sleep_ms=0") // else the race detector makes every edge and guard take a second to exit
	goleak.VerifyTestMain(m)
}

// fakeDesk gives signs of life until there is the file "hang", and then none until it is killed. It notes itself in the file "desks".
func fakeDesk(dir string) {
	conn, err := api.KeeperConn()
	if err != nil {
		os.Exit(9)
	}
	f, err := os.OpenFile(filepath.Join(dir, "desks"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		os.Exit(9)
	}
	fmt.Fprintln(f, os.Getpid())
	f.Close()
	go func() {
		io.Copy(io.Discard, conn) //nolint:errcheck // to its end
		os.Exit(0)
	}()
	for range time.Tick(20 * time.Millisecond) {
		if os.Remove(filepath.Join(dir, "hang")) == nil {
			select {}
		}
		if _, err := conn.Write([]byte{1}); err != nil {
			os.Exit(0)
		}
	}
}

// work is a worker. The modes that must not get ready never listen: to accept, were it for a moment, is to be ready.
func work(mode string) {
	switch mode {
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
	case "crash":
		fmt.Println("crashing as told")
		os.Exit(7)
	case "crash-on-file": // until the file is there
		if _, err := os.Stat(os.Getenv("FILE")); err != nil {
			fmt.Println("no file")
			os.Exit(7)
		}
	case "never":
		time.Sleep(time.Hour)
	case "family":
		child := exec.Command("sleep", "3600")
		if child.Start() != nil {
			os.Exit(9)
		}
		fmt.Println("family", child.Process.Pid)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:"+os.Getenv("PORT"))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	if mode == "healthy" { // until the file is there
		http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, err := os.Stat(os.Getenv("FILE")); err == nil {
				w.WriteHeader(500)
			}
		}))
	}
	http.Serve(ln, http.NotFoundHandler())
}

// fakeEdge speaks the keeper's protocol, answers every request with its process's number, and notes what it is told
// in DIR/edge.log. Files in DIR say how it is to behave: "fail" (report that it cannot serve), "refuse" (states of
// other revisions), "hang" (never stop).
func fakeEdge(dir string) {
	is := func(name string) bool { _, err := os.Stat(filepath.Join(dir, name)); return err == nil }
	out, err := os.OpenFile(filepath.Join(dir, "edge.log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		panic(err)
	}
	note := func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) }
	conn, err := api.KeeperConn()
	if err != nil {
		panic(err)
	}
	var revision int64
	tell := func(s api.EdgeState) {
		revision = s.Source.Revision
		var names []string
		for _, w := range s.Workers {
			names = append(names, w.Name+"="+w.State)
		}
		note("state %s", strings.Join(names, " "))
	}
	exit := make(chan struct{})
	var once sync.Once
	mux := http.NewServeMux()
	var mu sync.Mutex
	mux.HandleFunc("POST /v1/state", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		var s api.EdgeState
		if err := api.ReadRequest(w, r, &s); err != nil {
			api.AnswerError(w, 400, err)
		} else if is("refuse") && s.Source.Revision != revision {
			api.AnswerError(w, 422, errors.New("the fake edge does not like it"))
		} else {
			tell(s)
			api.Answer(w, 200, struct{}{})
		}
	})
	mux.HandleFunc("POST /v1/drain", func(w http.ResponseWriter, r *http.Request) {
		var d api.Drain
		if err := api.ReadRequest(w, r, &d); err != nil {
			api.AnswerError(w, 400, err)
			return
		}
		note("drain %s", d.Worker)
		api.Answer(w, 200, api.Drained{})
	})
	mux.HandleFunc("POST /v1/stop", func(w http.ResponseWriter, _ *http.Request) {
		note("stop")
		api.Answer(w, 200, struct{}{})
		if !is("hang") {
			time.AfterFunc(20*time.Millisecond, func() { once.Do(func() { close(exit) }) })
		}
	})
	var accepting []net.Listener // not the control socket, as in the real one
	mux.HandleFunc("POST /v1/serve", func(w http.ResponseWriter, _ *http.Request) { api.Answer(w, 200, struct{}{}) })
	mux.HandleFunc("POST /v1/retire", func(w http.ResponseWriter, _ *http.Request) {
		note("retired")
		api.Answer(w, 200, struct{}{})
		time.AfterFunc(20*time.Millisecond, func() { once.Do(func() { close(exit) }) })
	})
	mux.HandleFunc("POST /v1/reopen", func(w http.ResponseWriter, _ *http.Request) {
		note("reopen")
		if is("no disk") {
			api.AnswerError(w, 422, errors.New("no space left on device"))
			return
		}
		api.Answer(w, 200, struct{}{})
	})
	mux.HandleFunc("GET /v1/alive", func(w http.ResponseWriter, r *http.Request) {
		note("alive?")
		if missed := is("miss"); missed || is("deaf") {
			if missed { // this one only
				os.Remove(filepath.Join(dir, "miss"))
			}
			<-r.Context().Done()
			return
		}
		api.Answer(w, 200, struct{}{})
	})
	mux.HandleFunc("GET /v1/pools", func(w http.ResponseWriter, _ *http.Request) {
		pools := []api.PoolStatus{}
		if text, err := os.ReadFile(filepath.Join(dir, "pools.json")); err == nil {
			if err := json.Unmarshal(text, &pools); err != nil {
				panic(err)
			}
		}
		api.Answer(w, 200, pools)
	})
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) {
		api.Answer(w, 200, api.EdgeStatus{PID: os.Getpid()})
	})
	go func() {
		for {
			h, files, err := api.ReceiveHandover(conn)
			if err != nil {
				note("keeper gone")
				for _, ln := range accepting {
					ln.Close()
				}
				for is("slow") { // it drains
					time.Sleep(5 * time.Millisecond)
				}
				note("drained")
				once.Do(func() { close(exit) })
				return
			}
			switch h.Kind {
			case "state":
				s, err := api.ReadState(files[0])
				if err != nil {
					panic(err)
				}
				tell(s)
			case "start":
				if is("overrun") { // it takes too long at this one
					api.SendReport(conn, api.Report{Overrun: &api.Overrun{Worker: "web/1.1", Requests: 3, Lost: 2}})
				}
				if is("fail") {
					api.SendReport(conn, api.Report{Error: "the fake edge is to fail"})
					os.Exit(1)
				}
				api.SendReport(conn, api.Report{Ready: true})
			default:
				var handler http.Handler = mux
				if h.Kind == "listener" {
					note("listener %s %d", h.Address, len(files))
					handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, os.Getpid()) })
				}
				for _, f := range files {
					ln, err := net.FileListener(f)
					if err != nil {
						panic(err)
					}
					f.Close()
					if u, ok := ln.(*net.UnixListener); ok {
						u.SetUnlinkOnClose(false)
					}
					if h.Kind == "listener" {
						accepting = append(accepting, ln)
					}
					go http.Serve(ln, handler)
				}
			}
		}
	}()
	<-exit
}

// keep runs a keeper for DIR/site.json, a config.Config.
func keep(dir string) {
	o := Options{Thread: app.NewThread(), Estate: Estate()}
	signals := make(chan os.Signal, 8)
	handle := func() { signal.Notify(signals, syscall.SIGTERM, syscall.SIGCHLD) }
	handle()
	o.Unhandle = func() func() { signal.Stop(signals); return handle }
	o.Parse = func(s api.Source) (*config.Main, *config.Config, error) {
		if text, err := os.ReadFile(filepath.Join(dir, "no heir")); err == nil { // once
			os.Remove(filepath.Join(dir, "no heir"))
			if string(text) == "panic" {
				panic("the new program is broken")
			}
			return nil, nil, errors.New("the new program does not like it")
		}
		return parseAgain(s)
	}
	defer o.Thread.Run()
	go func() {
		defer o.Thread.End()
		keepOn(dir, o, signals)
	}()
}

// parseAgain reads what the keeper's Load below made.
func parseAgain(s api.Source) (*config.Main, *config.Config, error) {
	text, err := os.ReadFile(s.Path)
	if err != nil {
		return nil, nil, err
	}
	var c config.Config
	return nil, &c, json.Unmarshal(text, &c)
}

func keepOn(dir string, o Options, signals chan os.Signal) {
	err := Run(context.Background(), Options{
		Thread: o.Thread, Estate: o.Estate, Unhandle: o.Unhandle, Parse: o.Parse, Version: "test",
		Load: func() (*config.Config, []config.Warning, error) {
			text, err := os.ReadFile(filepath.Join(dir, "site.json"))
			if err != nil {
				return nil, nil, err
			}
			var c config.Config
			err = json.Unmarshal(text, &c)
			c.File = filepath.Join(dir, "site.json")
			return &c, nil, err
		},
		Loops: 2, Edge: []string{os.Args[0], "edge", dir}, Guard: []string{os.Args[0], "guard"}, Stdout: os.Stdout, Stderr: os.Stderr, Signals: signals, Adopt: true,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// site is a keeper that runs in the test's process.
type site struct {
	t       *testing.T
	dir     string
	client  *api.Client
	signals chan os.Signal
	done    chan struct{}
	err     error // once done

	pulse time.Duration

	mu   sync.Mutex
	cfg  config.Config
	load error
}

func newApp(name, mode string, workers int) *config.App {
	return &config.App{
		Name: name, Argv: []string{os.Args[0], "worker", mode}, Workers: workers, Env: map[string]string{},
		Ready:   config.Ready{Within: 20 * time.Second, Every: 20 * time.Millisecond},
		Stop:    config.Stop{Signal: "TERM", Within: 10 * time.Second},
		Backoff: config.Backoff{Min: 10 * time.Millisecond, Max: 40 * time.Millisecond, Reset: time.Minute},
	}
}

func newSite(t *testing.T, apps ...*config.App) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), signals: make(chan os.Signal, 8), done: make(chan struct{})}
	s.cfg = config.Config{
		File: "site.yaml", RunDir: filepath.Join(s.dir, "run"), Listen: []config.Listen{{Network: "unix", Address: filepath.Join(s.dir, "http.sock")}},
		Apps: apps, Timeouts: config.Timeouts{Drain: 10 * time.Second}, Log: config.Log{Level: "debug"},
	}
	s.client = api.NewClient(api.KeeperSocket(s.cfg.RunDir))
	return s
}

func (s *site) options() Options {
	out, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		out.Close()
		if s.t.Failed() {
			s.t.Logf("log:\n%sedge:\n%s", s.read("log"), s.read("edge.log"))
		}
	})
	return Options{
		Load: func() (*config.Config, []config.Warning, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			c := s.cfg
			return &c, nil, s.load
		},
		Loops: 2, Edge: []string{os.Args[0], "edge", s.dir}, Guard: []string{os.Args[0], "guard"}, Desk: []string{os.Args[0], "desk", s.dir}, Stdout: out, Stderr: out, Signals: s.signals, Version: "test", Pulse: s.pulse,
	}
}

// start runs the keeper and waits until it is ready, if it is to be.
func (s *site) start(wait bool) *site {
	s.t.Helper()
	o := s.options()
	ready := make(chan struct{})
	o.Ready = func() { close(ready) }
	go func() {
		s.err = Run(context.Background(), o)
		close(s.done)
	}()
	s.t.Cleanup(func() {
		s.insist()
		s.client.Close()
	})
	if wait {
		select {
		case <-ready:
		case <-s.done:
			s.t.Fatal("it ended: ", s.err)
		case <-time.After(20 * time.Second):
			s.t.Fatal("it does not get ready")
		}
	}
	return s
}

// keep runs the keeper as a process of its own.
func (s *site) keep(log string) *exec.Cmd {
	s.t.Helper()
	text, err := json.Marshal(s.cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "site.json"), text, 0o644); err != nil {
		s.t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(s.dir, log))
	if err != nil {
		s.t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(os.Args[0], "keep", s.dir)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		cmd.Process.Kill() // it has ended if the test went well
		if s.t.Failed() {
			s.t.Logf("%s:\n%s", log, s.read(log))
		}
	})
	return cmd
}

// up says whether the keeper answers, has an edge, and its workers are in these states.
func (s *site) up(workers string) bool {
	var st api.Status
	return s.client.Get(s.t.Context(), "/v1/status", &st) == nil && st.Edge != nil && s.workers() == workers
}

// insist signals until the keeper stops at once: what comes soon after the first signal is part of it.
func (s *site) insist() {
	s.t.Helper()
	until(s.t, "the keeper has stopped", func() bool {
		select {
		case s.signals <- syscall.SIGTERM:
		case <-s.done:
			return true
		default:
		}
		return false
	})
}

func (s *site) over() {
	s.t.Helper()
	select {
	case <-s.done:
	case <-time.After(30 * time.Second):
		s.t.Error("it does not stop")
	}
}

func (s *site) change(f func(c *config.Config)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cfg.Apps = append([]*config.App(nil), s.cfg.Apps...)
	s.cfg.Listen = append([]config.Listen(nil), s.cfg.Listen...)
	f(&s.cfg)
}

func (s *site) read(name string) string {
	text, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.t.Fatal(err)
	}
	return string(text)
}

func (s *site) touch(name string) {
	if err := os.WriteFile(filepath.Join(s.dir, name), nil, 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) status() api.Status {
	s.t.Helper()
	var st api.Status
	if err := s.client.Get(s.t.Context(), "/v1/status", &st); err != nil {
		s.t.Fatal(err)
	}
	return st
}

// workers shows the workers and their states in one line.
func (s *site) workers() string {
	s.t.Helper()
	var all []string
	for _, a := range s.status().Apps {
		for _, w := range a.Workers {
			all = append(all, w.Name+"="+w.State)
		}
	}
	return strings.Join(all, " ")
}

func (s *site) reload(app string) error {
	return s.client.Post(s.t.Context(), "/v1/reload", api.Reload{App: app}, nil)
}

// get asks the edge behind a listener for its process's number.
func get(network, address string) (string, error) {
	t := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, address)
	}}
	c := http.Client{Transport: t, Timeout: 5 * time.Second}
	resp, err := c.Get("http://edge/")
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var pid string
	_, err = fmt.Fscan(resp.Body, &pid)
	return pid, err
}

func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !f(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func childrenOf(t *testing.T, pid int) (all []int) {
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range tasks {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // the thread has ended
		}
		for _, word := range strings.Fields(string(text)) {
			n, err := strconv.Atoi(word)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, n)
		}
	}
	return all
}

func alive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(text), ") Z ")
}
