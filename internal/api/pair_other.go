//go:build !linux

package api

import (
	"errors"
	"net"
	"os"
	"runtime"
)

// Pair is to be had only where Unix sockets keep both message boundaries and the end of a connection.
func Pair() (*net.UnixConn, *os.File, error) {
	return nil, nil, errors.New("weir does not run on " + runtime.GOOS + ": it has no SOCK_SEQPACKET between processes")
}
