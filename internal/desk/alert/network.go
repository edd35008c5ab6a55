package alert

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weirhq/weir/internal/picture"
)

// A switch, a cable or a firewall takes many machines away at once. Nobody tells weir how its network is wired; that machines fall
// silent within seconds of each other is what can be seen of it. They are remembered as a group from then on, which is one alert and
// explains what becomes of their servers and of pools that lie on them.

const (
	together  = 20 * time.Second // in which they fall: checks see it each at its time
	longAlive = time.Minute      // that a machine was well before its fall says anything of others
	groupFor  = time.Hour        // a group is remembered after the last of it is back
	maxGroups = 100
	maxHosts  = 5 // that a text names
)

// Group is machines that fell silent at one moment, and may be back.
type Group struct {
	Name  string    `json:"name"`  // the first of them
	Since time.Time `json:"since"` // the first of them fell
	Hosts []string  `json:"hosts"`
	Last  time.Time `json:"last"` // that any of them was silent
}

// machine is one address at which there are servers.
type machine struct {
	host      string
	all, down int
	dead      bool     // every server there is down, and none of their checks heard anything
	pools     []string // of its servers
	why       string
}

// life is what is remembered of a machine.
type life struct {
	dead  bool
	since time.Time
	fell  time.Time // zero: it is well, or nobody saw it fall
	group *Group    // nil: it is in none
	seen  bool
}

// machines are those of a picture, in its order. What runs on this one is none.
func machines(p *picture.Picture) (all []*machine) {
	at := map[string]*machine{}
	for i := range p.Pools {
		o := &p.Pools[i]
		for j := range o.Servers {
			s := &o.Servers[j]
			h := host(s.Address)
			if h == "" || o.App != "" {
				continue
			}
			m := at[h]
			if m == nil {
				m = &machine{host: h, dead: true, why: s.Why}
				at[h] = m
				all = append(all, m)
			}
			m.all++
			if s.State == "down" {
				m.down++
			}
			m.dead = m.dead && s.State == "down" && silent(s.Check)
			if !slices.Contains(m.pools, o.Name) {
				m.pools = append(m.pools, o.Name)
			}
		}
	}
	return all
}

// silent reports whether a check heard nothing at all. Who refuses a connection is there.
func silent(check string) bool {
	return check == "" || slices.ContainsFunc([]string{"no answer", "no route", "unreachable", "timed out", "host is down"}, func(s string) bool { return strings.Contains(check, s) })
}

// falls notes which machines fell, and which of them together: so many, at the least.
func (v *view) falls(least float64) {
	for _, l := range v.lives {
		l.seen = false
	}
	for _, m := range v.machines {
		v.life(m).look(m.dead, v.p.At)
	}
	for h, l := range v.lives {
		if !l.seen {
			delete(v.lives, h)
		}
	}
	v.join(least)
	for _, g := range v.groups {
		if v.silent(g) > 0 {
			g.Last = v.p.At
		}
	}
	v.groups = slices.DeleteFunc(v.groups, func(g *Group) bool {
		if v.p.At.Sub(g.Last) < groupFor {
			return false
		}
		for _, h := range g.Hosts {
			if l := v.lives[h]; l != nil {
				l.group = nil
			}
		}
		return true
	})
}

func (v *view) life(m *machine) *life {
	l := v.lives[m.host]
	if l == nil {
		l = &life{dead: m.dead, since: v.p.At}
		if i := slices.IndexFunc(v.groups, func(g *Group) bool { return slices.Contains(g.Hosts, m.host) }); i >= 0 {
			l.group = v.groups[i]
		}
		v.lives[m.host] = l
	}
	return l
}

// look notes whether a machine is dead. One that was not well for long says nothing of others: it may be weir that has just begun to look.
func (l *life) look(dead bool, at time.Time) {
	l.seen = true
	if l.dead == dead {
		return
	}
	if l.fell = (time.Time{}); dead && at.Sub(l.since) >= longAlive {
		l.fell = at
	}
	l.dead, l.since = dead, at
}

// join makes groups of those that fell within a moment, and adds who fell soon after to theirs.
func (v *view) join(least float64) {
	var fallen []*machine
	for _, m := range v.machines {
		l := v.lives[m.host]
		if l.fell.IsZero() || l.group != nil {
			continue
		}
		if i := slices.IndexFunc(v.groups, func(g *Group) bool { return !l.fell.Before(g.Since) && l.fell.Sub(g.Since) <= together }); i >= 0 {
			v.groups[i].take(m, l)
		} else if v.p.At.Sub(l.fell) <= together {
			fallen = append(fallen, m)
		}
	}
	if len(fallen) == 0 || float64(len(fallen)) < least || len(v.groups) >= maxGroups || onePool(v.p, fallen) {
		return
	}
	g := &Group{Name: fallen[0].host, Since: v.p.At, Last: v.p.At}
	for _, m := range fallen {
		g.take(m, v.lives[m.host])
	}
	v.groups = append(v.groups, g)
}

func (g *Group) take(m *machine, l *life) {
	g.Hosts, l.group = append(g.Hosts, m.host), g
	if l.fell.Before(g.Since) {
		g.Since = l.fell
	}
}

// onePool reports whether machines are all that there is of one pool: then it is likelier that what runs there is broken, and that the pool
// is down says all.
func onePool(p *picture.Picture, fallen []*machine) bool {
	pool := fallen[0].pools[0]
	for _, m := range fallen {
		if len(m.pools) > 1 || m.pools[0] != pool {
			return false
		}
	}
	i := slices.IndexFunc(p.Pools, func(o picture.Pool) bool { return o.Name == pool })
	return p.Pools[i].State == "down"
}

// silent is how many of a group are.
func (v *view) silent(g *Group) (n int) {
	for _, h := range g.Hosts {
		if l := v.lives[h]; l != nil && l.dead {
			n++
		}
	}
	return n
}

// networks tells of groups.
func networks(v *view, r *rule, f found) {
	for _, g := range v.groups {
		n, names := v.silent(g), []string{}
		for _, h := range g.Hosts {
			if l := v.lives[h]; l != nil && l.dead && len(names) < maxHosts {
				names = append(names, h)
			}
		}
		list := strings.Join(names, ", ")
		if n > len(names) {
			list += fmt.Sprintf(" and %d more", n-len(names))
		}
		f(g.Name, between(float64(n), r.Over, r.Clear), "", "%d machines fell silent at one moment: %s: look for what they share, such as a switch", n, list)
	}
}

// nodes tells of machines of which nothing is left.
func nodes(v *view, _ *rule, f found) {
	for _, m := range v.machines {
		if m.all > 1 {
			f(m.host, met(m.down == m.all), "", "nothing answers at %s: all %d servers there are down%s", m.host, m.all, because(m.why))
		}
	}
}
