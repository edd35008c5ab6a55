package hostile

import (
	"fmt"
	"strings"
)

// formRows are targets in forms that some resolve in another way.
func formRows() (rows []row) {
	for _, target := range []string{
		"http://b.test/p", "http://a.test:81/p", "https://a.test:80/p", "http://u@a.test/p", "http://u:p@a.test/p", "http://a.test@b.test/p", "http://a.test\\@b.test/p",
		"http:///p", "http://", "http:/p", "http:p", "http:/a.test/p", "http:\\\\a.test/p", "http://a.test:x/p", "http://a.test:99999/p", "http://%61.test/p", "http://a.test#/p",
		"ftp://a.test/p", "file:///etc/passwd", "gopher://a.test/p", "ws://a.test/p", "javascript:alert(1)", "data:text/html,x", "://a.test/p", "//", "p", "p/q", "./p", "../p", "?p", "#p",
		"\\p", "%2fp", ";/p", "@b.test/p", ":80/p", "a.test", "a.test:80", "a.test/p", "*", "**", "*/p", "*?p", "/p#f", "/p?q#f", "/#", "http://a.test/p#f", "http://[::1/p", "http://[]/p", "http://.a.test/p",
		"http://a.test /p", "http://a.test,b.test/p", "http://*/p",
	} {
		if target == "//" {
			continue // that is a path
		}
		rows = append(rows, refuse(fmt.Sprintf("target %q", target), get(target)))
	}
	return append(rows,
		pass("absolute form", get("http://a.test/p"), "GET /p"),
		pass("absolute form with a port", "GET http://a.test:80/p HTTP/1.1\r\nHost: a.test:80\r\n\r\n", "GET /p"),
		pass("absolute form, upper case", get("HTTP://A.TEST/p?q"), "GET /p?q"),
		pass("absolute form without a path", get("http://a.test"), "GET /"),
		pass("absolute form with a query only", get("http://a.test?q"), "GET /?q"),
		pass("an URL in the path", get("/http://b.test/p"), "GET /http:/b.test/p"),
		pass("an URL in the query", get("/p?u=http://b.test/../x"), "GET /p?u=http://b.test/../x"),
		pass("two slashes are no host", get("//b.test/p"), "GET /b.test/p"),
		pass("only two slashes", get("//"), "GET /"),
	)
}

// pathRows are paths that are resolved in more than one way.
func pathRows() (rows []row) {
	// What cannot be meant well.
	for _, p := range []string{
		"/..", "/../", "/../p", "/p/../..", "/p/../../etc/passwd", "/./../p", "//../p", "/%2e%2e/p", "/%2E%2E/p", "/.%2e/p", "/%2e./p", "/p/%2e%2e/%2e%2e/q",
		"/%", "/%2", "/%zz", "/%g0", "/%0", "/p%", "/p%%41", "/%u002e", "/%u2215p", "/%-1", "/% 41", "/%+41", "/%0x41", "/p%\xff",
		"/p<q", "/p>q", "/p\"q", "/p`q", "/p\x00q", "/p\x01q", "/p\x7fq", "/p\xc3\xa9", "/p\xff", "/\xc0\xae\xc0\xae/p", "/p?q\x00", "/p?q\xc3\xa9", "/p\tq", "/p q", "/p?q r", "/p\x0bq", "/p\x85q",
	} {
		rows = append(rows, refuse(fmt.Sprintf("path %q", p), get(p)))
	}
	// What the route has to allow: encoded slashes and NULs, backslashes, control characters, over-long UTF-8.
	for _, p := range []string{
		"/p%2fq", "/p%2Fq", "/%2f", "/p%2f..%2fq", "/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "/p%2f%2e%2e/q", "/..%2fp", "/p%00", "/p%00.html", "/%00/p", "/p\\q", "/..\\p", "/p\\..\\q", "/p%5cq", "/p%5Cq", "/..%5cp",
		"/p%0d%0aX:y", "/p%0a", "/p%0dq", "/p%01", "/p%1b[2J", "/p%7f", "/p%09", "/%c0%af", "/%c0%ae%c0%ae/p", "/%e0%80%af", "/%c1%9c", "/%c0%80", "/p%c0%afq", "/%e0%80%ae/p", "/%f0%80%80%af", "/%f8%80%80%80%af", "/%f0%80%80%ae%f0%80%80%ae/p",
		"/..;/p", "/p/..;/q", "/p/..;a=b/q", "/p/.;/q", "/..;x", "/p/%2e%2e;/q", "/p/..%3b/q", "/p/..%3B/q",
	} {
		rows = append(rows, refuse(fmt.Sprintf("path %q", p), get(p)))
	}
	for in, want := range map[string]string{
		"/p/./q": "/p/q", "/p/../q": "/q", "/p/q/..": "/p/", "/p/.": "/p/", "/p//q": "/p/q", "/p///": "/p/", "/%70": "/p", "/%7Ep": "/~p", "/p/%2e%2e/q": "/q", "/p/%2e/q": "/p/q", "/p%2e%2e/q": "/p../q",
		"/a%c3%a9": "/a%C3%A9", "/a%20b": "/a%20b", "/%252e%252e/p": "/%252e%252e/p", "/%252f": "/%252f", "/p%2500": "/p%2500", "/p;a=b": "/p;a=b", "/p;/q": "/p;/q", "/...": "/...", "/.p": "/.p", "/p.": "/p.",
		"/p?a/../b": "/p?a/../b", "/p?a=%2f%00\\": "/p?a=%2f%00\\", "/p?%zz": "/p?%zz", "/p??": "/p??", "/p?": "/p?", "/p/../q?r": "/q?r", "/a:b@c": "/a:b@c", "/(a)!*'": "/(a)!*'", "/a+b,c": "/a+b,c", "/[a]{b}|^": "/[a]{b}|^",
	} {
		rows = append(rows, pass(fmt.Sprintf("normal form of %q", in), get(in), "GET "+want))
	}
	return rows
}

// sequenceRows are several requests in one go.
func sequenceRows() []row {
	good := get("/1")
	return []row{
		pass("two requests", good+get("/2"), "GET /1", "GET /2"),
		pass("ten requests", strings.Repeat(good, 10), strings.Split(strings.Repeat("GET /1;", 9)+"GET /1", ";")...),
		pass("a body that looks like a request", post(fmt.Sprintf("Content-Length: %d\r\n", len(evil)), evil), "POST /p | "+evil),
		pass("chunks that look like a request", chunked(fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(evil), evil)), "POST /p | "+evil),
		pass("a GET with a body that looks like a request", fields(fmt.Sprintf("Content-Length: %d\r\n", len(evil)))+evil, "GET /p | "+evil),
		pass("a DELETE with such a body", "DELETE /p HTTP/1.1\r\n"+host+fmt.Sprintf("Content-Length: %d\r\n\r\n", len(evil))+evil, "DELETE /p | "+evil),
		pass("a HEAD with such chunks", "HEAD /p HTTP/1.1\r\n"+host+"Transfer-Encoding: chunked\r\n\r\n"+fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(evil), evil), "HEAD /p | "+evil),
		pass("an OPTIONS with such a body", "OPTIONS /p HTTP/1.1\r\n"+host+fmt.Sprintf("Content-Length: %d\r\n\r\n", len(evil))+evil, "OPTIONS /p | "+evil),
		pass("an unknown method with such a body", "BREW /p HTTP/1.1\r\n"+host+fmt.Sprintf("Content-Length: %d\r\n\r\n", len(evil))+evil, "BREW /p | "+evil),
		pass("bodies of all kinds in a row", post("Content-Length: 5\r\n", "hello")+chunked("3\r\nabc\r\n0\r\n\r\n")+fields("")+post("Content-Length: 0\r\n", ""),
			"POST /p | hello", "POST /p | abc", "GET /p", "POST /p"),
		pass("a body, then an empty line", post("Content-Length: 5\r\n", "hello")+"\r\n"+get("/2"), "POST /p | hello", "GET /2"),
		{name: "a good one, then a bad one", send: good + "GET /p HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n" + evil, want: []string{"GET /1"}, status: []int{400}},
		{name: "a good one, then both framings", send: good + post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+evil), want: []string{"GET /1"}, status: []int{400}},
		{name: "a body, then garbage", send: post("Content-Length: 5\r\n", "hello") + "garbage\r\n\r\n", want: []string{"POST /p | hello"}, status: []int{400}},
		{name: "a body longer than said", send: post("Content-Length: 3\r\n", "hello\r\n\r\n"), want: []string{"POST /p | hel"}, status: []int{400}},
		{name: "the last chunk, then garbage", send: chunked("0\r\n\r\nX") + "\r\n\r\n", want: []string{"POST /p"}, status: []int{400}},
		{name: "a good one that closes", send: "GET /1 HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n" + evil, want: []string{"GET /1"}, last: true},
		{name: "HTTP/1.0 closes", send: "GET /1 HTTP/1.0\r\n" + host + "\r\n" + evil, want: []string{"GET /1"}, last: true},
		{name: "both wishes are a close", send: "GET /1 HTTP/1.1\r\n" + host + "Connection: keep-alive, close\r\n\r\n" + evil, want: []string{"GET /1"}, last: true},
	}
}

// limitRows are too large.
func limitRows() []row {
	x := strings.Repeat
	return []row{
		refuse("a long target", get("/"+x("a", 20000)), 414),
		refuse("a long query", get("/?"+x("a", 20000)), 414),
		refuse("a target without an end", "GET /"+x("a", 70000), 414),
		refuse("a long value", fields("X: "+x("a", 70000)+"\r\n"), 431),
		refuse("a long name", fields(x("a", 70000)+": y\r\n"), 431),
		refuse("many fields", fields(x("X: y\r\n", 2000)), 431),
		refuse("many empty fields", fields(x("X:\r\n", 5000)), 431),
		refuse("a long cookie", fields("Cookie: "+x("a=b; ", 20000)+"\r\n"), 431),
		refuse("a length over the limit", post("Content-Length: 9000000000\r\n", evil), 413),
		pass("a long target within the limit", get("/"+x("a", 8000)), "GET /"+x("a", 8000)),
		pass("ninety fields", fields(x("X: y\r\n", 90)), "GET /p"),
		pass("a large cookie", fields("Cookie: "+x("a=b; ", 1600)+"\r\n"), "GET /p"),
	}
}
