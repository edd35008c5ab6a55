package script

import "syscall"

// attributes give a program a process group of its own, so that all of it can be killed, and let it die with this process.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
