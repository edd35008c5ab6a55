package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a server is asked in, and for which program.
func TestExplainPrograms(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a.php": "<?php", "x.jpg": "", "weir.yaml": `
pools:
  php: {servers: ["unix:/run/php.sock"], protocol: fastcgi, fastcgi: {root: .}}
  front: {servers: ["unix:/run/php.sock"], protocol: fastcgi, fastcgi: {script: /srv/index.php}}
  wsgi: {servers: ["127.0.0.1:9000"], protocol: uwsgi}
  plain: {servers: ["127.0.0.1:9001"]}
sites:
  - hosts: [a]
    routes:
      - {match: {path: /cgi/*}, cgi: {root: ., at_once: 3}}
      - {match: {path: /front/*}, pool: front}
      - {match: {path: /wsgi/*}, pool: wsgi}
      - {match: {path: /plain}, pool: plain}
      - {pool: php, unclean: [encoded_slash]}
`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		"/a.php/b%20c":  "protocol fastcgi\nprogram  " + dir + `/a.php, PATH_INFO "/b c"`,
		"/x.jpg/y.php":  "program  404: there is none for /x.jpg/y.php below " + dir,
		"/a%2F..%2Fb":   "program  400: ",
		"/front/x":      `program  /srv/index.php, PATH_INFO ""`,
		"/wsgi/x":       "protocol uwsgi\nprogram  the server's own, PATH_INFO \"/wsgi/x\"",
		"/cgi/count.pl": "cgi      the program that the path names below " + dir + ", a process for each request, 3 at a time, killed after 30s",
	} {
		out, err := runExplain(filepath.Join(dir, "weir.yaml"), "http://a"+path)
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("%s: %v: no %q in\n%s", path, err, want, out)
		}
	}
	if out, err := runExplain(filepath.Join(dir, "weir.yaml"), "http://a/plain"); err != nil || strings.Contains(out, "protocol ") {
		t.Errorf("%v\n%s", err, out)
	}
}
