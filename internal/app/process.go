package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/weirhq/weir/internal/config"
)

// lastOutput is how long output is waited for once the process group is gone: a process that left the group may hold
// the pipe open for ever.
const lastOutput = 200 * time.Millisecond

// Process is the process group of one worker. Any goroutine may use it.
type Process struct {
	Worker  string // "web/1.3"
	Address string // where it is to answer: "127.0.0.1:4001" or "unix:/…"

	app    *config.App
	runDir string
	id     identity
	own    map[string]string // $WORKER and the like
	gone   error             // what after_stop came to; once done
	cmd    *exec.Cmd
	out    *output
	pipe   int // the descriptor that out is read from
	port   int
	socket string
	ended  chan struct{} // the leader
	done   chan struct{}
	how    string // once done
}

// Launch starts the process of a worker and captures its output. Done tells of its end. It may wait for the disk.
func Launch(s *Starter, sink *Sink, runDir string, worker Spawn) (*Process, error) {
	a := worker.App
	id, err := lookup(a.User)
	if err != nil {
		return nil, err
	}
	// A directory on a disk that hangs is to hang here and not within fork, where it would hold up every other start.
	if err := checkDirectory(a.Directory); err != nil {
		return nil, err
	}
	p := &Process{id: id, Worker: worker.Worker, app: a, runDir: runDir, ended: make(chan struct{}), done: make(chan struct{})}
	p.out = &output{who: a.Name + "/" + strconv.Itoa(worker.Place), sink: sink, gate: &s.reads, app: a}
	p.own = map[string]string{"WORKER": strconv.Itoa(worker.Place), workerVariable: worker.Worker, runDirVariable: runDir}
	var socket *os.File
	if a.Handed {
		h, err := s.sockets.take(worker, runDir, id)
		if err != nil {
			return nil, err
		}
		socket, p.own["SOCKET"], p.Address = h.file, h.path, "unix:"+h.path
	} else if a.Socket {
		if p.socket, err = makeSocket(runDir, a, worker.Place, worker.Gen, id); err != nil {
			return nil, err
		}
		p.own["SOCKET"], p.Address = p.socket, "unix:"+p.socket
	} else {
		if p.port, err = takePort(); err != nil {
			return nil, err
		}
		p.own["PORT"] = strconv.Itoa(p.port)
		p.Address = "127.0.0.1:" + p.own["PORT"]
	}
	err = p.hook(s, "before_start", a.Hooks.BeforeStart)
	if err == nil {
		err = p.start(s, socket)
	}
	if err != nil {
		p.release()
		return nil, err
	}
	return p, nil
}

// start starts the command, with the socket that is handed to it as descriptor 3, if any.
func (p *Process) start(s *Starter, socket *os.File) error {
	env := environ(p.app, p.id, p.own)
	path, err := findCommand(p.app, env)
	if err != nil {
		return err
	}
	argv := make([]string, len(p.app.Argv))
	for i, word := range p.app.Argv {
		argv[i] = substitute(word, p.own)
	}
	if n := p.app.Nofile; n > 0 {
		// The shell sets the limit between fork and the command, so that the command never sees another one.
		argv = append([]string{"/bin/sh", "-c", `ulimit -n "$0" && exec "$@"`, strconv.FormatUint(n, 10), path}, argv[1:]...)
		path = "/bin/sh"
	}
	var files []*os.File
	if socket != nil {
		// As sd_listen_fds(3) has it. Only the shell knows the number of the process, which the command takes over.
		files = []*os.File{socket}
		env["LISTEN_FDS"], env["LISTEN_FDNAMES"] = "1", "weir"
		argv = append([]string{"/bin/sh", "-c", `LISTEN_PID=$$; export LISTEN_PID; exec "$0" "$@"`, path}, argv[1:]...)
		path = "/bin/sh"
	}
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("capturing its output: %w", err)
	}
	p.cmd = &exec.Cmd{Path: path, Args: argv, Env: list(env), Dir: p.app.Directory, Stdout: w, Stderr: w, ExtraFiles: files, SysProcAttr: attributes(p.id.credential, s.Guarded.Load())}
	err = s.Start(p.cmd)
	w.Close() //nolint:errcheck // the child has its own
	if err != nil {
		r.Close() //nolint:errcheck // nothing was read
		return fmt.Errorf("cannot be started: %w", plain(err, p.app))
	}
	p.pipe = descriptor(r)
	go p.wait(s, r)
	return nil
}

// descriptor is a file's descriptor. Fd would make reading it wait in the kernel.
func descriptor(f *os.File) (n int) {
	if raw, err := f.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { n = int(fd) }) //nolint:errcheck // f is open
	}
	return n
}

// plain says what the kernel means by its refusal to run a program that is there and executable, without "fork/exec".
func plain(err error, a *config.App) error {
	var pe *fs.PathError
	if !errors.As(err, &pe) {
		return err
	}
	switch {
	case errors.Is(pe.Err, syscall.ENOEXEC):
		return fmt.Errorf("%s is no program for this machine, nor a script with #! in its first line", pe.Path)
	case errors.Is(pe.Err, syscall.ENOENT):
		if err := checkDirectory(a.Directory); err != nil {
			return err
		}
		return fmt.Errorf("%s names a program in its #! line, or a loader, that is not there", pe.Path)
	case errors.Is(pe.Err, syscall.EACCES) && a.User != "":
		return fmt.Errorf("%s: %w: user %s has to be allowed to run it, and to enter %s", pe.Path, pe.Err, a.User, a.Directory)
	case errors.Is(pe.Err, syscall.EMFILE), errors.Is(pe.Err, syscall.ENFILE):
		return fmt.Errorf("%s: %w: raise the limit that weir runs with (LimitNOFILE= in its systemd unit, or ulimit -n)", pe.Path, pe.Err)
	}
	return fmt.Errorf("%s: %w", pe.Path, pe.Err)
}

// wait sees the process through to its end: the leader's, then its group's, then its output's. From the first on it holds
// Starter.Still off.
func (p *Process) wait(s *Starter, r *os.File) {
	read := make(chan struct{})
	go func() { p.out.read(r); close(read) }()
	s.Await(p.cmd)
	err := s.Wait(p.cmd)
	close(p.ended)
	p.how = "exit status 0"
	if err != nil {
		p.how = err.Error()
	}
	p.group(syscall.SIGKILL) // whatever the leader has left behind
	s.Sweep(p.Worker)
	if err := r.SetReadDeadline(time.Now().Add(lastOutput)); err != nil {
		r.Close() //nolint:errcheck // only read; it ends the reader as a deadline would
	}
	<-read
	r.Close() //nolint:errcheck // only read
	p.release()
	p.gone = p.hook(s, "after_stop", p.app.Hooks.AfterStop)
	close(p.done)
}

func (p *Process) release() {
	if p.port != 0 {
		givePort(p.port)
	}
	if p.socket != "" {
		os.Remove(p.socket) //nolint:errcheck // most programs have removed it themselves
	}
}

// PID is the leader's.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Ward is what a guard has to know of it.
func (p *Process) Ward() Ward {
	return Ward{Name: p.out.who, PID: p.PID(), Output: p.pipe, Signal: p.app.Stop.Signal, Within: p.app.Stop.Within.Milliseconds()}
}

// Done is closed when the leader, its process group and its output have ended. Whoever takes note of it says so by Starter.Leave.
func (p *Process) Done() <-chan struct{} { return p.done }

// Exit says how it ended ("exit status 1", "signal: killed") and its last line of output. Only after Done.
func (p *Process) Exit() (how, words string) { return p.how, p.out.words() }

// Afterwards is what the hook after_stop came to. Only after Done.
func (p *Process) Afterwards() error { return p.gone }

// Lines returns the last lines of output, oldest first.
func (p *Process) Lines() []string { return p.out.lines() }

// Signal sends a signal by its name ("TERM") to the whole process group. A group that is gone is no error.
func (p *Process) Signal(name string) error {
	sig, ok := signals[strings.TrimPrefix(name, "SIG")]
	if !ok {
		return fmt.Errorf("there is no signal %q", name)
	}
	select {
	case <-p.ended:
		return nil // its number may be another's by now; what is left of its group is being killed
	default:
	}
	if err := p.group(sig); err != nil {
		return fmt.Errorf("sending SIG%s to %s: %w", name, p.Worker, err)
	}
	return nil
}

func (p *Process) group(sig syscall.Signal) error {
	if err := syscall.Kill(-p.cmd.Process.Pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

var signals = map[string]syscall.Signal{
	"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "QUIT": syscall.SIGQUIT, "HUP": syscall.SIGHUP, "KILL": syscall.SIGKILL,
	"USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2, "WINCH": syscall.SIGWINCH, "ABRT": syscall.SIGABRT,
}
