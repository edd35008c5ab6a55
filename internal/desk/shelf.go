package desk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// shelf is where the desk leaves what the next one has to know: files in the run directory. Who has its lock may write them.
type shelf struct {
	dir    string
	lock   *os.File        // nil: another desk has it
	failed map[string]bool // what could not be written the last time
}

// shelfWait is how long the desk before this one may take to leave.
const shelfWait = 3 * time.Second

// openShelf waits for the desk before this one to be done with it. Without the lock this one reads, and writes nothing.
func openShelf(dir string) *shelf {
	s := &shelf{dir: dir, failed: map[string]bool{}}
	f, err := os.OpenFile(s.path("lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		slog.Warn("what is counted will not outlive this process", "error", err)
		return s
	}
	for end := time.Now().Add(shelfWait); ; time.Sleep(shelfWait / 100) {
		if err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
			s.lock = f
			return s
		}
		if time.Now().After(end) {
			slog.Warn("another desk is still there: what is counted will not outlive this process", "error", err)
			f.Close() //nolint:errcheck // nothing was written
			return s
		}
	}
}

// close lets the lock go.
func (s *shelf) close() error {
	if s.lock == nil {
		return nil
	}
	return s.lock.Close()
}

func (s *shelf) path(name string) string { return filepath.Join(s.dir, "desk."+name) }

// read reads what another desk has left under a name. What is not there, or cannot be read, begins anew.
func (s *shelf) read(name string, from func(io.Reader) error) {
	f, err := os.Open(s.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		err = errors.Join(from(f), f.Close())
	}
	if err != nil {
		slog.Warn("what the status page knew before cannot be read: it begins anew", "what", name, "error", err)
	}
}

// write leaves something under a name: aside first, then in place. It tells once when that fails.
func (s *shelf) write(name string, to func(io.Writer) error) {
	if s.lock == nil {
		return
	}
	err := s.replace(name, to)
	if err != nil && !s.failed[name] {
		slog.Error("what the status page knows will not outlive its process", "what", name, "error", err)
	}
	s.failed[name] = err != nil
}

func (s *shelf) replace(name string, to func(io.Writer) error) error {
	aside := s.path(name) + ".new"
	f, err := os.OpenFile(aside, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(to(f), f.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", aside, err)
	}
	return os.Rename(aside, s.path(name))
}
