package statsd

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/weirhq/weir/internal/desk/exposition"
	"github.com/weirhq/weir/internal/metrics"
	"github.com/weirhq/weir/internal/picture"
)

const (
	packet   = 1400 // bytes of lines in a datagram: what passes a network in one piece
	callTime = 5 * time.Second
	sendTime = 5 * time.Second
	backOff  = time.Second // after a failure, doubled each time
	mostOff  = time.Minute
)

// pusher sends weir's numbers to one place. Whoever makes pictures does not wait for it.
type pusher struct {
	graphite bool
	address  string
	prefix   string
	every    time.Duration
	patience time.Duration // with one who does not read

	next chan *picture.Picture // the latest; holds one
	ctx  context.Context       // over when it is to stop
	end  context.CancelFunc
	done chan struct{}

	sent    atomic.Uint64 // lines
	dropped atomic.Uint64
	broken  atomic.Bool

	// The goroutine's.
	conn   net.Conn
	wait   time.Duration
	notTo  time.Time // nobody is called before
	before map[string]float64
	times  map[string]*metrics.Histogram
	last   time.Time
}

// push begins to send. Before is what counters were when the place was told of them the last time, by another process; nil: nobody knows.
func push(t target, patience time.Duration, before map[string]float64) *pusher {
	p := &pusher{graphite: t.graphite, address: t.address, prefix: t.prefix, every: t.every, patience: patience, next: make(chan *picture.Picture, 1), done: make(chan struct{}),
		before: before, times: map[string]*metrics.Histogram{}}
	p.ctx, p.end = context.WithCancel(context.Background())
	go p.run()
	return p
}

// stop ends it, and waits until it has.
func (p *pusher) stop() {
	p.end()
	<-p.done
}

// look leaves the latest picture. It does not wait.
func (p *pusher) look(pic *picture.Picture) {
	select {
	case <-p.next:
	default:
	}
	select {
	case p.next <- pic:
	default:
	}
}

func (p *pusher) run() {
	defer close(p.done)
	defer func() {
		if p.conn != nil {
			p.conn.Close() //nolint:errcheck // all was written
		}
	}()
	for {
		select {
		case <-p.ctx.Done():
			return
		case pic := <-p.next:
			// A picture that is a little early is not a whole second too early for the next one.
			if pic.At.Sub(p.last) < p.every-time.Second/2 {
				continue
			}
			p.last = pic.At
			p.send(pic)
		}
	}
}

// send sends a picture's numbers, or drops and counts them.
func (p *pusher) send(pic *picture.Picture) {
	text, lines := p.lines(pic)
	if err := p.write(text); err != nil {
		p.dropped.Add(lines)
		if errors.Is(err, errLater) {
			return
		}
		if p.conn != nil {
			p.conn.Close() //nolint:errcheck // it is broken
			p.conn = nil
		}
		p.wait = min(max(2*p.wait, backOff), mostOff)
		p.notTo = time.Now().Add(p.wait)
		if !p.broken.Swap(true) {
			slog.Warn("weir's numbers cannot be sent; trying again", "to", p.address, "error", err)
		}
		return
	}
	p.sent.Add(lines)
	p.wait = 0
	if p.broken.Swap(false) {
		slog.Info("weir's numbers are sent again", "to", p.address)
	}
}

var errLater = errors.New("it has failed a moment ago")

func (p *pusher) write(text []byte) error {
	if p.conn != nil && p.graphite && hungUp(p.conn) {
		p.conn.Close() //nolint:errcheck // its other end has gone, as with each restart there
		p.conn = nil
	}
	if p.conn == nil {
		if time.Now().Before(p.notTo) {
			return errLater
		}
		network := "udp"
		if p.graphite {
			network = "tcp"
		}
		d := net.Dialer{Timeout: callTime}
		conn, err := d.DialContext(p.ctx, network, p.address)
		if err != nil {
			return err
		}
		p.conn = conn
	}
	if err := p.conn.SetWriteDeadline(time.Now().Add(p.patience)); err != nil {
		return err
	}
	// Who stops does not wait for one who does not read.
	defer context.AfterFunc(p.ctx, func() { p.conn.SetWriteDeadline(time.Unix(1, 0)) })() //nolint:errcheck // the other deadline is near
	if p.graphite {
		_, err := p.conn.Write(text)
		return err
	}
	for len(text) > 0 {
		n := len(text)
		if n > packet {
			if n = bytes.LastIndexByte(text[:packet], '\n') + 1; n == 0 {
				n = bytes.IndexByte(text, '\n') + 1
			}
		}
		if _, err := p.conn.Write(text[:n]); err != nil {
			return err
		}
		text = text[n:]
	}
	return nil
}

// hungUp reports whether the other end has closed the connection. A Graphite says nothing, and what would be written into one that is closed
// would be lost without an error.
func hungUp(conn net.Conn) bool {
	if conn.SetReadDeadline(time.Now().Add(time.Millisecond)) != nil {
		return true
	}
	_, err := conn.Read(make([]byte, 64))
	return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
}

// lines writes a picture's numbers: for Graphite as they are, for statsd as what was added since the last time.
func (p *pusher) lines(pic *picture.Picture) (text []byte, n uint64) {
	before, times := p.before, p.times
	p.before, p.times = make(map[string]float64, len(before)), make(map[string]*metrics.Histogram, len(times))
	at := strconv.FormatInt(pic.At.Unix(), 10)
	var path []byte
	line := func(end string, v float64, kind string) {
		n++
		text = append(append(text, path...), end...)
		if p.graphite {
			text = strconv.AppendFloat(append(text, ' '), v, 'f', -1, 64)
			text = append(append(append(text, ' '), at...), '\n')
			return
		}
		if kind == "g" && v < 0 {
			// A sign would mean that it is to be added.
			text = append(append(text, ":0|g\n"...), path...)
			text = append(text, end...)
		}
		text = strconv.AppendFloat(append(text, ':'), v, 'f', -1, 64)
		text = append(append(append(text, '|'), kind...), '\n')
	}
	count := func(end string, v float64) {
		if p.graphite {
			line(end, v, "")
			return
		}
		key := string(path) + end
		was, known := before[key]
		p.before[key] = v
		if d := v - was; known && d > 0 {
			line(end, d, "c")
		}
	}
	exposition.Each(pic, func(v *exposition.Value) {
		path = p.appendPath(path[:0], v)
		switch v.Kind {
		case exposition.Histogram:
			key := string(path)
			h := *v.Histogram
			p.times[key] = &h
			count(".count", float64(h.Count()))
			if was := times[key]; was != nil && h.Count() > was.Count() {
				d := h.Since(was)
				for _, q := range [3]struct {
					end   string
					share float64
				}{{".p50", 0.5}, {".p95", 0.95}, {".p99", 0.99}} {
					line(q.end, d.Quantile(q.share).Seconds(), "g")
				}
			}
		case exposition.Counter:
			count("", v.Value)
		default:
			line("", v.Value, "g")
		}
	})
	return text, n
}

// appendPath makes a path of names: prefix.pool_queue_length.web.
func (p *pusher) appendPath(dst []byte, v *exposition.Value) []byte {
	dst = append(append(dst, p.prefix...), '.')
	dst = append(dst, strings.TrimPrefix(v.Name, "weir_")...)
	for _, l := range v.Labels {
		dst = append(dst, '.')
		if l[1] == "" {
			dst = append(dst, '_')
		}
		dst = appendNode(dst, l[1])
	}
	return dst
}

// appendNode makes one part of a path: what separates parts, or means something to either end, becomes _.
func appendNode(dst []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' {
			dst = append(dst, c)
		} else {
			dst = append(dst, '_')
		}
	}
	return dst
}
