package hostile

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// recorder is an origin that keeps every byte it receives, and reads it as the oracle does. Each client has an address of
// its own (see from), which weir tells in X-Forwarded-For: so it is known whose request each one is.
type recorder struct {
	t        testing.TB
	l        net.Listener
	trusting bool // weir believes its clients: what it says of them is theirs
	running  sync.WaitGroup

	mu       sync.Mutex
	conns    map[net.Conn]bool
	closed   bool
	bytes    int64
	requests map[string][]*request // whole ones, by client
	parts    map[string]int        // requests that broke off, by client
	faults   []string
}

func newRecorder(t testing.TB) *recorder {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &recorder{t: t, l: l, conns: map[net.Conn]bool{}, requests: map[string][]*request{}, parts: map[string]int{}}
	o.running.Go(o.accept)
	t.Cleanup(o.close)
	return o
}

func (o *recorder) address() string { return o.l.Addr().String() }

func (o *recorder) accept() {
	for {
		c, err := o.l.Accept()
		if err != nil {
			return // closed by close
		}
		o.mu.Lock()
		if o.closed {
			o.mu.Unlock()
			c.Close()
			return
		}
		o.conns[c] = true
		o.running.Go(func() { o.serve(c) })
		o.mu.Unlock()
	}
}

func (o *recorder) close() {
	o.mu.Lock()
	o.closed = true
	for c := range o.conns {
		c.Close()
	}
	o.mu.Unlock()
	o.l.Close()
	o.running.Wait()
	if len(o.faults) > 0 {
		o.t.Errorf("%d times the origin got what nobody may send it, first: %s", len(o.faults), o.faults[0])
	}
}

// serve answers every whole request with what it is taken for.
func (o *recorder) serve(c net.Conn) {
	var got []byte
	defer func() {
		c.Close()
		o.mu.Lock()
		delete(o.conns, c)
		o.mu.Unlock()
	}()
	b := make([]byte, 64<<10)
	continued := false
	for {
		n, err := c.Read(b)
		got = append(got, b[:n]...)
		o.mu.Lock()
		o.bytes += int64(n)
		o.mu.Unlock()
		for len(got) > 0 {
			r, rest, perr := parseRequest(got)
			if errors.Is(perr, errShort) {
				if r != nil && r.method != "" && !continued && len(r.all("Expect")) > 0 {
					continued = true
					io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n") //nolint:errcheck // the next read tells
				}
				break
			}
			if !o.take(r, perr, got) {
				return
			}
			got, continued = rest, false
			if _, err := io.WriteString(c, answerTo(r)); err != nil {
				return
			}
		}
		if err != nil {
			o.ended(got)
			return
		}
	}
}

// answerTo is what the origin says to a request.
func answerTo(r *request) string {
	body := r.String()
	head := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n", len(body))
	if r.method == "HEAD" {
		return head
	}
	return head + body
}

// take notes a whole request; false when it is none, or not one of weir's.
func (o *recorder) take(r *request, err error, got []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err == nil {
		var client string
		if client, err = r.forwarded(); err == nil || o.trusting {
			o.requests[client] = append(o.requests[client], r)
			return true // its form was judged by the parser in any case
		}
	}
	o.faults = append(o.faults, fmt.Sprintf("%v in %s", err, short(got)))
	return false
}

// ended notes what a connection ended with.
func (o *recorder) ended(got []byte) {
	if len(got) == 0 {
		return
	}
	r, _, _ := parseRequest(got)
	if r == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, client := range r.all("X-Forwarded-For") {
		o.parts[client]++
	}
}

// of returns the whole requests of a client.
func (o *recorder) of(client string) []*request {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.requests[client]
}

func short(b []byte) string {
	if len(b) > 600 {
		return fmt.Sprintf("%q … (%d bytes)", b[:600], len(b))
	}
	return fmt.Sprintf("%q", b)
}

// shown is a list of requests as rows write them.
func shown(all []*request) string {
	var text []string
	for _, r := range all {
		text = append(text, r.String())
	}
	return strings.Join(text, "; ")
}
