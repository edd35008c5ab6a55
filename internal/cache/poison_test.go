package cache

import (
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/exchange"
	"github.com/weirhq/weir/internal/http1"
	"github.com/weirhq/weir/internal/message"
)

func with(x *exchange.Exchange, change func(q *message.Request)) *exchange.Exchange {
	change(&x.Req)
	return x
}

func TestHazards(t *testing.T) {
	k := compile(t, KeyPolicy{HeaderParts: []string{"X-Script-Name"}, PassIfHeader: []string{"X-Preview", "Referer", "X-Some-Header-With-A-Very-Long-Name"}})
	get := func(lines ...string) *exchange.Exchange { return keyed("http://a/", lines...) }
	for _, c := range []struct {
		x    *exchange.Exchange
		want Pass
	}{
		{get(), NoPass}, {keyed("HEAD http://a/"), NoPass},
		{keyed("POST http://a/"), PassMethod}, {keyed("PROPFIND http://a/"), PassMethod}, {keyed("get http://a/"), PassMethod},
		{with(get(), func(q *message.Request) { q.Form, q.Path = message.AsteriskForm, []byte("*") }), PassTarget},
		{with(get(), func(q *message.Request) { q.Path = nil }), PassTarget},
		{with(get(), func(q *message.Request) { q.Upgrade = true }), PassUpgrade},
		// RFC 9110, section 9.3.1: a GET with content.
		{with(get(), func(q *message.Request) { q.Body, q.Length = message.ByLength, 1 }), PassBody},
		{with(get(), func(q *message.Request) { q.Body = message.Chunked }), PassBody},
		{with(get(), func(q *message.Request) { q.Body, q.Length = message.ByLength, 0 }), NoPass},
		{get("X-HTTP-Method-Override: POST"), PassMethodOverride}, {get("x-http-method: x"), PassMethodOverride}, {get("X-METHOD-OVERRIDE: x"), PassMethodOverride},
		{get("X-Original-URL: /admin"), PassURLOverride}, {get("X-Rewrite-URL: /admin"), PassURLOverride}, {get("X-Original-URL: "), PassURLOverride},
		{get("X-Host: evil"), PassHostOverride}, {get("X-HTTP-Host-Override: evil"), PassHostOverride},
		{get("trusted", "X-Forwarded-Scheme: http"), NoPass}, {get("trusted", "X-Forwarded-Port: 1"), NoPass}, {get("trusted", "X-Original-URL: /"), PassURLOverride}, {get("trusted", "X-Host: /"), PassHostOverride},
		{get("X-Forwarded-Host: evil"), NoPass}, {get("Forwarded: host=evil"), NoPass}, {get("X-Forwarded-Proto: gopher"), NoPass}, // the edge drops them
		{get("X-Script-Name: /x"), NoPass}, // part of the key
		{get("X-Preview: 1"), PassHeader}, {get("Referer: x"), PassHeader}, {get("X-Some-Header-With-A-Very-Long-Name: 1"), PassHeader}, {get("X-Some-Header-With-A-Very-Long-Nome: 1"), NoPass},
		// RFC 9110, section 7.6.1: what Connection names the app does not get.
		{get("Connection: keep-alive"), NoPass}, {get("Connection: close"), NoPass}, {get("Connection: Keep-Alive, TE", "TE: trailers"), NoPass}, {get("Connection: x-other"), NoPass}, {get("Connection: close,"), NoPass},
		{get("Connection: cookie", "Cookie: a=1"), PassConnection}, {get("Connection: close, X-Other", "x-other: 1"), PassConnection}, {get("Connection: close", "Connection: accept-language", "Accept-Language: de"), PassConnection},
	} {
		if r := keyOf(t, k, c.x); r.Pass != c.want || r.Pass.String() == "" != (c.want == NoPass) {
			t.Errorf("%s %s %v: %q, want %q", c.x.Req.MethodText, c.x.Req.Path, c.x.Req.Fields.List, r.Pass, c.want)
		}
	}
	for p := NoPass; p <= PassCookie; p++ {
		if (p == NoPass) != (p.String() == "") {
			t.Errorf("reason %d has no word", p)
		}
	}
	if Pass(200).String() != "" {
		t.Error("a reason that there is not has a word")
	}
}

func TestProvoked(t *testing.T) {
	for status, want := range map[int]bool{200: false, 301: false, 304: false, 400: true, 401: true, 403: true, 404: false, 451: true, 410: false, 413: true, 431: true, 500: false, 501: true, 503: false} {
		if Provoked(status) != want {
			t.Errorf("%d: %v", status, !want)
		}
	}
}

// From the wire: what is one to the parser is one to the cache, and what two programs could read in two ways never gets
// here. Each line is a head without its last blank line; a group has one key, a refused one "400", another the word of
// its pass.
func TestFromTheWire(t *testing.T) {
	k := compile(t, KeyPolicy{IgnoreQuery: []string{"utm_*"}, HeaderParts: []string{"api_key"}})
	for _, c := range []struct {
		want  string
		heads []string
	}{
		{"http://a/x?q", []string{"GET /x?q HTTP/1.1|Host: a", "GET http://a/x?q HTTP/1.1|Host: a", "GET http://A:80/x?q HTTP/1.1|Host: a", "GET http://a/x?q HTTP/1.0", "GET /y/../x?q HTTP/1.1|Host: A.", "GET //%78?q HTTP/1.1|Host: a:80", "HEAD /x?utm_a=1&q HTTP/1.1|Host: a", "GET /x?q HTTP/1.1|Host: a|Content-Length: 0"}},
		{"http://a:8080/x?q", []string{"GET /x?q HTTP/1.1|Host: a:8080", "GET http://a:8080/x?q HTTP/1.1|Host: a:8080"}},
		{"400", []string{"GET http://a/x?q HTTP/1.1|Host: b", "GET http://a/x?q HTTP/1.1|Host: a:8080", "GET /x?q HTTP/1.1|Host: a|Host: b", "GET /x?q HTTP/1.1|Host: a|Content-Length: 1|Transfer-Encoding: chunked", "GET /x?q HTTP/1.1", "GET /x?q HTTP/1.1|Host : a", "HEAD * HTTP/1.1|Host: a"}},
		{"passes: body-in-get", []string{"GET /x?q HTTP/1.1|Host: a|Content-Length: 1", "GET /x?q HTTP/1.1|Host: a|Transfer-Encoding: chunked"}},
		{"passes: url-override", []string{"GET /x?q HTTP/1.1|Host: a|X-Original-URL: /admin", "GET /x?q HTTP/1.1|Host: a|x-rewrite-url: /admin"}},
		{"passes: method-override", []string{"GET /x?q HTTP/1.1|Host: a|X-HTTP-Method-Override: DELETE"}},
		{"passes: disguised-field", []string{"GET /x?q HTTP/1.1|Host: a|X_Theme: dark", "GET /x?q HTTP/1.1|Host: a|x.theme: dark", "GET /x?q HTTP/1.1|Host: a|X_Invoke_Path: /"}},
		{"http://a/x?q header api_key=\"1\"", []string{"GET /x?q HTTP/1.1|Host: a|api_key: 1", "GET /x?q HTTP/1.1|Host: a|API_Key: 1|X-Other: 1"}},
		{"passes: upgrade", []string{"GET /x?q HTTP/1.1|Host: a|Connection: upgrade|Upgrade: websocket"}},
		{"passes: connection-names-field", []string{"GET /x?q HTTP/1.1|Host: a|Connection: accept-language|Accept-Language: de"}},
		{"passes: method", []string{"OPTIONS * HTTP/1.1|Host: a", "POST /x?q HTTP/1.1|Host: a|Content-Length: 0"}},
	} {
		for _, head := range c.heads {
			x := &exchange.Exchange{Scheme: "http"}
			text := strings.ReplaceAll(head, "|", "\r\n") + "\r\n\r\n"
			got := "400"
			if _, err := http1.ParseRequest([]byte(text), &x.Req, &http1.Limits{Line: 1000, Fields: 20, Head: 4000}); err == nil {
				r := keyOf(t, k, x)
				got = string(k.AppendKeyText(nil, &r))
			} else if err.Status != 400 {
				got = err.Reason
			}
			if got != c.want {
				t.Errorf("%s: %s, want %s", head, got, c.want)
			}
		}
	}
}

// What a peer that is not trusted says of the way to it does not reach the app when the cache fetches.
func TestWithholds(t *testing.T) {
	k := compile(t, KeyPolicy{HeaderParts: []string{"X-Forwarded-Path"}})
	plain := keyOf(t, k, keyed("http://a/"))
	for line, forwarded := range map[string]bool{
		"X-Forwarded-Prefix: /x": true, "X-Forwarded-Server: evil": true, "X-Forwarded-Port: 1": true, "X-Forwarded-Scheme: http": true, "Front-End-Https: on": true, "X-FORWARDED-SSL: off": true, "X-Original-Host: evil": true,
		"X-Other: 1": false, "Accept: x": false, "Authorization: x": false,
	} {
		x := keyed("http://a/", line)
		r := keyOf(t, k, x)
		if r.Pass != NoPass || r.Hides != forwarded || k.Withholds(&x.Req.Fields.List[0], x) != forwarded || r.Key != plain.Key {
			t.Errorf("%s: %v, hides %v", line, r.Pass, r.Hides)
		}
		x.Trusted = true
		r = keyOf(t, k, x)
		if r.Pass != NoPass || r.Hides || k.Withholds(&x.Req.Fields.List[0], x) || (r.Key == plain.Key) == forwarded {
			t.Errorf("%s of a trusted proxy: %v, hides %v", line, r.Pass, r.Hides)
		}
	}
	x := keyed("http://a/", "X-Forwarded-Path: /x") // part of the key: the app may see it
	if r := keyOf(t, k, x); r.Hides || k.Withholds(&x.Req.Fields.List[0], x) || r.Key == plain.Key {
		t.Error("a field that is part of the key is withheld")
	}
	x = keyed("http://a/", "Cookie: a=1")
	if !k.Withholds(&x.Req.Fields.List[0], x) {
		t.Error("the Cookie field is sent twice")
	}
}
