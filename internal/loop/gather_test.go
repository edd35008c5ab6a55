package loop

import "testing"

func TestGathering(t *testing.T) {
	const soon, late = gatherWithin - 1, gatherWithin
	// Turns, each by the time since the one before, and the events after its nap.
	type turn struct {
		after Time
		naps  bool
		came  int
	}
	quiet := make([]turn, lonely)
	for i := range quiet {
		quiet[i] = turn{soon, false, company}
	}
	for name, turns := range map[string][]turn{
		"idle":            {{late, false, 1}, {late, false, 100}, {late * 1000, false, 1}},
		"busy":            {{late, false, 1}, {soon, true, company}, {soon, true, 100}, {soon, true, company}},
		"busy no more":    {{soon, true, company}, {late, false, 1}, {soon, true, company}},
		"one at a time":   append(append([]turn{{soon, true, company - 1}}, quiet...), turn{soon, true, 0}, turn{soon, false, 0}),
		"a pause in need": append(append([]turn{{soon, true, 1}}, quiet[1:]...), turn{late, false, 1}, turn{soon, true, 9}),
	} {
		var g gathering
		g.last = 1 << 40
		now := g.last
		for i, tt := range turns {
			now += tt.after
			naps := g.nap(now)
			if naps != tt.naps {
				t.Errorf("%s: turn %d: naps %v", name, i, naps)
			}
			if naps {
				g.came(tt.came)
			}
		}
	}
}
