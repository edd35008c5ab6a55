package edge

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/journal"
	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/testkit"
)

// boxes is an origin that answers each path by a function, which says when it returns false that the connection is done with.
type boxes map[string]func(c *testkit.Conn) bool

func (b boxes) serve(t testing.TB) *testkit.Origin {
	return testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
		for c.More() {
			path := strings.Fields(c.Request().Start)[1]
			answer := b[path]
			if answer == nil {
				answer = page("not found", "")
			}
			if !answer(c) {
				return
			}
		}
	})
}

// page answers with HTML of known length.
func page(text, fields string) func(c *testkit.Conn) bool {
	return func(c *testkit.Conn) bool {
		c.Send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n%s\r\n%s", len(text), fields, text))
		return true
	}
}

func esiPool(o *testkit.Origin, more string) string {
	return "pools: {p: {servers: ['" + o.Address + "'], max_conn: 50}}\n" +
		"sites: [{hosts: ['*'], esi: on, routes: [{pool: p" + more + "}]}]\ncache: {memory: 16MiB}\n"
}

// TestPageStreams: what stands before a fragment does not wait for it, plain or compressed, by either version.
func TestPageStreams(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		for _, keep := range []string{"", "Cache-Control: max-age=60\r\n"} {
			gate := make(chan bool)
			o := boxes{
				"/": page(`first <esi:include src="/held"/> last`, keep),
				"/held": func(c *testkit.Conn) bool {
					<-gate
					return page("box", "")(c)
				},
			}.serve(t)
			e := serveEdge(t, body, esiPool(o, ""))
			for range 2 {
				c := testkit.Dial(t, e.addr)
				c.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
				c.Head()
				c.Expect("6\r\nfirst \r\n")
				gate <- true
				c.Expect("8\r\nbox last\r\n0\r\n\r\n")
				c.Close()

				c = testkit.Dial(t, e.addr)
				c.Send("GET / HTTP/1.0\r\nHost: x\r\n\r\n")
				c.Head()
				c.Expect("first ")
				gate <- true
				c.Expect("box last")
				c.Closed()
			}
		}
	})
}

// TestCompressedPageStreams: what the encoder gathers does not wait for a fragment either.
func TestCompressedPageStreams(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		gate := make(chan bool)
		o := boxes{
			"/": page(`first <esi:include src="/held"/> last`, "Cache-Control: max-age=60\r\n"),
			"/held": func(c *testkit.Conn) bool {
				<-gate
				return page("box", "")(c)
			},
		}.serve(t)
		for _, coding := range []string{"gzip", "zstd", "br"} {
			e := serveEdge(t, body, esiPool(o, ", compress: {codings: ["+coding+"], min_size: 1B}"))
			c := testkit.Dial(t, e.addr)
			c.Send("GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: " + coding + "\r\n\r\n")
			if head := c.Head(); !strings.Contains(head, "Content-Encoding: "+coding) || !strings.Contains(head, "Vary: Accept-Encoding") {
				t.Errorf("the head is %s", head)
			}
			c.Match(`^[0-9a-f]+\r\n`) // a chunk that has the beginning
			gate <- true
			if rest := c.Match(`(?s)^.*\r\n0\r\n\r\n`); len(rest) == 0 {
				t.Error("the page does not end")
			}
			c.Close()
			e.stop(testkit.Patience)
		}
	})
}

// chunks reads chunks until their contents are a text. Where one ends depends on what has come when the page is written.
func chunks(c *testkit.Conn, text string) {
	for got := ""; got != text; {
		n, err := strconv.ParseInt(c.Match(`^([0-9a-f]+)\r\n`)[1], 16, 32)
		if got += c.Read(int(n)); err != nil || n == 0 || !strings.HasPrefix(text, got) {
			c.Fail("chunks hold %q, want %q", got, text)
		}
		c.Expect("\r\n")
	}
}

// TestFragmentBreaksOff: the client never takes a page for whole in which a part of a fragment is missing, unless the page
// said what to do then.
func TestFragmentBreaksOff(t *testing.T) {
	atOnce := func(c *testkit.Conn) bool {
		c.Send("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
		return false
	}
	eachBody(t, func(t *testing.T, body loop.Config) {
		seen := make(chan bool)
		breaks := func(c *testkit.Conn) bool {
			c.Send("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
			select {
			case <-seen: // by the client
			case <-t.Context().Done(): // the test failed: the origin must not wait for it for ever
			}
			return false
		}
		o := boxes{
			"/inner": page(`a<esi:include src="/atonce"/>z`, ""), "/atonce": atOnce,
			"/cut":      page(`a<esi:include src="/breaks" alt="/alt"/>z`, ""),
			"/continue": page(`a<esi:include src="/breaks" onerror="continue"/>z`, ""),
			"/try":      page(`a<esi:try><esi:attempt>(<esi:include src="/atonce"/>)</esi:attempt><esi:except>sorry</esi:except></esi:try>z`, ""),
			"/nested":   page(`a<esi:try><esi:attempt>(<esi:include src="/inner"/>)</esi:attempt><esi:except>sorry</esi:except></esi:try>z`, ""),
			"/breaks":   breaks,
			"/alt":      page("alt", ""),
		}.serve(t)
		e := serveEdge(t, body, esiPool(o, ""))
		for path, want := range map[string]string{"/try": "asorryz", "/nested": "asorryz"} {
			c := testkit.Dial(t, e.addr)
			c.Send("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
			m, err := c.TryResponse("GET")
			if err != nil {
				t.Errorf("%s: %v", path, err)
			} else if string(m.Body) != want {
				t.Errorf("%s: %q, want %q", path, m.Body, want)
			}
			c.Close()
		}
		c := testkit.Dial(t, e.addr)
		c.Send("GET /continue HTTP/1.1\r\nHost: x\r\n\r\n")
		c.Head()
		chunks(c, "ahalf")
		seen <- true
		chunks(c, "z")
		c.Expect("0\r\n\r\n")
		c.Send("GET /cut HTTP/1.1\r\nHost: x\r\n\r\n")
		c.Head()
		chunks(c, "ahalf")
		seen <- true
		if m := c.Rest(); m != "" {
			t.Errorf("a page with a broken fragment: %q", m)
		}
	})
}

// TestFragmentFailsEarly: what breaks off before any of it was passed on failed as a whole.
func TestFragmentFailsEarly(t *testing.T) {
	early := func(c *testkit.Conn) bool {
		c.Send("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 100\r\n\r\nhalf")
		return false
	}
	eachBody(t, func(t *testing.T, body loop.Config) {
		o := boxes{"/early": page(`a<esi:include src="/short" alt="/alt"/>z`, ""), "/short": early, "/alt": page("alt", "")}.serve(t)
		e := serveEdge(t, body, strings.Replace(esiPool(o, ""), "max_conn: 50", "max_conn: 50, buffer: true", 1))
		c := testkit.Dial(t, e.addr)
		c.Send("GET /early HTTP/1.1\r\nHost: x\r\n\r\n")
		if m := c.Response("GET"); string(m.Body) != "aaltz" {
			t.Errorf("the page is %q", m.Body)
		}
		c.Close()
	})
}

// TestMaxWait: a fragment that takes longer than the page allows is given up; what it brings is kept all the same.
func TestMaxWait(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		gate := make(chan bool)
		o := boxes{
			"/": page(`a<esi:include src="/late" alt="/alt" maxwait="20"/>z`, "Cache-Control: max-age=60\r\n"),
			"/late": func(c *testkit.Conn) bool {
				<-gate
				return page("late", "Cache-Control: max-age=60\r\n")(c)
			},
			"/alt": page("alt", ""),
		}.serve(t)
		e := serveEdge(t, body, esiPool(o, ""))
		ask := func() string {
			c := testkit.Dial(t, e.addr)
			defer c.Close()
			c.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			return string(c.Response("GET").Body)
		}
		if got := ask(); got != "aaltz" {
			t.Errorf("%q while it is late", got)
		}
		gate <- true
		testkit.Eventually(t, testkit.Patience, "the late fragment is in the cache", func() bool { return ask() == "alatez" })
	})
}

// TestClientLeavesPage: a client that leaves while a fragment is awaited ends the page; nothing is left behind.
func TestClientLeavesPage(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		gate := make(chan bool)
		var after atomic.Int32
		o := boxes{
			"/": page(`a<esi:include src="/held"/>`+strings.Repeat(`<esi:include src="/after"/>`, 20)+`z`, ""),
			"/held": func(c *testkit.Conn) bool {
				<-gate
				return page("held", "")(c)
			},
			"/after": func(c *testkit.Conn) bool {
				after.Add(1)
				return page("after", "")(c)
			},
		}.serve(t)
		text, file := logged(t)
		e := serveEdge(t, body, text+esiPool(o, ""))
		c := testkit.Dial(t, e.addr)
		c.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		c.Head()
		c.Expect("1\r\na\r\n")
		c.Close()
		if l := readLog(t, file, 1)[0]; l.Cause != "client_gone" {
			t.Errorf("the log says %q", l.Cause)
		}
		gate <- true
		e.quiet()
		if n := after.Load(); n > maxEarly {
			t.Errorf("%d further fragments were asked for", n)
		}
	})
}

// TestPageAndItsServer: a page that comes slowly does not hold the only place at a server while its fragment waits for one.
func TestPageAndItsServer(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		big := strings.Repeat("0123456789abcdef", 40000)
		o := boxes{
			"/": func(c *testkit.Conn) bool {
				const first = `<esi:include src="/box"/>`
				c.Send(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(first), first))
				c.Send(fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(big), big))
				return true
			},
			"/box": page("box", ""),
		}.serve(t)
		for _, more := range []string{"", ", cache: {default_ttl: 60s}"} {
			e := serveEdge(t, body, strings.Replace(esiPool(o, more), "max_conn: 50", "max_conn: 1, queue: {timeout: 20s}", 1))
			c := testkit.Dial(t, e.addr)
			for range 2 {
				c.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
				if m := c.Response("GET"); string(m.Body) != "box"+big {
					t.Errorf("%d bytes", len(m.Body))
				}
			}
			c.Close()
			e.stop(testkit.Patience)
		}
	})
}

// TestFragmentsTogether: fragments are asked for ahead of their places, a few at a time, and stand in them all the same.
func TestFragmentsTogether(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		var under, most atomic.Int32
		var met sync.WaitGroup
		met.Add(3)
		b := boxes{}
		for i := range 3 { // none of them answers before all three are asked
			b[fmt.Sprintf("/meet%d", i)] = func(c *testkit.Conn) bool {
				met.Done()
				met.Wait()
				return page(fmt.Sprint("m", i), "")(c)
			}
		}
		b["/"] = page(`<esi:include src="/meet0"/>,<esi:include src="/meet1"/>,<esi:include src="/meet2"/>.`, "")
		var many, want strings.Builder
		for i := range 40 {
			fmt.Fprintf(&many, `<esi:include src="/box%d"/>,`, i)
			fmt.Fprintf(&want, "%d,", i)
			b[fmt.Sprintf("/box%d", i)] = func(c *testkit.Conn) bool {
				n := under.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				defer under.Add(-1)
				return page(fmt.Sprint(i), "")(c)
			}
		}
		b["/many"] = page(many.String(), "")
		b["/tries"] = page(`<esi:try><esi:attempt><esi:include src="/none"/><esi:include src="/box1"/></esi:attempt><esi:except>x<esi:include src="/box2"/></esi:except></esi:try>`+
			`<esi:include src="/box1"/><esi:include src="/box1"/><esi:include src="/none" alt="/box3"/><esi:include src="/box1"/>`, "")
		b["/none"] = func(c *testkit.Conn) bool {
			c.Send("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
			return true
		}
		e := serveEdge(t, body, esiPool(b.serve(t), ""))
		c := testkit.Dial(t, e.addr)
		for _, ask := range [][2]string{{"/", "m0,m1,m2."}, {"/many", want.String()}, {"/tries", "x21131"}} {
			c.Send("GET " + ask[0] + " HTTP/1.1\r\nHost: x\r\n\r\n")
			if m := c.Response("GET"); string(m.Body) != ask[1] {
				t.Errorf("%s: %q, want %q", ask[0], m.Body, ask[1])
			}
		}
		c.Close()
		if n := most.Load(); n > maxEarly+1 {
			t.Errorf("%d fragments of a page were asked for at once", n)
		}
	})
}

// TestStopWithPages: an edge that stops does not wait for fragments for ever, and leaves nothing behind.
func TestStopWithPages(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		gate := make(chan bool)
		defer close(gate)
		o := boxes{
			"/": page(`a<esi:include src="/held"/><esi:include src="/held"/>z`, "Cache-Control: max-age=60\r\n"),
			"/held": func(*testkit.Conn) bool {
				<-gate
				return false
			},
		}.serve(t)
		e := serveEdge(t, body, esiPool(o, ""))
		for range 3 {
			c := testkit.Dial(t, e.addr)
			defer c.Close()
			c.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			c.Head()
			c.Expect("1\r\na\r\n")
		}
		e.stop(50 * time.Millisecond)
	})
}

// TestLineOfAPage: the access log has one line for a page, with what became of its fragments; requests behind each other on one
// connection stay apart.
func TestLineOfAPage(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		o := boxes{
			"/":    page(`a<esi:include src="/box"/><esi:include src="/outer"/><esi:include src="//elsewhere/box"/>z`, ""),
			"/box": page("box", ""), "/outer": page(`(<esi:include src="/box"/>)`, ""),
		}.serve(t)
		text, file := logged(t)
		e := serveEdge(t, body, text+esiPool(o, ""))
		c := testkit.Dial(t, e.addr)
		const ask = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
		c.Send(ask + strings.Replace(ask, "/", "/box", 1) + ask)
		for _, want := range []string{"abox(box)z", "box", "abox(box)z"} {
			if m := c.Response("GET"); string(m.Body) != want {
				t.Errorf("%q, want %q", m.Body, want)
			}
		}
		for i, l := range readLog(t, file, 3) {
			if i != 1 && (l.Includes != 4 || l.Failed != 1 || l.Out != 10) || i == 1 && (l.Includes != 0 || l.Failed != 0 || l.Out != 3) {
				t.Errorf("line %d: %+v", i, l)
			}
		}
		c.Close()
	})
}

// TestStoryOfAPage: the story of a page names its fragments, in the order of their places: what came of each, what the cache did, and how long
// it took. The next request on the connection has none of it.
func TestStoryOfAPage(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		gate := make(chan bool)
		defer close(gate)
		o := boxes{
			"/":     page(`<esi:include src="/kept"/><esi:include src="/outer"/><esi:include src="/fails" alt="/alt"/><esi:include src="//elsewhere/box"/><esi:include src="/late" maxwait="20"/>`, ""),
			"/kept": page("kept", "Cache-Control: max-age=60\r\n"), "/outer": page(`(<esi:include src="/kept"/>)`, ""), "/alt": page("alt", ""),
			"/fails": func(c *testkit.Conn) bool {
				c.Send("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")
				return true
			},
			"/late":  func(*testkit.Conn) bool { <-gate; return false },
			"/plain": page("plain", ""),
			"/many":  page(strings.Repeat(`<esi:include src="/kept"/>`, journal.MaxParts+4), ""),
		}.serve(t)
		e := serveEdge(t, body, esiPool(o, ""))
		told := listenTo(t, e, "")
		c := testkit.Dial(t, e.addr)
		defer c.Close()
		for _, row := range [][2]string{{"/", "/kept 200, /outer 200, /kept 200, /fails 500, /alt 200, //elsewhere/box 0, /late 0"}, {"/plain", ""}, {"/many", strings.TrimSuffix(strings.Repeat("/kept 200, ", journal.MaxParts), ", ")}} {
			c.Send("GET " + row[0] + " HTTP/1.1\r\nHost: x\r\n\r\n")
			c.Response("GET")
			s := <-told
			var all []string
			for i, p := range s.Parts {
				all = append(all, fmt.Sprintf("%s %d", p.Target, p.Status))
				if p.Cache == "" && p.Status != 0 || i == 0 && row[0] == "/" && p.Cache != "miss" || row[0] == "/many" && p.Cache != "hit" {
					t.Errorf("%s: of %s the cache did %q", row[0], p.Target, p.Cache)
				}
				if p.Target == "/late" && p.MS < 20 || p.Cache == "miss" && p.MS <= 0 || p.MS > s.Total {
					t.Errorf("%s took %v ms of %v", p.Target, p.MS, s.Total)
				}
			}
			if got := strings.Join(all, ", "); got != row[1] {
				t.Errorf("%s: %s\nwant %s", row[0], got, row[1])
			}
		}
	})
}

// TestPagesAbandoned: clients that leave anywhere in a page leave nothing of it behind.
func TestPagesAbandoned(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		big := strings.Repeat("0123456789abcdef", 20000)
		keep := "Cache-Control: max-age=60\r\n"
		late := func(c *testkit.Conn) bool {
			time.Sleep(time.Millisecond) // a slow app, not a wait for something
			return page("late", "")(c)
		}
		o := boxes{
			"/0":    page(big+`<esi:include src="/big"/><esi:include src="/late"/>`+big, keep),
			"/1":    page(`<esi:include src="/late" maxwait="1" alt="/kept"/><esi:include src="/late"/><esi:include src="/big"/><esi:include src="/kept"/>`+big, ""),
			"/2":    page(`<esi:try><esi:attempt><esi:include src="/big"/><esi:include src="/0"/></esi:attempt><esi:except>x</esi:except></esi:try>`, keep),
			"/late": late, "/kept": page(big, keep), "/big": page(big, ""),
		}.serve(t)
		e := serveEdge(t, body, strings.Replace(esiPool(o, ", compress: gzip"), "max_conn: 50", "max_conn: 20, buffer: true", 1))
		var all sync.WaitGroup
		for task := range 6 {
			all.Go(func() {
				r := rand.New(rand.NewPCG(uint64(task), 7))
				for range 30 {
					c := testkit.Dial(t, e.addr)
					lines := ""
					if r.IntN(2) == 0 {
						lines = "Accept-Encoding: gzip\r\n"
					}
					c.Send(fmt.Sprintf("GET /%d HTTP/1.%d\r\nHost: x\r\nConnection: close\r\n%s\r\n", r.IntN(3), r.IntN(2), lines))
					_, err := io.CopyN(io.Discard, c.Raw(), int64(r.IntN(2000)*r.IntN(500)))
					if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrDeadlineExceeded) {
						t.Errorf("reading: %v", err)
					}
					if r.IntN(2) == 0 {
						c.Reset()
					} else {
						c.Close()
					}
				}
			})
		}
		all.Wait()
		e.quiet()
		e.onLoops(func(l *local) {
			if l.spooled != 0 || l.encoders.Lent() != 0 {
				t.Errorf("a loop has %d bytes of bodies and %d encoders left", l.spooled, l.encoders.Lent())
			}
			for _, a := range l.pages {
				if a.running || a.ahead != 0 || len(a.lost) != 0 || a.buf != nil {
					t.Errorf("an assembler is left as %+v", a)
				}
			}
		})
		if s := e.Status(); s.Panics != 0 {
			t.Errorf("%d panics", s.Panics)
		}
	})
}

// TestEmptyPages: pages and fragments without content are whole all the same, and the connection lives on.
func TestEmptyPages(t *testing.T) {
	empty := func(c *testkit.Conn) bool {
		c.Send("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
		return true
	}
	nothing := func(c *testkit.Conn) bool {
		c.Send("HTTP/1.1 204 No Content\r\nContent-Type: text/html\r\n\r\n")
		return true
	}
	eachBody(t, func(t *testing.T, body loop.Config) {
		o := boxes{
			"/":     page(`a<esi:include src="/none"/><esi:include src="/nochunk"/><esi:include src="/nothing"/>z`, "Cache-Control: max-age=60\r\n"),
			"/none": page("", ""), "/nochunk": empty, "/nothing": nothing,
			"/head": func(c *testkit.Conn) bool {
				c.Send("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 10\r\n\r\n")
				return true
			},
		}.serve(t)
		text, file := logged(t)
		e := serveEdge(t, body, text+esiPool(o, ""))
		c := testkit.Dial(t, e.addr)
		for _, ask := range []string{"GET /none", "GET /nochunk", "GET /nothing", "HEAD /head", "GET /", "HEAD /", "GET /none"} {
			method, _, _ := strings.Cut(ask, " ")
			c.Send(ask + " HTTP/1.1\r\nHost: x\r\n\r\n")
			want := ""
			if ask == "GET /" {
				want = "az"
			}
			m, err := c.TryResponse(method)
			if err != nil {
				t.Errorf("%s: %v", ask, err)
				break
			}
			if m.Status/100 != 2 || string(m.Body) != want {
				t.Errorf("%s: %d %q", ask, m.Status, m.Body)
			}
		}
		for _, l := range readLog(t, file, 7) {
			if l.Cause != "" {
				t.Errorf("%s %s ends by %s", l.Method, l.Target, l.Cause)
			}
		}
		c.Close()
	})
}

// TestPagesTogether: many clients and pages of many kinds at once, each as it must be, in buffered and streamed ways.
func TestPagesTogether(t *testing.T) {
	eachBody(t, func(t *testing.T, body loop.Config) {
		big := strings.Repeat("0123456789abcdef", 20000)
		chunked := func(text string) func(c *testkit.Conn) bool {
			return func(c *testkit.Conn) bool {
				c.Send("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n")
				for rest := text; len(rest) > 0; {
					n := min(len(rest), 50000)
					c.Send(fmt.Sprintf("%x\r\n%s\r\n", n, rest[:n]))
					rest = rest[n:]
				}
				c.Send("0\r\n\r\n")
				return true
			}
		}
		keep := "Cache-Control: max-age=60\r\n"
		b := boxes{
			"/small": page("small", keep), "/pass": page("pass", ""), "/chunked": chunked(big), "/big": page(big, keep),
			"/one": page(`<esi:include src="/small"/>|<esi:include src="/pass"/>`, keep),
		}
		parts := map[string]string{"/small": "small", "/pass": "pass", "/chunked": big, "/big": big, "/one": "small|pass"}
		wants := map[string]string{}
		names := []string{"/small", "/pass", "/chunked", "/big", "/one"}
		r := rand.New(rand.NewPCG(1, 2))
		for i := range 12 {
			var text, want strings.Builder
			for range 1 + r.IntN(4) {
				p := names[r.IntN(len(names))]
				fmt.Fprintf(&text, `<p><esi:include src="%s"/></p>`, p)
				fmt.Fprintf(&want, "<p>%s</p>", parts[p])
			}
			path := fmt.Sprintf("/page%d", i)
			wants[path] = want.String()
			switch i % 3 {
			case 0:
				b[path] = page(text.String(), keep)
			case 1:
				b[path] = page(text.String(), "")
			default:
				b[path] = chunked(text.String())
			}
		}
		for _, buffer := range []string{"true", "false"} {
			o := b.serve(t)
			e := serveEdge(t, body, strings.Replace(esiPool(o, ""), "max_conn: 50", "max_conn: 50, buffer: "+buffer, 1))
			var all sync.WaitGroup
			for range 6 {
				all.Go(func() {
					c := testkit.Dial(t, e.addr)
					defer c.Close()
					for path, want := range wants {
						c.Send("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
						m, err := c.TryResponse("GET")
						if err != nil {
							t.Errorf("%s: %v", path, err)
							return
						}
						if string(m.Body) != want {
							t.Errorf("%s: %d bytes, want %d", path, len(m.Body), len(want))
						}
					}
				})
			}
			all.Wait()
			e.quiet()
			if s := e.Status(); s.Panics != 0 {
				t.Errorf("%d panics", s.Panics)
			}
		}
	})
}
