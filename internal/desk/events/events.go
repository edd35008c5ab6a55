// Package events finds out what has happened by comparing one picture with the one before, and keeps the last of it. It has no
// clock.
package events

import (
	"fmt"
	"sync"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/picture"
)

// Event is one thing that has happened.
type Event struct {
	At      time.Time `json:"at"`
	Kind    string    `json:"kind"`    // "start", "reload", "upgrade", "edge", "worker", "server", "pool", "intervention", "alert", "fault" or "problem"
	Subject string    `json:"subject"` // pool/server, app/worker, or what else it is about; may be empty
	Text    string    `json:"text"`
	By      string    `json:"by,omitempty"`
}

// kept is how many events are kept.
const kept = 2000

// Log holds them. Any goroutine may use it.
type Log struct {
	mu    sync.Mutex
	all   []Event
	last  *picture.Picture
	done  []api.Intervention
	times uint64 // that something was added
	weir  weir
	until time.Time
}

// weir is one run of it, over upgrades.
type weir struct {
	Since time.Time `json:"since"`
	PID   int       `json:"pid"`
}

// Saved is what is to outlive the process.
type Saved struct {
	Events []Event            `json:"events"`
	Done   []api.Intervention `json:"done"`  // that are among the events
	Weir   weir               `json:"weir"`  // that was looked at
	Until  time.Time          `json:"until"` // when somebody looked the last time
}

// New goes on with what another one has left; the zero value begins anew.
func New(s Saved) *Log {
	return &Log{all: s.Events[max(len(s.Events)-kept, 0):], done: s.Done, weir: s.Weir, until: s.Until}
}

// Save returns what the next one goes on with.
func (l *Log) Save() Saved {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Saved{Events: append([]Event{}, l.all...), Done: l.done, Weir: l.weir, Until: l.until}
}

// Times returns how often something was added: a number that has not changed says that nothing has.
func (l *Log) Times() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.times
}

// Look compares a picture with the one before and returns what has happened in between, the oldest first.
func (l *Log) Look(p *picture.Picture) []Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := l.last
	l.last = p
	news := l.begun(p)
	if last != nil {
		news = append(news, Between(last, p)...)
	}
	return l.keep(news)
}

// begun tells that weir was stopped and started since somebody looked the last time.
func (l *Log) begun(p *picture.Picture) (news []Event) {
	now := weir{p.Since.UTC(), p.KeeperPID}
	if !p.Since.IsZero() && now != l.weir {
		if !l.weir.Since.IsZero() {
			text := "weir was started"
			if off := p.Since.Sub(l.until); off >= time.Second {
				text += ", " + off.Round(time.Second).String() + " after it was seen the last time"
			}
			news = append(news, Event{At: p.Since, Kind: "start", Text: text})
		}
		l.weir = now
		l.times++
	}
	l.until = p.At
	return news
}

// Add adds events that no picture tells, and returns them.
func (l *Log) Add(list ...Event) []Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.keep(list)
}

// Interventions takes the list of what people did lately, the oldest first, and returns those that are new.
func (l *Log) Interventions(done []api.Intervention) []Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	var news []Event
	first := l.done == nil
	seen := map[api.Intervention]bool{}
	for _, d := range l.done {
		d.Weight = nil // a pointer is another each time
		seen[d] = true
	}
	for _, d := range done {
		plain := d
		plain.Weight = nil
		if seen[plain] {
			continue
		}
		at, err := time.Parse(time.RFC3339, d.At)
		if err != nil {
			continue // one that has no time did not happen
		}
		e := Event{At: at, Kind: "intervention", Subject: api.FullName(d.Pool, d.Server), Text: d.Do, By: d.By}
		if d.Pool == "" {
			e.Subject, e.Text = "", d.Do+" "+d.What
		}
		if d.Weight != nil {
			e.Text += fmt.Sprintf(" %d", *d.Weight)
		}
		if d.Reason != "" {
			e.Text += ": " + d.Reason
		}
		news = append(news, e)
	}
	l.done = append([]api.Intervention{}, done...)
	if first {
		news = nil // they happened before anybody looked, and stand in the list of interventions
	}
	return l.keep(news)
}

func (l *Log) keep(list []Event) []Event {
	if len(list) > 0 {
		l.times++
	}
	l.all = append(l.all, list...)
	if n := len(l.all) - kept; n > 0 {
		l.all = append([]Event{}, l.all[n:]...)
	}
	return list
}

// Last returns the last n events, the oldest first.
func (l *Log) Last(n int) []Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Event{}, l.all[max(len(l.all)-max(n, 0), 0):]...)
}

// Between returns what has happened between two pictures.
func Between(a, b *picture.Picture) (all []Event) {
	add := func(kind, subject, format string, v ...any) {
		all = append(all, Event{At: b.At, Kind: kind, Subject: subject, Text: fmt.Sprintf(format, v...)})
	}
	if a.Version != b.Version && a.Version != "" && b.Version != "" {
		add("upgrade", "", "weir %s took over from %s", b.Version, a.Version)
	}
	switch {
	case a.Edge.Up && !b.Edge.Up:
		add("edge", "", "the edge does not answer")
	case !a.Edge.Up && b.Edge.Up:
		add("edge", "", "the edge serves (process %d)", b.Edge.PID)
	case a.Edge.PID != b.Edge.PID:
		if b.Edge.Restarts > a.Edge.Restarts {
			add("edge", "", "the edge died; another serves (process %d)", b.Edge.PID)
		} else {
			add("upgrade", "", "another edge serves (process %d)", b.Edge.PID)
		}
	}
	if a.Edge.Up && b.Edge.Up && a.Edge.Revision != b.Edge.Revision {
		add("reload", "", "another configuration is in force")
	}
	if b.Problem != "" && a.Problem != b.Problem {
		add("problem", "", "%s", b.Problem)
	}
	apps(a, b, add)
	if a.Edge.Up && b.Edge.Up {
		pools(a, b, add)
	}
	faults(a, b, add)
	return all
}

type adder func(kind, subject, format string, v ...any)

func apps(a, b *picture.Picture, add adder) {
	type worker struct {
		pid      int
		restarts int
		state    string
	}
	before := map[string]worker{}
	for _, o := range a.Apps {
		for _, w := range o.Workers {
			before[o.Name+" "+place(w.Name)] = worker{w.PID, w.Restarts, w.State}
		}
	}
	for _, o := range b.Apps {
		for _, w := range o.Workers {
			was, ok := before[o.Name+" "+place(w.Name)]
			switch {
			case ok && w.Restarts > was.restarts:
				why := ""
				if w.Last != "" {
					why = ": " + w.Last
				}
				add("worker", w.Name, "started again%s", why)
			case ok && was.pid != w.PID && w.PID != 0 && w.State == "live":
				add("worker", w.Name, "is live (process %d)", w.PID)
			case w.Due != "" && ok && was.state == "live" && w.State != "live":
				add("worker", w.Name, "is replaced: %s", w.Due)
			}
		}
	}
}

// place is a worker's name without the number of its process: "web/1.3" is the third in place web/1.
func place(name string) string {
	for i := len(name) - 1; i >= 0 && name[i] != '/'; i-- {
		if name[i] == '.' {
			return name[:i]
		}
	}
	return name
}

func pools(a, b *picture.Picture, add adder) {
	was := map[string]*picture.Pool{}
	for i := range a.Pools {
		was[a.Pools[i].Name] = &a.Pools[i]
	}
	for i := range b.Pools {
		p := &b.Pools[i]
		old := was[p.Name]
		if old == nil {
			continue
		}
		if old.State != p.State {
			switch p.State {
			case "down":
				add("pool", p.Name, "is down: none of its %d servers takes requests", len(p.Servers))
			case "up":
				add("pool", p.Name, "is up again, all of it")
			default:
				add("pool", p.Name, "has %d of %d servers that take requests", p.Open, len(p.Servers))
			}
		}
		if old.Breaker != p.Breaker {
			if p.Breaker == "" {
				add("pool", p.Name, "the breaker is closed again")
			} else {
				add("pool", p.Name, "the breaker is %s", p.Breaker)
			}
		}
		servers(old, p, add)
	}
}

func servers(old, p *picture.Pool, add adder) {
	if p.App != "" {
		return // they are workers, which are told of already
	}
	was := map[string]*picture.Server{}
	for i := range old.Servers {
		was[old.Servers[i].Name] = &old.Servers[i]
	}
	for i := range p.Servers {
		s := &p.Servers[i]
		o := was[s.Name]
		switch {
		case o == nil:
			add("server", api.FullName(p.Name, s.Name), "was added")
		case o.State != s.State && s.Why != "":
			add("server", api.FullName(p.Name, s.Name), "is %s: %s", s.State, s.Why)
		case o.State != s.State:
			add("server", api.FullName(p.Name, s.Name), "is %s", s.State)
		}
		delete(was, s.Name)
	}
	for i := range old.Servers {
		if name := old.Servers[i].Name; was[name] != nil {
			add("server", api.FullName(p.Name, name), "was removed")
		}
	}
}

func faults(a, b *picture.Picture, add adder) {
	if len(b.Faults) > len(a.Faults) {
		add("fault", "", "faults are made on purpose (weir chaos)")
	}
	if len(b.Faults) == 0 && len(a.Faults) > 0 {
		add("fault", "", "no fault is made on purpose any more")
	}
}
