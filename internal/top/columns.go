package top

import (
	"fmt"
	"strings"
	"time"

	"github.com/weirhq/weir/internal/picture"
)

func serverKey(p *picture.Pool, s *picture.Server) string { return "server " + p.Name + "/" + s.Name }

// items are what a view's table has, in the order of the configuration.
func (m *model) items(v view) (all []*item) {
	p := m.pic
	switch v {
	case pools:
		for i := range p.Pools {
			o := &p.Pools[i]
			all = append(all, &item{now: p.At, key: "pool " + o.Name, head: true, pool: o})
			for j := range o.Servers {
				all = append(all, &item{now: p.At, key: serverKey(o, &o.Servers[j]), pool: o, server: &o.Servers[j]})
			}
		}
	case workers:
		memory := memoryOf(p)
		for i := range p.Apps {
			a := &p.Apps[i]
			all = append(all, &item{now: p.At, key: "app " + a.Name, head: true, app: a, memory: memory})
			for j := range a.Workers {
				all = append(all, &item{now: p.At, key: "worker " + a.Name + " " + a.Workers[j].Name, app: a, worker: &a.Workers[j], memory: memory})
			}
		}
	case routes:
		for i := range p.Routes {
			r := &p.Routes[i]
			all = append(all, &item{now: p.At, key: "route " + r.Site + " " + r.Name, route: r})
		}
	case logView:
		for _, s := range m.stories {
			all = append(all, &item{now: p.At, key: s.key, story: s})
		}
	case numbersView:
		for i := range m.numbers {
			n := &m.numbers[i]
			all = append(all, &item{now: p.At, key: "number " + n.text(), number: n})
		}
	case eventsView:
		for i := range m.events {
			e := &m.events[i]
			all = append(all, &item{now: p.At, key: fmt.Sprintf("event %d %s %s", e.At.UnixNano(), e.Subject, e.Text), event: e})
		}
	}
	return all
}

// memoryOf tells how much memory workers take: as the keeper sees it where that counts for something, else as the machine does.
func memoryOf(p *picture.Picture) func(*picture.Worker) int64 {
	of := map[int]int64{}
	if p.Facts != nil {
		for _, o := range p.Facts.Processes {
			of[o.PID] = o.Memory
		}
	}
	return func(w *picture.Worker) int64 {
		if w.Memory > 0 || w.PID == 0 {
			return w.Memory
		}
		return of[w.PID]
	}
}

// find returns what is looked into, nil if it is no more.
func (m *model) find(key string) *item {
	if m.pic == nil {
		return nil
	}
	for _, it := range m.items(m.view) {
		if it.key == key {
			return it
		}
	}
	return nil
}

// textOf is what filters look at: all that the table shows of an item, and what its names are.
func (m *model) textOf(it *item, cols []column) string {
	var b strings.Builder
	if it.pool != nil {
		b.WriteString(it.pool.Name + " ")
	}
	if it.server != nil {
		b.WriteString(it.server.Address + " " + it.server.Why + " ")
	}
	for i := range cols {
		if cols[i].num == nil {
			b.WriteString(cols[i].show(it).text)
			b.WriteByte(' ')
		}
	}
	return b.String()
}

func columnsOf(v view) []column {
	switch v {
	case pools:
		return poolColumns
	case workers:
		return workerColumns
	case routes:
		return routeColumns
	case logView:
		return logColumns
	case numbersView:
		return numberColumns
	}
	return eventColumns
}

// figure makes a column of numbers: what is 0 is faint, since it is of no interest.
func figure(head string, wide, rank int, form func(float64) string, of func(*item) float64) column {
	return column{head: head, wide: wide, rank: rank, num: of, show: func(it *item) cell {
		v := of(it)
		if v == 0 {
			return cell{form(0), dim}
		}
		return cell{form(v), plain}
	}}
}

// alarming is a column of numbers that had better be 0.
func alarming(head string, wide, rank int, form func(float64) string, of func(*item) float64) column {
	c := figure(head, wide, rank, form, of)
	show := c.show
	c.show = func(it *item) cell {
		out := show(it)
		if of(it) > 0 {
			out.style = bad
		}
		return out
	}
	return c
}

// either reads a pool's number of a head, and a server's of what is below.
func either(pool func(*picture.Pool) float64, server func(*picture.Server) float64) func(*item) float64 {
	return func(it *item) float64 {
		if it.server != nil {
			return server(it.server)
		}
		return pool(it.pool)
	}
}

func sumOf(of func(*picture.Server) float64) func(*item) float64 {
	return either(func(p *picture.Pool) (sum float64) {
		for i := range p.Servers {
			sum += of(&p.Servers[i])
		}
		return sum
	}, of)
}

// whole is number of what comes in ones.
func whole(v float64) string { return count(uint64(max(v, 0))) }

// seconds is a time, "" for none.
func seconds(v float64) string {
	if v <= 0 {
		return ""
	}
	return span(time.Duration(v * float64(time.Second)))
}

// age is how many seconds ago something was, 0 if that is not known.
func age(then, now time.Time) float64 {
	if then.IsZero() {
		return 0
	}
	return max(now.Sub(then).Seconds(), 0)
}

// limit is a number where 0 means that there is none.
func limit(v float64) string {
	if v == 0 {
		return "-"
	}
	return whole(v)
}

// poolColumns are those that HAProxy's status page has, by its order, and latencies.
var poolColumns = []column{
	{head: "POOL/SERVER", wide: 14, most: 44, left: true, show: func(it *item) cell {
		if it.server == nil {
			name := it.pool.Name
			if it.pool.TCP {
				name += " (tcp)"
			}
			return cell{name, bold}
		}
		if it.server.Backup {
			return cell{"  " + it.server.Name + " (backup)", plain}
		}
		return cell{"  " + it.server.Name, plain}
	}},
	{head: "STATE", wide: 8, left: true, show: func(it *item) cell {
		if it.server == nil {
			return cell{fmt.Sprintf("%s %d/%d", it.pool.State, it.pool.Open, len(it.pool.Servers)), stateStyle(it.pool.State)}
		}
		return cell{it.server.State, stateStyle(it.server.State)}
	}},
	figure("FOR", 5, 21, seconds, func(it *item) float64 {
		if it.server == nil {
			return 0
		}
		return age(it.server.Since, it.now)
	}),
	figure("QUEUE", 5, 5, whole, either(func(p *picture.Pool) float64 { return float64(p.Queued) }, func(*picture.Server) float64 { return 0 })),
	figure("QMAX", 4, 12, whole, either(func(p *picture.Pool) float64 { return float64(p.QueueMax) }, func(*picture.Server) float64 { return 0 })),
	figure("CUR", 4, 2, whole, either(func(p *picture.Pool) float64 { return float64(p.Active) }, func(s *picture.Server) float64 { return float64(s.Active) })),
	figure("MAX", 4, 9, whole, sumMax(func(s *picture.Server) float64 { return float64(s.ActiveMax) })),
	figure("LIM", 4, 8, limit, sumOf(func(s *picture.Server) float64 { return float64(s.Limit) })),
	figure("RATE", 5, 0, number, either(func(p *picture.Pool) float64 { return p.Rate }, func(s *picture.Server) float64 { return s.Rate })),
	figure("RMAX", 5, 13, number, sumMax(func(s *picture.Server) float64 { return s.RateMax })),
	alarming("ERR/s", 5, 1, number, either(func(p *picture.Pool) float64 { return p.ErrorRate }, func(s *picture.Server) float64 { return s.ErrorRate })),
	figure("P50", 5, 7, millis, either(func(p *picture.Pool) float64 { return p.P50 }, func(s *picture.Server) float64 { return s.P50 })),
	figure("P95", 5, 3, millis, either(func(p *picture.Pool) float64 { return p.P95 }, func(s *picture.Server) float64 { return s.P95 })),
	figure("P99", 5, 10, millis, either(func(p *picture.Pool) float64 { return p.P99 }, func(s *picture.Server) float64 { return s.P99 })),
	figure("WGHT", 4, 6, whole, sumOf(func(s *picture.Server) float64 { return float64(s.Weight) })),
	figure("TOTAL", 5, 14, whole, either(func(p *picture.Pool) float64 { return float64(p.Requests) }, func(s *picture.Server) float64 { return float64(s.Requests) })),
	figure("IN", 5, 19, size, sumOf(func(s *picture.Server) float64 { return float64(s.In) })),
	figure("OUT", 5, 18, size, sumOf(func(s *picture.Server) float64 { return float64(s.Out) })),
	figure("5xx", 4, 16, whole, sumOf(func(s *picture.Server) float64 { return float64(s.Status[5]) })),
	figure("FAIL", 4, 15, whole, either(func(p *picture.Pool) float64 { return float64(p.Errors) }, func(s *picture.Server) float64 { return float64(s.Errors) })),
	figure("RETR", 4, 17, whole, either(func(p *picture.Pool) float64 { return float64(p.Retries) }, func(*picture.Server) float64 { return 0 })),
	figure("DOWNS", 4, 11, whole, sumOf(func(s *picture.Server) float64 { return float64(s.Downs) })),
	figure("DOWN", 5, 20, seconds, sumOf(func(s *picture.Server) float64 { return s.DownFor })),
	{head: "CHECK", wide: 18, left: true, rank: 4, flex: true, show: func(it *item) cell {
		s := it.server
		switch {
		case s == nil && it.pool.Breaker != "":
			return cell{"breaker " + it.pool.Breaker, bad}
		case s == nil:
			return cell{}
		case s.Why != "":
			return cell{s.Why, stateStyle(s.State)}
		case s.Share < 1000 && s.State == "starting":
			return cell{fmt.Sprintf("%d%% of its share", s.Share/10), warn}
		}
		return cell{s.Check, dim}
	}},
}

// sumMax is a server's number, and of a pool the highest of its servers'.
func sumMax(of func(*picture.Server) float64) func(*item) float64 {
	return either(func(p *picture.Pool) (most float64) {
		for i := range p.Servers {
			most = max(most, of(&p.Servers[i]))
		}
		return most
	}, of)
}

func eachWorker(app func(*picture.App) float64, worker func(*picture.Worker) float64) func(*item) float64 {
	return func(it *item) float64 {
		if it.worker != nil {
			return worker(it.worker)
		}
		if app != nil {
			return app(it.app)
		}
		sum := 0.0
		for i := range it.app.Workers {
			sum += worker(&it.app.Workers[i])
		}
		return sum
	}
}

var workerColumns = []column{
	{head: "APP/WORKER", wide: 12, most: 40, left: true, show: func(it *item) cell {
		if it.worker == nil {
			return cell{it.app.Name, bold}
		}
		return cell{"  " + it.worker.Name, plain}
	}},
	{head: "STATE", wide: 8, left: true, show: func(it *item) cell {
		w := it.worker
		switch {
		case w == nil && it.app.Live == len(it.app.Workers):
			return cell{fmt.Sprintf("%d live", it.app.Live), good}
		case w == nil && it.app.Live == 0:
			return cell{fmt.Sprintf("0 of %d", len(it.app.Workers)), bad}
		case w == nil:
			return cell{fmt.Sprintf("%d of %d", it.app.Live, len(it.app.Workers)), warn}
		case w.Looping:
			return cell{"CRASHING", bad}
		}
		return cell{w.State, stateStyle(w.State)}
	}},
	figure("FOR", 5, 4, seconds, func(it *item) float64 {
		if it.worker == nil {
			return 0
		}
		return age(timeOf(it.worker.Since), it.now)
	}),
	{head: "PID", wide: 7, rank: 6, num: eachWorker(func(*picture.App) float64 { return 0 }, func(w *picture.Worker) float64 { return float64(w.PID) }), show: func(it *item) cell {
		if it.worker == nil || it.worker.PID == 0 {
			return cell{}
		}
		return cell{fmt.Sprint(it.worker.PID), dim}
	}},
	figure("CPU", 4, 2, func(v float64) string { return fmt.Sprintf("%.0f%%", v*100) }, eachWorker(nil, func(w *picture.Worker) float64 { return w.CPU })),
	figure("MEM", 5, 0, size, func(it *item) float64 {
		return eachWorker(nil, func(w *picture.Worker) float64 { return float64(it.memory(w)) })(it)
	}),
	figure("REQS", 5, 5, whole, eachWorker(nil, func(w *picture.Worker) float64 { return float64(w.Requests) })),
	alarming("RESTARTS", 4, 3, whole, eachWorker(nil, func(w *picture.Worker) float64 { return float64(w.Restarts) })),
	{head: "LAST WORDS", wide: 28, rank: 1, left: true, flex: true, show: func(it *item) cell {
		switch {
		case it.worker == nil && it.app.Overrun > 0:
			return cell{fmt.Sprintf("%s over the time limit, %d lost", plural(it.app.Overrun, "request"), it.app.Lost), warn}
		case it.worker == nil:
			return cell{}
		case it.worker.Due != "":
			return cell{"to be replaced: " + it.worker.Due, warn}
		}
		return cell{it.worker.Last, dim}
	}},
}

func timeOf(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{} // one that is not known
	}
	return t
}

// routeTitle is a route's name with its site's; one that has no name of its own is called after its site.
func routeTitle(r *picture.Route) string {
	if strings.HasPrefix(r.Name, r.Site) {
		return r.Name
	}
	return r.Site + " " + r.Name
}

var routeColumns = []column{
	{head: "SITE/ROUTE", wide: 24, left: true, flex: true, show: func(it *item) cell { return cell{routeTitle(it.route), plain} }},
	{head: "POOL", wide: 6, most: 20, left: true, rank: 6, show: func(it *item) cell { return cell{it.route.Pool, dim} }},
	figure("RATE", 5, 0, number, func(it *item) float64 { return it.route.Rate }),
	figure("RMAX", 5, 9, number, func(it *item) float64 { return it.route.RateMax }),
	alarming("ERR/s", 5, 1, number, func(it *item) float64 { return it.route.Errors }),
	figure("P50", 5, 5, millis, func(it *item) float64 { return it.route.P50 }),
	figure("P95", 5, 2, millis, func(it *item) float64 { return it.route.P95 }),
	figure("P99", 5, 4, millis, func(it *item) float64 { return it.route.P99 }),
	figure("HIT", 5, 3, percent, func(it *item) float64 { return it.route.HitRatio }),
	figure("OUT/s", 5, 7, size, func(it *item) float64 { return it.route.OutRate }),
	figure("IN/s", 5, 15, size, func(it *item) float64 { return it.route.InRate }),
	figure("TOTAL", 5, 8, whole, func(it *item) float64 { return float64(it.route.Requests) }),
	figure("2xx", 5, 11, whole, func(it *item) float64 { return float64(it.route.Status[2]) }),
	figure("3xx", 5, 13, whole, func(it *item) float64 { return float64(it.route.Status[3]) }),
	figure("4xx", 5, 12, whole, func(it *item) float64 { return float64(it.route.Status[4]) }),
	figure("5xx", 5, 10, whole, func(it *item) float64 { return float64(it.route.Status[5]) }),
	figure("RETR", 4, 14, whole, func(it *item) float64 { return float64(it.route.Retries) }),
	figure("OUT", 5, 16, size, func(it *item) float64 { return float64(it.route.Out) }),
	figure("SAVED", 5, 17, size, func(it *item) float64 { return float64(it.route.Saved) }),
}

var eventColumns = []column{
	{head: "TIME", wide: 14, left: true, show: func(it *item) cell { return cell{it.event.At.Local().Format("Jan _2 15:04:05"), dim} }},
	{head: "KIND", wide: 8, most: 13, left: true, rank: 2, show: func(it *item) cell { return cell{it.event.Kind, plain} }},
	{head: "SUBJECT", wide: 12, most: 34, left: true, rank: 1, show: func(it *item) cell { return cell{it.event.Subject, bold} }},
	{head: "WHAT", wide: 24, left: true, flex: true, show: func(it *item) cell {
		text := it.event.Text
		if it.event.By != "" {
			text += " (" + it.event.By + ")"
		}
		return cell{text, eventStyle(it.event)}
	}},
}

// eventWords tell what an event is; of those that are in its text, the first counts.
var eventWords = []struct {
	word  string
	style style
}{{"is down", bad}, {"died", bad}, {"does not answer", bad}, {"failing", bad}, {"started again", bad}, {"is up again", good}, {"is ready", good}, {"serves", good}}

// eventStyle tells what is bad news from the rest.
func eventStyle(e *Event) style {
	switch {
	case e.Kind == "intervention":
		return plain // people write the reason
	case e.Kind == "alert" && strings.HasPrefix(e.Text, "over: "):
		return good
	case e.Kind == "problem" || e.Kind == "alert":
		return bad
	}
	for _, w := range eventWords {
		if strings.Contains(e.Text, w.word) {
			return w.style
		}
	}
	return plain
}
