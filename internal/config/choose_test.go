package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestChoose holds which versions of files are in force together, by the traces in testdata/choose. A line of a trace is a file
// with its versions in the order in which they are tried:
//
//	main  host:a
//	shop  new host:b app:shop | force host:c
//	blog  new wrong | force host:d
//
// and the line with = says what comes of all above it, the lines after it begin anew.
func TestChoose(t *testing.T) {
	traces, err := filepath.Glob("testdata/choose/*.txt")
	if err != nil || len(traces) == 0 {
		t.Fatal("no traces", err)
	}
	for _, path := range traces {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		var c chosenOf
		for line := range strings.Lines(string(text)) {
			line = strings.TrimRight(line, "\n")
			switch {
			case strings.HasPrefix(line, "="), strings.HasPrefix(line, "  "):
				if strings.HasPrefix(line, "=") {
					out.WriteString(c.run())
					c = chosenOf{}
				}
				continue
			case line != "" && line[0] != '#':
				c.add(line)
			}
			out.WriteString(line + "\n")
		}
		golden(t, path, out.String())
	}
}

// chosenOf is one question of a trace.
type chosenOf struct {
	held  []string
	names []string
	files [][]version
	words [][]string
}

func (c *chosenOf) add(line string) {
	name, rest, _ := strings.Cut(line, " ")
	if name == "main" {
		c.held = strings.Fields(rest)
		return
	}
	var versions []version
	var words []string
	for one := range strings.SplitSeq(rest, "|") {
		f := strings.Fields(one)
		claims := f[1:]
		wrong := len(claims) > 0 && claims[0] == "wrong"
		versions = append(versions, version{f[0] == "force", func() (bool, []string) { return wrong, claims }})
		words = append(words, f[0])
	}
	c.names, c.files, c.words = append(c.names, name), append(c.files, versions), append(c.words, words)
}

func (c *chosenOf) run() string {
	chosen, clashes, stuck := choose(c.held, c.files)
	called := func(f int) string {
		if f == main {
			return "main"
		}
		return c.names[f]
	}
	said := func(k clash) string {
		return fmt.Sprintf("%s %s: %s is %s's", c.names[k.file], c.words[k.file][k.version], k.claim, called(k.holder))
	}
	if stuck != nil {
		return "= refused: " + said(*stuck) + "\n"
	}
	var b strings.Builder
	b.WriteString("=")
	for f, v := range chosen {
		word := "none"
		if v >= 0 {
			word = c.words[f][v]
		}
		fmt.Fprintf(&b, " %s %s", c.names[f], word)
	}
	b.WriteString("\n")
	for _, k := range clashes {
		b.WriteString("  " + said(k) + "\n")
	}
	return b.String()
}
