package hostile

import (
	"fmt"
	"strings"
)

// lineRows end or fold lines in ways that not everybody knows.
func lineRows() (rows []row) {
	for name, send := range map[string]string{
		"LF everywhere":              "GET /p HTTP/1.1\nHost: a.test\n\n",
		"LF behind the request line": "GET /p HTTP/1.1\nHost: a.test\r\n\r\n",
		"LF behind a field":          "GET /p HTTP/1.1\r\nHost: a.test\nX: y\r\n\r\n",
		"LF at the end":              "GET /p HTTP/1.1\r\nHost: a.test\r\n\n",
		"LF twice within":            "GET /p HTTP/1.1\r\nHost: a.test\r\nX: y\n\n" + evil,
		"CR everywhere":              "GET /p HTTP/1.1\rHost: a.test\r\r",
		"CR within the request line": "GET /p\rHTTP/1.1\r\nHost: a.test\r\n\r\n",
		"CR behind the request line": "GET /p HTTP/1.1\rHost: a.test\r\n\r\n",
		"CR within a value":          "GET /p HTTP/1.1\r\nHost: a.test\r\nX: y\rEvil: z\r\n\r\n",
		"CR behind a value":          "GET /p HTTP/1.1\r\nHost: a.test\r\nX: y\r\r\n\r\n",
		"CR within a name":           "GET /p HTTP/1.1\r\nHost: a.test\r\nX\rY: z\r\n\r\n",
		"CR at the end":              "GET /p HTTP/1.1\r\nHost: a.test\r\n\r\r\n",
		"CR CR LF CR LF":             "GET /p HTTP/1.1\r\nHost: a.test\r\r\n\r\n",
		"LF CR":                      "GET /p HTTP/1.1\n\rHost: a.test\n\r\n\r",
		"CR before the request":      "\r" + get("/p"),
		"CR CR LF before":            "\r\r\n" + get("/p"),
		"LF before the request":      "\n" + get("/p"),
		"many empty lines before":    strings.Repeat("\r\n", 50) + get("/p"),
		"space before the request":   " " + get("/p"),
		"space line before":          " \r\n" + get("/p"),
		"NUL before the request":     "\x00" + get("/p"),
		"a byte order mark":          "\xef\xbb\xbf" + get("/p"),
		"folded":                     fields("X: y\r\n z\r\n"),
		"folded by a tab":            fields("X: y\r\n\tz\r\n"),
		"folded, empty":              fields("X: y\r\n \r\n"),
		"folded Host":                "GET /p HTTP/1.1\r\nHost:\r\n a.test\r\n\r\n",
		"folded request line":        "GET /p HTTP/1.1\r\n  X\r\nHost: a.test\r\n\r\n",
		"folded first field":         "GET /p HTTP/1.1\r\n Host: a.test\r\n\r\n",
		"a space line":               "GET /p HTTP/1.1\r\nHost: a.test\r\n \r\n\r\n",
		"vertical tab for a line":    "GET /p HTTP/1.1\x0bHost: a.test\r\n\r\n",
		"line separator of Latin-1":  "GET /p HTTP/1.1\x85Host: a.test\r\n\r\n",
		"TLS":                        "\x16\x03\x01\x00\xf4\x01\x00\x00\xf0\x03\x03" + strings.Repeat("\x42", 100),
		"SSH":                        "SSH-2.0-OpenSSH_9.2\r\n",
		"a response":                 "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"SMTP":                       "EHLO a.test\r\nMAIL FROM:<a@a.test>\r\n",
		"Redis":                      "*1\r\n$4\r\nPING\r\n",
		"PROXY protocol":             "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + get("/p"),
		"PROXY protocol 2":           "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x01\x02\x03\x04\x05\x06\x07\x08\x00\x01\x00\x02" + get("/p"),
		"SOCKS 5":                    "\x05\x01\x00",
		"FastCGI":                    "\x01\x01\x00\x01\x00\x08\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00",
		"uwsgi":                      "\x00\x10\x00\x00\x0e\x00REQUEST_METHOD",
		"memcached":                  "get x\r\nset y 0 0 2\r\nhi\r\n",
	} {
		rows = append(rows, refuse(name, send, 400, 501, 505))
	}
	return rows
}

// nameRows are field names that are none, or are taken for others.
func nameRows() (rows []row) {
	for _, line := range []string{
		": y", " : y", "X : y", "X\t: y", "X  : y", "X y: z", "X", "X;y", "X\x00: y", "\x00: y", "X\x01Y: z", "X\x7f: y", "X\x80: y", "X\xc3\xa9: y",
		"X(y): z", "X)y: z", "X<y: z", "X>y: z", "X@y: z", "X,y: z", "X;y: z", "X\\y: z", "X\"y\": z", "X/y: z", "X[y]: z", "X?y: z", "X=y: z",
		"X{y}: z", "\"X\": y", "X\x0b: y", "X\x0cY: z", "X\x1b[31m: y", ":method: GET", ":path: /evil", ":authority: b.test", "GET /evil HTTP/1.1",
		"Host : b.test", "Host\t: b.test", " Host: b.test", "Host\x00: b.test", "Ho st: b.test",
		// CGI, WSGI and their kin make one name of these and of the true one.
		"X_Forwarded_For: 1.2.3.4", "X_Forwarded-For: 1.2.3.4", "X-Forwarded_For: 1.2.3.4", "X.Forwarded.For: 1.2.3.4", "X_FORWARDED_PROTO: https",
		"X_Forwarded_Host: b.test", "X_Request_ID: 1", "User_Agent: x", "Content_Type: a/b", "Authorization_: x\r\nContent_Length: 1", "X_Real_IP: 1.2.3.4",
		"Remote_User: root", "If_None_Match: *", "X_HTTP_Method_Override: DELETE", "X_Rewrite_URL: /evil", "X_Original_URL: /evil", "Cookie\xc2\xad: a",
	} {
		rows = append(rows, refuse(fmt.Sprintf("field %q", line), fields(line+"\r\n")))
	}
	return rows
}

// valueRows have what no value may have.
func valueRows() (rows []row) {
	for c := range 0x20 {
		if c == '\t' {
			continue
		}
		rows = append(rows, refuse(fmt.Sprintf("control %#x in a value", c), fields(fmt.Sprintf("X: a%cb\r\n", rune(c)))))
	}
	return append(rows,
		refuse("DEL in a value", fields("X: a\x7fb\r\n")),
		refuse("NUL at the end of a value", fields("X: a\x00\r\n")),
		refuse("NUL for a value", fields("X:\x00\r\n")),
		refuse("NUL in a cookie", fields("Cookie: a=\x00\r\n")),
		refuse("two Content-Types", post("Content-Type: a/b\r\nContent-Type: text/html\r\nContent-Length: 2\r\n", "hi")),
		refuse("escape sequence", fields("User-Agent: \x1b]0;owned\x07\r\n")),
	)
}

// hostRows name no host, two, or one in two ways.
func hostRows() (rows []row) {
	rows = append(rows,
		refuse("no Host", "GET /p HTTP/1.1\r\n\r\n"),
		refuse("no Host but fields", "GET /p HTTP/1.1\r\nX: y\r\n\r\n"),
		refuse("no Host, absolute form", "GET http://a.test/p HTTP/1.1\r\n\r\n"),
		refuse("two Hosts", "GET /p HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n"),
		refuse("one Host twice", "GET /p HTTP/1.1\r\nHost: a.test\r\nHost: a.test\r\n\r\n"),
		refuse("Hosts apart", "GET /p HTTP/1.1\r\nHost: a.test\r\nX: y\r\nhOsT: b.test\r\n\r\n"),
		refuse("two Hosts, one empty", "GET /p HTTP/1.1\r\nHost: a.test\r\nHost:\r\n\r\n"),
		refuse("two Hosts in HTTP/1.0", "GET /p HTTP/1.0\r\nHost: a.test\r\nHost: b.test\r\n\r\n"),
		refuse("two Hosts, absolute form", "GET http://a.test/p HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n"),
	)
	for _, v := range []string{
		"", " ", "\t", "a.test, b.test", "a.test,b.test", "a.test b.test", "a.test\tb.test", "a.test/", "a.test/evil", "/", "a.test?x", "a.test#x", "#",
		"u@a.test", "u:p@a.test", "@a.test", "a.test@b.test", "a.test:80@b.test", "http://a.test", "//a.test", "a.test\\b", "a..test", ".a.test", "a.test..", ".",
		":80", "a.test:x", "a.test:80:80", "a.test:-1", "a.test:+80", "a.test:65536", "a.test:8 0", "a.test :80", "a.test: 80", "a.test:0x50", "a.test:080000",
		"%61.test", "a%00.test", "a.test%0d%0a", "a\x00.test", "a.test\x00", "a\xc3\xa9.test", "\xef\xbd\x81.test", "*", "*.test", "a.*", "<a>", "a|b", "a^b", "`a`", "{a}", "\"a.test\"",
		"[", "]", "[]", "[::1", "::1", "[::1]x", "[::1].test", "[::1]:x", "[::1%eth0]", "[::1%25eth0]", "[1.2.3.4]", "[v1.x]", "[::g]", "[1:2:3:4:5:6:7:8:9]", "[:::]",
		"[::1][::1]", "a[b]", "[::ffff:1.2.3.256]", strings.Repeat("a.", 200) + "test",
	} {
		rows = append(rows, refuse(fmt.Sprintf("Host %.30q", v), "GET /p HTTP/1.1\r\nHost: "+v+"\r\n\r\n"))
	}
	return rows
}

// versionRows are other versions, or none.
func versionRows() (rows []row) {
	for v, status := range map[string]int{
		"HTTP/0.9": 505, "HTTP/2.0": 505, "HTTP/2.1": 505, "HTTP/3.0": 505, "HTTP/3.1": 505, "HTTP/9.9": 505, "HTTP/0.0": 505,
		"http/1.1": 400, "Http/1.1": 400, "HTTp/1.1": 400, "HTTP/2": 400, "HTTP/1": 400, "HTTP/1.": 400, "HTTP/.1": 400, "HTTP/11": 400, "HTTP/1.10": 400,
		"HTTP/1.11": 400, "HTTP/01.1": 400, "HTTP/1.01": 400, "HTTP/11.1": 400, "HTTP/1.1 ": 400, " HTTP/1.1": 400, "HTTP/1.1\t": 400, "HTTP /1.1": 400,
		"HTTP/ 1.1": 400, "HTTP/1 .1": 400, "HTTP/1,1": 400, "HTTP/1.1.1": 400, "HTTP/+1.1": 400, "HTTP/-1.1": 400, "HTTP/1.-1": 400, "HTTP/x.y": 400, "HTTP/1.x": 400,
		"HTTP": 400, "HTTP/": 400, "HTTPS/1.1": 400, "HTCPCP/1.0": 400, "RTSP/1.0": 400, "SIP/2.0": 400, "1.1": 400, "": 400, "HTTP/1.1 X": 400, "HTTP/1.1\x00": 400,
		"HTTP/1.\xb1": 400, "\x00HTTP/1.1": 400, "HTTP/1.1;": 400, "\"HTTP/1.1\"": 400, "HTTP\\1.1": 400, "HTTP/1.1\x0b": 400, "HTTP/0x1.1": 400, "HTTP/１.1": 400,
	} {
		rows = append(rows, refuse(fmt.Sprintf("version %q", v), "GET /p "+v+"\r\n"+host+"\r\n", status))
	}
	return append(rows,
		refuse("HTTP/0.9", "GET /p\r\n"),
		refuse("HTTP/0.9, then fields", "GET /p\r\n"+host+"\r\n"),
		refuse("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", 505),
		refuse("body in HTTP/1.2 with both", "POST /p HTTP/1.2\r\n"+host+"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"+evil),
	)
}

// methodRows are methods that are none, and those that weir keeps to itself.
func methodRows() (rows []row) {
	for m, status := range map[string]int{
		"get": 501, "Get": 501, "gET": 501, "post": 501, "Post": 501, "options": 501, "head": 501, "delete": 501, "Patch": 501,
		"": 400, "G(T": 400, "G)T": 400, "G<T": 400, "G@T": 400, "G,T": 400, "G;T": 400, "G:T": 400, "G\\T": 400, "G\"T": 400, "\"GET\"": 400, "G/T": 400, "G[T": 400,
		"G?T": 400, "G=T": 400, "G{T": 400, "G\x00T": 400, "GET\x00": 400, "\x00GET": 400, "G\tT": 400, "GET\t": 400, "\x7fGET": 400, "G\xc3\xa9T": 400, "GET /p": 400,
		"GET\x0b": 400, "GET\xa0": 400, " GET": 400, "GET ": 400, strings.Repeat("A", 33): 400, strings.Repeat("A", 20000): 400,
	} {
		rows = append(rows, refuse(fmt.Sprintf("method %.40q", m), m+" /p HTTP/1.1\r\n"+host+"\r\n", status))
	}
	return append(rows,
		refuse("CONNECT", "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n", 501),
		refuse("CONNECT without a port", "CONNECT a.test HTTP/1.1\r\n"+host+"\r\n"),
		refuse("CONNECT a path", "CONNECT /p HTTP/1.1\r\n"+host+"\r\n"),
		refuse("CONNECT an URI", "CONNECT http://a.test:80/ HTTP/1.1\r\n"+host+"\r\n"),
		refuse("CONNECT a user", "CONNECT u@a.test:80 HTTP/1.1\r\n"+host+"\r\n"),
		refuse("CONNECT with a body", "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\nContent-Length: 42\r\n\r\n"+evil, 501),
		answer("TRACE", "TRACE /p HTTP/1.1\r\n"+host+"Cookie: secret\r\n\r\n", 405),
		answer("OPTIONS *", "OPTIONS * HTTP/1.1\r\n"+host+"\r\n", 204),
		answer("OPTIONS * with a body", "OPTIONS * HTTP/1.1\r\n"+host+"Content-Length: 5\r\n\r\nhello", 204),
	)
}

// connectionRows try to have fields removed, and to change the protocol.
func connectionRows() (rows []row) {
	for _, name := range []string{
		"Host", "Content-Length", "Transfer-Encoding", "Cookie", "Authorization", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host",
		"X-Request-ID", "Via", "Forwarded", "Content-Type", "Range", "If-None-Match", "Cache-Control", "Origin", "Referer", "Accept",
	} {
		rows = append(rows, refuse("Connection names "+name, post("Connection: close, "+name+"\r\nContent-Length: 5\r\n", "hello")))
	}
	for _, v := range []string{"close Host", "close;x", "\"close\"", "clo\x00se", "a/b", "close, (x)", "keep-alive, \x7f", "[close]", "cl\xc3\xb6se", "close:", "@"} {
		rows = append(rows, refuse(fmt.Sprintf("Connection: %q", v), fields("Connection: "+v+"\r\n")))
	}
	for _, v := range []string{"200-ok", "100-continue, x", "x, 100-continue", "100-continue;q=1", "100 continue", "", "100", "100-continue 100-continue", "\"100-continue\"", "100-continuex"} {
		rows = append(rows, refuse(fmt.Sprintf("Expect: %q", v), post("Expect: "+v+"\r\nContent-Length: 5\r\n", "hello"), 417))
	}
	h2c := "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"
	gone := "Upgrade,HTTP2-Settings,Connection"
	return append(rows,
		refuse("Expect twice", post("Expect: 100-continue\r\nExpect: x\r\nContent-Length: 5\r\n", "hello"), 417),
		row{name: "Upgrade: h2c", send: fields(h2c), want: []string{"GET /p"}, without: gone},
		row{name: "Upgrade: H2C", send: fields(strings.Replace(h2c, "h2c", "H2C", 1)), want: []string{"GET /p"}, without: gone},
		row{name: "Upgrade: websocket, h2c", send: fields(strings.Replace(h2c, "h2c", "websocket, h2c", 1)), want: []string{"GET /p"}, without: gone},
		row{name: "Upgrade twice", send: fields("Upgrade: websocket\r\n" + h2c), want: []string{"GET /p"}, without: "HTTP2-Settings"},
		row{name: "Upgrade: h2c with a body", send: post(h2c+"Content-Length: 5\r\n", "hello"), want: []string{"POST /p | hello"}, without: gone},
		row{name: "Upgrade: TLS/1.0", send: fields("Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n"), want: []string{"GET /p"}, without: gone},
		row{name: "Upgrade: HTTP/2.0", send: fields("Connection: Upgrade\r\nUpgrade: HTTP/2.0\r\n"), want: []string{"GET /p"}, without: gone},
		row{name: "Upgrade that Connection does not name", send: fields("Upgrade: websocket\r\n"), want: []string{"GET /p"}, without: gone},
		row{name: "websocket with a body", send: post("Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n", "hello"), want: []string{"POST /p | hello"}, without: gone},
		row{name: "hop-by-hop fields end here", send: fields("Connection: X-Hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: timeout=1\r\nProxy-Connection: close\r\nProxy-Authorization: Basic x\r\nTE: gzip\r\nTrailer: X\r\n"),
			want: []string{"GET /p"}, without: "X-Hop,Keep-Alive,Proxy-Connection,Proxy-Authorization,TE,Trailer,Connection"},
		row{name: "hop-by-hop fields on two lines", send: fields("Connection: x-HOP\r\nX-Other: 2\r\nConnection: x-other\r\nX-Hop: 1\r\n"), want: []string{"GET /p"}, without: "X-Hop,X-Other,Connection"},
		row{name: "what clients say of themselves", send: fields("X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: b.test\r\nForwarded: for=1.2.3.4\r\nX-Request-ID: mine\r\n"),
			want: []string{"GET /p"}, without: "Forwarded", with: "X-Forwarded-Proto: http,X-Forwarded-Host: a.test"},
	)
}
