package loop

import (
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

const (
	// acceptBurst is how many connections a turn takes from one listener, so that a flood of them does not keep requests waiting.
	acceptBurst = 64
	// acceptPauseTime is how long accepting stops when descriptors or memory lack; connections wait in the backlog.
	acceptPauseTime = Time(100 * time.Millisecond)
	// Waits between tries to connect to a Unix socket whose backlog is full.
	dialPause    = time.Millisecond
	dialPauseMax = 64 * time.Millisecond
)

// Listener is one listening socket of a loop.
type Listener struct {
	loop    *Loop
	handler Acceptor
	std     *stdListener // the goroutine body's

	// Owned by the loop.
	fd     int
	local  bool
	active bool
	paused timer

	closing sync.Once
}

func (l *Loop) openListener(f *os.File, h Acceptor) (*Listener, error) {
	ln := &Listener{loop: l, handler: h}
	if l.goroutines() {
		return ln, ln.openBaton(f)
	}
	ln.paused.owner = ln
	var err error
	ln.fd, ln.local, err = sysListener(f)
	return ln, err
}

// begin starts accepting, on the loop.
func (ln *Listener) begin() error {
	if ln.loop.closing {
		return ErrClosed
	}
	if ln.std != nil {
		ln.loop.help(ln.acceptBaton)
	} else if e := ln.loop.poll.addListener(ln.fd); e != 0 {
		return os.NewSyscallError("epoll_ctl", e)
	}
	ln.active = true
	ln.loop.listeners = append(ln.loop.listeners, ln)
	return nil
}

// discard lets go of a listener that never began.
func (ln *Listener) discard() {
	if ln.std != nil {
		ln.std.close()
		return
	}
	sysClose(ln.fd)
}

// Close stops accepting. The socket itself stays open in other processes that hold it. From any goroutine but the
// loop's own; waits.
func (ln *Listener) Close() error {
	ln.closing.Do(func() {
		// ErrClosed: the loop has ended, and its listeners before it.
		_ = ln.loop.wait(func() {
			ln.shut()
			ln.loop.listeners = slices.DeleteFunc(ln.loop.listeners, func(o *Listener) bool { return o == ln })
		})
		if ln.std != nil {
			<-ln.std.ended
		}
	})
	return nil
}

// shut closes the socket, on the loop.
func (ln *Listener) shut() {
	if !ln.active {
		return
	}
	ln.active = false
	if ln.std != nil {
		ln.std.close()
		return
	}
	ln.loop.fibers.wheel.disarm(&ln.paused)
	// Other processes may hold the socket, and then closing it alone would leave it registered.
	ln.loop.poll.remove(ln.fd)
	sysClose(ln.fd)
}

// acceptOn takes connections from the listener with this descriptor; there is none when the event is the eventfd's.
func (l *Loop) acceptOn(fd int) {
	for _, ln := range l.listeners {
		if ln.fd == fd && ln.active {
			ln.accept()
			return
		}
	}
}

func (ln *Listener) accept() {
	l := ln.loop
	for range acceptBurst {
		if !ln.active {
			return // closed by the handler
		}
		fd, peer, e := sysAccept(ln.fd)
		switch {
		case e == errAgain:
			return
		case e == errIntr:
			continue
		case e != 0:
			l.count.AcceptErrors++
			if acceptPause(e) {
				ln.pause()
				return
			}
			continue
		}
		var state connState
		if ln.local {
			state = local
		}
		c, e := l.attach(fd, state, false)
		if e != 0 {
			l.count.AcceptErrors++
			ln.pause()
			return
		}
		c.peer = peer
		l.callAccept(ln.handler, c)
	}
}

// pause stops accepting for a while; trying again and again would only heat the machine.
func (ln *Listener) pause() {
	ln.loop.poll.remove(ln.fd)
	ln.loop.fibers.wheel.by(&ln.paused, ln.loop.now+acceptPauseTime)
}

// expire ends a pause.
func (ln *Listener) expire(now Time) {
	if !ln.active {
		return
	}
	if e := ln.loop.poll.addListener(ln.fd); e != 0 {
		ln.loop.count.AcceptErrors++
		ln.loop.fibers.wheel.by(&ln.paused, now+acceptPauseTime)
	}
}

func (l *Loop) dialFiber(t *Task, to Addr, deadline Time) (*Conn, error) {
	pause := dialPause
	for {
		if l.closing {
			return nil, ErrClosed
		}
		if deadline != 0 && deadline <= l.now {
			return nil, ErrTimeout
		}
		fd, e := sysDial(to)
		if e == errAgain && to.Unix != "" {
			if err := t.sleepFiber(dialTry(pause, deadline, l.now)); err != nil {
				return nil, err
			}
			pause = min(2*pause, dialPauseMax)
			continue
		}
		if e != 0 && fd < 0 {
			return nil, e
		}
		return l.connect(fd, e != 0, to, deadline)
	}
}

// dialTry is how long to wait before the next try: not beyond the deadline.
func dialTry(pause time.Duration, deadline, now Time) time.Duration {
	if deadline != 0 {
		pause = min(pause, time.Duration(deadline-now))
	}
	return pause
}

// connect makes a connection of a socket and waits until it is connected, if it is not yet.
func (l *Loop) connect(fd int, connecting bool, to Addr, deadline Time) (*Conn, error) {
	var state connState
	if to.Unix != "" {
		state = local
	}
	c, e := l.attach(fd, state, connecting)
	if e != 0 {
		return nil, e
	}
	c.peer = to.IP
	if !connecting {
		return c, nil
	}
	if err := c.connected(deadline); err != nil {
		if c.state&closed == 0 {
			c.end()
		}
		return nil, err
	}
	return c, nil
}

func (c *Conn) connected(deadline Time) error {
	c.writeBy = deadline
	for c.state&writable == 0 {
		if err := c.awaitRoom(); err != nil {
			return err
		}
		if c.state&closed != 0 {
			return ErrClosed
		}
	}
	c.writeBy = 0
	if e := sysConnected(int(c.fd)); e != 0 {
		return e
	}
	// A free port of the range from which the kernel gave us ours may happen to be ours: TCP then connects a socket to
	// itself (simultaneous open, RFC 9293 section 3.5), and a server that is down seems to echo.
	if us, them, _, _ := c.names(); us == them && us.IsValid() {
		return syscall.ECONNREFUSED
	}
	return nil
}
