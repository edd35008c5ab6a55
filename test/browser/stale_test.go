package browser

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/weirhq/weir/internal/picture"
	"github.com/weirhq/weir/test/browser/stage"
)

// signIn signs in by the token.
func signIn(b *tab) {
	b.t.Helper()
	button(b, ".bar", "Sign in")
	b.do(chromedp.SendKeys(`#dialog [name=password]`, stage.Token+kb.Enter))
	b.wait(`document.body.classList.contains("may") && !document.getElementById("dialog").open`)
}

// TestLaterWarning: what it means to take a server out is told by how things are then, not by how they were when its details were opened.
func TestLaterWarning(t *testing.T) {
	s := stage.New(0, 0)
	b := open(t, play(t, s), 1440, 900).ready()
	signIn(b)
	press(b, "10.0.2.1")
	s.Change(func(p *picture.Picture) { p.Pools[4].Servers[1].State, p.Pools[4].Servers[0].Weight = "down", 77 })
	b.wait(`document.getElementById("details-list").textContent.includes("77")`)
	button(b, "#details-do", "Drain")
	b.wait(`document.getElementById("dialog").open`)
	if got := eval[string](b, `document.getElementById("dialog").textContent`); !strings.Contains(got, "the pool will be down") {
		t.Errorf("the dialog says %q", got)
	}
	b.keys(kb.Escape)
	button(b, "#details-do", "Weight")
	b.wait(`document.querySelector("#dialog [name=weight]")?.value === "77"`)
}

// mute is an answer of which nothing arrives any more once it is told so.
type mute struct {
	http.ResponseWriter
	off atomic.Bool
}

func (m *mute) Write(b []byte) (int, error) {
	if m.off.Load() {
		return len(b), nil
	}
	return m.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (m *mute) Unwrap() http.ResponseWriter { return m.ResponseWriter }

// TestSlowLine: a stream that takes seconds to bring its first picture is waited for, and not opened anew each second.
func TestSlowLine(t *testing.T) {
	s := stage.New(0, 0)
	h := s.Handler()
	var streams atomic.Int64
	first := mute{}
	b := open(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path != "/api/v1/stream":
		case streams.Add(1) == 1:
			first.ResponseWriter, w = w, &first
		default:
			w.Header().Set("Content-Type", "text/event-stream")
			if http.NewResponseController(w).Flush() != nil {
				return
			}
			late, cancel := context.WithTimeout(r.Context(), 4*time.Second) // as long as the first picture takes
			<-late.Done()
			cancel()
		}
		h.ServeHTTP(w, r)
	}), s), 1440, 900, "ERR_").ready()
	// The stream becomes half open, which the page finds out in a while: its clock is set forward.
	first.off.Store(true)
	b.do(chromedp.Evaluate(`{ const real = Date.now; Date.now = () => real.call(Date) + 13000; }`, nil))
	b.wait(`document.body.classList.contains("lost")`)
	b.wait(`!document.body.classList.contains("lost")`)
	if n := streams.Load(); n > 3 {
		t.Errorf("the stream was opened %d times", n)
	}
}

// TestHiddenForAWhile: what passed while the page was hidden is no gap in the graphs.
func TestHiddenForAWhile(t *testing.T) {
	s := stage.New(0, 0)
	h := s.Handler()
	var asked atomic.Int64
	b := open(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/series" {
			asked.Add(1)
		}
		h.ServeHTTP(w, r)
	}), s), 1440, 900).ready()
	b.do(chromedp.Evaluate(`{ Object.defineProperty(document, "hidden", { get: () => window.away, configurable: true }); window.away = true;
		window.heard = 0; const source = new EventSource("/api/v1/stream"); source.addEventListener("picture", () => { window.heard++; }); }`, nil))
	b.wait(`window.heard > 7`)
	before := asked.Load()
	b.do(chromedp.Evaluate(`window.away = false; document.dispatchEvent(new Event("visibilitychange"))`, nil))
	for end := time.Now().Add(10 * time.Second); asked.Load() == before; {
		if time.Now().After(end) {
			t.Fatal("the desk was not asked for what passed meanwhile")
		}
		b.wait(`true`)
	}
}

// TestNoAnswerIsNoNews: when the desk cannot tell what failed, what was known of it stays.
func TestNoAnswerIsNoNews(t *testing.T) {
	s := stage.New(0, 0)
	h := s.Handler()
	var off atomic.Bool
	var failed atomic.Int64
	b := open(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if off.Load() && (r.URL.Path == "/api/v1/log" || r.URL.Path == "/api/v1/series") {
			failed.Add(1)
			http.Error(w, `{"error":"the edge does not answer"}`, http.StatusBadGateway)
			return
		}
		h.ServeHTTP(w, r)
	}), s), 1440, 900, "502").ready()
	b.wait(`document.querySelectorAll("#stories > li").length === 4`)
	off.Store(true)
	for end := time.Now().Add(patience); failed.Load() < 2; {
		if time.Now().After(end) {
			t.Fatal("nobody asks for the newest failed requests")
		}
		s.Change(func(p *picture.Picture) { p.Routes[0].Status[5]++ })
		b.wait(`true`)
	}
	if n := eval[int](b, `document.querySelectorAll("#stories > li").length`); n != 4 {
		t.Errorf("%d requests are left, want 4", n)
	}
	before := failed.Load()
	b.do(chromedp.Evaluate(`document.querySelector("#spans [data-span='10m']").click()`, nil)) // asks for the graph anew
	for end := time.Now().Add(patience); failed.Load() == before && time.Now().Before(end); {
		b.wait(`true`)
	}
	b.do(chromedp.Focus("#graph"), chromedp.KeyEvent(kb.ArrowLeft))
	b.wait(`document.getElementById("graph-tip").textContent.includes("requests/s")`)
}

// TestShares: what is not nothing does not look like nothing, and what is not all not like all.
func TestShares(t *testing.T) {
	b := open(t, play(t, stage.New(0, 0)), 1440, 900).ready()
	got := eval[[]string](b, `import(document.querySelector("script[type=module]").src.replace("app.js", "format.js")).then(m => [0, 0.0001, 0.0004, 0.0006, 0.004, 0.0098, 0.5, 0.994, 0.9999, 1, -1, NaN].map(m.share))`)
	if want := "0 %,<0.1 %,<0.1 %,0.1 %,0.4 %,1 %,50 %,99.4 %,99.9 %,100 %,–,–"; strings.Join(got, ",") != want {
		t.Errorf("shares are %q, want %s", got, want)
	}
}

// TestGraphOfAnyRoute: of a route beyond those that there are to choose from the graph stays too, once somebody has asked for it.
func TestGraphOfAnyRoute(t *testing.T) {
	s := stage.New(0, 0)
	s.Change(func(p *picture.Picture) {
		one := p.Routes[0]
		for i := range 300 {
			one.Name = fmt.Sprintf("further-%03d", i)
			p.Routes = append(p.Routes, one)
		}
	})
	b := open(t, play(t, s), 1440, 900).ready()
	b.fill("#filter", "further-299")
	b.wait(`document.querySelectorAll("#servers tr.route").length === 1`)
	b.do(chromedp.Click("#servers tr.route .who"))
	button(b, "#details-do", "Show in the graphs")
	b.wait(`document.getElementById("graph-of").value.endsWith("further-299")`)
}

// TestVerdictOfAlerts: the verdict leaves out what it says by itself, and nothing that is only called alike; what an alert says makes it none
// that is over.
func TestVerdictOfAlerts(t *testing.T) {
	s := stage.New(0, 0)
	now := time.Now()
	s.Have("/api/v1/alerts", map[string]any{"alerts": []map[string]any{
		{"rule": "server_slow", "subject": "shop/10.0.0.22:8080", "state": "firing", "severity": "warning", "text": "shop/10.0.0.22:8080 is slow", "since": now},
		{"rule": "pool_down", "subject": "shop", "state": "firing", "severity": "critical", "text": "none of its servers takes requests", "since": now}}, "targets": []any{}})
	s.Happen("alert", "errors www.example.com", "7 % of requests fail: over 5 % again")
	s.Happen("alert", "queue shop", "over: queue shop")
	s.Happen("intervention", "shop/10.0.0.21:8080", "drain: the other one is down")
	b := open(t, play(t, s), 1440, 900).ready()
	b.wait(`document.getElementById("verdict").textContent.includes("Alert: shop/10.0.0.22:8080 is slow.")`)
	b.wait(`document.querySelectorAll("#events > li").length > 5`)
	got := eval[[]bool](b, `["over 5 % again", "over: queue shop", "the other one is down"].map(words => [...document.querySelectorAll("#events > li")].find(li => li.textContent.includes(words)).classList.contains("bad"))`)
	if want := []bool{true, false, false}; len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("bad are %v, want %v", got, want)
	}
}

// TestNumbersAreNotReadOut: while the same is the matter, a share that moves each second is no news to a screen reader.
func TestNumbersAreNotReadOut(t *testing.T) {
	b := open(t, play(t, stage.New(0, 0)), 1440, 900).ready()
	b.do(chromedp.Evaluate(`{
		const parse = JSON.parse; let n = 0;
		JSON.parse = text => { const v = parse(text); if (v?.total && v.edge) v.total.errors = v.total.rate * (0.1 + ++n % 50 / 100); return v; };
		const note = (id, list) => new MutationObserver(() => list.add(document.getElementById(id).textContent)).observe(document.getElementById(id), { childList: true, characterData: true, subtree: true });
		note("live", window.said = new Set()); note("verdict-first", window.shown = new Set());
	}`, nil))
	b.wait(`[...window.shown].filter(s => s.includes("of requests fail")).length > 3`)
	if got := eval[[]string](b, `[...window.said].filter(s => s.includes("of requests fail"))`); len(got) != 1 {
		t.Errorf("read out were %q", got)
	}
}
