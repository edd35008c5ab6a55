package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/testkit"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestBreaches: what a kind of fault may cost, and nothing else, is no breach.
func TestBreaches(t *testing.T) {
	get := func(o outcome) result { return result{outcome: o, detail: "x"} }
	post := func(o outcome) result { return result{post: true, id: o.String(), outcome: o, detail: "x"} }
	repeated := result{outcome: good, repeated: true}
	for name, row := range map[string]struct {
		promise
		results []result
		want    string
	}{
		"all well":                     {promise{}, []result{get(good), post(good)}, ""},
		"a GET answered 502":           {promise{true, true}, []result{get(bad502)}, "k: 1 GETs lost"},
		"a GET with a wrong body":      {promise{true, true}, []result{get(wrong)}, "k: 1 GETs lost"},
		"a GET broken off":             {promise{true, true}, []result{get(broken)}, "k: 1 GETs lost"},
		"a GET whose connection ended": {promise{posts: true}, []result{repeated}, "k: 1 connections cut under a GET"},
		"when connections are cut":     {promise{cuts: true}, []result{repeated, post(cut), post(broken)}, ""},
		"a POST in a killed worker":    {promise{posts: true}, []result{post(bad502), post(bad504)}, ""},
		"a POST when none is killed":   {promise{}, []result{post(bad502)}, "k: 1 POSTs: 502"},
		"a POST that got no place":     {promise{true, true}, []result{post(bad503)}, "k: 1 POSTs: 503"},
		"a POST cut off":               {promise{posts: true}, []result{post(cut)}, "k: 1 POSTs: cut off"},
		"a POST that was refused":      {promise{true, true}, []result{post(refused)}, "k: 1 POSTs: refused"},
		"a POST never answered":        {promise{true, true}, []result{post(silent)}, "k: 1 POSTs: no answer"},
	} {
		y := newTally("k")
		for _, r := range row.results {
			y.add(r)
		}
		if got := strings.Join(y.breaches(row.promise), "; "); got != row.want {
			t.Errorf("%s: %q, want %q", name, got, row.want)
		}
	}
}

// TestCheck: what the apps say of POSTs.
func TestCheck(t *testing.T) {
	y := newTally("k")
	for id, o := range map[string]outcome{"once": good, "twice": good, "never": good, "lost": bad502, "lost, but done": bad502, "lost, and done twice": bad504} {
		y.add(result{post: true, id: id, outcome: o})
	}
	y.check(map[string]int{"once": 1, "twice": 2, "lost, but done": 1, "lost, and done twice": 2, "of another kind": 5})
	if y.doubled != 2 || y.vanished != 1 || y.unknown != 1 {
		t.Errorf("%d doubled, %d vanished, %d unknown; want 2, 1, 1", y.doubled, y.vanished, y.unknown)
	}
	if got := strings.Join(y.breaches(promise{true, true}), "; "); got != "k: 2 POSTs executed twice; k: 1 POSTs answered, and not executed" {
		t.Error(got)
	}
}

func TestQuantile(t *testing.T) {
	y := newTally("k")
	if y.quantile(0.99) != 0 {
		t.Error("of nothing")
	}
	for n := 1000; n > 0; n-- {
		y.add(result{took: time.Duration(n)})
	}
	if got := y.quantile(0.99); got != 990 {
		t.Error(got)
	}
}

// breaking is a server that answers the n-th connection as the n-th function does.
func breaking(t *testing.T, each ...func(c net.Conn)) (address string, connections *atomic.Int64) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	connections = &atomic.Int64{}
	go func() {
		defer close(done)
		for _, f := range each {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			f(c)
			c.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return ln.Addr().String(), connections
}

func says(text string) func(net.Conn) {
	return func(c net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			io.WriteString(c, text)
		}
	}
}

// TestClient: what clients see is told apart, and only a GET that was cut before an answer is repeated, once.
func TestClient(t *testing.T) {
	fine := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(page("1")), page("1"))
	whole := strings.Replace(fine, "all that", "not that", 1)
	reset := func(c net.Conn) { c.(*net.TCPConn).SetLinger(0); says("")(c) }
	for name, row := range map[string]struct {
		each     []func(net.Conn)
		post     bool
		want     outcome
		repeated bool
	}{
		"good":                      {[]func(net.Conn){says(fine)}, false, good, false},
		"closed, then good":         {[]func(net.Conn){says(""), says(fine)}, false, good, true},
		"reset, then good":          {[]func(net.Conn){reset, says(fine)}, false, good, true},
		"closed twice":              {[]func(net.Conn){says(""), says("")}, false, cut, true},
		"a POST, closed":            {[]func(net.Conn){says("")}, true, cut, false},
		"broken off in the head":    {[]func(net.Conn){says(fine[:20])}, false, broken, false},
		"broken off in the body":    {[]func(net.Conn){says(fine[:len(fine)-1])}, false, broken, false},
		"another's body":            {[]func(net.Conn){says(whole)}, false, wrong, false},
		"502":                       {[]func(net.Conn){says("HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n")}, false, bad502, false},
		"503":                       {[]func(net.Conn){says("HTTP/1.1 503 Bad\r\nContent-Length: 0\r\n\r\n")}, true, bad503, false},
		"504":                       {[]func(net.Conn){says("HTTP/1.1 504 Bad\r\nContent-Length: 0\r\n\r\n")}, true, bad504, false},
		"404":                       {[]func(net.Conn){says("HTTP/1.1 404 Bad\r\nContent-Length: 0\r\n\r\n")}, false, other, false},
		"silent":                    {[]func(net.Conn){func(c net.Conn) { says("")(c); io.Copy(io.Discard, c) }}, false, silent, false},
		"what is no HTTP":           {[]func(net.Conn){says("\x00\x01 \r\n\r\n")}, false, broken, false},
		"nobody listens afterwards": {nil, false, refused, false},
	} {
		t.Run(name, func(t *testing.T) {
			address, connections := breaking(t, row.each...)
			if row.each == nil {
				address = "127.0.0.1:1"
			}
			c := &client{address: address, limit: 500 * time.Millisecond}
			defer c.close()
			a := askApp(appHost, "1", false, nil)
			a.post = row.post
			r := c.do(a, time.Now())
			if r.outcome != row.want || r.repeated != row.repeated || int(connections.Load()) != len(row.each) {
				t.Errorf("%v (%s), repeated: %v, on %d connections", r.outcome, r.detail, r.repeated, connections.Load())
			}
		})
	}
}

// TestClientSeesTheEnd: a kept connection that was closed while it rested is not used.
func TestClientSeesTheEnd(t *testing.T) {
	fine := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(page("1")), page("1"))
	address, connections := breaking(t, says(fine), says(fine), says(fine))
	c := &client{address: address, limit: 10 * time.Second}
	defer c.close()
	for range 3 {
		if r := c.do(askApp(appHost, "1", false, nil), time.Now()); r.outcome != good || r.repeated {
			t.Errorf("%v %v %s", r.outcome, r.repeated, r.detail)
		}
		testkit.Eventually(t, testkit.Patience, "the end has come", func() bool {
			k := c.pop()
			defer c.put(k)
			return !k.alive()
		})
	}
	if n := connections.Load(); n != 3 {
		t.Errorf("%d connections", n)
	}
}

// TestMoods: a server that is ill executes POSTs and does not say so.
func TestMoods(t *testing.T) {
	done := newCounter()
	m, err := newMoody(done.add)
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	begun := time.Now()
	c := &client{address: m.address, limit: 300 * time.Millisecond}
	defer c.close()
	for id, row := range map[string]struct {
		is   string
		want outcome
	}{"a": {well, good}, "b": {garbage, broken}, "c": {resets, cut}, "d": {hangs, silent}, "e": {well, good}} {
		m.be(row.is)
		a := askApp(fixedHost, id, true, rand.New(rand.NewPCG(1, 1)))
		if r := c.do(a, time.Now()); r.outcome != row.want {
			t.Errorf("%s: %v %s", row.is, r.outcome, r.detail)
		}
		done.mu.Lock()
		if done.ids[id] != 1 {
			t.Errorf("%s: executed %d times", row.is, done.ids[id])
		}
		done.mu.Unlock()
	}
	p := &place{ill: []*moody{m}}
	if n := p.took(begun, time.Now()); n != 3 {
		t.Errorf("it took %d POSTs while it was ill, want 3", n)
	}
}

// TestLoadCounts: each request is in the tally of the time at which it began, and turn waits for it.
func TestLoadCounts(t *testing.T) {
	slow := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-slow
		app(func(string) error { return nil }).ServeHTTP(w, r)
	}))
	defer server.Close()
	l := &load{c: &client{address: server.Listener.Addr().String(), limit: 20 * time.Second}, side: "x"}
	first, second := newTally("first"), newTally("second")
	l.start(rates{app: 200, fixed: 200}, first)
	testkit.Eventually(t, testkit.Patience, "requests are under way", func() bool { return first.under.Load() >= 20 })
	turned := make(chan struct{})
	go func() { defer close(turned); l.turn(context.Background(), second) }()
	testkit.Eventually(t, testkit.Patience, "later ones are", func() bool { return second.under.Load() >= 20 })
	select {
	case <-turned:
		t.Error("it does not wait for those that began before")
	default:
	}
	close(slow)
	<-turned
	if n := first.sentGET() + first.sentPOST(); n < 20 || first.lostGET() > 0 || first.sentPOST() == 0 {
		t.Errorf("%d requests, %v", n, first.failures())
	}
	l.stop()
	if n := second.sentGET() + second.sentPOST(); n < 20 || second.lostGET() > 0 {
		t.Errorf("%d requests, %v", n, second.failures())
	}
}

// TestPage: the tables take the place of those before, and nothing else changes.
func TestPage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	const around = "# Page\n\nBefore.\n\n%s%s%s\nAfter.\n"
	if err := os.WriteFile(path, fmt.Appendf(nil, around, beginMark, "old\n", endMark), 0o644); err != nil {
		t.Fatal(err)
	}
	y := newTally(killing)
	y.made = 3
	y.add(result{took: 7 * time.Millisecond})
	y.add(result{post: true, outcome: bad502, id: "1", detail: "x"})
	r := &report{weir: []*tally{y}, haproxy: []*tally{y}, version: "9.9"}
	for range 2 {
		if err := r.put(path); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# Page\n\nBefore.\n", "\nAfter.\n", "### HAProxy 9.9\n", "| worker killed | 3 | 1 | 0 | 0 | 1 | 1 | 0 | 0 | 0 | 0 | 7 |\n", "| **all** | 3 |"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("there is no %q in\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "old") || strings.Count(string(text), "### weir") != 1 {
		t.Errorf("%s", text)
	}
	if err := os.WriteFile(path, []byte("nothing"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := r.put(path); err == nil {
		t.Error("it writes into a page without a place for it")
	}
}

func TestJudge(t *testing.T) {
	if err := (&report{weir: []*tally{newTally(calm)}}).judge(); err != nil {
		t.Error(err)
	}
	if err := (&report{weir: []*tally{newTally(killing)}}).judge(); err == nil || !strings.Contains(err.Error(), "it was not made once") {
		t.Error(err)
	}
	lossy := newTally(calm)
	lossy.add(result{outcome: bad502, detail: "x"})
	if err := (&report{weir: []*tally{lossy}}).judge(); err == nil || !strings.Contains(err.Error(), "nothing: 1 GETs lost") {
		t.Error(err)
	}
}
