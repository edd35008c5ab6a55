package cgi

import (
	"slices"
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/config"
)

func crlfs(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

// vars shows the variables of a request, without those that are always the same.
func vars(head string, g *Gateway) map[string]string {
	var r Request
	got := map[string]string{}
	for _, v := range r.Vars([]byte(crlfs(head)), g) {
		if _, twice := got[string(v.Name)]; twice {
			got[string(v.Name)+" twice"] = string(v.Value)
		}
		got[string(v.Name)] = string(v.Value)
	}
	return got
}

func TestVars(t *testing.T) {
	g := &Gateway{Scheme: "https", Minor: 1, Client: []byte("192.0.2.1"), ClientPort: []byte("4711")}
	base := map[string]string{"CONTENT_LENGTH": "0", "CONTENT_TYPE": "", "REQUEST_METHOD": "GET", "QUERY_STRING": "", "REQUEST_URI": "/", "SCRIPT_NAME": "",
		"PATH_INFO": "/", "DOCUMENT_URI": "", "SERVER_PROTOCOL": "HTTP/1.1", "REQUEST_SCHEME": "https", "HTTPS": "on", "GATEWAY_INTERFACE": "CGI/1.1",
		"SERVER_SOFTWARE": "weir", "SERVER_NAME": "a.example", "SERVER_PORT": "443", "REMOTE_ADDR": "192.0.2.1", "REMOTE_PORT": "4711", "HTTP_HOST": "a.example"}
	for _, row := range []struct {
		name, head string
		want       string // "NAME=value" lines, those that differ; "-NAME" is not there
	}{
		{"plain", "GET / HTTP/1.1\nHost: a.example\n\n", ""},
		{"query", "GET /a%20b?c=d%26?e HTTP/1.1\nHost: a.example\n\n", "REQUEST_URI=/a%20b?c=d%26?e\nQUERY_STRING=c=d%26?e\nPATH_INFO=/a%20b"},
		{"empty query", "GET /? HTTP/1.1\nHost: a.example\n\n", "REQUEST_URI=/?"},
		{"body", "POST / HTTP/1.1\nHost: a.example\nContent-Length: 3\nContent-Type: a/b; c=d\n\n", "REQUEST_METHOD=POST\nCONTENT_LENGTH=3\nCONTENT_TYPE=a/b; c=d"},
		{"port", "GET / HTTP/1.1\nHost: a.example:8443\n\n", "SERVER_PORT=8443\nHTTP_HOST=a.example:8443"},
		{"IPv6", "GET / HTTP/1.1\nHost: [::1]:80\n\n", "SERVER_NAME=[::1]\nSERVER_PORT=80\nHTTP_HOST=[::1]:80"},
		{"IPv6 without a port", "GET / HTTP/1.1\nHost: [::1]\n\n", "SERVER_NAME=[::1]\nHTTP_HOST=[::1]"},
		{"no host", "GET / HTTP/1.1\nHost: \n\n", "SERVER_NAME=\nHTTP_HOST="},
		{"fields", "GET / HTTP/1.1\nHost: a.example\nX-Foo-2: bar\naccept: */*\n\n", "HTTP_X_FOO_2=bar\nHTTP_ACCEPT=*/*"},
		{"httpoxy", "GET / HTTP/1.1\nHost: a.example\nProxy: http://evil\npROXY: x\n\n", ""},
		{"proxy with other names", "GET / HTTP/1.1\nHost: a.example\nProxy-Foo: a\nX-Proxy: b\n\n", "HTTP_PROXY_FOO=a\nHTTP_X_PROXY=b"},
		{"what another name may hide behind", "GET / HTTP/1.1\nHost: a.example\nX_Foo: evil\nX-Foo: good\nX.Foo: evil\nX!Foo: evil\nX~Foo: evil\nPro_xy: evil\n\n", "HTTP_X_FOO=good"},
		{"several lines", "GET / HTTP/1.1\nHost: a.example\nX-A: 1\nX-B: b\nx-a: 2\nX-A: 3\n\n", "HTTP_X_A=1, 2, 3\nHTTP_X_B=b"},
		{"cookies", "GET / HTTP/1.1\nHost: a.example\nCookie: a=1\nCookie: b=2; c=3\n\n", "HTTP_COOKIE=a=1; b=2; c=3"},
		{"of the connection", "GET / HTTP/1.1\nHost: a.example\nConnection: x\nTE: trailers\nUpgrade: y\nExpect: 100-continue\nTransfer-Encoding: chunked\nKeep-Alive: 3\n\n", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			want := map[string]string{}
			for k, v := range base {
				want[k] = v
			}
			for line := range strings.SplitSeq(row.want, "\n") {
				if k, v, ok := strings.Cut(line, "="); ok {
					want[k] = v
				}
			}
			want["DOCUMENT_URI"] = want["PATH_INFO"]
			got := vars(row.head, g)
			for k, v := range got {
				if w, ok := want[k]; !ok || w != v {
					t.Errorf("%s=%q, want %q", k, v, w)
				}
			}
			for k := range want {
				if _, ok := got[k]; !ok {
					t.Errorf("no %s", k)
				}
			}
		})
	}
}

// SCGI wants CONTENT_LENGTH before all others.
func TestLengthIsFirst(t *testing.T) {
	var r Request
	if v := r.Vars([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), &Gateway{Scheme: "http"}); string(v[0].Name) != "CONTENT_LENGTH" {
		t.Errorf("the first is %s", v[0].Name)
	}
}

func TestVarsOfAScript(t *testing.T) {
	g := &Gateway{Scheme: "http", Script: Script{Root: "/srv/www", File: "/srv/www/a/b.php", Name: []byte("/a/b.php"), Info: []byte("/c d")}}
	got := vars("GET /a/b.php/c%20d HTTP/1.1\nHost: a\n\n", g)
	for k, want := range map[string]string{"SCRIPT_FILENAME": "/srv/www/a/b.php", "SCRIPT_NAME": "/a/b.php", "PATH_INFO": "/c d", "DOCUMENT_URI": "/a/b.php/c d",
		"DOCUMENT_ROOT": "/srv/www", "PATH_TRANSLATED": "/srv/www/c d", "REDIRECT_STATUS": "200", "REQUEST_URI": "/a/b.php/c%20d", "SERVER_PROTOCOL": "HTTP/1.0", "SERVER_PORT": "80"} {
		if got[k] != want {
			t.Errorf("%s=%q, want %q", k, got[k], want)
		}
	}
	if _, ok := got["HTTPS"]; ok {
		t.Error("HTTPS without TLS")
	}
}

func TestAppendDecoded(t *testing.T) {
	for in, want := range map[string]string{"/": "/", "/a%20b": "/a b", "/%c3%A9": "/é", "/a%2Fb": "/a/b", "/a...b/..c/.d": "/a...b/..c/.d", "/%": "/%", "/%4": "/%4",
		"/a%00b": "", "/%2e%2e/x": "", "/a/..": "", "/a%2f..%2fb": "", "/a%2F.": "", `/a%5C..%5cb`: "", "/%zz": "", "/a\\..\\b": ""} {
		got, ok := AppendDecoded([]byte("x"), []byte(in))
		if ok != (want != "") || string(got) != "x"+want {
			t.Errorf("%s: %q, %v; want %q", in, got, ok, want)
		}
	}
}

func TestFind(t *testing.T) {
	files := []string{"/srv/www/index.php", "/srv/www/a.php", "/srv/www/dir/index.php", "/srv/www/dir.php/b.php", "/srv/www/upload/x.jpg", "/srv/www/.git/x.php", "/srv/www/UP.PHP",
		"/srv/www/old.php5"}
	isFile := func(f string) bool { return slices.Contains(files, f) }
	front := &config.Script{Root: "/srv/www", Index: "index.php", Split: []string{".php"}, File: "/srv/www/index.php"}
	none := &config.Script{Root: "/srv/www", Index: "index.php", Split: []string{".php", ".php5"}}
	for _, row := range []struct {
		cfg        *config.Script
		path       string
		name, info string // no name: not found
	}{
		{none, "/a.php", "/a.php", ""},
		{none, "/a.php/", "/a.php", "/"},
		{none, "/a.php/b/c.php", "/a.php", "/b/c.php"},
		{none, "/old.php5/x", "/old.php5", "/x"},
		{none, "/", "/index.php", ""},
		{none, "/dir/", "/dir/index.php", ""},
		{none, "/dir", "", ""},
		{none, "/dir.php/b.php/c", "/dir.php/b.php", "/c"},
		{none, "/none.php", "", ""},
		{none, "/none.php/a.php", "", ""},
		// The hole that nginx with PHP was known for.
		{none, "/upload/x.jpg", "", ""},
		{none, "/upload/x.jpg/y.php", "", ""},
		{none, "/upload/x.jpg/.php", "", ""},
		{none, "/upload/x.jpg/y.php/z.php", "", ""},
		{none, "/upload/x.jpg\x00.php", "", ""},
		{front, "/upload/x.jpg/y.php", "/index.php", ""},
		{none, "/.git/x.php", "", ""},
		{front, "/.git/x.php", "/index.php", ""},
		{none, "/UP.PHP", "", ""},
		{none, "/.php", "", ""},
		{front, "/any/where", "/index.php", ""},
		{front, "/a.php/b", "/a.php", "/b"},
		{front, "/dir/", "/dir/index.php", ""},
	} {
		s, ok := Find(row.cfg, []byte(row.path), isFile)
		if ok != (row.name != "") || string(s.Name) != row.name || string(s.Info) != row.info || ok && s.File != "/srv/www"+row.name {
			t.Errorf("%s: %q, %q, %s, %v", row.path, s.Name, s.Info, s.File, ok)
		}
	}
	if s, ok := Find(nil, []byte("/a/b"), nil); !ok || s.File != "" || string(s.Info) != "/a/b" {
		t.Errorf("a server that is one program: %+v", s)
	}
	if s, ok := Find(&config.Script{File: "/app/front.php"}, []byte("/a/b"), nil); !ok || s.File != "/app/front.php" || string(s.Name) != "/front.php" || s.Root != "/app" || len(s.Info) > 0 {
		t.Errorf("the one program there is: %+v", s)
	}
}

// FuzzVars: whatever fields come, no two variables have one name, and none is HTTP_PROXY.
func FuzzVars(f *testing.F) {
	f.Add("X-A: b\nX_A: c\nProxy: d\n", "/a?b")
	f.Add("Cookie: b\ncookie: c\n", "/")
	f.Fuzz(func(t *testing.T, fields, target string) {
		var r Request
		seen := map[string]bool{}
		for _, v := range r.Vars([]byte("GET "+target+" HTTP/1.1\r\nHost: a\r\n"+crlfs(fields)+"\r\n"), &Gateway{Scheme: "http"}) {
			if seen[string(v.Name)] || string(v.Name) == "HTTP_PROXY" {
				t.Fatalf("%q: %q", v.Name, v.Value)
			}
			for _, c := range v.Name {
				if c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') {
					t.Fatalf("%q", v.Name)
				}
			}
			seen[string(v.Name)] = true
		}
	})
}

// FuzzDecoded: what comes out has no dot segment and no NUL.
func FuzzDecoded(f *testing.F) {
	f.Add("/a%2F..%2Fb")
	f.Add("/%25%32%65")
	f.Fuzz(func(t *testing.T, in string) {
		got, ok := AppendDecoded(nil, []byte(in))
		if !ok {
			return
		}
		for segment := range strings.FieldsFuncSeq(string(got), func(r rune) bool { return r == '/' || r == '\\' }) {
			if segment == "." || segment == ".." || strings.Contains(segment, "\x00") {
				t.Fatalf("%q became %q", in, got)
			}
		}
	})
}

func BenchmarkVars(b *testing.B) {
	head := []byte(crlfs("GET /some/page?of=it HTTP/1.1\nHost: www.example.com\nUser-Agent: bench\nAccept: */*\nAccept-Encoding: gzip\nCookie: a=b\n" +
		"X-Forwarded-For: 127.0.0.1\nX-Forwarded-Proto: http\nX-Forwarded-Host: www.example.com\nVia: 1.1 weir\nX-Request-ID: 0123456789abcdef012345\n\n"))
	g := &Gateway{Scheme: "http", Minor: 1, Client: []byte("127.0.0.1"), Script: Script{Info: []byte("/some/page")}}
	var r Request
	dst := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		var ok bool
		if dst, ok = AppendPacket(dst[:0], config.FastCGI, true, r.Vars(head, g)); !ok {
			b.Fatal("it does not fit")
		}
	}
}
