package exposition

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// dashboard is what of a Grafana dashboard is held to the metrics.
type dashboard struct {
	Title  string
	Panels []struct {
		ID      int
		Type    string
		Title   string
		GridPos struct{ X, Y, W, H int }
		Targets []struct{ Expr string }
	}
	Templating struct {
		List []struct {
			Name  string
			Query any
		}
	}
	Annotations struct{ List []struct{ Expr string } }
}

var (
	metricForm  = regexp.MustCompile(`\b(weir_[a-z0-9_]+)(\{[^}]*\})?`)
	matcherForm = regexp.MustCompile(`([a-z_]+)\s*(=~|!=|!~|=)`)
	byForm      = regexp.MustCompile(`by \(([^)]*)\)`)
)

// TestDashboard: every metric and label that docs/grafana/weir.json uses is one of weir's, no panel hides another, and what a person looks for first
// is there.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile("../../../docs/grafana/weir.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	byName := map[string]*family{}
	for i := range families {
		byName[families[i].name] = &families[i]
	}
	variables, used := map[string]bool{}, 0
	check := func(where, expr string) {
		if expr == "" {
			t.Errorf("%s asks nothing", where)
		}
		if strings.Count(expr, "_bucket{") != strings.Count(expr, " or histogram_quantile(") {
			t.Errorf("%s shows nothing where Prometheus keeps native histograms, which have no buckets by name: %s", where, expr)
		}
		var labels []string
		for _, m := range metricForm.FindAllStringSubmatch(expr, -1) {
			used++
			name := m[1]
			f := byName[name]
			for _, end := range []string{"_bucket", "_sum", "_count"} {
				if base, ok := strings.CutSuffix(name, end); ok && f == nil && byName[base] != nil && byName[base].kind == Histogram {
					f = byName[base]
					labels = append(labels, "le")
				}
			}
			if f == nil {
				t.Errorf("%s uses %s, which is no metric", where, name)
				continue
			}
			has := slices.Concat(f.labels, []string{"instance", "job"})
			labels = append(labels, has...)
			for _, l := range matcherForm.FindAllStringSubmatch(m[2], -1) {
				if !slices.Contains(has, l[1]) {
					t.Errorf("%s uses the label %s, which %s has not", where, l[1], name)
				}
			}
		}
		for _, by := range byForm.FindAllStringSubmatch(expr, -1) {
			for l := range strings.SplitSeq(by[1], ",") {
				if l = strings.TrimSpace(l); !slices.Contains(labels, l) {
					t.Errorf("%s groups by %s, which none of its metrics has", where, l)
				}
			}
		}
		for _, v := range regexp.MustCompile(`\$([a-z]+)`).FindAllStringSubmatch(expr, -1) {
			if !variables[v[1]] {
				t.Errorf("%s uses the variable %s, which there is not", where, v[1])
			}
		}
	}
	for _, v := range d.Templating.List {
		variables[v.Name] = true
		if q, ok := v.Query.(map[string]any); ok {
			text, _ := q["query"].(string)
			check("the variable "+v.Name, text)
		}
	}
	for _, a := range d.Annotations.List {
		check("an annotation", a.Expr)
	}
	type cell struct{ x, y int }
	taken, ids := map[cell]string{}, map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("two panels have the number %d", p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[cell{x, y}]; other != "" || x >= 24 {
					t.Errorf("%q lies over %q", p.Title, other)
				}
				taken[cell{x, y}] = p.Title
			}
		}
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("the panel %s asks nothing", p.Title)
		}
		for _, q := range p.Targets {
			check("the panel "+p.Title, q.Expr)
		}
	}
	if used < 60 || d.Title != "weir" {
		t.Errorf("the dashboard %q uses %d metrics", d.Title, used)
	}
}
