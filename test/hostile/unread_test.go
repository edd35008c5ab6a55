package hostile

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/testkit"
)

const unreadSites = `
listen: {http: ["@ADDRESS@"]}
log: {access: {to: none}}
pools:
  early: {servers: ['%s']}
  buffered: {servers: ['%s'], buffer: true}
  down: {servers: ['%s']}
sites:
  - hosts: [a.test]
    routes:
      - {match: {path: /fixed}, respond: {status: 200, body: fixed}}
      - {match: {path: /to}, redirect: /fixed}
      - {match: {path: /file}, files: {root: "@DIR@"}}
      - {match: {path: /denied}, allow: {from: [10.0.0.0/8], else: 403}, pool: early}
      - {match: {path: /small}, body: 10B, pool: early}
      - {match: {path: /down}, pool: down}
      - {match: {path: /early}, pool: early}
      - {match: {path: /buffered}, pool: buffered}
      - {match: {path: /evil}, respond: {status: 418, body: evil}}
`

// earlyServer answers every request as soon as its head is there, and reads nothing of the body.
func earlyServer(t *testing.T) string {
	return testkit.Serve(t, "tcp", func(c net.Conn) {
		c.SetDeadline(time.Now().Add(patience)) //nolint:errcheck // a read then fails
		b, n := make([]byte, 8<<10), 0
		for n < len(b) && !strings.Contains(string(b[:n]), "\r\n\r\n") {
			m, err := c.Read(b[n:])
			if n += m; err != nil {
				return
			}
		}
		io.WriteString(c, "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 5\r\n\r\nearly") //nolint:errcheck // the client's side tells
		_, _ = io.Copy(io.Discard, c)
	})
}

// TestUnreadBodies: a body that nobody wants is never taken for a request, whoever answers before it is there.
func TestUnreadBodies(t *testing.T) {
	testkit.Leaks(t)
	w := testkit.Run(t, testkit.Setup{Config: fmt.Sprintf(unreadSites, earlyServer(t), earlyServer(t), testkit.DeadAddress(t)), Files: map[string]string{"file": "file"}})
	large := strings.Repeat(evil, 10000)
	for _, path := range []string{"/fixed", "/to", "/file", "/denied", "/small", "/down", "/early", "/buffered", "/none"} {
		for name, text := range map[string]string{
			"small":                 fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(evil), evil),
			"large":                 fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(large), large),
			"small, expecting":      fmt.Sprintf("Expect: 100-continue\r\nContent-Length: %d\r\n\r\n%s", len(evil), evil),
			"large, expecting":      fmt.Sprintf("Expect: 100-continue\r\nContent-Length: %d\r\n\r\n%s", len(large), large),
			"chunked":               fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(evil), evil),
			"chunked, large":        fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(large), large),
			"chunked, expecting":    fmt.Sprintf("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(evil), evil),
			"chunked, then garbage": "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n" + evil,
			"longer than it says":   "Content-Length: 3\r\nConnection: close\r\n\r\nabc" + evil,
		} {
			for _, method := range []string{"POST", "GET"} {
				for _, cut := range []bool{false, true} {
					head, body, _ := strings.Cut(method+" "+path+" HTTP/1.1\r\n"+host+text, "\r\n\r\n")
					if err := unread(w.Address, head+"\r\n\r\n", body, cut); err != nil {
						t.Errorf("%s %s, %s, cut %v: %v", method, path, name, cut, err)
					}
				}
			}
		}
	}
}

// unread sends a request and the canary behind it, at once or with the body apart from its head.
func unread(address, head, body string, cut bool) error {
	c, err := from("127.0.0.1", address)
	if err != nil {
		return err
	}
	defer c.Close()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		rest := head + body + canary
		if cut {
			io.WriteString(c, head) //nolint:errcheck // what comes back tells
			delivered(c)
			rest = body + canary
		}
		io.WriteString(c, rest) //nolint:errcheck // what comes back tells
	}()
	got, ok := ended(c, patience)
	c.Close()
	<-sent
	if !ok {
		return fmt.Errorf("the connection stays open after %s", short(got))
	}
	for n := 0; len(got) > 0; n++ {
		r, rest, err := parseResponse(got, "GET")
		if err != nil || n > 3 {
			return fmt.Errorf("answer %d: %v: %s", n, err, short(got))
		}
		if r.status == 418 {
			return fmt.Errorf("the body was answered: %s", short(got))
		}
		got = rest
	}
	return nil
}
