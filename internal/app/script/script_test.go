package script

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weirhq/weir/internal/scgi"
	"github.com/weirhq/weir/internal/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve runs a server on a socket of its own, with programs by their names.
func serve(t *testing.T, opt Options, programs map[string]string) (address, dir string) {
	t.Helper()
	testkit.Leaks(t)
	dir = t.TempDir()
	for name, text := range programs {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if opt.Argv == nil {
		opt.Root = dir
	}
	if opt.AtOnce == 0 {
		opt.AtOnce = 4
	}
	if opt.Within == 0 {
		opt.Within = time.Minute
	}
	opt.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	address = filepath.Join(dir, "s")
	ln, err := net.Listen("unix", address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- Serve(ctx, ln, opt) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return address, dir
}

// packet is a request of SCGI without its body.
func packet(t *testing.T, length int, headers ...string) string {
	t.Helper()
	dst, _ := scgi.Append(nil, []byte("CONTENT_LENGTH"), fmt.Append(nil, length))
	dst, _ = scgi.Append(dst, []byte("SCGI"), []byte("1"))
	for _, h := range headers {
		name, value, _ := strings.Cut(h, "=")
		var ok bool
		if dst, ok = scgi.Append(dst, []byte(name), []byte(value)); !ok {
			t.Fatal(h)
		}
	}
	return string(scgi.End(dst, 0))
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("unix", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(testkit.Patience)); err != nil {
		t.Fatal(err)
	}
	return c
}

// ask sends a request and returns all of the answer.
func ask(t *testing.T, address, body string, headers ...string) string {
	t.Helper()
	c := dial(t, address)
	defer c.Close()
	go io.WriteString(c, packet(t, len(body), headers...)+body) //nolint:errcheck // a program need not read its input
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestPrograms(t *testing.T) {
	address, dir := serve(t, Options{}, map[string]string{
		"a.sh":        `echo "a $SCRIPT_NAME $PATH_INFO $PATH_TRANSLATED $PWD"`,
		"sub/b.sh":    `echo "b $SCRIPT_NAME $PATH_INFO"`,
		".hidden/c":   `echo hidden`,
		"count.sh":    `wc -c`,
		"deaf.sh":     `echo deaf`,
		"fail.sh":     `exit 7`,
		"left.sh":     "echo left\nsleep 1000 &",
		"daemon.sh":   "echo daemon\nsetsid sleep 0.5 &",
		"long.sh":     `head -c 1000000 /dev/zero`,
		"not-a-shell": "",
	})
	if err := os.WriteFile(filepath.Join(dir, "text"), []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/bin/echo", filepath.Join(dir, "outside")); err != nil {
		t.Fatal(err)
	}
	const missing = "Status: 404 Not Found\r\nContent-Type: text/plain\r\n\r\nThere is no such program.\n"
	for path, want := range map[string]string{
		"/a.sh":           "a /a.sh   " + dir + "\n",
		"/a.sh/x y/z":     "a /a.sh /x y/z " + dir + "/x y/z " + dir + "\n",
		"/sub/b.sh/c":     "b /sub/b.sh /c\n",
		"/":               missing,
		"":                missing,
		"/sub":            missing,
		"/sub/":           missing,
		"/text":           missing,
		"/text/a.sh":      missing,
		"/none":           missing,
		"/outside":        missing,
		"/.hidden/c":      missing,
		"/../a.sh":        missing,
		"/sub/../a.sh":    missing,
		"/sub//b.sh":      missing,
		"/fail.sh":        "",
		"/left.sh":        "left\n",
		"/daemon.sh":      "daemon\n",
		"/deaf.sh":        "deaf\n",
		"/long.sh":        strings.Repeat("\x00", 1000000),
		"/count.sh":       "0\n",
		"/not-a-shell/x/": "",
	} {
		if got := ask(t, address, "", "PATH_INFO="+path); got != want {
			t.Errorf("%s: got %.100q, want %.100q", path, got, want)
		}
	}
	for _, n := range []int{1, 10_000, 3_000_000} {
		if got, want := ask(t, address, strings.Repeat("x", n), "PATH_INFO=/count.sh"), fmt.Sprintln(n); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if got := ask(t, address, strings.Repeat("x", n), "PATH_INFO=/deaf.sh"); got != "deaf\n" {
			t.Errorf("got %q", got)
		}
	}
}

// Whoever reaches the socket can say nothing to a program but what CGI says.
func TestVariables(t *testing.T) {
	t.Setenv("WEIR_WORKER", "x")
	t.Setenv("SOCKET", "x")
	t.Setenv("HTTP_LEFT", "x")
	t.Setenv("OWN", "own")
	address, _ := serve(t, Options{Argv: []string{"env"}}, nil)
	got := "\n" + ask(t, address, "", "PATH_INFO=/p", "HTTP_A=b", "HTTP_PROXY=evil", "LD_PRELOAD=/evil.so", "PATH=/evil", "BASH_FUNC_x%%=() { evil; }", "REMOTE_USER=root", "REQUEST_METHOD=GET")
	for _, want := range []string{"OWN=own", "HTTP_A=b", "PATH_INFO=/p", "REQUEST_METHOD=GET", "CONTENT_LENGTH=0", "SCRIPT_NAME="} {
		if !strings.Contains(got, "\n"+want+"\n") {
			t.Errorf("no %s in %s", want, got)
		}
	}
	for _, no := range []string{"evil", "WEIR_", "SOCKET", "HTTP_LEFT", "REMOTE_USER", "SCGI"} {
		if strings.Contains(got, no) {
			t.Errorf("%s in %s", no, got)
		}
	}
}

// A program that takes too long is killed with all that it has started.
func TestWithin(t *testing.T) {
	address, dir := serve(t, Options{Within: 200 * time.Millisecond}, map[string]string{"slow.sh": "sleep 1000 &\necho $! >pids\necho $$ >>pids\nwait"})
	if got := ask(t, address, "", "PATH_INFO=/slow.sh"); got != "" {
		t.Errorf("got %q", got)
	}
	gone(t, filepath.Join(dir, "pids"))
}

// The program of a client that has left is killed, whether it was still being told or already working.
func TestHangup(t *testing.T) {
	address, dir := serve(t, Options{}, map[string]string{"slow.sh": "echo $$ >pids\ncat >/dev/null\nexec sleep 1000"})
	for _, body := range []string{"", "all of it", "a part"} {
		os.Remove(filepath.Join(dir, "pids"))
		c := dial(t, address)
		length := len(body)
		if body == "a part" {
			length += 100_000
		}
		io.WriteString(c, packet(t, length, "PATH_INFO=/slow.sh")+body)
		testkit.Eventually(t, testkit.Patience, "the program runs", func() bool {
			b, err := os.ReadFile(filepath.Join(dir, "pids"))
			return err == nil && strings.HasSuffix(string(b), "\n")
		})
		c.Close()
		gone(t, filepath.Join(dir, "pids"))
	}
}

func gone(t *testing.T, file string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range strings.Fields(string(b)) {
		testkit.Eventually(t, testkit.Patience, "process "+pid+" is gone", func() bool {
			_, err := os.Stat("/proc/" + pid)
			return err != nil
		})
	}
}

// No more programs run at a time than are allowed; the others wait.
func TestAtOnce(t *testing.T) {
	address, dir := serve(t, Options{AtOnce: 2}, map[string]string{"one.sh": "mkdir here.$$\nls -d here.* | wc -l >>counts\nsleep 0.05\nrmdir here.$$\necho ok"})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if got := ask(t, address, "", "PATH_INFO=/one.sh"); got != "ok\n" {
				t.Errorf("got %q", got)
			}
		})
	}
	all.Wait()
	b, err := os.ReadFile(filepath.Join(dir, "counts"))
	if err != nil {
		t.Fatal(err)
	}
	counts := strings.Fields(string(b))
	if len(counts) != 8 {
		t.Errorf("%d programs ran", len(counts))
	}
	for _, n := range counts {
		if n != "1" && n != "2" {
			t.Errorf("%s programs at a time", n)
		}
	}
}

// What is no request ends the connection and nothing else.
func TestNoRequest(t *testing.T) {
	address, _ := serve(t, Options{}, map[string]string{"a.sh": "echo a"})
	for _, text := range []string{"GET / HTTP/1.1\r\n\r\n", "5:hello,", "99999999:", packet(t, -1, "PATH_INFO=/a.sh"), ""} {
		c := dial(t, address)
		io.WriteString(c, text)
		c.(*net.UnixConn).CloseWrite()
		if b, err := io.ReadAll(c); len(b) > 0 || err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%q: got %q, %v", text, b, err)
		}
	}
	if got := ask(t, address, "", "PATH_INFO=/a.sh"); got != "a\n" {
		t.Errorf("got %q", got)
	}
}
