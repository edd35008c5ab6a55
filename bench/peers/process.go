package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tick is the kernel's unit of processor time in /proc (USER_HZ, 100 on every Linux that Go runs on).
const tick = 10 * time.Millisecond

// process is a child in a process group of its own.
type process struct {
	cmd    *exec.Cmd
	output string        // the file that it writes to
	gone   chan struct{} // closed when it has ended
}

// start runs a program with its output in a file.
func start(argv []string, output string) (*process, error) {
	f, err := os.Create(output)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = f, f
	cmd.SysProcAttr = ownGroup()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", argv[0], err)
	}
	p := &process{cmd: cmd, output: output, gone: make(chan struct{})}
	go func() {
		cmd.Wait() // how it ended is of no interest: we end it, or serves says that it is gone
		close(p.gone)
	}()
	return p, nil
}

// stop ends the process by TERM and, after five seconds, by KILL; what it leaves behind of its group is killed. It may be
// called again.
func (p *process) stop() {
	select {
	case <-p.gone:
		return
	default:
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.gone:
	case <-time.After(5 * time.Second):
	}
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.gone
}

// serves waits until a GET at the address is answered with 200.
func (p *process) serves(ctx context.Context, address string) error {
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	limit := time.After(10 * time.Second)
	var last error
	for {
		resp, err := client.Get("http://" + address + "/")
		if err == nil {
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			err = errors.New(resp.Status)
		}
		last = err
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		case <-p.gone:
			said, _ := os.ReadFile(p.output)
			return fmt.Errorf("%s ended at once: %s", filepath.Base(p.cmd.Path), bytes.TrimSpace(said))
		case <-limit:
			return fmt.Errorf("%s does not serve: %w", filepath.Base(p.cmd.Path), last)
		}
	}
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// raiseFiles lets this process, and what it starts, open as many files as ten thousand connections through a proxy need.
func raiseFiles() error {
	const need = 30000
	var now syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &now); err != nil {
		return fmt.Errorf("reading the limit on open files: %w", err)
	}
	want := now
	want.Max = max(now.Max, need)
	want.Cur = want.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &want); err == nil {
		return nil
	}
	now.Cur = now.Max
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &now)
}

// stat is the part of /proc/PID/stat that counts.
type stat struct {
	parent int
	cpu    time.Duration
	rss    int64 // bytes
}

func parseStat(text string) (stat, error) {
	end := strings.LastIndexByte(text, ')') // the name before it may hold anything
	fields := strings.Fields(text[end+1:])
	if end < 0 || len(fields) < 22 {
		return stat{}, fmt.Errorf("odd line %q", text)
	}
	var numbers [4]int64
	for i, at := range [4]int{1, 11, 12, 21} { // ppid, utime, stime, rss: fields 4, 14, 15 and 24 in proc(5)
		n, err := strconv.ParseInt(fields[at], 10, 64)
		if err != nil {
			return stat{}, err
		}
		numbers[i] = n
	}
	return stat{
		parent: int(numbers[0]),
		cpu:    time.Duration(numbers[1]+numbers[2]) * tick,
		rss:    numbers[3] * int64(os.Getpagesize()),
	}, nil
}

func readStat(pid int) (stat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	return parseStat(string(text))
}

// tree returns the process and all its descendants.
func (p *process) tree() ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if s, err := readStat(pid); err == nil { // one that is gone by now is not ours
			children[s.parent] = append(children[s.parent], pid)
		}
	}
	all := []int{p.cmd.Process.Pid}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all, nil
}

// usage sums processor time and resident memory over the process tree.
func (p *process) usage() (cpu time.Duration, rss int64, err error) {
	pids, err := p.tree()
	if err != nil {
		return 0, 0, err
	}
	for _, pid := range pids {
		s, err := readStat(pid)
		if err != nil {
			return 0, 0, err
		}
		// The kernel's counter in stat lags by a page batch for each core; the roll-up counts pages.
		exact, err := rollup(pid)
		if err != nil {
			return 0, 0, err
		}
		cpu, rss = cpu+s.cpu, rss+exact
	}
	return cpu, rss, nil
}

func rollup(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	_, after, _ := strings.Cut(string(text), "\nRss:")
	fields := strings.Fields(after)
	if len(fields) == 0 {
		return 0, fmt.Errorf("no Rss of process %d", pid)
	}
	kib, err := strconv.ParseInt(fields[0], 10, 64)
	return kib << 10, err
}

// watch samples the tree's resident memory until the function it returns is called, which gives the highest sum seen.
func (p *process) watch() (func() int64, error) {
	pids, err := p.tree()
	if err != nil {
		return nil, err
	}
	end, highest := make(chan struct{}), make(chan int64)
	go func() {
		var most int64
		for {
			var sum int64
			for _, pid := range pids {
				if s, err := readStat(pid); err == nil {
					sum += s.rss
				}
			}
			most = max(most, sum)
			select {
			case <-end:
				highest <- most
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	return func() int64 { close(end); return <-highest }, nil
}
