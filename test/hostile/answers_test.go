package hostile

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/testkit"
)

// An outcome is what a client may see of a server's answer.
type outcome uint8

const (
	whole  outcome = iota // the answer, with the body of the row
	bad                   // 502
	late                  // 504
	broken                // 502 or 504, or a body whose end never comes: nothing that a client takes for whole
)

// An answerRow is what a server does with a request. In send, "<close>", "<reset>" and "<stay>" at the end say what
// becomes of the connection: stay is silence until weir closes. Without any of them the server expects another request.
type answerRow struct {
	name string
	send string
	is   outcome
	body string
	// Method of the request; both GET and POST when it is empty.
	method string
	// The server's connection may carry another request.
	keeps bool
	// What is sent again and again, until weir has enough.
	again string
}

// hostileServer plays the rows: a request for "/row/N" gets row N, every other its own name.
type hostileServer struct {
	t       testing.TB
	l       net.Listener
	rows    []answerRow
	running sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]bool
	reused []string // rows whose connection got another request
}

func newHostileServer(t testing.TB, rows []answerRow) *hostileServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &hostileServer{t: t, l: l, rows: rows, conns: map[net.Conn]bool{}}
	s.running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed
			}
			s.mu.Lock()
			s.conns[c] = true
			s.mu.Unlock()
			s.running.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		s.mu.Lock()
		for c := range s.conns {
			c.Close()
		}
		s.mu.Unlock()
		s.running.Wait()
	})
	return s
}

func (s *hostileServer) serve(c net.Conn) {
	defer func() {
		c.Close()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
	var got []byte
	var last *answerRow
	b := make([]byte, 32<<10)
	for {
		r, rest, err := parseRequest(got)
		if errors.Is(err, errShort) || errors.Is(err, errEmpty) {
			n, err := c.Read(b)
			got = append(got, b[:n]...)
			if n > 0 && last != nil && !last.keeps {
				s.mu.Lock()
				s.reused = append(s.reused, last.name)
				s.mu.Unlock()
			}
			if err != nil {
				return
			}
			continue
		}
		if err != nil {
			s.t.Errorf("the server got %v in %s", err, short(got))
			return
		}
		got = rest
		n, found := strings.CutPrefix(r.target, "/row/")
		if !found {
			if _, err := io.WriteString(c, answerTo(r)); err != nil {
				return
			}
			continue
		}
		i, err := strconv.Atoi(n)
		if err != nil || i >= len(s.rows) {
			s.t.Errorf("the server was asked for %s", r.target)
			return
		}
		last = &s.rows[i]
		if !s.play(c, last) {
			return
		}
	}
}

// play answers with a row; false when the connection has ended.
func (s *hostileServer) play(c net.Conn, r *answerRow) bool {
	text, closes := strings.CutSuffix(r.send, "<close>")
	text, resets := strings.CutSuffix(text, "<reset>")
	text, stays := strings.CutSuffix(text, "<stay>")
	_, err := io.WriteString(c, text)
	for end := time.Now().Add(patience); r.again != "" && err == nil; {
		if time.Now().After(end) {
			s.t.Errorf("%s: weir never has enough", r.name)
			return false
		}
		_, err = io.WriteString(c, r.again)
	}
	switch {
	case closes || err != nil:
		return false
	case resets:
		c.(*net.TCPConn).SetLinger(0) //nolint:errcheck // what follows is a close in any case
		return false
	case stays:
		_, _ = io.Copy(io.Discard, c) // until weir closes; how, does not matter
		return false
	}
	return true
}

// TestAnswers has a server answer in every way that is none. The client is to see a clean 502 or a body that is cut off,
// and nobody is to see anything of it afterwards.
func TestAnswers(t *testing.T) {
	rows := answerRows()
	t.Logf("%d rows", len(rows))
	const limits = "timeouts: {first_byte: 1500ms, between_bytes: 1500ms, connect: 5s}"
	for _, pool := range []struct{ name, more string }{{"streaming", ""}, {"buffering", ", buffer: true"}, {"little room", ", buffer: {responses: true, memory: 0, file: 0}"}} {
		t.Run(pool.name, func(t *testing.T) {
			testkit.Leaks(t)
			s := newHostileServer(t, rows)
			w := serve(t, "servers: ['"+s.l.Addr().String()+"'], "+limits+pool.more, "")
			playAnswers(t, s, w.Address)
			if len(s.reused) > 0 {
				t.Errorf("used again after an answer of these rows: %q", s.reused)
			}
			for _, p := range w.Status().Edge.Pools {
				if p.Queued != 0 || p.Servers[0].Active != 0 {
					t.Errorf("left in the pool: %+v", p)
				}
			}
			checkLog(t, w.Dir+"/access.log")
		})
	}
}

// playAnswers plays each row for the methods that it is for, some at a time.
func playAnswers(t *testing.T, s *hostileServer, address string) {
	type play struct {
		n      int
		method string
	}
	plays := make(chan play)
	var running sync.WaitGroup
	for range 8 {
		running.Go(func() {
			for p := range plays {
				if err := askRow(address, p.n, &s.rows[p.n], p.method); err != nil {
					t.Errorf("%s, %s: %v\n\t%s", s.rows[p.n].name, p.method, err, short([]byte(s.rows[p.n].send)))
				}
			}
		})
	}
	for i, r := range s.rows {
		if r.method != "" {
			plays <- play{i, r.method}
			continue
		}
		plays <- play{i, "GET"}
		plays <- play{i, "POST"}
	}
	close(plays)
	running.Wait()
}

// asked is a client that reads one answer after another.
type asked struct {
	c   *net.TCPConn
	got []byte
}

func (a *asked) ask(method, target, body string) error {
	text := method + " " + target + " HTTP/1.1\r\nHost: a.test\r\n"
	if body != "" {
		text += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	_, err := io.WriteString(a.c, text+"\r\n"+body)
	return err
}

// answer reads the final answer, and how it ended: nil if it is whole.
func (a *asked) answer(method string) (*response, error) {
	b := make([]byte, 32<<10)
	for {
		r, rest, err := parseResponse(a.got, method)
		for err == nil && r.status < 200 {
			r, rest, err = parseResponse(rest, method)
		}
		if err == nil && r.framed {
			a.got = rest
			return r, nil
		}
		if err != nil && !errors.Is(err, errShort) && !errors.Is(err, errEmpty) {
			return r, err
		}
		n, rerr := a.c.Read(b)
		a.got = append(a.got, b[:n]...)
		if n == 0 && rerr != nil {
			if errors.Is(rerr, os.ErrDeadlineExceeded) {
				return nil, fmt.Errorf("it hangs after %s", short(a.got))
			}
			if r == nil {
				return nil, fmt.Errorf("%w after %s", rerr, short(a.got))
			}
			if err == nil && errors.Is(rerr, io.EOF) {
				return r, nil // the close is its end
			}
			return r, rerr
		}
	}
}

// askRow asks for a row, then for something harmless on the same connection, if it stays open, and on another one.
func askRow(address string, n int, r *answerRow, method string) error {
	c, err := from(nextClient(), address)
	if err != nil {
		return err
	}
	defer c.Close()
	a := &asked{c: c}
	body := ""
	if method == "POST" {
		body = "abc"
	}
	if err := a.ask(method, fmt.Sprintf("/row/%d", n), body); err != nil {
		return err
	}
	got, err := a.answer(method)
	if got == nil {
		return err
	}
	if err := r.judge(got, err, method); err != nil {
		return err
	}
	open := err == nil && !slices.Contains(valuesOf(got.fields, "Connection"), "close")
	if open && len(a.got) > 0 {
		return fmt.Errorf("behind the answer: %s", short(a.got))
	}
	for i := range 3 {
		if !open || i > 0 {
			c, err := from(nextClient(), address)
			if err != nil {
				return err
			}
			defer c.Close()
			a = &asked{c: c}
		}
		want := fmt.Sprintf("/harmless/%d-%s-%d", n, method, i)
		if err := a.ask("GET", want, ""); err != nil {
			return err
		}
		got, err := a.answer("GET")
		if err != nil || got.status != 200 || got.body != "GET "+want {
			return fmt.Errorf("who asked next got %v, %v", got, err)
		}
	}
	return nil
}

// judge compares what the client saw with what it may see. end says how the answer ended.
func (r *answerRow) judge(got *response, end error, method string) error {
	own := end == nil && got.framed && len(valuesOf(got.fields, "X-Request-ID")) == 1 && slices.Equal(valuesOf(got.fields, "Server"), []string{"weir"})
	for _, name := range []string{"Keep-Alive", "Proxy-Connection", "Upgrade", "Trailer", "X-Accel-Buffering", "X-Evil"} {
		if v := valuesOf(got.fields, name); v != nil {
			return fmt.Errorf("the client got %s: %q", name, v)
		}
	}
	switch r.is {
	case whole:
		if end != nil || got.status >= 500 || got.body != r.body {
			return fmt.Errorf("got %d %s, %v; want %q", got.status, short([]byte(got.body)), end, r.body)
		}
	case bad:
		if !own || got.status != 502 {
			return fmt.Errorf("got %v, %v; want a 502 of weir's own", got, end)
		}
	case late:
		if !own || got.status != 504 {
			return fmt.Errorf("got %v, %v; want a 504 of weir's own", got, end)
		}
	case broken:
		if own && (got.status == 502 || got.status == 504) {
			return nil
		}
		if end == nil {
			return fmt.Errorf("the client takes this for whole: %d, %s", got.status, short([]byte(got.body)))
		}
	}
	return nil
}
