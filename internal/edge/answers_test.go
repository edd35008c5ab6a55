package edge

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/testkit"
)

// Weir's own answers, as they stand on the wire.
func TestOwnAnswers(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "sorry.html"), []byte("<b>{status}</b> {id}"))
	config := "sites:\n" +
		"- {hosts: [own], errors: {4xx: '" + dir + "/sorry.html'}, routes: [{match: {path: /in}, respond: {status: 200, body: hi}}]}\n" +
		"- hosts: [a]\n  routes:\n" +
		"  - {match: {path: /old/*}, redirect: {to: 'https://b{uri}', status: 308}}\n" +
		"  - {match: {path: /none}, respond: {status: 204}}\n" +
		"  - {match: {path: /empty}, respond: 410}\n" +
		"  - {match: {path: /mine}, allow: {from: [10.0.0.0/8], else: 403}, respond: {status: 200, body: in}}\n" +
		"  - {match: {path: /here}, allow: {from: [127.0.0.0/8], else: 403}, respond: {status: 200, body: in}}\n" +
		"  - {match: {path: /fixed}, respond: {status: 418, body: '{}', type: application/json}}\n"
	const ends = "X-Request-ID: ID\n\n"
	for _, row := range []struct{ send, want string }{
		{"GET /fixed HTTP/1.1\nHost: a\n\n", "HTTP/1.1 418 \nServer: weir\nDate: DATE\nContent-Type: application/json\nContent-Length: 2\n" + ends + "{}"},
		{"HEAD /fixed HTTP/1.1\nHost: a\n\n", "HTTP/1.1 418 \nServer: weir\nDate: DATE\nContent-Type: application/json\nContent-Length: 2\n" + ends},
		{"GET /none HTTP/1.1\nHost: a\n\n", "HTTP/1.1 204 No Content\nServer: weir\nDate: DATE\n" + ends},
		{"GET /empty HTTP/1.1\nHost: a\n\n", "HTTP/1.1 410 Gone\nServer: weir\nDate: DATE\nContent-Length: 0\n" + ends},
		{"POST /old/x?y=z HTTP/1.1\nHost: a\nContent-Length: 2\n\nhi", "HTTP/1.1 308 Permanent Redirect\nServer: weir\nDate: DATE\nContent-Length: 0\nLocation: https://b/old/x?y=z\n" + ends},
		{"GET /here HTTP/1.1\nHost: a\n\n", "HTTP/1.1 200 OK\nServer: weir\nDate: DATE\nContent-Type: text/plain; charset=utf-8\nContent-Length: 2\n" + ends + "in"},
		{"GET / HTTP/1.0\nHost: nobody\n\n", "HTTP/1.1 404 Not Found\nServer: weir\nDate: DATE\nContent-Type: text/html; charset=utf-8\nContent-Length: N\nCache-Control: no-store\nX-Request-ID: ID\nConnection: close\n\nPAGE"},
		{"GET /mine HTTP/1.1\nHost: a\n\n", "HTTP/1.1 403 Forbidden\nServer: weir\nDate: DATE\nContent-Type: text/html; charset=utf-8\nContent-Length: N\nCache-Control: no-store\n" + ends + "PAGE"},
		{"GET /nowhere HTTP/1.1\nHost: a\nAccept: application/json\n\n", "HTTP/1.1 404 Not Found\nServer: weir\nDate: DATE\nContent-Type: application/json\nContent-Length: N\nCache-Control: no-store\n" + ends + "JSON"},
		{"HEAD /nowhere HTTP/1.1\nHost: a\n\n", "HTTP/1.1 404 Not Found\nServer: weir\nDate: DATE\nContent-Type: text/html; charset=utf-8\nContent-Length: N\nCache-Control: no-store\n" + ends},
		{"GET /nowhere HTTP/1.1\nHost: own\n\n", "HTTP/1.1 404 Not Found\nServer: weir\nDate: DATE\nContent-Type: text/html; charset=utf-8\nContent-Length: N\nCache-Control: no-store\n" + ends + "<b>404</b> ID"},
		{"TRACE / HTTP/1.1\nHost: a\n\n", "HTTP/1.1 405 Method Not Allowed\nServer: weir\nDate: DATE\nContent-Type: text/html; charset=utf-8\nContent-Length: N\nAllow: GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH\nCache-Control: no-store\n" + ends + "PAGE"},
		{"GET /%2f HTTP/1.1\nHost: a\n\n", "HTTP/1.1 404 Not Found\nServer: weir\nDate: DATE\nContent-Type: text/html; charset=utf-8\nContent-Length: N\nCache-Control: no-store\n" + ends + "PAGE"},
		{"GET /old/%2f HTTP/1.1\nHost: a\n\n", "HTTP/1.1 400 Bad Request\nServer: weir\nDate: DATE\nContent-Type: text/html; charset=utf-8\nContent-Length: N\nCache-Control: no-store\nX-Request-ID: ID\nConnection: close\n\nPAGE"},
		{"HEAD /\x01 HTTP/1.1\nHost: a\n\n", "HTTP/1.1 400 Bad Request\nServer: weir\nDate: DATE\nContent-Type: text/html; charset=utf-8\nContent-Length: N\nCache-Control: no-store\nX-Request-ID: ID\nConnection: close\n\n"},
	} {
		t.Run(strings.ReplaceAll(row.send[:20], "/", " "), func(t *testing.T) {
			eachBody(t, func(t *testing.T, body loop.Config) {
				r := serveEdge(t, body, config)
				c := testkit.Dial(t, r.addr)
				c.Send(wire(row.send))
				method, _, _ := strings.Cut(row.send, " ")
				m := c.Response(method)
				got := plain(c.Got())
				if strings.Contains(row.want, "Content-Length: N") {
					got = strings.Replace(got, "Content-Length: "+m.Field("Content-Length"), "Content-Length: N", 1)
					head, page, _ := strings.Cut(got, "\n\n")
					switch {
					case strings.HasPrefix(page, "<!doctype html>"):
						page = "PAGE"
					case strings.Contains(page, `"request_id":"`+m.Field("X-Request-ID")+`"`):
						page = "JSON"
					default:
						page = strings.ReplaceAll(page, m.Field("X-Request-ID"), "ID")
					}
					got = head + "\n\n" + page
				}
				if got != row.want {
					t.Errorf("got\n%s\nwant\n%s", got, row.want)
				}
				if m.Field("Connection") == "close" {
					c.Closed()
				}
			})
		})
	}
}

func writeFile(t testing.TB, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// Files, whole and in parts, small ones and such as go out by sendfile.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	large, err := io.ReadAll(content(1, 3<<20+7))
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "large.bin"), large)
	writeFile(t, filepath.Join(dir, "small.txt"), []byte("0123456789"))
	writeFile(t, filepath.Join(dir, "small.txt.gz"), []byte("packed"))
	config := "sites: [{hosts: ['*'], routes: [{match: {path: /s/*}, rewrite: {strip_prefix: /s}, files: {root: '" + dir + "', cache_control: 'max-age=5'}}, {files: '" + dir + "'}]}]\n"
	for _, row := range []struct {
		name, send string
		status     int
		fields     string // name: value, one a line
		body       []byte
	}{
		{"large", "GET /large.bin", 200, "Content-Length: 3145735\nAccept-Ranges: bytes\nContent-Type: application/octet-stream", large},
		{"large, HEAD", "HEAD /large.bin", 200, "Content-Length: 3145735", nil},
		{"large, a part", "GET /large.bin\nRange: bytes=1000000-2500000", 206, "Content-Range: bytes 1000000-2500000/3145735", large[1000000:2500001]},
		{"large, the end", "GET /large.bin\nRange: bytes=-7", 206, "Content-Range: bytes 3145728-3145734/3145735", large[3<<20:]},
		{"large, two parts", "GET /large.bin\nRange: bytes=0-1,2000000-2000001", 206, "", nil},
		{"beyond the end", "GET /large.bin\nRange: bytes=4000000-", 416, "Content-Range: bytes */3145735", []byte{}},
		{"small, rewritten", "GET /s/small.txt", 200, "Cache-Control: max-age=5\nContent-Type: text/plain; charset=utf-8\nVary: Accept-Encoding", []byte("0123456789")},
		{"packed", "GET /small.txt\nAccept-Encoding: gzip", 200, "Content-Encoding: gzip\nVary: Accept-Encoding", []byte("packed")},
		{"not there", "GET /none", 404, "", nil},
		{"dot file", "GET /.git/config", 404, "", nil},
		{"wrong method", "POST /small.txt", 405, "Allow: GET, HEAD", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			eachBody(t, func(t *testing.T, body loop.Config) {
				r := serveEdge(t, body, config)
				c := testkit.Dial(t, r.addr)
				method, _, _ := strings.Cut(row.send, " ")
				line, fields, _ := strings.Cut(row.send, "\n")
				for range 2 {
					c.Send(wire(line + " HTTP/1.1\nHost: a\n" + fields + strings.Repeat("\n", min(1, len(fields))) + "\n"))
					m := c.Response(method)
					if m.Status != row.status {
						t.Fatalf("got %s", m.Start)
					}
					for f := range strings.Lines(row.fields) {
						n, v, _ := strings.Cut(strings.TrimSpace(f), ": ")
						if m.Field(n) != v {
							t.Errorf("%s is %q, want %q", n, m.Field(n), v)
						}
					}
					if row.body != nil && !bytes.Equal([]byte(m.Body), row.body) {
						t.Errorf("got %d bytes, want %d others", len(m.Body), len(row.body))
					}
					if etag := m.Field("ETag"); row.status == 200 && method == "GET" && etag != "" {
						c.Send(wire(line + " HTTP/1.1\nHost: a\n" + fields + strings.Repeat("\n", min(1, len(fields))) + "If-None-Match: " + etag + "\n\n"))
						if m := c.Response(method); m.Status != 304 || m.Has("Content-Length") {
							t.Errorf("with its ETag: %s %v", m.Start, m.Lines)
						}
					}
				}
			})
		})
	}
}

// A file of which the client reads nothing does not keep others from theirs.
func TestFilesForSlowReaders(t *testing.T) {
	dir := t.TempDir()
	b, err := io.ReadAll(content(2, 2<<20))
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "f"), b)
	r := serveEdge(t, fibers, "sites: [{hosts: ['*'], routes: [{files: '"+dir+"'}]}]\n")
	var all []*plainConn
	for range 100 {
		c := dialSmall(t, r.addr)
		fmt.Fprint(c, wire("GET /f HTTP/1.1\nHost: a\n\n"))
		all = append(all, c)
	}
	for _, c := range append([]*plainConn{dialPlain(t, r.addr)}, all[:3]...) {
		if c != all[0] && c != all[1] && c != all[2] {
			fmt.Fprint(c, wire("GET /f HTTP/1.1\nHost: a\n\n"))
		}
		head, err := c.head()
		if err != nil {
			t.Fatal(err)
		}
		h := sha256.New()
		if err := c.body(head, h); err != nil || text(h) != sum(content(2, 2<<20)) {
			t.Fatalf("another file: %v", err)
		}
	}
	for _, c := range all {
		c.Close()
	}
}
