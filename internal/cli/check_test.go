package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
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
	if !errors.Is(err, errReported) || stdout != "" {
		t.Errorf("got %v and %q", err, stdout)
	}
	if want := path + `:1:14: unknown key "comand" in an app: did you mean "command"?`; !strings.Contains(stderr, want) {
		t.Errorf("got %q, want %q in it", stderr, want)
	}
}

func TestCheckMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.yaml")
	_, stderr, err := run(t, checkCommand(), path)
	if want := path + ": the file cannot be read: no such file or directory\n"; !errors.Is(err, errReported) || stderr != want {
		t.Errorf("got %v and %q, want %q", err, stderr, want)
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
