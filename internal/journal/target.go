package journal

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/weirhq/weir/internal/journal/sink"
)

// Target is where a log goes.
type Target struct {
	Kind    TargetKind
	Network string // of syslog: "udp", "tcp" or "unixgram"
	Address string // of it; the path of a file or a socket
}

// TargetKind is what kind of place that is.
type TargetKind uint8

// The kinds.
const (
	ToNowhere TargetKind = iota
	ToStdout
	ToStderr
	ToFile
	ToSyslog
	ToJournald
)

// ParseTarget reads where a log goes: "none", "stdout", "stderr", "journald", "syslog" (/dev/log), "syslog://HOST:PORT" (UDP),
// "syslog+tcp://HOST:PORT", "syslog+unix:///PATH", or the path of a file. The error says what to write.
func ParseTarget(to string) (Target, error) {
	switch to {
	case "", "none":
		return Target{}, nil
	case "stdout":
		return Target{Kind: ToStdout}, nil
	case "stderr":
		return Target{Kind: ToStderr}, nil
	case "journald":
		return Target{Kind: ToJournald, Network: "unixgram", Address: sink.JournaldSocket}, nil
	case "syslog":
		return Target{Kind: ToSyslog, Network: "unixgram", Address: sink.DevLog}, nil
	}
	if !strings.Contains(to, "://") {
		return Target{Kind: ToFile, Address: to}, nil
	}
	const write = "write syslog://HOST:PORT for UDP, syslog+tcp://HOST:PORT, syslog+unix:///PATH, or syslog for /dev/log"
	u, err := url.Parse(to)
	if err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return Target{}, fmt.Errorf("%q is no address of syslog: %s", to, write)
	}
	t := Target{Kind: ToSyslog}
	port := ""
	switch u.Scheme {
	case "syslog", "syslog+udp":
		t.Network, port = "udp", "514" // RFC 5426, section 3.3
	case "syslog+tcp":
		t.Network, port = "tcp", "601" // RFC 3195; RFC 6587 names none
	case "syslog+unix":
		if u.Host != "" || !filepath.IsAbs(u.Path) {
			return Target{}, fmt.Errorf("%q names no socket: write syslog+unix:///run/PATH", to)
		}
		return Target{Kind: ToSyslog, Network: "unixgram", Address: u.Path}, nil
	default:
		return Target{}, fmt.Errorf("%q begins with %s://, which is none that weir knows: %s", to, u.Scheme, write)
	}
	if u.Hostname() == "" || strings.Contains(u.Hostname(), ":") && !strings.HasPrefix(u.Host, "[") || u.Path != "" && u.Path != "/" {
		return Target{}, fmt.Errorf("%q is no address of syslog: %s", to, write)
	}
	if u.Port() != "" {
		port = u.Port()
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return Target{}, fmt.Errorf("%q has no port: %s", to, write)
		}
	}
	t.Address = net.JoinHostPort(u.Hostname(), port)
	return t, nil
}

// datagramText is how much of one text of a client's goes into a datagram: six of them, each byte escaped, fit into the largest.
const datagramText = 1500

// short cuts what a client sent, so that the record fits into a datagram.
func short(l *Line) Line {
	s := *l
	for _, t := range []*[]byte{&s.Method, &s.Target, &s.Host, &s.Referer, &s.UserAgent, &s.ID} {
		*t = (*t)[:min(len(*t), datagramText)]
	}
	s.Name = s.Name[:min(len(s.Name), datagramText)]
	return s
}

// severity of a line, as syslog and journald have it.
func severity(l *Line) int {
	if l.Status >= 500 || l.Failure {
		return 4 // warning
	}
	return 6 // informational
}

var nothing, spaces = [256]bool{}, [256]bool{' ': true}

var lineFeed, emptyLine = []byte("\n"), []byte("\n\n")

// syslogMessage is a format with the header of RFC 5424, section 6, before it.
func syslogMessage(format func([]byte, *Line) []byte, facility int) func([]byte, *Line) []byte {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "-"
	}
	rest := " " + string(appendApart(nil, host[:min(len(host), 255)], &spaces)) + " weir " + strconv.Itoa(os.Getpid()) + " access - "
	return func(dst []byte, l *Line) []byte {
		dst = append(dst, '<')
		dst = strconv.AppendInt(dst, int64(facility*8+severity(l)), 10)
		dst = append(dst, ">1 "...)
		dst = appendRFC3339(dst, l.Time)
		dst = append(dst, rest...)
		s := short(l)
		return format(dst, &s)
	}
}

// journaldEntry is an entry in journald's own protocol, with the line as its message and, to search by, the id, the status and the way of
// the request.
func journaldEntry(format func([]byte, *Line) []byte) func([]byte, *Line) []byte {
	return func(dst []byte, l *Line) []byte {
		s := short(l)
		dst = append(dst, "SYSLOG_IDENTIFIER=weir\nPRIORITY="...)
		dst = append(dst, byte('0'+severity(l)))
		dst = append(dst, "\nWEIR_STATUS="...)
		dst = strconv.AppendInt(dst, int64(l.Status), 10)
		dst = append(appendEscaped(append(dst, "\nWEIR_ID="...), s.ID), "\nWEIR_CLIENT="...)
		dst = appendClient(dst, l.Client, "unix")
		for _, f := range [...]struct{ name, value string }{{"\nWEIR_SITE=", l.Site}, {"\nWEIR_ROUTE=", l.Route}, {"\nWEIR_POOL=", l.Pool}, {"\nWEIR_SERVER=", l.Server}, {"\nWEIR_CAUSE=", l.Cause.String()}} {
			if f.value != "" {
				dst = appendApart(append(dst, f.name...), f.value, &nothing)
			}
		}
		dst = format(append(dst, "\nMESSAGE="...), &s)
		return append(dst, '\n')
	}
}

// shares is which lines are written, by class of status.
type shares struct {
	below [6]uint64 // of 1<<32
	text  [6]string
}

// newShares returns nil when all lines are written.
func newShares(of [6]float64) *shares {
	if of == [6]float64{} {
		return nil
	}
	s := &shares{}
	for i, share := range of {
		switch {
		case share == 0 || share >= 1:
			s.below[i], s.text[i] = 1<<32, "1"
		case share > 0:
			s.below[i], s.text[i] = uint64(share*(1<<32)), strconv.FormatFloat(share, 'g', 6, 64)
		}
	}
	return s
}

// share says whether a line is written, and which share of those like it are.
func (w *Writer) share(l *Line) (text string, ok bool) {
	if w.shares == nil {
		return "", true
	}
	if l.Slow || l.Failure {
		return "1", true
	}
	class := min(max(l.Status/100, 0), len(w.shares.below)-1)
	w.random ^= w.random << 13
	w.random ^= w.random >> 7
	w.random ^= w.random << 17
	return w.shares.text[class], w.random>>32 < w.shares.below[class]
}
