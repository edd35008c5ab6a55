package e2e

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/testkit"
)

// esiSite is a site whose pages have fragments in them. The %s are the server's address and more of the site.
const esiSite = `
listen: {http: ["@ADDRESS@"]}
log: {access: {to: "@DIR@/access.log"}}
pools: {app: {servers: ["%s"]}}
sites:
  - hosts: ["*"]
    esi: on
    cache: {private: [sessionid]}
    %s
    routes: [{pool: app}]
cache: {memory: 16MiB}
`

func html(w http.ResponseWriter, control, body string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if control != "" {
		w.Header().Set("Cache-Control", control)
	}
	fmt.Fprint(w, body)
}

// TestPersonalBox: a page is asked for once, the box in it once for each user.
func TestPersonalBox(t *testing.T) {
	a := serveApp(t, "", func(_ *app, n int, w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Surrogate-Capability"); got != `weir="ESI/1.0"` {
			t.Errorf("%s: Surrogate-Capability is %q", r.URL, got)
		}
		switch r.URL.Path {
		case "/":
			w.Header().Set("ETag", `"page"`)
			html(w, "public, max-age=60", `<html>a <esi:include src="/box"/> z</html>`)
		case "/box":
			c, err := r.Cookie("sessionid")
			name := "nobody"
			if err == nil {
				name = c.Value
			}
			html(w, "private, max-age=60", fmt.Sprintf("hello %s (%d)", name, n))
		}
	})
	w := testkit.Run(t, testkit.Setup{Ready: "/ready", Config: fmt.Sprintf(`
listen: {http: ["@ADDRESS@"]}
log: {access: {to: none}}
pools: {app: {servers: ["%s"]}}
sites:
  - hosts: ["*"]
    esi: on
    routes:
      - match: {path: /box*}
        pool: app
        cache: {private: [sessionid]}
      - pool: app
        cache: {ignore_cookies: ["*"], default_ttl: 1m}
cache: {memory: 16MiB}
`, a.address)})
	for _, who := range []string{"ann", "bob", "ann", "bob"} {
		n := map[string]int{"ann": 1, "bob": 2}[who]
		m := get(t, w, "/", "Cookie: sessionid="+who+"\r\n")
		if want := fmt.Sprintf("<html>a hello %s (%d) z</html>", who, n); m.Status != 200 || string(m.Body) != want {
			t.Errorf("%s gets %d %q, want %q", who, m.Status, m.Body, want)
		}
		if m.Has("ETag") || m.Has("Content-Length") || m.Has("Age") || m.Field("Cache-Control") != "private, no-cache" {
			t.Errorf("the head is %v", m.Lines)
		}
	}
	if n := a.count("/box"); n != 2 {
		t.Errorf("the box was asked for %d times", n)
	}
	if n := a.count("/"); n != 1 {
		t.Errorf("the page was asked for %d times", n)
	}
	m := ask(t, w, "HEAD", "/", "Cookie: sessionid=ann\r\n")
	if m.Status != 200 || m.Has("Content-Length") || m.Has("ETag") || len(m.Body) > 0 {
		t.Errorf("HEAD gets %d %v", m.Status, m.Lines)
	}
}

// pages answers with what a path stands for; paths without a page are 404.
func pages(by map[string]string) func(*app, int, http.ResponseWriter, *http.Request) {
	return func(_ *app, n int, w http.ResponseWriter, r *http.Request) {
		text, ok := by[r.URL.Path]
		if !ok {
			w.WriteHeader(404)
			fmt.Fprint(w, "not here")
			return
		}
		html(w, r.URL.Query().Get("cc"), strings.ReplaceAll(text, "@N@", fmt.Sprint(n)))
	}
}

// TestIncludes: what each instruction makes of a page, on connections of every version.
func TestIncludes(t *testing.T) {
	refused := serveApp(t, "", func(_ *app, _ int, w http.ResponseWriter, r *http.Request) {
		t.Errorf("a foreign server was asked for %s", r.URL)
	})
	parts := map[string]string{
		"/plain":      `just text`,
		"/one":        `[<esi:include src="/plain"/>]`,
		"/two":        `<esi:include src="/one"/><esi:include src="one"/>`,
		"/three":      `<<esi:include src="/two?x=1&amp;y=2"/>>`,
		"/missing":    `a<esi:include src="/none"/>z`,
		"/alt":        `a<esi:include src="/none" alt="/plain"/>z`,
		"/continue":   `a<esi:include src="/none" onerror="continue"/>z`,
		"/try":        `a<esi:try><esi:attempt>x<esi:include src="/none"/>y</esi:attempt><esi:except>sorry</esi:except></esi:try>z`,
		"/tried":      `a<esi:try><esi:attempt>x<esi:include src="/plain"/>y</esi:attempt><esi:except>sorry</esi:except></esi:try>z`,
		"/remove":     `a<esi:remove>not this</esi:remove><esi:comment text="nor this"/><!--esi <b>this</b>-->z`,
		"/foreign":    `a<esi:include src="http://` + refused.address + `/x"/>z`,
		"/file":       `a<esi:include src="file:///etc/passwd"/>z`,
		"/otherhost":  `a<esi:include src="http://other.example/plain"/>z`,
		"/loop":       `(<esi:include src="/loop"/>)`,
		"/empty":      `a<esi:include src=""/>z`,
		"/large":      strings.Repeat(`<p>0123456789</p>`, 20000) + `<esi:include src="/plain"/>` + strings.Repeat(`<p>0123456789</p>`, 20000),
		"/largeparts": `<esi:include src="/large"/>|<esi:include src="/large"/>`,
		"/many":       strings.Repeat(`<esi:include src="/plain"/>`, 10000),
	}
	a := serveApp(t, "", pages(parts))
	w := testkit.Run(t, testkit.Setup{Config: fmt.Sprintf(esiSite, a.address, ""), Ready: "/ready"})
	large := strings.Repeat(`<p>0123456789</p>`, 20000) + `just text` + strings.Repeat(`<p>0123456789</p>`, 20000)
	wants := map[string]string{
		"/plain":      "just text",
		"/one":        "[just text]",
		"/two":        "[just text][just text]",
		"/three":      "<[just text][just text]>",
		"/missing":    "az",
		"/alt":        "ajust textz",
		"/continue":   "az",
		"/try":        "asorryz",
		"/tried":      "axjust textyz",
		"/remove":     "a <b>this</b>z",
		"/foreign":    "az",
		"/file":       "az",
		"/otherhost":  "az",
		"/loop":       "(((((())))))",
		"/empty":      `a<esi:include src=""/>z`,
		"/large":      large,
		"/largeparts": large + "|" + large,
		"/many":       strings.Repeat("just text", 256),
	}
	for _, query := range []string{"", "?cc=max-age%3D60"} {
		for path, want := range wants {
			for range 2 {
				if m := get(t, w, path+query, ""); m.Status != 200 || string(m.Body) != want {
					t.Errorf("%s%s: %d %.200q, want %.200q", path, query, m.Status, m.Body, want)
				}
			}
			c := testkit.Dial(t, w.Address)
			c.Send("GET " + path + query + " HTTP/1.0\r\nHost: x.example\r\n\r\n")
			if m := c.Response("GET"); m.Status != 200 || string(m.Body) != want || m.Has("Transfer-Encoding") || m.Field("Connection") != "close" {
				t.Errorf("%s%s by HTTP/1.0: %d %v %.200q", path, query, m.Status, m.Lines, m.Body)
			}
			c.Close()
		}
	}
}

func zip(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	g := gzip.NewWriter(&b)
	_, err := io.WriteString(g, text)
	if err = errors.Join(err, g.Close()); err != nil {
		t.Error(err)
	}
	return b.String()
}

// TestIncludesAndCodings: whatever coding an app answers in and a client takes, the page is one.
func TestIncludesAndCodings(t *testing.T) {
	filler := strings.Repeat("<p>a line of a page that says little</p>\n", 500)
	// Made beforehand: it takes seconds on a busy machine, in which a client would wait.
	bombs := map[string]string{"/bomb": zip(t, `<esi:include src="/box"/>`+strings.Repeat(" ", 30<<20)), "/bombbox": zip(t, strings.Repeat("\n", 30<<20))}
	a := serveApp(t, "", func(_ *app, n int, w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "" {
			t.Errorf("%s: the app is asked for %s", r.URL, r.Header.Get("Accept-Encoding"))
		}
		text := "box"
		switch r.URL.Path {
		case "/page":
			text = filler + `<esi:include src="/box?` + r.URL.RawQuery + `"/>` + filler
		case "/withbomb":
			text = `a<esi:include src="/bombbox?` + r.URL.RawQuery + `" onerror="continue"/>z`
		}
		if bomb, ok := bombs[r.URL.Path]; ok {
			w.Header().Set("Content-Encoding", "gzip")
			text = bomb
		} else if r.URL.Query().Has("zip") {
			w.Header().Set("Content-Encoding", "gzip")
			text = zip(t, text)
		}
		if r.URL.Query().Has("br") && r.URL.Path == "/box" {
			w.Header().Set("Content-Encoding", "br")
		}
		w.Header().Set("Vary", "Accept-Encoding")
		html(w, r.URL.Query().Get("cc"), text)
	})
	for _, compress := range []string{"", "compress: [gzip]"} {
		w := testkit.Run(t, testkit.Setup{Config: fmt.Sprintf(esiSite, a.address, compress), Ready: "/ready"})
		for _, query := range []string{"?a", "?zip", "?a&cc=max-age%3D60", "?zip&cc=max-age%3D60"} {
			for _, accept := range []string{"", "Accept-Encoding: gzip\r\n", "Accept-Encoding: br, gzip;q=0.5\r\n", ""} {
				m := get(t, w, "/page"+query, accept)
				body := string(m.Body)
				if zipped := m.Field("Content-Encoding") == "gzip"; zipped {
					body = unzip(t, body)
				}
				if zipped, want := m.Has("Content-Encoding"), compress != "" && accept != ""; zipped != want {
					t.Errorf("%s with %q: compressed is %v, want %v", query, accept, zipped, want)
				}
				if m.Status != 200 || body != filler+"box"+filler {
					t.Errorf("%s with %q: %d, %d bytes", query, accept, m.Status, len(body))
				}
				if m.Field("Vary") != "Accept-Encoding" {
					t.Errorf("%s with %q: Vary is %q", query, accept, m.Field("Vary"))
				}
			}
			m := ask(t, w, "HEAD", "/page"+query, "Accept-Encoding: gzip\r\n")
			if zipped := m.Field("Content-Encoding") == "gzip"; zipped != (compress != "") || m.Has("Content-Length") {
				t.Errorf("HEAD %s: %v", query, m.Lines)
			}
		}
		if m := get(t, w, "/page?br", ""); string(m.Body) != filler+filler {
			t.Errorf("a fragment in a coding that cannot be read: %d bytes", len(m.Body))
		}
		m := get(t, w, "/withbomb", "")
		if body := strings.ReplaceAll(string(m.Body), "\n", ""); body != "az" || len(m.Body) > 2<<20 {
			t.Errorf("a page with a bomb in it has %d bytes: %.100q", len(m.Body), body)
		}
		c := w.Dial()
		c.Send("GET /bomb HTTP/1.1\r\nHost: x\r\n\r\n")
		if rest := c.Rest(); len(rest) > 2<<20 || strings.HasSuffix(rest, "\r\n0\r\n\r\n") {
			t.Errorf("a page that is a bomb has %d bytes, and is whole", len(rest))
		}
		c.Close()
	}
}

// TestSurrogateControl: who says what is in a response is believed, whatever its type; and the client does not see it.
func TestSurrogateControl(t *testing.T) {
	const page = `a<esi:include src="/box"/>z`
	a := serveApp(t, "", func(_ *app, n int, w http.ResponseWriter, r *http.Request) {
		if v := r.URL.Query().Get("sc"); v != "" {
			w.Header().Set("Surrogate-Control", v)
		}
		if v := r.URL.Query().Get("type"); v != "" {
			w.Header().Set("Content-Type", v)
		}
		w.Header().Set("Cache-Control", r.URL.Query().Get("cc"))
		if r.URL.Path == "/box" {
			io.WriteString(w, "box")
			return
		}
		w.Header().Set("ETag", `"v1"`)
		io.WriteString(w, page)
	})
	w := testkit.Run(t, testkit.Setup{Config: fmt.Sprintf(esiSite, a.address, ""), Ready: "/ready"})
	for _, c := range []struct{ query, want string }{
		{"type=text/html", "aboxz"},
		{"type=application/xhtml%2Bxml", "aboxz"},
		{"type=text/plain", page},
		{"type=application/json", page},
		{"type=text/plain&sc=content%3D%22ESI/1.0%22", "aboxz"},
		{"type=text/html&sc=max-age%3D60", page},
		{"type=text/html&sc=no-store,+content%3D%22ESI/1.0+ESI-INL/1.0%22", "aboxz"},
		{"type=text/html&sc=content%3D%22other/2.0%22", page},
	} {
		for _, cc := range []string{"no-store", "max-age=60"} {
			for range 2 {
				m := get(t, w, "/page?"+c.query+"&cc="+cc, "")
				if string(m.Body) != c.want || m.Has("Surrogate-Control") {
					t.Errorf("%s, %s: %q %v", c.query, cc, m.Body, m.Lines)
				}
				if m.Has("ETag") != (c.want == page) {
					t.Errorf("%s, %s: ETag is %q", c.query, cc, m.Field("ETag"))
				}
			}
		}
		if m := get(t, w, "/page?"+c.query+"&cc=max-age=60", "If-None-Match: \"v1\"\r\nRange: bytes=0-1\r\n"); (m.Status == 200) != (c.want != page) {
			t.Errorf("%s: a conditional request gets %d", c.query, m.Status)
		}
	}
}

// TestBoxesOfOtherHosts: a configured host's boxes are included, without the cookies of the page's host.
func TestBoxesOfOtherHosts(t *testing.T) {
	a := serveApp(t, "", func(_ *app, n int, w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/page" {
			html(w, "", `<esi:include src="//boxes.example/box"/>,<esi:include src="box"/>,<esi:include src="http://evil.example/box"/>,<esi:include src="//closed.example/box"/>`)
			return
		}
		if r.URL.Path == "/nested" {
			html(w, "", `<esi:include src="//boxes.example/back"/>`)
			return
		}
		if r.URL.Path == "/back" {
			html(w, "", `<esi:include src="http://www.example/box"/>`)
			return
		}
		html(w, "", fmt.Sprintf("%s %s %q %q %q %q", r.Method, r.Host, r.Header.Get("Cookie"), r.Header.Get("Accept-Language"),
			r.Header.Get("Range")+r.Header.Get("If-None-Match")+r.Header.Get("Content-Type")+r.Header.Get("X-Once"), r.Header.Get("X-Forwarded-For")))
	})
	w := testkit.Run(t, testkit.Setup{Ready: "/ready", Config: fmt.Sprintf(`
listen: {http: ["@ADDRESS@"]}
log: {access: {to: none}}
pools: {app: {servers: ["%s"]}}
sites:
  - hosts: [www.example]
    routes: [{pool: app, esi: {hosts: [boxes.example, closed.example, gone.example]}}]
  - hosts: [boxes.example]
    esi: on
    routes: [{pool: app}]
  - hosts: [closed.example]
    routes: [{pool: app, allow: 192.0.2.1}]
  - hosts: [evil.example]
    routes: [{pool: app}]
`, a.address)})
	c := testkit.Dial(t, w.Address)
	c.Send("GET /page HTTP/1.1\r\nHost: www.example\r\nCookie: a=b\r\nAccept-Language: de\r\nRange: bytes=0-\r\nIf-None-Match: \"x\"\r\nX-Once: 1\r\nConnection: x-once\r\n\r\n")
	want := `GET boxes.example "" "de" "" "127.0.0.1",GET www.example "a=b" "de" "" "127.0.0.1",,`
	if m := c.Response("GET"); string(m.Body) != want {
		t.Errorf("%s\nwant %s", m.Body, want)
	}
	c.Send("POST /page HTTP/1.1\r\nHost: www.example\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello")
	want = `GET boxes.example "" "" "" "127.0.0.1",GET www.example "" "" "" "127.0.0.1",,`
	if m := c.Response("POST"); string(m.Body) != want {
		t.Errorf("%s\nwant %s", m.Body, want)
	}
	c.Send("GET /nested HTTP/1.1\r\nHost: www.example\r\n\r\n")
	want = `GET www.example "" "" "" "127.0.0.1"`
	if m := c.Response("GET"); string(m.Body) != want {
		t.Errorf("%s\nwant %s", m.Body, want)
	}
}

// TestRangesOfPages: nobody gets a part of a page; of what is none, everybody may.
func TestRangesOfPages(t *testing.T) {
	const text = `a<esi:include src="/box"/>z and some more`
	a := serveApp(t, "", func(_ *app, n int, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		switch {
		case r.URL.Path == "/box":
			io.WriteString(w, "box")
			return
		case r.URL.Path == "/video":
			w.Header().Set("Content-Type", "video/mp4")
		}
		w.Header().Set("Cache-Control", r.URL.Query().Get("cc"))
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(text))
	})
	w := testkit.Run(t, testkit.Setup{Config: fmt.Sprintf(esiSite, a.address, ""), Ready: "/ready"})
	for _, cc := range []string{"no-store", "max-age=60"} {
		for _, ranges := range []string{"5-9", "1-", "0-3", "1-2,5-9", "-3"} {
			lines := "Range: bytes=" + ranges + "\r\n"
			for range 2 {
				if m := get(t, w, "/page?cc="+cc+"&r="+ranges, lines); m.Status != 200 || string(m.Body) != "aboxz and some more" {
					t.Errorf("%s of a page, %s: %d %q", ranges, cc, m.Status, m.Body)
				}
				if m := get(t, w, "/video?cc="+cc+"&r="+ranges, lines); m.Status != 206 && !(strings.Contains(ranges, ",") && m.Status == 200) {
					t.Errorf("%s of a film, %s: %d", ranges, cc, m.Status)
				}
			}
		}
	}
}

// TestWhatClientsKeepOfPages: a page with boxes in it is nobody's to keep but the client's, unless the app or the configuration
// says otherwise.
func TestWhatClientsKeepOfPages(t *testing.T) {
	a := serveApp(t, "", func(_ *app, n int, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Expires", "Thu, 01 Jan 2099 00:00:00 GMT")
		html(w, r.URL.Query().Get("cc"), "page")
	})
	for own, wants := range map[string]map[string]string{
		"": {"max-age=60": "private, no-cache", "public, s-maxage=60": "private, no-cache", "": "private, no-cache", "no-store": "no-store",
			"private, max-age=10": "private, max-age=10", "max-age=60, no-cache": "max-age=60, no-cache", `private="x-y", max-age=5`: "private, no-cache"},
		`headers: {set: {Cache-Control: "max-age=5"}}`: {"max-age=60": "max-age=5", "": "max-age=5", "private": "max-age=5"},
	} {
		w := testkit.Run(t, testkit.Setup{Config: fmt.Sprintf(esiSite, a.address, own), Ready: "/ready"})
		for cc, want := range wants {
			for range 2 {
				m := get(t, w, "/?cc="+url.QueryEscape(cc), "")
				if got := m.Field("Cache-Control"); got != want || m.Has("Expires") || m.Has("Age") {
					t.Errorf("%q becomes %q, want %q: %v", cc, got, want, m.Lines)
				}
			}
		}
	}
}

// TestPurgeOfABox: a fragment is purged by itself.
func TestPurgeOfABox(t *testing.T) {
	a := serveApp(t, "", func(_ *app, n int, w http.ResponseWriter, r *http.Request) {
		text := fmt.Sprintf("box %d", n)
		if r.URL.Path == "/page" {
			text = fmt.Sprintf(`page %d, <esi:include src="/box"/>`, n)
		}
		html(w, "max-age=60", text)
	})
	w := testkit.Run(t, testkit.Setup{Config: fmt.Sprintf(esiSite, a.address, ""), Ready: "/ready"})
	for i, want := range []string{"page 1, box 1", "page 1, box 1", "page 1, box 2", "page 1, box 2"} {
		if i == 2 {
			if m := ask(t, w, "PURGE", "/box", ""); m.Status != 200 {
				t.Fatalf("PURGE gets %d %s", m.Status, m.Body)
			}
		}
		if m := get(t, w, "/page", ""); string(m.Body) != want {
			t.Errorf("%q, want %q", m.Body, want)
		}
	}
}
