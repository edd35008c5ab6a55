//go:build !linux

package script

import "syscall"

// attributes give a program a process group of its own, so that all of it can be killed.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
