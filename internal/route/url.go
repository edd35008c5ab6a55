package route

import "github.com/weirhq/weir/internal/exchange"

// verdict says what a URL alone tells of a condition.
type verdict uint8

const (
	never  verdict = iota // no request for the URL meets it
	maybe                 // some do
	always                // all do
)

// OfURL returns the routes that may answer a GET or HEAD for the request's host, path and query, whatever else such a
// request says and whoever sends it: in the order in which they are tried, up to the one that takes all that are left.
// A nil site when no site has the host. It allocates.
func (t *Table) OfURL(x *exchange.Exchange) (*Site, []*Route) {
	s := t.hosts.find(x.Req.Host)
	if s == nil {
		return nil, nil
	}
	path := canonical(nil, x.Req.Path)
	var found []*Route
	for _, r := range s.Routes {
		switch r.match.ofURL(path, x.Req.Query) {
		case always:
			return s, append(found, r)
		case maybe:
			found = append(found, r)
		}
	}
	return s, found
}

// ofURL is holds for what is known of a request when only its URL is: path is canonical.
func (m *match) ofURL(path, query []byte) verdict {
	if m == nil {
		return always
	}
	if len(m.paths) > 0 && !anyPath(m.paths, path) {
		return never
	}
	for i := range m.query {
		if !m.query[i].inQuery(query) {
			return never
		}
	}
	v := always
	if len(m.methods) > 0 {
		if !oneOf(m.methods, []byte("GET")) && !oneOf(m.methods, []byte("HEAD")) {
			return never
		}
		v = maybe
	}
	if len(m.clients)+len(m.headers)+len(m.cookies) > 0 {
		v = maybe
	}
	return min(v, m.nestedOfURL(path, query))
}

func (m *match) nestedOfURL(path, query []byte) verdict {
	v := always
	for _, s := range m.all {
		v = min(v, s.ofURL(path, query))
	}
	if m.not != nil {
		v = min(v, always-m.not.ofURL(path, query))
	}
	if len(m.any) == 0 {
		return v
	}
	one := never
	for _, s := range m.any {
		one = max(one, s.ofURL(path, query))
	}
	return min(v, one)
}
