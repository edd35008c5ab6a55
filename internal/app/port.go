package app

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
)

// ports are those given to workers that still live. A port is found by binding and closing, so nobody listened there
// when the worker was started. Between that and the worker's own bind somebody else may take it: see Process.holds.
var ports = struct {
	sync.Mutex
	taken map[int]bool
}{taken: map[int]bool{}}

const (
	lastPort   = 65535
	enoughRoom = 256 // ports above the system's own range; with fewer, two weirs would meet too often
	portTries  = 100
)

// takePort finds a port where nobody listens, above those that the system gives to outgoing connections: while a
// worker is starting, connections of the edge to its siblings would take such a one every now and then, and the worker
// could not bind it. Where the system's range leaves no room, it is the system's choice.
func takePort() (int, error) {
	above := lastPort + 1
	if text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		above = portsAbove(string(text))
	}
	ports.Lock()
	defer ports.Unlock()
	for i := range portTries {
		port := 0
		if room := lastPort + 1 - above; room >= enoughRoom && i < portTries/2 {
			port = above + rand.IntN(room)
		}
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			if port != 0 {
				continue // somebody is there
			}
			return 0, fmt.Errorf("finding a free port: %w", err)
		}
		port = ln.Addr().(*net.TCPAddr).Port
		if err := ln.Close(); err != nil {
			return 0, fmt.Errorf("finding a free port: %w", err)
		}
		if !ports.taken[port] {
			ports.taken[port] = true
			return port, nil
		}
	}
	return 0, errors.New("finding a free port: the system offers only ports that other workers have")
}

// portsAbove returns the first port above a range as the kernel shows it; one beyond the last where it makes no sense.
func portsAbove(text string) int {
	var low, high int
	if _, err := fmt.Sscan(text, &low, &high); err != nil || high < low || low < 1 || high > lastPort {
		return lastPort + 1
	}
	return high + 1
}

func givePort(port int) {
	ports.Lock()
	defer ports.Unlock()
	delete(ports.taken, port)
}

// keepPort notes the port of a worker that was started by another program.
func keepPort(port int) {
	ports.Lock()
	defer ports.Unlock()
	if port != 0 {
		ports.taken[port] = true
	}
}
