package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/picture"
	"github.com/weirhq/weir/internal/testkit"
)

const deskToken = "0123456789abcdef"

// withDesk is a configuration with a status page at an address.
func withDesk(address string) string {
	return hello(2, "") + "\nadmin: {listen: \"" + address + "\", token: " + deskToken + "}\n"
}

// fetch returns an answer of the status page.
func fetch(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+deskToken)
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: testkit.Patience}
	resp, err := c.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(text)
}

// look returns the picture, nil if there is none yet.
func look(t *testing.T, address string) *picture.Picture {
	t.Helper()
	status, text := fetch(t, "GET", "http://"+address+"/api/v1/picture", "")
	if status != http.StatusOK {
		return nil
	}
	var p picture.Picture
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		t.Fatal(err)
	}
	return &p
}

// awaitPicture waits for one of which something is true.
func awaitPicture(t *testing.T, address, what string, is func(*picture.Picture) bool) (p *picture.Picture) {
	t.Helper()
	testkit.Eventually(t, testkit.Patience, what, func() bool {
		p = look(t, address)
		return p != nil && is(p)
	})
	return p
}

// TestDeskCountsOn: what was counted outlives the desk, the edge, and weir's own program, whichever way they go.
func TestDeskCountsOn(t *testing.T) {
	address := testkit.FreeAddress(t)
	w := testkit.Run(t, testkit.Setup{Config: withDesk(address), Own: true})
	c := w.Dial()
	var sent uint64
	send := func(n int) {
		t.Helper()
		for range n {
			if m := request(c, "/"); m.Status != 200 {
				t.Fatalf("status %d", m.Status)
			}
		}
		sent += uint64(n)
	}
	first := awaitPicture(t, address, "the desk has seen the request by which the test found out that weir is there", func(p *picture.Picture) bool { return p.Total.Requests > 0 })
	begun := first.Total.Requests
	all := func(p *picture.Picture) bool { return p.Edge.Up && p.Total.Requests >= begun+sent }
	exactly := func(what string) {
		t.Helper()
		p := awaitPicture(t, address, what+": everything is counted", all)
		if p.Total.Requests != begun+sent {
			t.Errorf("%s: %d requests, want %d", what, p.Total.Requests, begun+sent)
		}
		if !p.Counted.Equal(first.Counted) {
			t.Errorf("%s: counting began anew at %v", what, p.Counted)
		}
	}
	send(10)
	exactly("at first")
	desk := w.Desk()
	desk.Kill(t, syscall.SIGKILL)
	send(10)
	exactly("the desk was killed")
	if now := w.Desk(); now.PID == desk.PID {
		t.Error("it is the same desk")
	}
	w.Edge().Kill(t, syscall.SIGKILL)
	c = w.Dial()
	send(10)
	exactly("the edge was killed")
	desk = w.Desk()
	w.Do("upgrade")
	c = w.Dial()
	send(10)
	exactly("weir was upgraded")
	if now := w.Desk(); now.PID == desk.PID {
		t.Error("the desk is of the former program")
	}
	w.Do("reload")
	send(10)
	exactly("weir was reloaded")
}

// TestDeskHangs: a desk that does not answer, or is killed again and again, costs traffic and reloads nothing, and is replaced.
func TestDeskHangs(t *testing.T) {
	address := testkit.FreeAddress(t)
	w := testkit.Run(t, testkit.Setup{Config: withDesk(address)})
	awaitPicture(t, address, "the desk is there", func(p *picture.Picture) bool { return p.Edge.Up })
	load := testkit.Load{Address: w.Address, Conns: 4, Pause: 5 * time.Millisecond}.Start(t)
	desk := w.Desk()
	desk.Kill(t, syscall.SIGSTOP)
	for i := range 30 { // more than a socket takes
		w.Write("weir.yaml", withDesk(address)+fmt.Sprintf("# %d\n", i))
		w.Do("reload")
	}
	noneFailed(t, "while the desk hangs", load.Stop(), 100)
	for range 4 {
		desk.Kill(t, syscall.SIGKILL)
		testkit.Eventually(t, testkit.Patience, "it is dead", func() bool { return !desk.Alive() })
		desk = w.Desk()
	}
	desk.Kill(t, syscall.SIGKILL)
	awaitPicture(t, address, "another desk is there", func(p *picture.Picture) bool { return p.DeskPID != desk.PID && p.Edge.Up })
	w.Desk().Kill(t, syscall.SIGSTOP) // weir stops all the same
}

// TestDeskComesAndGoes: by reloads, with its address.
func TestDeskComesAndGoes(t *testing.T) {
	one, two := testkit.FreeAddress(t), testkit.FreeAddress(t)
	w := testkit.Run(t, testkit.Setup{Config: hello(1, "")})
	to := func(text string) {
		t.Helper()
		w.Write("weir.yaml", text)
		w.Do("reload")
	}
	to(withDesk(one))
	awaitPicture(t, one, "the desk is there", func(p *picture.Picture) bool { return p.Edge.Up })
	if s := w.Status(); len(s.Admin) != 1 || s.Admin[0] != "http://"+one || len(s.Listen) != 1 {
		t.Errorf("the status names %q and %q", s.Admin, s.Listen)
	}
	to(withDesk(two))
	awaitPicture(t, two, "it answers at another address", func(p *picture.Picture) bool { return p.Edge.Up })
	testkit.Eventually(t, testkit.Patience, "the former address refuses", func() bool {
		c, err := net.Dial("tcp", one)
		if err == nil {
			c.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
	w.Write("weir.yaml", strings.Replace(withDesk(one), one, w.Address, 1))
	if _, errs, code := w.Command("reload"); code == 0 || !strings.Contains(errs, w.Address) {
		t.Errorf("an address for two things was taken: %d %s", code, errs)
	}
	to(hello(1, ""))
	testkit.Eventually(t, testkit.Patience, "the desk is gone", func() bool {
		status, _ := fetch(t, "GET", "http://"+two+"/api/v1/me", "")
		return status == 0
	})
}

// TestDeskActs: what is wished for at the desk is done, and who wished it is noted.
func TestDeskActs(t *testing.T) {
	address := testkit.FreeAddress(t)
	w := testkit.Run(t, testkit.Setup{Config: withDesk(address) + "cache: {memory: 16MiB}\n"})
	p := awaitPicture(t, address, "two workers", func(p *picture.Picture) bool { return len(p.Pools) == 1 && len(p.Pools[0].Servers) == 2 })
	name := p.Pools[0].Servers[0].Name
	if status, text := fetch(t, "POST", "http://"+address+"/api/v1/intervention", `{"do":"drain","pool":"hello","server":"`+name+`","reason":"a test"}`); status != 200 {
		t.Fatalf("%d %s", status, text)
	}
	awaitPicture(t, address, "the server drains", func(p *picture.Picture) bool {
		return p.Pools[0].Servers[0].State == "draining" && p.Pools[0].State == "degraded"
	})
	if out := w.Do("interventions"); !strings.Contains(out, "a test") || !strings.Contains(out, "token") {
		t.Errorf("noted is: %s", out)
	}
	c := api.NewClient(api.DeskSocket(w.RunDir))
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
	defer cancel()
	before := pids(w.Workers("hello"))
	if err := c.Post(ctx, "/api/v1/reload", api.Reload{App: "hello"}, nil); err != nil {
		t.Fatal(err)
	}
	for pid := range pids(w.Workers("hello")) {
		if before[pid] {
			t.Errorf("worker %d was not replaced", pid)
		}
	}
	for path, body := range map[string]string{"reload": `{"reason":"new settings","by":"somebody else"}`, "purge": `{"tags":["news"],"reason":"a correction"}`} {
		if status, text := fetch(t, "POST", "http://"+address+"/api/v1/"+path, body); status != 200 {
			t.Fatalf("%s: %d %s", path, status, text)
		}
	}
	w.Do("reload", "hello", "--by", "ann", "--reason", "a leak")
	w.Do("purge", "--all", "--by", "bob")
	out := w.Do("interventions")
	for _, want := range []string{"token  reload  the configuration ", "new settings", "token  purge   tag news ", "a correction", "ann    reload  app hello ", "a leak", "bob    purge   everything"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not noted:\n%s", want, out)
		}
	}
	testkit.Eventually(t, testkit.Patience, "they are events", func() bool {
		_, text := fetch(t, "GET", "http://"+address+"/api/v1/events", "")
		return strings.Contains(text, "purge tag news: a correction") && strings.Contains(text, `"text":"reload app hello: a leak","by":"ann"`)
	})
	if status, text := fetch(t, "POST", "http://"+address+"/api/v1/purge", `{"all":true,"reason":"`+strings.Repeat("x", 501)+`"}`); status != 422 || !strings.Contains(text, "too long") {
		t.Errorf("%d %s", status, text)
	}
	if status, text := fetch(t, "POST", "http://"+address+"/api/v1/reload", `{"app":"nothing"}`); status != 422 || !strings.Contains(text, "there is no app") {
		t.Errorf("%d %s", status, text)
	}
}

// TestDeskIsNice: whoever looks much takes no processors from traffic.
func TestDeskIsNice(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Config: hello(1, "") + "admin: {}\n"})
	nice := func(p testkit.Process) (all []int) { // of its threads
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.PID))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range threads {
			text, err := os.ReadFile(path)
			if err != nil {
				continue // it has ended
			}
			fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])) // the third of them all is the first here (proc_pid_stat(5))
			n, err := strconv.Atoi(fields[19-3])
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, n)
		}
		return all
	}
	testkit.Eventually(t, testkit.Patience, "the desk is nicer than the edge", func() bool {
		var edge, desk []int
		for _, p := range w.Processes() {
			switch {
			case strings.HasSuffix(p.Command, " edge"):
				edge = nice(p)
			case strings.HasSuffix(p.Command, " desk"):
				desk = nice(p)
			}
		}
		return len(edge) > 0 && len(desk) > 0 && slices.Min(desk) == min(slices.Max(edge)+5, 19)
	})
}
