// Package otlp sends the traces that the edge tells of to a collector, by OTLP over HTTP. It waits for the collector and nobody waits
// for it: what a collector does not take in time is dropped, and counted. What a span says is the edge's to know: here it is bytes.
package otlp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/trace"
)

const (
	batchSpans = 512              // in one request, at least if there are so many
	batchBytes = 512 << 10        // at most, but for what the edge gives in one piece
	batchEvery = time.Second      // it is sent when it is so old, however few there are
	maxWaiting = 4 << 20          // bytes of spans that wait for the collector; what is more is dropped
	sendTime   = 10 * time.Second // for one try
	retryFirst = time.Second      // before the second try, and twice as long before each further one
	retryMost  = time.Minute
	tries      = 8 // then a batch is given up
	answerSize = 64 << 10
	againFirst = 100 * time.Millisecond // before the edge is called again
	againMost  = 5 * time.Second
	lastHeard  = 2 * time.Second // for an edge to say what is left when the sender stops
	lastWords  = time.Second     // for a collector to take it
	sayEvery   = time.Minute     // how often at the most it is said that something does not work
	// One call of the edge. Calls are short, so that a sender that stops need not cut one off, and lose what is on its way.
	listenFor = 400 * time.Millisecond
	hearTime  = 10 * time.Second // more, for one that tells much
)

// Sender listens to the edge and sends what it hears. Start it once; all methods may be called from any goroutine.
type Sender struct {
	client *api.Client
	from   trace.Origin
	http   *http.Client
	ctx    context.Context // of listening
	cancel context.CancelFunc
	last   context.Context // of sending
	give   context.CancelFunc
	work   sync.WaitGroup // what sends
	ears   sync.WaitGroup // what listens
	ending chan struct{}  // closed when no edge is to be called any more
	more   chan struct{}
	first  time.Duration // before the second try

	mu      sync.Mutex
	cfg     *config.Traces // nil: nothing is sent
	waiting []api.Spans
	bytes   int // of them
	listens bool
	stats   Stats
	said    time.Time
}

// Stats is what became of spans.
type Stats struct {
	Sent    uint64 `json:"sent"`    // the collector has taken them
	Dropped uint64 `json:"dropped"` // nobody took them in time, here or in the edge
	Refused uint64 `json:"refused"` // the collector would not have them
	Waiting int    `json:"waiting"`
	Problem string `json:"problem,omitempty"` // why the last try failed; empty: it did not
}

// New makes a sender of what the edge that is called at a socket tells, by whom: weir's version and the host's name.
func New(client *api.Client, version, node string) *Sender {
	s := &Sender{client: client, from: trace.Origin{Version: version, Node: node}, more: make(chan struct{}, 1), ending: make(chan struct{}), first: retryFirst}
	s.http = &http.Client{Timeout: sendTime, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConns: 2, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: sendTime}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.last, s.give = context.WithCancel(context.Background())
	return s
}

// Start begins to listen and to send, once there is something to Use.
func (s *Sender) Start() {
	s.work.Go(s.send)
}

// Use puts a configuration in force; nil ends listening, what waits is dropped.
func (s *Sender) Use(cfg *config.Traces) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cfg = cfg
	if cfg == nil {
		s.stats.Dropped += uint64(s.stats.Waiting)
		s.waiting, s.bytes, s.stats.Waiting = nil, 0, 0
		return
	}
	if !s.listens && !s.stopping() {
		s.listens = true
		s.ears.Go(s.listen)
	}
}

// Stop hears out an edge that ends at the same time and sends what is left, for a few seconds at the most. It waits until all that was
// begun has ended.
func (s *Sender) Stop() {
	s.mu.Lock()
	if !s.stopping() {
		close(s.ending) // nobody listens anew from now on
	}
	s.mu.Unlock()
	heard := make(chan struct{})
	go func() { defer close(heard); s.ears.Wait() }()
	t := time.NewTimer(lastHeard)
	defer t.Stop()
	select {
	case <-heard:
	case <-t.C:
	}
	s.cancel()
	<-heard
	given := time.AfterFunc(lastWords, s.give)
	s.work.Wait()
	given.Stop()
	s.give()
	s.http.CloseIdleConnections()
}

// Stats tells what became of spans.
func (s *Sender) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats
}

func (s *Sender) config() *config.Traces {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cfg
}

// listen hears the edge that serves, by one call after the other.
func (s *Sender) listen() {
	for wait := againFirst; s.wants(); {
		last := s.stopping() // once more after that, for what ended meanwhile
		length := listenFor
		if last {
			length = 0 // what is there
		}
		ok := s.hear(length)
		if last {
			return
		}
		if ok {
			wait = againFirst
			continue
		}
		if wait = min(2*wait, againMost); !s.sleep(wait) {
			return
		}
	}
}

// wants reports whether there is anything to listen for; if not, the next Use begins to.
func (s *Sender) wants() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cfg == nil {
		s.listens = false
	}
	return s.listens
}

// stopping reports whether Stop was called.
func (s *Sender) stopping() bool {
	select {
	case <-s.ending:
		return true
	default:
		return false
	}
}

// sleep waits, and reports whether the sender goes on.
func (s *Sender) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.ending:
		return false
	}
}

// hear calls the edge once, for as long as is said, and reports whether it talked to its end.
func (s *Sender) hear(length time.Duration) bool {
	ctx, cancel := context.WithTimeout(s.ctx, length+hearTime)
	defer cancel()
	body, err := s.client.Stream(ctx, "/v1/spans?for="+length.String())
	if err != nil {
		return false
	}
	defer body.Close() //nolint:errcheck // only read
	begun, in := time.Now(), bufio.NewReader(body)
	for {
		told, err := api.ReadSpans(in)
		if err == io.EOF {
			break
		}
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, io.ErrUnexpectedEOF) { // else it was cut off
				s.fail(fmt.Errorf("reading what the edge tells of traces: %w", err))
			}
			return false
		}
		s.take(&told)
	}
	return time.Since(begun) >= length/2 // one that says goodbye at once is leaving
}

// take keeps what the edge has told until it is sent.
func (s *Sender) take(told *api.Spans) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Dropped += told.Dropped
	if told.Spans <= 0 {
		return
	}
	if s.bytes+len(told.Data) > maxWaiting || s.cfg == nil {
		s.stats.Dropped += uint64(told.Spans)
		return
	}
	s.waiting = append(s.waiting, *told)
	s.bytes += len(told.Data)
	s.stats.Waiting += told.Spans
	if s.stats.Waiting >= batchSpans {
		select {
		case s.more <- struct{}{}:
		default:
		}
	}
}

// batch is spans that are sent together, in the pieces that the edge told.
type batch struct {
	lists [][]byte
	spans int
}

// batch takes what is to be sent next, which is nothing if it has no lists.
func (s *Sender) batch() (*config.Traces, batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b batch
	for size := 0; len(s.waiting) > 0 && b.spans < batchSpans; s.waiting = s.waiting[1:] {
		one := &s.waiting[0]
		if size += len(one.Data); size > batchBytes && len(b.lists) > 0 {
			break
		}
		b.lists = append(b.lists, one.Data)
		b.spans += one.Spans
		s.bytes -= len(one.Data)
	}
	if s.stats.Waiting -= b.spans; len(s.waiting) == 0 {
		s.waiting = nil
	}
	return s.cfg, b
}

// send sends batches, one after the other.
func (s *Sender) send() {
	tick := time.NewTicker(batchEvery)
	defer tick.Stop()
	for s.ctx.Err() == nil {
		select {
		case <-s.ctx.Done():
		case <-tick.C:
		case <-s.more:
		}
		for s.ctx.Err() == nil {
			cfg, b := s.batch()
			if b.spans == 0 {
				break
			}
			s.deliver(cfg, b)
		}
	}
	for {
		cfg, b := s.batch()
		if b.spans == 0 {
			return
		}
		if cfg == nil || s.ended(b, s.try(s.last, cfg, b)) != nil {
			s.drop(b.spans)
		}
	}
}

// deliver sends a batch, again and again if it must be, and drops it if it cannot be sent.
func (s *Sender) deliver(cfg *config.Traces, b batch) {
	wait := s.first
	for n := 1; cfg != nil; n++ {
		err := s.ended(b, s.try(s.last, cfg, b))
		if err == nil {
			return
		}
		var later *busy
		if n >= tries || errors.As(err, &later) && !s.sleep(min(max(later.after, jitter(wait)), retryMost)) || later == nil && !s.sleep(jitter(wait)) {
			break
		}
		wait = min(2*wait, retryMost)
		cfg = s.config()
	}
	s.drop(b.spans)
}

func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d) }

func (s *Sender) drop(n int) {
	s.mu.Lock()
	s.stats.Dropped += uint64(n)
	s.mu.Unlock()
}

// busy is the error of a collector that may take them later.
type busy struct {
	status string
	after  time.Duration
}

func (b *busy) Error() string { return "it answered " + b.status }

// refusal is the error of a collector that will not take them, however often.
type refusal struct{ status, why string }

func (r *refusal) Error() string { return "it answered " + r.status + r.why }

// ended notes how a try ended. It returns an error when another may end better.
func (s *Sender) ended(b batch, err error) error {
	var no *refusal
	s.mu.Lock()
	switch {
	case err == nil:
		s.stats.Sent += uint64(b.spans)
		s.stats.Problem = ""
	case errors.As(err, &no):
		s.stats.Refused += uint64(b.spans)
	}
	s.mu.Unlock()
	if err != nil {
		s.fail(fmt.Errorf("sending traces: %w", err))
	}
	if no != nil {
		return nil
	}
	return err
}

// fail notes what does not work, and says so now and then.
func (s *Sender) fail(err error) {
	if s.last.Err() != nil && errors.Is(err, context.Canceled) {
		return
	}
	s.mu.Lock()
	s.stats.Problem = err.Error()
	say := time.Since(s.said) >= sayEvery
	if say {
		s.said = time.Now()
	}
	st := s.stats
	s.mu.Unlock()
	if say {
		slog.Warn("traces do not reach their collector", "error", err, "dropped", st.Dropped, "refused", st.Refused)
	}
}

// try sends a batch once.
func (s *Sender) try(ctx context.Context, cfg *config.Traces, b batch) error {
	from := s.from
	from.Service = cfg.Service
	body := trace.AppendRequest(nil, from, b.lists...)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, cfg.To, bytes.NewReader(body))
	if err != nil {
		return &refusal{"", "nothing: its address cannot be used"}
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("User-Agent", "weir/"+s.from.Version)
	for _, f := range cfg.Fields {
		req.Header.Set(f.Name, f.Value)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // read below
	said, err := io.ReadAll(io.LimitReader(resp.Body, answerSize))
	switch c := resp.StatusCode; {
	case c/100 == 2:
		return nil // what is said of spans that it did not take is not looked at
	case c == http.StatusTooManyRequests, c == http.StatusBadGateway, c == http.StatusServiceUnavailable, c == http.StatusGatewayTimeout:
		after, _ := strconv.Atoi(resp.Header.Get("Retry-After")) // another form, or none, is no wish
		return &busy{resp.Status, time.Duration(min(max(after, 0), int(retryMost/time.Second))) * time.Second}
	case err != nil:
		return err
	}
	return &refusal{resp.Status, ": " + strconv.Quote(strings.ToValidUTF8(string(said[:min(len(said), 200)]), "\uFFFD"))}
}
