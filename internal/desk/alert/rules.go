package alert

import (
	"fmt"
	"math"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/weirhq/weir/internal/condition"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/picture"
)

// verdict is what a rule says of a subject.
type verdict uint8

const (
	clears  verdict = iota // it is well
	holds                  // between the two limits: it stays as it is
	meets                  // the condition holds
	unknown                // nobody can tell
)

// finding is a verdict, with what is said of it.
type finding struct {
	rule     *rule
	subject  string
	is       verdict
	text     string
	severity config.Severity // empty: the rule's
}

// rule is one that is in force.
type rule struct {
	config.AlertRule
	when, until *condition.Condition // of the file's own
}

// source says who tells what a rule is about: while he does not, nothing of it changes.
type source uint8

const (
	ofEdge source = iota
	ofKeeper
	ofMachine
	ofDesk
)

// Extra is what rules look at and pictures do not have.
type Extra struct {
	Certificates []Certificate
	News         []News
	Budgets      []Budget
}

// Budget is how long a site may be down in a month, and how long it was in this one.
type Budget struct {
	Site       string
	Down, Most time.Duration
}

// used is the share of it that is gone; all of it where nothing was to be.
func (b *Budget) used() float64 {
	if b.Most <= 0 {
		return min(b.Down.Seconds(), 1)
	}
	return b.Down.Seconds() / b.Most.Seconds()
}

// Certificate is one that weir knows.
type Certificate struct {
	Name    string // whose: "admin", "pool legacy"
	End     time.Time
	Problem string // why it cannot be read; empty: it can
}

// News is something that is told once.
type News struct {
	Rule     string
	Subject  string
	Text     string
	Severity config.Severity // empty: the rule's
}

var sources = map[string]source{
	"edge_down": ofDesk, "edge_loop": ofKeeper, "worker_loop": ofKeeper, "reload_refused": ofKeeper,
	"disk": ofMachine, "memory": ofMachine, "certificate": ofDesk, "new_error": ofDesk, "budget": ofDesk,
}

// known reports whether a source tells anything in a picture.
func (s source) known(p *picture.Picture) bool {
	switch s {
	case ofEdge:
		return p.Edge.Up
	case ofKeeper:
		return p.KeeperPID != 0 && p.Problem != keeperSilent
	case ofMachine:
		return p.Facts != nil
	}
	return true
}

// keeperSilent is the problem of a picture whose keeper does not answer.
const keeperSilent = "the keeper does not answer"

// view is a picture, and what is remembered of those before it.
type view struct {
	p        *picture.Picture
	extra    Extra
	windows  map[string]*window
	deaths   []death
	dropped  []death
	machines []*machine       // of the last picture with pools
	lives    map[string]*life // of machines, by address
	groups   []*Group         // of machines that fell together
}

// death is a number that grows, at a time.
type death struct {
	at time.Time
	n  float64
}

// look notes the numbers of a picture. least is how many machines have to fall together to be told of as one.
func (v *view) look(p *picture.Picture, extra Extra, routes bool, least float64) {
	v.p, v.extra = p, extra
	for _, w := range v.windows {
		w.seen = false
	}
	if p.Edge.Up {
		v.window("total", "").look(p.At, flowTotals(&p.Total))
		for i := range p.Sites {
			v.window("site", p.Sites[i].Name).look(p.At, flowTotals(&p.Sites[i].Flow))
		}
		for i := range p.Routes {
			if !routes {
				break
			}
			v.window("route", p.Routes[i].Site+" "+p.Routes[i].Name).look(p.At, flowTotals(&p.Routes[i].Flow))
		}
		for i := range p.Pools {
			o := &p.Pools[i]
			w := v.window("pool", o.Name)
			w.look(p.At, w.add(p.At, o.Requests, o.ErrorRate))
			for j := range o.Servers {
				s := &o.Servers[j]
				w := v.window("server", o.Name+"/"+s.Name)
				w.look(p.At, w.add(p.At, s.Requests, s.ErrorRate))
			}
		}
		for key, w := range v.windows {
			if !w.seen {
				delete(v.windows, key)
			}
		}
		v.machines = machines(p)
		v.falls(least)
		v.dropped = grow(v.dropped, p.At, float64(p.Edge.LogDropped), short)
	}
	if ofKeeper.known(p) {
		v.deaths = grow(v.deaths, p.At, float64(p.Edge.Restarts), 5*time.Minute)
	}
}

// grow notes a number, and forgets those older than a span but one.
func grow(list []death, at time.Time, n float64, span time.Duration) []death {
	if k := len(list); k > 0 && (n < list[k-1].n || at.Before(list[k-1].at)) {
		list = nil
	}
	if k := len(list); k < 2 || list[k-1].n != n || list[k-2].n != n { // of what stays the same, the first and the last
		list = append(list, death{at, n})
	} else {
		list[k-1].at = at
	}
	for len(list) > 1 && at.Sub(list[1].at) >= span {
		list = list[1:]
	}
	return list
}

func grown(list []death) float64 {
	if len(list) == 0 {
		return 0
	}
	return list[len(list)-1].n - list[0].n
}

func (v *view) window(kind, name string) *window {
	key := kind + " " + name
	w := v.windows[key]
	if w == nil {
		w = &window{}
		v.windows[key] = w
	}
	return w
}

// Errors are answers of 500 and above, and requests without an answer whose client was still there.
func flowTotals(f *picture.Flow) totals {
	none := f.Status[0]
	c := &f.Cache
	hits := c[journal.Hit] + c[journal.Stale] + c[journal.Shared] + c[journal.Revalidated]
	return totals{float64(f.Requests), float64(f.Status[5] + none - min(none, f.Causes[journal.ClientGone.String()])), float64(hits + c[journal.Miss]), float64(hits)}
}

// find holds a rule against everything that it is about.
func (v *view) find(r *rule) []finding {
	if r.when != nil {
		return v.own(r)
	}
	find := builtIn[r.Name]
	if find == nil {
		return nil
	}
	var all []finding
	find(v, r, func(subject string, is verdict, severity config.Severity, format string, args ...any) {
		if !glob(r.Of, subject) {
			return
		}
		one := finding{rule: r, subject: subject, is: is, severity: severity}
		if is == meets || is == holds { // else nobody reads it
			one.text = fmt.Sprintf(format, args...)
		}
		all = append(all, one)
	})
	return all
}

type found func(subject string, is verdict, severity config.Severity, format string, args ...any)

// builtIn are the rules that weir knows.
var builtIn = map[string]func(*view, *rule, found){
	"edge_down": func(v *view, _ *rule, f found) {
		f("", met(!v.p.Edge.Up), "", "the process that serves does not answer: no site is served")
	},
	"edge_loop": func(v *view, r *rule, f found) {
		n := grown(v.deaths)
		f("", between(n, r.Over, r.Clear), "", "the process that serves died %.0f times within five minutes", n)
	},
	"network_down": networks,
	"node_down":    nodes,
	"pool_down": func(v *view, _ *rule, f found) {
		for i := range v.p.Pools {
			o := &v.p.Pools[i]
			is := met(o.State == "down")
			if is == meets && v.begins(o.App) {
				is = unknown // whether it can be up is not known yet
			}
			f(o.Name, is, "", "the pool %s is down: %s", o.Name, whyDown(o))
		}
	},
	"server_down": func(v *view, _ *rule, f found) {
		for i := range v.p.Pools {
			o := &v.p.Pools[i]
			for j := range o.Servers {
				if s := &o.Servers[j]; o.App == "" { // workers are worker_loop's
					f(o.Name+"/"+s.Name, met(s.State == "down"), "", "the server %s of the pool %s is down%s", s.Name, o.Name, because(s.Why))
				}
			}
		}
	},
	"worker_loop": func(v *view, _ *rule, f found) {
		for i := range v.p.Apps {
			a := &v.p.Apps[i]
			n, last := looping(a)
			severity := config.Severity("")
			if n < len(a.Workers) {
				severity = config.Warn
			}
			f(a.Name, met(n > 0), severity, "%d of %d workers of %s die as soon as they are started%s", n, len(a.Workers), a.Name, because(last))
		}
	},
	"errors": func(v *view, r *rule, f found) {
		for i := range v.p.Sites {
			name := v.p.Sites[i].Name
			w := v.window("site", name)
			e := w.errors()
			is := between(e, r.Over, r.Clear)
			if t, d := w.since(short); math.IsNaN(e) && d > 0 && t.errors == 0 {
				is = clears // too few to tell a share of, and none of them failed
			}
			f(name, is, "", "%s of the requests for %s failed in the last minute", percent(e), name)
		}
	},
	"queue": func(v *view, r *rule, f found) {
		for i := range v.p.Pools {
			o := &v.p.Pools[i]
			if o.QueueSize > 0 {
				f(o.Name, between(float64(o.Queued)/float64(o.QueueSize), r.Over, r.Clear), "", "%d requests wait for the pool %s, whose queue holds %d", o.Queued, o.Name, o.QueueSize)
			}
		}
	},
	"disk": func(v *view, r *rule, f found) {
		for _, d := range v.p.Facts.Disks {
			used := share(float64(d.Size-d.Free), float64(d.Size))
			what := "of the disk"
			if files := share(float64(d.Inodes-d.InodeFree), float64(d.Inodes)); files > used {
				used, what = files, "of the files that the disk can hold"
			}
			f(d.Path, between(used, r.Over, r.Clear), "", "%s %s at %s is in use", percent(used), what, d.Path)
		}
	},
	"memory": func(v *view, r *rule, f found) {
		used := share(float64(v.p.Facts.MemTotal-v.p.Facts.MemFree), float64(v.p.Facts.MemTotal))
		f("", between(used, r.Over, r.Clear), "", "%s of the machine's memory is in use", percent(used))
	},
	"hit_ratio": func(v *view, r *rule, f found) {
		for i := range v.p.Sites {
			name := v.p.Sites[i].Name
			w := v.window("site", name)
			is, now := unknown, w.hitRatio()
			if w.usual.HitsFor >= hitLearns {
				is = between(w.usual.Hits-now, r.Over, r.Clear)
			}
			f(name, is, "", "the cache answers %s of what it could for %s; it was %s", percent(now), name, percent(w.usual.Hits))
		}
	},
	"no_traffic": func(v *view, r *rule, f found) {
		for i := range v.p.Sites {
			name := v.p.Sites[i].Name
			w := v.window("site", name)
			t, d := w.since(short)
			is := clears
			expected := w.usual.Rate * r.For.Seconds()
			switch {
			case d == 0:
				is = unknown
			case t.requests == 0 && w.usual.RateFor >= rateLearns && expected >= r.Over:
				is = meets
			case t.requests == 0:
				is = holds
			}
			f(name, is, "", "nobody asks for %s, which has %.3g requests a minute else", name, w.usual.Rate*60)
		}
	},
	"log_dropped": func(v *view, _ *rule, f found) {
		n := grown(v.dropped)
		f("", met(n > 0), "", "%.0f lines of the access log were dropped in the last minute: what it is written to is too slow, or full", n)
	},
	"reload_refused": func(v *view, _ *rule, f found) {
		f("", met(v.p.Problem != ""), "", "%s", firstLine(v.p.Problem))
		for _, file := range v.p.Included {
			f(file.Path, met(file.Problem != ""), "", "%s: %s", file.Path, firstLine(file.Problem))
		}
	},
	"certificate": func(v *view, r *rule, f found) {
		for _, c := range v.extra.Certificates {
			left := c.End.Sub(v.p.At)
			is, severity, text := clears, config.Severity(""), ""
			switch {
			case c.Problem != "":
				is, text = meets, "the certificate of "+c.Name+" cannot be read: "+c.Problem
			case left.Seconds() < r.Over:
				is = meets
			case left.Seconds() < r.Clear:
				is = holds
			}
			if left < 3*24*time.Hour {
				severity = config.Critical
			}
			if text == "" && left > 0 {
				text = "the certificate of " + c.Name + " ends in " + Length(left)
			} else if text == "" {
				text = "the certificate of " + c.Name + " ended on " + c.End.Format(time.DateOnly)
			}
			f(c.Name, is, severity, "%s", text)
		}
	},
	"budget": func(v *view, r *rule, f found) {
		for i := range v.extra.Budgets {
			b := &v.extra.Budgets[i]
			severity, rest := config.Severity(""), Length(b.Most-b.Down)+" of its budget is left"
			if b.used() >= 1 {
				severity, rest = config.Critical, "its budget of "+Length(b.Most)+" is used up"
			}
			f(b.Site, between(b.used(), r.Over, r.Clear), severity, "%s was down for %s this month: %s", b.Site, Length(b.Down), rest)
		}
	},
	"new_error": func(*view, *rule, found) {},
}

// host is the machine of a server's address; empty: it is this one.
func host(address string) string {
	h, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(h)
	if err != nil || strings.HasPrefix(address, "unix:") || h == "localhost" || ip != nil && ip.IsLoopback() {
		return ""
	}
	return h
}

func looping(a *picture.App) (n int, last string) {
	for _, w := range a.Workers {
		if w.Looping {
			n++
			last = w.Last
		}
	}
	return n, last
}

// begins reports whether the first workers of an app are being started, and none of them has ended yet. One that does not come up is ended
// after its time.
func (v *view) begins(app string) bool {
	for i := range v.p.Apps {
		if a := &v.p.Apps[i]; a.Name == app {
			return len(a.Workers) > 0 && !slices.ContainsFunc(a.Workers, func(w picture.Worker) bool {
				return w.State != "starting" || w.Restarts > 0 || w.Last != ""
			})
		}
	}
	return false
}

func whyDown(o *picture.Pool) string {
	if len(o.Servers) == 0 {
		return "it has no servers"
	}
	by, last := 0, ""
	for i := range o.Servers {
		if s := &o.Servers[i]; s.State == "maint" || s.State == "draining" {
			by++
		} else if s.Why != "" {
			last = s.Why
		}
	}
	if by == len(o.Servers) {
		return "people took all of its servers out"
	}
	return fmt.Sprintf("none of its %d servers takes requests%s", len(o.Servers), because(last))
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + firstLine(why)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	if len(line) > maxText {
		line = strings.ToValidUTF8(line[:maxText], "") + " …"
	}
	return line
}

// maxText bounds what is told of one alert in bytes.
const maxText = 400

func met(is bool) verdict {
	if is {
		return meets
	}
	return clears
}

// between holds a number against two limits. Over is above or, like a certificate's, below what clears.
func between(n, over, clear float64) verdict {
	switch {
	case math.IsNaN(n):
		return unknown
	case n >= over && n > 0:
		return meets
	case n > clear:
		return holds
	}
	return clears
}

func share(part, of float64) float64 {
	if of <= 0 {
		return math.NaN()
	}
	return part / of
}

func percent(f float64) string {
	if math.IsNaN(f) {
		return "an unknown share"
	}
	return fmt.Sprintf("%.3g %%", f*100)
}
