// Package route finds the site and the route of a request: an immutable table of hosts, paths and conditions, made
// from a checked configuration and shared by every loop without a lock. It also does what a route says about the
// request's own words: rewrite the path, write the Location of a redirect, judge a client's address and an ambiguous
// path, and explain any of it. It serves nothing and does no I/O.
//
// Conditions see a path in one form, however the client spelled it: dot segments and doubled slashes are gone (the
// parser did that), and every percent escape is decoded but %2F and %25, which mean something else decoded. So
// /@admin, /%40admin and a pattern written either way are one path, and an access rule cannot be walked around by
// spelling. What the server is sent is the parser's normalised path, which decodes to the same.
package route

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/exchange"
	"github.com/weirhq/weir/internal/message"
)

// Table is every site and route of one configuration. It never changes; any number of goroutines may use it.
type Table struct {
	sites  []*Site
	routes []*Route
	hosts  hosts
}

// Site is one site of the table.
type Site struct {
	Config *config.Site
	Name   string // its first host
	Index  int    // in the order of the file, from 0
	Routes []*Route
	index  index
}

// Route is one route of the table.
type Route struct {
	Config *config.Route
	Name   string
	Index  int // dense over the whole table, in the order of the file
	Site   *Site

	match    *match // nil: every request
	rest     *match // match without its paths, for routes that the index found by their path
	indexed  bool   // found by the index alone
	unclean  message.Ambiguity
	rewrite  rewrite
	redirect []piece
	allow    []netip.Prefix
}

// New builds the table. It reports everything that is wrong at once, each with its place in the file.
func New(cfg *config.Config) (*Table, error) {
	t := &Table{hosts: newHosts()}
	var errs []error
	for i, cs := range cfg.Sites {
		s := &Site{Config: cs, Index: i, Name: "*"}
		if len(cs.Hosts) > 0 {
			s.Name = cs.Hosts[0]
		}
		for _, h := range cs.Hosts {
			if err := t.hosts.add(h, s); err != nil {
				errs = append(errs, at(cs.Place, err))
			}
		}
		for j, cr := range cs.Routes {
			r, err := newRoute(cr, s, len(t.routes), j)
			if err != nil {
				errs = append(errs, at(cr.Place, err))
			}
			t.routes = append(t.routes, r)
			s.Routes = append(s.Routes, r)
		}
		s.index = newIndex(s.Routes)
		t.sites = append(t.sites, s)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return t, nil
}

// Find returns the site and the route of a request: a nil site when no site has its host, a nil route when none of
// the site's routes matches. It does not allocate (but for a path of more than 1 KiB with percent escapes, and an
// IPv6 literal that is not spelled canonically), and its cost does not depend on the number of hosts.
func (t *Table) Find(x *exchange.Exchange) (*Site, *Route) {
	s := t.hosts.find(x.Req.Host)
	if s == nil {
		return nil, nil
	}
	if bytes.IndexByte(x.Req.Path, '%') < 0 {
		return s, s.index.find(x, x.Req.Path)
	}
	return s, s.findEscaped(x)
}

// findEscaped has the buffer in a frame of its own, so that the usual path does not pay for clearing it.
//
//go:noinline
func (s *Site) findEscaped(x *exchange.Exchange) *Route {
	var buf [1024]byte
	return s.index.find(x, canonical(buf[:0], x.Req.Path))
}

// Sites returns the sites in the order of the file; the caller only reads.
func (t *Table) Sites() []*Site { return t.sites }

// Routes returns every route, at its Index; the caller only reads.
func (t *Table) Routes() []*Route { return t.routes }

func newRoute(c *config.Route, s *Site, index, within int) (*Route, error) {
	r := &Route{Config: c, Name: c.Name, Index: index, Site: s}
	if r.Name == "" {
		r.Name = fmt.Sprintf("%s#%d", s.Name, within+1)
	}
	var errs []error
	var err error
	if r.match, err = newMatch(c.Match); err != nil {
		errs = append(errs, err)
	}
	r.rest = r.match.withoutPaths()
	if r.rewrite, err = newRewrite(c.Rewrite); err != nil {
		errs = append(errs, err)
	}
	if c.Redirect != nil {
		if r.redirect, err = newRedirect(c.Redirect.To); err != nil {
			errs = append(errs, err)
		}
	}
	if c.Allow != nil {
		r.allow = unmapped(c.Allow.From)
	}
	for _, u := range []struct {
		allowed bool
		bit     message.Ambiguity
	}{
		{c.Unclean.EncodedSlash, message.EncodedSlash},
		{c.Unclean.EncodedNUL, message.EncodedNUL},
		{c.Unclean.Backslash, message.Backslash},
		{c.Unclean.EncodedControl, message.EncodedControl},
	} {
		if u.allowed {
			r.unclean |= u.bit
		}
	}
	return r, errors.Join(errs...)
}

// Refuses reports whether the route does not allow what is ambiguous in a request's path. A dot segment with a
// parameter is refused by every route.
func (r *Route) Refuses(a message.Ambiguity) bool { return a&^r.unclean != 0 }

// Allows reports whether the route lets this client in, and the status that answers when it does not. A client
// without an address (it came over a Unix socket and no trusted proxy named one) is in no network.
func (r *Route) Allows(client netip.Addr) (ok bool, status int) {
	if r.Config.Allow == nil {
		return true, 0
	}
	if within(r.allow, client) {
		return true, 0
	}
	if r.Config.Allow.Else == 0 {
		return false, 403
	}
	return false, r.Config.Allow.Else
}

// at puts a place before an error.
func at(p config.Place, err error) error {
	if p.File == "" {
		return err
	}
	return fmt.Errorf("%s:%d:%d: %w", p.File, p.Line, p.Column, err)
}
