package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/weirhq/weir/internal/testkit"
)

// guest is a client in a session.
type guest struct {
	t      *testing.T
	w      *testkit.Weir
	cookie string
	worker int // where the last request was answered
}

// ask makes a request, on a connection of its own, takes the cookie that comes with the answer, and returns what the
// app saw of cookies.
func (g *guest) ask() (seen string) {
	g.t.Helper()
	c := g.w.Dial()
	defer c.Close()
	m := send(c, "GET", "/echo", "Cookie: "+g.cookie+"\r\n")
	var got struct {
		Fields map[string][]string
		Worker int
	}
	if err := json.Unmarshal([]byte(m.Body), &got); m.Status != 200 || err != nil {
		g.t.Fatalf("%d %s: %v", m.Status, m.Body, err)
	}
	g.worker = got.Worker
	if set := m.Field("Set-Cookie"); set != "" {
		pair, _, _ := strings.Cut(set, ";")
		g.cookie = "mine=1; " + pair
	}
	return strings.Join(got.Fields["Cookie"], "; ")
}

// stays asks some times, and says whether the session stayed where it was.
func (g *guest) stays(what string) {
	g.t.Helper()
	was, cookie := g.worker, g.cookie
	for range 3 {
		if g.ask(); g.worker != was || g.cookie != cookie {
			g.t.Errorf("%s: a session of worker %d was sent to %d", what, was, g.worker)
			return
		}
	}
}

// TestSessionsStay: whatever happens to weir, a session stays at its worker; when the worker dies it moves on.
func TestSessionsStay(t *testing.T) {
	for _, way := range []string{"cookie: SRV", "learn: sid"} {
		t.Run(way, func(t *testing.T) {
			config := strings.Replace(hello(4, "pools:\n  hello: {app: hello, balance: round_robin, sticky: {"+way+"}}\n"),
				"to: none", "to: '@DIR@/access.log'", 1)
			w := testkit.Run(t, testkit.Setup{Plain: true, Config: config})
			waitWorkers(t, w, "hello", 4)
			var guests []*guest
			used := map[int]bool{}
			for i := range 16 {
				g := &guest{t: t, w: w, cookie: fmt.Sprint("mine=1; sid=", i)}
				if way == "cookie: SRV" {
					g.cookie = "mine=1"
				}
				g.ask()
				if seen := g.ask(); strings.Contains(seen, "SRV") || !strings.Contains(seen, "mine=1") {
					t.Errorf("the app saw the cookies %s", seen)
				}
				used[g.worker] = true
				guests = append(guests, g)
			}
			if len(used) != 4 {
				t.Errorf("sessions began at %d of 4 workers", len(used))
			}
			all := func(what string) {
				t.Helper()
				for _, g := range guests {
					g.stays(what)
				}
			}
			all("nothing happened")
			w.Write("weir.yaml", strings.Replace(config, "workers: 4", "workers: 4 # the same", 1))
			w.Do("reload")
			all("after a reload")
			w.Do("upgrade")
			all("after an upgrade")
			edge := w.Edge()
			edge.Kill(t, syscall.SIGKILL)
			testkit.Eventually(t, testkit.Patience, "another edge serves", func() bool {
				now := edges(w) == 1 && w.Edge().PID != edge.PID
				status, _, err := tryGet(w, "/healthz")
				return now && err == nil && status == 200
			})
			all("after the edge was killed")
			w.Do("reload", "hello")
			for _, g := range guests {
				g.ask() // its place has another process
			}
			all("after the workers were replaced")
			dead := guests[0].worker
			for _, p := range w.Workers("hello") {
				if p.PID == dead {
					p.Kill(t, syscall.SIGKILL)
				}
			}
			for _, g := range guests {
				if g.ask(); g.worker == dead {
					t.Errorf("a dead worker answered")
				}
			}
			waitWorkers(t, w, "hello", 4)
			text, err := os.ReadFile(filepath.Join(w.Dir, "access.log"))
			if err != nil {
				t.Fatal(err)
			}
			for _, word := range []string{"new", "kept"} {
				if !strings.Contains(string(text), `"session":"`+word+`"`) {
					t.Errorf("the access log never says %s", word)
				}
			}
			if moved := strings.Count(string(text), `"session":"moved"`); moved > 2*len(guests) { // while its place was empty, at the reload and after the kill
				t.Errorf("sessions moved %d times", moved)
			}
		})
	}
}

// tryGet is a GET that may fail.
func tryGet(w *testkit.Weir, path string) (status int, body string, err error) {
	c := w.Dial()
	defer c.Close()
	c.Send("GET " + path + " HTTP/1.1\r\nHost: e2e.test\r\nConnection: close\r\n\r\n")
	m, err := c.TryResponse("GET")
	if err != nil {
		return 0, "", err
	}
	return m.Status, m.Body, nil
}
