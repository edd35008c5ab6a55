package top

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/picture"
)

const (
	askTime    = 10 * time.Second
	actTime    = 10 * time.Minute // until the workers of an app are replaced
	silence    = 20 * time.Second // the desk says something more often
	maxFrame   = 64 << 20
	storyTick  = 250 * time.Millisecond // stories are shown in lots, not one by one
	maxAlerts  = 100
	maxNumbers = 5000 // as many as the desk keeps
	storyLot   = 200  // of a lot; more cannot be read
)

// conn asks the desk and tells what it says to send. Every goroutine of it ends with the context, and wait waits for them.
type conn struct {
	desk *api.Client
	send func(any)
	ctx  context.Context
	all  sync.WaitGroup

	endLog context.CancelFunc // of the log that is followed; the caller's of do
}

// do sees to it that what is asked for is done, and its answer sent. One goroutine calls it.
func (c *conn) do(what any) {
	switch what := what.(type) {
	case askLog:
		c.stopLog()
		ctx, cancel := context.WithCancel(c.ctx)
		c.endLog = cancel
		if what.recent {
			c.all.Go(func() { c.send(c.answer(ctx, what)) })
			return
		}
		c.all.Go(func() { c.followLog(ctx, what) })
	case endLog:
		c.stopLog()
	default:
		c.all.Go(func() {
			if got := c.answer(c.ctx, what); got != nil {
				c.send(got)
			}
		})
	}
}

func (c *conn) stopLog() {
	if c.endLog != nil {
		c.endLog()
		c.endLog = nil
	}
}

func (c *conn) wait() {
	c.stopLog()
	c.all.Wait()
}

// answer asks the desk for what is wanted and returns what it says, nil for nothing.
func (c *conn) answer(ctx context.Context, what any) any {
	within := askTime
	if _, ok := what.(reload); ok {
		within = actTime
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	switch what := what.(type) {
	case askMe:
		var me Me
		if c.desk.Get(ctx, "/api/v1/me", &me) != nil {
			return nil // who may not act is told so when it tries
		}
		return gotMe{me}
	case askEvents:
		var list []Event
		if c.desk.Get(ctx, "/api/v1/events?n="+strconv.Itoa(maxEvents), &list) != nil {
			return nil // without those of before there are those to come
		}
		return gotEvents{list, true}
	case askAlerts:
		var told struct {
			Alerts []Alert `json:"alerts"`
		}
		if c.desk.Get(ctx, "/api/v1/alerts", &told) != nil {
			return nil // a desk of before knows none; one that is gone says so in the stream
		}
		return gotAlerts{firing(told.Alerts)}
	case askNumbers:
		var told struct {
			Numbers []Number `json:"numbers"`
		}
		if c.desk.Get(ctx, "/api/v1/numbers", &told) != nil {
			return nil // as with alerts
		}
		return gotNumbers{told.Numbers[:min(len(told.Numbers), maxNumbers)]}
	case askSeries:
		s := &Series{}
		err := c.desk.Get(ctx, "/api/v1/series?of="+url.QueryEscape(what.of)+"&span="+what.span, s)
		return gotSeries{what.of, what.span, s, err}
	case askCache:
		s := &api.CacheStatus{}
		err := c.desk.Get(ctx, "/api/v1/cache", s)
		return gotCache{s, err}
	case askLog:
		list, err := c.recentLog(ctx, what)
		return gotStories{run: what.run, list: list, err: err}
	case intervene:
		var out api.Intervention
		if err := c.desk.Post(ctx, "/api/v1/intervention", what.what, &out); err != nil {
			return gotDone{err: err}
		}
		return gotDone{text: done(out)}
	case reload:
		if err := c.desk.Post(ctx, "/api/v1/reload", api.Reload{App: what.app}, nil); err != nil {
			return gotDone{err: err}
		}
		return gotDone{text: "the app " + what.app + " is reloaded"}
	}
	return nil
}

// firing leaves the alerts that fire, and are neither silenced nor only what follows from another.
func firing(all []Alert) (out []Alert) {
	for _, a := range all {
		if a.State == "firing" && a.By == "" && a.Silenced == "" && len(out) < maxAlerts {
			out = append(out, a)
		}
	}
	return out
}

// follow tells of every picture and event until the context ends. When the desk goes it says so, and comes back with it.
func (c *conn) follow() {
	pause := time.Second
	for c.ctx.Err() == nil {
		at := time.Now()
		err := c.stream(c.ctx)
		if c.ctx.Err() != nil {
			return
		}
		c.send(lost{err})
		if time.Since(at) > 10*time.Second {
			pause = time.Second
		}
		select {
		case <-c.ctx.Done():
		case <-time.After(pause):
		}
		pause = min(pause*2, 5*time.Second)
	}
}

var errSilent = errors.New("the desk says nothing any more")

// stream reads server-sent events until it fails, which is the error.
func (c *conn) stream(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(silence, func() { cancel(errSilent) })
	defer watch.Stop()
	body, err := c.desk.Stream(ctx, "/api/v1/stream")
	if err != nil {
		return causeOf(ctx, err)
	}
	defer body.Close() //nolint:errcheck // only read
	r := &eventReader{in: bufio.NewReaderSize(body, 64<<10)}
	for {
		name, data, err := r.next()
		if err != nil {
			return causeOf(ctx, err)
		}
		watch.Reset(silence)
		switch name {
		case "picture":
			p := &picture.Picture{}
			if err := json.Unmarshal(data, p); err != nil {
				return fmt.Errorf("reading what the desk tells: %w", err)
			}
			c.send(p)
		case "event":
			var e Event
			if err := json.Unmarshal(data, &e); err != nil {
				return fmt.Errorf("reading what the desk tells: %w", err)
			}
			c.send(gotEvents{list: []Event{e}})
		}
	}
}

// causeOf is why a context was ended if we did that ourselves, or else the error.
func causeOf(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("the desk has ended")
	}
	return err
}

// eventReader reads server-sent events (the HTML standard, 9.2.6) as far as the desk writes them.
type eventReader struct {
	in   *bufio.Reader
	name string
	data []byte
}

var errTooLong = fmt.Errorf("the desk sends more than %d MiB at once", maxFrame>>20)

// next returns the next event; its data is valid until the one after. Comments count as events without a name.
func (r *eventReader) next() (name string, data []byte, err error) {
	r.name, r.data = "", r.data[:0]
	for {
		l, err := r.line()
		switch {
		case err != nil:
			return "", nil, err
		case len(l) == 0:
			return r.name, r.data, nil
		}
		field, value, _ := bytes.Cut(l, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "event":
			r.name = string(value[:min(len(value), 100)])
		case "data":
			if len(r.data)+len(value) > maxFrame {
				return "", nil, errTooLong
			}
			r.data = append(r.data, value...)
		}
	}
}

func (r *eventReader) line() ([]byte, error) {
	l, err := r.in.ReadSlice('\n')
	if err == nil {
		return bytes.TrimRight(l, "\r\n"), nil
	}
	whole := append([]byte{}, l...)
	for errors.Is(err, bufio.ErrBufferFull) {
		if len(whole) > maxFrame {
			return nil, errTooLong
		}
		l, err = r.in.ReadSlice('\n')
		whole = append(whole, l...)
	}
	if err != nil {
		return nil, err
	}
	return bytes.TrimRight(whole, "\r\n"), nil
}

func logPath(what askLog) string {
	q := url.Values{}
	if what.filter != "" {
		q.Set("filter", what.filter)
	}
	if what.recent {
		q.Set("recent", strconv.Itoa(recentLen))
	}
	return "/api/v1/log?" + q.Encode()
}

// recentLog returns the last slow and failed requests, the oldest first.
func (c *conn) recentLog(ctx context.Context, what askLog) ([]*story, error) {
	body, err := c.desk.Stream(ctx, logPath(what))
	if err != nil {
		return nil, err
	}
	defer body.Close() //nolint:errcheck // only read
	var list []*story
	in := bufio.NewScanner(body)
	in.Buffer(make([]byte, 0, 64<<10), maxStory)
	for in.Scan() {
		if len(in.Bytes()) == 0 {
			continue
		}
		s, err := readStory(in.Bytes(), "")
		if err != nil {
			return list, err
		}
		if s.key = s.id(); len(list) < maxStories {
			list = append(list, s)
		}
	}
	return list, in.Err()
}

// followLog sends requests as they end, until the context does.
func (c *conn) followLog(ctx context.Context, what askLog) {
	body, err := c.desk.Stream(ctx, logPath(what))
	if err != nil {
		if ctx.Err() == nil {
			c.send(gotStories{run: what.run, err: err})
		}
		return
	}
	defer body.Close() //nolint:errcheck // only read
	lines := make(chan []byte)
	ended := make(chan error, 1)
	c.all.Go(func() {
		in := bufio.NewScanner(body)
		in.Buffer(make([]byte, 0, 64<<10), maxStory)
		for in.Scan() {
			if len(in.Bytes()) == 0 { // it says only that it is there
				continue
			}
			select {
			case lines <- bytes.Clone(in.Bytes()):
			case <-ctx.Done():
				return
			}
		}
		ended <- in.Err()
	})
	var lot [][]byte
	unseen := 0
	tick := time.NewTicker(storyTick)
	defer tick.Stop()
	flush := func() {
		if len(lot) > 0 {
			c.send(storiesOf(what.run, lot, unseen))
		}
		lot, unseen = lot[:0], 0
	}
	for {
		select {
		case l := <-lines:
			if len(lot) >= storyLot {
				lot = append(lot[:0], lot[1:]...)
				unseen++
			}
			lot = append(lot, l)
		case <-tick.C:
			flush()
		case err := <-ended:
			flush()
			if err == nil {
				err = errors.New("the edge has ended the log")
			}
			if ctx.Err() == nil {
				c.send(gotStories{run: what.run, err: err})
			}
			return
		case <-ctx.Done():
			return
		}
	}
}

func storiesOf(run int, lot [][]byte, unseen int) gotStories {
	got := gotStories{run: run, unseen: unseen}
	for _, l := range lot {
		s, err := readStory(l, "")
		if err != nil {
			got.err = err
			continue
		}
		if n := s.dropped(); n > 0 {
			got.unseen += n
			continue
		}
		s.key = s.id()
		got.list = append(got.list, s)
	}
	return got
}

// Picture asks for what the desk knows now, as it tells it.
func Picture(ctx context.Context, desk *api.Client) (json.RawMessage, error) {
	var raw json.RawMessage
	for {
		err := desk.Get(ctx, "/api/v1/picture", &raw)
		var failed *api.Failed
		if err == nil || !errors.As(err, &failed) || failed.Status != 503 {
			return raw, err
		}
		select { // it has just been started
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return nil, err
		}
	}
}
