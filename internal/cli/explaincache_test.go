package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const cachedSite = `
apps:
  web: {command: nowhere --port $PORT, workers: 3}
sites:
  - hosts: [www.example.com]
    compress: [zstd, br, gzip]
    routes:
      - match: {path: /admin/*}
        pool: web
        cache: off
      - match: {path: /own/*}
        pool: web
        cache: {private: [sessionid], grace: 0s, grace_on_error: 1h, reload: ignore}
      - pool: web
        cache:
          pass_if_cookie: [sessionid]
          ignore_cookies: ["_ga*"]
          ignore_query: ["utm_*"]
          sort_query: true
          default_ttl: 20s
          grace: 6h
          ttl: [{status: [404, 410], for: 10s}, {type: image/*, for: 1d, force: true}]
          key: {cookie: [lang], device: [{name: phone, words: [Mobile]}]}
          bypass: {header: {X-No-Cache: "1"}}
cache: {memory: 64MiB}
`

// TestExplainCache: what the cache would do with a request and with a response to it, and by which rule.
func TestExplainCache(t *testing.T) {
	file := filepath.Join(t.TempDir(), "weir.yaml")
	if err := os.WriteFile(file, []byte(cachedSite), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string // separated by |
		want []string
		not  string
	}{
		{"/admin/", []string{"cache    no: cache: off"}, "stored"},
		{"/|-X|POST", []string{"passes (method)"}, "key "},
		{"/|-H|Cookie: sessionid=1|--status|200", []string{"passes (cookie)", "stored   no: the request passes"}, ""},
		{"/|-H|X-No-Cache: 1", []string{"passes (configured)"}, ""},
		{"/|-H|Cache-Control: no-store", []string{"passes (request-no-store)", "5.2.1.5"}, ""},
		{"/|-H|X-Original-URL: /evil", []string{"passes (url-override)"}, ""},
		{"/|-H|Cache-Control: no-cache, only-if-cached", []string{"is heeded", "504"}, ""},
		{"/own/|-H|Cache-Control: no-cache", []string{"is ignored (reload: ignore)", "1h0m0s while the pool is down"}, ""},
		{"/p?utm_x=1&b=2&a=1|-H|Cookie: _ga=1; lang=de; x=secret|-H|User-Agent: a Mobile b",
			[]string{`key      http://www.example.com/p?a=1&b=2 device phone cookie "lang=de"`, `counts as "a=1&b=2"`, "fewer cookies: lang, x", "no part of the key", "6h0m0s beyond its life"}, "secret"},
		{"/own/|-H|Cookie: sessionid=secret|--response-header|Cache-Control: private, max-age=9", []string{"private sessionid=#", "visitor's own", "yes, for 9s: max-age in Cache-Control (RFC 9111, section 5.2.2.1)"}, "secret"},
		{"/|--status|200", []string{"yes, for 20s: default_ttl", "then for 6h0m0s served while"}, ""},
		{"/|--status|404", []string{"yes, for 10s: rule 1"}, ""},
		{"/|--status|500", []string{"no (no-freshness)"}, ""},
		{"/|--status|400|--response-header|ETag: 1", []string{"no (no-freshness)"}, ""},
		{"/|-H|Cookie: x=1|--status|200", []string{"no (unkeyed-cookie)", "change   name the cookies that change nothing in ignore_cookies"}, ""},
		{"/|--response-header|Content-Type: text/event-stream", []string{"no (event-stream)"}, ""},
		{"/|--response-header|Content-Length: 8388609", []string{"no (too-large)", "it has 8.0 MiB, and max_object is 8.0 MiB", "change   a larger max_object"}, ""},
		{"/|--response-header|Content-Length: 8388608", []string{"stored   yes"}, ""},
		{"/|--status|503", []string{"no (no-freshness)", "default_ttl is for statuses", "change   the app is to send"}, ""},
		{"/|--response-header|Cache-Control: max-age=9|--response-header|Vary: Cookie, User-Agent, Accept-Encoding", []string{"a variant by accept-encoding, cookie, user-agent", "each set of cookies", "each browser's version", "weir compress it"}, ""},
		{"/|-X|HEAD", []string{"not brought in by a HEAD (head)"}, ""},
		{"/|-H|Authorization: x", []string{"with Authorization only what says public"}, ""},
		{"/|-H|Cookie: sessionid=1", []string{"change   take it out of pass_if_cookie"}, ""},
		{"/|--response-header|Content-Type: image/png|--response-header|Cache-Control: max-age=5", []string{"24h0m0s: rule 2"}, ""},
		{"/own/|--response-header|Cache-Control: s-maxage=5", []string{"max-stale does not count"}, ""},
		{"/|--response-header|Set-Cookie: a=b", []string{"no (set-cookie)"}, ""},
		{"/|--response-header|Cache-Control: private", []string{"no (private)", "5.2.2.7"}, ""},
		{"/|--response-header|Vary: *", []string{"no (vary-star)", "4.1"}, ""},
		{"/|--response-header|Vary: B, a|--response-header|CDN-Cache-Control: max-age=7", []string{"for 7s: max-age in a field for this cache", "RFC 9213", "a variant by a, b"}, ""},
		{"/|-H|Authorization: x|--response-header|Cache-Control: max-age=7", []string{"no (authorization)", "3.5"}, ""},
		{"/|--response-header|Cache-Control: max-age=60, must-revalidate, immutable|--response-header|Age: 10", []string{"it is 10s old", "50s are left", "never served stale", "RFC 8246"}, "then for"},
		{"/|--response-header|Expires: 0|--response-header|ETag: \"1\"", []string{"yes, for 0s: Expires, which is past"}, ""},
		{"/|-H|Range: bytes=0-", []string{"begins with the first byte"}, ""},
		{"/|-H|Range: bytes=2-3|--status|206|--response-header|Content-Range: bytes 2-3/9|--response-header|ETag: \"1\"", []string{"that part is fetched and kept", "a part: it is kept", "yes, for 20s"}, ""},
		{"/|-H|Range: bytes=2-3|--status|206|--response-header|Content-Range: bytes 2-3/9", []string{"no (partial)"}, ""},
		{"/|--status|206|--response-header|Content-Range: bytes 2-3/9|--response-header|ETag: \"1\"", []string{"no (partial)"}, "a part: it is kept"},
		{"/|-H|Accept-Encoding: br|--response-header|Content-Type: text/html", []string{"this client gets br", "sent as br"}, ""},
	} {
		args := strings.Split(c.args, "|")
		args[0] = "www.example.com" + args[0]
		out, err := runExplain(append([]string{file}, args...)...)
		if err != nil {
			t.Errorf("%s: %v", c.args, err)
		}
		for _, w := range c.want {
			if !strings.Contains(out, w) {
				t.Errorf("%s: no %q in\n%s", c.args, w, out)
			}
		}
		if c.not != "" && strings.Contains(strings.SplitN(out, "\n", 2)[1], c.not) {
			t.Errorf("%s: %q in\n%s", c.args, c.not, out)
		}
	}
	for _, c := range []struct{ args, want string }{
		{"/|--status|99", "write one from 100 to 599"}, {"/|--response-header|x", "'Name: value'"}, {"/|--response-header|a b: c", "would be refused"},
		{"/|--response-header|Content-Length: x", "would be refused"},
	} {
		if _, err := runExplain(append([]string{file}, strings.Split(c.args, "|")...)...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.args, err)
		}
	}
}
