package edge

import (
	"errors"
	"io"
	"os"

	"github.com/weirhq/weir/internal/loop"
)

// spout is where a response goes that is a part of another one, instead of to a connection: the bytes of it, head first, as
// a client would get them. One task pours, another drinks, both of one loop; who pours waits until everything was taken, so
// nothing is copied and nothing piles up.
type spout struct {
	offered []byte // what is poured and not taken yet
	pours   *loop.Task
	drinks  *loop.Task
	ended   bool // nothing more comes
	broken  bool // and what came is not all
	shut    bool // nobody drinks any more
	esi     bool // what comes is to be looked into for fragments
}

var errShut = errors.New("nobody reads the response any more")

// pour offers bytes until they are taken.
func (s *spout) pour(t *loop.Task, p []byte) error {
	if len(p) == 0 {
		return nil
	}
	s.offered, s.pours = p, t
	defer func() { s.offered, s.pours = nil, nil }()
	for len(s.offered) > 0 { // first: who has taken all may have gone since
		if s.shut {
			return errShut
		}
		if s.drinks != nil {
			s.drinks.WakeHere()
		}
		// That a client hung up may be told late, of an earlier wait: here it is for who drinks to notice. To go away with
		// what it is looking at would be worse.
		if err := t.Park(0); err != nil && !errors.Is(err, loop.ErrHangup) {
			return err
		}
	}
	return nil
}

// end says that nothing more comes.
func (s *spout) end(broken bool) {
	s.ended, s.broken = true, broken
	if s.drinks != nil {
		s.drinks.WakeHere()
	}
}

// shutOff says that nobody drinks any more. What was looked at must not be any more.
func (s *spout) shutOff() {
	s.shut, s.drinks = true, nil
	if s.pours != nil {
		s.pours.WakeHere()
	}
}

// look returns what is offered, waiting for it until the deadline. It stays as it is until take. io.EOF: that was all;
// io.ErrUnexpectedEOF: it was not.
func (s *spout) look(t *loop.Task, by loop.Time) ([]byte, error) {
	s.drinks = t
	defer func() { s.drinks = nil }()
	for len(s.offered) == 0 {
		if s.ended {
			if s.broken {
				return nil, io.ErrUnexpectedEOF
			}
			return nil, io.EOF
		}
		if err := t.Park(by); err != nil {
			return nil, err
		}
	}
	return s.offered, nil
}

// take takes the first n bytes of what look returned.
func (s *spout) take(n int) {
	s.offered = s.offered[min(n, len(s.offered)):] // there is nothing when the engine stops
	if len(s.offered) == 0 && s.pours != nil {
		s.pours.WakeHere()
	}
}

// pour writes to the response that this one is a part of.
func (h *handler) pour(a, b []byte) error {
	t := h.l.loop.Current()
	h.beginPage()
	if err := h.sink.pour(t, a); err != nil {
		return err
	}
	return h.sink.pour(t, b)
}

// pourFile does the same with n bytes of a file.
func (h *handler) pourFile(t *loop.Task, f *os.File, off, n int64) (done int64, err error) {
	buf := h.l.loop.LargeBuffer()
	defer h.l.loop.Release(buf)
	for done < n {
		var m int
		t.Do(func() { m, err = f.ReadAt(buf[:min(n-done, int64(len(buf)))], off+done) })
		if m == 0 && err != nil {
			return done, err
		}
		if err := h.pour(buf[:m], nil); err != nil {
			return done, err
		}
		done += int64(m)
	}
	return done, nil
}
