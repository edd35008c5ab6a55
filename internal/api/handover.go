package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
)

const (
	// rightsPerMessage is how many descriptors travel in one message. Linux takes 253 (SCM_MAX_FD), other systems fewer.
	rightsPerMessage = 64
	// messageSize bounds a message in both directions; a message that does not fit is an error, not cut short.
	messageSize = 32 << 10
	// reportErrorSize bounds the text of a Report, so that a report always fits even when every byte of it is escaped.
	reportErrorSize = 4 << 10
	// stateSize bounds the state that an edge reads: the configuration's text and the workers.
	stateSize = 256 << 20
	// childFD is where a process that the keeper has started finds its end of the pair.
	childFD = 3
)

// packet is a Handover as it travels: More says that further descriptors of the same Handover come in the next one.
type packet struct {
	Handover
	More bool `json:"more,omitempty"`
}

// KeeperConn returns the end of the pair of a process that the keeper has started, which the keeper put at descriptor 3. The connection is not inherited
// by programs that the edge starts. Call it once.
func KeeperConn() (*net.UnixConn, error) {
	// What is no socket is somebody else's, and is not closed: in a test, a file of the testing package.
	var is syscall.Stat_t
	if err := syscall.Fstat(childFD, &is); err != nil || is.Mode&syscall.S_IFMT != syscall.S_IFSOCK {
		return nil, errors.New("taking the connection to the keeper: descriptor 3 is no socket; `weir run` starts this itself")
	}
	c, err := Conn(os.NewFile(childFD, "keeper"))
	if err != nil {
		return nil, fmt.Errorf("taking the connection to the keeper (`weir run` starts this itself): %w", err)
	}
	return c, nil
}

// Conn makes a connection of one end of a pair, and closes f.
func Conn(f *os.File) (*net.UnixConn, error) {
	c, err := net.FileConn(f) // a duplicate, close-on-exec and non-blocking
	if cerr := f.Close(); err == nil && cerr != nil {
		err = errors.Join(cerr, c.Close())
	}
	if err != nil {
		return nil, fmt.Errorf("using descriptor %s: %w", f.Name(), err)
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("using descriptor %s: it is no Unix socket", f.Name()), c.Close())
	}
	return u, nil
}

// SendHandover sends h with files as rights, in several messages when there are many. The files stay the caller's.
// One goroutine at a time.
func SendHandover(conn *net.UnixConn, h Handover, files ...*os.File) error {
	for {
		n := min(len(files), rightsPerMessage)
		body, err := json.Marshal(packet{h, n < len(files)})
		if err != nil {
			return fmt.Errorf("handing over %s: %w", h.Kind, err)
		}
		if len(body) > messageSize {
			return fmt.Errorf("handing over %s: a message of %d bytes is too long", h.Kind, len(body))
		}
		if err := sendRights(conn, body, files[:n]); err != nil {
			return fmt.Errorf("handing over %s %s: %w", h.Kind, h.Address, err)
		}
		if files = files[n:]; len(files) == 0 {
			return nil
		}
	}
}

// sendRights sends one message. The descriptors are taken through Control, because File.Fd may change their mode.
func sendRights(conn *net.UnixConn, body []byte, files []*os.File) error {
	fds := make([]int, 0, len(files))
	var send func(rest []*os.File) error
	send = func(rest []*os.File) error {
		if len(rest) == 0 {
			var rights []byte
			if len(fds) > 0 {
				rights = syscall.UnixRights(fds...)
			}
			_, _, err := conn.WriteMsgUnix(body, rights, nil)
			return err
		}
		raw, err := rest[0].SyscallConn()
		if err != nil {
			return err
		}
		// Nested, so that every descriptor is still open, and still this file's, when the message goes out.
		cerr := raw.Control(func(fd uintptr) {
			fds = append(fds, int(fd))
			err = send(rest[1:])
		})
		return errors.Join(cerr, err)
	}
	return send(files)
}

// ReceiveHandover waits for the next Handover and its files, which are the caller's from then on. io.EOF when the
// keeper is gone. One goroutine at a time.
func ReceiveHandover(conn *net.UnixConn) (Handover, []*os.File, error) {
	var all []*os.File
	for {
		var p packet
		files, err := receive(conn, &p)
		all = append(all, files...)
		if err != nil {
			closeAll(all)
			if errors.Is(err, io.EOF) && len(all) == 0 {
				return Handover{}, nil, io.EOF
			}
			return Handover{}, nil, fmt.Errorf("receiving from the keeper: %w", err)
		}
		if !p.More {
			return p.Handover, all, nil
		}
	}
}

// SendReport sends r to the keeper. A very long Error is cut.
func SendReport(conn *net.UnixConn, r Report) error {
	if len(r.Error) > reportErrorSize {
		r.Error = r.Error[:reportErrorSize] + " …"
	}
	body, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("reporting to the keeper: %w", err)
	}
	if _, err := conn.Write(body); err != nil {
		return fmt.Errorf("reporting to the keeper: %w", err)
	}
	return nil
}

// AwaitReport waits until there is a report to receive, or the edge is gone, and takes nothing. An error means that conn is closed.
func AwaitReport(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Read(func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		return !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EINTR)
	})
}

// ReceiveReport waits for the next report of an edge; io.EOF when it is gone.
func ReceiveReport(conn *net.UnixConn) (Report, error) {
	var r Report
	files, err := receive(conn, &r)
	closeAll(files) // an edge has no descriptors to give
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		return Report{}, io.EOF
	}
	if err != nil {
		return Report{}, fmt.Errorf("receiving from the edge: %w", err)
	}
	return r, nil
}

// receive reads one message into v and returns the descriptors that came with it, also when there is an error.
func receive(conn *net.UnixConn, v any) ([]*os.File, error) {
	body := make([]byte, messageSize)
	rights := make([]byte, syscall.CmsgSpace(4*rightsPerMessage))
	n, rn, flags, _, err := conn.ReadMsgUnix(body, rights)
	if err != nil {
		return nil, err
	}
	files, err := parseRights(rights[:rn])
	switch {
	case err != nil:
		return files, err
	case n == 0:
		return files, io.EOF // SOCK_SEQPACKET: the other end is closed
	case flags&(syscall.MSG_TRUNC|syscall.MSG_CTRUNC) != 0:
		return files, errors.New("a message or its descriptors were cut off (is the limit on open files reached?)")
	}
	if err := json.Unmarshal(body[:n], v); err != nil {
		return files, fmt.Errorf("reading a message: %w", err)
	}
	return files, nil
}

func parseRights(b []byte) ([]*os.File, error) {
	if len(b) == 0 {
		return nil, nil
	}
	var files []*os.File
	messages, err := syscall.ParseSocketControlMessage(b)
	if err != nil {
		return nil, fmt.Errorf("reading descriptors: %w", err)
	}
	for i := range messages {
		fds, err := syscall.ParseUnixRights(&messages[i])
		if err != nil {
			return files, fmt.Errorf("reading descriptors: %w", err)
		}
		for _, fd := range fds {
			syscall.CloseOnExec(fd) // Linux has done so on receipt; others have not
			files = append(files, os.NewFile(uintptr(fd), fmt.Sprintf("handed-over-%d", fd)))
		}
	}
	return files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close() //nolint:errcheck // nothing was written to it
	}
}

// SendState hands over a state. It goes through a pipe that the edge reads to its end, so it may be of any size and
// touches no disk; the writer ends when the edge has read it all or is gone.
func SendState(conn *net.UnixConn, s EdgeState) error {
	body, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("handing over the state: %w", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("handing over the state: %w", err)
	}
	defer r.Close() //nolint:errcheck // nothing was written to it
	if err := SendHandover(conn, Handover{Kind: "state"}, r); err != nil {
		return errors.Join(err, w.Close())
	}
	go func() {
		// A failure means that the edge has closed its end; it is the edge that then reports, or is dead.
		w.Write(body) //nolint:errcheck // see above
		w.Close()     //nolint:errcheck // see above
	}()
	return nil
}

// ReadState reads the file that came with a "state" Handover, and closes it.
func ReadState(f *os.File) (EdgeState, error) {
	defer f.Close() //nolint:errcheck // only read
	body, err := io.ReadAll(io.LimitReader(f, stateSize+1))
	if err != nil {
		return EdgeState{}, fmt.Errorf("reading the state: %w", err)
	}
	if len(body) > stateSize {
		return EdgeState{}, fmt.Errorf("reading the state: more than %d bytes", stateSize)
	}
	var s EdgeState
	if err := json.Unmarshal(body, &s); err != nil {
		return EdgeState{}, fmt.Errorf("reading the state: %w", err)
	}
	return s, nil
}
