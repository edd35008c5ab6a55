package edge

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/testkit"
)

// One line a request, with what is known of it.
func TestAccessLog(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		body.Loops = 1 // lines of different loops come in any order
		o := echo(t, "tcp")
		log, file := logged(t)
		r := serveEdge(t, body, log+"trusted_proxies: [127.0.0.1]\npools: {p: {servers: ['"+o.Address+"']}}\n"+
			"sites: [{hosts: [a], routes: [{match: {path: /x/*}, pool: p, name: here}, {match: {path: /r}, redirect: /x}]}]\n")
		send := func(text string) {
			c := testkit.Dial(t, r.addr)
			c.Send(wire(text))
			method, _, _ := strings.Cut(text, " ")
			c.Response(method)
			c.Close()
			r.quiet()
		}
		send("POST /x/./y?z HTTP/1.1\nHost: A:80\nContent-Length: 2\nReferer: http://r/\"\nUser-Agent: tést\nX-Forwarded-For: 9.9.9.9\nX-Forwarded-Proto: https\nX-Request-ID: the-id\n\nhi")
		send("GET /r HTTP/1.0\nHost: a\n\n")
		send("HEAD /none HTTP/1.1\nHost: a\n\n")
		send("GET / HTTP/1.1\nHost: b\n\n")
		send("GET /bad HTTP/1.1\n\n")
		send("garbage\n\n")
		send("GET /../x HTTP/1.1\nHost: a\n\n")
		lines := readLog(t, file, 7)
		want := []string{
			`POST /x/y?z HTTP/1.1 https a from 9.9.9.9 "http://r/"" "tést": 200, out 14, in 2, a here p ` + o.Address + ` `,
			`GET /r HTTP/1.0 http a from 127.0.0.1 "" "": 302, out 0, in 0, a a#2   `,
			`HEAD /none HTTP/1.1 http a from 127.0.0.1 "" "": 404, out 0, in 0, a    no_route`,
			`GET / HTTP/1.1 http b from 127.0.0.1 "" "": 404, out PAGE, in 0,     no_site`,
			`GET /bad HTTP/1.1 http  from 127.0.0.1 "" "": 400, out PAGE, in 0,     bad_request`,
			`   http  from 127.0.0.1 "" "": 400, out PAGE, in 0,     bad_request`,
			`GET /../x  http  from 127.0.0.1 "" "": 400, out PAGE, in 0,     bad_request`,
		}
		for i, l := range lines {
			got := fmt.Sprintf("%s %s %s %s %s from %s %q %q: %d, out %d, in %d, %s %s %s %s %s", l.Method, l.Target, l.Protocol, l.Scheme, l.Host, l.Client,
				l.Referer, l.UserAgent, l.Status, l.Out, l.In, l.Site, l.Route, l.Pool, l.Server, l.Cause)
			if l.Out > 1000 {
				got = strings.Replace(got, fmt.Sprintf("out %d", l.Out), "out PAGE", 1)
			}
			if got = strings.ReplaceAll(got, `\"`, `"`); got != want[i] {
				t.Errorf("logged as\n%s\nwant\n%s", got, want[i])
			}
			if l.Time.IsZero() || l.ID == "" {
				t.Errorf("without a time or an id: %+v", l)
			}
		}
		if lines[0].ID != "the-id" || lines[0].FirstByte <= 0 || lines[0].Total <= 0 {
			t.Errorf("logged as %+v", lines[0])
		}
	})
}

// A log that cannot be opened is an error, and nothing has changed; another one takes over without losing lines.
func TestAnotherAccessLog(t *testing.T) {
	const site = "sites: [{hosts: ['*'], routes: [{respond: {status: 200, body: hi}}]}]\n"
	log, file := logged(t)
	r := serveEdge(t, fibers, log+site)
	c := testkit.Dial(t, r.addr)
	ask := func() { c.Send(wire(get)); wantStatus(c, 200) }
	ask()
	if err := r.apply("log: {access: {to: " + t.TempDir() + "}}\n" + site); err == nil {
		t.Error("a directory was taken for a log")
	}
	ask()
	readLog(t, file, 2)
	second := t.TempDir() + "/second.log"
	if err := r.apply("log: {access: {to: '" + second + "', format: combined}}\n" + site); err != nil {
		t.Fatal(err)
	}
	ask()
	r.stop(0)
	readLog(t, file, 2)
	b, err := os.ReadFile(second)
	if err != nil || strings.Count(string(b), "\n") != 1 || !strings.Contains(string(b), `"GET / HTTP/1.1" 200 2 `) {
		t.Errorf("the second log is %q, %v", b, err)
	}
}
