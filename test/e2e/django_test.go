package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/testkit"
)

// browser is a client with cookies, as a person's.
type browser struct {
	t *testing.T
	w *testkit.Weir
	c *http.Client
}

func newBrowser(t *testing.T, w *testkit.Weir) *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &browser{t, w, &http.Client{Jar: jar, Transport: transport, Timeout: time.Minute}}
}

func (b *browser) read(r *http.Response, err error) (int, string) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return r.StatusCode, string(body)
}

func (b *browser) get(path string) (int, string) {
	b.t.Helper()
	return b.read(b.c.Get(b.w.URL(path)))
}

var csrf = regexp.MustCompile(`name="csrfmiddlewaretoken" value="([^"]+)"`)

func (b *browser) token(path string) string {
	b.t.Helper()
	_, page := b.get(path)
	m := csrf.FindStringSubmatch(page)
	if m == nil {
		b.t.Fatalf("%s has no form: %s", path, page)
	}
	return m[1]
}

// TestDjango: a Django site under gunicorn as its visitors see it, with the configuration that the example ships.
func TestDjango(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{File: "examples/django/weir.yaml", Env: []string{"LISTEN=@ADDRESS@", "GUESTBOOK_DATA=@DIR@/data"},
		Plain: true, Ready: "/healthz", Within: time.Minute})
	b := newBrowser(t, w)

	t.Run("pages", func(t *testing.T) {
		if status, page := b.get("/"); status != 200 || !strings.Contains(page, "</html>") {
			t.Errorf("got %d %s", status, page)
		}
		if status, _ := b.get("/static/book/style.css"); status != 200 {
			t.Errorf("the style sheet: %d", status)
		}
		if status, _ := b.get("/nothing/here/"); status != 404 {
			t.Errorf("a missing page: %d", status)
		}
	})
	t.Run("form with CSRF", func(t *testing.T) {
		sign := func(token, name string) (int, string) {
			return b.read(b.c.PostForm(w.URL("/guests/"), url.Values{"csrfmiddlewaretoken": {token}, "name": {name}, "message": {"Zoë was here €"}}))
		}
		token := b.token("/guests/")
		if status, page := sign(token, "Ada"); status != 200 || !strings.Contains(page, "Ada") || !strings.Contains(page, "Zoë was here €") {
			t.Errorf("got %d %s", status, page)
		}
		if status, page := sign(strings.Repeat("x", len(token)), "Mallory"); status != 403 || strings.Contains(page, "Mallory") {
			t.Errorf("a forged token: %d", status)
		}
	})
	t.Run("session", func(t *testing.T) {
		for n := 1; n <= 6; n++ { // both workers, one session
			if _, page := b.get("/visits/"); !strings.Contains(page, fmt.Sprintf(`id="visits">%d<`, n)) {
				t.Errorf("visit %d: %s", n, page)
			}
		}
		if _, page := newBrowser(t, w).get("/visits/"); !strings.Contains(page, `id="visits">1<`) {
			t.Errorf("another visitor: %s", page)
		}
	})
	t.Run("upload by form", func(t *testing.T) {
		var body bytes.Buffer
		form := multipart.NewWriter(&body)
		form.WriteField("csrfmiddlewaretoken", b.token("/upload/"))
		part, err := form.CreateFormFile("file", "photo.bin")
		if err != nil {
			t.Fatal(err)
		}
		h := sha256.New()
		io.CopyN(io.MultiWriter(part, h), &endless{}, 20*mib)
		form.Close()
		status, page := b.read(b.c.Post(w.URL("/upload/"), form.FormDataContentType(), &body))
		if status != 200 || !strings.Contains(page, hex.EncodeToString(h.Sum(nil))) {
			t.Errorf("got %d %s", status, page)
		}
	})
	t.Run("large upload", func(t *testing.T) {
		grown := peak(w.Edge())
		r, err := http.NewRequest("PUT", w.URL("/raw-upload"), io.LimitReader(&endless{}, 100*mib)) // chunked
		if err != nil {
			t.Fatal(err)
		}
		status, answer := b.read(b.c.Do(r))
		if status != 200 || !strings.Contains(answer, sum(100*mib)) {
			t.Errorf("got %d %s", status, answer)
		}
		if n := grown(); n > 16*mib {
			t.Errorf("the edge grew by %.1f MiB", float64(n)/mib)
		}
	})
	t.Run("stream", func(t *testing.T) {
		c := w.Dial()
		c.Send("GET /stream?lines=3&ms=300&unbuffered HTTP/1.1\r\nHost: a\r\n\r\n")
		start := time.Now()
		c.Match(`line 1 of 3\n`)
		if d := time.Since(start); d > 500*time.Millisecond {
			t.Errorf("the first line came after %v: it was held back", d)
		}
		c.Match(`line 3 of 3\n`)
	})
	t.Run("events", func(t *testing.T) {
		c := w.Dial()
		c.Send("GET /events?n=3&ms=300 HTTP/1.1\r\nHost: a\r\n\r\n")
		start := time.Now()
		c.Match(`id: 1\n`)
		if d := time.Since(start); d > 500*time.Millisecond {
			t.Errorf("the first event came after %v: it was held back", d)
		}
		c.Match(`id: 3\n`)
	})
}

// TestDjangoUnderLoad: workers of gunicorn are killed and reloaded, and no visitor notices.
func TestDjangoUnderLoad(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{File: "examples/django/weir.yaml", Env: []string{"LISTEN=@ADDRESS@", "GUESTBOOK_DATA=@DIR@/data"},
		Plain: true, Ready: "/healthz", Within: time.Minute})
	waitWorkers(t, w, "guestbook", 2)
	pages := testkit.Load{Address: w.Address, Conns: 4, Path: "/guests/", Pause: 5 * time.Millisecond, Limit: 30 * time.Second}.Start(t)
	posts := testkit.Load{Address: w.Address, Conns: 2, Path: "/echo", Method: "POST", Body: 5000, Pause: 5 * time.Millisecond, Limit: 30 * time.Second}.Start(t)
	posts.After(t, 20)
	w.Do("reload", "guestbook")
	posts.After(t, 20)
	noneFailed(t, "POST during a reload", posts.Stop(), 40)
	for range 2 {
		// The master and its child: gunicorn answers in the child.
		for _, p := range testkit.Tree(waitWorkers(t, w, "guestbook", 2)[0].PID) {
			p.KillIfThere(t, syscall.SIGKILL)
		}
		pages.After(t, 50)
	}
	noneFailed(t, "GET while workers die", pages.Stop(), 100)
}
