//go:build !linux

package testkit

import "syscall"

// ownNetwork asks for nothing: only Linux has it.
func ownNetwork() *syscall.SysProcAttr { return nil }

func loopbackUp() error { return nil }
