package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/weirhq/weir/internal/api"
)

// served is what a running weir did.
type served struct {
	tagged     int64 // objects with the tag
	purge      times // of the API's answer to a purge by that tag
	left       int   // of a thousand of them that were still served afterwards
	base       int64 // resident memory of the edge before anything was kept
	after      int64 // and when it had been filled far beyond its budget
	most       int64
	budget     int64
	sent       int // objects in all
	slow       uint64
	fillRate   float64 // objects a second
	probe      times   // a hit on a connection of its own while others filled
	probeAlone times   // and while nothing else went on
}

// running is a weir with an origin in this process.
type running struct {
	cmd     *exec.Cmd
	dir     string
	address string
	api     *api.Client
	origin  *http.Server
}

const config = `
listen: {http: ["%s"]}
log: {access: {to: none}}
pools: {origin: {servers: ["%s"]}}
sites: [{hosts: ["*"], routes: [{pool: origin}]}]
cache: {memory: %dMiB}
`

// answer is an object of 1 KiB; all carry one tag.
func answer(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "max-age=86400")
	w.Header().Set("Surrogate-Key", "all")
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Write(body)
}

var body = make([]byte, bodyBytes)

// launch starts weir with so many MiB of cache.
func launch(ctx context.Context, o options, memory int64) (r *running, err error) {
	r = &running{}
	defer func() {
		if err != nil {
			r.stop()
		}
	}()
	origin, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return r, err
	}
	r.origin = &http.Server{Handler: http.HandlerFunc(answer)}
	go r.origin.Serve(origin) // until stop closes it
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return r, err
	}
	r.address = probe.Addr().String()
	if err := probe.Close(); err != nil {
		return r, err
	}
	if r.dir, err = os.MkdirTemp("", "weir-bench-"); err != nil {
		return r, err
	}
	file := filepath.Join(r.dir, "weir.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, config, r.address, origin.Addr(), memory), 0o600); err != nil {
		return r, err
	}
	r.cmd = exec.Command(o.weir, "run", "--run-dir", r.dir, file)
	r.cmd.Stderr = os.Stderr
	if err := r.cmd.Start(); err != nil {
		return r, fmt.Errorf("%w; build weir with make build", err)
	}
	r.api = api.NewClient(api.KeeperSocket(r.dir))
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		var s api.Status
		if err = r.api.Get(ctx, "/v1/status", &s); err == nil && s.Edge != nil {
			return r, nil
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return r, fmt.Errorf("weir does not serve: %w", err)
		}
	}
}

func (r *running) stop() {
	if r.cmd != nil && r.cmd.Process != nil {
		r.cmd.Process.Signal(syscall.SIGTERM)
		r.cmd.Wait()
	}
	if r.api != nil {
		r.api.Close()
	}
	if r.origin != nil {
		r.origin.Close()
	}
	if r.dir != "" {
		os.RemoveAll(r.dir)
	}
}

// memory is the edge's resident memory.
func (r *running) memory(ctx context.Context, what string) (int64, uint64, error) {
	var s api.Status
	if err := r.api.Get(ctx, "/v1/status", &s); err != nil || s.Edge == nil {
		return 0, 0, errors.Join(errors.New("no status of the edge"), err)
	}
	n, err := resident(strconv.Itoa(s.Edge.PID), what)
	return n, s.Edge.SlowTurns, err
}

// fillEdge runs weir twice: for the purge, with room for all, and for the budget, with too little.
func fillEdge(ctx context.Context, o options) (*served, error) {
	v := &served{}
	if err := v.purges(ctx, o); err != nil {
		return nil, err
	}
	return v, v.keeps(ctx, o)
}

const (
	connections  = 16
	manyPurges   = 5
	manyProbes   = 2000
	beyondBudget = 3 // times the budget that is sent through
)

// purges measures how long a purge by a tag takes that all objects have.
func (v *served) purges(ctx context.Context, o options) error {
	r, err := launch(ctx, o, int64(o.tagged)*2000>>20+16)
	if err != nil {
		return err
	}
	defer r.stop()
	for range manyPurges {
		if err := r.fill(ctx, 0, o.tagged, nil); err != nil {
			return err
		}
		var s api.CacheStatus
		if err := r.api.Get(ctx, "/v1/cache", &s); err != nil {
			return err
		}
		v.tagged = s.Objects
		begun := time.Now()
		if err := r.api.Post(ctx, "/v1/purge", api.Purge{Tags: []string{"all"}}, &api.Purged{}); err != nil {
			return err
		}
		v.purge.add(time.Since(begun))
		c, err := dial(r.address)
		if err != nil {
			return err
		}
		for n := range 1000 {
			hit, err := c.get(n * (o.tagged / 1000))
			if err != nil {
				return err
			}
			if hit {
				v.left++
			}
		}
		c.Close()
	}
	return nil
}

// keeps measures how near to its budget the process stays, and what it does to a hit to fill it.
func (v *served) keeps(ctx context.Context, o options) (err error) {
	r, err := launch(ctx, o, o.budget)
	if err != nil {
		return err
	}
	defer r.stop()
	v.budget = o.budget << 20
	c, err := dial(r.address)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.probe(&v.probeAlone, func() bool { return v.probeAlone.all < manyProbes }); err != nil {
		return err
	}
	if v.base, _, err = r.memory(ctx, "VmRSS"); err != nil {
		return err
	}
	v.sent = int(beyondBudget * v.budget / (bodyBytes + headBytes))
	begun := time.Now()
	if err := r.fill(ctx, 1, v.sent, func(more func() bool) error { return c.probe(&v.probe, more) }); err != nil {
		return err
	}
	v.fillRate = float64(v.sent) / time.Since(begun).Seconds()
	if v.after, v.slow, err = r.memory(ctx, "VmRSS"); err != nil {
		return err
	}
	v.most, _, err = r.memory(ctx, "VmHWM")
	return err
}

// fill asks for objects, each once, by several connections, and lets something go on meanwhile.
func (r *running) fill(ctx context.Context, from, to int, meanwhile func(more func() bool) error) error {
	var next atomic.Int64
	next.Store(int64(from))
	errs := make([]error, connections+1)
	var all sync.WaitGroup
	for i := range connections {
		all.Go(func() {
			c, err := dial(r.address)
			if err != nil {
				errs[i] = err
				return
			}
			defer c.Close()
			for ctx.Err() == nil {
				n := next.Add(1) - 1
				if n >= int64(to) {
					return
				}
				if _, errs[i] = c.get(int(n)); errs[i] != nil {
					return
				}
			}
			errs[i] = ctx.Err()
		})
	}
	if meanwhile != nil {
		errs[connections] = meanwhile(func() bool { return ctx.Err() == nil && next.Load() < int64(to) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// conn is a kept connection to weir.
type conn struct {
	net.Conn
	r *bufio.Reader
}

func dial(address string) (*conn, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &conn{c, bufio.NewReaderSize(c, 4<<10)}, nil
}

// get asks for an object and reports whether it came from the cache.
func (c *conn) get(n int) (hit bool, err error) {
	if _, err := fmt.Fprintf(c, "GET /%d HTTP/1.1\r\nHost: bench.test\r\n\r\n", n); err != nil {
		return false, err
	}
	status, err := c.r.ReadString('\n')
	if err == nil && !strings.HasPrefix(status, "HTTP/1.1 200 ") {
		err = fmt.Errorf("object %d: %q", n, status)
	}
	for err == nil {
		var line string
		if line, err = c.r.ReadString('\n'); line == "\r\n" {
			_, err = io.CopyN(io.Discard, c.r, bodyBytes)
			return hit, err
		}
		hit = hit || strings.HasPrefix(line, "Cache-Status: weir; hit")
	}
	return false, err
}

// probe asks for the first object again and again, a thousand times a second or so.
func (c *conn) probe(t *times, more func() bool) error {
	for more() {
		begun := time.Now()
		if _, err := c.get(0); err != nil {
			return err
		}
		t.add(time.Since(begun))
		time.Sleep(time.Millisecond)
	}
	return nil
}
