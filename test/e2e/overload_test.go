package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/testkit"
)

// A stream is requests at a fixed pace, whatever becomes of those before: as the world sends them, and not as a program that waits
// for each answer.
type stream struct {
	path   string
	client string // its address, as a trusted proxy tells it
	rate   int    // a second
}

// answers is what came of a stream.
type answers struct {
	sent   int
	by     map[int]int // by status
	took   []time.Duration
	after  map[string]int // Retry-After of those that were turned away
	failed map[string]int
}

func (a *answers) served() int { return a.by[200] }

// median is the time within which half of those that were served were.
func (a *answers) median() time.Duration {
	slices.Sort(a.took)
	return a.took[len(a.took)/2]
}

func (a *answers) slowest() time.Duration { return slices.Max(a.took) }

func (a *answers) String() string {
	return fmt.Sprintf("%d sent, %v by status, half within %v, the slowest %v, Retry-After %v", a.sent, a.by,
		a.median().Round(time.Millisecond), a.slowest().Round(time.Millisecond), a.after)
}

// flow sends all streams for a time and waits for all answers.
func flow(t *testing.T, w *testkit.Weir, d time.Duration, streams ...stream) []*answers {
	t.Helper()
	out := make([]*answers, len(streams))
	var mu sync.Mutex
	var all sync.WaitGroup
	for i, s := range streams {
		a := &answers{by: map[int]int{}, after: map[string]int{}, failed: map[string]int{}}
		out[i] = a
		all.Go(func() {
			gap := time.Second / time.Duration(s.rate)
			tick := time.NewTicker(gap)
			defer tick.Stop()
			begun := time.Now()
			for time.Since(begun) < d {
				due := int(time.Since(begun)/gap) + 1 // also what a late tick left out
				for ; a.sent < due; a.sent++ {
					all.Go(func() {
						status, after, took, err := once(w.Address, s)
						mu.Lock()
						defer mu.Unlock()
						switch {
						case err != nil:
							a.failed[err.Error()]++
						case status == 200:
							a.by[200]++
							a.took = append(a.took, took)
						default:
							a.by[status]++
							a.after[after]++
						}
					})
				}
				<-tick.C
			}
		})
	}
	all.Wait()
	for i, a := range out {
		if len(a.failed) > 0 {
			t.Errorf("%s: failed: %v", streams[i].path, a.failed)
		}
		if a.served() == 0 {
			a.took = []time.Duration{0}
		}
		t.Logf("%s of %s, %d/s: %v", streams[i].path, streams[i].client, streams[i].rate, a)
	}
	return out
}

// once makes one request on a connection of its own.
func once(address string, s stream) (status int, after string, took time.Duration, err error) {
	begun := time.Now()
	c, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		return 0, "", 0, err
	}
	defer c.Close()
	if err = c.SetDeadline(begun.Add(20 * time.Second)); err != nil {
		return 0, "", 0, err
	}
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: e2e.test\r\nX-Forwarded-For: %s\r\nConnection: close\r\n\r\n", s.path, s.client)
	text, err := io.ReadAll(c)
	if err != nil {
		return 0, "", 0, err
	}
	line, rest, _ := strings.Cut(string(text), "\r\n")
	if _, err = fmt.Sscanf(line, "HTTP/1.1 %d", &status); err != nil {
		return 0, "", 0, fmt.Errorf("%q: %w", line, err)
	}
	if _, rest, ok := strings.Cut(rest, "Retry-After: "); ok {
		after, _, _ = strings.Cut(rest, "\r\n")
	}
	return status, after, time.Since(begun), nil
}

// work is how long a request takes at a server of these tests; two servers do two at a time, so 80 a second in all.
const (
	work     = 50 * time.Millisecond
	capacity = 80
)

// limited is two such servers. It fails the test when more than two requests at a time come to one.
func limited(t *testing.T) string {
	var addresses []string
	for range 2 {
		var now atomic.Int64
		a := serveApp(t, "", func(_ *app, _ int, w http.ResponseWriter, _ *http.Request) {
			if n := now.Add(1); n > 2 {
				t.Errorf("%d requests at a time", n)
			}
			time.Sleep(work)
			now.Add(-1)
			io.WriteString(w, "done\n")
		})
		addresses = append(addresses, a.address)
	}
	return "[\"" + strings.Join(addresses, "\", \"") + "\"]"
}

const overloaded = `
listen: {http: ["@ADDRESS@"]}
log: {access: {to: none}}
trusted_proxies: [127.0.0.1]
pools:
  web:
    servers: %s
    max_conn: 2
    queue: %s
sites:
  - hosts: ["*"]
    routes:
      - {match: {path: /pay}, pool: web, priority: high}
      - {match: {path: /robot}, pool: web, priority: low}
      - {pool: web}
`

// allIdle expects that nothing is left of the load: no request at a server or in a queue, and no client's connection.
func allIdle(t *testing.T, w *testkit.Weir) {
	t.Helper()
	testkit.Eventually(t, 20*time.Second, "nothing is under way", func() bool {
		s := w.Status().Edge
		left := s.Active + s.Connections
		for _, p := range s.Pools {
			left += p.Queued
			for _, sv := range p.Servers {
				left += sv.Active
			}
		}
		return left == 0
	})
}

// turnedAway expects that who was not served was told when to come back.
func turnedAway(t *testing.T, a *answers) {
	t.Helper()
	for status := range a.by {
		if status != 200 && status != 503 {
			t.Errorf("%d answers with status %d", a.by[status], status)
		}
	}
	for after, n := range a.after {
		if seconds, err := strconv.Atoi(after); err != nil || seconds < 1 || seconds > 60 {
			t.Errorf("%d answers with Retry-After %q", n, after)
		}
	}
}

// TestTenTimesTheLoad: the servers stay as busy as they can be and no busier, who is served is served soon, who pays is
// served first, robots are the first to be turned away, and everybody else is told when to come back.
func TestTenTimesTheLoad(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Plain: true, Config: fmt.Sprintf(overloaded, limited(t), "{size: 40, timeout: 2s}")})
	const seconds = 4
	got := flow(t, w, seconds*time.Second, stream{"/pay", "192.0.2.1", 20}, stream{"/", "192.0.2.2", 5 * capacity}, stream{"/robot", "192.0.2.3", 5 * capacity})
	pay, page, robot := got[0], got[1], got[2]
	for _, a := range got {
		turnedAway(t, a)
		if a.slowest() > 4*time.Second {
			t.Errorf("one was served after %v: nobody may wait longer than 2 s", a.slowest())
		}
	}
	if pay.served() < pay.sent*95/100 {
		t.Errorf("of those who pay %d of %d were served", pay.served(), pay.sent)
	}
	if robot.served() > page.served()/5 {
		t.Errorf("%d robots were served, and %d others", robot.served(), page.served())
	}
	if all := pay.served() + page.served() + robot.served(); all < capacity*seconds*7/10 {
		t.Errorf("%d were served in %d s, want %d a second", all, seconds, capacity)
	}
	if n := w.Status().Edge.Pools[0].Shed; n == 0 {
		t.Error("status does not tell that anybody made room")
	}
	allIdle(t, w)
}

// TestOneGreedyClient: it waits for itself, and the others do not notice.
func TestOneGreedyClient(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Plain: true, Config: fmt.Sprintf(overloaded, limited(t), "{size: 60, timeout: 2s, fair: client_ip}")})
	streams := []stream{{"/", "192.0.2.1", 6 * capacity}}
	for i := range 10 {
		streams = append(streams, stream{"/", fmt.Sprintf("198.51.100.%d", i), 3})
	}
	got := flow(t, w, 4*time.Second, streams...)
	served, sent := 0, 0
	for _, a := range got[1:] {
		served += a.served()
		sent += a.sent
		turnedAway(t, a)
	}
	if served < sent*95/100 {
		t.Errorf("of the modest %d of %d were served", served, sent)
	}
	if got[0].served() < capacity {
		t.Errorf("only %d of the greedy were served: the rest is for it", got[0].served())
	}
	allIdle(t, w)
}

// TestNewestFirst: under overload a queue in the order of arrival makes everybody wait for all of it, an adaptive one does not.
func TestNewestFirst(t *testing.T) {
	medians := map[string]time.Duration{}
	for _, order := range []string{"fifo", "adaptive_lifo"} {
		w := testkit.Run(t, testkit.Setup{Plain: true, Config: fmt.Sprintf(overloaded, limited(t), "{size: 100, timeout: 2s, order: "+order+"}")})
		got := flow(t, w, 4*time.Second, stream{"/", "192.0.2.1", 5 * capacity})[0]
		turnedAway(t, got)
		if got.served() < capacity*4*7/10 {
			t.Errorf("%s: only %d were served", order, got.served())
		}
		medians[order] = got.median()
		allIdle(t, w)
	}
	if medians["adaptive_lifo"] > medians["fifo"]/2 {
		t.Errorf("half were served within %v", medians)
	}
}

// TestRetryStorm: when all servers fail, they get little more than what clients sent, however often each may be tried again.
func TestRetryStorm(t *testing.T) {
	var came atomic.Int64
	var addresses []string
	for range 3 {
		a := serveApp(t, "", func(_ *app, _ int, w http.ResponseWriter, _ *http.Request) {
			came.Add(1)
			c, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			c.Close() // no answer
		})
		addresses = append(addresses, a.address)
	}
	w := testkit.Run(t, testkit.Setup{Plain: true, Config: fmt.Sprintf(`
listen: {http: ["@ADDRESS@"]}
log: {access: {to: none}}
pools:
  web:
    servers: ["%s"]
    retry: {attempts: 5, budget: 10%%}
sites:
  - hosts: ["*"]
    routes:
      - match: {path: /ready}
        respond: {status: 200}
      - pool: web
`, strings.Join(addresses, `", "`)), Ready: "/ready"})
	begun := time.Now()
	f := testkit.Load{Address: w.Address, Conns: 8, Check: func(_ string, m *testkit.Message) error {
		if m.Status != 502 {
			return fmt.Errorf("status %d", m.Status)
		}
		return nil
	}}.Start(t)
	f.After(t, 3000)
	r := f.Stop()
	free := 100 * (1 + int(time.Since(begun)/(10*time.Second)))
	most := r.Requests + r.Requests/10 + 2*free
	t.Logf("%d requests, %d came to the servers", r.Requests, came.Load())
	if r.Failed() > 0 || int(came.Load()) > most || int(came.Load()) < r.Requests {
		t.Errorf("%v; %d came to the servers, want %d at the most", r, came.Load(), most)
	}
	allIdle(t, w)
}

// stuck are connections of a server that answers nothing. It counts as the system does, which has got the end of a
// connection before what was sent after that: the server itself learns of either when it gets round to it.
type stuck struct {
	mu   sync.Mutex
	all  map[*net.TCPConn]bool
	most int // whose peers had not closed, at a time
}

// hold keeps a request's connection until its peer closes it.
func (s *stuck) hold(w http.ResponseWriter) error {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return err
	}
	defer conn.Close()
	c := conn.(*net.TCPConn)
	s.mu.Lock()
	s.all[c] = true
	n := 0
	for other := range s.all {
		if !closedByPeer(other) {
			n++
		}
	}
	s.most = max(s.most, n)
	s.mu.Unlock()
	_, err = c.Read(make([]byte, 1))
	s.mu.Lock()
	delete(s.all, c)
	s.mu.Unlock()
	if err == nil {
		return errors.New("more comes on a connection that was not answered")
	}
	return nil
}

// counts returns how many are held now, and of how many at a time the peers had not closed.
func (s *stuck) counts() (now, most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all), s.most
}

// closedByPeer looks without reading, and beside a read that is under way.
func closedByPeer(c *net.TCPConn) (closed bool) {
	raw, err := c.SyscallConn()
	if err != nil {
		return true
	}
	err = raw.Control(func(fd uintptr) {
		n, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		closed = n == 0 && err == nil || err != nil && !errors.Is(err, syscall.EAGAIN)
	})
	return closed || err != nil
}

// TestHedgeAgainstASlowServer: one of two servers does not answer any more. Nobody notices, no place is lost at it, and its
// connections are closed.
func TestHedgeAgainstASlowServer(t *testing.T) {
	const clients = 8
	held := stuck{all: map[*net.TCPConn]bool{}}
	slow := serveApp(t, "", func(_ *app, _ int, w http.ResponseWriter, _ *http.Request) {
		if err := held.hold(w); err != nil {
			t.Error(err)
		}
	})
	quick := serveApp(t, "", numbered)
	w := testkit.Run(t, testkit.Setup{Plain: true, Config: fmt.Sprintf(`
listen: {http: ["@ADDRESS@"]}
log: {access: {to: none}}
pools:
  web:
    servers: ["%s", "%s"]
    balance: round_robin
    hedge: {after: 20ms, at_most: 100%%}
sites:
  - hosts: ["*"]
    routes: [{pool: web}]
`, slow.address, quick.address)})
	f := testkit.Load{Address: w.Address, Conns: clients}.Start(t)
	f.After(t, 400)
	noneFailed(t, "GET", f.Stop(), 400)
	testkit.Eventually(t, 10*time.Second, "nobody is stuck any more", func() bool { now, _ := held.counts(); return now == 0 })
	// A client has its answer, and may ask again, after the connection to the slow server was closed.
	if _, most := held.counts(); most == 0 || most > clients {
		t.Errorf("%d at a time were stuck", most)
	}
	allIdle(t, w)
}

// TestMaxConnIsFound: with auto, a server that does four at a time is not asked for many more.
func TestMaxConnIsFound(t *testing.T) {
	slots := make(chan struct{}, 4)
	a := serveApp(t, "", func(_ *app, _ int, w http.ResponseWriter, _ *http.Request) {
		slots <- struct{}{}
		time.Sleep(10 * time.Millisecond)
		<-slots
		io.WriteString(w, "done\n")
	})
	w := testkit.Run(t, testkit.Setup{Plain: true, Config: fmt.Sprintf(`
listen: {http: ["@ADDRESS@"]}
log: {access: {to: none}}
pools:
  web:
    servers: ["%s"]
    max_conn: {server: auto, max: 200}
sites:
  - hosts: ["*"]
    routes: [{pool: web}]
`, a.address)})
	f := testkit.Load{Address: w.Address, Conns: 60}.Start(t)
	var seen []int64
	testkit.Eventually(t, time.Minute, "the limit is near what the server does", func() bool {
		f.After(t, 60)
		n := w.Status().Edge.Pools[0].Servers[0].Limit
		seen = append(seen, n)
		if len(seen) < 20 {
			return false
		}
		for _, n := range seen[len(seen)-10:] {
			if n < 2 || n > 16 {
				return false
			}
		}
		return true
	})
	t.Logf("limits: %v", seen)
	noneFailed(t, "GET", f.Stop(), 1000)
	allIdle(t, w)
}
