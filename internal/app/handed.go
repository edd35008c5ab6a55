package app

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
)

// sockets are the listening sockets that weir has made for workers and hands to them. Weir keeps each open: connections
// that come while a worker that died is started again wait in its backlog, and are not refused. The worker started in
// place of a dead one takes over its socket (Spawn.Heir); every other has one of its own, so that two workers never take
// connections from each other.
type sockets struct {
	mu   sync.Mutex
	held map[string]handed // by worker
}

type handed struct {
	app  string
	path string
	file *os.File
}

// take returns the socket for a worker: the one of the worker that it comes after, or a new one.
func (s *sockets) take(worker Spawn, runDir string, id identity) (handed, error) {
	s.mu.Lock()
	h, ok := s.held[worker.Heir]
	if ok {
		delete(s.held, worker.Heir)
		s.held[worker.Worker] = h
	}
	s.mu.Unlock()
	if ok {
		return h, nil
	}
	path, err := makeSocket(runDir, worker.App, worker.Place, worker.Gen, id)
	if err != nil {
		return handed{}, err
	}
	h, err = listenHanded(path)
	if err != nil {
		return handed{}, err
	}
	h.app = worker.App.Name
	s.mu.Lock()
	s.held[worker.Worker] = h
	s.mu.Unlock()
	return h, nil
}

func listenHanded(path string) (handed, error) {
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return handed{}, fmt.Errorf("making its socket: %w", err)
	}
	ln.SetUnlinkOnClose(false)
	f, err := ln.File()
	if err = errors.Join(err, ln.Close()); err != nil {
		return handed{}, fmt.Errorf("making its socket: %w", err)
	}
	return handed{path: path, file: f}, nil
}

// Release closes the sockets of an app's workers but those in keep.
func (s *Starter) Release(app string, keep map[string]bool) {
	s.sockets.mu.Lock()
	defer s.sockets.mu.Unlock()
	for worker, h := range s.sockets.held {
		if (h.app == app || app == "") && !keep[worker] {
			h.file.Close()    //nolint:errcheck // nothing was written to it
			os.Remove(h.path) //nolint:errcheck // its directory may have gone with the run directory
			delete(s.sockets.held, worker)
		}
	}
}
