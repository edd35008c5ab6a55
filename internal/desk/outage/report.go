package outage

import (
	"slices"
	"strings"
	"time"
)

// Report is the book as people see it.
type Report struct {
	At    time.Time `json:"at"`
	Since time.Time `json:"since"` // when the book was begun
	Month string    `json:"month"`
	Sites []Site    `json:"sites"`
	Gaps  []Gap     `json:"gaps"` // in the month
	// Seen is seconds of the month in which somebody looked. 0: nobody did, or it is to come, or was too long ago; then there are no sites, for
	// nothing is known of them.
	Seen float64 `json:"seen_s"`
	// Unseen is seconds of the month in which nobody looked, since the book was begun.
	Unseen float64 `json:"unseen_s"`
	// Months are those that the book knows, the newest first.
	Months []string `json:"months"`
}

// Site is one site in a month. Times are in seconds.
type Site struct {
	Name    string   `json:"name"`
	Down    float64  `json:"down_s"`
	Count   int      `json:"outages"`
	Budget  *float64 `json:"budget_s"` // null: nothing is promised
	Left    *float64 `json:"left_s"`   // of the budget; below 0 when it is used up
	Now     bool     `json:"down_now"`
	List    []Outage `json:"list"` // the newest first
	Removed bool     `json:"removed,omitempty"`
}

// Report tells of a month ("2026-11"; empty: this one). Budgets are by a site's first host.
func (b *Book) Report(month string, budgets map[string]time.Duration) Report {
	if month == "" {
		month = monthOf(b.last)
	}
	r := Report{At: b.last, Since: b.saved.Since, Month: month, Sites: []Site{}, Gaps: []Gap{}, Unseen: float64(b.saved.Unseen[month]), Months: []string{}}
	r.Seen = b.seen(month)
	names, months := map[string]bool{}, map[string]bool{monthOf(b.last): true}
	for name, list := range b.saved.Sites {
		for _, m := range list {
			months[m.Month] = true
			names[name] = names[name] || m.Month == month
		}
	}
	if r.Seen > 0 || month == monthOf(b.last) { // else that a site was not down is not known
		for name := range b.sites {
			names[name] = true
		}
		for name := range budgets {
			names[name] = true
		}
	}
	for name, is := range names {
		if !is {
			continue
		}
		s := Site{Name: name, List: []Outage{}, Removed: b.sites[name] == nil}
		if now := b.sites[name]; now != nil {
			s.Now = now.down
		}
		if i := slices.IndexFunc(b.saved.Sites[name], func(m *Month) bool { return m.Month == month }); i >= 0 {
			m := b.saved.Sites[name][i]
			s.Down, s.Count, s.List = m.Down.Seconds(), m.Count, slices.Clone(m.Outages)
			slices.Reverse(s.List)
		}
		if budget, is := budgets[name]; is {
			all := budget.Seconds()
			left := all - s.Down
			s.Budget, s.Left = &all, &left
		}
		r.Sites = append(r.Sites, s)
	}
	slices.SortFunc(r.Sites, func(a, b Site) int { return strings.Compare(a.Name, b.Name) })
	for _, g := range b.saved.Gaps {
		if monthOf(g.Begin) <= month && month <= monthOf(g.End) {
			r.Gaps = append(r.Gaps, g)
		}
	}
	for m := range months {
		r.Months = append(r.Months, m)
	}
	slices.SortFunc(r.Months, func(a, b string) int { return strings.Compare(b, a) })
	return r
}

// seen is for how many seconds of a month somebody looked.
func (b *Book) seen(month string) float64 {
	begin, err := time.ParseInLocation("2006-01", month, b.last.Location())
	if err != nil || b.saved.Since.IsZero() || month < oldest(b.last) {
		return 0
	}
	end := nextMonth(begin)
	if b.last.Before(end) {
		end = b.last
	}
	return max(end.Sub(later(begin, b.saved.Since)).Seconds()-float64(b.saved.Unseen[month]), 0)
}
