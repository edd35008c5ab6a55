package edge

import (
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/testkit"
)

// script is one exchange in plain text: what the client sends, what the server then gets, what it answers, what the
// client then gets. The lines end as on the wire once wire has seen them.
type script struct {
	name   string
	config string // default: onePool with what buffer says
	send   string
	gets   string // the server; "" when it must not be asked
	answer string
	want   string // the client
	closes bool   // the connection is closed behind the answer; else it must be good for another request
}

func (s script) play(t *testing.T, body loop.Config, more string) {
	t.Helper()
	o := answers(t, "tcp", s.answer)
	config := strings.ReplaceAll(s.config, "ORIGIN", o.Address)
	if config == "" {
		config = onePool(more, o.Address)
	}
	r := serveEdge(t, body, config)
	c := testkit.Dial(t, r.addr)
	c.Send(wire(s.send))
	method, _, _ := strings.Cut(s.send, " ")
	for m := c.Response(method); m.Status < 200; m = c.Response(method) {
	}
	if got := plain(c.Got()); got != s.want {
		t.Errorf("the client got\n%s\nwant\n%s", got, s.want)
	}
	if got := plain(o.Got(0)); got != s.gets {
		t.Errorf("the server got\n%s\nwant\n%s", got, s.gets)
	}
	if s.closes {
		c.Closed()
		return
	}
	c.Send(wire("OPTIONS * HTTP/1.1\nHost: a\n\n"))
	if m := c.Response("OPTIONS"); m.Status != 204 {
		t.Errorf("the connection's next request got %s", m.Start)
	}
}

const (
	ok       = "HTTP/1.1 200 OK\nContent-Length: 2\n\nhi"
	gotOK    = "HTTP/1.1 200 OK\nDate: DATE\nContent-Length: 2\nVia: 1.1 weir\nX-Request-ID: ID\n\nhi"
	closedOK = "HTTP/1.1 200 OK\nDate: DATE\nContent-Length: 2\nVia: 1.1 weir\nX-Request-ID: ID\nConnection: close\n\nhi"
	told     = "X-Forwarded-For: 127.0.0.1\nX-Forwarded-Proto: http\nX-Forwarded-Host: a\nVia: 1.1 weir\n"
	trusting = "trusted_proxies: [127.0.0.0/8, 10.0.0.0/8]\npools: {p: {servers: ['ORIGIN']}}\nsites: [{hosts: ['*'], routes: [{pool: p}]}]\n"
)

// Every row is played without and with buffers: the answers must be the same.
func TestFields(t *testing.T) {
	for _, s := range []script{
		{
			name:   "as it is",
			send:   "GET /a?b=c HTTP/1.1\nHost: a\nAccept: */*\nX-Odd: \"q\", b\nCookie: a=1\nCookie: b=2\n\n",
			gets:   "GET /a?b=c HTTP/1.1\nHost: a\nAccept: */*\nX-Odd: \"q\", b\nCookie: a=1\nCookie: b=2\n" + told + "X-Request-ID: ID\n\n",
			answer: "HTTP/1.1 299 Very Well\nSet-Cookie: a=1\nSet-Cookie: b=2\nServer: them\nContent-Length: 2\n\nhi",
			want:   "HTTP/1.1 299 Very Well\nSet-Cookie: a=1\nSet-Cookie: b=2\nServer: them\nDate: DATE\nContent-Length: 2\nVia: 1.1 weir\nX-Request-ID: ID\n\nhi",
		},
		{
			name: "hop-by-hop fields end here, both ways",
			send: "GET / HTTP/1.1\nHost: a\nConnection: keep-alive, X-Drop , x-too\nKeep-Alive: timeout=5\nX-Drop: 1\nX-Too: 2\nX-Stays: 3\n" +
				"Proxy-Connection: keep-alive\nProxy-Authorization: Basic eA==\nTE: gzip\nTrailer: X-Sum\nUpgrade: h2c\n\n",
			gets: "GET / HTTP/1.1\nHost: a\nX-Stays: 3\n" + told + "X-Request-ID: ID\n\n",
			answer: "HTTP/1.1 200 OK\nConnection: X-Gone, keep-alive\nX-Gone: 1\nX-Stays: 2\nKeep-Alive: timeout=9\nProxy-Authenticate: Basic\n" +
				"Trailer: X-Sum\nUpgrade: h2c\nProxy-Connection: close\nX-Accel-Buffering: yes\nContent-Length: 2\n\nhi",
			want: "HTTP/1.1 200 OK\nX-Stays: 2\nDate: DATE\nContent-Length: 2\nVia: 1.1 weir\nX-Request-ID: ID\n\nhi",
		},
		{
			name:   "other protocols are not switched to",
			send:   "GET / HTTP/1.1\nHost: a\nConnection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: AAMAAABk\n\n",
			gets:   "GET / HTTP/1.1\nHost: a\n" + told + "X-Request-ID: ID\n\n",
			answer: ok, want: gotOK,
		},
		{
			name: "nobody is believed without trusted_proxies",
			send: "GET / HTTP/1.1\nHost: a\nX-Forwarded-For: 9.9.9.9\nX-Forwarded-Proto: https\nX-Forwarded-Host: evil\nForwarded: for=9.9.9.9\n" +
				"X-Request-ID: mine\nVia: 1.0 before\n\n",
			gets:   "GET / HTTP/1.1\nHost: a\nVia: 1.0 before\n" + told + "X-Request-ID: ID\n\n",
			answer: "HTTP/1.1 200 OK\nVia: 1.1 app\nX-Request-ID: theirs\nDate: Thu, 01 Jan 2026 00:00:00 GMT\nContent-Length: 2\n\nhi",
			want:   "HTTP/1.1 200 OK\nVia: 1.1 app\nDate: DATE\nContent-Length: 2\nVia: 1.1 weir\nX-Request-ID: ID\n\nhi",
		},
		{
			name: "a trusted proxy is believed", config: trusting,
			send: "GET / HTTP/1.1\nHost: a\nX-Forwarded-For: 9.9.9.9, 10.1.1.1\nX-Forwarded-Proto: https\nX-Forwarded-Host: www\nForwarded: for=9.9.9.9;by=x\n" +
				"X-Request-ID: mine-1\n\n",
			gets: "GET / HTTP/1.1\nHost: a\nX-Forwarded-For: 9.9.9.9, 10.1.1.1, 127.0.0.1\nX-Forwarded-Proto: https\nX-Forwarded-Host: www\n" +
				"Forwarded: for=9.9.9.9;by=x, for=127.0.0.1;proto=https;host=\"a\"\nVia: 1.1 weir\nX-Request-ID: mine-1\n\n",
			answer: ok, want: strings.ReplaceAll(gotOK, "ID: ID", "ID: mine-1"),
		},
		{
			name: "but not an id that would break a log", config: trusting,
			send:   "GET / HTTP/1.1\nHost: a\nX-Request-ID: a\"b\n\n",
			gets:   "GET / HTTP/1.1\nHost: a\n" + told + "X-Request-ID: ID\n\n",
			answer: ok, want: gotOK,
		},
		{
			name:   "Forwarded on request",
			config: "pools: {p: {servers: ['ORIGIN']}}\nsites: [{hosts: ['*'], routes: [{pool: p, forwarded: true}]}]\n",
			send:   "GET / HTTP/1.1\nHost: a:8080\nForwarded: for=1.2.3.4\n\n",
			gets: "GET / HTTP/1.1\nHost: a:8080\nX-Forwarded-For: 127.0.0.1\nX-Forwarded-Proto: http\nX-Forwarded-Host: a:8080\n" +
				"Forwarded: for=127.0.0.1;proto=http;host=\"a:8080\"\nVia: 1.1 weir\nX-Request-ID: ID\n\n",
			answer: ok, want: gotOK,
		},
		{
			name:   "the server gets what was routed: one path, one host in lower case",
			send:   "GET /a//b/./c/../%7euser%2d?x=%2F../ HTTP/1.1\nHost: A\n\n",
			gets:   "GET /a/b/~user-?x=%2F../ HTTP/1.1\nHost: a\n" + told + "X-Request-ID: ID\n\n",
			answer: ok, want: gotOK,
		},
		{
			name:   "absolute form",
			send:   "GET http://a/x?y HTTP/1.1\nHost: a\n\n",
			gets:   "GET /x?y HTTP/1.1\nHost: a\n" + told + "X-Request-ID: ID\n\n",
			answer: ok, want: gotOK,
		},
		{
			name: "OPTIONS of everything asks weir",
			send: "OPTIONS * HTTP/1.1\nHost: a\n\n",
			want: "HTTP/1.1 204 No Content\nServer: weir\nDate: DATE\nAllow: GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH\nX-Request-ID: ID\n\n",
		},
		{
			name:   "OPTIONS of something asks the server",
			send:   "OPTIONS /x HTTP/1.1\nHost: a\n\n",
			gets:   "OPTIONS /x HTTP/1.1\nHost: a\n" + told + "X-Request-ID: ID\n\n",
			answer: "HTTP/1.1 204 No Content\nAllow: GET\n\n",
			want:   "HTTP/1.1 204 No Content\nAllow: GET\nDate: DATE\nVia: 1.1 weir\nX-Request-ID: ID\n\n",
		},
		{
			name:   "Content-Length: 0 is passed on, and so is its absence",
			send:   "POST / HTTP/1.1\nHost: a\nContent-Length: 0\n\n",
			gets:   "POST / HTTP/1.1\nHost: a\n" + told + "Content-Length: 0\nX-Request-ID: ID\n\n",
			answer: "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
			want:   "HTTP/1.1 200 OK\nDate: DATE\nContent-Length: 0\nVia: 1.1 weir\nX-Request-ID: ID\n\n",
		},
		{
			name:   "HTTP/1.0 client",
			send:   "GET / HTTP/1.0\n\n",
			gets:   "GET / HTTP/1.1\nHost: \nX-Forwarded-For: 127.0.0.1\nX-Forwarded-Proto: http\nX-Forwarded-Host: \nVia: 1.0 weir\nX-Request-ID: ID\n\n",
			answer: ok, want: closedOK, closes: true,
		},
		{
			name:   "HTTP/1.0 client that keeps its connection",
			send:   "GET / HTTP/1.0\nHost: a\nConnection: keep-alive\n\n",
			gets:   "GET / HTTP/1.1\nHost: a\n" + strings.Replace(told, "Via: 1.1", "Via: 1.0", 1) + "X-Request-ID: ID\n\n",
			answer: ok, want: strings.Replace(gotOK, "ID: ID\n", "ID: ID\nConnection: keep-alive\n", 1),
		},
		{
			name:   "a client that closes",
			send:   "GET / HTTP/1.1\nHost: a\nConnection: close\n\n",
			gets:   "GET / HTTP/1.1\nHost: a\n" + told + "X-Request-ID: ID\n\n",
			answer: ok, want: closedOK, closes: true,
		},
		{
			name:   "HTTP/1.0 server",
			send:   "GET / HTTP/1.1\nHost: a\n\n",
			gets:   "GET / HTTP/1.1\nHost: a\n" + told + "X-Request-ID: ID\n\n",
			answer: "HTTP/1.0 200 OK\n\nhi<close>",
			want:   "HTTP/1.1 200 OK\nDate: DATE\nTransfer-Encoding: chunked\nVia: 1.0 weir\nX-Request-ID: ID\n\n2\nhi\n0\n\n",
		},
		{
			name:   "headers of the site and the route",
			config: "pools: {p: {servers: ['ORIGIN']}}\nsites: [{hosts: ['*'], headers: {set: {X-Frame-Options: DENY, Server: us}, remove: [X-Powered-By]}, routes: [{pool: p, headers: {remove: [ETag]}}]}]\n",
			send:   "GET / HTTP/1.1\nHost: a\n\n",
			gets:   "GET / HTTP/1.1\nHost: a\n" + told + "X-Request-ID: ID\n\n",
			answer: "HTTP/1.1 200 OK\nServer: them\nX-Powered-By: PHP\nETag: \"1\"\nx-frame-options: SAMEORIGIN\nContent-Length: 2\n\nhi",
			want:   "HTTP/1.1 200 OK\nX-Frame-Options: DENY\nServer: us\nDate: DATE\nContent-Length: 2\nVia: 1.1 weir\nX-Request-ID: ID\n\nhi",
		},
		{
			name:   "and on weir's own answers",
			config: "sites: [{hosts: ['*'], headers: {set: {Server: us, Cache-Control: private}}, routes: [{respond: {status: 200, body: hi}}]}]\n",
			send:   "GET / HTTP/1.1\nHost: a\n\n",
			want:   "HTTP/1.1 200 OK\nDate: DATE\nContent-Type: text/plain; charset=utf-8\nContent-Length: 2\nServer: us\nCache-Control: private\nX-Request-ID: ID\n\nhi",
		},
		{
			name:   "rewritten",
			config: "pools: {p: {servers: ['ORIGIN']}}\nsites: [{hosts: ['*'], routes: [{match: {path: /app/*}, rewrite: {strip_prefix: /app}, pool: p}]}]\n",
			send:   "GET /app/x?y=z HTTP/1.1\nHost: a\n\n",
			gets:   "GET /x?y=z HTTP/1.1\nHost: a\n" + told + "X-Request-ID: ID\n\n",
			answer: ok, want: gotOK,
		},
	} {
		for _, b := range []struct{ name, more string }{{"streaming", ""}, {"buffering", bothBuffers}} {
			if s.config != "" && b.more != "" {
				continue
			}
			t.Run(s.name+"/"+b.name, func(t *testing.T) {
				eachBody(t, func(t *testing.T, body loop.Config) { s.play(t, body, b.more) })
			})
		}
	}
}
