package desk

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/desk/alert"
	"github.com/weirhq/weir/internal/desk/events"
	"github.com/weirhq/weir/internal/desk/grouping"
	"github.com/weirhq/weir/internal/desk/notify"
	"github.com/weirhq/weir/internal/desk/outage"
	"github.com/weirhq/weir/internal/picture"
)

const (
	certsEvery  = time.Hour
	callAgain   = time.Second // after which the workers' output is asked for again
	outputLine  = 256 << 10   // bytes of one line of JSON; a worker's has 8 KiB
	certSize    = 1 << 20
	defaultDown = 0.5 // share of errors at which a site counts as down
)

// alarm joins what decides of alerts, downtime and errors with pictures, with the workers' output, and with those who are told.
type alarm struct {
	hub    *hub
	sender *notify.Sender
	output *api.Client
	cancel context.CancelFunc
	runs   sync.WaitGroup

	mu     sync.Mutex
	cfg    *config.Config
	board  *alert.Board
	book   *outage.Book
	errors *grouping.Book
	seq    uint64 // of the worker's line that comes next
	certs  []alert.Certificate
	news   chan struct{} // another configuration: certificates are read anew
	dirty  bool          // something has changed that is to outlive a desk that is killed
	left   mark          // how far the next one knows of what workers printed
}

// left is what an alarm leaves to the next one.
type left struct {
	Alerts   alert.Saved     `json:"alerts"`
	Errors   grouping.Saved  `json:"errors"`
	Seq      uint64          `json:"seq"`
	Messages []alert.Message `json:"messages"` // that nobody has got yet
}

// newAlarm goes on with what another desk has left. It begins with begin.
func newAlarm(h *hub, node string, cfg *config.Config) *alarm {
	a := &alarm{hub: h, sender: notify.New(node, slog.Default()), output: api.NewClient(api.KeeperSocket(h.runDir)), news: make(chan struct{}, 1)}
	var l left
	h.shelf.read("alerts", into(&l))
	var book outage.Saved
	h.shelf.read("downtime", into(&book))
	a.board, a.errors, a.book, a.seq = alert.New(l.Alerts), grouping.New(l.Errors), outage.New(book, defaultDown), l.Seq
	a.use(cfg)
	if h.shelf.lock != nil { // else there may be another desk yet, which sends them
		for _, m := range l.Messages {
			a.sender.Send(m)
		}
	}
	return a
}

// into reads JSON, or nothing of it.
func into[T any](to *T) func(io.Reader) error {
	return func(r io.Reader) error {
		var got T
		if err := json.NewDecoder(r).Decode(&got); err != nil {
			return err
		}
		*to = got
		return nil
	}
}

// use puts a configuration in force.
func (a *alarm) use(cfg *config.Config) {
	a.mu.Lock()
	a.cfg = cfg
	a.board.Use(cfg.Alerts)
	share := defaultDown
	if cfg.Availability != nil {
		share = cfg.Availability.Errors
	}
	a.book.Use(share)
	a.mu.Unlock()
	a.sender.Use(cfg.Alerts)
	select {
	case a.news <- struct{}{}:
	default:
	}
}

// begin listens to the workers and looks at certificates until stop.
func (a *alarm) begin() {
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel = cancel
	a.runs.Go(func() { a.listen(ctx) })
	a.runs.Go(func() { a.watchCertificates(ctx) })
}

// stop ends it. What nobody has got yet is saved for the next one.
func (a *alarm) stop() {
	a.cancel()
	a.sender.Stop()
	a.runs.Wait()
}

// Look takes the next picture.
func (a *alarm) Look(p *picture.Picture) {
	refused := a.sender.Refused()
	a.mu.Lock()
	for _, m := range refused {
		a.board.Refused(m, p.At)
	}
	period := time.Duration(0)
	if a.cfg.Alerts != nil {
		period = a.cfg.Alerts.Count
	}
	news := a.errors.Look(p, period)
	a.book.Look(p)
	messages, changes := a.board.Step(p, alert.Extra{Certificates: a.certs, News: news, Budgets: a.used()})
	if a.cfg.Alerts == nil {
		messages = nil
	}
	a.dirty = a.dirty || len(messages)+len(changes)+len(refused) > 0
	a.mu.Unlock()
	for _, m := range messages {
		a.sender.Send(m)
	}
	a.tell(changes)
}

// used is what is gone of the budgets. It is called with the lock.
func (a *alarm) used() (all []alert.Budget) {
	for site, most := range a.budgets() {
		all = append(all, alert.Budget{Site: site, Down: a.book.Down(site), Most: most})
	}
	return all
}

// tell has what changed among the events.
func (a *alarm) tell(changes []alert.Change) {
	var all []events.Event
	for _, c := range changes {
		all = append(all, events.Event{At: c.At, Kind: "alert", Subject: c.Alert.ID(), Text: c.Text})
	}
	if len(all) > 0 {
		a.hub.publish(nil, a.hub.events.Add(all...))
	}
}

// mark is a place in what workers print, and how many tracebacks were found up to there.
type mark struct{ seq, counted uint64 }

// manyLines is about half of those that the keeper holds for a desk that was killed.
const manyLines = 2000

// leave leaves what the next desk has to know: what is due, and all of it when something has been told.
func (a *alarm) leave(now time.Time, due func(name string, after time.Duration) bool) {
	shelf := a.hub.shelf
	a.mu.Lock()
	defer a.mu.Unlock()
	at := mark{a.seq, a.errors.Counted()}
	// What the keeper has no more when the next desk asks for it is lost.
	flows := at.seq-a.left.seq > manyLines && at.counted != a.left.counted
	if a.dirty || due("alerts", alertsEvery) || flows && due("alerts", 0) {
		a.left = at
		shelf.leave("alerts", now, asJSON(left{Alerts: a.board.Save(), Errors: a.errors.Save(), Seq: a.seq, Messages: a.sender.Waiting()}))
	}
	if a.dirty || due("downtime", downtimeEvery) {
		shelf.leave("downtime", now, asJSON(a.book.Save()))
	}
	a.dirty = false
}

// listen follows what workers print, until the context is over.
func (a *alarm) listen(ctx context.Context) {
	for ctx.Err() == nil {
		a.mu.Lock()
		seq := a.seq
		a.mu.Unlock()
		if body, err := a.output.Stream(ctx, "/v1/output?since="+strconv.FormatUint(seq, 10)); err == nil {
			err = a.follow(ctx, body)
			slog.Debug("the workers' output has ended", "error", err)
		}
		t := time.NewTimer(callAgain)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
	}
}

// follow reads lines to their end.
func (a *alarm) follow(ctx context.Context, body io.ReadCloser) error {
	defer context.AfterFunc(ctx, func() { body.Close() })() //nolint:errcheck // only read
	defer body.Close()                                      //nolint:errcheck // only read
	lines := bufio.NewScanner(body)
	lines.Buffer(make([]byte, 0, 64<<10), outputLine)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue // a sign of life
		}
		var l struct {
			grouping.Line
			Seq    uint64 `json:"seq"`
			Missed uint64 `json:"missed"`
		}
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return fmt.Errorf("reading the workers' output: %w", err)
		}
		a.mu.Lock()
		if l.Missed > 0 {
			a.errors.Missed(l.Missed)
			a.seq = l.Seq
		} else {
			a.errors.Take(l.Line)
			a.seq = l.Seq + 1
		}
		a.mu.Unlock()
	}
	return lines.Err()
}

// watchCertificates reads those that weir knows now and then, and when the configuration is another.
func (a *alarm) watchCertificates(ctx context.Context) {
	t := time.NewTicker(certsEvery)
	defer t.Stop()
	for {
		a.mu.Lock()
		cfg := a.cfg
		a.mu.Unlock()
		certs := certificates(cfg)
		a.mu.Lock()
		a.certs = certs
		a.mu.Unlock()
		select {
		case <-t.C:
		case <-a.news:
		case <-ctx.Done():
			return
		}
	}
}

// certificates are those that a configuration names: the desk's own as it is on disk now, pools' as they are in force.
func certificates(cfg *config.Config) (all []alert.Certificate) {
	if cfg.Admin != nil && cfg.Admin.TLS != nil {
		c := alert.Certificate{Name: "admin"}
		end, err := endOf(cfg.Admin.TLS.Cert)
		if c.End = end; err != nil {
			c.Problem = err.Error()
		}
		all = append(all, c)
	}
	for _, p := range cfg.Pools {
		for _, s := range p.Servers {
			if s.TLS == nil || s.TLS.Certificate == nil || len(s.TLS.Certificate.Certificate) == 0 {
				continue
			}
			c := alert.Certificate{Name: "the pool " + p.Name}
			if leaf, err := x509.ParseCertificate(s.TLS.Certificate.Certificate[0]); err != nil {
				c.Problem = err.Error()
			} else {
				c.End = leaf.NotAfter
			}
			all = append(all, c)
			break // the pool's; a server with one of its own is rare
		}
	}
	return all
}

// endOf returns when the first certificate of a file ends, or one of those behind it, if that is sooner.
func endOf(path string) (end time.Time, err error) {
	f, err := os.Open(path)
	if err != nil {
		return end, err
	}
	defer f.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(io.LimitReader(f, certSize))
	if err != nil {
		return end, err
	}
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return end, err
		}
		if end.IsZero() || c.NotAfter.Before(end) {
			end = c.NotAfter
		}
	}
	if end.IsZero() {
		err = errors.New("there is no certificate in " + path)
	}
	return end, err
}
