package browser

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/weirhq/weir/internal/testkit"
	"github.com/weirhq/weir/test/browser/stage"
	"go.uber.org/goleak"
)

var allocator context.Context

// TestMain starts one browser for all tests.
func TestMain(m *testing.M) {
	path := ""
	for _, p := range []string{os.Getenv("WEIR_CHROMIUM"), "/usr/bin/chromium-headless-shell", "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"} {
		if _, err := os.Stat(p); p != "" && err == nil {
			path = p
			break
		}
	}
	if path == "" {
		fmt.Fprintln(os.Stderr, "these tests need Chromium: `make browser` installs it as root, WEIR_CHROMIUM names it")
		os.Exit(1)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.WindowSize(1440, 900),
		chromedp.Flag("force-color-profile", "srgb"), chromedp.Flag("hide-scrollbars", true), chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("disable-gpu", true))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	first, stop := chromedp.NewContext(ctx, chromedp.WithErrorf(func(string, ...any) {})) // it names events that it does not know
	if err := chromedp.Run(first); err != nil {
		fmt.Fprintln(os.Stderr, "starting Chromium:", err)
		os.Exit(1)
	}
	allocator = first
	code := m.Run()
	stop()
	cancel()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// tab is one page in the browser, and what was complained about in it.
type tab struct {
	t    testing.TB
	ctx  context.Context
	mu   sync.Mutex
	said []string // errors of scripts, of the console, and refusals of the security policy
	wire int64    // bytes of answers that have ended
}

const patience = 30 * time.Second

// lacking are addresses that not every desk has: the browser itself says that they are not there.
var lacking = []string{"/api/v1/alerts", "/api/v1/downtime", "/api/v1/problems", "/api/v1/numbers"}

// open shows an address in a new tab of a size. Whatever the page complains of fails the test at its end, but for words in but.
func open(t testing.TB, url string, width, height int64, but ...string) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(allocator)
	b := &tab{t: t, ctx: ctx}
	chromedp.ListenTarget(ctx, func(ev any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch e := ev.(type) {
		case *runtime.EventExceptionThrown:
			b.said = append(b.said, e.ExceptionDetails.Error())
		case *runtime.EventConsoleAPICalled:
			if e.Type == runtime.APITypeError || e.Type == runtime.APITypeAssert {
				b.said = append(b.said, fmt.Sprint(e.Args))
			}
		case *cdplog.EventEntryAdded:
			if e.Entry.Level == cdplog.LevelError {
				b.said = append(b.said, e.Entry.Text+" "+e.Entry.URL)
			}
		case *network.EventLoadingFinished:
			b.wire += int64(e.EncodedDataLength)
		}
	})
	t.Cleanup(func() {
		cancel()
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, s := range b.said {
			if !containsAny(s, but) && !containsAny(s, lacking) {
				t.Errorf("the page complained: %s", s)
			}
		}
	})
	if err := chromedp.Run(ctx); err != nil { // the tab lives as long as the context of this call
		t.Fatalf("opening a tab: %v", err)
	}
	b.do(chromedp.EmulateViewport(width, height), cdplog.Enable(), network.Enable(), network.ClearBrowserCookies(), chromedp.Navigate(url))
	return b
}

func containsAny(s string, words []string) bool {
	for _, w := range words {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}

func (b *tab) do(actions ...chromedp.Action) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		b.shot("failed-" + strings.ReplaceAll(b.t.Name(), "/", "-"))
		b.t.Fatalf("in the browser: %v", err)
	}
}

// eval returns what an expression is, as T; of a promise, what it brings.
func eval[T any](b *tab, js string) T {
	b.t.Helper()
	var v T
	b.do(chromedp.Evaluate(js, &v, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	return v
}

// wait waits until an expression is true.
func (b *tab) wait(js string) {
	b.t.Helper()
	var ok bool
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Run(ctx, chromedp.Poll("!!("+js+")", &ok, chromedp.WithPollingInterval(50*time.Millisecond))); err != nil {
		b.shot("failed-" + strings.ReplaceAll(b.t.Name(), "/", "-"))
		if errors.Is(err, context.DeadlineExceeded) {
			b.t.Fatalf("this did not become true: %s", js)
		}
		b.t.Fatalf("%s: %v", js, err)
	}
}

// keys presses keys, one after the other, wherever the focus is.
func (b *tab) keys(keys ...string) {
	b.t.Helper()
	for _, k := range keys {
		if k > "~" || k < " " {
			b.do(chromedp.KeyEvent(k))
			continue
		}
		// As a keyboard does it: who refuses the key gets no character.
		b.do(input.DispatchKeyEvent(input.KeyDown).WithText(k).WithKey(k), input.DispatchKeyEvent(input.KeyUp).WithKey(k))
	}
}

// fill puts a text into a field in place of what is there.
func (b *tab) fill(field, value string) {
	b.t.Helper()
	b.do(chromedp.Evaluate(fmt.Sprintf(`(e => { e.focus(); e.value = %q; e.dispatchEvent(new Event("input", { bubbles: true })); })(document.querySelector(%q))`, value, field), nil))
}

// ready waits for the first picture.
func (b *tab) ready() *tab {
	b.t.Helper()
	b.wait(`!document.documentElement.classList.contains("empty") && document.querySelectorAll("#servers tbody tr").length > 4 && document.fonts.status === "loaded"`)
	return b
}

// shot leaves a picture of what is to be seen, in bin/browser.
func (b *tab) shot(name string) {
	b.t.Helper()
	dir := filepath.Join(testkit.Root(), "bin", "browser")
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	var png []byte
	if err := chromedp.Run(ctx, chromedp.CaptureScreenshot(&png)); err != nil {
		b.t.Logf("no picture of %s: %v", name, err)
		return
	}
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644)); err != nil {
		b.t.Error(err)
	}
}

// play serves a stage, alive until the test ends.
func play(t testing.TB, s *stage.Stage) string {
	t.Helper()
	server := httptest.NewServer(s.Handler())
	end := make(chan struct{})
	done := make(chan struct{})
	go func() { defer close(done); s.Run(end) }()
	t.Cleanup(func() {
		close(end)
		<-done
		s.Cut()
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}
