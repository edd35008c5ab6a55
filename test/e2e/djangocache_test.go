package e2e

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/testkit"
)

// cachedDjango runs the Django example with the configuration that it ships, but for where it is and which Python it takes:
// one that a test can take away, so that no worker starts any more.
func cachedDjango(t *testing.T) *testkit.Weir {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testkit.Root(), "examples/django/weir.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	config := string(text)
	for _, change := range [][2]string{{"command: ./start.sh", "command: @ROOT@/examples/django/start.sh"}, {"root: book/static", "root: @ROOT@/examples/django/book/static"},
		{"    env:\n", "    env:\n      PYTHON: \"@DIR@/python\"\n"}} {
		if !strings.Contains(config, change[0]) {
			t.Fatalf("the example's configuration has no %q", change[0])
		}
		config = strings.Replace(config, change[0], change[1], 1)
	}
	return testkit.Run(t, testkit.Setup{Config: config, Files: map[string]string{"python": "#!/bin/sh\nexec /usr/bin/python3 \"$@\"\n"},
		Env: []string{"LISTEN=@ADDRESS@", "GUESTBOOK_DATA=@DIR@/data"}, Plain: true, Ready: "/healthz", Within: time.Minute})
}

// sign leaves an entry in the guest book.
func (b *browser) sign(name, message string) {
	b.t.Helper()
	token := b.token("/guests/")
	if status, page := b.read(b.c.PostForm(b.w.URL("/guests/"), url.Values{"csrfmiddlewaretoken": {token}, "name": {name}, "message": {message}})); status != 200 {
		b.t.Fatalf("signing: %d %s", status, page)
	}
}

// change gives the first entry another message.
func (b *browser) change(message string) {
	b.t.Helper()
	if status, page := b.read(b.c.PostForm(b.w.URL("/entries/1/change"), url.Values{"message": {message}})); status != 200 {
		b.t.Fatalf("changing: %d %s", status, page)
	}
}

// lifeLeft is the ttl of the hit that a load of the same path gets.
func lifeLeft(t *testing.T, w *testkit.Weir, path string) int {
	t.Helper()
	c := w.Dial()
	defer c.Close()
	c.Send("GET " + path + " HTTP/1.1\r\nHost: load.test\r\n\r\n")
	status := c.Response("GET").Field("Cache-Status")
	m := timeToLive.FindStringSubmatch(status)
	if m == nil {
		t.Fatalf("no hit: %s", status)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

var timeToLive = regexp.MustCompile(`; hit; ttl=(-?[0-9]+)`)

// TestDjangoOneFetch: a thousand clients that come at once for what is not there yet cost the site one request.
func TestDjangoOneFetch(t *testing.T) {
	w := cachedDjango(t)
	const clients = 1000
	var group sync.WaitGroup
	var right atomic.Int64
	for range clients {
		group.Go(func() {
			c := w.Dial()
			defer c.Close()
			if m := request(c, "/counted?ms=700"); m.Status == 200 && string(m.Body) == "asked 1 times\n" {
				right.Add(1)
			}
		})
	}
	group.Wait()
	if n := right.Load(); n != clients {
		t.Errorf("%d of %d clients got the first answer", n, clients)
	}
	if m := get(t, w, "/counted?ms=700", ""); string(m.Body) != "asked 1 times\n" {
		t.Errorf("afterwards: %q", m.Body)
	}
}

// TestDjangoGrace: with all workers gone and none to come, what is kept is served, long past its life; once they are back
// it is refreshed.
func TestDjangoGrace(t *testing.T) {
	w := cachedDjango(t)
	b := newBrowser(t, w)
	b.sign("Ada", "I was here")
	for _, path := range []string{"/board/", "/entries/1/"} {
		if _, page := b.get(path); !strings.Contains(page, "I was here") {
			t.Fatalf("%s: %s", path, page)
		}
	}
	board := testkit.Load{Address: w.Address, Conns: 4, Path: "/board/", Pause: time.Millisecond, Limit: 2 * time.Minute}.Start(t)
	entry := testkit.Load{Address: w.Address, Conns: 4, Path: "/entries/1/", Pause: time.Millisecond, Limit: 2 * time.Minute}.Start(t)
	board.After(t, 200)
	entry.After(t, 200)
	workers := waitWorkers(t, w, "guestbook", 2) // before there is no python for one that has not begun yet
	python := filepath.Join(w.Dir, "python")
	if err := os.Rename(python, python+".gone"); err != nil {
		t.Fatal(err)
	}
	for _, worker := range workers {
		for _, p := range testkit.Tree(worker.PID) {
			p.KillIfThere(t, syscall.SIGKILL)
		}
	}
	testkit.Eventually(t, 30*time.Second, "the board is past its life", func() bool {
		return lifeLeft(t, w, "/board/") <= -3
	})
	board.After(t, 500)
	entry.After(t, 500)
	if err := os.Rename(python+".gone", python); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, time.Minute, "the workers are back, and the board is refreshed", func() bool {
		return lifeLeft(t, w, "/board/") > 0
	})
	noneFailed(t, "the board with the app gone", board.Stop(), 700)
	noneFailed(t, "an entry with the app gone", entry.Stop(), 700)
}

// TestDjangoPurge: what changes is purged by its tag from the model's own signal; by hand, by URL, tag, prefix and pattern,
// hard and soft.
func TestDjangoPurge(t *testing.T) {
	w := cachedDjango(t)
	b := newBrowser(t, w)
	b.sign("Ada", "version 0")
	host := "http://" + w.Address
	for i, how := range [][]string{nil, {host + "/entries/1/"}, {"--tag", "entry-1"}, {"--tag", "pages"}, {"--prefix", "127.0.0.1/entries/"}, {"--pattern", "127.0.0.*/entr*/1/"}, {"--all"}} {
		path := "/entries/1/"
		cacheOfHost := func() string { return status(t, b, path) }
		cacheOfHost()
		if s := cacheOfHost(); !strings.Contains(s, "hit") {
			t.Errorf("row %d: it is not kept: %s", i, s)
		}
		if how == nil {
			b.change("version 1")
			if _, page := b.get(path); !strings.Contains(page, "version 1") {
				t.Errorf("after a change: %s", page)
			}
			if _, page := b.get("/board/"); !strings.Contains(page, "version 1") {
				t.Errorf("the board after a change: %s", page)
			}
			continue
		}
		w.Do(append([]string{"purge"}, how...)...)
		if s := cacheOfHost(); !strings.Contains(s, "fwd=uri-miss") {
			t.Errorf("after weir purge %v: %s", how, s)
		}
		w.Do(append([]string{"purge", "--soft"}, how...)...)
		if s := cacheOfHost(); !strings.Contains(s, "hit") {
			t.Errorf("after weir purge --soft %v: %s", how, s)
		}
	}
}

// status is the Cache-Status that a browser gets.
func status(t *testing.T, b *browser, path string) string {
	t.Helper()
	r, err := b.c.Get(b.w.URL(path))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	io.Copy(io.Discard, r.Body)
	return r.Header.Get("Cache-Status")
}

var version = regexp.MustCompile(`version (\d+)`)

// TestDjangoPurgeHolds: once a change has been answered, nobody sees the state before, however many fetch meanwhile.
func TestDjangoPurgeHolds(t *testing.T) {
	w := cachedDjango(t)
	b := newBrowser(t, w)
	b.sign("Ada", "version 0")
	var known, seen atomic.Int64
	stop := make(chan struct{})
	var group sync.WaitGroup
	for range 6 {
		group.Go(func() {
			c := w.Dial()
			defer c.Close()
			for {
				select {
				case <-stop:
					return
				default:
				}
				least := known.Load()
				m := version.FindStringSubmatch(request(c, "/entries/1/").Body)
				if m == nil {
					t.Error("a page without a version")
					return
				}
				if n, _ := strconv.ParseInt(m[1], 10, 64); n < least {
					t.Errorf("version %d after %d was saved and purged", n, least)
				}
				seen.Add(1)
			}
		})
	}
	for n := range int64(60) {
		b.change(fmt.Sprintf("version %d", n+1))
		known.Store(n + 1)
		at := seen.Load()
		testkit.Eventually(t, 20*time.Second, "it is read", func() bool { return seen.Load() >= at+20 || t.Failed() })
	}
	close(stop)
	group.Wait()
	if s := get(t, w, "/entries/1/", "").Field("Cache-Status"); !strings.Contains(s, "hit") {
		t.Errorf("it is not kept at all: %s", s)
	}
}

// login makes a session with a name and returns its cookie.
func login(t *testing.T, w *testkit.Weir, name string) string {
	t.Helper()
	b := newBrowser(t, w)
	token := b.token("/login/")
	if status, page := b.read(b.c.PostForm(w.URL("/login/"), url.Values{"csrfmiddlewaretoken": {token}, "name": {name}})); status != 200 || !strings.Contains(page, "Hello, "+name) {
		t.Fatalf("log in: %d %s", status, page)
	}
	address, err := url.Parse(w.URL("/"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range b.c.Jar.Cookies(address) {
		if c.Name == "sessionid" {
			return c.Value
		}
	}
	t.Fatal("no session")
	return ""
}

// TestDjangoUsersApart: two users and one who is none ask for the same pages thousands of times, in all kinds of ways; nobody
// ever gets what was made for another.
func TestDjangoUsersApart(t *testing.T) {
	w := cachedDjango(t)
	newBrowser(t, w).sign("Guest", "hello")
	names := []string{"Ada-Lovelace", "Grace-Hopper", ""}
	sessions := []string{login(t, w, names[0]), login(t, w, names[1]), ""}
	var hits, group = atomic.Int64{}, sync.WaitGroup{}
	const tasks, each = 6, 700
	for task := range tasks {
		group.Go(func() {
			r := rand.New(rand.NewPCG(uint64(task), 11))
			client := &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}
			defer client.CloseIdleConnections()
			for range each {
				who := r.IntN(len(names))
				path := randomPage(r)
				req, err := http.NewRequest(http.MethodGet, w.URL(path), nil)
				if err != nil {
					t.Error(err)
					return
				}
				dress(req, r, sessions[who])
				resp, err := client.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || resp.StatusCode != 200 && resp.StatusCode != 206 {
					t.Errorf("%s: %d, %v", path, resp.StatusCode, err)
				}
				for other, name := range names {
					if other != who && name != "" && strings.Contains(string(body), name) {
						t.Errorf("%q, asking for %s, got %q: %s", names[who], path, body, resp.Header.Get("Cache-Status"))
					}
				}
				if own := names[who]; own != "" && resp.StatusCode == 200 && !strings.HasPrefix(path, "/board/") && !strings.Contains(string(body), own) {
					t.Errorf("%q, asking for %s, got %q: %s", own, path, body, resp.Header.Get("Cache-Status"))
				}
				if strings.Contains(resp.Header.Get("Cache-Status"), "; hit") {
					hits.Add(1)
				}
			}
		})
	}
	group.Wait()
	if hits.Load() < tasks*each/10 {
		t.Errorf("only %d of %d were hits: this tells nothing", hits.Load(), tasks*each)
	}
	t.Logf("%d of %d requests were hits", hits.Load(), tasks*each)
}

func randomPage(r *rand.Rand) string {
	path := []string{"/greeting/", "/mine/", "/board/"}[r.IntN(3)]
	switch r.IntN(4) {
	case 0:
		path += "?utm_source=" + strconv.Itoa(r.IntN(3))
	case 1:
		path += "?page=" + strconv.Itoa(r.IntN(3))
	}
	return path
}

// dress gives a request the cookie of a session, among others, and what else may come along.
func dress(req *http.Request, r *rand.Rand, session string) {
	var cookies []string
	if session != "" {
		cookies = append(cookies, "sessionid="+session)
	}
	if r.IntN(2) == 0 {
		cookies = append(cookies, "_ga="+strconv.Itoa(r.IntN(1000)))
	}
	if r.IntN(8) == 0 {
		cookies = append(cookies, "theme="+strconv.Itoa(r.IntN(2)))
	}
	r.Shuffle(len(cookies), func(i, j int) { cookies[i], cookies[j] = cookies[j], cookies[i] })
	if len(cookies) > 0 {
		req.Header.Set("Cookie", strings.Join(cookies, "; "))
	}
	switch r.IntN(10) {
	case 0:
		req.Header.Set("Cache-Control", "no-cache")
	case 1:
		req.Header.Set("Cache-Control", "max-stale")
	case 2:
		req.Header.Set("Accept-Encoding", "gzip, br")
	case 3:
		req.Header.Set("If-Modified-Since", "Thu, 01 Jan 1970 00:00:00 GMT")
	case 4:
		req.Header.Set("Range", "bytes=0-")
	}
}
