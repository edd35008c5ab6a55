package picture

import (
	"slices"
	"time"

	"github.com/weirhq/weir/internal/api"
)

// Book is what was counted by edges that are gone, and what the one that serves said last. A desk leaves it to the next one.
type Book struct {
	Since time.Time      `json:"since"` // when counting began
	Gone  []api.Counters `json:"gone"`  // the last words of edges, none of which is among the epochs of another
	Last  *api.Counters  `json:"last"`  // the last word of the edge that serves, or was the last to
	Left  []Leaver       `json:"left,omitempty"`
}

// Leaver is what a route counted that a reload took away. An edge tells of the routes that there are: without it, what all requests came to
// (their bytes, times and causes) would shrink with each route that goes, and whoever takes rates of it would see it begin anew.
type Leaver struct {
	api.RouteCounters
	Edge string `json:"edge,omitempty"` // the epoch of the edge that still has these numbers: if the route comes back there, they are in its own
}

// manyLeft is how many of them are kept apart. What is older is added up, in the first.
const manyLeft = 100

// manyGone is how many last words are kept apart. More are added up: an edge so old is not heard of again.
const manyGone = 8

// Take takes a new word of an edge, or one that it has had before. It changes nothing that a copy of the book has.
func (b *Book) Take(c *api.Counters) {
	if b.Last != nil {
		if includes(c, b.Last) {
			b.leave(b.Last, c)
		} else {
			b.Gone = append(slices.Clip(b.Gone), *b.Last)
		}
	}
	b.Last = c
	// An edge whose numbers have gone over to one that followed it counts there.
	b.Gone = slices.DeleteFunc(slices.Clone(b.Gone), func(g api.Counters) bool {
		over := includes(c, &g)
		if over {
			b.leave(&g, c)
		}
		return over
	})
	for len(b.Gone) > manyGone {
		sum := b.Gone[1].Clone()
		sum.Add(&b.Gone[0], true)
		for _, r := range prune(&sum, c) {
			b.keep(Leaver{RouteCounters: r})
		}
		b.Gone = append([]api.Counters{sum}, b.Gone[2:]...)
	}
}

// leave keeps what routes counted that are in an older word and not in the newer one that goes on with it, and no longer what has come back.
func (b *Book) leave(old, now *api.Counters) {
	if slices.EqualFunc(old.Routes, now.Routes, func(a, b api.RouteCounters) bool { return a.Site == b.Site && a.Route == b.Route }) {
		return
	}
	epoch, is := now.Epochs[0], namesOf(now.Routes)
	b.Left = slices.DeleteFunc(slices.Clone(b.Left), func(l Leaver) bool { return l.Edge == epoch && is[nameOf(&l.RouteCounters)] })
	for i := range old.Routes {
		if r := &old.Routes[i]; !is[nameOf(r)] && r.Requests > 0 {
			b.keep(Leaver{*r, epoch})
		}
	}
}

// keep adds one to those that have left.
func (b *Book) keep(l Leaver) {
	l.Slow = nil // nobody looks for it any more
	b.Left = append(slices.Clip(b.Left), l)
	if len(b.Left) <= manyLeft {
		return
	}
	sum := Leaver{RouteCounters: b.Left[0].Clone()}
	sum.Site, sum.Route, sum.Pool = "", "", ""
	sum.Add(&b.Left[1].RouteCounters)
	b.Left = append([]Leaver{sum}, b.Left[2:]...)
}

// strays tells what routes counted that the last word does not name.
func (b *Book) strays(tell func(r *api.RouteCounters)) {
	for i := range b.Left {
		tell(&b.Left[i].RouteCounters)
	}
	if len(b.Gone) == 0 {
		return
	}
	is := namesOf(b.Last.Routes)
	for i := range b.Gone {
		for j := range b.Gone[i].Routes {
			if r := &b.Gone[i].Routes[j]; !is[nameOf(r)] {
				tell(r)
			}
		}
	}
}

func nameOf(r *api.RouteCounters) [2]string { return [2]string{r.Site, r.Route} }

func namesOf(all []api.RouteCounters) map[[2]string]bool {
	names := make(map[[2]string]bool, len(all))
	for i := range all {
		names[nameOf(&all[i])] = true
	}
	return names
}

// includes reports whether the numbers of an older word are in a newer one.
func includes(newer, older *api.Counters) bool {
	return len(older.Epochs) > 0 && slices.Contains(newer.Epochs, older.Epochs[0])
}

// prune leaves out what is no more, and returns the routes: names of workers are never used again.
func prune(old, now *api.Counters) (left []api.RouteCounters) {
	members := map[[2]string]bool{}
	pools := map[string]bool{}
	for i := range now.Pools {
		p := &now.Pools[i]
		pools[p.Name] = true
		for j := range p.Members {
			members[[2]string{p.Name, p.Members[j].Name}] = true
		}
	}
	routes, tcp := namesOf(now.Routes), namesOf(now.TCP)
	old.Routes = slices.DeleteFunc(old.Routes, func(r api.RouteCounters) bool {
		gone := !routes[nameOf(&r)]
		if gone {
			left = append(left, r)
		}
		return gone
	})
	old.TCP = slices.DeleteFunc(old.TCP, func(r api.RouteCounters) bool { return !tcp[nameOf(&r)] })
	old.Pools = slices.DeleteFunc(old.Pools, func(p api.PoolCounters) bool { return !pools[p.Name] })
	for i := range old.Pools {
		p := &old.Pools[i]
		p.Members = slices.DeleteFunc(p.Members, func(s api.ServerCounters) bool { return !members[[2]string{p.Name, s.Name}] })
	}
	return left
}

// sum is everything that was counted, in the shape of the last word. It may be that word: nobody changes it.
func (b *Book) sum() api.Counters {
	if len(b.Gone) == 0 {
		return *b.Last
	}
	sum := b.Last.Clone()
	for i := range b.Gone {
		sum.Add(&b.Gone[i], false)
	}
	return sum
}
