package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/weirhq/weir/internal/api"
)

// How weir log stays with the edge. RUNDIR/edge.sock is a link to the socket of the edge that accepts. When it leads elsewhere, another edge has
// followed: that one is listened to as well, and the one before until it has told its last. The one before has told the next who listens, by the name
// in as=, so that nothing is missed meanwhile. When an edge dies, the next one is asked
// for what it knows of the time between; what was told already is told once.

const (
	lookAfter = 25 * time.Millisecond // for another edge
	lineLimit = 1 << 20
	// before is how much earlier than its end an edge's successor is asked about: clocks and buffers.
	before = 2 * time.Second
	// patience is how long none may be there before that is told.
	patience = time.Second
)

// heard is a line, or the end of those of one edge.
type heard struct {
	line   []byte
	socket string
	end    bool
	err    error
}

// follow shows lines as they come, of one edge after another, until the context ends.
func (s *logSource) follow(ctx context.Context, w *logWriter) error {
	ctx, cancel := context.WithCancel(ctx)
	all := make(chan heard, 1024)
	open := map[string]bool{}
	defer func() {
		cancel()
		for len(open) > 0 { // each says when it ends
			if h := <-all; h.end {
				delete(open, h.socket)
			}
		}
	}()
	begin := func(socket string, query url.Values) {
		open[socket] = true
		go s.listen(ctx, socket, s.path(query), all)
	}
	query := url.Values{}
	if s.recent > 0 {
		query = url.Values{"recent": {strconv.Itoa(s.recent)}, "follow": {"true"}}
	}
	begin(s.socket(), query)
	tick := time.NewTicker(lookAfter)
	defer tick.Stop()
	var lost time.Time // when the last one that was listened to ended
	told, broke := false, ""
	for {
		if len(all) == 0 {
			if err := w.Flush(); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case h := <-all:
			if !h.end {
				if len(h.line) == 0 {
					s.seen.begun, lost = true, time.Time{}
					if broke == h.socket {
						s.say("the connection to the edge broke: some requests that ended meanwhile may not be shown")
						broke = ""
					}
				}
				if err := s.pass(h.line, w); err != nil {
					return err
				}
				continue
			}
			delete(open, h.socket)
			if s.seen.begun && h.socket == s.socket() { // it has not been followed by another
				broke = h.socket
			}
			if err := s.lost(h.err); err != nil {
				return err
			}
			if len(open) == 0 && lost.IsZero() {
				lost, told = time.Now(), false
			}
		case <-tick.C:
			socket := s.socket()
			if open[socket] {
				continue
			}
			from := time.Now()
			if !lost.IsZero() {
				from = lost
				if !told && time.Since(lost) > patience {
					s.say("no edge answers: waiting for the next one")
					told = true
				}
			}
			begin(socket, url.Values{"since": {strconv.FormatInt(from.Add(-before).UnixMilli(), 10)}})
		}
	}
}

// lost judges the end of a stream: nil means that another one may come.
func (s *logSource) lost(err error) error {
	var failed *api.Failed
	var away *api.Unreachable
	switch {
	case errors.As(err, &failed):
		return olderEdge(err) // it would say the same again
	case errors.As(err, &away) && !s.seen.begun:
		return err
	}
	return nil
}

// listen passes the lines of one edge on, and at last that there are no more.
func (s *logSource) listen(ctx context.Context, socket, path string, to chan<- heard) {
	client := api.NewClient(socket)
	defer client.Close()
	body, err := client.Stream(ctx, path)
	if err != nil {
		to <- heard{socket: socket, end: true, err: err}
		return
	}
	to <- heard{socket: socket} // it is there: an empty line
	err = eachLine(body, func(line []byte) error {
		select {
		case to <- heard{line: append([]byte(nil), line...), socket: socket}:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	_ = body.Close() // it has ended
	to <- heard{socket: socket, end: true, err: err}
}

// eachLine calls f with each whole line, without its end.
func eachLine(r io.Reader, f func([]byte) error) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 64<<10), lineLimit)
	sc.Split(func(data []byte, atEOF bool) (int, []byte, error) {
		if atEOF && bytes.IndexByte(data, '\n') < 0 {
			return len(data), nil, nil // half a line is none
		}
		return bufio.ScanLines(data, atEOF)
	})
	for sc.Scan() {
		if err := f(sc.Bytes()); err != nil {
			return err
		}
	}
	return sc.Err()
}

// socket is that of the edge that accepts.
func (s *logSource) socket() string {
	link := api.EdgeSocket(s.dir)
	to, err := os.Readlink(link)
	if err != nil {
		return link // there is none, and whoever connects is told so
	}
	if !filepath.IsAbs(to) {
		to = filepath.Join(s.dir, to)
	}
	return to
}

// recently knows which requests have been told of late.
type recently struct {
	begun bool // anything has come at all
	known map[string]bool
	order []string
	next  int
}

// remembered is more than the edges keep.
const remembered = 4096

// first reports whether it has not been told, and notes that it is now.
func (r *recently) first(id string) bool {
	if r.known[id] {
		return false
	}
	if r.known == nil {
		r.known = map[string]bool{}
	}
	if len(r.order) < remembered {
		r.order = append(r.order, id)
	} else {
		delete(r.known, r.order[r.next])
		r.order[r.next] = id
		r.next = (r.next + 1) % remembered
	}
	r.known[id] = true
	return true
}
