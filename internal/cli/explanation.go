package cli

import (
	"bytes"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/exchange"
	"github.com/weirhq/weir/internal/message"
	"github.com/weirhq/weir/internal/route"
)

// explanation writes what a table says about a request, for people.
type explanation struct {
	w   *bytes.Buffer
	cfg *config.Config
	x   *exchange.Exchange

	resp *message.Response // to be judged by the cache; nil: none
}

// line writes a line under a word in the margin.
func (e *explanation) line(word, format string, args ...any) {
	fmt.Fprintf(e.w, "%-9s%s\n", word, strings.TrimRight(fmt.Sprintf(format, args...), " "))
}

func place(p config.Place) string {
	if p.File == "" {
		return ""
	}
	return fmt.Sprintf("(%s:%d)", filepath.Base(p.File), p.Line)
}

func (e *explanation) write(is route.Explanation) error {
	if p := string(e.x.Req.Path); p != is.Path {
		e.line("path", "%s, which conditions see as %s", p, is.Path)
	} else {
		e.line("path", "%s", p)
	}
	word := "site"
	for _, s := range is.Sites {
		mark := "no "
		if s.Chosen {
			mark = "yes"
		}
		e.line(word, "%s %s %s: %s", mark, s.Site.Name, place(s.Site.Config.Place), s.Why)
		word = ""
	}
	if is.Site == nil {
		e.line("answer", "404: no site has this host")
		return nil
	}
	e.routes(is.Routes)
	if is.Route == nil {
		e.line("answer", "404: no route of the site matches")
		return nil
	}
	if !e.admit(is.Route) {
		return nil
	}
	e.limits(is.Route)
	e.answer(is.Route)
	return e.cache(is.Route)
}

func (e *explanation) routes(steps []route.RouteStep) {
	word := "route"
	for _, s := range steps {
		mark, why := "no ", ""
		switch {
		case s.Chosen:
			mark = "yes"
		case s.Matches:
			mark, why = "-  ", ": would match, but an earlier route did"
		}
		if len(s.Conditions) == 0 && !(s.Matches && !s.Chosen) {
			why = ": takes every request"
		}
		e.line(word, "%s %s %s%s", mark, s.Route.Name, place(s.Route.Config.Place), why)
		word = ""
		e.conditions(s.Conditions, "      ")
	}
}

func (e *explanation) conditions(list []route.Condition, indent string) {
	for _, c := range list {
		mark := "✗"
		if c.Held {
			mark = "✓"
		}
		got := ""
		if c.Got != "" {
			got = "  (" + c.Got + ")"
		}
		e.line("", "%s%s %s%s", indent, mark, c.Text, got)
		e.conditions(c.Of, indent+"  ")
	}
}

// admit says what the access rule and the rule on ambiguous paths do, and whether the request goes on.
func (e *explanation) admit(r *route.Route) bool {
	if a := e.x.Req.Ambiguous; a != 0 {
		if r.Refuses(a) {
			e.line("refused", "400: the path has %s, and the route does not allow that", ambiguities(a))
			return false
		}
		e.line("allowed", "the path has %s; the route allows that", ambiguities(a))
	}
	rule := r.Config.Allow
	switch ok, status := r.Allows(e.x.Client); {
	case rule == nil:
		e.line("access", "everybody")
	case ok:
		e.line("access", "yes: %s is in %s", e.x.Client, networks(rule.From))
	default:
		e.line("access", "no: %s is not in %s; the answer is %d", e.x.Client, networks(rule.From), status)
		return false
	}
	return true
}

func ambiguities(a message.Ambiguity) string {
	var out []string
	for _, k := range []struct {
		bit  message.Ambiguity
		text string
	}{
		{message.EncodedSlash, "an encoded slash (%2F)"}, {message.EncodedNUL, "an encoded NUL (%00)"}, {message.Backslash, "a backslash"},
		{message.EncodedControl, "an encoded control character"}, {message.DotsWithParams, "a dot segment with a parameter"},
	} {
		if a&k.bit != 0 {
			out = append(out, k.text)
		}
	}
	return strings.Join(out, " and ")
}

func networks(list []netip.Prefix) string {
	var out []string
	for _, p := range list {
		out = append(out, p.String())
	}
	return strings.Join(out, ", ")
}

func (e *explanation) limits(r *route.Route) {
	body, whose := r.Config.Body, "the route's"
	if body < 0 {
		body, whose = e.cfg.Limits.Body, "the file's"
	}
	e.line("limits", "body %s (%s), head %s, %d fields, request line %s", size(body), whose, size(int64(e.cfg.Limits.Head)), e.cfg.Limits.Fields, size(int64(e.cfg.Limits.RequestLine)))
	t := e.cfg.Timeouts
	e.line("", "head within %s, body without a stop of %s, sending without a stop of %s", limit(t.Head), limit(t.Body), limit(t.Send))
}

func (e *explanation) answer(r *route.Route) {
	path := string(e.x.Req.Path)
	if r.Rewrites() {
		out := string(r.Rewrite(nil, e.x.Req.Path))
		if out == "" {
			e.line("answer", "414: the rewritten path would be longer than %s", size(route.MaxPath))
			return
		}
		e.line("rewrite", "%s becomes %s", path, out)
		path = out
	}
	switch c := r.Config; {
	case c.Pool != "":
		e.pool(c.Pool)
		e.speaks(c, path)
		e.includes(c.ESI)
	case c.Files != nil:
		e.line("answer", "files from %s for %s", c.Files.Root, path)
		if c.Files.CacheControl != "" {
			e.line("", "Cache-Control: %s", c.Files.CacheControl)
		}
	case c.Redirect != nil:
		e.line("answer", "%d to %s", c.Redirect.Status, r.Redirect(nil, e.x))
	case c.Monitor != "":
		e.line("answer", "whether weir is %s, for balancers", c.Monitor)
	case c.Respond != nil:
		e.line("answer", "%d with %s of %q", c.Respond.Status, size(int64(len(c.Respond.Body))), c.Respond.Type)
	}
}

func (e *explanation) pool(name string) {
	for _, p := range e.cfg.Pools {
		if p.Name != name {
			continue
		}
		e.line("answer", "pool %s %s, %s", p.Name, place(p.Place), method(p))
		e.balancedBy(p)
		e.sticky(p)
		e.servers(p)
		most := "no limit of requests a server"
		if p.MaxConn > 0 {
			most = fmt.Sprintf("%d requests a server at a time, then up to %d wait %s", p.MaxConn, p.Queue.Size, limit(p.Queue.Timeout))
		}
		e.line("", "%s", most)
		e.line("", "connect within %s, first byte within %s, between bytes %s, whole request %s", limit(p.Timeouts.Connect), limit(p.Timeouts.FirstByte), limit(p.Timeouts.BetweenBytes), limit(p.Timeouts.Request))
		return
	}
	e.line("answer", "pool %s, which is not there", name)
}

func (e *explanation) servers(p *config.Pool) {
	for _, s := range p.Servers {
		more := ""
		switch {
		case s.Backup:
			more = ", a backup"
		case p.Zone != "" && s.Zone == p.Zone:
			more = ", of this weir's zone"
		}
		e.line("", "server %s, weight %d%s", s.Address, s.Weight, more)
	}
	if p.Backup != "" {
		e.line("", "pool %s while no server of this one is open", p.Backup)
	}
	for _, a := range e.cfg.Apps {
		if a.Name == p.App {
			e.line("", "app %s %s: %d workers of %s", a.Name, place(a.Place), a.Workers, a.Command)
		}
	}
}

func limit(d time.Duration) string {
	if d == 0 {
		return "no limit"
	}
	return d.String()
}

// size writes a number of bytes; 0 is no limit.
func size(n int64) string {
	switch {
	case n == 0:
		return "no limit"
	case n%(1<<30) == 0:
		return fmt.Sprintf("%d GiB", n>>30)
	case n%(1<<20) == 0:
		return fmt.Sprintf("%d MiB", n>>20)
	case n%(1<<10) == 0:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d B", n)
}
