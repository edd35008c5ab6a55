package alert

import (
	"math"
	"time"
)

const (
	markEvery  = 10 * time.Second
	short      = time.Minute      // over which rates and errors are told
	long       = 10 * time.Minute // and hit ratios
	fewErrors  = 20               // requests: of fewer, a share of errors says nothing
	fewHits    = 100              // likewise of a hit ratio
	rateMemory = time.Hour        // in which a rate of long ago is forgotten
	hitMemory  = 6 * time.Hour
	rateLearns = 30 * time.Minute // before which nothing is expected
	hitLearns  = time.Hour
	slower     = 24 // as much more slowly is learned while it is not as expected
)

// totals are numbers of requests that only grow.
type totals struct{ requests, errors, could, hits float64 }

type mark struct {
	at time.Time
	totals
}

// window remembers totals of one thing, and what is usual for it.
type window struct {
	marks []mark // the oldest first, one each markEvery
	now   mark
	seen  bool // in this picture
	usual Usual
	sum   totals // of what is told as rates only
}

// Usual is what is learned of one thing, and outlives the process.
type Usual struct {
	Rate    float64       `json:"rate"` // requests a second
	Hits    float64       `json:"hits"` // hit ratio
	RateFor time.Duration `json:"rate_for"`
	HitsFor time.Duration `json:"hits_for"`
}

// look notes totals of now. odd says that it is not as usual.
func (w *window) look(at time.Time, t totals) {
	w.now, w.seen = mark{at, t}, true
	n := len(w.marks)
	if n > 0 && (t.requests < w.marks[n-1].requests || at.Before(w.marks[n-1].at)) {
		w.marks, n = nil, 0 // they were begun anew
	}
	if n > 0 && at.Sub(w.marks[n-1].at) < markEvery {
		return
	}
	if n > 0 {
		w.learn(at.Sub(w.marks[n-1].at), t.requests-w.marks[n-1].requests)
	}
	w.marks = append(w.marks, w.now)
	for len(w.marks) > 1 && at.Sub(w.marks[1].at) >= long {
		w.marks = w.marks[1:]
	}
}

// learn takes what was in a time for usual, a little.
func (w *window) learn(d time.Duration, requests float64) {
	if d > 10*markEvery {
		return // nobody looked
	}
	u := &w.usual
	part := math.Min(d.Seconds()/rateMemory.Seconds(), 1)
	if u.RateFor < rateMemory { // what it knows is an average of all that it has seen
		part = d.Seconds() / (u.RateFor + d).Seconds()
	} else if requests == 0 {
		part /= slower
	}
	u.Rate += part * (requests/d.Seconds() - u.Rate)
	u.RateFor = min(u.RateFor+d, rateMemory)
	ratio := w.hitRatio()
	if math.IsNaN(ratio) {
		return
	}
	part = d.Seconds() / hitMemory.Seconds()
	if u.HitsFor < hitLearns {
		part = d.Seconds() / (u.HitsFor + d).Seconds()
	} else if ratio < u.Hits-0.1 {
		part /= slower
	}
	u.Hits += part * (ratio - u.Hits)
	u.HitsFor = min(u.HitsFor+d, hitLearns)
}

// since returns what there was in the last time of at least d, and how long that was; 0 when less is known than half of it.
func (w *window) since(d time.Duration) (totals, time.Duration) {
	var from *mark
	for i := len(w.marks) - 1; i >= 0; i-- {
		from = &w.marks[i]
		if w.now.at.Sub(from.at) >= d {
			break
		}
	}
	if from == nil {
		return totals{}, 0
	}
	took := w.now.at.Sub(from.at)
	if took < d/2 {
		return totals{}, 0
	}
	a, b := w.now.totals, from.totals
	return totals{a.requests - b.requests, a.errors - b.errors, a.could - b.could, a.hits - b.hits}, took
}

// rate is requests a second over the last minute.
func (w *window) rate() float64 {
	t, d := w.since(short)
	if d == 0 {
		return math.NaN()
	}
	return t.requests / d.Seconds()
}

// errors is the share of errors in the last minute; not a number when there were too few requests.
func (w *window) errors() float64 {
	t, d := w.since(short)
	if d == 0 || t.requests < fewErrors {
		return math.NaN()
	}
	return math.Min(t.errors/t.requests, 1)
}

func (w *window) hitRatio() float64 {
	t, d := w.since(long)
	if d == 0 || t.could < fewHits {
		return math.NaN()
	}
	return t.hits / t.could
}

// add adds rates of a second to totals, for things that tell no others.
func (w *window) add(at time.Time, requests uint64, errorRate float64) totals {
	if d := at.Sub(w.now.at).Seconds(); !w.now.at.IsZero() && d > 0 && d < 10 {
		w.sum.errors += errorRate * d
	}
	w.sum.requests = float64(requests)
	return w.sum
}
