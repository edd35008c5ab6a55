package loop

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// stdListener is a listener's part of the goroutine body.
type stdListener struct {
	net.Listener
	shut  chan struct{}
	ended chan struct{} // the goroutine that accepts
	once  sync.Once
}

func (s *stdListener) close() {
	s.once.Do(func() {
		close(s.shut)
		_ = s.Listener.Close() // nothing is left to be done about an error
	})
}

func (ln *Listener) openBaton(f *os.File) error {
	nl, err := net.FileListener(f)
	if err != nil {
		return err
	}
	ln.std = &stdListener{Listener: nl, shut: make(chan struct{}), ended: make(chan struct{})}
	return nil
}

func (ln *Listener) acceptBaton() {
	l, s := ln.loop, ln.std
	id := goroutineID()
	defer close(s.ended)
	for {
		nc, err := s.Accept()
		l.take(nil, id)
		if !ln.active {
			if err == nil {
				_ = nc.Close() // came too late
			}
			break
		}
		if err != nil {
			l.count.AcceptErrors++
		} else {
			peer, state := nameOf(nc.RemoteAddr())
			l.callAccept(ln.handler, l.attachStd(nc, peer, state))
		}
		l.give()
		if err != nil {
			s.pause()
		}
	}
	// The listener was closed with the baton held, so what came before that was handed on.
	l.helped()
	l.give()
}

// pause waits for descriptors or memory to be had again.
func (s *stdListener) pause() {
	timer := time.NewTimer(time.Duration(acceptPauseTime))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.shut:
	}
}

func nameOf(a net.Addr) (netip.AddrPort, connState) {
	if tcp, ok := a.(*net.TCPAddr); ok {
		ip := tcp.AddrPort()
		return netip.AddrPortFrom(ip.Addr().Unmap(), ip.Port()), 0
	}
	return netip.AddrPort{}, local
}

func (l *Loop) dialBaton(t *Task, to Addr, deadline Time) (*Conn, error) {
	network, addr := "unix", to.Unix
	if to.Unix == "" {
		network, addr = "tcp", to.IP.String()
		if !to.IP.IsValid() {
			return nil, syscall.EINVAL
		}
	}
	pause := dialPause
	for {
		if l.closing {
			return nil, ErrClosed
		}
		if deadline != 0 && deadline <= l.now {
			return nil, ErrTimeout
		}
		d := net.Dialer{Deadline: l.engine.netDeadline(deadline)}
		var nc net.Conn
		var err error
		t.aside(func() { nc, err = d.DialContext(l.baton.closing, network, addr) })
		if l.closing {
			if err == nil {
				_ = nc.Close()
			}
			return nil, ErrClosed
		}
		err = dialError(err)
		if err == errAgain && to.Unix != "" {
			if err := t.sleepBaton(dialTry(pause, deadline, l.now)); err != nil {
				return nil, err
			}
			pause = min(2*pause, dialPauseMax)
			continue
		}
		if err != nil {
			return nil, err
		}
		_, state := nameOf(nc.RemoteAddr())
		return l.attachStd(nc, to.IP, state), nil
	}
}

// dialError is plain for Dial, whose time limit the net package tells in more than one way.
func dialError(err error) error {
	err = plain(err)
	var limit net.Error
	if _, ok := err.(syscall.Errno); !ok && errors.As(err, &limit) && limit.Timeout() {
		return ErrTimeout
	}
	return err
}

// netDeadline is a deadline as the net package takes it.
func (e *Engine) netDeadline(at Time) time.Time {
	if at == 0 {
		return time.Time{}
	}
	return e.moment(at)
}
