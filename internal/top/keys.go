package top

import (
	"slices"
	"strings"
)

// press obeys a key.
func (m *model) press(k key) []any {
	if k.name == "ctrl+c" {
		return []any{quit{}}
	}
	if rest, ok := strings.CutPrefix(k.name, "alt+"); ok && len(rest) == 1 { // Esc and a key, typed faster than they can be told apart
		return append(m.press(key{name: "esc"}), m.press(key{rest, rest})...)
	}
	if k.name == "ctrl+z" {
		return []any{suspend{}}
	}
	if m.ask != nil && !m.help {
		return m.answer(k)
	}
	if m.typing != nil {
		return m.writeFilter(k)
	}
	m.say = cell{}
	if m.help {
		switch k.name {
		case "?", "h", "esc", "enter", "q":
			m.help, m.scroll = false, 0
		default:
			m.navigate(k)
		}
		return nil
	}
	switch k.name {
	case "q":
		return []any{quit{}}
	case "?", "h", "f1":
		m.help, m.scroll = true, 0
	case "space":
		if m.later != nil {
			m.goOn()
		} else {
			m.later = m.known.clone()
		}
	case "esc", "backspace":
		return m.back()
	case "t":
		m.span = (m.span + 1) % len(spans)
		return m.wants()
	case "M":
		m.mouse = !m.mouse
		m.say = cell{map[bool]string{true: "the mouse chooses", false: "the mouse is the terminal's"}[m.mouse], dim}
	case "tab":
		return m.open(m.nextView(1))
	case "shift+tab":
		return m.open(m.nextView(-1))
	case "1", "2", "3", "4", "5", "6", "7", "8":
		return m.open(view(k.name[0] - '1'))
	case "d", "m", "e", "w", "R":
		m.act(k.name)
	default:
		if m.navigate(k) || m.detail != "" {
			return nil
		}
		return m.pressTable(k)
	}
	return nil
}

// pressTable obeys a key that is for tables.
func (m *model) pressTable(k key) []any {
	if !m.hasTable() {
		return nil
	}
	t := &m.tabs[m.view]
	switch k.name {
	case "enter":
		if it := m.chosen(); it != nil {
			return m.lookInto(it)
		}
	case "/", "f":
		m.typing = newField(t.filter)
	case "left", "<":
		m.sortBeside(-1)
	case "right", ">":
		m.sortBeside(1)
	case "r":
		if t.order.by > 0 {
			t.order.back = !t.order.back
		}
	case "o":
		t.order = sorting{}
	case "l":
		if m.view == logView {
			m.recent = !m.recent
			m.stories, m.waiting, m.logging = nil, nil, false
			*t = tab{filter: t.filter}
			return m.wants()
		}
	}
	return nil
}

func (m *model) hasTable() bool { return m.view != overview && m.view != cacheView }

// open shows another view.
func (m *model) open(v view) []any {
	m.detail, m.scroll = "", 0
	m.view = v
	return m.wants()
}

// back leaves what was entered last.
func (m *model) back() []any {
	t := &m.tabs[m.view]
	switch {
	case m.detail != "":
		m.detail, m.scroll = "", 0
		if m.later == nil {
			m.goOn()
		}
	case t.filter != "" && m.hasTable():
		t.filter = ""
		return m.newFilter()
	default:
		t.chosen, t.at = "", 0
	}
	return nil
}

// newFilter has the log asked anew, whose filter is the edge's business.
func (m *model) newFilter() []any {
	t := &m.tabs[m.view]
	t.chosen, t.at, t.first = "", 0, 0
	if m.view != logView {
		return nil
	}
	m.stories, m.waiting, m.logging = nil, nil, false
	return m.wants()
}

// writeFilter obeys a key while a filter is written. All tables but the log's follow at once.
func (m *model) writeFilter(k key) []any {
	t := &m.tabs[m.view]
	switch k.name {
	case "enter":
		text := m.typing.String()
		m.typing = nil
		if m.view == logView || text != t.filter {
			t.filter = text
			return m.newFilter()
		}
		return nil
	case "esc":
		m.typing = nil
		if m.view != logView {
			t.filter = ""
		}
		return nil
	case "up", "down", "pgup", "pgdown":
		m.navigate(k)
		return nil
	}
	m.typing.press(k)
	m.followFilter()
	return nil
}

func (m *model) followFilter() {
	if m.view != logView {
		m.tabs[m.view].filter = m.typing.String()
	}
}

func (m *model) paste(text string) {
	switch {
	case m.ask != nil && !m.help:
		m.ask.field().put(text)
	case m.typing != nil:
		m.typing.put(text)
		m.followFilter()
	}
}

// navigate obeys a key that moves, and reports whether it is one.
func (m *model) navigate(k key) bool {
	page := max(m.h-6, 1)
	switch k.name {
	case "up", "k", "ctrl+p":
		m.move(-1)
	case "down", "j", "ctrl+n":
		m.move(1)
	case "pgup", "ctrl+b", "ctrl+u":
		m.move(-page)
	case "pgdown", "ctrl+f", "ctrl+d":
		m.move(page)
	case "home", "g":
		m.move(-1 << 30)
	case "end", "G":
		m.move(1 << 30)
	default:
		return false
	}
	return true
}

// move moves by so many rows, or scrolls a page of text.
func (m *model) move(by int) {
	if m.help || m.detail != "" || !m.hasTable() {
		m.scroll = max(m.scroll+by, 0)
		return
	}
	if len(m.shown) == 0 {
		return
	}
	t := &m.tabs[m.view]
	t.at = min(max(t.at+by, 0), len(m.shown)-1)
	t.chosen = m.shown[t.at].key
	if t.at == 0 {
		t.chosen = "" // whatever is on top
	}
}

// chosen is the item under the mark.
func (m *model) chosen() *item {
	t := &m.tabs[m.view]
	if !m.hasTable() || t.at < 0 || t.at >= len(m.shown) {
		return nil
	}
	return m.shown[t.at]
}

func (m *model) lookInto(it *item) []any {
	m.tabs[m.view].chosen = it.key
	m.detail, m.scroll = it.key, 0
	return m.wants()
}

// sortBeside sorts by the column that stands beside the one that is sorted by, among those in sight.
func (m *model) sortBeside(step int) {
	t := &m.tabs[m.view]
	at := slices.Index(m.lay.cols, t.order.by-1)
	switch {
	case at < 0 && step > 0:
		at = 0
	case at < 0:
		at = len(m.lay.cols) - 1
	default:
		at += step
	}
	t.order = sorting{}
	if at >= 0 && at < len(m.lay.cols) {
		t.order.by = m.lay.cols[at] + 1
	}
}

// click obeys the mouse: a view's name opens it, a column's sorts by it, a row is chosen, and looked into when it is chosen.
func (m *model) click(c click) []any {
	if m.ask != nil || m.typing != nil || m.help {
		return nil
	}
	m.say = cell{}
	if c.y == 1 {
		for v := range numViews {
			if c.x >= m.tabAt[v] && c.x < m.tabAt[v+1] {
				return m.open(v)
			}
		}
		return nil
	}
	if m.detail != "" || !m.hasTable() || m.headAt < 0 {
		return nil
	}
	t := &m.tabs[m.view]
	if c.y == m.headAt {
		m.sortAt(c.x)
		return nil
	}
	i := t.first + c.y - m.bodyAt
	if c.y < m.bodyAt || c.y >= m.h-1 || i >= len(m.shown) {
		return nil
	}
	if m.shown[i].key == t.chosen || i == t.at && t.chosen == "" {
		return m.lookInto(m.shown[i])
	}
	t.at, t.chosen = i, m.shown[i].key
	return nil
}

func (m *model) sortAt(x int) {
	t := &m.tabs[m.view]
	from := 0
	for i, c := range m.lay.cols {
		if x >= from && x < from+m.lay.wides[i] {
			if t.order.by == c+1 {
				t.order.back = !t.order.back
			} else {
				t.order = sorting{by: c + 1}
			}
			return
		}
		from += m.lay.wides[i] + gap
	}
}
