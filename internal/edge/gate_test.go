package edge

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/scgi"
	"github.com/weirhq/weir/internal/testkit"
)

// frec is a FastCGI record as a server makes it.
func frec(kind byte, id uint16, content string) string {
	head := []byte{1, kind, byte(id >> 8), byte(id), 0, 0, 0, 0}
	binary.BigEndian.PutUint16(head[4:], uint16(len(content)))
	return string(head) + content
}

func fout(text string) string { return frec(6, 1, text) }
func ferr(text string) string { return frec(7, 1, text) }

// fend is the end record with a status.
func fend(status byte) string { return frec(3, 1, "\x00\x00\x00\x00"+string(status)+"\x00\x00\x00") }

// question is a FastCGI request as a server reads it.
type question struct {
	keep   bool
	params map[string]string
	input  string
}

func readQuestion(c *testkit.Conn) (a question) {
	a.params = map[string]string{}
	var params []byte
	for {
		head := c.Read(8)
		content := c.Read(int(binary.BigEndian.Uint16([]byte(head[4:6]))))
		switch head[1] {
		case 1:
			a.keep = content[2] == 1
		case 4:
			params = append(params, content...)
		case 5:
			if a.input += content; content == "" {
				length := func() int {
					if params[0] < 128 {
						n := int(params[0])
						params = params[1:]
						return n
					}
					n := int(binary.BigEndian.Uint32(params) &^ (1 << 31))
					params = params[4:]
					return n
				}
				for len(params) > 0 {
					n := length()
					v := length()
					a.params[string(params[:n])] = string(params[n : n+v])
					params = params[n+v:]
				}
				return a
			}
		}
	}
}

// fcgiOrigin answers the n-th request, over all connections, with the n-th text, the last one again and again, and then closes unless
// it was asked to keep the connection; what ends in "<close>" it closes at any rate.
func fcgiOrigin(t *testing.T, seen *[]question, texts ...string) *testkit.Origin {
	var mu sync.Mutex
	count := 0
	return testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
		for c.More() {
			a := readQuestion(c)
			mu.Lock()
			text := texts[min(count, len(texts)-1)]
			count++
			if seen != nil {
				*seen = append(*seen, a)
			}
			mu.Unlock()
			text, closes := strings.CutSuffix(text, "<close>")
			if c.TrySend(text) != nil || closes || !a.keep {
				return
			}
		}
	})
}

// said collects what weir's log says while a test runs.
func said(t *testing.T) func() string {
	var mu sync.Mutex
	var b bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(writer(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return b.Write(p)
	}), nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		return b.String()
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// What a FastCGI server may send, and what becomes of it.
func TestFastCGIServers(t *testing.T) {
	const head = "Content-Type: text/plain\r\n\r\n"
	const put, postHi = "PUT / HTTP/1.1\nHost: a\nContent-Length: 2\n\nhi", post + "Content-Length: 2\n\nhi"
	good := fout(head+"hello") + fend(0)
	for _, row := range []struct {
		name    string
		send    string
		answers []string
		status  int
		body    string
		cause   string
		retries int
	}{
		{"good", get, []string{good}, 200, "hello", "", 0},
		{"in pieces", get, []string{fout(head[:3]) + fout("") + fout(head[3:]) + fout("hel") + fout("lo") + fout("") + fend(0)}, 200, "hello", "", 0},
		{"status", get, []string{fout("Status: 418 Teapot\r\n\r\nx") + fend(0)}, 418, "x", "", 0},
		{"local redirect", get, []string{fout("Location: /there\r\n\r\n") + fend(0)}, 302, "", "", 0},
		{"HEAD with a body", "HEAD / HTTP/1.1\nHost: a\n\n", []string{good}, 200, "", "", 0},
		{"204 with a body", get, []string{fout("Status: 204\r\n\r\nbody") + fend(0)}, 204, "", "", 0},
		{"length", get, []string{fout("Content-Length: 5\r\n\r\nhello") + fend(0)}, 200, "hello", "", 0},
		{"more than its length", get, []string{fout("Content-Length: 5\r\n\r\nhello and more") + fend(0)}, 200, "hello", "", 0},
		{"less than its length", get, []string{fout("Content-Length: 50\r\n\r\nhello") + fend(0)}, 502, "", "bad_response", 0},
		{"diagnostics first", get, []string{ferr("oh\n") + good}, 200, "hello", "", 0},
		{"a flood of diagnostics", get, []string{strings.Repeat(ferr(strings.Repeat("flood\n", 10000)), 40) + good}, 200, "hello", "", 0},
		{"a flood of empty records", get, []string{strings.Repeat(fout(""), 100000) + good}, 200, "hello", "", 0},

		{"text", get, []string{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}, 502, "", "bad_response", 0},
		{"another version", get, []string{"\x02" + good[1:]}, 502, "", "bad_response", 0},
		{"another request", get, []string{frec(6, 2, head)}, 502, "", "bad_response", 0},
		{"management", get, []string{frec(10, 0, "")}, 502, "", "bad_response", 0},
		{"unknown type", get, []string{frec(12, 1, "")}, 502, "", "bad_response", 0},
		{"odd end", get, []string{frec(3, 1, "xx")}, 502, "", "bad_response", 0},
		{"huge head", get, []string{fout("A: "+strings.Repeat("b", 60000)) + fout(strings.Repeat("c", 60000))}, 502, "", "bad_response", 0},
		{"many fields", get, []string{fout(strings.Repeat("A: b\n", 300) + "\n")}, 502, "", "bad_response", 0},
		{"no head", get, []string{fout("Fatal error\n\n") + fend(0)}, 502, "", "bad_response", 0},
		{"no responder", get, []string{fend(3)}, 502, "", "bad_response", 0},
		{"late bad record", get, []string{fout("Content-Length: 50\r\n\r\nhello") + "\x02junkjunk"}, 502, "", "bad_response", 0},

		{"nothing but an end", get, []string{fend(0), good}, 200, "hello", "", 1},
		{"nothing but an end, POST", postHi, []string{fend(0), good}, 502, "", "empty_response", 0},
		{"nothing", get, []string{"<close>", good}, 200, "hello", "", 1},
		{"half a record", get, []string{good[:12] + "<close>", good}, 200, "hello", "", 1},
		{"half an answer that is held", put, []string{fout("Content-Length: 50\r\n\r\nhello") + "<close>", good}, 200, "hello", "", 1},
		{"overloaded", get, []string{fend(2), good}, 200, "hello", "", 1},
		{"overloaded, POST", postHi, []string{fend(2), good}, 200, "hello", "", 1},
		{"overloaded to the end", get, []string{fend(2)}, 503, "", "overloaded", 2},
		{"cannot multiplex", postHi, []string{fend(1), good}, 200, "hello", "", 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			eachBody(t, func(t *testing.T, body loop.Config) {
				o := fcgiOrigin(t, nil, row.answers...)
				log, file := logged(t)
				r := serveEdge(t, body, log+speaking("fastcgi", "buffer: true, keep: 4", o.Address))
				c := testkit.Dial(t, r.addr)
				c.Send(wire(row.send))
				method, _, _ := strings.Cut(row.send, " ")
				m, err := c.TryResponse(method)
				if err != nil || m.Status != row.status || row.cause == "" && string(m.Body) != row.body {
					t.Fatalf("got %+v, %v", m, err)
				}
				if l := readLog(t, file, 1)[0]; l.Cause != row.cause || l.Retries != row.retries {
					t.Errorf("logged as %s (%s), %d retries", l.Cause, l.Detail, l.Retries)
				}
				// Whatever it was, the next request gets its own answer.
				if row.status == 200 && len(row.answers) == 1 {
					c.Send(wire(get))
					if m := c.Response("GET"); m.Status != 200 || string(m.Body) != "hello" {
						t.Errorf("then %+v", m)
					}
				}
			})
		})
	}
}

// A server need not go on for a client that has left.
func TestClientLeavesGate(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		for _, send := range []string{get, post + "Content-Length: 2\n\nhi", post + "Transfer-Encoding: chunked\n\n2\nhi\n0\n\n"} {
			o := testkit.ServeOrigin(t, "tcp", func(n int, c *testkit.Conn) {
				if !c.More() {
					return
				}
				readQuestion(c)
				if n == 0 {
					c.Open("asked")
					c.Closed()
					c.Open("left")
					return
				}
				c.TrySend(fout("A: b\r\n\r\nhello") + fend(0))
			})
			log, file := logged(t)
			r := serveEdge(t, body, log+speaking("fastcgi", "", o.Address))
			c := testkit.Dial(t, r.addr)
			c.Send(wire(send))
			o.Wait("asked")
			c.Close()
			o.Wait("left")
			if l := readLog(t, file, 1)[0]; l.Cause != "client_gone" || l.Retries != 0 {
				t.Errorf("logged as %s, %d retries", l.Cause, l.Retries)
			}
			c = testkit.Dial(t, r.addr)
			c.Send(wire(get))
			wantStatus(c, 200)
			c.Close()
		}
	})
}

// A response that breaks off after the client has seen some of it is cut off there too.
func TestFastCGICut(t *testing.T) {
	for _, answer := range []string{fout("A: b\r\n\r\n"+strings.Repeat("x", 60000)) + "<close>", fout("A: b\r\n\r\n"+strings.Repeat("x", 60000)) + "\x07"} {
		o := fcgiOrigin(t, nil, answer+"<close>")
		r := serveEdge(t, fibers, speaking("fastcgi", "", o.Address))
		c := testkit.Dial(t, r.addr)
		c.Send(wire(get))
		if m, err := c.TryResponse("GET"); err == nil {
			t.Errorf("got %d with %d bytes as if it were whole", m.Status, len(m.Body))
		}
		o.Close()
	}
}

// A server that only complains, or sends records with nothing in them, has not begun to answer: the time limit counts.
func TestFastCGIDrips(t *testing.T) {
	for _, drip := range []string{ferr("still here\n"), fout("")} {
		o := testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
			if !c.More() {
				return
			}
			readQuestion(c)
			for c.TrySend(drip) == nil {
				time.Sleep(5 * time.Millisecond) // the pace of the drip
			}
		})
		log, file := logged(t)
		r := serveEdge(t, fibers, log+speaking("fastcgi", "timeouts: {first_byte: 200ms}", o.Address))
		c := testkit.Dial(t, r.addr)
		c.Send(wire(get))
		wantStatus(c, 504)
		if l := readLog(t, file, 1)[0]; l.Cause != "first_byte_timeout" {
			t.Errorf("logged as %s", l.Cause)
		}
		c.Close()
	}
}

// A client that does not read holds the server up, and nothing piles up in between.
func TestGateBackPressure(t *testing.T) {
	const most = 64 << 20
	var sent atomic.Int64
	o := testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
		if !c.More() {
			return
		}
		readQuestion(c)
		record := fout(strings.Repeat("x", 65000))
		if c.TrySend(fout("A: b\r\n\r\n")) != nil {
			return
		}
		for sent.Load() < most && c.TrySend(record) == nil {
			sent.Add(65000)
		}
		c.TrySend(fend(0))
	})
	r := serveEdge(t, fibers, speaking("fastcgi", "", o.Address))
	c := testkit.Dial(t, r.addr)
	c.Send(wire(get))
	c.Head()
	same, last := 0, int64(-1)
	testkit.Eventually(t, testkit.Patience, "the server stands still", func() bool {
		n := sent.Load()
		if same++; n != last {
			same, last = 0, n
		}
		return same > 50 && n > 0
	})
	if n := sent.Load(); n >= most {
		t.Errorf("the server could send all of it, %d bytes", n)
	}
	if m := r.Status(); m.Active != 1 {
		t.Errorf("%d requests under way", m.Active)
	}
}

// Connections are kept when the configuration says so, and only then.
func TestFastCGIKeeps(t *testing.T) {
	good := fout("Content-Type: a/b\r\n\r\nhello") + fend(0)
	for _, row := range []struct {
		name, more  string
		answer      string
		connections int
		keep        bool
	}{
		{"by default not", "", good, 4, false},
		{"kept", "keep: 4", good, 1, true},
		{"bytes behind the end", "keep: 4", good + "x", 4, true},
		{"no end in time", "keep: 4", fout("Content-Length: 5\r\n\r\nhello"), 4, true},
		{"closed by the server", "keep: 4", good + "<close>", 4, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			var seen []question
			o := fcgiOrigin(t, &seen, row.answer)
			r := serveEdge(t, loop.Config{Loops: 1}, speaking("fastcgi", row.more, o.Address))
			c := testkit.Dial(t, r.addr)
			for range 4 {
				c.Send(wire(get))
				if m := c.Response("GET"); m.Status != 200 || string(m.Body) != "hello" {
					t.Fatalf("got %+v", m)
				}
				r.quiet()
			}
			if n := o.Connections(); n != row.connections {
				t.Errorf("%d connections, want %d", n, row.connections)
			}
			r.stop(time.Second)
			o.Close()
			for _, a := range seen {
				if a.keep != row.keep {
					t.Errorf("asked to keep the connection: %v", a.keep)
				}
			}
		})
	}
}

// What a program says beside its answer goes to the log by lines, and not without end.
func TestFastCGIDiagnostics(t *testing.T) {
	log := said(t)
	flood := strings.Repeat(ferr(strings.Repeat("flood", 10000)), 20)
	o := fcgiOrigin(t, nil, ferr("first\nsec")+ferr("ond\n\n\x1b[1mthird")+fout("A: b\r\n\r\nhello")+fend(0), flood+fout("A: b\r\n\r\nhello")+fend(0), ferr("last words")+"<close>")
	r := serveEdge(t, fibers, speaking("fastcgi", "", o.Address))
	c := testkit.Dial(t, r.addr)
	for range 2 {
		c.Send(wire(get))
		wantStatus(c, 200)
	}
	c.Send(wire(post + "Content-Length: 2\n\nhi"))
	wantStatus(c, 502)
	testkit.Eventually(t, testkit.Patience, "the log has it all", func() bool { return strings.Contains(log(), "bytes=991808") && strings.Contains(log(), "last words") })
	text := log()
	for _, line := range []string{"line=first\n", "line=second\n", "third"} {
		if !strings.Contains(text, line) {
			t.Errorf("no %q in %s", line, text)
		}
	}
	if strings.Contains(text, "\x1b") || len(text) > 20<<10 || !strings.Contains(text, "server="+o.Address) {
		t.Errorf("%d bytes: %.2000s", len(text), text)
	}
}

// The program that a path names is run only if its file is there.
func TestFastCGIScripts(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"index.php", "a.php", "dir/index.php", "upload/x.jpg", ".git/x.php"} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("<?php"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var seen []question
	var mu sync.Mutex
	o := testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
		for c.More() {
			a := readQuestion(c)
			mu.Lock()
			seen = append(seen, a)
			mu.Unlock()
			c.TrySend(fout("A: b\r\n\r\nhello") + fend(0))
			if !a.keep {
				return
			}
		}
	})
	for _, front := range []string{"", ", script: index.php"} {
		r := serveEdge(t, fibers, "pools: {p: {servers: ['"+o.Address+"'], protocol: fastcgi, fastcgi: {root: '"+root+"'"+front+"}}}\n"+
			"sites: [{hosts: ['*'], routes: [{pool: p, unclean: [encoded_slash, encoded_nul, backslash, encoded_control]}]}]\n")
		for _, row := range []struct {
			path   string
			status int
			script string // "" with a front controller that one
			info   string
		}{
			{"/", 200, "/index.php", ""},
			{"/a.php", 200, "/a.php", ""},
			{"/a.php/b%20c/d.php?e", 200, "/a.php", "/b c/d.php"},
			{"/%61.php", 200, "/a.php", ""},
			{"/dir/", 200, "/dir/index.php", ""},
			{"/dir", 404, "", ""},
			{"/none.php", 404, "", ""},
			{"/upload/x.jpg", 404, "", ""},
			{"/upload/x.jpg/y.php", 404, "", ""},
			{"/upload/x.jpg%2Fy.php", 404, "", ""},
			{"/upload/x.jpg%20.php", 404, "", ""},
			{"/.git/x.php", 404, "", ""},
			{"/upload/x.jpg%00.php", 400, "bad", ""},
			{"/a%2F..%2Fa.php", 400, "bad", ""},
			{"/a%5C..%5Ca.php", 400, "bad", ""},
		} {
			mu.Lock()
			seen = nil
			mu.Unlock()
			status, script := row.status, row.script
			if script == "" && front != "" {
				status, script = 200, "/index.php"
			}
			c := testkit.Dial(t, r.addr)
			c.Send(wire("GET " + row.path + " HTTP/1.1\nHost: a\n\n"))
			if m := c.Response("GET"); m.Status != status {
				t.Errorf("%s%s: %d, want %d", row.path, front, m.Status, status)
			}
			c.Close()
			r.quiet()
			mu.Lock()
			if len(seen) != 0 && status != 200 || len(seen) != 1 && status == 200 {
				t.Errorf("%s%s: %d requests for the program", row.path, front, len(seen))
			} else if status == 200 {
				p := seen[0].params
				if p["SCRIPT_FILENAME"] != root+script || p["SCRIPT_NAME"] != script || p["PATH_INFO"] != row.info || p["DOCUMENT_ROOT"] != root {
					t.Errorf("%s%s: %v", row.path, front, p)
				}
			}
			mu.Unlock()
		}
	}
}

// A head that the protocol cannot hold is the client's to shorten; no server is to blame.
func TestUnpacked(t *testing.T) {
	o := fcgiOrigin(t, nil, "")
	log, file := logged(t)
	r := serveEdge(t, fibers, log+"limits: {head: 90KiB}\n"+speaking("uwsgi", "", o.Address))
	c := testkit.Dial(t, r.addr)
	c.Send(wire("GET / HTTP/1.1\nHost: a\nX-A: " + strings.Repeat("a", 70000) + "\n\n"))
	wantStatus(c, 431)
	if l := readLog(t, file, 1)[0]; l.Cause != "refused" || r.Status().Pools[0].Servers[0].Errors != 0 {
		t.Errorf("logged as %s", l.Cause)
	}
}

// scgiOrigin answers with a text and closes.
func scgiOrigin(t *testing.T, answer func(headers map[string]string, body string) string) *testkit.Origin {
	return testkit.ServeOrigin(t, "unix", func(_ int, c *testkit.Conn) {
		if !c.More() {
			return
		}
		var got []byte
		for {
			got = append(got, c.Read(1)...)
			headers, length, n, err := scgi.Parse(got, 1<<20)
			if err != nil {
				c.Fail("%v", err)
			}
			if n > 0 {
				all := map[string]string{}
				for _, h := range headers {
					all[string(h.Name)] = string(h.Value)
				}
				c.TrySend(answer(all, c.Read(int(length))))
				return
			}
		}
	})
}

func TestSCGI(t *testing.T) {
	long := strings.Repeat("0123456789", 30000)
	eachBody(t, func(t *testing.T, body loop.Config) {
		o := scgiOrigin(t, func(h map[string]string, body string) string {
			if h["PATH_INFO"] == "/long" {
				return "Content-Type: a/b\n\n" + long
			}
			return fmt.Sprintf("Status: 201 Made\nContent-Type: a/b\n\n%s %s %s %s %d %s", h["REQUEST_METHOD"], h["PATH_INFO"], h["QUERY_STRING"], h["CONTENT_LENGTH"], len(body), h["HTTP_X_A"])
		})
		for _, more := range []string{"", "buffer: true"} {
			r := serveEdge(t, body, speaking("scgi", more, o.Address))
			c := testkit.Dial(t, r.addr)
			for range 3 {
				c.Send(wire("POST /a%20b?c HTTP/1.1\nHost: a\nX-A: b\nTransfer-Encoding: chunked\n\n3\nabc\n4\ndefg\n0\n\n"))
				if m := c.Response("POST"); m.Status != 201 || string(m.Body) != "POST /a b c 7 7 b" {
					t.Errorf("got %+v", m)
				}
				c.Send(wire("GET /long HTTP/1.1\nHost: a\n\n"))
				if m := c.Response("GET"); m.Status != 200 || string(m.Body) != long {
					t.Errorf("got %d with %d bytes", m.Status, len(m.Body))
				}
				// A client that waits for leave to send its body gets it: these servers do not speak of it.
				c.Send(wire("PUT / HTTP/1.1\nHost: a\nContent-Length: 3\nExpect: 100-continue\n\n"))
				c.Expect(wire("HTTP/1.1 100 Continue\n\n"))
				c.Send("xyz")
				if m := c.Response("PUT"); m.Status != 201 || string(m.Body) != "PUT /  3 3 " {
					t.Errorf("got %+v", m)
				}
			}
			c.Close()
		}
	})
}

// The cache, compression and retries do not know what the server speaks.
func TestGateWithTheRest(t *testing.T) {
	text := strings.Repeat("all work and no play ", 500)
	var seen []question
	o := fcgiOrigin(t, &seen, fout("Content-Type: text/plain\r\nCache-Control: max-age=60\r\nETag: \"v\"\r\n\r\n"+text)+fend(0))
	r := serveEdge(t, fibers, "cache: {memory: 64MiB}\n"+strings.Replace(speaking("fastcgi", "", o.Address), "{pool: p}", "{pool: p, compress: [gzip]}", 1))
	c := testkit.Dial(t, r.addr)
	for i := range 3 {
		c.Send(wire(get))
		if m := c.Response("GET"); m.Status != 200 || string(m.Body) != text {
			t.Errorf("answer %d: %d with %d bytes", i, m.Status, len(m.Body))
		}
	}
	c.Send(wire("GET / HTTP/1.1\nHost: a\nAccept-Encoding: gzip\n\n"))
	if m := c.Response("GET"); m.Status != 200 || len(m.Body) > 1000 {
		t.Errorf("compressed: %d with %d bytes", m.Status, len(m.Body))
	}
	c.Send(wire("GET / HTTP/1.1\nHost: a\nRange: bytes=0-7\n\n"))
	if m := c.Response("GET"); m.Status != 206 || string(m.Body) != "all work" {
		t.Errorf("a part: %+v", m)
	}
	c.Send(wire("GET / HTTP/1.1\nHost: a\nIf-None-Match: \"v\"\n\n"))
	wantStatus(c, 304)
	if n := o.Connections(); n != 1 {
		t.Errorf("%d requests reached the server", n)
	}
}

// When the configuration changes what a server speaks, connections of the old kind are not used again.
func TestAnotherProtocol(t *testing.T) {
	o := testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
		for c.More() {
			if c.Read(1) == "\x01" {
				c.Read(15)
				for {
					head := c.Read(8)
					c.Read(int(binary.BigEndian.Uint16([]byte(head[4:6]))))
					if head[1] == 5 {
						break
					}
				}
				c.Send(fout("A: b\r\n\r\nfast") + fend(0))
				continue
			}
			c.Head()
			c.Send(wire("HTTP/1.1 200 OK\nContent-Length: 5\n\nplain"))
		}
	})
	fast, plain := speaking("fastcgi", "keep: 4", o.Address), onePool("", o.Address)
	r := serveEdge(t, loop.Config{Loops: 1}, fast)
	c := testkit.Dial(t, r.addr)
	for i, text := range []string{plain, fast, plain, plain, fast, fast} {
		want := "plain"
		if text == fast {
			want = "fast"
		}
		if err := r.apply(text); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			c.Send(wire(get))
			if m := c.Response("GET"); m.Status != 200 || string(m.Body) != want {
				t.Fatalf("configuration %d: %+v", i, m)
			}
		}
	}
}
