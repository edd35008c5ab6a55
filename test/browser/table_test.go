package browser

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/weirhq/weir/internal/picture"
	"github.com/weirhq/weir/test/browser/stage"
)

// cell is an expression: the text in a column of the row with a name.
func cell(name, column string) string {
	return fmt.Sprintf(`[...document.querySelectorAll("#servers tbody tr")].find(tr => tr.querySelector(".who")?.textContent === %q)?.querySelector(".c-%s")?.textContent`, name, column)
}

// TestContent: the numbers of the picture stand where a reader looks for them.
func TestContent(t *testing.T) {
	s := stage.New(0, 0)
	s.Change(func(p *picture.Picture) {
		v := &p.Pools[3].Servers[1]
		v.State, v.Why, v.Downs, v.DownFor, v.CheckFail, v.Weight = "down", "connection refused", 3, 3725, 41, 7
		v.Failures = map[string]uint64{"connect_error": 12, "timeout": 5, "empty_response": 2}
		p.Pools[0].Retries, p.Pools[0].Redispatch, p.Pools[0].Queued = 91, 90, 17
		p.Apps[0].Workers[2].Restarts, p.Apps[0].Workers[2].Last = 4, "exit status 1: MemoryError"
		p.Problem = "the last reload was refused: sites.d/shop.yaml:12: no pool has the name shp"
	})
	b := open(t, play(t, s), 1600, 1000).ready()
	b.wait(cell("10.0.0.6:8080", "state") + ` === "down"`)
	for _, c := range []struct{ row, column, want string }{
		{"10.0.0.6:8080", "check", "connection refused"}, {"10.0.0.6:8080", "downs", "3"}, {"10.0.0.6:8080", "fails", "41"}, {"10.0.0.6:8080", "weight", "7"}, {"10.0.0.6:8080", "econ", "12"},
		{"10.0.0.6:8080", "etime", "5"}, {"10.0.0.6:8080", "eresp", "2"}, {"10.0.0.9:8080", "weight", "1 b"}, {"photos", "retry", "91"}, {"photos", "redis", "90"},
		{"photos", "queue", "17"}, {"photos/3", "again", "4"}, {"photos/3", "check", "exit status 1: MemoryError"}, {"www.example.com", "state", "open"}, {"shop", "check", "3 of 3 open"},
	} {
		if got := eval[string](b, cell(c.row, c.column)); got != c.want {
			t.Errorf("%s of %s is %q, want %q", c.column, c.row, got, c.want)
		}
	}
	if got := eval[string](b, `document.getElementById("verdict").textContent`); !strings.Contains(got, "10.0.0.6:8080 is down.") || !strings.Contains(got, "15 of 16 servers take requests") || !strings.Contains(got, "shop.yaml:12") {
		t.Errorf("the verdict is %q", got)
	}
	if got := eval[string](b, `document.title`); !strings.HasPrefix(got, "! web1.example.com") {
		t.Errorf("the title is %q", got)
	}
	if eval[bool](b, `getComputedStyle(document.querySelector("tr.s-down td")).backgroundColor === getComputedStyle(document.querySelector("tr.s-ready td")).backgroundColor`) {
		t.Error("a server that is down looks like one that is up")
	}
	b.wait(`document.querySelectorAll("#stories > li").length === 4 && document.querySelectorAll("#events li").length > 4 && document.querySelector("#hands li")`)
	b.wait(`[...document.querySelectorAll("#river .who")].some(e => e.textContent === "cache")`)
	b.shot("content")
	b.do(chromedp.Click("#stories .line"))
	b.wait(`document.querySelector(".story .stages i") && document.querySelector(".story").textContent.includes("did not begin to answer in time") && document.querySelector(".story").textContent.includes("30 s in all, 28 s waiting for the server, 2.1 s in the queue")`)
	b.do(chromedp.ScrollIntoView("#stories"))
	b.shot("story")
}

// TestLive: what changes is shown within a second, and what does not is left alone.
func TestLive(t *testing.T) {
	s := stage.New(0, 0)
	b := open(t, play(t, s), 1440, 900).ready()
	b.do(chromedp.Evaluate(`window.changed = 0; window.named = document.querySelector("#servers tbody tr.server .who");
		new MutationObserver(list => { for (const m of list) if (m.target.closest?.(".c-name, thead")) window.changed++; }).observe(document.getElementById("servers"), { subtree: true, childList: true, characterData: true });`, nil))
	first := eval[string](b, cell("shop", "total"))
	b.wait(cell("shop", "total") + ` !== ` + fmt.Sprintf("%q", first))
	s.Change(func(p *picture.Picture) {
		v := &p.Pools[1].Servers[1]
		v.State, v.Why = "down", "timeout after 1 s"
	})
	s.Happen("server", "shop/10.0.0.22:8080", "is down: timeout after 1 s")
	b.wait(cell("10.0.0.22:8080", "state") + ` === "down"`)
	b.wait(`document.querySelector("#events li").textContent.includes("timeout after 1 s")`)
	b.wait(`document.getElementById("live").textContent.startsWith("shop is degraded")`)
	b.wait(`document.getElementById("verdict").textContent.startsWith("shop is degraded. shop/10.0.0.22:8080: timeout after 1 s.")`) // where to look
	if n := eval[int](b, `window.changed`); n != 0 {
		t.Errorf("names and heads were changed %d times, and none of them is another", n)
	}
	if !eval[bool](b, `window.named.isConnected`) {
		t.Error("a row was made anew though it is the same")
	}
	b.shot("live")
	s.Change(func(p *picture.Picture) {
		w := &p.Apps[0].Workers[1]
		w.Looping, w.State, w.Last = true, "failing", "exit status 3: ModuleNotFoundError: No module named 'mysite'"
		p.Problem = "reload of the app photos: it died; its last words: x.\nits last output:\n" + strings.Repeat("  File \"a.py\", line 1149\n", 40)
	})
	b.wait(`document.getElementById("verdict").textContent.includes("In a crash loop: photos/2. exit status 3: ModuleNotFoundError: No module named 'mysite'.")`)
	// Of a problem with many lines the first one stands on top, and all of them further down.
	b.wait(`document.getElementById("verdict").textContent.includes("it died; its last words: x. ") && !document.getElementById("verdict").textContent.includes("a.py")`)
	b.do(chromedp.Evaluate(`document.getElementById("p-machine").scrollIntoView()`, nil))
	b.wait(`document.getElementById("facts-words").textContent.includes("a.py")`)
	s.Change(func(p *picture.Picture) { p.Edge.Up = false })
	b.wait(`document.getElementById("live").textContent.startsWith("The edge does not answer.") && document.title.startsWith("✕")`)
}

// TestLost: a page without word says so, keeps the last picture, and goes on by itself.
func TestLost(t *testing.T) {
	s := stage.New(0, 0)
	server := newSwitch(s.Handler())
	url := serve(t, server, s)
	b := open(t, url, 1440, 900, "ERR_", "503").ready()
	server.off.Store(true)
	s.Cut()
	b.wait(`document.body.classList.contains("lost") && !document.getElementById("lost").hidden`)
	if got := eval[string](b, cell("10.0.0.21:8080", "state")); got != "up" {
		t.Errorf("the last picture is gone: %q", got)
	}
	b.shot("lost")
	server.off.Store(false)
	b.wait(`!document.body.classList.contains("lost") && document.getElementById("lost").hidden`)
}

// TestMany: a thousand servers are shown by the rows that are seen, and scrolling keeps up.
func TestMany(t *testing.T) {
	s := stage.New(100, 10)
	s.Change(func(p *picture.Picture) { p.Pools[70].Servers[3].State = "down" })
	b := open(t, play(t, s), 1440, 900).ready()
	b.wait(`document.getElementById("servers-count").textContent.startsWith("1016 servers")`)
	// Pools that are well begin closed, the one that is not is open.
	if n := eval[int](b, `+document.getElementById("servers").getAttribute("aria-rowcount")`); n > 140 {
		t.Errorf("%d rows at the beginning: pools that are well are open", n)
	}
	b.do(chromedp.Click("#open-all"))
	b.wait(`+document.getElementById("servers").getAttribute("aria-rowcount") > 1100`)
	if n := eval[int](b, `document.querySelectorAll("#servers tbody tr").length`); n > 120 {
		t.Errorf("%d rows are in the document", n)
	}
	// Each frame of a fast scroll over all of them, the drawing of a picture included.
	worst := eval[float64](b, `new Promise(done => {
		const box = document.getElementById("servers-box"); let worst = 0, n = 0, last;
		const step = now => {
			if (last) worst = Math.max(worst, now - last);
			last = now; box.scrollTop += 1000;
			if (++n < 30) requestAnimationFrame(step); else done(worst);
		};
		requestAnimationFrame(step);
	})`)
	t.Logf("the longest frame while scrolling over 1,016 servers took %.0f ms", worst)
	b.wait(`document.getElementById("servers-box").scrollTop > 20000 && [...document.querySelectorAll("#servers .who")].some(e => e.textContent.startsWith("10.3.9"))`)
	b.shot("many")
	work := eval[float64](b, `(() => { const t = performance.now(); for (let i = 0; i < 20; i++) document.getElementById("servers-box").dispatchEvent(new Event("scroll")); return performance.now() - t; })()`)
	t.Logf("twenty scroll events cost %.1f ms", work)
	b.do(chromedp.SendKeys("#filter", "10.3.65.4"))
	b.wait(`document.getElementById("servers-count").textContent === "1 of 1016 servers"`)
	b.shot("many-filtered")
	b.keys(kb.Escape)
	b.wait(`document.getElementById("filter").value === "" && document.getElementById("servers-count").textContent.startsWith("1016")`)
	b.do(chromedp.Click("#only-bad"))
	b.wait(`[...document.querySelectorAll("#servers tbody tr.server")].length === 1 && document.querySelector("#servers tr.s-down")`)
	b.shot("many-problems")
}

// TestSort: a click on a head sorts, and the third one gives the order of the configuration back.
func TestSort(t *testing.T) {
	b := open(t, play(t, stage.New(3, 5)), 1440, 900).ready()
	rates := `[...document.querySelectorAll("#servers tr.server .c-rate, #servers tr.worker .c-rate")].map(e => +e.textContent.replace("<", ""))`
	click := func() { b.do(chromedp.Click(`#servers thead th.c-total .sort`)) }
	totals := strings.ReplaceAll(strings.ReplaceAll(rates, "c-rate", "c-total"), `+e.textContent.replace("<", "")`, `parseFloat(e.textContent.replace(",", "")) * (e.textContent.endsWith("k") ? 1000 : 1)`)
	click()
	b.wait(`document.querySelector("th.c-total").getAttribute("aria-sort") === "descending" && (v => v.length > 10 && v.every((n, i) => !i || n <= v[i - 1]))(` + totals + `)`)
	click()
	b.wait(`document.querySelector("th.c-total").getAttribute("aria-sort") === "ascending" && (v => v.every((n, i) => !i || n >= v[i - 1]))(` + totals + `)`)
	b.shot("sorted")
	click()
	b.wait(`!document.querySelector("th.c-total").hasAttribute("aria-sort") && document.querySelector("#servers tr.pool")`)
}

// TestKeyboard: all of it without a mouse.
func TestKeyboard(t *testing.T) {
	b := open(t, play(t, stage.New(0, 0)), 1440, 900).ready()
	focus := `document.activeElement?.textContent`
	b.keys("j", "j", "k")
	b.wait(focus + ` === "www.example.com"`)
	b.keys("o")
	b.wait(`document.querySelectorAll("#servers tr.route").length === 4`)
	b.keys("o")
	b.wait(`document.querySelectorAll("#servers tr.route").length === 0`)
	b.keys("/")
	b.wait(`document.activeElement.id === "filter"`)
	b.do(chromedp.KeyEvent("shop 22"))
	b.wait(`document.querySelectorAll("#servers tr.server").length === 1`)
	b.keys(kb.Enter, "j")
	b.wait(focus + ` === "10.0.0.22:8080"`)
	b.keys(kb.Enter)
	b.wait(`!document.getElementById("details").hidden && document.getElementById("details-title").textContent === "shop / 10.0.0.22:8080"`)
	b.wait(`document.querySelectorAll("#details-list > div").length > 8`)
	b.shot("keyboard-details")
	b.keys(kb.Escape)
	b.wait(`document.getElementById("details").hidden && ` + focus + ` === "10.0.0.22:8080"`)
	b.keys(kb.Escape)
	b.wait(`document.getElementById("filter").value === "" && document.querySelectorAll("#servers tr.server").length > 5`)
	b.keys("?")
	b.wait(`document.getElementById("dialog").open && document.querySelector("#dialog kbd")`)
	b.shot("keyboard-help")
	b.keys(kb.Escape)
	b.wait(`!document.getElementById("dialog").open`)
	dark := `getComputedStyle(document.documentElement).colorScheme`
	was := eval[string](b, dark)
	b.keys("t")
	b.wait(dark + ` !== ` + fmt.Sprintf("%q", was))
	b.do(chromedp.Reload())
	b.ready()
	if now := eval[string](b, dark); now == was {
		t.Errorf("after a reload it is %s again", now)
	}
	b.keys("3")
	b.wait(`document.querySelector('#spans [data-span="1d"]').getAttribute("aria-pressed") === "true"`)
	b.do(chromedp.Focus("#graph"))
	b.keys(kb.ArrowLeft, kb.ArrowLeft)
	b.wait(`document.getElementById("graph-tip").textContent.includes("requests/s")`)
	b.shot("keyboard-graph")
}

// TestReaders: what a screen reader is told.
func TestReaders(t *testing.T) {
	b := open(t, play(t, stage.New(0, 0)), 1440, 900).ready()
	for what, js := range map[string]string{
		"rows have heads":            `[...document.querySelectorAll("#servers tbody tr:not(.gap)")].every(tr => tr.querySelector("th[scope=row]"))`,
		"columns have heads":         `document.querySelectorAll("#servers thead tr:last-child th[scope=col]").length === document.querySelectorAll("#servers tbody tr:not(.gap)")[0].children.length`,
		"buttons have names":         `[...document.querySelectorAll("button")].filter(b => b.offsetParent && !b.textContent.trim() && !b.getAttribute("aria-label")).length === 0`,
		"fields have labels":         `[...document.querySelectorAll("input, select, textarea")].every(e => e.closest("label") || e.getAttribute("aria-label"))`,
		"pictures have words":        `[...document.querySelectorAll("svg[role=img], canvas")].every(e => e.getAttribute("aria-label"))`,
		"there is a language":        `document.documentElement.lang === "en"`,
		"numbers are not live":       `[...document.querySelectorAll("[aria-live], [role=status], [role=alert]")].every(e => !e.closest("table, .vitals"))`,
		"ids are there once":         `(ids => new Set(ids).size === ids.length)([...document.querySelectorAll("[id]")].map(e => e.id))`,
		"one section follows a head": `[...document.querySelectorAll("h3")].every(h => h.closest("section, aside"))`,
	} {
		if !eval[bool](b, js) {
			t.Errorf("%s: not so", what)
		}
	}
}

// TestFew: one of something is one, and what is not configured is not spoken of as if it were.
func TestFew(t *testing.T) {
	s := stage.New(0, 0)
	s.Change(func(p *picture.Picture) {
		p.Pools, p.Cache, p.Edge.Connections = p.Pools[:1], nil, 1
		p.Pools[0].Servers, p.Apps[0].Workers = p.Pools[0].Servers[:1], p.Apps[0].Workers[:1]
		p.Pools[0].Servers[0].Downs, p.Apps[0].Workers[0].Restarts = 1, 1
		p.Sites, p.Routes = p.Sites[:1], p.Routes[1:2]
		p.Total.Cache, p.Routes[0].Cache = [7]uint64{}, [7]uint64{}
	})
	b := open(t, play(t, s), 1440, 900)
	b.wait(`document.getElementById("servers-count").textContent === "1 server in 1 pool"`)
	b.wait(`document.getElementById("v-active-note").textContent === "1 connection"`)
	press(b, "photos/1")
	b.wait(`(text => text.includes("Down1 time, ") && text.includes("Started again1 time"))(document.getElementById("details-list").textContent)`)
	if n := eval[int](b, `document.querySelectorAll("h1").length`); n != 1 || !eval[bool](b, `document.querySelector("h1").textContent.startsWith("All well.")`) {
		t.Errorf("%d heads of the page", n)
	}
}

// TestNumbersFit: no number of a large site is cut off: the first digits of one are another number.
func TestNumbersFit(t *testing.T) {
	s := stage.New(0, 0)
	s.Change(func(p *picture.Picture) {
		for i := range p.Pools {
			o := &p.Pools[i]
			o.Queued, o.QueueMax, o.QueueSize, o.Retries, o.Redispatch, o.Rejected, o.TimedOut = 1234, 8888, 100_000, 88_888_888, 8_888_888, 888_888, 88_888
			for j := range o.Servers {
				v := &o.Servers[j]
				v.Active, v.ActiveMax, v.Limit, v.Requests, v.In, v.Out, v.Weight = 888, 8888, 8888, 8_888_888_888, 888<<30, 888<<40, 256
				v.Status[5], v.CheckFail, v.Downs, v.DownFor = 8_888_888, 888_888, 8888, 88*86400+23*3600
				v.Since = v.Since.AddDate(-1, 0, 0)
				v.Failures = map[string]uint64{"connect_error": 88_888, "timeout": 888_888, "empty_response": 88_888_888}
				v.Rate, v.RateMax, v.ErrorRate, v.P50, v.P95, v.P99 = 8888, 28_888, 888, 88.8, 888, 88_888
			}
		}
		for i := range p.Routes {
			f := &p.Routes[i].Flow
			f.Retries, f.Status[5], f.Causes = 888_888, 88_888_888, map[string]uint64{"connect_error": 88_888, "queue_timeout": 888_888, "queue_full": 8_888_888}
		}
		for i := range p.Apps {
			for j := range p.Apps[i].Workers {
				w := &p.Apps[i].Workers[j]
				w.Restarts, w.Memory, w.CPU = 8888, 88<<30, 8.88
			}
		}
	})
	b := open(t, play(t, s), 1440, 900).ready()
	b.wait(cell("10.0.0.6:8080", "downs") + ` === "8888"`)
	cut := eval[[]string](b, `[...document.querySelectorAll("#servers tbody td:not(.left)")].filter(e => e.scrollWidth > e.clientWidth).map(e => e.className + ": " + e.textContent)`)
	if len(cut) > 0 {
		t.Errorf("%d numbers are cut off: %q", len(cut), cut)
	}
	if heads := eval[[]string](b, `[...document.querySelectorAll("#servers thead .sort")].filter(e => e.scrollWidth > e.clientWidth).map(e => e.textContent)`); len(heads) > 0 {
		t.Errorf("heads are cut off: %q", heads)
	}
	b.do(chromedp.EmulateViewport(1600, 1000))
	b.wait(`document.getElementById("servers-box").scrollWidth <= document.getElementById("servers-box").clientWidth`) // all columns are in sight
	b.shot("numbers-fit")
}
