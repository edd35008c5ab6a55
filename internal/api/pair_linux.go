package api

import (
	"fmt"
	"net"
	"os"
	"syscall"
)

// Pair returns the keeper's end of a new pair and the edge's, to be inherited as descriptor 3.
func Pair() (*net.UnixConn, *os.File, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("making a pair of sockets: %w", err)
	}
	edge := os.NewFile(uintptr(fds[1]), "edge")
	conn, err := Conn(os.NewFile(uintptr(fds[0]), "keeper"))
	if err != nil {
		edge.Close() //nolint:errcheck // unused
		return nil, nil, err
	}
	return conn, edge, nil
}
