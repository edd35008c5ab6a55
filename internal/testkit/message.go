package testkit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Message is a request or a response as it came. It is read by a parser of its own, so that a test of weir's does
// not judge itself.
type Message struct {
	Start   string   // the request line or status line, without its end
	Status  int      // of a response
	Lines   []string // the field lines, without their ends
	Body    string   // decoded
	Trailer []string
	Chunked bool
}

// Field returns the values of a field joined with ", ", and "" when there is none.
func (m *Message) Field(name string) string { return strings.Join(values(m.Lines, name), ", ") }

// Has reports whether there is a field of the name.
func (m *Message) Has(name string) bool { return len(values(m.Lines, name)) > 0 }

func values(lines []string, name string) (all []string) {
	for _, l := range lines {
		if n, v, ok := strings.Cut(l, ":"); ok && strings.EqualFold(n, name) {
			all = append(all, strings.TrimSpace(v))
		}
	}
	return all
}

// maxHead bounds what a test reads as one head.
const maxHead = 1 << 20

func readHead(r *bufio.Reader) (string, error) {
	var b []byte
	for {
		c, err := r.ReadByte()
		if err != nil {
			return string(b), err
		}
		if b = append(b, c); strings.HasSuffix(string(b[max(0, len(b)-4):]), "\r\n\r\n") {
			return string(b), nil
		}
		if len(b) > maxHead {
			return string(b), errors.New("the head does not end")
		}
	}
}

func parseHead(r *bufio.Reader) (*Message, error) {
	head, err := readHead(r)
	if err != nil {
		return nil, fmt.Errorf("after %s: %w", short(head), err)
	}
	lines := strings.Split(strings.TrimSuffix(head, "\r\n\r\n"), "\r\n")
	for _, l := range lines {
		if strings.ContainsAny(l, "\r\n\x00") {
			return nil, fmt.Errorf("a bare CR, LF or NUL in %q", l)
		}
	}
	for _, l := range lines[1:] {
		if n, _, ok := strings.Cut(l, ":"); !ok || n == "" || strings.ContainsAny(n, " \t") {
			return nil, fmt.Errorf("no field line: %q", l)
		}
	}
	return &Message{Start: lines[0], Lines: lines[1:]}, nil
}

func readRequest(r *bufio.Reader) (*Message, error) {
	m, err := parseHead(r)
	if err != nil {
		return nil, err
	}
	if len(strings.Split(m.Start, " ")) != 3 {
		return nil, fmt.Errorf("no request line: %q", m.Start)
	}
	return m, m.body(r, false)
}

func readResponse(r *bufio.Reader, method string) (*Message, error) {
	m, err := parseHead(r)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(m.Start, "HTTP/1.") || len(m.Start) < 12 || m.Start[8] != ' ' {
		return nil, fmt.Errorf("no status line: %q", m.Start)
	}
	if m.Status, err = strconv.Atoi(m.Start[9:12]); err != nil {
		return nil, fmt.Errorf("no status line: %q", m.Start)
	}
	// RFC 9112, section 6.3: these have no body, whatever their fields say.
	if method == "HEAD" || m.Status < 200 || m.Status == 204 || m.Status == 304 {
		return m, nil
	}
	return m, m.body(r, true)
}

func (m *Message) body(r *bufio.Reader, untilClose bool) error {
	length, coding := values(m.Lines, "Content-Length"), values(m.Lines, "Transfer-Encoding")
	switch {
	case len(length) > 1 || len(coding) > 1 || len(length)+len(coding) > 1:
		return fmt.Errorf("more than one framing: %q, %q", length, coding)
	case len(coding) == 1:
		if !strings.EqualFold(coding[0], "chunked") {
			return fmt.Errorf("Transfer-Encoding: %s", coding[0])
		}
		m.Chunked = true
		return m.chunks(r)
	case len(length) == 1:
		n, err := strconv.ParseUint(length[0], 10, 40)
		if err != nil {
			return fmt.Errorf("Content-Length: %w", err)
		}
		b := make([]byte, n)
		got, err := io.ReadFull(r, b)
		m.Body = string(b[:got])
		if err != nil {
			return fmt.Errorf("%d of %d bytes: %w", got, n, err)
		}
		return nil
	case untilClose:
		b, err := io.ReadAll(r)
		m.Body = string(b)
		return err
	}
	return nil
}

func (m *Message) chunks(r *bufio.Reader) error {
	var b strings.Builder
	defer func() { m.Body = b.String() }()
	for {
		line, err := readLine(r)
		if err != nil {
			return fmt.Errorf("chunk size after %d bytes: %w", b.Len(), err)
		}
		size, _, _ := strings.Cut(line, ";")
		n, err := strconv.ParseUint(strings.TrimSpace(size), 16, 40)
		if err != nil {
			return fmt.Errorf("chunk size %q: %w", line, err)
		}
		if n == 0 {
			break
		}
		if _, err := io.CopyN(&b, r, int64(n)); err != nil {
			return fmt.Errorf("chunk of %d bytes: %w", n, err)
		}
		if end, err := readLine(r); err != nil || end != "" {
			return fmt.Errorf("end of a chunk: %q, %v", end, err)
		}
	}
	for {
		line, err := readLine(r)
		if err != nil || line == "" {
			return err
		}
		m.Trailer = append(m.Trailer, line)
	}
}

func readLine(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return line, err
	}
	text, ok := strings.CutSuffix(line, "\r\n")
	if !ok {
		return line, fmt.Errorf("bare LF after %q", line)
	}
	return text, nil
}
