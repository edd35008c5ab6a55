package cli

import (
	"bytes"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirhq/weir/internal/api"
)

// handKeeper answers as a keeper does, and keeps what it was asked.
func handKeeper(t *testing.T, asked *api.Intervention, status api.Status) (dir string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "weir")
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("unix", filepath.Join(dir, "weir.sock"))
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/intervention", func(w http.ResponseWriter, r *http.Request) {
		if err := api.ReadRequest(w, r, asked); err != nil {
			t.Error(err)
		}
		api.Answer(w, http.StatusOK, asked)
	})
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { api.Answer(w, http.StatusOK, status) })
	mux.HandleFunc("GET /v1/interventions", func(w http.ResponseWriter, _ *http.Request) {
		three := 3
		api.Answer(w, http.StatusOK, api.Interventions{
			Done:  []api.Intervention{{Do: "weight", Pool: "web", Server: "a:1", Weight: &three, By: "ann", Reason: "old machine", At: "2026-01-02T23:00:00Z"}},
			Hands: []api.Hand{{Pool: "web", Server: "a:1", Weight: &three, Listed: "added", State: "drain", By: "ann", Since: "2026-01-02T23:00:00Z"}},
		})
	})
	s := &httptest.Server{Listener: ln, Config: &http.Server{Handler: mux}}
	s.Start()
	t.Cleanup(func() { s.Close(); os.RemoveAll(dir) })
	return dir
}

func TestInterventions(t *testing.T) {
	var in api.Intervention
	dir := handKeeper(t, &in, api.Status{})
	for _, row := range []struct{ args, said, do, pool, server string }{
		{"drain web/10.0.0.5:8080", "web/10.0.0.5:8080 is drained", "drain", "web", "10.0.0.5:8080"},
		{"maint web/app:80/10.1.0.1", "web/app:80/10.1.0.1 is in maintenance", "maint", "web", "app:80/10.1.0.1"},
		{"ready photos/photos/2", "photos/2 is ready", "ready", "photos", "photos/2"},
		{"weight web/a:1 7", "web/a:1 has the weight 7", "weight", "web", "a:1"},
		{"weight web/a:1 reset", "web/a:1 has its configured weight again", "weight", "web", "a:1"},
		{"server add web 10.0.0.9:80 --weight 2", "10.0.0.9:80 is added to web", "add", "web", "10.0.0.9:80"},
		{"server remove web 10.0.0.9:80", "10.0.0.9:80 is removed from web", "remove", "web", "10.0.0.9:80"},
	} {
		in = api.Intervention{}
		got, err := say(t, append(strings.Fields(row.args), "--run-dir", dir, "--by", "ann", "--reason", "new disk")...)
		if err != nil || strings.TrimSpace(got) != row.said {
			t.Errorf("%s: %q, %v", row.args, got, err)
		}
		if in.Do != row.do || in.Pool != row.pool || in.Server != row.server || in.By != "ann" || in.Reason != "new disk" {
			t.Errorf("%s: %+v", row.args, in)
		}
	}
	for args, want := range map[string]string{
		"drain":               "POOL/SERVER",
		"drain web":           "POOL/SERVER",
		"drain /x":            "POOL/SERVER",
		"drain web/":          "POOL/SERVER",
		"weight web/a:1":      "a weight from 0 to 1000",
		"weight web/a:1 1001": "write a whole number",
		"weight web/a:1 -1":   "",
		"weight web/a:1 3x":   "write a whole number",
		"server add web":      "the pool's name",
	} {
		if _, err := say(t, append(strings.Fields(args), "--run-dir", dir)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
	if _, err := say(t, "server", "drop", "web", "x"); err == nil || !strings.Contains(err.Error(), "add and remove") {
		t.Error(err)
	}
	got, err := say(t, "interventions", "--run-dir", dir)
	want := `WHEN                  WHO  WHAT      SUBJECT  REASON
2026-01-02T23:00:00Z  ann  weight 3  web/a:1  old machine

HOLDS                           SINCE                 BY   REASON
web/a:1 added, drain, weight 3  2026-01-02T23:00:00Z  ann
`
	if trailing.ReplaceAllString(got, "") != want || err != nil {
		t.Errorf("%s%v", got, err)
	}
	var out bytes.Buffer
	if err := showInterventions(&out, api.Interventions{}); err != nil || !strings.Contains(out.String(), "nobody intervened") {
		t.Error(out.String(), err)
	}
}

func TestWaitUntilIdle(t *testing.T) {
	var in api.Intervention
	busy := api.Status{Edge: &api.EdgeStatus{Pools: []api.PoolStatus{{Name: "web", Servers: []api.ServerStatus{
		{Name: "a:1", Active: 2}, {Name: "b:1/10.0.0.1"}, {Name: "b:1/10.0.0.2"}}}}}}
	dir := handKeeper(t, &in, busy)
	if _, err := say(t, "drain", "web/b:1", "--wait", "10s", "--run-dir", dir); err != nil {
		t.Error(err)
	}
	if _, err := say(t, "drain", "web/a:1", "--wait", "50ms", "--run-dir", dir); err == nil || !strings.Contains(err.Error(), "2 requests are still under way after 50ms") {
		t.Error(err)
	}
}

// Who takes the last server away is told so.
func TestNobodyIsLeft(t *testing.T) {
	var in api.Intervention
	status := api.Status{Edge: &api.EdgeStatus{Pools: []api.PoolStatus{
		{Name: "web", Servers: []api.ServerStatus{{Name: "a:1", State: "draining"}, {Name: "b:1", State: "down"}}},
		{Name: "other", Servers: []api.ServerStatus{{Name: "a:1", State: "maint"}, {Name: "b:1", State: "ready"}}},
		{Name: "none"}}}}
	dir := handKeeper(t, &in, status)
	const words = "warning: no server of the pool "
	for args, want := range map[string]bool{
		"drain web/a:1": true, "maint web/a:1": true, "weight web/a:1 0": true, "server remove none a:1": true,
		"ready web/a:1": false, "weight web/a:1 3": false, "server add none a:1": false, "drain other/a:1": false,
	} {
		var out, errs bytes.Buffer
		root := rootCommand()
		root.SetArgs(append(strings.Fields(args), "--run-dir", dir))
		root.SetOut(&out)
		root.SetErr(&errs)
		if err := root.ExecuteContext(t.Context()); err != nil || strings.Contains(errs.String(), words) != want {
			t.Errorf("%s: %q, %q, %v", args, out.String(), errs.String(), err)
		}
	}
}
