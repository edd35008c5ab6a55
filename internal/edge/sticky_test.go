package edge

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/loop"
	"github.com/weirhq/weir/internal/testkit"
)

// tells is an origin that answers with its name and the Cookie field that it got; a path that begins with /set?NAME=VALUE sets a cookie,
// and /cc? a Cache-Control.
func tells(t testing.TB, name string) *testkit.Origin {
	return testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
		for c.More() {
			m := c.Request()
			body := name + " " + m.Field("Cookie")
			more := ""
			_, target, _ := strings.Cut(m.Start, " ")
			target, _, _ = strings.Cut(target, " ")
			if pair, ok := strings.CutPrefix(target, "/set?"); ok {
				more = "Set-Cookie: " + pair + "; Path=/\n"
			}
			if cc, ok := strings.CutPrefix(target, "/cc?"); ok {
				more = "Cache-Control: " + cc + "\n"
			}
			c.Send(wire(fmt.Sprintf("HTTP/1.1 200 OK\n%sContent-Length: %d\n\n%s", more, len(body), body)))
		}
	})
}

// many are origins that tell.
func many(t testing.TB, n int) (addresses []string) {
	for i := range n {
		addresses = append(addresses, tells(t, fmt.Sprint("server", i)).Address)
	}
	return addresses
}

var ticketForm = regexp.MustCompile(`^SRV=([A-Za-z0-9_-]{32}); Path=/; HttpOnly; SameSite=Lax$`)

// ticketOf is the cookie that a response sets.
func ticketOf(t testing.TB, m *testkit.Message) string {
	t.Helper()
	got := ticketForm.FindStringSubmatch(m.Field("Set-Cookie"))
	if got == nil {
		t.Fatalf("the cookie is %q", m.Field("Set-Cookie"))
	}
	return got[1]
}

func withCookie(path, cookie string) string {
	return "GET " + path + " HTTP/1.1\nHost: a\nCookie: " + cookie + "\n\n"
}

// A session is where its cookie says, and neither the app nor anybody who makes a cookie himself has a part in that.
func TestStickyCookie(t *testing.T) {
	addresses := many(t, 4)
	log, file := logged(t)
	r := serveEdge(t, fibers, log+onePool("sticky: {cookie: SRV}, balance: round_robin", addresses...))
	tickets := map[string]string{}
	for range 40 {
		m := asks(t, r, get)
		tickets[strings.TrimSpace(m.Body)] = ticketOf(t, m)
	}
	if len(tickets) != 4 {
		t.Fatalf("sessions began at %v", tickets)
	}
	n := 40
	for name, ticket := range tickets {
		for _, c := range []struct{ sent, got string }{
			{"SRV=" + ticket, ""},
			{"a=b; SRV=" + ticket + "; c=d", "a=b; c=d"},
			{"SRV=" + ticket + ";a=b;c=d", "a=b;c=d"},
			{"a=b;c=d; SRV=" + ticket, "a=b;c=d"},
			{"SRV=" + strings.Repeat("A", 32) + "; SRV=" + ticket + "; SRV=x", "SRV=x"},
			{"SRV=" + ticket + "\nCookie: SRV=" + tickets["server0"] + "\nCookie: e=f", "e=f"},
		} {
			m := asks(t, r, withCookie("/", c.sent))
			if want := name + " " + c.got; m.Body != want || m.Has("Set-Cookie") {
				t.Errorf("%s: the app was %q, want %q; set %q", c.sent, m.Body, want, m.Field("Set-Cookie"))
			}
			n++
		}
		for i := range ticket { // whatever is changed, it is ignored
			forged := []byte(ticket)
			forged[i] ^= 1
			if forged[i] == '-'^1 || forged[i] == '_'^1 {
				continue
			}
			if s, known := r.tree.Load().pools.Pool("p").At(forged); s != nil || known {
				t.Fatalf("%s was believed, made of %s", forged, ticket)
			}
		}
	}
	m := asks(t, r, withCookie("/", "SRV=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA; a=b"))
	if ticketOf(t, m); !strings.HasSuffix(m.Body, " a=b") {
		t.Errorf("the app got %q", m.Body)
	}
	n++
	r.quiet()
	words := map[string]int{}
	for _, l := range readLog(t, file, n) {
		words[l.Session]++
	}
	if words["new"] != 41 || words["kept"] != n-41 {
		t.Errorf("logged as %v", words)
	}
}

// A session whose server is gone goes to another, once, and is told.
func TestStickyMoves(t *testing.T) {
	for _, way := range []string{"cookie: SRV", "learn: sid", "source: true"} {
		t.Run(way, func(t *testing.T) {
			addresses := many(t, 3)
			log, file := logged(t)
			text := func(servers ...string) string {
				return log + onePool("sticky: {"+way+"}, balance: round_robin", servers...)
			}
			r := serveEdge(t, loop.Config{Loops: 1}, text(addresses...)) // lines of different loops come in any order
			cookie := "sid=its-name"
			first := asks(t, r, withCookie("/set?sid=its-name", "a=b"))
			if way == "cookie: SRV" {
				all := strings.Split(first.Field("Set-Cookie"), ", ")
				cookie, _, _ = strings.Cut(all[len(all)-1], ";")
			}
			at := func() string {
				m := asks(t, r, withCookie("/", cookie))
				if way == "cookie: SRV" && m.Has("Set-Cookie") {
					cookie = "SRV=" + ticketOf(t, m)
				}
				name, _, _ := strings.Cut(m.Body, " ")
				return name
			}
			home, _, _ := strings.Cut(first.Body, " ")
			for range 5 {
				if got := at(); got != home {
					t.Fatalf("at %s, want %s", got, home)
				}
			}
			var rest []string
			for i, a := range addresses {
				if home != fmt.Sprint("server", i) {
					rest = append(rest, a)
				}
			}
			if err := r.apply(text(rest...)); err != nil {
				t.Fatal(err)
			}
			next := at()
			if next == home {
				t.Fatalf("at %s, which is gone", next)
			}
			if err := r.apply(text(addresses...)); err != nil {
				t.Fatal(err)
			}
			for range 5 {
				if got := at(); got != next {
					t.Fatalf("at %s, want %s: it moves once", got, next)
				}
			}
			r.quiet()
			var words []string
			for _, l := range readLog(t, file, 12) {
				words = append(words, l.Session)
			}
			if got := strings.Join(words, " "); got != "new kept kept kept kept kept moved kept kept kept kept kept" {
				t.Errorf("logged as %s", got)
			}
		})
	}
}

// What is known of sessions lasts over the end of an edge.
func TestStickyLasts(t *testing.T) {
	for _, way := range []string{"cookie: SRV", "learn: sid", "source: true"} {
		t.Run(way, func(t *testing.T) {
			addresses := many(t, 4)
			dir := t.TempDir()
			text := onePool("sticky: {"+way+"}, balance: round_robin", addresses...)
			start := func() *running { return serveEdgeIn(t, dir, fibers, text) }
			r := start()
			home := map[string]string{}
			for i := range 20 {
				m := asks(t, r, withCookie(fmt.Sprint("/set?sid=", i), "a=b"))
				cookie := fmt.Sprint("sid=", i)
				if way == "cookie: SRV" {
					all := strings.Split(m.Field("Set-Cookie"), ", ")
					cookie, _, _ = strings.Cut(all[len(all)-1], ";")
				}
				home[cookie], _, _ = strings.Cut(m.Body, " ")
			}
			if way == "learn: sid" {
				testkit.Eventually(t, testkit.Patience, "the sessions are saved", func() bool { return saved(t, dir) == 20 })
			}
			// Not even a second edge beside the first, which is what an upgrade is, knows them less.
			for range 2 {
				next := start()
				for cookie, want := range home {
					m := asks(t, next, withCookie("/", cookie))
					if got, _, _ := strings.Cut(m.Body, " "); got != want {
						t.Errorf("%s: at %s, want %s", cookie, got, want)
					}
				}
				r.stop(10 * time.Second)
				r = next
			}
		})
	}
}

// saved counts the sessions that are on the disk.
func saved(t *testing.T, dir string) (n int) {
	t.Helper()
	image, err := os.ReadFile(filepath.Join(dir, "sticky", "p.sessions"))
	if err != nil {
		return 0
	}
	for ; len(image) >= 16; image = image[16:] {
		if !bytes.Equal(image[:8], make([]byte, 8)) {
			n++
		}
	}
	return n
}

// What others may get from a cache never has the cookie, and what the app sets itself wins.
func TestStickyCookieStaysWithItsClient(t *testing.T) {
	addresses := many(t, 2)
	r := serveEdge(t, fibers, "cache: {memory: 64MiB}\n"+onePool("sticky: {cookie: SRV}", addresses...))
	for _, c := range []struct {
		path string
		has  string // in Set-Cookie
	}{
		{"/cc?private", "SRV="}, {"/cc?no-store", "SRV="}, {"/cc?max-age=60", ""}, {"/cc?max-age=60", ""}, {"/cc?public", ""},
		{"/cc?private,max-age=60", "SRV="}, {"/cc?s-maxage=60,must-revalidate", ""}, {"/cc?max-age=0", "SRV="},
		{"/set?SRV=ours", "SRV=ours; Path=/"}, {"/set?other=x", "SRV="},
	} {
		m := asks(t, r, "GET "+c.path+" HTTP/1.1\nHost: a\n\n")
		got := m.Field("Set-Cookie")
		if c.has == "" && got != "" || !strings.Contains(got, c.has) || c.path == "/set?SRV=ours" && got != c.has {
			t.Errorf("%s: sets %q, want %q in it (%s)", c.path, got, c.has, m.Field("Cache-Status"))
		}
	}
	// The cookie makes no difference to what is kept.
	first := asks(t, r, "GET / HTTP/1.1\nHost: a\n\n")
	ticket := ticketOf(t, first)
	m := asks(t, r, withCookie("/cc?max-age=60", "SRV="+ticket))
	if !strings.Contains(m.Field("Cache-Status"), "hit") || m.Has("Set-Cookie") {
		t.Errorf("with a session: %s, sets %q", m.Field("Cache-Status"), m.Field("Set-Cookie"))
	}
	r.quiet()
}

func TestStickyCookieAttributes(t *testing.T) {
	addresses := many(t, 1)
	for _, c := range []struct{ more, forwarded, want string }{
		{"", "http", "; Path=/; HttpOnly; SameSite=Lax"},
		{"", "https", "; Path=/; HttpOnly; SameSite=Lax; Secure"},
		{", secure: false, same_site: strict", "https", "; Path=/; HttpOnly; SameSite=Strict"},
		{", secure: true, same_site: none, max_age: 1d", "http", "; Path=/; HttpOnly; Max-Age=86400; SameSite=None; Secure"},
	} {
		r := serveEdge(t, fibers, "trusted_proxies: [127.0.0.1]\n"+onePool("sticky: {cookie: SRV"+c.more+"}", addresses...))
		m := asks(t, r, "GET / HTTP/1.1\nHost: a\nX-Forwarded-Proto: "+c.forwarded+"\n\n")
		if got := m.Field("Set-Cookie"); !strings.HasSuffix(got, c.want) || len(got) != len("SRV=")+32+len(c.want) {
			t.Errorf("%q over %s: %q, want SRV=…%s", c.more, c.forwarded, got, c.want)
		}
		r.quiet()
	}
}

// Two weirs with one secret and the same servers know each other's sessions, and one with another does not.
func TestStickySecret(t *testing.T) {
	addresses := many(t, 4)
	text := func(secret string) string {
		return onePool("balance: round_robin, sticky: {cookie: SRV, secret: "+secret+"}", addresses...)
	}
	home := map[string]string{}
	r := serveEdge(t, fibers, text("0123456789abcdef"))
	for range 8 {
		m := asks(t, r, get)
		home["SRV="+ticketOf(t, m)] = m.Body
	}
	r.stop(10 * time.Second)
	r = serveEdge(t, fibers, text("0123456789abcdef"))
	for cookie, want := range home {
		if m := asks(t, r, withCookie("/", cookie)); m.Body != want || m.Has("Set-Cookie") {
			t.Errorf("at %s, elsewhere at %s; set %q", want, m.Body, m.Field("Set-Cookie"))
		}
	}
	r.stop(10 * time.Second)
	r = serveEdge(t, fibers, text("0123456789abcdeF"))
	for cookie := range home {
		if m := asks(t, r, withCookie("/", cookie)); !m.Has("Set-Cookie") {
			t.Error("a cookie signed by another secret was believed")
		}
	}
}

// A session waits for its server although others are idle, and does without it for once when it waits too long.
func TestStickyWaits(t *testing.T) {
	release := make(chan struct{})
	busy := testkit.ServeOrigin(t, "tcp", func(_ int, c *testkit.Conn) {
		for c.More() {
			if m := c.Request(); strings.Contains(m.Start, "/slow") {
				<-release
			}
			c.Send(wire("HTTP/1.1 200 OK\nContent-Length: 4\nSet-Cookie: sid=1\n\nbusy"))
		}
	})
	idle := named(t, "idle")
	log, file := logged(t)
	r := serveEdge(t, loop.Config{Loops: 1}, log+onePool("sticky: {learn: sid}, balance: round_robin, max_conn: 1, queue: {timeout: 300ms}", busy.Address, idle.Address))
	at := func(path string) string { return asks(t, r, withCookie(path, "sid=1")).Body }
	if one, two := asks(t, r, get).Body, asks(t, r, get).Body; one == two {
		t.Fatalf("two requests in turn went to %s and %s", one, two)
	}
	slow := testkit.Dial(t, r.addr)
	slow.Send(wire(withCookie("/slow", "sid=1")))
	testkit.Eventually(t, testkit.Patience, "the server is busy", func() bool { return r.active() == 1 })
	if got := at("/"); got != "idle" {
		t.Errorf("after the queue's time limit at %s", got)
	}
	close(release)
	slow.Response("GET")
	if got := at("/"); got != "busy" {
		t.Errorf("with room again at %s", got)
	}
	r.quiet()
	var words []string
	for _, l := range readLog(t, file, 5) {
		words = append(words, l.Session)
	}
	slices.Sort(words)
	if got := strings.Join(words, " "); got != " away kept kept new" {
		t.Errorf("logged as %s", got)
	}
}

// The fragments of a page belong to its session, the first page included.
func TestStickyPage(t *testing.T) {
	var addresses []string
	for i := range 4 {
		name := fmt.Sprint("server", i)
		addresses = append(addresses, boxes{
			"/":  page(name+` <esi:include src="/a"/> <esi:include src="/b"/>`, ""),
			"/a": page(name, ""),
			"/b": page(name, ""),
		}.serve(t).Address)
	}
	r := serveEdge(t, fibers, "pools: {p: {servers: ['"+strings.Join(addresses, "', '")+"'], balance: round_robin, sticky: {cookie: SRV}}}\n"+
		"sites: [{hosts: ['*'], esi: on, routes: [{pool: p}]}]\n")
	for range 8 {
		first := asks(t, r, get)
		cookie := "SRV=" + ticketOf(t, first)
		second := asks(t, r, withCookie("/", cookie))
		if names := strings.Fields(first.Body); len(names) != 3 || names[0] != names[1] || names[0] != names[2] {
			t.Errorf("a first page is made of %s", first.Body)
		}
		if second.Body != first.Body || second.Has("Set-Cookie") {
			t.Errorf("a page is made of %s, the next one of %s; set %q", first.Body, second.Body, second.Field("Set-Cookie"))
		}
	}
	r.quiet()
}
