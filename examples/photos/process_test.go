package main

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// program is this program as a process of its own, on a socket.
type program struct {
	cmd    *exec.Cmd
	socket string
	said   bytes.Buffer
}

func startProgram(t *testing.T, where string, name string) *program {
	t.Helper()
	p := &program{socket: filepath.Join(t.TempDir(), name)}
	p.cmd = exec.Command(os.Args[0], "serve", "-db", where, "-users", "40", "-photos", "600")
	p.cmd.Env = append(os.Environ(), "PHOTOS_IS_THE_PROGRAM=1", "SOCKET="+p.socket)
	p.cmd.Stdout, p.cmd.Stderr = &p.said, &p.said
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.cmd.Process.Kill() // an error: it has ended already
		p.cmd.Wait()
	})
	return p
}

// browser waits until the process serves.
func (p *program) browser(t *testing.T) *browser {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", p.socket)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	b := newBrowser(t, "http://photos.example", transport)
	for limit := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		resp, err := b.client.Get(b.base + "/healthz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return b
			}
		}
		if time.Now().After(limit) {
			t.Fatalf("it does not serve: %v", err)
		}
	}
}

// stop asks the process to end and returns how it did.
func (p *program) stop() error {
	p.cmd.Process.Signal(syscall.SIGTERM)
	return p.cmd.Wait()
}

// TestProcessesShareADatabase starts four at once on an empty database: one fills it, all serve it, and a session that
// one began is known to the others.
func TestProcessesShareADatabase(t *testing.T) {
	where := database(t)
	var programs []*program
	for _, name := range []string{"a", "b", "c", "d"} {
		programs = append(programs, startProgram(t, where, name))
	}
	var browsers []*browser
	for _, p := range programs {
		browsers = append(browsers, p.browser(t))
	}
	name, shown := madeName(3)
	browsers[0].signIn(name, demoPassword)
	for i, b := range browsers[1:] {
		b.client.Jar = browsers[0].client.Jar
		_, body := b.post("/p/5/comments", url.Values{"token": {b.token("/p/5")}, "body": {"from " + programs[i+1].socket}})
		if !strings.Contains(body, shown+"</a>, <time") {
			t.Errorf("process %d does not know the session", i+1)
		}
	}
	_, body := browsers[0].get("/p/5")
	for _, p := range programs[1:] {
		if !strings.Contains(body, "from "+p.socket) {
			t.Errorf("the comment made at %s is not there", p.socket)
		}
	}
	filled := 0
	for i, p := range programs {
		browsers[i].client.CloseIdleConnections()
		if err := p.stop(); err != nil {
			t.Errorf("process %d: %v: %s", i, err, &p.said)
		}
		filled += strings.Count(p.said.String(), "filled the database")
	}
	if os.Getenv("PHOTOS_TEST_POSTGRES") == "" && filled > 1 {
		t.Errorf("%d of them filled the database", filled)
	}
}

// TestStopFinishesRequests has a request under way when TERM comes.
func TestStopFinishesRequests(t *testing.T) {
	p := startProgram(t, database(t), "a")
	p.browser(t).client.CloseIdleConnections()
	conn, err := net.Dial("unix", p.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	// The server has the head and waits for the body: 100 (Continue) says so.
	conn.Write([]byte("POST /signin HTTP/1.1\r\nHost: photos.example\r\nConnection: close\r\nContent-Length: 3\r\n" +
		"Expect: 100-continue\r\nCookie: form=x\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n"))
	answer := make([]byte, 4096)
	n, err := conn.Read(answer)
	if err != nil || !strings.HasPrefix(string(answer[:n]), "HTTP/1.1 100 ") {
		t.Fatalf("%q, %v", answer[:n], err)
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	for limit := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) { // no new connections
		c, err := net.Dial("unix", p.socket)
		if err != nil {
			break
		}
		c.Close()
		if time.Now().After(limit) {
			t.Fatal("it still takes connections")
		}
	}
	conn.Write([]byte("a=b"))
	if n, err = conn.Read(answer); err != nil || !strings.HasPrefix(string(answer[:n]), "HTTP/1.1 403 ") {
		t.Errorf("%q, %v", answer[:n], err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// TestFillAfterADeath finds what a process left that died while it filled.
func TestFillAfterADeath(t *testing.T) {
	if os.Getenv("PHOTOS_TEST_POSTGRES") != "" {
		return // the database is filled by then, and is not ours to empty
	}
	s, err := openStore(t.Context(), database(t))
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if _, err := s.db.Exec("INSERT INTO users (id, name, shown, password, joined) VALUES (1, 'half', 'Half', '', 0)"); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time does nothing
		if err := s.fill(t.Context(), 3, 7, &bar{}); err != nil {
			t.Fatal(err)
		}
	}
	var users, photos int
	s.db.QueryRow("SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM photos)").Scan(&users, &photos)
	if users != 3 || photos != 7 {
		t.Errorf("%d users, %d photos", users, photos)
	}
}

func TestRunRefuses(t *testing.T) {
	for args, want := range map[string]string{
		"sing":                 `there is no "sing"`,
		"serve x":              "unexpected argument",
		"seed -users 0":        "give 1 to",
		"seed -photos -1":      "give 1 to",
		"seed -db /dev/null/x": "making the data folder",
	} {
		err := run(t.Context(), strings.Fields(args), func(string) string { return "" })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
}
