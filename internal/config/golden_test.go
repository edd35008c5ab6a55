package config

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"
)

// fakeMachine is a machine with a few files, the same everywhere.
type fakeMachine struct {
	files fstest.MapFS
	root  bool
}

var fake = fakeMachine{root: true, files: fstest.MapFS{
	"usr/bin/serve":            {Mode: 0o755},
	"usr/bin/sh":               {Mode: 0o755},
	"etc/weir.yaml":            {Mode: 0o644},
	"etc/readme.txt":           {Mode: 0o644},
	"etc/errors/sorry.html":    {Mode: 0o644, Data: []byte("<h1>Sorry</h1>")},
	"etc/errors/none.html":     {Mode: 0o644, Data: []byte("<h1>None</h1>")},
	"srv/www/static/site.css":  {Mode: 0o644},
	"srv/secret":               {Mode: fs.ModeDir},
	"srv/ro":                   {Mode: fs.ModeDir},
	"srv/root":                 {Mode: fs.ModeDir},
	"srv/cache/0000000001.seg": {Mode: 0o600},
	"srv/cache/secret":         {Mode: 0o600},
	"var/tmp":                  {Mode: fs.ModeDir | 0o777},
	"srv/shared/lock":          {Mode: 0o600},
	"srv/shared":               {Mode: fs.ModeDir | 0o777},
	"var/log":                  {Mode: fs.ModeDir | 0o755},
}}

func inside(path string) string {
	if path == "/" {
		return "."
	}
	return strings.TrimPrefix(path, "/")
}

func (m fakeMachine) stat(path string) (fs.FileInfo, error) { return m.files.Stat(inside(path)) }

func (m fakeMachine) read(path string, _ int64) ([]byte, error) {
	if info, err := m.stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, errors.New("it is no regular file")
	}
	return m.files.ReadFile(inside(path))
}

func (m fakeMachine) readable(dir string) error {
	if dir == "/srv/secret" {
		return &fs.PathError{Op: "open", Path: dir, Err: fs.ErrPermission}
	}
	return nil
}

func (m fakeMachine) writable(dir string) error {
	switch dir {
	case "/srv/root":
		return &fs.PathError{Op: "open", Path: dir, Err: fs.ErrPermission}
	case "/srv/ro":
		return &fs.PathError{Op: "open", Path: dir, Err: syscall.EROFS}
	}
	return nil
}

func (m fakeMachine) names(dir string, enough func(string) bool) error {
	list, err := m.files.ReadDir(inside(dir))
	for _, f := range list {
		if enough(f.Name()) {
			break
		}
	}
	return err
}

func (fakeMachine) memory() int64     { return 16 << 30 }
func (fakeMachine) room(string) int64 { return 100 << 30 }

func (m fakeMachine) hasUser(name string) error {
	if name != "photos" {
		return errors.New("unknown user")
	}
	return nil
}

func (m fakeMachine) uid() int {
	if m.root {
		return 0
	}
	return 1000
}
func (fakeMachine) userName() string { return "me" }
func (fakeMachine) cpus() int        { return 4 }
func (fakeMachine) now() time.Time   { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }
func (fakeMachine) temp() string     { return "/var/tmp" }
func (fakeMachine) self() string     { return "/usr/bin/weir" }

var fakeVariables = map[string]string{
	"PATH": "/usr/bin", "DJANGO_KEY": "s3cret: {not: yaml}", "TWO_WORDS": "two words", "WORKERS": "3", "YAMLISH": "a: [b", "EMPTY": "",
}

func fakeEnv(name string) (string, bool) {
	v, ok := fakeVariables[name]
	return v, ok
}

// parse reads a file without what it includes.
func parse(path string, text []byte, env func(string) (string, bool), host machine, strict bool) (*Config, []Warning, error) {
	m, err := Open(path, text, 1, Options{Env: env, Strict: strict, host: host})
	if err != nil {
		return nil, nil, err
	}
	j, err := m.Join(nil)
	if err != nil {
		return nil, nil, err
	}
	return j.Config, j.Warnings, nil
}

func parseFake(text string) (*Config, []Warning, error) {
	return parse("/etc/weir.yaml", []byte(text), fakeEnv, fake, true)
}

// TestBad holds what is said of each file in testdata/bad.
func TestBad(t *testing.T) {
	for name, text := range examples(t, "testdata/bad") {
		t.Run(name, func(t *testing.T) {
			_, warnings, err := parseFake(text)
			var all Errors
			if !errors.As(err, &all) || len(all) == 0 {
				t.Fatalf("no error, but %v", err)
			}
			checkErrors(t, text, all)
			said := all.Error() + "\n"
			for _, w := range warnings {
				said += w.String() + "\n"
			}
			golden(t, filepath.Join("testdata/bad", name+".want"), said)
		})
	}
}

// checkErrors holds what is true of every error: it is in the file, in order, and speaks in one line.
func checkErrors(t *testing.T, text string, all Errors) {
	t.Helper()
	src := newSource("", []byte(text))
	for i, e := range all {
		if e.Place.Line > len(src.lines) || e.Place.Line > 0 && e.Line != src.shown(e.Place.Line) {
			t.Errorf("%v is not in the file", e)
		}
		if i > 0 && e.Place.before(all[i-1].Place) && e.Place.Line > 0 {
			t.Errorf("%v comes after %v", e, all[i-1])
		}
		if n := strings.Count(e.Error(), "\n"); n > 2 {
			t.Errorf("%v is in %d lines", e, n+1)
		}
		if e.Message == "" || e.Place.File == "" {
			t.Errorf("%#v says nothing", e)
		}
	}
}

// TestGood holds what each file in testdata/good means.
func TestGood(t *testing.T) {
	for name, text := range examples(t, "testdata/good") {
		t.Run(name, func(t *testing.T) {
			c, warnings, err := parseFake(text)
			if err != nil {
				t.Fatal(err)
			}
			c.Text, c.Place = "", nil
			got, err := json.MarshalIndent(c, "", " ")
			if err != nil {
				t.Fatal(err)
			}
			said := string(got) + "\n"
			for _, w := range warnings {
				said += w.String() + "\n"
			}
			golden(t, filepath.Join("testdata/good", name+".want"), said)
		})
	}
}

func examples(t testing.TB, dir string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatal("no examples", err)
	}
	out := map[string]string{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		out[strings.TrimSuffix(filepath.Base(f), ".yaml")] = string(text)
	}
	return out
}
