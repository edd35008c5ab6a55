package top

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/picture"
)

// overview is the first view: how it goes, in h lines.
func (m *model) overview(h int) []line {
	p := m.pic
	var rest []line
	rest = append(rest, m.statusLine(), m.cacheLine())
	rest = append(rest, m.machineLines()...)
	roomy := m.file || h >= 28
	if roomy {
		rest = slices.Insert(rest, 2, line(nil))
	}
	spare := h - len(graphRows) - len(rest) - 2
	tall := 1
	if !m.file { // lists come first, as far as they are read at a glance
		need := min(len(p.Pools), 10) + 11
		if m.w >= wideLists {
			need = min(max(len(p.Pools)+1, 9), 14)
		}
		tall = min(max((spare-need)/3, 1), 6) // with a line between them
	}
	out := m.graphs(p, tall)
	if h >= len(out)+len(rest)+4 {
		out = append(out, nil)
	}
	out = append(out, rest...)
	if room := h - len(out) - 1; room >= 5 {
		return append(append(out, nil), m.lists(room)...)
	}
	if room := h - len(out); room >= 2 {
		return append(out, m.lists(room)...)
	}
	return out
}

// graphRow is one graph of the overview.
type graphRow struct {
	label string
	name  string // in a series
	big   bool   // it grows where there is room
	now   func(m *model) (string, style)
	more  func(m *model) string // what stands beside it
	top   float64               // what fills it at least
}

var graphRows = []graphRow{
	{label: "requests", name: "rate", big: true, now: func(m *model) (string, style) { return number(m.pic.Total.Rate) + "/s", bold },
		more: func(m *model) string { return "most " + number(m.pic.Total.RateMax) + "/s" }},
	{label: "errors", name: "errors", big: true, top: 1, now: func(m *model) (string, style) {
		f := &m.pic.Total
		if f.Errors > 0 {
			return number(f.Errors) + "/s", bad
		}
		return "0/s", plain
	}, more: func(m *model) string {
		if m.pic.Total.Rate == 0 {
			return ""
		}
		return percent(ratio(m.pic.Total.Errors, m.pic.Total.Rate)) + " of them"
	}},
	{label: "p95", name: "p95", big: true, now: func(m *model) (string, style) { return orDash(millis(m.pic.Total.P95)), plain },
		more: func(m *model) string {
			return "p50 " + orDash(millis(m.pic.Total.P50)) + " p99 " + orDash(millis(m.pic.Total.P99))
		}},
	{label: "hit ratio", name: "hit", top: 1, now: func(m *model) (string, style) { return orDash(percent(m.pic.Total.HitRatio)), plain },
		more: func(m *model) string { return bytesOf(float64(m.pic.Total.Saved)) + " saved" }},
	{label: "waiting", name: "queue", top: 1, now: func(m *model) (string, style) {
		n := queued(m.pic)
		if n > 0 {
			return whole(float64(n)), warn
		}
		return "0", plain
	}, more: func(m *model) string { return "at servers " + whole(float64(active(m.pic))) }},
	{label: "under way", name: "active", top: 1, now: func(m *model) (string, style) { return whole(float64(m.pic.Edge.Active)), plain },
		more: func(m *model) string {
			return whole(float64(m.pic.Edge.Connections)) + " of " + whole(float64(m.pic.Edge.Room)) + " conns"
		}},
	{label: "sent", name: "out", now: func(m *model) (string, style) { return bytesOf(m.pic.Total.OutRate) + "/s", plain },
		more: func(m *model) string { return "got " + bytesOf(m.pic.Total.InRate) + "/s" }},
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func queued(p *picture.Picture) (n int64) {
	for i := range p.Pools {
		n += p.Pools[i].Queued
	}
	return n
}

func active(p *picture.Picture) (n int64) {
	for i := range p.Pools {
		n += p.Pools[i].Active
	}
	return n
}

// graphs are the graphs of all requests; those that matter most are so many rows high.
func (m *model) graphs(p *picture.Picture, tall int) (out []line) {
	s := m.series["total "+spans[m.span]]
	side := 24
	if m.w < 72 {
		side = 0
	}
	room := max(m.w-19-side, 4)
	for i := range graphRows {
		g := &graphRows[i]
		rows := 1
		if g.big {
			rows = tall
		}
		now, st := g.now(m)
		values := s.row(g.name)
		if g.name == "errors" && !slices.ContainsFunc(values, func(v float64) bool { return v > 0 }) {
			rows = 1
		}
		if tall > 1 && g.big && i > 0 || i > 0 && tall > 1 && graphRows[i-1].big {
			out = append(out, nil)
		}
		for y, text := range m.paint.graph(values, s.end(), room, rows, g.top) {
			l := line{{strings.Repeat(" ", 18), plain}}
			if y == rows-1 {
				l = line{m.paint.fit(cell{g.label, dim}, 10, true), m.paint.fit(cell{now, st}, 7, false), {" ", plain}}
			}
			ink := accent
			if g.name == "errors" {
				ink = bad
			}
			l = append(l, piece{text, ink})
			if side > 0 && y == rows-1 {
				l = append(l, piece{"  " + g.more(m), dim})
			}
			out = append(out, l)
		}
	}
	return out
}

// statusLine is what answers were of late, by class.
func (m *model) statusLine() line {
	f, of := m.late(), "of 10s"
	if f.Requests == 0 {
		f, of = m.pic.Total, "of all"
	}
	out := line{m.paint.fit(cell{"answers", dim}, 10, true)}
	sum := uint64(0)
	for _, n := range f.Status {
		sum += n
	}
	names := [...]string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"}
	for _, class := range [...]int{2, 3, 4, 5, 1, 0} {
		n := f.Status[class]
		if n == 0 && (class < 2) {
			continue
		}
		st := plain
		switch {
		case n == 0:
			st = dim
		case class == 5 || class == 0:
			st = bad
		case class == 4:
			st = warn
		case class == 2:
			st = good
		}
		out = append(out, piece{names[class] + " ", dim}, piece{fmt.Sprintf("%-6s", orDash(percent(ratio(float64(n), float64(sum))))), st}, piece{" ", plain})
	}
	return append(out, piece{of, dim})
}

// cacheLine is what the cache did of late.
func (m *model) cacheLine() line {
	out := line{m.paint.fit(cell{"cache", dim}, 10, true)}
	f, of := m.late(), "of 10s"
	if sumOfAll(f.Cache[1:]) == 0 {
		f, of = m.pic.Total, "of all"
	}
	sum := sumOfAll(f.Cache[1:])
	if sum == 0 {
		return append(out, piece{"no route has one that was asked", dim})
	}
	for _, c := range [...]journal.Cache{journal.Hit, journal.Stale, journal.Shared, journal.Revalidated, journal.Miss, journal.Pass} {
		n := f.Cache[c]
		if n == 0 && c != journal.Hit && c != journal.Miss {
			continue
		}
		out = append(out, piece{c.String() + " ", dim}, piece{fmt.Sprintf("%-5s", percent(ratio(float64(n), float64(sum)))), plain}, piece{" ", plain})
	}
	return append(out, piece{of, dim})
}

func sumOfAll(all []uint64) (sum uint64) {
	for _, n := range all {
		sum += n
	}
	return sum
}

// machineLines are loops, processors, memory and disks.
func (m *model) machineLines() []line {
	p := m.pic
	out := []line{append(line{m.paint.fit(cell{"loops", dim}, 10, true)}, m.shares(p.Edge.LoopBusy)...)}
	f := p.Facts
	if f == nil {
		return append(out, line{m.paint.fit(cell{"machine", dim}, 10, true), {"nothing is known of it", dim}})
	}
	cpu := append(line{m.paint.fit(cell{"cpus", dim}, 10, true)}, m.shares(f.CPUs)...)
	cpu = append(cpu, piece{fmt.Sprintf("  load %.2f %.2f %.2f", f.Load[0], f.Load[1], f.Load[2]), plain})
	if f.Steal >= 0.01 {
		cpu = append(cpu, piece{"  stolen " + percent(f.Steal), warn})
	}
	out = append(out, cpu)
	used := ratio(float64(f.MemTotal-f.MemFree), float64(f.MemTotal))
	l := line{m.paint.fit(cell{"memory", dim}, 10, true), {orDash(percent(used)), shareStyle(used, 0.85, 0.95)}, {" of " + size(float64(f.MemTotal)), dim}}
	if f.SwapUsed > 0 {
		l = append(l, piece{"  swap " + size(float64(f.SwapUsed)), warn})
	}
	for _, d := range f.Disks {
		full := ratio(float64(d.Size-d.Free), float64(d.Size))
		l = append(l, piece{"  " + d.Path + " ", dim}, piece{orDash(percent(full)), shareStyle(full, 0.85, 0.95)})
	}
	out = append(out, l)
	if m.h >= 30 || m.file {
		for _, l := range [...]line{m.ownLine(f), m.networkLine(f)} {
			if l != nil {
				out = append(out, l)
			}
		}
	}
	for _, w := range f.Words {
		for i, text := range wrap(clean(w, m.paint.ascii), max(m.w-10, 10)) {
			if i > 0 && m.h < 30 && !m.file {
				out[len(out)-1][1].text += m.paint.more()
				break
			}
			out = append(out, line{{strings.Repeat(" ", 10), plain}, {text, warn}})
		}
	}
	return out
}

// ownLine is what weir's own processes use, nil if that is not known.
func (m *model) ownLine(f *picture.Facts) line {
	var l line
	for _, name := range [...]string{"edge", "keeper", "desk"} {
		for i := range f.Processes {
			p := &f.Processes[i]
			if p.What != name {
				continue
			}
			l = append(l, piece{name + " ", dim}, piece{fmt.Sprintf("%.0f%% %s", p.CPU*100, size(float64(p.Memory))), plain})
			if used := ratio(float64(p.Files), float64(p.FileMax)); used >= 0.5 {
				l = append(l, piece{fmt.Sprintf(" %d of %d files", p.Files, p.FileMax), shareStyle(used, 0.7, 0.9)})
			}
			l = append(l, piece{"  ", plain})
			break
		}
	}
	if l == nil {
		return nil
	}
	return append(line{m.paint.fit(cell{"weir", dim}, 10, true)}, l...)
}

// networkLine is what goes through the interfaces, nil if nothing is known of any.
func (m *model) networkLine(f *picture.Facts) line {
	var l line
	for _, n := range f.Networks {
		if n.Name == "lo" && len(f.Networks) > 1 {
			continue
		}
		l = append(l, piece{n.Name + " ", dim}, piece{size(n.InRate) + "/s in " + size(n.OutRate) + "/s out", plain})
		if n.Errors+n.Drops > 0 {
			l = append(l, piece{fmt.Sprintf(" %s lost", count(n.Errors+n.Drops)), warn})
		}
		l = append(l, piece{"  ", plain})
	}
	if l == nil {
		return nil
	}
	return append(line{m.paint.fit(cell{"network", dim}, 10, true)}, l...)
}

// shares are bars side by side, one for each of what is alike, and the fullest in words.
func (m *model) shares(all []float64) line {
	if len(all) == 0 {
		return line{{"-", dim}}
	}
	most, sum := 0.0, 0.0
	for _, v := range all {
		most = math.Max(most, v)
		sum += v
	}
	room := max(min(m.w-60, len(all)), min(len(all), 16))
	text := m.paint.spark(all, int64(len(all)-1), room, 1)
	mean := sum / float64(len(all))
	if len(all) == 1 {
		return line{{text, accent}, {" " + percent(most), shareStyle(most, 0.7, 0.9)}}
	}
	return line{{text, accent}, {" busiest ", dim}, {percent(most), shareStyle(most, 0.7, 0.9)}, {" of " + fmt.Sprint(len(all)) + ", mean ", dim}, {percent(mean), plain}}
}

// wideLists is from which width on the lists stand beside each other.
const wideLists = 110

// lists are pools and events, in h lines, beside each other where there is room.
func (m *model) lists(h int) []line {
	left := m.poolList()
	right := m.eventList(h)
	if m.file {
		return append(append(left, nil), right...)
	}
	if m.w >= wideLists {
		return m.beside(left, right, max(m.w*9/20, 62), h)
	}
	if len(left)+len(right)+1 <= h {
		return append(append(left, nil), right...)
	}
	if len(left)+len(right) <= h {
		return append(left, right...)
	}
	if h < 5 {
		left = left[1:]
	}
	if h < 12 {
		right = right[min(1, len(right)-1):] // they speak for themselves
	} else {
		right = append([]line{nil}, right...)
	}
	left = shorten(left, max(h-len(right), h*2/3))
	return append(left, right[:min(len(right), h-len(left))]...)
}

// shorten leaves n lines, the last of which says how many more there are.
func shorten(l []line, n int) []line {
	if len(l) <= n || n < 1 {
		return l
	}
	return append(append([]line{}, l[:n-1]...), line{{fmt.Sprintf("  and %d more", len(l)-n+1), dim}})
}

func (m *model) beside(left, right []line, half, h int) (out []line) {
	left = shorten(left, h)
	for i := range min(max(len(left), len(right)), h) {
		var l line
		if i < len(left) {
			l = append(l, m.clip(left[i], half-2)...)
		}
		l = append(l, piece{strings.Repeat(" ", max(half-m.paint.width(l), 0)), plain})
		if i < len(right) {
			l = append(l, right[i]...)
		}
		out = append(out, l)
	}
	return out
}

// clip is a line of at most w columns.
func (m *model) clip(l line, w int) (out line) {
	for _, s := range l {
		if w <= 0 {
			break
		}
		text := cut(clean(s.text, m.paint.ascii), w, m.paint.more())
		w -= widthOf(text)
		out = append(out, piece{text, s.style})
	}
	return out
}

// poolList is the pools, the worst first.
func (m *model) poolList() []line {
	all := make([]*picture.Pool, 0, len(m.pic.Pools))
	wide := 8
	for i := range m.pic.Pools {
		all = append(all, &m.pic.Pools[i])
		wide = max(wide, min(widthOf(clean(m.pic.Pools[i].Name, m.paint.ascii)), 20))
	}
	rank := map[string]int{"down": 0, "degraded": 1}
	slices.SortStableFunc(all, func(a, b *picture.Pool) int {
		ra, ok := rank[a.State]
		if !ok {
			ra = 2
		}
		rb, ok := rank[b.State]
		if !ok {
			rb = 2
		}
		return cmp.Or(cmp.Compare(ra, rb), cmp.Compare(b.Rate, a.Rate))
	})
	out := []line{{m.paint.fit(cell{"POOL", dim}, wide, true), {fmt.Sprintf("  %-10s %5s %9s %6s %6s %5s", "STATE", "OPEN", "RATE", "ERR/s", "P95", "QUEUE"), dim}}}
	for _, p := range all {
		errs, wait := plain, plain
		if p.ErrorRate > 0 {
			errs = bad
		}
		if p.Queued > 0 {
			wait = warn
		}
		out = append(out, line{m.paint.fit(cell{p.Name, bold}, wide, true), {fmt.Sprintf("  %-10s", p.State), stateStyle(p.State)},
			{fmt.Sprintf(" %5s", fmt.Sprintf("%d/%d", p.Open, len(p.Servers))), plain}, {fmt.Sprintf(" %9s", number(p.Rate)+"/s"), plain},
			{fmt.Sprintf(" %6s", number(p.ErrorRate)), errs}, {fmt.Sprintf(" %6s", orDash(millis(p.P95))), plain}, {fmt.Sprintf(" %5s", whole(float64(p.Queued))), wait}})
	}
	return out
}

// eventList is the newest events.
func (m *model) eventList(n int) []line {
	out := []line{{{"NEWEST EVENTS", dim}}}
	for i := range m.events[:min(len(m.events), max(n-1, 0))] {
		e := &m.events[i]
		subject := e.Subject
		if subject != "" {
			subject += " "
		}
		out = append(out, line{{since(e.At, m.pic.At) + " ago ", dim}, {subject, bold}, {e.Text, eventStyle(e)}})
	}
	if len(m.events) == 0 {
		out = append(out, line{{"none since the desk was started", dim}})
	}
	return out
}
