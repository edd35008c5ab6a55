package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	threads   = 2         // workers, threads or loops of each peer
	bodySize  = 1024      // bytes of a small body
	largeSize = 200 << 20 // bytes of a large one
	largeHit  = 100 << 10 // bytes of a large one out of a cache
)

// figure is one column of a scenario's table.
type figure struct {
	name   string
	format string
	more   bool // more is better
}

// scenario is one kind of work. Its first figure is the one that counts.
type scenario struct {
	name, title, text string
	only              string // the one peer that it concerns; empty: all
	hits              bool   // it is the caches' work
	floor             bool   // the floor can do it too
	times             int    // as many turns as the others; 0: as they
	figures           []figure
	run               func(*bench, *peer) ([]float64, error)
}

func (s *scenario) line(sample []float64) string {
	var parts []string
	for i, f := range s.figures {
		parts = append(parts, fmt.Sprintf(f.format+" %s", sample[i], f.name))
	}
	return strings.Join(parts, ", ")
}

var loadFigures = []figure{{"µs of processor a request", "%.2f", false}, {"requests/s", "%.0f", true},
	{"p50 ms", "%.2f", false}, {"p99 ms", "%.2f", false}}

var transferFigures = []figure{{"MiB/s", "%.0f", true}, {"MiB grown", "%.1f", false}, {"ms of processor", "%.0f", false}}

var scenarios = []*scenario{
	{name: "proxied", title: "Proxied, access log off", figures: loadFigures,
		text: "Kept connections, GET, a body of 1 KiB from an origin that is always there.",
		run:  func(b *bench, p *peer) ([]float64, error) { return b.proxied(p, false) }},
	{name: "logged", title: "Proxied, access log to a file", figures: loadFigures,
		text: "The same, with a line in a file for each request. The lines are counted; HAProxy drops some when both its threads write, which is let pass up to 1 %.",
		run:  func(b *bench, p *peer) ([]float64, error) { return b.proxied(p, true) }},
	{name: "hit", title: "A hit from memory, 1 KiB", figures: loadFigures, hits: true, floor: true,
		text: "Kept connections, GET, a body of 1 KiB that every cache keeps for an hour. nginx keeps it in a file, which stays open. The floor is a program that reads " +
			"once and writes one constant: what the kernel takes for that is in every other row too.",
		run: func(b *bench, p *peer) ([]float64, error) { return b.cached(p, "/hit") }},
	{name: "largehit", title: "A hit from memory, 100 KiB", figures: loadFigures, hits: true,
		text: "The same with a body of 100 KiB.",
		run:  func(b *bench, p *peer) ([]float64, error) { return b.cached(p, "/large") }},
	{name: "watched", title: "Looked at", only: "weir", run: (*bench).watching, times: 5,
		text: "Proxied as above, in an order that changes, and in five times as many turns, since the differences are small: nobody looks; everything is on (an access log to a file, 1 % of requests traced, the status page open, metrics fetched each second); " +
			"or `weir log` waits for requests that never come. Processor time is that of all of weir's processes.",
		figures: []figure{{"times the time, all on", "%.3f", false}, {"times the time, weir log", "%.3f", false}, {"µs off", "%.2f", false}, {"µs on", "%.2f", false}, {"µs with weir log", "%.2f", false}}},
	{name: "idle", title: "Idle kept connections", run: (*bench).idling,
		text:    "Each connection has made one request. Resident memory of the process tree before and after, and processor time over five seconds of nothing.",
		figures: []figure{{"KiB a connection", "%.2f", false}, {"ms of processor in 5 s", "%.0f", false}}},
	{name: "download", title: "200 MiB down, one server", figures: transferFigures, run: (*bench).download,
		text: "One client, as fast as it goes, five times a turn. Grown: the highest resident memory seen, less that before."},
	{name: "upload", title: "200 MiB up, one server", figures: transferFigures, run: (*bench).upload,
		text: "One client, a Content-Length, as fast as it goes, five times a turn."},
	{name: "start", title: "Start to first request", run: (*bench).starting,
		text:    "From starting the program to its first 200 from a server that is there.",
		figures: []figure{{"ms", "%.1f", false}}},
	{name: "worker", title: "Start to first request from a worker", only: "weir", run: (*bench).startingWorker,
		text:    "weir starts a worker (examples/hello) and answers from it; the worker's own start is taken off.",
		figures: []figure{{"ms over the worker's own", "%.1f", false}, {"ms in all", "%.1f", false}}},
}

func scenarioNames() []string {
	var names []string
	for _, s := range scenarios {
		names = append(names, s.name)
	}
	return names
}

// proxied is the load of small bodies.
func (b *bench) proxied(p *peer, logged bool) ([]float64, error) {
	return b.loaded(p, setup{Origin: b.small}, "/", logged)
}

// cached is the load of what every cache keeps.
func (b *bench) cached(p *peer, path string) ([]float64, error) {
	return b.loaded(p, setup{Origin: b.small, Cache: true}, path, false)
}

// loaded measures a peer under load.
func (b *bench) loaded(p *peer, s setup, path string, logged bool) ([]float64, error) {
	r, err := b.ready(p, s, logged)
	if err != nil {
		return nil, err
	}
	defer r.stop()
	return b.measure(r, path)
}

// measure puts a load on a peer and ends it.
func (b *bench) measure(r *running, path string) ([]float64, error) {
	warm, err := wrk(b.ctx, r.address+path, b.connections, 1)
	if err != nil {
		return nil, err
	}
	before, _, err := r.usage()
	if err != nil {
		return nil, err
	}
	l, err := wrk(b.ctx, r.address+path, b.connections, b.seconds)
	if err != nil {
		return nil, err
	}
	after, _, err := r.usage()
	if err != nil {
		return nil, err
	}
	r.stop()
	if err := r.logged(warm.requests + l.requests); err != nil {
		return nil, err
	}
	cost := float64((after - before).Nanoseconds()) / 1e3 / float64(l.requests)
	return []float64{cost, l.rate, milliseconds(l.p50), milliseconds(l.p99)}, nil
}

// logged checks that a peer which was to log did so: else it was spared the work. A few lines may lack, because HAProxy drops
// a line rather than wait while its other thread writes (0.3 % here).
func (r *running) logged(requests int64) error {
	if r.log == "" {
		return nil
	}
	defer os.Remove(r.log)
	f, err := os.Open(r.log)
	if err != nil {
		return err
	}
	defer f.Close()
	var lines int64
	buffer := make([]byte, 1<<20)
	for {
		n, err := f.Read(buffer)
		lines += int64(bytes.Count(buffer[:n], []byte("\n")))
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if float64(lines) < 0.99*float64(requests) {
		return fmt.Errorf("%d requests left %d lines in the access log", requests, lines)
	}
	return nil
}

// idling opens connections, makes a request on each and leaves them alone.
func (b *bench) idling(p *peer) ([]float64, error) {
	r, err := b.ready(p, setup{Origin: b.small}, false)
	if err != nil {
		return nil, err
	}
	defer r.stop()
	// What the first requests cost once (pools, upstream connections) is not the connections' cost.
	if _, err := wrk(b.ctx, r.address, b.connections, 1); err != nil {
		return nil, err
	}
	_, before, err := r.usage()
	if err != nil {
		return nil, err
	}
	conns, err := hold(r.address, b.idle)
	defer func() {
		for _, c := range conns {
			c.(*net.TCPConn).SetLinger(0) // no thousands of ports in TIME_WAIT for those who come next
			c.Close()
		}
	}()
	if err != nil {
		return nil, err
	}
	time.Sleep(10 * time.Second) // what was put off until after the requests (memory given back, buffers freed) is done now
	cpu, after, err := r.usage()
	if err != nil {
		return nil, err
	}
	select {
	case <-time.After(5 * time.Second):
	case <-b.ctx.Done():
	}
	later, _, err := r.usage()
	if err != nil {
		return nil, err
	}
	return []float64{float64(after-before) / 1024 / float64(len(conns)), milliseconds(later - cpu)}, nil
}

// hold opens n connections and makes one request on each. The caller closes what it returns, also after an error.
func hold(address string, n int) ([]net.Conn, error) {
	const openers = 16
	var group sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	var first error
	for i := range openers {
		group.Go(func() {
			reader := bufio.NewReader(nil)
			for range (n + i) / openers { // these add up to n
				conn, err := net.DialTimeout("tcp", address, 5*time.Second)
				if err == nil {
					mu.Lock()
					conns = append(conns, conn)
					mu.Unlock()
					err = once(conn, reader)
				}
				if err != nil {
					mu.Lock()
					first = err
					mu.Unlock()
					return
				}
			}
		})
	}
	group.Wait()
	return conns, first
}

// once makes a request and reads its small body.
func once(conn net.Conn, reader *bufio.Reader) error {
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	defer conn.SetDeadline(time.Time{})
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: bench\r\n\r\n"); err != nil {
		return err
	}
	reader.Reset(conn)
	resp, err := http.ReadResponse(reader, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || n != bodySize || resp.Close) {
		err = fmt.Errorf("odd answer: %s, %d bytes, closing: %t", resp.Status, n, resp.Close)
	}
	return err
}

func (b *bench) starting(p *peer) ([]float64, error) {
	return b.startWith(p, setup{Origin: b.small})
}

// startingWorker has weir start the worker; how long the worker takes alone is measured beside it.
func (b *bench) startingWorker(p *peer) ([]float64, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	alone, err := start([]string{b.worker, "-listen", address}, b.dir+"/worker.out")
	if err != nil {
		return nil, err
	}
	err = alone.serves(b.ctx, address)
	own := milliseconds(time.Since(began))
	alone.stop()
	if err != nil {
		return nil, err
	}
	all, err := b.startWith(p, setup{Worker: b.worker})
	if err != nil {
		return nil, err
	}
	return []float64{all[0] - own, all[0]}, nil
}

func (b *bench) startWith(p *peer, s setup) ([]float64, error) {
	began := time.Now()
	r, err := b.launch(p, s, false)
	if err != nil {
		return nil, err
	}
	defer r.stop()
	if err := r.serves(b.ctx, r.address); err != nil {
		return nil, err
	}
	return []float64{milliseconds(time.Since(began))}, nil
}

func milliseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }
