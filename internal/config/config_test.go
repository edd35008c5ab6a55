package config

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"30s": 30 * time.Second, "1m30s": 90 * time.Second, "500ms": 500 * time.Millisecond, "1d": 24 * time.Hour,
		"1d12h": 36 * time.Hour, "0.5d": 12 * time.Hour, "0": 0, "1.5h": 90 * time.Minute, "0s": 0,
	} {
		if got, ok := ParseDuration(text); !ok || got != want {
			t.Errorf("%q is %v, %v, want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{
		"", "-1s", "+1s", "1", "s", "d", "1d1d", "1h1d", "NaNd", "1e3d", "infd", "1 s", "１s", "9999999999999999999h", "1d-1h", strings.Repeat("1", 50) + "s",
	} {
		if got, ok := ParseDuration(text); ok && got != 1000*24*time.Hour {
			t.Errorf("%q is %v", text, got)
		}
	}
	for d, want := range map[time.Duration]string{time.Minute: "1m", time.Hour: "1h", 90 * time.Second: "1m30s", 0: "0s", 10 * time.Second: "10s", time.Hour + time.Second: "1h0m1s"} {
		if got := showDuration(d); got != want {
			t.Errorf("%v is shown as %s, want %s", d, got, want)
		}
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1": 1, "10B": 10, "1KiB": 1024, "1.5KiB": 1536, "10 MiB": 10 << 20, "2GB": 2e9, "3kB": 3000, "1TiB": 1 << 40,
		"9007199254740993": 9007199254740993, "600MiB": 600 << 20,
	} {
		if got, ok := parseSize(text); !ok || got != want {
			t.Errorf("%q is %d, %v, want %d", text, got, ok, want)
		}
	}
	for _, text := range []string{
		"", "KiB", "-1", "1k", "1K", "1M", "1kib", "1e3", "1.5", "1.5B", "0x10", "1_000", "+1", "99999999999999999999", "99999999TiB", "..KiB", "1 2KiB", "NaNKiB",
	} {
		if got, ok := parseSize(text); ok {
			t.Errorf("%q is %d", text, got)
		}
	}
	for n, want := range map[int64]string{0: "0", 1023: "1023", 1024: "1KiB", 3 << 20: "3MiB", 1 << 40: "1TiB", 1536: "1536"} {
		if got := showSize(n); got != want {
			t.Errorf("%d is shown as %s, want %s", n, got, want)
		}
	}
}

func TestWords(t *testing.T) {
	for command, want := range map[string][]string{
		`a b  c`:             {"a", "b", "c"},
		" a\tb\nc ":          {"a", "b", "c"},
		`a 'b c' "d e"`:      {"a", "b c", "d e"},
		`a'b'"c"d`:           {"abcd"},
		`a "" ''`:            {"a", "", ""},
		`a\ b \'c\' \\`:      {"a b", "'c'", `\`},
		`"a\"b" "c\n" "\$x"`: {`a"b`, `c\n`, "$x"},
		`'a\b' 'it'\''s'`:    {`a\b`, "it's"},
		`sh -c 'a && b | c'`: {"sh", "-c", "a && b | c"},
		`a ${B:-c d} e`:      {"a", "${B:-c d}", "e"},
		`a$b$$ $`:            {"a$b$$", "$"},
		``:                   nil,
		`   `:                nil,
	} {
		got, wrong := words(command)
		var texts []string
		for _, w := range got {
			texts = append(texts, w.text)
		}
		if wrong != "" || !slices.Equal(texts, want) {
			t.Errorf("%q is %q, %s, want %q", command, texts, wrong, want)
		}
	}
	for _, command := range []string{`a 'b`, `a "b`, `a\`, `"a\`} {
		if got, wrong := words(command); wrong == "" {
			t.Errorf("%q is %v", command, got)
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"command", "directory", "user", "env", "workers", "pool", "not"}
	for name, want := range map[string]string{
		"comand": "command", "Command": "command", "commnad": "command", "dir": "", "worker": "workers", "usr": "user", "pol": "pool",
		"zzz": "", "": "", "host": "", "directori": "directory", "command_line": "", "envs": "env", strings.Repeat("x", 500): "",
	} {
		if got := Nearest(name, names); got != want {
			t.Errorf("%q is nearest to %q, want %q", name, got, want)
		}
	}
}

func TestEditDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"abc", "xbc", 1}, {"kitten", "sitting", 3}, {"abc", "cab", 2}} {
		if got := editDistance(c.a, c.b, 10); got != c.want {
			t.Errorf("%q and %q differ by %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

// TestWarnings holds what is allowed and probably not meant.
func TestWarnings(t *testing.T) {
	_, warnings, err := parseFake(`apps:
  web: {command: "serve --bind 127.0.0.1:9000", workers: 2}
pools:
  spare: {servers: ["10.0.0.1:80"]}
sites:
  - hosts: [a.example]
    routes:
      - {match: {any: [{method: POST}, {path: /*}]}, pool: web}
      - {match: {path: /late}, pool: web}
`)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"2:9: warning: every worker of web is told to listen on 127.0.0.1:9000",
		"4:3: warning: no route leads to the pool spare",
		"9:9: warning: no request reaches this route",
	}
	for i, w := range want {
		if i >= len(warnings) || !strings.HasPrefix(warnings[i].String(), "/etc/weir.yaml:"+w) {
			t.Fatalf("got %v, want %q", warnings, want)
		}
	}
	if len(warnings) != len(want) {
		t.Errorf("got %v, want %q", warnings, want)
	}
}

// TestParseForgives: what the machine lost since Load must not keep an edge from coming back.
func TestParseForgives(t *testing.T) {
	const text = `apps: {web: {command: nowhere $PORT, directory: /none, user: nobody-here}}
sites: [{hosts: ["*"], errors: {5xx: gone.html}, routes: [{match: {path: /s/*}, files: /none}, {pool: web}]}]
log: {access: {to: /none/x.log}}
`
	c, warnings, err := parse("/etc/weir.yaml", []byte(text), fakeEnv, fake, false)
	if err != nil {
		t.Fatal(err)
	}
	if len(warnings) != 6 {
		t.Errorf("got %d warnings: %v", len(warnings), warnings)
	}
	if p := c.Sites[0].Errors[0]; p.Body != nil || p.File != "/etc/gone.html" {
		t.Errorf("the page is %+v", p)
	}
	_, _, err = parseFake(text)
	var all Errors
	if !errors.As(err, &all) || len(all) != 6 {
		t.Errorf("a start has %d errors: %v", len(all), err)
	}
}

func TestRunDir(t *testing.T) {
	const text = "apps: {web: {command: serve}}\n"
	env := map[string]string{"XDG_RUNTIME_DIR": "/run/user/7"}
	look := func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	plain := fakeMachine{files: fake.files}
	runDir := func(text string, host machine) string {
		c, _, err := parse("/etc/weir.yaml", []byte(text), look, host, false)
		if err != nil {
			t.Fatal(err)
		}
		return c.RunDir
	}
	if got := runDir(text, fake); got != "/run/weir" {
		t.Errorf("root has %s", got)
	}
	if got := runDir(text, plain); got != "/run/user/7/weir" {
		t.Errorf("a user with XDG_RUNTIME_DIR has %s", got)
	}
	delete(env, "XDG_RUNTIME_DIR")
	if got := runDir(text, plain); got != "/tmp/weir-1000" {
		t.Errorf("a user without XDG_RUNTIME_DIR has %s", got)
	}
	if got := runDir(text+"run_dir: x/../y\n", fake); got != "/etc/y" {
		t.Errorf("run_dir is %s", got)
	}
	c, _, err := parseFake(text)
	if err != nil {
		t.Fatal(err)
	}
	moved, err := c.WithRunDir("/run/other")
	if err != nil || moved.RunDir != "/run/other" || c.RunDir != "/run/weir" {
		t.Errorf("moved to %v, %v; was %s", moved, err, c.RunDir)
	}
	if _, err := c.WithRunDir("/" + strings.Repeat("x", 100)); err == nil {
		t.Error("a run directory whose sockets have too long a path is taken")
	}
}

func TestUserWithoutRoot(t *testing.T) {
	plain := fakeMachine{files: fake.files}
	_, _, err := parse("/etc/weir.yaml", []byte("apps: {web: {command: serve, user: photos}}\n"), fakeEnv, plain, true)
	if err == nil || !strings.Contains(err.Error(), "weir does not run as root, so it cannot run a command as photos") {
		t.Error(err)
	}
	if _, _, err := parse("/etc/weir.yaml", []byte("apps: {web: {command: serve, user: me}}\n"), fakeEnv, plain, true); err != nil {
		t.Error(err)
	}
}

func TestErrorAt(t *testing.T) {
	c, _, err := parseFake("listen:\n  http: [\":80\",\n    \":81\"]\napps:\n  web:\n    command: serve\n")
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"listen.http[1]":      "/etc/weir.yaml:3:5: x: y\n    3 |     \":81\"]\n      |     ^",
		"apps.web.command":    "/etc/weir.yaml:6:5: x: y\n    6 |     command: serve\n      |     ^",
		"apps.web.ready.path": "/etc/weir.yaml:5:3: x: y\n    5 |   web:\n      |   ^",
		"limits.head":         "/etc/weir.yaml: x: y",
	} {
		if got := c.ErrorAt(key, "x", "y").Error(); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", key, got, want)
		}
	}
	if got, want := c.ErrorAtPlace(c.Listen[0].Place, "taken", "").Error(), "/etc/weir.yaml:2:10: taken\n    2 |   http: [\":80\",\n      |          ^"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestSameAgain: what Load recorded gives the same configuration, whatever the environment has become.
func TestSameAgain(t *testing.T) {
	for name, text := range examples(t, "testdata/good") {
		c, _, err := parseFake(text)
		if err != nil {
			t.Fatal(name, err)
		}
		sameAgain(t, c)
	}
}

func sameAgain(t *testing.T, c *Config) {
	t.Helper()
	recorded := func(name string) (string, bool) { v, ok := c.UsedEnv[name]; return v, ok }
	again, _, err := parse(c.File, []byte(c.Text), recorded, fake, false)
	if err != nil {
		t.Fatalf("%s: %v", c.Text, err)
	}
	if diff := cmp.Diff(show(t, c), show(t, again)); diff != "" {
		t.Errorf("not the same again:\n%s", diff)
	}
}

// TestLoad is on the real machine.
func TestLoad(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	put("run", "#!/bin/sh\n", 0o755)
	put("sorry.html", "sorry", 0o644)
	path := put("weir.yaml", `apps: {web: {command: './run "${GREETING}"'}}
sites: [{hosts: ["*"], errors: {5xx: sorry.html}, routes: [{match: {path: /s/*}, files: .}, {pool: web}]}]
log: {access: {to: access.log}}
`, 0o644)
	env := func(name string) (string, bool) { return "hello", name == "GREETING" }
	c, warnings, err := Load(path, Options{Env: env})
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	if got := string(c.Sites[0].Errors[0].Body); got != "sorry" {
		t.Errorf("the page is %q", got)
	}
	if a := c.Apps[0]; a.Directory != dir || !slices.Equal(a.Argv, []string{"./run", "hello"}) || a.Workers < 1 {
		t.Errorf("the app is %+v", a)
	}
	if c.File != path || c.Sites[0].Routes[0].Files.Root != dir || c.Log.Access[0].To != filepath.Join(dir, "access.log") {
		t.Errorf("paths are not absolute: %+v", c)
	}
	if want := map[string]string{"GREETING": "hello"}; cmp.Diff(c.UsedEnv, want) != "" {
		t.Errorf("used %v", c.UsedEnv)
	}
	again, _, err := Parse(c.File, []byte(c.Text), func(name string) (string, bool) { v, ok := c.UsedEnv[name]; return v, ok })
	if err != nil || again.Apps[0].Argv[1] != "hello" {
		t.Errorf("again: %v, %v", again, err)
	}
	for name, want := range map[string]string{
		"none.yaml": "none.yaml: the file cannot be read: no such file or directory",
		".":         ": the file cannot be read: is a directory",
	} {
		if _, _, err := Load(filepath.Join(dir, name), Options{Env: env}); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
	big := put("big.yaml", "apps: {}\n"+strings.Repeat("#", MaxFile), 0o644)
	if _, _, err := Load(big, Options{Env: env}); err == nil || !strings.Contains(err.Error(), "larger than 4 MiB") {
		t.Errorf("a file that is too big: %v", err)
	}
}

// TestLineBreaks: places are counted as editors count, whatever the line breaks.
func TestLineBreaks(t *testing.T) {
	for _, end := range []string{"\n", "\r\n", "\r"} {
		text := strings.ReplaceAll("\ufeffapps:\n  web:\n    comand: x\n", "\n", end)
		_, _, err := parseFake(text)
		want := "/etc/weir.yaml:3:5: unknown key \"comand\" in an app: did you mean \"command\"?\n    3 |     comand: x\n      |     ^^^^^^"
		if err == nil || err.Error() != want {
			t.Errorf("with %q got\n%v\nwant\n%s", end, err, want)
		}
	}
}

// TestTerminal: what is shown of a file cannot steer the terminal.
func TestTerminal(t *testing.T) {
	_, _, err := parseFake("apps: {\"web\\e[2J\": {command: \"\\e[31mserve\\u202e\"}}\n# \u202e\n")
	if err == nil {
		t.Fatal("no error")
	}
	for _, r := range err.Error() {
		if r < ' ' && r != '\n' || r == 0x7f || r == 0x202e {
			t.Fatalf("%q in %q", r, err.Error())
		}
	}
}

// TestManyErrors: a file that is wrong throughout is told so in bounded space.
func TestManyErrors(t *testing.T) {
	_, _, err := parseFake("apps: {web: {command: serve}}\n" + strings.Repeat("x: {a: b}\n", 1000))
	var all Errors
	if !errors.As(err, &all) || len(all) != maxErrors+1 || !strings.Contains(all[maxErrors].Message, "more errors are not shown") {
		t.Errorf("got %d errors, the last %v", len(all), all[len(all)-1])
	}
}
