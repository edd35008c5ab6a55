package top

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/picture"
)

// cacheLines are the view of the cache: what it holds, why it has not what was asked for, and where.
func (m *model) cacheLines() []line {
	p := m.pic
	if p.Cache == nil {
		return []line{{{"no route has a cache: write `cache:` into one", dim}}}
	}
	out := m.cacheHolds(p.Cache)
	s := m.series["total "+spans[m.span]]
	out = append(out, line{{"hit ratio", dim}, {"  ", plain}, m.paint.fit(cell{orDash(percent(p.Cache.HitRatio)), bold}, 4, true), {"  ", plain}, {m.paint.spark(s.row("hit"), s.end(), max(m.w-18, 4), 1), accent}})
	out = append(out, m.cacheLine(), nil)
	out = append(out, m.whyLines()...)
	out = append(out, m.missLines()...)
	return append(out, m.cacheRoutes()...)
}

func (m *model) cacheHolds(c *picture.Cache) []line {
	share := ratio(float64(c.Resident), float64(c.Memory))
	out := []line{{{"memory     ", dim}, {m.paint.bar(share, 12), accent}, {" " + orDash(percent(share)), plain}, {" of " + size(float64(c.Memory)), dim},
		{m.gap() + count(uint64(max(c.Objects, 0))) + " responses of " + size(float64(c.Bytes)), plain}},
		{{"so far     ", dim}, {count(c.Evicted) + " evicted" + m.gap() + count(c.Refreshes) + " refreshed" + m.gap() + count(c.Purges) + " purges", plain}}}
	if d := c.Disk; d != nil {
		share := ratio(float64(d.Bytes), float64(d.Size))
		out = append(out, line{{"disk       ", dim}, {m.paint.bar(share, 12), accent}, {" " + orDash(percent(share)), plain}, {" of " + size(float64(d.Size)), dim},
			{m.gap() + count(uint64(max(d.Objects, 0))) + " responses", plain}, {m.gap() + count(d.Hits) + " read", dim}, {m.gap() + count(d.Written) + " written", dim},
			{m.gap() + d.Path, dim}})
		if d.Problem != "" {
			out = append(out, line{{"           " + d.Problem, bad}})
		}
		if d.Damaged > 0 {
			out = append(out, line{{"           " + count(d.Damaged) + " damaged ones were dropped", warn}})
		}
	}
	return out
}

// whyLines say why the cache did not answer, the most frequent first.
func (m *model) whyLines() []line {
	late := m.late()
	all := m.pic.Total.Whys
	if len(all) == 0 {
		return nil
	}
	names := slices.Sorted(maps.Keys(all))
	slices.SortStableFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(late.Whys[b], late.Whys[a]), cmp.Compare(all[b], all[a]))
	})
	sum, lateSum := uint64(0), uint64(0)
	for _, n := range names {
		sum += all[n]
		lateSum += late.Whys[n]
	}
	out := []line{{{fmt.Sprintf("%-24s %6s %6s %7s", "WHY NOT FROM THE CACHE", "10s", "share", "in all"), dim}}}
	for _, n := range names[:min(len(names), 20)] {
		share := ratio(float64(late.Whys[n]), float64(lateSum))
		text := percent(share)
		if lateSum == 0 {
			share = ratio(float64(all[n]), float64(sum))
			text = percent(share)
		}
		out = append(out, line{m.paint.fit(cell{n, plain}, 24, true), {fmt.Sprintf(" %6s %6s %7s  ", count(late.Whys[n]), text, count(all[n])), plain},
			{m.paint.bar(share, min(max(m.w-50, 4), 30)), accent}})
	}
	return append(out, nil)
}

// missLines are the addresses that servers are asked for most.
func (m *model) missLines() []line {
	if m.cache == nil {
		if m.noCache != "" {
			return []line{{{m.noCache, warn}}, nil}
		}
		return nil
	}
	var out []line
	if len(m.cache.TopMisses) > 0 {
		out = append(out, line{{fmt.Sprintf("%7s  %s", "MISSES", "ADDRESS"), dim}})
		for _, k := range m.cache.TopMisses[:min(len(m.cache.TopMisses), 10)] {
			out = append(out, line{{fmt.Sprintf("%7s  ", count(k.Misses)), plain}, {k.URL, plain}})
		}
		out = append(out, nil)
	}
	if len(m.cache.Estimates) > 0 {
		out = append(out, line{{"HIT RATIO WITH OTHER MEMORY", dim}})
		l := line{}
		for _, e := range m.cache.Estimates {
			l = append(l, piece{size(float64(e.Memory)) + " ", dim}, piece{percent(e.HitRatio) + "  ", plain})
		}
		out = append(out, l, nil)
	}
	return out
}

// cacheRoutes are the routes that have a cache, those with the most misses first.
func (m *model) cacheRoutes() []line {
	var all []*picture.Route
	wide := 12
	for i := range m.pic.Routes {
		r := &m.pic.Routes[i]
		if sumOfAll(r.Cache[1:]) > 0 {
			all = append(all, r)
			wide = max(wide, widthOf(clean(routeTitle(r), m.paint.ascii)))
		}
	}
	if len(all) == 0 {
		return nil
	}
	wide = min(wide, max(m.w-45, 12))
	slices.SortStableFunc(all, func(a, b *picture.Route) int { return cmp.Compare(b.Cache[journal.Miss], a.Cache[journal.Miss]) })
	out := []line{{m.paint.fit(cell{"SITE/ROUTE", dim}, wide, true), {fmt.Sprintf(" %5s %6s %6s %6s %6s %6s", "RATIO", "HIT", "STALE", "SHARED", "MISS", "PASS"), dim}}}
	for _, r := range all {
		c := &r.Cache
		hits := c[journal.Hit] + c[journal.Stale] + c[journal.Shared] + c[journal.Revalidated]
		out = append(out, line{m.paint.fit(cell{routeTitle(r), plain}, wide, true),
			{fmt.Sprintf(" %5s %6s %6s %6s %6s %6s", orDash(percent(ratio(float64(hits), float64(hits+c[journal.Miss])))), count(c[journal.Hit]+c[journal.Revalidated]),
				count(c[journal.Stale]), count(c[journal.Shared]), count(c[journal.Miss]), count(c[journal.Pass])), plain}})
	}
	return out
}
