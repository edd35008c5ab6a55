// Package outage keeps the book of downtime: when which site was down, for how long, and why, by calendar month. A site is down while
// the process that serves does not answer, while all pools of its routes are down and nothing else answers for them, or while more
// than a share of its requests of a minute fail. Times in which nobody looked are in the book as such, neither as up nor as down. It
// has no clock and no file: time is the picture's, and the book is a value.
package outage

import (
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/picture"
)

const (
	least     = 5 * time.Second  // that the process that serves, or pools, have to be away for
	minute    = time.Minute      // over which a share of errors is told
	fewest    = 20               // requests in it: of fewer, a share says nothing
	blind     = 10 * time.Second // between two pictures: then nobody looked
	maxMonths = 24               // that are kept
	maxList   = 500              // outages of a site in a month that are kept one by one; more are counted
	maxSites  = 5000
)

// Outage is one time in which a site was down.
type Outage struct {
	Begin time.Time `json:"begin"`
	End   time.Time `json:"end,omitzero"` // zero: it is down
	Cause string    `json:"cause"`
	Open  bool      `json:"open,omitempty"` // nobody looked afterwards: it may have lasted

	counted time.Time // up to when it is in its month's time
}

// Month is what happened to a site in a calendar month.
type Month struct {
	Month   string        `json:"month"` // "2026-11"
	Down    time.Duration `json:"down"`
	Count   int           `json:"count"`   // outages
	Outages []Outage      `json:"outages"` // the last of them
}

// Gap is a time in which nobody looked.
type Gap struct {
	Begin time.Time `json:"begin"`
	End   time.Time `json:"end"`
}

// Saved is the book.
type Saved struct {
	Since  time.Time           `json:"since"`  // when it was begun
	Last   time.Time           `json:"last"`   // when somebody looked the last time
	Sites  map[string][]*Month `json:"sites"`  // by name, the oldest month first
	Gaps   []Gap               `json:"gaps"`   // of the months that are kept
	Unseen map[string]int64    `json:"unseen"` // seconds in which nobody looked, by month
}

// Book keeps it. One goroutine at a time may use it.
type Book struct {
	saved  Saved
	errors float64
	sites  map[string]*site
	last   time.Time
}

// site is what is remembered of one.
type site struct {
	since time.Time // it seems to be down
	cause string
	down  bool      // it is
	fails bool      // because of its errors
	bad   time.Time // it failed the last time
	marks []mark
	seen  bool
}

type mark struct {
	at             time.Time
	requests, fail uint64
}

// New goes on with a book; the zero value begins one. Errors is the share of errors in a minute at which a site is down.
func New(saved Saved, errors float64) *Book {
	if saved.Sites == nil {
		saved.Sites = map[string][]*Month{}
	}
	if saved.Unseen == nil {
		saved.Unseen = map[string]int64{}
	}
	b := &Book{saved: saved, errors: errors, sites: map[string]*site{}, last: saved.Last}
	for name := range saved.Sites {
		if _, o := b.current(name); o != nil { // it goes on, unless nobody has looked for too long
			o.counted = later(saved.Last, o.Begin)
			b.sites[name] = &site{since: o.Begin, cause: o.Cause, down: true}
		}
	}
	return b
}

// Use sets the share of errors.
func (b *Book) Use(errors float64) { b.errors = errors }

// Save returns the book, which shares nothing with this one.
func (b *Book) Save() Saved {
	s := Saved{Since: b.saved.Since, Last: b.last, Sites: map[string][]*Month{}, Gaps: slices.Clone(b.saved.Gaps), Unseen: map[string]int64{}}
	for name, months := range b.saved.Sites {
		for _, m := range months {
			c := *m
			c.Outages = slices.Clone(m.Outages)
			s.Sites[name] = append(s.Sites[name], &c)
		}
	}
	for month, n := range b.saved.Unseen {
		s.Unseen[month] = n
	}
	return s
}

func monthOf(t time.Time) string { return t.Format("2006-01") }

// Look takes the next picture.
func (b *Book) Look(p *picture.Picture) {
	at := p.At
	if b.saved.Since.IsZero() {
		b.saved.Since = at
	}
	if !b.last.IsZero() && at.Before(b.last) { // the clock was put back: what is to come is counted from here
		b.last = at
		b.forget()
		return
	}
	if !b.last.IsZero() && at.Sub(b.last) > blind {
		b.gap(b.last, at)
	}
	pools := map[string]*picture.Pool{}
	for i := range p.Pools {
		pools[p.Pools[i].Name] = &p.Pools[i]
	}
	routes := map[string][]string{}
	for i := range p.Routes {
		r := &p.Routes[i]
		routes[r.Site] = append(routes[r.Site], r.Pool)
	}
	for i := range p.Sites {
		s := b.site(p.Sites[i].Name)
		if s == nil {
			continue
		}
		s.seen = true
		s.look(at, &p.Sites[i].Flow)
		cause, from, wait := b.judge(s, p, &p.Sites[i], routes[p.Sites[i].Name], pools)
		b.note(p.Sites[i].Name, s, at, cause, from, wait)
	}
	for name, s := range b.sites {
		if !s.seen && p.Edge.Up { // there is no such site any more
			b.close(name, s, at)
			delete(b.sites, name)
		}
		s.seen = false
	}
	b.last = at
	b.prune(at)
}

func (b *Book) site(name string) *site {
	s := b.sites[name]
	if s == nil {
		if len(b.sites) >= maxSites {
			return nil
		}
		s = &site{}
		b.sites[name] = s
	}
	return s
}

// look notes how many requests there were.
func (s *site) look(at time.Time, f *picture.Flow) {
	none := f.Status[0]
	m := mark{at, f.Requests, f.Status[5] + none - min(none, f.Causes[journal.ClientGone.String()])}
	n := len(s.marks)
	if n > 0 && m.requests < s.marks[n-1].requests {
		s.marks, n = nil, 0
	}
	if n > 1 && at.Sub(s.marks[n-2].at) < 5*time.Second {
		s.marks[n-1] = m // one each five seconds, and the newest
		return
	}
	s.marks = append(s.marks, m)
	for len(s.marks) > 1 && at.Sub(s.marks[1].at) >= minute {
		s.marks = s.marks[1:]
	}
}

// share is the share of errors in the last minute, with how many requests; and whether the last seconds had one that went well.
func (s *site) share() (errors float64, requests uint64, well bool) {
	n := len(s.marks)
	if n < 2 {
		return 0, 0, false
	}
	a, z, before := s.marks[0], s.marks[n-1], s.marks[max(n-3, 0)]
	requests = z.requests - a.requests
	well = z.requests-before.requests > z.fail-before.fail
	if requests == 0 || z.at.Sub(a.at) < minute-5*time.Second {
		return 0, requests, well
	}
	return float64(z.fail-a.fail) / float64(requests), requests, well
}

// failed reports whether the errors between a mark and the one before were too many.
func (s *site) failed(i int, share float64) bool {
	n, bad := s.marks[i].requests-s.marks[i-1].requests, s.marks[i].fail-s.marks[i-1].fail
	return n > 0 && float64(bad) >= share*float64(n)
}

// first is since when too many failed, of the last minute.
func (s *site) first(share float64) time.Time {
	for i := 1; i < len(s.marks); i++ {
		if s.failed(i, share) {
			return s.marks[i-1].at
		}
	}
	return s.marks[len(s.marks)-1].at
}

// judge says why a site seems to be down, from when on, and how long that has to be so before it counts.
func (b *Book) judge(s *site, p *picture.Picture, o *picture.Site, pools []string, all map[string]*picture.Pool) (cause string, from time.Time, wait time.Duration) {
	if !p.Edge.Up {
		s.fails = false
		return "the process that serves did not answer", p.At, least
	}
	errors, requests, well := s.share()
	if n := len(s.marks); n > 1 && s.failed(n-1, b.errors) {
		s.bad = p.At
	}
	if requests >= fewest && errors >= b.errors {
		s.fails = true
		return fmt.Sprintf("%.0f %% or more of its requests failed", b.errors*100), s.first(b.errors), 0
	}
	down := ""
	for _, name := range pools {
		pool := all[name]
		switch {
		case name == "":
			return "", time.Time{}, 0 // it answers some by itself
		case pool == nil || pool.State != "down":
			return "", time.Time{}, 0
		case down == "":
			down = name
		case down != name:
			down = "all its pools"
		}
	}
	if down == "" || well {
		return "", time.Time{}, 0
	}
	if s.fails = false; down == "all its pools" {
		return down + " were down", p.At, least
	}
	return "the pool " + down + " was down", p.At, least
}

// note begins an outage, or ends it.
func (b *Book) note(name string, s *site, at time.Time, cause string, from time.Time, wait time.Duration) {
	if cause == "" {
		if s.down {
			end := at
			if s.fails && s.bad.Before(end) {
				end = s.bad // that it is over shows only when the minute is
			}
			b.close(name, s, end)
		}
		s.since, s.fails = time.Time{}, false
		return
	}
	if s.since.IsZero() {
		s.since, s.cause = from, cause
	}
	switch {
	case s.down:
		b.extend(name, at)
	case at.Sub(s.since) >= wait:
		s.down = true
		b.open(name, Outage{Begin: s.since, Cause: s.cause})
		b.extend(name, at)
	}
}

// month returns a site's month, which is made if need be.
func (b *Book) month(name string, t time.Time) *Month {
	months := b.saved.Sites[name]
	key := monthOf(t)
	i := sort.Search(len(months), func(i int) bool { return months[i].Month >= key })
	if i < len(months) && months[i].Month == key {
		return months[i]
	}
	m := &Month{Month: key, Outages: []Outage{}}
	b.saved.Sites[name] = slices.Insert(months, i, m)
	return m
}

func (b *Book) open(name string, o Outage) {
	m := b.month(name, o.Begin)
	m.Outages = append(m.Outages, o)
	m.Count++
	if n := len(m.Outages); n > maxList {
		m.Outages = slices.Delete(m.Outages, 0, n-maxList)
	}
}

// current is the outage of a site that goes on, with its month.
func (b *Book) current(name string) (*Month, *Outage) {
	for _, m := range slices.Backward(b.saved.Sites[name]) { // not always the last month: the clock may have been put back
		if n := len(m.Outages); n > 0 && m.Outages[n-1].End.IsZero() {
			return m, &m.Outages[n-1]
		}
	}
	return nil, nil
}

// Down is for how long a site was down in this month.
func (b *Book) Down(name string) time.Duration {
	month := monthOf(b.last)
	for _, m := range b.saved.Sites[name] {
		if m.Month == month {
			return m.Down
		}
	}
	return 0
}

// extend counts an outage up to now. Over the end of a month it is divided.
func (b *Book) extend(name string, at time.Time) {
	m, o := b.current(name)
	if o == nil {
		return
	}
	from := later(o.counted, o.Begin)
	if next := nextMonth(o.Begin); !at.Before(next) {
		cause := o.Cause
		m.Down += max(next.Sub(from), 0)
		o.End = next
		b.open(name, Outage{Begin: next, Cause: cause})
		b.extend(name, at)
		return
	}
	at = later(at, o.Begin)
	m.Down += at.Sub(from) // less than nothing where it was over before it showed
	o.counted = at
}

func nextMonth(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month()+1, 1, 0, 0, 0, 0, t.Location())
}

// close ends an outage.
func (b *Book) close(name string, s *site, at time.Time) {
	if s.down {
		b.extend(name, at)
		if _, o := b.current(name); o != nil {
			o.End = later(at, o.Begin)
		}
	}
	s.down, s.fails, s.since = false, false, time.Time{}
}

// gap notes that nobody looked.
func (b *Book) gap(from, to time.Time) {
	b.forget()
	b.saved.Gaps = append(b.saved.Gaps, Gap{from, to})
	if n := len(b.saved.Gaps); n > maxList {
		b.saved.Gaps = slices.Delete(b.saved.Gaps, 0, n-maxList)
	}
	for from.Before(to) {
		end := nextMonth(from)
		if to.Before(end) {
			end = to
		}
		b.saved.Unseen[monthOf(from)] += int64(end.Sub(from).Seconds())
		from = end
	}
}

// forget ends all outages where somebody looked the last time.
func (b *Book) forget() {
	for name := range b.saved.Sites {
		if _, o := b.current(name); o != nil {
			o.End, o.Open = later(b.last, o.Begin), true
		}
	}
	b.sites = map[string]*site{}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// oldest is the first month that is kept.
func oldest(at time.Time) string {
	return monthOf(time.Date(at.Year(), at.Month()-maxMonths+1, 1, 0, 0, 0, 0, at.Location()))
}

// prune forgets old months.
func (b *Book) prune(at time.Time) {
	oldest := oldest(at)
	for name, months := range b.saved.Sites {
		for len(months) > 0 && months[0].Month < oldest {
			months = months[1:]
		}
		if b.saved.Sites[name] = months; len(months) == 0 {
			delete(b.saved.Sites, name)
		}
	}
	for month := range b.saved.Unseen {
		if month < oldest {
			delete(b.saved.Unseen, month)
		}
	}
	for len(b.saved.Gaps) > 0 && monthOf(b.saved.Gaps[0].End) < oldest {
		b.saved.Gaps = b.saved.Gaps[1:]
	}
}
