package route

import (
	"cmp"
	"slices"

	"github.com/weirhq/weir/internal/exchange"
)

// index finds the first route in the order of the file that matches, without trying them all. Routes whose paths
// are all exact or prefixes are candidates of those paths; every other route (a glob, no path at all) is a candidate
// of every path. Of the prefixes that a path has, each is a prefix of the longest, so the candidates of the longest
// are known beforehand, in order; a look-up merges two ordered lists.
type index struct {
	exact     map[string][]*Route // routes of this very path and of all its prefixes
	prefix    map[string][]*Route // by the prefix with its last "/": its routes and those of all shorter prefixes
	maxPrefix int
	others    []*Route // up to and including the first that takes every request
}

func newIndex(routes []*Route) index {
	n := index{exact: map[string][]*Route{}, prefix: map[string][]*Route{}}
	own := map[string][]*Route{}
	closed := false
	for _, r := range routes {
		if r == nil {
			continue
		}
		if !r.match.byPathAlone() {
			if !closed {
				n.others = append(n.others, r)
			}
			closed = closed || r.match == nil
			continue
		}
		r.indexed = true
		for _, p := range r.match.paths {
			if p.kind == exactPath {
				n.exact[p.text] = append(n.exact[p.text], r)
			} else {
				own[p.text] = append(own[p.text], r)
				n.maxPrefix = max(n.maxPrefix, len(p.text))
			}
		}
	}
	for p := range own {
		n.prefix[p] = inOrder(chain(own, p, nil))
	}
	for p, list := range n.exact {
		n.exact[p] = inOrder(chain(own, p, list))
	}
	return n
}

// chain adds to list the routes of every prefix of path.
func chain(own map[string][]*Route, path string, list []*Route) []*Route {
	list = slices.Clone(list)
	for i := range len(path) {
		if path[i] == '/' {
			list = append(list, own[path[:i+1]]...)
		}
	}
	return list
}

func inOrder(list []*Route) []*Route {
	slices.SortFunc(list, func(a, b *Route) int { return cmp.Compare(a.Index, b.Index) })
	return slices.Compact(list)
}

// find returns the first route that matches; path is canonical.
func (n *index) find(x *exchange.Exchange, path []byte) *Route {
	found, others := n.candidates(path), n.others
	for len(found) > 0 || len(others) > 0 {
		var r *Route
		if len(others) == 0 || len(found) > 0 && found[0].Index < others[0].Index {
			r, found = found[0], found[1:]
			if r.rest.holds(x, path) {
				return r
			}
			continue
		}
		r, others = others[0], others[1:]
		if r.match.holds(x, path) {
			return r
		}
	}
	return nil
}

// candidates returns the routes whose paths match this one, among those that are found by path.
func (n *index) candidates(path []byte) []*Route {
	if len(n.exact) > 0 {
		if list := n.exact[string(path)]; list != nil {
			return list
		}
	}
	for i := min(len(path), n.maxPrefix); i > 0; i-- {
		if path[i-1] != '/' {
			continue
		}
		if list := n.prefix[string(path[:i])]; list != nil {
			return list
		}
	}
	return nil
}
