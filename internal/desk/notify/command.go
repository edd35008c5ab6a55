package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/weirhq/weir/internal/desk/alert"
)

// command runs a program for each message: no shell, the message as JSON on its standard input, and a little of it in its environment.
type command struct{ argv []string }

// saidSize is how much of a command's output is kept, for people.
const saidSize = 4 << 10

// head keeps the first bytes that are written to it. It embeds no buffer: io.Copy would find its ReadFrom, and keep all.
type head struct{ kept []byte }

func (h *head) Write(p []byte) (int, error) {
	h.kept = append(h.kept, p[:min(len(p), saidSize-len(h.kept))]...)
	return len(p), nil
}

func (c *command) send(ctx context.Context, m *alert.Message) error {
	body, err := json.Marshal(payload(m))
	if err != nil {
		return never{fmt.Errorf("writing the message: %w", err)}
	}
	var said head
	cmd := exec.CommandContext(ctx, c.argv[0], c.argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(body), &said, &said
	cmd.Env = append(small(), "WEIR_TARGET="+m.Target, "WEIR_NODE="+m.Node, "WEIR_ID="+m.ID, "WEIR_TITLE="+strings.Map(noControl, m.Title()), "WEIR_STATE="+state(m), "WEIR_SEVERITY="+severity(m))
	// A group of its own, so that what it has started ends with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	kill := func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Cancel = kill
	cmd.WaitDelay = 100 * time.Millisecond
	err = cmd.Run()
	if cmd.Process != nil {
		kill() //nolint:errcheck // there may be nobody left
	}
	words := strings.TrimSpace(string(said.kept))
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay) && ctx.Err() == nil:
		return nil
	case ctx.Err() != nil:
		return errors.New("the command took too long and was killed")
	case cmd.Process == nil:
		return fmt.Errorf("the command cannot be run: %w", err)
	case words != "":
		return fmt.Errorf("the command failed: %w: %s", err, words)
	}
	return fmt.Errorf("the command failed: %w", err)
}

// small is an environment without what weir's own may have in it, such as passwords.
func small() (env []string) {
	for _, name := range []string{"PATH", "HOME", "LANG", "TZ", "USER", "LOGNAME"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

func noControl(r rune) rune {
	if r < ' ' || r == 0x7f {
		return ' '
	}
	return r
}

func state(m *alert.Message) string {
	if m.Test != "" || len(m.Items) == 0 {
		return "test"
	}
	return string(m.Items[0].State)
}

func severity(m *alert.Message) string {
	if len(m.Items) == 0 {
		return "info"
	}
	return string(m.Items[0].Severity)
}
