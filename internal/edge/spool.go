package edge

import (
	"errors"
	"fmt"
	"os"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/loop"
)

// spool holds a body between two speeds: in large buffers of the loop up to a limit, then in an unlinked temporary
// file up to another. What is put in comes out in the same order. It belongs to one loop; the tasks at its ends take
// turns there, so it needs no lock.
type spool struct {
	pieces [][]byte // in memory; the front of the queue
	file   *os.File // what came after the pieces
	read   int64    // of the file
	wrote  int64    // to the file
	size   int64    // of everything that was put in
}

var (
	errSpoolFull = errors.New("body larger than the buffers allow")
	errDisk      = errors.New("buffering a body")
)

// put appends data, which it copies. errSpoolFull means that nothing of it was taken.
func (s *spool) put(t *loop.Task, l *local, data []byte, cfg *config.Buffer) error {
	if s.wrote == s.read && s.inMemory(l, data, cfg) {
		return nil
	}
	// A file that has been taken out whole begins anew. It is cut off first, never written over: what was sent from it
	// may still stand in the socket as pages of the file, not as a copy.
	file, at := s.file, s.wrote
	anew := s.wrote == s.read && s.wrote > 0
	if anew {
		at = 0
	}
	if at+int64(len(data)) > cfg.File {
		return errSpoolFull
	}
	var err error
	t.Do(func() {
		switch {
		case file == nil:
			file, err = unlinked(cfg.Dir)
		case anew:
			err = file.Truncate(0)
		}
		if err == nil {
			_, err = file.WriteAt(data, at)
		}
	})
	s.file = file
	if err != nil {
		return fmt.Errorf("%w: %w", errDisk, err)
	}
	if anew {
		s.read = 0 // the other end has waited meanwhile: there was nothing for it
	}
	s.wrote = at + int64(len(data))
	s.size += int64(len(data))
	return nil
}

// keep copies data into a buffer of its own, whatever the limits say: the one piece without which nothing moves. data
// is no longer than a large buffer.
func (s *spool) keep(l *local, data []byte) {
	l.spooled += loop.LargeBufferSize
	p := l.loop.LargeBuffer()
	s.pieces = append(s.pieces, p[:copy(p, data)])
	s.size += int64(len(data))
}

// inMemory copies data behind the last piece; false when it does not fit in memory.
func (s *spool) inMemory(l *local, data []byte, cfg *config.Buffer) bool {
	room := 0
	last := len(s.pieces) - 1
	if last >= 0 {
		room = cap(s.pieces[last]) - len(s.pieces[last])
	}
	for need := len(data) - room; need > 0; need -= loop.LargeBufferSize {
		if int64(len(s.pieces)+1)*loop.LargeBufferSize > cfg.Memory || l.spooled+loop.LargeBufferSize > l.edge.spoolShare {
			if len(s.pieces) == last+1 {
				return false
			}
			break
		}
		l.spooled += loop.LargeBufferSize
		s.pieces = append(s.pieces, l.loop.LargeBuffer()[:0])
	}
	free := 0
	for i := max(last, 0); i < len(s.pieces); i++ {
		free += cap(s.pieces[i]) - len(s.pieces[i])
	}
	if free < len(data) {
		s.trim(l)
		return false
	}
	s.size += int64(len(data))
	for i := max(last, 0); len(data) > 0; i++ {
		p := s.pieces[i]
		n := copy(p[len(p):cap(p)], data)
		s.pieces[i] = p[:len(p)+n]
		data = data[n:]
	}
	return true
}

// trim gives back pieces at the end that hold nothing.
func (s *spool) trim(l *local) {
	for n := len(s.pieces); n > 0 && len(s.pieces[n-1]) == 0; n = len(s.pieces) {
		s.release(l, s.pieces[n-1])
		s.pieces = s.pieces[:n-1]
	}
}

func (s *spool) release(l *local, piece []byte) {
	l.loop.Release(piece[:cap(piece)])
	l.spooled -= loop.LargeBufferSize
}

// unlinked makes a temporary file that has no name any more: it is gone with the process, whatever happens.
func unlinked(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "weir-body-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// empty reports whether everything that was put in has been taken out.
func (s *spool) empty() bool { return len(s.pieces) == 0 && s.read == s.wrote }

// pop takes the first piece out of the queue; its owner gives it back with release. nil when there is none in memory.
func (s *spool) pop() []byte {
	if len(s.pieces) == 0 {
		return nil
	}
	p := s.pieces[0]
	n := copy(s.pieces, s.pieces[1:])
	s.pieces[n] = nil
	s.pieces = s.pieces[:n]
	return p
}

// sendTo writes everything to the server and takes nothing out, so that it can be sent again.
func (s *spool) sendTo(t *loop.Task, h *handler, c *loop.Conn) error {
	for _, p := range s.pieces {
		if _, err := h.push(c, p, nil); err != nil {
			return err
		}
	}
	_, err := h.pushFile(t, c, s.file, 0, s.wrote)
	return err
}

// fileStep is how much of a file is sent under one time limit.
const fileStep = 1 << 20

// free gives everything back. The file is closed off the loop: it has no name any more, so that is when the disk gets its
// room back, and for a large one that takes its time.
func (s *spool) free(t *loop.Task, l *local) {
	for _, p := range s.pieces {
		s.release(l, p)
	}
	clear(s.pieces)
	s.pieces = s.pieces[:0]
	file := s.file
	s.file, s.read, s.wrote, s.size = nil, 0, 0, 0
	if file != nil {
		t.Do(func() { _ = file.Close() }) // its contents are given up
	}
}
