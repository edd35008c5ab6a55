package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const explained = `
apps:
  web: {command: nowhere --port $PORT, workers: 3}
sites:
  - hosts: [www.example.com]
    routes:
      - match: {path: /static/*}
        files: {root: DIR}
      - match: {path: /admin/*}
        allow: {from: [10.0.0.0/8], else: 404}
        pool: web
      - match: {path: /login, method: POST, any: [{cookie: beta}, {header: {X-Beta: "1"}}]}
        respond: {status: 200, body: hello}
      - match: {path: /api/*}
        rewrite: {strip_prefix: /api}
        pool: web
      - match: {path: /old/*}
        redirect: https://www.example.com{uri}
      - match: {path: /one}
        pool: web
        esi: {hosts: [boxes.example.com]}
  - hosts: ["*.example.org"]
    routes: [{pool: web}]
  - hosts: [keys.example.org]
    routes:
      - {match: {path: /path/*}, pool: path}
      - {match: {path: /uri/*}, pool: uri}
      - {match: {path: /field/*}, pool: field}
      - {match: {path: /cookie/*}, pool: cookie}
      - {match: {path: /fast/*}, pool: fast}
      - {pool: source}
zone: here
pools:
  path: {servers: ["10.0.0.1:80"], balance: {uri_hash: path}}
  uri: {servers: ["10.0.0.1:80"], balance: uri_hash}
  field: {servers: ["10.0.0.1:80"], balance: {header_hash: X-Tenant}}
  cookie: {servers: ["10.0.0.1:80"], balance: {cookie_hash: sid}, sticky: {learn: sid}}
  source: {servers: ["10.0.0.1:80"], balance: source_hash, backup: uri, sticky: {cookie: SRV}}
  fast: {servers: [{address: "10.0.0.1:80", zone: here}, {address: "10.0.0.2:80", backup: true}], balance: {random_two: latency}}
`

func TestExplainCommand(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "weir.yaml")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(explained, "DIR", dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"http://www.example.com/static/a.css"}, []string{"yes www.example.com (weir.yaml:5)", "✓ path begins with /static/", "files from " + dir, "no  *.example.org"}},
		{[]string{"www.example.com/admin/x"}, []string{"(weir.yaml:9)", "no: 127.0.0.1 is not in 10.0.0.0/8; the answer is 404"}},
		{[]string{"www.example.com/admin/x", "--client", "10.1.1.1"}, []string{"yes: 10.1.1.1 is in 10.0.0.0/8", "pool web", "3 workers"}},
		{[]string{"www.example.com/login", "-X", "POST", "-H", "Cookie: beta=1"}, []string{"✓ method is POST", "✓ any of", "✓ cookie beta is there", "✗ header X-Beta is \"1\"  (none)", "200 with 5 B"}},
		{[]string{"https://www.example.com/api/users?id=1"}, []string{"/api/users becomes /users", "limits   body"}},
		{[]string{"/old/./x%41?y", "-H", "Host: www.example.com:8080"}, []string{"path     /old/xA", "302 to https://www.example.com/old/xA?y"}},
		{[]string{"www.example.com/old/a%2Fb"}, []string{"400: the path has an encoded slash"}},
		{[]string{"http://me:secret@www.example.com/one"}, []string{"path     /one", "yes www.example.com (weir.yaml:5)", "pool web", "includes in text/html, application/xhtml+xml from this host and boxes.example.com", "at most 256, 5 deep"}},
		{[]string{"www.example.com/none"}, []string{"404: no route of the site matches"}},
		{[]string{"other.example.net"}, []string{"404: no site has this host", `"other.example.net" is none of its hosts`}},
		{[]string{"a.example.org"}, []string{`"a.example.org" is under *.example.org`, "takes every request"}},
		{[]string{"keys.example.org/path/./%61?b"}, []string{"uri_hash of the path", "key      the path /path/a\n"}},
		{[]string{"keys.example.org/uri/a?b"}, []string{", uri_hash\n", "key      the path and query /uri/a?b\n"}},
		{[]string{"keys.example.org/field/", "-H", "x-tenant: 7"}, []string{"header_hash of X-Tenant", "key      the field X-Tenant: 7\n"}},
		{[]string{"keys.example.org/field/"}, []string{"key      the field X-Tenant, which the request does not have: the server with the fewest requests"}},
		{[]string{"keys.example.org/cookie/", "-H", "Cookie: a=b; sid=x"}, []string{"cookie_hash of sid", "key      the cookie sid: x\n", "session  the app's cookie sid\n"}},
		{[]string{"keys.example.org/", "--client", "2001:db8::1"}, []string{"source_hash", "key      the client's address 2001:db8::1\n", "pool uri while no server of this one is open", "session  weir's cookie SRV, which the request does not have: a session may begin\n"}},
		{[]string{"keys.example.org/", "-H", "Cookie: SRV=x"}, []string{"session  weir's cookie SRV\n"}},
		{[]string{"keys.example.org/fast/"}, []string{"random_two and latency", "server 10.0.0.1:80, weight 1, of this weir's zone", "server 10.0.0.2:80, weight 1, a backup"}},
		{[]string{"www.example.com/%zz"}, []string{"refused  400"}},
	} {
		out, err := runExplain(append([]string{file}, c.args...)...)
		if err != nil {
			t.Errorf("%v: %v", c.args, err)
		}
		for _, w := range c.want {
			if !strings.Contains(out, w) {
				t.Errorf("%v: no %q in\n%s", c.args, w, out)
			}
		}
	}
	out, err := runExplain(file, "www.example.com/login?x=1", "-X", "POST", "-H", "X-Beta: 1")
	t.Logf("%v\n%s", err, out)
	for _, c := range []struct{ args, want string }{
		{"", "write weir explain FILE URL"}, {file + "|ftp://x/", "write it as https://"}, {file + "|", "write it as https://"}, {file + "|http://", "write it as https://"}, {file + "|/|--client|x", "write it as 192.0.2.7"}, {file + "|/|-H|x", "'Name: value'"}, {file + ".no|/", "the file cannot be read: no such file or directory"},
	} {
		if _, err := runExplain(strings.Split(c.args, "|")...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.args, err)
		}
	}
}

func runExplain(args ...string) (string, error) {
	var out bytes.Buffer
	c := explainCommand()
	c.SetOut(&out)
	c.SetErr(&out)
	c.SetArgs(args)
	err := c.Execute()
	return out.String(), err
}
