package edge

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/testkit"
)

const (
	get    = "GET / HTTP/1.1\nHost: a\n\n"
	gotGet = "GET / HTTP/1.1\nHost: a\n" + told + "X-Request-ID: ID\n\n"
)

// Responses of every framing, and what has no body whatever its fields say.
func TestResponses(t *testing.T) {
	const tail = "Via: 1.1 weir\nX-Request-ID: ID\n\n"
	for _, s := range []script{
		{
			name: "HEAD with a length", send: "HEAD / HTTP/1.1\nHost: a\n\n", gets: strings.Replace(gotGet, "GET", "HEAD", 1),
			answer: "HTTP/1.1 200 OK\nContent-Length: 1234\n\n",
			want:   "HTTP/1.1 200 OK\nDate: DATE\nContent-Length: 1234\n" + tail,
		},
		{
			name: "HEAD of something chunked", send: "HEAD / HTTP/1.1\nHost: a\n\n", gets: strings.Replace(gotGet, "GET", "HEAD", 1),
			answer: "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n",
			want:   "HTTP/1.1 200 OK\nDate: DATE\n" + tail,
		},
		{
			name: "204", send: get, gets: gotGet, answer: "HTTP/1.1 204 No Content\n\n",
			want: "HTTP/1.1 204 No Content\nDate: DATE\n" + tail,
		},
		{
			name: "204 with framing", send: get, gets: gotGet, answer: "HTTP/1.1 204 No Content\nContent-Length: 5\n\nhello<close>",
			want: "HTTP/1.1 204 No Content\nDate: DATE\n" + tail,
		},
		{
			name: "304 keeps the length that a 200 would have", send: get, gets: gotGet,
			answer: "HTTP/1.1 304 Not Modified\nETag: \"1\"\nContent-Length: 77\n\n",
			want:   "HTTP/1.1 304 Not Modified\nETag: \"1\"\nDate: DATE\nContent-Length: 77\n" + tail,
		},
		{
			name: "205 has no content", send: get, gets: gotGet, answer: "HTTP/1.1 205 Reset Content\nContent-Length: 0\n\n",
			want: "HTTP/1.1 205 Reset Content\nDate: DATE\nContent-Length: 0\n" + tail,
		},
		{
			name: "no reason phrase", send: get, gets: gotGet, answer: "HTTP/1.1 200\nContent-Length: 2\n\nhi", want: gotOK,
		},
		{
			name: "103 is passed on, 102 too", send: get, gets: gotGet,
			answer: "HTTP/1.1 103 Early Hints\nLink: </a.css>\nConnection: X-Hop\nX-Hop: 1\n\nHTTP/1.1 102 Processing\n\n" + ok,
			want:   "HTTP/1.1 103 Early Hints\nLink: </a.css>\n\nHTTP/1.1 102 Processing\n\n" + gotOK,
		},
		{
			name: "but not to HTTP/1.0", send: "GET / HTTP/1.0\nHost: a\n\n", gets: strings.Replace(gotGet, "Via: 1.1", "Via: 1.0", 1),
			answer: "HTTP/1.1 103 Early Hints\nLink: </a.css>\n\n" + ok, want: closedOK, closes: true,
		},
		{
			name: "100 that nobody asked for ends here", send: get, gets: gotGet, answer: "HTTP/1.1 100 Continue\n\n" + ok, want: gotOK,
		},
		{
			name: "whole chunked body gets a length", send: get, gets: gotGet,
			answer: "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n1;ext=\"a;b\"\nh\n01\ni\n0\n\n",
			want:   gotOK,
		},
		{
			name: "trailers for those who want them", send: "GET / HTTP/1.1\nHost: a\nTE: trailers\nConnection: TE\n\n",
			gets:   strings.Replace(gotGet, "X-Req", "Connection: TE\nTE: trailers\nX-Req", 1),
			answer: "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nTrailer: X-Sum\n\n2\nhi\n0\nX-Sum: 7\nContent-Length: 3\n\n",
			want:   "HTTP/1.1 200 OK\nDate: DATE\nTransfer-Encoding: chunked\n" + tail + "2\nhi\n0\nX-Sum: 7\n\n",
		},
		{
			name: "and for nobody else", send: get, gets: gotGet,
			answer: "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nTrailer: X-Sum\n\n2\nhi\n0\nX-Sum: 7\n\n",
			want:   "HTTP/1.1 200 OK\nDate: DATE\nTransfer-Encoding: chunked\n" + tail + "2\nhi\n0\n\n",
		},
		{
			name: "chunked for HTTP/1.0", send: "GET / HTTP/1.0\nHost: a\n\n", gets: strings.Replace(gotGet, "Via: 1.1", "Via: 1.0", 1),
			answer: "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nhi\n0\n\n", want: closedOK, closes: true,
		},
		{
			name: "until the close for HTTP/1.0, which hears it in the same way", send: "GET / HTTP/1.0\nHost: a\nConnection: keep-alive\n\n",
			gets:   strings.Replace(gotGet, "Via: 1.1", "Via: 1.0", 1),
			answer: "HTTP/1.1 200 OK\n\nhi<close>", want: "HTTP/1.1 200 OK\nDate: DATE\n" + "Via: 1.1 weir\nX-Request-ID: ID\nConnection: close\n\nhi", closes: true,
		},
	} {
		for _, b := range []struct{ name, more string }{{"streaming", ""}, {"buffering", bothBuffers}} {
			t.Run(s.name+"/"+b.name, func(t *testing.T) {
				eachBody(t, func(t *testing.T, body loop.Config) { s.play(t, body, b.more) })
			})
		}
	}
}

// What is no response gets the client a 502, and the server's connection is not used again.
func TestBadResponses(t *testing.T) {
	for name, answer := range map[string]string{
		"garbage":                  "hello\n\n",
		"another version":          "HTTP/2.0 200 OK\n\n",
		"status out of range":      "HTTP/1.1 999 No\nContent-Length: 0\n\n",
		"two lengths":              "HTTP/1.1 200 OK\nContent-Length: 2\nContent-Length: 3\n\nhi",
		"length and coding":        "HTTP/1.1 200 OK\nContent-Length: 2\nTransfer-Encoding: chunked\n\n0\n\n",
		"unknown coding":           "HTTP/1.1 200 OK\nTransfer-Encoding: gzip\n\nxx",
		"folded field":             "HTTP/1.1 200 OK\nX-A: 1\n 2\nContent-Length: 2\n\nhi",
		"space before the colon":   "HTTP/1.1 200 OK\nX-A : 1\nContent-Length: 2\n\nhi",
		"chunks that are none":     "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\nxyz\nhi\n0\n\n",
		"101 that nobody asked":    "HTTP/1.1 101 Switching Protocols\nConnection: upgrade\nUpgrade: websocket\n\n",
		"head without an end":      "HTTP/1.1 200 OK\nX: " + strings.Repeat("x", 70<<10) + "\n\n",
		"too many 1xx":             strings.Repeat("HTTP/1.1 100 Continue\n\n", 40) + ok,
		"a head cut in the middle": "HTTP/1.1 200 OK\nContent-Le<close>",
		"a close without a word":   "<close>",
		"a reset without a word":   "<reset>",
	} {
		t.Run(name, func(t *testing.T) {
			o := answers(t, "tcp", answer)
			r := serveEdge(t, fibers, onePool("", o.Address))
			c := testkit.Dial(t, r.addr)
			for range 2 {
				c.Send(wire("POST / HTTP/1.1\nHost: a\nContent-Length: 2\nAccept: application/json\n\nhi"))
				m := c.Response("POST")
				if m.Status != 502 || !strings.Contains(m.Body, `"status":502`) {
					t.Fatalf("got %s\n%s", m.Start, m.Body)
				}
			}
			if n := o.Connections(); n != 2 {
				t.Errorf("%d connections for two bad answers", n)
			}
		})
	}
}

// A body that is known to be no good before the client saw anything of the answer is a 502 too, not a connection that
// closes without a word, however the body is passed on.
func TestBadBodies(t *testing.T) {
	for name, answer := range map[string]string{
		"trailers too large": "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n0\nX: " + strings.Repeat("x", 70<<10) + "\n\n",
		"a long extension":   "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5;" + strings.Repeat("x", 10<<10) + "\nhello\n0\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			eachBody(t, func(t *testing.T, body loop.Config) {
				o := answers(t, "tcp", answer)
				r := serveEdge(t, body, onePool(bothBuffers, o.Address))
				c := testkit.Dial(t, r.addr)
				for range 5 {
					c.Send(wire("POST / HTTP/1.1\nHost: a\nContent-Length: 2\n\nhi"))
					m, err := c.TryResponse("POST")
					if m != nil && m.Status == 200 && err != nil { // the head had gone out already
						c = testkit.Dial(t, r.addr)
						continue
					}
					if err != nil || m.Status != 502 {
						t.Fatalf("got %+v, %v", m, err)
					}
				}
				wantNothingHeld(t, r)
			})
		})
	}
}

// Heads of servers may be larger than the buffer that they are first read into.
func TestLargeHeadsOfServers(t *testing.T) {
	eachPool(t, func(t *testing.T, body loop.Config, more string) {
		const rest = "HTTP/1.1 200 OK\nContent-Length: 2\nX-A: \nX-End: end\n\nhi"
		for _, size := range []int{loop.BufferSize - 1, loop.BufferSize, loop.BufferSize + 1, 20000, 60000} {
			value := strings.Repeat("a", size-len(wire(rest)))
			o := answers(t, "tcp", strings.Replace(rest, "X-A: ", "X-A: "+value, 1))
			r := serveEdge(t, body, onePool(more, o.Address))
			c := testkit.Dial(t, r.addr)
			c.Send(wire(get))
			if m := c.Response("GET"); m.Status != 200 || m.Body != "hi" || m.Field("X-A") != value || m.Field("X-End") != "end" {
				t.Errorf("%d bytes: %s with %d bytes in X-A", size, m.Start, len(m.Field("X-A")))
			}
		}
	})
}

// A response that breaks off must not look whole to the client, however its end was to be found.
func TestCutResponses(t *testing.T) {
	big := strings.Repeat("x", 400<<10)                              // more than is held back
	const getOnce = "GET / HTTP/1.1\nHost: a\nConnection: close\n\n" // a 502 must end, too
	for _, row := range []struct{ name, send, answer, reset string }{
		{"by length", getOnce, "HTTP/1.1 200 OK\nContent-Length: 600000\n\n" + big + "<close>", ""},
		{"by length, reset", getOnce, "HTTP/1.1 200 OK\nContent-Length: 600000\n\n" + big + "<reset>", ""},
		{"chunked", getOnce, "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5\nhello\n<close>", ""},
		{"chunked, within a chunk", getOnce, "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5\nhel<close>", ""},
		{"chunked, before the last line", getOnce, "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5\nhello\n0\n<close>", ""},
		{"chunked, then garbage", getOnce, "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5\nhello\n" + "80000\n" + strings.Repeat("y", 0x80000) + "x\n\n", ""},
		{"chunked to HTTP/1.0", "GET / HTTP/1.0\nHost: a\n\n", "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5\nhello\n<close>", ""},
		{"until a close that is a reset", getOnce, "HTTP/1.1 200 OK\n\nhello<reset>", "hello"},
		{"until a reset, to HTTP/1.0", "GET / HTTP/1.0\nHost: a\n\n", "HTTP/1.1 200 OK\n\nhello<reset>", "hello"},
	} {
		for _, b := range []struct{ name, more string }{{"streaming", ""}, {"buffering", bothBuffers}} {
			t.Run(row.name+"/"+b.name, func(t *testing.T) {
				eachBody(t, func(t *testing.T, body loop.Config) {
					o := testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
						for c.More() {
							c.Request()
							text, closes := strings.CutSuffix(row.answer, "<close>")
							text, resets := strings.CutSuffix(text, "<reset>")
							if c.TrySend(wire(text)) != nil {
								return
							}
							if resets {
								if row.reset != "" {
									c.Wait("seen") // a reset overtakes what was sent before it
								}
								c.Reset()
								return
							}
							if closes {
								return
							}
						}
					})
					r := serveEdge(t, body, onePool(b.more, o.Address))
					c := testkit.Dial(t, r.addr)
					c.Send(wire(row.send))
					if row.reset != "" {
						c.Match(row.reset)
						o.Open("seen")
					}
					rest, err := io.ReadAll(c.Raw())
					if whole(c.Got(), err) {
						t.Errorf("the client takes this for a whole response: %q, %v", c.Got()[len(c.Got())-min(len(rest), 50):], err)
					}
				})
			})
		}
	}
}

// whole reports whether a client takes what it got, and the error in which that ended, for a whole good response.
func whole(got string, err error) bool {
	head, body, ok := strings.Cut(got, "\r\n\r\n")
	switch {
	case !ok || !strings.HasPrefix(head, "HTTP/1.1 200 "):
		return false
	case strings.Contains(head, "Transfer-Encoding: chunked"):
		return strings.HasSuffix(body, "0\r\n\r\n")
	case strings.Contains(head, "Content-Length: 600000"):
		return len(body) >= 600000
	}
	return err == nil
}

// What a server sends behind its response belongs to nobody.
func TestExtraBytesAfterAResponse(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		for _, answer := range []string{
			ok + ok,
			"HTTP/1.1 204 No Content\n\nbody",
			"HTTP/1.1 304 Not Modified\nContent-Length: 2\n\nhi",
			"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nhi\n0\n\nHTTP/1.1 200 OK\nContent-Length: 4\n\nevil",
		} {
			o := answers(t, "tcp", answer)
			r := serveEdge(t, body, onePool("", o.Address))
			c := testkit.Dial(t, r.addr)
			for range 3 {
				c.Send(wire(get))
				if m := c.Response("GET"); m.Body != "hi" && m.Body != "" {
					t.Fatalf("got %q", m.Body)
				}
			}
			c.Silent(5 * time.Millisecond)
			if n := o.Connections(); n != 3 {
				t.Errorf("%d connections for three answers with something behind them", n)
			}
		}
	})
}
