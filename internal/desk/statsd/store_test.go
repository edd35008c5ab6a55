package statsd

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/weirhq/weir/internal/desk/exposition"
	"github.com/weirhq/weir/internal/picture"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// scrape returns the numbers as Prometheus would have them: name{labels} value.
func scrape(t *testing.T, s *store, now time.Time) map[string]float64 {
	t.Helper()
	x := exposition.New(func() *picture.Picture { return &picture.Picture{At: now} })
	x.Add(func() []exposition.Family { return s.families(now) })
	w := httptest.NewRecorder()
	x.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	parser := expfmt.NewTextParser(model.LegacyValidation)
	all, err := parser.TextToMetricFamilies(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for name, f := range all {
		if !strings.HasPrefix(name, "app_") {
			continue
		}
		for _, m := range f.Metric {
			key := name
			for _, l := range m.Label {
				key += "," + l.GetName() + "=" + l.GetValue()
			}
			switch {
			case m.Histogram != nil:
				got[key+" count"], got[key+" sum"] = float64(m.Histogram.GetSampleCount()), m.Histogram.GetSampleSum()
			case m.Counter != nil:
				got[key] = m.Counter.GetValue()
			default:
				got[key] = m.Gauge.GetValue()
			}
		}
	}
	return got
}

func TestStore(t *testing.T) {
	s := newStore()
	s.take(noon, []byte("logins:1|c\nlogins:2|c|@0.5\nlogins:-5|c\nlogins:1|c|#by:mail\nusers:10|g\nusers:+5|g\nusers:-1|g\nrender:250|ms\nrender:750|ms|@0.5\nsize:5:9:1|h\nwho:anna|s\nwho:bert|s\nwho:anna|s\n\nnonsense\nlogins:1|g\n"))
	got := scrape(t, s, noon)
	for key, want := range map[string]float64{"app_logins_total": 5, "app_logins_total,by=mail": 1, "app_users": 14, "app_render_seconds count": 3, "app_render_seconds sum": 1.75,
		"app_size_values_total": 3, "app_size_added": 15, "app_who_unique": 0} {
		if v, ok := got[key]; !ok || v != want {
			t.Errorf("%s is %v (%v), want %v", key, v, ok, want)
		}
	}
	if lines, dropped, n := s.counts(); lines != 13 || dropped["form"] != 1 || dropped["kind"] != 1 || len(dropped) != 2 || n != 6 {
		t.Errorf("%d lines, dropped %v, %d series", lines, dropped, n)
	}
	if got := scrape(t, s, noon.Add(window)); got["app_who_unique"] != 2 {
		t.Errorf("%v members after a window", got["app_who_unique"])
	}
	numbers := s.numbers(noon.Add(window))
	if len(numbers) != 6 || numbers[0].Name != "logins" || numbers[0].Kind != "counter" || numbers[1].Labels["by"] != "mail" || numbers[2].Min != 0 {
		t.Errorf("numbers %+v", numbers)
	}
	for _, n := range numbers {
		if n.Name == "render" && (n.P99 < 700 || n.P99 > 800 || n.Count != 3 || n.Value != 1750) {
			t.Errorf("the timer: %+v", n)
		}
		if n.Name == "size" && (n.Min != 1 || n.Max != 9) {
			t.Errorf("the histogram: %+v", n)
		}
	}
	if got := scrape(t, s, noon.Add(3*window)); got["app_who_unique"] != 0 {
		t.Errorf("%v members after a window without any", got["app_who_unique"])
	}
	if got := scrape(t, s, noon.Add(2*time.Hour)); len(got) != 0 {
		t.Errorf("still there after two hours: %v", got)
	}
	if len(s.kinds) != 0 || s.timers != 0 || s.members != 0 {
		t.Errorf("%d names, %d timers, %d members are left", len(s.kinds), s.timers, s.members)
	}
}

// TestClashes: two names that become one are no page that Prometheus refuses; the first one has it.
func TestClashes(t *testing.T) {
	s := newStore()
	s.take(noon, []byte("a.b:1|c\na-b:2|c\nx:1|ms\nx_seconds:5|g\nx_unique:5|g\nx_seconds|c\ny_unique:1|g\ny:a|s\nz_added:1|g\nz:3|h\n"))
	got := scrape(t, s, noon)
	if got["app_a_b_total"] != 3 || got["app_x_seconds count"] != 1 || got["app_x_unique"] != 5 {
		t.Errorf("%v", got)
	}
}

// TestBounds: no flood of names, labels, members or lines makes it grow beyond its bounds; what had a place keeps it.
func TestBounds(t *testing.T) {
	s := newStore()
	s.take(noon, []byte("first:1|c"))
	for i := range 3 * maxSeries {
		s.take(noon.Add(time.Duration(i)*time.Millisecond), fmt.Appendf(nil, "n%d:1|c|#user:%d\nt%d:1|ms\nset:%d|s\n", i, i, i, i))
	}
	s.take(noon.Add(time.Minute), []byte("first:1|c\ntoo.late:1|c\n"))
	_, dropped, n := s.counts()
	if n > maxSeries || s.timers > maxTimers || s.members > maxAllSets || dropped["no_room"] == 0 {
		t.Errorf("%d series, %d timers, %d members, dropped %v", n, s.timers, s.members, dropped)
	}
	if got := scrape(t, s, noon.Add(time.Minute)); got["app_first_total"] != 2 {
		t.Errorf("the first counter is %v", got["app_first_total"])
	}
	before := s.lines
	s.take(noon.Add(2*time.Minute), []byte(strings.Repeat("first:1|c\n", maxLines)))
	if _, dropped, _ := s.counts(); s.lines-before > maxLines/2 || dropped["too_many"] < maxLines/2 {
		t.Errorf("%d lines were taken in a second, %v dropped", s.lines-before, dropped)
	}
}

// TestHostileNumbers: sums stay numbers.
func TestHostileNumbers(t *testing.T) {
	s := newStore()
	for range 20000 {
		s.take(noon, []byte("t:1e18|ms|@0.000001\nc:1e18|c|@0.000001\ng:+1e18|g\nh:-1e18|h|@0.0001"))
	}
	s.take(noon, []byte("far:1e18|c|@1e-300\nlow:1|h|@1e-310\nnot:1e18|h|@1e-300\nnot:-1e18|h|@1e-300"))
	if _, err := json.Marshal(s.numbers(noon)); err != nil {
		t.Error(err) // one such number would take all the others along
	}
	for key, v := range scrape(t, s, noon) {
		if math.IsNaN(v) || math.IsInf(v, 0) || strings.HasSuffix(key, " sum") && v < 0 {
			t.Errorf("%s is %v", key, v)
		}
	}
}

// BenchmarkTake is a packet of ten lines, of numbers that are known.
func BenchmarkTake(b *testing.B) {
	b.ReportAllocs()
	s := newStore()
	packet := []byte(strings.Repeat("logins:1|c|#by:mail\nrender:320|ms\n", 5))
	now := noon
	for b.Loop() {
		now = now.Add(time.Millisecond)
		s.take(now, packet)
	}
}
