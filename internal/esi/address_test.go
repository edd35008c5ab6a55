package esi

import (
	"errors"
	"strings"
	"testing"
)

var addresses = []struct {
	src, parent string
	want        string // scheme://host target
	err         error
}{
	{src: "/a", want: "http://www.example.com /a"},
	{src: "a", parent: "/dir/page?x=/y", want: "http://www.example.com /dir/a"},
	{src: "a", parent: "/", want: "http://www.example.com /a"},
	{src: "./a", parent: "/dir/page", want: "http://www.example.com /dir/a"},
	{src: "../a", parent: "/x/dir/page", want: "http://www.example.com /x/a"},
	{src: "../../../../a", parent: "/x/dir/page", want: "http://www.example.com /a"},
	{src: "..", parent: "/x/dir/page", want: "http://www.example.com /x/"},
	{src: ".", parent: "/x/dir/page", want: "http://www.example.com /x/dir/"},
	{src: "/a/%2e%2E/b/%2e/c", want: "http://www.example.com /b/c"},
	{src: "?q=1", parent: "/dir/page?x", want: "http://www.example.com /dir/page?q=1"},
	{src: "?", parent: "/dir/page?x", want: "http://www.example.com /dir/page?"},
	{src: "/a?b=../c#frag", want: "http://www.example.com /a?b=../c"},
	{src: " /a\n", want: "http://www.example.com /a"},
	{src: "/a b/ü/\"<>|", want: "http://www.example.com /a%20b/%C3%BC/%22%3C%3E%7C"},
	{src: "/100%", want: "http://www.example.com /100%"},
	{src: "/a//b/", want: "http://www.example.com /a//b/"},
	{src: "http://cdn.example.net/a", want: "http://cdn.example.net /a"},
	{src: "HTTPS://CDN.Example.Net/a", want: "https://cdn.example.net /a"},
	{src: "//cdn.example.net/a", want: "http://cdn.example.net /a"},
	{src: "http://cdn.example.net", want: "http://cdn.example.net /"},
	{src: "http://cdn.example.net?a", want: "http://cdn.example.net /?a"},
	{src: "http://cdn.example.net:80/a", want: "http://cdn.example.net /a"},
	{src: "https://cdn.example.net:443/a", want: "https://cdn.example.net /a"},
	{src: "http://cdn.example.net:/a", want: "http://cdn.example.net /a"},
	{src: "http://static.example.org/a", want: "http://static.example.org /a"},
	{src: "http://www.example.com/a", want: "http://www.example.com /a"},
	{src: "http://ported.example:8080/a", want: "http://ported.example:8080 /a"},
	{src: "http://[2001:DB8::1]/a", want: "http://[2001:db8::1] /a"},
	{src: "a:b", parent: "/x/y", err: ErrScheme},
	{src: "./a:b", parent: "/x/y", want: "http://www.example.com /x/a:b"},

	{src: "", err: ErrAddress},
	{src: "#top", err: ErrAddress},
	{src: "/a\r\nHost: evil", err: ErrAddress},
	{src: "/a\x00b", err: ErrAddress},
	{src: "javascript:alert(1)", err: ErrScheme},
	{src: "file:///etc/passwd", err: ErrScheme},
	{src: "http:/a", err: ErrAddress},
	{src: "http:a", err: ErrAddress},
	{src: "http:///a", err: ErrAddress},
	{src: "http://evil.example/a", err: ErrHost},
	{src: "//evil.example/a", err: ErrHost},
	{src: "http://169.254.169.254/latest/meta-data/", err: ErrHost},
	{src: "http://[::1]/", err: ErrHost},
	{src: "http://example.org/a", err: ErrHost},
	{src: "http://evilexample.org/a", err: ErrHost},
	{src: "http://.example.org/a", err: ErrHost},
	{src: "http://cdn.example.net:81/a", err: ErrHost},
	{src: "http://cdn.example.net:443/a", err: ErrHost},
	{src: "http://ported.example/a", err: ErrHost},
	{src: "http://www.example.com:8080/a", err: ErrHost},
	{src: "http://cdn.example.net@evil.example/a", err: ErrAddress},
	{src: "http://cdn.example.net\\@evil.example/a", err: ErrAddress},
	{src: "http://cdn.example.net%2f.evil.example/a", err: ErrAddress},
	{src: "http://cdn.example.net:99999/a", err: ErrAddress},
	{src: "http://cdn.example.net:0/a", err: ErrAddress},
	{src: "http://cdn.example.net:8o/a", err: ErrAddress},
	{src: "http://[::1/a", err: ErrAddress},
	{src: "http://[]/a", err: ErrAddress},
	{src: "/" + strings.Repeat("a", mostTarget), err: ErrAddress},
}

func TestResolve(t *testing.T) {
	hosts := NewHosts([]string{"CDN.example.net", "*.example.org", "ported.example:8080", "[2001:db8::1]"})
	for _, r := range addresses {
		parent := Address{"http", []byte("www.example.com"), []byte("/")}
		if r.parent != "" {
			parent.Target = []byte(r.parent)
		}
		buf := append(make([]byte, 0, 8), "kept"...)
		a, buf, err := Resolve(buf, parent, []byte(r.src), hosts)
		got := ""
		if err == nil {
			got = a.Scheme + "://" + string(a.Host) + " " + string(a.Target)
		}
		if got != r.want || !errors.Is(err, r.err) {
			t.Errorf("%q in %s: %q, %v; want %q, %v", r.src, parent.Target, got, err, r.want, r.err)
		}
		if !strings.HasPrefix(string(buf), "kept") {
			t.Errorf("%q: the buffer lost what was in it: %q", r.src, buf)
		}
	}
	if _, _, err := Resolve(nil, Address{"http", []byte("a"), []byte("/")}, []byte("//b/"), nil); !errors.Is(err, ErrHost) {
		t.Errorf("without hosts: %v", err)
	}
}
