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
	mine bool // the directory, to be removed at the end
	done map[string]error
}

// Build builds a program of the repository once in the life of the package's tests ("./cmd/weir") and returns the path
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
		built.done = map[string]error{}
		if built.dir = os.Getenv(programsVariable); built.dir == "" {
			dir, err := os.MkdirTemp("", "weir-test-bin-")
			if err != nil {
				return "", err
			}
			built.dir, built.mine = dir, true
		}
	}
	// As `make build` does, so that what it has compiled need not be compiled again.
	flags := []string{"build", "-trimpath"}
	name := filepath.Base(pkg)
	if race && raceFlag != nil {
		// As the tests are compiled: without the profile, which would make other code of every package.
		flags = append([]string{"build", "-pgo=off"}, raceFlag...)
		name += "-race"
	}
	path := filepath.Join(built.dir, name)
	if err, ok := built.done[path]; ok {
		return path, err
	}
	built.done[path] = once(path, func() error {
		cmd := exec.Command("go", append(flags, "-o", path, pkg)...)
		cmd.Dir = Root()
		out, err := cmd.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("building %s: %w\n%s", pkg, err, strings.TrimSpace(string(out)))
		}
		return err
	})
	return path, built.done[path]
}

// once makes a file unless it is there. Several processes may want the same one at a time.
func once(path string, make func() error) error {
	f, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // nothing was written
	if err := lock(f, true); err != nil {
		return err
	}
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	return make()
}

// Main runs the tests of a package, each in a process of its own (see Divide), and removes what Build made:
// func TestMain(m *testing.M) { testkit.Main(m) }.
func Main(m *testing.M, alone ...string) {
	Divide(alone...)
	code := m.Run()
	if built.mine {
		if err := os.RemoveAll(built.dir); err != nil {
			fmt.Fprintln(os.Stderr, "removing the test's programs:", err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}
