package route

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/exchange"
)

// Explanation is what Find decides about a request, with every reason. It is made for people: it allocates.
type Explanation struct {
	Path   string // of the request, as conditions see it
	Sites  []SiteStep
	Site   *Site // nil: no site has the host
	Routes []RouteStep
	Route  *Route // nil: no route matches
}

// SiteStep is a site that was looked at.
type SiteStep struct {
	Site   *Site
	Chosen bool
	Why    string
}

// RouteStep is a route of the chosen site.
type RouteStep struct {
	Route      *Route
	Matches    bool // its conditions hold
	Chosen     bool // and no route before it matched
	Conditions []Condition
}

// Condition is one condition of a route and how it went.
type Condition struct {
	Text string // as in "path is /a or begins with /b/"
	Held bool
	Got  string      // what the request has for it
	Of   []Condition // of any, all and not
}

// Explain says which site and route Find returns for a request, and why not the others.
func (t *Table) Explain(x *exchange.Exchange) Explanation {
	path := canonical(nil, x.Req.Path)
	e := Explanation{Path: string(path)}
	site, from := t.hosts.lookup(x.Req.Host)
	for _, s := range t.sites {
		e.Sites = append(e.Sites, SiteStep{s, s == site, t.whySite(s, site, string(x.Req.Host), from)})
	}
	if e.Site = site; site == nil {
		return e
	}
	for _, r := range site.Routes {
		step := RouteStep{Route: r, Matches: r.match.holds(x, path), Conditions: conditions(r.Config.Match, r.match, x, path)}
		if step.Matches && e.Route == nil {
			e.Route, step.Chosen = r, true
		}
		e.Routes = append(e.Routes, step)
	}
	return e
}

func (t *Table) whySite(s, chosen *Site, host string, from int) string {
	list := strings.Join(s.Config.Hosts, ", ")
	switch {
	case s != chosen && host == "":
		return "the request has no host; this site's: " + list
	case s != chosen:
		best := false
		for _, h := range s.Config.Hosts {
			best = best || wouldTake(h, host)
		}
		if best {
			return fmt.Sprintf("%s would take %q, but another site's host fits closer", list, host)
		}
		return fmt.Sprintf("%q is none of its hosts: %s", host, list)
	case from > 0:
		return fmt.Sprintf("%q is under *%s", host, strings.TrimSuffix(host[from:], "."))
	case t.hosts.every == s && from < 0 && !strings.HasPrefix(host, "["):
		return fmt.Sprintf("\"*\" takes every host, and no other site has %q", host)
	}
	return fmt.Sprintf("%q is one of its hosts", host)
}

// wouldTake reports whether a configured host alone would take a request's host.
func wouldTake(configured, host string) bool {
	key, kind, err := hostKey(configured)
	host = strings.TrimSuffix(host, ".")
	switch {
	case err != nil:
		return false
	case kind == "every":
		return true
	case kind == "wildcard":
		return len(host) > len(key) && strings.HasSuffix(host, key)
	}
	return key == host
}

// conditions lists what a match asks, in the order in which the configuration words are documented.
func conditions(c *config.Match, m *match, x *exchange.Exchange, path []byte) []Condition {
	if c == nil || m == nil {
		return nil
	}
	var out []Condition
	if len(m.paths) > 0 {
		out = append(out, Condition{Text: "path " + pathsText(c.Path), Held: anyPath(m.paths, path), Got: string(path)})
	}
	if len(m.methods) > 0 {
		out = append(out, Condition{Text: "method is " + strings.Join(m.methods, " or "), Held: oneOf(m.methods, x.Req.MethodText), Got: string(x.Req.MethodText)})
	}
	if len(m.clients) > 0 {
		got := "no address"
		if x.Client.IsValid() {
			got = x.Client.String()
		}
		out = append(out, Condition{Text: "client is in " + networks(c.Client), Held: within(m.clients, x.Client), Got: got})
	}
	for i := range m.headers {
		h := &m.headers[i]
		got, ok := x.Req.Fields.Named(h.name)
		out = append(out, Condition{Text: "header " + h.name + h.value.says(), Held: h.inFields(&x.Req.Fields), Got: found(got, ok)})
	}
	for i := range m.query {
		q := &m.query[i]
		out = append(out, Condition{Text: "query " + q.name + q.value.says(), Held: q.inQuery(x.Req.Query), Got: found(x.Req.Query, x.Req.HasQuery)})
	}
	for i := range m.cookies {
		k := &m.cookies[i]
		there := named{name: k.name}
		out = append(out, Condition{Text: "cookie " + k.name + k.value.says(), Held: k.inCookies(&x.Req.Fields), Got: yesNo(there.inCookies(&x.Req.Fields))})
	}
	return append(out, nested(c, m, x, path)...)
}

func nested(c *config.Match, m *match, x *exchange.Exchange, path []byte) []Condition {
	var out []Condition
	each := func(text string, cs []*config.Match, ms []*match) Condition {
		group := Condition{Text: text}
		for i := range ms {
			of := conditions(cs[i], ms[i], x, path)
			held := ms[i].holds(x, path)
			switch len(of) {
			case 0:
				group.Of = append(group.Of, Condition{Text: "every request", Held: held})
			case 1:
				group.Of = append(group.Of, of[0])
			default:
				group.Of = append(group.Of, Condition{Text: "all of these together", Held: held, Of: of})
			}
		}
		return group
	}
	if len(m.all) > 0 {
		g := each("all of", c.All, m.all)
		g.Held = (&match{all: m.all}).holds(x, path)
		out = append(out, g)
	}
	if m.not != nil {
		g := each("not", []*config.Match{c.Not}, []*match{m.not})
		g.Held = !m.not.holds(x, path)
		out = append(out, g)
	}
	if len(m.any) > 0 {
		g := each("any of", c.Any, m.any)
		g.Held = (&match{any: m.any}).holds(x, path)
		out = append(out, g)
	}
	return out
}

func pathsText(list []config.PathPattern) string {
	var out []string
	for _, p := range list {
		switch p.Kind {
		case "prefix":
			out = append(out, "begins with "+p.Text)
		case "glob":
			out = append(out, "looks like "+p.Text)
		default:
			out = append(out, "is "+p.Text)
		}
	}
	return strings.Join(out, " or ")
}

func networks(list []netip.Prefix) string {
	var out []string
	for _, p := range list {
		out = append(out, p.String())
	}
	return strings.Join(out, " or ")
}

// says puts a pattern in words, after the name it is about.
func (p *pattern) says() string {
	switch p.kind {
	case equal:
		return fmt.Sprintf(" is %q", p.text)
	case begins:
		return fmt.Sprintf(" begins with %q", p.text)
	case ends:
		return fmt.Sprintf(" ends with %q", p.text)
	case contains:
		return fmt.Sprintf(" contains %q", p.text)
	}
	return " is there"
}

func found(b []byte, ok bool) string {
	if !ok {
		return "none"
	}
	return fmt.Sprintf("%q", b)
}

// yesNo stands for a cookie: its value may be a secret.
func yesNo(ok bool) string {
	if ok {
		return "there"
	}
	return "none"
}
