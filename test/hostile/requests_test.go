package hostile

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m, "TestDribbledHead") }

const patience = 20 * time.Second

// serve runs the real binary before a pool with one server.
func serve(t testing.TB, pool, more string) *testkit.Weir {
	t.Helper()
	return testkit.Run(t, testkit.Setup{Config: config(pool, more)})
}

func config(pool, more string) string {
	return `
listen: {http: ["@ADDRESS@"]}
log: {access: {to: "@DIR@/access.log"}}
pools: {p: {` + pool + `}}
sites: [{hosts: ["*"], routes: [{pool: p}]}]
` + more
}

// clients counts the clients of this process: each has an address of its own.
var clients atomic.Int32

// nextClient returns the next client's address, which weir tells servers.
func nextClient() string {
	n := clients.Add(1)
	return fmt.Sprintf("127.%d.%d.%d", 1+n>>16&127, n>>8&255, n&255)
}

// from connects from a client's address to weir.
func from(client, address string) (*net.TCPConn, error) {
	d := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(client)}}
	c, err := d.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), c.SetDeadline(time.Now().Add(patience))
}

// A way is how the bytes of a row are sent.
type way struct {
	name   string
	before string   // a request that goes before the row
	want   []string // what the server gets of that
	cut    func(text string) [][2]int
}

// ways are how each row is sent. Cuts lie where parsers change what they look for.
func ways() []way {
	at := func(positions func(n int, text string) []int) func(string) [][2]int {
		return func(text string) (pieces [][2]int) {
			all := positions(len(text), text)
			slices.Sort(all)
			last := 0
			for _, p := range all {
				if p > last && p < len(text) {
					pieces, last = append(pieces, [2]int{last, p}), p
				}
			}
			return append(pieces, [2]int{last, len(text)})
		}
	}
	share := func(k, of int) func(string) [][2]int {
		return at(func(n int, _ string) []int { return []int{n * k / of} })
	}
	return []way{
		{name: "whole"},
		{name: "cut early", cut: share(1, 7)},
		{name: "cut in the middle", cut: share(1, 2)},
		{name: "cut late", cut: share(6, 7)},
		{name: "cut before the last byte", cut: at(func(n int, _ string) []int { return []int{n - 1} })},
		{name: "cut within line ends", cut: at(func(_ int, text string) (all []int) {
			for i := 0; i < len(text) && len(all) < 40; i++ {
				if text[i] == '\r' || text[i] == '\n' {
					all = append(all, i+1)
				}
			}
			return all
		})},
		{name: "byte by byte", cut: at(func(n int, _ string) (all []int) {
			for i := 1; i < min(n, 400); i++ {
				all = append(all, i)
			}
			return all
		})},
		{name: "behind a GET", before: get("/before"), want: []string{"GET /before"}},
		{name: "behind a POST", before: "POST /before HTTP/1.1\r\n" + host + "Content-Length: 5\r\n\r\nhello", want: []string{"POST /before | hello"}},
		{name: "behind chunks", before: "POST /before HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", want: []string{"POST /before | hello"},
			cut: share(1, 2)},
	}
}

// canary is a request that goes behind each row: nothing of the row may become part of it.
const canary = "GET /canary HTTP/1.1\r\nHost: canary.test\r\nConnection: close\r\n\r\n"

// TestRequests sends every row in every way, through a pool that streams and one that buffers.
func TestRequests(t *testing.T) {
	rows := corpus()
	refused := 0
	for _, r := range rows {
		if r.status != nil && !r.answered {
			refused++
		}
	}
	t.Logf("%d rows, of which %d are refused; %d ways", len(rows), refused, len(ways()))
	if len(rows) < 300 {
		t.Errorf("only %d rows", len(rows))
	}
	for _, pool := range []struct{ name, more string }{{"streaming", ""}, {"buffering", ", buffer: true"}} {
		t.Run(pool.name, func(t *testing.T) {
			testkit.Leaks(t)
			o := newRecorder(t)
			w := serve(t, "servers: ['"+o.address()+"']"+pool.more, "limits: {body: 1GiB}\ntimeouts: {head: 10s, body: 10s}\n")
			runAll(t, o, w, rows)
			checkLog(t, w.Dir+"/access.log")
		})
	}
}

// runAll plays all rows, a few at a time.
func runAll(t *testing.T, o *recorder, w *testkit.Weir, rows []row) {
	type play struct {
		r *row
		w way
	}
	plays := make(chan play)
	var running sync.WaitGroup
	var failures atomic.Int32
	for range 16 {
		running.Go(func() {
			for p := range plays {
				if err := playRow(o, w.Address, p.r, p.w); err != nil && failures.Add(1) <= 30 {
					t.Errorf("%s, %s: %v\n\t%s", p.r.name, p.w.name, err, short([]byte(p.r.send)))
				}
			}
		})
	}
	for i := range rows {
		for _, way := range ways() {
			if (way.name == "byte by byte" || way.name == "cut within line ends") && len(rows[i].send) > 2000 {
				continue
			}
			plays <- play{&rows[i], way}
		}
	}
	close(plays)
	running.Wait()
	if n := failures.Load(); n > 30 {
		t.Errorf("%d failures in all", n)
	}
}

// playRow sends a row in one way and judges what the client and the server got.
func playRow(o *recorder, address string, r *row, w way) error {
	client := nextClient()
	c, err := from(client, address)
	if err != nil {
		return err
	}
	defer c.Close()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		send(c, w, r.send)
	}()
	got, err := io.ReadAll(c)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("the connection stays open after %s", short(got))
	}
	c.Close()
	<-sent
	return judge(o, client, r, w, got)
}

// send sends a row and the canary. Errors show in what comes back: a refused row's connection may close at any time.
func send(c *net.TCPConn, w way, text string) {
	if w.cut == nil {
		io.WriteString(c, w.before+text+canary) //nolint:errcheck // see above
		return
	}
	if _, err := io.WriteString(c, w.before); err != nil {
		return
	}
	for _, piece := range w.cut(text) {
		if _, err := io.WriteString(c, text[piece[0]:piece[1]]); err != nil {
			return
		}
		delivered(c)
	}
	io.WriteString(c, canary) //nolint:errcheck // see above
}

// judge compares what came of a row with what was to come of it.
func judge(o *recorder, client string, r *row, w way, got []byte) error {
	want := append(slices.Clone(w.want), r.want...)
	methods := make([]string, 0, len(want)+2)
	for _, text := range want {
		methods = append(methods, strings.Fields(text)[0])
	}
	served := len(want)
	refused := r.status != nil && !r.answered
	if r.status != nil {
		methods = append(methods, own(r))
	}
	if !refused && !r.last {
		want = append(want, "GET /canary")
		methods = append(methods, "GET")
	}
	answers, rest, err := parseResponses(got, methods)
	if err != nil {
		return fmt.Errorf("%d answers, want %d, then %v: %s", len(answers), len(methods), err, short(rest))
	}
	if len(rest) > 0 {
		return fmt.Errorf("behind the last answer: %s", short(rest))
	}
	if requests := shown(o.of(client)); requests != strings.Join(want, "; ") {
		return fmt.Errorf("the server got %s, want %s", short([]byte(requests)), short([]byte(strings.Join(want, "; "))))
	}
	for i, a := range answers {
		switch {
		case i == served && r.status != nil:
			if err := judgeOwn(a, r, refused); err != nil {
				return err
			}
			continue
		case a.status != 200:
			return fmt.Errorf("answer %d is %d: %s", i, a.status, short([]byte(a.body)))
		case methods[i] != "HEAD" && a.body != want[min(i, len(want)-1)]:
			return fmt.Errorf("answer %d is of another request: %s", i, short([]byte(a.body)))
		}
	}
	return judgeFields(o.of(client), r, len(w.want))
}

// own is the method that weir answers.
func own(r *row) string {
	if r.answered {
		return strings.Fields(r.send)[0]
	}
	return refusedMethod(r.send)
}

// refusedMethod is HEAD for a refused row that weir takes for a HEAD: its answer has no body.
func refusedMethod(send string) string {
	if strings.HasPrefix(send, "HEAD ") {
		return "HEAD"
	}
	return "GET"
}

func judgeOwn(a *response, r *row, refused bool) error {
	if !slices.Contains(r.status, a.status) {
		return fmt.Errorf("answered with %d, want %d", a.status, r.status)
	}
	if closes := slices.Equal(valuesOf(a.fields, "Connection"), []string{"close"}); closes != refused {
		return fmt.Errorf("says that it closes: %v", closes)
	}
	if len(valuesOf(a.fields, "X-Request-ID")) != 1 || !a.framed {
		return fmt.Errorf("an odd answer: %+v", a)
	}
	return nil
}

// judgeFields looks for the fields that must, or must not, have reached the server.
func judgeFields(all []*request, r *row, at int) error {
	if at >= len(all) {
		return nil
	}
	for _, name := range strings.Split(r.without, ",") {
		if v := all[at].all(name); v != nil {
			return fmt.Errorf("the server got %s: %q", name, v)
		}
	}
	for _, line := range strings.Split(r.with, ",") {
		if name, value, ok := strings.Cut(line, ": "); ok && !slices.Equal(all[at].all(name), []string{value}) {
			return fmt.Errorf("the server got %s: %q, want %q", name, all[at].all(name), value)
		}
	}
	return nil
}
