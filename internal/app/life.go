package app

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/weirhq/weir/internal/api"
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
//	           ReadyOK        Announced         Replace, Stop      Drained, TERM, KILL
//	Starting ──────────► Ready ────────► Live ────────────► Leaving ────────────► Gone
//	   │  ▲                │              │
//	   │  └── back-off ◄── Failing ◄──────┘ Exited
//	   └─────────────────────▲ ReadyFailed, Exited
//
// It is pure: no clock, no process, no goroutine. One goroutine at a time.
type Life struct {
	app     *config.App // what new workers are made from: the last that is known to work, or the first
	places  []*place
	used    map[int]int // generations used, by place number
	timers  int
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
	last      string // why the last one died
	failing   time.Time
	backoff   int // timer
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
}

// wish is what is being done for a ticket: the places in queue are given a new worker one by one; after that every
// place has to be live and every leaving worker gone.
type wish struct {
	ticket   int
	app      *config.App
	queue    []*place
	at       *place // has next, or an old one that has not gone yet
	replaced int
	total    int
}

// NewLife returns the life of an app that has not begun. used is what Used returned of an earlier life of the same
// name, so that no worker's name comes twice; nil if there was none.
func NewLife(a *config.App, used map[int]int) *Life {
	l := &Life{app: a, used: map[int]int{}}
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
		l.replace(e.Ticket, l.app, l.places)
	case Update:
		l.update(e)
	case Stop:
		l.stopAll(e.Ticket)
	case Kill:
		l.killed = true
		for _, w := range l.all() {
			l.do(Signal{w.name, "KILL"})
		}
	case Timer:
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
	case StartFailed:
		if p, w := l.find(e.Worker); w != nil {
			w.doomed = e.Why
			l.exited(p, w, "", "")
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
				l.say(Warn, "%s is stopped with %d requests under way: they took longer than %v", w.name, e.Left, w.app.Stop.Within)
			}
			l.tell(w)
		}
	case Exited:
		if p, w := l.find(e.Worker); w != nil {
			l.exited(p, w, e.How, e.Words)
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
		l.replace(e.Ticket, e.App, nil) // says why not
	case SameProcess(l.app, e.App):
		l.app = e.App
		for _, w := range l.all() {
			w.app = e.App
		}
		l.wish = &wish{ticket: e.Ticket, app: e.App}
		l.fit()
	default:
		l.replace(e.Ticket, e.App, l.places)
	}
}

// SameProcess says whether two apps give their processes the same, so that those of one may serve for the other.
func SameProcess(a, b *config.App) bool {
	type process struct {
		name, dir, user string
		argv            []string
		env             map[string]string
		socket          bool
		nofile          uint64
	}
	of := func(a *config.App) process {
		return process{a.Name, a.Directory, a.User, a.Argv, a.Env, a.Socket, a.Nofile}
	}
	return reflect.DeepEqual(of(a), of(b))
}

func (l *Life) replace(ticket int, a *config.App, places []*place) {
	switch {
	case l.stop != nil:
		l.do(Done{ticket, "app " + l.app.Name + " is being stopped"})
		return
	case l.wish != nil:
		l.do(Done{ticket, "app " + l.app.Name + " is being started or replaced already: wait until that is done"})
		return
	}
	l.wish = &wish{ticket: ticket, app: a, queue: slices.Clone(places[:min(len(places), a.Workers)])}
	l.wish.total = len(l.wish.queue)
}

func (l *Life) stopAll(ticket int) {
	if l.stop != nil {
		l.do(Done{ticket, "app " + l.app.Name + " is being stopped already"})
		return
	}
	if l.wish != nil {
		l.do(Done{l.wish.ticket, "app " + l.app.Name + " was stopped meanwhile"})
		l.wish = nil
	}
	l.stop = &ticket
	for _, p := range l.places {
		l.retire(p)
	}
}

// retire empties a place for good.
func (l *Life) retire(p *place) {
	p.retired, p.backoff, p.failing = true, 0, time.Time{}
	for _, w := range []*worker{p.cur, p.next} {
		if w != nil {
			p.old = append(p.old, w)
			l.leave(w)
		}
	}
	p.cur, p.next = nil, nil
}

// fit makes the places as many as the app wants workers, and starts what is missing.
func (l *Life) fit() {
	for _, p := range l.places {
		if p.number > l.app.Workers && !p.retired {
			l.retire(p)
		}
	}
	for n := 1; n <= l.app.Workers; n++ {
		// A place of this number that is still being emptied stays so until it is; the new one stands beside it.
		if slices.ContainsFunc(l.places, func(p *place) bool { return p.number == n && !p.retired }) {
			continue
		}
		p := &place{number: n}
		l.places = append(l.places, p)
		p.cur = l.spawn(p, l.app)
	}
}

func (l *Life) spawn(p *place, a *config.App) *worker {
	l.used[p.number]++
	gen := l.used[p.number]
	w := &worker{name: fmt.Sprintf("%s/%d.%d", a.Name, p.number, gen), app: a, since: l.now}
	p.failing, p.backoff = time.Time{}, 0
	l.do(Spawn{w.name, p.number, gen, a})
	return w
}

func (l *Life) started(w *worker, e Started) {
	w.pid, w.address = e.PID, e.Address
	if w.state == Leaving { // it was given up before there was a process to tell
		l.signal(w)
		return
	}
	l.do(Check{w.name})
}

func (l *Life) announced(p *place, w *worker, s State) {
	switch {
	case w.state == Ready && s == Ready:
		l.enter(w, Live)
		p.proved = true
		w.well = l.after(w.app.Backoff.Reset)
		if p.next == w {
			l.promote(p)
		}
		l.say(Info, "%s is live", w.name)
	case w.state == Leaving && s == Leaving && !w.told && !w.drained:
		w.drained = true
		l.do(Drain{w.name, w.app.Stop.Within})
	}
}

// promote makes the coming worker the one that serves, and the other leave: it is announced that one is ready before
// it is announced that the other is leaving, so there is no moment without a worker.
func (l *Life) promote(p *place) {
	old := p.cur
	p.cur, p.next = p.next, nil
	p.deaths, p.last = 0, "" // those of its predecessors
	if l.wish != nil {
		l.app = l.wish.app // it is known to work now
		l.wish.replaced++
	}
	if old != nil {
		p.old = append(p.old, old)
		l.leave(old)
	}
}

// leave lets a worker go: out of the edge first if it is known there, then it is drained and stopped.
func (l *Life) leave(w *worker) {
	was := w.state
	l.enter(w, Leaving)
	if was == Ready || was == Live {
		l.do(Announce{})
		return
	}
	l.tell(w)
}

// tell sends the stop signal as soon as there is a process.
func (l *Life) tell(w *worker) {
	w.told = true
	if w.pid != 0 {
		l.signal(w)
	}
}

func (l *Life) signal(w *worker) {
	if l.killed {
		l.do(Signal{w.name, "KILL"})
		return
	}
	l.do(Signal{w.name, w.app.Stop.Signal})
	w.kill = l.after(w.app.Stop.Within)
}

func (l *Life) exited(p *place, w *worker, how, words string) {
	if w.doomed != "" {
		how = w.doomed
	} else if w.state == Starting {
		how = "died before it was ready: " + how
	} else {
		how = "died: " + how
	}
	if words != "" {
		how += "; its last words: " + words
	}
	was := w.state
	l.enter(w, Gone)
	if was == Ready || was == Live || was == Leaving {
		l.do(Announce{})
	}
	switch {
	case p.next == w:
		p.next = nil
		p.last = w.name + " " + how
		l.abort(p.last)
	case p.cur == w:
		p.cur = nil
		if l.killed { // as it was to be, and it has no successor
			l.say(Info, "%s is gone", w.name)
			return
		}
		l.died(p, w, was, how)
	default:
		p.old = slices.DeleteFunc(p.old, func(o *worker) bool { return o == w })
		l.say(Info, "%s is gone", w.name)
	}
}

// died counts the death of a place's worker and plans the next start.
func (l *Life) died(p *place, w *worker, was State, how string) {
	if was == Live && w.well == 0 {
		p.deaths = 0 // it had been well
	}
	p.deaths++
	p.last, p.failing = w.name+" "+how, l.now
	if p.next != nil {
		l.say(Warn, "%s; its successor is starting", p.last)
		return
	}
	wait := backoff(l.app.Backoff, p.deaths)
	switch {
	case was == Live && l.Live() == 0:
		wait = l.app.Backoff.Min // it can serve, and nobody else does: waiting would spare the machine and fail the clients
	case was == Live:
		wait = min(wait, max(liveWait, l.app.Backoff.Min))
	}
	p.backoff = l.after(wait)
	if p.deaths < loopDeaths {
		l.say(Warn, "%s; next start in %v", p.last, wait)
		return
	}
	l.say(Loud, "CRASH LOOP: %s/%d died %d times in a row; %s; next start in %v", l.app.Name, p.number, p.deaths, p.last, wait)
}

// backoff is the wait after so many deaths in a row: Min, doubled with each up to Max.
func backoff(b config.Backoff, deaths int) time.Duration {
	wait := b.Min
	for i := 1; i < deaths && wait < b.Max; i++ {
		wait *= 2
	}
	return min(wait, max(b.Max, b.Min))
}

func (l *Life) timer(id int) {
	if id == 0 {
		return
	}
	for _, p := range l.places {
		if p.backoff == id {
			p.restarts++
			p.cur = l.spawn(p, l.app)
			return
		}
		if p.cur != nil && p.cur.well == id {
			p.cur.well = 0
			if p.deaths >= loopDeaths {
				l.say(Info, "%s is well again", p.cur.name)
			}
			p.deaths = 0
			return
		}
	}
	for _, w := range l.all() {
		if w.kill == id {
			l.say(Warn, "%s did not stop within %v of SIG%s: it is killed", w.name, w.app.Stop.Within, w.app.Stop.Signal)
			l.do(Signal{w.name, "KILL"})
			return
		}
	}
}

// abort ends the wish because a coming worker failed; what serves goes on serving.
func (l *Life) abort(why string) {
	wi := l.wish
	if wi == nil {
		return
	}
	l.wish = nil
	problem := why + "; the workers that were serving go on"
	if wi.replaced > 0 {
		problem = fmt.Sprintf("%s; %d of %d workers had been replaced, the others go on as they were", why, wi.replaced, wi.total)
	}
	l.say(Loud, "replacing the workers of %s was given up: %s", l.app.Name, problem)
	l.do(Done{wi.ticket, problem})
	if at := wi.at; at != nil && at.cur == nil && !at.retired {
		at.deaths++
		at.failing = l.now
		at.backoff = l.after(backoff(l.app.Backoff, at.deaths))
	}
	l.fit()
}

// progress takes the next steps of what is wished, once an event has been handled.
func (l *Life) progress() {
	l.places = slices.DeleteFunc(l.places, func(p *place) bool { return p.retired && len(p.old) == 0 })
	if l.stop != nil {
		if len(l.places) == 0 && !l.stopped {
			l.stopped = true
			l.do(Done{*l.stop, ""})
		}
		return
	}
	wi := l.wish
	if wi == nil {
		return
	}
	if wi.at != nil && (wi.at.next != nil || len(wi.at.old) > 0) {
		return // one by one
	}
	if len(wi.queue) > 0 {
		wi.at, wi.queue = wi.queue[0], wi.queue[1:]
		wi.at.next = l.spawn(wi.at, wi.app)
		return
	}
	if wi.at != nil { // the last one is replaced: more or fewer places now
		wi.at = nil
		l.fit()
		l.places = slices.DeleteFunc(l.places, func(p *place) bool { return p.retired && len(p.old) == 0 })
	}
	l.settle(wi)
}

// settle grants the wish when every worker is live and none is leaving, or says which one fails.
func (l *Life) settle(wi *wish) {
	for _, p := range l.places {
		// A worker that had been well and died just now is no failure of what was wished, unless it goes on dying.
		if p.cur == nil && !p.retired && (!p.proved || p.deaths >= loopDeaths) {
			l.wish = nil
			l.do(Done{wi.ticket, p.last})
			return
		}
		if p.retired || len(p.old) > 0 || p.cur == nil || p.cur.state != Live {
			return
		}
	}
	l.wish = nil
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
	l.do(SetTimer{l.timers, d})
	return l.timers
}

// of returns the workers of a place.
func (p *place) of() []*worker {
	ws := make([]*worker, 0, len(p.old)+2)
	for _, w := range append([]*worker{p.cur, p.next}, p.old...) {
		if w != nil {
			ws = append(ws, w)
		}
	}
	return ws
}

func (l *Life) all() []*worker {
	var ws []*worker
	for _, p := range l.places {
		ws = append(ws, p.of()...)
	}
	return ws
}

func (l *Life) find(name string) (*place, *worker) {
	for _, p := range l.places {
		for _, w := range p.of() {
			if w.name == name {
				return p, w
			}
		}
	}
	return nil, nil
}

// Serving returns the workers as the edge should see them.
func (l *Life) Serving() []api.Worker {
	var ws []api.Worker
	for _, w := range l.all() {
		switch w.state {
		case Ready, Live:
			ws = append(ws, api.Worker{App: l.app.Name, Name: w.name, Address: w.address, State: "ready"})
		case Leaving:
			if w.address != "" {
				ws = append(ws, api.Worker{App: l.app.Name, Name: w.name, Address: w.address, State: "leaving"})
			}
		}
	}
	return ws
}

// Live returns how many workers the edge gives requests to.
func (l *Life) Live() int {
	n := 0
	for _, w := range l.all() {
		if w.state == Live {
			n++
		}
	}
	return n
}

// Status returns the app as people see it.
func (l *Life) Status() api.AppStatus {
	s := api.AppStatus{Name: l.app.Name, Workers: []api.WorkerStatus{}}
	for _, p := range l.places {
		row := api.WorkerStatus{Restarts: p.restarts, Looping: p.deaths >= loopDeaths, Last: p.last}
		if p.cur == nil && !p.retired {
			row.Name = fmt.Sprintf("%s/%d", l.app.Name, p.number)
			row.State, row.Since = Failing.String(), p.failing.UTC().Format(time.RFC3339)
			s.Workers = append(s.Workers, row)
		}
		for _, w := range p.of() {
			row.Name, row.PID, row.State = w.name, w.pid, w.state.String()
			row.Since = w.since.UTC().Format(time.RFC3339)
			s.Workers = append(s.Workers, row)
		}
	}
	return s
}
