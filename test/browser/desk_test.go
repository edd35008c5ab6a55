package browser

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/weirhq/weir/internal/testkit"
	"github.com/weirhq/weir/test/browser/stage"
)

// TestRealDesk: the page at the real desk of the real program: it shows requests, somebody signs in, drains a server, and no request goes there.
func TestRealDesk(t *testing.T) {
	var servers [2]*httptest.Server
	for i := range servers {
		servers[i] = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "server ", i) }))
		t.Cleanup(servers[i].Close)
	}
	name := func(i int) string { return strings.TrimPrefix(servers[i].URL, "http://") }
	admin := testkit.FreeAddress(t)
	const token = "0123456789abcdef"
	w := testkit.Run(t, testkit.Setup{Config: fmt.Sprintf(`
listen: {http: ["@ADDRESS@"]}
log: {access: {to: none}}
admin: {listen: %q, token: %s}
alerts: {targets: {ops: {command: [/bin/cat]}}}
availability: {browser.test: {budget: 45m}}
pools:
  two:
    balance: round_robin
    servers: [{address: %q}, {address: %q}]
sites:
  - hosts: [browser.test]
    routes:
      - match: {path: /hello}
        respond: {status: 200, body: hello}
      - pool: two
`, admin, token, name(0), name(1)), Args: nil})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	ask := func(path string) string {
		t.Helper()
		r, err := http.NewRequest("GET", "http://"+w.Address+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "browser.test"
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for range 40 {
		ask("/")
	}
	for range 7 {
		ask("/hello")
	}
	// In its first second a desk knows nothing of what was.
	testkit.Eventually(t, testkit.Patience, "the desk knows what was", func() bool {
		resp, err := client.Get("http://" + admin + "/api/v1/series")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	b := open(t, "http://"+admin+"/", 1440, 900, "401").ready()
	b.wait(cell("two", "total") + ` === "40" && ` + cell(name(0), "total") + ` === "20"`)
	b.wait(cell("browser.test", "total") + ` === "47"`)
	b.wait(`document.getElementById("verdict").textContent.includes("All 2 servers take requests")`)
	press(b, name(1))
	button(b, "#details-do", "Drain")
	b.wait(`document.getElementById("dialog").open`)
	b.do(chromedp.SendKeys(`#dialog [name=password]`, token+kb.Enter))
	b.wait(`document.getElementById("dialog-title")?.textContent.startsWith("Drain: two/")`)
	b.do(chromedp.SendKeys(`#dialog [name=reason]`, "<b>a test</b>"))
	button(b, "#dialog", "Drain")
	b.wait(cell(name(1), "state") + ` === "drain"`)
	b.wait(`document.getElementById("hands").textContent.includes("<b>a test</b>")`)
	for range 10 {
		if got := ask("/"); got != "server 0" {
			t.Fatalf("%q answered, though it is drained", got)
		}
	}
	b.wait(`!document.getElementById("p-alerts").hidden && document.getElementById("downtime").textContent.includes("45 m left of 45 m")`)
	b.keys(kb.Escape)
	b.shot("real-desk")
	for _, path := range []string{"/haproxy;csv", "/stats.csv", "/stats.json"} {
		resp, err := client.Get("http://" + admin + path)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(text), name(0)) {
			t.Errorf("%s: %d %.80s %v", path, resp.StatusCode, text, err)
		}
	}
}

// TestWire: all that a browser fetches until the first picture is shown is under 150 KiB; the times are told, not judged.
func TestWire(t *testing.T) {
	b := open(t, play(t, stage.New(0, 0)), 1440, 900).ready()
	b.wait(`performance.getEntriesByName("first-contentful-paint").length`)
	b.mu.Lock()
	wire := b.wire
	b.mu.Unlock()
	t.Logf("%.1f KiB; first paint after %.0f ms, loaded after %.0f ms", float64(wire)/1024, eval[float64](b, `performance.getEntriesByName("first-contentful-paint")[0].startTime`), eval[float64](b, `performance.getEntriesByType("navigation")[0].loadEventEnd`))
	if wire == 0 || wire > 150<<10 {
		t.Errorf("%d bytes went over the wire", wire)
	}
}

// TestKeepsUp: what a page costs the browser while it is open, told for a small site and for a thousand servers.
func TestKeepsUp(t *testing.T) {
	for _, n := range []int{0, 100} {
		b := open(t, play(t, stage.New(n, 10)), 1440, 900).ready()
		var work [2]map[string]float64
		for i := range work {
			b.do(chromedp.ActionFunc(func(ctx context.Context) error {
				if err := performance.Enable().WithTimeDomain(performance.EnableTimeDomainThreadTicks).Do(ctx); err != nil {
					return err
				}
				all, err := performance.GetMetrics().Do(ctx)
				work[i] = map[string]float64{}
				for _, m := range all {
					work[i][m.Name] = 1000 * m.Value
				}
				return err
			}))
			if i == 0 {
				// Five pictures go by: in each of them this figure is another one.
				b.do(chromedp.Evaluate(`window.drawn = 0; new MutationObserver(() => window.drawn++).observe(document.getElementById("v-p95-note"), { subtree: true, childList: true, characterData: true });`, nil))
				b.wait(`window.drawn >= 5`)
			}
		}
		t.Logf("%d servers: %.0f ms of processor time of the page for five pictures: script %.0f, style %.0f, layout %.0f", 16+10*n, work[1]["TaskDuration"]-work[0]["TaskDuration"], work[1]["ScriptDuration"]-work[0]["ScriptDuration"],
			work[1]["RecalcStyleDuration"]-work[0]["RecalcStyleDuration"], work[1]["LayoutDuration"]-work[0]["LayoutDuration"])
		if nodes := eval[int](b, `document.getElementsByTagName("*").length`); nodes > 12_000 {
			t.Errorf("%d elements with %d servers", nodes, 16+10*n)
		}
	}
}
