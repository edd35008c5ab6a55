package testkit

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// Root returns the directory of the repository.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..")
}

var built struct {
	mu   sync.Mutex
	dir  string
	done map[string]error
}

// Build builds a program of the repository once in the life of the test process ("./cmd/weir") and returns the path
// of its binary. With race it looks for races when the test does. See Main.
func Build(t testing.TB, pkg string, race bool) string {
	t.Helper()
	built.mu.Lock()
	defer built.mu.Unlock()
	path, err := build(pkg, race)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func build(pkg string, race bool) (string, error) {
	if built.dir == "" {
		dir, err := os.MkdirTemp("", "weir-test-bin-")
		if err != nil {
			return "", err
		}
		built.dir, built.done = dir, map[string]error{}
	}
	flags := []string{"build"}
	name := filepath.Base(pkg)
	if race && raceFlag != nil {
		flags = append(flags, raceFlag...)
		name += "-race"
	}
	path := filepath.Join(built.dir, name)
	if err, ok := built.done[path]; ok {
		return path, err
	}
	cmd := exec.Command("go", append(flags, "-o", path, pkg)...)
	cmd.Dir = Root()
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("building %s: %w\n%s", pkg, err, strings.TrimSpace(string(out)))
	}
	built.done[path] = err
	return path, err
}

// Main runs the tests of a package and removes what Build made: func TestMain(m *testing.M) { testkit.Main(m) }.
func Main(m *testing.M) {
	code := m.Run()
	if built.dir != "" {
		if err := os.RemoveAll(built.dir); err != nil {
			fmt.Fprintln(os.Stderr, "removing the test's programs:", err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}
