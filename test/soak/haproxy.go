package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// What a careful operator writes: checks as frequent as weir's, retries at another server for all that can be retried, but not of what
// must not be sent twice, sockets handed over at a reload.
const haproxyConfig = `global
	nbthread 2
	maxconn 4000
	stats socket %[2]s/admin.sock mode 600 level admin expose-fd listeners
	hard-stop-after 60s
defaults
	mode http
	timeout connect 2s
	timeout client 60s
	timeout server 30s
	timeout queue 30s
	timeout http-request 10s
	timeout check 2s
	retries 3
	option redispatch 1
	retry-on all-retryable-errors
	option idle-close-on-response
	option httpchk
	http-check send meth GET uri /healthz ver HTTP/1.1 hdr Host localhost
	default-server check inter 500ms fastinter 125ms fall 2 rise 2 observe layer4 error-limit 3 on-error mark-down
frontend front
	bind %[1]s backlog 4096
	http-request disable-l7-retry unless METH_GET
	http-request return status 200 content-type text/plain string "%[3]d" if { hdr(host) version.test }
	use_backend django if { hdr(host) django.test }
	use_backend app if { hdr(host) app.test }
	default_backend fixed
backend django
	balance leastconn
	timeout check 5s
%[4]sbackend app
	balance leastconn
%[5]sbackend fixed
	balance roundrobin
	timeout server 10s
%[6]s`

// haproxyStack is HAProxy, with workers that a plain supervisor keeps: this file.
type haproxyStack struct {
	*place
	log      *os.File
	version  int
	workers  []*supervised
	stopping chan struct{}
	tending  sync.WaitGroup

	mu    sync.Mutex
	proxy *process
	older []*process // finish what they have
}

// supervised is a worker.
type supervised struct {
	backend, server string
	socket          string
	env             []string
	argv            []string

	mu      sync.Mutex
	process *process
}

func (s *supervised) now() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process
}

func startHAProxy(ctx context.Context, dir, root string) (*haproxyStack, error) {
	p, err := newPlace(dir, root)
	if err != nil {
		return nil, err
	}
	h := &haproxyStack{place: p, stopping: make(chan struct{})}
	if h.log, err = os.Create(filepath.Join(dir, "haproxy.log")); err != nil {
		return nil, err
	}
	for i := range 2 {
		socket := filepath.Join(dir, fmt.Sprintf("django%d.sock", i+1))
		h.workers = append(h.workers, &supervised{backend: "django", server: fmt.Sprintf("w%d", i+1), socket: socket, env: []string{"GUESTBOOK_DATA=" + filepath.Join(dir, "django")},
			argv: []string{root + "/examples/django/start.sh", "--bind", "unix:" + socket, "--workers", "1", "--threads", "4", "--keep-alive", "60"}})
	}
	for i := range 3 {
		socket := filepath.Join(dir, fmt.Sprintf("app%d.sock", i+1))
		h.workers = append(h.workers, &supervised{backend: "app", server: fmt.Sprintf("w%d", i+1), socket: socket, env: []string{"SOCKET=" + socket},
			argv: []string{h.self, "worker", filepath.Join(dir, "book")}})
	}
	for _, w := range h.workers {
		h.tending.Go(func() { h.keep(w) })
		h.tending.Go(func() { h.watch(w) })
	}
	if err := h.write(); err != nil {
		return nil, err
	}
	if err := h.replace(ctx); err != nil {
		return nil, errors.Join(err, h.stop())
	}
	h.tending.Go(h.keepProxy)
	if err := answers(ctx, h.addr, 2*time.Minute); err != nil {
		return nil, errors.Join(err, h.stop())
	}
	return h, h.recovered(ctx)
}

func (h *haproxyStack) name() string    { return "HAProxy" }
func (h *haproxyStack) address() string { return h.addr }
func (h *haproxyStack) file() string    { return filepath.Join(h.dir, "haproxy.cfg") }
func (h *haproxyStack) admin() string   { return filepath.Join(h.dir, "admin.sock") }

func (h *haproxyStack) write() error {
	h.version++
	var django, app, fixed strings.Builder
	for _, w := range h.workers {
		if w.backend == "django" {
			fmt.Fprintf(&django, "\tserver %s unix@%s maxconn 4\n", w.server, w.socket)
		} else {
			fmt.Fprintf(&app, "\tserver %s unix@%s maxconn 32\n", w.server, w.socket)
		}
	}
	for i, m := range h.ill {
		fmt.Fprintf(&fixed, "\tserver f%d %s\n", i+1, m.address)
	}
	text := fmt.Sprintf(haproxyConfig, h.addr, h.dir, h.version, &django, &app, &fixed)
	return os.WriteFile(h.file(), []byte(text), 0o644)
}

func (h *haproxyStack) ending() bool {
	select {
	case <-h.stopping:
		return true
	default:
		return false
	}
}

// keep starts a worker whenever there is none.
func (h *haproxyStack) keep(w *supervised) {
	for !h.ending() {
		p, err := launch(h.log, w.env, w.argv...)
		if err != nil {
			fmt.Fprintln(h.log, err)
			return
		}
		w.mu.Lock()
		w.process = p
		w.mu.Unlock()
		select {
		case <-p.gone:
		case <-h.stopping:
			p.end(40 * time.Second)
		}
		syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // what is left of its group
		os.Remove(w.socket)
	}
}

// watch kills a worker that does not answer, as weir's alive check does.
func (h *haproxyStack) watch(w *supervised) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	h.tending.Go(func() { <-h.stopping; cancel() })
	every, limit := 500*time.Millisecond, 2*time.Second
	if w.backend == "django" {
		every, limit = time.Second, 5*time.Second
	}
	failed := 0
	var of *process
	for pause(ctx, every) {
		p := w.now()
		once, cancel := context.WithTimeout(ctx, limit)
		err := healthy(once, "unix", w.socket, "localhost")
		late := once.Err() != nil // one that starts refuses, or has no socket yet
		cancel()
		if p != of {
			of, failed = p, 0
		}
		if err == nil || !late {
			failed = 0
		} else if failed++; failed >= 2 && ctx.Err() == nil {
			p.signal(syscall.SIGKILL)
			failed = 0
		}
	}
}

// replace starts HAProxy, in place of the one that runs, which finishes what it has (-sf).
func (h *haproxyStack) replace(ctx context.Context) error {
	h.mu.Lock()
	old := h.proxy
	argv := []string{"haproxy", "-db", "-f", h.file()}
	if old != nil && old.alive() {
		argv = append(argv, "-x", h.admin(), "-sf", fmt.Sprint(old.cmd.Process.Pid))
		h.older = append(slices.DeleteFunc(h.older, func(p *process) bool { return !p.alive() }), old)
	}
	p, err := launch(h.log, nil, argv...)
	if err == nil {
		h.proxy = p
	}
	h.mu.Unlock()
	if err != nil {
		return err
	}
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		if info, err := h.say("show info"); err == nil && strings.Contains(info, fmt.Sprintf("\nPid: %d\n", p.cmd.Process.Pid)) {
			return nil
		}
		if !p.alive() {
			return nil // it was killed meanwhile: the supervisor sees to it
		}
		if !pause(ctx, 10*time.Millisecond) {
			return ctx.Err()
		}
	}
	return errors.New("HAProxy does not answer on its socket")
}

// keepProxy starts HAProxy whenever there is none.
func (h *haproxyStack) keepProxy() {
	for {
		h.mu.Lock()
		p := h.proxy
		h.mu.Unlock()
		select {
		case <-p.gone:
		case <-h.stopping:
			return
		}
		h.mu.Lock()
		if h.proxy == p { // it was not replaced: it died
			if next, err := launch(h.log, nil, "haproxy", "-db", "-f", h.file()); err == nil {
				h.proxy = next
			} else {
				fmt.Fprintln(h.log, err)
			}
		}
		h.mu.Unlock()
	}
}

// say sends a command to the admin socket and returns the answer.
func (h *haproxyStack) say(command string) (string, error) {
	c, err := net.DialTimeout("unix", h.admin(), 5*time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, command+"\n"); err != nil {
		return "", err
	}
	text, err := io.ReadAll(c)
	return string(text), err
}

// servers is what HAProxy says of its servers: status and requests under way by backend/server.
func (h *haproxyStack) servers() (map[string]map[string]string, error) {
	text, err := h.say("show stat")
	if err != nil {
		return nil, err
	}
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(strings.TrimSpace(text), "# "))).ReadAll()
	if err != nil || len(rows) < 2 {
		return nil, fmt.Errorf("show stat: %w", err)
	}
	all := map[string]map[string]string{}
	for _, row := range rows[1:] {
		one := map[string]string{}
		for i, name := range rows[0] {
			if i < len(row) {
				one[name] = row[i]
			}
		}
		if one["svname"] != "FRONTEND" && one["svname"] != "BACKEND" {
			all[one["pxname"]+"/"+one["svname"]] = one
		}
	}
	return all, nil
}

// until waits until what HAProxy says of a server is so.
func (h *haproxyStack) until(ctx context.Context, server string, is func(map[string]string) bool) error {
	for end := time.Now().Add(40 * time.Second); time.Now().Before(end); {
		if all, err := h.servers(); err == nil && is(all[server]) {
			return nil
		}
		if !pause(ctx, 50*time.Millisecond) {
			return ctx.Err()
		}
	}
	return fmt.Errorf("%s does not get there", server)
}

// restart replaces one worker as a careful script does: no new requests, wait for those under way, end it, start it, wait until it
// answers, and until HAProxy knows.
func (h *haproxyStack) restart(ctx context.Context, w *supervised) error {
	name := w.backend + "/" + w.server
	if _, err := h.say("set server " + name + " state drain"); err != nil {
		return err
	}
	if err := h.until(ctx, name, func(s map[string]string) bool { return s["scur"] == "0" && s["qcur"] == "0" }); err != nil {
		return err
	}
	old := w.now()
	old.signal(syscall.SIGTERM)
	<-old.gone
	for end := time.Now().Add(time.Minute); ; {
		if p := w.now(); p != old && healthy(ctx, "unix", w.socket, "localhost") == nil {
			break
		}
		if time.Now().After(end) || !pause(ctx, 50*time.Millisecond) {
			return fmt.Errorf("%s does not start", name)
		}
	}
	if _, err := h.say("set server " + name + " state ready"); err != nil {
		return err
	}
	return h.until(ctx, name, func(s map[string]string) bool { return strings.HasPrefix(s["status"], "UP") })
}

func (h *haproxyStack) of(backend string) (all []*supervised) {
	for _, w := range h.workers {
		if w.backend == backend {
			all = append(all, w)
		}
	}
	return all
}

// strike sends a signal to a worker, unless another one is down.
func (h *haproxyStack) strike(backend string, n int, sig syscall.Signal) (bool, error) {
	all, err := h.servers()
	if err != nil {
		return false, nil // HAProxy is being started
	}
	workers := h.of(backend)
	for _, w := range workers {
		if !strings.HasPrefix(all[backend+"/"+w.server]["status"], "UP") {
			return false, nil
		}
	}
	w := workers[n%len(workers)]
	p := w.now()
	p.signal(sig)
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end) && p.alive(); {
		time.Sleep(50 * time.Millisecond) // until it is noticed, all would seem to be well again
	}
	// Then HAProxy has to see the new one come.
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end) && healthy(context.Background(), "unix", w.socket, "localhost") != nil; {
		time.Sleep(50 * time.Millisecond)
	}
	return true, nil
}

func (h *haproxyStack) faults() map[string]func(ctx context.Context) (bool, error) {
	n := 0
	either := func(names ...string) string { n++; return names[n%len(names)] }
	var one sync.Mutex // rolling restart at a time, and no reload meanwhile: it would forget who drains
	anew := func(ctx context.Context) (bool, error) {
		one.Lock()
		defer one.Unlock()
		return true, h.replace(ctx)
	}
	return map[string]func(ctx context.Context) (bool, error){
		rolling: func(ctx context.Context) (bool, error) {
			one.Lock()
			defer one.Unlock()
			for _, w := range h.of(either("app", "django")) {
				if err := h.restart(ctx, w); err != nil {
					return false, nil // HAProxy, or the worker, was killed meanwhile: what is drained is taken back by recovered
				}
			}
			return true, nil
		},
		killing: func(context.Context) (bool, error) {
			return h.strike(either("app", "app", "django"), n/3, syscall.SIGKILL)
		},
		hanging: func(context.Context) (bool, error) { n++; return h.strike("app", n, syscall.SIGSTOP) },
		proxyDie: func(context.Context) (bool, error) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.proxy.signal(syscall.SIGKILL)
			return true, nil
		},
		upgrade: anew,
		reload: func(ctx context.Context) (bool, error) {
			if err := h.write(); err != nil {
				return false, err
			}
			return anew(ctx)
		},
		hangs:   h.moods(hangs),
		garbage: h.moods(garbage),
		resets:  h.moods(resets),
	}
}

func (h *haproxyStack) recovered(ctx context.Context) error {
	what := ""
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); {
		all, err := h.servers()
		if what = ""; err != nil {
			what = err.Error()
		}
		for name, s := range all {
			switch {
			case strings.HasPrefix(s["status"], "DRAIN"): // of a rolling restart that was disturbed
				_, err = h.say("set server " + name + " state ready")
				fallthrough
			case !strings.HasPrefix(s["status"], "UP") || err != nil:
				what = name + " is " + s["status"]
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

func (h *haproxyStack) strays(time.Time, time.Time) int { return 0 } // it is not judged

func (h *haproxyStack) executed() (map[string]int, error) { return h.books() }

func (h *haproxyStack) stop() error {
	close(h.stopping)
	h.tending.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range append(h.older, h.proxy) {
		if p != nil {
			p.end(10 * time.Second)
		}
	}
	return errors.Join(h.closeServers(), h.log.Close())
}
