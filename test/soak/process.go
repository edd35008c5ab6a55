package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// process is a child in a process group of its own.
type process struct {
	cmd  *exec.Cmd
	gone chan struct{} // closed when it has ended
}

// launch starts a program. What it says goes to out.
func launch(out *os.File, env []string, argv ...string) (*process, error) {
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return begin(cmd)
}

func begin(cmd *exec.Cmd) (*process, error) {
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", cmd.Path, err)
	}
	p := &process{cmd: cmd, gone: make(chan struct{})}
	go func() {
		cmd.Wait() // how it ended is of no interest
		close(p.gone)
	}()
	return p, nil
}

func (p *process) alive() bool {
	select {
	case <-p.gone:
		return false
	default:
		return true
	}
}

// signal is for the whole group.
func (p *process) signal(s syscall.Signal) {
	if p.alive() {
		syscall.Kill(-p.cmd.Process.Pid, s) // it may end in this moment
	}
}

// end stops the process by TERM, and by KILL when it takes too long.
func (p *process) end(within time.Duration) {
	p.signal(syscall.SIGTERM)
	select {
	case <-p.gone:
	case <-time.After(within):
		p.signal(syscall.SIGKILL)
		<-p.gone
	}
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // what is left of its group
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func dialer(network, address string) func(ctx context.Context, _, _ string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, address)
	}
}
