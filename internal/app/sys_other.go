//go:build !linux

package app

import (
	"os"
	"syscall"
)

// Without Linux there is no parent-death signal and no adoption: when keeper and guard die at the
// same time, workers stay.

func attributes(c *syscall.Credential, _ bool) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Credential: c}
}

func adoptOrphans() error { return nil }

func children(int) []int { return nil }

func kill(pid int) bool { return syscall.Kill(pid, syscall.SIGKILL) == nil }

func collect(int) {}

func mayRaiseNofile(uint64) bool { return os.Geteuid() == 0 }

// KillLeftovers does nothing here.
func KillLeftovers(string) int { return 0 }
