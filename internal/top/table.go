package top

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/weirhq/weir/internal/picture"
)

// item is one row of a table: exactly what it is about is not nil. A head stands for those that follow it: a pool for its servers, an app
// for its workers.
type item struct {
	key    string // by which it is found again in the next picture
	now    time.Time
	head   bool
	pool   *picture.Pool
	server *picture.Server
	app    *picture.App
	worker *picture.Worker
	memory func(*picture.Worker) int64 // of an app's
	route  *picture.Route
	event  *Event
	story  *story
	number *Number
}

// cell is what a table shows in one place.
type cell struct {
	text  string
	style style
}

// column is one of a table. Which columns are shown depends on the room: those of the highest rank go first.
type column struct {
	head string
	wide int // columns at least
	most int // and at the most; 0: as many as what is in it needs
	left bool
	flex bool // it takes what is left; one of a table
	rank int
	show func(*item) cell
	num  func(*item) float64 // by which it is sorted, highest first; nil: by its text, lowest first
}

// sorting is the order of a table: the number of a column, and whether it is turned around. The zero value is as configured.
type sorting struct {
	by   int // from 1
	back bool
}

// groupsOf cuts items before each head.
func groupsOf(items []*item) (groups [][]*item) {
	from := 0
	for i := 1; i <= len(items); i++ {
		if i == len(items) || items[i].head {
			groups = append(groups, items[from:i])
			from = i
		}
	}
	return groups
}

// sorted puts items in order: heads among each other, and what belongs to each below it.
func sorted(items []*item, cols []column, s sorting) []*item {
	if s.by < 1 || s.by > len(cols) || len(items) == 0 {
		return items
	}
	compare := comparison(&cols[s.by-1])
	if s.back {
		forward := compare
		compare = func(a, b *item) int { return forward(b, a) }
	}
	if !slices.ContainsFunc(items, func(i *item) bool { return i.head }) {
		items = slices.Clone(items)
		slices.SortStableFunc(items, compare)
		return items
	}
	groups := groupsOf(items)
	slices.SortStableFunc(groups, func(a, b []*item) int { return compare(a[0], b[0]) })
	out := make([]*item, 0, len(items))
	for _, g := range groups {
		at := len(out)
		out = append(out, g...)
		slices.SortStableFunc(out[at+1:], compare)
	}
	return out
}

func comparison(c *column) func(a, b *item) int {
	if c.num != nil {
		return func(a, b *item) int { return cmp.Compare(c.num(b), c.num(a)) }
	}
	return func(a, b *item) int { return natural(c.show(a).text, c.show(b).text) }
}

// natural compares text with numbers in it as people do: web/2 comes before web/10.
func natural(a, b string) int {
	for a != "" && b != "" {
		na, nb := digits(a), digits(b)
		if na > 0 && nb > 0 {
			x, y := strings.TrimLeft(a[:na], "0"), strings.TrimLeft(b[:nb], "0")
			if c := cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y)); c != 0 {
				return c
			}
			a, b = a[na:], b[nb:]
			continue
		}
		if c := cmp.Compare(a[0], b[0]); c != 0 {
			return c
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}

func digits(s string) (n int) {
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

// matches reports whether an item's text has all words of a filter, and none of those after a minus.
func matches(text, filter string) bool {
	text = strings.ToLower(text)
	for _, word := range strings.Fields(strings.ToLower(filter)) {
		if not, ok := strings.CutPrefix(word, "-"); ok && not != "" {
			if strings.Contains(text, not) {
				return false
			}
		} else if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

// filtered leaves the items that match. A head stays with those of its own that do; if it matches itself, all of its own stay.
func filtered(items []*item, filter string, text func(*item) string) []*item {
	if strings.TrimSpace(filter) == "" {
		return items
	}
	var out []*item
	var head *item
	all, put := false, false
	for _, i := range items {
		ok := matches(text(i), filter)
		if i.head {
			head, all, put = i, ok, ok
			if ok {
				out = append(out, i)
			}
			continue
		}
		if !ok && !(all && head != nil) {
			continue
		}
		if head != nil && !put {
			out = append(out, head)
			put = true
		}
		out = append(out, i)
	}
	return out
}

// layout is where the columns of a table stand.
type layout struct {
	cols  []int // numbers of those that are shown, from 0
	wides []int
}

const gap = 1 // between two columns

// arrange chooses the columns that have room in width. wides are how wide each was before: a table whose columns jump cannot be read. The
// rows are those that are in sight.
func (p *paint) arrange(cols []column, rows []*item, width int, by int, wides []int) layout {
	for c := range cols {
		col := &cols[c]
		w := max(wides[c], col.wide, widthOf(col.head)+1)
		for _, r := range rows {
			if !col.flex {
				w = max(w, widthOf(clean(col.show(r).text, p.ascii)))
			}
		}
		if col.most > 0 {
			w = max(min(w, col.most, width*2/5), col.wide)
		}
		wides[c] = w
	}
	return choose(cols, width, by-1, wides)
}

// choose leaves out what has no room: by rank, but never the column that is sorted by.
func choose(cols []column, width, by int, wides []int) (l layout) {
	order := make([]int, len(cols))
	for c := range order {
		order[c] = c
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(rankOf(cols, a, by), rankOf(cols, b, by)) })
	sum := -gap
	var in []int
	for _, c := range order {
		if sum+wides[c]+gap <= width || rankOf(cols, c, by) <= 0 {
			sum += wides[c] + gap
			in = append(in, c)
		}
	}
	slices.Sort(in)
	for _, c := range in {
		w := wides[c]
		if cols[c].flex {
			w = max(w+width-sum, 8)
		}
		l.cols, l.wides = append(l.cols, c), append(l.wides, w)
	}
	return l
}

func rankOf(cols []column, c, by int) int {
	if c == by {
		return -1
	}
	return cols[c].rank
}

// heads is the line of the columns' names.
func (p *paint) heads(cols []column, l layout, s sorting) line {
	var out line
	for i, c := range l.cols {
		text, st := cols[c].head, dim
		if s.by == c+1 {
			st = title
			if (cols[c].num != nil) != s.back {
				text += p.mark("▼", "v")
			} else {
				text += p.mark("▲", "^")
			}
		}
		out = append(out, p.fit(cell{text, st}, l.wides[i], cols[c].left), piece{" ", plain})
	}
	return out
}

// row is an item's line.
func (p *paint) row(cols []column, l layout, it *item) line {
	out := make(line, 0, 2*len(l.cols))
	for i, c := range l.cols {
		out = append(out, p.fit(cols[c].show(it), l.wides[i], cols[c].left), piece{" ", plain})
	}
	return out
}

// fit makes a cell exactly as wide as its column.
func (p *paint) fit(c cell, w int, left bool) piece {
	text := cut(clean(c.text, p.ascii), w, p.more())
	n := w - widthOf(text)
	if n > 0 && left {
		text += strings.Repeat(" ", n)
	} else if n > 0 {
		text = strings.Repeat(" ", n) + text
	}
	return piece{text, c.style}
}
