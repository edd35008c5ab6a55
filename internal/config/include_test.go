package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// fakeFolders are names by folder; a folder whose list is nil cannot be listed.
type fakeFolders map[string][]string

func (f fakeFolders) names(dir string, most int) ([]string, error) {
	list, ok := f[dir]
	switch {
	case !ok && f.there(dir):
		return nil, syscall.ENOTDIR
	case !ok:
		return nil, fs.ErrNotExist
	case list == nil:
		return nil, fs.ErrPermission
	}
	return list[:min(len(list), most)], nil
}

func (f fakeFolders) there(path string) bool {
	return slices.Contains(f[filepath.Dir(path)], filepath.Base(path))
}

func TestList(t *testing.T) {
	folders := fakeFolders{
		"/":              {"etc", "srv"},
		"/etc":           {"main.yaml", "sites.d", "shut", "one.yaml"},
		"/etc/sites.d":   {"b.yaml", "a.yaml", ".a.yaml.swp", ".#a.yaml", "a.yaml~", "c.yml", "a.conf", "sub"},
		"/etc/shut":      nil,
		"/srv":           {"x", "y", "file", "shut"},
		"/srv/x":         {"weir.yaml"},
		"/srv/y":         {"weir.yaml", ".weir.yaml"},
		"/srv/shut":      nil,
		"/etc/sites.d/[": {"q"},
	}
	for _, c := range []struct {
		patterns string
		want     string
	}{
		{"/etc/sites.d/*.yaml", "/etc/sites.d/a.yaml /etc/sites.d/b.yaml"},
		{"/etc/sites.d/*.yaml /etc/sites.d/a*", "/etc/sites.d/a.conf /etc/sites.d/a.yaml /etc/sites.d/a.yaml~ /etc/sites.d/b.yaml"},
		{"/etc/sites.d/*.y*ml", "/etc/sites.d/a.yaml /etc/sites.d/b.yaml /etc/sites.d/c.yml"},
		{"/etc/sites.d/.a*", "/etc/sites.d/.a.yaml.swp"},
		{"/etc/*.yaml", "/etc/one.yaml"}, // not itself
		{"/etc/one.yaml /etc/none.yaml", "/etc/one.yaml"},
		{"/none/*.yaml", "! /none"},
		{"/etc/shut/*.yaml", "! /etc/shut"},
		{"/srv/*/weir.yaml", "/srv/x/weir.yaml /srv/y/weir.yaml"},
		{"/srv/*/*.yaml", "/srv/x/weir.yaml /srv/y/weir.yaml ! /srv/shut"}, // a file is no folder
		{"/*/*/weir.yaml", "/srv/x/weir.yaml /srv/y/weir.yaml"},
		{"/etc/sites.d/[ab].yaml", "/etc/sites.d/a.yaml /etc/sites.d/b.yaml"},
	} {
		i := Include{Files: strings.Fields(c.patterns)}
		l := i.list("/etc/main.yaml", folders)
		got := strings.Join(l.Paths, " ")
		for _, u := range l.Unseen {
			got += " ! " + u.Folder
		}
		if got = strings.TrimSpace(got); got != c.want {
			t.Errorf("%s: got %s, want %s", c.patterns, got, c.want)
		}
	}
}

func TestListIsBounded(t *testing.T) {
	var many []string
	for i := range MaxIncluded + 5 {
		many = append(many, fmt.Sprintf("%06d.yaml", i))
	}
	i := Include{Files: []string{"/d/*.yaml"}}
	l := i.list("/main.yaml", fakeFolders{"/d": many})
	if len(l.Paths) != MaxIncluded || len(l.Unseen) != 1 || !l.Keeps("/d/"+many[MaxIncluded]) {
		t.Errorf("%d paths, %v", len(l.Paths), l.Unseen)
	}
	many = make([]string, maxLooked+1)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	i = Include{Files: []string{"/d/*.yaml"}}
	if l := i.list("/main.yaml", fakeFolders{"/d": many}); len(l.Paths) != 0 || len(l.Unseen) != 1 {
		t.Errorf("%d paths, %v", len(l.Paths), l.Unseen)
	}
}

func TestKeeps(t *testing.T) {
	l := Listing{Unseen: []Unseen{{Folder: "/etc/shut", Err: fs.ErrPermission}}}
	for path, want := range map[string]bool{"/etc/shut/a.yaml": true, "/etc/shut/x/a.yaml": true, "/etc/shutter/a.yaml": false, "/etc/a.yaml": false} {
		if l.Keeps(path) != want {
			t.Errorf("%s: %v", path, !want)
		}
	}
}

// TestReadIncluded is on the real machine: nothing that lies in a folder holds the reader up.
func TestReadIncluded(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(os.WriteFile(at("good"), []byte("text"), 0o600), os.Mkdir(at("dir"), 0o700), syscall.Mkfifo(at("pipe"), 0o600),
		os.Symlink("loop", at("loop")), os.Symlink("nowhere", at("lost")), os.Symlink("good", at("link")),
		os.WriteFile(at("large"), nil, 0o600), os.Truncate(at("large"), 100<<20), os.WriteFile(at("full"), make([]byte, MaxIncludedFile), 0o600),
		os.WriteFile(at("bad\x1bname"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"good": "", "link": "", "full": "", "dir": "it is a directory", "pipe": "it is no regular file", "loop": "too many levels of symbolic links",
		"lost": "no such file or directory", "none": "no such file or directory", "large": "it is larger than 1MiB", "bad\x1bname": "its name has characters that cannot be shown",
	} {
		begun := time.Now()
		_, err := ReadIncluded(at(name))
		if got := fmt.Sprint(err); want == "" && err != nil || want != "" && got != want {
			t.Errorf("%q: %v, want %s", name, err, want)
		}
		if took := time.Since(begun); took > fuzzLimit {
			t.Errorf("%s took %v", name, took)
		}
	}
	if _, err := ReadIncluded("/dev/zero"); err == nil || err.Error() != "it is no regular file" {
		t.Error(err)
	}
}

const includer = `include: [sites.d/*.yaml]
apps: {shared: {command: "serve -s $SOCKET"}}
pools: {old: {servers: ["10.0.0.1:80"]}}
sites: [{hosts: [main.test], routes: [{name: front, pool: shared}, {cgi: /srv/www}]}]
run_dir: /run/a-rather-long-path-for-the-sockets-of-all-the-workers
`

// includedBy joins texts of files with a configuration, by the letters of their names.
func includedBy(t testing.TB, text string, files ...string) *Joined {
	t.Helper()
	m, err := Open("/etc/weir.yaml", []byte(text), 1, Options{Env: fakeEnv, Strict: true, host: fake})
	if err != nil {
		t.Fatal(err)
	}
	j, err := m.Join(choicesOf(files))
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func choicesOf(files []string) (all []Choice) {
	for i, f := range files {
		all = append(all, Choice{fmt.Sprintf("/etc/sites.d/%c.yaml", 'a'+i), []Version{{Text: f, Read: 1}}})
	}
	return all
}

// TestIncluded holds what is said of an included file, and that nothing of a wrong one is in force.
func TestIncluded(t *testing.T) {
	good := "sites: [{hosts: [good.test], routes: [{pool: shared}]}]"
	for _, c := range []struct{ text, want string }{
		{good, ""},
		{"apps: {own: {command: serve $PORT}}\nsites: [{hosts: [x.test], routes: [{pool: own}, {pool: old}]}]", ""},
		{"pools: {own: {app: shared, backup: old}}\nsites: [{hosts: [x.test], routes: [{pool: own}]}]", ""},
		{"sites: [{hosts: [x.test], errors: {404: ../errors/none.html}, routes: [{pool: shared}]}]", ""},
		{"listen: [\":80\"]", "/etc/sites.d/a.yaml:1:1: listen in an included file: it is for the whole of weir: write it in /etc/weir.yaml"},
		{"admin: {}", "/etc/sites.d/a.yaml:1:1: admin in an included file: it is for the whole of weir: write it in /etc/weir.yaml"},
		{"include: [x]", "/etc/sites.d/a.yaml:1:1: include in an included file: it is for the whole of weir: write it in /etc/weir.yaml"},
		{"cache: {memory: 1MiB}", "/etc/sites.d/a.yaml:1:1: cache in an included file: it is for the whole of weir: write it in /etc/weir.yaml"},
		{"stites: []", "/etc/sites.d/a.yaml:1:1: unknown key \"stites\" in an included file: did you mean \"sites\"?"},
		{"", "/etc/sites.d/a.yaml: the file is empty: delete it to take its sites out"},
		{"{}", "/etc/sites.d/a.yaml:1:1: there is nothing in this file: write sites:, apps: or pools:, or delete the file to take its sites out"},
		{"sites: [{hosts: [x.test], routes: [{pool: share}]}]", "there is no pool or app share: did you mean \"shared\"?"},
		{"sites: [{hosts: [main.test], routes: [{pool: shared}]}]", "/etc/sites.d/a.yaml:1:18: the host main.test is in two sites: the other is in /etc/weir.yaml:4:18"},
		{"apps: {shared: {command: serve}}", "/etc/sites.d/a.yaml:1:8: there is an app shared already: it is in /etc/weir.yaml:2:8; names are for all files together: take another"},
		{"pools: {shared: {servers: [\"a:1\"]}}", "/etc/sites.d/a.yaml:1:9: there is a pool or an app shared already: it is in /etc/weir.yaml:2:8"},
		{"apps: {old: {command: serve $PORT}}", "there is a pool or an app old already: it is in /etc/weir.yaml:3:9"},
		{"sites: [{hosts: [x.test], routes: [{name: front, pool: old}]}]", "/etc/sites.d/a.yaml:1:36: two routes with the name front: the other is in /etc/weir.yaml:4:39"},
		{"sites: [{hosts: [x.test], routes: [{pool: old, cache: {grace: 1h}}]}]", "/etc/sites.d/a.yaml:1:36: a cache policy, and there is no cache: write cache: {} in /etc/weir.yaml, or take the policy out"},
		{"apps: {" + strings.Repeat("n", 40) + ": {command: serve $SOCKET}}", "the name of the app is too long for sockets in /run/a-rather-long-path-for-the-sockets-of-all-the-workers: use one of at most"},
		{"apps: {x: {command: serve --bind :8080}}", "the app x is told to listen on :8080, where weir listens"},
		{"apps: [", "/etc/sites.d/a.yaml:1:8: is not YAML"},
		{"a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\n" +
			"f: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\nsites: [*f,*f,*f,*f,*f,*f]\n", "/etc/sites.d/a.yaml:"},
	} {
		j := includedBy(t, includer, c.text, "sites: [{hosts: [other.test], routes: [{pool: shared}]}]")
		if len(j.Config.Sites) < 2 || !slices.ContainsFunc(j.Config.Sites, func(s *Site) bool { return s.Hosts[0] == "other.test" }) {
			t.Errorf("%s: the other site is out: %v", c.text, j.Refused)
		}
		if c.want == "" {
			if len(j.Refused) > 0 {
				t.Errorf("%s: %v", c.text, j.Refused[0].Errors)
			}
			continue
		}
		if len(j.Refused) != 1 || j.Refused[0].Path != "/etc/sites.d/a.yaml" || !strings.Contains(j.Refused[0].Errors.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.text, j.Refused, c.want)
			continue
		}
		if len(j.Config.Files) != 1 || len(j.Config.Sites) != 2 {
			t.Errorf("%s: something of it is in force", c.text)
		}
	}
}

// TestIncludedOthers: of two files that define one thing, the later one has it not, and is told where the other is.
func TestIncludedOthers(t *testing.T) {
	for _, c := range []struct{ a, b, want string }{
		{"apps: {x: {command: serve $PORT}}", "apps: {x: {command: serve $PORT}}", "/etc/sites.d/b.yaml:1:8: there is an app x already: it is in /etc/sites.d/a.yaml:1:8"},
		{"apps: {x: {command: serve --bind :81}}", "apps: {y: {command: serve --bind :81}}", "/etc/sites.d/b.yaml:1:21: two apps are told to listen on"},
		{"apps: {x: {command: serve $PORT}}", "sites: [{hosts: [b.test], routes: [{pool: x}]}]", "/etc/sites.d/b.yaml:1:43: there is no pool or app x"},
		{"sites: [{hosts: [a.test, b.test], routes: [{pool: old}]}]", "sites: [{hosts: [b.test], routes: [{pool: old}]}]", "/etc/sites.d/b.yaml:1:18: the host b.test is in two sites: the other is in /etc/sites.d/a.yaml:1:26"},
	} {
		j := includedBy(t, includer, c.a, c.b)
		if len(j.Refused) != 1 || !strings.Contains(j.Refused[0].Errors.Error(), c.want) || len(j.Config.Files) != 1 {
			t.Errorf("%s, %s: got %v, want %s", c.a, c.b, j.Refused, c.want)
		}
	}
}

// TestStableNames: what weir names itself in one file does not depend on the others, and paths begin at the file's folder.
func TestStableNames(t *testing.T) {
	site := func(host string) string {
		return fmt.Sprintf("apps: {%s: {command: serve $PORT}}\nsites: [{hosts: [%s.test], routes: [{match: {path: /a}, cgi: /srv/www}, {cgi: /srv/www}]}]", host, host)
	}
	names := func(j *Joined) (of []string) {
		for _, a := range j.Config.Apps {
			if strings.HasPrefix(a.Place.File, "/etc/sites.d/b") {
				of = append(of, a.Name+" in "+a.Directory)
			}
		}
		return of
	}
	both, one := includedBy(t, includer, site("a"), site("b")), includedBy(t, includer, "", site("b"))
	if got, want := names(both), names(one); !slices.Equal(got, want) || len(got) != 3 {
		t.Errorf("%v beside another file, %v alone", got, want)
	} else if got[0] != "b in /etc/sites.d" || !strings.HasPrefix(got[1], "cgi.b-") || !strings.HasSuffix(strings.Fields(got[2])[0], ".2") {
		t.Errorf("%v", got)
	}
	if at := both.Config.ErrorAt("apps.b.command", "x", "").Place; at.File != "/etc/sites.d/b.yaml" || at.Line != 1 || at.Column == 1 {
		t.Errorf("it is at %v", at)
	}
	if e := both.Config.ErrorAt("apps.b.command", "x", ""); !strings.Contains(e.Line, "apps: {b:") {
		t.Errorf("the line is %s", e.Line)
	}
}

// TestOnlyIncludes: nothing but include is a configuration, whatever there is.
func TestOnlyIncludes(t *testing.T) {
	j := includedBy(t, "include: sites.d/*.yaml")
	if len(j.Config.Sites) != 0 || !j.Config.Include.Watch || j.Config.Include.Files[0] != "/etc/sites.d/*.yaml" {
		t.Errorf("%+v", j.Config.Include)
	}
	j = includedBy(t, "include: {files: [a.yaml, /b/*.yaml], watch: false}\napps: {a: {command: serve $PORT}, b: {command: serve $PORT}}")
	if len(j.Config.Sites) != 0 || j.Config.Include.Watch || len(j.Config.Include.Files) != 2 {
		t.Errorf("%+v", j.Config.Include)
	}
	for text, want := range map[string]string{
		"include: [\"[\"]":     "close the [ with ]",
		"include: [a/**/b]":    "write a * for each folder between",
		"include: {watch: on}": "write true",
		"include: []":          "include is empty",
	} {
		if _, _, err := parseFake(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// TestJoinAgain: what stays as it is, is not read again, and what is in force is not judged by what the machine lacks.
func TestJoinAgain(t *testing.T) {
	const site = "apps: {b: {command: ./gone}}\nsites: [{hosts: [b.test], routes: [{pool: b}]}]"
	m, err := Open("/etc/weir.yaml", []byte(includer), 1, Options{Env: fakeEnv, Strict: true, host: fake})
	if err != nil {
		t.Fatal(err)
	}
	proven := []Choice{{"/etc/sites.d/b.yaml", []Version{{Text: site, Read: 1, Proven: true}}}}
	j, err := m.Join(proven)
	if err != nil || len(j.Refused) > 0 || len(j.Config.Files) != 1 {
		t.Fatal(err, j)
	}
	again, err := m.Join(append([]Choice{{"/etc/sites.d/a.yaml", []Version{{Text: "sites: [{hosts: [a.test], routes: [{pool: old}]}]"}}}}, proven...))
	if err != nil || len(again.Config.Files) != 2 || again.Config.Apps[2] != j.Config.Apps[2] || again.Config.Apps[2].Name != "b" {
		t.Error("a file that stays as it is was read again", err)
	}
	fresh, err := m.Join([]Choice{{"/etc/sites.d/b.yaml", []Version{{Text: site, Read: 2}, {Text: site, Read: 1, Proven: true}}}})
	if err != nil || len(fresh.Refused) != 1 || len(fresh.Config.Files) != 1 || fresh.Config.Files[0].Read != 1 {
		t.Error("what the machine lacks is not told, or it is taken out for it", err, fresh)
	}
	m, err = Open("/etc/weir.yaml", []byte("include: x\nsites: []"), 1, Options{Env: fakeEnv, Strict: true, host: fake})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Join([]Choice{{"/etc/sites.d/b.yaml", []Version{{Text: "sites: [{hosts: [a.test], routes: [{pool: old}]}]", Proven: true}}}}); err == nil || !strings.Contains(err.Error(), "there is no pool or app old") {
		t.Error("a configuration that what is in force does not go with is taken:", err)
	}
}

// FuzzIncluded: no included text is a panic, takes anything from the others, or is in force when it is wrong.
func FuzzIncluded(f *testing.F) {
	for name, text := range examples(f, "testdata/good") {
		if name != "laughs" {
			f.Add([]byte(text))
		}
	}
	f.Add([]byte("sites: [{hosts: [main.test, x.test], routes: [{pool: shared}]}]"))
	f.Add([]byte("apps: {own: {command: serve $PORT}}\npools: {p: {app: own, backup: old}}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		defer time.AfterFunc(fuzzLimit, func() { panic("it took over " + fuzzLimit.String()) }).Stop()
		other := "sites: [{hosts: [other.test], routes: [{pool: shared}]}]"
		m, err := Open("/etc/weir.yaml", []byte(includer), 1, Options{Env: fakeEnv, Strict: true, host: fake})
		if err != nil {
			t.Fatal(err)
		}
		j, err := m.Join([]Choice{{"/etc/sites.d/a.yaml", []Version{{Text: string(text)}}}, {"/etc/sites.d/b.yaml", []Version{{Text: other, Proven: true}}}})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(j.Refused) + len(j.Config.Files); n != 2 || j.Config.Files[n-1-len(j.Refused)].Text != other {
			t.Fatalf("%d files are in force, %v", len(j.Config.Files), j.Refused)
		}
		names := map[string]bool{}
		for _, a := range j.Config.Apps {
			if names[a.Name] {
				t.Errorf("two apps are called %s", a.Name)
			}
			names[a.Name] = true
		}
		for _, r := range j.Refused {
			checkErrors(t, string(text), r.Errors)
		}
	})
}
