package config

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestMemoryOf: what the control group allows counts where it is less.
func TestMemoryOf(t *testing.T) {
	dir := t.TempDir()
	meminfo := filepath.Join(dir, "meminfo")
	if err := os.WriteFile(meminfo, []byte("MemTotal:        1024 kB\nMemFree:          10 kB\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		limit string
		want  int64
	}{{"max\n", 1 << 20}, {"65536\n", 65536}, {"9999999999\n", 1 << 20}, {"", 1 << 20}, {"-1", 1 << 20}} {
		if err := os.WriteFile(filepath.Join(dir, "memory.max"), []byte(c.limit), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := memoryOf(meminfo, dir); got != c.want {
			t.Errorf("%q: %d, want %d", c.limit, got, c.want)
		}
	}
	if got := memoryOf(filepath.Join(dir, "none"), filepath.Join(dir, "none")); got != 0 {
		t.Errorf("of nothing: %d", got)
	}
}

// TestHere: the real machine says what the checks ask, and nothing is left behind.
func TestHere(t *testing.T) {
	dir := t.TempDir()
	var seen []string
	if err := (here{}).writable(dir); err != nil {
		t.Error(err)
	}
	if err := (here{}).names(dir, func(n string) bool { seen = append(seen, n); return false }); err != nil || len(seen) > 0 {
		t.Errorf("%v %v", seen, err)
	}
	for _, n := range []string{"a", "b", "c"} {
		if err := os.WriteFile(filepath.Join(dir, n), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := (here{}).names(dir, func(n string) bool { seen = append(seen, n); return true }); err != nil || len(seen) != 1 || !slices.Contains([]string{"a", "b", "c"}, seen[0]) {
		t.Errorf("%v %v", seen, err)
	}
	if err := (here{}).writable(filepath.Join(dir, "a")); err == nil {
		t.Error("a file is no directory to write in")
	}
	if (here{}).room(dir) <= 0 {
		t.Error("a file system of no size")
	}
}
