// Package series keeps what pictures said over time: each second of the last ten minutes, and coarser the longer ago, up to a week.
// What it holds is bounded, whatever comes. It keeps nothing on disk by itself and has no clock.
package series

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/weirhq/weir/internal/picture"
)

// Names are what is kept of each subject, in this order: requests and errors a second, milliseconds, the hit ratio of the cache (0
// to 1), requests that wait, requests under way, bytes a second to clients.
var Names = []string{"rate", "errors", "p50", "p95", "p99", "hit", "queue", "active", "out"}

const numNames = 9

// point is one moment, or the mean of several. What is not known is NaN.
type point [numNames]float32

// Span is how far back something is asked for.
type Span struct {
	Name string
	Step time.Duration // between two points
	Len  int           // points
}

// Spans are the spans that are kept.
var Spans = []Span{{"10m", time.Second, 600}, {"3h", 10 * time.Second, 1080}, {"1d", time.Minute, 1440}, {"1w", 10 * time.Minute, 1008}}

// setBack is by how many seconds a clock may go back without more than a point that is too high.
const setBack = 10

// maxSubjects bounds of how many things something is kept, about 150 kB each.
const maxSubjects = 300

// Store holds the series. Any goroutine may use it.
type Store struct {
	mu       sync.Mutex
	subjects map[string]*subject
	full     int64 // when there was no room for one more, in Unix seconds: nobody makes room within the same picture
}

// subject is one thing's series.
type subject struct {
	rings [4]ring
	seen  int64 // Unix seconds
}

// ring holds points of one span.
type ring struct {
	points []point
	at     int64 // number of the newest point: Unix time divided by the step; 0: none
	sum    point // of what has come for the newest point
	n      [numNames]int32
}

// New returns an empty store.
func New() *Store { return &Store{subjects: map[string]*subject{}} }

// Look takes a picture. Without an edge nothing is known of traffic, and nothing is what it takes.
func (s *Store) Look(p *picture.Picture) {
	if !p.Edge.Up {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	at := p.At.Unix()
	queued, active := int64(0), p.Edge.Active
	for i := range p.Pools {
		queued += p.Pools[i].Queued
	}
	s.add(total, at, ofFlow(&p.Total, float64(queued), float64(active)))
	for i := range p.Sites {
		s.add("site:"+p.Sites[i].Name, at, ofFlow(&p.Sites[i].Flow, math.NaN(), math.NaN()))
	}
	for i := range p.Pools {
		o := &p.Pools[i]
		s.add("pool:"+o.Name, at, points(o.Rate, o.ErrorRate, quantile(o.P50, o.Rate), quantile(o.P95, o.Rate), quantile(o.P99, o.Rate), math.NaN(), float64(o.Queued), float64(o.Active), math.NaN()))
	}
	for i := range p.Routes {
		o := &p.Routes[i]
		s.add("route:"+o.Site+" "+o.Name, at, ofFlow(&o.Flow, math.NaN(), math.NaN()))
	}
}

// total is the name of everything.
const total = "total"

func ofFlow(f *picture.Flow, queued, active float64) point {
	hit := f.HitRatio
	if hit < 0 {
		hit = math.NaN()
	}
	return points(f.Rate, f.Errors, quantile(f.P50, f.Rate), quantile(f.P95, f.Rate), quantile(f.P99, f.Rate), hit, queued, active, f.OutRate)
}

// quantile is not known where there was no request.
func quantile(ms, rate float64) float64 {
	if ms == 0 && rate == 0 {
		return math.NaN()
	}
	return ms
}

func points(all ...float64) (p point) {
	for i, v := range all {
		p[i] = float32(v)
	}
	return p
}

// add takes a point of a subject. When there are too many subjects, one that has not been heard of for longest makes room, if it has
// not been heard of for a while.
func (s *Store) add(name string, at int64, p point) {
	o := s.subjects[name]
	if o == nil {
		if len(s.subjects) >= maxSubjects && !s.makeRoom(at) {
			return
		}
		o = &subject{}
		s.subjects[name] = o
	}
	o.seen = at
	for i := range o.rings {
		o.rings[i].add(Spans[i], at, &p)
	}
}

func (s *Store) makeRoom(now int64) bool {
	if s.full == now {
		return false
	}
	oldest, name := now-60, ""
	for n, o := range s.subjects {
		if o.seen < oldest && n != total {
			oldest, name = o.seen, n
		}
	}
	if name == "" {
		s.full = now
		return false
	}
	delete(s.subjects, name)
	return true
}

// add takes a point. Time that went back a little counts for the newest; when it went back by more, what was to come is taken away.
func (r *ring) add(s Span, at int64, p *point) {
	step := int64(s.Step / time.Second)
	n := at / step
	if r.at*step-at > setBack {
		r.goBack(n)
	}
	switch {
	case r.at == 0:
		r.at = n
		r.grow(s)
	case n > r.at:
		for range min(n-r.at, int64(s.Len)) {
			r.grow(s)
		}
		r.at = n
	}
	newest := &r.points[len(r.points)-1]
	for i, v := range p {
		if v != v {
			continue
		}
		r.sum[i] += v
		r.n[i]++
		newest[i] = r.sum[i] / float32(r.n[i])
	}
}

// goBack takes away the points after number n, and goes on with that one.
func (r *ring) goBack(n int64) {
	if r.at-n >= int64(len(r.points)) {
		*r = ring{points: r.points[:0]}
		return
	}
	r.points = r.points[:len(r.points)-int(r.at-n)]
	r.at, r.sum, r.n = n, r.points[len(r.points)-1], [numNames]int32{}
	for i, v := range r.sum {
		if v == v {
			r.n[i] = 1
		} else {
			r.sum[i] = 0
		}
	}
}

// grow begins a new point.
func (r *ring) grow(s Span) {
	nothing := point{}
	for i := range nothing {
		nothing[i] = float32(math.NaN())
	}
	if len(r.points) < s.Len {
		r.points = append(r.points, nothing)
	} else {
		copy(r.points, r.points[1:])
		r.points[len(r.points)-1] = nothing
	}
	r.sum, r.n = point{}, [numNames]int32{}
}

// Series is the answer to a question.
type Series struct {
	Of     string     `json:"of"`
	Step   int        `json:"step"`  // seconds between two points
	End    int64      `json:"end"`   // Unix time of the newest
	Names  []string   `json:"names"` // of the rows
	Values [][]Number `json:"values"`
}

// Number is written as null when it is not known.
type Number float32

// MarshalJSON writes at most four digits that count: nobody sees more.
func (n Number) MarshalJSON() ([]byte, error) {
	if n != n || math.IsInf(float64(n), 0) {
		return []byte("null"), nil
	}
	return []byte(trim(float64(n))), nil
}

func trim(v float64) string {
	if v == math.Trunc(v) && math.Abs(v) < 1e7 {
		return strconv.FormatInt(int64(v), 10)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

// Get returns a subject's series: "total", "site:NAME", "pool:NAME" or "route:SITE NAME". The error is for people.
func (s *Store) Get(of, span string) (Series, error) {
	which := -1
	var known []string
	for i, o := range Spans {
		known = append(known, o.Name)
		if o.Name == span {
			which = i
		}
	}
	if which < 0 {
		return Series{}, fmt.Errorf("span is %q: write %s", span, strings.Join(known, ", "))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.subjects[of]
	if o == nil {
		return Series{}, fmt.Errorf("nothing is known of %q: write total, site:NAME, pool:NAME or route:SITE NAME", of)
	}
	r := &o.rings[which]
	step := int(Spans[which].Step / time.Second)
	out := Series{Of: of, Step: step, End: r.at * int64(step), Names: Names}
	for i := range numNames {
		row := make([]Number, len(r.points))
		for j := range r.points {
			row[j] = Number(r.points[j][i])
		}
		out.Values = append(out.Values, row)
	}
	return out, nil
}
