package api

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func serve(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "weir.sock")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Second}
	done := make(chan struct{})
	go func() { s.Serve(ln); close(done) }()
	c := NewClient(path)
	t.Cleanup(func() { c.Close(); s.Close(); <-done })
	return c
}

func TestClientCalls(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		var d Drain
		if err := ReadRequest(w, r, &d); err != nil {
			AnswerError(w, http.StatusBadRequest, err)
			return
		}
		if d.Worker == "none" {
			AnswerError(w, http.StatusUnprocessableEntity, errors.New("no worker none"))
			return
		}
		Answer(w, http.StatusOK, Drained{Left: d.Within})
	})
	var out Drained
	if err := c.Post(t.Context(), "/v1/drain", Drain{"web/1.1", 12}, &out); err != nil || out.Left != 12 {
		t.Fatal(out, err)
	}
	err := c.Post(t.Context(), "/v1/drain", Drain{Worker: "none"}, &out)
	var failed *Failed
	if !errors.As(err, &failed) || failed.Status != 422 || err.Error() != "no worker none" {
		t.Fatal(err)
	}
	if err := c.Post(t.Context(), "/v1/drain", map[string]any{"wroker": 1}, nil); err == nil || !strings.Contains(err.Error(), "wroker") {
		t.Fatal(err)
	}
	if err := c.Get(t.Context(), "/v1/drain", nil); err != nil {
		t.Fatal(err)
	}
}

func TestClientSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	c := NewClient(KeeperSocket(dir))
	err := c.Get(t.Context(), "/v1/status", nil)
	if err == nil || !strings.Contains(err.Error(), "no weir answers in "+dir) || strings.Contains(err.Error(), "\n") {
		t.Fatal(err)
	}
	stuck := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := stuck.Get(ctx, "/", nil); err == nil || !strings.Contains(err.Error(), "no answer in time") {
		t.Fatal(err)
	}
	plain := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	if err := plain.Get(t.Context(), "/", nil); err == nil || err.Error() != "answered 404 Not Found" {
		t.Fatal(err)
	}
}

func TestDefaultRunDir(t *testing.T) {
	none := func(string) (string, bool) { return "", false }
	set := func(string) (string, bool) { return "/somewhere", true }
	if os.Geteuid() == 0 {
		if got := DefaultRunDir(none); got != "/run/weir" {
			t.Error(got)
		}
	} else if got := DefaultRunDir(none); !strings.Contains(got, "weir-") {
		t.Error(got)
	}
	if got := DefaultRunDir(set); got != "/somewhere" {
		t.Error(got)
	}
}
