// Command uneven measures how least connections serves workers of uneven speed, weir's beside HAProxy's: requests come
// at random times, as clients do, to eight workers that take one at a time; the slowest needs four times as long as the fastest. What counts is how
// long a request takes from the moment at which it was due.
//
//	go run ./bench/uneven -weir bin/weir -busy 0.7 -turns 3
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// times are what the workers need for a request on average, in milliseconds. They are long, so that what the machine does besides
// counts for little.
var times = []float64{40, 40, 60, 60, 80, 80, 160, 160}

func main() {
	weir := flag.String("weir", "bin/weir", "the binary")
	busy := flag.Float64("busy", 0.7, "how much of the workers' time is needed")
	each := flag.Duration("each", 40*time.Second, "how long one turn is")
	turns := flag.Int("turns", 3, "how often each is measured, in turn")
	flag.Parse()
	if err := run(*weir, *busy, *each, *turns); err != nil {
		log.Fatal(err)
	}
}

func run(weir string, busy float64, each time.Duration, turns int) error {
	dir, err := os.MkdirTemp("", "uneven-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ws, err := startWorkers()
	if err != nil {
		return err
	}
	defer ws.stop()
	rate := 0.0
	for _, t := range times {
		rate += busy / (t / 1000)
	}
	fmt.Printf("%d workers of %v ms, %.0f requests a second, %.0f%% of their time\n\n", len(times), times, rate, 100*busy)
	fmt.Println("| | p50, ms | p90, ms | p99, ms | p99.9, ms | failed |")
	fmt.Println("|---|---|---|---|---|---|")
	all := map[string][]time.Duration{}
	failed := map[string]int{}
	for turn := range turns {
		for _, name := range []string{"weir", "haproxy"} {
			ws.begin(uint64(turn))
			took, lost, err := measure(name, weir, dir, ws.addresses, rate, each, uint64(turn))
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			row(fmt.Sprintf("%s, turn %d", name, turn+1), took, lost)
			all[name] = append(all[name], took...)
			failed[name] += lost
		}
	}
	for _, name := range []string{"weir", "haproxy"} {
		row("**"+name+", all**", all[name], failed[name])
	}
	return nil
}

func row(name string, took []time.Duration, failed int) {
	slices.Sort(took)
	fmt.Printf("| %s |", name)
	for _, part := range []float64{0.5, 0.9, 0.99, 0.999} {
		fmt.Printf(" %.1f |", took[int(part*float64(len(took)-1))].Seconds()*1000)
	}
	fmt.Printf(" %d |\n", failed)
}

// workers are servers that take one request at a time.
type workers struct {
	addresses []string
	servers   []*http.Server

	mu     sync.Mutex
	random []*rand.Rand
}

func startWorkers() (*workers, error) {
	ws := &workers{}
	for i := range times {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			ws.stop()
			return nil, err
		}
		one := make(chan struct{}, 1)
		s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/ready" {
				return
			}
			one <- struct{}{}
			time.Sleep(ws.next(i))
			<-one
			io.WriteString(w, "done\n")
		})}
		go s.Serve(ln)
		ws.servers = append(ws.servers, s)
		ws.addresses = append(ws.addresses, ln.Addr().String())
	}
	ws.begin(0)
	return ws, nil
}

// begin makes the workers need the same times again for the same turn.
func (ws *workers) begin(turn uint64) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.random = ws.random[:0]
	for i := range times {
		ws.random = append(ws.random, rand.New(rand.NewPCG(turn, uint64(i))))
	}
}

func (ws *workers) next(i int) time.Duration {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return time.Duration(ws.random[i].ExpFloat64() * times[i] * float64(time.Millisecond))
}

func (ws *workers) stop() {
	for _, s := range ws.servers {
		s.Close()
	}
}

// measure starts one of the two in front of the workers and loads it.
func measure(name, weir, dir string, workers []string, rate float64, each time.Duration, seed uint64) (took []time.Duration, failed int, err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, 0, err
	}
	address := ln.Addr().String()
	if err := ln.Close(); err != nil {
		return nil, 0, err
	}
	argv, err := configure(name, weir, dir, address, workers)
	if err != nil {
		return nil, 0, err
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), "WEIR_LOOPS=2")
	if err := cmd.Start(); err != nil {
		return nil, 0, err
	}
	defer func() {
		err = errors.Join(err, cmd.Process.Signal(syscall.SIGTERM))
		cmd.Wait() // how it ends is of no interest
	}()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		resp, err := http.Get("http://" + address + "/ready")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == 200 {
				break
			}
		}
		if time.Now().After(end) {
			return nil, 0, fmt.Errorf("it does not serve: %w", err)
		}
	}
	took, failed = load(address, rate, each, seed)
	return took, failed, nil
}

func configure(name, weir, dir, address string, workers []string) (argv []string, err error) {
	file := filepath.Join(dir, name)
	var text strings.Builder
	switch name {
	case "weir":
		fmt.Fprintf(&text, "listen: ['%s']\nlog: {access: {to: none}, level: error}\nrun_dir: %s/run\npools: {w: {servers: ['%s'], balance: least_conn}}\n",
			address, dir, strings.Join(workers, "', '"))
		argv = []string{weir, "run", file}
	case "haproxy":
		text.WriteString("global\n  nbthread 2\n  maxconn 2000\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n")
		fmt.Fprintf(&text, "listen w\n  bind %s\n  balance leastconn\n  http-reuse always\n", address)
		for i, w := range workers {
			fmt.Fprintf(&text, "  server w%d %s\n", i, w)
		}
		argv = []string{"haproxy", "-db", "-f", file}
	}
	return argv, os.WriteFile(file, []byte(text.String()), 0o600)
}

// load sends requests at random times that do not depend on the answers.
func load(address string, rate float64, each time.Duration, seed uint64) (took []time.Duration, failed int) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConns: 1000, MaxIdleConnsPerHost: 1000}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	ctx := context.Background()
	r := rand.New(rand.NewPCG(seed, 77))
	var mu sync.Mutex
	var all sync.WaitGroup
	begun := time.Now()
	for due := time.Duration(0); due < each; due += time.Duration(r.ExpFloat64() / rate * float64(time.Second)) {
		time.Sleep(time.Until(begun.Add(due)))
		all.Go(func() {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", nil)
			if err == nil {
				var resp *http.Response
				if resp, err = client.Do(req); err == nil {
					_, err = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
					if err == nil && resp.StatusCode != 200 {
						err = errors.New(resp.Status)
					}
				}
			}
			t := time.Since(begun) - due
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed++
				return
			}
			took = append(took, t)
		})
	}
	all.Wait()
	return took, failed
}
