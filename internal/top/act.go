package top

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/picture"
)

// dialog asks whether something is to be done, and why.
type dialog struct {
	question string
	warning  string
	fields   []*field
	labels   []string
	at       int    // the field that is written
	wrong    string // with what was written
	do       func(d *dialog) (any, error)
}

func (d *dialog) field() *field { return d.fields[d.at] }

// lines are the dialog at the foot of the screen.
func (d *dialog) lines(p *paint, w int) (out []line, cx, back int) {
	out = append(out, line{{strings.Repeat(p.mark("─", "-"), w), dim}})
	for _, l := range wrap(clean(d.question, p.ascii), w) {
		out = append(out, line{{l, bold}})
	}
	if d.warning != "" {
		for _, l := range wrap(clean(d.warning, p.ascii), w) {
			out = append(out, line{{l, warn}})
		}
	}
	for i, label := range d.labels {
		room := w - len(label) - 3
		text, x := d.fields[i].show(room)
		st := dim
		if i == d.at {
			st = accent
			cx, back = len(label)+2+x, len(d.labels)-i
		}
		out = append(out, line{{label + ": ", st}, {text, plain}})
	}
	if d.wrong != "" {
		return append(out, line{{d.wrong, bad}}), cx, back
	}
	hint := line{{"Enter", accent}, {" do it  ", dim}, {"Esc", accent}, {" leave it", dim}}
	if len(d.fields) > 1 {
		hint = append(hint, piece{"  Tab", accent}, piece{" the other field", dim})
	}
	return append(out, hint), cx, back
}

// answer obeys a key while something is asked.
func (m *model) answer(k key) []any {
	d := m.ask
	d.wrong = ""
	switch k.name {
	case "esc":
		m.ask = nil
		m.say = cell{"nothing was done", dim}
	case "tab", "down":
		d.at = (d.at + 1) % len(d.fields)
	case "shift+tab", "up":
		d.at = (d.at + len(d.fields) - 1) % len(d.fields)
	case "enter":
		what, err := d.do(d)
		if err != nil {
			d.wrong, d.at = err.Error(), 0
			return nil
		}
		m.ask = nil
		m.say = cell{"asking" + m.paint.more(), dim}
		return []any{what}
	default:
		d.field().press(k)
	}
	return nil
}

// deeds are the keys by which something may be done to what is chosen, each with its meaning.
func (m *model) deeds() []string {
	if m.me.Role == "view" {
		return nil
	}
	it := m.subject()
	if it == nil {
		return nil
	}
	var all []string
	if _, s := m.serverOf(it); s != nil {
		all = append(all, "d", "drain", "m", "maint", "e", "ready", "w", "weight")
	}
	if m.appOf(it) != "" {
		all = append(all, "R", "reload")
	}
	return all
}

// subject is what keys act on: what is looked into, or else what is chosen.
func (m *model) subject() *item {
	if m.detail != "" {
		return m.find(m.detail)
	}
	return m.chosen()
}

// serverOf is the server that an item is, or that its worker is.
func (m *model) serverOf(it *item) (*picture.Pool, *picture.Server) {
	if it.server != nil {
		return it.pool, it.server
	}
	if it.worker == nil {
		return nil, nil
	}
	for i := range m.pic.Pools {
		p := &m.pic.Pools[i]
		if p.App != it.app.Name {
			continue
		}
		for j := range p.Servers {
			if s := &p.Servers[j]; s.Name == it.worker.Name {
				return p, s
			}
		}
		for j := range p.Servers {
			if s := &p.Servers[j]; place(s.Name) == place(it.worker.Name) {
				return p, s
			}
		}
	}
	return nil, nil
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

// appOf is the app that an item belongs to, "" for none.
func (m *model) appOf(it *item) string {
	switch {
	case it.app != nil:
		return it.app.Name
	case it.pool != nil:
		return it.pool.App
	}
	return ""
}

// act begins to do what a key means: it asks first.
func (m *model) act(k string) {
	if m.pic == nil {
		return
	}
	if m.me.Role == "view" {
		m.say = cell{"you may look, not act: the role is view", warn}
		return
	}
	it := m.subject()
	if it == nil {
		m.say = cell{"choose a server or a worker first", dim}
		return
	}
	if k == "R" {
		m.askReload(it)
		return
	}
	p, s := m.serverOf(it)
	if s == nil {
		m.say = cell{"choose a server or a worker first", dim}
		return
	}
	if now, is := serverIn(m.newest, p.Name, s.Name); is != nil { // what is shown may be paused, and what it means is not
		p, s = now, is
	}
	m.ask = handDialog(k, p, s, m.behind)
}

// serverIn finds a server in a picture.
func serverIn(pic *picture.Picture, pool, server string) (*picture.Pool, *picture.Server) {
	for i := range pic.Pools {
		p := &pic.Pools[i]
		if p.Name != pool {
			continue
		}
		for j := range p.Servers {
			if p.Servers[j].Name == server {
				return p, &p.Servers[j]
			}
		}
	}
	return nil, nil
}

func (m *model) askReload(it *item) {
	app := m.appOf(it)
	if app == "" {
		m.say = cell{"only an app can be reloaded, and this is none", dim}
		return
	}
	m.ask = &dialog{question: "Reload the app " + app + "? Its workers are replaced one by one, without losing a request.",
		labels: []string{"sure (y)"}, fields: []*field{newField("y")},
		do: func(d *dialog) (any, error) {
			if t := d.fields[0].String(); t != "y" && t != "yes" {
				return nil, fmt.Errorf("it says %q: write y, or press Esc", t)
			}
			return reload{app}, nil
		}}
}

// handDialog asks about a server.
func handDialog(k string, p *picture.Pool, s *picture.Server, behind string) *dialog {
	name := api.FullName(p.Name, s.Name)
	in := api.Intervention{Pool: p.Name, Server: s.Name}
	d := &dialog{labels: []string{"reason"}, fields: []*field{newField("")}}
	switch k {
	case "d":
		in.Do = "drain"
		d.question = "Drain " + name + "? It gets no new sessions; those it has end as they would."
	case "m":
		in.Do = "maint"
		d.question = "Put " + name + " in maintenance? It gets nothing; sessions move to other servers."
	case "e":
		in.Do = "ready"
		d.question = "Give " + name + " requests again?"
	case "w":
		in.Do = "weight"
		d.question = fmt.Sprintf("Weight of %s? It is %d. From 0 to 1000; nothing: as configured.", name, s.Weight)
		d.labels = []string{"weight", "reason"}
		d.fields = []*field{newField(strconv.Itoa(s.Weight)), newField("")}
	}
	if (k == "d" || k == "m") && s.State == "ready" && p.Open == 1 {
		d.warning = "It is the last one of " + p.Name + " that takes requests: nobody will answer."
	}
	d.do = func(d *dialog) (any, error) {
		in.Reason = d.fields[len(d.fields)-1].String()
		if behind != "" {
			in.Reason = strings.TrimSpace(in.Reason + " (" + behind + ", by sudo)")
		}
		if in.Do != "weight" {
			return intervene{in}, nil
		}
		in.Weight = nil
		if text := d.fields[0].String(); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil || n < 0 || n > 1000 {
				return nil, fmt.Errorf("the weight is %q: write a whole number from 0 to 1000, or nothing", text)
			}
			in.Weight = &n
		}
		return intervene{in}, nil
	}
	return d
}

// done says what was done.
func done(in api.Intervention) string {
	name := api.FullName(in.Pool, in.Server)
	switch in.Do {
	case "drain":
		return name + " is drained"
	case "maint":
		return name + " is in maintenance"
	case "weight":
		if in.Weight == nil {
			return name + " has its configured weight again"
		}
		return fmt.Sprintf("%s has the weight %d", name, *in.Weight)
	}
	return name + " is " + in.Do
}
