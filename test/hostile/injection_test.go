package hostile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/testkit"
)

// nasty are texts that mean something to a terminal, a log's reader, a page or a program.
var nasty = []string{
	`"><script>alert(1)</script>`, `'"--><img src=x onerror=alert(1)>`, `{{7*7}}${7*7}<%= 7*7 %>`, `${jndi:ldap://x/a}`, `" 200 0 "-" "forged" "id" 0.001`,
	`","status":200,"forged":"`, `\"}` + `{"forged":1}`, `\u001b[31m`, `\x1b[2J`, `\r\nSet-Cookie: forged=1`, `%0d%0aSet-Cookie:%20forged=1`, `\n127.0.0.1 - - [forged]`, "\xc2\x9b31mforged", "\x9b31mforged",
	"\xc2\x85forged", "\xe2\x80\xa8forged\xe2\x80\xa9", "\xe2\x80\xaeforged", "\xef\xbb\xbfforged", "\xed\xa0\x80\xf4\x90\x80\x80\xff\xfe", "\xc0\xaf\xc1\x9c", "a\tb", `'; DROP TABLE log; --`, `=cmd|' /C calc'!A0`, `{status}{title}{id}`,
	strings.Repeat("\xff", 3000), strings.Repeat(`"`, 3000), strings.Repeat(`\`, 3000),
}

// nastyRequests put them wherever a client may write, whether that is allowed or not. Each is a whole request.
func nastyRequests() (all []string) {
	for _, n := range nasty {
		path := strings.Map(func(r rune) rune {
			if r <= ' ' || r >= 0x7f {
				return '_'
			}
			return r
		}, n)
		once := "Connection: close\r\n\r\n"
		all = append(all,
			"GET /"+n+" HTTP/1.1\r\n"+host+once, "GET /"+path+" HTTP/1.1\r\n"+host+once, "GET /?"+path+" HTTP/1.1\r\n"+host+once,
			"GET / HTTP/1.1\r\n"+host+"User-Agent: "+n+"\r\nReferer: "+n+"\r\n"+once,
			"GET / HTTP/1.1\r\nHost: "+n+"\r\n"+once, "GET http://"+path+"/ HTTP/1.1\r\n"+host+once,
			"GET /none HTTP/1.1\r\n"+host+"X-Request-ID: "+n+"\r\nX-Forwarded-For: "+n+"\r\nX-Forwarded-Proto: "+n+"\r\nX-Forwarded-Host: "+n+"\r\nForwarded: for="+n+"\r\nVia: "+n+"\r\n"+once,
			"GET /none HTTP/1.1\r\n"+host+"Accept: application/json\r\nX-Request-ID: "+n+"\r\n"+once, "GET /down HTTP/1.1\r\n"+host+"Accept: application/json, "+n+"\r\n"+once,
			n+" / HTTP/1.1\r\n"+host+once, "G"+path+" / HTTP/1.1\r\n"+host+once, "GET / "+n+"\r\n"+host+once,
			"GET /to HTTP/1.1\r\n"+host+once, "GET /to/"+path+"?"+path+" HTTP/1.1\r\n"+host+once,
			"GET / HTTP/1.1\r\n"+host+n+": x\r\n"+once,
		)
	}
	for c := range 256 {
		b := string([]byte{byte(c)})
		all = append(all, "GET /a HTTP/1.1\r\n"+host+"Connection: close\r\nUser-Agent: a"+b+"b\r\nReferer: "+b+b+"\r\n\r\n")
	}
	return all
}

const injectionSites = `
listen: {http: ["@ADDRESS@"]}
log: {access: {to: "@DIR@/access.log", format: %s}}
%s
pools:
  p: {servers: ['%s']}
  down: {servers: ['%s']}
sites:
  - hosts: [a.test]
    routes:
      - {match: {path: /none}, respond: {status: 404, body: none}}
      - {match: {path: /down}, pool: down}
      - {match: {path: /to}, redirect: "https://b.test{uri}"}
      - {match: {path: /to/*}, redirect: "https://b.test{uri}"}
      - {pool: p}
  - hosts: ["*"]
    routes: [{match: {path: /only}, pool: p}]
`

// combined is a line of the combined format with weir's two fields behind it: what a log's reader goes by.
var combined = regexp.MustCompile(`^[0-9.]+ - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000\] "(?:-|[^" ]+ [^" ]*(?: HTTP/1\.\d)?)" \d{3} \d+ "[^"]*" "[^"]*" "[^" ]+" \d+\.\d{3}$`)

// TestInjection has clients write into logs, pages, and what servers and other clients are told.
func TestInjection(t *testing.T) {
	for _, row := range []struct{ format, more string }{{"json", ""}, {"combined", ""}, {"json", "trusted_proxies: [127.0.0.0/8]"}, {"combined", "trusted_proxies: [127.0.0.0/8]"}} {
		trusted := row.more != ""
		t.Run(fmt.Sprintf("%s, trusted %v", row.format, trusted), func(t *testing.T) {
			testkit.Leaks(t)
			o := newRecorder(t)
			o.trusting = trusted
			w := testkit.Run(t, testkit.Setup{Config: fmt.Sprintf(injectionSites, row.format, row.more, o.address(), testkit.DeadAddress(t))})
			all := nastyRequests()
			for _, text := range all {
				got, err := talk(w.Address, text)
				if err == nil {
					err = judgePage(got, trusted)
				}
				if err != nil {
					t.Errorf("%v\n\t%s", err, short([]byte(text)))
				}
			}
			w.Stop()
			if row.format == "json" {
				checkLog(t, w.Dir+"/access.log")
			} else {
				checkCombined(t, w.Dir+"/access.log")
			}
			if out := w.Output(); unprintable(bytes.ReplaceAll([]byte(out), []byte("\n"), nil)) >= 0 || strings.Contains(out, "forged") {
				t.Errorf("weir's own log: %q", out)
			}
		})
	}
}

// talk sends a request and reads all that comes back.
func talk(address, text string) ([]byte, error) {
	c, err := from("127.0.0.1", address)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	io.WriteString(c, text) //nolint:errcheck // what comes back tells
	got, ok := ended(c, patience)
	if !ok {
		return got, fmt.Errorf("the connection stays open after %s", short(got))
	}
	return got, nil
}

// judgePage looks for what a client wrote in what it is told.
func judgePage(got []byte, trusted bool) error {
	r, rest, err := parseResponse(got, "GET")
	if err != nil {
		return fmt.Errorf("%w in %s", err, short(got))
	}
	if len(rest) > 0 {
		return fmt.Errorf("behind the answer: %s", short(rest))
	}
	if v := valuesOf(r.fields, "Set-Cookie"); v != nil {
		return fmt.Errorf("Set-Cookie: %q", v)
	}
	id := valuesOf(r.fields, "X-Request-ID")
	if len(id) != 1 || !trusted && !ownID.MatchString(id[0]) || unprintable([]byte(id[0])) >= 0 || strings.ContainsAny(id[0], "\" \\") {
		return fmt.Errorf("X-Request-ID: %q", id)
	}
	switch types := valuesOf(r.fields, "Content-Type"); {
	case slices.Equal(types, []string{"application/json"}):
		var v struct {
			Error struct {
				Status int
				ID     string `json:"request_id"`
			}
			Forged any
		}
		if err := json.Unmarshal([]byte(r.body), &v); err != nil || v.Error.Status != r.status || v.Forged != nil || v.Error.ID != id[0] || strings.ContainsAny(r.body, "<>") {
			return fmt.Errorf("JSON: %v: %s", err, r.body)
		}
	case len(types) == 1 && strings.HasPrefix(types[0], "text/html"):
		for _, bad := range []string{"forged", "<script", "onerror", "alert(", "jndi", "7*7"} {
			if strings.Contains(r.body, bad) && !strings.Contains(r.body, "&lt;") {
				return fmt.Errorf("the page has %q: %s", bad, r.body)
			}
		}
		if strings.Contains(r.body, "<script") || strings.Contains(r.body, "<img") {
			return fmt.Errorf("the page runs what the client wrote: %s", r.body)
		}
	}
	if to := valuesOf(r.fields, "Location"); to != nil && (len(to) != 1 || !strings.HasPrefix(to[0], "https://b.test/")) {
		return fmt.Errorf("Location: %q", to)
	}
	return nil
}

var ownID = regexp.MustCompile(`^[0-9a-f]{22}$`)

// checkCombined judges an access log in the combined format.
func checkCombined(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"))
	for _, l := range lines {
		if !combined.Match(l) {
			t.Fatalf("no line of the format: %s", short(l))
		}
		if bad := unprintable(l); bad >= 0 {
			t.Fatalf("a terminal obeys byte %d of %s", bad, short(l))
		}
	}
	t.Logf("%d lines in the log", len(lines))
}

// TestWorkersWords has a worker say what a terminal obeys: neither weir's output nor its status may pass it on.
func TestWorkersWords(t *testing.T) {
	testkit.Leaks(t)
	const script = `#!/bin/sh
printf 'plain\033[2J\033]0;owned\007\rforged\n'
printf '\233\061m\302\233\061m\342\200\250\342\200\256\n' >&2
printf 'x\0y\177\n'
printf '\033[31mthe last word\010\010\010\n' >&2
exit 3
`
	w := testkit.Run(t, testkit.Setup{NoWait: true, Files: map[string]string{"worker": script}, Config: `
listen: {http: ["@ADDRESS@"]}
apps: {bad: {command: "@DIR@/worker", workers: 1, socket: true, backoff: {min: 50ms, max: 100ms}}}
`})
	testkit.Eventually(t, patience, "the worker dies again and again", func() bool {
		out, _, code := w.Command("status")
		return code == 0 && strings.Contains(out, "CRASH LOOP") && strings.Contains(out, "the last word")
	})
	for _, args := range [][]string{{"status"}, {"status", "--json"}} {
		out, problem, _ := w.Command(args...)
		if bad := unprintable(bytes.ReplaceAll([]byte(out+problem), []byte("\n"), nil)); bad >= 0 {
			t.Errorf("weir %s: a terminal obeys byte %d of %q", args, bad, out+problem)
		}
	}
	for line := range strings.Lines(w.Output()) {
		if bad := unprintable([]byte(strings.TrimSuffix(line, "\n"))); bad >= 0 {
			t.Errorf("a terminal obeys byte %d of %q", bad, line)
		}
		if strings.HasPrefix(line, "forged") {
			t.Errorf("a worker began a line of its own: %q", line)
		}
	}
}
