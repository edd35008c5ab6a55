package events

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/picture"
)

func calm() *picture.Picture {
	return &picture.Picture{
		At: time.Unix(1_800_000_000, 0), Version: "1", Edge: picture.Edge{Up: true, PID: 10, Revision: 1},
		Apps:  []picture.App{{Name: "web", Workers: []picture.Worker{{WorkerStatus: api.WorkerStatus{Name: "web/1.1", PID: 20, State: "live"}}}}},
		Pools: []picture.Pool{{Name: "old", State: "up", Open: 2, Servers: []picture.Server{{Name: "a:80", State: "ready"}, {Name: "b:80", State: "ready"}}}},
	}
}

// TestBetween: each change is told in words, and nothing else is.
func TestBetween(t *testing.T) {
	for _, c := range []struct {
		what   string
		change func(p *picture.Picture)
		want   []string
	}{
		{"nothing", func(*picture.Picture) {}, nil},
		{"numbers", func(p *picture.Picture) { p.Total.Requests, p.Pools[0].Active, p.Edge.Connections = 9, 9, 9 }, nil},
		{"upgrade", func(p *picture.Picture) { p.Version, p.Edge.PID = "2", 11 }, []string{"upgrade : weir 2 took over from 1", "upgrade : another edge serves (process 11)"}},
		{"edge killed", func(p *picture.Picture) { p.Edge.PID, p.Edge.Restarts = 11, 1 }, []string{"edge : the edge died; another serves (process 11)"}},
		{"edge away", func(p *picture.Picture) { p.Edge.Up, p.Pools[0].State = false, "down" }, []string{"edge : the edge does not answer"}},
		{"reload", func(p *picture.Picture) { p.Edge.Revision = 2 }, []string{"reload : another configuration is in force"}},
		{"refused", func(p *picture.Picture) { p.Problem = "reload: no" }, []string{"problem : reload: no"}},
		{"worker died", func(p *picture.Picture) {
			w := &p.Apps[0].Workers[0]
			w.Name, w.PID, w.Restarts, w.Last = "web/1.2", 21, 1, "killed"
		}, []string{"worker web/1.2: started again: killed"}},
		{"worker replaced", func(p *picture.Picture) { w := &p.Apps[0].Workers[0]; w.Name, w.PID = "web/1.2", 21 }, []string{"worker web/1.2: is live (process 21)"}},
		{"server down", func(p *picture.Picture) {
			s := &p.Pools[0].Servers[0]
			s.State, s.Why, p.Pools[0].State, p.Pools[0].Open = "down", "check: refused", "degraded", 1
		}, []string{"pool old: has 1 of 2 servers that take requests", "server old/a:80: is down: check: refused"}},
		{"drained", func(p *picture.Picture) { p.Pools[0].Servers[0].State = "draining" }, []string{"server old/a:80: is draining"}},
		{"added and removed", func(p *picture.Picture) { p.Pools[0].Servers[0].Name = "c:80" }, []string{"server old/c:80: was added", "server old/a:80: was removed"}},
		{"breaker", func(p *picture.Picture) { p.Pools[0].Breaker = "open" }, []string{"pool old: the breaker is open"}},
		{"faults", func(p *picture.Picture) { p.Faults = make([]api.Fault, 1) }, []string{"fault : faults are made on purpose (weir chaos)"}},
	} {
		a, b := calm(), calm()
		c.change(b)
		var got []string
		for _, e := range Between(a, b) {
			got = append(got, fmt.Sprintf("%s %s: %s", e.Kind, e.Subject, e.Text))
		}
		if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
			t.Errorf("%s: got %q, want %q", c.what, got, c.want)
		}
		// Back again there is an end of it: each state differs from the other one way or the other.
		if c.want != nil && c.what != "refused" && len(Between(b, a)) == 0 {
			t.Errorf("%s: nothing is told of its end", c.what)
		}
	}
}

// TestLog: the last are kept, the first picture is no event, and what people did is told once.
func TestLog(t *testing.T) {
	l := New(Saved{})
	if got := l.Look(calm()); got != nil {
		t.Errorf("the first picture told %v", got)
	}
	for i := range 3000 {
		p := calm()
		p.Edge.Revision = int64(i + 2)
		if got := l.Look(p); len(got) != 1 {
			t.Fatalf("reload %d told %v", i, got)
		}
	}
	if n := len(l.Last(1 << 30)); n != kept {
		t.Errorf("%d events are kept, want %d", n, kept)
	}
	if n := len(l.Last(3)); n != 3 {
		t.Errorf("the last three are %d", n)
	}
	weight := 5
	first := api.Intervention{Do: "drain", Pool: "old", Server: "a:80", By: "ann", Reason: "disk", At: "2027-01-01T00:00:00Z"}
	second := api.Intervention{Do: "weight", Pool: "old", Server: "a:80", By: "bob", At: "2027-01-01T00:00:01Z", Weight: &weight}
	if got := l.Interventions([]api.Intervention{first}); len(got) != 0 {
		t.Errorf("what happened before anybody looked is news: %v", got)
	}
	other := 5
	again := second
	again.Weight = &other
	got := l.Interventions([]api.Intervention{first, second})
	if len(got) != 1 || got[0].Text != "weight 5" || got[0].By != "bob" || got[0].Subject != "old/a:80" {
		t.Errorf("got %v", got)
	}
	if got := l.Interventions([]api.Intervention{first, again}); len(got) != 0 {
		t.Errorf("told twice: %v", got)
	}
}

// TestReloadsAndPurges: they are told as what people do to servers is.
func TestReloadsAndPurges(t *testing.T) {
	l := New(Saved{})
	l.Interventions(nil)
	done := []api.Intervention{
		{Do: "reload", What: "app web", By: "ann", Reason: "new settings", At: "2027-01-01T00:00:00Z"},
		{Do: "purge", What: "tag news", By: "bob", At: "2027-01-01T00:00:01Z"},
	}
	l.Interventions([]api.Intervention{})
	var got []string
	for _, e := range l.Interventions(done) {
		got = append(got, e.Kind+" "+e.Subject+" "+e.By+" "+e.Text)
	}
	if want := "intervention  ann reload app web: new settings|intervention  bob purge tag news"; strings.Join(got, "|") != want {
		t.Errorf("got %q, want %s", got, want)
	}
}

// TestSaved: what has happened is known to the next one, with what people did meanwhile, and that weir was started anew.
func TestSaved(t *testing.T) {
	l := New(Saved{})
	p := calm()
	p.Since = time.Unix(1_700_000_000, 0)
	l.Look(p)
	first := api.Intervention{Do: "drain", Pool: "old", Server: "a:80", By: "ann", At: "2027-01-01T00:00:00Z"}
	l.Interventions([]api.Intervention{first})
	l.Add(Event{At: p.At, Kind: "alert", Text: "one"})
	times := l.Times()
	text, err := json.Marshal(l.Save())
	if err != nil {
		t.Fatal(err)
	}
	next := func(q *picture.Picture) *Log {
		var s Saved
		if err := json.Unmarshal(text, &s); err != nil {
			t.Fatal(err)
		}
		l := New(s)
		l.Look(q)
		return l
	}
	l = next(calm()) // of the same weir, as far as is known
	if all := l.Last(10); len(all) != 1 || all[0].Text != "one" {
		t.Errorf("known is %v", all)
	}
	second := api.Intervention{Do: "ready", Pool: "old", Server: "a:80", By: "bob", At: "2027-01-01T00:00:05Z"}
	if got := l.Interventions([]api.Intervention{first, second}); len(got) != 1 || got[0].By != "bob" {
		t.Errorf("what was done while nobody looked: %v", got)
	}
	same := calm()
	same.Since = p.Since
	if all := next(same).Last(10); len(all) != 1 {
		t.Errorf("of the same weir: %v", all)
	}
	other := calm()
	other.Since, other.At = p.At.Add(90*time.Second), p.At.Add(91*time.Second)
	l = next(other)
	if all := l.Last(10); len(all) != 2 || all[1].Kind != "start" || all[1].Text != "weir was started, 1m30s after it was seen the last time" || !all[1].At.Equal(other.Since) {
		t.Errorf("after a restart: %v", all)
	}
	if got := l.Look(other); len(got) != 0 {
		t.Errorf("told twice: %v", got)
	}
	if times == 0 || l.Times() == 0 {
		t.Error("nothing was added")
	}
}
