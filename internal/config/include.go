package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"
)

const (
	// MaxIncluded is how many files may be included, and MaxIncludedFile how large each may be in bytes. All of them
	// together may have maxIncludedText: so much is told to each edge.
	MaxIncluded     = 10_000
	MaxIncludedFile = 1 << 20
	maxIncludedText = 32 << 20
	// maxLooked bounds the names that are looked at for one pattern.
	maxLooked = 200_000
)

// Include says which other files belong to a configuration.
type Include struct {
	Files []string // absolute paths in which elements may be patterns, as in path.Match
	Watch bool     // they are read again by themselves when they change
	Place Place
}

// Listing is which files there are.
type Listing struct {
	Paths  []string // absolute, in the order of their names, none twice
	Unseen []Unseen
}

// Unseen is a folder that could not be listed: what lies in it is not known, which is not the same as that there is nothing.
type Unseen struct {
	Folder string
	Err    error
}

// Keeps reports whether a file that is not listed may be there all the same.
func (l *Listing) Keeps(path string) bool {
	return slices.ContainsFunc(l.Unseen, func(u Unseen) bool {
		rel, err := filepath.Rel(u.Folder, path)
		return err == nil && filepath.IsLocal(rel)
	})
}

// folders is a file system, as far as patterns need one.
type folders interface {
	// names returns what is in a folder, of most at the most.
	names(dir string, most int) ([]string, error)
	there(path string) bool
}

type realFolders struct{}

func (realFolders) names(dir string, most int) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	names, err := f.Readdirnames(most)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return names, errors.Join(err, f.Close())
}

// there is true of a link that leads nowhere: that is a file that cannot be read.
func (realFolders) there(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// List looks which files there are. The configuration's own file is none of them.
func (i *Include) List(main string) Listing { return i.list(main, realFolders{}) }

func (i *Include) list(main string, in folders) Listing {
	var l Listing
	for _, pattern := range i.Files {
		elements := strings.Split(strings.TrimPrefix(filepath.Clean(pattern), "/"), "/")
		g := globbing{in: in, into: &l, left: maxLooked}
		g.expand("/", elements, true)
	}
	slices.Sort(l.Paths)
	l.Paths = slices.DeleteFunc(slices.Compact(l.Paths), func(p string) bool { return p == main })
	if len(l.Paths) > MaxIncluded {
		l.Unseen = append(l.Unseen, Unseen{"/", fmt.Errorf("there are more than %d files: those after %s are not looked at", MaxIncluded, shownPath(l.Paths[MaxIncluded-1]))})
		l.Paths = l.Paths[:MaxIncluded]
	}
	return l
}

// globbing finds the files of one pattern.
type globbing struct {
	in   folders
	into *Listing
	left int // names that may still be looked at
}

// expand follows the elements of a pattern from a folder on. first says that no element before was a pattern: such a folder
// is one that somebody wrote down, and that it is gone is no reason to take all its sites out.
func (g *globbing) expand(dir string, elements []string, first bool) {
	for len(elements) > 0 && !isPattern(elements[0]) {
		dir, elements = filepath.Join(dir, elements[0]), elements[1:]
	}
	if len(elements) == 0 {
		if g.in.there(dir) {
			g.into.Paths = append(g.into.Paths, dir)
		}
		return
	}
	names, err := g.in.names(dir, g.left+1)
	switch {
	case err != nil && !first && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)):
		return
	case err != nil:
		g.into.Unseen = append(g.into.Unseen, Unseen{dir, err})
		return
	case len(names) > g.left:
		g.into.Unseen = append(g.into.Unseen, Unseen{dir, fmt.Errorf("there are more than %d names to look at", maxLooked)})
		return
	}
	g.left -= len(names)
	for _, name := range names {
		if name[0] == '.' && elements[0][0] != '.' {
			continue // editors' and rsync's files of the moment
		}
		if ok, err := filepath.Match(elements[0], name); ok && err == nil {
			g.expand(filepath.Join(dir, name), elements[1:], false)
		}
	}
}

func isPattern(element string) bool { return strings.ContainsAny(element, `*?[\`) }

// shownPath is a path as it can be shown.
func shownPath(path string) string { return printable(strings.ToValidUTF8(path, "\uFFFD")) }

// ReadIncluded reads an included file. What is no regular file, or too large, is refused, and never waited for.
func ReadIncluded(path string) (string, error) {
	for _, r := range path {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return "", errors.New("its name has characters that cannot be shown")
		}
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // else a pipe would be waited for
	if err != nil {
		return "", errors.New(reason(err))
	}
	text, err := readRegular(f)
	if closed := f.Close(); err == nil {
		err = closed
	}
	return text, err
}

func readRegular(f *os.File) (string, error) {
	info, err := f.Stat()
	switch {
	case err != nil:
		return "", errors.New(reason(err))
	case info.IsDir():
		return "", errors.New("it is a directory")
	case !info.Mode().IsRegular():
		return "", errors.New("it is no regular file")
	case info.Size() > MaxIncludedFile:
		return "", errors.New("it is larger than " + showSize(MaxIncludedFile))
	}
	text, err := io.ReadAll(io.LimitReader(f, MaxIncludedFile+1))
	switch {
	case err != nil:
		return "", errors.New(reason(err))
	case len(text) > MaxIncludedFile:
		return "", errors.New("it is larger than " + showSize(MaxIncludedFile))
	}
	return string(text), nil
}

func includeKind(t *table) kind[Include] {
	o := newObject[Include](t, "include", "include", "Files that belong to this one: see included_file.")
	files := list(globPathKind(), "a list of paths in which * may stand for anything", true, false)
	add(o, "files", files, func(i *Include) *[]string { return &i.Files }, "",
		"Their paths, in which *, ? and [a-z] may stand for parts of a name. They need not be there yet. Names that begin with a dot are left out.")
	o.must()
	add(o, "watch", boolKind(), func(i *Include) *bool { return &i.Watch }, "true",
		"Whether a file that is added, changed or removed comes into force by itself. If not, `weir reload` does it.")
	o.done = func(d *decoder, at value, _ map[string]value, i *Include) { i.Place = d.placeOf(at) }
	k := short(o.kind(), files, true, func(d *decoder, at value, got []string) Include {
		return Include{Files: got, Watch: true, Place: d.placeOf(at)}
	})
	k.zero.Watch = true
	return k
}

// globPathKind is a path in which elements may be patterns.
func globPathKind() kind[string] {
	k := pathKind("a path such as sites.d/*.yaml")
	read := k.read
	k.read = func(d *decoder, v value) (string, bool) {
		path, ok := read(d, v)
		if !ok {
			return "", false
		}
		for _, e := range strings.Split(path, "/") {
			if _, err := filepath.Match(e, ""); err != nil {
				d.fail(v, v.name()+" is "+v.what()+", which is no pattern", "close the [ with ], or write \\[ for [ itself")
				return "", false
			}
			if strings.Contains(e, "**") {
				d.fail(v, v.name()+" is "+v.what()+", and ** stands for nothing here", "write a * for each folder between")
				return "", false
			}
		}
		return path, true
	}
	return k
}
