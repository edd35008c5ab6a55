package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/weirhq/weir/internal/api"
)

const weirConfig = `chaos: allow
listen: {http: ["%[1]s"]}
log: {access: {to: stdout}}
run_dir: %[2]s/run
apps:
  django:
    command: %[3]s/examples/django/start.sh --bind unix:$SOCKET --workers 1 --threads 4 --keep-alive 60
    workers: 2
    env: {GUESTBOOK_DATA: "%[2]s/django"}
    ready: {path: /healthz, within: 60s}
    alive: {path: /healthz, every: 1s, timeout: 5s, fall: 2}
    stop: {signal: TERM, within: 35s}
    recycle: {%[5]s}
  app:
    command: %[4]s worker %[2]s/book
    socket: true
    workers: 3
    ready: {path: /healthz, within: 20s, every: 50ms}
    alive: {path: /healthz, every: 500ms, timeout: 2s, fall: 2}
    recycle: {memory: 200MiB}
pools:
  django: {app: django, max_conn: 4, queue: {size: 5000, timeout: 30s}}
  app: {app: app, max_conn: 32, queue: {size: 5000, timeout: 30s}}
  fixed:
    servers: [%[6]s]
    balance: round_robin
    health: {path: /healthz, every: 500ms, timeout: 2s, rise: 2, fall: 2}
    timeouts: {first_byte: 10s}
sites:
  - {hosts: [django.test], routes: [{pool: django}]}
  - {hosts: [app.test], routes: [{pool: app}]}
  - {hosts: [fixed.test], routes: [{pool: fixed}]}
  - {hosts: [version.test], routes: [{respond: {status: 200, body: "%[7]d"}}]}
`

// weirStack is weir, which keeps its workers itself.
type weirStack struct {
	*place
	binary  string
	client  *api.Client
	process *process
	log     *os.File
	version int
	recycle string // of the Django workers

	reading sync.WaitGroup
	mu      sync.Mutex
	killed  map[string]bool // workers, by name
	lost    []lostPOST
}

// lostPOST is a POST that weir answered with 502 or 504, as its access log has it.
type lostPOST struct {
	at     time.Time // when it began
	pool   string
	server string
}

func startWeir(ctx context.Context, dir, root, binary string) (*weirStack, error) {
	p, err := newPlace(dir, root)
	if err != nil {
		return nil, err
	}
	w := &weirStack{place: p, binary: binary, killed: map[string]bool{}, recycle: "after_requests: 0"}
	if err := os.MkdirAll(filepath.Join(dir, "run"), 0o755); err != nil {
		return nil, err
	}
	w.client = api.NewClient(api.KeeperSocket(filepath.Join(dir, "run")))
	if err := w.write(); err != nil {
		return nil, err
	}
	if w.log, err = os.Create(filepath.Join(dir, "weir.log")); err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, "run", w.file())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stderr = w.log
	access, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	w.reading.Go(func() { w.read(bufio.NewReaderSize(access, 1<<16)) })
	if w.process, err = begin(cmd); err != nil {
		return nil, err
	}
	if err := answers(ctx, w.addr, 2*time.Minute); err != nil {
		return nil, errors.Join(err, w.stop())
	}
	return w, w.recovered(ctx)
}

func (w *weirStack) file() string { return filepath.Join(w.dir, "weir.yaml") }

// write writes the configuration, another one each time.
func (w *weirStack) write() error {
	w.version++
	var servers []string
	for _, m := range w.ill {
		servers = append(servers, `"`+m.address+`"`)
	}
	text := fmt.Sprintf(weirConfig, w.addr, w.dir, w.root, w.self, w.recycle, strings.Join(servers, ", "), w.version)
	return os.WriteFile(w.file(), []byte(text), 0o644)
}

// read picks out of the access log what was lost.
func (w *weirStack) read(r *bufio.Reader) {
	for {
		line, err := r.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
		if !bytes.Contains(line, []byte(`"status":50`)) || !bytes.Contains(line, []byte(`"method":"POST"`)) {
			continue
		}
		var l struct {
			Time         time.Time
			Status       int
			Pool, Server string
		}
		if json.Unmarshal(line, &l) != nil || l.Status == 503 {
			continue // the client sees it too, and nobody may
		}
		w.mu.Lock()
		w.lost = append(w.lost, lostPOST{l.Time, l.Pool, l.Server})
		w.mu.Unlock()
	}
}

func (w *weirStack) name() string    { return "weir" }
func (w *weirStack) address() string { return w.addr }

func (w *weirStack) status(ctx context.Context) (s api.Status, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return s, w.client.Get(ctx, "/v1/status", &s)
}

// weir runs a verb. What it is refused because another one is under way was not done.
func (w *weirStack) weir(ctx context.Context, args ...string) (bool, error) {
	cmd := exec.CommandContext(ctx, w.binary, append(args, "--run-dir", filepath.Join(w.dir, "run"))...)
	out, err := cmd.CombinedOutput()
	switch {
	case err == nil:
		return true, nil
	case ctx.Err() != nil, bytes.Contains(out, []byte("another reload is under way")), bytes.Contains(out, []byte("the edge is being started")),
		bytes.Contains(out, []byte("the edge died")), bytes.Contains(out, []byte("is down")):
		return false, nil
	}
	return false, fmt.Errorf("weir %s: %w: %s", strings.Join(args, " "), err, out)
}

// live are the workers of an app that serve.
func live(s *api.Status, app string) (all []api.WorkerStatus) {
	for _, a := range s.Apps {
		for _, k := range a.Workers {
			if a.Name == app && k.State == "live" {
				all = append(all, k)
			}
		}
	}
	return all
}

// strike sends a signal to a worker, unless it is the last one.
func (w *weirStack) strike(ctx context.Context, app string, sig syscall.Signal) (bool, error) {
	s, err := w.status(ctx)
	if err != nil {
		return false, err
	}
	all := live(&s, app)
	if len(all) < 2 || all[0].PID == 0 {
		return false, nil
	}
	k := all[int(time.Now().UnixNano()/1000)%len(all)]
	w.mu.Lock()
	w.killed[k.Name] = true
	w.mu.Unlock()
	if err := syscall.Kill(-k.PID, sig); err != nil {
		return false, nil // it has ended meanwhile
	}
	// Until it is noticed, all would seem to be well again.
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end) && pause(ctx, 50*time.Millisecond); {
		s, err := w.status(ctx)
		if err == nil && !slices.ContainsFunc(live(&s, app), func(o api.WorkerStatus) bool { return o.Name == k.Name }) {
			break
		}
	}
	return true, nil
}

func (w *weirStack) faults() map[string]func(ctx context.Context) (bool, error) {
	turn := 0
	either := func(names ...string) string { turn++; return names[turn%len(names)] }
	return map[string]func(ctx context.Context) (bool, error){
		rolling: func(ctx context.Context) (bool, error) { return w.weir(ctx, "reload", either("app", "django")) },
		recycling: func(ctx context.Context) (bool, error) {
			a := askApp(appHost, "", false, nil)
			a.path = "/grow?mb=220"
			grow := &client{address: w.addr, limit: 10 * time.Second}
			defer grow.close()
			grow.do(a, time.Now())
			return true, nil
		},
		killing: func(ctx context.Context) (bool, error) {
			return w.strike(ctx, either("app", "app", "django"), syscall.SIGKILL)
		},
		hanging:  func(ctx context.Context) (bool, error) { return w.strike(ctx, "app", syscall.SIGSTOP) },
		proxyDie: w.killEdge,
		upgrade:  func(ctx context.Context) (bool, error) { return w.weir(ctx, "upgrade") },
		reload: func(ctx context.Context) (bool, error) {
			if err := w.write(); err != nil {
				return false, err
			}
			return w.weir(ctx, "reload")
		},
		hangs:   w.moods(hangs),
		garbage: w.moods(garbage),
		resets:  w.moods(resets),
	}
}

func (w *weirStack) killEdge(ctx context.Context) (bool, error) {
	s, err := w.status(ctx)
	if err != nil || s.Edge == nil {
		return false, err
	}
	return syscall.Kill(s.Edge.PID, syscall.SIGKILL) == nil, nil
}

// setting changes how the Django workers are recycled.
func (w *weirStack) setting(ctx context.Context, recycle string) error {
	w.recycle = recycle
	if err := w.write(); err != nil {
		return err
	}
	_, err := w.weir(ctx, "reload")
	return err
}

func (w *weirStack) recovered(ctx context.Context) error {
	want := map[string]int{"django": 2, "app": 3}
	what := ""
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); {
		s, err := w.status(ctx)
		if err != nil {
			return err
		}
		what = ""
		for app, n := range want {
			if all := live(&s, app); len(all) != n || slices.ContainsFunc(all, func(k api.WorkerStatus) bool { return k.Due != "" }) {
				what = fmt.Sprintf("%d workers of %s are live", len(all), app)
			}
		}
		if s.Edge == nil {
			what = "there is no edge"
		} else {
			for _, p := range s.Edge.Pools {
				for _, v := range p.Servers {
					if p.Name == "fixed" && v.State != "ready" {
						what = v.Name + " is " + v.State
					}
				}
			}
		}
		if what == "" {
			return nil
		}
		if !pause(ctx, 100*time.Millisecond) {
			return ctx.Err()
		}
	}
	return fmt.Errorf("it does not recover: %s", what)
}

// gaveUp are the lines in which weir says that it ends a worker with what it has.
var gaveUp = regexp.MustCompile(`(?m)\b((?:app|django)/[0-9.]+) (?:failed its alive check|died)`)

func (w *weirStack) strays(from, to time.Time) (n int) {
	text, _ := os.ReadFile(filepath.Join(w.dir, "weir.log")) // without it more seem to be strays
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range gaveUp.FindAllStringSubmatch(string(text), -1) {
		w.killed[m[1]] = true
	}
	fixed := 0
	for _, l := range w.lost {
		switch {
		case l.at.Before(from) || !l.at.Before(to):
		case l.pool == "fixed":
			fixed++
		case !w.killed[l.server]:
			n++
		}
	}
	return n + max(fixed-w.took(from.Add(-10*time.Second), to.Add(10*time.Second)), 0) // one may wait before it is taken
}

func (w *weirStack) executed() (map[string]int, error) { return w.books() }

func (w *weirStack) stop() error {
	w.process.end(time.Minute)
	w.reading.Wait()
	w.client.Close()
	return errors.Join(w.closeServers(), w.log.Close())
}
