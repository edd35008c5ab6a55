package app

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// attributes of a worker: a session and a process group of its own, so that all of it can be signalled and a
// terminal's ^C reaches only the keeper; killed by the kernel when the keeper dies, unless a guard sees to that.
func attributes(c *syscall.Credential, guarded bool) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setsid: true, Credential: c}
	if !guarded {
		a.Pdeathsig = syscall.SIGKILL
	}
	return a
}

const prSetChildSubreaper = 36 // prctl(2)

func adoptOrphans() error {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0); errno != 0 {
		return errno
	}
	return nil
}

// children returns the children of a process. A kernel without the list of children has them found by their parents.
func children(pid int) []int {
	var all []int
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return nil
	}
	for _, t := range tasks {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, t.Name()))
		if os.IsNotExist(err) {
			if _, err := os.Stat("/proc/self/task/" + strconv.Itoa(os.Getpid()) + "/children"); err != nil {
				return childrenByParent(pid)
			}
			continue // the thread has ended
		}
		for _, f := range strings.Fields(string(text)) {
			if n, err := strconv.Atoi(f); err == nil {
				all = append(all, n)
			}
		}
	}
	return all
}

func childrenByParent(pid int) []int {
	var all []int
	for _, p := range processes() {
		if s, err := statOf(p); err == nil && s.parent == pid {
			all = append(all, p)
		}
	}
	return all
}

func kill(pid int) bool { return syscall.Kill(pid, syscall.SIGKILL) == nil }

func collect(pid int) {
	var status syscall.WaitStatus
	// Nothing to collect (it lives) and somebody else's child are both no news.
	syscall.Wait4(pid, &status, syscall.WNOHANG, nil) //nolint:errcheck // see above
}

const capSysResource = 24 // capabilities(7)

// mayRaiseNofile says whether this process may set its limit on open files to n, which is above its hard limit.
func mayRaiseNofile(n uint64) bool {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(status), "\nCapEff:")
	line, _, _ := strings.Cut(after, "\n")
	effective, err := strconv.ParseUint(strings.TrimSpace(line), 16, 64)
	if err != nil || effective>>capSysResource&1 == 0 {
		return false
	}
	ceiling, err := os.ReadFile("/proc/sys/fs/nr_open")
	if err != nil {
		return false
	}
	most, err := strconv.ParseUint(strings.TrimSpace(string(ceiling)), 10, 64)
	return err == nil && n <= most
}

// KillLeftovers kills the workers that an earlier weir on this run directory left behind: one that was killed cannot
// see to what its workers had started. The caller holds the run directory's lock. It returns how many there were.
func KillLeftovers(runDir string) int {
	if variableOf(os.Getpid(), runDirVariable) == runDir {
		return 0 // a worker that runs weir on its keeper's own run directory: leave its siblings alone
	}
	n := 0
	for _, pid := range processes() {
		if variableOf(pid, runDirVariable) == runDir && kill(pid) {
			n++
		}
	}
	return n
}
