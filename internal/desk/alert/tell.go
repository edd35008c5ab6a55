package alert

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/weirhq/weir/internal/config"
)

// maxItems is how many alerts one message names.
const maxItems = 50

// Out is what is known of a target, and outlives the process.
type Out struct {
	Left  float64   `json:"left"`           // messages that it may get now
	At    time.Time `json:"at"`             // of Left
	After time.Time `json:"after,omitzero"` // it refused a message: it gets the next one then
}

// refusedFor is how long a target that refused a message gets no other one.
const refusedFor = 10 * time.Minute

// out is a target.
type out struct {
	Out
	due time.Time // what waits is told then; zero: nothing does
}

// take takes a message from what a target may get.
func (o *out) take(limit int, at time.Time) bool {
	if o.At.IsZero() {
		o.Left = float64(limit)
	} else if d := at.Sub(o.At); d > 0 {
		o.Left = min(o.Left+d.Hours()*float64(limit), float64(limit))
	}
	o.At = at
	if o.Left < 1 {
		return false
	}
	o.Left--
	return true
}

// tell returns the messages that are due. What waits for a target is found anew each time: what is over meanwhile, explained,
// silenced or acknowledged does not wait any more.
func (b *Board) tell(at time.Time) (all []Message) {
	list := sorted(b.alerts)
	for i := range b.cfg.Targets {
		t := &b.cfg.Targets[i]
		o := b.outs[t.Name]
		if o == nil {
			o = &out{}
			b.outs[t.Name] = o
		}
		var wait []*Alert
		for _, a := range list {
			if b.wants(t, a, at) {
				wait = append(wait, a)
			}
		}
		switch {
		case len(wait) == 0:
			o.due = time.Time{}
			continue
		case o.due.IsZero():
			o.due = at.Add(b.cfg.GroupWait)
		}
		if o.due.After(at) || o.After.After(at) || !o.take(t.Limit, at) {
			continue
		}
		o.due = time.Time{}
		all = append(all, b.message(t, wait, at))
	}
	b.settle()
	return all
}

// slowly is how often is told again what lasts for days by its nature.
const slowly = 24 * time.Hour

// wants reports whether a target is to be told of an alert.
func (b *Board) wants(t *config.AlertTarget, a *Alert, at time.Time) bool {
	told, was := a.Told[t.Name]
	if a.State == Resolved {
		return was && t.Resolved && !a.Once
	}
	r := b.rule(a.Rule)
	switch {
	case a.State != Firing, r == nil, !r.sends(t), a.Severity.Rank() < t.Severity.Rank():
		return false
	case a.By != "", a.Silenced != "", !a.Clearing.IsZero():
		return false
	case !a.Freed.IsZero() && at.Sub(a.Freed) < max(r.For, short): // what was explained has to last before it is told for itself
		return false
	case !was, a.Severity.Rank() > told.Severity.Rank():
		return true
	case b.cfg.Repeat == 0, a.Ack != nil, a.Once:
		return false
	case r.Slow:
		return at.Sub(told.At) >= max(b.cfg.Repeat, slowly)
	}
	return at.Sub(told.At) >= b.cfg.Repeat
}

// sends reports whether a rule's alerts go to a target.
func (r *rule) sends(t *config.AlertTarget) bool {
	return len(r.To) == 0 || slices.Contains(r.To, t.Name)
}

// toldAll reports whether nobody is left to be told that an alert fires.
func (b *Board) toldAll(a *Alert) bool {
	r := b.rule(a.Rule)
	return a.Silenced != "" || r == nil || !slices.ContainsFunc(b.cfg.Targets, func(t config.AlertTarget) bool {
		_, was := a.Told[t.Name]
		return !was && a.Severity.Rank() >= t.Severity.Rank() && r.sends(&t)
	})
}

// tell notes that a target was told.
func (a *Alert) tell(target string, told Told) {
	if a.Told == nil {
		a.Told = map[string]Told{}
	}
	a.Told[target] = told
}

// message tells a target what waits.
func (b *Board) message(t *config.AlertTarget, wait []*Alert, at time.Time) Message {
	b.serial++
	m := Message{ID: strconv.FormatInt(at.Unix(), 36) + "-" + strconv.FormatUint(b.serial, 36), Target: t.Name, At: at, Node: b.node, Items: []Item{}}
	for _, a := range wait {
		told, was := a.Told[t.Name]
		again := was && a.State == Firing && a.Severity.Rank() <= told.Severity.Rank()
		item := Item{Rule: a.Rule, Subject: a.Subject, State: a.State, Severity: a.Severity, Text: a.words(), Note: a.Note, Since: a.Since, Again: again, Explains: slices.Clone(a.Explains)}
		if a.State == Resolved {
			item.Ended = a.Ended
			delete(a.Told, t.Name)
		} else {
			a.tell(t.Name, Told{at, a.Severity})
		}
		if len(m.Items) < maxItems {
			m.Items = append(m.Items, item)
		} else {
			m.More++
		}
	}
	if b.lost > 0 {
		m.More += b.lost
		b.lost = 0
	}
	return m
}

// Refused takes back that a target was told what is in a message: nobody took it. What lasts is told anew, later, or as soon as there is
// another configuration.
func (b *Board) Refused(m Message, at time.Time) {
	o := b.outs[m.Target]
	if o == nil || m.Test != "" {
		return
	}
	o.After = at.Add(refusedFor)
	for _, a := range b.alerts {
		if a.Told[m.Target].At.Equal(m.At) {
			delete(a.Told, m.Target)
		}
	}
	for i := range m.Items {
		a := b.alerts[id(m.Items[i].Rule, m.Items[i].Subject)]
		if a != nil && m.Items[i].State == Resolved && a.State == Resolved && a.Ended.Equal(m.Items[i].Ended) {
			a.tell(m.Target, Told{m.Items[i].Since, m.Items[i].Severity})
		}
	}
}

// settle forgets of what is over that it was told to targets that are not told so.
func (b *Board) settle() {
	for _, a := range b.alerts {
		if a.State != Resolved {
			continue
		}
		for name := range a.Told {
			i := slices.IndexFunc(b.cfg.Targets, func(t config.AlertTarget) bool { return t.Name == name })
			if i < 0 || !b.cfg.Targets[i].Resolved || a.Once {
				delete(a.Told, name)
			}
		}
	}
}

// Test returns a message that says only that it is a test.
func (b *Board) Test(target, by string, at time.Time) (Message, error) {
	if !slices.ContainsFunc(b.cfg.Targets, func(t config.AlertTarget) bool { return t.Name == target }) {
		names := make([]string, len(b.cfg.Targets))
		for i, t := range b.cfg.Targets {
			names[i] = t.Name
		}
		if len(names) == 0 {
			return Message{}, fmt.Errorf("there is no target: name one in alerts: {targets: …}")
		}
		return Message{}, fmt.Errorf("there is no target %q: the targets are %v", target, names)
	}
	b.serial++
	return Message{ID: strconv.FormatInt(at.Unix(), 36) + "-" + strconv.FormatUint(b.serial, 36), Target: target, At: at, Node: b.node, Items: []Item{}, Test: by}, nil
}
