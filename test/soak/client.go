package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"
)

// client makes requests over kept connections, as browsers do, but repeats nothing except what is said in get: what goes wrong
// once is counted.
type client struct {
	address string
	limit   time.Duration // for one request

	mu   sync.Mutex
	idle []*conn // the last one used at the end
}

type conn struct {
	net.Conn
	r     *bufio.Reader
	since time.Time // idle
}

// restLimit is how long the client keeps a connection that it does not use.
const restLimit = 5 * time.Second

// take returns a kept connection that the other end has not closed, or a new one.
func (c *client) take(fresh bool) (*conn, error) {
	for !fresh {
		k := c.pop()
		if k == nil {
			break
		}
		if time.Since(k.since) < restLimit && k.alive() {
			return k, nil
		}
		k.Close()
	}
	nc, err := net.DialTimeout("tcp", c.address, c.limit)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: nc, r: bufio.NewReader(nc)}, nil
}

func (c *client) pop() *conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.idle)
	if n == 0 {
		return nil
	}
	k := c.idle[n-1]
	c.idle = c.idle[:n-1]
	return k
}

func (c *client) put(k *conn) {
	k.since = time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = append(c.idle, k)
	for len(c.idle) > 0 && time.Since(c.idle[0].since) > restLimit { // at the bottom are those that nobody needs
		c.idle[0].Close()
		c.idle = c.idle[1:]
	}
}

func (c *client) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.idle {
		k.Close()
	}
	c.idle = nil
}

// alive reports whether an idle connection is open and has nothing to read. A browser sees that too, by its event loop.
func (k *conn) alive() bool {
	raw, err := k.Conn.(*net.TCPConn).SyscallConn()
	if err != nil || k.r.Buffered() > 0 {
		return false
	}
	open := false
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		open = errors.Is(err, syscall.EAGAIN)
		return true
	})
	return err == nil && open
}

// ask is one request and what its answer has to be.
type ask struct {
	post  bool
	id    string
	host  string
	path  string
	lines string // further field lines
	body  string
	right func(status int, head http.Header, body string) bool
}

// do makes a request, which was due at a moment, and says what came of it. A GET whose connection was cut before anything came is
// sent once more on a new connection, as browsers do (RFC 9110, section 9.2.2, and RFC 9112, section 9.3.1).
func (c *client) do(a *ask, due time.Time) result {
	r := result{post: a.post, id: a.id}
	r.outcome, r.detail = c.once(a, false)
	if r.outcome == cut && !a.post {
		r.repeated = true
		r.outcome, r.detail = c.once(a, true)
	}
	r.took = time.Since(due)
	return r
}

func (c *client) once(a *ask, fresh bool) (outcome, string) {
	method := "GET"
	if a.post {
		method = "POST"
	}
	k, err := c.take(fresh)
	if err != nil {
		return refused, a.host + ": " + method + ": no connection: " + cause(err)
	}
	o, detail, keep := k.exchange(a, method, c.limit)
	if keep {
		c.put(k)
	} else {
		k.Close()
	}
	if o != good {
		detail = a.host + ": " + method + ": " + detail
	}
	return o, detail
}

// exchange sends a request and reads the answer.
func (k *conn) exchange(a *ask, method string, limit time.Duration) (o outcome, detail string, keep bool) {
	if err := k.SetDeadline(time.Now().Add(limit)); err != nil {
		return refused, cause(err), false
	}
	head := method + " " + a.path + " HTTP/1.1\r\nHost: " + a.host + "\r\n" + a.lines
	if a.post {
		head += fmt.Sprintf("Content-Length: %d\r\n", len(a.body))
	}
	_, werr := io.WriteString(k, head+"\r\n"+a.body) // an answer may have come although not all was taken
	if _, err := k.r.Peek(1); err != nil {
		if isTimeout(err) {
			return silent, "no answer in time", false
		}
		return cut, "cut off before an answer: " + cause(errors.Join(werr, err)), false
	}
	resp, err := http.ReadResponse(k.r, &http.Request{Method: method})
	if err != nil {
		return broken, "broken off in the head: " + cause(err), false
	}
	body, err := io.ReadAll(resp.Body)
	switch {
	case isTimeout(err):
		return silent, "no end of the answer in time", false
	case err != nil:
		return broken, "broken off in the body: " + cause(err), false
	}
	switch s := resp.StatusCode; {
	case s == 502:
		o = bad502
	case s == 503:
		o = bad503
	case s == 504:
		o = bad504
	case a.right(s, resp.Header, string(body)):
		return good, "", !resp.Close
	case s/100 == 2:
		o = wrong
	default:
		o = other
	}
	return o, fmt.Sprintf("status %d: %s", resp.StatusCode, short(string(body))), !resp.Close
}

// short is what a page of an error says, without its numbers, so that equal ones are counted together.
func short(body string) string {
	if _, after, ok := strings.Cut(body, "<p>"); ok {
		body, _, _ = strings.Cut(after, "</p>") // of a page of weir's; what follows is the request's id
	}
	body = strings.Map(func(r rune) rune {
		if r < ' ' || r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, body)
	return body[:min(len(body), 160)]
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

// cause names an error, so that equal ones are counted together.
func cause(err error) string {
	for _, known := range []error{syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE, syscall.EADDRNOTAVAIL, io.ErrUnexpectedEOF, io.EOF} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return err.Error()
}

// The three places that requests go to.
const (
	djangoHost = "django.test"
	appHost    = "app.test"
	fixedHost  = "fixed.test"
)

// bytesOf is a body that no other request has.
func bytesOf(id string, r *rand.Rand) string {
	n := 200 + r.IntN(4000)
	return strings.Repeat(id+" ", n/(len(id)+1)+1)[:n]
}

// askApp is a request to the small app, or to the fixed servers, which are the same.
func askApp(host, id string, post bool, r *rand.Rand) *ask {
	a := &ask{post: post, id: id, host: host, path: "/g/" + id}
	want := page(id)
	if post {
		a.path, a.body = "/p/"+id, bytesOf(id, r)
		want = a.body
	}
	a.right = func(status int, _ http.Header, body string) bool { return status == 200 && body == want }
	return a
}

// askDjango is a request to the Django example: its mirror, its guest book's page, or an entry in that.
func askDjango(id string, post bool, r *rand.Rand) *ask {
	a := &ask{post: post, id: id, host: djangoHost}
	switch {
	case post:
		// The token only has to be the cookie's: that is what Django compares.
		const token = "soaksoaksoaksoaksoaksoaksoaksoak"
		a.path = "/guests/"
		a.body = url.Values{"csrfmiddlewaretoken": {token}, "name": {id}, "message": {bytesOf(id, r)[:200]}}.Encode()
		a.lines = "Content-Type: application/x-www-form-urlencoded\r\nCookie: csrftoken=" + token + "\r\n"
		a.right = func(status int, head http.Header, _ string) bool {
			return status == 302 && head.Get("Location") == "/guests/"
		}
	case r.IntN(4) == 0:
		a.path = "/guests/"
		a.right = func(status int, _ http.Header, body string) bool {
			return status == 200 && strings.HasSuffix(strings.TrimSpace(body), "</html>")
		}
	default:
		a.path = "/echo/" + id
		a.right = func(status int, _ http.Header, body string) bool {
			return status == 200 && strings.Contains(body, `"path": "/echo/`+id+`"`)
		}
	}
	return a
}
