package probe

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/weirhq/weir/internal/loop"
)

const (
	maxOutput   = 4096                   // of a command; the rest is thrown away
	leftOutput  = 100 * time.Millisecond // for what is left in the pipe, when the command has ended and others hold it
	defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// command is a check's program with what it has to know in its environment, which is else a small and clean one.
func (t Target) command(to loop.Addr, argv []string) *exec.Cmd {
	host, port := to.Unix, ""
	if to.Unix == "" {
		host, port = to.IP.Addr().String(), strconv.Itoa(int(to.IP.Port()))
	}
	path := os.Getenv("PATH")
	if path == "" {
		path = defaultPath
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = []string{"PATH=" + path, "LANG=C.UTF-8", "WEIR_POOL=" + t.Pool, "WEIR_SERVER=" + t.Server, "WEIR_HOST=" + host, "WEIR_PORT=" + port}
	cmd.Dir = "/"
	return cmd
}

// checkCommand runs a command to its end or ctx's. Nothing of its process group is left behind.
func checkCommand(ctx context.Context, cmd *exec.Cmd) (string, error) {
	out := &head{}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.WaitDelay = leftOutput
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	kill := func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } //nolint:errcheck // there may be nobody left
	stop := context.AfterFunc(ctx, kill)
	err := cmd.Wait()
	stop()
	kill()
	said := out.line()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return said, ctx.Err()
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		if said == "" {
			said = "exit status 0"
		}
		return said, nil
	case errors.As(err, &exit) && said != "":
		return said, errors.New(exit.Error() + ": " + said)
	}
	return said, err
}

// head keeps the beginning of what is written.
type head struct{ b []byte }

func (h *head) Write(p []byte) (int, error) {
	h.b = append(h.b, p[:min(len(p), maxOutput-len(h.b))]...)
	return len(p), nil
}

// line is its first line that says something.
func (h *head) line() string {
	for l := range strings.Lines(string(h.b)) {
		if l = strings.TrimSpace(l); l != "" {
			return l
		}
	}
	return ""
}
