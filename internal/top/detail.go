package top

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/picture"
)

// detailLines are all that is known of what is looked into.
func (m *model) detailLines() []line {
	it := m.find(m.detail)
	switch {
	case it == nil:
		_, name, _ := strings.Cut(m.detail, " ")
		return []line{{{name, bold}, {" is no more", warn}}}
	case it.story != nil:
		return m.storyLines(it.story)
	case it.event != nil:
		return m.eventLines(it.event)
	case it.number != nil:
		return m.numberLines(it)
	case it.server != nil:
		return m.serverLines(it.pool, it.server)
	case it.worker != nil:
		return m.workerLines(it)
	case it.app != nil:
		return m.appLines(it.app)
	case it.pool != nil:
		return m.poolLines(it.pool)
	}
	return m.routeLines(it.route)
}

// facts are names and values, two beside each other where there is room. Those without a value are left out.
func (m *model) facts(all ...fact) (out []line) {
	var list []fact
	w := 0
	for _, f := range all {
		if f.value != "" {
			list = append(list, f)
			w = max(w, widthOf(f.name))
		}
	}
	cols := min(max(m.w/38, 1), 4)
	room := m.w/cols - w - 3
	rows := (len(list) + cols - 1) / cols
	for y := range rows {
		var l line
		for x := range cols {
			i := x*rows + y
			if i >= len(list) {
				continue
			}
			l = append(l, m.paint.fit(cell{list[i].name, dim}, w, true), piece{" ", plain}, m.paint.fit(cell{list[i].value, plain}, room, true), piece{"  ", plain})
		}
		out = append(out, l)
	}
	return out
}

// graphsOf are graphs, one a line, each with its newest value.
func (m *model) graphsOf(all ...graphed) (out []line) {
	for _, g := range all {
		if len(g.values) == 0 {
			continue
		}
		ink := accent
		if strings.HasPrefix(g.label, "errors") {
			ink = bad
		}
		out = append(out, line{m.paint.fit(cell{g.label, dim}, 10, true), m.paint.fit(cell{g.form(g.values[len(g.values)-1]), plain}, 7, false), {" ", plain},
			{m.paint.spark(g.values, g.end, max(m.w-19, 4), g.top), ink}})
	}
	return out
}

type graphed struct {
	label  string
	values []float64
	end    int64
	top    float64
	form   func(float64) string
}

func dashed(form func(float64) string) func(float64) string {
	return func(v float64) string { return orDash(form(v)) }
}

// kinds are numbers by kind, the highest first.
func kinds(all map[string]uint64) string {
	names := slices.Sorted(maps.Keys(all))
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(all[b], all[a]) })
	var parts []string
	for _, n := range names {
		if all[n] > 0 {
			parts = append(parts, n+" "+count(all[n]))
		}
	}
	return strings.Join(parts, ", ")
}

func statuses(all [6]uint64) string {
	var parts []string
	for i, name := range [...]string{"no answer", "1xx", "2xx", "3xx", "4xx", "5xx"} {
		if all[i] > 0 {
			parts = append(parts, name+" "+count(all[i]))
		}
	}
	return strings.Join(parts, ", ")
}

// text is a name and a value of any length below each other.
func (m *model) text(name, value string, st style) (out []line) {
	if value == "" {
		return nil
	}
	for i, l := range wrap(clean(value, m.paint.ascii), max(m.w-12, 8)) {
		label := ""
		if i == 0 {
			label = name
		}
		out = append(out, line{m.paint.fit(cell{label, dim}, max(widthOf(name), 11), true), {" ", plain}, {l, st}})
	}
	return out
}

func (m *model) serverLines(p *picture.Pool, s *picture.Server) []line {
	state := s.State
	if f := since(s.Since, m.pic.At); f != "" {
		state += " for " + f
	}
	out := []line{{{api.FullName(p.Name, s.Name), bold}, {"  ", plain}, {state, stateStyle(s.State)}}, nil}
	out = append(out, m.text("why", s.Why, stateStyle(s.State))...)
	for _, h := range m.pic.Hands {
		if h.Pool == p.Name && (h.Server == s.Name || strings.HasPrefix(s.Name, h.Server+"/")) {
			text := strings.TrimSpace(h.Listed + " " + h.State)
			if h.Weight != nil {
				text = strings.TrimSpace(text + fmt.Sprintf(" weight %d", *h.Weight))
			}
			text += ", by " + h.By + " " + since(timeOf(h.Since), m.pic.At) + " ago"
			if h.Reason != "" {
				text += ": " + h.Reason
			}
			out = append(out, m.text("by hand", text, warn)...)
		}
	}
	if s.Check != "" || s.Checks > 0 {
		check := orDash(s.Check)
		if s.Checks > 0 {
			check += fmt.Sprintf(" (%s checks, %s failed)", count(s.Checks), count(s.CheckFail))
		}
		out = append(out, m.text("check", check, plain)...)
	}
	out = append(out, nil)
	if h := m.past[serverKey(p, s)]; h != nil {
		out = append(out, m.graphsOf(graphed{"requests", h.rate, h.n, 0, func(v float64) string { return number(v) + "/s" }}, graphed{"errors", h.errors, h.n, 1, func(v float64) string { return number(v) + "/s" }},
			graphed{"p95", h.p95, h.n, 0, dashed(millis)}, graphed{"under way", h.active, h.n, max(float64(s.Limit), 1), whole})...)
		out = append(out, nil)
	}
	share := ""
	if s.Share < 1000 {
		share = fmt.Sprintf("%.1f%% of its weight", float64(s.Share)/10)
	}
	out = append(out, m.facts(fact{"address", s.Address}, fact{"weight", fmt.Sprint(s.Weight)}, fact{"share", share}, fact{"backup", map[bool]string{true: "yes"}[s.Backup]},
		fact{"under way", whole(float64(s.Active)) + ", most " + whole(float64(s.ActiveMax))}, fact{"at a time", limit(float64(s.Limit))},
		fact{"connections", whole(float64(s.Idle)) + " idle"}, fact{"connects", count(s.Connects) + ", reused " + count(s.Reused)},
		fact{"rate", number(s.Rate) + "/s, most " + number(s.RateMax) + "/s"}, fact{"requests", count(s.Requests)}, fact{"errors", count(s.Errors)},
		fact{"p50", millis(s.P50)}, fact{"p95", millis(s.P95)}, fact{"p99", millis(s.P99)}, fact{"sent to it", size(float64(s.In))}, fact{"got of it", size(float64(s.Out))},
		fact{"went down", count(s.Downs) + " times"}, fact{"was down", span(time.Duration(s.DownFor * float64(time.Second)))})...)
	out = append(out, nil)
	out = append(out, m.text("answers", statuses(s.Status), plain)...)
	out = append(out, m.text("failures", kinds(s.Failures), bad)...)
	if p.App != "" {
		if a, w := m.workerOf(p.App, s.Name); w != nil {
			out = append(append(out, nil), m.workerFacts(a, w)...)
		}
	}
	if p.App != "" { // whichever process it is that is in its place now
		return append(out, m.eventsOf(s.Name, place(s.Name))...)
	}
	return append(out, m.eventsOf(api.FullName(p.Name, s.Name))...)
}

func (m *model) workerOf(app, name string) (*picture.App, *picture.Worker) {
	for i := range m.pic.Apps {
		a := &m.pic.Apps[i]
		for j := range a.Workers {
			if w := &a.Workers[j]; a.Name == app && (w.Name == name || place(w.Name) == place(name)) {
				return a, w
			}
		}
	}
	return nil, nil
}

func (m *model) workerFacts(a *picture.App, w *picture.Worker) []line {
	pr := picture.Process{}
	if m.pic.Facts != nil {
		for _, x := range m.pic.Facts.Processes {
			if x.PID == w.PID {
				pr = x
			}
		}
	}
	list := []fact{{"app", a.Name}, {"process", fmt.Sprint(w.PID)}, {"memory", size(float64(memoryOf(m.pic)(w)))}, {"processor", fmt.Sprintf("%.0f%%", w.CPU*100)},
		{"restarts", fmt.Sprint(w.Restarts)}, {"answered", whole(float64(w.Requests))}}
	if pr.PID != 0 {
		list = append(list, fact{"files", fmt.Sprintf("%d of %d", pr.Files, pr.FileMax)}, fact{"threads", fmt.Sprint(pr.Threads)},
			fact{"reads", size(pr.Read) + "/s"}, fact{"writes", size(pr.Written) + "/s"})
	}
	out := m.facts(list...)
	out = append(out, m.text("due", w.Due, warn)...)
	if w.Looping {
		out = append(out, m.text("crash loop", "it dies again and again", bad)...)
	}
	return append(out, m.text("last words", w.Last, plain)...)
}

func (m *model) workerLines(it *item) []line {
	w := it.worker
	if p, s := m.serverOf(it); s != nil {
		out := m.serverLines(p, s)
		out[0] = append(out[0], piece{"  worker " + w.Name + " is " + w.State, dim})
		return out
	}
	out := []line{{{w.Name, bold}, {"  ", plain}, {w.State, stateStyle(w.State)}, {" for " + since(timeOf(w.Since), m.pic.At), dim}}, nil}
	out = append(out, m.workerFacts(it.app, w)...)
	return append(out, m.eventsOf(w.Name, place(w.Name))...)
}

func (m *model) appLines(a *picture.App) []line {
	out := []line{{{a.Name, bold}, {fmt.Sprintf("  %d of %d workers are live", a.Live, len(a.Workers)), plain}}, nil}
	if a.Overrun > 0 {
		out = append(out, m.text("overran", fmt.Sprintf("%s took longer than request_timeout, %d of them must not be repeated", plural(a.Overrun, "request"), a.Lost), warn)...)
	}
	for i := range a.Workers {
		w := &a.Workers[i]
		out = append(out, line{{w.Name, bold}, {"  ", plain}, {w.State, stateStyle(w.State)}, {" for " + since(timeOf(w.Since), m.pic.At), dim}})
		out = append(append(out, m.workerFacts(a, w)...), nil)
	}
	return append(out, m.eventsOf(a.Name)...)
}

func (m *model) seriesGraphs(of string) []line {
	s := m.series[of+" "+spans[m.span]]
	if s == nil {
		return nil
	}
	var all []graphed
	for _, g := range graphRows {
		values := s.row(g.name)
		if !slices.ContainsFunc(values, func(v float64) bool { return v == v }) {
			continue
		}
		form := func(v float64) string { return number(v) }
		switch g.name {
		case "rate", "errors":
			form = func(v float64) string { return number(v) + "/s" }
		case "p95":
			form = dashed(millis)
		case "hit":
			form = dashed(percent)
		case "out":
			form = func(v float64) string { return size(v) + "/s" }
		}
		all = append(all, graphed{g.label, values, s.end(), g.top, form})
	}
	return append(m.graphsOf(all...), nil)
}

func (m *model) poolLines(p *picture.Pool) []line {
	out := []line{{{p.Name, bold}, {"  ", plain}, {fmt.Sprintf("%s, %d of %d servers take requests", p.State, p.Open, len(p.Servers)), stateStyle(p.State)}}, nil}
	out = append(out, m.seriesGraphs("pool:"+p.Name)...)
	list := []fact{{"app", p.App}, {"max_conn", limit(float64(p.MaxConn))}, {"under way", whole(float64(p.Active))}, {"waiting", whole(float64(p.Queued)) + ", most " + whole(float64(p.QueueMax))},
		{"queue", limit(float64(p.QueueSize))}, {"wait p95", millis(p.QueueP95)}, {"rate", number(p.Rate) + "/s"}, {"requests", count(p.Requests)}, {"errors", count(p.Errors)},
		{"p50", millis(p.P50)}, {"p95", millis(p.P95)}, {"p99", millis(p.P99)}, {"retries", count(p.Retries)}, {"redispatched", count(p.Redispatch)}, {"not retried", count(p.NoRetry)},
		{"queue full", count(p.Rejected)}, {"waited too long", count(p.TimedOut)}, {"shed", count(p.Shed)}, {"breaker", p.Breaker}}
	if p.Hedges[1]+p.Hedges[2] > 0 {
		list = append(list, fact{"hedges", count(p.Hedges[1]+p.Hedges[2]) + ", won " + count(p.Hedges[2])})
	}
	out = append(append(out, m.facts(list...)...), nil)
	for i := range p.Servers {
		s := &p.Servers[i]
		out = append(out, line{m.paint.fit(cell{s.Name, plain}, min(30, m.w/2), true), {fmt.Sprintf(" %-9s ", s.State), stateStyle(s.State)},
			{fmt.Sprintf("%7s  %6s  ", number(s.Rate)+"/s", orDash(millis(s.P95))), plain}, {cmp.Or(s.Why, s.Check), dim}})
	}
	return append(out, m.eventsOf(p.Name)...)
}

func (m *model) routeLines(r *picture.Route) []line {
	out := []line{{{routeTitle(r), bold}, {"  " + r.Pool, dim}}, nil}
	out = append(out, m.seriesGraphs("route:"+r.Site+" "+r.Name)...)
	out = append(out, m.facts(fact{"rate", number(r.Rate) + "/s, most " + number(r.RateMax) + "/s"}, fact{"requests", count(r.Requests)}, fact{"errors", number(r.Errors) + "/s"},
		fact{"p50", millis(r.P50)}, fact{"p95", millis(r.P95)}, fact{"p99", millis(r.P99)}, fact{"hit ratio", percent(r.HitRatio)}, fact{"sent", size(float64(r.Out))},
		fact{"got", size(float64(r.In))}, fact{"retries", count(r.Retries)}, fact{"saved", size(float64(r.Saved))})...)
	out = append(out, nil)
	out = append(out, m.text("answers", statuses(r.Status), plain)...)
	var verdicts []string
	for c, n := range r.Cache {
		if c > 0 && n > 0 {
			verdicts = append(verdicts, journal.Cache(c).String()+" "+count(n))
		}
	}
	out = append(out, m.text("cache", strings.Join(verdicts, ", "), plain)...)
	out = append(out, m.text("why not", kinds(r.Whys), plain)...)
	out = append(out, m.text("causes", kinds(r.Causes), bad)...)
	if r.Slow != nil {
		out = append(out, m.text("slow one", fmt.Sprintf("%s took %s, %s ago", r.Slow.ID, millis(r.Slow.Took*1000), since(time.UnixMilli(r.Slow.At), m.pic.At)), warn)...)
	}
	return out
}

// eventsOf are the events of a subject, by any of its names, and of what is below it.
func (m *model) eventsOf(names ...string) (out []line) {
	for i := range m.events {
		e := &m.events[i]
		if !slices.ContainsFunc(names, func(n string) bool {
			return e.Subject == n || strings.HasPrefix(e.Subject, n+"/")
		}) {
			continue
		}
		if out == nil {
			out = append(out, nil, line{{"EVENTS", dim}})
		}
		by := ""
		if e.By != "" {
			by = " (" + e.By + ")"
		}
		out = append(out, line{{e.At.Local().Format("Jan _2 15:04:05 "), dim}, {e.Subject + " ", bold}, {e.Text + by, eventStyle(e)}})
		if len(out) > 22 {
			break
		}
	}
	return out
}

func (m *model) eventLines(e *Event) []line {
	out := []line{{{e.Kind, bold}, {"  " + e.Subject, plain}}, {{e.At.Local().Format("2006-01-02 15:04:05") + ", " + since(e.At, m.pic.At) + " ago", dim}}, nil}
	out = append(out, m.text("what", e.Text, eventStyle(e))...)
	return append(out, m.text("by", e.By, plain)...)
}
