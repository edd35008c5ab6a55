package series

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/picture"
)

func at(second int64, rate float64) *picture.Picture {
	f := picture.Flow{Rate: rate, P95: 2 * rate, HitRatio: -1}
	return &picture.Picture{At: time.Unix(second, 0), Edge: picture.Edge{Up: true}, Total: f,
		Sites: []picture.Site{{Name: "a.example", Flow: f}}, Pools: []picture.Pool{{Name: "web", Rate: rate, Queued: 3}}, Routes: []picture.Route{{Site: "a.example", Name: "all", Flow: f}}}
}

// row returns one row of a series.
func row(t *testing.T, s *Store, of, span, name string) []Number {
	t.Helper()
	got, err := s.Get(of, span)
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range got.Names {
		if n == name {
			return got.Values[i]
		}
	}
	t.Fatalf("no row %s", name)
	return nil
}

// TestSpans: seconds as they were, and means of them over longer spans.
func TestSpans(t *testing.T) {
	s := New()
	const begin = 1_800_000_000
	for i := range int64(7200) {
		s.Look(at(begin+i, float64(i)))
	}
	for _, c := range []struct {
		of, span, name string
		len            int
		last           float64
	}{
		{"total", "10m", "rate", 600, 7199},
		{"total", "10m", "p95", 600, 2 * 7199},
		{"total", "3h", "rate", 720, 7194.5},
		{"site:a.example", "1d", "rate", 120, 7169.5},
		{"route:a.example all", "1w", "rate", 12, 6899.5},
		{"pool:web", "3h", "queue", 720, 3},
		{"total", "3h", "queue", 720, 3},
	} {
		r := row(t, s, c.of, c.span, c.name)
		if len(r) != c.len || math.Abs(float64(r[len(r)-1])-c.last) > 0.6 {
			t.Errorf("%s of %s over %s: %d values, the last is %v; want %d, %v", c.name, c.of, c.span, len(r), r[len(r)-1], c.len, c.last)
		}
	}
	if r := row(t, s, "total", "10m", "hit"); r[0] == r[0] {
		t.Errorf("a hit ratio that nobody knows is %v", r[0])
	}
}

// TestGaps: what was not seen is not known, a clock that is set back disturbs nothing, and a long sleep costs no more than the span.
func TestGaps(t *testing.T) {
	s := New()
	const begin = 1_800_000_000
	s.Look(at(begin, 1))
	s.Look(at(begin+3, 2))
	s.Look(at(begin+1, 4)) // counts for the newest
	r := row(t, s, "total", "10m", "rate")
	if len(r) != 4 || r[0] != 1 || r[1] == r[1] || r[2] == r[2] || r[3] != 3 {
		t.Errorf("got %v", r)
	}
	s.Look(at(begin+2-100, 5)) // it was wrong until then, by more than the ten minutes know
	if r = row(t, s, "total", "10m", "rate"); len(r) != 1 || r[0] != 5 {
		t.Errorf("a clock that was set back by 100 s: %v", r)
	}
	for i := range int64(100) {
		s.Look(at(begin-98+i, 5))
	}
	s.Look(at(begin+500, 9)) // which was wrong again
	s.Look(at(begin-50, 6))
	if r = row(t, s, "total", "10m", "rate"); len(r) != 49 || r[47] != 5 || r[48] != 5.5 {
		t.Errorf("a clock that was set back into what is known: %d values, %v", len(r), r)
	}
	if r = row(t, s, "total", "3h", "rate"); len(r) > 7 || r[len(r)-1] == r[len(r)-1] && r[len(r)-1] > 9 {
		t.Errorf("over three hours: %d values, %v", len(r), r)
	}
	s.Look(at(begin+1_000_000, 7))
	r = row(t, s, "total", "10m", "rate")
	if len(r) != 600 || r[599] != 7 || r[598] == r[598] {
		t.Errorf("after a long sleep: %d values, the last are %v", len(r), r[590:])
	}
	down := at(begin+1_000_001, 9)
	down.Edge.Up = false
	s.Look(down)
	if r = row(t, s, "total", "10m", "rate"); r[len(r)-1] != 7 {
		t.Errorf("without an edge there is a rate of %v", r[len(r)-1])
	}
}

// TestBounded: no more subjects than there is room for; new ones take the place of those that are no more.
func TestBounded(t *testing.T) {
	s := New()
	p := at(1_800_000_000, 1)
	for i := range 1000 {
		p.Routes = append(p.Routes, picture.Route{Site: "a.example", Name: fmt.Sprint(i)})
	}
	s.Look(p)
	if len(s.subjects) > maxSubjects {
		t.Fatalf("%d subjects", len(s.subjects))
	}
	later := at(1_800_000_100, 1)
	later.Pools = append(later.Pools, picture.Pool{Name: "new"})
	s.Look(later)
	if _, err := s.Get("pool:new", "10m"); err != nil {
		t.Error(err)
	}
	if _, err := s.Get("total", "10m"); err != nil {
		t.Error(err)
	}
}

// TestWithoutEdge: nothing is known of the time in which nobody tells of traffic, neither of all nor of a pool, and when it is over everything
// goes on, though there is no room for all that wants some.
func TestWithoutEdge(t *testing.T) {
	s := New()
	const begin = 1_800_000_000
	many := func(second int64, up bool) *picture.Picture {
		p := at(second, 7)
		p.Edge.Up = up
		for i := range 2 * maxSubjects {
			p.Routes = append(p.Routes, picture.Route{Site: "a.example", Name: fmt.Sprint(i)})
		}
		return p
	}
	for i := range int64(300) {
		s.Look(many(begin+i, i < 100 || i >= 200))
	}
	for _, of := range []string{"total", "pool:web", "site:a.example"} {
		r := row(t, s, of, "10m", "rate")
		if len(r) != 300 || r[99] != 7 || r[100] == r[100] || r[199] == r[199] || r[200] != 7 {
			t.Errorf("of %s there are %d values: %v", of, len(r), r)
		}
	}
}

// TestTotalStays: whatever wants room, the series of everything is not what makes it.
func TestTotalStays(t *testing.T) {
	s := New()
	p := at(1_800_000_000, 1)
	s.Look(p)
	for i := range maxSubjects - len(s.subjects) {
		s.add(fmt.Sprint(i), p.At.Unix()+1000, point{})
	}
	s.add("one more", p.At.Unix()+1001, point{})
	if _, err := s.Get("total", "10m"); err != nil {
		t.Error(err)
	}
}

func TestQuestions(t *testing.T) {
	s := New()
	s.Look(at(1_800_000_000, 1.23456))
	for _, q := range [][2]string{{"total", "2h"}, {"pool:nothing", "10m"}, {"", ""}} {
		if _, err := s.Get(q[0], q[1]); err == nil || !strings.Contains(err.Error(), "write") {
			t.Errorf("%v: %v", q, err)
		}
	}
	got, err := s.Get("total", "10m")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(got)
	if err != nil || !strings.Contains(string(text), "1.235") || !strings.Contains(string(text), "null") {
		t.Errorf("%s, %v", text, err)
	}
	for n, want := range map[Number]string{0: "0", 1: "1", 1e6: "1000000", 123456.7: "1.235e+05", 0.00012346: "0.0001235", -2.5: "-2.5", 1e12: "1e+12"} {
		if got, err := json.Marshal(n); err != nil || string(got) != want {
			t.Errorf("%v is written %s, %v; want %s", float32(n), got, err, want)
		}
	}
}

func BenchmarkLook(b *testing.B) {
	s := New()
	p := at(1_800_000_000, 1)
	for i := range 1000 { // of which most find no room
		p.Routes = append(p.Routes, picture.Route{Site: "a.example", Name: fmt.Sprint(i)})
	}
	for b.Loop() {
		p.At = p.At.Add(time.Second)
		s.Look(p)
	}
}
