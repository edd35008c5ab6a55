package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/testkit"
)

// TestThreeLines: the shortest configuration serves on :8080.
func TestThreeLines(t *testing.T) {
	const address = "127.0.0.1:8080"
	if l, err := net.Listen("tcp", ":8080"); err != nil {
		t.Fatalf("this test needs port 8080, the default: %v", err)
	} else if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	w := testkit.Run(t, testkit.Setup{Address: address, Config: "apps:\n  web:\n    command: \"@HELLO@\"\n"})
	if status, body := w.Get("/"); status != 200 || !strings.HasPrefix(body, "hello from process ") {
		t.Errorf("got %d %q", status, body)
	}
	if s := w.Status(); len(s.Apps) != 1 || len(s.Apps[0].Workers) == 0 || s.Edge == nil || s.Edge.Requests == 0 {
		t.Errorf("status: %+v", s)
	}
	if out := w.Do("status"); !strings.Contains(out, "web") {
		t.Errorf("status: %s", out)
	}
}

func TestPagesThroughWorkers(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Config: hello(2, "")})
	waitWorkers(t, w, "hello", 2)
	c := w.Dial()
	seen := map[string]bool{}
	for range 20 {
		m := request(c, "/")
		if m.Status != 200 || !strings.HasPrefix(m.Body, "hello from process ") {
			t.Fatalf("got %+v", m)
		}
		seen[m.Body] = true
	}
	if len(seen) != 2 {
		t.Errorf("%d workers answered, want both", len(seen))
	}
	// Requests sent without waiting for their answers are answered in their order.
	c.Send(strings.Repeat("GET /status?code=204 HTTP/1.1\r\nHost: a\r\n\r\nGET /status?code=404 HTTP/1.1\r\nHost: a\r\n\r\n", 3))
	for i := range 6 {
		if m := c.Response("GET"); m.Status != []int{204, 404}[i%2] {
			t.Fatalf("answer %d: %+v", i, m)
		}
	}
	c.Send("HEAD /big?bytes=1000 HTTP/1.1\r\nHost: a\r\n\r\n")
	if m := c.Response("HEAD"); m.Status != 200 || m.Field("Content-Length") != "1000" {
		t.Errorf("HEAD: %+v", m)
	}
	if m := request(c, "/"); m.Status != 200 {
		t.Errorf("after HEAD: %+v", m)
	}
	c.Send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	c.Response("GET")
	c.Closed()
}

// TestWhatTheWorkerSees: the fields that weir sets, and those that it keeps to itself.
func TestWhatTheWorkerSees(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Config: hello(1, "")})
	c := w.Dial()
	c.Send("POST /echo/a/./b/../c?x=%20 HTTP/1.1\r\nHost: www.example.com\r\nConnection: x-secret, keep-alive\r\nX-Secret: 1\r\n" +
		"X-Forwarded-For: 192.0.2.1\r\nX-Mine: yes\r\nTransfer-Encoding: chunked\r\n\r\n4;ext=1\r\nbody\r\n0\r\n\r\n")
	m := c.Response("POST")
	var got struct {
		Method, Target, Host, Body string
		Fields                     map[string][]string
	}
	if err := json.Unmarshal([]byte(m.Body), &got); err != nil {
		t.Fatalf("%v: %+v", err, m)
	}
	if got.Method != "POST" || got.Target != "/echo/a/c?x=%20" || got.Host != "www.example.com" || got.Body != "body" {
		t.Errorf("got %+v", got)
	}
	first := func(name string) string { return strings.Join(got.Fields[name], ", ") }
	if first("X-Mine") != "yes" || first("X-Secret") != "" || first("X-Forwarded-Proto") != "http" || first("X-Forwarded-Host") != "www.example.com" {
		t.Errorf("got %+v", got.Fields)
	}
	// The client is no trusted proxy: what it says of others is not believed.
	if a, err := netip.ParseAddr(first("X-Forwarded-For")); err != nil || !a.IsLoopback() {
		t.Errorf("X-Forwarded-For: %q", first("X-Forwarded-For"))
	}
	if len(first("X-Request-Id")) < 16 || first("Via") == "" {
		t.Errorf("got %+v", got.Fields)
	}
}

// TestNothingUnsafePasses: requests that two programs could read in two ways are refused, and reach no worker.
func TestNothingUnsafePasses(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Config: hello(1, "")})
	before := w.Status().Edge
	for want, sent := range map[string]string{
		"400 two lengths":      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"400 both framings":    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"400 space before ':'": "GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
		"400 no Host":          "GET / HTTP/1.1\r\n\r\n",
		"400 two Hosts":        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"400 folded line":      "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
		"400 bare LF":          "GET / HTTP/1.1\nHost: a\n\n",
		"400 NUL":              "GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n",
		"400 encoded slash":    "GET /a%2fb HTTP/1.1\r\nHost: a\r\n\r\n",
		"501 coding":           "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"505 version":          "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
		"414 long target":      "GET /" + strings.Repeat("a", 20000) + " HTTP/1.1\r\nHost: a\r\n\r\n",
		"431 long field":       "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("a", 100000) + "\r\n\r\n",
	} {
		c := w.Dial()
		if err := c.TrySend(sent); err != nil {
			t.Logf("%s: %v", want, err) // closed before all was sent: the answer is there all the same
		}
		if m := c.Response("GET"); fmt.Sprint(m.Status) != want[:3] {
			t.Errorf("%s: got %s", want, m.Start)
		}
		c.Closed()
	}
	after := w.Status().Edge
	if before.Pools[0].Servers[0].Requests != after.Pools[0].Servers[0].Requests {
		t.Errorf("the worker got %d requests before and %d after", before.Pools[0].Servers[0].Requests, after.Pools[0].Servers[0].Requests)
	}
}

func TestWebSocket(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Config: hello(1, "")})
	c := w.Dial()
	c.Send("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
	// The key and the answer to it are the example of RFC 6455, section 1.3.
	m := c.Response("GET")
	if m.Status != 101 || m.Field("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" || !strings.EqualFold(m.Field("Upgrade"), "websocket") {
		t.Fatalf("got %+v", m)
	}
	for _, text := range []string{"hello", strings.Repeat("x", 100), "z"} {
		c.Send(frame(1, text))
		c.Expect(string([]byte{0x81, byte(len(text))}) + text)
	}
	c.Send(frame(8, ""))
	if got := c.Rest(); !strings.HasPrefix(got, "\x88") {
		t.Errorf("got %q, want a close frame", got)
	}
}

// frame makes a client's frame of at most 125 bytes, masked as it must be.
func frame(opcode byte, text string) string {
	mask := [4]byte{1, 2, 3, 4}
	b := append([]byte{0x80 | opcode, 0x80 | byte(len(text))}, mask[:]...)
	for i := range len(text) {
		b = append(b, text[i]^mask[i%4])
	}
	return string(b)
}

// TestAnswersAtTheEdge: routes that need no worker.
func TestAnswersAtTheEdge(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Config: hello(1, `
sites:
  - hosts: [old.example.com]
    routes:
      - redirect: {to: "https://www.example.com{uri}", status: 301}
  - hosts: [www.example.com]
    errors: {502-504: sorry.html}
    routes:
      - match: {path: /static/*}
        rewrite: {strip_prefix: /static}
        files: {root: files, cache_control: "max-age=60"}
      - match: {path: /private/*}
        allow: {from: [192.0.2.0/24], else: 403}
        pool: hello
      - match: {path: /down}
        pool: down
      - match: {path: /hello}
        rewrite: {strip_prefix: /hello}
        pool: hello
      - respond: {status: 200, body: "fixed\n"}
pools:
  down:
    servers: [{address: "127.0.0.1:1"}]
`), Files: map[string]string{"sorry.html": "<p>sorry</p>", "files/a.txt": "0123456789", "files/.hidden": "no"}, Ready: "/"})
	get := func(host, path, fields string) *testkit.Message {
		c := w.Dial()
		c.Send("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n" + fields + "\r\n")
		return c.Response("GET")
	}
	for _, c := range []struct {
		host, path, fields string
		status             int
		body               string
		field              string // "Name: value"
	}{
		{"old.example.com", "/a?b=c", "", 301, "", "Location: https://www.example.com/a?b=c"},
		{"WWW.example.COM:80", "/x", "", 200, "fixed\n", ""},
		{"www.example.com", "/static/a.txt", "", 200, "0123456789", "Cache-Control: max-age=60"},
		{"www.example.com", "/static/a.txt", "Range: bytes=2-4\r\n", 206, "234", "Content-Range: bytes 2-4/10"},
		{"www.example.com", "/static/.hidden", "", 404, "", ""},
		{"www.example.com", "/static/../sorry.html", "", 200, "fixed\n", ""},
		{"www.example.com", "/static/missing", "", 404, "", ""},
		{"www.example.com", "/private/x", "", 403, "", ""},
		{"www.example.com", "/down", "", 502, "<p>sorry</p>", ""},
		{"www.example.com", "/hello", "", 200, "hello from process", ""},
		{"other.example.com", "/", "", 404, "", ""},
	} {
		m := get(c.host, c.path, c.fields)
		name, value, _ := strings.Cut(c.field, ": ")
		if m.Status != c.status || !strings.Contains(m.Body, c.body) || name != "" && m.Field(name) != value {
			t.Errorf("%s%s: got %+v, want %d, %q, %s", c.host, c.path, m, c.status, c.body, c.field)
		}
	}
	// A client that asks for JSON gets its errors in JSON.
	m := get("other.example.com", "/", "Accept: application/json\r\n")
	if !json.Valid([]byte(m.Body)) || !strings.HasPrefix(m.Field("Content-Type"), "application/json") {
		t.Errorf("got %+v", m)
	}
}

// TestAccessLog: one line for each request, with the id that the worker saw.
func TestAccessLog(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Config: strings.Replace(hello(1, ""), "to: none", `to: "@DIR@/access.log", format: json`, 1)})
	c := w.Dial()
	c.Send("GET /echo HTTP/1.1\r\nHost: log.test\r\nUser-Agent: \"quoted\"\r\n\r\n")
	m := c.Response("GET")
	var seen struct{ Fields map[string][]string }
	if err := json.Unmarshal([]byte(m.Body), &seen); err != nil {
		t.Fatal(err)
	}
	var line struct {
		Method, Host, Target, ID, Pool, Server string
		Status                                 int
		Agent                                  string  `json:"user_agent"`
		Total                                  float64 `json:"total_ms"`
		Out                                    int
	}
	testkit.Eventually(t, 5*time.Second, "the line is in the log", func() bool {
		text, err := os.ReadFile(filepath.Join(w.Dir, "access.log"))
		if err != nil {
			return false
		}
		for l := range strings.Lines(string(text)) {
			if err := json.Unmarshal([]byte(l), &line); err != nil {
				t.Fatalf("%v: %s", err, l)
			}
			if line.Target == "/echo" {
				return true
			}
		}
		return false
	})
	if line.Method != "GET" || line.Host != "log.test" || line.Status != 200 || line.Pool != "hello" || line.Server == "" ||
		line.Agent != `"quoted"` || line.Total <= 0 || line.Out != len(m.Body) {
		t.Errorf("got %+v", line)
	}
	if ids := seen.Fields["X-Request-Id"]; len(ids) != 1 || ids[0] != line.ID {
		t.Errorf("the worker saw %q, the log has %q", ids, line.ID)
	}
}

// TestStopUnderLoad: what is under way when weir is told to stop is finished.
func TestStopUnderLoad(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Config: hello(1, "")})
	c := w.Dial()
	c.Send("GET /slow?ms=700 HTTP/1.1\r\nHost: a\r\n\r\n")
	testkit.Eventually(t, 5*time.Second, "the request is under way", func() bool { return w.Status().Edge.Active > 0 })
	w.Signal(syscall.SIGTERM)
	if m := c.Response("GET"); m.Status != 200 || m.Body != "waited 700 ms\n" {
		t.Errorf("got %+v", m)
	}
	c.Closed()
	<-w.Exited()
	if w.Code() != 0 {
		t.Errorf("exit %d", w.Code())
	}
}
