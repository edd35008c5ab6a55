package app

import (
	"fmt"
	"slices"
	"time"

	"github.com/weirhq/weir/internal/config"
)

func (l *Life) spawn(p *place, a *config.App) *worker {
	l.used[p.number]++
	gen := l.used[p.number]
	w := &worker{name: fmt.Sprintf("%s/%d.%d", a.Name, p.number, gen), app: a, since: l.now, number: p.number, gen: gen}
	p.failing, p.backoff = time.Time{}, 0
	if l.wish != nil && l.wish.app == a {
		p.renew = false // whatever the reason, it is as new as was wished for
	}
	w.heir = p.takeHeir(a)
	l.do(Spawn{w.name, p.number, gen, a, w.heir})
	return w
}

// ages plans the end of a worker that has just become live, or whose age may be another now.
func (l *Life) ages(w *worker) {
	w.age = 0
	if w.app.Recycle.Age > 0 {
		w.age = l.after(max(early(w, w.app.Recycle.Age)-l.now.Sub(w.since), time.Second))
	}
}

// takeHeir returns the dead worker of the place whose socket the next one takes over, once.
func (p *place) takeHeir(a *config.App) string {
	heir := p.heir
	p.heir = ""
	if !a.Handed {
		return ""
	}
	return heir
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
		l.ages(w)
		if p.next == w {
			l.promote(p)
		}
		l.say(Info, "%s is live", w.name)
	case w.state == Leaving && s == Leaving && !w.told && !w.drained:
		w.drained = true
		l.do(Drain{w.name, w.patience()})
	}
}

// promote makes the coming worker the one that serves, and the other leave: it is announced that one is ready before
// it is announced that the other is leaving, so there is no moment without a worker.
func (l *Life) promote(p *place) {
	old := p.cur
	p.cur, p.next = p.next, nil
	p.deaths, p.last, p.lines = 0, "", nil // those of its predecessors
	p.misses = 0
	if l.wish != nil && p.turn == Renewal {
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
	w.kill = l.after(w.patience())
}

func (l *Life) exited(p *place, w *worker, how, words string, lines []string) {
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
		p.last, p.lines = w.name+" "+how, lines
		l.missed(p)
	case p.cur == w:
		p.cur = nil
		if l.killed { // as it was to be, and it has no successor
			l.say(Info, "%s is gone", w.name)
			return
		}
		l.died(p, w, was, how, lines)
	default:
		p.old = slices.DeleteFunc(p.old, func(o *worker) bool { return o == w })
		l.say(Info, "%s is gone", w.name)
	}
}

// died counts the death of a place's worker and plans the next start.
func (l *Life) died(p *place, w *worker, was State, how string, lines []string) {
	if was == Live && w.well == 0 {
		p.deaths = 0 // it had been well
	}
	p.deaths++
	p.last, p.lines, p.failing = w.name+" "+how, lines, l.now
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
	if w.app.Handed && (p.deaths < loopDeaths || was == Live) {
		p.heir = w.name // whoever waits at its socket is served by the next one
	}
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
		if p.pause == id {
			p.pause = 0
			return
		}
		if p.cur != nil && p.cur.age == id {
			p.cur.age = 0
			l.wants(p.cur, TooOld, fmt.Sprintf("it is %v old", l.now.Sub(p.cur.since).Round(time.Second)))
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
			l.say(Warn, "%s did not stop within %v of SIG%s: it is killed", w.name, w.patience(), w.app.Stop.Signal)
			l.do(Signal{w.name, "KILL"})
			return
		}
	}
}
