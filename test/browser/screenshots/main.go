// Command screenshots writes the pictures of the README: it runs weir before the photo site and an API of its own, loads both for a while,
// breaks a little, and takes pictures of the status page in Chromium. What is to be seen is measured, not made up.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

const (
	traffic = "127.0.0.1:18480"
	admin   = "127.0.0.1:18490"
	token   = "a-token-for-the-screenshots"
)

var config = `listen: {http: ["` + traffic + `"]}
admin:
  listen: ` + admin + `
  tokens: {anna: {token: ` + token + `, role: operate}}
apps:
  photos:
    command: %[1]s serve -listen unix:$SOCKET -data %[2]s/data -users 5000 -photos 50000
    workers: 4
    ready: {path: /healthz, within: 5m}
pools:
  photos: {app: photos, max_conn: 4, queue: {size: 500, timeout: 3s}}
  api:
    servers: [{address: "127.0.0.1:18501"}, {address: "127.0.0.1:18502"}, {address: "127.0.0.1:18503", weight: 2}]
    max_conn: 40
    health: {path: /ping, every: 1s, timeout: 500ms}
  archive:
    servers: [{address: "127.0.0.1:18504"}, {address: "127.0.0.1:18505", backup: true}]
    health: {path: /ping, every: 2s}
sites:
  - hosts: [www.example.com]
    routes:
      - match: {path: /static/*}
        rewrite: {strip_prefix: /static}
        files: {root: %[3]s/examples/photos/static}
      - match: {path: /images/*}
        pool: photos
        cache: {default_ttl: 10m}
      - pool: photos
        cache: {default_ttl: 5s, grace: 1h, pass_if_cookie: [session]}
  - hosts: [api.example.com]
    routes:
      - match: {path: /v1/*}
        pool: api
        cache: {ignore_query: [utm_source]}
      - pool: api
  - hosts: [archive.example.com]
    routes: [{pool: archive}]
cache: {memory: 256MiB}
log: {access: {to: none}}
`

func main() {
	weir := flag.String("weir", "bin/weir", "the program")
	photos := flag.String("photos", "bin/photos", "the photo site's program")
	chromium := flag.String("chromium", "/usr/bin/chromium-headless-shell", "the browser")
	out := flag.String("out", "docs/screenshots", "folder for the pictures")
	long := flag.Duration("for", 6*time.Minute, "how long there is traffic before")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *weir, *photos, *chromium, *out, *long); err != nil {
		fmt.Fprintln(os.Stderr, "screenshots:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, weir, photos, chromium, out string, long time.Duration) error {
	for _, p := range []*string{&weir, &photos} {
		var err error
		if *p, err = filepath.Abs(*p); err != nil {
			return fmt.Errorf("finding %s: %w", *p, err)
		}
	}
	here, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("finding this folder: %w", err)
	}
	dir, err := filepath.Abs(".run/screenshots")
	if err != nil {
		return fmt.Errorf("finding a folder: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o755); err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	seed := exec.CommandContext(ctx, photos, "seed", "-data", filepath.Join(dir, "data"), "-users", "5000", "-photos", "50000")
	if text, err := seed.CombinedOutput(); err != nil {
		return fmt.Errorf("filling the photo site: %w\n%s", err, text)
	}
	file := filepath.Join(dir, "production.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, config, photos, dir, here), 0o644); err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	stand := newStand()
	defer stand.stop()
	cmd := exec.Command(weir, "run", file, "--run-dir", filepath.Join(dir, "run"))
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting weir: %w", err)
	}
	defer func() {
		cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it may be gone
		cmd.Wait()                          //nolint:errcheck // it was told to end
	}()
	if err := await(ctx, "http://"+admin+"/api/v1/picture"); err != nil {
		return fmt.Errorf("%w\n%s", err, said.Bytes())
	}
	if err := await(ctx, "http://"+traffic+"/"); err != nil {
		return fmt.Errorf("%w\n%s", err, said.Bytes())
	}
	loading, done := context.WithCancel(ctx)
	var loads sync.WaitGroup
	loads.Go(func() { load(loading) })
	defer loads.Wait()
	defer done()
	if err := live(ctx, stand, long); err != nil {
		return err
	}
	return shots(ctx, chromium, out)
}

// live lets time go by in which this and that happens.
func live(ctx context.Context, s *stand, long time.Duration) error {
	steps := []func() error{
		func() error { return ask(ctx, "/api/v1/reload", `{"app":"photos"}`) },
		func() error { s.slow(1, true); return nil },
		func() error { s.slow(1, false); return nil },
		func() error { return ask(ctx, "/api/v1/reload", `{}`) },
		func() error { s.close(0); return nil },
		func() error {
			return ask(ctx, "/api/v1/intervention", `{"do":"drain","pool":"api","server":"127.0.0.1:18502","reason":"a new disk"}`)
		},
	}
	for i, step := range steps {
		select {
		case <-time.After(long / time.Duration(len(steps)+1)):
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := step(); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	select {
	case <-time.After(long / time.Duration(len(steps)+1)):
	case <-ctx.Done():
	}
	return ctx.Err()
}

func await(ctx context.Context, url string) error {
	var last error
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(200 * time.Millisecond) {
		resp, err := http.Get(url)
		if err == nil {
			resp.Body.Close() //nolint:errcheck // only its status matters
			if resp.StatusCode < 500 {
				return nil
			}
			err = errors.New(resp.Status)
		}
		last = err
	}
	return fmt.Errorf("waiting for %s: %w", url, last)
}

func ask(ctx context.Context, path, body string) error {
	r, err := http.NewRequestWithContext(ctx, "POST", "http://"+admin+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return fmt.Errorf("asking for %s: %w", path, err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("asking for %s: %w", path, err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1000)) // what is there of it says why
		return fmt.Errorf("asking for %s: %s %s", path, resp.Status, text)
	}
	return nil
}

// stand is the servers of the other two pools.
type stand struct {
	servers []*http.Server
	mu      sync.Mutex
	late    map[int]bool
}

func newStand() *stand {
	s := &stand{late: map[int]bool{}}
	for i := range 5 {
		server := &http.Server{Addr: fmt.Sprintf("127.0.0.1:%d", 18501+i), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.answer(w, r, i) })}
		s.servers = append(s.servers, server)
		if ln, err := net.Listen("tcp", server.Addr); err == nil {
			go server.Serve(ln) //nolint:errcheck // it ends when it is closed
		}
	}
	return s
}

func (s *stand) answer(w http.ResponseWriter, r *http.Request, i int) {
	if r.URL.Path == "/ping" {
		w.Write([]byte("well")) //nolint:errcheck // the prober is gone
		return
	}
	wait := 4 + 9*rand.ExpFloat64()
	s.mu.Lock()
	if s.late[i] {
		wait += 250
	}
	s.mu.Unlock()
	time.Sleep(time.Duration(wait * float64(time.Millisecond)))
	if rand.IntN(600) == 0 {
		http.Error(w, "a mistake", http.StatusInternalServerError)
		return
	}
	if rand.IntN(3) > 0 {
		w.Header().Set("Cache-Control", "max-age=4")
	} else {
		w.Header().Set("Cache-Control", "no-store")
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"path":%q,"text":"%s"}`, r.URL.Path, bytes.Repeat([]byte("x"), 800)) //nolint:errcheck // the client is gone
}

func (s *stand) slow(i int, late bool) { s.mu.Lock(); defer s.mu.Unlock(); s.late[i] = late }

func (s *stand) close(i int) { s.servers[i].Close() } //nolint:errcheck // it is to break

func (s *stand) stop() {
	for i := range s.servers {
		s.close(i)
	}
}

// load asks as visitors do, so many a second whatever the answers are, in waves.
func load(ctx context.Context) {
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	places := make(chan struct{}, 200)
	begin := time.Now()
	var all sync.WaitGroup
	defer all.Wait()
	for ctx.Err() == nil {
		t := time.Since(begin).Seconds()
		rate := 70 + 25*math.Sin(t/45) + 10*math.Sin(t/7)
		time.Sleep(time.Duration(rand.ExpFloat64() / rate * float64(time.Second)))
		select {
		case places <- struct{}{}:
		default:
			continue
		}
		all.Go(func() {
			defer func() { <-places }()
			host, path := visit()
			r, err := http.NewRequestWithContext(ctx, "GET", "http://"+traffic+path, nil)
			if err != nil {
				return
			}
			r.Host = host
			if rand.IntN(12) == 0 {
				r.AddCookie(&http.Cookie{Name: "session", Value: "x"})
			}
			if resp, err := client.Do(r); err == nil {
				io.Copy(io.Discard, resp.Body) //nolint:errcheck // it may break off
				resp.Body.Close()              //nolint:errcheck // only read
			}
		})
	}
}

func visit() (host, path string) {
	few := int(rand.ExpFloat64() * 40)
	switch n := rand.IntN(100); {
	case n < 16:
		return "www.example.com", "/"
	case n < 40:
		return "www.example.com", fmt.Sprintf("/p/%d", 1+few)
	case n < 52:
		return "www.example.com", "/static/style.css"
	case n < 58:
		return "www.example.com", "/signin"
	case n < 60:
		return "www.example.com", fmt.Sprintf("/p/%d", 900000+few)
	case n < 90:
		return "api.example.com", fmt.Sprintf("/v1/items/%d", few/3)
	case n < 97:
		return "api.example.com", "/search"
	}
	return "archive.example.com", fmt.Sprintf("/%d", 1990+few%30)
}

// shots takes the pictures.
func shots(ctx context.Context, chromium, out string) error {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return fmt.Errorf("making %s: %w", out, err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium), chromedp.NoSandbox, chromedp.Flag("hide-scrollbars", true), chromedp.Flag("force-color-profile", "srgb"))
	ctx, cancel := chromedp.NewExecAllocator(ctx, options...)
	defer cancel()
	for _, v := range []struct {
		name, scheme, below string
		width, height       int64
	}{{"status", "light", "", 1600, 1000}, {"status-dark", "dark", "", 1600, 1000}, {"status-below", "light", ".rooms", 1600, 900}, {"status-narrow", "dark", "", 400, 860}} {
		tab, end := chromedp.NewContext(ctx, chromedp.WithErrorf(func(string, ...any) {}))
		var png []byte
		actions := []chromedp.Action{chromedp.EmulateViewport(v.width, v.height), emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: v.scheme}}),
			chromedp.Navigate("http://" + admin + "/"), chromedp.Poll(`document.querySelectorAll("#servers tbody tr").length > 5`, nil), chromedp.Sleep(6 * time.Second)}
		if v.below != "" {
			actions = append(actions, chromedp.Evaluate(`scrollTo(0, document.querySelector("`+v.below+`").getBoundingClientRect().top + scrollY - 52)`, nil), chromedp.Sleep(2*time.Second))
		}
		err := chromedp.Run(tab, append(actions, chromedp.CaptureScreenshot(&png))...)
		end()
		if err == nil {
			err = os.WriteFile(filepath.Join(out, v.name+".png"), png, 0o644)
		}
		if err != nil {
			return fmt.Errorf("taking %s: %w", v.name, err)
		}
		fmt.Println("wrote", filepath.Join(out, v.name+".png"))
	}
	return nil
}
