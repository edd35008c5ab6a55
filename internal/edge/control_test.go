package edge

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// call asks an edge's control interface and returns the answer's status.
func call(t *testing.T, c *control, method, path string) int {
	t.Helper()
	w := httptest.NewRecorder()
	c.routes().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, http.NoBody))
	return w.Code
}

func TestRotationLosesNoLine(t *testing.T) {
	dir := t.TempDir()
	path, old := filepath.Join(dir, "access.log"), filepath.Join(dir, "access.log.1")
	r := serveEdge(t, fibers, "log: {access: {to: "+path+"}}\nsites: [{hosts: ['*'], routes: [{respond: {status: 204}}]}]\n")
	c := &control{edge: r.Edge}
	get := func(target string) {
		t.Helper()
		conn, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Write([]byte("GET " + target + " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		r.quiet() // the line is written when the request has ended
	}
	get("/before")
	if err := os.Rename(path, old); err != nil {
		t.Fatal(err)
	}
	get("/between")
	if code := call(t, c, "POST", "/v1/reopen"); code != http.StatusOK {
		t.Fatal(code)
	}
	// What is under the old name is complete as soon as the call is answered.
	text, err := os.ReadFile(old)
	if err != nil || strings.Count(string(text), "\n") != 2 || !strings.Contains(string(text), "/between") {
		t.Errorf("%v %s", err, text)
	}
	get("/after")
	if err := os.Rename(path, path+".2"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	if code := call(t, c, "POST", "/v1/reopen"); code != http.StatusUnprocessableEntity {
		t.Error("a directory is no log", code)
	}
	r.stop(10 * time.Second)
	if text, err := os.ReadFile(path + ".2"); err != nil || !strings.Contains(string(text), "/after") {
		t.Errorf("%v %s", err, text)
	}
}

func TestLogLevelIsHeeded(t *testing.T) {
	r := serveEdge(t, fibers, onePool("", "127.0.0.1:1"))
	r.level = &slog.LevelVar{}
	for _, c := range []struct {
		text string
		want slog.Level
	}{{"error", slog.LevelError}, {"debug", slog.LevelDebug}} {
		if err := r.apply("log: {access: {to: none}, level: " + c.text + "}\n" + onePool("", "127.0.0.1:1")); err != nil || r.level.Level() != c.want {
			t.Error(c.text, r.level, err)
		}
	}
	if err := r.apply(onePool("", "127.0.0.1:1")); err != nil || r.level.Level() != slog.LevelInfo {
		t.Error(r.level, err)
	}
}

func TestAliveAsksEveryLoop(t *testing.T) {
	r := serveEdge(t, fibers, onePool("", "127.0.0.1:1"))
	c := &control{edge: r.Edge}
	if code := call(t, c, "GET", "/v1/alive"); code != http.StatusOK {
		t.Fatal(code)
	}
	hang, answered := make(chan struct{}), make(chan struct{})
	held := make(chan struct{})
	r.locals[1].loop.Post(func() { close(held); <-hang })
	<-held
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	go func() { call(t, c, "GET", "/v1/alive"); close(answered) }()
	select {
	case <-answered:
		t.Error("it is alive with a loop that hangs")
	case <-ctx.Done():
	}
	close(hang)
	<-answered
}
