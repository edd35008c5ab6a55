package browser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/picture"
	"github.com/weirhq/weir/test/browser/stage"
)

// onOff is a server that can be told to answer no more.
type onOff struct {
	http.Handler
	off atomic.Bool
}

func newSwitch(h http.Handler) *onOff { return &onOff{Handler: h} }

func (o *onOff) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if o.off.Load() {
		http.Error(w, "off", http.StatusServiceUnavailable)
		return
	}
	o.Handler.ServeHTTP(w, r)
}

func serve(t *testing.T, h http.Handler, s *stage.Stage) string {
	t.Helper()
	server := httptest.NewServer(h)
	end, done := make(chan struct{}), make(chan struct{})
	go func() { defer close(done); s.Run(end) }()
	t.Cleanup(func() { close(end); <-done; s.Cut(); server.CloseClientConnections(); server.Close() })
	return server.URL
}

// press chooses a server by the filter, and opens its details.
func press(b *tab, filter string) {
	b.t.Helper()
	b.fill("#filter", filter)
	b.wait(`document.querySelectorAll("#servers tr.server, #servers tr.worker").length === 1`)
	b.do(chromedp.Click("#servers tr.server .who, #servers tr.worker .who"))
	b.wait(`!document.getElementById("details").hidden`)
}

// button clicks one by its words.
func button(b *tab, in, words string) {
	b.t.Helper()
	b.wait(`[...document.querySelectorAll("` + in + ` button")].some(e => e.textContent === "` + words + `" && !e.disabled)`)
	b.do(chromedp.Evaluate(`[...document.querySelectorAll("`+in+` button")].find(e => e.textContent === "`+words+`").click()`, nil))
}

// TestActions: signing in where it is needed, then what was meant, with its reason; mistakes are said and nothing is lost.
func TestActions(t *testing.T) {
	s := stage.New(0, 0)
	b := open(t, play(t, s), 1440, 900, "401").ready()
	press(b, "10.0.0.22")
	b.shot("act-details")
	button(b, "#details-do", "Drain")
	b.wait(`document.getElementById("dialog").open && document.getElementById("dialog-title").textContent === "Sign in"`)
	b.shot("act-sign-in")
	b.do(chromedp.SendKeys(`#dialog [name=name]`, stage.Name), chromedp.SendKeys(`#dialog [name=password]`, "wrong"+kb.Enter))
	b.wait(`document.querySelector("#dialog .error").textContent.includes("is wrong")`)
	b.fill(`#dialog [name=password]`, "")
	b.do(chromedp.SendKeys(`#dialog [name=password]`, stage.Password+kb.Enter))
	// What was meant goes on.
	b.wait(`document.getElementById("dialog-title")?.textContent === "Drain: shop/10.0.0.22:8080"`)
	b.do(chromedp.SendKeys(`#dialog [name=reason]`, "a new disk"))
	b.shot("act-drain")
	button(b, "#dialog", "Drain")
	b.wait(cell("10.0.0.22:8080", "state") + ` === "drain"`)
	b.wait(`document.getElementById("said").textContent.includes("is drained") && !document.getElementById("dialog").open`)
	b.shot("act-drained")
	b.wait(`document.getElementById("done").textContent.includes("a new disk")`)
	b.keys("w")
	b.wait(`document.getElementById("dialog").open`)
	b.fill(`#dialog [name=weight]`, "3")
	button(b, "#dialog", "Change the weight")
	b.wait(`!document.getElementById("dialog").open`)
	b.wait(cell("10.0.0.22:8080", "weight") + ` === "3"`)
	b.keys("m", kb.Escape) // thought better of it
	b.wait(`!document.getElementById("dialog").open`)
	b.keys("r")
	button(b, "#dialog", "Bring back")
	b.wait(cell("10.0.0.22:8080", "state") + ` === "up"`)
	b.do(chromedp.Click("#do-purge"))
	b.do(chromedp.SendKeys(`#dialog textarea`, "http://www.example.com/news\nhttp://www.example.com/"))
	b.shot("act-purge")
	button(b, "#dialog", "Purge")
	b.wait(`!document.getElementById("dialog").open`)
	b.do(chromedp.Click("#do-reload"))
	button(b, "#dialog", "Reload")
	b.wait(`!document.getElementById("dialog").open`)
	got := s.Asked()
	want := []string{`{"do":"drain","pool":"shop","server":"10.0.0.22:8080","reason":"a new disk"}`, `{"do":"weight","pool":"shop","server":"10.0.0.22:8080","reason":"","weight":3}`,
		`{"do":"ready","pool":"shop","server":"10.0.0.22:8080","reason":""}`, `{"urls":["http://www.example.com/news","http://www.example.com/"]}`, `{}`}
	if len(got) != len(want) {
		t.Fatalf("asked for %q", got)
	}
	for i, a := range got {
		if a.Body != want[i] || a.CSRF == "" {
			t.Errorf("asked %s for %s, want %s; CSRF %q", a.Path, a.Body, want[i], a.CSRF)
		}
	}
	button(b, ".bar", "Sign out "+stage.Name)
	b.wait(`document.getElementById("sign").textContent === "Sign in"`)
}

// TestReasons: a reload and a purge keep a reason too, written by keys alone, wide and on a telephone; without one nothing is sent for it.
func TestReasons(t *testing.T) {
	for _, v := range []struct{ width, height int64 }{{1440, 900}, {390, 844}} {
		s := stage.New(0, 0)
		b := open(t, play(t, s), v.width, v.height).ready()
		button(b, ".bar", "Sign in")
		b.do(chromedp.SendKeys(`#dialog [name=password]`, stage.Token+kb.Enter))
		b.wait(`document.body.classList.contains("may") && !document.getElementById("dialog").open`)
		closed := func() {
			t.Helper()
			b.wait(`!document.getElementById("dialog").open`)
		}
		button(b, ".bar", "Reload")
		// What has the focus is the field, as it is called for who does not see it, and it is in sight.
		b.wait(`document.activeElement.name === "reason" && document.activeElement.labels[0].innerText.trim().startsWith("Reason")`)
		if !eval[bool](b, `(r => r.left >= 0 && r.right <= innerWidth && r.bottom <= innerHeight && r.height >= 24)(document.activeElement.getBoundingClientRect())`) {
			t.Errorf("%d wide: the field is not in sight", v.width)
		}
		b.shot(fmt.Sprint("act-reload-", v.width))
		b.keys("n", "e", "w", kb.Enter)
		closed()
		button(b, ".bar", "Reload")
		b.keys(" ", kb.Enter)
		closed()
		button(b, ".bar", "Purge")
		b.wait(`document.activeElement.name === "kind"`)
		b.keys(kb.Tab, "h", "/", "p", kb.Tab, " ", kb.Tab)
		b.wait(`document.activeElement.name === "reason"`)
		b.shot(fmt.Sprint("act-purge-", v.width))
		b.keys("o", "l", "d", kb.Enter)
		closed()
		press(b, "photos/2")
		button(b, "#details-do", "Reload photos")
		b.wait(`document.activeElement.name === "reason"`)
		b.keys("x", kb.Enter)
		closed()
		var got []string
		for _, a := range s.Asked() {
			got = append(got, a.Path+" "+a.Body)
		}
		want := []string{`/api/v1/reload {"reason":"new"}`, `/api/v1/reload {}`, `/api/v1/purge {"urls":["h/p"],"soft":true,"reason":"old"}`, `/api/v1/reload {"app":"photos","reason":"x"}`}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("%d wide: asked for\n%q, want\n%q", v.width, got, want)
		}
	}
}

// TestSlowAction: what takes long goes on when its dialog is closed, closes no other, and its end is told.
func TestSlowAction(t *testing.T) {
	s := stage.New(0, 0)
	hold := make(chan struct{})
	h := s.Handler()
	b := open(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/reload" {
			select {
			case <-hold:
			case <-r.Context().Done():
			}
		}
		h.ServeHTTP(w, r)
	}), s), 1440, 900).ready()
	button(b, ".bar", "Sign in")
	b.do(chromedp.SendKeys(`#dialog [name=password]`, stage.Token+kb.Enter))
	b.wait(`document.body.classList.contains("may") && !document.getElementById("dialog").open`)
	b.do(chromedp.Click("#do-reload"))
	button(b, "#dialog", "Reload")
	b.wait(`[...document.querySelectorAll("#dialog button")].some(e => e.textContent === "Under way …" && e.disabled)`)
	button(b, "#dialog", "Cancel")
	b.do(chromedp.Click("#do-purge"))
	b.wait(`document.getElementById("dialog-title").textContent === "Purge from the cache"`)
	close(hold)
	b.wait(`document.getElementById("said").textContent === "The configuration is in force."`)
	if !eval[bool](b, `document.getElementById("dialog").open`) {
		t.Error("the end of one action has closed the dialog of another")
	}
}

// TestLastServer: who takes out the last one is told what that means.
func TestLastServer(t *testing.T) {
	s := stage.New(0, 0)
	s.Change(func(p *picture.Picture) { p.Pools[4].Servers[1].State = "down" })
	b := open(t, play(t, s), 1440, 900, "401").ready()
	press(b, "10.0.2.1")
	button(b, "#details-do", "Maintenance")
	b.wait(`document.getElementById("dialog").open`)
	b.do(chromedp.SendKeys(`#dialog [name=password]`, stage.Token+kb.Enter))
	b.wait(`document.getElementById("dialog").textContent.includes("the pool will be down")`)
	b.shot("act-last")
	b.keys(kb.Escape, kb.Escape)
	press(b, "photos/2")
	button(b, "#details-do", "Drain")
	b.wait(`document.getElementById("dialog-title")?.textContent === "Drain: photos/2"`) // as it is called everywhere else
}

// TestSignedOnly: where looking takes signing in, nothing is shown before.
func TestSignedOnly(t *testing.T) {
	s := stage.New(0, 0)
	s.SignIn()
	b := open(t, play(t, s), 1440, 900, "401")
	b.wait(`document.getElementById("dialog").open && !document.getElementById("closed").hidden`)
	if got := eval[string](b, `document.getElementById("servers").tBodies[0].textContent + document.getElementById("node").textContent`); got != "" {
		t.Errorf("before signing in there is %q", got)
	}
	b.shot("signed-only")
	b.do(chromedp.SendKeys(`#dialog [name=password]`, stage.Token+kb.Enter))
	b.ready()
	b.wait(`document.getElementById("node").textContent === "web1.example.com" && document.getElementById("closed").hidden`)
}

// TestAlerts: what fires is told above all else, can be acknowledged and silenced; downtime and errors of the application appear where there are some.
func TestAlerts(t *testing.T) {
	s := stage.New(0, 0)
	now := time.Now()
	s.Have("/api/v1/alerts", map[string]any{"alerts": []map[string]any{
		{"rule": "server_down", "subject": "shop/10.0.0.22:8080", "state": "firing", "severity": "critical", "text": "server shop/10.0.0.22:8080 is down: timeout", "since": now.Add(-4 * time.Minute), "explains": []string{"pool_degraded shop"}},
		{"rule": "pool_degraded", "subject": "shop", "state": "firing", "severity": "warning", "text": "pool shop is degraded", "since": now, "by": "server_down shop/10.0.0.22:8080"},
		{"rule": "disk", "subject": "/", "state": "firing", "severity": "warning", "text": "93 % of the disk at / is in use", "since": now},
		{"rule": "hit_ratio", "subject": "", "state": "resolved", "severity": "warning", "text": "the hit ratio has fallen to 31 %", "since": now.Add(-time.Hour), "ended": now.Add(-time.Minute)}},
		"silences": []map[string]any{{"id": "s1", "rule": "disk", "subject": "*", "until": now.Add(time.Hour), "by": "jonas", "why": evil[0]}}, "targets": []any{map[string]any{"target": "ops"}}})
	s.Have("/api/v1/downtime", map[string]any{"unseen_s": 130, "sites": []map[string]any{{"name": "www.example.com", "down_s": 610, "budget_s": 2700, "left_s": 2090, "list": []map[string]any{{"begin": now.Add(-80 * time.Hour), "end": now.Add(-79 * time.Hour), "cause": "pool photos was down"}}},
		{"name": "shop.example.com", "down_s": 3000, "budget_s": 2700, "left_s": -300, "list": []any{}}, {"name": "api.example.com", "down_s": 0, "budget_s": nil, "list": nil}}})
	s.Have("/api/v1/problems", map[string]any{"problems": []map[string]any{{"id": "p1", "kind": "python", "app": "photos", "where": "photos/views.py:88 in thumb", "shape": "KeyError: <img src=x onerror=window.ran=9>", "sample": []string{"Traceback (most recent call last):", "<script>window.ran=10</script>"},
		"first": now.Add(-time.Hour), "last": now, "count": 41}}})
	b := open(t, play(t, s), 1440, 900, "401").ready()
	b.wait(`document.querySelectorAll("#alerts > li").length === 3 && document.querySelectorAll("#downtime > li").length === 3 && document.querySelectorAll("#problems > li").length === 1`)
	b.wait(`document.getElementById("verdict").textContent.includes("Alert: 93 % of the disk at / is in use.")`)
	if got := eval[string](b, `document.querySelectorAll("#downtime > li")[1].textContent`); !strings.Contains(got, "5 m over its budget") {
		t.Errorf("a budget that is used up: %q", got)
	}
	b.do(chromedp.Evaluate(`document.querySelector("#problems .line").click(); document.querySelector(".rooms").scrollIntoView()`, nil))
	b.wait(`document.querySelector("#problems pre").textContent.includes("<script>")`)
	button(b, ".bar", "Sign in")
	b.do(chromedp.SendKeys(`#dialog [name=password]`, stage.Token+kb.Enter))
	b.wait(`document.body.classList.contains("may")`)
	b.shot("alerts")
	button(b, "#alerts", "Acknowledge")
	b.do(chromedp.SendKeys(`#dialog [name=why]`, "mine"))
	button(b, "#dialog", "Acknowledge")
	b.wait(`!document.getElementById("dialog").open`)
	button(b, "#alerts", "Silence")
	button(b, "#dialog", "Silence")
	b.wait(`!document.getElementById("dialog").open`)
	button(b, "#silences", "End")
	button(b, "#dialog", "End it")
	b.wait(`!document.getElementById("dialog").open`)
	var got []string
	for _, a := range s.Asked() {
		got = append(got, a.Path+" "+a.Body)
	}
	want := []string{`/api/v1/alerts/acknowledge {"alert":"server_down shop/10.0.0.22:8080","why":"mine"}`, `/api/v1/alerts/silence {"rule":"server_down","subject":"shop/10.0.0.22:8080","for":"30m","why":""}`, `/api/v1/alerts/silence {"end":"s1"}`}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("asked for\n%q, want\n%q", got, want)
	}
	if ran := eval[any](b, `window.ran ?? 0`); ran != float64(0) {
		t.Errorf("what a stranger wrote has run: %v", ran)
	}
}

// evil is what strangers write where they can.
var evil = []string{`<img src=x onerror="window.ran=1">`, `<script>window.ran=2</script>`, `"><svg/onload=window.ran=3>`, `javascript:window.ran=4`, `</td></tr></table><iframe srcdoc="<script>parent.ran=5</script>">`,
	`{{constructor.constructor('window.ran=6')()}}`, "\u202e<b>evil</b>\u0000"}

// TestNothingRuns: HTML and scripts in every text that the page shows are texts.
func TestNothingRuns(t *testing.T) {
	s := stage.New(0, 0)
	all := strings.Join(evil, " ")
	s.Change(func(p *picture.Picture) {
		p.Node, p.Version, p.File, p.Problem, p.Listen = all, all, all, all, evil
		p.Sites[0].Name, p.Sites[0].Hosts = evil[0], evil
		p.Routes[0].Site, p.Routes[0].Name = evil[0], evil[1]
		p.Routes[0].Whys, p.Routes[0].Causes = map[string]uint64{evil[0]: 1e6, "__proto__": 5, "constructor": 4}, map[string]uint64{evil[2]: 1e6, "__proto__": 3}
		p.Routes[0].Slow = &api.Exemplar{ID: evil[4], Took: 9}
		p.Pools[0].Name, p.Pools[0].Breaker = evil[4], evil[2]
		p.Pools[1].Servers[0] = picture.Server{Name: evil[2], Address: evil[0], State: `x" onmouseover="window.ran=7`, Why: all + " 200", Check: evil[3], Weight: 1, Share: 1000, Failures: map[string]uint64{evil[1]: 3}}
		p.Apps[0].Workers[0].Last, p.Apps[0].Workers[0].Due, p.Apps[0].Workers[0].State = all, evil[1], "failing"
		p.Facts.Words, p.Facts.Disks[0].Path, p.Facts.Processes[0].What = evil, evil[0], evil[1]
		p.Faults = []api.Fault{{Do: evil[0], By: evil[1], Reason: evil[2]}}
		p.Included = []api.FileStatus{{Path: evil[0], Problem: evil[1]}}
	})
	for i, e := range evil {
		s.Happen(e, e, e)
		s.Tell(map[string]any{"time": time.Now().Add(time.Duration(i) * time.Second), "status": 500, "method": e, "host": e, "target": "/" + e, "cause": e, "detail": e, "id": e, "client": e, "route": e, "pool": e, "server": e,
			"cache": e, "cache_why": e, "total_ms": 5, "stages_ms": map[string]any{e: 1, `queued" onclick="window.ran=8`: 2, "__proto__": 3}})
	}
	b := open(t, play(t, s), 1440, 900).ready()
	b.wait(`document.querySelectorAll("#stories > li").length > 8`)
	b.do(chromedp.Evaluate(`document.querySelectorAll("#stories .line").forEach(e => e.click()); document.querySelectorAll("#servers .who:not([aria-expanded])").forEach(e => e.click());`, nil))
	b.wait(`!document.getElementById("details").hidden`)
	b.do(chromedp.Evaluate(`document.querySelectorAll("#servers .who").forEach(e => { e.dispatchEvent(new MouseEvent("mouseover", { bubbles: true })); })`, nil))
	press(b, "evil 200")
	button(b, "#details-do", "Drain")
	b.wait(`document.getElementById("dialog").open`)
	b.keys(kb.Escape)
	if ran := eval[any](b, `window.ran ?? 0`); ran != float64(0) {
		t.Errorf("what a stranger wrote has run: %v", ran)
	}
	if n := eval[int](b, `document.querySelectorAll("body img, body iframe, body script, svg[onload], [onerror], [onmouseover], [onclick]").length`); n != 0 {
		t.Errorf("%d elements came from texts", n)
	}
	if eval[bool](b, `document.body.textContent.includes("[object") || document.body.textContent.includes("function ") || document.body.textContent.includes("undefined") || document.body.textContent.includes("NaN")`) {
		t.Error("something is shown that is no text of anybody's")
	}
	if got := eval[string](b, `document.querySelector("#facts-words li").textContent`); got != evil[0] {
		t.Errorf("%q is shown as %q", evil[0], got)
	}
	b.do(chromedp.Evaluate(`document.getElementById("details-close").click(); scrollTo(0, 0)`, nil))
	b.shot("hostile")
}
