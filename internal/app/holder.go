package app

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Who listens on a port. All of it is read from /proc, and where that does not say (another system, another user's
// process, a container's) nobody is found.

// Holder is a process that listens on a port.
type Holder struct {
	PID  int
	Name string
}

func (h Holder) String() string { return fmt.Sprintf("%s (process %d)", h.Name, h.PID) }

// Holders finds the processes that listen on a TCP port of this machine. It looks at every process: not for often.
func Holders(port int) []Holder {
	inodes := listening(port)
	if len(inodes) == 0 {
		return nil
	}
	var all []Holder
	for _, pid := range processes() {
		if !hasSocket(pid, inodes) {
			continue
		}
		if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err == nil { // it may have ended meanwhile
			all = append(all, Holder{pid, strings.TrimSpace(string(name))})
		}
	}
	return all
}

// listening returns the sockets that listen on a port, as /proc/PID/fd names them.
func listening(port int) map[string]bool {
	inodes := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(table)
		if err != nil {
			continue
		}
		for in := bufio.NewScanner(f); in.Scan(); {
			if inode, ok := listener(in.Text(), port); ok {
				inodes["socket:["+inode+"]"] = true
			}
		}
		f.Close() //nolint:errcheck // only read
	}
	return inodes
}

// listener returns the inode of a line of /proc/net/tcp, if it is a socket that listens on the port.
func listener(line string, port int) (inode string, ok bool) {
	const listen = "0A"
	// sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode …
	w := strings.Fields(line)
	if len(w) < 10 || w[3] != listen {
		return "", false
	}
	_, text, _ := strings.Cut(w[1], ":")
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != 2 || int(b[0])<<8|int(b[1]) != port {
		return "", false
	}
	_, err = strconv.ParseUint(w[9], 10, 64)
	return w[9], err == nil
}

func hasSocket(pid int, inodes map[string]bool) bool {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	d, err := os.Open(dir)
	if err != nil {
		return false // ended, or not ours to look at
	}
	defer d.Close() //nolint:errcheck // only read
	names, err := d.Readdirnames(-1)
	if err != nil {
		return false
	}
	for _, name := range names {
		if target, err := os.Readlink(dir + "/" + name); err == nil && inodes[target] {
			return true
		}
	}
	return false
}

// stat is what of /proc/PID/stat is of interest.
type stat struct {
	state   byte
	parent  int
	session int
	start   uint64 // ticks since the system's start
}

func statOf(pid int) (stat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	return parseStat(text)
}

var errStat = errors.New("/proc/PID/stat is not as proc(5) says")

func parseStat(text []byte) (stat, error) {
	// pid (name, which may hold anything) state ppid pgrp session … and the start is the 22nd
	i := bytes.LastIndexByte(text, ')')
	if i < 0 {
		return stat{}, errStat
	}
	w := strings.Fields(string(text[i+1:]))
	if len(w) < 20 || len(w[0]) != 1 {
		return stat{}, errStat
	}
	s := stat{state: w[0][0]}
	var err1, err2, err3 error
	s.parent, err1 = strconv.Atoi(w[1])
	s.session, err2 = strconv.Atoi(w[3])
	s.start, err3 = strconv.ParseUint(w[19], 10, 64)
	return s, errors.Join(err1, err2, err3)
}

func processes() []int {
	d, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer d.Close() //nolint:errcheck // only read
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil
	}
	var all []int
	for _, n := range names {
		if pid, err := strconv.Atoi(n); err == nil {
			all = append(all, pid)
		}
	}
	return all
}

// variableOf returns a variable of the environment that a process was started with, "" if it has none.
func variableOf(pid int, name string) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return "" // ended, or not ours to look at
	}
	for entry := range bytes.SplitSeq(text, []byte{0}) {
		if k, v, ok := bytes.Cut(entry, []byte{'='}); ok && string(k) == name {
			return string(v)
		}
	}
	return ""
}

// answers makes sure that it was this very process that answered on its address: it lives, and its port is not held by
// a stranger, who took it before the worker could. The socket of an app without a port is in a directory of its own.
func (p *Process) answers() error {
	select {
	case <-p.ended:
		return errEnded
	default:
	}
	leader, err := statOf(p.PID())
	if err == nil && (leader.state == 'Z' || leader.state == 'X') {
		return errEnded
	}
	if p.port == 0 || err != nil {
		return nil
	}
	return p.holds(leader)
}

var errEnded = errors.New("it answered and ended")

// holds is answers for a worker with a port. Whoever listens there counts as the worker's if it is of its session, or
// carries its name in the environment, or was started later and carries no other worker's (a container's proxy, say).
func (p *Process) holds(leader stat) error {
	inodes := listening(p.port)
	if len(inodes) == 0 {
		return nil // the table does not say: the port leads into a container
	}
	for _, pid := range processes() {
		if s, err := statOf(pid); err == nil && s.session == p.PID() && hasSocket(pid, inodes) {
			return nil
		}
	}
	var stranger error
	for _, h := range Holders(p.port) {
		s, err := statOf(h.PID)
		if err != nil {
			continue
		}
		name, keeper := variableOf(h.PID, workerVariable), variableOf(h.PID, runDirVariable)
		switch {
		case name == p.Worker && keeper == p.runDir:
			return nil
		case name != "" || s.start < leader.start:
			stranger = fmt.Errorf("%v has its port %d, which was free before", h, p.port)
		default:
			return nil
		}
	}
	return stranger
}
