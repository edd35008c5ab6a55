package app

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"github.com/weirhq/weir/internal/config"
)

// SavedProcess is a worker's process, for the program that takes this one's place: its parent.
type SavedProcess struct {
	Worker  string            `json:"worker"`
	App     int               `json:"app"`
	Address string            `json:"address"`
	PID     int               `json:"pid"`
	Pipe    int               `json:"pipe"` // descriptor that its output is read from
	Port    int               `json:"port,omitempty"`
	Socket  string            `json:"socket,omitempty"`
	Own     map[string]string `json:"own"`
	Name    string            `json:"name,omitempty"` // whom it runs as
	Home    string            `json:"home,omitempty"`
	User    *SavedUser        `json:"user,omitempty"`
	Who     string            `json:"who"`
	Part    []byte            `json:"part,omitempty"` // of a line that it has begun to print
	Lines   []string          `json:"lines,omitempty"`
}

// SavedUser is a user that is not weir's own.
type SavedUser struct {
	UID    uint32   `json:"uid"`
	GID    uint32   `json:"gid"`
	Groups []uint32 `json:"groups,omitempty"`
}

// Save returns what another program has to know of the process. Only while Starter.Still holds.
func (p *Process) Save(number func(*config.App) int) SavedProcess {
	s := SavedProcess{
		Worker: p.Worker, App: number(p.app), Address: p.Address, PID: p.PID(), Pipe: p.pipe, Port: p.port, Socket: p.socket, Own: p.own,
		Name: p.id.name, Home: p.id.home, Who: p.out.who, Part: p.out.part, Lines: p.out.lines(),
	}
	if c := p.id.credential; c != nil {
		s.User = &SavedUser{c.Uid, c.Gid, c.Groups}
	}
	return s
}

// Adopt goes on with a process that the program started whose place this one has taken. It may have ended.
func Adopt(s *Starter, sink *Sink, runDir string, o SavedProcess, a *config.App, pipe *os.File) (*Process, error) {
	cmd, err := s.Child(o.PID)
	if err != nil {
		return nil, err
	}
	p := &Process{
		Worker: o.Worker, Address: o.Address, app: a, runDir: runDir, id: identity{name: o.Name, home: o.Home}, own: o.Own, cmd: cmd, pipe: descriptor(pipe), port: o.Port, socket: o.Socket,
		ended: make(chan struct{}), done: make(chan struct{}),
	}
	if u := o.User; u != nil {
		p.id.credential = &syscall.Credential{Uid: u.UID, Gid: u.GID, Groups: u.Groups}
	}
	p.out = &output{who: o.Who, sink: sink, gate: &s.reads, part: o.Part, app: a}
	for _, line := range o.Lines {
		p.out.last = append(p.out.last, []byte(line))
	}
	keepPort(p.port)
	go p.wait(s, pipe)
	return p, nil
}

// Child is a process that the program started whose place this one has taken; Wait has to be called.
func (s *Starter) Child(pid int) (*exec.Cmd, error) {
	if stat, err := statOf(pid); err != nil || stat.parent != os.Getpid() {
		return nil, fmt.Errorf("process %d is no child of this one: %w", pid, errors.Join(err, syscall.ECHILD))
	}
	process, err := os.FindProcess(pid)
	if err != nil {
		return nil, fmt.Errorf("finding process %d: %w", pid, err)
	}
	if err := s.on(func() { s.own[pid] = true }); err != nil {
		return nil, err
	}
	return &exec.Cmd{Process: process}, nil
}

// SavedSocket is a listening socket that was handed to a worker.
type SavedSocket struct {
	Worker string `json:"worker"`
	App    string `json:"app"`
	Path   string `json:"path"`
	File   int    `json:"file"` // descriptor
}

// Sockets returns those that were handed to workers.
func (s *Starter) Sockets() (all []SavedSocket) {
	s.sockets.mu.Lock()
	defer s.sockets.mu.Unlock()
	for worker, h := range s.sockets.held {
		all = append(all, SavedSocket{worker, h.app, h.path, descriptor(h.file)})
	}
	return all
}

// Hold takes one over.
func (s *Starter) Hold(o SavedSocket, file *os.File) {
	s.sockets.mu.Lock()
	defer s.sockets.mu.Unlock()
	s.sockets.held[o.Worker] = handed{app: o.App, path: o.Path, file: file}
}
