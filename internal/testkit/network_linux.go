package testkit

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// ownNetwork makes a process start in a network of its own, in which nothing is but a loopback that is down. Root may do
// that; for others the start fails.
func ownNetwork() *syscall.SysProcAttr { return &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET} }

// loopbackUp makes the loopback of such a network work.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, lo); err != nil {
		return os.NewSyscallError("asking for the flags of lo", err)
	}
	lo.SetUint16(lo.Uint16() | unix.IFF_UP)
	return os.NewSyscallError("bringing lo up", unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo))
}
