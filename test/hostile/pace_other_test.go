//go:build !linux

package hostile

import (
	"net"
	"time"
)

// delivered gives weir the time to read what was written, so that what follows is read by itself.
func delivered(*net.TCPConn) { time.Sleep(50 * time.Microsecond) }
