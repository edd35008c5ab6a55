package top

import (
	"fmt"
	"path/filepath"
	"strings"
)

// frame is what is on the screen: h lines of at most w columns, and where the cursor is, cy below 0 for nowhere.
func (m *model) frame() (text string, cx, cy int) {
	head := m.head()
	foot, cx, back := m.foot()
	room := m.h - len(head) - len(foot)
	if m.file {
		foot, room = nil, 1<<20
	}
	m.headAt, m.bodyAt = -1, -1
	m.shown = nil
	m.lay = layout{}
	var body []line
	marked := -1
	if room > 0 {
		body, marked = m.body(room, len(head))
	}
	var b strings.Builder
	y := 0
	add := func(l line, mark bool) {
		if y >= m.h && !m.file {
			return
		}
		if y > 0 {
			b.WriteByte('\n')
		}
		m.paint.put(&b, l, m.w, mark)
		y++
	}
	for _, l := range head {
		add(l, false)
	}
	for i, l := range body[:min(len(body), max(room, 0))] {
		add(l, i == marked)
	}
	for !m.file && y < m.h-len(foot) {
		add(nil, false)
	}
	for _, l := range foot {
		add(l, false)
	}
	if back < 0 || back >= m.h {
		return b.String(), 0, -1
	}
	return b.String(), min(cx, m.w-1), m.h - 1 - back
}

// head is who is looked at, the views, and what must not be overlooked.
func (m *model) head() []line {
	out := []line{m.title(), m.tabLine()}
	if m.pic == nil {
		return out
	}
	p := m.pic
	if p.Problem != "" {
		out = append(out, line{{"PROBLEM ", bad}, {p.Problem, bad}})
	}
	wrong := 0
	for _, f := range p.Included {
		if f.Problem != "" {
			wrong++
		}
	}
	if wrong > 0 {
		out = append(out, line{{"FILES ", bad}, {plural(wrong, "included file") + " not in force as on disk: weir status says why", bad}})
	}
	if n := len(p.Faults); n > 0 {
		out = append(out, line{{"CHAOS ", warn}, {plural(n, "fault") + " made on purpose (weir chaos)", warn}})
	}
	out = append(out, m.alertLines()...)
	if m.h < 12 && !m.file {
		out = out[:min(len(out), 2)]
	}
	return out
}

// alertLines are the alerts that fire: all on the overview, as far as there is room, elsewhere the worst.
func (m *model) alertLines() (out []line) {
	most := 1
	switch {
	case m.file:
		most = len(m.alerts)
	case m.view == overview && m.detail == "" && !m.help:
		most = max(m.h/10, 1)
	}
	for i := range m.alerts[:min(len(m.alerts), most)] {
		a := &m.alerts[i]
		st := warn
		if a.Severity == "critical" {
			st = bad
		}
		l := line{{"ALERT ", st}, {a.Text, st}, {m.gap() + since(a.Fired, m.pic.At), dim}}
		if !a.Clearing.IsZero() {
			l = line{{"ALERT ", dim}, {a.Text, dim}, {m.gap() + "over for " + since(a.Clearing, m.pic.At), good}}
		}
		if a.Ack != nil {
			l = line{{"ALERT ", dim}, {a.Text, dim}, {m.gap() + "seen by " + a.Ack.By, dim}}
		}
		if more := len(m.alerts) - most; i == most-1 && more > 0 {
			end := piece{fmt.Sprintf("%sand %d more", m.gap(), more), st}
			l = append(m.clip(l, m.w-m.paint.width(line{end})), end)
		}
		out = append(out, l)
	}
	return out
}

func (m *model) title() line {
	p := m.pic
	if p == nil {
		return line{{"weir top", bold}, {m.gap() + "waiting for the desk", dim}}
	}
	out := line{{"weir ", bold}, {p.Version, plain}, {m.gap(), dim}, {p.Node, bold}}
	if up := since(p.Since, p.At); up != "" {
		out = append(out, piece{m.gap() + "up " + up, dim})
	}
	var right line
	switch {
	case m.lost != "":
		right = line{{"NO DESK since ", bad}}
	case !p.Edge.Up:
		right = line{{"EDGE DOWN ", bad}}
	case m.later != nil:
		right = line{{"PAUSED ", warn}}
	}
	right = append(right, piece{p.At.Local().Format("15:04:05"), dim})
	rest := m.w - m.paint.width(out) - m.paint.width(right) - 1
	if file := m.gap() + filepath.Base(p.File); p.File != "" && widthOf(clean(file, m.paint.ascii)) <= rest {
		out = append(out, piece{file, dim})
		rest -= widthOf(clean(file, m.paint.ascii))
	}
	if m.lost != "" && m.file {
		right = nil
	}
	return append(append(out, piece{strings.Repeat(" ", max(rest, 0)+1), plain}), right...)
}

// gap stands between two facts.
func (m *model) gap() string { return m.paint.mark(" · ", " - ") }

func (m *model) tabLine() line {
	var out line
	names := Views
	long := 0
	for v, n := range names {
		if m.has(view(v)) {
			long += len(n) + 4
		}
	}
	if long > m.w {
		names = shortViews
	}
	x := 0
	for v, name := range names {
		m.tabAt[v] = x
		if !m.has(view(v)) {
			continue
		}
		if view(v) == m.view {
			name = fmt.Sprintf("[%d %s]", v+1, name)
			out = append(out, piece{name, title})
		} else {
			name = fmt.Sprintf(" %d %s ", v+1, name)
			out = append(out, piece{name, dim})
		}
		x += len(name)
	}
	m.tabAt[numViews] = x
	return out
}

// shortViews are names for a narrow terminal.
var shortViews = [numViews]string{"over", "pools", "work", "route", "cache", "log", "event", "nums"}

// foot is the last lines. The cursor is at cx, so many lines above the last; below 0: there is none.
func (m *model) foot() (out []line, cx, back int) {
	if m.ask != nil && !m.help {
		return m.ask.lines(&m.paint, m.w)
	}
	if m.typing != nil {
		label := "filter: "
		text, x := m.typing.show(m.w - len(label) - 1)
		return []line{{{label, accent}, {text, plain}}}, len(label) + x, 0
	}
	said := m.say
	if m.lost != "" && m.pic != nil {
		said = cell{m.lost, bad}
	}
	if said.text != "" {
		for _, l := range wrap(clean(said.text, m.paint.ascii), m.w) {
			if len(out) == max(m.h/5, 1) {
				break
			}
			out = append(out, line{{l, said.style}})
		}
		return out, 0, -1
	}
	return []line{m.hints()}, 0, -1
}

// hints are the keys that are of use here, as many as there is room for.
func (m *model) hints() line {
	var keys []string
	switch {
	case m.help:
		keys = []string{"Esc", "back"}
	case m.detail != "":
		keys = []string{"Esc", "back", m.paint.mark("↑↓", "j k"), "scroll"}
		keys = append(keys, m.deeds()...)
		if m.graphed() != "" {
			keys = append(keys, "t", "span "+spans[m.span])
		}
	case m.view == overview || m.view == cacheView:
		keys = []string{map[bool]string{true: "1-8", false: "1-7"}[m.has(numbersView)], "views", "t", "span " + spans[m.span]}
		if m.view == cacheView {
			keys = append(keys, m.paint.mark("↑↓", "j k"), "scroll")
		}
	default:
		keys = []string{"Enter", "look in", "/", "filter"}
		if m.view == logView {
			keys = append(keys, "l", map[bool]string{true: "live", false: "slow and failed"}[m.recent])
		}
		keys = append(keys, m.deeds()...)
		keys = append(keys, m.paint.mark("←→", "< >"), "sort", "r", "turn")
	}
	keys = append(keys, "space", map[bool]string{true: "go on", false: "pause"}[m.later != nil], "?", "help", "q", "quit")
	var out line
	used := 0
	for i := 0; i+1 < len(keys); i += 2 {
		more := widthOf(keys[i]) + 1 + widthOf(keys[i+1]) + 2
		if used+more > m.w+2 {
			break
		}
		used += more
		out = append(out, piece{keys[i], accent}, piece{" " + keys[i+1] + "  ", dim})
	}
	if len(out) > 0 {
		out[len(out)-1].text = strings.TrimRight(out[len(out)-1].text, " ")
	}
	return out
}

// body is what is between head and foot, in h lines, and which of them is marked.
func (m *model) body(h, at int) ([]line, int) {
	switch {
	case m.help:
		return m.scrolled(helpLines(&m.paint, m.w), h), -1
	case m.pic == nil:
		why := m.lost
		if why == "" {
			why = "asking the desk" + m.paint.more()
		}
		var out []line
		for _, l := range wrap(clean(why, m.paint.ascii), m.w) {
			out = append(out, line{{l, plain}})
		}
		return out, -1
	case m.detail != "":
		return m.scrolled(m.detailLines(), h), -1
	}
	switch m.view {
	case overview:
		return m.overview(h), -1
	case cacheView:
		return m.scrolled(m.cacheLines(), h), -1
	}
	return m.table(h, at)
}

// scrolled is the part of a page that is in sight.
func (m *model) scrolled(all []line, h int) []line {
	m.scroll = min(max(m.scroll, 0), max(len(all)-h, 0))
	out := all[m.scroll:min(len(all), m.scroll+h)]
	if below := len(all) - m.scroll - h; below > 0 && h > 1 {
		out = append(append([]line{}, out[:h-1]...), line{{m.paint.mark("↓ ", "v ") + plural(below+1, "more line"), dim}})
	}
	return out
}

// table is a view's table, in h lines.
func (m *model) table(h, at int) ([]line, int) {
	t := &m.tabs[m.view]
	cols := columnsOf(m.view)
	all := m.items(m.view)
	total := members(all)
	if m.view != logView {
		all = filtered(all, t.filter, func(i *item) string { return m.textOf(i, cols) })
	}
	all = sorted(all, cols, t.order)
	var out []line
	if top := m.tableTop(t, members(all), total); top != nil {
		out = append(out, top)
	}
	room := max(h-len(out)-1, 0)
	t.at = m.chosenOf(t, all)
	t.first = min(max(t.first, t.at-room+1, 0), max(t.at, 0))
	t.first = min(t.first, max(len(all)-room, 0))
	rows := all[t.first:min(len(all), t.first+room)]
	if len(t.wides) != len(cols) {
		t.wides = make([]int, len(cols))
	}
	m.lay = m.paint.arrange(cols, rows, m.w, t.order.by, t.wides)
	m.headAt = at + len(out)
	m.bodyAt = m.headAt + 1
	m.shown = all
	marked := -1
	out = append(out, m.paint.heads(cols, m.lay, t.order))
	for i, it := range rows {
		if t.first+i == t.at && !m.file {
			marked = len(out)
		}
		out = append(out, m.paint.row(cols, m.lay, it))
	}
	if len(rows) == 0 {
		out = append(out, line{{m.nothing(t), dim}})
	}
	return out, marked
}

// members counts the items that are no heads.
func members(all []*item) (n int) {
	for _, it := range all {
		if !it.head {
			n++
		}
	}
	return n
}

// tableTop says what part of a table is in sight, nil where that is all.
func (m *model) tableTop(t *tab, n, of int) line {
	var out line
	if m.view == logView {
		out = line{{map[bool]string{true: "the last slow, failed and refused ones", false: "as they end"}[m.recent], title}}
		if t.filter != "" {
			out = append(out, piece{", those with ", dim}, piece{t.filter, accent})
		}
		if len(m.waiting) > 0 {
			out = append(out, piece{fmt.Sprintf("  %d more wait", len(m.waiting)), warn})
		}
		if m.unseen > 0 {
			out = append(out, piece{fmt.Sprintf("  too fast to be read: %d left out", m.unseen), warn})
		}
		if m.logError != "" {
			out = append(out, piece{"  " + m.logError, bad})
		}
		return out
	}
	if t.filter != "" || m.typing != nil {
		return line{{fmt.Sprintf("%d of %d with ", n, of), dim}, {t.filter, accent}}
	}
	return nil
}

// nothing says why a table is empty.
func (m *model) nothing(t *tab) string {
	if t.filter != "" && m.view != logView {
		return "nothing has " + t.filter + ": Esc shows all"
	}
	switch m.view {
	case pools:
		return "there is no pool"
	case workers:
		return "there is no app: all servers are run by others"
	case routes:
		return "there is no route"
	case numbersView:
		return "no app has sent a number: `metrics: {listen: …}` has weir take them, as statsd lines"
	case logView:
		if m.logError != "" {
			return "no request to show"
		}
		return "no request since this was opened" + m.paint.more()
	}
	return "nothing has happened since the desk was started"
}

// chosenOf is the place of the chosen item, the one at the old place if it is gone, -1 in an empty table.
func (m *model) chosenOf(t *tab, all []*item) int {
	if len(all) == 0 {
		return -1
	}
	if t.chosen == "" {
		return 0
	}
	for i, it := range all {
		if it.key == t.chosen {
			return i
		}
	}
	return min(max(t.at, 0), len(all)-1)
}
