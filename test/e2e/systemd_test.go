package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/testkit"
)

// supervisor is the socket that systemd would listen on.
type supervisor struct {
	t    *testing.T
	conn *net.UnixConn
	path string
}

func newSupervisor(t *testing.T) *supervisor {
	t.Helper()
	dir, err := os.MkdirTemp("", "weir-notify-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &supervisor{t: t, path: filepath.Join(dir, "notify")}
	if s.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: s.path, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.conn.Close() })
	return s
}

// hears waits for a message that begins so.
func (s *supervisor) hears(want string) string {
	s.t.Helper()
	b := make([]byte, 4096)
	s.conn.SetReadDeadline(time.Now().Add(testkit.Patience))
	for {
		n, err := s.conn.Read(b)
		if err != nil {
			s.t.Fatalf("waiting for %s: %v", want, err)
		}
		if text := string(b[:n]); strings.HasPrefix(text, want) {
			return text
		}
	}
}

// TestNotify: systemd learns when the site serves, reloads and stops, and that it lives; nobody else is told where it
// listens.
func TestNotify(t *testing.T) {
	s := newSupervisor(t)
	w := testkit.Run(t, testkit.Setup{Config: hello(1, ""), NoWait: true,
		Env: []string{"NOTIFY_SOCKET=" + s.path, "WATCHDOG_USEC=300000"}})
	ready := s.hears("READY=1")
	if status, _ := w.Get("/"); status != 200 {
		t.Errorf("it said that it is ready and answered %d", status)
	}
	if !strings.Contains(ready, "STATUS=serving on "+w.Address) {
		t.Errorf("it said %q", ready)
	}
	s.hears("WATCHDOG=1")
	s.hears("WATCHDOG=1")
	w.Do("reload")
	s.hears("RELOADING=1")
	s.hears("READY=1")
	w.Write("weir.yaml", "listen: 7\n")
	if _, _, code := w.Command("reload"); code == 0 {
		t.Error("a faulty file was taken")
	}
	s.hears("RELOADING=1")
	if again := s.hears("READY=1"); !strings.Contains(again, "problem: reload") {
		t.Errorf("after a reload that failed it said %q", again)
	}
	for _, p := range w.Processes() {
		if p.PID == w.Keeper().PID {
			continue
		}
		if env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", p.PID)); err == nil && strings.Contains(string(env), "NOTIFY_SOCKET") {
			t.Errorf("%v has the socket's name", p)
		}
	}
	w.Stop()
	s.hears("STOPPING=1")
}

// TestSocketActivation: with a socket that was handed down a connection waits while weir is not there.
func TestSocketActivation(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	stray, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer stray.Close()
	var sockets []*os.File
	for _, o := range []net.Listener{l, stray} {
		f, err := o.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		sockets = append(sockets, f)
	}
	for range 2 {
		early := testkit.Dial(t, l.Addr().String())
		early.Send("GET / HTTP/1.1\r\nHost: e2e.test\r\n\r\n")
		w := testkit.Run(t, testkit.Setup{Plain: true, Config: hello(1, ""), Address: l.Addr().String(), Sockets: sockets})
		if m := early.Response("GET"); m.Status != 200 {
			t.Errorf("who came before weir got %d", m.Status)
		}
		early.Close()
		f := testkit.Load{Address: w.Address, Conns: 4, Pause: time.Millisecond}.Start(t)
		w.Do("upgrade")
		w.Do("reload")
		f.After(t, 100)
		noneFailed(t, "GET", f.Stop(), 100)
		if want := stray.Addr().String(); !strings.Contains(w.Output(), "that the configuration does not listen on") || !strings.Contains(w.Output(), want) {
			t.Errorf("it does not say that nobody uses the socket on %s: %s", want, w.Output())
		}
		w.Stop()
	}
}
