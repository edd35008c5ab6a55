// Package section lets two programs write one page: bench/peers its beginning, bench/cache the section at its end.
package section

import (
	"errors"
	"io/fs"
	"os"
	"strings"
)

// Title begins the section that is bench/cache's. What people have written stands behind it, in sections of their own.
const Title = "## The cache"

// split parts a page before the section.
func split(path string) (before, from string, err error) {
	page, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", "", err
	}
	at := strings.Index("\n"+string(page), "\n"+Title+"\n")
	if at < 0 {
		return string(page), "", nil
	}
	return string(page[:at]), string(page[at:]), nil
}

// Put writes the section into the page, in place of the one that is there.
func Put(path, text string) error {
	before, from, err := split(path)
	if err != nil {
		return err
	}
	behind := ""
	if i := strings.Index(strings.TrimPrefix(from, Title), "\n## "); i >= 0 {
		behind = strings.TrimPrefix(from, Title)[i:]
	}
	return os.WriteFile(path, []byte(strings.TrimRight(before, "\n")+"\n\n"+strings.TrimRight(text, "\n")+"\n"+behind), 0o644)
}

// PutBefore writes what comes before it.
func PutBefore(path, text string) error {
	_, from, err := split(path)
	if err != nil {
		return err
	}
	if from != "" {
		text = strings.TrimRight(text, "\n") + "\n\n" + from
	}
	return os.WriteFile(path, []byte(text), 0o644)
}
