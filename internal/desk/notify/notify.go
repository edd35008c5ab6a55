// Package notify brings messages to people: by e-mail, to webhooks and chats, to a command. Each target has a queue and a goroutine
// of its own, so that one that is down holds nobody up: who sends never waits, and what a full queue has no room for is counted.
// What fails for now is tried again, later each time. It decides nothing about what is told, and never logs an address or a word
// that may be a secret.
package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/desk/alert"
	"github.com/weirhq/weir/internal/notice"
)

const (
	queueSize = 64             // messages that wait for a target
	tryFor    = 24 * time.Hour // a message is given up after that
	firstWait = 5 * time.Second
	longWait  = 10 * time.Minute
	stopTime  = 1500 * time.Millisecond // for what is under way when the process stops
)

// Status is how a target does, for people.
type Status struct {
	Target  string    `json:"target"`
	How     string    `json:"how"` // "email", "webhook", "slack", "command"
	Waiting int       `json:"waiting"`
	Sent    uint64    `json:"sent"`
	Failed  uint64    `json:"failed"`  // tries
	Dropped uint64    `json:"dropped"` // messages that nobody got
	Last    time.Time `json:"last,omitzero"`
	Problem string    `json:"problem,omitempty"` // of the last try; empty: it went well
}

// way is how messages reach somebody. send ends when the context does.
type way interface {
	send(ctx context.Context, m *alert.Message) error
}

// never is a failure that trying again does not mend.
type never struct{ error }

// partly is a failure to reach some of those who are meant: the others have the message, and are not to get it again.
type partly struct{ error }

// later is a failure after which the other side wants to be left alone for some time.
type later struct {
	error
	after time.Duration
}

// Sender has the targets. Any goroutine may use it.
type Sender struct {
	log  *slog.Logger
	node string
	wait func(ctx context.Context, d time.Duration) bool // false: the context is over

	mu      sync.Mutex
	targets map[string]*target
	refused []alert.Message // since somebody asked; at most maxRefused
	stopped bool
	all     sync.WaitGroup
}

// maxRefused bounds what is remembered of messages that nobody took.
const maxRefused = 1000

// New returns a sender without targets. Node is the machine's name.
func New(node string, log *slog.Logger) *Sender {
	return &Sender{log: log, node: node, targets: map[string]*target{}, wait: sleep}
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// target is one target with its queue.
type target struct {
	spec config.AlertTarget
	smtp config.SMTP
	way  way
	stop context.CancelFunc
	wake chan struct{}

	mu     sync.Mutex
	queue  []alert.Message
	status Status
}

// Use puts targets in force. Those that stay as they are keep what they have to send, changed ones send it the new way.
func (s *Sender) Use(cfg *config.Alerts) {
	if cfg == nil {
		cfg = &config.Alerts{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	keep := map[string]bool{}
	for _, spec := range cfg.Targets {
		keep[spec.Name] = true
		old := s.targets[spec.Name]
		if old != nil && same(old, spec, cfg.SMTP) {
			continue
		}
		t := &target{spec: spec, smtp: cfg.SMTP, way: s.wayOf(spec, cfg.SMTP), wake: make(chan struct{}, 1), status: Status{Target: spec.Name, How: how(spec)}}
		if old != nil {
			t.queue = old.end()
		}
		s.targets[spec.Name] = t
		ctx, stop := context.WithCancel(context.Background())
		t.stop = stop
		s.all.Go(func() { t.run(ctx, s) })
		t.poke()
	}
	for name, t := range s.targets {
		if !keep[name] {
			t.end()
			delete(s.targets, name)
		}
	}
}

// same reports whether messages would go the same way.
func same(t *target, spec config.AlertTarget, smtp config.SMTP) bool {
	way := func(s config.AlertTarget) config.AlertTarget {
		return config.AlertTarget{Email: s.Email, Webhook: s.Webhook, Slack: s.Slack, Command: s.Command, Timeout: s.Timeout}
	}
	return reflect.DeepEqual(way(t.spec), way(spec)) && (len(spec.Email) == 0 || t.smtp == smtp)
}

func how(t config.AlertTarget) string {
	switch {
	case len(t.Email) > 0:
		return "email"
	case t.Webhook != nil:
		return "webhook"
	case t.Slack != "":
		return "slack"
	}
	return "command"
}

func (s *Sender) wayOf(t config.AlertTarget, smtp config.SMTP) way {
	switch how(t) {
	case "email":
		return newEmail(t.Email, smtp, s.node)
	case "webhook":
		return newWebhook(*t.Webhook)
	case "slack":
		return newSlack(t.Slack)
	}
	return &command{argv: t.Command}
}

// Send takes a message on its way. It never waits.
func (s *Sender) Send(m alert.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.targets[m.Target]
	if t == nil {
		return
	}
	if old, full := t.add(m); full {
		s.refuse(old)
	}
}

// refuse notes a message that is not tried again. It is called with the lock.
func (s *Sender) refuse(m alert.Message) {
	if len(s.refused) < maxRefused {
		s.refused = append(s.refused, m)
	}
}

// Refused returns the messages that are not tried again since it was asked the last time: nobody knows what they say.
func (s *Sender) Refused() []alert.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.refused
	s.refused = nil
	return all
}

// Try sends a message at once, and says how that went. It is for tests that people ask for.
func (s *Sender) Try(ctx context.Context, m alert.Message) error {
	s.mu.Lock()
	t := s.targets[m.Target]
	s.mu.Unlock()
	if t == nil {
		return fmt.Errorf("there is no target %q", m.Target)
	}
	ctx, cancel := context.WithTimeout(ctx, t.spec.Timeout)
	defer cancel()
	err := t.way.send(ctx, &m)
	t.note(err, time.Now())
	return err
}

// Status tells of all targets, by name.
func (s *Sender) Status() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []Status{}
	for _, t := range s.targets {
		t.mu.Lock()
		t.status.Waiting = len(t.queue)
		all = append(all, t.status)
		t.mu.Unlock()
	}
	slices.SortFunc(all, func(a, b Status) int { return strings.Compare(a.Target, b.Target) })
	return all
}

// Waiting returns what has not been sent yet, for the next process.
func (s *Sender) Waiting() []alert.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []alert.Message
	for _, name := range slices.Sorted(maps.Keys(s.targets)) {
		t := s.targets[name]
		t.mu.Lock()
		all = append(all, t.queue...)
		t.mu.Unlock()
	}
	return all
}

// Stop ends all targets and waits for them. What is under way has a moment more; what is not sent then is returned by Waiting.
func (s *Sender) Stop() {
	s.mu.Lock()
	s.stopped = true
	for _, t := range s.targets {
		t.stop()
	}
	s.mu.Unlock()
	s.all.Wait()
}

func (t *target) poke() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// add queues a message. The oldest gives way if there is no room: what is newer says more.
func (t *target) add(m alert.Message) (old alert.Message, full bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if full = len(t.queue) >= queueSize; full {
		old, t.queue = t.queue[0], t.queue[1:]
		t.status.Dropped++
	}
	t.queue = append(t.queue, m)
	t.poke()
	return old, full
}

// end stops a target, soon, and returns what it has not sent.
func (t *target) end() []alert.Message {
	t.stop()
	t.mu.Lock()
	defer t.mu.Unlock()
	rest := t.queue
	t.queue = nil
	return rest
}

// first returns the message whose turn it is.
func (t *target) first() (alert.Message, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.queue) == 0 {
		return alert.Message{}, false
	}
	return t.queue[0], true
}

// done takes a message from the queue, and reports whether it was there still.
func (t *target) done(id string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(t.queue)
	t.queue = slices.DeleteFunc(t.queue, func(m alert.Message) bool { return m.ID == id })
	return len(t.queue) < n
}

func (t *target) run(ctx context.Context, s *Sender) {
	wait := time.Duration(0)
	for {
		m, ok := t.first()
		if !ok {
			wait = 0
			select {
			case <-t.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		err := t.once(ctx, &m)
		if ctx.Err() != nil && err != nil {
			return
		}
		wait = t.after(s, &m, err, wait, time.Now())
		if wait > 0 && !s.wait(ctx, wait) {
			return
		}
	}
}

// once tries to send a message. One that is under way when the target stops has a moment more.
func (t *target) once(stop context.Context, m *alert.Message) error {
	ctx, cancel := context.WithTimeout(context.Background(), t.spec.Timeout)
	defer cancel()
	defer context.AfterFunc(stop, func() { time.AfterFunc(stopTime, cancel) })()
	return t.way.send(ctx, m)
}

// after notes how a try went, and returns the wait before the next one.
func (t *target) after(s *Sender, m *alert.Message, err error, wait time.Duration, now time.Time) time.Duration {
	t.note(err, now)
	if err == nil {
		t.done(m.ID)
		return 0
	}
	if some := (partly{}); errors.As(err, &some) {
		t.done(m.ID)
		s.log.Error("an alert did not reach everybody, and is not sent again", "target", t.spec.Name, "error", plain(err), "alert", plain(errors.New(m.Title())))
		return 0
	}
	if dead := (never{}); errors.As(err, &dead) || now.Sub(m.At) > tryFor {
		t.giveUp(s, m, err)
		return 0
	}
	wait = min(max(2*wait, firstWait), longWait)
	var pause later
	if errors.As(err, &pause) {
		wait = min(max(wait, pause.after), longWait)
	}
	s.log.Warn("an alert is sent again later", "target", t.spec.Name, "error", plain(err), "in", wait)
	return wait
}

// giveUp takes a message that nobody took from the queue.
func (t *target) giveUp(s *Sender, m *alert.Message, err error) {
	s.log.Error("an alert was not taken: if it lasts, it is told anew in some minutes, or when the configuration is another", "target", t.spec.Name, "error", plain(err), "alert", plain(errors.New(m.Title())))
	s.mu.Lock()
	defer s.mu.Unlock()
	if !t.done(m.ID) {
		return // it gave way meanwhile
	}
	s.refuse(*m)
	t.mu.Lock()
	t.status.Dropped++
	t.mu.Unlock()
}

func (t *target) note(err error, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.status.Last, t.status.Problem = now, ""
	if err == nil {
		t.status.Sent++
		return
	}
	t.status.Failed++
	t.status.Problem = plain(err)
}

// plain is an error in one printable line of bounded length: the other side may have written a part of it.
func plain(err error) string {
	text := err.Error()
	if len(text) > 300 {
		text = text[:300]
	}
	return string(notice.AppendPrintable(nil, []byte(strings.Join(strings.Fields(text), " "))))
}
