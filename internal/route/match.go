package route

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/exchange"
	"github.com/weirhq/weir/internal/message"
)

// match is a condition made ready: all of what is set must hold. A nil match holds.
type match struct {
	paths   []pathPattern  // any of them
	methods []string       // any
	headers []named        // all
	cookies []named        // all
	query   []named        // all
	clients []netip.Prefix // any
	any     []*match
	all     []*match
	not     *match
}

type pathKind uint8

const (
	exactPath pathKind = iota
	prefixPath
	globPath
)

// pathPattern matches a canonical path.
type pathPattern struct {
	kind pathKind
	text string // canonical; a prefix keeps its last "/"
	glob *glob
}

// named is a condition on what has a name: a field, a cookie, a query parameter.
type named struct {
	name  string
	id    message.ID // of a field that weir knows
	value pattern
}

func newMatch(c *config.Match) (*match, error) {
	if c == nil {
		return nil, nil
	}
	m := &match{methods: c.Method, clients: unmapped(c.Client)}
	var errs []error
	for _, p := range c.Path {
		pp, err := newPathPattern(p)
		if err != nil {
			errs = append(errs, err)
		}
		m.paths = append(m.paths, pp)
	}
	for _, v := range c.Header {
		m.headers = append(m.headers, named{v.Name, message.Lookup(v.Name), newPattern(v.Value)})
	}
	for _, v := range c.Cookie {
		m.cookies = append(m.cookies, named{name: v.Name, value: newPattern(v.Value)})
	}
	for _, v := range c.Query {
		m.query = append(m.query, named{name: v.Name, value: newPattern(v.Value)})
	}
	var err error
	if m.any, err = newMatches(c.Any); err != nil {
		errs = append(errs, err)
	}
	if m.all, err = newMatches(c.All); err != nil {
		errs = append(errs, err)
	}
	if m.not, err = newMatch(c.Not); err != nil {
		errs = append(errs, err)
	} else if c.Not != nil && m.not == nil {
		errs = append(errs, errors.New("not: nothing stands in it, so no request could match; write a condition or remove it"))
	}
	if m.empty() {
		return nil, errors.Join(errs...) // "match: {}" holds for every request, as no match does
	}
	return m, errors.Join(errs...)
}

func newMatches(list []*config.Match) ([]*match, error) {
	var out []*match
	var errs []error
	for _, c := range list {
		m, err := newMatch(c)
		out, errs = append(out, m), append(errs, err)
	}
	return out, errors.Join(errs...)
}

func newPathPattern(p config.PathPattern) (pathPattern, error) {
	if !strings.HasPrefix(p.Text, "/") && !(p.Kind == "glob" && strings.HasPrefix(p.Text, "*")) {
		return pathPattern{}, fmt.Errorf("path %q does not begin with \"/\": no request can match it", p.Text)
	}
	if p.Kind == "glob" {
		g, err := newGlob(p.Text)
		return pathPattern{kind: globPath, text: p.Text, glob: g}, err
	}
	text := string(canonical(nil, []byte(p.Text)))
	if clean := string(tidy(nil, []byte(p.Text))); string(canonical(nil, []byte(clean))) != text {
		return pathPattern{}, fmt.Errorf("path %q: no request can match it, since paths are normalised first; write %q", p.Text, clean)
	}
	switch p.Kind {
	case "exact":
		return pathPattern{kind: exactPath, text: text}, nil
	case "prefix":
		if !strings.HasSuffix(text, "/") {
			return pathPattern{}, fmt.Errorf("path %q: a prefix ends at a segment; write %q or a glob", p.Text+"*", p.Text+"/*")
		}
		return pathPattern{kind: prefixPath, text: text}, nil
	}
	return pathPattern{}, fmt.Errorf("path %q is of the unknown kind %q: it is exact, prefix or glob", p.Text, p.Kind)
}

func (m *match) empty() bool {
	return len(m.paths)+len(m.methods)+len(m.headers)+len(m.cookies)+len(m.query)+len(m.clients)+len(m.any)+len(m.all) == 0 && m.not == nil
}

// byPathAlone reports whether the index can find a route of this match by its paths.
func (m *match) byPathAlone() bool {
	if m == nil || len(m.paths) == 0 {
		return false
	}
	for i := range m.paths {
		if m.paths[i].kind == globPath {
			return false
		}
	}
	return true
}

func (m *match) withoutPaths() *match {
	if m == nil {
		return nil
	}
	rest := *m
	rest.paths = nil
	if rest.empty() {
		return nil
	}
	return &rest
}

// holds reports whether a request meets the condition; path is the canonical form of its path. The cheap questions
// come first.
func (m *match) holds(x *exchange.Exchange, path []byte) bool {
	if m == nil {
		return true
	}
	if len(m.methods) > 0 && !oneOf(m.methods, x.Req.MethodText) {
		return false
	}
	if len(m.paths) > 0 && !anyPath(m.paths, path) {
		return false
	}
	if len(m.clients) > 0 && !within(m.clients, x.Client) {
		return false
	}
	for i := range m.headers {
		if !m.headers[i].inFields(&x.Req.Fields) {
			return false
		}
	}
	for i := range m.query {
		if !m.query[i].inQuery(x.Req.Query) {
			return false
		}
	}
	for i := range m.cookies {
		if !m.cookies[i].inCookies(&x.Req.Fields) {
			return false
		}
	}
	return m.nestedHold(x, path)
}

func (m *match) nestedHold(x *exchange.Exchange, path []byte) bool {
	for _, s := range m.all {
		if !s.holds(x, path) {
			return false
		}
	}
	if m.not != nil && m.not.holds(x, path) {
		return false
	}
	for _, s := range m.any {
		if s.holds(x, path) {
			return true
		}
	}
	return len(m.any) == 0
}

// oneOf compares methods, which are case-sensitive (RFC 9110, section 9.1).
func oneOf(list []string, b []byte) bool {
	for _, s := range list {
		if s == string(b) {
			return true
		}
	}
	return false
}

func anyPath(list []pathPattern, path []byte) bool {
	for i := range list {
		if list[i].holds(path) {
			return true
		}
	}
	return false
}

func (p *pathPattern) holds(path []byte) bool {
	switch p.kind {
	case exactPath:
		return string(path) == p.text
	case prefixPath:
		return len(path) >= len(p.text) && string(path[:len(p.text)]) == p.text
	}
	return p.glob.matches(path)
}

// unmapped turns IPv4 networks written in IPv6 into plain ones, as clients' addresses are turned.
func unmapped(list []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range list {
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		out = append(out, p)
	}
	return out
}

func within(list []netip.Prefix, a netip.Addr) bool {
	a = a.Unmap()
	if a.Zone() != "" {
		a = a.WithZone("")
	}
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// Matcher is a condition by itself, outside of a table. It is immutable and safe for any number of goroutines.
type Matcher struct{ match *match }

// NewMatcher makes a condition ready.
func NewMatcher(c *config.Match) (*Matcher, error) {
	m, err := newMatch(c)
	if err != nil {
		return nil, err
	}
	return &Matcher{match: m}, nil
}

// Holds reports whether a request meets the condition.
func (m *Matcher) Holds(x *exchange.Exchange) bool {
	var buf [512]byte
	return m.match.holds(x, canonical(buf[:0], x.Req.Path))
}
