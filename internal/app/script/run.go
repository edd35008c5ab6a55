package script

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/weirhq/weir/internal/scgi"
)

// lastOutput is how long a pipe may stay silent once the program and its group are gone: one that has left the group may hold it
// open for ever.
const lastOutput = 200 * time.Millisecond

// program is what one request runs.
type program struct {
	path, dir  string
	argv       []string
	name, info string // SCRIPT_NAME and PATH_INFO
}

// run runs the program of a request, with its body as input and its output as the answer.
func (s *server) run(c net.Conn, headers []scgi.Header, body []byte, length int64) error {
	p, ok := s.find(value(headers, "PATH_INFO"))
	if !ok {
		_, err := io.WriteString(c, "Status: 404 Not Found\r\nContent-Type: text/plain\r\n\r\nThere is no such program.\n")
		hangUp(c)
		_, _ = io.Copy(io.Discard, c) // a body that nobody wants
		return err
	}
	ctx, cancel := context.WithTimeoutCause(s.ctx, s.opt.Within, errLate)
	defer cancel()
	in, stdin, err := os.Pipe()
	if err != nil {
		return err
	}
	stdout, out, err := os.Pipe()
	if err != nil {
		return errors.Join(err, in.Close(), stdin.Close())
	}
	cmd := &exec.Cmd{Path: p.path, Args: p.argv, Dir: p.dir, Env: s.variables(headers, p), Stdin: in, Stdout: out, Stderr: os.Stderr,
		SysProcAttr: attributes()}
	err = s.starter.Start(cmd)
	in.Close()  //nolint:errcheck // the program has its own
	out.Close() //nolint:errcheck // likewise
	if err != nil {
		stdin.Close()  //nolint:errcheck // nothing was written
		stdout.Close() //nolint:errcheck // nothing was read
		return err
	}
	ended := make(chan struct{})
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		feed(stdin, c, body, length)
		cancel() // the edge has hung up, or the answer is out
	}()
	go func() {
		defer close(ended)
		s.wait(ctx, cmd, p)
	}()
	err = pass(c, stdout, ended)
	stdout.Close() //nolint:errcheck // only read
	if err != nil {
		cancel() // nobody takes the answer any more
	}
	<-ended
	hangUp(c)
	<-fed
	return nil
}

// lastInput is how long the other side may take to see that the answer has ended.
const lastInput = 2 * time.Second

// hangUp ends the answer, and soon the reading too. Closing at once would do both, but a socket that is closed with something unread in it
// resets the connection, and the other side could not tell the end of the answer from a broken one.
func hangUp(c net.Conn) {
	if h, ok := c.(interface{ CloseWrite() error }); ok {
		_ = h.CloseWrite() // the other side may have gone
	}
	_ = c.SetReadDeadline(time.Now().Add(lastInput)) // likewise
}

var errLate = errors.New("it took too long")

// wait sees the program through to its end, and kills it with its group when its time is over. When it returns, the group is gone.
func (s *server) wait(ctx context.Context, cmd *exec.Cmd, p program) {
	pid := cmd.Process.Pid
	over := make(chan struct{})
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		select {
		case <-ctx.Done():
			kill(pid)
		case <-over:
		}
	}()
	err := s.starter.Wait(cmd)
	close(over)
	<-killed
	kill(pid) // what it has left behind
	switch {
	case errors.Is(context.Cause(ctx), errLate):
		s.opt.Log.Warn("a program was killed: it took too long", "program", p.path, "after", s.opt.Within)
	case ctx.Err() != nil: // nobody waits for it
	case err != nil:
		s.opt.Log.Warn("a program ended badly", "program", p.path, "error", err)
	}
}

// kill ends a process group. One that is gone is no error.
func kill(pid int) {
	_ = syscall.Kill(-pid, syscall.SIGKILL)
}

// feed writes a request's body to the program and closes its input; then it reads until the other side hangs up.
func feed(stdin *os.File, c net.Conn, body []byte, length int64) {
	rest := io.LimitReader(c, length-min(length, int64(len(body))))
	_, err := stdin.Write(body[:min(length, int64(len(body)))])
	if err == nil {
		_, _ = io.Copy(stdin, rest) // a program need not read its input
	}
	stdin.Close() //nolint:errcheck // likewise
	// What the program did not want, then nothing until the end. An end within the body ends the program too.
	_, _ = io.Copy(io.Discard, c)
}

// pass copies the program's output. Once the program has ended, only what is still in the pipe is waited for.
func pass(c net.Conn, stdout *os.File, ended <-chan struct{}) error {
	over := make(chan struct{})
	defer close(over)
	go func() {
		select {
		case <-ended:
			_ = stdout.SetReadDeadline(time.Now().Add(lastOutput)) // it may be closed already
		case <-over:
		}
	}()
	buf := make([]byte, 32<<10)
	for {
		select {
		case <-ended:
			if err := stdout.SetReadDeadline(time.Now().Add(lastOutput)); err != nil {
				return err
			}
		default:
		}
		n, err := stdout.Read(buf)
		if n > 0 {
			if _, err := c.Write(buf[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return nil // its end, or silence after it
		}
	}
}

// find finds the program of a path: the one there is, or the first segment that is an executable file below the root.
func (s *server) find(path string) (program, bool) {
	if s.root == nil {
		name, err := exec.LookPath(s.opt.Argv[0])
		return program{path: name, argv: s.opt.Argv, info: path}, err == nil
	}
	for i := 0; i < len(path); {
		end := len(path)
		if k := strings.IndexByte(path[i+1:], '/'); k >= 0 {
			end = i + 1 + k
		}
		segment := path[i+1 : end]
		if segment == "" || segment[0] == '.' || strings.IndexByte(segment, 0) >= 0 {
			return program{}, false
		}
		info, err := s.root.Stat(path[1:end])
		switch {
		case err != nil:
			return program{}, false
		case info.Mode().IsRegular() && info.Mode()&0o111 != 0:
			full := filepath.Join(s.opt.Root, path[1:end])
			return program{path: full, dir: filepath.Dir(full), argv: []string{full}, name: path[:end], info: path[end:]}, true
		case !info.IsDir():
			return program{}, false
		}
		i = end
	}
	return program{}, false
}

// variables is the environment of a program. Only names that CGI knows are taken from the request: whoever can reach the socket
// could else load a library of his own into the program.
func (s *server) variables(headers []scgi.Header, p program) []string {
	env := append([]string(nil), s.env...)
	for _, h := range headers {
		if n := string(h.Name); known[n] || strings.HasPrefix(n, "HTTP_") && n != "HTTP_PROXY" {
			env = append(env, n+"="+string(h.Value))
		}
	}
	env = append(env, "SCRIPT_NAME="+p.name, "PATH_INFO="+p.info, "SCRIPT_FILENAME="+p.path, "REDIRECT_STATUS=200")
	if s.opt.Root != "" {
		env = append(env, "DOCUMENT_ROOT="+s.opt.Root)
		if p.info != "" {
			env = append(env, "PATH_TRANSLATED="+s.opt.Root+p.info)
		}
	}
	return env
}

var known = func() map[string]bool {
	m := map[string]bool{}
	for _, n := range []string{"CONTENT_LENGTH", "CONTENT_TYPE", "REQUEST_METHOD", "QUERY_STRING", "REQUEST_URI", "SERVER_PROTOCOL", "REQUEST_SCHEME", "HTTPS",
		"GATEWAY_INTERFACE", "SERVER_SOFTWARE", "SERVER_NAME", "SERVER_PORT", "REMOTE_ADDR", "REMOTE_PORT"} {
		m[n] = true
	}
	return m
}()

// environment is what of the worker's own environment a program gets.
func environment(own []string) (env []string) {
	for _, e := range own {
		name, _, _ := strings.Cut(e, "=")
		switch {
		case name == "PORT", name == "SOCKET", name == "WORKER", strings.HasPrefix(name, "WEIR_"), known[name], strings.HasPrefix(name, "HTTP_"):
		default:
			env = append(env, e)
		}
	}
	return env
}

func value(headers []scgi.Header, name string) string {
	for _, h := range headers {
		if string(h.Name) == name {
			return string(h.Value)
		}
	}
	return ""
}
