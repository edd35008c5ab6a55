package sink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// dialWithin and writeWithin bound how long a log's goroutine waits for another program. Meanwhile lines are held, and dropped
	// when they are too many.
	dialWithin  = 3 * time.Second
	writeWithin = 2 * time.Second
	// batch is how much is given to a stream at a time.
	batch = 64 << 10
)

// Datagrams sends each record as one datagram: to syslog (RFC 5424, over UDP as of RFC 5426, or over a Unix socket) or to journald.
type Datagrams struct {
	network, address string
	end              []byte // of a record
	strip            bool   // the end is not sent
	conn             net.Conn
}

// NewSyslog returns a sink that sends each line as a datagram; network is "udp" or "unixgram". It connects when it is first written to.
func NewSyslog(network, address string) *Datagrams {
	return &Datagrams{network: network, address: address, end: lineEnd, strip: true}
}

// NewJournald returns a sink that sends entries to journald: each is lines NAME=value and an empty line.
func NewJournald(address string) *Datagrams {
	return &Datagrams{network: "unixgram", address: address, end: entryEnd}
}

// Write implements io.Writer.
func (d *Datagrams) Write(b []byte) (n int, err error) {
	if d.conn == nil {
		dialer := net.Dialer{Timeout: dialWithin}
		if d.conn, err = dialer.DialContext(context.Background(), d.network, d.address); err != nil {
			return 0, err
		}
	}
	if err := d.conn.SetWriteDeadline(time.Now().Add(writeWithin)); err != nil {
		return 0, d.fail(err)
	}
	for n < len(b) {
		text, length := record(b[n:], d.end)
		if !d.strip {
			text = b[n : n+min(len(text)+1, length)]
		}
		if _, err := d.conn.Write(text); err != nil {
			return n, d.fail(err)
		}
		n += length
	}
	return n, nil
}

// fail lets go of a connection: the program behind it may be another one by now.
func (d *Datagrams) fail(err error) error {
	if d.conn != nil {
		err = errors.Join(err, d.conn.Close())
		d.conn = nil
	}
	return err
}

// Reopen implements Sink.
func (d *Datagrams) Reopen() error { return d.fail(nil) }

// Close implements io.Closer.
func (d *Datagrams) Close() error { return d.fail(nil) }

// Stream sends lines to syslog over TCP, each with its length before it (RFC 6587, section 3.4.1), so that no line can pass for two.
type Stream struct {
	address string
	conn    net.Conn
	gone    *atomic.Bool // the other side has closed
	reading sync.WaitGroup
	frames  []byte
}

// NewStream returns a sink that connects when it is first written to.
func NewStream(address string) *Stream { return &Stream{address: address} }

// Write implements io.Writer. What the kernel took before a connection broke may be lost: TCP does not say.
func (s *Stream) Write(b []byte) (n int, err error) {
	if s.conn != nil && s.gone.Load() {
		_ = s.fail(nil) // it is the other side that closed
	}
	if s.conn == nil {
		if err := s.connect(); err != nil {
			return 0, err
		}
	}
	for n < len(b) {
		s.frames = s.frames[:0]
		taken := 0
		for n+taken < len(b) && len(s.frames) < batch {
			text, length := record(b[n+taken:], lineEnd)
			s.frames = strconv.AppendInt(s.frames, int64(len(text)), 10)
			s.frames = append(append(s.frames, ' '), text...)
			taken += length
		}
		if err := s.conn.SetWriteDeadline(time.Now().Add(writeWithin)); err != nil {
			return n, s.fail(err)
		}
		m, err := s.conn.Write(s.frames)
		if err != nil {
			return n + s.whole(b[n:n+taken], m), s.fail(err)
		}
		n += taken
	}
	return n, nil
}

// whole is how many bytes of records have gone out whole when m bytes of their frames have.
func (s *Stream) whole(b []byte, m int) (n int) {
	for n < len(b) {
		text, length := record(b[n:], lineEnd)
		if m -= len(strconv.Itoa(len(text))) + 1 + len(text); m < 0 {
			return n
		}
		n += length
	}
	return n
}

// connect makes a connection, and has a goroutine see when the other side closes it, which the next write would not.
func (s *Stream) connect() error {
	dialer := net.Dialer{Timeout: dialWithin}
	conn, err := dialer.DialContext(context.Background(), "tcp", s.address)
	if err != nil {
		return err
	}
	gone := &atomic.Bool{}
	s.conn, s.gone = conn, gone
	s.reading.Go(func() {
		_, _ = io.Copy(io.Discard, conn) // it ends when either side closes
		gone.Store(true)
	})
	return nil
}

func (s *Stream) fail(err error) error {
	if s.conn == nil {
		return err
	}
	err = errors.Join(err, s.conn.Close())
	s.reading.Wait()
	s.conn = nil
	return err
}

// Reopen implements Sink.
func (s *Stream) Reopen() error { return s.fail(nil) }

// Close implements io.Closer.
func (s *Stream) Close() error { return s.fail(nil) }

// JournaldSocket and DevLog are where these programs listen.
const (
	JournaldSocket = "/run/systemd/journal/socket"
	DevLog         = "/dev/log"
)

// Facilities are those of syslog (RFC 5424, section 6.2.1) by their usual names.
var Facilities = []string{"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp", "audit", "alert", "clock",
	"local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"}

// Facility returns the number of a facility.
func Facility(name string) (int, error) {
	for i, f := range Facilities {
		if f == name {
			return i, nil
		}
	}
	return 0, fmt.Errorf("no facility %q", name)
}
