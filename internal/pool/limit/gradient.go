package limit

import "math"

// Gradient finds how many requests at a time are good for one server, from nothing but how long they take.
//
// A server with room answers in the time that the work takes, its floor. Past its capacity more requests at a time make
// each take longer and nothing else: latency is the queue inside of it.
//
//	latency                         ╱
//	                              ╱
//	floor ───────────────────── ╱
//	                          knee            requests at a time
//
// So the limit is multiplied by floor/latency (never by more than 1), and a little room is added, in which it finds out
// whether the server can do more: past the knee it falls as fast as latency grows, below it it creeps up. The limit comes to
// rest a little above the knee. This is TCP Vegas's idea (L. Brakmo, L. Peterson, 1995), as Netflix's concurrency-limits and
// Envoy's adaptive concurrency use it for requests.
//
// The floor is what all depends on, and it changes: with the load of the database, with a release. Averages of latency
// drift upwards under lasting overload, and a minimum sinks with every lucky moment. So the floor is measured: from
// time to time the limit is halved for a moment, and what requests take then is the floor. The same is learned when the limit
// has fallen to half and latency has not: it was no queue, the work takes longer now.
//
// Not safe for concurrent use. The zero value begins at the policy's start.
type Gradient struct {
	limit  float64
	short  float64 // latency of late, in nanoseconds
	floor  float64 // latency of a server with room; 0: not known
	high   float64 // the limit when that was measured, or the highest since
	probe  int     // windows until it is measured anew; 0: it is not now
	began  int64   // of the measuring
	next   int64   // when it is measured anew
	before float64 // the limit before it was halved
}

// GradientPolicy bounds the limit. 1 ≤ Min ≤ Max.
type GradientPolicy struct{ Min, Max int }

const (
	gradientStart   = 4.0   // small: the first floor is measured with it
	tolerance       = 1.2   // of latency over the floor that is no sign of a queue: work is never of one size
	steepest        = 0.5   // a limit falls to no less than this at a time
	failing         = 0.8   // and by this when requests fail
	doubtful        = 1.4   // latency over the floor at half the limit: the floor is not right
	remeasure       = 30e9  // nanoseconds after which a floor is measured anew
	measureShare    = 20    // and so many times what that took
	gradientWindow  = 100e6 // nanoseconds: the least time between two updates
	gradientSamples = 20    // and the least number of requests
	floorSamples    = 60    // for a floor: much depends on it
	staleWindow     = 5e9   // nanoseconds after which requests say nothing of now
)

// Sample is what was seen of a server for a while. It is added up by each loop for itself. The zero value is empty.
type Sample struct {
	began  int64
	n      int     // requests that were answered
	failed int     // that were not
	logs   float64 // sum of the logarithms of their latency: what one slow report takes says little of ten quick pages
	peak   int64   // the most at a time
}

// Add adds a request that was answered after so many nanoseconds when active requests were under way, it among them.
func (s *Sample) Add(now, latency, active int64) {
	s.open(now)
	s.n++
	s.logs += math.Log(float64(max(latency, 1)))
	s.peak = max(s.peak, active)
}

// Fail adds one that was not answered.
func (s *Sample) Fail(now int64) {
	s.open(now)
	s.failed++
}

func (s *Sample) open(now int64) {
	if s.began == 0 || now-s.began > staleWindow {
		*s = Sample{began: now}
	}
}

// Due says that the sample is worth handing over.
func (s *Sample) Due(now int64) bool { return s.began != 0 && now-s.began >= gradientWindow/2 }

// Join adds what another loop saw, and empties it.
func (s *Sample) Join(o *Sample, now int64) {
	s.open(now)
	s.began = min(s.began, max(o.began, 1))
	s.n += o.n
	s.failed += o.failed
	s.logs += o.logs
	s.peak = max(s.peak, o.peak)
	*o = Sample{}
}

func (s *Sample) latency() float64 { return math.Exp(s.logs / float64(s.n)) }

// Limit returns the limit now.
func (g *Gradient) Limit(p *GradientPolicy) int64 {
	if g.limit == 0 {
		g.limit = gradientStart
	}
	return int64(min(max(g.limit, float64(p.Min)), float64(p.Max)))
}

// Update draws the conclusion from a sample when it says enough, and empties it then. It returns the limit.
func (g *Gradient) Update(p *GradientPolicy, s *Sample, now int64) int64 {
	limit := float64(g.Limit(p))
	if s.n+s.failed < gradientSamples || now-s.began < gradientWindow {
		return int64(limit)
	}
	if s.n == 0 {
		g.limit = g.bound(p, limit*failing)
		*s = Sample{}
		return g.Limit(p)
	}
	latency := s.latency()
	if float64(now-s.began) < 2*latency || g.probe == 1 && s.n < floorSamples {
		return int64(limit) // what the last update changed is not to be seen yet
	}
	if g.probe > 0 {
		g.measure(p, latency, now)
	} else {
		g.follow(p, s, latency, now)
	}
	*s = Sample{}
	return g.Limit(p)
}

// follow moves the limit with latency.
func (g *Gradient) follow(p *GradientPolicy, s *Sample, latency float64, now int64) {
	if g.floor == 0 {
		g.learn(latency, now)
		g.halve(p, now) // it may have been too much already
		return
	}
	limit := float64(g.Limit(p))
	g.short = (g.short + latency) / 2
	if g.short < g.floor {
		g.floor += (g.short - g.floor) / 8
	}
	next := limit*min(max(tolerance*g.floor/g.short, steepest), 1) + max(1, math.Sqrt(limit)/2)
	if s.failed*20 > s.n+s.failed {
		next = min(next, limit*failing)
	}
	switch peak := float64(s.peak); {
	case next > limit && peak < limit*0.9: // nobody asked for more
		next = limit
	case next < limit && peak < limit/2: // it is slow, but not because of us
		next = limit
	}
	g.limit = g.bound(p, next)
	g.high = max(g.high, g.limit)
	switch {
	case g.limit < g.high/2 && min(g.short, latency) > doubtful*g.floor:
		g.before, g.began, g.probe = g.limit, now, 1
	case now >= g.next:
		g.halve(p, now)
	}
}

// halve begins to measure the floor.
func (g *Gradient) halve(p *GradientPolicy, now int64) {
	g.before, g.began = g.limit, now
	g.limit = g.bound(p, g.limit/2)
	g.probe = 2 // the first window still has requests from before
}

// measure ends a window of measuring.
func (g *Gradient) measure(p *GradientPolicy, latency float64, now int64) {
	if g.probe--; g.probe > 0 {
		return
	}
	was := g.floor
	if latency < was*0.75 && g.limit > float64(p.Min) {
		g.learn(latency, now)
		g.halve(p, now) // there was a queue before, and there may still be one
		return
	}
	if latency < was*1.25 {
		latency = (was + latency) / 2 // the same, twice measured
	}
	g.limit = g.before
	g.learn(latency, now)
}

// learn puts another floor in force.
func (g *Gradient) learn(floor float64, now int64) {
	g.floor, g.short, g.high = floor, floor, g.limit
	g.next = now + remeasure
	if g.probe = 0; g.began != 0 {
		g.next = now + max(remeasure, measureShare*(now-g.began))
	}
	g.began = 0
}

func (g *Gradient) bound(p *GradientPolicy, limit float64) float64 {
	return min(max(limit, float64(p.Min)), float64(p.Max))
}

// Settled says that the floor is known and not being measured.
func (g *Gradient) Settled() bool { return g.floor > 0 && g.probe == 0 }
