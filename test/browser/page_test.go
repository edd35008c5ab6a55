package browser

import (
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/weirhq/weir/test/browser/stage"
)

// TestLooks leaves the page's pictures: wide and light, dark, narrow.
func TestLooks(t *testing.T) {
	url := play(t, stage.New(0, 0))
	for _, v := range []struct {
		name, scheme  string
		width, height int64
	}{{"light", "light", 1600, 1000}, {"dark", "dark", 1600, 1000}, {"narrow", "light", 390, 844}, {"middle", "dark", 1024, 768}} {
		t.Run(v.name, func(t *testing.T) {
			b := open(t, "about:blank", v.width, v.height)
			b.do(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: v.scheme}}), chromedp.Navigate(url))
			b.ready()
			b.wait(`document.getElementById("v-hit").textContent.includes("%") && document.querySelector("#river .band.hit")`)
			b.shot(v.name)
			if got := eval[int](b, `document.documentElement.scrollWidth - innerWidth`); got > 0 {
				t.Errorf("the page is %d pixels wider than the window", got)
			}
			b.do(chromedp.Evaluate(`document.querySelector(".rooms").scrollIntoView()`, nil))
			b.wait(`document.querySelectorAll("#facts > div").length > 5`)
			b.shot(v.name + "-rooms")
			press(b, "photos/3")
			b.wait(`document.querySelectorAll("#details-list > div").length > 10`)
			b.shot(v.name + "-details")
			if got := eval[int](b, `document.documentElement.scrollWidth - innerWidth`); got > 0 {
				t.Errorf("with details the page is %d pixels wider than the window", got)
			}
		})
	}
}
