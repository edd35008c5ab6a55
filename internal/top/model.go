package top

import (
	"math"
	"slices"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/picture"
)

// view is one of the pages.
type view int

const (
	overview view = iota
	pools
	workers
	routes
	cacheView
	logView
	eventsView
	numbersView
	numViews
)

// Views are the names of the views, in the order of their keys.
var Views = [numViews]string{"overview", "pools", "workers", "routes", "cache", "log", "events", "numbers"}

// Event is one thing that has happened, as the desk tells it.
type Event struct {
	At      time.Time `json:"at"`
	Kind    string    `json:"kind"`
	Subject string    `json:"subject"`
	Text    string    `json:"text"`
	By      string    `json:"by,omitempty"`
}

// Alert is what the desk alerts of, as it tells it.
type Alert struct {
	Rule     string    `json:"rule"`
	Subject  string    `json:"subject"`
	State    string    `json:"state"`    // "firing", or of no interest here
	Severity string    `json:"severity"` // "critical" or less
	Text     string    `json:"text"`
	Fired    time.Time `json:"fired"`
	Clearing time.Time `json:"clearing"` // since when it is over, if it is, and not yet for long enough
	By       string    `json:"by"`       // the alert that explains it
	Silenced string    `json:"silenced"`
	Ack      *struct {
		By string `json:"by"`
	} `json:"acknowledged"`
}

// Me is who the desk takes us for.
type Me struct {
	Name string `json:"name"`
	Role string `json:"role"`
}

// What comes in, besides pictures:
type (
	gotEvents struct {
		list []Event
		all  bool // these are all; else they come on top
	}
	gotSeries struct {
		of, span string
		series   *Series
		err      error
	}
	gotStories struct {
		run    int // of the question that they answer
		list   []*story
		unseen int   // that were left out: there were too many to be read
		err    error // why there are no more
	}
	gotCache struct {
		cache *api.CacheStatus
		err   error
	}
	gotMe      struct{ me Me }
	gotAlerts  struct{ firing []Alert } // the worst first
	gotNumbers struct{ list []Number }
	gotDone    struct {
		text string
		err  error
	}
	lost       struct{ err error }
	key        struct{ name, text string }
	pasted     struct{ text string }
	click      struct{ x, y int }
	wheel      struct{ by int }
	resized    struct{ w, h int }
	background struct{ dark bool }
)

// What is to be done about it:
type (
	askSeries  struct{ of, span string }
	askEvents  struct{}
	askMe      struct{}
	askCache   struct{}
	askAlerts  struct{}
	askNumbers struct{}
	askLog     struct {
		run    int
		recent bool // the last slow and failed ones; else as they come
		filter string
	}
	endLog    struct{}
	intervene struct{ what api.Intervention }
	reload    struct{ app string }
	quit      struct{}
	suspend   struct{}
)

// tab is what is remembered of a view.
type tab struct {
	filter string
	order  sorting
	chosen string // key of the item
	at     int    // its place, for when it is gone
	first  int    // the first row in sight
	wides  []int
}

const (
	historyLen = 300 // seconds that are kept of each server
	maxEvents  = 500
	maxStories = 1000
	recentLen  = 200
)

// known is what is known of weir.
type known struct {
	pic    *picture.Picture
	series map[string]*Series // by what it is of, and the span
	past   map[string]*past   // of servers, by their keys
	lately []tally
	events []Event // the newest first
}

// clone is a copy that goes on by itself.
func (k *known) clone() *known {
	c := &known{pic: k.pic, series: map[string]*Series{}, past: map[string]*past{}, lately: slices.Clone(k.lately), events: slices.Clone(k.events)}
	for of, s := range k.series {
		c.series[of] = s.clone()
	}
	for of, h := range k.past {
		h := *h
		h.rate, h.errors, h.p95, h.active = slices.Clone(h.rate), slices.Clone(h.errors), slices.Clone(h.p95), slices.Clone(h.active)
		c.past[of] = &h
	}
	return c
}

// growing is what takes in what comes.
func (m *model) growing() *known {
	if m.later != nil {
		return m.later
	}
	return &m.known
}

// model is all that is known and chosen. One goroutine uses it.
type model struct {
	paint paint
	ink   Ink
	w, h  int
	file  bool // nobody can press a key: it is printed once, as long as it is

	known         // that is shown
	later  *known // what has come since it was paused; nil: it is not
	newest *picture.Picture
	lost   string // why there are no more pictures
	me     Me
	behind string // who acts, if that is not who the desk takes us for

	view   view
	tabs   [numViews]tab
	detail string // key of the item that is looked into; empty: the table
	scroll int
	help   bool
	ask    *dialog
	typing *field // the filter while it is written
	say    cell   // the answer to what was done last
	mouse  bool

	span      int                  // which of spans graphs show
	asked     map[string]time.Time // when, by the pictures' clock
	cache     *api.CacheStatus
	noCache   string
	alerts    []Alert
	numbers   []Number  // of apps, as the last answer has them
	numbersAt time.Time // of the picture then

	stories  []*story // the newest first
	run      int
	recent   bool
	logging  bool
	logError string
	waiting  []*story // while it is paused
	unseen   int

	shown  []*item // by the last frame, and where
	lay    layout
	headAt int
	bodyAt int
	tabAt  [numViews + 1]int
}

var spans = [...]string{"10m", "3h", "1d", "1w"}

// past is what a server did in the last minutes.
type past struct {
	rate, errors, p95, active []float64
	seen                      time.Time
	n                         int64 // number of the newest
}

func newModel(ink Ink, ascii bool) *model {
	return &model{ink: ink, paint: newPaint(ink, ascii), w: 80, h: 24, mouse: true, asked: map[string]time.Time{},
		known: known{series: map[string]*Series{}, past: map[string]*past{}}}
}

// start is what has to be asked first, and whenever the desk is there again.
func (m *model) start() []any { return []any{askMe{}, askEvents{}} }

// take takes what has come and returns what is to be done.
func (m *model) take(what any) []any {
	switch what := what.(type) {
	case *picture.Picture:
		return m.takePicture(what)
	case gotEvents:
		m.takeEvents(what)
	case gotSeries:
		if name := what.of + " " + what.span; what.err == nil {
			m.growing().series[name] = what.series
			if m.series[name] == nil {
				m.series[name] = what.series.clone()
			}
		}
	case gotStories:
		m.takeStories(what)
	case gotCache:
		m.noCache = ""
		if what.err != nil {
			m.noCache = what.err.Error()
		} else {
			m.cache = what.cache
		}
	case gotMe:
		m.me = what.me
	case gotAlerts:
		m.alerts = what.firing
	case gotNumbers:
		if m.later == nil {
			m.takeNumbers(what.list)
		}
	case gotDone:
		m.say = cell{what.text, good}
		if what.err != nil {
			m.say = cell{what.err.Error(), bad}
		}
	case lost:
		m.lost = what.err.Error()
	case key:
		return m.press(what)
	case pasted:
		m.paste(what.text)
	case click:
		return m.click(what)
	case wheel:
		m.move(what.by)
	case resized:
		m.resize(what)
	case background:
		if m.ink == OnDark && !what.dark {
			m.ink = OnLight
			m.paint = newPaint(m.ink, m.paint.ascii)
		}
	}
	return nil
}

func (m *model) resize(to resized) {
	if to.w < 1 || to.h < 1 {
		return
	}
	m.w, m.h = to.w, to.h
	for i := range m.tabs {
		m.tabs[i].wides = nil
	}
}

func (m *model) takePicture(p *picture.Picture) []any {
	var todo []any
	if m.lost != "" || m.newest == nil {
		if m.lost != "" {
			todo = m.start()
		}
		m.lost = ""
		m.logging = false // what was asked of another desk ends with it
	}
	m.growing().remember(p)
	m.newest = p
	m.growing().pic = p
	if m.pic == nil {
		m.pic = p
	}
	return append(todo, m.wants()...)
}

// wants is what the view in sight has to know that it does not, or not of late.
func (m *model) wants() (all []any) {
	if m.newest == nil {
		return nil
	}
	if of := m.graphed(); of != "" {
		s := m.growing().series[of+" "+spans[m.span]]
		every := 5 * time.Second
		if of == "total" && m.span == 0 && s != nil {
			every = time.Hour // what comes on top is in the pictures
		}
		if m.due("series "+of+" "+spans[m.span], every) {
			all = append(all, askSeries{of, spans[m.span]})
		}
	}
	if m.later == nil && m.due("alerts", 5*time.Second) {
		all = append(all, askAlerts{})
	}
	if m.view == cacheView && (m.later == nil || m.cache == nil) && m.due("cache", 2*time.Second) {
		all = append(all, askCache{})
	}
	every := 30 * time.Second // whether there are any
	if m.view == numbersView {
		every = 2 * time.Second
	}
	if m.later == nil && m.due("numbers", every) {
		all = append(all, askNumbers{})
	}
	switch {
	case m.view == logView && !m.logging:
		m.logging, m.logError, m.unseen = true, "", 0
		m.run++
		all = append(all, askLog{m.run, m.recent, m.tabs[logView].filter})
	case m.view == logView && m.recent && m.later == nil && m.detail == "" && m.logError == "" && m.due("recent", 3*time.Second):
		m.run++
		all = append(all, askLog{m.run, true, m.tabs[logView].filter})
	case m.view != logView && m.logging:
		m.logging = false
		all = append(all, endLog{})
	}
	return all
}

// due reports whether it is time to ask for something again, and notes that it is asked for.
func (m *model) due(what string, every time.Duration) bool {
	at, ok := m.asked[what]
	if ok && m.newest.At.Sub(at) < every && !m.newest.At.Before(at) {
		return false
	}
	if len(m.asked) > 500 { // they are names of the configuration, and those change
		clear(m.asked)
		clear(m.growing().series)
	}
	m.asked[what] = m.newest.At
	return true
}

// graphed is what the view in sight shows a graph of that only the desk has.
func (m *model) graphed() string {
	if m.detail == "" {
		if m.view == overview || m.view == cacheView {
			return "total"
		}
		return ""
	}
	it := m.find(m.detail)
	switch {
	case it == nil:
	case it.route != nil:
		return "route:" + it.route.Site + " " + it.route.Name
	case it.pool != nil:
		return "pool:" + it.pool.Name
	}
	return ""
}

// remember adds a picture to what is known of the last minutes.
func (k *known) remember(p *picture.Picture) {
	if s := k.series["total 10m"]; s != nil {
		s.add(p)
	}
	if n := len(k.lately); n > 0 && (p.Total.Requests < k.lately[n-1].total.Requests || p.At.Before(k.lately[n-1].at)) {
		k.lately = nil
	}
	k.lately = append(k.lately, tally{p.At, p.Total})
	for len(k.lately) > 2 && p.At.Sub(k.lately[1].at) >= 10*time.Second {
		k.lately = k.lately[1:]
	}
	for i := range p.Pools {
		for j := range p.Pools[i].Servers {
			s := &p.Pools[i].Servers[j]
			key := serverKey(&p.Pools[i], s)
			h := k.past[key]
			if h == nil {
				h = &past{}
				k.past[key] = h
			}
			h.add(s, p.At)
		}
	}
	for key, h := range k.past {
		if !h.seen.Equal(p.At) {
			delete(k.past, key)
		}
	}
}

func (h *past) add(s *picture.Server, at time.Time) {
	if at.Equal(h.seen) {
		return
	}
	h.seen = at
	h.n++
	p95 := s.P95
	if p95 == 0 {
		p95 = math.NaN()
	}
	for _, row := range [...]struct {
		all *[]float64
		v   float64
	}{{&h.rate, s.Rate}, {&h.errors, s.ErrorRate}, {&h.p95, p95}, {&h.active, float64(s.Active)}} {
		if len(*row.all) >= historyLen {
			copy(*row.all, (*row.all)[1:])
			*row.all = (*row.all)[:historyLen-1]
		}
		*row.all = append(*row.all, row.v)
	}
}

// tally is what was counted at a time.
type tally struct {
	at    time.Time
	total picture.Flow
}

// late returns what was counted of all requests in the last ten seconds.
func (m *model) late() (f picture.Flow) {
	if m.pic == nil || len(m.lately) < 2 {
		return f
	}
	now, was := &m.lately[len(m.lately)-1].total, &m.lately[0].total
	for i := range f.Status {
		f.Status[i] = less(now.Status[i], was.Status[i])
	}
	for i := range f.Cache {
		f.Cache[i] = less(now.Cache[i], was.Cache[i])
	}
	f.Whys = map[string]uint64{}
	for why, n := range now.Whys {
		f.Whys[why] = less(n, was.Whys[why])
	}
	f.Requests = less(now.Requests, was.Requests)
	return f
}

// less is a minus b, 0 where counting began anew.
func less(a, b uint64) uint64 { return a - min(a, b) }

func (m *model) takeEvents(got gotEvents) {
	k := m.growing()
	list := slices.Clone(got.list)
	slices.Reverse(list)
	if !got.all {
		list = append(list, k.events...)
	}
	k.events = list[:min(len(list), maxEvents)]
}

func (m *model) takeStories(got gotStories) {
	if got.run != m.run {
		return // an answer to what was asked before
	}
	if got.err != nil {
		m.logError = got.err.Error()
	}
	if m.recent {
		if got.err == nil {
			m.stories = nil
		}
		m.addStories(got.list)
		return
	}
	if m.later != nil || m.detail != "" {
		m.waiting = append(m.waiting, got.list...)
		if n := len(m.waiting) - maxStories; n > 0 {
			m.waiting = append([]*story{}, m.waiting[n:]...)
		}
		return
	}
	m.unseen = got.unseen
	m.addStories(got.list)
}

// addStories puts stories on top, the last one uppermost.
func (m *model) addStories(list []*story) {
	if len(list) == 0 {
		return
	}
	all := make([]*story, 0, min(len(list)+len(m.stories), maxStories))
	for i := len(list) - 1; i >= 0 && len(all) < maxStories; i-- {
		all = append(all, list[i])
	}
	m.stories = append(all, m.stories[:min(len(m.stories), maxStories-len(all))]...)
}

// goOn lets what has waited come in sight.
func (m *model) goOn() {
	if m.later != nil {
		m.known, m.later = *m.later, nil
	}
	if m.detail == "" {
		m.addStories(m.waiting)
		m.waiting = nil
	}
}
