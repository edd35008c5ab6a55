package http1

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/message"
)

type responseRow struct {
	section string
	to      message.Method
	in      string
	want    string
}

func ok(lines string) string { return "HTTP/1.1 200 OK\r\n" + lines + "\r\n" }

var responseRows = []responseRow{
	{"4", message.GET, ok("Content-Length: 5\r\n"), "200 OK length=5"},
	{"4", message.GET, "HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\n", "200  length=5"},
	{"4", message.GET, "HTTP/1.1 200\r\nContent-Length: 5\r\n\r\n", "200  length=5"},
	{"4", message.GET, "HTTP/1.1 404 Not  Found\t\x80!\r\nContent-Length: 5\r\n\r\n", "404 Not  Found\t\x80! length=5"},
	{"4", message.GET, "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", "200 OK 1.0 length=5 close"},
	{"4", message.GET, "HTTP/1.2 200 OK\r\nContent-Length: 5\r\n\r\n", "200 OK length=5"},
	{"4", message.GET, "HTTP/1.1 599 Odd\r\nContent-Length: 5\r\n\r\n", "599 Odd length=5"},
	{"4", message.GET, "HTTP/1.1 600 Odd\r\n\r\n", "502 status out of range"},
	{"4", message.GET, "HTTP/1.1 999 Odd\r\n\r\n", "502 status out of range"},
	{"4", message.GET, "HTTP/1.1 099 Odd\r\n\r\n", "502 status out of range"},
	{"4", message.GET, "HTTP/1.1 000 Odd\r\n\r\n", "502 status out of range"},
	{"4", message.GET, "HTTP/1.1 20 OK\r\n\r\n", "502 malformed status line"},
	{"4", message.GET, "HTTP/1.1 2000 OK\r\n\r\n", "502 malformed status line"},
	{"4", message.GET, "HTTP/1.1 2x0 OK\r\n\r\n", "502 malformed status line"},
	{"4", message.GET, "HTTP/1.1 -20 OK\r\n\r\n", "502 malformed status line"},
	{"4", message.GET, "HTTP/1.1  200 OK\r\n\r\n", "502 malformed status line"},
	{"4", message.GET, "HTTP/1.1\t200 OK\r\n\r\n", "502 malformed status line"},
	{"4", message.GET, "HTTP/1.1 200\tOK\r\n\r\n", "502 malformed status line"},
	{"4", message.GET, "HTTP/1.1 OK\r\n\r\n", "502 malformed status line"},
	{"4", message.GET, "HTTP/1.1\r\n\r\n", "502 malformed status line"},
	{"4", message.GET, "HTTP/1.10 200 OK\r\n\r\n", "502 malformed status line"},
	{"4", message.GET, "HTTP/2.0 200 OK\r\n\r\n", "502 HTTP version not supported"},
	{"4", message.GET, "HTTP/2 200 OK\r\n\r\n", "502 malformed HTTP version"},
	{"4", message.GET, "http/1.1 200 OK\r\n\r\n", "502 malformed HTTP version"},
	{"4", message.GET, "ICY 200 OK\r\n\r\n", "502 malformed HTTP version"},
	{"4", message.GET, "<html>", "502 malformed HTTP version"},
	{"4", message.GET, "\r\nHTTP/1.1 200 OK\r\n\r\n", "502 malformed HTTP version"},
	{"4", message.GET, " HTTP/1.1 200 OK\r\n\r\n", "502 malformed HTTP version"},
	{"4", message.GET, "HTTP/1.1 200 O\x00K\r\n\r\n", "502 control character in the reason phrase"},
	{"4", message.GET, "HTTP/1.1 200 O\x1bK\r\n\r\n", "502 control character in the reason phrase"},
	{"2.2", message.GET, "HTTP/1.1 200 O\rK\r\n\r\n", "502 a CR without LF"},
	{"2.2", message.GET, "HTTP/1.1 200 OK\nA: b\n\n", "502 a line ends without CR"},
	{"2.2", message.GET, "HTTP/1.1 200\n\n", "502 a line ends without CR"},
	{"2.2", message.GET, "HTTP/1.1\n\n", "502 a line ends without CR"},
	{"2.2", message.GET, ok("A: b\n"), "502 a line ends without CR"},
	{"2.2", message.GET, ok("A: b\rC: d\r\n"), "502 a CR without LF"},
	{"5.1", message.GET, ok("A : b\r\n"), "502 white space between a field name and its colon"},
	{"5.2", message.GET, ok("A: b\r\n c\r\n"), "502 folded field line"},
	{"5", message.GET, ok("A\r\n"), "502 field line without a colon"},
	{"5", message.GET, ok("A: b\x00\r\n"), "502 control character in a field value"},
	{"5", message.GET, ok("A(: b\r\n"), "502 forbidden byte in a field name"},
	{"5", message.GET, ok("X_Forwarded_For: b\r\nContent-Length: 0\r\n"), "200 OK"},

	// Framing.
	{"6.3", message.GET, ok(""), "200 OK until-close close"},
	{"6.3", message.GET, ok("Content-Length: 0\r\n"), "200 OK"},
	{"6.3", message.GET, ok("Transfer-Encoding: Chunked\r\n"), "200 OK chunked"},
	{"6.3", message.GET, ok("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), "502 both Transfer-Encoding and Content-Length"},
	{"6.3", message.HEAD, ok("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), "502 both Transfer-Encoding and Content-Length"},
	{"6.3", message.GET, "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "502 Transfer-Encoding in HTTP/1.0"},
	{"6.3", message.GET, ok("Transfer-Encoding: gzip, chunked\r\n"), "502 transfer coding not supported"},
	{"6.3", message.GET, ok("Transfer-Encoding: identity\r\n"), "502 malformed Transfer-Encoding"},
	{"6.3", message.GET, ok("Transfer-Encoding: chunked, chunked\r\n"), "502 malformed Transfer-Encoding"},
	{"6.3", message.GET, ok("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), "502 more than one Transfer-Encoding"},
	{"6.3", message.GET, ok("Content-Length: 5\r\nContent-Length: 6\r\n"), "502 more than one Content-Length"},
	{"6.3", message.GET, ok("Content-Length: 5\r\nContent-Length: 5\r\n"), "502 more than one Content-Length"},
	{"6.3", message.GET, ok("Content-Length: 5, 5\r\n"), "502 malformed Content-Length"},
	{"6.3", message.GET, ok("Content-Length: -5\r\n"), "502 malformed Content-Length"},
	{"6.3", message.GET, ok("Content-Length:\r\n"), "502 malformed Content-Length"},
	{"6.3", message.GET, ok("Content-Length: 99999999999999999999\r\n"), "502 Content-Length too large"},
	{"6.3", message.HEAD, ok("Content-Length: 5\r\n"), "200 OK"},
	{"6.3", message.HEAD, ok("Transfer-Encoding: chunked\r\n"), "200 OK"},
	{"6.3", message.HEAD, ok(""), "200 OK"},
	{"6.3", message.HEAD, ok("Content-Length: x\r\n"), "502 malformed Content-Length"},
	{"6.3", message.GET, "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "304 Not Modified"},
	{"6.3", message.GET, "HTTP/1.1 304 Not Modified\r\n\r\n", "304 Not Modified"},
	{"6.3", message.GET, "HTTP/1.1 204 No Content\r\n\r\n", "204 No Content"},
	{"6.3", message.GET, "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", "204 No Content"},
	{"6.3", message.GET, "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", "204 No Content close"},
	{"6.3", message.GET, "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", "204 No Content close"},
	{"6.3", message.GET, "HTTP/1.1 100 Continue\r\n\r\n", "100 Continue"},
	{"6.3", message.GET, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", "103 Early Hints"},
	{"6.3", message.GET, "HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n", "100 Continue close"},
	{"6.3", message.GET, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", "101 Switching Protocols"},
	{"6.3", message.GET, "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n", "205 Reset Content"},

	// Connection.
	{"9.3", message.GET, ok("Connection: close\r\nContent-Length: 5\r\n"), "200 OK length=5 close"},
	{"9.3", message.GET, ok("Connection: Keep-Alive, CLOSE\r\nContent-Length: 5\r\n"), "200 OK length=5 close"},
	{"9.3", message.GET, "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\n", "200 OK 1.0 length=5"},
	{"9.3", message.GET, "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", "200 OK 1.0 until-close close"},
	{"9.3", message.GET, ok("Connection: a b\r\nContent-Length: 5\r\n"), "502 malformed Connection"},
	{"9.3", message.GET, ok("Connection: Set-Cookie\r\nContent-Length: 5\r\n"), "200 OK length=5"},

	// Limits.
	{"limits", message.GET, "HTTP/1.1 200 " + strings.Repeat("x", 100_000), "502 header section too large"},
	{"limits", message.GET, ok("A: " + strings.Repeat("x", 100_000)), "502 header section too large"},
	{"limits", message.GET, ok(strings.Repeat("A: b\r\n", 101)), "502 too many fields"},
}

func describeResponse(r *message.Response) string {
	s := fmt.Sprintf("%d %s", r.Status, r.Reason)
	if r.Minor == 0 {
		s += " 1.0"
	}
	switch r.Body {
	case message.ByLength:
		s += fmt.Sprintf(" length=%d", r.Length)
	case message.Chunked:
		s += " chunked"
	case message.UntilClose:
		s += " until-close"
	}
	if !r.KeepAlive {
		s += " close"
	}
	return s
}

func parseResponseText(t testing.TB, in string, to message.Method) (n int, got string) {
	var resp message.Response
	b := []byte(in)
	n, err := ParseResponse(b, to, &resp, testLimits)
	if string(b) != in {
		t.Fatalf("%q was rewritten", in)
	}
	switch {
	case err != nil:
		if n != 0 || err.Status != 502 {
			t.Fatalf("%q: n = %d with %v", in, n, *err)
		}
		return 0, fmt.Sprintf("%d %s", err.Status, err.Reason)
	case n == 0:
		return 0, "more"
	}
	return n, describeResponse(&resp)
}

func TestResponses(t *testing.T) {
	for _, r := range responseRows {
		if n, got := parseResponseText(t, r.in, r.to); got != r.want || n != 0 && n != len(r.in) {
			t.Errorf("%s: %.200q\n got %q (%d)\nwant %q", r.section, r.in, got, n, r.want)
		}
	}
}

func TestResponsesCutAnywhere(t *testing.T) {
	for _, r := range responseRows {
		if len(r.in) > 2000 {
			continue
		}
		decided := false
		for i := range len(r.in) + 1 {
			_, got := parseResponseText(t, r.in[:i], r.to)
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
	}
}

// RFC 9110, section 8.6: what must not be in these responses is not passed on.
func TestBodilessResponseLosesItsFraming(t *testing.T) {
	for _, status := range []string{"204 No Content", "103 Early Hints"} {
		var resp message.Response
		_, err := ParseResponse([]byte("HTTP/1.1 "+status+"\r\nContent-Length: 5\r\nX: y\r\n\r\n"), message.GET, &resp, testLimits)
		if err != nil || resp.Fields.Has(message.ContentLength) || len(resp.Fields.List) != 1 {
			t.Errorf("%s: %v %v", status, err, resp.Fields.List)
		}
	}
}

func TestStatusText(t *testing.T) {
	for status, want := range map[int]string{
		100: "Continue", 200: "OK", 404: "Not Found", 431: "Request Header Fields Too Large", 511: "Network Authentication Required",
		99: "", 0: "", -1: "", 299: "", 599: "", 600: "", 1000: "",
	} {
		if got := StatusText(status); got != want {
			t.Errorf("StatusText(%d) = %q, want %q", status, got, want)
		}
	}
	if got := string(AppendStatusLine(nil, 404)); got != "HTTP/1.1 404 Not Found\r\n" {
		t.Errorf("%q", got)
	}
	if got := string(AppendStatusLine(nil, 299)); got != "HTTP/1.1 299 \r\n" {
		t.Errorf("%q", got)
	}
}

// Every reason is there, told once, and fit for a log line; the same words stand on both sides.
func TestReasons(t *testing.T) {
	seen := map[string]bool{}
	for f := more + 1; f < numFaults; f++ {
		e := f.ofRequest()
		switch e.Status {
		case 400, 413, 414, 417, 431, 501, 505:
		default:
			t.Errorf("fault %d: status %d", f, e.Status)
		}
		if e.Reason == "" || seen[e.Reason] {
			t.Errorf("fault %d: reason %q", f, e.Reason)
		}
		seen[e.Reason] = true
		if r := f.ofResponse(); r.Status != 502 || r.Reason != e.Reason {
			t.Errorf("fault %d: response %v", f, *r)
		}
	}
}
