package alert

import (
	"fmt"
	"math"
	"strings"

	"github.com/weirhq/weir/internal/condition"
	"github.com/weirhq/weir/internal/picture"
)

// own asks a rule of the file's own of everything that it is about.
func (v *view) own(r *rule) (all []finding) {
	p := v.p
	ask := func(subject string, number func(string) float64) {
		if !glob(r.Of, subject) {
			return
		}
		is := clears
		switch r.when.Test(number) {
		case condition.True:
			is = meets
		case condition.Unknown:
			is = unknown
		default:
			if r.until != nil {
				switch r.until.Test(number) {
				case condition.False:
					is = holds
				case condition.Unknown:
					is = unknown
				}
			}
		}
		all = append(all, finding{rule: r, subject: subject, is: is, text: r.told(subject, number)})
	}
	switch r.when.Of() {
	case "total":
		ask("", v.totalNumber)
	case "site":
		for i := range p.Sites {
			s := &p.Sites[i]
			ask(s.Name, v.flowNumber(&s.Flow, "site", s.Name))
		}
	case "route":
		for i := range p.Routes {
			o := &p.Routes[i]
			ask(o.Site+" "+o.Name, v.flowNumber(&o.Flow, "route", o.Site+" "+o.Name))
		}
	case "pool":
		for i := range p.Pools {
			ask(p.Pools[i].Name, v.poolNumber(&p.Pools[i]))
		}
	case "server":
		for i := range p.Pools {
			for j := range p.Pools[i].Servers {
				s := &p.Pools[i].Servers[j]
				name := p.Pools[i].Name + "/" + s.Name
				ask(name, v.serverNumber(s, name))
			}
		}
	}
	return all
}

// told says which condition holds, and what its numbers are.
func (r *rule) told(subject string, number func(string) float64) string {
	var b strings.Builder
	if subject != "" {
		b.WriteString(subject + ": ")
	}
	b.WriteString(r.When + " (")
	for i, name := range r.when.Names() {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %s", name, shown(r.when.Of(), name, number(name)))
	}
	b.WriteByte(')')
	return b.String()
}

// shown is a number for people.
func shown(of, name string, n float64) string {
	if math.IsNaN(n) {
		return "unknown"
	}
	for _, k := range condition.All() {
		if k.Of != of || k.Name != name {
			continue
		}
		switch k.Unit {
		case condition.Share:
			return percent(n)
		case condition.Time:
			if n < 1 {
				return fmt.Sprintf("%.3gms", n*1000)
			}
			return fmt.Sprintf("%.3gs", n)
		case condition.Size:
			return fmt.Sprintf("%.3gMiB", n/(1<<20))
		}
	}
	return fmt.Sprintf("%.4g", n)
}

func (v *view) totalNumber(name string) float64 {
	p := v.p
	switch name {
	case "active":
		return float64(p.Edge.Active)
	case "connections":
		return float64(p.Edge.Connections)
	case "restarts":
		return float64(p.Edge.Restarts)
	}
	if f := p.Facts; f != nil {
		switch name {
		case "load":
			return share(f.Load[0], float64(len(f.CPUs)))
		case "memory":
			return share(float64(f.MemTotal-f.MemFree), float64(f.MemTotal))
		case "swap":
			return share(float64(f.SwapUsed), float64(f.SwapTotal))
		case "files":
			return share(float64(f.Files), float64(f.FilesMax))
		}
	}
	return v.flowNumber(&p.Total, "total", "")(name)
}

func (v *view) flowNumber(f *picture.Flow, kind, subject string) func(string) float64 {
	return func(name string) float64 {
		w := v.window(kind, subject)
		switch name {
		case "rate":
			return w.rate()
		case "errors":
			return w.errors()
		case "hit_ratio":
			return w.hitRatio()
		case "in_rate":
			return f.InRate
		case "out_rate":
			return f.OutRate
		}
		return quantile(name, f.P50, f.P95, f.P99)
	}
}

// quantile is in seconds; 0 says that there was no request.
func quantile(name string, p50, p95, p99 float64) float64 {
	ms := map[string]float64{"p50": p50, "p95": p95, "p99": p99}[name]
	if ms == 0 {
		return math.NaN()
	}
	return ms / 1000
}

func (v *view) poolNumber(o *picture.Pool) func(string) float64 {
	return func(name string) float64 {
		switch name {
		case "queued":
			return float64(o.Queued)
		case "queue_p95":
			return o.QueueP95 / 1000
		case "open":
			return float64(o.Open)
		case "servers":
			return float64(len(o.Servers))
		case "active":
			return float64(o.Active)
		case "rate":
			return v.window("pool", o.Name).rate()
		case "errors":
			return v.window("pool", o.Name).errors()
		}
		return quantile(name, o.P50, o.P95, o.P99)
	}
}

func (v *view) serverNumber(s *picture.Server, subject string) func(string) float64 {
	return func(name string) float64 {
		switch name {
		case "active":
			return float64(s.Active)
		case "check_time":
			return s.CheckTime / 1000
		case "weight":
			return float64(s.Weight)
		case "rate":
			return v.window("server", subject).rate()
		case "errors":
			return v.window("server", subject).errors()
		}
		return quantile(name, s.P50, s.P95, s.P99)
	}
}
