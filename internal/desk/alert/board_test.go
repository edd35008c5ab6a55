package alert

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/condition"
	"github.com/weirhq/weir/internal/config"
	"github.com/weirhq/weir/internal/picture"
)

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "x", true}, {"*", "", true}, {"a", "a", true}, {"a", "ab", false}, {"a*", "ab", true}, {"*b", "ab", true}, {"a*c*e", "abcde", true},
		{"a*c*e", "abde", false}, {"*.example.com", "www.example.com", true}, {"*.example.com", "example.com", false}, {"ab*ba", "aba", false}, {"web/*", "web/10.0.0.1:80", true},
	} {
		if glob(c.pattern, c.text) != c.want {
			t.Errorf("%q of %q is not %v", c.pattern, c.text, c.want)
		}
	}
}

// TestEveryNumberIsKnown: what conditions may ask for can be told.
func TestEveryNumberIsKnown(t *testing.T) {
	v := &view{p: &picture.Picture{Facts: &picture.Facts{CPUs: []float64{0}, MemTotal: 1, SwapTotal: 1, FilesMax: 1}}, windows: map[string]*window{}}
	w := &window{marks: []mark{{at: time.Unix(0, 0)}}, now: mark{time.Unix(600, 0), totals{1000, 1, 500, 100}}}
	for _, kind := range []string{"total", "site", "route", "pool", "server"} {
		v.windows[kind+" "] = w
	}
	f := &picture.Flow{P50: 1, P95: 1, P99: 1}
	numbers := map[string]func(string) float64{
		"total": v.totalNumber, "site": v.flowNumber(f, "site", ""), "route": v.flowNumber(f, "route", ""),
		"pool": v.poolNumber(&picture.Pool{P50: 1, P95: 1, P99: 1}), "server": v.serverNumber(&picture.Server{P50: 1, P95: 1, P99: 1}, ""),
	}
	v.p.Total = *f
	for _, k := range condition.All() {
		if n := numbers[k.Of](k.Name); n != n {
			t.Errorf("%s.%s is not known", k.Of, k.Name)
		}
	}
}

func TestEveryBuiltInRuleIsKnown(t *testing.T) {
	for _, r := range config.BuiltInRules() {
		if builtIn[r.Name] == nil {
			t.Errorf("%s is not", r.Name)
		}
	}
	if len(builtIn) != len(config.BuiltInRules()) {
		t.Error("there are rules that config does not know")
	}
}

// TestBoardIsBounded: neither subjects nor news make it grow, and what there is no room for is counted.
func TestBoardIsBounded(t *testing.T) {
	b := New(Saved{})
	b.Use(&config.Alerts{Rules: builtInRules(), Targets: []config.AlertTarget{{Name: "ops", Limit: 100, Severity: config.Info}}})
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	p := &picture.Picture{At: at, Node: "n", KeeperPID: 1, Edge: picture.Edge{Up: true}}
	for i := range maxAlerts + 500 {
		p.Pools = append(p.Pools, picture.Pool{Name: fmt.Sprint("p", i), State: "down"})
	}
	var extra Extra
	for i := range 500 {
		extra.News = append(extra.News, News{Rule: "new_error", Subject: fmt.Sprint(i), Text: "x"})
	}
	messages, _ := b.Step(p, extra)
	for i := range 40 {
		next := *p
		next.At = at.Add(time.Duration(i) * time.Second)
		more, _ := b.Step(&next, Extra{})
		messages = append(messages, more...)
	}
	if len(b.alerts) > maxAlerts {
		t.Errorf("%d alerts", len(b.alerts))
	}
	if len(messages) != 1 || len(messages[0].Items) != maxItems || messages[0].More < 1000 {
		t.Fatalf("%d messages", len(messages))
	}
	if text := messages[0].Text(); len(text) > 100<<10 || !strings.Contains(text, "more: weir alert list") {
		t.Error(len(text))
	}
	for range maxSilences + 5 {
		b.Silence(Silence{Rule: "disk", Until: at.Add(time.Hour)}, at) //nolint:errcheck // the last are refused
	}
	if len(b.silences) != maxSilences {
		t.Errorf("%d silences", len(b.silences))
	}
}

func builtInRules() (all []config.AlertRule) {
	for _, r := range config.BuiltInRules() {
		all = append(all, r.AlertRule)
	}
	return all
}

// TestSilenceOfNothing: a typing error is said at once, and not by a call in the night.
func TestSilenceOfNothing(t *testing.T) {
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	b := New(Saved{Alerts: []*Alert{{Rule: "gone", Subject: "x", State: Firing}}})
	b.Use(&config.Alerts{Rules: builtInRules()})
	for rule, want := range map[string]string{
		"server_dwon": `nothing would be silenced by "server_dwon", for no rule is called so: there is edge_down, `, "servers*": "no rule is called so",
		"server*": "", "*": "", "": "", "gone": "",
	} {
		_, err := b.Silence(Silence{Rule: rule, Subject: "web/*", Until: at.Add(time.Hour)}, at)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", rule, err)
		}
	}
}

// TestATestIsOne: it names its target, or says which there are.
func TestATestIsOne(t *testing.T) {
	b := New(Saved{})
	if _, err := b.Test("ops", "ann", time.Time{}); err == nil || !strings.Contains(err.Error(), "there is no target: name one") {
		t.Error(err)
	}
	b.Use(&config.Alerts{Targets: []config.AlertTarget{{Name: "ops"}, {Name: "chat"}}})
	if _, err := b.Test("opps", "ann", time.Time{}); err == nil || !strings.Contains(err.Error(), "the targets are [ops chat]") {
		t.Error(err)
	}
	m, err := b.Test("ops", "ann", time.Time{})
	if err != nil || !strings.Contains(m.Title(), "a test") || !strings.Contains(m.Text(), "asked for by ann") {
		t.Error(m, err)
	}
}

func TestLength(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0s", 59 * time.Second: "59s", 60 * time.Second: "1m", 61 * time.Second: "1m 1s", 3 * time.Hour: "3h 0m", 47 * time.Hour: "47h 0m", 50 * time.Hour: "2d 2h", -time.Hour: "0s"} {
		if got := Length(d); got != want {
			t.Errorf("%v is %s, want %s", d, got, want)
		}
	}
}

func BenchmarkStep(b *testing.B) {
	board := New(Saved{})
	board.Use(&config.Alerts{Rules: builtInRules(), Targets: []config.AlertTarget{{Name: "ops", Limit: 100}}})
	p := &picture.Picture{KeeperPID: 1, Edge: picture.Edge{Up: true}}
	for i := range 100 {
		o := picture.Pool{Name: fmt.Sprint("p", i), State: "up", Open: 10, QueueSize: 10}
		for j := range 10 {
			o.Servers = append(o.Servers, picture.Server{Name: fmt.Sprint("s", j), Address: fmt.Sprintf("10.0.%d.%d:80", i, j), State: "ready"})
		}
		p.Pools = append(p.Pools, o)
		p.Sites = append(p.Sites, picture.Site{Name: fmt.Sprint("w", i)})
		for j := range 10 {
			p.Routes = append(p.Routes, picture.Route{Site: fmt.Sprint("w", i), Name: fmt.Sprint("r", j), Pool: o.Name})
		}
	}
	at := time.Unix(1e9, 0)
	b.ReportAllocs()
	for b.Loop() {
		at = at.Add(time.Second)
		p.At = at
		board.Step(p, Extra{})
	}
}

// TestSilent: who says anything at all is there, and no switch is to blame.
func TestSilent(t *testing.T) {
	for check, want := range map[string]bool{
		"": true, "no answer within 1s": true, "no route to host": true, "network is unreachable": true, "connection timed out": true,
		"connection refused": false, "503 in 2ms": false, "it closed the connection without an answer": false,
	} {
		if silent(check) != want {
			t.Errorf("%q is not %v", check, want)
		}
	}
	p := &picture.Picture{Pools: []picture.Pool{{Name: "web", Servers: []picture.Server{
		{Name: "a", Address: "10.0.0.1:80", State: "down", Why: "check fails: connection refused", Check: "connection refused"},
		{Name: "b", Address: "10.0.0.2:80", State: "down", Why: "check fails: no answer within 1s", Check: "no answer within 1s"},
		{Name: "c", Address: "[::1]:80", State: "down"}, {Name: "d", Address: "[2001:db8::1]:80", State: "ready"},
	}}}}
	got := ""
	for _, m := range machines(p) {
		got += fmt.Sprintf("%s dead=%v %s\n", m.host, m.dead, m.why)
	}
	if want := "10.0.0.1 dead=false check fails: connection refused\n10.0.0.2 dead=true check fails: no answer within 1s\n2001:db8::1 dead=false \n"; got != want {
		t.Error(got)
	}
}

// TestTheLastStateIsTold: whatever comes and goes, is refused, limited or explained meanwhile, who is told knows how it is once it rests, and has not been told too often.
func TestTheLastStateIsTold(t *testing.T) {
	for seed := range uint64(5) {
		r := rand.New(rand.NewPCG(seed, 1))
		b := New(Saved{})
		rules := []config.AlertRule{
			{Name: "server_down", Severity: config.Warn, For: 5 * time.Second, ClearFor: 5 * time.Second},
			{Name: "pool_down", Severity: config.Critical, For: 5 * time.Second, ClearFor: 5 * time.Second},
		}
		const limit = 4
		b.Use(&config.Alerts{GroupWait: 10 * time.Second, Rules: rules, Targets: []config.AlertTarget{{Name: "ops", Severity: config.Info, Limit: limit, Resolved: true}}})
		p := picture.Picture{At: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), Node: "n", KeeperPID: 1, Edge: picture.Edge{Up: true},
			Pools: []picture.Pool{{Name: "a", Servers: make([]picture.Server, 2)}, {Name: "b", Servers: make([]picture.Server, 3)}}}
		told := map[string]State{} // what the target believes
		messages := 0
		run := func(d time.Duration, shake bool) {
			for end := p.At.Add(d); p.At.Before(end); {
				p.At = p.At.Add(time.Second)
				for i := range p.Pools {
					o := &p.Pools[i]
					o.State = "down"
					for j := range o.Servers {
						s := &o.Servers[j]
						s.Name, s.Address = fmt.Sprint("s", j), fmt.Sprintf("10.0.%d.%d:80", i, j)
						if shake && r.IntN(15) == 0 || s.State == "" {
							s.State = []string{"ready", "down"}[r.IntN(2)]
						}
						if s.State == "ready" {
							o.State = "up"
						}
					}
				}
				list, _ := b.Step(&p, Extra{})
				for _, m := range list {
					messages++
					if shake && r.IntN(3) == 0 {
						b.Refused(m, p.At)
						continue
					}
					for _, i := range m.Items {
						told[id(i.Rule, i.Subject)] = i.State
					}
				}
			}
		}
		run(2*time.Hour, true)
		if messages > 3*limit {
			t.Errorf("seed %d: %d messages in two hours", seed, messages)
		}
		run(3*time.Hour, false)
		for _, a := range b.List() {
			if is := a.State == Firing && a.By == ""; is != (told[a.ID()] == Firing) && !(a.By != "" && a.State == Firing) {
				t.Errorf("seed %d: %s is %s (by %q), and the target was told that it is %q", seed, a.ID(), a.State, a.By, told[a.ID()])
			}
		}
	}
}
