package alert

import (
	"slices"
	"time"

	"github.com/weirhq/weir/internal/picture"
)

// What explains what. A cause that is only pending explains already: it will fire, or it will be gone, and until then nobody is told
// of what it may explain. So it does not matter in which order things are found to be dead. What a cause leaves behind when it is over,
// such as errors of the last minute, is told only if it lasts.
//
//	edge_loop ─► edge_down ─► everything that requests tell
//	network_down ─► node_down of its machines, and what that explains
//	node_down ─► pool_down of pools whose servers are all on such machines, server_down of servers there
//	worker_loop, of all workers ─► pool_down of the app's pool
//	pool_down ─► server_down of its servers, its queue, errors of sites whose requests it gets

// causes finds for each alert of a picture which others may explain it.
func (v *view) causes() map[string][]string {
	p, all := v.p, map[string][]string{}
	add := func(of, by string) {
		if !slices.Contains(all[of], by) {
			all[of] = append(all[of], by)
		}
	}
	by, away := map[string][]string{}, map[string]bool{} // by which alerts a machine's servers may be, and whether it is away now
	for _, m := range v.machines {
		by[m.host] = []string{id("node_down", m.host)}
		away[m.host] = m.all > 1 && m.down == m.all
		if g := v.lives[m.host].group; g != nil {
			add(id("node_down", m.host), id("network_down", g.Name))
			by[m.host] = append(by[m.host], id("network_down", g.Name))
			away[m.host] = away[m.host] || m.dead
		}
	}
	for i := range p.Pools {
		o := &p.Pools[i]
		down, whole := id("pool_down", o.Name), len(o.Servers) > 0
		for j := range o.Servers {
			whole = whole && away[host(o.Servers[j].Address)]
		}
		for j := range o.Servers {
			s := &o.Servers[j]
			server := id("server_down", o.Name+"/"+s.Name)
			for _, one := range by[host(s.Address)] {
				add(server, one)
				if whole {
					add(down, one)
				}
			}
			add(server, down)
		}
		if o.App != "" && allLoop(p, o.App) {
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

// explain says which alerts are explained by which.
func (b *Board) explain(p *picture.Picture) {
	if len(b.alerts) == 0 {
		b.by = nil
		return
	}
	if p.Edge.Up || b.by == nil {
		b.by = b.view.causes()
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
		ids := b.by[a.ID()]
		if r := b.rule(a.Rule); r != nil && sourceOf(r) == ofEdge {
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

// allLoop reports whether every worker of an app dies as soon as it is started.
func allLoop(p *picture.Picture, app string) bool {
	i := slices.IndexFunc(p.Apps, func(a picture.App) bool { return a.Name == app })
	if i < 0 {
		return false
	}
	n, _ := looping(&p.Apps[i])
	return n > 0 && n == len(p.Apps[i].Workers)
}
