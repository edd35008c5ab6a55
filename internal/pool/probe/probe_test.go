package probe

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/pool/health"
	"github.com/weirhq/weir/internal/testkit"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// origin answers each connection by a function, and ends with the test.
func origin(t *testing.T, serve func(net.Conn)) Target {
	t.Helper()
	address := testkit.Serve(t, "tcp", func(c net.Conn) {
		c.SetDeadline(time.Now().Add(testkit.Patience))
		serve(c)
	})
	return Target{Pool: "web", Server: "s", To: loop.Addr{IP: netip.MustParseAddrPort(address)}}
}

// head reads a request's head.
func readHead(c net.Conn) string {
	in := bufio.NewReader(c)
	var all strings.Builder
	for {
		line, err := in.ReadString('\n')
		all.WriteString(line)
		if err != nil || line == "\r\n" {
			return all.String()
		}
	}
}

// says answers every request with a text.
func says(text string) func(net.Conn) {
	return func(c net.Conn) {
		readHead(c)
		io.WriteString(c, text)
	}
}

// hangs answers with a text and then says nothing until its peer is gone.
func hangs(text string) func(net.Conn) {
	return func(c net.Conn) {
		readHead(c)
		io.WriteString(c, text)
		io.Copy(io.Discard, c)
	}
}

// floods says the same for ever.
func floods(first, again string) func(net.Conn) {
	return func(c net.Conn) {
		readHead(c)
		io.WriteString(c, first)
		for {
			if _, err := io.WriteString(c, again); err != nil {
				return
			}
		}
	}
}

func http1(change func(*config.Health)) *config.Health {
	h := &config.Health{Type: "http", Path: "/alive", Method: "GET", Host: "localhost", Status: []config.StatusRange{{From: 200, To: 399}}, Timeout: 5 * time.Second}
	if change != nil {
		change(h)
	}
	return h
}

func quick(h *config.Health) { h.Timeout = 100 * time.Millisecond }

func TestHTTP(t *testing.T) {
	body := func(s string) func(*config.Health) { return func(h *config.Health) { h.Body = s } }
	pattern := func(s string) func(*config.Health) {
		return func(h *config.Health) { h.Pattern = regexp.MustCompile(s) }
	}
	long := strings.Repeat("x", 40<<10)
	for _, row := range []struct {
		name   string
		serve  func(net.Conn)
		change func(*config.Health)
		ok     bool
		said   string // is part of the message
	}{
		{"well", says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), nil, true, "200 OK in "},
		{"redirects", says("HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"), nil, true, "302 Found"},
		{"500", says("HTTP/1.1 500 Internal Server Error\r\n\r\n"), nil, false, "it answered 500 Internal Server Error"},
		{"200 where 204 is expected", says("HTTP/1.1 200 OK\r\n\r\n"), func(h *config.Health) { h.Status = []config.StatusRange{{From: 204, To: 204}} }, false, "it answered 200 OK"},
		{"informational first", says("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"), nil, true, "200"},
		{"informational for ever", floods("", "HTTP/1.1 100 Continue\r\n\r\n"), nil, false, "nothing but informational"},
		{"head only", says("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"), func(h *config.Health) { h.Method = "HEAD" }, true, "200"},
		{"body there", says("HTTP/1.1 200 OK\r\n\r\nall is well"), body("is well"), true, "200"},
		{"body there, in chunks", says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nis \r\n4\r\nwell\r\n0\r\n\r\n"), body("is well"), true, "200"},
		{"body there, then it hangs", hangs("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nall is well"), body("is well"), true, "200"},
		{"body far in", says("HTTP/1.1 200 OK\r\n\r\n" + long + "is well"), body("is well"), true, "200"},
		{"body too far in", says("HTTP/1.1 200 OK\r\n\r\n" + long + long + "is well"), body("is well"), false, "not the one expected"},
		{"another body", says("HTTP/1.1 200 OK\r\n\r\nall is lost"), body("is well"), false, "not the one expected"},
		{"body breaks off", says("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nall is lo"), body("is well"), false, "broke off"},
		{"body without end", floods("HTTP/1.1 200 OK\r\n\r\n", "nothing of interest "), body("is well"), false, "not the one expected"},
		{"pattern", says("HTTP/1.1 200 OK\r\n\r\n{\"ok\":  true}"), pattern(`"ok": *true`), true, "200"},
		{"pattern not there", says("HTTP/1.1 200 OK\r\n\r\n{\"ok\":  false}"), pattern(`"ok": *true`), false, "not the one expected"},
		{"pattern without end", floods("HTTP/1.1 200 OK\r\n\r\n", "aaaaaaaaaaaaaaaa"), pattern(`(a*)*b`), false, "not the one expected"},
		{"garbage", says("\x00\x01SSH-2.0-nothing\r\n\r\n"), nil, false, "malformed HTTP"},
		{"garbage without end", floods("", "\x00\x01\x02\x03\x04\x05\x06\x07"), nil, false, ""},
		{"head without end", floods("HTTP/1.1 200 OK\r\n", "X-A: b\r\n"), nil, false, ""},
		{"no status", says("HTTP/1.1 999 Oh\r\n\r\n"), nil, false, "which is none"},
		{"closes", func(c net.Conn) { readHead(c) }, nil, false, "closed the connection without an answer"},
		{"resets", func(c net.Conn) { readHead(c); c.(*net.TCPConn).SetLinger(0) }, nil, false, "connection reset"},
		{"hangs", hangs(""), quick, false, "no answer within 100ms"},
		{"hangs in its head", hangs("HTTP/1.1 200 OK\r\nX: "), quick, false, "no answer within 100ms"},
		{"control characters", says("HTTP/1.1 500 \x1b[31mred\x07\r\n\r\n"), nil, false, "it answered 500 ?[31mred?"},
		{"a novel", says("HTTP/1.1 500 " + long + "\r\n\r\n"), nil, false, "…"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r, _ := Check(t.Context(), origin(t, row.serve), http1(row.change), "")
			if r.OK != row.ok || !strings.Contains(r.Message, row.said) || len(r.Message) > maxMessage+100 || r.At.IsZero() {
				t.Errorf("%v %q", r.OK, r.Message)
			}
		})
	}
}

func TestRequest(t *testing.T) {
	heads := make(chan string, 1)
	at := origin(t, func(c net.Conn) {
		heads <- readHead(c)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nX-Weir-Weight: 40%\r\n\r\n")
	})
	r, wish := Check(t.Context(), at, http1(func(h *config.Health) {
		h.Path, h.Method, h.Host = "/ping?deep=1", "OPTIONS", "api.example.com"
		h.Headers = []config.NameValue{{Name: "X-Key", Value: "secret"}}
	}), "X-Weir-Weight")
	if !r.OK || wish != "40%" {
		t.Fatal(r.Message, wish)
	}
	head := <-heads
	for _, want := range []string{"OPTIONS /ping?deep=1 HTTP/1.1\r\n", "Host: api.example.com\r\n", "X-Key: secret\r\n", "Connection: close\r\n", "User-Agent: weir-check\r\n"} {
		if !strings.Contains(head, want) {
			t.Errorf("%q is not in\n%s", want, head)
		}
	}
	if strings.Contains(r.Message, "secret") {
		t.Error("a secret is in the message")
	}
}

func TestTCPAndSockets(t *testing.T) {
	tcp := &config.Health{Type: "tcp", Timeout: time.Second}
	at := origin(t, func(net.Conn) {})
	if r, _ := Check(t.Context(), at, tcp, ""); !r.OK || !strings.HasPrefix(r.Message, "connected in ") {
		t.Error(r)
	}
	other := *tcp
	other.Port = int(at.To.IP.Port())
	if r, _ := Check(t.Context(), Target{To: loop.Addr{IP: netip.MustParseAddrPort("127.0.0.1:1")}}, &other, ""); !r.OK {
		t.Error(r)
	}
	if r, _ := Check(t.Context(), Target{To: loop.Addr{IP: netip.MustParseAddrPort("127.0.0.1:1")}}, tcp, ""); r.OK || r.Message != "connection refused" {
		t.Error(r)
	}
	path := filepath.Join(t.TempDir(), "s")
	if r, _ := Check(t.Context(), Target{To: loop.Addr{Unix: path}}, tcp, ""); r.OK || r.Message != "no such file or directory" {
		t.Error(r)
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if r, _ := Check(t.Context(), Target{To: loop.Addr{Unix: path}}, tcp, ""); !r.OK {
		t.Error(r)
	}
	if r, _ := Check(t.Context(), Target{To: loop.Addr{Unix: path}}, &other, ""); r.OK || !strings.Contains(r.Message, "no port") {
		t.Error(r)
	}
}

func TestTLS(t *testing.T) {
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = nil
	s.StartTLS()
	defer s.Close()
	at := Target{To: loop.Addr{IP: netip.MustParseAddrPort(s.Listener.Addr().String())}}
	if r, _ := Check(t.Context(), at, &config.Health{Type: "tls", Timeout: 5 * time.Second}, ""); !r.OK || !strings.HasPrefix(r.Message, tls.VersionName(tls.VersionTLS13)) {
		t.Error(r)
	}
	if r, _ := Check(t.Context(), at, &config.Health{Type: "tls", Host: "example.com", Timeout: 5 * time.Second}, ""); r.OK || !strings.HasPrefix(r.Message, "TLS: ") {
		t.Error(r) // the certificate is good for the name, but nobody vouches for it
	}
	if r, _ := Check(t.Context(), origin(t, hangs("")), &config.Health{Type: "tls", Timeout: 100 * time.Millisecond}, ""); r.OK || r.Message != "no answer within 100ms" {
		t.Error(r)
	}
	if r, _ := Check(t.Context(), origin(t, func(c net.Conn) { io.WriteString(c, "220 mail\r\n") }), &config.Health{Type: "tls", Timeout: 5 * time.Second}, ""); r.OK {
		t.Error(r)
	}
}

func command(script string, timeout time.Duration) *config.Health {
	return &config.Health{Type: "command", Argv: []string{"/bin/sh", "-c", script}, Timeout: timeout}
}

func TestCommand(t *testing.T) {
	at := Target{Pool: "web", Server: "db:5432/10.0.0.1", To: loop.Addr{IP: netip.MustParseAddrPort("10.0.0.1:5432")}}
	t.Setenv("SECRET", "of weir's own")
	for _, row := range []struct {
		script string
		ok     bool
		said   string
	}{
		{"exit 0", true, "exit status 0 in "},
		{"echo fine; exit 0", true, "fine in "},
		{"echo no disk >&2; exit 3", false, "exit status 3: no disk"},
		{"exit 4", false, "exit status 4"},
		{"echo $WEIR_POOL $WEIR_SERVER $WEIR_HOST $WEIR_PORT $SECRET", true, "web db:5432/10.0.0.1 10.0.0.1 5432 in "},
		{"yes | head -c 100000; exit 0", true, "y in "},
		{"kill -9 $$", false, "signal: killed"},
	} {
		r, _ := Check(t.Context(), at, command(row.script, 10*time.Second), "")
		if r.OK != row.ok || !strings.HasPrefix(r.Message, row.said) {
			t.Errorf("%s: %v %q", row.script, r.OK, r.Message)
		}
	}
	if r, _ := Check(t.Context(), at, &config.Health{Type: "command", Argv: []string{"/no/such/program"}, Timeout: time.Second}, ""); r.OK || r.Message != "no such file or directory" {
		t.Error(r)
	}
}

// Whatever a command leaves running goes with it: when its time is over, and when it ended well.
func TestCommandLeavesNobody(t *testing.T) {
	for _, script := range []string{
		"sleep 300 & echo $! >%[1]s; wait",
		"trap '' TERM INT HUP; sleep 300 & echo $! >%[1]s; while :; do sleep 1; done",
		"sleep 300 & echo $! >%[1]s; exit 0",
	} {
		file := filepath.Join(t.TempDir(), "pid")
		began := time.Now()
		Check(t.Context(), Target{}, command(fmt.Sprintf(script, file), 300*time.Millisecond), "")
		if d := time.Since(began); d > 20*time.Second {
			t.Errorf("%s: it took %v", script, d)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(10 * time.Second); alive(pid); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: process %d lives on", script, pid)
			}
		}
	}
}

// alive says that a process runs: a zombie that nobody has fetched yet does not.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || !strings.Contains(string(stat), ") Z ")
}

// The end of weir ends a check at once.
func TestCanceled(t *testing.T) {
	for name, h := range map[string]*config.Health{"http": http1(nil), "tls": {Type: "tls", Timeout: time.Minute}, "command": command("sleep 300", time.Minute)} {
		asked := make(chan struct{}, 1)
		at := origin(t, func(c net.Conn) { asked <- struct{}{}; io.Copy(io.Discard, c) })
		ctx, cancel := context.WithCancel(t.Context())
		if name == "command" {
			asked <- struct{}{}
		}
		go func() { <-asked; cancel() }()
		began := time.Now()
		if r, _ := Check(ctx, at, h, ""); r.OK || time.Since(began) > 20*time.Second {
			t.Error(name, r, time.Since(began))
		}
	}
}

func TestAsk(t *testing.T) {
	greets := func(text string) func(net.Conn) { return func(c net.Conn) { io.WriteString(c, text) } }
	for _, row := range []struct {
		name  string
		serve func(net.Conn)
		path  string
		want  health.Wish
		err   string
	}{
		{"line", greets("50%\n"), "", health.Wish{Share: 500}, ""},
		{"no end of line", greets("drain"), "", health.Wish{Share: -1, State: "drain"}, ""},
		{"line and silence", func(c net.Conn) { io.WriteString(c, "up 10%\n"); io.Copy(io.Discard, c) }, "", health.Wish{Share: 100, State: "up"}, ""},
		{"nonsense", greets("banana\n"), "", health.Wish{}, `it said "banana", which is not a share`},
		{"without end", func(c net.Conn) {
			for {
				if _, err := io.WriteString(c, "5"); err != nil {
					return
				}
			}
		}, "", health.Wish{}, "it said"},
		{"nothing", func(net.Conn) {}, "", health.Wish{}, "which is not a share"},
		{"http", says("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n75%\n"), "/load", health.Wish{Share: 750}, ""},
		{"http without end", floods("HTTP/1.1 200 OK\r\n\r\n", "5"), "/load", health.Wish{}, "it said"},
		{"http error", says("HTTP/1.1 404 Not Found\r\n\r\n75%"), "/load", health.Wish{}, "it answered 404 Not Found"},
	} {
		at := origin(t, row.serve)
		got, err := Ask(t.Context(), at, &config.Agent{Path: row.path, Port: int(at.To.IP.Port()), Timeout: 5 * time.Second})
		if row.err == "" {
			if err != nil || got != row.want {
				t.Errorf("%s: %+v, %v", row.name, got, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), row.err) {
			t.Errorf("%s: %+v, %v", row.name, got, err)
		}
	}
	if _, err := Ask(t.Context(), origin(t, hangs("")), &config.Agent{Timeout: 50 * time.Millisecond}); err == nil || err.Error() != "no answer within 50ms" {
		t.Error(err)
	}
}
