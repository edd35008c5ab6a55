package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/weirhq/weir/internal/api"
)

// site is a weir before one server, with a disk.
const site = `
listen: {http: ["127.0.0.1:%d"]}
log: {access: {to: none}}
cache: {memory: 256MiB, disk: {path: %q, size: %d}}
pools: {app: {servers: [%q]}}
sites: [{hosts: ["*"], routes: [{pool: app, cache: {}}]}]
`

// measureWeir fills the real binary's disk, stops and starts it, and measures until the first hit.
func measureWeir(binary, dir string, objects int, size int64) error {
	app, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	var asked atomic.Int64
	body := make([]byte, size)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Cache-Control", "max-age=36000")
		w.Write(body)
	})}
	go server.Serve(app)
	defer server.Close()
	w := &running{binary: binary, dir: dir, port: 18089}
	if err := os.MkdirAll(filepath.Join(dir, "cache"), 0o700); err != nil {
		return err
	}
	text := fmt.Sprintf(site, w.port, filepath.Join(dir, "cache"), (size+512)*int64(objects)*5/4, app.Addr())
	if err := os.WriteFile(filepath.Join(dir, "weir.yaml"), []byte(text), 0o600); err != nil {
		return err
	}
	if err := w.start(); err != nil {
		return err
	}
	defer func() { _ = w.cmd.Process.Signal(syscall.SIGTERM) }() // if it still runs, after an error
	begun := time.Now()
	if err := w.fill(objects); err != nil {
		return err
	}
	st, err := w.status()
	if err != nil {
		return err
	}
	fmt.Printf("weir: %d objects, %.2f GiB on disk, filled in %v\n", st.Objects, float64(st.Bytes)/(1<<30), time.Since(begun).Round(time.Second))
	for _, how := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := w.end(how); err != nil {
			return err
		}
		before := asked.Load()
		begun = time.Now()
		if err := w.start(); err != nil {
			return err
		}
		fmt.Printf("weir: after %v, first answer after %v from the start of the process", how, time.Since(begun).Round(time.Millisecond))
		const looks = 10_000
		for n := range looks {
			if _, err := w.get(n * (objects / looks)); err != nil {
				return err
			}
		}
		fmt.Printf("; of the first %d requests the application got %d\n", looks+1, asked.Load()-before)
	}
	return w.end(syscall.SIGTERM)
}

type running struct {
	binary, dir string
	port        int
	cmd         *exec.Cmd
}

// start runs weir and returns with its first answer.
func (w *running) start() error {
	w.cmd = exec.Command(w.binary, "run", filepath.Join(w.dir, "weir.yaml"))
	w.cmd.Env = append(os.Environ(), "WEIR_RUN_DIR="+filepath.Join(w.dir, "run"))
	if err := w.cmd.Start(); err != nil {
		return err
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if _, err := w.get(1); err == nil {
			return nil
		} else if time.Now().After(end) {
			return err
		}
	}
}

func (w *running) end(how syscall.Signal) error {
	http.DefaultClient.CloseIdleConnections()
	if err := w.cmd.Process.Signal(how); err != nil {
		return err
	}
	if err := w.cmd.Wait(); err != nil && how != syscall.SIGKILL {
		return err
	}
	for { // the edge outlives its killed keeper by a moment
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", w.port))
		if err != nil {
			return nil
		}
		c.Close()
		time.Sleep(time.Millisecond)
	}
}

func (w *running) get(n int) (hit bool, err error) {
	r, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/%d", w.port, n))
	if err != nil {
		return false, err
	}
	defer r.Body.Close()
	_, err = io.Copy(io.Discard, r.Body)
	return strings.Contains(r.Header.Get("Cache-Status"), "weir; hit"), err
}

func (w *running) status() (*api.CacheDisk, error) {
	cmd := exec.Command(w.binary, "cache", "--json")
	cmd.Env = append(os.Environ(), "WEIR_RUN_DIR="+filepath.Join(w.dir, "run"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("weir cache: %w: %s", err, out)
	}
	var s api.CacheStatus
	err = json.Unmarshal(out, &s)
	return s.Disk, err
}

// fill asks for everything until all is on the disk.
func (w *running) fill(objects int) error {
	http.DefaultTransport.(*http.Transport).MaxIdleConnsPerHost = 8
	for {
		var next atomic.Int64
		var group sync.WaitGroup
		var failed atomic.Value
		for range 4 {
			group.Go(func() {
				for n := next.Add(1) - 1; n < int64(objects) && failed.Load() == nil; n = next.Add(1) - 1 {
					if _, err := w.get(int(n)); err != nil {
						failed.Store(err)
					}
				}
			})
		}
		group.Wait()
		if err, ok := failed.Load().(error); ok {
			return err
		}
		if st, err := w.status(); err != nil || st.Objects >= int64(objects) {
			return err
		}
	}
}
