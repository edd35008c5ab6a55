package tally

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/journal"
)

func word(i int) string { return "why" + strconv.Itoa(i) }

// told is what a route is told to have counted.
func told(r *Route) (c api.RouteCounters) {
	r.AddTo(&c, word)
	return c
}

// TestEnded: everything that a journal says is found again, added up over loops.
func TestEnded(t *testing.T) {
	var a, b Route
	now := time.Unix(1_800_000_000, 0)
	end := func(r *Route, j journal.Journal, took time.Duration) { r.Ended(&j, took, now, []byte("id"), nil) }
	end(&a, journal.Journal{Status: 200, In: 1, Out: 10, Session: journal.SessionKept}, time.Millisecond)
	end(&a, journal.Journal{Status: 503, Cause: journal.QueueFull, Retries: 2}, time.Second)
	end(&b, journal.Journal{Cause: journal.ClientGone}, 0)
	end(&b, journal.Journal{Status: 999, Out: 5}, time.Minute)
	b.Cached(journal.Hit, 5)
	b.Cached(journal.Miss, 0)
	b.Asked(3)
	var c api.RouteCounters
	a.AddTo(&c, word)
	b.AddTo(&c, word)
	if c.Requests != 4 || c.Status != [6]uint64{1, 0, 1, 0, 0, 2} || c.In != 1 || c.Out != 15 || c.Retries != 2 || c.Saved != 5 {
		t.Errorf("%+v", c)
	}
	if len(c.Causes) != 2 || c.Causes["queue_full"] != 1 || c.Causes["client_gone"] != 1 {
		t.Errorf("causes %v", c.Causes)
	}
	if len(c.Whys) != 1 || c.Whys["why3"] != 1 || c.Cache[journal.Hit] != 1 || c.Cache[journal.Miss] != 1 {
		t.Errorf("cache %v, %v", c.Cache, c.Whys)
	}
	if c.Sessions[journal.SessionKept] != 1 || c.Time.Count() != 4 || c.Time.Sum != time.Minute+time.Second+time.Millisecond {
		t.Errorf("sessions %v, time %v", c.Sessions, c.Time.Sum)
	}
	if c.Slow == nil || c.Slow.Took != 60 {
		t.Errorf("the slowest is %+v", c.Slow)
	}
}

// TestSlowest: a slow request stands for its route for a while, whatever comes after it, and not for ever.
func TestSlowest(t *testing.T) {
	var r Route
	now := time.Unix(1_800_000_000, 0)
	took := func(after, d time.Duration, id string) {
		now = now.Add(after)
		j := journal.Journal{Status: 200}
		r.Ended(&j, d, now, []byte(id), &[16]byte{0: 0xab, 15: 7})
	}
	if told(&r).Slow != nil {
		t.Error("there is a slowest of none")
	}
	for _, step := range []struct {
		after, took time.Duration
		id, want    string
	}{
		{0, 5 * time.Millisecond, "a", "a"},
		{time.Second, 9 * time.Millisecond, "bb", "bb"},
		{time.Second, 7 * time.Millisecond, "c", "bb"},
		{spell, time.Millisecond, "d", "bb"}, // the spell before counts too
		{spell + 1, 2 * time.Millisecond, "e", "e"},
		{5 * spell, time.Millisecond, "f", "f"}, // long silence
		{0, time.Second, strings.Repeat("x", 2*maxID), strings.Repeat("x", maxID)},
	} {
		took(step.after, step.took, step.id)
		got := told(&r).Slow
		if got == nil || got.ID != step.want {
			t.Fatalf("after %q the slowest is %+v, want %q", step.id, got, step.want)
		}
	}
	if got := told(&r).Slow; got.Trace != "ab000000000000000000000000000007" {
		t.Errorf("its trace is %q", got.Trace)
	}
}

// TestNames: a number is for good.
func TestNames(t *testing.T) {
	var n Names
	a, b := n.Number("site", "a"), n.Number("site", "b")
	if a == b || n.Number("other", "a") == a || n.Number("site", "a") != a {
		t.Error("numbers are not names'")
	}
	var s Sheet
	if s.Look(b) != nil {
		t.Error("there is something before anything was counted")
	}
	s.Route(b).Requests++
	if s.Route(b).Requests != 1 || s.Look(b) == nil || s.Look(a) != nil || s.Look(1000) != nil {
		t.Error("what was counted is not where it was")
	}
}

func TestEndedAllocatesNothing(t *testing.T) {
	var s Sheet
	s.Route(7)
	j := journal.Journal{Status: 200, Out: 1024, Cache: journal.Miss}
	now, id, took := time.Unix(1_800_000_000, 0), []byte("0123456789012345"), time.Duration(0)
	var trace [16]byte
	if n := testing.AllocsPerRun(1000, func() {
		took += time.Microsecond
		now = now.Add(time.Second)
		r := s.Route(7)
		r.Ended(&j, took, now, id, &trace)
		r.Cached(j.Cache, 0)
		r.Asked(1)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkEnded(b *testing.B) {
	b.ReportAllocs()
	var s Sheet
	j := journal.Journal{Status: 200, Out: 1024, Cache: journal.Miss}
	now, id := time.Unix(1_800_000_000, 0), []byte("0123456789012345")
	for i := 0; b.Loop(); i++ {
		r := s.Route(i & 15)
		r.Ended(&j, time.Duration(i&0xfffff)*100, now, id, nil)
		r.Cached(j.Cache, 0)
		r.Asked(1)
	}
}
