package testkit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Load is traffic over kept connections in which every request is accounted for. Unlike a browser or net/http's
// client it repeats nothing: what goes wrong once is counted, with its reason.
type Load struct {
	Address string
	Conns   int           // default 8
	Method  string        // "GET" or "POST"; default GET
	Path    string        // default "/"
	Body    int           // bytes of a POST's body, each one different; the answer must contain it (see Check)
	Pause   time.Duration // between two requests of a connection
	Limit   time.Duration // for one request; default 10 s
	// Check judges an answer; the default wants status 200 and, of a POST, its body in the answer.
	Check func(sent string, m *Message) error
}

// Traffic is a Load under way.
type Traffic struct {
	load   Load
	cancel context.CancelFunc
	ctx    context.Context
	done   sync.WaitGroup

	mu       sync.Mutex
	requests int
	failures map[string]int
	slowest  time.Duration
	changed  chan struct{} // closed and replaced after each request
}

// Result is what came of a Load.
type Result struct {
	Requests int            // answered as they should be
	Failures map[string]int // by reason
	Slowest  time.Duration  // of the answered ones
}

// Failed returns how many requests failed.
func (r Result) Failed() (n int) {
	for _, c := range r.Failures {
		n += c
	}
	return n
}

func (r Result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d requests answered, the slowest after %v, %d failed", r.Requests, r.Slowest.Round(time.Millisecond), r.Failed())
	for _, reason := range slices.Sorted(maps.Keys(r.Failures)) {
		fmt.Fprintf(&b, "\n\t%d × %s", r.Failures[reason], reason)
	}
	return b.String()
}

// Start begins the load. It goes on until Stop, or until the test ends.
func (l Load) Start(t testing.TB) *Traffic {
	t.Helper()
	if l.Conns == 0 {
		l.Conns = 8
	}
	if l.Method == "" {
		l.Method = "GET"
	}
	if l.Path == "" {
		l.Path = "/"
	}
	if l.Limit == 0 {
		l.Limit = 10 * time.Second
	}
	if l.Check == nil {
		l.Check = check
	}
	f := &Traffic{load: l, failures: map[string]int{}, changed: make(chan struct{})}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	for i := range l.Conns {
		f.done.Go(func() { f.client(i) })
	}
	t.Cleanup(func() { f.Stop() })
	return f
}

func check(sent string, m *Message) error {
	if m.Status != 200 {
		return fmt.Errorf("status %d: %s", m.Status, short(m.Body[:min(len(m.Body), 120)]))
	}
	if !strings.Contains(m.Body, sent) {
		return errors.New("the answer does not contain the body that was sent")
	}
	return nil
}

// Stop lets the requests under way finish and returns the result.
func (f *Traffic) Stop() Result {
	f.cancel()
	f.done.Wait()
	return f.Result()
}

// Result returns the result so far.
func (f *Traffic) Result() Result {
	f.mu.Lock()
	defer f.mu.Unlock()
	return Result{f.requests, maps.Clone(f.failures), f.slowest}
}

// After waits until n more requests have been answered or have failed.
func (f *Traffic) After(t testing.TB, n int) {
	t.Helper()
	limit := time.NewTimer(time.Minute)
	defer limit.Stop()
	start := -1
	for {
		f.mu.Lock()
		now, changed := f.requests, f.changed
		for _, c := range f.failures {
			now += c
		}
		f.mu.Unlock()
		if start < 0 {
			start = now
		}
		if now-start >= n {
			return
		}
		select {
		case <-changed:
		case <-limit.C:
			t.Fatalf("only %d of %d requests within a minute", now-start, n)
		}
	}
}

// Run lets the load go on for a time and stops it.
func (l Load) Run(t testing.TB, d time.Duration) Result {
	t.Helper()
	f := l.Start(t)
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
	return f.Stop()
}

// client makes one request after the other on one connection, and on a new one after a failure or a close.
func (f *Traffic) client(n int) {
	var c net.Conn
	var r *bufio.Reader
	pause := time.NewTimer(0)
	defer pause.Stop()
	for i := 0; ; i++ {
		select {
		case <-f.ctx.Done():
			if c != nil {
				c.Close()
			}
			return
		case <-pause.C:
		}
		start := time.Now()
		used := c != nil
		var err error
		if c == nil {
			network, address := split(f.load.Address)
			if c, err = net.DialTimeout(network, address, f.load.Limit); err == nil {
				r = bufio.NewReader(c)
			}
		}
		keep := false
		if err == nil {
			keep, err = f.exchange(c, r, fmt.Sprintf("%d.%d", n, i))
		}
		f.count(err, used, time.Since(start))
		if c != nil && (err != nil || !keep) {
			c.Close()
			c = nil
		}
		wait := f.load.Pause
		if err != nil {
			wait = max(wait, time.Millisecond) // a server that is down is not worth a whole core
		}
		pause.Reset(wait)
	}
}

// exchange makes one request, and reports whether the connection is kept.
func (f *Traffic) exchange(c net.Conn, r *bufio.Reader, id string) (keep bool, err error) {
	if err := c.SetDeadline(time.Now().Add(f.load.Limit)); err != nil {
		return false, err
	}
	var body string
	if f.load.Body > 0 {
		body = unique(id, f.load.Body)
	}
	head := f.load.Method + " " + f.load.Path + " HTTP/1.1\r\nHost: load.test\r\nX-Load: " + id + "\r\n"
	if f.load.Method == "POST" {
		head += "Content-Length: " + strconv.Itoa(len(body)) + "\r\n"
	}
	_, sent := io.WriteString(c, head+"\r\n"+body)
	// An answer may have come although not all was sent.
	m, err := readResponse(r, f.load.Method)
	if err != nil {
		return false, errors.Join(sent, err)
	}
	return !strings.EqualFold(m.Field("Connection"), "close"), f.load.Check(body, m)
}

// unique makes a body that no other request has.
func unique(id string, n int) string {
	var b strings.Builder
	for b.Len() < n {
		b.WriteString(id)
		b.WriteByte(' ')
	}
	return b.String()[:n]
}

func (f *Traffic) count(err error, used bool, took time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		f.requests++
		f.slowest = max(f.slowest, took)
	} else {
		f.failures[reason(err, used)]++
	}
	close(f.changed)
	f.changed = make(chan struct{})
}

// reason names a failure, so that equal ones are counted together.
func reason(err error, used bool) string {
	on := "a new connection"
	if used {
		on = "a kept connection"
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset, on " + on
	case errors.Is(err, os.ErrDeadlineExceeded):
		return "no answer in time, on " + on
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "closed before the end of the answer, on " + on + ": " + err.Error()
	}
	return err.Error()
}
