package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/weirhq/weir/internal/config"
)

// run runs one command and returns what it wrote.
func run(t *testing.T, c *cobra.Command, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	c.SetOut(&out)
	c.SetErr(&errs)
	c.SetArgs(args)
	err = c.Execute()
	return out.String(), errs.String(), err
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "weir.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCheckGood(t *testing.T) {
	path := write(t, `
apps:
  web: {command: sh -c 'serve $PORT'}
  admin: {command: sh -c 'serve $PORT'}
pools: {old: {servers: ["127.0.0.1:9000"]}}
sites:
  - hosts: [example.com]
    routes: [{pool: web}, {pool: old}]
  - {hosts: ["*"], routes: [{respond: 404}]}
`)
	stdout, stderr, err := run(t, checkCommand(), path)
	if err != nil {
		t.Fatal(err, stderr)
	}
	if want := path + " is good: 2 apps, 1 pool, 2 sites, 3 routes\n"; stdout != want {
		t.Errorf("got %q, want %q", stdout, want)
	}
	if !strings.Contains(stderr, path+":8:27: warning: no request reaches this route") {
		t.Errorf("no warning in %q", stderr)
	}
}

func TestCheckBad(t *testing.T) {
	path := write(t, "apps: {web: {comand: serve}}\n")
	stdout, stderr, err := run(t, checkCommand(), path)
	var all config.Errors
	if !errors.As(err, &all) || stdout != "" {
		t.Fatalf("got %v and %q", err, stdout)
	}
	if want := path + `:1:14: unknown key "comand" in an app: did you mean "command"?`; !strings.Contains(stderr, want) {
		t.Errorf("got %q, want %q in it", stderr, want)
	}
}

func TestCheckMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.yaml")
	_, _, err := run(t, checkCommand(), path)
	if want := path + ": the file cannot be read: no such file or directory"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if _, _, err := run(t, checkCommand()); err == nil || !strings.Contains(err.Error(), "weir check FILE") {
		t.Errorf("without a file: %v", err)
	}
}

func TestSchema(t *testing.T) {
	stdout, _, err := run(t, schemaCommand())
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal([]byte(stdout), &schema); err != nil {
		t.Fatal(err)
	}
	if schema["$schema"] != "https://json-schema.org/draft/2020-12/schema" {
		t.Errorf("schema %v", schema["$schema"])
	}
	if _, _, err := run(t, schemaCommand(), "x"); err == nil {
		t.Error("an argument is taken")
	}
}

// TestCheckUpToTheEdge: what an edge would refuse is not good, though each value by itself is.
func TestCheckUpToTheEdge(t *testing.T) {
	path := write(t, "pools: {p: {servers: [\"127.0.0.1:9000\"]}}\nsites:\n  - hosts: [\"*\"]\n    routes:\n      - {match: {not: {}}, pool: p}\n")
	_, stderr, err := run(t, checkCommand(), path)
	if text := fmt.Sprint(err) + stderr; err == nil || !strings.Contains(text, path+":5:") || !strings.Contains(text, "not") {
		t.Errorf("%v%s", err, stderr)
	}
	path = write(t, "pools: {p: {servers: [\"127.0.0.1:9000\"]}}\nsites:\n  - hosts: [\"*\"]\n    routes:\n      - {pool: p, cache: {bypass: {not: {}}}}\n")
	if _, stderr, err = run(t, checkCommand(), path); err == nil || !strings.Contains(fmt.Sprint(err), path+":5:") {
		t.Errorf("%v%s", err, stderr)
	}
}
