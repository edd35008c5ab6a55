package http1

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/message"
)

// A requestRow is a head and what is to become of it: a description of the request, or a status and a reason.
type requestRow struct {
	section string // of RFC 9112, unless it says otherwise
	in      string
	want    string
}

const host = "Host: a.example\r\n"

func get(target string) string { return "GET " + target + " HTTP/1.1\r\n" + host + "\r\n" }

func withHost(value string) string { return "GET / HTTP/1.1\r\nHost:" + value + "\r\n\r\n" }

func with(lines string) string { return "POST / HTTP/1.1\r\n" + host + lines + "\r\n" }

var requestRows = []requestRow{
	// The plain cases.
	{"2.1", get("/"), "GET a.example /"},
	{"2.1", "GET / HTTP/1.1\r\nHost:a\r\n\r\n", "GET a /"},
	{"2.1", "GET / HTTP/1.1\r\nhoSt:\ta.example\t \r\nempty:\r\nX-Empty: \r\n\r\n", "GET a.example /"},

	// Line ends and empty lines.
	{"2.2", "\r\n" + get("/"), "GET a.example /"},
	{"2.2", "\r\n\r\n" + get("/"), "GET a.example /"},
	{"2.2", "\r\n\r\n\r\n" + get("/"), "400 too many empty lines before the request"},
	{"2.2", "\n" + get("/"), "400 a line ends without CR"},
	{"2.2", "\r" + get("/"), "400 a CR without LF"},
	{"2.2", "\r\r\n" + get("/"), "400 a CR without LF"},
	{"2.2", " \r\n" + get("/"), "400 malformed request line"},
	{"2.2", "   \r\n\r\n", "400 malformed request line"},
	{"2.2", "GET / HTTP/1.1\nHost: a\n\n", "400 a line ends without CR"},
	{"2.2", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", "400 a line ends without CR"},
	{"2.2", "GET / HTTP/1.1\r\nHost: a\r\n\n", "400 a line ends without CR"},
	{"2.2", "GET / HTTP/1.1\r\nHost: a\r\n\r\r\n", "400 a CR without LF"},
	{"2.2", "GET / HTTP/1.1\rHost: a\r\n\r\n", "400 a CR without LF"},
	{"2.2", "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", "400 a CR without LF"},
	{"2.2", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", "400 a CR without LF"},
	{"2.2", "GET / HTTP/1.1\r\nHost: a\r\n\rX: b\r\n\r\n", "400 a CR without LF"},
	{"2.2", "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", "400 a CR without LF"},
	{"2.2", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", "400 white space before the first field"},
	{"2.2", "GET / HTTP/1.1\r\n \r\nHost: a\r\n\r\n", "400 white space before the first field"},
	{"2.2", "GET / HTTP/1.1\r\n\tHost: a\r\n\r\n", "400 white space before the first field"},
	{"2.2", "\x16\x03\x01\x02\x00\x01\x00", "400 malformed request line"},
	{"2.2", "\x00", "400 malformed request line"},
	{"2.2", "\xef\xbb\xbfGET / HTTP/1.1\r\n", "400 malformed request line"},

	// Version.
	{"2.3", "GET / HTTP/1.0\r\nHost: a\r\n\r\n", "GET a / 1.0 close"},
	{"2.3", "GET / HTTP/1.0\r\n\r\n", "GET  / 1.0 close"},
	{"2.3", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", "GET a /"},
	{"2.3", "GET / HTTP/1.9\r\nHost: a\r\n\r\n", "GET a /"},
	{"2.3", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", "505 HTTP version not supported"},
	{"2.3", "GET / HTTP/0.9\r\nHost: a\r\n\r\n", "505 HTTP version not supported"},
	{"2.3", "GET / HTTP/9.9\r\nHost: a\r\n\r\n", "505 HTTP version not supported"},
	{"2.3", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 HTTP version not supported"},
	{"2.3", "GET / HTTP/1\r\nHost: a\r\n\r\n", "400 malformed HTTP version"},
	{"2.3", "GET / HTTP/1.\r\nHost: a\r\n\r\n", "400 malformed HTTP version"},
	{"2.3", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", "400 malformed HTTP version"},
	{"2.3", "GET / HTTP/01.1\r\nHost: a\r\n\r\n", "400 malformed HTTP version"},
	{"2.3", "GET / HTTP/1.01\r\nHost: a\r\n\r\n", "400 malformed HTTP version"},
	{"2.3", "GET / HTTP/11.1\r\nHost: a\r\n\r\n", "400 malformed HTTP version"},
	{"2.3", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", "400 malformed HTTP version"},
	{"2.3", "GET / HTTP/ 1.1\r\nHost: a\r\n\r\n", "400 malformed HTTP version"},
	{"2.3", "GET / HTTP /1.1\r\nHost: a\r\n\r\n", "400 malformed HTTP version"},
	{"2.3", "GET / HTTP/1,1\r\nHost: a\r\n\r\n", "400 malformed HTTP version"},
	{"2.3", "GET / HTTP/-1.1\r\nHost: a\r\n\r\n", "400 malformed HTTP version"},
	{"2.3", "GET / http/1.1\r\nHost: a\r\n\r\n", "400 malformed HTTP version"},
	{"2.3", "GET / Http/1.1\r\nHost: a\r\n\r\n", "400 malformed HTTP version"},
	{"2.3", "GET / HTTPS/1.1\r\nHost: a\r\n\r\n", "400 malformed HTTP version"},
	{"2.3", "GET / ICE/1.0\r\nHost: a\r\n\r\n", "400 malformed HTTP version"},
	{"2.3", "GET / HTTP/1.\xb1\r\nHost: a\r\n\r\n", "400 malformed HTTP version"},
	{"2.3", "GET /\r\n", "400 malformed request line"},
	{"2.3", "GET / \r\n\r\n", "400 malformed HTTP version"},

	// Request line.
	{"3", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "400 malformed request line"},
	{"3", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n", "400 malformed HTTP version"},
	{"3", " GET / HTTP/1.1\r\nHost: a\r\n\r\n", "400 malformed request line"},
	{"3", "GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n", "400 malformed request line"},
	{"3", "GET /\tHTTP/1.1\r\nHost: a\r\n\r\n", "400 forbidden byte in the request target"},
	{"3", "GET /\x0bHTTP/1.1\r\nHost: a\r\n\r\n", "400 forbidden byte in the request target"},
	{"3", "GET HTTP/1.1\r\nHost: a\r\n\r\n", "400 malformed request line"},
	{"3", "GET\r\nHost: a\r\n\r\n", "400 malformed request line"},
	{"3", "HTTP/1.1 200 OK\r\n\r\n", "400 malformed request line"},
	{"3", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", "400 malformed HTTP version"},
	{"3", "Extra lineGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400 malformed request target"},

	// Method.
	{"3.1", "PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n", "PROPFIND a /"},
	{"3.1", "M-SEARCH / HTTP/1.1\r\nHost: a\r\n\r\n", "M-SEARCH a /"},
	{"3.1", "!#$%&'*+-.^_`|~09Az / HTTP/1.1\r\nHost: a\r\n\r\n", "!#$%&'*+-.^_`|~09Az a /"},
	{"3.1", "G:T / HTTP/1.1\r\nHost: a\r\n\r\n", "400 malformed request line"},
	{"3.1", "G(T / HTTP/1.1\r\nHost: a\r\n\r\n", "400 malformed request line"},
	{"3.1", "G\x00T / HTTP/1.1\r\nHost: a\r\n\r\n", "400 malformed request line"},
	{"3.1", "G\xc3\xa9T / HTTP/1.1\r\nHost: a\r\n\r\n", "400 malformed request line"},
	{"3.1", "\"GET\" / HTTP/1.1\r\nHost: a\r\n\r\n", "400 malformed request line"},
	{"3.1", "get / HTTP/1.1\r\nHost: a\r\n\r\n", "501 method not in upper case"},
	{"3.1", "Post / HTTP/1.1\r\nHost: a\r\n\r\n", "501 method not in upper case"},
	{"3.1", "GETS / HTTP/1.1\r\nHost: a\r\n\r\n", "GETS a /"},
	{"3.1", strings.Repeat("A", maxMethod) + " / HTTP/1.1\r\nHost: a\r\n\r\n", strings.Repeat("A", maxMethod) + " a /"},
	{"3.1", strings.Repeat("A", maxMethod+1), "400 method too long"},
	{"3.1", strings.Repeat("A", 100_000), "400 method too long"},

	// Origin form.
	{"3.2.1", get("/a/b?c=d&e"), "GET a.example /a/b?c=d&e"},
	{"3.2.1", get("/?"), "GET a.example /?"},
	{"3.2.1", get("/a?b?c"), "GET a.example /a?b?c"},
	{"3.2.1", get("/a?/../b//c/%2e"), "GET a.example /a?/../b//c/%2e"},
	{"3.2.1", get("/a?x=%zz%"), "GET a.example /a?x=%zz%"},
	{"3.2.1", get("/a?x=<\">|^`{}[]\\'"), "GET a.example /a?x=<\">|^`{}[]\\'"},
	{"3.2.1", get("/a[1]|{b}^c"), "GET a.example /a[1]|{b}^c"},
	{"3.2.1", get("/-._~!$&'()*+,;=:@"), "GET a.example /-._~!$&'()*+,;=:@"},
	{"3.2.1", get("/a;b=c/d"), "GET a.example /a;b=c/d"},
	{"3.2.1", get("/a#b"), "400 forbidden byte in the request target"},
	{"3.2.1", get("/a?b#c"), "400 forbidden byte in the request target"},
	{"3.2.1", get("/a\x00b"), "400 forbidden byte in the request target"},
	{"3.2.1", get("/a?\x00b"), "400 forbidden byte in the request target"},
	{"3.2.1", get("/a\x7fb"), "400 forbidden byte in the request target"},
	{"3.2.1", get("/caf\xc3\xa9"), "400 forbidden byte in the request target"},
	{"3.2.1", get("/?caf\xc3\xa9"), "400 forbidden byte in the request target"},
	{"3.2.1", get("/\xc0\xaf"), "400 forbidden byte in the request target"},
	{"3.2.1", get("/a\rb"), "400 malformed request line"},
	{"3.2.1", get("/a\nb"), "400 a line ends without CR"},
	{"3.2.1", get("/a<b"), "400 forbidden byte in the path"},
	{"3.2.1", get("/a>b"), "400 forbidden byte in the path"},
	{"3.2.1", get("/a\"b"), "400 forbidden byte in the path"},
	{"3.2.1", get("/a`b"), "400 forbidden byte in the path"},
	{"3.2.1", get("/a%"), "400 malformed percent-encoding in the path"},
	{"3.2.1", get("/a%4"), "400 malformed percent-encoding in the path"},
	{"3.2.1", get("/a%4?1"), "400 malformed percent-encoding in the path"},
	{"3.2.1", get("/a%4g"), "400 malformed percent-encoding in the path"},
	{"3.2.1", get("/a%g4"), "400 malformed percent-encoding in the path"},
	{"3.2.1", get("/a%%41"), "400 malformed percent-encoding in the path"},
	{"3.2.1", get("/a%u002f"), "400 malformed percent-encoding in the path"},

	// Paths in normal form: RFC 3986, section 6.2.2.
	{"3986 6.2.2.1", get("/a%c3%a9"), "GET a.example /a%C3%A9"},
	{"3986 6.2.2.1", get("/A/b"), "GET a.example /A/b"},
	{"3986 6.2.2.2", get("/%41%7E%7e%2D%2e%5f%30x"), "GET a.example /A~~-._0x"},
	{"3986 6.2.2.2", get("/%2541"), "GET a.example /%2541"},
	{"3986 6.2.2.2", get("/%252e%252e/a"), "GET a.example /%252e%252e/a"},
	{"3986 6.2.2.2", get("/%20%3f%3F%23%25"), "GET a.example /%20%3F%3F%23%25"},
	{"3986 6.2.2.3", get("/a/./b/../c"), "GET a.example /a/c"},
	{"3986 6.2.2.3", get("/a/b/c/./../../g"), "GET a.example /a/g"},
	{"3986 6.2.2.3", get("/."), "GET a.example /"},
	{"3986 6.2.2.3", get("/./"), "GET a.example /"},
	{"3986 6.2.2.3", get("/a/."), "GET a.example /a/"},
	{"3986 6.2.2.3", get("/a/.."), "GET a.example /"},
	{"3986 6.2.2.3", get("/a/../"), "GET a.example /"},
	{"3986 6.2.2.3", get("/a/b/.."), "GET a.example /a/"},
	{"3986 6.2.2.3", get("/a/b/../"), "GET a.example /a/"},
	{"3986 6.2.2.3", get("/a/..?b=/../c"), "GET a.example /?b=/../c"},
	{"3986 6.2.2.3", get("/a/%2e%2E/b"), "GET a.example /b"},
	{"3986 6.2.2.3", get("/a/.%2e/b"), "GET a.example /b"},
	{"3986 6.2.2.3", get("/a/%2e./b?x"), "GET a.example /b?x"},
	{"3986 6.2.2.3", get("/a/%2e/b"), "GET a.example /a/b"},
	{"3986 6.2.2.3", get("/a%2e%2e/b"), "GET a.example /a../b"},
	{"3986 6.2.2.3", get("/.../a/..."), "GET a.example /.../a/..."},
	{"3986 6.2.2.3", get("/.a/..b/c."), "GET a.example /.a/..b/c."},
	{"3986 6.2.2.3", get("/.well-known/x"), "GET a.example /.well-known/x"},
	{"3986 6.2.2.3", get("//a///b//"), "GET a.example /a/b/"},
	{"3986 6.2.2.3", get("//"), "GET a.example /"},
	{"3986 6.2.2.3", get("//evil.example/"), "GET a.example /evil.example/"},
	{"3986 6.2.2.3", get("/a//../b"), "GET a.example /b"},
	{"3986 6.2.2.3", get("/.."), "400 path climbs above the root"},
	{"3986 6.2.2.3", get("/../a"), "400 path climbs above the root"},
	{"3986 6.2.2.3", get("/a/../.."), "400 path climbs above the root"},
	{"3986 6.2.2.3", get("/a/%2e%2e/%2e%2e/b"), "400 path climbs above the root"},
	{"3986 6.2.2.3", get("//../a"), "400 path climbs above the root"},
	{"3986 6.2.2.3", get("/./../a"), "400 path climbs above the root"},
	{"3986 6.2.2.3", get("/a/../../a"), "400 path climbs above the root"},

	// What stays ambiguous is told, not decided.
	{"ambiguous", get("/a%2fb"), "GET a.example /a%2Fb ambiguous=slash"},
	{"ambiguous", get("/a%2F..%2Fb"), "GET a.example /a%2F..%2Fb ambiguous=slash"},
	{"ambiguous", get("/a%00b"), "GET a.example /a%00b ambiguous=nul"},
	{"ambiguous", get("/a\\b"), "GET a.example /a\\b ambiguous=backslash"},
	{"ambiguous", get("/a/..\\b"), "GET a.example /a/..\\b ambiguous=backslash"},
	{"ambiguous", get("/a%5cb"), "GET a.example /a%5Cb ambiguous=backslash"},
	{"ambiguous", get("/a%0d%0ab"), "GET a.example /a%0D%0Ab ambiguous=control"},
	{"ambiguous", get("/a%7f"), "GET a.example /a%7F ambiguous=control"},
	{"ambiguous", get("/a/..;b=c/d"), "GET a.example /a/..;b=c/d ambiguous=dots"},
	{"ambiguous", get("/a/.;/d"), "GET a.example /a/.;/d ambiguous=dots"},
	{"ambiguous", get("/a/%2e%2e;/d"), "GET a.example /a/..;/d ambiguous=dots"},
	{"ambiguous", get("/..%3bx/d"), "GET a.example /..%3Bx/d ambiguous=dots"},
	{"ambiguous", get("/...;x/d"), "GET a.example /...;x/d"},
	{"ambiguous", get("/%c0%af"), "GET a.example /%C0%AF ambiguous=slash"},
	{"ambiguous", get("/%e0%80%af"), "GET a.example /%E0%80%AF ambiguous=slash"},
	{"ambiguous", get("/%c1%9c"), "GET a.example /%C1%9C ambiguous=backslash"},
	{"ambiguous", get("/%c0%80"), "GET a.example /%C0%80 ambiguous=nul"},
	{"ambiguous", get("/%c0%ae%c0%ae/x"), "GET a.example /%C0%AE%C0%AE/x ambiguous=dots"},
	{"ambiguous", get("/%c3%a9/%e2%82%ac/%e0%a4%95"), "GET a.example /%C3%A9/%E2%82%AC/%E0%A4%95"},
	{"ambiguous", get("/a?b=%2f%00%5c\\"), "GET a.example /a?b=%2f%00%5c\\"},
	{"ambiguous", get("/a%2f%00%5c%01"), "GET a.example /a%2F%00%5C%01 ambiguous=slash,nul,backslash,control"},

	// Absolute form.
	{"3.2.2", get("http://a.example/b?c"), "GET a.example /b?c absolute"},
	{"3.2.2", get("HTTP://A.Example/b"), "GET a.example /b absolute"},
	{"3.2.2", get("https://a.example/b"), "GET a.example /b absolute"},
	{"3.2.2", get("http://a.example"), "GET a.example / absolute"},
	{"3.2.2", get("http://a.example?b"), "GET a.example /?b absolute"},
	{"3.2.2", get("http://a.example:80/b"), "GET a.example:80 /b absolute"},
	{"3.2.2", get("https://a.example:443/b"), "GET a.example:443 /b absolute"},
	{"3.2.2", get("http://a.example./b"), "GET a.example /b absolute"},
	{"3.2.2", get("http://a.example/a/../b"), "GET a.example /b absolute"},
	{"3.2.2", "GET http://a:81/b HTTP/1.1\r\nHost: A:81\r\n\r\n", "GET a:81 /b absolute"},
	{"3.2.2", "GET http://[::1]:81/b HTTP/1.1\r\nHost: [::1]:81\r\n\r\n", "GET [::1]:81 /b absolute"},
	{"3.2.2", "GET http://a/b HTTP/1.0\r\n\r\n", "GET a /b absolute 1.0 close"},
	{"3.2.2", "GET http://a/b HTTP/1.1\r\n\r\n", "400 missing Host"},
	{"3.2.2", get("http://b.example/"), "400 Host differs from the request target"},
	{"3.2.2", get("http://a.example:81/"), "400 Host differs from the request target"},
	{"3.2.2", get("http://a.example:443/"), "400 Host differs from the request target"},
	{"3.2.2", "GET http://a/ HTTP/1.0\r\nHost: b\r\n\r\n", "400 Host differs from the request target"},
	{"3.2.2", get("http://user@a.example/"), "400 malformed host"},
	{"3.2.2", get("http://user:pw@a.example/"), "400 malformed host"},
	{"3.2.2", get("http:///b"), "400 malformed host"},
	{"3.2.2", get("http://"), "400 malformed host"},
	{"3.2.2", get("http://?b"), "400 malformed host"},
	{"3.2.2", get("http://a.example\\@b/"), "400 malformed host"},
	{"3.2.2", get("http://a.example:x/"), "400 malformed host"},
	{"3.2.2", get("http://a%2eexample/"), "400 malformed host"},
	{"3.2.2", get("ftp://a.example/"), "400 request target with a scheme other than http and https"},
	{"3.2.2", get("ws://a.example/"), "400 request target with a scheme other than http and https"},
	{"3.2.2", get("/x://a.example/"), "GET a.example /x:/a.example/"},
	{"3.2.2", get("http:a.example/"), "400 malformed request target"},
	{"3.2.2", get("http:/a.example/"), "400 malformed request target"},
	{"3.2.2", get("a.example/b"), "400 malformed request target"},
	{"3.2.2", get("b"), "400 malformed request target"},
	{"3.2.2", get("?b"), "400 malformed request target"},
	{"3.2.2", get("%2fb"), "400 malformed request target"},
	{"3.2.2", get("\\b"), "400 malformed request target"},
	{"3.2.2", get("@b.example/"), "400 malformed request target"},
	{"3.2.2", get("://a.example/"), "400 request target with a scheme other than http and https"},

	// Authority and asterisk form.
	{"3.2.3", get("a.example:80"), "400 malformed request target"},
	{"3.2.3", "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n", "501 CONNECT is not served"},
	{"3.2.3", "CONNECT a.example HTTP/1.1\r\nHost: a.example\r\n\r\n", "400 malformed request target"},
	{"3.2.3", "CONNECT a.example: HTTP/1.1\r\nHost: a.example\r\n\r\n", "400 malformed request target"},
	{"3.2.3", "CONNECT / HTTP/1.1\r\nHost: a.example\r\n\r\n", "400 malformed request target"},
	{"3.2.3", "CONNECT http://a:80/ HTTP/1.1\r\nHost: a.example\r\n\r\n", "400 malformed request target"},
	{"3.2.4", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS a * asterisk"},
	{"3.2.4", "OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS a * asterisk"},
	{"3.2.4", "OPTIONS http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS a / absolute"},
	{"3.2.4", "OPTIONS http://a? HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS a /? absolute"},
	{"3.2.4", "OPTIONS /x HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS a /x"},
	{"3.2.4", get("*"), "400 asterisk target for a method other than OPTIONS"},
	{"3.2.4", "OPTIONS ** HTTP/1.1\r\nHost: a\r\n\r\n", "400 malformed request target"},
	{"3.2.4", "OPTIONS *?a HTTP/1.1\r\nHost: a\r\n\r\n", "400 malformed request target"},

	// Host.
	{"3.2", withHost(" A.Example"), "GET a.example /"},
	{"3.2", withHost(" a.example."), "GET a.example /"},
	{"3.2", withHost(" A.example.:8080"), "GET a.example:8080 /"},
	{"3.2", withHost(" a:0"), "GET a:0 /"},
	{"3.2", withHost(" a:65535"), "GET a:65535 /"},
	{"3.2", withHost(" a:"), "GET a /"},
	{"3.2", withHost(" a.:"), "GET a /"},
	{"3.2", withHost(" x_y.a-b.c~d"), "GET x_y.a-b.c~d /"},
	{"3.2", withHost(" 127.0.0.1:80"), "GET 127.0.0.1:80 /"},
	{"3.2", withHost(" [::1]"), "GET [::1] /"},
	{"3.2", withHost(" [2001:DB8::1]:80"), "GET [2001:db8::1]:80 /"},
	{"3.2", withHost(" [1:2:3:4:5:6:7:8]"), "GET [1:2:3:4:5:6:7:8] /"},
	{"3.2", withHost(" [1:2:3:4:5:6:7::]"), "GET [1:2:3:4:5:6:7::] /"},
	{"3.2", withHost(" [::]"), "GET [::] /"},
	{"3.2", withHost(" [::ffff:1.2.3.4]"), "GET [::ffff:1.2.3.4] /"},
	{"3.2", "GET / HTTP/1.1\r\n\r\n", "400 missing Host"},
	{"3.2", "GET / HTTP/1.1\r\nX: a\r\n\r\n", "400 missing Host"},
	{"3.2", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "400 more than one Host"},
	{"3.2", "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nhOST: b\r\n\r\n", "400 more than one Host"},
	{"3.2", "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", "400 more than one Host"},
	{"3.2", withHost(""), "400 malformed host"},
	{"3.2", withHost(" \t "), "400 malformed host"},
	{"3.2", withHost(" ."), "400 malformed host"},
	{"3.2", withHost(" .a"), "400 malformed host"},
	{"3.2", withHost(" a..b"), "400 malformed host"},
	{"3.2", withHost(" a.."), "400 malformed host"},
	{"3.2", withHost(" :80"), "400 malformed host"},
	{"3.2", withHost(" a:80:80"), "400 malformed host"},
	{"3.2", withHost(" a:65536"), "400 malformed host"},
	{"3.2", withHost(" a:000080"), "400 malformed host"},
	{"3.2", withHost(" a:8x"), "400 malformed host"},
	{"3.2", withHost(" a:-1"), "400 malformed host"},
	{"3.2", withHost(" a: 80"), "400 malformed host"},
	{"3.2", withHost(" a b"), "400 malformed host"},
	{"3.2", withHost(" a\tb"), "400 malformed host"},
	{"3.2", withHost(" a,b"), "400 malformed host"},
	{"3.2", withHost(" a, b"), "400 malformed host"},
	{"3.2", withHost(" a/b"), "400 malformed host"},
	{"3.2", withHost(" a?b"), "400 malformed host"},
	{"3.2", withHost(" a#b"), "400 malformed host"},
	{"3.2", withHost(" a\\b"), "400 malformed host"},
	{"3.2", withHost(" u@a"), "400 malformed host"},
	{"3.2", withHost(" http://a"), "400 malformed host"},
	{"3.2", withHost(" %61"), "400 malformed host"},
	{"3.2", withHost(" a;b"), "400 malformed host"},
	{"3.2", withHost(" a\xc3\xa9"), "400 malformed host"},
	{"3.2", withHost(" *"), "400 malformed host"},
	{"3.2", withHost(" [::1"), "400 malformed host"},
	{"3.2", withHost(" ::1"), "400 malformed host"},
	{"3.2", withHost(" []"), "400 malformed host"},
	{"3.2", withHost(" [:]"), "400 malformed host"},
	{"3.2", withHost(" [:::]"), "400 malformed host"},
	{"3.2", withHost(" [1::2::3]"), "400 malformed host"},
	{"3.2", withHost(" [1:2:3:4:5:6:7]"), "400 malformed host"},
	{"3.2", withHost(" [1:2:3:4:5:6:7:8:9]"), "400 malformed host"},
	{"3.2", withHost(" [1:2:3:4::5:6:7:8]"), "400 malformed host"},
	{"3.2", withHost(" [1:2:3:4:5:6:7:]"), "400 malformed host"},
	{"3.2", withHost(" [12345::]"), "400 malformed host"},
	{"3.2", withHost(" [::g]"), "400 malformed host"},
	{"3.2", withHost(" [::1.2.3]"), "400 malformed host"},
	{"3.2", withHost(" [::1.2.3.256]"), "400 malformed host"},
	{"3.2", withHost(" [::1.2.3.04]"), "400 malformed host"},
	{"3.2", withHost(" [::1.2.3.4:5]"), "400 malformed host"},
	{"3.2", withHost(" [fe80::1%25eth0]"), "400 malformed host"},
	{"3.2", withHost(" [v1.a]"), "400 malformed host"},
	{"3.2", withHost(" [::1]a"), "400 malformed host"},
	{"3.2", withHost(" [::1]:"), "GET [::1] /"},
	{"3.2", withHost(" " + strings.Repeat("a", 255)), "GET " + strings.Repeat("a", 255) + " /"},
	{"3.2", withHost(" " + strings.Repeat("a", 256)), "400 malformed host"},

	// Fields.
	{"5", with("!#$%&'*+-.^`|~09Az: b\r\n"), "POST a.example /"},
	{"5", with("X-A: \x80\xff b\tc\r\n"), "POST a.example /"},
	{"5", with(": b\r\n"), "400 empty field name"},
	{"5", with("X\r\n"), "400 field line without a colon"},
	{"5", with("X[]: b\r\n"), "400 forbidden byte in a field name"},
	{"5", with("X(a): b\r\n"), "400 forbidden byte in a field name"},
	{"5", with("\"X\": b\r\n"), "400 forbidden byte in a field name"},
	{"5", with("X\x00: b\r\n"), "400 forbidden byte in a field name"},
	{"5", with("X-T\xc3\xabst: b\r\n"), "400 forbidden byte in a field name"},
	{"5", with("X;a: b\r\n"), "400 forbidden byte in a field name"},
	{"5", with("X=a: b\r\n"), "400 forbidden byte in a field name"},
	{"5", with("X/a: b\r\n"), "400 forbidden byte in a field name"},
	{"5", with(":method: GET\r\n"), "400 empty field name"},
	{"5.1", with("X : b\r\n"), "400 white space between a field name and its colon"},
	{"5.1", with("X\t: b\r\n"), "400 white space between a field name and its colon"},
	{"5.1", with("X\x0b: b\r\n"), "400 forbidden byte in a field name"},
	{"5.1", with("Transfer-Encoding : chunked\r\n"), "400 white space between a field name and its colon"},
	{"5.1", with("X a: b\r\n"), "400 white space between a field name and its colon"},
	{"5.2", with("X: a\r\n b\r\n"), "400 folded field line"},
	{"5.2", with("X: a\r\n\tb\r\n"), "400 folded field line"},
	{"5.2", with("X:\r\n a\r\n"), "400 folded field line"},
	{"5.2", with("Transfer-Encoding:\r\n chunked\r\n"), "400 folded field line"},
	{"5.2", with("X: a\r\n \r\n"), "400 folded field line"},
	{"9110 5.5", with("X: a\x00b\r\n"), "400 control character in a field value"},
	{"9110 5.5", with("X: a\x07b\r\n"), "400 control character in a field value"},
	{"9110 5.5", with("X: a\x0b\r\n"), "400 control character in a field value"},
	{"9110 5.5", with("X: a\x7f\r\n"), "400 control character in a field value"},
	{"9110 5.5", with("X: \x1bA\r\n"), "400 control character in a field value"},
	{"9110 5.5", with("X: a\rb\r\n"), "400 a CR without LF"},

	// Names that CGI and its kin take for others.
	{"disguise", with("Content_Length: 5\r\n"), "400 field name that may be taken for another one"},
	{"disguise", with("Transfer_Encoding: chunked\r\n"), "400 field name that may be taken for another one"},
	{"disguise", with("content.length: 5\r\n"), "400 field name that may be taken for another one"},
	{"disguise", with("Transfer~Encoding: chunked\r\n"), "400 field name that may be taken for another one"},
	{"disguise", with("X_Forwarded-For: 1.2.3.4\r\n"), "400 field name that may be taken for another one"},
	{"disguise", with("X_Forwarded_Port: 1\r\n"), "400 field name that may be taken for another one"},
	{"disguise", with("X_Real_IP: 1.2.3.4\r\n"), "400 field name that may be taken for another one"},
	{"disguise", with("X_Request_ID: a\r\n"), "400 field name that may be taken for another one"},
	{"disguise", with("User_Agent: a\r\n"), "400 field name that may be taken for another one"},
	{"disguise", with("my_field: a\r\n"), "POST a.example /"},

	// Framing.
	{"6.1", with("Transfer-Encoding: chunked\r\n"), "POST a.example / chunked"},
	{"6.1", with("TRANSFER-ENCODING:\t CHUNKED \t\r\n"), "POST a.example / chunked"},
	{"6.1", "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "GET a / chunked"},
	{"6.1", with("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), "400 both Transfer-Encoding and Content-Length"},
	{"6.1", with("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"), "400 both Transfer-Encoding and Content-Length"},
	{"6.1", with("Content-Length: 5\r\nTransfer-Encoding: xchunked\r\n"), "400 both Transfer-Encoding and Content-Length"},
	{"6.1", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "400 Transfer-Encoding in HTTP/1.0"},
	{"6.1", with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), "400 more than one Transfer-Encoding"},
	{"6.1", with("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"), "400 more than one Transfer-Encoding"},
	{"6.1", with("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"), "400 more than one Transfer-Encoding"},
	{"6.1", with("Transfer-Encoding: gzip, chunked\r\n"), "501 transfer coding not supported"},
	{"6.1", with("Transfer-Encoding: gzip;q=1, chunked\r\n"), "501 transfer coding not supported"},
	{"6.1", with("Transfer-Encoding: gzip\r\n"), "501 transfer coding not supported"},
	{"6.1", with("Transfer-Encoding: xchunked\r\n"), "501 transfer coding not supported"},
	{"6.1", with("Transfer-Encoding: chunked, chunked\r\n"), "400 malformed Transfer-Encoding"},
	{"6.1", with("Transfer-Encoding: chunked, gzip\r\n"), "400 malformed Transfer-Encoding"},
	{"6.1", with("Transfer-Encoding: chunked, identity\r\n"), "400 malformed Transfer-Encoding"},
	{"6.1", with("Transfer-Encoding: identity\r\n"), "400 malformed Transfer-Encoding"},
	{"6.1", with("Transfer-Encoding: identity, chunked\r\n"), "400 malformed Transfer-Encoding"},
	{"6.1", with("Transfer-Encoding: chunked,\r\n"), "400 malformed Transfer-Encoding"},
	{"6.1", with("Transfer-Encoding: ,chunked\r\n"), "400 malformed Transfer-Encoding"},
	{"6.1", with("Transfer-Encoding: chunked;a=b\r\n"), "400 malformed Transfer-Encoding"},
	{"6.1", with("Transfer-Encoding: chunked;\r\n"), "400 malformed Transfer-Encoding"},
	{"6.1", with("Transfer-Encoding:\r\n"), "400 malformed Transfer-Encoding"},
	{"6.1", with("Transfer-Encoding: \"chunked\"\r\n"), "400 malformed Transfer-Encoding"},
	{"6.1", with("Transfer-Encoding: chunked x\r\n"), "400 malformed Transfer-Encoding"},
	{"6.1", with("Transfer-Encoding: x chunked\r\n"), "400 malformed Transfer-Encoding"},
	{"6.1", with("Transfer-Encoding: chu\xe2\x84\xaaked\r\n"), "400 malformed Transfer-Encoding"},
	{"6.1", with("Transfer-Encoding: \xa0chunked\r\n"), "400 malformed Transfer-Encoding"},
	{"6.1", with("Transfer-Encoding: \x0bchunked\r\n"), "400 control character in a field value"},
	{"6.1", with("Transfer-Encoding: chunked\x0c\r\n"), "400 control character in a field value"},
	{"6.1", with("Transfer-Encoding: chunked\x00\r\n"), "400 control character in a field value"},
	{"6.2", with("Content-Length: 5\r\n"), "POST a.example / length=5"},
	{"6.2", with("Content-Length:\t5 \r\n"), "POST a.example / length=5"},
	{"6.2", with("Content-Length: 0\r\n"), "POST a.example /"},
	{"6.2", with("Content-Length: 9223372036854775807\r\n"), "POST a.example / length=9223372036854775807"},
	{"6.2", "POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\n", "POST  / 1.0 length=5 close"},
	{"6.2", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", "GET a / length=5"},
	{"6.2", with("Content-Length: 9223372036854775808\r\n"), "400 Content-Length too large"},
	{"6.2", with("Content-Length: 18446744073709551621\r\n"), "400 Content-Length too large"},
	{"6.2", with("Content-Length: " + strings.Repeat("9", 100) + "\r\n"), "400 Content-Length too large"},
	{"6.2", with("Content-Length: 05\r\n"), "400 Content-Length with leading zeros"},
	{"6.2", with("Content-Length: 00\r\n"), "400 Content-Length with leading zeros"},
	{"6.3", with("Content-Length: 5\r\nContent-Length: 5\r\n"), "400 more than one Content-Length"},
	{"6.3", with("Content-Length: 5\r\nContent-Length: 6\r\n"), "400 more than one Content-Length"},
	{"6.3", with("Content-Length: 5, 5\r\n"), "400 malformed Content-Length"},
	{"6.3", with("Content-Length: 5,6\r\n"), "400 malformed Content-Length"},
	{"6.3", with("Content-Length: +5\r\n"), "400 malformed Content-Length"},
	{"6.3", with("Content-Length: -5\r\n"), "400 malformed Content-Length"},
	{"6.3", with("Content-Length: -0\r\n"), "400 malformed Content-Length"},
	{"6.3", with("Content-Length: 5a\r\n"), "400 malformed Content-Length"},
	{"6.3", with("Content-Length: 0x5\r\n"), "400 malformed Content-Length"},
	{"6.3", with("Content-Length: 0o5\r\n"), "400 malformed Content-Length"},
	{"6.3", with("Content-Length: 1_0\r\n"), "400 malformed Content-Length"},
	{"6.3", with("Content-Length: 5.0\r\n"), "400 malformed Content-Length"},
	{"6.3", with("Content-Length: 1e1\r\n"), "400 malformed Content-Length"},
	{"6.3", with("Content-Length: 1 0\r\n"), "400 malformed Content-Length"},
	{"6.3", with("Content-Length: \"5\"\r\n"), "400 malformed Content-Length"},
	{"6.3", with("Content-Length:\r\n"), "400 malformed Content-Length"},
	{"6.3", with("Content-Length: \xc2\xb2\r\n"), "400 malformed Content-Length"},
	{"6.3", with("Content-Length: 5\x00\r\n"), "400 control character in a field value"},
	{"9110 9.3.8", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", "TRACE a /"},
	{"9110 9.3.8", "TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", "400 TRACE with content"},
	{"9110 9.3.8", "TRACE / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "400 TRACE with content"},
	{"9110 5.3", with("Content-Type: a/b\r\nContent-Type: a/c\r\n"), "400 more than one Content-Type"},

	// Connection.
	{"9.3", with("Connection: close\r\n"), "POST a.example / close"},
	{"9.3", with("Connection: Close, Keep-Alive\r\n"), "POST a.example / close"},
	{"9.3", with("Connection: keep-alive\r\nConnection: close\r\n"), "POST a.example / close"},
	{"9.3", with("Connection: , ,keep-alive,\r\n"), "POST a.example /"},
	{"9.3", with("Connection:\r\n"), "POST a.example /"},
	{"9.3", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET  / 1.0"},
	{"9.3", "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", "GET  / 1.0 close"},
	{"9.3", with("Connection: close foo\r\n"), "400 malformed Connection"},
	{"9.3", with("Connection: close;a\r\n"), "400 malformed Connection"},
	{"9.3", with("Connection: TE, X-Hop, Keep-Alive, Proxy-Connection\r\n"), "POST a.example /"},
	{"9110 7.6.1", with("Connection: close, Content-Length\r\n"), "400 Connection names a field meant for every recipient"},
	{"9110 7.6.1", with("Connection: Transfer-Encoding\r\n"), "400 Connection names a field meant for every recipient"},
	{"9110 7.6.1", with("Connection: Host\r\n"), "400 Connection names a field meant for every recipient"},
	{"9110 7.6.1", with("Connection: X-Forwarded-For\r\n"), "400 Connection names a field meant for every recipient"},
	{"9110 7.6.1", with("Connection: Cookie\r\n"), "400 Connection names a field meant for every recipient"},
	{"9110 7.8", "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n", "GET a / upgrade"},
	{"9110 7.8", "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n", "GET a /"},
	{"9110 7.8", "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n\r\n", "GET a /"},
	{"9110 7.8", "GET / HTTP/1.0\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", "GET a / 1.0 close"},

	// Expect.
	{"9110 10.1.1", with("Expect: 100-Continue\r\nContent-Length: 5\r\n"), "POST a.example / length=5 expect"},
	{"9110 10.1.1", with("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n"), "POST a.example / chunked expect"},
	{"9110 10.1.1", with("Expect: 100-continue\r\n"), "POST a.example /"},
	{"9110 10.1.1", "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", "POST  / 1.0 length=5 close"},
	{"9110 10.1.1", with("Expect: 200-ok\r\n"), "417 expectation not supported"},
	{"9110 10.1.1", with("Expect: y 100-continue\r\nContent-Length: 5\r\n"), "417 expectation not supported"},
	{"9110 10.1.1", with("Expect: 100-continue, x\r\nContent-Length: 5\r\n"), "417 expectation not supported"},
	{"9110 10.1.1", with("Expect: 100-continue\r\nExpect: x\r\nContent-Length: 5\r\n"), "417 expectation not supported"},
	{"9110 10.1.1", with("Expect:\r\n"), "417 expectation not supported"},

	// Limits.
	{"limits", get("/" + strings.Repeat("a", 8<<10-len("GET / HTTP/1.1"))), "GET a.example /" + strings.Repeat("a", 8<<10-len("GET / HTTP/1.1"))},
	{"limits", get("/" + strings.Repeat("a", 8<<10-len("GET / HTTP/1.1")+1)), "414 request line too long"},
	{"limits", "GET /" + strings.Repeat("a", 100_000), "414 request line too long"},
	{"limits", "GET / HTTP/1.1\r\n" + strings.Repeat("X: y\r\n", 99) + host + "\r\n", "GET a.example /"},
	{"limits", "GET / HTTP/1.1\r\n" + strings.Repeat("X: y\r\n", 100) + host + "\r\n", "431 too many fields"},
	{"limits", with("X: " + strings.Repeat("b", 100_000)), "431 header section too large"},
	{"limits", with(strings.Repeat("x", 100_000)), "431 header section too large"},
	{"limits", "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("b", 16<<10-len("GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n")) + "\r\n\r\n", "GET a /"},
	{"limits", "GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("b", 16<<10-len("GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n")+1) + "\r\n\r\n", "431 header section too large"},
}

// describe says what was understood of a request, in the words of the tables.
func describe(r *message.Request) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s %s", r.MethodText, r.Host)
	if len(r.Port) > 0 {
		fmt.Fprintf(&s, ":%s", r.Port)
	}
	fmt.Fprintf(&s, " %s", r.Path)
	if r.HasQuery {
		fmt.Fprintf(&s, "?%s", r.Query)
	}
	for _, w := range []struct {
		is   bool
		word string
	}{
		{r.Form == message.AbsoluteForm, "absolute"},
		{r.Form == message.AsteriskForm, "asterisk"},
		{r.Minor == 0, "1.0"},
		{r.Body == message.Chunked, "chunked"},
		{r.Body == message.ByLength, fmt.Sprintf("length=%d", r.Length)},
		{!r.KeepAlive, "close"},
		{r.Expect100, "expect"},
		{r.Upgrade, "upgrade"},
	} {
		if w.is {
			s.WriteString(" " + w.word)
		}
	}
	if r.Ambiguous != 0 {
		var list []string
		for i, word := range []string{"slash", "nul", "backslash", "control", "dots"} {
			if r.Ambiguous&(1<<i) != 0 {
				list = append(list, word)
			}
		}
		s.WriteString(" ambiguous=" + strings.Join(list, ","))
	}
	return s.String()
}

// parse parses a copy of in that is followed by other bytes' room, and describes the outcome.
func parse(t testing.TB, in string) (n int, got string) {
	var req message.Request
	b := []byte(in)
	n, err := ParseRequest(b, &req, testLimits)
	if err != nil {
		if n != 0 {
			t.Fatalf("%q: n = %d with an error", in, n)
		}
		return 0, fmt.Sprintf("%d %s", err.Status, err.Reason)
	}
	if n == 0 {
		if string(b) != in {
			t.Fatalf("%q was rewritten before it was complete", in)
		}
		return 0, "more"
	}
	if !bytes.Equal(b[n:], []byte(in)[n:]) {
		t.Fatalf("%q: bytes behind the head were rewritten", in)
	}
	return n, describe(&req)
}

func TestRequests(t *testing.T) {
	for _, r := range requestRows {
		n, got := parse(t, r.in)
		if got != r.want {
			t.Errorf("%s: %.200q\n got %q\nwant %q", r.section, r.in, got, r.want)
			continue
		}
		if n != 0 && n != len(r.in) {
			t.Errorf("%s: %.200q: n = %d of %d", r.section, r.in, n, len(r.in))
		}
	}
}

// Every head cut at every byte gives "more" until the outcome, and then that outcome; whatever follows.
func TestRequestsCutAnywhere(t *testing.T) {
	for _, r := range requestRows {
		if len(r.in) > 2000 {
			continue
		}
		decided := false
		for i := range len(r.in) + 1 {
			_, got := parse(t, r.in[:i])
			switch {
			case got == r.want:
				decided = true
			case got != "more" || decided:
				t.Errorf("%s: %q cut at %d: %q, want %q", r.section, r.in, i, got, r.want)
			}
		}
		if !decided {
			t.Errorf("%s: %q is never decided", r.section, r.in)
		}
		const next = "GET /next HTTP/1.1\r\nHost: next\r\n\r\n"
		if n, got := parse(t, r.in+next); got != r.want || n != 0 && n != len(r.in) {
			t.Errorf("%s: %q with another behind it: %d %q", r.section, r.in, n, got)
		}
	}
}

// What is wrong is told as soon as its byte is there.
func TestRequestsRefusedEarly(t *testing.T) {
	for _, in := range []string{
		"\n", "\x16", " ", "\r\r", "G\n", "G\r", "get ", "GET\n", "GET  ", "GET /\n", "GET /\x00", "GET /#", "GET b ",
		"GET /%zz ", "GET /.. ", "GET / X", "GET / HTTP/2\n", "GET / HTTP/2.0\r\n", "GET / HTTP/1.1\n",
		"GET / HTTP/1.1\r\n ", "GET / HTTP/1.1\r\n:", "GET / HTTP/1.1\r\nX ", "GET / HTTP/1.1\r\nX\n",
		"GET / HTTP/1.1\r\nX: a\n", "GET / HTTP/1.1\r\nX: a\x00", "GET / HTTP/1.1\r\nX: a\r\n ", "CONNECT a:1 ",
	} {
		if _, got := parse(t, in); got == "more" {
			t.Errorf("%q waits for more", in)
		}
		if _, got := parse(t, in[:len(in)-1]); got != "more" {
			t.Errorf("%q is refused early: %s", in[:len(in)-1], got)
		}
	}
}

func TestRequestFields(t *testing.T) {
	b := []byte("GET http://A.example.:80/x/../y?q HTTP/1.1\r\nHOST: A.Example.:80 \r\nCookie:a=1\r\nX-Y:\t\tb c\t \r\nCookie: b=2\r\nEmpty:\r\n\r\nrest")
	var req message.Request
	n, err := ParseRequest(b, &req, testLimits)
	if err != nil || string(b[n:]) != "rest" {
		t.Fatal(n, err)
	}
	var got []string
	for _, f := range req.Fields.List {
		got = append(got, fmt.Sprintf("%d %s=%s", f.ID, f.Name, f.Value))
	}
	want := fmt.Sprintf("%d HOST=a.example:80|%d Cookie=a=1|0 X-Y=b c|%d Cookie=b=2|0 Empty=", message.Host, message.Cookie, message.Cookie)
	if s := strings.Join(got, "|"); s != want {
		t.Errorf("fields\n got %s\nwant %s", s, want)
	}
	if s := string(req.Target); s != "http://a.example.:80/y?q" {
		t.Errorf("target %q", s)
	}
	if req.Method != message.GET || !req.Fields.Has(message.Host) || req.Fields.Count(message.Cookie) != 2 {
		t.Error("wrong method or known fields")
	}
}

// After an error the log needs the request line as it was sent.
func TestRefusedRequestKeepsItsTarget(t *testing.T) {
	b := []byte("GET /a/./%41/..;/x HTTP/1.1\r\nHost: A\r\nHost: B\r\n\r\n")
	var req message.Request
	if _, err := ParseRequest(b, &req, testLimits); err != &faults[manyHosts] {
		t.Fatal(err)
	}
	if string(req.MethodText) != "GET" || string(req.Target) != "/a/./%41/..;/x" {
		t.Fatalf("%q %q", req.MethodText, req.Target)
	}
}

func TestLookupAgreesWithMessage(t *testing.T) {
	try := func(s string) {
		b := []byte(s + ": x")
		if got, want := lookup(b, 0, len(s)), message.Lookup(s); got != want {
			t.Errorf("lookup(%q) = %v, want %v", s, got, want)
		}
		b = append(b, bytes.Repeat([]byte{'y'}, 40)...)
		if got, want := lookup(b, 0, len(s)), message.Lookup(s); got != want {
			t.Errorf("lookup(%q) in a long head = %v, want %v", s, got, want)
		}
	}
	for id := message.Other + 1; id.String() != ""; id++ {
		name := id.String()
		try(name)
		try(strings.ToLower(name))
		try(strings.ToUpper(name))
		try(name + "x")
		try(name[1:])
		for i := range len(name) {
			for _, c := range "_^~-aZ0" {
				try(name[:i] + string(c) + name[i+1:])
			}
		}
	}
	try(strings.Repeat("x", 30))
}

func TestNoAllocations(t *testing.T) {
	var req message.Request
	var resp message.Response
	var d Decoder
	var out []byte
	dirty := "GET /a/./b/%7Euser//c/../d%2ejpg?q=1 HTTP/1.1\r\nHost: Example.COM.:80\r\n\r\n"
	buf := make([]byte, 4096)
	for name, f := range map[string]func(){
		"browser":  func() { ParseRequest(buf[:copy(buf, browserRequest)], &req, testLimits) },
		"dirty":    func() { ParseRequest(buf[:copy(buf, dirty)], &req, testLimits) },
		"refused":  func() { ParseRequest(buf[:copy(buf, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n")], &req, testLimits) },
		"response": func() { ParseResponse(buf[:copy(buf, serverResponse)], message.GET, &resp, testLimits) },
		"chunked": func() {
			d.Reset(message.Chunked, 0, testLimits)
			p := buf[:copy(buf, "5;a=\"b\"\r\nhello\r\n0\r\nX-Sum: 1\r\nHost: x\r\n\r\n")]
			for !d.Done() {
				_, n, err := d.Next(p)
				if err != nil {
					t.Fatal(err)
				}
				p = p[n:]
			}
		},
		"write": func() {
			out = AppendStatusLine(out[:0], 404)
			out = AppendField(out, "Server", "weir")
			out = AppendRequestLine(out, []byte("GET"), []byte("/"))
			out = AppendChunk(out, 1<<20)
			out = AppendLastChunk(out, d.Trailers())
		},
	} {
		f()
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
