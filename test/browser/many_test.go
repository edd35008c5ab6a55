package browser

import (
	"context"
	"fmt"
	"testing"

	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/chromedp"
	"github.com/weirhq/weir/test/browser/stage"
)

// toll is what pictures cost in units that no machine changes.
type toll struct{ Frames, Changes, Layouts float64 }

// pictures lets n pictures go by and returns what one of them cost: frames that scripts asked for, nodes and attributes that were written,
// and how often the browser laid the page out.
func (b *tab) pictures(n int) toll {
	b.t.Helper()
	layouts := func() (count float64) {
		b.do(chromedp.ActionFunc(func(ctx context.Context) error {
			all, err := performance.GetMetrics().Do(ctx)
			for _, m := range all {
				if m.Name == "LayoutCount" {
					count = m.Value
				}
			}
			return err
		}))
		return count
	}
	b.do(performance.Enable(), chromedp.Evaluate(`(() => {
		const c = window.toll = { pictures: 0, frames: 0, changes: 0 }, raf = window.weirRaf ||= window.requestAnimationFrame;
		window.requestAnimationFrame = f => { c.frames++; return raf.call(window, f); };
		window.weirSeen?.disconnect();
		window.weirSeen = new MutationObserver(all => { c.changes += all.length; if (all.some(m => (m.target.id || m.target.parentNode?.id) === "v-p95-note")) c.pictures++; });
		window.weirSeen.observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
	})()`, nil))
	before := layouts()
	b.wait(fmt.Sprintf(`window.toll.pictures >= %d`, n))
	after := layouts()
	all := eval[struct{ Pictures, Frames, Changes float64 }](b, `window.toll`)
	b.do(chromedp.Evaluate(`window.requestAnimationFrame = window.weirRaf; window.weirSeen.disconnect()`, nil))
	return toll{Frames: all.Frames / all.Pictures, Changes: all.Changes / all.Pictures, Layouts: (after - before) / all.Pictures}
}

// TestCostsWhatIsSeen: a picture of a thousand servers costs the browser about what one of sixteen does: one frame, one layout, and only
// rows in sight are in the document, on a wide window and on a telephone, where the page scrolls and not the table.
func TestCostsWhatIsSeen(t *testing.T) {
	few := open(t, play(t, stage.New(0, 0)), 1440, 900).ready().pictures(3)
	t.Logf("16 servers: %+v", few)
	url := play(t, stage.New(100, 10))
	for _, v := range []struct {
		name          string
		width, height int64
		open          bool
	}{{"closed", 1440, 900, false}, {"open", 1440, 900, true}, {"narrow", 390, 844, true}} {
		t.Run(v.name, func(t *testing.T) {
			b := open(t, url, v.width, v.height).ready()
			if v.open {
				b.do(chromedp.Evaluate(`document.getElementById("open-all").click()`, nil))
				b.wait(`+document.getElementById("servers").getAttribute("aria-rowcount") > 1100`)
			}
			for _, at := range []string{"top", "table"} {
				if at == "table" {
					b.do(chromedp.Evaluate(`document.getElementById("servers-head").scrollIntoView({ block: "start" })`, nil))
				}
				cost := b.pictures(3)
				t.Logf("at the %s: %+v", at, cost)
				if cost.Frames > 1.5 {
					t.Errorf("at the %s a picture takes %.1f frames: what is drawn of it belongs into one", at, cost.Frames)
				}
				if cost.Layouts > few.Layouts+1.5 {
					t.Errorf("at the %s a picture has the page laid out %.1f times, with few servers %.1f times", at, cost.Layouts, few.Layouts)
				}
				// A row in sight has some ten cells that change with each picture; rows out of sight cost nothing.
				if most := few.Changes + 1000; cost.Changes > most {
					t.Errorf("at the %s a picture changes %.0f nodes, with few servers %.0f", at, cost.Changes, few.Changes)
				}
				if n := eval[int](b, `document.querySelectorAll("#servers tbody tr").length - Math.ceil(innerHeight / 25)`); n > 20 {
					t.Errorf("at the %s there are %d rows more than the window has room for", at, n)
				}
			}
			// What comes into sight is what is to be there, however far one goes at once, and back.
			for _, to := range []int{400, 30_000, 9_000, 8_900, 1_000_000, 0} {
				b.do(chromedp.Evaluate(fmt.Sprintf(`(box => { if (box.scrollHeight > box.clientHeight) box.scrollTop = %d; else scrollTo(0, document.getElementById("servers").getBoundingClientRect().top + scrollY + %[1]d); })(document.getElementById("servers-box"))`, to), nil))
				b.wait(`(() => {
					const box = document.getElementById("servers-box").getBoundingClientRect(), top = Math.max(box.top, 0) + 120, bottom = Math.min(box.bottom, innerHeight) - 30;
					const rows = [...document.querySelectorAll("#servers tbody tr:not(.gap)")], at = rows.map(r => +r.getAttribute("aria-rowindex"));
					const covers = y => { const e = document.elementFromPoint(box.left + 60, y)?.closest("#servers tr"); return !e || !e.classList.contains("gap"); };
					return rows.length > 0 && at.every((n, i) => !i || n === at[i - 1] + 1) && (bottom < top || covers(top) && covers(bottom));
				})()`)
			}
		})
	}
}

// TestScrollsByRows: who scrolls by a row has a row written, not all that are in sight.
func TestScrollsByRows(t *testing.T) {
	s := stage.New(100, 10)
	server := newSwitch(s.Handler())
	b := open(t, serve(t, server, s), 1440, 900, "ERR_", "503").ready()
	b.do(chromedp.Click("#open-all"), chromedp.Evaluate(`document.getElementById("servers-head").scrollIntoView({ block: "start" }); document.getElementById("servers-box").scrollTop = 5000`, nil))
	b.wait(`+document.querySelector("#servers tbody tr:not(.gap)").getAttribute("aria-rowindex") > 100`)
	server.off.Store(true) // no picture comes between
	s.Cut()
	b.wait(`document.body.classList.contains("lost")`)
	changes := eval[int](b, `new Promise(done => {
		let n = 0;
		const seen = new MutationObserver(all => { n += all.length; }), first = document.querySelector("#servers tbody tr:not(.gap)").getAttribute("aria-rowindex");
		seen.observe(document.getElementById("servers"), { subtree: true, childList: true, characterData: true, attributes: true });
		document.getElementById("servers-box").scrollTop += 50;
		const look = () => document.querySelector("#servers tbody tr:not(.gap)").getAttribute("aria-rowindex") === first ? requestAnimationFrame(look) : setTimeout(() => { seen.disconnect(); done(n); });
		look();
	})`)
	if rows := eval[int](b, `document.querySelectorAll("#servers tbody tr:not(.gap)").length`); changes > 2*80 || rows < 20 {
		t.Errorf("two rows further %d nodes of %d rows were changed", changes, rows)
	}
}

// TestKeysGoFar: the keyboard's row stays in sight and in focus through rows that come and go, wide and on a telephone.
func TestKeysGoFar(t *testing.T) {
	url := play(t, stage.New(100, 10))
	for _, v := range []struct{ width, height int64 }{{1440, 900}, {390, 844}} {
		b := open(t, url, v.width, v.height).ready()
		b.do(chromedp.Evaluate(`document.getElementById("open-all").click()`, nil))
		b.wait(`+document.getElementById("servers").getAttribute("aria-rowcount") > 1100`)
		at := func() int {
			return eval[int](b, `(() => {
				const e = document.activeElement, tr = e?.closest("#servers tbody tr"), r = e?.getBoundingClientRect();
				return !tr || !tr.classList.contains("chosen") || r.top < 0 || r.bottom > innerHeight ? -1 : +tr.getAttribute("aria-rowindex");
			})()`)
		}
		last := 0
		for i := range 90 {
			b.keys("j")
			now := at()
			if now <= last {
				t.Fatalf("%d wide: after j for the %d. time the row is %d, before it was %d", v.width, i+1, now, last)
			}
			last = now
		}
		for range 10 {
			b.keys("k")
			now := at()
			if now >= last || now < 0 {
				t.Fatalf("%d wide: after k the row is %d, before it was %d", v.width, now, last)
			}
			last = now
		}
		// Who scrolls away with the mouse and goes on with a key is where he was.
		b.do(chromedp.Evaluate(`document.getElementById("servers-box").scrollTop = 20000; scrollTo(0, 20000)`, nil))
		b.wait(`!document.querySelector("#servers tr.chosen")`)
		b.keys("j")
		if now := at(); now != last+1 && now != last+2 {
			t.Errorf("%d wide: after scrolling away j leads to row %d from %d", v.width, now, last)
		}
	}
}
