package cgi

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/message"
)

var limits = Limits{Fields: 5, Head: 300}

func show(r *message.Response) string {
	s := fmt.Sprintf("%d %q body %d length %d", r.Status, r.Reason, r.Body, r.Length)
	for _, f := range r.Fields.List {
		s += fmt.Sprintf(" %s=%s", f.Name, f.Value)
	}
	return s
}

func TestParseResponse(t *testing.T) {
	for _, row := range []struct{ name, in, want string }{
		{"document", "Content-Type: text/plain\r\n\r\n", `200 "" body 3 length 0 Content-Type=text/plain`},
		{"line feeds", "Content-Type: text/plain\nX-A:b \n\n", `200 "" body 3 length 0 Content-Type=text/plain X-A=b`},
		{"mixed", "Content-Type: text/plain\r\nX-A: b\n\r\n", `200 "" body 3 length 0 Content-Type=text/plain X-A=b`},
		{"status", "Status: 404 Not Here\r\nContent-Type: a/b\r\n\r\n", `404 "Not Here" body 3 length 0 Content-Type=a/b`},
		{"status alone", "Status: 404\r\n\r\n", `404 "" body 3 length 0`},
		{"status without a reason", "Status: 404 \r\n\r\n", `404 "" body 3 length 0`},
		{"status in the middle, in any case", "A: b\r\nSTATUS: 500 Oh\r\nC: d\r\n\r\n", `500 "Oh" body 3 length 0 A=b C=d`},
		{"length", "Content-Length: 12\r\n\r\n", `200 "" body 1 length 12 Content-Length=12`},
		{"no length", "Content-Length: 0\r\n\r\n", `200 "" body 0 length 0 Content-Length=0`},
		{"redirect to elsewhere", "Location: https://a/b\r\n\r\n", `302 "" body 3 length 0 Location=https://a/b`},
		{"local redirect", "Location: /b?c\r\n\r\n", `302 "" body 3 length 0 Location=/b?c`},
		{"location of what was made", "Status: 201 Made\r\nLocation: /b\r\n\r\n", `201 "Made" body 3 length 0 Location=/b`},
		{"status line", "HTTP/1.1 201 Made it\r\nA: b\r\n\r\n", `201 "Made it" body 3 length 0 A=b`},
		{"old status line", "HTTP/1.0 201\r\nA: b\r\n\r\n", `201 "" body 3 length 0 A=b`},
		{"status line alone", "HTTP/1.1 201 Made\r\n\r\n", `201 "Made" body 3 length 0`},
		{"status line and status", "HTTP/1.1 404 Not Found\r\nStatus: 404 Not Found\r\n\r\n", `404 "Not Found" body 3 length 0`},
		{"no content", "Status: 204\r\nContent-Length: 5\r\n\r\n", `204 "" body 0 length 0`},
		{"not modified", "Status: 304\r\nContent-Length: 5\r\nETag: \"a\"\r\n\r\n", `304 "" body 0 length 0 Content-Length=5 ETag="a"`},
		{"HEAD", "Content-Length: 5\r\n\r\n", `200 "" body 0 length 0 Content-Length=5`},
		{"tab and empty", "A:\tb\tc\t\r\nD:\r\n\r\n", `200 "" body 3 length 0 A=b	c D=`},
		{"Latin", "A: caf\xe9\r\n\r\n", "200 \"\" body 3 length 0 A=caf\xe9"},

		{"nothing", "\r\n", "a head without a field"},
		{"text", "Warning\r\n\r\n", "field line without a colon"},
		{"page", "<html>\n\n", "field line without a colon"},
		{"PHP's complaint", "PHP Warning:  Oh in /a\r\n\r\n", "forbidden byte in a field name"},
		{"folded", "A: b\r\n c\r\n\r\n", "folded field line"},
		{"folded first", " A: b\r\n\r\n", "folded field line"},
		{"space before colon", "A : b\r\n\r\n", "forbidden byte in a field name"},
		{"empty name", ": b\r\n\r\n", "forbidden byte in a field name"},
		{"name of eight bits", "\xc3\xa9: b\r\n\r\n", "forbidden byte in a field name"},
		{"NUL", "A: b\x00c\r\n\r\n", "control character in a field value"},
		{"CR", "A: b\rC: d\r\n\r\n", "a CR without LF"},
		{"control", "A: b\x1b[1m\r\n\r\n", "control character in a field value"},
		{"two statuses", "Status: 200\r\nStatus: 404\r\n\r\n", "more than one Status"},
		{"short status", "Status: 20\r\n\r\n", "malformed Status"},
		{"long status", "Status: 2000\r\n\r\n", "malformed Status"},
		{"word for a status", "Status: OK\r\n\r\n", "malformed Status"},
		{"interim", "Status: 100 Continue\r\n\r\n", "status out of range"},
		{"switching", "HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", "status out of range"},
		{"status 600", "Status: 600\r\n\r\n", "status out of range"},
		{"HTTP/2", "HTTP/2.0 200 OK\r\n\r\n", "malformed status line"},
		{"status line that goes wrong", "HTTP/1.1 OK\r\n\r\n", "malformed status line"},
		{"late status line", "A: b\r\nHTTP/1.1 200 OK\r\n\r\n", "field line without a colon"},
		{"two lengths", "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", "more than one Content-Length"},
		{"length list", "Content-Length: 1, 1\r\n\r\n", "malformed Content-Length"},
		{"signed length", "Content-Length: +1\r\n\r\n", "malformed Content-Length"},
		{"length too long", "Content-Length: 9999999999999999999\r\n\r\n", "malformed Content-Length"},
		{"two types", "Content-Type: a/b\r\nContent-type: c/d\r\n\r\n", "more than one Content-Type"},
		{"two locations", "Location: /a\r\nLocation: /b\r\n\r\n", "more than one Location"},
		{"chunked", "Transfer-Encoding: chunked\r\n\r\n", "Transfer-Encoding in a response of a program"},
		{"too many", strings.Repeat("A: b\r\n", 6) + "\r\n", "too many fields"},
		{"too large", "A: " + strings.Repeat("b", 300) + "\r\n\r\n", "header section too large"},
		{"endless", strings.Repeat("b", 301), "header section too large"},
	} {
		t.Run(row.name, func(t *testing.T) {
			to := message.GET
			if row.name == "HEAD" {
				to = message.HEAD
			}
			in := []byte(row.in + "body: 1\n\n")
			if strings.HasPrefix(row.name, "endless") {
				in = []byte(row.in)
			}
			var r message.Response
			n, err := ParseResponse(in, to, &r, &limits)
			if err != nil {
				if err.Reason != row.want {
					t.Fatalf("got %q, want %q", err.Reason, row.want)
				}
				return
			}
			if got := show(&r); got != row.want || n != len(row.in) {
				t.Fatalf("got %s, %d bytes; want %s, %d bytes", got, n, row.want, len(row.in))
			}
			for i := range n {
				var part message.Response
				if m, err := ParseResponse(in[:i], to, &part, &limits); m != 0 || err != nil {
					t.Fatalf("the first %d bytes: %d, %v", i, m, err)
				}
			}
		})
	}
}

func TestParseDoesNotAllocate(t *testing.T) {
	in := []byte("Status: 404 Not Found\r\nX-Powered-By: PHP\r\nContent-type: text/html; charset=UTF-8\r\n\r\n")
	var r message.Response
	r.Fields.List = make([]message.Field, 0, 8)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := ParseResponse(in, message.GET, &r, &limits); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzParseResponse: what is taken has no line break or NUL in any value, and a head is taken at its end and nowhere before.
func FuzzParseResponse(f *testing.F) {
	f.Add([]byte("Status: 404 Not Found\r\nContent-Type: a/b\r\n\r\nbody"))
	f.Add([]byte("HTTP/1.1 200 OK\nA: b\n\n"))
	f.Add([]byte("Location: /a\r\rb\n\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var r message.Response
		n, err := ParseResponse(in, message.GET, &r, &limits)
		if err != nil || n == 0 {
			return
		}
		if n > limits.Head || len(r.Fields.List) > limits.Fields || r.Status < 200 || r.Status > 599 {
			t.Fatalf("%d bytes, %s", n, show(&r))
		}
		for _, l := range r.Fields.List {
			if bytes.ContainsAny(l.Value, "\r\n\x00") || bytes.ContainsAny(l.Name, "\r\n\x00: ") || len(l.Name) == 0 {
				t.Fatalf("%q: %q", l.Name, l.Value)
			}
		}
		if bytes.ContainsAny(r.Reason, "\r\n\x00") {
			t.Fatalf("reason %q", r.Reason)
		}
		for i := range n {
			var part message.Response
			if m, _ := ParseResponse(in[:i], message.GET, &part, &limits); m != 0 {
				t.Fatalf("the first %d bytes of %d are a head of %d", i, n, m)
			}
		}
	})
}
