//go:build !linux

package loop

import (
	"net/netip"
	"os"
	"syscall"
	"time"
)

// haveFibers says that there are no fibers here: Start gives every task a goroutine, and nothing below is called.
const haveFibers = false

const (
	evIn = 1 << iota
	evOut
	evRDH
	evGone
)

const (
	sysPeek  = 0
	errAgain = syscall.EAGAIN
	errIntr  = syscall.EINTR
)

type poller struct{}

func (p *poller) open() error                                       { return syscall.ENOSYS }
func (p *poller) close()                                            {}
func (p *poller) kick()                                             {}
func (p *poller) nap(ns int64)                                      {}
func (p *poller) waitKeeping(ms int) int                            { return 0 }
func (p *poller) waitYielding(ms int) int                           { return 0 }
func (p *poller) event(i int) (fd int, gen, what uint32)            { return -1, 0, 0 }
func (p *poller) add(fd int, gen uint32, out bool) syscall.Errno    { return syscall.ENOSYS }
func (p *poller) change(fd int, gen uint32, out bool) syscall.Errno { return syscall.ENOSYS }
func (p *poller) addListener(fd int) syscall.Errno                  { return syscall.ENOSYS }
func (p *poller) remove(fd int) syscall.Errno                       { return syscall.ENOSYS }

func sysRecv(fd int, p []byte, flags int) (int, syscall.Errno) { return 0, syscall.ENOSYS }
func sysSend(fd int, p []byte) (int, syscall.Errno)            { return 0, syscall.ENOSYS }
func sysSend2(fd int, a, b []byte) (int, syscall.Errno)        { return 0, syscall.ENOSYS }
func sysSendAll(fd int, pieces [][]byte) (int, syscall.Errno)  { return 0, syscall.ENOSYS }
func sysSendFile(fd int, f *os.File, off int64, n int) (int, syscall.Errno) {
	return 0, syscall.ENOSYS
}
func sysReadCached(f *os.File, b []byte, off int64) (int, syscall.Errno) {
	return 0, syscall.ENOSYS
}
func sysAccept(fd int) (conn int, peer netip.AddrPort, e syscall.Errno) {
	return -1, peer, syscall.ENOSYS
}
func sysDial(to Addr) (fd int, e syscall.Errno)                   { return -1, syscall.ENOSYS }
func sysConnected(fd int) syscall.Errno                           { return syscall.ENOSYS }
func sysClose(fd int)                                             {}
func sysShutdownWrite(fd int) syscall.Errno                       { return syscall.ENOSYS }
func sysShutdown(fd int) syscall.Errno                            { return syscall.ENOSYS }
func sysAbort(fd int) syscall.Errno                               { return syscall.ENOSYS }
func sysListener(f *os.File) (fd int, isUnix bool, err error)     { return -1, false, syscall.ENOSYS }
func acceptPause(e syscall.Errno) bool                            { return true }
func sysNames(fd int) (local, remote netip.AddrPort, a, b string) { return local, remote, "", "" }

// threadClock tells nothing here.
func threadClock() (thread int, used time.Duration) { return 0, 0 }
