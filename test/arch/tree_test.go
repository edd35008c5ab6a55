package arch

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/weirhq/weir"

// file is one Go file of the repository, whatever platform it is built for.
type file struct {
	path    string // from the root, with slashes
	dir     string // "internal/loop"; "." for the root
	test    bool   // *_test.go
	lines   int
	text    []byte
	syntax  *ast.File
	set     *token.FileSet
	imports []string
}

// at says where a node stands, as an editor wants it.
func (f *file) at(n ast.Node) string {
	p := f.set.Position(n.Pos())
	return f.path + ":" + strconv.Itoa(p.Line)
}

var root = func() string {
	dir, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	return filepath.Join(dir, "..", "..")
}()

// skipDir says which directories are not the project's sources.
func skipDir(name string) bool {
	return name == "testdata" || name == "bin" || name == "node_modules" || (len(name) > 1 && name[0] == '.' && name != ".ci")
}

// walk calls f for every file of the repository with its path from the root.
func walk(t *testing.T, f func(rel string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if p != root && skipDir(d.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		f(filepath.ToSlash(rel))
		return nil
	})
	if err != nil {
		t.Fatalf("reading the repository: %v", err)
	}
}

var tree struct {
	once  sync.Once
	files []*file
}

// goFiles returns every Go file of the repository, parsed, build constraints left aside: the law holds on every
// platform.
func goFiles(t *testing.T) []*file {
	t.Helper()
	tree.once.Do(func() {
		walk(t, func(rel string) {
			if strings.HasSuffix(rel, ".go") {
				tree.files = append(tree.files, parse(t, rel))
			}
		})
	})
	if len(tree.files) < 5 {
		t.Fatalf("found only %d Go files under %s", len(tree.files), root)
	}
	return tree.files
}

func parse(t *testing.T, rel string) *file {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(rel)))
	if err != nil {
		t.Fatal(err)
	}
	set := token.NewFileSet()
	syntax, err := parser.ParseFile(set, rel, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatalf("parsing %s: %v", rel, err)
	}
	f := &file{path: rel, dir: path.Dir(rel), test: strings.HasSuffix(rel, "_test.go"), lines: bytes.Count(text, []byte("\n")),
		text: text, syntax: syntax, set: set}
	for _, i := range syntax.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			t.Fatalf("%s: import %s: %v", rel, i.Path.Value, err)
		}
		f.imports = append(f.imports, p)
	}
	return f
}

// dependencies returns the import path of everything that is linked with the packages of the patterns, with one
// package that imports it.
func dependencies(t *testing.T, patterns ...string) map[string]string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-deps", "-json=ImportPath,Imports"}, patterns...)...)
	cmd.Dir = root
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list -deps: %v\n%s", err, stderr.Bytes())
	}
	by := map[string]string{}
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := d.Decode(&p); err != nil {
			t.Fatalf("go list -deps: %v", err)
		}
		if by[p.ImportPath] == "" {
			by[p.ImportPath] = "itself"
		}
		for _, i := range p.Imports {
			by[i] = p.ImportPath
		}
	}
	return by
}
