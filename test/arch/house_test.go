package arch

import (
	"bytes"
	"go/ast"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

const (
	maxFileLines     = 700
	maxFunctionLines = 80
)

// TestPackageDocs: every package says what it is for, and what it is not.
func TestPackageDocs(t *testing.T) {
	docs, dirs := map[string]string{}, map[string]string{}
	for _, f := range goFiles(t) {
		if f.test {
			continue
		}
		dirs[f.dir] = f.path
		if f.syntax.Doc != nil {
			docs[f.dir] += f.syntax.Doc.Text()
		}
	}
	for dir, example := range dirs {
		if len(docs[dir]) < 40 {
			t.Errorf("package %s (%s) has no package doc: write one paragraph that says what it is for and what it is not", dir, example)
		}
	}
}

// TestSizes: a reader finds the room in a file of 700 lines and follows a function of 80.
func TestSizes(t *testing.T) {
	for _, f := range goFiles(t) {
		if f.test || ast.IsGenerated(f.syntax) {
			continue
		}
		if f.lines > maxFileLines {
			t.Errorf("%s has %d lines, more than %d: split it by what its parts are for", f.path, f.lines, maxFileLines)
		}
		for _, d := range f.syntax.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := f.set.Position(fn.End()).Line - f.set.Position(fn.Pos()).Line + 1; n > maxFunctionLines {
				t.Errorf("%s: %s has %d lines, more than %d", f.at(fn), fn.Name.Name, n, maxFunctionLines)
			}
		}
	}
}

// TestPlainTestsAreRun: tests that leave the race detector out are run without it, and all that `make test` names has some.
func TestPlainTestsAreRun(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^PLAIN = (.*)$`).FindSubmatch(text)
	if line == nil {
		t.Fatal("the Makefile does not say which packages are tested without the race detector (PLAIN)")
	}
	named := map[string]bool{}
	for _, dir := range strings.Fields(string(line[1])) {
		named[strings.TrimPrefix(dir, "./")] = false
	}
	for _, f := range goFiles(t) {
		if !f.test || !bytes.HasPrefix(f.text, []byte("//go:build !race\n")) || !bytes.Contains(f.text, []byte("\nfunc Test")) {
			continue
		}
		if _, ok := named[f.dir]; !ok {
			t.Errorf("%s is tested without the race detector only, and nobody runs it so: name ./%s in PLAIN of the Makefile", f.path, f.dir)
		}
		named[f.dir] = true
	}
	for dir, some := range named {
		if !some {
			t.Errorf("PLAIN of the Makefile names %s, which has no tests that leave the race detector out", dir)
		}
	}
}

// TestNames: a package is a noun of the domain.
func TestNames(t *testing.T) {
	vague := map[string]bool{"util": true, "utils": true, "common": true, "helper": true, "helpers": true, "manager": true, "misc": true, "shared": true, "base": true}
	for _, f := range goFiles(t) {
		for _, name := range strings.Split(f.dir, "/") {
			if vague[name] {
				t.Errorf("%s: a package named %q says nothing: name it after what it holds", f.path, name)
			}
		}
	}
}

// TestFinished: what is committed is finished; what is not done stands in an issue, with its reason.
func TestFinished(t *testing.T) {
	// Put together here so that this file does not find itself.
	words := []string{"TO" + "DO", "FIX" + "ME", "XX" + "X"}
	for _, f := range goFiles(t) {
		for n, line := range bytes.Split(f.text, []byte("\n")) {
			for _, w := range words {
				if i := bytes.Index(line, []byte(w)); i >= 0 && !wordByte(line, i-1) && !wordByte(line, i+len(w)) {
					t.Errorf("%s:%d: %s: finish it, or write it down where the work is planned", f.path, n+1, w)
				}
			}
		}
	}
}

func wordByte(b []byte, i int) bool {
	return i >= 0 && i < len(b) && (unicode.IsLetter(rune(b[i])) || unicode.IsDigit(rune(b[i])) || b[i] == '_')
}

// TestNoMachinePaths: no file may lean on the machine that it was written on.
func TestNoMachinePaths(t *testing.T) {
	path := regexp.MustCompile(`(^|[^a-zA-Z0-9_.*\])}])/(` + "wo" + `rk|` + "fa" + `rm|` + "home" + `/[a-z]+|` + "ro" + `ot/[a-z.]+)/`)
	walk(t, func(rel string) {
		switch filepath.Ext(rel) {
		case ".go", ".md", ".yaml", ".yml", ".sh", ".py", ".mod", "":
		default:
			return
		}
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(rel)))
		if err != nil {
			t.Error(err)
			return
		}
		for n, line := range bytes.Split(text, []byte("\n")) {
			if m := path.Find(line); m != nil {
				t.Errorf("%s:%d: %q is a path of one machine", rel, n+1, m)
			}
		}
	})
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#{1,6}\s+(.+?)\s*$`)
	fence   = regexp.MustCompile("(?ms)^```.*?^```[ \t]*$")
)

// TestLinks: a link within the documents leads to a file that is there, and to a heading that is there.
func TestLinks(t *testing.T) {
	pages := 0
	walk(t, func(rel string) {
		if !strings.HasSuffix(rel, ".md") {
			return
		}
		pages++
		for _, m := range link.FindAllStringSubmatch(prose(t, rel), -1) {
			target, fragment, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			to := rel
			if target != "" {
				to = path.Join(path.Dir(rel), target)
			}
			if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(to))); err != nil {
				t.Errorf("%s links to %s, which is not there", rel, m[1])
				continue
			}
			if fragment != "" && strings.HasSuffix(to, ".md") && !anchors(t, to)[fragment] {
				t.Errorf("%s links to %s: %s has no heading with that anchor", rel, m[1], to)
			}
		}
	})
	if pages == 0 {
		t.Fatal("found no Markdown page")
	}
}

// prose returns a page without its code blocks.
func prose(t *testing.T, rel string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(rel)))
	if err != nil {
		t.Fatal(err)
	}
	return fence.ReplaceAllString(string(text), "")
}

// anchors returns the anchors of a page's headings as the usual renderers make them.
func anchors(t *testing.T, rel string) map[string]bool {
	all := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(prose(t, rel), -1) {
		anchor := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, m[1])
		all[anchor] = true
	}
	return all
}

// TestDependenciesAreExplained: a new direct dependency comes with a line that says what for, why this one, and its
// licence.
func TestDependenciesAreExplained(t *testing.T) {
	table := prose(t, "docs/reference/dependencies.md")
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	direct := regexp.MustCompile(`(?m)^(?:require)?\s+([a-z0-9.-]+\.[a-z]+/\S+) v\S+$`)
	for _, m := range direct.FindAllStringSubmatch(string(mod), -1) {
		if !strings.Contains(table, "`"+m[1]+"`") {
			t.Errorf("go.mod requires %s, of which docs/reference/dependencies.md says nothing: add its line (what for, why this one, licence)", m[1])
		}
	}
}
