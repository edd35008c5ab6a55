package hostile

import (
	"fmt"
	"strings"
)

// validRows are legal, if odd: strictness must not hit them.
func validRows() (rows []row) {
	for name, lines := range map[string]string{
		"no space behind the colon": "X:y\r\n", "spaces around a value": "X:  \t y \t \r\n", "an empty value": "X:\r\n", "a value of spaces": "X:   \r\n",
		"a tab within a value": "X: a\tb\r\n", "Latin-1 in a value": "X: caf\xe9\r\n", "UTF-8 in a value": "X: caf\xc3\xa9 \xf0\x9f\x98\x80\r\n", "all token bytes in a name": "!#$%&'*+-.^`|~09Az: y\r\n",
		"one field many times": strings.Repeat("X: y\r\n", 30), "a quoted value": "X: \"a, b\\\"c\"\r\n", "colons in a value": "X: a:b: c\r\n", "an unknown name with _": "my_field: 1\r\n",
		"Connection: keep-alive": "Connection: keep-alive\r\n", "empty members in Connection": "Connection: , keep-alive, ,\r\n", "an empty Connection": "Connection:\r\n",
		"Content-Length: 0 of a GET": "Content-Length: 0\r\n", "two cookies": "Cookie: a=1\r\nCookie: b=2\r\n", "two Accepts": "Accept: a/b\r\nAccept: c/d\r\n",
		"TE: trailers": "TE: trailers\r\nConnection: TE\r\n", "an Origin of null": "Origin: null\r\n", "Range": "Range: bytes=0-0,-1\r\n", "Max-Forwards: 0": "Max-Forwards: 0\r\n",
		"Basic": "Authorization: Basic dTpw\r\n", "a long etag": "If-None-Match: \"" + strings.Repeat("e", 500) + "\"\r\n", "Expect without a body": "Expect: 100-continue\r\n",
		"Upgrade-Insecure-Requests": "Upgrade-Insecure-Requests: 1\r\n", "hints": "Sec-CH-UA: \"Chromium\";v=\"130\", \"Not?A_Brand\";v=\"99\"\r\n",
		"traceparent": "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n", "Content-Type of a GET": "Content-Type: text/plain\r\n",
	} {
		rows = append(rows, pass("fields: "+name, fields(lines), "GET /p"))
	}
	for name, h := range map[string]string{
		"an address": "127.0.0.1", "address and port": "127.0.0.1:8080", "IPv6": "[::1]", "IPv6 and port": "[2001:db8::1]:8080", "upper case": "A.TEST", "trailing dot": "a.test.", "a port of none": "a.test:",
		"port 80": "a.test:80", "port 0": "a.test:0", "an underscore": "my_app.test", "one label": "localhost", "punycode": "xn--bcher-kva.test", "digits": "1.test", "IPv4 in IPv6": "[::ffff:1.2.3.4]",
	} {
		rows = append(rows, pass("Host: "+name, "GET /p HTTP/1.1\r\nHost: "+h+"\r\n\r\n", "GET /p"))
	}
	for _, m := range []string{"HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "MKCOL", "REPORT", "PURGE", "QUERY", "M-SEARCH", "GETS", "BASELINE-CONTROL", "x-custom!"} {
		rows = append(rows, pass("method: "+m, m+" /p HTTP/1.1\r\n"+host+"\r\n", m+" /p"))
	}
	for name, b := range map[string]struct{ body, want string }{
		"none":                      {"0\r\n\r\n", "POST /p"},
		"one":                       {"5\r\nhello\r\n0\r\n\r\n", "POST /p | hello"},
		"several":                   {"1\r\nh\r\n1\r\ne\r\n3\r\nllo\r\n0\r\n\r\n", "POST /p | hello"},
		"upper case":                {"A\r\n0123456789\r\n0\r\n\r\n", "POST /p | 0123456789"},
		"zeros before":              {"0005\r\nhello\r\n000\r\n\r\n", "POST /p | hello"},
		"extensions":                {"5;a\r\nhello\r\n0;b=c\r\n\r\n", "POST /p | hello"},
		"many extensions":           {"5;a=b;c=\"d;e\\\"\";f\r\nhello\r\n0\r\n\r\n", "POST /p | hello"},
		"bad white space":           {"5 ; a = b\r\nhello\r\n0\r\n\r\n", "POST /p | hello"},
		"a signature":               {"5;chunk-signature=" + strings.Repeat("0a", 32) + "\r\nhello\r\n0\r\n\r\n", "POST /p | hello"},
		"trailers":                  {"5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-Other: 2\r\n\r\n", "POST /p | hello"},
		"trailers nobody may trust": {"5\r\nhello\r\n0\r\nContent-Length: 99\r\nTransfer-Encoding: gzip\r\nHost: b.test\r\nX-Forwarded-For: 1.2.3.4\r\nAuthorization: x\r\n\r\n", "POST /p | hello"},
		"line ends in data":         {"8\r\n\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", "POST /p | \r\n\r\n0\r\n\r"},
	} {
		if name == "line ends in data" { // what looks like the last chunk is data
			b.body, b.want = "7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", "POST /p | \r\n0\r\n\r\n"
		}
		rows = append(rows, row{name: "chunks: " + name, send: chunked(b.body), want: []string{b.want}, without: "Authorization,X-Sum"})
	}
	return append(rows,
		pass("an empty line before", "\r\n"+get("/p"), "GET /p"),
		pass("two empty lines before", "\r\n\r\n"+get("/p"), "GET /p"),
		pass("HTTP/1.2 is 1.1", "GET /p HTTP/1.2\r\n"+host+"\r\n", "GET /p"),
		pass("HTTP/1.9 is 1.1", "GET /p HTTP/1.9\r\n"+host+"\r\n", "GET /p"),
		pass("HTTP/1.0 that stays", "GET /p HTTP/1.0\r\n"+host+"Connection: keep-alive\r\n\r\n", "GET /p"),
		pass("HTTP/1.0 with a body", "POST /p HTTP/1.0\r\n"+host+"Connection: keep-alive\r\nContent-Length: 5\r\n\r\nhello", "POST /p | hello"),
		pass("a body of a GET", fields("Content-Length: 5\r\n")+"hello", "GET /p | hello"),
		pass("chunks of a GET", fields("Transfer-Encoding: chunked\r\n")+"5\r\nhello\r\n0\r\n\r\n", "GET /p | hello"),
		pass("a body of a HEAD", "HEAD /p HTTP/1.1\r\n"+host+"Content-Length: 5\r\n\r\nhello", "HEAD /p | hello"),
		pass("a body of zeros", post("Content-Length: 5\r\n", "\x00\x00\r\n\x00"), "POST /p | \x00\x00\r\n\x00"),
		pass("a body that begins with an empty line", post("Content-Length: 6\r\n", "\r\n\r\nhi"), "POST /p | \r\n\r\nhi"),
		pass("chunked in upper case", post("TRANSFER-ENCODING: Chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"), "POST /p | hello"),
		pass("chunked between spaces", post("Transfer-Encoding: \t chunked \t\r\n", "5\r\nhello\r\n0\r\n\r\n"), "POST /p | hello"),
		pass("length between spaces", post("Content-Length: \t 5 \t\r\n", "hello"), "POST /p | hello"),
		pass("100-continue that does not wait", post("Expect: 100-continue\r\nContent-Length: 5\r\n", "hello"), "POST /p | hello"),
		pass("100-Continue with chunks", post("Expect: 100-Continue\r\nTransfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"), "POST /p | hello"),
		pass("a large body", post("Content-Length: 100000\r\n", strings.Repeat("0123456789", 10000)), "POST /p | "+strings.Repeat("0123456789", 10000)),
		pass("large chunks", chunked(strings.Repeat("2710\r\n"+strings.Repeat("0123456789", 1000)+"\r\n", 10)+"0\r\n\r\n"), "POST /p | "+strings.Repeat("0123456789", 10000)),
	)
}

// clientRows are heads as programs in use send them.
func clientRows() (rows []row) {
	for name, head := range map[string]string{
		"Firefox": "GET /?q=a+b&c=%C3%A9 HTTP/1.1\r\nHost: a.test\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0\r\nAccept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-GB,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nDNT: 1\r\nConnection: keep-alive\r\nCookie: a=b; c=\"d\"; e={\"f\":1}\r\nUpgrade-Insecure-Requests: 1\r\nSec-Fetch-Dest: document\r\nPriority: u=0, i\r\n\r\n",
		"Chrome":  "GET /?a[]=1&b={x}|y HTTP/1.1\r\nHost: a.test\r\nConnection: keep-alive\r\nCache-Control: max-age=0\r\nsec-ch-ua: \"Chromium\";v=\"130\", \"Not?A_Brand\";v=\"99\"\r\nsec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: \"Linux\"\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36\r\nAccept: */*\r\nIf-None-Match: W/\"1\"\r\nIf-Modified-Since: Sat, 21 Nov 2026 08:00:00 GMT\r\n\r\n",
		"curl":    "GET / HTTP/1.1\r\nHost: a.test\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n",
		"wrk":     "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
		"ab":      "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\nHost: a.test\r\nUser-Agent: ApacheBench/2.3\r\nAccept: */*\r\n\r\n",
		"Go":      "GET / HTTP/1.1\r\nHost: a.test\r\nUser-Agent: Go-http-client/1.1\r\nAccept-Encoding: gzip\r\n\r\n",
		"Python":  "GET / HTTP/1.1\r\nHost: a.test\r\nUser-Agent: python-requests/2.31.0\r\nAccept-Encoding: gzip, deflate\r\nAccept: */*\r\nConnection: keep-alive\r\n\r\n",
		"urllib":  "GET / HTTP/1.1\r\nAccept-Encoding: identity\r\nHost: a.test\r\nUser-Agent: Python-urllib/3.11\r\nConnection: keep-alive\r\n\r\n",
		"wget":    "GET / HTTP/1.1\r\nHost: a.test\r\nUser-Agent: Wget/1.21.3\r\nAccept: */*\r\nAccept-Encoding: identity\r\nConnection: Keep-Alive\r\n\r\n",
		"Java":    "GET / HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nHost: a.test\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\nUpgrade: h2c\r\nUser-Agent: Java-http-client/17.0.9\r\n\r\n",
		"nginx":   "GET / HTTP/1.0\r\nHost: a.test\r\nX-Real-IP: 1.2.3.4\r\nConnection: keep-alive\r\n\r\n",
		"node":    "GET / HTTP/1.1\r\nhost: a.test\r\nconnection: keep-alive\r\naccept: */*\r\naccept-language: *\r\nsec-fetch-mode: cors\r\nuser-agent: node\r\naccept-encoding: br, gzip, deflate\r\n\r\n",
	} {
		want := "GET " + strings.Fields(head)[1]
		rows = append(rows, pass("client: "+name, head, want))
	}
	form := "csrf=abc&name=J%C3%B6rg"
	part := "--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\nhello\r\n--x--\r\n"
	return append(rows,
		pass("client: a form", post(fmt.Sprintf("Content-Type: application/x-www-form-urlencoded\r\nOrigin: http://a.test\r\nContent-Length: %d\r\n", len(form)), form), "POST /p | "+form),
		pass("client: an upload", post(fmt.Sprintf("Content-Type: multipart/form-data; boundary=x\r\nContent-Length: %d\r\n", len(part)), part), "POST /p | "+part),
		pass("client: curl -T -", "PUT /p HTTP/1.1\r\n"+host+"User-Agent: curl/7.88.1\r\nAccept: */*\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "PUT /p | hello"),
		pass("client: Go with chunks", post("User-Agent: Go-http-client/1.1\r\nTransfer-Encoding: chunked\r\nAccept-Encoding: gzip\r\n", "5\r\nhello\r\n0\r\n\r\n"), "POST /p | hello"),
		pass("client: an empty POST of a browser", post("Content-Length: 0\r\nOrigin: http://a.test\r\n", ""), "POST /p"),
		row{name: "client: a WebSocket", send: fields("Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), want: []string{"GET /p"}, with: "Connection: upgrade,Upgrade: websocket"},
		pass("client: a preflight", "OPTIONS /p HTTP/1.1\r\n"+host+"Origin: http://b.test\r\nAccess-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: x-a,x-b\r\n\r\n", "OPTIONS /p"),
		pass("client: WebDAV", "PROPFIND /p HTTP/1.1\r\n"+host+"Depth: 1\r\nContent-Type: text/xml\r\nContent-Length: 4\r\n\r\n<a/>", "PROPFIND /p | <a/>"),
	)
}
