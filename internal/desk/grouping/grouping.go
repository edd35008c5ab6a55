// Package grouping finds out which errors of an application are the same: tracebacks in what its workers print, and answers of 500 and
// above, by their shape: kind, message and place, without the numbers, names and addresses that differ each time. A shape that is new
// is told at once, known ones are counted. It has no clock and reads nothing: lines and pictures are given to it.
package grouping

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weirhq/weir/internal/desk/alert"
	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/picture"
)

const (
	maxProblems = 500  // shapes that are known; the one not seen for the longest time gives way
	maxWorkers  = 1000 // whose output is put together at a time
	forgotten   = 30 * 24 * time.Hour
	newsAnHour  = 30               // shapes that are told; more are counted
	nearTrace   = 10 * time.Second // before an answer, a traceback explains it
	waitTrace   = 5 * time.Second  // or after it
	quiet       = time.Second      // after which a traceback without an end has one
	shownCounts = 10
)

// Problem is one shape of error.
type Problem struct {
	ID     string    `json:"id"`
	Kind   string    `json:"kind"`   // "python", "ruby", "node", "java", "go", "php": a traceback; "answers": answers of 500 and above
	App    string    `json:"app"`    // whose; of answers, the pool
	Where  string    `json:"where"`  // of a traceback, the innermost place; of answers, site and route
	Shape  string    `json:"shape"`  // kind of error and message, without what differs
	Sample []string  `json:"sample"` // the last one, as it was printed; the last lines of it
	First  time.Time `json:"first"`
	Last   time.Time `json:"last"`
	Count  uint64    `json:"count"`
	Lately uint64    `json:"lately"` // since the counts were told
	Worker string    `json:"worker,omitempty"`
}

// Line is one line of a worker's output.
type Line struct {
	At     time.Time `json:"at"`
	App    string    `json:"app"`
	Worker string    `json:"worker"`
	Text   string    `json:"text"`
}

// Saved is what is to outlive the process.
type Saved struct {
	Problems []Problem `json:"problems"`
	Told     time.Time `json:"told"` // when counts were told
	Missed   uint64    `json:"missed"`
	Answers  []Answers `json:"answers"` // that were counted up to then
	Open     []Line    `json:"open"`    // of tracebacks that have no end yet
}

// Answers is how many answers of 500 and above an application gave on a route.
type Answers struct {
	Site  string `json:"site"`
	Route string `json:"route"`
	Count uint64 `json:"count"`
}

// Book has the shapes. One goroutine at a time may use it.
type Book struct {
	problems map[string]*Problem
	workers  map[string]*assembler
	traced   map[string]time.Time // when an app has last printed a traceback
	answers  map[[2]string]uint64 // application's answers of 500 and above, by site and route
	fresh    []fresh              // new kinds of answers that may be explained by a traceback still
	told     time.Time
	missed   uint64
	counted  uint64 // tracebacks
	news     []alert.News
	hour     time.Time // newsAnHour are counted from here
	inHour   int
}

// fresh is a new shape of answers.
type fresh struct {
	p    *Problem
	app  string
	text string
	at   time.Time
}

// New goes on with what another one has left; the zero value begins anew.
func New(saved Saved) *Book {
	b := &Book{problems: map[string]*Problem{}, workers: map[string]*assembler{}, traced: map[string]time.Time{}, answers: map[[2]string]uint64{}, told: saved.Told, missed: saved.Missed}
	for _, p := range saved.Problems {
		if len(b.problems) < maxProblems {
			b.problems[p.ID] = &p
		}
	}
	for _, a := range saved.Answers {
		b.answers[[2]string{a.Site, a.Route}] = a.Count
	}
	for _, l := range saved.Open[:min(len(saved.Open), maxOpen)] {
		b.Take(l)
	}
	return b
}

// maxOpen bounds the lines of tracebacks without an end that are taken over.
const maxOpen = 10_000

// Save returns what the next one goes on with.
func (b *Book) Save() Saved {
	s := Saved{Problems: b.List(), Told: b.told, Missed: b.missed, Answers: []Answers{}}
	for key, n := range b.answers {
		s.Answers = append(s.Answers, Answers{key[0], key[1], n})
	}
	for name, a := range b.workers {
		if a.open == nil || len(s.Open)+len(a.open.lines) > maxOpen {
			continue
		}
		for i, text := range a.open.lines {
			l := Line{At: a.last, App: a.app, Worker: name, Text: text}
			if i == 0 {
				l.At = a.open.at
			}
			s.Open = append(s.Open, l)
		}
	}
	return s
}

// Counted returns how many tracebacks were counted: a number that has not changed says that the lines since then were of no account.
func (b *Book) Counted() uint64 { return b.counted }

// List returns the shapes, what was seen last first.
func (b *Book) List() []Problem {
	all := make([]Problem, 0, len(b.problems))
	for _, p := range b.problems {
		c := *p
		c.Sample = slices.Clone(p.Sample)
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b Problem) int { return cmp.Or(b.Last.Compare(a.Last), strings.Compare(a.ID, b.ID)) })
	return all
}

// Missed counts lines that did not reach the book.
func (b *Book) Missed(n uint64) { b.missed += n }

// Take takes the next line of a worker's output.
func (b *Book) Take(l Line) {
	a := b.workers[l.Worker]
	if a == nil {
		if len(b.workers) >= maxWorkers {
			b.flush(l.At, 0)
			clear(b.workers)
		}
		a = &assembler{app: l.App, worker: l.Worker}
		b.workers[l.Worker] = a
	}
	for _, t := range a.take(l) {
		b.add(t)
	}
}

// flush ends tracebacks to which nothing was added for some time.
func (b *Book) flush(at time.Time, after time.Duration) {
	for name, a := range b.workers {
		if d := at.Sub(a.last); d < after && d >= 0 {
			continue
		}
		if t := a.end(); t != nil {
			b.add(t)
		}
		delete(b.workers, name)
	}
}

// add counts a traceback.
func (b *Book) add(t *trace) {
	b.counted++
	b.traced[t.app] = t.at
	shape, where := t.shape(), t.where()
	p, fresh := b.problem(t.kind, t.app, where, shape, t.at)
	p.Worker, p.Sample = t.worker, t.sample()
	b.count(p, 1, t.at)
	if fresh {
		text := fmt.Sprintf("%s printed an error that is new: %s", t.app, shape)
		if where != "" {
			text += ", at " + where
		}
		b.tell(p, text, t.at)
	}
}

func (b *Book) count(p *Problem, n uint64, at time.Time) {
	p.Count += n
	p.Lately += n
	p.Last = at
}

// problem returns a shape, and whether it is new.
func (b *Book) problem(kind, app, where, shape string, at time.Time) (p *Problem, fresh bool) {
	sum := sha256.Sum256([]byte(kind + "\x00" + app + "\x00" + where + "\x00" + shape))
	key := hex.EncodeToString(sum[:6])
	if p = b.problems[key]; p != nil {
		return p, at.Sub(p.Last) > forgotten
	}
	if len(b.problems) >= maxProblems {
		oldest := ""
		for k, o := range b.problems {
			if oldest == "" || o.Last.Before(b.problems[oldest].Last) {
				oldest = k
			}
		}
		delete(b.problems, oldest)
	}
	p = &Problem{ID: key, Kind: kind, App: app, Where: where, Shape: shape, First: at, Sample: []string{}}
	b.problems[key] = p
	return p, true
}

// tell has a new shape told, unless there are too many of them.
func (b *Book) tell(p *Problem, text string, at time.Time) {
	if d := at.Sub(b.hour); d >= time.Hour || d < 0 {
		b.hour, b.inHour = at, 0
	}
	if b.inHour++; b.inHour > newsAnHour {
		if b.inHour == newsAnHour+1 {
			b.news = append(b.news, alert.News{Rule: rule, Subject: "many", Text: fmt.Sprintf("over %d new kinds of application errors within an hour: more are only counted (weir alert problems)", newsAnHour)})
		}
		return
	}
	b.news = append(b.news, alert.News{Rule: rule, Subject: p.App + " " + p.ID, Text: text})
}

// rule is the one that tells of new shapes.
const rule = "new_error"

// Look takes the next picture, and returns what is to be told. Counts of known shapes are told after each period; 0 is never.
func (b *Book) Look(p *picture.Picture, period time.Duration) []alert.News {
	b.flush(p.At, quiet)
	apps := map[string]string{}
	for i := range p.Pools {
		apps[p.Pools[i].Name] = p.Pools[i].App
	}
	if p.Edge.Up {
		for i := range p.Routes {
			if r := &p.Routes[i]; r.Pool != "" {
				b.look(r, apps[r.Pool], p.At)
			}
		}
		if len(b.answers) > len(p.Routes) { // some are no more: it is begun anew with those that there are
			now := make(map[[2]string]uint64, len(p.Routes))
			for i := range p.Routes {
				key := [2]string{p.Routes[i].Site, p.Routes[i].Name}
				if n, is := b.answers[key]; is {
					now[key] = n
				}
			}
			b.answers = now
		}
	}
	b.tellFresh(p.At)
	if b.told.IsZero() || p.At.Before(b.told) {
		b.told = p.At
	}
	if period > 0 && p.At.Sub(b.told) >= period {
		b.tellCounts(p.At)
	}
	news := b.news
	b.news = nil
	return news
}

// own are causes with which weir itself answered 500 or above: the application had no word in it.
var own = []journal.Cause{journal.BadResponse, journal.NoServer, journal.QueueFull, journal.QueueTimeout, journal.ConnectError, journal.ConnectTimeout, journal.EmptyResponse,
	journal.ServerReset, journal.FirstByteTimeout, journal.BetweenBytesTimeout, journal.RequestTimeout, journal.ResponseTooLarge, journal.Panicked, journal.Stopping, journal.Internal,
	journal.Overloaded, journal.BreakerOpen, journal.NoScript}

// look counts a route's answers.
func (b *Book) look(r *picture.Route, app string, at time.Time) {
	n := r.Status[5]
	for _, c := range own {
		n -= min(n, r.Causes[c.String()])
	}
	key := [2]string{r.Site, r.Name}
	was, known := b.answers[key]
	b.answers[key] = n
	if !known || n <= was {
		return
	}
	p, isNew := b.problem("answers", r.Pool, r.Site+" "+r.Name, "answers of 500 and above", at)
	b.count(p, n-was, at)
	if isNew {
		b.fresh = append(b.fresh, fresh{p, app, fmt.Sprintf("%s answered %d requests with 500 or above at %s, route %s", r.Pool, n-was, r.Site, r.Name), at})
	}
}

// tellFresh tells of new kinds of answers, unless the application has printed a traceback about then: that has told of it, and better.
func (b *Book) tellFresh(at time.Time) {
	b.fresh = slices.DeleteFunc(b.fresh, func(f fresh) bool {
		if at.Sub(f.at) < waitTrace {
			return false
		}
		if traced := b.traced[f.app]; f.app == "" || f.at.Sub(traced) > nearTrace {
			b.tell(f.p, f.text, at)
		}
		return true
	})
}

// tellCounts tells how many errors there were since the last time.
func (b *Book) tellCounts(at time.Time) {
	var some []*Problem
	sum := uint64(0)
	for _, p := range b.problems {
		if p.Lately > 0 {
			some = append(some, p)
			sum += p.Lately
		}
	}
	if len(some) > 0 {
		slices.SortFunc(some, func(a, b *Problem) int { return cmp.Or(cmp.Compare(b.Lately, a.Lately), strings.Compare(a.ID, b.ID)) })
		var text strings.Builder
		fmt.Fprintf(&text, "%d application errors of %d kinds in %s", sum, len(some), alert.Length(at.Sub(b.told)))
		for _, p := range some[:min(len(some), shownCounts)] {
			fmt.Fprintf(&text, "; %d × %s: %s", p.Lately, p.App, p.Shape)
		}
		b.news = append(b.news, alert.News{Rule: rule, Subject: "counts", Text: cut(text.String(), 2000), Severity: "info"})
		for _, p := range some {
			p.Lately = 0
		}
	}
	b.told = at
}

func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
