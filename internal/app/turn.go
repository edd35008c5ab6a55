package app

import (
	"fmt"
	"math"
	"time"
)

// turns lets the budget decide, and does it: see Budget.
func (l *Life) turns() {
	places, b := l.budget()
	for i, p := range places {
		if w := p.cur; w != nil && (w.due == Unwell || w.due == Overran) && w.state == Live && b.Withdraw(i) {
			l.withdraw(p)
			b.Seats[i] = p.seat()
		}
	}
	for _, i := range b.Turns() {
		l.exchange(places[i], b.Seats[i].Wants)
	}
}

// budget shows the budget every place that is to have a worker, and those that are too many but not done with.
func (l *Life) budget() ([]*place, Budget) {
	var places []*place
	for _, p := range l.places {
		if !p.retired && (p.number <= l.size || p.turn != NoReason) {
			places = append(places, p)
		}
	}
	b := Budget{AtOnce: atOnce(l.app.Reload.AtOnce, l.app.Reload.Share, l.size)}
	for _, p := range places {
		b.Seats = append(b.Seats, p.seat())
	}
	return places, b
}

// atOnce is how many of so many workers may be away.
func atOnce(number, share, workers int) int {
	if number == 0 {
		number = (workers*share + 99) / 100
	}
	return max(number, 1)
}

func (p *place) seat() Seat {
	s := Seat{Gone: p.cur == nil || p.cur.state != Live, Turn: p.turn}
	if !s.Gone {
		s.Good = p.cur.due != Unwell && p.cur.due != Overran
		if p.pause == 0 {
			s.Wants = p.cur.due
		}
	}
	if p.renew && (s.Wants == NoReason || s.Wants > Renewal) {
		s.Wants = Renewal
	}
	return s
}

// exchange starts a worker that is to take a place over once it is ready.
func (l *Life) exchange(p *place, why Reason) {
	p.turn = why
	from := l.app
	if why == Renewal {
		p.renew = false
		from = l.wish.app
	} else {
		l.say(Info, "%s is being replaced: %s", p.cur.name, p.cur.dueWhy)
	}
	p.backoff = 0 // its own next start, if it had died
	p.next = l.spawn(p, from)
}

// withdraw takes a worker that hangs away at once and starts another in its place.
func (l *Life) withdraw(p *place) {
	w := p.cur
	l.say(Warn, "%s gets no more requests and is replaced: %s", w.name, w.dueWhy)
	p.old = append(p.old, w)
	p.last = w.name + " was replaced: " + w.dueWhy
	l.leave(w)
	p.cur = nil
	p.restarts++
	if p.next != nil { // its successor is on its way already
		p.failing = l.now
		return
	}
	p.cur = l.spawn(p, l.app)
}

// missed ends the turn of a place whose coming worker failed.
func (l *Life) missed(p *place) {
	if p.turn == Renewal {
		l.abort(p.last, p.lines)
		l.resume(p)
		return
	}
	p.misses++
	if p.cur == nil {
		l.resume(p)
		return
	}
	wait := backoff(l.app.Backoff, p.misses)
	p.pause = l.after(wait)
	l.say(Warn, "%s stays for now, its successor failed: %s; next try in %v", p.cur.name, p.last, wait)
}

// resume plans the next start in a place that lost its worker while its successor was coming.
func (l *Life) resume(p *place) {
	if p.cur != nil || p.retired || p.backoff != 0 {
		return
	}
	p.deaths++
	p.failing = l.now
	p.backoff = l.after(backoff(l.app.Backoff, p.deaths))
}

// shrink lets go of workers that are more than wanted: what does not serve at once, the others when all that stay are well.
func (l *Life) shrink() {
	_, b := l.budget()
	for _, p := range l.places {
		if p.retired || p.number <= l.size {
			continue
		}
		if s := p.seat(); s.Gone || b.Spare() {
			l.retire(p)
		}
	}
	l.sweep()
}

// measured looks whether a worker has done or taken enough.
func (l *Life) measured(w *worker, m Measured) {
	r := w.app.Recycle
	w.requests, w.memory = max(w.requests, m.Requests), max(m.Memory, 0)
	if limit := r.Memory; limit > 0 && m.Memory >= early(w, limit) {
		l.wants(w, TooLarge, fmt.Sprintf("it takes %d MiB of memory", m.Memory>>20))
	}
	if limit := r.AfterRequests; limit > 0 && m.Requests >= early(w, limit) {
		l.wants(w, TooMany, fmt.Sprintf("it has answered %d requests", m.Requests))
	}
}

// wants notes why a worker is to be replaced, unless there is a better reason already.
func (l *Life) wants(w *worker, why Reason, words string) {
	if w.due == NoReason || why < w.due {
		w.due, w.dueWhy = why, words
	}
}

// unwell takes it that a worker hangs. Those that leave are not waited for then: what they have is better off elsewhere.
func (l *Life) unwell(p *place, w *worker, why string) {
	switch {
	case p.cur == w && w.state == Live:
		l.wants(w, Unwell, "it "+why)
	case w.state == Leaving && !w.told:
		l.wants(w, Unwell, "it "+why)
		l.say(Warn, "%s leaves, and is not waited for: it %s", w.name, why)
		l.tell(w)
	}
}

// patience is how long a worker may take for what it is doing before it is told to stop, and for its end after that. One
// that hangs has little: those who wait at it have better chances elsewhere.
func (w *worker) patience() time.Duration {
	within := w.app.Stop.Within
	switch w.due {
	case Unwell:
		return min(within, w.app.Alive.Timeout)
	case Overran:
		return min(within, w.app.RequestTimeout/2)
	}
	return within
}

// early takes up to Recycle.Jitter off a limit. Which part is the worker's own: the multiples of the golden ratio lie far apart
// from each other in any row of places, so workers that were started together do not go together.
func early[N int64 | time.Duration](w *worker, limit N) N {
	const golden, plastic = 0.6180339887498949, 0.7548776662466927
	_, part := math.Modf(float64(w.number)*golden + float64(w.gen)*plastic)
	return limit - N(float64(limit)*part*float64(w.app.Recycle.Jitter)/100)
}
