package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/testkit"
)

var phpSite = testkit.Setup{File: "examples/php/weir.yaml", Env: []string{"LISTEN=@ADDRESS@", "SITE_DATA=@DIR@/data"}, Plain: true, Ready: "/healthz", Within: time.Minute}

// TestPHP: a site under PHP-FPM as its visitors see it, with the configuration that the example ships.
func TestPHP(t *testing.T) {
	w := testkit.Run(t, phpSite)
	b := newBrowser(t, w)
	t.Run("pages", func(t *testing.T) {
		if status, page := b.get("/"); status != 200 || !strings.Contains(page, "A site in PHP") {
			t.Errorf("got %d %s", status, page)
		}
		if status, page := b.get("/hello/Zo%C3%AB"); status != 200 || !strings.Contains(page, "Hello, Zoë!") {
			t.Errorf("got %d %s", status, page)
		}
		if status, page := b.get("/style.css"); status != 200 || !strings.Contains(page, "sans-serif") {
			t.Errorf("got %d %s", status, page)
		}
		if status, page := b.get("/nothing"); status != 404 || !strings.Contains(page, "no such page") {
			t.Errorf("got %d %s", status, page)
		}
	})
	t.Run("session", func(t *testing.T) {
		for n := 1; n <= 6; n++ { // both workers, one session
			if _, page := b.get("/visits"); !strings.Contains(page, fmt.Sprintf(`id="visits">%d<`, n)) {
				t.Errorf("visit %d: %s", n, page)
			}
		}
	})
	t.Run("cache", func(t *testing.T) {
		_, first := newBrowser(t, w).get("/time")
		resp, err := http.Get(w.URL("/time"))
		status, second := b.read(resp, err)
		if status != 200 || !strings.Contains(first, "id=\"time\"") || !strings.Contains(resp.Header.Get("Cache-Status"), "weir") {
			t.Errorf("got %s, then %d %s, %v", first, status, second, resp.Header)
		}
	})
	for _, chunked := range []bool{false, true} {
		t.Run(fmt.Sprint("upload, chunked ", chunked), func(t *testing.T) {
			const size = 20 * mib
			h := sha256.New()
			var body bytes.Buffer
			io.CopyN(io.MultiWriter(&body, h), &endless{}, size)
			var in io.Reader = &body
			if chunked {
				in = io.MultiReader(in)
			}
			resp, err := b.c.Post(w.URL("/upload"), "application/octet-stream", in)
			if status, text := b.read(resp, err); status != 200 || text != fmt.Sprintf("%s %d\n", hex.EncodeToString(h.Sum(nil)), size) {
				t.Errorf("got %d %s", status, text)
			}
		})
	}
	t.Run("broken", func(t *testing.T) {
		if status, _ := b.get("/broken"); status != 500 {
			t.Errorf("got %d", status)
		}
		for _, words := range []string{"this page is broken on purpose", "PHP Fatal error:  Uncaught RuntimeException: broken"} {
			testkit.Eventually(t, testkit.Patience, "weir's log has "+words, func() bool { return strings.Contains(w.Output(), words) })
		}
	})
	t.Run("parameters", func(t *testing.T) {
		req, err := http.NewRequest("GET", w.URL("/info.php/a%20b/c?d=e"), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Proxy", "http://evil")
		req.Header["X_Foo"] = []string{"evil"}
		req.Header.Set("X-Foo", "good")
		resp, err := b.c.Do(req)
		_, text := b.read(resp, err)
		var got map[string]any
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		for name, want := range map[string]any{"SCRIPT_NAME": "/info.php", "PATH_INFO": "/a b/c", "QUERY_STRING": "d=e", "REQUEST_URI": "/info.php/a%20b/c?d=e",
			"REMOTE_ADDR": "127.0.0.1", "REQUEST_METHOD": "GET", "HTTP_X_FOO": "good", "HTTP_PROXY": nil, "PHP_SELF": "/info.php/a b/c", "HTTPS": nil,
			"SCRIPT_FILENAME": testkit.Root() + "/examples/php/public/info.php", "GATEWAY_INTERFACE": "CGI/1.1", "SERVER_PROTOCOL": "HTTP/1.1"} {
			if got[name] != want {
				t.Errorf("%s is %v, want %v", name, got[name], want)
			}
		}
	})
}

// TestPHPUnderLoad: workers are reloaded and killed, and no visitor notices.
func TestPHPUnderLoad(t *testing.T) {
	w := testkit.Run(t, phpSite)
	waitWorkers(t, w, "site", 2)
	pages := testkit.Load{Address: w.Address, Conns: 4, Path: "/hello/you", Pause: 5 * time.Millisecond, Limit: 30 * time.Second}.Start(t)
	pages.After(t, 50)
	w.Do("reload", "site")
	pages.After(t, 50)
	for range 2 {
		for _, p := range testkit.Tree(waitWorkers(t, w, "site", 2)[0].PID) {
			p.KillIfThere(t, syscall.SIGKILL)
		}
		pages.After(t, 50)
	}
	noneFailed(t, "GET while workers are reloaded and die", pages.Stop(), 200)
}

// TestPHPPathHole: with the settings that made nginx's classic configuration of PHP a hole, an upload is not run. A PHP-FPM that is
// asked without weir's look for the file runs it: so the test can fail.
func TestPHPPathHole(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Plain: true, Ready: "/index.php", Within: time.Minute, Config: `
listen: {http: ["@ADDRESS@"]}
log: {access: {to: none}}
apps:
  php:
    command: ./start.sh
    socket: true
    workers: 1
    protocol: fastcgi
    fastcgi: {root: site}
sites: [{hosts: ["*"], routes: [{pool: php, unclean: [encoded_slash, encoded_nul, backslash]}]}]
`, Files: map[string]string{
		"start.sh": "#!/bin/sh\nPATH=$PATH:/usr/sbin\nfpm=$(command -v php-fpm || command -v php-fpm8.2 || command -v php-fpm8.3 || command -v php-fpm8.4)\n" +
			"root=\n[ $(id -u) != 0 ] || root=-R\nexec $fpm $root -F -y fpm.conf -d cgi.fix_pathinfo=1\n",
		"fpm.conf":          "[global]\ndaemonize = no\nerror_log = /dev/stderr\n[site]\nlisten = ${SOCKET}\npm = static\npm.max_children = 1\nsecurity.limit_extensions =\n",
		"site/index.php":    "<?php echo 'index';",
		"site/upload/x.jpg": "<?php echo 'HACK' . 'ED';",
	}})
	for _, path := range []string{"/upload/x.jpg/y.php", "/upload/x.jpg", "/upload/x.jpg%2fy.php", "/upload/x.jpg%00.php", "/upload/x.jpg/.php", "/upload/x.jpg/y.php/z.php",
		"/upload%5Cx.jpg%5Cy.php", "/upload/./x.jpg//y.php", "/index.php/../upload/x.jpg/y.php"} {
		if status, page := w.Get(path); strings.Contains(page, "HACKED") || status == 200 {
			t.Errorf("%s: %d %s", path, status, page)
		}
	}
	if _, page := w.Get("/index.php/upload/x.jpg"); page != "index" {
		t.Errorf("got %s", page)
	}
	// The file comes and goes: weir sees it as it is.
	w.Write("site/later.php", "<?php echo 'later';")
	if _, page := w.Get("/later.php"); page != "later" {
		t.Errorf("got %s", page)
	}
	if err := os.Remove(w.Dir + "/site/later.php"); err != nil {
		t.Fatal(err)
	}
	if status, _ := w.Get("/later.php"); status != 404 {
		t.Errorf("got %d", status)
	}
}
