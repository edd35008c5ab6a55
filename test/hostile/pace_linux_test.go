package hostile

import (
	"net"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// delivered waits until weir's kernel has what was written, and gives weir the time to read it: then what follows is read
// by itself. It is a matter of chance, not of correctness, and so it is short.
func delivered(c *net.TCPConn) {
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	for range 50 {
		waiting := 0
		if raw.Control(func(fd uintptr) { waiting, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }) != nil || err != nil || waiting == 0 {
			break
		}
		runtime.Gosched()
	}
	time.Sleep(50 * time.Microsecond)
}
