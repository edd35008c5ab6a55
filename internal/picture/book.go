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
}

// manyGone is how many last words are kept apart. More are added up: an edge so old is not heard of again.
const manyGone = 8

// Take takes a new word of an edge, or one that it has had before. It changes nothing that a copy of the book has.
func (b *Book) Take(c *api.Counters) {
	if b.Last != nil && !includes(c, b.Last) {
		b.Gone = append(slices.Clip(b.Gone), *b.Last)
	}
	b.Last = c
	// An edge whose numbers have gone over to one that followed it counts there.
	b.Gone = slices.DeleteFunc(slices.Clone(b.Gone), func(g api.Counters) bool { return includes(c, &g) })
	for len(b.Gone) > manyGone {
		sum := b.Gone[1].Clone()
		sum.Add(&b.Gone[0], true)
		prune(&sum, c)
		b.Gone = append([]api.Counters{sum}, b.Gone[2:]...)
	}
}

// includes reports whether the numbers of an older word are in a newer one.
func includes(newer, older *api.Counters) bool {
	return len(older.Epochs) > 0 && slices.Contains(newer.Epochs, older.Epochs[0])
}

// prune leaves out what is no more: names of workers are never used again.
func prune(old, now *api.Counters) {
	members := map[[2]string]bool{}
	pools := map[string]bool{}
	for i := range now.Pools {
		p := &now.Pools[i]
		pools[p.Name] = true
		for j := range p.Members {
			members[[2]string{p.Name, p.Members[j].Name}] = true
		}
	}
	routes := map[[2]string]bool{}
	for i := range now.Routes {
		routes[[2]string{now.Routes[i].Site, now.Routes[i].Route}] = true
	}
	for i := range now.TCP {
		routes[[2]string{now.TCP[i].Site, now.TCP[i].Route}] = true
	}
	gone := func(r api.RouteCounters) bool { return !routes[[2]string{r.Site, r.Route}] }
	old.Routes, old.TCP = slices.DeleteFunc(old.Routes, gone), slices.DeleteFunc(old.TCP, gone)
	old.Pools = slices.DeleteFunc(old.Pools, func(p api.PoolCounters) bool { return !pools[p.Name] })
	for i := range old.Pools {
		p := &old.Pools[i]
		p.Members = slices.DeleteFunc(p.Members, func(s api.ServerCounters) bool { return !members[[2]string{p.Name, s.Name}] })
	}
}

// sum is everything that was counted, in the shape of the last word: a copy that the caller owns.
func (b *Book) sum() api.Counters {
	sum := b.Last.Clone()
	for i := range b.Gone {
		sum.Add(&b.Gone[i], false)
	}
	return sum
}
