package cache

import (
	"testing"

	"github.com/weirhq/weir/internal/exchange"
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
		{get("X-Original-URL: /admin"), PassURLOverride}, {get("X-Rewrite-URL: /admin"), PassURLOverride}, {get("X-Forwarded-Prefix: /x"), PassURLOverride}, {get("X-Original-URL: "), PassURLOverride},
		{get("X-Host: evil"), PassHostOverride}, {get("X-Forwarded-Server: evil"), PassHostOverride}, {get("X-Forwarded-Port: 1"), PassHostOverride}, {get("X-HTTP-Host-Override: evil"), PassHostOverride},
		{get("X-Forwarded-Scheme: http"), PassSchemeOverride}, {get("Front-End-Https: on"), PassSchemeOverride}, {get("X-Forwarded-SSL: off"), PassSchemeOverride},
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
	for status, want := range map[int]bool{200: false, 301: false, 304: false, 400: true, 404: false, 410: false, 413: true, 431: true, 500: false, 501: true, 503: false} {
		if Provoked(status) != want {
			t.Errorf("%d: %v", status, !want)
		}
	}
}
