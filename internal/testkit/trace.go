package testkit

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Traces plays the golden traces whose paths a pattern matches, each in a test of its own: play makes of a trace's text what it should be by now.
// With update it is written, else it has to be what it was.
func Traces(t *testing.T, pattern string, update bool, play func(t *testing.T, text string) string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no traces at %s: %v", pattern, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), filepath.Ext(file)), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(text))
			if update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(string(text), got); d != "" {
				t.Errorf("%s has changed (go test -update takes it over; -want +got):\n%s\nall of it:\n%s", file, d, got)
			}
		})
	}
}

// PlayLines makes a trace whose lines are an event each, with what came of it behind "→", in a column after width others. Nothing comes of
// empty lines and comments (#).
func PlayLines(text string, width int, event func(words []string) string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(strings.TrimSuffix(line, "\n"), "→")
		line = strings.TrimRight(line, " ")
		came := ""
		if line != "" && line[0] != '#' {
			came = event(strings.Fields(line))
		}
		if came == "" {
			fmt.Fprintln(&out, line)
			continue
		}
		fmt.Fprintf(&out, "%-*s → %s\n", width, line, came)
	}
	return out.String()
}

// PlayBlocks makes a trace whose lines are an event each, with what came of it in lines of their own, each after a tab. Nothing comes of
// empty lines and comments (#).
func PlayBlocks(text string, event func(line string) []string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "\t") {
			continue
		}
		fmt.Fprintln(&out, line)
		if strings.TrimSpace(line) == "" || line[0] == '#' {
			continue
		}
		for _, came := range event(line) {
			fmt.Fprintln(&out, "\t"+came)
		}
	}
	return out.String()
}
