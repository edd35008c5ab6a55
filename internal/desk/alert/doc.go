// Package alert decides of what people are told. It holds rules against one picture after the other, knows since when each condition
// holds, which of them explains which, what is silenced and acknowledged, and what each target has been told already; what is to be
// told comes out as messages. It has no clock, no goroutine and no file: time is the picture's, and what is to outlive the process
// is a value. How messages travel is package notify's business.
package alert

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weirhq/weir/internal/config"
)

// State is where an alert is in its life.
type State string

// The states. An alert whose condition ends while it is pending is forgotten.
const (
	Pending  State = "pending"  // the condition holds, and not for long enough
	Firing   State = "firing"   // it has held for long enough
	Resolved State = "resolved" // it is over, and has been for long enough
)

// Alert is one rule that is broken by one subject.
type Alert struct {
	Rule     string          `json:"rule"`
	Subject  string          `json:"subject"` // of which pool, site, disk …; empty: there is only one
	State    State           `json:"state"`
	Severity config.Severity `json:"severity"`
	Text     string          `json:"text"`
	Note     string          `json:"note,omitempty"`     // the rule's text
	Since    time.Time       `json:"since"`              // the condition holds
	Fired    time.Time       `json:"fired,omitzero"`     // the alert does
	Clearing time.Time       `json:"clearing,omitzero"`  // since when the condition holds no more, of one that fires
	Ended    time.Time       `json:"ended,omitzero"`     // of one that is resolved
	By       string          `json:"by,omitempty"`       // the ID of the alert that explains this one
	Freed    time.Time       `json:"freed,omitzero"`     // since when nothing explains it any more, of one that something did
	Explains []string        `json:"explains,omitempty"` // IDs of those that this one explains
	Silenced string          `json:"silenced,omitempty"` // by which silence
	Ack      *Ack            `json:"acknowledged,omitempty"`
	Flaps    []time.Time     `json:"flaps,omitempty"` // when it fired, of the last hour
	Once     bool            `json:"once,omitempty"`  // it has no end that is worth telling

	Told map[string]Told `json:"told,omitempty"` // by target
}

// Told is what a target was told of an alert.
type Told struct {
	At       time.Time       `json:"at"`
	Severity config.Severity `json:"severity"`
}

// ID names an alert: its rule and its subject.
func (a *Alert) ID() string { return id(a.Rule, a.Subject) }

func id(rule, subject string) string {
	if subject == "" {
		return rule
	}
	return rule + " " + subject
}

// Ack says that somebody knows: reminders end.
type Ack struct {
	At  time.Time `json:"at"`
	By  string    `json:"by"`
	Why string    `json:"why,omitempty"`
}

// Silence keeps what it matches from being told.
type Silence struct {
	ID      string    `json:"id"`
	Rule    string    `json:"rule"`    // a pattern with *; empty: all
	Subject string    `json:"subject"` // likewise
	Since   time.Time `json:"since"`
	Until   time.Time `json:"until"`
	By      string    `json:"by"`
	Why     string    `json:"why,omitempty"`
}

func (s *Silence) matches(a *Alert) bool { return glob(s.Rule, a.Rule) && glob(s.Subject, a.Subject) }

// Message is what one target is told at once.
type Message struct {
	ID     string    `json:"id"` // the same for each try
	Target string    `json:"target"`
	At     time.Time `json:"at"`
	Node   string    `json:"node"`
	Items  []Item    `json:"items"`          // what is worst first
	More   int       `json:"more,omitempty"` // that are not among the items
	Test   string    `json:"test,omitempty"` // who asked for a test; empty: it is none
}

// Item is one alert in a message.
type Item struct {
	Rule     string          `json:"rule"`
	Subject  string          `json:"subject"`
	State    State           `json:"state"`
	Severity config.Severity `json:"severity"`
	Text     string          `json:"text"`
	Note     string          `json:"note,omitempty"`
	Since    time.Time       `json:"since"`
	Ended    time.Time       `json:"ended,omitzero"`
	Again    bool            `json:"again,omitempty"`    // it was told before, and lasts
	Explains []string        `json:"explains,omitempty"` // what else is broken by it
}

// Title is the message in one line.
func (m *Message) Title() string {
	if m.Test != "" {
		return "weir on " + m.Node + ": a test"
	}
	if len(m.Items) == 0 {
		return "weir on " + m.Node
	}
	first := &m.Items[0]
	state := strings.ToUpper(string(first.Severity))
	if first.State == Resolved {
		state = "over"
	}
	title := fmt.Sprintf("[%s] %s: %s", state, m.Node, first.Text)
	if first.State == Resolved {
		title = fmt.Sprintf("[%s] %s: %s", state, m.Node, first.what())
	}
	if n := len(m.Items) - 1 + m.More; n > 0 {
		title += fmt.Sprintf(" (and %d more)", n)
	}
	return title
}

func (i *Item) what() string { return id(i.Rule, i.Subject) }

// Text is the message for people, as plain lines.
func (m *Message) Text() string {
	var b strings.Builder
	if m.Test != "" {
		fmt.Fprintf(&b, "This is a test of the target %s, asked for by %s.\nNothing is wrong.\n", m.Target, m.Test)
		return b.String()
	}
	for i := range m.Items {
		m.Items[i].write(&b)
	}
	if m.More > 0 {
		fmt.Fprintf(&b, "and %d more: weir alert list\n", m.More)
	}
	return b.String()
}

func (i *Item) write(b *strings.Builder) {
	switch {
	case i.State == Resolved:
		fmt.Fprintf(b, "over: %s, after %s\n", i.what(), Length(i.Ended.Sub(i.Since)))
		return
	case i.Again:
		fmt.Fprintf(b, "still %s: %s\n", i.Severity, i.Text)
	default:
		fmt.Fprintf(b, "%s: %s\n", i.Severity, i.Text)
	}
	fmt.Fprintf(b, "  %s, since %s\n", i.what(), i.Since.Format("2006-01-02 15:04:05 MST"))
	if len(i.Explains) > 0 {
		few := i.Explains[:min(len(i.Explains), shownExplained)]
		fmt.Fprintf(b, "  by it: %s", strings.Join(few, ", "))
		if n := len(i.Explains) - len(few); n > 0 {
			fmt.Fprintf(b, ", and %d more", n)
		}
		b.WriteByte('\n')
	}
	if i.Note != "" {
		fmt.Fprintf(b, "  %s\n", i.Note)
	}
}

// shownExplained is how many alerts are named that another explains.
const shownExplained = 8

// Length is a time for people: "2h 5m", "40s".
func Length(d time.Duration) string {
	d = max(d, 0).Round(time.Second)
	h, m, s := int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60
	switch {
	case h >= 48:
		return fmt.Sprintf("%dd %dh", h/24, h%24)
	case h > 0:
		return fmt.Sprintf("%dh %dm", h, m)
	case m > 0 && s > 0:
		return fmt.Sprintf("%dm %ds", m, s)
	case m > 0:
		return fmt.Sprintf("%dm", m)
	}
	return fmt.Sprintf("%ds", s)
}

// glob reports whether a text is as a pattern says, in which * stands for anything. An empty pattern is *.
func glob(pattern, text string) bool {
	if pattern == "" {
		return true
	}
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == text
	}
	text, ok := strings.CutPrefix(text, first)
	if !ok {
		return false
	}
	for {
		part, more, again := strings.Cut(rest, "*")
		if !again {
			return strings.HasSuffix(text, part)
		}
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text, rest = text[i+len(part):], more
	}
}

// worse orders what is told: the worst first, then the oldest.
func worse(a, b *Alert) int {
	over := func(a *Alert) int { return map[bool]int{true: 1}[a.State == Resolved] }
	return cmp.Or(cmp.Compare(over(a), over(b)), cmp.Compare(b.Severity.Rank(), a.Severity.Rank()), a.Since.Compare(b.Since), strings.Compare(a.ID(), b.ID()))
}

func sorted(all map[string]*Alert) []*Alert {
	list := make([]*Alert, 0, len(all))
	for _, a := range all {
		list = append(list, a)
	}
	slices.SortFunc(list, worse)
	return list
}
