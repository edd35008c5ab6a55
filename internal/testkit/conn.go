package testkit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Patience is how long a step may take.
const Patience = 10 * time.Second

// Conn is one end of a stream connection that does what a test says, byte by byte. A step that goes wrong fails the
// test and ends the goroutine that made it. It belongs to one goroutine; Got may be called from any.
type Conn struct {
	t     testing.TB
	c     net.Conn
	r     *bufio.Reader
	name  string
	gates *gates
	limit time.Duration

	mu  sync.Mutex
	got bytes.Buffer
}

func newConn(t testing.TB, name string, c net.Conn, g *gates) *Conn {
	k := &Conn{t: t, c: c, name: name, gates: g, limit: Patience}
	k.r = bufio.NewReader(io.TeeReader(c, (*record)(k)))
	return k
}

// Dial connects to an address, host:port or "unix:" and a path. The connection is closed when the test ends.
func Dial(t testing.TB, address string) *Conn {
	t.Helper()
	network, address := split(address)
	c, err := net.DialTimeout(network, address, Patience)
	if err != nil {
		t.Fatalf("client: %v", err)
	}
	t.Cleanup(func() { c.Close() })
	return newConn(t, "client", c, newGates())
}

func split(address string) (network, rest string) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return "unix", path
	}
	return "tcp", address
}

// record keeps what was read.
type record Conn

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.got.Write(p)
}

// Got returns everything that was received so far.
func (k *Conn) Got() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.got.String()
}

func (k *Conn) fail(format string, args ...any) {
	k.t.Helper()
	k.t.Errorf("%s: %s", k.name, fmt.Sprintf(format, args...))
	// FailNow may be called by the test's own goroutine only; this ends an origin's as well.
	runtime.Goexit()
}

// Fail fails the test as a step that went wrong does.
func (k *Conn) Fail(format string, args ...any) {
	k.t.Helper()
	k.fail(format, args...)
}

// Within sets how long each later step may take.
func (k *Conn) Within(d time.Duration) *Conn {
	k.limit = d
	return k
}

func (k *Conn) deadline() {
	k.t.Helper()
	if err := k.c.SetDeadline(time.Now().Add(k.limit)); err != nil {
		k.fail("setting a deadline: %v", err)
	}
}

// Send sends these bytes.
func (k *Conn) Send(text string) {
	k.t.Helper()
	k.deadline()
	if _, err := io.WriteString(k.c, text); err != nil {
		k.fail("sending %s: %v", short(text), err)
	}
}

// TrySend sends as many of these bytes as the peer takes and returns the error: for tests of refusals.
func (k *Conn) TrySend(text string) error {
	k.t.Helper()
	k.deadline()
	_, err := io.WriteString(k.c, text)
	return err
}

// Expect reads exactly these bytes.
func (k *Conn) Expect(text string) {
	k.t.Helper()
	if got := k.Read(len(text)); got != text {
		k.fail("got %s, want %s", short(got), short(text))
	}
}

// Match reads until what it has read matches the pattern, and returns the match with its groups.
func (k *Conn) Match(pattern string) []string {
	k.t.Helper()
	re := regexp.MustCompile(pattern)
	k.deadline()
	var b []byte
	for {
		c, err := k.r.ReadByte()
		if err != nil {
			k.fail("got %s and then %v, want a match of %s", short(string(b)), err, pattern)
		}
		b = append(b, c)
		if m := re.FindSubmatch(b); m != nil {
			groups := make([]string, len(m))
			for i := range m {
				groups[i] = string(m[i])
			}
			return groups
		}
	}
}

// Read reads exactly n bytes.
func (k *Conn) Read(n int) string {
	k.t.Helper()
	k.deadline()
	b := make([]byte, n)
	if got, err := io.ReadFull(k.r, b); err != nil {
		k.fail("got %s and then %v, want %d bytes", short(string(b[:got])), err, n)
	}
	return string(b)
}

// Head reads to the end of a head and returns it with the empty line.
func (k *Conn) Head() string {
	k.t.Helper()
	k.deadline()
	head, err := readHead(k.r)
	if err != nil {
		k.fail("reading a head: got %s and then %v", short(head), err)
	}
	return head
}

// Response reads a response to a request with the method, by its exact framing: what follows stays unread.
func (k *Conn) Response(method string) *Message {
	k.t.Helper()
	k.deadline()
	m, err := readResponse(k.r, method)
	if err != nil {
		k.fail("reading a response: %v", err)
	}
	return m
}

// Request reads a request by its exact framing.
func (k *Conn) Request() *Message {
	k.t.Helper()
	k.deadline()
	m, err := readRequest(k.r)
	if err != nil {
		k.fail("reading a request: %v", err)
	}
	return m
}

// More reports whether something comes before the peer closes. It reads nothing off.
func (k *Conn) More() bool {
	k.t.Helper()
	k.deadline()
	_, err := k.r.Peek(1)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		k.fail("neither bytes nor the end within %v", k.limit)
	}
	return err == nil
}

// TryResponse is Response that returns what is wrong, with as much as came: for tests of answers that break off.
func (k *Conn) TryResponse(method string) (*Message, error) {
	k.t.Helper()
	k.deadline()
	return readResponse(k.r, method)
}

// Raw returns what is still to come, without a step of its own: with the deadline of the step that is to begin now.
func (k *Conn) Raw() io.Reader {
	k.t.Helper()
	k.deadline()
	return k.r
}

// Closed expects that the peer closes and sends nothing more. A reset is as good.
func (k *Conn) Closed() {
	k.t.Helper()
	k.deadline()
	rest, err := io.ReadAll(k.r)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		k.fail("got %s and then %v, want the end", short(string(rest)), err)
	}
	if len(rest) > 0 {
		k.fail("got %s, want the end", short(string(rest)))
	}
}

// Rest reads until the peer closes.
func (k *Conn) Rest() string {
	k.t.Helper()
	k.deadline()
	rest, err := io.ReadAll(k.r)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		k.fail("got %s and then %v, want the end", short(string(rest)), err)
	}
	return string(rest)
}

// Silent expects that nothing comes for a while. It is the one step that takes its time whatever happens.
func (k *Conn) Silent(d time.Duration) {
	k.t.Helper()
	if err := k.c.SetReadDeadline(time.Now().Add(d)); err != nil {
		k.fail("setting a deadline: %v", err)
	}
	b, err := k.r.Peek(1)
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		k.fail("got %q, %v, want silence", b, err)
	}
}

// Wait pauses until the gate is opened (Origin.Open, Conn.Open).
func (k *Conn) Wait(gate string) {
	k.t.Helper()
	if !k.gates.wait(gate, k.limit) {
		k.fail("nobody opened the gate %q", gate)
	}
}

// Open opens a gate.
func (k *Conn) Open(gate string) { k.gates.open(gate) }

// Close closes the connection; CloseWrite only this side of it; Reset breaks it.
func (k *Conn) Close() {
	if err := k.c.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		k.fail("closing: %v", err)
	}
}

// CloseWrite ends what is sent and goes on receiving.
func (k *Conn) CloseWrite() {
	if err := k.c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		k.fail("closing the sending side: %v", err)
	}
}

// Reset closes a TCP connection with RST.
func (k *Conn) Reset() {
	if c, ok := k.c.(*net.TCPConn); ok {
		if err := c.SetLinger(0); err != nil {
			k.fail("resetting: %v", err)
		}
	}
	k.Close()
}

// Play plays a script, one step a line:
//
//	send GET / HTTP/1.1\r\nHost: a\r\n\r\n
//	expect HTTP/1.1 200 OK\r\n
//	match (?s)^.*\r\n\r\n$
//	head                      a whole head
//	read 5                    five bytes, whatever they are
//	request                   a whole request
//	response GET              a whole response
//	wait go                   until the gate "go" is open
//	open go
//	half                      close the sending side
//	closed                    the peer closes and sends nothing more
//	close
//	reset
//
// Bytes are written as in a Go string, quotes as they are. Empty lines and what follows "# " at the beginning of a
// line are left out.
func (k *Conn) Play(script string) {
	k.t.Helper()
	for line := range strings.Lines(script) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "# ") {
			continue
		}
		word, text, _ := strings.Cut(line, " ")
		k.step(word, text)
	}
}

func (k *Conn) step(word, text string) {
	k.t.Helper()
	switch word {
	case "send":
		k.Send(k.unquote(text))
	case "expect":
		k.Expect(k.unquote(text))
	case "match":
		k.Match(text)
	case "head":
		k.Head()
	case "read":
		n, err := strconv.Atoi(text)
		if err != nil {
			k.fail("script: read %s: %v", text, err)
		}
		k.Read(n)
	case "request":
		k.Request()
	case "response":
		k.Response(text)
	case "wait":
		k.Wait(text)
	case "open":
		k.Open(text)
	case "half":
		k.CloseWrite()
	case "closed":
		k.Closed()
	case "close":
		k.Close()
	case "reset":
		k.Reset()
	default:
		k.fail("script: there is no step %q", word)
	}
}

func (k *Conn) unquote(text string) string {
	k.t.Helper()
	s, err := strconv.Unquote(`"` + strings.ReplaceAll(text, `"`, `\"`) + `"`)
	if err != nil {
		k.fail("script: %s: %v", text, err)
	}
	return s
}

// short quotes at most some hundred bytes.
func short(s string) string {
	if len(s) > 400 {
		return fmt.Sprintf("%q … %q (%d bytes)", s[:300], s[len(s)-60:], len(s))
	}
	return fmt.Sprintf("%q", s)
}

// gates are named events that happen once.
type gates struct {
	mu    sync.Mutex
	named map[string]chan struct{}
}

func newGates() *gates { return &gates{named: map[string]chan struct{}{}} }

func (g *gates) get(name string) chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.named[name] == nil {
		g.named[name] = make(chan struct{})
	}
	return g.named[name]
}

func (g *gates) open(name string) {
	c := g.get(name)
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-c:
	default:
		close(c)
	}
}

func (g *gates) wait(name string, limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-g.get(name):
		return true
	case <-timer.C:
		return false
	}
}
