package keeper

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/config"
)

func TestDecide(t *testing.T) {
	three, five := 3, 5
	do := func(what, server string, weight *int) api.Intervention {
		return api.Intervention{Do: what, Pool: "web", Server: server, Weight: weight, By: "ann", Reason: "why", At: "now"}
	}
	hand := func(server, state, listed string, weight *int) api.Hand {
		return api.Hand{Pool: "web", Server: server, State: state, Listed: listed, Weight: weight, By: "ann", Reason: "why", Since: "now"}
	}
	for name, row := range map[string]struct {
		do   []api.Intervention
		want []api.Hand
	}{
		"drain":                     {[]api.Intervention{do("drain", "a", nil)}, []api.Hand{hand("a", "drain", "", nil)}},
		"drain, then maint":         {[]api.Intervention{do("drain", "a", nil), do("maint", "a", nil)}, []api.Hand{hand("a", "maint", "", nil)}},
		"and ready":                 {[]api.Intervention{do("drain", "a", nil), do("ready", "a", nil)}, nil},
		"ready alone":               {[]api.Intervention{do("ready", "a", nil)}, nil},
		"weight stays":              {[]api.Intervention{do("weight", "a", &three), do("drain", "a", nil), do("ready", "a", nil)}, []api.Hand{hand("a", "", "", &three)}},
		"weight reset":              {[]api.Intervention{do("weight", "a", &three), do("weight", "a", nil)}, nil},
		"two servers":               {[]api.Intervention{do("drain", "a", nil), do("maint", "b", nil), do("ready", "a", nil)}, []api.Hand{hand("b", "maint", "", nil)}},
		"added":                     {[]api.Intervention{do("add", "a", &five)}, []api.Hand{hand("a", "", "added", &five)}},
		"added and drained, ready":  {[]api.Intervention{do("add", "a", nil), do("drain", "a", nil), do("ready", "a", nil)}, []api.Hand{hand("a", "", "added", nil)}},
		"added and removed":         {[]api.Intervention{do("add", "a", &five), do("drain", "a", nil), do("remove", "a", nil)}, nil},
		"removed":                   {[]api.Intervention{do("drain", "a", nil), do("remove", "a", nil)}, []api.Hand{hand("a", "", "removed", nil)}},
		"removed, and added again":  {[]api.Intervention{do("remove", "a", nil), do("add", "a", nil)}, nil},
		"removed, added, removed":   {[]api.Intervention{do("remove", "a", nil), do("add", "a", nil), do("remove", "a", nil)}, []api.Hand{hand("a", "", "removed", nil)}},
		"other pools do not matter": {[]api.Intervention{do("drain", "a", nil), {Do: "ready", Pool: "x", Server: "a"}}, []api.Hand{hand("a", "drain", "", nil)}},
	} {
		var hands []api.Hand
		for _, in := range row.do {
			before := append([]api.Hand(nil), hands...)
			next := decide(hands, in)
			if diff := cmp.Diff(before, append([]api.Hand(nil), hands...)); diff != "" {
				t.Errorf("%s: what was told before changed: %s", name, diff)
			}
			hands = next
		}
		if diff := cmp.Diff(row.want, append([]api.Hand(nil), hands...)); diff != "" {
			t.Errorf("%s: -want +got\n%s", name, diff)
		}
	}
}

// A worker that is gone takes what was decided of it along; a server that is away for now does not.
func TestStanding(t *testing.T) {
	cfg := &config.Config{Pools: []*config.Pool{{Name: "site", App: "web"}, {Name: "old"}}}
	hands := []api.Hand{{Pool: "site", Server: "web/1.1"}, {Pool: "site", Server: "web/2"}, {Pool: "old", Server: "a:1"}, {Pool: "later", Server: "b:1"}}
	got := standing(hands, cfg, []api.Worker{{App: "web", Name: "web/1.2"}, {App: "web", Name: "web/2"}})
	if diff := cmp.Diff(hands[1:], got); diff != "" {
		t.Error(diff)
	}
	if hands[0].Server != "web/1.1" {
		t.Error("what was told before changed")
	}
}

// What was decided of a pool that a reload renames is told once: silence would look as if it held.
func TestStranded(t *testing.T) {
	cfg := func(names ...string) *config.Config {
		c := &config.Config{}
		for _, n := range names {
			c.Pools = append(c.Pools, &config.Pool{Name: n})
		}
		return c
	}
	three := 3
	hands := []api.Hand{{Pool: "web", Server: "a:1", State: "drain", By: "ann"}, {Pool: "web", Server: "b:1", Weight: &three, By: "bob"}, {Pool: "web", Server: "c:1", Listed: "added", By: "ann"},
		{Pool: "db", Server: "d:1", State: "maint", By: "ann"}, {Pool: "older", Server: "e:1", State: "maint", By: "ann"}}
	want := []string{"there is no pool web any more: drain of web/a:1, decided by ann, holds again when it is back", "there is no pool web any more: weight 3 of web/b:1, decided by bob, holds again when it is back",
		"there is no pool web any more: added of web/c:1, decided by ann, holds again when it is back"}
	if diff := cmp.Diff(want, stranded(hands, cfg("web", "db"), cfg("www", "db"))); diff != "" {
		t.Error(diff)
	}
	for _, next := range []*config.Config{cfg("web", "db", "more"), cfg("db", "web")} {
		if got := stranded(hands, cfg("web", "db"), next); got != nil {
			t.Error(got)
		}
	}
}

func TestCheckIntervention(t *testing.T) {
	big := 1001
	good := api.Intervention{Do: "drain", Pool: "web", Server: "a", By: " ann\x1b[2J\n", Reason: "new\r\ndisk"}
	if err := checkIntervention(&good); err != nil || good.By != "ann [2J" || good.Reason != "new  disk" {
		t.Errorf("%+v, %v", good, err)
	}
	for _, bad := range []api.Intervention{
		{Do: "explode", Pool: "web", Server: "a"},
		{Do: "drain", Server: "a"},
		{Do: "drain", Pool: "web"},
		{Do: "weight", Pool: "web", Server: "a", Weight: &big},
		{Do: "drain", Pool: "web", Server: "a", Reason: strings.Repeat("x", 501)},
		{Do: "drain", Pool: "web", Server: strings.Repeat("x", 501)},
	} {
		if checkIntervention(&bad) == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

// TestPurgeInWords: what was purged, in a line of a bounded length.
func TestPurgeInWords(t *testing.T) {
	for _, c := range []struct {
		in   api.Purge
		want string
	}{
		{api.Purge{All: true}, "everything"},
		{api.Purge{URLs: []string{"http://a/"}, Soft: true}, "http://a/, made stale"},
		{api.Purge{Tags: []string{"news"}, Prefixes: []string{"a/x"}, Patterns: []string{"*.a/*", "b/*", "c/*"}}, "tag news, prefix a/x, pattern *.a/*, 2 more"},
		{api.Purge{URLs: []string{"http://a/\x1b[31m\n"}}, "http://a/ [31m"},
		{api.Purge{URLs: []string{strings.Repeat("ä", longWhy)}}, strings.Repeat("ä", longWhy/2) + "…"},
	} {
		if got := purged(&c.in); got != c.want {
			t.Errorf("%+v is %q, want %q", c.in, got, c.want)
		}
	}
}

// TestPurgesDriveNobodyOut: of a program that purges all the time a few are noted.
func TestPurgesDriveNobodyOut(t *testing.T) {
	var p people
	p.note(api.Intervention{Do: "drain", By: "ann"})
	for range 2 * keptDone {
		p.note(api.Intervention{Do: "purge", By: "a program", At: time.Now().UTC().Format(time.RFC3339)})
	}
	p.note(api.Intervention{Do: "reload", By: "bob"})
	if n := len(p.done); n != purgesNoted+2 || p.done[0].By != "ann" || p.done[n-1].By != "bob" {
		t.Errorf("%d are noted: %+v", n, p.done)
	}
	for range 2 * keptDone {
		p.note(api.Intervention{Do: "reload"})
	}
	if len(p.done) != keptDone {
		t.Errorf("%d are kept", len(p.done))
	}
}
