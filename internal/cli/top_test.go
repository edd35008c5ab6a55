package cli

import (
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/picture"
)

// serve answers on a socket until the test ends.
func serve(t *testing.T, path string, h http.Handler) {
	t.Helper()
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Second}
	done := make(chan struct{})
	go func() {
		server.Serve(ln) //nolint:errcheck // it is closed
		close(done)
	}()
	t.Cleanup(func() {
		server.Close() //nolint:errcheck // its listener alone could fail
		<-done
	})
}

// deskOf answers as a desk, to who has a token if there is one.
func deskOf(token string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token != "" && r.Header.Get("Authorization") != "Bearer "+token {
			api.AnswerError(w, http.StatusUnauthorized, http.ErrNoCookie)
			return
		}
		switch r.URL.Path {
		case "/api/v1/picture":
			api.Answer(w, 200, &picture.Picture{At: time.Unix(1_800_000_000, 0), Node: "web1", Version: "v9", Pools: []picture.Pool{{Name: "shop", State: "up"}}})
		case "/api/v1/events":
			api.Answer(w, 200, []int{})
		default:
			api.AnswerError(w, http.StatusNotFound, http.ErrNotSupported)
		}
	})
}

func TestTop(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("WEIR_RUN_DIR", dir)
	t.Setenv("COLUMNS", "90")
	t.Setenv("WEIR_TOKEN", "")
	var admin []string
	ask := func(want string, args ...string) {
		t.Helper()
		out, err := say(t, append([]string{"top"}, args...)...)
		if err != nil {
			out = err.Error()
			if strings.Contains(out, "\n") {
				t.Errorf("%v: more than one line: %s", args, out)
			}
		}
		if !strings.Contains(out, want) {
			t.Errorf("%v: no %q in %s", args, want, out)
		}
	}
	ask("no weir answers in " + dir)
	serve(t, api.KeeperSocket(dir), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		api.Answer(w, 200, api.Status{File: "site.yaml", Admin: admin})
	}))
	ask("site.yaml has no admin: write `admin: {}` into it, and run weir reload")
	admin = []string{"127.0.0.1:9190"}
	ask("the desk does not answer on " + filepath.Join(dir, "desk.sock") + ": it may be starting anew")
	serve(t, api.DeskSocket(dir), deskOf(""))
	ask("weir v9 · web1")
	ask("shop", "--view", "pools", "--once")
	ask(`"node": "web1",`, "-o", "json")
	ask("--output xml: write json, or leave it out", "-o", "xml")
	ask(`there is no view "nope": write one of overview, pools`, "--view", "nope")
	ask(`weir top takes no argument, and there is "x"`, "x")
	if out, err := say(t, "__complete", "top", "--view", "p"); err != nil || !strings.HasPrefix(out, "overview\npools\n") {
		t.Error(out, err)
	}
	t.Setenv("LC_ALL", "C")
	ask("weir v9 - web1", "--once")
}

func TestTopElsewhere(t *testing.T) {
	t.Setenv("COLUMNS", "90")
	t.Setenv("WEIR_TOKEN", "")
	server := httptest.NewServer(deskOf("secret"))
	defer server.Close()
	if _, err := say(t, "top", "--url", server.URL); err == nil || !strings.Contains(err.Error(), "put a token of its configuration into WEIR_TOKEN") {
		t.Error(err)
	}
	t.Setenv("WEIR_TOKEN", "wrong")
	if _, err := say(t, "top", "--url", server.URL); err == nil || strings.Contains(err.Error(), "wrong") {
		t.Error(err)
	}
	t.Setenv("WEIR_TOKEN", "secret")
	if out, err := say(t, "top", "--url", server.URL+"/", "-o", "json"); err != nil || !strings.Contains(out, `"web1"`) {
		t.Error(out, err)
	}
	for url, want := range map[string]string{
		"http://192.0.2.1:9190":     "the token would be readable on its way to 192.0.2.1:9190: write https://192.0.2.1:9190",
		"web1":                      `"web1" is no address of a status page: write one such as https://web1.example.com:9443`,
		"ftp://web1":                "is no address of a status page",
		"https://ann:pw@web1":       "a token belongs into WEIR_TOKEN",
		"https://web1?token=x":      "a token belongs into WEIR_TOKEN",
		"http://127.0.0.1:1/":       "no answer from http://127.0.0.1:1: dial tcp",
		"https://" + server.URL[7:]: "no answer from https://",
	} {
		if _, err := say(t, "top", "--url", url); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// TestTokenStays: where an answer points to does not get the token.
func TestTokenStays(t *testing.T) {
	t.Setenv("WEIR_TOKEN", "secret")
	got := make(chan string, 10)
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header.Get("Authorization") }))
	defer thief.Close()
	server := httptest.NewServer(http.RedirectHandler(thief.URL, http.StatusFound))
	defer server.Close()
	if _, err := say(t, "top", "--url", server.URL); err == nil || !strings.Contains(err.Error(), "answered 302 Found") {
		t.Error(err)
	}
	select {
	case a := <-got:
		t.Errorf("another server was asked, with %q", a)
	default:
	}
}
