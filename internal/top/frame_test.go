package top

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden frames anew")

// played is a model of a size that has seen seconds of the fake site, and pressed keys.
func played(t *testing.T, w, h, more int, keys ...string) *model {
	t.Helper()
	m := newModel(NoInk, false)
	m.take(resized{w, h})
	for _, what := range m.start() {
		m.take(fakeAnswer(what))
	}
	for n := range 12 {
		feed(m, m.take(fakePicture(n, more)))
	}
	for _, k := range keys {
		m.frame()
		feed(m, m.take(pressed(k)))
	}
	return m
}

// pressed is a key by its name.
func pressed(k string) key {
	if len([]rune(k)) == 1 {
		return key{k, k}
	}
	return key{k, map[string]string{"space": " "}[k]}
}

func feed(m *model, todo []any) {
	for _, what := range todo {
		if got := fakeAnswer(what); got != nil {
			feed(m, m.take(got))
		}
	}
}

// TestFrames holds what the screen shows against testdata: for each size the views, and what comes of keys.
func TestFrames(t *testing.T) {
	for _, size := range []struct{ w, h int }{{80, 24}, {120, 40}, {60, 20}, {220, 60}} {
		for name, keys := range map[string][]string{
			"overview": {"1"}, "pools": {"2"}, "workers": {"3"}, "routes": {"4"}, "cache": {"5"}, "log": {"6"}, "events": {"7"},
			"pools-sorted":  {"2", "right", "right", "right", "right", "r"},
			"pools-filter":  {"2", "/", "d", "o", "w", "n"},
			"server":        {"2", "down", "down", "enter"},
			"pool":          {"2", "enter"},
			"worker":        {"3", "down", "down", "enter"},
			"app":           {"3", "enter"},
			"route":         {"4", "down", "enter"},
			"story":         {"6", "down", "enter"},
			"drain":         {"2", "down", "d", "d", "i", "s", "k"},
			"weight":        {"2", "down", "w", "backspace", "9", "9", "9", "9", "enter"},
			"reload":        {"3", "R"},
			"help":          {"?"},
			"paused":        {"space"},
			"nothing-found": {"4", "/", "z", "z", "z", "enter"},
		} {
			t.Run(fmt.Sprintf("%dx%d-%s", size.w, size.h, name), func(t *testing.T) {
				m := played(t, size.w, size.h, 0, keys...)
				text, x, y := m.frame()
				lines := strings.Split(text, "\n")
				if len(lines) != size.h {
					t.Errorf("%d lines", len(lines))
				}
				for i, l := range lines {
					if w := widthOf(l); w > size.w {
						t.Errorf("line %d has %d columns: %s", i, w, l)
					}
					lines[i] = strings.TrimRight(l, " ")
				}
				text = strings.Join(lines, "\n") + "\n"
				if y >= 0 {
					text += fmt.Sprintf("(the cursor is at %d, %d)\n", x, y)
				}
				golden(t, fmt.Sprintf("%s.%dx%d.txt", name, size.w, size.h), text)
			})
		}
	}
}

func golden(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("testdata", "frames", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), text); d != "" {
		t.Error(d)
	}
}

// TestGuide: what the guide shows is what is seen.
func TestGuide(t *testing.T) {
	guide, err := os.ReadFile(filepath.Join("..", "..", "docs", "guide", "watch-in-the-terminal.md"))
	if err != nil {
		t.Fatal(err)
	}
	shown := func(name string, from, to int) {
		t.Helper()
		text, err := os.ReadFile(filepath.Join("testdata", "frames", name))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(text), "\n")
		if part := strings.Join(lines[from:to], "\n"); !strings.Contains(string(guide), part) {
			t.Errorf("docs/guide/watch-in-the-terminal.md does not show what there is by now:\n%s", part)
		}
	}
	shown("overview.80x24.txt", 0, 24)
	shown("pools.120x40.txt", 2, 8)
	shown("story.80x24.txt", 2, 12)
}
