package http1

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/message"
)

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
