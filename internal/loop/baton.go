package loop

import (
	"net"
	"os"
	"time"
)

type baton struct{}

func (b *baton) knock() {}

type flag struct{}

func (f flag) set() {}

type stdTask struct{ wake, hang flag }
type stdConn struct{ net.Conn }

func (s *stdConn) setRead(l *Loop, at Time)  {}
func (s *stdConn) setWrite(l *Loop, at Time) {}
func (s *stdConn) closeWrite() error         { return nil }
func (s *stdConn) abort()                    {}

type stdListener struct{}

func (s *stdListener) close() {}
func (s *stdListener) wait()  {}

func (l *Loop) goBaton(r Runner)                                         {}
func (l *Loop) shutBaton()                                               {}
func (l *Loop) openBaton()                                               {}
func (l *Loop) startBaton()                                              {}
func (l *Loop) dialBaton(t *Task, to Addr, deadline Time) (*Conn, error) { return nil, nil }
func (ln *Listener) openBaton(f *os.File) error                          { return nil }
func (ln *Listener) beginBaton()                                         {}
func (t *Task) sleepBaton(d time.Duration) error                         { return nil }
func (t *Task) parkBaton(deadline Time) error                            { return nil }
func (t *Task) doBaton(f func())                                         {}
func (c *Conn) readBaton(p []byte) (int, error)                          { return 0, nil }
func (c *Conn) writeBaton(p []byte) (int, error)                         { return 0, nil }
func (c *Conn) write2Baton(a, b []byte) (int64, error)                   { return 0, nil }
func (c *Conn) sendFileBaton(f *os.File, off, n int64) (int64, error)    { return 0, nil }
func (c *Conn) endBaton()                                                {}
func (c *Conn) lookAhead(until Time)                                     {}
func (c *Conn) restBaton(until Time)                                     {}
func (c *Conn) unrestBaton() bool                                        { return true }
