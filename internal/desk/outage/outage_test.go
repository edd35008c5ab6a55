package outage

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/picture"
)

// watch is somebody who looks once a second at one site with one pool, or two.
type watch struct {
	t    *testing.T
	book *Book
	at   time.Time
	p    picture.Picture
	rate float64
	bad  float64
	sums [2]float64
}

func newWatch(t *testing.T, at string) *watch {
	t.Helper()
	begin, err := time.Parse("2006-01-02 15:04:05", at)
	if err != nil {
		t.Fatal(err)
	}
	w := &watch{t: t, book: New(Saved{}, 0.5), at: begin}
	w.p.Edge.Up = true
	w.p.Sites = []picture.Site{{Name: "www"}}
	w.p.Routes = []picture.Route{{Site: "www", Name: "a", Pool: "web"}}
	w.p.Pools = []picture.Pool{{Name: "web", State: "up"}, {Name: "api", State: "up"}}
	return w
}

func (w *watch) look(d time.Duration) {
	for end := w.at.Add(d); w.at.Before(end); {
		w.at = w.at.Add(time.Second)
		if w.p.Edge.Up {
			w.sums[0] += w.rate
			w.sums[1] += w.rate * w.bad
		}
		p := w.p
		p.At = w.at
		p.Sites = append([]picture.Site{}, p.Sites...)
		for i := range p.Sites {
			f := &p.Sites[i].Flow
			f.Requests, f.Status[5] = uint64(w.sums[0]), uint64(w.sums[1])
			f.Status[2] = f.Requests - f.Status[5]
		}
		w.book.Look(&p)
	}
}

// restart has another process go on with the book after a time.
func (w *watch) restart(after time.Duration) {
	text, err := json.Marshal(w.book.Save())
	if err != nil {
		w.t.Fatal(err)
	}
	var s Saved
	if err := json.Unmarshal(text, &s); err != nil {
		w.t.Fatal(err)
	}
	w.book = New(s, 0.5)
	w.at = w.at.Add(after)
}

// want holds a site's month against a line: seconds down, and its outages.
func (w *watch) want(month, want string) {
	w.t.Helper()
	r := w.book.Report(month, nil)
	got := "nothing"
	for _, s := range r.Sites {
		if s.Name != "www" {
			continue
		}
		var all []string
		for _, o := range s.List {
			line := o.Begin.Format("15:04:05") + "-"
			if !o.End.IsZero() {
				line += o.End.Format("15:04:05")
			}
			if o.Open {
				line += "?"
			}
			all = append(all, line+" "+o.Cause)
		}
		got = fmt.Sprintf("%.0f in %d: %s", s.Down, s.Count, strings.Join(all, "; "))
	}
	if r.Unseen > 0 {
		got += fmt.Sprintf(", unseen %.0f", r.Unseen)
	}
	if got != want {
		w.t.Errorf("%s\nis\n%s\nwant\n%s", month, got, want)
	}
}

func TestWhatIsDown(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(w *watch)
		want string
	}{
		{"all is well", func(w *watch) { w.rate = 10; w.look(time.Hour) }, "0 in 0: "},
		{"the edge is away for a moment", func(w *watch) {
			w.look(time.Minute)
			w.p.Edge.Up = false
			w.look(4 * time.Second)
			w.p.Edge.Up = true
			w.look(time.Minute)
		}, "0 in 0: "},
		{"the edge is away", func(w *watch) {
			w.look(time.Minute)
			w.p.Edge.Up = false
			w.look(90 * time.Second)
			w.p.Edge.Up = true
			w.look(time.Minute)
		}, "90 in 1: 12:01:01-12:02:31 the process that serves did not answer"},
		{"its pool is down", func(w *watch) {
			w.look(time.Minute)
			w.p.Pools[0].State = "down"
			w.look(90 * time.Second)
			w.p.Pools[0].State = "degraded"
			w.look(time.Minute)
		}, "90 in 1: 12:01:01-12:02:31 the pool web was down"},
		{"its pool is down, and the cache answers", func(w *watch) {
			w.rate = 10
			w.look(2 * time.Minute)
			w.p.Pools[0].State = "down"
			w.look(90 * time.Second)
		}, "0 in 0: "},
		{"one of its two pools is down", func(w *watch) {
			w.p.Routes = append(w.p.Routes, picture.Route{Site: "www", Name: "b", Pool: "api"})
			w.p.Pools[0].State = "down"
			w.look(time.Minute)
		}, "0 in 0: "},
		{"both are", func(w *watch) {
			w.p.Routes = append(w.p.Routes, picture.Route{Site: "www", Name: "b", Pool: "api"})
			w.p.Pools[0].State, w.p.Pools[1].State = "down", "down"
			w.look(time.Minute)
		}, "59 in 1: 12:00:01- all its pools were down"},
		{"it has files too", func(w *watch) {
			w.p.Routes = append(w.p.Routes, picture.Route{Site: "www", Name: "files"})
			w.p.Pools[0].State = "down"
			w.look(time.Minute)
		}, "0 in 0: "},
		{"most requests fail", func(w *watch) {
			w.rate = 10
			w.look(3 * time.Minute)
			w.bad = 1
			w.look(2 * time.Minute)
			w.bad = 0
			w.look(5 * time.Minute)
		}, "120 in 1: 12:03:01-12:05:01 50 % or more of its requests failed"},
		{"most requests fail, and then the edge dies", func(w *watch) {
			w.rate = 10
			w.look(3 * time.Minute)
			w.bad = 1
			w.look(2 * time.Minute)
			w.p.Edge.Up = false
			w.look(5 * time.Minute)
			w.p.Edge.Up, w.bad = true, 0
			w.look(5 * time.Minute)
		}, "420 in 1: 12:03:01-12:10:01 50 % or more of its requests failed"},
		{"few requests fail", func(w *watch) {
			w.rate, w.bad = 0.1, 1
			w.look(10 * time.Minute)
		}, "0 in 0: "},
		{"the site is taken out of the configuration", func(w *watch) {
			w.p.Pools[0].State = "down"
			w.look(time.Minute)
			w.p.Sites, w.p.Routes = nil, nil
			w.look(time.Minute)
		}, "60 in 1: 12:00:01-12:01:01 the pool web was down"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWatch(t, "2026-11-21 12:00:00")
			c.do(w)
			w.t = t
			w.want("", c.want)
		})
	}
}

// TestNobodyLooked: a time without a desk is neither up nor down, and said.
func TestNobodyLooked(t *testing.T) {
	w := newWatch(t, "2026-11-21 12:00:00")
	w.look(time.Minute)
	w.p.Pools[0].State = "down"
	w.look(time.Minute)
	w.restart(3 * time.Second) // a desk that is back at once has missed nothing
	w.look(time.Minute)
	w.want("", "122 in 1: 12:01:01- the pool web was down")
	w.restart(time.Hour)
	w.look(time.Minute)
	w.p.Pools[0].State = "up"
	w.look(time.Minute)
	w.want("", "182 in 2: 13:03:04-13:04:04 the pool web was down; 12:01:01-12:03:03? the pool web was down, unseen 3601")
	if r := w.book.Report("", nil); len(r.Gaps) != 1 || r.Gaps[0].End.Sub(r.Gaps[0].Begin) != time.Hour+time.Second {
		t.Error(r.Gaps)
	}
	// The clock is put back: nothing is counted twice, and it goes on.
	w.at = w.at.Add(-30 * time.Minute)
	w.look(time.Minute)
	w.want("", "182 in 2: 13:03:04-13:04:04 the pool web was down; 12:01:01-12:03:03? the pool web was down, unseen 3601")
}

// TestMonths: an outage over midnight of the first is in both months, and months older than two years go.
func TestMonths(t *testing.T) {
	w := newWatch(t, "2026-11-30 23:59:00")
	w.p.Pools[0].State = "down"
	w.look(2 * time.Minute)
	w.p.Pools[0].State = "up"
	w.look(time.Second)
	w.want("2026-11", "59 in 1: 23:59:01-00:00:00 the pool web was down")
	w.want("2026-12", "61 in 1: 00:00:00-00:01:01 the pool web was down")
	w.at = w.at.AddDate(3, 0, 0)
	w.look(time.Minute)
	w.want("2026-11", "nothing")
	if r := w.book.Report("", map[string]time.Duration{"www": time.Minute, "gone": time.Hour}); len(r.Sites) != 2 || len(r.Months) != 1 || *r.Sites[1].Left != 60 || !r.Sites[0].Removed {
		t.Errorf("%+v", r)
	}
}

// TestManyOutages: a site that comes and goes all month costs what it may, and no second is lost.
func TestManyOutages(t *testing.T) {
	w := newWatch(t, "2026-11-02 00:00:00")
	for range maxList + 50 {
		w.p.Pools[0].State = "down"
		w.look(10 * time.Second)
		w.p.Pools[0].State = "up"
		w.look(10 * time.Second)
	}
	r := w.book.Report("", map[string]time.Duration{"www": time.Hour})
	s := r.Sites[0]
	if len(s.List) != maxList || s.Count != maxList+50 || s.Down != 10*(maxList+50) || *s.Left != 3600-s.Down {
		t.Errorf("%d outages, %d kept, %v seconds, %v left", s.Count, len(s.List), s.Down, *s.Left)
	}
	for i := range maxSites + 10 {
		w.p.Sites = append(w.p.Sites, picture.Site{Name: fmt.Sprint(i)})
	}
	w.look(time.Second)
	if len(w.book.sites) != maxSites {
		t.Errorf("%d sites", len(w.book.sites))
	}
}

// TestClockOverTheEndOfAMonth: who puts the clock back into the month before loses no outage, and none lasts for ever.
func TestClockOverTheEndOfAMonth(t *testing.T) {
	w := newWatch(t, "2026-11-30 23:59:30")
	w.p.Pools[0].State = "down"
	w.look(40 * time.Second)
	w.at = w.at.Add(-30 * time.Second)
	w.look(10 * time.Second)
	w.p.Pools[0].State = "up"
	w.look(5 * time.Second)
	for _, s := range w.book.Report("2026-11", nil).Sites {
		if s.Now || len(s.List) == 0 || s.List[0].End.IsZero() || w.book.Down("www") != time.Duration(s.Down)*time.Second {
			t.Errorf("%+v", s)
		}
	}
	for _, o := range w.book.Report("2026-12", nil).Sites[0].List {
		if o.End.IsZero() {
			t.Errorf("%+v", o)
		}
	}
}

// TestGapOverMonths: a time in which nobody looked is in each of its months.
func TestGapOverMonths(t *testing.T) {
	w := newWatch(t, "2026-09-30 12:00:00")
	w.look(10 * time.Second)
	w.at = w.at.AddDate(0, 2, 0)
	w.look(10 * time.Second)
	for _, month := range []string{"2026-09", "2026-10", "2026-11"} {
		if r := w.book.Report(month, nil); len(r.Gaps) != 1 || r.Unseen == 0 {
			t.Errorf("%s: %+v", month, r)
		}
	}
}

// TestSeen: of a month that nobody saw it is said that nobody did, and not that no site was down.
func TestSeen(t *testing.T) {
	w := newWatch(t, "2026-09-29 12:00:00")
	w.look(time.Hour)
	w.at = w.at.AddDate(0, 2, 0)
	w.look(10 * time.Second)
	budgets := map[string]time.Duration{"www": time.Hour, "other": time.Hour}
	for month, want := range map[string]string{"2026-08": "0 [] 0", "2026-09": "3599 [other www] 126000", "2026-10": "0 [] 2678400", "2026-11": "9 [other www] 2466001", "": "9 [other www] 2466001", "2026-12": "0 [] 0", "2024-01": "0 [] 0"} {
		r := w.book.Report(month, budgets)
		names := []string{}
		for _, s := range r.Sites {
			names = append(names, s.Name)
		}
		if got := fmt.Sprintf("%.0f %v %.0f", r.Seen, names, r.Unseen); got != want {
			t.Errorf("%s: seen, sites and unseen are %s, want %s", month, got, want)
		}
	}
	w.at = w.at.AddDate(2, 0, 0)
	w.look(time.Minute)
	for _, month := range []string{"2026-09", "2026-10"} { // too long ago
		if r := w.book.Report(month, budgets); r.Seen != 0 || len(r.Sites) != 0 {
			t.Errorf("%s: %+v", month, r)
		}
	}
}
