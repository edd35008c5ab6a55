package alert

import (
	"slices"
	"time"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/picture"
)

// What explains what. A cause that is only pending explains already: it will fire, or it will be gone, and until then nobody is told
// of what it may explain. So it does not matter in which order things are found to be dead. What a cause leaves behind when it is over,
// such as errors of the last minute, is told only if it lasts.
//
//	edge_loop ─► edge_down ─► everything that requests tell
//	node_down ─► pool_down of pools whose servers are all on such machines, server_down of servers there
//	worker_loop, of all workers ─► pool_down of the app's pool
//	pool_down ─► server_down of its servers, its queue, errors of sites whose requests it gets

// cause is what may explain an alert, by pools and by servers of a picture.
type cause struct{ ids []string }

// causes finds for each alert of a picture which others may explain it.
func causes(p *picture.Picture) map[string]cause {
	all := map[string]cause{}
	add := func(of, by string) {
		c := all[of]
		if !slices.Contains(c.ids, by) {
			c.ids = append(c.ids, by)
			all[of] = c
		}
	}
	dead := deadNodes(p)
	loops := map[string]bool{}
	for i := range p.Apps {
		a := &p.Apps[i]
		if n, _ := looping(a); n == len(a.Workers) && n > 0 {
			loops[a.Name] = true
		}
	}
	for i := range p.Pools {
		o := &p.Pools[i]
		down := id("pool_down", o.Name)
		at, whole := []string{}, len(o.Servers) > 0
		for j := range o.Servers {
			s := &o.Servers[j]
			h := host(s.Address)
			server := id("server_down", o.Name+"/"+s.Name)
			if h != "" {
				add(server, id("node_down", h))
			}
			add(server, down)
			at = append(at, h)
			whole = whole && dead[h]
		}
		for _, h := range at {
			if whole {
				add(down, id("node_down", h))
			}
		}
		if o.App != "" && loops[o.App] {
			add(down, id("worker_loop", o.App))
		}
		add(id("queue", o.Name), down)
	}
	for i := range p.Routes {
		if r := &p.Routes[i]; r.Pool != "" {
			add(id("errors", r.Site), id("pool_down", r.Pool))
		}
	}
	add("edge_down", "edge_loop")
	return all
}

// byEdge are the rules about what only requests tell.
func byEdge(r *rule) bool { return sourceOf(r) == ofEdge }

// explain says which alerts are explained by which.
func (b *Board) explain(p *picture.Picture) {
	if len(b.alerts) == 0 {
		b.by = nil
		return
	}
	if p.Edge.Up || b.by == nil {
		b.by = causes(p)
	}
	edge := map[string]bool{}
	for _, r := range b.rules {
		edge[r.Name] = byEdge(r)
	}
	was := map[*Alert]bool{}
	for _, a := range b.alerts {
		was[a] = a.By != ""
		a.By, a.Explains = "", nil
	}
	for _, a := range sorted(b.alerts) {
		if a.State == Resolved {
			continue
		}
		ids := b.by[a.ID()].ids
		if edge[a.Rule] {
			ids = append([]string{"edge_loop", "edge_down"}, ids...)
		}
		a.By = b.newest(ids, a)
		switch {
		case a.By == "" && was[a]:
			a.Freed = p.At
		case a.By != "":
			a.Freed = time.Time{}
		}
	}
	for _, a := range sorted(b.alerts) {
		if a.By == "" || a.State != Firing {
			continue
		}
		root := a.By
		for range 4 { // nothing is explained in a circle, and nothing over more steps than there are kinds
			if c := b.alerts[root]; c.By != "" {
				root = c.By
			}
		}
		c := b.alerts[root]
		c.Explains = append(c.Explains, a.ID())
		if a.Severity.Rank() > c.Severity.Rank() {
			c.Severity = a.Severity
		}
	}
}

// newest returns the one of some alerts that is not over and began last; "" when there is none.
func (b *Board) newest(ids []string, not *Alert) string {
	found := ""
	for _, key := range ids {
		a := b.alerts[key]
		if a != nil && a != not && a.State != Resolved && (found == "" || a.Since.After(b.alerts[found].Since)) {
			found = key
		}
	}
	return found
}

// deadNodes are the machines of which nothing is left.
func deadNodes(p *picture.Picture) map[string]bool {
	dead := map[string]bool{}
	nodes(&view{p: p}, nil, func(h string, is verdict, _ config.Severity, _ string, _ ...any) {
		if is == meets {
			dead[h] = true
		}
	})
	return dead
}
