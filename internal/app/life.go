package app

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/weirhq/weir/internal/config"
)

// loopDeaths in a row, none of them after Backoff.Reset of life, are a crash loop.
const loopDeaths = 3

// liveWait is the longest wait for a worker that died after it had served: it is not broken from the start, and each
// place that waits is capacity that the others lack.
const liveWait = time.Second

// Life is the life of one app's workers. An app has as many places as workers; a place has at most one worker that
// serves (cur), while it is replaced a coming one (next), and workers that leave (old).
//
//	           ReadyOK        Announced         turn, Stop         Drained, TERM, KILL
//	Starting ──────────► Ready ────────► Live ────────────► Leaving ────────────► Gone
//	   │  ▲                │              │
//	   │  └── back-off ◄── Failing ◄──────┘ Exited
//	   └─────────────────────▲ ReadyFailed, Exited
//
// A worker that serves leaves only by a turn, which Budget gives: see turn.go.
//
// It is pure: no clock, no process, no goroutine. One goroutine at a time.
type Life struct {
	app     *config.App // what new workers are made from: the last that is known to work, or the first
	size    int         // workers wanted now
	places  []*place
	used    map[int]int // generations used, by place number
	timers  int
	due     map[int]time.Time // of timers that have not come
	wish    *wish
	stop    *int // the ticket of Stop
	killed  bool
	stopped bool
	now     time.Time
	out     []Action
}

type place struct {
	number    int
	cur, next *worker
	old       []*worker
	retired   bool // there are to be fewer places
	proved    bool // it has had a live worker
	deaths    int  // in a row
	restarts  int
	last      string   // why the last one died
	lines     []string // and what it printed last
	failing   time.Time
	backoff   int // timer

	renew  bool   // the wish wants it to have a new worker
	turn   Reason // why it is being given one; until next has taken over and the old ones are gone
	heir   string // the dead worker whose socket is kept for the next one
	misses int    // turns in a row that failed; those of a Renewal are the wish's
	pause  int    // timer: until then it wants no turn
}

type worker struct {
	name    string
	app     *config.App
	state   State
	since   time.Time
	address string
	pid     int
	doomed  string // why it is being killed before it was ready
	drained bool   // the edge was asked to finish with it
	told    bool   // the stop signal was sent, or is to be sent as soon as there is a process
	kill    int    // timer
	well    int    // timer
	age     int    // timer
	number  int    // of its place
	gen     int
	due     Reason // why it is to be replaced
	dueWhy  string // in words
	heir    string // the dead worker whose socket it takes over

	requests, memory int64 // as measured last
}

// wish is what is being done for a ticket: the places that have renew are given new workers as the budget allows; after
// that every place has to be live and every leaving worker gone.
type wish struct {
	ticket   int
	app      *config.App
	replaced int
	total    int
	sized    bool // the number of places was made to fit, after the last renewal
}

// NewLife returns the life of an app that has not begun. used is what Used returned of an earlier life of the same
// name, so that no worker's name comes twice; nil if there was none.
func NewLife(a *config.App, used map[int]int) *Life {
	l := &Life{app: a, size: a.Workers, used: map[int]int{}, due: map[int]time.Time{}}
	maps.Copy(l.used, used)
	return l
}

// Used returns the generations used so far by place number.
func (l *Life) Used() map[int]int { return maps.Clone(l.used) }

// App returns what workers are made from.
func (l *Life) App() *config.App { return l.app }

// Step tells what happened, and returns what is to be done now, in order.
func (l *Life) Step(now time.Time, e Event) []Action {
	l.now, l.out = now, nil
	switch e := e.(type) {
	case Begin:
		l.begin(e.Ticket)
	case Replace:
		l.replace(e.Ticket, l.app, true)
	case Update:
		l.update(e)
	case Resize:
		l.resize(e)
	case Stop:
		l.stopAll(e.Ticket)
	case Kill:
		l.killed = true
		for _, w := range l.all() {
			l.do(Signal{w.name, "KILL"})
		}
	case Timer:
		delete(l.due, e.ID)
		l.timer(e.ID)
	default:
		l.worked(e)
	}
	l.progress()
	return l.out
}

// worked handles what happened to one worker. One that is not known any more is nobody's business.
func (l *Life) worked(e Event) {
	switch e := e.(type) {
	case Started:
		if _, w := l.find(e.Worker); w != nil {
			l.started(w, e)
		}
	case Measured:
		if p, w := l.find(e.Worker); w != nil && p.cur == w && w.state == Live {
			l.measured(w, e)
		}
	case AliveFailed:
		if p, w := l.find(e.Worker); w != nil {
			l.unwell(p, w, e.Why)
		}
	case AliveOK:
		if _, w := l.find(e.Worker); w != nil && w.state == Live && w.due == Unwell {
			w.due, w.dueWhy = NoReason, ""
			l.say(Info, "%s answers its alive check again", w.name)
		}
	case Overdue:
		if p, w := l.find(e.Worker); w != nil && p.cur == w && (w.state == Live || w.state == Ready) {
			l.wants(w, Overran, fmt.Sprintf("a request took longer than %v", w.app.RequestTimeout))
		}
	case StartFailed:
		if p, w := l.find(e.Worker); w != nil {
			w.doomed = e.Why
			l.exited(p, w, "", "", e.Lines)
		}
	case ReadyOK:
		if _, w := l.find(e.Worker); w != nil && w.state == Starting && w.doomed == "" {
			l.enter(w, Ready)
			l.do(Announce{})
		}
	case ReadyFailed:
		if _, w := l.find(e.Worker); w != nil && w.state == Starting && w.doomed == "" {
			w.doomed = e.Why
			l.do(Signal{w.name, "KILL"})
		}
	case Announced:
		if p, w := l.find(e.Worker); w != nil {
			l.announced(p, w, e.State)
		}
	case Drained:
		if _, w := l.find(e.Worker); w != nil && w.state == Leaving && !w.told {
			if e.Left > 0 {
				l.say(Warn, "%s is stopped with %d requests under way: they took longer than %v", w.name, e.Left, w.patience())
			}
			l.tell(w)
		}
	case Exited:
		if p, w := l.find(e.Worker); w != nil {
			l.exited(p, w, e.How, e.Words, e.Lines)
		}
	}
}

func (l *Life) begin(ticket int) {
	l.wish = &wish{ticket: ticket, app: l.app}
	l.fit()
}

func (l *Life) update(e Update) {
	switch {
	case l.stop != nil, l.wish != nil:
		l.replace(e.Ticket, e.App, false) // says why not
	case SameProcess(l.app, e.App):
		l.app = e.App
		for _, w := range l.all() {
			was := w.app.Recycle
			if w.app = e.App; w.state == Live && was != e.App.Recycle {
				l.ages(w)
			}
		}
		l.wish = &wish{ticket: e.Ticket, app: e.App, sized: true}
		l.fit()
	default:
		l.replace(e.Ticket, e.App, true)
	}
}

// SameProcess says whether two apps give their processes the same, so that those of one may serve for the other.
func SameProcess(a, b *config.App) bool {
	type process struct {
		name, dir, user string
		argv            []string
		env             map[string]string
		socket, handed  bool
		nofile          uint64
	}
	of := func(a *config.App) process {
		return process{a.Name, a.Directory, a.User, a.Argv, a.Env, a.Socket, a.Handed, a.Nofile}
	}
	return reflect.DeepEqual(of(a), of(b))
}

func (l *Life) replace(ticket int, a *config.App, renew bool) {
	switch {
	case l.stop != nil:
		l.do(Done{ticket, "app " + l.app.Name + " is being stopped"})
		return
	case l.wish != nil:
		l.do(Done{ticket, "app " + l.app.Name + " is being started or replaced already: wait until that is done"})
		return
	}
	l.wish = &wish{ticket: ticket, app: a}
	for _, p := range l.places {
		if renew && !p.retired && p.number <= min(l.size, l.sizeFor(a)) {
			p.renew = true
			l.wish.total++
		}
	}
}

func (l *Life) stopAll(ticket int) {
	if l.stop != nil {
		l.do(Done{ticket, "app " + l.app.Name + " is being stopped already"})
		return
	}
	if l.wish != nil {
		l.do(Done{l.wish.ticket, "app " + l.app.Name + " was stopped meanwhile"})
		l.drop()
	}
	l.stop = &ticket
	for _, p := range l.places {
		l.retire(p)
	}
}

// retire empties a place for good.
func (l *Life) retire(p *place) {
	p.retired, p.renew, p.backoff, p.failing = true, false, 0, time.Time{}
	for _, w := range []*worker{p.cur, p.next} {
		if w != nil {
			p.old = append(p.old, w)
			l.leave(w)
		}
	}
	p.cur, p.next = nil, nil
}

// fit starts the workers that are missing, and lets go of those that are too many as the budget allows: see shrink.
func (l *Life) fit() {
	l.size = l.sizeFor(l.app)
	for n := 1; n <= l.size; n++ {
		// A place of this number that is still being emptied stays so until it is; the new one stands beside it.
		if slices.ContainsFunc(l.places, func(p *place) bool { return p.number == n && !p.retired }) {
			continue
		}
		p := &place{number: n}
		l.places = append(l.places, p)
		p.cur = l.spawn(p, l.app)
	}
}

// resize changes how many workers there are to be, unless something else is being done.
func (l *Life) resize(e Resize) {
	was := l.size
	if l.stop != nil || l.wish != nil {
		return
	}
	l.size = e.Workers
	l.fit()
	if l.size != was {
		l.say(Info, "%s is to have %d workers instead of %d: %s", l.app.Name, l.size, was, e.Why)
	}
}

// sizeFor is how many workers the app is to have: as many as now, within its bounds.
func (l *Life) sizeFor(a *config.App) int {
	return min(max(l.size, a.Workers), max(a.Workers, a.MaxWorkers))
}

// abort ends the wish because a coming worker failed; what serves goes on serving.
func (l *Life) abort(why string, lines []string) {
	wi := l.wish
	if wi == nil {
		return
	}
	problem := why + "; the workers that were serving go on"
	if wi.replaced > 0 {
		problem = fmt.Sprintf("%s; %d of %d workers had been replaced, the others go on as they were", why, wi.replaced, wi.total)
	}
	l.say(Loud, "replacing the workers of %s was given up: %s", l.app.Name, problem)
	l.do(Done{wi.ticket, problem + tail(lines)})
	l.drop()
	for _, p := range l.places {
		if p.turn == Renewal && p.next != nil && p.next.state != Live { // of several at once: they are as new, and wanted no more
			p.old = append(p.old, p.next)
			l.leave(p.next)
			p.next = nil
			l.resume(p)
		}
	}
	l.fit()
}

// tailLines is how much of its output a failed start is told with.
const tailLines = 10

// tail is the end of a worker's output, to go after a problem in one line that has its last words already.
func tail(lines []string) string {
	if len(lines) < 2 {
		return ""
	}
	return "\nits last output:\n\t" + strings.Join(lines[max(0, len(lines)-tailLines):], "\n\t")
}

// drop forgets the wish.
func (l *Life) drop() {
	l.wish = nil
	for _, p := range l.places {
		p.renew = false
	}
}

// progress takes the next steps of what is wanted, once an event has been handled.
func (l *Life) progress() {
	l.sweep()
	if l.stop != nil {
		if len(l.places) == 0 && !l.stopped {
			l.stopped = true
			l.do(Done{*l.stop, ""})
		}
		return
	}
	l.turns()
	wi := l.wish
	if wi == nil {
		l.shrink()
		return
	}
	renewing := func(p *place) bool { return p.renew || p.turn == Renewal }
	if slices.ContainsFunc(l.places, renewing) {
		l.stuck(wi)
		return
	}
	if !wi.sized { // the last one is replaced: more or fewer places now
		wi.sized = true
		l.fit()
	}
	l.shrink()
	l.settle(wi)
}

// sweep forgets places that have been emptied, and ends turns that are over.
func (l *Life) sweep() {
	l.places = slices.DeleteFunc(l.places, func(p *place) bool { return p.retired && len(p.old) == 0 })
	for _, p := range l.places {
		if p.next == nil && len(p.old) == 0 {
			p.turn = NoReason
		}
	}
}

// stuck gives the wish up when what it has started keeps dying: the places that wait for their turn would wait for ever.
func (l *Life) stuck(wi *wish) {
	if slices.ContainsFunc(l.places, func(p *place) bool { return p.turn == Renewal }) {
		return
	}
	for _, p := range l.places {
		if !p.renew && !p.retired && p.cur == nil && p.deaths >= loopDeaths && wi.replaced > 0 {
			l.abort(p.last, p.lines)
			return
		}
	}
}

// settle grants the wish when every worker is live and none is leaving, or says which one fails.
func (l *Life) settle(wi *wish) {
	for _, p := range l.places {
		// A worker that had been well and died just now is no failure of what was wished, unless it goes on dying.
		if p.cur == nil && !p.retired && (!p.proved || p.deaths >= loopDeaths) {
			l.drop()
			l.do(Done{wi.ticket, p.last + tail(p.lines)})
			return
		}
		// Recycling goes on all the time, where it is wanted: nobody waits for it.
		leaving := len(p.old) > 0 && p.turn <= Renewal
		if p.retired || leaving || p.cur == nil || p.cur.state != Live {
			return
		}
	}
	if len(l.places) > l.size {
		return
	}
	l.drop()
	l.do(Done{wi.ticket, ""})
}

func (l *Life) enter(w *worker, s State) { w.state, w.since = s, l.now }

func (l *Life) do(a Action) {
	if a == (Announce{}) && slices.Contains(l.out, a) {
		return // one announcement says it all
	}
	l.out = append(l.out, a)
}

func (l *Life) say(level Level, format string, args ...any) {
	l.do(Say{level, fmt.Sprintf(format, args...)})
}

func (l *Life) after(d time.Duration) int {
	l.timers++
	l.due[l.timers] = l.now.Add(d)
	l.do(SetTimer{l.timers, d})
	return l.timers
}
