// Package tally is what an edge counts of the requests of each route: plain numbers that belong to one loop each, and are copied and
// added up by whoever asks. It is data: it reads no clock, waits for nothing and knows no HTTP beyond what a journal says.
package tally

import (
	"sync"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/metrics"
)

// NumWhys is how many reasons there may be why the cache had to ask a server. What they are called is said by who counts them.
const NumWhys = 96

// Route is what one loop counted of one route. The zero value is empty.
type Route struct {
	Requests uint64
	Status   [6]uint64 // by class; [0]: nothing was sent
	In, Out  uint64    // bytes of bodies
	Retries  uint64
	Causes   [journal.NumCauses]uint64
	Cache    [journal.NumCaches]uint64
	Whys     [NumWhys]uint64 // of misses and passes
	Saved    uint64          // bytes of bodies that no server sent
	Sessions [journal.NumSessions]uint64
	Time     metrics.Histogram
	slow     [2]slow // the slowest of the present spell, and of the one before
}

// spell is how long a request that took long is remembered as the slowest: once at least, and twice at the most.
const spell = 30 * time.Second

// maxID is how much of an id is kept: of weir's own, all. A client that is believed may bring one of 128 bytes.
const maxID = 128

// slow is a request that took long.
type slow struct {
	took  time.Duration // 0: there is none
	at    int64         // Unix milliseconds, of its end
	since time.Time     // when the spell began
	trace [16]byte      // zero: none
	n     uint8
	id    [maxID]byte
}

// Ended counts a request that has ended, by its journal; took is how long it was under way, now the wall clock. The id and the
// trace (zero: none) are copied where they are kept.
func (r *Route) Ended(j *journal.Journal, took time.Duration, now time.Time, id []byte, trace *[16]byte) {
	r.Requests++
	r.Status[class(j.Status)]++
	r.In += uint64(j.In)
	r.Out += uint64(j.Out)
	r.Retries += uint64(j.Retries)
	r.Causes[j.Cause]++
	r.Sessions[j.Session]++
	r.Time.Observe(took)
	if s := &r.slow[0]; took > s.took || now.Sub(s.since) > spell {
		r.remember(took, now, id, trace)
	}
}

// Cached counts what the cache did for a request, and bytes that it saved.
func (r *Route) Cached(did journal.Cache, saved int64) {
	r.Cache[did]++
	r.Saved += uint64(saved)
}

// Asked counts why the cache had to ask.
func (r *Route) Asked(why int) { r.Whys[why]++ }

func class(status int) int {
	if status < 0 || status >= 600 {
		return 5
	}
	return status / 100
}

// remember makes a request the slowest.
func (r *Route) remember(took time.Duration, now time.Time, id []byte, trace *[16]byte) {
	s := &r.slow[0]
	if now.Sub(s.since) > spell {
		if r.slow[1] = *s; now.Sub(s.since) > 2*spell {
			r.slow[1] = slow{} // nothing came for so long
		}
		s.since = now
	}
	s.took, s.at, s.trace = took, now.UnixMilli(), [16]byte{}
	if trace != nil {
		s.trace = *trace
	}
	s.n = uint8(copy(s.id[:], id))
}

// Slowest returns the request that took longest of late, nil if there was none.
func (r *Route) Slowest() *api.Exemplar {
	s := &r.slow[0]
	if r.slow[1].took > s.took {
		s = &r.slow[1]
	}
	if s.took <= 0 {
		return nil
	}
	e := &api.Exemplar{ID: string(s.id[:s.n]), At: s.at, Took: s.took.Seconds()}
	if s.trace != [16]byte{} {
		e.Trace = hexText(s.trace[:])
	}
	return e
}

func hexText(b []byte) string {
	const digits = "0123456789abcdef"
	text := make([]byte, 0, 32)
	for _, c := range b {
		text = append(text, digits[c>>4], digits[c&15])
	}
	return string(text)
}

// AddTo adds what was counted to what a route is told to have counted. word is what a why is called.
func (r *Route) AddTo(c *api.RouteCounters, word func(why int) string) {
	c.Requests += r.Requests
	for i, n := range r.Status {
		c.Status[i] += n
	}
	c.In += r.In
	c.Out += r.Out
	c.Retries += r.Retries
	for i, n := range r.Causes[1:] {
		AddKind(&c.Causes, journal.Cause(i+1).String(), n)
	}
	for i, n := range r.Cache {
		c.Cache[i] += n
	}
	for i, n := range r.Whys {
		if n > 0 {
			AddKind(&c.Whys, word(i), n)
		}
	}
	c.Saved += r.Saved
	for i, n := range r.Sessions {
		c.Sessions[i] += n
	}
	c.Time.Add(&r.Time)
	if e := r.Slowest(); e != nil && (c.Slow == nil || e.Took > c.Slow.Took) {
		c.Slow = e
	}
}

// AddKind adds n of a kind, if there are any.
func AddKind(to *map[string]uint64, kind string, n uint64) {
	if n == 0 {
		return
	}
	if *to == nil {
		*to = map[string]uint64{}
	}
	(*to)[kind] += n
}

// Sheet is what one loop counted, by the numbers of routes.
type Sheet struct {
	routes []*Route
	None   Route // requests for which no route was found
}

// Route is where a route is counted. It is made when it is asked for the first time.
func (s *Sheet) Route(number int) *Route {
	if number < len(s.routes) {
		if r := s.routes[number]; r != nil {
			return r
		}
	}
	return s.more(number)
}

func (s *Sheet) more(number int) *Route {
	for number >= len(s.routes) { // after a reload
		s.routes = append(s.routes, nil)
	}
	s.routes[number] = &Route{}
	return s.routes[number]
}

// Look returns where a route is counted, nil if nothing was.
func (s *Sheet) Look(number int) *Route {
	if number < len(s.routes) {
		return s.routes[number]
	}
	return nil
}

// Names gives each route a number, by its site and its own name, for good: what goes and comes back goes on where it was. Its methods
// may be called from any goroutine.
type Names struct {
	mu      sync.Mutex
	numbers map[[2]string]int
}

// Number returns the number of a route.
func (n *Names) Number(site, route string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.numbers == nil {
		n.numbers = map[[2]string]int{}
	}
	key := [2]string{site, route}
	number, ok := n.numbers[key]
	if !ok {
		number = len(n.numbers)
		n.numbers[key] = number
	}
	return number
}
