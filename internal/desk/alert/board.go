package alert

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weirhq/weir/internal/condition"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/picture"
)

const (
	maxAlerts   = 2000           // that are known at a time; more are counted
	maxOnce     = 100            // of those that are told once
	maxSilences = 500            // in force
	keptFor     = 24 * time.Hour // an alert is shown after its end
	flapWithin  = time.Hour
	flapFrom    = 3 // times within flapWithin: from then on it has to be over for longer
	flapMost    = time.Hour
	onceFor     = 10 * time.Minute // what is told once is shown as firing
)

// Board is the state of all alerts. One goroutine at a time may use it.
type Board struct {
	cfg      config.Alerts
	rules    []*rule
	routes   bool // a rule asks for numbers of routes
	view     view
	alerts   map[string]*Alert
	silences []Silence
	outs     map[string]*out // by target
	lost     int             // alerts that there was no room for
	serial   uint64
	node     string
	by       map[string][]string // which alerts may explain which, in this picture
	begun    bool                // there was a picture
}

// Saved is what is to outlive the process.
type Saved struct {
	At       time.Time        `json:"at"`
	Alerts   []*Alert         `json:"alerts"`
	Silences []Silence        `json:"silences"`
	Usual    map[string]Usual `json:"usual"` // what is usual, by site and the like
	Outs     map[string]Out   `json:"outs"`
	Serial   uint64           `json:"serial"`
	Groups   []*Group         `json:"groups,omitempty"` // of machines
}

// New returns a board. What was saved by another one is its beginning; the zero value is none.
func New(saved Saved) *Board {
	b := &Board{view: view{windows: map[string]*window{}, lives: map[string]*life{}, groups: saved.Groups}, alerts: map[string]*Alert{}, outs: map[string]*out{}, serial: saved.Serial, silences: saved.Silences}
	for _, a := range saved.Alerts {
		if a != nil && len(b.alerts) < maxAlerts {
			b.alerts[a.ID()] = a
		}
	}
	for key, u := range saved.Usual {
		b.view.windows[key] = &window{usual: u}
	}
	for name, o := range saved.Outs {
		b.outs[name] = &out{Out: o}
	}
	return b
}

// Save returns what is to outlive the process. It shares nothing with the board.
func (b *Board) Save() Saved {
	s := Saved{Alerts: []*Alert{}, Silences: slices.Clone(b.silences), Usual: map[string]Usual{}, Outs: map[string]Out{}, Serial: b.serial}
	for _, g := range b.view.groups {
		c := *g
		c.Hosts = slices.Clone(g.Hosts)
		s.Groups = append(s.Groups, &c)
	}
	if b.view.p != nil {
		s.At = b.view.p.At
	}
	for _, a := range b.List() {
		s.Alerts = append(s.Alerts, &a)
	}
	for key, w := range b.view.windows {
		if w.usual.RateFor > 0 {
			s.Usual[key] = w.usual
		}
	}
	for name, o := range b.outs {
		s.Outs[name] = o.Out
	}
	return s
}

// Use puts rules in force. Alerts of rules that are no more end.
func (b *Board) Use(cfg *config.Alerts) {
	if cfg == nil {
		cfg = &config.Alerts{}
	}
	b.cfg, b.rules, b.routes = *cfg, nil, false
	for _, r := range cfg.Rules {
		own := &rule{AlertRule: r}
		if r.When != "" {
			var err error
			if own.when, err = condition.Parse(r.When); err != nil {
				continue // config has checked it
			}
			b.routes = b.routes || own.when.Of() == "route"
		}
		if r.Until != "" {
			own.until, _ = condition.Parse(r.Until) // likewise; nil is none
		}
		b.rules = append(b.rules, own)
	}
	for name := range b.outs {
		if !slices.ContainsFunc(cfg.Targets, func(t config.AlertTarget) bool { return t.Name == name }) {
			delete(b.outs, name)
		}
	}
	for _, o := range b.outs {
		o.After = time.Time{} // what was wrong with a target may be mended
	}
}

// rule is the one with a name; nil: it is off.
func (b *Board) rule(name string) *rule {
	for _, r := range b.rules {
		if r.Name == name {
			return r
		}
	}
	return nil
}

// Change is something that became of an alert.
type Change struct {
	At    time.Time
	Alert Alert
	Text  string
}

// Step takes the next picture and returns the messages that are to be sent, and what has changed. Changes are of alerts that nothing
// explains.
func (b *Board) Step(p *picture.Picture, extra Extra) ([]Message, []Change) {
	b.node = p.Node
	if !b.begun {
		b.begun = true
		b.notAfter(p.At)
	}
	least := math.Inf(1)
	if r := b.rule("network_down"); r != nil {
		least = r.Over
	}
	b.view.look(p, extra, b.routes, least)
	var changes []Change
	change := func(a *Alert, text string) {
		changes = append(changes, Change{At: p.At, Alert: a.copy(), Text: text})
	}
	seen := map[string]bool{}
	sources := map[string]bool{} // rules whose source tells something
	for _, r := range b.rules {
		if !sourceOf(r).known(p) {
			continue
		}
		sources[r.Name] = true
		for _, f := range b.view.find(r) {
			b.judge(f, p.At, seen, change)
		}
	}
	for _, n := range extra.News {
		b.news(n, p.At, change)
	}
	for _, a := range sorted(b.alerts) {
		if !seen[a.ID()] && !a.Once {
			b.gone(a, sources, p.At, change)
		}
	}
	b.explain(p)
	b.expire(p.At)
	changes = slices.DeleteFunc(changes, func(c Change) bool {
		a := b.alerts[c.Alert.ID()]
		return c.Alert.By != "" || a != nil && a.By != ""
	})
	return b.tell(p.At), changes
}

// notAfter takes what was saved for the past. Its clock may have been ahead: nobody is to wait for that day to come again. (While a process
// runs, the clock that times are compared by is not put back.)
func (b *Board) notAfter(now time.Time) {
	past := func(t *time.Time) {
		if t.After(now) {
			*t = now
		}
	}
	for _, a := range b.alerts {
		for _, t := range []*time.Time{&a.Since, &a.Fired, &a.Clearing, &a.Ended, &a.Freed} {
			past(t)
		}
		for i := range a.Flaps {
			past(&a.Flaps[i])
		}
		for name, told := range a.Told {
			past(&told.At)
			a.Told[name] = told
		}
	}
	for _, o := range b.outs {
		past(&o.At)
		if o.After.Sub(now) > refusedFor {
			o.After = now
		}
	}
	for _, g := range b.view.groups {
		past(&g.Since)
		past(&g.Last)
	}
}

func sourceOf(r *rule) source {
	if r.when != nil {
		return ofEdge
	}
	return sources[r.Name]
}

// judge brings an alert on by what its rule says now.
func (b *Board) judge(f finding, at time.Time, seen map[string]bool, change func(*Alert, string)) {
	key := id(f.rule.Name, f.subject)
	seen[key] = true
	a := b.alerts[key]
	if a == nil {
		if f.is != meets {
			return
		}
		if len(b.alerts) >= maxAlerts {
			b.lost++
			return
		}
		a = &Alert{Rule: f.rule.Name, Subject: f.subject, State: Resolved}
		b.alerts[key] = a
	}
	a.Flaps = slices.DeleteFunc(a.Flaps, func(t time.Time) bool { return at.Sub(t) >= flapWithin })
	if f.is == meets || f.is == holds && a.State == Firing {
		a.Text, a.Note = f.text, f.rule.Text
		was := a.Severity
		a.Severity = cmp.Or(f.severity, f.rule.Severity)
		if a.Severity.Rank() > was.Rank() {
			a.Ack = nil // who knew of it did not know that
		}
	}
	switch a.State {
	case Resolved:
		if f.is == meets {
			a.State, a.Since, a.Ack, a.Clearing = Pending, at, nil, time.Time{}
			b.fire(a, f.rule, at, change)
		}
	case Pending:
		switch f.is {
		case meets:
			b.fire(a, f.rule, at, change)
		case clears, holds:
			b.withdraw(a)
		}
	case Firing:
		switch f.is {
		case meets, holds:
			a.Clearing = time.Time{}
		case clears:
			b.clear(a, f.rule, at, change)
		}
	}
}

// fire has a pending alert fire that has held for long enough.
func (b *Board) fire(a *Alert, r *rule, at time.Time, change func(*Alert, string)) {
	if at.Sub(a.Since) < r.For {
		return
	}
	a.State, a.Fired, a.Ended = Firing, at, time.Time{}
	a.Flaps = append(a.Flaps, at)
	if n := len(a.Flaps); n > 20 {
		a.Flaps = a.Flaps[n-20:]
	}
	change(a, a.words())
}

// words is what is said of an alert now.
func (a *Alert) words() string {
	if n := len(a.Flaps); n >= flapFrom && a.State == Firing {
		return a.Text + fmt.Sprintf(" (it comes and goes: %d times within an hour)", n)
	}
	return a.Text
}

// withdraw ends a pending alert: nobody was told.
func (b *Board) withdraw(a *Alert) {
	switch {
	case len(a.Told) > 0:
		a.State = Resolved // somebody has still to be told that it is over
	case len(a.Flaps) > 0:
		a.State, a.Since = Resolved, a.Fired
	default:
		delete(b.alerts, a.ID())
	}
}

// clear ends an alert that has been over for long enough. One that comes and goes has to be over for longer each time.
func (b *Board) clear(a *Alert, r *rule, at time.Time, change func(*Alert, string)) {
	if a.Clearing.IsZero() {
		a.Clearing = at
	}
	if at.Sub(a.Clearing) < calm(a, r.ClearFor) {
		return
	}
	b.end(a, at, change)
}

// calm is how long an alert has to be over.
func calm(a *Alert, usual time.Duration) time.Duration {
	n := len(a.Flaps)
	if n < flapFrom {
		return usual
	}
	return max(usual, min(max(usual, 30*time.Second)<<min(n-flapFrom+1, 10), flapMost))
}

func (b *Board) end(a *Alert, at time.Time, change func(*Alert, string)) {
	a.State, a.Ended = Resolved, at
	if !a.Clearing.IsZero() {
		a.Ended = a.Clearing
	}
	a.Clearing, a.Freed, a.Ack = time.Time{}, time.Time{}, nil
	change(a, "over: "+a.ID())
	a.By = ""
}

// gone ends an alert whose subject is no more, if whoever tells of it tells anything.
func (b *Board) gone(a *Alert, told map[string]bool, at time.Time, change func(*Alert, string)) {
	if b.rule(a.Rule) != nil && !told[a.Rule] {
		return
	}
	switch a.State {
	case Pending:
		b.withdraw(a)
	case Firing:
		b.end(a, at, change)
	}
}

// news makes an alert of something that is told once.
func (b *Board) news(n News, at time.Time, change func(*Alert, string)) {
	r := b.rule(n.Rule)
	if r == nil {
		return // it is off
	}
	key := id(n.Rule, n.Subject)
	once := 0
	for _, a := range b.alerts {
		if a.Once && a.State == Firing {
			once++
		}
	}
	if b.alerts[key] == nil && (once >= maxOnce || len(b.alerts) >= maxAlerts) || !glob(r.Of, n.Subject) {
		b.lost++
		return
	}
	a := &Alert{Rule: n.Rule, Subject: n.Subject, State: Firing, Severity: r.Severity, Text: n.Text, Note: r.Text, Since: at, Fired: at, Once: true}
	if n.Severity != "" {
		a.Severity = n.Severity
	}
	b.alerts[key] = a
	change(a, n.Text)
}

// expire forgets what was long ago.
func (b *Board) expire(at time.Time) {
	b.silences = slices.DeleteFunc(b.silences, func(s Silence) bool { return !s.Until.After(at) })
	for key, a := range b.alerts {
		switch {
		case a.Once && a.State == Firing && at.Sub(a.Fired) >= onceFor && (b.toldAll(a) || at.Sub(a.Fired) >= keptFor):
			a.State, a.Ended, a.Told = Resolved, at, nil
		case a.State == Resolved && len(a.Told) == 0 && at.Sub(a.Ended) >= keptFor:
			delete(b.alerts, key)
		}
		a.Silenced = ""
		for i := range b.silences {
			if b.silences[i].matches(a) {
				a.Silenced = b.silences[i].ID
			}
		}
	}
}

// List returns copies of all alerts, the worst first.
func (b *Board) List() []Alert {
	list := sorted(b.alerts)
	all := make([]Alert, len(list))
	for i, a := range list {
		all[i] = a.copy()
	}
	return all
}

func (a *Alert) copy() Alert {
	c := *a
	c.Flaps, c.Explains, c.Told = slices.Clone(a.Flaps), slices.Clone(a.Explains), maps.Clone(a.Told)
	return c
}

// Silences returns those that hold.
func (b *Board) Silences() []Silence { return slices.Clone(b.silences) }

// Silence keeps what it matches from being told, from now until it ends. Its ID and its beginning are made here.
func (b *Board) Silence(s Silence, now time.Time) (Silence, error) {
	switch {
	case s.Rule == "" && s.Subject == "":
		return s, fmt.Errorf("a silence of everything: name a rule or a subject, or write the pattern *")
	case !s.Until.After(now):
		return s, fmt.Errorf("a silence that ends before it begins: name a time to come")
	case s.Until.Sub(now) > 366*24*time.Hour:
		return s, fmt.Errorf("a silence of over a year: turn the rule off in the configuration instead")
	case !b.about(s.Rule):
		return s, fmt.Errorf("nothing would be silenced by %.60q, for no rule is called so: there is %s", s.Rule, b.names())
	case len(b.silences) >= maxSilences:
		return s, fmt.Errorf("there are %d silences already: end some", maxSilences)
	}
	b.serial++
	s.ID, s.Since = "s"+strconv.FormatUint(b.serial, 10), now
	b.silences = append(b.silences, s)
	b.expire(now)
	return s, nil
}

// about reports whether a pattern is about any rule that is on, or about an alert that is still there.
func (b *Board) about(pattern string) bool {
	for _, r := range b.rules {
		if glob(pattern, r.Name) {
			return true
		}
	}
	for _, a := range b.alerts {
		if glob(pattern, a.Rule) {
			return true
		}
	}
	return false
}

// names are those of the rules that are on.
func (b *Board) names() string {
	if len(b.rules) == 0 {
		return "none, without alerts: in the configuration"
	}
	all := make([]string, len(b.rules))
	for i, r := range b.rules {
		all[i] = r.Name
	}
	return strings.Join(all, ", ")
}

// Unsilence ends a silence.
func (b *Board) Unsilence(id string, now time.Time) error {
	i := slices.IndexFunc(b.silences, func(s Silence) bool { return s.ID == id })
	if i < 0 {
		return fmt.Errorf("there is no silence %q: `weir alert list` shows them", id)
	}
	b.silences = slices.Delete(b.silences, i, i+1)
	b.expire(now)
	return nil
}

// Acknowledge says that somebody knows of an alert, or with a rule alone, of all of its alerts. It returns their IDs.
func (b *Board) Acknowledge(name string, ack Ack) ([]string, error) {
	var done []string
	for _, a := range sorted(b.alerts) {
		if a.State == Firing && (a.ID() == name || a.Rule == name) {
			a.Ack = &ack
			done = append(done, a.ID())
		}
	}
	if done == nil {
		return nil, fmt.Errorf("no alert %q fires: `weir alert list` shows those that do", name)
	}
	return done, nil
}
