package balance

import "sync/atomic"

// Places is how many requests are under way at one server and whether it takes more, in one word, so that a place is
// taken and the server found open in the same step. All loops share it; it lies alone on its cache lines.
//
// A server is open, down (a connection failed; it rests), on trial (one request may try it again, and by taking the
// place it makes the server down for the others until it is known how that went), or shut (it leaves: no place is
// ever given again, so that a count of 0 is final). Besides, it may be barred (nobody gets a place, not even where all
// others are down too) or draining (only who has a session there does).
// It may have a limit of its own, which comes before the pool's.
type Places struct {
	_       [64]byte
	w       atomic.Uint64
	share   atomic.Int32 // thousandths of the configured weight, less 1000: the zero value is the whole weight
	latency atomic.Int64 // moving average in nanoseconds, 0: nothing is known
	_       [104]byte
}

// maxShare is how many thousandths of its weight a server may have.
const maxShare = 1_000_000

// SetShare says how much of its configured weight the server has, in thousandths. 0: no request is balanced to it.
func (p *Places) SetShare(thousandths int) {
	p.share.Store(int32(min(max(thousandths, 0), maxShare)) - 1000)
}

// Share returns how much of its configured weight the server has, in thousandths.
func (p *Places) Share() int { return int(p.share.Load()) + 1000 }

// weigh is a weight's effective part, in thousandths.
func (p *Places) weigh(weight uint64) uint64 { return weight * uint64(p.share.Load()+1000) }

// Observe takes a response's latency in nanoseconds into the moving average, an eighth of which it makes up. Of
// observations made at the same time one may be lost: it is an average.
func (p *Places) Observe(ns int64) {
	old := p.latency.Load()
	if old == 0 {
		p.latency.Store(max(ns, 1))
		return
	}
	p.latency.Store(max(old+(ns-old)/8, 1))
}

// Latency returns the moving average in nanoseconds, 0 when nothing is known.
func (p *Places) Latency() int64 { return p.latency.Load() }

// word is flags above a limit above a count.
type word uint64

const (
	down  word = 1 << 62
	trial word = 1 << 61
	shut  word = 1 << 60

	barred   word = 1 << 59
	draining word = 1 << 58
	closed        = down | shut | barred | draining

	count word = 1<<32 - 1

	ownShift      = 32
	own      word = (1<<20 - 1) << ownShift
)

// MaxOwn is the highest limit of a server's own.
const MaxOwn = int64(own >> ownShift)

func (w word) active() int64 { return int64(w & count) }

func (w word) free(limit int64, any bool) bool {
	if !w.takes(any) {
		return false
	}
	if w&own != 0 {
		limit = int64(w & own >> ownShift)
	}
	return limit <= 0 || w.active() < limit
}

func (w word) takes(any bool) bool { return w&closed == 0 || any && w&closed == down }

func (p *Places) load() word { return word(p.w.Load()) }

// Active returns the number of places taken.
func (p *Places) Active() int64 { return p.load().active() }

// Open says that the server takes requests, if a place is free.
func (p *Places) Open() bool { return p.load()&closed == 0 }

// Takes is Open; any passes over down.
func (p *Places) Takes(any bool) bool { return p.load().takes(any) }

// Keeps says that the server takes requests of those who have a session there, if a place is free.
func (p *Places) Keeps() bool { return (p.load() &^ draining).takes(false) }

// IsShut says that the server leaves.
func (p *Places) IsShut() bool { return p.load()&shut != 0 }

// Take takes a place if there is one below the limit (0: no limit) and the server is open; any passes over down.
// onTrial tells the taker that it alone tries the server out: it must see to it that Up, Down or Trial follows.
func (p *Places) Take(limit int64, any bool) (ok, onTrial bool) { return p.take(0, limit, any) }

// TakeKept is Take for who has a session at the server: draining does not hinder it.
func (p *Places) TakeKept(limit int64) (ok, onTrial bool) { return p.take(draining, limit, false) }

func (p *Places) take(pass word, limit int64, any bool) (ok, onTrial bool) {
	for {
		old := p.load()
		if !(old &^ pass).free(limit, any) {
			return false, false
		}
		w := old + 1
		if old&trial != 0 {
			w = w&^trial | down
		}
		if p.w.CompareAndSwap(uint64(old), uint64(w)) {
			return true, old&trial != 0
		}
	}
}

// Leave gives a place back. last is true when the server is shut and nobody is left. A place that was never taken
// is a broken invariant, and a panic.
func (p *Places) Leave() (last bool) {
	w := word(p.w.Add(^uint64(0)))
	if w&count == count {
		panic("balance: a place was given back twice")
	}
	return w&shut != 0 && w&count == 0
}

// Down closes the server until Trial or Up.
func (p *Places) Down() { p.set(down, trial) }

// Trial lets one request try the server. It does nothing to a server that is not down.
func (p *Places) Trial() {
	for {
		old := p.load()
		if old&down == 0 || p.w.CompareAndSwap(uint64(old), uint64(old&^down|trial)) {
			return
		}
	}
}

// Up opens the server.
func (p *Places) Up() { p.set(0, down|trial) }

// Bar says whether the server is barred, and whether it drains.
func (p *Places) Bar(bar, drain bool) {
	var on word
	if bar {
		on |= barred
	}
	if drain {
		on |= draining
	}
	p.set(on, (barred|draining)&^on)
}

// Shut ends the giving of places; left is how many are still taken.
func (p *Places) Shut() (left int64) { return p.set(shut, 0).active() }

// SetOwn gives the server a limit of its own, up to MaxOwn; 0: the pool's counts again. What is taken beyond it stays taken.
// Who raises it looks at who waits afterwards, like one who leaves.
func (p *Places) SetOwn(limit int64) { p.set(word(min(max(limit, 0), MaxOwn))<<ownShift, own) }

// Own returns the limit of its own, 0 when there is none.
func (p *Places) Own() int64 { return int64(p.load() & own >> ownShift) }

// Reopen undoes Shut.
func (p *Places) Reopen() { p.set(0, shut) }

func (p *Places) set(on, off word) word {
	for {
		old := p.load()
		w := old&^off | on
		if p.w.CompareAndSwap(uint64(old), uint64(w)) {
			return w
		}
	}
}
