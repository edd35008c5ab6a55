package cli

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/weirhq/weir/internal/api"
)

// TestShowCache: it fits the terminal, and nothing that a client sent does anything to it.
func TestShowCache(t *testing.T) {
	s := api.CacheStatus{Objects: 12, Bytes: 3 << 20, Resident: 5 << 20, Memory: 64 << 20, Hits: 800, Shared: 100, Misses: 100, Stale: 3, SampledKeys: 0.125,
		Routes: []api.RouteCache{{Site: "www.example.com", Route: "www.example.com#1", Requests: 100, Hits: 80, Shared: 7, Stale: 3, Misses: 10, Passes: 3, Saved: 5 << 20},
			{Site: "www.example.com", Route: "articles", Requests: 12345678, Hits: 12340000, Passes: 5000, Misses: 678, Saved: 1 << 38}},
		TopMisses: []api.KeyMisses{{URL: "www.example.com/" + strings.Repeat("long/", 60) + "end", Misses: 40, Error: 3}, {URL: "evil/\x1b]0;x\x07\u202e\xff", Misses: 2}},
		Estimates: []api.MemoryEstimate{{Memory: 32 << 20, HitRatio: 0.8}, {Memory: 64 << 20, HitRatio: 0.9}, {Memory: 128 << 20, HitRatio: 0.954}}}
	for _, width := range []int{80, 120} {
		var b strings.Builder
		if err := showCache(&b, s, width); err != nil {
			t.Fatal(err)
		}
		out := b.String()
		t.Logf("%d columns:\n%s", width, out)
		for _, want := range []string{"12 objects of 3.0 MiB, in 5.0 MiB of 64.0 MiB", "90.0 %", "www.example.com articles", "37 to 40", "end ", "95.4 %", "one key in 8", `evil/\x1b]0;x\a\u202e\ufffd`} {
			if !strings.Contains(out, want) {
				t.Errorf("%d columns: no %q", width, want)
			}
		}
		if strings.Contains(out, "SHARED") != (width == 120) {
			t.Errorf("%d columns: the wrong ones", width)
		}
		for line := range strings.Lines(out) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > width {
				t.Errorf("%d columns: a line of %d: %s", width, n, line)
			}
			if strings.ContainsAny(line, "\x1b\x07\u202e") {
				t.Errorf("not escaped: %q", line)
			}
		}
	}
	var few strings.Builder
	s.Hits = 1
	if err := showCache(&few, s, 80); err != nil || strings.Contains(few.String(), "MEMORY") || !strings.Contains(few.String(), "from 500 requests on; there were 201") {
		t.Errorf("of a few requests: %v %s", err, few.String())
	}
	var b strings.Builder
	if err := showCache(&b, api.CacheStatus{}, 80); err != nil || strings.Contains(b.String(), "ROUTE") || strings.Contains(b.String(), "MEMORY") {
		t.Errorf("of nothing: %v %s", err, b.String())
	}
}
