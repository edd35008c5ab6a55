package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/weirhq/weir/internal/api"
	"github.com/weirhq/weir/internal/testkit"
)

// including is a configuration whose sites are all in files of their own. %s takes further lines.
const including = `
listen: {http: ["@ADDRESS@"]}
log: {access: {to: none}}
include: sites.d/*.yaml
%s
`

// oneSite is a file with one app, one host and one fixed answer, /v, that tells versions apart. more is for the app.
func oneSite(name, host, version, more string) string {
	return fmt.Sprintf(`
apps:
  %[1]s:
    command: "@HELLO@"
    socket: true
    workers: 2
    ready: {path: /healthz, within: 20s, every: 20ms}
    backoff: {min: 20ms, max: 200ms}
    stop: {within: 5s}
%[4]s
sites:
  - hosts: ["%[2]s"]
    routes:
      - {match: {path: /v}, respond: {body: "%[1]s %[3]s"}}
      - {pool: %[1]s}
`, name, host, version, more)
}

// emperor is weir with one good file, a.yaml, which answers every host that no other file has.
func emperor(t *testing.T, main string, files map[string]string) *testkit.Weir {
	t.Helper()
	all := map[string]string{"sites.d/a.yaml": oneSite("a", "*", "1", "")}
	for name, text := range files {
		all["sites.d/"+name] = text
	}
	return testkit.Run(t, testkit.Setup{Config: fmt.Sprintf(including, main), Files: all})
}

// said is what a host answers to /v.
func said(t *testing.T, w *testkit.Weir, host string) string {
	t.Helper()
	c := w.Dial()
	defer c.Close()
	c.Send("GET /v HTTP/1.1\r\nHost: " + host + "\r\n\r\n")
	return string(c.Response("GET").Body)
}

// comes waits until a host answers so.
func comes(t *testing.T, w *testkit.Weir, host, want string) {
	t.Helper()
	got := ""
	for range testkit.Until(30 * time.Second) {
		if got = said(t, w, host); got == want {
			return
		}
	}
	t.Fatalf("%s answers %q, not %q\n%s", host, got, want, w.Do("status"))
}

// fileStatus is what is told of a file, empty if nothing is.
func fileStatus(t *testing.T, w *testkit.Weir, name string) api.FileStatus {
	t.Helper()
	for _, f := range w.Status().Included {
		if strings.HasSuffix(f.Path, "/"+name) {
			return f
		}
	}
	return api.FileStatus{}
}

// complains waits until a file has a problem of which this is part.
func complains(t *testing.T, w *testkit.Weir, name, problem string) (f api.FileStatus) {
	t.Helper()
	for range testkit.Until(30 * time.Second) {
		if f = fileStatus(t, w, name); strings.Contains(f.Problem, problem) {
			return f
		}
	}
	t.Fatalf("of %s nothing is said with %q, but %+v", name, problem, f)
	return f
}

// same expects an app to have the workers that it had.
func same(t *testing.T, w *testkit.Weir, app string, before map[int]bool, when string) {
	t.Helper()
	now := w.Workers(app)
	for _, p := range now {
		if !before[p.PID] {
			t.Errorf("%s: %s has another worker", when, app)
		}
	}
	if len(now) != len(before) {
		t.Errorf("%s: %s has %d workers, and had %d", when, app, len(now), len(before))
	}
}

// TestFileComesAndGoes: a file that is added starts a site, one that is changed reloads just that, one that is removed stops it.
func TestFileComesAndGoes(t *testing.T) {
	w := emperor(t, "", nil)
	a := pids(waitWorkers(t, w, "a", 2))
	w.Write("sites.d/b.yaml", oneSite("b", "b.test", "1", ""))
	comes(t, w, "b.test", "b 1")
	b := pids(waitWorkers(t, w, "b", 2))

	w.Write("sites.d/b.yaml", oneSite("b", "b.test", "2", ""))
	comes(t, w, "b.test", "b 2")
	same(t, w, "b", b, "when a route is changed")

	w.Write("sites.d/b.yaml", oneSite("b", "b.test", "3", "    env: {VERSION: '3'}"))
	comes(t, w, "b.test", "b 3")
	testkit.Eventually(t, testkit.Patience, "the workers of b are others", func() bool {
		all := w.Workers("b")
		return len(all) == 2 && !b[all[0].PID] && !b[all[1].PID]
	})
	b = pids(w.Workers("b"))

	if err := os.Rename(filepath.Join(w.Dir, "sites.d/b.yaml"), filepath.Join(w.Dir, "sites.d/0.yaml")); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, 20*time.Second, "the file is known by its new name", func() bool { return fileStatus(t, w, "0.yaml").InForce })
	same(t, w, "b", b, "when the file has another name")

	w.Write("sites.d/other/b.yaml", "nobody reads this")
	if err := os.Remove(filepath.Join(w.Dir, "sites.d/0.yaml")); err != nil {
		t.Fatal(err)
	}
	comes(t, w, "b.test", "a 1")
	testkit.Eventually(t, testkit.Patience, "the workers of b are gone", func() bool { return len(w.Status().Apps) == 1 })
	same(t, w, "a", a, "after all of that")
	if s := w.Status(); len(s.Included) != 1 || s.Problem != "" || s.EdgeRestarts != 0 {
		t.Errorf("%+v", s)
	}
}

// TestBrokenSitesTouchNobody breaks a site in every way there is, under load on another one.
func TestBrokenSitesTouchNobody(t *testing.T) {
	w := emperor(t, "", nil)
	a := pids(waitWorkers(t, w, "a", 2))
	edge := w.Edge().PID
	load := testkit.Load{Address: w.Address, Conns: 4, Pause: time.Millisecond}.Start(t)
	path := filepath.Join(w.Dir, "sites.d/b.yaml")
	write := func(text string) func() error {
		return func() error { w.Write("sites.d/b.yaml", text); return nil }
	}
	bomb := "sites:\n - hosts: [b.test]\n   routes:\n    - {respond: 200, match: &m0 {path: /a}}\n"
	for i := range 12 {
		bomb += fmt.Sprintf("    - {respond: 200, match: &m%d {any: [%s]}}\n", i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*m%d , ", i), 10), ", "))
	}
	for _, c := range []struct {
		name, problem string
		make          func() error
	}{
		{"no YAML", "is not YAML", write("sites: [")},
		{"half written", "a route without an answer", write("sites:\n - hosts: [b.test]\n   routes:\n    - {match: {path: /v}}\n")},
		{"empty", "the file is empty", write("")},
		{"a key of the whole", "listen in an included file", write("listen: [':1']\n")},
		{"no such command", "there is no command", write("apps: {b: {command: no-such-command}}\n")},
		{"an app that never gets ready", "app b does not start", write(strings.Replace(oneSite("b", "b.test", "1", ""), "{path: /healthz, within: 20s", "{path: /nowhere, within: 300ms", 1))},
		{"an app that crashes", "app b does not start", write(strings.Replace(oneSite("b", "b.test", "1", ""), `"@HELLO@"`, "sh -c 'exit 7'", 1))},
		{"another's host", "the host * is in two sites", write(oneSite("b", "*", "1", ""))},
		{"another's app", "there is an app a already", write(oneSite("a", "b.test", "1", ""))},
		{"a YAML bomb", "aliases make this file grow", write(bomb)},
		{"100 MB", "it is larger than 1MiB", func() error { return errors.Join(os.WriteFile(path, nil, 0o644), os.Truncate(path, 100<<20)) }},
		{"a directory", "it is a directory", func() error { return os.Mkdir(path, 0o755) }},
		{"a pipe", "it is no regular file", func() error { return syscall.Mkfifo(path, 0o644) }},
		{"a link to itself", "too many levels of symbolic links", func() error { return os.Symlink("b.yaml", path) }},
		{"a link to nowhere", "no such file or directory", func() error { return os.Symlink("nowhere", path) }},
		{"an unreadable file", "input/output error", func() error { return os.Symlink("/proc/self/mem", path) }},
	} {
		if err := c.make(); err != nil {
			t.Fatal(c.name, err)
		}
		if f := complains(t, w, "b.yaml", c.problem); f.InForce {
			t.Errorf("%s: it is in force", c.name)
		}
		if got := said(t, w, "a.test"); got != "a 1" {
			t.Errorf("%s: a.test answers %q", c.name, got)
		}
		same(t, w, "a", a, c.name)
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 300 { // it is there and not there, whenever somebody looks
		w.Write("sites.d/b.yaml", oneSite("b", "b.test", fmt.Sprint(i), ""))
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	w.Write("sites.d/b.yaml", oneSite("b", "b.test", "1", ""))
	comes(t, w, "b.test", "b 1")
	for _, p := range w.Workers("b") { // a crash loop of what was well
		p.KillIfThere(t, syscall.SIGKILL)
	}
	load.After(t, 100)
	noneFailed(t, "with broken sites beside it", load.Stop(), 1000)
	same(t, w, "a", a, "at the end")
	if s := w.Status(); s.EdgeRestarts != 0 || w.Edge().PID != edge {
		t.Errorf("the edge was started again: %+v", s)
	}
}

// TestLastGoodGoesOn: a file that is broken leaves its last good version in force, whatever happens to the edge, and over reloads.
func TestLastGoodGoesOn(t *testing.T) {
	w := emperor(t, "", map[string]string{"b.yaml": oneSite("b", "b.test", "1", "")})
	b := pids(waitWorkers(t, w, "b", 2))
	w.Write("sites.d/b.yaml", "sites: [")
	if f := complains(t, w, "b.yaml", "sites.d/b.yaml:1:9: is not YAML"); !f.InForce {
		t.Error("its last good version is not in force")
	}
	if out := w.Do("status"); !strings.Contains(out, "its last good version is in force") || !strings.Contains(out, "is not YAML") {
		t.Errorf("the status does not tell:\n%s", out)
	}
	if n := strings.Count(w.Output(), "an included file is refused"); n != 1 {
		t.Errorf("it was said %d times", n)
	}
	if got := said(t, w, "b.test"); got != "b 1" {
		t.Errorf("b.test answers %q", got)
	}
	was := w.Edge()
	was.KillIfThere(t, syscall.SIGKILL)
	testkit.Eventually(t, testkit.Patience, "there is another edge", func() bool { return w.Edge().PID != was.PID })
	comes(t, w, "b.test", "b 1")
	if _, problem, code := w.Command("reload"); code != 1 || !strings.Contains(problem, "sites.d/b.yaml:1:9: is not YAML") {
		t.Errorf("exit %d, %s", code, problem)
	}
	comes(t, w, "b.test", "b 1")
	w.Do("upgrade")
	comes(t, w, "b.test", "b 1")
	same(t, w, "b", b, "while its file is broken")
	w.Write("sites.d/b.yaml", oneSite("b", "b.test", "2", ""))
	comes(t, w, "b.test", "b 2")
	w.Do("reload")
	if f := fileStatus(t, w, "b.yaml"); f.Problem != "" || !f.InForce {
		t.Errorf("%+v", f)
	}
	same(t, w, "b", b, "when its file is mended")
}

// TestChangedAppThatDoesNotStart: the file's former version goes on as a whole, and can be tried again.
func TestChangedAppThatDoesNotStart(t *testing.T) {
	w := emperor(t, "", map[string]string{"b.yaml": oneSite("b", "b.test", "1", "")})
	b := pids(waitWorkers(t, w, "b", 2))
	w.Write("sites.d/b.yaml", strings.Replace(oneSite("b", "b.test", "2", ""), `"@HELLO@"`, "sh -c 'echo no database; exit 7'", 1))
	if f := complains(t, w, "b.yaml", "no database"); !f.InForce {
		t.Error("the former version is not in force")
	}
	comes(t, w, "b.test", "b 1")
	same(t, w, "b", b, "when another command does not start")
	w.Write("sites.d/b.yaml", oneSite("b", "b.test", "3", "    env: {V: '3'}"))
	comes(t, w, "b.test", "b 3")
	testkit.Eventually(t, testkit.Patience, "nothing is wrong", func() bool { f := fileStatus(t, w, "b.yaml"); return f.Problem == "" && f.Doing == "" })
}

// TestStartWithABadFile: the other sites serve, and it comes when it is mended. So does one whose app starts late.
func TestStartWithABadFile(t *testing.T) {
	late := func(name string) string {
		return strings.Replace(oneSite(name, name+".test", "1", ""), `"@HELLO@"`, `sh -c 'test -e @DIR@/there && exec @HELLO@; exit 7'`, 1)
	}
	w := emperor(t, "", map[string]string{"b.yaml": "sites: {", "c.yaml": late("c")})
	comes(t, w, "a.test", "a 1")
	if f := fileStatus(t, w, "b.yaml"); f.InForce || !strings.Contains(f.Problem, "is not YAML") {
		t.Errorf("%+v", f)
	}
	testkit.Eventually(t, testkit.Patience, "weir is ready without it", func() bool { return strings.Contains(w.Output(), "ready in ") })
	w.Write("sites.d/late.yaml", late("late"))
	complains(t, w, "late.yaml", "app late does not start")
	w.Write("sites.d/b.yaml", oneSite("b", "b.test", "1", ""))
	comes(t, w, "b.test", "b 1")
	w.Write("there", "")
	comes(t, w, "late.test", "late 1")
	waitWorkers(t, w, "c", 2)
}

// TestBadMainFile: it is refused as a whole, also when it takes from an included file what that needs.
func TestBadMainFile(t *testing.T) {
	w := emperor(t, "pools: {old: {servers: ['127.0.0.1:1']}}", map[string]string{"b.yaml": "sites: [{hosts: [b.test], routes: [{match: {path: /v}, respond: {body: b 1}}, {pool: old}]}]\n"})
	a := pids(waitWorkers(t, w, "a", 2))
	for text, want := range map[string]string{
		"x: y":                    `unknown key "x"`,
		"pools: {}":               "b.yaml:1:86: there is no pool or app old",
		"apps: {a: {command: b}}": "there is no command b",
	} {
		w.Write("weir.yaml", fmt.Sprintf(including, text))
		if _, problem, code := w.Command("reload"); code != 1 || !strings.Contains(problem, want) {
			t.Errorf("%s: exit %d, %s", text, code, problem)
		}
		comes(t, w, "b.test", "b 1")
	}
	// Together they go.
	w.Write("weir.yaml", fmt.Sprintf(including, "pools: {new: {servers: ['127.0.0.1:1']}}"))
	w.Write("sites.d/b.yaml", "sites: [{hosts: [b.test], routes: [{match: {path: /v}, respond: {body: b 2}}, {pool: new}]}]\n")
	w.Do("reload")
	comes(t, w, "b.test", "b 2")
	same(t, w, "a", a, "after reloads")
	w.Write("weir.yaml", strings.Replace(fmt.Sprintf(including, "sites: [{hosts: ['*'], routes: [{respond: {body: main}}]}]"), "include:", "#", 1))
	w.Do("reload")
	comes(t, w, "b.test", "main")
	testkit.Eventually(t, testkit.Patience, "nothing of the files is left", func() bool { s := w.Status(); return len(s.Apps)+len(s.Included) == 0 })
}

// TestWatchOff: files come into force by weir reload, and not before.
func TestWatchOff(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Config: strings.Replace(fmt.Sprintf(including, ""), "sites.d/*.yaml", "{files: sites.d/*.yaml, watch: false}", 1), Files: map[string]string{"sites.d/a.yaml": oneSite("a", "*", "1", "")}})
	w.Write("sites.d/b.yaml", oneSite("b", "b.test", "1", ""))
	for range testkit.Until(3 * time.Second) {
		if got := said(t, w, "b.test"); got != "a 1" {
			t.Fatalf("it is in force: %s", got)
		}
	}
	w.Do("reload")
	if got := said(t, w, "b.test"); got != "b 1" {
		t.Errorf("it is not in force after weir reload: %s", got)
	}
	if err := os.Remove(filepath.Join(w.Dir, "sites.d/b.yaml")); err != nil {
		t.Fatal(err)
	}
	w.Do("reload")
	if got := said(t, w, "b.test"); got != "a 1" {
		t.Errorf("it is in force after weir reload: %s", got)
	}
}

// TestFolderComesLate: it need not be there yet, and that it is gone is no reason to stop its sites.
func TestFolderComesLate(t *testing.T) {
	w := testkit.Run(t, testkit.Setup{Config: fmt.Sprintf(including, ""), Files: map[string]string{"elsewhere/b.yaml": oneSite("b", "b.test", "1", "")}})
	if s := w.Status(); len(s.Unseen) != 1 || !strings.Contains(s.Unseen[0], "no such file or directory") {
		t.Errorf("%+v", s.Unseen)
	}
	w.Write("sites.d/a.yaml", oneSite("a", "*", "1", ""))
	comes(t, w, "a.test", "a 1")
	a := pids(waitWorkers(t, w, "a", 2))
	if err := errors.Join(os.Rename(filepath.Join(w.Dir, "sites.d"), filepath.Join(w.Dir, "was")), os.Symlink("was", filepath.Join(w.Dir, "sites.d"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../elsewhere/b.yaml", filepath.Join(w.Dir, "was/b.yaml")); err != nil {
		t.Fatal(err)
	}
	comes(t, w, "b.test", "b 1")
	w.Write("elsewhere/b.yaml", oneSite("b", "b.test", "2", "")) // behind the link
	comes(t, w, "b.test", "b 2")
	if err := os.Remove(filepath.Join(w.Dir, "sites.d")); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, testkit.Patience, "it is seen that the folder is gone", func() bool { return len(w.Status().Unseen) == 1 })
	comes(t, w, "b.test", "b 2")
	same(t, w, "a", a, "when the folder is gone")
}

// TestOthersAreNotAsked: a file that is changed leaves what is known of other pools and what is kept of other sites.
func TestOthersAreNotAsked(t *testing.T) {
	var checks, pages atomic.Int64
	origin := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/check" {
			checks.Add(1)
			return
		}
		pages.Add(1)
		rw.Header().Set("Cache-Control", "max-age=3600")
		io.WriteString(rw, "page")
	}))
	defer origin.Close()
	w := emperor(t, "cache: {memory: 16MiB}", map[string]string{"pool.yaml": fmt.Sprintf(`
pools: {kept: {servers: ["%s"], health: {path: /check, every: 1h}}}
sites: [{hosts: [kept.test], routes: [{pool: kept}]}]
`, strings.TrimPrefix(origin.URL, "http://"))})
	testkit.Eventually(t, testkit.Patience, "the server has been checked", func() bool { return checks.Load() > 0 })
	comes(t, w, "kept.test", "page")
	before := checks.Load()
	for i := range 5 {
		w.Write("sites.d/b.yaml", fmt.Sprintf("sites: [{hosts: [b.test], routes: [{respond: {body: b %d}}]}]", i))
		comes(t, w, "b.test", fmt.Sprintf("b %d", i))
		comes(t, w, "kept.test", "page")
	}
	if checks.Load() != before || pages.Load() != 1 {
		t.Errorf("%d checks more, %d pages fetched", checks.Load()-before, pages.Load())
	}
}

// TestFileIsBackSoon: a file that comes back while the workers of the former one finish what they have waits for them.
func TestFileIsBackSoon(t *testing.T) {
	w := emperor(t, "", map[string]string{"b.yaml": oneSite("b", "b.test", "1", "")})
	waitWorkers(t, w, "b", 2)
	c := w.Dial()
	c.Send("GET /slow?ms=4000 HTTP/1.1\r\nHost: b.test\r\n\r\n")
	testkit.Eventually(t, testkit.Patience, "the request is under way", func() bool { s := w.Status(); return s.Edge != nil && s.Edge.Active > 0 })
	if err := os.Remove(filepath.Join(w.Dir, "sites.d/b.yaml")); err != nil {
		t.Fatal(err)
	}
	comes(t, w, "b.test", "a 1")
	w.Write("sites.d/b.yaml", oneSite("b", "b.test", "2", ""))
	comes(t, w, "b.test", "b 2")
	if m := c.Response("GET"); m.Status != 200 {
		t.Errorf("the request that was under way got %d", m.Status)
	}
	if f := fileStatus(t, w, "b.yaml"); f.Problem != "" {
		t.Errorf("%+v", f)
	}
}

// TestMendedWhileItStarts: a file whose app does not get ready is changed: nobody waits for the one that was given up.
func TestMendedWhileItStarts(t *testing.T) {
	w := emperor(t, "", nil)
	w.Write("sites.d/b.yaml", strings.Replace(oneSite("b", "b.test", "1", ""), "{path: /healthz, within: 20s", "{path: /nowhere, within: 1h", 1))
	testkit.Eventually(t, testkit.Patience, "it is being started", func() bool { return fileStatus(t, w, "b.yaml").Doing != "" })
	w.Write("sites.d/b.yaml", oneSite("b", "b.test", "2", ""))
	comes(t, w, "b.test", "b 2")
	w.Write("sites.d/c.yaml", strings.Replace(oneSite("c", "c.test", "1", ""), "{path: /healthz, within: 20s", "{path: /nowhere, within: 1h", 1))
	testkit.Eventually(t, testkit.Patience, "another is being started", func() bool { return fileStatus(t, w, "c.yaml").Doing != "" })
	if err := os.Remove(filepath.Join(w.Dir, "sites.d/c.yaml")); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, testkit.Patience, "nothing of it is left", func() bool { s := w.Status(); return len(s.Apps) == 2 && len(s.Included) == 2 })
}

// TestThousandFiles: they start, one of them is changed, many of them are, and all are there.
func TestThousandFiles(t *testing.T) {
	file := func(i int, version string) string {
		return fmt.Sprintf("pools: {p%[1]d: {servers: ['127.0.0.1:9']}}\nsites: [{hosts: [s%[1]d.test], routes: [{match: {path: /v}, respond: {body: '%[2]s'}}, {pool: p%[1]d}]}]\n", i, version)
	}
	files := map[string]string{}
	for i := range 1000 {
		files[fmt.Sprintf("s%03d.yaml", i)] = file(i, "one")
	}
	w := emperor(t, "", files)
	a := pids(waitWorkers(t, w, "a", 2))
	comes(t, w, "s999.test", "one")
	w.Write("sites.d/s500.yaml", file(500, "two"))
	comes(t, w, "s500.test", "two")
	for i := range 100 {
		w.Write(fmt.Sprintf("sites.d/s%03d.yaml", i), file(i, "three"))
	}
	for i := range 100 {
		comes(t, w, fmt.Sprintf("s%d.test", i), "three")
	}
	w.Do("reload")
	comes(t, w, "s999.test", "one")
	s := w.Status()
	for _, f := range s.Included {
		if !f.InForce || f.Problem != "" {
			t.Errorf("%+v", f)
		}
	}
	if len(s.Included) != 1001 || s.EdgeRestarts != 0 {
		t.Errorf("%d files, %d restarts of the edge", len(s.Included), s.EdgeRestarts)
	}
	same(t, w, "a", a, "beside a thousand files")
}

// TestCheckIncludes: weir check says all that is wrong, in any of the files, and weir explain knows their sites.
func TestCheckIncludes(t *testing.T) {
	w := emperor(t, "", map[string]string{"b.yaml": oneSite("b", "b.test", "1", "")})
	if out := w.Do("check", "weir.yaml"); !strings.Contains(out, "2 included files, 2 apps") {
		t.Errorf("%s", out)
	}
	if out := w.Do("explain", "weir.yaml", "http://b.test/v"); !strings.Contains(out, "(b.yaml:") {
		t.Errorf("%s", out)
	}
	w.Write("sites.d/c.yaml", "sites: [{hosts: [c.test, b.test], routes: [{pool: b}]}]")
	w.Write("sites.d/d.yaml", "listen: x")
	_, problem, code := w.Command("check", "weir.yaml")
	if code != 1 {
		t.Errorf("exit %d", code)
	}
	for _, want := range []string{"sites.d/c.yaml:1:51: there is no pool or app b", "sites.d/d.yaml:1:1: listen in an included file"} {
		if !strings.Contains(problem, want) {
			t.Errorf("it does not say %s:\n%s", want, problem)
		}
	}
}

// TestFilesOverUpgrade: the program that takes over has each file as it was in force, also one that is bad on disk by now, and goes
// on with one that is about to come.
func TestFilesOverUpgrade(t *testing.T) {
	w := emperor(t, "", map[string]string{"b.yaml": oneSite("b", "b.test", "1", "")})
	a, b := pids(waitWorkers(t, w, "a", 2)), pids(waitWorkers(t, w, "b", 2))
	w.Write("sites.d/b.yaml", "apps: {b: {comand: x}}\n")
	w.Write("sites.d/c.yaml", strings.Replace(oneSite("c", "c.test", "1", ""), "@HELLO@", "/bin/false", 1))
	wrong := func() {
		t.Helper()
		complains(t, w, "b.yaml", "comand")
		complains(t, w, "c.yaml", "does not start")
	}
	stay := func(when string) {
		t.Helper()
		same(t, w, "a", a, when)
		same(t, w, "b", b, when)
		if got := said(t, w, "b.test"); got != "b 1" {
			t.Errorf("%s: b.test answers %q", when, got)
		}
	}
	wrong()
	for range 3 {
		w.Do("upgrade")
		stay("an upgrade")
		wrong()
	}
	if _, problem, code := w.Command("reload"); code != 1 || !strings.Contains(problem, "comand") {
		t.Errorf("exit %d, %s", code, problem)
	}
	stay("a reload after it")
	w.Write("sites.d/b.yaml", oneSite("b", "b.test", "2", ""))
	comes(t, w, "b.test", "b 2")
	same(t, w, "a", a, "b is mended")
	same(t, w, "b", b, "it is mended")
	w.Write("sites.d/c.yaml", oneSite("c", "c.test", "1", ""))
	comes(t, w, "c.test", "c 1")
	w.Do("upgrade")
	if err := os.Remove(filepath.Join(w.Dir, "sites.d", "c.yaml")); err != nil {
		t.Fatal(err)
	}
	comes(t, w, "c.test", "a 1")
	same(t, w, "a", a, "c is gone")
}
