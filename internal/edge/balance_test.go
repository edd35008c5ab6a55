package edge

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/testkit"
)

// named is an origin that answers with its name.
func named(t testing.TB, name string) *testkit.Origin {
	return answers(t, "tcp", fmt.Sprintf("HTTP/1.1 200 OK\nContent-Length: %d\n\n%s", len(name), name))
}

// asks sends one request and returns the response.
func asks(t testing.TB, r *running, text string) *testkit.Message {
	t.Helper()
	c := testkit.Dial(t, r.addr)
	defer c.Close()
	c.Send(wire(text))
	method, _, _ := strings.Cut(text, " ")
	return c.Response(method)
}

// Requests of one key go to one server, and those without go anywhere.
func TestHashes(t *testing.T) {
	var addresses []string
	for i := range 4 {
		addresses = append(addresses, named(t, fmt.Sprint(i)).Address)
	}
	for _, row := range []struct {
		name, balance string
		request       string // N is replaced by a number
		one           bool   // all go to one server
	}{
		{"uri", "uri_hash", "GET /a?N HTTP/1.1\nHost: a\n\n", false},
		{"uri, the same", "uri_hash", "GET /x/../a%62?q HTTP/1.1\nHost: hN\n\n", true},
		{"path", "{uri_hash: path}", "GET /a?N HTTP/1.1\nHost: a\n\n", true},
		{"header", "{header_hash: X-Tenant}", "GET / HTTP/1.1\nHost: a\nX-Tenant: N\n\n", false},
		{"header, the same", "{header_hash: x-tenant}", "GET /N HTTP/1.1\nHost: a\nX-Tenant: 7\n\n", true},
		{"cookie", "{cookie_hash: sid}", "GET / HTTP/1.1\nHost: a\nCookie: a=b; sid=N\n\n", false},
		{"cookie, the same", "{cookie_hash: sid}", "GET / HTTP/1.1\nHost: a\nCookie: a=N\nCookie: xsid=N; sid=7; b=c\n\n", true},
		{"source", "source_hash", "GET /N HTTP/1.1\nHost: a\n\n", true},
		{"source behind a proxy", "source_hash", "GET / HTTP/1.1\nHost: a\nX-Forwarded-For: 192.0.2.N\n\n", false},
		{"one network of IPv6", "source_hash", "GET / HTTP/1.1\nHost: a\nX-Forwarded-For: 2001:db8:1:2::N\n\n", true},
		{"networks of IPv6", "source_hash", "GET / HTTP/1.1\nHost: a\nX-Forwarded-For: 2001:db8:1:N::1\n\n", false},
		{"no key", "{cookie_hash: none}", "GET / HTTP/1.1\nHost: a\n\n", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := serveEdge(t, fibers, "trusted_proxies: [127.0.0.1]\n"+onePool("balance: "+row.balance, addresses...))
			got := map[string]int{}
			const n = 40
			for i := range n {
				request := strings.ReplaceAll(row.request, "N", fmt.Sprint(i))
				first := asks(t, r, request).Body
				got[first]++
				if row.name != "no key" {
					if second := asks(t, r, request).Body; second != first {
						t.Errorf("request %d went to server %s, then to %s", i, first, second)
					}
				}
			}
			if row.one != (len(got) == 1) || !row.one && len(got) != 4 {
				t.Errorf("requests went to servers %v", got)
			}
			r.quiet()
		})
	}
}

// A backup server, then a backup pool, is used while nobody else is open.
func TestBackups(t *testing.T) {
	main, spare, other := named(t, "main"), named(t, "spare"), named(t, "other")
	log, file := logged(t)
	r := serveEdge(t, fibers, log+fmt.Sprintf(`pools:
  p: {servers: [%q, {address: %q, backup: true}], backup: o}
  o: {servers: [%q]}
sites: [{hosts: ['*'], routes: [{pool: p}]}]
`, main.Address, spare.Address, other.Address))
	want := func(body string) {
		t.Helper()
		if m := asks(t, r, get); m.Status != 200 || m.Body != body {
			t.Errorf("%d %q, want %q", m.Status, m.Body, body)
		}
	}
	want("main")
	want("main")
	main.Close()
	want("spare")
	want("spare")
	spare.Close()
	want("other")
	want("other")
	r.quiet()
	if all := readLog(t, file, 6); all[5].Pool != "o" || all[0].Pool != "p" {
		t.Errorf("logged as of the pools %s and %s", all[0].Pool, all[5].Pool)
	}
}
