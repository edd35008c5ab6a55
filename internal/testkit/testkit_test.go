package testkit

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// fake is a test that may fail without failing this one.
type fake struct {
	testing.TB
	mu       sync.Mutex
	said     []string
	cleanups []func()
}

func (f *fake) Helper()           {}
func (f *fake) Cleanup(do func()) { f.cleanups = append(f.cleanups, do) }
func (f *fake) Failed() bool      { return len(f.messages()) > 0 }
func (f *fake) TempDir() string   { return f.TB.TempDir() }
func (f *fake) Errorf(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.said = append(f.said, fmt.Sprintf(format, args...))
}
func (f *fake) Fatalf(format string, args ...any) {
	f.Errorf(format, args...)
	runtime.Goexit()
}
func (f *fake) messages() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.said
}

// run runs a function as a test with its clean-ups, and returns what it complained of.
func run(t *testing.T, do func(f *fake)) []string {
	t.Helper()
	f := &fake{TB: t}
	var wait sync.WaitGroup
	wait.Go(func() {
		defer func() {
			for i := len(f.cleanups) - 1; i >= 0; i-- {
				f.cleanups[i]()
			}
		}()
		do(f)
	})
	wait.Wait()
	return f.messages()
}

func TestScripts(t *testing.T) {
	Leaks(t)
	o := NewOrigin(t, `
		# the first connection
		expect GET / HTTP/1.1\r\nHost: "a"\r\n\r\n
		send HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n
		wait more
		send 0\r\nX: 1\r\n\r\n
		closed`, `
		request
		send HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 404 No\r\n\r\nbye
		close`, `
		head
		reset`)
	c := Dial(t, o.Address)
	c.Send("GET / HTTP/1.1\r\nHost: \"a\"\r\n\r\n")
	c.Match(`(?s)hello\r\n$`)
	c.Silent(20 * time.Millisecond)
	o.Open("more")
	c.Expect("0\r\nX: 1\r\n\r\n")
	c.CloseWrite()
	c.Closed()

	c = Dial(t, o.Address)
	c.Send("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc")
	if m := c.Response("POST"); m.Status != 100 {
		t.Errorf("got %+v", m)
	}
	if m := c.Response("POST"); m.Status != 404 || m.Body != "bye" {
		t.Errorf("got %+v", m)
	}
	c.Closed()
	if got := o.Got(1); !strings.HasSuffix(got, "\r\n\r\nabc") {
		t.Errorf("recorded %q", got)
	}

	c = Dial(t, o.Address)
	c.Play(`send GET / HTTP/1.1\r\n\r\n
		closed`)
	if o.Connections() != 3 || o.Got(9) != "" {
		t.Errorf("%d connections", o.Connections())
	}
}

func TestUnixOrigin(t *testing.T) {
	Leaks(t)
	o := ServeOrigin(t, "unix", func(n int, c *Conn) {
		for c.Request().Start != "GET /last HTTP/1.1" {
			c.Send("HTTP/1.1 204 No Content\r\n\r\n")
		}
		c.Open("last")
	})
	c := Dial(t, o.Address)
	for range 3 {
		c.Send("GET / HTTP/1.1\r\n\r\n")
		c.Response("GET")
	}
	c.Send("GET /last HTTP/1.1\r\n\r\n")
	o.Wait("last")
	if got := c.Rest(); got != "" {
		t.Errorf("got %q", got)
	}
}

// TestFailuresAreSeen: a check that cannot fail is none.
func TestFailuresAreSeen(t *testing.T) {
	Leaks(t)
	for want, script := range map[string]string{
		`got "HT", want "ht"`:                     `expect ht`,
		`want a match of ^X`:                      `match ^X`,
		`want the end`:                            `closed`,
		`there is no step "dance"`:                `dance`,
		`strconv.Atoi`:                            `read x`,
		`nobody opened the gate "g"`:              `wait g`,
		`more than one framing`:                   `response GET`,
		`and then unexpected EOF, want 100 bytes`: `read 100`,
		`script: \q`:                              `send \q`,
		`reading a request: no request line`:      `request`,
	} {
		said := run(t, func(f *fake) {
			o := ServeOrigin(f, "tcp", func(n int, c *Conn) {
				c.Send("HTTP/1.1 200\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n")
			})
			Dial(f, o.Address).Within(200 * time.Millisecond).Play(script)
		})
		if len(said) != 1 || !strings.Contains(said[0], want) {
			t.Errorf("%s: said %q, want %q", script, said, want)
		}
	}
	// What goes wrong in an origin fails the test too.
	said := run(t, func(f *fake) {
		o := NewOrigin(f, "expect a")
		c := Dial(f, o.Address)
		c.Send("b")
		c.Closed()
	})
	if len(said) != 1 || !strings.HasPrefix(said[0], "origin, connection 0: ") {
		t.Errorf("said %q", said)
	}
}

func TestFraming(t *testing.T) {
	Leaks(t)
	for sent, want := range map[string]string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc":                              "3 of 5 bytes",
		"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n":                                 "Content-Length",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n":                           "Transfer-Encoding: gzip",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX":               "end of a chunk",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc":                  "bare LF",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n":                  "chunk size",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc":                "chunk of 9 bytes",
		"HTTP/1.1 200 OK\r\na b: c\r\n\r\n":                                            "no field line",
		"HTTP/1.1 200 OK\r\na: c\rd\r\n\r\n":                                           "bare CR",
		"nonsense\r\n\r\n":                                                             "no status line",
		"HTTP/1.1 2xx\r\n\r\n":                                                         "no status line",
		"HTTP/1.1 200 OK\r\nContent":                                                   "EOF",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na":           "more than one framing",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: 1\r\n": "EOF",
	} {
		said := run(t, func(f *fake) {
			o := ServeOrigin(f, "tcp", func(n int, c *Conn) { c.Send(sent) })
			Dial(f, o.Address).Response("GET")
		})
		if len(said) != 1 || !strings.Contains(said[0], want) {
			t.Errorf("%q: said %q, want %q", sent, said, want)
		}
	}
}

func TestLeaksAreSeen(t *testing.T) {
	var file *os.File
	said := run(t, func(f *fake) {
		before := Descriptors(f)
		var err error
		if file, err = os.Open(os.DevNull); err != nil {
			f.Fatalf("%v", err)
		}
		if left := opened(before, Descriptors(f)); len(left) != 1 || !strings.Contains(left[0], os.DevNull) {
			f.Errorf("left: %q", left)
		}
	})
	if len(said) != 0 {
		t.Error(said)
	}
	file.Close()
	stop := make(chan struct{})
	said = run(t, func(f *fake) {
		Leaks(f)
		go func() { <-stop }()
	})
	close(stop)
	if len(said) != 1 || !strings.Contains(said[0], "goroutines are left behind") {
		t.Errorf("said %q", said)
	}
}

func TestClock(t *testing.T) {
	var c Clock
	was, mono := c.Now(), c.Mono()
	c.Advance(time.Second)
	if c.Now().Sub(was) != time.Second || c.Mono()-mono != int64(time.Second) || mono == 0 {
		t.Errorf("%v %v", c.Now(), c.Mono())
	}
}

func TestEventually(t *testing.T) {
	n := 0
	Eventually(t, time.Second, "five tries", func() bool { n++; return n == 5 })
	said := run(t, func(f *fake) { Eventually(f, time.Millisecond, "never", func() bool { return false }) })
	if len(said) != 1 || said[0] != "not within 1ms: never" {
		t.Errorf("said %q", said)
	}
}

func TestLoad(t *testing.T) {
	Leaks(t)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/echo":
			buf := make([]byte, r.ContentLength)
			for n := 0; n < len(buf); {
				m, err := r.Body.Read(buf[n:])
				if n += m; err != nil {
					break
				}
			}
			w.Write(buf)
		case "/bad":
			w.WriteHeader(502)
		case "/gone":
			panic(http.ErrAbortHandler)
		case "/late":
			<-r.Context().Done()
		default:
			w.Write([]byte("hello"))
		}
	}))
	defer s.Close()
	address := s.Listener.Addr().String()
	for _, c := range []struct {
		load Load
		fail string // in the reason of every failure
	}{
		{Load{}, ""},
		{Load{Path: "/echo", Method: "POST", Body: 100}, ""},
		{Load{Path: "/", Method: "POST", Body: 100}, "does not contain"},
		{Load{Path: "/bad"}, "status 502"},
		{Load{Path: "/gone"}, "closed before the end of the answer, on a new connection"},
		{Load{Path: "/late", Limit: 20 * time.Millisecond}, "no answer in time"},
		{Load{Address: DeadAddress(t)}, "connection refused"},
	} {
		if c.load.Address == "" {
			c.load.Address = address
		}
		c.load.Conns = 2
		f := c.load.Start(t)
		f.After(t, 10)
		r := f.Stop()
		if c.fail == "" && (r.Requests < 10 || r.Failed() != 0) || c.fail != "" && (r.Failed() < 10 || r.Requests != 0) {
			t.Errorf("%+v: %v", c.load, r)
		}
		for reason := range r.Failures {
			if !strings.Contains(reason, c.fail) {
				t.Errorf("%+v: failed by %q, want %q", c.load, reason, c.fail)
			}
		}
	}
}

func TestProcesses(t *testing.T) {
	cmd := exec.Command("sh", "-c", "sleep 60 & wait")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var all []Process
	Eventually(t, 5*time.Second, "a shell and its child", func() bool {
		all = Tree(cmd.Process.Pid)
		return len(all) == 2 && strings.HasPrefix(all[1].Command, "sleep")
	})
	if all[0].RSS == 0 || all[1].Parent != all[0].PID || all[0].Now().Started != all[0].Started || !all[1].Alive() {
		t.Errorf("%+v", all)
	}
	said := run(t, func(f *fake) { Gone(f, time.Millisecond, all) }) // and it kills what is left
	if len(said) != 1 || !strings.Contains(said[0], "sleep 60") {
		t.Errorf("said %q", said)
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("ended with %v", cmd.ProcessState)
	}
	Gone(t, 5*time.Second, all)
	if all[0].Alive() || all[1].Alive() {
		t.Error("something is alive")
	}
}
